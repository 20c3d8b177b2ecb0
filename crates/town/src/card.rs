//! IC cards of the town, at the level of command APDUs (ISO 7816-4): the HPKI card (JAHIS 31) and the
//! JPKI application of a My Number Card.
//!
//! They speak the vpcd protocol ([`vpcd`]), so a real PC/SC stack reads them and everything from
//! the reader inwards is real. No secure messaging, as on the models; a private key never leaves its
//! card, whose file ([`Kept`]) stands for the chip.

mod apdu;
mod file;
mod hpki_card;
mod jpki_card;
mod kept;
mod key;
mod pin;
mod pkcs15;
pub mod vpcd;

pub use hpki_card::{HpkiApplication, HpkiCard, Layout};
pub use jpki_card::JpkiCard;
pub use kept::{AnyCard, Kept, KeptKey};
pub use key::CardKey;
pub use pin::Pin;

/// What a reader sees of a card.
pub trait Card: Send {
    /// The answer to reset (ISO 7816-3 §8).
    fn atr(&self) -> &[u8];
    /// Power was taken or the reset line pulled: nothing is selected, no PIN is verified.
    fn reset(&mut self);
    /// Answers one command; data, if any, and two octets of status.
    fn transmit(&mut self, command: &[u8]) -> Vec<u8>;
}
