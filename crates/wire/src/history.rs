//! The owner asks for the openings of her key's entries in the journal.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Base64;

/// The largest number of entries in one answer.
pub const HISTORY_PAGE: u64 = 1_000;

/// Who holds a linked phone's device cookie and the key of its key's stream asks for the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryRequest {
    /// The key of the stream, as it was given when the phone was linked.
    pub stream_key: Base64,
    /// Entries before this one, the oldest of the answer before; the newest if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// An entry of her key, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// Where it stands in the journal.
    pub index: u64,
    /// The salt of its commitment.
    pub salt: Base64,
    /// What was committed to.
    pub opening: Base64,
}

/// At most 1,000 entries, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryAnswer {
    /// The entries; none is left where there are none.
    pub entries: Vec<HistoryEntry>,
}
