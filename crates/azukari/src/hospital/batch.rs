//! The EHR's route for several prescriptions in one request.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use hpki::id::OrderNumber;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Base64;

use super::approvals::OutcomeAnswer;
use super::{Hospital, staff_id};
use crate::clock::now;
use crate::http::ask::Ask;
use crate::http::problem::Trouble;

pub(super) fn routes() -> Router<Arc<Hospital>> {
    Router::new().route("/v1/prescriptions/batch", post(prescriptions))
}

/// Records to sign.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrescriptionsRequest {
    /// 職員 ID
    staff: String,
    /// A number of the EHR's own (UUIDv7), kept by it before sending. The same request again gets
    /// the same documents.
    #[schema(value_type = String, example = "019aa4a5-7d00-7c3e-9a54-3d1f0a1b2c3d")]
    order: OrderNumber,
    /// Between 1 and 300 prescription records (CSV, UTF-8), each in base64.
    records: Vec<Base64>,
}

/// What became of each record, in the order of the request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PrescriptionsAnswer {
    /// The EHR's number.
    #[schema(value_type = String)]
    order: OrderNumber,
    /// `order-in-progress` in a place: the same request again may get it.
    documents: Vec<OutcomeAnswer>,
}

/// 何枚かの処方箋に一度に署名する（300 件まで）。同じ番号でもう一度求めれば、同じ答えになる
#[utoipa::path(post, path = "/v1/prescriptions/batch", tag = "gateway", request_body = PrescriptionsRequest,
    security(("ehr" = [])),
    responses((status = 200, body = PrescriptionsAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn prescriptions(
    State(hospital): State<Arc<Hospital>>,
    headers: HeaderMap,
    Ask(request): Ask<PrescriptionsRequest>,
) -> Result<Json<PrescriptionsAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let (staff, order) = (staff_id(&request.staff)?, request.order);
    let records: Vec<Vec<u8>> = request.records.into_iter().map(|record| record.0).collect();
    let outcomes = hospital.gateway.prescribe_many(&staff, order, &records, now()).await?;
    let documents = outcomes.into_iter().map(OutcomeAnswer::from).collect();
    Ok(Json(PrescriptionsAnswer { order, documents }))
}
