//! Mode (b): documents that wait for their owner's approval, each exactly as it will be signed.
//!
//! prepare → the phone approves ([`approval::statement::DocumentsStatement`]) → authorise → sign.
//!
//! SignedInfo is composed before the approval, so the phone's signature covers the exact hash that
//! the key will sign; nothing can be put in its place later. Start reading at
//! [`Custody::prepare`], then `approving` (what is asked of an approval) and `signing`.

mod approving;
mod row;
mod signing;

use std::sync::Arc;

use approval::Approval;
use hpki::encoding::Digest32;
use hpki::id::{ActivationId, KeyId, OrderNumber, PersonId, PreparedId};
use hpki::kind::{DocumentKind, Form};
use hpki::time::Timestamp;
use ledger::{Failed, Tx};
use xades::compose::{Draft, Recipe};

use crate::batch::BATCH_MOST;
use crate::bearer::Bearer;
use crate::budget::BudgetRow;
use crate::order::{OrderRow, OrderState};
use crate::policy::Mode;
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::token::Peer;
use crate::{Failed as Bad, refused};

pub(crate) use row::{Approved, Document, PreparedRow};

/// The object identifier of SHA-256, the only digest algorithm here.
pub const SHA256_OID: &str = "2.16.840.1.101.3.4.2.1";

/// One document to be approved and signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Chosen by the gateway before it sends; its own for each document.
    pub number: OrderNumber,
    /// What the document is.
    pub kind: DocumentKind,
    /// For kinds that the platform composes, the digest of the signed element; for others, the
    /// hash to be signed.
    pub digest: Digest32,
}

/// One document as it was prepared. `commitment` is what the approval's tree is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreparedDocument {
    /// The order that it answers.
    pub number: OrderNumber,
    /// What the document is.
    pub kind: DocumentKind,
    /// The digest of the document.
    pub digest: Digest32,
    /// Where the platform composes: from this, its own digest and the certificate, whoever asked
    /// rebuilds SignedInfo and believes no `dtbsr` that it has not computed.
    pub recipe: Option<Recipe>,
    /// SHA-256 of what the key will sign (the hash itself where the caller brought one).
    pub dtbsr: Digest32,
    /// `d` of protocols §6 ([`approval::statement::document_commitment`]).
    pub commitment: Digest32,
}

/// Documents that wait for approval: the part of the statement that custody answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Its number, for [`crate::Custody::authorise`].
    pub id: PreparedId,
    /// Whose approval it takes.
    pub person: PersonId,
    /// Which key will sign.
    pub key: KeyId,
    /// The signer's certificate, DER.
    pub certificate: Arc<[u8]>,
    /// The documents in the order of the tree.
    pub documents: Vec<PreparedDocument>,
    /// The kinds among them, each once, sorted.
    pub kinds: Vec<DocumentKind>,
    /// The root over the commitments.
    pub root: Digest32,
    /// Until when it can be approved: the statement's `notAfter` at the latest.
    pub until: Timestamp,
}

/// What a stranger needs to see that the owner approved exactly this document, before it was
/// signed (protocols §6). It reveals no other document of the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The statement, and the phone's signature on it.
    pub approval: Approval,
    /// The document.
    pub document: PreparedDocument,
    /// Its place in the tree.
    pub index: u64,
    /// The way from its commitment to the root.
    pub path: Vec<Digest32>,
    /// The journal's proof that the phone was linked (`c2sp.org/tlog-proof@v1`); none where a card approved.
    pub binding: Option<String>,
    /// The journal's proof of the outcome.
    pub outcome: String,
    /// The signature value.
    pub signature: Vec<u8>,
    /// The signer's certificate, DER.
    pub certificate: Arc<[u8]>,
    /// The whole `ds:Signature` element, where the platform composed it.
    pub element: Option<String>,
}

/// SigningTime precedes the approval by this much at most.
const APPROVE_S: u64 = 180;
/// How many preparations one session may have waiting.
const WAITING_MOST: u64 = 20;

impl Custody {
    /// Composes documents exactly as they will be signed, for their owner to approve. The token
    /// says whose and where; nothing is drawn from its budget. SigningTime is now, so what is
    /// prepared can be approved for three minutes.
    ///
    /// Refused: the token's codes, `batch-size-wrong`, `kind-not-enabled`, `kind-not-allowed`,
    /// `kind-wrong-door` (hashes come from registered clients alone), `order-reused`,
    /// `preparations-too-many`, and what signing refuses about the key.
    pub async fn prepare(
        &self,
        token: &str,
        peer: &Peer,
        asked: Vec<Asked>,
        now: Timestamp,
    ) -> Result<Prepared, Bad> {
        let inner = &*self.0;
        if !(1..=BATCH_MOST).contains(&asked.len()) {
            return refused(Refusal::BatchSize);
        }
        for one in &asked {
            inner.composed(one.kind, Mode::EachDocument).map_err(Failed::Refused)?;
        }
        let mut numbers: Vec<_> = asked.iter().map(|one| *one.number.octets()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() != asked.len() {
            return refused(Refusal::OrderReused);
        }
        let bearer = inner.bearer(token, peer, now).await?;
        let certified = bearer.usable(now).map_err(Failed::Refused)?;
        let mut documents = Vec::with_capacity(asked.len());
        for one in asked {
            bearer.may(inner, one.kind, Mode::EachDocument, now).map_err(Failed::Refused)?;
            let mut mark = [0; 4];
            inner.random.fill(&mut mark);
            let Asked { number, kind, digest } = one;
            let recipe = Recipe { kind, digest, signing_time: now, mark };
            let dtbsr = Draft::new(&recipe, &certified.signer).dtbsr();
            documents.push(Document { number, item: 0, kind, digest, mark, dtbsr });
        }
        inner.wait_for_approval(bearer, documents, now).await
    }
}

impl Inner {
    /// Keeps documents until their owner approves them.
    pub(crate) async fn wait_for_approval(
        &self,
        mut bearer: Bearer,
        documents: Vec<Document>,
        now: Timestamp,
    ) -> Result<Prepared, Bad> {
        let commitments: Vec<_> = documents.iter().map(Document::commitment).collect();
        let mut row = PreparedRow {
            id: PreparedId::random(&*self.random),
            facility: bearer.budget.facility.clone(),
            x5t: bearer.budget.x5t,
            person: bearer.budget.person,
            key: bearer.budget.key,
            budget: bearer.budget.id,
            documents,
            root: approval::statement::root(&commitments),
            created: now,
            until: now.plus(APPROVE_S),
            approved: None,
            seal: Vec::new(),
        };
        row.seal = self.room.seal(&row.statement())?.to_vec();
        let row = Arc::new(row);
        // Once stale, then not again: what is remembered was read anew.
        for _ in 0..2 {
            let (budget, key_seal) = (Arc::clone(&bearer.budget), bearer.kept.row.seal.clone());
            let work = Arc::clone(&row);
            let kept = self.ledger.write(move |tx| {
                if BudgetRow::still_open(tx, &budget, &key_seal)?.is_none() {
                    return Ok(false);
                }
                work.keep(tx, now)?;
                Ok::<_, Failed<Refusal>>(true)
            });
            if kept.await? {
                return Ok(row.to_prepared(&bearer.kept));
            }
            self.refresh(&mut bearer, 0, now).await?;
        }
        refused(Refusal::StatusUnknown)
    }

    /// The row of prepared documents, its seal checked.
    pub(crate) async fn prepared_row(&self, id: PreparedId) -> Result<PreparedRow, Bad> {
        let row = self.ledger.read(move |tx| Ok(PreparedRow::read(tx, id)?)).await?;
        match row {
            None => refused(Refusal::PreparedUnknown),
            Some(row) if self.room.seal_holds(&row.statement(), &row.seal)? => Ok(row),
            Some(_) => refused(Refusal::SealBroken("custody_prepared")),
        }
    }
}

impl PreparedRow {
    /// Stored, if none of its numbers is taken and not too many wait already.
    fn keep(&self, tx: &Tx<'_>, now: Timestamp) -> Result<(), Failed<Refusal>> {
        let waiting = tx.query_one(
            "SELECT count(*) FROM custody_prepared
             WHERE budget = $1 AND approved IS NULL AND until > $2",
            &[self.budget.into(), now.into()],
        )?;
        if waiting.number(0)? >= WAITING_MOST {
            return Err(Failed::Refused(Refusal::PreparationsTooMany));
        }
        for document in &self.documents {
            if OrderRow::read(tx, &self.facility, document.number, document.item)?.is_some() {
                return Err(Failed::Refused(Refusal::OrderReused));
            }
        }
        self.insert(tx)?;
        Ok(())
    }

    /// The activations that its approval gives, one for each document.
    pub(crate) fn activations(
        &self,
        random: &dyn hpki::sign::Random,
        now: Timestamp,
        expires: Timestamp,
    ) -> Vec<OrderRow> {
        let alone = self.form() == Form::Xades;
        let size = if alone { 0 } else { u32::try_from(self.documents.len()).unwrap_or(u32::MAX) };
        let row = |document: &Document| OrderRow {
            facility: self.facility.clone(),
            number: document.number,
            request: self.request(document),
            id: ActivationId::random(random),
            budget: self.budget,
            key: self.key,
            recipe: self.recipe(document),
            dtbsr: document.dtbsr,
            state: OrderState::Authorised,
            holder: [0; 16],
            lease: now,
            reserved: now,
            intention: 0,
            outcome: None,
            consumed: None,
            signature: None,
            item: document.item,
            size,
            prepared: Some(self.id),
            expires: Some(expires),
        };
        self.documents.iter().map(row).collect()
    }
}
