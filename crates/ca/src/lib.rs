//! 認証局: the authorities of the estate: their ceremony, their certificates, their lists.
//!
//! This room decides what a CA key signs. Every signature goes the same way: what is to be signed
//! is prepared, linted and stored in the same commit that puts the intention into the journal; only
//! then the key signs; what comes back is held against what was stored; then certificate and
//! outcome are committed together. Dying anywhere leaves either nothing or a stored intention that
//! [`Ca::recover`] resumes over the very same octets.
//!
//! It never sees a subscriber's kept key (only its public half), and it refuses to know tokens,
//! phones and prescriptions. A revocation commits a message for the other rooms with it.
//!
//! Start reading at [`Ca::issue_signing`], then `making` (the one way to a CA key).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod authority;
mod card;
mod ceremony;
mod config;
mod face;
mod facility;
mod in_force;
mod lists;
mod making;
mod order;
mod photo;
mod recover;
mod refusal;
mod revoke;
mod subscriber;
mod tables;

use std::sync::Arc;

use hpki::certificate::Certificate;
use hpki::id::KeyId;
use hpki::sign::Random;
use hsm::CaDesk;
use ledger::Ledger;

use in_force::InForce;

pub use authority::{Authority, SigningAuthority};
pub use card::{CardApplication, CardHolder, CardOrder};
pub use ceremony::{CeremonyPlan, Transcript};
pub use config::{CaConfig, SigningNames};
pub use face::Face;
pub use facility::Facility;
pub use order::{FacilityOrder, ServerOrder, SigningOrder};
pub use photo::{PHOTO_MOST, Photo, PhotoFormat};
pub use recover::Recovered;
pub use refusal::{CODES, Failed, Refusal};
pub use revoke::{REVOCATION_TOPIC, Revocation};
pub use subscriber::{Organization, Subscriber};
pub use tables::MIGRATIONS;

/// The authorities of one estate.
pub struct Ca {
    ledger: Ledger,
    desk: CaDesk,
    random: Arc<dyn Random>,
    config: Arc<CaConfig>,
    in_force: Arc<InForce>,
}

impl Ca {
    /// The authorities whose keys stand behind this desk and whose books are in this ledger.
    pub fn new(ledger: Ledger, desk: CaDesk, random: Arc<dyn Random>, config: CaConfig) -> Self {
        Self { ledger, desk, random, config: Arc::new(config), in_force: Arc::default() }
    }

    /// The certificate of an authority. Refused (`authority-unknown`) before its ceremony.
    pub async fn authority(&self, authority: Authority) -> Result<Certificate, Failed> {
        let row = self.ledger.read(move |tx| tables::authority(tx, authority)).await?;
        row.certificate.ok_or(Failed::Refused(Refusal::AuthorityUnknown(authority.name())))
    }

    /// Every authority that has its certificate.
    pub async fn authorities(&self) -> Result<Vec<(Authority, Certificate)>, Failed> {
        self.ledger
            .read(|tx| {
                let mut found = Vec::new();
                for authority in Authority::ALL {
                    if let Some(row) = tables::find_authority(tx, authority)? {
                        found.extend(row.certificate.map(|made| (authority, made)));
                    }
                }
                Ok(found)
            })
            .await
    }

    /// One certificate by its authority and serial number (big endian, no sign octet).
    pub async fn certificate(
        &self,
        authority: Authority,
        serial: &[u8],
    ) -> Result<Certificate, Failed> {
        let serial = serial.to_vec();
        self.ledger
            .read(move |tx| {
                tables::made_certificate(tx, authority, &serial)?
                    .ok_or(Failed::Refused(Refusal::CertificateUnknown))
            })
            .await
    }

    /// The certificate of a kept key, revoked or not.
    pub async fn certificate_of_key(
        &self,
        key: KeyId,
    ) -> Result<Option<(SigningAuthority, Certificate)>, Failed> {
        self.ledger.read(move |tx| tables::certificate_of_key(tx, &key)).await
    }
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ca")
    }
}
