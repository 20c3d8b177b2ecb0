//! Textual encodings of certificates and lists (RFC 7468).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// PEM text with this label, lines of 64 characters, line feeds.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The octets of the first block with this label.
pub fn decode(label: &str, pem: &[u8]) -> Option<Vec<u8>> {
    decode_all(label, pem)?.into_iter().next()
}

/// The octets of every block with this label, in order. `None` if a block is broken.
pub fn decode_all(label: &str, pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = std::str::from_utf8(pem).ok()?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut blocks = Vec::new();
    while let Some((_, after)) = rest.split_once(&begin) {
        let (body, after) = after.split_once(&end)?;
        let body: String = body.split_ascii_whitespace().collect();
        blocks.push(STANDARD.decode(body).ok()?);
        rest = after;
    }
    Some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_among_other_text() {
        let octets = vec![7; 100];
        let text = format!("subject: x\n{}\n{}", encode("A", &octets), encode("B", b"b"));
        assert_eq!(decode("A", text.as_bytes()), Some(octets));
        assert_eq!(decode_all("B", text.as_bytes()), Some(vec![b"b".to_vec()]));
        assert_eq!(decode("C", text.as_bytes()), None);
    }
}
