//! The room itself: what it holds, and how it is opened.

use std::sync::{Arc, RwLock};

use approval::{CardTrust, RelyingParty};
use hpki::id::{BudgetId, KeyId};
use hpki::kind::{DocumentKind, Form};
use hpki::sign::Random;
use hpki::time::Timestamp;
use hsm::SubscriberDesk;
use ledger::Ledger;

use crate::budget::BudgetRow;
use crate::cache::Recent;
use crate::client::Client;
use crate::desk::Strongroom;
use crate::hourly::Hourly;
use crate::import::Importer;
use crate::key::Kept;
use crate::limits::{CLOCK_BEHIND_S, Limits};
use crate::policy::{Mode, Policy};
use crate::refusal::Refusal;
use crate::token::{TokenKey, Tokens};
use crate::{Failed as Bad, refused};

/// How the room is set up.
#[derive(Debug, Clone)]
pub struct CustodyConfig {
    /// The platform, as tokens (`iss`) and approvals name it.
    pub issuer: String,
    /// This service, as tokens name it (`aud`).
    pub audience: String,
    /// Who we are to phones.
    pub rp: RelyingParty,
    /// How much one approval may allow.
    pub limits: Limits,
    /// Which kinds of document are signed, and by which decision.
    pub policy: Policy,
    /// Who may have hashes signed. None by default.
    pub clients: Vec<Client>,
    /// The token issuer's public keys.
    pub token_keys: Vec<TokenKey>,
    /// How many keys may be loaded in the device at once.
    pub loaded_keys: usize,
}

/// The default of [`CustodyConfig::loaded_keys`].
pub const LOADED_KEYS: usize = 4_096;
/// Keys and budgets whose rows were checked lately.
const REMEMBERED: usize = 8_192;

/// Key custody. Clones are handles to the same room.
#[derive(Clone)]
pub struct Custody(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) ledger: Ledger,
    pub(crate) room: Strongroom,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) config: CustodyConfig,
    pub(crate) tokens: Tokens,
    pub(crate) kept: Recent<KeyId, Arc<Kept>>,
    pub(crate) budgets: Recent<BudgetId, Arc<BudgetRow>>,
    /// The authorities from which keys are taken over.
    pub(crate) importers: RwLock<Vec<Importer>>,
    /// Whom HPKI cards are believed by.
    pub(crate) cards: RwLock<Arc<CardTrust>>,
    /// What tokens and facilities asked for in this hour.
    pub(crate) hourly: Arc<Hourly>,
    /// This process, in reservations.
    pub(crate) holder: [u8; 16],
}

impl Custody {
    /// Opens the room. Call [`Custody::recover`] before the first request is let in.
    pub fn new(
        ledger: Ledger,
        desk: SubscriberDesk,
        random: Arc<dyn Random>,
        config: CustodyConfig,
    ) -> Self {
        let mut holder = [0; 16];
        random.fill(&mut holder);
        let tokens =
            Tokens::new(config.issuer.clone(), config.audience.clone(), &config.token_keys);
        Self(Arc::new(Inner {
            ledger,
            room: Strongroom::new(desk, config.loaded_keys),
            random,
            tokens,
            kept: Recent::new(REMEMBERED),
            budgets: Recent::new(REMEMBERED),
            importers: RwLock::default(),
            cards: RwLock::default(),
            hourly: Arc::default(),
            holder,
            config,
        }))
    }

    /// Replaces the pinned token keys (a rotation, or an emergency).
    pub fn pin_token_keys(&self, keys: &[TokenKey]) {
        self.0.tokens.pin(keys);
    }

    /// How many keys are loaded in the device now.
    pub fn loaded_keys(&self) -> usize {
        self.0.room.loaded()
    }
}

impl Inner {
    /// Whether a document of this kind, whose signature the platform composes, may be signed by
    /// this decision.
    pub(crate) fn composed(&self, kind: DocumentKind, mode: Mode) -> Result<(), Refusal> {
        self.config.policy.allow(kind, mode)?;
        match kind.form() {
            Form::Xades => Ok(()),
            Form::Hash => Err(Refusal::KindWrongDoor),
        }
    }

    /// A clock behind the journal would date signatures before what is already recorded.
    pub(crate) fn clock(&self, now: Timestamp) -> Result<(), Bad> {
        match self.ledger.last_time() {
            Some(last) if now.plus(CLOCK_BEHIND_S) < last => refused(Refusal::ClockUnsure),
            _ => Ok(()),
        }
    }

    /// The moment, or the latest that the journal knows: a request that waited long for the device
    /// must not take its beginning for the present.
    pub(crate) fn present(&self, now: Timestamp) -> Timestamp {
        self.ledger.last_time().map_or(now, |last| last.max(now))
    }
}
