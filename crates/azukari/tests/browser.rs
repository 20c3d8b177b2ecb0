//! Pages as people meet them: Chromium with virtual authenticators walks through each flow of a
//! running town. Each flow is a file in `browser/`; what was seen is kept in `target/screenshots`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;
#[path = "outside/town.rs"]
#[allow(dead_code, reason = "shared with those who send requests themselves")]
mod town;
#[path = "support/walked.rs"]
mod walked;

use ::town::ehr::prescription_csv;
use ::town::people::{AKIKO, HANAKO, HOSPITAL, SANDBOX};
use town::Town;
use walked::walk;

/// A record of this newcomer's, for her EHR to have signed.
fn record(town: &Town, name: &str) {
    let issued = hpki::time::Timestamp::from_seconds(1_790_000_000);
    let csv = prescription_csv(&AKIKO, &SANDBOX, issued);
    std::fs::write(town.out.join(name), csv).unwrap();
}

#[test]
fn a_phone_is_linked_by_its_sheet_and_nothing_else_on_it() {
    let town = Town::open_with("browser-link", &["--newcomers"]);
    walk(&town, "link");
}

#[test]
fn officers_of_the_desk_take_away_alone_and_give_together() {
    let town = Town::open_with("browser-desk", &["--newcomers"]);
    record(&town, "prescription.csv");
    walk(&town, "desk");
}

#[test]
fn a_morning_at_a_terminal_is_approved_on_the_phone_for_the_place_that_it_shows() {
    let town = Town::open_with("browser-session", &["--newcomers"]);
    record(&town, "prescription.csv");
    walk(&town, "session");
}

#[test]
fn a_card_in_the_terminals_reader_authenticates_and_signs() {
    let town = Town::open_with("browser-card", &[]);
    let issued = hpki::time::Timestamp::from_seconds(1_790_000_000);
    let csv = prescription_csv(&HANAKO, &HOSPITAL, issued);
    std::fs::write(town.out.join("prescription.csv"), csv).unwrap();
    walk(&town, "card");
}

#[test]
fn what_goes_wrong_with_a_sheet_or_a_phone_says_what_to_do_next() {
    let town = Town::open_with("browser-hard", &["--newcomers"]);
    walk(&town, "hard");
}

#[test]
fn a_service_that_asks_for_cards_shows_a_command_and_takes_its_digits() {
    let town = Town::open_with("browser-bycard", &["--newcomers"]);
    walk(&town, "bycard");
}

#[test]
fn a_physician_logs_in_to_a_regional_network_with_her_phone() {
    let town = Town::open_with("browser-login", &["--newcomers"]);
    walk(&town, "login");
}

#[test]
fn an_owner_rules_her_key_on_her_own_page() {
    let town = Town::open_with("browser-holder", &["--newcomers"]);
    record(&town, "prescription.csv");
    walk(&town, "holder");
}

#[test]
fn the_owners_page_reads_a_terminals_code_by_the_camera() {
    let town = Town::open_with("browser-scan", &["--newcomers"]);
    walk(&town, "scan");
}

#[test]
fn what_comes_too_late_is_refused_by_the_platform_itself() {
    let town = Town::open_with("browser-late", &["--newcomers"]);
    record(&town, "prescription.csv");
    walk(&town, "late");
}

#[test]
fn every_flow_is_walked_by_keys_alone() {
    let town = Town::open_with("browser-keyboard", &["--newcomers"]);
    record(&town, "prescription.csv");
    walk(&town, "keyboard");
}

#[test]
fn a_platform_that_dies_between_question_and_answer_is_asked_again() {
    let town = Town::open_with("browser-restart", &["--newcomers", "--separate"]);
    record(&town, "prescription.csv");
    walk(&town, "restart");
}

#[test]
fn every_page_is_light_and_readable_in_both_languages() {
    let town = Town::open_with("browser-pages", &["--newcomers"]);
    walk(&town, "pages");
}
