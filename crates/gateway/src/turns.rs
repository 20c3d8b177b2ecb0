//! One at a time for each ceremony. The EHR and a page of the terminal ask for the same approval at the
//! same moment, and what one has signed the other must not close.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hpki::id::CeremonyId;
use tokio::sync::OwnedMutexGuard;

/// Whose turn it is. Memory: a process that died holds nobody up.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<CeremonyId, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody else is at work on this ceremony. The turn ends when what is given is dropped,
    /// also where its holder hangs up.
    pub(crate) async fn take(&self, ceremony: CeremonyId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, turn| turn.strong_count() > 0);
            let known = all.get(&ceremony).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::default();
                all.insert(ceremony, Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}
