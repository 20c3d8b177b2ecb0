//! The public face of the journal, without any database: the RFC 6962 tree, checkpoints as C2SP
//! signed notes, and the proofs that travel with each answer.
//!
//! A gateway, the command line and any stranger need only this module: [`Proof::parse`], then
//! [`Proof::verify`] with the log's pinned [`VerifyKey`], gives the [`VerifiedEntry`].
//!
//! Formats: <https://c2sp.org/signed-note>, <https://c2sp.org/tlog-checkpoint>,
//! <https://c2sp.org/tlog-proof> (v1), RFC 6962 §2.1.

mod note;
mod proof;
mod remembering;
pub mod tree;

pub(crate) use note::NoteSigner;
pub use note::{Checkpoint, VerifyKey};
pub(crate) use proof::proof_text;
pub use proof::{Proof, VerifiedEntry};
pub use remembering::Remembering;
pub use tree::{leaf_hash, verify_consistency, verify_inclusion};

pub use crate::opening::LeafOpening;
