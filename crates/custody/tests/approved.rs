//! Documents that their owner approves one by one or as a batch (mode b).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use approval::statement::{belongs, document_commitment};
use common::*;
use custody::{Asked, Limits, Prepared, Rule, SHA256_OID};
use hpki::encoding::sha256;
use hpki::kind::DocumentKind;
use hsm::anomaly::{Anomaly, Call};
use ledger::tlog::Proof;
use tempfile::tempdir;

fn asked(digests: &[u8]) -> Vec<Asked> {
    let one = |digest: &u8| Asked {
        number: number(),
        kind: DocumentKind::Prescription,
        digest: [*digest; 32],
    };
    digests.iter().map(one).collect()
}

/// A house in which each prescription is approved.
fn strict(folder: &std::path::Path) -> House {
    let policy = policy(DocumentKind::Prescription, Rule::EACH_DOCUMENT);
    open_as(folder, Limits::default(), policy, Vec::new())
}

async fn prepared(house: &House, token: &str, digests: &[u8]) -> Prepared {
    house.custody.prepare(token, &hospital(), asked(digests), NOW).await.unwrap()
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

#[tokio::test]
async fn a_kind_whose_documents_are_approved_each_is_refused_out_of_a_budget() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    let house = strict(folder.path());
    let doctor = physician(&house).await;
    let token = token(&house, &morning(&house, &doctor).await);
    let refused = house.custody.sign(&token, &hospital(), order(1), NOW).await;
    assert_eq!(code(refused), "approval-needed");
    let items = vec![custody::BatchItem { kind: DocumentKind::Prescription, digest: [1; 32] }];
    let batch = custody::BatchOrder { number: number(), items };
    let refused = house.custody.sign_batch(&token, &hospital(), batch, NOW).await;
    assert_eq!(code(refused), "approval-needed");
}

#[tokio::test]
async fn three_documents_are_prepared_approved_signed_and_proven() {
    let folder = tempdir().unwrap();
    drop(found(folder.path()));
    let house = strict(folder.path());
    let doctor = physician(&house).await;
    let budget = morning(&house, &doctor).await;
    let token = token(&house, &budget);
    let waiting = prepared(&house, &token, &[1, 2, 3]).await;
    let number = waiting.documents[1].number;
    let custody = &house.custody;
    assert_eq!(code(custody.answer(&facility(), number, NOW).await), "order-unknown");

    let said = documents(&waiting, &hospital());
    let approval = approve_documents(&doctor, said.clone());
    let granted = custody.authorise(waiting.id, &approval, NOW.plus(20)).await.unwrap();
    assert_eq!((granted.until, granted.left), (NOW.plus(80), 3));
    assert_eq!(code(custody.answer(&facility(), number, NOW).await), "order-in-progress");
    let sign = |now| custody.sign_prepared(&token, PEER.get_or_init(hospital), &granted.sad, now);
    let signed = sign(NOW.plus(21)).await.unwrap();
    assert_eq!(signed.signed(), 3);
    let again = sign(NOW.plus(300)).await.unwrap();
    for (first, again) in signed.items.iter().zip(&again.items) {
        let (first, again) = (first.as_ref().unwrap(), again.as_ref().unwrap());
        assert_eq!(first.signing_time, NOW, "SigningTime is before the approval");
        assert_eq!(first.signature, again.signature);
    }
    assert_eq!(custody.budget(budget.id).await.unwrap().left, 300, "nothing was drawn");

    let evidence = custody.evidence(&facility(), number, NOW.plus(22)).await.unwrap();
    let document = evidence.document;
    let commitment =
        document_commitment(document.kind, SHA256_OID, &document.digest, &document.dtbsr);
    assert_eq!(commitment, document.commitment);
    assert!(belongs(&commitment, evidence.index, 3, &evidence.path, &said.root));
    assert_eq!(evidence.approval.statement.challenge(), said.challenge());
    let key = house.ledger.verify_key();
    let linked = Proof::parse(evidence.binding.as_ref().unwrap())
        .unwrap()
        .verify(key)
        .unwrap()
        .opening
        .record;
    assert_eq!((linked.event.name(), linked.key), ("phone.linked", Some(doctor.key)));
    let made = Proof::parse(&evidence.outcome).unwrap().verify(key).unwrap().opening.record;
    assert_eq!(made.dtbsr, Some(document.dtbsr));
    assert_eq!(made.evidence, Some(approval.evidence_hash()));
    assert_eq!(made.outcome.unwrap().signature_hash, Some(sha256(&evidence.signature)));
    let books = balanced(&house).await;
    assert_eq!((books.consumed, books.authorised), (3, 0));
}

static PEER: std::sync::OnceLock<custody::Peer> = std::sync::OnceLock::new();

#[tokio::test]
async fn an_approval_is_for_exactly_what_was_prepared() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let token = token(&house, &morning(&house, &doctor).await);
    let other = prepared(&house, &token, &[9]).await;
    let waiting = prepared(&house, &token, &[1, 2]).await;
    let right = documents(&waiting, &hospital());
    let custody = &house.custody;
    let with = |change: &dyn Fn(&mut approval::DocumentsStatement)| {
        let mut said = right.clone();
        change(&mut said);
        approve_documents(&doctor, said)
    };
    for (approval, now, why) in [
        (with(&|s| s.root = other.root), NOW, "approval-mismatch"),
        (with(&|s| s.count = 3), NOW, "approval-mismatch"),
        (with(&|s| s.kinds = vec![DocumentKind::Dispensing]), NOW, "approval-mismatch"),
        (with(&|s| s.facility_id = other_hospital().facility), NOW, "approval-mismatch"),
        (with(&|s| s.x5t_s256 = other_hospital().x5t), NOW, "approval-mismatch"),
        (with(&|s| s.person = person(7)), NOW, "approval-mismatch"),
        (with(&|s| s.not_after = NOW.plus(181)), NOW, "approval-mismatch"),
        (with(&|s| s.issuer.push('x')), NOW, "approval-elsewhere"),
        (with(&|_| ()), NOW.plus(181), "prepared-expired"),
    ] {
        assert_eq!(code(custody.authorise(waiting.id, &approval, now).await), why);
    }
    let mut another = with(&|_| ());
    another.statement = approval::Statement::Documents(documents(&other, &hospital()));
    let refused = custody.authorise(other.id, &another, NOW).await;
    assert_eq!(code(refused), "challenge-mismatch");
    let unknown = hpki::id::PreparedId::from_octets([1; 16]);
    let approval = with(&|_| ());
    assert_eq!(code(custody.authorise(unknown, &approval, NOW).await), "prepared-unknown");
    assert_eq!(balanced(&house).await.authorised, 0);

    // The right one, again, and another one for the same documents.
    let first = custody.authorise(waiting.id, &approval, NOW.plus(180)).await.unwrap();
    let second = custody.authorise(waiting.id, &approval, NOW.plus(200)).await.unwrap();
    assert_eq!(second.until, NOW.plus(240));
    let twice = custody.authorise(waiting.id, &with(&|_| ()), NOW.plus(181)).await;
    assert_eq!(code(twice), "approval-spent");
    let peer = hospital();
    let ended = custody.sign_prepared(&token, &peer, &first.sad, NOW.plus(201)).await;
    assert_eq!(code(ended), "sad-unknown");
    let signed = custody.sign_prepared(&token, &peer, &second.sad, NOW.plus(201)).await;
    assert_eq!(signed.unwrap().signed(), 2);
    balanced(&house).await;
}

#[tokio::test]
async fn whoever_lost_the_signatures_gets_the_same_ones_again_and_nobody_ends_a_sad_at_work() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let token = token(&house, &morning(&house, &doctor).await);
    let (custody, peer) = (&house.custody, hospital());
    let waiting = prepared(&house, &token, &[1, 2]).await;
    let approval = approve_documents(&doctor, documents(&waiting, &peer));
    let mut values = Vec::new();
    // The second time an hour later: the answers are kept for a day.
    for at in [NOW, NOW.plus(3_600)] {
        let sad = custody.authorise(waiting.id, &approval, at).await.unwrap().sad;
        let signed = custody.sign_prepared(&token, &peer, &sad, at).await.unwrap();
        values
            .push(signed.items.iter().map(|one| value(one.as_ref().unwrap())).collect::<Vec<_>>());
    }
    assert_eq!(values[0], values[1]);
    let late = custody.authorise(waiting.id, &approval, NOW.plus(86_401)).await;
    assert_eq!(code(late), "activation-expired");

    // While one document lies with the device, asking again changes nothing.
    by_sql(
        &house,
        "UPDATE custody_activation SET state = 'reserved', lease = $1 WHERE number = $2",
        vec![NOW.plus(30).into(), waiting.documents[1].number.into()],
    )
    .await;
    let meanwhile = custody.authorise(waiting.id, &approval, NOW.plus(29)).await;
    assert_eq!(code(meanwhile), "order-in-progress");
    let sad = custody.authorise(waiting.id, &approval, NOW.plus(30)).await.unwrap().sad;
    let signed = custody.sign_prepared(&token, &peer, &sad, NOW.plus(30)).await.unwrap();
    let again: Vec<_> = signed.items.iter().map(|one| value(one.as_ref().unwrap())).collect();
    assert_eq!(again, values[0], "PKCS#1 v1.5 is deterministic");
}

#[tokio::test]
async fn what_was_approved_is_the_bearers_and_ends_with_her_session_and_after_sixty_seconds() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let colleague = enrol(&house, 2, hpki::qualification::Qualification::MedicalDoctor).await;
    let budget = morning(&house, &doctor).await;
    let token_of_doctor = token(&house, &budget);
    let token_of_colleague = token(&house, &morning(&house, &colleague).await);
    let custody = &house.custody;
    let peer = hospital();
    let approved = async |digest: u8| {
        let waiting = prepared(&house, &token_of_doctor, &[digest]).await;
        let approval = approve_documents(&doctor, documents(&waiting, &hospital()));
        custody.authorise(waiting.id, &approval, NOW).await.unwrap().sad
    };
    let sad = approved(1).await;
    let stolen = custody.sign_prepared(&token_of_colleague, &peer, &sad, NOW).await;
    assert_eq!(code(stolen), "sad-unknown");
    let elsewhere = custody.sign_prepared(&token_of_doctor, &other_hospital(), &sad, NOW).await;
    assert_eq!(code(elsewhere), "token-wrong-certificate");
    let late = custody.sign_prepared(&token_of_doctor, &peer, &sad, NOW.plus(60)).await;
    assert_eq!(code(late), "sad-expired");
    assert_eq!(custody.sweep(NOW.plus(60)).await.unwrap().expired, 1);
    assert_eq!(balanced(&house).await.expired, 1);

    let sad = approved(2).await;
    let waiting = prepared(&house, &token_of_doctor, &[3]).await;
    custody.end_budget(budget.id, NOW).await.unwrap();
    let ended = custody.sign_prepared(&token_of_doctor, &peer, &sad, NOW).await;
    assert_eq!(code(ended), "token-ended");
    let approval = approve_documents(&doctor, documents(&waiting, &hospital()));
    assert_eq!(code(custody.authorise(waiting.id, &approval, NOW).await), "token-ended");
    let refused = custody.prepare(&token_of_doctor, &peer, asked(&[4]), NOW).await;
    assert_eq!(code(refused), "token-ended");
    assert_eq!(balanced(&house).await.consumed, 0);
}

#[tokio::test]
async fn what_cannot_be_signed_is_not_prepared() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let token = token(&house, &morning(&house, &doctor).await);
    let custody = &house.custody;
    custody.sign(&token, &hospital(), order(1), NOW).await.unwrap();
    let used = custody::SignOrder { number: number(), ..order(2) };
    custody.sign(&token, &hospital(), used, NOW).await.unwrap();
    let one = |kind| vec![Asked { number: number(), kind, digest: [1; 32] }];
    let twice = vec![asked(&[1])[0]; 2];
    let taken = vec![Asked { number: used.number, ..asked(&[1])[0] }];
    for (asked, why) in [
        (Vec::new(), "batch-size-wrong"),
        (asked(&[1; 1_001]), "batch-size-wrong"),
        (one(DocumentKind::Referral), "kind-not-enabled"),
        (one(DocumentKind::Dispensing), "kind-not-allowed"),
        (twice, "order-reused"),
        (taken, "order-reused"),
    ] {
        assert_eq!(code(custody.prepare(&token, &hospital(), asked, NOW).await), why);
    }
    for _ in 0..20 {
        prepared(&house, &token, &[1]).await;
    }
    let refused = custody.prepare(&token, &hospital(), asked(&[1]), NOW).await;
    assert_eq!(code(refused), "preparations-too-many");
    assert!(custody.prepare(&token, &hospital(), asked(&[1]), NOW.plus(180)).await.is_ok());
}

#[tokio::test]
async fn an_approval_written_by_sql_signs_nothing() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let token = token(&house, &morning(&house, &doctor).await);
    let waiting = prepared(&house, &token, &[1]).await;
    let approval = approve_documents(&doctor, documents(&waiting, &hospital()));
    let sad = house.custody.authorise(waiting.id, &approval, NOW).await.unwrap().sad;
    by_sql(&house, "UPDATE custody_activation SET digest = $1", vec![(&[7; 32]).into()]).await;
    let changed = house.custody.sign_prepared(&token, &hospital(), &sad, NOW).await;
    assert!(is_fault(&changed));
    let books = house.custody.books().await.unwrap();
    assert_eq!(books.misapproved, [waiting.id]);
    by_sql(&house, "UPDATE custody_prepared SET until = until + 1", vec![]).await;
    let changed = house.custody.sign_prepared(&token, &hospital(), &sad, NOW).await;
    assert_eq!(code(changed), "seal-broken");
    by_sql(&house, "UPDATE custody_sad SET count = 900", vec![]).await;
    let changed = house.custody.sign_prepared(&token, &hospital(), &sad, NOW).await;
    assert_eq!(code(changed), "seal-broken");
}

#[tokio::test]
async fn a_document_the_device_failed_at_is_signed_when_asked_again_also_after_the_minute() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician(&house).await;
    let token = token(&house, &morning(&house, &doctor).await);
    let waiting = prepared(&house, &token, &[1, 2]).await;
    let approval = approve_documents(&doctor, documents(&waiting, &hospital()));
    let sad = house.custody.authorise(waiting.id, &approval, NOW).await.unwrap().sad;
    house.anomalies.plan(Call::Sign, 3, Anomaly::FailBefore);
    let peer = hospital();
    let first = house.custody.sign_prepared(&token, &peer, &sad, NOW.plus(1)).await.unwrap();
    assert_eq!(first.signed(), 1);
    let again = house.custody.sign_prepared(&token, &peer, &sad, NOW.plus(400)).await.unwrap();
    assert_eq!(again.signed(), 2);
    let late = house.custody.sign_prepared(&token, &peer, &sad, NOW.plus(601)).await;
    assert_eq!(code(late), "sad-expired");
    assert_eq!(balanced(&house).await.consumed, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_step_breaks_from_approval_to_signature_each_document_is_signed_once() {
    for how in every_way() {
        let folder = tempdir().unwrap();
        let house = found(folder.path());
        let doctor = physician(&house).await;
        let token = token(&house, &morning(&house, &doctor).await);
        drop(house);
        let mut signed_so_far = 0;
        for n in 1.. {
            let (waiting, approval, happened, first) = {
                let house = open(folder.path());
                house.custody.recover(NOW).await.unwrap();
                let waiting = prepared(&house, &token, &[1, 2]).await;
                let approval = approve_documents(&doctor, documents(&waiting, &hospital()));
                house.faults.arm(n, how);
                let custody = &house.custody;
                let signing = async {
                    let granted = custody.authorise(waiting.id, &approval, NOW).await.ok()?;
                    custody.sign_prepared(&token, &hospital(), &granted.sad, NOW).await.ok()
                };
                let first = or_the_end(&house.faults, signing).await;
                let happened = house.faults.happened();
                house.faults.disarm();
                (waiting, approval, happened, first)
            };
            if !happened {
                assert!(n > 20, "only {n} steps ({how:?})");
                assert_eq!(first.unwrap().signed(), 2);
                break;
            }
            let house = open(folder.path());
            house.custody.recover(NOW).await.unwrap();
            balanced(&house).await;
            // The approval is sent again, also where all was signed already.
            let granted = house.custody.authorise(waiting.id, &approval, NOW).await.unwrap();
            let sad = &granted.sad;
            let signed = house.custody.sign_prepared(&token, &hospital(), sad, NOW).await.unwrap();
            assert_eq!(signed.signed(), 2, "step {n} {how:?}");
            for document in &waiting.documents {
                house.custody.answer(&facility(), document.number, NOW).await.unwrap();
            }
            signed_so_far += 2;
            let books = balanced(&house).await;
            assert_eq!((books.consumed, books.authorised), (signed_so_far, 0), "{n} {how:?}");
        }
    }
}

#[test]
fn all_of_this_is_so_on_softhsm_too() {
    again_on_softhsm(&[]);
}
