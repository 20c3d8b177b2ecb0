//! `auth/revoke` (§11.3): a program gives its access token back. `auth/login` is not there: it wants
//! a user's name and password, and nobody here has one.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use wire::csc::ask;

use super::ask::{Caller, Said};
use super::refusal::No;
use crate::clock::now;
use crate::flows;
use crate::platform::Platform;
use crate::platform::door::place;

async fn revoke(
    platform: &Platform,
    caller: &Caller,
    asked: ask::Revoke,
) -> Result<StatusCode, No> {
    let token = asked.read()?;
    // One that is not this certificate's is like none, and one that is none is no error (RFC 7009
    // §2.2): there is nothing to tell.
    flows::login::revoke_session(platform, &token, &place(&caller.facility), now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// トークンを終わらせる（CSC 1.0.4.0）
#[utoipa::path(post, path = "/csc/v1/auth/revoke", tag = "csc", request_body = ask::Revoke,
    security(("facility" = [], "token" = [])),
    responses((status = 204), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn revoke_v1(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(asked): Said<ask::Revoke>,
) -> Result<StatusCode, No> {
    revoke(&platform, &caller, asked).await
}

/// トークンを終わらせる（CSC 2.0.0.2）
#[utoipa::path(post, path = "/csc/v2/auth/revoke", tag = "csc", request_body = ask::Revoke,
    security(("facility" = [], "token" = [])),
    responses((status = 204), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn revoke_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(asked): Said<ask::Revoke>,
) -> Result<StatusCode, No> {
    revoke(&platform, &caller, asked).await
}
