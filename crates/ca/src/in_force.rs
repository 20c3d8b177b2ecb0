//! Which facility certificates were found in force, remembered as long as nobody but this process
//! writes to the store.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpki::encoding::Digest32;

/// More are forgotten all at once, and read again.
const MOST: usize = 65_536;

/// A reader may be slower than the commit that revokes. So a revocation ends everything that is
/// remembered, and what was read before it, or while it goes on, is not remembered after it.
#[derive(Debug, Default)]
pub(crate) struct InForce(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    found: HashSet<Digest32>,
    revoking: usize,
    ended: u64,
}

/// The state in which a reading began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since(u64);

/// Somebody revokes, until this is dropped: after the commit, whatever became of it.
#[derive(Debug)]
pub(crate) struct Revoking(Arc<InForce>);

impl InForce {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this certificate is remembered; if not, what to bring back when it was read.
    pub(crate) fn look(&self, certificate: &Digest32) -> Result<(), Since> {
        let memory = self.lock();
        if memory.found.contains(certificate) { Ok(()) } else { Err(Since(memory.ended)) }
    }

    /// It was read that this certificate is in force.
    pub(crate) fn remember(&self, certificate: Digest32, since: Since) {
        let mut memory = self.lock();
        if memory.revoking > 0 || memory.ended != since.0 {
            return;
        }
        if memory.found.len() >= MOST {
            memory.found.clear();
        }
        memory.found.insert(certificate);
    }

    /// To be taken along into the commit that revokes.
    pub(crate) fn revoking(self: &Arc<Self>) -> Revoking {
        let mut memory = self.lock();
        memory.revoking += 1;
        memory.found.clear();
        Revoking(Arc::clone(self))
    }
}

impl Drop for Revoking {
    fn drop(&mut self) {
        let mut memory = self.0.lock();
        memory.revoking -= 1;
        memory.ended += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_read_before_a_revocation_ended_is_remembered_after_it() {
        let in_force = Arc::new(InForce::default());
        let (one, other) = ([1; 32], [2; 32]);
        let since = in_force.look(&one).unwrap_err();
        in_force.remember(one, since);
        assert!(in_force.look(&one).is_ok());

        let slow = in_force.look(&other).unwrap_err();
        let first = in_force.revoking();
        let during = in_force.look(&one).unwrap_err();
        let second = in_force.revoking();
        in_force.remember(one, during);
        assert!(in_force.look(&one).is_err(), "two are revoking");
        drop(first);
        let between = in_force.look(&one).unwrap_err();
        in_force.remember(one, between);
        assert!(in_force.look(&one).is_err(), "one is revoking");
        drop(second);
        in_force.remember(other, slow);
        in_force.remember(one, during);
        in_force.remember(one, between);
        assert!(in_force.look(&one).is_err() && in_force.look(&other).is_err());

        let since = in_force.look(&one).unwrap_err();
        in_force.remember(one, since);
        assert!(in_force.look(&one).is_ok());
    }
}
