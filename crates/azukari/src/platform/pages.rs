//! The platform's pages and their files. What they show is `pages`'; what they do goes over the
//! phone's routes like any other request.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use wire::token::base64url_decode;

use super::Platform;
use crate::http::ask::{At, With};
use crate::http::browser;
use crate::http::problem::Trouble;
use crate::pages::{self, CSP, Lang, phone};

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route(wire::path::LINK_PAGE, get(link))
        .route(wire::path::SESSION_PAGE, get(session))
        .route(wire::path::HOLDER_PAGE, get(holder))
        .route(wire::path::CHANGE_PAGE, get(change))
        .route(wire::path::CARD_PAGE, get(card))
        .route(wire::path::TERMS_PAGE, get(terms))
        .route(wire::path::TERMS_TEXT, get(terms_text))
        .route("/sw.js", get(worker))
        .route("/assets/{*name}", get(asset))
}

/// `?lang=`.
#[derive(Deserialize)]
pub(crate) struct Shown {
    lang: Option<String>,
}

impl Shown {
    pub(crate) fn lang(&self) -> Lang {
        Lang::from_query(self.lang.as_deref())
    }
}

pub(crate) fn shown(page: askama::Result<String>) -> Result<Response, Trouble> {
    Ok(browser::page(page.map_err(|error| Trouble::fault(&error))?, CSP, false))
}

async fn link(With(asked): With<Shown>) -> Result<Response, Trouble> {
    shown(phone::link(asked.lang()))
}

async fn session(With(asked): With<Shown>) -> Result<Response, Trouble> {
    shown(phone::session(asked.lang()))
}

/// As [`CSP`], for the page that can be installed.
const INSTALLABLE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

async fn holder(With(asked): With<Shown>) -> Result<Response, Trouble> {
    let html = phone::holder(asked.lang()).map_err(|error| Trouble::fault(&error))?;
    // The one page that scans.
    Ok(browser::page(html, INSTALLABLE, true))
}

async fn change(With(asked): With<Shown>) -> Result<Response, Trouble> {
    shown(phone::change(asked.lang()))
}

async fn terms(With(asked): With<Shown>) -> Result<Response, Trouble> {
    shown(phone::terms(asked.lang()))
}

/// One edition, to the octet: what its hash stands for, and what it says in English.
async fn terms_text(At(hash): At<String>) -> Result<Response, Trouble> {
    let found = base64url_decode(&hash).as_deref().and_then(pages::terms::edition);
    let found = found.ok_or_else(|| Trouble::refused("terms-unknown", "no such edition"))?;
    let texts = serde_json::json!({ "from": found.from, "ja": found.ja, "en": found.en });
    Ok(axum::Json(texts).into_response())
}

async fn card(With(asked): With<Shown>) -> Result<Response, Trouble> {
    shown(phone::card(asked.lang()))
}

/// The owner's page without a connection. It stands at the root, as a worker's place bounds which
/// pages it serves, and asks us for the page's files.
async fn worker() -> Response {
    let mut answer = asset(At("phone/sw.js".into())).await;
    let policy = HeaderValue::from_static("default-src 'none'; connect-src 'self'");
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    answer
}

/// Files of the pages. They change with the program, so a browser asks each time.
pub(crate) async fn asset(At(name): At<String>) -> Response {
    let Some((kind, octets)) = pages::asset(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut answer = octets.into_response();
    for (header, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        answer.headers_mut().insert(header, HeaderValue::from_static(value));
    }
    answer
}
