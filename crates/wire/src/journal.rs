//! What a gateway asks of the journal, each minute and with each answer.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointAnswer {
    /// The newest checkpoint as a signed note (`c2sp.org/tlog-checkpoint`).
    pub checkpoint: String,
}

/// `GET /v1/consistency?from=&to=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyAnswer {
    /// The consistency proof (RFC 6962 §2.1.2), each hash as 64 hexadecimal digits.
    pub hashes: Vec<String>,
}
