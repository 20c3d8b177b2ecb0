//! Many entries in one unit of work: all or none, one checkpoint, a receipt each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use ledger::tlog::Proof;
use ledger::{Break, Failed, Fault, Faults, Intention, Ledger, Note, Outcome, Receipt, Refusal};

type Answer<K> = Result<(u64, Vec<Receipt<K>>), Failed<Refusal>>;

/// Intentions for the keys `0..keys` in turn, and the index where the first of them stands.
async fn intend(ledger: &Ledger, count: usize, keys: u8) -> Answer<Intention> {
    ledger
        .record_many(move |tx| {
            let entries = (0..count).map(|n| Intention(intention(key(n as u8 % keys))));
            count_in(tx)?;
            Ok((tx.next_index()?, entries.collect()))
        })
        .await
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_thousand_intentions_and_their_outcomes_are_two_units_of_work_and_each_is_proven() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    add_note(&ledger, key(3)).await.unwrap();
    let (first, intended) = intend(&ledger, 1000, 7).await.unwrap();
    assert_eq!((first, intended.len()), (1, 1000));
    let indexes: Vec<u64> = intended.iter().map(Receipt::index).collect();
    assert_eq!(indexes, (1..=1000).collect::<Vec<_>>());

    let closes: Vec<_> = intended.iter().map(|r| (r.record().key.unwrap(), r.index())).collect();
    let closing = closes.clone();
    let made: Result<_, Failed<Refusal>> = ledger
        .record_many(move |_| {
            let outcomes = closing.iter().map(|(key, index)| Outcome(outcome(*key, *index)));
            Ok(((), outcomes.collect()))
        })
        .await;
    let ((), made) = made.unwrap();
    assert_eq!(ledger.size(), 2001);
    let note = made[0].checkpoint();
    for (receipt, (key, closes)) in made.iter().zip(&closes) {
        assert_eq!(receipt.checkpoint(), note);
        let entry = Proof::parse(&receipt.proof()).unwrap().verify(ledger.verify_key()).unwrap();
        assert_eq!((entry.index, entry.checkpoint.size), (receipt.index(), 2001));
        assert_eq!(entry.opening.record.key, Some(*key));
        assert_eq!(entry.opening.record.outcome.unwrap().intention_index, *closes);
    }
    let report = audit(folder.path(), &[note]);
    assert!(report.is_whole(), "{:?}", report.problems);
    assert_eq!((report.entries, report.streams), (2001, 7));
    assert!(report.open_intentions.is_empty());
}

#[tokio::test]
async fn entries_of_one_stream_in_one_batch_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let (_, batch) = intend(&ledger, 5, 1).await.unwrap();
    let later = add_note(&ledger, key(0)).await.unwrap();
    let mut before = None;
    for receipt in &batch {
        let entry = Proof::parse(&receipt.proof()).unwrap().verify(ledger.verify_key()).unwrap();
        assert_eq!(entry.opening.previous, before);
        assert_eq!(entry.opening.seq, receipt.index() + 1);
        before = Some(*receipt.commitment());
    }
    assert_eq!(later.seq(), 6);
    assert!(audit(folder.path(), &[]).is_whole());
}

#[tokio::test]
async fn one_entry_that_cannot_be_recorded_leaves_nothing_of_its_batch_and_hurts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let (_, intended) = intend(&ledger, 3, 3).await.unwrap();
    let closes: Vec<_> = intended.iter().map(|r| (r.record().key.unwrap(), r.index())).collect();
    let wrong = |last: Outcome| {
        let (ledger, closes) = (ledger.clone(), closes.clone());
        async move {
            let answer: Result<((), Vec<Receipt<Outcome>>), Failed<Refusal>> = ledger
                .record_many(move |tx| {
                    count_in(tx)?;
                    let good = closes.iter().map(|(key, index)| Outcome(outcome(*key, *index)));
                    Ok(((), good.chain([last.clone()]).collect()))
                })
                .await;
            answer.unwrap_err()
        }
    };
    let of_the_future = Outcome(outcome(key(1), 99));
    let of_another_kind = Outcome(note(key(1)));
    for odd in [of_the_future, of_another_kind] {
        // Beside a neighbour who may share the group.
        let (failed, neighbour) = tokio::join!(wrong(odd), add_note(&ledger, key(9)));
        assert!(matches!(failed, Failed::Fault(Fault::Misuse(_))), "{failed:?}");
        neighbour.unwrap();
    }
    assert_eq!((ledger.size(), counted(&ledger).await), (5, 1));
    let report = audit(folder.path(), &[]);
    assert!(report.is_whole(), "{:?}", report.problems);
    assert_eq!(report.open_intentions, [0, 1, 2]);
}

#[tokio::test]
async fn a_batch_that_finds_everything_done_is_answered_without_entries() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let answer: Answer<Note> = ledger.record_many(|tx| Ok((tx.next_index()?, Vec::new()))).await;
    let (next, receipts) = answer.unwrap();
    assert_eq!((next, receipts.len(), ledger.size()), (0, 0, 0));
}

#[tokio::test]
async fn a_batch_is_all_there_or_not_at_all_after_each_step_failed_in_each_way() {
    for how in Break::ALL {
        for n in 1.. {
            let folder = tempfile::tempdir().unwrap();
            let faults = Faults::new();
            let ledger = open_with(folder.path(), &faults);
            add_note(&ledger, key(1)).await.unwrap();
            faults.arm(n, how);
            let told = intend(&ledger, 6, 2).await;
            let happened = faults.happened();
            faults.disarm();
            if !matches!(how, Break::DieBefore | Break::DieAfter) {
                // A store that goes on goes on in order.
                add_note(&ledger, key(2)).await.unwrap();
            }
            drop(ledger);
            let ledger = open(folder.path());
            let batch = counted(&ledger).await;
            let report = audit(folder.path(), &[]);
            assert!(report.is_whole(), "{how:?} {n}: {:?}", report.problems);
            assert_eq!(report.open_intentions.len() as i64, 6 * batch, "{how:?} {n}");
            assert!(told.is_err() || batch == 1, "{how:?} {n}: told of what is lost");
            if !happened {
                assert!(told.is_ok());
                break;
            }
        }
    }
}
