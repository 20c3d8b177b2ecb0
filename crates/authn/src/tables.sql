-- A sheet (初期登録用 QR). Its secret stands here as SHA-256 only, the birth date as a keyed hash
-- only. `seal` covers everything but state and tries.
CREATE TABLE authn_sheet (
    id BLOB PRIMARY KEY,
    person BLOB NOT NULL,
    key BLOB NOT NULL,
    display_id TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    birth BLOB NOT NULL,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    seal BLOB NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL,
    by_card INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX authn_sheet_key ON authn_sheet (key);

-- A sitting of a phone that proved the sheet's secret. Named by the SHA-256 of its id.
CREATE TABLE authn_sitting (
    hash BLOB PRIMARY KEY,
    sheet BLOB NOT NULL,
    until INTEGER NOT NULL,
    nonce BLOB NOT NULL,
    user_handle BLOB NOT NULL,
    proven INTEGER NOT NULL,
    ended INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX authn_sitting_sheet ON authn_sitting (sheet);

-- A phone linked to a person and key. `seal` covers everything but the two counters and `leaf`,
-- where the journal says so (which proves itself).
CREATE TABLE authn_binding (
    id BLOB PRIMARY KEY,
    person BLOB NOT NULL,
    key BLOB NOT NULL,
    display_id TEXT NOT NULL,
    label TEXT NOT NULL,
    credential_id BLOB NOT NULL UNIQUE,
    credential TEXT NOT NULL,
    device_hash BLOB NOT NULL UNIQUE,
    linked INTEGER NOT NULL,
    state TEXT NOT NULL,
    seal BLOB NOT NULL,
    sign_count INTEGER NOT NULL,
    backup_state INTEGER NOT NULL,
    leaf INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX authn_binding_live ON authn_binding (key) WHERE state = 'live';

-- A My Number Card linked to a person and key. `seal` covers everything but `told` (whether its holder
-- was told that it runs out) and `leaf`, where the journal says so (which proves itself).
CREATE TABLE authn_card (
    id BLOB PRIMARY KEY,
    person BLOB NOT NULL,
    key BLOB NOT NULL,
    certificate BLOB NOT NULL,
    commitment BLOB NOT NULL,
    expires INTEGER NOT NULL,
    linked INTEGER NOT NULL,
    ended INTEGER,
    seal BLOB NOT NULL,
    told INTEGER NOT NULL,
    looked INTEGER NOT NULL,
    leaf INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX authn_card_looked ON authn_card (looked, id) WHERE ended IS NULL;
CREATE UNIQUE INDEX authn_card_key ON authn_card (key) WHERE ended IS NULL;
CREATE UNIQUE INDEX authn_card_commitment ON authn_card (commitment) WHERE ended IS NULL;
CREATE INDEX authn_card_expiry ON authn_card (expires) WHERE ended IS NULL AND told = 0;

-- What a person approved, kept for as long as the signatures it allowed.
CREATE TABLE authn_approval (
    ceremony BLOB PRIMARY KEY,
    person BLOB NOT NULL,
    key BLOB NOT NULL,
    facility TEXT NOT NULL,
    approved INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    number_asked INTEGER NOT NULL,
    number_typed INTEGER,
    state TEXT NOT NULL
) WITHOUT ROWID;

-- A session: one token, which stands here as SHA-256 only.
CREATE TABLE authn_session (
    id BLOB PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE,
    ceremony BLOB NOT NULL UNIQUE,
    person BLOB NOT NULL,
    key BLOB NOT NULL,
    facility TEXT NOT NULL,
    facility_name TEXT NOT NULL,
    terminal TEXT NOT NULL,
    x5t BLOB NOT NULL,
    budget BLOB NOT NULL,
    kinds TEXT NOT NULL,
    count INTEGER NOT NULL,
    auth_time INTEGER NOT NULL,
    until INTEGER NOT NULL,
    means TEXT NOT NULL,
    released INTEGER,
    ended INTEGER
) WITHOUT ROWID;
CREATE INDEX authn_session_person ON authn_session (person, facility);
CREATE INDEX authn_session_key ON authn_session (key);

-- An invitation to become an officer of the authority's desk. Its secret stands here as SHA-256
-- only. `seal` covers everything but `used`.
CREATE TABLE authn_invitation (
    id BLOB PRIMARY KEY,
    officer BLOB NOT NULL,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    nonce BLOB NOT NULL,
    user_handle BLOB NOT NULL,
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    seal BLOB NOT NULL,
    used INTEGER
) WITHOUT ROWID;

-- An officer of the desk and the passkey with which she acts. `seal` covers everything but the
-- counter and the backup state.
CREATE TABLE authn_officer (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    credential_id BLOB NOT NULL UNIQUE,
    credential TEXT NOT NULL,
    enrolled INTEGER NOT NULL,
    dismissed INTEGER,
    seal BLOB NOT NULL,
    sign_count INTEGER NOT NULL,
    backup_state INTEGER NOT NULL
) WITHOUT ROWID;

-- What the desk decides: opened by one officer, and confirmed by another where it takes two. With
-- the evidence of each, for as long as the journal. All of it is sealed.
CREATE TABLE authn_desk_order (
    id BLOB PRIMARY KEY,
    act TEXT NOT NULL,
    person BLOB NOT NULL,
    key BLOB NOT NULL,
    reason TEXT NOT NULL,
    opened INTEGER NOT NULL,
    until INTEGER NOT NULL,
    approvals TEXT NOT NULL,
    closed INTEGER,
    outcome TEXT NOT NULL,
    seal BLOB NOT NULL,
    session BLOB
) WITHOUT ROWID;
CREATE INDEX authn_desk_order_open ON authn_desk_order (opened) WHERE closed IS NULL;
CREATE INDEX authn_desk_order_key ON authn_desk_order (key, opened);
CREATE INDEX authn_sheet_display ON authn_sheet (display_id);

-- A visit to the owner's page, by the SHA-256 of its cookie; `evidence` is what her passkey or card
-- signed, which the journal has the hash of. It lasts as long as its phone or card is hers and she is
-- not quiet.
CREATE TABLE authn_visit (
    hash BLOB PRIMARY KEY,
    means TEXT NOT NULL,
    binding BLOB NOT NULL,
    person BLOB NOT NULL,
    key BLOB NOT NULL,
    begun INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    evidence TEXT NOT NULL
) WITHOUT ROWID;

-- What the owner of a key is told, numbered from 1; `source` is the hash of the message that told us.
CREATE TABLE authn_notice (
    key BLOB NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    seen INTEGER NOT NULL,
    source BLOB UNIQUE,
    PRIMARY KEY (key, number)
) WITHOUT ROWID;

-- What owners decided here (linking, loss, dispute, another phone), by the hash of what they approved. Kept
-- with the journal, whose entry (leaf) commits to the evidence.
CREATE TABLE authn_decision (
    approval BLOB PRIMARY KEY,
    key BLOB NOT NULL,
    what TEXT NOT NULL,
    decided INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    leaf INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX authn_decision_key ON authn_decision (key, what, leaf);

-- Entries of the journal that the owner of the key disowned.
CREATE TABLE authn_dispute (
    key BLOB NOT NULL,
    idx INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (key, idx)
) WITHOUT ROWID;
