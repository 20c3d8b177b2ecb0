//! Reading a log over whatever carries its files: entries, and proofs computed from its tiles.

use std::future::Future;

use hpki::encoding::Digest32;

use super::tile::{TILE_WIDTH, Tiles, unbundle};
use super::{Checkpoint, Resource};
use crate::fault::Fault;
use crate::opening::Entry;
use crate::refusal::Refusal;

/// No answer came, or none that says anything about the log: nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the log cannot be reached: {0}")]
pub struct Unreachable(pub String);

/// Whoever can fetch a log's files by their names below its prefix.
pub trait Source: Sync {
    /// The file; `None` where the log answers that it has none of that name.
    fn get(&self, path: &str) -> impl Future<Output = Result<Option<Vec<u8>>, Unreachable>> + Send;
}

/// Why a look at a log ended without good news.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missed {
    /// The log is not what it says it is.
    #[error(transparent)]
    Caught(#[from] Refusal),
    /// Nothing can be said.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// We broke.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What the log has under this name; what its checkpoint speaks of, it must have.
pub(crate) async fn fetch<S: Source>(source: &S, resource: Resource) -> Result<Vec<u8>, Missed> {
    let path = resource.to_string();
    source.get(&path).await?.ok_or(Missed::Caught(Refusal::LogHidden(path)))
}

/// The entries from one index up to a size. They are as the log gave them: not yet believed.
pub async fn entries_from<S: Source>(
    source: &S,
    from: u64,
    size: u64,
) -> Result<Vec<Entry>, Missed> {
    let mut entries = Vec::new();
    let mut skip = from % TILE_WIDTH;
    for index in from / TILE_WIDTH.. {
        let Some(resource) = Resource::entries(index, size).filter(|_| from < size) else { break };
        let Resource::Entries { width, .. } = resource else { break };
        let bundle = unbundle(&fetch(source, resource).await?, width)?;
        entries.extend(bundle.into_iter().skip(usize::try_from(skip).unwrap_or(0)));
        skip = 0;
    }
    Ok(entries)
}

async fn from_tiles<S: Source>(
    source: &S,
    size: u64,
    compute: impl Fn(&mut Tiles) -> Result<Vec<Digest32>, Resource>,
) -> Result<Vec<Digest32>, Missed> {
    let mut tiles = Tiles::new(size);
    loop {
        // Each round reads a tile that was not there, of the few that a proof needs.
        match compute(&mut tiles) {
            Ok(path) => return Ok(path),
            Err(missing) => tiles.add(missing, &fetch(source, missing).await?)?,
        }
    }
}

/// The proof that the entry at `index` stands in the tree of a checkpoint, computed from its tiles.
/// To be checked with [`super::verify_inclusion`], which believes nothing of the tiles.
pub async fn inclusion_from<S: Source>(
    source: &S,
    index: u64,
    checkpoint: &Checkpoint,
) -> Result<Vec<Digest32>, Missed> {
    if index >= checkpoint.size {
        return Err(Missed::Caught(Refusal::JournalNoSuchEntry(index)));
    }
    from_tiles(source, checkpoint.size, |tiles| tiles.inclusion(index)).await
}

/// The proof that a checkpoint continues an earlier one, computed from its tiles. To be checked
/// with [`Checkpoint::continues`].
pub async fn consistency_from<S: Source>(
    source: &S,
    old: u64,
    checkpoint: &Checkpoint,
) -> Result<Vec<Digest32>, Missed> {
    if old > checkpoint.size {
        return Err(Missed::Caught(Refusal::JournalNoSuchEntry(old)));
    }
    from_tiles(source, checkpoint.size, |tiles| tiles.consistency(old)).await
}
