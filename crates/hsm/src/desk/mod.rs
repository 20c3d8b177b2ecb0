//! The four doors to the keys. Each desk is made once, by [`open`], and cannot be cloned.

mod ca;
mod import;
mod log;
mod subscriber;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use hpki::encoding::Digest32;
use hpki::id::{KeyId, PersonId};
use hpki::sign::SignatureAlgorithm;
use hpki::time::Timestamp;

use crate::config::DeviceConfig;
use crate::device::{Device, Fresh, Held, Label};
use crate::files::Lock;
use crate::queue::Queue;
use crate::refusal::{Failed, Refusal};
use crate::unseal::UnsealSecret;
use crate::vault::Vault;

pub use ca::{CaAlgorithm, CaDesk, CaKey};
pub use log::LogDesk;
pub use subscriber::{GenerateDone, Generated, LoadDone, LoadedKey, SignDone, SubscriberDesk};
pub use token::{TokenDesk, TokenKey, TokenPublic};

/// The desks of one opened vault. Move each to the one room it is for.
#[derive(Debug)]
pub struct Desks {
    /// For `custody`.
    pub subscriber: SubscriberDesk,
    /// For `ca`.
    pub ca: CaDesk,
    /// For `authn`.
    pub token: TokenDesk,
    /// For `ledger`.
    pub log: LogDesk,
}

/// An opened device; the folder stays locked until the last desk and key is gone.
pub(crate) struct Opened {
    device: Arc<dyn Device>,
    queue: Queue,
    _lock: Lock,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an opened device")
    }
}

/// Makes a new device in its folder, to be opened with the same secret.
///
/// # Errors
/// [`Refusal::VaultExists`], [`Refusal::VaultUnusable`], or a device fault.
pub fn create(device: &DeviceConfig, unseal: &UnsealSecret) -> Result<(), Failed> {
    match device {
        DeviceConfig::Vault { folder } => Vault::create(folder, unseal),
        DeviceConfig::Pkcs11 { .. } => Err(not_yet()),
    }
}

/// Opens the device, with this many threads for subscribers' signatures (one for each core is
/// right). The token key and the log key are made when first opened.
///
/// # Errors
/// [`Refusal::VaultMissing`], [`Refusal::VaultInUse`], [`Refusal::UnsealSecretWrong`],
/// [`Refusal::VaultBroken`], [`Refusal::VaultUnusable`], [`Refusal::BlobBroken`] (a damaged token
/// or log key), or a device fault.
pub fn open(device: &DeviceConfig, unseal: &UnsealSecret, threads: usize) -> Result<Desks, Failed> {
    match device {
        DeviceConfig::Vault { folder } => {
            let (vault, lock) = Vault::open(folder, unseal)?;
            desks(Arc::new(vault), lock, threads)
        }
        DeviceConfig::Pkcs11 { .. } => Err(not_yet()),
    }
}

fn not_yet() -> Failed {
    hpki::sign::DeviceFault("PKCS#11 devices cannot be opened yet".into()).into()
}

/// As [`open`], on a device that fails as planned. For tests.
#[cfg(any(test, feature = "anomalies"))]
pub fn open_failing(
    device: &DeviceConfig,
    unseal: &UnsealSecret,
    threads: usize,
    anomalies: crate::anomaly::Anomalies,
) -> Result<Desks, Failed> {
    match device {
        DeviceConfig::Vault { folder } => {
            let (device, lock) = Vault::open(folder, unseal)?;
            desks(Arc::new(crate::anomaly::Failing { device, anomalies }), lock, threads)
        }
        DeviceConfig::Pkcs11 { .. } => Err(not_yet()),
    }
}

fn desks(device: Arc<dyn Device>, lock: Lock, threads: usize) -> Result<Desks, Failed> {
    let opened = Arc::new(Opened { device, queue: Queue::start(threads)?, _lock: lock });
    Ok(Desks {
        subscriber: SubscriberDesk::new(Arc::clone(&opened)),
        ca: CaDesk::new(Arc::clone(&opened)),
        token: TokenDesk::new(Arc::clone(&opened))?,
        log: LogDesk::new(opened)?,
    })
}

impl Opened {
    /// Makes a key that lives with the device under this name.
    fn make_named(&self, name: &str, algorithm: SignatureAlgorithm) -> Result<Fresh, Failed> {
        if !matches!(self.device.read_named(name), Err(Refusal::KeyUnknown(_))) {
            // Also tells a malformed name; a key that cannot be read is not overwritten either.
            self.device.read_named(name)?;
            return Err(Refusal::KeyExists(name.into()).into());
        }
        let label = Label {
            credential: name_id(name),
            owner: DEVICE,
            policy: policy(algorithm),
            created: Timestamp::from_seconds(0),
        };
        let fresh = self.device.generate(&label, algorithm)?;
        self.device.write_named(name, &fresh.wrapped)?;
        Ok(fresh)
    }

    fn load_named(
        &self,
        name: &str,
        algorithm: SignatureAlgorithm,
    ) -> Result<Arc<dyn Held>, Failed> {
        let wrapped = self.device.read_named(name)?;
        self.device.load(&wrapped, name_id(name), DEVICE, algorithm)
    }

    /// The blob of a named key.
    fn wrapped_named(&self, name: &str) -> Result<Vec<u8>, Failed> {
        Ok(self.device.read_named(name)?)
    }

    /// The algorithm of a named key, as its blob says.
    fn algorithm_named(&self, name: &str) -> Result<SignatureAlgorithm, Failed> {
        let wrapped = self.device.read_named(name)?;
        let header = crate::blob::header(&wrapped).ok_or(Refusal::BlobBroken)?;
        [
            SignatureAlgorithm::RsaSha256,
            SignatureAlgorithm::EcdsaP256Sha256,
            SignatureAlgorithm::Ed25519,
        ]
        .into_iter()
        .find(|&algorithm| policy(algorithm) == header.policy)
        .ok_or_else(|| Refusal::BlobBroken.into())
    }
}

/// Named keys belong to the device itself.
const DEVICE: PersonId = PersonId::from_octets([0; 16]);

/// A named key's place in its blob: so one named file cannot be put in place of another.
fn name_id(name: &str) -> KeyId {
    let digest: Digest32 =
        hpki::encoding::Statement::new("azukari/named-key/v1").text(name).digest();
    let mut octets = [0; 16];
    octets.copy_from_slice(&digest[..16]);
    KeyId::from_octets(octets)
}

const fn policy(algorithm: SignatureAlgorithm) -> u32 {
    match algorithm {
        SignatureAlgorithm::RsaSha256 => 1,
        SignatureAlgorithm::EcdsaP256Sha256 => 2,
        SignatureAlgorithm::Ed25519 => 3,
    }
}
