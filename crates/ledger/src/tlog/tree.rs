//! The Merkle tree of RFC 6962 §2.1, as pure functions over whoever can supply complete subtrees.

use hpki::encoding::Digest32;
use hpki::merkle::split;
pub use hpki::merkle::{EMPTY_ROOT, leaf_hash, node_hash, root_of, verify_inclusion};

/// Whoever can supply the hashes of complete subtrees.
pub trait Nodes {
    /// Why a hash could not be supplied.
    type Error;
    /// The hash of the complete subtree of height `level` whose first leaf is `index << level`.
    fn node(&mut self, level: u32, index: u64) -> Result<Digest32, Self::Error>;
}

/// MTH over the leaves `from..to`; `from` is a multiple of the next power of two ≥ the length.
fn range<N: Nodes>(nodes: &mut N, from: u64, to: u64) -> Result<Digest32, N::Error> {
    let length = to - from;
    if length.is_power_of_two() {
        let level = length.trailing_zeros();
        return nodes.node(level, from >> level);
    }
    let middle = from + split(length);
    let left = range(nodes, from, middle)?;
    let right = range(nodes, middle, to)?;
    Ok(node_hash(&left, &right))
}

/// The root over the first `size` leaves.
pub fn root<N: Nodes>(nodes: &mut N, size: u64) -> Result<Digest32, N::Error> {
    if size == 0 { Ok(EMPTY_ROOT) } else { range(nodes, 0, size) }
}

/// PATH(index, D[size]) of RFC 6962 §2.1.1, from the leaf's sibling upwards; `index < size`.
pub fn inclusion<N: Nodes>(
    nodes: &mut N,
    index: u64,
    size: u64,
) -> Result<Vec<Digest32>, N::Error> {
    let (mut from, mut to) = (0, size);
    let mut path = Vec::new();
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(range(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(range(nodes, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// PROOF(old, D[new]) of RFC 6962 §2.1.2; `0 < old <= new`, empty where they are equal.
pub fn consistency<N: Nodes>(nodes: &mut N, old: u64, new: u64) -> Result<Vec<Digest32>, N::Error> {
    let (mut from, mut to) = (0, new);
    let mut path = Vec::new();
    // SUBPROOF's flag b: whether the old tree is still a whole subtree of what we look at.
    let mut known = true;
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(range(nodes, middle, to)?);
            to = middle;
        } else {
            path.push(range(nodes, from, middle)?);
            from = middle;
            known = false;
        }
    }
    if !known {
        path.push(range(nodes, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether the tree of `new_root` begins with the whole tree of `old_root` (RFC 9162 §2.1.4.2).
///
/// The empty tree is the beginning of every tree and needs no proof.
pub fn verify_consistency(
    old: u64,
    old_root: &Digest32,
    new: u64,
    new_root: &Digest32,
    path: &[Digest32],
) -> bool {
    if old > new {
        return false;
    }
    if old == 0 {
        return path.is_empty() && *old_root == EMPTY_ROOT;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    // A tree that is a whole subtree of the new one is its own first hash.
    let whole = [*old_root];
    let mut path =
        if old.is_power_of_two() { whole.iter().chain(path) } else { [].iter().chain(path) };
    let Some(first) = path.next() else { return false };
    let (mut fn_, mut sn) = (old - 1, new - 1);
    while fn_ & 1 == 1 {
        fn_ >>= 1;
        sn >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for hash in path {
        if sn == 0 {
            return false;
        }
        if fn_ & 1 == 1 || fn_ == sn {
            old_hash = node_hash(hash, &old_hash);
            new_hash = node_hash(hash, &new_hash);
            while fn_ & 1 == 0 && fn_ != 0 {
                fn_ >>= 1;
                sn >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, hash);
        }
        fn_ >>= 1;
        sn >>= 1;
    }
    sn == 0 && old_hash == *old_root && new_hash == *new_root
}

/// The right edge of the tree while one group of leaves is appended: enough to give the new root
/// and the path of each new leaf, without looking at any older leaf.
///
/// Row `h` holds the nodes of height `h` from `start` on that the new leaves touch (the last one
/// may be clipped by the end of the tree), and before them, where it is needed as a sibling, one
/// node of the old edge.
#[derive(Debug)]
pub struct Growth {
    first: u64,
    size: u64,
    rows: Vec<(u64, Vec<Digest32>)>,
}

/// The complete subtrees of which a tree consists: one for each bit set in its size, by height.
pub type Edge = Vec<Digest32>;

/// Height of each subtree of an edge, lowest first.
fn heights(size: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |height| size >> height & 1 == 1)
}

impl Growth {
    /// Appends leaves to the tree of `first` leaves with this edge (lowest subtree first).
    pub fn new(first: u64, edge: &[Digest32], leaves: Vec<Digest32>) -> Self {
        let size = first + leaves.len() as u64;
        let old: Vec<(u32, Digest32)> = heights(first).zip(edge.iter().copied()).collect();
        let sibling = |height: u32| old.iter().find(|(h, _)| *h == height).map(|(_, hash)| *hash);
        let mut rows = Vec::new();
        let mut row = leaves;
        let mut height = 0;
        loop {
            let mut start = first >> height;
            if start & 1 == 1
                && let Some(hash) = sibling(height)
            {
                row.insert(0, hash);
                start -= 1;
            }
            let above = if start == 0 && row.len() <= 1 {
                None
            } else {
                Some(row.chunks(2).map(pair).collect())
            };
            rows.push((start, row));
            match above {
                Some(above) => row = above,
                None => break,
            }
            height += 1;
        }
        Self { first, size, rows }
    }

    /// How many leaves the tree had before.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// How many leaves the tree has now.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves.
    pub fn root(&self) -> Digest32 {
        self.rows.last().and_then(|(_, row)| row.first()).copied().unwrap_or(EMPTY_ROOT)
    }

    fn at(&self, height: u32, index: u64) -> Option<Digest32> {
        let (start, row) = self.rows.get(height as usize)?;
        row.get(usize::try_from(index.checked_sub(*start)?).ok()?).copied()
    }

    /// The path of one of the new leaves.
    pub fn inclusion(&self, index: u64) -> Vec<Digest32> {
        let mut path = Vec::with_capacity(self.rows.len());
        for height in 0..self.rows.len() as u32 {
            path.extend(self.at(height, (index >> height) ^ 1));
        }
        path
    }

    /// The edge of the grown tree.
    pub fn edge(&self, old: &[Digest32]) -> Edge {
        let before: Vec<(u32, Digest32)> = heights(self.first).zip(old.iter().copied()).collect();
        heights(self.size)
            .filter_map(|height| {
                // Untouched by the new leaves: then it stood in the old edge.
                self.at(height, (self.size >> height) - 1)
                    .or_else(|| before.iter().find(|(h, _)| *h == height).map(|(_, hash)| *hash))
            })
            .collect()
    }
}

fn pair(nodes: &[Digest32]) -> Digest32 {
    match nodes {
        [left, right] => node_hash(left, right),
        [only, ..] => *only,
        [] => EMPTY_ROOT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Leaves<'a>(&'a [Digest32]);

    impl Nodes for Leaves<'_> {
        type Error = ();
        fn node(&mut self, level: u32, index: u64) -> Result<Digest32, ()> {
            let from = (index << level) as usize;
            self.0.get(from..from + (1 << level)).map(root_of).ok_or(())
        }
    }

    fn leaves(count: u64) -> Vec<Digest32> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proven_and_nothing_else_is() {
        let all = leaves(70);
        for size in 1..=70_u64 {
            let tree = &all[..size as usize];
            let root = root_of(tree);
            for index in 0..size {
                let path = inclusion(&mut Leaves(tree), index, size).unwrap();
                let leaf = &all[index as usize];
                assert!(verify_inclusion(leaf, index, size, &path, &root));
                assert!(!verify_inclusion(leaf, index + 1, size, &path, &root) || size == 1);
                assert!(!verify_inclusion(&root, index, size, &path, &root) || size == 1);
                assert!(!verify_inclusion(leaf, index, size, &path, &EMPTY_ROOT));
                let mut longer = path.clone();
                longer.push(root);
                assert!(!verify_inclusion(leaf, index, size, &longer, &root));
                if let Some((_, shorter)) = path.split_last() {
                    assert!(!verify_inclusion(leaf, index, size, shorter, &root));
                }
            }
        }
    }

    #[test]
    fn every_small_tree_is_consistent_with_its_beginnings_and_with_nothing_else() {
        let all = leaves(70);
        for new in 1..=70_u64 {
            let new_root = root_of(&all[..new as usize]);
            for old in 1..=new {
                let old_root = root_of(&all[..old as usize]);
                let path = consistency(&mut Leaves(&all[..new as usize]), old, new).unwrap();
                assert!(verify_consistency(old, &old_root, new, &new_root, &path));
                assert!(!verify_consistency(old, &EMPTY_ROOT, new, &new_root, &path));
                assert!(!verify_consistency(old, &old_root, new, &EMPTY_ROOT, &path));
                if old < new {
                    assert!(!verify_consistency(old, &old_root, new, &new_root, &[]));
                }
            }
            assert!(verify_consistency(0, &EMPTY_ROOT, new, &new_root, &[]));
            assert!(!verify_consistency(new + 1, &new_root, new, &new_root, &[]));
        }
    }

    #[test]
    fn growing_by_groups_gives_the_same_tree_as_building_it_at_once() {
        let all = leaves(140);
        for first in 0..=70_u64 {
            let old = &all[..first as usize];
            let mut nodes = Leaves(old);
            let edge: Edge = heights(first)
                .map(|height| nodes.node(height, (first >> height) - 1).unwrap())
                .collect();
            for more in 1..=70_u64 {
                let size = first + more;
                let new = &all[first as usize..size as usize];
                let growth = Growth::new(first, &edge, new.to_vec());
                let whole = &all[..size as usize];
                assert_eq!(growth.root(), root_of(whole), "{first} + {more}");
                for index in first..size {
                    let path = inclusion(&mut Leaves(whole), index, size).unwrap();
                    assert_eq!(growth.inclusion(index), path, "{index} in {first} + {more}");
                }
                let mut nodes = Leaves(whole);
                let expected: Edge = heights(size)
                    .map(|height| nodes.node(height, (size >> height) - 1).unwrap())
                    .collect();
                assert_eq!(growth.edge(&edge), expected);
            }
        }
    }
}
