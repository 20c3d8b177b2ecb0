//! What the owner decides on her page, and what she is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use authn::{NoticeKind, OwnersAct, Visit};
use common::*;
use serde_json::Value;
use wire::SigninFinishRequest;

type Failed = ledger::Failed<authn::Refusal>;

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

async fn visit(house: &House, phone: &mut Phone) -> Visit {
    let asked = house.room().begin_visit(Some(&phone.device), NOW).await.unwrap();
    let credential = phone.get(&asked.options);
    let request = SigninFinishRequest { signin: asked.signin, credential };
    let signed = house.room().finish_visit(&request, NOW).await.unwrap();
    house.room().visit(Some(&signed.visit), NOW).await.unwrap()
}

async fn answers(
    house: &House,
    phone: &Phone,
    credential: Value,
    visit: &Visit,
) -> Result<approval::Approval, Failed> {
    assert!(!phone.device.is_empty());
    house.room().owner_answers(visit, &credential, NOW).await
}

/// Decides it from beginning to end, in a visit of its own.
async fn decides(
    house: &House,
    phone: &mut Phone,
    act: OwnersAct,
) -> Result<approval::Approval, Failed> {
    let visit = visit(house, phone).await;
    let asked = house.room().ask_owner(&visit, act, NOW).unwrap();
    let credential = phone.get(&asked.options);
    house.room().owner_answers(&visit, &credential, NOW).await
}

async fn told(house: &House, n: u8) -> Vec<NoticeKind> {
    house.room().notices(key(n)).await.unwrap().iter().map(|notice| notice.kind).collect()
}

#[tokio::test]
async fn each_decision_is_approved_by_itself_and_once() {
    let house = House::new();
    let (mut phone, mut other) = (house.linked(1).await, house.linked(2).await);
    for act in [OwnersAct::Stop, OwnersAct::Restart] {
        let approval = decides(&house, &mut phone, act).await.unwrap();
        assert_eq!((approval.statement.person(), approval.statement.key()), (person(1), key(1)));
    }
    let (mine, his) = (visit(&house, &mut phone).await, visit(&house, &mut other).await);
    let unasked = phone.get(&serde_json::json!({ "challenge": "AAAA" }));
    assert_eq!(code(answers(&house, &phone, unasked, &mine).await), "question-unknown");
    let asked = house.room().ask_owner(&mine, OwnersAct::Restart, NOW).unwrap();
    let answer = phone.get(&asked.options);
    assert_eq!(code(answers(&house, &other, answer.clone(), &his).await), "question-unknown");
    let theirs = other.get(&asked.options);
    assert_eq!(code(answers(&house, &phone, theirs, &mine).await), "credential-unknown");
    answers(&house, &phone, answer.clone(), &mine).await.unwrap();
    assert_eq!(code(answers(&house, &phone, answer, &mine).await), "question-unknown");
    // The phone's own door to a stop takes no answer to another question.
    let asked = house.room().ask_owner(&mine, OwnersAct::Restart, NOW).unwrap();
    let request = wire::KeyStopFinishRequest { credential: phone.get(&asked.options) };
    let stopped = house.room().finish_stop(&request, Some(&phone.device), NOW).await;
    assert_eq!(code(stopped), "question-unknown");
}

#[tokio::test]
async fn a_reported_phone_is_nobodys_at_once_and_its_sessions_are_over() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    house.morning(&hospital(), Some(1), &mut phone, NOW).await;
    let visit = visit(&house, &mut phone).await;
    let asked = house.room().ask_owner(&visit, OwnersAct::Loss, NOW).unwrap();
    let credential = phone.get(&asked.options);
    house.room().owner_answers(&visit, &credential, NOW).await.unwrap();
    let sessions = house.room().sessions(person(1)).await.unwrap();
    assert!(sessions.iter().all(|session| !session.is_live(NOW)));
    let again = house.room().owner_answers(&visit, &credential, NOW).await;
    assert_eq!(code(again), "question-unknown");
    let claim = house.start(&hospital(), Some(1), NOW).await;
    assert_eq!(code(house.claim(&claim, &phone, NOW).await), "phone-not-linked");
    let outbox = house.ledger().undelivered().await.unwrap();
    assert!(outbox.iter().any(|message| message.topic == authn::TOPIC_PHONE_UNLINKED));
    assert_eq!(told(&house, 1).await[0], NoticeKind::PhoneLost);
    // A new sheet links a new phone, and she reads there what happened.
    house.linked(1).await;
    assert_eq!(
        told(&house, 1).await,
        [
            NoticeKind::PhoneLinked,
            NoticeKind::SheetIssued,
            NoticeKind::PhoneLost,
            NoticeKind::SignedIn,
            NoticeKind::SessionOpened,
            NoticeKind::PhoneLinked,
            NoticeKind::SheetIssued,
        ]
    );
}

#[tokio::test]
async fn an_entry_is_disowned_once_and_what_she_has_read_is_read() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let dispute = OwnersAct::Dispute { index: 1, commitment: [7; 32] };
    let size = house.ledger().size();
    decides(&house, &mut phone, dispute).await.unwrap();
    assert_eq!(house.ledger().size(), size + 2, "her sign-in, and her word");
    assert_eq!(house.room().disputes(key(1)).await.unwrap(), [(1, NOW)]);
    assert_eq!(code(decides(&house, &mut phone, dispute).await), "already-disputed");
    let notices = house.room().notices(key(1)).await.unwrap();
    // The newest tells of the second sign-in.
    let kinds: Vec<_> = notices.iter().take(3).map(|notice| notice.kind).collect();
    assert_eq!(kinds, [NoticeKind::SignedIn, NoticeKind::Disputed, NoticeKind::SignedIn]);
    assert_eq!(notices[1].detail, "1");
    assert!(notices.iter().all(|notice| !notice.seen));
    house.room().notices_seen(key(1), notices[1].number).await.unwrap();
    let seen: Vec<bool> =
        house.room().notices(key(1)).await.unwrap().iter().map(|notice| notice.seen).collect();
    assert_eq!(seen, [false, true, true, true, true]);
}

#[tokio::test]
async fn she_sees_and_ends_her_own_sessions_only() {
    let house = House::new();
    let (mut phone, mut other) = (house.linked(1).await, house.linked(2).await);
    house.morning(&hospital(), Some(1), &mut phone, NOW).await;
    let (mine, his) = (visit(&house, &mut phone).await, visit(&house, &mut other).await);
    let session = house.room().sessions(person(1)).await.unwrap()[0].clone();
    assert_eq!(house.room().own_session(&mine, session.id).await.unwrap(), session);
    assert_eq!(code(house.room().own_session(&his, session.id).await), "session-unknown");
}
