//! Balancing the books: what was drawn equals what was signed, nothing stays open, every seal holds.

use std::collections::HashMap;

use hpki::id::{BudgetId, PreparedId};
use ledger::Fault;

use crate::Failed as Bad;
use crate::binding::BindingRow;
use crate::budget::BudgetRow;
use crate::card::CardRow;
use crate::key::KeyRow;
use crate::order::OrderRow;
use crate::prepared::PreparedRow;
use crate::request::RequestRow;
use crate::room::{Custody, Inner};
use crate::sad::SadRow;

/// Rows read at a time.
const PAGE: u32 = 256;

/// What a reckoning found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// Kept keys.
    pub keys: u64,
    /// Phones ever linked.
    pub bindings: u64,
    /// My Number Cards ever linked.
    pub cards: u64,
    /// Budgets ever opened.
    pub budgets: u64,
    /// Signatures handed out or ready to be.
    pub consumed: u64,
    /// Reservations that are open now.
    pub reserved: u64,
    /// Approved by themselves and waiting to be signed.
    pub authorised: u64,
    /// Approved by themselves and not signed in time.
    pub expired: u64,
    /// Orders that were interrupted and gave their draw back.
    pub released: u64,
    /// Signatures that failed the self-check.
    pub failed: u64,
    /// Budgets whose draws are not what their orders say.
    pub unbalanced: Vec<BudgetId>,
    /// Approvals whose documents are not, one for one, the activations that rest on them.
    pub misapproved: Vec<PreparedId>,
    /// Rows that do not bear our seal.
    pub broken_seals: u64,
}

impl Books {
    /// Whether nothing is open and nothing is wrong. What waits to be signed is not open yet.
    pub fn balance(&self) -> bool {
        self.reserved == 0
            && self.unbalanced.is_empty()
            && self.misapproved.is_empty()
            && self.broken_seals == 0
    }
}

impl Custody {
    /// Reads every row once: keys, phones and cards a page at a time, budgets and what was approved at once.
    pub async fn books(&self) -> Result<Books, Bad> {
        let (prepared, sads, requests, approved) = self.0.approvals().await?;
        let (keys, bindings) = (self.0.keys().await?, self.0.bindings().await?);
        let cards = self.0.cards().await?;
        let (budgets, states, drawn) = self
            .0
            .ledger
            .read(|tx| {
                let states =
                    tx.query("SELECT state, count(*) FROM custody_activation GROUP BY state", &[])?;
                let drawn = tx.query(
                    "SELECT budget, count(*) FROM custody_activation
                     WHERE state <> 'released' AND prepared IS NULL GROUP BY budget",
                    &[],
                )?;
                let drawn = drawn
                    .iter()
                    .map(|row| Ok((BudgetId::from_octets(row.array(0)?), row.int(1)?)))
                    .collect::<Result<HashMap<_, _>, Fault>>()?;
                Ok((BudgetRow::all(tx)?, states, drawn))
            })
            .await?;
        let mut books = Books {
            keys: keys.count,
            bindings: bindings.count,
            cards: cards.count,
            budgets: budgets.len() as u64,
            ..Books::default()
        };
        for row in &states {
            let count = row.number(1)?;
            match row.text(0)? {
                "consumed" => books.consumed = count,
                "reserved" => books.reserved = count,
                "released" => books.released = count,
                "authorised" => books.authorised = count,
                "expired" => books.expired = count,
                _ => books.failed = count,
            }
        }
        let room = &self.0.room;
        let mut broken = keys.broken + bindings.broken + cards.broken;
        for row in &budgets {
            broken += u64::from(!room.seal_holds(&row.statement(), &row.seal)?);
        }
        for row in &prepared {
            broken += u64::from(!room.seal_holds(&row.statement(), &row.seal)?);
        }
        for row in &sads {
            broken += u64::from(!room.seal_holds(&row.statement(), &row.seal)?);
        }
        for row in &requests {
            broken += u64::from(!room.seal_holds(&row.statement(), &row.seal)?);
        }
        books.broken_seals = broken;
        books.misapproved = misapproved(&prepared, &approved);
        let wrong = budgets.iter().filter(|row| {
            i64::from(row.count) - row.remaining != drawn.get(&row.id).copied().unwrap_or(0)
        });
        books.unbalanced = wrong.map(|row| row.id).collect();
        Ok(books)
    }
}

/// Rows of one table: how many, and how many of them do not bear our seal.
#[derive(Default)]
struct Counted {
    count: u64,
    broken: u64,
}

/// What was prepared, SADs, requests, and approved activations.
type Left = (Vec<PreparedRow>, Vec<SadRow>, Vec<RequestRow>, Vec<OrderRow>);

impl Inner {
    async fn keys(&self) -> Result<Counted, Bad> {
        let (mut counted, mut after) = (Counted::default(), Vec::new());
        loop {
            let from = after;
            let page = self.ledger.read(move |tx| Ok(KeyRow::page(tx, &from, PAGE)?)).await?;
            let Some(last) = page.last() else { return Ok(counted) };
            after = last.id.octets().to_vec();
            for row in &page {
                counted.count += 1;
                counted.broken += u64::from(!self.room.seal_holds(&row.statement(), &row.seal)?);
            }
        }
    }

    async fn cards(&self) -> Result<Counted, Bad> {
        let (mut counted, mut after) = (Counted::default(), Vec::new());
        loop {
            let from = after;
            let page = self.ledger.read(move |tx| Ok(CardRow::page(tx, &from, PAGE)?)).await?;
            let Some(last) = page.last() else { return Ok(counted) };
            after = last.id.octets().to_vec();
            for row in &page {
                counted.count += 1;
                counted.broken += u64::from(!self.room.seal_holds(&row.statement(), &row.seal)?);
            }
        }
    }

    async fn bindings(&self) -> Result<Counted, Bad> {
        let (mut counted, mut after) = (Counted::default(), Vec::new());
        loop {
            let from = after;
            let page = self.ledger.read(move |tx| Ok(BindingRow::page(tx, &from, PAGE)?)).await?;
            let Some(last) = page.last() else { return Ok(counted) };
            after = last.id.octets().to_vec();
            for row in &page {
                counted.count += 1;
                counted.broken += u64::from(!self.room.seal_holds(&row.statement()?, &row.seal)?);
            }
        }
    }

    /// Everything that programs and documents approved by themselves left: what was prepared, the
    /// SADs, the requests, and the activations.
    async fn approvals(&self) -> Result<Left, Bad> {
        self.ledger
            .read(|tx| {
                let (sads, requests) = (SadRow::all(tx)?, RequestRow::all(tx)?);
                Ok((PreparedRow::all(tx)?, sads, requests, OrderRow::approved(tx)?))
            })
            .await
    }
}

/// Each approved document has one activation and each activation rests on one approved document.
fn misapproved(prepared: &[PreparedRow], activations: &[OrderRow]) -> Vec<PreparedId> {
    let mut rows: HashMap<PreparedId, Vec<&OrderRow>> = HashMap::new();
    for row in activations {
        rows.entry(row.prepared.unwrap_or(PreparedId::from_octets([0; 16]))).or_default().push(row);
    }
    let mut wrong = Vec::new();
    for one in prepared {
        let found = rows.remove(&one.id).unwrap_or_default();
        let expected = if one.approved.is_some() { one.documents.len() } else { 0 };
        let theirs = found.iter().all(|row| one.document_of(row).is_some());
        if found.len() != expected || !theirs {
            wrong.push(one.id);
        }
    }
    wrong.extend(rows.into_keys());
    wrong
}
