//! A copy that is taken while everybody writes is one moment of the ledger, and goes on elsewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::os::unix::fs::PermissionsExt as _;

use common::*;
use hpki::refusal::Refuse as _;
use hpki::sign::Sign as _;
use ledger::tlog::VerifyKey;
use ledger::{Failed, HEAD_FILE, copy};

fn code(result: Result<(), Failed<ledger::Refusal>>) -> &'static str {
    match result {
        Err(Failed::Refused(refusal)) => refusal.code(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_taken_while_others_write_is_whole_and_is_continued_elsewhere() {
    let (from, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ledger = open(from.path());
    for number in 1..=20 {
        add_note(&ledger, key(number)).await.unwrap();
    }
    let kept = ledger.checkpoint();
    let writing = tokio::spawn({
        let ledger = ledger.clone();
        async move {
            for number in 0..200_u8 {
                add_note(&ledger, key(number % 40 + 1)).await.unwrap();
            }
        }
    });
    let (source, target) = (from.path().to_owned(), into.path().to_owned());
    tokio::task::spawn_blocking(move || copy::copy(&source, &target)).await.unwrap().unwrap();
    writing.await.unwrap();
    let later = ledger.checkpoint();
    drop(ledger);

    let database = into.path().join("store.sqlite");
    assert_eq!(std::fs::metadata(&database).unwrap().permissions().mode() & 0o777, 0o600);
    let again = copy::copy(from.path(), into.path());
    assert!(matches!(again, Err(Failed::Fault(_))), "a copy is never overwritten");
    // Without a head it is not opened; with that of another log, or a second one, neither.
    assert_eq!(refusal(ledger::Ledger::open(opening(into.path()))).code(), "journal-head-missing");
    std::fs::remove_file(into.path().join(HEAD_FILE)).unwrap();
    let other = VerifyKey::from_spki(ORIGIN, LogKey::new(8).spki_der()).unwrap();
    assert_eq!(code(copy::place_head(into.path(), &kept, &other)), "checkpoint-signature-wrong");
    let log = VerifyKey::from_spki(ORIGIN, LogKey::new(7).spki_der()).unwrap();
    copy::place_head(into.path(), &kept, &log).unwrap();
    assert_eq!(code(copy::place_head(into.path(), &kept, &log)), "journal-rolled-back");

    let restored = open(into.path());
    assert!(restored.size() >= 20);
    add_note(&restored, key(1)).await.unwrap();
    drop(restored);
    assert!(audit(into.path(), &[&kept]).is_whole());
    let report = audit(into.path(), &[&later]);
    assert!(!report.is_whole(), "what was lost is noticed by whoever kept a later checkpoint");
}
