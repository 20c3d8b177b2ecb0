//! The two doors to a card: a challenge goes to an authentication application, and only what the
//! facility's journal holds as an intention goes to the signing application.
//!
//! A PIN lives for one operation. Where the facility configured it ([`Keeping::WhileInserted`]), the
//! PIN of a signing application is kept in memory as long as its card stays in the reader, for the
//! staff member who typed it; taking the card out, twelve hours, or any trouble with the card ends
//! that.

use std::sync::Arc;
use std::time::Duration;

use hpki::certificate::Certificate;
use hpki::encoding::Digest32;
use hpki::policy::VerifyingKey;
use hpki::sign::SignatureAlgorithm;
use hpki::time::Timestamp;
use ledger::{Intention, Ledger, Receipt};
use tokio::sync::Mutex;

use crate::names::StaffId;
use crate::reader::{CardRefusal, CardUse, Cards, Chosen, LastTry, Pin, Slot, Stay};

/// No PIN is kept longer, however long the card stays.
const KEPT_S: u64 = 12 * 3600;

/// Whether the PIN for signing is asked for each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// It is.
    EachTime,
    /// Once, as long as the card stays in the reader.
    WhileInserted,
}

/// How this facility uses cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardPolicy {
    /// Whether documents may be signed with cards here.
    pub signs: bool,
    /// Whether the PIN for it is asked for each time.
    pub keeping: Keeping,
    /// How long a card may take.
    pub patience: Duration,
}

/// The cards of this host.
#[derive(Clone)]
pub struct CardHost {
    cards: Arc<dyn Cards>,
    /// How long a card may take.
    patience: Duration,
}

/// The cards of this host, and the facility's own journal.
pub struct CardDesk {
    pub(crate) host: CardHost,
    pub(crate) journal: Ledger,
    pub(crate) policy: CardPolicy,
    kept: Mutex<Option<Kept>>,
}

/// A PIN whose card has stayed since it was typed.
struct Kept {
    staff: StaffId,
    certificate: Certificate,
    pin: Arc<Pin>,
    stay: Box<dyn Stay>,
    since: Timestamp,
}

/// The PIN of one operation.
pub struct Entered {
    pub(crate) pin: Arc<Pin>,
    pub(crate) last: LastTry,
}

impl Entered {
    /// What its holder typed, and whether she knows it if this is the last try.
    pub fn new(pin: Pin, last: LastTry) -> Self {
        Self { pin: Arc::new(pin), last }
    }
}

impl CardHost {
    /// These cards, each of which may take so long.
    pub const fn new(cards: Arc<dyn Cards>, patience: Duration) -> Self {
        Self { cards, patience }
    }

    /// What is in which reader.
    ///
    /// # Errors
    /// `card-reader-unavailable`, `card-slow`
    pub async fn look(&self) -> Result<Vec<Slot>, CardRefusal> {
        self.turn(|cards| cards.look()).await
    }

    /// Has an authentication application answer a challenge: it signs the 32 octets of the
    /// challenge, hashed as the signature scheme hashes any message.
    ///
    /// # Errors
    /// As [`Cards::sign_digest`], and `card-slow`, `card-signature-mismatch`.
    pub async fn answer(
        &self,
        card: &Chosen,
        entered: Entered,
        challenge: &Digest32,
    ) -> Result<Vec<u8>, CardRefusal> {
        if card.usage == CardUse::Signing {
            return Err(CardRefusal::Malformed("a signing key does not answer challenges"));
        }
        self.sign(card, entered, *challenge).await
    }

    /// One signature, checked with the certificate before anybody sees it.
    async fn sign(
        &self,
        card: &Chosen,
        entered: Entered,
        message: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>, CardRefusal> {
        let key = VerifyingKey::new(SignatureAlgorithm::RsaSha256, card.certificate.spki_der());
        let key = key.map_err(|_| CardRefusal::Malformed("its key is of no use here"))?;
        let digest = hpki::encoding::sha256(message.as_ref());
        let chosen = card.clone();
        let made = self
            .turn(move |cards| cards.sign_digest(&chosen, &entered.pin, entered.last, &digest))
            .await?;
        key.verify(message.as_ref(), &made).map_err(|_| CardRefusal::SignatureWrong)?;
        Ok(made)
    }

    /// Some turns with the reader, on a thread where a card may be slow. Whoever gives up waiting
    /// does not hear of it any more: what a late card signs goes nowhere.
    async fn turn<T: Send + 'static>(
        &self,
        turn: impl FnOnce(&dyn Cards) -> Result<T, CardRefusal> + Send + 'static,
    ) -> Result<T, CardRefusal> {
        let cards = Arc::clone(&self.cards);
        let work = tokio::task::spawn_blocking(move || turn(&*cards));
        match tokio::time::timeout(self.patience, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(CardRefusal::ReaderUnavailable("a reader's turn broke off".into())),
            Err(_) => Err(CardRefusal::Slow),
        }
    }
}

impl CardDesk {
    /// Over these cards.
    pub fn new(cards: Arc<dyn Cards>, journal: Ledger, policy: CardPolicy) -> Self {
        let host = CardHost::new(cards, policy.patience);
        Self { host, journal, policy, kept: Mutex::default() }
    }

    /// Has a signing application sign this message, which its intention names by its digest.
    pub(crate) async fn sign_document(
        &self,
        intention: &Receipt<Intention>,
        card: &Chosen,
        entered: Entered,
        message: &[u8],
    ) -> Result<Vec<u8>, CardRefusal> {
        if card.usage != CardUse::Signing {
            return Err(CardRefusal::Malformed("an authentication key signs no documents"));
        }
        if intention.record().dtbsr != Some(hpki::encoding::sha256(message)) {
            return Err(CardRefusal::Malformed("the intention is of something else"));
        }
        self.host.sign(card, entered, message.to_vec()).await
    }

    /// The PIN that this staff member typed for this card, if it has stayed since.
    pub(crate) async fn kept_pin(
        &self,
        staff: &StaffId,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Option<Arc<Pin>> {
        self.forget_absent(now).await;
        let kept = self.kept.lock().await;
        let kept = kept.as_ref()?;
        let hers = kept.staff == *staff && kept.certificate == *certificate;
        hers.then(|| Arc::clone(&kept.pin))
    }

    /// Erases a PIN whose card was taken out, or that was kept too long. To be done often.
    pub async fn forget_absent(&self, now: Timestamp) {
        let mut place = self.kept.lock().await;
        let Some(mut kept) = place.take() else { return };
        if now.since(kept.since) >= KEPT_S || kept.since > now {
            return;
        }
        let asked = tokio::task::spawn_blocking(move || kept.stay.is_there().then_some(kept));
        // Not to be told within the time is not to know that it stayed.
        if let Ok(Ok(stayed)) = tokio::time::timeout(self.policy.patience, asked).await {
            *place = stayed;
        }
    }

    /// Erases the PIN that is kept, if one is.
    pub(crate) async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    /// Begins to notice whether this card stays, where PINs are kept.
    pub(crate) async fn begin_stay(&self, card: &Chosen) -> Option<Box<dyn Stay>> {
        if self.policy.keeping == Keeping::EachTime {
            return None;
        }
        let card = card.clone();
        // Without it the PIN is asked for each time, which is no reason not to sign.
        self.host.turn(move |cards| cards.stay(&card)).await.ok()
    }

    /// Keeps a PIN that was right.
    pub(crate) async fn keep(
        &self,
        staff: &StaffId,
        card: &Chosen,
        pin: Arc<Pin>,
        stay: Box<dyn Stay>,
        now: Timestamp,
    ) {
        let (staff, certificate) = (staff.clone(), card.certificate.clone());
        *self.kept.lock().await = Some(Kept { staff, certificate, pin, stay, since: now });
    }
}
