//! The check of everything: `azukari journal verify`.
//!
//! It reads the whole database in one consistent state and shares as little as possible with the
//! code that wrote it: every leaf is recomputed from salt and opening, every label from its stream
//! key (if the device is at hand), every chain from its first entry, every tile and root from the
//! leaves. Then come the signed heads: the one kept outside the database, and the checkpoint that
//! the auditor brought along, which nobody who rewrites the database can have changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

use hpki::encoding::Digest32;
use hpki::id::StreamId;
use hpki::sign::Mac;
use zeroize::Zeroizing;

use crate::engine::{Connection, postgres, sqlite};
use crate::fault::{Failed, Fault};
use crate::ledger::HEAD_FILE;
use crate::nodes::TILE_WIDTH;
use crate::opening::{
    LeafOpening, commitment, entry_parts, label, stream_key_hash, stream_key_statement,
};
use crate::place::Place;
use crate::record::{EntryKind as _, Intention, Note, Outcome, Record};
use crate::refusal::Refusal;
use crate::tlog::tree::{EMPTY_ROOT, leaf_hash, node_hash, root_of};
use crate::tlog::{Checkpoint, VerifyKey};
use crate::tx::Tx;
use crate::value::{Row, Value};

/// Problems of one sort listed at most; after a deleted entry every later one is wrong somehow.
const PROBLEMS_MAX: usize = 10;

/// What is audited, and against what.
pub struct Audit<'a> {
    /// Where the ledger lives. It may be in use.
    pub place: Place,
    /// Where the head is kept outside the database; else `journal.head` in the folder.
    pub head: Option<&'a Path>,
    /// The log's pinned public key.
    pub log: &'a VerifyKey,
    /// The device's keyed hash; without it labels are only checked to be different.
    pub streams: Option<&'a dyn Mac>,
    /// Signed checkpoints from elsewhere, of which the journal must be a continuation.
    pub since: &'a [&'a str],
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many entries the journal has.
    pub entries: u64,
    /// The root over them, recomputed.
    pub root: Digest32,
    /// How many streams.
    pub streams: u64,
    /// Intentions without an outcome yet: under way, or to be closed by recovery.
    pub open_intentions: Vec<u64>,
    /// The newest head kept outside the database.
    pub kept: Option<Checkpoint>,
    /// The checkpoints that were brought along, as verified.
    pub since: Vec<Checkpoint>,
    /// What is wrong; empty if nothing is. At most ten of a sort.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Something wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// The entry (or the size of the tree, where a head is concerned).
    pub index: u64,
    /// What is wrong.
    pub finding: Finding,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.index, self.finding.ja(), self.finding.en())
    }
}

macro_rules! findings {
    ($($variant:ident, $ja:literal, $en:literal;)*) => {
        /// What can be wrong with a journal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Finding { $(#[doc = $en] $variant,)* }

        impl Finding {
            /// In Japanese.
            pub const fn ja(self) -> &'static str {
                match self { $(Self::$variant => $ja,)* }
            }
            /// In English.
            pub const fn en(self) -> &'static str {
                match self { $(Self::$variant => $en,)* }
            }
        }
    };
}

findings! {
    DatabaseDamaged, "データベースのファイルが壊れています", "the database file is damaged";
    EntryMissing, "記録が欠けています", "an entry is missing";
    EntryMalformed, "記録の形式が正しくありません", "an entry is malformed";
    OpeningWrong, "記録の中身が書き換えられています", "an opening is not the one committed to";
    OpeningMalformed, "記録の中身の形式が正しくありません", "an opening is malformed";
    LinkWrong, "系列の前の記録への参照が違います", "the link to the stream's entry before is wrong";
    StreamRowWrong, "系列の現在位置が記録と一致しません", "where a stream stands does not fit its entries";
    Renumbered, "系列の番号が連続していません", "a stream's numbers are not consecutive";
    ChainBroken, "系列の前の記録とつながっていません", "an entry does not follow its stream's last one";
    StreamKeyWrong, "系列の鍵が最初の記録と一致しません", "the stream key is not that of the first entry";
    LabelWrong, "ラベルが系列の鍵と一致しません", "a label is not made by its stream's key";
    LabelTwice, "同じラベルが二度あります", "a label stands twice";
    OutcomeStray, "結果に対応する予告がありません", "an outcome closes no intention";
    IntentionTwice, "一つの予告に結果が二つあります", "an intention is closed twice";
    TileWrong, "木のタイルが記録と一致しません", "a tile does not fit the entries";
    TileExtra, "木に余分なタイルがあります", "a tile has no entries";
    HeadWrong, "データベースの先頭が記録と一致しません", "the head row does not fit the entries";
    LogKeyOther, "別のログ鍵の台帳です", "the journal belongs to another log key";
    KeptMissing, "外に保管した先頭がありません", "the head kept outside is missing";
    KeptContradicts, "外に保管した署名付きの先頭と食い違います", "the signed head kept outside contradicts it";
    SinceContradicts, "示されたチェックポイントと食い違います", "the given checkpoint contradicts it";
}

/// A root that somebody signed for some size.
struct Claim {
    root: Digest32,
    contradicted: Finding,
}

/// Checks everything. A journal that is wrong gives a report; only a database that cannot be read
/// at all is a fault, and a checkpoint that is not this log's a refusal.
pub fn verify(audit: &Audit<'_>) -> Result<Report, Failed<Refusal>> {
    audit.place.apart(|| verify_here(audit))
}

fn verify_here(audit: &Audit<'_>) -> Result<Report, Failed<Refusal>> {
    // The head outside is read first: the database can only be further on.
    let path = audit.head.map_or_else(|| audit.place.folder().join(HEAD_FILE), Path::to_path_buf);
    let kept: Vec<_> = crate::head::read(&path, audit.log).into_iter().flatten().collect();
    let mut since = Vec::new();
    for note in audit.since {
        since.push(audit.log.verify(note).map_err(Failed::Refused)?);
    }
    let connection = match &audit.place.server {
        Some(server) => postgres::connect(server)?,
        None => sqlite::connect_auditor(audit.place.folder())?,
    };
    connection.snapshot(|connection| check(audit, connection, &kept, &since))?
}

fn check(
    audit: &Audit<'_>,
    connection: &Connection,
    kept: &[Checkpoint],
    since: &[Checkpoint],
) -> Result<Report, Failed<Refusal>> {
    let mut claims: BTreeMap<u64, Vec<Claim>> = BTreeMap::new();
    let outside = kept.iter().map(|head| (head, Finding::KeptContradicts));
    for (head, contradicted) in outside.chain(since.iter().map(|c| (c, Finding::SinceContradicts)))
    {
        claims.entry(head.size).or_default().push(Claim { root: head.root, contradicted });
    }
    let mut check = Check {
        audit,
        tx: Tx::bare(connection),
        problems: Vec::new(),
        tree: Stack::default(),
        tiles: Vec::new(),
        claims,
        streams: HashMap::new(),
        labels: HashSet::new(),
        intentions: BTreeMap::new(),
        closed: HashSet::new(),
    };
    check.file(connection)?;
    check.entries()?;
    check.heads(kept.is_empty())?;
    Ok(Report {
        entries: check.tree.size,
        root: check.tree.root(),
        streams: check.streams.len() as u64,
        open_intentions: check.intentions.into_keys().collect(),
        kept: kept.iter().max_by_key(|head| head.size).cloned(),
        since: since.to_vec(),
        problems: check.problems,
    })
}

/// Complete subtrees, highest first: the plainest way to keep an RFC 6962 root.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stack {
    pub(crate) size: u64,
    pub(crate) parts: Vec<Digest32>,
}

impl Stack {
    pub(crate) fn push(&mut self, leaf: Digest32) {
        let mut hash = leaf;
        let mut rest = self.size;
        while rest & 1 == 1
            && let Some(left) = self.parts.pop()
        {
            hash = node_hash(&left, &hash);
            rest >>= 1;
        }
        self.parts.push(hash);
        self.size += 1;
    }

    pub(crate) fn root(&self) -> Digest32 {
        let mut parts = self.parts.iter().rev();
        let Some(last) = parts.next() else { return EMPTY_ROOT };
        parts.fold(*last, |right, left| node_hash(left, &right))
    }
}

struct Stream {
    seq: u64,
    index: u64,
    commitment: Digest32,
    key: Option<Zeroizing<Digest32>>,
}

struct Check<'a> {
    audit: &'a Audit<'a>,
    tx: Tx<'a>,
    problems: Vec<Problem>,
    tree: Stack,
    /// The hashes of the open tile of each level, recomputed.
    tiles: Vec<Vec<Digest32>>,
    claims: BTreeMap<u64, Vec<Claim>>,
    streams: HashMap<StreamId, Stream>,
    labels: HashSet<Digest32>,
    /// Open intentions and their streams.
    intentions: BTreeMap<u64, StreamId>,
    closed: HashSet<u64>,
}

impl Check<'_> {
    fn found(&mut self, index: u64, finding: Finding) {
        let same = self.problems.iter().filter(|problem| problem.finding == finding).count();
        if same < PROBLEMS_MAX {
            self.problems.push(Problem { index, finding });
        }
    }

    /// The engine's own check: pages, indexes, constraints.
    fn file(&mut self, connection: &Connection) -> Result<(), Fault> {
        if !connection.is_sound()? {
            self.found(0, Finding::DatabaseDamaged);
        }
        Ok(())
    }

    fn entries(&mut self) -> Result<(), Fault> {
        self.claims_here();
        let mut expected = 0_i64;
        // By pages, from the lowest index there is: whoever can write the database may have
        // written one below 0.
        let mut from = i64::MIN;
        loop {
            let rows = self.tx.query_inner(
                "SELECT idx, entry, before, salt, opening FROM ledger_entry WHERE idx >= $1
                 ORDER BY idx LIMIT 1000",
                &[from.into()],
            )?;
            let Some(last) = rows.last() else { return Ok(()) };
            let last = last.int(0)?;
            for row in &rows {
                let index = row.int(0)?;
                if index != expected {
                    self.found(u64::try_from(expected).unwrap_or(0), Finding::EntryMissing);
                }
                expected = index.saturating_add(1);
                self.entry(row, u64::try_from(index).unwrap_or(0))?;
                self.claims_here();
            }
            let Some(next) = last.checked_add(1) else { return Ok(()) };
            from = next;
        }
    }

    /// Compares the tree as it stands with what was signed for this size.
    fn claims_here(&mut self) {
        let size = self.tree.size;
        for claim in self.claims.remove(&size).unwrap_or_default() {
            if claim.root != self.tree.root() {
                self.found(size, claim.contradicted);
            }
        }
    }

    /// One entry, by the index that it bears; its place in the tree is where it comes.
    fn entry(&mut self, row: &Row, index: u64) -> Result<(), Fault> {
        // SQLite keeps whatever an intruder wrote; of another type than ours, it says nothing.
        let octets = |column: usize| -> Result<&[u8], Fault> {
            Ok(match row.value(column)? {
                Value::Blob(octets) => octets,
                _ => &[],
            })
        };
        let (entry, salt, opening) = (octets(1)?, octets(3)?, octets(4)?);
        let leaf = leaf_hash(entry);
        self.tile(0, self.tree.size, leaf)?;
        self.tree.push(leaf);

        let Some((entry_label, committed)) = entry_parts(entry) else {
            self.found(index, Finding::EntryMalformed);
            return Ok(());
        };
        if self.audit.streams.is_none() && !self.labels.insert(entry_label) {
            self.found(index, Finding::LabelTwice);
        }
        let salt: Option<[u8; 32]> = salt.try_into().ok();
        if salt.is_none_or(|salt| commitment(&salt, opening) != committed) {
            self.found(index, Finding::OpeningWrong);
        }
        let Some(opening) = LeafOpening::decode(opening) else {
            self.found(index, Finding::OpeningMalformed);
            return Ok(());
        };
        let before = row.opt_int(2)?;
        let stream = self.streams.get(&opening.record.stream);
        if before != stream.and_then(|stream| i64::try_from(stream.index).ok()) {
            self.found(index, Finding::LinkWrong);
        }
        self.chain(index, &opening, committed, entry_label)?;
        self.books(index, &opening.record);
        Ok(())
    }

    /// Number, predecessor, stream key and label.
    fn chain(
        &mut self,
        index: u64,
        opening: &LeafOpening,
        committed: Digest32,
        entry_label: Digest32,
    ) -> Result<(), Fault> {
        let id = opening.record.stream;
        let before = self.streams.remove(&id);
        if opening.seq != before.as_ref().map_or(0, |stream| stream.seq) + 1 {
            self.found(index, Finding::Renumbered);
        }
        if opening.previous != before.as_ref().map(|stream| stream.commitment) {
            self.found(index, Finding::ChainBroken);
        }
        let known = before.as_ref().and_then(|stream| stream.key.clone());
        let key = match (known, self.audit.streams) {
            (Some(key), _) => Some(key),
            (None, Some(mac)) => Some(Zeroizing::new(mac.mac(&stream_key_statement(&id))?)),
            (None, None) => None,
        };
        let stated_rightly = match (&before, &opening.stream_key_hash, &key) {
            // The first entry states it …
            (None, Some(stated), Some(key)) => *stated == stream_key_hash(key),
            (None, Some(_), None) => true,
            (None, None, _) => false,
            // … and no other does.
            (Some(_), stated, _) => stated.is_none(),
        };
        if !stated_rightly {
            self.found(index, Finding::StreamKeyWrong);
        }
        if key.as_ref().is_some_and(|key| label(key, opening.seq) != entry_label) {
            self.found(index, Finding::LabelWrong);
        }
        self.streams.insert(id, Stream { seq: opening.seq, index, commitment: committed, key });
        Ok(())
    }

    /// Every outcome closes one intention of its own stream, once.
    fn books(&mut self, index: u64, record: &Record) {
        if !(Intention::fits(record) || Outcome::fits(record) || Note::fits(record)) {
            self.found(index, Finding::OutcomeStray);
        }
        if record.event.is_intention() {
            self.intentions.insert(index, record.stream);
        }
        if let Some(outcome) = &record.outcome {
            let intention = outcome.intention_index;
            if self.closed.contains(&intention) {
                self.found(index, Finding::IntentionTwice);
            } else if self.intentions.get(&intention) == Some(&record.stream) {
                self.intentions.remove(&intention);
                self.closed.insert(intention);
            } else {
                self.found(index, Finding::OutcomeStray);
            }
        }
    }

    /// Adds a hash to the recomputed tile and compares it with the stored one when it is full.
    fn tile(&mut self, level: usize, index: u64, hash: Digest32) -> Result<(), Fault> {
        if self.tiles.len() == level {
            self.tiles.push(Vec::with_capacity(TILE_WIDTH as usize));
        }
        let Some(open) = self.tiles.get_mut(level) else { return Ok(()) };
        open.push(hash);
        if open.len() as u64 == TILE_WIDTH {
            let full = std::mem::take(open);
            self.compare_tile(level, index / TILE_WIDTH, &full)?;
            self.tile(level + 1, index / TILE_WIDTH, root_of(&full))?;
        }
        Ok(())
    }

    fn compare_tile(&mut self, level: usize, index: u64, hashes: &[Digest32]) -> Result<(), Fault> {
        let rows = self.tx.query_inner(
            "SELECT hashes FROM ledger_tile WHERE level = $1 AND idx = $2",
            &[level.into(), index.into()],
        )?;
        let stored = rows.first().map(|row| row.blob(0)).transpose()?;
        if stored != Some(hashes.as_flattened()) {
            self.found(self.tree.size, Finding::TileWrong);
        }
        Ok(())
    }

    /// Where each stream stands, by its row and by its entries.
    fn stream_rows(&mut self) -> Result<(), Fault> {
        let mut found = Vec::new();
        for (id, stream) in &self.streams {
            let sql = "SELECT seq, idx FROM ledger_stream WHERE stream = $1";
            let rows = self.tx.query_inner(sql, &[id.into()])?;
            let row = rows.first().map(|row| Ok::<_, Fault>((row.number(0)?, row.number(1)?)));
            if row.transpose()? != Some((stream.seq, stream.index)) {
                found.push(stream.index);
            }
        }
        let rows = self.tx.query_inner("SELECT count(*) FROM ledger_stream", &[])?;
        let count = rows.first().map(|row| row.number(0)).transpose()?;
        if count != Some(self.streams.len() as u64) {
            found.push(self.tree.size);
        }
        for index in found {
            self.found(index, Finding::StreamRowWrong);
        }
        Ok(())
    }

    /// What is left when all entries are read: open tiles, the head row, the heads outside.
    fn heads(&mut self, kept_missing: bool) -> Result<(), Fault> {
        let size = self.tree.size;
        let tiles = std::mem::take(&mut self.tiles);
        let mut expected = 0;
        for (level, open) in (0_u32..).zip(&tiles) {
            let full = size >> (8 * (level + 1));
            expected += full;
            if level > 0 && !open.is_empty() {
                self.compare_tile(level as usize, full, open)?;
                expected += 1;
            }
        }
        let rows = self.tx.query_inner("SELECT count(*) FROM ledger_tile", &[])?;
        if rows.first().map(|row| row.number(0)).transpose()?.unwrap_or(0) > expected {
            self.found(size, Finding::TileExtra);
        }
        self.stream_rows()?;
        let rows = self.tx.query_inner("SELECT size, root, log FROM ledger_head", &[])?;
        let head = rows.first();
        let (stated, root): (Option<u64>, Option<Digest32>) =
            (head.and_then(|row| row.number(0).ok()), head.and_then(|row| row.array(1).ok()));
        if (stated, root) != (Some(size), Some(self.tree.root())) {
            self.found(size, Finding::HeadWrong);
        }
        if head.map(|row| row.text(2)).transpose()? != Some(&self.audit.log.to_string()) {
            self.found(size, Finding::LogKeyOther);
        }
        if kept_missing && size > 0 {
            self.found(size, Finding::KeptMissing);
        }
        // Signed for sizes that this journal does not reach (any more).
        for (beyond, claims) in std::mem::take(&mut self.claims) {
            for claim in claims {
                self.found(beyond, claim.contradicted);
            }
        }
        Ok(())
    }
}
