//! Kill -9 at any moment, and power cuts in which everything that was not synced is lost: what was
//! acknowledged is there, and the journal is whole.
//!
//! A child process (this very binary) writes and reports what was acknowledged on its standard
//! output. Killing it is real. The power cut is played by crash/disk.rs. Two controls prove that the harness loses data: `synchronous=OFF`, and a disk whose sync does nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
#[path = "crash/disk.rs"]
mod disk;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{NOW, audit, engine, key, note, open};
use disk::{Dice, Disk};
use hpki::encoding::sha256;
use ledger::tlog::Proof;
use ledger::{Failed, Ledger, Note, Receipt, Refusal};

const CHILD: &str = "the_child_writes_and_reports_what_was_acknowledged";
const FOLDER: &str = "LEDGER_CHILD_FOLDER";
const FIRST: &str = "LEDGER_CHILD_FIRST";
const MODE: &str = "LEDGER_CHILD_MODE";

/// Writes a row and an entry that both say `number`.
async fn put(ledger: &Ledger, number: u64) -> Receipt<Note> {
    let written: Result<_, Failed<Refusal>> = ledger
        .record(move |tx| {
            // The padding makes the write-ahead log turn over within a test.
            let sql = "INSERT INTO test_seen (number, pad) VALUES ($1, $2)";
            tx.exec(sql, &[number.into(), vec![7_u8; 12_000].into()])?;
            let mut record = note(key((number % 11) as u8));
            record.evidence = Some(sha256(&number.to_be_bytes()));
            Ok(((), Note(record)))
        })
        .await;
    written.unwrap().1
}

fn report(number: u64, index: u64) {
    // One write, ending the line: a kill cannot cut it. It begins a line of its own because the
    // test runner may have left one open.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nack {number} {index}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// In a child process: writes for ever. As a test of its own: writes a little.
#[test]
fn the_child_writes_and_reports_what_was_acknowledged() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let Some(folder) = std::env::var_os(FOLDER) else {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path());
        let receipt = runtime.block_on(put(&ledger, 0));
        assert_eq!(receipt.index(), 0);
        return;
    };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    if std::env::var(MODE).as_deref() == Ok("off") {
        return write_carelessly(Path::new(&folder), first);
    }
    let ledger = open(Path::new(&folder));
    let local = tokio::task::LocalSet::new();
    for lane in 0..4 {
        let ledger = ledger.clone();
        local.spawn_local(async move {
            for round in 0.. {
                let number = first + round * 4 + lane;
                let receipt = put(&ledger, number).await;
                report(number, receipt.index());
            }
        });
    }
    runtime.block_on(local);
}

/// The control: the same engine and table, but nobody waits for the disk.
fn write_carelessly(folder: &Path, first: u64) {
    let connection = rusqlite::Connection::open(folder.join("store.sqlite")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    connection.execute_batch("CREATE TABLE test_seen (number INTEGER, idx INTEGER)").unwrap();
    for number in first.. {
        connection.execute("INSERT INTO test_seen VALUES (?1, 0)", [number as i64]).unwrap();
        report(number, 0);
    }
}

/// Runs the child until it has acknowledged `count`, kills it, and answers everything that it
/// acknowledged: number and index.
fn run_and_kill(
    folder: &Path,
    first: u64,
    count: usize,
    mode: &str,
    disk: Option<&Disk>,
) -> Vec<(u64, u64)> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .env(MODE, mode)
        .stdout(Stdio::piped());
    engine::hand_over(&mut command);
    if let Some(disk) = disk {
        disk.under(&mut command);
    }
    let mut child = command.spawn().unwrap();
    let mut acknowledged = Vec::new();
    // Reading goes on after the kill: what is in the pipe was acknowledged.
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(rest) = line.strip_prefix("ack ") {
            let (number, index) = rest.split_once(' ').unwrap();
            acknowledged.push((number.parse().unwrap(), index.parse().unwrap()));
            if acknowledged.len() == count {
                child.kill().unwrap();
            }
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success() && status.code().is_none(), "the child was not killed: {status}");
    assert!(acknowledged.len() >= count, "only {} acknowledged", acknowledged.len());
    acknowledged
}

/// Everything acknowledged is there, proven, and the journal is whole. Answers a free number.
fn balance(folder: &Path, acknowledged: &[(u64, u64)]) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ledger = open(folder);
    let numbers: Result<Vec<u64>, Failed<Refusal>> = runtime.block_on(ledger.read(|tx| {
        let rows = tx.query("SELECT number FROM test_seen ORDER BY number", &[])?;
        Ok(rows.iter().map(|row| row.number(0)).collect::<Result<_, _>>()?)
    }));
    let numbers = numbers.unwrap();
    for (number, _) in acknowledged {
        assert!(numbers.binary_search(number).is_ok(), "acknowledged row {number} is lost");
    }
    // Proofs of the latest; the audit below reads every entry.
    for (number, index) in acknowledged.iter().rev().take(40) {
        let proof = runtime.block_on(ledger.prove(*index)).unwrap();
        let entry = Proof::parse(&proof).unwrap().verify(ledger.verify_key()).unwrap();
        assert_eq!(entry.opening.record.evidence, Some(sha256(&number.to_be_bytes())));
        assert_eq!(entry.opening.record.time, NOW);
    }
    // Row and entry are one unit of work.
    assert_eq!(ledger.size(), numbers.len() as u64);
    let checkpoint = ledger.checkpoint();
    drop(ledger);
    let report = audit(folder, &[&checkpoint]);
    assert!(report.is_whole(), "{:?}", report.problems);
    numbers.last().map_or(0, |last| last + 1)
}

#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    let mut first = 0;
    for kill in 0..20 {
        all.extend(run_and_kill(folder.path(), first, 1 + kill * 13 % 97, "full", None));
        first = balance(folder.path(), &all);
    }
    assert!(all.len() > 512);
}

#[test]
fn twenty_kills_lose_nothing_on_postgresql_either() {
    engine::again("either", Some("twenty_kills"));
}

#[test]
fn power_cuts_lose_nothing_that_was_acknowledged() {
    let place = tempfile::tempdir().unwrap();
    let mut folder = place.path().join("start");
    std::fs::create_dir(&folder).unwrap();
    let (mut all, mut first) = (Vec::new(), 0);
    // Long enough that the write-ahead log is copied back and begun anew in between.
    for (round, count) in [1, 700, 5, 400, 60].into_iter().enumerate() {
        // What the last cut left is what this round's disk begins with.
        let disk = Disk::of(&folder, &place.path().join(format!("disk{round}")), false);
        all.extend(run_and_kill(&folder, first, count, "full", Some(&disk)));
        for seed in 1..=6 {
            let torn = place.path().join(format!("torn{round}-{seed}"));
            disk.cut(&torn, Some(Dice(seed + 6 * round as u64)));
            balance(&torn, &all);
        }
        let after = place.path().join(format!("after{round}"));
        disk.cut(&after, None);
        first = balance(&after, &all);
        if round == 1 {
            let database = std::fs::metadata(disk.synced("store.sqlite")).unwrap().len();
            assert!(database > 4_000_000, "the log was never copied back: {database}");
        }
        folder = after;
    }
    assert!(all.len() > 1000);
}

/// How many acknowledged rows survive the cut.
fn survivors(folder: &Path, acknowledged: &[(u64, u64)]) -> usize {
    let Ok(connection) = rusqlite::Connection::open(folder.join("store.sqlite")) else { return 0 };
    let Ok(mut found) = connection.prepare("SELECT 1 FROM test_seen WHERE number = ?1") else {
        return 0;
    };
    acknowledged
        .iter()
        .filter(|(number, _)| found.exists([*number as i64]).unwrap_or(false))
        .count()
}

#[test]
fn the_same_power_cut_loses_acknowledged_rows_where_nobody_waits_for_the_disk() {
    let place = tempfile::tempdir().unwrap();
    for (mode, lies) in [("off", false), ("full", true)] {
        let part = |name: &str| place.path().join(format!("{name}-{mode}"));
        let (live, after) = (part("live"), part("after"));
        std::fs::create_dir(&live).unwrap();
        let disk = Disk::of(&live, &part("disk"), lies);
        let acknowledged = run_and_kill(&live, 0, 50, mode, Some(&disk));
        // The kill alone loses nothing, which is why kills do not test durability …
        assert_eq!(survivors(&live, &acknowledged), acknowledged.len(), "{mode}");
        // … and the cut does.
        disk.cut(&after, None);
        assert!(survivors(&after, &acknowledged) < acknowledged.len(), "{mode}: nothing was lost");
    }
}
