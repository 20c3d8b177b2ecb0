//! Keys that arrive from an authority, and keys made ahead that are bound to their owner.

use hpki::encoding::sha256;
use hpki::id::{KeyId, PersonId};
use hpki::sign::{DeviceFault, Mac as _, SignatureAlgorithm};
use hpki::time::Timestamp;

use super::subscriber::{Generated, SubscriberDesk};
use crate::device::Label;
use crate::import::{Package, arrival};
use crate::refusal::{Failed, Refusal};

/// The name of the key to which authorities wrap.
const IMPORT_KEY: &str = "import-1";

impl SubscriberDesk {
    /// The public key to which authorities wrap what they hand over, DER SubjectPublicKeyInfo
    /// (RSA). Made when first asked for.
    ///
    /// # Errors
    /// The device failed.
    pub fn import_key(&self) -> Result<Vec<u8>, Failed> {
        if let Some(own) = self.opened.device.import_key() {
            return own;
        }
        match self.opened.make_named(IMPORT_KEY, SignatureAlgorithm::RsaSha256) {
            Ok(fresh) => Ok(fresh.spki),
            Err(Failed::Refused(Refusal::KeyExists(_))) => {
                let held = self.opened.load_named(IMPORT_KEY, SignatureAlgorithm::RsaSha256)?;
                Ok(held.spki().to_vec())
            }
            Err(failed) => Err(failed),
        }
    }

    /// Takes over a key: opens the package inside the device, compares the public key that belongs
    /// to it with the expected one, and wraps it like a key of our own.
    ///
    /// # Errors
    /// `import-broken`, `import-key-mismatch`, `mechanism-missing` (the device lacks the package's
    /// digest), `import-unsupported`, or the device failed.
    pub fn import(
        &self,
        package: &Package,
        spki_der: &[u8],
        credential: KeyId,
        owner: PersonId,
        policy: u32,
        now: Timestamp,
    ) -> Result<Generated, Failed> {
        let label = Label { credential, owner, policy, created: now };
        let device = &self.opened.device;
        let own = device.import_key().transpose()?.is_some();
        let named = if own { None } else { Some(self.opened.wrapped_named(IMPORT_KEY)?) };
        let named = named.as_deref().map(|blob| (blob, super::name_id(IMPORT_KEY), super::DEVICE));
        let fresh = device.import(named, package, spki_der, &label)?;
        Ok(Generated { wrapped: fresh.wrapped, spki_der: fresh.spki, proof: fresh.proof.to_vec() })
    }

    /// Whether this device took the key over, for this credential and owner, then.
    ///
    /// # Errors
    /// The device failed.
    pub fn check_arrival(
        &self,
        spki_der: &[u8],
        proof: &[u8],
        credential: KeyId,
        owner: PersonId,
        policy: u32,
        created: Timestamp,
    ) -> Result<bool, DeviceFault> {
        let label = Label { credential, owner, policy, created };
        self.check(&arrival(&label, &sha256(spki_der)), proof)
    }

    /// Binds a key that was made ahead for `from` and nobody to a credential and its owner: the
    /// blob is wrapped again under the new label, with a generation proof of its own.
    ///
    /// # Errors
    /// `blob-broken`, `blob-not-owners`, `rebind-unsupported`, or the device failed.
    pub fn bind(
        &self,
        wrapped: &[u8],
        from: KeyId,
        credential: KeyId,
        owner: PersonId,
        policy: u32,
        now: Timestamp,
    ) -> Result<Generated, Failed> {
        let label = Label { credential, owner, policy, created: now };
        let fresh = self.opened.device.rebind(wrapped, from, super::DEVICE, &label)?;
        Ok(Generated { wrapped: fresh.wrapped, spki_der: fresh.spki, proof: fresh.proof.to_vec() })
    }

    /// Makes a key ahead, for nobody yet.
    pub fn generate_ahead_then(&self, place: KeyId, now: Timestamp, done: super::GenerateDone) {
        self.generate_then(place, super::DEVICE, 0, now, done);
    }
}
