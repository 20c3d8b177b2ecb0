//! How this room says no.

use hpki::refusal::Refuse;

/// The rules say no, and someone can act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A message of the authenticator does not have its form (Web Authentication Level 3).
    #[error("the authenticator's answer is malformed: {0}")]
    WebauthnMalformed(&'static str),
    /// Made for creating where getting was asked, or the reverse.
    #[error("the authenticator's answer is of the wrong type")]
    TypeWrong,
    /// Another challenge than the one that stands for the statement.
    #[error("another challenge was signed than the one that stands for the statement")]
    ChallengeMismatch,
    /// From a page that is not ours.
    #[error("the answer was made for another origin")]
    OriginWrong,
    /// For a relying party that is not us.
    #[error("the answer was made for another relying party")]
    RpIdWrong,
    /// From inside a frame of a foreign page.
    #[error("the answer was made inside a foreign page")]
    CrossOrigin,
    /// Nobody touched the authenticator.
    #[error("the person was not present")]
    UserNotPresent,
    /// The authenticator did not verify the person (biometric or screen lock).
    #[error("the person was not verified")]
    UserNotVerified,
    /// Backed up though not eligible, or the eligibility changed after registration.
    #[error("the backup flags contradict each other or the registration")]
    BackupFlagsWrong,
    /// The signature counter did not rise: possibly a cloned authenticator.
    #[error("the signature counter did not rise")]
    CounterNotRising,
    /// A key or signature algorithm that we do not accept.
    #[error("the algorithm {0} is not accepted")]
    AlgorithmUnsupported(i64),
    /// The credential's public key is malformed or too weak.
    #[error("the credential's public key is not acceptable: {0}")]
    CredentialKeyWrong(&'static str),
    /// The signature over the assertion is wrong.
    #[error("the assertion signature is wrong")]
    AssertionSignatureWrong,
    /// The attestation statement contradicts the credential.
    #[error("the attestation is wrong: {0}")]
    AttestationWrong(&'static str),
    /// Makers are listed, and the authenticator does not say who made it.
    #[error("the authenticator does not say who made it")]
    AttestationMissing,
    /// Made by nobody who is listed.
    #[error("the authenticator is not one of the listed makers'")]
    AuthenticatorNotListed,
    /// The authenticator named another user than the credential's.
    #[error("the credential belongs to another user handle")]
    UserHandleWrong,
    /// Another credential answered than the one asked for.
    #[error("another credential answered than the one asked for")]
    CredentialUnknown,
    /// Kept evidence contradicts itself.
    #[error("the evidence contradicts itself: {0}")]
    EvidenceWrong(&'static str),
    /// An evidence bundle does not have its form, or has a member too many.
    #[error("the evidence bundle is malformed: {0}")]
    BundleMalformed(String),
    /// An evidence bundle of another version or type.
    #[error("the evidence bundle is of an unknown version or type")]
    BundleVersionUnknown,
    /// The document is not among those that were approved.
    #[error("the document is not among those that were approved")]
    DocumentNotApproved,
    /// Another means than the one that is asked about.
    #[error("this was not approved by the means that is asked about")]
    MeansWrong,
    /// A card's certificate or signature does not have its form or size.
    #[error("the card's {0} is malformed")]
    CardMalformed(&'static str),
    /// Not an RSA key of 2048 to 4096 bits.
    #[error("the card's key is not RSA of 2048 to 4096 bits")]
    CardKeyWrong,
    /// The card did not sign this challenge.
    #[error("the card's signature over the challenge is wrong")]
    CardSignatureWrong,
    /// No authority that is believed issued the card's certificate.
    #[error("no trusted authority issued the card's certificate")]
    CardIssuerUnknown,
    /// The certificate is for something else than authentication (policy arm or key usage).
    #[error("the card's certificate is not for authentication")]
    CardNotForAuthentication,
    /// The card's certificate is not in force at this moment.
    #[error("the card's certificate has expired")]
    CardExpired,
    /// The card's certificate was revoked.
    #[error("the card's certificate was revoked")]
    CardRevoked,
    /// Nobody can tell now whether the card's certificate was revoked.
    #[error("whether the card's certificate was revoked cannot be told now")]
    CardStatusUnknown,
    /// The card's authority was asked, and does not know the certificate.
    #[error("the card's authority does not know its certificate")]
    CardUnknownToIssuer,
    /// The chain of the card's certificate breaks another rule.
    #[error("the card's certificate is not acceptable: {0}")]
    CardCertificateWrong(String),
    /// The certificate of an HPKI card names no qualification that we know.
    #[error("the card's certificate names no known qualification")]
    CardRoleUnknown,
    /// Another card than the one that was linked.
    #[error("this is another card than the one that was linked")]
    CardOther,
}

/// Every code of this room.
pub const CODES: &[&str] = &[
    "webauthn-malformed",
    "webauthn-type-wrong",
    "challenge-mismatch",
    "origin-wrong",
    "rp-id-wrong",
    "cross-origin",
    "user-not-present",
    "user-not-verified",
    "backup-flags-wrong",
    "counter-not-rising",
    "algorithm-unsupported",
    "credential-key-wrong",
    "assertion-signature-wrong",
    "attestation-wrong",
    "attestation-missing",
    "authenticator-not-listed",
    "user-handle-wrong",
    "credential-unknown",
    "evidence-wrong",
    "bundle-malformed",
    "bundle-version-unknown",
    "document-not-approved",
    "means-wrong",
    "card-malformed",
    "card-key-wrong",
    "card-signature-wrong",
    "card-issuer-unknown",
    "card-not-for-authentication",
    "card-expired",
    "card-revoked",
    "card-status-unknown",
    "card-unknown-to-issuer",
    "card-certificate-wrong",
    "card-role-unknown",
    "card-other",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::WebauthnMalformed(_) => "webauthn-malformed",
            Self::TypeWrong => "webauthn-type-wrong",
            Self::ChallengeMismatch => "challenge-mismatch",
            Self::OriginWrong => "origin-wrong",
            Self::RpIdWrong => "rp-id-wrong",
            Self::CrossOrigin => "cross-origin",
            Self::UserNotPresent => "user-not-present",
            Self::UserNotVerified => "user-not-verified",
            Self::BackupFlagsWrong => "backup-flags-wrong",
            Self::CounterNotRising => "counter-not-rising",
            Self::AlgorithmUnsupported(_) => "algorithm-unsupported",
            Self::CredentialKeyWrong(_) => "credential-key-wrong",
            Self::AssertionSignatureWrong => "assertion-signature-wrong",
            Self::AttestationWrong(_) => "attestation-wrong",
            Self::AttestationMissing => "attestation-missing",
            Self::AuthenticatorNotListed => "authenticator-not-listed",
            Self::UserHandleWrong => "user-handle-wrong",
            Self::CredentialUnknown => "credential-unknown",
            Self::EvidenceWrong(_) => "evidence-wrong",
            Self::BundleMalformed(_) => "bundle-malformed",
            Self::BundleVersionUnknown => "bundle-version-unknown",
            Self::DocumentNotApproved => "document-not-approved",
            Self::MeansWrong => "means-wrong",
            Self::CardMalformed(_) => "card-malformed",
            Self::CardKeyWrong => "card-key-wrong",
            Self::CardSignatureWrong => "card-signature-wrong",
            Self::CardIssuerUnknown => "card-issuer-unknown",
            Self::CardNotForAuthentication => "card-not-for-authentication",
            Self::CardExpired => "card-expired",
            Self::CardRevoked => "card-revoked",
            Self::CardStatusUnknown => "card-status-unknown",
            Self::CardUnknownToIssuer => "card-unknown-to-issuer",
            Self::CardCertificateWrong(_) => "card-certificate-wrong",
            Self::CardRoleUnknown => "card-role-unknown",
            Self::CardOther => "card-other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_code_in_the_list_once() {
        let all = [
            Refusal::WebauthnMalformed(""),
            Refusal::TypeWrong,
            Refusal::ChallengeMismatch,
            Refusal::OriginWrong,
            Refusal::RpIdWrong,
            Refusal::CrossOrigin,
            Refusal::UserNotPresent,
            Refusal::UserNotVerified,
            Refusal::BackupFlagsWrong,
            Refusal::CounterNotRising,
            Refusal::AlgorithmUnsupported(0),
            Refusal::CredentialKeyWrong(""),
            Refusal::AssertionSignatureWrong,
            Refusal::AttestationWrong(""),
            Refusal::AttestationMissing,
            Refusal::AuthenticatorNotListed,
            Refusal::UserHandleWrong,
            Refusal::CredentialUnknown,
            Refusal::EvidenceWrong(""),
            Refusal::BundleMalformed(String::new()),
            Refusal::BundleVersionUnknown,
            Refusal::DocumentNotApproved,
            Refusal::MeansWrong,
            Refusal::CardMalformed(""),
            Refusal::CardKeyWrong,
            Refusal::CardSignatureWrong,
            Refusal::CardIssuerUnknown,
            Refusal::CardNotForAuthentication,
            Refusal::CardExpired,
            Refusal::CardRevoked,
            Refusal::CardStatusUnknown,
            Refusal::CardUnknownToIssuer,
            Refusal::CardCertificateWrong(String::new()),
            Refusal::CardRoleUnknown,
            Refusal::CardOther,
        ];
        let codes: Vec<_> = all.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
    }
}
