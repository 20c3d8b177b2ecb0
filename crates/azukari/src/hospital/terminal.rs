//! The page that a terminal's browser shows while somebody authenticates or approves: the QR code,
//! how far it is, the box for three digits. The EHR opens it by an address with a secret of its own
//! in the fragment; the EHR's key never comes near a browser, and a token never reaches this page.
//!
//! What is known of an open page is memory: after a restart the EHR begins anew. A page can ask for a
//! new QR code, but not for ever (`open_pages`), and it leads to one page for a PIN at a time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use gateway::reader::CardUse;
use gateway::{Approving, Authentication, StaffId, TerminalId};
use hpki::id::CeremonyId;
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use http_body_util::channel::Channel;
use ledger::Failed;
use serde::{Deserialize, Serialize};
use wire::CeremonyStep;
use wire::refusal::lookup;

use super::Hospital;
use super::open_pages::PageName;
use crate::clock::now;
use crate::http::ask::{Ask, With};
use crate::http::problem::Trouble;
use crate::pages::phone;
use crate::pages::qr::Qr;
use crate::platform::pages::{Shown, asset, shown};

type Desk = State<Arc<Hospital>>;

/// How often the platform is asked while a page is open.
const GLANCE: Duration = Duration::from_secs(1);

pub(super) fn routes() -> Router<Arc<Hospital>> {
    Router::new()
        .route("/t", get(page))
        .route("/t/state", post(state))
        .route("/t/events", post(events))
        .route("/t/number", post(number))
        .route("/t/again", post(again))
        .route("/t/card", post(card))
        .route("/assets/{*name}", get(asset))
}

/// What one of these pages shows.
#[derive(Clone)]
pub(super) struct Open {
    staff: StaffId,
    terminal: TerminalId,
    ceremony: CeremonyId,
    qr: Option<Qr>,
    until: Timestamp,
    documents: Option<Documents>,
    /// The page for a card's PIN to which this one led last.
    pin: Option<PageName>,
}

/// What terminal and phone both show of documents.
#[derive(Clone, Serialize)]
pub(super) struct Documents {
    short_code: String,
    kinds: Vec<DocumentKind>,
    count: u32,
}

impl From<&Approving> for Documents {
    fn from(asked: &Approving) -> Self {
        Self {
            short_code: asked.short_code.clone(),
            kinds: asked.kinds.clone(),
            count: asked.count,
        }
    }
}

/// The page as it stands.
#[derive(Serialize)]
struct View {
    facility: String,
    terminal: String,
    person: String,
    state: CeremonyStep,
    /// While nobody has scanned it.
    qr: Option<Qr>,
    /// For how long it can be scanned, in seconds: browsers' clocks are not asked.
    left: u64,
    /// Once released: until when this person can sign.
    until: Option<Timestamp>,
    documents: Option<Documents>,
    /// Whether a card in a reader of this host can be used instead of the phone.
    cards: bool,
}

impl Hospital {
    /// The address of a page about this authentication.
    pub(super) fn page(
        &self,
        staff: &StaffId,
        terminal: &TerminalId,
        begun: &Authentication,
    ) -> String {
        let open = Open {
            staff: staff.clone(),
            terminal: terminal.clone(),
            ceremony: begun.ceremony,
            qr: Qr::of(&begun.qr),
            until: begun.until,
            documents: None,
            pin: None,
        };
        self.opened(open)
    }

    /// The address of a page about this approval of documents.
    pub(super) fn page_of_approval(
        &self,
        staff: &StaffId,
        terminal: &TerminalId,
        asked: &Approving,
    ) -> String {
        let open = Open {
            staff: staff.clone(),
            terminal: terminal.clone(),
            ceremony: asked.ceremony,
            qr: Qr::of(&asked.qr),
            until: asked.until,
            documents: Some(asked.into()),
            pin: None,
        };
        self.opened(open)
    }

    fn opened(&self, open: Open) -> String {
        let (secret, _) = self.terminals.open(open, now());
        format!("{}/t#{secret}", self.door)
    }

    async fn view(&self, secret: &str, now: Timestamp) -> Result<View, Trouble> {
        let open = self.terminals.get(secret, now)?;
        let (state, until) = if open.documents.is_some() {
            (
                self.gateway
                    .approval(&open.staff, open.ceremony, now)
                    .await
                    .map_err(plainly)?
                    .state,
                None,
            )
        } else {
            let found = self
                .gateway
                .authentication_state(&open.staff, open.ceremony, now)
                .await
                .map_err(plainly)?;
            (found.state, found.until)
        };
        Ok(self.shown(open, state, until, now))
    }

    fn shown(
        &self,
        open: Open,
        state: CeremonyStep,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> View {
        let config = self.gateway.config();
        View {
            facility: self.name.clone(),
            terminal: config.terminal(&open.terminal).unwrap_or_default().to_owned(),
            person: config.staff(&open.staff).map(|staff| staff.name.clone()).unwrap_or_default(),
            qr: open.qr.filter(|_| state == CeremonyStep::Waiting),
            left: open.until.since(now),
            state,
            until,
            cards: self.uses_cards,
            documents: open.documents,
        }
    }
}

/// Which page asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageRequest {
    secret: String,
}

/// The digits typed at the terminal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DigitsRequest {
    secret: String,
    number: String,
}

/// Which card instead of the phone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardRequest {
    secret: String,
    /// `hpki` or `jpki`.
    means: String,
}

/// The page on which the card's PIN is typed.
#[derive(Serialize)]
struct CardAnswer {
    page: String,
}

/// A card instead of the phone.
async fn card(
    State(hospital): Desk,
    Ask(request): Ask<CardRequest>,
) -> Result<Json<CardAnswer>, Trouble> {
    let open = hospital.terminals.get(&request.secret, now())?;
    let usage = card_means(&request.means)?;
    if !hospital.uses_cards {
        return Err(Trouble::refused("cards-not-configured", "no cards are used here"));
    }
    let Open { staff, terminal, ceremony, until, documents, .. } = open;
    let (page, name) = match documents {
        None => hospital.page_of_card_session(&staff, &terminal, usage, (ceremony, until)),
        Some(documents) => {
            hospital.page_of_card_approval(&staff, &terminal, usage, ceremony, documents)
        }
    };
    let former =
        hospital.terminals.update(&request.secret, now(), |open| open.pin.replace(name))?;
    if let Some(former) = former {
        hospital.pins.close(former);
    }
    Ok(Json(CardAnswer { page }))
}

/// The use of a card that this means of authentication names.
pub(super) fn card_means(means: &str) -> Result<CardUse, Trouble> {
    match means {
        "hpki" => Ok(CardUse::Authentication),
        "jpki" => Ok(CardUse::Jpki),
        _ => Err(Trouble::refused("request-malformed", "means is phone, hpki or jpki")),
    }
}

async fn page(With(asked): With<Shown>) -> Result<Response, Trouble> {
    shown(phone::terminal(asked.lang()))
}

async fn state(
    State(hospital): Desk,
    Ask(request): Ask<PageRequest>,
) -> Result<Json<View>, Trouble> {
    Ok(Json(hospital.view(&request.secret, now()).await?))
}

async fn number(
    State(hospital): Desk,
    Ask(request): Ask<DigitsRequest>,
) -> Result<Json<View>, Trouble> {
    let at = now();
    let open = hospital.terminals.get(&request.secret, at)?;
    let gateway = &hospital.gateway;
    let found =
        gateway.number(&open.staff, open.ceremony, &request.number, at).await.map_err(plainly)?;
    Ok(Json(hospital.shown(open, found.state, found.until, at)))
}

/// A new QR code in the same page. Documents are asked for again by the EHR that has them.
async fn again(
    State(hospital): Desk,
    Ask(request): Ask<PageRequest>,
) -> Result<Json<View>, Trouble> {
    let at = now();
    let open = hospital.terminals.get(&request.secret, at)?;
    if open.documents.is_some() {
        return Err(Trouble::refused("terminal-page-unknown", "the EHR asks again"));
    }
    hospital.terminals.renew(&request.secret, at)?;
    let begun =
        hospital.gateway.authenticate(&open.staff, &open.terminal, at).await.map_err(plainly)?;
    hospital.terminals.update(&request.secret, at, |open| {
        (open.ceremony, open.qr, open.until) = (begun.ceremony, Qr::of(&begun.qr), begun.until);
    })?;
    Ok(Json(hospital.view(&request.secret, at).await?))
}

/// Each change of what the page shows, as it comes (server-sent events), until nothing more will.
/// The platform is asked each second as long as the page listens.
async fn events(
    State(hospital): Desk,
    Ask(request): Ask<PageRequest>,
) -> Result<Response, Trouble> {
    hospital.terminals.get(&request.secret, now())?;
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
    // A page that stays open must not keep the gateway open.
    let hospital = Arc::downgrade(&hospital);
    tokio::spawn(async move {
        let mut last: Option<Option<CeremonyStep>> = None;
        loop {
            let Some(hospital) = hospital.upgrade() else { return };
            // Between changes only the seconds left are new, which the page counts itself.
            let (said, step) = match hospital.view(&request.secret, now()).await {
                Ok(view) => (serde_json::to_string(&view), Some(view.state)),
                Err(trouble) => {
                    (serde_json::to_string(&trouble.problem()), passing(&trouble, last))
                }
            };
            drop(hospital);
            let Ok(said) = said else { return };
            let changed = last != Some(step);
            let line = if changed { format!("data: {said}\n\n") } else { ":\n\n".to_owned() };
            let over = step.is_none_or(is_over);
            last = Some(step);
            if sender.send_data(line.into()).await.is_err() || over {
                return;
            }
            tokio::time::sleep(GLANCE).await;
        }
    });
    let mut answer = Body::new(body).into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(answer)
}

/// The platform's own refusal, in its own words: here a person reads it, not a program.
pub(super) fn plainly(failed: Failed<gateway::Refusal>) -> Trouble {
    if let Failed::Refused(gateway::Refusal::PlatformRefused { code, detail }) = &failed
        && let Some(text) = lookup(code)
    {
        return Trouble::refused(text.code, detail.clone());
    }
    failed.into()
}

/// Trouble that passes by itself – the platform does not answer – leaves the page as it was; any
/// other ends it.
fn passing(trouble: &Trouble, last: Option<Option<CeremonyStep>>) -> Option<CeremonyStep> {
    if trouble.problem().status >= 500 { last.flatten() } else { None }
}

/// Whether nothing more will come.
fn is_over(step: CeremonyStep) -> bool {
    matches!(step, CeremonyStep::Released | CeremonyStep::Refused | CeremonyStep::Expired)
}
