-- The journal is only added to, whoever asks (SQLite's words; guards.postgres.sql says the same).
CREATE TRIGGER ledger_entry_fixed BEFORE UPDATE ON ledger_entry
BEGIN SELECT raise(ABORT, 'a journal entry is never changed'); END;
CREATE TRIGGER ledger_entry_kept BEFORE DELETE ON ledger_entry
BEGIN SELECT raise(ABORT, 'a journal entry is never deleted'); END;
CREATE TRIGGER ledger_entry_next BEFORE INSERT ON ledger_entry
WHEN new.idx <> (SELECT coalesce(max(idx) + 1, 0) FROM ledger_entry)
BEGIN SELECT raise(ABORT, 'a journal entry takes the next index'); END;
CREATE TRIGGER ledger_stream_grows BEFORE UPDATE ON ledger_stream
WHEN new.stream <> old.stream OR new.seq <= old.seq OR new.idx <= old.idx
BEGIN SELECT raise(ABORT, 'a stream only grows'); END;
CREATE TRIGGER ledger_stream_kept BEFORE DELETE ON ledger_stream
BEGIN SELECT raise(ABORT, 'a stream is never deleted'); END;
CREATE TRIGGER ledger_tile_grows BEFORE UPDATE ON ledger_tile
WHEN new.level <> old.level OR new.idx <> old.idx
    OR length(new.hashes) <= length(old.hashes)
    OR substr(new.hashes, 1, length(old.hashes)) <> old.hashes
BEGIN SELECT raise(ABORT, 'a tile only grows'); END;
CREATE TRIGGER ledger_tile_kept BEFORE DELETE ON ledger_tile
BEGIN SELECT raise(ABORT, 'a tile is never deleted'); END;
CREATE TRIGGER ledger_head_grows BEFORE UPDATE ON ledger_head
WHEN new.size <= old.size OR new.log <> old.log
BEGIN SELECT raise(ABORT, 'the journal only grows'); END;
CREATE TRIGGER ledger_head_kept BEFORE DELETE ON ledger_head
BEGIN SELECT raise(ABORT, 'the head is never deleted'); END;
