-- The authorities. A row stands before its key is generated, so that a stray key is noticed.
CREATE TABLE ca_authority (
    name TEXT PRIMARY KEY,
    stream BLOB NOT NULL,
    spki BLOB,
    certificate BLOB,
    revoked INTEGER NOT NULL DEFAULT 0,
    next_serial INTEGER NOT NULL DEFAULT 1,
    next_list INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;

-- What was prepared to be signed as a certificate, and what became of it:
-- prepared → issued → revoked, or prepared → interrupted.
CREATE TABLE ca_certificate (
    authority TEXT NOT NULL,
    serial BLOB NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('prepared', 'issued', 'revoked', 'interrupted')),
    profile TEXT NOT NULL,
    tbs BLOB NOT NULL,
    der BLOB,
    order_hash BLOB NOT NULL,
    key BLOB,
    person BLOB,
    makes TEXT,
    not_after INTEGER NOT NULL,
    journal_floor INTEGER NOT NULL,
    revoked_at INTEGER,
    reason INTEGER,
    PRIMARY KEY (authority, serial)
) WITHOUT ROWID;
CREATE INDEX ca_certificate_order ON ca_certificate (order_hash);
CREATE UNIQUE INDEX ca_certificate_key ON ca_certificate (key)
    WHERE key IS NOT NULL AND status <> 'interrupted';
CREATE INDEX ca_certificate_person ON ca_certificate (person) WHERE person IS NOT NULL;
CREATE INDEX ca_certificate_card ON ca_certificate (serial)
    WHERE key IS NULL AND person IS NOT NULL;
CREATE INDEX ca_certificate_open ON ca_certificate (status) WHERE status = 'prepared';

-- The same for revocation lists: prepared → issued, or prepared → interrupted.
CREATE TABLE ca_list (
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    authority TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('prepared', 'issued', 'interrupted')),
    profile TEXT NOT NULL,
    tbs BLOB NOT NULL,
    der BLOB,
    journal_floor INTEGER NOT NULL,
    PRIMARY KEY (name, number)
) WITHOUT ROWID;
CREATE INDEX ca_list_open ON ca_list (status) WHERE status = 'prepared';

-- What a person's card shows beside her certificate: her name in kanji and her photograph, as the
-- registration filed them. The newest counts; the journal has the digest of each.
CREATE TABLE ca_face (
    person BLOB NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    photo BLOB,
    format TEXT NOT NULL,
    digest BLOB NOT NULL,
    filed INTEGER NOT NULL,
    PRIMARY KEY (person, number)
) WITHOUT ROWID;

-- The transcript of the one key ceremony.
CREATE TABLE ca_ceremony (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    plan TEXT NOT NULL,
    begun INTEGER NOT NULL,
    transcript TEXT
);
