//! The profile of a signature: what is outside it has its own refusal, even if it is signed; what it
//! leaves open is accepted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use hpki::kind::DocumentKind;
use support::*;
use xades::parse;
use xades::signature::{self, Level};

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
