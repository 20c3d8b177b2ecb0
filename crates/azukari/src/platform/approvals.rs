//! The platform's routes for the owner's approval per document or batch, from facilities.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use hpki::id::{CeremonyId, OrderNumber};
use wire::{ApprovalAnswer, ApprovalRequest, ApprovalSignatures, ApprovalState};

use super::Platform;
use super::door::{bearer, standing};
use crate::clock::now;
use crate::flows::approve_documents;
use crate::http::ask::{Ask, At};
use crate::http::problem::Trouble;
use crate::http::tls::Peer;

type Rooms = State<Arc<Platform>>;

/// A thousand documents, each a number, a kind and a digest.
const LARGEST: usize = 512 * 1024;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/v1/approvals", post(begin))
        .route("/v1/approvals/{ceremony}", get(state))
        .route("/v1/approvals/{ceremony}/signatures", post(signatures))
        .route("/v1/signatures/{order}/evidence", get(evidence))
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST))
}

/// 文書ごとの承認を本人に求める。ダイジェストだけを送る
#[utoipa::path(post, path = "/v1/approvals", tag = "platform", request_body = ApprovalRequest,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = ApprovalAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn begin(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    headers: HeaderMap,
    Ask(request): Ask<ApprovalRequest>,
) -> Result<Json<ApprovalAnswer>, Trouble> {
    let facility = standing(&platform, peer).await?;
    let token = bearer(&headers)?;
    Ok(Json(approve_documents::begin(&platform, token, &facility, request, now()).await?))
}

/// 承認の進み具合と、電話が示している内容
#[utoipa::path(get, path = "/v1/approvals/{ceremony}", tag = "platform",
    params(("ceremony" = String, Path)),
    security(("facility" = [])),
    responses((status = 200, body = ApprovalState), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn state(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    At(ceremony): At<CeremonyId>,
) -> Result<Json<ApprovalState>, Trouble> {
    let facility = standing(&platform, peer).await?;
    Ok(Json(approve_documents::state(&platform, ceremony, facility.x5t, now()).await?))
}

/// 承認された文書の署名を受け取る。もう一度求めても同じ署名
#[utoipa::path(post, path = "/v1/approvals/{ceremony}/signatures", tag = "platform",
    params(("ceremony" = String, Path)),
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = ApprovalSignatures), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn signatures(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    headers: HeaderMap,
    At(ceremony): At<CeremonyId>,
) -> Result<Json<ApprovalSignatures>, Trouble> {
    let facility = standing(&platform, peer).await?;
    let token = bearer(&headers)?;
    Ok(Json(approve_documents::sign(&platform, token, &facility, ceremony, now()).await?))
}

/// 本人がこの署名を承認した証跡（`azukari verify-activation` で確かめられる）
#[utoipa::path(get, path = "/v1/signatures/{order}/evidence", tag = "platform",
    params(("order" = String, Path, description = "注文番号 (UUIDv7)")),
    security(("facility" = [])),
    responses((status = 200, body = Object), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn evidence(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    At(order): At<OrderNumber>,
) -> Result<impl IntoResponse, Trouble> {
    let facility = standing(&platform, peer).await?;
    let text = approve_documents::evidence(&platform, &facility, order, now()).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text))
}
