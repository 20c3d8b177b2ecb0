//! A small estate with throwaway keys, and documents signed in it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use hpki::crl::Revoked;
use hpki::kind::DocumentKind;
use hpki::name::DistinguishedName;
use hpki::oid;
use hpki::path::Anchor;
use hpki::profile::authentication::{Authentication, Person};
use hpki::profile::crl::{RevocationList, Scope};
use hpki::profile::root::Root;
use hpki::profile::signing_jma::SigningJma;
use hpki::profile::signing_medis::{Organization, SigningMedis};
use hpki::profile::sub_ca::SubCa;
use hpki::profile::{Issuer, PolicyStatement, ToBeSigned, Validity};
use hpki::qualification::Qualification;
use hpki::sign::SignatureAlgorithm;
use hpki::time::Timestamp;
use hpki::{Certificate, Crl};
use prescription::{document, sample};
use verifier::{Evidence, Report};
use xades::compose::{Draft, Recipe, Signer};

pub struct Key {
    pair: KeyPair,
    spki: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let spki = spki.as_ref().to_vec();
        Self { pair, spki }
    }
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut out = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out).unwrap();
        out
    }
    fn certify(&self, prepared: Result<ToBeSigned, hpki::Refusal>) -> Certificate {
        let prepared = prepared.unwrap();
        Certificate::from_der(&prepared.assemble(&self.sign(prepared.der()))).unwrap()
    }
}

pub struct Keys {
    root: Key,
    other_root: Key,
    authority: Key,
    authentication: Key,
    pub physician: Key,
    pub pharmacist: Key,
    pub card: Key,
}

pub fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        root: Key::new(),
        other_root: Key::new(),
        authority: Key::new(),
        authentication: Key::new(),
        physician: Key::new(),
        pharmacist: Key::new(),
        card: Key::new(),
    })
}

pub fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T13:42:00+09:00").unwrap()
}

fn name(unit: &str, common: Option<&str>) -> DistinguishedName {
    let name = DistinguishedName::builder().country("JP").organization("TEST Ministry").unit(unit);
    match common {
        Some(common) => name.common_name(common).build().unwrap(),
        None => name.build().unwrap(),
    }
}

const ROOT: &str = "TEST MHLW HPKI Root CA V2";

fn root(key: &Key) -> Certificate {
    let prepared = Root {
        serial: &[1],
        name: &name(ROOT, None),
        name_ja: &name("試験用", None),
        validity: Validity::authority(now().minus(2 * 86_400), 30),
        spki_der: &key.spki,
        algorithm: SignatureAlgorithm::RsaSha256,
        rarl_name: &name(ROOT, Some("RARL")),
        rarl_url: "http://test.example.jp/rarl2.crl",
    };
    key.certify(prepared.prepare())
}

/// The authorities and everything that is issued under them.
pub struct Estate {
    pub root: Certificate,
    pub other_root: Certificate,
    pub authority: Certificate,
    pub physician: Certificate,
    pub pharmacist: Certificate,
    pub lists: Vec<Crl>,
}

fn policy(oid: oid::ObjectIdentifier) -> PolicyStatement {
    PolicyStatement { oid, cps: "http://test.example.jp/".into() }
}

pub fn pharmacist_under(
    policy_oid: oid::ObjectIdentifier,
    qualification: Qualification,
) -> Certificate {
    keys().authority.certify(
        SigningJma {
            serial: &[0x83, 0xe3],
            issuer: &Issuer::of(&authority()).unwrap(),
            name_romaji: "TEST Hanako Kakuu",
            subject_serial: "TEST20024",
            qualification,
            validity: Validity::years_from_day(now(), 1),
            spki_der: &keys().pharmacist.spki,
            policy: &policy(policy_oid),
            crl_url: "http://test.example.jp/crl.crl",
        }
        .prepare(),
    )
}

fn authority() -> Certificate {
    keys().root.certify(
        SubCa {
            serial: &[4],
            issuer: &Issuer::of(&root(&keys().root)).unwrap(),
            name: &name("TEST HPKI CA", Some("HPKI-01-TestSignCA2-forNonRepudiation")),
            validity: Validity::authority(now().minus(86_400 + 100), 20),
            spki_der: &keys().authority.spki,
            policy: &policy(oid::POLICY_SIGNING),
            sarl_name: &name(ROOT, Some("SARL")),
            sarl_url: "http://test.example.jp/sarl2.crl",
        }
        .prepare(),
    )
}

/// The authority that certifies cards for authentication.
pub fn authentication() -> Certificate {
    keys().root.certify(
        SubCa {
            serial: &[5],
            issuer: &Issuer::of(&root(&keys().root)).unwrap(),
            name: &name(
                "TEST HPKI CA",
                Some("HPKI-01-TestAuthCA2-forAuthentication-forIndividual"),
            ),
            validity: Validity::authority(now().minus(86_400 + 100), 20),
            spki_der: &keys().authentication.spki,
            policy: &policy(oid::POLICY_AUTHENTICATION),
            sarl_name: &name(ROOT, Some("SARL")),
            sarl_url: "http://test.example.jp/sarl2.crl",
        }
        .prepare(),
    )
}

/// The authentication certificate of the card of whoever has this number and qualification.
pub fn card_of(number: &str, qualification: Qualification, years: i32) -> Certificate {
    keys().authentication.certify(card_to_be(number, qualification, years))
}

/// The same as it can be written by anybody: signed by the card's own key.
pub fn look_alike(number: &str) -> Certificate {
    keys().card.certify(card_to_be(number, Qualification::MedicalDoctor, 5))
}

fn card_to_be(
    number: &str,
    qualification: Qualification,
    years: i32,
) -> Result<ToBeSigned, hpki::Refusal> {
    let person = SigningMedis {
        serial: &[0x0c, 0xa2],
        issuer: &Issuer::of(&authentication()).unwrap(),
        name_romaji: "TEST Taro Kakuu",
        name_ja: "架空　太郎",
        organization: Some(Organization { romaji: "TEST HOSPITAL", ja: "試験病院" }),
        subject_serial: number,
        qualification,
        validity: Validity::years_from_day(now().minus(3 * 365 * 86_400), years),
        spki_der: &keys().card.spki,
        policy: &policy(oid::POLICY_AUTHENTICATION),
        crl_url: "http://test.example.jp/auth.crl",
    };
    Authentication { person: Person::Medis(person), client_auth: false }.prepare()
}

/// The list of the authority for cards.
pub fn card_list(this_update: Timestamp, entries: &[(Vec<u8>, Revoked)]) -> Crl {
    list(&authentication(), &keys().authentication, Scope::All, this_update, entries)
}

pub fn own_list(this_update: Timestamp, entries: &[(Vec<u8>, Revoked)]) -> Crl {
    list(&authority(), &keys().authority, Scope::All, this_update, entries)
}

fn list(
    issuer: &Certificate,
    key: &Key,
    scope: Scope<'_>,
    this_update: Timestamp,
    entries: &[(Vec<u8>, Revoked)],
) -> Crl {
    let issuer = Issuer::of(issuer).unwrap();
    let prepared = RevocationList { issuer: &issuer, scope, number: 7, this_update, entries };
    let prepared = prepared.prepare().unwrap();
    Crl::from_der(&prepared.assemble(&key.sign(prepared.der()))).unwrap()
}

pub fn estate() -> &'static Estate {
    static ESTATE: OnceLock<Estate> = OnceLock::new();
    ESTATE.get_or_init(|| {
        let own = root(&keys().root);
        let authority = authority();
        let physician = keys().authority.certify(
            SigningMedis {
                serial: &[0x01, 0x5e],
                issuer: &Issuer::of(&authority).unwrap(),
                name_romaji: "TEST Taro Kakuu",
                name_ja: "架空　太郎",
                organization: Some(Organization { romaji: "TEST HOSPITAL", ja: "試験病院" }),
                subject_serial: "TEST117120",
                qualification: Qualification::MedicalDoctor,
                validity: Validity::years_from_day(now(), 5),
                spki_der: &keys().physician.spki,
                policy: &policy(oid::POLICY_SIGNING),
                crl_url: "http://test.example.jp/crl.crl",
            }
            .prepare(),
        );
        let of_root = |point| {
            let point = name(ROOT, Some(point));
            list(&own, &keys().root, Scope::Authorities(&point), now(), &[])
        };
        Estate {
            other_root: root(&keys().other_root),
            pharmacist: pharmacist_under(oid::POLICY_SIGNING, Qualification::Pharmacist),
            lists: vec![of_root("RARL"), of_root("SARL"), own_list(now(), &[])],
            root: own,
            authority,
            physician,
        }
    })
}

/// What a verifier needs, ready to be changed.
pub struct Judge {
    pub anchors: Vec<Anchor>,
    pub intermediates: Vec<Certificate>,
    pub crls: Option<Vec<Crl>>,
    pub at: Timestamp,
    pub policies: Vec<oid::ObjectIdentifier>,
}

pub fn judge() -> Judge {
    Judge {
        anchors: vec![Anchor { certificate: estate().root.clone() }],
        intermediates: vec![estate().authority.clone()],
        crls: Some(estate().lists.clone()),
        at: now().plus(3_600),
        policies: vec![oid::POLICY_SIGNING],
    }
}

impl Judge {
    pub fn report(&self, document: &[u8]) -> Report {
        verifier::verify(
            document,
            &Evidence {
                anchors: &self.anchors,
                intermediates: &self.intermediates,
                crls: self.crls.as_deref(),
                at: self.at,
                policies: self.policies.clone(),
            },
        )
    }
}

pub fn sign(document: &[u8], kind: DocumentKind, key: &Key, certificate: &Certificate) -> Vec<u8> {
    sign_at(document, kind, key, certificate, now())
}

pub fn sign_at(
    document: &[u8],
    kind: DocumentKind,
    key: &Key,
    certificate: &Certificate,
    signing_time: Timestamp,
) -> Vec<u8> {
    let digest = xades::reference_digest(document, kind.signed_id()).unwrap();
    // The mark keeps the ids of two signatures apart; here one for each kind does.
    let recipe = Recipe { kind, digest, signing_time, mark: [kind as u8; 4] };
    let draft = Draft::new(&recipe, &Signer::new(certificate.der()));
    let element = draft.finish(&key.sign(draft.signed_info()));
    document::place_signature(document, kind, &element).unwrap()
}

pub fn unsigned_prescription() -> Vec<u8> {
    document::prescription(&sample::prescription(&sample::Prescribed::default())).unwrap()
}

pub fn prescription() -> Vec<u8> {
    let document = unsigned_prescription();
    sign(&document, DocumentKind::Prescription, &keys().physician, &estate().physician)
}

const ID: &str = "1439e0c5-0000-4000-8000-000000000001";

pub fn unsigned_dispensing(prescription: &[u8]) -> Vec<u8> {
    let registered = document::register_prescription(prescription, ID, &[]).unwrap();
    let record = sample::dispensing(&sample::Dispensed::default(), ID);
    document::dispensing(&registered, &record, "1439e0c5-0000-4000-8000-000000000002").unwrap()
}

pub fn dispensing() -> Vec<u8> {
    let document = unsigned_dispensing(&prescription());
    sign(&document, DocumentKind::Dispensing, &keys().pharmacist, &estate().pharmacist)
}
