//! The criteria are true: each names a function, tests and a command that are there, and the printed
//! list is the table.
//!
//! `AZUKARI_WRITE=1 cargo test -p azukari --test criteria` writes docs/criteria.md anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

const TABLE: &str = include_str!("../src/criteria/table.tsv");

/// Every statement that a custodian is asked about, by chapter and count.
const EXPECTED: &[(&str, u32)] =
    &[("GEN", 5), ("IMP", 4), ("HOLD", 4), ("AUT", 11), ("REV", 4), ("LOG", 3)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn rows() -> Vec<Vec<&'static str>> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect()).collect()
}

fn azukari(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_azukari")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_statement_is_answered_once() {
    let expected: Vec<String> = EXPECTED
        .iter()
        .flat_map(|(chapter, count)| (1..=*count).map(move |number| format!("{chapter}-{number}")))
        .collect();
    let ids: Vec<&str> = rows().iter().map(|row| row[0]).collect();
    assert_eq!(ids, expected);
    for row in rows() {
        assert_eq!(row.len(), 9, "{}", row[0]);
        assert!(!row[7].is_empty() && !row[8].is_empty(), "{} has no words", row[0]);
    }
}

#[test]
fn each_place_and_each_test_is_there() {
    let source = |id: &str, file: &str| {
        std::fs::read_to_string(root().join(file))
            .unwrap_or_else(|error| panic!("{id}: {file}: {error}"))
    };
    for row in rows() {
        let (id, room, function, tests, event) = (row[0], row[2], row[3], row[4], row[5]);
        assert!(function.starts_with(&format!("crates/{room}/src/")), "{id}: {function}");
        let (file, name) = function.split_once("::").unwrap_or_else(|| panic!("{id}: no place"));
        let place = source(id, file);
        let there =
            place.contains(&format!("fn {name}(")) || place.contains(&format!("fn {name}<"));
        assert!(there, "{id}: no function {name} in {file}");
        for test in tests.split(' ') {
            let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{id}: no test"));
            let source = source(id, file);
            let place = source
                .find(&format!("fn {name}("))
                .unwrap_or_else(|| panic!("{id}: no test {name} in {file}"));
            let before: Vec<&str> = source[..place].lines().rev().take(3).collect();
            let is_test =
                |line: &&str| line.trim() == "#[test]" || line.trim().starts_with("#[tokio::test");
            assert!(before.iter().any(is_test), "{id}: {name} in {file} is no test");
        }
        assert!(
            event.is_empty() || ledger::Event::ALL.iter().any(|known| known.name() == event),
            "{id}: no event {event}"
        );
    }
}

#[test]
fn each_command_that_shows_it_live_is_there() {
    let commands: std::collections::BTreeSet<&str> = rows().iter().map(|row| row[6]).collect();
    for command in commands {
        let (program, words) = command.split_once(' ').unwrap();
        assert_eq!(program, "azukari");
        let mut words: Vec<&str> = words.split(' ').collect();
        words.push("--help");
        azukari(&words);
    }
}

#[test]
fn the_printed_list_is_the_table() {
    let printed = azukari(&["criteria", "--markdown"]);
    let file = root().join("docs/criteria.md");
    if std::env::var_os("AZUKARI_WRITE").is_some() {
        std::fs::write(&file, printed.trim_end().to_owned() + "\n").unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept.trim_end(), printed.trim_end(), "write it anew, see the head of this test");
}

#[test]
fn a_committee_sees_what_a_platforms_own_journal_shows() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    azukari(&["demo", "--once", "--out", out.to_str().unwrap()]);
    let html = folder.path().join("criteria.html");
    let evidence = ["criteria", "--folder", out.to_str().unwrap(), "--log-key-from-ledger"];
    let told = azukari(&[&evidence[..], &["--lang", "en"]].concat());
    // One prescription and one dispensing result were signed in this town.
    assert!(told.contains("signature.made stands 2 times"), "{told}");
    assert!(
        told.contains("REV-3") && told.contains("statements are seen in this journal"),
        "{told}"
    );
    azukari(&[&evidence[..], &["--html", html.to_str().unwrap()]].concat());
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("lang=\"ja\"") && page.contains("記録に signature.made が 2 件"));
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
}
