//! A program that takes its token by OAuth (CSC v2 §8.4), and the browser that goes between.

use serde_json::{Value, json};

use crate::described::{as_described, described};
use crate::phone::Writer;
use crate::town::{Identity, Town};

/// What a browser does with the page of a login: its cookie, and what the page's script asks.
struct Browser<'a> {
    town: &'a Town,
    cookie: String,
    login: String,
}

impl<'a> Browser<'a> {
    fn open(town: &'a Town, path: &str) -> Self {
        let answer = town.platform(path).get();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let html = answer.body.as_str().unwrap();
        let (_, rest) = html.split_once("data-login=\"").unwrap();
        let login = rest.split_once('"').unwrap().0.to_owned();
        let cookie = answer.cookies[0].split_once(';').unwrap().0.to_owned();
        Self { town, cookie, login }
    }

    fn ask(&self, path: &str, mut body: Value) -> Value {
        body["login"] = json!(self.login);
        let asked = self.town.platform(path).header(&format!("Cookie: {}", self.cookie));
        asked.header(&format!("Origin: {}", self.town.text("/platform"))).post(&body).well()
    }

    /// The code with which it goes back to the program.
    fn code(&self) -> String {
        let path = format!("/oauth/continue/{}", self.login);
        let mut asked = self.town.platform(&path).header(&format!("Cookie: {}", self.cookie));
        let head = self.town.out.join("back.txt");
        asked.arguments.extend(["-D".into(), head.clone().into()]);
        assert!(asked.run().well());
        let head = std::fs::read_to_string(head).unwrap();
        let (_, code) = head.split_once("?code=").unwrap_or_else(|| panic!("{head}"));
        code.split_once('&').unwrap().0.to_owned()
    }
}

/// What the platform knows of a token.
fn introspected(town: &Town, over: &Identity, pairs: &[(&str, &str)]) -> Value {
    let mut asked = town.platform("/oauth/introspect").over(over);
    for (name, value) in pairs {
        asked.arguments.extend(["--data-urlencode".into(), format!("{name}={value}").into()]);
    }
    asked.get().well()
}

/// A program takes its token by the specification's own OAuth (§8.4), with scope `service`.
pub(crate) fn a_program_takes_its_token_by_oauth(town: &Town, writer: &mut Writer<'_>) {
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let back = "http://127.0.0.1:49999/callback";
    let posted = |over: Option<&Identity>, method: &str, pairs: &[(&str, &str)]| {
        let mut asked = town.platform(&format!("/csc/v2/oauth2/{method}"));
        if let Some(identity) = over {
            asked = asked.over(identity);
        }
        for (name, value) in pairs {
            asked.arguments.extend(["--data-urlencode".into(), format!("{name}={value}").into()]);
        }
        asked.get()
    };
    let asking = [
        ("client_id", "letters"),
        ("response_type", "code"),
        ("redirect_uri", back),
        ("scope", "service"),
        ("state", "st"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
    ];
    let facility = town.facility();
    let refused = posted(None, "pushed_authorize", &asking);
    assert_eq!((refused.status, &refused.body["error"]), (400, &json!("unauthorized_client")));
    let openapi = described(town);
    as_described(&openapi, "OauthError", &refused.body);
    let mut credential = asking;
    credential[3].1 = "credential";
    let refused = posted(Some(&facility), "pushed_authorize", &credential);
    assert_eq!((refused.status, &refused.body["error"]), (400, &json!("invalid_scope")));
    let pushed = posted(Some(&facility), "pushed_authorize", &asking);
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    as_described(&openapi, "OauthPushed", &pushed.body);
    let uri = pushed.body["request_uri"].as_str().unwrap();
    let path = format!("/csc/v2/oauth2/authorize?client_id=letters&request_uri={uri}");
    let browser = Browser::open(town, &path);
    let qr = browser.ask("/oauth/page/show", json!({}))["address"].as_str().unwrap().to_owned();
    if let Some(number) = writer.approve_session(&qr) {
        browser.ask("/oauth/page/number", json!({"number": number}));
    }
    assert_eq!(browser.ask("/oauth/page/state", json!({}))["step"], "ready");
    let code = browser.code();
    let redeeming = [
        ("client_id", "letters"),
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", back),
        ("code_verifier", verifier),
    ];
    let elsewhere = posted(Some(&town.hospital()), "token", &redeeming);
    assert_eq!((elsewhere.status, &elsewhere.body["error"]), (400, &json!("invalid_grant")));
    let issued = posted(Some(&facility), "token", &redeeming).well();
    assert_eq!(issued["scope"], "service");
    as_described(&openapi, "OauthToken", &issued);
    let asked = [("client_id", "letters"), ("token", issued["access_token"].as_str().unwrap())];
    let facts = introspected(town, &facility, &asked);
    assert_eq!((&facts["active"], &facts["sub"]), (&json!(true), &writer.person["person_id"]));
    as_described(&openapi, "OauthFacts", &facts);
    let token = issued["access_token"].as_str().unwrap();
    let listed = town
        .platform("/csc/v2/credentials/list")
        .over(&facility)
        .bearer(token)
        .post(&json!({}))
        .well();
    assert_eq!(listed["credentialIDs"].as_array().unwrap().len(), 1, "{listed}");
    let ended = posted(Some(&facility), "revoke", &[("client_id", "letters"), ("token", token)]);
    assert_eq!(ended.status, 200);
    let authorize = json!({"credentialID": listed["credentialIDs"][0], "numSignatures": 1});
    let again = town.platform("/csc/v2/credentials/authorize").over(&facility).bearer(token);
    assert_eq!(again.post(&authorize).body["error"], "expired_token");
}
