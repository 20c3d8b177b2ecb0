-- A kept key. Every column is sealed but `seal`, `wrapped`, which the device tags itself, and
-- `not_after`, by which expired certificates are looked up: whether one has expired is asked of the
-- certificate itself before each signature.
CREATE TABLE custody_key (
    id BLOB NOT NULL PRIMARY KEY,
    owner BLOB NOT NULL,
    role TEXT NOT NULL,
    purpose TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    spki BLOB NOT NULL,
    wrapped BLOB NOT NULL,
    proof BLOB NOT NULL,
    created INTEGER NOT NULL,
    consent BLOB NOT NULL,
    origin TEXT NOT NULL,
    certificate BLOB,
    ended INTEGER,
    not_after INTEGER,
    seal BLOB NOT NULL
);
-- One kept key for each person and qualification ("no third key").
CREATE UNIQUE INDEX custody_key_one ON custody_key (owner, role) WHERE state <> 'destroyed';
CREATE INDEX custody_key_expiry ON custody_key (not_after) WHERE ended IS NULL;
CREATE INDEX custody_key_ended ON custody_key (ended) WHERE state = 'suspended';

-- Our own copy of a linked phone: its public key. Every column but `counter`, `seal`
-- and `leaf` (where the journal holds the linking) is sealed.
CREATE TABLE custody_binding (
    id BLOB NOT NULL PRIMARY KEY,
    person BLOB NOT NULL,
    kept BLOB NOT NULL,
    credential BLOB NOT NULL,
    public_key BLOB NOT NULL,
    evidence BLOB NOT NULL,
    linked INTEGER NOT NULL,
    ended INTEGER,
    counter INTEGER NOT NULL,
    seal BLOB NOT NULL,
    leaf INTEGER NOT NULL
);
CREATE UNIQUE INDEX custody_binding_key ON custody_binding (kept) WHERE ended IS NULL;
CREATE UNIQUE INDEX custody_binding_credential ON custody_binding (credential) WHERE ended IS NULL;

-- Our own copy of a linked My Number Card: its authentication certificate. All of it is sealed.
CREATE TABLE custody_card (
    id BLOB NOT NULL PRIMARY KEY,
    person BLOB NOT NULL,
    kept BLOB NOT NULL,
    certificate BLOB NOT NULL,
    evidence BLOB NOT NULL,
    linked INTEGER NOT NULL,
    ended INTEGER,
    seal BLOB NOT NULL
);
CREATE UNIQUE INDEX custody_card_key ON custody_card (kept) WHERE ended IS NULL;
CREATE UNIQUE INDEX custody_card_certificate ON custody_card (certificate) WHERE ended IS NULL;

-- HPKI cards whose revocation was delivered. A row takes power away only: it needs no seal.
CREATE TABLE custody_ended_card (
    id BLOB NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL
);

-- What one approval allows; all of it is sealed.
CREATE TABLE custody_budget (
    id BLOB NOT NULL PRIMARY KEY,
    grant_hash BLOB NOT NULL UNIQUE,
    person BLOB NOT NULL,
    kept BLOB NOT NULL,
    binding BLOB NOT NULL,
    facility TEXT NOT NULL,
    x5t BLOB NOT NULL,
    kinds TEXT NOT NULL,
    count INTEGER NOT NULL,
    hourly INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    until INTEGER NOT NULL,
    evidence_hash BLOB NOT NULL,
    evidence TEXT NOT NULL,
    ended INTEGER,
    seal BLOB NOT NULL
);
-- What is left of it. Apart, because it changes with each signature: many of these small rows lie
-- on one page, and the grant with its evidence is not written again.
CREATE TABLE custody_counter (
    budget BLOB NOT NULL PRIMARY KEY,
    remaining INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    hour_used INTEGER NOT NULL
);
-- What a facility has drawn in this hour is added up once, when the process meets it.
CREATE INDEX custody_budget_facility ON custody_budget (facility, until);
CREATE INDEX custody_budget_open ON custody_budget (kept, until) WHERE ended IS NULL;

-- One occurrence of one hash to be signed, and the order that asks for it.
-- Rows lie in the order in which they came, so that a group of them shares pages whatever their
-- facilities and numbers are.
-- authorised → reserved → consumed | released | failed; authorised → expired; released → reserved
-- (a retry within ten minutes). What is drawn from a session's budget begins as reserved.
-- `size` is 0 for a document that was asked for alone, else how many items the order has.
-- `prepared` names the approval of exactly these documents; without it, `budget` was drawn.
CREATE TABLE custody_activation (
    facility TEXT NOT NULL,
    number BLOB NOT NULL,
    request BLOB NOT NULL,
    id BLOB NOT NULL,
    budget BLOB NOT NULL,
    bearer BLOB NOT NULL,
    kept BLOB NOT NULL,
    kind TEXT NOT NULL,
    digest BLOB NOT NULL,
    dtbsr BLOB NOT NULL,
    signing_time INTEGER NOT NULL,
    mark BLOB NOT NULL,
    state TEXT NOT NULL,
    holder BLOB NOT NULL,
    lease INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    intention INTEGER NOT NULL,
    outcome INTEGER,
    consumed INTEGER,
    -- Octets of the signature's length keep its place from the beginning: a row that grew at the
    -- outcome would have to move. What stands here counts only where the state is consumed.
    signature BLOB NOT NULL,
    item INTEGER NOT NULL,
    size INTEGER NOT NULL,
    prepared BLOB,
    expires INTEGER,
    PRIMARY KEY (facility, number, item)
);
CREATE INDEX custody_activation_open ON custody_activation (lease) WHERE state = 'reserved';
-- Nothing of this for what is drawn from a budget: those are counted there.
CREATE INDEX custody_activation_approved ON custody_activation (facility, reserved)
    WHERE prepared IS NOT NULL;
CREATE INDEX custody_activation_waiting ON custody_activation (expires) WHERE state = 'authorised';

-- A person with an office in running the platform. Every column but `seal` is sealed.
CREATE TABLE custody_officer (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    public_key BLOB NOT NULL,
    enrolled INTEGER NOT NULL,
    dismissed INTEGER,
    seal BLOB NOT NULL
);
CREATE UNIQUE INDEX custody_officer_key ON custody_officer (public_key) WHERE dismissed IS NULL;

-- What officers decide together. Every column but `seal` is sealed.
CREATE TABLE custody_directive (
    id BLOB NOT NULL PRIMARY KEY,
    act TEXT NOT NULL,
    body TEXT NOT NULL,
    opened INTEGER NOT NULL,
    until INTEGER NOT NULL,
    confirmations TEXT NOT NULL,
    closed INTEGER,
    outcome TEXT NOT NULL,
    seal BLOB NOT NULL
);
CREATE INDEX custody_directive_open ON custody_directive (opened) WHERE closed IS NULL;

-- What is handed out about a key's end or arrival, word for word; the journal entry `idx` has its
-- hash.
CREATE TABLE custody_paper (
    kept BLOB NOT NULL,
    what TEXT NOT NULL,
    words TEXT NOT NULL,
    idx INTEGER NOT NULL,
    PRIMARY KEY (kept, what)
);

-- Keys made ahead, which are nobody's yet. Every column but `seal` is sealed.
CREATE TABLE custody_pool (
    place BLOB NOT NULL PRIMARY KEY,
    spki BLOB NOT NULL,
    wrapped BLOB NOT NULL,
    made INTEGER NOT NULL,
    seal BLOB NOT NULL
);

-- Something unusual that a person should look at; the same about the same key once an hour.
CREATE TABLE custody_alarm (
    kind TEXT NOT NULL,
    concerned BLOB NOT NULL,
    hour INTEGER NOT NULL,
    kept BLOB,
    words TEXT NOT NULL,
    raised INTEGER NOT NULL,
    PRIMARY KEY (kind, concerned, hour)
);
CREATE INDEX custody_alarm_raised ON custody_alarm (raised);

-- Documents as they will be signed, waiting for their owner's approval or approved. All is sealed.
CREATE TABLE custody_prepared (
    id BLOB NOT NULL PRIMARY KEY,
    facility TEXT NOT NULL,
    x5t BLOB NOT NULL,
    person BLOB NOT NULL,
    kept BLOB NOT NULL,
    budget BLOB NOT NULL,
    documents BLOB NOT NULL,
    root BLOB NOT NULL,
    created INTEGER NOT NULL,
    until INTEGER NOT NULL,
    approved INTEGER,
    binding BLOB,
    evidence_hash BLOB,
    evidence TEXT,
    seal BLOB NOT NULL
);
CREATE INDEX custody_prepared_waiting ON custody_prepared (budget, until) WHERE approved IS NULL;
CREATE INDEX custody_prepared_old ON custody_prepared (until) WHERE approved IS NULL;

-- What owners decided about their keys on their phones (stop, restart, another phone), by the hash of
-- what they approved: each is carried out once. Kept with the journal, whose entry (leaf) commits to
-- the evidence.
CREATE TABLE custody_decision (
    approval BLOB NOT NULL PRIMARY KEY,
    kept BLOB NOT NULL,
    what TEXT NOT NULL,
    decided INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    leaf INTEGER NOT NULL
);

-- Our own copy of the passkey of an officer of the authority's desk. Every column but `counter` and
-- `seal` is sealed.
CREATE TABLE custody_desk_officer (
    id BLOB NOT NULL PRIMARY KEY,
    public_key BLOB NOT NULL,
    evidence BLOB NOT NULL,
    enrolled INTEGER NOT NULL,
    dismissed INTEGER,
    counter INTEGER NOT NULL,
    seal BLOB NOT NULL
);

-- What officers of the desk decided about keys: each order is carried out once. Kept with the
-- journal, whose entry (leaf) commits to the evidence; without one, the key was so already.
CREATE TABLE custody_desk_act (
    id BLOB NOT NULL PRIMARY KEY,
    kept BLOB NOT NULL,
    act TEXT NOT NULL,
    carried INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    leaf INTEGER
);

-- Signature activation data (SAD), by SHA-256. `remaining` and `ended` are not sealed.
CREATE TABLE custody_sad (
    hash BLOB NOT NULL PRIMARY KEY,
    prepared BLOB,
    budget BLOB NOT NULL,
    facility TEXT NOT NULL,
    x5t BLOB NOT NULL,
    person BLOB NOT NULL,
    kept BLOB NOT NULL,
    kind TEXT NOT NULL,
    hashes BLOB,
    count INTEGER NOT NULL,
    minted INTEGER NOT NULL,
    until INTEGER NOT NULL,
    seal BLOB NOT NULL,
    remaining INTEGER NOT NULL,
    ended INTEGER
);
CREATE INDEX custody_sad_prepared ON custody_sad (prepared) WHERE prepared IS NOT NULL;
CREATE INDEX custody_sad_until ON custody_sad (until);

-- Signatures that were asked for by a program that fetches them later. What was asked is sealed; the
-- signatures are in the activations (number, items). `told` is not sealed.
CREATE TABLE custody_request (
    id BLOB NOT NULL PRIMARY KEY,
    prepared BLOB,
    budget BLOB NOT NULL,
    facility TEXT NOT NULL,
    x5t BLOB NOT NULL,
    person BLOB NOT NULL,
    kept BLOB NOT NULL,
    kind TEXT NOT NULL,
    number BLOB NOT NULL,
    wanted BLOB NOT NULL,
    made INTEGER NOT NULL,
    until INTEGER NOT NULL,
    notify TEXT,
    seal BLOB NOT NULL,
    told INTEGER
);
CREATE INDEX custody_request_until ON custody_request (until);
CREATE INDEX custody_request_notify ON custody_request (until) WHERE notify IS NOT NULL AND told IS NULL;
