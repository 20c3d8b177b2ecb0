//! What becomes of a login: the service asks about its tokens, she takes back what she allowed.

use authn::provider::{Claimed, Showing};
use custody::StopReason;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_asks_about_its_own_tokens_and_ends_them() {
    let (house, service) = town(ALL).await;
    let mut hanako = house.resident(&HANAKO).await;
    let code = service.code(&mut hanako, &[]).await;
    let (_, issued) = service.exchange(&code, &[]).await;
    let token = issued["access_token"].as_str().unwrap().to_owned();
    let ask = async |path: &str, client: &str| {
        let assertion = service.assertion_of(client);
        let pairs = [
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion.as_str()),
            ("token", token.as_str()),
        ];
        service.post(path, &pairs).await
    };
    let (_, facts) = ask("/oauth/introspect", "network").await;
    assert_eq!((&facts["active"], &facts["client_id"]), (&json!(true), &json!("network")));
    assert_eq!(facts["sub"], inside(issued["id_token"].as_str().unwrap())["sub"]);
    assert_eq!(ask("/oauth/introspect", "other").await.1, json!({"active": false}));
    assert_eq!(ask("/oauth/revoke", "other").await.0, 200);
    assert_eq!(service.userinfo(&token).await.0, 200, "another's word ends nothing");
    assert_eq!(ask("/oauth/revoke", "network").await.0, 200);
    assert_eq!(ask("/oauth/introspect", "network").await.1, json!({"active": false}));
    assert_eq!(service.userinfo(&token).await.0, 401);
    // She agreed until a time: what a service may ask does not outlast it, however late it began.
    let mut browser = Browser::new(&service);
    let login = browser.open(&service.address(&[])).await.unwrap();
    let claimed = approve_at(&mut browser, &mut hanako, &login).await;
    let agreed = claimed.statement["notAfter"].as_u64().unwrap();
    let (authn, opened) = (&house.platform().authn, now());
    let (at, secret) = (opened.plus(580), browser.cookies[0].1.clone());
    let answered = authn.answer_login(login.parse().unwrap(), Some(&secret), at).await.unwrap();
    let late = answered.1.unwrap();
    let showing =
        Showing { code: &late, redirect_uri: Some(BACK), verifier: Some(VERIFIER), x5t: None };
    let client = Arc::clone(authn.registry().find("network").unwrap());
    let spent = authn.redeem(&client, showing, at.plus(50)).await.unwrap();
    let issued = authn.issue(spent, &Claimed::new(), None, at.plus(50)).await.unwrap();
    assert_eq!(at.plus(50).plus(issued.expires_in).seconds(), agreed);
    // Her phone is lost: what it had let services know is over as well.
    let code = service.code(&mut hanako, &[]).await;
    let (_, issued) = service.exchange(&code, &[]).await;
    let token = issued["access_token"].as_str().unwrap();
    assert_eq!(service.userinfo(token).await.0, 200);
    let waiting = service.code(&mut hanako, &[]).await;
    let mut browser = Browser::new(&service);
    let login = browser.open(&service.address(&[])).await.unwrap();
    approve_at(&mut browser, &mut hanako, &login).await;
    house.platform().authn.unlink(hanako.citizen.key, now()).await.unwrap();
    assert_eq!(service.userinfo(token).await.0, 401);
    assert_eq!(error(service.exchange(&waiting, &[]).await), (400, "invalid_grant".into()));
    assert_eq!(value(&browser.back(&login).await, "error"), "access_denied");
    // What nobody approved is forgotten; what was, stays with its evidence.
    let idle = browser.open(&service.address(&[])).await.unwrap();
    house.platform().authn.forget_logins(now().plus(3_700)).await.unwrap();
    let seen = browser.ask("/oauth/page/state", json!({"login": idle})).await;
    assert_eq!(seen["code"], "oauth-browser-differs");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_the_desk_stopped_is_told_of_to_nobody_and_whoever_stopped_her_own_key_is() {
    let (house, service) = town(ALL).await;
    let mut hanako = house.resident(&HANAKO).await;
    let code = service.code(&mut hanako, &[]).await;
    let (_, issued) = service.exchange(&code, &[]).await;
    let token = issued["access_token"].as_str().unwrap();
    let stop = async |reason| {
        let custody = &house.platform().custody;
        custody.stop_key(hanako.citizen.key, reason, now()).await.unwrap();
    };
    stop(StopReason::Owner).await;
    assert_eq!(service.userinfo(token).await.0, 200);
    stop(StopReason::Desk).await;
    assert_eq!(service.userinfo(token).await.0, 401);
    let mut browser = Browser::new(&service);
    let login = browser.open(&service.address(&[])).await.unwrap();
    let qr = browser.qr(&login).await;
    let refused = claim(&service.way, &hanako.phone, &qr).await;
    assert_eq!(code_of(refused), "oauth-certificate-ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_she_lets_a_service_know_she_sees_on_her_page_and_takes_back() {
    let (house, service) = town(ALL).await;
    let mut hanako = house.resident(&HANAKO).await;
    let code = service.code(&mut hanako, &[]).await;
    let (_, issued) = service.exchange(&code, &[]).await;
    let token = issued["access_token"].as_str().unwrap();
    // A second login, whose code is still on its way.
    let waiting = service.code(&mut hanako, &[]).await;

    let mut page = Page::open(&house, &mut hanako).await;
    let listed = page.get("/me/consents").await.unwrap();
    let [one] = listed["consents"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!((&one["client"], &one["name"]), (&json!("network"), &json!("テスト医療連携ネット")));
    assert_eq!(one["scopes"].as_array().unwrap().len(), 4);
    let none: Result<Value, _> = page.post("/me/consent/end", json!({"client": "other"})).await;
    assert_eq!(code_of(none), "oauth-consent-unknown");
    assert_eq!(service.userinfo(token).await.0, 200);

    page.post::<Value>("/me/consent/end", json!({"client": "network"})).await.unwrap();
    assert_eq!(page.get("/me/consents").await.unwrap()["consents"], json!([]));
    assert_eq!(service.userinfo(token).await.0, 401);
    assert_eq!(error(service.exchange(&waiting, &[]).await), (400, "invalid_grant".into()));
    assert_eq!(house.entries(Event::ConsentEnded).await.len(), 1);
    // She logs in again: it is approved anew, and stands there anew.
    drop(page);
    let code = service.code(&mut hanako, &[]).await;
    assert_eq!(service.exchange(&code, &[]).await.0, 200);
    page = Page::open(&house, &mut hanako).await;
    let listed = page.get("/me/consents").await.unwrap();
    assert_eq!(listed["consents"].as_array().unwrap().len(), 1);
    house.in_order().await;
}
