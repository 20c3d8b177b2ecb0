//! The platform's routes for many signatures under one order number, from facilities.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use hpki::id::OrderNumber;
use wire::{BatchAnswer, BatchRequest};

use super::Platform;
use super::door::{bearer, standing};
use crate::clock::now;
use crate::flows;
use crate::http::ask::{Ask, At};
use crate::http::problem::Trouble;
use crate::http::tls::Peer;

type Rooms = State<Arc<Platform>>;

/// A thousand documents, each a kind and a digest.
const LARGEST: usize = 512 * 1024;

pub(super) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/v1/signatures/batch", post(sign))
        .route("/v1/signatures/batch/{order}", get(answer))
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST))
}

/// 一つの注文番号で千件まで署名する。全部を確保できなければ何も始めない
#[utoipa::path(post, path = "/v1/signatures/batch", tag = "platform", request_body = BatchRequest,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = BatchAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn sign(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    headers: HeaderMap,
    Ask(request): Ask<BatchRequest>,
) -> Result<Json<BatchAnswer>, Trouble> {
    let facility = standing(&platform, peer).await?;
    let token = bearer(&headers)?;
    Ok(Json(flows::sign::batch(&platform, token, &facility, request, now()).await?))
}

/// 一括の注文の答えをもう一度受け取る（24 時間）
#[utoipa::path(get, path = "/v1/signatures/batch/{order}", tag = "platform",
    params(("order" = String, Path, description = "注文番号 (UUIDv7)")),
    security(("facility" = [])),
    responses((status = 200, body = BatchAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn answer(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    At(order): At<OrderNumber>,
) -> Result<Json<BatchAnswer>, Trouble> {
    let facility = standing(&platform, peer).await?;
    Ok(Json(flows::sign::batch_answer(&platform, &facility, order, now()).await?))
}
