-- The last checkpoint of each log that this witness has cosigned.
CREATE TABLE witness_log (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note TEXT NOT NULL
);
