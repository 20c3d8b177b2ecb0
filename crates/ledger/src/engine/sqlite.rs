//! SQLite: one file in the store's folder, one process.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, OpenFlags, Transaction};

use super::Connection;
use super::schema::Objects;
use crate::fault::{Failed, Fault};
use crate::refusal::Refusal;
use crate::value::{Row, Value};

/// The database file in the store's folder.
pub(crate) const DATABASE: &str = "store.sqlite";
/// Pages (4 KiB) of write-ahead log before it is copied back: a page that changes with every
/// commit is copied once for all of them.
const LOG_PAGES: i64 = 2000;
/// Prepared statements kept by each connection.
const STATEMENTS_MAX: usize = 512;

pub(crate) struct Sqlite(rusqlite::Connection);

/// A connection that keeps its promises, or none.
pub(crate) fn connect(folder: &Path) -> Result<Connection, Failed<Refusal>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        rusqlite::Connection::open_with_flags(folder.join(DATABASE), flags).map_err(Fault::from)?;
    let set = || -> rusqlite::Result<(String, i64)> {
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // REPLACE deletes; with this, it meets the triggers that forbid deleting.
        connection.pragma_update(None, "recursive_triggers", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cache_size", -32_768)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        let level = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
        Ok((mode, level))
    };
    let (mode, level) = set().map_err(Fault::from)?;
    if mode != "wal" || level != 2 {
        return Err(Failed::Refused(Refusal::StoreNotDurable(format!(
            "journal_mode is {mode}, synchronous is {level}"
        ))));
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(Connection::Sqlite(Sqlite(connection)))
}

/// A connection that can only read.
pub(crate) fn connect_reader(folder: &Path) -> Result<Connection, Failed<Refusal>> {
    let connection = connect(folder)?;
    if let Connection::Sqlite(Sqlite(plain)) = &connection {
        plain.pragma_update(None, "query_only", true).map_err(Fault::from)?;
    }
    Ok(connection)
}

/// A connection through which nothing at all can be changed.
pub(crate) fn connect_read_only(folder: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(folder.join(DATABASE), flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(Connection::Sqlite(Sqlite(connection)))
}

/// A connection for an auditor: the file must be there, and may be in use.
pub(crate) fn connect_auditor(folder: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(folder.join(DATABASE), flags)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(Connection::Sqlite(Sqlite(connection)))
}

impl Sqlite {
    pub(super) fn exec(&self, sql: &str, values: &[Value]) -> Result<u64, Fault> {
        Ok(self.prepare(sql, values)?.raw_execute()? as u64)
    }

    pub(super) fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Fault> {
        let mut statement = self.prepare(sql, values)?;
        let columns = statement.column_count();
        let mut found = Vec::new();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let mut values = Vec::with_capacity(columns);
            for column in 0..columns {
                values.push(match row.get_ref(column)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(number) => Value::Int(number),
                    // Only whoever writes past this program stores such text: whoever asks for
                    // text is told that it is none, and an audit sees the octets.
                    ValueRef::Text(text) => match std::str::from_utf8(text) {
                        Ok(text) => Value::Text(text.to_owned()),
                        Err(_) => Value::Blob(text.to_vec()),
                    },
                    ValueRef::Blob(octets) => Value::Blob(octets.to_vec()),
                    ValueRef::Real(_) => {
                        return Err(Fault::Row("a fraction, which no room stores".into()));
                    }
                });
            }
            found.push(Row(values));
        }
        Ok(found)
    }

    /// The cached statement with its values bound.
    ///
    /// SQLite numbers `$2` by where it first appears, not by its digits, so each is bound by name.
    fn prepare(&self, sql: &str, values: &[Value]) -> Result<CachedStatement<'_>, Fault> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut used = 0_usize;
        for place in 1..=statement.parameter_count() {
            let number = statement
                .parameter_name(place)
                .and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok())
                .filter(|number| *number >= 1);
            let number = number
                .ok_or_else(|| Fault::Misuse(format!("a placeholder is not $1, $2 …: {sql}")))?;
            let value = values
                .get(number - 1)
                .ok_or_else(|| Fault::Misuse(format!("no value for ${number}: {sql}")))?;
            used = used.max(number);
            match value {
                Value::Null => statement.raw_bind_parameter(place, rusqlite::types::Null)?,
                Value::Int(number) => statement.raw_bind_parameter(place, number)?,
                Value::Text(text) => statement.raw_bind_parameter(place, text)?,
                Value::Blob(octets) => statement.raw_bind_parameter(place, octets)?,
            }
        }
        if used != values.len() {
            return Err(Fault::Misuse(format!("{} values for ${used}: {sql}", values.len())));
        }
        Ok(statement)
    }

    pub(super) fn control(&self, sql: &str) -> Result<(), Fault> {
        self.0.prepare_cached(sql)?.raw_execute()?;
        Ok(())
    }

    pub(super) fn changes(&self) -> u64 {
        self.0.total_changes()
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_autocommit()
    }

    pub(super) fn roll_back(&self) -> Result<(), Fault> {
        if self.0.is_autocommit() { Ok(()) } else { self.control("ROLLBACK") }
    }

    pub(super) fn snapshot(&self) -> Result<Transaction<'_>, Fault> {
        Ok(self.0.unchecked_transaction()?)
    }

    pub(super) fn is_sound(&self) -> Result<bool, Fault> {
        let rows = self.query("PRAGMA integrity_check(1)", &[])?;
        Ok(rows.first().map(|row| row.text(0)).transpose()? == Some("ok"))
    }

    /// Several statements at once: a migration.
    pub(super) fn batch(&self, sql: &str) -> Result<(), Fault> {
        Ok(self.0.execute_batch(sql)?)
    }

    /// Everything that the database consists of.
    pub(super) fn objects(&self) -> Result<Objects, Fault> {
        let mut statement = self.0.prepare("SELECT name, tbl_name, sql FROM sqlite_schema")?;
        let rows = statement.query_map([], |row| {
            let sql: Option<String> = row.get(2)?;
            Ok(((row.get(0)?, row.get(1)?), sql.unwrap_or_default()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
