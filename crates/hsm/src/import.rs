//! Taking over a key that a certification authority made, and binding a key to its owner.
//!
//! A package is two layers, as devices can open them: an AES-256 key under RSA-OAEP to this
//! device's own import key, and the private key (PKCS#8) under that AES key by key wrap with
//! padding (RFC 5649). The plain key exists inside the device only.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use hpki::encoding::{Digest32, Statement};
use zeroize::Zeroizing;

use crate::device::Label;
use crate::refusal::Refusal;

/// Longest wrapped key that is looked at: RSA-8192 in PKCS#8 is below 5 KiB.
pub(crate) const LONGEST: usize = 8 * 1024;

/// The digest of RSA-OAEP (and of its MGF1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OaepDigest {
    /// SHA-1, which is all that SoftHSM2 has. OAEP does not rest on collision resistance.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// A private key as an authority hands it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The digest with which the AES key was wrapped.
    pub digest: OaepDigest,
    /// The AES-256 key under the device's import key, RSA-OAEP, no label.
    pub wrapped_aes: Vec<u8>,
    /// The PKCS#8 private key under the AES key, RFC 5649.
    pub wrapped_key: Vec<u8>,
}

/// Opens both layers with the import key (PKCS#8).
pub(crate) fn open(import_key: &[u8], package: &Package) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let broken = |_| Refusal::ImportBroken;
    let key = PrivateDecryptingKey::from_pkcs8(import_key).map_err(|_| Refusal::BlobBroken)?;
    let key = OaepPrivateDecryptingKey::new(key).map_err(broken)?;
    if package.wrapped_key.len() > LONGEST {
        return Err(Refusal::ImportBroken);
    }
    let algorithm = match package.digest {
        OaepDigest::Sha1 => &OAEP_SHA1_MGF1SHA1,
        OaepDigest::Sha256 => &OAEP_SHA256_MGF1SHA256,
    };
    let mut plain = Zeroizing::new(vec![0; key.min_output_size()]);
    let aes = key.decrypt(algorithm, &package.wrapped_aes, &mut plain, None).map_err(broken)?;
    if aes.len() != 32 {
        return Err(Refusal::ImportBroken);
    }
    let kek = AesKek::new(&AES_256, aes).map_err(broken)?;
    let mut pkcs8 = Zeroizing::new(vec![0; package.wrapped_key.len() + 8]);
    let length = kek.unwrap_with_padding(&package.wrapped_key, &mut pkcs8).map_err(broken)?.len();
    pkcs8.truncate(length);
    Ok(pkcs8)
}

/// The statement whose keyed hash says that this device took this key over, for this credential
/// and owner, then. It can never be taken for the proof that the key was made here.
pub(crate) fn arrival(label: &Label, spki_sha256: &Digest32) -> Statement {
    Statement::new("azukari/arrival/v1")
        .octets_field(label.credential.octets())
        .octets_field(label.owner.octets())
        .number(u64::from(label.policy))
        .time(label.created)
        .octets_field(spki_sha256)
}
