//! Breaking at every point, starting again, and balancing the books.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use hsm::anomaly::{Anomaly, Call};
use tempfile::tempdir;
use xades::compose::{Draft, Recipe, Signer};

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_step_breaks_an_order_has_one_signature_and_the_books_balance() {
    for how in every_way_on_every_device() {
        let folder = tempdir().unwrap();
        let house = found(folder.path());
        let doctor = physician(&house).await;
        let budget = morning(&house, &doctor).await;
        let token = token(&house, &budget);
        drop(house);
        let mut signed_so_far = 0;
        for n in 1.. {
            let begin = NOW.plus(100 * n);
            let order = order(u8::try_from(n).unwrap());
            let first = {
                let house = open(folder.path());
                house.custody.recover(begin).await.unwrap();
                house.faults.arm(n, how);
                let peer = hospital();
                let signing = house.custody.sign(&token, &peer, order, begin);
                let first = or_the_end(&house.faults, signing).await;
                let happened = house.faults.happened();
                house.faults.disarm();
                if !happened {
                    assert!(n > 8, "only {n} steps in a signature ({how:?})");
                    assert!(first.is_ok());
                    break;
                }
                first
            };
            // The machine starts again, later, with another clock reading.
            let house = open(folder.path());
            let later = begin.plus(60);
            house.custody.recover(later).await.unwrap();
            balanced(&house).await;
            let retry = house.custody.sign(&token, &hospital(), order, later).await.unwrap();
            if let Ok(first) = first {
                assert_eq!(retry.signature, first.signature, "step {n} {how:?}");
            }
            let again = house.custody.sign(&token, &hospital(), order, later).await.unwrap();
            assert_eq!(again.signature, retry.signature);
            signed_so_far += 1;
            let books = balanced(&house).await;
            assert_eq!(books.consumed, signed_so_far, "step {n} {how:?}");
            let left = house.custody.budget(budget.id).await.unwrap().left;
            assert_eq!(u64::from(left), 300 - signed_so_far, "step {n} {how:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_device_call_breaks_an_order_has_one_signature_and_the_books_balance() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    drop(house);
    let mut signed_so_far = 0;
    for how in DEVICE_BREAKS {
        for n in 1.. {
            let begin = NOW.plus(100 * signed_so_far);
            let order = order(u8::try_from(signed_so_far).unwrap());
            let house = open(folder.path());
            house.custody.recover(begin).await.unwrap();
            house.anomalies.plan_any(n, how);
            let (custody, bearer) = (house.custody.clone(), token.clone());
            let signing = async move { custody.sign(&bearer, &hospital(), order, begin).await };
            let first = or_the_devices_end(&house, signing).await;
            let happened = house.anomalies.happened();
            drop(house);
            // The machine starts again, later, with another clock reading.
            let house = open(folder.path());
            let later = begin.plus(60);
            house.custody.recover(later).await.unwrap();
            balanced(&house).await;
            let retry = house.custody.sign(&token, &hospital(), order, later).await.unwrap();
            let again = house.custody.sign(&token, &hospital(), order, later).await.unwrap();
            assert_eq!(again.signature, retry.signature);
            match &first {
                Ok(first) => assert_eq!(retry.signature, first.signature, "call {n} {how:?}"),
                // Nobody is told to look for somebody who changed a row, or to stop using a key.
                failed => assert!(is_fault(failed), "call {n} {how:?}: {failed:?}"),
            }
            signed_so_far += 1;
            let books = balanced(&house).await;
            assert_eq!(books.consumed, signed_so_far, "call {n} {how:?}");
            let left = house.custody.budget(budget.id).await.unwrap().left;
            assert_eq!(u64::from(left), 300 - signed_so_far, "call {n} {how:?}");
            assert_eq!(house.custody.alarms(NOW).await.unwrap(), [], "call {n} {how:?}");
            if !happened {
                assert!(n > 7, "only {n} calls of the device in a signature ({how:?})");
                assert!(first.is_ok());
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_device_that_fails_gives_the_draw_back_and_the_retry_signs_what_was_composed() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    for (begin, anomaly, call, nth) in [
        (NOW, Anomaly::FailBefore, Call::Load, 1),
        (NOW.plus(1_000), Anomaly::FailBefore, Call::Sign, 2),
        (NOW.plus(2_000), Anomaly::FailAfter, Call::Sign, 2),
    ] {
        let order = order(1);
        house.anomalies.plan(call, nth, anomaly);
        assert!(is_fault(&house.custody.sign(&token, &hospital(), order, begin).await));
        let books = balanced(&house).await;
        assert_eq!(books.released, 1);
        let waiting = house.custody.answer(&facility(), order.number, begin).await;
        assert_eq!(code(waiting), "order-in-progress");

        let later = begin.plus(300);
        let retry = house.custody.sign(&token, &hospital(), order, later).await.unwrap();
        assert_eq!(retry.signing_time, begin, "the stored SignedInfo is used");
        assert_eq!(balanced(&house).await.released, 0);
    }
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 297);
}

#[tokio::test]
async fn an_interrupted_order_is_resumed_for_ten_minutes() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    let (soon, late) = (order(1), order(2));
    for order in [soon, late] {
        house.anomalies.plan(Call::Sign, 2, Anomaly::FailAfter);
        assert!(is_fault(&house.custody.sign(&token, &hospital(), order, NOW).await));
    }
    assert!(house.custody.sign(&token, &hospital(), soon, NOW.plus(600)).await.is_ok());
    let refused = house.custody.sign(&token, &hospital(), late, NOW.plus(601)).await;
    assert_eq!(code(refused), "order-interrupted");
    let asked = house.custody.answer(&facility(), late.number, NOW.plus(601)).await;
    assert_eq!(code(asked), "order-interrupted");
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 299);
}

#[tokio::test]
async fn an_order_interrupted_under_one_session_is_resumed_under_the_next() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let first = morning(&house, &doctor).await;
    let order = order(1);
    let before = token(&house, &first);
    house.anomalies.plan(Call::Load, 1, Anomaly::FailBefore);
    assert!(is_fault(&house.custody.sign(&before, &hospital(), order, NOW).await));
    house.custody.end_budget(first.id, NOW).await.unwrap();
    assert_eq!(code(house.custody.sign(&before, &hospital(), order, NOW).await), "token-ended");

    let second = morning(&house, &doctor).await;
    let after = token(&house, &second);
    let signed = house.custody.sign(&after, &hospital(), order, NOW.plus(1)).await.unwrap();
    assert_eq!((signed.left, signed.signing_time), (299, NOW));
    balanced(&house).await;
    assert_eq!(house.custody.budget(first.id).await.unwrap().left, 300);
}

#[tokio::test]
async fn another_document_in_an_interrupted_orders_row_is_not_signed() {
    for (digest, signing_time) in [([7; 32], NOW), ([1; 32], NOW.plus(86_400))] {
        let folder = tempdir().unwrap();
        let house = found(folder.path());
        let doctor = physician(&house).await;
        let budget = morning(&house, &doctor).await;
        let token = token(&house, &budget);
        let order = order(1);
        house.anomalies.plan(Call::Load, 1, Anomaly::FailBefore);
        assert!(is_fault(&house.custody.sign(&token, &hospital(), order, NOW).await));
        // Everything that the row is composed of is known to whoever can write it.
        let certificate = house.custody.key(doctor.key).await.unwrap().certificate.unwrap();
        let mark = [1, 2, 3, 4];
        let recipe = Recipe { kind: order.kind, digest, signing_time, mark };
        let dtbsr = Draft::new(&recipe, &Signer::new(&certificate)).dtbsr();
        let sql = "UPDATE custody_activation SET digest = $1, signing_time = $2, mark = $3,
                       dtbsr = $4";
        let values = [digest.into(), signing_time.into(), (&mark).into(), dtbsr.into()];
        assert_eq!(by_sql(&house, sql, values.into()).await, 1);
        let again = house.custody.sign(&token, &hospital(), order, NOW.plus(1)).await;
        assert!(is_fault(&again), "{again:?}");
        assert_eq!(balanced(&house).await.consumed, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_device_that_answers_after_its_lease_delivers_nothing() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.sign(&token, &hospital(), order(9), NOW).await.unwrap();
    let order = order(1);
    house.anomalies.plan(Call::Sign, 2, Anomaly::Hang);
    let late = {
        let (custody, token) = (house.custody.clone(), token.clone());
        tokio::spawn(async move { custody.sign(&token, &hospital(), order, NOW).await })
    };
    let anomalies = house.anomalies.clone();
    tokio::task::spawn_blocking(move || anomalies.until_hanging()).await.unwrap();

    let soon = house.custody.sign(&token, &hospital(), order, NOW.plus(29)).await;
    assert_eq!(code(soon), "order-in-progress");
    assert_eq!(house.custody.sweep(NOW.plus(29)).await.unwrap().released, 0);
    assert_eq!(house.custody.sweep(NOW.plus(30)).await.unwrap().released, 1);
    // The vault has two threads, so the retry does not wait for the one that hangs.
    let retry = house.custody.sign(&token, &hospital(), order, NOW.plus(31)).await.unwrap();
    house.anomalies.release();
    assert_eq!(code(late.await.unwrap()), "activation-spent");
    let again = house.custody.sign(&token, &hospital(), order, NOW.plus(32)).await.unwrap();
    assert_eq!(again.signature, retry.signature);
    let books = balanced(&house).await;
    assert_eq!((books.consumed, books.released), (2, 0));
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 298);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_stops_waiting_does_not_stop_the_signature() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.sign(&token, &hospital(), order(9), NOW).await.unwrap();
    let order = order(1);
    house.anomalies.plan(Call::Sign, 2, Anomaly::Hang);
    let asking = {
        let (custody, token) = (house.custody.clone(), token.clone());
        tokio::spawn(async move { custody.sign(&token, &hospital(), order, NOW).await })
    };
    let anomalies = house.anomalies.clone();
    tokio::task::spawn_blocking(move || anomalies.until_hanging()).await.unwrap();
    asking.abort();
    let _ = asking.await;
    house.anomalies.release();
    // The work goes on by itself; asking again meets it under way or done.
    loop {
        match house.custody.sign(&token, &hospital(), order, NOW).await {
            Ok(_) => break,
            refused => assert_eq!(code(refused), "order-in-progress"),
        }
        tokio::task::yield_now().await;
    }
    let books = balanced(&house).await;
    assert_eq!((books.consumed, books.released), (2, 0));
}

#[test]
fn all_of_this_is_so_on_softhsm_too() {
    common::again_on_softhsm(&[]);
}
