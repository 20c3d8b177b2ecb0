//! The terms that a person agrees to when she links a phone, in every edition that ever was in force.
//! The hash of the Japanese text is part of what she signs; who signed a former edition can still
//! read it. An edition is never changed: a new one is added.

use hpki::encoding::{Digest32, sha256};

/// An edition.
pub(crate) struct Edition {
    /// From which day it was agreed to, in Japan.
    pub(crate) from: &'static str,
    /// What is agreed to.
    pub(crate) ja: &'static str,
    /// Its translation.
    pub(crate) en: &'static str,
}

impl Edition {
    /// What stands for it in statements.
    pub(crate) fn hash(&self) -> Digest32 {
        sha256(self.ja.as_bytes())
    }
}

macro_rules! editions {
    ($($number:literal from $from:literal),* $(,)?) => {
        /// The newest last.
        pub(crate) const EDITIONS: &[Edition] = &[$(Edition {
            from: $from,
            ja: include_str!(concat!("../../assets/phone/terms/", $number, ".ja.txt")),
            en: include_str!(concat!("../../assets/phone/terms/", $number, ".en.txt")),
        }),*];
    };
}

editions!("1" from "2026-11-01", "2" from "2026-11-21");

/// The edition in force.
pub(crate) fn current() -> &'static Edition {
    const { assert!(!EDITIONS.is_empty()) };
    &EDITIONS[EDITIONS.len() - 1]
}

/// The edition with this hash.
pub(crate) fn edition(hash: &[u8]) -> Option<&'static Edition> {
    EDITIONS.iter().find(|edition| edition.hash() == hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_edition_is_ever_changed_and_each_is_found_by_what_was_signed() {
        let agreed = [
            "9fa4b8d9a8fd50c74f63f2b470c67f7b8a585e79e7060db4b5830ff3d7a23bdd",
            "2f8e538536dd105a7e2cfdffeaabcbb9a52081621410e3f4f4b48ad9fba09806",
        ];
        let hashes: Vec<_> = EDITIONS.iter().map(|edition| hex::encode(edition.hash())).collect();
        assert_eq!(hashes, agreed, "people signed these: add an edition, change none");
        for (place, found) in EDITIONS.iter().enumerate() {
            assert_eq!(edition(&found.hash()).unwrap().from, found.from);
            let (ja, en) = (format!("第{}版", place + 1), format!("edition {}", place + 1));
            assert!(found.ja.contains(&ja) && found.en.contains(&en));
        }
        assert!(EDITIONS.is_sorted_by_key(|edition| edition.from));
        assert_eq!(current().hash(), EDITIONS.last().unwrap().hash());
        assert!(edition(&[0; 32]).is_none());
    }
}
