//! The one encoding of statements into octets, used wherever something is hashed, sealed or shown
//! for approval.
//!
//! `fr(x) = u32be(len) ‖ x` and `H(domain; f1 … fn) = SHA-256(fr(domain) ‖ u32be(n) ‖ fr(f1) … fr(fn))`.
//! Length prefixes make two different field lists impossible to confuse; the domain string keeps
//! statements of different kinds apart. Integers are u64 big endian, times are seconds, text is
//! NFC UTF-8, a list is one field `u32be(count) ‖ fr(item) …`, and an absent field is empty.

use aws_lc_rs::digest;
use unicode_normalization::UnicodeNormalization;

use crate::time::Timestamp;

/// A SHA-256 value.
pub type Digest32 = [u8; 32];

/// SHA-256 of the given octets.
pub fn sha256(octets: &[u8]) -> Digest32 {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, octets).as_ref());
    out
}

/// Appends `u32be(len) ‖ octets`.
///
/// A field longer than `u32::MAX` cannot occur: every outside text is bounded to 4 MiB long before
/// it arrives here, so the length is saturated rather than refused.
pub fn fr(out: &mut Vec<u8>, octets: &[u8]) {
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(octets);
}

/// A statement under construction: a domain and its fields in order.
///
/// Use [`Statement::digest`] for `H(…)`, or hand [`Statement::octets`] to a keyed hash for `M(…)`.
#[derive(Debug, Clone)]
pub struct Statement {
    domain: &'static str,
    count: u32,
    fields: Vec<u8>,
}

impl Statement {
    /// Begins a statement of this domain, e.g. `azukari/journal/leaf/v1`.
    pub fn new(domain: &'static str) -> Self {
        Self { domain, count: 0, fields: Vec::with_capacity(256) }
    }

    /// Adds one field of raw octets.
    pub fn octets_field(mut self, octets: &[u8]) -> Self {
        fr(&mut self.fields, octets);
        self.count += 1;
        self
    }

    /// Adds one field of text, brought to Unicode normal form C first.
    pub fn text(self, text: &str) -> Self {
        if text.is_ascii() {
            return self.octets_field(text.as_bytes());
        }
        let normal: String = text.nfc().collect();
        self.octets_field(normal.as_bytes())
    }

    /// Adds one unsigned number (u64 big endian).
    pub fn number(self, number: u64) -> Self {
        self.octets_field(&number.to_be_bytes())
    }

    /// Adds one time in whole seconds.
    pub fn time(self, time: Timestamp) -> Self {
        self.number(time.seconds())
    }

    /// Adds an absent field: zero octets.
    pub fn absent(self) -> Self {
        self.octets_field(&[])
    }

    /// Adds raw octets, or an absent field.
    pub fn optional(self, octets: Option<&[u8]>) -> Self {
        self.octets_field(octets.unwrap_or_default())
    }

    /// Adds a list of texts as one field: `u32be(count) ‖ fr(item) …`, each in normal form C.
    pub fn list<T: AsRef<str>>(self, items: &[T]) -> Self {
        let mut field = Vec::new();
        let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
        field.extend_from_slice(&count.to_be_bytes());
        for item in items {
            let normal: String = item.as_ref().nfc().collect();
            fr(&mut field, normal.as_bytes());
        }
        self.octets_field(&field)
    }

    /// The octets that `H` and `M` are computed over: `fr(domain) ‖ u32be(n) ‖ fields`.
    pub fn octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.domain.len() + 8 + self.fields.len());
        fr(&mut out, self.domain.as_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.fields);
        out
    }

    /// `H(domain; fields)`.
    pub fn digest(&self) -> Digest32 {
        sha256(&self.octets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_is_reproduced() {
        let digest = Statement::new("azukari/test/v1").text("a").absent().number(5).digest();
        assert_eq!(
            hex::encode(digest),
            "9a6af7f4e3024d0f8f9486a13bd6f399049a9c68dff349dd7b6885b0a5625122"
        );
    }

    #[test]
    fn fields_cannot_be_shifted_into_each_other() {
        let one = Statement::new("azukari/test/v1").text("ab").text("c").digest();
        let two = Statement::new("azukari/test/v1").text("a").text("bc").digest();
        assert_ne!(one, two);
    }

    #[test]
    fn text_is_compared_in_normal_form_c() {
        let composed = Statement::new("azukari/test/v1").text("\u{304c}").digest();
        let decomposed = Statement::new("azukari/test/v1").text("\u{304b}\u{3099}").digest();
        assert_eq!(composed, decomposed);
    }
}
