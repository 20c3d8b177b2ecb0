//! Asking for one signature and what comes back. Only a digest travels: the document stays in the
//! facility.

use hpki::encoding::Digest32;
use hpki::id::OrderNumber;
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::octets::{Base64, Sha256Base64};

/// The digest algorithms that a request can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DigestAlgorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
}

/// What is to be signed: the digest of the signed element under inclusive C14N 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentDigest {
    /// How it was computed.
    pub algorithm: DigestAlgorithm,
    /// Its 32 octets, base64.
    pub value: Sha256Base64,
}

impl DocumentDigest {
    /// A SHA-256 digest.
    pub const fn sha256(value: Digest32) -> Self {
        Self { algorithm: DigestAlgorithm::Sha256, value: Sha256Base64(value) }
    }

    /// Its octets.
    pub const fn octets(&self) -> Digest32 {
        self.value.0
    }
}

/// `POST /v1/signatures`, with `Authorization: Bearer` and the facility's client certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignRequest {
    /// Chosen and stored by the gateway before it sends; a retry carries the same number.
    #[schema(value_type = String, format = "uuid")]
    pub order: OrderNumber,
    /// What the document is: bound into the signature's first reference.
    #[schema(value_type = String, examples("prescription", "dispensing"))]
    pub kind: DocumentKind,
    /// The document's digest.
    pub digest: DocumentDigest,
}

/// The answer to [`SignRequest`]; the same octets for every retry of the order, except `left`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignAnswer {
    /// The order that this answers.
    #[schema(value_type = String, format = "uuid")]
    pub order: OrderNumber,
    /// The kind that was signed.
    #[schema(value_type = String)]
    pub kind: DocumentKind,
    /// The whole `ds:Signature` element, UTF-8 XML, to be spliced into the document unchanged.
    pub signature: Base64,
    /// The signer's certificate, DER.
    pub certificate: Base64,
    /// SigningTime as it stands in the signature.
    #[serde(with = "crate::time_text")]
    #[schema(value_type = String, format = DateTime)]
    pub signing_time: Timestamp,
    /// Where the journal holds the outcome (leaf index).
    pub index: u64,
    /// The journal's proof of that entry (`c2sp.org/tlog-proof@v1`).
    pub proof: String,
    /// How many signatures the day's allowance still has.
    pub left: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = r#"{"order":"0192f1d2-7c3a-7b11-8f0e-0123456789ab","kind":"prescription","digest":{"algorithm":"sha256","value":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}"#;

    #[test]
    fn a_request_is_read_and_written_alike() {
        let request: SignRequest = serde_json::from_str(REQUEST).unwrap();
        assert_eq!(request.digest.octets(), [0; 32]);
        assert_eq!(serde_json::to_string(&request).unwrap(), REQUEST);
    }

    #[test]
    fn an_unknown_member_or_algorithm_is_refused() {
        let more = REQUEST.replace("\"kind\"", "\"urgent\":true,\"kind\"");
        assert!(serde_json::from_str::<SignRequest>(&more).is_err());
        assert!(serde_json::from_str::<SignRequest>(&REQUEST.replace("sha256", "sha1")).is_err());
        assert!(
            serde_json::from_str::<SignRequest>(&REQUEST.replace("prescription", "letter"))
                .is_err()
        );
    }
}
