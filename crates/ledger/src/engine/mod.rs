//! The two engines behind one small face: statements over a few value types, transactions with
//! savepoints, snapshots. Everything above speaks one SQL text for each statement.

pub(crate) mod postgres;
mod schema;
pub(crate) mod sqlite;

use crate::fault::Fault;
use crate::value::{Row, Value};
use postgres::Postgres;
use sqlite::Sqlite;

/// A connection to whichever engine keeps the store.
pub(crate) enum Connection {
    Sqlite(Sqlite),
    // Boxed: it carries its own little runtime and its statements.
    Postgres(Box<Postgres>),
}

/// Whether this writer was the last one to have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// What is remembered from the last group still stands.
    Ours,
    /// Somebody else may have written since; only what the database says counts.
    Others,
}

impl Connection {
    /// Runs a statement that gives no rows; answers how many rows it changed.
    pub(crate) fn exec(&self, sql: &str, values: &[Value]) -> Result<u64, Fault> {
        match self {
            Self::Sqlite(sqlite) => sqlite.exec(sql, values),
            Self::Postgres(postgres) => postgres.exec(sql, values),
        }
    }

    /// Runs a statement that gives rows.
    pub(crate) fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Fault> {
        match self {
            Self::Sqlite(sqlite) => sqlite.query(sql, values),
            Self::Postgres(postgres) => postgres.query(sql, values),
        }
    }

    /// Begins a transaction that writes and waits until nobody else writes to this store.
    pub(crate) fn begin(&self) -> Result<Turn, Fault> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control("BEGIN IMMEDIATE").map(|()| Turn::Ours),
            Self::Postgres(postgres) => postgres.begin(),
        }
    }

    /// A number that is another one after anything was changed, or must be taken for changed.
    pub(crate) fn changes(&self) -> u64 {
        match self {
            Self::Sqlite(sqlite) => sqlite.changes(),
            Self::Postgres(postgres) => postgres.changes(),
        }
    }

    /// Begins a unit of work.
    pub(crate) fn savepoint(&self) -> Result<(), Fault> {
        self.control("SAVEPOINT work")
    }

    /// Ends a unit of work that stays.
    pub(crate) fn keep(&self) -> Result<(), Fault> {
        self.control("RELEASE work")
    }

    /// Ends a unit of work and undoes it.
    pub(crate) fn undo(&self) -> Result<(), Fault> {
        self.control("ROLLBACK TO work")?;
        self.control("RELEASE work")
    }

    fn control(&self, sql: &'static str) -> Result<(), Fault> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control(sql),
            Self::Postgres(postgres) => postgres.control(sql),
        }
    }

    /// Makes the transaction durable. If an error comes back, it may be durable all the same.
    pub(crate) fn commit(&self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(sqlite) => sqlite.control("COMMIT"),
            Self::Postgres(postgres) => postgres.commit(),
        }
    }

    /// Whether the transaction is over although nobody here ended it.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Sqlite(sqlite) => sqlite.is_over(),
            Self::Postgres(postgres) => postgres.is_over(),
        }
    }

    /// Whether the engine gave the open transaction up only because of others who wrote at the
    /// same time: nothing of it is durable, and running it again is right.
    pub(crate) fn wants_again(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(postgres) => postgres.wants_again(),
        }
    }

    /// Somebody wrote at the same time, and the engine did not notice.
    pub(crate) fn interfered(&self) {
        if let Self::Postgres(postgres) = self {
            postgres.interfered();
        }
    }

    /// Leaves whatever transaction is open, after a failure.
    pub(crate) fn roll_back(&self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(sqlite) => sqlite.roll_back(),
            Self::Postgres(postgres) => {
                postgres.roll_back();
                Ok(())
            }
        }
    }

    /// Runs something as a transaction of its own; what goes wrong in it is undone.
    pub(crate) fn alone<T, E: From<Fault>>(&self, act: impl Fn() -> Result<T, E>) -> Result<T, E> {
        self.begin()?;
        let done = act().and_then(|answer| Ok(self.commit().map(|()| answer)?));
        if done.is_err() {
            self.roll_back()?;
        }
        done
    }

    /// Runs a read over one consistent state of everything committed.
    pub(crate) fn snapshot<T>(&self, read: impl Fn(&Self) -> T) -> Result<T, Fault> {
        match self {
            Self::Sqlite(sqlite) => {
                let _snapshot = sqlite.snapshot()?;
                Ok(read(self))
            }
            Self::Postgres(postgres) => postgres.snapshot(|| read(self)),
        }
    }

    /// Whether this is an engine that other processes may write to at the same time.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Whether the engine's own check of its files finds nothing wrong.
    pub(crate) fn is_sound(&self) -> Result<bool, Fault> {
        match self {
            Self::Sqlite(sqlite) => sqlite.is_sound(),
            // Its pages are its own server's affair (data checksums, pg_amcheck).
            Self::Postgres(_) => Ok(true),
        }
    }
}
