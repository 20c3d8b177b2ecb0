-- The last checkpoint that was found good, and the right edge of its tree (highest subtree first).
CREATE TABLE watch_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    note TEXT NOT NULL,
    edge BLOB NOT NULL
);
-- Every label seen, and where.
CREATE TABLE watch_label (
    label BLOB PRIMARY KEY,
    idx INTEGER NOT NULL
);
