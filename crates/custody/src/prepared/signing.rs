//! Signing what was approved, and the evidence that it was.

use std::sync::Arc;

use approval::{Approval, Means};
use hpki::id::{FacilityCode, OrderNumber};
use hpki::kind::Form;
use hpki::time::Timestamp;
use ledger::{Failed, Fault};

use super::{Document, Evidence, PreparedRow};
use crate::activation::Activation;
use crate::batch::{SignedBatch, TRIES};
use crate::bearer::Bearer;
use crate::limits::RESUME_S;
use crate::order::{OrderRow, OrderState};
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::sad::{Sad, SadRow};
use crate::spend::Source;
use crate::token::Peer;
use crate::{Failed as Bad, refused};

impl Custody {
    /// Signs what was approved: every document, each under its own order number. The same again,
    /// also after a crash and for ten minutes, gives the same signatures.
    ///
    /// Refused: `sad-unknown`, `sad-expired`, and what signing refuses about the token and the key.
    /// What happened to one document is told in its own place: `activation-expired` if it was not
    /// signed within sixty seconds.
    pub async fn sign_prepared(
        &self,
        token: &str,
        peer: &Peer,
        sad: &Sad,
        now: Timestamp,
    ) -> Result<SignedBatch, Bad> {
        let inner = Arc::clone(&self.0);
        let bearer = inner.bearer(token, peer, now).await?;
        let sad = inner.sad_of(sad, &bearer).await?;
        let Some(prepared) = sad.prepared else { return refused(Refusal::SadUnknown) };
        let row = inner.prepared_row(prepared).await?;
        if row.form() != Form::Xades || !row.is_of(&bearer) {
            return refused(Refusal::SadUnknown);
        }
        let work = tokio::spawn(async move { inner.sign_approved(bearer, sad, row, now).await });
        work.await.unwrap_or(Err(Failed::Fault(Fault::Panicked)))
    }

    /// The evidence for one document that was approved by itself or in a batch and signed.
    ///
    /// Refused: `order-unknown`, also for signatures that were drawn from a session's budget, and
    /// the codes of [`Custody::answer`].
    pub async fn evidence(
        &self,
        facility: &FacilityCode,
        number: OrderNumber,
        now: Timestamp,
    ) -> Result<Evidence, Bad> {
        let signed = self.answer(facility, number, now).await?;
        let inner = &*self.0;
        let rows = inner.order_items(facility, number).await?;
        let Some((row, prepared)) = rows.first().and_then(|row| Some((row, row.prepared?))) else {
            return refused(Refusal::OrderUnknown);
        };
        let prepared = inner.prepared_row(prepared).await?;
        let at = |document: &Document| {
            (document.number, document.item, document.dtbsr) == (row.number, row.item, row.dtbsr)
        };
        let (Some(index), Some(approved), Some(signature)) =
            (prepared.documents.iter().position(at), &prepared.approved, &row.signature)
        else {
            return Err(Fault::Row("custody_activation: not what was approved".into()).into());
        };
        let document = &prepared.documents[index];
        let approval: Approval = serde_json::from_str(&approved.evidence)
            .map_err(|_| Fault::Row("custody_prepared: evidence".into()))?;
        let binding = match approval.means() {
            Means::Phone => {
                let leaf = inner.binding_leaf(approved.binding).await?;
                Some(inner.ledger.prove(leaf).await.map_err(unproven)?)
            }
            Means::Hpki | Means::Jpki => None,
        };
        Ok(Evidence {
            approval,
            document: prepared.shown(document),
            index: index as u64,
            path: approval::statement::path(&prepared.commitments(), index),
            binding,
            outcome: signed.proof,
            signature: signature.clone(),
            certificate: signed.certificate,
            element: Some(signed.signature),
        })
    }
}

fn unproven(failed: Failed<ledger::Refusal>) -> Bad {
    match failed {
        Failed::Refused(refusal) => Failed::Fault(Fault::Unproven(refusal.to_string())),
        Failed::Fault(fault) => Failed::Fault(fault),
    }
}

impl PreparedRow {
    /// The document that a stored activation is of, exactly as it was approved. The rows that
    /// count are not sealed; this one is.
    pub(crate) fn document_of(&self, row: &OrderRow) -> Option<&Document> {
        self.documents.iter().find(|document| {
            row.prepared == Some(self.id)
                && row.request == self.request(document)
                && (row.number, row.item) == (document.number, document.item)
                && row.recipe == self.recipe(document)
                && row.dtbsr == document.dtbsr
        })
    }
}

impl Inner {
    async fn sign_approved(
        self: Arc<Self>,
        mut bearer: Bearer,
        sad: SadRow,
        approved: PreparedRow,
        now: Timestamp,
    ) -> Result<SignedBatch, Bad> {
        if sad.ended.is_some() {
            return refused(Refusal::SadUnknown);
        }
        // What was begun under this SAD may be ended after its time; nothing new begins.
        let live = sad.live(now);
        if now > sad.minted.plus(RESUME_S) {
            return refused(Refusal::SadExpired);
        }
        let evidence =
            approved.approved.as_ref().map(|approved| approved.evidence_hash).unwrap_or_default();
        for _ in 0..TRIES {
            let mut known = self.approved_rows(&approved).await?;
            let begun =
                |row: &OrderRow| !matches!(row.state, OrderState::Authorised | OrderState::Expired);
            if let Err(refusal) = &live
                && !known.iter().any(begun)
            {
                return refused(refusal.clone());
            }
            if known.iter().any(|row| approved.document_of(row).is_none()) {
                return Err(Fault::Row("custody_activation: not what was approved".into()).into());
            }
            if live.is_err() {
                known.iter_mut().for_each(|row| row.expires = None);
            }
            let Some(slots) = self.slots(&bearer, known, now).await? else { continue };
            let activate = |row: &OrderRow, bearer: &Bearer| match approved.document_of(row) {
                Some(document) => Activation::approved(bearer, &approved, document, row.id, now),
                None => Err(Refusal::HashNotAuthorised),
            };
            let guard = live.is_ok().then(|| sad.clone());
            let sources = (Source::Approved(self.approver(&approved).await?), evidence, guard);
            if let Some(items) = self.finish(&mut bearer, slots, sources, activate, now).await? {
                return Ok(SignedBatch { items });
            }
        }
        refused(Refusal::OrderInProgress)
    }

    /// The stored activations of approved documents, in their order.
    pub(crate) async fn approved_rows(&self, approved: &PreparedRow) -> Result<Vec<OrderRow>, Bad> {
        let facility = approved.facility.clone();
        let places: Vec<_> = approved.documents.iter().map(|one| (one.number, one.item)).collect();
        let rows = self
            .ledger
            .read(move |tx| {
                let mut rows = Vec::with_capacity(places.len());
                for (number, item) in &places {
                    rows.extend(OrderRow::read(tx, &facility, *number, *item)?);
                }
                Ok::<_, Failed<Refusal>>(rows)
            })
            .await?;
        if rows.len() == approved.documents.len() {
            Ok(rows)
        } else {
            Err(Fault::Row("custody_activation: an approved document is gone".into()).into())
        }
    }
}
