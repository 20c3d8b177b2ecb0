//! The journal as static files that anybody may read (C2SP tlog-tiles): their names, their
//! contents, and proofs computed from them by whoever reads.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use hpki::encoding::Digest32;

use super::note::decimal;
use super::tree::{self, Nodes, root_of};
use crate::opening::{ENTRY_LENGTH, Entry};
use crate::refusal::Refusal;

/// Hashes in a full tile, entries in a full bundle.
pub(crate) const TILE_WIDTH: u64 = 256;
/// Tiles of a tree of 2⁶⁴ entries have lower levels than this.
const LEVELS: u32 = 64;

/// One of the log's files, by its name below the log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The newest published checkpoint.
    Checkpoint,
    /// Hashes of the tree.
    Tile {
        /// 0: leaf hashes; above: roots of full tiles of the level below.
        level: u32,
        /// Number of the tile in its level.
        index: u64,
        /// How many hashes, 1 to 256.
        width: u64,
    },
    /// Entries as they stand in the journal.
    Entries {
        /// Number of the bundle: its first entry is `256 × index`.
        index: u64,
        /// How many entries, 1 to 256.
        width: u64,
    },
}

impl Resource {
    /// The tile of a tree of this size, as wide as it is there; `None` where it has no hash.
    pub const fn tile(level: u32, index: u64, size: u64) -> Option<Self> {
        match width(level, index, size) {
            0 => None,
            width => Some(Self::Tile { level, index, width }),
        }
    }

    /// The bundle of a tree of this size; `None` where it has no entry.
    pub const fn entries(index: u64, size: u64) -> Option<Self> {
        match width(0, index, size) {
            0 => None,
            width => Some(Self::Entries { index, width }),
        }
    }
}

const fn width(level: u32, index: u64, size: u64) -> u64 {
    let known = match size.checked_shr(level.saturating_mul(8)) {
        Some(known) => known,
        None => 0,
    };
    let Some(start) = index.checked_mul(TILE_WIDTH) else { return 0 };
    let width = known.saturating_sub(start);
    if width > TILE_WIDTH { TILE_WIDTH } else { width }
}

/// `1234067` as `x001/x234/067`.
fn write_index(f: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    let digits = index.to_string();
    let digits = format!("{digits:0>0$}", digits.len().div_ceil(3) * 3);
    for start in (0..digits.len()).step_by(3) {
        let last = start + 3 == digits.len();
        let (mark, end) = if last { ("", "") } else { ("x", "/") };
        write!(f, "{mark}{}{end}", &digits[start..start + 3])?;
    }
    Ok(())
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match *self {
            Self::Checkpoint => return f.write_str("checkpoint"),
            Self::Tile { level, index, width } => {
                write!(f, "tile/{level}/")?;
                (index, width)
            }
            Self::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                (index, width)
            }
        };
        write_index(f, index)?;
        if width < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

impl FromStr for Resource {
    type Err = Refusal;
    fn from_str(path: &str) -> Result<Self, Refusal> {
        // Whatever is not written exactly as we would write it is another name.
        read(path)
            .filter(|resource| resource.to_string() == path)
            .ok_or_else(|| Refusal::TileUnknown(path.chars().take(80).collect()))
    }
}

fn read(path: &str) -> Option<Resource> {
    if path == "checkpoint" {
        return Some(Resource::Checkpoint);
    }
    let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, decimal(width).filter(|w| (1..TILE_WIDTH).contains(w))?),
        None => (rest, TILE_WIDTH),
    };
    let mut number = 0_u64;
    for part in index.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        let well = digits.len() == 3 && digits.bytes().all(|octet| octet.is_ascii_digit());
        let digits: u64 = well.then(|| digits.parse().ok()).flatten()?;
        number = number.checked_mul(1000)?.checked_add(digits)?;
    }
    if kind == "entries" {
        return Some(Resource::Entries { index: number, width });
    }
    let level = decimal(kind).and_then(|level| u32::try_from(level).ok());
    let level = level.filter(|level| *level < LEVELS)?;
    Some(Resource::Tile { level, index: number, width })
}

/// An entry bundle: each entry after its length (u16, big-endian).
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&entry[..usize::from(length)]);
    }
    out
}

/// The entries of a bundle that should have so many. Ours are all of one length.
pub fn unbundle(octets: &[u8], width: u64) -> Result<Vec<Entry>, Refusal> {
    let wrong = || Refusal::TileMalformed("a bundle is not of the entries it should have".into());
    let parts = octets.chunks(2 + ENTRY_LENGTH);
    let entries: Option<Vec<Entry>> = parts
        .map(|part| {
            let (length, entry) = part.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)) == ENTRY_LENGTH).then_some(())?;
            entry.try_into().ok()
        })
        .collect();
    entries.filter(|entries| entries.len() as u64 == width).ok_or_else(wrong)
}

/// Tiles of a tree of one size, as far as they were read. Nothing of them is believed: what is
/// computed from them is a proof, to be checked like one that came from anywhere else.
#[derive(Debug)]
pub struct Tiles {
    size: u64,
    known: HashMap<(u32, u64), Vec<Digest32>>,
}

impl Tiles {
    /// Nothing read yet.
    pub fn new(size: u64) -> Self {
        Self { size, known: HashMap::new() }
    }

    /// Takes what the log gave under this name; only tiles can be added.
    pub fn add(&mut self, resource: Resource, octets: &[u8]) -> Result<(), Refusal> {
        let wrong = || Refusal::TileMalformed(format!("{resource} is not of its size"));
        let Resource::Tile { level, index, width } = resource else { return Err(wrong()) };
        let (hashes, rest) = octets.as_chunks::<32>();
        if hashes.len() as u64 != width || !rest.is_empty() {
            return Err(wrong());
        }
        self.known.insert((level, index), hashes.to_vec());
        Ok(())
    }

    /// The proof that an entry stands in this tree. `Err`: the tile that must be read first.
    pub fn inclusion(&mut self, index: u64) -> Result<Vec<Digest32>, Resource> {
        tree::inclusion(self, index, self.size)
    }

    /// The proof that this tree begins with the one of an earlier size. `Err`: the tile that must
    /// be read first.
    pub fn consistency(&mut self, old: u64) -> Result<Vec<Digest32>, Resource> {
        if old == 0 { Ok(Vec::new()) } else { tree::consistency(self, old, self.size) }
    }
}

impl Nodes for Tiles {
    type Error = Resource;

    fn node(&mut self, level: u32, index: u64) -> Result<Digest32, Resource> {
        let (tile_level, rest) = (level / 8, level % 8);
        let first = index << rest;
        let (tile, offset) = (first / TILE_WIDTH, first % TILE_WIDTH);
        // Asked for a subtree outside the tree, we ask for a tile that nobody has.
        let needed = Resource::tile(tile_level, tile, self.size);
        let needed = needed.unwrap_or(Resource::Tile { level: tile_level, index: tile, width: 1 });
        let hashes = self.known.get(&(tile_level, tile)).ok_or(needed)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        hashes.get(from..from.saturating_add(1 << rest)).map(root_of).ok_or(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        let tile = |level, index, width| Resource::Tile { level, index, width };
        for (resource, path) in [
            (Resource::Checkpoint, "checkpoint"),
            (tile(0, 0, 256), "tile/0/000"),
            (tile(0, 273, 112), "tile/0/273.p/112"),
            (tile(2, 1_234_067, 256), "tile/2/x001/x234/067"),
            (tile(63, 999, 1), "tile/63/999.p/1"),
            (Resource::Entries { index: 1000, width: 255 }, "tile/entries/x001/000.p/255"),
        ] {
            assert_eq!(resource.to_string(), path);
            assert_eq!(path.parse(), Ok(resource));
        }
    }

    #[test]
    fn other_spellings_are_other_names() {
        for path in [
            "",
            "/checkpoint",
            "tile/0",
            "tile/0/0",
            "tile/00/000",
            "tile/64/000",
            "tile/0/x000/001",
            "tile/0/001/000",
            "tile/0/x001",
            "tile/0/000.p/0",
            "tile/0/000.p/01",
            "tile/0/000.p/256",
            "tile/0/000/",
            "tile/0/-01",
            "tile/entries/../000",
            "tile/data/000",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert!(matches!(path.parse::<Resource>(), Err(Refusal::TileUnknown(_))), "{path}");
        }
    }

    #[test]
    fn a_tree_of_seventy_thousand_has_the_tiles_of_the_specifications_example() {
        let size = 70_000;
        let of = |level: u32| {
            let tiles = (0..).map_while(|index| Resource::tile(level, index, size));
            let widths: Vec<u64> = tiles
                .map(|tile| match tile {
                    Resource::Tile { width, .. } => width,
                    _ => 0,
                })
                .collect();
            (widths.len(), widths.last().copied())
        };
        assert_eq!(of(0), (274, Some(112)));
        assert_eq!(of(1), (2, Some(17)));
        assert_eq!(of(2), (1, Some(1)));
        assert_eq!(of(3), (0, None));
    }

    #[test]
    fn a_bundle_reads_back_and_nothing_shorter_longer_or_of_other_lengths_does() {
        let entries = [[1; 65], [2; 65]];
        let octets = bundle(entries.iter().map(<[u8; 65]>::as_slice));
        assert_eq!(unbundle(&octets, 2).unwrap(), entries);
        let longer = [octets.as_slice(), &[0]].concat();
        let short_entry = bundle([[1; 64].as_slice(), [2; 66].as_slice()]);
        for (octets, width) in [
            (&octets[..], 1),
            (&octets[..], 3),
            (&octets[..130], 2),
            (&longer, 2),
            (&short_entry, 2),
        ] {
            assert!(matches!(unbundle(octets, width), Err(Refusal::TileMalformed(_))));
        }
    }
}
