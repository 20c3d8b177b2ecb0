//! Logs as others read them: a genuine ledger's files, and a platform that has the genuine key and
//! lies.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::encoding::Digest32;
use hpki::sign::Sign as _;
use ledger::tlog::tree::root_of;
use ledger::tlog::{Resource, Source, Unreachable, bundle, entries_from, leaf_hash};
use ledger::{Entry, Ledger};

use super::{LogKey, ORIGIN};

/// The public files of a genuine ledger.
pub struct Public<'a>(pub &'a Ledger);

impl Source for Public<'_> {
    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, Unreachable> {
        match path.parse() {
            Ok(resource) => Ok(self.0.resource(resource).await.ok()),
            Err(_) => Ok(None),
        }
    }
}

/// A log with the genuine key, over whatever entries it likes to tell of.
#[derive(Clone, Default)]
pub struct Fake {
    /// What its checkpoints are signed over.
    pub entries: Vec<Entry>,
    /// What it shows instead of the entry at an index.
    pub shown: HashMap<u64, Entry>,
    /// Names that it says it does not have.
    pub hidden: Vec<String>,
    /// Nothing answers.
    pub silent: bool,
    /// Signature lines of witnesses.
    pub lines: String,
}

impl Fake {
    /// A log of the entries of a genuine one.
    pub async fn of(ledger: &Ledger) -> Self {
        let entries = entries_from(&Public(ledger), 0, ledger.size()).await.unwrap();
        Self { entries, ..Self::default() }
    }

    pub fn checkpoint(&self) -> String {
        let leaves: Vec<Digest32> = self.entries.iter().map(|entry| leaf_hash(entry)).collect();
        let root = STANDARD.encode(root_of(&leaves));
        let text = format!("{ORIGIN}\n{}\n{root}\n", leaves.len());
        let key = LogKey::new(7);
        let public = &key.spki_der()[12..];
        let id = digest(&SHA256, &[ORIGIN.as_bytes(), b"\n\x01", public].concat());
        let value = [&id.as_ref()[..4], &key.sign(text.as_bytes()).unwrap()].concat();
        format!("{text}\n\u{2014} {ORIGIN} {}\n{}", STANDARD.encode(value), self.lines)
    }

    fn hashes(&self, level: u32) -> Vec<Digest32> {
        let mut row: Vec<Digest32> = self.entries.iter().map(|entry| leaf_hash(entry)).collect();
        for _ in 0..level {
            row = row.as_chunks::<256>().0.iter().map(|full| root_of(full)).collect();
        }
        row
    }
}

impl Source for Fake {
    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, Unreachable> {
        if self.silent {
            return Err(Unreachable("nobody answers".into()));
        }
        if self.hidden.iter().any(|hidden| hidden == path) {
            return Ok(None);
        }
        let range = |index: u64, width: u64| {
            let from = usize::try_from(index * 256).unwrap();
            from..from + usize::try_from(width).unwrap()
        };
        Ok(match path.parse() {
            Ok(Resource::Checkpoint) => Some(self.checkpoint().into_bytes()),
            Ok(Resource::Tile { level, index, width }) => {
                let row = self.hashes(level);
                row.get(range(index, width)).map(|tile| tile.as_flattened().to_vec())
            }
            Ok(Resource::Entries { index, width }) => {
                let range = range(index, width);
                let from = range.start as u64;
                self.entries.get(range).map(|entries| {
                    bundle(
                        (from..).zip(entries).map(|(index, entry)| {
                            self.shown.get(&index).unwrap_or(entry).as_slice()
                        }),
                    )
                })
            }
            Err(_) => None,
        })
    }
}
