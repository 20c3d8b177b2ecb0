//! Hashes that a registered program composed (CSC signHash).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use common::*;
use custody::{
    Authorize, Authorized, Client, Granted, Later, Prepared, Purpose, Rule, Sad, ToSign,
};
use hpki::Certificate;
use hpki::encoding::Digest32;
use hpki::id::KeyId;
use hpki::kind::DocumentKind;
use hpki::policy::VerifyingKey;
use hpki::qualification::Qualification;
use hpki::sign::SignatureAlgorithm;
use hsm::anomaly::{Anomaly, Call};
use tempfile::tempdir;
use wire::csc::CredentialId;
use xades::cades::Format;

const LETTERS: [DocumentKind; 1] = [DocumentKind::Referral];

/// A doctor whose key is for hashes, and her token.
async fn writer(house: &House, number: u8) -> (Member, custody::Budget, String) {
    let doctor = enrol_for(house, number, Qualification::MedicalDoctor, Purpose::Hash).await;
    let asked = session(house, &doctor, &LETTERS).await;
    let budget = house.custody.open_budget(&approve(&doctor, asked), NOW).await.unwrap();
    let token = token(house, &budget);
    (doctor, budget, token)
}

/// The credential: the key for referral letters.
fn letters(key: KeyId) -> CredentialId {
    CredentialId { key, kind: DocumentKind::Referral }
}

fn ask(credential: KeyId, count: u32, hashes: Option<Vec<Digest32>>) -> Authorize {
    Authorize { credential, kind: None, count, hashes, format: None }
}

async fn granted(house: &House, token: &str, ask: &Authorize) -> Granted {
    match house.custody.csc_authorize(token, &hospital(), ask, NOW).await.unwrap() {
        Authorized::Granted(granted) => granted,
        Authorized::Pending(_) => panic!("an approval is asked for"),
    }
}

async fn pending(house: &House, token: &str, ask: &Authorize) -> Prepared {
    match house.custody.csc_authorize(token, &hospital(), ask, NOW).await.unwrap() {
        Authorized::Pending(prepared) => prepared,
        Authorized::Granted(_) => panic!("no approval is asked for"),
    }
}

/// The owner approves these hashes on her phone.
async fn approved(house: &House, member: &Member, token: &str, hashes: &[Digest32]) -> Sad {
    let ask = ask(member.key, hashes.len() as u32, Some(hashes.to_vec()));
    let prepared = pending(house, token, &ask).await;
    let approval = approve_documents(member, documents(&prepared, &hospital()));
    house.custody.authorise(prepared.id, &approval, NOW).await.unwrap().sad
}

fn found_for(folder: &std::path::Path, rule: Rule) -> House {
    drop(found(folder));
    open_for_letters(folder, rule)
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_registered_program_has_hashes_signed_out_of_the_sessions_budget() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::SESSION);
    let (doctor, budget, token) = writer(&house, 1).await;
    let listed = house.custody.csc_credentials(&token, &hospital(), NOW).await.unwrap();
    assert_eq!((listed.len(), listed[0].id, listed[0].enabled), (1, doctor.key, true));
    let certificate = Certificate::from_der(&listed[0].certificate).unwrap();
    let verifying =
        VerifyingKey::new(SignatureAlgorithm::RsaSha256, certificate.spki_der()).unwrap();

    let hashes = [[1; 32], [2; 32], [2; 32]];
    let sad = granted(&house, &token, &ask(doctor.key, 3, None)).await.sad;
    let custody = &house.custody;
    let signed = custody
        .csc_sign_hash(&token, &hospital(), letters(doctor.key), &sad, &hashes, NOW)
        .await
        .unwrap();
    for (hash, signed) in hashes.iter().zip(&signed) {
        verifying.verify_digest(hash, &signed.signature).unwrap();
    }
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 297);
    let spent =
        custody.csc_sign_hash(&token, &hospital(), letters(doctor.key), &sad, &hashes, NOW).await;
    assert_eq!(code(spent), "sad-exhausted");
    assert_eq!(balanced(&house).await.consumed, 3);
}

/// What a program could make of a hash that nobody here has composed: the SignedInfo of a
/// prescription, with her certificate in it.
#[tokio::test]
async fn a_program_without_raw_hashes_has_only_signed_what_is_composed_here() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    for (rule, approved) in [(Rule::SESSION, false), (Rule::EACH_DOCUMENT, true)] {
        let careful = Client { raw_hashes: false, ..client() };
        let (limits, policy) = (custody::Limits::default(), policy(DocumentKind::Referral, rule));
        let house = open_as(folder.path(), limits, policy, vec![careful]);
        let number = 1 + u8::from(approved);
        let doctor = enrol_for(&house, number, Qualification::MedicalDoctor, Purpose::Hash).await;
        let morning = approve(&doctor, session(&house, &doctor, &LETTERS).await);
        let custody = &house.custody;
        let token = token(&house, &custody.open_budget(&morning, NOW).await.unwrap());
        let (peer, digest) = (hospital(), [7; 32]);
        let raw = Authorize { hashes: Some(vec![digest]), ..ask(doctor.key, 1, None) };
        let document = Authorize { format: Some(Format::Pades), ..raw.clone() };
        let (sad, rests_on) = if approved {
            // Nobody is asked to approve it.
            let refused = custody.csc_authorize(&token, &peer, &raw, NOW).await;
            assert_eq!(code(refused), "raw-hashes-not-allowed");
            let prepared = pending(&house, &token, &document).await;
            let approval = approve_documents(&doctor, documents(&prepared, &peer));
            let granted = custody.authorise(prepared.id, &approval, NOW).await.unwrap();
            (granted.sad, approval.evidence_hash())
        } else {
            (granted(&house, &token, &raw).await.sad, morning.evidence_hash())
        };
        let credential = letters(doctor.key);
        let refused = custody.csc_sign_hash(&token, &peer, credential, &sad, &[digest], NOW).await;
        assert_eq!(code(refused), "raw-hashes-not-allowed");
        let later = Later { keep_s: 60, notify: None };
        let wanted = [ToSign::hash(digest)];
        let refused =
            custody.csc_begin(&token, &peer, credential, &sad, (&wanted, later), NOW).await;
        assert_eq!(code(refused), "raw-hashes-not-allowed");
        let books = balanced(&house).await;
        assert_eq!(books.consumed, u64::from(approved), "nothing was signed");
        let wanted = [ToSign { digest, format: Some(Format::Pades) }];
        let signed = custody.csc_sign(&token, &peer, credential, &sad, &wanted, NOW).await;
        let signed = signed.unwrap().remove(0);
        assert!(signed.attributes.is_some());
        // What the owner approved is what the journal says that it rests on.
        let proof = ledger::tlog::Proof::parse(&signed.proof).unwrap();
        let entry = proof.verify(house.ledger.verify_key()).unwrap();
        assert_eq!(entry.opening.record.evidence, Some(rests_on));
    }
}

#[tokio::test]
async fn hashes_are_signed_for_registered_programs_with_keys_made_for_it_only() {
    let folder = tempdir().unwrap();
    // Switched on, but nobody is registered.
    drop(found(folder.path()));
    let letters = policy(DocumentKind::Referral, Rule::SESSION);
    let limits = custody::Limits::default();
    let house = open_as(folder.path(), limits, letters.clone(), Vec::new());
    let (doctor, _, token) = writer(&house, 1).await;
    let ask = ask(doctor.key, 1, None);
    let refused = house.custody.csc_authorize(&token, &hospital(), &ask, NOW).await;
    assert_eq!(code(refused), "client-unknown");
    drop(house);

    // A program that names a kind that is not its own, or one that the platform composes.
    let mut registered = client();
    registered.kinds.push(DocumentKind::Prescription);
    let house = open_as(folder.path(), limits, letters, vec![registered]);
    for (kind, why) in [
        (DocumentKind::Statement, "kind-not-allowed"),
        (DocumentKind::Prescription, "kind-wrong-door"),
    ] {
        let other = Authorize { kind: Some(kind), ..ask.clone() };
        let refused = house.custody.csc_authorize(&token, &hospital(), &other, NOW).await;
        assert_eq!(code(refused), why);
    }
    // A key that was made for prescriptions, whatever its token says.
    let prescriber = enrol(&house, 2, Qualification::MedicalDoctor).await;
    let asked = session(&house, &prescriber, &LETTERS).await;
    let refused = house.custody.open_budget(&approve(&prescriber, asked), NOW).await;
    assert_eq!(code(refused), "kind-not-allowed");
    let budget = morning(&house, &prescriber).await;
    let mut claims = claims(&budget);
    claims.allowance.kinds = LETTERS.to_vec();
    let token = mint(&house, &claims);
    let theirs =
        Authorize { credential: prescriber.key, kind: Some(DocumentKind::Referral), ..ask };
    let refused = house.custody.csc_authorize(&token, &hospital(), &theirs, NOW).await;
    assert_eq!(code(refused), "kind-not-allowed");
    let seen = house.custody.csc_credentials(&token, &hospital(), NOW).await.unwrap();
    assert!(seen.is_empty());
}

#[tokio::test]
async fn another_users_credential_and_sad_look_like_unknown_ones() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::SESSION);
    let (doctor, _, token) = writer(&house, 1).await;
    let (other, _, others_token) = writer(&house, 2).await;
    let custody = &house.custody;
    let nobodys = KeyId::from_octets([9; 16]);
    for foreign in [other.key, nobodys] {
        let seen = custody.csc_credential(&token, &hospital(), foreign, NOW).await;
        assert_eq!(code(seen), "credential-unknown");
        let ask = ask(foreign, 1, None);
        let refused = custody.csc_authorize(&token, &hospital(), &ask, NOW).await;
        assert_eq!(code(refused), "credential-unknown");
    }
    let sad = granted(&house, &others_token, &ask(other.key, 1, None)).await.sad;
    let invented = Sad::parse(&wire::token::base64url_encode(&[7; 32])).unwrap();
    for foreign in [&sad, &invented] {
        let refused = custody
            .csc_sign_hash(&token, &hospital(), letters(doctor.key), foreign, &[[1; 32]], NOW)
            .await;
        assert_eq!(code(refused), "sad-unknown");
        let refused =
            custody.csc_extend(&token, &hospital(), letters(doctor.key), foreign, None, NOW).await;
        assert_eq!(code(refused), "sad-unknown");
    }
    // It is whole for the one whose it is.
    let signed = custody
        .csc_sign_hash(&others_token, &hospital(), letters(other.key), &sad, &[[1; 32]], NOW)
        .await;
    assert_eq!(signed.unwrap().len(), 1);
    assert_eq!(balanced(&house).await.consumed, 1);
}

#[tokio::test]
async fn a_sad_for_one_kind_is_unknown_under_the_same_keys_name_for_another() {
    for rule in [Rule::SESSION, Rule::EACH_DOCUMENT] {
        let folder = tempdir().unwrap();
        let house = found_for(folder.path(), rule);
        let (doctor, _, token) = writer(&house, 1).await;
        let hashes = [[1; 32]];
        let sad = match rule {
            Rule::SESSION => granted(&house, &token, &ask(doctor.key, 1, None)).await.sad,
            _ => approved(&house, &doctor, &token, &hashes).await,
        };
        let (custody, peer) = (&house.custody, hospital());
        for kind in [DocumentKind::Statement, DocumentKind::Prescription] {
            let named = CredentialId { key: doctor.key, kind };
            let refused = custody.csc_sign_hash(&token, &peer, named, &sad, &hashes, NOW).await;
            assert_eq!(code(refused), "sad-unknown");
            let refused = custody.csc_extend(&token, &peer, named, &sad, None, NOW).await;
            assert_eq!(code(refused), "sad-unknown");
        }
        // It is whole for the kind whose it is.
        let named = letters(doctor.key);
        let extended = custody.csc_extend(&token, &peer, named, &sad, None, NOW).await.unwrap();
        let signed = custody.csc_sign_hash(&token, &peer, named, &extended.sad, &hashes, NOW).await;
        assert_eq!(signed.unwrap().len(), 1);
        assert_eq!(balanced(&house).await.consumed, 1);
    }
}

#[tokio::test]
async fn a_hash_that_was_not_approved_takes_the_others_with_it() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::EACH_DOCUMENT);
    let (doctor, budget, token) = writer(&house, 1).await;
    let custody = &house.custody;
    let without = custody.csc_authorize(&token, &hospital(), &ask(doctor.key, 1, None), NOW).await;
    assert_eq!(code(without), "approval-needed");

    let hashes = [[1; 32], [2; 32], [2; 32]];
    let sad = approved(&house, &doctor, &token, &hashes).await;
    let sign = |hashes: Vec<Digest32>| {
        let (custody, token, key, sad) = (custody.clone(), token.clone(), doctor.key, &sad);
        async move { custody.csc_sign_hash(&token, &hospital(), letters(key), sad, &hashes, NOW).await }
    };
    assert_eq!(code(sign(vec![[1; 32], [3; 32]]).await), "hash-not-authorised");
    // Approved twice, so it can be signed twice and not three times.
    assert_eq!(code(sign(vec![[2; 32], [2; 32], [2; 32]]).await), "activation-spent");
    assert_eq!(house.custody.books().await.unwrap().authorised, 3);
    assert_eq!(sign(vec![[2; 32]]).await.unwrap().len(), 1);
    assert_eq!(sign(hashes[..2].to_vec()).await.unwrap().len(), 2);
    assert_eq!(code(sign(vec![[1; 32]]).await), "activation-spent");
    let books = balanced(&house).await;
    assert_eq!((books.consumed, books.authorised), (3, 0));
    assert_eq!(custody.budget(budget.id).await.unwrap().left, 300, "nothing was drawn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_who_spend_one_activation_get_one_signature() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::EACH_DOCUMENT);
    let (doctor, _, token) = writer(&house, 1).await;
    let sad = Arc::new(approved(&house, &doctor, &token, &[[1; 32]]).await);
    let token: Arc<str> = token.into();
    let mut waiting = Vec::new();
    for _ in 0..64 {
        let (custody, token, sad) = (house.custody.clone(), Arc::clone(&token), Arc::clone(&sad));
        let key = doctor.key;
        waiting.push(tokio::spawn(async move {
            custody.csc_sign_hash(&token, &hospital(), letters(key), &sad, &[[1; 32]], NOW).await
        }));
    }
    let mut signed = 0;
    for each in waiting {
        match each.await.unwrap() {
            Ok(_) => signed += 1,
            refused => assert_eq!(code(refused), "activation-spent"),
        }
    }
    assert_eq!(signed, 1);
    assert_eq!(balanced(&house).await.consumed, 1);
}

#[tokio::test]
async fn a_sad_is_good_for_sixty_seconds_and_is_extended_for_what_is_left() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::SESSION);
    let (doctor, _, token) = writer(&house, 1).await;
    let custody = &house.custody;
    let sign = |sad: Sad, hashes: Vec<Digest32>, now| {
        let (custody, token, key) = (custody.clone(), token.clone(), doctor.key);
        async move {
            let signed =
                custody.csc_sign_hash(&token, &hospital(), letters(key), &sad, &hashes, now).await;
            (sad, signed)
        }
    };
    let pinned = vec![[1; 32], [2; 32], [3; 32]];
    let first = granted(&house, &token, &ask(doctor.key, 3, Some(pinned))).await;
    assert_eq!((first.until, first.left), (NOW.plus(60), 3));
    let (first, refused) = sign(first.sad, vec![[4; 32]], NOW).await;
    assert_eq!(code(refused), "hash-not-authorised");
    let (first, signed) = sign(first, vec![[1; 32]], NOW.plus(59)).await;
    assert_eq!(signed.unwrap().len(), 1);

    let extend = |sad: Sad, hashes: Vec<Digest32>, now| {
        let (custody, token, key) = (custody.clone(), token.clone(), doctor.key);
        async move {
            let peer = hospital();
            custody
                .csc_extend(&token, &peer, letters(key), &sad, Some(&hashes), now)
                .await
                .map(|it| (sad, it))
        }
    };
    let text = first.text();
    let again = || Sad::parse(&text).unwrap();
    let refused = extend(again(), vec![[4; 32]], NOW.plus(59)).await;
    assert_eq!(code(refused), "hash-not-authorised");
    let (first, second) = extend(first, vec![[2; 32]], NOW.plus(59)).await.unwrap();
    assert_eq!((second.until, second.left), (NOW.plus(119), 2));
    let (first, refused) = sign(first, vec![[2; 32]], NOW.plus(59)).await;
    assert_eq!(code(refused), "sad-unknown");
    assert_eq!(code(extend(first, vec![], NOW.plus(59)).await), "sad-unknown");
    let (second, signed) = sign(second.sad, vec![[2; 32]], NOW.plus(118)).await;
    assert_eq!(signed.unwrap().len(), 1);
    let (second, refused) = sign(second, vec![[3; 32], [3; 32]], NOW.plus(118)).await;
    assert_eq!(code(refused), "sad-exhausted");
    let (second, refused) = sign(second, vec![[3; 32]], NOW.plus(119)).await;
    assert_eq!(code(refused), "sad-expired");
    assert_eq!(code(extend(second, vec![], NOW.plus(119)).await), "sad-expired");
    assert_eq!(balanced(&house).await.consumed, 2);
}

#[tokio::test]
async fn what_was_approved_is_fetched_by_check_and_expires_unsigned() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::EACH_DOCUMENT);
    let (doctor, _, token) = writer(&house, 1).await;
    let (_, _, others_token) = writer(&house, 2).await;
    let custody = &house.custody;
    let asked = ask(doctor.key, 2, Some(vec![[1; 32], [2; 32]]));
    let prepared = pending(&house, &token, &asked).await;
    let check = |token: &str, now| {
        let (custody, token, id) = (custody.clone(), token.to_owned(), prepared.id);
        async move { custody.csc_check(&token, &hospital(), id, now).await }
    };
    assert!(matches!(check(&token, NOW).await, Ok(Authorized::Pending(_))));
    assert_eq!(code(check(&others_token, NOW).await), "prepared-unknown");
    assert_eq!(code(check(&token, NOW.plus(181)).await), "prepared-expired");
    // Hashes are not signed at the gateways' door.
    let approval = approve_documents(&doctor, documents(&prepared, &hospital()));
    let sad = custody.authorise(prepared.id, &approval, NOW).await.unwrap().sad;
    let refused = custody.sign_prepared(&token, &hospital(), &sad, NOW).await;
    assert_eq!(code(refused), "sad-unknown");

    let Ok(Authorized::Granted(fetched)) = check(&token, NOW.plus(30)).await else {
        panic!("approved")
    };
    assert_eq!(fetched.until, NOW.plus(60));
    let peer = hospital();
    let old =
        custody.csc_sign_hash(&token, &peer, letters(doctor.key), &sad, &[[1; 32]], NOW).await;
    assert_eq!(code(old), "sad-unknown");
    let extended = custody
        .csc_extend(&token, &peer, letters(doctor.key), &fetched.sad, None, NOW.plus(50))
        .await;
    let sad = extended.unwrap().sad;
    let sign =
        |now| custody.csc_sign_hash(&token, &peer, letters(doctor.key), &sad, &[[1; 32]], now);
    assert_eq!(sign(NOW.plus(109)).await.unwrap().len(), 1);
    assert_eq!(code(sign(NOW.plus(110)).await), "sad-expired");
    assert_eq!(code(check(&token, NOW.plus(110)).await), "activation-expired");
    let swept = custody.sweep(NOW.plus(110)).await.unwrap();
    assert_eq!(swept.expired, 1);
    let books = balanced(&house).await;
    assert_eq!((books.consumed, books.expired, books.authorised), (1, 1, 0));
}

#[tokio::test]
async fn a_device_that_fails_gives_everything_back_and_the_same_hashes_are_signed_again() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::EACH_DOCUMENT);
    let (doctor, _, token) = writer(&house, 1).await;
    let hashes = [[1; 32], [2; 32]];
    let sad = approved(&house, &doctor, &token, &hashes).await;
    let peer = hospital();
    let sign =
        || house.custody.csc_sign_hash(&token, &peer, letters(doctor.key), &sad, &hashes, NOW);
    // The first call signs commit A's checkpoint.
    house.anomalies.plan(Call::Sign, 3, Anomaly::FailAfter);
    assert!(is_fault(&sign().await));
    let books = balanced(&house).await;
    assert_eq!((books.consumed, books.released), (0, 2));
    assert_eq!(sign().await.unwrap().len(), 2);
    assert_eq!(balanced(&house).await.consumed, 2);
}

#[tokio::test]
async fn a_device_that_fails_gives_the_draws_back_to_budget_and_sad() {
    let folder = tempdir().unwrap();
    let house = found_for(folder.path(), Rule::SESSION);
    let (doctor, budget, token) = writer(&house, 1).await;
    let sad = granted(&house, &token, &ask(doctor.key, 3, None)).await.sad;
    let peer = hospital();
    let sign = async |hashes: &[Digest32]| {
        let credential = letters(doctor.key);
        house.custody.csc_sign_hash(&token, &peer, credential, &sad, hashes, NOW).await
    };
    assert_eq!(sign(&[[1; 32]]).await.unwrap().len(), 1);
    for nth in [2, 3] {
        house.anomalies.plan(Call::Sign, nth, Anomaly::FailBefore);
        assert!(is_fault(&sign(&[[2; 32], [3; 32]]).await));
        assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 299);
    }
    // Two are left, and not one more.
    assert_eq!(code(sign(&[[2; 32], [3; 32], [4; 32]]).await), "sad-exhausted");
    assert_eq!(sign(&[[2; 32], [3; 32]]).await.unwrap().len(), 2);
    assert_eq!(code(sign(&[[4; 32]]).await), "sad-exhausted");
    let books = balanced(&house).await;
    assert_eq!((books.consumed, books.released), (3, 4));
    assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 297);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_step_breaks_no_approved_hash_is_signed_twice_or_lost() {
    for how in every_way() {
        let folder = tempdir().unwrap();
        let house = found_for(folder.path(), Rule::EACH_DOCUMENT);
        let (doctor, _, token) = writer(&house, 1).await;
        drop(house);
        let mut spent = 0;
        for n in 1.. {
            let house = open_for_letters(folder.path(), Rule::EACH_DOCUMENT);
            house.custody.recover(NOW).await.unwrap();
            let hashes = [[n as u8; 32], [100; 32]];
            let sad = approved(&house, &doctor, &token, &hashes).await;
            house.faults.arm(n, how);
            let peer = hospital();
            let credential = letters(doctor.key);
            let signing =
                house.custody.csc_sign_hash(&token, &peer, credential, &sad, &hashes, NOW);
            let first = or_the_end(&house.faults, signing).await;
            let happened = house.faults.happened();
            house.faults.disarm();
            if !happened {
                assert!(n > 10, "only {n} steps ({how:?})");
                assert_eq!(first.unwrap().len(), 2);
                break;
            }
            drop(house);
            let house = open_for_letters(folder.path(), Rule::EACH_DOCUMENT);
            house.custody.recover(NOW).await.unwrap();
            balanced(&house).await;
            let again = house
                .custody
                .csc_sign_hash(&token, &peer, letters(doctor.key), &sad, &hashes, NOW)
                .await;
            match again {
                // What was not handed out can still be signed, by the same approval.
                Ok(again) => {
                    assert!(first.is_err(), "signed twice: step {n} {how:?}");
                    assert_eq!(again.len(), 2);
                }
                // What was consumed is not signed again, also where its answer was lost.
                refused => assert_eq!(code(refused), "activation-spent", "step {n} {how:?}"),
            }
            spent += 2;
            let books = balanced(&house).await;
            assert_eq!((books.consumed, books.authorised), (spent, 0), "step {n} {how:?}");
        }
    }
}

#[test]
fn all_of_this_is_so_on_softhsm_too() {
    again_on_softhsm(&[]);
}
