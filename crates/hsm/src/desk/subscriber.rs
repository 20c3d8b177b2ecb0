//! Subscribers' kept keys: made here, kept by the caller as blobs, used here.

use std::fmt;
use std::sync::Arc;

use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{KeyId, PersonId};
use hpki::sign::{DeviceFault, Mac, SignatureAlgorithm};
use hpki::time::Timestamp;

use super::Opened;
use crate::device::{Held, Label, Role};
use crate::refusal::Failed;

/// The desk for subscribers' keys, given to `custody`.
#[derive(Debug)]
pub struct SubscriberDesk {
    pub(super) opened: Arc<Opened>,
}

/// A fresh key: the wrapped form to keep, the public key, and the device's proof that it made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The blob ([`crate::blob`]).
    pub wrapped: Vec<u8>,
    /// The public key as DER SubjectPublicKeyInfo.
    pub spki_der: Vec<u8>,
    /// The generation proof; its SHA-256 is in the blob.
    pub proof: Vec<u8>,
}

/// A key that is loaded in the device and can sign until it is dropped; then the device zeroes it.
///
/// Only [`SubscriberDesk::load`] makes one, and only a [`SubscriberDesk`] signs with one.
pub struct LoadedKey {
    credential: KeyId,
    held: Arc<dyn Held>,
}

impl LoadedKey {
    /// Which key it is.
    pub fn credential(&self) -> KeyId {
        self.credential
    }
    /// The public key as DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        self.held.spki()
    }
}

impl fmt::Debug for LoadedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoadedKey({})", self.credential)
    }
}

/// Told once how a signature ended.
pub type SignDone = Box<dyn FnOnce(Result<Vec<u8>, DeviceFault>) + Send>;
/// Told once how loading ended.
pub type LoadDone = Box<dyn FnOnce(Result<LoadedKey, Failed>) + Send>;
/// Told once, on a device thread, how a generation ended.
pub type GenerateDone = Box<dyn FnOnce(Result<Generated, DeviceFault>) + Send>;

impl SubscriberDesk {
    pub(super) fn new(opened: Arc<Opened>) -> Self {
        Self { opened }
    }

    /// Makes an RSA-2048 key and wraps it. Slow (some 70 ms): call it where that does no harm, or
    /// use [`SubscriberDesk::generate_then`].
    ///
    /// # Errors
    /// The device failed; no key exists then.
    pub fn generate(
        &self,
        credential: KeyId,
        owner: PersonId,
        policy: u32,
        now: Timestamp,
    ) -> Result<Generated, DeviceFault> {
        generate(&self.opened, &Label { credential, owner, policy, created: now })
    }

    /// As [`SubscriberDesk::generate`], on the device's threads.
    pub fn generate_then(
        &self,
        credential: KeyId,
        owner: PersonId,
        policy: u32,
        now: Timestamp,
        done: GenerateDone,
    ) {
        let opened = WorkerView::of(&self.opened);
        let label = Label { credential, owner, policy, created: now };
        self.opened.queue.push(Box::new(move |ready| {
            done(ready.and_then(|()| generate_on(&*opened.0, &label)));
        }));
    }

    /// Whether this device made the key, for this credential and owner, then.
    ///
    /// # Errors
    /// The device failed.
    pub fn check_proof(
        &self,
        spki_der: &[u8],
        proof: &[u8],
        credential: KeyId,
        owner: PersonId,
        policy: u32,
        created: Timestamp,
    ) -> Result<bool, DeviceFault> {
        let label = Label { credential, owner, policy, created };
        self.check(&crate::device::generation(&label, &sha256(spki_der)), proof)
    }

    /// Loads a key (some 230 µs): the blob must be whole and name this key and owner.
    ///
    /// # Errors
    /// `blob-not-owners`, `blob-broken`, or the device failed.
    pub fn load(
        &self,
        wrapped: &[u8],
        credential: KeyId,
        owner: PersonId,
    ) -> Result<LoadedKey, Failed> {
        load_on(&*self.opened.device, wrapped, credential, owner)
    }

    /// As [`SubscriberDesk::load`], on the device's threads, or at once where the device is prompt.
    pub fn load_then(&self, wrapped: Vec<u8>, credential: KeyId, owner: PersonId, done: LoadDone) {
        if self.opened.device.prompt() {
            return done(load_on(&*self.opened.device, &wrapped, credential, owner));
        }
        let opened = WorkerView::of(&self.opened);
        self.opened.queue.push(Box::new(move |ready| {
            done(match ready {
                Ok(()) => load_on(&*opened.0, &wrapped, credential, owner),
                Err(fault) => Err(fault.into()),
            });
        }));
    }

    /// Signs the message (not its digest) with RSASSA-PKCS1-v1_5 and SHA-256; `done` is told on
    /// one of the device's threads, or on the caller's before this returns where the device is
    /// prompt (the vault: some 250 µs of this processor either way).
    pub fn sign(&self, key: Arc<LoadedKey>, message: Vec<u8>, done: SignDone) {
        if self.opened.device.prompt() {
            return done(key.held.sign(&message));
        }
        self.opened.queue.push(Box::new(move |ready| {
            done(ready.and_then(|()| key.held.sign(&message)));
        }));
    }

    /// As [`SubscriberDesk::sign`], for a SHA-256 digest that somebody else made: the same value as
    /// signing what it is the digest of.
    pub fn sign_digest(&self, key: Arc<LoadedKey>, digest: Digest32, done: SignDone) {
        self.opened.queue.push(Box::new(move |ready| {
            done(ready.and_then(|()| key.held.sign_digest(&digest)));
        }));
    }

    /// The seal of a row that carries authority: `M("azukari/seal/v1"; row)` and the like.
    ///
    /// # Errors
    /// The device failed.
    pub fn seal(&self, row: &Statement) -> Result<Digest32, DeviceFault> {
        self.mac(row)
    }

    /// Whether this is the row's seal.
    ///
    /// # Errors
    /// The device failed: that is no word about the row.
    pub fn check_seal(&self, row: &Statement, tag: &[u8]) -> Result<bool, DeviceFault> {
        self.check(row, tag)
    }
}

impl Mac for SubscriberDesk {
    fn mac(&self, statement: &Statement) -> Result<Digest32, DeviceFault> {
        self.opened.device.mac(Role::Subscriber, statement)
    }
}

/// What a queued job may keep: the device, but neither the queue nor the folder's lock, so that
/// closing does not wait for a device that hangs.
struct WorkerView(Arc<dyn crate::device::Device>);

impl WorkerView {
    fn of(opened: &Opened) -> Self {
        Self(Arc::clone(&opened.device))
    }
}

fn generate(opened: &Opened, label: &Label) -> Result<Generated, DeviceFault> {
    generate_on(&*opened.device, label)
}

fn generate_on(
    device: &dyn crate::device::Device,
    label: &Label,
) -> Result<Generated, DeviceFault> {
    let fresh =
        device.generate(label, SignatureAlgorithm::RsaSha256).map_err(crate::pkcs11::fault)?;
    Ok(Generated { wrapped: fresh.wrapped, spki_der: fresh.spki, proof: fresh.proof.to_vec() })
}

fn load_on(
    device: &dyn crate::device::Device,
    wrapped: &[u8],
    credential: KeyId,
    owner: PersonId,
) -> Result<LoadedKey, Failed> {
    let held = device.load(wrapped, credential, owner, SignatureAlgorithm::RsaSha256, None)?;
    Ok(LoadedKey { credential, held })
}
