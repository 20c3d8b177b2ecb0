//! The platform's pages and their files. What they show is `pages`'; what they do goes over the
//! phone's routes like any other request.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::Platform;
use crate::http::ask::{At, With};
use crate::http::browser;
use crate::http::problem::Trouble;
use crate::pages::{self, CSP, Lang, phone};

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route(wire::path::LINK_PAGE, get(link))
        .route(wire::path::SESSION_PAGE, get(session))
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
