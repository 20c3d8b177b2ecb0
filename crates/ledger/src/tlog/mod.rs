//! The public face of the journal, without any database: the RFC 6962 tree, checkpoints as C2SP
//! signed notes, cosignatures of witnesses, tiles, and the proofs that travel with each answer.
//!
//! A gateway, the command line and any stranger need only this module: [`Proof::parse`], then
//! [`Proof::verify`] with the log's pinned [`VerifyKey`], gives the [`VerifiedEntry`]; whoever
//! also pins witnesses asks their [`Quorum`]. [`Tiles`] computes proofs from what anybody may read.
//!
//! Formats: <https://c2sp.org/signed-note>, <https://c2sp.org/tlog-checkpoint>,
//! <https://c2sp.org/tlog-cosignature>, <https://c2sp.org/tlog-witness>,
//! <https://c2sp.org/tlog-tiles>, <https://c2sp.org/tlog-proof> (v1), RFC 6962 §2.1.

mod cosignature;
mod note;
mod proof;
mod reading;
mod remembering;
mod submission;
pub(crate) mod tile;
pub mod tree;

pub(crate) use cosignature::Cosigner;
pub use cosignature::{Cosigned, Quorum, WitnessKey};
pub(crate) use note::NoteSigner;
pub use note::{Checkpoint, VerifyKey};
pub(crate) use proof::proof_text;
pub use proof::{Proof, VerifiedEntry};
pub use reading::{Missed, Source, Unreachable, consistency_from, entries_from, inclusion_from};
pub use remembering::Remembering;
pub use submission::Submission;
pub use tile::{Resource, Tiles, bundle, unbundle};
pub use tree::{leaf_hash, verify_consistency, verify_inclusion};

pub use crate::opening::LeafOpening;
