//! Logins without a browser: a kiosk, and a client that knows whom it asks.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kiosk_without_a_browser_logs_her_in_once_it_was_told_the_digits() {
    let (house, service) = town(ALL).await;
    let mut hanako = house.resident(&HANAKO).await;
    let no = |error: &str| (400, error.to_owned());
    let post = async |path: &str, client: &str, more: &[(&str, &str)]| {
        let assertion = service.assertion_of(client);
        let mut pairs =
            vec![("client_assertion_type", ASSERTION), ("client_assertion", assertion.as_str())];
        pairs.extend_from_slice(more);
        service.post(path, &pairs).await
    };
    let begin = "/oauth/device_authorization";
    // Only what is registered for it, for what it may be told, and proven.
    let scope = [("scope", "openid profile")];
    assert_eq!(error(post(begin, "network", &scope).await), no("unauthorized_client"));
    let qualified = [("scope", "openid qualification")];
    assert_eq!(error(post(begin, "kiosk", &qualified).await), no("invalid_scope"));
    let unproven = service.post(begin, &[("client_id", "kiosk"), scope[0]]).await;
    assert_eq!(error(unproven), (401, "invalid_client".into()));
    let unproven = service.post(begin, &[("client_id", "app"), ("scope", "openid")]).await;
    assert_eq!(error(unproven), no("unauthorized_client"));

    let (status, begun) = post(begin, "kiosk", &scope).await;
    assert_eq!((status, begun["interval"].as_u64()), (200, Some(5)));
    let code = begun["device_code"].as_str().unwrap();
    let poll = async |client: &str, number: &str| {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let pairs = [("grant_type", grant), ("device_code", code), ("number", number)];
        post("/oauth/token", client, &pairs).await
    };
    assert_eq!(error(poll("kiosk", "").await), no("authorization_pending"));
    assert_eq!(error(poll("network", "").await), no("invalid_grant"));

    // Her phone shows the same short code, and the digits that the kiosk has to send.
    let qr = begun["verification_uri_complete"].as_str().unwrap();
    let claimed = claim(&service.way, &hanako.phone, qr).await.unwrap();
    let shown = format!("device:{}", begun["user_code"].as_str().unwrap());
    assert_eq!(claimed.statement["redirectHost"], shown);
    let number = approve(&service.way, &mut hanako.phone, &claimed).await.unwrap().unwrap();
    assert_eq!(error(poll("kiosk", "").await), no("authorization_pending"));
    let wrong = if number == "000" { "001" } else { "000" };
    assert_eq!(error(poll("kiosk", wrong).await), no("authorization_pending"));
    let (status, issued) = poll("kiosk", &number).await;
    assert_eq!(status, 200, "{issued}");
    assert_eq!(inside(issued["id_token"].as_str().unwrap())["aud"], "kiosk");
    assert_eq!(service.userinfo(issued["access_token"].as_str().unwrap()).await.0, 200);
    assert_eq!(error(poll("kiosk", &number).await), no("invalid_grant"));

    // She refuses; and one that nobody scanned.
    let (_, begun) = post(begin, "kiosk", &scope).await;
    let (qr, code) = (&begun["verification_uri_complete"], &begun["device_code"]);
    claim(&service.way, &hanako.phone, qr.as_str().unwrap()).await.unwrap();
    refuse(&service.way, &hanako.phone, qr.as_str().unwrap()).await.unwrap();
    let kiosk = house.platform().authn.registry().find("kiosk").unwrap();
    let poll = async |code: &Value, at: Timestamp| {
        let polled =
            house.platform().authn.poll_device(kiosk, code.as_str().unwrap(), None, false, at);
        match polled.await {
            Err(ledger::Failed::Refused(refusal)) => hpki::refusal::Refuse::code(&refusal),
            other => panic!("not refused: {other:?}"),
        }
    };
    assert_eq!(poll(code, now()).await, "ceremony-refused");
    let (_, begun) = post(begin, "kiosk", &scope).await;
    let code = &begun["device_code"];
    assert_eq!(poll(code, now().plus(290)).await, "oauth-pending");
    assert_eq!(poll(code, now().plus(302)).await, "oauth-device-expired");
    assert_eq!(poll(code, now().plus(700)).await, "oauth-device-expired");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_knows_whom_it_asks_waits_on_her_page_and_for_the_digits() {
    let (house, service) = town(ALL).await;
    let (mut hanako, mut jiro) = (house.resident(&HANAKO).await, house.resident(&JIRO).await);
    let no = |error: &str| (400, error.to_owned());
    let post = async |path: &str, more: &[(&str, &str)]| {
        let assertion = service.assertion_of("kiosk");
        let mut pairs =
            vec![("client_assertion_type", ASSERTION), ("client_assertion", assertion.as_str())];
        pairs.extend_from_slice(more);
        service.post(path, &pairs).await
    };
    let asking = [("scope", "openid profile"), ("login_hint", HANAKO.display_id)];
    let begin = async |more: (&str, &str)| {
        let mut all = asking.to_vec();
        all.retain(|(name, _)| *name != more.0);
        all.push(more);
        post("/oauth/bc-authorize", &all).await
    };
    assert_eq!(error(begin(("login_hint", "")).await), no("invalid_request"));
    assert_eq!(error(begin(("id_token_hint", "x")).await), no("invalid_request"));
    assert_eq!(error(begin(("scope", "profile")).await), no("invalid_scope"));
    let sentence = ("binding_message", "please approve");
    assert_eq!(error(begin(sentence).await), no("invalid_binding_message"));
    // A number that nobody has is answered the same.
    let (status, nobody) = begin(("login_hint", "TEST999999")).await;
    assert_eq!((status, nobody["expires_in"].as_u64()), (200, Some(600)));

    let (_, begun) = begin(("binding_message", "ROOM-3")).await;
    let request = begun["auth_req_id"].as_str().unwrap();
    let poll = async |request: &str, number: &str| {
        let grant = "urn:openid:params:grant-type:ciba";
        let pairs = [("grant_type", grant), ("auth_req_id", request), ("number", number)];
        post("/oauth/token", &pairs).await
    };
    let pending = no("authorization_pending");
    assert_eq!(error(poll(request, "").await), pending);
    assert_eq!(error(poll(nobody["auth_req_id"].as_str().unwrap(), "").await), pending);
    // What one grant began is not the other's.
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let crossed = [("grant_type", device), ("device_code", request)];
    assert_eq!(error(post("/oauth/token", &crossed).await), no("invalid_grant"));

    // It stands on her page and on nobody else's.
    let page = Page::open(&house, &mut hanako).await;
    let seen = page.get("/me/consents").await.unwrap();
    let [one] = seen["waiting"].as_array().unwrap().as_slice() else { panic!("{seen}") };
    assert_eq!((&one["code"], &one["client"]), (&json!("ROOM-3"), &json!("テスト医療連携ネット")));
    let which = json!({"login": one["login"]});
    let his = Page::open(&house, &mut jiro).await;
    assert_eq!(his.get("/me/consents").await.unwrap()["waiting"], json!([]));
    let foreign: Result<Value, _> = his.post("/me/login/open", which.clone()).await;
    assert_eq!(code_of(foreign), "ceremony-unknown");
    let opened: Value = page.post("/me/login/open", which).await.unwrap();
    let qr = opened["address"].as_str().unwrap();
    drop((page, his));
    let other = claim(&service.way, &jiro.phone, qr).await;
    assert_eq!(code_of(other), "not-the-expected-person");
    let claimed = claim(&service.way, &hanako.phone, qr).await.unwrap();
    assert_eq!(claimed.statement["redirectHost"], "device:ROOM-3");
    let number = approve(&service.way, &mut hanako.phone, &claimed).await.unwrap().unwrap();
    assert_eq!(error(poll(request, "").await), pending);
    let (status, issued) = poll(request, &number).await;
    assert_eq!(status, 200, "{issued}");
    assert_eq!(inside(issued["id_token"].as_str().unwrap())["name"], HANAKO.romaji);
    assert_eq!(error(poll(request, &number).await), no("invalid_grant"));
    house.in_order().await;
}
