//! A facility's signing token by OAuth.

use super::*;

/// The address that every hospital's adapter has in the field (a name that its own network resolves).
const ADAPTER: &str = "http://hpkicardless-clientadapter-server:3000/authfido/callback";

/// What an adapter pushes.
fn pushing(details: &str) -> Vec<(&str, &str)> {
    vec![
        ("client_id", "FIDO"),
        ("response_type", "code"),
        ("redirect_uri", ADAPTER),
        ("scope", "openid sign"),
        ("state", "st"),
        ("nonce", "no"),
        ("prompt", "login"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("authorization_details", details),
    ]
}

/// A code by the phone, pushed over this facility's certificate.
async fn session_code(service: &Service, facility: &Client, resident: &mut Resident) -> String {
    let details = json!([{
        "type": "urn:azukari:sign", "terminal": {"id": "T01", "label": "第一診察室"},
        "kinds": ["prescription"], "count": 30, "hours": 18,
    }])
    .to_string();
    let (status, pushed) = post(facility, "/oauth/par", &pushing(&details)).await;
    assert_eq!(status, 201, "{pushed}");
    let uri = pushed["request_uri"].as_str().unwrap();
    let query = form(&[("client_id", "FIDO"), ("request_uri", uri)]);
    let mut browser = Browser::new(service);
    let login = browser.open(&format!("/oauth/authorize?{query}")).await.unwrap();
    let seen = browser.ask("/oauth/page/state", json!({"login": login})).await;
    assert_eq!(seen["place"], json!([SANDBOX.name_ja, "第一診察室"]));
    let claimed = approve_at(&mut browser, resident, &login).await;
    assert_eq!(claimed.kind, "session");
    assert_eq!(claimed.statement["facilityName"], SANDBOX.name_ja);
    let back = browser.back(&login).await;
    value(&back, "code").to_owned()
}

async fn redeemed(way: &Client, code: &str) -> (u16, Value) {
    let pairs = [
        ("client_id", "FIDO"),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", ADAPTER),
        ("code_verifier", VERIFIER),
    ];
    post(way, "/oauth/token", &pairs).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hospitals_adapter_takes_its_signing_token_by_the_fields_own_client_id() {
    let (house, service) = town(ALL).await;
    let mut hanako = house.resident(&HANAKO).await;
    let (facility, elsewhere) = (house.at(&SANDBOX), house.at(&HOSPITAL));
    let no = |error: &str| (400, error.to_owned());

    // Signatures are asked for over mutual TLS, by a pushed request, or not at all.
    let unbound = post(&service.way, "/oauth/par", &pushing("[]")).await;
    assert_eq!(error(unbound), no("invalid_authorization_details"));
    let details =
        json!([{"type": "urn:azukari:sign", "terminal": {"id": "T01", "label": "第一診察室"},
        "kinds": ["prescription"], "count": 30, "hours": 18}])
        .to_string();
    let unbound = post(&service.way, "/oauth/par", &pushing(&details)).await;
    assert_eq!(error(unbound), no("unauthorized_client"));
    let too_much = details.replace(":30,", ":30000,");
    let refused = post(&facility, "/oauth/par", &pushing(&too_much)).await;
    assert_eq!(error(refused), no("invalid_authorization_details"));
    let direct = format!("{}/oauth/authorize?{}", service.issuer, form(&pushing(&details)));
    let answer = Browser::new(&service).open(&direct).await.unwrap_err();
    assert_eq!(value(&parameters(&answer), "error"), "unauthorized_client");

    // The code is worth nothing over another certificate, or none.
    let code = session_code(&service, &facility, &mut hanako).await;
    assert_eq!(error(redeemed(&elsewhere, &code).await), no("invalid_grant"));
    assert_eq!(error(redeemed(&service.way, &code).await), no("invalid_grant"));
    let (status, issued) = redeemed(&facility, &code).await;
    assert_eq!(status, 200, "{issued}");
    let token = issued["access_token"].as_str().unwrap();
    let x5t = inside(token)["cnf"]["x5t#S256"].as_str().unwrap().to_owned();
    let lasts = issued["expires_in"].as_u64().unwrap();
    assert!((64_000..=64_800).contains(&lasts), "{lasts}");
    assert_eq!(issued["authorization_details"][0]["count"], 30);
    let said = inside(issued["id_token"].as_str().unwrap());
    assert_eq!((&said["aud"], &said["nonce"]), (&json!("FIDO"), &json!("no")));
    assert_ne!(said["sub"], hanako.citizen.id.to_string());
    assert_eq!((&said["acr"], &said["amr"]), (&inside(token)["acr"], &inside(token)["amr"]));

    // However often a browser asks for another QR code, one is open: the others are void, and the
    // facility's other terminals have theirs.
    let (status, pushed) = post(&facility, "/oauth/par", &pushing(&details)).await;
    assert_eq!(status, 201, "{pushed}");
    let uri = pushed["request_uri"].as_str().unwrap();
    let query = form(&[("client_id", "FIDO"), ("request_uri", uri)]);
    let mut browser = Browser::new(&service);
    let login = browser.open(&format!("/oauth/authorize?{query}")).await.unwrap();
    let first = browser.qr(&login).await;
    for _ in 0..302 {
        let id = login.parse().unwrap();
        let secret = &browser.cookies[0].1;
        house.platform().authn.show_login(id, Some(secret), now()).await.unwrap();
    }
    let void = claim(&service.way, &hanako.phone, &first).await;
    assert_eq!(code_of(void), "qr-already-used");
    // Nor does leaving a login that was answered end what it opened.
    approve_at(&mut browser, &mut hanako, &login).await;
    let leaving = json!({"login": login});
    let another = value(&browser.back(&login).await, "code").to_owned();
    browser.ask("/oauth/page/leave", leaving).await;
    let (_, given) = redeemed(&facility, &another).await;
    send(&facility, given["access_token"].as_str().unwrap(), &some_order()).await.unwrap();

    // It signs where it is bound, and nowhere else.
    send(&facility, token, &some_order()).await.unwrap();
    assert_eq!(code_of(send(&elsewhere, token, &some_order()).await), "token-wrong-certificate");
    assert_eq!(service.userinfo(token).await.0, 401);

    // Whoever asks about it over another certificate learns nothing, and ends nothing.
    let about = [("client_id", "FIDO"), ("token", token)];
    let (_, facts) = post(&facility, "/oauth/introspect", &about).await;
    assert_eq!((&facts["active"], &facts["cnf"]["x5t#S256"]), (&json!(true), &json!(x5t)));
    assert_eq!(facts["authorization_details"][0]["left"], 29);
    let (_, facts) = post(&elsewhere, "/oauth/introspect", &about).await;
    assert_eq!(facts, json!({"active": false}));
    let nobody = post(&service.way, "/oauth/introspect", &about).await;
    assert_eq!(error(nobody), no("unauthorized_client"));
    assert_eq!(post(&elsewhere, "/oauth/revoke", &about).await.0, 200);
    send(&facility, token, &some_order()).await.unwrap();
    assert_eq!(post(&facility, "/oauth/revoke", &about).await.0, 200);
    assert_eq!(code_of(send(&facility, token, &some_order()).await), "token-ended");
    let (_, facts) = post(&facility, "/oauth/introspect", &about).await;
    assert_eq!(facts, json!({"active": false}));

    // A spent code that somebody found ends nothing.
    let code = session_code(&service, &facility, &mut hanako).await;
    let (_, issued) = redeemed(&facility, &code).await;
    let token = issued["access_token"].as_str().unwrap();
    for way in [&elsewhere, &service.way] {
        assert_eq!(error(redeemed(way, &code).await), no("invalid_grant"));
    }
    send(&facility, token, &some_order()).await.unwrap();
    // A code that comes twice ends the session that was made from it.
    let code = session_code(&service, &facility, &mut hanako).await;
    let (_, issued) = redeemed(&facility, &code).await;
    let token = issued["access_token"].as_str().unwrap();
    send(&facility, token, &some_order()).await.unwrap();
    assert_eq!(error(redeemed(&facility, &code).await), no("invalid_grant"));
    assert_eq!(code_of(send(&facility, token, &some_order()).await), "token-ended");
    house.in_order().await;
}
