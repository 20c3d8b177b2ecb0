//! The common vocabulary of the house: names, qualifications, object identifiers, certificate
//! profiles, algorithm policy and path validation of the Japanese health-care PKI (HPKI).
//!
//! This room is pure. It performs no I/O, reads no clock, draws no randomness and never holds a
//! private key: signing, keyed hashing and randomness are handed in through the small traits of
//! [`sign`]. Everything else in the house speaks in its types.
//!
//! Start reading at [`qualification`] (who may sign), [`kind`] (what may be signed) and
//! [`encoding`] (how statements become octets); then [`profile`] (what our certificates look like)
//! and [`path`] (why a certificate is believed).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod asn1;
pub mod certificate;
pub mod crl;
pub mod encoding;
pub mod hcrole;
pub mod id;
mod key_usage;
pub mod kind;
pub mod lint;
pub mod merkle;
pub mod name;
pub mod ocsp;
pub mod oid;
pub mod path;
pub mod pem;
pub mod policy;
pub mod profile;
pub mod qualification;
pub mod refusal;
pub mod sign;
pub mod time;

pub use certificate::Certificate;
pub use crl::Crl;
pub use refusal::{CODES, Refusal, Refuse};
