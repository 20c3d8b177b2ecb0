//! The life of a key, the phones that can approve, and what a forged row is worth.

mod common;

use common::misused::Misuse;
use common::office::*;
use common::*;
use custody::{Act, BackupCopy, Consent, KeyState, Purpose, StopReason};
use hpki::certificate::KeyUsage;
use hpki::id::{BindingId, KeyId};
use hpki::kind::DocumentKind;
use hpki::profile::Validity;
use hpki::qualification::Qualification;
use ledger::{Event, LeafOpening, Value};
use tempfile::tempdir;

#[test]
fn all_of_this_holds_on_postgresql_too() {
    common::engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_key_is_generated_certified_held_stopped_resumed_and_destroyed() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let custody = &house.custody;
    let fresh = custody
        .generate(person(1), Qualification::MedicalDoctor, Purpose::Prescription, consent(), NOW)
        .await
        .unwrap();
    let key = fresh.key;
    assert_eq!(code(custody.hold(key, NOW).await), "key-wrong-state");
    let good = certificate(
        &fresh.spki_der,
        Qualification::MedicalDoctor,
        Validity::years_from_day(NOW, 5),
    );
    custody.certify(key, &good, NOW).await.unwrap();
    custody.certify(key, &good, NOW).await.unwrap();
    custody.hold(key, NOW).await.unwrap();
    let office = office(&house).await;
    let end = decided(&house, &office, destroy(key)).await;
    assert_eq!(code(custody.destroy(end, NOW).await), "key-wrong-state");
    custody.stop_key(key, StopReason::Owner, NOW).await.unwrap();
    let again = decided(&house, &office, restart(key)).await;
    custody.restart(again, NOW).await.unwrap();
    assert_eq!(code(custody.restart(again, NOW).await), "directive-closed");
    assert_eq!(custody.key(key).await.unwrap().state, KeyState::Held);
    custody.stop_key(key, StopReason::Owner, NOW).await.unwrap();
    custody.stop_key(key, StopReason::Revoked, NOW).await.unwrap();
    let facts = custody.key(key).await.unwrap();
    assert_eq!(facts.stops, [StopReason::Owner, StopReason::Revoked]);
    assert_eq!(facts.ended, Some(NOW));
    let again = decided(&house, &office, restart(key)).await;
    assert_eq!(code(custody.restart(again, NOW).await), "key-wrong-state");
    assert_eq!(code(custody.destroy(again, NOW).await), "directive-of-another-act");
    assert_eq!(code(custody.destruction(key).await), "paper-unknown");
    custody.destroy(end, NOW).await.unwrap();
    assert_eq!(code(custody.destroy(end, NOW).await), "directive-closed");
    assert_eq!(custody.key(key).await.unwrap().state, KeyState::Destroyed);
    let wrapped = house
        .ledger
        .read(|tx| {
            let row = tx.query_one("SELECT wrapped FROM custody_key", &[])?;
            Ok::<_, ledger::Failed<std::convert::Infallible>>(row.blob(0)?.to_vec())
        })
        .await
        .unwrap();
    assert!(wrapped.len() > 1000 && wrapped.iter().all(|octet| *octet == 0));
    assert_eq!(code(custody.hold(person_key(9), NOW).await), "key-unknown");
}

fn restart(key: KeyId) -> Act {
    Act::Restart { key, evidence: hex::encode([8; 32]) }
}

fn destroy(key: KeyId) -> Act {
    Act::Destroy { key, reason: "退職 (TEST)".into(), backups: vec![tape()] }
}

fn tape() -> BackupCopy {
    BackupCopy {
        backup: "tape 7 (TEST)".into(),
        end: "overwritten at the next rotation".into(),
        by: NOW.plus(30 * 86_400),
    }
}

#[tokio::test]
async fn a_destruction_is_witnessed_stated_and_proven() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let office = office(&house).await;
    let custody = &house.custody;
    custody.stop_key(doctor.key, StopReason::Desk, NOW).await.unwrap();
    // One witness is not enough, and neither is the same one twice.
    let alone = opened(&house, destroy(doctor.key)).await;
    let signature = office.security.signature(&alone);
    custody.confirm(alone.id, office.security.id, &signature, NOW).await.unwrap();
    assert_eq!(code(custody.destroy(alone.id, NOW).await), "directive-not-confirmed");
    let id = decided(&house, &office, destroy(doctor.key)).await;
    let paper = custody.destroy(id, NOW).await.unwrap();
    let stated: custody::Destruction = serde_json::from_str(&paper.words).unwrap();
    assert_eq!((stated.key, stated.owner, stated.directive), (doctor.key, doctor.person, id));
    assert_eq!(stated.witnesses.len(), 2);
    assert_eq!(stated.backups, [tape()]);
    assert!(stated.text().contains("架空 保安一") && stated.text().contains("tape 7"));
    // Anybody with the log's key can check it.
    let proof: ledger::tlog::Proof = ledger::tlog::Proof::parse(&paper.proof).unwrap();
    let entry = proof.verify(house.ledger.verify_key()).unwrap();
    let record = &entry.opening.record;
    assert_eq!(record.event, ledger::Event::KeyDestroyed);
    assert_eq!(record.evidence, Some(hpki::encoding::sha256(paper.words.as_bytes())));
    assert_eq!(record.key, Some(doctor.key));
    assert_eq!(custody.destruction(doctor.key).await.unwrap().words, paper.words);
    // And the person may have a new key.
    custody
        .generate(
            doctor.person,
            Qualification::MedicalDoctor,
            Purpose::Prescription,
            consent(),
            NOW,
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn an_expired_or_revoked_certificate_ends_its_key_by_itself() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let office = office(&house).await;
    let (expiring, revoked) =
        (physician(&house).await, enrol(&house, 2, Qualification::Pharmacist).await);
    let custody = &house.custody;
    custody.stop_key(revoked.key, StopReason::Revoked, NOW).await.unwrap();
    assert_eq!(custody.retire(NOW).await.unwrap(), custody::Retired::default());
    // A day after the certificate: stopped, not yet destroyed, and nobody has ordered it.
    let later = Validity::years_from_day(NOW, 5).not_after.plus(86_400);
    let round = custody.retire(later).await.unwrap();
    assert_eq!(round.stopped, [expiring.key]);
    assert!(!round.directed && round.destroyed.is_empty());
    assert_eq!(custody.key(expiring.key).await.unwrap().stops, [StopReason::Expired]);
    // Two officers decide once how it is done.
    let directive = custody
        .direct(Act::Retire { days: 30, backups: vec![tape()] }, later.plus(390 * 86_400), later)
        .await
        .unwrap();
    let signature = office.operator.signature(&directive);
    custody.confirm(directive.id, office.operator.id, &signature, later).await.unwrap();
    assert!(!custody.retire(later).await.unwrap().directed);
    let signature = office.second.signature(&directive);
    custody.confirm(directive.id, office.second.id, &signature, later).await.unwrap();
    let round = custody.retire(later).await.unwrap();
    assert_eq!(round.destroyed, [revoked.key]);
    let round = custody.retire(later.plus(30 * 86_400)).await.unwrap();
    assert_eq!(round.destroyed, [expiring.key]);
    assert_eq!(custody.key(expiring.key).await.unwrap().state, KeyState::Destroyed);
    let paper = custody.destruction(expiring.key).await.unwrap();
    let stated: custody::Destruction = serde_json::from_str(&paper.words).unwrap();
    assert_eq!((stated.reason.as_str(), stated.witnesses.len()), ("expired", 2));
}

#[tokio::test]
async fn two_deliveries_of_one_linked_phone_agree() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let mut doctor = physician(&house).await;
    house.custody.end_binding(doctor.binding, NOW).await.unwrap();
    doctor.binding = BindingId::from_octets([50; 16]);
    doctor.phone = approval::simulator::Phone::new("localhost", ORIGIN, &[50; 20]);
    let evidence = link(&mut doctor);
    let (one, two) = tokio::join!(
        house.custody.accept_binding(&evidence, NOW),
        house.custody.accept_binding(&evidence, NOW)
    );
    one.unwrap();
    two.unwrap();
    morning(&house, &doctor).await;
}

fn person_key(number: u8) -> hpki::id::KeyId {
    hpki::id::KeyId::from_octets([number; 16])
}

#[tokio::test]
async fn a_person_keeps_one_key_for_each_qualification() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let generate = |qualification| {
        let custody = house.custody.clone();
        async move {
            custody.generate(person(1), qualification, Purpose::Prescription, consent(), NOW).await
        }
    };
    let first = generate(Qualification::MedicalDoctor).await.unwrap();
    assert_eq!(code(generate(Qualification::MedicalDoctor).await), "key-already-kept");
    assert!(generate(Qualification::Pharmacist).await.is_ok());
    assert_eq!(
        code(generate(Qualification::CertifiedPublicPsychologist).await),
        "qualification-not-certifiable"
    );
    let office = office(&house).await;
    let end = decided(&house, &office, destroy(first.key)).await;
    house.custody.destroy(end, NOW).await.unwrap();
    assert!(generate(Qualification::MedicalDoctor).await.is_ok());
}

#[tokio::test]
async fn a_key_for_other_documents_signs_no_prescription() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = enrol_for(&house, 1, Qualification::MedicalDoctor, Purpose::Hash).await;
    assert_eq!(house.custody.key(doctor.key).await.unwrap().purpose, Purpose::Hash);
    let asked = session(&house, &doctor, &PRESCRIPTION).await;
    let refused = house.custody.open_budget(&approve(&doctor, asked), NOW).await;
    assert_eq!(code(refused), "kind-not-allowed");
    // One key for each person and qualification, whatever it is for; and the purpose is sealed.
    let second = house
        .custody
        .generate(
            doctor.person,
            Qualification::MedicalDoctor,
            Purpose::Prescription,
            consent(),
            NOW,
        )
        .await;
    assert_eq!(code(second), "key-already-kept");
    by_sql(&house, "UPDATE custody_key SET purpose = 'prescription'", vec![]).await;
    assert_eq!(code(house.custody.key(doctor.key).await), "seal-broken");
}

#[tokio::test]
async fn only_the_ordered_signing_certificate_is_matched_to_a_key() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let custody = &house.custody;
    let mine = custody
        .generate(person(1), Qualification::MedicalDoctor, Purpose::Prescription, consent(), NOW)
        .await
        .unwrap();
    let hers = custody
        .generate(person(2), Qualification::Pharmacist, Purpose::Prescription, consent(), NOW)
        .await
        .unwrap();
    let validity = Validity::years_from_day(NOW, 5);
    let other_key = certificate(&hers.spki_der, Qualification::MedicalDoctor, validity);
    assert_eq!(
        code(custody.certify(mine.key, &other_key, NOW).await),
        "certificate-of-another-key"
    );
    let other_role = certificate(&mine.spki_der, Qualification::Pharmacist, validity);
    assert_eq!(
        code(custody.certify(mine.key, &other_role, NOW).await),
        "certificate-not-for-signing"
    );
}

#[tokio::test]
async fn a_certificate_for_anything_but_signatures_is_matched_to_no_key() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let custody = &house.custody;
    let (role, purpose) = (Qualification::MedicalDoctor, Purpose::Prescription);
    let fresh = custody.generate(person(1), role, purpose, consent(), NOW).await.unwrap();
    let right = to_be_signed(&fresh.spki_der, role, Validity::years_from_day(NOW, 5));
    let (digital, both) =
        (KeyUsage::DIGITAL_SIGNATURE, KeyUsage::DIGITAL_SIGNATURE.and(KeyUsage::NON_REPUDIATION));
    for (misuse, usage, is_ca) in [
        (Misuse::Authentication, digital, false),
        (Misuse::Both, both, false),
        (Misuse::Authority, KeyUsage::NON_REPUDIATION, true),
    ] {
        let wrong = assembled(&misuse.of(&right));
        // Hers in every other way.
        assert_eq!((wrong.key_usage(), wrong.is_ca()), (Some(usage), is_ca));
        assert_eq!((wrong.spki_der(), wrong.qualification()), (&*fresh.spki_der, Some(role)));
        let refused = custody.certify(fresh.key, &wrong, NOW).await;
        assert_eq!(code(refused), "certificate-not-for-signing", "{misuse:?}");
        assert_eq!(custody.key(fresh.key).await.unwrap().state, KeyState::Generated);
    }
    custody.certify(fresh.key, &assembled(&right), NOW).await.unwrap();
}

#[tokio::test]
async fn the_owners_recorded_consent_stands_with_her_key_and_in_the_journal() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let given = Consent { document: [0xc0; 32] };
    let (role, purpose) = (Qualification::MedicalDoctor, Purpose::Prescription);
    let fresh = house.custody.generate(person(1), role, purpose, given, NOW).await.unwrap();
    let stored = "SELECT consent FROM custody_key";
    let stored = house
        .ledger
        .read(move |tx| Ok::<_, custody::Failed>(tx.query_one(stored, &[])?.array::<32>(0)?))
        .await;
    assert_eq!(stored.unwrap(), given.document);
    let told = house.ledger.stream(fresh.key.stream(), None, 10).await.unwrap();
    let record = LeafOpening::decode(&told[0].opening).unwrap().record;
    assert_eq!((told.len(), record.event), (1, Event::KeyGenerated));
    assert_eq!((record.person, record.evidence), (Some(person(1)), Some(given.document)));
    // And what stands with the key cannot be exchanged for another one's.
    let changed =
        by_sql(&house, "UPDATE custody_key SET consent = $1", vec![Value::Blob(vec![1; 32])]).await;
    assert_eq!((changed, code(house.custody.key(fresh.key).await)), (1, "seal-broken"));
}

#[tokio::test]
async fn a_stopped_key_signs_nothing_and_its_budgets_stay_ended() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.sign(&token, &hospital(), order(1), NOW).await.unwrap();
    house.custody.stop_key(doctor.key, StopReason::Owner, NOW).await.unwrap();
    assert_eq!(house.custody.loaded_keys(), 0);
    let refused = house.custody.sign(&token, &hospital(), order(2), NOW).await;
    assert_eq!(code(refused), "key-suspended");
    let office = office(&house).await;
    let again = decided(&house, &office, restart(doctor.key)).await;
    house.custody.restart(again, NOW).await.unwrap();
    let refused = house.custody.sign(&token, &hospital(), order(2), NOW).await;
    assert_eq!(code(refused), "token-ended");
}

#[tokio::test]
async fn a_certificate_signs_only_while_it_is_in_force() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let custody = &house.custody;
    let fresh = custody
        .generate(person(1), Qualification::MedicalDoctor, Purpose::Prescription, consent(), NOW)
        .await
        .unwrap();
    let short = Validity { not_before: NOW.plus(10), not_after: NOW.plus(100) };
    let own = certificate(&fresh.spki_der, Qualification::MedicalDoctor, short);
    custody.certify(fresh.key, &own, NOW).await.unwrap();
    custody.hold(fresh.key, NOW).await.unwrap();
    let mut doctor = Member {
        person: person(1),
        key: fresh.key,
        binding: BindingId::from_octets([1; 16]),
        phone: approval::simulator::Phone::new("localhost", ORIGIN, &[1; 20]),
    };
    custody.accept_binding(&link(&mut doctor), NOW).await.unwrap();
    let asked = session(&house, &doctor, &PRESCRIPTION).await;
    let early = custody.open_budget(&approve(&doctor, asked.clone()), NOW).await;
    assert_eq!(code(early), "certificate-not-yet-valid");
    let budget = custody.open_budget(&approve(&doctor, asked), NOW.plus(10)).await.unwrap();
    let token = token(&house, &budget);
    assert!(custody.sign(&token, &hospital(), order(1), NOW.plus(100)).await.is_ok());
    let late = custody.sign(&token, &hospital(), order(2), NOW.plus(101)).await;
    assert_eq!(code(late), "certificate-expired");
}

#[tokio::test]
async fn the_same_approval_opens_one_budget() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let approval = approve(&doctor, session(&house, &doctor, &PRESCRIPTION).await);
    let first = house.custody.open_budget(&approval, NOW).await.unwrap();
    let again = house.custody.open_budget(&approval, NOW.plus(1)).await.unwrap();
    assert_eq!(first, again);
    house.custody.end_budget(first.id, NOW.plus(2)).await.unwrap();
    let refused = house.custody.open_budget(&approval, NOW.plus(3)).await;
    assert_eq!(code(refused), "token-ended");
}

#[tokio::test]
async fn each_wrong_thing_about_an_approval_has_its_own_code() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let stranger = enrol(&house, 2, Qualification::MedicalDoctor).await;
    let asked = session(&house, &doctor, &PRESCRIPTION).await;
    let with = |change: &dyn Fn(&mut approval::SessionStatement)| {
        let mut other = asked.clone();
        change(&mut other);
        approve(&doctor, other)
    };
    let mut tampered = approve(&doctor, asked.clone());
    if let approval::Statement::Session(statement) = &mut tampered.statement {
        statement.max_count = 299;
    }
    let mut forged = approve(&doctor, asked.clone());
    *forged.proof.phone_mut().unwrap().signature.last_mut().unwrap() ^= 1;
    let mut unlinked = approve(&doctor, asked.clone());
    unlinked.binding = BindingId::from_octets([77; 16]);
    let mut borrowed = approve(&doctor, asked.clone());
    borrowed.binding = stranger.binding;
    let both = [DocumentKind::Prescription, DocumentKind::Dispensing];
    for (approval, wrong) in [
        (tampered, "challenge-mismatch"),
        (forged, "assertion-signature-wrong"),
        (unlinked, "binding-unknown"),
        (borrowed, "binding-unknown"),
        (with(&|s| s.issuer = "https://other.test".into()), "approval-elsewhere"),
        (with(&|s| s.rp_id = "other.test".into()), "rp-id-wrong"),
        (with(&|s| s.not_before = NOW.minus(601)), "approval-too-old"),
        (with(&|s| s.not_before = NOW.plus(6)), "approval-too-old"),
        (with(&|s| s.not_after = s.not_before.plus(64_801)), "allowance-too-large"),
        (with(&|s| s.max_count = 301), "allowance-too-large"),
        (with(&|s| s.max_count = 0), "allowance-too-large"),
        (with(&|s| s.kinds = both.to_vec()), "kind-not-allowed"),
        (with(&|s| s.kinds = Vec::new()), "kind-not-allowed"),
        (with(&|s| s.head_seq += 1), "history-mismatch"),
        (with(&|s| s.head_commitment = Some([1; 32])), "history-mismatch"),
        (with(&|s| s.key = stranger.key), "binding-unknown"),
    ] {
        assert_eq!(code(house.custody.open_budget(&approval, NOW).await), wrong);
    }
    assert_eq!(balanced(&house).await.budgets, 0);
}

#[tokio::test]
async fn a_phone_that_was_unlinked_approves_nothing_and_its_sessions_end() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let mut doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.end_binding(doctor.binding, NOW).await.unwrap();
    house.custody.end_binding(doctor.binding, NOW).await.unwrap();
    let refused = house.custody.sign(&token, &hospital(), order(1), NOW).await;
    assert_eq!(code(refused), "token-ended");
    let asked = session(&house, &doctor, &PRESCRIPTION).await;
    let refused = house.custody.open_budget(&approve(&doctor, asked), NOW).await;
    assert_eq!(code(refused), "binding-ended");
    // A new phone takes its place.
    doctor.binding = BindingId::from_octets([50; 16]);
    doctor.phone = approval::simulator::Phone::new("localhost", ORIGIN, &[50; 20]);
    house.custody.accept_binding(&link(&mut doctor), NOW).await.unwrap();
    morning(&house, &doctor).await;
}

#[tokio::test]
async fn a_second_phone_is_not_linked_to_the_same_key() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let mut doctor = physician(&house).await;
    let evidence = link(&mut doctor);
    doctor.binding = BindingId::from_octets([50; 16]);
    doctor.phone = approval::simulator::Phone::new("localhost", ORIGIN, &[50; 20]);
    let second = link(&mut doctor);
    assert_eq!(code(house.custody.accept_binding(&second, NOW).await), "phone-already-linked");
    // The first evidence again changes nothing.
    house.custody.accept_binding(&evidence, NOW.plus(1)).await.unwrap();
}

#[tokio::test]
async fn a_row_put_in_or_changed_by_sql_is_worth_nothing() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;

    // A binding for the attacker's phone, copied from the doctor's.
    let done = by_sql(
        &house,
        "INSERT INTO custody_binding SELECT $1, person, kept, $1, public_key, evidence, linked,
             1, counter, seal, leaf FROM custody_binding",
        vec![Value::Blob(vec![66; 16])],
    )
    .await;
    assert_eq!(done, 1);
    let mut forged = approve(&doctor, session(&house, &doctor, &PRESCRIPTION).await);
    forged.binding = BindingId::from_octets([66; 16]);
    assert_eq!(code(house.custody.open_budget(&forged, NOW).await), "seal-broken");

    // A budget that lasts longer and allows more.
    by_sql(&house, "UPDATE custody_budget SET until = until + 86400, count = 2000", vec![]).await;
    assert_eq!(code(house.custody.budget(budget.id).await), "seal-broken");
    let token = token(&house, &budget);
    let refused = house.custody.sign(&token, &hospital(), order(1), NOW).await;
    assert_eq!(code(refused), "seal-broken");

    // A key that its owner stopped.
    house.custody.stop_key(doctor.key, StopReason::Owner, NOW).await.unwrap_err();
    by_sql(&house, "UPDATE custody_key SET state = 'certified'", vec![]).await;
    assert_eq!(code(house.custody.key(doctor.key).await), "seal-broken");
    assert_eq!(house.custody.books().await.unwrap().broken_seals, 3);
}

#[tokio::test]
async fn a_counter_raised_by_sql_draws_nothing() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    by_sql(&house, "UPDATE custody_counter SET remaining = 5000", vec![]).await;
    let token = token(&house, &budget);
    let refused = house.custody.sign(&token, &hospital(), order(1), NOW).await;
    assert_eq!(code(refused), "seal-broken");
}

#[tokio::test]
async fn the_wrapped_key_of_another_is_not_used() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let other = enrol(&house, 2, Qualification::MedicalDoctor).await;
    let budget = morning(&house, &doctor).await;
    by_sql(
        &house,
        "UPDATE custody_key SET wrapped = (SELECT wrapped FROM custody_key WHERE id = $2)
         WHERE id = $1",
        vec![doctor.key.into(), other.key.into()],
    )
    .await;
    // A restart forgets what was checked before.
    let token = token(&house, &budget);
    drop(house);
    let house = open(folder.path());
    let refused = house.custody.sign(&token, &hospital(), order(1), NOW).await;
    assert_eq!(code(refused), "blob-not-owners");
    assert_eq!(balanced(&house).await.released, 1);
}
