//! What a unit of work sees of the store: statements, the outbox, the heads of streams.

use std::cell::RefCell;

use hpki::id::{KeyId, StreamId};

use crate::engine::Connection;
use crate::fault::Fault;
use crate::faults::Faults;
use crate::journal::{Head, Journal};
use crate::value::{Row, Value};

/// The store inside one unit of work. What it does is undone if the work ends badly, and is
/// durable for everybody before the work is answered.
pub struct Tx<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) faults: Option<&'a Faults>,
    /// The journal's memory; only on the writer of a ledger.
    pub(crate) journal: Option<&'a RefCell<Journal>>,
}

impl<'a> Tx<'a> {
    /// The plain database: no planned faults, no memory of the journal.
    pub(crate) const fn bare(connection: &'a Connection) -> Self {
        Self { connection, faults: None, journal: None }
    }

    /// Runs a statement that gives no rows; answers how many rows it changed.
    ///
    /// Placeholders are `$1`, `$2` … for the values in order. Tables of the ledger are out of
    /// bounds: a room reaches them through the ledger's own doors.
    pub fn exec(&self, sql: &str, values: &[Value]) -> Result<u64, Fault> {
        own_tables_only(sql)?;
        self.exec_inner(sql, values)
    }

    /// Runs a statement that gives rows.
    pub fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Fault> {
        own_tables_only(sql)?;
        self.query_inner(sql, values)
    }

    /// Runs a statement that gives one row or none; more than one is a fault.
    pub fn query_opt(&self, sql: &str, values: &[Value]) -> Result<Option<Row>, Fault> {
        let mut rows = self.query(sql, values)?;
        if rows.len() > 1 {
            return Err(Fault::Row(format!("{} rows where one was expected", rows.len())));
        }
        Ok(rows.pop())
    }

    /// Runs a statement that gives exactly one row.
    pub fn query_one(&self, sql: &str, values: &[Value]) -> Result<Row, Fault> {
        self.query_opt(sql, values)?.ok_or_else(|| Fault::Row("no row where one must be".into()))
    }

    /// Puts a message for other rooms into the outbox; it commits with this unit of work.
    ///
    /// While it is undelivered, [`Tx::outbox_pending`] holds for the key it concerns.
    pub fn outbox(&self, topic: &str, concerns: Option<KeyId>, payload: &str) -> Result<(), Fault> {
        self.exec_inner(
            "INSERT INTO ledger_outbox (topic, concerns, payload) VALUES ($1, $2, $3)",
            &[topic.into(), concerns.into(), payload.into()],
        )?;
        Ok(())
    }

    /// Whether something that concerns this key has not been delivered yet.
    pub fn outbox_pending(&self, key: &KeyId) -> Result<bool, Fault> {
        let sql = "SELECT 1 FROM ledger_outbox WHERE concerns = $1 LIMIT 1";
        Ok(!self.query_inner(sql, &[key.into()])?.is_empty())
    }

    /// Where a stream stands, including what this unit of work's group has added already; `None`
    /// before its first entry.
    pub fn stream_head(&self, stream: &StreamId) -> Result<Option<Head>, Fault> {
        match self.journal {
            Some(journal) => journal.borrow_mut().stream_head(self, stream),
            None => Journal::stored_head(self, stream),
        }
    }

    /// Where the entry of this unit of work will stand in the journal, so that a row can name the
    /// intention that commits with it. Only inside [`crate::Ledger::record`].
    pub fn next_index(&self) -> Result<u64, Fault> {
        let journal = self.journal.ok_or_else(|| Fault::Misuse("no journal here".into()))?;
        Ok(journal.borrow().next_index())
    }

    pub(crate) fn exec_inner(&self, sql: &str, values: &[Value]) -> Result<u64, Fault> {
        self.step(|| self.connection.exec(sql, values))
    }

    pub(crate) fn query_inner(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Fault> {
        self.step(|| self.connection.query(sql, values))
    }

    fn step<T>(&self, act: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        match self.faults {
            Some(faults) => faults.step(act),
            None => act(),
        }
    }
}

fn own_tables_only(sql: &str) -> Result<(), Fault> {
    if sql.contains("ledger_") {
        return Err(Fault::Misuse(format!("a room reaches into the ledger's tables: {sql}")));
    }
    Ok(())
}
