//! Breaking each step, dying at each step, and the books after it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ca::{Authority, Recovered, Refusal, SigningAuthority};
use hpki::refusal::Refuse;
use hsm::anomaly::{Anomaly, Call};
use ledger::{Break, Failed};
use support::{Estate, doctor, now, plan};

/// The log key signs a checkpoint for the intention first; the CA key is the next to sign.
const CA_SIGNS: u32 = 2;

fn code<T: std::fmt::Debug>(result: Result<T, Failed<Refusal>>) -> &'static str {
    match result {
        Err(Failed::Refused(refusal)) => refusal.code(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    support::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_broken_step_of_an_issuance_is_made_good_by_a_restart() {
    let estate = Estate::new();
    estate.start().ca.ceremony(&plan(), now()).await.unwrap();
    for how in Break::ALL {
        let mut happened = true;
        for n in 1.. {
            let order = doctor();
            let running = estate.start();
            estate.faults.arm(n, how);
            let first = running.ca.issue_signing(&order, now()).await;
            happened = estate.faults.happened();
            drop(running);
            estate.faults.arm(u64::MAX, how);
            let running = estate.start();
            let recovered = running.ca.recover(now().plus(60)).await.unwrap();
            assert_eq!(recovered.interrupted, 0);
            let second = running.ca.issue_signing(&order, now().plus(60)).await.unwrap();
            if let Ok(first) = first {
                assert_eq!(first, second, "step {n} {how:?}");
            }
            assert_eq!(running.ca.recover(now()).await.unwrap(), Recovered::default());
            running.balance(&estate);
            if !happened {
                // Statements, two commits and their checkpoints: fewer would mean that the plan
                // no longer reaches the steps.
                assert!(n > 12, "only {n} steps");
                break;
            }
        }
        assert!(!happened);
    }
}

#[tokio::test]
async fn a_ceremony_that_dies_again_and_again_is_held_to_its_end() {
    let estate = Estate::new();
    let mut pieces = 0;
    for n in 1.. {
        let running = estate.start();
        estate.faults.arm(n, if n % 2 == 0 { Break::DieBefore } else { Break::DieAfter });
        let held = running.ca.ceremony(&plan(), now()).await;
        let happened = estate.faults.happened();
        drop(running);
        estate.faults.arm(u64::MAX, Break::Before);
        match held {
            Ok(_) => break,
            Err(Failed::Refused(Refusal::CeremonyAlreadyHeld)) => break,
            Err(_) => assert!(happened),
        }
        pieces += 1;
    }
    assert!(pieces > 10);
    let running = estate.start();
    running.ca.recover(now()).await.unwrap();
    assert_eq!(running.ca.authorities().await.unwrap().len(), 8);
    assert_eq!(running.ca.lists().await.unwrap().len(), 9);
    assert_eq!(code(running.ca.ceremony(&plan(), now()).await), "ceremony-already-held");
    running.ca.issue_signing(&doctor(), now()).await.unwrap();
    running.balance(&estate);
}

#[tokio::test]
async fn a_device_that_fails_leaves_an_open_intention_that_recovery_closes() {
    let estate = Estate::new();
    let running = estate.start();
    running.ca.ceremony(&plan(), now()).await.unwrap();
    for anomaly in [Anomaly::FailBefore, Anomaly::FailAfter] {
        estate.anomalies.plan(Call::Sign, CA_SIGNS, anomaly);
        let order = doctor();
        let failed = running.ca.issue_signing(&order, now()).await;
        assert!(matches!(failed, Err(Failed::Fault(_))));
        assert_eq!(running.ca.certificate_of_key(order.key).await.unwrap(), None);
        let recovered = running.ca.recover(now()).await.unwrap();
        assert_eq!(recovered, Recovered { certificates: 1, ..Recovered::default() });
        let known = running.ca.certificate_of_key(order.key).await.unwrap().unwrap().1;
        assert_eq!(running.ca.issue_signing(&order, now()).await.unwrap(), known);

        estate.anomalies.plan(Call::Sign, CA_SIGNS, anomaly);
        let jma = Authority::Signing(SigningAuthority::Jma);
        assert!(matches!(running.ca.issue_crls_of(jma, now()).await, Err(Failed::Fault(_))));
        let recovered = running.ca.recover(now()).await.unwrap();
        assert_eq!(recovered, Recovered { lists: 1, ..Recovered::default() });
    }
    running.balance(&estate);
}

#[tokio::test]
async fn a_device_that_answers_wrongly_issues_nothing() {
    let estate = Estate::new();
    let running = estate.start();
    running.ca.ceremony(&plan(), now()).await.unwrap();
    estate.anomalies.plan(Call::Sign, CA_SIGNS, Anomaly::AnswerWrongly);
    let order = doctor();
    assert_eq!(code(running.ca.issue_signing(&order, now()).await), "issuance-interrupted");
    assert_eq!(running.ca.certificate_of_key(order.key).await.unwrap(), None);
    // The number is not used again; the order may be placed again.
    let made = running.ca.issue_signing(&order, now()).await.unwrap();
    assert_eq!(made.serial(), [2]);
    running.balance(&estate);
}

#[tokio::test]
async fn stored_octets_that_were_changed_are_not_signed() {
    let estate = Estate::new();
    let running = estate.start();
    running.ca.ceremony(&plan(), now()).await.unwrap();
    estate.anomalies.plan(Call::Sign, CA_SIGNS, Anomaly::FailBefore);
    let order = doctor();
    assert!(running.ca.issue_signing(&order, now()).await.is_err());
    let forge = running.ledger.write(|tx| {
        let sql = "SELECT tbs FROM ca_certificate WHERE status = 'prepared'";
        let mut tbs = tx.query_one(sql, &[])?.blob(0)?.to_vec();
        let name = tbs.windows(4).position(|four| four == b"Taro").unwrap();
        tbs[name..name + 4].copy_from_slice(b"Jiro");
        let sql = "UPDATE ca_certificate SET tbs = $1 WHERE status = 'prepared'";
        tx.exec(sql, &[tbs.into()])?;
        Ok::<_, Failed<Refusal>>(())
    });
    forge.await.unwrap();
    let before = estate.anomalies.calls(Call::Sign);
    assert_eq!(code(running.ca.recover(now()).await), "issuance-not-announced");
    assert_eq!(code(running.ca.issue_signing(&order, now()).await), "issuance-not-announced");
    assert_eq!(estate.anomalies.calls(Call::Sign), before);
}

#[tokio::test]
async fn a_vault_whose_keys_the_books_do_not_know_stops_a_ceremony() {
    let estate = Estate::new();
    estate.start().ca.ceremony(&plan(), now()).await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let running = estate.start_in(&elsewhere.path().join("books"));
    assert_eq!(code(running.ca.ceremony(&plan(), now()).await), "ceremony-key-stray");
}
