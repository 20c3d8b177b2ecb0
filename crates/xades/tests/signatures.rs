//! Signatures as this room writes them, and everything that must not pass for one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use hpki::kind::DocumentKind;
use hpki::refusal::Refuse;
use support::*;
use xades::compose::{Draft, Recipe, Signer};
use xades::signature::{self, Level};
use xades::{Refusal, parse, reference_digest};

fn text(document: Vec<u8>) -> String {
    String::from_utf8(document).unwrap()
}

fn code(document: &str) -> &'static str {
    judge(document.as_bytes()).err().map_or("accepted", |refusal| refusal.code())
}

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

/// Change, expected code. The signer signs the changed document, so only the rule can refuse it.
const RULES: &[(&str, &str, &str)] = &[
    // algorithms
    ("2001/04/xmldsig-more#rsa-sha256", "2000/09/xmldsig#rsa-sha1", "sha1-not-allowed"),
    ("2001/04/xmldsig-more#rsa-sha256", "2001/04/xmldsig-more#ecdsa-sha1", "sha1-not-allowed"),
    ("2001/04/xmldsig-more#rsa-sha256", "2000/09/xmldsig#hmac-sha1", "hmac-not-allowed"),
    ("2001/04/xmldsig-more#rsa-sha256", "2001/04/xmldsig-more#hmac-sha256", "hmac-not-allowed"),
    (
        "#rsa-sha256\"></ds:SignatureMethod>",
        "#hmac-sha256\"><ds:HMACOutputLength>8</ds:HMACOutputLength></ds:SignatureMethod>",
        "hmac-not-allowed",
    ),
    (
        "2001/04/xmldsig-more#rsa-sha256",
        "2001/04/xmldsig-more#rsa-md5",
        "signature-algorithm-not-allowed",
    ),
    (
        "2001/04/xmldsig-more#rsa-sha256",
        "2001/04/xmldsig-more#rsa-sha512",
        "signature-algorithm-not-allowed",
    ),
    (
        "2001/04/xmldsig-more#rsa-sha256",
        "2007/05/xmldsig-more#sha256-rsa-MGF1",
        "signature-algorithm-not-allowed",
    ),
    ("2001/04/xmlenc#sha256", "2000/09/xmldsig#sha1", "sha1-not-allowed"),
    ("2001/04/xmlenc#sha256", "2001/04/xmlenc#sha512", "digest-algorithm-not-allowed"),
    (
        "CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#",
        "CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "canonicalization-not-allowed",
    ),
    (
        "CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#",
        "CanonicalizationMethod Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
        "canonicalization-not-allowed",
    ),
    (
        "></ds:CanonicalizationMethod>",
        "><ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"xsi\"/></ds:CanonicalizationMethod>",
        "canonicalization-not-allowed",
    ),
    // transforms
    (
        "Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"",
        "Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"",
        "transform-not-allowed",
    ),
    (
        "Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"",
        "Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"",
        "transform-not-allowed",
    ),
    (
        "Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"",
        "Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"",
        "transform-not-allowed",
    ),
    (
        "Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"",
        "Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#base64\"",
        "transform-not-allowed",
    ),
    (
        "</ds:Transform></ds:Transforms>",
        "<ec:InclusiveNamespaces xmlns:ec=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"ds\"/></ds:Transform></ds:Transforms>",
        "transform-not-allowed",
    ),
    (
        "</ds:Transform></ds:Transforms>",
        "</ds:Transform><ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>",
        "transform-not-allowed",
    ),
    (
        "URI=\"#PrescriptionDocument\">",
        "URI=\"#PrescriptionDocument\"><ds:Transforms></ds:Transforms>",
        "transform-not-allowed",
    ),
    // references
    ("URI=\"#PrescriptionDocument\"", "URI=\"#Document\"", "reference-wrong-element"),
    ("URI=\"#PrescriptionDocument\"", "URI=\"\"", "reference-wrong-element"),
    ("URI=\"#PrescriptionDocument\"", "URI=\"#idc0ffee00-KeyInfo\"", "reference-wrong-element"),
    ("URI=\"#PrescriptionDocument\"", "URI=\"#Nothing\"", "reference-unresolved"),
    (
        "URI=\"#PrescriptionDocument\"",
        "URI=\"http://e.test/#PrescriptionDocument\"",
        "reference-unresolved",
    ),
    (
        "URI=\"#PrescriptionDocument\"",
        "URI=\"#xpointer(id('PrescriptionDocument'))\"",
        "reference-unresolved",
    ),
    (" URI=\"#PrescriptionDocument\"", "", "reference-unresolved"),
    ("URI=\"#PrescriptionDocument\"", "URI=\"#Dispensing\"", "signature-other-kind"),
    ("URI=\"#idc0ffee00-KeyInfo\"", "URI=\"#PrescriptionDocument\"", "reference-wrong-element"),
    (
        "URI=\"#idc0ffee00-SignedProperties\"",
        "URI=\"#idc0ffee00-KeyInfo\"",
        "reference-wrong-element",
    ),
    (
        "URI=\"#idc0ffee00-SignedProperties\"",
        "URI=\"#idc0ffee00-QualifyingProperties\"",
        "reference-wrong-element",
    ),
    (" Type=\"http://uri.etsi.org/01903#SignedProperties\"", "", "reference-type-wrong"),
    (
        " Type=\"http://uri.etsi.org/01903#SignedProperties\"",
        " Type=\"http://uri.etsi.org/01903/v1.1.1#SignedProperties\"",
        "reference-type-wrong",
    ),
    (
        "-Reference2-KeyInfo\"",
        "-Reference2-KeyInfo\" Type=\"http://www.w3.org/2000/09/xmldsig#Object\"",
        "reference-type-wrong",
    ),
    // key information
    ("<ds:X509Data>", "<ds:KeyName>TEST</ds:KeyName><ds:X509Data>", "key-info-wrong"),
    (
        "<ds:X509Certificate>",
        "<ds:X509SubjectName>CN=TEST</ds:X509SubjectName><ds:X509Certificate>",
        "key-info-wrong",
    ),
    (
        "<ds:X509Certificate>",
        "<ds:X509Certificate>QQ==</ds:X509Certificate><ds:X509Certificate>",
        "key-info-wrong",
    ),
    ("<ds:X509Certificate>", "<ds:X509Certificate>!", "key-info-wrong"),
    ("<ds:X509Certificate>MII", "<ds:X509Certificate>AII", "signer-certificate-malformed"),
    // signed properties
    ("2026-11-21T04:42:00+00:00", "2026-11-21T04:42:00", "signed-properties-wrong"),
    ("2026-11-21T04:42:00+00:00", "yesterday", "signed-properties-wrong"),
    (
        "<xades:SigningTime>2026-11-21T04:42:00+00:00</xades:SigningTime>",
        "",
        "signed-properties-wrong",
    ),
    (
        "</xades:SigningCertificateV2>",
        "</xades:SigningCertificateV2><xades:SignerRoleV2/>",
        "signed-properties-wrong",
    ),
    (
        "</xades:SignedSignatureProperties>",
        "</xades:SignedSignatureProperties><xades:SignedDataObjectProperties/>",
        "signed-properties-wrong",
    ),
    (
        "</xades:CertDigest></xades:Cert>",
        "</xades:CertDigest><xades:IssuerSerialV2>MAA=</xades:IssuerSerialV2></xades:Cert>",
        "signing-certificate-mismatch",
    ),
    ("SigningCertificateV2", "SigningCertificate", "signed-properties-wrong"),
    // unsigned properties
    (
        "</xades:SignedProperties>",
        "</xades:SignedProperties><xades:Unknown/>",
        "unsigned-properties-wrong",
    ),
    (
        "</xades:SignedProperties>",
        "</xades:SignedProperties><xades:UnsignedProperties><xades:UnsignedSignatureProperties><xades:Unknown/></xades:UnsignedSignatureProperties></xades:UnsignedProperties>",
        "unsigned-properties-wrong",
    ),
    (
        "</xades:SignedProperties>",
        "</xades:SignedProperties><xades:UnsignedProperties><xades:UnsignedSignatureProperties><Unknown/></xades:UnsignedSignatureProperties></xades:UnsignedProperties>",
        "unsigned-properties-wrong",
    ),
    (
        "</xades:SignedProperties>",
        "</xades:SignedProperties><xades:UnsignedProperties/><xades:UnsignedProperties/>",
        "signature-structure-wrong",
    ),
    (
        "</xades:SignedProperties>",
        "</xades:SignedProperties><xades:UnsignedProperties><xades:UnsignedSignatureProperties><xades:CounterSignature><ds:Signature/></xades:CounterSignature></xades:UnsignedSignatureProperties></xades:UnsignedProperties>",
        "signature-many",
    ),
    // structure
    ("Id=\"PrescriptionSign\"", "Id=\"DispensingSign\"", "signature-other-kind"),
    ("Id=\"PrescriptionSign\"", "Id=\"Signature\"", "signature-structure-wrong"),
    ("Target=\"#PrescriptionSign\"", "Target=\"#Other\"", "signature-structure-wrong"),
    ("</ds:Object>", "</ds:Object><ds:Object/>", "signature-structure-wrong"),
    ("<ds:Object>", "<ds:Object><Other/>", "signature-structure-wrong"),
    ("<ds:KeyInfo", "text<ds:KeyInfo", "signature-structure-wrong"),
    ("<ds:KeyInfo", "<!-- c --><ds:KeyInfo", "signature-structure-wrong"),
    ("<ds:SignedInfo Id", "<ds:SignedInfo Other=\"\" Id", "signature-structure-wrong"),
    ("<PrescriptionSign>", "<PrescriptionSign><Other/>", "signature-structure-wrong"),
    // place
    ("<PrescriptionSign>", "<PrescriptionSign xmlns=\"urn:other\">", "signature-misplaced"),
    (
        "</Prescription>\n",
        "<Extra><PrescriptionDocument/></Extra></Prescription>\n",
        "document-shape-wrong",
    ),
    (
        "</Prescription>\n",
        "</Prescription><x:Prescription xmlns:x=\"urn:x\"/>\n",
        "document-shape-wrong",
    ),
    ("</Prescription>\n", "</Prescription><Dispensing/>\n", "document-shape-wrong"),
    ("</Prescription>\n", "<PrescriptionSign/></Prescription>\n", "document-shape-wrong"),
    (
        "</Prescription>\n",
        "</Prescription><DispensingSign><ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/></DispensingSign>\n",
        "signature-many",
    ),
    ("</Prescription>\n", "</Prescription><Other id=\"PrescriptionDocument\"/>\n", "id-duplicate"),
    ("</Prescription>\n", "</Prescription><Other Id=\"PrescriptionDocument\"/>\n", "id-ambiguous"),
    (
        "PrescriptionDocument id=\"PrescriptionDocument\"",
        "PrescriptionDocument id=\"PrescriptionDocument\" ID=\"x\"",
        "id-ambiguous",
    ),
    (
        "PrescriptionDocument id=\"PrescriptionDocument\"",
        "PrescriptionDocument id=\"Elsewhere\"",
        "reference-unresolved",
    ),
    // writing
    (
        "<PrescriptionDocument id=\"PrescriptionDocument\">",
        "<PrescriptionDocument id=\"PrescriptionDocument\"><!-- c -->",
        "signed-part-not-plain",
    ),
    (
        "<PrescriptionDocument id=\"PrescriptionDocument\">",
        "<PrescriptionDocument id=\"PrescriptionDocument\"><?p?>",
        "signed-part-not-plain",
    ),
    (
        "<PrescriptionDocument id=\"PrescriptionDocument\">",
        "<PrescriptionDocument id=\"PrescriptionDocument\"><![CDATA[x]]>",
        "signed-part-not-plain",
    ),
    (
        "<PrescriptionDocument id=\"PrescriptionDocument\">",
        "<PrescriptionDocument\tid=\"PrescriptionDocument\">",
        "signed-part-not-plain",
    ),
    (
        "<PrescriptionDocument id=\"PrescriptionDocument\">",
        "<PrescriptionDocument id=\"PrescriptionDocument\">\r",
        "signed-part-not-plain",
    ),
    (
        "<PrescriptionDocument id=\"PrescriptionDocument\">",
        "<PrescriptionDocument id=\"PrescriptionDocument\">&#xd;",
        "signed-part-not-plain",
    ),
    ("<ds:SignatureMethod Algorithm", "<ds:SignatureMethod\nAlgorithm", "signed-part-not-plain"),
];

fn prescription() -> String {
    let document = unsigned_prescription();
    let kind = DocumentKind::Prescription;
    let signature = signature_over(&document, kind, physician(), [0xc0, 0xff, 0xee, 0]);
    text(place(&document, kind, &signature))
}

#[test]
fn whatever_is_outside_the_profile_has_its_own_refusal_even_if_signed() {
    let document = prescription();
    assert_eq!(code(&signed_anyway(&document, physician())), "accepted");
    let mut wrong = Vec::new();
    for (from, to, expected) in RULES {
        let changed = document.replace(from, to);
        assert_ne!(changed, document, "{from} is not in the document");
        let signed = match parse(changed.as_bytes()) {
            Ok(_) => signed_anyway(&changed, physician()),
            Err(_) => changed,
        };
        let found = code(&signed);
        if found != *expected {
            wrong.push(format!("{from} -> {to}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_profile_leaves_open_is_accepted() {
    let document = prescription();
    for (from, to) in [
        // A time stamp and validation data added by the service, and somebody's own property.
        (
            "</xades:SignedProperties>",
            "</xades:SignedProperties><xades:UnsignedProperties><xades:UnsignedSignatureProperties><xades:SignatureTimeStamp/><o:own xmlns:o=\"urn:o\"/></xades:UnsignedSignatureProperties></xades:UnsignedProperties>",
        ),
        // The other form of reference 1.
        (
            "URI=\"#PrescriptionDocument\">",
            "URI=\"#PrescriptionDocument\"><ds:Transforms><ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:Transform></ds:Transforms>",
        ),
        // White space between elements.
        ("<ds:KeyInfo", "\n  <ds:KeyInfo"),
        ("<ds:X509Data>", "\r\n<ds:X509Data>"),
        // What the service adds beside the signed element.
        (
            "<PrescriptionDocument ",
            "<PrescriptionManagement id=\"PrescriptionManagement\"/><PrescriptionDocument ",
        ),
    ] {
        let changed = document.replace(from, to);
        assert_ne!(changed, document, "{from}");
        assert_eq!(code(&signed_anyway(&changed, physician())), "accepted", "{to}");
    }
}

#[test]
fn an_issuer_and_serial_number_that_fit_are_accepted() {
    // GeneralNames with the issuer's directoryName, and the serial number, as DER.
    let certificate = &physician().certificate;
    let name = certificate.issuer().der();
    let tlv =
        |tag: u8, inside: &[u8]| [&[tag, u8::try_from(inside.len()).unwrap()], inside].concat();
    let names = tlv(0x30, &tlv(0xa4, name));
    let value = tlv(0x30, &[names, certificate.serial_der()].concat());
    let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value);
    let changed = prescription().replace(
        "</xades:CertDigest></xades:Cert>",
        &format!(
            "</xades:CertDigest><xades:IssuerSerialV2>{value}</xades:IssuerSerialV2></xades:Cert>"
        ),
    );
    assert_eq!(code(&signed_anyway(&changed, physician())), "accepted");
}

#[test]
fn levels_are_markers_that_nobody_vouches_for() {
    let stamp = "<xades:SignatureTimeStamp/>";
    let values = "<xades:CertificateValues/><xades:RevocationValues/>";
    let archive = "<a:ArchiveTimeStamp xmlns:a=\"http://uri.etsi.org/01903/v1.4.1#\"/>";
    for (properties, level) in [
        (String::new(), Level::Bes),
        (stamp.to_owned(), Level::T),
        (format!("{stamp}{values}"), Level::Xl),
        (format!("{stamp}{values}{archive}"), Level::A),
        (format!("{values}{archive}"), Level::Bes),
    ] {
        let document = prescription().replace(
            "</xades:SignedProperties>",
            &format!("</xades:SignedProperties><xades:UnsignedProperties><xades:UnsignedSignatureProperties>{properties}</xades:UnsignedSignatureProperties></xades:UnsignedProperties>"),
        );
        let found = signature::describe(document.as_bytes(), DocumentKind::Prescription).unwrap();
        assert_eq!(found[0].markers.level(), level);
        assert_eq!(code(&document), "accepted");
    }
}

#[test]
fn missing_and_extra_references_are_refused() {
    let document = prescription();
    let third = document.find("<ds:Reference Id=\"idc0ffee00-Reference3").unwrap();
    let end = document.find("</ds:SignedInfo>").unwrap();
    let missing = format!("{}{}", &document[..third], &document[end..]);
    assert_eq!(code(&signed_anyway(&missing, physician())), "reference-missing");
    let fourth = document[third..end].replace("-Reference3", "-Reference4");
    let extra = format!("{}{fourth}{}", &document[..end], &document[end..]);
    assert_eq!(code(&signed_anyway(&extra, physician())), "reference-extra");
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

/// Where the octets of everything that is signed stand, and those of the signature values.
fn signed_octets(octets: &[u8]) -> Vec<usize> {
    let document = parse(octets).unwrap();
    let mut at: Vec<usize> = document
        .elements()
        .filter_map(|node| match node.tag_name().name() {
            "PrescriptionDocument"
            | "Dispensing"
            | "SignedInfo"
            | "KeyInfo"
            | "SignedProperties" => Some(node.range()),
            // The value is not signed, and its Id may be anything; but the value itself counts.
            "SignatureValue" => Some(node.first_child().unwrap().range()),
            _ => None,
        })
        .flatten()
        .collect();
    at.sort_unstable();
    at.dedup();
    at
}

/// Changes every octet of everything that is signed, one at a time. White space is also changed
/// into every other white space, which canonicalization would often forgive.
fn change_every_octet(octets: &[u8], changes: impl Fn(u8) -> Vec<u8>) {
    assert_eq!(judge(octets), Ok(()));
    let mut changed = octets.to_vec();
    for at in signed_octets(octets) {
        let original = octets[at];
        let mut others = changes(original);
        if original.is_ascii_whitespace() {
            others.extend(b" \t\n\r");
        }
        for octet in others.into_iter().filter(|octet| *octet != original) {
            changed[at] = octet;
            let around = &octets[at.saturating_sub(40)..(at + 40).min(octets.len())];
            assert!(
                judge(&changed).is_err(),
                "octet {at} may be {octet:#x} instead of {original:#x}: {}",
                String::from_utf8_lossy(around)
            );
        }
        changed[at] = original;
    }
}

#[test]
fn no_octet_of_a_signed_prescription_can_be_changed() {
    change_every_octet(&signed_prescription(), |octet| vec![octet ^ 1, octet ^ 0x20, b'A', b'=']);
}

/// Here the whole prescription, with its signature, is a signed part too.
#[test]
fn no_octet_of_a_signed_dispensing_result_can_be_changed() {
    change_every_octet(&signed_dispensing(), |octet| vec![octet ^ 1]);
}
