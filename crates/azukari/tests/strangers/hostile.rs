//! Files that were made to hurt, handed to `azukari verify`: refused by name, with little memory.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use crate::support::*;

/// Address space that a verification may use, in KiB: a hundred megabytes do not fit.
const MEMORY_KIB: u32 = 90_000;

/// The code for a file of these octets.
fn refusal(case: &str, octets: &[u8]) -> String {
    let file = scratch(&format!("hostile-{case}")).join("document.xml");
    std::fs::write(&file, octets).unwrap();
    let code = refusal_of(&file);
    std::fs::remove_file(&file).unwrap();
    code
}

fn refusal_of(file: &Path) -> String {
    // Ten seconds and a bounded address space, held by the shell and timeout.
    let script = format!("ulimit -v {MEMORY_KIB}; exec timeout 10 \"$@\"");
    let mut arguments: Vec<OsString> = vec!["-c".into(), script.into(), "sh".into()];
    arguments.extend([AZUKARI.into(), "verify".into(), file.into()]);
    arguments.extend(["--anchor".into(), paper("root.pem").into(), "--json".into()]);
    let ran = judge("sh", &arguments);
    assert_eq!(ran.code, 1, "{}: {ran:?}", file.display());
    let report = ran.json();
    assert_eq!(report["verdict"], "invalid");
    assert!(report["refusal"]["message_ja"].as_str().is_some_and(|words| !words.is_empty()));
    report["refusal"]["code"].as_str().unwrap().to_owned()
}

fn with(from: &str, to: &str) -> Vec<u8> {
    changed(&text("prescription.xml"), from, to).into_bytes()
}

#[test]
fn a_document_type_and_an_entity_bomb() {
    let dtd = "<!DOCTYPE Document SYSTEM \"http://e.test/e.dtd\"><Document ";
    assert_eq!(refusal("dtd", &with("<Document ", dtd)), "xml-dtd");
    let mut bomb = String::from("<!DOCTYPE Document [<!ENTITY l0 \"lol\">");
    for level in 1..10 {
        let before = format!("&l{};", level - 1).repeat(10);
        write!(bomb, "<!ENTITY l{level} \"{before}\">").unwrap();
    }
    bomb.push_str("]><Document ");
    assert_eq!(refusal("bomb", &with("<Document ", &bomb)), "xml-entities");
}

#[test]
fn a_hundred_megabytes() {
    let document = with("<Prescription>", &format!("<Prescription>{}", "x".repeat(100 << 20)));
    assert_eq!(refusal("large", &document), "xml-too-large");
}

#[test]
fn a_file_without_end() {
    assert_eq!(refusal_of(Path::new("/dev/zero")), "xml-too-large");
}

#[test]
fn octets_that_are_no_utf8() {
    let mut document = text("prescription.xml").into_bytes();
    let at = document.len() - 20;
    document[at] = 0xff;
    assert_eq!(refusal("not-utf8", &document), "xml-not-utf8");
}

#[test]
fn ten_thousand_levels() {
    let deep = format!("<Prescription>{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
    assert_eq!(refusal("deep", &with("<Prescription>", &deep)), "xml-too-deep");
}

#[test]
fn too_many_attributes_and_namespaces() {
    let (mut attributes, mut nested) =
        (String::from("<Prescription><a"), String::from("<Prescription>"));
    for number in 0..200_000 {
        write!(attributes, " a{number}=''").unwrap();
    }
    attributes.push_str("/>");
    assert_eq!(
        refusal("attributes", &with("<Prescription>", &attributes)),
        "xml-too-many-attributes"
    );
    for number in 0..3_000 {
        write!(nested, "<a xmlns:n{number}='urn:{number}'>").unwrap();
    }
    nested.push_str(&"</a>".repeat(3_000));
    assert_eq!(refusal("namespaces", &with("<Prescription>", &nested)), "xml-too-many-namespaces");
}

#[test]
fn one_id_on_two_elements() {
    let second = "<Prescription><Other id=\"PrescriptionDocument\"/>";
    assert_eq!(refusal("twice", &with("<Prescription>", second)), "id-duplicate");
    let spelled = "<Prescription><Other Id=\"PrescriptionDocument\"/>";
    assert_eq!(refusal("spelled", &with("<Prescription>", spelled)), "id-ambiguous");
}

#[test]
fn nothing_at_all() {
    assert_eq!(refusal("empty", b""), "xml-malformed");
    assert_eq!(refusal("stranger", b"<html/>"), "document-shape-wrong");
}
