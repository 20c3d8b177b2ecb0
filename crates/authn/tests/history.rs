//! The owner's phone reads the history of its key: whose, and who does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::*;
use wire::{Base64, HistoryAnswer, HistoryRequest};

async fn history(
    house: &House,
    device: &str,
    stream_key: &[u8],
    before: Option<u64>,
) -> Result<HistoryAnswer, ledger::Failed<authn::Refusal>> {
    let stream_key = Base64(stream_key.to_vec());
    house.room().history(&HistoryRequest { stream_key, before }, Some(device)).await
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_linked_phone_reads_its_own_keys_history_with_the_stream_key_it_was_given() {
    let house = House::new();
    let (phone, other) = (house.linked(1).await, house.linked(2).await);
    let page = history(&house, &phone.device, &phone.stream_key, None).await.unwrap().entries;
    let hers = house.ledger().stream(key(1).stream(), None, 100).await.unwrap();
    assert!(!page.is_empty() && page.len() == hers.len());
    for (given, kept) in page.iter().zip(&hers) {
        assert_eq!((given.index, &given.opening.0), (kept.index, &kept.opening));
        assert_eq!(given.salt.0, kept.salt);
    }
    let oldest = page.last().unwrap().index;
    let older = history(&house, &phone.device, &phone.stream_key, Some(oldest)).await.unwrap();
    assert_eq!(older.entries, []);

    // Another's stream key, a spoilt one, an unknown device, a phone linked no more.
    for wrong in [&other.stream_key[..], &phone.stream_key[..31], &[]] {
        let refused = history(&house, &phone.device, wrong, None).await;
        assert_eq!(code(refused), "stream-key-wrong");
    }
    let refused = history(&house, "AAAA", &phone.stream_key, None).await;
    assert_eq!(code(refused), "phone-not-linked");
    house.room().unlink(key(1), NOW).await.unwrap();
    let refused = history(&house, &phone.device, &phone.stream_key, None).await;
    assert_eq!(code(refused), "phone-not-linked");
}
