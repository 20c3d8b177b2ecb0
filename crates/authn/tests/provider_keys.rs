//! The keys that sign tokens take turns by the calendar, whatever restarts come between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{House, NOW};
use hpki::time::Timestamp;

const DAY_S: u64 = 86_400;

fn published(house: &House) -> Vec<String> {
    house.room().token_desk().published().into_iter().map(|key| key.kid).collect()
}

fn verified(key: &hsm::TokenPublic, message: &[u8], signature: &[u8]) {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    let point = [&[4][..], &key.x, &key.y].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).unwrap();
}

async fn turn(house: &House, now: Timestamp) -> bool {
    house.room().turn_keys(now).await.unwrap()
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_key_is_published_two_days_before_it_signs_and_eighteen_hours_after() {
    let mut house = House::new();
    let first = house.room().token_desk().kid();
    let day = |days: u64| NOW.plus(days * DAY_S);
    assert!(!turn(&house, NOW).await);
    assert!(!turn(&house, day(28).minus(1)).await);
    assert_eq!(published(&house), std::slice::from_ref(&first));

    // Two days ahead the next one is published, and signs nothing.
    assert!(turn(&house, day(28)).await);
    let both = published(&house);
    assert_eq!((both.len(), both[0].as_str()), (2, first.as_str()));
    let next = both[1].clone();
    // A restart does not hurry it.
    house.reopen();
    house.room().resume_keys().await.unwrap();
    assert!(!turn(&house, day(30).minus(1)).await);
    assert_eq!(house.room().token_desk().kid(), first);

    // A month after the first began, the next one signs; what the first signed is still believed.
    turn(&house, day(30)).await;
    assert_eq!(house.room().token_desk().kid(), next);
    assert_eq!(published(&house), both);
    house.reopen();
    house.room().resume_keys().await.unwrap();
    assert_eq!(house.room().token_desk().kid(), next);
    assert!(!turn(&house, day(30).plus(18 * 3_600)).await);
    assert_eq!(published(&house), both);
    assert!(turn(&house, day(30).plus(19 * 3_600)).await);
    assert_eq!(published(&house), [next]);
}

#[tokio::test]
async fn a_platform_that_slept_for_a_month_publishes_before_it_signs() {
    let house = House::new();
    let first = house.room().token_desk().kid();
    turn(&house, NOW).await;
    let late = NOW.plus(90 * DAY_S);
    assert!(turn(&house, late).await);
    turn(&house, late.plus(2 * DAY_S - 1)).await;
    assert_eq!(house.room().token_desk().kid(), first);
    turn(&house, late.plus(2 * DAY_S)).await;
    assert_ne!(house.room().token_desk().kid(), first);
}

#[tokio::test]
async fn another_process_learns_of_a_new_key_two_days_before_it_signs() {
    let first = House::new();
    turn(&first, NOW).await;
    let second = first.replica();
    let day = |days: u64| NOW.plus(days * DAY_S);
    assert!(!turn(&second, day(28).minus(1)).await);
    assert_eq!(published(&first), published(&second));
    let old = first.room().token_desk().kid();

    assert!(turn(&first, day(28)).await);
    assert!(turn(&second, day(28).plus(30)).await, "to be pinned anew");
    let both = published(&first);
    assert_eq!((both.len(), &both), (2, &published(&second)));
    // It signs there no sooner than here.
    assert_eq!(second.room().token_desk().kid(), old);
    turn(&first, day(30)).await;
    let message = b"header.claims";
    let signed = first.room().token_desk().sign(message).unwrap();
    let new = second.room().token_desk().published().into_iter().nth(1).unwrap();
    verified(&new, message, &signed);
    assert_eq!(second.room().token_desk().kid(), old);
    turn(&second, day(30).plus(30)).await;
    assert_eq!(second.room().token_desk().kid(), both[1]);
    // The former is taken off by both once its last token has run out, and taken up by none.
    let over = day(30).plus(30 + 19 * 3_600);
    for _ in 0..2 {
        turn(&first, over).await;
        turn(&second, over).await;
        assert_eq!(published(&first), both[1..]);
        assert_eq!(published(&second), both[1..]);
    }
}

#[tokio::test]
async fn two_that_make_the_next_key_at_one_moment_publish_one() {
    let first = House::new();
    turn(&first, NOW).await;
    let second = first.replica();
    // Neither has heard of the other's.
    first.room().token_desk().prepare_next().unwrap();
    second.room().token_desk().prepare_next().unwrap();
    assert_ne!(published(&first), published(&second));
    turn(&first, NOW.plus(30)).await;
    turn(&second, NOW.plus(31)).await;
    assert_eq!(published(&first), published(&second));
    assert_eq!(first.room().token_desk().kid(), second.room().token_desk().kid());
}

#[tokio::test]
async fn a_key_that_somebody_wrote_into_the_database_is_not_taken() {
    let first = House::new();
    turn(&first, NOW).await;
    let stranger = House::new();
    turn(&stranger, NOW).await;
    stranger.room().token_desk().prepare_next().unwrap();
    let foreign = stranger.room().token_desk().blobs().unwrap().pop().unwrap();
    let before = published(&first);
    let write = async |name: &'static str, octets: Vec<u8>| {
        let (kid, octets) = (foreign.kid.clone(), octets.clone());
        first
            .ledger()
            .write(move |tx| {
                tx.exec("DELETE FROM authn_token_key WHERE kid = $1", &[(&kid).into()])?;
                tx.exec(
                    "INSERT INTO authn_token_key (kid, name, published, wrapped)
                     VALUES ($1, $2, $3, $4)",
                    &[(&kid).into(), name.into(), NOW.into(), (&octets).into()],
                )?;
                Ok::<_, ledger::Failed<authn::Refusal>>(())
            })
            .await
            .unwrap();
    };
    for (name, octets) in [
        // Wrapped by another device, under another name, and nothing at all.
        ("token-00000002", foreign.octets.clone()),
        ("root", foreign.octets.clone()),
        ("token-2", foreign.octets.clone()),
        ("token-00000002", vec![0; 40]),
    ] {
        write(name, octets).await;
        assert!(first.room().turn_keys(NOW.plus(30)).await.is_err(), "{name}");
        assert_eq!(published(&first), before);
    }
}

#[tokio::test]
async fn a_key_that_was_made_before_anything_was_written_of_it_does_not_sign_at_once() {
    let mut house = House::new();
    turn(&house, NOW).await;
    let first = house.room().token_desk().kid();
    // We die between making the next key and writing down that there is one.
    house.room().token_desk().prepare_next().unwrap();
    house.reopen();
    house.room().resume_keys().await.unwrap();
    assert_eq!(house.room().token_desk().kid(), first);
    let day = |days: u64| NOW.plus(days * DAY_S);
    turn(&house, day(29)).await;
    turn(&house, day(31).minus(1)).await;
    assert_eq!(house.room().token_desk().kid(), first, "published for less than two days");
    turn(&house, day(31)).await;
    assert_ne!(house.room().token_desk().kid(), first);
}
