//! Spending many activations at once: commit A → device → self-check → commit B, as for one
//! ([`crate::Custody::sign`]), with one unit of work for each commit.
//!
//! Commit A takes all or nothing. After it each hash has its own outcome.
//!
//! | we died | what is true | what closes it |
//! |---|---|---|
//! | before commit A | nothing | the retry is new |
//! | between A and B | every intention stands; signatures at most in lost memory | lease over: released, the draws returned |
//! | after B | what was signed is consumed and stored | the retry gets the stored answers |

use std::sync::Arc;

use hpki::encoding::{Digest32, sha256};
use hpki::id::{PersonId, TokenId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Intention, Outcome, OutcomeFields, Receipt, Record, Tx};
use tokio::task::JoinSet;

use crate::Failed as Bad;
use crate::activation::Activation;
use crate::alarm::AlarmKind;
use crate::bearer::Bearer;
use crate::believed::Believed;
use crate::budget::BudgetRow;
use crate::hourly::Over;
use crate::key::{Kept, StopReason};
use crate::limits::{LEASE_S, hour};
use crate::order::{OrderRow, OrderState};
use crate::refusal::Refusal;
use crate::request::RequestRow;
use crate::room::Inner;
use crate::sad::SadRow;

/// How many of one order may wait for the device at the same time: enough to keep it busy, few
/// enough that a batch does not make everybody else wait behind it.
const AT_ONCE: usize = 8;
/// A batch is leased a second longer for each of so many.
const ITEMS_A_SECOND: u64 = 20;

/// In which state a row is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// It is not there yet: mode (a).
    New,
    /// Approved and waiting.
    Authorised,
    /// Taken up again.
    Released,
}

/// What the decision rests on, besides the rows.
pub(crate) enum Source {
    /// Drawn from the budget of the session.
    Budget,
    /// Approved by itself, by this means, which must not have ended: the budget is only asked whether
    /// the session still runs.
    Approved(Believed),
}

/// Why commit A did not go through.
#[derive(Debug)]
pub(crate) enum Stumble {
    /// The number is taken.
    Taken,
    /// A row is no longer as it was read.
    Moved,
    /// The budget gave nothing, or budget, key or the approving means changed since they were read.
    NotDrawn,
    /// The SAD gives nothing.
    NotGranted,
    /// The rules say no.
    Refused(Refusal),
}

/// What commit A takes.
pub(crate) struct Spending {
    pub(crate) rows: Vec<(OrderRow, Take)>,
    pub(crate) source: Source,
    /// The approval on which it rests.
    pub(crate) evidence: Digest32,
    /// The SAD by which it is spent, where one is.
    pub(crate) sad: Option<SadRow>,
    /// The request that is taken with it, where its program fetches the signatures later.
    pub(crate) request: Option<RequestRow>,
    /// Whether one that is not signed takes the others with it: then nothing is handed out, and
    /// all may be tried again.
    pub(crate) together: bool,
    person: PersonId,
    bearer: TokenId,
    budget: Arc<BudgetRow>,
    key_seal: Vec<u8>,
    now: Timestamp,
}

/// A consumed activation.
pub(crate) struct Spent {
    pub(crate) signature: Vec<u8>,
    pub(crate) receipt: Receipt<Outcome>,
}

/// How one hash ended before commit B.
enum Made {
    Signed(Vec<u8>),
    /// The device or the rules said no; nothing was handed out.
    Broken(Bad),
    /// The certificate does not verify it.
    Wrong,
}

impl Spending {
    pub(crate) fn new(
        rows: Vec<(OrderRow, Take)>,
        source: Source,
        evidence: Digest32,
        sad: Option<SadRow>,
        bearer: &Bearer,
        now: Timestamp,
    ) -> Self {
        Self {
            rows,
            source,
            evidence,
            sad,
            request: None,
            together: false,
            person: bearer.budget.person,
            bearer: bearer.token.id(),
            budget: Arc::clone(&bearer.budget),
            key_seal: bearer.kept.row.seal.clone(),
            now,
        }
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    fn record(&self, row: &OrderRow, event: Event, time: Timestamp) -> Record {
        let mut record = Record::of_key(event, row.key, time);
        record.person = Some(self.person);
        record.facility = Some(row.facility.clone());
        record.kind = Some(row.recipe.kind);
        record.dtbsr = Some(row.dtbsr);
        record.evidence = Some(self.evidence);
        record.activation = Some(row.id);
        record
    }

    /// Commit A: the rows reserved, the budget drawn, the intentions in the journal; all or
    /// nothing.
    fn commit(
        &self,
        tx: &mut Tx<'_>,
        over: Option<Over>,
    ) -> Result<(u32, Vec<Intention>), Failed<Stumble>> {
        let stumbled = |stumble| Err(Failed::Refused(stumble));
        if tx.outbox_pending(&self.budget.key)? {
            return stumbled(Stumble::Refused(Refusal::StatusUnknown));
        }
        let mut intentions = Vec::with_capacity(self.rows.len());
        for (row, take) in &self.rows {
            let mut row = row.clone();
            row.intention = tx.next_index()? + intentions.len() as u64;
            match take {
                Take::New if row.insert(tx, row.intention, self.bearer)? => {}
                Take::New => return stumbled(Stumble::Taken),
                Take::Authorised if self.reserve(tx, &row)? => {}
                Take::Released if self.resume(tx, &row)? => {}
                Take::Authorised | Take::Released => return stumbled(Stumble::Moved),
            }
            intentions.push(Intention(self.record(&row, Event::SignatureIntended, row.reserved)));
        }
        if let Some(sad) = &self.sad
            && !sad.spend(tx, self.count(), self.now)?
        {
            return stumbled(Stumble::NotGranted);
        }
        if let Some(request) = &self.request {
            request.insert(tx)?;
        }
        if self.budget.ended.is_some() {
            return stumbled(Stumble::NotDrawn);
        }
        if let Some(over) = over {
            return stumbled(Stumble::Refused(over.refusal()));
        }
        let left = match &self.source {
            Source::Budget => self.draw(tx)?,
            Source::Approved(means) => match means.stands(tx) {
                Ok(true) => self.still_open(tx)?,
                Ok(false) => None,
                Err(failed) => return Err(failed.map(Stumble::Refused)),
            },
        };
        match left {
            Some(left) => Ok((left, intentions)),
            None => stumbled(Stumble::NotDrawn),
        }
    }

    fn reserve(&self, tx: &Tx<'_>, row: &OrderRow) -> Result<bool, Fault> {
        let changed = tx.exec(
            "UPDATE custody_activation SET state = 'reserved', holder = $5, lease = $6,
                 reserved = $7, intention = $8, bearer = $9
             WHERE facility = $1 AND number = $2 AND item = $3 AND state = 'authorised'
                 AND id = $4 AND expires > $7",
            &[
                (&row.facility).into(),
                row.number.into(),
                row.item.into(),
                row.id.into(),
                (&row.holder).into(),
                row.lease.into(),
                row.reserved.into(),
                row.intention.into(),
                self.bearer.into(),
            ],
        )?;
        Ok(changed == 1)
    }

    fn resume(&self, tx: &Tx<'_>, row: &OrderRow) -> Result<bool, Fault> {
        let changed = tx.exec(
            "UPDATE custody_activation SET state = 'reserved', id = $4, budget = $5, holder = $6,
                 lease = $7, attempts = attempts + 1, reserved = $8, intention = $9, bearer = $10
             WHERE facility = $1 AND number = $2 AND item = $3 AND state = 'released'",
            &[
                (&row.facility).into(),
                row.number.into(),
                row.item.into(),
                row.id.into(),
                row.budget.into(),
                (&row.holder).into(),
                row.lease.into(),
                row.reserved.into(),
                row.intention.into(),
                self.bearer.into(),
            ],
        )?;
        Ok(changed == 1)
    }

    /// Draws all at once. The seals stand for everything that was checked.
    fn draw(&self, tx: &Tx<'_>) -> Result<Option<u32>, Fault> {
        let budget = &self.budget;
        let drawn = tx.query_opt(
            "UPDATE custody_counter SET remaining = remaining - $8,
                 hour_used = CASE WHEN hour = $3 THEN hour_used + $8 ELSE $8 END, hour = $3
             WHERE budget = $1 AND remaining BETWEEN $8 AND $4
                 AND $8 <= $5 AND (hour <> $3 OR hour_used + $8 <= $5)
                 AND EXISTS (SELECT 1 FROM custody_budget
                     WHERE id = $1 AND seal = $2 AND ended IS NULL)
                 AND EXISTS (SELECT 1 FROM custody_key WHERE id = $6 AND seal = $7)
             RETURNING remaining",
            &[
                budget.id.into(),
                (&budget.seal).into(),
                hour(self.now).into(),
                budget.count.into(),
                budget.hourly.into(),
                budget.key.into(),
                (&self.key_seal).into(),
                self.count().into(),
            ],
        )?;
        drawn.map(|row| Ok(u32::try_from(row.number(0)?).unwrap_or(0))).transpose()
    }

    fn still_open(&self, tx: &Tx<'_>) -> Result<Option<u32>, Fault> {
        BudgetRow::still_open(tx, &self.budget, &self.key_seal)
    }
}

impl Inner {
    /// The lease of an order of so many from this moment.
    pub(crate) fn lease(&self, count: usize, now: Timestamp) -> Timestamp {
        self.present(now).plus(LEASE_S + count as u64 / ITEMS_A_SECOND)
    }

    /// Commit A, with the receipts and what is left of the budget.
    pub(crate) async fn reserve(
        &self,
        spending: &Arc<Spending>,
    ) -> Result<(u32, Vec<Receipt<Intention>>), Failed<Stumble>> {
        let budget = &spending.budget;
        let claimed = self.claim(spending.bearer, budget, spending.count(), spending.now).await;
        let (claim, over) = match claimed {
            Ok(Ok(claim)) => (Some(claim), None),
            Ok(Err(over)) => (None, Some(over)),
            Err(Failed::Refused(refusal)) => {
                return Err(Failed::Refused(Stumble::Refused(refusal)));
            }
            Err(Failed::Fault(fault)) => return Err(fault.into()),
        };
        let work = Arc::clone(spending);
        let recorded = self.ledger.record_many(move |tx| work.commit(tx, over)).await;
        // Whether a commit that broke went through is not known.
        if let (Ok(_) | Err(Failed::Fault(_)), Some(claim)) = (&recorded, claim) {
            claim.keep();
        }
        if let (Err(Failed::Refused(Stumble::Refused(_))), Some(over)) = (&recorded, over) {
            self.limit_reached(over, budget, spending.now);
        }
        recorded
    }

    /// From commit A to after commit B: for each row, in order, its signature or why it has none.
    ///
    /// A fault of commit B is everybody's; the leases close what it leaves.
    pub(crate) async fn carry_out_all(
        self: &Arc<Self>,
        spending: &Spending,
        activations: Vec<Activation>,
        receipts: Vec<Receipt<Intention>>,
        kept: &Arc<Kept>,
        now: Timestamp,
    ) -> Result<Vec<Result<Spent, Refusal>>, Bad> {
        let mut rows: Vec<OrderRow> = spending.rows.iter().map(|(row, _)| row.clone()).collect();
        let mut made: Vec<Option<Made>> = rows.iter().map(|_| None).collect();
        let mut at_work = JoinSet::new();
        for (place, (activation, receipt)) in activations.into_iter().zip(receipts).enumerate() {
            if let Some(row) = rows.get_mut(place) {
                row.intention = receipt.index();
            }
            if at_work.len() >= AT_ONCE {
                settle(&mut made, at_work.join_next().await);
            }
            let (inner, kept) = (Arc::clone(self), Arc::clone(kept));
            at_work
                .spawn(async move { (place, inner.make(activation, receipt, &kept, now).await) });
        }
        while let Some(done) = at_work.join_next().await {
            settle(&mut made, Some(done));
        }

        if spending.together
            && let Some(why) = made.iter_mut().find_map(|one| match one {
                Some(Made::Broken(_)) => one.take(),
                _ => None,
            })
        {
            // What is fetched later can be taken up again without a SAD: nothing is given back to it.
            let sad = spending.sad.as_ref().filter(|_| spending.request.is_none());
            self.release_to(sad, &rows, OrderState::Released, now).await?;
            return match why {
                Made::Broken(why) => Err(why),
                _ => Err(Fault::Panicked.into()),
            };
        }

        let (mut signed, mut broken, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        let mut answers: Vec<Option<Result<Spent, Refusal>>> = rows.iter().map(|_| None).collect();
        for ((place, row), made) in rows.into_iter().enumerate().zip(made) {
            let made = made.unwrap_or(Made::Broken(Fault::Panicked.into()));
            answers[place] = match made {
                Made::Signed(signature) => {
                    signed.push((place, row, signature));
                    None
                }
                Made::Broken(why) => {
                    broken.push(row);
                    Some(Err(match why {
                        Failed::Refused(refusal) => refusal,
                        Failed::Fault(fault) => {
                            tracing::error!(%fault, "one of several was not signed");
                            Refusal::OrderInProgress
                        }
                    }))
                }
                Made::Wrong => {
                    wrong.push(row);
                    Some(Err(Refusal::KeyFrozen))
                }
            };
        }
        if let Some(row) = wrong.first() {
            self.alarm(AlarmKind::SelfCheck, Some(row.key), &row.id.to_string(), now).await;
            self.stop(row.key, StopReason::SelfCheck, Event::KeyFrozen, now).await?;
            self.release(&wrong, OrderState::Failed, now).await?;
        }
        if !broken.is_empty()
            && let Err(also) = self.release(&broken, OrderState::Released, now).await
        {
            tracing::warn!(fault = %also, "reservations stay until their lease is over");
        }
        let places: Vec<usize> = signed.iter().map(|(place, ..)| *place).collect();
        let consumed = self.consume_all(spending, signed, now).await?;
        for (place, spent) in places.into_iter().zip(consumed) {
            answers[place] = Some(spent.ok_or(Refusal::ActivationSpent));
        }
        if self.budgets.get(&spending.budget.id).is_none() {
            // Ended while the device signed, perhaps after this key was unloaded for it.
            self.room.forget(spending.budget.key);
        }
        Ok(answers
            .into_iter()
            .map(|answer| answer.unwrap_or(Err(Refusal::OrderInProgress)))
            .collect())
    }

    /// One signature, checked under the certificate before anybody believes it.
    async fn make(
        &self,
        activation: Activation,
        intention: Receipt<Intention>,
        kept: &Kept,
        now: Timestamp,
    ) -> Made {
        let dtbsr = *activation.dtbsr();
        let signature = match self.room.sign_digest(activation, intention, kept, now).await {
            Ok(signature) => signature,
            Err(why) => return Made::Broken(why),
        };
        match &kept.certified {
            Some(certified) if certified.verifying.verify_digest(&dtbsr, &signature).is_ok() => {
                Made::Signed(signature)
            }
            _ => Made::Wrong,
        }
    }

    /// Commit B for all that were signed. `None` where somebody else has the row, or its lease is
    /// over: then the signature is dropped.
    async fn consume_all(
        &self,
        spending: &Spending,
        signed: Vec<(usize, OrderRow, Vec<u8>)>,
        now: Timestamp,
    ) -> Result<Vec<Option<Spent>>, Bad> {
        if signed.is_empty() {
            return Ok(Vec::new());
        }
        let present = self.present(now);
        let work: Vec<_> = signed
            .iter()
            .map(|(_, row, signature)| {
                let mut record = spending.record(row, Event::SignatureMade, present);
                record.outcome = Some(OutcomeFields {
                    signature_hash: Some(sha256(signature)),
                    intention_index: row.intention,
                });
                (row.clone(), signature.clone(), record)
            })
            .collect();
        let (moved, receipts) = self
            .ledger
            .record_many(move |tx| {
                let mut outcomes = Vec::with_capacity(work.len());
                let mut moved = Vec::with_capacity(work.len());
                for (row, signature, record) in &work {
                    let index = tx.next_index()? + outcomes.len() as u64;
                    let changed = row.consume(tx, index, present, signature)?;
                    moved.push(changed);
                    if changed {
                        outcomes.push(Outcome(record.clone()));
                    }
                }
                Ok::<_, Failed<Refusal>>((moved, outcomes))
            })
            .await?;
        let mut receipts = receipts.into_iter();
        Ok(signed
            .into_iter()
            .zip(moved)
            .map(|((_, _, signature), moved)| {
                let receipt = if moved { receipts.next() } else { None };
                receipt.map(|receipt| Spent { signature, receipt })
            })
            .collect())
    }
}

fn settle(made: &mut [Option<Made>], done: Option<Result<(usize, Made), tokio::task::JoinError>>) {
    if let Some(Ok((place, how))) = done
        && let Some(slot) = made.get_mut(place)
    {
        *slot = Some(how);
    }
}
