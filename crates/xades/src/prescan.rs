//! One linear pass over the octets before the XML parser sees them.
//!
//! The parser is correct but not bounded: 200,000 attributes on one element cost it a minute, a
//! hundred megabytes of elements two gigabytes. This pass allocates nothing that grows with the
//! document and stops at the first excess. It also refuses what the parser would let pass although
//! XML forbids it: a default namespace declared twice, an undeclared prefix by `xmlns:p=""`, a
//! reference to a character that does not exist, and another declared encoding.

use crate::Refusal;

/// Octets in a document.
const SIZE: usize = 4 << 20;
/// Nested elements.
const DEPTH: usize = 64;
/// Attributes of one element.
const ATTRIBUTES: usize = 32;
/// Namespace declarations of one element.
const DECLARATIONS: usize = 16;
/// Namespace declarations in force at one place, overridden ones included.
const IN_FORCE: usize = 32;
/// Octets of one name.
const NAME: usize = 1024;
/// `<` in the whole document.
const MARKUP: usize = 100_000;
/// `=` in the whole document.
const EQUALS: usize = 200_000;

/// The text of an acceptable document, without its byte order mark, and how many octets that was.
pub(crate) fn scan(octets: &[u8]) -> Result<(&str, usize), Refusal> {
    if octets.len() > SIZE {
        return Err(Refusal::XmlTooLarge);
    }
    let text = std::str::from_utf8(octets).map_err(|_| Refusal::XmlNotUtf8)?;
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    Scan {
        rest: body.as_bytes(),
        depth: 0,
        in_force: 0,
        declared: [0; DEPTH],
        markup: 0,
        equals: 0,
    }
    .run()?;
    Ok((body, text.len() - body.len()))
}

struct Scan<'a> {
    rest: &'a [u8],
    depth: usize,
    in_force: usize,
    declared: [u8; DEPTH],
    markup: usize,
    equals: usize,
}

const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\n' | b'\r')
}

impl Scan<'_> {
    fn run(mut self) -> Result<(), Refusal> {
        self.declaration()?;
        loop {
            let Some(at) = self.rest.iter().position(|&octet| octet == b'<') else {
                return character_data(self.rest, &mut self.equals);
            };
            character_data(&self.rest[..at], &mut self.equals)?;
            self.rest = &self.rest[at..];
            self.markup += 1;
            if self.markup > MARKUP {
                return Err(Refusal::XmlTooManyNodes);
            }
            match self.rest.get(1) {
                Some(b'!') => self.bang()?,
                Some(b'?') => self.skip_past(b"?>")?,
                Some(b'/') => self.end_tag()?,
                _ => self.start_tag()?,
            }
        }
    }

    /// `<?xml version="1.0" encoding="UTF-8"?>`: nothing but version 1.0 and UTF-8.
    fn declaration(&mut self) -> Result<(), Refusal> {
        let Some(after) = self.rest.strip_prefix(b"<?xml") else { return Ok(()) };
        if !after.first().is_some_and(|&octet| is_space(octet)) {
            return Ok(());
        }
        let end = find(after, b"?>").ok_or(Refusal::XmlMalformed)?;
        let text = std::str::from_utf8(&after[..end]).map_err(|_| Refusal::XmlMalformed)?;
        for part in ["version", "encoding"] {
            let Some(at) = text.find(part) else { continue };
            let value = text[at + part.len()..].trim_start();
            let value = value.strip_prefix('=').ok_or(Refusal::XmlMalformed)?.trim_start();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
            let quote = quote.ok_or(Refusal::XmlMalformed)?;
            let value = value[1..].split(quote).next().unwrap_or_default();
            match part {
                "version" if value != "1.0" => return Err(Refusal::XmlMalformed),
                "encoding" if !value.eq_ignore_ascii_case("utf-8") => {
                    return Err(Refusal::XmlNotUtf8);
                }
                _ => {}
            }
        }
        self.rest = &after[end + 2..];
        Ok(())
    }

    fn skip_past(&mut self, mark: &[u8]) -> Result<(), Refusal> {
        let end = find(self.rest, mark).ok_or(Refusal::XmlMalformed)?;
        count_equals(&self.rest[..end], &mut self.equals)?;
        self.rest = &self.rest[end + mark.len()..];
        Ok(())
    }

    fn bang(&mut self) -> Result<(), Refusal> {
        if self.rest.starts_with(b"<!--") {
            // `<!-->` must not be taken for a whole comment.
            self.rest = &self.rest[4..];
            return self.skip_past(b"-->");
        }
        if self.rest.starts_with(b"<![CDATA[") {
            return self.skip_past(b"]]>");
        }
        let entities = find(self.rest, b"<!ENTITY").is_some();
        Err(if entities {
            Refusal::XmlEntities
        } else if self.rest.starts_with(b"<!DOCTYPE") {
            Refusal::XmlDtd
        } else {
            Refusal::XmlMalformed
        })
    }

    fn end_tag(&mut self) -> Result<(), Refusal> {
        if self.depth == 0 {
            return Err(Refusal::XmlMalformed);
        }
        self.depth -= 1;
        self.in_force -= usize::from(self.declared[self.depth]);
        self.skip_past(b">")
    }

    fn start_tag(&mut self) -> Result<(), Refusal> {
        let mut at = 1 + name(&self.rest[1..])?;
        let mut attributes = 0;
        let mut declarations: [&[u8]; DECLARATIONS] = [&[]; DECLARATIONS];
        let mut declared = 0;
        loop {
            let spaces = self.rest[at..].iter().take_while(|&&octet| is_space(octet)).count();
            at += spaces;
            match self.rest.get(at) {
                Some(b'>') => {
                    if self.depth == DEPTH {
                        return Err(Refusal::XmlTooDeep);
                    }
                    self.declared[self.depth] = declared as u8;
                    self.depth += 1;
                    self.in_force += declared;
                    if self.in_force > IN_FORCE {
                        return Err(Refusal::XmlTooManyNamespaces);
                    }
                    self.rest = &self.rest[at + 1..];
                    return Ok(());
                }
                Some(b'/') => {
                    if self.rest.get(at + 1) != Some(&b'>') {
                        return Err(Refusal::XmlMalformed);
                    }
                    if self.depth == DEPTH {
                        return Err(Refusal::XmlTooDeep);
                    }
                    if self.in_force + declared > IN_FORCE {
                        return Err(Refusal::XmlTooManyNamespaces);
                    }
                    self.rest = &self.rest[at + 2..];
                    return Ok(());
                }
                Some(_) if spaces > 0 => {}
                _ => return Err(Refusal::XmlMalformed),
            }
            let length = name(&self.rest[at..])?;
            let qname = &self.rest[at..at + length];
            at += length;
            at += self.rest[at..].iter().take_while(|&&octet| is_space(octet)).count();
            if self.rest.get(at) != Some(&b'=') {
                return Err(Refusal::XmlMalformed);
            }
            at += 1;
            at += self.rest[at..].iter().take_while(|&&octet| is_space(octet)).count();
            let quote = *self.rest.get(at).ok_or(Refusal::XmlMalformed)?;
            if !matches!(quote, b'"' | b'\'') {
                return Err(Refusal::XmlMalformed);
            }
            at += 1;
            let length = self.rest[at..].iter().position(|&octet| octet == quote);
            let value = &self.rest[at..at + length.ok_or(Refusal::XmlMalformed)?];
            at += value.len() + 1;
            self.equals += 1;
            character_data(value, &mut self.equals)?;

            let prefix = qname.strip_prefix(b"xmlns:");
            if prefix.is_some() || qname == b"xmlns" {
                if prefix.is_some_and(|prefix| prefix == b"xmlns" || value.is_empty()) {
                    return Err(Refusal::XmlMalformed);
                }
                if declared == DECLARATIONS {
                    return Err(Refusal::XmlTooManyNamespaces);
                }
                if declarations[..declared].contains(&qname) {
                    return Err(Refusal::XmlMalformed);
                }
                declarations[declared] = qname;
                declared += 1;
            } else {
                attributes += 1;
                if attributes > ATTRIBUTES {
                    return Err(Refusal::XmlTooManyAttributes);
                }
            }
        }
    }
}

/// How many octets the name at the front has; the parser judges its characters.
fn name(octets: &[u8]) -> Result<usize, Refusal> {
    let end = octets.iter().take(NAME + 1).position(|&octet| {
        is_space(octet) || matches!(octet, b'>' | b'/' | b'=' | b'<' | b'"' | b'\'')
    });
    match end {
        Some(length) if length > 0 => Ok(length),
        _ => Err(Refusal::XmlMalformed),
    }
}

fn find(octets: &[u8], mark: &[u8]) -> Option<usize> {
    octets.windows(mark.len()).position(|window| window == mark)
}

fn count_equals(octets: &[u8], equals: &mut usize) -> Result<(), Refusal> {
    *equals += octets.iter().filter(|&&octet| octet == b'=').count();
    if *equals > EQUALS { Err(Refusal::XmlTooManyNodes) } else { Ok(()) }
}

/// Checks the character references of text or of an attribute value.
fn character_data(octets: &[u8], equals: &mut usize) -> Result<(), Refusal> {
    count_equals(octets, equals)?;
    let mut rest = octets;
    while let Some(at) = rest.iter().position(|&octet| octet == b'&') {
        rest = &rest[at + 1..];
        let Some(reference) = rest.strip_prefix(b"#") else { continue };
        let (digits, radix) = match reference.strip_prefix(b"x") {
            Some(digits) => (digits, 16),
            None => (reference, 10),
        };
        let end = digits.iter().take(10).position(|&octet| octet == b';');
        let digits = &digits[..end.ok_or(Refusal::XmlMalformed)?];
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Refusal::XmlMalformed);
        }
        let exists = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| u32::from_str_radix(digits, radix).ok())
            .and_then(char::from_u32)
            .is_some_and(
                |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..='\u{10ffff}'),
            );
        if !exists {
            return Err(Refusal::XmlMalformed);
        }
    }
    Ok(())
}
