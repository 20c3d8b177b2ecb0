//! A share as four lines that a person can print, read aloud and type.
//!
//! ```text
//! 1  24R7M  3CJ2P  0Y8HT  XS4VQ  7K
//! ```
//! The number of the line, four groups of five and two check characters, in Crockford's Base32
//! (no I, L, O, U; typed I and L are read as 1, O as 0; case, spaces and hyphens do not matter).
//! Each line's check covers its number, so that a mistyped, missing or exchanged line is told
//! while its officer still stands there.

use hpki::encoding::Statement;
use zeroize::Zeroizing;

use super::{Refusal, Share, WHOLE};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Lines of a share.
const LINES: usize = 4;
/// Characters of a line that carry the share: 100 bits.
const CARRYING: usize = 20;
const GROUP: usize = 5;
const CHECKING: usize = 2;

impl Share {
    /// The four lines, without line feeds.
    pub fn to_lines(&self) -> [Zeroizing<String>; LINES] {
        let digits = digits(&self.octets());
        std::array::from_fn(|line| {
            let carrying = &digits[line * CARRYING..(line + 1) * CARRYING];
            let mut text = Zeroizing::new(String::with_capacity(40));
            text.push(char::from(b'1' + u8::try_from(line).unwrap_or(0)));
            for group in carrying.chunks(GROUP) {
                text.push_str("  ");
                group.iter().for_each(|digit| text.push(letter(*digit)));
            }
            text.push_str("  ");
            check(line, carrying).iter().for_each(|digit| text.push(letter(*digit)));
            text
        })
    }

    /// Reads four lines back. Empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`Refusal::ShareMalformed`], [`Refusal::ShareLineWrong`], [`Refusal::ShareDamaged`],
    /// [`Refusal::ShareVersionUnknown`].
    pub fn from_lines(text: &str) -> Result<Self, Refusal> {
        let mut collected = Zeroizing::new([0; LINES * CARRYING]);
        let mut lines =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for number in 0..LINES {
            let line =
                lines.next().ok_or(Refusal::ShareMalformed("it has fewer than four lines"))?;
            let carrying = read_line(number, line)?;
            collected[number * CARRYING..(number + 1) * CARRYING].copy_from_slice(&*carrying);
        }
        if lines.next().is_some() {
            return Err(Refusal::ShareMalformed("it has more than four lines"));
        }
        Self::from_octets(&octets(&collected))
    }

    /// Whether this is line `number` (from 1) of a share, as far as its own check tells: to be
    /// asked while somebody types.
    ///
    /// # Errors
    /// [`Refusal::ShareLineWrong`].
    pub fn check_line(number: usize, line: &str) -> Result<(), Refusal> {
        if !(1..=LINES).contains(&number) {
            return Err(Refusal::ShareLineWrong(number));
        }
        read_line(number - 1, line).map(drop)
    }
}

fn read_line(number: usize, line: &str) -> Result<Zeroizing<[u8; CARRYING]>, Refusal> {
    let wrong = || Refusal::ShareLineWrong(number + 1);
    let mut digits = Zeroizing::new(Vec::with_capacity(1 + CARRYING + CHECKING));
    for letter in line.bytes().filter(|octet| !matches!(octet, b' ' | b'\t' | b'-' | b':')) {
        if digits.len() > CARRYING + CHECKING {
            return Err(wrong());
        }
        digits.push(digit(letter).ok_or_else(wrong)?);
    }
    let (first, rest) = digits.split_first().ok_or_else(wrong)?;
    let (carrying, told) = rest.split_first_chunk::<CARRYING>().ok_or_else(wrong)?;
    let named = usize::from(*first) == number + 1;
    if !named || told != check(number, carrying) {
        return Err(wrong());
    }
    Ok(Zeroizing::new(*carrying))
}

/// Ten bits over the line's number and digits.
fn check(number: usize, carrying: &[u8]) -> [u8; CHECKING] {
    let digest = Statement::new("azukari/share/line/v1")
        .number(u64::try_from(number).unwrap_or(u64::MAX) + 1)
        .octets_field(carrying)
        .digest();
    [digest[0] >> 3, digest[1] >> 3]
}

/// 400 bits as 80 digits of five bits, first bit first.
fn digits(octets: &[u8; WHOLE]) -> Zeroizing<[u8; LINES * CARRYING]> {
    let mut out = Zeroizing::new([0; LINES * CARRYING]);
    for (five, eight) in octets.chunks(5).zip(out.chunks_mut(8)) {
        let bits = five.iter().fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
        for (place, digit) in eight.iter_mut().enumerate() {
            *digit = u8::try_from(bits >> (35 - 5 * place) & 31).unwrap_or(0);
        }
    }
    out
}

fn octets(digits: &[u8; LINES * CARRYING]) -> Zeroizing<[u8; WHOLE]> {
    let mut out = Zeroizing::new([0; WHOLE]);
    for (eight, five) in digits.chunks(8).zip(out.chunks_mut(5)) {
        let bits = eight.iter().fold(0_u64, |bits, digit| bits << 5 | u64::from(*digit));
        five.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    out
}

fn letter(digit: u8) -> char {
    char::from(ALPHABET[usize::from(digit & 31)])
}

fn digit(letter: u8) -> Option<u8> {
    let letter = match letter.to_ascii_uppercase() {
        b'I' | b'L' => b'1',
        b'O' => b'0',
        other => other,
    };
    let place = ALPHABET.iter().position(|known| *known == letter)?;
    u8::try_from(place).ok()
}
