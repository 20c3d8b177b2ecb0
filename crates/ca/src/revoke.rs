//! Revoking a certificate, and telling the other rooms in the same commit.

use hpki::crl::Reason;
use hpki::encoding::sha256;
use hpki::id::{KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Event, Note, Record};
use serde::{Deserialize, Serialize};

use crate::Ca;
use crate::authority::Authority;
use crate::card::kept_key;
use crate::refusal::{Failed, Refusal};
use crate::tables;

/// The topic of the outbox message that a revocation commits.
pub const REVOCATION_TOPIC: &str = "revocation";

/// What a revocation tells the other rooms: the payload of its outbox message, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// Name of the authority.
    pub authority: String,
    /// Serial number of the certificate in hexadecimal.
    pub serial: String,
    /// The kept key that the certificate is for; absent for authorities, cards and TLS.
    pub key: Option<KeyId>,
    /// The kept key for which a card authenticated with the certificate: whatever it allowed ends.
    pub card_for: Option<KeyId>,
    /// Whose key or card.
    pub person: Option<PersonId>,
    /// Name of the reason (RFC 5280 §5.3.1).
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

impl Revocation {
    /// Reads the payload of an outbox message of [`REVOCATION_TOPIC`].
    pub fn from_payload(payload: &str) -> Option<Self> {
        serde_json::from_str(payload).ok()
    }
}

/// HPKI knows no suspension of certificates, and an unexplained revocation helps nobody.
fn may_be_given(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::KeyCompromise
            | Reason::CaCompromise
            | Reason::AffiliationChanged
            | Reason::Superseded
            | Reason::CessationOfOperation
            | Reason::PrivilegeWithdrawn
    )
}

impl Ca {
    /// Revokes a certificate from this moment. The list follows by [`Ca::issue_crls_of`]; because a
    /// key service cannot wait for a list, a message that concerns the key commits with the
    /// revocation, and until it is delivered the key signs nothing.
    ///
    /// # Errors
    /// `certificate-unknown`, `certificate-already-revoked`, `revocation-reason-not-allowed`.
    pub async fn revoke(
        &self,
        authority: Authority,
        serial: &[u8],
        reason: Reason,
        now: Timestamp,
    ) -> Result<Revocation, Failed> {
        if !may_be_given(reason) {
            return Err(Failed::Refused(Refusal::RevocationReasonNotAllowed(reason.name())));
        }
        let serial = serial.to_vec();
        // The commit goes on even if the caller stops waiting: this lives as long as its unit of work.
        let revoking = self.in_force.revoking();
        let (revocation, _) = self
            .ledger
            .record(move |tx| {
                let _ = &revoking;
                let row = tx
                    .query_opt(
                        "SELECT status, der, key, person, makes FROM ca_certificate
                         WHERE authority = $1 AND serial = $2 AND der IS NOT NULL",
                        &[authority.name().into(), (&serial).into()],
                    )?
                    .ok_or(Failed::Refused(Refusal::CertificateUnknown))?;
                let changed = tx.exec(
                    "UPDATE ca_certificate SET status = 'revoked', revoked_at = $3, reason = $4
                     WHERE authority = $1 AND serial = $2 AND status = 'issued'",
                    &[
                        authority.name().into(),
                        (&serial).into(),
                        now.into(),
                        u32::from(reason.number()).into(),
                    ],
                )?;
                if changed != 1 {
                    return Err(Failed::Refused(Refusal::CertificateAlreadyRevoked));
                }
                if let Some(made) = row.opt_text(4)? {
                    tx.exec("UPDATE ca_authority SET revoked = 1 WHERE name = $1", &[made.into()])?;
                }
                let key = row.opt_array(2)?.map(KeyId::from_octets);
                let person = row.opt_array(3)?.map(PersonId::from_octets);
                let card_for = match (authority, person) {
                    (Authority::Authentication(_), Some(person)) => {
                        let role = tables::stored(row.blob(1)?)?.qualification();
                        role.map(|role| kept_key(tx, person, role)).transpose()?.flatten()
                    }
                    _ => None,
                };
                let revocation = Revocation {
                    authority: authority.name().to_owned(),
                    serial: hex::encode(&serial),
                    key,
                    card_for,
                    person,
                    reason: reason.name().to_owned(),
                    at: now,
                };
                let payload = serde_json::to_string(&revocation)
                    .map_err(|error| ledger::Fault::Misuse(error.to_string()))?;
                tx.outbox(REVOCATION_TOPIC, key.or(card_for), &payload)?;
                let stream = tables::authority(tx, authority)?.stream;
                let mut record = Record::new(Event::CertificateRevoked, stream, now);
                record.key = key;
                record.person = person;
                record.evidence = Some(sha256(row.blob(1)?));
                Ok((revocation, Note(record)))
            })
            .await?;
        Ok(revocation)
    }
}
