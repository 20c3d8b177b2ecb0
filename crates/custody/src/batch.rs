//! A batch: up to a thousand documents under one order number.
//!
//! All of it is reserved or nothing is; afterwards each document has its own outcome, and what
//! breaks one does not lose the others.

use std::sync::Arc;

use hpki::encoding::{Digest32, Statement};
use hpki::id::{ActivationId, FacilityCode, KeyId, OrderNumber};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::{Failed, Fault};
use xades::compose::{Draft, Recipe};

use crate::activation::Activation;
use crate::bearer::Bearer;
use crate::limits::CLOCK_BEHIND_S;
use crate::order::{OrderRow, OrderState, Retry};
use crate::policy::Mode;
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::sign::Signed;
use crate::spend::{Source, Spending, Spent, Stumble, Take};
use crate::token::Peer;
use crate::{Failed as Bad, refused};

/// The most documents of one batch.
pub const BATCH_MOST: usize = 1_000;
/// How often a batch is looked at again when others move it or what is remembered is stale.
pub(crate) const TRIES: usize = 6;

/// One document of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchItem {
    /// What the document is.
    pub kind: DocumentKind,
    /// The digest of the signed element (inclusive C14N 1.0, SHA-256).
    pub digest: Digest32,
}

/// Documents to sign under one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOrder {
    /// Chosen by the gateway before it sends.
    pub number: OrderNumber,
    /// Between 1 and 1,000 documents.
    pub items: Vec<BatchItem>,
}

impl BatchOrder {
    /// What makes two requests the same: `H("azukari/batch/v1"; facility, number, key, [kind…],
    /// digest…)`. Another domain than a single order's: the same number for both is reuse.
    fn request(&self, facility: &FacilityCode, key: KeyId) -> Digest32 {
        let kinds: Vec<&str> = self.items.iter().map(|item| item.kind.name()).collect();
        let statement = Statement::new("azukari/batch/v1")
            .text(facility.as_str())
            .octets_field(self.number.octets())
            .octets_field(key.octets())
            .list(&kinds);
        let digests = self.items.iter().map(|item| &item.digest);
        digests.fold(statement, |statement, digest| statement.octets_field(digest)).digest()
    }
}

/// What became of each document, in the order in which they were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBatch {
    /// A signature, or why there is none: `order-in-progress` where the same request again will
    /// get it, anything else where it will not.
    pub items: Vec<Result<Signed, Refusal>>,
}

impl SignedBatch {
    /// How many were signed.
    pub fn signed(&self) -> usize {
        self.items.iter().filter(|item| item.is_ok()).count()
    }
}

/// One document on its way: answered already, or still to be signed.
pub(crate) enum Slot {
    Answered(Box<Result<Signed, Refusal>>),
    ToSign { row: Box<OrderRow>, take: Take, draft: Box<Draft> },
}

impl Custody {
    /// Signs a batch for the bearer of this token, out of the session's budget. The same request
    /// again gets the same signatures.
    ///
    /// Refused, and then nothing is reserved: `batch-size-wrong` and everything that
    /// [`Custody::sign`] refuses.
    pub async fn sign_batch(
        &self,
        token: &str,
        peer: &Peer,
        order: BatchOrder,
        now: Timestamp,
    ) -> Result<SignedBatch, Bad> {
        if !(1..=BATCH_MOST).contains(&order.items.len()) {
            return refused(Refusal::BatchSize);
        }
        for item in &order.items {
            self.0.composed(item.kind, Mode::Session).map_err(Failed::Refused)?;
        }
        let bearer = self.0.bearer(token, peer, now).await?;
        let inner = Arc::clone(&self.0);
        let work = tokio::spawn(async move { inner.sign_batch(bearer, order, now).await });
        work.await.unwrap_or(Err(Failed::Fault(Fault::Panicked)))
    }

    /// The stored answers of a batch, as [`Custody::answer`]. A document that is not signed yet, or
    /// was interrupted a short while ago, is `order-in-progress`.
    ///
    /// Refused: `order-unknown`.
    pub async fn batch_answer(
        &self,
        facility: &FacilityCode,
        number: OrderNumber,
        now: Timestamp,
    ) -> Result<SignedBatch, Bad> {
        let inner = &*self.0;
        let rows = inner.order_items(facility, number).await?;
        let batch = rows.iter().all(|row| row.size as usize == rows.len())
            && rows.iter().all(|row| row.prepared.is_none())
            && rows.iter().all(|row| DocumentKind::COMPOSED.contains(&row.recipe.kind));
        if rows.is_empty() || !batch {
            return refused(Refusal::OrderUnknown);
        }
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(match row.next(now) {
                Ok(Retry::Answer) => Ok(inner.stored(row).await?),
                Ok(_) => Err(Refusal::OrderInProgress),
                Err(refusal) => Err(refusal),
            });
        }
        Ok(SignedBatch { items })
    }
}

impl Inner {
    async fn sign_batch(
        self: &Arc<Self>,
        mut bearer: Bearer,
        order: BatchOrder,
        now: Timestamp,
    ) -> Result<SignedBatch, Bad> {
        let facility = bearer.budget.facility.clone();
        for _ in 0..TRIES {
            let known = self.order_items(&facility, order.number).await?;
            let slots = if known.is_empty() {
                self.compose(&bearer, &order, now)?
            } else {
                match self.take_up(&bearer, &order, known, now).await? {
                    Some(slots) => slots,
                    None => continue,
                }
            };
            let activate = |row: &OrderRow, bearer: &Bearer| {
                Activation::open(
                    &bearer.token,
                    &bearer.budget,
                    &bearer.kept,
                    row.recipe.kind,
                    row.dtbsr,
                    &*self.random,
                    now,
                )
            };
            let evidence = bearer.budget.evidence_hash;
            let sources = (Source::Budget, evidence, None);
            if let Some(items) = self.finish(&mut bearer, slots, sources, activate, now).await? {
                return Ok(SignedBatch { items });
            }
        }
        refused(Refusal::OrderInProgress)
    }

    pub(crate) async fn order_items(
        &self,
        facility: &FacilityCode,
        number: OrderNumber,
    ) -> Result<Vec<OrderRow>, Bad> {
        let facility = facility.clone();
        self.ledger.read(move |tx| Ok(OrderRow::items(tx, &facility, number)?)).await
    }

    /// A batch that is not there yet.
    fn compose(
        &self,
        bearer: &Bearer,
        order: &BatchOrder,
        now: Timestamp,
    ) -> Result<Vec<Slot>, Bad> {
        let certified = bearer.usable(now).map_err(Failed::Refused)?;
        let request = order.request(&bearer.budget.facility, bearer.budget.key);
        let size = u32::try_from(order.items.len()).unwrap_or(u32::MAX);
        let slots = (0..size).zip(&order.items).map(|(place, item)| {
            let mut mark = [0; 4];
            self.random.fill(&mut mark);
            let recipe = Recipe { kind: item.kind, digest: item.digest, signing_time: now, mark };
            let draft = Draft::new(&recipe, &certified.signer);
            let row = OrderRow {
                facility: bearer.budget.facility.clone(),
                number: order.number,
                request,
                id: ActivationId::random(&*self.random),
                budget: bearer.budget.id,
                key: bearer.budget.key,
                recipe,
                dtbsr: draft.dtbsr(),
                state: OrderState::Reserved,
                holder: self.holder,
                lease: self.lease(order.items.len(), now),
                reserved: now,
                intention: 0,
                outcome: None,
                consumed: None,
                signature: None,
                item: place,
                size,
                prepared: None,
                expires: None,
            };
            Slot::ToSign { row: Box::new(row), take: Take::New, draft: Box::new(draft) }
        });
        Ok(slots.collect())
    }

    /// A batch that is there: what is answered, and what is taken up again. `None`: abandoned
    /// reservations were closed, look again.
    async fn take_up(
        &self,
        bearer: &Bearer,
        order: &BatchOrder,
        known: Vec<OrderRow>,
        now: Timestamp,
    ) -> Result<Option<Vec<Slot>>, Bad> {
        let request = order.request(&bearer.budget.facility, bearer.budget.key);
        let same = known.len() == order.items.len()
            && known.iter().all(|row| row.request == request && row.size as usize == known.len());
        if !same {
            return refused(Refusal::OrderReused);
        }
        // The rows are not sealed: whoever can write them must not have another document, or
        // another time, signed by asking for these again.
        let ordered = known.iter().zip(&order.items).all(|(row, item)| {
            row.recipe.kind == item.kind
                && row.recipe.digest == item.digest
                && row.recipe.signing_time <= now.plus(CLOCK_BEHIND_S)
        });
        if !ordered {
            return Err(Fault::Row("custody_activation: not what was ordered".into()).into());
        }
        self.slots(bearer, known, now).await
    }

    /// What each stored row leads to. `None`: abandoned reservations were closed, look again.
    pub(crate) async fn slots(
        &self,
        bearer: &Bearer,
        known: Vec<OrderRow>,
        now: Timestamp,
    ) -> Result<Option<Vec<Slot>>, Bad> {
        let abandoned: Vec<OrderRow> = known
            .iter()
            .filter(|row| matches!(row.next(now), Ok(Retry::Release)))
            .cloned()
            .collect();
        if !abandoned.is_empty() {
            self.release(&abandoned, OrderState::Released, now).await?;
            return Ok(None);
        }
        let lease = self.lease(known.len(), now);
        let mut slots = Vec::with_capacity(known.len());
        for mut row in known {
            let take = match row.next(now) {
                Ok(Retry::Answer) => {
                    slots.push(Slot::Answered(Box::new(Ok(self.stored(&row).await?))));
                    continue;
                }
                Ok(Retry::Reserve) => Take::Authorised,
                Ok(Retry::Resume) => Take::Released,
                Ok(Retry::Release) => return Ok(None),
                Err(refusal) => {
                    slots.push(Slot::Answered(Box::new(Err(refusal))));
                    continue;
                }
            };
            let certified = bearer.usable(now).map_err(Failed::Refused)?;
            let draft = Draft::new(&row.recipe, &certified.signer);
            if draft.dtbsr() != row.dtbsr {
                let why = "what is composed now is not what was composed then";
                return Err(Fault::Misuse(why.into()).into());
            }
            row.budget = bearer.budget.id;
            row.holder = self.holder;
            row.lease = lease;
            row.reserved = now;
            row.state = OrderState::Reserved;
            if take == Take::Released {
                row.id = ActivationId::random(&*self.random);
            }
            slots.push(Slot::ToSign { row: Box::new(row), take, draft: Box::new(draft) });
        }
        Ok(Some(slots))
    }

    /// Signs what is still to be signed. `None`: somebody else moved it, or what was remembered of
    /// budget and key was stale; look again.
    pub(crate) async fn finish(
        self: &Arc<Self>,
        bearer: &mut Bearer,
        slots: Vec<Slot>,
        (source, evidence, sad): (Source, Digest32, Option<crate::sad::SadRow>),
        activate: impl Fn(&OrderRow, &Bearer) -> Result<Activation, Refusal>,
        now: Timestamp,
    ) -> Result<Option<Vec<Result<Signed, Refusal>>>, Bad> {
        let (mut rows, mut drafts, mut activations) = (Vec::new(), Vec::new(), Vec::new());
        let mut answers = Vec::with_capacity(slots.len());
        for slot in slots {
            answers.push(match slot {
                Slot::Answered(answer) => Some(*answer),
                Slot::ToSign { mut row, take, draft } => {
                    let activation = activate(&row, bearer).map_err(Failed::Refused)?;
                    row.id = activation.id();
                    activations.push(activation);
                    drafts.push(draft);
                    rows.push((*row, take));
                    None
                }
            });
        }
        if rows.is_empty() {
            return Ok(Some(answers.into_iter().flatten().collect()));
        }
        let spending = Arc::new(Spending::new(rows, source, evidence, sad, bearer, now));
        let (left, receipts) = match self.reserve(&spending).await {
            Ok(reserved) => reserved,
            Err(Failed::Fault(fault)) => return Err(fault.into()),
            Err(Failed::Refused(Stumble::Refused(refusal))) => return refused(refusal),
            Err(Failed::Refused(Stumble::Taken | Stumble::Moved)) => return Ok(None),
            Err(Failed::Refused(Stumble::NotGranted)) => return refused(Refusal::SadExpired),
            Err(Failed::Refused(Stumble::NotDrawn)) => {
                let wanted = match spending.source {
                    Source::Budget => spending.count(),
                    Source::Approved(_) => 0,
                };
                self.refresh(bearer, wanted, now).await?;
                return Ok(None);
            }
        };
        let kept = Arc::clone(&bearer.kept);
        let certified = bearer.usable(now).map_err(Failed::Refused)?;
        let spent = self.carry_out_all(&spending, activations, receipts, &kept, now).await?;
        let mut signed =
            spending.rows.iter().zip(drafts).zip(spent).map(|(((row, _), draft), spent)| {
                spent.map(|Spent { signature, receipt }| Signed {
                    order: row.number,
                    kind: row.recipe.kind,
                    signature: draft.finish(&signature),
                    certificate: Arc::clone(&certified.der),
                    signing_time: row.recipe.signing_time,
                    index: receipt.index(),
                    proof: receipt.proof(),
                    left,
                })
            });
        let answers = answers.into_iter().filter_map(|answer| answer.or_else(|| signed.next()));
        Ok(Some(answers.collect()))
    }
}
