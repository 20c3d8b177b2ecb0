//! A kept key as its row tells it, and the states of its life.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hpki::Certificate;
use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{KeyId, PersonId};
use hpki::kind::DocumentKind;
use hpki::policy::VerifyingKey;
use hpki::qualification::Qualification;
use hpki::sign::SignatureAlgorithm;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Row, Tx, Value};
use serde::{Deserialize, Serialize};
use xades::compose::Signer;

use crate::refusal::Refusal;

/// Where a kept key is in its life: Generated → Certified → Held ⇄ Suspended → Destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// Made inside the device; no certificate yet.
    Generated,
    /// A certificate was matched to it.
    Certified,
    /// Kept: it can be activated.
    Held,
    /// Stopped: it signs nothing.
    Suspended,
    /// Gone; the row remains as a record.
    Destroyed,
}

impl KeyState {
    const ALL: [Self; 5] =
        [Self::Generated, Self::Certified, Self::Held, Self::Suspended, Self::Destroyed];

    /// The name in rows and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Certified => "certified",
            Self::Held => "held",
            Self::Suspended => "suspended",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(())
    }
}

/// What a kept key is for. Chosen when it is made, never changed. A key for prescriptions serves no
/// other program. For a key of the other sort custody composes no prescription; but the certificates
/// of both have one profile, so whoever has a bare hash signed by it could have made that hash of a
/// prescription. Only clients that are trusted with that may ([`crate::Client::raw_hashes`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Documents whose SignedInfo this room composes: prescriptions and dispensing results.
    Prescription,
    /// Documents of registered clients, by their digests (CSC signDoc) or, where a client may, as hashes
    /// that it composed (signHash).
    Hash,
}

impl Purpose {
    /// Both, in the order people see them.
    pub const ALL: [Self; 2] = [Self::Prescription, Self::Hash];

    /// The name in rows, interfaces and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prescription => "prescription",
            Self::Hash => "hash",
        }
    }

    /// What people call it, in Japanese.
    pub const fn ja(self) -> &'static str {
        match self {
            Self::Prescription => "処方箋・調剤結果用",
            Self::Hash => "その他の文書用",
        }
    }

    /// The policy number that the device writes into the wrapped form of the key.
    pub(crate) const fn policy(self) -> u32 {
        match self {
            Self::Prescription => 1,
            Self::Hash => 2,
        }
    }

    /// Whether a key made for this may sign documents of this kind.
    pub const fn serves(self, kind: DocumentKind) -> bool {
        let composed_here = matches!(kind, DocumentKind::Prescription | DocumentKind::Dispensing);
        match self {
            Self::Prescription => composed_here,
            Self::Hash => !composed_here,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Purpose {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == text).ok_or(())
    }
}

/// Why a key was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// Its owner said so.
    Owner,
    /// Its certificate was revoked. Cannot be lifted.
    Revoked,
    /// The desk said so.
    Desk,
    /// A signature did not verify under the certificate. Cannot be lifted.
    SelfCheck,
    /// Its certificate has expired. Cannot be lifted.
    Expired,
}

impl StopReason {
    const ALL: [Self; 5] = [Self::Owner, Self::Revoked, Self::Desk, Self::SelfCheck, Self::Expired];

    /// The name in rows and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Owner => "owner",
            Self::Revoked => "revoked",
            Self::Desk => "desk",
            Self::SelfCheck => "self-check",
        }
    }

    /// Whether the stop can be lifted again.
    pub const fn can_be_lifted(self) -> bool {
        matches!(self, Self::Owner | Self::Desk)
    }
}

impl FromStr for StopReason {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|reason| reason.name() == text).ok_or(())
    }
}

/// The stops that a row names: a key signs again only when each of them was lifted.
pub(crate) fn stops(reasons: &str) -> Vec<StopReason> {
    reasons.split(',').filter_map(|reason| reason.parse().ok()).collect()
}

/// What may be told about a kept key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// The key.
    pub key: KeyId,
    /// Its owner.
    pub owner: PersonId,
    /// The qualification that it was ordered for.
    pub qualification: Qualification,
    /// What it is for.
    pub purpose: Purpose,
    /// Where it is in its life.
    pub state: KeyState,
    /// Who or what stopped it; empty if nothing does.
    pub stops: Vec<StopReason>,
    /// The authority that made it, if it was not made here.
    pub origin: Option<String>,
    /// Since when it cannot sign any more, whatever happens.
    pub ended: Option<Timestamp>,
    /// Its public key, DER SubjectPublicKeyInfo.
    pub spki_der: Vec<u8>,
    /// Its certificate, DER.
    pub certificate: Option<Vec<u8>>,
    /// When it was made.
    pub created: Timestamp,
}

/// The row.
#[derive(Clone)]
pub(crate) struct KeyRow {
    pub(crate) id: KeyId,
    pub(crate) owner: PersonId,
    pub(crate) qualification: Qualification,
    pub(crate) purpose: Purpose,
    pub(crate) state: KeyState,
    pub(crate) reason: String,
    pub(crate) spki: Vec<u8>,
    pub(crate) wrapped: Vec<u8>,
    pub(crate) proof: Vec<u8>,
    pub(crate) created: Timestamp,
    pub(crate) consent: Digest32,
    /// The authority that made it; empty if it was made here.
    pub(crate) origin: String,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) seal: Vec<u8>,
}

const COLUMNS: &str = "id, owner, role, purpose, state, reason, spki, wrapped, proof, created, \
    consent, origin, certificate, ended, not_after, seal";

impl KeyRow {
    /// What the seal is over: everything else in the row but the blob, which names its key and
    /// owner under its own tag (a foreign one is `blob-not-owners`).
    pub(crate) fn statement(&self) -> Statement {
        let certificate = self.certificate.as_ref().map(|der| sha256(der));
        let ended = self.ended.map(|time| time.seconds().to_be_bytes());
        Statement::new("azukari/seal/v1")
            .text("custody_key")
            .octets_field(self.id.octets())
            .octets_field(self.owner.octets())
            .text(self.qualification.role().unwrap_or_default())
            .text(self.purpose.name())
            .text(self.state.name())
            .text(&self.reason)
            .octets_field(&sha256(&self.spki))
            .octets_field(&sha256(&self.proof))
            .time(self.created)
            .octets_field(&self.consent)
            .text(&self.origin)
            .optional(certificate.as_ref().map(<[u8; 32]>::as_slice))
            .optional(ended.as_ref().map(<[u8; 8]>::as_slice))
    }

    pub(crate) fn facts(&self) -> KeyFacts {
        KeyFacts {
            key: self.id,
            owner: self.owner,
            qualification: self.qualification,
            purpose: self.purpose,
            state: self.state,
            stops: stops(&self.reason),
            origin: Some(self.origin.clone()).filter(|origin| !origin.is_empty()),
            ended: self.ended,
            spki_der: self.spki.clone(),
            certificate: self.certificate.clone(),
            created: self.created,
        }
    }

    pub(crate) fn insert(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let changed = tx.exec(
            "INSERT INTO custody_key (id, owner, role, purpose, state, reason, spki, wrapped,
                 proof, created, consent, origin, certificate, ended, not_after, seal)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
             ON CONFLICT DO NOTHING",
            &[
                self.id.into(),
                self.owner.into(),
                self.qualification.role().unwrap_or_default().into(),
                self.purpose.name().into(),
                self.state.name().into(),
                (&self.reason).into(),
                (&self.spki).into(),
                (&self.wrapped).into(),
                (&self.proof).into(),
                self.created.into(),
                (&self.consent).into(),
                (&self.origin).into(),
                self.certificate.clone().into(),
                self.ended.into(),
                self.not_after.into(),
                (&self.seal).into(),
            ],
        )?;
        Ok(changed == 1)
    }

    /// Replaces the row that bore the seal `before`; false if it no longer does.
    pub(crate) fn replace(&self, tx: &Tx<'_>, before: &[u8]) -> Result<bool, Fault> {
        let changed = tx.exec(
            "UPDATE custody_key SET state = $2, reason = $3, wrapped = $4, certificate = $5,
                 ended = $6, not_after = $7, seal = $8
             WHERE id = $1 AND seal = $9",
            &[
                self.id.into(),
                self.state.name().into(),
                (&self.reason).into(),
                (&self.wrapped).into(),
                self.certificate.clone().into(),
                self.ended.into(),
                self.not_after.into(),
                (&self.seal).into(),
                before.into(),
            ],
        )?;
        Ok(changed == 1)
    }

    pub(crate) fn read(tx: &Tx<'_>, key: KeyId) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_key WHERE id = $1");
        tx.query_opt(&sql, &[Value::from(key)])?.as_ref().map(Self::from_row).transpose()
    }

    /// At most `count` keys whose ids follow `after`, in the order of ids.
    pub(crate) fn page(tx: &Tx<'_>, after: &[u8], count: u32) -> Result<Vec<Self>, Fault> {
        let sql =
            format!("SELECT {COLUMNS} FROM custody_key WHERE id > $1 ORDER BY id LIMIT {count}");
        tx.query(&sql, &[after.into()])?.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        let odd = |what: &str| Fault::Row(format!("custody_key: {what}"));
        Ok(Self {
            id: KeyId::from_octets(row.array(0)?),
            owner: PersonId::from_octets(row.array(1)?),
            qualification: Qualification::from_role(row.text(2)?).ok_or_else(|| odd("role"))?,
            purpose: row.text(3)?.parse().map_err(|()| odd("purpose"))?,
            state: row.text(4)?.parse().map_err(|()| odd("state"))?,
            reason: row.text(5)?.to_owned(),
            spki: row.blob(6)?.to_vec(),
            wrapped: row.blob(7)?.to_vec(),
            proof: row.blob(8)?.to_vec(),
            created: row.time(9)?,
            consent: row.array(10)?,
            origin: row.text(11)?.to_owned(),
            certificate: row.opt_blob(12)?.map(<[u8]>::to_vec),
            ended: row.opt_time(13)?,
            not_after: row.opt_time(14)?,
            seal: row.blob(15)?.to_vec(),
        })
    }
}

/// A sealed row that was checked, with everything prepared that a signature needs of its
/// certificate.
pub(crate) struct Kept {
    pub(crate) row: KeyRow,
    pub(crate) certified: Option<Certified>,
}

/// A certificate, prepared once.
pub(crate) struct Certified {
    pub(crate) certificate: Certificate,
    pub(crate) der: Arc<[u8]>,
    pub(crate) signer: Signer,
    pub(crate) verifying: VerifyingKey,
}

impl Kept {
    /// Prepares a row whose seal holds.
    pub(crate) fn prepare(row: KeyRow) -> Result<Self, Failed<Refusal>> {
        let certified = match &row.certificate {
            None => None,
            Some(der) => {
                let certificate = Certificate::from_der(der).map_err(into_refused)?;
                let verifying =
                    VerifyingKey::new(SignatureAlgorithm::RsaSha256, certificate.spki_der())
                        .map_err(into_refused)?;
                let signer = Signer::new(der);
                Some(Certified { certificate, der: der.as_slice().into(), signer, verifying })
            }
        };
        Ok(Self { row, certified })
    }
}

fn into_refused(refusal: hpki::Refusal) -> Failed<Refusal> {
    Failed::Refused(refusal.into())
}
