//! The owner stops her own key by her phone, and by no other.

mod common;

use common::office::*;
use common::*;
use custody::{Act, KeyState, StopReason};
use hpki::qualification::Qualification;
use tempfile::tempdir;

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn she_stops_her_key_and_that_approval_stops_it_once() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.sign(&token, &hospital(), order(1), NOW).await.unwrap();
    let stop = approve_stop(&doctor);
    let size = house.ledger.size();
    house.custody.stop_by_owner(&stop, NOW).await.unwrap();
    assert!(house.ledger.size() > size);
    assert_eq!(house.custody.loaded_keys(), 0);
    let facts = house.custody.key(doctor.key).await.unwrap();
    assert_eq!(
        (facts.state, facts.stops.as_slice()),
        (KeyState::Suspended, &[StopReason::Owner][..])
    );
    let refused = house.custody.sign(&token, &hospital(), order(2), NOW).await;
    assert_eq!(code(refused), "key-suspended");
    // Heard twice, or asked for again, it stays stopped and the journal has nothing to add.
    let size = house.ledger.size();
    house.custody.stop_by_owner(&stop, NOW).await.unwrap();
    house.custody.stop_by_owner(&approve_stop(&doctor), NOW).await.unwrap();
    assert_eq!(house.ledger.size(), size);
    // Once officers have started it again, the old approval stops it no more.
    let office = office(&house).await;
    let restart = Act::Restart { key: doctor.key, evidence: hex::encode([8; 32]) };
    let again = decided(&house, &office, restart).await;
    house.custody.restart(again, NOW).await.unwrap();
    assert_eq!(code(house.custody.stop_by_owner(&stop, NOW).await), "decision-spent");
    assert_eq!(house.custody.key(doctor.key).await.unwrap().state, KeyState::Held);
    let refused = house.custody.sign(&token, &hospital(), order(2), NOW).await;
    assert_eq!(code(refused), "token-ended");
    balanced(&house).await;
}

#[tokio::test]
async fn nobody_elses_phone_and_no_other_approval_stops_it() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let other = enrol(&house, 2, Qualification::Pharmacist).await;
    // Her statement under another's phone, and another's statement about her key.
    let mut stop = approve_stop(&doctor);
    stop.binding = other.binding;
    assert_eq!(code(house.custody.stop_by_owner(&stop, NOW).await), "binding-unknown");
    let mut theirs = approve_stop(&other);
    theirs.statement = stop.statement.clone();
    theirs.binding = doctor.binding;
    assert_eq!(code(house.custody.stop_by_owner(&theirs, NOW).await), "evidence-wrong");
    // The morning's approval is none for a stop; a phone that was unlinked stops nothing.
    let session = approve(&doctor, session(&house, &doctor, &PRESCRIPTION).await);
    assert_eq!(code(house.custody.stop_by_owner(&session, NOW).await), "evidence-wrong");
    let stop = approve_stop(&doctor);
    house.custody.end_binding(doctor.binding, NOW).await.unwrap();
    assert_eq!(code(house.custody.stop_by_owner(&stop, NOW).await), "binding-ended");
    assert_eq!(house.custody.key(doctor.key).await.unwrap().state, KeyState::Held);
}

#[tokio::test]
async fn she_starts_again_what_she_alone_has_stopped() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let restart = approve_restart(&doctor);
    assert_eq!(code(house.custody.restart_by_owner(&restart, NOW).await), "key-wrong-state");
    let budget = morning(&house, &doctor).await;
    let old = token(&house, &budget);
    let stop = approve_stop(&doctor);
    house.custody.stop_by_owner(&stop, NOW).await.unwrap();
    // An approval to stop starts nothing, and one to start stops nothing.
    assert_eq!(code(house.custody.restart_by_owner(&stop, NOW).await), "evidence-wrong");
    assert_eq!(code(house.custody.stop_by_owner(&restart, NOW).await), "evidence-wrong");
    let size = house.ledger.size();
    house.custody.restart_by_owner(&restart, NOW).await.unwrap();
    assert_eq!(house.ledger.size(), size + 1);
    let facts = house.custody.key(doctor.key).await.unwrap();
    assert_eq!((facts.state, facts.stops.as_slice()), (KeyState::Held, &[][..]));
    // What was allowed before stays ended; a new morning opens the key.
    let refused = house.custody.sign(&old, &hospital(), order(1), NOW).await;
    assert_eq!(code(refused), "token-ended");
    let fresh = token(&house, &morning(&house, &doctor).await);
    house.custody.sign(&fresh, &hospital(), order(2), NOW).await.unwrap();
    // Stopped again, the kept approvals do nothing.
    house.custody.stop_by_owner(&approve_stop(&doctor), NOW).await.unwrap();
    assert_eq!(code(house.custody.restart_by_owner(&restart, NOW).await), "decision-spent");
    assert_eq!(house.custody.key(doctor.key).await.unwrap().state, KeyState::Suspended);
    balanced(&house).await;
}

#[tokio::test]
async fn what_others_have_stopped_she_cannot_start_nor_can_a_lost_phone() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    for (number, reason) in (10..).zip([StopReason::Desk, StopReason::Expired, StopReason::Revoked])
    {
        let doctor = enrol(&house, number, Qualification::MedicalDoctor).await;
        house.custody.stop_key(doctor.key, reason, NOW).await.unwrap();
        let restart = approve_restart(&doctor);
        let alone = house.custody.restart_by_owner(&restart, NOW).await;
        assert_eq!(code(alone), "key-stopped-by-others");
        house.custody.stop_by_owner(&approve_stop(&doctor), NOW).await.unwrap();
        let both = house.custody.restart_by_owner(&restart, NOW).await;
        assert_eq!(code(both), "key-stopped-by-others");
    }
    house.custody.stop_by_owner(&approve_stop(&doctor), NOW).await.unwrap();
    let restart = approve_restart(&doctor);
    house.custody.end_binding(doctor.binding, NOW).await.unwrap();
    assert_eq!(code(house.custody.restart_by_owner(&restart, NOW).await), "binding-ended");
    assert_eq!(house.custody.key(doctor.key).await.unwrap().state, KeyState::Suspended);
}

#[tokio::test]
async fn wherever_a_restart_breaks_the_key_is_stopped_or_started_and_the_journal_says_which() {
    let folder = tempdir().unwrap();
    let doctor = {
        let house = found(folder.path());
        physician(&house).await
    };
    for how in every_way() {
        for n in 1.. {
            let house = open(folder.path());
            house.custody.stop_by_owner(&approve_stop(&doctor), NOW).await.unwrap();
            let restart = approve_restart(&doctor);
            house.faults.arm(n, how);
            let work = house.custody.restart_by_owner(&restart, NOW);
            let said = or_the_end(&house.faults, work).await;
            let happened = house.faults.happened();
            house.faults.disarm();
            drop(house);
            let house = open(folder.path());
            let state = house.custody.key(doctor.key).await.unwrap().state;
            assert!(said.is_err() || state == KeyState::Held, "{n} {how:?}");
            // Asked again, it is started, once.
            match house.custody.restart_by_owner(&restart, NOW).await {
                Ok(()) => assert_eq!(state, KeyState::Suspended),
                again => assert_eq!((code(again), state), ("key-wrong-state", KeyState::Held)),
            }
            assert_eq!(house.custody.key(doctor.key).await.unwrap().state, KeyState::Held);
            balanced(&house).await;
            if !happened {
                assert!(n > 3, "only {n} steps in a restart");
                break;
            }
        }
    }
}
