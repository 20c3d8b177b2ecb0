//! Believing an approval of documents, and the SAD that it gives.

use std::sync::Arc;

use approval::Approval;
use approval::statement::{DocumentsStatement, Statement as Said};
use hpki::id::{PreparedId, TokenId};
use hpki::kind::Form;
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record};

use super::{Approved, PreparedRow};
use crate::activation::{may_sign, usable};
use crate::budget::BudgetRow;
use crate::order::Retry;
use crate::policy::Mode;
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::sad::{Granted, SAD_S, SadRow};
use crate::{Failed as Bad, refused};

impl Custody {
    /// Believes an approval of prepared documents, after checking it with this room's own eyes: each
    /// document becomes one activation, good for sixty seconds. The same approval again gives another
    /// SAD and ends the one before, also where all was signed: its bearer may have lost the answer.
    ///
    /// Refused: what `Inner::believed` refuses; `prepared-unknown`, `prepared-expired`,
    /// `approval-mismatch`, `approval-spent`, `approval-elsewhere`, `token-ended`, the key's and the
    /// certificate's state; again also `order-in-progress` and `activation-expired`.
    pub async fn authorise(
        &self,
        prepared: PreparedId,
        approval: &Approval,
        now: Timestamp,
    ) -> Result<Granted, Bad> {
        let inner = &*self.0;
        inner.clock(now)?;
        let row = inner.prepared_row(prepared).await?;
        if let Some(approved) = &row.approved {
            return if approved.evidence_hash == approval.evidence_hash() {
                inner.grant_again(&row, now).await
            } else {
                refused(Refusal::ApprovalSpent)
            };
        }
        inner.believe(row, approval, now).await
    }
}

/// Nobody has asked for the signature yet.
const NOBODY: TokenId = TokenId::from_octets([0; 16]);

/// The statement is about exactly what was prepared, for exactly whom and where.
fn fits(said: &DocumentsStatement, row: &PreparedRow) -> bool {
    let mut kinds = said.kinds.clone();
    kinds.sort_unstable_by_key(|kind| kind.name());
    said.facility_id == row.facility
        && said.x5t_s256 == row.x5t
        && said.person == row.person
        && said.key == row.key
        && kinds == row.kinds()
        && said.count as usize == row.documents.len()
        && said.root == row.root
        && approval::statement::root(&row.commitments()) == row.root
        && said.not_after <= row.until
}

impl Inner {
    async fn believe(
        &self,
        row: PreparedRow,
        approval: &Approval,
        now: Timestamp,
    ) -> Result<Granted, Bad> {
        let Said::Documents(said) = &approval.statement else {
            return refused(approval::Refusal::EvidenceWrong("statement"));
        };
        if said.issuer != self.config.issuer {
            return refused(Refusal::ApprovalElsewhere);
        }
        if !fits(said, &row) {
            return refused(Refusal::ApprovalMismatch);
        }
        if now > said.not_after {
            return refused(Refusal::PreparedExpired);
        }
        // The statement is about the person and key for whom it was prepared: `fits` has said so.
        let believed = self.believed(approval, now).await?;
        let kept = self.kept(row.key).await?;
        let certified = usable(&kept, now).map_err(Failed::Refused)?;
        for kind in row.kinds() {
            self.config.policy.allow(kind, Mode::EachDocument).map_err(Failed::Refused)?;
            if kept.row.owner != row.person || !may_sign(certified, &kept, kind) {
                return refused(Refusal::KindNotAllowed);
            }
        }
        let budget = self.fresh_budget(row.budget).await?;
        if budget.ended.is_some() {
            return refused(Refusal::TokenEnded);
        }

        let before = row.seal.clone();
        let mut row = row;
        let evidence = serde_json::to_string(approval)
            .map_err(|error| Fault::Misuse(format!("an approval cannot be kept: {error}")))?;
        let evidence_hash = approval.evidence_hash();
        row.approved =
            Some(Approved { at: now, binding: approval.binding, evidence_hash, evidence });
        row.seal = self.room.seal(&row.statement())?.to_vec();
        let activations = row.activations(&*self.random, now, now.plus(SAD_S));
        let (granted, sad) = self.mint(sad_for(&row, now, now.plus(SAD_S)))?;
        let mut record = Record::of_key(Event::DocumentsApproved, row.key, self.present(now));
        record.person = Some(row.person);
        record.facility = Some(row.facility.clone());
        record.evidence = Some(evidence_hash);
        // If we die before this commit nothing was approved, and the phone can send it again; after
        // it, the same approval gives another SAD.
        let work = Arc::new((row, before, activations, sad, budget, kept));
        self.ledger
            .record(move |tx| {
                let (row, before, activations, sad, budget, kept) = &*work;
                if tx.outbox_pending(&row.key)? {
                    return Err(Failed::Refused(Refusal::StatusUnknown));
                }
                if !row.approve(tx, before)? {
                    return Err(Failed::Refused(Refusal::ApprovalSpent));
                }
                believed.hold(tx)?;
                if BudgetRow::still_open(tx, budget, &kept.row.seal)?.is_none() {
                    return Err(Failed::Refused(Refusal::TokenEnded));
                }
                for activation in activations {
                    if !activation.insert(tx, 0, NOBODY)? {
                        return Err(Failed::Refused(Refusal::OrderReused));
                    }
                }
                sad.insert(tx)?;
                Ok(((), Note(record.clone())))
            })
            .await?;
        Ok(granted)
    }

    /// Another SAD for what was approved, for as long as it can still be spent or what was made with
    /// it can be fetched; the one before ends.
    ///
    /// Refused: `activation-expired` where neither is so; `order-in-progress` while the one before is
    /// at work, which would lose its SAD.
    pub(crate) async fn grant_again(
        &self,
        row: &PreparedRow,
        now: Timestamp,
    ) -> Result<Granted, Bad> {
        let fetched_again = row.form() == Form::Xades;
        let mut until = None;
        for row in self.approved_rows(row).await? {
            until = until.max(match row.next(now) {
                // What waits, for its time; what was interrupted, so that it can be taken up again.
                Ok(Retry::Reserve) => row.expires,
                Ok(Retry::Resume) => Some(now.plus(SAD_S)),
                // What is signed, for whoever lost the answer, or lies with somebody who died. A client
                // that brings hashes gets no second answer: each is spent once.
                Ok(Retry::Answer | Retry::Release) if fetched_again => Some(now.plus(SAD_S)),
                Err(Refusal::OrderInProgress) if fetched_again => {
                    return refused(Refusal::OrderInProgress);
                }
                _ => None,
            });
        }
        let Some(until) = until else {
            return refused(Refusal::ActivationExpired);
        };
        let (granted, sad) = self.mint(sad_for(row, now, until.min(now.plus(SAD_S))))?;
        let work = Arc::new((row.id, sad));
        self.ledger
            .write(move |tx| {
                let (prepared, sad) = &*work;
                tx.exec(
                    "UPDATE custody_sad SET ended = $2 WHERE prepared = $1 AND ended IS NULL",
                    &[(*prepared).into(), now.into()],
                )?;
                sad.insert(tx)?;
                Ok::<_, Failed<Refusal>>(())
            })
            .await?;
        Ok(granted)
    }
}

/// The row of a SAD for approved documents. Its hash and seal are still to come.
pub(crate) fn sad_for(row: &PreparedRow, minted: Timestamp, until: Timestamp) -> SadRow {
    let count = u32::try_from(row.documents.len()).unwrap_or(u32::MAX);
    SadRow {
        hash: [0; 32],
        prepared: Some(row.id),
        budget: row.budget,
        facility: row.facility.clone(),
        x5t: row.x5t,
        person: row.person,
        key: row.key,
        kind: row.documents.first().map_or(hpki::kind::DocumentKind::Statement, |one| one.kind),
        hashes: None,
        count,
        minted,
        until,
        remaining: count,
        ended: None,
        seal: Vec::new(),
    }
}
