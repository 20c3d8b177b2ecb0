//! The unseal secret U: 256 bits without which the vault folder is noise.
//!
//! It is put together from officers' shares (m of n, [`crate::shares`]), or read whole from a file
//! that only its owner can read.

use std::path::Path;

use aws_lc_rs::hkdf;
use cryptoki::types::AuthPin;
use hpki::encoding::sha256;
use hpki::sign::{DeviceFault, Random};
use zeroize::Zeroizing;

use crate::files;
use crate::refusal::Refusal;

/// 256 secret bits that open a vault. Neither shown nor written by accident; zeroed when dropped.
pub struct UnsealSecret(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for UnsealSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UnsealSecret(…)")
    }
}

impl UnsealSecret {
    /// A fresh secret.
    pub fn random(random: &dyn Random) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(&mut *secret);
        Self(secret)
    }

    /// Reads the secret from a file of 64 hexadecimal digits that only its owner can read.
    ///
    /// # Errors
    /// [`Refusal::UnsealSecretUnusable`] if the file is missing, malformed, or others may read it.
    pub fn from_file(path: &Path) -> Result<Self, Refusal> {
        let unusable = || Refusal::UnsealSecretUnusable(path.display().to_string());
        if files::others_may_read(path).map_err(|_| unusable())? {
            return Err(unusable());
        }
        let text = Zeroizing::new(std::fs::read(path).map_err(|_| unusable())?);
        let mut secret = Zeroizing::new([0; 32]);
        hex_into(text.trim_ascii(), &mut secret).ok_or_else(unusable)?;
        Ok(Self(secret))
    }

    /// Writes the secret to a new file that only its owner can read.
    ///
    /// # Errors
    /// [`Refusal::UnsealSecretUnusable`] if the file exists or cannot be written.
    pub fn to_file(&self, path: &Path) -> Result<(), Refusal> {
        let unusable = || Refusal::UnsealSecretUnusable(path.display().to_string());
        if path.exists() {
            return Err(unusable());
        }
        let mut text = Zeroizing::new(Vec::with_capacity(65));
        for octet in self.0.iter() {
            for nibble in [octet >> 4, octet & 15] {
                text.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
            }
        }
        text.push(b'\n');
        files::write_atomically(path, &text).map_err(|_| unusable())
    }

    pub(crate) fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_octets(octets: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*octets))
    }

    /// The 256-bit key that wraps the key-encryption key: HKDF-SHA-256 (RFC 5869) over U.
    pub(crate) fn derive(
        &self,
        salt: &[u8; 32],
        purpose: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, DeviceFault> {
        expand(salt, &*self.0, purpose)
    }
}

impl UnsealSecret {
    /// The user's PIN of a token: HKDF over U. Nobody ever types or sees it.
    pub(crate) fn pin(&self, token: &str) -> Result<AuthPin, DeviceFault> {
        Ok(AuthPin::from(self.pin_for("user", token)?))
    }

    /// The security officers' PIN of a token, from their own secret.
    pub(crate) fn officers_pin(&self, token: &str) -> Result<AuthPin, DeviceFault> {
        Ok(AuthPin::from(self.pin_for("officers", token)?))
    }

    /// 32 hexadecimal digits, 128 bits: tokens differ in the PINs they take, but this they take.
    pub(crate) fn pin_for(&self, who: &str, token: &str) -> Result<Box<str>, DeviceFault> {
        let purpose = format!("azukari/pkcs11/pin/{who}/v1");
        let key = self.derive(&sha256(token.as_bytes()), purpose.as_bytes())?;
        let digits = key.iter().take(16).flat_map(|octet| [octet >> 4, octet & 15]);
        let pin: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
        Ok(pin.into_boxed_str())
    }
}

/// HKDF-SHA-256 of one secret for one purpose.
pub(crate) fn expand(
    salt: &[u8],
    secret: &[u8],
    purpose: &[u8],
) -> Result<Zeroizing<[u8; 32]>, DeviceFault> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[purpose], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key))
        .map_err(|_| DeviceFault("key derivation failed".into()))?;
    Ok(key)
}

fn hex_into(text: &[u8], out: &mut [u8; 32]) -> Option<()> {
    if text.len() != 64 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (octet, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *octet = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_written_is_the_secret_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("unseal");
        let secret = UnsealSecret::random(&SystemRandom);
        secret.to_file(&path).unwrap();
        assert_eq!(*UnsealSecret::from_file(&path).unwrap().0, *secret.0);
        assert!(secret.to_file(&path).is_err(), "a secret is never overwritten");
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("unseal");
        UnsealSecret::random(&SystemRandom).to_file(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(UnsealSecret::from_file(&path), Err(Refusal::UnsealSecretUnusable(_))));
    }

    #[test]
    fn a_short_or_strange_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("short", "00ff"), ("strange", &*"zz".repeat(32))] {
            let path = folder.path().join(name);
            files::write_atomically(&path, text.as_bytes()).unwrap();
            assert!(UnsealSecret::from_file(&path).is_err());
        }
    }
}
