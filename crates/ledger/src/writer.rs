//! The one thread that writes: it drains the queue, runs everybody's work in one transaction,
//! commits once, signs one checkpoint, and only then answers.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::engine::{Connection, Turn};
use crate::fault::Fault;
use crate::faults::Faults;
use crate::gathering::Gathering;
use crate::journal::Journal;
use crate::tlog::tree::Growth;
use crate::tx::Tx;

/// Units of work in one commit at most.
pub(crate) const GROUP_MAX: usize = 1024;

/// How often a group runs in all, if others keep writing at the same time.
const AGAIN_MAX: usize = 16;

/// How a unit of work ended.
pub(crate) enum Verdict {
    Keep,
    Undo,
}

/// A group's place in the tree and the checkpoint over it: what its members' proofs are made of.
pub(crate) struct Sealed {
    pub(crate) growth: Growth,
    pub(crate) note: String,
    pub(crate) gathering: Arc<Gathering>,
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

pub(crate) struct Writer {
    connection: Connection,
    journal: Option<RefCell<Journal>>,
    faults: Option<Faults>,
    /// The journal's memory is not to be believed before it is read again.
    stale: Cell<bool>,
    gathering: Arc<Gathering>,
    /// The open group has read the journal's memory again.
    caught_up: Cell<bool>,
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        journal: Option<Journal>,
        faults: Option<Faults>,
        gathering: Arc<Gathering>,
    ) -> Self {
        Self {
            connection,
            journal: journal.map(RefCell::new),
            faults,
            stale: Cell::new(false),
            gathering,
            caught_up: Cell::new(false),
        }
    }

    pub(crate) fn run(self, mut waiting: mpsc::Receiver<Job>) {
        let mut jobs = Vec::new();
        while let Some(first) = waiting.blocking_recv() {
            jobs.push(first);
            self.gathering.wait();
            while jobs.len() < GROUP_MAX
                && let Ok(job) = waiting.try_recv()
            {
                jobs.push(job);
            }
            self.gathering.taken(jobs.len());
            let ended = self.group_until_nobody_interferes(&mut jobs);
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

    /// Begins the transaction; knows the journal as it stands in the database then.
    fn begin(&self) -> Result<Turn, Fault> {
        let turn = self.connection.begin()?;
        if let Some(journal) = &self.journal
            && (turn == Turn::Others || self.stale.get())
        {
            journal.borrow_mut().reload(&self.connection)?;
            self.stale.set(false);
            self.caught_up.set(true);
            return Ok(Turn::Others);
        }
        Ok(turn)
    }

    /// Begins the transaction and runs everybody's work in it.
    ///
    /// Without savepoints a unit that must be undone cannot be undone alone: its place is returned.
    /// The second time, each runs in a savepoint, and the one that `failed` then is left out: what
    /// it was told rests on the units before it, and they run again as they did. Where others
    /// have written in between, it rests on nothing any more and runs again as well.
    fn run_all(&self, jobs: &mut [Job], failed: Option<usize>) -> Result<Option<usize>, Fault> {
        let turn = self.begin()?;
        for (place, job) in jobs.iter_mut().enumerate() {
            if failed == Some(place) && turn == Turn::Ours {
                continue;
            }
            if failed.is_some() {
                self.connection.savepoint()?;
            }
            let before = self.connection.changes();
            let mut tx = self.tx();
            // A panic is undone like any other failure; the job answers `Panicked` by itself.
            let verdict = catch_unwind(AssertUnwindSafe(|| job.run(&mut tx)));
            if self.connection.is_over() {
                // The engine gave the whole transaction up (disk full, I/O), or the work ended it.
                return Err(Fault::Store("the transaction ended inside a unit of work".into()));
            }
            if self.connection.wants_again() {
                return Err(Fault::Store("the transaction met other writers too often".into()));
            }
            if self.faults.as_ref().is_some_and(Faults::dead) {
                return Err(Fault::Stopped);
            }
            let undo = !matches!(verdict, Ok(Verdict::Keep));
            match (undo, failed.is_some()) {
                (true, true) => self.connection.undo()?,
                (true, false) if self.connection.changes() != before => return Ok(Some(place)),
                (false, true) => self.connection.keep()?,
                (_, false) => {}
            }
        }
        Ok(None)
    }

    /// Runs a group, and again if the engine gave it up only because others wrote as well.
    fn group_until_nobody_interferes(
        &self,
        jobs: &mut [Job],
    ) -> Result<Option<Arc<Sealed>>, Fault> {
        for _ in 1..AGAIN_MAX {
            match self.group(jobs) {
                Err(_) if self.connection.wants_again() => self.recover()?,
                ended => return ended,
            }
        }
        self.group(jobs)
    }

    fn recover(&self) -> Result<(), Fault> {
        self.connection.roll_back()?;
        match &self.journal {
            // Nothing can be read before the turn is ours again; perhaps the server is away.
            Some(_) if self.connection.is_shared() => self.stale.set(true),
            Some(journal) => journal.borrow_mut().reload(&self.connection)?,
            None => {}
        }
        Ok(())
    }

    fn step<T>(&self, act: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        match &self.faults {
            Some(faults) => faults.step(act),
            None => act(),
        }
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
        self.caught_up.set(false);
        if let Some(place) = self.run_all(jobs, None)? {
            // Somebody was refused after he had changed something. It is rare, so nobody pays for
            // savepoints until it happens: everything is undone, and the others run once more.
            self.connection.roll_back()?;
            if let Some(journal) = &self.journal {
                journal.borrow_mut().clear_group();
            }
            self.run_all(jobs, Some(place))?;
        }
        let growth = match &self.journal {
            Some(journal) => journal.borrow_mut().grow(&self.tx())?,
            None => None,
        };
        self.step(|| self.connection.commit())?;
        // Durable from here on.
        let Some(journal) = &self.journal else { return Ok(None) };
        let mut journal = journal.borrow_mut();
        if let Some(growth) = &growth {
            journal.accept(growth);
        } else if !self.caught_up.get() {
            return Ok(None);
        }
        // What others appended is durable and in our tree as well: our checkpoint may say so.
        let unproven = |fault: Fault| Fault::Unproven(fault.to_string());
        let note = self.step(|| journal.sign()).map_err(unproven)?;
        self.step(|| journal.keep_head(&note)).map_err(unproven)?;
        Ok(growth.map(|growth| {
            Arc::new(Sealed { growth, note, gathering: Arc::clone(&self.gathering) })
        }))
    }
}
