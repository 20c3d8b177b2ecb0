//! The three powers that pure rooms borrow: signing, keyed hashing, randomness.
//!
//! Their implementations live in `hsm`; everybody else sees only these traits.

use crate::encoding::{Digest32, Statement};

/// The signature algorithms that the house makes. Policy on what it *accepts* is a separate table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2): deterministic, so an order has one value.
    RsaSha256,
    /// ECDSA on P-256 with SHA-256; signature as DER `SEQUENCE { r, s }`.
    EcdsaP256Sha256,
    /// Ed25519 (RFC 8032), for journal checkpoints.
    Ed25519,
}

/// A device failed to do what it was asked. Not a refusal: nobody outside can act on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key device failed: {0}")]
pub struct DeviceFault(pub String);

/// A key that can sign; the private part stays wherever the implementation keeps it.
pub trait Sign: Send + Sync {
    /// What kind of signature [`Sign::sign`] makes.
    fn algorithm(&self) -> SignatureAlgorithm;
    /// The public key as DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    fn spki_der(&self) -> &[u8];
    /// Signs the message (not its digest). X.509 form of signature: ECDSA as DER.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault>;
}

/// A keyed hash under a device key that never leaves it: `M(domain; fields)`.
pub trait Mac: Send + Sync {
    /// HMAC-SHA-256 over [`Statement::octets`].
    fn mac(&self, statement: &Statement) -> Result<Digest32, DeviceFault>;

    /// Whether `tag` is the keyed hash of the statement; compared in constant time.
    fn check(&self, statement: &Statement, tag: &[u8]) -> Result<bool, DeviceFault> {
        let own = self.mac(statement)?;
        Ok(aws_lc_rs::constant_time::verify_slices_are_equal(&own, tag).is_ok())
    }
}

/// A source of unpredictable octets.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}
