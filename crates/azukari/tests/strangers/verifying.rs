//! `azukari verify` as a stranger uses it: exit 0 valid, 1 invalid, 2 cannot tell.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::*;

const LATER: &str = "2040-01-01T00:00:00Z";
const EARLIER: &str = "2020-01-01T00:00:00Z";

fn verify(document: &Path, root: &Path, more: &[&OsStr]) -> Ran {
    let mut arguments: Vec<OsString> = vec!["verify".into(), document.into()];
    arguments.extend(["--anchor".into(), root.into(), "--json".into()]);
    arguments.extend(more.iter().map(OsString::from));
    azukari(&arguments)
}

fn verify_paper(name: &str, more: &[&OsStr]) -> Ran {
    verify(&paper(name), &paper("root.pem"), more)
}

/// The code of each signature's refusal, `-` where there is none.
fn codes(report: &Value) -> Vec<String> {
    let signatures = report["signatures"].as_array().unwrap();
    signatures.iter().map(|one| one["refusal"]["code"].as_str().unwrap_or("-").to_owned()).collect()
}

fn refused(ran: &Ran, exit: i32, expected: &[&str]) {
    assert_eq!(ran.code, exit, "{ran:?}");
    assert_eq!(codes(&ran.json()), expected, "{ran:?}");
}

fn forged(case: &str, octets: &str) -> PathBuf {
    let file = scratch(&format!("verify-{case}")).join("document.xml");
    std::fs::write(&file, octets).unwrap();
    file
}

fn crl() -> PathBuf {
    paper("crl")
}

#[test]
fn both_documents_are_valid_and_the_report_names_who_signed_and_as_what() {
    let crl = crl();
    let ran = verify_paper("dispensing.xml", &["--crl".as_ref(), crl.as_os_str()]);
    assert!(ran.well(), "{ran:?}");
    let report = ran.json();
    assert_eq!(
        (report["verdict"].as_str(), report["kind"].as_str()),
        (Some("valid"), Some("dispensing"))
    );
    let signatures = report["signatures"].as_array().unwrap();
    for (signature, name, role, kind, authority) in [
        (&signatures[0], "Jiro Mihon", "Pharmacist", "dispensing", "MEDIS"),
        (
            &signatures[1],
            "Hanako Kakuu",
            "Medical Doctor",
            "prescription",
            "Japan Medical Association",
        ),
    ] {
        assert_eq!(signature["verdict"], "valid");
        assert_eq!(signature["person"]["name"], name);
        assert_eq!(signature["qualification"]["role"], role);
        assert_eq!(signature["kind"], kind);
        assert_eq!(signature["level"], "BES");
        assert!(signature["authority"].as_str().unwrap().contains(authority));
        assert!(signature["signing_time_claimed"].as_str().unwrap().ends_with('Z'));
        assert_eq!(signature["revocation"]["status"], "good");
        assert!(signature["revocation"]["next_update"].is_string());
        assert!(signature["refusal"].is_null());
    }
    assert_eq!(signatures.len(), 2);

    let ran = verify_paper("prescription.xml", &["--crl".as_ref(), crl.as_os_str()]);
    assert!(ran.well(), "{ran:?}");
    assert_eq!(ran.json()["signatures"].as_array().unwrap().len(), 1);
}

#[test]
fn without_lists_revocation_is_said_to_be_unchecked() {
    for name in ["prescription.xml", "dispensing.xml"] {
        let ran = verify_paper(name, &[]);
        assert!(ran.well(), "{ran:?}");
        for signature in ran.json()["signatures"].as_array().unwrap() {
            assert_eq!(signature["revocation"]["status"], "not-checked");
        }
    }
}

#[test]
fn a_person_reads_the_verdict_in_japanese_or_english() {
    let (file, root) = (paper("dispensing.xml"), paper("root.pem"));
    let plain = ["verify".as_ref(), file.as_os_str(), "--anchor".as_ref(), root.as_os_str()];
    let japanese = azukari(&plain);
    assert!(japanese.well() && japanese.out.contains("有効"), "{japanese:?}");
    for words in ["薬剤師", "医師", "失効", "Jiro Mihon", "署名時刻（申告）"] {
        assert!(japanese.out.contains(words), "{words}: {}", japanese.out);
    }
    let english = azukari(&[&plain[..], &[OsStr::new("--english")]].concat());
    assert!(english.well(), "{english:?}");
    assert!(english.out.to_lowercase().contains("valid"), "{}", english.out);
}

#[test]
fn missing_and_stale_lists_leave_it_undecided() {
    let empty = scratch("no-lists");
    let absent = empty.join("absent");
    for folder in [&empty, &absent] {
        let ran = verify_paper("prescription.xml", &["--crl".as_ref(), folder.as_os_str()]);
        refused(&ran, 2, &["crl-missing"]);
        assert_eq!(ran.json()["verdict"], "cannot-tell");
    }
    // Lists of authorities of the same names with other keys tell nothing.
    let others = other_papers().join("crl");
    let ran = verify_paper("prescription.xml", &["--crl".as_ref(), others.as_os_str()]);
    refused(&ran, 2, &["crl-missing"]);
    // Each single list of the chain is needed; those of other chains are not.
    for (name, code) in [("rarl", 0), ("sarl", 2), ("jma", 2), ("jpa", 0), ("medis", 0)] {
        let folder = scratch(&format!("lists-without-{name}"));
        for list in ["rarl", "sarl", "jma", "jpa", "medis"].iter().filter(|list| **list != name) {
            let file = format!("{list}.crl");
            std::fs::copy(crl().join(&file), folder.join(&file)).unwrap();
        }
        let ran = verify_paper("prescription.xml", &["--crl".as_ref(), folder.as_os_str()]);
        assert_eq!(ran.code, code, "without {name}: {ran:?}");
    }
    // The lists run out after 96 hours; a month from now they say nothing.
    let ran = judge("date", &["-u", "-d", "now + 30 days", "+%Y-%m-%dT%H:%M:%SZ"]);
    let crl = crl();
    let at = OsString::from(ran.out.trim());
    let ran = verify_paper(
        "dispensing.xml",
        &["--crl".as_ref(), crl.as_os_str(), "--at".as_ref(), at.as_os_str()],
    );
    refused(&ran, 2, &["crl-stale", "crl-stale"]);
}

#[test]
fn every_tampered_part_is_named_by_its_own_code() {
    let record = "<PrescriptionDocument id=\"PrescriptionDocument\">";
    let dispensed = "<DispensingDocument id=\"DispensingDocument\">";
    let digest = "<ds:DigestValue>";
    for (case, name, mark, expected) in [
        ("record", "prescription.xml", record, &["digest-mismatch"][..]),
        ("digest", "prescription.xml", digest, &["digest-mismatch"]),
        ("value", "prescription.xml", "-SignatureValue\">", &["signature-value-wrong"]),
        ("time", "prescription.xml", "<xades:SigningTime>202", &["signed-properties-wrong"]),
        ("dispensed", "dispensing.xml", dispensed, &["digest-mismatch", "-"]),
        ("inside", "dispensing.xml", record, &["digest-mismatch", "digest-mismatch"]),
    ] {
        let file = forged(case, &changed_after(&text(name), mark));
        let ran = verify(&file, &paper("root.pem"), &[]);
        refused(&ran, 1, expected);
        assert_eq!(ran.json()["verdict"], "invalid");
    }
    let time = text("prescription.xml");
    let claimed = between(&time, "<xades:SigningTime>", "T").to_owned();
    let file = forged("other-day", &changed(&time, &claimed, "2027-01-01"));
    refused(&verify(&file, &paper("root.pem"), &[]), 1, &["signed-properties-digest-mismatch"]);
}

#[test]
fn a_moved_a_missing_and_a_second_signature_have_codes_of_their_own() {
    let whole = text("prescription.xml");
    let sign = format!(
        "<PrescriptionSign>{}</PrescriptionSign>",
        between(&whole, "<PrescriptionSign>", "</PrescriptionSign>")
    );
    let without = changed(&whole, &sign, "");
    for (case, document, expected) in [
        ("missing", without.clone(), "signature-missing"),
        ("twice", changed(&whole, &sign, &format!("{sign}{sign}")), "id-duplicate"),
        (
            "moved",
            changed(&without, "</Document>", &format!("{sign}</Document>")),
            "signature-misplaced",
        ),
        (
            "wrapped",
            changed(&whole, "<Document ", "<Wrapper><Document ") + "</Wrapper>",
            "document-shape-wrong",
        ),
    ] {
        let ran = verify(&forged(case, &document), &paper("root.pem"), &[]);
        assert_eq!(ran.code, 1, "{case}: {ran:?}");
        let report = ran.json();
        let code = report["refusal"]["code"].as_str().map(str::to_owned);
        let code = code.unwrap_or_else(|| codes(&report).remove(0));
        assert_eq!(code, expected, "{case}");
    }
}

#[test]
fn another_root_of_the_same_name_is_refused() {
    let other = other_papers().join("root.pem");
    // With the authorities of that other town: nobody there issued this certificate.
    let ran = verify(&paper("prescription.xml"), &other, &[]);
    refused(&ran, 1, &["issuer-unknown"]);
    // With the real authority: its certificate names a root that only shares the name.
    let (authority, lists) = (paper("ca-jma.pem"), crl());
    let more = ["--ca".as_ref(), authority.as_os_str()];
    let ran = verify(&paper("prescription.xml"), &other, &more);
    refused(&ran, 1, &["anchor-mismatch"]);
    let more = [&more[..], &["--crl".as_ref(), lists.as_os_str()]].concat();
    let ran = verify(&paper("prescription.xml"), &other, &more);
    refused(&ran, 1, &["anchor-mismatch"]);
}

#[test]
fn the_certificate_is_judged_at_the_given_time_or_now_and_never_at_the_claimed_one() {
    let lists = crl();
    for (at, code) in [(LATER, "certificate-expired"), (EARLIER, "certificate-not-yet-valid")] {
        for more in [
            &["--at".as_ref(), at.as_ref()][..],
            &["--at".as_ref(), at.as_ref(), "--crl".as_ref(), lists.as_os_str()],
        ] {
            let ran = verify_paper("prescription.xml", more);
            refused(&ran, 1, &[code]);
            let report = ran.json();
            let claimed = report["signatures"][0]["signing_time_claimed"].as_str().unwrap();
            assert_eq!(report["at"], at, "the claimed {claimed} counts for nothing");
            assert_ne!(claimed, at);
        }
    }
    // Without --at it is now: not before the test began, and not what the signature claims.
    let before = judge("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).out.trim().to_owned();
    let report = verify_paper("prescription.xml", &[]).json();
    assert!(report["at"].as_str().unwrap() >= before.as_str(), "{report}");
}

#[test]
fn the_policy_is_pinned_too() {
    let ran = verify_paper("prescription.xml", &["--policy-arm".as_ref(), "0".as_ref()]);
    refused(&ran, 1, &["policy-not-allowed"]);
}

#[test]
fn a_question_that_cannot_be_answered_is_undecided_and_says_why() {
    for more in [
        &["--at".as_ref(), "yesterday".as_ref()][..],
        &["--ca".as_ref(), "/nowhere/ca.pem".as_ref()],
    ] {
        let ran = verify_paper("prescription.xml", more);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert_eq!(ran.json()["code"], "question-unusable");
    }
    let ran = verify(&paper("absent.xml"), &paper("root.pem"), &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = verify(&paper("prescription.xml"), &paper("prescription.csv"), &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn an_arm_of_the_policy_that_does_not_exist_is_no_verdict() {
    let ran = verify_paper("prescription.xml", &["--policy-arm".as_ref(), "7".as_ref()]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.text().contains("3 か 0"), "{ran:?}");
}
