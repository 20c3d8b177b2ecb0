//! The room itself: what it holds while it runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use approval::CardTrust;
use hpki::encoding::Digest32;
use hpki::id::{BindingId, CeremonyId, FacilityCode, SheetId};
use hpki::sign::Random;
use hpki::time::Timestamp;
use hsm::TokenDesk;
use ledger::Ledger;
use serde_json::{Value, json};
use wire::token::base64url_encode;

use crate::asking::Question;
use crate::at_home::{Asked, Ticket};
use crate::card_linking::CardLinking;
use crate::card_status::Heard;
use crate::ceremony::Ceremony;
use crate::changing::Change;
use crate::config::AuthnConfig;
use crate::officer::AtDesk;
use crate::provider::{Client, Registry};
use crate::visit::Signin;

/// How often the right secret of one sheet may be shown in an hour.
const OPENINGS_AN_HOUR: u32 = 30;

/// How often ceremonies are looked through for those that are long over.
const SWEEP_S: u64 = 10;

/// The ceremonies of each facility that may still be open, and when all were last looked through.
#[derive(Default)]
pub(crate) struct Terminals {
    pub(crate) open: HashMap<FacilityCode, Vec<CeremonyId>>,
    swept: Option<Timestamp>,
}

impl Terminals {
    /// Whether it is time to forget what is long over.
    pub(crate) fn sweep(&mut self, now: Timestamp) -> bool {
        let due = self.swept.is_none_or(|last| now.since(last) >= SWEEP_S);
        if due {
            self.swept = Some(now);
            self.open.retain(|_, open| !open.is_empty());
        }
        due
    }
}

/// 本人認証. Sheets, phones, ceremonies, sessions; the desk of the token keys.
pub struct Authn {
    pub(crate) ledger: Ledger,
    pub(crate) desk: Arc<TokenDesk>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) config: AuthnConfig,
    ceremonies: Mutex<HashMap<CeremonyId, Ceremony>>,
    terminals: Mutex<Terminals>,
    questions: Mutex<HashMap<BindingId, Question>>,
    pub(crate) signins: Mutex<HashMap<CeremonyId, Signin>>,
    pub(crate) changes: Mutex<HashMap<SheetId, Change>>,
    openings: Mutex<HashMap<SheetId, (Timestamp, u32)>>,
    pub(crate) at_desk: AtDesk,
    pub(crate) registry: Registry,
    /// Whom HPKI cards are believed by.
    pub(crate) trusted: RwLock<Arc<CardTrust>>,
    /// Whom My Number Cards are believed by.
    pub(crate) trusted_jpki: RwLock<Arc<CardTrust>>,
    /// What their authority said when it was asked about one.
    pub(crate) heard: Mutex<Heard>,
    pub(crate) homes: Mutex<HashMap<CeremonyId, Asked>>,
    pub(crate) card_linkings: Mutex<HashMap<CeremonyId, CardLinking>>,
    pub(crate) tickets: Mutex<HashMap<Digest32, Ticket>>,
}

impl std::fmt::Debug for Authn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authn").field("issuer", &self.config.issuer).finish_non_exhaustive()
    }
}

impl Authn {
    /// The room, over a ledger that was opened with [`crate::MIGRATIONS`]. Numbers of the
    /// configuration beyond the bounds in code are brought back to the bounds.
    pub fn new(
        ledger: Ledger,
        desk: TokenDesk,
        random: Arc<dyn Random>,
        config: AuthnConfig,
    ) -> Self {
        Self {
            ledger,
            desk: Arc::new(desk),
            random,
            config: config.bounded(),
            ceremonies: Mutex::default(),
            terminals: Mutex::default(),
            questions: Mutex::default(),
            signins: Mutex::default(),
            changes: Mutex::default(),
            openings: Mutex::default(),
            at_desk: AtDesk::default(),
            registry: Registry::default(),
            trusted: RwLock::default(),
            trusted_jpki: RwLock::default(),
            heard: Mutex::default(),
            homes: Mutex::default(),
            card_linkings: Mutex::default(),
            tickets: Mutex::default(),
        }
    }

    /// The room with these clients registered (`provider`).
    #[must_use]
    pub fn with_clients(mut self, clients: Vec<Client>) -> Self {
        self.registry = Registry::of(clients);
        self
    }

    /// The keys that sign tokens, as `/.well-known/jwks.json` publishes them (RFC 7517).
    pub fn jwks(&self) -> Value {
        let keys: Vec<Value> = self
            .desk
            .published()
            .iter()
            .map(|key| {
                json!({
                    "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key.kid,
                    "x": base64url_encode(&key.x), "y": base64url_encode(&key.y),
                })
            })
            .collect();
        json!({ "keys": keys })
    }

    /// The desk of the token keys: preparing, rotating and retiring them is the operator's.
    pub fn token_desk(&self) -> &TokenDesk {
        &self.desk
    }

    /// The ceremonies of now. Never held across an await.
    pub(crate) fn ceremonies(&self) -> MutexGuard<'_, HashMap<CeremonyId, Ceremony>> {
        self.ceremonies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which ceremonies each facility has open. Taken after the ceremonies themselves.
    pub(crate) fn terminals(&self) -> MutexGuard<'_, Terminals> {
        self.terminals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What linked phones are asked, one question each. Never held across an await.
    pub(crate) fn questions(&self) -> MutexGuard<'_, HashMap<BindingId, Question>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this sheet may be opened once more in this hour. Counted only for the right secret,
    /// so a stranger neither fills the table nor slows the owner.
    pub(crate) fn may_open(&self, sheet: SheetId, now: Timestamp) -> bool {
        let mut openings = self.openings.lock().unwrap_or_else(PoisonError::into_inner);
        openings.retain(|_, (since, _)| now.since(*since) < 3_600);
        let (_, count) = openings.entry(sheet).or_insert((now, 0));
        *count += 1;
        *count <= OPENINGS_AN_HOUR
    }
}
