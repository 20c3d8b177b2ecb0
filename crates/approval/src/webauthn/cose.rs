//! A credential's public key (COSE_Key, RFC 9052 §7) and its signatures.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519,
    ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm,
};
use ciborium::Value;

use super::cbor::{self, integer, numbered};
use crate::refusal::Refusal;

/// The signature algorithms that we can verify, by their COSE numbers (IANA COSE Algorithms).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// −7: ECDSA on P-256 with SHA-256.
    Es256,
    /// −35: ECDSA on P-384 with SHA-384.
    Es384,
    /// −36: ECDSA on P-521 with SHA-512.
    Es512,
    /// −257: RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// −8: EdDSA, with Ed25519 only (AWS-LC has no Ed448).
    EdDsa,
}

impl Algorithm {
    /// What may be linked; also the order in which authenticators are asked.
    pub const LINKABLE: [Self; 3] = [Self::Es256, Self::Rs256, Self::EdDsa];

    /// The COSE number.
    pub const fn number(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::Es384 => -35,
            Self::Es512 => -36,
            Self::Rs256 => -257,
            Self::EdDsa => -8,
        }
    }

    /// The algorithm with this COSE number.
    ///
    /// # Errors
    /// `algorithm-unsupported`.
    pub fn from_number(number: i64) -> Result<Self, Refusal> {
        [Self::Es256, Self::Es384, Self::Es512, Self::Rs256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.number() == number)
            .ok_or(Refusal::AlgorithmUnsupported(number))
    }
}

/// A parsed public key.
#[derive(Debug)]
pub(crate) struct PublicKey {
    pub(crate) algorithm: Algorithm,
    material: Material,
}

#[derive(Debug)]
enum Material {
    /// An uncompressed point, or an Ed25519 key.
    Raw(Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads a COSE_Key; nothing may follow it.
    pub(crate) fn parse(cose: &[u8]) -> Result<Self, Refusal> {
        let key = cbor::only(cose)?;
        let malformed = Refusal::CredentialKeyWrong("not a COSE_Key");
        let number = numbered(&key, 3).and_then(integer).ok_or(malformed.clone())?;
        let algorithm = Algorithm::from_number(number)?;
        let kty = numbered(&key, 1).and_then(integer).ok_or(malformed)?;
        let material = match algorithm {
            Algorithm::Es256 => point(&key, kty, 1, 32)?,
            Algorithm::Es384 => point(&key, kty, 2, 48)?,
            Algorithm::Es512 => point(&key, kty, 3, 66)?,
            Algorithm::EdDsa => octet_key(&key, kty)?,
            Algorithm::Rs256 => rsa(&key, kty)?,
        };
        let parsed = Self { algorithm, material };
        if let Material::Raw(octets) = &parsed.material {
            // A point off the curve would never verify; better refused now than at the first use.
            ParsedPublicKey::new(parsed.verifier(), octets)
                .map_err(|_| Refusal::CredentialKeyWrong("not a point of its curve"))?;
        }
        Ok(parsed)
    }

    fn verifier(&self) -> &'static dyn VerificationAlgorithm {
        match self.algorithm {
            Algorithm::Es256 => &ECDSA_P256_SHA256_ASN1,
            Algorithm::Es384 => &ECDSA_P384_SHA384_ASN1,
            Algorithm::Es512 => &ECDSA_P521_SHA512_ASN1,
            Algorithm::EdDsa => &ED25519,
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        }
    }

    /// Whether the signature over the message is this key's.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Raw(octets) => {
                UnparsedPublicKey::new(self.verifier(), octets).verify(message, signature).is_ok()
            }
            Material::Rsa { n, e } => PublicKeyComponents { n, e }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
        }
    }
}

/// EC2 (kty 2): curve and both coordinates of full length (§5.8.5: compressed points are not used).
fn point(key: &Value, kty: i64, curve: i64, length: usize) -> Result<Material, Refusal> {
    let wrong = || Refusal::CredentialKeyWrong("not a point of the algorithm's curve");
    if kty != 2 || numbered(key, -1).and_then(integer) != Some(curve) {
        return Err(wrong());
    }
    let mut octets = vec![4];
    for label in [-2, -3] {
        let coordinate = numbered(key, label).and_then(Value::as_bytes).ok_or_else(wrong)?;
        if coordinate.len() != length {
            return Err(wrong());
        }
        octets.extend_from_slice(coordinate);
    }
    Ok(Material::Raw(octets))
}

/// OKP (kty 1) with Ed25519 (curve 6). Ed448 (curve 7) shares the algorithm number and is refused.
fn octet_key(key: &Value, kty: i64) -> Result<Material, Refusal> {
    let curve = numbered(key, -1).and_then(integer);
    if kty == 1 && curve == Some(7) {
        return Err(Refusal::AlgorithmUnsupported(Algorithm::EdDsa.number()));
    }
    let octets = numbered(key, -2).and_then(Value::as_bytes);
    match octets {
        Some(octets) if kty == 1 && curve == Some(6) && octets.len() == 32 => {
            Ok(Material::Raw(octets.clone()))
        }
        _ => Err(Refusal::CredentialKeyWrong("not an Ed25519 key")),
    }
}

/// RSA (kty 3), 2,048 to 8,192 bits.
fn rsa(key: &Value, kty: i64) -> Result<Material, Refusal> {
    let wrong = || Refusal::CredentialKeyWrong("not an RSA key of 2,048 to 8,192 bits");
    let n = numbered(key, -1).and_then(Value::as_bytes).ok_or_else(wrong)?;
    let e = numbered(key, -2).and_then(Value::as_bytes).ok_or_else(wrong)?;
    let modulus = n.len();
    let leading = n.first().copied().unwrap_or(0);
    if kty != 3 || !(256..=1024).contains(&modulus) || leading == 0 || !(1..=4).contains(&e.len()) {
        return Err(wrong());
    }
    if modulus == 256 && leading & 0x80 == 0 {
        return Err(wrong());
    }
    Ok(Material::Rsa { n: n.clone(), e: e.clone() })
}
