//! What the house has agreed with the outside (外部との取り決め): the shapes of the interfaces, the
//! token's format, and the refusal table with its texts.
//!
//! Formats only. Nothing here decides, signs, checks a signature or knows HTTP. Start reading at
//! [`api`]; whoever wants to reword what a doctor sees opens `refusals.tsv`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
pub mod approvals;
pub mod batch;
pub mod csc;
pub mod desk;
pub mod history;
pub mod holder;
pub mod import;
pub mod oauth;
pub mod path;
pub mod reader;
pub mod refusal;
pub mod token;

pub use api::*;
pub use approvals::*;
pub use batch::{BatchAnswer, BatchDocument, BatchRequest};
pub use history::{HISTORY_PAGE, HistoryAnswer, HistoryEntry, HistoryRequest};
pub use holder::*;
pub use import::{ImportAnswer, ImportKeyAnswer, ImportRequest};
pub use reader::*;
