//! `/c`: the page of this host's browser on which somebody types her card's PIN, and what follows.
//! Which card it is and how many tries are left stands there before she types.
//!
//! The reader is in this host, so the browser must be, too: a PIN goes from its keyboard to its
//! reader and nowhere else. Another peer than this host itself is refused, whatever listens where.
//!
//! What is known of an open page is memory, as with `terminal`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use gateway::reader::{CardFace, CardUse, LastTry, Pin, choose};
use gateway::{CardAsked, CardOrderState, SignedHere, StaffId, TerminalId};
use hpki::encoding::{Digest32, sha256};
use hpki::id::OrderNumber;
use hpki::kind::DocumentKind;
use hpki::sign::Random as _;
use hpki::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use wire::refusal::Problem;
use wire::token::base64url_encode;
use zeroize::Zeroizing;

use super::Hospital;
use super::cards::FaceAnswer;
use crate::clock::now;
use crate::http::ask::{Ask, With};
use crate::http::problem::Trouble;
use crate::http::server::From as Peer;
use crate::pages::phone;
use crate::platform::pages::{Shown, shown};

type Desk = State<Arc<Hospital>>;

/// For how long a page is known.
const LIFE_S: u64 = 600;

pub(super) fn routes() -> Router<Arc<Hospital>> {
    Router::new().route("/c", get(page)).route("/c/state", post(state)).route("/c/pin", post(pin))
}

/// The pages that are open, by the SHA-256 of their secrets.
#[derive(Default)]
pub(super) struct Pages(Mutex<HashMap<Digest32, Open>>);

/// What one of them is for.
#[derive(Clone)]
struct Open {
    at: Timestamp,
    staff: StaffId,
    terminal: TerminalId,
    order: OrderNumber,
    kind: DocumentKind,
    reader: String,
}

/// The page as it stands.
#[derive(Serialize)]
struct View {
    facility: String,
    terminal: String,
    person: String,
    kind: DocumentKind,
    /// `card` (put the card in), `pin`, `busy`, `done` or `over`.
    state: &'static str,
    /// The card in the reader.
    card: Option<FaceAnswer>,
    /// What is wrong with it, or why it is over.
    trouble: Option<Problem>,
}

impl Pages {
    fn put(&self, secret: &str, open: Open) {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pages.retain(|_, old| open.at.since(old.at) < LIFE_S);
        pages.insert(sha256(secret.as_bytes()), open);
    }

    fn get(&self, secret: &str, now: Timestamp) -> Result<Open, Trouble> {
        let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = pages.get(&sha256(secret.as_bytes()));
        found.filter(|open| now.since(open.at) < LIFE_S).cloned().ok_or_else(|| {
            Trouble::refused("terminal-page-unknown", "no such page, or its time is over")
        })
    }
}

impl Hospital {
    /// The address of a page on which this document's signer types her PIN.
    pub(super) fn page_of_signature(
        &self,
        staff: &StaffId,
        terminal: &TerminalId,
        asked: &CardAsked,
    ) -> String {
        let mut octets = [0; 16];
        hsm::SystemRandom.fill(&mut octets);
        let secret = base64url_encode(&octets);
        let (staff, terminal) = (staff.clone(), terminal.clone());
        let (order, kind, reader) = (asked.order, asked.kind, asked.reader.clone());
        self.pins.put(&secret, Open { at: now(), staff, terminal, order, kind, reader });
        format!("{}/c#{secret}", self.door)
    }

    /// Signs to the end, also when whoever asked hangs up: a card that signs is not left alone.
    pub(super) async fn signed(
        self: Arc<Self>,
        staff: StaffId,
        order: OrderNumber,
        typed: Option<(Pin, LastTry)>,
    ) -> Result<SignedHere, Trouble> {
        let signing =
            tokio::spawn(
                async move { self.gateway.sign_with_card(&staff, order, typed, now()).await },
            );
        match signing.await {
            Ok(signed) => Ok(signed?),
            Err(error) => Err(Trouble::fault(&error)),
        }
    }

    async fn pin_view(&self, open: Open) -> Result<View, Trouble> {
        let config = self.gateway.config();
        let mut view = View {
            facility: self.name.clone(),
            terminal: config.terminal(&open.terminal).unwrap_or_default().to_owned(),
            person: config.staff(&open.staff).map(|staff| staff.name.clone()).unwrap_or_default(),
            kind: open.kind,
            state: "pin",
            card: None,
            trouble: None,
        };
        match self.gateway.card_order(&open.staff, open.order).await? {
            CardOrderState::Waiting => match self.signing_card(&open.reader).await {
                Ok(face) => view.card = Some(FaceAnswer::from(&face)),
                Err(trouble) => {
                    view.state = "card";
                    view.trouble = Some(trouble.problem());
                }
            },
            CardOrderState::Signing => view.state = "busy",
            CardOrderState::Done(_) => view.state = "done",
            CardOrderState::Refused(code) => {
                view.state = "over";
                view.trouble = Some(Problem::refused(&code, ""));
            }
        }
        Ok(view)
    }

    /// The card in this reader that signs.
    async fn signing_card(&self, reader: &str) -> Result<CardFace, Trouble> {
        let slots = self.gateway.look_at_cards().await?;
        match choose(&slots, CardUse::Signing, Some(reader)) {
            Ok((_, face)) => Ok(face),
            Err(refusal) => Err(Trouble::refused(refusal.code(), refusal.to_string())),
        }
    }
}

/// Which page asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageRequest {
    secret: String,
}

/// The PIN.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinRequest {
    secret: String,
    #[serde(deserialize_with = "zeroed")]
    pin: Zeroizing<String>,
    /// She was told that it is her last try.
    last: bool,
}

fn zeroed<'d, D: Deserializer<'d>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

/// The browser is on the host that has the reader.
fn here(Peer(peer): Peer) -> Result<(), Trouble> {
    if peer.is_loopback() {
        return Ok(());
    }
    Err(Trouble::refused("card-pin-elsewhere", "a PIN is typed on the host that has the reader"))
}

async fn page(With(asked): With<Shown>) -> Result<Response, Trouble> {
    shown(phone::pin(asked.lang()))
}

async fn state(
    State(hospital): Desk,
    Extension(peer): Extension<Peer>,
    Ask(request): Ask<PageRequest>,
) -> Result<Json<View>, Trouble> {
    here(peer)?;
    let open = hospital.pins.get(&request.secret, now())?;
    Ok(Json(hospital.pin_view(open).await?))
}

async fn pin(
    State(hospital): Desk,
    Extension(peer): Extension<Peer>,
    Ask(request): Ask<PinRequest>,
) -> Result<Json<View>, Trouble> {
    here(peer)?;
    let open = hospital.pins.get(&request.secret, now())?;
    let last = if request.last { LastTry::Wanted } else { LastTry::Unasked };
    let typed = Some((Pin::new(request.pin), last));
    Arc::clone(&hospital).signed(open.staff.clone(), open.order, typed).await?;
    Ok(Json(hospital.pin_view(open).await?))
}
