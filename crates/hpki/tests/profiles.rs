//! Each profile as a readable dump: what a person would check against a real certificate.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fmt::Write;

use hpki::asn1::{Reader, tag};
use hpki::certificate::Certificate;
use hpki::profile::key_identifier;
use support::{estate, keys};

/// One line per value, indented by depth. Keys differ in every run and are shown by their owner.
fn dump(octets: &[u8], depth: usize, out: &mut String) {
    let mut reader = Reader::new(octets);
    while let Ok(value) = reader.read() {
        let content = value.content;
        let _ = write!(out, "{:depth$}", "", depth = depth * 2);
        let constructed = value.tag & 0x20 != 0;
        let name = match value.tag {
            tag::SEQUENCE => "SEQUENCE".into(),
            tag::SET => "SET".into(),
            tag::INTEGER => "INTEGER".into(),
            tag::OCTET_STRING => "OCTET STRING".into(),
            tag::BIT_STRING => "BIT STRING".into(),
            tag::BOOLEAN => "BOOLEAN".into(),
            tag::NULL => "NULL".into(),
            tag::ENUMERATED => "ENUMERATED".into(),
            tag::OID => "OID".into(),
            tag::UTF8_STRING => "UTF8String".into(),
            tag::PRINTABLE_STRING => "PrintableString".into(),
            tag::IA5_STRING => "IA5String".into(),
            tag::UTC_TIME => "UTCTime".into(),
            tag::GENERALIZED_TIME => "GeneralizedTime".into(),
            other => format!("[{}]", other & 0x1f),
        };
        out.push_str(&name);
        if value.tag == tag::SEQUENCE && is_public_key(content) {
            out.push_str(" (public key)\n");
        } else if constructed || (value.tag == tag::OCTET_STRING && holds_one_value(content)) {
            out.push('\n');
            dump(content, depth + 1, out);
        } else if value.tag == tag::OID {
            let _ = writeln!(out, " {}", value.oid().unwrap());
        } else if let Some(owner) = owner_of_key_id(content) {
            let _ = writeln!(out, " (key identifier of {owner})");
        } else if let Ok(text) = value.text() {
            let _ = writeln!(out, " {text}");
        } else if value.time().is_ok()
            || content.starts_with(b"http")
            || content.starts_with(b"urn:")
        {
            let _ = writeln!(out, " {}", String::from_utf8_lossy(content));
        } else {
            let _ = writeln!(out, " {}", hex::encode(content));
        }
    }
}

fn is_public_key(content: &[u8]) -> bool {
    let keys = keys();
    let all = [
        &keys.root,
        &keys.medis,
        &keys.jma,
        &keys.medis_auth,
        &keys.jma_auth,
        &keys.card,
        &keys.other_card,
        &keys.doctor,
        &keys.pharmacist,
        &keys.tls,
        &keys.gateway,
    ];
    all.iter().any(|key| hpki::sign::Sign::spki_der(*key).ends_with(content) && content.len() > 64)
}

fn holds_one_value(content: &[u8]) -> bool {
    let mut reader = Reader::new(content);
    reader.read().is_ok() && reader.is_empty()
}

fn owner_of_key_id(content: &[u8]) -> Option<&'static str> {
    let keys = keys();
    let all = [
        ("root", &keys.root),
        ("MEDIS", &keys.medis),
        ("JMA", &keys.jma),
        ("MEDIS for authentication", &keys.medis_auth),
        ("JMA for authentication", &keys.jma_auth),
        ("doctor's card", &keys.card),
        ("pharmacist's card", &keys.other_card),
        ("doctor", &keys.doctor),
        ("pharmacist", &keys.pharmacist),
        ("TLS authority", &keys.tls),
        ("gateway", &keys.gateway),
    ];
    all.into_iter().find_map(|(name, key)| {
        let id = key_identifier(hpki::sign::Sign::spki_der(key)).unwrap();
        (id == content).then_some(name)
    })
}

fn dumped(tbs: &[u8]) -> String {
    let mut out = String::new();
    dump(tbs, 0, &mut out);
    out
}

#[test]
fn certificates_look_like_this() {
    let estate = estate();
    let all: [(&str, &Certificate); 10] = [
        ("root", &estate.root),
        ("sub_ca", &estate.medis),
        ("signing_medis", &estate.doctor),
        ("signing_jma", &estate.pharmacist),
        ("sub_ca_authentication", &estate.medis_auth),
        ("authentication_medis", &estate.doctor_card),
        ("authentication_jma_with_client_auth", &estate.pharmacist_card),
        ("tls_ca", &estate.tls_ca),
        ("facility_tls", &estate.gateway),
        ("tls_server", &estate.server),
    ];
    for (name, certificate) in all {
        insta::assert_snapshot!(name, dumped(certificate.tbs()));
    }
}

#[test]
fn lists_look_like_this() {
    for (name, list) in &estate().lists {
        if ["sarl", "medis"].contains(name) {
            insta::assert_snapshot!(format!("crl_{name}"), dumped(list.tbs()));
        }
    }
}

#[test]
fn a_certificate_reads_back_as_it_was_described() {
    let doctor = &estate().doctor;
    assert_eq!(doctor.serial_hex(), "015e");
    assert_eq!(doctor.serial_der(), [2, 2, 1, 0x5e]);
    assert_eq!(doctor.common_name(), Some("Taro Kakuu"));
    assert_eq!(doctor.name_ja(), Some("架空　太郎"));
    assert_eq!(doctor.organization(), Some("TEST HOSPITAL"));
    assert_eq!(doctor.organization_ja(), Some("試験病院"));
    assert_eq!(doctor.subject_serial_number(), Some("Test117120"));
    assert_eq!(doctor.role(), Some("Medical Doctor"));
    assert_eq!(doctor.crl_urls(), ["http://crl.test-medis.example.jp/sign/crl-sign2.crl"]);
    assert_eq!(doctor.not_before().rfc3339(), "2026-11-20T15:00:00Z");
    assert_eq!(doctor.not_after().rfc3339(), "2031-11-21T14:59:59Z");
    assert!(estate().medis.not_before() < doctor.not_before());
    assert!(estate().root.not_before() < estate().medis.not_before());
    let aki = doctor.aki().unwrap();
    assert_eq!(aki.key_id.as_deref(), estate().medis.ski());
    assert_eq!(aki.issuer.as_ref(), Some(estate().root.subject()));
    assert_eq!(aki.serial.as_deref(), Some(&[4][..]));
    assert_eq!(Certificate::from_pem(doctor.pem().as_bytes()).unwrap(), *doctor);

    let pharmacist = &estate().pharmacist;
    assert_eq!(pharmacist.organization(), None);
    assert_eq!(pharmacist.name_ja(), None);
    assert_eq!(pharmacist.serial_der(), [2, 3, 0, 0x83, 0xe3]);
    assert_eq!(pharmacist.serial_hex(), "83e3");

    let gateway = hpki::profile::facility_tls::GatewayName::of(&estate().gateway).unwrap();
    assert_eq!((gateway.facility.as_str(), gateway.gateway.as_str()), ("1312345678", "gw1"));
    assert!(hpki::profile::facility_tls::GatewayName::of(doctor).is_none());
}

#[test]
fn no_changed_or_missing_octet_makes_the_parser_stumble() {
    let der = estate().doctor.der();
    for position in 0..der.len() {
        assert!(Certificate::from_der(&der[..position]).is_err());
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = der.to_vec();
            changed[position] ^= flip;
            let _ = Certificate::from_der(&changed);
        }
    }
    let list = estate().lists[1].1.der();
    for position in 0..list.len() {
        assert!(hpki::Crl::from_der(&list[..position]).is_err());
        let mut changed = list.to_vec();
        changed[position] ^= 0x41;
        let _ = hpki::Crl::from_der(&changed);
    }
}
