//! The journal on the writer's side: appending entries inside a unit of work, growing the tree once
//! per group, and coming back to what the database says after anything went wrong.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use hpki::encoding::Digest32;
use hpki::id::StreamId;
use hpki::sign::{Mac, Random};
use hpki::time::Timestamp;
use zeroize::Zeroizing;

use crate::engine::Connection;
use crate::fault::{Failed, Fault};
use crate::head::HeadFile;
use crate::migration::Migration;
use crate::nodes::{StoredNodes, TILE_WIDTH};
use crate::opening::{LeafOpening, commitment, label, stream_key_hash, stream_key_statement};
use crate::record::Record;
use crate::refusal::Refusal;
use crate::rows::Rows;
use crate::tlog::NoteSigner;
use crate::tlog::tree::{EMPTY_ROOT, Edge, Growth, leaf_hash, root_of};
use crate::tx::Tx;
use crate::value::Value;

/// Streams remembered in memory; beyond it we ask the database again.
const STREAMS_MAX: usize = 65_536;

const ENTRY_COLUMNS: usize = 5;
const STREAM_COLUMNS: usize = 3;

const TABLES: Migration = Migration { room: "ledger", number: 1, sql: include_str!("journal.sql") };

/// The journal's own tables, and what forbids changing them in each engine's own words.
pub(crate) fn migrations(connection: &Connection) -> &'static [Migration] {
    const fn guards(sql: &'static str) -> Migration {
        Migration { room: "ledger", number: 2, sql }
    }
    if connection.is_shared() {
        &[TABLES, const { guards(include_str!("guards.postgres.sql")) }]
    } else {
        &[TABLES, const { guards(include_str!("guards.sqlite.sql")) }]
    }
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of its last entry; the first is 1.
    pub seq: u64,
    /// Commitment of its last entry.
    pub commitment: Digest32,
    /// Index of its last entry in the journal.
    pub index: u64,
}

/// An entry as it was appended.
pub(crate) struct Appended {
    pub(crate) index: u64,
    pub(crate) salt: [u8; 32],
    pub(crate) label: Digest32,
    pub(crate) commitment: Digest32,
    pub(crate) opening: LeafOpening,
    pub(crate) octets: Vec<u8>,
}

/// What everybody may know at any time: the last checkpoint that was handed out.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) size: u64,
    pub(crate) note: String,
    pub(crate) last_time: Option<Timestamp>,
}

/// What the journal knows of its tree without asking: read back from the database at start-up
/// and after a failure, by the same function.
struct Tree {
    size: u64,
    root: Digest32,
    edge: Edge,
    /// The hashes of the open (not yet full) tile of each level.
    open: Vec<Vec<Digest32>>,
    last_time: Option<Timestamp>,
}

pub(crate) struct Journal {
    signer: NoteSigner,
    streams: Arc<dyn Mac>,
    random: Arc<dyn Random>,
    head: HeadFile,
    published: Arc<RwLock<Arc<Published>>>,
    tree: Tree,
    /// Leaves of the group that is open now, and what they change.
    staged: Vec<Digest32>,
    staged_rows: Vec<Value>,
    staged_heads: HashMap<StreamId, Head>,
    staged_time: Option<Timestamp>,
    heads: HashMap<StreamId, Head>,
    keys: HashMap<StreamId, Zeroizing<Digest32>>,
    entry_rows: Rows,
    stream_rows: Rows,
}

/// What a journal needs from outside.
pub(crate) struct Powers {
    pub(crate) signer: NoteSigner,
    pub(crate) streams: Arc<dyn Mac>,
    pub(crate) random: Arc<dyn Random>,
}

impl Journal {
    /// Begins a journal or takes up an old one, if it is the one that the head outside speaks of.
    pub(crate) fn open(
        connection: &Connection,
        powers: Powers,
        mut head: HeadFile,
    ) -> Result<Self, Failed<Refusal>> {
        let Powers { signer, streams, random } = powers;
        begin(connection, &signer)?;
        let tree = Tree::load(connection)?;
        match head.last(&signer.public) {
            Some(kept) => contains(connection, &tree, kept.size, &kept.root)?,
            // Dying while the very first head is written leaves an empty journal and no head.
            None if tree.size == 0 => {}
            None => {
                let why = head.path().display().to_string();
                return Err(Failed::Refused(Refusal::JournalHeadMissing(why)));
            }
        }
        // The tree may be longer than the head outside (we died between commit and head): the
        // entries are durable, so signing over them now is what the lost moment would have done.
        let note = signer.sign(tree.size, tree.root)?;
        head.keep(&note)?;
        head.sync()?;
        let published = Published { size: tree.size, note, last_time: tree.last_time };
        Ok(Self {
            signer,
            streams,
            random,
            head,
            published: Arc::new(RwLock::new(Arc::new(published))),
            tree,
            staged: Vec::new(),
            staged_rows: Vec::new(),
            staged_heads: HashMap::new(),
            staged_time: None,
            heads: HashMap::new(),
            keys: HashMap::new(),
            entry_rows: Rows::new(
                "INSERT INTO ledger_entry (idx, entry, before, salt, opening) VALUES",
                ENTRY_COLUMNS,
                "",
            ),
            stream_rows: Rows::new(
                "INSERT INTO ledger_stream (stream, seq, idx) VALUES",
                STREAM_COLUMNS,
                "ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq, idx = excluded.idx",
            ),
        })
    }

    pub(crate) fn published(&self) -> Arc<RwLock<Arc<Published>>> {
        Arc::clone(&self.published)
    }

    /// Forgets the open group and believes the database again.
    pub(crate) fn reload(&mut self, connection: &Connection) -> Result<(), Fault> {
        self.clear_group();
        self.heads.clear();
        let tree = Tree::load(connection).and_then(|tree| {
            // A server put back to yesterday while we ran must not make us sign a second history.
            contains(connection, &tree, self.tree.size, &self.tree.root)?;
            Ok(tree)
        });
        self.tree = tree.map_err(|failed| match failed {
            Failed::Fault(fault) => fault,
            Failed::Refused(refusal) => Fault::Store(refusal.to_string()),
        })?;
        Ok(())
    }

    /// Forgets what the open group has appended so far.
    pub(crate) fn clear_group(&mut self) {
        self.staged.clear();
        self.staged_rows.clear();
        self.staged_heads.clear();
        self.staged_time = None;
    }

    /// Appends entries to the open group, as the last step of the unit of work of `tx`. Their rows
    /// follow with those of the whole group, in [`Journal::grow`].
    ///
    /// Nothing is staged before the last entry is made, so a failure (or a panic) on the way leaves
    /// nothing.
    pub(crate) fn append(
        &mut self,
        tx: &Tx<'_>,
        records: Vec<Record>,
    ) -> Result<Vec<Appended>, Fault> {
        let mut heads: HashMap<StreamId, Head> = HashMap::new();
        let mut appended = Vec::with_capacity(records.len());
        let mut rows = Vec::with_capacity(records.len() * ENTRY_COLUMNS);
        for (index, record) in (self.next_index()..).zip(records) {
            if let Some(outcome) = &record.outcome
                && outcome.intention_index >= index
            {
                let why = "an outcome names an intention that is not there";
                return Err(Fault::Misuse(why.into()));
            }
            let stream = record.stream;
            let before = match heads.get(&stream) {
                Some(head) => Some(*head),
                None => self.stream_head(tx, &stream)?,
            };
            let entry = self.make(index, before, record)?;
            rows.extend(row_of(&entry, before));
            let (seq, commitment) = (entry.opening.seq, entry.commitment);
            heads.insert(stream, Head { seq, commitment, index });
            appended.push(entry);
        }
        for entry in &appended {
            self.staged.push(leaf_hash(&crate::opening::entry(&entry.label, &entry.commitment)));
            self.staged_time = self.staged_time.max(Some(entry.opening.record.time));
        }
        self.staged_rows.append(&mut rows);
        self.staged_heads.extend(heads);
        Ok(appended)
    }

    /// The next entry of a stream.
    fn make(
        &mut self,
        index: u64,
        before: Option<Head>,
        record: Record,
    ) -> Result<Appended, Fault> {
        let stream_key = self.stream_key(&record.stream)?;
        let seq = before.map_or(0, |head| head.seq) + 1;
        let label = label(&stream_key, seq);
        let opening = LeafOpening {
            seq,
            previous: before.map(|head| head.commitment),
            stream_key_hash: before.is_none().then(|| stream_key_hash(&stream_key)),
            record,
        };
        let octets = opening.encode();
        let mut salt = [0; 32];
        self.random.fill(&mut salt);
        let commitment = commitment(&salt, &octets);
        Ok(Appended { index, salt, label, commitment, opening, octets })
    }

    /// The index that the next entry gets.
    pub(crate) fn next_index(&self) -> u64 {
        self.tree.size + self.staged.len() as u64
    }

    fn stream_key(&mut self, stream: &StreamId) -> Result<Zeroizing<Digest32>, Fault> {
        if let Some(key) = self.keys.get(stream) {
            return Ok(key.clone());
        }
        let key = Zeroizing::new(self.streams.mac(&stream_key_statement(stream))?);
        if self.keys.len() >= STREAMS_MAX {
            self.keys.clear();
        }
        self.keys.insert(*stream, key.clone());
        Ok(key)
    }

    /// Where a stream stands, the open group included.
    pub(crate) fn stream_head(
        &mut self,
        tx: &Tx<'_>,
        stream: &StreamId,
    ) -> Result<Option<Head>, Fault> {
        if let Some(head) = self.staged_heads.get(stream).or_else(|| self.heads.get(stream)) {
            return Ok(Some(*head));
        }
        let head = Self::stored_head(tx, stream)?;
        if let Some(head) = head {
            self.remember(*stream, head);
        }
        Ok(head)
    }

    fn remember(&mut self, stream: StreamId, head: Head) {
        if self.heads.len() >= STREAMS_MAX {
            self.heads.clear();
        }
        self.heads.insert(stream, head);
    }

    /// Where a stream stands in the database.
    pub(crate) fn stored_head(tx: &Tx<'_>, stream: &StreamId) -> Result<Option<Head>, Fault> {
        let rows = tx.query_inner(
            "SELECT stood.seq, substr(last.entry, 34, 32), stood.idx
             FROM ledger_stream AS stood JOIN ledger_entry AS last ON last.idx = stood.idx
             WHERE stood.stream = $1",
            &[stream.into()],
        )?;
        rows.first()
            .map(|row| {
                Ok(Head { seq: row.number(0)?, commitment: row.array(1)?, index: row.number(2)? })
            })
            .transpose()
    }

    /// Grows the tree by the entries of the group, still inside its transaction: their rows, full
    /// tiles, the rows of the streams, the head row. `None` if the group appended nothing.
    pub(crate) fn grow(&mut self, tx: &Tx<'_>) -> Result<Option<Growth>, Fault> {
        if self.staged.is_empty() {
            return Ok(None);
        }
        self.entry_rows.add(tx, &std::mem::take(&mut self.staged_rows))?;
        let leaves = self.staged.clone();
        for (index, leaf) in (self.tree.size..).zip(&leaves) {
            self.tree.push(tx, 0, index, *leaf)?;
        }
        let mut rows = Vec::with_capacity(self.staged_heads.len() * STREAM_COLUMNS);
        for (stream, head) in &self.staged_heads {
            rows.extend([stream.into(), head.seq.into(), head.index.into()]);
        }
        self.stream_rows.add(tx, &rows)?;
        let growth = Growth::new(self.tree.size, &self.tree.edge, leaves);
        // Compare and set: whoever else wrote to this journal made ours another one.
        let changed = tx.exec_inner(
            "UPDATE ledger_head SET size = $1, root = $2 WHERE id = 1 AND size = $3 AND root = $4",
            &[
                growth.size().into(),
                growth.root().into(),
                self.tree.size.into(),
                self.tree.root.into(),
            ],
        )?;
        if changed != 1 {
            tx.connection.interfered();
            return Err(Fault::Store("another writer has moved the journal's head".into()));
        }
        Ok(Some(growth))
    }

    /// The group is committed: its tree is ours now.
    pub(crate) fn accept(&mut self, growth: &Growth) {
        self.tree.edge = growth.edge(&self.tree.edge);
        self.tree.size = growth.size();
        self.tree.root = growth.root();
        self.tree.last_time = self.tree.last_time.max(self.staged_time);
        for (stream, head) in std::mem::take(&mut self.staged_heads) {
            self.remember(stream, head);
        }
        self.clear_group();
    }

    /// The checkpoint over what is committed.
    pub(crate) fn sign(&self) -> Result<String, Fault> {
        Ok(self.signer.sign(self.tree.size, self.tree.root)?)
    }

    /// Keeps the head outside and shows it to everybody.
    pub(crate) fn keep_head(&mut self, note: &str) -> Result<(), Fault> {
        self.head.keep(note)?;
        let published = Arc::new(Published {
            size: self.tree.size,
            note: note.to_owned(),
            last_time: self.tree.last_time,
        });
        *self.published.write().unwrap_or_else(std::sync::PoisonError::into_inner) = published;
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A clean end leaves the newest head durable; failing that, it is only a little behind.
        let _ = self.head.sync();
    }
}

/// Writes the head row of a new journal, or checks that an old one is this log's.
fn begin(connection: &Connection, signer: &NoteSigner) -> Result<(), Failed<Refusal>> {
    let key = signer.public.to_string();
    let stored = connection.alone(|| {
        connection.exec(
            "INSERT INTO ledger_head (id, size, root, log) VALUES (1, 0, $1, $2)
             ON CONFLICT (id) DO NOTHING",
            &[EMPTY_ROOT.into(), (&key).into()],
        )?;
        connection.query("SELECT log FROM ledger_head WHERE id = 1", &[])
    })?;
    let stored = stored.first().map_or(Ok(""), |row| row.text(0))?;
    if stored != key {
        return Err(Failed::Refused(Refusal::LogKeyWrong(format!(
            "the journal was begun under {stored}, not {key}"
        ))));
    }
    Ok(())
}

/// The columns of an entry's row.
fn row_of(entry: &Appended, before: Option<Head>) -> [Value; ENTRY_COLUMNS] {
    [
        entry.index.into(),
        crate::opening::entry(&entry.label, &entry.commitment).into(),
        before.map(|head| head.index).into(),
        entry.salt.into(),
        (&entry.octets).into(),
    ]
}

/// Whether the tree begins with an older one.
fn contains(
    connection: &Connection,
    tree: &Tree,
    size: u64,
    root: &Digest32,
) -> Result<(), Failed<Refusal>> {
    let rolled_back = |why: String| Failed::Refused(Refusal::JournalRolledBack(why));
    if size > tree.size {
        return Err(rolled_back(format!(
            "the database has {} entries, the head kept outside {size}",
            tree.size
        )));
    }
    let mut nodes = StoredNodes::new(connection);
    if crate::tlog::tree::root(&mut nodes, size)? != *root {
        return Err(rolled_back(format!(
            "its first {size} entries are not those of the head kept outside"
        )));
    }
    Ok(())
}

impl Tree {
    /// Reads the right edge back; costs at most 255 rows and one tile per level.
    fn load(connection: &Connection) -> Result<Self, Failed<Refusal>> {
        let broken = |why: &str| Failed::Refused(Refusal::JournalBroken(why.to_owned()));
        let tx = Tx::bare(connection);
        let head = tx.query_inner("SELECT size, root FROM ledger_head WHERE id = 1", &[])?;
        let head = head.first().ok_or_else(|| broken("it has no head"))?;
        let (size, root): (_, Digest32) = (head.number(0)?, head.array(1)?);
        let last =
            tx.query_inner("SELECT idx, opening FROM ledger_entry ORDER BY idx DESC LIMIT 1", &[])?;
        let last = last.first().map(|row| Ok((row.number(0)?, row.blob(1)?))).transpose();
        let last: Option<(u64, &[u8])> = last.map_err(|fault: Fault| Failed::Fault(fault))?;
        if last.map_or(0, |(last, _)| last + 1) != size {
            return Err(broken("its head and its last entry do not fit"));
        }
        let mut nodes = StoredNodes::new(connection);
        let mut tree = Self {
            size,
            root: EMPTY_ROOT,
            edge: Vec::new(),
            open: Vec::new(),
            last_time: last
                .and_then(|(_, octets)| LeafOpening::decode(octets))
                .map(|opening| opening.record.time),
        };
        let mut above = size;
        for level in 0.. {
            if above == 0 {
                break;
            }
            let (index, width) = (above / TILE_WIDTH, above % TILE_WIDTH);
            let open = nodes.tile(level, index, width)?;
            // A level's part of the edge: its open tile cut by the bits of its width.
            let mut from = open.len();
            for height in 0..8 {
                if width >> height & 1 == 1 {
                    let start = from - (1 << height);
                    tree.edge.push(root_of(&open[start..from]));
                    from = start;
                }
            }
            tree.open.push(open);
            above /= TILE_WIDTH;
        }
        tree.root = edge_root(&tree.edge);
        if tree.root != root {
            return Err(broken("its entries do not give the root in its head"));
        }
        Ok(tree)
    }

    /// Adds one hash to the open tile of a level; a full tile is stored and adds its root above.
    ///
    /// Level 0 tiles are stored when full, since until then the entries themselves are there;
    /// higher ones grow in the database with each full tile below.
    fn push(&mut self, tx: &Tx<'_>, level: usize, index: u64, hash: Digest32) -> Result<(), Fault> {
        if self.open.len() == level {
            self.open.push(Vec::with_capacity(TILE_WIDTH as usize));
        }
        let Some(open) = self.open.get_mut(level) else { return Ok(()) };
        open.push(hash);
        let full = open.len() as u64 == TILE_WIDTH;
        if level > 0 || full {
            tx.exec_inner(
                "INSERT INTO ledger_tile (level, idx, hashes) VALUES ($1, $2, $3)
                 ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes",
                &[level.into(), (index / TILE_WIDTH).into(), open.as_flattened().into()],
            )?;
        }
        if full {
            let root = root_of(open);
            open.clear();
            self.push(tx, level + 1, index / TILE_WIDTH, root)?;
        }
        Ok(())
    }
}

/// The root of the tree with this edge, lowest subtree first.
fn edge_root(edge: &[Digest32]) -> Digest32 {
    let mut parts = edge.iter();
    let Some(first) = parts.next() else { return EMPTY_ROOT };
    parts.fold(*first, |right, left| crate::tlog::tree::node_hash(left, &right))
}
