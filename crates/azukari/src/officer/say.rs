//! A refusal as a person at a terminal reads it: what happened, what to do next, the code.

use std::fmt;

use hpki::refusal::Refuse;

use crate::runtime::Stop;

/// A refusal with its text from the table.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match wire::refusal::lookup(self.code) {
            Some(text) => write!(
                f,
                "{} ({})\n  → {} ({})\n  [{}] {}",
                text.title_ja,
                text.title_en,
                text.advice_ja,
                text.advice_en,
                self.code,
                self.detail
            ),
            None => write!(f, "[{}] {}", self.code, self.detail),
        }
    }
}

impl std::error::Error for Said {}

/// A refusal of the binary itself.
pub(crate) fn refused(code: &'static str, detail: impl Into<String>) -> Stop {
    Box::new(Said { code, detail: detail.into() })
}

/// A room's refusal.
pub(crate) fn say(refusal: &(impl Refuse + fmt::Display)) -> Stop {
    refused(refusal.code(), refusal.to_string())
}

/// What shares answer.
pub(crate) fn share(failed: hsm::shares::Failed) -> Stop {
    match failed {
        hsm::shares::Failed::Refused(refusal) => say(&refusal),
        hsm::shares::Failed::Fault(fault) => fault.into(),
    }
}

/// What the device answers.
pub(crate) fn device(failed: hsm::Failed) -> Stop {
    match failed {
        hsm::Failed::Refused(refusal) => say(&refusal),
        hsm::Failed::Fault(fault) => fault.into(),
    }
}

/// What the ledger answers.
pub(crate) fn ledger(failed: ledger::Failed<ledger::Refusal>) -> Stop {
    match failed {
        ledger::Failed::Refused(refusal) => say(&refusal),
        ledger::Failed::Fault(fault) => fault.into(),
    }
}
