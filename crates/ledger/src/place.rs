//! Where a store lives: a folder, or a folder and a PostgreSQL database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::config::{Config, Host};

use crate::refusal::Refusal;

/// How long a statement, a wait for the turn or a new connection may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a store lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) server: Option<Server>,
}

/// A database that several processes may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) config: Config,
    pub(crate) patience: Duration,
}

impl From<&Path> for Place {
    /// Everything in this folder, which is made if it is not there.
    fn from(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), server: None }
    }
}

impl From<&PathBuf> for Place {
    fn from(folder: &PathBuf) -> Self {
        Self::from(folder.as_path())
    }
}

impl Place {
    /// Tables and journal in the PostgreSQL database with this URL
    /// (`postgres://user@%2Frun%2Fpostgresql/name`); in the folder, which belongs to one process,
    /// only what must lie outside the database: the head of the journal.
    ///
    /// The connection is not encrypted, so it must not leave the machine: a Unix socket, or a
    /// loopback address where a tunnel begins. Refused: `store-address-wrong`.
    pub fn postgres(url: &str, password: Option<&[u8]>, folder: &Path) -> Result<Self, Refusal> {
        let wrong = |why: String| Refusal::StoreAddressWrong(why);
        // Not the driver's own words: they may quote the address with a password in it.
        let mut config: Config = url.parse().map_err(|_| {
            wrong("it is not postgres://user@host/database with the host percent-encoded".into())
        })?;
        if config.get_dbname().is_none() || config.get_user().is_none() {
            return Err(wrong("it names no user or no database".into()));
        }
        let leaves = |host: &Host| match host {
            Host::Tcp(name) => {
                name != "localhost"
                    && !name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
            Host::Unix(_) => false,
        };
        let elsewhere = config.get_hostaddrs().iter().any(|address| !address.is_loopback());
        if config.get_hosts().is_empty() || config.get_hosts().iter().any(leaves) || elsewhere {
            return Err(wrong("the host is not a Unix socket or a loopback address".into()));
        }
        if let Some(password) = password {
            config.password(password);
        }
        Ok(Self { folder: folder.to_owned(), server: Some(Server { config, patience: PATIENCE }) })
    }

    /// The same place with another limit than half a minute for a statement, for a wait for the
    /// turn to write, and for a new connection. It means something only with a database server.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        if let Some(server) = &mut self.server {
            server.patience = patience;
        }
        self
    }

    /// The folder of this process.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a password for the database server is known.
    pub fn has_password(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.config.get_password().is_some())
    }

    /// Whether a database server keeps the tables.
    pub const fn is_shared(&self) -> bool {
        self.server.is_some()
    }

    /// Runs something on a thread outside every runtime, where a connection may wait for its
    /// server; without a server, here.
    pub(crate) fn apart<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        if self.server.is_none() {
            return act();
        }
        std::thread::scope(|scope| match scope.spawn(act).join() {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_leaves_the_machine_or_names_nobody_is_refused() {
        let place = |url: &str| Place::postgres(url, None, Path::new("/nowhere"));
        for good in [
            "postgres://azukari@%2Frun%2Fpostgresql/azukari",
            "postgres://azukari@127.0.0.1:5433/azukari",
            "postgresql://azukari@localhost/azukari?options=-c%20search_path%3Done",
            "postgres://azukari@[::1]/azukari",
        ] {
            place(good).unwrap();
        }
        for bad in [
            "",
            "azukari",
            "mysql://azukari@localhost/azukari",
            "postgres://azukari@database.example/azukari",
            "postgres://azukari@localhost,database.example/azukari",
            "postgres://azukari@192.0.2.1/azukari",
            "postgres://azukari@localhost/azukari?hostaddr=192.0.2.1",
            "postgres://localhost/azukari",
            "postgres://azukari@localhost",
            "postgres:///azukari?user=azukari",
        ] {
            assert!(matches!(place(bad), Err(Refusal::StoreAddressWrong(_))), "{bad}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = "postgres://azukari:visible@localhost/azukari";
        let place = Place::postgres(url, Some(b"hidden"), Path::new("/nowhere")).unwrap();
        let shown = format!("{place:?}");
        assert!(!shown.contains("hidden") && !shown.contains("visible"), "{shown}");
        let Err(refusal) = Place::postgres("postgres://a:visible@%zz", None, Path::new("/")) else {
            panic!("not refused");
        };
        assert!(!refusal.to_string().contains("visible"));
    }
}
