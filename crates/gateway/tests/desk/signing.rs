use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway::{Method, Refusal};
use hpki::kind::DocumentKind;
use prescription::document::{self, Parsed};
use verifier::Verdict;

use crate::estate::now;
use crate::platform::Trouble::{AnswerLost, Lost, Says};
use crate::world::{Town, code, csv, dispensing_csv, id, refusal};

#[tokio::test]
async fn a_record_becomes_a_document_that_everybody_accepts() {
    let town = Town::awake().await;
    let signed = town.prescribe().await.unwrap();
    assert_eq!(signed.report.verdict, Verdict::Valid);
    assert_eq!(signed.kind, DocumentKind::Prescription);
    assert_eq!((signed.left, signed.clock_difference_s), (299, 0));
    let parsed = Parsed::parse(&signed.document).unwrap();
    assert_eq!(parsed.csv, csv());
    assert!(parsed.signed);
    let person = signed.report.signatures[0].person.as_ref().unwrap();
    assert_eq!(person.name_ja.as_deref(), Some("架空　太郎"));
    assert_eq!(town.gateway.document(signed.order).await.unwrap(), signed.document);
}

#[tokio::test]
async fn a_pharmacist_signs_over_the_whole_prescription() {
    let town = Town::awake().await;
    let registered = town.registered().await;
    let csv = dispensing_csv();
    let signed = town.gateway.dispense(&id("ph-1"), &registered, &csv, now()).await.unwrap();
    assert_eq!(signed.report.verdict, Verdict::Valid);
    assert_eq!(signed.report.signatures.len(), 2);
    let parsed = Parsed::parse(&signed.document).unwrap();
    assert_eq!(parsed.csv, csv);
    assert_eq!(parsed.prescription_csv, Some(crate::world::csv()));
}

#[tokio::test]
async fn only_the_digest_leaves_the_facility() {
    let town = Town::awake().await;
    let before = town.world.calls.lock().unwrap().len();
    town.prescribe().await.unwrap();
    let calls = town.world.calls.lock().unwrap();
    let sent: Vec<_> = calls[before..].iter().filter(|c| c.method == Method::Post).collect();
    assert_eq!(sent.len(), 1);
    let body: serde_json::Value = serde_json::from_slice(sent[0].body.as_deref().unwrap()).unwrap();
    let mut members: Vec<&String> = body.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["digest", "kind", "order"]);
    assert_eq!(body["digest"]["value"].as_str().unwrap().len(), 44);
}

#[tokio::test]
async fn whatever_gets_lost_the_same_number_is_sent_again() {
    let town = Town::awake().await;
    town.world.trouble([
        Lost,
        Says(503, "fault"),
        AnswerLost,
        Says(429, "slow-down"),
        Says(409, "order-in-progress"),
    ]);
    let signed = town.prescribe().await.unwrap();
    assert_eq!(town.world.numbers(), [signed.order; 6]);
    assert_eq!(town.world.made(), 1);
    let pauses = town.world.pauses.lock().unwrap().clone();
    assert_eq!(pauses, [200, 400, 800, 1600, 3200].map(Duration::from_millis));
}

#[tokio::test]
async fn pauses_grow_to_half_a_minute_and_no_further() {
    let town = Town::awake().await;
    town.world.trouble((0..12).map(|_| Lost));
    town.prescribe().await.unwrap();
    let pauses = town.world.pauses.lock().unwrap().clone();
    assert_eq!(pauses[8..], [Duration::from_secs(30); 4]);
}

#[tokio::test]
async fn after_ten_minutes_nothing_is_sent_any_more() {
    let town = Town::awake().await;
    town.world.patience.store(1000, Ordering::SeqCst);
    town.world.trouble((0..1000).map(|_| Lost));
    assert_eq!(code(town.prescribe().await), "platform-unreachable");
    assert!((20..40).contains(&town.world.numbers().len()));
    assert!(town.world.time() <= now().plus(630));
    assert_eq!(town.world.made(), 0);
}

#[tokio::test]
async fn another_refusal_of_the_platform_stops_at_once_and_keeps_its_code() {
    let town = Town::awake().await;
    town.world.trouble([Says(403, "certificate-revoked")]);
    let refusal = refusal(town.prescribe().await);
    assert_eq!(refusal.platform_code(), Some("certificate-revoked"));
    assert_eq!(town.world.numbers().len(), 1);
    assert!(town.gateway.resume(now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_token_that_the_platform_ended_is_erased_and_the_order_survives_it() {
    let town = Town::awake().await;
    town.world.trouble([AnswerLost, Says(401, "token-ended")]);
    let refusal = refusal(town.prescribe().await);
    assert_eq!(refusal.platform_code(), Some("token-ended"));
    assert_eq!(code(town.prescribe().await), "no-token");
    // With a new token the order of before is answered with the signature that was made.
    town.authenticate("dr-1", 1).await.unwrap();
    let resumed = town.gateway.resume(now()).await.unwrap();
    assert!(resumed[0].outcome.is_ok());
    assert_eq!(town.world.made(), 1);
}

#[tokio::test]
async fn two_identical_requests_at_once_make_one_signature() {
    let town = Town::awake().await;
    let (one, two) = tokio::join!(town.prescribe(), town.prescribe());
    assert_eq!(one.unwrap().order, two.unwrap().order);
    assert_eq!(town.world.made(), 1);
}

#[tokio::test]
async fn who_may_not_sign_here_is_refused_before_anything_is_sent() {
    let town = Town::asleep();
    let csv = csv();
    let gateway = &town.gateway;
    assert_eq!(code(gateway.prescribe(&id("nobody"), &csv, now()).await), "staff-unknown");
    assert_eq!(code(gateway.prescribe(&id("ph-1"), &csv, now()).await), "kind-not-theirs");
    assert_eq!(code(gateway.prescribe(&id("dr-1"), &csv, now()).await), "no-token");
    assert_eq!(code(gateway.prescribe(&id("dr-1"), b"SJ1\n", now()).await), "record-missing");
    assert!(town.world.calls.lock().unwrap().is_empty());
    assert!(town.gateway.resume(now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_record_that_names_somebody_else_is_refused() {
    let town = Town::awake().await;
    let other = String::from_utf8(csv()).unwrap().replace("架空　太郎", "別人　次郎");
    let refused = town.gateway.prescribe(&id("dr-1"), other.as_bytes(), now()).await;
    assert_eq!(code(refused), "prescriber-mismatch");
    assert!(town.world.numbers().is_empty());
}

#[tokio::test]
async fn nobody_signs_for_dispensing_a_forged_prescription() {
    let town = Town::awake().await;
    let registered = String::from_utf8(town.registered().await).unwrap();
    // One character of the record: SJ1 … becomes another record.
    let at = registered.find("\">U0ox").unwrap() + 60;
    let mut forged = registered.into_bytes();
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let csv = dispensing_csv();
    let refused = refusal(town.gateway.dispense(&id("ph-1"), &forged, &csv, now()).await);
    assert_eq!(refused, Refusal::PrescriptionInvalid("digest-mismatch".into()));
    let unsigned = document::prescription(&crate::world::csv()).unwrap();
    let refused = town.gateway.dispense(&id("ph-1"), &unsigned, &csv, now()).await;
    assert_eq!(code(refused), "document-not-signed");
    assert_eq!(town.world.made(), 1);
}
