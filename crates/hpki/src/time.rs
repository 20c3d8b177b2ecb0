//! Time as the house speaks it: whole seconds since 1970-01-01T00:00:00Z, and Japan Standard Time,
//! which is a fixed nine hours ahead (no daylight saving since 1951).
//!
//! Nothing here reads a clock: `now` is always a parameter.

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// A moment, in whole seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

/// The last second of the year 9999; RFC 5280 §4.1.2.5 cannot express a later one.
const LATEST: u64 = 253_402_300_799;
const JST_OFFSET: u64 = 9 * 3600;
const DAY: u64 = 86_400;

impl Timestamp {
    /// The moment this many seconds after the Unix epoch; later than the year 9999 is clamped.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(if seconds > LATEST { LATEST } else { seconds })
    }

    /// Seconds since the Unix epoch.
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// This moment and `seconds` more.
    pub const fn plus(self, seconds: u64) -> Self {
        Self::from_seconds(self.0.saturating_add(seconds))
    }

    /// This moment less `seconds`; not before the epoch.
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Seconds from `earlier` to this moment; zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The last midnight of Japan Standard Time at or before this moment.
    pub const fn jst_midnight(self) -> Self {
        let local = self.0.saturating_add(JST_OFFSET);
        Self((local - local % DAY).saturating_sub(JST_OFFSET))
    }

    /// The same wall-clock moment `years` later; 29 February becomes 28 February where the later
    /// year has none.
    pub fn plus_years_jst(self, years: i32) -> Self {
        let local = self.in_jst();
        let year = local.year() + years;
        let moved = local
            .replace_year(year)
            .or_else(|_| local.replace_day(28).and_then(|shorter| shorter.replace_year(year)));
        moved.map_or(self, |date| {
            Self::from_seconds(u64::try_from(date.unix_timestamp()).unwrap_or(0))
        })
    }

    /// `2026-11-21T04:42:00Z`.
    pub fn rfc3339(self) -> String {
        self.date_time().format(&Rfc3339).unwrap_or_default()
    }

    /// `2026-11-21T04:42:00+00:00`: the form in which real signed prescriptions write SigningTime.
    pub fn xsd_utc(self) -> String {
        let mut text = self.rfc3339();
        if text.ends_with('Z') {
            text.pop();
            text.push_str("+00:00");
        }
        text
    }

    /// `2026年11月21日 13:42` in Japan Standard Time, for people.
    pub fn jst_ja(self) -> String {
        let format = format_description!("[year]年[month]月[day]日 [hour]:[minute]");
        self.in_jst().format(&format).unwrap_or_default()
    }

    /// `2026-11-21 13:42:00 JST`, for people and reports.
    pub fn jst_text(self) -> String {
        let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] JST");
        self.in_jst().format(&format).unwrap_or_default()
    }

    /// `20261121`, the JST calendar day in the form prescription records use.
    pub fn jst_day(self) -> String {
        let format = format_description!("[year][month][day]");
        self.in_jst().format(&format).unwrap_or_default()
    }

    /// Reads RFC 3339 (`2026-11-21T04:42:00Z`, any offset); fractions of a second are dropped.
    /// `None` for anything else, and for years before 1970.
    pub fn parse(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        u64::try_from(moment.unix_timestamp()).ok().map(Self::from_seconds)
    }

    /// This moment as the `time` crate's type, in UTC.
    pub fn date_time(self) -> OffsetDateTime {
        i64::try_from(self.0)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// In Japan Standard Time. The last nine hours of the year 9999, which certificates without a
    /// known end are dated with (RFC 5280 §4.1.2.5), have no such time: they stay at its last
    /// second.
    fn in_jst(self) -> OffsetDateTime {
        Self(self.0.min(LATEST - JST_OFFSET)).date_time().to_offset(jst())
    }
}

fn jst() -> UtcOffset {
    UtcOffset::from_hms(9, 0, 0).unwrap_or(UtcOffset::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jst_midnight_is_fifteen_hundred_utc() {
        let moment = Timestamp::parse("2022-02-07T03:00:00+09:00").unwrap();
        assert_eq!(moment.jst_midnight().rfc3339(), "2022-02-06T15:00:00Z");
    }

    #[test]
    fn a_leap_day_moves_to_the_twenty_eighth() {
        let moment = Timestamp::parse("2028-02-29T12:00:00+09:00").unwrap();
        assert_eq!(moment.plus_years_jst(5).rfc3339(), "2033-02-28T03:00:00Z");
    }

    #[test]
    fn the_last_second_of_the_year_9999_is_shown_and_not_fallen_over() {
        for moment in ["9999-12-31T23:59:59Z", "9999-12-31T15:00:00Z"] {
            let last = Timestamp::parse(moment).unwrap();
            assert_eq!(last.jst_text(), "9999-12-31 23:59:59 JST");
            assert_eq!(last.jst_day(), "99991231");
            assert!(last.jst_ja().starts_with("9999年12月31日"));
            assert_eq!(last.plus_years_jst(5), last);
        }
    }

    #[test]
    fn signing_time_is_written_with_a_utc_offset() {
        let moment = Timestamp::parse("2022-09-07T08:08:01Z").unwrap();
        assert_eq!(moment.xsd_utc(), "2022-09-07T08:08:01+00:00");
    }
}
