//! The owner stops her key from her phone: who is asked, and whose answer counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use approval::{Statement, StopStatement};
use common::*;
use wire::KeyStopFinishRequest;

async fn begin(house: &House, phone: &Phone) -> Result<wire::KeyStopBeginAnswer, Failed> {
    house.room().begin_stop(Some(&phone.device), NOW).await
}

type Failed = ledger::Failed<authn::Refusal>;

async fn finish(
    house: &House,
    phone: &Phone,
    credential: serde_json::Value,
    after: u64,
) -> Result<approval::Approval, Failed> {
    let request = KeyStopFinishRequest { credential };
    house.room().finish_stop(&request, Some(&phone.device), NOW.plus(after)).await
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_linked_phone_is_asked_about_its_own_key_and_its_answer_is_evidence_once() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let asked = begin(&house, &phone).await.unwrap();
    let shown: StopStatement = serde_json::from_value(asked.statement.clone()).unwrap();
    assert_eq!((shown.person, shown.key), (person(1), key(1)));
    let answer = phone.get(&asked.options);
    let approval = finish(&house, &phone, answer.clone(), 120).await.unwrap();
    assert_eq!(approval.statement, Statement::Stop(shown));
    assert_eq!(code(finish(&house, &phone, answer, 120).await), "question-unknown");
}

#[tokio::test]
async fn nobody_elses_phone_no_older_question_and_no_late_answer_stops_a_key() {
    let house = House::new();
    let (mut phone, mut other) = (house.linked(1).await, house.linked(2).await);
    assert_eq!(code(begin(&house, &Phone::new()).await), "phone-not-linked");
    let asked = begin(&house, &phone).await.unwrap();
    // Not by a phone that was not asked, nor by its signature, nor under its name.
    let theirs = other.get(&begin(&house, &other).await.unwrap().options);
    assert_eq!(code(finish(&house, &phone, theirs, 1).await), "credential-unknown");
    let mine = phone.get(&asked.options);
    assert_eq!(code(finish(&house, &other, mine.clone(), 1).await), "credential-unknown");
    assert_eq!(code(finish(&house, &Phone::new(), mine.clone(), 1).await), "phone-not-linked");
    assert_eq!(code(finish(&house, &phone, mine.clone(), 121).await), "question-expired");
    // A newer question takes the place of the older.
    begin(&house, &phone).await.unwrap();
    assert_eq!(code(finish(&house, &phone, mine, 1).await), "challenge-mismatch");
}
