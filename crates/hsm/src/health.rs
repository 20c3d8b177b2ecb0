//! How the device is, for whoever runs the platform.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hpki::time::Timestamp;

/// How the device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Working,
    /// The last call found it gone, the reason is as the device told it. The next call tries to
    /// reach it again.
    Lost {
        /// When somebody first looked and found it so.
        since: Timestamp,
        /// What the device said.
        why: String,
    },
    /// It is being reached anew at this moment.
    Reopening,
    /// It is there and does not let us in any more (the PIN was changed or is locked). Nothing is
    /// tried again by itself: start anew when the cause is gone.
    Barred {
        /// The code of the refusal.
        code: &'static str,
    },
}

/// Which device it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameplate {
    /// `vault`, or the name in the quirks table (`SoftHSM2`, `unknown`).
    pub kind: String,
    /// The token's label and serial number; empty for a vault.
    pub token: String,
}

#[derive(Debug)]
enum State {
    Working,
    Lost { since: Option<Timestamp>, why: String },
    Reopening,
    Barred(&'static str),
}

/// Looks at the device's state; clones look at the same device, and none can use it.
#[derive(Debug, Clone)]
pub struct DeviceWatch {
    nameplate: Arc<Nameplate>,
    state: Arc<Mutex<State>>,
    /// Whether the state is another than working: asked at each call.
    troubled: Arc<AtomicBool>,
}

impl DeviceWatch {
    pub(crate) fn new(nameplate: Nameplate) -> Self {
        Self {
            nameplate: Arc::new(nameplate),
            state: Arc::new(Mutex::new(State::Working)),
            troubled: Arc::default(),
        }
    }

    pub(crate) fn vault() -> Self {
        Self::new(Nameplate { kind: "vault".into(), token: String::new() })
    }

    /// Which device it is.
    pub fn nameplate(&self) -> &Nameplate {
        &self.nameplate
    }

    /// How it is now. Looking asks the device nothing.
    pub fn look(&self, now: Timestamp) -> Health {
        match &mut *self.lock() {
            State::Working => Health::Working,
            State::Lost { since, why } => {
                Health::Lost { since: *since.get_or_insert(now), why: why.clone() }
            }
            State::Reopening => Health::Reopening,
            State::Barred(code) => Health::Barred { code },
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn working(&self) {
        if self.troubled.load(Ordering::Relaxed) {
            let mut state = self.lock();
            *state = State::Working;
            self.troubled.store(false, Ordering::Relaxed);
        }
    }

    pub(crate) fn lost(&self, why: String) {
        let mut state = self.lock();
        let since = if let State::Lost { since, .. } = *state { since } else { None };
        *state = State::Lost { since, why };
        self.troubled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn reopening(&self) {
        let mut state = self.lock();
        // Since when it has been lost is not forgotten by trying.
        if matches!(*state, State::Working) {
            *state = State::Reopening;
            self.troubled.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn barred(&self, code: &'static str) {
        let mut state = self.lock();
        *state = State::Barred(code);
        self.troubled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn bar(&self) -> Option<&'static str> {
        if !self.troubled.load(Ordering::Relaxed) {
            return None;
        }
        if let State::Barred(code) = *self.lock() { Some(code) } else { None }
    }
}
