//! A bare device to be measured, with keys that nobody owns: what a benchmark of the whole platform
//! is compared with.

use std::sync::Arc;

use hpki::id::{KeyId, PersonId};
use hpki::sign::{Random as _, SignatureAlgorithm};
use hpki::time::Timestamp;

use crate::config::DeviceConfig;
use crate::desk::device;
use crate::device::{Device, Held, Label};
use crate::files::Lock;
use crate::random::SystemRandom;
use crate::refusal::Failed;
use crate::unseal::UnsealSecret;

const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::RsaSha256;
/// Their blobs say that no person owns them.
const NOBODY: PersonId = PersonId::from_octets([0; 16]);
const MESSAGE: &[u8] = b"azukari gauge";

/// An opened device and a row of RSA-2048 keys made for this only; dropping it, they are gone. No
/// kept key can be reached from here.
pub struct Gauge {
    // Before the lock, so that the device is closed when its folder is free.
    keys: Vec<Throwaway>,
    device: Arc<dyn Device>,
    _lock: Lock,
}

struct Throwaway {
    credential: KeyId,
    wrapped: Vec<u8>,
    spki: Vec<u8>,
    held: Arc<dyn Held>,
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a gauge with {} keys", self.keys.len())
    }
}

impl Gauge {
    /// Opens the device, which nobody else may have open, and makes so many keys (at least one).
    ///
    /// # Errors
    /// As [`crate::open`].
    pub fn open(config: &DeviceConfig, unseal: &UnsealSecret, keys: usize) -> Result<Self, Failed> {
        let (device, _, lock) = device(config, unseal)?;
        let keys = (0..keys.max(1)).map(|_| make(&*device)).collect::<Result<_, _>>()?;
        Ok(Self { keys, device, _lock: lock })
    }

    /// Signs with one of the keys, which is loaded.
    ///
    /// # Errors
    /// A device fault.
    pub fn sign_loaded(&self, number: usize) -> Result<(), Failed> {
        self.key(number).held.sign(MESSAGE)?;
        Ok(())
    }

    /// Unwraps one of the keys, signs with it once, and destroys the unwrapped key.
    ///
    /// # Errors
    /// A device fault.
    pub fn sign_unwrapped(&self, number: usize) -> Result<(), Failed> {
        let Throwaway { credential, wrapped, spki, .. } = self.key(number);
        self.device.load(wrapped, *credential, NOBODY, ALGORITHM, Some(spki))?.sign(MESSAGE)?;
        Ok(())
    }

    fn key(&self, number: usize) -> &Throwaway {
        &self.keys[number % self.keys.len()]
    }
}

fn make(device: &dyn Device) -> Result<Throwaway, Failed> {
    let mut octets = [0; 16];
    SystemRandom.fill(&mut octets);
    let credential = KeyId::from_octets(octets);
    let created = Timestamp::from_seconds(0);
    let label = Label { credential, owner: NOBODY, policy: 1, created };
    let fresh = device.generate(&label, ALGORITHM)?;
    let held = device.load(&fresh.wrapped, credential, NOBODY, ALGORITHM, Some(&fresh.spki))?;
    Ok(Throwaway { credential, wrapped: fresh.wrapped, spki: fresh.spki, held })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_gauge_signs_both_ways_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let unseal = UnsealSecret::random(&SystemRandom);
        let device = testing::found(folder.path(), &unseal);
        // Whoever opens a device leaves its lock file, whatever it then does.
        drop(Gauge::open(&device, &unseal, 1).unwrap());
        let before = files(folder.path());
        let gauge = Gauge::open(&device, &unseal, 2).unwrap();
        for number in 0..3 {
            gauge.sign_loaded(number).unwrap();
            gauge.sign_unwrapped(number).unwrap();
        }
        drop(gauge);
        assert_eq!(files(folder.path()), before);
        // The device is free again.
        Gauge::open(&device, &unseal, 0).unwrap().sign_loaded(7).unwrap();
    }

    fn files(folder: &std::path::Path) -> Vec<std::ffi::OsString> {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    }
}
