-- The journal. Entries are for ever; salt and opening may be destroyed after their retention.
CREATE TABLE ledger_entry (
    idx INTEGER PRIMARY KEY,
    entry BLOB NOT NULL CHECK (length(entry) = 65),
    -- The entry before it in its stream: a stream is read backwards from its row below.
    before INTEGER,
    salt BLOB NOT NULL,
    opening BLOB NOT NULL
);

-- Where each stream stands. An index over all entries would say the same, but would grow with the
-- entries and be written at random places; this grows with the keys.
CREATE TABLE ledger_stream (
    stream BLOB PRIMARY KEY,
    seq INTEGER NOT NULL,
    idx INTEGER NOT NULL
) WITHOUT ROWID;

-- Hashes of the tree, 256 to a tile (C2SP tlog-tiles): level 0 when full, higher levels as they grow.
CREATE TABLE ledger_tile (
    level INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (level, idx)
) WITHOUT ROWID;

-- The head of the tree; the signed one is kept outside as well.
CREATE TABLE ledger_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    log TEXT NOT NULL
);

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
