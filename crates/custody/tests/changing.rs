//! Another phone takes the place of the linked one: by the owner's approval on the old one, of
//! exactly that new phone.

mod common;

use approval::simulator::Phone;
use approval::{ChangeEvidence, ChangeStatement, Statement, binding_commitment};
use common::*;
use custody::StopReason;
use hpki::id::{BindingId, SheetId};
use hpki::qualification::Qualification;
use tempfile::tempdir;

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

/// The owner's new phone, not linked yet.
fn new_phone(old: &Member, number: u8) -> Member {
    Member {
        person: old.person,
        key: old.key,
        binding: BindingId::from_octets([number; 16]),
        phone: Phone::new("localhost", ORIGIN, &[number; 20]),
    }
}

/// What the new phone made, and what the old one is asked to approve of it.
fn asked(new: &mut Member) -> (approval::LinkEvidence, ChangeStatement) {
    let link = link(new);
    let statement = ChangeStatement {
        issuer: ISSUER.into(),
        rp_id: "localhost".into(),
        nonce: nonce(),
        person: new.person,
        key: new.key,
        sheet: link.statement.sheet,
        credential: binding_commitment(&new.phone.credential_id, &new.phone.cose()),
    };
    (link, statement)
}

fn change(old: &Member, new: &mut Member) -> ChangeEvidence {
    let (link, statement) = asked(new);
    ChangeEvidence { link, approval: approve_said(old, Statement::Change(statement)) }
}

#[tokio::test]
async fn from_one_commit_the_old_phone_is_nobodys_and_the_new_one_is_hers() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let old = physician(&house).await;
    let mut new = new_phone(&old, 51);
    let token_of_old = token(&house, &morning(&house, &old).await);
    let session = session(&house, &old, &PRESCRIPTION).await;
    let evidence = change(&old, &mut new);
    let size = house.ledger.size();
    house.custody.change_binding(&evidence, NOW).await.unwrap();
    // Ended, linked, and the budget of the old phone ended.
    assert_eq!(house.ledger.size(), size + 3);
    let refused = house.custody.sign(&token_of_old, &hospital(), order(1), NOW).await;
    assert_eq!(code(refused), "token-ended");
    let refused = house.custody.open_budget(&approve(&old, session), NOW).await;
    assert_eq!(code(refused), "binding-ended");
    assert_eq!(code(house.custody.stop_by_owner(&approve_stop(&old), NOW).await), "binding-ended");
    let token = token(&house, &morning(&house, &new).await);
    house.custody.sign(&token, &hospital(), order(2), NOW).await.unwrap();
    // Delivered twice, it changes nothing.
    let size = house.ledger.size();
    house.custody.change_binding(&evidence, NOW).await.unwrap();
    assert_eq!(house.ledger.size(), size);
    house.custody.sign(&token, &hospital(), order(3), NOW).await.unwrap();
    balanced(&house).await;
}

#[tokio::test]
async fn only_her_old_phone_changes_it_and_only_for_the_phone_that_she_saw() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let old = physician(&house).await;
    let colleague = enrol(&house, 2, Qualification::MedicalDoctor).await;
    let (mut new, mut thief) = (new_phone(&old, 51), new_phone(&old, 52));
    let right = change(&old, &mut new);
    let refused = |evidence: ChangeEvidence| {
        let custody = &house.custody;
        async move { code(custody.change_binding(&evidence, NOW).await) }
    };
    // She approved the new phone, and a thief's registration is put in its place.
    let mut swapped = right.clone();
    swapped.link = link(&mut thief);
    assert_eq!(refused(swapped).await, "evidence-wrong");
    // A colleague's phone approves it, under his own name and under hers.
    let (new_link, statement) = asked(&mut new);
    let mut his = approve_said(&colleague, Statement::Change(statement));
    let evidence = |approval| ChangeEvidence { link: new_link.clone(), approval };
    assert_eq!(refused(evidence(his.clone())).await, "binding-unknown");
    his.binding = old.binding;
    assert_eq!(refused(evidence(his)).await, "evidence-wrong");
    // Another sheet, another decision, the same phone once more.
    let (_, mut statement) = asked(&mut new);
    statement.sheet = SheetId::from_octets([77; 16]);
    let other = approve_said(&old, Statement::Change(statement));
    assert_eq!(refused(evidence(other)).await, "evidence-wrong");
    assert_eq!(refused(evidence(approve_stop(&old))).await, "evidence-wrong");
    // While her key is stopped nothing is linked to it.
    house.custody.stop_key(old.key, StopReason::Owner, NOW).await.unwrap();
    assert_eq!(refused(right.clone()).await, "key-wrong-state");
    house.custody.restart_by_owner(&approve_restart(&old), NOW).await.unwrap();
    // His own phone is not taken into hers.
    let mut taken = new_phone(&old, 53);
    taken.phone = Phone::new("localhost", ORIGIN, &colleague.phone.credential_id);
    let taken = change(&old, &mut taken);
    assert_eq!(refused(taken).await, "phone-already-linked");
    house.custody.change_binding(&right, NOW).await.unwrap();
    // What was approved before the change is worth nothing after it.
    assert_eq!(refused(change(&old, &mut thief)).await, "binding-ended");
    balanced(&house).await;
}

#[tokio::test]
async fn wherever_a_change_breaks_exactly_one_phone_is_hers() {
    let folder = tempdir().unwrap();
    let mut hers = {
        let house = found(folder.path());
        physician(&house).await
    };
    let mut number = 50;
    for how in every_way() {
        for n in 1.. {
            let house = open(folder.path());
            morning(&house, &hers).await;
            number += 1;
            let mut new = new_phone(&hers, number);
            let evidence = change(&hers, &mut new);
            house.faults.arm(n, how);
            let work = house.custody.change_binding(&evidence, NOW);
            let said = or_the_end(&house.faults, work).await;
            let happened = house.faults.happened();
            house.faults.disarm();
            drop(house);
            let house = open(folder.path());
            let opens = |member| {
                let house = &house;
                async move {
                    let statement = session(house, member, &PRESCRIPTION).await;
                    house.custody.open_budget(&approve(member, statement), NOW).await.is_ok()
                }
            };
            let (olds, news) = (opens(&hers).await, opens(&new).await);
            assert!(olds != news, "{n} {how:?}: old {olds}, new {news}");
            assert!(said.is_err() || news, "{n} {how:?}");
            // Told again, it is done.
            house.custody.change_binding(&evidence, NOW).await.unwrap();
            assert!(opens(&new).await && !opens(&hers).await, "{n} {how:?}");
            balanced(&house).await;
            hers = new;
            if !happened {
                assert!(n > 3, "only {n} steps in a change");
                break;
            }
        }
    }
}
