//! Each room brings its own tables; the store runs what is new and refuses what does not fit.

use std::collections::BTreeMap;

use hpki::encoding::sha256;

use crate::engine::Connection;
use crate::fault::Failed;
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
    connection: &Connection,
    own: &[Migration],
    rooms: &[Migration],
) -> Result<(), Failed<Refusal>> {
    connection.prepare_migrations()?;
    connection.alone(|| connection.migrate(BOOK))?;
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
        connection.alone(|| apply(connection, migration))?;
    }
    for (room, last) in expected {
        let sql = "SELECT coalesce(max(number), 0) FROM ledger_migration WHERE room = $1";
        let rows = connection.query(sql, &[room.into()])?;
        let stored = rows.first().map_or(Ok(0), |row| row.number(0))?;
        if stored > last.into() {
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

fn apply(connection: &Connection, migration: &Migration) -> Result<(), Failed<Refusal>> {
    let digest = sha256(migration.sql.as_bytes());
    let (room, number) = (migration.room, migration.number);
    let known = connection.query(
        "SELECT sha256 FROM ledger_migration WHERE room = $1 AND number = $2",
        &[room.into(), number.into()],
    )?;
    match known.first() {
        Some(known) if known.blob(0)? == digest => return Ok(()),
        Some(_) => {
            return Err(refused(Refusal::MigrationChanged, migration, "its text has changed"));
        }
        None => {}
    }
    let before = connection.objects()?;
    connection.migrate(migration.sql)?;
    let after = connection.objects()?;
    let prefix = format!("{room}_");
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
    connection.exec(
        "INSERT INTO ledger_migration (room, number, sha256) VALUES ($1, $2, $3)",
        &[room.into(), number.into(), digest.into()],
    )?;
    Ok(())
}
