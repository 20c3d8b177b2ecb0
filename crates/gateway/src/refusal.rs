//! What this room says no to.

use hpki::kind::DocumentKind;
use hpki::refusal::Refuse;

use crate::platform::Unreachable;
use crate::reader::CardRefusal;

/// Why the EHR does not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The staff list does not have this ID.
    #[error("no such staff ID")]
    StaffUnknown,
    /// The facility has not registered this terminal.
    #[error("no such terminal")]
    TerminalUnknown,
    /// This staff member does not sign this kind of document here.
    #[error("this staff member does not sign a {0} here")]
    KindNotTheirs(DocumentKind),
    /// There is no live token for this staff member.
    #[error("there is no live token for this staff member")]
    NoToken,
    /// There is a token, but it does not allow this kind of document.
    #[error("the token does not allow a {0}")]
    TokenKindMissing(DocumentKind),
    /// Another person than the one bound to this staff ID authenticated.
    #[error("another person than the one bound to this staff ID authenticated")]
    PersonNotOfStaff,
    /// This person is bound to another staff ID here.
    #[error("this person is bound to another staff ID")]
    PersonOfAnotherStaff,
    /// The ceremony is not one that this gateway began.
    #[error("no such authentication was begun here")]
    CeremonyUnknown,
    /// The record names another prescriber or pharmacist than the staff member.
    #[error("the record names another signer than this staff member")]
    PrescriberMismatch,
    /// The record or document is not what it has to be.
    #[error(transparent)]
    Document(prescription::Refusal),
    /// The prescription to be dispensed does not verify.
    #[error("the prescription does not verify: {0}")]
    PrescriptionInvalid(String),
    /// No answer came, and whoever asked will not wait longer. The order stays open.
    #[error(transparent)]
    PlatformUnreachable(Unreachable),
    /// The platform is there but broken or busy; the order stays open.
    #[error("the platform cannot answer now (status {0})")]
    PlatformBusy(u16),
    /// The platform refused.
    #[error("the platform refused: {code} ({detail})")]
    PlatformRefused {
        /// The platform's code.
        code: String,
        /// What it said.
        detail: String,
    },
    /// The answer is not in the agreed form.
    #[error("the platform's answer is not in the agreed form: {0}")]
    AnswerMalformed(String),
    /// The answer is to another order.
    #[error("the answer is to another order")]
    AnswerWrongOrder,
    /// The answer is of another kind of document.
    #[error("the answer is of another kind of document")]
    AnswerWrongKind,
    /// The signature is over another digest than the one that was sent.
    #[error("the signature is over another digest than the one that was sent")]
    AnswerWrongDigest,
    /// The signature is wrong in some other way.
    #[error("the signature in the answer is wrong: {0}")]
    AnswerSignatureWrong(String),
    /// The proof does not show this signature in the pinned journal.
    #[error("the journal proof does not show this signature: {0}")]
    ProofWrong(String),
    /// The journal is not the continuation of the one seen before.
    #[error("the journal is not the one seen before: {0}")]
    CheckpointForked(String),
    /// Too few of the counted witnesses have seen the journal that this gateway sees.
    #[error("not enough witnesses have seen this journal: {0}")]
    QuorumMissing(String),
    /// The platform's clock and the gateway's are too far apart.
    #[error("the clocks of platform and gateway differ by {0} s")]
    ClockOff(u64),
    /// The finished document does not pass the verifier.
    #[error("the finished document does not verify: {0}")]
    VerificationFailed(String),
    /// The verifier cannot tell (no current revocation list). The order stays open.
    #[error("the verifier cannot tell: {0}")]
    VerificationUndetermined(String),
    /// Too many documents, or none, for one approval.
    #[error("one approval is for 1 to 300 documents, not {0}")]
    ApprovalSize(usize),
    /// Too many records, or none, in one request.
    #[error("one request is for 1 to 300 records, not {0}")]
    BatchSize(usize),
    /// The EHR's number was used for something else.
    #[error("this number was used for other records")]
    OrderReused,
    /// The phone was asked to sign something else than was asked here. Nothing was signed for us.
    #[error("the statement on the phone differs: {0}")]
    StatementDiffers(&'static str),
    /// The owner refused on the phone.
    #[error("the owner refused on the phone")]
    ApprovalRefused,
    /// The owner did not approve in time.
    #[error("the owner did not approve in time")]
    ApprovalExpired,
    /// The evidence of the approval does not hold.
    #[error("the evidence of the approval does not hold: {0}")]
    EvidenceWrong(String),
    /// No order of this number.
    #[error("no such order")]
    OrderUnknown,
    /// The order was not finished in a day; the platform no longer answers it.
    #[error("the order is more than a day old")]
    OrderExpired,
    /// No cards are used at this facility, or not for this.
    #[error("cards are not configured for this here")]
    CardsNotConfigured,
    /// The card or its reader said no.
    #[error(transparent)]
    Card(CardRefusal),
    /// The card that is to approve documents is not one whose evidence would hold.
    #[error(transparent)]
    CardEvidence(approval::Refusal),
    /// The card's certificate is not one that a verifier accepts.
    #[error("the card's certificate: {0}")]
    CardCertificate(hpki::Refusal),
    /// The card's holder is not licensed to sign this kind of document.
    #[error("the holder of this card may not sign a {0}")]
    CardNotQualified(DocumentKind),
    /// The card is not the one that signs for this staff ID.
    #[error("this card does not sign for this staff ID")]
    CardOfAnother,
    /// The PIN has to be typed: none is kept, or its card was taken out.
    #[error("the PIN has to be typed")]
    CardPinNeeded,
    /// The document does not wait for a PIN (any more).
    #[error("this document does not wait for a PIN")]
    CardOrderOver,
    /// The signature was under way when this host or its caller ended; nobody got it.
    #[error("the signature with the card was interrupted")]
    CardInterrupted,
}

/// The platform's code for an order that it is still working on.
pub(crate) const ORDER_IN_PROGRESS: &str = "order-in-progress";

/// Every code of this room. Refusals of records and documents keep the codes of `prescription`,
/// those of a card's certificate the codes of `hpki` or
/// `approval`.
pub const CODES: &[&str] = &[
    "staff-unknown",
    "terminal-unknown",
    "kind-not-theirs",
    "no-token",
    "token-kind-missing",
    "person-not-of-staff",
    "person-of-another-staff",
    "gateway-ceremony-unknown",
    "prescriber-mismatch",
    "prescription-invalid",
    "platform-unreachable",
    "platform-busy",
    "platform-refused",
    "answer-malformed",
    "answer-wrong-order",
    "answer-wrong-kind",
    "answer-wrong-digest",
    "answer-signature-wrong",
    "answer-proof-wrong",
    "checkpoint-forked",
    "quorum-missing",
    "clock-off",
    "verification-failed",
    "verification-undetermined",
    "approval-size-wrong",
    "gateway-batch-size-wrong",
    "order-reused",
    "statement-differs",
    "approval-refused",
    "approval-expired",
    "answer-evidence-wrong",
    "order-unknown",
    "order-expired",
    "cards-not-configured",
    "card-not-qualified",
    "card-of-another",
    "card-pin-needed",
    "card-order-over",
    "card-signature-interrupted",
    "card-reader-unavailable",
    "card-missing",
    "card-several",
    "card-unrecognised",
    "card-unreadable",
    "card-removed",
    "card-changed",
    "card-in-use",
    "card-slow",
    "card-answer-unexpected",
    "card-pin-malformed",
    "card-pin-wrong",
    "card-pin-last-try",
    "card-pin-blocked",
    "card-signature-mismatch",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::StaffUnknown => "staff-unknown",
            Self::TerminalUnknown => "terminal-unknown",
            Self::KindNotTheirs(_) => "kind-not-theirs",
            Self::NoToken => "no-token",
            Self::TokenKindMissing(_) => "token-kind-missing",
            Self::PersonNotOfStaff => "person-not-of-staff",
            Self::PersonOfAnotherStaff => "person-of-another-staff",
            Self::CeremonyUnknown => "gateway-ceremony-unknown",
            Self::PrescriberMismatch => "prescriber-mismatch",
            Self::Document(refusal) => refusal.code(),
            Self::PrescriptionInvalid(_) => "prescription-invalid",
            Self::PlatformUnreachable(_) => "platform-unreachable",
            Self::PlatformBusy(_) => "platform-busy",
            Self::PlatformRefused { .. } => "platform-refused",
            Self::AnswerMalformed(_) => "answer-malformed",
            Self::AnswerWrongOrder => "answer-wrong-order",
            Self::AnswerWrongKind => "answer-wrong-kind",
            Self::AnswerWrongDigest => "answer-wrong-digest",
            Self::AnswerSignatureWrong(_) => "answer-signature-wrong",
            Self::ProofWrong(_) => "answer-proof-wrong",
            Self::CheckpointForked(_) => "checkpoint-forked",
            Self::QuorumMissing(_) => "quorum-missing",
            Self::ClockOff(_) => "clock-off",
            Self::VerificationFailed(_) => "verification-failed",
            Self::VerificationUndetermined(_) => "verification-undetermined",
            Self::ApprovalSize(_) => "approval-size-wrong",
            Self::BatchSize(_) => "gateway-batch-size-wrong",
            Self::OrderReused => "order-reused",
            Self::StatementDiffers(_) => "statement-differs",
            Self::ApprovalRefused => "approval-refused",
            Self::ApprovalExpired => "approval-expired",
            Self::EvidenceWrong(_) => "answer-evidence-wrong",
            Self::OrderUnknown => "order-unknown",
            Self::OrderExpired => "order-expired",
            Self::CardsNotConfigured => "cards-not-configured",
            Self::Card(refusal) => refusal.code(),
            Self::CardEvidence(refusal) => refusal.code(),
            Self::CardCertificate(refusal) => refusal.code(),
            Self::CardNotQualified(_) => "card-not-qualified",
            Self::CardOfAnother => "card-of-another",
            Self::CardPinNeeded => "card-pin-needed",
            Self::CardOrderOver => "card-order-over",
            Self::CardInterrupted => "card-signature-interrupted",
        }
    }
}

impl Refusal {
    /// The platform's own code, where it refused: its advice is what helps.
    pub fn platform_code(&self) -> Option<&str> {
        match self {
            Self::PlatformRefused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether a document that met this refusal at a card still waits for a PIN.
    pub(crate) fn leaves_card_order_waiting(&self) -> bool {
        match self {
            Self::Card(CardRefusal::SignatureWrong | CardRefusal::Changed) => false,
            Self::Card(_) => true,
            _ => false,
        }
    }

    /// Whether the order that met this refusal can still be answered, so that it stays open and is
    /// resumed under its number.
    pub fn leaves_order_open(&self) -> bool {
        match self {
            Self::NoToken
            | Self::TokenKindMissing(_)
            | Self::PlatformUnreachable(_)
            | Self::PlatformBusy(_)
            | Self::CheckpointForked(_)
            | Self::ClockOff(_)
            | Self::VerificationUndetermined(_) => true,
            Self::PlatformRefused { code, .. } => code == ORDER_IN_PROGRESS,
            _ => false,
        }
    }
}

impl From<prescription::Refusal> for Refusal {
    fn from(refusal: prescription::Refusal) -> Self {
        Self::Document(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{PinForm, Tries};

    #[test]
    fn every_refusal_of_this_room_has_its_code_in_the_list_once() {
        let text = String::new;
        let kind = DocumentKind::Prescription;
        let all = [
            Refusal::StaffUnknown,
            Refusal::TerminalUnknown,
            Refusal::KindNotTheirs(kind),
            Refusal::NoToken,
            Refusal::TokenKindMissing(kind),
            Refusal::PersonNotOfStaff,
            Refusal::PersonOfAnotherStaff,
            Refusal::CeremonyUnknown,
            Refusal::PrescriberMismatch,
            Refusal::PrescriptionInvalid(text()),
            Refusal::PlatformUnreachable(Unreachable(text())),
            Refusal::PlatformBusy(503),
            Refusal::PlatformRefused { code: text(), detail: text() },
            Refusal::AnswerMalformed(text()),
            Refusal::AnswerWrongOrder,
            Refusal::AnswerWrongKind,
            Refusal::AnswerWrongDigest,
            Refusal::AnswerSignatureWrong(text()),
            Refusal::ProofWrong(text()),
            Refusal::CheckpointForked(text()),
            Refusal::QuorumMissing(text()),
            Refusal::ClockOff(1),
            Refusal::VerificationFailed(text()),
            Refusal::VerificationUndetermined(text()),
            Refusal::ApprovalSize(0),
            Refusal::BatchSize(0),
            Refusal::OrderReused,
            Refusal::StatementDiffers(""),
            Refusal::ApprovalRefused,
            Refusal::ApprovalExpired,
            Refusal::EvidenceWrong(text()),
            Refusal::OrderUnknown,
            Refusal::OrderExpired,
            Refusal::CardsNotConfigured,
            Refusal::CardNotQualified(kind),
            Refusal::CardOfAnother,
            Refusal::CardPinNeeded,
            Refusal::CardOrderOver,
            Refusal::CardInterrupted,
            Refusal::Card(CardRefusal::ReaderUnavailable(text())),
            Refusal::Card(CardRefusal::Missing),
            Refusal::Card(CardRefusal::Several),
            Refusal::Card(CardRefusal::Unknown),
            Refusal::Card(CardRefusal::Malformed("")),
            Refusal::Card(CardRefusal::Removed),
            Refusal::Card(CardRefusal::Changed),
            Refusal::Card(CardRefusal::InUse),
            Refusal::Card(CardRefusal::Slow),
            Refusal::Card(CardRefusal::Answered(0x6f00)),
            Refusal::Card(CardRefusal::PinMalformed(PinForm::Digits(4))),
            Refusal::Card(CardRefusal::PinWrong(Tries::Untold)),
            Refusal::Card(CardRefusal::PinLastTry),
            Refusal::Card(CardRefusal::PinBlocked),
            Refusal::Card(CardRefusal::SignatureWrong),
        ];
        let codes: Vec<&str> = all.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
    }
}
