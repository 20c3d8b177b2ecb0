//! The town's regional health network on the network: one page that lets in who logs in with us.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use askama::Template;
use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use town::Refusal;
use town::network::{CLIENT, Form, NAME, Network, REDIRECT, SCOPE, Visitor};
use wire::token::base64url_encode;

use super::prepare::Founded;
use crate::clock::now;
use crate::http::browser;
use crate::http::client::Client;
use crate::http::problem::Trouble;
use crate::pages::CSP;
use crate::runtime::Stop;

/// Its browsers' cookie. Plain HTTP on loopback knows no `__Host-`.
const COOKIE: &str = "kakuu-network";
/// The service that an outside program may be.
const OUTSIDE: &str = "outside";
const OUTSIDE_KEY: &str = "outside.jwk.json";
/// The one host that every hospital's adapter has in the field.
const ADAPTER: &str = "http://hpkicardless-clientadapter-server:3000";

/// Registers the service with the platform, before that opens.
pub(super) fn found(founded: &Founded) -> Result<Network, Stop> {
    let network = Network::new(&founded.url)?;
    let keys = founded.home.join("network.jwks.json");
    std::fs::write(&keys, format!("{:#}\n", network.jwks()))?;
    outside(&founded.home)?;
    let scopes: Vec<String> = SCOPE.split(' ').map(|scope| format!("{scope:?}")).collect();
    let scopes = scopes.join(", ");
    let lines = format!(
        r#"
# 地域医療連携ネット（架空）へのログイン、電子カルテの OAuth。 A login elsewhere, and tokens by OAuth.
[login]
qualification = ["jma", "jpa", "medis"]

[[relying_party]]
id = "{CLIENT}"
name = "{NAME}"
redirects = ["{REDIRECT}"]
scopes = [{scopes}]
proof = "private_key_jwt"
keys = "network.jwks.json"

[[relying_party]]
id = "{OUTSIDE}"
name = "外部のサービス（TEST）"
redirects = ["{REDIRECT}"]
scopes = [{scopes}]
proof = "private_key_jwt"
keys = "outside.jwks.json"
device = true

[[relying_party]]
id = "FIDO"
name = "電子カルテ（TEST）"
redirects = [
    "{ADAPTER}/authfido/callback",
    "{REDIRECT}",
]
sector = "hpkicardless-clientadapter-server"
scopes = ["openid", "sign"]

[[relying_party]]
id = "HPKI"
name = "電子カルテ（TEST、HPKIカード）"
redirects = [
    "{ADAPTER}/authhpki/callback",
    "{REDIRECT}",
]
sector = "hpkicardless-clientadapter-server"
scopes = ["openid", "sign"]
means = "hpki"

[[relying_party]]
id = "JPKI"
name = "電子カルテ（TEST、マイナンバーカード）"
redirects = [
    "{ADAPTER}/authjpki/callback",
    "{REDIRECT}",
]
sector = "hpkicardless-clientadapter-server"
scopes = ["openid", "sign"]
means = "jpki"
"#
    );
    let file = founded.platform_config();
    std::fs::OpenOptions::new().append(true).open(file)?.write_all(lines.as_bytes())?;
    Ok(network)
}

/// The key of the service that an outside program may be: its public half is registered, the other
/// is handed out (`demo.json`).
fn outside(home: &Path) -> Result<(), Stop> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
        .map_err(|_| "no key could be made")?;
    let point = key.public_key().as_ref();
    let (x, y) = (base64url_encode(&point[1..33]), base64url_encode(&point[33..65]));
    let secret: EcPrivateKeyBin<'static> =
        key.private_key().as_be_bytes().map_err(|_| "a key without its secret")?;
    let mut jwk = json!({"kty": "EC", "crv": "P-256", "kid": "outside-1", "x": x, "y": y});
    std::fs::write(home.join("outside.jwks.json"), json!({"keys": [jwk]}).to_string())?;
    jwk["d"] = json!(base64url_encode(secret.as_ref()));
    Ok(crate::files::private(&home.join(OUTSIDE_KEY), &format!("{jwk:#}\n"))?)
}

/// What an outside program needs to log people in, or to be a hospital's adapter.
pub(super) fn manifest(home: &Path) -> Value {
    json!({
        "client_id": OUTSIDE,
        "private_key": home.join(OUTSIDE_KEY),
        "redirect": REDIRECT,
        "scope": SCOPE,
        "adapter": { "client_id": "FIDO", "redirect": format!("{ADAPTER}/authfido/callback") },
    })
}

struct Desk {
    network: Mutex<Network>,
    platform: Client,
    issuer: String,
}

impl Desk {
    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts a form to the provider; its answer, if it is one.
    async fn post(&self, path: &str, form: &Form) -> Result<Value, Trouble> {
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = hyper::Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.join("&").into_bytes());
        self.ask(request).await
    }

    async fn ask(
        &self,
        request: hyper::http::Result<hyper::Request<Vec<u8>>>,
    ) -> Result<Value, Trouble> {
        let request = request.map_err(|error| Trouble::fault(&error))?;
        let answer =
            self.platform.exchange(request).await.map_err(|error| Trouble::fault(&error))?;
        let body: Value =
            serde_json::from_slice(answer.body()).map_err(|error| Trouble::fault(&error))?;
        match answer.status().as_u16() {
            200 | 201 => Ok(body),
            _ => {
                let error = body["error"].as_str().unwrap_or_default();
                Err(Refusal::NetworkLoginRefused(error.chars().take(64).collect()).into())
            }
        }
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(octet.into());
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Its routes; `platform` is the provider as it reaches it.
pub(super) fn router(
    mut network: Network,
    port: u16,
    founded: &Founded,
    platform: Client,
) -> Router {
    network.listens_on(port);
    let issuer = founded.url.clone();
    let desk = Desk { network: Mutex::new(network), platform, issuer };
    Router::new()
        .route("/", get(home))
        .route("/login", get(login))
        .route("/callback", get(callback))
        .route("/logout", post(logout))
        .route("/assets/{*name}", get(crate::platform::pages::asset))
        .with_state(Arc::new(desk))
}

#[derive(Template)]
#[template(path = "demo/network.html")]
struct Page<'a> {
    name: &'a str,
    visitor: Option<&'a Visitor>,
    refused: Option<(&'a str, &'a str, &'a str)>,
}

fn page(page: &Page<'_>) -> Result<Response, Trouble> {
    let html = page.render().map_err(|error| Trouble::fault(&error))?;
    Ok(browser::page(html, CSP, false))
}

async fn home(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Result<Response, Trouble> {
    let visitor = desk.network().visitor(browser::cookie(&headers, COOKIE)).cloned();
    page(&Page { name: NAME, visitor: visitor.as_ref(), refused: None })
}

fn see(location: &str) -> Response {
    let mut answer = StatusCode::SEE_OTHER.into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

async fn login(State(desk): State<Arc<Desk>>) -> Result<Response, Trouble> {
    let (secret, form) = desk.network().begin(now())?;
    let pushed = desk.post("/oauth/par", &form).await?;
    let uri = encoded(pushed["request_uri"].as_str().unwrap_or_default());
    let issuer = &desk.issuer;
    let answer = see(&format!("{issuer}/oauth/authorize?client_id={CLIENT}&request_uri={uri}"));
    with_cookie(answer, &secret)
}

fn with_cookie(mut answer: Response, secret: &str) -> Result<Response, Trouble> {
    let cookie = format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax");
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| Trouble::fault(&error))?;
    answer.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(answer)
}

async fn callback(
    State(desk): State<Arc<Desk>>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    match welcome(&desk, &headers, &parameters).await {
        Ok(browser) => with_cookie(see("/"), &browser),
        Err(Trouble::Refused { code, detail }) => {
            let title = wire::refusal::lookup(code).map_or("", |text| text.title_ja);
            page(&Page { name: NAME, visitor: None, refused: Some((title, code, &detail)) })
        }
        Err(fault) => Err(fault),
    }
}

async fn welcome(
    desk: &Desk,
    headers: &HeaderMap,
    parameters: &[(String, String)],
) -> Result<String, Trouble> {
    let browser = browser::cookie(headers, COOKIE);
    let returned = desk.network().returned(parameters, browser, now())?;
    let issued = desk.post("/oauth/token", &returned.form).await?;
    let jwks = desk.ask(hyper::Request::get("/.well-known/jwks.json").body(Vec::new())).await?;
    let id_token = issued["id_token"].as_str().unwrap_or_default();
    Ok(desk.network().welcome(&returned, id_token, &jwks, now())?)
}

async fn logout(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    desk.network().leave(browser::cookie(&headers, COOKIE));
    see("/")
}

#[cfg(test)]
mod tests {
    use hpki::refusal::Refuse as _;

    use super::*;

    #[test]
    fn what_the_network_says_no_to_has_a_text() {
        for refusal in [Refusal::NetworkAnswerStrange(""), Refusal::NetworkLoginRefused("".into())]
        {
            assert!(wire::refusal::lookup(refusal.code()).is_some());
        }
    }
}
