//! The row of prepared documents. All of it is sealed: what an approval allows is read from here
//! and never from the rows that count.

use std::sync::Arc;

use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{BindingId, BudgetId, FacilityCode, KeyId, OrderNumber, PersonId, PreparedId};
use hpki::kind::{DocumentKind, Form};
use hpki::time::Timestamp;
use ledger::{Fault, Row, Tx};
use xades::compose::Recipe;

use super::{Prepared, PreparedDocument, SHA256_OID};
use crate::bearer::Bearer;
use crate::key::Kept;
use crate::order::order_number;

/// One document, and what it was composed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) number: OrderNumber,
    pub(crate) item: u32,
    pub(crate) kind: DocumentKind,
    pub(crate) digest: Digest32,
    pub(crate) mark: [u8; 4],
    pub(crate) dtbsr: Digest32,
}

impl Document {
    /// How many octets one is stored in.
    const LENGTH: usize = 16 + 4 + 1 + 32 + 4 + 32;

    pub(crate) fn commitment(&self) -> Digest32 {
        let Self { kind, digest, dtbsr, .. } = self;
        approval::statement::document_commitment(*kind, SHA256_OID, digest, dtbsr)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.number.octets());
        out.extend_from_slice(&self.item.to_be_bytes());
        out.push(stored(self.kind));
        out.extend_from_slice(&self.digest);
        out.extend_from_slice(&self.mark);
        out.extend_from_slice(&self.dtbsr);
    }

    fn read(octets: &[u8]) -> Option<Self> {
        let (number, rest) = octets.split_first_chunk::<16>()?;
        let (item, rest) = rest.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first()?;
        let (digest, rest) = rest.split_first_chunk::<32>()?;
        let (mark, dtbsr) = rest.split_first_chunk::<4>()?;
        Some(Self {
            number: order_number(*number)?,
            item: u32::from_be_bytes(*item),
            kind: DocumentKind::ALL.into_iter().find(|one| stored(*one) == *kind)?,
            digest: *digest,
            mark: *mark,
            dtbsr: dtbsr.try_into().ok()?,
        })
    }
}

/// How a kind is written in the row. Never changes.
const fn stored(kind: DocumentKind) -> u8 {
    match kind {
        DocumentKind::Prescription => 1,
        DocumentKind::Dispensing => 2,
        DocumentKind::Referral => 3,
        DocumentKind::Statement => 4,
    }
}

/// The approval of prepared documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Approved {
    pub(crate) at: Timestamp,
    pub(crate) binding: BindingId,
    pub(crate) evidence_hash: Digest32,
    /// The whole evidence, as JSON.
    pub(crate) evidence: String,
}

/// The row.
#[derive(Debug, Clone)]
pub(crate) struct PreparedRow {
    pub(crate) id: PreparedId,
    pub(crate) facility: FacilityCode,
    pub(crate) x5t: Digest32,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) budget: BudgetId,
    pub(crate) documents: Vec<Document>,
    pub(crate) root: Digest32,
    pub(crate) created: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) approved: Option<Approved>,
    pub(crate) seal: Vec<u8>,
}

const COLUMNS: &str = "id, facility, x5t, person, kept, budget, documents, root, created, until, \
    approved, binding, evidence_hash, evidence, seal";

impl PreparedRow {
    /// Whether it was prepared for this bearer.
    pub(crate) fn is_of(&self, bearer: &Bearer) -> bool {
        self.facility == bearer.budget.facility
            && self.x5t == bearer.budget.x5t
            && self.person == bearer.budget.person
            && self.key == bearer.budget.key
            && self.budget == bearer.budget.id
    }

    /// Who makes what is signed; the same for all of its documents.
    pub(crate) fn form(&self) -> Form {
        self.documents.first().map_or(Form::Xades, |document| document.kind.form())
    }

    /// The kinds, each once, sorted by name as they stand in the statement.
    pub(crate) fn kinds(&self) -> Vec<DocumentKind> {
        let mut kinds: Vec<_> = self.documents.iter().map(|document| document.kind).collect();
        kinds.sort_unstable_by_key(|kind| kind.name());
        kinds.dedup();
        kinds
    }

    pub(crate) fn commitments(&self) -> Vec<Digest32> {
        self.documents.iter().map(Document::commitment).collect()
    }

    /// What rebuilds a document's SignedInfo.
    pub(crate) fn recipe(&self, document: &Document) -> Recipe {
        Recipe {
            kind: document.kind,
            digest: document.digest,
            signing_time: self.created,
            mark: document.mark,
        }
    }

    /// What makes a retry the same: `H("azukari/approved/v1"; prepared, number, item)`. No request
    /// for a session's budget can be this one.
    pub(crate) fn request(&self, document: &Document) -> Digest32 {
        Statement::new("azukari/approved/v1")
            .octets_field(self.id.octets())
            .octets_field(document.number.octets())
            .number(document.item.into())
            .digest()
    }

    pub(crate) fn to_prepared(&self, kept: &Kept) -> Prepared {
        let certificate = kept.certified.as_ref().map(|certified| Arc::clone(&certified.der));
        let documents = self.documents.iter().map(|document| self.shown(document));
        Prepared {
            id: self.id,
            person: self.person,
            key: self.key,
            certificate: certificate.unwrap_or_else(|| Arc::from([])),
            documents: documents.collect(),
            kinds: self.kinds(),
            root: self.root,
            until: self.until,
        }
    }

    /// A document as it is told to whoever asked for it.
    pub(crate) fn shown(&self, document: &Document) -> PreparedDocument {
        PreparedDocument {
            number: document.number,
            kind: document.kind,
            digest: document.digest,
            recipe: (document.kind.form() == Form::Xades).then(|| self.recipe(document)),
            dtbsr: document.dtbsr,
            commitment: document.commitment(),
        }
    }

    fn documents_octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.documents.len() * Document::LENGTH);
        self.documents.iter().for_each(|document| document.write(&mut octets));
        octets
    }

    pub(crate) fn statement(&self) -> Statement {
        let statement = Statement::new("azukari/seal/v1")
            .text("custody_prepared")
            .octets_field(self.id.octets())
            .text(self.facility.as_str())
            .octets_field(&self.x5t)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .octets_field(self.budget.octets())
            .octets_field(&sha256(&self.documents_octets()))
            .octets_field(&self.root)
            .time(self.created)
            .time(self.until);
        match &self.approved {
            None => statement,
            Some(approved) => statement
                .time(approved.at)
                .octets_field(approved.binding.octets())
                .octets_field(&approved.evidence_hash)
                .text(&approved.evidence),
        }
    }

    pub(crate) fn insert(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        tx.exec(
            "INSERT INTO custody_prepared (id, facility, x5t, person, kept, budget, documents,
                 root, created, until, seal)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            &[
                self.id.into(),
                (&self.facility).into(),
                (&self.x5t).into(),
                self.person.into(),
                self.key.into(),
                self.budget.into(),
                self.documents_octets().into(),
                (&self.root).into(),
                self.created.into(),
                self.until.into(),
                (&self.seal).into(),
            ],
        )?;
        Ok(())
    }

    /// Writes the approval into the row that bore the seal `before`; false if it no longer does.
    pub(crate) fn approve(&self, tx: &Tx<'_>, before: &[u8]) -> Result<bool, Fault> {
        let Some(approved) = &self.approved else { return Ok(false) };
        let changed = tx.exec(
            "UPDATE custody_prepared SET approved = $2, binding = $3, evidence_hash = $4,
                 evidence = $5, seal = $6
             WHERE id = $1 AND seal = $7 AND approved IS NULL",
            &[
                self.id.into(),
                approved.at.into(),
                approved.binding.into(),
                (&approved.evidence_hash).into(),
                (&approved.evidence).into(),
                (&self.seal).into(),
                before.into(),
            ],
        )?;
        Ok(changed == 1)
    }

    pub(crate) fn read(tx: &Tx<'_>, id: PreparedId) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_prepared WHERE id = $1");
        tx.query_opt(&sql, &[id.into()])?.as_ref().map(Self::from_row).transpose()
    }

    pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_prepared");
        tx.query(&sql, &[])?.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        let odd = |what: &str| Fault::Row(format!("custody_prepared: {what}"));
        let octets = row.blob(6)?;
        if octets.len() % Document::LENGTH != 0 {
            return Err(odd("documents"));
        }
        let documents = octets.chunks_exact(Document::LENGTH).map(Document::read);
        let approved = match row.opt_time(10)? {
            None => None,
            Some(at) => Some(Approved {
                at,
                binding: BindingId::from_octets(row.array(11)?),
                evidence_hash: row.array(12)?,
                evidence: row.text(13)?.to_owned(),
            }),
        };
        Ok(Self {
            id: PreparedId::from_octets(row.array(0)?),
            facility: row.parsed(1)?,
            x5t: row.array(2)?,
            person: PersonId::from_octets(row.array(3)?),
            key: KeyId::from_octets(row.array(4)?),
            budget: BudgetId::from_octets(row.array(5)?),
            documents: documents.collect::<Option<_>>().ok_or_else(|| odd("documents"))?,
            root: row.array(7)?,
            created: row.time(8)?,
            until: row.time(9)?,
            approved,
            seal: row.blob(14)?.to_vec(),
        })
    }
}
