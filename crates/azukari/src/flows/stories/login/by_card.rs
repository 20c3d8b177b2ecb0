//! The field's client ids for cards: the page shows a command, and the command has a card approve.

use ca::{Authority, SigningAuthority};
use hpki::crl::Reason;
use hpki::sign::Sign as _;
use wire::{Base64, CardApproveAnswer, CardAskAnswer};

use super::super::cards::citizen;
use super::super::made::{self, MadeCard};
use super::*;
use crate::flows;

const FIXED: &str = "http://hpkicardless-clientadapter-server:3000/authhpki/callback";
const CARD: [(&str, &str); 3] =
    [("client_id", "HPKI"), ("redirect_uri", FIXED), ("scope", "openid")];

async fn card_of(house: &House, person: &town::people::Person) -> MadeCard {
    made::hpki(house.platform(), &citizen(house, person)).await
}

/// Which login, and its secret.
fn parts(address: &str) -> (&str, &str) {
    address.split_once("#1.").unwrap().1.split_once('.').unwrap()
}

async fn claim_by(
    way: &Client,
    address: &str,
    means: &str,
    card: &MadeCard,
) -> Result<CardAskAnswer, StepFailed> {
    let (ceremony, secret) = parts(address);
    let body = json!({"ceremony": ceremony, "secret": secret, "means": means,
        "certificate": Base64(card.certificate.clone())});
    call(way, "POST", wire::path::CARD_CLAIM, None, Some(&body)).await
}

async fn approve_by(
    way: &Client,
    address: &str,
    card: &MadeCard,
    signature: Vec<u8>,
) -> Result<CardApproveAnswer, StepFailed> {
    let (ceremony, secret) = parts(address);
    let body = json!({"ceremony": ceremony, "secret": secret, "means": "hpki",
        "certificate": Base64(card.certificate.clone()), "signature": Base64(signature)});
    call(way, "POST", wire::path::CARD_APPROVE, None, Some(&body)).await
}

/// The command, from the address to the digits.
async fn command(way: &Client, address: &str, card: &MadeCard) -> (CardAskAnswer, String) {
    let asked = claim_by(way, address, "hpki", card).await.unwrap();
    let signature = card.authentication.sign(&asked.challenge.0).unwrap();
    let number = approve_by(way, address, card, signature).await.unwrap().number;
    (asked, number)
}

async fn typed(browser: &mut Browser, login: &str, number: &str) -> Value {
    browser.ask("/oauth/page/number", json!({"login": login, "number": number})).await
}

async fn redeemed(way: &Client, code: &str) -> (u16, Value) {
    let pairs = [
        ("client_id", "HPKI"),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", FIXED),
        ("code_verifier", VERIFIER),
    ];
    post(way, "/oauth/token", &pairs).await
}

async fn revoke(house: &House, card: &MadeCard) {
    let read = hpki::Certificate::from_der(&card.certificate).unwrap();
    let issuer = Authority::Authentication(SigningAuthority::Jma);
    let platform = house.platform();
    platform.ca.revoke(issuer, read.serial(), Reason::KeyCompromise, now()).await.unwrap();
    flows::deliver::all(platform, now()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_for_cards_logs_a_physician_in_with_her_hpki_card() {
    let (house, service) = town(ALL).await;
    let (card, his) = (card_of(&house, &HANAKO).await, card_of(&house, &JIRO).await);
    let hanako = house.resident(&HANAKO).await;
    let way = &service.way;
    let mut browser = Browser::new(&service);
    let login = browser.open(&service.address(&CARD)).await.unwrap();
    let seen = browser.ask("/oauth/page/state", json!({"login": login})).await;
    assert_eq!((&seen["means"], &seen["phone"]), (&json!("hpki"), &json!(false)));
    let address = browser.qr(&login).await;

    // Only the card, only with the secret.
    assert_eq!(code(claim(way, &hanako.phone, &address).await), "oauth-means-differs");
    let guessed = address.rsplit_once('.').unwrap().0.to_owned() + ".AAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(code(claim_by(way, &guessed, "hpki", &card).await), "ceremony-unknown");
    assert_eq!(code(approve_by(way, &address, &card, vec![1; 256]).await), "ceremony-out-of-step");
    let asked = claim_by(way, &address, "hpki", &card).await.unwrap();
    assert_eq!(asked.statement_type, "login");
    assert_eq!(asked.statement["redirectHost"], "hpkicardless-clientadapter-server");
    assert_eq!(browser.step(&login).await, "claimed");
    assert_eq!(code(claim_by(way, &address, "hpki", &his).await), "qr-already-used");

    // Another card, another key, another statement.
    let own = his.authentication.sign(&asked.challenge.0).unwrap();
    assert_eq!(code(approve_by(way, &address, &his, own.clone()).await), "question-unknown");
    assert_eq!(code(approve_by(way, &address, &card, own).await), "card-signature-wrong");
    let other = card.authentication.sign(&[9; 32]).unwrap();
    assert_eq!(code(approve_by(way, &address, &card, other).await), "card-signature-wrong");
    assert!(house.entries(Event::LoginApproved).await.is_empty());

    // Three digits always; the same signature again has the same.
    let right = card.authentication.sign(&asked.challenge.0).unwrap();
    let number = approve_by(way, &address, &card, right.clone()).await.unwrap().number;
    assert_eq!(approve_by(way, &address, &card, right).await.unwrap().number, number);
    assert_eq!(browser.step(&login).await, "number");
    let wrong = if number == "000" { "001" } else { "000" };
    assert_eq!(typed(&mut browser, &login, wrong).await["code"], "number-wrong");
    assert_eq!(typed(&mut browser, &login, &number).await, json!({"done": true}));
    let back = browser.back(&login).await;
    let (status, issued) = redeemed(way, value(&back, "code")).await;
    assert_eq!(status, 200, "{issued}");
    let said = inside(issued["id_token"].as_str().unwrap());
    assert_eq!(said["acr"], "urn:azukari:acr:hpki");
    assert_eq!(said["amr"], json!(["sc", "pin", "mfa"]));
    assert_eq!(house.entries(Event::LoginApproved).await.len(), 1);
    let notices = house.platform().authn.notices(hanako.citizen.key).await.unwrap();
    assert_eq!(notices[0].kind, authn::NoticeKind::LoginApproved);

    // Whoever asks about the token hears of the same means as the ID token says.
    let token = issued["access_token"].as_str().unwrap();
    let about = [("client_id", "HPKI"), ("token", token)];
    let (_, facts) = post(&house.at(&SANDBOX), "/oauth/introspect", &about).await;
    assert_eq!((&facts["active"], &facts["acr"]), (&json!(true), &said["acr"]));
    assert_eq!((&facts["sub"], &facts["auth_time"]), (&said["sub"], &said["auth_time"]));
    let server = "/.well-known/openid-configuration";
    let server: Value = call(way, "GET", server, None, None).await.unwrap();
    let known = server["acr_values_supported"].as_array().unwrap();
    assert!(known.contains(&said["acr"]) && known.len() == 3, "{known:?}");

    // Once the card is revoked the service is told nothing more.
    assert_eq!(service.userinfo(token).await.0, 200);
    revoke(&house, &card).await;
    assert_eq!(service.userinfo(token).await.0, 401);
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_is_no_phone_and_a_card_that_is_revoked_meanwhile_logs_nobody_in() {
    let (house, service) = town(ALL).await;
    let card = card_of(&house, &HANAKO).await;
    let way = &service.way;
    // A service for phones takes no card.
    let mut browser = Browser::new(&service);
    let login = browser.open(&service.address(&[])).await.unwrap();
    let address = browser.qr(&login).await;
    assert_eq!(code(claim_by(way, &address, "hpki", &card).await), "oauth-means-differs");
    assert_eq!(browser.step(&login).await, "waiting", "it still waits for her phone");
    // Nor is a terminal's QR code for cards elsewhere.
    let body = json!({"terminal": {"id": "t1", "label": "第1診察室"}, "kinds": ["prescription"],
        "count": 3, "hours": 1});
    let facility = house.at(&SANDBOX);
    let started: wire::StartAnswer =
        call(&facility, "POST", wire::path::CEREMONIES, None, Some(&body)).await.unwrap();
    assert_eq!(code(claim_by(way, &started.qr, "hpki", &card).await), "oauth-means-differs");

    let login = browser.open(&service.address(&CARD)).await.unwrap();
    let address = browser.qr(&login).await;
    let asked = claim_by(way, &address, "hpki", &card).await.unwrap();
    revoke(&house, &card).await;
    let late = card.authentication.sign(&asked.challenge.0).unwrap();
    assert_eq!(code(approve_by(way, &address, &card, late).await), "card-revoked");
    assert!(house.entries(Event::LoginApproved).await.is_empty());
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_for_hpki_cards_takes_a_signing_token_that_says_so() {
    let (house, service) = town(ALL).await;
    let card = card_of(&house, &HANAKO).await;
    let hanako = house.resident(&HANAKO).await;
    let facility = house.at(&SANDBOX);
    let details = json!([{"type": "urn:azukari:sign",
        "terminal": {"id": "T01", "label": "第一診察室"},
        "kinds": ["prescription"], "count": 30, "hours": 18}])
    .to_string();
    let pushing = [
        ("client_id", "HPKI"),
        ("response_type", "code"),
        ("redirect_uri", FIXED),
        ("scope", "openid sign"),
        ("state", "st"),
        ("nonce", "no"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("authorization_details", details.as_str()),
    ];
    let (status, pushed) = post(&facility, "/oauth/par", &pushing).await;
    assert_eq!(status, 201, "{pushed}");
    let uri = pushed["request_uri"].as_str().unwrap();
    let query = form(&[("client_id", "HPKI"), ("request_uri", uri)]);
    let mut browser = Browser::new(&service);
    let login = browser.open(&format!("/oauth/authorize?{query}")).await.unwrap();
    let address = browser.qr(&login).await;
    let way = &service.way;
    assert_eq!(code(claim(way, &hanako.phone, &address).await), "oauth-means-differs");
    let (asked, number) = command(way, &address, &card).await;
    assert_eq!(asked.statement_type, "session");
    assert_eq!(asked.statement["facilityName"], SANDBOX.name_ja);
    assert_eq!(browser.step(&login).await, "number");
    assert!(house.entries(Event::BudgetOpened).await.is_empty(), "not before the digits");
    assert_eq!(typed(&mut browser, &login, &number).await, json!({"done": true}));
    assert_eq!(browser.step(&login).await, "ready");
    let back = browser.back(&login).await;
    let (status, issued) = redeemed(&facility, value(&back, "code")).await;
    assert_eq!(status, 200, "{issued}");
    let token = issued["access_token"].as_str().unwrap();
    let said = inside(token);
    assert_eq!(said["acr"], "urn:azukari:acr:hpki");
    assert_eq!(said["amr"], json!(["sc", "pin", "mfa"]));
    send(&facility, token, &some_order()).await.unwrap();
    revoke(&house, &card).await;
    assert_eq!(super::super::code(send(&facility, token, &some_order()).await), "token-ended");
    house.in_order().await;
}
