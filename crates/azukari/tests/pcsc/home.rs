//! `azukari card list` and `prove`: everything that a card's holder can do at home, and how it is
//! refused.

use std::io::Write as _;

use crate::readers::*;
use crate::support::{Ran, judge};

/// What it printed that begins so.
fn address(ran: &Ran, begin: &str) -> String {
    assert!(ran.well(), "{ran:?}");
    let found = ran.out.lines().map(str::trim).find(|line| line.starts_with(begin));
    found.unwrap_or_else(|| panic!("{begin}: {ran:?}")).to_owned()
}

#[track_caller]
fn refused(ran: &Ran, code: &str) {
    assert!(ran.code == 1 && ran.text().contains(code), "{code}: {ran:?}");
    assert!(ran.text().contains('→'), "it says what to do next: {ran:?}");
}

const PIN: &str = "hpki-1234\n";

#[test]
fn every_act_of_a_card_at_home_is_done_or_refused_for_its_own_reason() {
    let place = Place::open("pcsc-home", &[]);
    let platform = place.town.text("/platform").to_owned();
    let listed = list();
    for text in
        ["HPKI カード（署名用）", "HPKI カード（認証用）", "Hanako Kakuu", "医師", "あと 15 回"]
    {
        assert!(listed.well() && listed.out.contains(text), "{text}: {listed:?}");
    }
    let prove = |act: &str, typed: &str| place.prove(&[act, "--reader", FIRST], typed);

    // Two HPKI cards are in readers: which is meant has to be said.
    refused(&place.prove(&["signin"], PIN), "card-several");
    let page = address(&prove("signin", PIN), &format!("{platform}/me#c."));
    assert!(page.len() > platform.len() + 20, "{page}");

    // Her key is stopped, and nothing but a restart goes on with it.
    assert!(prove("stop", PIN).well());
    assert!(prove("stop", PIN).well(), "it stays stopped");
    refused(&prove("sheet", PIN), "key-suspended");
    // What gives power back is her phone's, while she has one; it is lost once.
    refused(&prove("restart", ""), "phone-needed");
    assert!(prove("loss", PIN).well());
    refused(&prove("loss", PIN), "phone-not-linked");
    assert!(prove("restart", PIN).well());
    let sheet = prove("sheet", PIN);
    address(&sheet, &format!("{platform}/r#1."));
    assert!(sheet.out.contains('█') || sheet.out.contains('▀'), "a QR code: {sheet:?}");

    // His card is his: it stops nothing of hers.
    assert!(place.prove(&["stop", "--reader", SECOND], PIN).well());
    assert!(prove("signin", PIN).well());
    assert!(place.prove(&["loss", "--reader", SECOND], PIN).well());
    assert!(place.prove(&["restart", "--reader", SECOND], PIN).well());

    // Her My Number Card: not linked, linked by her HPKI card, used, and given up.
    refused(&prove("link-jpki", PIN), "card-missing");
    place.remove(HIS);
    place.insert(HER_NUMBER, 1);
    let listed = list().out;
    assert!(listed.contains("マイナンバーカード（利用者証明用）") && listed.contains("あと 3 回"));
    assert!(!listed.contains("架空県"), "{listed}");
    let jpki = |act: &str| place.prove(&[act, "--means", "jpki"], "1234\n");
    refused(&jpki("signin"), "card-not-linked");
    assert!(place.prove(&["link-jpki"], "hpki-1234\n1234\n").well());
    refused(&place.prove(&["link-jpki"], "hpki-1234\n1234\n"), "card-already-linked");
    address(&jpki("signin"), &format!("{platform}/me#c."));
    refused(&jpki("link-jpki"), "card-act-not-allowed");
    assert!(jpki("stop").well() && jpki("restart").well());
    // Somebody else's HPKI card does not take it.
    place.remove(HERS);
    place.insert(HIS, 0);
    refused(&place.prove(&["link-jpki"], "hpki-1234\n1234\n"), "card-already-linked");
    assert!(jpki("unlink-jpki").well());
    refused(&jpki("unlink-jpki"), "card-not-linked");
    refused(&jpki("signin"), "card-not-linked");
    // No try was lost by all of this.
    assert_eq!((place.tries(HERS), place.tries(HER_NUMBER)), ([15, 15], [5, 3]));
}

#[test]
fn wrong_pins_count_down_and_block_and_the_page_shows_it() {
    let place = Place::open("pcsc-pins", &[]);
    place.remove(HIS);
    refused(&place.prove(&["signin"], "wrong-pin\n"), "card-pin-wrong");
    assert_eq!(place.tries(HERS), [15, 14], "of authentication alone");
    assert!(list().out.contains("あと 14 回"));
    // What cannot be right is not sent.
    refused(&place.prove(&["signin"], "abc\n"), "card-pin-malformed");
    assert_eq!(place.tries(HERS), [15, 14]);
    // The right one gives the tries back, as on the model.
    assert!(place.prove(&["signin"], PIN).well());
    assert_eq!(place.tries(HERS), [15, 15]);

    place.remove(HERS);
    refused(&place.prove(&["signin"], PIN), "card-missing");
    place.insert(HER_NUMBER, 0);
    let jpki = |typed: &str| place.prove(&["signin", "--means", "jpki"], typed);
    // A card that nobody linked is refused before a PIN is asked for.
    refused(&jpki("9999\n"), "card-not-linked");
    assert_eq!(place.tries(HER_NUMBER), [5, 3]);
    place.insert(HERS, 1);
    let link = |typed: &str| place.prove(&["link-jpki"], typed);
    // Nothing is asked for where a phone decides.
    refused(&link(""), "phone-needed");
    assert!(place.prove(&["loss"], PIN).well());
    refused(&link("hpki-1234\n9999\n"), "card-pin-wrong");
    // Another program counts on the same card: OpenSC, behind the same pcscd.
    let signed = judge(
        "pkcs11-tool",
        &[
            "--slot-index",
            "0",
            "--login",
            "--pin",
            "9999",
            "--sign",
            "--id",
            "01",
            "--mechanism",
            "SHA256-RSA-PKCS",
        ],
    );
    assert!(!signed.well(), "{signed:?}");
    assert_eq!(place.tries(HER_NUMBER), [5, 1]);
    // With one try left nothing is sent before she has said that she knows.
    refused(&link("hpki-1234\nno\n"), "card-pin-last-try");
    assert_eq!(place.tries(HER_NUMBER), [5, 1]);
    let listed = list().out;
    assert!(listed.contains("あと 1 回で、間違えるとロックされます"), "{listed}");
    refused(&link("hpki-1234\nyes\n9999\n"), "card-pin-blocked");
    assert_eq!(place.tries(HER_NUMBER), [5, 0]);
    refused(&link("hpki-1234\n"), "card-pin-blocked");
    assert!(list().out.contains("ロックされています"));
    // Taking it out gives nothing back.
    place.remove(HER_NUMBER);
    place.insert(HER_NUMBER, 0);
    assert_eq!(place.tries(HER_NUMBER), [5, 0]);
}

#[test]
fn a_card_that_is_taken_out_or_changed_on_the_way_hears_no_pin() {
    let place = Place::open("pcsc-removed", &[]);
    place.remove(HIS);
    for other in [false, true] {
        let mut proving = place.proving(&["stop"]);
        let rest = proving.says("あと 15 回");
        place.remove(HERS);
        if other {
            place.insert(HIS, 0);
        }
        let mut typed = proving.typed.take().unwrap();
        typed.write_all(b"wrong-pin\n").unwrap();
        drop((typed, rest));
        let ran = proving.end();
        refused(&ran, if other { "card-changed" } else { "card-removed" });
        assert_eq!((place.tries(HERS), place.tries(HIS)), ([15, 15], [15, 15]));
        if !other {
            place.insert(HERS, 0);
        }
    }
    place.remove(HIS);
    place.insert(HERS, 0);
    // Nothing was stopped: there is nothing to start again.
    assert!(place.prove(&["loss"], PIN).well());
    refused(&place.prove(&["restart"], PIN), "key-wrong-state");
}
