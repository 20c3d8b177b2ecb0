//! The authority's desk: who becomes an officer, what one may do alone, what takes two.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use approval::DeskAct;
use authn::{Asked, DeskOfficer, Done, SignedIn};
use common::*;
use ledger::Break;

type Failed = ledger::Failed<authn::Refusal>;

/// The parts of an invitation's address.
fn invitation(url: &str) -> (String, String) {
    let rest = url.strip_prefix(ORIGIN).unwrap().strip_prefix("/desk#1.").unwrap();
    let (id, secret) = rest.split_once('.').unwrap();
    (id.into(), secret.into())
}

/// A new officer with her passkey.
async fn officer(house: &House, name: &str) -> (DeskOfficer, Phone) {
    let invited = house.room().invite(name, NOW).await.unwrap();
    let (id, secret) = invitation(&invited.url);
    let asked = house.room().begin_enrolment(&id, &secret, NOW).await.unwrap();
    let mut passkey = Phone::new();
    let answer = passkey.create(&asked.options);
    let officer = house.room().finish_enrolment(&id, &secret, &answer, NOW).await.unwrap();
    (officer, passkey)
}

async fn sign_in(
    house: &House,
    passkey: &mut Phone,
    now: hpki::time::Timestamp,
) -> Result<SignedIn, Failed> {
    let (ceremony, asked) = house.room().begin_signin(now).unwrap();
    let answer = passkey.get(&asked.options);
    house.room().finish_signin(&ceremony.to_string(), &answer, now).await
}

fn new(act: DeskAct, n: u8) -> Asked {
    Asked::New { act, key: key(n), reason: "電話で届出".into(), session: None }
}

/// An officer approves what she asks for.
async fn approve(
    house: &House,
    (officer, passkey): &mut (DeskOfficer, Phone),
    asked: Asked,
) -> Result<Done, Failed> {
    let question = house.room().begin_act(officer, asked, NOW).await?;
    let answer = passkey.get(&question.options);
    house.room().finish_act(officer, &answer, NOW).await
}

#[tokio::test]
async fn an_invitation_makes_one_officer_and_only_with_its_secret_and_in_time() {
    let house = House::new();
    assert_eq!(code(house.room().invite(" ", NOW).await), "desk-text-malformed");
    let invited = house.room().invite("架空 係子", NOW).await.unwrap();
    let (id, secret) = invitation(&invited.url);
    let (other, _) = invitation(&house.room().invite("見本 係郎", NOW).await.unwrap().url);
    for (id, secret) in [(&id, "AAAAAAAAAAAAAAAAAAAAAA"), (&other, secret.as_str())] {
        let refused = house.room().begin_enrolment(id, secret, NOW).await;
        assert_eq!(code(refused), "invitation-unknown");
    }
    let late = NOW.plus(86_401);
    let refused = house.room().begin_enrolment(&id, &secret, late).await;
    assert_eq!(code(refused), "invitation-expired");

    let asked = house.room().begin_enrolment(&id, &secret, NOW).await.unwrap();
    let mut unverified = Phone::new();
    unverified.flags = 0b1;
    let answer = unverified.create(&asked.options);
    let refused = house.room().finish_enrolment(&id, &secret, &answer, NOW).await;
    assert_eq!(code(refused), "user-not-verified");
    let mut passkey = Phone::new();
    let answer = passkey.create(&asked.options);
    let made = house.room().finish_enrolment(&id, &secret, &answer, NOW).await.unwrap();
    assert_eq!((made.id, made.name.as_str()), (invited.officer, "架空 係子"));
    let again = house.room().finish_enrolment(&id, &secret, &answer, NOW).await;
    assert_eq!(code(again), "invitation-used");
    assert_eq!(house.room().desk_officers().await.unwrap(), [made]);
}

#[tokio::test]
async fn only_an_officer_in_office_signs_in_and_only_her_page_acts() {
    let house = House::new();
    let (officer, mut passkey) = officer(&house, "架空 係子").await;
    let mut holder = house.linked(1).await;
    assert_eq!(code(sign_in(&house, &mut holder, NOW).await), "officer-not-at-desk");
    let signed_in = sign_in(&house, &mut passkey, NOW).await.unwrap();
    let (there, csrf) = house.room().at_desk(&signed_in.cookie, NOW).await.unwrap();
    assert_eq!((there.id, &csrf), (officer.id, &signed_in.csrf));
    let acting = |csrf: &str| {
        let (cookie, csrf) = (signed_in.cookie.clone(), csrf.to_owned());
        let room = house.room();
        async move { room.acting_at_desk(&cookie, &csrf, NOW).await }
    };
    acting(&csrf).await.unwrap();
    for forged in ["", "AAAAAAAAAAAAAAAAAAAAAA", &signed_in.cookie] {
        assert_eq!(code(acting(forged).await), "desk-forged");
    }
    // An answer signs in once; another question's answer never.
    let (ceremony, asked) = house.room().begin_signin(NOW).unwrap();
    let answer = passkey.get(&asked.options);
    let id = ceremony.to_string();
    let late = house.room().finish_signin(&id, &answer, NOW.plus(121)).await;
    assert_eq!(code(late), "question-expired");
    assert_eq!(code(house.room().finish_signin(&id, &answer, NOW).await), "question-unknown");
    let (ceremony, _) = house.room().begin_signin(NOW).unwrap();
    let refused = house.room().finish_signin(&ceremony.to_string(), &answer, NOW).await;
    assert_eq!(code(refused), "challenge-mismatch");

    // Idle, gone, dismissed.
    let idle = NOW.plus(15 * 60 + 1);
    assert_eq!(code(house.room().at_desk(&signed_in.cookie, idle).await), "desk-closed");
    let signed_in = sign_in(&house, &mut passkey, NOW).await.unwrap();
    house.room().leave_desk(&signed_in.cookie);
    assert_eq!(code(house.room().at_desk(&signed_in.cookie, NOW).await), "desk-closed");
    let signed_in = sign_in(&house, &mut passkey, NOW).await.unwrap();
    house.room().dismiss_officer(officer.id, NOW).await.unwrap();
    assert_eq!(code(house.room().at_desk(&signed_in.cookie, NOW).await), "desk-closed");
    assert_eq!(code(sign_in(&house, &mut passkey, NOW).await), "officer-not-at-desk");
    assert_eq!(code(house.room().dismiss_officer(officer.id, NOW).await), "officer-unknown");
}

#[tokio::test]
async fn one_officer_ends_a_lost_phone_and_its_sessions_in_one_commit() {
    let house = House::new();
    let mut one = officer(&house, "架空 係子").await;
    let mut phone = house.linked(1).await;
    let (ceremony, number, _) = house.morning(&hospital(), Some(1), &mut phone, NOW).await;
    drop((ceremony, number));
    let done = approve(&house, &mut one, new(DeskAct::Loss, 1)).await.unwrap();
    assert_eq!((done.order.outcome.as_str(), done.ended.len()), ("done", 1));
    assert!(done.sheet.is_none() && done.order.closed.is_some());
    let sessions = house.room().sessions(person(1)).await.unwrap();
    assert!(sessions.iter().all(|session| !session.is_live(NOW)));
    let stop = house.room().begin_stop(Some(&phone.device), NOW).await;
    assert_eq!(code(stop), "phone-not-linked");
    // There is nothing left to lose; a stranger's key is nobody's.
    let again = approve(&house, &mut one, new(DeskAct::Loss, 1)).await;
    assert_eq!(code(again), "phone-not-linked");
    let stranger = approve(&house, &mut one, new(DeskAct::Suspend, 9)).await;
    assert_eq!(code(stranger), "holder-unknown");
}

#[tokio::test]
async fn a_sheet_takes_two_officers_and_links_the_new_phone_with_the_old_birth_date() {
    let house = House::new();
    let (mut one, mut two) =
        (officer(&house, "架空 係子").await, officer(&house, "見本 係郎").await);
    house.linked(1).await;
    // Not beside a linked phone.
    let refused = approve(&house, &mut one, new(DeskAct::Sheet, 1)).await;
    assert_eq!(code(refused), "phone-already-linked");
    approve(&house, &mut one, new(DeskAct::Loss, 1)).await.unwrap();
    let opened = approve(&house, &mut one, new(DeskAct::Sheet, 1)).await.unwrap();
    assert!(opened.sheet.is_none() && opened.order.closed.is_none());
    assert_eq!(house.room().waiting_acts(NOW).await.unwrap(), std::slice::from_ref(&opened.order));

    let confirm = Asked::Confirm(opened.order.id);
    let alone = approve(&house, &mut one, confirm.clone()).await;
    assert_eq!(code(alone), "officer-already-confirmed");
    let twice = approve(&house, &mut two, new(DeskAct::Sheet, 1)).await;
    assert_eq!(code(twice), "desk-order-open");
    let late = NOW.plus(86_401);
    let refused = house.room().begin_act(&two.0, confirm.clone(), late).await;
    assert_eq!(code(refused), "desk-order-closed");

    let done = approve(&house, &mut two, confirm.clone()).await.unwrap();
    let officers: Vec<_> =
        done.order.approvals.iter().map(|given| given.statement.officer).collect();
    assert_eq!((officers, done.order.outcome.as_str()), (vec![one.0.id, two.0.id], "done"));
    let (sheet, display_id) = done.sheet.unwrap();
    assert_eq!(display_id, "TEST0001");
    assert_eq!(sheet.expires, NOW.plus(92 * 86_400));
    assert_eq!(code(approve(&house, &mut two, confirm).await), "desk-order-closed");

    let rest = sheet.url.strip_prefix(ORIGIN).unwrap().strip_prefix("/r#1.").unwrap();
    let (id, secret) = rest.split_once('.').unwrap();
    let session = house.open(&(id.into(), secret.into()), NOW).await.unwrap();
    let wrong = house.birth(&session, "19990101", NOW).await;
    assert_eq!(code(wrong), "birth-date-wrong");
    let options = house.birth(&session, BIRTH, NOW).await.unwrap();
    let answer = Phone::new().create(&options);
    house.finish(&session, answer, NOW).await.unwrap();
}

#[tokio::test]
async fn acts_on_the_key_itself_wait_for_custody_with_the_officers_words() {
    let house = House::new();
    let (mut one, mut two) =
        (officer(&house, "架空 係子").await, officer(&house, "見本 係郎").await);
    house.linked(1).await;
    let stopped = approve(&house, &mut one, new(DeskAct::Suspend, 1)).await.unwrap();
    assert_eq!(stopped.order.outcome, "decided");
    let opened = approve(&house, &mut one, new(DeskAct::Resume, 1)).await.unwrap();
    let resumed = approve(&house, &mut two, Asked::Confirm(opened.order.id)).await.unwrap();
    let told: Vec<Vec<approval::DeskApproval>> = house
        .ledger()
        .undelivered()
        .await
        .unwrap()
        .into_iter()
        .filter(|message| message.topic == authn::TOPIC_DESK_DECIDED)
        .map(|message| {
            assert_eq!(message.concerns, Some(key(1)));
            serde_json::from_str(&message.payload).unwrap()
        })
        .collect();
    assert_eq!(told, [stopped.order.approvals.clone(), resumed.order.approvals.clone()]);
    // How custody took it is kept with the act, once.
    house.room().settle_act(stopped.order.id, None).await.unwrap();
    house.room().settle_act(resumed.order.id, Some("key-wrong-state")).await.unwrap();
    house.room().settle_act(resumed.order.id, None).await.unwrap();
    let acts = house.room().acts_on(key(1)).await.unwrap();
    let outcome = |id| acts.iter().find(|act| act.id == id).unwrap().outcome.clone();
    assert_eq!(outcome(stopped.order.id), "done");
    assert_eq!(outcome(resumed.order.id), "key-wrong-state");
}

#[tokio::test]
async fn an_answer_to_another_question_or_of_another_officer_decides_nothing() {
    let house = House::new();
    let (one, mut two) = (officer(&house, "架空 係子").await, officer(&house, "見本 係郎").await);
    let (one, mut passkey) = one;
    house.linked(1).await;
    let room = house.room();
    let older = room.begin_act(&one, new(DeskAct::Suspend, 1), NOW).await.unwrap();
    let newer = room.begin_act(&one, new(DeskAct::Loss, 1), NOW).await.unwrap();
    let answer = passkey.get(&older.options);
    assert_eq!(code(room.finish_act(&one, &answer, NOW).await), "challenge-mismatch");
    let foreign = two.1.get(&newer.options);
    assert_eq!(code(room.finish_act(&one, &foreign, NOW).await), "credential-unknown");
    let answer = passkey.get(&newer.options);
    assert_eq!(code(room.finish_act(&two.0, &answer, NOW).await), "question-unknown");
    let late = room.finish_act(&one, &answer, NOW.plus(121)).await;
    assert_eq!(code(late), "question-expired");
    // Dismissed between question and answer.
    let newer = room.begin_act(&two.0, new(DeskAct::Loss, 1), NOW).await.unwrap();
    let answer = two.1.get(&newer.options);
    room.dismiss_officer(two.0.id, NOW).await.unwrap();
    assert_eq!(code(room.finish_act(&two.0, &answer, NOW).await), "question-unknown");
    assert_eq!(code(room.begin_act(&two.0, new(DeskAct::Loss, 1), NOW).await), "desk-closed");
    assert!(room.acts_on(key(1)).await.unwrap().is_empty());
    for reason in ["", "a\nb", &"長".repeat(201)] {
        let asked =
            Asked::New { act: DeskAct::Loss, key: key(1), reason: reason.into(), session: None };
        assert_eq!(code(room.begin_act(&one, asked, NOW).await), "desk-text-malformed");
    }
}

#[tokio::test]
async fn a_holder_is_found_by_her_number_and_each_look_is_journalled() {
    let house = House::new();
    let (one, _) = officer(&house, "架空 係子").await;
    house.linked(1).await;
    house.sheet(2, NOW).await;
    let room = house.room();
    for text in ["TEST0001", " TEST0001 ", &person(1).to_string(), &key(1).to_string()] {
        let found = room.holders(text).await.unwrap();
        assert_eq!(found.iter().map(|holder| holder.key).collect::<Vec<_>>(), [key(1)], "{text}");
    }
    for text in ["", "TEST000", "TEST0001%", "test0001"] {
        assert_eq!(code(room.holders(text).await), "holder-unknown", "{text}");
    }
    let before = house.ledger().size();
    let means = room.look_at(one.id, key(1), NOW).await.unwrap();
    assert_eq!(house.ledger().size(), before + 1);
    assert!(means.phone.is_some_and(|phone| phone.linked == NOW && !phone.synced));
    assert_eq!(means.sheet.standing, authn::Standing::Used);
    let means = room.look_at(one.id, key(2), NOW).await.unwrap();
    assert_eq!((means.phone, means.sheet.standing), (None, authn::Standing::Issued));
    assert_eq!(code(room.look_at(one.id, key(9), NOW).await), "holder-unknown");
}

#[tokio::test]
async fn rows_of_the_desk_that_somebody_else_wrote_are_refused() {
    let house = House::new();
    let mut one = officer(&house, "架空 係子").await;
    house.linked(1).await;
    house.linked(2).await;
    let opened = approve(&house, &mut one, new(DeskAct::Resume, 1)).await.unwrap();
    let write = |sql: &'static str| {
        let ledger = house.ledger().clone();
        async move {
            ledger.write(move |tx| Ok::<_, Failed>(tx.exec(sql, &[])?)).await.unwrap();
        }
    };
    write("UPDATE authn_desk_order SET act = 'suspend'").await;
    assert_eq!(code(house.room().waiting_acts(NOW).await), "seal-broken");
    let two = officer(&house, "見本 係郎").await;
    let asked = Asked::Confirm(opened.order.id);
    assert_eq!(code(house.room().begin_act(&two.0, asked, NOW).await), "seal-broken");
    write("UPDATE authn_officer SET name = '誰か'").await;
    assert_eq!(code(house.room().desk_officers().await), "seal-broken");
    let mut passkey = one.1;
    assert_eq!(code(sign_in(&house, &mut passkey, NOW).await), "seal-broken");
}

/// Each step of the second approval breaks once, in each way; the platform starts again, the second
/// officer too: the order has two approvals, and one sheet can be used.
#[tokio::test]
async fn wherever_the_store_breaks_a_confirmed_act_happens_once_or_not_at_all() {
    // What differs between the engines is what a death leaves behind.
    let ways = if engine::on_postgres() { &[Break::DieAfter][..] } else { &Break::ALL[..] };
    for &how in ways {
        for n in 1.. {
            let mut house = House::new();
            let (mut one, mut two) =
                (officer(&house, "架空 係子").await, officer(&house, "見本 係郎").await);
            house.sheet(1, NOW).await;
            let order = approve(&house, &mut one, new(DeskAct::Sheet, 1)).await.unwrap().order;
            let confirm = Asked::Confirm(order.id);
            let question = house.room().begin_act(&two.0, confirm.clone(), NOW).await.unwrap();
            let answer = two.1.get(&question.options);
            house.faults.arm(n, how);
            let first = house.room().finish_act(&two.0, &answer, NOW).await;
            let happened = house.faults.happened();
            house.reopen();
            // A counter that was committed without an answer must not stand in her way.
            match approve(&house, &mut two, confirm).await {
                Ok(done) => assert!(done.sheet.is_some() && first.is_err(), "{how:?} {n}"),
                Err(failed) => assert_eq!(code::<()>(Err(failed)), "desk-order-closed", "{n}"),
            }
            let acts = house.room().acts_on(key(1)).await.unwrap();
            assert_eq!(acts.len(), 1, "{how:?} {n}");
            assert_eq!((acts[0].approvals.len(), acts[0].outcome.as_str()), (2, "done"));
            let sql = "SELECT count(*) FROM authn_sheet WHERE state = 'issued'";
            let count =
                move |tx: &mut ledger::Tx<'_>| Ok::<_, Failed>(tx.query_one(sql, &[])?.number(0)?);
            assert_eq!(house.ledger().read(count).await.unwrap(), 1, "{how:?} {n}");
            if !happened {
                assert!(first.is_ok() && n > 5, "{how:?}: every step was broken once");
                break;
            }
        }
    }
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn however_many_strangers_begin_to_sign_in_an_officer_is_let_in() {
    let house = House::new();
    let (_, mut passkey) = officer(&house, "架空 係子").await;
    for _ in 0..5_000 {
        house.room().begin_signin(NOW).unwrap();
    }
    sign_in(&house, &mut passkey, NOW).await.unwrap();
}
