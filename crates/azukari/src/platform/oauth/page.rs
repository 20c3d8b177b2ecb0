//! The page on which a login is shown: what it asks, and how its browser goes back to the client.

use std::sync::Arc;

use authn::provider::{Back, PageStep};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hpki::id::CeremonyId;
use serde::{Deserialize, Serialize};
use wire::DoneAnswer;

use super::authorize::{address, denial};
use crate::clock::now;
use crate::flows;
use crate::http::ask::{Ask, At};
use crate::http::browser::{self, Device};
use crate::http::problem::Trouble;
use crate::pages::qr::Qr;
use crate::platform::Platform;

/// Which login.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    login: CeremonyId,
}

/// The digits that were typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Typed {
    login: CeremonyId,
    number: String,
}

/// What the page shows.
#[derive(Serialize)]
pub(crate) struct View {
    client: String,
    host: String,
    scopes: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<(String, String)>,
    step: &'static str,
    /// By which means she is to approve: `phone`, `hpki` or `jpki`.
    means: &'static str,
    /// Whether this browser is a registered phone's.
    phone: bool,
}

/// A QR code, and the address in it for the phone's own browser.
#[derive(Serialize)]
pub(crate) struct Shown {
    qr: Option<Qr>,
    address: String,
    /// Seconds.
    left: u64,
}

fn opened_by(headers: &HeaderMap) -> Option<&str> {
    browser::cookie(headers, browser::LOGIN)
}

/// How far it is. A signing session that lacks its token only is given it here, as a gateway's poll
/// would.
pub(super) async fn state(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
    device: Device,
    Ask(which): Ask<Which>,
) -> Result<Json<View>, Trouble> {
    let cookie = opened_by(&headers);
    let mut seen = platform.authn.login_seen(which.login, cookie, now()).await?;
    if let (PageStep::Opening, Some((ceremony, _))) = (seen.step, seen.ceremony) {
        flows::open_session::open(&platform, ceremony, now()).await?;
        seen = platform.authn.login_seen(which.login, cookie, now()).await?;
    }
    let means = seen.means.name();
    let phone = device.secret().is_some() && seen.place.is_none() && means == "phone";
    let scopes = seen.scopes.iter().map(|scope| scope.name()).collect();
    let step = seen.step.name();
    let (client, host, place) = (seen.client, seen.host, seen.place);
    Ok(Json(View { client, host, scopes, place, step, means, phone }))
}

/// A fresh QR code.
pub(super) async fn show(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
    Ask(which): Ask<Which>,
) -> Result<Json<Shown>, Trouble> {
    let now = now();
    let (text, until) = platform.authn.show_login(which.login, opened_by(&headers), now).await?;
    Ok(Json(Shown { qr: Qr::of(&text), address: text, left: until.since(now) }))
}

/// The three digits of the phone.
pub(super) async fn number(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
    Ask(typed): Ask<Typed>,
) -> Result<Json<DoneAnswer>, Trouble> {
    let cookie = opened_by(&headers);
    platform.authn.type_number(typed.login, cookie, &typed.number, now()).await?;
    Ok(Json(DoneAnswer { done: true }))
}

/// The person gives up here.
pub(super) async fn leave(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
    Ask(which): Ask<Which>,
) -> Result<Json<DoneAnswer>, Trouble> {
    platform.authn.leave_login(which.login, opened_by(&headers), now()).await?;
    Ok(Json(DoneAnswer { done: true }))
}

/// Back to the client, with a code or with what was said instead.
pub(super) async fn go_on(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
    At(login): At<CeremonyId>,
) -> Result<Response, Trouble> {
    let (back, answer) = platform.authn.answer_login(login, opened_by(&headers), now()).await?;
    let members = match answer {
        Ok(code) => vec![("code", code)],
        Err(code) => denial(&code),
    };
    Ok(to_client(&platform, &back, &members))
}

/// 303: whatever brought the browser here, it goes on with GET (RFC 9700 §4.12).
pub(super) fn to_client(platform: &Platform, back: &Back, members: &[(&str, String)]) -> Response {
    let address = address(back, members, &platform.config.url);
    let Ok(location) = HeaderValue::from_str(&address) else {
        // Not for an address that was registered: it is visible ASCII.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut answer = StatusCode::SEE_OTHER.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}
