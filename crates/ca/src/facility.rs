//! The standing of a facility's client certificate, asked on every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpki::certificate::Certificate;
use hpki::encoding::Digest32;
use hpki::id::FacilityCode;
use hpki::profile::facility_tls::GatewayName;
use hpki::time::Timestamp;

use crate::Ca;
use crate::authority::Authority;
use crate::refusal::{Failed, Refusal};

/// More client certificates than this are not remembered at once.
const REMEMBERED: usize = 65_536;

/// A facility whose client certificate is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facility {
    /// Its institution code.
    pub code: FacilityCode,
    /// Its name as registered: what phones show.
    pub name: String,
    /// SHA-256 of the certificate.
    pub x5t: Digest32,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Certificates found in force. A revocation in this process empties it before it is answered, so
/// nobody acts over a certificate whose revocation was committed.
#[derive(Default)]
pub(crate) struct Standing(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// How many revocations there were.
    revocations: u64,
    known: HashMap<Digest32, Arc<Facility>>,
}

impl Standing {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, x5t: &Digest32) -> Option<Arc<Facility>> {
        self.lock().known.get(x5t).cloned()
    }

    /// To be asked before the store is read; [`Standing::put`] wants it back.
    fn revocations(&self) -> u64 {
        self.lock().revocations
    }

    /// Remembers what was read from the store, unless something was revoked since it was read: that
    /// would be remembered as in force for good.
    fn put(&self, facility: Arc<Facility>, revocations: u64) {
        let mut remembered = self.lock();
        if remembered.revocations != revocations {
            return;
        }
        if remembered.known.len() >= REMEMBERED {
            remembered.known.clear();
        }
        remembered.known.insert(facility.x5t, facility);
    }

    pub(crate) fn forget(&self) {
        let mut remembered = self.lock();
        remembered.revocations += 1;
        remembered.known.clear();
    }
}

impl Ca {
    /// The facility of this client certificate, if we issued it and it is in force now.
    ///
    /// # Errors
    /// `facility-unknown` for a certificate that we did not issue to a facility,
    /// `facility-certificate-revoked`, `facility-certificate-expired`.
    pub async fn facility_in_force(
        &self,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<Arc<Facility>, Failed> {
        let x5t = certificate.sha256();
        let facility = match self.standing.get(&x5t) {
            Some(known) => known,
            None => self.look_up(certificate).await?,
        };
        if now < facility.not_before || facility.not_after < now {
            return Err(Failed::Refused(Refusal::FacilityCertificateExpired));
        }
        Ok(facility)
    }

    async fn look_up(&self, certificate: &Certificate) -> Result<Arc<Facility>, Failed> {
        let unknown = || Failed::Refused(Refusal::FacilityUnknown);
        let name = GatewayName::of(certificate).ok_or_else(unknown)?;
        let (serial, der) = (certificate.serial().to_vec(), certificate.der().to_vec());
        let revocations = self.standing.revocations();
        let status = self
            .ledger
            .read(move |tx| {
                let row = tx.query_opt(
                    "SELECT status FROM ca_certificate
                     WHERE authority = $1 AND serial = $2 AND der = $3",
                    &[Authority::Facility.name().into(), (&serial).into(), (&der).into()],
                )?;
                Ok::<_, Failed>(row.map(|row| row.text(0).map(str::to_owned)).transpose()?)
            })
            .await?;
        match status.as_deref() {
            Some("issued") => {}
            Some("revoked") => return Err(Failed::Refused(Refusal::FacilityCertificateRevoked)),
            _ => return Err(unknown()),
        }
        let facility = Arc::new(Facility {
            code: name.facility,
            name: certificate.organization().unwrap_or_default().to_owned(),
            x5t: certificate.sha256(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        });
        self.standing.put(Arc::clone(&facility), revocations);
        Ok(facility)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_revocation_is_not_remembered_after_it() {
        let standing = Standing::default();
        let facility = Arc::new(Facility {
            code: "1310000001".parse().unwrap(),
            name: String::new(),
            x5t: [1; 32],
            not_before: Timestamp::from_seconds(0),
            not_after: Timestamp::from_seconds(1),
        });
        // Read as in force; revoked and told to be forgotten; only then remembered.
        let read = standing.revocations();
        standing.forget();
        standing.put(Arc::clone(&facility), read);
        assert_eq!(standing.get(&facility.x5t), None);
        standing.put(Arc::clone(&facility), standing.revocations());
        assert_eq!(standing.get(&facility.x5t), Some(facility));
    }
}
