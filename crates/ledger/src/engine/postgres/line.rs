//! The connection: made, found broken, given up, and made anew.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, Statement};

use super::{Postgres, State};
use crate::fault::{Failed, Fault};
use crate::refusal::Refusal;

pub(super) struct Link {
    pub(super) client: Arc<Client>,
    pub(super) statements: HashMap<String, Statement>,
}

impl Postgres {
    /// Runs something of the driver's here and now, and not for ever.
    pub(super) fn wait<T>(
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

    pub(super) fn lose(&self) {
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

    pub(super) fn connect(&self) -> Result<(), Failed<Refusal>> {
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
    pub(super) fn connected(&self) -> Result<(), Fault> {
        if self.link.borrow().as_ref().is_some_and(|link| !link.client.is_closed()) {
            return Ok(());
        }
        self.lose();
        self.connect().map_err(|failed| match failed {
            Failed::Fault(fault) => fault,
            Failed::Refused(refusal) => Fault::Store(refusal.to_string()),
        })
    }

    pub(super) fn client(&self) -> Result<Arc<Client>, Fault> {
        self.link.borrow().as_ref().map(|link| Arc::clone(&link.client)).ok_or_else(lost)
    }
}

pub(super) fn lost() -> Fault {
    Fault::Store("the connection to the database is lost".into())
}
