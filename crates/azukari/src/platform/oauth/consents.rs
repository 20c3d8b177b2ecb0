//! What the owner lets services know, on her page: she sees it and takes it back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use hpki::id::CeremonyId;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use wire::DoneAnswer;

use crate::clock::now;
use crate::http::ask::Ask;
use crate::http::problem::Trouble;
use crate::platform::Platform;
use crate::platform::holder::{acting, reading};

/// All of them, the newest first.
#[derive(Serialize)]
pub(super) struct Consents {
    consents: Vec<Given>,
    /// Logins that wait for her.
    waiting: Vec<Waits>,
}

#[derive(Serialize)]
struct Waits {
    login: CeremonyId,
    client: String,
    code: String,
    since: Timestamp,
}

/// Which login she turns to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    login: CeremonyId,
}

/// Where her phone shows it.
#[derive(Serialize)]
pub(super) struct Where {
    address: String,
}

#[derive(Serialize)]
struct Given {
    client: String,
    name: String,
    scopes: Vec<String>,
    given: Timestamp,
    last: Timestamp,
}

/// Whose consent ends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Taken {
    client: String,
}

pub(super) async fn list(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let (visit, _) = reading(&platform, &headers).await?;
    let consents = platform.authn.consents(&visit).await?.into_iter();
    let consents = consents
        .map(|one| Given {
            client: one.client,
            name: one.name,
            scopes: one.scopes,
            given: one.given,
            last: one.last,
        })
        .collect();
    let waiting = platform.authn.waiting_logins(&visit, now()).await?.into_iter();
    let waiting = waiting
        .map(|one| Waits { login: one.login, client: one.client, code: one.code, since: one.since })
        .collect();
    let answer = Json(Consents { consents, waiting });
    Ok(([(header::CACHE_CONTROL, "no-store")], answer).into_response())
}

pub(super) async fn end(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
    Ask(taken): Ask<Taken>,
) -> Result<Json<DoneAnswer>, Trouble> {
    let visit = acting(&platform, &headers).await?;
    platform.authn.end_consent(&visit, &taken.client, now()).await?;
    Ok(Json(DoneAnswer { done: true }))
}

pub(super) async fn open(
    State(platform): State<Arc<Platform>>,
    headers: HeaderMap,
    Ask(which): Ask<Which>,
) -> Result<Json<Where>, Trouble> {
    let visit = acting(&platform, &headers).await?;
    let address = platform.authn.open_waiting(&visit, which.login, now()).await?;
    Ok(Json(Where { address }))
}
