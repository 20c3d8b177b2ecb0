//! What a facility calls its people and machines.

use std::fmt;
use std::str::FromStr;

/// A text that cannot be such a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} has 1 to 64 characters, none of them invisible")]
pub struct NotAName(&'static str);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $label:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// As the facility writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = NotAName;
            fn from_str(text: &str) -> Result<Self, NotAName> {
                let odd = |c: char| c.is_control() || (c.is_whitespace() && c != ' ');
                let long = text.chars().count() > 64;
                if text.trim().is_empty() || text.trim() != text || long || text.contains(odd) {
                    return Err(NotAName($label));
                }
                Ok(Self(text.to_owned()))
            }
        }
    };
}

name!(
    /// 職員ID: the facility's own identifier of a person who works there.
    StaffId,
    "a staff ID"
);
name!(
    /// A terminal at which people authenticate.
    TerminalId,
    "a terminal ID"
);
name!(
    /// This gateway, as its client certificate names it.
    GatewayId,
    "a gateway ID"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staff_id_is_short_visible_and_has_no_space_around_it() {
        assert!("dr-001".parse::<StaffId>().is_ok());
        assert!("内科 山".parse::<StaffId>().is_ok());
        for wrong in ["", " ", " a", "a\n", "a\u{3000}b", "a\0b", &"x".repeat(65)] {
            assert!(wrong.parse::<StaffId>().is_err(), "{wrong:?}");
        }
    }
}
