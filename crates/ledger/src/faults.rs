//! Breaking on purpose, for tests: the n-th step of the writer fails before it acts, after it
//! acted, by dying, or by never coming back.
//!
//! A step is a statement of a unit of work, the commit of a group, the signing of a checkpoint, or
//! the keeping of the head. A test arms n = 1, 2, 3 … until [`Faults::happened`] says no, and
//! balances the books each time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::fault::Fault;

/// How a step breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// It fails and did nothing.
    Before,
    /// It took effect, and yet an error comes back.
    After,
    /// The writer dies before it: nothing of the open group is committed, nobody is answered.
    DieBefore,
    /// It took effect, then the writer dies; nobody is answered.
    DieAfter,
    /// It does nothing and does not come back until the process is gone ([`Faults::end`]).
    HangBefore,
    /// It took effect, and does not come back until the process is gone.
    HangAfter,
}

impl Break {
    /// All that come to an end by themselves.
    pub const ALL: [Self; 4] = [Self::Before, Self::After, Self::DieBefore, Self::DieAfter];
    /// Those that do not: whoever arms one ends the process.
    pub const HANGS: [Self; 2] = [Self::HangBefore, Self::HangAfter];
}

#[derive(Debug, Default)]
struct Plan {
    seen: u64,
    at: Option<(u64, Break)>,
    happened: bool,
    hanging: bool,
    dead: bool,
}

/// A handle with which a test breaks a store that was opened with it. Clones share one plan.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<(Mutex<Plan>, Condvar)>);

impl Faults {
    /// No fault planned yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks the n-th step from now; 1 is the next one.
    pub fn arm(&self, n: u64, how: Break) {
        *self.plan() = Plan { at: Some((n, how)), ..Plan::default() };
    }

    /// Breaks nothing any more.
    pub fn disarm(&self) {
        self.plan().at = None;
    }

    /// Whether the armed fault has happened.
    pub fn happened(&self) -> bool {
        self.plan().happened
    }

    /// Whether a step hangs.
    pub fn hanging(&self) -> bool {
        self.plan().hanging
    }

    /// The process is gone, as far as its store goes: nothing is committed any more, nobody is
    /// answered, and a step that hangs ends.
    pub fn end(&self) {
        self.plan().dead = true;
        self.0.1.notify_all();
    }

    /// How many steps were taken since it was armed.
    pub fn seen(&self) -> u64 {
        self.plan().seen
    }

    /// Does not come back before the end.
    fn hang(&self) {
        let mut plan = self.plan();
        plan.hanging = true;
        while !plan.dead {
            plan = self.0.1.wait(plan).unwrap_or_else(PoisonError::into_inner);
        }
        plan.hanging = false;
    }

    pub(crate) fn dead(&self) -> bool {
        self.plan().dead
    }

    /// Takes one step, or breaks it.
    pub(crate) fn step<T>(&self, act: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let how = {
            let mut plan = self.plan();
            if plan.dead {
                return Err(Fault::Stopped);
            }
            plan.seen += 1;
            match plan.at {
                Some((n, how)) if n == plan.seen => {
                    plan.happened = true;
                    plan.dead = how == Break::DieBefore;
                    Some(how)
                }
                _ => None,
            }
        };
        let broken = || Fault::Store("broken on purpose".into());
        match how {
            None => act(),
            Some(Break::Before) => Err(broken()),
            Some(Break::DieBefore) => Err(Fault::Stopped),
            Some(Break::After) => act().and(Err(broken())),
            Some(Break::DieAfter) => {
                let _ = act();
                self.plan().dead = true;
                Err(Fault::Stopped)
            }
            Some(how @ (Break::HangBefore | Break::HangAfter)) => {
                if how == Break::HangAfter {
                    let _ = act();
                }
                self.hang();
                Err(Fault::Stopped)
            }
        }
    }
}
