//! Every refusal says what happened and what to do next, and the printed list is the table.
//!
//! `AZUKARI_WRITE=1 cargo test -p azukari --test refusals` writes docs/refusals.md anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::Path;

use wire::refusal::{all, lookup};

/// Where the table lies, for its headings.
const TABLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../wire/src/refusals.tsv"));

/// What the HTTP layer itself refuses.
const DOOR: &[&str] = &[
    "request-malformed",
    "request-too-large",
    "client-certificate-missing",
    "origin-foreign",
    "terminal-page-unknown",
    "card-pin-elsewhere",
    "token-missing",
    "ehr-key-wrong",
    "digest-not-allowed",
    "publication-unknown",
    "terms-unknown",
    "demo-host-foreign",
    "demo-origin-foreign",
    "demo-not-json",
    "demo-nothing-here",
    "demo-out-of-turn",
    "demo-too-late",
    "demo-reader-full",
    "demo-reader-gone",
];

/// What officers' acts are refused, and key files at start.
const OFFICERS: &[&str] = &[
    "officers-appointed",
    "officers-not-appointed",
    "officers-record-broken",
    "officers-door-in-use",
    "officers-door-unusable",
    "officers-door-closed",
    "platform-open",
    "platform-sealed",
    "passphrase-missing",
    "key-file-readable",
    "backup-exists",
    "backup-of-database",
    "backup-unwritable",
    "backup-damaged",
    "backup-forged",
    "restore-would-overwrite",
    "restore-rolled-back",
    "transfer-another-platform",
    "transfer-check-failed",
    "transfer-token-missing",
];

#[test]
fn every_code_of_every_room_is_in_the_table() {
    let rooms = [
        ("hpki", hpki::CODES),
        ("xades", xades::CODES),
        ("verifier", verifier::CODES),
        ("prescription", prescription::CODES),
        ("approval", approval::CODES),
        ("hsm", hsm::CODES),
        ("hsm::shares", hsm::shares::CODES),
        ("ledger", ledger::CODES),
        ("ca", ca::CODES),
        ("authn", authn::CODES),
        ("authn::provider", authn::provider::CODES),
        ("custody", custody::CODES),
        ("gateway", gateway::CODES),
        ("town", town::refusal::CODES),
        ("azukari", DOOR),
        ("azukari", OFFICERS),
    ];
    let mut missing = Vec::new();
    for (room, codes) in rooms {
        missing.extend(codes.iter().filter(|code| lookup(code).is_none()).map(|c| (room, *c)));
    }
    assert!(missing.is_empty(), "without a text in refusals.tsv: {missing:?}");
}

/// What passes by itself. A gateway sends the same order again on 5xx and 429.
const PASSING: &[&str] = &["status-unknown", "clock-unsure"];

#[test]
fn only_what_passes_by_itself_is_answered_so_that_a_gateway_asks_again() {
    for code in custody::CODES {
        let status = lookup(code).unwrap().status;
        let asks_again = status == 429 || status >= 500;
        assert_eq!(asks_again, PASSING.contains(code), "{code} is answered with {status}");
    }
}

fn printed() -> String {
    let mut text = String::from(
        "# 断りの一覧 / Refusals\n\n\
         この表は `crates/wire/src/refusals.tsv` から作られます。コードは変わりません。\
         故障（こちら側の不具合）は 500 と照会番号で答えます。\n\n\
         Made from `crates/wire/src/refusals.tsv`. Codes never change. A fault (something broke on \
         our side) is answered with 500 and a reference number.\n",
    );
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        if let Some(heading) = line.strip_prefix("# ── ") {
            let heading = heading.trim_end_matches([' ', '─']);
            write!(
                text,
                "\n## {heading}\n\n\
                 | code | HTTP | 何が起きたか | 次にすること | what happened | what to do next |\n\
                 |---|---|---|---|---|---|\n"
            )
            .unwrap();
        } else if !line.starts_with('#') {
            let row = lookup(line.split('\t').next().unwrap()).unwrap();
            writeln!(
                text,
                "| `{}` | {} | {} | {} | {} | {} |",
                row.code, row.status, row.title_ja, row.advice_ja, row.title_en, row.advice_en
            )
            .unwrap();
        }
    }
    text
}

#[test]
fn the_printed_list_of_refusals_is_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/refusals.md");
    let printed = printed();
    assert_eq!(printed.lines().filter(|line| line.starts_with("| `")).count(), all().len());
    if std::env::var_os("AZUKARI_WRITE").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == printed,
        "docs/refusals.md is not the table; write it anew with AZUKARI_WRITE=1"
    );
}
