//! The one place that reads a clock. Every room below takes `now` as a parameter, so that its
//! tests are replayable; `clippy.toml` bans the standard library's clocks everywhere else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hpki::time::Timestamp;

/// By how many seconds the town of `azukari demo` is ahead. Nothing else ever sets it.
static AHEAD: AtomicU64 = AtomicU64::new(0);

/// Lets time pass in a town: what takes minutes or months is seen at once. Only forward.
pub(crate) fn let_pass(seconds: u64) {
    AHEAD.fetch_add(seconds, Ordering::Relaxed);
}

/// The wall clock, in whole seconds.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_seconds(since.as_secs() + AHEAD.load(Ordering::Relaxed))
}

/// A stopwatch for timelines and benchmarks; never used to decide anything.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
