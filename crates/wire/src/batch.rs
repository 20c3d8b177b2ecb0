//! Many signatures under one order number, out of a session's budget.

use hpki::id::OrderNumber;
use hpki::kind::DocumentKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::DigestValue;
use crate::approvals::ApprovalOutcome;

/// Asks for up to a thousand signatures under one number. All is reserved or nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchRequest {
    /// Order number (UUIDv7), chosen and stored by the gateway before sending. A retry uses it
    /// again, with the same documents in the same order.
    #[schema(value_type = String, example = "019aa4a5-7d00-7c3e-9a54-3d1f0a1b2c3d")]
    pub order: OrderNumber,
    /// Between 1 and 1,000 documents.
    pub documents: Vec<BatchDocument>,
}

/// One document of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchDocument {
    /// `prescription` or `dispensing`.
    #[schema(value_type = String, example = "prescription")]
    pub kind: DocumentKind,
    /// SHA-256 over inclusive C14N 1.0 of the element that is signed.
    pub digest: DigestValue,
}

/// What became of each document, at its own place. `order-in-progress` in a place: the same request
/// again will get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchAnswer {
    /// The order that is answered.
    #[schema(value_type = String)]
    pub order: OrderNumber,
    /// One for each document, in the order in which they were asked.
    pub documents: Vec<ApprovalOutcome>,
}
