//! Command and answer (ISO 7816-3 §12.1, ISO 7816-4 §5.1).

/// A status that is not 9000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(pub(super) u16);

impl Status {
    pub(super) const WRONG_LENGTH: Self = Self(0x6700);
    pub(super) const CHAIN_BROKEN: Self = Self(0x6883);
    pub(super) const NO_FILE_SELECTED: Self = Self(0x6986);
    pub(super) const NOT_VERIFIED: Self = Self(0x6982);
    pub(super) const PIN_BLOCKED: Self = Self(0x6983);
    pub(super) const NOT_ALLOWED: Self = Self(0x6985);
    pub(super) const WRONG_DATA: Self = Self(0x6a80);
    pub(super) const NO_FILE: Self = Self(0x6a82);
    pub(super) const WRONG_P1P2: Self = Self(0x6a86);
    pub(super) const NO_REFERENCE: Self = Self(0x6a88);
    pub(super) const WRONG_OFFSET: Self = Self(0x6b00);
    pub(super) const NO_INSTRUCTION: Self = Self(0x6d00);
    pub(super) const NO_CLASS: Self = Self(0x6e00);

    /// 63Cx: so many tries are left.
    pub(super) fn tries(left: u8) -> Self {
        Self(0x63c0 | u16::from(left.min(15)))
    }
}

/// What a command gives: data with 9000, or another status.
pub(super) type Outcome = Result<Vec<u8>, Status>;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) class: u8,
    pub(super) instruction: u8,
    pub(super) p1: u8,
    pub(super) p2: u8,
    pub(super) data: Vec<u8>,
    /// How many octets the caller expects at most; `None` if none.
    pub(super) expected: Option<usize>,
}

impl Command {
    /// Reads the four cases, short and extended.
    pub(super) fn parse(octets: &[u8]) -> Result<Self, Status> {
        let wrong = Status::WRONG_LENGTH;
        let (head, body) = octets.split_first_chunk::<4>().ok_or(wrong)?;
        let [class, instruction, p1, p2] = *head;
        let short = |octet: u8| if octet == 0 { 256 } else { usize::from(octet) };
        let long = |pair: [u8; 2]| match u16::from_be_bytes(pair) {
            0 => 65_536,
            length => usize::from(length),
        };
        let (data, expected) = match body {
            [] => (&[][..], None),
            [le] => (&[][..], Some(short(*le))),
            [0, a, b] => (&[][..], Some(long([*a, *b]))),
            [0, a, b, rest @ ..] => {
                let length = usize::from(u16::from_be_bytes([*a, *b]));
                let (data, le) = rest.split_at_checked(length).ok_or(wrong)?;
                match le {
                    [] => (data, None),
                    [a, b] => (data, Some(long([*a, *b]))),
                    _ => return Err(wrong),
                }
            }
            [length, rest @ ..] => {
                let (data, le) = rest.split_at_checked(usize::from(*length)).ok_or(wrong)?;
                match le {
                    [] => (data, None),
                    [le] => (data, Some(short(*le))),
                    _ => return Err(wrong),
                }
            }
        };
        Ok(Self { class, instruction, p1, p2, data: data.to_vec(), expected })
    }
}

/// Parts of a command that was too long for one (ISO 7816-4 §5.1.1.1).
#[derive(Debug, Default)]
pub(super) struct Chain(Option<Command>);

impl Chain {
    /// Takes a command; gives it whole once its last part is there.
    pub(super) fn take(&mut self, mut command: Command) -> Result<Option<Command>, Status> {
        // Only classes of the standard say by this bit that more follows.
        let more = command.class & 0x90 == 0x10;
        if more {
            command.class &= !0x10;
        }
        let begun = self.0.take();
        if let Some(before) = begun {
            let same = (before.class, before.instruction, before.p1, before.p2)
                == (command.class, command.instruction, command.p1, command.p2);
            if !same {
                return Err(Status::CHAIN_BROKEN);
            }
            let mut data = before.data;
            data.extend_from_slice(&command.data);
            command.data = data;
        }
        // No command of these cards carries more than one RSA block and its wrapping.
        if command.data.len() > 4096 {
            return Err(Status::WRONG_LENGTH);
        }
        if more {
            self.0 = Some(command);
            return Ok(None);
        }
        Ok(Some(command))
    }
}

/// The octets of an answer.
pub(super) fn answer(outcome: Outcome) -> Vec<u8> {
    let (mut octets, status) = match outcome {
        Ok(data) => (data, 0x9000),
        Err(Status(status)) => (Vec::new(), status),
    };
    octets.extend_from_slice(&u16::to_be_bytes(status));
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(octets: &[u8]) -> (usize, Option<usize>) {
        let command = Command::parse(octets).unwrap();
        (command.data.len(), command.expected)
    }

    #[test]
    fn the_four_cases_are_read_short_and_extended() {
        assert_eq!(parsed(&[0, 0xa4, 2, 0x0c]), (0, None));
        assert_eq!(parsed(&[0, 0xb0, 0, 0, 0]), (0, Some(256)));
        assert_eq!(parsed(&[0, 0xb0, 0, 0, 4]), (0, Some(4)));
        assert_eq!(parsed(&[0, 0xb0, 0, 0, 0, 0, 0]), (0, Some(65_536)));
        assert_eq!(parsed(&[0, 0xa4, 2, 0x0c, 2, 0, 6]), (2, None));
        assert_eq!(parsed(&[0, 0xa4, 2, 0x0c, 2, 0, 6, 0]), (2, Some(256)));
        let mut long = vec![0, 0x2a, 0x9e, 0x9a, 0, 1, 0];
        long.extend_from_slice(&[7; 256]);
        assert_eq!(parsed(&long), (256, None));
        long.extend_from_slice(&[0, 0]);
        assert_eq!(parsed(&long), (256, Some(65_536)));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        for octets in [
            &[][..],
            &[0, 0xa4, 2],
            &[0, 0xa4, 2, 0x0c, 3, 0, 6],
            &[0, 0xa4, 2, 0x0c, 1, 0, 6, 0],
            &[0, 0x2a, 0x9e, 0x9a, 0, 1, 0, 7],
        ] {
            assert_eq!(Command::parse(octets), Err(Status::WRONG_LENGTH), "{octets:?}");
        }
    }

    #[test]
    fn a_chain_gives_the_whole_at_its_end_and_breaks_when_another_command_comes_between() {
        let part = |class, data: &[u8]| {
            let mut octets = vec![class, 0x2a, 0x9e, 0x9a, u8::try_from(data.len()).unwrap()];
            octets.extend_from_slice(data);
            Command::parse(&octets).unwrap()
        };
        let mut chain = Chain::default();
        assert_eq!(chain.take(part(0x10, b"ab")), Ok(None));
        assert_eq!(chain.take(part(0x00, b"c")).unwrap().unwrap().data, b"abc");
        assert_eq!(chain.take(part(0x10, b"ab")), Ok(None));
        let other = Command::parse(&[0, 0xb0, 0, 0, 0]).unwrap();
        assert_eq!(chain.take(other), Err(Status::CHAIN_BROKEN));
    }
}
