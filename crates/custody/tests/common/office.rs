//! Officers for the tests, each with a key of her own.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom as Rng;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use custody::{Act, Directive, NewOfficer, OfficerRole};
use hpki::id::{DirectiveId, OfficerId};

use super::{House, ISSUER, NOW};

pub enum Key {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl Key {
    pub fn spki(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Ed25519(pair) => pair.public_key().as_der().unwrap(),
            Self::P256(pair) => pair.public_key().as_der().unwrap(),
        };
        der.as_ref().to_vec()
    }
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::P256(pair) => pair.sign(&Rng::new(), message).unwrap().as_ref().to_vec(),
        }
    }
    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }
    pub fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }
}

pub struct Person {
    pub id: OfficerId,
    pub key: Key,
}

impl Person {
    pub fn signature(&self, directive: &Directive) -> Vec<u8> {
        self.key.sign(&directive.confirmation(ISSUER, self.id))
    }
}

/// One operator, two for security, one auditor.
pub struct Office {
    pub operator: Person,
    pub security: Person,
    pub second: Person,
    pub auditor: Person,
}

pub async fn office(house: &House) -> Office {
    let mut keys = vec![Key::ed25519(), Key::p256(), Key::ed25519(), Key::p256()];
    let roles = [
        ("架空 運用", OfficerRole::Operator),
        ("架空 保安一", OfficerRole::Security),
        ("架空 保安二", OfficerRole::Security),
        ("架空 監査", OfficerRole::Auditor),
    ];
    let list = roles
        .iter()
        .zip(&keys)
        .map(|((name, role), key)| NewOfficer {
            name: (*name).into(),
            role: *role,
            public_key: key.spki(),
        })
        .collect();
    let officers = house.custody.found_officers(list, NOW).await.unwrap();
    let mut next = |number: usize| Person { id: officers[number].id, key: keys.remove(0) };
    Office { operator: next(0), security: next(1), second: next(2), auditor: next(3) }
}

pub async fn opened(house: &House, act: Act) -> Directive {
    house.custody.direct(act, NOW.plus(86_400), NOW).await.unwrap()
}

/// Opened, and confirmed by the operator and one for security.
pub async fn decided(house: &House, office: &Office, act: Act) -> DirectiveId {
    let directive = opened(house, act).await;
    for by in [&office.operator, &office.security] {
        house.custody.confirm(directive.id, by.id, &by.signature(&directive), NOW).await.unwrap();
    }
    directive.id
}

/// Destroys a key that is not held, before two officers.
pub async fn destroyed(house: &House, key: hpki::id::KeyId) {
    let office = office(house).await;
    let act = Act::Destroy { key, reason: "TEST".into(), backups: Vec::new() };
    let id = decided(house, &office, act).await;
    house.custody.destroy(id, NOW).await.unwrap();
}
