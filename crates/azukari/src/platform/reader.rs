//! The platform's routes for a card in a terminal's reader, over the facility's mutual TLS.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json, Router};
use hpki::id::CeremonyId;
use wire::{CardAnswerAnswer, CardAnswerRequest, CardAskAnswer, CardAskRequest};

use super::Platform;
use super::door::standing;
use crate::clock::now;
use crate::flows;
use crate::http::ask::{Ask, At};
use crate::http::problem::Trouble;
use crate::http::tls::Peer;

type Rooms = State<Arc<Platform>>;

/// `/v1/ceremonies/{ceremony}/card…`
pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/v1/ceremonies/{ceremony}/card", post(ask))
        .route("/v1/ceremonies/{ceremony}/card/answer", post(answer))
}

/// 端末のカードリーダーのカードに、何に署名させるか
#[utoipa::path(post, path = "/v1/ceremonies/{ceremony}/card", tag = "platform",
    params(("ceremony" = String, Path)), request_body = CardAskRequest,
    security(("facility" = [])),
    responses((status = 200, body = CardAskAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn ask(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    At(ceremony): At<CeremonyId>,
    Ask(request): Ask<CardAskRequest>,
) -> Result<Json<CardAskAnswer>, Trouble> {
    let facility = standing(&platform, peer).await?;
    Ok(Json(flows::by_card::ask(&platform, &facility, ceremony, request, now()).await?))
}

/// カードの署名を渡す（トークンは本人認証の進み具合と同じところで受け取る）
#[utoipa::path(post, path = "/v1/ceremonies/{ceremony}/card/answer", tag = "platform",
    params(("ceremony" = String, Path)), request_body = CardAnswerRequest,
    security(("facility" = [])),
    responses((status = 200, body = CardAnswerAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn answer(
    State(platform): Rooms,
    peer: Option<Extension<Arc<Peer>>>,
    At(ceremony): At<CeremonyId>,
    Ask(request): Ask<CardAnswerRequest>,
) -> Result<Json<CardAnswerAnswer>, Trouble> {
    let facility = standing(&platform, peer).await?;
    let signature = request.signature.0;
    flows::by_card::answer(&platform, &facility, ceremony, signature, now()).await?;
    Ok(Json(CardAnswerAnswer { approved: true }))
}
