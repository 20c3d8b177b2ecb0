//! `signatures/signHash` (§11.10): every hash is authorised by the SAD, or nothing is signed. And
//! `signatures/signPolling` (§11.12), for what was asked for without waiting.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use custody::{Later, Polled, Sad, ToSign};
use wire::csc::{CredentialId, answer, ask};
use wire::token::base64_encode;

use super::ask::{Caller, Said};
use super::credentials::identifier;
use super::document;
use super::refusal::No;
use crate::clock::now;
use crate::platform::Platform;

/// What cannot be a SAD of ours is answered like one that nobody has.
pub(super) fn handle(text: &str) -> Result<Sad, No> {
    Sad::parse(text).ok_or_else(|| No::code("sad-unknown", ""))
}

/// Everything is reserved and the answer names the request; the device signs afterwards.
pub(super) async fn begin(
    platform: &Platform,
    caller: &Caller,
    (credential, sad): (CredentialId, &Sad),
    wanted: &[ToSign],
    later: ask::Later,
) -> Result<Json<answer::ResponseId>, No> {
    if let Some(uri) = &later.response_uri {
        let known = platform.clients.iter().find(|known| known.client.x5t == caller.facility.x5t);
        let registered = known.is_some_and(|known| known.response_uri(uri).is_some());
        if !registered {
            return Err(No::invalid("Invalid parameter response_uri"));
        }
    }
    let later = Later { keep_s: later.keep_s, notify: later.response_uri };
    let peer = caller.peer();
    let begun = platform
        .custody
        .csc_begin(&caller.token, &peer, credential, sad, (wanted, later), now())
        .await?;
    Ok(Json(answer::ResponseId { response: begun.to_string() }))
}

async fn sign(platform: &Platform, caller: &Caller, asked: ask::SignHash) -> Result<Response, No> {
    let credential = identifier(&asked.credential)?;
    let sad = handle(&asked.sad)?;
    if let Some(later) = asked.later {
        let wanted: Vec<_> = asked.hashes.into_iter().map(ToSign::hash).collect();
        let begun = begin(platform, caller, (credential, &sad), &wanted, later).await?;
        return Ok(begun.into_response());
    }
    let signed = platform
        .custody
        .csc_sign_hash(&caller.token, &caller.peer(), credential, &sad, &asked.hashes, now())
        .await?;
    let signatures = signed.iter().map(|signed| base64_encode(&signed.signature)).collect();
    Ok(Json(answer::Signatures { signatures }).into_response())
}

/// ハッシュに署名する（CSC 1.0.4.0）
#[utoipa::path(post, path = "/csc/v1/signatures/signHash", tag = "csc", request_body = ask::SignHashV1,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::Signatures), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn sign_hash_v1(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(asked): Said<ask::SignHashV1>,
) -> Result<Response, No> {
    sign(&platform, &caller, asked.read()?).await
}

/// ハッシュに署名する（CSC 2.0.0.2）。`operationMode` が `A` なら `responseID` を受け取る
#[utoipa::path(post, path = "/csc/v2/signatures/signHash", tag = "csc", request_body = ask::SignHashV2,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::SignHashAnswer), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn sign_hash_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(asked): Said<ask::SignHashV2>,
) -> Result<Response, No> {
    sign(&platform, &caller, asked.read()?).await
}

/// あとで受け取る署名を尋ねる（CSC 2.0.0.2）。まだなら 202
#[utoipa::path(post, path = "/csc/v2/signatures/signPolling", tag = "csc", request_body = ask::SignPolling,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::Polled), (status = 202, body = wire::csc::Error),
        (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn poll_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(asked): Said<ask::SignPolling>,
) -> Result<Json<answer::Polled>, No> {
    let request = asked.read()?.parse().map_err(|_| No::code("request-unknown", ""))?;
    let (token, peer) = (&caller.token, caller.peer());
    let (key, ready) = match platform.custody.csc_poll(token, &peer, request, now()).await? {
        Polled::Working => return Err(No::not_yet()),
        Polled::Signed { key, ready } => (key, ready),
    };
    if ready.iter().all(|one| one.attributes.is_none()) {
        let signatures = ready.iter().map(|one| base64_encode(&one.signature)).collect();
        return Ok(Json(answer::Polled { signatures: Some(signatures), objects: None }));
    }
    let signer = document::Signer::of(&platform, &caller, key).await?;
    let object = |one: &custody::Ready| signer.object(one.attributes.as_ref(), &one.signature);
    let objects = ready.iter().map(object).collect();
    Ok(Json(answer::Polled { signatures: None, objects: Some(objects) }))
}
