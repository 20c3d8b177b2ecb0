//! The order table: what was asked under which number, and what a retry gets.
//!
//! reserved → consumed | released | failed, and released → reserved while the stored SignedInfo may
//! still be used. Each move is a compare-and-set; whoever changes no row has come too late.

use hpki::encoding::{Digest32, Statement};
use hpki::id::{ActivationId, BudgetId, FacilityCode, KeyId, OrderNumber};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::{Fault, Row, Tx};
use xades::compose::Recipe;

use crate::limits::{ANSWER_S, RESUME_S};
use crate::refusal::Refusal;

/// One thing to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignOrder {
    /// Chosen by the gateway before it sends.
    pub number: OrderNumber,
    /// What the document is.
    pub kind: DocumentKind,
    /// The digest of the signed element (inclusive C14N 1.0, SHA-256).
    pub digest: Digest32,
}

impl SignOrder {
    /// What makes two requests the same: `H("azukari/order/v1"; facility, number, key, kind,
    /// digest)`.
    pub(crate) fn request(&self, facility: &FacilityCode, key: KeyId) -> Digest32 {
        Statement::new("azukari/order/v1")
            .text(facility.as_str())
            .octets_field(self.number.octets())
            .octets_field(key.octets())
            .text(self.kind.name())
            .octets_field(&self.digest)
            .digest()
    }
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderState {
    Reserved,
    Consumed,
    Released,
    Failed,
}

impl OrderState {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Consumed => "consumed",
            Self::Released => "released",
            Self::Failed => "failed",
        }
    }
}

/// The row of an order.
#[derive(Debug, Clone)]
pub(crate) struct OrderRow {
    pub(crate) facility: FacilityCode,
    pub(crate) number: OrderNumber,
    pub(crate) request: Digest32,
    pub(crate) id: ActivationId,
    pub(crate) budget: BudgetId,
    pub(crate) key: KeyId,
    pub(crate) recipe: Recipe,
    pub(crate) dtbsr: Digest32,
    pub(crate) state: OrderState,
    pub(crate) holder: [u8; 16],
    pub(crate) lease: Timestamp,
    pub(crate) reserved: Timestamp,
    pub(crate) intention: u64,
    pub(crate) outcome: Option<u64>,
    pub(crate) consumed: Option<Timestamp>,
    pub(crate) signature: Option<Vec<u8>>,
}

const COLUMNS: &str = "facility, number, request, id, budget, kept, kind, digest, dtbsr, \
    signing_time, mark, state, holder, lease, reserved, intention, outcome, consumed, signature";

impl OrderRow {
    pub(crate) fn read(
        tx: &Tx<'_>,
        facility: &FacilityCode,
        number: OrderNumber,
    ) -> Result<Option<Self>, Fault> {
        let sql =
            format!("SELECT {COLUMNS} FROM custody_activation WHERE facility = $1 AND number = $2");
        let row = tx.query_opt(&sql, &[facility.into(), number.into()])?;
        row.as_ref().map(Self::from_row).transpose()
    }

    /// Reservations that recovery must close: their lease is over, or, where `alone` is this
    /// process's holder id, somebody else held them, who is no more.
    pub(crate) fn abandoned(
        tx: &Tx<'_>,
        now: Timestamp,
        alone: Option<&[u8; 16]>,
    ) -> Result<Vec<Self>, Fault> {
        let rows = match alone {
            None => tx.query(
                &format!(
                    "SELECT {COLUMNS} FROM custody_activation
                     WHERE state = 'reserved' AND lease <= $1 LIMIT 1000"
                ),
                &[now.into()],
            ),
            Some(own) => tx.query(
                &format!(
                    "SELECT {COLUMNS} FROM custody_activation
                     WHERE state = 'reserved' AND (lease <= $1 OR holder <> $2) LIMIT 1000"
                ),
                &[now.into(), own.into()],
            ),
        }?;
        rows.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        let odd = |what: &str| Fault::Row(format!("custody_activation: {what}"));
        let number = row.array::<16>(1)?;
        let state = match row.text(11)? {
            "reserved" => OrderState::Reserved,
            "consumed" => OrderState::Consumed,
            "released" => OrderState::Released,
            "failed" => OrderState::Failed,
            _ => return Err(odd("state")),
        };
        let signature = (state == OrderState::Consumed).then(|| row.blob(18));
        Ok(Self {
            facility: row.parsed(0)?,
            number: order_number(number).ok_or_else(|| odd("number"))?,
            request: row.array(2)?,
            id: ActivationId::from_octets(row.array(3)?),
            budget: BudgetId::from_octets(row.array(4)?),
            key: KeyId::from_octets(row.array(5)?),
            recipe: Recipe {
                kind: row.parsed(6)?,
                digest: row.array(7)?,
                signing_time: row.time(9)?,
                mark: row.array(10)?,
            },
            dtbsr: row.array(8)?,
            state,
            holder: row.array(12)?,
            lease: row.time(13)?,
            reserved: row.time(14)?,
            intention: row.number(15)?,
            outcome: row.opt_number(16)?,
            consumed: row.opt_time(17)?,
            signature: signature.transpose()?.map(<[u8]>::to_vec),
        })
    }

    /// What a retry with this request gets.
    pub(crate) fn judge(&self, request: &Digest32, now: Timestamp) -> Result<Retry, Refusal> {
        if self.request != *request {
            return Err(Refusal::OrderReused);
        }
        match self.state {
            OrderState::Failed => Err(Refusal::KeyFrozen),
            OrderState::Consumed => self.answerable(now).map(|()| Retry::Answer),
            OrderState::Reserved if now < self.lease => Err(Refusal::OrderInProgress),
            OrderState::Reserved => Ok(Retry::Release),
            OrderState::Released if self.resumable(now) => Ok(Retry::Resume),
            OrderState::Released => Err(Refusal::OrderInterrupted),
        }
    }

    /// Whether what was composed may still be signed. Its age counts from the first composing:
    /// SigningTime must stay believable.
    pub(crate) fn resumable(&self, now: Timestamp) -> bool {
        now.since(self.recipe.signing_time) <= RESUME_S
    }

    /// Whether the stored answer is still repeated.
    pub(crate) fn answerable(&self, now: Timestamp) -> Result<(), Refusal> {
        match (self.consumed, self.outcome) {
            (Some(consumed), Some(_)) if now.since(consumed) <= ANSWER_S => Ok(()),
            (_, outcome) => Err(Refusal::OrderClosed(outcome.unwrap_or(self.intention))),
        }
    }
}

/// What to do with a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Give the stored answer.
    Answer,
    /// Close the abandoned reservation first, then judge again.
    Release,
    /// Sign again what was composed then.
    Resume,
}

fn order_number(octets: [u8; 16]) -> Option<OrderNumber> {
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let text = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    text.parse().ok()
}
