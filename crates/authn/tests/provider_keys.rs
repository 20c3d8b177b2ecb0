//! The keys that sign tokens take turns by the calendar, whatever restarts come between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{House, NOW};
use hpki::time::Timestamp;

const DAY_S: u64 = 86_400;

fn published(house: &House) -> Vec<String> {
    house.room().token_desk().published().into_iter().map(|key| key.kid).collect()
}

async fn turn(house: &House, now: Timestamp) -> bool {
    house.room().turn_keys(now).await.unwrap()
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
