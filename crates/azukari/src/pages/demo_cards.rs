//! Cards and readers on the demonstration page: what is where, and how many tries each PIN has left.

use serde::{Deserialize, Serialize};

use super::demo::Text;

/// A reader of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReaderView {
    /// Whose desk it stands on.
    pub(crate) at: Text,
    /// What PC/SC calls it.
    pub(crate) name: String,
    /// The card in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) card: Option<String>,
}

/// A card of the town.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CardView {
    /// Its name in requests.
    pub(crate) id: String,
    /// Which kind.
    pub(crate) kind: Text,
    /// Whose.
    pub(crate) holder: Text,
    /// What to type.
    pub(crate) pin: String,
    /// The reader that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reader: Option<usize>,
    /// Whether its holder has had it revoked; `None` for a card that she does not have revoked here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked: Option<bool>,
    /// Its PINs.
    pub(crate) pins: Vec<PinView>,
}

/// A PIN of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PinView {
    /// What it is for.
    pub(crate) name: Text,
    /// How many wrong ones are left until it is blocked.
    pub(crate) left: u8,
    /// Of how many.
    pub(crate) tries: u8,
}

impl PinView {
    /// `full`, `fewer` or `blocked`.
    pub(crate) fn class(&self) -> &'static str {
        match self.left {
            0 => "blocked",
            left if left < self.tries => "fewer",
            _ => "full",
        }
    }
}

impl CardView {
    /// The request that puts it into this reader.
    pub(crate) fn insert(&self, reader: &usize) -> String {
        serde_json::json!({ "card": self.id, "reader": reader }).to_string()
    }

    /// The request that takes it out, or has it revoked.
    pub(crate) fn alone(&self) -> String {
        serde_json::json!({ "card": self.id }).to_string()
    }
}

/// `POST /demo/cards/insert`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InsertRequest {
    /// Which card.
    pub(crate) card: String,
    /// Into which reader, from 0.
    pub(crate) reader: usize,
}

/// `POST /demo/cards/remove` and `/demo/cards/revoke`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardRequest {
    /// Which card.
    pub(crate) card: String,
}
