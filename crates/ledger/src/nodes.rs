//! Hashes of the stored tree, for proofs over older entries and for start-up.

use std::collections::HashMap;

use hpki::encoding::Digest32;

use crate::engine::Connection;
use crate::fault::Fault;
use crate::tlog::tree::{Nodes, leaf_hash, root_of};
use crate::tx::Tx;

pub(crate) use crate::tlog::tile::TILE_WIDTH;

/// Reads tiles (and, where a tile is not full yet, entries) and gives any complete subtree.
pub(crate) struct StoredNodes<'a> {
    tx: Tx<'a>,
    tiles: HashMap<(u32, u64), Vec<Digest32>>,
}

impl<'a> StoredNodes<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Self { tx: Tx::bare(connection), tiles: HashMap::new() }
    }

    /// The first `width` hashes of a tile, made on demand from entries where it is not stored.
    pub(crate) fn tile(
        &mut self,
        level: u32,
        index: u64,
        width: u64,
    ) -> Result<Vec<Digest32>, Fault> {
        let width = usize::try_from(width).unwrap_or(usize::MAX);
        if let Some(tile) = self.tiles.get(&(level, index)).filter(|tile| tile.len() >= width) {
            return Ok(tile[..width].to_vec());
        }
        let mut tile = self.stored_tile(level, index)?.unwrap_or_default();
        if level == 0 && tile.len() < width {
            let from = index * TILE_WIDTH;
            let rows = self.tx.query_inner(
                "SELECT entry FROM ledger_entry WHERE idx >= $1 AND idx < $2 ORDER BY idx",
                &[from.into(), (from + width as u64).into()],
            )?;
            tile =
                rows.iter().map(|row| Ok(leaf_hash(row.blob(0)?))).collect::<Result<_, Fault>>()?;
        }
        if tile.len() < width {
            return Err(Fault::Row(format!("tile {level}/{index} has {} hashes", tile.len())));
        }
        let wanted = tile[..width].to_vec();
        self.tiles.insert((level, index), tile);
        Ok(wanted)
    }

    fn stored_tile(&self, level: u32, index: u64) -> Result<Option<Vec<Digest32>>, Fault> {
        let rows = self.tx.query_inner(
            "SELECT hashes FROM ledger_tile WHERE level = $1 AND idx = $2",
            &[level.into(), index.into()],
        )?;
        rows.first().map(|row| Ok(row.blob(0)?.as_chunks::<32>().0.to_vec())).transpose()
    }
}

impl Nodes for StoredNodes<'_> {
    type Error = Fault;

    fn node(&mut self, level: u32, index: u64) -> Result<Digest32, Fault> {
        // Height 8·t + r is made of 2^r neighbours in a tile of level t.
        let (tile_level, rest) = (level / 8, level % 8);
        let first = index << rest;
        let (tile, offset) = (first / TILE_WIDTH, first % TILE_WIDTH);
        let end = offset + (1 << rest);
        let hashes = self.tile(tile_level, tile, end)?;
        Ok(root_of(&hashes[usize::try_from(offset).unwrap_or(0)..]))
    }
}
