//! `azukari journal verify` over the ledger that the story left, and over copies that somebody
//! rewrote with an ordinary SQLite client.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::*;

fn ledger() -> PathBuf {
    paper("town/platform/ledger")
}

fn verify(folder: &Path, since: Option<&Path>) -> Ran {
    let mut arguments: Vec<OsString> = vec!["journal".into(), "verify".into()];
    arguments.extend(["--folder".into(), folder.into()]);
    arguments.extend(["--log-key".into(), paper("town/log.vkey").into()]);
    if let Some(file) = since {
        arguments.extend(["--since".into(), file.into()]);
    }
    azukari(&arguments)
}

/// A copy of the ledger on which this Python text was run with `db` as the open database.
fn rewritten(case: &str, python: &str) -> PathBuf {
    let folder = scratch(&format!("ledger-{case}"));
    for entry in std::fs::read_dir(ledger()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let script = format!(
        "import sqlite3, sys\n\
         db = sqlite3.connect(sys.argv[1])\n\
         for (name,) in list(db.execute(\"SELECT name FROM sqlite_master WHERE type = 'trigger'\")):\n\
         \x20   db.execute('DROP TRIGGER ' + name)\n\
         {python}\n\
         print(db.total_changes)\n\
         db.commit()\n\
         db.close()\n"
    );
    let database = folder.join("store.sqlite");
    let ran = judge("python3", &["-c".as_ref(), script.as_ref(), database.as_os_str()]);
    assert!(ran.well(), "{ran:?}");
    // Python's `pass` is the one rewriting that is meant to change nothing.
    assert_eq!(ran.out.trim() == "0", python == "pass", "{case}: {ran:?}");
    folder
}

#[test]
fn the_journal_is_whole_and_continues_the_kept_checkpoint() {
    let journal = paper("journal.txt");
    for since in [None, Some(journal.as_path())] {
        let ran = verify(&ledger(), since);
        assert!(ran.well() && ran.out.contains('✓'), "{ran:?}");
    }
    // The bare checkpoint does as well as the whole text.
    let text = text("journal.txt");
    let note =
        format!("{}\n\n— {}\n", between(&text, "\n\n", "\n\n"), between(&text, "\n\n— ", "\n"));
    let file = scratch("checkpoint").join("checkpoint.txt");
    std::fs::write(&file, note).unwrap();
    let ran = verify(&ledger(), Some(&file));
    assert!(ran.well(), "{ran:?}");
}

/// The copy alone is no offence: what the next test finds is the rewriting.
#[test]
fn a_faithful_copy_is_whole() {
    let ran = verify(&rewritten("faithful", "pass"), Some(&paper("journal.txt")));
    assert!(ran.well(), "{ran:?}");
}

#[test]
fn a_rewritten_database_is_noticed() {
    for (case, python) in [
        ("entry", "db.execute('UPDATE ledger_entry SET entry = zeroblob(65) WHERE idx = 30')"),
        (
            "opening",
            "o = bytearray(db.execute('SELECT opening FROM ledger_entry WHERE idx = 30').fetchone()[0])\n\
             o[-1] ^= 1\n\
             db.execute('UPDATE ledger_entry SET opening = ? WHERE idx = 30', (bytes(o),))",
        ),
        (
            "salt",
            "db.execute('UPDATE ledger_entry SET salt = zeroblob(length(salt)) WHERE idx = 30')",
        ),
        ("deleted", "db.execute('DELETE FROM ledger_entry WHERE idx = 30')"),
        (
            "shortened",
            "db.execute('DELETE FROM ledger_entry WHERE idx = (SELECT max(idx) FROM ledger_entry)')",
        ),
        (
            "exchanged",
            "a, b = [db.execute('SELECT entry, salt, opening FROM ledger_entry WHERE idx = ?', (i,)).fetchone() for i in (30, 31)]\n\
             db.execute('UPDATE ledger_entry SET entry = ?, salt = ?, opening = ? WHERE idx = 30', b)\n\
             db.execute('UPDATE ledger_entry SET entry = ?, salt = ?, opening = ? WHERE idx = 31', a)",
        ),
        ("stream", "db.execute('UPDATE ledger_stream SET seq = seq + 1')"),
        ("head", "db.execute('UPDATE ledger_head SET size = size - 1')"),
    ] {
        let ran = verify(&rewritten(case, python), None);
        assert_eq!(ran.code, 1, "{case}: {ran:?}");
        assert!(ran.out.contains('✗') && ran.out.contains("rewritten"), "{case}: {ran:?}");
    }
}

#[test]
fn the_checkpoint_of_another_journal_does_not_fit() {
    let other = other_papers().join("journal.txt");
    let ran = verify(&ledger(), Some(&other));
    assert_eq!(ran.code, 2, "not of this log, so nothing to compare with: {ran:?}");
    let ran = verify(&other_papers().join("town/platform/ledger"), Some(&paper("journal.txt")));
    assert_eq!(ran.code, 1, "another journal, judged with this log's key: {ran:?}");
}

#[test]
fn the_journal_text_is_recomputed_and_a_changed_row_is_noticed() {
    let ran = azukari(&["inspect".as_ref(), paper("journal.txt").as_os_str()]);
    assert!(ran.well(), "{ran:?}");
    let text = text("journal.txt");
    let row = text.lines().find(|line| line.starts_with("30\t")).unwrap();
    let (before, entry) = row.rsplit_once('\t').unwrap();
    let forged = changed(&text, row, &format!("{before}\t{}", changed_after(entry, "A")));
    let file = scratch("journal-forged").join("journal.txt");
    std::fs::write(&file, forged).unwrap();
    let ran = azukari(&["inspect".as_ref(), file.as_os_str()]);
    assert_eq!(ran.code, 1, "{ran:?}");
}

#[test]
fn a_folder_without_a_ledger_is_unreadable_and_not_whole() {
    let ran = verify(&scratch("no-ledger"), None);
    assert_ne!(ran.code, 0, "{ran:?}");
    let ran = verify(&paper("absent"), None);
    assert_eq!(ran.code, 2, "{ran:?}");
}

/// The auditor's inputs: a folder without vault and secret, and the log's public key.
fn auditors(command: &str, more: &[&str]) -> Ran {
    static COPIES: AtomicUsize = AtomicUsize::new(0);
    let folder = scratch(&format!("auditor-{}", COPIES.fetch_add(1, Ordering::Relaxed)));
    for name in ["store.sqlite", "journal.head"] {
        std::fs::copy(ledger().join(name), folder.join(name)).unwrap();
    }
    let mut arguments: Vec<OsString> = vec!["journal".into(), command.into()];
    arguments.extend(["--folder".into(), folder.into()]);
    arguments.extend(["--log-key".into(), paper("town/log.vkey").into()]);
    arguments.extend(more.iter().map(OsString::from));
    azukari(&arguments)
}

fn check(proof: &Path, more: &[OsString]) -> Ran {
    let mut arguments: Vec<OsString> = vec!["journal".into(), "check".into(), proof.into()];
    arguments.extend(["--log-key".into(), paper("town/log.vkey").into()]);
    for authority in ["jma", "jpa", "medis"] {
        let key = paper(&format!("town/witness-{authority}.vkey"));
        arguments.extend(["--witness".into(), key.into()]);
    }
    arguments.extend(more.iter().cloned());
    azukari(&arguments)
}

#[test]
fn the_auditor_reads_every_entry_and_what_he_asks_for_alone() {
    let all = auditors("show", &[]);
    assert!(all.well(), "{all:?}");
    let rows = |ran: &Ran| ran.out.lines().filter(|line| !line.starts_with('#')).count();
    let text = text("journal.txt");
    let entries =
        text.lines().filter(|line| line.split('\t').count() == 10 && !line.starts_with('#'));
    assert_eq!(rows(&all), entries.count());
    let made = all.out.lines().find(|line| line.contains("signature.made")).unwrap();
    let columns: Vec<&str> = made.split('\t').collect();
    for (flag, column) in [("--kind", 4), ("--facility", 5), ("--key", 6), ("--person", 7)] {
        let some = auditors("show", &[flag, columns[column]]);
        assert!(some.well() && some.out.contains(made), "{flag}: {some:?}");
        assert!(rows(&some) < rows(&all), "{flag}");
        let wanted =
            some.out.lines().skip(1).all(|l| l.split('\t').nth(column) == Some(columns[column]));
        assert!(wanted, "{flag}: {some:?}");
    }
    assert_eq!(rows(&auditors("show", &["--until", "2020-01-01T00:00:00Z"])), 0);
    assert_eq!(rows(&auditors("show", &["--since", "2020-01-01T00:00:00Z", "--limit", "3"])), 3);
}

#[test]
fn a_proof_is_checked_off_line_with_the_keys_of_log_and_witnesses_alone() {
    let folder = scratch("proofs");
    // Founding is over before the platform opens, and witnessed as soon as it does.
    let proof = folder.join("witnessed.tlog-proof");
    let ran = auditors("prove", &["--index", "10", "--out", proof.to_str().unwrap()]);
    assert!(ran.well(), "{ran:?}");
    let ran = check(&proof, &[]);
    assert!(ran.well() && ran.out.matches("(witness)").count() >= 2, "{ran:?}");
    // By the document: the newest of its signatures.
    let document = paper("dispensing.xml");
    let own = folder.join("dispensing.tlog-proof");
    let arguments = ["--signature", document.to_str().unwrap(), "--out", own.to_str().unwrap()];
    let ran = auditors("prove", &arguments);
    assert!(ran.well(), "{ran:?}");
    let with =
        |file: &str| ["--signature".into(), paper(file).into(), "--quorum".into(), "0".into()];
    let ran = check(&own, &with("dispensing.xml"));
    assert!(ran.well() && ran.out.contains("signature.made"), "{ran:?}");
    let ran = check(&own, &with("prescription.xml"));
    assert!(ran.code == 1 && ran.out.contains("proof-wrong"), "{ran:?}");
    // By the order.
    let report: serde_json::Value = serde_json::from_str(&text("report.json")).unwrap();
    let order = report["dispensing"]["order"].as_str().unwrap();
    let made = auditors("show", &[]);
    let index = report["dispensing"]["journal_index"].to_string();
    let row = made.out.lines().find(|line| line.starts_with(&format!("{index}\t"))).unwrap();
    let facility = row.split('\t').nth(5).unwrap();
    let ran = auditors("prove", &["--order", order, "--facility", facility]);
    assert!(ran.well() && ran.out.contains(&format!("index {index}\n")), "{ran:?}");
    // Changed, or of another log, or counted by more witnesses than there are.
    let changed = folder.join("changed.tlog-proof");
    let text = std::fs::read_to_string(&proof).unwrap();
    std::fs::write(&changed, text.replacen("index 10", "index 11", 1)).unwrap();
    let ran = check(&changed, &[]);
    assert!(ran.code == 1 && ran.out.contains("proof-wrong"), "{ran:?}");
    assert_eq!(check(&proof, &["--quorum".into(), "4".into()]).code, 2);
    for unknown in [["--index", "99999"], ["--signature", proof.to_str().unwrap()]] {
        assert_eq!(auditors("prove", &unknown).code, 2, "{unknown:?}");
    }
}

#[test]
fn the_auditor_has_no_way_to_sign() {
    // With what he has, the platform cannot be opened: there is no secret, and no device.
    let folder = scratch("auditor-serves");
    std::fs::create_dir(folder.join("platform")).unwrap();
    std::fs::copy(paper("town/platform.toml"), folder.join("platform.toml")).unwrap();
    let ran = Command::new("cp")
        .args(["-r".as_ref(), paper("town/tls").as_os_str(), folder.as_os_str()])
        .status();
    assert!(ran.unwrap().success());
    let ran = Command::new("cp")
        .args(["-r".as_ref(), ledger().as_os_str(), folder.join("platform").as_os_str()])
        .status();
    assert!(ran.unwrap().success());
    let before = std::fs::read(folder.join("platform/ledger/store.sqlite")).unwrap();
    let config = folder.join("platform.toml");
    let ran = azukari(&["serve".as_ref(), "--config".as_ref(), config.as_os_str()]);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert_eq!(before, std::fs::read(folder.join("platform/ledger/store.sqlite")).unwrap());
}

#[test]
fn which_log_key_was_believed_is_said_and_never_chosen_silently() {
    let town = paper("town");
    let arguments = |more: &[&str]| {
        let mut all: Vec<OsString> = vec!["journal".into(), "verify".into()];
        all.extend(["--folder".into(), town.clone().into()]);
        all.extend(more.iter().map(OsString::from));
        azukari(&all)
    };
    let ran = arguments(&[]);
    assert!(ran.code == 2 && ran.err.contains("--log-key"), "{ran:?}");
    let ran = arguments(&["--log-key-from-ledger"]);
    assert!(ran.well() && ran.out.contains("found beside the ledger"), "{ran:?}");
    let key = paper("town/log.vkey");
    let ran = arguments(&["--log-key", key.to_str().unwrap()]);
    assert!(ran.well() && ran.out.contains("; given"), "{ran:?}");
}
