//! Identifiers, each its own type, so that a key can never be passed where a person is meant.
//!
//! Internal identifiers are 128 random bits and are written as 32 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::sign::Random;

/// A text that is not an identifier of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {0}")]
pub struct NotAnId(pub &'static str);

macro_rules! id128 {
    ($(#[$doc:meta])* $name:ident, $label:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; 16]);

        impl $name {
            /// A fresh identifier from 128 random bits.
            pub fn random(random: &dyn Random) -> Self {
                let mut octets = [0; 16];
                random.fill(&mut octets);
                Self(octets)
            }
            /// The identifier with these octets.
            pub const fn from_octets(octets: [u8; 16]) -> Self { Self(octets) }
            /// The identifier with these octets, if there are sixteen.
            pub fn from_slice(octets: &[u8]) -> Option<Self> { octets.try_into().ok().map(Self) }
            /// Its sixteen octets.
            pub const fn octets(&self) -> &[u8; 16] { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&hex::encode(self.0)) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($label, " {}"), hex::encode(self.0))
            }
        }
        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                if text.bytes().any(|b| b.is_ascii_uppercase()) { return Err(NotAnId($label)); }
                let octets = hex::decode(text).map_err(|_| NotAnId($label))?;
                octets.try_into().map(Self).map_err(|_| NotAnId($label))
            }
        }
        impl TryFrom<String> for $name {
            type Error = NotAnId;
            fn try_from(text: String) -> Result<Self, NotAnId> { text.parse() }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String { id.to_string() }
        }
    };
}

id128!(/** A kept key (預かり鍵) and the credential it belongs to. */ KeyId, "key");
id128!(/** A person, the same at all facilities; the certificate names her anyway. */ PersonId, "person");
id128!(/** One occurrence of one hash to be signed. */ ActivationId, "activation");
id128!(/** A budget: what one approval allows (count, kinds, until). */ BudgetId, "budget");
id128!(/** Documents that were prepared for their owner's approval. */ PreparedId, "prepared");
id128!(/** Signatures that were asked for and are fetched later (CSC `requestID`). */ RequestId, "request");
id128!(/** A linking of a means of authentication (a phone) to a person and key. */ BindingId, "binding");
id128!(/** An initial-registration sheet (初期登録用QR). */ SheetId, "sheet");
id128!(/** One authentication ceremony across terminal and phone. */ CeremonyId, "ceremony");
id128!(/** One sitting of a phone at the linking desk. */ SessionId, "session");
id128!(/** A token's own identifier (`jti`). */ TokenId, "token");
id128!(/** A person with an office in running the platform (係員). */ OfficerId, "officer");
id128!(/** What officers decide together (指図). */ DirectiveId, "directive");
id128!(/** What the authority's desk decides (窓口の手続). */ DeskOrderId, "desk order");
id128!(/** An invitation to become an officer of the desk. */ InvitationId, "invitation");
id128!(/** A journal stream: one for each key, officer or certification authority. */ StreamId, "stream");

impl KeyId {
    /// The journal stream of this key: the same 128 bits, since there is exactly one.
    pub const fn stream(&self) -> StreamId {
        StreamId::from_octets(*self.octets())
    }
}

impl OfficerId {
    /// The journal stream of this officer: the same 128 bits.
    pub const fn stream(&self) -> StreamId {
        StreamId::from_octets(*self.octets())
    }
}

impl DirectiveId {
    /// The journal stream of this directive: the same 128 bits.
    pub const fn stream(&self) -> StreamId {
        StreamId::from_octets(*self.octets())
    }
}

/// A facility's ten-digit institution code: prefecture (2), table (1: 1 medical, 3 dental,
/// 4 pharmacy), number (7).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FacilityCode(String);

impl FacilityCode {
    /// The ten digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FacilityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FacilityCode {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnId("facility code (ten digits)"))
        }
    }
}

impl TryFrom<String> for FacilityCode {
    type Error = NotAnId;
    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl From<FacilityCode> for String {
    fn from(code: FacilityCode) -> String {
        code.0
    }
}

/// An order number: UUID version 7 (RFC 9562 §5.7), chosen and stored by the gateway before it
/// sends, so that a retry can never make a second signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OrderNumber(uuid::Uuid);

impl OrderNumber {
    /// A fresh number; `millis` is the Unix time in milliseconds.
    pub fn new(millis: u64, random: &dyn Random) -> Self {
        let mut bytes = [0; 10];
        random.fill(&mut bytes);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }
    /// Its sixteen octets.
    pub fn octets(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

impl FromStr for OrderNumber {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let id = uuid::Uuid::parse_str(text).map_err(|_| NotAnId("order number (UUIDv7)"))?;
        if id.get_version_num() == 7 { Ok(Self(id)) } else { Err(NotAnId("order number (UUIDv7)")) }
    }
}

impl TryFrom<String> for OrderNumber {
    type Error = NotAnId;
    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl From<OrderNumber> for String {
    fn from(number: OrderNumber) -> String {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upper_case_or_short_identifier_is_refused() {
        assert!("00112233445566778899aabbccddeeff".parse::<KeyId>().is_ok());
        assert!("00112233445566778899AABBCCDDEEFF".parse::<KeyId>().is_err());
        assert!("0011".parse::<KeyId>().is_err());
    }

    #[test]
    fn an_order_number_is_version_seven_only() {
        assert!("0192f1d2-7c3a-7b11-8f0e-0123456789ab".parse::<OrderNumber>().is_ok());
        assert!("0192f1d2-7c3a-4b11-8f0e-0123456789ab".parse::<OrderNumber>().is_err());
    }

    #[test]
    fn a_facility_code_is_ten_digits() {
        assert!("1310000001".parse::<FacilityCode>().is_ok());
        assert!("131000000".parse::<FacilityCode>().is_err());
        assert!("13100000０1".parse::<FacilityCode>().is_err());
    }
}
