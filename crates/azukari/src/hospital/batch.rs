//! The EHR's routes for several records in one request.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use gateway::Paper;
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
    Router::new()
        .route("/v1/prescriptions/batch", post(prescriptions))
        .route("/v1/dispensings/batch", post(dispensings))
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

/// Dispensing records to sign.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DispensingsRequest {
    /// 職員 ID
    staff: String,
    /// A number of the receipt computer's own (UUIDv7), as for prescriptions.
    #[schema(value_type = String, example = "019aa4a5-7d00-7c3e-9a54-3d1f0a1b2c3d")]
    order: OrderNumber,
    /// Between 1 and 300 records.
    records: Vec<DispensingRecord>,
}

/// One of them.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DispensingRecord {
    /// The registered prescription (XML) in base64, octet for octet.
    prescription: Base64,
    /// The dispensing record (CSV, UTF-8) in base64.
    csv: Base64,
}

/// What became of each record, in the order of the request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RecordsAnswer {
    /// The EHR's number.
    #[schema(value_type = String)]
    order: OrderNumber,
    /// `order-in-progress` in a place: the same request again may get it.
    documents: Vec<OutcomeAnswer>,
}

/// 何枚かの処方箋に一度に署名する（300 件まで）。同じ番号でもう一度求めれば、同じ答えになる
#[utoipa::path(post, path = "/v1/prescriptions/batch", tag = "gateway", request_body = PrescriptionsRequest,
    security(("ehr" = [])),
    responses((status = 200, body = RecordsAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn prescriptions(
    State(hospital): State<Arc<Hospital>>,
    headers: HeaderMap,
    Ask(request): Ask<PrescriptionsRequest>,
) -> Result<Json<RecordsAnswer>, Trouble> {
    let papers = request.records.into_iter().map(|record| Paper::Prescription(record.0));
    signed(&hospital, &headers, &request.staff, request.order, papers.collect()).await
}

/// 何件かの調剤結果に一度に署名する（300 件まで）。先にそれぞれの処方箋を検証する
#[utoipa::path(post, path = "/v1/dispensings/batch", tag = "gateway", request_body = DispensingsRequest,
    security(("ehr" = [])),
    responses((status = 200, body = RecordsAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn dispensings(
    State(hospital): State<Arc<Hospital>>,
    headers: HeaderMap,
    Ask(request): Ask<DispensingsRequest>,
) -> Result<Json<RecordsAnswer>, Trouble> {
    let papers = request
        .records
        .into_iter()
        .map(|record| Paper::Dispensing { prescription: record.prescription.0, csv: record.csv.0 });
    signed(&hospital, &headers, &request.staff, request.order, papers.collect()).await
}

async fn signed(
    hospital: &Hospital,
    headers: &HeaderMap,
    staff: &str,
    order: OrderNumber,
    papers: Vec<Paper>,
) -> Result<Json<RecordsAnswer>, Trouble> {
    hospital.admit(headers)?;
    let outcomes = hospital.gateway.sign_many(&staff_id(staff)?, order, &papers, now()).await?;
    let documents = outcomes.into_iter().map(OutcomeAnswer::from).collect();
    Ok(Json(RecordsAnswer { order, documents }))
}
