//! Signatures as this room writes them, and everything that must not pass for one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use hpki::kind::DocumentKind;
use support::*;
use xades::compose::{Draft, Recipe, Signer};
use xades::signature::{self, Level};
use xades::{Refusal, parse, reference_digest};

#[test]
fn a_prescription_and_the_dispensing_result_around_it_verify() {
    assert_eq!(judge(&signed_prescription()), Ok(()));
    assert_eq!(judge(&signed_dispensing()), Ok(()));
}

#[test]
fn verification_returns_the_element_and_what_was_signed() {
    let octets = signed_dispensing();
    let document = parse(&octets).unwrap();
    let outer = signature::verify(
        &document,
        &signature::find(&document, DocumentKind::Dispensing).unwrap(),
    )
    .unwrap();
    assert_eq!(outer.node.tag_name().name(), "Dispensing");
    assert_eq!(outer.kind, DocumentKind::Dispensing);
    assert_eq!(outer.digest, reference_digest(&octets, "Dispensing").unwrap());
    assert_eq!(outer.certificate, pharmacist().certificate);
    assert_eq!(outer.signing_time, now());
    assert_eq!(outer.markers.level(), Level::Bes);

    let nested = signature::verify(&document, &signature::find_nested(&document).unwrap()).unwrap();
    assert_eq!(nested.node.tag_name().name(), "PrescriptionDocument");
    assert_eq!(nested.kind, DocumentKind::Prescription);
    assert_eq!(nested.certificate, physician().certificate);
    let alone = reference_digest(&signed_prescription(), "PrescriptionDocument").unwrap();
    assert_eq!(nested.digest, alone, "a prescription may stand inside without a changed digest");
}

#[test]
fn what_is_signed_does_not_depend_on_where_the_signature_is_placed() {
    let document = unsigned_prescription();
    let kind = DocumentKind::Prescription;
    let digest = reference_digest(&document, kind.signed_id()).unwrap();
    let recipe = Recipe { kind, digest, signing_time: now(), mark: [1, 2, 3, 4] };
    let signer = Signer::new(physician().certificate.der());
    let draft = Draft::new(&recipe, &signer);
    let value = physician().sign(draft.signed_info());
    assert_eq!(Draft::new(&recipe, &signer).finish(&value), draft.finish(&value));

    let placed = place(&document, kind, &draft.finish(&value));
    let parsed = parse(&placed).unwrap();
    let verified = signature::verify(&parsed, &signature::find(&parsed, kind).unwrap()).unwrap();
    assert_eq!(verified.dtbsr, draft.dtbsr());
    assert_eq!(verified.value, value);
}

#[test]
fn the_signature_element_is_written_in_the_profile() {
    let document = unsigned_prescription();
    let kind = DocumentKind::Prescription;
    let written = signature_over(&document, kind, physician(), [0xa1, 0, 0xff, 9]);
    let order = [
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" Id=\"PrescriptionSign\">",
        "<ds:SignedInfo Id=\"ida100ff09-SignedInfo\">",
        "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">",
        "<ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\">",
        "<ds:Reference Id=\"ida100ff09-Reference1-Detached\" URI=\"#PrescriptionDocument\"><ds:DigestMethod",
        "=\n</ds:DigestValue></ds:Reference>",
        "<ds:Reference Id=\"ida100ff09-Reference2-KeyInfo\" URI=\"#ida100ff09-KeyInfo\"><ds:Transforms>",
        "<ds:Reference Id=\"ida100ff09-Reference3-SignedProperties\" Type=\"http://uri.etsi.org/01903#SignedProperties\" URI=\"#ida100ff09-SignedProperties\"><ds:Transforms>",
        "<ds:SignatureValue Id=\"ida100ff09-SignatureValue\">",
        "==\n</ds:SignatureValue>",
        "<ds:KeyInfo Id=\"ida100ff09-KeyInfo\"><ds:X509Data><ds:X509Certificate>",
        "\n</ds:X509Certificate></ds:X509Data></ds:KeyInfo><ds:Object>",
        "<xades:QualifyingProperties xmlns:xades=\"http://uri.etsi.org/01903/v1.3.2#\" Id=\"ida100ff09-QualifyingProperties\" Target=\"#PrescriptionSign\">",
        "<xades:SignedProperties Id=\"ida100ff09-SignedProperties\"><xades:SignedSignatureProperties>",
        "<xades:SigningTime>2026-11-21T04:42:00+00:00</xades:SigningTime><xades:SigningCertificateV2>",
        "<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></ds:DigestMethod><ds:DigestValue>",
        "</xades:SignedProperties></xades:QualifyingProperties></ds:Object></ds:Signature>",
    ];
    let mut rest = written.as_str();
    for part in order {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} is not next in {rest}"));
        rest = &rest[at + part.len()..];
    }
    assert!(written.lines().all(|line| !line.is_empty()) && !written.contains('\r'));
}

#[test]
fn a_document_without_a_signature_says_so() {
    assert_eq!(judge(&unsigned_prescription()), Err(Refusal::SignatureMissing));
    let dispensing = unsigned_dispensing(&signed_prescription());
    assert_eq!(judge(&dispensing), Err(Refusal::SignatureMissing));
    let bare = unsigned_dispensing(&unsigned_prescription());
    let kind = DocumentKind::Dispensing;
    let signed = place(&bare, kind, &signature_over(&bare, kind, pharmacist(), [1; 4]));
    assert_eq!(judge(&signed), Err(Refusal::SignatureMissing), "the prescription's own is missing");
    assert_eq!(code("<Other/>"), "document-shape-wrong");
}

#[test]
fn a_moved_signature_is_refused() {
    let document = prescription();
    let start = document.find("<ds:Signature ").unwrap();
    let end = document.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    let signature = &document[start..end];
    let without = document.replace(signature, "");
    let moved = without.replace("</Document>", &format!("{signature}</Document>"));
    assert_eq!(code(&moved), "signature-misplaced");
    let renamed = document.replace("PrescriptionSign>", "OtherSign>");
    assert_eq!(code(&renamed), "signature-misplaced");
    let twice = document
        .replace(signature, &format!("{signature}{}", signature.replace("Id=\"", "Id=\"x")));
    assert_eq!(code(&twice), "signature-many");
}

/// The signed element is kept where its id finds it, and another one put where readers look.
#[test]
fn a_wrapped_element_is_refused() {
    let document = prescription();
    let start = document.find("<PrescriptionDocument ").unwrap();
    let end = document.find("</PrescriptionDocument>").unwrap() + "</PrescriptionDocument>".len();
    let original = &document[start..end];
    let forged = "<PrescriptionDocument>U0oxCg==</PrescriptionDocument>";
    for wrapped in [
        document.replace(original, &format!("{forged}<Wrapper>{original}</Wrapper>")),
        document
            .replace(original, forged)
            .replace("</Document>", &format!("{original}</Document>")),
        document.replace(original, &format!("{forged}{original}")),
    ] {
        assert_eq!(code(&wrapped), "document-shape-wrong");
    }
    // A wrapper that takes the name away from the original.
    let renamed = original
        .replace("PrescriptionDocument>", "Kept>")
        .replace("<PrescriptionDocument", "<Kept");
    let wrapped = document.replace(original, &format!("{forged}{renamed}"));
    assert_eq!(code(&wrapped), "reference-wrong-element");
    // And the whole prescription, put away inside an unsigned element.
    let inside = document.find("<Prescription>").unwrap();
    let close = document.find("</Prescription>").unwrap() + "</Prescription>".len();
    let kept = &document[inside..close];
    let wrapped = document
        .replace(kept, &format!("<Prescription>{forged}</Prescription><Kept>{kept}</Kept>"));
    assert_eq!(code(&wrapped), "document-shape-wrong");
}

#[test]
fn a_signature_for_one_kind_does_not_count_for_the_other() {
    let document = unsigned_prescription();
    let digest = reference_digest(&document, "PrescriptionDocument").unwrap();
    let recipe =
        Recipe { kind: DocumentKind::Dispensing, digest, signing_time: now(), mark: [1; 4] };
    let draft = Draft::new(&recipe, &Signer::new(physician().certificate.der()));
    let signature = draft.finish(&physician().sign(draft.signed_info()));
    let placed = place(&document, DocumentKind::Prescription, &signature);
    assert_eq!(judge(&placed), Err(Refusal::SignatureOtherKind));
}

#[test]
fn a_signature_of_another_document_is_refused() {
    let document = text(unsigned_prescription());
    let other = document.replace("U0ox", "U0oy");
    assert_ne!(document, other);
    let kind = DocumentKind::Prescription;
    let signature = signature_over(other.as_bytes(), kind, physician(), [1; 4]);
    let placed = place(document.as_bytes(), kind, &signature);
    assert_eq!(judge(&placed), Err(Refusal::DigestMismatch));
}

#[test]
fn another_key_or_another_certificate_is_refused() {
    let document = unsigned_prescription();
    let kind = DocumentKind::Prescription;
    let digest = reference_digest(&document, kind.signed_id()).unwrap();
    let recipe = Recipe { kind, digest, signing_time: now(), mark: [1; 4] };
    let draft = Draft::new(&recipe, &Signer::new(physician().certificate.der()));
    let foreign = draft.finish(&pharmacist().sign(draft.signed_info()));
    assert_eq!(judge(&place(&document, kind, &foreign)), Err(Refusal::SignatureValueWrong));
    let empty = draft.finish(&[]);
    assert_eq!(judge(&place(&document, kind, &empty)), Err(Refusal::SignatureStructureWrong));
    let short = draft.finish(&[1; 16]);
    assert_eq!(judge(&place(&document, kind, &short)), Err(Refusal::SignatureValueWrong));

    // The pharmacist's certificate put into the physician's signature, everything signed anew by
    // the pharmacist except that the properties still name the physician.
    let own = text(place(&document, kind, &signature_over(&document, kind, physician(), [1; 4])));
    let between = |text: &str| {
        let start = text.find("<ds:X509Certificate>").unwrap();
        let end = text.find("</ds:X509Certificate>").unwrap();
        text[start..end].to_owned()
    };
    let theirs =
        text(place(&document, kind, &signature_over(&document, kind, pharmacist(), [1; 4])));
    let swapped = own.replace(&between(&own), &between(&theirs));
    assert_eq!(code(&swapped), "key-info-digest-mismatch");
    let swapped = signed_anyway(&swapped, pharmacist());
    assert_eq!(code(&swapped), "signing-certificate-mismatch");
}

#[test]
fn a_changed_claim_is_refused() {
    let changed = prescription().replace("T04:42:00+00:00", "T04:43:00+00:00");
    assert_eq!(code(&changed), "signed-properties-digest-mismatch");
}
