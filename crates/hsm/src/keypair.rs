//! Key pairs in memory, of the three kinds that the house uses.

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use hpki::encoding::Digest32;
use hpki::sign::{DeviceFault, SignatureAlgorithm};
use zeroize::Zeroizing;

use crate::device::Held;

/// A private key that AWS-LC holds; it zeroes its memory when this is dropped.
///
/// P-256 signatures are raw r‖s (as JWS wants them and as PKCS#11 devices give them).
pub(crate) enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Pair {
    pub(crate) fn generate(algorithm: SignatureAlgorithm) -> Result<Self, DeviceFault> {
        let broke = |_| DeviceFault("key generation failed".into());
        Ok(match algorithm {
            SignatureAlgorithm::RsaSha256 => {
                Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).map_err(broke)?))
            }
            SignatureAlgorithm::EcdsaP256Sha256 => Self::P256(Box::new(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(broke)?,
            )),
            SignatureAlgorithm::Ed25519 => {
                Self::Ed25519(Box::new(Ed25519KeyPair::generate().map_err(broke)?))
            }
        })
    }

    /// The private key as PKCS#8 v1, in memory that is zeroed when dropped.
    pub(crate) fn pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, DeviceFault> {
        let broke = |_| DeviceFault("the key cannot be written as PKCS#8".into());
        Ok(Zeroizing::new(match self {
            Self::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(broke)?;
                der.as_ref().to_vec()
            }
            Self::P256(pair) => pair.to_pkcs8v1().map_err(broke)?.as_ref().to_vec(),
            Self::Ed25519(pair) => pair.to_pkcs8v1().map_err(broke)?.as_ref().to_vec(),
        }))
    }

    pub(crate) fn from_pkcs8(algorithm: SignatureAlgorithm, pkcs8: &[u8]) -> Option<Self> {
        Some(match algorithm {
            SignatureAlgorithm::RsaSha256 => {
                Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(pkcs8).ok()?))
            }
            SignatureAlgorithm::EcdsaP256Sha256 => Self::P256(Box::new(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?,
            )),
            SignatureAlgorithm::Ed25519 => {
                Self::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()?))
            }
        })
    }

    /// The public key as DER SubjectPublicKeyInfo.
    pub(crate) fn spki(&self) -> Result<Vec<u8>, DeviceFault> {
        let der: Result<PublicKeyX509Der<'_>, _> = match self {
            Self::Rsa(pair) => pair.public_key().as_der(),
            Self::P256(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
        };
        der.map(|der| der.as_ref().to_vec())
            .map_err(|_| DeviceFault("the public key cannot be written".into()))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        let broke = |_| DeviceFault("signing failed".into());
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(broke)?;
                Ok(signature)
            }
            Self::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(broke)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.try_sign(message).map_err(broke)?.as_ref().to_vec()),
        }
    }

    /// Signs a SHA-256 digest as it is.
    pub(crate) fn sign_digest(&self, digest: &Digest32) -> Result<Vec<u8>, DeviceFault> {
        let broke = |_| DeviceFault("signing failed".into());
        let Self::Rsa(pair) = self else {
            return Err(DeviceFault("only RSA keys sign a digest as it is".into()));
        };
        let digest = Digest::import_less_safe(digest, &SHA256).map_err(broke)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature).map_err(broke)?;
        Ok(signature)
    }
}

/// A pair in this process's memory that signs.
pub(crate) struct HeldPair {
    pub(crate) pair: Pair,
    pub(crate) spki: Vec<u8>,
}

impl Held for HeldPair {
    fn spki(&self) -> &[u8] {
        &self.spki
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        self.pair.sign(message)
    }
    fn sign_digest(&self, digest: &Digest32) -> Result<Vec<u8>, DeviceFault> {
        self.pair.sign_digest(digest)
    }
}

/// A raw 64-octet r‖s as X.509 wants it: DER `SEQUENCE { r INTEGER, s INTEGER }`.
pub(crate) fn ecdsa_der(raw: &[u8]) -> Result<Vec<u8>, DeviceFault> {
    let Some((r, s)) = raw.split_at_checked(32).filter(|(_, s)| s.len() == 32) else {
        return Err(DeviceFault("an ECDSA signature of a strange length".into()));
    };
    let mut body = Vec::with_capacity(72);
    for number in [r, s] {
        let zeros = number.iter().take_while(|&&octet| octet == 0).count().min(31);
        let digits = &number[zeros..];
        let sign_octet = digits[0] & 0x80 != 0;
        let length = digits.len() + usize::from(sign_octet);
        body.extend_from_slice(&[0x02, u8::try_from(length).unwrap_or(33)]);
        if sign_octet {
            body.push(0);
        }
        body.extend_from_slice(digits);
    }
    let mut der = vec![0x30, u8::try_from(body.len()).unwrap_or(70)];
    der.append(&mut body);
    Ok(der)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
        VerificationAlgorithm,
    };

    #[test]
    fn a_pair_survives_being_written_and_read() {
        for algorithm in [
            SignatureAlgorithm::RsaSha256,
            SignatureAlgorithm::EcdsaP256Sha256,
            SignatureAlgorithm::Ed25519,
        ] {
            let pair = Pair::generate(algorithm).unwrap();
            let again = Pair::from_pkcs8(algorithm, &pair.pkcs8().unwrap()).unwrap();
            assert_eq!(again.spki().unwrap(), pair.spki().unwrap());
            let mut signature = again.sign(b"message").unwrap();
            let verifier: &'static dyn VerificationAlgorithm = match algorithm {
                SignatureAlgorithm::RsaSha256 => &RSA_PKCS1_2048_8192_SHA256,
                SignatureAlgorithm::EcdsaP256Sha256 => {
                    signature = ecdsa_der(&signature).unwrap();
                    &ECDSA_P256_SHA256_ASN1
                }
                SignatureAlgorithm::Ed25519 => &ED25519,
            };
            let spki = pair.spki().unwrap();
            let key = UnparsedPublicKey::new(verifier, &spki);
            key.verify(b"message", &signature).unwrap();
            assert!(key.verify(b"another", &signature).is_err());
        }
    }

    #[test]
    fn an_rsa_key_signs_a_digest_as_it_signs_the_message_and_other_keys_refuse() {
        let digest = hpki::encoding::sha256(b"message");
        let pair = Pair::generate(SignatureAlgorithm::RsaSha256).unwrap();
        assert_eq!(pair.sign_digest(&digest).unwrap(), pair.sign(b"message").unwrap());
        let other = Pair::generate(SignatureAlgorithm::EcdsaP256Sha256).unwrap();
        assert!(other.sign_digest(&digest).is_err());
    }

    #[test]
    fn ecdsa_numbers_are_minimal_and_positive_in_der() {
        let mut raw = [0; 64];
        raw[31] = 1;
        raw[32] = 0x80;
        let der = ecdsa_der(&raw).unwrap();
        assert_eq!(&der[..5], &[0x30, 38, 0x02, 1, 1]);
        assert_eq!(&der[5..9], &[0x02, 33, 0, 0x80]);
        assert_eq!(&ecdsa_der(&[0; 64]).unwrap(), &[0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert!(ecdsa_der(&[0; 63]).is_err());
    }
}
