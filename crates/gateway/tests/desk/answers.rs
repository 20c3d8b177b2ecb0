use gateway::Refusal;
use hpki::path::Anchor;
use wire::SignAnswer;

use crate::estate::{ESTATE, LogKey, now};
use crate::platform::{ORIGIN, grow, journal};
use crate::world::{Town, code, config, csv, id, later, open, person, refusal};

async fn refused(falsify: impl Fn(&mut SignAnswer) + Send + 'static) -> &'static str {
    let town = Town::awake().await;
    town.world.falsify(falsify);
    let code = code(town.prescribe().await);
    *town.world.falsify.lock().unwrap() = None;
    // A wrong answer closes the order: nothing of it is ever handed out.
    assert!(town.gateway.resume(now()).await.unwrap().is_empty(), "{code}");
    code
}

fn replaced(answer: &mut SignAnswer, from: &str, to: &str) {
    let text = String::from_utf8(answer.signature.0.clone()).unwrap();
    assert!(text.contains(from), "{from}");
    answer.signature.0 = text.replacen(from, to, 1).into_bytes();
}

#[tokio::test]
async fn a_signature_over_a_foreign_digest_is_refused() {
    let town = Town::awake().await;
    *town.world.sign_instead.lock().unwrap() = Some([9; 32]);
    assert_eq!(code(town.prescribe().await), "answer-wrong-digest");
    assert!(town.gateway.resume(now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_not_to_this_order_is_refused() {
    let other = "0192f1d2-7c3a-7b11-8f0e-0123456789ab".parse().unwrap();
    assert_eq!(refused(move |answer| answer.order = other).await, "answer-wrong-order");
    let kind = hpki::kind::DocumentKind::Dispensing;
    assert_eq!(refused(move |answer| answer.kind = kind).await, "answer-wrong-kind");
}

#[tokio::test]
async fn a_signature_that_is_wrong_in_itself_is_refused() {
    let wrong = "answer-signature-wrong";
    let malformed = "answer-malformed";
    assert_eq!(refused(|a| a.signature.0 = b"\xff".to_vec()).await, malformed);
    assert_eq!(refused(|a| a.signature.0 = b"<x/>".to_vec()).await, malformed);
    let pharmacist = ESTATE.pharmacist.1.der();
    assert_eq!(refused(|a| a.certificate.0 = pharmacist.to_vec()).await, wrong);
    assert_eq!(refused(|a| a.signing_time = a.signing_time.plus(1)).await, wrong);
    assert_eq!(refused(|a| replaced(a, "rsa-sha256", "rsa-sha1")).await, wrong);
    assert_eq!(refused(|a| replaced(a, "+00:00<", "+00:01<")).await, wrong);
    assert_eq!(
        refused(|a| replaced(a, "#PrescriptionDocument", "#Dispensing")).await,
        "answer-wrong-kind"
    );
}

#[tokio::test]
async fn a_forged_proof_is_refused() {
    let wrong = "answer-proof-wrong";
    assert_eq!(refused(|a| a.proof.clear()).await, wrong);
    assert_eq!(refused(|a| a.index += 1).await, wrong);
    assert_eq!(refused(|a| a.proof = a.proof.replacen("index ", "index 1", 1)).await, wrong);
    // Anything changed in salt or opening leads to another leaf.
    assert_eq!(
        refused(|a| {
            let at = a.proof.find("extra ").unwrap() + 150;
            let other = if a.proof.as_bytes()[at] == b'A' { "B" } else { "A" };
            a.proof.replace_range(at..=at, other);
        })
        .await,
        wrong
    );
}

#[tokio::test]
async fn the_proof_of_another_signature_is_refused() {
    let town = Town::awake().await;
    let first = town.prescribe().await.unwrap();
    let proof = town.world.ledger().prove(first.index).await.unwrap();
    town.world.falsify(move |answer| {
        answer.proof = proof.clone();
        answer.index = first.index;
    });
    let other = String::from_utf8(csv()).unwrap().replace("粉砕しない", "粉砕する");
    let refused = town.gateway.prescribe(&id("dr-1"), other.as_bytes(), now()).await;
    assert_eq!(code(refused), "answer-proof-wrong");
}

#[tokio::test]
async fn an_entry_about_another_person_is_refused() {
    let town = Town::awake().await;
    *town.world.journal_person.lock().unwrap() = Some(person(2));
    let refused = refusal(town.prescribe().await);
    assert_eq!(refused, Refusal::ProofWrong("the entry is of another person".into()));
}

#[tokio::test]
async fn a_journal_under_another_log_key_is_refused() {
    let town = Town::awake().await;
    let other = journal(&town.folder.path().join("other"), 8);
    grow(&other, 3).await;
    *town.world.ledger.lock().unwrap() = other;
    assert_eq!(code(town.prescribe().await), "answer-proof-wrong");
    let pinned =
        ledger::tlog::VerifyKey::from_spki(ORIGIN, hpki::sign::Sign::spki_der(&LogKey::new(7)));
    assert_eq!(*town.gateway.config().log(), pinned.unwrap());
}

#[tokio::test]
async fn clocks_two_minutes_apart_stop_the_order() {
    let town = Town::awake().await;
    town.world.clock.store(later(100).seconds(), std::sync::atomic::Ordering::SeqCst);
    assert_eq!(town.prescribe().await.unwrap().clock_difference_s, 100);
    town.world.clock.store(later(121).seconds(), std::sync::atomic::Ordering::SeqCst);
    let other = String::from_utf8(csv()).unwrap().replace("粉砕しない", "粉砕する");
    let refused = town.gateway.prescribe(&id("dr-1"), other.as_bytes(), now()).await;
    assert_eq!(refusal(refused), Refusal::ClockOff(121));
    // Once the clock here is right again, the same signature is taken.
    let resumed = town.gateway.resume(later(125)).await.unwrap();
    assert!(resumed[0].outcome.is_ok());
    assert_eq!(town.world.made(), 2);
}

#[tokio::test]
async fn what_the_verifier_refuses_the_ehr_does_not_get() {
    let mut town = Town::awake().await;
    let mut config = config(&town.world);
    config.anchors = vec![Anchor { certificate: ESTATE.other_root.clone() }];
    drop((town.store, town.gateway));
    (town.store, town.gateway) = open(town.folder.path(), &town.world, config);
    let refused = refusal(town.gateway.prescribe(&id("dr-1"), &csv(), now()).await);
    assert!(matches!(refused, Refusal::VerificationFailed(code) if !code.is_empty()));
}

#[tokio::test]
async fn without_a_current_revocation_list_the_order_waits() {
    let town = Town::awake().await;
    town.gateway.set_crls(Vec::new());
    let refused = refusal(town.prescribe().await);
    assert_eq!(refused, Refusal::VerificationUndetermined("crl-missing".into()));
    let resumed = town.gateway.resume(now()).await.unwrap();
    assert_eq!(code(resumed.into_iter().next().unwrap().outcome), "verification-undetermined");
    assert_eq!(town.world.made(), 1);
}
