//! The standing of a facility's client certificate, read on every request.
//!
//! One row by its number. Where other processes write to the same store nothing is remembered from one
//! request to the next, since one of them may have revoked meanwhile; where only this one does, it knows
//! when it revoked.

use hpki::certificate::Certificate;
use hpki::encoding::Digest32;
use hpki::id::FacilityCode;
use hpki::profile::facility_tls::GatewayName;
use hpki::time::Timestamp;

use crate::Ca;
use crate::authority::Authority;
use crate::refusal::{Failed, Refusal};

/// A facility whose client certificate is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facility {
    /// Its institution code.
    pub code: FacilityCode,
    /// Its name as registered: what phones show.
    pub name: String,
    /// SHA-256 of the certificate.
    pub x5t: Digest32,
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
    ) -> Result<Facility, Failed> {
        let unknown = || Failed::Refused(Refusal::FacilityUnknown);
        let name = GatewayName::of(certificate).ok_or_else(unknown)?;
        let x5t = certificate.sha256();
        if let Err(since) = self.in_force.look(&x5t) {
            self.facility_issued(certificate).await?;
            if !self.ledger.is_shared() {
                self.in_force.remember(x5t, since);
            }
        }
        if !certificate.is_valid_at(now) {
            return Err(Failed::Refused(Refusal::FacilityCertificateExpired));
        }
        Ok(Facility {
            code: name.facility,
            name: certificate.organization().unwrap_or_default().to_owned(),
            x5t,
        })
    }

    /// Whether the books have it as issued, and not revoked since.
    async fn facility_issued(&self, certificate: &Certificate) -> Result<(), Failed> {
        let (serial, der) = (certificate.serial().to_vec(), certificate.der().to_vec());
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
            Some("issued") => Ok(()),
            Some("revoked") => Err(Failed::Refused(Refusal::FacilityCertificateRevoked)),
            _ => Err(Failed::Refused(Refusal::FacilityUnknown)),
        }
    }
}
