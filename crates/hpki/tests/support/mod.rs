//! A small estate of authorities and subscribers with throwaway keys, built by the profiles.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use hpki::certificate::Certificate;
use hpki::crl::{Crl, Revoked};
use hpki::name::DistinguishedName;
use hpki::oid;
use hpki::path::Anchor;
use hpki::profile::authentication::{Authentication, Person};
use hpki::profile::crl::{RevocationList, Scope};
use hpki::profile::root::{Root, TlsCa};
use hpki::profile::signing_jma::SigningJma;
use hpki::profile::signing_medis::{Organization, SigningMedis};
use hpki::profile::sub_ca::SubCa;
use hpki::profile::{Issuer, PolicyStatement, ToBeSigned, Validity, facility_tls, tls_server};
use hpki::qualification::Qualification;
use hpki::sign::{DeviceFault, Sign, SignatureAlgorithm};
use hpki::time::Timestamp;

enum Pair {
    Rsa(KeyPair),
    P256(EcdsaKeyPair),
}

/// A key that lives only as long as the test.
pub struct ThrowawayKey {
    pair: Pair,
    spki: Vec<u8>,
}

impl ThrowawayKey {
    pub fn rsa() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let spki = spki.as_ref().to_vec();
        Self { pair: Pair::Rsa(pair), spki }
    }
    pub fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let spki = spki.as_ref().to_vec();
        Self { pair: Pair::P256(pair), spki }
    }
}

impl Sign for ThrowawayKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        match self.pair {
            Pair::Rsa(_) => SignatureAlgorithm::RsaSha256,
            Pair::P256(_) => SignatureAlgorithm::EcdsaP256Sha256,
        }
    }
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out).unwrap();
                Ok(out)
            }
            Pair::P256(pair) => {
                Ok(pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec())
            }
        }
    }
}

/// Throwaway keys are made once per test binary; RSA keys are slow to make.
pub struct Keys {
    pub root: ThrowawayKey,
    pub other_root: ThrowawayKey,
    pub medis: ThrowawayKey,
    pub jma: ThrowawayKey,
    pub medis_auth: ThrowawayKey,
    pub jma_auth: ThrowawayKey,
    pub card: ThrowawayKey,
    pub other_card: ThrowawayKey,
    pub doctor: ThrowawayKey,
    pub pharmacist: ThrowawayKey,
    pub tls: ThrowawayKey,
    pub gateway: ThrowawayKey,
}

pub fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        root: ThrowawayKey::rsa(),
        other_root: ThrowawayKey::rsa(),
        medis: ThrowawayKey::rsa(),
        jma: ThrowawayKey::rsa(),
        medis_auth: ThrowawayKey::rsa(),
        jma_auth: ThrowawayKey::rsa(),
        card: ThrowawayKey::rsa(),
        other_card: ThrowawayKey::rsa(),
        doctor: ThrowawayKey::rsa(),
        pharmacist: ThrowawayKey::rsa(),
        tls: ThrowawayKey::p256(),
        gateway: ThrowawayKey::p256(),
    })
}

pub fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T13:42:00+09:00").unwrap()
}

/// Lints, signs, lints again: the way a certificate is made.
pub fn sign(prepared: &ToBeSigned, key: &ThrowawayKey) -> Certificate {
    hpki::lint::prepared(prepared).unwrap();
    let der = prepared.assemble(&key.sign(prepared.der()).unwrap());
    hpki::lint::issued(prepared, &der, key.spki_der()).unwrap()
}

pub fn sign_list(prepared: &ToBeSigned, key: &ThrowawayKey) -> Crl {
    hpki::lint::prepared(prepared).unwrap();
    let der = prepared.assemble(&key.sign(prepared.der()).unwrap());
    hpki::lint::issued_list(prepared, &der, key.spki_der()).unwrap()
}

pub fn root_name() -> DistinguishedName {
    DistinguishedName::builder()
        .country("JP")
        .organization("TEST Ministry of Health, Labour and Welfare")
        .unit("TEST Director-General for Policy Planning and Evaluation")
        .unit("TEST MHLW HPKI Root CA V2")
        .build()
        .unwrap()
}

fn list_name(list: &str) -> DistinguishedName {
    DistinguishedName::builder()
        .country("JP")
        .organization("TEST Ministry of Health, Labour and Welfare")
        .unit("TEST Director-General for Policy Planning and Evaluation")
        .unit("TEST MHLW HPKI Root CA V2")
        .common_name(list)
        .build()
        .unwrap()
}

pub fn root_certificate(key: &ThrowawayKey) -> Certificate {
    let name_ja = DistinguishedName::builder()
        .country("JP")
        .organization("試験用厚生労働省")
        .unit("試験用政策統括官")
        .build()
        .unwrap();
    let root = Root {
        serial: &[1],
        name: &root_name(),
        name_ja: &name_ja,
        validity: Validity::authority(now().minus(2 * 86_400), 30),
        spki_der: key.spki_der(),
        algorithm: key.algorithm(),
        rarl_name: &list_name("RARL"),
        rarl_url: "http://hpki.test-mhlw.example.jp/repository/rlist/rarl2.crl",
    };
    sign(&root.prepare().unwrap(), key)
}

pub fn policy(oid: hpki::oid::ObjectIdentifier) -> PolicyStatement {
    PolicyStatement { oid, cps: "http://hpki.test-mhlw.example.jp/repository/".into() }
}

pub fn sub_ca(name: &str, organization: &str, serial: u8, key: &ThrowawayKey) -> Certificate {
    sub_ca_of(oid::POLICY_SIGNING, name, organization, serial, key)
}

pub fn sub_ca_of(
    oid: hpki::oid::ObjectIdentifier,
    name: &str,
    organization: &str,
    serial: u8,
    key: &ThrowawayKey,
) -> Certificate {
    let root = root_certificate_shared();
    let name = DistinguishedName::builder()
        .country("JP")
        .organization(organization)
        .unit("TEST HPKI CA")
        .common_name(name)
        .build()
        .unwrap();
    let prepared = SubCa {
        serial: &[serial],
        issuer: &Issuer::of(root).unwrap(),
        name: &name,
        validity: Validity::authority(now().minus(86_400 + 100), 20),
        spki_der: key.spki_der(),
        policy: &policy(oid),
        sarl_name: &list_name("SARL"),
        sarl_url: "http://hpki.test-mhlw.example.jp/repository/rlist/sarl2.crl",
    }
    .prepare()
    .unwrap();
    sign(&prepared, &keys().root)
}

pub fn root_certificate_shared() -> &'static Certificate {
    static ROOT: OnceLock<Certificate> = OnceLock::new();
    ROOT.get_or_init(|| root_certificate(&keys().root))
}

/// Authorities, subscribers and lists that all fit each other.
pub struct Estate {
    pub root: Certificate,
    pub other_root: Certificate,
    pub medis: Certificate,
    pub jma: Certificate,
    pub medis_auth: Certificate,
    pub jma_auth: Certificate,
    pub doctor_card: Certificate,
    pub pharmacist_card: Certificate,
    pub doctor: Certificate,
    pub pharmacist: Certificate,
    pub tls_ca: Certificate,
    pub gateway: Certificate,
    pub server: Certificate,
    pub lists: Vec<(&'static str, Crl)>,
}

pub fn doctor_of(
    oid: hpki::oid::ObjectIdentifier,
    issuer: &Certificate,
    key: &ThrowawayKey,
    validity: Validity,
) -> Certificate {
    let prepared = SigningMedis {
        serial: &[0x01, 0x5e],
        issuer: &Issuer::of(issuer).unwrap(),
        name_romaji: "Taro Kakuu",
        name_ja: "架空　太郎",
        organization: Some(Organization { romaji: "TEST HOSPITAL", ja: "試験病院" }),
        subject_serial: "Test117120",
        qualification: Qualification::MedicalDoctor,
        validity,
        spki_der: keys().doctor.spki_der(),
        policy: &policy(oid),
        crl_url: "http://crl.test-medis.example.jp/sign/crl-sign2.crl",
    }
    .prepare()
    .unwrap();
    sign(&prepared, key)
}

/// The doctor's card in the MEDIS layout.
pub fn doctor_card(
    oid: hpki::oid::ObjectIdentifier,
    issuer: &Certificate,
    key: &ThrowawayKey,
    (validity, client_auth): (Validity, bool),
    spki_der: &[u8],
) -> Certificate {
    let person = SigningMedis {
        serial: &[0x02, 0x5e],
        issuer: &Issuer::of(issuer).unwrap(),
        name_romaji: "Taro Kakuu",
        name_ja: "架空　太郎",
        organization: Some(Organization { romaji: "TEST HOSPITAL", ja: "試験病院" }),
        subject_serial: "Test117120",
        qualification: Qualification::MedicalDoctor,
        validity,
        spki_der,
        policy: &policy(oid),
        crl_url: "http://crl.test-medis.example.jp/auth/crl-auth2.crl",
    };
    let card = Authentication { person: Person::Medis(person), client_auth };
    sign(&card.prepare().unwrap(), key)
}

pub fn list(
    issuer: &Certificate,
    key: &ThrowawayKey,
    scope: Scope<'_>,
    this_update: Timestamp,
    entries: &[(Vec<u8>, Revoked)],
) -> Crl {
    let issuer = Issuer::of(issuer).unwrap();
    let prepared =
        RevocationList { issuer: &issuer, scope, number: 7, this_update, entries }.prepare();
    sign_list(&prepared.unwrap(), key)
}

pub fn authority_list(point: &str, this_update: Timestamp, entries: &[(Vec<u8>, Revoked)]) -> Crl {
    let name = list_name(point);
    let scope = Scope::Authorities(&name);
    list(root_certificate_shared(), &keys().root, scope, this_update, entries)
}

pub fn estate() -> &'static Estate {
    static ESTATE: OnceLock<Estate> = OnceLock::new();
    ESTATE.get_or_init(build)
}

fn build() -> Estate {
    let keys = keys();
    let root = root_certificate_shared().clone();
    let medis = sub_ca("HPKI-01-TestMedisSignCA2-forNonRepudiation", "TEST MEDIS", 4, &keys.medis);
    let jma = sub_ca("HPKI-01-TestHPKI_JV2-forNonRepudiation", "TEST JMA", 2, &keys.jma);
    let doctor =
        doctor_of(oid::POLICY_SIGNING, &medis, &keys.medis, Validity::years_from_day(now(), 5));
    let pharmacist = SigningJma {
        serial: &[0x83, 0xe3],
        issuer: &Issuer::of(&jma).unwrap(),
        name_romaji: "Hanako Kakuu",
        subject_serial: "T20024",
        qualification: Qualification::Pharmacist,
        validity: Validity::years_from_day(now(), 5),
        spki_der: keys.pharmacist.spki_der(),
        policy: &policy(oid::POLICY_SIGNING),
        crl_url: "http://crl.test-med.example.jp/repository/crl/crl-sign2.crl",
    };
    let pharmacist = sign(&pharmacist.prepare().unwrap(), &keys.jma);
    let medis_auth = sub_ca_of(
        oid::POLICY_AUTHENTICATION,
        "HPKI-01-TestMedisAuthCA2-forAuthentication-forIndividual",
        "TEST MEDIS",
        5,
        &keys.medis_auth,
    );
    let jma_auth = sub_ca_of(
        oid::POLICY_AUTHENTICATION,
        "HPKI-01-TestHPKI_JAuth2-forAuthentication-forIndividual",
        "TEST JMA",
        6,
        &keys.jma_auth,
    );
    let five_years = Validity::years_from_day(now(), 5);
    let doctor_card = doctor_card(
        oid::POLICY_AUTHENTICATION,
        &medis_auth,
        &keys.medis_auth,
        (five_years, false),
        keys.card.spki_der(),
    );
    let pharmacist_card = SigningJma {
        serial: &[0x84, 0xe3],
        issuer: &Issuer::of(&jma_auth).unwrap(),
        name_romaji: "Hanako Kakuu",
        subject_serial: "T20024",
        qualification: Qualification::Pharmacist,
        validity: five_years,
        spki_der: keys.other_card.spki_der(),
        policy: &policy(oid::POLICY_AUTHENTICATION),
        crl_url: "http://crl.test-med.example.jp/repository/crl/crl-auth2.crl",
    };
    let pharmacist_card =
        Authentication { person: Person::Jma(pharmacist_card), client_auth: true };
    let pharmacist_card = sign(&pharmacist_card.prepare().unwrap(), &keys.jma_auth);
    let tls_name = DistinguishedName::builder()
        .country("JP")
        .organization("TEST Azukari")
        .common_name("TEST Azukari TLS CA")
        .build()
        .unwrap();
    let tls_ca = TlsCa {
        serial: &[1],
        name: &tls_name,
        validity: Validity::authority(now().minus(86_400), 10),
        spki_der: keys.tls.spki_der(),
        algorithm: keys.tls.algorithm(),
    };
    let tls_ca = sign(&tls_ca.prepare().unwrap(), &keys.tls);
    let tls_issuer = Issuer::of(&tls_ca).unwrap();
    let gateway = facility_tls::FacilityTls {
        serial: &[2],
        issuer: &tls_issuer,
        code: &"1312345678".parse().unwrap(),
        name: "TEST HOSPITAL",
        gateway: "gw1",
        validity: facility_tls::lifetime(now()),
        spki_der: keys.gateway.spki_der(),
        crl_url: "http://crl.test-azukari.example.jp/tls.crl",
    };
    let gateway = sign(&gateway.prepare().unwrap(), &keys.tls);
    let server = tls_server::TlsServer {
        serial: &[3],
        issuer: &tls_issuer,
        name: "TEST Azukari platform",
        dns_names: &["platform.test-azukari.example.jp".into()],
        addresses: &["127.0.0.1".parse().unwrap()],
        validity: facility_tls::lifetime(now()),
        spki_der: keys.gateway.spki_der(),
        crl_url: "http://crl.test-azukari.example.jp/tls.crl",
    };
    let server = sign(&server.prepare().unwrap(), &keys.tls);
    let at = now();
    let lists = vec![
        ("rarl", authority_list("RARL", at, &[])),
        ("sarl", authority_list("SARL", at, &[])),
        ("medis", list(&medis, &keys.medis, Scope::All, at, &[])),
        ("jma", list(&jma, &keys.jma, Scope::All, at, &[])),
        ("medis-auth", list(&medis_auth, &keys.medis_auth, Scope::All, at, &[])),
        ("jma-auth", list(&jma_auth, &keys.jma_auth, Scope::All, at, &[])),
        ("tls", list(&tls_ca, &keys.tls, Scope::All, at, &[])),
    ];
    Estate {
        other_root: root_certificate(&keys.other_root),
        root,
        medis,
        jma,
        medis_auth,
        jma_auth,
        doctor_card,
        pharmacist_card,
        doctor,
        pharmacist,
        tls_ca,
        gateway,
        server,
        lists,
    }
}

impl Estate {
    pub fn anchor(&self) -> Vec<Anchor> {
        vec![Anchor { certificate: self.root.clone() }]
    }
    pub fn crls(&self) -> Vec<Crl> {
        self.lists.iter().map(|(_, list)| list.clone()).collect()
    }
    /// Writes everything as files for foreign judges.
    pub fn write(&self, folder: &std::path::Path) {
        let certificates = [
            ("root", &self.root),
            ("medis", &self.medis),
            ("jma", &self.jma),
            ("medis-auth", &self.medis_auth),
            ("jma-auth", &self.jma_auth),
            ("doctor-card", &self.doctor_card),
            ("pharmacist-card", &self.pharmacist_card),
            ("doctor", &self.doctor),
            ("pharmacist", &self.pharmacist),
            ("tls-ca", &self.tls_ca),
            ("gateway", &self.gateway),
            ("server", &self.server),
        ];
        for (name, certificate) in certificates {
            std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        }
        for (name, list) in &self.lists {
            std::fs::write(folder.join(format!("{name}.crl.pem")), list.pem()).unwrap();
            std::fs::write(folder.join(format!("{name}.crl")), list.der()).unwrap();
        }
    }
}
