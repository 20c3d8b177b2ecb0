//! The Merkle tree of RFC 6962 §2.1 over leaves that are all at hand: the batch that a person
//! approves at once. The journal, whose leaves are in a database, builds on the same hashes.

use aws_lc_rs::digest;

use crate::encoding::Digest32;

/// Hash of the tree without entries: SHA-256 of nothing (RFC 6962 §2.1).
pub const EMPTY_ROOT: Digest32 = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

fn prefixed(prefix: u8, parts: [&[u8]; 2]) -> Digest32 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[prefix]);
    context.update(parts[0]);
    context.update(parts[1]);
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// `SHA-256(00 ‖ entry)`.
pub fn leaf_hash(entry: &[u8]) -> Digest32 {
    prefixed(0, [entry, &[]])
}

/// `SHA-256(01 ‖ left ‖ right)`.
pub fn node_hash(left: &Digest32, right: &Digest32) -> Digest32 {
    prefixed(1, [left, right])
}

/// Root over complete or incomplete rows of leaf (or equally high node) hashes.
pub fn root_of(hashes: &[Digest32]) -> Digest32 {
    match hashes {
        [] => EMPTY_ROOT,
        [only] => *only,
        more => {
            let (left, right) = more.split_at(split(more.len() as u64) as usize);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// PATH(index, D\[n\]) of RFC 6962 §2.1.1 over these leaf hashes, from the leaf's sibling upwards.
/// Empty where there is no such leaf.
pub fn path_of(hashes: &[Digest32], index: usize) -> Vec<Digest32> {
    let (mut rest, mut index) = (hashes, index);
    let mut path = Vec::new();
    while rest.len() > 1 && index < rest.len() {
        let (left, right) = rest.split_at(split(rest.len() as u64) as usize);
        if index < left.len() {
            path.push(root_of(right));
            rest = left;
        } else {
            path.push(root_of(left));
            index -= left.len();
            rest = right;
        }
    }
    path.reverse();
    path
}

/// The largest power of two smaller than `size` (RFC 6962's k); `size` must be at least 2.
pub const fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// Whether the path leads from this leaf at this index to the root (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(
    leaf: &Digest32,
    index: u64,
    size: u64,
    path: &[Digest32],
    root: &Digest32,
) -> bool {
    if index >= size {
        return false;
    }
    let (mut fn_, mut sn) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if sn == 0 {
            return false;
        }
        if fn_ & 1 == 1 || fn_ == sn {
            hash = node_hash(sibling, &hash);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    sn == 0 && hash == *root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_of_the_certificate_transparency_test_tree_are_reproduced() {
        // The eight leaves and roots that certificate-transparency implementations share.
        let inputs = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let hashes: Vec<_> = inputs.iter().map(|text| leaf_hash(&hex(text))).collect();
        assert_eq!(
            root_of(&hashes[..1]).to_vec(),
            hex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
        );
        assert_eq!(
            root_of(&hashes[..2]).to_vec(),
            hex("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125")
        );
        assert_eq!(
            root_of(&hashes).to_vec(),
            hex("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
        );
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn every_leaf_of_a_batch_is_proven_at_its_place_only() {
        let all: Vec<Digest32> = (0..37_u64).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        for size in 1..=all.len() {
            let (tree, length) = (&all[..size], size as u64);
            let root = root_of(tree);
            for (index, leaf) in tree.iter().enumerate() {
                let path = path_of(tree, index);
                let at = index as u64;
                assert!(verify_inclusion(leaf, at, length, &path, &root));
                assert!(
                    size == 1 || !verify_inclusion(leaf, (at + 1) % length, length, &path, &root)
                );
                assert!(!verify_inclusion(leaf, at, length, &path, &EMPTY_ROOT));
            }
        }
    }
}
