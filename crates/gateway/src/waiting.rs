//! Orders that wait for their owner's approval, and what is kept of it.
//!
//! Waiting → Done | Refused. A waiting order is never sent to be signed by itself: its signature is
//! fetched with the approval, or asked about later.

use hpki::encoding::Digest32;
use hpki::id::{CeremonyId, KeyId, OrderNumber, PersonId};
use hpki::kind::DocumentKind;
use hpki::sign::Random;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Row, Tx, Value};

use crate::approving::Asked;
use crate::batch::DocumentOutcome;
use crate::orders::{COLUMNS, Order, Orders, code_of, order_number};
use crate::refusal::{ORDER_IN_PROGRESS, Refusal};

impl Orders {
    /// Writes down what is asked, and each of its orders.
    pub(crate) async fn wait(
        &self,
        asked: &Asked,
        orders: &[Order],
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let mut rows = Vec::with_capacity(orders.len());
        for order in orders {
            let sealed = self.seal(&order.number, "open", &order.document, random)?;
            rows.push((order.clone(), sealed));
        }
        let asked = asked.clone();
        self.store
            .write(move |tx| {
                let kinds: Vec<&str> = asked.kinds.iter().map(|kind| kind.name()).collect();
                tx.exec(
                    "INSERT INTO gateway_approval (ceremony, staff, terminal, person, kept, kinds,
                        documents, root, not_after, began)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    &[
                        asked.ceremony.into(),
                        asked.staff.as_str().into(),
                        asked.terminal.as_str().into(),
                        asked.person.into(),
                        asked.key.into(),
                        kinds.join(" ").into(),
                        asked.count.into(),
                        asked.root.into(),
                        asked.not_after.into(),
                        now.into(),
                    ],
                )?;
                for (item, (order, sealed)) in rows.iter().enumerate() {
                    tx.exec(
                        "INSERT INTO gateway_order (number, staff, person, key, kind, digest,
                            created, state, document, approval, item)
                         VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, $9, $10)",
                        &[
                            order.number.into(),
                            order.staff.as_str().into(),
                            order.person.into(),
                            order.key.into(),
                            order.kind.into(),
                            order.digest.into(),
                            order.created.into(),
                            sealed.as_slice().into(),
                            asked.ceremony.into(),
                            (item as u64).into(),
                        ],
                    )?;
                }
                Ok(())
            })
            .await
    }

    /// What was asked with this ceremony.
    pub(crate) async fn asked(
        &self,
        ceremony: CeremonyId,
    ) -> Result<Option<Asked>, Failed<Refusal>> {
        let row = self
            .store
            .read(move |tx| {
                Ok::<_, Failed<Refusal>>(tx.query_opt(
                    "SELECT ceremony, staff, terminal, person, kept, kinds, documents, root,
                        not_after
                     FROM gateway_approval WHERE ceremony = $1",
                    &[ceremony.into()],
                )?)
            })
            .await?;
        Ok(row.as_ref().map(asked).transpose()?)
    }

    /// Its orders that still wait, each with its place among the papers.
    pub(crate) async fn waiting(
        &self,
        ceremony: CeremonyId,
    ) -> Result<Vec<(usize, Order)>, Failed<Refusal>> {
        let rows = self
            .store
            .read(move |tx| {
                let sql = format!(
                    "SELECT {COLUMNS}, item FROM gateway_order
                     WHERE approval = $1 AND state = 'waiting' ORDER BY item"
                );
                Ok::<_, Failed<Refusal>>(tx.query(&sql, &[ceremony.into()])?)
            })
            .await?;
        rows.iter()
            .map(|row| {
                let item = usize::try_from(row.number(10)?).unwrap_or(usize::MAX);
                Ok((item, self.read(row)?))
            })
            .collect()
    }

    /// Closes every order that still waits for this approval.
    pub(crate) async fn refuse_waiting(
        &self,
        ceremony: CeremonyId,
        refusal: &Refusal,
    ) -> Result<(), Failed<Refusal>> {
        let code = code_of(refusal);
        self.store
            .write(move |tx| {
                tx.exec(
                    "UPDATE gateway_order SET state = 'refused', code = $2, document = NULL
                     WHERE approval = $1 AND state = 'waiting'",
                    &[ceremony.into(), code.as_str().into()],
                )?;
                Ok(())
            })
            .await
    }

    /// Closes an order with its signed document and its evidence. `false` if it was closed before.
    pub(crate) async fn approved(
        &self,
        number: OrderNumber,
        signed: &[u8],
        evidence: &str,
        random: &dyn Random,
    ) -> Result<bool, Failed<Refusal>> {
        let sealed = self.seal(&number, "done", signed, random)?;
        let evidence = evidence.to_owned();
        self.store
            .write(move |tx| {
                let changed = tx.exec(
                    "UPDATE gateway_order SET state = 'done', document = $2, evidence = $3
                     WHERE number = $1 AND state = 'waiting'",
                    &[number.into(), sealed.as_slice().into(), evidence.as_str().into()],
                )?;
                Ok(changed == 1)
            })
            .await
    }

    /// What became of each order of this approval, in the order of the papers.
    pub(crate) async fn outcomes(
        &self,
        ceremony: CeremonyId,
    ) -> Result<Vec<DocumentOutcome>, Failed<Refusal>> {
        self.outcomes_of(
            "SELECT number, kind, state, code, document FROM gateway_order
             WHERE approval = $1 AND state <> 'waiting' ORDER BY item",
            ceremony.into(),
        )
        .await
    }

    /// What became of the orders that this finds.
    pub(crate) async fn outcomes_of(
        &self,
        sql: &'static str,
        of: Value,
    ) -> Result<Vec<DocumentOutcome>, Failed<Refusal>> {
        let read = move |tx: &mut Tx<'_>| {
            Ok::<_, Failed<Refusal>>(tx.query(sql, std::slice::from_ref(&of))?)
        };
        let rows = self.store.read(read).await?;
        let mut documents = Vec::with_capacity(rows.len());
        for row in &rows {
            let order = order_number(&row.array(0)?)?;
            let kind: DocumentKind = row.parsed(1)?;
            let outcome = match (row.text(2)?, row.opt_blob(4)?) {
                ("done", Some(sealed)) => Ok(self.unseal(&order, "done", sealed)?),
                ("done", None) => Err("order-expired".to_owned()),
                ("open", _) => Err(ORDER_IN_PROGRESS.to_owned()),
                _ => Err(row.opt_text(3)?.unwrap_or_default().to_owned()),
            };
            documents.push(DocumentOutcome { order, kind, outcome });
        }
        Ok(documents)
    }

    /// The evidence of an order that was done.
    pub(crate) async fn evidence(&self, number: OrderNumber) -> Result<String, Failed<Refusal>> {
        let row = self
            .store
            .read(move |tx| {
                Ok::<_, Failed<Refusal>>(tx.query_opt(
                    "SELECT evidence FROM gateway_order WHERE number = $1 AND evidence IS NOT NULL",
                    &[number.into()],
                )?)
            })
            .await?;
        let row = row.ok_or(Failed::Refused(Refusal::OrderUnknown))?;
        Ok(row.text(0)?.to_owned())
    }
}

fn asked(row: &Row) -> Result<Asked, Fault> {
    let odd = |what: &str| Fault::Row(format!("gateway_approval: {what}"));
    let kinds = row.text(5)?.split(' ').map(str::parse).collect::<Result<_, _>>();
    let root: Digest32 = row.array(7)?;
    Ok(Asked {
        ceremony: CeremonyId::from_octets(row.array(0)?),
        staff: row.text(1)?.parse().map_err(|_| odd("staff"))?,
        terminal: row.text(2)?.parse().map_err(|_| odd("terminal"))?,
        person: PersonId::from_octets(row.array(3)?),
        key: KeyId::from_octets(row.array(4)?),
        kinds: kinds.map_err(|_| odd("kinds"))?,
        count: u32::try_from(row.number(6)?).map_err(|_| odd("documents"))?,
        root,
        not_after: row.time(8)?,
    })
}
