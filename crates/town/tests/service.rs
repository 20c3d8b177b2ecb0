//! The sandbox of the prescription management service, with documents signed as the platform signs
//! them, under a small estate of throwaway authorities.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../hpki/tests/support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicU8, Ordering};

use hpki::certificate::Certificate;
use hpki::kind::DocumentKind;
use hpki::name::DistinguishedName;
use hpki::oid;
use hpki::path::Anchor;
use hpki::profile::Validity;
use hpki::profile::root::Root;
use hpki::refusal::Refuse;
use hpki::sign::{Random, Sign};
use hpki::time::Timestamp;
use prescription::document;
use support::{ThrowawayKey, estate, keys, now};
use town::Refusal;
use town::ehr;
use town::people::{HANAKO, HOSPITAL, JIRO, PHARMACY};
use town::service::{Accepted, Service, Trust};
use xades::compose::{Draft, Recipe, Signer};

const DISPENSING_ID: &str = "8c1f0e5a-0000-4000-8000-000000000002";

/// Numbers that differ and repeat on every run.
#[derive(Default)]
struct Dice(AtomicU8);

impl Random for Dice {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

fn trust() -> Trust {
    let estate = estate();
    Trust {
        anchors: vec![Anchor { certificate: estate.root.clone() }],
        intermediates: vec![estate.medis.clone(), estate.jma.clone()],
        crls: estate.lists.iter().map(|(_, list)| list.clone()).collect(),
        policies: vec![oid::POLICY_SIGNING],
    }
}

fn service() -> Service {
    Service::open(trust()).unwrap()
}

fn signed(
    document: &[u8],
    kind: DocumentKind,
    certificate: &Certificate,
    key: &ThrowawayKey,
) -> Vec<u8> {
    let recipe = Recipe {
        kind,
        digest: xades::reference_digest(document, kind.signed_id()).unwrap(),
        signing_time: now(),
        mark: [1, 2, 3, kind as u8],
    };
    let draft = Draft::new(&recipe, &Signer::new(certificate.der()));
    let element = draft.finish(&key.sign(draft.signed_info()).unwrap());
    document::place_signature(document, kind, &element).unwrap()
}

fn prescription_of(csv: &[u8]) -> Vec<u8> {
    let document = document::prescription(csv).unwrap();
    signed(&document, DocumentKind::Prescription, &estate().doctor, &keys().doctor)
}

fn prescription() -> Vec<u8> {
    prescription_of(&ehr::prescription_csv(&HANAKO, &HOSPITAL, now()))
}

fn dispensing_over(registered: &[u8], prescription_id: &str) -> Vec<u8> {
    let prescribed = ehr::prescription_csv(&HANAKO, &HOSPITAL, now());
    let csv = ehr::dispensing_csv(&prescribed, prescription_id, &JIRO, &PHARMACY, now()).unwrap();
    let document = document::dispensing(registered, &csv, DISPENSING_ID).unwrap();
    signed(&document, DocumentKind::Dispensing, &estate().pharmacist, &keys().pharmacist)
}

fn dispensing(accepted: &Accepted) -> Vec<u8> {
    dispensing_over(&accepted.document, &accepted.prescription_id.to_string())
}

#[test]
fn a_prescription_goes_in_waits_under_its_number_and_is_dispensed() {
    let mut service = service();
    let document = prescription();
    let accepted = service.accept_prescription(&document, now(), &Dice::default()).unwrap();
    assert_eq!(accepted.report.verdict, verifier::Verdict::Valid);
    assert_eq!(accepted.exchange_number.as_str().len(), 6);
    let id = accepted.prescription_id.to_string();
    let text = String::from_utf8(accepted.document.clone()).unwrap();
    assert!(text.contains(&format!("<PrescriptionId Value=\"{id}\"/>")));

    let fetched = service.fetch(&accepted.exchange_number).unwrap().clone();
    assert_eq!(fetched.document, accepted.document);
    let done = service.accept_dispensing(&dispensing(&fetched), now()).unwrap();
    assert_eq!(done.prescription_id, accepted.prescription_id);
    assert_eq!(done.report.signatures.len(), 2);
    assert_eq!(service.counts(), (1, 1));
    assert_eq!(
        service.fetch(&accepted.exchange_number).unwrap_err(),
        Refusal::PrescriptionAlreadyDispensed
    );
}

#[test]
fn what_was_signed_leaves_the_service_as_the_same_octets() {
    let document = prescription();
    let accepted = service().accept_prescription(&document, now(), &Dice::default()).unwrap();
    let (before, after) =
        (String::from_utf8(document).unwrap(), String::from_utf8(accepted.document).unwrap());
    for element in ["<PrescriptionDocument", "<PrescriptionSign>"] {
        let end =
            if element.ends_with('>') { "</PrescriptionSign>" } else { "</PrescriptionDocument>" };
        let part = |text: &str| {
            let from = text.find(element).unwrap();
            text[from..from + text[from..].find(end).unwrap()].to_owned()
        };
        assert_eq!(part(&before), part(&after));
    }
}

#[test]
fn the_same_document_again_gets_the_same_answer_and_no_second_number() {
    let mut service = service();
    let dice = Dice::default();
    let document = prescription();
    let first = service.accept_prescription(&document, now(), &dice).unwrap();
    let again = service.accept_prescription(&document, now(), &dice).unwrap();
    assert_eq!(first.prescription_id, again.prescription_id);
    assert_eq!(first.exchange_number, again.exchange_number);

    let result = dispensing(&first);
    let first = service.accept_dispensing(&result, now()).unwrap();
    let again = service.accept_dispensing(&result, now()).unwrap();
    assert_eq!(first.document, again.document);
    assert_eq!(service.counts(), (1, 1));
}

#[test]
fn a_prescription_is_dispensed_once() {
    let mut service = service();
    let accepted = service.accept_prescription(&prescription(), now(), &Dice::default()).unwrap();
    service.accept_dispensing(&dispensing(&accepted), now()).unwrap();
    let other = document::dispensing(
        &accepted.document,
        &ehr::dispensing_csv(
            &ehr::prescription_csv(&HANAKO, &HOSPITAL, now()),
            &accepted.prescription_id.to_string(),
            &JIRO,
            &HOSPITAL,
            now(),
        )
        .unwrap(),
        DISPENSING_ID,
    )
    .unwrap();
    let other = signed(&other, DocumentKind::Dispensing, &estate().pharmacist, &keys().pharmacist);
    let refusal = service.accept_dispensing(&other, now()).unwrap_err();
    assert_eq!(refusal, Refusal::PrescriptionAlreadyDispensed);
}

#[test]
fn two_prescriptions_never_share_a_number_even_if_the_dice_repeat() {
    let mut service = service();
    let csv = ehr::prescription_csv(&HANAKO, &HOSPITAL, now());
    let more = String::from_utf8(csv).unwrap().replace(",3,1,錠", ",6,1,錠");
    // Eight octets for the ID twice, so the second draw of the number repeats the first.
    struct Stuck;
    impl Random for Stuck {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }
    let first = service.accept_prescription(&prescription(), now(), &Dice::default()).unwrap();
    let number = |service: &mut Service, document: &[u8], dice: &dyn Random| {
        service.accept_prescription(document, now(), dice).unwrap().exchange_number
    };
    let second = number(&mut service, &prescription_of(more.as_bytes()), &Stuck);
    assert_ne!(first.exchange_number, second);
}

#[test]
fn a_changed_document_and_a_wrong_profession_are_refused_with_the_verifiers_code() {
    let mut service = service();
    let dice = Dice::default();
    let code = |refusal: Refusal| match refusal {
        Refusal::ServiceSignatureInvalid { code, .. } => code,
        other => panic!("{other:?}"),
    };
    let text = String::from_utf8(prescription()).unwrap();
    let at = text.find("<PrescriptionDocument").unwrap() + 60;
    let mut changed = text.into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    if let Err(refusal) = service.accept_prescription(&changed, now(), &dice) {
        assert!(matches!(
            refusal,
            Refusal::ServiceSignatureInvalid { .. } | Refusal::ServiceDocumentUnreadable { .. }
        ));
    } else {
        panic!("a changed prescription was accepted");
    }

    let csv = ehr::prescription_csv(&HANAKO, &HOSPITAL, now());
    let by_pharmacist = signed(
        &document::prescription(&csv).unwrap(),
        DocumentKind::Prescription,
        &estate().pharmacist,
        &keys().pharmacist,
    );
    let refusal = service.accept_prescription(&by_pharmacist, now(), &dice).unwrap_err();
    assert_eq!(code(refusal), "qualification-not-allowed");
    let by_other_key = signed(
        &document::prescription(&csv).unwrap(),
        DocumentKind::Prescription,
        &estate().doctor,
        &keys().pharmacist,
    );
    let refusal = service.accept_prescription(&by_other_key, now(), &dice).unwrap_err();
    assert_eq!(code(refusal), "signature-value-wrong");
    assert_eq!(service.counts(), (0, 0));
}

#[test]
fn an_unsigned_document_is_refused() {
    let csv = ehr::prescription_csv(&HANAKO, &HOSPITAL, now());
    let unsigned = document::prescription(&csv).unwrap();
    let refusal = service().accept_prescription(&unsigned, now(), &Dice::default()).unwrap_err();
    assert_eq!(refusal.code(), "service-signature-invalid");
}

#[test]
fn without_fresh_lists_the_service_cannot_tell_and_does_not_guess() {
    let mut service = service();
    let later = now().plus(5 * 86_400);
    let csv = ehr::prescription_csv(&HANAKO, &HOSPITAL, later);
    let refusal = service.accept_prescription(&prescription_of(&csv), later, &Dice::default());
    assert!(matches!(
        refusal.unwrap_err(),
        Refusal::ServiceSignatureUndetermined { code, .. } if code == "crl-stale"
    ));
}

#[test]
fn an_expired_prescription_is_refused() {
    let csv = ehr::prescription_csv(&HANAKO, &HOSPITAL, now().minus(4 * 86_400));
    let refusal = service().accept_prescription(&prescription_of(&csv), now(), &Dice::default());
    assert_eq!(refusal.unwrap_err().code(), "service-prescription-expired");
    // The fourth day, the day of issue included, is still valid.
    let csv = ehr::prescription_csv(&HANAKO, &HOSPITAL, now().minus(3 * 86_400));
    assert!(service().accept_prescription(&prescription_of(&csv), now(), &Dice::default()).is_ok());
}

#[test]
fn a_document_at_the_wrong_desk_or_with_a_number_already_is_refused() {
    let mut service = service();
    let dice = Dice::default();
    let accepted = service.accept_prescription(&prescription(), now(), &dice).unwrap();
    let again = service.accept_prescription(&accepted.document, now(), &dice);
    assert_eq!(again.unwrap_err(), Refusal::ServiceAlreadyNumbered);
    let result = dispensing(&accepted);
    let wrong = service.accept_prescription(&result, now(), &dice);
    assert_eq!(wrong.unwrap_err(), Refusal::ServiceWrongKind);
    let wrong = service.accept_dispensing(&prescription(), now());
    assert_eq!(wrong.unwrap_err(), Refusal::ServiceWrongKind);
    let unreadable = service.accept_prescription(b"<x/>", now(), &dice);
    assert_eq!(unreadable.unwrap_err().code(), "service-document-unreadable");
}

#[test]
fn a_dispensing_result_must_hold_the_registered_prescription_octet_for_octet() {
    let mut service = service();
    let accepted = service.accept_prescription(&prescription(), now(), &Dice::default()).unwrap();
    let id = accepted.prescription_id.to_string();
    // The physician does not sign the service's additions, so only the service can notice.
    let text = String::from_utf8(accepted.document.clone()).unwrap();
    let altered = text.replace("EPS1.0", "EPS1.1");
    assert_ne!(altered, text);
    let refusal = service.accept_dispensing(&dispensing_over(altered.as_bytes(), &id), now());
    assert_eq!(refusal.unwrap_err(), Refusal::PrescriptionDiffers);
    assert!(service.accept_dispensing(&dispensing(&accepted), now()).is_ok());
}

#[test]
fn a_dispensing_result_for_a_prescription_of_another_service_is_refused() {
    let mut elsewhere = service();
    let accepted = elsewhere.accept_prescription(&prescription(), now(), &Dice::default()).unwrap();
    let refusal = service().accept_dispensing(&dispensing(&accepted), now()).unwrap_err();
    assert_eq!(refusal, Refusal::PrescriptionUnknown);
}

#[test]
fn an_exchange_number_has_six_digits_and_an_unknown_one_finds_nothing() {
    for text in ["12345", "1234567", "12345a", "１２３４５６", ""] {
        let number = text.parse::<town::service::ExchangeNumber>();
        assert_eq!(number.unwrap_err(), Refusal::ExchangeNumberMalformed);
    }
    let number = "123456".parse().unwrap();
    assert_eq!(service().fetch(&number).unwrap_err(), Refusal::ExchangeNumberUnknown);
}

#[test]
fn the_sandbox_does_not_open_where_a_real_root_is_configured() {
    let name = DistinguishedName::builder()
        .country("JP")
        .organization("Ministry of Somewhere Real")
        .unit("Somewhere Root CA")
        .build()
        .unwrap();
    let key = &keys().root;
    let root = Root {
        serial: &[1],
        name: &name,
        name_ja: &name,
        validity: Validity::authority(Timestamp::from_seconds(1_700_000_000), 30),
        spki_der: key.spki_der(),
        algorithm: key.algorithm(),
        rarl_name: &name,
        rarl_url: "http://hpki.example.jp/rarl.crl",
    };
    let certificate = support::sign(&root.prepare().unwrap(), key);
    let trust = Trust { anchors: vec![Anchor { certificate }], ..trust() };
    assert_eq!(Service::open(trust).unwrap_err().code(), "service-anchor-not-test");
}
