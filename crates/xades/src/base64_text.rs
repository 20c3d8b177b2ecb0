//! Base64 as XML documents carry it: with line feeds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const LINE: usize = 76;

/// Appends base64 in lines of 76 characters, each ended by a line feed, the last one too.
pub(crate) fn push_lines(out: &mut String, octets: &[u8]) {
    // 57 octets make one full line, so lines can be encoded one after the other.
    for line in octets.chunks(LINE / 4 * 3) {
        STANDARD.encode_string(line, out);
        out.push('\n');
    }
}

/// Base64 in lines of 76 characters, ending with a line feed.
pub(crate) fn lines(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len() * 4 / 3 + octets.len() / 57 + 8);
    push_lines(&mut out, octets);
    out
}

/// The octets of a base64 text with white space anywhere; `None` if it is not strict base64
/// (padding, no stray bits) or empty.
pub(crate) fn octets(text: &str) -> Option<Vec<u8>> {
    let dense: Vec<u8> =
        text.bytes().filter(|octet| !matches!(octet, b' ' | b'\t' | b'\n' | b'\r')).collect();
    STANDARD.decode(dense).ok().filter(|octets| !octets.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_and_end_with_a_line_feed() {
        let value: Vec<u8> = (0..=255).collect();
        let text = lines(&value);
        assert!(text.ends_with("==\n") && text.lines().all(|line| line.len() <= 76));
        assert_eq!(octets(&text).unwrap(), value);
    }

    #[test]
    fn stray_bits_and_stray_characters_are_not_base64() {
        assert!(octets("QR==").is_none());
        assert!(octets("QQ=").is_none());
        assert!(octets("Q\u{a0}Q==").is_none());
        assert!(octets(" \n").is_none());
    }
}
