//! A member of the staff at a terminal: authentication, how far it is, and its end.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use hpki::id::CeremonyId;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::NumberRequest;

use super::{Desk, staff_id, terminal_id};
use crate::clock::now;
use crate::http::ask::{Ask, At};
use crate::http::problem::Trouble;

/// A person begins to work, at a terminal.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginRequest {
    /// 端末 ID
    terminal: String,
    /// `phone` (default), or the card in this host's reader: `hpki` or `jpki`. The page then asks for
    /// its PIN.
    means: Option<String>,
}

/// What the terminal shows.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct BeginAnswer {
    /// The ceremony that began.
    ceremony: String,
    /// The text of the QR code.
    qr: String,
    /// Until when it can be claimed, seconds since 1970.
    until: u64,
    /// A page for the terminal's browser, which shows all this and what follows. For this terminal
    /// alone, for ten minutes; a new QR code there begins them anew, ten times and for an hour at the
    /// most.
    page: String,
}

/// How far an authentication is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct StateAnswer {
    /// `waiting`, `claimed`, `number`, `approved`, `released`, `refused` or `expired`.
    state: wire::CeremonyStep,
    /// Once released: until when this person can sign, seconds since 1970.
    until: Option<u64>,
}

/// Whether a staff member can sign.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct StaffAnswer {
    /// `green`, `yellow` (less than an hour) or `none` (authenticate).
    light: String,
    /// Until when, seconds since 1970.
    until: Option<u64>,
    /// `phone`, `hpki` or `jpki`.
    means: Option<String>,
}

/// 本人認証を始める
#[utoipa::path(post, path = "/v1/staff/{staff}/authentication", tag = "gateway", request_body = BeginRequest,
    params(("staff" = String, Path, description = "職員 ID")), security(("ehr" = [])),
    responses((status = 200, body = BeginAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn begin(
    State(hospital): Desk,
    At(staff): At<String>,
    headers: HeaderMap,
    Ask(request): Ask<BeginRequest>,
) -> Result<Json<BeginAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let terminal = terminal_id(&request.terminal)?;
    let staff = staff_id(&staff)?;
    let usage = hospital.means(request.means.as_deref())?;
    let begun = hospital.gateway.authenticate(&staff, &terminal, now()).await?;
    let page = match usage {
        None => hospital.page(&staff, &terminal, &begun),
        Some(usage) => {
            let ceremony = (begun.ceremony, begun.until);
            hospital.page_of_card_session(&staff, &terminal, usage, ceremony).0
        }
    };
    Ok(Json(BeginAnswer {
        page,
        ceremony: begun.ceremony.to_string(),
        qr: begun.qr,
        until: begun.until.seconds(),
    }))
}

/// 本人認証の進み具合
#[utoipa::path(get, path = "/v1/staff/{staff}/authentication/{ceremony}", tag = "gateway",
    params(("staff" = String, Path, description = "職員 ID"), ("ceremony" = String, Path)), security(("ehr" = [])),
    responses((status = 200, body = StateAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn state(
    State(hospital): Desk,
    At((staff, ceremony)): At<(String, CeremonyId)>,
    headers: HeaderMap,
) -> Result<Json<StateAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let state = hospital.gateway.authentication_state(&staff_id(&staff)?, ceremony, now()).await?;
    Ok(Json(StateAnswer { state: state.state, until: state.until.map(Timestamp::seconds) }))
}

/// 電話に出た三桁を入力する
#[utoipa::path(post, path = "/v1/staff/{staff}/authentication/{ceremony}/number", tag = "gateway", request_body = NumberRequest,
    params(("staff" = String, Path, description = "職員 ID"), ("ceremony" = String, Path)), security(("ehr" = [])),
    responses((status = 200, body = StateAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn number(
    State(hospital): Desk,
    At((staff, ceremony)): At<(String, CeremonyId)>,
    headers: HeaderMap,
    Ask(request): Ask<NumberRequest>,
) -> Result<Json<StateAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let state =
        hospital.gateway.number(&staff_id(&staff)?, ceremony, &request.number, now()).await?;
    Ok(Json(StateAnswer { state: state.state, until: state.until.map(Timestamp::seconds) }))
}

/// この職員はいま署名できるか
#[utoipa::path(get, path = "/v1/staff/{staff}", tag = "gateway",
    params(("staff" = String, Path, description = "職員 ID")), security(("ehr" = [])),
    responses((status = 200, body = StaffAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn staff(
    State(hospital): Desk,
    At(staff): At<String>,
    headers: HeaderMap,
) -> Result<Json<StaffAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let state = hospital.gateway.staff_state(&staff_id(&staff)?, now()).await?;
    let light = match state.light {
        gateway::Light::Green => "green",
        gateway::Light::Yellow => "yellow",
        gateway::Light::None => "none",
    };
    Ok(Json(StaffAnswer {
        light: light.into(),
        until: state.until.map(Timestamp::seconds),
        means: state.means,
    }))
}

/// 本人認証を終わらせる。基盤が終わりを記録してから、ここでも消す
#[utoipa::path(post, path = "/v1/staff/{staff}/end", tag = "gateway",
    params(("staff" = String, Path, description = "職員 ID")), security(("ehr" = [])),
    responses((status = 200, body = wire::EndAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn end(
    State(hospital): Desk,
    At(staff): At<String>,
    headers: HeaderMap,
) -> Result<Json<wire::EndAnswer>, Trouble> {
    hospital.admit(&headers)?;
    hospital.gateway.end(&staff_id(&staff)?, now()).await?;
    Ok(Json(wire::EndAnswer { ended: true }))
}
