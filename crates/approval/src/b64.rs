//! Octets in JSON: base64url without padding (RFC 4648 §5), as WebAuthn and JOSE write them.
//!
//! Use as `#[serde(with = "approval::b64")]` on `Vec<u8>` and `[u8; N]`, and
//! [`optional`] on `Option` of them. Padding, line feeds and non-zero trailing bits are refused, so
//! a value has one text.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serializer};

/// The text of these octets.
pub fn encode(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// The octets of this text; `None` if it is not base64url without padding.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Writes octets as text.
pub fn serialize<S: Serializer, T: AsRef<[u8]>>(octets: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&encode(octets.as_ref()))
}

/// Reads octets from text.
pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(from: D) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    decode(&text)
        .and_then(|octets| T::try_from(octets).ok())
        .ok_or_else(|| serde::de::Error::custom("not base64url of the right length"))
}

/// The same for values that may be absent (`null`).
pub mod optional {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes octets as text, or null.
    pub fn serialize<S: Serializer, T: AsRef<[u8]>>(
        octets: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match octets {
            Some(octets) => to.serialize_str(&super::encode(octets.as_ref())),
            None => to.serialize_none(),
        }
    }

    /// Reads octets from text, or null.
    pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        super::decode(&text)
            .and_then(|octets| T::try_from(octets).ok())
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom("not base64url of the right length"))
    }
}
