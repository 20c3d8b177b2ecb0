//! What a stranger learns about a signed document, and what is refused, each by its own code.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use hpki::crl::{Reason, Revoked};
use hpki::kind::DocumentKind;
use hpki::oid;
use hpki::path::Anchor;
use hpki::qualification::Qualification;
use hpki::time::Timestamp;
use support::*;
use verifier::{Report, Revocation, Verdict};

fn expect(report: &Report, verdict: Verdict, code: &str) {
    let found = (report.verdict, report.code().unwrap_or("none"));
    assert_eq!(found, (verdict, code), "{}", report.show_en());
}

#[test]
fn a_prescription_is_valid_and_says_whose_it_is() {
    let report = judge().report(&prescription());
    expect(&report, Verdict::Valid, "none");
    assert_eq!(report.kind, Some(DocumentKind::Prescription));
    let [signature] = report.signatures.as_slice() else { panic!() };
    let person = signature.person.as_ref().unwrap();
    assert_eq!(person.name, "TEST Taro Kakuu");
    assert_eq!(person.name_ja.as_deref(), Some("架空　太郎"));
    assert_eq!(person.serial.as_deref(), Some("TEST117120"));
    assert_eq!(signature.qualification.as_ref().unwrap().ja, "医師");
    assert_eq!((signature.level, signature.level_claimed), (Some("BES"), None));
    assert_eq!(signature.signing_time_claimed.as_deref(), Some("2026-11-21T04:42:00Z"));
    assert!(
        matches!(&signature.revocation, Revocation::Good { as_of, .. } if *as_of == now().rfc3339())
    );
}

#[test]
fn a_dispensing_result_is_judged_with_the_prescription_inside_it() {
    let report = judge().report(&dispensing());
    expect(&report, Verdict::Valid, "none");
    let found: Vec<_> = report
        .signatures
        .iter()
        .map(|one| (one.kind, one.nested, one.person.as_ref().unwrap().name.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (DocumentKind::Dispensing, false, "TEST Hanako Kakuu"),
            (DocumentKind::Prescription, true, "TEST Taro Kakuu"),
        ]
    );
}

#[test]
fn a_level_that_nobody_has_judged_is_shown_as_a_claim() {
    let stamp = "<xades:SignatureTimeStamp/>";
    let values = "<xades:CertificateValues/><xades:RevocationValues/>";
    let archive = "<a:ArchiveTimeStamp xmlns:a=\"http://uri.etsi.org/01903/v1.4.1#\"/>";
    for (properties, claimed) in [
        (stamp.to_owned(), "T"),
        (format!("{stamp}{values}"), "XL"),
        (format!("{stamp}{values}{archive}"), "A"),
    ] {
        let stamped = String::from_utf8(prescription()).unwrap().replace(
            "</xades:SignedProperties>",
            &format!("</xades:SignedProperties><xades:UnsignedProperties><xades:UnsignedSignatureProperties>{properties}</xades:UnsignedSignatureProperties></xades:UnsignedProperties>"),
        );
        let report = judge().report(stamped.as_bytes());
        expect(&report, Verdict::Valid, "none");
        let json = serde_json::to_value(&report.signatures[0]).unwrap();
        assert_eq!((&json["level"], &json["level_claimed"]), (&"BES".into(), &claimed.into()));
        let (ja, en) = (report.show_ja(), report.show_en());
        let line = format!("形式: XAdES-BES（XAdES-{claimed} と記載。確認していません）");
        assert!(ja.contains(&line), "{ja}");
        let line = format!("Form: XAdES-BES (claims XAdES-{claimed}, not judged)");
        assert!(en.contains(&line), "{en}");
    }
}

#[test]
fn without_lists_revocation_is_reported_as_not_checked() {
    let report = Judge { crls: None, ..judge() }.report(&prescription());
    expect(&report, Verdict::Valid, "none");
    assert_eq!(report.signatures[0].revocation, Revocation::NotChecked);
    assert!(report.show_ja().contains("失効確認: していません"));
}

#[test]
fn a_missing_or_stale_list_leaves_the_answer_open() {
    let none = Judge { crls: Some(Vec::new()), ..judge() }.report(&prescription());
    expect(&none, Verdict::CannotTell, "crl-missing");
    assert_eq!(none.signatures[0].revocation, Revocation::Unknown);
    let mut lists = estate().lists.clone();
    lists.pop();
    let own_missing = Judge { crls: Some(lists), ..judge() }.report(&prescription());
    expect(&own_missing, Verdict::CannotTell, "crl-missing");
    let late = Judge { at: now().plus(97 * 3_600), ..judge() }.report(&prescription());
    expect(&late, Verdict::CannotTell, "crl-stale");
}

#[test]
fn a_revoked_certificate_is_refused() {
    let revoked = Revoked { at: now().plus(60), reason: Reason::KeyCompromise };
    let entries = [(estate().physician.serial().to_vec(), revoked)];
    let mut lists = estate().lists.clone();
    lists[2] = own_list(now().plus(120), &entries);
    let judge = Judge { crls: Some(lists), ..judge() };
    let report = judge.report(&prescription());
    expect(&report, Verdict::Invalid, "certificate-revoked");
    let Revocation::Revoked { since, .. } = &report.signatures[0].revocation else { panic!() };
    assert_eq!(*since, now().plus(60).rfc3339());
    // Also where it stands inside a dispensing result whose own signature is good.
    let report = judge.report(&dispensing());
    expect(&report, Verdict::Invalid, "certificate-revoked");
    assert_eq!(report.signatures[0].verdict, Verdict::Valid);
    assert_eq!(report.signatures[1].verdict, Verdict::Invalid);
}

#[test]
fn the_moment_asked_about_counts_and_never_the_claimed_time() {
    let ten_years = Timestamp::parse("2036-11-21T00:00:00Z").unwrap();
    let report = Judge { at: ten_years, crls: None, ..judge() }.report(&prescription());
    expect(&report, Verdict::Invalid, "certificate-expired");
    let early = Judge { at: now().jst_midnight().minus(1), crls: None, ..judge() };
    expect(&early.report(&prescription()), Verdict::Invalid, "certificate-not-yet-valid");

    let claimed = Timestamp::parse("2001-01-01T00:00:00Z").unwrap();
    let document = sign_at(
        &unsigned_prescription(),
        DocumentKind::Prescription,
        &keys().physician,
        &estate().physician,
        claimed,
    );
    let report = judge().report(&document);
    expect(&report, Verdict::Valid, "none");
    let shown = report.signatures[0].signing_time_claimed.as_deref();
    assert_eq!(shown, Some("2001-01-01T00:00:00Z"));
}

#[test]
fn another_root_of_the_same_name_is_refused() {
    assert_eq!(estate().root.subject(), estate().other_root.subject());
    let anchors = vec![Anchor { certificate: estate().other_root.clone() }];
    let report = Judge { anchors, ..judge() }.report(&prescription());
    expect(&report, Verdict::Invalid, "anchor-mismatch");
}

#[test]
fn without_an_anchor_or_an_intermediate_nothing_is_believed() {
    let report = Judge { anchors: Vec::new(), ..judge() }.report(&prescription());
    expect(&report, Verdict::Invalid, "issuer-unknown");
    let report = Judge { intermediates: Vec::new(), ..judge() }.report(&prescription());
    expect(&report, Verdict::Invalid, "issuer-unknown");
    // A root handed in as a mere intermediate is no anchor.
    let intermediates = vec![estate().authority.clone(), estate().root.clone()];
    let report = Judge { anchors: Vec::new(), intermediates, ..judge() }.report(&prescription());
    expect(&report, Verdict::Invalid, "issuer-unknown");
    let report = Judge { policies: Vec::new(), ..judge() }.report(&prescription());
    expect(&report, Verdict::Invalid, "policy-not-allowed");
}

#[test]
fn a_test_policy_under_a_production_authority_is_refused() {
    let certificate = pharmacist_under(oid::POLICY_SIGNING_TEST, Qualification::Pharmacist);
    let document = unsigned_dispensing(&prescription());
    let signed = sign(&document, DocumentKind::Dispensing, &keys().pharmacist, &certificate);
    expect(&judge().report(&signed), Verdict::Invalid, "policy-not-allowed");
}

#[test]
fn a_pharmacist_cannot_sign_a_prescription_nor_a_physician_a_dispensing_result() {
    let kind = DocumentKind::Prescription;
    let signed = sign(&unsigned_prescription(), kind, &keys().pharmacist, &estate().pharmacist);
    expect(&judge().report(&signed), Verdict::Invalid, "qualification-not-allowed");
    let blind = Judge { crls: Some(Vec::new()), ..judge() };
    expect(&blind.report(&signed), Verdict::Invalid, "qualification-not-allowed");

    // The prescription inside a dispensing result is judged just the same.
    let around = unsigned_dispensing(&signed);
    let kind = DocumentKind::Dispensing;
    let around = sign(&around, kind, &keys().pharmacist, &estate().pharmacist);
    let report = judge().report(&around);
    expect(&report, Verdict::Invalid, "qualification-not-allowed");
    assert_eq!(report.signatures[0].verdict, Verdict::Valid);

    let document = unsigned_dispensing(&prescription());
    let signed = sign(&document, kind, &keys().physician, &estate().physician);
    expect(&judge().report(&signed), Verdict::Invalid, "qualification-not-allowed");
}

#[test]
fn a_nurse_signs_neither() {
    let certificate = pharmacist_under(oid::POLICY_SIGNING, Qualification::GeneralNurse);
    let kind = DocumentKind::Prescription;
    let signed = sign(&unsigned_prescription(), kind, &keys().pharmacist, &certificate);
    expect(&judge().report(&signed), Verdict::Invalid, "qualification-not-allowed");
}

#[test]
fn a_signature_for_the_other_kind_is_refused() {
    let document = unsigned_prescription();
    let digest = xades::reference_digest(&document, "PrescriptionDocument").unwrap();
    let recipe = xades::compose::Recipe {
        kind: DocumentKind::Dispensing,
        digest,
        signing_time: now(),
        mark: [9; 4],
    };
    let signer = xades::compose::Signer::new(estate().physician.der());
    let draft = xades::compose::Draft::new(&recipe, &signer);
    let element = draft.finish(&keys().physician.sign(draft.signed_info()));
    let fragment = format!("<PrescriptionSign>{element}</PrescriptionSign>");
    let signed =
        xades::splice::insert_before_end(&document, "Document/Prescription", fragment.as_bytes());
    expect(&judge().report(&signed.unwrap()), Verdict::Invalid, "signature-other-kind");
}

#[test]
fn a_changed_document_is_refused_and_names_nobody() {
    let text = String::from_utf8(prescription()).unwrap();
    let changed = text.replace("id=\"PrescriptionDocument\">U", "id=\"PrescriptionDocument\">V");
    assert_ne!(changed, text);
    let report = judge().report(changed.as_bytes());
    expect(&report, Verdict::Invalid, "digest-mismatch");
    assert_eq!(report.signatures[0].person, None);
}

#[test]
fn what_is_not_a_document_is_refused_as_a_whole() {
    for (document, code) in [
        (&b"\xff"[..], "xml-not-utf8"),
        (b"<a/>", "document-shape-wrong"),
        (b"<!DOCTYPE a><a/>", "xml-dtd"),
        (b"", "xml-malformed"),
    ] {
        let report = judge().report(document);
        expect(&report, Verdict::Invalid, code);
        assert!(report.signatures.is_empty() && report.kind.is_none());
        assert!(report.show_ja().contains(code));
    }
    expect(&judge().report(&unsigned_prescription()), Verdict::Invalid, "signature-missing");
}

#[test]
fn the_report_reads_well_in_both_languages() {
    let judge = judge();
    let report = judge.report(&dispensing());
    assert_eq!(
        report.show_ja(),
        "検証結果: 有効 — 調剤結果\n\
         検証時点: 2026-11-21 14:42:00 JST\n\
         \n\
         調剤結果の署名: 有効\n  \
         署名者: TEST Hanako Kakuu [TEST20024]\n  \
         資格: 薬剤師\n  \
         発行局: C=JP, O=TEST Ministry, OU=TEST HPKI CA, CN=HPKI-01-TestSignCA2-forNonRepudiation\n  \
         署名時刻（申告）: 2026-11-21 13:42:00 JST\n  \
         形式: XAdES-BES\n  \
         失効確認: 失効なし（2026-11-21 13:42:00 JST 時点のリスト）\n\
         \n\
         電子処方箋の署名（調剤結果の中）: 有効\n  \
         署名者: 架空　太郎 / TEST Taro Kakuu [TEST117120]\n  \
         所属: 試験病院\n  \
         資格: 医師\n  \
         発行局: C=JP, O=TEST Ministry, OU=TEST HPKI CA, CN=HPKI-01-TestSignCA2-forNonRepudiation\n  \
         署名時刻（申告）: 2026-11-21 13:42:00 JST\n  \
         形式: XAdES-BES\n  \
         失効確認: 失効なし（2026-11-21 13:42:00 JST 時点のリスト）\n"
    );
    let refused = Judge { at: now().jst_midnight().minus(1), crls: None, ..judge };
    let text = refused.report(&prescription()).show_en();
    assert!(text.starts_with("Verdict: INVALID — electronic prescription\n"), "{text}");
    assert!(text.contains("[certificate-not-yet-valid]"), "{text}");
    assert!(text.contains("(as the certificate says; not established)"), "{text}");
}

#[test]
fn the_report_is_plain_json() {
    let report = serde_json::to_value(judge().report(&prescription())).unwrap();
    assert_eq!(report["verdict"], "valid");
    assert_eq!(report["kind"], "prescription");
    assert_eq!(report["signatures"][0]["revocation"]["status"], "good");
    assert_eq!(report["signatures"][0]["qualification"]["role"], "Medical Doctor");
    let blind = Judge { crls: Some(Vec::new()), ..judge() };
    let report = serde_json::to_value(blind.report(&prescription())).unwrap();
    assert_eq!(report["verdict"], "cannot-tell");
    assert_eq!(report["signatures"][0]["refusal"]["code"], "crl-missing");
}

/// The report does not depend on anything but document and evidence.
#[test]
fn the_same_question_has_the_same_answer() {
    let document = dispensing();
    assert_eq!(judge().report(&document), judge().report(&document));
}
