//! What a code is exchanged for, and what is asked about tokens afterwards.

use std::sync::Arc;

use authn::provider::{ClientProof, Parameters, Showing, Wrong};
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use wire::oauth;

use super::form::{Posted, Proven, at};
use super::refusal::No;
use crate::clock::now;
use crate::flows;
use crate::http::problem::Trouble;
use crate::http::tls::Peer;
use crate::platform::Platform;

/// RFC 6749 §5.1: nobody on the way keeps it.
fn kept_nowhere(body: Value) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    (headers, Json(body)).into_response()
}

/// コードをトークンに替える
#[utoipa::path(post, path = "/oauth/token", tag = "oauth",
    request_body(content = oauth::TokenAsked, content_type = "application/x-www-form-urlencoded"),
    security((), ("facility" = [])),
    responses((status = 200, body = oauth::Token), (status = "4XX", body = oauth::Error)))]
pub(crate) async fn token(
    State(platform): State<Arc<Platform>>,
    posted: Posted,
) -> Result<Response, No> {
    let proven = posted.prove(&platform, "/oauth/token").await?;
    let asked = &posted.asked;
    match asked.get("grant_type") {
        Some("authorization_code") => {}
        Some(DEVICE_GRANT) => {
            return by_device(&platform, &proven, asked, "device_code").await;
        }
        Some(CIBA_GRANT) => return by_device(&platform, &proven, asked, "auth_req_id").await,
        // There are no refresh tokens: the end of a token is the end.
        Some(_) => return Err(Wrong::GrantUnsupported.into()),
        None => return Err(Wrong::RequestMalformed.into()),
    }
    let showing = Showing {
        code: asked.get("code").ok_or(Wrong::RequestMalformed)?,
        redirect_uri: asked.get("redirect_uri"),
        verifier: asked.get("code_verifier"),
        x5t: proven.place.as_ref().map(|place| place.x5t),
    };
    let answer = flows::login::redeem(&platform, &proven.client, showing, now()).await?;
    Ok(kept_nowhere(answer))
}

/// The grant type of RFC 8628 §3.4.
pub(super) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The grant type of OpenID CIBA Core §10.1.
pub(super) const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";

async fn by_device(
    platform: &Platform,
    proven: &Proven,
    asked: &Parameters,
    name: &str,
) -> Result<Response, No> {
    let device_code = asked.get(name).ok_or(Wrong::RequestMalformed)?;
    let (client, number) = (&proven.client, asked.get("number"));
    let backchannel = name == "auth_req_id";
    let polled = platform.authn.poll_device(client, device_code, number, backchannel, now());
    let code = polled.await?;
    let showing = Showing {
        code: &code,
        redirect_uri: Some(""),
        verifier: Some(device_code),
        x5t: proven.place.as_ref().map(|place| place.x5t),
    };
    Ok(kept_nowhere(flows::login::redeem(platform, client, showing, now()).await?))
}

/// ブラウザーのない機器で始める（RFC 8628 §3.1）
#[utoipa::path(post, path = "/oauth/device_authorization", tag = "oauth",
    request_body(content = oauth::Begin, content_type = "application/x-www-form-urlencoded"),
    security((), ("facility" = [])),
    responses((status = 200, body = oauth::Device), (status = "4XX", body = oauth::Error)))]
pub(crate) async fn device(
    State(platform): State<Arc<Platform>>,
    posted: Posted,
) -> Result<Response, No> {
    let proven = posted.prove(&platform, "/oauth/device_authorization").await?;
    let begun = platform.authn.begin_device(&proven.client, &posted.asked, now()).await?;
    Ok(kept_nowhere(json!(oauth::Device {
        device_code: begun.device_code,
        user_code: begun.user_code,
        verification_uri: begun.bare,
        verification_uri_complete: begun.complete,
        expires_in: begun.expires_in,
        interval: begun.interval,
    })))
}

/// 本人IDで指名して始める（OpenID CIBA Core §7.1）
#[utoipa::path(post, path = "/oauth/bc-authorize", tag = "oauth",
    request_body(content = oauth::Begin, content_type = "application/x-www-form-urlencoded"),
    security((), ("facility" = [])),
    responses((status = 200, body = oauth::Backchannel), (status = "4XX", body = oauth::Error)))]
pub(crate) async fn backchannel(
    State(platform): State<Arc<Platform>>,
    posted: Posted,
) -> Result<Response, No> {
    let proven = posted.prove(&platform, "/oauth/bc-authorize").await?;
    let begun = platform.authn.begin_backchannel(&proven.client, &posted.asked, now()).await?;
    Ok(kept_nowhere(json!(oauth::Backchannel {
        auth_req_id: begun.request,
        expires_in: begun.expires_in,
        interval: begun.interval,
        binding_message: begun.binding_message,
    })))
}

/// だれがログインしたか。POST でも同じ
#[utoipa::path(get, path = "/oauth/userinfo", tag = "oauth",
    security(("token" = []), ("facility" = [], "token" = [])),
    responses((status = 200, body = oauth::Userinfo), (status = "4XX", body = oauth::Error)))]
pub(crate) async fn userinfo(
    State(platform): State<Arc<Platform>>,
    peer: Option<Extension<Arc<Peer>>>,
    headers: HeaderMap,
) -> Result<Response, No> {
    let unknown = || No::from(Wrong::AccessUnknown).challenged("Bearer error=\"invalid_token\"");
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")) else {
        // RFC 6750 §3.1: without any credentials no error is named.
        return Err(unknown().challenged("Bearer"));
    };
    let facts = platform.authn.access(token, now()).await?.ok_or_else(unknown)?;
    if let Some(bound) = facts.x5t {
        let place = at(&platform, peer.as_ref().map(|Extension(peer)| &**peer)).await?;
        if place.is_none_or(|place| place.x5t != bound) {
            return Err(unknown());
        }
    }
    match flows::login::userinfo(&platform, &facts, now()).await {
        Ok(said) => Ok(kept_nowhere(said)),
        // What a service may be told has ended since.
        Err(Trouble::Refused { .. }) => Err(unknown()),
        Err(fault) => Err(fault.into()),
    }
}

/// Whether a client may ask about tokens at all: RFC 7662 §2.1 wants to know who asks.
fn may_ask(proven: &Proven) -> Result<(), No> {
    match (&proven.client.proof, &proven.place) {
        (ClientProof::Public, None) => Err(Wrong::ClientNotAllowed.into()),
        _ => Ok(()),
    }
}

/// トークンについて尋ねる（RFC 7662）
///
/// A client's own tokens, and a facility's over the certificate that they are bound to. All others
/// are like none.
#[utoipa::path(post, path = "/oauth/introspect", tag = "oauth",
    request_body(content = oauth::About, content_type = "application/x-www-form-urlencoded"),
    security((), ("facility" = [])),
    responses((status = 200, body = oauth::Facts), (status = "4XX", body = oauth::Error)))]
pub(crate) async fn introspect(
    State(platform): State<Arc<Platform>>,
    posted: Posted,
) -> Result<Response, No> {
    let proven = posted.prove(&platform, "/oauth/introspect").await?;
    may_ask(&proven)?;
    let token = posted.asked.get("token").ok_or(Wrong::RequestMalformed)?;
    let facts = platform.authn.access(token, now()).await?;
    if let Some(facts) = facts.filter(|facts| facts.client == proven.client.id.as_str()) {
        let sub = platform.authn.pairwise(&proven.client.sector, facts.person)?;
        let mut answer = json!({
            "active": true, "client_id": facts.client, "token_type": "Bearer",
            "scope": facts.scope(), "sub": sub, "iss": platform.config.url,
            "aud": format!("{}/oauth/userinfo", platform.config.url),
            "iat": facts.made, "exp": facts.until, "auth_time": facts.auth_time,
            "jti": facts.id, "acr": facts.means.acr(),
        });
        if let Some(x5t) = facts.x5t {
            answer["cnf"] = json!(wire::token::Confirmation::of(&x5t));
        }
        return Ok(kept_nowhere(answer));
    }
    if let Some(place) = &proven.place
        && let Some(answer) = flows::login::session_facts(&platform, token, place, now()).await?
    {
        return Ok(kept_nowhere(answer));
    }
    Ok(kept_nowhere(json!({"active": false})))
}

/// トークンを終わらせる（RFC 7009）
///
/// Like [`introspect`], and a token that is none is no error.
#[utoipa::path(post, path = "/oauth/revoke", tag = "oauth",
    request_body(content = oauth::About, content_type = "application/x-www-form-urlencoded"),
    security((), ("facility" = [])),
    responses((status = 200), (status = "4XX", body = oauth::Error)))]
pub(crate) async fn revoke(
    State(platform): State<Arc<Platform>>,
    posted: Posted,
) -> Result<Response, No> {
    let proven = posted.prove(&platform, "/oauth/revoke").await?;
    let token = posted.asked.get("token").ok_or(Wrong::RequestMalformed)?;
    platform.authn.revoke_access(proven.client.id.as_str(), token, now()).await?;
    if let Some(place) = &proven.place {
        flows::login::revoke_session(&platform, token, place, now()).await?;
    }
    Ok(kept_nowhere(json!({})))
}
