//! The Cloud Signature Consortium's interface: `/csc/v1/…` (1.0.4.0) and `/csc/v2/…` (2.0.0.2).
//!
//! Shapes are turned here and nothing is decided: which client may have what signed by whose key,
//! custody says. Whoever asks shows a facility's client certificate that is registered as a client
//! (`[[client]]`) and the person's access token; `info` alone is for anyone. Answers that are not
//! answers have the specification's form (`refusal`).

mod ask;
pub(crate) mod authorize;
pub(crate) mod credentials;
pub(crate) mod document;
pub(crate) mod info;
mod refusal;
pub(crate) mod revoke;
pub(crate) mod sign;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Platform;
use refusal::No;

/// The routes of both versions.
pub(crate) fn routes() -> Router<Arc<Platform>> {
    let v1 = Router::new()
        .route("/info", post(info::info_v1))
        .route("/auth/revoke", post(revoke::revoke_v1))
        .route("/credentials/list", post(credentials::list_v1))
        .route("/credentials/info", post(credentials::info_v1))
        .route("/credentials/authorize", post(authorize::authorize_v1))
        .route("/credentials/extendTransaction", post(authorize::extend_v1))
        .route("/signatures/signHash", post(sign::sign_hash_v1));
    let v2 = Router::new()
        .route("/info", post(info::info_v2))
        .route("/auth/revoke", post(revoke::revoke_v2))
        .route("/credentials/list", post(credentials::list_v2))
        .route("/credentials/info", post(credentials::info_v2))
        .route("/credentials/authorize", post(authorize::authorize_v2))
        .route("/credentials/authorizeCheck", post(authorize::check_v2))
        .route("/credentials/getChallenge", post(authorize::challenge_v2))
        .route("/credentials/extendTransaction", post(authorize::extend_v2))
        .route("/signatures/signHash", post(sign::sign_hash_v2))
        .route("/signatures/signDoc", post(document::sign_doc_v2))
        .route("/signatures/signPolling", post(sign::poll_v2));
    let not_there = || async { No::not_there() };
    Router::new()
        .nest("/csc/v1", v1.fallback(not_there).method_not_allowed_fallback(not_there))
        .nest("/csc/v2", v2.fallback(not_there).method_not_allowed_fallback(not_there))
        .route(info::LOGO, get(info::logo))
}
