//! Officers of the authority's desk stop a key alone and lift that stop together, and nobody else.
#![allow(clippy::unwrap_used)]

mod common;

use approval::evidence::AssertionEvidence;
use approval::simulator::Phone;
use approval::{
    Credential, DeskAct, DeskApproval, DeskStatement, OfficerEvidence, OfficerStatement,
    check_officer,
};
use common::*;
use custody::{KeyState, StopReason};
use hpki::id::{DeskOrderId, InvitationId, OfficerId};
use tempfile::tempdir;

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

struct Officer {
    id: OfficerId,
    passkey: Phone,
    credential: Credential,
}

fn evidence(n: u8, passkey: &mut Phone) -> OfficerEvidence {
    let statement = OfficerStatement {
        issuer: ISSUER.into(),
        rp_id: "localhost".into(),
        invitation: InvitationId::from_octets([n; 16]),
        nonce: [n; 32],
        officer: OfficerId::from_octets([n; 16]),
        name: format!("架空 係員{n}"),
    };
    OfficerEvidence {
        registration: passkey.create(&statement.challenge(), &[n; 32]),
        statement,
        user_handle: vec![n; 32],
        enrolled: NOW,
    }
}

async fn officer(house: &House, n: u8) -> Officer {
    let mut passkey = Phone::new("localhost", ORIGIN, &[n; 16]);
    let evidence = evidence(n, &mut passkey);
    house.custody.accept_desk_officer(&evidence, NOW).await.unwrap();
    let credential = check_officer(&evidence, &rp()).unwrap();
    Officer { id: evidence.statement.officer, passkey, credential }
}

fn statement(doctor: &Member, act: DeskAct, order: u8) -> DeskStatement {
    DeskStatement {
        issuer: ISSUER.into(),
        rp_id: "localhost".into(),
        nonce: [order; 32],
        officer: OfficerId::from_octets([0; 16]),
        order: DeskOrderId::from_octets([order; 16]),
        act,
        person: doctor.person,
        key: doctor.key,
        reason: "本人の申出".into(),
        session: None,
    }
}

fn says(officer: &mut Officer, mut statement: DeskStatement) -> DeskApproval {
    statement.officer = officer.id;
    officer.passkey.counter += 1;
    DeskApproval {
        webauthn: AssertionEvidence::new(
            &officer.passkey.get(&statement.challenge()),
            &officer.credential,
        ),
        statement,
        approved: NOW,
    }
}

async fn state(house: &House, doctor: &Member) -> (KeyState, Vec<StopReason>) {
    let facts = house.custody.key(doctor.key).await.unwrap();
    (facts.state, facts.stops)
}

#[tokio::test]
async fn one_officer_stops_a_key_at_once_and_two_let_it_sign_again() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let (mut one, mut two) = (officer(&house, 1).await, officer(&house, 2).await);
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.sign(&token, &hospital(), order(1), NOW).await.unwrap();
    let stop = [says(&mut one, statement(&doctor, DeskAct::Suspend, 1))];
    house.custody.carry_out_desk(&stop, NOW).await.unwrap();
    assert_eq!(state(&house, &doctor).await, (KeyState::Suspended, vec![StopReason::Desk]));
    let refused = house.custody.sign(&token, &hospital(), order(2), NOW).await;
    assert_eq!(code(refused), "key-suspended");

    let resume = statement(&doctor, DeskAct::Resume, 2);
    let first = says(&mut one, resume.clone());
    let alone = house.custody.carry_out_desk(std::slice::from_ref(&first), NOW).await;
    assert_eq!(code(alone), "officers-too-few");
    let twice = [first.clone(), says(&mut one, resume.clone())];
    assert_eq!(code(house.custody.carry_out_desk(&twice, NOW).await), "officers-too-few");
    let mut other = resume.clone();
    other.reason = "別の理由".into();
    let apart = [first.clone(), says(&mut two, other)];
    assert_eq!(code(house.custody.carry_out_desk(&apart, NOW).await), "evidence-wrong");
    assert_eq!(state(&house, &doctor).await.0, KeyState::Suspended);

    let both = [first, says(&mut two, resume)];
    house.custody.carry_out_desk(&both, NOW).await.unwrap();
    assert_eq!(state(&house, &doctor).await, (KeyState::Held, vec![]));
    // Heard again, neither order does anything more.
    let size = house.ledger.size();
    house.custody.carry_out_desk(&both, NOW).await.unwrap();
    house.custody.carry_out_desk(&stop, NOW).await.unwrap();
    assert_eq!(house.ledger.size(), size);
    assert_eq!(state(&house, &doctor).await.0, KeyState::Held);
    // The budget of before the stop stays ended.
    let refused = house.custody.sign(&token, &hospital(), order(2), NOW).await;
    assert_eq!(code(refused), "token-ended");
    balanced(&house).await;
}

#[tokio::test]
async fn the_desk_lifts_its_own_stop_only() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let (mut one, mut two) = (officer(&house, 1).await, officer(&house, 2).await);
    let mut resume = |order| {
        let said = statement(&doctor, DeskAct::Resume, order);
        [says(&mut one, said.clone()), says(&mut two, said)]
    };
    assert_eq!(code(house.custody.carry_out_desk(&resume(1), NOW).await), "key-wrong-state");
    house.custody.stop_by_owner(&approve_stop(&doctor), NOW).await.unwrap();
    assert_eq!(code(house.custody.carry_out_desk(&resume(2), NOW).await), "key-wrong-state");
    house.custody.stop_key(doctor.key, StopReason::Desk, NOW).await.unwrap();
    house.custody.carry_out_desk(&resume(3), NOW).await.unwrap();
    assert_eq!(state(&house, &doctor).await, (KeyState::Suspended, vec![StopReason::Owner]));
}

#[tokio::test]
async fn who_is_no_officer_or_signed_something_else_decides_nothing() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let mut one = officer(&house, 1).await;
    let stop = || statement(&doctor, DeskAct::Suspend, 1);
    let carry = |approval: DeskApproval| {
        let custody = &house.custody;
        async move { code(custody.carry_out_desk(&[approval], NOW).await) }
    };
    // Not enrolled here; another's passkey under her name; another platform's statement.
    let mut passkey = Phone::new("localhost", ORIGIN, &[9; 16]);
    let registered = evidence(9, &mut passkey);
    let credential = check_officer(&registered, &rp()).unwrap();
    let mut stranger = Officer { id: OfficerId::from_octets([9; 16]), passkey, credential };
    assert_eq!(carry(says(&mut stranger, stop())).await, "officer-unknown");
    stranger.id = one.id;
    assert_eq!(carry(says(&mut stranger, stop())).await, "evidence-wrong");
    let mut elsewhere = stop();
    elsewhere.issuer = "https://elsewhere.test".into();
    assert_eq!(carry(says(&mut one, elsewhere)).await, "approval-elsewhere");
    // What was signed was another act, another key's, another person's.
    let mut changed = says(&mut one, statement(&doctor, DeskAct::Loss, 1));
    assert_eq!(carry(changed.clone()).await, "evidence-wrong");
    changed.statement.act = DeskAct::Suspend;
    assert_eq!(carry(changed).await, "challenge-mismatch");
    let mut person = stop();
    person.person = hpki::id::PersonId::from_octets([77; 16]);
    assert_eq!(carry(says(&mut one, person)).await, "key-unknown");
    one.passkey.flags = 1;
    assert_eq!(carry(says(&mut one, stop())).await, "user-not-verified");
    one.passkey.flags = 5;
    // Dismissed, twice.
    let good = says(&mut one, stop());
    house.custody.end_desk_officer(one.id, NOW).await.unwrap();
    house.custody.end_desk_officer(one.id, NOW).await.unwrap();
    assert_eq!(carry(good).await, "officer-dismissed");
    assert_eq!(code(house.custody.end_desk_officer(stranger_id(), NOW).await), "officer-unknown");
    assert_eq!(code(house.custody.carry_out_desk(&[], NOW).await), "evidence-wrong");
    assert_eq!(state(&house, &doctor).await.0, KeyState::Held);
}

fn stranger_id() -> OfficerId {
    OfficerId::from_octets([9; 16])
}

#[tokio::test]
async fn an_officer_put_in_by_sql_or_enrolled_elsewhere_is_none() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let mut one = officer(&house, 1).await;
    let mut passkey = Phone::new("localhost", ORIGIN, &[2; 16]);
    let mut elsewhere = evidence(2, &mut passkey);
    elsewhere.statement.issuer = "https://elsewhere.test".into();
    let refused = house.custody.accept_desk_officer(&elsewhere, NOW).await;
    assert_eq!(code(refused), "approval-elsewhere");
    // The same number with another passkey.
    let mut other = evidence(1, &mut Phone::new("localhost", ORIGIN, &[3; 16]));
    other.enrolled = NOW;
    let refused = house.custody.accept_desk_officer(&other, NOW).await;
    assert_eq!(code(refused), "officer-already-enrolled");
    let sql = "UPDATE custody_desk_officer SET enrolled = enrolled - 1";
    house.ledger.write(move |tx| Ok::<_, custody::Failed>(tx.exec(sql, &[])?)).await.unwrap();
    let stop = [says(&mut one, statement(&doctor, DeskAct::Suspend, 1))];
    assert_eq!(code(house.custody.carry_out_desk(&stop, NOW).await), "seal-broken");
}
