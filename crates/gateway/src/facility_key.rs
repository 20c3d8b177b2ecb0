//! The key of the facility's own journal: Ed25519 over its checkpoints, and what its labels are
//! keyed with. It signs nothing else, and it is no HPKI key.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use hpki::encoding::{Digest32, Statement};
use hpki::sign::{DeviceFault, Mac, Sign, SignatureAlgorithm};
use zeroize::Zeroize as _;

/// SubjectPublicKeyInfo of Ed25519 up to the key (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The two halves of the key.
pub struct FacilityKey {
    pair: Ed25519KeyPair,
    spki: Vec<u8>,
    labels: hmac::Key,
}

impl FacilityKey {
    /// The key with these octets – seed, then label key –, which are zeroed.
    ///
    /// # Errors
    /// If the library takes no such seed.
    pub fn from_octets(mut octets: [u8; 64]) -> Result<Self, DeviceFault> {
        let (seed, labels) = octets.split_at(32);
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        let labels = hmac::Key::new(hmac::HMAC_SHA256, labels);
        octets.zeroize();
        let pair = pair.map_err(|_| DeviceFault("Ed25519 is not available".into()))?;
        let spki = [&SPKI, pair.public_key().as_ref()].concat();
        Ok(Self { pair, spki, labels })
    }
}

impl Sign for FacilityKey {
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

impl Mac for FacilityKey {
    fn mac(&self, statement: &Statement) -> Result<Digest32, DeviceFault> {
        let tag = hmac::sign(&self.labels, &statement.octets());
        tag.as_ref().try_into().map_err(|_| DeviceFault("HMAC-SHA-256 has 32 octets".into()))
    }
}
