//! The small part of DER (ITU-T X.690 §10) that certificates and revocation lists need.
//!
//! Certificates are judged and compared by their octets, so this writes exactly what it is told and
//! reads without copying: every value knows where in the input it stood. Reading is strict about
//! lengths (definite, shortest form) and tags (single octet); recursion happens only where a caller
//! asks for it, so nesting in hostile input costs nothing.

use std::ops::Range;

use const_oid::ObjectIdentifier;

use crate::time::Timestamp;

/// Octets that are not the DER they should be; says what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Tag octets used in this house.
#[allow(missing_docs)] // the names are those of X.680
pub mod tag {
    pub const BOOLEAN: u8 = 0x01;
    pub const INTEGER: u8 = 0x02;
    pub const BIT_STRING: u8 = 0x03;
    pub const OCTET_STRING: u8 = 0x04;
    pub const NULL: u8 = 0x05;
    pub const OID: u8 = 0x06;
    pub const ENUMERATED: u8 = 0x0a;
    pub const UTF8_STRING: u8 = 0x0c;
    pub const NUMERIC_STRING: u8 = 0x12;
    pub const PRINTABLE_STRING: u8 = 0x13;
    pub const T61_STRING: u8 = 0x14;
    pub const IA5_STRING: u8 = 0x16;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    /// `[n]` primitive.
    pub const fn context(number: u8) -> u8 {
        0x80 | number
    }
    /// `[n]` constructed.
    pub const fn context_constructed(number: u8) -> u8 {
        0xa0 | number
    }
}

/// One value: its tag, its content and its place in the whole input.
#[derive(Debug, Clone, Copy)]
pub struct Tlv<'a> {
    /// The identifier octet.
    pub tag: u8,
    /// The content octets.
    pub content: &'a [u8],
    start: usize,
    content_start: usize,
}

impl<'a> Tlv<'a> {
    /// Where the whole value (with tag and length) stands in the outermost input.
    pub fn range(&self) -> Range<usize> {
        self.start..self.content_start + self.content.len()
    }
    /// Where the content stands in the outermost input.
    pub fn content_range(&self) -> Range<usize> {
        self.content_start..self.content_start + self.content.len()
    }
    /// Reads the values inside.
    pub fn inside(&self) -> Reader<'a> {
        Reader { rest: self.content, at: self.content_start }
    }
    /// The value as an object identifier.
    pub fn oid(&self) -> Result<ObjectIdentifier, Malformed> {
        self.must_be(tag::OID)?;
        ObjectIdentifier::from_bytes(self.content).map_err(|_| Malformed("object identifier"))
    }
    /// The value as a boolean: 00 or FF.
    pub fn boolean(&self) -> Result<bool, Malformed> {
        self.must_be(tag::BOOLEAN)?;
        match self.content {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(Malformed("boolean")),
        }
    }
    /// The content of a non-negative integer in shortest form, without the sign octet.
    pub fn unsigned(&self) -> Result<&'a [u8], Malformed> {
        self.must_be(tag::INTEGER)?;
        unsigned(self.content)
    }
    /// A non-negative integer that fits 64 bits.
    pub fn number(&self) -> Result<u64, Malformed> {
        let octets = self.unsigned()?;
        if octets.len() > 8 {
            return Err(Malformed("integer too large"));
        }
        Ok(octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
    }
    /// The octets of a bit string and the number of unused bits at its end.
    pub fn bits(&self) -> Result<(&'a [u8], u8), Malformed> {
        self.must_be(tag::BIT_STRING)?;
        bits(self.content)
    }
    /// A moment: `UTCTime` (years 1950–2049) or `GeneralizedTime`, in whole seconds and `Z`
    /// (RFC 5280 §4.1.2.5). Moments before 1970 are malformed here: no HPKI is that old.
    pub fn time(&self) -> Result<Timestamp, Malformed> {
        time(self.tag, self.content).ok_or(Malformed("time"))
    }
    /// The text of a character string: UTF8String, PrintableString, IA5String or NumericString.
    pub fn text(&self) -> Result<&'a str, Malformed> {
        let text = std::str::from_utf8(self.content).map_err(|_| Malformed("text"))?;
        let fits = match self.tag {
            tag::UTF8_STRING => true,
            tag::PRINTABLE_STRING => text.bytes().all(is_printable),
            tag::IA5_STRING => text.is_ascii(),
            tag::NUMERIC_STRING => text.bytes().all(|b| b.is_ascii_digit() || b == b' '),
            _ => false,
        };
        if fits { Ok(text) } else { Err(Malformed("text")) }
    }
    fn must_be(&self, tag: u8) -> Result<(), Malformed> {
        if self.tag == tag { Ok(()) } else { Err(Malformed("unexpected type")) }
    }
}

/// The content of a non-negative INTEGER without its sign octet; refuses negative and padded ones.
pub fn unsigned(content: &[u8]) -> Result<&[u8], Malformed> {
    match content {
        [] => Err(Malformed("empty integer")),
        [0] => Ok(content),
        [0, rest @ ..] if rest[0] & 0x80 != 0 => Ok(rest),
        [0, ..] => Err(Malformed("padded integer")),
        [first, ..] if first & 0x80 != 0 => Err(Malformed("negative integer")),
        _ => Ok(content),
    }
}

/// The octets and unused-bit count of a BIT STRING's content; the unused bits must be zero.
pub fn bits(content: &[u8]) -> Result<(&[u8], u8), Malformed> {
    let (unused, octets) = content.split_first().ok_or(Malformed("bit string"))?;
    let last = octets.last().copied().unwrap_or(0);
    if *unused > 7
        || (octets.is_empty() && *unused != 0)
        || last & ((1u16 << unused) - 1) as u8 != 0
    {
        return Err(Malformed("bit string"));
    }
    Ok((octets, *unused))
}

/// Whether an octet may stand in a PrintableString (X.680 §41.4).
pub fn is_printable(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&octet)
}

fn time(tag: u8, content: &[u8]) -> Option<Timestamp> {
    let digits = content.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (year, rest) = match (tag, digits.len()) {
        (tag::UTC_TIME, 12) => {
            let two = pair(&digits[..2]);
            (if two >= 50 { 1900 + two } else { 2000 + two }, &digits[2..])
        }
        (tag::GENERALIZED_TIME, 14) => {
            (pair(&digits[..2]) * 100 + pair(&digits[2..4]), &digits[4..])
        }
        _ => return None,
    };
    let part = |n: usize| pair(&rest[2 * n..2 * n + 2]) as u8;
    let month = time::Month::try_from(part(0)).ok()?;
    let date = time::Date::from_calendar_date(year, month, part(1)).ok()?;
    let clock = time::Time::from_hms(part(2), part(3), part(4)).ok()?;
    let moment = date.with_time(clock).assume_utc().unix_timestamp();
    u64::try_from(moment).ok().map(Timestamp::from_seconds)
}

fn pair(two: &[u8]) -> i32 {
    i32::from(two[0] - b'0') * 10 + i32::from(two[1] - b'0')
}

/// Reads values one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads this input from its beginning.
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input, at: 0 }
    }
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
    /// The tag of the next value, if there is one.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }
    /// The next value.
    pub fn read(&mut self) -> Result<Tlv<'a>, Malformed> {
        let [tag, first, ..] = *self.rest else { return Err(Malformed("truncated")) };
        if tag & 0x1f == 0x1f {
            return Err(Malformed("long tag"));
        }
        let (header, length) = if first < 0x80 {
            (2, usize::from(first))
        } else {
            let count = usize::from(first & 0x7f);
            let octets = self.rest.get(2..2 + count).ok_or(Malformed("truncated"))?;
            if count == 0 || count > 4 || octets[0] == 0 {
                return Err(Malformed("length form"));
            }
            let length = octets.iter().fold(0usize, |sum, octet| sum << 8 | usize::from(*octet));
            if length < 0x80 {
                return Err(Malformed("length form"));
            }
            (2 + count, length)
        };
        let end = header.checked_add(length).ok_or(Malformed("length"))?;
        let content = self.rest.get(header..end).ok_or(Malformed("truncated"))?;
        let tlv = Tlv { tag, content, start: self.at, content_start: self.at + header };
        self.rest = &self.rest[end..];
        self.at += end;
        Ok(tlv)
    }
    /// The next value, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Result<Tlv<'a>, Malformed> {
        let tlv = self.read()?;
        tlv.must_be(tag)?;
        Ok(tlv)
    }
    /// The next value if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, Malformed> {
        if self.peek() == Some(tag) { self.read().map(Some) } else { Ok(None) }
    }
    /// The inside of the next value, which must be a SEQUENCE.
    pub fn sequence(&mut self) -> Result<Reader<'a>, Malformed> {
        self.expect(tag::SEQUENCE).map(|tlv| tlv.inside())
    }
    /// Nothing may be left.
    pub fn finish(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed("trailing octets")) }
    }
}

/// The one value that makes up the whole input.
pub fn only(input: &[u8], tag: u8) -> Result<Tlv<'_>, Malformed> {
    let mut reader = Reader::new(input);
    let tlv = reader.expect(tag)?;
    reader.finish()?;
    Ok(tlv)
}

/// A value of this tag and content.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let octets = (length as u32).to_be_bytes();
        let skip = octets.iter().take_while(|octet| **octet == 0).count();
        out.push(0x80 | (4 - skip) as u8);
        out.extend_from_slice(&octets[skip..]);
    }
    out.extend_from_slice(content);
    out
}

/// A constructed value of this tag around the parts, in the order given.
pub fn constructed(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv(tag, &parts.concat())
}

/// `SEQUENCE` of the parts.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    constructed(tag::SEQUENCE, parts)
}

/// `OBJECT IDENTIFIER`.
pub fn oid(oid: &ObjectIdentifier) -> Vec<u8> {
    tlv(tag::OID, oid.as_bytes())
}

/// `INTEGER` of an unsigned big-endian value of any length.
pub fn integer(octets: &[u8]) -> Vec<u8> {
    let skip = octets.iter().take_while(|octet| **octet == 0).count();
    let mut content = Vec::with_capacity(octets.len() + 1);
    if octets.get(skip).is_none_or(|first| first & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(&octets[skip..]);
    tlv(tag::INTEGER, &content)
}

/// `INTEGER` of a small number.
pub fn number(value: u64) -> Vec<u8> {
    integer(&value.to_be_bytes())
}

/// `BIT STRING` of whole octets.
pub fn bit_string(octets: &[u8]) -> Vec<u8> {
    constructed(tag::BIT_STRING, &[&[0], octets])
}

/// A moment as RFC 5280 §4.1.2.5 wants it: `UTCTime` through 2049, `GeneralizedTime` from 2050.
pub fn moment(moment: Timestamp) -> Vec<u8> {
    let (year, rest) = digits(moment);
    if year < 2050 {
        tlv(tag::UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        generalized(moment)
    }
}

/// A moment as `GeneralizedTime`, where nothing else is allowed.
pub fn generalized(moment: Timestamp) -> Vec<u8> {
    let (year, rest) = digits(moment);
    tlv(tag::GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())
}

fn digits(moment: Timestamp) -> (i32, String) {
    let date = moment.date_time();
    let (month, day) = (u8::from(date.month()), date.day());
    let (hour, minute, second) = (date.hour(), date.minute(), date.second());
    (date.year(), format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_from_2050_is_a_generalized_time() {
        let last_utc = Timestamp::parse("2049-12-31T23:59:59Z").unwrap();
        assert_eq!(moment(last_utc), [&[0x17, 13], b"491231235959Z".as_slice()].concat());
        let first = last_utc.plus(1);
        assert_eq!(moment(first), [&[0x18, 15], b"20500101000000Z".as_slice()].concat());
        for at in [last_utc, first] {
            assert_eq!(Reader::new(&moment(at)).read().unwrap().time(), Ok(at));
        }
    }

    #[test]
    fn lengths_are_read_in_their_shortest_form_only() {
        for wrong in [&[0x04, 0x81, 0x01, 0x00][..], &[0x04, 0x80], &[0x04, 0x82, 0x00, 0x80]] {
            assert!(Reader::new(wrong).read().is_err());
        }
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let value = tlv(tag::OCTET_STRING, &vec![7; length]);
            assert_eq!(only(&value, tag::OCTET_STRING).unwrap().content.len(), length);
        }
    }

    #[test]
    fn integers_keep_their_sign_octet() {
        assert_eq!(number(0), [2, 1, 0]);
        assert_eq!(number(127), [2, 1, 127]);
        assert_eq!(number(128), [2, 2, 0, 128]);
        assert_eq!(only(&number(350), tag::INTEGER).unwrap().number(), Ok(350));
        assert!(only(&[2, 2, 0, 1], tag::INTEGER).unwrap().unsigned().is_err());
        assert!(only(&[2, 1, 0x80], tag::INTEGER).unwrap().unsigned().is_err());
    }

    #[test]
    fn an_unused_bit_that_is_set_is_malformed() {
        assert_eq!(bits(&[6, 0x40]), Ok((&[0x40][..], 6)));
        assert!(bits(&[6, 0x41]).is_err());
        assert!(bits(&[8, 0]).is_err());
        assert!(bits(&[]).is_err());
    }
}
