//! The owner's approval per document or batch, as it travels between gateway and platform.

use hpki::id::{CeremonyId, OrderNumber};
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{Base64, CeremonyStep, SignAnswer, SignRequest, Terminal};
use crate::refusal::Problem;

/// A terminal asks that a person approve exactly these documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// Where.
    pub terminal: Terminal,
    /// The documents, each under its own order number; their order is part of what is approved.
    pub documents: Vec<SignRequest>,
}

/// The documents as they will be signed, and the QR by which the phone is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalAnswer {
    /// The ceremony that began.
    #[schema(value_type = String)]
    pub ceremony: CeremonyId,
    /// The text of the QR code.
    pub qr: String,
    /// Until when the QR can be claimed.
    #[schema(value_type = u64)]
    pub until: Timestamp,
    /// Until when the documents may be signed, if approved: `notAfter` of the statement.
    #[schema(value_type = u64)]
    pub not_after: Timestamp,
    /// The signer's certificate, DER in base64.
    pub certificate: Base64,
    /// What each document was composed from, in the order in which they were asked. With its own
    /// digest and the certificate the gateway rebuilds SignedInfo, and from that the root that the
    /// phone must show.
    pub documents: Vec<PreparedAnswer>,
}

/// What one document was composed from, besides kind and digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreparedAnswer {
    /// The order that it answers.
    #[schema(value_type = String)]
    pub order: OrderNumber,
    /// SigningTime as custody set it, seconds since 1970.
    #[schema(value_type = u64)]
    pub signing_time: Timestamp,
    /// The four octets in the signature's identifiers, hexadecimal.
    #[schema(example = "0a1b2c3d")]
    pub mark: String,
}

/// How far an approval is, for the certificate that began it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalState {
    /// `waiting`, `claimed`, `approved`, `refused` or `expired`.
    pub state: CeremonyStep,
    /// What the phone shows and signs, once a phone has claimed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub statement: Option<serde_json::Value>,
}

/// What became of the approved documents, in the order in which they were asked: an order stands at
/// its own place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalSignatures {
    /// One for each document.
    pub documents: Vec<ApprovalOutcome>,
}

/// What became of one document: a signature, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalOutcome {
    /// The signature, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignAnswer>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Problem>,
}
