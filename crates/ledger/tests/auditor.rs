//! The auditor reads everything and can change and sign nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use hpki::sign::Sign as _;
use ledger::tlog::{Proof, VerifyKey};
use ledger::{Auditor, Event, Failed, Refusal, Wanted};

fn log() -> VerifyKey {
    VerifyKey::from_spki(ORIGIN, LogKey::new(7).spki_der()).unwrap()
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn the_auditor_reads_beside_a_running_platform_and_sees_what_is_committed_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let intended = add_intention(&ledger, key(1)).await.unwrap();
    let auditor = Auditor::open(engine::place(folder.path()), None, log()).unwrap();
    let events = |wanted: &Wanted| {
        let mut events = Vec::new();
        let each = |shown: ledger::Shown| {
            events.push((shown.index, shown.opening.unwrap().record.event));
            true
        };
        auditor.entries(wanted, each).unwrap();
        events
    };
    assert_eq!(events(&Wanted::default()), [(0, Event::SignatureIntended)]);
    add_outcome(&ledger, key(1), intended.index()).await.unwrap();
    for number in 0..3000_u64 {
        if number % 1000 == 0 {
            add_note(&ledger, key(2)).await.unwrap();
        }
    }
    let all = events(&Wanted::default());
    assert_eq!(all.len(), 5);
    let of = |wanted: Wanted| events(&wanted).iter().map(|(index, _)| *index).collect::<Vec<_>>();
    assert_eq!(of(Wanted { key: Some(key(2)), ..Wanted::default() }), [2, 3, 4]);
    let facility = "1310000001".parse().ok();
    assert_eq!(of(Wanted { facility, ..Wanted::default() }), [0]);
    assert_eq!(of(Wanted { signature_hash: Some([9; 32]), ..Wanted::default() }), [1]);
    assert_eq!(of(Wanted { since: Some(NOW), ..Wanted::default() }), [0, 1, 2, 3, 4]);
    assert_eq!(of(Wanted { until: Some(NOW), ..Wanted::default() }), [0_u64; 0]);
    let (proof, _) = auditor.prove(4).unwrap();
    assert_eq!(Proof::parse(&proof).unwrap().verify(&log()).unwrap().index, 4);
    let beyond = auditor.prove(5);
    assert_eq!(beyond, Err(Failed::Refused(Refusal::JournalNoSuchEntry(5))));
}

#[tokio::test]
async fn the_auditor_can_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    add_note(&ledger, key(1)).await.unwrap();
    let auditor = Auditor::open(engine::place(folder.path()), None, log()).unwrap();
    for sql in [
        "INSERT INTO test_count (id, value) VALUES (1, 1)",
        "DELETE FROM test_seen",
        "PRAGMA query_only = false",
        "UPDATE test_seen SET idx = 1",
        "CREATE TABLE test_more (id INTEGER)",
    ] {
        let tried: Result<u64, Failed<Refusal>> = auditor.read(|tx| Ok(tx.exec(sql, &[])?));
        let again: Result<u64, Failed<Refusal>> =
            auditor.read(|tx| Ok(tx.exec("DELETE FROM test_count", &[])?));
        assert!(tried.is_err() || sql.starts_with("PRAGMA"), "{sql}");
        assert!(matches!(again, Err(Failed::Fault(_))), "{sql}");
    }
    // After the platform has ended, the file is opened as it lies there.
    drop(ledger);
    drop(auditor);
    let auditor = Auditor::open(engine::place(folder.path()), None, log()).unwrap();
    auditor.prove(0).unwrap();
    assert_eq!(counted(&open(folder.path())).await, 0);
}

#[tokio::test]
async fn the_auditor_is_told_if_the_journal_is_not_that_of_his_log_key() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let other = VerifyKey::from_spki(ORIGIN, LogKey::new(8).spki_der()).unwrap();
    let refused = Auditor::open(engine::place(folder.path()), None, other).map(|_| ());
    assert!(matches!(refused, Err(Failed::Refused(Refusal::LogKeyWrong(_)))));
}
