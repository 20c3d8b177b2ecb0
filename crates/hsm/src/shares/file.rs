//! A share in a file: under its officer's passphrase, and readable by its owner alone.
//!
//! ```text
//! "AZKS" ‖ 01 ‖ memory KiB u32 ‖ passes u32 ‖ lanes u32 ‖ salt16 ‖ nonce12 ‖ fr(officer) ‖ share (AES-256-GCM) ‖ tag
//! ```
//! as Base64 between two marks. The key is Argon2id (RFC 9106) of the passphrase; everything before
//! the share is additional authenticated data. Whoever has the file may try passphrases as fast as
//! the memory allows: the file is one of m, and the passphrase must still be a good one.

use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::sign::{DeviceFault, Random};
use zeroize::Zeroizing;

use super::{Failed, Refusal, Share, WHOLE};
use crate::files;

/// Characters that a passphrase has at least.
pub const PASSPHRASE_MIN: usize = 12;

const MAGIC: &[u8; 5] = b"AZKS\x01";
const BEGIN: &str = "-----BEGIN AZUKARI SHARE-----";
const END: &str = "-----END AZUKARI SHARE-----";
/// RFC 9106 §4, second recommended option, on one lane: 64 MiB, 3 passes.
const COST: Cost = Cost { memory: 64 * 1024, passes: 3, lanes: 1 };
/// A file may ask for more than we do, within reason: it is read before it is believed.
const MOST: Cost = Cost { memory: 1024 * 1024, passes: 16, lanes: 8 };
const TAG: usize = 16;
const FIXED: usize = 5 + 12 + 16 + 12;
const OFFICER_MAX: usize = 200;

#[derive(Clone, Copy)]
struct Cost {
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Share {
    /// Writes the share to a new file that only its owner can read, under the passphrase.
    ///
    /// # Errors
    /// [`Refusal::PassphraseTooShort`], [`Refusal::ShareFileUnusable`], or a device fault.
    pub fn lock(
        &self,
        file: &Path,
        officer: &str,
        passphrase: &str,
        random: &dyn Random,
    ) -> Result<(), Failed> {
        if passphrase.chars().count() < PASSPHRASE_MIN {
            return Err(Refusal::PassphraseTooShort(PASSPHRASE_MIN).into());
        }
        if file.exists() || officer.len() > OFFICER_MAX {
            return Err(unusable(file).into());
        }
        let (mut salt, mut nonce) = ([0; 16], [0; 12]);
        random.fill(&mut salt);
        random.fill(&mut nonce);
        let mut octets = MAGIC.to_vec();
        for number in [COST.memory, COST.passes, COST.lanes] {
            octets.extend_from_slice(&number.to_be_bytes());
        }
        octets.extend_from_slice(&salt);
        octets.extend_from_slice(&nonce);
        hpki::encoding::fr(&mut octets, officer.as_bytes());
        let mut share = self.octets();
        let tag = key(passphrase, &salt, COST)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(octets.as_slice()),
                share.as_mut_slice(),
            )
            .map_err(|_| DeviceFault("the share cannot be locked".into()))?;
        octets.extend_from_slice(share.as_slice());
        octets.extend_from_slice(tag.as_ref());
        let mut text = format!("{BEGIN}\n");
        let encoded = STANDARD.encode(&octets);
        for line in encoded.as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str(END);
        text.push('\n');
        files::write_atomically(file, text.as_bytes()).map_err(|_| unusable(file))?;
        Ok(())
    }

    /// Opens a share file with its passphrase: the officer named in it, and the share.
    ///
    /// # Errors
    /// [`Refusal::ShareFileReadable`], [`Refusal::ShareFileUnusable`],
    /// [`Refusal::ShareFileLocked`], [`Refusal::ShareDamaged`], [`Refusal::ShareVersionUnknown`],
    /// or a device fault.
    pub fn unlock(file: &Path, passphrase: &str) -> Result<(String, Self), Failed> {
        if files::others_may_read(file).map_err(|_| unusable(file))? {
            return Err(Refusal::ShareFileReadable(file.display().to_string()).into());
        }
        let text = std::fs::read_to_string(file).map_err(|_| unusable(file))?;
        let octets = dearmoured(&text).ok_or_else(|| unusable(file))?;
        let parts = Parts::of(&octets).ok_or_else(|| unusable(file))?;
        let mut sealed = Zeroizing::new(parts.sealed.to_vec());
        let opened = key(passphrase, &parts.salt, parts.cost)?
            .open_in_place(
                Nonce::assume_unique_for_key(parts.nonce),
                Aad::from(parts.aad),
                &mut sealed,
            )
            .map_err(|_| Refusal::ShareFileLocked)?;
        let share: &[u8; WHOLE] = (&*opened).try_into().map_err(|_| Refusal::ShareDamaged)?;
        Ok((parts.officer, Self::from_octets(share)?))
    }
}

struct Parts<'a> {
    cost: Cost,
    salt: [u8; 16],
    nonce: [u8; 12],
    officer: String,
    aad: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Takes a file apart; `None` if it is not exactly of this form.
    fn of(octets: &'a [u8]) -> Option<Self> {
        let (aad, sealed) = octets.split_at_checked(octets.len().checked_sub(WHOLE + TAG)?)?;
        let (fixed, named) = aad.split_at_checked(FIXED)?;
        let mut rest = fixed.strip_prefix(MAGIC)?;
        let mut number = || {
            let (octets, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            Some(u32::from_be_bytes(*octets))
        };
        let cost = Cost { memory: number()?, passes: number()?, lanes: number()? };
        let fits = cost.memory <= MOST.memory && cost.passes <= MOST.passes;
        if !fits || cost.lanes > MOST.lanes {
            return None;
        }
        let (salt, nonce) = rest.split_first_chunk::<16>()?;
        let (length, officer) = named.split_first_chunk::<4>()?;
        if usize::try_from(u32::from_be_bytes(*length)).ok()? != officer.len() {
            return None;
        }
        Some(Self {
            cost,
            salt: *salt,
            nonce: nonce.try_into().ok()?,
            officer: String::from_utf8(officer.to_vec()).ok()?,
            aad,
            sealed,
        })
    }
}

fn dearmoured(text: &str) -> Option<Vec<u8>> {
    let inside = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let joined: String = inside.split_whitespace().collect();
    STANDARD.decode(joined).ok()
}

fn key(passphrase: &str, salt: &[u8; 16], cost: Cost) -> Result<LessSafeKey, DeviceFault> {
    let broke = |what: &str| DeviceFault(format!("the share's key cannot be derived: {what}"));
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32))
        .map_err(|error| broke(&error.to_string()))?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .map_err(|error| broke(&error.to_string()))?;
    UnboundKey::new(&AES_256_GCM, &*key).map(LessSafeKey::new).map_err(|_| broke("not a key"))
}

fn unusable(file: &Path) -> Refusal {
    Refusal::ShareFileUnusable(file.display().to_string())
}
