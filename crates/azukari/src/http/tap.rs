//! Listening in on clients' lines, for the town's page, which shows what really travelled. Only the
//! demo has one, and it hears nothing until it is told to listen. Bearer tokens are never kept: that
//! there was one is enough.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The most messages kept; the oldest make room.
const KEPT_MAX: usize = 512;

/// One message, as it left or arrived.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// Whose line, and of which facility (empty where it belongs to none).
    pub(crate) line: (&'static str, &'static str),
    /// The method of the request, also in its answer.
    pub(crate) method: String,
    /// The path of the request, also in its answer.
    pub(crate) path: String,
    /// Whether a bearer token or key went with it.
    pub(crate) bearer: bool,
    /// The status of an answer; `None` for a request.
    pub(crate) status: Option<u16>,
    /// The body, octet for octet.
    pub(crate) body: Vec<u8>,
}

/// What arrives on a bad line.
#[cfg(test)]
pub(crate) enum Instead {
    /// Nothing, until nobody waits any longer.
    Nothing,
    /// A refusal with this code.
    Refusal(&'static str),
    /// A good answer with other octets.
    Body(Vec<u8>),
    /// The answer, once the second is told to let it pass; the first is told that it is here.
    Held(Arc<tokio::sync::Notify>, Arc<tokio::sync::Notify>),
}

#[derive(Default)]
struct Tape {
    listening: AtomicBool,
    heard: Mutex<VecDeque<Heard>>,
    /// What arrives in the place of answers to paths with these ends.
    #[cfg(test)]
    instead: Mutex<VecDeque<(&'static str, Instead)>>,
}

/// A tap on one line. All taps made from one another write on the same tape, in order.
#[derive(Clone, Default)]
pub(crate) struct Tap {
    line: (&'static str, &'static str),
    tape: Arc<Tape>,
}

impl Tap {
    /// The same tape, another line.
    pub(crate) fn line(&self, who: &'static str, facility: &'static str) -> Self {
        Self { line: (who, facility), tape: Arc::clone(&self.tape) }
    }

    /// Begins to listen.
    pub(crate) fn listen(&self) {
        self.tape.listening.store(true, Ordering::Relaxed);
    }

    /// Everything since the last time.
    pub(crate) fn take(&self) -> Vec<Heard> {
        self.tape.heard.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    pub(super) fn hear(
        &self,
        method: &str,
        path: &str,
        bearer: bool,
        status: Option<u16>,
        body: &[u8],
    ) {
        if !self.tape.listening.load(Ordering::Relaxed) {
            return;
        }
        let mut heard = self.tape.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() >= KEPT_MAX {
            heard.pop_front();
        }
        heard.push_back(Heard {
            line: self.line,
            method: method.to_owned(),
            path: path.to_owned(),
            bearer,
            status,
            body: body.to_vec(),
        });
    }

    /// What is asked next of a path with this end is done, and something else arrives than its answer.
    #[cfg(test)]
    pub(crate) fn replace(&self, end: &'static str, instead: Instead) {
        let mut all = self.tape.instead.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back((end, instead));
    }

    /// What arrives in the place of the answer to this path, if anything is to.
    #[cfg(test)]
    pub(super) fn instead(&self, path: &str) -> Option<Instead> {
        let mut all = self.tape.instead.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|(end, _)| path.ends_with(end))?;
        all.remove(at).map(|(_, instead)| instead)
    }
}
