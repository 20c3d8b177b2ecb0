//! What can happen that the journal tells of.

use std::fmt;
use std::str::FromStr;

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What happened. The names are part of every commitment and never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Event { $($(#[$doc])* $variant,)* }

        impl Event {
            /// Every event.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that stands in the journal.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

events! {
    /// A subscriber's key is about to sign.
    SignatureIntended = "signature.intended",
    /// It signed; the outcome names the hash of the signature.
    SignatureMade = "signature.made",
    /// It did not, or nobody knows: no signature of this intention was or will be handed out.
    SignatureInterrupted = "signature.interrupted",
    /// A CA key is about to sign a certificate.
    CertificateIntended = "certificate.intended",
    /// The certificate exists.
    CertificateIssued = "certificate.issued",
    /// The certificate was not made.
    CertificateInterrupted = "certificate.interrupted",
    /// A certificate was revoked.
    CertificateRevoked = "certificate.revoked",
    /// A CA key is about to sign a revocation list.
    CrlIntended = "crl.intended",
    /// The list exists.
    CrlIssued = "crl.issued",
    /// The list was not made.
    CrlInterrupted = "crl.interrupted",
    /// A subscriber's key was generated inside the device.
    KeyGenerated = "key.generated",
    /// A certificate was matched to the key.
    KeyCertified = "key.certified",
    /// The key is kept and can be activated.
    KeyHeld = "key.held",
    /// The key was suspended: it signs nothing.
    KeySuspended = "key.suspended",
    /// The suspension was lifted.
    KeyResumed = "key.resumed",
    /// The key was frozen because a self-check failed.
    KeyFrozen = "key.frozen",
    /// The key was destroyed.
    KeyDestroyed = "key.destroyed",
    /// A certification authority handed over a key that it had made; the evidence hash is that of
    /// the package.
    KeyImported = "key.imported",
    /// An officer was enrolled.
    OfficerEnrolled = "officer.enrolled",
    /// An officer's authority ended.
    OfficerDismissed = "officer.dismissed",
    /// A directive was opened; the evidence hash is that of what it orders.
    DirectiveOpened = "directive.opened",
    /// An officer confirmed a directive.
    DirectiveConfirmed = "directive.confirmed",
    /// A directive was carried out or withdrawn.
    DirectiveClosed = "directive.closed",
    /// Something unusual that a person should look at; the evidence hash is that of what it says.
    AlarmRaised = "alarm.raised",
    /// An initial-registration sheet was issued.
    SheetIssued = "sheet.issued",
    /// A phone was linked to a person and key.
    PhoneLinked = "phone.linked",
    /// The linking of a phone ended.
    PhoneUnlinked = "phone.unlinked",
    /// An approval opened a budget.
    BudgetOpened = "budget.opened",
    /// The owner approved exactly these documents.
    DocumentsApproved = "documents.approved",
    /// A budget ended before its time.
    BudgetEnded = "budget.ended",
    /// Officers were appointed: shares of an unseal secret were made; the evidence hash is that of
    /// the transcript, as in all that officers do.
    OfficersAppointed = "officers.appointed",
    /// Officers opened the key device.
    DeviceUnsealed = "device.unsealed",
    /// A backup was made.
    BackupMade = "backup.made",
    /// The platform was restored from a backup.
    BackupRestored = "backup.restored",
    /// The device's keys were replaced and every kept key wrapped anew.
    DeviceRotated = "device.rotated",
    /// The device's keys were moved to a second device.
    DeviceTransferred = "device.transferred",
    /// A key ceremony of a certification authority began.
    CeremonyBegun = "ceremony.begun",
    /// A CA key was generated in a ceremony.
    CeremonyKeyGenerated = "ceremony.key-generated",
    /// A key ceremony ended; the evidence hash is that of its transcript.
    CeremonyEnded = "ceremony.ended",
}

impl Event {
    /// Whether this announces an act that follows (and must be closed by an outcome).
    pub const fn is_intention(self) -> bool {
        matches!(self, Self::SignatureIntended | Self::CertificateIntended | Self::CrlIntended)
    }

    /// Whether this closes an intention.
    pub const fn is_outcome(self) -> bool {
        matches!(
            self,
            Self::SignatureMade
                | Self::SignatureInterrupted
                | Self::CertificateIssued
                | Self::CertificateInterrupted
                | Self::CrlIssued
                | Self::CrlInterrupted
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no event has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no event is called {0:?}")]
pub struct UnknownEvent(pub String);

impl FromStr for Event {
    type Err = UnknownEvent;
    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        Self::ALL
            .iter()
            .copied()
            .find(|event| event.name() == text)
            .ok_or_else(|| UnknownEvent(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_found_by_its_name_and_no_name_is_used_twice() {
        for event in Event::ALL {
            assert_eq!(event.name().parse(), Ok(*event));
            assert!(!(event.is_intention() && event.is_outcome()));
        }
    }
}
