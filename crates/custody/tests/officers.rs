//! Who may decide, and how two officers decide together.

mod common;

use common::office::*;
use common::*;
use custody::{Act, NewOfficer, OfficerRole};
use tempfile::tempdir;

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

fn restart() -> Act {
    Act::Restart { key: hpki::id::KeyId::from_octets([9; 16]), evidence: "00".repeat(32) }
}

fn somebody(role: OfficerRole, key: &Key) -> NewOfficer {
    NewOfficer { name: "架空 新任".into(), role, public_key: key.spki() }
}

#[tokio::test]
async fn a_directive_needs_two_officers_and_one_of_them_for_security() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let office = office(&house).await;
    let custody = &house.custody;
    let directive = opened(&house, restart()).await;
    assert!(!directive.is_confirmed());
    let first = custody
        .confirm(directive.id, office.operator.id, &office.operator.signature(&directive), NOW)
        .await
        .unwrap();
    assert!(!first.is_confirmed());
    let again = custody
        .confirm(directive.id, office.operator.id, &office.operator.signature(&directive), NOW)
        .await;
    assert_eq!(code(again), "officer-already-confirmed");
    let auditor = custody
        .confirm(directive.id, office.auditor.id, &office.auditor.signature(&directive), NOW)
        .await;
    assert_eq!(code(auditor), "officer-role-wrong");
    let borrowed = custody
        .confirm(directive.id, office.security.id, &office.operator.signature(&directive), NOW)
        .await;
    assert_eq!(code(borrowed), "officer-signature-wrong");
    let other = opened(&house, restart()).await;
    let elsewhere = custody
        .confirm(directive.id, office.security.id, &office.security.signature(&other), NOW)
        .await;
    assert_eq!(code(elsewhere), "officer-signature-wrong");
    let late = custody
        .confirm(
            directive.id,
            office.security.id,
            &office.security.signature(&directive),
            NOW.plus(86_400),
        )
        .await;
    assert_eq!(code(late), "directive-expired");
    let second = custody
        .confirm(directive.id, office.security.id, &office.security.signature(&directive), NOW)
        .await
        .unwrap();
    assert!(second.is_confirmed());
    assert_eq!(second.confirmations.len(), 2);
    // Another kind of act does not take it.
    assert_eq!(code(custody.change_officers(directive.id, NOW).await), "directive-of-another-act");
    custody.withdraw(directive.id, NOW).await.unwrap();
    assert_eq!(code(custody.change_officers(directive.id, NOW).await), "directive-closed");
}

#[tokio::test]
async fn only_two_for_security_make_or_dismiss_an_officer() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let office = office(&house).await;
    let custody = &house.custody;
    let key = Key::p256();
    let act = Act::Enrol { officer: somebody(OfficerRole::Security, &key) };
    // Operator and one for security are not enough for this.
    let id = decided(&house, &office, act).await;
    assert_eq!(code(custody.change_officers(id, NOW).await), "directive-not-confirmed");
    let directive = custody.directive(id).await.unwrap();
    custody.confirm(id, office.second.id, &office.second.signature(&directive), NOW).await.unwrap();
    custody.change_officers(id, NOW).await.unwrap();
    assert_eq!(custody.officers().await.unwrap().len(), 5);
    assert_eq!(code(custody.change_officers(id, NOW).await), "directive-closed");

    // Who was dismissed confirms nothing any more, and what she had confirmed no longer counts.
    let waiting = decided(&house, &office, restart()).await;
    let directive = opened(&house, Act::Dismiss { officer: office.security.id }).await;
    for by in [&office.security, &office.second] {
        custody.confirm(directive.id, by.id, &by.signature(&directive), NOW).await.unwrap();
    }
    // She is one of those who confirmed: authority ends with the commit, not before.
    custody.change_officers(directive.id, NOW).await.unwrap();
    let next = opened(&house, restart()).await;
    let refused =
        custody.confirm(next.id, office.security.id, &office.security.signature(&next), NOW).await;
    assert_eq!(code(refused), "officer-dismissed");
    assert_eq!(code(custody.change_officers(waiting, NOW).await), "officer-dismissed");
}

#[tokio::test]
async fn the_first_officers_are_founded_once_and_two_for_security_always_stay() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let custody = &house.custody;
    let (one, two) = (Key::ed25519(), Key::p256());
    let few = vec![somebody(OfficerRole::Security, &one), somebody(OfficerRole::Operator, &two)];
    assert_eq!(code(custody.found_officers(few, NOW).await), "officers-too-few");
    let same = vec![somebody(OfficerRole::Security, &one), somebody(OfficerRole::Security, &one)];
    assert_eq!(code(custody.found_officers(same, NOW).await), "officer-already-enrolled");
    let odd = NewOfficer {
        name: "架空 RSA".into(),
        role: OfficerRole::Security,
        public_key: vec![0x30, 0],
    };
    let with_odd = vec![somebody(OfficerRole::Security, &one), odd];
    assert_eq!(code(custody.found_officers(with_odd, NOW).await), "officer-key-unsupported");
    let office = office(&house).await;
    let again = vec![somebody(OfficerRole::Security, &one), somebody(OfficerRole::Security, &two)];
    assert_eq!(code(custody.found_officers(again, NOW).await), "officers-exist");
    let directive = opened(&house, Act::Dismiss { officer: office.second.id }).await;
    for by in [&office.security, &office.second] {
        custody.confirm(directive.id, by.id, &by.signature(&directive), NOW).await.unwrap();
    }
    assert_eq!(code(custody.change_officers(directive.id, NOW).await), "officers-too-few");
}

#[tokio::test]
async fn an_officer_or_a_directive_changed_by_sql_is_worth_nothing() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let office = office(&house).await;
    let id = decided(&house, &office, restart()).await;
    by_sql(&house, "UPDATE custody_directive SET until = until + 1", vec![]).await;
    assert_eq!(code(house.custody.directive(id).await), "seal-broken");
    let fresh = opened(&house, restart()).await;
    by_sql(&house, "UPDATE custody_officer SET role = 'security' WHERE role = 'auditor'", vec![])
        .await;
    let refused = house
        .custody
        .confirm(fresh.id, office.auditor.id, &office.auditor.signature(&fresh), NOW)
        .await;
    assert_eq!(code(refused), "seal-broken");
    let week = house.custody.direct(restart(), NOW.plus(7 * 86_400 + 1), NOW).await;
    assert_eq!(code(week), "directive-time-wrong");
    let none = hpki::id::DirectiveId::from_octets([1; 16]);
    assert_eq!(code(house.custody.directive(none).await), "directive-unknown");
    let nobody = hpki::id::OfficerId::from_octets([1; 16]);
    assert_eq!(code(house.custody.confirm(fresh.id, nobody, &[], NOW).await), "officer-unknown");
}
