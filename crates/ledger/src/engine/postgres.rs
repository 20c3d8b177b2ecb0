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

mod line;
mod objects;
mod text;
mod value;

use std::cell::{Cell, RefCell};
use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use self::line::{Link, lost};
use self::text::well_formed;
use self::value::{Bound, read};
use super::schema::tables_for_postgres;
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
    fn fail(&self, state: State) {
        self.changed();
        if self.state.get() != State::Over && self.state.get() != State::Again {
            self.state.set(state);
        }
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
