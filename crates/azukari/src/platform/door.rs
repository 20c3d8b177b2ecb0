//! The platform's routes for facilities. Each needs the client certificate that TLS proved; its
//! standing is asked on every request.

use std::sync::Arc;

use authn::Place;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use ca::Facility;
use hpki::id::{CeremonyId, OrderNumber};
use ledger::Failed;
use serde::Deserialize;
use wire::{
    CeremonyState, CheckpointAnswer, ConsistencyAnswer, EndAnswer, FacilityAnswer, NumberRequest,
    SignAnswer, SignRequest, StartAnswer, StartRequest,
};

use super::{
    Platform, approvals, batch, cards, csc, desk, holder, import, journal, oauth, pages, phone,
    reader, repository,
};
use crate::clock::now;
use crate::flows;
use crate::http::ask::{Ask, At, With};
use crate::http::limit::{self, Limits};
use crate::http::problem::Trouble;
use crate::http::tls::Peer;

type Rooms = State<Arc<Platform>>;

/// All routes of the platform.
pub(crate) fn router(platform: Arc<Platform>) -> Router {
    let origins: Arc<[String]> = platform.config.origins.clone().into();
    let limits = Limits::new(
        platform.config.requests_per_minute_and_address,
        platform.config.requests_per_minute_and_person,
    );
    // What anybody reaches, without a client certificate.
    let browsers = phone::routes(Arc::clone(&origins))
        .merge(holder::routes(Arc::clone(&origins)))
        .merge(oauth::pages(Arc::clone(&origins)))
        .merge(oauth::routes())
        .merge(desk::routes(origins))
        .merge(pages::routes())
        .merge(cards::routes())
        .route_layer(axum::middleware::from_fn_with_state(limits, limit::within));
    Router::new()
        .route("/v1/facility", get(facility))
        .route("/v1/signatures", post(sign))
        .route("/v1/signatures/{order}", get(signature))
        .route("/v1/ceremonies", post(start))
        .route("/v1/ceremonies/{ceremony}", get(state))
        .route("/v1/ceremonies/{ceremony}/number", post(number))
        .route("/v1/sessions/end", post(end))
        .route("/v1/checkpoint", get(checkpoint))
        .route("/v1/consistency", get(consistency))
        .merge(import::routes())
        .merge(approvals::routes())
        .merge(batch::routes())
        .merge(reader::routes())
        .merge(browsers)
        .merge(repository::routes())
        .merge(csc::routes())
        .merge(journal::routes())
        .layer(axum::extract::DefaultBodyLimit::max(64 * 1024))
        .with_state(platform)
}

/// The facility at the other end, still in good standing.
pub(super) async fn standing(
    platform: &Platform,
    peer: Option<Extension<Arc<Peer>>>,
) -> Result<Facility, Trouble> {
    let Some(Extension(peer)) = peer else {
        return Err(Trouble::refused(
            "client-certificate-missing",
            "this connection showed no client certificate of a facility",
        ));
    };
    Ok(platform.ca.facility_in_force(&peer.0, now()).await?)
}

pub(crate) fn place(facility: &Facility) -> Place {
    Place { facility: facility.code.clone(), name: facility.name.clone(), x5t: facility.x5t }
}

/// The bearer token of the request.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Trouble> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| Trouble::refused("token-missing", "no Authorization: Bearer header"))
}

/// この接続がどの医療機関と見えているか
#[utoipa::path(get, path = "/v1/facility", tag = "platform",
    security(("facility" = [])),
    responses((status = 200, body = FacilityAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn facility(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
) -> Result<Json<FacilityAnswer>, Trouble> {
    let facility = standing(&platform, peer).await?;
    Ok(Json(FacilityAnswer { facility: facility.code.clone(), name: facility.name.clone() }))
}

/// ダイジェストに署名する。文書は送らない
#[utoipa::path(post, path = "/v1/signatures", tag = "platform", request_body = SignRequest,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = SignAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn sign(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    headers: HeaderMap,
    Ask(request): Ask<SignRequest>,
) -> Result<Json<SignAnswer>, Trouble> {
    let peer = standing(&platform, peer).await?;
    let token = bearer(&headers)?;
    let answer = flows::sign::sign(&platform, token, &peer, request, now()).await?;
    Ok(Json(answer))
}

/// 注文番号の答えをもう一度受け取る（24 時間）
#[utoipa::path(get, path = "/v1/signatures/{order}", tag = "platform",
    params(("order" = String, Path, description = "注文番号 (UUIDv7)")),
    security(("facility" = [])),
    responses((status = 200, body = SignAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn signature(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    At(order): At<OrderNumber>,
) -> Result<Json<SignAnswer>, Trouble> {
    let peer = standing(&platform, peer).await?;
    Ok(Json(flows::sign::answer(&platform, &peer, order, now()).await?))
}

/// 端末が本人認証を始める
#[utoipa::path(post, path = "/v1/ceremonies", tag = "platform", request_body = StartRequest,
    security(("facility" = [])),
    responses((status = 200, body = StartAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn start(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    Ask(request): Ask<StartRequest>,
) -> Result<Json<StartAnswer>, Trouble> {
    let facility = standing(&platform, peer).await?;
    Ok(Json(platform.authn.start(place(&facility), request, now()).await?))
}

/// 本人認証の進み具合。終わればトークン
#[utoipa::path(get, path = "/v1/ceremonies/{ceremony}", tag = "platform",
    params(("ceremony" = String, Path)),
    security(("facility" = [])),
    responses((status = 200, body = CeremonyState), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn state(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    At(ceremony): At<CeremonyId>,
) -> Result<Json<CeremonyState>, Trouble> {
    let facility = standing(&platform, peer).await?;
    Ok(Json(flows::open_session::state(&platform, ceremony, facility.x5t, now()).await?))
}

/// 電話に出た三桁を端末で入力する
#[utoipa::path(post, path = "/v1/ceremonies/{ceremony}/number", tag = "platform", request_body = NumberRequest,
    params(("ceremony" = String, Path)),
    security(("facility" = [])),
    responses((status = 200, body = CeremonyState), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn number(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    At(ceremony): At<CeremonyId>,
    Ask(request): Ask<NumberRequest>,
) -> Result<Json<CeremonyState>, Trouble> {
    let facility = standing(&platform, peer).await?;
    platform.authn.number(ceremony, facility.x5t, &request.number, now()).await?;
    Ok(Json(flows::open_session::state(&platform, ceremony, facility.x5t, now()).await?))
}

/// トークンを終わらせる
#[utoipa::path(post, path = "/v1/sessions/end", tag = "platform",
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = EndAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn end(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    headers: HeaderMap,
) -> Result<Json<EndAnswer>, Trouble> {
    let peer = standing(&platform, peer).await?;
    flows::end_session::end(&platform, bearer(&headers)?, &peer, now()).await?;
    Ok(Json(EndAnswer { ended: true }))
}

/// 署名記録の最新のチェックポイント
#[utoipa::path(get, path = "/v1/checkpoint", tag = "platform",
    security(("facility" = [])),
    responses((status = 200, body = CheckpointAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn checkpoint(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
) -> Result<Json<CheckpointAnswer>, Trouble> {
    standing(&platform, peer).await?;
    platform.ledger.catch_up().await.map_err(Failed::<ledger::Refusal>::Fault)?;
    Ok(Json(CheckpointAnswer { checkpoint: platform.ledger.checkpoint() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Span {
    from: u64,
    to: u64,
}

/// 署名記録が書き換えられていない証明 (RFC 6962)
#[utoipa::path(get, path = "/v1/consistency", tag = "platform",
    params(("from" = u64, Query), ("to" = u64, Query)),
    security(("facility" = [])),
    responses((status = 200, body = ConsistencyAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn consistency(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    With(span): With<Span>,
) -> Result<Json<ConsistencyAnswer>, Trouble> {
    standing(&platform, peer).await?;
    let hashes = platform.ledger.consistency(span.from, span.to).await?;
    Ok(Json(ConsistencyAnswer { hashes: hashes.iter().map(hex::encode).collect() }))
}
