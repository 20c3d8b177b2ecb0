//! How shares say no.

use hpki::refusal::Refuse;
use hpki::sign::DeviceFault;

use super::Duty;

/// A share, or a number of them, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fewer than two, more than there are, or more officers than a ceremony has.
    #[error("{need} of {of} is not allowed: 2 to n, n at most 32")]
    QuorumNotAllowed {
        /// Shares needed.
        need: u8,
        /// Shares made.
        of: u8,
    },
    /// A typed line does not fit its own check.
    #[error("line {0} of the share is mistyped")]
    ShareLineWrong(usize),
    /// Not four lines, or not a share.
    #[error("this is not a share: {0}")]
    ShareMalformed(&'static str),
    /// The share does not fit its own check.
    #[error("the share is damaged")]
    ShareDamaged,
    /// Made by a newer program.
    #[error("the share has version {0}")]
    ShareVersionUnknown(u8),
    /// The passphrase does not open the share file, or the file was changed.
    #[error("the passphrase does not open this share file")]
    ShareFileLocked,
    /// The file is missing, malformed, or there is one already.
    #[error("the share file {0} cannot be used")]
    ShareFileUnusable(String),
    /// Others may read it.
    #[error("others may read the share file {0}")]
    ShareFileReadable(String),
    /// Too short to protect a share.
    #[error("the passphrase is shorter than {0} characters")]
    PassphraseTooShort(usize),
    /// A share of the other officers.
    #[error("a share of the other officers; this needs {0}")]
    ShareOfAnotherDuty(Duty),
    /// A share of another set: another platform's, or an older one.
    #[error("the share belongs to another set")]
    ShareOfAnotherSet,
    /// The share is already here.
    #[error("share {0} is already here")]
    ShareRepeated(u8),
    /// There are enough.
    #[error("there are enough shares")]
    SharesComplete,
    /// Not enough to put the secret together.
    #[error("{have} of {need} shares are here")]
    SharesTooFew {
        /// Shares here.
        have: u8,
        /// Shares needed.
        need: u8,
    },
    /// What the shares give is not the set's secret: one of them is forged.
    #[error("the shares do not give the set's secret")]
    SharesWrong,
}

/// Every code of shares.
pub const CODES: &[&str] = &[
    "quorum-not-allowed",
    "share-line-wrong",
    "share-malformed",
    "share-damaged",
    "share-version-unknown",
    "share-file-locked",
    "share-file-unusable",
    "share-file-readable",
    "passphrase-too-short",
    "share-of-another-duty",
    "share-of-another-set",
    "share-repeated",
    "shares-complete",
    "shares-too-few",
    "shares-wrong",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::QuorumNotAllowed { .. } => "quorum-not-allowed",
            Self::ShareLineWrong(_) => "share-line-wrong",
            Self::ShareMalformed(_) => "share-malformed",
            Self::ShareDamaged => "share-damaged",
            Self::ShareVersionUnknown(_) => "share-version-unknown",
            Self::ShareFileLocked => "share-file-locked",
            Self::ShareFileUnusable(_) => "share-file-unusable",
            Self::ShareFileReadable(_) => "share-file-readable",
            Self::PassphraseTooShort(_) => "passphrase-too-short",
            Self::ShareOfAnotherDuty(_) => "share-of-another-duty",
            Self::ShareOfAnotherSet => "share-of-another-set",
            Self::ShareRepeated(_) => "share-repeated",
            Self::SharesComplete => "shares-complete",
            Self::SharesTooFew { .. } => "shares-too-few",
            Self::SharesWrong => "shares-wrong",
        }
    }
}

/// Why a share was not made or read: the rules said no, or something broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Something broke.
    #[error(transparent)]
    Fault(#[from] DeviceFault),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_share_has_its_code_in_the_list_once() {
        let all = [
            Refusal::QuorumNotAllowed { need: 1, of: 1 },
            Refusal::ShareLineWrong(1),
            Refusal::ShareMalformed(""),
            Refusal::ShareDamaged,
            Refusal::ShareVersionUnknown(2),
            Refusal::ShareFileLocked,
            Refusal::ShareFileUnusable(String::new()),
            Refusal::ShareFileReadable(String::new()),
            Refusal::PassphraseTooShort(12),
            Refusal::ShareOfAnotherDuty(Duty::User),
            Refusal::ShareOfAnotherSet,
            Refusal::ShareRepeated(1),
            Refusal::SharesComplete,
            Refusal::SharesTooFew { have: 2, need: 3 },
            Refusal::SharesWrong,
        ];
        let codes: Vec<_> = all.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
    }
}
