//! xmlsec1 judges each signature by itself, with the chain to the root.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::support::*;

const ALONE: &str = "/Document/Prescription/PrescriptionSign/*";
const OUTER: &str = "/Document/DispensingSign/*";
const NESTED: &str = "/Document/Dispensing/ReferencePrescription/PrescriptionSign/*";

/// Whether xmlsec1 accepts the signature at this place of the document under this root.
///
/// Without `--node-xpath` it would judge only the first signature that it meets.
fn accepts(document: &Path, place: &str, root: &Path) -> (bool, String) {
    let mut arguments: Vec<OsString> = vec!["--verify".into()];
    arguments.extend(["--trusted-pem".into(), root.into()]);
    for authority in ["ca-jma.pem", "ca-jpa.pem", "ca-medis.pem"] {
        arguments.extend(["--untrusted-pem".into(), paper(authority).into()]);
    }
    for (attribute, element) in [
        ("--id-attr:id", "PrescriptionDocument"),
        ("--id-attr:id", "Dispensing"),
        ("--id-attr:Id", "http://www.w3.org/2000/09/xmldsig#:KeyInfo"),
        ("--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"),
    ] {
        arguments.extend([attribute.into(), element.into()]);
    }
    arguments.extend(["--node-xpath".into(), place.into(), document.into()]);
    let ran = judge("xmlsec1", &arguments);
    // The exit code and the three references together: neither alone would do.
    let three = ran.text().contains("SignedInfo References (ok/all): 3/3");
    (ran.well() && three, ran.text())
}

fn accepts_paper(name: &str, place: &str) -> (bool, String) {
    accepts(&paper(name), place, &paper("root.pem"))
}

/// A changed copy of a paper.
fn forged(name: &str, octets: &str) -> std::path::PathBuf {
    let file = scratch(&format!("forged-{name}")).join("document.xml");
    std::fs::write(&file, octets).unwrap();
    file
}

#[test]
fn xmlsec1_accepts_each_signature_with_its_chain_to_the_root() {
    for (name, place) in [
        ("prescription.xml", ALONE),
        ("prescription-by-card.xml", ALONE),
        ("dispensing.xml", OUTER),
        ("dispensing.xml", NESTED),
    ] {
        let (accepted, text) = accepts_paper(name, place);
        assert!(accepted, "{place}: {text}");
    }
}

#[test]
fn xmlsec1_refuses_each_signature_once_what_it_signs_is_changed() {
    let record = "<PrescriptionDocument id=\"PrescriptionDocument\">";
    let dispensed = "<DispensingDocument id=\"DispensingDocument\">";
    for (case, name, place, mark) in [
        ("record", "prescription.xml", ALONE, record),
        ("value", "prescription.xml", ALONE, "-SignatureValue\">"),
        ("time", "prescription.xml", ALONE, "<xades:SigningTime>202"),
        ("dispensed", "dispensing.xml", OUTER, dispensed),
        ("nested-record", "dispensing.xml", NESTED, record),
        // The pharmacist signs the whole of it, the prescription inside as well.
        ("outer-over-nested", "dispensing.xml", OUTER, record),
        ("nested-value", "dispensing.xml", NESTED, "-SignatureValue\">"),
    ] {
        let file = forged(case, &changed_after(&text(name), mark));
        let (accepted, text) = accepts(&file, place, &paper("root.pem"));
        assert!(!accepted, "{case}: {text}");
    }
}

#[test]
fn xmlsec1_judges_the_two_signatures_of_a_dispensing_result_apart() {
    let dispensed = "<DispensingDocument id=\"DispensingDocument\">";
    let file = forged("apart", &changed_after(&text("dispensing.xml"), dispensed));
    let (accepted, text) = accepts(&file, NESTED, &paper("root.pem"));
    assert!(accepted, "the prescription inside is untouched: {text}");
}

#[test]
fn xmlsec1_refuses_every_signature_under_another_root_of_the_same_name() {
    for (name, place) in
        [("prescription.xml", ALONE), ("dispensing.xml", OUTER), ("dispensing.xml", NESTED)]
    {
        let (accepted, text) = accepts(&paper(name), place, &other_papers().join("root.pem"));
        assert!(!accepted, "{place}: {text}");
    }
}

#[test]
fn a_missing_element_is_not_an_accepted_signature() {
    let (accepted, text) = accepts_paper("prescription.xml", OUTER);
    assert!(!accepted, "{text}");
    let version = judge("xmlsec1", &[OsStr::new("--version")]);
    assert!(version.well(), "{version:?}");
}
