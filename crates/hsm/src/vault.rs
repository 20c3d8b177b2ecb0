//! The software vault: a folder whose keys are wrapped under a key-encryption key (KEK), which is
//! itself wrapped under HKDF(U).
//!
//! | file | what |
//! |---|---|
//! | `vault.azkv` | `"AZKV" ‖ 01 ‖ kekVer u32 ‖ macVer u32 ‖ salt32 ‖ nonce12 ‖ AES-256-GCM(KEK32 ‖ M32) ‖ SHA-256 of all before` |
//! | `vault-next.azkv` | the same, with the coming KEK, while a rotation goes on |
//! | `*.azkb` | named keys (authorities, tokens, log), each a [`crate::blob`] |
//! | `lock` | held while a process has the folder open |
//!
//! The trailing hash is no protection; it tells an unlucky file from a wrong secret.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{KeyId, PersonId};
use hpki::sign::{DeviceFault, Random, SignatureAlgorithm};
use zeroize::Zeroizing;

use crate::blob::{ALG_VAULT, Blob, Header};
use crate::device::{Device, Fresh, Held, Label, Role};
use crate::files::{self, Lock};
use crate::import::{Package, arrival};
use crate::keypair::{HeldPair, Pair};
use crate::random::SystemRandom;
use crate::refusal::{Failed, Refusal};
use crate::unseal::{self, UnsealSecret};

const FILE: &str = "vault.azkv";
/// The same with the coming key-encryption key, while a rotation goes on.
const NEXT: &str = "vault-next.azkv";
const MAGIC: &[u8; 5] = b"AZKV\x01";
/// Everything before the wrapped keys.
const HEAD: usize = 5 + 4 + 4 + 32 + 12;
const WRAPPED: usize = 64 + 16;
const WHOLE: usize = HEAD + WRAPPED + 32;
const PURPOSE: &[u8] = b"azukari/vault/kek/v1";

/// An open vault.
pub(crate) struct Vault {
    kek: LessSafeKey,
    kek_version: u32,
    /// While a rotation goes on: the key before, with its version.
    before: Option<(u32, LessSafeKey)>,
    mac_version: u32,
    /// One keyed-hash key for each [`Role`], in its order.
    macs: Vec<hmac::Key>,
}

impl Vault {
    /// Makes a new vault in the folder: fresh KEK and keyed-hash key under HKDF(U).
    pub(crate) fn create(folder: &Path, unseal: &UnsealSecret) -> Result<(), Failed> {
        files::make_folder(folder).map_err(|error| unusable(folder, &error))?;
        let path = folder.join(FILE);
        if path.exists() {
            return Err(Refusal::VaultExists(folder.display().to_string()).into());
        }
        let mut salt = [0; 32];
        SystemRandom.fill(&mut salt);
        let mut keys = Zeroizing::new([0; 64]);
        SystemRandom.fill(&mut *keys);
        let contents = Contents { kek_version: 1, mac_version: 1, salt, keys };
        contents.write(&path, unseal)
    }

    /// Opens the vault and takes its lock.
    pub(crate) fn open(folder: &Path, unseal: &UnsealSecret) -> Result<(Self, Lock), Failed> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Err(Refusal::VaultMissing(folder.display().to_string()).into());
        }
        let lock = Lock::take(&folder.join("lock"))
            .map_err(|error| unusable(folder, &error))?
            .ok_or_else(|| Refusal::VaultInUse(folder.display().to_string()))?;
        let contents = Contents::read(&path, unseal)?;
        // A rotation that is not finished: what is new is wrapped under the coming key.
        let next = folder.join(NEXT);
        let coming = if next.exists() { Some(Contents::read(&next, unseal)?) } else { None };
        let (before, contents) = match coming {
            Some(coming) => (Some((contents.kek_version, contents.kek()?)), coming),
            None => (None, contents),
        };
        let Contents { kek_version, mac_version, salt, keys } = contents;
        let (kek, rest) = keys.split_at(32);
        let mut macs = Vec::with_capacity(Role::ALL.len());
        for role in Role::ALL {
            let purpose = format!("azukari/vault/mac/{}/v1", role.name());
            let key = unseal::expand(&salt, &rest[..32], purpose.as_bytes())?;
            macs.push(hmac::Key::new(hmac::HMAC_SHA256, &*key));
        }
        let vault = Self { kek: aes(kek)?, kek_version, before, mac_version, macs };
        Ok((vault, lock))
    }
}

impl Vault {
    fn wrap(
        &self,
        label: &Label,
        mut key: Zeroizing<Vec<u8>>,
        spki: Vec<u8>,
        proof: Digest32,
    ) -> Result<Fresh, DeviceFault> {
        let mut nonce = [0; 12];
        SystemRandom.fill(&mut nonce);
        let header = Header {
            alg: ALG_VAULT,
            kek_version: self.kek_version,
            mac_version: self.mac_version,
            credential: label.credential,
            owner: label.owner,
            policy: label.policy,
            created: label.created,
            spki_sha256: sha256(&spki),
            proof_hash: sha256(&proof),
            nonce,
        };
        let mut wrapped = header.aad(key.len());
        let tag = self
            .kek
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(wrapped.as_slice()),
                &mut key,
            )
            .map_err(|_| DeviceFault("the key cannot be wrapped".into()))?;
        wrapped.extend_from_slice(&key);
        wrapped.extend_from_slice(tag.as_ref());
        Ok(Fresh { wrapped, spki, proof })
    }

    /// The private key as PKCS#8, and the hash of the public key that belongs to it.
    fn unwrap(
        &self,
        wrapped: &[u8],
        credential: KeyId,
        owner: PersonId,
    ) -> Result<(Zeroizing<Vec<u8>>, Digest32), Failed> {
        let blob = Blob::parse(wrapped).ok_or(Refusal::BlobBroken)?;
        let kek = match &self.before {
            Some((version, kek)) if *version == blob.header.kek_version => kek,
            _ if self.kek_version == blob.header.kek_version => &self.kek,
            _ => return Err(Refusal::BlobBroken.into()),
        };
        if blob.header.alg != ALG_VAULT {
            return Err(Refusal::BlobBroken.into());
        }
        if blob.header.credential != credential || blob.header.owner != owner {
            return Err(Refusal::BlobNotOwners.into());
        }
        let mut sealed = Zeroizing::new(blob.sealed.to_vec());
        let length = kek
            .open_in_place(
                Nonce::assume_unique_for_key(blob.header.nonce),
                Aad::from(blob.aad),
                &mut sealed,
            )
            .map_err(|_| Refusal::BlobBroken)?
            .len();
        sealed.truncate(length);
        Ok((sealed, blob.header.spki_sha256))
    }
}

impl Device for Vault {
    fn prompt(&self) -> bool {
        true
    }

    fn generate(&self, label: &Label, algorithm: SignatureAlgorithm) -> Result<Fresh, Failed> {
        let pair = Pair::generate(algorithm)?;
        let spki = pair.spki()?;
        let proof =
            self.mac(Role::Subscriber, &crate::device::generation(label, &sha256(&spki)))?;
        Ok(self.wrap(label, pair.pkcs8()?, spki, proof)?)
    }

    fn load(
        &self,
        wrapped: &[u8],
        credential: KeyId,
        owner: PersonId,
        algorithm: SignatureAlgorithm,
        _spki: Option<&[u8]>,
    ) -> Result<Arc<dyn Held>, Failed> {
        let (pkcs8, spki_sha256) = self.unwrap(wrapped, credential, owner)?;
        let pair = Pair::from_pkcs8(algorithm, &pkcs8).ok_or(Refusal::BlobBroken)?;
        let spki = pair.spki()?;
        if sha256(&spki) != spki_sha256 {
            return Err(Refusal::BlobBroken.into());
        }
        Ok(Arc::new(HeldPair { pair, spki }))
    }

    fn import(
        &self,
        import_key: Option<(&[u8], KeyId, PersonId)>,
        package: &Package,
        spki: &[u8],
        label: &Label,
    ) -> Result<Fresh, Failed> {
        let (import_key, credential, owner) = import_key.ok_or(Refusal::ImportBroken)?;
        let (import_key, _) = self.unwrap(import_key, credential, owner)?;
        let pkcs8 = crate::import::open(&import_key, package)?;
        let pair =
            Pair::from_pkcs8(SignatureAlgorithm::RsaSha256, &pkcs8).ok_or(Refusal::ImportBroken)?;
        let found = pair.spki()?;
        if found != spki {
            return Err(Refusal::ImportKeyMismatch.into());
        }
        let proof = self.mac(Role::Subscriber, &arrival(label, &sha256(&found)))?;
        Ok(self.wrap(label, pair.pkcs8()?, found, proof)?)
    }

    fn rebind(
        &self,
        wrapped: &[u8],
        credential: KeyId,
        owner: PersonId,
        label: &Label,
    ) -> Result<Fresh, Failed> {
        let (pkcs8, spki_sha256) = self.unwrap(wrapped, credential, owner)?;
        let pair =
            Pair::from_pkcs8(SignatureAlgorithm::RsaSha256, &pkcs8).ok_or(Refusal::BlobBroken)?;
        let spki = pair.spki()?;
        if sha256(&spki) != spki_sha256 {
            return Err(Refusal::BlobBroken.into());
        }
        let proof = self.mac(Role::Subscriber, &crate::device::generation(label, &spki_sha256))?;
        Ok(self.wrap(label, pkcs8, spki, proof)?)
    }

    fn mac(&self, role: Role, statement: &Statement) -> Result<Digest32, DeviceFault> {
        let key = self
            .macs
            .get(role as usize)
            .ok_or_else(|| DeviceFault("no keyed hash for this role".into()))?;
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(key, &statement.octets()).as_ref());
        Ok(out)
    }
}

/// What a vault's file holds.
struct Contents {
    kek_version: u32,
    mac_version: u32,
    salt: [u8; 32],
    /// KEK ‖ keyed-hash key.
    keys: Zeroizing<[u8; 64]>,
}

impl Contents {
    fn kek(&self) -> Result<LessSafeKey, DeviceFault> {
        aes(&self.keys[..32])
    }

    fn read(path: &Path, unseal: &UnsealSecret) -> Result<Self, Failed> {
        let file = std::fs::read(path).map_err(|error| unusable(path, &error))?;
        let broken = || Refusal::VaultBroken(name_of(path));
        let (body, check) = file.split_at_checked(WHOLE - 32).ok_or_else(broken)?;
        if check != sha256(body) || !body.starts_with(MAGIC) {
            return Err(broken().into());
        }
        let kek_version = u32::from_be_bytes(part(body, 5).ok_or_else(broken)?);
        let mac_version = u32::from_be_bytes(part(body, 9).ok_or_else(broken)?);
        let salt: [u8; 32] = part(body, 13).ok_or_else(broken)?;
        let nonce: [u8; 12] = part(body, 45).ok_or_else(broken)?;
        let (head, wrapped) = body.split_at(HEAD);
        let mut opened = Zeroizing::new(wrapped.to_vec());
        let plain = aes(&*unseal.derive(&salt, PURPOSE)?)?
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(head), &mut opened)
            .map_err(|_| Refusal::UnsealSecretWrong)?;
        let mut keys = Zeroizing::new([0; 64]);
        keys.copy_from_slice(plain);
        Ok(Self { kek_version, mac_version, salt, keys })
    }

    /// Writes it under this secret, in the place of whatever was there.
    fn write(&self, path: &Path, unseal: &UnsealSecret) -> Result<(), Failed> {
        let mut file = Vec::with_capacity(WHOLE);
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&self.kek_version.to_be_bytes());
        file.extend_from_slice(&self.mac_version.to_be_bytes());
        file.extend_from_slice(&self.salt);
        let mut nonce = [0; 12];
        SystemRandom.fill(&mut nonce);
        file.extend_from_slice(&nonce);
        let mut keys = self.keys.clone();
        let tag = aes(&*unseal.derive(&self.salt, PURPOSE)?)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(file.as_slice()),
                &mut *keys,
            )
            .map_err(|_| DeviceFault("the vault keys cannot be wrapped".into()))?;
        file.extend_from_slice(&*keys);
        file.extend_from_slice(tag.as_ref());
        let check = sha256(&file);
        file.extend_from_slice(&check);
        files::write_atomically(path, &file).map_err(|error| unusable(path, &error))?;
        Ok(())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Wraps the vault's keys under another secret. The keys stay, and the salt with them: the keyed
/// hashes of the desks, and so every seal, rest on it. Whoever dies here has a vault that one of
/// the two secrets opens. While a rotation goes on there are two files, so it must be over.
pub(crate) fn change_secret(
    folder: &Path,
    old: &UnsealSecret,
    new: &UnsealSecret,
) -> Result<(), Failed> {
    // Opening checks everything and keeps others out.
    let (_vault, _lock) = Vault::open(folder, old)?;
    if folder.join(NEXT).exists() {
        return Err(Refusal::RotationUnfinished(folder.display().to_string()).into());
    }
    Contents::read(&folder.join(FILE), old)?.write(&folder.join(FILE), new)
}

/// The lock of the folder.
pub(crate) fn lock(folder: &Path) -> Result<Lock, Failed> {
    let lock = Lock::take(&folder.join("lock")).map_err(|error| unusable(folder, &error))?;
    lock.ok_or_else(|| Refusal::VaultInUse(folder.display().to_string()).into())
}

/// A key-encryption key with its version.
pub(crate) type Versioned = (u32, LessSafeKey);

/// The key-encryption key and the coming one, which is made if no rotation is under way.
pub(crate) fn rotating(
    folder: &Path,
    unseal: &UnsealSecret,
) -> Result<(Versioned, Versioned), Failed> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Err(Refusal::VaultMissing(folder.display().to_string()).into());
    }
    let old = Contents::read(&path, unseal)?;
    let next = folder.join(NEXT);
    if !next.exists() {
        let mut keys = old.keys.clone();
        SystemRandom.fill(&mut keys[..32]);
        let kek_version = old.kek_version + 1;
        let coming = Contents { kek_version, mac_version: old.mac_version, salt: old.salt, keys };
        coming.write(&next, unseal)?;
    }
    let new = Contents::read(&next, unseal)?;
    Ok(((old.kek_version, old.kek()?), (new.kek_version, new.kek()?)))
}

/// The coming key takes the place of the old one, which is gone.
pub(crate) fn rotated(folder: &Path) -> Result<(), Refusal> {
    let path = folder.join(FILE);
    std::fs::rename(folder.join(NEXT), &path)
        .and_then(|()| files::sync_folder(&path))
        .map_err(|error| unusable(folder, &error))
}

pub(crate) fn aes(key: &[u8]) -> Result<LessSafeKey, DeviceFault> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| DeviceFault("not an AES-256 key".into()))
}

fn part<const N: usize>(octets: &[u8], from: usize) -> Option<[u8; N]> {
    octets.get(from..)?.first_chunk::<N>().copied()
}

fn unusable(folder: &Path, error: &std::io::Error) -> Refusal {
    Refusal::VaultUnusable(format!("{}: {error}", folder.display()))
}
