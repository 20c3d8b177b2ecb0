//! Linking the first phone, and what is refused on the way (attack stories 1 to 3).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use approval::webauthn::{Maker, Makers};
use authn::{Standing, TOPIC_PHONE_LINKED};
use common::*;
use ledger::{Break, Event, Failed, LeafOpening};
use wire::{LinkFinishRequest, LinkHeldRequest, LinkOpenRequest};

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_sheet_a_birth_date_and_a_phone_make_a_binding_and_tell_custody() {
    let house = House::new();
    let sheet = house.sheet(1, NOW).await;
    let session = house.open(&sheet, NOW).await.unwrap();
    let options = house.birth(&session, BIRTH, NOW).await.unwrap();
    let mut phone = Phone::new();
    let linked = house.finish(&session, phone.create(&options), NOW).await.unwrap();
    assert_eq!(
        (linked.evidence.statement.person, linked.evidence.statement.key),
        (person(1), key(1))
    );
    let waiting = house.ledger().undelivered().await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].topic, TOPIC_PHONE_LINKED);
    assert_eq!(waiting[0].concerns, Some(key(1)));
    let told: approval::LinkEvidence = serde_json::from_str(&waiting[0].payload).unwrap();
    assert_eq!(told, linked.evidence);
    assert_eq!(
        house.room().sheet(sheet.0.parse().unwrap()).await.unwrap().unwrap().standing,
        Standing::Used
    );
    assert_eq!(code(house.open(&sheet, NOW).await), "phone-already-linked");
    assert_eq!(code(house.room().issue_sheet(enrolled(1), NOW).await), "phone-already-linked");
}

#[tokio::test]
async fn without_its_secret_a_sheet_is_unknown_and_no_try_is_counted() {
    let house = House::new();
    let (id, secret) = house.sheet(1, NOW).await;
    let other = house.sheet(2, NOW).await.1;
    for wrong in 0..100 {
        let guess = match wrong % 4 {
            0 => other.clone(),
            1 => String::new(),
            2 => "AAAAAAAAAAAAAAAAAAAAAA".into(),
            _ => format!("{secret}A"),
        };
        assert_eq!(code(house.open(&(id.clone(), guess), NOW).await), "sheet-unknown");
    }
    assert_eq!(code(house.open(&("no sheet".into(), secret.clone()), NOW).await), "sheet-unknown");
    assert_eq!(code(house.open(&("00".repeat(16), secret.clone()), NOW).await), "sheet-unknown");
    let standing = house.room().sheet(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((standing.standing, standing.tries), (Standing::Issued, 0));
    assert!(house.open(&(id, secret), NOW).await.is_ok());
}

#[tokio::test]
async fn the_fifth_wrong_birth_date_locks_the_sheet_for_good() {
    let house = House::new();
    let sheet = house.sheet(1, NOW).await;
    let mut session = house.open(&sheet, NOW).await.unwrap();
    assert_eq!(code(house.birth(&session, "1980-1-2", NOW).await), "birth-date-malformed");
    for _ in 0..3 {
        assert_eq!(code(house.birth(&session, "19800103", NOW).await), "birth-date-wrong");
    }
    // The right date gives its own try back and forgives none of the wrong ones.
    assert!(house.birth(&session, BIRTH, NOW).await.is_ok());
    session = house.open(&sheet, NOW).await.unwrap();
    assert_eq!(code(house.birth(&session, "19800103", NOW).await), "birth-date-wrong");
    assert_eq!(code(house.birth(&session, "19800103", NOW).await), "sheet-locked");
    assert_eq!(code(house.birth(&session, BIRTH, NOW).await), "sheet-locked");
    assert_eq!(code(house.open(&sheet, NOW).await), "sheet-locked");
    // To a stranger it still looks like nothing.
    let stranger = (sheet.0.clone(), "AAAAAAAAAAAAAAAAAAAAAA".to_owned());
    assert_eq!(code(house.open(&stranger, NOW).await), "sheet-unknown");
    // Each step of whoever had the sheet stands in the stream of its key, the newest first.
    let told = house.ledger().stream(key(1).stream(), None, 100).await.unwrap();
    let told: Vec<Event> = told
        .iter()
        .map(|entry| LeafOpening::decode(&entry.opening).unwrap().record.event)
        .collect();
    let (opened, tried) = (Event::SheetOpened, Event::SheetTried);
    let mut expected = vec![Event::SheetIssued, opened, tried, tried, tried, tried, opened];
    expected.extend([tried, tried, Event::SheetLocked]);
    expected.reverse();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn of_two_phones_that_race_for_a_sheet_one_wins() {
    let house = House::new();
    let sheet = house.sheet(1, NOW).await;
    let session = house.open(&sheet, NOW).await.unwrap();
    let options = house.birth(&session, BIRTH, NOW).await.unwrap();
    let (mut one, mut two) = (Phone::new(), Phone::new());
    let (a, b) = (one.create(&options), two.create(&options));
    let (a, b) = tokio::join!(house.finish(&session, a, NOW), house.finish(&session, b, NOW));
    let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    assert!(won.is_ok());
    assert_eq!(code(lost), "phone-already-linked");
}

#[tokio::test]
async fn a_sitting_that_another_phone_ended_cannot_finish_and_hears_when_the_sheet_was_used() {
    let house = House::new();
    let sheet = house.sheet(1, NOW).await;
    let first = house.open(&sheet, NOW).await.unwrap();
    let options = house.birth(&first, BIRTH, NOW).await.unwrap();
    let answer = Phone::new().create(&options);
    let second = house.open(&sheet, NOW).await.unwrap();
    assert_eq!(code(house.finish(&first, answer.clone(), NOW).await), "sitting-unknown");
    assert_eq!(code(house.finish(&second, answer.clone(), NOW).await), "birth-date-missing");
    let options = house.birth(&second, BIRTH, NOW).await.unwrap();
    assert_eq!(code(house.finish(&second, answer.clone(), NOW).await), "challenge-mismatch");
    house.finish(&second, Phone::new().create(&options), NOW).await.unwrap();
    assert_eq!(code(house.finish(&first, answer, NOW).await), "phone-already-linked");
}

#[tokio::test]
async fn sheets_and_sittings_end_by_time_and_by_a_newer_sheet() {
    let house = House::new();
    let sheet = house.sheet(1, NOW).await;
    let session = house.open(&sheet, NOW).await.unwrap();
    assert_eq!(code(house.birth(&session, BIRTH, NOW.plus(901)).await), "sitting-unknown");
    assert_eq!(code(house.birth("nonsense", BIRTH, NOW).await), "sitting-unknown");
    assert_eq!(code(house.open(&sheet, NOW.plus(93 * 86_400)).await), "sheet-expired");
    house.sheet(1, NOW).await;
    assert_eq!(code(house.open(&sheet, NOW).await), "sheet-revoked");
}

#[tokio::test]
async fn a_phone_that_did_not_verify_its_owner_is_not_linked() {
    let house = House::new();
    let sheet = house.sheet(1, NOW).await;
    let session = house.open(&sheet, NOW).await.unwrap();
    let options = house.birth(&session, BIRTH, NOW).await.unwrap();
    let mut phone = Phone::new();
    phone.flags = 1;
    assert_eq!(
        code(house.finish(&session, phone.create(&options), NOW).await),
        "user-not-verified"
    );
    phone.flags = 5;
    phone.origin = "https://evil.test".into();
    assert_eq!(code(house.finish(&session, phone.create(&options), NOW).await), "origin-wrong");
    phone.origin = ORIGIN.into();
    assert!(house.finish(&session, phone.create(&options), NOW).await.is_ok());
}

#[tokio::test]
async fn one_credential_is_linked_once_and_a_sheet_is_opened_only_so_often() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let sheet = house.sheet(2, NOW).await;
    let session = house.open(&sheet, NOW).await.unwrap();
    let options = house.birth(&session, BIRTH, NOW).await.unwrap();
    let again = phone.create(&options);
    assert_eq!(code(house.finish(&session, again, NOW).await), "phone-already-linked");
    for _ in 1..30 {
        house.open(&sheet, NOW).await.unwrap();
    }
    assert_eq!(code(house.open(&sheet, NOW).await), "slow-down");
    assert!(house.open(&sheet, NOW.plus(3_600)).await.is_ok());
}

#[tokio::test]
async fn dying_between_the_try_and_the_comparison_gives_no_free_try() {
    let mut house = House::new();
    let mut costly = 0;
    for n in 1.. {
        let sheet = house.sheet(1, NOW).await;
        let session = house.open(&sheet, NOW).await.unwrap();
        house.faults.arm(n, Break::DieAfter);
        let answer = house.birth(&session, "19800103", NOW).await;
        if !house.faults.happened() {
            assert_eq!(code(answer), "birth-date-wrong");
            break;
        }
        house.reopen();
        let id = sheet.0.parse().unwrap();
        let counted = house.room().sheet(id).await.unwrap().unwrap().tries;
        // Whoever heard whether the date was right has paid for it.
        match answer {
            Err(Failed::Fault(_)) => costly += counted,
            heard => {
                assert_eq!(code(heard), "birth-date-wrong");
                assert_eq!(counted, 1);
            }
        }
        let mut session = house.open(&sheet, NOW).await.unwrap();
        let mut heard = 0;
        loop {
            match code(house.birth(&session, "19800103", NOW).await) {
                "birth-date-wrong" => heard += 1,
                other => break assert_eq!(other, "sheet-locked"),
            }
            session = house.open(&sheet, NOW).await.unwrap();
        }
        assert_eq!(heard + 1 + counted, 5);
    }
    assert!(costly > 0, "no crash fell between the try and the comparison");
}

#[tokio::test]
async fn a_row_that_was_written_by_sql_is_refused() {
    let house = House::new();
    let sheet = house.sheet(1, NOW).await;
    let moved = house.ledger().write(|tx| {
        tx.exec("UPDATE authn_sheet SET person = $1", &[person(9).into()])?;
        Ok::<_, Failed<authn::Refusal>>(())
    });
    moved.await.unwrap();
    assert_eq!(code(house.open(&sheet, NOW).await), "seal-broken");

    let phone = house.linked(2).await;
    let moved = house.ledger().write(|tx| {
        tx.exec("UPDATE authn_binding SET person = $1", &[person(9).into()])?;
        Ok::<_, Failed<authn::Refusal>>(())
    });
    moved.await.unwrap();
    let qr = house.start(&hospital(), None, NOW).await;
    assert_eq!(code(house.claim(&qr, &phone, NOW).await), "seal-broken");
}

#[tokio::test]
async fn sheets_die_with_the_certificate_and_a_linked_phone_is_left_to_be_unlinked() {
    let house = House::new();
    let posted = house.sheet(1, NOW).await;
    let others = house.sheet(2, NOW).await;
    let open = house.sheet(3, NOW).await;
    let session = house.open(&open, NOW).await.unwrap();
    let options = house.birth(&session, BIRTH, NOW).await.unwrap();
    for n in [1, 3] {
        assert_eq!(house.room().void_sheets(key(n)).await.unwrap(), 1);
        assert_eq!(house.room().void_sheets(key(n)).await.unwrap(), 0, "told twice");
    }
    assert_eq!(code(house.open(&posted, NOW).await), "sheet-void");
    // Also in the middle of it.
    let answer = Phone::new().create(&options);
    assert_eq!(code(house.finish(&session, answer, NOW).await), "sheet-void");
    assert!(house.open(&others, NOW).await.is_ok());
    // One that was used stays used: what it linked is unlinked by itself.
    house.linked(4).await;
    assert_eq!(house.room().void_sheets(key(4)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_phone_that_is_linked_links_nothing_else_and_hears_whether_it_is_this_sheets() {
    let house = House::new();
    let hers = house.sheet(1, NOW).await;
    let phone = house.linked_by(&hers).await;
    let others = house.sheet(2, NOW).await;
    let known = Some(phone.device.as_str());
    let open = |sheet: &(String, String)| LinkOpenRequest {
        sheet: sheet.0.clone(),
        secret: sheet.1.clone(),
    };
    let opened = |sheet: &(String, String), device| {
        let request = open(sheet);
        let room = house.room();
        async move { room.open(&request, device, NOW).await }
    };
    assert_eq!(code(opened(&hers, known).await), "phone-linked-here");
    assert_eq!(code(opened(&hers, None).await), "phone-already-linked");
    assert_eq!(code(opened(&others, known).await), "phone-holds-another");
    // Nothing is told to a linked phone that does not have the sheet's secret.
    let guess = (others.0.clone(), hers.1.clone());
    assert_eq!(code(opened(&guess, known).await), "sheet-unknown");
    // A browser that lost the cookie says which key it holds.
    let session = opened(&others, None).await.unwrap().session;
    let held = |credential_id: &str| {
        let request =
            LinkHeldRequest { session: session.clone(), credential_id: credential_id.into() };
        let room = house.room();
        async move { room.held(&request, NOW).await }
    };
    assert_eq!(code(held(&phone.id()).await), "birth-date-missing");
    house.birth(&session, BIRTH, NOW).await.unwrap();
    assert_eq!(code(held(&phone.id()).await), "phone-holds-another");
    assert!(held(&Phone::new().id()).await.is_ok() && held("?").await.is_ok());
    // A phone that becomes another's while its owner reads is refused at the end, too.
    let session = opened(&others, None).await.unwrap().session;
    let options = house.birth(&session, BIRTH, NOW).await.unwrap();
    let credential = Phone::new().create(&options);
    let finish = LinkFinishRequest { session, credential, label: None };
    assert_eq!(code(house.room().finish_link(&finish, known, NOW).await), "phone-holds-another");
    let nameless = LinkFinishRequest { label: Some(" ".into()), ..finish.clone() };
    assert_eq!(code(house.room().finish_link(&nameless, None, NOW).await), "phone-name-malformed");
    // Linked no more, it is free.
    house.room().unlink(key(1), NOW).await.unwrap();
    assert!(house.room().finish_link(&finish, known, NOW).await.is_ok());
}

#[tokio::test]
async fn ending_one_linking_leaves_the_phone_that_was_linked_in_its_place() {
    let house = House::new();
    let link = async || {
        let session = house.open(&house.sheet(1, NOW).await, NOW).await.unwrap();
        let options = house.birth(&session, BIRTH, NOW).await.unwrap();
        let linked = house.finish(&session, Phone::new().create(&options), NOW).await.unwrap();
        linked.evidence.binding
    };
    let room = house.room();
    let first = link().await;
    room.unlink(key(1), NOW).await.unwrap();
    let second = link().await;
    // What is said of the first comes late.
    assert_eq!(code(room.unlink_this(key(1), first, NOW).await), "phone-not-linked");
    assert!(room.phone_of_key(key(1)).await.unwrap().is_some());
    room.unlink_this(key(1), second, NOW).await.unwrap();
    assert!(room.phone_of_key(key(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn where_makers_are_listed_a_phone_that_does_not_say_its_maker_is_not_linked() {
    let mut house = House::new();
    let root = x509_root();
    let maker = Maker::new("架空メーカー", &[root], Vec::new()).unwrap();
    house.makers = Makers::only(vec![maker]);
    house.reopen();
    let sheet = house.sheet(1, NOW).await;
    let session = house.open(&sheet, NOW).await.unwrap();
    let options = house.birth(&session, BIRTH, NOW).await.unwrap();
    assert_eq!(options["attestation"], "direct");
    let answer = Phone::new().create(&options);
    assert_eq!(code(house.finish(&session, answer, NOW).await), "attestation-missing");
    // The sheet is not used up by that; whoever lists nobody takes the same phone.
    house.makers = Makers::default();
    house.reopen();
    let options = house.birth(&session, BIRTH, NOW).await.unwrap();
    assert_eq!(options["attestation"], "none");
    let answer = Phone::new().create(&options);
    house.finish(&session, answer, NOW).await.unwrap();
}

/// The root of the W3C's published attestation certificates.
fn x509_root() -> Vec<u8> {
    const VECTORS: &str = include_str!("../../approval/tests/vectors/webauthn/w3c-vectors.json");
    let all: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let text = all["attestation_ca_cert"].as_str().unwrap();
    (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
}
