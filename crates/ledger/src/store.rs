//! One folder, one process, one writer: the embedded store.
//!
//! A commit that was answered survives a power cut: the engine runs with a write-ahead log and
//! `synchronous = FULL`, which is asserted at opening, and nobody is answered before the commit of
//! the group in which his work ran.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::fault::{Failed, Fault};
use crate::faults::Faults;
use crate::migration::{self, Migration};
use crate::refusal::Refusal;
use crate::tx::Tx;
use crate::writer::{GROUP_MAX, Job, Sealed, Verdict, Work, Writer};

/// The database file in the store's folder.
pub(crate) const DATABASE: &str = "store.sqlite";
const LOCK: &str = "store.lock";
/// Reading connections.
const READERS: usize = 3;
/// Work that may wait for the writer before callers wait to hand theirs in.
const QUEUE_MAX: usize = 4096;
/// Pages (4 KiB) of write-ahead log before it is copied back: a page that changes with every
/// commit is copied once for all of them.
const LOG_PAGES: i64 = 2000;
/// Prepared statements kept by each connection.
const STATEMENTS_MAX: usize = 512;

/// A folder with rooms' tables in it. Clones are handles to the same store; it closes, and its
/// folder is free again, when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    writer_id: ThreadId,
    readers: Mutex<Vec<Connection>>,
    permits: Semaphore,
    // Last: the folder is free only after everything above has let go of it.
    _lock: File,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // The last handle may have travelled into a unit of work and die on the writer itself.
        if std::thread::current().id() != self.writer_id
            && let Some(writer) = self.writer.take()
        {
            let _ = writer.join();
        }
    }
}

/// What is opened, before the writer starts: a ledger puts its journal in between.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) lock: File,
    readers: Vec<Connection>,
}

impl Store {
    /// Opens the store in this folder (made if it is not there) and brings its tables up to date.
    ///
    /// Refused: `store-in-use`, `store-not-durable`, `store-newer`, `migration-changed`,
    /// `migration-foreign`.
    pub fn open(folder: &Path, migrations: &[Migration]) -> Result<Self, Failed<Refusal>> {
        Self::start(Self::prepare(folder, &[], migrations)?, None, None)
    }

    /// For tests: a store that breaks as planned.
    pub fn open_with(
        folder: &Path,
        migrations: &[Migration],
        faults: Faults,
    ) -> Result<Self, Failed<Refusal>> {
        Self::start(Self::prepare(folder, &[], migrations)?, None, Some(faults))
    }

    pub(crate) fn prepare(
        folder: &Path,
        own: &[Migration],
        rooms: &[Migration],
    ) -> Result<Opened, Failed<Refusal>> {
        // Who signed what, and where, is nobody's business but the store's owner's.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| io(folder, &error))?;
        let lock = lock(folder)?;
        let mut connection = connect(folder)?;
        migration::run(&mut connection, own, rooms)?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let reader = connect(folder)?;
            reader.pragma_update(None, "query_only", true).map_err(Fault::from)?;
            readers.push(reader);
        }
        // The names of the new files must survive a power cut as well.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| io(folder, &e))?;
        Ok(Opened { connection, lock, readers })
    }

    pub(crate) fn start(
        opened: Opened,
        journal: Option<crate::journal::Journal>,
        faults: Option<Faults>,
    ) -> Result<Self, Failed<Refusal>> {
        let Opened { connection, lock, readers } = opened;
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let writer = Writer::new(connection, journal, faults);
        let writer = std::thread::Builder::new()
            .name("ledger-writer".into())
            .spawn(move || writer.run(waiting))
            .map_err(|error| Fault::Store(format!("no thread for the writer: {error}")))?;
        let inner = Inner {
            queue: Some(queue),
            writer_id: writer.thread().id(),
            writer: Some(writer),
            permits: Semaphore::new(readers.len()),
            readers: Mutex::new(readers),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs a unit of work on the writer: all of it happens or nothing, and the answer comes after
    /// it is durable.
    ///
    /// The closure may run again and has no side effects. If the commit of its group fails,
    /// everybody in the group gets the fault, also those who were refused: what they were told may
    /// have rested on a neighbour's lost change.
    pub async fn write<T, E>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Failed<E>> + Send + 'static,
    ) -> Result<T, Failed<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(Plain { work, outcome: None, reply })).await?;
        answer.await.unwrap_or(Err(Failed::Fault(Fault::Stopped)))
    }

    pub(crate) async fn submit(&self, job: Job) -> Result<(), Fault> {
        let queue = self.inner.queue.as_ref().ok_or(Fault::Stopped)?;
        queue.send(job).await.map_err(|_| Fault::Stopped)
    }

    /// Runs a short read on the calling thread, over one consistent state of everything committed.
    ///
    /// Point reads take microseconds; a read of many rows belongs on a thread of its own.
    pub async fn read<T, E>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Failed<E>> + Send + 'static,
    ) -> Result<T, Failed<E>> {
        let _permit = self.inner.permits.acquire().await.map_err(|_| Fault::Stopped)?;
        let pool = &self.inner.readers;
        let connection = pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // Back into the pool even if the work panics.
        let mut lent = Lent { connection, pool };
        let connection = lent.connection.as_mut().ok_or(Fault::Stopped)?;
        let snapshot = connection.unchecked_transaction().map_err(Fault::from)?;
        work(&mut Tx { connection: &snapshot, faults: None, journal: None })
    }
}

struct Lent<'a> {
    connection: Option<Connection>,
    pool: &'a Mutex<Vec<Connection>>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.extend(self.connection.take());
    }
}

struct Plain<F, T, E> {
    work: F,
    outcome: Option<Result<T, Failed<E>>>,
    reply: oneshot::Sender<Result<T, Failed<E>>>,
}

impl<F, T, E> Work for Plain<F, T, E>
where
    F: Fn(&mut Tx<'_>) -> Result<T, Failed<E>> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Verdict {
        let outcome = (self.work)(tx);
        let verdict = if outcome.is_ok() { Verdict::Keep } else { Verdict::Undo };
        self.outcome = Some(outcome);
        verdict
    }

    fn answer(self: Box<Self>, group: Result<Option<&Arc<Sealed>>, &Fault>) {
        let outcome = match group {
            // A group that is committed but has no checkpoint yet is still committed.
            Ok(_) | Err(Fault::Unproven(_)) => {
                self.outcome.unwrap_or(Err(Failed::Fault(Fault::Panicked)))
            }
            Err(fault) => Err(Failed::Fault(fault.clone())),
        };
        // Whoever asked may have gone; the work is done all the same.
        let _ = self.reply.send(outcome);
    }
}

fn io(path: &Path, error: &std::io::Error) -> Fault {
    Fault::Store(format!("{}: {error}", path.display()))
}

fn lock(folder: &Path) -> Result<File, Failed<Refusal>> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| io(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Failed::Refused(Refusal::StoreInUse(folder.display().to_string())))
        }
        Err(TryLockError::Error(error)) => Err(Failed::Fault(io(&path, &error))),
    }
}

/// A connection that keeps its promises, or none.
fn connect(folder: &Path) -> Result<Connection, Failed<Refusal>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(folder.join(DATABASE), flags).map_err(Fault::from)?;
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
    Ok(connection)
}

const _: () = assert!(GROUP_MAX < QUEUE_MAX, "a group drains less than the queue holds");
