//! A private RSA key inside a card.
//!
//! The chip of a real card raises any block to its private exponent. The library here signs digests
//! only, so these cards take PKCS#1 v1.5 blocks and DigestInfo of SHA-256, SHA-384 and SHA-512 and
//! refuse everything else as wrong data; no client of today needs more.

use aws_lc_rs::digest::{self, Algorithm};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};
use hpki::sign::{DeviceFault, Sign, SignatureAlgorithm};

use super::apdu::{Outcome, Status};

/// The key and its public half.
pub struct CardKey {
    pair: RsaKeyPair,
    pkcs8: Vec<u8>,
    spki_der: Vec<u8>,
}

impl std::fmt::Debug for CardKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a card's key")
    }
}

type Suite = (&'static [u8], &'static Algorithm, &'static dyn RsaEncoding);

/// DigestInfo up to the digest (RFC 8017 §9.2, note 1).
static SUITES: [Suite; 3] = [
    (
        &[0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20],
        &digest::SHA256,
        &RSA_PKCS1_SHA256,
    ),
    (
        &[0x30, 0x41, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2, 5, 0, 4, 0x30],
        &digest::SHA384,
        &RSA_PKCS1_SHA384,
    ),
    (
        &[0x30, 0x51, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3, 5, 0, 4, 0x40],
        &digest::SHA512,
        &RSA_PKCS1_SHA512,
    ),
];

impl CardKey {
    /// A new RSA-2048 key.
    ///
    /// # Errors
    /// The library's.
    pub fn generate() -> Result<Self, DeviceFault> {
        let fault = |_| DeviceFault("no key could be made".into());
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(fault)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(fault)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// The key of a card's file.
    ///
    /// # Errors
    /// If it is no RSA key.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, DeviceFault> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8)
            .map_err(|_| DeviceFault("a card's key is not RSA in PKCS#8".into()))?;
        let spki: PublicKeyX509Der<'_> = pair
            .public_key()
            .as_der()
            .map_err(|_| DeviceFault("a card's public key cannot be written".into()))?;
        let spki_der = spki.as_ref().to_vec();
        Ok(Self { pair, pkcs8: pkcs8.to_vec(), spki_der })
    }

    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Signs a DigestInfo: this card pads.
    pub(super) fn sign_digest_info(&self, digest_info: &[u8]) -> Outcome {
        let wrong = Status::WRONG_DATA;
        let known = SUITES.iter().find_map(|(prefix, algorithm, encoding)| {
            let value = digest_info.strip_prefix(*prefix)?;
            (value.len() == algorithm.output_len()).then_some((value, algorithm, encoding))
        });
        let (value, algorithm, encoding) = known.ok_or(wrong)?;
        let value = digest::Digest::import_less_safe(value, algorithm).map_err(|_| wrong)?;
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign_digest(*encoding, &value, &mut signature).map_err(|_| wrong)?;
        Ok(signature)
    }

    /// Signs a block that was padded outside: `00 01 FF … FF 00 DigestInfo`.
    pub(super) fn sign_padded(&self, block: &[u8]) -> Outcome {
        let wrong = Status::WRONG_DATA;
        if block.len() != self.pair.public_modulus_len() {
            return Err(Status::WRONG_LENGTH);
        }
        let rest = block.strip_prefix(&[0, 1]).ok_or(wrong)?;
        let end = rest.iter().position(|octet| *octet != 0xff).ok_or(wrong)?;
        if end < 8 || rest[end] != 0 {
            return Err(wrong);
        }
        self.sign_digest_info(&rest[end + 1..])
    }
}

/// For whoever personalises the card: self-signing and proofs of possession.
impl Sign for CardKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RsaSha256
    }

    fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| DeviceFault("a card did not sign".into()))?;
        Ok(signature)
    }
}
