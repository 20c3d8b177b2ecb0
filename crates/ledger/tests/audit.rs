//! Someone with full power over the database file rewrites history; the audit says what is wrong.
//!
//! Each test first takes the triggers away, as an intruder would.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::*;
use hpki::encoding::sha256;
use ledger::audit::{Audit, Finding, Report};
use ledger::tlog::{VerifyKey, leaf_hash, tree};
use ledger::{Failed, HEAD_FILE, Ledger, Refusal};
use rusqlite::Connection;
use tempfile::TempDir;

/// 520 entries: two full tiles and a piece. Three streams of notes, and a fourth with an intention
/// and its outcome.
async fn town() -> (TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let mut checkpoints = Vec::new();
    for number in 0..518_u64 {
        let receipt = add_note(&ledger, key((number % 3) as u8)).await.unwrap();
        if number % 100 == 99 {
            checkpoints.push(receipt.checkpoint().to_owned());
        }
    }
    let intended = add_intention(&ledger, key(3)).await.unwrap();
    add_outcome(&ledger, key(3), intended.index()).await.unwrap();
    checkpoints.push(ledger.checkpoint());
    (folder, checkpoints)
}

fn intrude(folder: &TempDir) -> Connection {
    let database = Connection::open(folder.path().join("store.sqlite")).unwrap();
    let triggers: Vec<String> = database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(triggers.len() >= 9);
    for trigger in triggers {
        database.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    database
}

fn findings(report: &Report) -> Vec<Finding> {
    report.problems.iter().map(|problem| problem.finding).collect()
}

/// Tampers with a fresh town and audits it with the device, without it, and with a checkpoint.
async fn tampered(sql: &str) -> Report {
    let (folder, _) = town().await;
    intrude(&folder).execute_batch(sql).unwrap();
    audit(folder.path(), &[])
}

#[tokio::test]
async fn an_untouched_journal_is_whole_with_and_without_the_device_and_since_any_checkpoint() {
    let (folder, checkpoints) = town().await;
    let since: Vec<&str> = checkpoints.iter().map(String::as_str).collect();
    let report = audit(folder.path(), &since);
    assert!(report.is_whole(), "{:?}", report.problems);
    assert_eq!((report.entries, report.streams, report.since.len()), (520, 4, since.len()));
    assert_eq!(report.open_intentions, Vec::<u64>::new());
    let log = VerifyKey::from_spki(ORIGIN, hpki::sign::Sign::spki_der(&LogKey::new(7))).unwrap();
    let outsider =
        Audit { place: folder.path().into(), head: None, log: &log, streams: None, since: &since };
    assert!(ledger::audit::verify(&outsider).unwrap().is_whole());
}

#[tokio::test]
async fn the_triggers_stop_a_clumsy_hand() {
    let (folder, _) = town().await;
    let database = Connection::open(folder.path().join("store.sqlite")).unwrap();
    for sql in [
        "UPDATE ledger_entry SET salt = x'00' WHERE idx = 1",
        "DELETE FROM ledger_entry WHERE idx = 519",
        "INSERT INTO ledger_entry VALUES (521, zeroblob(65), 1, x'', x'')",
        "UPDATE ledger_stream SET seq = 1",
        "DELETE FROM ledger_stream",
        "UPDATE ledger_tile SET hashes = zeroblob(8192)",
        "DELETE FROM ledger_tile",
        "UPDATE ledger_head SET size = 1",
        "DELETE FROM ledger_head",
    ] {
        assert!(database.execute_batch(sql).is_err(), "{sql}");
    }
}

#[tokio::test]
async fn an_opening_that_was_rewritten_is_found() {
    let report = tampered(
        "UPDATE ledger_entry SET opening = CAST(replace(opening, 'key.held', 'key.hold') AS BLOB) WHERE idx = 7",
    )
    .await;
    assert!(findings(&report).contains(&Finding::OpeningWrong));
    let report = tampered("UPDATE ledger_entry SET salt = zeroblob(32) WHERE idx = 7").await;
    assert_eq!(findings(&report), [Finding::OpeningWrong]);
}

#[tokio::test]
async fn an_entry_that_was_rewritten_with_a_fitting_commitment_is_found() {
    let (folder, _) = town().await;
    let database = intrude(&folder);
    // The intruder knows the formats: another opening, its right commitment, the old label.
    let (entry, salt, opening): (Vec<u8>, Vec<u8>, Vec<u8>) = database
        .query_row("SELECT entry, salt, opening FROM ledger_entry WHERE idx = 300", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    let at = opening.windows(8).position(|part| part == NOW.seconds().to_be_bytes()).unwrap();
    let mut opening = opening;
    opening[at + 7] ^= 1;
    let commitment = hpki::encoding::Statement::new("azukari/journal/leaf/v1")
        .octets_field(&salt)
        .octets_field(&opening)
        .digest();
    let entry = [&entry[..33], &commitment].concat();
    database
        .execute(
            "UPDATE ledger_entry SET entry = ?1, opening = ?2 WHERE idx = 300",
            (entry, opening),
        )
        .unwrap();
    drop(database);
    let report = audit(folder.path(), &[]);
    for finding in
        [Finding::ChainBroken, Finding::TileWrong, Finding::HeadWrong, Finding::KeptContradicts]
    {
        assert!(findings(&report).contains(&finding), "{finding:?}");
    }
    assert!(!findings(&report).contains(&Finding::OpeningWrong));
}

#[tokio::test]
async fn a_deleted_entry_is_found_in_the_middle_and_at_the_end() {
    let report = tampered("DELETE FROM ledger_entry WHERE idx = 7").await;
    for finding in [Finding::EntryMissing, Finding::Renumbered, Finding::HeadWrong] {
        assert!(findings(&report).contains(&finding), "{finding:?}");
    }
    let report = tampered("DELETE FROM ledger_entry WHERE idx = 519").await;
    assert_eq!(
        findings(&report),
        [Finding::StreamRowWrong, Finding::HeadWrong, Finding::KeptContradicts],
        "the signed head outside is longer"
    );
    assert_eq!(report.open_intentions, [518]);
}

#[tokio::test]
async fn two_entries_that_changed_places_are_found() {
    let report = tampered(
        "UPDATE ledger_entry SET idx = -1 WHERE idx = 6;
         UPDATE ledger_entry SET idx = 6 WHERE idx = 7;
         UPDATE ledger_entry SET idx = 7 WHERE idx = -1;",
    )
    .await;
    // Of different streams: only the tree can tell.
    let found = findings(&report);
    for finding in [Finding::TileWrong, Finding::HeadWrong, Finding::KeptContradicts] {
        assert!(found.contains(&finding), "{finding:?}");
    }
    assert!(!found.contains(&Finding::Renumbered) && !found.contains(&Finding::OpeningWrong));
    let report = tampered(
        "UPDATE ledger_entry SET idx = -1 WHERE idx = 6;
         UPDATE ledger_entry SET idx = 6 WHERE idx = 9;
         UPDATE ledger_entry SET idx = 9 WHERE idx = -1;",
    )
    .await;
    assert!(findings(&report).contains(&Finding::Renumbered));
    assert!(findings(&report).contains(&Finding::ChainBroken));
}

#[tokio::test]
async fn a_bent_link_or_stream_row_is_found() {
    let report = tampered("UPDATE ledger_entry SET before = 3 WHERE idx = 7").await;
    assert_eq!(findings(&report), [Finding::LinkWrong]);
    for sql in [
        "UPDATE ledger_stream SET seq = 4000 WHERE idx = 519",
        "UPDATE ledger_stream SET idx = 4 WHERE idx = 519",
        "DELETE FROM ledger_stream WHERE idx = 519",
        "INSERT INTO ledger_stream VALUES (x'00', 1, 1)",
    ] {
        let mut found = findings(&tampered(sql).await);
        found.dedup();
        assert_eq!(found, [Finding::StreamRowWrong], "{sql}");
    }
}

/// The intruder hides the last signature from its owner: he sets her stream back by one, and the
/// genuine program goes on from there.
#[tokio::test]
async fn a_number_given_twice_because_a_stream_was_set_back_is_found_even_by_outsiders() {
    let (folder, _) = town().await;
    intrude(&folder)
        .execute_batch("UPDATE ledger_stream SET seq = 1, idx = 518 WHERE idx = 519")
        .unwrap();
    let ledger = open(folder.path());
    add_note(&ledger, key(3)).await.unwrap();
    drop(ledger);
    let report = audit(folder.path(), &[]);
    assert_eq!(findings(&report), [Finding::LinkWrong, Finding::Renumbered, Finding::ChainBroken],);
    let log = VerifyKey::from_spki(ORIGIN, hpki::sign::Sign::spki_der(&LogKey::new(7))).unwrap();
    let outsider =
        Audit { place: folder.path().into(), head: None, log: &log, streams: None, since: &[] };
    let report = ledger::audit::verify(&outsider).unwrap();
    assert!(findings(&report).contains(&Finding::LabelTwice));
}

#[tokio::test]
async fn an_entry_with_another_streams_label_is_found() {
    let report = tampered(
        "UPDATE ledger_entry SET entry = CAST((SELECT substr(other.entry, 1, 33)
         FROM ledger_entry AS other WHERE other.idx = 8) || substr(entry, 34, 32) AS BLOB)
         WHERE idx = 519",
    )
    .await;
    assert!(findings(&report).contains(&Finding::LabelWrong));
    // Without the device, the outsider still sees it twice.
    let (folder, _) = town().await;
    intrude(&folder)
        .execute_batch(
            "UPDATE ledger_entry SET entry = CAST((SELECT substr(other.entry, 1, 33)
             FROM ledger_entry AS other WHERE other.idx = 8) || substr(entry, 34, 32) AS BLOB)
             WHERE idx = 519",
        )
        .unwrap();
    let log = VerifyKey::from_spki(ORIGIN, hpki::sign::Sign::spki_der(&LogKey::new(7))).unwrap();
    let outsider =
        Audit { place: folder.path().into(), head: None, log: &log, streams: None, since: &[] };
    let report = ledger::audit::verify(&outsider).unwrap();
    assert!(findings(&report).contains(&Finding::LabelTwice));
}

#[tokio::test]
async fn tampered_tiles_and_heads_are_found() {
    for (sql, finding) in [
        (
            "UPDATE ledger_tile SET hashes = zeroblob(8192) WHERE level = 0 AND idx = 1",
            Finding::TileWrong,
        ),
        ("DELETE FROM ledger_tile WHERE level = 0 AND idx = 1", Finding::TileWrong),
        (
            "UPDATE ledger_tile SET hashes = substr(hashes, 1, 32) WHERE level = 1",
            Finding::TileWrong,
        ),
        ("INSERT INTO ledger_tile VALUES (0, 2, zeroblob(8192))", Finding::TileExtra),
        ("UPDATE ledger_head SET root = zeroblob(32)", Finding::HeadWrong),
        ("UPDATE ledger_head SET size = 519", Finding::HeadWrong),
        ("DELETE FROM ledger_head", Finding::HeadWrong),
        ("UPDATE ledger_head SET log = 'another'", Finding::LogKeyOther),
        (
            "UPDATE ledger_entry SET entry = CAST(x'02' || substr(entry, 2) AS BLOB) WHERE idx = 7",
            Finding::EntryMalformed,
        ),
    ] {
        let report = tampered(sql).await;
        assert!(findings(&report).contains(&finding), "{sql}: {:?}", report.problems);
    }
}

/// A second history, made by the genuine program and device from the 300th entry on, in which
/// everything inside the folder fits together: only what is outside can tell.
#[tokio::test]
async fn a_fork_made_with_the_genuine_keys_is_found_by_the_checkpoint_that_was_brought_along() {
    let (folder, checkpoints) = town().await;
    let fork = tempfile::tempdir().unwrap();
    let ledger = open(fork.path());
    for number in 0..520_u64 {
        add_note(&ledger, key((number % 3) as u8)).await.unwrap();
    }
    drop(ledger);
    let report = audit(fork.path(), &[]);
    assert!(report.is_whole(), "inside, all is well: {:?}", report.problems);
    let since: Vec<&str> = checkpoints.iter().map(String::as_str).collect();
    let report = audit(fork.path(), &since);
    assert_eq!(findings(&report), vec![Finding::SinceContradicts; since.len()]);
    // The head outside tells as well, if it was left alone.
    std::fs::copy(folder.path().join(HEAD_FILE), fork.path().join(HEAD_FILE)).unwrap();
    assert!(findings(&audit(fork.path(), &[])).contains(&Finding::KeptContradicts));
    std::fs::remove_file(fork.path().join(HEAD_FILE)).unwrap();
    assert_eq!(findings(&audit(fork.path(), &[])), [Finding::KeptMissing]);
}

#[tokio::test]
async fn a_checkpoint_for_more_than_there_is_is_found_and_one_of_another_log_is_refused() {
    let (folder, checkpoints) = town().await;
    let short = tempfile::tempdir().unwrap();
    let ledger = open(short.path());
    add_note(&ledger, key(1)).await.unwrap();
    drop(ledger);
    let report = audit(short.path(), &[&checkpoints[0]]);
    assert_eq!(findings(&report), [Finding::SinceContradicts]);

    let other = VerifyKey::from_spki(ORIGIN, hpki::sign::Sign::spki_der(&LogKey::new(8))).unwrap();
    let foreign = ledger::audit::verify(&Audit {
        place: folder.path().into(),
        head: None,
        log: &other,
        streams: None,
        since: &[&checkpoints[0]],
    });
    assert!(matches!(foreign, Err(Failed::Refused(Refusal::CheckpointSignatureWrong(_)))));
}

#[tokio::test]
async fn outcomes_without_intention_and_closed_twice_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let noted = add_note(&ledger, key(1)).await.unwrap();
    let intended = add_intention(&ledger, key(1)).await.unwrap();
    let open_one = add_intention(&ledger, key(1)).await.unwrap();
    add_outcome(&ledger, key(1), intended.index()).await.unwrap();
    assert_eq!(audit(folder.path(), &[]).open_intentions, [open_one.index()]);
    // A room in error could write these; the books do not balance.
    add_outcome(&ledger, key(1), intended.index()).await.unwrap();
    add_outcome(&ledger, key(1), noted.index()).await.unwrap();
    add_outcome(&ledger, key(2), open_one.index()).await.unwrap();
    let report = audit(folder.path(), &[]);
    assert_eq!(
        findings(&report),
        [Finding::IntentionTwice, Finding::OutcomeStray, Finding::OutcomeStray]
    );
}

#[tokio::test]
async fn the_audit_may_run_while_the_ledger_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let writing = tokio::spawn({
        let ledger = ledger.clone();
        async move {
            for _ in 0..200 {
                add_note(&ledger, key(1)).await.unwrap();
            }
        }
    });
    while !writing.is_finished() {
        let path = folder.path().to_owned();
        let report = tokio::task::spawn_blocking(move || audit(&path, &[])).await.unwrap();
        assert!(report.is_whole(), "{:?}", report.problems);
    }
    writing.await.unwrap();
    assert_eq!(audit(folder.path(), &[]).entries, 200);
}

#[tokio::test]
async fn starting_on_a_tampered_edge_is_refused() {
    for sql in [
        "DELETE FROM ledger_entry WHERE idx = 519",
        "UPDATE ledger_entry SET entry = CAST(x'01' || zeroblob(64) AS BLOB) WHERE idx = 519",
        "UPDATE ledger_head SET root = zeroblob(32)",
        "UPDATE ledger_head SET size = 400",
    ] {
        let (folder, _) = town().await;
        intrude(&folder).execute_batch(sql).unwrap();
        let refusal = refusal(Ledger::open(opening(folder.path())));
        assert!(matches!(refusal, Refusal::JournalBroken(_)), "{sql}: {refusal}");
    }
}

#[tokio::test]
async fn the_root_is_that_of_the_entries_by_the_plainest_computation() {
    let (folder, _) = town().await;
    let database = Connection::open(folder.path().join("store.sqlite")).unwrap();
    let leaves: Vec<_> = database
        .prepare("SELECT entry FROM ledger_entry ORDER BY idx")
        .unwrap()
        .query_map([], |row| row.get::<_, Vec<u8>>(0))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let plain = sha256(&[&[0], entry.as_slice()].concat());
            assert_eq!(plain, leaf_hash(&entry));
            plain
        })
        .collect();
    assert_eq!(audit(folder.path(), &[]).root, tree::root_of(&leaves));
}
