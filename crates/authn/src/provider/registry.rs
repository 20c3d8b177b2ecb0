//! The registered clients, and how one proves that it is the one.

use std::sync::Arc;

use hpki::encoding::Statement;
use hpki::time::Timestamp;
use ledger::Failed;
use serde_json::Value;
use wire::token::base64url_decode;

use super::client::{Client, ClientProof};
use super::jose;
use super::refusal::Wrong;
use crate::ceremony::Place;
use crate::refusal::Refusal;
use crate::room::Authn;

/// `client_assertion_type` of RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The registered clients.
#[derive(Debug, Default)]
pub struct Registry(Vec<Arc<Client>>);

impl Registry {
    /// These clients. Of two with one name nobody could say which counts: the first does.
    pub fn of(clients: Vec<Client>) -> Self {
        Self(clients.into_iter().map(Arc::new).collect())
    }

    /// Every client.
    pub fn all(&self) -> &[Arc<Client>] {
        &self.0
    }

    /// The client of this name.
    pub fn find(&self, id: &str) -> Result<&Arc<Client>, Wrong> {
        self.0.iter().find(|client| client.id.as_str() == id).ok_or(Wrong::ClientUnknown)
    }
}

/// What a client says and shows of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proving<'a> {
    /// `client_id`
    pub client_id: Option<&'a str>,
    /// `client_assertion_type`
    pub assertion_type: Option<&'a str>,
    /// `client_assertion`
    pub assertion: Option<&'a str>,
    /// The facility of its client certificate, if it showed one that is in force.
    pub place: Option<&'a Place>,
    /// The URL that it asks, which an assertion may name as its audience.
    pub endpoint: &'a str,
}

/// Whom an assertion is about, before it is verified: only to find whose keys to verify it with.
fn subject(assertion: &str) -> Option<String> {
    let claims: Value =
        serde_json::from_slice(&base64url_decode(assertion.split('.').nth(1)?)?).ok()?;
    claims["sub"].as_str().map(str::to_owned)
}

impl Authn {
    /// The registered clients.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Which client asks, proven as it is registered to prove itself. An assertion counts once.
    ///
    /// # Errors
    /// `oauth-client-unknown`, `oauth-client-not-proven`, or a fault.
    pub async fn prove_client(
        &self,
        proving: Proving<'_>,
        now: Timestamp,
    ) -> Result<Arc<Client>, Failed<Refusal>> {
        let no = |wrong: Wrong| Failed::Refused(Refusal::Provider(wrong));
        let sub = proving.assertion.and_then(subject);
        let id = proving.client_id.or(sub.as_deref()).ok_or_else(|| no(Wrong::ClientUnknown))?;
        let client = Arc::clone(self.registry.find(id).map_err(no)?);
        let bare = proving.assertion.is_none() && proving.assertion_type.is_none();
        match &client.proof {
            ClientProof::Public if bare => Ok(client),
            ClientProof::Facility(code) if bare => match proving.place {
                Some(place) if place.facility == *code => Ok(client),
                _ => Err(no(Wrong::ClientNotProven)),
            },
            ClientProof::Keys(keys) if proving.assertion_type == Some(ASSERTION_TYPE) => {
                let assertion = proving.assertion.unwrap_or_default();
                let claims =
                    jose::read(assertion, keys).ok_or_else(|| no(Wrong::ClientNotProven))?;
                let said = |name: &str| claims.get(name).and_then(Value::as_str);
                let token = format!("{}/oauth/token", self.config.issuer);
                let us = [self.config.issuer.as_str(), &token, proving.endpoint];
                let until = jose::in_time(&claims, now);
                let well = said("iss") == Some(id) && said("sub") == Some(id);
                let (Some(until), Some(jti), true) =
                    (until, said("jti"), well && jose::is_for(&claims, &us))
                else {
                    return Err(no(Wrong::ClientNotProven));
                };
                self.count_once(id, jti, until, now).await?;
                Ok(client)
            }
            _ => Err(no(Wrong::ClientNotProven)),
        }
    }

    /// Notes an assertion by its name, so that it counts once (RFC 7523 §3 number 7).
    async fn count_once(
        &self,
        client: &str,
        jti: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let hash = Statement::new("azukari/assertion/v1").text(client).text(jti).digest();
        self.ledger
            .write(move |tx| {
                tx.exec("DELETE FROM authn_assertion WHERE until < $1", &[now.into()])?;
                let fresh = tx.exec(
                    "INSERT INTO authn_assertion (hash, until) VALUES ($1, $2)
                     ON CONFLICT DO NOTHING",
                    &[hash.into(), until.into()],
                )?;
                match fresh {
                    1 => Ok(()),
                    _ => Err(Failed::Refused(Refusal::Provider(Wrong::ClientNotProven))),
                }
            })
            .await
    }
}
