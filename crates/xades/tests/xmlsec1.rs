//! xmlsec1 as a foreign judge of the signatures that this room writes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::Path;
use std::process::Command;

use support::*;

/// Whether xmlsec1 accepts the signature at this path with this person's certificate.
fn accepts(document: &[u8], signature: &str, person: &Person) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, octets: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, octets).unwrap();
        path
    };
    let certificate = file("certificate.pem", person.certificate.pem().as_bytes());
    let document = file("document.xml", document);
    let output = Command::new("xmlsec1")
        .arg("--verify")
        .arg("--pubkey-cert-pem")
        .arg::<&Path>(&certificate)
        .args(["--id-attr:id", "PrescriptionDocument", "--id-attr:id", "Dispensing"])
        .args(["--id-attr:Id", "http://www.w3.org/2000/09/xmldsig#:KeyInfo"])
        .args(["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"])
        .args(["--node-xpath", signature])
        .arg::<&Path>(&document)
        .output()
        .expect("xmlsec1 must be installed: it judges our signatures");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

const OUTER: &str = "/Document/DispensingSign/*";
const NESTED: &str = "/Document/Dispensing/ReferencePrescription/PrescriptionSign/*";
const ALONE: &str = "/Document/Prescription/PrescriptionSign/*";

#[test]
fn xmlsec1_accepts_each_signature() {
    let prescription = signed_prescription();
    let dispensing = signed_dispensing();
    for (document, place, person) in [
        (&prescription, ALONE, physician()),
        (&dispensing, OUTER, pharmacist()),
        (&dispensing, NESTED, physician()),
    ] {
        let (accepted, text) = accepts(document, place, person);
        assert!(accepted, "{place}: {text}");
    }
}

#[test]
fn xmlsec1_refuses_the_tampered_controls() {
    let change = |document: Vec<u8>, from: &str, to: &str| {
        let text = String::from_utf8(document).unwrap();
        assert!(text.contains(from));
        text.replacen(from, to, 1).into_bytes()
    };
    let prescription = change(signed_prescription(), ">U0ox", ">U0oy");
    let dispensing = change(signed_dispensing(), ">Q0ox", ">Q0oy");
    let time = change(signed_prescription(), "T04:42:00", "T04:43:00");
    for (document, place, person) in [
        (&prescription, ALONE, physician()),
        (&dispensing, OUTER, pharmacist()),
        (&time, ALONE, physician()),
        (&signed_prescription(), ALONE, pharmacist()),
    ] {
        let (accepted, text) = accepts(document, place, person);
        assert!(!accepted, "{place}: {text}");
    }
    // The nested signature does not notice what is outside the prescription.
    let (accepted, text) = accepts(&dispensing, NESTED, physician());
    assert!(accepted, "{text}");
}
