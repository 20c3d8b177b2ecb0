//! How many signatures one token and one facility may ask for within an hour.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

use common::*;
use custody::{
    AlarmKind, Asked, Authorize, Authorized, BatchItem, BatchOrder, Limits, Purpose, Rule,
};
use hpki::id::TokenId;
use hpki::kind::DocumentKind;
use hpki::qualification::Qualification;
use tempfile::tempdir;
use wire::csc::CredentialId;

fn limits(token: u32, facility: u32) -> Limits {
    Limits::default().within_an_hour(token, facility).unwrap()
}

fn batch(count: u8) -> BatchOrder {
    let item = |n: u8| BatchItem { kind: DocumentKind::Prescription, digest: [100 + n; 32] };
    BatchOrder { number: number(), items: (0..count).map(item).collect() }
}

/// The alarm is written beside the answer.
async fn alarmed(house: &House, kind: AlarmKind) -> custody::Alarm {
    loop {
        let alarms = house.custody.alarms(NOW).await.unwrap();
        if let Some(alarm) = alarms.into_iter().find(|alarm| alarm.kind == kind) {
            return alarm;
        }
        tokio::task::yield_now().await;
    }
}

/// The process ends, once what it writes beside its answers is written.
async fn ends(house: House) {
    drop(house);
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}

/// In this house each prescription is approved.
fn strict(folder: &Path, limits: Limits) -> House {
    let policy = policy(DocumentKind::Prescription, Rule::EACH_DOCUMENT);
    open_as(folder, limits, policy, Vec::new())
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_token_has_an_hour_for_what_it_signs_alone_and_in_batches() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    let house = open_with(folder.path(), limits(4, 100));
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    let custody = &house.custody;
    let first = order(1);
    let signed = custody.sign(&token, &hospital(), first, NOW).await.unwrap();
    // What is refused for another reason does not count.
    for digest in 2..9 {
        let reused = custody::SignOrder { digest: [digest; 32], ..first };
        assert_eq!(code(custody.sign(&token, &hospital(), reused, NOW).await), "order-reused");
    }
    let too_many = batch(4);
    let refused = custody.sign_batch(&token, &hospital(), too_many.clone(), NOW).await;
    assert_eq!(code(refused), "token-limit-reached");
    let nothing = custody.batch_answer(&facility(), too_many.number, NOW).await;
    assert_eq!(code(nothing), "order-unknown");
    let alarm = alarmed(&house, AlarmKind::TokenLimit).await;
    assert_eq!(alarm.key, Some(doctor.key));

    let fits = batch(3);
    let three = custody.sign_batch(&token, &hospital(), fits.clone(), NOW).await.unwrap();
    assert_eq!(three.signed(), 3);
    let refused = custody.sign(&token, &hospital(), order(10), NOW).await;
    assert_eq!(code(refused), "token-limit-reached");
    // What was signed is answered as before, and the draw was not touched.
    let again = custody.sign(&token, &hospital(), first, NOW).await.unwrap();
    assert_eq!(value(&again), value(&signed));
    assert_eq!(custody.sign_batch(&token, &hospital(), fits, NOW).await.unwrap().signed(), 3);
    assert_eq!(custody.budget(budget.id).await.unwrap().left, 296);
    ends(house).await;

    // Another process begins with what was signed before it.
    let house = open_with(folder.path(), limits(4, 100));
    let refused = house.custody.sign(&token, &hospital(), order(11), NOW).await;
    assert_eq!(code(refused), "token-limit-reached");
    let later = NOW.plus(3_600);
    house.custody.sign(&token, &hospital(), order(12), later).await.unwrap();
    assert_eq!(balanced(&house).await.consumed, 5);
}

#[tokio::test]
async fn a_facility_has_an_hour_for_all_its_people_together() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    let house = open_with(folder.path(), limits(100, 3));
    let doctor = physician(&house).await;
    let other = enrol(&house, 2, Qualification::MedicalDoctor).await;
    let token = token(&house, &morning(&house, &doctor).await);
    let mut claims = claims(&morning(&house, &other).await);
    claims.jti = TokenId::from_octets([6; 16]);
    let others_token = mint(&house, &claims);
    let custody = &house.custody;
    assert_eq!(custody.sign_batch(&token, &hospital(), batch(2), NOW).await.unwrap().signed(), 2);
    custody.sign(&others_token, &hospital(), order(1), NOW).await.unwrap();
    for token in [&token, &others_token] {
        let refused = custody.sign(token, &hospital(), order(2), NOW).await;
        assert_eq!(code(refused), "facility-limit-reached");
        let refused = custody.sign_batch(token, &hospital(), batch(1), NOW).await;
        assert_eq!(code(refused), "facility-limit-reached");
    }
    let alarm = alarmed(&house, AlarmKind::FacilityLimit).await;
    assert_eq!((alarm.key, alarm.words.as_str()), (None, facility().as_str()));
    ends(house).await;

    let house = open_with(folder.path(), limits(100, 3));
    let refused = house.custody.sign(&others_token, &hospital(), order(3), NOW).await;
    assert_eq!(code(refused), "facility-limit-reached");
    let later = NOW.plus(3_600);
    house.custody.sign(&others_token, &hospital(), order(4), later).await.unwrap();
    assert_eq!(balanced(&house).await.consumed, 4);
}

#[tokio::test]
async fn what_is_approved_by_itself_counts_too() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    let house = strict(folder.path(), limits(3, 100));
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    let sign = async |house: &House, digests: [u8; 2]| {
        let asked = digests.map(|digest| Asked {
            number: number(),
            kind: DocumentKind::Prescription,
            digest: [digest; 32],
        });
        let asked = asked.to_vec();
        let prepared = house.custody.prepare(&token, &hospital(), asked, NOW).await.unwrap();
        let approval = approve_documents(&doctor, documents(&prepared, &hospital()));
        let sad = house.custody.authorise(prepared.id, &approval, NOW).await.unwrap().sad;
        house.custody.sign_prepared(&token, &hospital(), &sad, NOW).await
    };
    assert_eq!(sign(&house, [1, 2]).await.unwrap().signed(), 2);
    assert_eq!(code(sign(&house, [3, 4]).await), "token-limit-reached");
    alarmed(&house, AlarmKind::TokenLimit).await;
    ends(house).await;
    for (limits, why) in
        [(limits(3, 100), "token-limit-reached"), (limits(100, 3), "facility-limit-reached")]
    {
        let house = strict(folder.path(), limits);
        assert_eq!(code(sign(&house, [5, 6]).await), why);
        assert_eq!(house.custody.budget(budget.id).await.unwrap().left, 300);
        assert_eq!(balanced(&house).await.consumed, 2);
        ends(house).await;
    }
}

#[tokio::test]
async fn hashes_of_registered_programs_count_too_and_the_sad_stays_whole() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    let letters = policy(DocumentKind::Referral, Rule::SESSION);
    let house = open_as(folder.path(), limits(3, 100), letters, vec![client()]);
    let doctor = enrol_for(&house, 1, Qualification::MedicalDoctor, Purpose::Hash).await;
    let asked = session(&house, &doctor, &[DocumentKind::Referral]).await;
    let budget = house.custody.open_budget(&approve(&doctor, asked), NOW).await.unwrap();
    let token = token(&house, &budget);
    let ask =
        Authorize { credential: doctor.key, kind: None, count: 4, hashes: None, format: None };
    let custody = &house.custody;
    let Authorized::Granted(granted) =
        custody.csc_authorize(&token, &hospital(), &ask, NOW).await.unwrap()
    else {
        panic!("no approval is asked for")
    };
    let credential = CredentialId { key: doctor.key, kind: DocumentKind::Referral };
    let sign = async |hashes: &[[u8; 32]]| {
        let sad = &granted.sad;
        custody.csc_sign_hash(&token, &hospital(), credential, sad, hashes, NOW).await
    };
    assert_eq!(sign(&[[1; 32], [2; 32]]).await.unwrap().len(), 2);
    assert_eq!(code(sign(&[[3; 32], [4; 32]]).await), "token-limit-reached");
    alarmed(&house, AlarmKind::TokenLimit).await;
    assert_eq!(sign(&[[3; 32]]).await.unwrap().len(), 1);
    assert_eq!(code(sign(&[[4; 32]]).await), "token-limit-reached");
    assert_eq!(custody.budget(budget.id).await.unwrap().left, 297);
    assert_eq!(balanced(&house).await.consumed, 3);
}
