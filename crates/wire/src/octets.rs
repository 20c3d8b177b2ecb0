//! Octets in JSON: base64 with padding (RFC 4648 §4) where XML and certificates come from, base64url
//! without padding (§5) where tokens and WebAuthn come from. Both readers are strict: one value has
//! one spelling.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hpki::encoding::Digest32;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

macro_rules! octets {
    ($(#[$doc:meta])* $name:ident, $engine:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, ToSchema)]
        #[schema(value_type = String)]
        pub struct $name(pub Vec<u8>);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$engine.encode(&self.0))
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                $engine.decode(text.as_bytes()).map(Self).map_err(D::Error::custom)
            }
        }
        impl From<Vec<u8>> for $name {
            fn from(octets: Vec<u8>) -> Self { Self(octets) }
        }
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] { &self.0 }
        }
    };
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $engine:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ToSchema)]
        #[schema(value_type = String)]
        pub struct $name(pub Digest32);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$engine.encode(self.0))
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                let octets = $engine.decode(text.as_bytes()).map_err(D::Error::custom)?;
                octets
                    .try_into()
                    .map(Self)
                    .map_err(|_| D::Error::custom("a SHA-256 value has 32 octets"))
            }
        }
    };
}

octets!(
    /// Octets as base64 with padding.
    Base64, STANDARD
);
octets!(
    /// Octets as base64url without padding.
    Base64Url, URL_SAFE_NO_PAD
);
digest!(
    /// A SHA-256 value as base64 with padding (44 characters), as XML signatures write it.
    Sha256Base64, STANDARD
);
digest!(
    /// A SHA-256 value as base64url without padding (43 characters), as tokens write it.
    Sha256Base64Url, URL_SAFE_NO_PAD
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_spelling() {
        let text = serde_json::to_string(&Sha256Base64([7; 32])).unwrap();
        assert_eq!(serde_json::from_str::<Sha256Base64>(&text).unwrap().0, [7; 32]);
        assert!(serde_json::from_str::<Sha256Base64>(&text.replace('=', "")).is_err());
        assert!(serde_json::from_str::<Sha256Base64>("\"AAAA\"").is_err());
        assert!(serde_json::from_str::<Base64>("\"AA AA\"").is_err());
        assert!(serde_json::from_str::<Base64Url>("\"AAA=\"").is_err());
    }
}
