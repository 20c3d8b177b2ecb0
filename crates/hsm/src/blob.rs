//! The wrapped form in which keys rest outside the device.
//!
//! ```text
//! "AZKB" ‖ 01 ‖ alg ‖ kekVer u32 ‖ macVer u32 ‖ credential16 ‖ owner16 ‖ policy u32 ‖ created u64
//!        ‖ spkiSha256 ‖ proofHash32 ‖ nonce12 ‖ fr(ct) ‖ tag
//! ```
//! Integers are big endian; `fr` is a u32 length and the octets. With `alg` 1 (software vault)
//! `ct` and `tag` are AES-256-GCM over the PKCS#8 key, and everything before `ct`, its length
//! included, is additional authenticated data: so a blob cannot be carried to another key, owner,
//! policy or public key without the device noticing. With `alg` 2 (PKCS#11) `ct` is the key wrapped
//! by AES key wrap with padding, which knows no additional data; `tag` is
//! `M("azukari/blob/v1"; header, ct)` under a key of the device, checked before unwrapping. With `alg` 3 they are
//! AES-256-GCM as with 1, under the key `M("azukari/in-process-key/v1"; header)` of the device.

use hpki::encoding::Digest32;
use hpki::id::{KeyId, PersonId};
use hpki::time::Timestamp;

const MAGIC: &[u8; 4] = b"AZKB";
const VERSION: u8 = 1;
/// Octets before `fr(ct)`.
const FIXED: usize = 4 + 1 + 1 + 4 + 4 + 16 + 16 + 4 + 8 + 32 + 32 + 12;
/// Octets of the tag: GCM's, or HMAC-SHA-256.
const TAG: usize = 16;
const TAG_MAC: usize = 32;
/// More than any key that we wrap (RSA-4096 as PKCS#8 is 2,400 octets).
const LARGEST: usize = 16 * 1024;

/// AES-256-GCM in the software vault.
pub const ALG_VAULT: u8 = 1;
/// AES key wrap with padding (RFC 5649) in a PKCS#11 device, with a keyed hash over all.
pub const ALG_PKCS11: u8 = 2;
/// AES-256-GCM under a key that a PKCS#11 device derives for this blob: for a key that the device
/// cannot wrap, which is then used in the process.
pub const ALG_DERIVED: u8 = 3;

/// What a blob says about the key inside. Readable by anybody; believed only after the device
/// opened the blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How it is wrapped; [`ALG_VAULT`], [`ALG_PKCS11`] or [`ALG_DERIVED`].
    pub alg: u8,
    /// Version of the key-encryption key.
    pub kek_version: u32,
    /// Version of the device's keyed-hash key when this key was born.
    pub mac_version: u32,
    /// The key.
    pub credential: KeyId,
    /// Its owner.
    pub owner: PersonId,
    /// Number of the policy under which it was generated.
    pub policy: u32,
    /// When it was generated.
    pub created: Timestamp,
    /// SHA-256 of the public key as DER SubjectPublicKeyInfo.
    pub spki_sha256: Digest32,
    /// SHA-256 of the generation proof.
    pub proof_hash: Digest32,
    /// The wrapping nonce.
    pub nonce: [u8; 12],
}

impl Header {
    /// Everything before `ct`: the additional authenticated data.
    pub(crate) fn aad(&self, ct_length: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED + 4 + ct_length + TAG_MAC);
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.push(self.alg);
        out.extend_from_slice(&self.kek_version.to_be_bytes());
        out.extend_from_slice(&self.mac_version.to_be_bytes());
        out.extend_from_slice(self.credential.octets());
        out.extend_from_slice(self.owner.octets());
        out.extend_from_slice(&self.policy.to_be_bytes());
        out.extend_from_slice(&self.created.seconds().to_be_bytes());
        out.extend_from_slice(&self.spki_sha256);
        out.extend_from_slice(&self.proof_hash);
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&u32::try_from(ct_length).unwrap_or(u32::MAX).to_be_bytes());
        out
    }
}

/// A blob taken apart, nothing verified yet.
#[derive(Debug)]
pub(crate) struct Blob<'a> {
    pub(crate) header: Header,
    pub(crate) aad: &'a [u8],
    /// `ct ‖ tag`.
    pub(crate) sealed: &'a [u8],
}

impl<'a> Blob<'a> {
    /// Takes a blob apart; `None` if it does not have exactly this form.
    pub(crate) fn parse(octets: &'a [u8]) -> Option<Self> {
        if octets.len() > LARGEST {
            return None;
        }
        let (aad, sealed) = octets.split_at_checked(FIXED + 4)?;
        let mut rest = aad;
        if take::<4>(&mut rest)? != *MAGIC || take::<1>(&mut rest)? != [VERSION] {
            return None;
        }
        let header = Header {
            alg: take::<1>(&mut rest)?[0],
            kek_version: u32::from_be_bytes(take(&mut rest)?),
            mac_version: u32::from_be_bytes(take(&mut rest)?),
            credential: KeyId::from_octets(take(&mut rest)?),
            owner: PersonId::from_octets(take(&mut rest)?),
            policy: u32::from_be_bytes(take(&mut rest)?),
            created: Timestamp::from_seconds(u64::from_be_bytes(take(&mut rest)?)),
            spki_sha256: take(&mut rest)?,
            proof_hash: take(&mut rest)?,
            nonce: take(&mut rest)?,
        };
        let ct_length = usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?;
        let whole = ct_length.checked_add(tag_length(header.alg))?;
        (sealed.len() == whole).then_some(Self { header, aad, sealed })
    }

    /// The wrapped key.
    pub(crate) fn ct(&self) -> &'a [u8] {
        &self.sealed[..self.sealed.len() - tag_length(self.header.alg)]
    }

    /// The tag.
    pub(crate) fn tag(&self) -> &'a [u8] {
        &self.sealed[self.sealed.len() - tag_length(self.header.alg)..]
    }
}

const fn tag_length(alg: u8) -> usize {
    if alg == ALG_PKCS11 { TAG_MAC } else { TAG }
}

/// The length of the blob with which these octets begin, as it says itself.
pub(crate) fn length(octets: &[u8]) -> Option<usize> {
    let ct_length = octets.get(FIXED..)?.first_chunk::<4>()?;
    let ct_length = usize::try_from(u32::from_be_bytes(*ct_length)).ok()?;
    let length = (FIXED + 4).checked_add(ct_length)?.checked_add(tag_length(*octets.get(5)?))?;
    (length <= octets.len()).then_some(length)
}

/// Reads a blob's header, e.g. for `azukari inspect`. Nothing is verified.
pub fn header(octets: &[u8]) -> Option<Header> {
    Blob::parse(octets).map(|blob| blob.header)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            alg: ALG_VAULT,
            kek_version: 1,
            mac_version: 2,
            credential: KeyId::from_octets([3; 16]),
            owner: PersonId::from_octets([4; 16]),
            policy: 5,
            created: Timestamp::from_seconds(6),
            spki_sha256: [7; 32],
            proof_hash: [8; 32],
            nonce: [9; 12],
        }
    }

    #[test]
    fn the_layout_is_the_published_one() {
        let aad = sample().aad(2);
        let expected = [
            "415a4b42",
            "01",
            "01",
            "00000001",
            "00000002",
            &"03".repeat(16),
            &"04".repeat(16),
            "00000005",
            "0000000000000006",
            &"07".repeat(32),
            &"08".repeat(32),
            &"09".repeat(12),
            "00000002",
        ]
        .concat();
        let text: String = aad.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut octets = sample().aad(3);
        octets.extend_from_slice(&[0; 3 + TAG]);
        let blob = Blob::parse(&octets).unwrap();
        assert_eq!(blob.header, sample());
        assert_eq!(blob.aad.len() + blob.sealed.len(), octets.len());
    }

    #[test]
    fn a_blob_too_short_too_long_or_of_another_version_is_none() {
        let mut octets = sample().aad(3);
        octets.extend_from_slice(&[0; 3 + TAG]);
        for length in 0..octets.len() {
            assert!(Blob::parse(&octets[..length]).is_none());
        }
        let mut longer = octets.clone();
        longer.push(0);
        assert!(Blob::parse(&longer).is_none());
        octets[4] = 2;
        assert!(Blob::parse(&octets).is_none());
        assert!(Blob::parse(&vec![0; LARGEST + 1]).is_none());
    }
}
