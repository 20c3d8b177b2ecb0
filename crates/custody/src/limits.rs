//! The limits of one approval: configuration, bounded in code.

use hpki::time::Timestamp;

/// The most signatures that any configuration can allow one approval.
pub const COUNT_CEILING: u32 = 2_000;
/// The most signatures that any configuration can allow one token within an hour.
pub const TOKEN_CEILING: u32 = 10_000;
/// The most signatures that any configuration can allow one facility within an hour.
pub const FACILITY_CEILING: u32 = 1_000_000;
/// The longest that any approval can last: 18 hours.
pub(crate) const LONGEST_S: u64 = 64_800;
/// An approval opens a budget at most this long after its beginning.
pub(crate) const FRESH_S: u64 = 600;
/// How long a reservation is held for one signature.
pub(crate) const LEASE_S: u64 = 30;
/// How long an interrupted order can be resumed with its stored SignedInfo.
pub(crate) const RESUME_S: u64 = 600;
/// How long a stored answer is repeated.
pub(crate) const ANSWER_S: u64 = 86_400;
/// How long what led to nothing is kept: SADs, and preparations that nobody approved.
pub(crate) const FORGET_S: u64 = 86_400;
/// How far our clock may be behind the last time in the journal: two requests that read the clock
/// on either side of a second may be committed in the other order.
pub(crate) const CLOCK_BEHIND_S: u64 = 5;
/// How far ahead of our clock a token or an approval may begin.
pub(crate) const CLOCK_AHEAD_S: u64 = 5;
/// A loaded key that signs nothing for this long is unloaded.
pub(crate) const IDLE_S: u64 = 900;

/// How much one approval may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    count: u32,
    hourly: u32,
    token_hourly: u32,
    facility_hourly: u32,
}

impl Default for Limits {
    /// 300 signatures in 18 hours, 100 in one hour; also with what is approved by itself, 2,000 in
    /// one hour for a token and 20,000 for a facility.
    fn default() -> Self {
        Self { count: 300, hourly: 100, token_hourly: 2_000, facility_hourly: 20_000 }
    }
}

impl Limits {
    /// At most `count` signatures for one approval, at most `hourly` within one hour; `None` if
    /// either is zero or above [`COUNT_CEILING`].
    pub fn new(count: u32, hourly: u32) -> Option<Self> {
        let sane = |number: u32| (1..=COUNT_CEILING).contains(&number);
        (sane(count) && sane(hourly)).then_some(Self { count, hourly, ..Self::default() })
    }
    /// The same with at most so many signatures within one hour for one token, and for one
    /// facility, whoever approved them and how; `None` if either is zero or above
    /// [`TOKEN_CEILING`], [`FACILITY_CEILING`].
    pub fn within_an_hour(self, token: u32, facility: u32) -> Option<Self> {
        let sane =
            (1..=TOKEN_CEILING).contains(&token) && (1..=FACILITY_CEILING).contains(&facility);
        sane.then_some(Self { token_hourly: token, facility_hourly: facility, ..self })
    }
    /// The most signatures of one approval.
    pub const fn count(&self) -> u32 {
        self.count
    }
    /// The most signatures of one approval within one hour of the clock.
    pub const fn hourly(&self) -> u32 {
        self.hourly
    }
    /// The most signatures of one token within one hour of the clock.
    pub const fn token_hourly(&self) -> u32 {
        self.token_hourly
    }
    /// The most signatures of one facility within one hour of the clock.
    pub const fn facility_hourly(&self) -> u32 {
        self.facility_hourly
    }
}

/// The hour of the clock that a moment lies in.
pub(crate) const fn hour(now: Timestamp) -> u64 {
    now.seconds() / 3600
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_above_the_ceiling_or_of_zero_cannot_be_configured() {
        assert!(Limits::new(2_000, 100).is_some());
        assert!(Limits::new(2_001, 100).is_none());
        assert!(Limits::new(300, 0).is_none());
        let limits = Limits::default();
        assert!(limits.within_an_hour(TOKEN_CEILING, FACILITY_CEILING).is_some());
        assert!(limits.within_an_hour(TOKEN_CEILING + 1, 1).is_none());
        assert!(limits.within_an_hour(1, FACILITY_CEILING + 1).is_none());
        assert!(limits.within_an_hour(0, 1).is_none());
        assert!(limits.within_an_hour(1, 0).is_none());
    }
}
