//! A PIN and its counter.

use serde::{Deserialize, Serialize};

use super::apdu::{Command, Outcome, Status};

/// A PIN of a card. The counter is the card's memory: it outlives power.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pin {
    value: String,
    /// Wrong tries in a row until it is blocked.
    pub tries: u8,
    /// How many are left.
    pub left: u8,
    #[serde(skip)]
    pub(super) verified: bool,
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a PIN with {} of {} tries", self.left, self.tries)
    }
}

impl Pin {
    /// A PIN with so many tries.
    pub fn new(value: &str, tries: u8) -> Self {
        Self { value: value.to_owned(), tries, left: tries, verified: false }
    }

    /// VERIFY: without data it tells the tries that are left, or that it is verified already.
    pub(super) fn verify(&mut self, command: &Command) -> Outcome {
        if command.data.is_empty() {
            return if self.verified { Ok(Vec::new()) } else { Err(Status::tries(self.left)) };
        }
        if self.left == 0 {
            return Err(Status::PIN_BLOCKED);
        }
        // Some middleware pads with zeros up to the stored length.
        let given = command.data.as_slice();
        let end = given.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
        if given.get(..end) == Some(self.value.as_bytes()) {
            self.left = self.tries;
            self.verified = true;
            return Ok(Vec::new());
        }
        self.left -= 1;
        self.verified = false;
        Err(if self.left == 0 { Status::PIN_BLOCKED } else { Status::tries(self.left) })
    }
}
