//! What a client asks for: the parameters of an authorization request, read strictly.

use std::collections::BTreeMap;

use hpki::id::PersonId;
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wire::{StartRequest, Terminal};

use super::client::{Client, ClientProof, MeansWanted};
use super::jose;
use super::refusal::{Back, Denied, Wrong};

/// The type of our authorization details (RFC 9396).
pub const SIGN_DETAILS: &str = "urn:azukari:sign";

/// What a client may be told or allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Who logged in, by a name for this service alone.
    #[serde(rename = "openid")]
    OpenId,
    /// Her name.
    Profile,
    /// Her qualification (`hcRole`).
    Qualification,
    /// Her registration number.
    RegistrationNumber,
    /// To have documents signed at the facility of the client certificate.
    Sign,
    /// The same, as the Cloud Signature Consortium calls it (CSC API v2 §8.4.2): of the kinds for
    /// which the client is registered.
    Service,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OpenId,
        Self::Profile,
        Self::Qualification,
        Self::RegistrationNumber,
        Self::Sign,
        Self::Service,
    ];

    /// As it is asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenId => "openid",
            Self::Profile => "profile",
            Self::Qualification => "qualification",
            Self::RegistrationNumber => "registration_number",
            Self::Sign => "sign",
            Self::Service => "service",
        }
    }

    /// Whether signatures are asked for by it.
    pub const fn signs(self) -> bool {
        matches!(self, Self::Sign | Self::Service)
    }

    /// The scope of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// Reads a list separated by single spaces (RFC 6749 §3.3), each once and in our order.
    pub(crate) fn list(text: &str) -> Option<Vec<Self>> {
        let mut scopes = text.split(' ').map(Self::named).collect::<Option<Vec<_>>>()?;
        scopes.sort_unstable();
        scopes.dedup();
        Some(scopes)
    }

    /// The list as text.
    pub(crate) fn text(scopes: &[Self]) -> String {
        scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" ")
    }
}

/// The parameters of a request. One that stands twice is refused (RFC 6749 §3.1), one without a
/// value is as if it were not there.
#[derive(Debug, Clone, Default)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// From pairs as they came.
    ///
    /// # Errors
    /// `oauth-request-malformed`.
    pub fn of(pairs: Vec<(String, String)>) -> Result<Self, Wrong> {
        let mut all = BTreeMap::new();
        for (name, value) in pairs {
            if value.is_empty() {
                continue;
            }
            if value.len() > 16_384 || all.insert(name, value).is_some() {
                return Err(Wrong::RequestMalformed);
            }
        }
        Ok(Self(all))
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The parameters inside a request object (RFC 9101 §4).
    fn of_object(claims: Map<String, Value>) -> Self {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Self(claims.into_iter().map(|(name, value)| (name, text(value))).collect())
    }
}

/// A request that holds: what is stored until the browser comes, and until its code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AskedFor {
    pub(crate) redirect_uri: String,
    /// The registered host of it, as a person is shown it.
    pub(crate) host: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    /// `code_challenge` (S256)
    pub(crate) challenge: String,
    /// What is to be allowed, where signatures are.
    pub(crate) start: Option<StartRequest>,
    /// From where: the facility whose certificate pushed it.
    pub(crate) at: Option<At>,
    /// Whether it stands on its owner's page (CIBA).
    #[serde(default)]
    pub(crate) backchannel: bool,
    /// By which means she is to be authenticated.
    #[serde(default)]
    pub(crate) means: MeansWanted,
}

/// The place that pushed a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct At {
    pub(crate) facility: hpki::id::FacilityCode,
    pub(crate) name: String,
    pub(crate) x5t: String,
}

impl AskedFor {
    pub(crate) fn signs(&self) -> bool {
        self.scopes.iter().any(|scope| scope.signs())
    }

    pub(crate) fn back(&self) -> Back {
        Back { uri: self.redirect_uri.clone(), state: self.state.clone() }
    }
}

/// One entry of `authorization_details` (RFC 9396 §2).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Details {
    #[serde(rename = "type")]
    kind: String,
    terminal: Terminal,
    kinds: Vec<DocumentKind>,
    count: u64,
    hours: u64,
    #[serde(default)]
    person: Option<PersonId>,
}

/// Reads what a client asks for, in the order in which the standards want it judged: until the
/// redirect URI is known to be the client's, nobody is sent anywhere.
pub(crate) fn read(
    client: &Client,
    asked: Parameters,
    issuer: &str,
    now: Timestamp,
) -> Result<AskedFor, Denied> {
    let asked = unwrapped(client, asked, issuer, now)?;
    if asked.get("client_id") != Some(client.id.as_str()) {
        return Err(Wrong::RequestMalformed.into());
    }
    let uri = match asked.get("redirect_uri") {
        Some(uri) => uri,
        // OpenID Connect Core §3.1.2.1 requires it, OAuth 2.1 where more than one is registered.
        None => return Err(Wrong::RedirectUnregistered.into()),
    };
    let redirect = client.redirect(uri).ok_or(Wrong::RedirectUnregistered)?;
    let back = Back { uri: uri.to_owned(), state: asked.get("state").map(str::to_owned) };
    judged(client, &asked, redirect.host()).map_err(|wrong| Denied { back: Some(back), wrong })
}

/// What stands in a signed request object counts, and only that (RFC 9101 §6.3).
fn unwrapped(
    client: &Client,
    asked: Parameters,
    issuer: &str,
    now: Timestamp,
) -> Result<Parameters, Wrong> {
    let Some(object) = asked.get("request") else { return Ok(asked) };
    let ClientProof::Keys(keys) = &client.proof else { return Err(Wrong::RequestObjectWrong) };
    let claims = jose::read(object, keys).ok_or(Wrong::RequestObjectWrong)?;
    let id = client.id.as_str();
    let said = |name: &str| claims.get(name).and_then(Value::as_str);
    let well = said("iss") == Some(id)
        && said("client_id") == Some(id)
        && jose::is_for(&claims, &[issuer])
        && jose::in_time(&claims, now).is_some()
        // It must not pass for a client assertion, nor name another object (RFC 9101 §4, §10.8).
        && !["sub", "request", "request_uri"].iter().any(|name| claims.contains_key(*name));
    match well {
        true => Ok(Parameters::of_object(claims)),
        false => Err(Wrong::RequestObjectWrong),
    }
}

fn judged(client: &Client, asked: &Parameters, host: &str) -> Result<AskedFor, Wrong> {
    match asked.get("response_type") {
        Some("code") => {}
        Some(_) => return Err(Wrong::ResponseTypeWrong),
        None => return Err(Wrong::RequestMalformed),
    }
    if asked.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(Wrong::RequestMalformed);
    }
    let challenge = asked.get("code_challenge").ok_or(Wrong::ChallengeMissing)?;
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let s256 = asked.get("code_challenge_method") == Some("S256");
    if !s256 || challenge.len() != 43 || !challenge.bytes().all(unreserved) {
        return Err(Wrong::ChallengeMissing);
    }
    let bounded = |name: &str| match asked.get(name) {
        Some(text) if text.len() > 1_024 => Err(Wrong::RequestMalformed),
        text => Ok(text.map(str::to_owned)),
    };
    let (state, nonce) = (bounded("state")?, bounded("nonce")?);
    let scopes = asked.get("scope").and_then(Scope::list).ok_or(Wrong::ScopeNotAllowed)?;
    if !scopes.iter().all(|scope| client.scopes.contains(scope)) {
        return Err(Wrong::ScopeNotAllowed);
    }
    let (service, signs) = (scopes == [Scope::Service], scopes.iter().any(|scope| scope.signs()));
    // Who she is and what her key signs are told and allowed separately: `openid` alone may stand
    // beside `sign`, nothing beside `service`, and nothing stands without one of the three.
    let fits = match signs {
        true => service || scopes.iter().all(|s| matches!(s, Scope::Sign | Scope::OpenId)),
        false => scopes.contains(&Scope::OpenId),
    };
    if !fits {
        return Err(Wrong::ScopeNotAllowed);
    }
    prompted(asked)?;
    let start = match (signs, asked.get("authorization_details")) {
        (true, None) if service => Some(client.session()),
        (true, Some(details)) if !service => Some(allowance(details)?),
        (false, None) => None,
        _ => return Err(Wrong::DetailsWrong),
    };
    Ok(AskedFor {
        redirect_uri: asked.get("redirect_uri").unwrap_or_default().to_owned(),
        host: host.to_owned(),
        scopes,
        state,
        nonce,
        challenge: challenge.to_owned(),
        start,
        at: None,
        backchannel: false,
        means: client.means,
    })
}

/// Every login is a fresh authentication, so `login`, `consent`, `select_account` and any `max_age`
/// are met; `none` never is (OpenID Connect Core §3.1.2.1).
fn prompted(asked: &Parameters) -> Result<(), Wrong> {
    if asked.get("max_age").is_some_and(|age| age.parse::<u64>().is_err()) {
        return Err(Wrong::RequestMalformed);
    }
    let Some(prompt) = asked.get("prompt") else { return Ok(()) };
    let known = ["login", "consent", "select_account", "none"];
    let words: Vec<&str> = prompt.split(' ').collect();
    if words.iter().any(|word| !known.contains(word)) {
        return Err(Wrong::RequestMalformed);
    }
    match words.contains(&"none") {
        true if words.len() > 1 => Err(Wrong::RequestMalformed),
        true => Err(Wrong::LoginRequired),
        false => Ok(()),
    }
}

fn allowance(details: &str) -> Result<StartRequest, Wrong> {
    let [details]: [Details; 1] = serde_json::from_str(details).map_err(|_| Wrong::DetailsWrong)?;
    if details.kind != SIGN_DETAILS {
        return Err(Wrong::DetailsWrong);
    }
    Ok(StartRequest {
        terminal: details.terminal,
        expected_person: details.person,
        kinds: details.kinds,
        count: details.count,
        hours: details.hours,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACK: &str = "https://network.test/callback";

    fn client() -> Client {
        Client {
            id: "network".parse().unwrap(),
            name: "テスト医療連携ネット".into(),
            proof: ClientProof::Public,
            redirects: vec![BACK.parse().unwrap()],
            scopes: vec![Scope::OpenId, Scope::Profile, Scope::Sign, Scope::Service],
            means: MeansWanted::Phone,
            sector: "network.test".into(),
            kinds: vec![DocumentKind::Statement],
            device: false,
        }
    }

    const RIGHT: &[(&str, &str)] = &[
        ("client_id", "network"),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", "openid profile"),
        ("state", "af0ifjsldkj"),
        ("nonce", "n-0S6_WzA2Mj"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
    ];

    /// The right request with these parameters set or, where empty, left out.
    fn with(changes: &[(&str, &str)]) -> Result<AskedFor, Denied> {
        let mut all: BTreeMap<_, _> = RIGHT.iter().copied().collect();
        all.extend(changes.iter().copied());
        let pairs = all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let asked = Parameters::of(pairs.collect()).unwrap();
        read(&client(), asked, "https://platform.test", Timestamp::from_seconds(1_000))
    }

    #[test]
    fn a_request_is_read_and_its_state_kept() {
        let asked = with(&[]).unwrap();
        assert_eq!(asked.scopes, [Scope::OpenId, Scope::Profile]);
        assert_eq!(
            (asked.host.as_str(), asked.state.as_deref()),
            ("network.test", Some("af0ifjsldkj"))
        );
        assert!(!asked.signs());
        for harmless in [("prompt", "login"), ("max_age", "0"), ("unknown", "x"), ("state", "")] {
            assert!(with(&[harmless]).is_ok(), "{harmless:?}");
        }
    }

    #[test]
    fn nobody_is_sent_to_an_address_that_is_not_registered() {
        for (name, value) in [
            ("redirect_uri", "https://network.test/callback/"),
            ("redirect_uri", "https://evil.test/callback"),
            ("redirect_uri", ""),
            ("client_id", "other"),
            ("client_id", ""),
            ("request", "eyJhbGciOiJub25lIn0.e30."),
        ] {
            assert_eq!(with(&[(name, value)]).unwrap_err().back, None, "{name}={value}");
        }
    }

    #[test]
    fn each_wrong_parameter_is_answered_at_the_clients_own_address() {
        let details = r#"[{"type":"urn:azukari:sign","terminal":{"id":"t1","label":"第1診察室"},"kinds":["prescription"],"count":300,"hours":18}]"#;
        for (changes, wrong) in [
            (&[("response_type", "token")][..], Wrong::ResponseTypeWrong),
            (&[("response_type", "code id_token")], Wrong::ResponseTypeWrong),
            (&[("response_type", "")], Wrong::RequestMalformed),
            (&[("response_mode", "fragment")], Wrong::RequestMalformed),
            (&[("code_challenge", "")], Wrong::ChallengeMissing),
            (&[("code_challenge", "short")], Wrong::ChallengeMissing),
            (&[("code_challenge_method", "plain")], Wrong::ChallengeMissing),
            (&[("code_challenge_method", "")], Wrong::ChallengeMissing),
            (&[("scope", "")], Wrong::ScopeNotAllowed),
            (&[("scope", "profile")], Wrong::ScopeNotAllowed),
            (&[("scope", "openid qualification")], Wrong::ScopeNotAllowed),
            (&[("scope", "openid  profile")], Wrong::ScopeNotAllowed),
            (
                &[("scope", "openid profile sign"), ("authorization_details", details)],
                Wrong::ScopeNotAllowed,
            ),
            (&[("scope", "openid service")], Wrong::ScopeNotAllowed),
            (&[("scope", "service"), ("authorization_details", details)], Wrong::DetailsWrong),
            (&[("scope", "openid sign")], Wrong::DetailsWrong),
            (&[("authorization_details", details)], Wrong::DetailsWrong),
            (&[("scope", "sign"), ("authorization_details", "[]")], Wrong::DetailsWrong),
            (&[("prompt", "none")], Wrong::LoginRequired),
            (&[("prompt", "none login")], Wrong::RequestMalformed),
            (&[("prompt", "create")], Wrong::RequestMalformed),
            (&[("max_age", "-1")], Wrong::RequestMalformed),
        ] {
            let denied = with(changes).unwrap_err();
            assert_eq!(denied.wrong, wrong, "{changes:?}");
            assert_eq!(denied.back.unwrap().uri, BACK, "{changes:?}");
        }
        let signs = with(&[("scope", "openid sign"), ("authorization_details", details)]).unwrap();
        assert_eq!(signs.start.unwrap().count, 300);
        let service = with(&[("scope", "service")]).unwrap();
        assert!(service.signs());
        assert_eq!(service.start.unwrap().kinds, [DocumentKind::Statement]);
    }

    #[test]
    fn a_parameter_that_stands_twice_is_refused() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert!(Parameters::of(vec![pair("state", "a"), pair("state", "a")]).is_err());
        let empty = Parameters::of(vec![pair("state", ""), pair("state", "a")]).unwrap();
        assert_eq!(empty.get("state"), Some("a"));
    }

    #[test]
    fn a_client_for_cards_asks_as_every_other_does() {
        let card = Client { means: MeansWanted::Hpki, ..client() };
        let pairs = RIGHT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let asked = Parameters::of(pairs.collect()).unwrap();
        let held = read(&card, asked, "https://platform.test", Timestamp::from_seconds(0));
        assert_eq!(held.unwrap().means, MeansWanted::Hpki);
    }
}
