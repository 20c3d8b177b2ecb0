//! Many documents under one number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::*;
use custody::{BatchItem, BatchOrder, Limits};
use hpki::kind::DocumentKind;
use hsm::anomaly::{Anomaly, Call};
use tempfile::tempdir;

fn batch(count: u32) -> BatchOrder {
    let item = |n: u32| {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&n.to_be_bytes());
        BatchItem { kind: DocumentKind::Prescription, digest }
    };
    BatchOrder { number: number(), items: (0..count).map(item).collect() }
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_thousand_documents_are_signed_under_one_number_and_asked_again_are_the_same() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    let house = open_with(folder.path(), Limits::new(1_000, 1_000).unwrap());
    let doctor = physician(&house).await;
    let mut asked = session(&house, &doctor, &PRESCRIPTION).await;
    asked.max_count = 1_000;
    let budget = house.custody.open_budget(&approve(&doctor, asked), NOW).await.unwrap();
    let token = token(&house, &budget);
    let order = batch(1_000);
    let entries = house.ledger.size();

    let signed = house.custody.sign_batch(&token, &hospital(), order.clone(), NOW).await.unwrap();
    assert_eq!(signed.signed(), 1_000);
    assert_eq!(house.ledger.size() - entries, 2_000, "an intention and an outcome for each");
    let again = house.custody.sign_batch(&token, &hospital(), order.clone(), NOW).await.unwrap();
    let stored = house.custody.batch_answer(&facility(), order.number, NOW).await.unwrap();
    for (first, (again, stored)) in signed.items.iter().zip(again.items.iter().zip(&stored.items)) {
        let first = first.as_ref().unwrap();
        assert_eq!(first.signature, again.as_ref().unwrap().signature);
        assert_eq!(first.signature, stored.as_ref().unwrap().signature);
    }
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 0);
    assert_eq!(balanced(&house).await.consumed, 1_000);
}

#[tokio::test]
async fn a_batch_that_does_not_fit_reserves_nothing() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    let house = open_with(folder.path(), Limits::new(10, 6).unwrap());
    let doctor = physician(&house).await;
    let mut asked = session(&house, &doctor, &PRESCRIPTION).await;
    asked.max_count = 10;
    let budget = house.custody.open_budget(&approve(&doctor, asked), NOW).await.unwrap();
    let token = token(&house, &budget);
    let mut with_a_letter = batch(2);
    with_a_letter.items[1].kind = DocumentKind::Referral;
    let mut with_a_result = batch(2);
    with_a_result.items[1].kind = DocumentKind::Dispensing;
    for (order, why) in [
        (batch(0), "batch-size-wrong"),
        (batch(1_001), "batch-size-wrong"),
        (batch(11), "budget-exhausted"),
        (batch(7), "hourly-limit-reached"),
        (with_a_letter, "kind-not-enabled"),
        (with_a_result, "kind-not-allowed"),
    ] {
        let refused = house.custody.sign_batch(&token, &hospital(), order.clone(), NOW).await;
        assert_eq!(code(refused), why);
        let nothing = house.custody.batch_answer(&facility(), order.number, NOW).await;
        assert_eq!(code(nothing), "order-unknown");
    }
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 10);
    let signed = house.custody.sign_batch(&token, &hospital(), batch(6), NOW).await.unwrap();
    assert_eq!(signed.signed(), 6);
    assert_eq!(balanced(&house).await.consumed, 6);
}

#[tokio::test]
async fn a_number_is_for_one_request_alone_or_in_a_batch() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let token = token(&house, &morning(&house, &doctor).await);
    let (order, alone) = (batch(2), order(1));
    house.custody.sign_batch(&token, &hospital(), order.clone(), NOW).await.unwrap();
    house.custody.sign(&token, &hospital(), alone, NOW).await.unwrap();

    let mut longer = order.clone();
    longer.items.push(order.items[0]);
    let mut other = order.clone();
    other.items[1].digest = [9; 32];
    let of_alone = BatchOrder {
        number: alone.number,
        items: vec![BatchItem { kind: alone.kind, digest: alone.digest }],
    };
    for reused in [longer, other, of_alone] {
        let refused = house.custody.sign_batch(&token, &hospital(), reused, NOW).await;
        assert_eq!(code(refused), "order-reused");
    }
    let first = custody::SignOrder {
        number: order.number,
        kind: DocumentKind::Prescription,
        digest: order.items[0].digest,
    };
    let refused = house.custody.sign(&token, &hospital(), first, NOW).await;
    assert_eq!(code(refused), "order-reused");
    let not_alone = house.custody.answer(&facility(), order.number, NOW).await;
    assert_eq!(code(not_alone), "order-unknown");
    let no_batch = house.custody.batch_answer(&facility(), alone.number, NOW).await;
    assert_eq!(code(no_batch), "order-unknown");
}

#[tokio::test]
async fn what_the_device_fails_at_does_not_lose_the_others_and_is_signed_when_asked_again() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    let order = batch(5);
    // The first call signs commit A's checkpoint.
    house.anomalies.plan(Call::Sign, 4, Anomaly::FailBefore);
    let first = house.custody.sign_batch(&token, &hospital(), order.clone(), NOW).await.unwrap();
    assert_eq!(first.signed(), 4);
    let broken = first.items.iter().find_map(|item| item.clone().err()).unwrap();
    assert_eq!(hpki::refusal::Refuse::code(&broken), "order-in-progress");
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 296);
    let books = balanced(&house).await;
    assert_eq!((books.consumed, books.released), (4, 1));

    let again = house.custody.sign_batch(&token, &hospital(), order, NOW.plus(60)).await.unwrap();
    assert_eq!(again.signed(), 5);
    for (first, again) in first.items.iter().zip(&again.items) {
        let again = again.as_ref().unwrap();
        assert_eq!(again.signing_time, NOW, "the stored SignedInfo is used");
        assert!(first.as_ref().is_err() || first.as_ref().unwrap().signature == again.signature);
    }
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 295);
    balanced(&house).await;
}

#[tokio::test]
async fn a_signature_that_does_not_verify_freezes_the_key_and_the_others_are_kept() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let token = token(&house, &morning(&house, &doctor).await);
    let order = batch(3);
    house.anomalies.plan(Call::Sign, 3, Anomaly::AnswerWrongly);
    let signed = house.custody.sign_batch(&token, &hospital(), order, NOW).await.unwrap();
    assert_eq!(signed.signed(), 2);
    let wrong = signed.items.iter().find_map(|item| item.clone().err()).unwrap();
    assert_eq!(hpki::refusal::Refuse::code(&wrong), "key-frozen");
    let refused = house.custody.sign_batch(&token, &hospital(), batch(1), NOW).await;
    assert_eq!(code(refused), "key-frozen");
    let books = balanced(&house).await;
    assert_eq!((books.failed, books.consumed), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_step_breaks_a_batch_has_one_signature_for_each_document() {
    for how in every_way() {
        let folder = tempdir().unwrap();
        let house = found(folder.path());
        let doctor = physician(&house).await;
        let budget = morning(&house, &doctor).await;
        let token = token(&house, &budget);
        drop(house);
        let mut signed_so_far = 0;
        for n in 1.. {
            let begin = NOW.plus(100 * n);
            let order = batch(3);
            let first = {
                let house = open(folder.path());
                house.custody.recover(begin).await.unwrap();
                house.faults.arm(n, how);
                let peer = hospital();
                let signing = house.custody.sign_batch(&token, &peer, order.clone(), begin);
                let first = or_the_end(&house.faults, signing).await;
                let happened = house.faults.happened();
                house.faults.disarm();
                if !happened {
                    assert!(n > 12, "only {n} steps in a batch ({how:?})");
                    assert_eq!(first.unwrap().signed(), 3);
                    break;
                }
                first
            };
            let house = open(folder.path());
            let later = begin.plus(60);
            house.custody.recover(later).await.unwrap();
            balanced(&house).await;
            let retry =
                house.custody.sign_batch(&token, &hospital(), order.clone(), later).await.unwrap();
            assert_eq!(retry.signed(), 3, "step {n} {how:?}");
            if let Ok(first) = first {
                for (first, retry) in first.items.iter().zip(&retry.items) {
                    let retry = retry.as_ref().unwrap();
                    assert!(first.as_ref().map_or(true, |it| it.signature == retry.signature));
                }
            }
            signed_so_far += 3;
            assert_eq!(balanced(&house).await.consumed, signed_so_far, "step {n} {how:?}");
            let left = house.custody.budget(budget.id).await.unwrap().left;
            assert_eq!(u64::from(left), 300 - signed_so_far, "step {n} {how:?}");
        }
    }
}

#[test]
fn all_of_this_is_so_on_softhsm_too() {
    again_on_softhsm(&[]);
}
