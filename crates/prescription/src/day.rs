//! A calendar day as records write it.

use std::fmt;

/// A day written `YYYYMMDD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

impl Day {
    /// Reads eight digits that name a day of the calendar; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 8 || !text.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        let year: u16 = text.get(..4)?.parse().ok()?;
        let month: u8 = text.get(4..6)?.parse().ok()?;
        let day: u8 = text.get(6..)?.parse().ok()?;
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        (1..=last).contains(&day).then_some(Self { year, month, day })
    }

    /// `2026年11月21日`.
    pub fn ja(self) -> String {
        format!("{}年{}月{}日", self.year, self.month, self.day)
    }
}

/// `2026-11-21`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_of_the_calendar_are_days() {
        assert_eq!(Day::parse("20240229").unwrap().ja(), "2024年2月29日");
        assert_eq!(Day::parse("20261121").unwrap().to_string(), "2026-11-21");
        for wrong in ["20230229", "19000229", "20261301", "20260431", "2026112", "2026年1", ""] {
            assert_eq!(Day::parse(wrong), None, "{wrong}");
        }
    }
}
