//! What is signed must be written plainly.
//!
//! Canonicalization forgives: a comment is dropped, a tab in a tag becomes a space, a carriage
//! return a line feed. Documents of this profile need none of that, and each of these freedoms has
//! been used to make two readers see two documents. So inside signed parts they are refused, and
//! every single changed octet there is noticed.

use crate::Refusal;

/// Refuses comments, processing instructions, white space other than spaces inside tags, a carriage
/// return without its line feed, and hexadecimal references in lower-case letters.
pub(crate) fn check(source: &str) -> Result<(), Refusal> {
    let octets = source.as_bytes();
    let mut quote = None;
    let mut in_tag = false;
    let mut at = 0;
    while at < octets.len() {
        let rest = &octets[at..];
        let octet = rest[0];
        if in_tag {
            match (quote, octet) {
                (_, b'\t' | b'\n' | b'\r') => return Err(Refusal::SignedPartNotPlain),
                (None, b'"' | b'\'') => quote = Some(octet),
                (Some(open), _) if open == octet => quote = None,
                (None, b'>') => in_tag = false,
                _ => {}
            }
        } else if octet == b'<' {
            // CDATA too: the parser joins it with the text around it, a reader may not.
            if matches!(rest.get(1), Some(b'!' | b'?')) {
                return Err(Refusal::SignedPartNotPlain);
            }
            in_tag = true;
        } else if octet == b'\r' && rest.get(1) != Some(&b'\n') {
            return Err(Refusal::SignedPartNotPlain);
        }
        if let Some(reference) = rest.strip_prefix(b"&#x") {
            let digits = reference.iter().take_while(|&&digit| digit != b';').take(10);
            if digits.into_iter().any(u8::is_ascii_lowercase) {
                return Err(Refusal::SignedPartNotPlain);
            }
        }
        at += 1;
    }
    Ok(())
}
