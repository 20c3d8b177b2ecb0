//! Each room brings its own tables; the store runs what is new and refuses what does not fit.

use std::collections::BTreeMap;

use hpki::encoding::sha256;
use rusqlite::{Connection, params};

use crate::fault::{Failed, Fault};
use crate::refusal::Refusal;

/// One step of a room's tables. Once released its text never changes; the next step is a new one.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// The room; every table, index, trigger and view of it is named `room_…`.
    pub room: &'static str,
    /// 1, 2, 3 … within the room.
    pub number: u32,
    /// One or more statements.
    pub sql: &'static str,
}

const BOOK: &str = "CREATE TABLE IF NOT EXISTS ledger_migration (
    room TEXT NOT NULL, number INTEGER NOT NULL, sha256 BLOB NOT NULL, PRIMARY KEY (room, number)
) WITHOUT ROWID";

/// Brings the tables up to date, each migration in its own transaction.
pub(crate) fn run(
    connection: &mut Connection,
    own: &[Migration],
    rooms: &[Migration],
) -> Result<(), Failed<Refusal>> {
    connection.execute_batch(BOOK).map_err(Fault::from)?;
    if let Some(odd) = rooms.iter().find(|migration| migration.room == "ledger") {
        return Err(refused(Refusal::MigrationForeign, odd, "this name is the store's own"));
    }
    let mut expected: BTreeMap<&str, u32> = BTreeMap::new();
    for migration in own.iter().chain(rooms) {
        let next = expected.entry(migration.room).or_insert(0);
        *next += 1;
        if migration.number != *next {
            return Err(refused(Refusal::MigrationChanged, migration, "numbers leave a gap"));
        }
        apply(connection, migration)?;
    }
    for (room, last) in expected {
        let stored: u32 = connection
            .query_row(
                "SELECT coalesce(max(number), 0) FROM ledger_migration WHERE room = ?1",
                [room],
                |row| row.get(0),
            )
            .map_err(Fault::from)?;
        if stored > last {
            return Err(Failed::Refused(Refusal::StoreNewer(format!(
                "{room} has step {stored}, this program knows {last}"
            ))));
        }
    }
    Ok(())
}

fn refused(
    kind: impl FnOnce(String) -> Refusal,
    migration: &Migration,
    why: &str,
) -> Failed<Refusal> {
    Failed::Refused(kind(format!("{} {}: {why}", migration.room, migration.number)))
}

fn apply(connection: &mut Connection, migration: &Migration) -> Result<(), Failed<Refusal>> {
    let digest = sha256(migration.sql.as_bytes());
    let transaction = connection.transaction().map_err(Fault::from)?;
    let known: Option<Vec<u8>> = transaction
        .prepare("SELECT sha256 FROM ledger_migration WHERE room = ?1 AND number = ?2")
        .and_then(|mut statement| {
            let mut rows = statement.query(params![migration.room, migration.number])?;
            rows.next()?.map(|row| row.get(0)).transpose()
        })
        .map_err(Fault::from)?;
    match known {
        Some(known) if known == digest => return Ok(()),
        Some(_) => {
            return Err(refused(Refusal::MigrationChanged, migration, "its text has changed"));
        }
        None => {}
    }
    let before = schema(&transaction)?;
    transaction.execute_batch(migration.sql).map_err(Fault::from)?;
    let after = schema(&transaction)?;
    let prefix = format!("{}_", migration.room);
    let gone = before.iter().filter(|(object, sql)| after.get(*object) != Some(*sql));
    let new = after.iter().filter(|(object, sql)| before.get(*object) != Some(*sql));
    for ((name, table), _) in gone.chain(new) {
        // SQLite's own indexes (sqlite_autoindex_…) belong to the table they serve.
        let named = name.starts_with(&prefix) || name.starts_with("sqlite_");
        if !named || !(table.starts_with(&prefix) || table.starts_with("sqlite_")) {
            return Err(refused(
                Refusal::MigrationForeign,
                migration,
                &format!("{name} on {table} does not begin with {prefix}"),
            ));
        }
    }
    transaction
        .execute(
            "INSERT INTO ledger_migration (room, number, sha256) VALUES (?1, ?2, ?3)",
            params![migration.room, migration.number, digest.as_slice()],
        )
        .map_err(Fault::from)?;
    transaction.commit().map_err(Fault::from)?;
    Ok(())
}

type Schema = BTreeMap<(String, String), Option<String>>;

/// Everything that the database consists of: (name, table) → its SQL.
fn schema(connection: &Connection) -> Result<Schema, Fault> {
    let mut statement = connection.prepare("SELECT name, tbl_name, sql FROM sqlite_schema")?;
    let rows = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
