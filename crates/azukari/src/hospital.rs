//! `azukari gateway`: the gateway of a hospital or pharmacy on the network of that facility. The
//! EHR's door opens on loopback only and asks for the EHR's own secret.

pub(crate) mod approvals;
pub(crate) mod batch;
pub(crate) mod cards;
pub(crate) mod documents;
mod jobs;
mod lists;
mod open_pages;
mod opening;
mod pin_page;
pub(crate) mod staff;
mod terminal;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use gateway::reader::CardUse;
use gateway::{Call, Gateway, Method, Platform, Reply, StaffId, TerminalId, Unreachable};
use hpki::encoding::{Digest32, sha256};
use hpki::time::Timestamp;

use self::lists::Lists;
use self::open_pages::OpenPages;
#[cfg(test)]
pub(crate) use self::opening::open;
pub(crate) use self::opening::{open_tapped, open_with, run};
use crate::clock::now;
use crate::http::client::Client;
use crate::http::problem::Trouble;

/// No EHR waits longer than this between two attempts.
const EHR_PATIENCE: Duration = Duration::from_secs(5);

/// The way out to the platform.
pub(crate) struct Way(pub(crate) Client);

impl Platform for Way {
    async fn send(&self, call: Call) -> Result<Reply, Unreachable> {
        let method = match call.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let token = call.token.as_ref().map(gateway::Bearer::as_str);
        let answer = self.0.send(method, &call.path, token, call.body).await;
        let answer = answer.map_err(|fault| Unreachable(fault.to_string()))?;
        Ok(Reply { status: answer.status, body: answer.body.to_vec() })
    }

    async fn wait(&self, pause: Duration) -> Option<Timestamp> {
        if pause > EHR_PATIENCE {
            // The EHR's user is told to go on; the order stays open and is resumed each minute.
            return None;
        }
        tokio::time::sleep(pause).await;
        Some(now())
    }
}

/// A gateway behind its door.
pub(crate) struct Hospital {
    pub(crate) gateway: Gateway<Way>,
    ehr_key_hash: Digest32,
    platform: Client,
    /// The facility's name, and the URL of this door, for the pages on its terminals.
    name: String,
    door: String,
    terminals: OpenPages<terminal::Open>,
    pins: OpenPages<pin_page::Open>,
    uses_cards: bool,
    lists: Lists,
}

type Desk = State<Arc<Hospital>>;

/// The EHR's routes.
pub(crate) fn router(hospital: Arc<Hospital>) -> Router {
    Router::new()
        .route("/v1/staff/{staff}", get(staff::staff))
        .route("/v1/staff/{staff}/end", post(staff::end))
        .route("/v1/staff/{staff}/authentication", post(staff::begin))
        .route("/v1/staff/{staff}/authentication/{ceremony}", get(staff::state))
        .route("/v1/staff/{staff}/authentication/{ceremony}/number", post(staff::number))
        .merge(approvals::routes())
        .route("/v1/prescriptions", post(documents::prescriptions))
        .route("/v1/dispensings", post(documents::dispensings))
        .merge(batch::routes())
        .merge(cards::routes())
        .merge(pin_page::routes())
        .merge(terminal::routes())
        .layer(axum::extract::DefaultBodyLimit::max(8 * 1024 * 1024))
        .with_state(hospital)
}

impl Hospital {
    /// The use of the card that is asked for instead of the phone, if one is.
    fn means(&self, named: Option<&str>) -> Result<Option<CardUse>, Trouble> {
        match named {
            None | Some("phone") => Ok(None),
            Some(_) if !self.uses_cards => {
                Err(Trouble::refused("cards-not-configured", "no cards are used here"))
            }
            Some(means) => terminal::card_means(means).map(Some),
        }
    }

    /// The EHR names itself by a secret, compared by its hash so that time tells nothing.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Trouble> {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match given {
            Some(key) if sha256(key.as_bytes()) == self.ehr_key_hash => Ok(()),
            _ => Err(Trouble::refused("ehr-key-wrong", "Authorization: Bearer <EHR key>")),
        }
    }
}

fn staff_id(text: &str) -> Result<StaffId, Trouble> {
    text.parse().map_err(|_| Trouble::refused("staff-unknown", "not a staff ID"))
}

fn terminal_id(text: &str) -> Result<TerminalId, Trouble> {
    text.parse().map_err(|_| Trouble::refused("terminal-unknown", "not a terminal ID"))
}
