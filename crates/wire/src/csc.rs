//! The Cloud Signature Consortium's interface: version 1.0.4.0 (2019) and version 2.0.0.2, side by
//! side. Each request has its shape of either version ([`ask`]) and one meaning that both share;
//! the answers are in [`answer`].
//!
//! The consortium names parameters in its own way (`credentialID`, `hashAlgorithmOID`, `SAD`), so
//! the Rust names differ from the members. Unlike our own interface, members that the
//! specification does not name are ignored: its §7 lets applications add their own.

pub mod answer;
pub mod ask;

use std::fmt;
use std::str::FromStr;

use hpki::id::{KeyId, NotAnId};
use hpki::kind::DocumentKind;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// `rsaEncryption`: RSASSA-PKCS1-v1_5 with the hash named beside it.
pub const RSA: &str = "1.2.840.113549.1.1.1";
/// `sha256WithRSAEncryption`: RSASSA-PKCS1-v1_5 with SHA-256.
pub const RSA_SHA256: &str = "1.2.840.113549.1.1.11";
/// SHA-256.
pub const SHA256: &str = "2.16.840.1.101.3.4.2.1";
/// The authentication object by which the owner's phone approves.
pub const PHONE: &str = "phone";

/// Which version a caller speaks: the second part of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// `/csc/v1/…`: 1.0.4.0.
    V1,
    /// `/csc/v2/…`: 2.0.0.2.
    V2,
}

impl Version {
    /// The version of the specification, as `info` states it.
    pub const fn specs(self) -> &'static str {
        match self {
            Self::V1 => "1.0.4.0",
            Self::V2 => "2.0.0.2",
        }
    }
    /// What the hashes are called.
    pub const fn hashes(self) -> &'static str {
        match self {
            Self::V1 => "hash",
            Self::V2 => "hashes",
        }
    }
    /// What their algorithm is called.
    pub const fn hash_algorithm(self) -> &'static str {
        match self {
            Self::V1 => "hashAlgo",
            Self::V2 => "hashAlgorithmOID",
        }
    }
}

/// A credential: one kept key for one kind of document, written `<key>.<kind>`. The specification
/// leaves the form to the service and has no parameter for the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CredentialId {
    /// The kept key.
    pub key: KeyId,
    /// What it signs under this name.
    pub kind: DocumentKind,
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.key, self.kind)
    }
}

impl FromStr for CredentialId {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let odd = NotAnId("credential");
        let (key, kind) = text.split_once('.').ok_or(odd)?;
        Ok(Self { key: key.parse()?, kind: kind.parse().map_err(|_| odd)? })
    }
}

/// In which form a document's digest is signed (`signature_format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureFormat {
    /// `C`: CAdES, a file beside the document.
    Cades,
    /// `P`: PAdES, for the gap in a PDF.
    Pades,
}

impl SignatureFormat {
    /// Those that are made here, in the order of `info`.
    pub const ALL: [Self; 2] = [Self::Cades, Self::Pades];

    /// The specification's letter.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Cades => "C",
            Self::Pades => "P",
        }
    }

    /// The format of this letter. XAdES and JAdES sign what only the document can tell.
    pub fn of(letter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.letter() == letter)
    }

    /// What `signed_envelope_property` may be. Around a digest alone nothing can be attached;
    /// whether a PDF is certified stands in the PDF and not in the signature.
    pub const fn envelopes(self) -> &'static [&'static str] {
        match self {
            Self::Cades => &["Detached"],
            Self::Pades => &["Certification", "Revision"],
        }
    }
}

/// The body of every refusal and fault on these paths (§10.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscError, example = json!({"error": "invalid_request", "error_description": "Invalid parameter SAD"}))]
pub struct Error {
    /// One of the specification's words, e.g. `invalid_request`.
    pub error: String,
    /// What exactly, in the specification's words where it has any.
    pub error_description: String,
}

/// A parameter that is not as the specification has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// Not there, or of another type (which type it should be).
    Missing(&'static str, &'static str),
    /// There, with a value that is not allowed.
    Invalid(&'static str),
    /// An empty list of hashes.
    NoHash,
    /// A hash that is not base64.
    HashNotBase64,
    /// A hash of the wrong length.
    HashLength,
    /// More hashes than signatures, or less.
    HashCount,
    /// Less than one signature.
    TooFew,
    /// A number outside of what is possible here.
    OutOfBounds(&'static str),
    /// A user is named, though the token names her.
    UserNamed,
    /// `signDoc` with nothing to sign.
    NoDocument,
    /// `signDoc` with documents themselves: they stay where they are.
    DocumentsSent,
    /// `signDoc` with digests and documents.
    BothSent,
    /// `documentDigests` is no list of objects.
    DigestsOdd,
    /// A hash of a document that is not base64.
    HashesNotBase64,
    /// The signature algorithm says another hash algorithm.
    HashContradicts,
    /// Signed attributes that cannot be chosen here.
    SignedProps(Vec<String>),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(kind, name) => {
                write!(f, "Missing (or invalid type) {kind} parameter {name}")
            }
            Self::Invalid(name) => write!(f, "Invalid parameter {name}"),
            Self::NoHash => f.write_str("Empty hash array"),
            Self::HashNotBase64 => f.write_str("Invalid Base64 hash string parameter"),
            Self::HashLength => f.write_str("Invalid digest value length"),
            Self::HashCount => f.write_str("numSignatures is not the number of hashes"),
            Self::TooFew => f.write_str("Invalid value for parameter numSignatures"),
            Self::OutOfBounds(name) => write!(f, "Out of bounds parameter {name}"),
            Self::UserNamed => f.write_str("userID parameter MUST be null"),
            Self::NoDocument => f.write_str("Empty documentDigests and documents objects"),
            Self::DocumentsSent => f.write_str("Invalid array parameter documents"),
            Self::BothSent => f.write_str("Both documentDigests and documents parameters passed"),
            Self::DigestsOdd => f.write_str("Invalid object parameter documentDigests"),
            Self::HashesNotBase64 => f.write_str("Invalid Base64 hashes string parameter"),
            Self::HashContradicts => {
                f.write_str("String parameter hashAlgorithmOID contradicts with signAlgo parameter")
            }
            Self::SignedProps(names) => {
                write!(f, "Invalid parameter signed_props ({})", names.join(", "))
            }
        }
    }
}

/// A member that may be absent or of the wrong type: the specification wants either to be answered
/// with the parameter's name. `null` is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Given<T> {
    /// Not there.
    #[default]
    Absent,
    /// There, but something else.
    Odd,
    /// There.
    Is(T),
}

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Self::Absent,
            value => serde_json::from_value(value).map_or(Self::Odd, Self::Is),
        })
    }
}

/// What the specification calls a type.
pub trait Named {
    /// Its name in error descriptions.
    const NAME: &'static str;
}

impl Named for String {
    const NAME: &'static str = "string";
}
impl Named for bool {
    const NAME: &'static str = "boolean";
}
impl Named for i64 {
    const NAME: &'static str = "integer";
}
impl<T> Named for Vec<T> {
    const NAME: &'static str = "array";
}

impl<T: Named> Given<T> {
    /// The value, which must be there.
    pub fn required(self, name: &'static str) -> Result<T, Wrong> {
        match self {
            Self::Is(value) => Ok(value),
            Self::Absent | Self::Odd => Err(Wrong::Missing(T::NAME, name)),
        }
    }
    /// The value, if it is there.
    pub fn optional(self, name: &'static str) -> Result<Option<T>, Wrong> {
        match self {
            Self::Is(value) => Ok(Some(value)),
            Self::Absent => Ok(None),
            Self::Odd => Err(Wrong::Missing(T::NAME, name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_key_and_a_kind() {
        let credential =
            CredentialId { key: KeyId::from_octets([0xab; 16]), kind: DocumentKind::Prescription };
        let text = credential.to_string();
        assert_eq!(text, format!("{}.prescription", "ab".repeat(16)));
        assert_eq!(text.parse(), Ok(credential));
        for odd in ["", ".", "ab.prescription", &text.replace("pre", ""), &text.to_uppercase()] {
            assert!(odd.parse::<CredentialId>().is_err(), "{odd}");
        }
    }

    #[test]
    fn a_member_is_absent_or_odd_or_there() {
        let read = |json: &str| serde_json::from_str::<Given<String>>(json).unwrap();
        assert_eq!(read("null").required("SAD"), Err(Wrong::Missing("string", "SAD")));
        assert_eq!(read("7").optional("SAD"), Err(Wrong::Missing("string", "SAD")));
        assert_eq!(read("null").optional("SAD"), Ok(None));
        assert_eq!(read("\"x\"").required("SAD"), Ok("x".to_owned()));
        let text = Wrong::Missing("string", "SAD").to_string();
        assert_eq!(text, "Missing (or invalid type) string parameter SAD");
    }
}
