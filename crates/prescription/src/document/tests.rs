use hpki::refusal::Refuse as _;

use super::*;
use crate::sample;

const ID: &str = "0192f1d2-7c3a-7b11-8f0e-0123456789ab";
const DISPENSING_ID: &str = "0192f1d2-7c3a-7b11-8f0e-ba9876543210";
const SIGNATURE: &str = "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" \
    Id=\"PrescriptionSign\"><ds:SignatureValue>AA==\n</ds:SignatureValue></ds:Signature>";

fn csv() -> Vec<u8> {
    sample::prescription(&sample::Prescribed::default())
}

fn signed() -> Vec<u8> {
    let document = prescription(&csv()).unwrap();
    place_signature(&document, DocumentKind::Prescription, SIGNATURE).unwrap()
}

fn registered() -> Vec<u8> {
    register_prescription(&signed(), ID, &[]).unwrap()
}

fn dispensed() -> Vec<u8> {
    let csv = sample::dispensing(&sample::Dispensed::default(), ID);
    dispensing(&registered(), &csv, DISPENSING_ID).unwrap()
}

fn dispensing_signature() -> String {
    SIGNATURE.replace("PrescriptionSign", "DispensingSign")
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> &'static str {
    result.unwrap_err().code()
}

/// The octets of `before` in order, with something added and nothing else changed.
fn is_spliced(before: &[u8], after: &[u8], additions: &[&str]) -> bool {
    let mut rest = text(after).to_owned();
    for addition in additions {
        assert_eq!(rest.matches(addition).count(), 1, "{addition}");
        rest = rest.replacen(addition, "", 1);
    }
    rest.as_bytes() == before
}

#[test]
fn a_record_becomes_a_document_and_comes_back_octet_for_octet() {
    let document = prescription(&csv()).unwrap();
    let parsed = Parsed::parse(&document).unwrap();
    assert_eq!(parsed.kind, DocumentKind::Prescription);
    assert_eq!(parsed.csv, csv());
    assert_eq!((parsed.signed, parsed.prescription_id), (false, None));
}

#[test]
fn the_root_declares_only_xsi() {
    for document in [prescription(&csv()).unwrap(), dispensed()] {
        let document = text(&document);
        let root = &document[document.find("<Document").unwrap()..];
        let tag = &root[..root.find('>').unwrap()];
        assert_eq!(tag.matches("xmlns").count(), 1);
        assert!(tag.contains("xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""));
        assert!(tag.contains("xsi:noNamespaceSchemaLocation=\"E"));
    }
}

#[test]
fn the_signature_is_spliced_in_and_nothing_else_changes() {
    let before = prescription(&csv()).unwrap();
    let after = place_signature(&before, DocumentKind::Prescription, SIGNATURE).unwrap();
    let added = format!("<PrescriptionSign>{SIGNATURE}</PrescriptionSign>\n");
    assert!(is_spliced(&before, &after, &[&added]));
    assert!(text(&after).ends_with(&format!("{added}</Prescription>\n</Document>\n")));
    assert!(Parsed::parse(&after).unwrap().signed);
    assert_eq!(
        code(place_signature(&after, DocumentKind::Prescription, SIGNATURE)),
        "document-already-signed"
    );
}

#[test]
fn registering_adds_the_identifier_around_the_signed_part() {
    let conversion = Conversion {
        csv_line: 20,
        code: "6999\"<&".into(),
        re_code: Some("699999901".into()),
        yj_code: None,
    };
    let after = register_prescription(&signed(), ID, &[conversion]).unwrap();
    let parsed = Parsed::parse(&after).unwrap();
    assert_eq!(parsed.prescription_id.as_deref(), Some(ID));
    assert!(parsed.signed);
    let order: Vec<usize> = [
        "<PrescriptionManagement ",
        "<PrescriptionDocument ",
        "<AdditionalPrescriptionInformation ",
        "<PrescriptionSign>",
    ]
    .iter()
    .map(|name| text(&after).find(name).unwrap())
    .collect();
    assert!(order.is_sorted());
    assert!(text(&after).contains(
        "<ConversionPharmaceuticalCode CsvLineNo=\"20\" \
         PrescriptionDocumentCode=\"6999&quot;&lt;&amp;\">\
         <ConversionREcode>699999901</ConversionREcode></ConversionPharmaceuticalCode>"
    ));
    let management = format!(
        "<PrescriptionManagement id=\"PrescriptionManagement\"><Version Value=\"EPS1.0\"/>\
         <PrescriptionId Value=\"{ID}\"/></PrescriptionManagement>\n"
    );
    let additional = "\n<AdditionalPrescriptionInformation id=\"AdditionalPrescriptionInformation\">\
                      </AdditionalPrescriptionInformation>";
    assert!(is_spliced(&signed(), &registered(), &[&management, additional]));
}

#[test]
fn registering_is_refused_where_it_has_no_place() {
    let unsigned = prescription(&csv()).unwrap();
    assert_eq!(code(register_prescription(&unsigned, ID, &[])), "document-not-signed");
    assert_eq!(code(register_prescription(&registered(), ID, &[])), "document-already-registered");
    assert_eq!(code(register_prescription(&signed(), "\"/><x>", &[])), "identifier-malformed");
    assert_eq!(code(register_prescription(&dispensed(), ID, &[])), "document-wrong-kind");
    assert_eq!(code(register_dispensing(&dispensed(), &[])), "document-not-signed");
    assert_eq!(code(register_dispensing(&signed(), &[])), "document-wrong-kind");
}

#[test]
fn a_prescription_stands_inside_the_dispensing_result_octet_for_octet() {
    let registered = registered();
    let inner = text(&registered);
    let start = inner.find("<Prescription>").unwrap() + "<Prescription>".len();
    let inner = &inner[start..inner.find("</Prescription>").unwrap()];
    let document = dispensed();
    let reference = format!("<ReferencePrescription>{inner}</ReferencePrescription>");
    assert!(text(&document).contains(&reference));
    let parsed = Parsed::parse(&document).unwrap();
    assert_eq!(parsed.kind, DocumentKind::Dispensing);
    assert_eq!(parsed.csv, sample::dispensing(&sample::Dispensed::default(), ID));
    assert_eq!(parsed.prescription_csv, Some(csv()));
    assert_eq!(parsed.prescription_id.as_deref(), Some(ID));
    assert_eq!(parsed.dispensing_id.as_deref(), Some(DISPENSING_ID));
    assert!(!parsed.signed);
}

#[test]
fn a_dispensing_result_is_signed_and_registered_by_splicing() {
    let before = dispensed();
    let signature = dispensing_signature();
    let signed = place_signature(&before, DocumentKind::Dispensing, &signature).unwrap();
    let added = format!("<DispensingSign>{signature}</DispensingSign>\n");
    assert!(is_spliced(&before, &signed, &[&added]));
    let registered = register_dispensing(&signed, &[]).unwrap();
    let additional = "\n<AdditionalDispensedInformation id=\"AdditionalDispensedInformation\">\
                      </AdditionalDispensedInformation>";
    assert!(is_spliced(&signed, &registered, &[additional]));
    assert!(Parsed::parse(&registered).unwrap().signed);
    assert_eq!(code(register_dispensing(&registered, &[])), "document-already-registered");
}

#[test]
fn dispensing_over_the_wrong_prescription_is_refused() {
    let csv = sample::dispensing(&sample::Dispensed::default(), ID);
    let unsigned = prescription(&self::csv()).unwrap();
    assert_eq!(code(dispensing(&unsigned, &csv, DISPENSING_ID)), "document-not-signed");
    assert_eq!(code(dispensing(&signed(), &csv, DISPENSING_ID)), "document-not-registered");
    assert_eq!(code(dispensing(&dispensed(), &csv, DISPENSING_ID)), "document-wrong-kind");
    assert_eq!(code(dispensing(&registered(), &csv, "1")), "identifier-malformed");
    let other = sample::dispensing(&sample::Dispensed::default(), DISPENSING_ID);
    assert_eq!(code(dispensing(&registered(), &other, ID)), "prescription-id-mismatch");
    assert_eq!(code(dispensing(&registered(), &self::csv(), ID)), "record-wrong-kind");
}

#[test]
fn what_is_no_signature_of_this_kind_is_not_placed() {
    let document = prescription(&csv()).unwrap();
    for fragment in [
        "",
        "x",
        "<Signature Id=\"PrescriptionSign\"/>",
        "<ds:Signature Id=\"PrescriptionSign\"/>",
        &dispensing_signature(),
        &format!("<?xml version=\"1.0\"?>{SIGNATURE}"),
        &format!("<!-- x -->{SIGNATURE}"),
        &format!("{SIGNATURE}<!-- x -->"),
        &format!("{SIGNATURE}{SIGNATURE}"),
        &format!("{SIGNATURE}</PrescriptionSign><Evil/>"),
        &SIGNATURE.replace("Id=", "id="),
    ] {
        let placed = place_signature(&document, DocumentKind::Prescription, fragment);
        assert_eq!(code(placed), "signature-element-wrong", "{fragment}");
    }
    let placed = place_signature(&document, DocumentKind::Dispensing, &dispensing_signature());
    assert_eq!(code(placed), "document-wrong-kind");
}

#[test]
fn a_document_of_another_shape_is_refused() {
    let document = text(&signed()).to_owned();
    let content = &document[document.find("<PrescriptionDocument").unwrap()..];
    let content = &content[..content.find("\n</").unwrap_or(content.len())];
    let content = &content[..content.find("<PrescriptionSign>").unwrap_or(content.len())];
    for (from, to, expected) in [
        ("<Document ", "<Dokument ", "xml-malformed"),
        (" id=\"Document\"", " id=\"Other\"", "document-malformed"),
        (" id=\"PrescriptionDocument\"", " id=\"Other\"", "document-malformed"),
        (" id=\"PrescriptionDocument\"", " Id=\"PrescriptionDocument\"", "document-malformed"),
        ("<Prescription>", "<Prescription><Evil/>", "document-malformed"),
        ("<Prescription>", "<Dispensing/><Prescription>", "document-malformed"),
        ("<Prescription>", "<PrescriptionSign/><Prescription>", "document-malformed"),
        ("<Prescription>", "<Prescription><PrescriptionSign/>", "document-malformed"),
        ("<Prescription>", "<Prescription xml:lang=\"ja\">", "document-namespaces-wrong"),
        ("<Prescription>", "<Prescription xmlns:a=\"urn:a\">", "document-namespaces-wrong"),
        ("<Prescription>", "<Prescription x=\"1\">", "document-namespaces-wrong"),
        (" id=\"Document\"", " id=\"Document\" xmlns:a=\"urn:a\"", "document-namespaces-wrong"),
        (" id=\"Document\"", " id=\"Document\" xml:lang=\"ja\"", "document-namespaces-wrong"),
        (" id=\"Document\"", " id=\"Document\" x=\"1\"", "document-namespaces-wrong"),
        (" id=\"Document\"", " id=\"Document\" xmlns=\"urn:a\"", "document-malformed"),
        ("XMLSchema-instance", "XMLSchema-instancf", "document-namespaces-wrong"),
        ("\">U0ox", "\">U0<!-- -->ox", "document-malformed"),
        ("\">U0ox", "\">U0<?a b?>ox", "document-malformed"),
        ("\">U0ox", "\">U0<b/>ox", "document-malformed"),
        ("\">U0ox", "\">*0ox", "document-content-not-base64"),
        (content, "", "document-malformed"),
    ] {
        assert!(document.contains(from), "{from}");
        let changed = document.replacen(from, to, 1);
        assert_eq!(code(Parsed::parse(changed.as_bytes())), expected, "{from} → {to}");
    }
    assert_eq!(code(Parsed::parse(b"<a/>")), "document-malformed");
    assert_eq!(code(Parsed::parse(b"")), "xml-malformed");
}

#[test]
fn hostile_xml_is_refused_with_the_code_of_the_xml_room() {
    let bomb = b"<!DOCTYPE a [<!ENTITY b \"bbbb\">]><Document id=\"Document\">&b;</Document>";
    assert_eq!(code(Parsed::parse(bomb)), "xml-entities");
    assert_eq!(code(Parsed::parse(b"<!DOCTYPE Document><Document id=\"Document\"/>")), "xml-dtd");
    assert_eq!(code(Parsed::parse(&vec![b' '; 5 << 20])), "xml-too-large");
    let deep = "<a>".repeat(10_000);
    assert_eq!(code(Parsed::parse(deep.as_bytes())), "xml-too-deep");
    assert_eq!(code(Parsed::parse(b"<Document id=\"\xff\"/>")), "xml-not-utf8");
}

#[test]
fn line_feeds_inside_the_base64_are_read_over() {
    let document = text(&prescription(&csv()).unwrap()).replacen("\">U0ox", "\">\nU0\r\n ox", 1);
    assert_eq!(Parsed::parse(document.as_bytes()).unwrap().csv, csv());
}

#[test]
fn a_byte_order_mark_before_the_document_stays_where_it_was() {
    let mut before = b"\xef\xbb\xbf".to_vec();
    before.extend(prescription(&csv()).unwrap());
    let after = place_signature(&before, DocumentKind::Prescription, SIGNATURE).unwrap();
    let added = format!("<PrescriptionSign>{SIGNATURE}</PrescriptionSign>\n");
    assert!(is_spliced(&before, &after, &[&added]));
    let after = register_prescription(&after, ID, &[]).unwrap();
    let csv = sample::dispensing(&sample::Dispensed::default(), ID);
    let after = dispensing(&after, &csv, DISPENSING_ID).unwrap();
    assert_eq!(Parsed::parse(&after).unwrap().prescription_csv, Some(self::csv()));
}
