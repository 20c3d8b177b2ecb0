//! The owner signs in to her page with her passkey, and what ends her visit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use authn::Visiting;
use common::*;
use serde_json::{Value, json};
use wire::{SigninBeginAnswer, SigninFinishRequest};

type Failed = ledger::Failed<authn::Refusal>;

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

async fn begin(house: &House, device: Option<&str>) -> SigninBeginAnswer {
    house.room().begin_visit(device, NOW).await.unwrap()
}

async fn finish(
    house: &House,
    asked: &SigninBeginAnswer,
    credential: Value,
    after: u64,
) -> Result<Visiting, Failed> {
    let request = SigninFinishRequest { signin: asked.signin.clone(), credential };
    house.room().finish_visit(&request, NOW.plus(after)).await
}

async fn signed_in(house: &House, phone: &mut Phone) -> Visiting {
    let asked = begin(house, Some(&phone.device)).await;
    let answer = phone.get(&asked.options);
    finish(house, &asked, answer, 0).await.unwrap()
}

#[tokio::test]
async fn a_known_phone_is_asked_by_name_and_its_visit_ends_with_quiet_time_or_phone() {
    let mut house = House::new();
    let mut phone = house.linked(1).await;
    let asked = begin(&house, Some(&phone.device)).await;
    assert_eq!(asked.person_display.as_deref(), Some("TEST0001"));
    assert_eq!(asked.options["allowCredentials"].as_array().unwrap().len(), 1);
    let size = house.ledger().size();
    let answer = phone.get(&asked.options);
    let signed = finish(&house, &asked, answer.clone(), 120).await.unwrap();
    assert_eq!(house.ledger().size(), size + 1, "she will see that somebody looked");
    assert_eq!(signed.device, None, "the phone is known already");
    assert_eq!(code(finish(&house, &asked, answer, 120).await), "question-unknown");
    let at = |seconds: u64| NOW.plus(120 + seconds);
    let visit = house.room().visit(Some(&signed.visit), at(0)).await.unwrap();
    assert_eq!((visit.person(), visit.key()), (person(1), key(1)));
    // It survives a restart, and half an hour at a time, two hours in all.
    house.reopen();
    let room = house.room();
    for seconds in (1_700..=7_200).step_by(1_700) {
        room.visit(Some(&signed.visit), at(seconds)).await.unwrap();
    }
    assert_eq!(code(room.visit(Some(&signed.visit), at(7_201)).await), "signin-needed");
    let second = signed_in(&house, &mut phone).await;
    let quiet = room.visit(Some(&second.visit), NOW.plus(1_801)).await;
    assert_eq!(code(quiet), "signin-needed");
    // She leaves; or her phone is unlinked.
    let (third, fourth) =
        (signed_in(&house, &mut phone).await, signed_in(&house, &mut phone).await);
    let visit = room.visit(Some(&third.visit), NOW).await.unwrap();
    room.end_visit(&visit).await.unwrap();
    assert_eq!(code(room.visit(Some(&third.visit), NOW).await), "signin-needed");
    room.visit(Some(&fourth.visit), NOW).await.unwrap();
    room.unlink(key(1), NOW).await.unwrap();
    assert_eq!(code(room.visit(Some(&fourth.visit), NOW).await), "signin-needed");
    for nobody in [None, Some(""), Some("AAAAAAAAAAAAAAAAAAAAAA")] {
        assert_eq!(code(room.visit(nobody, NOW).await), "signin-needed");
    }
}

#[tokio::test]
async fn a_browser_that_lost_its_cookie_is_known_again_by_the_passkey_that_lives_in_it() {
    let house = House::new();
    let mut phone = house.linked(1).await;
    // A borrowed computer, with the phone's passkey by Bluetooth: signed in, and nothing stays.
    let asked = begin(&house, None).await;
    assert_eq!(asked.person_display, None);
    assert!(asked.options.get("allowCredentials").is_none());
    let mut answer = phone.get(&asked.options);
    answer["authenticatorAttachment"] = json!("cross-platform");
    let signed = finish(&house, &asked, answer, 0).await.unwrap();
    assert_eq!(signed.device, None);
    house.room().visit(Some(&signed.visit), NOW).await.unwrap();
    let known = begin(&house, Some(&phone.device)).await;
    assert!(known.person_display.is_some(), "her phone is as it was");
    // The phone itself, cleared: it gets a fresh device secret, and the old one names nobody.
    let asked = begin(&house, Some("AAAAAAAAAAAAAAAAAAAAAA")).await;
    let mut answer = phone.get(&asked.options);
    answer["authenticatorAttachment"] = json!("platform");
    let signed = finish(&house, &asked, answer, 0).await.unwrap();
    let fresh = signed.device.unwrap();
    assert!(begin(&house, Some(&phone.device)).await.person_display.is_none());
    let asked = begin(&house, Some(&fresh)).await;
    assert_eq!(asked.person_display.as_deref(), Some("TEST0001"));
    let answer = phone.get(&asked.options);
    finish(&house, &asked, answer, 0).await.unwrap();
}

#[tokio::test]
async fn nobody_else_and_no_late_or_unverified_answer_signs_in() {
    let house = House::new();
    let (mut phone, mut other) = (house.linked(1).await, house.linked(2).await);
    let asked = begin(&house, Some(&phone.device)).await;
    let theirs = other.get(&asked.options);
    assert_eq!(code(finish(&house, &asked, theirs, 0).await), "credential-unknown");
    let asked = begin(&house, Some(&phone.device)).await;
    let answer = phone.get(&asked.options);
    assert_eq!(code(finish(&house, &asked, answer, 121).await), "question-expired");
    // Another question's answer; a finger that was not asked for; a page of another site.
    let (one, two) = (begin(&house, None).await, begin(&house, None).await);
    let answer = phone.get(&one.options);
    assert_eq!(code(finish(&house, &two, answer, 0).await), "challenge-mismatch");
    let asked = begin(&house, None).await;
    phone.flags = 0b001;
    let answer = phone.get(&asked.options);
    assert_eq!(code(finish(&house, &asked, answer, 0).await), "user-not-verified");
    phone.flags = 0b101;
    let asked = begin(&house, None).await;
    phone.origin = "https://evil.test".into();
    let answer = phone.get(&asked.options);
    assert_eq!(code(finish(&house, &asked, answer, 0).await), "origin-wrong");
    phone.origin = ORIGIN.into();
    // A passkey that is linked to nobody any more.
    house.room().unlink(key(1), NOW).await.unwrap();
    let asked = begin(&house, Some(&phone.device)).await;
    assert_eq!(asked.person_display, None);
    let answer = phone.get(&asked.options);
    assert_eq!(code(finish(&house, &asked, answer, 0).await), "phone-not-linked");
}
