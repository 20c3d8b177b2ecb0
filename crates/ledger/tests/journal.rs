//! The journal: receipts, proofs that strangers check, heads, the outbox, and starting again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::HashSet;

use common::*;
use ledger::tlog::{Proof, VerifyKey};
use ledger::{
    Break, Event, Failed, Fault, Faults, HEAD_FILE, Intention, Ledger, Note, Options, Outcome,
    Refusal,
};

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_receipts_proof_convinces_a_stranger_who_has_only_the_log_key() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let log: VerifyKey = ledger.verify_key().to_string().parse().unwrap();
    let intended = add_intention(&ledger, key(1)).await.unwrap();
    let made = add_outcome(&ledger, key(1), intended.index()).await.unwrap();
    assert_eq!((intended.index(), made.index()), (0, 1));

    let entry = Proof::parse(&made.proof()).unwrap().verify(&log).unwrap();
    assert_eq!(entry.index, 1);
    assert_eq!(&entry.opening.record, made.record());
    assert_eq!(entry.opening.seq, 2);
    assert_eq!(entry.opening.previous.as_ref(), Some(intended.commitment()));
    assert_eq!(entry.opening.stream_key_hash, None);
    assert_eq!(entry.checkpoint.size, 2);
    let first = Proof::parse(&intended.proof()).unwrap().verify(&log).unwrap();
    assert!(first.opening.stream_key_hash.is_some());
    assert_eq!(ledger.checkpoint(), made.checkpoint());
}

#[tokio::test]
async fn no_changed_octet_of_a_proof_is_believed_to_be_another_entry() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for number in 0..5 {
        add_note(&ledger, key(number)).await.unwrap();
    }
    let receipt = add_intention(&ledger, key(1)).await.unwrap();
    let (text, log) = (receipt.proof(), ledger.verify_key());
    let genuine = Proof::parse(&text).unwrap().verify(log).unwrap();
    for position in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[position] ^= 1;
        let Ok(changed) = String::from_utf8(changed) else { continue };
        if let Ok(entry) = Proof::parse(&changed).and_then(|proof| proof.verify(log)) {
            panic!("position {position} may be changed: {entry:?} for {genuine:?}");
        }
    }
}

#[tokio::test]
async fn another_logs_signature_is_refused() {
    use hpki::sign::Sign as _;
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let receipt = add_note(&ledger, key(1)).await.unwrap();
    let proof = Proof::parse(&receipt.proof()).unwrap();
    for (origin, seed) in [(ORIGIN, 8), ("log.other.example", 7)] {
        let other = VerifyKey::from_spki(origin, LogKey::new(seed).spki_der()).unwrap();
        assert!(matches!(proof.verify(&other), Err(Refusal::CheckpointSignatureWrong(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_get_each_their_own_place_and_their_streams_stay_chained() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let mut tasks = Vec::new();
    for task in 0..16_u8 {
        let ledger = ledger.clone();
        tasks.push(tokio::spawn(async move {
            let mut proofs = Vec::new();
            for _ in 0..50 {
                let receipt = add_note(&ledger, key(task % 5)).await.unwrap();
                proofs.push((receipt.index(), receipt.proof()));
            }
            proofs
        }));
    }
    let mut places = HashSet::new();
    for task in tasks {
        for (index, proof) in task.await.unwrap() {
            let entry = Proof::parse(&proof).unwrap().verify(ledger.verify_key()).unwrap();
            assert_eq!(entry.index, index);
            assert!(places.insert(index));
        }
    }
    assert_eq!(places.len(), 800);
    assert_eq!(ledger.size(), 800);
    for index in [0, 1, 255, 256, 511, 799] {
        let proof = ledger.prove(index).await.unwrap();
        let entry = Proof::parse(&proof).unwrap().verify(ledger.verify_key()).unwrap();
        assert_eq!((entry.index, entry.checkpoint.size), (index, 800));
    }
    let report = audit(folder.path(), &[]);
    assert!(report.is_whole(), "{:?}", report.problems);
    assert_eq!((report.entries, report.streams), (800, 5));
}

#[tokio::test]
async fn each_checkpoint_is_a_continuation_of_every_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(folder.path());
    let mut heads = vec![ledger.verify_key().verify(&ledger.checkpoint()).unwrap()];
    for round in 0..20_u8 {
        // Sometimes over a restart: nothing may depend on what was in memory.
        if round % 7 == 3 {
            drop(ledger);
            ledger = open(folder.path());
        }
        for _ in 0..=round * 3 {
            add_note(&ledger, key(round)).await.unwrap();
        }
        heads.push(ledger.verify_key().verify(&ledger.checkpoint()).unwrap());
    }
    assert!(heads.last().unwrap().size > 512);
    for old in &heads {
        for new in &heads {
            if old.size > new.size {
                continue;
            }
            let path = ledger.consistency(old.size, new.size).await.unwrap();
            new.continues(old, &path).unwrap();
            let mut other = old.clone();
            other.root[0] ^= 1;
            assert!(matches!(new.continues(&other, &path), Err(Refusal::ConsistencyWrong(_))));
        }
    }
    let beyond = ledger.size() + 1;
    assert_eq!(
        ledger.consistency(1, beyond).await,
        Err(Failed::Refused(Refusal::JournalNoSuchEntry(beyond)))
    );
}

#[tokio::test]
async fn a_head_of_a_stream_is_seen_inside_the_unit_of_work_and_outside() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let stream = key(1).stream();
    assert_eq!(ledger.stream_head(stream).await.unwrap(), None);
    let receipt = add_note(&ledger, key(1)).await.unwrap();
    let outside = ledger.stream_head(stream).await.unwrap().unwrap();
    assert_eq!((outside.seq, &outside.commitment), (1, receipt.commitment()));
    let inside: Result<_, Failed<Refusal>> =
        ledger.write(move |tx| Ok(tx.stream_head(&stream)?)).await;
    assert_eq!(inside.unwrap(), Some(outside));
    drop(ledger);
    let ledger = open(folder.path());
    assert_eq!(ledger.stream_head(stream).await.unwrap(), Some(outside));
    assert_eq!(ledger.last_time(), Some(NOW));
}

#[tokio::test]
async fn a_record_cannot_be_passed_off_as_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let attempts: Vec<Result<(), Failed<Refusal>>> = vec![
        ledger.record(|_| Ok(((), Intention(note(key(1)))))).await.map(|_| ()),
        ledger.record(|_| Ok(((), Note(intention(key(1)))))).await.map(|_| ()),
        ledger.record(|_| Ok(((), Outcome(intention(key(1)))))).await.map(|_| ()),
        // An outcome of something that has not been written yet.
        ledger.record(|_| Ok(((), Outcome(outcome(key(1), 0))))).await.map(|_| ()),
    ];
    for attempt in attempts {
        assert!(matches!(attempt, Err(Failed::Fault(Fault::Misuse(_)))), "{attempt:?}");
    }
    assert_eq!(ledger.size(), 0);
}

#[tokio::test]
async fn a_message_waits_in_the_outbox_until_it_is_delivered_and_holds_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let pending = || {
        let ledger = ledger.clone();
        async move {
            let pending: Result<bool, Failed<Refusal>> =
                ledger.read(|tx| Ok(tx.outbox_pending(&key(1))?)).await;
            pending.unwrap()
        }
    };
    assert!(!pending().await);
    let refused: Result<(), _> = ledger
        .write(|tx| {
            tx.outbox("revocation", Some(key(1)), "undone")?;
            Err(Failed::Refused(Refusal::ProofWrong))
        })
        .await;
    assert!(refused.is_err());
    assert!(!pending().await);
    let written: Result<(), Failed<Refusal>> = ledger
        .write(|tx| {
            tx.outbox("revocation", Some(key(1)), "{}")?;
            Ok(tx.outbox("notice", None, "to all")?)
        })
        .await;
    written.unwrap();
    drop(ledger);
    let ledger = open(folder.path());
    let waiting = ledger.undelivered().await.unwrap();
    assert_eq!(waiting.len(), 2);
    assert_eq!((waiting[0].topic.as_str(), waiting[0].concerns), ("revocation", Some(key(1))));
    assert_eq!((waiting[1].payload.as_str(), waiting[1].concerns), ("to all", None));
    ledger.delivered(waiting[0].id).await.unwrap();
    ledger.delivered(waiting[0].id).await.unwrap();
    assert_eq!(ledger.undelivered().await.unwrap(), waiting[1..]);
    let pending: Result<bool, Failed<Refusal>> =
        ledger.read(|tx| Ok(tx.outbox_pending(&key(1))?)).await;
    assert!(!pending.unwrap());
}

#[tokio::test]
async fn a_database_put_back_to_yesterday_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let yesterday = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    add_note(&ledger, key(1)).await.unwrap();
    drop(ledger);
    engine::copy(folder.path(), yesterday.path());
    let ledger = open(folder.path());
    add_note(&ledger, key(1)).await.unwrap();
    drop(ledger);
    engine::copy_database(yesterday.path(), folder.path());
    let refusal = refusal(Ledger::open(opening(folder.path())));
    assert!(matches!(refusal, Refusal::JournalRolledBack(_)), "{refusal}");
}

#[tokio::test]
async fn a_database_that_was_put_back_and_continued_otherwise_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    add_note(&ledger, key(1)).await.unwrap();
    drop(ledger);
    engine::copy(folder.path(), other.path());
    let ledger = open(folder.path());
    add_note(&ledger, key(2)).await.unwrap();
    drop(ledger);
    // The fork is longer, and made by the genuine program with the genuine keys.
    let fork = open(other.path());
    for _ in 0..3 {
        add_note(&fork, key(3)).await.unwrap();
    }
    drop(fork);
    engine::copy_database(other.path(), folder.path());
    let refusal = refusal(Ledger::open(opening(folder.path())));
    assert!(matches!(refusal, Refusal::JournalRolledBack(_)), "{refusal}");
}

#[tokio::test]
async fn a_head_kept_elsewhere_notices_a_whole_folder_put_back() {
    let place = tempfile::tempdir().unwrap();
    let (folder, yesterday) = (place.path().join("store"), place.path().join("yesterday"));
    let options = || Options { head: Some(place.path().join("head")), faults: None };
    let ledger = Ledger::open_with(opening(&folder), options()).unwrap();
    add_note(&ledger, key(1)).await.unwrap();
    drop(ledger);
    engine::copy(&folder, &yesterday);
    let ledger = Ledger::open_with(opening(&folder), options()).unwrap();
    add_note(&ledger, key(1)).await.unwrap();
    drop(ledger);
    let refusal = refusal(Ledger::open_with(opening(&yesterday), options()));
    assert!(matches!(refusal, Refusal::JournalRolledBack(_)), "{refusal}");
}

#[tokio::test]
async fn a_missing_or_unreadable_head_file_is_refused_once_there_are_entries() {
    let folder = tempfile::tempdir().unwrap();
    let head = folder.path().join(HEAD_FILE);
    drop(open(folder.path()));
    std::fs::remove_file(&head).unwrap();
    let ledger = open(folder.path());
    add_note(&ledger, key(1)).await.unwrap();
    drop(ledger);
    let genuine = std::fs::read(&head).unwrap();
    std::fs::remove_file(&head).unwrap();
    let missing = refusal(Ledger::open(opening(folder.path())));
    assert!(matches!(missing, Refusal::JournalHeadMissing(_)));
    std::fs::write(&head, vec![0; genuine.len()]).unwrap();
    let blank = refusal(Ledger::open(opening(folder.path())));
    assert!(matches!(blank, Refusal::JournalHeadMissing(_)));
    std::fs::write(&head, genuine).unwrap();
    assert_eq!(open(folder.path()).size(), 1);
}

#[tokio::test]
async fn a_head_file_with_one_torn_place_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let head = folder.path().join(HEAD_FILE);
    for place in 0..2 {
        let ledger = open(folder.path());
        // Closing syncs and turns to the other place, so after this both are filled.
        add_note(&ledger, key(1)).await.unwrap();
        drop(ledger);
        drop(open(folder.path()));
        let mut octets = std::fs::read(&head).unwrap();
        octets[place * 4096 + 20..place * 4096 + 512].fill(0xff);
        std::fs::write(&head, octets).unwrap();
        assert_eq!(open(folder.path()).size(), place as u64 + 1);
    }
}

#[tokio::test]
async fn another_log_key_or_name_cannot_take_a_journal_over() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let mut other = opening(folder.path());
    other.log = std::sync::Arc::new(LogKey::new(8));
    assert!(matches!(refusal(Ledger::open(other)), Refusal::LogKeyWrong(_)));
    for origin in ["log.azukari.example/other", "", "a b", "a+b", "a\nb"] {
        let mut other = opening(folder.path());
        other.origin = origin.to_owned();
        assert!(matches!(refusal(Ledger::open(other)), Refusal::LogKeyWrong(_)), "{origin:?}");
    }
}

#[tokio::test]
async fn a_tree_longer_than_the_head_file_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let head = folder.path().join(HEAD_FILE);
    let ledger = open(folder.path());
    add_note(&ledger, key(1)).await.unwrap();
    drop(ledger);
    // As if we had died after the commit and before the head was written.
    let before = std::fs::read(&head).unwrap();
    let ledger = open(folder.path());
    for _ in 0..300 {
        add_note(&ledger, key(1)).await.unwrap();
    }
    drop(ledger);
    std::fs::write(&head, before).unwrap();
    let ledger = open(folder.path());
    assert_eq!(ledger.size(), 301);
    let checkpoint = ledger.verify_key().verify(&ledger.checkpoint()).unwrap();
    assert_eq!(checkpoint.size, 301);
    let report = audit(folder.path(), &[]);
    assert!(report.is_whole(), "{:?}", report.problems);
}

/// One unit of work of every shape; answers how many entries were acknowledged.
async fn walk(ledger: &Ledger) -> Result<u64, Failed<Refusal>> {
    count(ledger).await?;
    let intended = ledger
        .record(|tx| {
            count_in(tx)?;
            tx.outbox("test", None, "{}")?;
            Ok(((), Intention(intention(key(1)))))
        })
        .await?
        .1;
    let made = add_outcome(ledger, key(1), intended.index()).await?;
    Ok(made.index() + 1)
}

#[tokio::test]
async fn the_books_balance_after_each_step_failed_in_each_way() {
    // 255 entries before, so that the walk fills a tile.
    let before = tempfile::tempdir().unwrap();
    let ledger = open(before.path());
    for _ in 0..255 {
        add_note(&ledger, key(2)).await.unwrap();
    }
    drop(ledger);
    for how in Break::ALL {
        for n in 1.. {
            let folder = tempfile::tempdir().unwrap();
            engine::copy(before.path(), folder.path());
            let faults = Faults::new();
            let ledger = open_with(folder.path(), &faults);
            faults.arm(n, how);
            let first = walk(&ledger).await;
            let happened = faults.happened();
            assert_eq!(first.is_err(), happened, "{how:?} at step {n}: {first:?}");
            let dying = matches!(how, Break::DieBefore | Break::DieAfter) && happened;
            // A store that was only hurt goes on, one that died is opened again.
            faults.disarm();
            if !dying {
                walk(&ledger).await.unwrap();
            }
            drop(ledger);
            let ledger = open(folder.path());
            let size = walk(&ledger).await.unwrap();
            let (counted, messages) = (counted(&ledger).await, ledger.undelivered().await.unwrap());
            let checkpoint = ledger.checkpoint();
            drop(ledger);
            let report = audit(folder.path(), &[&checkpoint]);
            assert!(report.is_whole(), "{how:?} at step {n}: {:?}", report.problems);
            assert_eq!(report.entries, size);
            // A unit of work is whole: each intention came with its message and its count.
            let outcomes = (size - 255 - report.open_intentions.len() as u64) / 2;
            let intentions = outcomes + report.open_intentions.len() as u64;
            assert_eq!(messages.len() as u64, intentions, "{how:?} at step {n}");
            assert!(counted as u64 >= 2 * intentions, "{how:?} at step {n}");
            if !happened {
                assert!(n > 12, "the walk has more steps than {n}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn when_no_checkpoint_can_be_signed_the_entry_is_durable_and_the_next_one_covers_it() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::new();
    let ledger = open_with(folder.path(), &faults);
    // Head of the stream, entry, row of the stream, head row, commit, and then the signing.
    faults.arm(6, Break::Before);
    let unproven = add_note(&ledger, key(1)).await;
    assert!(matches!(unproven, Err(Failed::Fault(Fault::Unproven(_)))), "{unproven:?}");
    assert_eq!(ledger.size(), 0);
    let next = add_note(&ledger, key(1)).await.unwrap();
    assert_eq!((next.index(), next.seq()), (1, 2));
    let first = Proof::parse(&ledger.prove(0).await.unwrap()).unwrap();
    assert_eq!(first.verify(ledger.verify_key()).unwrap().opening.record.event, Event::KeyHeld);
}
