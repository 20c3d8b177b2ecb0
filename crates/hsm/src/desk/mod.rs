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
use crate::health::DeviceWatch;
use crate::named::{Named, NamedKeys};
use crate::pkcs11::{Token, TokenName};
use crate::queue::Queue;
use crate::refusal::{Failed, Refusal};
use crate::unseal::UnsealSecret;
use crate::vault::Vault;

pub use ca::{CaAlgorithm, CaDesk, CaKey};
pub use log::LogDesk;
pub use subscriber::{GenerateDone, Generated, LoadDone, LoadedKey, SignDone, SubscriberDesk};
pub use token::{TokenBlob, TokenDesk, TokenKey, TokenPublic};

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
    /// For whoever runs the platform: how the device is.
    pub watch: DeviceWatch,
}

/// An opened device; the folder stays locked until the last desk and key is gone.
pub(crate) struct Opened {
    device: Arc<dyn Device>,
    named: NamedKeys,
    queue: Queue,
    _lock: Lock,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an opened device")
    }
}

/// Initialises a free token of the device's module under its label. The PINs of security officers
/// and user are derived from their two secrets; nobody types or sees them. A vault needs no
/// preparation: nothing happens.
///
/// # Errors
/// [`Refusal::ModuleUnusable`], [`Refusal::TokenExists`], [`Refusal::TokenFull`] (no free token),
/// or a device fault.
pub fn prepare_token(
    device: &DeviceConfig,
    officers: &UnsealSecret,
    unseal: &UnsealSecret,
) -> Result<(), Failed> {
    match device {
        DeviceConfig::Vault { .. } => Ok(()),
        DeviceConfig::Pkcs11 { module, token, .. } => {
            TokenName { module, label: token }.prepare(officers, unseal)
        }
    }
}

/// Makes a new device in its folder, to be opened with the same secret. A token must have been
/// prepared ([`crate::prepare_token`]).
///
/// # Errors
/// [`Refusal::VaultExists`], [`Refusal::VaultUnusable`], of a token also what [`open`] says and
/// [`Refusal::TokenNotEmpty`]; or a device fault.
pub fn create(device: &DeviceConfig, unseal: &UnsealSecret) -> Result<(), Failed> {
    match device {
        DeviceConfig::Vault { folder } => Vault::create(folder, unseal),
        DeviceConfig::Pkcs11 { folder, module, token } => {
            Token::create(folder, module, token, unseal)
        }
    }
}

/// Opens the device, with this many threads for subscribers' signatures (one for each core is
/// right). The token key and the log key are made when first opened.
///
/// # Errors
/// [`Refusal::VaultMissing`], [`Refusal::VaultInUse`], [`Refusal::UnsealSecretWrong`],
/// [`Refusal::VaultBroken`], [`Refusal::VaultUnusable`], [`Refusal::BlobBroken`] (a damaged token
/// or log key), or a device fault. Of a PKCS#11 device also [`Refusal::ModuleUnusable`],
/// [`Refusal::TokenUnknown`], [`Refusal::TokenDoubled`], [`Refusal::TokenAnother`],
/// [`Refusal::TokenNotReady`], [`Refusal::TokenFull`], [`Refusal::MechanismMissing`],
/// [`Refusal::PinWrong`], [`Refusal::PinFinalTry`], [`Refusal::PinLocked`],
/// [`Refusal::KekMissing`], [`Refusal::KekWeak`], [`Refusal::DeviceLost`].
pub fn open(device: &DeviceConfig, unseal: &UnsealSecret, threads: usize) -> Result<Desks, Failed> {
    opened(device, unseal, threads, |device| device)
}

/// Loads each key that lives with the device once, as it is loaded to be used: it is whole, in its
/// place, and the one of its public key. Gives how many there are.
///
/// # Errors
/// As [`open`].
pub fn look_at_named(device: &DeviceConfig, unseal: &UnsealSecret) -> Result<usize, Failed> {
    let desks = open(device, unseal, 1)?;
    let names = desks.ca.opened.named.names("")?;
    for name in &names {
        desks.ca.opened.load_named(name, desks.ca.opened.algorithm_named(name)?)?;
    }
    Ok(names.len())
}

/// As [`open`], on a device that fails as planned. For tests.
#[cfg(any(test, feature = "anomalies"))]
pub fn open_failing(
    device: &DeviceConfig,
    unseal: &UnsealSecret,
    threads: usize,
    anomalies: crate::anomaly::Anomalies,
) -> Result<Desks, Failed> {
    opened(device, unseal, threads, |device| {
        Arc::new(crate::anomaly::Failing { device, anomalies })
    })
}

/// The bare device; its folder is locked as long as the lock lives.
pub(crate) fn device(
    config: &DeviceConfig,
    unseal: &UnsealSecret,
) -> Result<(Arc<dyn Device>, DeviceWatch, Lock), Failed> {
    Ok(match config {
        DeviceConfig::Vault { folder } => {
            let (vault, lock) = Vault::open(folder, unseal)?;
            (Arc::new(vault), DeviceWatch::vault(), lock)
        }
        DeviceConfig::Pkcs11 { folder, module, token } => {
            let (token, lock) = Token::open(folder, module, token, unseal)?;
            let watch = token.watch();
            (Arc::new(token), watch, lock)
        }
    })
}

fn opened(
    config: &DeviceConfig,
    unseal: &UnsealSecret,
    threads: usize,
    dress: impl FnOnce(Arc<dyn Device>) -> Arc<dyn Device>,
) -> Result<Desks, Failed> {
    let (device, watch, lock) = device(config, unseal)?;
    let opened = Arc::new(Opened {
        device: dress(device),
        named: NamedKeys::new(config.folder()),
        queue: Queue::start(threads)?,
        _lock: lock,
    });
    Ok(Desks {
        subscriber: SubscriberDesk::new(Arc::clone(&opened)),
        ca: CaDesk::new(Arc::clone(&opened)),
        token: TokenDesk::new(Arc::clone(&opened))?,
        log: LogDesk::new(opened)?,
        watch,
    })
}

impl Opened {
    /// Makes a key that lives with the device under this name.
    fn make_named(&self, name: &str, algorithm: SignatureAlgorithm) -> Result<Fresh, Failed> {
        if !matches!(self.named.read(name), Err(Refusal::KeyUnknown(_))) {
            // Also tells a malformed name; a key that cannot be read is not overwritten either.
            self.named.read(name)?;
            return Err(Refusal::KeyExists(name.into()).into());
        }
        let fresh = self.device.generate(&name_label(name, algorithm), algorithm)?;
        let named = Named { wrapped: fresh.wrapped.clone(), spki: fresh.spki.clone() };
        self.named.write(name, &named)?;
        Ok(fresh)
    }

    fn load_named(
        &self,
        name: &str,
        algorithm: SignatureAlgorithm,
    ) -> Result<Arc<dyn Held>, Failed> {
        let Named { wrapped, spki } = self.named.read(name)?;
        let held = self.device.load(&wrapped, name_id(name), DEVICE, algorithm, Some(&spki))?;
        // The file's own copy of the public key is not under the blob's tag.
        if held.spki() != spki {
            return Err(Refusal::BlobBroken.into());
        }
        Ok(held)
    }

    /// The blob of a named key.
    fn wrapped_named(&self, name: &str) -> Result<Vec<u8>, Failed> {
        Ok(self.named.read(name)?.wrapped)
    }

    /// The algorithm of a named key, as its blob says.
    fn algorithm_named(&self, name: &str) -> Result<SignatureAlgorithm, Failed> {
        let header = crate::blob::header(&self.named.read(name)?.wrapped);
        let policy_told = header.ok_or(Refusal::BlobBroken)?.policy;
        algorithm(policy_told).ok_or_else(|| Refusal::BlobBroken.into())
    }
}

fn name_label(name: &str, algorithm: SignatureAlgorithm) -> Label {
    Label {
        credential: name_id(name),
        owner: DEVICE,
        policy: policy(algorithm),
        created: Timestamp::from_seconds(0),
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

/// The algorithm of a named key with this policy.
pub(crate) fn algorithm(told: u32) -> Option<SignatureAlgorithm> {
    [
        SignatureAlgorithm::RsaSha256,
        SignatureAlgorithm::EcdsaP256Sha256,
        SignatureAlgorithm::Ed25519,
    ]
    .into_iter()
    .find(|&algorithm| policy(algorithm) == told)
}
