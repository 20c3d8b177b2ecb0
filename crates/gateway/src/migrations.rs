//! The gateway's tables.

use ledger::Migration;

/// To be handed to [`ledger::Store::open`].
pub const MIGRATIONS: &[Migration] = &[Migration {
    room: "gateway",
    number: 1,
    sql: "
CREATE TABLE gateway_order (
    number    BLOB PRIMARY KEY,
    staff     TEXT NOT NULL,
    person    BLOB NOT NULL,
    key       BLOB NOT NULL,
    kind      TEXT NOT NULL,
    digest    BLOB NOT NULL,
    created   INTEGER NOT NULL,
    state     TEXT NOT NULL,      -- open, waiting (for its owner's approval), done, refused
    code      TEXT,               -- why it was refused
    document  BLOB,               -- sealed: to be signed while open, signed once done
    approval  BLOB,               -- the ceremony, where the owner approves each document
    batch     BLOB,               -- the EHR's number for several, where it asked for several
    item      INTEGER,            -- its place among those approved, or asked for, together
    evidence  TEXT                -- of that approval, kept with the document
) WITHOUT ROWID;
CREATE INDEX gateway_order_state ON gateway_order (state, created);
CREATE INDEX gateway_order_digest ON gateway_order (staff, digest);
CREATE INDEX gateway_order_approval ON gateway_order (approval);
CREATE INDEX gateway_order_batch ON gateway_order (batch, item);
-- What the EHR asked for under a number of its own: the same number again is the same request.
CREATE TABLE gateway_batch (
    number    BLOB PRIMARY KEY,
    request   BLOB NOT NULL
) WITHOUT ROWID;
-- What was asked of an owner: computed here, to be compared with what her phone signs.
CREATE TABLE gateway_approval (
    ceremony  BLOB NOT NULL PRIMARY KEY,
    staff     TEXT NOT NULL,
    terminal  TEXT NOT NULL,
    person    BLOB NOT NULL,
    kept      BLOB NOT NULL,
    kinds     TEXT NOT NULL,
    documents INTEGER NOT NULL,
    root      BLOB NOT NULL,
    not_after INTEGER NOT NULL,
    began     INTEGER NOT NULL
);
CREATE TABLE gateway_shelf (
    staff     TEXT PRIMARY KEY,
    person    BLOB NOT NULL,
    jti       BLOB NOT NULL,
    until     INTEGER NOT NULL,
    sealed    BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE gateway_binding (
    staff     TEXT PRIMARY KEY,
    person    BLOB NOT NULL UNIQUE,
    since     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE gateway_ceremony (
    ceremony  BLOB PRIMARY KEY,
    staff     TEXT NOT NULL,
    terminal  TEXT NOT NULL,
    began     INTEGER NOT NULL
) WITHOUT ROWID;
-- Documents to be signed with a card in a reader of this host.
CREATE TABLE gateway_card_order (
    number      BLOB PRIMARY KEY,
    staff       TEXT NOT NULL,
    kind        TEXT NOT NULL,
    digest      BLOB NOT NULL,
    created     INTEGER NOT NULL,
    reader      TEXT NOT NULL,
    certificate BLOB NOT NULL,    -- SHA-256 of the one on the card that was shown
    state       TEXT NOT NULL,    -- waiting (for the PIN), signing, done, refused
    code        TEXT,             -- why it was refused, or not signed last time
    document    BLOB,             -- sealed: to be signed until then, signed once done
    intention   INTEGER,          -- while signing: its place in the facility's own journal,
    key         BLOB,             -- and what it says
    dtbsr       BLOB,
    begun       INTEGER
) WITHOUT ROWID;
CREATE INDEX gateway_card_order_state ON gateway_card_order (state, created);
-- Whose card signs for which staff ID, where the staff list does not say.
CREATE TABLE gateway_card (
    staff     TEXT PRIMARY KEY,
    holder    BLOB NOT NULL UNIQUE,
    since     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE gateway_checkpoint (
    origin    TEXT PRIMARY KEY,
    size      INTEGER NOT NULL,
    root      BLOB NOT NULL,
    note      TEXT NOT NULL
) WITHOUT ROWID;
-- Two signed checkpoints that contradict each other are evidence against whoever signed both.
CREATE TABLE gateway_fork (
    size      INTEGER NOT NULL,
    root      BLOB NOT NULL,
    note      TEXT NOT NULL,
    known     TEXT NOT NULL,
    seen      INTEGER NOT NULL,
    PRIMARY KEY (size, root)
) WITHOUT ROWID;
",
}];
