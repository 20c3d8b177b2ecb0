//! 鍵暗号化鍵の交換: a new key-encryption key, and everything wrapped under it.
//!
//! While it goes on both keys are there: what is new is wrapped under the new one, what is old is
//! still opened by the old one, and each blob says by its version which it needs. So a device whose
//! rotation was interrupted works as before, and the next try goes on where the last one stopped.
//!
//! What is true if we die here: before the new key's file is there, nothing; until the end, both
//! keys open their blobs; the end is one renaming, and comes after everything is under the new key.

use std::path::PathBuf;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use hpki::id::{KeyId, PersonId};
use hpki::sign::{DeviceFault, Random as _, SignatureAlgorithm};
use zeroize::Zeroizing;

use crate::blob::{self, ALG_VAULT, Blob, Header};
use crate::config::DeviceConfig;
use crate::named::{Named, NamedKeys};
use crate::pkcs11::rotate::Rotating;
use crate::random::SystemRandom;
use crate::refusal::{Failed, Refusal};
use crate::unseal::UnsealSecret;
use crate::vault;

/// A rotation that is under way.
#[derive(Debug)]
pub struct Rotation(Kind);

#[derive(Debug)]
enum Kind {
    Vault(Vault),
    Token(Rotating),
}

struct Vault {
    folder: PathBuf,
    old: (u32, LessSafeKey),
    new: (u32, LessSafeKey),
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rotation from {} to {}", self.old.0, self.new.0)
    }
}

impl Rotation {
    /// Begins a rotation, or takes up one that was interrupted. A token asks its security officers
    /// too: their secret makes the transfer key TRUSTED. A vault knows none.
    ///
    /// # Errors
    /// As [`crate::open`] refuses, or a device fault.
    pub fn begin(
        device: &DeviceConfig,
        officers: &UnsealSecret,
        unseal: &UnsealSecret,
    ) -> Result<Self, Failed> {
        match device {
            DeviceConfig::Vault { folder } => {
                let (old, new) = vault::rotating(folder, unseal)?;
                Ok(Self(Kind::Vault(Vault { folder: folder.clone(), old, new })))
            }
            DeviceConfig::Pkcs11 { folder, module, token } => {
                Rotating::begin(folder, module, token, officers, unseal)
                    .map(|rotating| Self(Kind::Token(rotating)))
            }
        }
    }

    /// The version of the new key.
    pub const fn version(&self) -> u32 {
        match &self.0 {
            Kind::Vault(vault) => vault.new.0,
            Kind::Token(token) => token.version(),
        }
    }

    /// The same key of the same owner, wrapped under the new key. What is so already stays.
    ///
    /// # Errors
    /// [`Refusal::BlobNotOwners`], [`Refusal::BlobBroken`], or a device fault.
    pub fn rewrap(
        &self,
        wrapped: &[u8],
        credential: KeyId,
        owner: PersonId,
    ) -> Result<Vec<u8>, Failed> {
        let header = blob::header(wrapped).ok_or(Refusal::BlobBroken)?;
        if header.credential != credential || header.owner != owner {
            return Err(Refusal::BlobNotOwners.into());
        }
        match &self.0 {
            Kind::Vault(vault) => vault.anew(wrapped),
            Kind::Token(token) => token.anew(wrapped, SignatureAlgorithm::RsaSha256),
        }
    }

    /// Wraps the keys that live with the device anew and forgets the old key. The device must not
    /// be open, and everything that others keep must be under the new key already: what is not is
    /// lost.
    ///
    /// # Errors
    /// [`Refusal::VaultInUse`], [`Refusal::BlobBroken`], [`Refusal::VaultUnusable`], or a device
    /// fault.
    pub fn finish(self) -> Result<(), Failed> {
        match self.0 {
            Kind::Vault(vault) => vault.finish(),
            Kind::Token(token) => token.finish(),
        }
    }
}

impl Vault {
    fn anew(&self, wrapped: &[u8]) -> Result<Vec<u8>, Failed> {
        let blob = Blob::parse(wrapped).ok_or(Refusal::BlobBroken)?;
        let known = [&self.old, &self.new];
        let by = known.into_iter().find(|(version, _)| *version == blob.header.kek_version);
        let (_, kek) = by.filter(|_| blob.header.alg == ALG_VAULT).ok_or(Refusal::BlobBroken)?;
        let mut key = Zeroizing::new(blob.sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(blob.header.nonce);
        let length = kek
            .open_in_place(nonce, Aad::from(blob.aad), &mut key)
            .map_err(|_| Refusal::BlobBroken)?
            .len();
        if blob.header.kek_version == self.new.0 {
            return Ok(wrapped.to_vec());
        }
        key.truncate(length);
        let mut nonce = [0; 12];
        SystemRandom.fill(&mut nonce);
        let header = Header { kek_version: self.new.0, nonce, ..blob.header };
        let mut fresh = header.aad(key.len());
        let tag = self
            .new
            .1
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(fresh.as_slice()),
                &mut key,
            )
            .map_err(|_| DeviceFault("the key cannot be wrapped".into()))?;
        fresh.extend_from_slice(&key);
        fresh.extend_from_slice(tag.as_ref());
        Ok(fresh)
    }

    fn finish(self) -> Result<(), Failed> {
        let _lock = vault::lock(&self.folder)?;
        let keys = NamedKeys::new(&self.folder);
        for name in keys.names("")? {
            let Named { wrapped, spki } = keys.read(&name)?;
            let wrapped = self.anew(&wrapped)?;
            keys.replace(&name, &Named { wrapped, spki })?;
        }
        Ok(vault::rotated(&self.folder)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CaAlgorithm;
    use crate::testing;
    use hpki::encoding::Statement;
    use hpki::refusal::Refuse as _;
    use hpki::sign::{Mac as _, Sign as _};
    use hpki::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    struct House {
        _folder: tempfile::TempDir,
        device: DeviceConfig,
        secret: UnsealSecret,
    }

    fn house() -> House {
        let folder = tempfile::tempdir().unwrap();
        let secret = UnsealSecret::random(&SystemRandom);
        let device = testing::found(folder.path(), &secret);
        House { _folder: folder, device, secret }
    }

    impl House {
        fn open(&self) -> crate::Desks {
            crate::open(&self.device, &self.secret, 1).unwrap()
        }
        fn generate(&self, desks: &crate::Desks, key: KeyId, owner: PersonId) -> Vec<u8> {
            desks.subscriber.generate(key, owner, 1, NOW).unwrap().wrapped
        }
    }

    const KEY: KeyId = KeyId::from_octets([1; 16]);
    const OWNER: PersonId = PersonId::from_octets([2; 16]);

    #[test]
    fn everything_is_carried_to_the_new_key_and_the_old_one_is_gone() {
        let house = house();
        let desks = house.open();
        let before = house.generate(&desks, KEY, OWNER);
        let log = desks.log.spki_der().to_vec();
        let statement = Statement::new("azukari/seal/v1").text("test");
        let seal = desks.log.mac(&statement).unwrap();
        let authority = desks.ca.generate("root", CaAlgorithm::P256).unwrap();
        drop(desks);

        let rotation = Rotation::begin(&house.device, &testing::officers(), &house.secret).unwrap();
        assert_eq!(rotation.version(), 2);
        // Interrupted here, everything works, and what is new is under the new key.
        drop(rotation);
        let desks = house.open();
        desks.subscriber.load(&before, KEY, OWNER).unwrap();
        let other = (KeyId::from_octets([3; 16]), PersonId::from_octets([4; 16]));
        let between = house.generate(&desks, other.0, other.1);
        assert_eq!(blob::header(&between).unwrap().kek_version, 2);
        drop(desks);

        let rotation = Rotation::begin(&house.device, &testing::officers(), &house.secret).unwrap();
        assert_eq!(rotation.version(), 2, "it is the same rotation");
        let after = rotation.rewrap(&before, KEY, OWNER).unwrap();
        assert_eq!(blob::header(&after).unwrap().kek_version, 2);
        assert_eq!(rotation.rewrap(&after, KEY, OWNER).unwrap(), after);
        assert_eq!(rotation.rewrap(&between, other.0, other.1).unwrap(), between);
        let foreign = rotation.rewrap(&before, other.0, OWNER);
        assert_eq!(foreign, Err(Refusal::BlobNotOwners.into()));
        let mut broken = before.clone();
        *broken.last_mut().unwrap() ^= 1;
        assert_eq!(rotation.rewrap(&broken, KEY, OWNER), Err(Refusal::BlobBroken.into()));
        let desks = house.open();
        desks.subscriber.load(&after, KEY, OWNER).unwrap();
        desks.subscriber.load(&before, KEY, OWNER).unwrap();
        let busy = Rotation::begin(&house.device, &testing::officers(), &house.secret)
            .and_then(Rotation::finish);
        assert!(matches!(busy, Err(Failed::Refused(Refusal::VaultInUse(_)))));
        drop(desks);
        rotation.finish().unwrap();

        let desks = house.open();
        desks.subscriber.load(&after, KEY, OWNER).unwrap();
        desks.subscriber.load(&between, other.0, other.1).unwrap();
        let old = desks.subscriber.load(&before, KEY, OWNER).map(drop);
        let gone = if testing::on_softhsm() {
            Refusal::KekMissing("version 1".into())
        } else {
            Refusal::BlobBroken
        };
        assert_eq!(old, Err(gone.into()));
        assert_eq!(desks.log.spki_der(), log);
        assert_eq!(desks.log.mac(&statement).unwrap(), seal, "every seal still holds");
        assert_eq!(desks.ca.key("root").unwrap().spki_der(), authority);
        drop(desks);
        let next = Rotation::begin(&house.device, &testing::officers(), &house.secret).unwrap();
        assert_eq!(next.version(), 3);
    }

    #[test]
    fn another_secret_rotates_nothing() {
        let house = house();
        let wrong = UnsealSecret::random(&SystemRandom);
        let files = || std::fs::read_dir(house.device.folder()).unwrap().count();
        let token = testing::on_softhsm();
        drop(house.open());
        let before = files();
        let refused = Rotation::begin(&house.device, &testing::officers(), &wrong).map(drop);
        let code = |refused: Result<(), Failed>| match refused {
            Err(Failed::Refused(refusal)) => refusal.code(),
            _ => "accepted",
        };
        assert_eq!(code(refused), if token { "pin-wrong" } else { "unseal-secret-wrong" });
        assert_eq!(files(), before);
        if token {
            let refused = Rotation::begin(&house.device, &wrong, &house.secret).map(drop);
            assert_eq!(code(refused), "pin-wrong", "security officers agree, or nothing begins");
            let desks = house.open();
            let fresh = house.generate(&desks, KEY, OWNER);
            assert_eq!(blob::header(&fresh).unwrap().kek_version, 1);
        }
    }
}
