//! 鍵預かり・鍵認可・リモート署名: the life of a kept key.
//!
//! This room decides whether a kept key may sign exactly this, now. It keeps the wrapped keys, its
//! own sealed copy of every linked phone, the budgets that approvals opened, and one row for each
//! hash that was ever asked to be signed. It re-verifies each approval itself, so a stolen token
//! key signs nothing here. It refuses to know who a person is, mints no token, and never learns a
//! PIN, a biometric or a document.
//!
//! A signature needs two proofs, both consumed by the one function that reaches the device: an
//! [`activation`], which is the owner's decision for exactly this hash, and the ledger's receipt
//! of the intention. Neither can be made elsewhere, copied, or used twice.
//!
//! Start reading at [`Custody::sign`] (`sign`: commit A → device → self-check → commit B), then
//! `activation` (the last door), `order` (what a retry gets) and `recovery` (what is true after
//! dying at any point, and how the same code closes it).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod activation;
mod alarm;
mod audit;
mod batch;
mod bearer;
mod believed;
mod binding;
mod books;
mod budget;
mod cache;
mod card;
mod carry_on;
mod client;
mod csc;
mod decided;
mod desk;
mod directive;
mod end;
mod entry;
mod hashes;
mod hourly;
mod import;
mod key;
mod life;
mod limits;
mod officer;
mod order;
mod owner;
mod policy;
mod pool;
mod prepared;
mod recovery;
mod refusal;
mod request;
mod rewrap;
mod room;
mod sad;
mod schema;
mod sign;
mod spend;
mod token;

pub use alarm::{Alarm, AlarmKind};
pub use audit::{Finding, Round};
pub use batch::{BATCH_MOST, BatchItem, BatchOrder, SignedBatch};
pub use books::Books;
pub use budget::Budget;
pub use client::{Client, ClientId};
pub use csc::{Authorize, Authorized, Credential, MULTISIGN, SignedHash};
pub use directive::{Act, BackupCopy, Confirmation, Directive};
pub use end::{Destruction, Paper, Retired};
pub use entry::entry_of_order;
pub use hashes::ToSign;
pub use import::{ImportReceipt, Imported, Importer};
pub use key::{KeyFacts, KeyState, Purpose, StopReason};
pub use life::{Consent, Fresh};
pub use limits::{COUNT_CEILING, FACILITY_CEILING, Limits, TOKEN_CEILING};
pub use officer::{NewOfficer, Officer, OfficerRole, confirmation};
pub use order::SignOrder;
pub use owner::{OwnerDecided, TOPIC_OWNER_DECIDED};
pub use policy::{Mode, Policy, Rule};
pub use pool::Stocked;
pub use prepared::{Asked, Evidence, Prepared, PreparedDocument, SHA256_OID};
pub use recovery::Recovered;
pub use refusal::{CODES, Refusal};
pub use request::{Completed, KEEP_MOST_S, Later, Polled, Ready};
pub use rewrap::Rewrapped;
pub use room::{Custody, CustodyConfig, LOADED_KEYS};
pub use sad::{Granted, Sad};
pub use schema::MIGRATIONS;
pub use sign::Signed;
pub use token::{Peer, TokenKey, VerifiedToken};
pub use xades::cades::Format;

/// How anything in this room can end badly.
pub type Failed = ledger::Failed<Refusal>;

fn refused<T>(refusal: impl Into<Refusal>) -> Result<T, Failed> {
    Err(ledger::Failed::Refused(refusal.into()))
}
