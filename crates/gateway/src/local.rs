//! ローカル署名: a prescription or dispensing result signed with its owner's HPKI card, in a reader
//! of this host. Nothing leaves the facility.
//!
//! The document is built, composed and judged by the code of remote signing; certificate and time
//! are all that differs. Before a PIN is asked the card is judged as a verifier would judge it, and
//! before the card signs, the facility's own journal holds the intention.
//!
//! Waiting → Signing → Done | Refused; a wrong PIN or a card that is gone leads back to Waiting.
//! Dying in Waiting: nothing happened; the EHR asks again. Dying in Signing: the journal has an
//! intention, and perhaps the card has signed, but nobody got the signature;
//! [`Gateway::close_interrupted`] closes both. Dying after Done: the document is kept for a day.

use std::sync::Arc;

use hpki::certificate::Certificate;
use hpki::encoding::{Statement, sha256};
use hpki::id::{KeyId, OrderNumber};
use hpki::kind::DocumentKind;
use hpki::path::{self, Question, Revocation, Usage};
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::{Event, Failed, Intention, Outcome, OutcomeFields, Record};
use prescription::document;
use verifier::Report;
use xades::compose::{Draft, Recipe, Signer};

use crate::answer;
use crate::approving::Paper;
use crate::card_orders::{CardOrder, CardOrderState};
use crate::carddesk::{CardDesk, Entered};
use crate::config::Staff;
use crate::desk::Gateway;
use crate::names::StaffId;
use crate::orders::FRESH_S;
use crate::platform::Platform;
use crate::reader::{CardFace, CardUse, Chosen, LastTry, Pin, Slot, choose};
use crate::refusal::Refusal;

/// A document that waits for its signer's PIN.
#[derive(Debug, Clone)]
pub struct CardAsked {
    /// Its number.
    pub order: OrderNumber,
    /// What it is.
    pub kind: DocumentKind,
    /// The reader in which the card is.
    pub reader: String,
    /// What stands on the card, and the tries left.
    pub face: CardFace,
    /// Whether the PIN has to be typed; it is not where it is kept while the card stays.
    pub pin_needed: bool,
    /// Until when it can be signed.
    pub until: Timestamp,
}

/// A document signed with a card, verified, and where the facility's journal holds it.
#[derive(Debug, Clone)]
pub struct SignedHere {
    /// Its number.
    pub order: OrderNumber,
    /// What it is.
    pub kind: DocumentKind,
    /// The whole document with its signature.
    pub document: Vec<u8>,
    /// What the verifier says of it.
    pub report: Report,
    /// SigningTime, by this host's clock.
    pub signing_time: Timestamp,
    /// Where the facility's own journal holds the outcome.
    pub index: u64,
}

/// The stream of the facility's journal in which the acts of a card's key stand.
fn key_of(certificate: &Certificate) -> KeyId {
    let named = Statement::new("azukari/gateway/card-key/v1").octets_field(certificate.spki_der());
    let [octets @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = named.digest();
    KeyId::from_octets(octets)
}

/// Whose card it is, through renewals: the number of the person (本人ID) where the certificate has
/// one, else its whole subject.
pub(crate) fn holder_of(certificate: &Certificate) -> [u8; 32] {
    let named = Statement::new("azukari/gateway/card-holder/v1");
    let named = match certificate.subject_serial_number() {
        Some(number) => named.text(number),
        None => named.octets_field(certificate.subject().der()),
    };
    named.digest()
}

impl<P: Platform> Gateway<P> {
    /// With the cards of this host.
    #[must_use]
    pub fn with_cards(mut self, desk: CardDesk) -> Self {
        self.cards = Some(Arc::new(desk));
        self
    }

    pub(crate) fn card_desk(&self) -> Result<&Arc<CardDesk>, Failed<Refusal>> {
        self.cards.as_ref().ok_or(Failed::Refused(Refusal::CardsNotConfigured))
    }

    fn signing_desk(&self) -> Result<&Arc<CardDesk>, Failed<Refusal>> {
        let desk = self.card_desk()?;
        if desk.policy.signs { Ok(desk) } else { Err(Failed::Refused(Refusal::CardsNotConfigured)) }
    }

    /// What is in which reader of this host.
    ///
    /// Refused: `cards-not-configured`, `card-reader-unavailable`, `card-slow`.
    pub async fn look_at_cards(&self) -> Result<Vec<Slot>, Failed<Refusal>> {
        self.card_desk()?.host.look().await.map_err(refused)
    }

    /// Erases a kept PIN whose card is gone; to be done each second where cards are used.
    pub async fn forget_absent_cards(&self, now: Timestamp) {
        if let Some(desk) = &self.cards {
            desk.forget_absent(now).await;
        }
    }

    /// Prepares a document to be signed with the card that is in the reader, and says which card
    /// that is and how many tries its PIN has left. The card's certificate is judged now.
    ///
    /// Refused: `card-missing` and all that makes a card unfit (`certificate-…`, `crl-…`,
    /// `card-not-qualified`, `card-of-another`), and what makes a record unfit.
    pub async fn ask_card(
        &self,
        staff: &StaffId,
        paper: &Paper,
        reader: Option<&str>,
        now: Timestamp,
    ) -> Result<CardAsked, Failed<Refusal>> {
        let desk = self.signing_desk()?;
        let staff = self.staff(staff)?;
        let (kind, unsigned) = match paper {
            Paper::Prescription(csv) => {
                (DocumentKind::Prescription, self.prescription(staff, csv)?)
            }
            Paper::Dispensing { prescription, csv } => {
                (DocumentKind::Dispensing, self.dispensing(staff, prescription, csv, now)?)
            }
        };
        let digest = xades::reference_digest(&unsigned, kind.signed_id())
            .map_err(|refusal| Failed::Refused(Refusal::Document(refusal.into())))?;
        let slots = desk.host.look().await.map_err(refused)?;
        let (card, face) = choose(&slots, CardUse::Signing, reader).map_err(refused)?;
        self.judge_card(staff, &card.certificate, kind, now).await?;
        let order = CardOrder {
            number: OrderNumber::new(now.seconds().saturating_mul(1000), &*self.random),
            staff: staff.id.clone(),
            kind,
            digest,
            created: now,
            reader: card.reader.clone(),
            certificate: card.certificate.sha256(),
            document: unsigned,
        };
        self.card_orders().begin(&order, &*self.random).await?;
        let kept = desk.kept_pin(&staff.id, &card.certificate, now).await;
        Ok(CardAsked {
            order: order.number,
            kind,
            reader: card.reader,
            face,
            pin_needed: kept.is_none(),
            until: now.plus(FRESH_S),
        })
    }

    /// Signs a document that waits, with the PIN that was typed or the one that is kept.
    ///
    /// To be run to its end: whoever stops waiting for it leaves an order that says `Signing` until
    /// [`Gateway::close_interrupted`].
    ///
    /// Refused: `card-pin-…` and `card-removed` leave it waiting; `card-changed`,
    /// `card-signature-mismatch` and a document that does not verify close it.
    pub async fn sign_with_card(
        &self,
        staff: &StaffId,
        number: OrderNumber,
        typed: Option<(Pin, LastTry)>,
        now: Timestamp,
    ) -> Result<SignedHere, Failed<Refusal>> {
        let desk = Arc::clone(self.signing_desk()?);
        let staff = self.staff(staff)?;
        let order = self.card_orders().waiting(number, &staff.id).await?;
        if now.since(order.created) > FRESH_S {
            self.card_orders().refused(number, &Refusal::CardOrderOver).await?;
            return Err(Failed::Refused(Refusal::CardOrderOver));
        }
        let slots = desk.host.look().await.map_err(refused)?;
        let (card, face) =
            choose(&slots, CardUse::Signing, Some(&order.reader)).map_err(refused)?;
        if card.certificate.sha256() != order.certificate {
            return Err(refused(crate::reader::CardRefusal::Changed));
        }
        self.judge_card(staff, &card.certificate, order.kind, now).await?;
        // A clock that goes back before what it has itself written down is not to be signed with.
        if let Some(last) = desk.journal.last_time()
            && last.since(now) > 0
        {
            return Err(Failed::Refused(Refusal::ClockOff(last.since(now))));
        }
        let (entered, stay) = match typed {
            Some((pin, last)) => {
                let entered = Entered { pin: Arc::new(pin), last };
                let stay = desk.begin_stay(&card).await;
                (entered, stay)
            }
            None => {
                let kept = desk.kept_pin(&staff.id, &card.certificate, now).await;
                let pin = kept.ok_or(Failed::Refused(Refusal::CardPinNeeded))?;
                (Entered { pin, last: LastTry::Unasked }, None)
            }
        };
        // What cannot be right is no act: it is not journalled and costs no try.
        entered.pin.may_be_sent(face.pin, face.tries, entered.last).map_err(refused)?;
        let pin = Arc::clone(&entered.pin);
        let signed = self.make(&desk, &order, &card, entered, now).await;
        match (&signed, stay) {
            (Ok(_), Some(stay)) => desk.keep(&staff.id, &card, pin, stay, now).await,
            (Ok(_), None) => {}
            // A PIN that was wrong, or a card that is in trouble: it is asked for again.
            (Err(_), _) => desk.forget().await,
        }
        signed
    }

    /// Whether a verifier will accept this card for this kind of document, and whether it is this
    /// staff member's.
    async fn judge_card(
        &self,
        staff: &Staff,
        certificate: &Certificate,
        kind: DocumentKind,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let crls = self.crls();
        path::validate(&Question {
            leaf: certificate,
            intermediates: &self.config.intermediates,
            anchors: &self.config.anchors,
            revocation: match crls.as_deref() {
                None => Revocation::NotChecked,
                Some(lists) => Revocation::Lists(lists),
            },
            at: now,
            policies: &self.config.policies,
            usage: Usage::NonRepudiation,
        })
        .map_err(|refusal| Failed::Refused(Refusal::CardCertificate(refusal)))?;
        let fits = certificate.qualification().is_some_and(|held| kind.may_be_signed_by(held));
        if !fits {
            return Err(Failed::Refused(Refusal::CardNotQualified(kind)));
        }
        self.card_orders().is_hers(staff, certificate).await
    }

    async fn make(
        &self,
        desk: &CardDesk,
        order: &CardOrder,
        card: &Chosen,
        entered: Entered,
        now: Timestamp,
    ) -> Result<SignedHere, Failed<Refusal>> {
        let mut mark = [0; 4];
        self.random.fill(&mut mark);
        let recipe = Recipe { kind: order.kind, digest: order.digest, signing_time: now, mark };
        let draft = Draft::new(&recipe, &Signer::new(card.certificate.der()));
        let mut record = Record::of_key(Event::SignatureIntended, key_of(&card.certificate), now);
        record.facility = Some(self.config.facility.clone());
        record.kind = Some(order.kind);
        record.dtbsr = Some(draft.dtbsr());
        record.evidence = Some(card.certificate.sha256());
        let number = order.number;
        let intended = record.clone();
        let ((), intention) = desk
            .journal
            .record(move |tx| {
                let index = tx.next_index()?;
                crate::card_orders::sign(tx, number, index, &intended)?;
                Ok::<_, Failed<Refusal>>(((), Intention(intended.clone())))
            })
            .await?;
        // From here the order says Signing: dying now leaves it to `close_interrupted`.
        let index = intention.index();
        let finished = async {
            let value = desk
                .sign_document(&intention, card, entered, draft.signed_info())
                .await
                .map_err(Refusal::Card)?;
            let element = draft.finish(&value);
            let document = document::place_signature(&order.document, order.kind, &element)?;
            let crls = self.crls();
            let crls = crls.as_deref().map(Vec::as_slice);
            let report = answer::judge(&self.config, &document, crls, now)?;
            Ok::<_, Refusal>((sha256(&value), document, report))
        };
        let (hash, document, report) = match finished.await {
            Ok(made) => made,
            Err(refusal) => {
                self.interrupted(desk, number, (record, index), &refusal).await?;
                return Err(Failed::Refused(refusal));
            }
        };
        record.event = Event::SignatureMade;
        record.outcome = Some(OutcomeFields { signature_hash: Some(hash), intention_index: index });
        let sealed = self.card_orders().seal_done(number, &document, &*self.random)?;
        let (staff, holder) = (order.staff.clone(), holder_of(&card.certificate));
        let ((), outcome) = desk
            .journal
            .record(move |tx| {
                crate::card_orders::done(tx, number, &sealed)?;
                crate::card_orders::bind(tx, &staff, &holder, now)?;
                Ok::<_, Failed<Refusal>>(((), Outcome(record.clone())))
            })
            .await?;
        Ok(SignedHere {
            order: number,
            kind: order.kind,
            document,
            report,
            signing_time: now,
            index: outcome.index(),
        })
    }

    /// Writes down that no signature of this intention was handed out.
    async fn interrupted(
        &self,
        desk: &CardDesk,
        number: OrderNumber,
        (mut record, index): (Record, u64),
        refusal: &Refusal,
    ) -> Result<(), Failed<Refusal>> {
        record.event = Event::SignatureInterrupted;
        record.outcome = Some(OutcomeFields { signature_hash: None, intention_index: index });
        let (code, again) = (refusal.code(), refusal.leaves_card_order_waiting());
        desk.journal
            .record(move |tx| {
                crate::card_orders::interrupted(tx, number, code, again)?;
                Ok::<_, Failed<Refusal>>(((), Outcome(record.clone())))
            })
            .await
            .map(drop)
    }

    /// Closes what was being signed when this process, or whoever waited, ended: the journal says
    /// that the signature was interrupted, and the EHR is told to ask again. Gives how many.
    ///
    /// At the start for all of them (`older_than_s` 0), later for those that nobody can be waiting
    /// for any more.
    pub async fn close_interrupted(
        &self,
        older_than_s: u64,
        now: Timestamp,
    ) -> Result<usize, Failed<Refusal>> {
        let Some(desk) = &self.cards else { return Ok(0) };
        let left = self.card_orders().signing(now.minus(older_than_s)).await?;
        for (number, index, key, kind, dtbsr, certificate) in &left {
            let mut record = Record::of_key(Event::SignatureIntended, *key, now);
            record.facility = Some(self.config.facility.clone());
            record.kind = Some(*kind);
            record.dtbsr = Some(*dtbsr);
            record.evidence = Some(*certificate);
            self.interrupted(desk, *number, (record, *index), &Refusal::CardInterrupted).await?;
        }
        Ok(left.len())
    }

    /// How far a document is that was to be signed with a card. Its own staff member's alone.
    pub async fn card_order(
        &self,
        staff: &StaffId,
        number: OrderNumber,
    ) -> Result<CardOrderState, Failed<Refusal>> {
        let staff = self.staff(staff)?;
        self.card_orders().state(number, &staff.id).await
    }
}

fn refused(refusal: crate::reader::CardRefusal) -> Failed<Refusal> {
    Failed::Refused(Refusal::Card(refusal))
}
