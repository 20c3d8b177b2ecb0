//! One process, one writer: the store, in a folder or in a database.
//!
//! A commit that was answered survives a power cut: SQLite runs with a write-ahead log and
//! `synchronous = FULL`, PostgreSQL with `fsync` and without asynchronous commits; both are
//! asserted when a connection is made, and nobody is answered before the commit of the group in
//! which his work ran.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::{JoinHandle, ThreadId};

use tokio::sync::{mpsc, oneshot};

use crate::engine::{Connection, postgres, sqlite};
use crate::fault::{Failed, Fault};
use crate::faults::Faults;
use crate::gathering::Gathering;
use crate::migration::{self, Migration};
use crate::place::Place;
use crate::reading::{READERS, Readers};
use crate::refusal::Refusal;
use crate::tx::Tx;
use crate::writer::{GROUP_MAX, Job, Sealed, Verdict, Work, Writer};

const LOCK: &str = "store.lock";
/// Work that may wait for the writer before callers wait to hand theirs in.
const QUEUE_MAX: usize = 4096;

/// A place with rooms' tables in it. Clones are handles to the same store; it closes, and its
/// folder is free again, when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Option<mpsc::Sender<Job>>,
    gathering: Arc<Gathering>,
    writer: Option<JoinHandle<()>>,
    writer_id: ThreadId,
    readers: Readers,
    shared: bool,
    // Last: the folder is free only after everything above has let go of it.
    _lock: Lock,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Before the writer lets go: of two connections that close at the same moment, SQLite takes
        // neither for the last one, and its write-ahead log would stay beside the database.
        self.readers.close();
        self.queue = None;
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
    lock: Lock,
    readers: Vec<Connection>,
}

impl Store {
    /// Opens the store in this place (made if it is not there) and brings its tables up to date.
    ///
    /// Refused: `store-in-use`, `store-not-durable`, `store-newer`, `migration-changed`,
    /// `migration-foreign`.
    pub fn open(
        place: impl Into<Place>,
        migrations: &[Migration],
    ) -> Result<Self, Failed<Refusal>> {
        Self::open_breaking(&place.into(), migrations, None)
    }

    /// For tests: a store that breaks as planned.
    pub fn open_with(
        place: impl Into<Place>,
        migrations: &[Migration],
        faults: Faults,
    ) -> Result<Self, Failed<Refusal>> {
        Self::open_breaking(&place.into(), migrations, Some(faults))
    }

    fn open_breaking(
        place: &Place,
        migrations: &[Migration],
        faults: Option<Faults>,
    ) -> Result<Self, Failed<Refusal>> {
        place.apart(|| Self::start(Self::prepare(place, |_| &[], migrations)?, None, faults))
    }

    /// Not inside a runtime, if the place has a server. The store's own tables may differ between
    /// engines.
    pub(crate) fn prepare(
        place: &Place,
        own: impl FnOnce(&Connection) -> &'static [Migration],
        rooms: &[Migration],
    ) -> Result<Opened, Failed<Refusal>> {
        let folder = place.folder();
        // Who signed what, and where, is nobody's business but the store's owner's.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| io(folder, &error))?;
        let lock = Lock::take(folder)?;
        let connect = |reads: bool| match &place.server {
            Some(server) => postgres::connect(server),
            None if reads => sqlite::connect_reader(folder),
            None => sqlite::connect(folder),
        };
        let connection = connect(false)?;
        migration::run(&connection, own(&connection), rooms)?;
        let readers = (0..READERS).map(|_| connect(true)).collect::<Result<_, _>>()?;
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
        let shared = connection.is_shared();
        let readers = Readers::new(readers)?;
        let gathering = Arc::new(Gathering::default());
        let writer = Writer::new(connection, journal, faults, Arc::clone(&gathering));
        let writer = std::thread::Builder::new()
            .name("ledger-writer".into())
            .spawn(move || writer.run(waiting))
            .map_err(|error| Fault::Store(format!("no thread for the writer: {error}")))?;
        let inner = Inner {
            queue: Some(queue),
            gathering,
            writer_id: writer.thread().id(),
            writer: Some(writer),
            readers,
            shared,
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
        let place = queue.reserve().await.map_err(|_| Fault::Stopped)?;
        // Counted before it is there: the writer never takes more than it counts.
        self.inner.gathering.comes();
        place.send(job);
        Ok(())
    }

    /// Whether other processes may write to this store as well.
    pub(crate) fn is_shared(&self) -> bool {
        self.inner.shared
    }

    /// Runs a short read over one consistent state of everything committed: on the calling thread,
    /// or, where a server is asked, on a thread of the store's own. The closure may run again.
    ///
    /// Point reads take microseconds; a read of many rows belongs on a thread of its own.
    pub async fn read<T, E>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Failed<E>> + Send + 'static,
    ) -> Result<T, Failed<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.inner.readers.read(work).await
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

/// The folder is this process's, until dropped or until we die.
struct Lock(File);

impl Lock {
    fn take(folder: &Path) -> Result<Self, Failed<Refusal>> {
        let path = folder.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| io(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(Failed::Refused(Refusal::StoreInUse(folder.display().to_string())))
            }
            Err(TryLockError::Error(error)) => Err(Failed::Fault(io(&path, &error))),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is being started at this moment has a copy of the
        // file until it becomes another program, and the lock would live on in it.
        let _ = self.0.unlock();
    }
}

const _: () = assert!(GROUP_MAX < QUEUE_MAX, "a group drains less than the queue holds");
