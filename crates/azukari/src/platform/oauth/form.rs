//! What a program sends: a form (RFC 6749 appendix B), the proof of who it is, and its connection's
//! client certificate.

use std::sync::Arc;

use authn::Place;
use authn::provider::{Client, Parameters, Proving, Wrong};
use axum::extract::{Form, FromRequest, Request};
use axum::http::{HeaderMap, header};

use super::refusal::No;
use crate::clock::now;
use crate::http::ask::ARRIVAL;
use crate::http::problem::Trouble;
use crate::http::tls::Peer;
use crate::platform::Platform;
use crate::platform::door::place;

/// A form, with what came beside it.
pub(crate) struct Posted {
    pub(crate) asked: Parameters,
    headers: HeaderMap,
    peer: Option<Arc<Peer>>,
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = No;

    async fn from_request(request: Request, state: &S) -> Result<Self, No> {
        let headers = request.headers().clone();
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let read = Form::<Vec<(String, String)>>::from_request(request, state);
        let malformed = || No::from(Wrong::RequestMalformed);
        let read = tokio::time::timeout(ARRIVAL, read).await.map_err(|_| malformed())?;
        let Form(pairs) = read.map_err(|_| malformed())?;
        Ok(Self { asked: Parameters::of(pairs)?, headers, peer })
    }
}

/// A client that proved to be one, and the facility of its certificate, if it showed one.
pub(crate) struct Proven {
    pub(crate) client: Arc<Client>,
    pub(crate) place: Option<Place>,
}

impl Posted {
    /// The client that asks `endpoint`.
    pub(crate) async fn prove(&self, platform: &Platform, endpoint: &str) -> Result<Proven, No> {
        // No client here has a password; who shows one is answered as the scheme wants it.
        if self.headers.contains_key(header::AUTHORIZATION) {
            return Err(No::from(Wrong::ClientNotProven).challenged("Basic realm=\"oauth\""));
        }
        if self.asked.get("client_secret").is_some() {
            return Err(Wrong::ClientNotProven.into());
        }
        let place = self.place(platform).await?;
        let endpoint = format!("{}{endpoint}", platform.config.url);
        let proving = Proving {
            client_id: self.asked.get("client_id"),
            assertion_type: self.asked.get("client_assertion_type"),
            assertion: self.asked.get("client_assertion"),
            place: place.as_ref(),
            endpoint: &endpoint,
        };
        let client = platform.authn.prove_client(proving, now()).await?;
        Ok(Proven { client, place })
    }

    /// The facility whose certificate this connection showed; one that is not in force is refused.
    async fn place(&self, platform: &Platform) -> Result<Option<Place>, No> {
        at(platform, self.peer.as_deref()).await
    }
}

/// The facility of a client certificate.
pub(super) async fn at(platform: &Platform, peer: Option<&Peer>) -> Result<Option<Place>, No> {
    let Some(peer) = peer else { return Ok(None) };
    let facility = platform.ca.facility_in_force(&peer.0, now()).await;
    let facility = facility.map_err(Trouble::from)?;
    Ok(Some(place(&facility)))
}
