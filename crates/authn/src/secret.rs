//! Bearer secrets: 128 random bits that travel once, stored only as SHA-256.

use std::fmt;

use hpki::encoding::{Digest32, sha256};
use hpki::sign::Random;
use wire::token::{base64url_decode, base64url_encode};

/// A fresh secret. It has no `Debug` that shows it.
pub(crate) struct Secret([u8; 16]);

impl Secret {
    pub(crate) fn new(random: &dyn Random) -> Self {
        let mut octets = [0; 16];
        random.fill(&mut octets);
        Self(octets)
    }

    /// As it travels.
    pub(crate) fn text(&self) -> String {
        base64url_encode(&self.0)
    }

    /// As it is stored.
    pub(crate) fn hash(&self) -> Digest32 {
        sha256(&self.0)
    }

    /// What a secret that arrives would be stored as. `None` where it cannot be one of ours.
    pub(crate) fn hash_of(text: &str) -> Option<Digest32> {
        let octets = base64url_decode(text)?;
        (octets.len() == 16).then(|| sha256(&octets))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Whether two hashes are the same, in a time that does not depend on where they differ.
pub(crate) fn same(one: &Digest32, two: &Digest32) -> bool {
    one.iter().zip(two).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// Three random digits, each number as likely as any other.
pub(crate) fn three_digits(random: &dyn Random) -> String {
    loop {
        let mut octets = [0; 2];
        random.fill(&mut octets);
        let drawn = u16::from_be_bytes(octets);
        if drawn < 65_000 {
            return format!("{:03}", drawn % 1_000);
        }
    }
}
