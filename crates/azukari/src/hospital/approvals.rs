//! The EHR's routes for the owner's approval per document or batch.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use gateway::{DocumentOutcome, Paper};
use hpki::id::{CeremonyId, OrderNumber};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Base64;

use super::terminal::Documents;
use super::{Hospital, staff_id, terminal_id};
use crate::clock::now;
use crate::http::ask::{Ask, At};
use crate::http::problem::Trouble;

type Desk = State<Arc<Hospital>>;

pub(super) fn routes() -> Router<Arc<Hospital>> {
    Router::new()
        .route("/v1/staff/{staff}/approvals", post(begin))
        .route("/v1/staff/{staff}/approvals/{ceremony}", get(state))
        .route("/v1/orders/{order}/evidence", get(evidence))
}

/// Documents to be approved on the phone and signed.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApprovalRequest {
    /// 端末 ID
    terminal: String,
    /// `phone` (default), or the card in this host's reader: `hpki` or `jpki`. The page then asks for
    /// its PIN.
    means: Option<String>,
    /// The documents; their order is part of what is approved.
    documents: Vec<PaperRequest>,
}

/// One document.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum PaperRequest {
    /// 処方箋
    Prescription {
        /// The prescription record (CSV, UTF-8) in base64.
        csv: Base64,
    },
    /// 調剤結果
    Dispensing {
        /// The registered prescription (XML) in base64, octet for octet.
        prescription: Base64,
        /// The dispensing record (CSV, UTF-8) in base64.
        csv: Base64,
    },
}

impl From<PaperRequest> for Paper {
    fn from(request: PaperRequest) -> Self {
        match request {
            PaperRequest::Prescription { csv } => Self::Prescription(csv.0),
            PaperRequest::Dispensing { prescription, csv } => {
                Self::Dispensing { prescription: prescription.0, csv: csv.0 }
            }
        }
    }
}

/// What the terminal shows.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ApprovalAnswer {
    /// The ceremony that began.
    ceremony: String,
    /// The text of the QR code.
    qr: String,
    /// Until when it can be claimed, seconds since 1970.
    until: u64,
    /// Eight characters, computed in this facility. The phone must show the same.
    short_code: String,
    /// The kinds of document, as the phone shows them.
    #[schema(value_type = Vec<String>)]
    kinds: Vec<hpki::kind::DocumentKind>,
    /// How many documents, as the phone shows it.
    count: u32,
    /// The order number of each document.
    #[schema(value_type = Vec<String>)]
    orders: Vec<OrderNumber>,
    /// A page for the terminal's browser, which shows all this and what follows. For this terminal
    /// alone, for ten minutes; a new QR code there begins them anew, ten times and for an hour at the
    /// most.
    page: String,
}

/// How far the approval is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ApprovalStateAnswer {
    /// `waiting`, `claimed`, `approved`, `released` (signed), `refused` or `expired`.
    state: wire::CeremonyStep,
    /// The eight characters again.
    short_code: String,
    /// Once released: what became of each document.
    documents: Vec<OutcomeAnswer>,
}

/// What became of one document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct OutcomeAnswer {
    /// Its order.
    order: String,
    /// `prescription` or `dispensing`
    kind: String,
    /// The whole signed and verified document in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Base64>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl From<DocumentOutcome> for OutcomeAnswer {
    fn from(found: DocumentOutcome) -> Self {
        let (document, refused) = match found.outcome {
            Ok(document) => (Some(Base64(document)), None),
            Err(code) => (None, Some(code)),
        };
        let (order, kind) = (found.order.to_string(), found.kind.to_string());
        Self { order, kind, document, refused }
    }
}

/// 文書ごとの承認を本人に求める（電話、またはこの端末のカード）
#[utoipa::path(post, path = "/v1/staff/{staff}/approvals", tag = "gateway", request_body = ApprovalRequest,
    params(("staff" = String, Path, description = "職員 ID")), security(("ehr" = [])),
    responses((status = 200, body = ApprovalAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn begin(
    State(hospital): Desk,
    At(staff): At<String>,
    headers: HeaderMap,
    Ask(request): Ask<ApprovalRequest>,
) -> Result<Json<ApprovalAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let terminal = terminal_id(&request.terminal)?;
    let papers: Vec<Paper> = request.documents.into_iter().map(Paper::from).collect();
    let staff = staff_id(&staff)?;
    let usage = hospital.means(request.means.as_deref())?;
    let asked = hospital.gateway.ask_approval(&staff, &terminal, &papers, now()).await?;
    let page = match usage {
        None => hospital.page_of_approval(&staff, &terminal, &asked),
        Some(usage) => {
            let (ceremony, documents) = (asked.ceremony, Documents::from(&asked));
            hospital.page_of_card_approval(&staff, &terminal, usage, ceremony, documents).0
        }
    };
    Ok(Json(ApprovalAnswer {
        page,
        ceremony: asked.ceremony.to_string(),
        qr: asked.qr,
        until: asked.until.seconds(),
        short_code: asked.short_code,
        kinds: asked.kinds,
        count: asked.count,
        orders: asked.orders,
    }))
}

/// 承認の進み具合。承認されると署名済み文書
#[utoipa::path(get, path = "/v1/staff/{staff}/approvals/{ceremony}", tag = "gateway",
    params(("staff" = String, Path, description = "職員 ID"), ("ceremony" = String, Path)), security(("ehr" = [])),
    responses((status = 200, body = ApprovalStateAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn state(
    State(hospital): Desk,
    At((staff, ceremony)): At<(String, CeremonyId)>,
    headers: HeaderMap,
) -> Result<Json<ApprovalStateAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let found = hospital.gateway.approval(&staff_id(&staff)?, ceremony, now()).await?;
    Ok(Json(ApprovalStateAnswer {
        state: found.state,
        short_code: found.short_code,
        documents: found.documents.into_iter().map(OutcomeAnswer::from).collect(),
    }))
}

/// 承認の証跡（文書と並べて保存する）
#[utoipa::path(get, path = "/v1/orders/{order}/evidence", tag = "gateway",
    params(("order" = String, Path, description = "注文番号 (UUIDv7)")), security(("ehr" = [])),
    responses((status = 200, body = Object), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn evidence(
    State(hospital): Desk,
    At(order): At<OrderNumber>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Trouble> {
    hospital.admit(&headers)?;
    let text = hospital.gateway.evidence(order).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text))
}
