//! One document to sign, and the signed one.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use gateway::Signed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Base64;

use super::{Desk, staff_id};
use crate::clock::now;
use crate::http::ask::Ask;
use crate::http::problem::Trouble;

/// A record to sign.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrescriptionRequest {
    /// 職員 ID
    staff: String,
    /// The prescription record (CSV, UTF-8) in base64.
    csv: Base64,
}

/// A dispensing record to sign, over a registered prescription.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DispensingRequest {
    /// 職員 ID
    staff: String,
    /// The registered prescription (XML) in base64, octet for octet.
    prescription: Base64,
    /// The dispensing record (CSV, UTF-8) in base64.
    csv: Base64,
}

/// A signed and verified document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SignedAnswer {
    /// The order under which it was signed.
    order: String,
    /// `prescription` or `dispensing`
    kind: String,
    /// The whole document in base64.
    document: Base64,
    /// SigningTime, RFC 3339.
    signing_time: String,
    /// Where the journal holds it.
    index: u64,
    /// How many signatures the budget still allows.
    left: u64,
    /// What the verifier found.
    #[schema(value_type = Object)]
    report: serde_json::Value,
}

impl From<Signed> for SignedAnswer {
    fn from(signed: Signed) -> Self {
        Self {
            order: signed.order.to_string(),
            kind: signed.kind.to_string(),
            document: Base64(signed.document),
            signing_time: signed.signing_time.rfc3339(),
            index: signed.index,
            left: signed.left,
            report: serde_json::to_value(&signed.report).unwrap_or_default(),
        }
    }
}

/// 処方箋に署名する。記録はこの施設から出ない
#[utoipa::path(post, path = "/v1/prescriptions", tag = "gateway", request_body = PrescriptionRequest,
    security(("ehr" = [])),
    responses((status = 200, body = SignedAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn prescriptions(
    State(hospital): Desk,
    headers: HeaderMap,
    Ask(request): Ask<PrescriptionRequest>,
) -> Result<Json<SignedAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let staff = staff_id(&request.staff)?;
    Ok(Json(hospital.gateway.prescribe(&staff, &request.csv.0, now()).await?.into()))
}

/// 調剤結果に署名する。先に処方箋を検証する
#[utoipa::path(post, path = "/v1/dispensings", tag = "gateway", request_body = DispensingRequest,
    security(("ehr" = [])),
    responses((status = 200, body = SignedAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn dispensings(
    State(hospital): Desk,
    headers: HeaderMap,
    Ask(request): Ask<DispensingRequest>,
) -> Result<Json<SignedAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let staff = staff_id(&request.staff)?;
    let signed = hospital.gateway.dispense(&staff, &request.prescription.0, &request.csv.0, now());
    Ok(Json(signed.await?.into()))
}
