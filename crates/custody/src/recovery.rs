//! Closing what was left open.
//!
//! | we died | what is true | what closes it |
//! |---|---|---|
//! | before commit A | nothing | the retry is new |
//! | between A and B | the intention stands; a signature at most in lost memory | lease over: released, outcome `interrupted`, the draw returned |
//! | after B | consumed, stored, in the journal | the retry gets the stored answer |
//!
//! Start-up, the job that runs every few seconds, a retry that meets a lapsed lease, and a device
//! that failed all go through [`Inner::release`].

use hpki::time::Timestamp;
use ledger::{Event, Failed, Outcome, OutcomeFields, Record};

use crate::Failed as Bad;
use crate::limits::hour;
use crate::order::{OrderRow, OrderState};
use crate::room::{Custody, Inner};

/// What recovery did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Reservations that were closed as interrupted.
    pub released: u64,
}

impl Custody {
    /// At start-up: closes every reservation that an earlier process left open. The embedded store
    /// is locked by one process, so another holder is one that is no more.
    pub async fn recover(&self, now: Timestamp) -> Result<Recovered, Bad> {
        let own = self.0.holder;
        self.0.close(now, Some(own)).await
    }

    /// Every few seconds: closes reservations whose lease is over, and unloads idle keys.
    pub async fn sweep(&self, now: Timestamp) -> Result<Recovered, Bad> {
        self.0.room.forget_idle(now);
        self.0.close(now, None).await
    }
}

impl Inner {
    async fn close(&self, now: Timestamp, alone: Option<[u8; 16]>) -> Result<Recovered, Bad> {
        let mut recovered = Recovered::default();
        loop {
            let abandoned = self
                .ledger
                .read(move |tx| Ok(OrderRow::abandoned(tx, now, alone.as_ref())?))
                .await?;
            if abandoned.is_empty() {
                return Ok(recovered);
            }
            for row in &abandoned {
                self.release(row, OrderState::Released, now).await?;
                recovered.released += 1;
            }
        }
    }

    /// Closes a reservation without a signature: `released` returns the draw, `failed` does not.
    /// Somebody else having moved it is as good.
    pub(crate) async fn release(
        &self,
        row: &OrderRow,
        to: OrderState,
        now: Timestamp,
    ) -> Result<(), Bad> {
        let mut record = Record::of_key(Event::SignatureInterrupted, row.key, self.present(now));
        record.facility = Some(row.facility.clone());
        record.kind = Some(row.recipe.kind);
        record.dtbsr = Some(row.dtbsr);
        record.activation = Some(row.id);
        record.outcome =
            Some(OutcomeFields { signature_hash: None, intention_index: row.intention });
        let work = (row.clone(), record);
        let recorded = self
            .ledger
            .record(move |tx| {
                let (row, record) = &work;
                let changed = tx.exec(
                    "UPDATE custody_activation SET state = $3, outcome = $4
                     WHERE facility = $1 AND number = $2 AND state = 'reserved' AND id = $5",
                    &[
                        (&row.facility).into(),
                        row.number.into(),
                        to.name().into(),
                        tx.next_index()?.into(),
                        row.id.into(),
                    ],
                )?;
                if changed != 1 {
                    return Err(Failed::Refused(()));
                }
                if to == OrderState::Released {
                    tx.exec(
                        "UPDATE custody_counter SET remaining = remaining + 1,
                             hour_used = CASE WHEN hour = $2 AND hour_used > 0
                                 THEN hour_used - 1 ELSE hour_used END
                         WHERE budget = $1 AND remaining <
                             (SELECT count FROM custody_budget WHERE id = $1)",
                        &[row.budget.into(), hour(row.reserved).into()],
                    )?;
                }
                Ok(((), Outcome(record.clone())))
            })
            .await;
        match recorded {
            Ok(_) | Err(Failed::Refused(())) => Ok(()),
            Err(Failed::Fault(fault)) => Err(fault.into()),
        }
    }
}
