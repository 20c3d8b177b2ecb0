//! The store: one owner, whole units of work, groups, migrations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use common::{ROOM, count_in, engine};
use ledger::{Break, Failed, Fault, Faults, Migration, Refusal, Store, Value};

type Outcome<T> = Result<T, Failed<Refusal>>;

fn refused(result: Outcome<Store>) -> Refusal {
    match result.map(|_| ()) {
        Err(Failed::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[test]
fn a_store_is_made_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("a/store");
    Store::open(engine::place(&place), ROOM).unwrap();
    assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o077, 0);
}

#[tokio::test]
async fn what_was_written_is_read_after_closing_and_opening() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(engine::place(folder.path()), ROOM).unwrap();
    for expected in 1..=3 {
        let counted: Outcome<i64> = store.write(|tx| Ok(count_in(tx)?)).await;
        assert_eq!(counted.unwrap(), expected);
    }
    drop(store);
    let store = Store::open(engine::place(folder.path()), ROOM).unwrap();
    let counted: Outcome<i64> =
        store.read(|tx| Ok(tx.query_one("SELECT value FROM test_count", &[])?.int(0)?)).await;
    assert_eq!(counted.unwrap(), 3);
}

#[test]
fn a_second_opening_of_the_folder_is_refused_until_the_first_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(engine::place(folder.path()), ROOM).unwrap();
    let clone = store.clone();
    assert!(matches!(
        refused(Store::open(engine::place(folder.path()), ROOM)),
        Refusal::StoreInUse(_)
    ));
    drop(store);
    assert!(matches!(
        refused(Store::open(engine::place(folder.path()), ROOM)),
        Refusal::StoreInUse(_)
    ));
    drop(clone);
    Store::open(engine::place(folder.path()), ROOM).unwrap();
}

#[test]
fn a_folder_is_free_at_once_also_while_other_programs_are_being_started() {
    let going = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let more = std::sync::Arc::clone(&going);
    let starting = std::thread::spawn(move || {
        while more.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = std::process::Command::new("true").current_dir("/").status();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..50 {
        Store::open(engine::place(folder.path()), ROOM).unwrap();
    }
    going.store(false, std::sync::atomic::Ordering::Relaxed);
    starting.join().unwrap();
}

#[tokio::test]
async fn a_refused_or_panicking_unit_of_work_leaves_nothing_and_hurts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(engine::place(folder.path()), ROOM).unwrap();
    let mut waiting = Vec::new();
    for number in 0..60_i64 {
        let store = store.clone();
        waiting.push(tokio::spawn(async move {
            let done: Outcome<()> = store
                .write(move |tx| {
                    let sql = "INSERT INTO test_seen (number) VALUES ($1)";
                    tx.exec(sql, &[number.into()])?;
                    match number % 3 {
                        0 => Ok(()),
                        1 => Err(Failed::Refused(Refusal::ProofWrong)),
                        _ => panic!("on purpose"),
                    }
                })
                .await;
            (number, done)
        }));
    }
    for task in waiting {
        let (number, done) = task.await.unwrap();
        match number % 3 {
            0 => assert_eq!(done, Ok(())),
            1 => assert_eq!(done, Err(Failed::Refused(Refusal::ProofWrong))),
            _ => assert_eq!(done, Err(Failed::Fault(Fault::Panicked))),
        }
    }
    let seen: Outcome<Vec<i64>> = store
        .read(|tx| {
            let rows = tx.query("SELECT number FROM test_seen ORDER BY number", &[])?;
            Ok(rows.iter().map(|row| row.int(0)).collect::<Result<_, _>>()?)
        })
        .await;
    assert_eq!(seen.unwrap(), (0..60).filter(|number| number % 3 == 0).collect::<Vec<_>>());
}

#[tokio::test]
async fn placeholders_are_bound_by_their_number_and_miscounting_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(engine::place(folder.path()), ROOM).unwrap();
    let answer: Outcome<(i64, i64, i64)> = store
        .write(|tx| {
            let row = tx.query_one(
                "SELECT CAST($2 AS BIGINT), CAST($1 AS BIGINT), CAST($2 AS BIGINT)",
                &[1.into(), 2.into()],
            )?;
            Ok((row.int(0)?, row.int(1)?, row.int(2)?))
        })
        .await;
    assert_eq!(answer.unwrap(), (2, 1, 2));
    for (sql, values) in [
        ("SELECT $1", Vec::<Value>::new()),
        ("SELECT $1", vec![1.into(), 2.into()]),
        ("SELECT ?", vec![1.into()]),
        ("SELECT $0", vec![1.into()]),
    ] {
        let answer: Outcome<()> =
            store.write(move |tx| tx.query(sql, &values).map(|_| ()).map_err(Failed::Fault)).await;
        assert!(matches!(answer, Err(Failed::Fault(Fault::Misuse(_)))), "{sql}");
    }
}

#[tokio::test]
async fn readers_cannot_write_and_rooms_cannot_touch_the_ledgers_tables() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(engine::place(folder.path()), ROOM).unwrap();
    let written: Outcome<i64> = store.read(|tx| Ok(count_in(tx)?)).await;
    assert!(matches!(written, Err(Failed::Fault(Fault::Store(_)))));
    let reached: Outcome<u64> =
        store.write(|tx| Ok(tx.exec("DELETE FROM ledger_migration", &[])?)).await;
    assert!(matches!(reached, Err(Failed::Fault(Fault::Misuse(_)))));
}

#[tokio::test]
async fn ending_the_transaction_inside_a_unit_of_work_fails_the_group_and_the_store_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(engine::place(folder.path()), ROOM).unwrap();
    let ended: Outcome<u64> = store
        .write(|tx| {
            count_in(tx)?;
            Ok(tx.exec("ROLLBACK", &[])?)
        })
        .await;
    assert!(matches!(ended, Err(Failed::Fault(Fault::Store(_)))));
    let counted: Outcome<i64> = store.write(|tx| Ok(count_in(tx)?)).await;
    assert_eq!(counted.unwrap(), 1);
}

#[tokio::test]
async fn everybody_in_a_group_fails_when_its_commit_fails() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::new();
    let store = Store::open_with(engine::place(folder.path()), ROOM, faults.clone()).unwrap();
    for how in [Break::Before, Break::After] {
        // One statement, then the commit.
        faults.arm(2, how);
        let counted: Outcome<i64> = store.write(|tx| Ok(count_in(tx)?)).await;
        assert!(matches!(counted, Err(Failed::Fault(Fault::Store(_)))), "{how:?}");
        assert!(faults.happened());
    }
    // The second one took effect although an error came back.
    let counted: Outcome<i64> = store.write(|tx| Ok(count_in(tx)?)).await;
    assert_eq!(counted.unwrap(), 2);
}

#[tokio::test]
async fn a_dead_writer_answers_nobody_and_the_next_start_has_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    for (how, expected) in [(Break::DieBefore, 1), (Break::DieAfter, 3)] {
        let faults = Faults::new();
        let store = Store::open_with(engine::place(folder.path()), ROOM, faults.clone()).unwrap();
        faults.arm(2, how);
        for _ in 0..2 {
            let counted: Outcome<i64> = store.write(|tx| Ok(count_in(tx)?)).await;
            assert_eq!(counted, Err(Failed::Fault(Fault::Stopped)));
        }
        drop(store);
        let store = Store::open(engine::place(folder.path()), ROOM).unwrap();
        let counted: Outcome<i64> = store.write(|tx| Ok(count_in(tx)?)).await;
        assert_eq!(counted.unwrap(), expected, "{how:?}");
    }
}

#[test]
fn migrations_stay_in_their_room_and_never_change() {
    let first = Migration { room: "one", number: 1, sql: "CREATE TABLE one_a (x INTEGER)" };
    let second =
        Migration { room: "one", number: 2, sql: "ALTER TABLE one_a ADD COLUMN y INTEGER" };
    let folder = tempfile::tempdir().unwrap();
    let try_open = |migrations: &[Migration]| Store::open(engine::place(folder.path()), migrations);
    drop(try_open(&[first]).unwrap());
    drop(try_open(&[first, second]).unwrap());
    drop(try_open(&[first, second]).unwrap());
    assert!(matches!(refused(try_open(&[first])), Refusal::StoreNewer(_)));
    assert!(matches!(refused(try_open(&[second])), Refusal::MigrationChanged(_)));
    let changed = Migration { sql: "CREATE TABLE one_a (x TEXT)", ..first };
    assert!(matches!(refused(try_open(&[changed, second])), Refusal::MigrationChanged(_)));
    for sql in [
        "CREATE TABLE other (x INTEGER)",
        "CREATE TABLE onea (x INTEGER)",
        "CREATE INDEX two_index ON one_a (x)",
        if engine::on_postgres() {
            "CREATE TRIGGER two_t BEFORE UPDATE ON one_a FOR EACH ROW
             EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        } else {
            "CREATE TRIGGER two_t AFTER INSERT ON one_a BEGIN SELECT 1; END"
        },
        "DROP TABLE one_a",
        "DROP TABLE ledger_migration",
        "ALTER TABLE one_a RENAME TO two_a",
        "ALTER TABLE one_a ADD COLUMN z INTEGER",
    ] {
        let foreign = Migration { room: "two", number: 1, sql };
        let refusal = refused(try_open(&[first, second, foreign]));
        assert!(matches!(refusal, Refusal::MigrationForeign(_)), "{sql}: {refusal}");
    }
    let ours = Migration { room: "ledger", number: 1, sql: "CREATE TABLE ledger_x (x INTEGER)" };
    assert!(matches!(refused(try_open(&[first, second, ours])), Refusal::MigrationForeign(_)));
    drop(try_open(&[first, second]).unwrap());
}
