//! Bodies and callers on the paths of the Cloud Signature Consortium.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use ca::Facility;
use serde::de::DeserializeOwned;

use super::refusal::No;
use crate::http::ask::ARRIVAL;
use crate::platform::Platform;
use crate::platform::door::{bearer, standing};

/// A JSON object; an empty body is one without members, as `info` and `credentials/list` allow.
pub(crate) struct Said<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Said<T> {
    type Rejection = No;

    async fn from_request(request: Request, state: &S) -> Result<Self, No> {
        let body = tokio::time::timeout(ARRIVAL, Bytes::from_request(request, state)).await;
        let body = match body {
            Err(_) => return Err(No::invalid("The body did not arrive in time")),
            Ok(Err(why)) => return Err(No::invalid(why.body_text())),
            Ok(Ok(body)) => body,
        };
        let text = if body.is_empty() { b"{}".as_slice() } else { body.trim_ascii_start() };
        // A list would be read as an object without names.
        if !text.starts_with(b"{") {
            return Err(No::invalid("The body is not a JSON object"));
        }
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|why| No::invalid(format!("The body is not as it should be: {why}")))
    }
}

/// Who asks: a facility in good standing behind this connection, and the person's access token.
/// Whether the facility's client is registered, and what the token is worth, custody says.
pub(crate) struct Caller {
    pub(crate) facility: Facility,
    pub(crate) token: String,
}

impl FromRequestParts<Arc<Platform>> for Caller {
    type Rejection = No;

    async fn from_request_parts(parts: &mut Parts, platform: &Arc<Platform>) -> Result<Self, No> {
        let peer = axum::extract::Extension::from_request_parts(parts, platform).await.ok();
        let facility = standing(platform, peer).await?;
        let token = bearer(&parts.headers)?.to_owned();
        Ok(Self { facility, token })
    }
}

impl Caller {
    /// The other end of the connection, as custody compares it with the token.
    pub(super) fn peer(&self) -> custody::Peer {
        crate::flows::sign::peer(&self.facility)
    }
}
