//! The common vocabulary of the house: names, qualifications, object identifiers, certificate
//! profiles, algorithm policy and path validation of the Japanese health-care PKI (HPKI).
//!
//! This room is pure. It performs no I/O, reads no clock, draws no randomness and never holds a
//! private key: signing, keyed hashing and randomness are handed in through the small traits of
//! [`sign`]. Everything else in the house speaks in its types.
//!
//! Start reading at [`qualification`] (who may sign), [`kind`] (what may be signed) and
//! [`encoding`] (how statements become octets).

pub mod encoding;
pub mod id;
pub mod kind;
pub mod qualification;
pub mod refusal;
pub mod sign;
pub mod time;
