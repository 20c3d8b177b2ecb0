//! A root, a certification authority, a physician and a pharmacist, all made up, with throwaway
//! keys.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use aws_lc_rs::{hmac, rand};
use hpki::crl::{Reason, Revoked};
use hpki::encoding::{Digest32, Statement};
use hpki::name::DistinguishedName;
use hpki::oid;
use hpki::profile::crl::{RevocationList, Scope};
use hpki::profile::root::Root;
use hpki::profile::signing_medis::{Organization, SigningMedis};
use hpki::profile::sub_ca::SubCa;
use hpki::profile::{Issuer, PolicyStatement, ToBeSigned, Validity};
use hpki::qualification::Qualification;
use hpki::sign::{DeviceFault, Mac, Random, Sign, SignatureAlgorithm};
use hpki::time::Timestamp;
use hpki::{Certificate, Crl};

pub(crate) struct Key {
    pair: KeyPair,
    pub(crate) spki: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let spki = spki.as_ref().to_vec();
        Self { pair, spki }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut out = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut out).unwrap();
        out
    }
}

pub(crate) struct Estate {
    root_key: Key,
    authority_key: Key,
    pub(crate) root: Certificate,
    pub(crate) other_root: Certificate,
    pub(crate) authority: Certificate,
    pub(crate) physician: (Key, Certificate),
    pub(crate) pharmacist: (Key, Certificate),
}

/// Whom a certificate names.
#[derive(Clone, Copy)]
pub(crate) struct Who {
    pub(crate) romaji: &'static str,
    pub(crate) ja: &'static str,
    pub(crate) number: &'static str,
    pub(crate) qualification: Qualification,
}

pub(crate) const PHYSICIAN: Who = Who {
    romaji: "Taro Kakuu",
    ja: "架空　太郎",
    number: "Test000001",
    qualification: Qualification::MedicalDoctor,
};
pub(crate) const PHARMACIST: Who = Who {
    romaji: "Yakuko Kakuu",
    ja: "架空　薬子",
    number: "Test000002",
    qualification: Qualification::Pharmacist,
};
pub(crate) const COLLEAGUE: Who = Who {
    romaji: "Jiro Kakuu",
    ja: "架空　次郎",
    number: "Test000003",
    qualification: Qualification::MedicalDoctor,
};

pub(crate) static ESTATE: LazyLock<Estate> = LazyLock::new(Estate::new);

pub(crate) fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T13:42:00+09:00").unwrap()
}

fn name(parts: &[&str]) -> DistinguishedName {
    let mut name = DistinguishedName::builder().country("JP").organization("TEST");
    for part in parts {
        name = name.unit(part);
    }
    name.build().unwrap()
}

fn certificate(prepared: &ToBeSigned, key: &Key) -> Certificate {
    Certificate::from_der(&prepared.assemble(&key.sign(prepared.der()))).unwrap()
}

fn root(key: &Key) -> Certificate {
    let prepared = Root {
        serial: &[1],
        name: &name(&["TEST MHLW HPKI Root CA"]),
        name_ja: &name(&["試験用ルート"]),
        validity: Validity::authority(now().minus(3 * 86_400), 30),
        spki_der: &key.spki,
        algorithm: SignatureAlgorithm::RsaSha256,
        rarl_name: &name(&["RARL"]),
        rarl_url: "http://hpki.test.example.jp/rarl.crl",
    };
    certificate(&prepared.prepare().unwrap(), key)
}

impl Estate {
    fn new() -> Self {
        let (root_key, other_key, authority_key) = (Key::new(), Key::new(), Key::new());
        let policy = PolicyStatement {
            oid: oid::POLICY_SIGNING,
            cps: "http://hpki.test.example.jp/".into(),
        };
        let root_certificate = root(&root_key);
        let authority = SubCa {
            serial: &[4],
            issuer: &Issuer::of(&root_certificate).unwrap(),
            name: &name(&["HPKI-01-TEST-forNonRepudiation"]),
            validity: Validity::authority(now().minus(2 * 86_400), 20),
            spki_der: &authority_key.spki,
            policy: &policy,
            sarl_name: &name(&["SARL"]),
            sarl_url: "http://hpki.test.example.jp/sarl.crl",
        };
        let authority = certificate(&authority.prepare().unwrap(), &root_key);
        let mut estate = Self {
            physician: (Key::new(), root_certificate.clone()),
            pharmacist: (Key::new(), root_certificate.clone()),
            other_root: root(&other_key),
            root: root_certificate,
            authority,
            root_key,
            authority_key,
        };
        estate.physician.1 = estate.certify(PHYSICIAN, 11, &estate.physician.0.spki, now());
        estate.pharmacist.1 = estate.certify(PHARMACIST, 12, &estate.pharmacist.0.spki, now());
        estate
    }

    /// A signing certificate from this day on.
    pub(crate) fn certify(
        &self,
        who: Who,
        serial: u8,
        spki_der: &[u8],
        from: Timestamp,
    ) -> Certificate {
        let policy = PolicyStatement {
            oid: oid::POLICY_SIGNING,
            cps: "http://hpki.test.example.jp/".into(),
        };
        let prepared = SigningMedis {
            serial: &[serial],
            issuer: &Issuer::of(&self.authority).unwrap(),
            name_romaji: who.romaji,
            name_ja: who.ja,
            organization: Some(Organization { romaji: "TEST HOSPITAL", ja: "試験病院" }),
            subject_serial: who.number,
            qualification: who.qualification,
            validity: Validity::years_from_day(from, 5),
            spki_der,
            policy: &policy,
            crl_url: "http://crl.test.example.jp/sign.crl",
        };
        certificate(&prepared.prepare().unwrap(), &self.authority_key)
    }

    /// The authority's list, on which these are, and the root's list of authorities.
    pub(crate) fn lists(&self, revoked: &[&Certificate], at: Timestamp) -> Vec<Crl> {
        let told = Revoked { at, reason: Reason::KeyCompromise };
        let entries: Vec<_> = revoked.iter().map(|one| (one.serial().to_vec(), told)).collect();
        let list = |issuer: &Certificate, key: &Key, scope: Scope<'_>, entries: &[_]| {
            let prepared = RevocationList {
                issuer: &Issuer::of(issuer).unwrap(),
                scope,
                number: 1,
                this_update: at,
                entries,
            };
            let prepared = prepared.prepare().unwrap();
            Crl::from_der(&prepared.assemble(&key.sign(prepared.der()))).unwrap()
        };
        vec![
            list(&self.authority, &self.authority_key, Scope::All, &entries),
            list(&self.root, &self.root_key, Scope::Authorities(&name(&["SARL"])), &[]),
        ]
    }
}

pub(crate) struct LogKey {
    pair: Ed25519KeyPair,
    spki: Vec<u8>,
}

impl LogKey {
    pub(crate) fn new(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
        spki.extend_from_slice(pair.public_key().as_ref());
        Self { pair, spki }
    }
}

impl Sign for LogKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Ed25519
    }
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }
}

pub(crate) struct StreamKeys;

impl Mac for StreamKeys {
    fn mac(&self, statement: &Statement) -> Result<Digest32, DeviceFault> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a test key");
        Ok(hmac::sign(&key, &statement.octets()).as_ref().try_into().unwrap())
    }
}

pub(crate) struct Dice;

impl Random for Dice {
    fn fill(&self, buffer: &mut [u8]) {
        rand::fill(buffer).unwrap();
    }
}
