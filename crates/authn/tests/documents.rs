//! The owner's approval per document or batch, and what is refused on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use approval::{DocumentsStatement, Statement};
use common::*;
use wire::{CeremonyStep, SessionRefuseRequest};

fn statement(asked: &wire::SessionClaimAnswer) -> DocumentsStatement {
    assert_eq!(asked.statement_type, "documents");
    serde_json::from_value(asked.statement.clone()).unwrap()
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn what_the_phone_signs_is_what_was_prepared_and_the_place_as_the_platform_knows_it() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let (place, x5t) = (hospital(), hospital().x5t);
    let qr = house.ask_for_documents(&place, prepared(1, NOW), NOW).await;
    let state = house.room().documents_state(qr.0, x5t, NOW).await.unwrap();
    assert_eq!((state.step, state.statement), (CeremonyStep::Waiting, None));

    let asked = house.claim(&qr, &phone, NOW.plus(30)).await.unwrap();
    let shown = statement(&asked);
    assert_eq!((shown.person, shown.key, shown.count), (person(1), key(1), 3));
    assert_eq!((shown.root, shown.not_after), ([9; 32], NOW.plus(180)));
    assert_eq!(
        (shown.facility_name.as_str(), shown.terminal_label.as_str()),
        ("架空病院", "第1診察室")
    );
    assert_eq!(shown.short_code(), "BEEQSCIJ");
    let state = house.room().documents_state(qr.0, x5t, NOW.plus(30)).await.unwrap();
    assert_eq!((state.step, state.statement.as_ref()), (CeremonyStep::Claimed, Some(&shown)));
    assert_eq!(code(house.room().agreed(qr.0, x5t, NOW).await), "ceremony-out-of-step");

    let approved = house.approve(qr.0, phone.get(&asked.options), NOW.plus(40)).await.unwrap();
    // The bearer of a live token of this place asked: no digits are carried over.
    assert_eq!(approved.number, None);
    assert_eq!(approved.approval.statement, Statement::Documents(shown.clone()));
    let (reference, kept) = house.room().agreed(qr.0, x5t, NOW.plus(41)).await.unwrap();
    assert_eq!((reference, &kept), ([42; 16], &approved.approval));
    let state = house.room().documents_state(qr.0, x5t, NOW.plus(41)).await.unwrap();
    assert_eq!((state.step, state.statement), (CeremonyStep::Approved, Some(shown)));
    // It opens no session: no budget is ever asked for it.
    assert_eq!(house.room().approved_waiting(qr.0).await.unwrap(), None);
    let again = house.approve(qr.0, phone.get(&asked.options), NOW.plus(42)).await;
    assert_eq!(code(again), "ceremony-out-of-step");
}

#[tokio::test]
async fn only_the_owners_linked_phone_claims_once_and_in_time() {
    let house = House::new();
    let (phone, colleague) = (house.linked(1).await, house.linked(2).await);
    let qr = house.ask_for_documents(&hospital(), prepared(1, NOW), NOW).await;
    assert_eq!(code(house.claim(&qr, &colleague, NOW).await), "not-the-expected-person");
    assert_eq!(code(house.claim(&qr, &Phone::new(), NOW).await), "phone-not-linked");
    assert_eq!(code(house.claim(&qr, &phone, NOW.plus(61)).await), "qr-expired");
    assert!(house.claim(&qr, &phone, NOW.plus(60)).await.is_ok());
    assert_eq!(code(house.claim(&qr, &phone, NOW.plus(60)).await), "qr-already-used");
    // Prepared for another key of hers, to which this phone is not linked.
    let other = authn::Documents { key: key(3), ..prepared(1, NOW) };
    let qr = house.ask_for_documents(&hospital(), other, NOW).await;
    assert_eq!(code(house.claim(&qr, &phone, NOW).await), "phone-not-linked");
}

#[tokio::test]
async fn what_was_prepared_too_long_ago_is_neither_asked_nor_approved() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let documents = || authn::Documents { until: NOW.plus(50), ..prepared(1, NOW) };
    let late = house.room();
    let terminal = asked(None).terminal;
    let started = late.start_documents(hospital(), terminal, documents(), NOW.plus(50)).await;
    assert_eq!(code(started), "ceremony-expired");
    let qr = house.ask_for_documents(&hospital(), documents(), NOW).await;
    assert_eq!(code(house.claim(&qr, &phone, NOW.plus(50)).await), "qr-expired");
    let asked = house.claim(&qr, &phone, NOW.plus(49)).await.unwrap();
    let answer = phone.get(&asked.options);
    assert_eq!(code(house.approve(qr.0, answer, NOW.plus(50)).await), "ceremony-expired");
    let x5t = hospital().x5t;
    assert_eq!(code(house.room().agreed(qr.0, x5t, NOW.plus(50)).await), "ceremony-expired");
    let state = house.room().documents_state(qr.0, x5t, NOW.plus(50)).await.unwrap();
    assert_eq!(state.step, CeremonyStep::Expired);
    // Two minutes to decide, as for the daily authentication.
    let qr = house.ask_for_documents(&hospital(), prepared(1, NOW), NOW).await;
    let asked = house.claim(&qr, &phone, NOW).await.unwrap();
    let answer = phone.get(&asked.options);
    assert_eq!(code(house.approve(qr.0, answer, NOW.plus(121)).await), "ceremony-expired");
}

#[tokio::test]
async fn refused_on_the_phone_it_stays_refused() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let qr = house.ask_for_documents(&hospital(), prepared(1, NOW), NOW).await;
    let asked = house.claim(&qr, &phone, NOW).await.unwrap();
    let no = SessionRefuseRequest { ceremony: qr.0.to_string(), secret: qr.1.clone() };
    house.room().refuse(&no, NOW).await.unwrap();
    let answer = phone.get(&asked.options);
    assert_eq!(code(house.approve(qr.0, answer, NOW).await), "ceremony-refused");
    assert_eq!(code(house.room().agreed(qr.0, hospital().x5t, NOW).await), "ceremony-refused");
    let state = house.room().documents_state(qr.0, hospital().x5t, NOW).await.unwrap();
    assert_eq!(state.step, CeremonyStep::Refused);
}

#[tokio::test]
async fn another_institution_and_a_ceremony_of_another_kind_find_nothing() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let x5t = hospital().x5t;
    let qr = house.ask_for_documents(&hospital(), prepared(1, NOW), NOW).await;
    let asked = house.claim(&qr, &phone, NOW).await.unwrap();
    house.approve(qr.0, phone.get(&asked.options), NOW).await.unwrap();
    let room = house.room();
    assert_eq!(code(room.agreed(qr.0, elsewhere().x5t, NOW).await), "ceremony-unknown");
    assert_eq!(code(room.documents_state(qr.0, elsewhere().x5t, NOW).await), "ceremony-unknown");
    let (session, _, _) = house.morning(&hospital(), Some(1), &mut phone, NOW).await;
    assert_eq!(code(room.agreed(session, x5t, NOW).await), "ceremony-unknown");
    assert_eq!(code(room.documents_state(session, x5t, NOW).await), "ceremony-unknown");
    // An answer to the morning's question approves no documents.
    let qr = house.ask_for_documents(&hospital(), prepared(1, NOW), NOW).await;
    house.claim(&qr, &phone, NOW).await.unwrap();
    let morning = house.start(&hospital(), Some(1), NOW).await;
    let other = house.claim(&morning, &phone, NOW).await.unwrap();
    let answer = phone.get(&other.options);
    assert_eq!(code(house.approve(qr.0, answer, NOW).await), "challenge-mismatch");
}

#[tokio::test]
async fn an_unlinked_phone_takes_its_approval_with_it() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let qr = house.ask_for_documents(&hospital(), prepared(1, NOW), NOW).await;
    let asked = house.claim(&qr, &phone, NOW).await.unwrap();
    house.approve(qr.0, phone.get(&asked.options), NOW).await.unwrap();
    house.room().unlink(key(1), NOW).await.unwrap();
    assert_eq!(code(house.room().agreed(qr.0, hospital().x5t, NOW).await), "ceremony-unknown");
}

#[tokio::test]
async fn nothing_no_kind_and_too_many_cannot_be_asked() {
    let house = House::new();
    let terminal = || asked(None).terminal;
    for odd in [
        authn::Documents { count: 0, ..prepared(1, NOW) },
        authn::Documents { count: 2_001, ..prepared(1, NOW) },
        authn::Documents { kinds: Vec::new(), ..prepared(1, NOW) },
    ] {
        let started = house.room().start_documents(hospital(), terminal(), odd, NOW).await;
        assert_eq!(code(started), "allowance-not-allowed");
    }
    let mut unnamed = terminal();
    unnamed.label = "\u{202e}".into();
    let started = house.room().start_documents(hospital(), unnamed, prepared(1, NOW), NOW).await;
    assert_eq!(code(started), "terminal-malformed");
}

#[tokio::test]
async fn the_journal_commits_to_the_phones_key_where_it_says_that_it_was_linked() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    let qr = house.ask_for_documents(&hospital(), prepared(1, NOW), NOW).await;
    let asked = house.claim(&qr, &phone, NOW).await.unwrap();
    let approved = house.approve(qr.0, phone.get(&asked.options), NOW).await.unwrap();
    let approval = approved.approval;
    let leaf = house.room().linked_at(approval.binding).await.unwrap().unwrap();
    let proof = ledger::tlog::Proof::parse(&house.ledger().prove(leaf).await.unwrap()).unwrap();
    let record = proof.verify(house.ledger().verify_key()).unwrap().opening.record;
    assert_eq!((record.event, record.key), (ledger::Event::PhoneLinked, Some(key(1))));
    let phone = approval.proof.phone().unwrap();
    let of = approval::binding_commitment(&phone.credential_id, &phone.cose);
    assert_eq!((record.person, record.evidence), (Some(person(1)), Some(of)));
}
