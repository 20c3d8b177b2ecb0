//! Everything that this room refuses.

use hpki::refusal::Refuse;

/// Refusals of this room, or something broke.
pub type Failed = ledger::Failed<Refusal>;

/// Why an authority does not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The authority has no key or certificate yet: its ceremony was not held.
    #[error("the authority {0} does not exist yet")]
    AuthorityUnknown(&'static str),
    /// The authority's own certificate was revoked: it issues nothing.
    #[error("the authority {0} was revoked")]
    AuthorityRevoked(&'static str),
    /// The key ceremony of this estate was held.
    #[error("the key ceremony was already held")]
    CeremonyAlreadyHeld,
    /// The vault holds a CA key that the books do not know: the books are older than the vault.
    #[error("the vault holds a key {0} that the books do not know")]
    CeremonyKeyStray(&'static str),
    /// The certificate would begin before or end after its authority's.
    #[error("the validity does not lie within that of the authority")]
    ValidityOutsideAuthority,
    /// The key has a certificate, or is being certified, by another order.
    #[error("this key has a certificate already")]
    KeyAlreadyCertified,
    /// No such certificate was issued.
    #[error("no such certificate was issued")]
    CertificateUnknown,
    /// It was revoked before.
    #[error("the certificate is already revoked")]
    CertificateAlreadyRevoked,
    /// HPKI knows no suspension, and lists name a reason.
    #[error("a certificate is not revoked for the reason {0}")]
    RevocationReasonNotAllowed(&'static str),
    /// What is stored to be signed is not what the journal announced: the books were changed.
    #[error("the stored certificate or list is not the one announced in the journal")]
    IssuanceNotAnnounced,
    /// What the device gave back was wrong; nothing was issued, and the number is not used again.
    #[error("the issuance was interrupted: {0}")]
    IssuanceInterrupted(String),
    /// We issued no such client certificate to a facility.
    #[error("this client certificate was not issued to a facility by us")]
    FacilityUnknown,
    /// The facility's client certificate was revoked.
    #[error("the facility's client certificate was revoked")]
    FacilityCertificateRevoked,
    /// The facility's client certificate is not in force at this time.
    #[error("the facility's client certificate is expired or not yet valid")]
    FacilityCertificateExpired,
    /// The card's certificate was revoked.
    #[error("the card's certificate was revoked")]
    CardRevoked,
    /// The card's holder has no kept key for the card's qualification.
    #[error("the card's holder has no kept key for this qualification")]
    CardHolderWithoutKey,
    /// Not a whole PNG or JPEG picture of a sensible size.
    #[error("the photograph cannot be used: {0}")]
    PhotoMalformed(&'static str),
    /// The photograph is too large for a card.
    #[error("the photograph has {0} octets")]
    PhotoTooLarge(usize),
    /// No certificate of such a person or key was issued.
    #[error("nobody of this number has a certificate here")]
    SubscriberUnknown,
    /// A certificate, list or name breaks a rule of the profiles.
    #[error(transparent)]
    Hpki(hpki::Refusal),
    /// The vault refuses.
    #[error(transparent)]
    Vault(hsm::Refusal),
    /// The journal refuses.
    #[error(transparent)]
    Journal(ledger::Refusal),
}

/// Every code of this room; those of `hpki`, `hsm` and `ledger` pass through as they are.
pub const CODES: &[&str] = &[
    "authority-unknown",
    "authority-revoked",
    "ceremony-already-held",
    "ceremony-key-stray",
    "facility-unknown",
    "facility-certificate-revoked",
    "facility-certificate-expired",
    "validity-outside-authority",
    "key-already-certified",
    "certificate-unknown",
    "certificate-already-revoked",
    "revocation-reason-not-allowed",
    "issuance-not-announced",
    "issuance-interrupted",
    "card-revoked",
    "card-holder-without-key",
    "photo-malformed",
    "photo-too-large",
    "subscriber-unknown",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::AuthorityUnknown(_) => "authority-unknown",
            Self::AuthorityRevoked(_) => "authority-revoked",
            Self::CeremonyAlreadyHeld => "ceremony-already-held",
            Self::CeremonyKeyStray(_) => "ceremony-key-stray",
            Self::FacilityUnknown => "facility-unknown",
            Self::FacilityCertificateRevoked => "facility-certificate-revoked",
            Self::FacilityCertificateExpired => "facility-certificate-expired",
            Self::ValidityOutsideAuthority => "validity-outside-authority",
            Self::KeyAlreadyCertified => "key-already-certified",
            Self::CertificateUnknown => "certificate-unknown",
            Self::CertificateAlreadyRevoked => "certificate-already-revoked",
            Self::RevocationReasonNotAllowed(_) => "revocation-reason-not-allowed",
            Self::IssuanceNotAnnounced => "issuance-not-announced",
            Self::IssuanceInterrupted(_) => "issuance-interrupted",
            Self::CardRevoked => "card-revoked",
            Self::CardHolderWithoutKey => "card-holder-without-key",
            Self::PhotoMalformed(_) => "photo-malformed",
            Self::PhotoTooLarge(_) => "photo-too-large",
            Self::SubscriberUnknown => "subscriber-unknown",
            Self::Hpki(refusal) => refusal.code(),
            Self::Vault(refusal) => refusal.code(),
            Self::Journal(refusal) => refusal.code(),
        }
    }
}

impl From<hpki::Refusal> for Refusal {
    fn from(refusal: hpki::Refusal) -> Self {
        Self::Hpki(refusal)
    }
}

/// A rule of the profiles says no.
pub(crate) fn by_profile(refusal: hpki::Refusal) -> Failed {
    Failed::Refused(refusal.into())
}

pub(crate) fn by_vault(failed: hsm::Failed) -> Failed {
    match failed {
        hsm::Failed::Refused(refusal) => Failed::Refused(Refusal::Vault(refusal)),
        hsm::Failed::Fault(fault) => Failed::Fault(fault.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_listed_code() {
        let every = [
            Refusal::AuthorityUnknown(""),
            Refusal::AuthorityRevoked(""),
            Refusal::CeremonyAlreadyHeld,
            Refusal::CeremonyKeyStray(""),
            Refusal::FacilityUnknown,
            Refusal::FacilityCertificateRevoked,
            Refusal::FacilityCertificateExpired,
            Refusal::ValidityOutsideAuthority,
            Refusal::KeyAlreadyCertified,
            Refusal::CertificateUnknown,
            Refusal::CertificateAlreadyRevoked,
            Refusal::RevocationReasonNotAllowed(""),
            Refusal::IssuanceNotAnnounced,
            Refusal::IssuanceInterrupted(String::new()),
            Refusal::CardRevoked,
            Refusal::CardHolderWithoutKey,
            Refusal::PhotoMalformed(""),
            Refusal::PhotoTooLarge(0),
            Refusal::SubscriberUnknown,
        ];
        let codes: Vec<_> = every.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
    }
}
