//! 鍵装置: the only room that touches private keys.
//!
//! It generates, wraps, loads, signs and destroys, and it decides one thing itself: whether a
//! wrapped key belongs to the row it was found in ([`blob`]). It refuses to know persons, tokens
//! and prescriptions; whoever wants a signature must hold a desk, and whoever holds a desk got it
//! from [`open`], once.
//!
//! Opening a folder yields four [`desk`]s. Each is made once and cannot be cloned, so handing the
//! [`SubscriberDesk`] to `custody` takes it away from everybody else:
//!
//! | desk | given to | keys behind it |
//! |---|---|---|
//! | [`SubscriberDesk`] | `custody` | subscribers' kept keys, as wrapped blobs kept by the caller |
//! | [`CaDesk`] | `ca` | named certification-authority keys, wrapped in the folder |
//! | [`TokenDesk`] | `authn` | the keys that sign access tokens |
//! | [`LogDesk`] | `ledger` | the key that signs journal checkpoints |
//!
//! Each desk also computes `M(…)`, a keyed hash under a key of its own role: a room cannot make
//! another room's seal.
//!
//! Behind the desks is one private trait, [`device::Device`]; the software vault ([`vault`])
//! and PKCS#11 devices ([`pkcs11`]) answer it, under the same tests. Which one it is, is said to
//! [`open`] by a [`DeviceConfig`]. Start reading at [`device`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(any(test, feature = "anomalies"))]
pub mod anomaly;
pub mod blob;
mod config;
pub mod desk;
mod device;
mod files;
mod gauge;
mod health;
mod import;
mod keypair;
mod named;
mod officer;
pub mod pkcs11;
mod queue;
mod random;
mod refusal;
mod rotation;
pub mod shares;
mod spki;
#[cfg(any(test, feature = "anomalies"))]
pub mod testing;
pub mod transfer;
mod unseal;
mod vault;

pub use config::DeviceConfig;
#[cfg(any(test, feature = "anomalies"))]
pub use desk::open_failing;
pub use desk::{
    CaAlgorithm, CaDesk, CaKey, Desks, GenerateDone, Generated, LoadDone, LoadedKey, LogDesk,
    SignDone, SubscriberDesk, TokenBlob, TokenDesk, TokenKey, TokenPublic,
};
pub use desk::{create, look_at_named, open, prepare_token};
pub use gauge::Gauge;
pub use health::{DeviceWatch, Health, Nameplate};
pub use import::{OaepDigest, Package};
pub use officer::{change_officers_secret, change_secret};
pub use random::SystemRandom;
pub use refusal::{CODES, Failed, Refusal};
pub use rotation::Rotation;
pub use transfer::Transfer;
pub use unseal::UnsealSecret;
