//! `azukari journal verify` over the ledger that the story left, and over copies that somebody
//! rewrote with an ordinary SQLite client.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
            "db.execute(\"UPDATE ledger_entry SET opening = replace(opening, '202', '201') WHERE idx = 30\")",
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
