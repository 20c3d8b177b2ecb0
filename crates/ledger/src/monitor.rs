//! The monitor: follows a log over its public files and keeps just enough to catch it lying.
//!
//! What it keeps is the last checkpoint that it found good, the right edge of the tree under it,
//! and every label. A new checkpoint is good if the entries that the log gives lead from that edge
//! to its root: then nothing before was changed and nothing of it is hidden. Nothing is kept of a
//! look that ended badly, so the next look finds the same again.

use std::path::Path;

use hpki::encoding::Digest32;

use crate::audit::Stack;
use crate::fault::{Failed, Fault};
use crate::migration::Migration;
use crate::opening::entry_parts;
use crate::refusal::Refusal;
use crate::store::Store;
use crate::tlog::{
    Checkpoint, Cosigned, Missed, Quorum, Source, consistency_from, entries_from, leaf_hash,
};
use crate::tx::Tx;

const MIGRATIONS: &[Migration] =
    &[Migration { room: "watch", number: 1, sql: include_str!("monitor.sql") }];

/// Whoever watches a log, with a small store of its own.
pub struct Monitor {
    store: Store,
    quorum: Quorum,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The log's newest checkpoint, and which witnesses have seen it.
    pub cosigned: Cosigned,
    /// Entries that are new since the last look.
    pub new_entries: u64,
}

/// What the monitor knows of the log.
#[derive(Clone)]
struct Known {
    checkpoint: Checkpoint,
    note: String,
    tree: Stack,
}

impl Monitor {
    /// Opens or begins watching in this folder. The witnesses may be none.
    pub fn open(folder: &Path, quorum: Quorum) -> Result<Self, Failed<Refusal>> {
        Ok(Self { store: Store::open(folder, MIGRATIONS)?, quorum })
    }

    /// The last checkpoint that was found good.
    pub async fn kept(&self) -> Result<Option<String>, Fault> {
        Ok(self.known().await?.map(|known| known.note))
    }

    /// Looks once.
    ///
    /// Caught: `checkpoint-malformed`, `checkpoint-signature-wrong`, `quorum-missing`,
    /// `cosignature-wrong`, `log-rolled-back`, `log-forked`, `log-hidden`, `log-entry-changed`,
    /// `log-label-twice`, `tile-malformed`.
    pub async fn look<S: Source>(&self, source: &S) -> Result<Seen, Missed> {
        let note = source.get("checkpoint").await?;
        let note = note.ok_or_else(|| Refusal::LogHidden("checkpoint".into()))?;
        let note = String::from_utf8(note)
            .map_err(|_| Refusal::CheckpointMalformed("it is not UTF-8".into()))?;
        // First what the log alone has signed: a lie is a lie, whoever else has seen it.
        let new = self.quorum.log().verify(&note)?;
        let known = self.known().await?;
        let new_entries = match &known {
            Some(known) if new.size < known.checkpoint.size => {
                return Err(
                    Refusal::LogRolledBack { had: known.checkpoint.size, has: new.size }.into()
                );
            }
            Some(known) if new.size == known.checkpoint.size => {
                if new.root != known.checkpoint.root {
                    return Err(Refusal::LogForked(new.size).into());
                }
                0
            }
            _ => self.follow(source, known, &new, &note).await?,
        };
        Ok(Seen { cosigned: self.quorum.verify(&note)?, new_entries })
    }

    /// Whether a checkpoint that somebody else was shown belongs to the history seen here.
    ///
    /// Caught: `log-forked`; `log-rolled-back` where it speaks of more than the log shows here. A
    /// log publishes a moment after it answers: whoever compares a fresh checkpoint looks again
    /// before he believes the latter.
    pub async fn compare<S: Source>(&self, source: &S, note: &str) -> Result<Checkpoint, Missed> {
        let theirs = self.quorum.log().verify(note)?;
        let ours = self.known().await?.map(|known| known.checkpoint);
        let ours = ours.ok_or_else(|| Refusal::LogHidden("checkpoint".into()))?;
        if theirs.size > ours.size {
            return Err(Refusal::LogRolledBack { had: theirs.size, has: ours.size }.into());
        }
        let path = consistency_from(source, theirs.size, &ours).await?;
        if ours.continues(&theirs, &path).is_err() {
            return Err(Refusal::LogForked(theirs.size).into());
        }
        Ok(theirs)
    }

    /// Reads what is new up to a larger checkpoint.
    async fn follow<S: Source>(
        &self,
        source: &S,
        known: Option<Known>,
        new: &Checkpoint,
        note: &str,
    ) -> Result<u64, Missed> {
        let old = known.as_ref().map(|known| known.checkpoint.clone());
        let mut tree = known.map(|known| known.tree).unwrap_or_default();
        let from = tree.size;
        let entries = entries_from(source, from, new.size).await?;
        let mut labels = Vec::with_capacity(entries.len());
        for (index, entry) in (from..).zip(&entries) {
            tree.push(leaf_hash(entry));
            let (label, _) = entry_parts(entry).ok_or(Refusal::LogEntryChanged(index))?;
            labels.push((index, label));
        }
        if tree.root() != new.root {
            return Err(self.diagnose(source, old.as_ref(), new, from).await?.into());
        }
        let count = labels.len() as u64;
        let known = Known { checkpoint: new.clone(), note: note.to_owned(), tree };
        match self.store.write(move |tx| keep(tx, &known, &labels)).await {
            Ok(()) => Ok(count),
            Err(Failed::Refused(refusal)) => Err(Missed::Caught(refusal)),
            Err(Failed::Fault(fault)) => Err(Missed::Fault(fault)),
        }
    }

    /// The entries do not lead to the signed root: was the past changed, or only what is shown?
    async fn diagnose<S: Source>(
        &self,
        source: &S,
        old: Option<&Checkpoint>,
        new: &Checkpoint,
        from: u64,
    ) -> Result<Refusal, Missed> {
        let Some(old) = old else { return Ok(Refusal::LogEntryChanged(from)) };
        let path = match consistency_from(source, old.size, new).await {
            Ok(path) => path,
            Err(Missed::Caught(_)) => return Ok(Refusal::LogForked(old.size)),
            Err(other) => return Err(other),
        };
        Ok(match new.continues(old, &path) {
            Ok(()) => Refusal::LogEntryChanged(from),
            Err(_) => Refusal::LogForked(old.size),
        })
    }

    async fn known(&self) -> Result<Option<Known>, Fault> {
        let log = self.quorum.log().clone();
        let read = self.store.read(move |tx| {
            let rows = tx.query("SELECT note, edge FROM watch_head WHERE id = 1", &[])?;
            let Some(row) = rows.first() else { return Ok(None) };
            let note = row.text(0)?.to_owned();
            let checkpoint = log.verify(&note).map_err(Failed::Refused)?;
            let parts: Vec<Digest32> = row.blob(1)?.as_chunks::<32>().0.to_vec();
            let tree = Stack { size: checkpoint.size, parts };
            if tree.root() != checkpoint.root {
                return Err(Failed::Fault(Fault::Row("the kept edge gives another root".into())));
            }
            Ok(Some(Known { checkpoint, note, tree }))
        });
        read.await.map_err(|failed| match failed {
            Failed::Fault(fault) => fault,
            Failed::Refused(refusal) => Fault::Row(refusal.to_string()),
        })
    }
}

fn keep(tx: &Tx<'_>, known: &Known, labels: &[(u64, Digest32)]) -> Result<(), Failed<Refusal>> {
    for (index, label) in labels {
        let fresh = tx.exec(
            "INSERT INTO watch_label (label, idx) VALUES ($1, $2) ON CONFLICT (label) DO NOTHING",
            &[label.into(), (*index).into()],
        )?;
        if fresh == 0 {
            let row =
                tx.query_one("SELECT idx FROM watch_label WHERE label = $1", &[label.into()])?;
            let first = row.number(0)?;
            return Err(Failed::Refused(Refusal::LogLabelTwice { first, again: *index }));
        }
    }
    tx.exec(
        "INSERT INTO watch_head (id, note, edge) VALUES (1, $1, $2)
         ON CONFLICT (id) DO UPDATE SET note = excluded.note, edge = excluded.edge",
        &[known.note.as_str().into(), known.tree.parts.as_flattened().into()],
    )?;
    Ok(())
}
