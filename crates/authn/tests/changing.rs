//! The owner moves to another phone by herself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use approval::webauthn::{Maker, Makers};
use approval::{ChangeEvidence, check_change};
use authn::{NoticeKind, OwnersAct, Visit};
use common::*;
use ledger::Break;
use wire::{
    ChangeOfferAnswer, ChangeOfferRequest, ChangeOpenAnswer, ChangeOpenRequest, ChangeStandRequest,
    ChangeStep, SigninFinishRequest,
};

type Failed = ledger::Failed<authn::Refusal>;

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

async fn visit(house: &House, phone: &mut Phone) -> Visit {
    let asked = house.room().begin_visit(Some(&phone.device), NOW).await.unwrap();
    let credential = phone.get(&asked.options);
    let request = SigninFinishRequest { signin: asked.signin, credential };
    let signed = house.room().finish_visit(&request, NOW).await.unwrap();
    house.room().visit(Some(&signed.visit), NOW).await.unwrap()
}

/// The QR on the old phone's screen.
fn shown(house: &House, visit: &Visit) -> ChangeOpenRequest {
    let qr = house.room().begin_change(visit, NOW).unwrap().0;
    let rest = qr.strip_prefix(&format!("{ORIGIN}/n#1.")).unwrap();
    let (sheet, secret) = rest.split_once('.').unwrap();
    ChangeOpenRequest { sheet: sheet.into(), secret: secret.into() }
}

async fn opens(
    house: &House,
    qr: &ChangeOpenRequest,
    after: u64,
) -> Result<ChangeOpenAnswer, Failed> {
    house.room().open_change(qr, None, NOW.plus(after)).await
}

fn offers(
    house: &House,
    phone: &mut Phone,
    opened: &ChangeOpenAnswer,
) -> Result<ChangeOfferAnswer, Failed> {
    let request = ChangeOfferRequest {
        session: opened.session.clone(),
        credential: phone.create(&opened.options),
        label: Some("新しい電話".into()),
    };
    let (answer, device) = house.room().offer_change(&request, NOW)?;
    phone.device = device;
    Ok(answer)
}

fn step(house: &House, opened: &ChangeOpenAnswer) -> ChangeStep {
    let request = ChangeStandRequest { session: opened.session.clone() };
    house.room().change_stands(&request, NOW).unwrap().step
}

#[tokio::test]
async fn the_new_phone_is_hers_when_the_old_one_has_approved_exactly_it() {
    let house = House::new();
    let mut old = house.linked(1).await;
    house.morning(&hospital(), Some(1), &mut old, NOW).await;
    let visit = visit(&house, &mut old).await;
    let qr = shown(&house, &visit);
    let mut new = Phone::new();
    let opened = opens(&house, &qr, 0).await.unwrap();
    assert_eq!(opened.person_display, "TEST0001");
    let offered = offers(&house, &mut new, &opened).unwrap();
    // Its device secret names nobody before she approves.
    let asked = house.room().begin_visit(Some(&new.device), NOW).await.unwrap();
    assert_eq!(asked.person_display, None);
    let state = house.room().change_state(&visit, NOW).unwrap();
    assert_eq!((state.step, state.label.as_deref()), (ChangeStep::Offered, Some("新しい電話")));
    assert_eq!(state.code.unwrap(), offered.code);
    let credential = old.get(&state.ask.unwrap().options);
    let size = house.ledger().size();
    let approval = house.room().owner_answers(&visit, &credential, NOW).await.unwrap();
    assert_eq!(house.ledger().size(), size + 2);
    assert_eq!(step(&house, &opened), ChangeStep::Done);
    let request = ChangeStandRequest { session: opened.session.clone() };
    let stands = house.room().change_stands(&request, NOW).unwrap();
    assert_eq!(stands.stream_key.unwrap().0, old.stream_key);
    // The old phone is nobody's, in every way; the new one claims a terminal's QR.
    let claim = house.start(&hospital(), Some(1), NOW).await;
    assert_eq!(code(house.claim(&claim, &old, NOW).await), "phone-not-linked");
    house.claim(&claim, &new, NOW).await.unwrap();
    let sessions = house.room().sessions(person(1)).await.unwrap();
    assert!(sessions.iter().all(|session| !session.is_live(NOW)));
    assert_eq!(house.room().notices(key(1)).await.unwrap()[0].kind, NoticeKind::PhoneChanged);
    // Custody is given what both phones said, and it holds.
    let outbox = house.ledger().undelivered().await.unwrap();
    let message = outbox.iter().find(|it| it.topic == authn::TOPIC_PHONE_CHANGED).unwrap();
    let evidence: ChangeEvidence = serde_json::from_str(&message.payload).unwrap();
    assert_eq!(evidence.approval, approval);
    let party = approval::RelyingParty { rp_id: "id.test".into(), origins: vec![ORIGIN.into()] };
    let mut before = approval::check_link(&evidence.link, &party).unwrap();
    assert!(check_change(&evidence, &before, &party).is_err(), "the new one alone says nothing");
    before.sign_count = 0;
}

#[tokio::test]
async fn a_qr_is_scanned_once_in_ten_minutes_and_by_a_phone_that_holds_nothing() {
    let house = House::new();
    let (mut old, other) = (house.linked(1).await, house.linked(2).await);
    let visit = visit(&house, &mut old).await;
    assert_eq!(code(house.room().change_state(&visit, NOW)), "change-unknown");
    let qr = shown(&house, &visit);
    let mut wrong = qr.clone();
    wrong.secret = "AAAAAAAAAAAAAAAAAAAAAA".into();
    assert_eq!(code(opens(&house, &wrong, 0).await), "sheet-unknown");
    let taken = house.room().open_change(&qr, Some(&other.device), NOW).await;
    assert_eq!(code(taken), "phone-holds-another");
    let same = house.room().open_change(&qr, Some(&old.device), NOW).await;
    assert_eq!(code(same), "phone-linked-here");
    assert_eq!(code(opens(&house, &qr, 601).await), "change-expired");
    opens(&house, &qr, 0).await.unwrap();
    assert_eq!(code(opens(&house, &qr, 0).await), "change-already-opened");
    // A newer QR takes the place of the older.
    let newer = shown(&house, &visit);
    assert_eq!(code(opens(&house, &qr, 0).await), "sheet-unknown");
    let opened = opens(&house, &newer, 0).await.unwrap();
    house.room().refuse_change(&visit);
    assert_eq!(code(offers(&house, &mut Phone::new(), &opened)), "change-unknown");
}

#[tokio::test]
async fn a_new_phone_is_held_to_the_listed_makers_as_the_first_was() {
    let mut house = House::new();
    let mut old = house.linked(1).await;
    const VECTORS: &str = include_str!("../../approval/tests/vectors/webauthn/w3c-vectors.json");
    let all: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let root = all["attestation_ca_cert"].as_str().unwrap().as_bytes();
    let digit = |octet: u8| char::from(octet).to_digit(16).unwrap();
    let root: Vec<u8> =
        root.chunks(2).map(|two| (digit(two[0]) * 16 + digit(two[1])) as u8).collect();
    house.makers = Makers::only(vec![Maker::new("架空メーカー", &[root], Vec::new()).unwrap()]);
    house.reopen();
    let visit = visit(&house, &mut old).await;
    let opened = opens(&house, &shown(&house, &visit), 0).await.unwrap();
    assert_eq!(opened.options["attestation"], "direct");
    assert_eq!(code(offers(&house, &mut Phone::new(), &opened)), "attestation-missing");
}

#[tokio::test]
async fn whoever_photographs_the_qr_gets_nothing_without_her_approval_of_that_phone() {
    let house = House::new();
    let mut old = house.linked(1).await;
    let visit = visit(&house, &mut old).await;
    let qr = shown(&house, &visit);
    let mut thief = Phone::new();
    let opened = opens(&house, &qr, 0).await.unwrap();
    offers(&house, &mut thief, &opened).unwrap();
    // The characters differ from those on the phone in her hand: she says no.
    let asked = house.room().change_state(&visit, NOW).unwrap().ask.unwrap();
    house.room().refuse_change(&visit);
    let credential = old.get(&asked.options);
    let late = house.room().owner_answers(&visit, &credential, NOW).await;
    assert_eq!(code(late), "change-unknown");
    let asked = house.room().begin_visit(Some(&thief.device), NOW).await.unwrap();
    assert_eq!(asked.person_display, None);
    // Her old phone is as it was.
    let asked = house.room().ask_owner(&visit, OwnersAct::Stop, NOW).unwrap();
    let credential = old.get(&asked.options);
    house.room().owner_answers(&visit, &credential, NOW).await.unwrap();
}

#[tokio::test]
async fn wherever_a_change_breaks_one_phone_is_hers() {
    let mut house = House::new();
    let mut hers = house.linked(1).await;
    for how in Break::ALL {
        for n in 1.. {
            let visit = visit(&house, &mut hers).await;
            let mut new = Phone::new();
            let opened = opens(&house, &shown(&house, &visit), 0).await.unwrap();
            offers(&house, &mut new, &opened).unwrap();
            let asked = house.room().change_state(&visit, NOW).unwrap().ask.unwrap();
            let credential = hers.get(&asked.options);
            house.faults.arm(n, how);
            let said = house.room().owner_answers(&visit, &credential, NOW).await;
            let happened = house.faults.happened();
            house.faults.disarm();
            drop(visit);
            house.reopen();
            let knows = |phone: &Phone| {
                let (room, device) = (house.room(), phone.device.clone());
                async move {
                    let asked = room.begin_visit(Some(&device), NOW).await.unwrap();
                    asked.person_display.is_some()
                }
            };
            let (old, fresh) = (knows(&hers).await, knows(&new).await);
            assert!(old != fresh, "{n} {how:?}: old {old}, new {fresh}");
            assert!(said.is_err() || fresh, "{n} {how:?}");
            if fresh {
                hers = new;
            }
            if !happened {
                assert!(n > 8, "only {n} steps in a change");
                break;
            }
        }
    }
}
