//! Commands to a card and what it answers (ISO 7816-4 §5).

use zeroize::Zeroizing;

use super::{CardLine, CardRefusal, Tries};

/// No file that is read here is longer.
const FILE_MAX: usize = 8 * 1024;

/// Where a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Its short identifier, 1 to 30.
    Short(u8),
    /// Its identifier.
    File(u16),
}

impl Place {
    /// The identifier by which the file is known to commands that want two octets.
    pub(super) fn id(self) -> u16 {
        match self {
            Self::Short(short) => u16::from(short),
            Self::File(id) => id,
        }
    }
}

pub(super) const OK: u16 = 0x9000;

/// A conversation with one card.
pub(super) struct Talk<'l>(pub(super) &'l mut dyn CardLine);

impl Talk<'_> {
    /// Sends a command, and fetches the rest of an answer that was held back (61xx), as cards do
    /// over T=0.
    pub(super) fn ask(&mut self, command: &[u8]) -> Result<(Vec<u8>, u16), CardRefusal> {
        let mut all = Vec::new();
        let mut answer = self.0.transmit(command)?;
        let mut first = true;
        loop {
            let Some((data, status)) = answer.split_last_chunk::<2>() else {
                return Err(CardRefusal::Malformed("an answer without a status"));
            };
            all.extend_from_slice(data);
            if all.len() > FILE_MAX {
                return Err(CardRefusal::Malformed("an answer that does not end"));
            }
            match status {
                // Only the command's own answer may hold everything back.
                [0x61, _] if data.is_empty() && !first => {
                    return Err(CardRefusal::Malformed("an answer that does not end"));
                }
                [0x61, more] => {
                    answer = self.0.transmit(&[0, 0xc0, 0, 0, *more])?;
                    first = false;
                }
                status => return Ok((all, u16::from_be_bytes(*status))),
            }
        }
    }

    /// Sends a command that has to go well.
    pub(super) fn done(&mut self, command: &[u8]) -> Result<Vec<u8>, CardRefusal> {
        match self.ask(command)? {
            (data, OK) => Ok(data),
            (_, status) => Err(CardRefusal::Answered(status)),
        }
    }

    /// SELECT by file identifier, under the current application; no answer data.
    pub(super) fn select(&mut self, id: u16) -> Result<(), CardRefusal> {
        let [high, low] = id.to_be_bytes();
        self.done(&[0, 0xa4, 0x02, 0x0c, 2, high, low]).map(drop)
    }

    /// Reads a file to its end.
    pub(super) fn file(&mut self, place: Place) -> Result<Vec<u8>, CardRefusal> {
        self.read(place, None)
    }

    /// Reads the one DER value with which a file begins; what follows is padding.
    pub(super) fn value(&mut self, place: Place) -> Result<Vec<u8>, CardRefusal> {
        let mut head = self.read(place, Some(4))?;
        let Some(whole) = der_length(&head) else {
            return Err(CardRefusal::Malformed("a certificate's file begins with no DER value"));
        };
        if whole <= head.len() {
            head.truncate(whole);
            return Ok(head);
        }
        let mut octets = self.read(place, Some(whole))?;
        if octets.len() < whole {
            return Err(CardRefusal::Malformed("a certificate's file ends too early"));
        }
        octets.truncate(whole);
        Ok(octets)
    }

    /// READ BINARY, 256 octets at most at a time, so many or to the end.
    fn read(&mut self, place: Place, most: Option<usize>) -> Result<Vec<u8>, CardRefusal> {
        let most = most.unwrap_or(FILE_MAX).min(FILE_MAX);
        let mut octets = Vec::new();
        let mut by_short = match place {
            Place::Short(short) => Some(0x80 | short),
            Place::File(id) => {
                self.select(id)?;
                None
            }
        };
        while octets.len() < most {
            let [high, low] = u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes();
            // The first reading by short identifier selects the file for the others.
            let [p1, p2] = by_short.take().map_or([high, low], |short| [short, 0]);
            let wanted = (most - octets.len()).min(256);
            // 00 asks for 256.
            let expected = u8::try_from(wanted).unwrap_or(0);
            let (data, status) = self.ask(&[0, 0xb0, p1, p2, expected])?;
            octets.extend_from_slice(&data);
            match status {
                OK if data.len() == wanted => {}
                // Fewer than asked for, or a warning that the file ends here, or nothing behind it.
                OK | 0x6282 => break,
                0x6b00 if !octets.is_empty() => break,
                status => return Err(CardRefusal::Answered(status)),
            }
        }
        Ok(octets)
    }

    /// VERIFY without data: how many tries are left (ISO 7816-4 §11.5.6).
    pub(super) fn tries(&mut self, reference: u8) -> Result<Tries, CardRefusal> {
        let (_, status) = self.ask(&[0, 0x20, 0, reference])?;
        Ok(match status {
            0x63c0 | 0x6983 | 0x6984 => Tries::Blocked,
            status if status & 0xfff0 == 0x63c0 => Tries::Left((status & 0x0f) as u8),
            _ => Tries::Untold,
        })
    }

    /// VERIFY.
    pub(super) fn verify(&mut self, reference: u8, pin: &[u8]) -> Result<(), CardRefusal> {
        let length = u8::try_from(pin.len())
            .map_err(|_| CardRefusal::Malformed("a PIN longer than a command"))?;
        let mut command = Zeroizing::new(Vec::with_capacity(5 + pin.len()));
        command.extend_from_slice(&[0, 0x20, 0, reference, length]);
        command.extend_from_slice(pin);
        match self.ask(&command)?.1 {
            OK => Ok(()),
            0x63c0 | 0x6983 | 0x6984 => Err(CardRefusal::PinBlocked),
            0x6300 => Err(CardRefusal::PinWrong(Tries::Untold)),
            status if status & 0xfff0 == 0x63c0 => {
                Err(CardRefusal::PinWrong(Tries::Left((status & 0x0f) as u8)))
            }
            status => Err(CardRefusal::Answered(status)),
        }
    }
}

/// How long the DER value is that begins so.
fn der_length(head: &[u8]) -> Option<usize> {
    match head {
        [0x30, length @ 0..=0x7f, ..] => Some(2 + usize::from(*length)),
        [0x30, 0x81, length, ..] => Some(3 + usize::from(*length)),
        [0x30, 0x82, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card that holds every answer back.
    struct Holding(usize);

    impl CardLine for Holding {
        fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, CardRefusal> {
            self.0 += 1;
            Ok(vec![0x61, 0x10])
        }
    }

    #[test]
    fn a_card_that_promises_and_never_gives_is_given_up() {
        let mut card = Holding(0);
        let asked = Talk(&mut card).ask(&[0, 0xb0, 0, 0, 0]);
        assert!(matches!(asked, Err(CardRefusal::Malformed(_))));
        assert_eq!(card.0, 2, "the command, and one GET RESPONSE");
    }
}
