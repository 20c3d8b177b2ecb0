//! The routes of the owner's page and of a new phone. A visit is a cookie; whatever it does says the
//! value that its page was given, and what matters is approved by her passkey at that moment.

use std::sync::Arc;

use authn::{Visit, Visiting};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use wire::{
    CardCheckAnswer, CardCheckRequest, CardCodeAnswer, CardTicketRequest, ChangeBeginAnswer,
    ChangeOfferAnswer, ChangeOfferRequest, ChangeOpenAnswer, ChangeOpenRequest, ChangeStandAnswer,
    ChangeStandRequest, ChangeState, DoneAnswer, HolderEndRequest, HolderHistory,
    HolderHistoryRequest, HolderState, NoticesSeenRequest, OwnerActRequest, OwnerAnswerRequest,
    OwnerAskAnswer, SigninAnswer, SigninBeginAnswer, SigninBeginRequest, SigninFinishRequest,
};

use super::Platform;
use crate::clock::now;
use crate::flows::holder;
use crate::http::ask::{Ask, At};
use crate::http::browser::{self, Device, HOLDER};
use crate::http::problem::Trouble;
use crate::pages::qr;

type Rooms = State<Arc<Platform>>;

/// How long a browser keeps the cookie; the visit itself may end before.
const COOKIE_S: u64 = 2 * 3_600;

/// The routes. Pages of `origins` alone may call those that act.
pub(crate) fn routes(origins: Arc<[String]>) -> Router<Arc<Platform>> {
    Router::new()
        .route(wire::path::SIGNIN_BEGIN, post(signin_begin))
        .route(wire::path::SIGNIN_FINISH, post(signin_finish))
        .route(wire::path::SIGNIN_CARD, post(signin_card))
        .route(wire::path::SIGNOUT, post(signout))
        .route(wire::path::ME_SESSION_END, post(session_end))
        .route(wire::path::ME_NOTICES_SEEN, post(notices_seen))
        .route(wire::path::ME_ACT_BEGIN, post(act_begin))
        .route(wire::path::ME_ACT_FINISH, post(act_finish))
        .route(wire::path::ME_HISTORY, post(history))
        .route(wire::path::ME_CARD, post(card_code))
        .route(wire::path::ME_CHANGE_BEGIN, post(change_begin))
        .route(wire::path::ME_CHANGE, post(change_state))
        .route(wire::path::ME_CHANGE_REFUSE, post(change_refuse))
        .route(wire::path::CHANGE_OPEN, post(change_open))
        .route(wire::path::CHANGE_OFFER, post(change_offer))
        .route(wire::path::CHANGE_STANDS, post(change_stands))
        .route(wire::path::CARD_CHECK, post(card_check))
        .route_layer(axum::middleware::from_fn_with_state(origins, browser::own_pages))
        .route(wire::path::ME_STATE, get(state))
        .route(wire::path::ME_PROOF, get(proof))
}

/// Whose visit this is, where the page may act in it.
pub(super) async fn acting(platform: &Platform, headers: &HeaderMap) -> Result<Visit, Trouble> {
    let secret = browser::visited(headers, HOLDER)?;
    Ok(platform.authn.visit(secret, now()).await?)
}

/// Whose visit this is, for what is only read.
pub(super) async fn reading(
    platform: &Platform,
    headers: &HeaderMap,
) -> Result<(Visit, String), Trouble> {
    let secret = browser::cookie(headers, HOLDER);
    let visit = platform.authn.visit(secret, now()).await?;
    Ok((visit, browser::csrf(secret.unwrap_or_default())))
}

fn done() -> Json<DoneAnswer> {
    Json(DoneAnswer { done: true })
}

/// What is somebody's own is kept by no cache.
fn kept_nowhere<T: serde::Serialize>(answer: T) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// 本人のページへのサインインを始める
#[utoipa::path(post, path = "/me/signin/begin", tag = "holder", request_body = SigninBeginRequest,
    responses((status = 200, body = SigninBeginAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn signin_begin(
    State(platform): Rooms,
    device: Device,
    Ask(_): Ask<SigninBeginRequest>,
) -> Result<Json<SigninBeginAnswer>, Trouble> {
    Ok(Json(platform.authn.begin_visit(device.secret(), now()).await?))
}

/// 本人のページにサインインする（cookie を置く）
#[utoipa::path(post, path = "/me/signin/finish", tag = "holder", request_body = SigninFinishRequest,
    responses((status = 200, body = SigninAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn signin_finish(
    State(platform): Rooms,
    Ask(request): Ask<SigninFinishRequest>,
) -> Result<Response, Trouble> {
    opened(&platform.authn.finish_visit(&request, now()).await?)
}

/// カードで開いたページを、この閲覧ソフトで見る（cookie を置く）
#[utoipa::path(post, path = "/me/signin/card", tag = "holder", request_body = CardTicketRequest,
    responses((status = 200, body = SigninAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn signin_card(
    State(platform): Rooms,
    Ask(request): Ask<CardTicketRequest>,
) -> Result<Response, Trouble> {
    opened(&platform.authn.redeem_ticket(&request.ticket, now()).await?)
}

/// The cookies of a visit that has begun.
fn opened(signed: &Visiting) -> Result<Response, Trouble> {
    let answer = SigninAnswer { csrf: browser::csrf(&signed.visit), until: signed.until };
    let mut answer = Json(answer).into_response();
    let mut set = |(name, value): (HeaderName, String)| {
        let value = value.parse().map_err(|error| Trouble::fault(&error));
        value.map(|value: axum::http::HeaderValue| answer.headers_mut().append(name, value))
    };
    set(browser::set_cookie(HOLDER, &signed.visit, COOKIE_S))?;
    if let Some(device) = &signed.device {
        set(browser::set_device(device))?;
    }
    Ok(answer)
}

/// 本人のページから出る
#[utoipa::path(post, path = "/me/signout", tag = "holder", request_body = SigninBeginRequest,
    responses((status = 200, body = DoneAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn signout(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(_): Ask<SigninBeginRequest>,
) -> Result<Response, Trouble> {
    let visit = acting(&platform, &headers).await?;
    platform.authn.end_visit(&visit).await?;
    Ok(([browser::set_cookie(HOLDER, "", 0)], done()).into_response())
}

/// 本人のページに出るもの（資格証・鍵・電話・有効な認証・お知らせ）
#[utoipa::path(get, path = "/me/state", tag = "holder",
    responses((status = 200, body = HolderState), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn state(State(platform): Rooms, headers: HeaderMap) -> Result<Response, Trouble> {
    let (visit, csrf) = reading(&platform, &headers).await?;
    Ok(kept_nowhere(holder::state(&platform, &visit, csrf, now()).await?))
}

/// 自分の認証を終わらせる
#[utoipa::path(post, path = "/me/session/end", tag = "holder", request_body = HolderEndRequest,
    responses((status = 200, body = DoneAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn session_end(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(request): Ask<HolderEndRequest>,
) -> Result<Json<DoneAnswer>, Trouble> {
    let visit = acting(&platform, &headers).await?;
    holder::end_session(&platform, &visit, request.session, now()).await?;
    Ok(done())
}

/// お知らせを読んだ
#[utoipa::path(post, path = "/me/notices/seen", tag = "holder", request_body = NoticesSeenRequest,
    responses((status = 200, body = DoneAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn notices_seen(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(request): Ask<NoticesSeenRequest>,
) -> Result<Json<DoneAnswer>, Trouble> {
    let visit = acting(&platform, &headers).await?;
    platform.authn.notices_seen(visit.key(), request.number).await?;
    Ok(done())
}

/// 鍵の停止・再開、電話の紛失、「自分ではない」を始める（電話への問いを受け取る）
#[utoipa::path(post, path = "/me/act/begin", tag = "holder", request_body = OwnerActRequest,
    responses((status = 200, body = OwnerAskAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn act_begin(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(request): Ask<OwnerActRequest>,
) -> Result<Json<OwnerAskAnswer>, Trouble> {
    let visit = acting(&platform, &headers).await?;
    Ok(Json(holder::ask(&platform, &visit, &request, now()).await?))
}

/// それを承認する
#[utoipa::path(post, path = "/me/act/finish", tag = "holder", request_body = OwnerAnswerRequest,
    responses((status = 200, body = DoneAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn act_finish(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(request): Ask<OwnerAnswerRequest>,
) -> Result<Json<DoneAnswer>, Trouble> {
    let visit = acting(&platform, &headers).await?;
    holder::answer(&platform, &visit, &request.credential, now()).await?;
    Ok(done())
}

/// 自分の鍵の記録（新しい順）
#[utoipa::path(post, path = "/me/history", tag = "holder", request_body = HolderHistoryRequest,
    responses((status = 200, body = HolderHistory), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn history(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(request): Ask<HolderHistoryRequest>,
) -> Result<Response, Trouble> {
    let visit = acting(&platform, &headers).await?;
    Ok(kept_nowhere(holder::history(&platform, &visit, request.before).await?))
}

/// 自分の記録一件が台帳にあることの証明 (c2sp.org/tlog-proof@v1)
#[utoipa::path(get, path = "/me/proof/{index}", tag = "holder",
    params(("index" = u64, Path)),
    responses((status = 200, content_type = "text/plain"), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn proof(
    State(platform): Rooms,
    headers: HeaderMap,
    At(index): At<u64>,
) -> Result<Response, Trouble> {
    let (visit, _) = reading(&platform, &headers).await?;
    let proof = holder::proof(&platform, &visit, index).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{index}.tlog-proof\"")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, proof).into_response())
}

/// 資格証の QR（一分間有効）
#[utoipa::path(post, path = "/me/card", tag = "holder", request_body = SigninBeginRequest,
    responses((status = 200, body = CardCodeAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn card_code(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(_): Ask<SigninBeginRequest>,
) -> Result<Json<CardCodeAnswer>, Trouble> {
    let visit = acting(&platform, &headers).await?;
    let (text, until) = platform.authn.card_code(&visit, now())?;
    Ok(Json(CardCodeAnswer { svg: qr::svg(&text), qr: text, until }))
}

/// 資格証の QR を確かめる
#[utoipa::path(post, path = "/card/check", tag = "holder", request_body = CardCheckRequest,
    responses((status = 200, body = CardCheckAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn card_check(
    State(platform): Rooms,
    Ask(request): Ask<CardCheckRequest>,
) -> Result<Response, Trouble> {
    Ok(kept_nowhere(holder::check_card(&platform, &request.code, now()).await?))
}

/// 電話の変更を始める（新しい電話で読む QR を受け取る）
#[utoipa::path(post, path = "/me/change/begin", tag = "holder", request_body = SigninBeginRequest,
    responses((status = 200, body = ChangeBeginAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_begin(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(_): Ask<SigninBeginRequest>,
) -> Result<Json<ChangeBeginAnswer>, Trouble> {
    let visit = acting(&platform, &headers).await?;
    let (text, until) = holder::begin_change(&platform, &visit, now()).await?;
    Ok(Json(ChangeBeginAnswer { svg: qr::svg(&text), qr: text, until }))
}

/// 電話の変更の進み具合（いまの電話から）
#[utoipa::path(post, path = "/me/change", tag = "holder", request_body = SigninBeginRequest,
    responses((status = 200, body = ChangeState), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_state(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(_): Ask<SigninBeginRequest>,
) -> Result<Json<ChangeState>, Trouble> {
    let visit = acting(&platform, &headers).await?;
    Ok(Json(platform.authn.change_state(&visit, now())?))
}

/// 電話の変更をやめる
#[utoipa::path(post, path = "/me/change/refuse", tag = "holder", request_body = SigninBeginRequest,
    responses((status = 200, body = DoneAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_refuse(
    State(platform): Rooms,
    headers: HeaderMap,
    Ask(_): Ask<SigninBeginRequest>,
) -> Result<Json<DoneAnswer>, Trouble> {
    let visit = acting(&platform, &headers).await?;
    platform.authn.refuse_change(&visit);
    Ok(done())
}

/// 新しい電話で、いまの電話の QR を読んだ
#[utoipa::path(post, path = "/phone/change/open", tag = "holder", request_body = ChangeOpenRequest,
    responses((status = 200, body = ChangeOpenAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_open(
    State(platform): Rooms,
    device: Device,
    Ask(request): Ask<ChangeOpenRequest>,
) -> Result<Json<ChangeOpenAnswer>, Trouble> {
    Ok(Json(platform.authn.open_change(&request, device.secret(), now()).await?))
}

/// 新しい電話の鍵（いまの電話の承認を待つ。端末 cookie を置く）
#[utoipa::path(post, path = "/phone/change/offer", tag = "holder", request_body = ChangeOfferRequest,
    responses((status = 200, body = ChangeOfferAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_offer(
    State(platform): Rooms,
    Ask(request): Ask<ChangeOfferRequest>,
) -> Result<Response, Trouble> {
    let (answer, device) = platform.authn.offer_change(&request, now())?;
    Ok(([browser::set_device(&device)], Json(answer)).into_response())
}

/// 電話の変更の進み具合（新しい電話から）
#[utoipa::path(post, path = "/phone/change/stands", tag = "holder", request_body = ChangeStandRequest,
    responses((status = 200, body = ChangeStandAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_stands(
    State(platform): Rooms,
    Ask(request): Ask<ChangeStandRequest>,
) -> Result<Json<ChangeStandAnswer>, Trouble> {
    Ok(Json(platform.authn.change_stands(&request, now())?))
}
