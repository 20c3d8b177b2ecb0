//! The one thread that writes: it drains the queue, runs everybody's work in one transaction,
//! commits once, signs one checkpoint, and only then answers.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::fault::Fault;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::tlog::tree::Growth;
use crate::tx::Tx;

/// Units of work in one commit at most.
pub(crate) const GROUP_MAX: usize = 1024;

/// A group of so many shows that many callers are at work at the same time.
const CROWD: usize = 4;
/// Such callers are waited for as long as more of them keep coming, so that they share one commit,
/// one sync of the disk and one checkpoint. A caller who is alone never waits.
const LINGER: Duration = Duration::from_micros(500);
/// How often at most.
const LINGERS: usize = 8;

/// How a unit of work ended.
pub(crate) enum Verdict {
    Keep,
    Undo,
}

/// A group's place in the tree and the checkpoint over it: what its members' proofs are made of.
pub(crate) struct Sealed {
    pub(crate) growth: Growth,
    pub(crate) note: String,
}

/// Somebody's unit of work.
pub(crate) trait Work: Send {
    /// Runs it; undone, it leaves nothing.
    fn run(&mut self, tx: &mut Tx<'_>) -> Verdict;
    /// Tells how it went. `Err(Unproven)`: committed, but there is no checkpoint over it.
    fn answer(self: Box<Self>, group: Result<Option<&Arc<Sealed>>, &Fault>);
}

/// Work in the queue.
pub(crate) type Job = Box<dyn Work>;

/// Waits until nobody has come for a moment.
fn linger(waiting: &mpsc::Receiver<Job>) {
    let mut before = waiting.len();
    for _ in 0..LINGERS {
        std::thread::sleep(LINGER);
        let now = waiting.len();
        if now == before || now >= GROUP_MAX {
            return;
        }
        before = now;
    }
}

pub(crate) struct Writer {
    connection: Connection,
    journal: Option<RefCell<Journal>>,
    faults: Option<Faults>,
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        journal: Option<Journal>,
        faults: Option<Faults>,
    ) -> Self {
        Self { connection, journal: journal.map(RefCell::new), faults }
    }

    pub(crate) fn run(self, mut waiting: mpsc::Receiver<Job>) {
        let mut jobs = Vec::new();
        let mut crowded = false;
        while let Some(first) = waiting.blocking_recv() {
            jobs.push(first);
            if crowded {
                linger(&waiting);
            }
            while jobs.len() < GROUP_MAX
                && let Ok(job) = waiting.try_recv()
            {
                jobs.push(job);
            }
            crowded = jobs.len() >= CROWD;
            let ended = self.group(&mut jobs);
            if self.faults.as_ref().is_some_and(Faults::dead) {
                // Dying answers nobody: whoever waits sees the line go dead.
                return;
            }
            for job in jobs.drain(..) {
                job.answer(match &ended {
                    Ok(sealed) => Ok(sealed.as_ref()),
                    Err(fault) => Err(fault),
                });
            }
            match ended {
                Ok(_) | Err(Fault::Unproven(_)) => {}
                Err(fault) => {
                    tracing::error!(%fault, "a group of writes failed");
                    // Recovery is the normal way in: believe the database, not our memory.
                    if let Err(fault) = self.recover() {
                        tracing::error!(%fault, "the store stops");
                        return;
                    }
                }
            }
        }
    }

    /// Begins the transaction and runs everybody's work in it.
    ///
    /// Without savepoints a unit that must be undone cannot be undone alone: its place is returned.
    /// The second time, each runs in a savepoint, and the one that `failed` then is left out: what
    /// it was told rests on the units before it, and they run again as they did.
    fn run_all(&self, jobs: &mut [Job], failed: Option<usize>) -> Result<Option<usize>, Fault> {
        self.plain("BEGIN IMMEDIATE")?;
        for (place, job) in jobs.iter_mut().enumerate() {
            if failed == Some(place) {
                continue;
            }
            if failed.is_some() {
                self.plain("SAVEPOINT work")?;
            }
            let before = self.connection.total_changes();
            let mut tx = self.tx();
            // A panic is undone like any other failure; the job answers `Panicked` by itself.
            let verdict = catch_unwind(AssertUnwindSafe(|| job.run(&mut tx)));
            if self.connection.is_autocommit() {
                // The engine gave the whole transaction up (disk full, I/O), or the work ended it.
                return Err(Fault::Store("the transaction ended inside a unit of work".into()));
            }
            if self.faults.as_ref().is_some_and(Faults::dead) {
                return Err(Fault::Stopped);
            }
            let undo = !matches!(verdict, Ok(Verdict::Keep));
            if undo && failed.is_some() {
                self.plain("ROLLBACK TO work")?;
            } else if undo && self.connection.total_changes() != before {
                return Ok(Some(place));
            }
            if failed.is_some() {
                self.plain("RELEASE work")?;
            }
        }
        Ok(None)
    }

    fn recover(&self) -> Result<(), Fault> {
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        if let Some(journal) = &self.journal {
            journal.borrow_mut().reload(&self.connection)?;
        }
        Ok(())
    }

    fn step<T>(&self, act: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        match &self.faults {
            Some(faults) => faults.step(act),
            None => act(),
        }
    }

    fn plain(&self, sql: &str) -> Result<(), Fault> {
        self.connection.prepare_cached(sql)?.raw_execute()?;
        Ok(())
    }

    fn tx(&self) -> Tx<'_> {
        Tx {
            connection: &self.connection,
            faults: self.faults.as_ref(),
            journal: self.journal.as_ref(),
        }
    }

    /// One group: drain → run → append → commit → sign over the durable tree.
    ///
    /// Dying anywhere before the commit returns leaves nothing of the group; nobody was told
    /// anything. Dying after it leaves everything of the group, durable, and nobody told: retries
    /// find it. The head outside is written last, so it can only ever be behind the database.
    fn group(&self, jobs: &mut [Job]) -> Result<Option<Arc<Sealed>>, Fault> {
        if let Some(place) = self.run_all(jobs, None)? {
            // Somebody was refused after he had changed something. It is rare, so nobody pays for
            // savepoints until it happens: everything is undone, and the others run once more.
            self.plain("ROLLBACK")?;
            if let Some(journal) = &self.journal {
                journal.borrow_mut().clear_group();
            }
            self.run_all(jobs, Some(place))?;
        }
        let growth = match &self.journal {
            Some(journal) => journal.borrow_mut().grow(&self.tx())?,
            None => None,
        };
        self.step(|| self.plain("COMMIT"))?;
        // Durable from here on.
        let (Some(journal), Some(growth)) = (&self.journal, growth) else { return Ok(None) };
        let mut journal = journal.borrow_mut();
        journal.accept(&growth);
        let unproven = |fault: Fault| Fault::Unproven(fault.to_string());
        let note = self.step(|| journal.sign(&growth)).map_err(unproven)?;
        self.step(|| journal.keep_head(&growth, &note)).map_err(unproven)?;
        Ok(Some(Arc::new(Sealed { growth, note })))
    }
}
