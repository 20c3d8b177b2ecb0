//! A loaded key: a session object in the token that can sign and cannot leave, destroyed on drop.
//!
//! It keeps its wrapped form (which is worth nothing without the token), so that it loads itself
//! again when the line it was loaded over is gone.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{KeyType, ObjectHandle};
use cryptoki::session::Session;
use hpki::encoding::{Digest32, sha256};
use hpki::sign::{DeviceFault, SignatureAlgorithm};

use super::keys::loaded_attributes;
use super::link::{Line, Link};
use super::trouble::Trouble;
use super::{fault, public_key};
use crate::blob::Blob;
use crate::device::Held;
use crate::refusal::Refusal;

pub(crate) struct Loaded {
    link: Arc<Link>,
    ct: Vec<u8>,
    kek_version: u32,
    spki_sha256: Digest32,
    algorithm: SignatureAlgorithm,
    spki: Vec<u8>,
    /// The line's number and the object's handle, which means something over that line only.
    object: Mutex<(u64, ObjectHandle)>,
}

impl Loaded {
    /// Unwraps a blob whose tag was checked. Afterwards the key must be the one whose public key
    /// the blob names.
    pub(super) fn unwrap(
        link: &Arc<Link>,
        line: &Line,
        session: &Session,
        blob: &Blob<'_>,
        algorithm: SignatureAlgorithm,
        spki: Option<&[u8]>,
    ) -> Result<Self, Trouble> {
        let ct = blob.ct().to_vec();
        let header = &blob.header;
        let object = Object {
            session,
            handle: unwrap(link, line, session, header.kek_version, &ct, algorithm)?,
        };
        let spki = object.public_key(algorithm, spki)?;
        if sha256(&spki) != header.spki_sha256 {
            return Err(Refusal::BlobBroken.into());
        }
        object.check(algorithm, &spki)?;
        Ok(Self {
            link: Arc::clone(link),
            ct,
            kek_version: header.kek_version,
            spki_sha256: header.spki_sha256,
            algorithm,
            spki,
            object: Mutex::new((line.number, object.keep())),
        })
    }

    /// The object over this line; loaded again if it was loaded over another.
    fn handle(&self, line: &Line, session: &Session) -> Result<ObjectHandle, Trouble> {
        let mut object = self.object.lock().unwrap_or_else(PoisonError::into_inner);
        if object.0 != line.number {
            let handle =
                unwrap(&self.link, line, session, self.kek_version, &self.ct, self.algorithm)?;
            let again = Object { session, handle };
            let spki = again.public_key(self.algorithm, Some(&self.spki))?;
            if sha256(&spki) != self.spki_sha256 {
                return Err(Refusal::BlobBroken.into());
            }
            *object = (line.number, again.keep());
        }
        Ok(object.1)
    }
}

impl Held for Loaded {
    fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        self.link
            .with(|line, session| {
                sign(session, self.handle(line, session)?, self.algorithm, message)
            })
            .map_err(fault)
    }

    fn sign_digest(&self, digest: &Digest32) -> Result<Vec<u8>, DeviceFault> {
        if self.algorithm != SignatureAlgorithm::RsaSha256 {
            return Err(DeviceFault("only RSA keys sign a digest as it is".into()));
        }
        let info = [&SHA256_INFO[..], digest].concat();
        self.link
            .with(|line, session| {
                Ok(session.sign(&Mechanism::RsaPkcs, self.handle(line, session)?, &info)?)
            })
            .map_err(fault)
    }
}

/// Begin of a DigestInfo with SHA-256 (RFC 8017 §9.2, note 1); the digest follows.
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

impl Drop for Loaded {
    fn drop(&mut self) {
        let (number, handle) = *self.object.lock().unwrap_or_else(PoisonError::into_inner);
        // Gone with its line otherwise.
        if self.link.is_present(number) {
            self.link.once(|line, session| {
                if line.number == number {
                    session.destroy_object(handle)?;
                }
                Ok(())
            });
        }
    }
}

/// An object that is destroyed unless kept.
pub(super) struct Object<'a> {
    pub(super) session: &'a Session,
    pub(super) handle: ObjectHandle,
}

impl Object<'_> {
    pub(super) fn keep(self) -> ObjectHandle {
        let handle = self.handle;
        std::mem::forget(self);
        handle
    }

    fn public_key(
        &self,
        algorithm: SignatureAlgorithm,
        known: Option<&[u8]>,
    ) -> Result<Vec<u8>, Trouble> {
        match algorithm {
            SignatureAlgorithm::RsaSha256 => public_key(self.session, self.handle, algorithm),
            // Private keys on curves do not tell their point.
            SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::Ed25519 => {
                Ok(known.ok_or(Refusal::BlobBroken)?.to_vec())
            }
        }
    }

    /// A key on a curve proves by a signature that it is the one of this public key.
    fn check(&self, algorithm: SignatureAlgorithm, spki: &[u8]) -> Result<(), Trouble> {
        const MESSAGE: &[u8] = b"azukari/loaded-key/v1";
        let verifies = match algorithm {
            SignatureAlgorithm::RsaSha256 => return Ok(()),
            SignatureAlgorithm::EcdsaP256Sha256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, spki)
            }
            SignatureAlgorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, spki),
        };
        let signature = sign(self.session, self.handle, algorithm, MESSAGE)?;
        verifies.verify(MESSAGE, &signature).map_err(|_| Refusal::BlobBroken.into())
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        let _ = self.session.destroy_object(self.handle);
    }
}

fn unwrap(
    link: &Link,
    line: &Line,
    session: &Session,
    kek_version: u32,
    ct: &[u8],
    algorithm: SignatureAlgorithm,
) -> Result<ObjectHandle, Trouble> {
    let kek = line.keys.keks.get(&kek_version);
    let kek = *kek.ok_or_else(|| Refusal::KekMissing(format!("version {kek_version}")))?;
    let attributes = loaded_attributes(key_type(algorithm), link.quirks);
    Ok(session.unwrap_key(&Mechanism::AesKeyWrapPad, kek, ct, &attributes)?)
}

pub(super) const fn key_type(algorithm: SignatureAlgorithm) -> KeyType {
    match algorithm {
        SignatureAlgorithm::RsaSha256 => KeyType::RSA,
        SignatureAlgorithm::EcdsaP256Sha256 => KeyType::EC,
        SignatureAlgorithm::Ed25519 => KeyType::EC_EDWARDS,
    }
}

fn sign(
    session: &Session,
    key: ObjectHandle,
    algorithm: SignatureAlgorithm,
    message: &[u8],
) -> Result<Vec<u8>, Trouble> {
    Ok(match algorithm {
        SignatureAlgorithm::RsaSha256 => session.sign(&Mechanism::Sha256RsaPkcs, key, message)?,
        SignatureAlgorithm::EcdsaP256Sha256 => {
            session.sign(&Mechanism::Ecdsa, key, &sha256(message))?
        }
        SignatureAlgorithm::Ed25519 => {
            let scheme = EddsaParams::new(EddsaSignatureScheme::Ed25519);
            session.sign(&Mechanism::Eddsa(scheme), key, message)?
        }
    })
}
