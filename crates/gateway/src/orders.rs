//! The order journal: what was asked for, durable before it is sent.
//!
//! Open → Done | Refused. Dying before the order is committed: nothing was sent, the EHR asks
//! again. Dying after: the order is open and is resumed under its number, so the platform can
//! answer with what it already made. The document to be signed is sealed in the row while the order
//! is open, the signed one for a day after, so that an EHR that lost its answer can fetch it.

use std::sync::Arc;

use hpki::encoding::{Digest32, Statement};
use hpki::id::{CeremonyId, KeyId, OrderNumber, PersonId};
use hpki::kind::DocumentKind;
use hpki::refusal::Refuse as _;
use hpki::sign::Random;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Row, Store};

use crate::config::GatewayConfig;
use crate::names::StaffId;
use crate::refusal::Refusal;
use crate::seal::ShelfKey;

/// How long the platform answers a repeated order (protocols §5), and documents are kept here.
pub(crate) const ORDER_LIFE_S: u64 = 24 * 3600;
/// How long after it was written an order may still make a new signature. Later it only asks
/// whether one was made: nobody is surprised in the afternoon by a signature of the morning.
pub(crate) const FRESH_S: u64 = 600;

/// An open order.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) number: OrderNumber,
    pub(crate) staff: StaffId,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) kind: DocumentKind,
    pub(crate) digest: Digest32,
    pub(crate) created: Timestamp,
    /// The unsigned document.
    pub(crate) document: Vec<u8>,
    /// The ceremony in which its owner approves it, where she approves each document.
    pub(crate) approval: Option<CeremonyId>,
    /// The number of the batch in which it is asked for; the platform knows that one.
    pub(crate) batch: Option<OrderNumber>,
}

impl Order {
    /// The number under which the platform is asked.
    pub(crate) fn asked_as(&self) -> OrderNumber {
        self.batch.unwrap_or(self.number)
    }
}

pub(crate) struct Orders {
    pub(crate) store: Store,
    config: Arc<GatewayConfig>,
    key: Arc<ShelfKey>,
}

pub(crate) const COLUMNS: &str =
    "number, staff, person, key, kind, digest, created, document, approval, batch";

impl Orders {
    pub(crate) const fn new(store: Store, config: Arc<GatewayConfig>, key: Arc<ShelfKey>) -> Self {
        Self { store, config, key }
    }

    fn about(&self, number: &OrderNumber, state: &str) -> Statement {
        Statement::new("azukari/gateway/order/v1")
            .text(self.config.facility.as_str())
            .text(self.config.gateway.as_str())
            .octets_field(number.octets())
            .text(state)
    }

    /// Writes an order down. If the same staff member has an open, fresh order over the same
    /// digest, that one is taken up again instead: an EHR that asks twice gets one signature.
    pub(crate) async fn begin(
        &self,
        order: Order,
        random: &dyn Random,
    ) -> Result<Order, Failed<Refusal>> {
        let sealed = self.key.seal(&self.about(&order.number, "open"), &order.document, random)?;
        let written = order.clone();
        let row = self
            .store
            .write(move |tx| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM gateway_order WHERE staff = $1 AND digest = $2
                     AND kind = $3 AND person = $4 AND state = 'open' AND created >= $5
                     AND batch IS NULL LIMIT 1"
                );
                let same = tx.query(
                    &sql,
                    &[
                        written.staff.as_str().into(),
                        written.digest.into(),
                        written.kind.into(),
                        written.person.into(),
                        written.created.minus(FRESH_S).into(),
                    ],
                )?;
                if let Some(row) = same.into_iter().next() {
                    return Ok(Some(row));
                }
                tx.exec(
                    "INSERT INTO gateway_order
                     (number, staff, person, key, kind, digest, created, state, document)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8)",
                    &[
                        written.number.into(),
                        written.staff.as_str().into(),
                        written.person.into(),
                        written.key.into(),
                        written.kind.into(),
                        written.digest.into(),
                        written.created.into(),
                        sealed.as_slice().into(),
                    ],
                )?;
                Ok::<_, Failed<Refusal>>(None)
            })
            .await?;
        match row {
            None => Ok(order),
            Some(row) => Ok(self.read(&row)?),
        }
    }

    /// Every open order that is asked for by itself, oldest first; one that waits for an approval only when nobody can give it
    /// any more.
    pub(crate) async fn open(&self, now: Timestamp) -> Result<Vec<Order>, Failed<Refusal>> {
        let rows = self
            .store
            .read(move |tx| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM gateway_order
                     WHERE (state = 'open' AND batch IS NULL)
                         OR (state = 'waiting' AND created < $1)
                     ORDER BY created, number LIMIT 1000"
                );
                Ok::<_, Failed<Refusal>>(tx.query(&sql, &[now.minus(FRESH_S).into()])?)
            })
            .await?;
        rows.iter().map(|row| Ok(self.read(row)?)).collect()
    }

    /// Closes an order with its signed document. `false` if it was closed before.
    pub(crate) async fn done(
        &self,
        number: OrderNumber,
        signed: &[u8],
        random: &dyn Random,
    ) -> Result<bool, Failed<Refusal>> {
        let sealed = self.key.seal(&self.about(&number, "done"), signed, random)?;
        self.store
            .write(move |tx| {
                let changed = tx.exec(
                    "UPDATE gateway_order SET state = 'done', document = $2
                     WHERE number = $1 AND state = 'open'",
                    &[number.into(), sealed.as_slice().into()],
                )?;
                Ok(changed == 1)
            })
            .await
    }

    /// Closes an order without a document.
    pub(crate) async fn refused(
        &self,
        number: OrderNumber,
        refusal: &Refusal,
    ) -> Result<(), Failed<Refusal>> {
        let code = code_of(refusal);
        self.store
            .write(move |tx| {
                tx.exec(
                    "UPDATE gateway_order SET state = 'refused', code = $2, document = NULL
                     WHERE number = $1 AND state IN ('open', 'waiting')",
                    &[number.into(), code.as_str().into()],
                )?;
                Ok(())
            })
            .await
    }

    /// The signed document of an order that was done within a day.
    pub(crate) async fn document(&self, number: OrderNumber) -> Result<Vec<u8>, Failed<Refusal>> {
        let row = self
            .store
            .read(move |tx| {
                Ok::<_, Failed<Refusal>>(tx.query_opt(
                    "SELECT document FROM gateway_order WHERE number = $1 AND state = 'done'",
                    &[number.into()],
                )?)
            })
            .await?;
        let row = row.ok_or(Failed::Refused(Refusal::OrderUnknown))?;
        let sealed = row.opt_blob(0)?.ok_or(Failed::Refused(Refusal::OrderExpired))?;
        let clear = self.key.open(&self.about(&number, "done"), sealed);
        Ok(clear.ok_or_else(|| broken_seal(&number))?.to_vec())
    }

    /// Erases what is over: documents after a day, expired tokens, forgotten ceremonies.
    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<u64, Failed<Refusal>> {
        self.store
            .write(move |tx| {
                let before = now.minus(ORDER_LIFE_S);
                let erased = tx.exec(
                    "UPDATE gateway_order SET document = NULL, evidence = NULL
                     WHERE state = 'done' AND document IS NOT NULL AND created < $1",
                    &[before.into()],
                )?;
                tx.exec(
                    "UPDATE gateway_card_order SET document = NULL
                     WHERE state = 'done' AND document IS NOT NULL AND created < $1",
                    &[before.into()],
                )?;
                // Nobody signs any more what has waited so long.
                tx.exec(
                    "UPDATE gateway_card_order
                     SET state = 'refused', code = 'card-order-over', document = NULL
                     WHERE state = 'waiting' AND created < $1",
                    &[now.minus(FRESH_S).into()],
                )?;
                let tokens =
                    tx.exec("DELETE FROM gateway_shelf WHERE until <= $1", &[now.into()])?;
                let before = now.minus(3600);
                tx.exec("DELETE FROM gateway_ceremony WHERE began < $1", &[before.into()])?;
                let before = now.minus(ORDER_LIFE_S);
                tx.exec("DELETE FROM gateway_approval WHERE began < $1", &[before.into()])?;
                Ok(erased + tokens)
            })
            .await
    }

    /// Seals a document of an order in this state.
    pub(crate) fn seal(
        &self,
        number: &OrderNumber,
        state: &str,
        document: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, Fault> {
        Ok(self.key.seal(&self.about(number, state), document, random)?)
    }

    /// Opens what was sealed so.
    pub(crate) fn unseal(
        &self,
        number: &OrderNumber,
        state: &str,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let clear = self.key.open(&self.about(number, state), sealed);
        Ok(clear.ok_or_else(|| broken_seal(number))?.to_vec())
    }

    pub(crate) fn read(&self, row: &Row) -> Result<Order, Fault> {
        let number: [u8; 16] = row.array(0)?;
        let number = order_number(&number)?;
        let staff = row.text(1)?.parse().map_err(|_| Fault::Row("not a staff ID".into()))?;
        let sealed = row.blob(7)?;
        let clear = self.key.open(&self.about(&number, "open"), sealed);
        Ok(Order {
            number,
            staff,
            person: PersonId::from_octets(row.array(2)?),
            key: KeyId::from_octets(row.array(3)?),
            kind: row.parsed(4)?,
            digest: row.array(5)?,
            created: row.time(6)?,
            document: clear.ok_or_else(|| broken_seal(&number))?.to_vec(),
            approval: row.opt_array(8)?.map(CeremonyId::from_octets),
            batch: row.opt_array(9)?.map(|octets| order_number(&octets)).transpose()?,
        })
    }
}

/// The code under which a refused order is remembered.
pub(crate) fn code_of(refusal: &Refusal) -> String {
    match refusal {
        Refusal::PlatformRefused { code, .. } => format!("platform-refused:{code}"),
        other => other.code().to_owned(),
    }
}

fn broken_seal(number: &OrderNumber) -> Fault {
    Fault::Row(format!("the document of order {number} does not open under this shelf key"))
}

pub(crate) fn order_number(octets: &[u8; 16]) -> Result<OrderNumber, Fault> {
    let hex = hex::encode(octets);
    hex.parse().map_err(|_| Fault::Row("not an order number".into()))
}
