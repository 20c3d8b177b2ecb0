//! Several records in one request, out of the session's budget.
//!
//! The EHR chooses one number for all of them. Each document is an order of its own here; at the
//! platform they are one batch under the EHR's number, which is reserved whole or not at all. The
//! same request again gets the same documents; what has no outcome yet is sent again under the same
//! number for ten minutes, and later only asked about, as every order is ([`Gateway::resume`]).
//!
//! Dying before the orders are committed: nothing was sent. Dying after: all are open, and are taken
//! up together. Dying among the answers: those that are kept stay, the others are asked for again.

use hpki::encoding::{Digest32, Statement};
use hpki::id::OrderNumber;
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::Failed;
use wire::{ApprovalOutcome, BatchAnswer, BatchDocument, BatchRequest, DigestValue};

use crate::approving::Paper;
use crate::desk::{Gateway, Resumed, Signed};
use crate::names::StaffId;
use crate::orders::{FRESH_S, ORDER_LIFE_S, Order, code_of};
use crate::platform::{Call, Method, Platform};
use crate::refusal::{ORDER_IN_PROGRESS, Refusal};
use crate::sending::{self, Patience};
use crate::shelf::Kept;

/// No more at once: the answer has to be read whole.
const MOST: usize = 300;

/// What became of one document among several.
#[derive(Debug)]
pub struct DocumentOutcome {
    /// Its order.
    pub order: OrderNumber,
    /// What it is.
    pub kind: DocumentKind,
    /// The signed and verified document, or the code of why there is none. `order-in-progress`: the
    /// same request again may get it.
    pub outcome: Result<Vec<u8>, String>,
}

impl<P: Platform> Gateway<P> {
    /// Has several records signed by this staff member under one number (UUIDv7), which the EHR chose
    /// and keeps: the same request again gets the same documents, in the order of the papers.
    ///
    /// Refused as a whole: `gateway-batch-size-wrong`, `order-reused` (this number was used for
    /// something else), all that [`Gateway::prescribe`] and [`Gateway::dispense`] refuse of a
    /// record, and what the platform refuses of the whole batch; then nothing was signed.
    pub async fn sign_many(
        &self,
        staff: &StaffId,
        number: OrderNumber,
        papers: &[Paper],
        now: Timestamp,
    ) -> Result<Vec<DocumentOutcome>, Failed<Refusal>> {
        let staff = self.staff(staff)?;
        if !(1..=MOST).contains(&papers.len()) {
            return Err(Failed::Refused(Refusal::BatchSize(papers.len())));
        }
        let request = request(&staff.id, papers);
        if !self.orders.is_batch(number, &request).await? {
            let (mut orders, _) = self.written(staff, papers, now).await?;
            for order in &mut orders {
                order.batch = Some(number);
            }
            self.watch.witnessed(&self.platform, now).await?;
            self.orders.begin_batch(number, &request, orders, &*self.random).await?;
            // Somebody may have been first with this number, at the same moment.
            self.orders.is_batch(number, &request).await?;
        }
        let open = self.orders.open_batch(number).await?;
        let resumed = match open.first() {
            None => Vec::new(),
            Some((_, first)) => {
                let patience = Patience::Until(first.created.plus(FRESH_S));
                self.take_up_batch(number, open, patience, now).await?
            }
        };
        let mut outcomes = self.orders.batch_outcomes(number).await?;
        // Of what stays open, the reason of just now says more than that it does.
        for one in resumed {
            let open = |known: &&mut DocumentOutcome| known.order == one.order;
            if let (Err(Failed::Refused(refusal)), Some(known)) =
                (one.outcome, outcomes.iter_mut().find(open))
                && known.outcome.as_ref().is_err_and(|code| code == ORDER_IN_PROGRESS)
            {
                known.outcome = Err(code_of(&refusal));
            }
        }
        Ok(outcomes)
    }

    /// Sends what is open of a batch, or only asks about it where it is no longer fresh, and finishes
    /// each document that has an outcome.
    ///
    /// # Errors
    /// Why the batch as a whole has none now; it stays open unless the refusal is final.
    pub(crate) async fn take_up_batch(
        &self,
        number: OrderNumber,
        open: Vec<(usize, Order)>,
        patience: Patience,
        now: Timestamp,
    ) -> Result<Vec<Resumed>, Failed<Refusal>> {
        let Some((_, first)) = open.first() else { return Ok(Vec::new()) };
        let age = now.since(first.created);
        let kept = match self.config.staff(&first.staff) {
            Some(staff) => self.shelf.take(staff, now).await?,
            None => None,
        };
        let kept = kept.filter(|kept| kept.person == first.person);
        let mut now = now;
        let answered = if age <= FRESH_S {
            let kept = kept.ok_or(Failed::Refused(Refusal::NoToken))?;
            let sent = self.send_batch(number, &kept, patience, &mut now).await?;
            if let Err(refusal) = &sent
                && self.token_is_dead(refusal)
            {
                // As for one: an earlier attempt may have been signed.
                self.shelf.forget(&first.staff, &kept.jti).await?;
                return Err(Failed::Refused(refusal.clone()));
            }
            sent
        } else {
            let path = wire::path::BATCH.replace("{order}", &number.to_string());
            let token = kept.map(|kept| kept.bearer);
            let call = Call { method: Method::Get, path, token, body: None };
            let asked = sending::answer(&self.platform, call, Patience::Once, &mut now).await;
            asked.map_err(|refusal| match refusal.platform_code() {
                Some("order-unknown") => Refusal::OrderExpired,
                _ if age > ORDER_LIFE_S => Refusal::OrderExpired,
                _ => refusal,
            })
        };
        let answer: BatchAnswer = match answered {
            Ok(answer) => answer,
            Err(refusal) => {
                if !refusal.leaves_order_open() {
                    for (_, order) in &open {
                        self.orders.refused(order.number, &refusal).await?;
                    }
                }
                return Err(Failed::Refused(refusal));
            }
        };
        let mut resumed = Vec::with_capacity(open.len());
        for (item, order) in open {
            let outcome = self.settle(&order, answer.documents.get(item), age, now).await;
            if let Err(Failed::Fault(fault)) = outcome {
                return Err(Failed::Fault(fault));
            }
            resumed.push(Resumed { order: order.number, staff: order.staff, outcome });
        }
        Ok(resumed)
    }

    /// Takes up what was left open of a batch.
    pub(crate) async fn resume_batch(
        &self,
        number: OrderNumber,
        now: Timestamp,
    ) -> Result<Vec<Resumed>, Failed<Refusal>> {
        let open = self.orders.open_batch(number).await?;
        let orders: Vec<_> =
            open.iter().map(|(_, order)| (order.number, order.staff.clone())).collect();
        match self.take_up_batch(number, open, Patience::Once, now).await {
            Err(Failed::Refused(refusal)) => {
                let why = |(order, staff)| Resumed {
                    order,
                    staff,
                    outcome: Err(Failed::Refused(refusal.clone())),
                };
                Ok(orders.into_iter().map(why).collect())
            }
            taken_up => taken_up,
        }
    }

    /// Sends the whole batch as it was written down, also what has been answered since: it is one
    /// request under one number.
    async fn send_batch(
        &self,
        number: OrderNumber,
        kept: &Kept,
        patience: Patience,
        now: &mut Timestamp,
    ) -> Result<Result<BatchAnswer, Refusal>, Failed<Refusal>> {
        let documents = self.orders.batch_digests(number).await?;
        let documents = documents.iter().map(|(kind, digest)| BatchDocument {
            kind: *kind,
            digest: DigestValue::sha256(digest),
        });
        let request = BatchRequest { order: number, documents: documents.collect() };
        let body = serde_json::to_vec(&request)
            .map_err(|error| Failed::Refused(Refusal::AnswerMalformed(error.to_string())))?;
        let call = Call {
            method: Method::Post,
            path: wire::path::BATCHES.to_owned(),
            token: Some(kept.bearer.clone()),
            body: Some(body),
        };
        Ok(sending::answer(&self.platform, call, patience, now).await)
    }

    /// One document's own outcome: believed and kept, or closed with its refusal.
    async fn settle(
        &self,
        order: &Order,
        outcome: Option<&ApprovalOutcome>,
        age: u64,
        now: Timestamp,
    ) -> Result<Signed, Failed<Refusal>> {
        let refusal = match outcome.map(|one| (&one.signed, &one.refused)) {
            Some((Some(answer), _)) => return self.finish(order, answer, now).await,
            Some((None, Some(problem))) => Refusal::PlatformRefused {
                code: problem.code.clone(),
                detail: problem.detail.clone(),
            },
            _ => Refusal::AnswerWrongOrder,
        };
        // Nobody sends it again any more: what was interrupted stays so.
        let over = age > FRESH_S && refusal.leaves_order_open();
        self.close(order, if over { Refusal::OrderExpired } else { refusal }).await
    }
}

/// What makes two requests under one number the same.
fn request(staff: &StaffId, papers: &[Paper]) -> Digest32 {
    let statement = Statement::new("azukari/gateway/batch/v1").text(staff.as_str());
    let papers = papers.iter().fold(statement, |statement, paper| match paper {
        Paper::Prescription(csv) => statement.text("prescription").octets_field(csv),
        Paper::Dispensing { prescription, csv } => {
            statement.text("dispensing").octets_field(prescription).octets_field(csv)
        }
    });
    papers.digest()
}
