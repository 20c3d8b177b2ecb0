//! What lies in the folder, and the form of the signed documents (domain facts §2.1, §2.2).

use crate::support::*;

const FILES: [&str; 16] = [
    "root.pem",
    "ca-jma.pem",
    "ca-jpa.pem",
    "ca-medis.pem",
    "physician.pem",
    "pharmacist.pem",
    "crl/rarl.crl",
    "crl/sarl.crl",
    "crl/jma.crl",
    "crl/jpa.crl",
    "crl/medis.crl",
    "prescription.csv",
    "prescription.xml",
    "dispensing.xml",
    "report.json",
    "journal.txt",
];

/// A tree of the document, and its one `ds:Signature` inside the element of this name.
fn signature<'a>(tree: &'a roxmltree::Document<'a>, holder: &str) -> roxmltree::Node<'a, 'a> {
    let mut holders = tree.descendants().filter(|node| node.has_tag_name(holder));
    let holder = holders.next().unwrap();
    assert!(holders.next().is_none());
    let mut children = holder.children().filter(roxmltree::Node::is_element);
    let signature = children.next().unwrap();
    assert!(children.next().is_none());
    assert_eq!(signature.tag_name().name(), "Signature");
    signature
}

fn all<'a>(node: roxmltree::Node<'a, 'a>, name: &str) -> Vec<roxmltree::Node<'a, 'a>> {
    node.descendants().filter(|one| one.tag_name().name() == name).collect()
}

fn each_signature(check: impl Fn(&str, roxmltree::Node<'_, '_>)) {
    for (file, holder) in [
        ("prescription.xml", "PrescriptionSign"),
        ("dispensing.xml", "PrescriptionSign"),
        ("dispensing.xml", "DispensingSign"),
    ] {
        let text = text(file);
        let tree = roxmltree::Document::parse(&text).unwrap();
        check(holder, signature(&tree, holder));
    }
}

#[test]
fn every_paper_of_the_story_is_there() {
    for name in FILES {
        let octets = std::fs::read(paper(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!octets.is_empty(), "{name}");
        if name.ends_with(".crl") {
            assert_eq!(octets[0], 0x30, "{name} is DER");
        }
    }
}

#[test]
fn the_report_tells_each_step_its_time_and_that_both_documents_hold() {
    let report: serde_json::Value = serde_json::from_str(&text("report.json")).unwrap();
    assert!(report["steps"].as_array().unwrap().len() > 10);
    for step in report["steps"].as_array().unwrap() {
        assert!(step["took_ms"].is_number() && step["who"].is_string(), "{step}");
    }
    for document in ["prescription", "dispensing"] {
        assert_eq!(report[document]["verification"]["verdict"], "valid");
    }
    let number = report["prescription"]["exchange_number"].as_str().unwrap();
    assert!(number.bytes().all(|one| one.is_ascii_digit()));
    let id = report["prescription"]["prescription_id"].as_str().unwrap();
    assert!(text("prescription.xml").contains(&format!("<PrescriptionId Value=\"{id}\"/>")));
    assert!(text("dispensing.xml").contains(&format!("<PrescriptionId Value=\"{id}\"/>")));
}

#[test]
fn the_root_element_declares_only_xsi() {
    for file in ["prescription.xml", "dispensing.xml"] {
        let text = text(file);
        let tag = between(&text, "<Document ", ">");
        assert_eq!(tag.matches("xmlns").count(), 1, "{tag}");
        assert!(tag.contains("xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""));
    }
}

#[test]
fn the_signed_record_is_the_record_octet_for_octet() {
    use base64::Engine as _;
    let text = text("prescription.xml");
    let inside = between(&text, "<PrescriptionDocument id=\"PrescriptionDocument\">", "<");
    let inside: String = inside.split_whitespace().collect();
    let octets = base64::engine::general_purpose::STANDARD.decode(inside).unwrap();
    assert_eq!(octets, std::fs::read(paper("prescription.csv")).unwrap());
    assert!(octets.starts_with(b"SJ1\n") && !octets.contains(&b'\r'));
}

#[test]
fn the_prescription_inside_the_dispensing_result_is_the_registered_one_octet_for_octet() {
    let (prescription, dispensing) = (text("prescription.xml"), text("dispensing.xml"));
    let registered = between(&prescription, "<Prescription>", "</Prescription>");
    assert_eq!(
        between(&dispensing, "<ReferencePrescription>", "</ReferencePrescription>"),
        registered
    );
}

#[test]
fn each_signature_has_exactly_the_three_references_of_the_profile() {
    each_signature(|holder, signature| {
        let references = all(signature, "Reference");
        assert_eq!(references.len(), 3, "{holder}");
        let signed =
            if holder == "PrescriptionSign" { "PrescriptionDocument" } else { "Dispensing" };
        let id = signature.attribute("Id").unwrap();
        assert_eq!(id, holder);
        assert_eq!(references[0].attribute("URI"), Some(format!("#{signed}").as_str()));
        assert!(all(references[0], "Transforms").is_empty(), "the first has no transform");
        for (reference, target) in references[1..].iter().zip(["KeyInfo", "SignedProperties"]) {
            let uri = reference.attribute("URI").unwrap();
            assert!(uri.ends_with(&format!("-{target}")), "{uri}");
            let transforms = all(*reference, "Transform");
            assert_eq!(transforms.len(), 1);
            let algorithm = transforms[0].attribute("Algorithm");
            assert_eq!(algorithm, Some("http://www.w3.org/2001/10/xml-exc-c14n#"));
        }
        let kind = references[2].attribute("Type");
        assert_eq!(kind, Some("http://uri.etsi.org/01903#SignedProperties"));
        for method in all(signature, "DigestMethod") {
            let sha256 = Some("http://www.w3.org/2001/04/xmlenc#sha256");
            assert_eq!(method.attribute("Algorithm"), sha256);
        }
        let target = all(signature, "QualifyingProperties")[0].attribute("Target");
        assert_eq!(target, Some(format!("#{holder}").as_str()));
    });
}

#[test]
fn the_signed_properties_are_the_time_and_the_certificate_and_nothing_else() {
    each_signature(|holder, signature| {
        let properties = all(signature, "SignedSignatureProperties")[0];
        let names: Vec<_> = properties
            .children()
            .filter(roxmltree::Node::is_element)
            .map(|node| node.tag_name().name())
            .collect();
        assert_eq!(names, ["SigningTime", "SigningCertificateV2"], "{holder}");
        let time = all(signature, "SigningTime")[0].text().unwrap();
        assert!(time.ends_with("+00:00") && time.len() == 25, "{time}");
        for absent in ["SignaturePolicyIdentifier", "SignerRoleV2", "UnsignedProperties"] {
            assert!(all(signature, absent).is_empty(), "{absent}");
        }
        assert_eq!(all(signature, "X509Certificate").len(), 1, "the signer's only");
    });
}

#[test]
fn base64_in_a_signature_ends_with_a_line_feed() {
    each_signature(|holder, signature| {
        for name in ["DigestValue", "SignatureValue", "X509Certificate"] {
            for node in all(signature, name) {
                let value = node.text().unwrap();
                assert!(value.ends_with('\n') && !value.contains('\r'), "{holder} {name}");
                assert!(value.lines().all(|line| line.len() <= 76), "{holder} {name}");
            }
        }
    });
}

#[test]
fn a_visitors_own_record_is_signed_octet_for_octet_and_a_bad_one_is_refused_at_once() {
    let folder = scratch("own-record");
    let (file, out) = (folder.join("own.csv"), folder.join("out"));
    let own = changed(&text("prescription.csv"), "架空プラセボ錠", "架空わたしの錠");
    let own = changed(&own, "架空\u{3000}花子", "架空\u{3000}訪子");
    let demo = |octets: &[u8]| {
        std::fs::write(&file, octets).unwrap();
        azukari(&[
            "demo".as_ref(),
            "--once".as_ref(),
            "--input".as_ref(),
            file.as_os_str(),
            "--out".as_ref(),
            out.as_os_str(),
        ])
    };
    let ran = demo(own.as_bytes());
    assert!(ran.well(), "{ran:?}");
    assert_eq!(std::fs::read(out.join("prescription.csv")).unwrap(), own.as_bytes());
    let ran = azukari(&["inspect".as_ref(), out.join("dispensing.xml").as_os_str()]);
    assert!(ran.well() && ran.out.contains("架空わたしの錠"), "{ran:?}");
    for (octets, code) in [
        (&b""[..], "record-empty"),
        (b"SJ1\n\x8f\x88\x95\xfb\n", "record-not-utf8"),
        (b"\xef\xbb\xbfSJ1\n", "record-bom"),
        (b"CJ1,\n", "record-wrong-kind"),
    ] {
        let ran = demo(octets);
        assert!(ran.code == 1 && ran.err.contains(code), "{code}: {ran:?}");
    }
}

#[test]
fn a_person_reads_each_paper_with_inspect() {
    for (name, expected) in [
        ("root.pem", &["ルート認証局証明書", "TEST MHLW HPKI Root CA"][..]),
        ("ca-jma.pem", &["認証局証明書", "-forNonRepudiation", POLICY]),
        ("ca-jpa.pem", &["認証局証明書", "-forNonRepudiation", POLICY]),
        ("ca-medis.pem", &["認証局証明書", "-forNonRepudiation", POLICY]),
        (
            "physician.pem",
            &["署名用証明書", "医師 (Medical Doctor)", "Hanako Kakuu", "nonRepudiation"],
        ),
        ("pharmacist.pem", &["薬剤師 (Pharmacist)", "見本　次郎", "テスト見本薬局"]),
        ("crl/rarl.crl", &["失効リスト", "CA certificates only", "TEST MHLW HPKI Root CA"]),
        ("crl/sarl.crl", &["失効リスト", "CA certificates only", "TEST MHLW HPKI Root CA"]),
        ("crl/jma.crl", &["失効リスト", "TEST Japan Medical Association"]),
        ("crl/jpa.crl", &["失効リスト", "-forNonRepudiation"]),
        ("crl/medis.crl", &["失効リスト", "TEST MEDIS"]),
        ("prescription.csv", &["処方箋", "架空　花子", "Rp.1"]),
        ("prescription.xml", &["電子処方箋", "Hanako Kakuu", "医師", "Rp.1"]),
        ("dispensing.xml", &["調剤結果", "Jiro Mihon", "薬剤師", "Hanako Kakuu", "医師"]),
        ("journal.txt", &["署名記録", "signature.intended", "signature.made", "✓"]),
    ] {
        let ran = azukari(&["inspect".as_ref(), paper(name).as_os_str()]);
        assert!(ran.well(), "{name}: {ran:?}");
        for words in expected {
            assert!(ran.out.contains(words), "{name} does not show {words}: {}", ran.out);
        }
    }
    // On her card there are two certificates with her qualification; what each is for its key says.
    let card = paper("town/cards/hpki-card-hanako.json");
    for (application, what, usage) in [
        ("signing", "署名用証明書", "nonRepudiation"),
        ("authentication", "認証用証明書", "digitalSignature"),
    ] {
        let certificate = crate::cards::certificate(&card, application, "inspected");
        let ran = azukari(&["inspect".as_ref(), certificate.as_os_str()]);
        assert!(ran.well(), "{application}: {ran:?}");
        assert!(ran.out.starts_with(what), "{application}: {}", ran.out);
        assert!(ran.out.contains("医師 (Medical Doctor)"), "{}", ran.out);
        assert!(ran.out.contains(&format!("keyUsage: {usage}\n")), "{}", ran.out);
    }
    let ran = azukari(&["inspect".as_ref(), paper("report.json").as_os_str()]);
    assert_eq!(ran.code, 1, "neither certificate nor document: {ran:?}");
}
