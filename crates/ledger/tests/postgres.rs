//! What only an engine can do that several processes share, and that can go away and come back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::engine::{self, Server, sql, try_sql};
use common::*;
use ledger::audit::Finding;
use ledger::tlog::{Proof, VerifyKey};
use ledger::{Failed, Fault, HEAD_FILE, Ledger, Note, Opening, Place, Refusal, Store};
use tempfile::TempDir;

#[test]
fn the_greatest_version_is_the_newest_not_the_last_in_the_alphabet() {
    let program = |version: &str| Path::new("/usr/lib/postgresql").join(version).join("bin/psql");
    let newest = |versions: &[&str]| engine::newest(versions.iter().map(|one| program(one)));
    assert_eq!(newest(&["15", "9.6"]), Some(program("15")));
    assert_eq!(newest(&["9.6", "9.10", "9.2"]), Some(program("9.10")));
    assert_eq!(newest(&[]), None);
}

fn at(place: Place) -> Opening<'static> {
    Opening { place, ..opening(Path::new("/nowhere")) }
}

fn found(folder: &Path) -> (Ledger, String) {
    let ledger = Ledger::open(at(engine::postgres_place(folder))).unwrap();
    (ledger, engine::address(folder))
}

/// Another process's way to the ledger of `folder`: its own folder, with a copy of the head.
fn join(folder: &Path) -> (TempDir, Ledger) {
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join(HEAD_FILE), other.path().join(HEAD_FILE)).unwrap();
    let place = Place::postgres(&engine::address(folder), None, other.path()).unwrap();
    let ledger = Ledger::open(at(place)).unwrap();
    (other, ledger)
}

fn whole(place: Place, since: &[&str]) -> ledger::audit::Report {
    use hpki::sign::Sign as _;
    let log = VerifyKey::from_spki(ORIGIN, LogKey::new(7).spki_der()).unwrap();
    let audit =
        ledger::audit::Audit { place, head: None, log: &log, streams: Some(&StreamKeys), since };
    ledger::audit::verify(&audit).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_over_one_database_write_one_unbroken_log() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = found(folder.path());
    let (_other, two) = join(folder.path());
    let mut tasks = Vec::new();
    for task in 0..8_u8 {
        let ledger = if task % 2 == 0 { one.clone() } else { two.clone() };
        tasks.push(tokio::spawn(async move {
            let mut proofs = Vec::new();
            for round in 0..40_u8 {
                // The same streams from both sides: each entry must follow the other side's last.
                let receipt = add_note(&ledger, key(round % 5)).await.unwrap();
                count(&ledger).await.unwrap();
                proofs.push((receipt.index(), receipt.proof()));
            }
            proofs
        }));
    }
    let mut places = HashSet::new();
    let mut checkpoints = Vec::new();
    for task in tasks {
        for (index, proof) in task.await.unwrap() {
            let entry = Proof::parse(&proof).unwrap().verify(one.verify_key()).unwrap();
            assert_eq!(entry.index, index);
            assert!(places.insert(index), "two entries at {index}");
            checkpoints.push(entry.checkpoint);
        }
    }
    assert_eq!(places.len(), 320);
    assert_eq!(counted(&one).await, 320);
    // Whoever kept a checkpoint of one side can follow it on the other side.
    checkpoints.sort_by_key(|checkpoint| checkpoint.size);
    let last = checkpoints.last().unwrap();
    assert_eq!(last.size, 320);
    for ledger in [&one, &two] {
        for kept in &checkpoints {
            let path = ledger.consistency(kept.size, 320).await.unwrap();
            last.continues(kept, &path).unwrap();
        }
        Proof::parse(&ledger.prove(319).await.unwrap()).unwrap().verify(one.verify_key()).unwrap();
    }
    let (first, second) = (one.checkpoint(), two.checkpoint());
    drop((one, two));
    let report = whole(engine::postgres_place(folder.path()), &[&first, &second]);
    assert!(report.is_whole(), "{:?}", report.problems);
    assert_eq!((report.entries, report.streams), (320, 5));
}

#[tokio::test]
async fn what_another_process_appended_is_proven_and_covered_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = found(folder.path());
    let (_other, two) = join(folder.path());
    add_note(&one, key(1)).await.unwrap();
    assert_eq!(two.size(), 0);
    let proof = Proof::parse(&two.prove(0).await.unwrap()).unwrap();
    assert_eq!(proof.verify(one.verify_key()).unwrap().checkpoint.size, 1);
    add_note(&one, key(1)).await.unwrap();
    two.catch_up().await.unwrap();
    assert_eq!(two.checkpoint(), one.checkpoint());
    let beyond = two.prove(2).await;
    assert_eq!(beyond, Err(Failed::Refused(Refusal::JournalNoSuchEntry(2))));
}

#[tokio::test]
async fn a_process_joins_only_with_a_head_of_the_journal_and_its_folder_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (one, address) = found(folder.path());
    add_note(&one, key(1)).await.unwrap();
    let other = tempfile::tempdir().unwrap();
    let place = |folder: &Path| Place::postgres(&address, None, folder).unwrap();
    let refused = refusal(Ledger::open(at(place(other.path()))));
    assert!(matches!(refused, Refusal::JournalHeadMissing(_)), "{refused}");
    let refused = refusal(Ledger::open(at(place(folder.path()))));
    assert!(matches!(refused, Refusal::StoreInUse(_)), "{refused}");
}

/// A trigger that interferes with every insertion into the room's table as other writers might.
fn interfere(address: &str, until: u32) {
    sql(
        address,
        &format!(
            "CREATE SEQUENCE meddler;
             CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('meddler') <= {until} THEN
                     RAISE EXCEPTION 'others were faster' USING ERRCODE = '40001';
                 END IF;
                 RETURN new;
             END $$;
             CREATE TRIGGER meddle BEFORE INSERT ON test_seen
                 FOR EACH ROW EXECUTE FUNCTION meddle()"
        ),
    );
}

async fn see(ledger: &Ledger, number: u64, runs: &Arc<AtomicU32>) -> Result<u64, Failed<Refusal>> {
    let runs = Arc::clone(runs);
    let seen = ledger
        .record(move |tx| {
            runs.fetch_add(1, Ordering::Relaxed);
            let index = tx.next_index()?;
            tx.exec(
                "INSERT INTO test_seen (number, idx) VALUES ($1, $2)",
                &[number.into(), index.into()],
            )?;
            Ok((index, Note(note(key(1)))))
        })
        .await?;
    assert_eq!(seen.0, seen.1.index());
    Ok(seen.0)
}

#[tokio::test]
async fn a_group_that_met_other_writers_runs_again_and_happens_once() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, address) = found(folder.path());
    interfere(&address, 3);
    let runs = Arc::new(AtomicU32::new(0));
    assert_eq!(see(&ledger, 1, &runs).await, Ok(0));
    assert_eq!(runs.load(Ordering::Relaxed), 4);
    assert_eq!(sql(&address, "SELECT number, idx FROM test_seen"), "1|0");
    assert_eq!(ledger.size(), 1);
}

#[tokio::test]
async fn a_group_that_never_gets_through_fails_and_the_next_one_is_not_hurt() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, address) = found(folder.path());
    interfere(&address, 1_000);
    let runs = Arc::new(AtomicU32::new(0));
    let failed = see(&ledger, 1, &runs).await;
    assert!(matches!(failed, Err(Failed::Fault(Fault::Store(_)))), "{failed:?}");
    assert_eq!(runs.load(Ordering::Relaxed), 16);
    sql(&address, "DROP TRIGGER meddle ON test_seen");
    assert_eq!(see(&ledger, 2, &runs).await, Ok(0));
    drop(ledger);
    let report = whole(engine::postgres_place(folder.path()), &[]);
    assert!(report.is_whole() && report.entries == 1, "{:?}", report.problems);
}

#[tokio::test]
async fn a_unit_of_work_that_goes_on_after_a_failed_statement_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = found(folder.path());
    let done: Result<(), Failed<Refusal>> = ledger
        .write(|tx| {
            count_in(tx)?;
            let _ = tx.exec("INSERT INTO test_count (id, value) VALUES (1, 1)", &[]);
            Ok(())
        })
        .await;
    assert!(matches!(done, Err(Failed::Fault(Fault::Store(_)))), "{done:?}");
    assert_eq!(counted(&ledger).await, 0);
    assert_eq!(count(&ledger).await, Ok(1));
}

#[test]
fn a_database_that_does_not_wait_for_its_disk_is_refused() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let place = server.place(folder.path());
    let open = || Store::open(place.clone(), ROOM).map(drop);
    open().unwrap();
    for (setting, good) in [("synchronous_commit", "on"), ("fsync", "on")] {
        sql(&server.address(), &format!("ALTER SYSTEM SET {setting} = off"));
        server.kill();
        server.run_it();
        let refused = open();
        let durable = matches!(refused, Err(Failed::Refused(Refusal::StoreNotDurable(_))));
        assert!(durable, "{setting}: {refused:?}");
        sql(&server.address(), &format!("ALTER SYSTEM SET {setting} = {good}"));
    }
    server.kill();
    server.run_it();
    open().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_under_load_loses_nothing_that_was_answered() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let place = server.place(folder.path());
    let ledger = Ledger::open(at(place.clone())).unwrap();
    let mut answered = Vec::new();
    for round in 0..4_u64 {
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let mut lanes = Vec::new();
        for lane in 0..6_u64 {
            let (ledger, told) = (ledger.clone(), told.clone());
            lanes.push(tokio::spawn(async move {
                for number in 0.. {
                    let number = round * 1_000_000 + lane * 100_000 + number;
                    match see(&ledger, number, &Arc::default()).await {
                        Ok(index) => told.send((number, index)).unwrap(),
                        // Whether it happened is unknown; nothing else may be said.
                        Err(Failed::Fault(Fault::Store(_))) => break,
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }));
        }
        drop(told);
        for _ in 0..=round * 17 {
            answered.push(heard.recv().await.unwrap());
        }
        tokio::task::block_in_place(|| server.kill());
        while let Some(late) = heard.recv().await {
            answered.push(late);
        }
        for lane in lanes {
            lane.await.unwrap();
        }
        // While it is away, nobody is told anything else than a fault, reading or writing.
        let away: Result<i64, Failed<Refusal>> = count(&ledger).await;
        assert!(matches!(away, Err(Failed::Fault(Fault::Store(_)))), "{away:?}");
        let away = ledger.undelivered().await;
        assert!(matches!(away, Err(Fault::Store(_))), "{away:?}");
        tokio::task::block_in_place(|| server.run_it());
        // The same handle goes on.
        count(&ledger).await.unwrap();
        let seen: Result<Vec<(u64, u64)>, Failed<Refusal>> = ledger
            .read(|tx| {
                let rows = tx.query("SELECT number, idx FROM test_seen ORDER BY number", &[])?;
                Ok(rows
                    .iter()
                    .map(|row| Ok((row.number(0)?, row.number(1)?)))
                    .collect::<Result<_, Fault>>()?)
            })
            .await;
        let seen = seen.unwrap();
        assert_eq!(ledger.size(), seen.len() as u64, "rows and entries are one unit of work");
        for pair in &answered {
            assert!(seen.binary_search(pair).is_ok(), "{pair:?} was answered and is lost");
            let proof = Proof::parse(&ledger.prove(pair.1).await.unwrap()).unwrap();
            assert_eq!(proof.verify(ledger.verify_key()).unwrap().index, pair.1);
        }
    }
    let checkpoint = ledger.checkpoint();
    drop(ledger);
    let report = whole(place, &[&checkpoint]);
    assert!(report.is_whole(), "{:?}", report.problems);
}

/// Another session, with a transaction that stays open.
struct Session(Child);

impl Session {
    fn holding(address: &str, statement: &str) -> Self {
        let mut child = Command::new("psql")
            .args(["-X", "-q", "-d", address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ask = format!("BEGIN;\n{statement};\n\\echo held\n");
        child.stdin.as_mut().unwrap().write_all(ask.as_bytes()).unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        while lines.next().unwrap().unwrap() != "held" {}
        Self(child)
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn whoever_keeps_the_turn_for_too_long_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let place = engine::postgres_place(folder.path()).with_patience(Duration::from_millis(200));
    let ledger = Ledger::open(at(place)).unwrap();
    let address = engine::address(folder.path());
    let session = Session::holding(&address, "UPDATE ledger_turn SET turn = turn + 1");
    let kept = count(&ledger).await;
    assert!(matches!(kept, Err(Failed::Fault(Fault::Store(_)))), "{kept:?}");
    // Readers never wait for writers.
    assert_eq!(counted(&ledger).await, 0);
    session.end();
    assert_eq!(count(&ledger).await, Ok(1));
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_taken_up_again() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let place = server.place(folder.path()).with_patience(Duration::from_millis(300));
    let ledger = Ledger::open(at(place.clone())).unwrap();
    add_note(&ledger, key(1)).await.unwrap();
    let signal = |name: &str, pids: &str| {
        assert!(Command::new("kill").arg(name).args(pids.lines()).status().unwrap().success());
    };
    // Idle server processes that answer no more are left behind, and nobody notices.
    let asked = "SELECT pid FROM pg_stat_activity WHERE application_name = 'azukari'";
    let idle = sql(&server.address(), asked);
    signal("-STOP", &idle);
    add_note(&ledger, key(2)).await.unwrap();
    assert_eq!(counted(&ledger).await, 0);
    // One that hangs inside a group has the turn.
    let stop = move |pid: i64| {
        let status = Command::new("kill").args(["-STOP", &pid.to_string()]).status();
        assert!(status.unwrap().success());
    };
    let (told, heard) = std::sync::mpsc::channel();
    let hung: Result<(), Failed<Refusal>> = ledger
        .write(move |tx| {
            count_in(tx)?;
            let pid = tx.query_one("SELECT pg_backend_pid()", &[])?.int(0)?;
            told.send(pid).unwrap();
            stop(pid);
            count_in(tx)?;
            Ok(())
        })
        .await;
    assert!(matches!(hung, Err(Failed::Fault(Fault::Store(_)))), "{hung:?}");
    let behind = add_note(&ledger, key(3)).await.map(|receipt| receipt.index());
    assert!(matches!(behind, Err(Failed::Fault(Fault::Store(_)))), "{behind:?}");
    signal("-CONT", &heard.recv().unwrap().to_string());
    signal("-CONT", &idle);
    let receipt = add_note(&ledger, key(3)).await.unwrap();
    assert_eq!((receipt.index(), ledger.size()), (2, 3));
    assert_eq!(counted(&ledger).await, 0);
    drop(ledger);
    let report = whole(place, &[receipt.checkpoint()]);
    assert!(report.is_whole(), "{:?}", report.problems);
}

#[tokio::test]
async fn the_triggers_stop_a_clumsy_hand() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, address) = found(folder.path());
    for number in 0..300_u64 {
        add_note(&ledger, key((number % 3) as u8)).await.unwrap();
    }
    for statement in [
        "UPDATE ledger_entry SET salt = '' WHERE idx = 1",
        "DELETE FROM ledger_entry WHERE idx = 299",
        "TRUNCATE ledger_entry",
        "INSERT INTO ledger_entry VALUES (301, decode(repeat('00', 65), 'hex'), 1, '', '')",
        "UPDATE ledger_stream SET seq = 1",
        "DELETE FROM ledger_stream",
        "TRUNCATE ledger_stream",
        "UPDATE ledger_tile SET hashes = decode(repeat('00', 8192), 'hex')",
        "DELETE FROM ledger_tile",
        "TRUNCATE ledger_tile",
        "UPDATE ledger_head SET size = 1",
        "DELETE FROM ledger_head",
        "TRUNCATE ledger_head",
    ] {
        let told = try_sql(&address, &[statement]).unwrap_err();
        assert!(
            told.contains("only grows")
                || told.contains("journal entry")
                || told.contains("is never"),
            "{statement}: {told}"
        );
    }
}

#[tokio::test]
async fn the_audit_finds_what_a_skilled_hand_changed() {
    let before = tempfile::tempdir().unwrap();
    let (ledger, address) = found(before.path());
    for number in 0..300_u64 {
        add_note(&ledger, key((number % 3) as u8)).await.unwrap();
    }
    let checkpoint = ledger.checkpoint();
    drop(ledger);
    for (statement, finding) in [
        (
            "UPDATE ledger_entry SET salt = decode(repeat('00', 32), 'hex') WHERE idx = 7",
            Finding::OpeningWrong,
        ),
        ("DELETE FROM ledger_entry WHERE idx = 100", Finding::EntryMissing),
        ("DELETE FROM ledger_entry WHERE idx = 299", Finding::KeptContradicts),
        ("UPDATE ledger_tile SET hashes = decode(repeat('00', 8192), 'hex')", Finding::TileWrong),
        ("UPDATE ledger_head SET size = 299", Finding::HeadWrong),
        ("UPDATE ledger_stream SET seq = seq - 1", Finding::StreamRowWrong),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(before.path().join(HEAD_FILE), folder.path().join(HEAD_FILE)).unwrap();
        let copy = engine::copy_of(&address, folder.path());
        for table in ["entry", "tile", "head", "stream"] {
            sql(&copy, &format!("ALTER TABLE ledger_{table} DISABLE TRIGGER ALL"));
        }
        sql(&copy, statement);
        let report = whole(engine::postgres_place(folder.path()), &[&checkpoint]);
        let found = report.problems.iter().any(|problem| problem.finding == finding);
        assert!(found, "{statement}: {:?}", report.problems);
    }
}

#[tokio::test]
async fn a_database_put_back_under_a_running_process_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, address) = found(folder.path());
    add_note(&ledger, key(1)).await.unwrap();
    let yesterday = sql(&address, "SELECT size, encode(root, 'hex') FROM ledger_head");
    let (size, root) = yesterday.split_once('|').unwrap();
    add_note(&ledger, key(2)).await.unwrap();
    let signed = ledger.checkpoint();
    for table in ["entry", "head", "stream"] {
        sql(&address, &format!("ALTER TABLE ledger_{table} DISABLE TRIGGER ALL"));
    }
    sql(
        &address,
        &format!(
            "DELETE FROM ledger_entry WHERE idx >= {size};
             DELETE FROM ledger_stream WHERE idx >= {size};
             UPDATE ledger_head SET size = {size}, root = decode('{root}', 'hex');
             UPDATE ledger_turn SET turn = turn - 1"
        ),
    );
    sql(
        &address,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'azukari' AND datname = current_database()",
    );
    for _ in 0..3 {
        let refused = add_note(&ledger, key(3)).await.map(|receipt| receipt.index());
        assert!(matches!(refused, Err(Failed::Fault(Fault::Store(_)))), "{refused:?}");
    }
    assert_eq!(ledger.checkpoint(), signed, "no second history is signed");
    drop(ledger);
    let refused = refusal(Ledger::open(at(engine::postgres_place(folder.path()))));
    assert!(matches!(refused, Refusal::JournalRolledBack(_)), "{refused}");
}
