//! How the town says no: the phone to its page, the prescription management service to hospitals
//! and pharmacies.

use hpki::refusal::Refuse;

/// What the town refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The page handed the phone options that are not WebAuthn creation or request options.
    #[error("the phone cannot read these options: {0}")]
    PhoneOptionsUnreadable(String),
    /// What was scanned is no QR code of this platform.
    #[error("this QR code is not one of the platform's")]
    PhoneQrUnreadable,
    /// The owner of the phone said no, or did not prove herself to it.
    #[error("the owner of the phone refused")]
    PhoneOwnerRefused,
    /// The phone holds no credential for this site, or none of those asked for.
    #[error("this phone has not been linked")]
    PhoneNotLinked,
    /// The page's origin may not ask for credentials of this relying party.
    #[error("this page may not use the credential: {0}")]
    PhoneWrongSite(String),
    /// The challenge is not the digest of the statement that was shown to the owner.
    #[error("what would be signed is not what was shown")]
    PhoneStatementDiffers,
    /// The phone itself failed.
    #[error("the phone failed: {0}")]
    PhoneFailed(String),

    /// A card could not be made, or its file is damaged.
    #[error("the card failed: {0}")]
    CardFailed(String),

    /// The regional network does not believe what came back from a login.
    #[error("this answer is not one to a login of this browser: {0}")]
    NetworkAnswerStrange(&'static str),
    /// The provider refused the login that the regional network asked for.
    #[error("the provider answered {0}")]
    NetworkLoginRefused(String),

    /// A trust anchor that is not a test root was handed to the sandbox.
    #[error("the sandbox works with test roots only, and {0} does not say TEST")]
    ServiceAnchorNotTest(String),
    /// The document is not of the kind that this desk takes.
    #[error("this desk takes another kind of document")]
    ServiceWrongKind,
    /// A signature is not valid; `code` is the verifier's own.
    #[error("the signature is not valid ({code}): {message}")]
    ServiceSignatureInvalid {
        /// The verifier's code.
        code: String,
        /// The verifier's words.
        message: String,
    },
    /// The verifier could not tell, e.g. because a revocation list is missing or stale.
    #[error("the signature cannot be judged now ({code}): {message}")]
    ServiceSignatureUndetermined {
        /// The verifier's code.
        code: String,
        /// The verifier's words.
        message: String,
    },
    /// The document carries a prescription ID before the service gave one.
    #[error("this prescription already carries a prescription ID")]
    ServiceAlreadyNumbered,
    /// The document or its record could not be read.
    #[error("the document cannot be read ({code}): {message}")]
    ServiceDocumentUnreadable {
        /// The code of the room that read it.
        code: String,
        /// Its words.
        message: String,
    },
    /// The prescription's last day has passed.
    #[error("the prescription could be used until {0}")]
    ServicePrescriptionExpired(String),
    /// The sandbox holds as many prescriptions as it can.
    #[error("the sandbox holds no more prescriptions")]
    ServiceFull,
    /// The text is not an exchange number.
    #[error("an exchange number has six digits")]
    ExchangeNumberMalformed,
    /// No prescription waits under this exchange number.
    #[error("no prescription waits under this exchange number")]
    ExchangeNumberUnknown,
    /// No prescription has this ID.
    #[error("no prescription has this ID")]
    PrescriptionUnknown,
    /// A dispensing result for this prescription was accepted before.
    #[error("this prescription has been dispensed already")]
    PrescriptionAlreadyDispensed,
    /// The prescription inside the dispensing result is not, byte for byte, the registered one.
    #[error("the prescription inside differs from the registered one")]
    PrescriptionDiffers,
    /// The dispensing record (record 7) names another prescription than the document holds.
    #[error("the dispensing record names another prescription")]
    DispensingNamesAnother,
}

/// Every code of this room.
pub const CODES: &[&str] = &[
    "phone-options-unreadable",
    "phone-qr-unreadable",
    "phone-owner-refused",
    "phone-not-linked",
    "phone-wrong-site",
    "phone-statement-differs",
    "phone-failed",
    "card-failed",
    "network-answer-strange",
    "network-login-refused",
    "service-anchor-not-test",
    "service-wrong-kind",
    "service-signature-invalid",
    "service-signature-undetermined",
    "service-already-numbered",
    "service-document-unreadable",
    "service-prescription-expired",
    "service-full",
    "exchange-number-malformed",
    "exchange-number-unknown",
    "prescription-unknown",
    "prescription-already-dispensed",
    "prescription-differs",
    "dispensing-names-another",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::PhoneOptionsUnreadable(_) => "phone-options-unreadable",
            Self::PhoneQrUnreadable => "phone-qr-unreadable",
            Self::PhoneOwnerRefused => "phone-owner-refused",
            Self::PhoneNotLinked => "phone-not-linked",
            Self::PhoneWrongSite(_) => "phone-wrong-site",
            Self::PhoneStatementDiffers => "phone-statement-differs",
            Self::PhoneFailed(_) => "phone-failed",
            Self::CardFailed(_) => "card-failed",
            Self::NetworkAnswerStrange(_) => "network-answer-strange",
            Self::NetworkLoginRefused(_) => "network-login-refused",
            Self::ServiceAnchorNotTest(_) => "service-anchor-not-test",
            Self::ServiceWrongKind => "service-wrong-kind",
            Self::ServiceSignatureInvalid { .. } => "service-signature-invalid",
            Self::ServiceSignatureUndetermined { .. } => "service-signature-undetermined",
            Self::ServiceAlreadyNumbered => "service-already-numbered",
            Self::ServiceDocumentUnreadable { .. } => "service-document-unreadable",
            Self::ServicePrescriptionExpired(_) => "service-prescription-expired",
            Self::ServiceFull => "service-full",
            Self::ExchangeNumberMalformed => "exchange-number-malformed",
            Self::ExchangeNumberUnknown => "exchange-number-unknown",
            Self::PrescriptionUnknown => "prescription-unknown",
            Self::PrescriptionAlreadyDispensed => "prescription-already-dispensed",
            Self::PrescriptionDiffers => "prescription-differs",
            Self::DispensingNamesAnother => "dispensing-names-another",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> Vec<Refusal> {
        let words = || String::from("x");
        vec![
            Refusal::PhoneOptionsUnreadable(words()),
            Refusal::PhoneQrUnreadable,
            Refusal::PhoneOwnerRefused,
            Refusal::PhoneNotLinked,
            Refusal::PhoneWrongSite(words()),
            Refusal::PhoneStatementDiffers,
            Refusal::PhoneFailed(words()),
            Refusal::CardFailed(words()),
            Refusal::NetworkAnswerStrange(""),
            Refusal::NetworkLoginRefused(words()),
            Refusal::ServiceAnchorNotTest(words()),
            Refusal::ServiceWrongKind,
            Refusal::ServiceSignatureInvalid { code: words(), message: words() },
            Refusal::ServiceSignatureUndetermined { code: words(), message: words() },
            Refusal::ServiceAlreadyNumbered,
            Refusal::ServiceDocumentUnreadable { code: words(), message: words() },
            Refusal::ServicePrescriptionExpired(words()),
            Refusal::ServiceFull,
            Refusal::ExchangeNumberMalformed,
            Refusal::ExchangeNumberUnknown,
            Refusal::PrescriptionUnknown,
            Refusal::PrescriptionAlreadyDispensed,
            Refusal::PrescriptionDiffers,
            Refusal::DispensingNamesAnother,
        ]
    }

    #[test]
    fn every_refusal_has_its_own_listed_code() {
        let mut codes: Vec<_> = every().iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
    }
}
