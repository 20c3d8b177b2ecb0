//! 係員: persons with an office in running the platform, and the keys by which they confirm.
//!
//! The rows are sealed: an officer put in by SQL confirms nothing. An officer signs with a key of
//! her own (Ed25519 or P-256), which this program never holds.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{DirectiveId, OfficerId};
use hpki::policy::{self, Algorithm, KeyKind};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record, Row, Tx};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::{Failed as Bad, refused};

/// What an officer is there for. No one holds two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OfficerRole {
    /// 運用係: prepares, stops keys.
    Operator,
    /// 保安係: releases what another prepared.
    Security,
    /// 監査係: reads everything, confirms nothing.
    Auditor,
}

impl OfficerRole {
    /// All, in the order people see them.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Security, Self::Auditor];

    /// The name in rows, interfaces and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Security => "security",
            Self::Auditor => "auditor",
        }
    }

    /// What people call it, in Japanese.
    pub const fn ja(self) -> &'static str {
        match self {
            Self::Operator => "運用係",
            Self::Security => "保安係",
            Self::Auditor => "監査係",
        }
    }
}

impl fmt::Display for OfficerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OfficerRole {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(())
    }
}

/// Somebody who is to become an officer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOfficer {
    /// What people call her.
    pub name: String,
    /// What she is there for.
    pub role: OfficerRole,
    /// Her public key, DER SubjectPublicKeyInfo: Ed25519 or P-256; in JSON hexadecimal.
    #[serde(with = "hexadecimal")]
    pub public_key: Vec<u8>,
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(octets: &[u8], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&hex::encode(octets))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// An officer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Officer {
    /// Her number.
    pub id: OfficerId,
    /// What people call her.
    pub name: String,
    /// What she is there for.
    pub role: OfficerRole,
    /// Her public key, DER SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    /// Since when.
    pub enrolled: Timestamp,
    /// Until when, if she is one no more.
    pub dismissed: Option<Timestamp>,
}

/// What an officer signs to confirm a directive:
/// `H("azukari/officer/v1"; issuer, directive, act, SHA-256(body), until, officer)`.
///
/// The signature is over these 32 octets: Ed25519, or ECDSA on P-256 with SHA-256 in DER.
pub fn confirmation(
    issuer: &str,
    directive: DirectiveId,
    act: &str,
    body: &str,
    until: Timestamp,
    officer: OfficerId,
) -> Digest32 {
    Statement::new("azukari/officer/v1")
        .text(issuer)
        .octets_field(directive.octets())
        .text(act)
        .octets_field(&sha256(body.as_bytes()))
        .time(until)
        .octets_field(officer.octets())
        .digest()
}

impl Officer {
    /// Checks her signature over a statement's digest.
    pub fn verify(&self, statement: &Digest32, signature: &[u8]) -> Result<(), Refusal> {
        let algorithm = algorithm(&self.public_key)?;
        policy::verify(algorithm, &self.public_key, statement, signature)
            .map_err(|_| Refusal::OfficerSignatureWrong)
    }
}

fn algorithm(public_key: &[u8]) -> Result<Algorithm, Refusal> {
    match KeyKind::of(public_key) {
        Ok(KeyKind::Ed25519) => Ok(Algorithm::Ed25519),
        Ok(KeyKind::P256) => Ok(Algorithm::EcdsaP256Sha256),
        _ => Err(Refusal::OfficerKeyUnsupported),
    }
}

/// The row.
#[derive(Clone)]
pub(crate) struct OfficerRow {
    pub(crate) officer: Officer,
    pub(crate) seal: Vec<u8>,
}

const COLUMNS: &str = "id, name, role, public_key, enrolled, dismissed, seal";

impl OfficerRow {
    pub(crate) fn statement(&self) -> Statement {
        let officer = &self.officer;
        let dismissed = officer.dismissed.map(|time| time.seconds().to_be_bytes());
        Statement::new("azukari/seal/v1")
            .text("custody_officer")
            .octets_field(officer.id.octets())
            .text(&officer.name)
            .text(officer.role.name())
            .octets_field(&officer.public_key)
            .time(officer.enrolled)
            .optional(dismissed.as_ref().map(<[u8; 8]>::as_slice))
    }

    pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_officer ORDER BY enrolled, id");
        tx.query(&sql, &[])?.iter().map(Self::from_row).collect()
    }

    fn read(tx: &Tx<'_>, id: OfficerId) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_officer WHERE id = $1");
        tx.query_opt(&sql, &[id.octets().into()])?.as_ref().map(Self::from_row).transpose()
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        let odd = |what: &str| Fault::Row(format!("custody_officer: {what}"));
        Ok(Self {
            officer: Officer {
                id: OfficerId::from_octets(row.array(0)?),
                name: row.text(1)?.to_owned(),
                role: row.text(2)?.parse().map_err(|()| odd("role"))?,
                public_key: row.blob(3)?.to_vec(),
                enrolled: row.time(4)?,
                dismissed: row.opt_time(5)?,
            },
            seal: row.blob(6)?.to_vec(),
        })
    }

    fn insert(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let sql = format!(
            "INSERT INTO custody_officer ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, NULL, $6)
             ON CONFLICT DO NOTHING"
        );
        let officer = &self.officer;
        let values = [
            officer.id.octets().into(),
            (&officer.name).into(),
            officer.role.name().into(),
            (&officer.public_key).into(),
            officer.enrolled.into(),
            (&self.seal).into(),
        ];
        Ok(tx.exec(&sql, &values)? == 1)
    }

    /// Writes a new officer; `false` if her key is an officer's already.
    pub(crate) fn enrol(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        self.insert(tx)
    }

    /// Writes the end of her authority over the row that bore the seal `before`.
    pub(crate) fn dismiss(&self, tx: &Tx<'_>, before: &[u8]) -> Result<bool, Fault> {
        let changed = tx.exec(
            "UPDATE custody_officer SET dismissed = $2, seal = $3 WHERE id = $1 AND seal = $4",
            &[
                self.officer.id.octets().into(),
                self.officer.dismissed.into(),
                (&self.seal).into(),
                before.into(),
            ],
        )?;
        Ok(changed == 1)
    }
}

impl Custody {
    /// The first officers of a new platform, among them at least two for security. Later ones come
    /// by a directive of two officers for security.
    ///
    /// Refused: `officers-exist`, `officers-too-few`, `officer-key-unsupported`,
    /// `officer-already-enrolled` (one key for two officers).
    pub async fn found_officers(
        &self,
        officers: Vec<NewOfficer>,
        now: Timestamp,
    ) -> Result<Vec<Officer>, Bad> {
        let inner = &*self.0;
        let security = officers.iter().filter(|new| new.role == OfficerRole::Security).count();
        if security < 2 {
            return refused(Refusal::OfficersTooFew);
        }
        let rows: Vec<OfficerRow> = officers
            .into_iter()
            .map(|new| inner.new_officer(new, now))
            .collect::<Result<_, _>>()?;
        let found = rows.iter().map(|row| row.officer.clone()).collect();
        // The list is the evidence; each later officer has an entry of her own.
        let mut list = Statement::new("azukari/officers/v1");
        for row in &rows {
            list = list.octets_field(&row.statement().digest());
        }
        let Some(first) = rows.first() else { return refused(Refusal::OfficersTooFew) };
        let mut record = Record::new(Event::OfficerEnrolled, first.officer.id.stream(), now);
        record.evidence = Some(list.digest());
        let work = Arc::new((rows, record));
        inner
            .ledger
            .record(move |tx| {
                let (rows, record) = &*work;
                if !tx.query("SELECT 1 FROM custody_officer LIMIT 1", &[])?.is_empty() {
                    return Err(Failed::Refused(Refusal::OfficersExist));
                }
                for row in rows {
                    if !row.insert(tx)? {
                        return Err(Failed::Refused(Refusal::OfficerAlreadyEnrolled));
                    }
                }
                Ok(((), Note(record.clone())))
            })
            .await?;
        Ok(found)
    }

    /// Every officer there ever was, their seals checked.
    pub async fn officers(&self) -> Result<Vec<Officer>, Bad> {
        let rows = self.0.ledger.read(|tx| Ok(OfficerRow::all(tx)?)).await?;
        rows.into_iter().map(|row| Ok(self.0.sealed_officer(row)?.officer)).collect()
    }
}

impl Inner {
    pub(crate) fn new_officer(&self, new: NewOfficer, now: Timestamp) -> Result<OfficerRow, Bad> {
        algorithm(&new.public_key).map_err(Failed::Refused)?;
        let officer = Officer {
            id: OfficerId::random(&*self.random),
            name: new.name,
            role: new.role,
            public_key: new.public_key,
            enrolled: now,
            dismissed: None,
        };
        let mut row = OfficerRow { officer, seal: Vec::new() };
        row.seal = self.room.seal(&row.statement())?.to_vec();
        Ok(row)
    }

    fn sealed_officer(&self, row: OfficerRow) -> Result<OfficerRow, Bad> {
        if self.room.seal_holds(&row.statement(), &row.seal)? {
            Ok(row)
        } else {
            refused(Refusal::SealBroken("custody_officer"))
        }
    }

    /// An officer in office.
    pub(crate) async fn officer(&self, id: OfficerId) -> Result<OfficerRow, Bad> {
        match self.ledger.read(move |tx| Ok(OfficerRow::read(tx, id)?)).await? {
            None => refused(Refusal::OfficerUnknown),
            Some(row) => {
                let row = self.sealed_officer(row)?;
                if row.officer.dismissed.is_some() {
                    return refused(Refusal::OfficerDismissed);
                }
                Ok(row)
            }
        }
    }
}
