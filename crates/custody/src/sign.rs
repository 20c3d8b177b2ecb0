//! One signature: commit A → device → self-check → commit B → answer.

use std::slice;
use std::sync::Arc;

use hpki::encoding::{Digest32, sha256};
use hpki::id::{FacilityCode, OrderNumber, PersonId, TokenId};
use hpki::kind::{DocumentKind, Form};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Intention, Outcome, OutcomeFields, Receipt, Record, Tx};
use xades::compose::{Draft, Recipe};

use crate::activation::{Activation, usable};
use crate::alarm::AlarmKind;
use crate::budget::BudgetRow;
use crate::carry_on::CarryOn;
use crate::hourly::Over;
use crate::key::{Kept, StopReason};
use crate::limits::{CLOCK_BEHIND_S, LEASE_S, hour};
use crate::order::{OrderRow, OrderState, Retry, SignOrder};
use crate::policy::Mode;
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::token::{Peer, VerifiedToken};
use crate::{Failed as Bad, refused};

/// A signature that may be handed out: consumed, recorded, and proven to be in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The order that it answers.
    pub order: OrderNumber,
    /// What was signed.
    pub kind: DocumentKind,
    /// The whole `ds:Signature` element.
    pub signature: String,
    /// The signer's certificate, DER.
    pub certificate: Arc<[u8]>,
    /// SigningTime in the signature.
    pub signing_time: Timestamp,
    /// Where the journal holds the outcome.
    pub index: u64,
    /// The proof of that (`c2sp.org/tlog-proof@v1`).
    pub proof: String,
    /// How many signatures the budget still allows.
    pub left: u32,
}

/// How often an order is looked at again when others move it or what is remembered is stale.
const TRIES: usize = 6;

/// Why commit A did not go through.
enum Stumble {
    /// The order number is taken.
    Taken,
    /// The order is no longer as it was read.
    Moved,
    /// The budget gave nothing: ended, empty, or changed since it was read.
    NotDrawn,
    /// The rules say no.
    Refused(Refusal),
    /// The token or the facility asked for too many within this hour.
    Limited(Over),
}

/// What commit A writes.
struct Reservation {
    row: OrderRow,
    person: PersonId,
    evidence: Digest32,
    count: u32,
    hourly: u32,
    budget_seal: Vec<u8>,
    key_seal: Vec<u8>,
    /// Under the budget's seal: nothing is drawn any more. The order may still have an answer.
    ended: bool,
    /// A limit of this hour is reached. The order may still have an answer.
    over: Option<Over>,
    /// The token that asked.
    bearer: TokenId,
    /// Take up a released order instead of beginning one.
    resume: bool,
}

impl Custody {
    /// Signs one document's digest for the bearer of this token.
    ///
    /// An order has one signature: the same request again, also after a crash, gets the same one.
    /// Once begun, the work goes on even if the caller stops waiting.
    ///
    /// Refused: everything in [`crate::Refusal`] about tokens, budgets, keys and orders.
    pub async fn sign(
        &self,
        token: &str,
        peer: &Peer,
        order: SignOrder,
        now: Timestamp,
    ) -> Result<Signed, Bad> {
        let token = self.0.tokens.check(token, peer, now).map_err(Failed::Refused)?;
        self.0.composed(order.kind, Mode::Session).map_err(Failed::Refused)?;
        self.0.clock(now)?;
        let inner = Arc::clone(&self.0);
        let work = CarryOn::new(async move { inner.sign(token, order, now).await });
        work.await.unwrap_or(Err(Failed::Fault(Fault::Panicked)))
    }

    /// The stored answer of an order, for the facility that gave it, for 24 hours.
    ///
    /// Refused: `order-unknown`, `order-in-progress`, `order-interrupted`, `order-closed`,
    /// `activation-expired`, `key-frozen`.
    pub async fn answer(
        &self,
        facility: &FacilityCode,
        number: OrderNumber,
        now: Timestamp,
    ) -> Result<Signed, Bad> {
        let Some(row) = self.0.order(facility, number).await? else {
            return refused(Refusal::OrderUnknown);
        };
        if row.size != 0 || row.recipe.kind.form() != Form::Xades {
            return refused(Refusal::OrderUnknown);
        }
        match row.next(now) {
            Ok(Retry::Answer) => self.0.stored(&row).await,
            // Also one whose lease is over: asking again with the same number closes or resumes it.
            Ok(_) => refused(Refusal::OrderInProgress),
            Err(refusal) => refused(refusal),
        }
    }
}

impl Inner {
    async fn sign(
        &self,
        token: VerifiedToken,
        order: SignOrder,
        now: Timestamp,
    ) -> Result<Signed, Bad> {
        let mut recipe =
            Recipe { kind: order.kind, digest: order.digest, signing_time: now, mark: [0; 4] };
        self.random.fill(&mut recipe.mark);
        let mut resumed: Option<OrderRow> = None;
        for _ in 0..TRIES {
            let budget = self.budget_row(token.budget()).await?;
            let kept = self.kept(budget.key).await?;
            let Some(certified) = &kept.certified else {
                return refused(Refusal::KeyWrongState(kept.row.state.name()));
            };
            let recipe = resumed.as_ref().map_or(recipe, |row| row.recipe);
            let draft = Draft::new(&recipe, &certified.signer);
            let dtbsr = draft.dtbsr();
            if resumed.as_ref().is_some_and(|row| row.dtbsr != dtbsr) {
                let why = "what is composed now is not what was composed then";
                return Err(Fault::Misuse(why.into()).into());
            }
            let activation =
                Activation::open(&token, &budget, &kept, order.kind, dtbsr, &*self.random, now)
                    .map_err(Failed::Refused)?;
            let (claim, over) = match self.claim(activation.bearer(), &budget, 1, now).await? {
                Ok(claim) => (Some(claim), None),
                Err(over) => (None, Some(over)),
            };
            let reservation = Arc::new(Reservation {
                row: OrderRow {
                    facility: token.facility().clone(),
                    number: order.number,
                    request: order.request(token.facility(), budget.key),
                    id: activation.id(),
                    budget: budget.id,
                    key: budget.key,
                    recipe,
                    dtbsr,
                    state: OrderState::Reserved,
                    holder: self.holder,
                    lease: self.present(now).plus(LEASE_S),
                    reserved: now,
                    intention: 0,
                    outcome: None,
                    consumed: None,
                    signature: None,
                    item: 0,
                    size: 0,
                    prepared: None,
                    expires: None,
                },
                person: budget.person,
                evidence: budget.evidence_hash,
                count: budget.count,
                hourly: budget.hourly,
                budget_seal: budget.seal.clone(),
                key_seal: kept.row.seal.clone(),
                ended: budget.ended.is_some(),
                over,
                bearer: activation.bearer(),
                resume: resumed.is_some(),
            });
            let work = Arc::clone(&reservation);
            let recorded = self.ledger.record(move |tx| work.commit(tx)).await;
            // Whether a commit that broke went through is not known.
            if let (Ok(_) | Err(Failed::Fault(_)), Some(claim)) = (&recorded, claim) {
                claim.keep();
            }
            match recorded {
                Ok((left, receipt)) => {
                    return self
                        .carry_out(&reservation, activation, receipt, draft, &kept, left, now)
                        .await;
                }
                Err(Failed::Fault(fault)) => return Err(fault.into()),
                Err(Failed::Refused(Stumble::Refused(refusal))) => return refused(refusal),
                Err(Failed::Refused(Stumble::Limited(over))) => {
                    self.limit_reached(over, &budget, now);
                    return refused(over.refusal());
                }
                Err(Failed::Refused(Stumble::NotDrawn)) => {
                    self.why_not_drawn(&budget, 1, now).await?;
                }
                Err(Failed::Refused(Stumble::Taken | Stumble::Moved)) => {
                    match self.retry(&reservation.row, now).await? {
                        Some(Again::Answer(signed)) => return Ok(*signed),
                        Some(Again::Resume(row)) => {
                            // The row is not sealed: whoever can write it must not have another
                            // document, or another time, signed by asking for this one again.
                            let same = row.recipe.kind == order.kind
                                && row.recipe.digest == order.digest
                                && row.recipe.signing_time <= now.plus(CLOCK_BEHIND_S);
                            if !same {
                                let why = "custody_activation: not what was ordered";
                                return Err(Fault::Row(why.into()).into());
                            }
                            resumed = Some(*row);
                        }
                        None => resumed = None,
                    }
                }
            }
        }
        refused(Refusal::OrderInProgress)
    }

    /// What the same order number gets that is in the table already; `None` if it is gone.
    async fn retry(&self, asked: &OrderRow, now: Timestamp) -> Result<Option<Again>, Bad> {
        for _ in 0..TRIES {
            let Some(row) = self.order(&asked.facility, asked.number).await? else {
                return Ok(None);
            };
            match row.judge(&asked.request, now).map_err(Failed::Refused)? {
                Retry::Answer => {
                    return Ok(Some(Again::Answer(Box::new(self.stored(&row).await?))));
                }
                Retry::Resume => return Ok(Some(Again::Resume(Box::new(row)))),
                Retry::Release => {
                    self.release(slice::from_ref(&row), OrderState::Released, now).await?;
                }
                // Approved by itself, so another request's number.
                Retry::Reserve => return refused(Refusal::OrderReused),
            }
        }
        refused(Refusal::OrderInProgress)
    }

    /// From commit A to the answer.
    #[expect(clippy::too_many_arguments, reason = "everything that one signature carries along")]
    async fn carry_out(
        &self,
        reservation: &Reservation,
        activation: Activation,
        intention: Receipt<Intention>,
        draft: Draft,
        kept: &Kept,
        left: u32,
        now: Timestamp,
    ) -> Result<Signed, Bad> {
        let mut row = reservation.row.clone();
        row.intention = intention.index();
        let signature = match self.room.sign(activation, intention, &draft, kept, now).await {
            Ok(signature) => signature,
            Err(failed) => {
                // Nothing was handed out: give the draw back at once. If that fails too, the
                // lease does it.
                if let Err(also) =
                    self.release(slice::from_ref(&row), OrderState::Released, now).await
                {
                    tracing::warn!(fault = %also, "a reservation stays until its lease is over");
                }
                return Err(failed);
            }
        };
        let Some(certified) = &kept.certified else {
            return refused(Refusal::KeyWrongState(kept.row.state.name()));
        };
        if certified.verifying.verify(draft.signed_info(), &signature).is_err() {
            return self.freeze(&row, now).await;
        }
        let signature_element = draft.finish(&signature);
        let present = self.present(now);
        let record = reservation.record(Event::SignatureMade, present);
        let receipt = self.consume(&row, record, signature, present).await?;
        let budget_ended = self.budgets.get(&row.budget).is_none();
        if budget_ended {
            // Ended while the device signed, perhaps after this key was unloaded for it.
            self.room.forget(row.key);
        }
        Ok(Signed {
            order: row.number,
            kind: row.recipe.kind,
            signature: signature_element,
            certificate: Arc::clone(&certified.der),
            signing_time: row.recipe.signing_time,
            index: receipt.index(),
            proof: receipt.proof(),
            left,
        })
    }

    /// Commit B: consumed, the signature stored, the outcome in the journal. Only for the holder
    /// whose lease still runs.
    async fn consume(
        &self,
        row: &OrderRow,
        mut record: Record,
        signature: Vec<u8>,
        present: Timestamp,
    ) -> Result<Receipt<Outcome>, Bad> {
        record.outcome = Some(OutcomeFields {
            signature_hash: Some(sha256(&signature)),
            intention_index: row.intention,
        });
        let work = (row.clone(), signature, record);
        let recorded = self
            .ledger
            .record(move |tx| {
                let (row, signature, record) = &work;
                let changed = tx.exec(
                    "UPDATE custody_activation
                     SET state = 'consumed', outcome = $3, consumed = $4, signature = $5
                     WHERE facility = $1 AND number = $2 AND item = 0 AND state = 'reserved'
                         AND id = $6 AND holder = $7 AND lease > $4",
                    &[
                        (&row.facility).into(),
                        row.number.into(),
                        tx.next_index()?.into(),
                        present.into(),
                        signature.into(),
                        row.id.into(),
                        (&row.holder).into(),
                    ],
                )?;
                if changed == 1 {
                    Ok(((), Outcome(record.clone())))
                } else {
                    Err(Failed::Refused(Refusal::ActivationSpent))
                }
            })
            .await?;
        Ok(recorded.1)
    }

    /// Why so many could not be drawn; `Ok` if only our memory was stale.
    pub(crate) async fn why_not_drawn(
        &self,
        before: &BudgetRow,
        wanted: u32,
        now: Timestamp,
    ) -> Result<(), Bad> {
        self.budgets.remove(&before.id);
        self.kept.remove(&before.key);
        // A stopped key says more than the budgets that ended with it.
        usable(&*self.kept(before.key).await?, now).map_err(Failed::Refused)?;
        let budget = self.fresh_budget(before.id).await?;
        if budget.ended.is_some() {
            return refused(Refusal::TokenEnded);
        }
        if budget.remaining > budget.count.into() {
            return refused(Refusal::SealBroken("custody_budget"));
        }
        if budget.remaining < wanted.into() {
            self.raise(AlarmKind::BudgetExhausted, Some(budget.key), &budget.id.to_string(), now);
            return refused(Refusal::BudgetExhausted);
        }
        let hour_used = if budget.hour == hour(now) { budget.hour_used } else { 0 };
        if hour_used + u64::from(wanted) > budget.hourly.into() {
            self.raise(AlarmKind::HourlyLimit, Some(budget.key), &budget.id.to_string(), now);
            return refused(Refusal::HourlyLimit);
        }
        Ok(())
    }

    /// A signature that the certificate does not verify: it leaves nowhere, the key signs no more,
    /// and people must look.
    async fn freeze(&self, row: &OrderRow, now: Timestamp) -> Result<Signed, Bad> {
        self.alarm(AlarmKind::SelfCheck, Some(row.key), &row.id.to_string(), now).await;
        self.stop(row.key, StopReason::SelfCheck, Event::KeyFrozen, now).await?;
        self.release(slice::from_ref(row), OrderState::Failed, now).await?;
        refused(Refusal::KeyFrozen)
    }

    /// The stored answer, written again from its recipe.
    pub(crate) async fn stored(&self, row: &OrderRow) -> Result<Signed, Bad> {
        let kept = self.kept(row.key).await?;
        let (Some(certified), Some(signature), Some(index)) =
            (&kept.certified, &row.signature, row.outcome)
        else {
            return Err(
                Fault::Row("custody_activation: consumed without a signature".into()).into()
            );
        };
        let proof = self.ledger.prove(index).await.map_err(|failed| match failed {
            Failed::Refused(refusal) => Failed::Fault(Fault::Unproven(refusal.to_string())),
            Failed::Fault(fault) => Failed::Fault(fault),
        })?;
        let budget = self.fresh_budget(row.budget).await?;
        Ok(Signed {
            order: row.number,
            kind: row.recipe.kind,
            signature: Draft::new(&row.recipe, &certified.signer).finish(signature),
            certificate: Arc::clone(&certified.der),
            signing_time: row.recipe.signing_time,
            index,
            proof,
            left: u32::try_from(budget.remaining).unwrap_or(0),
        })
    }

    async fn order(
        &self,
        facility: &FacilityCode,
        number: OrderNumber,
    ) -> Result<Option<OrderRow>, Bad> {
        let facility = facility.clone();
        self.ledger.read(move |tx| Ok(OrderRow::read(tx, &facility, number, 0)?)).await
    }
}

/// What a retry leads to.
enum Again {
    Answer(Box<Signed>),
    Resume(Box<OrderRow>),
}

impl Reservation {
    fn record(&self, event: Event, time: Timestamp) -> Record {
        let mut record = Record::of_key(event, self.row.key, time);
        record.person = Some(self.person);
        record.facility = Some(self.row.facility.clone());
        record.kind = Some(self.row.recipe.kind);
        record.dtbsr = Some(self.row.dtbsr);
        record.evidence = Some(self.evidence);
        record.activation = Some(self.row.id);
        record
    }

    /// Commit A: the order taken, the budget drawn, the intention in the journal; all or nothing.
    fn commit(&self, tx: &mut Tx<'_>) -> Result<(u32, Intention), Failed<Stumble>> {
        let row = &self.row;
        if tx.outbox_pending(&row.key)? {
            return Err(Failed::Refused(Stumble::Refused(Refusal::StatusUnknown)));
        }
        self.take(tx)?;
        if self.ended {
            return Err(Failed::Refused(Stumble::NotDrawn));
        }
        if let Some(over) = self.over {
            return Err(Failed::Refused(Stumble::Limited(over)));
        }
        // The seals stand for everything that was checked: a budget that was ended or a key that
        // was stopped since then bears another.
        let drawn = tx.query_opt(
            "UPDATE custody_counter SET remaining = remaining - 1,
                 hour_used = CASE WHEN hour = $3 THEN hour_used + 1 ELSE 1 END, hour = $3
             WHERE budget = $1 AND remaining BETWEEN 1 AND $4 AND (hour <> $3 OR hour_used < $5)
                 AND EXISTS (SELECT 1 FROM custody_budget
                     WHERE id = $1 AND seal = $2 AND ended IS NULL)
                 AND EXISTS (SELECT 1 FROM custody_key WHERE id = $6 AND seal = $7)
             RETURNING remaining",
            &[
                row.budget.into(),
                (&self.budget_seal).into(),
                hour(row.reserved).into(),
                self.count.into(),
                self.hourly.into(),
                row.key.into(),
                (&self.key_seal).into(),
            ],
        )?;
        let Some(drawn) = drawn else { return Err(Failed::Refused(Stumble::NotDrawn)) };
        let left = u32::try_from(drawn.number(0)?).unwrap_or(0);
        Ok((left, Intention(self.record(Event::SignatureIntended, row.reserved))))
    }

    fn take(&self, tx: &Tx<'_>) -> Result<(), Failed<Stumble>> {
        let row = &self.row;
        let intention = tx.next_index()?;
        if self.resume {
            let changed = tx.exec(
                "UPDATE custody_activation SET state = 'reserved', id = $3, budget = $4,
                     holder = $5, lease = $6, attempts = attempts + 1, reserved = $7,
                     intention = $8, bearer = $9
                 WHERE facility = $1 AND number = $2 AND item = 0 AND state = 'released'",
                &[
                    (&row.facility).into(),
                    row.number.into(),
                    row.id.into(),
                    row.budget.into(),
                    (&row.holder).into(),
                    row.lease.into(),
                    row.reserved.into(),
                    intention.into(),
                    self.bearer.into(),
                ],
            )?;
            return if changed == 1 { Ok(()) } else { Err(Failed::Refused(Stumble::Moved)) };
        }
        let taken = row.insert(tx, intention, self.bearer)?;
        if taken { Ok(()) } else { Err(Failed::Refused(Stumble::Taken)) }
    }
}
