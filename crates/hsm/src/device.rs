//! What the desks ask of a key device. The software vault and PKCS#11 devices answer it, under the
//! same tests.

use std::sync::Arc;

use hpki::encoding::{Digest32, Statement};
use hpki::id::{KeyId, PersonId};
use hpki::sign::{DeviceFault, SignatureAlgorithm};
use hpki::time::Timestamp;

use crate::import::Package;
use crate::refusal::{Failed, Refusal};

/// What a fresh key is for; goes into its blob.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    pub(crate) credential: KeyId,
    pub(crate) owner: PersonId,
    pub(crate) policy: u32,
    pub(crate) created: Timestamp,
}

/// A fresh key, already wrapped.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) wrapped: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    pub(crate) proof: Digest32,
}

/// Each desk has its own keyed hash, so that no room can make another's seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Subscriber,
    Ca,
    Token,
    Log,
    /// Blobs of a PKCS#11 device; no desk has it.
    Blob,
}

impl Role {
    pub(crate) const ALL: [Self; 5] =
        [Self::Subscriber, Self::Ca, Self::Token, Self::Log, Self::Blob];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Subscriber => "subscriber",
            Self::Ca => "ca",
            Self::Token => "token",
            Self::Log => "log",
            Self::Blob => "blob",
        }
    }
}

/// A key device. Calls may come from several threads at once.
pub(crate) trait Device: Send + Sync {
    /// Whether it answers within a fraction of a millisecond and cannot hang, because it is the
    /// processor itself: then whoever asks may do the work on his own thread, without being sent
    /// through the queue and woken again.
    fn prompt(&self) -> bool {
        false
    }

    /// Makes a key pair and wraps it; the private key does not stay loaded.
    fn generate(&self, label: &Label, algorithm: SignatureAlgorithm) -> Result<Fresh, Failed>;

    /// Unwraps a key for use, after checking that the blob is whole and names this key and owner.
    /// `spki` is the public key where the caller has it; it is believed only if the blob names it.
    fn load(
        &self,
        wrapped: &[u8],
        credential: KeyId,
        owner: PersonId,
        algorithm: SignatureAlgorithm,
        spki: Option<&[u8]>,
    ) -> Result<Arc<dyn Held>, Failed>;

    /// The public key to which authorities wrap what they hand over, where the device keeps the pair
    /// itself; otherwise it is a named key.
    fn import_key(&self) -> Option<Result<Vec<u8>, Failed>> {
        None
    }

    /// Takes over a key that was wrapped to the import key, of which the blob and its place are
    /// given where it is a named key. The public key found inside the device must be `spki`.
    fn import(
        &self,
        _import_key: Option<(&[u8], KeyId, PersonId)>,
        _package: &Package,
        _spki: &[u8],
        _label: &Label,
    ) -> Result<Fresh, Failed> {
        Err(Refusal::ImportUnsupported.into())
    }

    /// Wraps a key that was made for `credential` and `owner` again, under another label, with a
    /// generation proof for that.
    fn rebind(
        &self,
        _wrapped: &[u8],
        _credential: KeyId,
        _owner: PersonId,
        _label: &Label,
    ) -> Result<Fresh, Failed> {
        Err(Refusal::RebindUnsupported.into())
    }

    /// `M(domain; fields)` under the key of this role.
    fn mac(&self, role: Role, statement: &Statement) -> Result<Digest32, DeviceFault>;
}

/// A loaded key: an object in the device that can sign until dropped, when it is zeroed.
pub(crate) trait Held: Send + Sync {
    /// The public key as DER SubjectPublicKeyInfo.
    fn spki(&self) -> &[u8];
    /// Signs the message. ECDSA gives raw r‖s.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault>;
    /// Signs a SHA-256 digest that the caller made: RSASSA-PKCS1-v1_5 over its DigestInfo. The same
    /// value as [`Held::sign`] over what it is the digest of. RSA keys only.
    fn sign_digest(&self, digest: &Digest32) -> Result<Vec<u8>, DeviceFault>;
}

/// The statement whose keyed hash is the generation proof: this device made this key, for this
/// credential and owner, then. A device with an attestation of its own could give that instead.
pub(crate) fn generation(label: &Label, spki_sha256: &Digest32) -> Statement {
    Statement::new("azukari/generation/v1")
        .octets_field(label.credential.octets())
        .octets_field(label.owner.octets())
        .number(u64::from(label.policy))
        .time(label.created)
        .octets_field(spki_sha256)
}
