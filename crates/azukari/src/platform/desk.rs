//! The platform's routes for the authority's desk. An officer is known by the cookie of her sign-in;
//! whatever changes something also carries what only her page was given, and each act her passkey's
//! answer to exactly that act.

use std::sync::Arc;

use authn::DeskOfficer;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use wire::EndAnswer;
use wire::desk::{
    DeskActBegin, DeskActDone, DeskActFinish, DeskAsked, DeskEnrolBegin, DeskEnrolFinish, DeskFind,
    DeskFound, DeskOfficerAnswer, DeskSigninFinish, DeskState,
};

use super::Platform;
use super::pages::{Shown, shown};
use crate::clock::now;
use crate::flows::desk;
use crate::http::ask::{Ask, With};
use crate::http::browser::{CSRF, DESK, cookie, own_pages, set_cookie};
use crate::http::problem::Trouble;
use crate::pages::phone;

type Rooms = State<Arc<Platform>>;

/// The cookie of an officer's sign-in goes after four hours.
const DESK_S: u64 = 4 * 3_600;

/// The desk's routes.
pub(crate) fn routes(origins: Arc<[String]>) -> Router<Arc<Platform>> {
    Router::new()
        .route("/desk/enrol/begin", post(enrol_begin))
        .route("/desk/enrol/finish", post(enrol_finish))
        .route("/desk/sign-in/begin", post(signin_begin))
        .route("/desk/sign-in/finish", post(signin_finish))
        .route("/desk/sign-out", post(sign_out))
        .route("/desk/state", post(state))
        .route("/desk/find", post(find))
        .route("/desk/act/begin", post(act_begin))
        .route("/desk/act/finish", post(act_finish))
        .route_layer(middleware::from_fn_with_state(origins, own_pages))
        .route("/desk", get(page))
}

/// The officer whose page asks for something that leaves a trace.
async fn acting(platform: &Platform, headers: &HeaderMap) -> Result<DeskOfficer, Trouble> {
    let secret = cookie(headers, DESK).unwrap_or_default();
    let csrf = headers.get(CSRF).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(platform.authn.acting_at_desk(secret, csrf, now()).await?)
}

async fn page(With(asked): With<Shown>) -> Result<Response, Trouble> {
    shown(phone::desk(asked.lang()))
}

async fn enrol_begin(
    State(platform): Rooms,
    Ask(asked): Ask<DeskEnrolBegin>,
) -> Result<Json<DeskAsked>, Trouble> {
    let asked = platform.authn.begin_enrolment(&asked.invitation, &asked.secret, now()).await?;
    let (statement, options) = (asked.statement, asked.options);
    Ok(Json(DeskAsked { ceremony: None, statement, options }))
}

async fn enrol_finish(
    State(platform): Rooms,
    Ask(asked): Ask<DeskEnrolFinish>,
) -> Result<Json<DeskOfficerAnswer>, Trouble> {
    Ok(Json(desk::enrol(&platform, &asked, now()).await?))
}

async fn signin_begin(State(platform): Rooms) -> Result<Json<DeskAsked>, Trouble> {
    let (ceremony, asked) = platform.authn.begin_signin(now())?;
    let (statement, options) = (asked.statement, asked.options);
    Ok(Json(DeskAsked { ceremony: Some(ceremony), statement, options }))
}

async fn signin_finish(
    State(platform): Rooms,
    Ask(asked): Ask<DeskSigninFinish>,
) -> Result<Response, Trouble> {
    let signed_in = platform.authn.finish_signin(&asked.ceremony, &asked.credential, now()).await?;
    let (name, value) = set_cookie(DESK, &signed_in.cookie, DESK_S);
    let answer = desk::told(signed_in.officer, Some(signed_in.csrf));
    Ok(([(name, value)], Json(answer)).into_response())
}

async fn sign_out(State(platform): Rooms, headers: HeaderMap) -> Result<Response, Trouble> {
    acting(&platform, &headers).await?;
    platform.authn.leave_desk(cookie(&headers, DESK).unwrap_or_default());
    Ok(([set_cookie(DESK, "", 0)], Json(EndAnswer { ended: true })).into_response())
}

async fn state(State(platform): Rooms, headers: HeaderMap) -> Result<Json<DeskState>, Trouble> {
    let secret = cookie(&headers, DESK).unwrap_or_default();
    let (officer, csrf) = platform.authn.at_desk(secret, now()).await?;
    Ok(Json(desk::state(&platform, officer, csrf, now()).await?))
}

async fn find(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(asked): Ask<DeskFind>,
) -> Result<Json<DeskFound>, Trouble> {
    let officer = acting(&platform, &headers).await?;
    Ok(Json(desk::find(&platform, &officer, &asked.text, now()).await?))
}

async fn act_begin(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(asked): Ask<DeskActBegin>,
) -> Result<Json<DeskAsked>, Trouble> {
    let officer = acting(&platform, &headers).await?;
    Ok(Json(desk::begin(&platform, &officer, asked, now()).await?))
}

async fn act_finish(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(asked): Ask<DeskActFinish>,
) -> Result<Json<DeskActDone>, Trouble> {
    let officer = acting(&platform, &headers).await?;
    Ok(Json(desk::finish(&platform, &officer, &asked.credential, now()).await?))
}
