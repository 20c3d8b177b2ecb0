//! The orders of a batch: written down together, each with its own outcome.

use hpki::encoding::Digest32;
use hpki::id::OrderNumber;
use hpki::kind::DocumentKind;
use hpki::sign::Random;
use ledger::Failed;

use crate::batch::DocumentOutcome;
use crate::orders::{COLUMNS, Order, Orders, order_number};
use crate::refusal::Refusal;

impl Orders {
    /// Whether this number is that of a batch, of just this request.
    ///
    /// Refused: `order-reused` where it is of another.
    pub(crate) async fn is_batch(
        &self,
        batch: OrderNumber,
        request: &Digest32,
    ) -> Result<bool, Failed<Refusal>> {
        let row = self
            .store
            .read(move |tx| {
                Ok::<_, Failed<Refusal>>(tx.query_opt(
                    "SELECT request FROM gateway_batch WHERE number = $1",
                    &[batch.into()],
                )?)
            })
            .await?;
        match row {
            None => Ok(false),
            Some(row) if row.array::<32>(0)? == *request => Ok(true),
            Some(_) => Err(Failed::Refused(Refusal::OrderReused)),
        }
    }

    /// Writes down a batch that is not there yet: all of it or nothing.
    pub(crate) async fn begin_batch(
        &self,
        batch: OrderNumber,
        request: &Digest32,
        orders: Vec<Order>,
        random: &dyn Random,
    ) -> Result<(), Failed<Refusal>> {
        let mut rows = Vec::with_capacity(orders.len());
        for order in orders {
            let sealed = self.seal(&order.number, "open", &order.document, random)?;
            rows.push((order, sealed));
        }
        let request = *request;
        self.store
            .write(move |tx| {
                let begun = tx.exec(
                    "INSERT INTO gateway_batch (number, request) VALUES ($1, $2)
                     ON CONFLICT DO NOTHING",
                    &[batch.into(), request.into()],
                )?;
                if begun == 0 {
                    // Somebody was first; whoever asked looks again.
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
