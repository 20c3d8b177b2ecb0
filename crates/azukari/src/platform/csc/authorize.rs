//! `credentials/authorize`, `authorizeCheck`, `getChallenge`, `extendTransaction` (§11.6–§11.9):
//! how a client comes by a SAD.
//!
//! SCAL 1: at once, out of what the owner approved in the morning. SCAL 2: the owner approves
//! exactly these hashes on her phone first (`flows::csc`).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use custody::Granted;
use hpki::time::Timestamp;
use wire::csc::{PHONE, answer, ask};

use super::ask::{Caller, Said};
use super::credentials::identifier;
use super::refusal::No;
use super::sign::handle;
use crate::clock::now;
use crate::flows::csc::{self, Way};
use crate::platform::Platform;

/// How often version 1, which has no `authorizeCheck`, looks whether the owner has approved.
const LOOK: Duration = Duration::from_millis(250);

fn told(granted: &Granted, now: Timestamp) -> answer::Sad {
    answer::Sad {
        sad: granted.sad.text().as_str().to_owned(),
        expires_in: granted.until.since(now),
    }
}

/// What custody is asked. A count that no number of ours can hold is too high in any case.
fn asked(asked: &ask::Authorize) -> Result<custody::Authorize, No> {
    let credential = identifier(&asked.credential)?;
    Ok(custody::Authorize {
        credential: credential.key,
        kind: Some(credential.kind),
        count: u32::try_from(asked.count).unwrap_or(u32::MAX),
        hashes: asked.hashes.clone(),
        format: asked.format.map(super::document::format),
    })
}

/// Only the objects that `credentials/info` names are known here.
fn objects(given: Option<&[ask::AuthObject]>) -> Result<(), No> {
    if given.unwrap_or_default().iter().all(|object| object.id == PHONE) {
        Ok(())
    } else {
        Err(No::invalid("Invalid parameter authData"))
    }
}

/// 署名を許す SAD を受け取る（CSC 1.0.4.0）
#[utoipa::path(post, path = "/csc/v1/credentials/authorize", tag = "csc", request_body = ask::AuthorizeV1,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::Sad), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn authorize_v1(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(body): Said<ask::AuthorizeV1>,
) -> Result<Json<answer::Sad>, No> {
    let asked = asked(&body.read()?)?;
    let mut at = now();
    let mut way = csc::authorize(&platform, &caller.token, &caller.facility, &asked, at).await?;
    // This version has no second question, so the answer waits, as long as the QR code is good.
    loop {
        match way {
            Way::Granted(granted) => return Ok(Json(told(&granted, at))),
            Way::Pending(pending) => {
                tokio::time::sleep(LOOK).await;
                at = now();
                way = csc::check(&platform, &caller.token, &caller.facility, pending, at).await?;
            }
        }
    }
}

/// 署名を許す SAD を受け取る（CSC 2.0.0.2）。文書ごとの承認が要るときは 202
#[utoipa::path(post, path = "/csc/v2/credentials/authorize", tag = "csc", request_body = ask::AuthorizeV2,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::Sad), (status = 202, body = answer::Handle), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn authorize_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(body): Said<ask::AuthorizeV2>,
) -> Result<Response, No> {
    let read = body.read()?;
    objects(read.auth_data.as_deref())?;
    let asked = asked(&read)?;
    let at = now();
    let way = csc::authorize(&platform, &caller.token, &caller.facility, &asked, at).await?;
    Ok(answered(way, at))
}

fn answered(way: Way, at: Timestamp) -> Response {
    match way {
        Way::Granted(granted) => Json(told(&granted, at)).into_response(),
        Way::Pending(pending) => {
            let handle = answer::Handle { handle: pending.to_string() };
            (StatusCode::ACCEPTED, Json(handle)).into_response()
        }
    }
}

/// 本人が承認したかを尋ねる（CSC 2.0.0.2）
#[utoipa::path(post, path = "/csc/v2/credentials/authorizeCheck", tag = "csc", request_body = ask::AuthorizeCheck,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::Sad), (status = 202, body = answer::Handle), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn check_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(body): Said<ask::AuthorizeCheck>,
) -> Result<Response, No> {
    let handle = body.read()?.parse().map_err(|_| No::code("prepared-unknown", ""))?;
    let at = now();
    let way = csc::check(&platform, &caller.token, &caller.facility, handle, at).await?;
    Ok(answered(way, at))
}

/// 電話で読む QR の文字列を受け取る（CSC 2.0.0.2）
#[utoipa::path(post, path = "/csc/v2/credentials/getChallenge", tag = "csc", request_body = ask::GetChallenge,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::Challenge), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn challenge_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(body): Said<ask::GetChallenge>,
) -> Result<Json<answer::Challenge>, No> {
    let read = body.read()?;
    let credential = identifier(&read.credential)?;
    if read.object != PHONE {
        return Err(No::invalid("Invalid parameter authObjectID"));
    }
    let format = read.format.map(super::document::format);
    let (token, facility) = (&caller.token, &caller.facility);
    let found =
        csc::challenge(&platform, token, facility, credential, read.hashes, format, now()).await?;
    let nothing = || {
        No::invalid(
            "Nothing waits for this credential's owner: call credentials/authorize first, or name the hashes",
        )
    };
    Ok(Json(answer::Challenge { challenge: found.ok_or_else(nothing)? }))
}

async fn extend(
    platform: &Platform,
    caller: &Caller,
    asked: ask::Extend,
) -> Result<Json<answer::Sad>, No> {
    let credential = identifier(&asked.credential)?;
    let sad = handle(&asked.sad)?;
    let at = now();
    let granted = platform
        .custody
        .csc_extend(&caller.token, &caller.peer(), credential, &sad, asked.hashes.as_deref(), at)
        .await?;
    Ok(Json(told(&granted, at)))
}

/// 残りの件数のために次の SAD を受け取る（CSC 1.0.4.0）
#[utoipa::path(post, path = "/csc/v1/credentials/extendTransaction", tag = "csc", request_body = ask::ExtendV1,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::Sad), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn extend_v1(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(body): Said<ask::ExtendV1>,
) -> Result<Json<answer::Sad>, No> {
    extend(&platform, &caller, body.read()?).await
}

/// 残りの件数のために次の SAD を受け取る（CSC 2.0.0.2）
#[utoipa::path(post, path = "/csc/v2/credentials/extendTransaction", tag = "csc", request_body = ask::ExtendV2,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::Sad), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn extend_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(body): Said<ask::ExtendV2>,
) -> Result<Json<answer::Sad>, No> {
    extend(&platform, &caller, body.read()?).await
}
