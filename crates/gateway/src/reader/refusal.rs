//! What cards and readers say no to.

use super::{PinForm, Tries};

/// Why a card does not do what it is asked. None of these names a person or a PIN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardRefusal {
    /// There is no way to any reader: no service of the operating system, or no usable module.
    #[error("there is no way to a card reader: {0}")]
    ReaderUnavailable(String),
    /// No reader has a card with this use.
    #[error("no such card is in a reader")]
    Missing,
    /// More than one reader has one.
    #[error("several such cards are in readers")]
    Several,
    /// It is neither an HPKI card nor a My Number Card.
    #[error("the card is neither an HPKI card nor a My Number Card")]
    Unknown,
    /// Its directory or its certificate is not what the standard says.
    #[error("the card is not as the standard says: {0}")]
    Malformed(&'static str),
    /// It was taken out on the way.
    #[error("the card was taken out")]
    Removed,
    /// Another card than the one that was shown is in the reader. It has not seen the PIN.
    #[error("another card is in the reader now")]
    Changed,
    /// Another program talks with it.
    #[error("another program uses the card")]
    InUse,
    /// It did not answer in time.
    #[error("the card did not answer in time")]
    Slow,
    /// It answered with this status.
    #[error("the card answered {0:04x}")]
    Answered(u16),
    /// The module answered with this.
    #[error("the card's module answered {0}")]
    ModuleAnswered(String),
    /// The PIN cannot be right, so it was not sent and no try is lost.
    #[error("a PIN of this card is {0}; it was not sent")]
    PinMalformed(PinForm),
    /// The PIN is wrong.
    #[error("the PIN is wrong; {0}")]
    PinWrong(Tries),
    /// One try is left, and nobody said that its holder knows. The PIN was not sent.
    #[error("1 try is left; the PIN was not sent")]
    PinLastTry,
    /// Too many wrong PINs.
    #[error("the PIN is blocked")]
    PinBlocked,
    /// The card made something that its certificate does not verify.
    #[error("the card's signature does not verify with its certificate")]
    SignatureWrong,
}

impl CardRefusal {
    /// Its stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ReaderUnavailable(_) => "card-reader-unavailable",
            Self::Missing => "card-missing",
            Self::Several => "card-several",
            Self::Unknown => "card-unrecognised",
            Self::Malformed(_) => "card-unreadable",
            Self::Removed => "card-removed",
            Self::Changed => "card-changed",
            Self::InUse => "card-in-use",
            Self::Slow => "card-slow",
            Self::Answered(_) | Self::ModuleAnswered(_) => "card-answer-unexpected",
            Self::PinMalformed(_) => "card-pin-malformed",
            Self::PinWrong(_) => "card-pin-wrong",
            Self::PinLastTry => "card-pin-last-try",
            Self::PinBlocked => "card-pin-blocked",
            Self::SignatureWrong => "card-signature-mismatch",
        }
    }
}

impl std::fmt::Display for Tries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Left(1) => f.write_str("1 try is left"),
            Self::Left(left) => write!(f, "{left} tries are left"),
            Self::Few => f.write_str("few tries are left"),
            Self::Blocked => f.write_str("no try is left"),
            Self::Untold => f.write_str("how many tries are left is not told"),
        }
    }
}
