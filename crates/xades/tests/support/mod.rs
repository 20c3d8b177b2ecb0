//! A throwaway signer, documents of the right shape, and a signer that signs whatever it is told.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::Certificate;
use hpki::encoding::sha256;
use hpki::kind::DocumentKind;
use hpki::name::DistinguishedName;
use hpki::oid;
use hpki::profile::signing_jma::SigningJma;
use hpki::profile::{Issuer, PolicyStatement, Validity};
use hpki::qualification::Qualification;
use hpki::refusal::Refuse as _;
use hpki::sign::SignatureAlgorithm;
use hpki::time::Timestamp;
use xades::c14n::{Method, canonicalize};
use xades::compose::{Draft, Recipe, Signer};
use xades::{Refusal, parse, reference_digest, signature, splice};

pub struct Person {
    pub key: KeyPair,
    pub certificate: Certificate,
}

pub fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T13:42:00+09:00").unwrap()
}

impl Person {
    fn new(name: &str, qualification: Qualification) -> Self {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let authority = DistinguishedName::builder()
            .country("JP")
            .organization("TEST Authority")
            .common_name("HPKI-01-TestCA-forNonRepudiation")
            .build()
            .unwrap();
        let issuer = Issuer {
            name: authority.clone(),
            key_id: vec![7; 20],
            certificate_issuer: authority,
            certificate_serial: vec![2],
            algorithm: SignatureAlgorithm::RsaSha256,
        };
        let prepared = SigningJma {
            serial: &[1, 2],
            issuer: &issuer,
            name_romaji: name,
            subject_serial: "TEST000001",
            qualification,
            validity: Validity::years_from_day(now(), 1),
            spki_der: spki.as_ref(),
            policy: &PolicyStatement {
                oid: oid::POLICY_SIGNING,
                cps: "http://test.example.jp/".into(),
            },
            crl_url: "http://test.example.jp/crl.crl",
        }
        .prepare()
        .unwrap();
        // Whose signature the certificate carries plays no part in this room.
        let certificate = prepared.assemble(&sign(&key, prepared.der()));
        Self { certificate: Certificate::from_der(&certificate).unwrap(), key }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        sign(&self.key, message)
    }
}

fn sign(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    let mut out = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out).unwrap();
    out
}

pub fn physician() -> &'static Person {
    static PERSON: OnceLock<Person> = OnceLock::new();
    PERSON.get_or_init(|| Person::new("TEST Taro Kaku", Qualification::MedicalDoctor))
}

pub fn pharmacist() -> &'static Person {
    static PERSON: OnceLock<Person> = OnceLock::new();
    PERSON.get_or_init(|| Person::new("TEST Hanako Kaku", Qualification::Pharmacist))
}

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document id=\"Document\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:noNamespaceSchemaLocation=";

pub fn unsigned_prescription() -> Vec<u8> {
    format!(
        "{HEAD}\"EP.xsd\">\n<Prescription>\n<PrescriptionDocument id=\"PrescriptionDocument\">{}\
         </PrescriptionDocument>\n</Prescription>\n</Document>\n",
        STANDARD.encode("SJ1\n1,1,0000000,13,TEST 架空病院\n")
    )
    .into_bytes()
}

pub fn unsigned_dispensing(prescription: &[u8]) -> Vec<u8> {
    let inside = splice::content(prescription, "Document/Prescription").unwrap();
    let inside = String::from_utf8(inside.to_vec()).unwrap();
    format!(
        "{HEAD}\"ED.xsd\">\n<Dispensing id=\"Dispensing\">\n<ReferencePrescription>{inside}\
         </ReferencePrescription>\n<DispensingDocument id=\"DispensingDocument\">{}\
         </DispensingDocument>\n</Dispensing>\n</Document>\n",
        STANDARD.encode("CJ1,\n1,TEST 架空 太郎\n")
    )
    .into_bytes()
}

/// The signature element of this person over this document, by way of a digest alone.
pub fn signature_over(
    document: &[u8],
    kind: DocumentKind,
    person: &Person,
    mark: [u8; 4],
) -> String {
    let digest = reference_digest(document, kind.signed_id()).unwrap();
    let recipe = Recipe { kind, digest, signing_time: now(), mark };
    let draft = Draft::new(&recipe, &Signer::new(person.certificate.der()));
    draft.finish(&person.sign(draft.signed_info()))
}

pub fn place(document: &[u8], kind: DocumentKind, signature: &str) -> Vec<u8> {
    let (around, at) = match kind {
        DocumentKind::Prescription => ("PrescriptionSign", "Document/Prescription"),
        _ => ("DispensingSign", "Document"),
    };
    let fragment = format!("<{around}>{signature}</{around}>\n");
    splice::insert_before_end(document, at, fragment.as_bytes()).unwrap()
}

pub fn signed_prescription() -> Vec<u8> {
    let document = unsigned_prescription();
    let kind = DocumentKind::Prescription;
    place(&document, kind, &signature_over(&document, kind, physician(), [0xa1, 0, 0xff, 9]))
}

pub fn signed_dispensing() -> Vec<u8> {
    let document = unsigned_dispensing(&signed_prescription());
    let kind = DocumentKind::Dispensing;
    place(&document, kind, &signature_over(&document, kind, pharmacist(), [0xb2, 1, 2, 3]))
}

/// The verdict on the outer signature, then on the nested one.
pub fn judge(document: &[u8]) -> Result<(), Refusal> {
    let document = parse(document)?;
    let kind = signature::kind_of(&document)?;
    signature::verify(&document, &signature::find(&document, kind)?)?;
    if kind == DocumentKind::Dispensing {
        signature::verify(&document, &signature::find_nested(&document)?)?;
    }
    Ok(())
}

/// A signer who signs anything: makes the digests of a prescription's signature fit the changed
/// document, and signs SignedInfo again. Whatever is still refused is refused by a rule.
pub fn signed_anyway(document: &str, person: &Person) -> String {
    let mut text = document.to_owned();
    let parsed = parse(document.as_bytes()).unwrap();
    let signed_info = parsed.elements().find(|n| n.tag_name().name() == "SignedInfo").unwrap();
    let mut from = signed_info.range().start;
    let references: Vec<_> = signed_info
        .children()
        .filter(|node| node.tag_name().name() == "Reference")
        .map(|node| {
            let exclusive = node.descendants().any(|child| child.tag_name().name() == "Transform");
            let method = if exclusive { Method::Exclusive } else { Method::Inclusive10 };
            let target = match node.attribute("URI") {
                Some("") | None => None,
                Some(uri) => match parsed.by_id(uri.trim_start_matches('#')) {
                    Some(node) => Some(node),
                    None => return None,
                },
            };
            Some(STANDARD.encode(sha256(&canonicalize(&parsed, target, method, &[]))))
        })
        .collect();
    for digest in references {
        let Some(open) = text[from..].find("<ds:DigestValue>") else { break };
        let start = from + open + "<ds:DigestValue>".len();
        let end = start + text[start..].find('<').unwrap();
        if let Some(digest) = digest {
            text.replace_range(start..end, &format!("{digest}\n"));
        }
        from = start;
    }
    let parsed = parse(text.as_bytes()).unwrap();
    let signed_info = parsed.elements().find(|n| n.tag_name().name() == "SignedInfo").unwrap();
    let octets = canonicalize(&parsed, Some(signed_info), Method::Exclusive, &[]);
    let value = STANDARD.encode(person.sign(&octets));
    let open = text.find("-SignatureValue\">").unwrap() + "-SignatureValue\">".len();
    let close = open + text[open..].find('<').unwrap();
    text.replace_range(open..close, &format!("{value}\n"));
    text
}

/// As text.
pub fn text(document: Vec<u8>) -> String {
    String::from_utf8(document).unwrap()
}

/// The code that a document is refused with.
pub fn code(document: &str) -> &'static str {
    judge(document.as_bytes()).err().map_or("accepted", |refusal| refusal.code())
}

/// A signed prescription whose signature has a known mark.
pub fn prescription() -> String {
    let document = unsigned_prescription();
    let kind = DocumentKind::Prescription;
    let signature = signature_over(&document, kind, physician(), [0xc0, 0xff, 0xee, 0]);
    text(place(&document, kind, &signature))
}
