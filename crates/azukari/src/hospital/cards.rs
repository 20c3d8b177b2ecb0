//! Cards at the EHR's door: what is in which reader, and documents to be signed with a card. The EHR
//! never sees a PIN: its holder types it on a page of this gateway (`pin_page`).

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use gateway::reader::{
    CardFace, CardRefusal, CardUse, Cards, Inside, Module, Only, PinForm, Slot, Tries, Ways,
};
use gateway::{CardOrderState, Paper, SignedHere};
use hpki::id::OrderNumber;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Base64;
use wire::refusal::Problem;

use super::approvals::PaperRequest;
use super::{Hospital, staff_id, terminal_id};
use crate::clock::now;
use crate::config::CardsConfig;
use crate::http::ask::{Ask, At};
use crate::http::problem::Trouble;

type Desk = State<Arc<Hospital>>;

pub(super) fn routes() -> Router<Arc<Hospital>> {
    Router::new()
        .route("/v1/cards", get(look))
        .route("/v1/staff/{staff}/card-signatures", post(begin))
        .route("/v1/staff/{staff}/card-signatures/{order}", get(state))
        .route("/v1/staff/{staff}/card-signatures/{order}/sign", post(sign))
}

/// The ways to cards that this host is configured to have.
pub(crate) fn ways(config: &CardsConfig) -> Result<Arc<dyn Cards>, CardRefusal> {
    let mut ways: Vec<Box<dyn Cards>> = Vec::new();
    if config.readers {
        let cards = readers()?;
        ways.push(match config.only.is_empty() {
            true => cards,
            false => Box::new(Only { cards, readers: config.only.clone() }),
        });
    }
    for (file, usage) in &config.modules {
        ways.push(Box::new(Module::load(file, *usage)?));
    }
    Ok(Arc::new(Ways(ways)))
}

/// The readers of the operating system.
#[cfg(feature = "pcsc")]
pub(crate) fn readers() -> Result<Box<dyn Cards>, CardRefusal> {
    Ok(Box::new(gateway::reader::Commands::over(gateway::reader::PcSc)))
}

/// The readers of the operating system, which this program was built without.
#[cfg(not(feature = "pcsc"))]
pub(crate) fn readers() -> Result<Box<dyn Cards>, CardRefusal> {
    Err(CardRefusal::ReaderUnavailable("this program was built without PC/SC".into()))
}

/// What is in one reader.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ReaderAnswer {
    /// The reader's name.
    reader: String,
    /// What the card in it is used for; empty where there is none, or one of another kind.
    uses: Vec<FaceAnswer>,
    /// Why the card could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Problem>,
}

/// One use of a card, as far as it can be read without a PIN.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FaceAnswer {
    /// `hpki-signing`, `hpki` (authentication) or `jpki` (authentication with a My Number Card).
    r#use: &'static str,
    /// Whom its certificate names; a My Number Card's names nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    /// Her qualification.
    #[serde(skip_serializing_if = "Option::is_none")]
    qualification: Option<&'static str>,
    /// Until when its certificate is valid, seconds since 1970.
    until: u64,
    /// Whether that is over.
    expired: bool,
    /// How many tries its PIN has left, where the card tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<u8>,
    /// Whether its PIN is blocked.
    blocked: bool,
    /// Whether its PIN is digits only.
    digits: bool,
}

impl From<&CardFace> for FaceAnswer {
    fn from(face: &CardFace) -> Self {
        let certificate = &face.certificate;
        let named = face.usage != CardUse::Jpki;
        let holder = certificate.name_ja().or(certificate.common_name()).map(str::to_owned);
        Self {
            r#use: face.usage.name(),
            holder: holder.filter(|_| named),
            qualification: certificate.qualification().map(|held| held.ja()),
            until: certificate.not_after().seconds(),
            expired: certificate.not_after() < now(),
            tries: match face.tries {
                Tries::Left(left) => Some(left),
                Tries::Blocked => Some(0),
                Tries::Few | Tries::Untold => None,
            },
            blocked: face.tries == Tries::Blocked,
            digits: matches!(face.pin, PinForm::Digits(_)),
        }
    }
}

impl From<Slot> for ReaderAnswer {
    fn from(slot: Slot) -> Self {
        let (uses, refused) = match &slot.card {
            Inside::Nothing => (Vec::new(), None),
            Inside::Card(faces) => (faces.iter().map(FaceAnswer::from).collect(), None),
            Inside::Unknown => (Vec::new(), Some(problem(&CardRefusal::Unknown))),
            Inside::Trouble(refusal) => (Vec::new(), Some(problem(refusal))),
        };
        Self { reader: slot.reader, uses, refused }
    }
}

fn problem(refusal: &CardRefusal) -> Problem {
    Problem::refused(refusal.code(), &refusal.to_string())
}

/// A document to be signed with a card.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardSignatureRequest {
    /// 端末 ID
    terminal: String,
    /// The document.
    document: PaperRequest,
    /// The reader, where several hold a card for signing.
    reader: Option<String>,
}

/// A document that waits for its signer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct CardSignatureAnswer {
    /// Its number.
    order: String,
    /// The reader that has her card.
    reader: String,
    /// Her card.
    card: FaceAnswer,
    /// Whether she has to type her PIN: on `page`. If not, `…/sign` signs at once.
    pin_needed: bool,
    /// Until when it can be signed, seconds since 1970.
    until: u64,
    /// A page for the browser of this host, on which she types her PIN. For ten minutes.
    page: String,
}

/// How far it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct CardSignatureState {
    /// `waiting` (for the PIN), `signing`, `done` or `refused`.
    state: &'static str,
    /// The whole signed and verified document in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Base64>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// A document signed with a card and verified.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SignedHereAnswer {
    /// Its number.
    order: String,
    /// `prescription` or `dispensing`
    kind: String,
    /// The whole document in base64.
    document: Base64,
    /// SigningTime by this host's clock, RFC 3339.
    signing_time: String,
    /// Where the facility's own journal holds it.
    index: u64,
    /// What the verifier found.
    #[schema(value_type = Object)]
    report: serde_json::Value,
}

impl From<SignedHere> for SignedHereAnswer {
    fn from(signed: SignedHere) -> Self {
        Self {
            order: signed.order.to_string(),
            kind: signed.kind.to_string(),
            document: Base64(signed.document),
            signing_time: signed.signing_time.rfc3339(),
            index: signed.index,
            report: serde_json::to_value(&signed.report).unwrap_or_default(),
        }
    }
}

/// リーダーごとのカードと、残りの試行回数
#[utoipa::path(get, path = "/v1/cards", tag = "gateway", security(("ehr" = [])),
    responses((status = 200, body = Vec<ReaderAnswer>), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn look(
    State(hospital): Desk,
    headers: HeaderMap,
) -> Result<Json<Vec<ReaderAnswer>>, Trouble> {
    hospital.admit(&headers)?;
    let slots = hospital.gateway.look_at_cards().await?;
    Ok(Json(slots.into_iter().map(ReaderAnswer::from).collect()))
}

/// HPKI カードでの署名を始める。カードはここで確かめ、PIN は本人がこの端末のページで入力する
#[utoipa::path(post, path = "/v1/staff/{staff}/card-signatures", tag = "gateway", request_body = CardSignatureRequest,
    params(("staff" = String, Path, description = "職員 ID")), security(("ehr" = [])),
    responses((status = 200, body = CardSignatureAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn begin(
    State(hospital): Desk,
    At(staff): At<String>,
    headers: HeaderMap,
    Ask(request): Ask<CardSignatureRequest>,
) -> Result<Json<CardSignatureAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let terminal = terminal_id(&request.terminal)?;
    if hospital.gateway.config().terminal(&terminal).is_none() {
        return Err(Trouble::refused("terminal-unknown", "not a registered terminal"));
    }
    let (staff, paper) = (staff_id(&staff)?, Paper::from(request.document));
    let reader = request.reader.as_deref();
    let asked = hospital.gateway.ask_card(&staff, &paper, reader, now()).await?;
    let page = hospital.page_of_signature(&staff, &terminal, &asked);
    Ok(Json(CardSignatureAnswer {
        order: asked.order.to_string(),
        reader: asked.reader,
        card: FaceAnswer::from(&asked.face),
        pin_needed: asked.pin_needed,
        until: asked.until.seconds(),
        page,
    }))
}

/// カードでの署名の進み具合
#[utoipa::path(get, path = "/v1/staff/{staff}/card-signatures/{order}", tag = "gateway",
    params(("staff" = String, Path, description = "職員 ID"), ("order" = String, Path, description = "番号 (UUIDv7)")), security(("ehr" = [])),
    responses((status = 200, body = CardSignatureState), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn state(
    State(hospital): Desk,
    At((staff, order)): At<(String, OrderNumber)>,
    headers: HeaderMap,
) -> Result<Json<CardSignatureState>, Trouble> {
    hospital.admit(&headers)?;
    let found = hospital.gateway.card_order(&staff_id(&staff)?, order).await?;
    let (state, document, refused) = match found {
        CardOrderState::Waiting => ("waiting", None, None),
        CardOrderState::Signing => ("signing", None, None),
        CardOrderState::Done(document) => ("done", Some(Base64(document)), None),
        CardOrderState::Refused(code) => ("refused", None, Some(code)),
    };
    Ok(Json(CardSignatureState { state, document, refused }))
}

/// PIN を預かっている間（設定による）は、入力なしで署名する
#[utoipa::path(post, path = "/v1/staff/{staff}/card-signatures/{order}/sign", tag = "gateway",
    params(("staff" = String, Path, description = "職員 ID"), ("order" = String, Path, description = "番号 (UUIDv7)")), security(("ehr" = [])),
    responses((status = 200, body = SignedHereAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn sign(
    State(hospital): Desk,
    At((staff, order)): At<(String, OrderNumber)>,
    headers: HeaderMap,
) -> Result<Json<SignedHereAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let staff = staff_id(&staff)?;
    Ok(Json(hospital.signed(staff, order, None).await?.into()))
}
