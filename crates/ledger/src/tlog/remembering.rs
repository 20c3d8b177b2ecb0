//! A log's key that remembers which checkpoints it has verified: one commit, and so one checkpoint,
//! stands behind many proofs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Checkpoint, Proof, VerifiedEntry, VerifyKey};
use crate::refusal::Refusal;

/// Checkpoints remembered at once.
const REMEMBERED: usize = 4096;

/// A pinned log for whoever verifies many proofs. Believes exactly what [`Proof::verify`] believes.
#[derive(Debug)]
pub struct Remembering {
    log: VerifyKey,
    known: Mutex<HashMap<String, Arc<Checkpoint>>>,
}

impl Remembering {
    /// Remembers nothing yet.
    pub fn new(log: VerifyKey) -> Self {
        Self { log, known: Mutex::default() }
    }

    /// As [`Proof::verify`] with this log's key.
    pub fn verify(&self, proof: &Proof) -> Result<VerifiedEntry, Refusal> {
        let checkpoint = self.checkpoint(&proof.checkpoint)?;
        proof.verify_under(&checkpoint)
    }

    /// The checkpoint of this very note, octet for octet, verified now or before.
    fn checkpoint(&self, note: &str) -> Result<Arc<Checkpoint>, Refusal> {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(note) {
            return Ok(Arc::clone(known));
        }
        let checkpoint = Arc::new(self.log.verify(note)?);
        let mut known = lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(note.to_owned(), Arc::clone(&checkpoint));
        Ok(checkpoint)
    }
}
