//! The orders of a batch: written down together, each with its own outcome.

use hpki::encoding::Digest32;
use hpki::id::OrderNumber;
use hpki::kind::DocumentKind;
use hpki::sign::Random;
use ledger::Failed;

use crate::batch::DocumentOutcome;
use crate::names::StaffId;
use crate::orders::{COLUMNS, Order, Orders, order_number};
use crate::refusal::Refusal;

impl Orders {
    /// Whether this number is that of a batch of just these documents for this staff member.
    ///
    /// Refused: `order-reused` where it is of others.
    pub(crate) async fn is_batch(
        &self,
        batch: OrderNumber,
        staff: &StaffId,
        digests: &[Digest32],
    ) -> Result<bool, Failed<Refusal>> {
        let rows = self
            .store
            .read(move |tx| {
                Ok::<_, Failed<Refusal>>(tx.query(
                    "SELECT staff, digest FROM gateway_order WHERE batch = $1 ORDER BY item",
                    &[batch.into()],
                )?)
            })
            .await?;
        let mut same = rows.len() == digests.len();
        for (row, digest) in rows.iter().zip(digests) {
            same &= row.text(0)? == staff.as_str() && row.array::<32>(1)? == *digest;
        }
        match (rows.is_empty(), same) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => Err(Failed::Refused(Refusal::OrderReused)),
        }
    }

    /// Writes down a batch that is not there yet: all of it or nothing.
    pub(crate) async fn begin_batch(
        &self,
        batch: OrderNumber,
        orders: Vec<Order>,
        random: &dyn Random,
    ) -> Result<(), Failed<Refusal>> {
        let mut rows = Vec::with_capacity(orders.len());
        for order in orders {
            let sealed = self.seal(&order.number, "open", &order.document, random)?;
            rows.push((order, sealed));
        }
        self.store
            .write(move |tx| {
                let taken = tx.query_opt(
                    "SELECT 1 FROM gateway_order WHERE batch = $1 LIMIT 1",
                    &[batch.into()],
                )?;
                if taken.is_some() {
                    // Somebody was first, at the same moment; whoever asked looks again.
                    return Ok(());
                }
                for (item, (order, sealed)) in rows.iter().enumerate() {
                    tx.exec(
                        "INSERT INTO gateway_order (number, staff, person, key, kind, digest,
                            created, state, document, batch, item)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9, $10)",
                        &[
                            order.number.into(),
                            order.staff.as_str().into(),
                            order.person.into(),
                            order.key.into(),
                            order.kind.into(),
                            order.digest.into(),
                            order.created.into(),
                            sealed.as_slice().into(),
                            batch.into(),
                            (item as u64).into(),
                        ],
                    )?;
                }
                Ok(())
            })
            .await
    }

    /// Batches with open orders, oldest first.
    pub(crate) async fn open_batches(&self) -> Result<Vec<OrderNumber>, Failed<Refusal>> {
        let rows = self
            .store
            .read(|tx| {
                Ok::<_, Failed<Refusal>>(tx.query(
                    "SELECT batch, min(created) FROM gateway_order
                     WHERE state = 'open' AND batch IS NOT NULL
                     GROUP BY batch ORDER BY 2 LIMIT 100",
                    &[],
                )?)
            })
            .await?;
        rows.iter().map(|row| Ok(order_number(&row.array(0)?)?)).collect()
    }

    /// The orders of a batch that are still open, each with its place in it.
    pub(crate) async fn open_batch(
        &self,
        batch: OrderNumber,
    ) -> Result<Vec<(usize, Order)>, Failed<Refusal>> {
        let rows = self
            .store
            .read(move |tx| {
                let sql = format!(
                    "SELECT {COLUMNS}, item FROM gateway_order
                     WHERE batch = $1 AND state = 'open' ORDER BY item"
                );
                Ok::<_, Failed<Refusal>>(tx.query(&sql, &[batch.into()])?)
            })
            .await?;
        rows.iter()
            .map(|row| {
                let item = usize::try_from(row.number(10)?).unwrap_or(usize::MAX);
                Ok((item, self.read(row)?))
            })
            .collect()
    }

    /// What was asked of the platform, as it must be asked again.
    pub(crate) async fn batch_digests(
        &self,
        batch: OrderNumber,
    ) -> Result<Vec<(DocumentKind, Digest32)>, Failed<Refusal>> {
        let rows = self
            .store
            .read(move |tx| {
                Ok::<_, Failed<Refusal>>(tx.query(
                    "SELECT kind, digest FROM gateway_order WHERE batch = $1 ORDER BY item",
                    &[batch.into()],
                )?)
            })
            .await?;
        rows.iter().map(|row| Ok((row.parsed(0)?, row.array(1)?))).collect()
    }

    /// What became of each order of a batch, in the order of its documents.
    pub(crate) async fn batch_outcomes(
        &self,
        batch: OrderNumber,
    ) -> Result<Vec<DocumentOutcome>, Failed<Refusal>> {
        self.outcomes_of(
            "SELECT number, kind, state, code, document FROM gateway_order
             WHERE batch = $1 ORDER BY item",
            batch.into(),
        )
        .await
    }
}
