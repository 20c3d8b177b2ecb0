//! 台帳: storage, and the append-only journal with its Merkle tree.
//!
//! This room decides what "durable" and "on record" mean. [`Store`] is one folder owned by one
//! process: a writer thread commits many callers' work at once and answers nobody before the
//! commit. [`Ledger`] adds the journal: every entry is a salted commitment under a label that only
//! the platform and the owner can compute, a leaf of an RFC 6962 tree, covered by a checkpoint
//! signed before anybody is answered. [`Receipt`] is the proof of that, and the key to the doors
//! of the rooms that sign.
//!
//! It refuses to know what the rooms' tables mean, and it never changes or deletes an entry. Keys
//! stay with the device: signing, keyed hashing and randomness are handed in, and so is the time.
//!
//! Start reading at [`Ledger::record`], then `writer` (the group commit, with what is true if we
//! die at each point) and `journal`. [`tlog`] is the part that strangers use; [`audit`] is the
//! check of everything. Who watches from outside: a [`Witness`] cosigns checkpoints, a [`Monitor`]
//! follows the public files, an [`Owner`] looks for what was left out of her key's history, and an
//! [`Auditor`] reads all and can sign nothing.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod audit;
mod auditor;
pub mod copy;
mod engine;
mod event;
mod fault;
mod faults;
mod gathering;
mod head;
mod journal;
mod ledger;
mod migration;
mod monitor;
mod nodes;
mod opening;
mod owner;
mod place;
mod reading;
mod receipt;
mod record;
mod refusal;
mod rows;
mod store;
pub mod tlog;
mod tx;
mod value;
mod witness;
mod writer;

pub use auditor::{Auditor, Shown, Wanted};
pub use event::{Event, UnknownEvent};
pub use fault::{Failed, Fault};
pub use faults::{Break, Faults};
pub use journal::Head;
pub use ledger::{HEAD_FILE, Ledger, Message, Opening, Options};
pub use migration::Migration;
pub use monitor::{Monitor, Seen};
pub use opening::{ENTRY_LENGTH, Entry, LeafOpening};
pub use owner::{HandedOver, History, Owner, StreamKey};
pub use place::Place;
pub use receipt::Receipt;
pub use record::{EntryKind, Intention, Note, Outcome, OutcomeFields, Record};
pub use refusal::{CODES, Refusal};
pub use store::Store;
pub use tx::Tx;
pub use value::{Row, Value};
pub use witness::Witness;
