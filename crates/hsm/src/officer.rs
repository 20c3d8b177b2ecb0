//! What officers do to a device as a whole.

use crate::config::DeviceConfig;
use crate::pkcs11::{self, TokenName};
use crate::refusal::Failed;
use crate::unseal::UnsealSecret;
use crate::vault;

/// Puts another secret in the place of the one that opens the device: its officers are replaced.
/// Keys and what is wrapped stay as they are. The device must not be open.
///
/// What is true if we die here: exactly one of the two secrets opens it.
///
/// # Errors
/// As [`crate::open`], or a device fault.
pub fn change_secret(
    device: &DeviceConfig,
    old: &UnsealSecret,
    new: &UnsealSecret,
) -> Result<(), Failed> {
    match device {
        DeviceConfig::Vault { folder } => vault::change_secret(folder, old, new),
        DeviceConfig::Pkcs11 { folder, module, token } => {
            pkcs11::change_secret(folder, TokenName { module, label: token }, old, new)
        }
    }
}

/// Puts another secret in the place of the security officers': of a token, their PIN is changed. A
/// vault knows no security officers; nothing happens. The device must not be open.
///
/// What is true if we die here: exactly one of the two secrets gives the token's PIN.
///
/// # Errors
/// [`Refusal::VaultInUse`](crate::Refusal::VaultInUse), what is said of a token that cannot be
/// used, or a device fault.
pub fn change_officers_secret(
    device: &DeviceConfig,
    old: &UnsealSecret,
    new: &UnsealSecret,
) -> Result<(), Failed> {
    match device {
        DeviceConfig::Vault { .. } => Ok(()),
        DeviceConfig::Pkcs11 { folder, module, token } => {
            pkcs11::change_officers_secret(folder, TokenName { module, label: token }, old, new)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use crate::refusal::Refusal;
    use hpki::encoding::Statement;
    use hpki::sign::{Mac as _, Sign as _};

    #[test]
    fn another_secret_opens_the_same_keys_and_the_old_one_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let device = DeviceConfig::vault(folder.path());
        let secrets = [(); 3].map(|()| UnsealSecret::random(&SystemRandom));
        let [old, new, wrong] = &secrets;
        crate::create(&device, old).unwrap();
        let opened = crate::open(&device, old, 1).unwrap();
        let key = opened.log.spki_der().to_vec();
        let statement = Statement::new("azukari/seal/v1").text("test");
        let seal = opened.log.mac(&statement).unwrap();
        let busy = change_secret(&device, old, new);
        assert!(matches!(busy, Err(Failed::Refused(Refusal::VaultInUse(_)))));
        drop(opened);
        let refused = change_secret(&device, wrong, new);
        assert_eq!(refused, Err(Failed::Refused(Refusal::UnsealSecretWrong)));
        change_secret(&device, old, new).unwrap();
        let refused = crate::open(&device, old, 1).map(drop);
        assert_eq!(refused, Err(Failed::Refused(Refusal::UnsealSecretWrong)));
        let opened = crate::open(&device, new, 1).unwrap();
        assert_eq!(opened.log.spki_der(), key);
        assert_eq!(opened.log.mac(&statement).unwrap(), seal, "every seal still holds");
    }
}
