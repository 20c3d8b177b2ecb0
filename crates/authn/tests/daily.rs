//! The daily authentication, and what is refused on the way (attack stories 4 to 9).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use authn::TOPIC_SESSION_ENDED;
use common::*;
use wire::CeremonyStep;
use wire::token::{base64url_decode, read};

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn at_a_new_institution_the_token_waits_for_the_number() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let (id, number, budget) = house.morning(&hospital(), Some(1), &mut phone, NOW).await;
    let x5t = hospital().x5t;
    let state = house.room().poll(id, x5t, NOW).await.unwrap();
    assert_eq!((state.state, state.token), (CeremonyStep::Number, None));
    house.room().number(id, x5t, &number.unwrap(), NOW.plus(5)).await.unwrap();
    let state = house.room().poll(id, x5t, NOW.plus(6)).await.unwrap();
    assert_eq!(state.state, CeremonyStep::Released);
    let answer = state.token.unwrap();
    assert_eq!((answer.person, answer.key, answer.count), (person(1), key(1), 300));

    let token = read(&answer.token).unwrap();
    assert_eq!(token.header.typ, "at+jwt");
    assert_eq!(token.claims.sub, person(1));
    assert_eq!(token.claims.allowance.budget, budget.id);
    assert_eq!(token.claims.cnf.x5t_s256, wire::token::base64url_encode(&x5t));
    assert!(token.claims.exp.since(token.claims.auth_time) <= 64_800);
    assert_eq!(token.claims.exp, answer.until);
    let jwks = house.room().jwks();
    let key = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == token.header.kid);
    let part = |name: &str| base64url_decode(key.unwrap()[name].as_str().unwrap()).unwrap();
    let point = [vec![4], part("x"), part("y")].concat();
    aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED,
        point,
    )
    .verify(token.signed.as_bytes(), &token.signature)
    .unwrap();

    // A lost answer is answered again for a minute, and then no more.
    let again = house.room().poll(id, x5t, NOW.plus(60)).await.unwrap();
    assert_eq!(again.token, Some(answer));
    assert_eq!(house.room().poll(id, x5t, NOW.plus(67)).await.unwrap().token, None);
}

#[tokio::test]
async fn at_a_known_institution_for_an_expected_person_no_number_is_asked() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let x5t = hospital().x5t;
    let (id, number, _) = house.morning(&hospital(), Some(1), &mut phone, NOW).await;
    house.room().number(id, x5t, &number.unwrap(), NOW).await.unwrap();
    house.room().poll(id, x5t, NOW).await.unwrap();
    let later = NOW.plus(86_400);
    let (id, number, _) = house.morning(&hospital(), Some(1), &mut phone, later).await;
    assert_eq!(number, None);
    assert!(house.room().poll(id, x5t, later).await.unwrap().token.is_some());
    // Nobody said who is expected, or the institution is new: the digits are asked again.
    assert!(house.morning(&hospital(), None, &mut phone, later).await.1.is_some());
    assert!(house.morning(&elsewhere(), Some(1), &mut phone, later).await.1.is_some());
    assert_eq!(house.room().sessions(person(1)).await.unwrap().len(), 4);
}

#[tokio::test]
async fn what_is_signed_is_what_the_platform_knows_of_the_place() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let qr = house.start(&hospital(), Some(1), NOW).await;
    let asked = house.claim(&qr, &phone, NOW).await.unwrap();
    let statement: approval::SessionStatement = serde_json::from_value(asked.statement).unwrap();
    assert_eq!(statement.facility_name, "架空病院");
    assert_eq!(statement.terminal_label, "第1診察室");
    assert_eq!((statement.person, statement.max_count), (person(1), 300));
    assert_eq!(statement.not_after, NOW.plus(64_800));
    let head = house.ledger().stream_head(key(1).stream()).await.unwrap().unwrap();
    assert_eq!((statement.head_seq, statement.head_commitment), (head.seq, Some(head.commitment)));
    assert_eq!(house.room().approved_waiting(qr.0).await.unwrap(), None);
    let approved = house.approve(qr.0, phone.get(&asked.options), NOW).await.unwrap();
    // The place is new: nothing to open a budget by before the digits were carried over.
    assert_eq!(house.room().approved_waiting(qr.0).await.unwrap(), None);
    let number = approved.number.clone().unwrap();
    house.room().number(qr.0, hospital().x5t, &number, NOW).await.unwrap();
    let state = house.room().poll(qr.0, hospital().x5t, NOW).await.unwrap();
    assert_eq!((state.state, state.token), (CeremonyStep::Approved, None));
    let confirmed = approval::Approval { number_confirmed: true, ..approved.approval.clone() };
    assert_eq!(house.room().approved_waiting(qr.0).await.unwrap(), Some(confirmed));
    assert_eq!(approved.approval.statement, approval::Statement::Session(statement));
    house.room().grant(qr.0, &budget(&approved.approval), NOW).await.unwrap();
    house.room().grant(qr.0, &budget(&approved.approval), NOW).await.unwrap();
    assert_eq!(house.room().approved_waiting(qr.0).await.unwrap(), None);
    assert_eq!(house.room().sessions(person(1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_qr_is_claimed_once_and_within_sixty_seconds() {
    let house = House::new();
    let phone = house.linked(1).await;
    let qr = house.start(&hospital(), Some(1), NOW).await;
    house.claim(&qr, &phone, NOW.plus(60)).await.unwrap();
    assert_eq!(code(house.claim(&qr, &phone, NOW.plus(60)).await), "qr-already-used");
    let qr = house.start(&hospital(), Some(1), NOW).await;
    assert_eq!(code(house.claim(&qr, &phone, NOW.plus(61)).await), "qr-expired");
    let state = house.room().poll(qr.0, hospital().x5t, NOW.plus(61)).await.unwrap();
    assert_eq!(state.state, CeremonyStep::Expired);
    let wrong = (qr.0, "AAAAAAAAAAAAAAAAAAAAAA".to_owned());
    assert_eq!(code(house.claim(&wrong, &phone, NOW).await), "ceremony-unknown");
}

#[tokio::test]
async fn of_two_claims_at_once_one_wins() {
    let house = House::new();
    let phone = house.linked(1).await;
    let qr = house.start(&hospital(), Some(1), NOW).await;
    let (a, b) = tokio::join!(house.claim(&qr, &phone, NOW), house.claim(&qr, &phone, NOW));
    assert!(a.is_ok() != b.is_ok());
    assert_eq!(code(if a.is_ok() { b } else { a }), "qr-already-used");
}

#[tokio::test]
async fn a_colleagues_phone_and_an_unlinked_one_leave_the_qr_to_the_right_person() {
    let house = House::new();
    let (phone, colleague) = (house.linked(1).await, house.linked(2).await);
    let qr = house.start(&hospital(), Some(1), NOW).await;
    assert_eq!(code(house.claim(&qr, &colleague, NOW).await), "not-the-expected-person");
    assert_eq!(code(house.claim(&qr, &Phone::new(), NOW).await), "phone-not-linked");
    assert!(house.claim(&qr, &phone, NOW).await.is_ok());
}

#[tokio::test]
async fn a_colleague_cannot_answer_for_the_phone_that_claimed() {
    let house = House::new();
    let (phone, mut colleague) = (house.linked(1).await, house.linked(2).await);
    let qr = house.start(&hospital(), Some(1), NOW).await;
    let asked = house.claim(&qr, &phone, NOW).await.unwrap();
    let answer = colleague.get(&asked.options);
    assert_eq!(code(house.approve(qr.0, answer, NOW).await), "credential-unknown");
}

#[tokio::test]
async fn a_relayed_qr_gives_nothing_while_the_number_is_not_carried_over() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let x5t = elsewhere().x5t;
    // Never typed.
    let (id, _, _) = house.morning(&elsewhere(), Some(1), &mut phone, NOW).await;
    assert_eq!(code(house.room().poll(id, x5t, NOW.plus(121)).await), "place-not-confirmed");
    // Guessed: three tries, then dead, even for the right digits.
    let (id, number, _) = house.morning(&elsewhere(), Some(1), &mut phone, NOW).await;
    let number = number.unwrap();
    let wrong = if number == "000" { "001" } else { "000" };
    assert_eq!(code(house.room().number(id, x5t, wrong, NOW).await), "number-wrong");
    assert_eq!(code(house.room().number(id, x5t, wrong, NOW).await), "number-wrong");
    assert_eq!(code(house.room().number(id, x5t, wrong, NOW).await), "place-not-confirmed");
    assert_eq!(code(house.room().number(id, x5t, &number, NOW).await), "place-not-confirmed");
    assert_eq!(code(house.room().poll(id, x5t, NOW).await), "place-not-confirmed");
    // Both sessions are over, and custody is told to end their budgets.
    let sessions = house.room().sessions(person(1)).await.unwrap();
    assert!(sessions.iter().all(|session| !session.is_live(NOW) && session.released.is_none()));
    let waiting = house.ledger().undelivered().await.unwrap();
    assert_eq!(waiting.iter().filter(|told| told.topic == TOPIC_SESSION_ENDED).count(), 2);
    // And the place has not become a known one.
    assert!(house.morning(&elsewhere(), Some(1), &mut phone, NOW).await.1.is_some());
}

#[tokio::test]
async fn an_assertion_over_another_statement_or_without_its_owner_is_refused() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let (here, there) = (
        house.start(&hospital(), Some(1), NOW).await,
        house.start(&elsewhere(), Some(1), NOW).await,
    );
    let asked_here = house.claim(&here, &phone, NOW).await.unwrap();
    let asked_there = house.claim(&there, &phone, NOW).await.unwrap();
    let answer = phone.get(&asked_here.options);
    assert_eq!(code(house.approve(there.0, answer, NOW).await), "challenge-mismatch");
    phone.flags = 1;
    let answer = phone.get(&asked_there.options);
    assert_eq!(code(house.approve(there.0, answer, NOW).await), "user-not-verified");
    phone.flags = 5;
    phone.origin = "https://evil.test".into();
    let answer = phone.get(&asked_there.options);
    assert_eq!(code(house.approve(there.0, answer, NOW).await), "origin-wrong");
    phone.origin = ORIGIN.into();
    let answer = phone.get(&asked_there.options);
    let approved = house.approve(there.0, answer.clone(), NOW).await.unwrap();
    // Its answer was lost on the way: the same assertion is answered the same, and no other is.
    assert_eq!(house.approve(there.0, answer, NOW).await.unwrap(), approved);
    let again = phone.get(&asked_there.options);
    assert_eq!(code(house.approve(there.0, again, NOW).await), "ceremony-out-of-step");
}

#[tokio::test]
async fn a_counter_that_does_not_rise_is_refused() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    house.morning(&hospital(), Some(1), &mut phone, NOW).await;
    let qr = house.start(&hospital(), Some(1), NOW).await;
    let asked = house.claim(&qr, &phone, NOW).await.unwrap();
    phone.count = 0;
    let answer = phone.get(&asked.options);
    assert_eq!(code(house.approve(qr.0, answer, NOW).await), "counter-not-rising");
}

#[tokio::test]
async fn approving_takes_two_minutes_at_most_and_no_means_no() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let qr = house.start(&hospital(), Some(1), NOW).await;
    let early = house.approve(qr.0, serde_json::json!({}), NOW).await;
    assert_eq!(code(early), "ceremony-out-of-step");
    let asked = house.claim(&qr, &phone, NOW).await.unwrap();
    let answer = phone.get(&asked.options);
    assert_eq!(code(house.approve(qr.0, answer.clone(), NOW.plus(121)).await), "ceremony-expired");
    let refusal = wire::SessionRefuseRequest { ceremony: qr.0.to_string(), secret: qr.1.clone() };
    house.room().refuse(&refusal, NOW).await.unwrap();
    assert_eq!(code(house.approve(qr.0, answer, NOW).await), "ceremony-refused");
    let state = house.room().poll(qr.0, hospital().x5t, NOW).await.unwrap();
    assert_eq!(state.state, CeremonyStep::Refused);
}

#[tokio::test]
async fn a_ceremony_answers_only_over_the_certificate_that_began_it() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let (id, number, _) = house.morning(&hospital(), Some(1), &mut phone, NOW).await;
    let number = number.unwrap();
    assert_eq!(code(house.room().poll(id, elsewhere().x5t, NOW).await), "ceremony-unknown");
    let typed = house.room().number(id, elsewhere().x5t, &number, NOW).await;
    assert_eq!(code(typed), "ceremony-unknown");
    assert!(house.room().number(id, hospital().x5t, &number, NOW).await.is_ok());
}

#[tokio::test]
async fn an_allowance_beyond_the_rules_is_not_even_asked() {
    let house = House::new();
    let start = |change: fn(&mut wire::StartRequest)| {
        let mut request = asked(Some(1));
        change(&mut request);
        house.room().start(hospital(), request, NOW)
    };
    assert_eq!(code(start(|r| r.kinds.clear()).await), "allowance-not-allowed");
    assert_eq!(code(start(|r| r.count = 301).await), "allowance-not-allowed");
    assert_eq!(code(start(|r| r.count = 0).await), "allowance-not-allowed");
    assert_eq!(code(start(|r| r.hours = 19).await), "allowance-not-allowed");
    assert_eq!(code(start(|r| r.terminal.label = String::new()).await), "terminal-malformed");
    assert_eq!(code(start(|r| r.terminal.label = "a\u{202e}b".into()).await), "terminal-malformed");
    for _ in 0..300 {
        start(|_| {}).await.unwrap();
    }
    assert_eq!(code(start(|_| {}).await), "slow-down");
}

#[tokio::test]
async fn a_budget_for_something_else_than_was_approved_makes_no_token() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let qr = house.start(&hospital(), Some(1), NOW).await;
    let asked = house.claim(&qr, &phone, NOW).await.unwrap();
    let early = authn::Budget {
        id: hpki::id::BudgetId::from_octets([7; 16]),
        key: key(1),
        person: person(1),
        kinds: vec![hpki::kind::DocumentKind::Prescription],
        until: NOW.plus(60),
        count: 1,
    };
    assert_eq!(code(house.room().grant(qr.0, &early, NOW).await), "ceremony-out-of-step");
    house.approve(qr.0, phone.get(&asked.options), NOW).await.unwrap();
    for wrong in [
        authn::Budget { key: key(2), ..early.clone() },
        authn::Budget { person: person(2), ..early.clone() },
        authn::Budget { count: 301, ..early.clone() },
        authn::Budget { until: NOW.plus(64_801), ..early.clone() },
        authn::Budget { kinds: hpki::kind::DocumentKind::ALL.to_vec(), ..early.clone() },
    ] {
        let fault = house.room().grant(qr.0, &wrong, NOW).await;
        assert!(matches!(fault, Err(ledger::Failed::Fault(ledger::Fault::Misuse(_)))));
    }
    house.room().grant(qr.0, &early, NOW).await.unwrap();
}

#[tokio::test]
async fn a_token_is_ended_by_whoever_has_it_and_a_phone_takes_all_with_it() {
    let mut house = House::new();
    let mut phone = house.linked(1).await;
    let x5t = hospital().x5t;
    let (id, number, budget) = house.morning(&hospital(), Some(1), &mut phone, NOW).await;
    house.room().number(id, x5t, &number.unwrap(), NOW).await.unwrap();
    let token = house.room().poll(id, x5t, NOW).await.unwrap().token.unwrap().token;
    assert_eq!(code(house.room().end_token("nonsense", NOW).await), "session-unknown");

    // Sessions are rows: they outlive the process. Ceremonies do not.
    house.reopen();
    assert_eq!(code(house.room().poll(id, x5t, NOW).await), "ceremony-unknown");
    let session = house.room().session_of(&token).await.unwrap();
    assert!(session.is_live(NOW));
    assert_eq!(session.budget, budget.id);
    assert!(!house.room().end_token(&token, NOW).await.unwrap().is_live(NOW));
    assert!(!house.room().session_of(&token).await.unwrap().is_live(NOW));

    let (id, _, _) = house.morning(&hospital(), Some(1), &mut phone, NOW.plus(10)).await;
    let ended = house.room().unlink(key(1), NOW.plus(20)).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(code(house.room().poll(id, x5t, NOW.plus(20)).await), "ceremony-unknown");
    let qr = house.start(&hospital(), Some(1), NOW).await;
    assert_eq!(code(house.claim(&qr, &phone, NOW).await), "phone-not-linked");
    assert_eq!(code(house.room().unlink(key(1), NOW).await), "phone-not-linked");
    // A new sheet may now be issued, and another phone linked.
    house.linked(1).await;
}
