//! Which algorithms and key sizes count, and from when until when.
//!
//! The table is dated and is judged at the moment a question is about, not at the moment it is
//! asked. SHA-1 and MD5 are refused at every moment: SHA-1 left the HPKI certificate policies with
//! the editions of December 2023, and no certificate that this house meets may still rest on it.
//! RSA-2048 has no end in the table because the national root itself is RSA-2048 until 2044; the
//! day the certificate policy names an end, it becomes one date here.

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use const_oid::ObjectIdentifier;

use crate::asn1::{self, Malformed, tag};
use crate::encoding::Digest32;
use crate::oid;
use crate::refusal::Refusal;
use crate::sign::SignatureAlgorithm;
use crate::time::Timestamp;

/// The day this table was last looked over (CP 1.91 of 2023-12; CRYPTREC list).
pub const EDITION: &str = "2026-11-21";

/// A signature algorithm that we know how to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256
    RsaSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384
    RsaSha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512
    RsaSha512,
    /// ECDSA on P-256 with SHA-256, DER signature
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384, DER signature
    EcdsaP384Sha384,
    /// Ed25519: journal checkpoints only, never certificates
    Ed25519,
}

impl From<SignatureAlgorithm> for Algorithm {
    fn from(made: SignatureAlgorithm) -> Self {
        match made {
            SignatureAlgorithm::RsaSha256 => Self::RsaSha256,
            SignatureAlgorithm::EcdsaP256Sha256 => Self::EcdsaP256Sha256,
            SignatureAlgorithm::Ed25519 => Self::Ed25519,
        }
    }
}

struct Row {
    algorithm: Algorithm,
    oid: ObjectIdentifier,
    name: &'static str,
    /// For certificates and revocation lists.
    in_certificates: bool,
    /// The first moment it counts.
    from: Timestamp,
    /// The first moment it no longer counts.
    until: Option<Timestamp>,
}

const ALWAYS: Timestamp = Timestamp::from_seconds(0);

#[rustfmt::skip]
static TABLE: [Row; 6] = [
    Row { algorithm: Algorithm::RsaSha256, oid: oid::RSA_SHA256, name: "sha256WithRSAEncryption", in_certificates: true, from: ALWAYS, until: None },
    Row { algorithm: Algorithm::RsaSha384, oid: oid::RSA_SHA384, name: "sha384WithRSAEncryption", in_certificates: true, from: ALWAYS, until: None },
    Row { algorithm: Algorithm::RsaSha512, oid: oid::RSA_SHA512, name: "sha512WithRSAEncryption", in_certificates: true, from: ALWAYS, until: None },
    Row { algorithm: Algorithm::EcdsaP256Sha256, oid: oid::ECDSA_SHA256, name: "ecdsa-with-SHA256", in_certificates: true, from: ALWAYS, until: None },
    Row { algorithm: Algorithm::EcdsaP384Sha384, oid: oid::ECDSA_SHA384, name: "ecdsa-with-SHA384", in_certificates: true, from: ALWAYS, until: None },
    Row { algorithm: Algorithm::Ed25519, oid: oid::ED25519, name: "Ed25519", in_certificates: false, from: ALWAYS, until: None },
];

/// The smallest RSA modulus that counts, in bits, and since when.
static RSA_MINIMUM: [(Timestamp, u32); 1] = [(ALWAYS, 2048)];
/// The largest RSA modulus that we compute with, in bits: a bound on work, not on trust.
const RSA_MAXIMUM: u32 = 8192;

/// The algorithm of this identifier, if certificates and lists may carry it at this moment.
pub fn in_certificates(oid: ObjectIdentifier, at: Timestamp) -> Result<Algorithm, Refusal> {
    TABLE
        .iter()
        .find(|row| row.oid == oid && row.in_certificates && row.counts(at))
        .map(|row| row.algorithm)
        .ok_or_else(|| Refusal::AlgorithmNotAllowed(oid.to_string()))
}

impl Row {
    fn counts(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// What people call this signature algorithm, if we know it.
pub fn name(oid: ObjectIdentifier) -> Option<&'static str> {
    TABLE.iter().find(|row| row.oid == oid).map(|row| row.name)
}

/// The `AlgorithmIdentifier` that the house writes for its own signatures.
pub fn algorithm_identifier(algorithm: SignatureAlgorithm) -> Vec<u8> {
    match algorithm {
        SignatureAlgorithm::RsaSha256 => {
            asn1::sequence(&[&asn1::oid(&oid::RSA_SHA256), &asn1::tlv(tag::NULL, &[])])
        }
        SignatureAlgorithm::EcdsaP256Sha256 => asn1::sequence(&[&asn1::oid(&oid::ECDSA_SHA256)]),
        SignatureAlgorithm::Ed25519 => asn1::sequence(&[&asn1::oid(&oid::ED25519)]),
    }
}

/// What a SubjectPublicKeyInfo holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with a modulus of this many bits.
    Rsa(u32),
    /// The curve P-256.
    P256,
    /// The curve P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

impl KeyKind {
    /// Reads the algorithm and size of a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7, RFC 3279 §2.3).
    pub fn of(spki_der: &[u8]) -> Result<Self, Malformed> {
        let mut spki = asn1::only(spki_der, tag::SEQUENCE)?.inside();
        let mut algorithm = spki.sequence()?;
        let (key, unused) = spki.expect(tag::BIT_STRING)?.bits()?;
        spki.finish()?;
        if unused != 0 {
            return Err(Malformed("public key bits"));
        }
        let kind = algorithm.expect(tag::OID)?.oid()?;
        if kind == oid::RSA_KEY {
            algorithm.expect(tag::NULL)?;
            algorithm.finish()?;
            let mut numbers = asn1::only(key, tag::SEQUENCE)?.inside();
            let modulus = numbers.expect(tag::INTEGER)?.unsigned()?;
            let exponent = numbers.expect(tag::INTEGER)?.number()?;
            numbers.finish()?;
            if exponent < 3 || exponent % 2 == 0 || exponent >= 1 << 33 {
                return Err(Malformed("RSA exponent"));
            }
            let bits = u32::try_from(modulus.len() * 8).unwrap_or(u32::MAX);
            return Ok(Self::Rsa(bits - modulus.first().map_or(0, |octet| octet.leading_zeros())));
        }
        let found = if kind == oid::ED25519 && key.len() == 32 {
            Self::Ed25519
        } else if kind == oid::EC_KEY {
            match (algorithm.expect(tag::OID)?.oid()?, key.len(), key.first()) {
                (oid::P256, 65, Some(4)) => Self::P256,
                (oid::P384, 97, Some(4)) => Self::P384,
                _ => return Err(Malformed("elliptic curve key")),
            }
        } else {
            return Err(Malformed("kind of public key"));
        };
        algorithm.finish()?;
        Ok(found)
    }

    fn is_strong_enough(self, at: Timestamp) -> bool {
        match self {
            Self::Rsa(bits) => {
                let least = RSA_MINIMUM.iter().rev().find(|(from, _)| *from <= at);
                least.is_none_or(|(_, least)| bits >= *least) && bits <= RSA_MAXIMUM
            }
            Self::P256 | Self::P384 | Self::Ed25519 => true,
        }
    }
}

/// Refuses a public key that is too weak (or absurdly large) at this moment, or that we do not know.
pub fn check_key(spki_der: &[u8], at: Timestamp) -> Result<KeyKind, Refusal> {
    let kind = KeyKind::of(spki_der)
        .map_err(|wrong| Refusal::AlgorithmNotAllowed(format!("public key: {wrong}")))?;
    if kind.is_strong_enough(at) {
        Ok(kind)
    } else {
        Err(Refusal::AlgorithmNotAllowed(format!("public key of size {kind:?}")))
    }
}

/// A signature that does not verify under the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is wrong")]
pub struct WrongSignature;

/// A public key made ready to verify many signatures of one algorithm.
#[derive(Clone)]
pub struct VerifyingKey(ParsedPublicKey);

impl VerifyingKey {
    /// Reads the key; refuses one that does not fit the algorithm or is too weak today
    /// (the newest row of the table).
    pub fn new(algorithm: impl Into<Algorithm>, spki_der: &[u8]) -> Result<Self, Refusal> {
        let algorithm = algorithm.into();
        let kind = check_key(spki_der, Timestamp::from_seconds(u64::MAX))?;
        let verifier: &'static dyn VerificationAlgorithm = match (algorithm, kind) {
            (Algorithm::RsaSha256, KeyKind::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Algorithm::RsaSha384, KeyKind::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Algorithm::RsaSha512, KeyKind::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (Algorithm::EcdsaP256Sha256, KeyKind::P256) => &signature::ECDSA_P256_SHA256_ASN1,
            (Algorithm::EcdsaP384Sha384, KeyKind::P384) => &signature::ECDSA_P384_SHA384_ASN1,
            (Algorithm::Ed25519, KeyKind::Ed25519) => &signature::ED25519,
            _ => {
                let text = format!("{algorithm:?} with a key of kind {kind:?}");
                return Err(Refusal::AlgorithmNotAllowed(text));
            }
        };
        ParsedPublicKey::new(verifier, spki_der)
            .map(Self)
            .map_err(|_| Refusal::AlgorithmNotAllowed("unreadable public key".into()))
    }

    /// Verifies a signature over the message (not its digest).
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), WrongSignature> {
        self.0.verify_sig(message, signature).map_err(|_| WrongSignature)
    }

    /// Verifies a signature over what has this SHA-256 digest; for algorithms with SHA-256.
    pub fn verify_digest(&self, digest: &Digest32, signature: &[u8]) -> Result<(), WrongSignature> {
        let digest = Digest::import_less_safe(digest, &SHA256).map_err(|_| WrongSignature)?;
        self.0.verify_digest_sig(&digest, signature).map_err(|_| WrongSignature)
    }
}

/// Verifies one signature over a message under a SubjectPublicKeyInfo. A key that does not fit the
/// algorithm, or is too weak, makes every signature wrong.
pub fn verify(
    algorithm: impl Into<Algorithm>,
    spki_der: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), WrongSignature> {
    VerifyingKey::new(algorithm, spki_der).map_err(|_| WrongSignature)?.verify(message, signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");

    #[test]
    fn sha1_counts_at_no_moment() {
        for moment in ["2005-01-01T00:00:00Z", "2023-11-30T00:00:00Z", "2030-01-01T00:00:00Z"] {
            let at = Timestamp::parse(moment).unwrap();
            assert!(in_certificates(SHA1_WITH_RSA, at).is_err());
            assert_eq!(in_certificates(oid::RSA_SHA256, at), Ok(Algorithm::RsaSha256));
        }
    }

    #[test]
    fn a_row_counts_from_its_first_moment_until_before_its_last() {
        let [from, until] = [10, 20].map(Timestamp::from_seconds);
        let row = Row { from, until: Some(until), ..TABLE_ROW };
        let counts = |second| row.counts(Timestamp::from_seconds(second));
        assert_eq!([9, 10, 19, 20].map(counts), [false, true, true, false]);
    }

    const TABLE_ROW: Row = Row {
        algorithm: Algorithm::RsaSha256,
        oid: oid::RSA_SHA256,
        name: "",
        in_certificates: true,
        from: ALWAYS,
        until: None,
    };

    #[test]
    fn ed25519_is_not_for_certificates() {
        assert!(in_certificates(oid::ED25519, Timestamp::from_seconds(0)).is_err());
    }

    #[test]
    fn an_rsa_key_below_2048_bits_is_refused() {
        let key = |octets: usize| {
            let modulus = vec![0xff; octets];
            let numbers = asn1::sequence(&[&asn1::integer(&modulus), &asn1::number(65_537)]);
            let kind = asn1::sequence(&[&asn1::oid(&oid::RSA_KEY), &asn1::tlv(tag::NULL, &[])]);
            asn1::sequence(&[&kind, &asn1::bit_string(&numbers)])
        };
        let now = Timestamp::from_seconds(1_800_000_000);
        assert_eq!(check_key(&key(256), now), Ok(KeyKind::Rsa(2048)));
        for octets in [64, 128, 255, 1025] {
            assert!(matches!(check_key(&key(octets), now), Err(Refusal::AlgorithmNotAllowed(_))));
        }
    }
}
