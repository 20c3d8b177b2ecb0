//! `signatures/signHash` (§11.10): every hash is authorised by the SAD, or nothing is signed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use custody::Sad;
use wire::csc::{answer, ask};
use wire::token::base64_encode;

use super::ask::{Caller, Said};
use super::credentials::identifier;
use super::refusal::No;
use crate::clock::now;
use crate::platform::Platform;

/// What cannot be a SAD of ours is answered like one that nobody has.
pub(super) fn handle(text: &str) -> Result<Sad, No> {
    Sad::parse(text).ok_or_else(|| No::code("sad-unknown", ""))
}

async fn sign(
    platform: &Platform,
    caller: &Caller,
    asked: ask::SignHash,
) -> Result<Json<answer::Signatures>, No> {
    let credential = identifier(&asked.credential)?;
    let sad = handle(&asked.sad)?;
    let signed = platform
        .custody
        .csc_sign_hash(&caller.token, &caller.peer(), credential, &sad, &asked.hashes, now())
        .await?;
    let signatures = signed.iter().map(|signed| base64_encode(&signed.signature)).collect();
    Ok(Json(answer::Signatures { signatures }))
}

/// ハッシュに署名する（CSC 1.0.4.0）
#[utoipa::path(post, path = "/csc/v1/signatures/signHash", tag = "csc", request_body = ask::SignHashV1,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::Signatures), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn sign_hash_v1(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(asked): Said<ask::SignHashV1>,
) -> Result<Json<answer::Signatures>, No> {
    sign(&platform, &caller, asked.read()?).await
}

/// ハッシュに署名する（CSC 2.0.0.2）
#[utoipa::path(post, path = "/csc/v2/signatures/signHash", tag = "csc", request_body = ask::SignHashV2,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::Signatures), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn sign_hash_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(asked): Said<ask::SignHashV2>,
) -> Result<Json<answer::Signatures>, No> {
    sign(&platform, &caller, asked.read()?).await
}
