//! Keys that the device cannot wrap (Ed25519 on SoftHSM2 2.6.1: CKR_KEY_NOT_WRAPPABLE): kept under a
//! key that the device derives for this one blob, and used in the process, as in the vault. Only the
//! journal's key, whose loss forges no signature of a person, and which is pinned outside.

use std::sync::Arc;

use aws_lc_rs::aead::{Aad, Nonce};
use hpki::encoding::{Digest32, Statement, sha256};
use hpki::sign::{DeviceFault, Random, SignatureAlgorithm};
use zeroize::Zeroizing;

use super::link::Link;
use super::mac;
use crate::blob::{ALG_DERIVED, Blob, Header};
use crate::device::{Fresh, Held, Label, Role, generation};
use crate::keypair::{HeldPair, Pair};
use crate::random::SystemRandom;
use crate::refusal::{Failed, Refusal};
use crate::vault::aes;

pub(super) fn generate(
    link: &Link,
    label: &Label,
    algorithm: SignatureAlgorithm,
) -> Result<Fresh, Failed> {
    let pair = Pair::generate(algorithm)?;
    let spki = pair.spki()?;
    let spki_sha256 = sha256(&spki);
    let statement = generation(label, &spki_sha256);
    let mut nonce = [0; 12];
    SystemRandom.fill(&mut nonce);
    let (header, proof) = link.with(|line, session| {
        let proof = mac(line, session, Role::Subscriber, &statement)?;
        let header = Header {
            alg: ALG_DERIVED,
            // Nothing of it is under the key-encryption key.
            kek_version: 0,
            mac_version: line.keys.mac_version,
            credential: label.credential,
            owner: label.owner,
            policy: label.policy,
            created: label.created,
            spki_sha256,
            proof_hash: sha256(&proof),
            nonce,
        };
        Ok((header, proof))
    })?;
    let mut key = pair.pkcs8()?;
    let mut wrapped = header.aad(key.len());
    let tag = aes(&*derived(link, &wrapped)?)?
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

pub(super) fn load(
    link: &Link,
    blob: &Blob<'_>,
    algorithm: SignatureAlgorithm,
) -> Result<Arc<dyn Held>, Failed> {
    let mut sealed = Zeroizing::new(blob.sealed.to_vec());
    let pkcs8 = aes(&*derived(link, blob.aad)?)?
        .open_in_place(
            Nonce::assume_unique_for_key(blob.header.nonce),
            Aad::from(blob.aad),
            &mut sealed,
        )
        .map_err(|_| Refusal::BlobBroken)?;
    let pair = Pair::from_pkcs8(algorithm, pkcs8).ok_or(Refusal::BlobBroken)?;
    let spki = pair.spki()?;
    if sha256(&spki) != blob.header.spki_sha256 {
        return Err(Refusal::BlobBroken.into());
    }
    Ok(Arc::new(HeldPair { pair, spki }))
}

/// The key for exactly this header.
fn derived(link: &Link, aad: &[u8]) -> Result<Zeroizing<Digest32>, Failed> {
    let statement = Statement::new("azukari/in-process-key/v1").octets_field(aad);
    link.with(|line, session| mac(line, session, Role::Blob, &statement)).map(Zeroizing::new)
}
