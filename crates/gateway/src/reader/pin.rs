//! A PIN on its way from its holder's fingers to her card.

use std::fmt;

use zeroize::Zeroizing;

use super::{CardRefusal, Tries};

/// A PIN. It is never shown, written down or sent anywhere but to the card, and its memory is zeroed.
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// What was typed. Full-width digits and letters, as a Japanese keyboard may give them, are the
    /// same PIN.
    pub fn new(typed: Zeroizing<String>) -> Self {
        // Of the same length: nothing is left behind in memory that a growing string gave back.
        let mut pin = Zeroizing::new(String::with_capacity(typed.len()));
        pin.extend(typed.chars().map(|c| match c {
            '！'..='～' => {
                char::from_u32(u32::from(c) - u32::from('！') + u32::from('!')).unwrap_or(c)
            }
            other => other,
        }));
        Self(pin)
    }

    pub(super) fn octets(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Whether it can be right and may be tried.
    pub(crate) fn may_be_sent(
        &self,
        form: PinForm,
        tries: Tries,
        last: LastTry,
    ) -> Result<(), CardRefusal> {
        if tries == Tries::Blocked {
            return Err(CardRefusal::PinBlocked);
        }
        if !form.fits(self.octets()) {
            return Err(CardRefusal::PinMalformed(form));
        }
        if tries.is_last() && last == LastTry::Unasked {
            return Err(CardRefusal::PinLastTry);
        }
        Ok(())
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a PIN")
    }
}

/// Whether the holder was told that this is her last try, and wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastTry {
    /// She was not.
    Unasked,
    /// She was.
    Wanted,
}

/// What a PIN looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinForm {
    /// So many digits.
    Digits(u8),
    /// So many to so many visible ASCII characters.
    Characters(u8, u8),
}

impl PinForm {
    fn fits(self, pin: &[u8]) -> bool {
        let length = u8::try_from(pin.len()).unwrap_or(u8::MAX);
        match self {
            Self::Digits(digits) => length == digits && pin.iter().all(u8::is_ascii_digit),
            Self::Characters(least, most) => {
                (least..=most).contains(&length) && pin.iter().all(u8::is_ascii_graphic)
            }
        }
    }
}

impl fmt::Display for PinForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digits(digits) => write!(f, "{digits} digits"),
            Self::Characters(least, most) => write!(f, "{least} to {most} characters"),
        }
    }
}
