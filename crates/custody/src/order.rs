//! The order table: what was asked under which number, and what a retry gets.
//!
//! authorised → reserved → consumed | released | failed, authorised → expired, and released →
//! reserved while the stored SignedInfo may still be used. Each move is a compare-and-set; whoever changes no row has come too late.

use hpki::encoding::{Digest32, Statement};
use hpki::id::{ActivationId, BudgetId, FacilityCode, KeyId, OrderNumber, PreparedId, TokenId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::{Fault, Row, Tx};
use xades::compose::Recipe;

use crate::limits::{ANSWER_S, RESUME_S};
use crate::refusal::Refusal;

/// Octets of an RSA-2048 signature, kept free in the row of an order.
const PLACE: usize = 256;

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
    Authorised,
    Expired,
    Reserved,
    Consumed,
    Released,
    Failed,
}

impl OrderState {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Authorised => "authorised",
            Self::Expired => "expired",
            Self::Reserved => "reserved",
            Self::Consumed => "consumed",
            Self::Released => "released",
            Self::Failed => "failed",
        }
    }

    const ALL: [Self; 6] = [
        Self::Authorised,
        Self::Expired,
        Self::Reserved,
        Self::Consumed,
        Self::Released,
        Self::Failed,
    ];
}

/// The row of one hash of an order.
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
    /// Its place in the order.
    pub(crate) item: u32,
    /// How many the order has; 0 where it was asked for alone.
    pub(crate) size: u32,
    /// The approval of exactly this; else the budget was drawn.
    pub(crate) prepared: Option<PreparedId>,
    /// Until when it may be reserved, while it is authorised.
    pub(crate) expires: Option<Timestamp>,
}

const COLUMNS: &str = "facility, number, request, id, budget, kept, kind, digest, dtbsr, \
    signing_time, mark, state, holder, lease, reserved, intention, outcome, consumed, signature, \
    item, size, prepared, expires";

impl OrderRow {
    pub(crate) fn read(
        tx: &Tx<'_>,
        facility: &FacilityCode,
        number: OrderNumber,
        item: u32,
    ) -> Result<Option<Self>, Fault> {
        let sql = format!(
            "SELECT {COLUMNS} FROM custody_activation
             WHERE facility = $1 AND number = $2 AND item = $3"
        );
        let row = tx.query_opt(&sql, &[facility.into(), number.into(), item.into()])?;
        row.as_ref().map(Self::from_row).transpose()
    }

    /// Every item of an order, in their order.
    pub(crate) fn items(
        tx: &Tx<'_>,
        facility: &FacilityCode,
        number: OrderNumber,
    ) -> Result<Vec<Self>, Fault> {
        let sql = format!(
            "SELECT {COLUMNS} FROM custody_activation
             WHERE facility = $1 AND number = $2 ORDER BY item"
        );
        tx.query(&sql, &[facility.into(), number.into()])?.iter().map(Self::from_row).collect()
    }

    /// Writes a new row in its state, for the intention that commits with it; false if the number
    /// and item are taken.
    pub(crate) fn insert(
        &self,
        tx: &Tx<'_>,
        intention: u64,
        bearer: TokenId,
    ) -> Result<bool, Fault> {
        let changed = tx.exec(
            "INSERT INTO custody_activation (facility, number, request, id, budget, kept, kind,
                 digest, dtbsr, signing_time, mark, state, holder, lease, attempts, reserved,
                 intention, bearer, item, size, prepared, expires, signature)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, $15,
                 $16, $17, $18, $19, $20, $21, $22) ON CONFLICT DO NOTHING",
            &[
                (&self.facility).into(),
                self.number.into(),
                (&self.request).into(),
                self.id.into(),
                self.budget.into(),
                self.key.into(),
                self.recipe.kind.into(),
                (&self.recipe.digest).into(),
                (&self.dtbsr).into(),
                self.recipe.signing_time.into(),
                (&self.recipe.mark).into(),
                self.state.name().into(),
                (&self.holder).into(),
                self.lease.into(),
                self.reserved.into(),
                intention.into(),
                bearer.into(),
                self.item.into(),
                self.size.into(),
                self.prepared.into(),
                self.expires.into(),
                (&[0; PLACE]).into(),
            ],
        )?;
        Ok(changed == 1)
    }

    /// Every activation that rests on an approval of its own.
    pub(crate) fn approved(tx: &Tx<'_>) -> Result<Vec<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_activation WHERE prepared IS NOT NULL");
        tx.query(&sql, &[])?.iter().map(Self::from_row).collect()
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
        let small = |column| u32::try_from(row.number(column)?).map_err(|_| odd("an item"));
        let state = {
            let name = row.text(11)?;
            let mut states = OrderState::ALL.into_iter();
            states.find(|state| state.name() == name).ok_or_else(|| odd("state"))?
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
            item: small(19)?,
            size: small(20)?,
            prepared: match row.opt_blob(21)? {
                None => None,
                Some(octets) => {
                    Some(PreparedId::from_slice(octets).ok_or_else(|| odd("prepared"))?)
                }
            },
            expires: row.opt_time(22)?,
        })
    }

    /// Its part of commit B; false if it is not this holder's any more, or not in time.
    pub(crate) fn consume(
        &self,
        tx: &Tx<'_>,
        outcome: u64,
        present: Timestamp,
        signature: &[u8],
    ) -> Result<bool, Fault> {
        let changed = tx.exec(
            "UPDATE custody_activation
             SET state = 'consumed', outcome = $5, consumed = $6, signature = $7
             WHERE facility = $1 AND number = $2 AND item = $3 AND state = 'reserved' AND id = $4
                 AND holder = $8 AND lease > $6",
            &[
                (&self.facility).into(),
                self.number.into(),
                self.item.into(),
                self.id.into(),
                outcome.into(),
                present.into(),
                signature.into(),
                (&self.holder).into(),
            ],
        )?;
        Ok(changed == 1)
    }

    /// What a retry with this request gets.
    pub(crate) fn judge(&self, request: &Digest32, now: Timestamp) -> Result<Retry, Refusal> {
        if self.request == *request { self.next(now) } else { Err(Refusal::OrderReused) }
    }

    /// What can be done with it.
    pub(crate) fn next(&self, now: Timestamp) -> Result<Retry, Refusal> {
        match self.state {
            OrderState::Authorised if self.expires.is_some_and(|expires| now < expires) => {
                Ok(Retry::Reserve)
            }
            OrderState::Authorised | OrderState::Expired => Err(Refusal::ActivationExpired),
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
    /// It was authorised and waits to be signed.
    Reserve,
    /// Give the stored answer.
    Answer,
    /// Close the abandoned reservation first, then judge again.
    Release,
    /// Sign again what was composed then.
    Resume,
}

pub(crate) fn order_number(octets: [u8; 16]) -> Option<OrderNumber> {
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let text = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    text.parse().ok()
}
