//! The platform's routes for phones, which have no client certificate: what they prove, they prove
//! by the sheet's secret and by their own key. Whose phone it is says its device cookie.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::routing::{get, post};
use axum::{Json, Router};
use wire::{
    EndAnswer, HistoryAnswer, HistoryRequest, KeyStopAnswer, KeyStopBeginAnswer,
    KeyStopBeginRequest, KeyStopFinishRequest, LinkBirthAnswer, LinkBirthRequest, LinkFinishAnswer,
    LinkFinishRequest, LinkHeldAnswer, LinkHeldRequest, LinkOpenAnswer, LinkOpenRequest,
    SessionApproveAnswer, SessionApproveRequest, SessionClaimAnswer, SessionClaimRequest,
    SessionRefuseRequest,
};

use super::Platform;
use crate::clock::now;
use crate::flows;
use crate::http::ask::Ask;
use crate::http::browser::{self, Device};
use crate::http::problem::Trouble;

type Rooms = State<Arc<Platform>>;

/// The phone's routes. Pages of `origins` alone may call them.
pub(crate) fn routes(origins: Arc<[String]>) -> Router<Arc<Platform>> {
    Router::new()
        .route("/phone/link/open", post(open))
        .route("/phone/link/birth", post(birth))
        .route("/phone/link/held", post(held))
        .route("/phone/link/finish", post(finish))
        .route("/phone/session/claim", post(claim))
        .route("/phone/session/approve", post(approve))
        .route("/phone/session/refuse", post(refuse))
        .route("/phone/key/stop/begin", post(stop_begin))
        .route("/phone/key/stop/finish", post(stop_finish))
        .route("/phone/key/history", post(history))
        .route_layer(axum::middleware::from_fn_with_state(origins, browser::own_pages))
        .route("/.well-known/jwks.json", get(jwks))
}

/// 初期登録用 QR を開く
#[utoipa::path(post, path = "/phone/link/open", tag = "phone", request_body = LinkOpenRequest,
    responses((status = 200, body = LinkOpenAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn open(
    State(platform): Rooms,
    device: Device,
    Ask(request): Ask<LinkOpenRequest>,
) -> Result<Json<LinkOpenAnswer>, Trouble> {
    Ok(Json(platform.authn.open(&request, device.secret(), now()).await?))
}

/// 生年月日を入れ、紐付けの問いを受け取る
#[utoipa::path(post, path = "/phone/link/birth", tag = "phone", request_body = LinkBirthRequest,
    responses((status = 200, body = LinkBirthAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn birth(
    State(platform): Rooms,
    Ask(request): Ask<LinkBirthRequest>,
) -> Result<Json<LinkBirthAnswer>, Trouble> {
    Ok(Json(platform.authn.birth(&request, now()).await?))
}

/// 電話がすでに持っている鍵を告げる（1台に証明書は1つ）
#[utoipa::path(post, path = "/phone/link/held", tag = "phone", request_body = LinkHeldRequest,
    responses((status = 200, body = LinkHeldAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn held(
    State(platform): Rooms,
    Ask(request): Ask<LinkHeldRequest>,
) -> Result<Json<LinkHeldAnswer>, Trouble> {
    platform.authn.held(&request, now()).await?;
    Ok(Json(LinkHeldAnswer { free: true }))
}

/// 電話を紐付ける（端末 cookie を置く）
#[utoipa::path(post, path = "/phone/link/finish", tag = "phone", request_body = LinkFinishRequest,
    responses((status = 200, body = LinkFinishAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn finish(
    State(platform): Rooms,
    device: Device,
    Ask(request): Ask<LinkFinishRequest>,
) -> Result<([(HeaderName, String); 1], Json<LinkFinishAnswer>), Trouble> {
    let (answer, secret) =
        flows::link_phone::finish(&platform, &request, device.secret(), now()).await?;
    Ok(([browser::set_device(&secret)], Json(answer)))
}

/// 端末の QR を読む
#[utoipa::path(post, path = "/phone/session/claim", tag = "phone", request_body = SessionClaimRequest,
    responses((status = 200, body = SessionClaimAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn claim(
    State(platform): Rooms,
    device: Device,
    headers: HeaderMap,
    Ask(request): Ask<SessionClaimRequest>,
) -> Result<Json<SessionClaimAnswer>, Trouble> {
    let opened = browser::cookie(&headers, browser::LOGIN);
    let device = device.secret();
    Ok(Json(flows::login::claim(&platform, &request, device, opened, now()).await?))
}

/// 承認する
#[utoipa::path(post, path = "/phone/session/approve", tag = "phone", request_body = SessionApproveRequest,
    responses((status = 200, body = SessionApproveAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn approve(
    State(platform): Rooms,
    Ask(request): Ask<SessionApproveRequest>,
) -> Result<Json<SessionApproveAnswer>, Trouble> {
    Ok(Json(flows::login::approve(&platform, &request, now()).await?))
}

/// 断る
#[utoipa::path(post, path = "/phone/session/refuse", tag = "phone", request_body = SessionRefuseRequest,
    responses((status = 200, body = EndAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn refuse(
    State(platform): Rooms,
    Ask(request): Ask<SessionRefuseRequest>,
) -> Result<Json<EndAnswer>, Trouble> {
    flows::login::refuse(&platform, &request, now()).await?;
    Ok(Json(EndAnswer { ended: true }))
}

/// 自分の鍵の停止を始める（停止の内容と、電話への問いを受け取る）
#[utoipa::path(post, path = "/phone/key/stop/begin", tag = "phone", request_body = KeyStopBeginRequest,
    responses((status = 200, body = KeyStopBeginAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn stop_begin(
    State(platform): Rooms,
    device: Device,
    Ask(_): Ask<KeyStopBeginRequest>,
) -> Result<Json<KeyStopBeginAnswer>, Trouble> {
    Ok(Json(platform.authn.begin_stop(device.secret(), now()).await?))
}

/// 自分の鍵を停止する
#[utoipa::path(post, path = "/phone/key/stop/finish", tag = "phone", request_body = KeyStopFinishRequest,
    responses((status = 200, body = KeyStopAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn stop_finish(
    State(platform): Rooms,
    device: Device,
    Ask(request): Ask<KeyStopFinishRequest>,
) -> Result<Json<KeyStopAnswer>, Trouble> {
    Ok(Json(flows::stop_key::finish(&platform, &request, device.secret(), now()).await?))
}

/// 自分の鍵の署名記録を受け取る（新しい順に、最大 1,000 件ずつ）
#[utoipa::path(post, path = "/phone/key/history", tag = "phone", request_body = HistoryRequest,
    responses((status = 200, body = HistoryAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn history(
    State(platform): Rooms,
    device: Device,
    Ask(request): Ask<HistoryRequest>,
) -> Result<Json<HistoryAnswer>, Trouble> {
    Ok(Json(platform.authn.history(&request, device.secret()).await?))
}

/// トークンと ID トークンの署名を確かめる鍵（RFC 7517）
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "oauth", responses((status = 200)))]
pub(crate) async fn jwks(State(platform): Rooms) -> Json<serde_json::Value> {
    Json(platform.authn.jwks())
}
