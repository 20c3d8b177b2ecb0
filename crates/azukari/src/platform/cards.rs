//! The platform's routes for a card in the reader of any computer: what its holder decides at home.
//! They take no cookie and are for programs; a page that a card opened is taken to a browser by its
//! one-time address.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use wire::{CardBeginAnswer, CardBeginRequest, CardFinishAnswer, CardFinishRequest};

use super::Platform;
use crate::clock::now;
use crate::flows::at_home;
use crate::http::ask::Ask;
use crate::http::problem::Trouble;

type Rooms = State<Arc<Platform>>;

/// `/card/begin` and `/card/finish`
pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route(wire::path::CARD_BEGIN, post(begin))
        .route(wire::path::CARD_FINISH, post(finish))
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
