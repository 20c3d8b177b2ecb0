//! A regional health network of the town (地域医療連携ネット): a service that lets physicians and
//! pharmacists in by their qualification. It is an OpenID relying party as one should be: pushed
//! requests, PKCE, state and nonce, the issuer compared, the ID token verified before it is believed.

use std::collections::HashMap;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use hpki::encoding::sha256;
use hpki::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use wire::token::{base64url_decode, base64url_encode};

use crate::refusal::Refusal;

/// What it is called: it exists nowhere.
pub const NAME: &str = "架空県 医療連携ネット（TEST）";
/// Its `client_id`.
pub const CLIENT: &str = "kakuu-network";
/// Its redirect URI as it is registered: on loopback, any port.
pub const REDIRECT: &str = "http://127.0.0.1/callback";
/// What it asks for.
pub const SCOPE: &str = "openid profile qualification registration_number";

/// How long it waits for somebody to come back.
const PATIENCE_S: u64 = 900;
/// How many it waits for.
const WAITING_MAX: usize = 1_000;
/// How many are logged in at once; one more, and all log in again.
const VISITORS_MAX: usize = 1_000;

/// A form, as it is posted.
pub type Form = Vec<(&'static str, String)>;

/// The service.
pub struct Network {
    issuer: String,
    back: String,
    key: EcdsaKeyPair,
    random: SystemRandom,
    waiting: HashMap<String, Waiting>,
    visitors: HashMap<String, Visitor>,
}

/// Somebody who was sent to log in.
struct Waiting {
    verifier: String,
    nonce: String,
    browser: String,
    since: Timestamp,
}

/// Somebody who logged in, as the ID token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Visitor {
    /// Her name for this service alone.
    pub sub: String,
    /// Her name in romaji.
    pub name: String,
    /// Her name in kanji, where her certificate has it.
    pub name_ja: String,
    /// Her qualification.
    pub qualification: String,
    /// Her registration number.
    pub number: String,
}

/// A code that came back, to be exchanged.
pub struct Returned {
    /// What is posted to the token endpoint.
    pub form: Form,
    nonce: String,
}

fn strange(why: &'static str) -> Refusal {
    Refusal::NetworkAnswerStrange(why)
}

impl Network {
    /// The service, over a fresh key. `issuer` is the provider that it trusts.
    ///
    /// # Errors
    /// `phone-failed`-like: the machine has no randomness.
    pub fn new(issuer: &str) -> Result<Self, Refusal> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| strange("no key could be made"))?;
        Ok(Self {
            issuer: issuer.to_owned(),
            back: REDIRECT.to_owned(),
            key,
            random: SystemRandom::new(),
            waiting: HashMap::new(),
            visitors: HashMap::new(),
        })
    }

    /// On which port browsers come back to it.
    pub fn listens_on(&mut self, port: u16) {
        self.back = REDIRECT.replacen("127.0.0.1", &format!("127.0.0.1:{port}"), 1);
    }

    /// Its public key, for the provider's registry (RFC 7517).
    pub fn jwks(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = (base64url_encode(&point[1..33]), base64url_encode(&point[33..65]));
        let key = json!({"kty": "EC", "crv": "P-256", "kid": "network-1", "x": x, "y": y});
        json!({"keys": [key]})
    }

    fn secret(&self) -> Result<String, Refusal> {
        let mut octets = [0; 32];
        self.random.fill(&mut octets).map_err(|_| strange("no randomness"))?;
        Ok(base64url_encode(&octets))
    }

    /// What it proves itself with, once (RFC 7523).
    fn assertion(&self, now: Timestamp) -> Result<Form, Refusal> {
        let header = json!({"alg": "ES256", "kid": "network-1", "typ": "JWT"});
        let claims = json!({
            "iss": CLIENT, "sub": CLIENT, "aud": self.issuer, "jti": self.secret()?,
            "iat": now, "exp": now.plus(60),
        });
        let part = |value: &Value| base64url_encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let value = self.key.sign(&self.random, signed.as_bytes());
        let value = value.map_err(|_| strange("the key did not sign"))?;
        Ok(vec![
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into(),
            ),
            ("client_assertion", format!("{signed}.{}", base64url_encode(value.as_ref()))),
        ])
    }

    /// Somebody wants to log in: a secret for her browser, and what is pushed to the provider.
    ///
    /// # Errors
    /// `network-answer-strange` without randomness.
    pub fn begin(&mut self, now: Timestamp) -> Result<(String, Form), Refusal> {
        self.waiting.retain(|_, waiting| now.since(waiting.since) <= PATIENCE_S);
        if self.waiting.len() >= WAITING_MAX {
            return Err(strange("too many are logging in"));
        }
        let (state, nonce) = (self.secret()?, self.secret()?);
        let (verifier, browser) = (self.secret()?, self.secret()?);
        let mut form = self.assertion(now)?;
        form.extend([
            ("client_id", CLIENT.to_owned()),
            ("response_type", "code".into()),
            ("redirect_uri", self.back.clone()),
            ("scope", SCOPE.into()),
            ("state", state.clone()),
            ("nonce", nonce.clone()),
            ("code_challenge", base64url_encode(&sha256(verifier.as_bytes()))),
            ("code_challenge_method", "S256".into()),
        ]);
        let waiting = Waiting { verifier, nonce, browser: browser.clone(), since: now };
        self.waiting.insert(state, waiting);
        Ok((browser, form))
    }

    /// A browser comes back. It is the one that was sent, and comes from the provider that it was
    /// sent to: an answer of another provider is not even looked at (RFC 9207).
    ///
    /// # Errors
    /// `network-answer-strange`; `network-login-refused` with the provider's word.
    pub fn returned(
        &mut self,
        parameters: &[(String, String)],
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<Returned, Refusal> {
        let get = |name: &str| {
            let mut found = parameters.iter().filter(|(known, _)| known == name);
            found.next().filter(|_| found.next().is_none()).map(|(_, value)| value.as_str())
        };
        if get("iss") != Some(self.issuer.as_str()) {
            return Err(strange("it comes from another provider"));
        }
        let waiting = get("state").and_then(|state| self.waiting.remove(state));
        let waiting = waiting.ok_or_else(|| strange("nobody was sent with this state"))?;
        let late = now.since(waiting.since) > PATIENCE_S;
        if late || browser != Some(waiting.browser.as_str()) {
            return Err(strange("another browser was sent, or too long ago"));
        }
        if let Some(error) = get("error") {
            return Err(Refusal::NetworkLoginRefused(error.chars().take(64).collect()));
        }
        let code = get("code").ok_or_else(|| strange("it has no code"))?;
        let mut form = self.assertion(now)?;
        form.extend([
            ("client_id", CLIENT.to_owned()),
            ("grant_type", "authorization_code".into()),
            ("code", code.to_owned()),
            ("redirect_uri", self.back.clone()),
            ("code_verifier", waiting.verifier),
        ]);
        Ok(Returned { form, nonce: waiting.nonce })
    }

    /// Believes an ID token, if it is one for this login (OpenID Connect Core §3.1.3.7). Gives the new
    /// secret of the browser that is logged in from now on.
    ///
    /// # Errors
    /// `network-answer-strange`.
    pub fn welcome(
        &mut self,
        returned: &Returned,
        id_token: &str,
        jwks: &Value,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let claims = verified(id_token, jwks).ok_or_else(|| strange("the ID token's signature"))?;
        let time = |name: &str| claims[name].as_u64().map(Timestamp::from_seconds);
        let in_time = time("exp").is_some_and(|end| now < end)
            && time("iat").is_some_and(|made| made <= now.plus(30));
        let ours = claims["iss"] == self.issuer.as_str()
            && claims["aud"] == CLIENT
            && claims["nonce"] == returned.nonce.as_str();
        if !in_time || !ours {
            return Err(strange("the ID token is for another login"));
        }
        let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
        let visitor = Visitor {
            sub: text("sub"),
            name: text("name"),
            name_ja: text("name#ja"),
            qualification: text("qualification#ja"),
            number: text("registration_number"),
        };
        if visitor.sub.is_empty() || visitor.qualification.is_empty() {
            return Err(strange("the ID token says nothing of a qualification"));
        }
        if self.visitors.len() >= VISITORS_MAX {
            self.visitors.clear();
        }
        // A name of its own: what the browser brought before the login may have been planted.
        let browser = self.secret()?;
        self.visitors.insert(browser.clone(), visitor);
        Ok(browser)
    }

    /// Who is logged in, in this browser.
    pub fn visitor(&self, browser: Option<&str>) -> Option<&Visitor> {
        self.visitors.get(browser?)
    }

    /// Logs out.
    pub fn leave(&mut self, browser: Option<&str>) {
        if let Some(browser) = browser {
            self.visitors.remove(browser);
        }
    }
}

/// The claims of a JWT that one of these keys signed by ES256.
fn verified(token: &str, jwks: &Value) -> Option<Value> {
    let (signed, value) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Value = serde_json::from_slice(&base64url_decode(header)?).ok()?;
    let kid = header["kid"].as_str()?;
    if header["alg"] != "ES256" || header.get("crit").is_some() {
        return None;
    }
    let key = jwks["keys"].as_array()?.iter().find(|key| key["kid"] == kid)?;
    let member = |name: &str| base64url_decode(key[name].as_str()?);
    let point = [&[4][..], &member("x")?, &member("y")?].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(signed.as_bytes(), &base64url_decode(value)?).ok()?;
    serde_json::from_slice(&base64url_decode(claims)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://platform.test";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn value(form: &Form, name: &str) -> String {
        form.iter().find(|(known, _)| *known == name).unwrap().1.clone()
    }

    fn back(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    /// A provider of one key.
    fn provider() -> (EcdsaKeyPair, Value) {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = key.public_key().as_ref();
        let (x, y) = (base64url_encode(&point[1..33]), base64url_encode(&point[33..]));
        (key, json!({"keys": [{"kid": "p", "kty": "EC", "crv": "P-256", "x": x, "y": y}]}))
    }

    fn token(key: &EcdsaKeyPair, alg: &str, claims: &Value) -> String {
        let part = |value: &Value| base64url_encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&json!({"alg": alg, "kid": "p"})), part(claims));
        let value = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url_encode(value.as_ref()))
    }

    #[test]
    fn only_the_browser_that_was_sent_comes_back_and_only_from_the_provider_that_it_was_sent_to() {
        let mut network = Network::new(ISSUER).unwrap();
        let begin = |network: &mut Network| {
            let (browser, form) = network.begin(at(100)).unwrap();
            (browser, value(&form, "state"))
        };
        let (browser, state) = begin(&mut network);
        let good = back(&[("code", "c"), ("state", &state), ("iss", ISSUER)]);
        assert!(network.returned(&good, Some(&browser), at(101)).is_ok());
        assert!(network.returned(&good, Some(&browser), at(101)).is_err(), "once");
        for (iss, shown, seconds) in [
            ("https://evil.test", None, 101),
            ("", None, 101),
            (ISSUER, Some("other"), 101),
            (ISSUER, None, 100 + PATIENCE_S + 1),
        ] {
            let (browser, state) = begin(&mut network);
            let pairs = back(&[("code", "c"), ("state", &state), ("iss", iss)]);
            let shown = shown.unwrap_or(&browser);
            assert!(network.returned(&pairs, Some(shown), at(seconds)).is_err(), "{iss} {seconds}");
        }
        let (browser, state) = begin(&mut network);
        let pairs = back(&[("error", "access_denied"), ("state", &state), ("iss", ISSUER)]);
        let refused = network.returned(&pairs, Some(&browser), at(101)).err();
        assert_eq!(refused, Some(Refusal::NetworkLoginRefused("access_denied".into())));
    }

    #[test]
    fn an_id_token_is_believed_only_for_this_login_and_under_the_providers_key() {
        let (key, jwks) = provider();
        let mut network = Network::new(ISSUER).unwrap();
        let (browser, form) = network.begin(at(100)).unwrap();
        let pairs = back(&[("code", "c"), ("state", &value(&form, "state")), ("iss", ISSUER)]);
        let returned = network.returned(&pairs, Some(&browser), at(101)).unwrap();
        let right = json!({
            "iss": ISSUER, "aud": CLIENT, "sub": "s", "nonce": value(&form, "nonce"),
            "iat": 101, "exp": 401, "qualification#ja": "医師",
        });
        let with = |name: &str, value: Value| {
            let mut claims = right.clone();
            claims[name] = value;
            claims
        };
        let (stranger, _) = provider();
        for wrong in [
            token(&stranger, "ES256", &right),
            token(&key, "none", &right),
            token(&key, "ES256", &with("iss", "https://evil.test".into())),
            token(&key, "ES256", &with("aud", "other".into())),
            token(&key, "ES256", &with("nonce", "other".into())),
            token(&key, "ES256", &with("exp", 102.into())),
            token(&key, "ES256", &with("iat", 200.into())),
            token(&key, "ES256", &with("qualification#ja", Value::Null)),
            "a.b.c".into(),
        ] {
            assert!(network.welcome(&returned, &wrong, &jwks, at(102)).is_err(), "{wrong}");
            assert!(network.visitor(Some(&browser)).is_none());
        }
        let good = token(&key, "ES256", &right);
        let known = network.welcome(&returned, &good, &jwks, at(102)).unwrap();
        assert!(network.visitor(Some(&browser)).is_none(), "a planted cookie is nobody's");
        assert_eq!(network.visitor(Some(&known)).unwrap().qualification, "医師");
        assert!(network.visitor(None).is_none());
        network.leave(Some(&known));
        assert!(network.visitor(Some(&known)).is_none());
    }
}
