//! The page of the running town: `azukari demo` without `--once`.
//!
//! It opens on loopback for the browser of this machine and nobody else: a request that names
//! another host (DNS rebinding) is refused, and so is a POST that another page could have sent.
//! What is shown is `pages`'; what happens is `visit`'s, which goes over HTTP as any outside
//! program.

mod checks;
mod files;
mod travel;
mod view;
mod visit;
mod words;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};

use super::home::Home;
use super::rack::RackRefusal;
use super::timeline::{Timeline, shown};
use super::town::Town;
use crate::http::ask::{Ask, At, With};
use crate::http::problem::Trouble;
use crate::pages::demo_cards::{CardRequest, InsertRequest};
use crate::pages::{self, Lang, demo as shows};
use crate::runtime::Stop;
use visit::{OutOfTurn, Visit};

/// The names under which this machine calls itself.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
/// A prescription record with room to spare.
const BODY_MAX: usize = 1024 * 1024;

type Desk = axum::extract::State<Arc<Mutex<Visit>>>;

/// Serves the page until stopped.
pub(crate) async fn keep(
    town: &mut Town,
    home: &Home,
    listener: TcpListener,
    own: Option<Vec<u8>>,
    timeline: Timeline,
    stopped: watch::Receiver<bool>,
) -> Result<(), Stop> {
    let port = listener.local_addr()?.port();
    let url = format!("http://127.0.0.1:{port}/");
    if home.out.is_some() {
        super::manifest::write(town, home, Some(&url)).await?;
    }
    let with_readers = town.rack.is_some();
    let mut visit = Visit::begin(town, own)?;
    visit.settle();
    let router = router(Arc::new(Mutex::new(visit)), port);
    if !*stopped.borrow() {
        invite(&url, home, &timeline);
        if with_readers {
            invite_to_readers();
        }
    }
    crate::http::server::serve(listener, None, router, stopped).await;
    println!("\n町を閉じます (closing the town)");
    Ok(())
}

fn invite(url: &str, home: &Home, timeline: &Timeline) {
    println!("\n■ 町がひらきました（{}）  the town is open", shown(timeline.total()));
    println!("\n  次のページをブラウザで開いてください (open this page in your browser):\n");
    println!("      {url}");
    println!("      {url}?lang=en  (English)\n");
    if let Some(out) = &home.out {
        let file = out.join("demo.json");
        println!("  外部プログラムのための案内 (for outside programs): {}", file.display());
    }
    println!("  終えるときは Ctrl-C を押してください (Ctrl-C ends it)");
}

fn invite_to_readers() {
    println!("\n  カードは仮想リーダーに入っています (the cards are in virtual readers):");
    println!("      opensc-tool --list-readers、pkcs15-tool -D、azukari card list");
    if !cfg!(feature = "pcsc") {
        println!(
            "  このプログラムは PC/SC なしで作られたので、病院と薬局の端末はカードを読めません。\n  → cargo build --features pcsc (built without PC/SC: the terminals cannot read them)"
        );
    }
}

fn router(visit: Arc<Mutex<Visit>>, port: u16) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/assets/{name}", get(asset))
        .route("/files/{name}", get(file))
        .route("/demo/state", get(state))
        .route("/demo/authenticate/start", post(start))
        .route("/demo/authenticate/approve", post(approve))
        .route("/demo/authenticate/refuse", post(refuse))
        .route("/demo/authenticate/number", post(number))
        .route("/demo/prescribe", post(prescribe))
        .route("/demo/sign", post(sign))
        .route("/demo/dispense", post(dispense))
        .route("/demo/verify", post(verify))
        .route("/demo/reset", post(reset))
        .route("/demo/cards/insert", post(insert))
        .route("/demo/cards/remove", post(remove))
        .route("/demo/cards/revoke", post(revoke))
        .route("/demo/later", post(later))
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::middleware::from_fn_with_state(port, guard))
        .with_state(visit)
}

/// Why the page's own door says no.
enum No {
    ForeignHost,
    ForeignOrigin,
    NotJson,
    NothingHere,
    OutOfTurn,
    TooLate,
    ReaderFull,
    ReaderGone,
}

impl From<OutOfTurn> for No {
    fn from(_: OutOfTurn) -> Self {
        Self::OutOfTurn
    }
}

impl From<RackRefusal> for No {
    fn from(refusal: RackRefusal) -> Self {
        match refusal {
            RackRefusal::Unknown => Self::NothingHere,
            RackRefusal::Full => Self::ReaderFull,
            RackRefusal::Gone => Self::ReaderGone,
            RackRefusal::Broken(why) => {
                tracing::error!(%why, "a card of the town");
                Self::ReaderGone
            }
        }
    }
}

impl No {
    fn code(&self) -> &'static str {
        match self {
            Self::ForeignHost => "demo-host-foreign",
            Self::ForeignOrigin => "demo-origin-foreign",
            Self::NotJson => "demo-not-json",
            Self::NothingHere => "demo-nothing-here",
            Self::OutOfTurn => "demo-out-of-turn",
            Self::TooLate => "demo-too-late",
            Self::ReaderFull => "demo-reader-full",
            Self::ReaderGone => "demo-reader-gone",
        }
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        Trouble::refused(self.code(), "the page of the town refuses").into_response()
    }
}

/// Admits this machine's own browser, and puts the page's headers on every answer.
async fn guard(State(port): State<u16>, request: Request, next: Next) -> Response {
    let mut answer = match admitted(request.method(), request.headers(), port) {
        Ok(()) => next.run(request).await,
        Err(no) => no.into_response(),
    };
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, pages::CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn admitted(method: &Method, headers: &HeaderMap, port: u16) -> Result<(), No> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default().to_ascii_lowercase();
    if headers.get_all(header::HOST).iter().count() != 1
        || !LOCAL.iter().any(|name| host == format!("{name}:{port}"))
    {
        return Err(No::ForeignHost);
    }
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    if text(header::ORIGIN).is_some_and(|origin| origin != format!("http://{host}")) {
        return Err(No::ForeignOrigin);
    }
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(No::NotJson) }
}

#[derive(Deserialize)]
struct Shown {
    lang: Option<String>,
}

async fn page(State(visit): Desk, With(shown): With<Shown>) -> Result<Html<String>, Trouble> {
    let state = visit.lock().await.look().await;
    let lang = Lang::from_query(shown.lang.as_deref());
    shows::page(lang, &state).map(Html).map_err(|error| Trouble::fault(&error))
}

async fn asset(At(name): At<String>) -> Result<impl IntoResponse, No> {
    let (kind, octets) = pages::asset(&name).ok_or(No::NothingHere)?;
    Ok(([(header::CONTENT_TYPE, kind)], octets))
}

async fn file(State(visit): Desk, At(name): At<String>) -> Result<impl IntoResponse, No> {
    let visit = visit.lock().await;
    let taken = files::take(&visit, &name).ok_or(No::NothingHere)?;
    let disposition = format!("attachment; filename=\"{name}\"");
    Ok((
        [
            (header::CONTENT_TYPE, taken.content_type.to_owned()),
            (header::CONTENT_DISPOSITION, disposition),
        ],
        taken.octets,
    ))
}

async fn nothing_here() -> No {
    No::NothingHere
}

type Answer = Result<Json<shows::State>, No>;

async fn answer(mut visit: tokio::sync::MutexGuard<'_, Visit>) -> Answer {
    Ok(Json(visit.look().await))
}

async fn state(State(visit): Desk) -> Answer {
    answer(visit.lock().await).await
}

async fn start(State(visit): Desk, Ask(request): Ask<shows::StartRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.start(request.who).await?;
    answer(visit).await
}

async fn approve(State(visit): Desk, Ask(_): Ask<shows::EmptyRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.approve().await?;
    answer(visit).await
}

async fn refuse(State(visit): Desk, Ask(_): Ask<shows::EmptyRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.refuse().await?;
    answer(visit).await
}

async fn number(State(visit): Desk, Ask(request): Ask<shows::NumberRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.number(&request.number).await?;
    answer(visit).await
}

async fn prescribe(State(visit): Desk, Ask(request): Ask<shows::PrescribeRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.prescribe(request)?;
    answer(visit).await
}

async fn sign(State(visit): Desk, Ask(_): Ask<shows::EmptyRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.sign().await?;
    answer(visit).await
}

async fn dispense(State(visit): Desk, Ask(_): Ask<shows::EmptyRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.dispense().await?;
    answer(visit).await
}

async fn verify(State(visit): Desk, Ask(request): Ask<shows::VerifyRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.verify(request.tamper)?;
    answer(visit).await
}

/// How far a town's time may run ahead at once: four months, a little more than a sheet lives.
const LATER_MOST_S: u64 = 124 * 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Later {
    seconds: u64,
}

/// Time passes in the town: sheets, QR codes and sessions expire by themselves.
async fn later(Ask(request): Ask<Later>) -> Result<Json<serde_json::Value>, No> {
    if request.seconds > LATER_MOST_S {
        return Err(No::TooLate);
    }
    crate::clock::let_pass(request.seconds);
    Ok(Json(serde_json::json!({ "now": crate::clock::now() })))
}

async fn insert(State(visit): Desk, Ask(request): Ask<InsertRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.insert_card(&request.card, request.reader).await?;
    answer(visit).await
}

async fn remove(State(visit): Desk, Ask(request): Ask<CardRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.remove_card(&request.card)?;
    answer(visit).await
}

async fn revoke(State(visit): Desk, Ask(request): Ask<CardRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.revoke_card(&request.card)?;
    answer(visit).await
}

async fn reset(State(visit): Desk, Ask(_): Ask<shows::EmptyRequest>) -> Answer {
    let mut visit = visit.lock().await;
    visit.reset().await;
    answer(visit).await
}
