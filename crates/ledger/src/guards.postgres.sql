-- The journal is only added to, whoever asks (PostgreSQL's words; guards.sqlite.sql says the same).
CREATE FUNCTION ledger_forbid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%', tg_argv[0] USING ERRCODE = 'integrity_constraint_violation'; END $$;

CREATE FUNCTION ledger_next() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.idx <> (SELECT coalesce(max(idx) + 1, 0) FROM ledger_entry) THEN
        RAISE EXCEPTION 'a journal entry takes the next index'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN new;
END $$;

CREATE TRIGGER ledger_entry_fixed BEFORE UPDATE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_forbid('a journal entry is never changed');
CREATE TRIGGER ledger_entry_kept BEFORE DELETE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_forbid('a journal entry is never deleted');
CREATE TRIGGER ledger_entry_whole BEFORE TRUNCATE ON ledger_entry
    EXECUTE FUNCTION ledger_forbid('a journal entry is never deleted');
CREATE TRIGGER ledger_entry_next BEFORE INSERT ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_next();

CREATE TRIGGER ledger_stream_grows BEFORE UPDATE ON ledger_stream
    FOR EACH ROW WHEN (new.stream <> old.stream OR new.seq <= old.seq OR new.idx <= old.idx)
    EXECUTE FUNCTION ledger_forbid('a stream only grows');
CREATE TRIGGER ledger_stream_kept BEFORE DELETE ON ledger_stream
    FOR EACH ROW EXECUTE FUNCTION ledger_forbid('a stream is never deleted');
CREATE TRIGGER ledger_stream_whole BEFORE TRUNCATE ON ledger_stream
    EXECUTE FUNCTION ledger_forbid('a stream is never deleted');

CREATE TRIGGER ledger_tile_grows BEFORE UPDATE ON ledger_tile
    FOR EACH ROW WHEN (new.level <> old.level OR new.idx <> old.idx
        OR length(new.hashes) <= length(old.hashes)
        OR substr(new.hashes, 1, length(old.hashes)) <> old.hashes)
    EXECUTE FUNCTION ledger_forbid('a tile only grows');
CREATE TRIGGER ledger_tile_kept BEFORE DELETE ON ledger_tile
    FOR EACH ROW EXECUTE FUNCTION ledger_forbid('a tile is never deleted');
CREATE TRIGGER ledger_tile_whole BEFORE TRUNCATE ON ledger_tile
    EXECUTE FUNCTION ledger_forbid('a tile is never deleted');

CREATE TRIGGER ledger_head_grows BEFORE UPDATE ON ledger_head
    FOR EACH ROW WHEN (new.size <= old.size OR new.log <> old.log)
    EXECUTE FUNCTION ledger_forbid('the journal only grows');
CREATE TRIGGER ledger_head_kept BEFORE DELETE ON ledger_head
    FOR EACH ROW EXECUTE FUNCTION ledger_forbid('the head is never deleted');
CREATE TRIGGER ledger_head_whole BEFORE TRUNCATE ON ledger_head
    EXECUTE FUNCTION ledger_forbid('the head is never deleted');
