//! Closing what was left open.
//!
//! | we died | what is true | what closes it |
//! |---|---|---|
//! | before commit A | nothing | the retry is new |
//! | between A and B | the intention stands; a signature at most in lost memory | lease over: released, outcome `interrupted`, the draw returned |
//! | after B | consumed, stored, in the journal | the retry gets the stored answer |
//!
//! Start-up (over a database as everybody, by leases alone), the job that runs every few seconds, a retry that meets a lapsed lease, and a device
//! that failed all go through [`Inner::release`].

use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Outcome, OutcomeFields, Record, Tx};

use crate::Failed as Bad;
use crate::budget::BudgetRow;
use crate::limits::{FORGET_S, hour};
use crate::order::{OrderRow, OrderState};
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::sad::SadRow;

/// What recovery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Reservations that were closed as interrupted.
    pub released: u64,
    /// Approved documents whose sixty seconds were over before they were signed.
    pub expired: u64,
}

impl Custody {
    /// At start-up over a store that is this process's alone: closes every reservation that an
    /// earlier process left open. Another holder is one that is no more.
    pub async fn recover(&self, now: Timestamp) -> Result<Recovered, Bad> {
        let own = self.0.holder;
        self.0.close(now, Some(own)).await
    }

    /// Every half minute: closes reservations whose lease is over, and unloads idle keys and those
    /// of which no budget is open any more: its time is over, or another process ended it.
    pub async fn sweep(&self, now: Timestamp) -> Result<Recovered, Bad> {
        let inner = &*self.0;
        inner.room.forget_idle(now);
        let recovered = inner.close(now, None).await?;
        inner.unload_closed(now).await?;
        Ok(recovered)
    }
}

/// Loaded keys that are asked about in one read: it must stay a short one.
const ASKED_AT_ONCE: usize = 64;

impl Inner {
    /// Whoever signs holds her key's handle until it has signed, and a budget that opens meanwhile
    /// loads it again: nothing waits for anything here.
    async fn unload_closed(&self, now: Timestamp) -> Result<(), Bad> {
        for keys in self.room.loaded_keys().chunks(ASKED_AT_ONCE) {
            let keys = keys.to_vec();
            let closed = self
                .ledger
                .read(move |tx| {
                    let mut closed = Vec::new();
                    for key in &keys {
                        if !BudgetRow::is_any_open(tx, *key, now)? {
                            closed.push(*key);
                        }
                    }
                    Ok::<_, Bad>(closed)
                })
                .await?;
            closed.into_iter().for_each(|key| self.room.forget(key));
        }
        Ok(())
    }

    async fn close(&self, now: Timestamp, alone: Option<[u8; 16]>) -> Result<Recovered, Bad> {
        let mut recovered = Recovered { released: 0, expired: self.expire(now).await? };
        loop {
            let abandoned = self
                .ledger
                .read(move |tx| Ok(OrderRow::abandoned(tx, now, alone.as_ref())?))
                .await?;
            if abandoned.is_empty() {
                return Ok(recovered);
            }
            self.release(&abandoned, OrderState::Released, now).await?;
            recovered.released += abandoned.len() as u64;
        }
    }

    /// Expires what was approved and not signed in time, and forgets preparations that nobody
    /// approved, SADs and requests of yesterday. Nobody's key was touched, so the journal says nothing.
    async fn expire(&self, now: Timestamp) -> Result<u64, Bad> {
        let day_ago = now.minus(FORGET_S);
        let due = self
            .ledger
            .read(move |tx| {
                let due = tx.query(
                    "SELECT 1 FROM custody_activation WHERE state = 'authorised' AND expires <= $1
                     UNION ALL SELECT 1 FROM custody_sad WHERE until <= $2
                     UNION ALL SELECT 1 FROM custody_request WHERE until <= $2
                     UNION ALL SELECT 1 FROM custody_prepared
                         WHERE approved IS NULL AND until <= $2
                     LIMIT 1",
                    &[now.into(), day_ago.into()],
                )?;
                Ok::<_, Failed<Refusal>>(!due.is_empty())
            })
            .await?;
        if !due {
            return Ok(0);
        }
        self.ledger
            .write(move |tx| {
                tx.exec("DELETE FROM custody_sad WHERE until <= $1", &[day_ago.into()])?;
                tx.exec("DELETE FROM custody_request WHERE until <= $1", &[day_ago.into()])?;
                tx.exec(
                    "DELETE FROM custody_prepared WHERE approved IS NULL AND until <= $1",
                    &[day_ago.into()],
                )?;
                Ok(tx.exec(
                    "UPDATE custody_activation SET state = 'expired'
                     WHERE state = 'authorised' AND expires <= $1",
                    &[now.into()],
                )?)
            })
            .await
    }

    /// Closes reservations without a signature: `released` returns the draw, `failed` does not.
    /// Somebody else having moved one is as good.
    pub(crate) async fn release(
        &self,
        rows: &[OrderRow],
        to: OrderState,
        now: Timestamp,
    ) -> Result<(), Bad> {
        self.release_to(None, rows, to, now).await
    }

    /// The same; what was spent by a SAD and is released can be spent by it again.
    pub(crate) async fn release_to(
        &self,
        sad: Option<&SadRow>,
        rows: &[OrderRow],
        to: OrderState,
        now: Timestamp,
    ) -> Result<(), Bad> {
        let sad = sad.cloned();
        let present = self.present(now);
        let record = |row: &OrderRow| {
            let mut record = Record::of_key(Event::SignatureInterrupted, row.key, present);
            record.facility = Some(row.facility.clone());
            record.kind = Some(row.recipe.kind);
            record.dtbsr = Some(row.dtbsr);
            record.activation = Some(row.id);
            record.outcome =
                Some(OutcomeFields { signature_hash: None, intention_index: row.intention });
            record
        };
        let work: Vec<_> = rows.iter().map(|row| (row.clone(), record(row))).collect();
        let recorded: Result<_, Failed<Refusal>> = self
            .ledger
            .record_many(move |tx| {
                let mut outcomes = Vec::with_capacity(work.len());
                for (row, record) in &work {
                    let changed = tx.exec(
                        "UPDATE custody_activation SET state = $3, outcome = $4
                         WHERE facility = $1 AND number = $2 AND item = $5 AND state = 'reserved'
                             AND id = $6",
                        &[
                            (&row.facility).into(),
                            row.number.into(),
                            to.name().into(),
                            (tx.next_index()? + outcomes.len() as u64).into(),
                            row.item.into(),
                            row.id.into(),
                        ],
                    )?;
                    if changed != 1 {
                        continue;
                    }
                    if to == OrderState::Released && row.prepared.is_none() {
                        give_back(tx, row)?;
                    }
                    outcomes.push(Outcome(record.clone()));
                }
                if let (Some(sad), OrderState::Released) = (&sad, to) {
                    sad.give_back(tx, outcomes.len() as u64)?;
                }
                Ok(((), outcomes))
            })
            .await;
        recorded.map(drop)
    }
}

/// Returns one draw to its budget.
fn give_back(tx: &Tx<'_>, row: &OrderRow) -> Result<(), Fault> {
    tx.exec(
        "UPDATE custody_counter SET remaining = remaining + 1,
             hour_used = CASE WHEN hour = $2 AND hour_used > 0 THEN hour_used - 1
                 ELSE hour_used END
         WHERE budget = $1 AND remaining < (SELECT count FROM custody_budget WHERE id = $1)",
        &[row.budget.into(), hour(row.reserved).into()],
    )?;
    Ok(())
}
