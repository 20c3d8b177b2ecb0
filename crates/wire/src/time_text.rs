//! Times in JSON bodies: RFC 3339 in UTC (`2026-11-21T04:42:00Z`), which people can read in a trace.
//! Tokens keep the seconds that RFC 7519 prescribes.

use hpki::time::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes the moment (for `#[serde(with = "time_text")]`).
pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.rfc3339())
}

/// Reads the moment; any offset is accepted.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    Timestamp::parse(&text).ok_or_else(|| D::Error::custom("not a time in RFC 3339"))
}
