//! PostgreSQL: one database, as many processes as there are.
//!
//! Writers take turns: the first statement of every group changes the one row of `ledger_turn`.
//! Whoever comes second waits there for the first one's commit, and only then looks at anything
//! (READ COMMITTED: each statement sees what was committed before it began), so groups run one
//! after the other as if one process ran them all. The number in the row says whether anybody
//! else had a turn in between, and what is remembered must be read again. An engine that lets both
//! run on and judges at the end answers 40001 to the second one, and the group runs again. The
//! journal does not rest on any of this: its head row is compared and set in the same transaction.
//!
//! A connection that breaks or stays silent is thrown away and made anew for the next group. What
//! a broken COMMIT did is unknown here; once the turn is ours again it has either happened or not.
//!
//! The driver is asynchronous and units of work are not: each connection has a runtime of its own
//! and lives on a thread that is in no other runtime.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, Statement};

use super::schema::{Objects, tables_for_postgres};
use super::{Connection, Turn};
use crate::fault::{Failed, Fault};
use crate::place::Server;
use crate::refusal::Refusal;
use crate::value::{Row, Value};

/// Prepared statements kept by each connection.
const STATEMENTS_MAX: usize = 512;
/// How often a read is tried when its connection breaks under it, or the making of the first table
/// when another process makes it too.
const TRIES: usize = 3;

/// The writers' turn. Not a table of a migration: it must be there before the first one.
const BEGINNING: &str = "
    CREATE TABLE IF NOT EXISTS ledger_turn (
        id BIGINT PRIMARY KEY CHECK (id = 1), turn BIGINT NOT NULL
    );
    INSERT INTO ledger_turn (id, turn) VALUES (1, 0) ON CONFLICT (id) DO NOTHING";
const TAKE_TURN: &str = "UPDATE ledger_turn SET turn = turn + 1 WHERE id = 1 RETURNING turn";

pub(crate) struct Postgres {
    server: Server,
    runtime: Option<Runtime>,
    /// Nothing while the connection is lost.
    link: RefCell<Option<Link>>,
    /// Control statements that go out together with the next statement: they need no answer of
    /// their own, and so cost no round trip.
    pending: RefCell<String>,
    state: Cell<State>,
    /// Counts statements that may have changed something.
    changes: Cell<u64>,
    /// The number of our own last turn, if its commit is known.
    turn: Cell<Option<i64>>,
    /// The number of the turn that is open now.
    taken: Cell<Option<i64>>,
}

struct Link {
    client: Arc<Client>,
    statements: HashMap<String, Statement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No transaction, or one that broke together with its connection.
    Over,
    /// A transaction in good order.
    Open,
    /// A statement failed: nothing works before the unit of work is undone.
    Failed,
    /// The engine gave the transaction up because of other writers.
    Again,
}

/// A connection that keeps its promises, or none. Not inside a runtime.
pub(crate) fn connect(server: &Server) -> Result<Connection, Failed<Refusal>> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::Store(format!("no runtime for the connection: {error}")))?;
    let postgres = Postgres {
        server: server.clone(),
        runtime: Some(runtime),
        link: RefCell::new(None),
        pending: RefCell::default(),
        state: Cell::new(State::Over),
        changes: Cell::new(0),
        turn: Cell::new(None),
        taken: Cell::new(None),
    };
    postgres.connect()?;
    Ok(Connection::Postgres(Box::new(postgres)))
}

impl Postgres {
    /// Runs something of the driver's here and now, and not for ever.
    fn wait<T>(
        &self,
        act: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        let runtime = self.runtime.as_ref().ok_or(Fault::Stopped)?;
        // The server's own limits end a statement earlier; this is for a server that is silent.
        let limit = self.server.patience * 2;
        match runtime.block_on(async { tokio::time::timeout(limit, act).await }) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(_) => {
                self.lose();
                Err(Fault::Store("the database does not answer; the connection is given up".into()))
            }
        }
    }

    fn lose(&self) {
        self.link.take();
        self.pending.take();
        self.state.set(State::Over);
        self.turn.set(None);
    }

    fn broken(&self, error: &tokio_postgres::Error) -> Fault {
        let Some(told) = error.as_db_error() else {
            let inner = std::error::Error::source(error).map(ToString::to_string);
            let text = inner.map_or_else(|| error.to_string(), |inner| format!("{error}: {inner}"));
            // A value that does not fit its column never left this process.
            if text.starts_with("error serializing") {
                return Fault::Misuse(text);
            }
            if text.starts_with("error deserializing") {
                self.fail(State::Failed);
                return Fault::Row(text);
            }
            self.lose();
            return Fault::Store(format!("the connection to the database is lost: {text}"));
        };
        let code = told.code();
        if [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code) {
            self.fail(State::Again);
        } else if code.code().starts_with("57P") {
            // The server is going away (57P01 … 57P03); the line ends next.
            self.lose();
        } else {
            self.fail(State::Failed);
        }
        // Not its detail, which quotes values of rows.
        Fault::Store(format!("{} ({})", told.message(), code.code()))
    }

    fn fail(&self, state: State) {
        self.changed();
        if self.state.get() != State::Over && self.state.get() != State::Again {
            self.state.set(state);
        }
    }

    fn connect(&self) -> Result<(), Failed<Refusal>> {
        let mut config = self.server.config.clone();
        let limit = self.server.patience;
        config.application_name("azukari").connect_timeout(limit);
        let runtime = self.runtime.as_ref().ok_or(Fault::Stopped)?;
        let (client, line) = self.wait(async { config.connect(NoTls).await })?;
        runtime.spawn(async move {
            if let Err(error) = line.await {
                tracing::warn!(%error, "a connection to the database ended");
            }
        });
        *self.link.borrow_mut() =
            Some(Link { client: Arc::new(client), statements: HashMap::new() });
        // A statement that hangs on the server, or a transaction that we were cut off from, must
        // not hold the turn for ever.
        let limit = limit.as_millis();
        self.batch(&format!(
            "SET statement_timeout = {limit}; SET lock_timeout = {limit};
             SET idle_in_transaction_session_timeout = {limit}"
        ))?;
        let rows = self.query(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'),
                    current_setting('server_encoding')",
            &[],
        )?;
        let setting = |column| rows.first().map_or(Ok(""), |row| row.text(column));
        let (fsync, commit, encoding) = (setting(0)?, setting(1)?, setting(2)?);
        if fsync != "on" || commit == "off" || encoding != "UTF8" {
            let why = format!(
                "fsync is {fsync}, synchronous_commit is {commit}, server_encoding is {encoding}"
            );
            self.lose();
            return Err(Failed::Refused(Refusal::StoreNotDurable(why)));
        }
        Ok(())
    }

    /// Connects again if the connection is lost.
    fn connected(&self) -> Result<(), Fault> {
        if self.link.borrow().as_ref().is_some_and(|link| !link.client.is_closed()) {
            return Ok(());
        }
        self.lose();
        self.connect().map_err(|failed| match failed {
            Failed::Fault(fault) => fault,
            Failed::Refused(refusal) => Fault::Store(refusal.to_string()),
        })
    }

    fn client(&self) -> Result<Arc<Client>, Fault> {
        self.link.borrow().as_ref().map(|link| Arc::clone(&link.client)).ok_or_else(lost)
    }

    /// Several statements at once, after whatever is pending.
    pub(super) fn batch(&self, sql: &str) -> Result<(), Fault> {
        let mut text = self.pending.take();
        text.push_str(sql);
        let client = self.client()?;
        self.wait(client.batch_execute(&text))
    }

    /// What is pending goes out in front of this, in the same packet if it fits.
    async fn after_pending<T>(
        client: &Client,
        pending: &str,
        act: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, tokio_postgres::Error> {
        if pending.is_empty() {
            return act.await;
        }
        // Sent in the order in which they are polled first.
        let (before, answer) = tokio::join!(biased; client.batch_execute(pending), act);
        before?;
        answer
    }

    fn statement(&self, client: &Client, sql: &str) -> Result<Statement, Fault> {
        if let Some(statement) =
            self.link.borrow().as_ref().and_then(|link| link.statements.get(sql))
        {
            return Ok(statement.clone());
        }
        well_formed(sql)?;
        let pending = self.pending.take();
        let statement = self.wait(Self::after_pending(client, &pending, client.prepare(sql)))?;
        if let Some(link) = self.link.borrow_mut().as_mut() {
            if link.statements.len() >= STATEMENTS_MAX {
                link.statements.clear();
            }
            link.statements.insert(sql.to_owned(), statement.clone());
        }
        Ok(statement)
    }

    fn prepared(
        &self,
        client: &Client,
        sql: &str,
        values: &[Value],
    ) -> Result<(Statement, String), Fault> {
        if self.state.get() == State::Failed || self.state.get() == State::Again {
            return Err(Fault::Store("a statement before this one has failed".into()));
        }
        let statement = self.statement(client, sql)?;
        let wanted = statement.params().len();
        if wanted != values.len() {
            return Err(Fault::Misuse(format!("{} values for ${wanted}: {sql}", values.len())));
        }
        Ok((statement, self.pending.take()))
    }

    pub(super) fn exec(&self, sql: &str, values: &[Value]) -> Result<u64, Fault> {
        let client = self.client()?;
        let (statement, pending) = self.prepared(&client, sql, values)?;
        self.changed();
        let act = client.execute_raw(&statement, values.iter().map(Bound));
        self.wait(Self::after_pending(&client, &pending, act))
    }

    pub(super) fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Fault> {
        let client = self.client()?;
        let (statement, pending) = self.prepared(&client, sql, values)?;
        if !sql.trim_start().starts_with("SELECT") {
            self.changed();
        }
        let bound: Vec<_> = values.iter().map(Bound).collect();
        let bound: Vec<_> = bound.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        let act = async {
            let rows = client.query(&statement, &bound).await?;
            rows.iter().map(read).collect()
        };
        self.wait(Self::after_pending(&client, &pending, act))
    }

    /// Goes out with the next statement.
    pub(super) fn control(&self, sql: &str) -> Result<(), Fault> {
        match self.state.get() {
            State::Over => return Err(lost()),
            State::Again => return Err(Fault::Store("the transaction was given up".into())),
            State::Failed if sql.starts_with("ROLLBACK") => self.state.set(State::Open),
            // COMMIT would answer this one with success and undo everything.
            State::Failed => {
                return Err(Fault::Store("a unit of work went on after a failed statement".into()));
            }
            State::Open => {}
        }
        let mut pending = self.pending.borrow_mut();
        pending.push_str(sql);
        pending.push(';');
        Ok(())
    }

    pub(super) fn begin(&self) -> Result<Turn, Fault> {
        let taken = match self.take_turn() {
            // The line may have broken long ago: nothing has been done over it yet.
            Err(_) if self.state.get() == State::Over => self.take_turn(),
            answer => answer,
        }?;
        self.taken.set(Some(taken));
        let ours = self.turn.get().is_some_and(|last| last + 1 == taken);
        // What is read from now on is how the turn before this one left it.
        self.turn.set(Some(taken - 1));
        Ok(if ours { Turn::Ours } else { Turn::Others })
    }

    fn take_turn(&self) -> Result<i64, Fault> {
        self.connected()?;
        self.taken.set(None);
        self.state.set(State::Open);
        self.control("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")?;
        let rows = self.query(TAKE_TURN, &[])?;
        rows.first().ok_or_else(|| Fault::Row("nobody can have the turn".into()))?.int(0)
    }

    pub(super) fn commit(&self) -> Result<(), Fault> {
        self.control("COMMIT")?;
        self.batch("")?;
        self.state.set(State::Over);
        self.turn.set(self.taken.take());
        Ok(())
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// A failed statement counts as well: until it is undone, nothing works.
    fn changed(&self) {
        self.changes.set(self.changes.get() + 1);
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.get() == State::Over
    }

    pub(super) fn wants_again(&self) -> bool {
        self.state.get() == State::Again
    }

    pub(super) fn interfered(&self) {
        self.fail(State::Again);
    }

    pub(super) fn roll_back(&self) {
        self.pending.take();
        self.taken.set(None);
        if self.state.get() != State::Over && self.batch("ROLLBACK").is_err() {
            self.lose();
        }
        self.state.set(State::Over);
    }

    pub(super) fn snapshot<T>(&self, read: impl Fn() -> T) -> Result<T, Fault> {
        for _ in 1..TRIES {
            if let Some(answer) = self.snapshot_once(&read)? {
                return Ok(answer);
            }
        }
        self.snapshot_once(&read)?.ok_or_else(lost)
    }

    /// Nothing if the connection broke or the engine gave the snapshot up: reading again is right.
    fn snapshot_once<T>(&self, read: impl Fn() -> T) -> Result<Option<T>, Fault> {
        self.connected()?;
        self.state.set(State::Open);
        self.control("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let answer = read();
        let good = !self.is_over() && !self.wants_again();
        self.roll_back();
        Ok(good.then_some(answer))
    }

    /// Makes the row that turns are taken on.
    pub(super) fn make_turns(&self) -> Result<(), Fault> {
        for _ in 1..TRIES {
            // Two processes making the same table can meet in the catalogue, whatever they asked.
            if self.batch(BEGINNING).is_ok() {
                return Ok(());
            }
            self.connected()?;
        }
        self.batch(BEGINNING)
    }

    pub(super) fn objects(&self) -> Result<Objects, Fault> {
        let rows = self.query(OBJECTS, &[])?;
        let object = |row: &Row| {
            Ok(((row.text(0)?.to_owned(), row.text(1)?.to_owned()), row.text(2)?.to_owned()))
        };
        rows.iter().map(object).collect()
    }

    pub(super) fn migrate(&self, sql: &str) -> Result<(), Fault> {
        self.batch(&tables_for_postgres(sql))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.link.take();
        if let Some(runtime) = self.runtime.take() {
            // Waiting is forbidden where this may be dropped.
            runtime.shutdown_background();
        }
    }
}

/// Everything in the schema that we use: (name, the table it belongs to, what it says).
const OBJECTS: &str = "
    SELECT CAST(c.relname AS text), CAST(coalesce(t.relname, c.relname) AS text),
           concat_ws(' ', c.relkind,
               CASE c.relkind WHEN 'i' THEN pg_get_indexdef(c.oid)
                              WHEN 'v' THEN pg_get_viewdef(c.oid) END,
               (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
                                            a.attnotnull, pg_get_expr(d.adbin, d.adrelid)),
                                  ', ' ORDER BY a.attnum)
                FROM pg_attribute a
                LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
               (SELECT string_agg(concat_ws(' ', k.conname, pg_get_constraintdef(k.oid)),
                                  ', ' ORDER BY k.conname)
                FROM pg_constraint k WHERE k.conrelid = c.oid))
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_depend o ON c.relkind = 'S' AND o.objid = c.oid AND o.deptype IN ('a', 'i')
    LEFT JOIN pg_class t ON t.oid = coalesce(i.indrelid, o.refobjid)
  UNION ALL
    SELECT CAST(g.tgname AS text), CAST(c.relname AS text), pg_get_triggerdef(g.oid)
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid AND NOT g.tgisinternal
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema()
  UNION ALL
    SELECT CAST(p.proname AS text), CAST(p.proname AS text), p.prosrc
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = current_schema()";

/// Placeholders are `$1`, `$2` …, and nobody but the writer ends a transaction.
fn well_formed(sql: &str) -> Result<(), Fault> {
    let mut quoted = false;
    let mut rest = sql.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '\'' => quoted = !quoted,
            '?' if !quoted => return Err(placeholder(sql)),
            '$' if !quoted && !rest.peek().is_some_and(|next| ('1'..='9').contains(next)) => {
                return Err(placeholder(sql));
            }
            _ => {}
        }
    }
    let first = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match first.as_str() {
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE"
        | "PREPARE" | "SET" => Err(Fault::Store(format!("not inside a unit of work: {first}"))),
        _ => Ok(()),
    }
}

fn placeholder(sql: &str) -> Fault {
    Fault::Misuse(format!("a placeholder is not $1, $2 …: {sql}"))
}

/// A value on its way to the type that the statement wants.
#[derive(Debug)]
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Broken> {
        let misfit = |what: &str| Err(Broken::from(format!("{what} for a place of type {ty}")));
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) => match *ty {
                Type::INT8 => number.to_sql(ty, out),
                Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
                Type::INT2 => i16::try_from(*number)?.to_sql(ty, out),
                _ => misfit("a number"),
            },
            Value::Text(text) => match *ty {
                Type::TEXT | Type::VARCHAR => text.to_sql(ty, out),
                _ => misfit("text"),
            },
            Value::Blob(octets) => match *ty {
                Type::BYTEA => octets.to_sql(ty, out),
                _ => misfit("octets"),
            },
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

type Broken = Box<dyn std::error::Error + Sync + Send>;

/// A value that came back.
struct Read(Value);

impl<'a> FromSql<'a> for Read {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Broken> {
        Ok(Self(match *ty {
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Value::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Value::Int(bool::from_sql(ty, raw)?.into()),
            Type::TEXT | Type::VARCHAR | Type::NAME => Value::Text(String::from_sql(ty, raw)?),
            Type::BYTEA => Value::Blob(raw.to_vec()),
            Type::NUMERIC => Value::Int(whole(raw).ok_or("a number that is not whole")?),
            _ => return Err(format!("no room stores a {ty}").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Broken> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn read(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    let values = (0..row.len()).map(|column| Ok(row.try_get::<_, Read>(column)?.0));
    Ok(Row(values.collect::<Result<_, tokio_postgres::Error>>()?))
}

/// A sum of whole numbers comes back as `numeric`: groups of four decimal digits, the first one
/// standing for 10000^weight.
fn whole(raw: &[u8]) -> Option<i64> {
    let mut words = raw.as_chunks::<2>().0.iter().map(|word| i16::from_be_bytes(*word));
    let (count, weight, sign, _scale) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    let mut number = 0_i64;
    for place in 0..count.max(weight.saturating_add(1)) {
        let digits = if place < count { words.next()? } else { 0 };
        if place > weight {
            return None;
        }
        number = number.checked_mul(10_000)?.checked_add(digits.into())?;
    }
    match sign {
        0 => Some(number),
        0x4000 => Some(-number),
        _ => None,
    }
}

fn lost() -> Fault {
    Fault::Store("the connection to the database is lost".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numerics_are_read_and_others_are_not() {
        let numeric = |words: &[i16]| {
            whole(&words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>())
        };
        assert_eq!(numeric(&[0, 0, 0, 0]), Some(0));
        assert_eq!(numeric(&[1, 0, 0, 0, 42]), Some(42));
        assert_eq!(numeric(&[1, 1, 0, 0, 42]), Some(420_000));
        assert_eq!(numeric(&[2, 1, 0x4000, 0, 1, 2345]), Some(-12_345));
        assert_eq!(numeric(&[2, 0, 0, 1, 1, 5000]), None);
        assert_eq!(numeric(&[0, 0, -0x4000, 0]), None);
        assert_eq!(numeric(&[1, 9, 0, 0, 42]), None);
    }

    #[test]
    fn placeholders_of_other_engines_and_ends_of_transactions_are_refused() {
        for good in ["SELECT $1, $20", "SELECT '?'", "UPDATE a SET x = 'it''s $' WHERE y = $1"] {
            well_formed(good).unwrap();
        }
        for bad in ["SELECT ?", "SELECT $0", "SELECT $", "SELECT $x"] {
            assert!(matches!(well_formed(bad), Err(Fault::Misuse(_))), "{bad}");
        }
        for bad in ["COMMIT", " rollback", "release work", "SET x = 1"] {
            assert!(matches!(well_formed(bad), Err(Fault::Store(_))), "{bad}");
        }
    }
}
