//! The grammar of a record: lines of comma-separated fields, the first of which is a number.
//!
//! UTF-8 without byte order mark, line feeds, no escaping: a quotation mark is an ordinary
//! character and a field cannot contain a comma. The reading is bounded before anything is
//! allocated for it, and its cost is linear in the octets.

use hpki::kind::DocumentKind;

use crate::Refusal;

/// The most octets read. Real records have about one thousand.
pub const MAX_OCTETS: usize = 512 * 1024;
/// The most lines read.
pub const MAX_LINES: usize = 5_000;
/// The most octets in one line.
pub const MAX_LINE: usize = 8 * 1024;
/// The most fields in one line.
pub const MAX_FIELDS: usize = 64;

/// A record as it came, split into lines and fields. Borrows the octets and never changes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    text: &'a str,
    kind: DocumentKind,
    lines: Vec<Line<'a>>,
}

/// One line of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    at: usize,
    number: u16,
    fields: Vec<&'a str>,
}

impl<'a> Line<'a> {
    /// The line in the file, from 1 (the first line names the kind, so records begin at 2).
    pub fn at(&self) -> usize {
        self.at
    }

    /// The record number, e.g. 201.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The fields after the record number.
    pub fn fields(&self) -> &[&'a str] {
        &self.fields
    }

    /// The field at this position after the record number (from 1), without surrounding spaces;
    /// empty where the line is shorter.
    pub fn field(&self, position: usize) -> &'a str {
        position.checked_sub(1).and_then(|index| self.fields.get(index)).map_or("", |f| f.trim())
    }

    /// The last field that has something in it.
    pub fn last(&self) -> &'a str {
        self.fields.iter().rev().map(|field| field.trim()).find(|f| !f.is_empty()).unwrap_or("")
    }

    /// Whether no field has anything in it.
    pub fn is_blank(&self) -> bool {
        self.last().is_empty()
    }
}

impl<'a> Record<'a> {
    /// Which of the two records this is: the first line begins with `SJ1` (prescription) or `CJ1`
    /// (dispensing).
    pub fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// The octets, untouched.
    pub fn octets(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// All lines after the first.
    pub fn lines(&self) -> &[Line<'a>] {
        &self.lines
    }

    /// The first line with this record number.
    pub fn line(&self, number: u16) -> Option<&Line<'a>> {
        self.lines.iter().find(|line| line.number == number)
    }

    /// The first line with this number, which must be there and hold something.
    pub(crate) fn need(&self, number: u16, what: &'static str) -> Result<&Line<'a>, Refusal> {
        self.line(number)
            .filter(|line| !line.is_blank())
            .ok_or(Refusal::RecordMissing { number, what })
    }

    /// Refuses a second line with one of these numbers, whose first would otherwise be shown
    /// while another reader might take the second.
    pub(crate) fn once(&self, numbers: &[u16]) -> Result<(), Refusal> {
        for number in numbers {
            if let Some(again) = self.lines.iter().filter(|line| line.number == *number).nth(1) {
                return Err(Refusal::RecordRepeated { number: *number, line: again.at });
            }
        }
        Ok(())
    }

    pub(crate) fn expect(self, kind: DocumentKind) -> Result<Self, Refusal> {
        if self.kind == kind { Ok(self) } else { Err(wrong_kind(kind)) }
    }
}

fn wrong_kind(kind: DocumentKind) -> Refusal {
    Refusal::RecordWrongKind {
        expected: match kind {
            DocumentKind::Prescription => "SJ1",
            _ => "CJ1",
        },
    }
}

/// Reads a record of either kind.
pub fn parse(octets: &[u8]) -> Result<Record<'_>, Refusal> {
    if octets.len() > MAX_OCTETS {
        return Err(Refusal::RecordTooLarge { octets: octets.len(), limit: MAX_OCTETS });
    }
    if octets.starts_with(b"\xef\xbb\xbf") {
        return Err(Refusal::RecordBom);
    }
    let text = std::str::from_utf8(octets)
        .map_err(|error| Refusal::RecordNotUtf8 { at: error.valid_up_to() })?;
    let body = text.strip_suffix('\n').unwrap_or(text);
    if body.is_empty() {
        return Err(Refusal::RecordEmpty);
    }
    let mut kind = None;
    let mut lines = Vec::new();
    for (index, line) in body.split('\n').enumerate() {
        let at = index + 1;
        if at > MAX_LINES {
            return Err(Refusal::RecordTooManyLines { limit: MAX_LINES });
        }
        check_characters(line, at)?;
        match kind {
            None => kind = Some(kind_of(line)?),
            Some(_) => lines.push(read_line(line, at)?),
        }
    }
    let kind = kind.ok_or(Refusal::RecordEmpty)?;
    Ok(Record { text, kind, lines })
}

fn check_characters(line: &str, at: usize) -> Result<(), Refusal> {
    if line.len() > MAX_LINE {
        return Err(Refusal::RecordLineTooLong { line: at, limit: MAX_LINE });
    }
    // An ASCII line without controls is the usual case; chars() costs little for the others.
    match line.chars().find(|character| character.is_control()) {
        None => Ok(()),
        Some('\r') => Err(Refusal::RecordCarriageReturn { line: at }),
        Some(other) => Err(Refusal::RecordControlCharacter { line: at, code: u32::from(other) }),
    }
}

/// `SJ1` and `CJ1,` are what published documents begin with. Our reading: further fields may
/// follow a comma, another digit would be another version and is refused.
fn kind_of(line: &str) -> Result<DocumentKind, Refusal> {
    match line.split(',').next() {
        Some("SJ1") => Ok(DocumentKind::Prescription),
        Some("CJ1") => Ok(DocumentKind::Dispensing),
        _ => Err(Refusal::RecordWrongKind { expected: "SJ1 / CJ1" }),
    }
}

fn read_line(line: &str, at: usize) -> Result<Line<'_>, Refusal> {
    let malformed = |why| Refusal::RecordLineMalformed { line: at, why };
    if line.is_empty() {
        return Err(malformed("it is blank"));
    }
    if line.bytes().filter(|octet| *octet == b',').count() > MAX_FIELDS {
        return Err(malformed("it has more than 64 fields"));
    }
    let mut fields = line.split(',');
    let number = fields.next().unwrap_or("");
    let digits = number.len() <= 4 && number.bytes().all(|octet| octet.is_ascii_digit());
    if number.is_empty() || !digits || number.starts_with('0') {
        return Err(malformed("it does not begin with a record number"));
    }
    let number = number.parse().map_err(|_| malformed("it does not begin with a record number"))?;
    Ok(Line { at, number, fields: fields.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(octets: &[u8]) -> Refusal {
        parse(octets).unwrap_err()
    }

    #[test]
    fn the_octets_stay_as_they_came() {
        let octets = "SJ1\n1,1,9999999,13,架空\"病院\" \n81,,x".as_bytes();
        let record = parse(octets).unwrap();
        assert_eq!(record.octets(), octets);
        assert_eq!(record.kind(), DocumentKind::Prescription);
        assert_eq!(record.line(1).unwrap().fields(), ["1", "9999999", "13", "架空\"病院\" "]);
        assert_eq!(record.line(1).unwrap().field(4), "架空\"病院\"");
        assert_eq!(record.line(81).unwrap().at(), 3);
        assert_eq!(record.line(81).unwrap().field(0), "");
        assert_eq!(record.line(81).unwrap().field(9), "");
    }

    #[test]
    fn each_wrong_thing_has_its_own_refusal() {
        assert_eq!(refusal(b""), Refusal::RecordEmpty);
        assert_eq!(refusal(b"\n"), Refusal::RecordEmpty);
        assert_eq!(refusal(b"\xef\xbb\xbfSJ1\n"), Refusal::RecordBom);
        assert_eq!(refusal(b"SJ1\n1,\xff"), Refusal::RecordNotUtf8 { at: 6 });
        assert_eq!(refusal(b"SJ1\r\n1,1"), Refusal::RecordCarriageReturn { line: 1 });
        assert_eq!(refusal(b"SJ1\n1,a\0b"), Refusal::RecordControlCharacter { line: 2, code: 0 });
        assert_eq!(
            refusal("SJ1\n1,a\u{85}b".as_bytes()),
            Refusal::RecordControlCharacter { line: 2, code: 0x85 }
        );
        for first in ["XJ1", "SJ2", "sj1", " SJ1", "SJ11", "JAHIS9", "1,1,2"] {
            let refusal = refusal(format!("{first}\n1,1").as_bytes());
            assert!(matches!(refusal, Refusal::RecordWrongKind { .. }), "{first}");
        }
        for line in ["", "x,1", "-1,1", "01,1", ",1", "12345,1", "1 ,1", "１,1", "+1,1"] {
            let refusal = refusal(format!("SJ1\n{line}\n1,1").as_bytes());
            assert!(matches!(refusal, Refusal::RecordLineMalformed { line: 2, .. }), "{line:?}");
        }
    }

    #[test]
    fn a_hostile_record_is_refused_before_it_costs_anything() {
        let huge = vec![b'1'; MAX_OCTETS + 1];
        assert!(matches!(refusal(&huge), Refusal::RecordTooLarge { .. }));
        let line = format!("SJ1\n1,{}", "x".repeat(MAX_LINE));
        assert!(matches!(refusal(line.as_bytes()), Refusal::RecordLineTooLong { line: 2, .. }));
        let lines = format!("SJ1\n{}", "1,1\n".repeat(MAX_LINES));
        assert!(matches!(refusal(lines.as_bytes()), Refusal::RecordTooManyLines { .. }));
        let fields = format!("SJ1\n1{}", ",".repeat(MAX_FIELDS + 1));
        assert!(matches!(refusal(fields.as_bytes()), Refusal::RecordLineMalformed { .. }));
        let most = format!("SJ1\n1{}", ",".repeat(MAX_FIELDS));
        assert_eq!(parse(most.as_bytes()).unwrap().lines()[0].fields().len(), MAX_FIELDS);
        let newlines = vec![b'\n'; MAX_OCTETS];
        assert!(matches!(refusal(&newlines), Refusal::RecordWrongKind { .. }));
    }
}
