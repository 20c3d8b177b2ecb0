//! 電子処方箋: the prescription and dispensing documents and the CSV records inside them.
//!
//! This room decides how a record becomes a document and how a document is read again, and how a
//! person is shown what it says. It is pure. It refuses to judge a signature (that is
//! `verifier`'s) and to know who is signed in (that is `gateway`'s).
//!
//! Two rules hold everywhere in it:
//! - **What was signed is never written again.** Whatever is added to a document — the signature,
//!   the service's identifiers, a prescription inside a dispensing result — is spliced in as
//!   octets, and every octet that was there before stays where it was.
//! - **A record's octets are kept as they came.** The typed views read them; nothing rebuilds them.
//!
//! The shape of the records is known from published sample documents only (UTF-8 without byte
//! order mark, line feeds, no escaping, which record number holds what). The field-by-field
//! specification (電子処方箋管理サービス 記録条件仕様) was not at hand. Wherever a position or a
//! code value goes beyond that, the comment says *our reading*; a wrong reading can make a view
//! less helpful, but never changes what is signed.
//!
//! Start reading at [`record`] (one line, one record), [`PrescriptionRecord`] (what it means) and
//! [`document`] (the XML around it).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod day;
mod dispensing;
pub mod document;
mod prescribing;
pub mod record;
mod refusal;
pub mod sample;
mod show;
mod tree;

pub use day::Day;
pub use dispensing::{DispensedDrug, DispensingRecord};
pub use prescribing::{
    Drug, Group, Institution, Insurance, Patient, Physician, PrescriptionRecord, Sex,
};
pub use refusal::{CODES, Refusal};
