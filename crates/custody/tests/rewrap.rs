//! Every kept key's wrapped form is replaced, interrupted and resumed, and nothing else is changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::cell::Cell;
use std::collections::BTreeSet;

use common::*;
use custody::{Consent, Purpose, Rewrapped};
use hpki::id::{KeyId, PersonId};
use hpki::qualification::Qualification;
use hpki::refusal::Refuse as _;
use hsm::SystemRandom;
use ledger::Failed;

/// What a device with another key-encryption key would answer: its version is octets 6 to 9.
fn under(version: u32, wrapped: &[u8]) -> Vec<u8> {
    let mut fresh = wrapped.to_vec();
    fresh[6..10].copy_from_slice(&version.to_be_bytes());
    fresh
}

async fn keys(house: &House, count: usize) -> BTreeSet<KeyId> {
    let mut keys = BTreeSet::new();
    for _ in 0..count {
        let consent = Consent { document: [7; 32] };
        let owner = PersonId::random(&SystemRandom);
        let made = house
            .custody
            .generate(owner, Qualification::MedicalDoctor, Purpose::Prescription, consent, NOW)
            .await;
        keys.insert(made.unwrap().key);
    }
    keys
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn each_key_is_wrapped_once_also_after_an_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let house = found(folder.path());
    let keys = keys(&house, 5).await;
    let gone = *keys.first().unwrap();
    common::office::destroyed(&house, gone).await;

    // The device fails at the third key: nothing of this batch is committed.
    let calls = Cell::new(0);
    let failing = |wrapped: &[u8], _: KeyId, _: PersonId| {
        calls.set(calls.get() + 1);
        if calls.get() == 3 {
            return Err(hsm::Failed::Fault(hpki::sign::DeviceFault("it is gone".into())));
        }
        Ok(under(2, wrapped))
    };
    assert!(matches!(house.custody.rewrap(2, failing, |_| {}).await, Err(Failed::Fault(_))));

    let told = Cell::new(Rewrapped::default());
    let seen = std::cell::RefCell::new(BTreeSet::new());
    let wrap = |wrapped: &[u8], key: KeyId, _: PersonId| {
        seen.borrow_mut().insert(key);
        Ok(under(2, wrapped))
    };
    let sum = house.custody.rewrap(2, wrap, |progress| told.set(progress)).await.unwrap();
    assert_eq!(sum, Rewrapped { done: 4, already: 0, of: 4 });
    assert_eq!(told.get(), sum);
    assert!(!seen.borrow().contains(&gone), "what is destroyed is not there to be wrapped");
    let again = |_: &[u8], _: KeyId, _: PersonId| -> Result<Vec<u8>, hsm::Failed> { panic!() };
    let sum = house.custody.rewrap(2, again, |_| {}).await.unwrap();
    assert_eq!(sum, Rewrapped { done: 0, already: 4, of: 4 });
    // The rows' seals still hold.
    for key in keys {
        house.custody.key(key).await.unwrap();
    }
}

#[tokio::test]
async fn another_key_in_the_place_of_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let house = found(folder.path());
    keys(&house, 2).await;
    let last = std::cell::RefCell::new(Vec::new());
    let exchanged = |wrapped: &[u8], _: KeyId, _: PersonId| {
        let before = last.replace(wrapped.to_vec());
        Ok(under(2, if before.is_empty() { wrapped } else { &before }))
    };
    match house.custody.rewrap(2, exchanged, |_| {}).await {
        Err(Failed::Refused(refusal)) => assert_eq!(refusal.code(), "blob-broken"),
        other => panic!("{other:?}"),
    }
    let stale = |wrapped: &[u8], _: KeyId, _: PersonId| Ok(wrapped.to_vec());
    assert!(matches!(house.custody.rewrap(2, stale, |_| {}).await, Err(Failed::Refused(_))));
}
