//! A service logs a physician in, as the standards' own client library does it; and everything that
//! it must not get away with, each with the standard's error.

mod afterwards;
mod by_card;
mod devices;
mod requests;
mod signing;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use openidconnect::core::{
    CoreClient, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AuthenticationFlow, AuthorizationCode, ClientId, CsrfToken, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, RedirectUrl,
    TokenResponse as _,
};
use serde_json::json;
use town::people::{HANAKO, JIRO};
use wire::token::{base64url_decode, base64url_encode};

use super::holder::Page;
use super::*;
use crate::demo::walk::{Claimed, approve, claim, refuse};
use crate::http::client::CallFault;

const BACK: &str = "https://network.example.jp/callback";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A registered service with a key of its own.
struct Service {
    key: EcdsaKeyPair,
    way: Client,
    issuer: String,
}

fn es256(key: &EcdsaKeyPair, claims: &Value) -> String {
    signed(key, &json!({"alg": "ES256", "kid": "service"}), claims)
}

fn signed(key: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url_encode(value.to_string().as_bytes());
    let front = format!("{}.{}", part(header), part(claims));
    let value = key.sign(&SystemRandom::new(), front.as_bytes()).unwrap();
    format!("{front}.{}", base64url_encode(value.as_ref()))
}

fn fresh() -> String {
    let mut octets = [0; 16];
    hpki::sign::Random::fill(&hsm::SystemRandom, &mut octets);
    base64url_encode(&octets)
}

/// The JSON inside a token.
fn inside(token: &str) -> Value {
    let claims = base64url_decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

/// The public key as a client registers it.
fn jwks(key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    let (x, y) = (base64url_encode(&point[1..33]), base64url_encode(&point[33..]));
    json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "service", "x": x, "y": y}]})
}

/// A town with three services: one that proves itself by its key, another such, and one that a
/// program on its user's side is.
async fn town(qualification: &str) -> (House, Service) {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("service.jwks.json");
    std::fs::write(&file, jwks(&key).to_string()).unwrap();
    let party = |id: &str, more: &str| {
        format!("\n[[relying_party]]\nid = \"{id}\"\nname = \"テスト医療連携ネット\"\n{more}\n")
    };
    let all = r#"scopes = ["openid", "profile", "qualification", "registration_number"]"#;
    let keys = format!("proof = \"private_key_jwt\"\nkeys = {:?}\n", file.display().to_string());
    let more = [
        format!("\n[login]\nqualification = [{qualification}]\n"),
        party("network", &format!("redirects = [{BACK:?}]\n{all}\n{keys}")),
        party("other", &format!("redirects = [\"https://other.example.jp/cb\"]\n{all}\n{keys}")),
        party("kiosk", &format!("redirects = [{BACK:?}]\nscopes = [\"openid\", \"profile\"]\ndevice = true\n{keys}")),
        party("app", "redirects = [\"http://127.0.0.1/back\"]\nscopes = [\"openid\", \"profile\"]"),
        party("HPKI", "redirects = [\"http://hpkicardless-clientadapter-server:3000/authhpki/callback\"]\nscopes = [\"openid\", \"sign\"]\nmeans = \"hpki\""),
        party("FIDO", "redirects = [\"http://hpkicardless-clientadapter-server:3000/authfido/callback\"]\nscopes = [\"openid\", \"sign\"]"),
    ]
    .concat();
    let house = House::found_as(&[], &more).await;
    let issuer = house.platform().config.url.clone();
    let way = house.founded.client(None).unwrap();
    (house, Service { key, way, issuer })
}

/// A request as a library sends it, to the platform wherever it listens.
async fn library(way: Client, request: HttpRequest) -> Result<HttpResponse, CallFault> {
    way.exchange(request).await
}

/// One browser: its cookies, and where it was sent.
struct Browser {
    way: Client,
    origin: String,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn new(service: &Service) -> Self {
        let (way, origin) = (service.way.clone(), service.issuer.clone());
        Self { way, origin, cookies: Vec::new() }
    }

    async fn send(&mut self, method: &str, path: &str, body: Option<Value>) -> HttpResponse {
        let cookies: Vec<_> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut request = hyper::Request::builder().method(method).uri(path);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if body.is_some() {
            request = request
                .header("content-type", "application/json")
                .header("origin", &self.origin)
                .header("sec-fetch-site", "same-origin");
        }
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = self.way.exchange(request.body(body).unwrap()).await.unwrap();
        for line in answer.headers().get_all("set-cookie") {
            let (pair, attributes) = line.to_str().unwrap().split_once(';').unwrap();
            for wanted in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
                assert!(attributes.contains(wanted), "{attributes}");
            }
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }

    /// The page of a login; its id.
    async fn open(&mut self, address: &str) -> Result<String, HttpResponse> {
        let path = address.strip_prefix(&self.origin).unwrap_or(address).to_owned();
        let answer = self.send("GET", &path, None).await;
        if answer.status() != 200 {
            return Err(answer);
        }
        let html = String::from_utf8(answer.into_body()).unwrap();
        let (_, rest) = html.split_once("data-login=\"").unwrap();
        Ok(rest.split_once('"').unwrap().0.to_owned())
    }

    async fn ask(&mut self, path: &str, body: Value) -> Value {
        let answer = self.send("POST", path, Some(body)).await;
        serde_json::from_slice(answer.body()).unwrap()
    }

    async fn step(&mut self, login: &str) -> String {
        let seen = self.ask("/oauth/page/state", json!({"login": login})).await;
        seen["step"].as_str().unwrap_or_else(|| panic!("{seen}")).to_owned()
    }

    /// The QR code of a login.
    async fn qr(&mut self, login: &str) -> String {
        let shown = self.ask("/oauth/page/show", json!({"login": login})).await;
        shown["address"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned()
    }

    /// Back to the service: the parameters of its address.
    async fn back(&mut self, login: &str) -> Vec<(String, String)> {
        let answer = self.send("GET", &format!("/oauth/continue/{login}"), None).await;
        parameters(&answer)
    }
}

/// What stands in the address to which a browser is sent.
fn parameters(answer: &HttpResponse) -> Vec<(String, String)> {
    assert_eq!(answer.status(), 303, "{:?}", String::from_utf8_lossy(answer.body()));
    let address = answer.headers()["location"].to_str().unwrap();
    let (_, query) = address.split_once('?').unwrap();
    let read = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(
        &format!("https://x.test/?{query}").parse().unwrap(),
    );
    read.unwrap().0
}

fn value<'a>(parameters: &'a [(String, String)], name: &str) -> &'a str {
    let found = parameters.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value)
}

/// PKCE, with the right verifier kept.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

impl Service {
    fn assertion(&self) -> String {
        self.assertion_of("network")
    }

    fn assertion_of(&self, id: &str) -> String {
        let exp = now().seconds() + 60;
        let claims = json!({"iss": id, "sub": id, "aud": self.issuer, "jti": fresh(), "exp": exp});
        es256(&self.key, &claims)
    }

    /// A form to one of the endpoints; what is answered.
    async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
        post(&self.way, path, pairs).await
    }

    /// The address of a login with these parameters beside the usual.
    fn address(&self, more: &[(&str, &str)]) -> String {
        let mut all = vec![
            ("response_type", "code"),
            ("client_id", "network"),
            ("redirect_uri", BACK),
            ("scope", "openid profile qualification registration_number"),
            ("state", "st"),
            ("nonce", "no"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        all.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        all.extend_from_slice(more);
        format!("{}/oauth/authorize?{}", self.issuer, form(&all))
    }

    /// A whole login until the code.
    async fn code(&self, resident: &mut Resident, more: &[(&str, &str)]) -> String {
        let mut browser = Browser::new(self);
        let login = browser.open(&self.address(more)).await.unwrap();
        approve_at(&mut browser, resident, &login).await;
        let back = browser.back(&login).await;
        assert_eq!(value(&back, "state"), "st");
        assert_eq!(value(&back, "iss"), self.issuer);
        value(&back, "code").to_owned()
    }

    /// The code is exchanged as it should be, with these changes.
    async fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let assertion = self.assertion();
        let mut all = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion.as_str()),
        ];
        all.retain(|(name, _)| !changes.iter().any(|(other, _)| other == name));
        all.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        self.post("/oauth/token", &all).await
    }

    async fn userinfo(&self, token: &str) -> (u16, Value) {
        let request = hyper::Request::get("/oauth/userinfo")
            .header("authorization", format!("Bearer {token}"))
            .body(Vec::new())
            .unwrap();
        let answer = self.way.exchange(request).await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    let encoded = |text: &str| {
        let octet = |b: u8| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(b).to_string()
            }
            other => format!("%{other:02X}"),
        };
        text.bytes().map(octet).collect::<String>()
    };
    let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}={}", encoded(v))).collect();
    pairs.join("&")
}

async fn post(way: &Client, path: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
    let request = hyper::Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form(pairs).into_bytes())
        .unwrap();
    let answer = way.exchange(request).await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
}

/// She scans, approves and carries the three digits over.
async fn approve_at(browser: &mut Browser, resident: &mut Resident, login: &str) -> Claimed {
    let qr = browser.qr(login).await;
    let way = browser.way.clone();
    let claimed = claim(&way, &resident.phone, &qr).await.unwrap();
    let number = approve(&way, &mut resident.phone, &claimed).await.unwrap().unwrap();
    assert_eq!(browser.step(login).await, "number");
    let body = json!({"login": login, "number": number});
    assert_eq!(browser.ask("/oauth/page/number", body).await, json!({"done": true}));
    assert_eq!(browser.step(login).await, "ready");
    claimed
}

fn error((status, body): (u16, Value)) -> (u16, String) {
    assert!(body["access_token"].is_null(), "{body}");
    (status, body["error"].as_str().unwrap_or_default().to_owned())
}

const ALL: &str = "\"jma\", \"jpa\", \"medis\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_logs_a_physician_in_by_a_standard_client() {
    let (house, service) = town(ALL).await;
    let mut hanako = house.resident(&HANAKO).await;
    let http = |request: HttpRequest| library(service.way.clone(), request);

    // What the library finds out by itself.
    let issuer = IssuerUrl::new(service.issuer.clone()).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.unwrap();
    let client =
        CoreClient::from_provider_metadata(metadata, ClientId::new("network".into()), None)
            .set_redirect_uri(RedirectUrl::new(BACK.into()).unwrap());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (address, state, nonce) = client
        .authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scope(openidconnect::Scope::new("profile".into()))
        .add_scope(openidconnect::Scope::new("qualification".into()))
        .add_scope(openidconnect::Scope::new("registration_number".into()))
        .set_pkce_challenge(challenge)
        .url();

    // Her browser and her phone.
    let mut browser = Browser::new(&service);
    let login = browser.open(address.as_str()).await.unwrap();
    assert_eq!(browser.step(&login).await, "idle");
    let qr = browser.qr(&login).await;
    assert_eq!(browser.step(&login).await, "waiting");
    let claimed = claim(&service.way, &hanako.phone, &qr).await.unwrap();
    assert_eq!(claimed.kind, "login");
    assert_eq!(claimed.statement["clientName"], "テスト医療連携ネット");
    assert_eq!(claimed.statement["redirectHost"], "network.example.jp");
    assert_eq!(browser.step(&login).await, "claimed");
    let number = approve(&service.way, &mut hanako.phone, &claimed).await.unwrap().unwrap();
    let early = browser.send("GET", &format!("/oauth/continue/{login}"), None).await;
    assert_eq!(early.status(), 409, "not before the digits were carried over");
    let body = json!({"login": login, "number": number});
    browser.ask("/oauth/page/number", body).await;
    let back = browser.back(&login).await;
    assert_eq!(value(&back, "state"), state.secret());
    assert_eq!(value(&back, "iss"), service.issuer);

    // The library's exchange, and its judgement of the ID token.
    let code = AuthorizationCode::new(value(&back, "code").to_owned());
    let answer = client
        .exchange_code(code)
        .unwrap()
        .set_pkce_verifier(verifier)
        .add_extra_param("client_assertion_type", ASSERTION)
        .add_extra_param("client_assertion", service.assertion())
        .request_async(&http)
        .await
        .unwrap();
    let token = answer.id_token().unwrap();
    let verifier =
        client.id_token_verifier().set_allowed_algs([CoreJwsSigningAlgorithm::EcdsaP256Sha256]);
    let claims = token.claims(&verifier, &nonce).unwrap();
    let hash = AccessTokenHash::from_token(
        answer.access_token(),
        token.signing_alg().unwrap(),
        token.signing_key(&verifier).unwrap(),
    );
    assert_eq!(claims.access_token_hash(), Some(&hash.unwrap()));
    assert_eq!(claims.auth_context_ref().unwrap().as_str(), "urn:azukari:acr:phone");
    assert!(claims.auth_time().is_some());
    let subject = claims.subject().clone();
    let id = hanako.citizen.id.to_string();
    assert_ne!(subject.as_str(), id, "a service knows her by a name of its own");
    let said = inside(&token.to_string());
    assert_eq!(said["name"], HANAKO.romaji);
    assert_eq!(said["qualification"], HANAKO.qualification.role().unwrap());
    assert_eq!(said["qualification#ja"], HANAKO.qualification.ja());
    assert_eq!(said["registration_number"], HANAKO.display_id);
    assert_eq!(answer.expires_in().unwrap().as_secs(), 600);

    let info: CoreUserInfoClaims = client
        .user_info(answer.access_token().clone(), Some(subject.clone()))
        .unwrap()
        .request_async(&http)
        .await
        .unwrap();
    assert_eq!(info.subject(), &subject);
    let (status, info) = service.userinfo(answer.access_token().secret()).await;
    assert_eq!((status, &info["qualification"]), (200, &json!(HANAKO.qualification.role())));

    // It is in the journal of her key, and told her.
    assert_eq!(house.entries(Event::LoginApproved).await.len(), 1);
    let notices = house.platform().authn.notices(hanako.citizen.key).await.unwrap();
    assert_eq!(notices[0].kind, authn::NoticeKind::LoginApproved);
    assert_eq!(notices[0].detail, "テスト医療連携ネット");

    // Another service knows her by another name; the same one by the same.
    let code = service.code(&mut hanako, &[]).await;
    let (_, again) = service.exchange(&code, &[]).await;
    assert_eq!(inside(again["id_token"].as_str().unwrap())["sub"], subject.as_str());
    let at_other = [("client_id", "other"), ("redirect_uri", "https://other.example.jp/cb")];
    let code = service.code(&mut hanako, &at_other).await;
    let assertion = service.assertion_of("other");
    let changes = [("redirect_uri", at_other[1].1), ("client_assertion", assertion.as_str())];
    let (_, other) = service.exchange(&code, &changes).await;
    assert_ne!(inside(other["id_token"].as_str().unwrap())["sub"], subject.as_str());
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_its_clients_once_with_its_verifier_and_a_replay_ends_everything() {
    let (house, service) = town(ALL).await;
    let mut hanako = house.resident(&HANAKO).await;
    let code = service.code(&mut hanako, &[]).await;
    let no = |error: &str| (400, error.to_owned());

    // Whoever has the code and not the rest gets nothing, and spends nothing.
    let wrong = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK";
    for changes in [
        &[("code_verifier", wrong)][..],
        &[("code_verifier", "")],
        &[("redirect_uri", "https://network.example.jp/other")],
        &[("redirect_uri", "")],
        &[("code", "AAAAAAAAAAAAAAAAAAAAAA")],
        &[("client_assertion", service.assertion_of("other").as_str())],
    ] {
        assert_eq!(
            error(service.exchange(&code, changes).await),
            no("invalid_grant"),
            "{changes:?}"
        );
    }
    let app = [("client_id", "app"), ("client_assertion", ""), ("client_assertion_type", "")];
    assert_eq!(error(service.exchange(&code, &app).await), no("invalid_grant"));

    // Whoever does not prove to be the client does not even get that far.
    let now_s = now().seconds();
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({"iss": "network", "sub": "network", "aud": service.issuer,
            "jti": fresh(), "exp": now_s + 60});
        change(&mut claims);
        claims
    };
    let stranger = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let part = |value: Value| base64url_encode(value.to_string().as_bytes());
    let none = format!("{}.{}.", part(json!({"alg": "none"})), part(claims(&|_| {})));
    for assertion in [
        none,
        es256(&stranger, &claims(&|_| {})),
        signed(
            &stranger,
            &json!({"alg": "ES256", "jwk": jwks(&stranger)["keys"][0]}),
            &claims(&|_| {}),
        ),
        es256(&service.key, &claims(&|c| c["exp"] = json!(now_s))),
        es256(&service.key, &claims(&|c| c["aud"] = json!("https://other.example.jp"))),
        es256(&service.key, &claims(&|c| c["sub"] = json!("other"))),
        es256(&service.key, &claims(&|c| c["iss"] = json!("other"))),
        es256(&service.key, &claims(&|c| drop(c.as_object_mut().unwrap().remove("jti")))),
        String::new(),
    ] {
        let answer = service.exchange(&code, &[("client_assertion", &assertion)]).await;
        assert_eq!(error(answer), (401, "invalid_client".into()), "{assertion}");
    }

    let used = service.assertion();
    let (status, issued) = service.exchange(&code, &[("client_assertion", &used)]).await;
    assert_eq!((status, issued["token_type"].as_str()), (200, Some("Bearer")));
    let access = issued["access_token"].as_str().unwrap();
    assert_eq!(service.userinfo(access).await.0, 200);
    // An assertion counts once.
    let again = service.exchange(&code, &[("client_assertion", &used)]).await;
    assert_eq!(error(again), (401, "invalid_client".into()));
    assert_eq!(service.userinfo(access).await.0, 200);
    // Who found the spent code somewhere ends nothing by it.
    for changes in
        [[("code_verifier", wrong)], [("redirect_uri", "https://network.example.jp/other")]]
    {
        assert_eq!(error(service.exchange(&code, &changes).await), no("invalid_grant"));
    }
    assert_eq!(service.userinfo(access).await.0, 200);
    // The code comes a second time, with all that its client has: its tokens die.
    assert_eq!(error(service.exchange(&code, &[]).await), no("invalid_grant"));
    assert_eq!(service.userinfo(access).await.0, 401);

    // There is nothing that lasts longer.
    for grant in ["refresh_token", "password", "client_credentials"] {
        let answer =
            service.exchange(&code, &[("grant_type", grant), ("refresh_token", access)]).await;
        assert_eq!(error(answer), no("unsupported_grant_type"));
    }
    assert_eq!(error(service.exchange(&code, &[("grant_type", "")]).await), no("invalid_request"));
    // Custody takes no such token for a signature.
    let refused = send(&house.at(&SANDBOX), access, &some_order()).await;
    assert_eq!(code_of(refused), "token-malformed");
    house.in_order().await;
}

fn code_of<T: std::fmt::Debug>(result: Result<T, StepFailed>) -> String {
    super::code(result)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn she_refuses_or_does_not_carry_the_digits_over_and_the_service_learns_nothing() {
    let (house, service) = town(ALL).await;
    let mut hanako = house.resident(&HANAKO).await;

    let mut browser = Browser::new(&service);
    let login = browser.open(&service.address(&[])).await.unwrap();
    let qr = browser.qr(&login).await;
    claim(&service.way, &hanako.phone, &qr).await.unwrap();
    // A QR code is for one phone and once; the page shows another, and the first is void.
    assert_eq!(code_of(claim(&service.way, &hanako.phone, &qr).await), "qr-already-used");
    let second = browser.qr(&login).await;
    assert_eq!(code_of(claim(&service.way, &hanako.phone, &qr).await), "ceremony-unknown");
    let claimed = claim(&service.way, &hanako.phone, &second).await.unwrap();
    refuse(&service.way, &hanako.phone, &second).await.unwrap();
    assert_eq!(
        code_of(approve(&service.way, &mut hanako.phone, &claimed).await),
        "ceremony-refused"
    );
    assert_eq!(browser.step(&login).await, "refused");
    let back = browser.back(&login).await;
    assert_eq!((value(&back, "error"), value(&back, "state")), ("access_denied", "st"));
    let once_more = browser.send("GET", &format!("/oauth/continue/{login}"), None).await;
    assert_eq!(once_more.status(), 409);

    // Relayed: whoever began the login does not have the digits.
    let login = browser.open(&service.address(&[])).await.unwrap();
    let qr = browser.qr(&login).await;
    let claimed = claim(&service.way, &hanako.phone, &qr).await.unwrap();
    let number = approve(&service.way, &mut hanako.phone, &claimed).await.unwrap().unwrap();
    let wrong = if number == "000" { "001" } else { "000" };
    for wanted in ["number-wrong", "number-wrong", "place-not-confirmed", "place-not-confirmed"] {
        let body = json!({"login": login, "number": wrong});
        assert_eq!(browser.ask("/oauth/page/number", body).await["code"], wanted);
    }
    let body = json!({"login": login, "number": number});
    let late = browser.ask("/oauth/page/number", body).await;
    assert_eq!(late["code"], "place-not-confirmed");
    let back = browser.back(&login).await;
    assert_eq!(value(&back, "error"), "access_denied");
    // Another page cannot act for the browser, and another browser has not begun it.
    let login = browser.open(&service.address(&[])).await.unwrap();
    let mut foreign = Browser { origin: "https://evil.example".into(), ..Browser::new(&service) };
    foreign.cookies.clone_from(&browser.cookies);
    let answer = foreign.ask("/oauth/page/show", json!({"login": login})).await;
    assert_eq!(answer["code"], "origin-foreign");
    let mut other = Browser::new(&service);
    other.open(&service.address(&[])).await.unwrap();
    let answer = other.ask("/oauth/page/show", json!({"login": login})).await;
    assert_eq!(answer["code"], "oauth-browser-differs");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_did_not_switch_it_on_tells_nothing_of_its_holders() {
    let (house, service) = town("").await;
    let mut hanako = house.resident(&HANAKO).await;
    let mut browser = Browser::new(&service);
    let login = browser.open(&service.address(&[])).await.unwrap();
    let qr = browser.qr(&login).await;
    let refused = claim(&service.way, &hanako.phone, &qr).await;
    assert_eq!(code_of(refused), "oauth-authority-off");
    let back = browser.back(&login).await;
    assert_eq!(value(&back, "error"), "access_denied");
    // Who she is, without her qualification, needs no switch.
    let code = service.code(&mut hanako, &[("scope", "openid")]).await;
    let (status, issued) = service.exchange(&code, &[]).await;
    assert_eq!(status, 200);
    let said = inside(issued["id_token"].as_str().unwrap());
    assert!(said["name"].is_null() && said["qualification"].is_null(), "{said}");
}
