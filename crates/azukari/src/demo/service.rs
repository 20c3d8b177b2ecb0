//! The sandbox of the prescription management service on the network. In the real world it stands
//! in a closed network; here it listens on loopback and trusts the town's test root alone.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use hpki::refusal::Refuse;
use serde::{Deserialize, Serialize};
use town::service::Service;
use utoipa::ToSchema;
use verifier::Report;
use wire::Base64;

use crate::clock::now;
use crate::http::ask::{Ask, At};
use crate::http::problem::Trouble;

type Desk = State<Arc<Mutex<Service>>>;

/// A signed document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentRequest {
    /// The XML document in base64, octet for octet.
    pub(crate) document: Base64,
}

/// A registered prescription.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PrescriptionAnswer {
    /// 処方箋 ID
    pub(crate) prescription_id: String,
    /// 引換番号
    pub(crate) exchange_number: String,
    /// The registered document in base64.
    pub(crate) document: Base64,
    /// What the service's verifier found.
    #[schema(value_type = Object)]
    pub(crate) report: serde_json::Value,
}

/// A registered dispensing result.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct DispensingAnswer {
    /// 処方箋 ID
    pub(crate) prescription_id: String,
    /// The registered document in base64.
    pub(crate) document: Base64,
    /// What the service's verifier found, for both signatures.
    #[schema(value_type = Object)]
    pub(crate) report: serde_json::Value,
}

/// The service's routes.
pub(crate) fn router(service: Arc<Mutex<Service>>) -> Router {
    Router::new()
        .route("/v1/prescriptions", post(prescriptions))
        .route("/v1/prescriptions/{exchange_number}", get(fetch))
        .route("/v1/dispensings", post(dispensings))
        .layer(axum::extract::DefaultBodyLimit::max(8 * 1024 * 1024))
        .with_state(service)
}

impl From<town::Refusal> for Trouble {
    fn from(refusal: town::Refusal) -> Self {
        Self::refused(refusal.code(), refusal.to_string())
    }
}

fn shown(report: &Report) -> serde_json::Value {
    serde_json::to_value(report).unwrap_or_default()
}

/// 電子処方箋を登録する
#[utoipa::path(post, path = "/v1/prescriptions", tag = "service", request_body = DocumentRequest,
    responses((status = 200, body = PrescriptionAnswer), (status = "4XX", body = wire::refusal::Problem)))]
pub(crate) async fn prescriptions(
    State(service): Desk,
    Ask(request): Ask<DocumentRequest>,
) -> Result<Json<PrescriptionAnswer>, Trouble> {
    let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
    let accepted = service.accept_prescription(&request.document.0, now(), &hsm::SystemRandom)?;
    Ok(Json(PrescriptionAnswer {
        prescription_id: accepted.prescription_id.to_string(),
        exchange_number: accepted.exchange_number.to_string(),
        document: Base64(accepted.document),
        report: shown(&accepted.report),
    }))
}

/// 引換番号で処方箋を受け取る
#[utoipa::path(get, path = "/v1/prescriptions/{exchange_number}", tag = "service",
    params(("exchange_number" = String, Path, description = "引換番号")),
    responses((status = 200, body = PrescriptionAnswer), (status = "4XX", body = wire::refusal::Problem)))]
pub(crate) async fn fetch(
    State(service): Desk,
    At(number): At<String>,
) -> Result<Json<PrescriptionAnswer>, Trouble> {
    let number = number.parse()?;
    let service = service.lock().unwrap_or_else(PoisonError::into_inner);
    let accepted = service.fetch(&number)?;
    Ok(Json(PrescriptionAnswer {
        prescription_id: accepted.prescription_id.to_string(),
        exchange_number: accepted.exchange_number.to_string(),
        document: Base64(accepted.document.clone()),
        report: shown(&accepted.report),
    }))
}

/// 調剤結果を登録する
#[utoipa::path(post, path = "/v1/dispensings", tag = "service", request_body = DocumentRequest,
    responses((status = 200, body = DispensingAnswer), (status = "4XX", body = wire::refusal::Problem)))]
pub(crate) async fn dispensings(
    State(service): Desk,
    Ask(request): Ask<DocumentRequest>,
) -> Result<Json<DispensingAnswer>, Trouble> {
    let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
    let dispensed = service.accept_dispensing(&request.document.0, now())?;
    Ok(Json(DispensingAnswer {
        prescription_id: dispensed.prescription_id.to_string(),
        document: Base64(dispensed.document),
        report: shown(&dispensed.report),
    }))
}
