//! OAuth 2.0 and OpenID Connect: `/oauth/…` and the two discovery documents.
//!
//! Requests are read and answered here in the standards' words, and nothing is decided: who may ask
//! for what, `authn::provider` says. Programs' endpoints answer refusals as RFC 6749 §5.2 wants them
//! (`refusal`); what our own page asks is answered like everything that pages ask.

pub(crate) mod authorize;
mod consents;
mod form;
pub(crate) mod metadata;
pub(crate) mod page;
mod refusal;
pub(crate) mod token;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Platform;
use crate::http::browser;

/// The routes of programs.
pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(metadata::metadata))
        .route("/.well-known/oauth-authorization-server", get(metadata::metadata))
        .route("/oauth/par", post(authorize::push))
        .route("/oauth/device_authorization", post(token::device))
        .route("/oauth/bc-authorize", post(token::backchannel))
        .route("/oauth/token", post(token::token))
        .route("/oauth/introspect", post(token::introspect))
        .route("/oauth/revoke", post(token::revoke))
        // The same under the names of the Cloud Signature Consortium (CSC API v2 §8.4).
        .route("/csc/v2/oauth2/pushed_authorize", post(authorize::push))
        .route("/csc/v2/oauth2/authorize", get(authorize::by_query))
        .route("/csc/v2/oauth2/token", post(token::token))
        .route("/csc/v2/oauth2/revoke", post(token::revoke))
        .route("/oauth/userinfo", get(token::userinfo).post(token::userinfo))
}

/// The routes of browsers. What the page asks, pages of `origins` alone may ask.
pub(crate) fn pages(origins: Arc<[String]>) -> Router<Arc<Platform>> {
    Router::new()
        .route("/oauth/page/state", post(page::state))
        .route("/oauth/page/show", post(page::show))
        .route("/oauth/page/number", post(page::number))
        .route("/oauth/page/leave", post(page::leave))
        .route("/me/consents", get(consents::list))
        .route("/me/login/open", post(consents::open))
        .route("/me/consent/end", post(consents::end))
        .route_layer(axum::middleware::from_fn_with_state(origins, browser::own_pages))
        .route("/oauth/authorize", get(authorize::by_query).post(authorize::by_form))
        .route("/oauth/continue/{login}", get(page::go_on))
}
