//! How every room says no, and how this one does.
//!
//! A *refusal* means that the rules say no and someone can act: it has a stable code, which the
//! refusal table of `wire` pairs with advice in Japanese and English. A *fault* means that we or a
//! device broke: outside it is only a reference number.

use const_oid::ObjectIdentifier;

use crate::crl::Reason;
use crate::time::Timestamp;

/// A refusal that can be shown: its code never changes once published.
pub trait Refuse: std::error::Error {
    /// The stable code, lower-case words joined by hyphens, e.g. `budget-exhausted`.
    fn code(&self) -> &'static str;
}

/// Why a certificate, a revocation list or a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a certificate in DER of RFC 5280, version 3.
    #[error("the certificate is malformed: {0}")]
    CertificateMalformed(&'static str),
    /// The moment asked about is after notAfter.
    #[error("the certificate of {subject} expired at {}", not_after.rfc3339())]
    CertificateExpired {
        /// Whose certificate.
        subject: String,
        /// Its end.
        not_after: Timestamp,
    },
    /// The moment asked about is before notBefore.
    #[error("the certificate of {subject} is not valid before {}", not_before.rfc3339())]
    CertificateNotYetValid {
        /// Whose certificate.
        subject: String,
        /// Its beginning.
        not_before: Timestamp,
    },
    /// The issuer's revocation list names the certificate.
    #[error("the certificate of {subject} was revoked at {} ({reason})", at.rfc3339())]
    CertificateRevoked {
        /// Whose certificate.
        subject: String,
        /// The date in the list.
        at: Timestamp,
        /// The reason in the list.
        reason: Reason,
    },
    /// No certificate given, and no anchor, has the issuer's name.
    #[error("no trusted issuer is known for {0}")]
    IssuerUnknown(String),
    /// An anchor has the issuer's name but is another authority: other key or other serial number.
    #[error("the pinned anchor has the name of the issuer of {0} but is not that issuer")]
    AnchorMismatch(String),
    /// The signature on a certificate does not verify under its issuer's key.
    #[error("the signature on the certificate of {0} is wrong")]
    CertificateSignatureWrong(String),
    /// No accepted certificate policy is asserted along the whole path.
    #[error("the path carries none of the accepted certificate policies")]
    PolicyNotAllowed,
    /// The key usage does not allow what the certificate was used for.
    #[error("the key usage in the certificate of {0} does not allow this")]
    KeyUsageWrong(String),
    /// More certificates than allowed by a path length constraint or by our bound.
    #[error("the certification path is too long")]
    PathTooLong,
    /// An issuer is not a certification authority.
    #[error("{0} is not a certification authority")]
    NotACa(String),
    /// A critical extension that we do not process.
    #[error("unknown critical extension {0}")]
    CriticalExtensionUnknown(ObjectIdentifier),
    /// Name constraints are not processed, so a path with them is refused.
    #[error("name constraints are not supported")]
    NameConstraintsUnsupported,
    /// Policy mappings are not processed, so a path with them is refused.
    #[error("policy mappings are not supported")]
    PolicyMappingUnsupported,
    /// policyConstraints and inhibitAnyPolicy are not processed, so a path with them is refused.
    #[error("policy constraints are not supported")]
    PolicyConstraintsUnsupported,
    /// An algorithm or key size outside the dated table of [`crate::policy`].
    #[error("algorithm not allowed: {0}")]
    AlgorithmNotAllowed(String),
    /// No revocation list covers a certificate of the path. Undetermined.
    #[error("no revocation list covers the certificate of {0}")]
    CrlMissing(String),
    /// The revocation list is not in force at the moment asked about. Undetermined.
    #[error(
        "the revocation list of {issuer} is not in force (issued {}, next {})",
        this_update.rfc3339(),
        next_update.map_or_else(|| "never".to_owned(), Timestamp::rfc3339)
    )]
    CrlStale {
        /// Whose list.
        issuer: String,
        /// Issued.
        this_update: Timestamp,
        /// The latest time of the next one, if it says so.
        next_update: Option<Timestamp>,
    },
    /// The revocation list carries a critical extension that we do not process, so it answers
    /// nothing. Undetermined.
    #[error("the revocation list of {0} has an unknown critical extension")]
    CrlExtensionUnknown(String),
    /// The signature on the revocation list is wrong.
    #[error("the signature on the revocation list of {0} is wrong")]
    CrlSignatureWrong(String),
    /// Not a revocation list in DER of RFC 5280, version 2.
    #[error("the revocation list is malformed: {0}")]
    CrlMalformed(&'static str),
    /// Not an answer about a certificate as RFC 6960 has it.
    #[error("the answer about the certificate is malformed: {0}")]
    OcspMalformed(&'static str),
    /// The responder gave no answer (RFC 6960 §4.2.1). Undetermined.
    #[error("the responder gave no answer ({0})")]
    OcspRefused(u8),
    /// The answer is about another certificate. Undetermined.
    #[error("the answer is about another certificate")]
    OcspOther,
    /// The answer is to another question, or to none in particular. Undetermined.
    #[error("the answer does not carry the nonce of the question")]
    OcspNonceWrong,
    /// The answer is not of this time. Undetermined.
    #[error(
        "the answer about the certificate is not of this time (true at {}, next {})",
        this_update.rfc3339(),
        next_update.map_or_else(|| "at any time".to_owned(), Timestamp::rfc3339)
    )]
    OcspStale {
        /// When it was true.
        this_update: Timestamp,
        /// When there is newer word, if it says so.
        next_update: Option<Timestamp>,
    },
    /// Somebody answered who may not answer for this authority.
    #[error("who answered may not answer for this authority: {0}")]
    OcspResponderWrong(&'static str),
    /// The signature on the answer is wrong.
    #[error("the signature on the answer about the certificate is wrong")]
    OcspSignatureWrong,
    /// The authority was asked, and does not know the certificate.
    #[error("the authority does not know the certificate of {0}")]
    OcspCertificateUnknown(String),
    /// A name that cannot be encoded in a certificate.
    #[error("the name cannot stand in a certificate: {0}")]
    NameMalformed(&'static str),
    /// The English role string is not known, or the profile cannot carry the role.
    #[error("this qualification cannot be certified: {0}")]
    QualificationNotCertifiable(&'static str),
    /// What was prepared or made is not what its profile prescribes.
    #[error("the certificate or list is not as its profile prescribes: {0}")]
    NotAsProfiled(&'static str),
}

/// Every refusal code of this room.
pub const CODES: &[&str] = &[
    "certificate-malformed",
    "certificate-expired",
    "certificate-not-yet-valid",
    "certificate-revoked",
    "issuer-unknown",
    "anchor-mismatch",
    "certificate-signature-wrong",
    "policy-not-allowed",
    "key-usage-wrong",
    "path-too-long",
    "not-a-ca",
    "critical-extension-unknown",
    "name-constraints-unsupported",
    "policy-mapping-unsupported",
    "policy-constraints-unsupported",
    "algorithm-not-allowed",
    "crl-missing",
    "crl-stale",
    "crl-extension-unknown",
    "crl-signature-wrong",
    "crl-malformed",
    "ocsp-malformed",
    "ocsp-refused",
    "ocsp-other",
    "ocsp-nonce-wrong",
    "ocsp-stale",
    "ocsp-responder-wrong",
    "ocsp-signature-wrong",
    "ocsp-certificate-unknown",
    "name-malformed",
    "qualification-not-certifiable",
    "not-as-profiled",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::CertificateMalformed(_) => "certificate-malformed",
            Self::CertificateExpired { .. } => "certificate-expired",
            Self::CertificateNotYetValid { .. } => "certificate-not-yet-valid",
            Self::CertificateRevoked { .. } => "certificate-revoked",
            Self::IssuerUnknown(_) => "issuer-unknown",
            Self::AnchorMismatch(_) => "anchor-mismatch",
            Self::CertificateSignatureWrong(_) => "certificate-signature-wrong",
            Self::PolicyNotAllowed => "policy-not-allowed",
            Self::KeyUsageWrong(_) => "key-usage-wrong",
            Self::PathTooLong => "path-too-long",
            Self::NotACa(_) => "not-a-ca",
            Self::CriticalExtensionUnknown(_) => "critical-extension-unknown",
            Self::NameConstraintsUnsupported => "name-constraints-unsupported",
            Self::PolicyMappingUnsupported => "policy-mapping-unsupported",
            Self::PolicyConstraintsUnsupported => "policy-constraints-unsupported",
            Self::AlgorithmNotAllowed(_) => "algorithm-not-allowed",
            Self::CrlMissing(_) => "crl-missing",
            Self::CrlStale { .. } => "crl-stale",
            Self::CrlExtensionUnknown(_) => "crl-extension-unknown",
            Self::CrlSignatureWrong(_) => "crl-signature-wrong",
            Self::CrlMalformed(_) => "crl-malformed",
            Self::OcspMalformed(_) => "ocsp-malformed",
            Self::OcspRefused(_) => "ocsp-refused",
            Self::OcspOther => "ocsp-other",
            Self::OcspNonceWrong => "ocsp-nonce-wrong",
            Self::OcspStale { .. } => "ocsp-stale",
            Self::OcspResponderWrong(_) => "ocsp-responder-wrong",
            Self::OcspSignatureWrong => "ocsp-signature-wrong",
            Self::OcspCertificateUnknown(_) => "ocsp-certificate-unknown",
            Self::NameMalformed(_) => "name-malformed",
            Self::QualificationNotCertifiable(_) => "qualification-not-certifiable",
            Self::NotAsProfiled(_) => "not-as-profiled",
        }
    }
}

impl Refusal {
    /// Whether the evidence was not enough to answer, rather than the answer being no.
    pub fn is_undetermined(&self) -> bool {
        matches!(
            self,
            Self::CrlMissing(_)
                | Self::CrlStale { .. }
                | Self::CrlExtensionUnknown(_)
                | Self::OcspRefused(_)
                | Self::OcspOther
                | Self::OcspNonceWrong
                | Self::OcspStale { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_listed_code() {
        let (subject, at) = (String::new(), Timestamp::from_seconds(0));
        let every = [
            Refusal::CertificateMalformed(""),
            Refusal::CertificateExpired { subject: subject.clone(), not_after: at },
            Refusal::CertificateNotYetValid { subject: subject.clone(), not_before: at },
            Refusal::CertificateRevoked {
                subject: subject.clone(),
                at,
                reason: Reason::Unspecified,
            },
            Refusal::IssuerUnknown(subject.clone()),
            Refusal::AnchorMismatch(subject.clone()),
            Refusal::CertificateSignatureWrong(subject.clone()),
            Refusal::PolicyNotAllowed,
            Refusal::KeyUsageWrong(subject.clone()),
            Refusal::PathTooLong,
            Refusal::NotACa(subject.clone()),
            Refusal::CriticalExtensionUnknown(crate::oid::ANY_POLICY),
            Refusal::NameConstraintsUnsupported,
            Refusal::PolicyMappingUnsupported,
            Refusal::PolicyConstraintsUnsupported,
            Refusal::AlgorithmNotAllowed(subject.clone()),
            Refusal::CrlMissing(subject.clone()),
            Refusal::CrlStale { issuer: subject.clone(), this_update: at, next_update: None },
            Refusal::CrlExtensionUnknown(subject.clone()),
            Refusal::CrlSignatureWrong(subject.clone()),
            Refusal::CrlMalformed(""),
            Refusal::OcspMalformed(""),
            Refusal::OcspRefused(3),
            Refusal::OcspOther,
            Refusal::OcspNonceWrong,
            Refusal::OcspStale { this_update: at, next_update: None },
            Refusal::OcspResponderWrong(""),
            Refusal::OcspSignatureWrong,
            Refusal::OcspCertificateUnknown(subject),
            Refusal::NameMalformed(""),
            Refusal::QualificationNotCertifiable(""),
            Refusal::NotAsProfiled(""),
        ];
        let codes: Vec<_> = every.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
    }
}
