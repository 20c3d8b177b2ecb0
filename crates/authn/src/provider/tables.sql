-- A login through a browser, from the client's request until its code: what was asked, which browser
-- opened it, and what the owner approved. Kept with the approval; without one, until it can go on no more.
CREATE TABLE authn_login (
    id BLOB PRIMARY KEY,
    client TEXT NOT NULL,
    asked TEXT NOT NULL,
    uri_hash BLOB NOT NULL UNIQUE,
    made INTEGER NOT NULL,
    step TEXT NOT NULL,
    opened INTEGER,
    browser BLOB,
    secret_hash BLOB,
    shown INTEGER,
    ceremony BLOB,
    binding BLOB,
    claimed INTEGER,
    statement TEXT,
    here INTEGER,
    approved INTEGER,
    evidence TEXT,
    digits TEXT,
    tries INTEGER NOT NULL,
    typed INTEGER,
    wrong TEXT,
    hardware INTEGER NOT NULL DEFAULT 0,
    key BLOB,
    hint BLOB
) WITHOUT ROWID;
CREATE INDEX authn_login_idle ON authn_login (made) WHERE evidence IS NULL;
CREATE INDEX authn_login_hint ON authn_login (hint) WHERE hint IS NOT NULL;
CREATE INDEX authn_login_key ON authn_login (key);

-- A code, by its SHA-256; redeemed once. `session` is the signing session that was made from it.
CREATE TABLE authn_code (
    hash BLOB PRIMARY KEY,
    login BLOB NOT NULL UNIQUE,
    issued INTEGER NOT NULL,
    spent INTEGER,
    session BLOB,
    replayed INTEGER
) WITHOUT ROWID;
CREATE INDEX authn_code_issued ON authn_code (issued);

-- An access token for userinfo, by its SHA-256.
CREATE TABLE authn_access (
    hash BLOB PRIMARY KEY,
    id BLOB NOT NULL,
    code BLOB NOT NULL,
    client TEXT NOT NULL,
    person BLOB NOT NULL,
    key BLOB NOT NULL,
    scopes TEXT NOT NULL,
    x5t BLOB,
    hardware INTEGER NOT NULL,
    means TEXT NOT NULL,
    auth_time INTEGER NOT NULL,
    made INTEGER NOT NULL,
    until INTEGER NOT NULL,
    ended INTEGER
) WITHOUT ROWID;
CREATE INDEX authn_access_code ON authn_access (code);
CREATE INDEX authn_access_until ON authn_access (until);
CREATE INDEX authn_access_client ON authn_access (key, client);

-- What the owner of a key lets a service know; the last time she approved it.
CREATE TABLE authn_consent (
    key BLOB NOT NULL,
    client TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    given INTEGER NOT NULL,
    last INTEGER NOT NULL,
    ended INTEGER,
    PRIMARY KEY (key, client)
) WITHOUT ROWID;

-- Names of client assertions that were used, by their hash, until they would not count any more.
CREATE TABLE authn_assertion (
    hash BLOB PRIMARY KEY,
    until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX authn_assertion_until ON authn_assertion (until);

-- Since when each key that signs tokens is published, signs, and does not sign any more. The wrapped
-- key is for other processes over the same database and device key, until it rests.
CREATE TABLE authn_token_key (
    kid TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    published INTEGER NOT NULL,
    signs INTEGER,
    rested INTEGER,
    wrapped BLOB
) WITHOUT ROWID;
