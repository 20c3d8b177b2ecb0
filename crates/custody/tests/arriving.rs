//! Keys that come from an authority, keys made ahead, and looking at them all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::misused::Misuse;
use common::office::*;
use common::outside::*;
use common::*;
use custody::{Act, AlarmKind, Finding, Importer, KeyState, Purpose};
use hpki::Certificate;
use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{DirectiveId, KeyId};
use hpki::profile::Validity;
use hpki::qualification::Qualification;
use hsm::{OaepDigest, Package};
use ledger::Value;
use tempfile::tempdir;

const X5T: Digest32 = [0xca; 32];

fn importer(outside: &Outside) -> Importer {
    Importer { name: "outside".into(), x5t: X5T, authority: outside.authority.clone() }
}

/// SHA-1 is what SoftHSM2 has for the outer layer.
fn best() -> OaepDigest {
    if hsm::testing::on_softhsm() { OaepDigest::Sha1 } else { OaepDigest::Sha256 }
}

fn order(certificate: &Certificate) -> Act {
    order_for(1, certificate)
}

fn order_for(number: u8, certificate: &Certificate) -> Act {
    Act::Import {
        authority: "outside".into(),
        person: person(number),
        role: "Medical Doctor".into(),
        purpose: Purpose::Prescription,
        consent: hex::encode([7; 32]),
        certificate: hex::encode(certificate.sha256()),
    }
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_key_that_an_authority_made_arrives_signs_and_leaves_a_receipt() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let office = office(&house).await;
    let custody = &house.custody;
    let outside = Outside::found();
    assert_eq!(code(custody.import_key(&X5T)), "importer-unknown");
    custody.pin_importers(vec![importer(&outside)]);
    let import_key = custody.import_key(&X5T).unwrap();
    assert_eq!(custody.import_key(&X5T).unwrap(), import_key);

    let spki = outside.make_key("doctor");
    let certificate = outside.certify(&spki, Qualification::MedicalDoctor, NOW);
    let package = outside.wrap("doctor", &import_key, best());
    // Prepared by one officer only.
    let waiting = opened(&house, order(&certificate)).await;
    let signature = office.operator.signature(&waiting);
    custody.confirm(waiting.id, office.operator.id, &signature, NOW).await.unwrap();
    let early = custody.import(waiting.id, &X5T, &package, &certificate, NOW).await;
    assert_eq!(code(early), "directive-not-confirmed");
    // Released by another.
    let signature = office.security.signature(&waiting);
    custody.confirm(waiting.id, office.security.id, &signature, NOW).await.unwrap();
    let stranger = custody.import(waiting.id, &[1; 32], &package, &certificate, NOW).await;
    assert_eq!(code(stranger), "importer-unknown");
    let imported = custody.import(waiting.id, &X5T, &package, &certificate, NOW).await.unwrap();
    let again = custody.import(waiting.id, &X5T, &package, &certificate, NOW).await;
    assert_eq!(code(again), "directive-closed");

    let facts = custody.key(imported.key).await.unwrap();
    assert_eq!((facts.state, facts.origin.as_deref()), (KeyState::Certified, Some("outside")));
    assert_eq!(facts.spki_der, spki);
    // The receipt is proven by the journal, for anybody.
    let proof = ledger::tlog::Proof::parse(&imported.receipt.proof).unwrap();
    let entry = proof.verify(house.ledger.verify_key()).unwrap();
    let evidence = entry.opening.record.evidence;
    assert_eq!(evidence, Some(sha256(imported.receipt.words.as_bytes())));
    let receipt: custody::ImportReceipt = serde_json::from_str(&imported.receipt.words).unwrap();
    assert_eq!(receipt.officers.len(), 2);
    assert_eq!(receipt.spki_sha256, hex::encode(sha256(&spki)));
    assert_eq!(receipt.consent, hex::encode([7; 32]));
    assert_eq!(custody.import_receipt(imported.key).await.unwrap().words, imported.receipt.words);

    // And it signs for its owner, like any other.
    custody.hold(imported.key, NOW).await.unwrap();
    let mut doctor = Member {
        person: person(1),
        key: imported.key,
        binding: hpki::id::BindingId::from_octets([1; 16]),
        phone: approval::simulator::Phone::new("localhost", ORIGIN, &[1; 20]),
    };
    custody.accept_binding(&link(&mut doctor), NOW).await.unwrap();
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    custody.sign(&token, &hospital(), common::order(1), NOW).await.unwrap();
    assert_eq!(custody.audit_round(None, 100, NOW).await.unwrap().findings, []);
}

#[tokio::test]
async fn what_does_not_belong_together_does_not_arrive() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let office = office(&house).await;
    let custody = &house.custody;
    let (outside, other) = (Outside::found(), Outside::found());
    custody.pin_importers(vec![importer(&outside)]);
    let import_key = custody.import_key(&X5T).unwrap();
    let mine = outside.make_key("doctor");
    outside.make_key("another");
    let certificate = outside.certify(&mine, Qualification::MedicalDoctor, NOW);
    let foreign = other.certify(&mine, Qualification::MedicalDoctor, NOW);
    let pharmacist = outside.certify(&mine, Qualification::Pharmacist, NOW);
    let good = outside.wrap("doctor", &import_key, OaepDigest::Sha1);
    let wrong_key = outside.wrap("another", &import_key, best());
    let mut damaged = good.clone();
    *damaged.wrapped_key.last_mut().unwrap() ^= 1;
    let mislabelled = Package { digest: OaepDigest::Sha256, ..good.clone() };
    let not_as_labelled =
        if hsm::testing::on_softhsm() { "mechanism-missing" } else { "import-broken" };
    let mut other_outer = good.clone();
    *other_outer.wrapped_aes.last_mut().unwrap() ^= 1;
    for (package, certificate, wrong) in [
        (&other_outer, &certificate, "import-broken"),
        (&wrong_key, &certificate, "import-key-mismatch"),
        (&damaged, &certificate, "import-broken"),
        (&mislabelled, &certificate, not_as_labelled),
        (&good, &foreign, "certificate-not-of-importer"),
        (&good, &pharmacist, "certificate-not-for-signing"),
    ] {
        let id = decided(&house, &office, order(certificate)).await;
        let refused = custody.import(id, &X5T, package, certificate, NOW).await;
        assert_eq!(code(refused), wrong);
    }
    let id = decided(&house, &office, order(&certificate)).await;
    let swapped = custody.import(id, &X5T, &good, &pharmacist, NOW).await;
    assert_eq!(code(swapped), "import-not-as-directed");
    // Nothing of all this used the directive up. SHA-1 is what some devices have for this layer.
    custody.import(id, &X5T, &good, &certificate, NOW).await.unwrap();
    let id = decided(&house, &office, order(&certificate)).await;
    let second = custody.import(id, &X5T, &good, &certificate, NOW).await;
    assert_eq!(code(second), "key-already-kept");
}

#[tokio::test]
async fn a_key_arrives_only_with_a_certificate_for_signatures_and_its_owners_consent() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let office = office(&house).await;
    let custody = &house.custody;
    let outside = Outside::found();
    custody.pin_importers(vec![importer(&outside)]);
    let spki = outside.make_key("doctor");
    let package = outside.wrap("doctor", &custody.import_key(&X5T).unwrap(), best());
    let right = outside.prepare(&spki, Qualification::MedicalDoctor, NOW);
    for misuse in Misuse::ALL {
        let wrong = outside.sign(&misuse.of(&right));
        let id = decided(&house, &office, order(&wrong)).await;
        let refused = custody.import(id, &X5T, &package, &wrong, NOW).await;
        assert_eq!(code(refused), "certificate-not-for-signing", "{misuse:?}");
    }
    let certificate = outside.sign(&right);
    for no_hash in ["", "同意済み", &hex::encode([7; 31]), &hex::encode([7; 33])] {
        let mut act = order(&certificate);
        if let Act::Import { consent, .. } = &mut act {
            *consent = no_hash.to_owned();
        }
        let id = decided(&house, &office, act).await;
        let refused = custody.import(id, &X5T, &package, &certificate, NOW).await;
        assert_eq!(code(refused), "consent-missing", "{no_hash:?}");
    }
    assert_eq!(custody.key_count().await.unwrap(), 0);
    let id = decided(&house, &office, order(&certificate)).await;
    custody.import(id, &X5T, &package, &certificate, NOW).await.unwrap();
}

#[tokio::test]
async fn keys_made_ahead_are_taken_once_each_and_bound_to_their_owner() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let custody = &house.custody;
    let mut made = 0;
    loop {
        let round = custody.stock(10, NOW).await.unwrap();
        made += round.made;
        if round.made == 0 {
            assert_eq!(round.level, 10);
            break;
        }
    }
    assert_eq!(made, 10);
    let generated = house.anomalies.calls(hsm::anomaly::Call::Generate);
    let generate = |number| {
        let custody = custody.clone();
        async move {
            let role = Qualification::MedicalDoctor;
            custody.generate(person(number), role, Purpose::Prescription, consent(), NOW).await
        }
    };
    let (one, two) = tokio::join!(generate(1), generate(2));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.spki_der, two.spki_der);
    assert_eq!(house.anomalies.calls(hsm::anomaly::Call::Generate), generated);
    assert_eq!(custody.pool_level().await.unwrap(), 8);
    // The device finds both whole, its own, and the owners' as their rows say.
    let round = custody.audit_round(None, 100, NOW).await.unwrap();
    assert_eq!((round.checked, round.findings), (2, vec![]));
    // A stocked key that somebody changed is not used; one is made instead.
    by_sql(&house, "UPDATE custody_pool SET made = made + 1", vec![]).await;
    generate(3).await.unwrap();
    assert_eq!(house.anomalies.calls(hsm::anomaly::Call::Generate), generated + 1);
    // After a restart the stock is still there.
    drop(house);
    let house = open(folder.path());
    assert_eq!(house.custody.pool_level().await.unwrap(), 7);
}

#[tokio::test]
async fn looking_at_every_key_finds_what_was_changed_and_raises_an_alarm_once() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    for number in 1..=3 {
        enrol(&house, number, Qualification::MedicalDoctor).await;
    }
    let custody = &house.custody;
    let mut after = None;
    let mut checked = 0;
    loop {
        let round = custody.audit_round(after, 2, NOW).await.unwrap();
        assert_eq!(round.findings, []);
        if round.checked == 0 {
            break;
        }
        (after, checked) = (round.last, checked + round.checked);
    }
    assert_eq!((checked, custody.key_count().await.unwrap()), (3, 3));
    // One octet of a wrapped key; two swapped ones; a seal; the date by which the end is found.
    for (sql, owner, wrong) in [
        (
            "UPDATE custody_key SET wrapped = (SELECT wrapped FROM custody_key WHERE owner = $2)
             WHERE owner = $1",
            1,
            "blob-not-owners",
        ),
        ("UPDATE custody_key SET wrapped = $2 WHERE owner = $1", 2, "blob-broken"),
        ("UPDATE custody_key SET not_after = not_after + 1 WHERE owner = $1", 3, "expiry-wrong"),
        ("UPDATE custody_key SET created = created + 1 WHERE owner = $1", 3, "seal-broken"),
    ] {
        let mut values = vec![Value::from(person(owner))];
        match wrong {
            "blob-not-owners" => values.push(Value::from(person(3))),
            "blob-broken" => values.push(Value::Blob(vec![1; 100])),
            _ => {}
        }
        assert_eq!(by_sql(&house, sql, values).await, 1);
        let round = custody.audit_round(None, 100, NOW).await.unwrap();
        assert!(round.findings.iter().any(|finding| finding.wrong == wrong), "{wrong}");
        custody.audit_round(None, 100, NOW).await.unwrap();
    }
    let alarms = custody.alarms(NOW).await.unwrap();
    let broken = alarms.iter().filter(|alarm| alarm.kind == AlarmKind::KeyBroken).count();
    let sealed = alarms.iter().filter(|alarm| alarm.kind == AlarmKind::SealBroken).count();
    assert_eq!((broken, sealed), (3, 1), "{alarms:?}");
    assert_eq!(custody.audit_offices().await.unwrap(), []);
    office(&house).await;
    by_sql(&house, "UPDATE custody_officer SET name = 'x' WHERE role = 'auditor'", vec![]).await;
    assert_eq!(custody.audit_offices().await.unwrap().len(), 1);
}

/// What the seal of a held physician's key is over, with this certificate.
fn sealed(key: KeyId, spki: &[u8], proof: &[u8], certificate: &Certificate) -> Statement {
    Statement::new("azukari/seal/v1")
        .text("custody_key")
        .octets_field(key.octets())
        .octets_field(person(1).octets())
        .text("Medical Doctor")
        .text(Purpose::Prescription.name())
        .text(KeyState::Held.name())
        .text("")
        .octets_field(&sha256(spki))
        .octets_field(&sha256(proof))
        .time(NOW)
        .octets_field(&consent().document)
        .text("")
        .optional(Some(certificate.sha256().as_slice()))
        .optional(None)
}

#[tokio::test]
async fn looking_finds_a_certificate_for_another_use_even_under_a_good_seal() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let row = house.ledger.read(|tx| {
        let row = tx.query_one("SELECT spki, proof, seal FROM custody_key", &[])?;
        Ok::<_, custody::Failed>([0, 1, 2].map(|column| row.blob(column).unwrap().to_vec()))
    });
    let [spki, proof, seal] = row.await.unwrap();
    drop(house);
    let validity = Validity::years_from_day(NOW, 5);
    let right = to_be_signed(&spki, Qualification::MedicalDoctor, validity);
    // As if this program had once taken them: sealed by the device itself.
    let device = desks(folder.path(), &hsm::anomaly::Anomalies::none());
    let seal_of = |certificate: &Certificate| {
        let statement = sealed(doctor.key, &spki, &proof, certificate);
        device.subscriber.seal(&statement).unwrap().to_vec()
    };
    assert_eq!(seal_of(&assembled(&right)), seal, "the seal is over what is said here");
    let taken = Misuse::ALL.map(|misuse| {
        let certificate = assembled(&misuse.of(&right));
        (seal_of(&certificate), certificate)
    });
    drop(device);
    let house = open(folder.path());
    for (seal, certificate) in taken {
        let sql = "UPDATE custody_key SET certificate = $1, seal = $2";
        let values = vec![certificate.der().to_vec().into(), seal.into()];
        assert_eq!(by_sql(&house, sql, values).await, 1);
        let found = house.custody.audit_round(None, 100, NOW).await.unwrap().findings;
        let wrong = "certificate-not-for-signing";
        assert_eq!(found, [Finding { key: Some(doctor.key), wrong }]);
    }
}

#[tokio::test]
async fn a_failed_self_check_and_a_used_up_hour_raise_an_alarm() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    drop(house);
    let house = open_with(folder.path(), custody::Limits::new(300, 1).unwrap());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    house.custody.sign(&token, &hospital(), common::order(1), NOW).await.unwrap();
    let refused = house.custody.sign(&token, &hospital(), common::order(2), NOW).await;
    assert_eq!(code(refused), "hourly-limit-reached");
    // The alarm is written beside the answer; its checkpoint is signed by the same device.
    while house.custody.alarms(NOW).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    // Writes come one after the other: once this one is answered, that checkpoint is signed.
    by_sql(&house, "UPDATE custody_alarm SET words = words", vec![]).await;
    // The next call of the device is commit A's checkpoint, then the subscriber's key.
    let later = NOW.plus(3_600);
    house.anomalies.plan(hsm::anomaly::Call::Sign, 2, hsm::anomaly::Anomaly::AnswerWrongly);
    let refused = house.custody.sign(&token, &hospital(), common::order(3), later).await;
    assert_eq!(code(refused), "key-frozen");
    let alarms = house.custody.alarms(NOW).await.unwrap();
    let raised = |kind| alarms.iter().any(|a| a.kind == kind && a.key == Some(doctor.key));
    assert!(raised(AlarmKind::HourlyLimit) && raised(AlarmKind::SelfCheck), "{alarms:?}");
}

/// A key, a certificate for it and the decision to take it over, all for this person.
async fn handed_over(
    house: &House,
    office: &Office,
    outside: &Outside,
    number: u8,
) -> (DirectiveId, Package, Certificate) {
    let name = format!("person-{number}");
    let spki = outside.make_key(&name);
    let certificate = outside.certify(&spki, Qualification::MedicalDoctor, NOW);
    let import_key = house.custody.import_key(&X5T).unwrap();
    let package = outside.wrap(&name, &import_key, best());
    let directive = decided(house, office, order_for(number, &certificate)).await;
    (directive, package, certificate)
}

/// Another process starts here: nothing is open, every key is whole and the device's own, and
/// nobody raised an alarm. Says how many keys there are.
async fn keys_in_order(folder: &Path) -> (House, u64) {
    let house = open(folder);
    house.custody.recover(NOW).await.unwrap();
    balanced(&house).await;
    let round = house.custody.audit_round(None, 100, NOW).await.unwrap();
    assert_eq!(round.findings, []);
    assert_eq!(house.custody.alarms(NOW).await.unwrap(), []);
    (house, round.checked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_device_call_breaks_a_key_arrives_once() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let office = office(&house).await;
    let outside = Outside::found();
    drop(house);
    // The key to which authorities wrap: where making it broke, asking again gives one for good.
    let mut import_key = None;
    for how in DEVICE_BREAKS {
        for n in 1.. {
            let house = open(folder.path());
            house.custody.pin_importers(vec![importer(&outside)]);
            house.anomalies.plan_any(n, how);
            let custody = house.custody.clone();
            let told = or_the_devices_end(&house, async move { custody.import_key(&X5T) }).await;
            if let Ok(told) = &told {
                assert_eq!(import_key.get_or_insert(told.clone()), told, "call {n} {how:?}");
            }
            if !house.anomalies.happened() {
                assert!(n > 1 && told.is_ok(), "{told:?}");
                break;
            }
        }
    }
    let (mut number, mut keys) = (1, 0);
    for how in DEVICE_BREAKS {
        let house = open(folder.path());
        house.custody.pin_importers(vec![importer(&outside)]);
        let mut given = handed_over(&house, &office, &outside, number).await;
        drop(house);
        for n in 1.. {
            let house = open(folder.path());
            house.custody.pin_importers(vec![importer(&outside)]);
            house.anomalies.plan_any(n, how);
            let (custody, asked) = (house.custody.clone(), given.clone());
            let first = or_the_devices_end(&house, async move {
                let (directive, package, certificate) = asked;
                custody.import(directive, &X5T, &package, &certificate, NOW).await
            })
            .await;
            let happened = house.anomalies.happened();
            drop(house);
            let (house, now_kept) = keys_in_order(folder.path()).await;
            assert!(first.is_ok() || is_fault(&first), "call {n} {how:?}: {first:?}");
            if now_kept == keys {
                // Nothing of it is left, and the authority tries again, with the next call broken.
                assert!(first.is_err() && happened, "call {n} {how:?}");
                continue;
            }
            assert_eq!(now_kept, keys + 1, "call {n} {how:?}");
            house.custody.pin_importers(vec![importer(&outside)]);
            let (directive, package, certificate) = &given;
            let again = house.custody.import(*directive, &X5T, package, certificate, NOW).await;
            assert_eq!(code(again), "directive-closed", "call {n} {how:?}");
            (number, keys) = (number + 1, now_kept);
            if !happened {
                assert!(n > 8 && first.is_ok(), "only {n} calls in an import ({how:?})");
                break;
            }
            given = handed_over(&house, &office, &outside, number).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_device_call_breaks_a_person_gets_one_key_whether_stocked_or_made() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    let (mut number, mut keys) = (1, 0);
    for (stocked, how) in [0, 1].into_iter().flat_map(|level| DEVICE_BREAKS.map(|how| (level, how)))
    {
        for n in 1.. {
            let house = open(folder.path());
            house.custody.stock(stocked, NOW).await.unwrap();
            house.anomalies.plan_any(n, how);
            let custody = house.custody.clone();
            let (owner, role) = (person(number), Qualification::MedicalDoctor);
            let first = or_the_devices_end(&house, async move {
                custody.generate(owner, role, Purpose::Prescription, consent(), NOW).await
            })
            .await;
            let happened = house.anomalies.happened();
            drop(house);
            let (house, now_kept) = keys_in_order(folder.path()).await;
            assert!(first.is_ok() || is_fault(&first), "call {n} {how:?}: {first:?}");
            if now_kept == keys {
                assert!(first.is_err() && happened, "call {n} {how:?}");
                continue;
            }
            assert_eq!(now_kept, keys + 1, "call {n} {how:?}");
            let again =
                house.custody.generate(owner, role, Purpose::Prescription, consent(), NOW).await;
            assert_eq!(code(again), "key-already-kept", "call {n} {how:?}");
            (number, keys) = (number + 1, now_kept);
            if !happened {
                assert!(n > 3 && first.is_ok(), "only {n} calls in making a key ({how:?})");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_device_call_breaks_what_is_stocked_can_be_used() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    let mut level = 0;
    for how in DEVICE_BREAKS {
        for n in 1.. {
            let house = open(folder.path());
            house.anomalies.plan_any(n, how);
            let custody = house.custody.clone();
            let stocked =
                or_the_devices_end(&house, async move { custody.stock(level + 1, NOW).await })
                    .await;
            let happened = house.anomalies.happened();
            drop(house);
            let (house, _) = keys_in_order(folder.path()).await;
            let now_stocked = house.custody.pool_level().await.unwrap();
            assert_eq!(now_stocked, level + u64::from(stocked.is_ok()), "call {n} {how:?}");
            level = now_stocked;
            if !happened {
                assert!(n > 1 && stocked.is_ok(), "only {n} calls in stocking ({how:?})");
                break;
            }
            assert!(is_fault(&stocked), "call {n} {how:?}");
        }
    }
    let house = open(folder.path());
    let generated = house.anomalies.calls(hsm::anomaly::Call::Generate);
    for number in 1..=u8::try_from(level).unwrap() {
        enrol(&house, number, Qualification::MedicalDoctor).await;
    }
    assert_eq!(house.anomalies.calls(hsm::anomaly::Call::Generate), generated);
    drop(house);
    assert_eq!(keys_in_order(folder.path()).await.1, level);
}

#[test]
fn all_of_this_is_so_on_softhsm_too() {
    if engine::on_postgres() {
        return;
    }
    // The alarms count calls of the device, of which a slower one has some in flight.
    let except = ["a_failed_self_check", "on_postgresql_too"];
    hsm::testing::again_on_softhsm("on_softhsm_too", &[], &except);
}
