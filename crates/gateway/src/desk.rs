//! The EHR's door: one call, and either a document that everyone will accept or a reason.

use std::sync::{Arc, PoisonError, RwLock};

use hpki::Crl;
use hpki::id::OrderNumber;
use hpki::kind::DocumentKind;
use hpki::sign::Random;
use hpki::time::Timestamp;
use ledger::{Failed, Store};
use prescription::{DispensingRecord, PrescriptionRecord, document};
use verifier::{Report, Verdict};

use crate::answer;
use crate::card_orders::CardOrders;
use crate::carddesk::CardDesk;
use crate::checkpoint::Watch;
use crate::config::{GatewayConfig, Staff};
use crate::names::StaffId;
use crate::orders::{FRESH_S, ORDER_LIFE_S, Order, Orders};
use crate::platform::Platform;
use crate::refusal::Refusal;
use crate::seal::ShelfKey;
use crate::sending::{self, Patience};
use crate::shelf::{Kept, Shelf};
use crate::turns::Turns;

/// A signed document, verified, and where the journal holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The order under which it was signed.
    pub order: OrderNumber,
    /// What it is.
    pub kind: DocumentKind,
    /// The whole document with its signature.
    pub document: Vec<u8>,
    /// What the verifier says of it.
    pub report: Report,
    /// SigningTime, by the platform's clock.
    pub signing_time: Timestamp,
    /// Where the journal holds the outcome.
    pub index: u64,
    /// How many signatures the budget still allows.
    pub left: u64,
    /// By how much the platform's clock and this gateway's contradict each other; worth a warning
    /// beyond 30 s.
    pub clock_difference_s: u64,
}

impl Signed {
    pub(crate) fn of(order: &Order, believed: answer::Believed) -> Self {
        Self {
            order: order.number,
            kind: order.kind,
            document: believed.document,
            report: believed.report,
            signing_time: believed.signing_time,
            index: believed.index,
            left: believed.left,
            clock_difference_s: believed.clock_difference_s,
        }
    }
}

/// What became of an order that was left open.
#[derive(Debug)]
pub struct Resumed {
    /// The order.
    pub order: OrderNumber,
    /// Whose.
    pub staff: StaffId,
    /// The document, or why not. An order whose refusal [`Refusal::leaves_order_open`] is tried
    /// again next time.
    pub outcome: Result<Signed, Failed<Refusal>>,
}

/// The gateway of one facility.
pub struct Gateway<P> {
    pub(crate) config: Arc<GatewayConfig>,
    pub(crate) store: Store,
    pub(crate) platform: P,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) shelf: Shelf,
    pub(crate) orders: Orders,
    pub(crate) watch: Watch,
    pub(crate) cards: Option<Arc<CardDesk>>,
    pub(crate) turns: Turns,
    crls: RwLock<Option<Arc<Vec<Crl>>>>,
}

impl<P: Platform> Gateway<P> {
    /// The gateway over its own store (opened with [`crate::MIGRATIONS`]). Call
    /// [`Gateway::resume`] next.
    pub fn open(
        config: GatewayConfig,
        store: Store,
        shelf_key: ShelfKey,
        platform: P,
        random: Arc<dyn Random>,
    ) -> Self {
        let (config, key) = (Arc::new(config), Arc::new(shelf_key));
        Self {
            shelf: Shelf::new(store.clone(), Arc::clone(&config), Arc::clone(&key)),
            orders: Orders::new(store.clone(), Arc::clone(&config), key),
            watch: Watch::new(store.clone(), Arc::clone(&config)),
            crls: RwLock::new(None),
            cards: None,
            turns: Turns::default(),
            config,
            store,
            platform,
            random,
        }
    }

    /// What the facility configured.
    pub fn config(&self) -> &GatewayConfig {
        &self.config
    }

    /// The revocation lists to verify with from now on. Until some are handed in, revocation is
    /// reported as not checked; after that, a missing or stale list refuses.
    pub fn set_crls(&self, lists: Vec<Crl>) {
        *self.crls.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(lists));
    }

    /// Has a prescription record signed by this staff member.
    pub async fn prescribe(
        &self,
        staff: &StaffId,
        csv: &[u8],
        now: Timestamp,
    ) -> Result<Signed, Failed<Refusal>> {
        let staff = self.staff(staff)?;
        let unsigned = self.prescription(staff, csv)?;
        self.sign(staff, DocumentKind::Prescription, unsigned, now).await
    }

    /// Has a dispensing record over a registered prescription signed by this staff member. The
    /// prescription is verified first: nobody signs for having dispensed a forged one.
    pub async fn dispense(
        &self,
        staff: &StaffId,
        registered_prescription: &[u8],
        csv: &[u8],
        now: Timestamp,
    ) -> Result<Signed, Failed<Refusal>> {
        let staff = self.staff(staff)?;
        let unsigned = self.dispensing(staff, registered_prescription, csv, now)?;
        self.sign(staff, DocumentKind::Dispensing, unsigned, now).await
    }

    /// The unsigned document of a prescription record.
    pub(crate) fn prescription(
        &self,
        staff: &Staff,
        csv: &[u8],
    ) -> Result<Vec<u8>, Failed<Refusal>> {
        unsigned_prescription(staff, csv).map_err(Failed::Refused)
    }

    /// The unsigned document of a dispensing record over a prescription that verifies.
    pub(crate) fn dispensing(
        &self,
        staff: &Staff,
        registered_prescription: &[u8],
        csv: &[u8],
        now: Timestamp,
    ) -> Result<Vec<u8>, Failed<Refusal>> {
        // Version 7 like order numbers: unique, and telling nothing but the time.
        let id = OrderNumber::new(now.seconds().saturating_mul(1000), &*self.random);
        let unsigned = unsigned_dispensing(staff, registered_prescription, csv, &id.to_string())
            .map_err(Failed::Refused)?;
        let report = self.report(registered_prescription, now);
        if report.verdict != Verdict::Valid {
            let refusal = match report.verdict {
                Verdict::CannotTell => Refusal::VerificationUndetermined,
                _ => Refusal::PrescriptionInvalid,
            };
            return Err(Failed::Refused(refusal(answer::reason(&report))));
        }
        Ok(unsigned)
    }

    /// What the verifier says of any document, with this facility's anchors and lists.
    pub fn report(&self, document: &[u8], now: Timestamp) -> Report {
        let crls = self.crls();
        answer::report(&self.config, document, crls.as_deref().map(Vec::as_slice), now)
    }

    /// Takes up every order that was left open: by a crash, or because nobody would wait longer.
    ///
    /// Each is tried once and does not wait, so that this can be repeated each minute. Within ten
    /// minutes of its writing an order is sent again under its number. Later the
    /// platform is only asked whether it signed; if it did not, the order is closed, so that no
    /// signature is made when nobody expects it any more.
    pub async fn resume(&self, now: Timestamp) -> Result<Vec<Resumed>, Failed<Refusal>> {
        let mut all = Vec::new();
        for order in self.orders.open(now).await? {
            let (number, staff) = (order.number, order.staff.clone());
            let outcome = self.take_up(&order, now).await;
            all.push(Resumed { order: number, staff, outcome });
        }
        for batch in self.orders.open_batches().await? {
            all.extend(self.resume_batch(batch, now).await?);
        }
        Ok(all)
    }

    /// The signed document of an order that was done within a day: for an EHR that lost its
    /// answer.
    pub async fn document(&self, order: OrderNumber) -> Result<Vec<u8>, Failed<Refusal>> {
        self.orders.document(order).await
    }

    /// Looks at the journal's newest checkpoint; to be done each minute. Gives its size.
    pub async fn watch(&self, now: Timestamp) -> Result<u64, Failed<Refusal>> {
        self.watch.look(&self.platform, now).await
    }

    /// Erases expired tokens and documents older than a day. Gives how many.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, Failed<Refusal>> {
        self.orders.sweep(now).await
    }

    pub(crate) fn staff(&self, id: &StaffId) -> Result<&Staff, Failed<Refusal>> {
        self.config.staff(id).ok_or(Failed::Refused(Refusal::StaffUnknown))
    }

    pub(crate) const fn card_orders(&self) -> CardOrders<'_> {
        CardOrders { store: &self.store, config: &self.config, orders: &self.orders }
    }

    pub(crate) fn crls(&self) -> Option<Arc<Vec<Crl>>> {
        self.crls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn sign(
        &self,
        staff: &Staff,
        kind: DocumentKind,
        unsigned: Vec<u8>,
        now: Timestamp,
    ) -> Result<Signed, Failed<Refusal>> {
        let digest = xades::reference_digest(&unsigned, kind.signed_id())
            .map_err(|refusal| Failed::Refused(Refusal::Document(refusal.into())))?;
        let kept = self.token(staff, kind, now).await?;
        self.watch.witnessed(&self.platform, now).await?;
        let order = Order {
            number: OrderNumber::new(now.seconds().saturating_mul(1000), &*self.random),
            staff: staff.id.clone(),
            person: kept.person,
            key: kept.key,
            kind,
            digest,
            created: now,
            document: unsigned,
            approval: None,
            batch: None,
        };
        let order = self.orders.begin(order, &*self.random).await?;
        // From here the order is durable: dying now leaves it open, to be resumed.
        let patience = Patience::Until(order.created.plus(FRESH_S));
        self.send(&order, kept, patience, now).await
    }

    pub(crate) async fn token(
        &self,
        staff: &Staff,
        kind: DocumentKind,
        now: Timestamp,
    ) -> Result<Kept, Failed<Refusal>> {
        let kept = self.shelf.take(staff, now).await?.ok_or(Failed::Refused(Refusal::NoToken))?;
        if !kept.kinds.contains(&kind) {
            return Err(Failed::Refused(Refusal::TokenKindMissing(kind)));
        }
        Ok(kept)
    }

    async fn take_up(&self, order: &Order, now: Timestamp) -> Result<Signed, Failed<Refusal>> {
        let age = now.since(order.created);
        let kept = match self.config.staff(&order.staff) {
            Some(staff) => self.shelf.take(staff, now).await?,
            None => None,
        };
        let kept = kept.filter(|kept| kept.person == order.person);
        if age <= FRESH_S && order.approval.is_none() {
            let kept = kept.ok_or(Failed::Refused(Refusal::NoToken))?;
            return self.send(order, kept, Patience::Once, now).await;
        }
        let mut now = now;
        let bearer = kept.as_ref().map(|kept| &kept.bearer);
        let stored = sending::stored_answer(&self.platform, order, bearer, &mut now).await;
        let answer = match stored {
            Ok(answer) => answer,
            // The platform knows nothing of it, or will not say any more.
            Err(refusal) if sending::never_answered(&refusal) => {
                self.orders.refused(order.number, &Refusal::OrderExpired).await?;
                return Err(Failed::Refused(Refusal::OrderExpired));
            }
            Err(_) if age > ORDER_LIFE_S => {
                self.orders.refused(order.number, &Refusal::OrderExpired).await?;
                return Err(Failed::Refused(Refusal::OrderExpired));
            }
            Err(refusal) => return Err(Failed::Refused(refusal)),
        };
        let Some(ceremony) = order.approval else {
            return self.finish(order, &answer, now).await;
        };
        // It was approved and signed, and we died before we had it: its evidence comes with it.
        let asked = self.orders.asked(ceremony).await?;
        let asked = asked.ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
        self.finish_approved(order, &asked, &answer, now).await
    }

    async fn send(
        &self,
        order: &Order,
        kept: Kept,
        patience: Patience,
        now: Timestamp,
    ) -> Result<Signed, Failed<Refusal>> {
        let mut now = now;
        match sending::order(&self.platform, order, &kept.bearer, patience, &mut now).await {
            Ok(answer) => self.finish(order, &answer, now).await,
            Err(refusal) if self.token_is_dead(&refusal) => {
                // An earlier attempt may have been signed, so the order stays open: with a new
                // token the same number is answered with what was made.
                self.shelf.forget(&order.staff, &kept.jti).await?;
                Err(Failed::Refused(refusal))
            }
            Err(refusal) => self.close(order, refusal).await,
        }
    }

    pub(crate) async fn finish(
        &self,
        order: &Order,
        answer: &wire::SignAnswer,
        now: Timestamp,
    ) -> Result<Signed, Failed<Refusal>> {
        let crls = self.crls();
        let crls = crls.as_deref().map(Vec::as_slice);
        let believed = match answer::believe(&self.config, order, answer, crls, now) {
            Ok(believed) => believed,
            Err(refusal) => return self.close(order, refusal).await,
        };
        self.watch.accept(&self.platform, &believed.checkpoint, &believed.note, now).await?;
        // Two callers may finish one order; both have checked the same signature.
        self.orders.done(order.number, &believed.document, &*self.random).await?;
        Ok(Signed::of(order, believed))
    }

    pub(crate) async fn close<T>(
        &self,
        order: &Order,
        refusal: Refusal,
    ) -> Result<T, Failed<Refusal>> {
        if !refusal.leaves_order_open() {
            self.orders.refused(order.number, &refusal).await?;
        }
        Err(Failed::Refused(refusal))
    }

    /// Whether the platform says that this token will never work again.
    pub(crate) fn token_is_dead(&self, refusal: &Refusal) -> bool {
        match refusal.platform_code() {
            Some("budget-unknown" | "budget-ended" | "budget-closed" | "budget-exhausted") => true,
            Some(code) => code.starts_with("token-"),
            None => false,
        }
    }
}

fn unsigned_prescription(staff: &Staff, csv: &[u8]) -> Result<Vec<u8>, Refusal> {
    signs(staff, DocumentKind::Prescription)?;
    let record = PrescriptionRecord::parse(csv)?;
    named(staff, record.physician().name)?;
    Ok(document::prescription(csv)?)
}

fn unsigned_dispensing(
    staff: &Staff,
    registered_prescription: &[u8],
    csv: &[u8],
    dispensing_id: &str,
) -> Result<Vec<u8>, Refusal> {
    signs(staff, DocumentKind::Dispensing)?;
    let record = DispensingRecord::parse(csv)?;
    named(staff, record.pharmacist())?;
    Ok(document::dispensing(registered_prescription, csv, dispensing_id)?)
}

fn signs(staff: &Staff, kind: DocumentKind) -> Result<(), Refusal> {
    if staff.kinds.contains(&kind) { Ok(()) } else { Err(Refusal::KindNotTheirs(kind)) }
}

/// Our reading: the name in the record is that of the staff member but for spaces, of which
/// records have half- and full-width ones.
fn named(staff: &Staff, written: &str) -> Result<(), Refusal> {
    let without = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    match &staff.name_in_records {
        Some(name) if without(name) != without(written) => Err(Refusal::PrescriberMismatch),
        _ => Ok(()),
    }
}
