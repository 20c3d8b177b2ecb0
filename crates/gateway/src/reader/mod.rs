//! IC カード: the only place that knows card readers.
//!
//! It says which card is in which reader, what stands on it and how many tries its PIN has left,
//! before anybody is asked for a PIN; and it has a card sign one digest. It knows three uses of a
//! card, by the names people have for them ([`CardUse`]), and two ways to a card: commands
//! ([`Commands`], over any [`CardReader`]: PC/SC with the feature `pcsc`, or a chip in this process)
//! and a vendor's PKCS#11 module ([`Module`]).
//!
//! Rules that hold for every way:
//! - A PIN is sent only to the card whose certificate the caller has seen, read again in the same
//!   turn with the reader; a card that was changed in between never sees it.
//! - A PIN that cannot be right (too short, letters where digits are) is not sent: it would cost a
//!   try. Neither is one when a single try is left, unless the caller says that the holder knows.
//! - When a turn ends the card is reset, so no other program finds a verified PIN.
//! - The signature certificate of a My Number Card, which has its holder's address, is not read.
//!
//! What a card may sign is decided above: [`crate::carddesk`] hands a journalled intention to the
//! signing application and a challenge to an authentication application, never the other way round
//! (CP 6.1.2 as JAHIS 31 §4.3 quotes it: the two keys differ so that no hash passes as a challenge).

mod apdu;
mod commands;
mod directory;
mod hpki_card;
mod in_process;
mod jpki_card;
mod line;
mod only;
#[cfg(feature = "pcsc")]
mod pcsc;
mod pin;
mod pkcs11;
mod refusal;

use hpki::certificate::Certificate;
use hpki::encoding::Digest32;

pub use commands::Commands;
pub use in_process::{Chip, InProcess};
pub use line::{CardLine, CardReader, Stay};
pub use only::Only;
#[cfg(feature = "pcsc")]
pub use pcsc::PcSc;
pub use pin::{LastTry, Pin, PinForm};
pub use pkcs11::Module;
pub use refusal::CardRefusal;

/// What a card is used for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CardUse {
    /// HPKI カードの署名用: signs documents.
    Signing,
    /// HPKI カードの認証用: answers challenges.
    Authentication,
    /// マイナンバーカードの利用者証明用: answers challenges.
    Jpki,
}

impl CardUse {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Signing, Self::Authentication, Self::Jpki];

    /// The stable name in interfaces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signing => "hpki-signing",
            Self::Authentication => "hpki",
            Self::Jpki => "jpki",
        }
    }

    /// What people call it.
    pub const fn ja(self) -> &'static str {
        match self {
            Self::Signing => "HPKI カード（署名用）",
            Self::Authentication => "HPKI カード（認証用）",
            Self::Jpki => "マイナンバーカード（利用者証明用）",
        }
    }
}

/// How often a wrong PIN may still be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// So often.
    Left(u8),
    /// Only a few times: a PKCS#11 module does not say how many.
    Few,
    /// Never again: the card has to be unlocked or issued anew.
    Blocked,
    /// The card or module does not say.
    Untold,
}

impl Tries {
    /// Whether one more wrong PIN blocks the card.
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Left(1))
    }
}

/// One use of a card, as far as everybody may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardFace {
    /// What it is used for.
    pub usage: CardUse,
    /// Its holder's certificate.
    pub certificate: Certificate,
    /// How often a wrong PIN may still be entered.
    pub tries: Tries,
    /// What its PIN can look like.
    pub pin: PinForm,
}

/// What a reader has in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The reader's name.
    pub reader: String,
    /// What is in it.
    pub card: Inside,
}

/// A reader's card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inside {
    /// None.
    Nothing,
    /// A card that is neither an HPKI card nor a My Number Card.
    Unknown,
    /// One with these uses.
    Card(Vec<CardFace>),
    /// One that could not be read.
    Trouble(CardRefusal),
}

/// One use of one card in one reader: what a PIN is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The reader.
    pub reader: String,
    /// The use.
    pub usage: CardUse,
    /// The certificate that was seen on it.
    pub certificate: Certificate,
}

/// A way to cards.
pub trait Cards: Send + Sync {
    /// What is in which reader. No PIN is needed for this.
    ///
    /// # Errors
    /// `card-reader-unavailable`: there is no way to any reader.
    fn look(&self) -> Result<Vec<Slot>, CardRefusal>;

    /// Has the key of this use sign what has this SHA-256 digest: RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    ///
    /// # Errors
    /// `card-removed`, `card-changed`, `card-pin-…` and what a card answers.
    fn sign_digest(
        &self,
        card: &Chosen,
        pin: &Pin,
        last: LastTry,
        digest: &Digest32,
    ) -> Result<Vec<u8>, CardRefusal>;

    /// Notices, from now on, whether this card was taken out.
    ///
    /// # Errors
    /// As [`Cards::sign_digest`], without the PIN's.
    fn stay(&self, card: &Chosen) -> Result<Box<dyn Stay>, CardRefusal>;
}

/// Several ways to cards, asked in turn: PC/SC, then each module that is configured.
pub struct Ways(pub Vec<Box<dyn Cards>>);

impl Ways {
    fn of<T>(
        &self,
        card: &Chosen,
        act: impl Fn(&dyn Cards) -> Result<T, CardRefusal>,
    ) -> Result<T, CardRefusal> {
        for way in &self.0 {
            let known = way.look().is_ok_and(|slots| slots.iter().any(|s| s.reader == card.reader));
            if known {
                return act(&**way);
            }
        }
        Err(CardRefusal::Removed)
    }
}

impl Cards for Ways {
    fn look(&self) -> Result<Vec<Slot>, CardRefusal> {
        let mut slots = Vec::new();
        let mut trouble = None;
        for way in &self.0 {
            match way.look() {
                Ok(seen) => slots.extend(seen),
                Err(refusal) => trouble = trouble.or(Some(refusal)),
            }
        }
        // One way that works is enough; what is wrong with the others is said where none does.
        match trouble {
            Some(refusal) if slots.is_empty() => Err(refusal),
            _ => Ok(slots),
        }
    }

    fn sign_digest(
        &self,
        card: &Chosen,
        pin: &Pin,
        last: LastTry,
        digest: &Digest32,
    ) -> Result<Vec<u8>, CardRefusal> {
        self.of(card, |way| way.sign_digest(card, pin, last, digest))
    }

    fn stay(&self, card: &Chosen) -> Result<Box<dyn Stay>, CardRefusal> {
        self.of(card, |way| way.stay(card))
    }
}

/// The one card with this use among all readers; of several, the one in this reader.
///
/// # Errors
/// `card-missing`, `card-several`, or why the only card there could not be read.
pub fn choose(
    slots: &[Slot],
    usage: CardUse,
    reader: Option<&str>,
) -> Result<(Chosen, CardFace), CardRefusal> {
    let here = || slots.iter().filter(|slot| reader.is_none_or(|wanted| slot.reader == wanted));
    let mut found = here().filter_map(|slot| match &slot.card {
        Inside::Card(faces) => {
            let face = faces.iter().find(|face| face.usage == usage)?;
            let (reader, certificate) = (slot.reader.clone(), face.certificate.clone());
            Some((Chosen { reader, usage, certificate }, face.clone()))
        }
        _ => None,
    });
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        // A card reached by two ways is one card; the first way is taken.
        (Some(one), Some(other)) if one.0.certificate == other.0.certificate => Ok(one),
        (Some(_), Some(_)) => Err(CardRefusal::Several),
        (None, _) => Err(here()
            .find_map(|slot| match &slot.card {
                Inside::Trouble(refusal) => Some(refusal.clone()),
                Inside::Unknown => Some(CardRefusal::Unknown),
                _ => None,
            })
            .unwrap_or(CardRefusal::Missing)),
    }
}

/// DigestInfo of SHA-256 (RFC 8017 §9.2, note 1).
fn digest_info(digest: &Digest32) -> Vec<u8> {
    let mut info =
        vec![0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
    info.extend_from_slice(digest);
    info
}
