//! The one place that reads a clock. Every room below takes `now` as a parameter, so that its
//! tests are replayable; `clippy.toml` bans the standard library's clocks everywhere else.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hpki::time::Timestamp;

/// The wall clock, in whole seconds.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_seconds(since.as_secs())
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
