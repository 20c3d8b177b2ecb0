//! Who the platform takes the other end of the connection for.

use hpki::id::FacilityCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/facility`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FacilityAnswer {
    /// The ten-digit institution code in the client certificate.
    #[schema(value_type = String)]
    pub facility: FacilityCode,
    /// The registered name, as phones will show it.
    pub name: String,
}
