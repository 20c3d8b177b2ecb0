//! The morning by HPKI card: the same token as by phone, and each way in which a card is refused.

use approval::{CardMeans, SessionStatement, Statement};
use ca::{Authority, SigningAuthority};
use hpki::crl::Reason;
use hpki::id::CeremonyId;
use hpki::sign::Sign as _;
use serde_json::json;
use town::people::{HANAKO, JIRO, MISAKI, SANDBOX};
use wire::{Base64, CardAnswerAnswer, CardAskAnswer, CeremonyState, CeremonyStep, StartAnswer};

use super::made::{self, MadeCard};
use super::*;
use crate::demo::prepare::Citizen;
use crate::flows;

pub(super) fn citizen(house: &House, person: &Person) -> Citizen {
    let found = house.founded.citizens.iter().find(|one| one.person.slug == person.slug);
    found.unwrap().clone()
}

async fn card_of(house: &House, person: &Person) -> MadeCard {
    made::hpki(house.platform(), &citizen(house, person)).await
}

/// The terminal begins; nobody in particular is expected, unless named.
pub(super) async fn start(way: &Client, expected: Option<&Citizen>) -> CeremonyId {
    let mut body = json!({
        "terminal": { "id": "t1", "label": "第1診察室" },
        "kinds": ["prescription"], "count": 30, "hours": 18,
    });
    if let Some(expected) = expected {
        body["expected_person"] = json!(expected.id);
    }
    let started: StartAnswer =
        call(way, "POST", wire::path::CEREMONIES, None, Some(&body)).await.unwrap();
    started.ceremony
}

pub(super) async fn ask(
    way: &Client,
    ceremony: CeremonyId,
    means: &str,
    certificate: &[u8],
) -> Result<CardAskAnswer, StepFailed> {
    let path = wire::path::CEREMONY_CARD.replace("{ceremony}", &ceremony.to_string());
    let body = json!({ "means": means, "certificate": Base64(certificate.to_vec()) });
    call(way, "POST", &path, None, Some(&body)).await
}

pub(super) async fn answer(
    way: &Client,
    ceremony: CeremonyId,
    signature: Vec<u8>,
) -> Result<CardAnswerAnswer, StepFailed> {
    let path = wire::path::CEREMONY_CARD_ANSWER.replace("{ceremony}", &ceremony.to_string());
    call(way, "POST", &path, None, Some(&json!({ "signature": Base64(signature) }))).await
}

pub(super) async fn state(way: &Client, ceremony: CeremonyId) -> Result<CeremonyState, StepFailed> {
    let path = wire::path::CEREMONY.replace("{ceremony}", &ceremony.to_string());
    call(way, "GET", &path, None, None).await
}

/// The whole morning by this card.
async fn morning(way: &Client, card: &MadeCard) -> Result<wire::TokenAnswer, StepFailed> {
    let ceremony = start(way, None).await;
    let asked = ask(way, ceremony, "hpki", &card.certificate).await?;
    answer(way, ceremony, card.authentication.sign(&asked.challenge.0).unwrap()).await?;
    let state = state(way, ceremony).await?;
    assert_eq!(state.state, CeremonyStep::Released, "no digits are asked for");
    Ok(state.token.unwrap())
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&wire::token::base64url_decode(payload).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_physician_authenticates_with_her_hpki_card_and_signs_all_day() {
    let house = House::found().await;
    let card = card_of(&house, &HANAKO).await;
    let way = house.at(&SANDBOX);
    let ceremony = start(&way, Some(&citizen(&house, &HANAKO))).await;
    let asked = ask(&way, ceremony, "hpki", &card.certificate).await.unwrap();

    // The terminal's own software computes the challenge from what it is shown.
    assert_eq!(asked.statement_type, "session");
    let shown: SessionStatement = serde_json::from_value(asked.statement).unwrap();
    assert_eq!(shown.facility_id.as_str(), SANDBOX.code);
    assert_eq!((shown.max_count, shown.key), (30, citizen(&house, &HANAKO).key));
    assert_eq!(asked.challenge.0, Statement::Session(shown).challenge());

    let signature = card.authentication.sign(&asked.challenge.0).unwrap();
    assert!(answer(&way, ceremony, signature.clone()).await.unwrap().approved);
    // The answer was lost on the way: the same again.
    assert!(answer(&way, ceremony, signature).await.unwrap().approved);
    let released = state(&way, ceremony).await.unwrap();
    let token = released.token.unwrap();
    assert_eq!((released.state, token.means.as_str()), (CeremonyStep::Released, "hpki"));
    let claims = claims(&token.token);
    assert_eq!(claims["acr"], "urn:azukari:acr:hpki");
    assert_eq!(claims["amr"], json!(["sc", "pin", "mfa"]));
    send(&way, &token.token, &some_order()).await.unwrap();
    send(&way, &token.token, &some_order()).await.unwrap();
    assert_eq!(house.entries(Event::BudgetOpened).await.len(), 1);
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_wrong_card_has_its_own_refusal_and_leaves_the_ceremony_to_the_right_one() {
    let house = House::found().await;
    let way = house.at(&SANDBOX);
    let (hers, his) = (card_of(&house, &HANAKO).await, card_of(&house, &JIRO).await);
    let ceremony = start(&way, Some(&citizen(&house, &HANAKO))).await;
    let refused = async |means: &str, der: &[u8]| code(ask(&way, ceremony, means, der).await);

    assert_eq!(refused("hpki", &his.certificate).await, "not-the-expected-person");
    assert_eq!(refused("hpki", &hers.certificate[..200]).await, "card-malformed");
    assert_eq!(refused("phone", &hers.certificate).await, "request-malformed");
    // No authority of My Number Cards is configured here.
    assert_eq!(refused("jpki", &hers.certificate).await, "card-issuer-unknown");
    // The certificate of a kept key, and that of the card's other key, sign documents.
    let kept = citizen(&house, &HANAKO).certificate;
    assert_eq!(refused("hpki", kept.der()).await, "card-issuer-unknown");
    let authority = house.platform().ca.authority(Authority::Root).await.unwrap();
    assert_eq!(refused("hpki", authority.der()).await, "card-not-for-authentication");
    // A ceremony of another place.
    let elsewhere = CeremonyId::from_octets([7; 16]);
    let unknown = ask(&way, elsewhere, "hpki", &hers.certificate).await;
    assert_eq!(code(unknown), "ceremony-unknown");

    assert_eq!(code(answer(&way, ceremony, vec![1; 256]).await), "ceremony-out-of-step");
    let asked = ask(&way, ceremony, "hpki", &hers.certificate).await.unwrap();
    // His key over her statement, hers over another challenge, and a wrong form.
    let wrong = his.authentication.sign(&asked.challenge.0).unwrap();
    assert_eq!(code(answer(&way, ceremony, wrong).await), "card-signature-wrong");
    let other = hers.authentication.sign(&[9; 32]).unwrap();
    assert_eq!(code(answer(&way, ceremony, other).await), "card-signature-wrong");
    assert_eq!(code(answer(&way, ceremony, vec![1; 600]).await), "card-malformed");
    assert_eq!(state(&way, ceremony).await.unwrap().state, CeremonyStep::Claimed);
    let right = hers.authentication.sign(&asked.challenge.0).unwrap();
    answer(&way, ceremony, right.clone()).await.unwrap();

    // Her answer, replayed in a ceremony of another terminal.
    let next = start(&way, None).await;
    ask(&way, next, "hpki", &hers.certificate).await.unwrap();
    assert_eq!(code(answer(&way, next, right).await), "card-signature-wrong");
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_card_opens_nothing_and_what_it_opened_ends() {
    let house = House::found().await;
    let way = house.at(&SANDBOX);
    let card = card_of(&house, &HANAKO).await;
    let token = morning(&way, &card).await.unwrap().token;
    send(&way, &token, &some_order()).await.unwrap();
    let asked_before = start(&way, None).await;
    let asked = ask(&way, asked_before, "hpki", &card.certificate).await.unwrap();

    let read = hpki::Certificate::from_der(&card.certificate).unwrap();
    let issuer = Authority::Authentication(SigningAuthority::Jma);
    let platform = house.platform();
    let reason = Reason::KeyCompromise;
    platform.ca.revoke(issuer, read.serial(), reason, now()).await.unwrap();
    // Until it is delivered the key that the card spoke for signs nothing.
    assert_eq!(code(send(&way, &token, &some_order()).await), "status-unknown");
    // The question was asked before; the answer comes too late.
    let late = card.authentication.sign(&asked.challenge.0).unwrap();
    assert_eq!(code(answer(&way, asked_before, late).await), "card-revoked");
    flows::deliver::all(platform, now()).await.unwrap();
    assert_eq!(code(send(&way, &token, &some_order()).await), "token-ended");
    let sessions = platform.authn.sessions(citizen(&house, &HANAKO).id).await.unwrap();
    assert!(sessions.iter().all(|session| session.ended.is_some()));
    assert_eq!(code(morning(&way, &card).await), "card-revoked");

    // Her phone is not concerned, nor is her next card.
    let mut hanako = house.resident(&HANAKO).await;
    house.morning(&mut hanako).await.unwrap();
    morning(&way, &card_of(&house, &HANAKO).await).await.unwrap();
    house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custody_does_not_take_anybodys_word_for_whose_card_it_is() {
    let house = House::found().await;
    let platform = house.platform();
    let hanako = citizen(&house, &HANAKO);
    let his = card_of(&house, &JIRO).await;
    let way = house.at(&SANDBOX);
    let ceremony = start(&way, None).await;
    // Authentication is told that his card is hers, by whoever controls it.
    let card = authn::Card {
        means: CardMeans::Hpki,
        certificate: his.certificate.clone(),
        binding: approval::CardEvidence::own_binding(&his.certificate),
        person: hanako.id,
        key: hanako.key,
    };
    let x5t =
        platform.ca.facility_in_force(&facility_certificate(&house), now()).await.unwrap().x5t;
    let asked = platform.authn.ask_card(ceremony, x5t, card, now()).await.unwrap();
    let signature = his.authentication.sign(&asked.statement.challenge()).unwrap();
    let approved = platform.authn.answer_card(ceremony, x5t, signature, now()).await.unwrap();
    let refused = platform.custody.open_budget(&approved.approval, now()).await.unwrap_err();
    assert_eq!(refused.to_string(), custody::Refusal::CardOtherPerson.to_string());
    house.in_order().await;
}

fn facility_certificate(house: &House) -> hpki::Certificate {
    let file = house.home().join("tls").join(format!("{}.pem", SANDBOX.code));
    hpki::Certificate::from_pem(&std::fs::read(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pharmacists_card_does_not_open_a_physicians_kinds() {
    let house = House::found().await;
    let way = house.at(&SANDBOX);
    let card = card_of(&house, &MISAKI).await;
    let ceremony = start(&way, None).await;
    let asked = ask(&way, ceremony, "hpki", &card.certificate).await.unwrap();
    let signature = card.authentication.sign(&asked.challenge.0).unwrap();
    assert_eq!(code(answer(&way, ceremony, signature).await), "kind-not-allowed");
    house.in_order().await;
}
