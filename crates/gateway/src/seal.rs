//! Sealing what the store keeps: AES-256-GCM under one key that lives outside the store.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use hpki::encoding::Statement;
use hpki::sign::{DeviceFault, Random};
use zeroize::{Zeroize, Zeroizing};

/// The gateway's own key, kept where the store is not: by the operating system's key store, or in
/// a file that only its owner can read.
///
/// Random 96-bit nonces: a gateway makes far fewer than the 2³² seals that one key allows (NIST
/// SP 800-38D §8.3).
pub struct ShelfKey(LessSafeKey);

impl ShelfKey {
    /// The key with these octets, which are zeroed.
    pub fn from_octets(mut octets: [u8; 32]) -> Result<Self, DeviceFault> {
        let key = UnboundKey::new(&AES_256_GCM, &octets);
        octets.zeroize();
        key.map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| DeviceFault("AES-256-GCM is not available".into()))
    }

    /// `nonce ‖ ciphertext ‖ tag`, bound to the statement.
    pub(crate) fn seal(
        &self,
        about: &Statement,
        clear: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, DeviceFault> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut out = Vec::with_capacity(NONCE_LEN + clear.len() + 16);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(clear);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let (_, body) = out.split_at_mut(NONCE_LEN);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(about.octets()), body)
            .map_err(|_| DeviceFault("sealing failed".into()))?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// What was sealed under the same statement; `None` for anything else.
    pub(crate) fn open(&self, about: &Statement, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut body = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let clear = self.0.open_in_place(nonce, Aad::from(about.octets()), &mut body).ok()?.len();
        body.truncate(clear);
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;
    impl Random for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }

    #[test]
    fn only_the_same_key_and_statement_open_a_seal() {
        let key = ShelfKey::from_octets([1; 32]).unwrap();
        let about = Statement::new("azukari/test/v1").text("a");
        let sealed = key.seal(&about, b"secret", &Counting).unwrap();
        assert_eq!(key.open(&about, &sealed).unwrap().as_slice(), b"secret");
        let other = Statement::new("azukari/test/v1").text("b");
        assert!(key.open(&other, &sealed).is_none());
        assert!(ShelfKey::from_octets([2; 32]).unwrap().open(&about, &sealed).is_none());
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(key.open(&about, &changed).is_none(), "{position}");
            assert!(key.open(&about, &sealed[..position]).is_none());
        }
    }
}
