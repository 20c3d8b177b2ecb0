//! The desks, over the software vault and over SoftHSM2.

use std::path::Path;
use std::sync::{Arc, mpsc};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use hpki::encoding::{Statement, sha256};
use hpki::id::{KeyId, PersonId};
use hpki::refusal::Refuse;
use hpki::sign::{DeviceFault, Mac, Sign};
use hpki::time::Timestamp;

use super::*;
use crate::anomaly::{Anomalies, Anomaly, Call};
use crate::random::SystemRandom;
use crate::{Failed, UnsealSecret, blob, testing};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const A: (KeyId, PersonId) = (KeyId::from_octets([1; 16]), PersonId::from_octets([2; 16]));
const B: (KeyId, PersonId) = (KeyId::from_octets([3; 16]), PersonId::from_octets([4; 16]));

struct House {
    folder: tempfile::TempDir,
    secret: UnsealSecret,
}

impl House {
    fn new() -> Self {
        let house = Self {
            folder: tempfile::tempdir().unwrap(),
            secret: UnsealSecret::random(&SystemRandom),
        };
        testing::found(house.path(), &house.secret);
        house
    }
    fn path(&self) -> &Path {
        self.folder.path()
    }
    fn device(&self) -> DeviceConfig {
        testing::device(self.path())
    }
    fn open(&self) -> Desks {
        open(&self.device(), &self.secret, 2).unwrap()
    }
}

fn code<T>(result: Result<T, Failed>) -> &'static str {
    match result {
        Ok(_) => "accepted",
        Err(Failed::Refused(refusal)) => refusal.code(),
        Err(Failed::Fault(_)) => "fault",
    }
}

fn verifies(algorithm: &'static dyn VerificationAlgorithm, spki: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(algorithm, spki).verify(b"message", signature).is_ok()
}

fn sign(desk: &SubscriberDesk, key: &Arc<LoadedKey>) -> Result<Vec<u8>, DeviceFault> {
    let (tell, told) = mpsc::channel();
    let done: SignDone = Box::new(move |answer| tell.send(answer).unwrap());
    desk.sign(Arc::clone(key), b"message".to_vec(), done);
    told.recv().unwrap()
}

#[test]
fn a_kept_key_is_generated_loaded_and_signs() {
    let house = House::new();
    let desks = house.open();
    let desk = &desks.subscriber;
    let fresh = desk.generate(A.0, A.1, 7, NOW).unwrap();
    let header = blob::header(&fresh.wrapped).unwrap();
    assert_eq!(
        (header.credential, header.owner, header.policy, header.created),
        (A.0, A.1, 7, NOW)
    );
    assert_eq!(header.spki_sha256, sha256(&fresh.spki_der));
    assert_eq!(header.proof_hash, sha256(&fresh.proof));
    let key = Arc::new(desk.load(&fresh.wrapped, A.0, A.1).unwrap());
    assert_eq!((key.credential(), key.spki_der()), (A.0, &*fresh.spki_der));
    let signature = sign(desk, &key).unwrap();
    assert!(verifies(&RSA_PKCS1_2048_8192_SHA256, &fresh.spki_der, &signature));
    assert_eq!(sign(desk, &key).unwrap(), signature, "PKCS#1 v1.5 is deterministic");
}

#[test]
fn a_key_survives_the_closing_of_the_vault() {
    let house = House::new();
    let desks = house.open();
    let fresh = desks.subscriber.generate(A.0, A.1, 7, NOW).unwrap();
    drop(desks);
    let desks = house.open();
    assert!(desks.subscriber.load(&fresh.wrapped, A.0, A.1).is_ok());
}

#[test]
fn generating_and_loading_also_run_on_the_devices_threads() {
    let house = House::new();
    let desks = house.open();
    let (tell, told) = mpsc::channel();
    let done: GenerateDone = Box::new(move |answer| tell.send(answer).unwrap());
    desks.subscriber.generate_then(A.0, A.1, 7, NOW, done);
    let fresh = told.recv().unwrap().unwrap();
    let (tell, told) = mpsc::channel();
    let done: LoadDone = Box::new(move |answer| tell.send(answer).unwrap());
    desks.subscriber.load_then(fresh.wrapped, A.0, A.1, done);
    assert_eq!(told.recv().unwrap().unwrap().spki_der(), fresh.spki_der);
}

#[test]
fn the_blob_of_another_in_my_row_is_refused() {
    let house = House::new();
    let desks = house.open();
    let others = desks.subscriber.generate(B.0, B.1, 7, NOW).unwrap();
    assert_eq!(code(desks.subscriber.load(&others.wrapped, A.0, A.1)), "blob-not-owners");
    assert_eq!(code(desks.subscriber.load(&others.wrapped, B.0, A.1)), "blob-not-owners");
    assert_eq!(code(desks.subscriber.load(&others.wrapped, A.0, B.1)), "blob-not-owners");
}

#[test]
fn a_blob_relabelled_as_mine_is_broken() {
    let house = House::new();
    let desks = house.open();
    let mut others = desks.subscriber.generate(B.0, B.1, 7, NOW).unwrap().wrapped;
    others[14..30].copy_from_slice(A.0.octets());
    others[30..46].copy_from_slice(A.1.octets());
    assert_eq!(code(desks.subscriber.load(&others, A.0, A.1)), "blob-broken");
}

#[test]
fn every_changed_octet_of_a_blob_is_noticed() {
    let house = House::new();
    let desks = house.open();
    let whole = desks.subscriber.generate(A.0, A.1, 7, NOW).unwrap().wrapped;
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 0x40;
        let expected = if (14..46).contains(&position) { "blob-not-owners" } else { "blob-broken" };
        let judged = code(desks.subscriber.load(&changed, A.0, A.1));
        assert_eq!(judged, expected, "octet {position}");
    }
}

#[test]
fn a_blob_of_another_vault_is_broken() {
    let (house, other) = (House::new(), House::new());
    let wrapped = other.open().subscriber.generate(A.0, A.1, 7, NOW).unwrap().wrapped;
    assert_eq!(code(house.open().subscriber.load(&wrapped, A.0, A.1)), "blob-broken");
}

#[test]
fn a_generation_proof_holds_for_exactly_its_key() {
    let house = House::new();
    let desks = house.open();
    let desk = &desks.subscriber;
    let fresh = desk.generate(A.0, A.1, 7, NOW).unwrap();
    let check = |spki: &[u8], proof: &[u8], key, owner, policy, created| {
        desk.check_proof(spki, proof, key, owner, policy, created).unwrap()
    };
    let (spki, proof) = (&*fresh.spki_der, &*fresh.proof);
    assert!(check(spki, proof, A.0, A.1, 7, NOW));
    assert!(!check(&spki[1..], proof, A.0, A.1, 7, NOW));
    assert!(!check(spki, &proof[1..], A.0, A.1, 7, NOW));
    assert!(!check(spki, proof, B.0, A.1, 7, NOW));
    assert!(!check(spki, proof, A.0, B.1, 7, NOW));
    assert!(!check(spki, proof, A.0, A.1, 8, NOW));
    assert!(!check(spki, proof, A.0, A.1, 7, NOW.plus(1)));
}

#[test]
fn a_wrong_secret_opens_nothing() {
    let house = House::new();
    let other = UnsealSecret::random(&SystemRandom);
    let expected = if testing::on_softhsm() { "pin-wrong" } else { "unseal-secret-wrong" };
    assert_eq!(code(open(&house.device(), &other, 1)), expected);
    // And the right one still does: the failed try left no lock behind.
    drop(house.open());
}

#[test]
fn a_folder_is_open_once() {
    let house = House::new();
    let desks = house.open();
    assert_eq!(code(open(&house.device(), &house.secret, 1)), "vault-in-use");
    // One desk or key alone keeps it.
    let Desks { subscriber, ca, token, log, watch: _ } = desks;
    drop((subscriber, token, log));
    ca.generate("root", CaAlgorithm::P256).unwrap();
    let key = ca.key("root").unwrap();
    drop(ca);
    assert_eq!(code(open(&house.device(), &house.secret, 1)), "vault-in-use");
    drop(key);
    drop(house.open());
}

#[test]
fn all_of_this_is_so_on_softhsm_too() {
    const WORDS: [&str; 6] = [
        "desk::tests::",
        "gauge::tests::",
        "pkcs11::probe::",
        "pkcs11::tests::",
        "pkcs11::transfer::",
        "rotation::tests::",
    ];
    testing::again_on_softhsm("on_softhsm_too", &WORDS, &["pkcs11::tests::away::"]);
    testing::again_on_softhsm("on_softhsm_too", &["pkcs11::tests::away::"], &[]);
}

#[test]
fn a_missing_doubled_or_damaged_vault_is_told() {
    let house = House::new();
    assert_eq!(code(create(&house.device(), &house.secret)), "vault-exists");
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(code(open(&testing::device(empty.path()), &house.secret, 1)), "vault-missing");
    let file = if testing::on_softhsm() { "device.azkd" } else { "vault.azkv" };
    let inside = testing::device(&house.path().join(file).join("x"));
    assert_eq!(code(create(&inside, &house.secret)), "vault-unusable");
    let path = house.path().join(file);
    let whole = std::fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 1;
        std::fs::write(&path, changed).unwrap();
        assert_eq!(code(open(&house.device(), &house.secret, 1)), "vault-broken");
    }
    std::fs::write(&path, &whole[1..]).unwrap();
    assert_eq!(code(open(&house.device(), &house.secret, 1)), "vault-broken");
}

#[test]
fn the_files_of_a_vault_are_for_their_owner_only_and_hold_no_key_in_the_clear() {
    let house = House::new();
    let desks = house.open();
    desks.ca.generate("root", CaAlgorithm::Rsa2048).unwrap();
    drop(desks);
    let mut files = 0;
    for entry in std::fs::read_dir(house.path()).unwrap() {
        let path = entry.unwrap().path();
        assert!(!crate::files::others_may_read(&path).unwrap(), "{}", path.display());
        let octets = std::fs::read(&path).unwrap();
        // A PKCS#8 key begins with version 0 and rsaEncryption or id-ecPublicKey (RFC 5958).
        for oid in [&b"\x02\x01\x00\x30\x0d\x06\x09\x2a"[..], b"\x02\x01\x00\x30\x13\x06\x07\x2a"] {
            assert!(!octets.windows(oid.len()).any(|window| window == oid));
        }
        files += 1;
    }
    assert_eq!(files, 5, "vault, lock, root, token and log key");
}

#[test]
fn authority_keys_are_named_and_never_overwritten() {
    let house = House::new();
    let desks = house.open();
    let spki = desks.ca.generate("medis", CaAlgorithm::Rsa2048).unwrap();
    let curve = desks.ca.generate("facility", CaAlgorithm::P256).unwrap();
    assert_eq!(code(desks.ca.generate("medis", CaAlgorithm::Rsa2048)), "vault-key-exists");
    assert_eq!(code(desks.ca.generate("../up", CaAlgorithm::P256)), "vault-key-name-malformed");
    assert_eq!(code(desks.ca.key("jma")), "vault-key-unknown");
    drop(desks);
    let desks = house.open();
    assert_eq!(desks.ca.names().unwrap(), ["facility", "medis"]);
    let key = desks.ca.key("medis").unwrap();
    assert_eq!(key.spki_der(), spki);
    assert!(verifies(&RSA_PKCS1_2048_8192_SHA256, &spki, &key.sign(b"message").unwrap()));
    let key = desks.ca.key("facility").unwrap();
    assert_eq!(key.spki_der(), curve);
    assert!(verifies(&ECDSA_P256_SHA256_ASN1, &curve, &key.sign(b"message").unwrap()));
}

#[test]
fn one_authoritys_file_in_anothers_place_is_refused() {
    let house = House::new();
    let desks = house.open();
    desks.ca.generate("jma", CaAlgorithm::P256).unwrap();
    desks.ca.generate("jpa", CaAlgorithm::P256).unwrap();
    std::fs::copy(house.path().join("ca-jma.azkb"), house.path().join("ca-jpa.azkb")).unwrap();
    assert_eq!(code(desks.ca.key("jpa")), "blob-not-owners");
}

fn token_spki(public: &TokenPublic) -> Vec<u8> {
    // SubjectPublicKeyInfo of id-ecPublicKey on prime256v1 (RFC 5480), then the point.
    let mut spki = vec![
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    spki.extend_from_slice(&public.x);
    spki.extend_from_slice(&public.y);
    spki
}

#[test]
fn token_keys_are_published_ahead_rotated_and_retired() {
    let house = House::new();
    let desks = house.open();
    let desk = &desks.token;
    let first = desk.kid();
    desk.prepare_next().unwrap();
    desk.prepare_next().unwrap();
    assert_eq!(desk.kid(), first, "published, not yet signing");
    let published = desk.published();
    assert_eq!(published.len(), 2);
    assert!(verifies(
        &ECDSA_P256_SHA256_FIXED,
        &token_spki(&published[0]),
        &desk.sign(b"message").unwrap()
    ));
    assert_eq!(code(desk.retire(&first)), "vault-key-unknown", "the signing key stays");
    desk.rotate().unwrap();
    assert_eq!(desk.kid(), published[1].kid);
    assert!(verifies(
        &ECDSA_P256_SHA256_FIXED,
        &token_spki(&published[1]),
        &desk.sign(b"message").unwrap()
    ));
    desk.retire(&first).unwrap();
    assert_eq!(desk.published(), published[1..]);
    drop(desks);
    let again = house.open().token;
    assert_eq!(again.published(), published[1..]);
    again.hold_back(&published[1].kid);
    assert_eq!(again.kid(), published[1].kid, "an only key cannot wait");
    again.prepare_next().unwrap();
    drop(again);
    let again = house.open().token;
    let newest = again.published()[1].kid.clone();
    assert_eq!(again.kid(), newest, "nobody told it to wait");
    again.hold_back(&newest);
    assert_eq!(again.kid(), published[1].kid);
    again.rotate().unwrap();
    assert_eq!(again.kid(), newest);
}

#[test]
fn the_log_key_stays_the_same_and_verifies() {
    let house = House::new();
    let (log, _) = house.open().log.split();
    let spki = log.spki_der().to_vec();
    assert!(verifies(&ED25519, &spki, &log.sign(b"message").unwrap()));
    drop(log);
    let (log, _) = house.open().log.split();
    assert_eq!(log.spki_der(), spki);
}

#[test]
fn each_desk_has_its_own_seal_and_keeps_it() {
    let house = House::new();
    let row = Statement::new("azukari/seal/v1").text("row");
    let desks = house.open();
    let own = desks.subscriber.seal(&row).unwrap();
    let others =
        [desks.ca.mac(&row).unwrap(), desks.token.mac(&row).unwrap(), desks.log.mac(&row).unwrap()];
    for (position, other) in others.iter().enumerate() {
        assert_ne!(*other, own);
        assert!(!others[..position].contains(other));
    }
    assert!(desks.subscriber.check_seal(&row, &own).unwrap());
    assert!(!desks.subscriber.check_seal(&row, &own[..31]).unwrap());
    let other = Statement::new("azukari/seal/v1").text("other");
    assert!(!desks.subscriber.check_seal(&other, &own).unwrap());
    drop(desks);
    assert_eq!(house.open().subscriber.seal(&row).unwrap(), own);
}

#[test]
fn the_nth_call_fails_as_planned_and_the_next_works() {
    let house = House::new();
    let anomalies = Anomalies::none();
    let desks = open_failing(&house.device(), &house.secret, 1, anomalies.clone()).unwrap();
    let desk = &desks.subscriber;
    anomalies.plan(Call::Generate, 1, Anomaly::FailBefore);
    assert!(desk.generate(A.0, A.1, 7, NOW).is_err());
    let fresh = desk.generate(A.0, A.1, 7, NOW).unwrap();
    anomalies.plan(Call::Load, 1, Anomaly::FailAfter);
    assert_eq!(code(desk.load(&fresh.wrapped, A.0, A.1)), "fault");
    let key = Arc::new(desk.load(&fresh.wrapped, A.0, A.1).unwrap());
    let good = sign(desk, &key).unwrap();
    anomalies.plan(Call::Sign, 1, Anomaly::FailBefore);
    anomalies.plan(Call::Sign, 2, Anomaly::FailAfter);
    anomalies.plan(Call::Sign, 3, Anomaly::AnswerWrongly);
    assert!(sign(desk, &key).is_err());
    assert!(sign(desk, &key).is_err());
    let wrong = sign(desk, &key).unwrap();
    assert!(!verifies(&RSA_PKCS1_2048_8192_SHA256, &fresh.spki_der, &wrong));
    assert_eq!(sign(desk, &key).unwrap(), good);
    assert_eq!(anomalies.calls(Call::Sign), 5);
}

#[test]
fn a_device_that_hangs_answers_late_and_hangs_nobody_who_closes_it() {
    let house = House::new();
    let anomalies = Anomalies::none();
    let desks = open_failing(&house.device(), &house.secret, 1, anomalies.clone()).unwrap();
    let fresh = desks.subscriber.generate(A.0, A.1, 7, NOW).unwrap();
    let key = Arc::new(desks.subscriber.load(&fresh.wrapped, A.0, A.1).unwrap());
    anomalies.plan(Call::Sign, 1, Anomaly::Hang);
    let (tell, told) = mpsc::channel();
    let done: SignDone = Box::new(move |answer| tell.send(answer).unwrap());
    desks.subscriber.sign(key, b"message".to_vec(), done);
    anomalies.until_hanging();
    assert!(told.try_recv().is_err());
    drop(desks);
    drop(house.open());
    anomalies.release();
    assert!(told.recv().unwrap().is_ok());
}
