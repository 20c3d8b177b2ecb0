-- The journal. Entries are for ever; salt and opening may be destroyed after their retention.
CREATE TABLE ledger_entry (
    idx INTEGER PRIMARY KEY,
    entry BLOB NOT NULL CHECK (length(entry) = 65),
    -- The entry before it in its stream: a stream is read backwards from its row below.
    before INTEGER,
    salt BLOB NOT NULL,
    opening BLOB NOT NULL
);
CREATE TRIGGER ledger_entry_fixed BEFORE UPDATE ON ledger_entry
BEGIN SELECT raise(ABORT, 'a journal entry is never changed'); END;
CREATE TRIGGER ledger_entry_kept BEFORE DELETE ON ledger_entry
BEGIN SELECT raise(ABORT, 'a journal entry is never deleted'); END;
CREATE TRIGGER ledger_entry_next BEFORE INSERT ON ledger_entry
WHEN new.idx <> (SELECT coalesce(max(idx) + 1, 0) FROM ledger_entry)
BEGIN SELECT raise(ABORT, 'a journal entry takes the next index'); END;

-- Where each stream stands. An index over all entries would say the same, but would grow with the
-- entries and be written at random places; this grows with the keys.
CREATE TABLE ledger_stream (
    stream BLOB PRIMARY KEY,
    seq INTEGER NOT NULL,
    idx INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER ledger_stream_grows BEFORE UPDATE ON ledger_stream
WHEN new.stream <> old.stream OR new.seq <= old.seq OR new.idx <= old.idx
BEGIN SELECT raise(ABORT, 'a stream only grows'); END;
CREATE TRIGGER ledger_stream_kept BEFORE DELETE ON ledger_stream
BEGIN SELECT raise(ABORT, 'a stream is never deleted'); END;

-- Hashes of the tree, 256 to a tile (C2SP tlog-tiles): level 0 when full, higher levels as they grow.
CREATE TABLE ledger_tile (
    level INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, idx)
) WITHOUT ROWID;
CREATE TRIGGER ledger_tile_grows BEFORE UPDATE ON ledger_tile
WHEN new.level <> old.level OR new.idx <> old.idx
    OR length(new.hashes) <= length(old.hashes)
    OR substr(new.hashes, 1, length(old.hashes)) <> old.hashes
BEGIN SELECT raise(ABORT, 'a tile only grows'); END;
CREATE TRIGGER ledger_tile_kept BEFORE DELETE ON ledger_tile
BEGIN SELECT raise(ABORT, 'a tile is never deleted'); END;

-- The head of the tree; the signed one is kept outside as well.
CREATE TABLE ledger_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    log TEXT NOT NULL
);
CREATE TRIGGER ledger_head_grows BEFORE UPDATE ON ledger_head
WHEN new.size <= old.size OR new.log <> old.log
BEGIN SELECT raise(ABORT, 'the journal only grows'); END;
CREATE TRIGGER ledger_head_kept BEFORE DELETE ON ledger_head
BEGIN SELECT raise(ABORT, 'the head is never deleted'); END;

-- The last checkpoint that enough witnesses have cosigned, with their signatures.
CREATE TABLE ledger_witnessed (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    note TEXT NOT NULL
);

-- Messages between rooms: a row is undelivered; delivery deletes it.
CREATE TABLE ledger_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    concerns BLOB,
    payload TEXT NOT NULL
);
CREATE INDEX ledger_outbox_concerns ON ledger_outbox (concerns);
