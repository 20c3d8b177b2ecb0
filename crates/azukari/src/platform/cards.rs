//! The platform's routes for a card in the reader of any computer: what its holder decides at home.
//! They take no cookie and are for programs; a page that a card opened is taken to a browser by its
//! one-time address.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use wire::{
    CardApproveAnswer, CardApproveRequest, CardAskAnswer, CardBeginAnswer, CardBeginRequest,
    CardClaimRequest, CardFinishAnswer, CardFinishRequest, CardLinkBeginAnswer,
    CardLinkBeginRequest, CardLinkFinishRequest, CardLinkStateAnswer, CardLinkStateRequest,
    DoneAnswer,
};

use super::Platform;
use crate::clock::now;
use crate::flows::{at_home, link_card, login_card};
use crate::http::ask::Ask;
use crate::http::problem::Trouble;

type Rooms = State<Arc<Platform>>;

/// `/card/…`
pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route(wire::path::CARD_BEGIN, post(begin))
        .route(wire::path::CARD_FINISH, post(finish))
        .route(wire::path::CARD_CLAIM, post(claim))
        .route(wire::path::CARD_APPROVE, post(approve))
        .route(wire::path::CARD_LINK_BEGIN, post(link_begin))
        .route(wire::path::CARD_LINK_STATE, post(link_state))
        .route(wire::path::CARD_LINK_FINISH, post(link_finish))
}

/// カードで本人ができることを始める（何に署名させるか）
#[utoipa::path(post, path = "/card/begin", tag = "card", request_body = CardBeginRequest,
    responses((status = 200, body = CardBeginAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn begin(
    State(platform): Rooms,
    Ask(request): Ask<CardBeginRequest>,
) -> Result<Json<CardBeginAnswer>, Trouble> {
    Ok(Json(at_home::begin(&platform, request, now()).await?))
}

/// カードの署名を渡す
#[utoipa::path(post, path = "/card/finish", tag = "card", request_body = CardFinishRequest,
    responses((status = 200, body = CardFinishAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn finish(
    State(platform): Rooms,
    Ask(request): Ask<CardFinishRequest>,
) -> Result<Json<CardFinishAnswer>, Trouble> {
    Ok(Json(at_home::finish(&platform, request, now()).await?))
}

/// サービスへのログインを、カードで承認する（何に署名させるか）
#[utoipa::path(post, path = "/card/claim", tag = "card", request_body = CardClaimRequest,
    responses((status = 200, body = CardAskAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn claim(
    State(platform): Rooms,
    Ask(request): Ask<CardClaimRequest>,
) -> Result<Json<CardAskAnswer>, Trouble> {
    Ok(Json(login_card::claim(&platform, request, now()).await?))
}

/// カードの署名を渡し、ログインする画面に入れる数字を受け取る
#[utoipa::path(post, path = "/card/approve", tag = "card", request_body = CardApproveRequest,
    responses((status = 200, body = CardApproveAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn approve(
    State(platform): Rooms,
    Ask(request): Ask<CardApproveRequest>,
) -> Result<Json<CardApproveAnswer>, Trouble> {
    Ok(Json(login_card::approve(&platform, request, now()).await?))
}

/// マイナンバーカードを電話で紐付ける（電話に読ませる QR）
#[utoipa::path(post, path = "/card/link/begin", tag = "card", request_body = CardLinkBeginRequest,
    responses((status = 200, body = CardLinkBeginAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn link_begin(
    State(platform): Rooms,
    Ask(request): Ask<CardLinkBeginRequest>,
) -> Result<Json<CardLinkBeginAnswer>, Trouble> {
    Ok(Json(link_card::begin(&platform, request, now()).await?))
}

/// 紐付けの進み具合
#[utoipa::path(post, path = "/card/link/state", tag = "card", request_body = CardLinkStateRequest,
    responses((status = 200, body = CardLinkStateAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn link_state(
    State(platform): Rooms,
    Ask(request): Ask<CardLinkStateRequest>,
) -> Result<Json<CardLinkStateAnswer>, Trouble> {
    Ok(Json(link_card::state(&platform, &request, now())?))
}

/// 電話に出た数字とカードの署名を渡す
#[utoipa::path(post, path = "/card/link/finish", tag = "card", request_body = CardLinkFinishRequest,
    responses((status = 200, body = DoneAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn link_finish(
    State(platform): Rooms,
    Ask(request): Ask<CardLinkFinishRequest>,
) -> Result<Json<DoneAnswer>, Trouble> {
    Ok(Json(link_card::finish(&platform, request, now()).await?))
}
