//! Keys of certification authorities, named and kept wrapped in the vault folder.

use std::fmt;
use std::sync::Arc;

use hpki::encoding::{Digest32, Statement};
use hpki::sign::{DeviceFault, Mac, Sign, SignatureAlgorithm};

use super::Opened;
use crate::device::{Held, Role};
use crate::keypair::ecdsa_der;
use crate::refusal::Failed;

/// The desk for authorities' keys, given to `ca`.
#[derive(Debug)]
pub struct CaDesk {
    pub(super) opened: Arc<Opened>,
}

/// What an authority's key can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaAlgorithm {
    /// RSA-2048 with PKCS#1 v1.5 and SHA-256, as the HPKI authorities.
    Rsa2048,
    /// ECDSA on P-256 with SHA-256, as our facility authority.
    P256,
}

impl From<CaAlgorithm> for SignatureAlgorithm {
    fn from(algorithm: CaAlgorithm) -> Self {
        match algorithm {
            CaAlgorithm::Rsa2048 => Self::RsaSha256,
            CaAlgorithm::P256 => Self::EcdsaP256Sha256,
        }
    }
}

impl CaDesk {
    pub(super) fn new(opened: Arc<Opened>) -> Self {
        Self { opened }
    }

    /// Makes a key under a new name (1 to 64 of a–z, 0–9 and hyphen) and gives its public key as
    /// DER SubjectPublicKeyInfo. When this returns, the wrapped key is durable.
    ///
    /// # Errors
    /// `vault-key-exists`, `vault-key-name-malformed`, or the device failed.
    pub fn generate(&self, name: &str, algorithm: CaAlgorithm) -> Result<Vec<u8>, Failed> {
        Ok(self.opened.make_named(&file(name), algorithm.into())?.spki)
    }

    /// Loads the key of this name.
    ///
    /// # Errors
    /// `vault-key-unknown`, `blob-broken`, `blob-not-owners` (another key's file in its place), or
    /// the device failed.
    pub fn key(&self, name: &str) -> Result<CaKey, Failed> {
        let name = file(name);
        let algorithm = self.opened.algorithm_named(&name)?;
        let held = self.opened.load_named(&name, algorithm)?;
        Ok(CaKey { algorithm, held, _opened: Arc::clone(&self.opened) })
    }

    /// The names of all keys, sorted.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, Failed> {
        let names = self.opened.named.names("ca-")?;
        Ok(names.iter().filter_map(|name| name.strip_prefix("ca-")).map(str::to_owned).collect())
    }
}

fn file(name: &str) -> String {
    format!("ca-{name}")
}

impl Mac for CaDesk {
    fn mac(&self, statement: &Statement) -> Result<Digest32, DeviceFault> {
        self.opened.device.mac(Role::Ca, statement)
    }
}

/// A loaded authority key.
pub struct CaKey {
    algorithm: SignatureAlgorithm,
    held: Arc<dyn Held>,
    _opened: Arc<Opened>,
}

impl fmt::Debug for CaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaKey({:?})", self.algorithm)
    }
}

impl Sign for CaKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
    fn spki_der(&self) -> &[u8] {
        self.held.spki()
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        let signature = self.held.sign(message)?;
        match self.algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => ecdsa_der(&signature),
            SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::Ed25519 => Ok(signature),
        }
    }
}
