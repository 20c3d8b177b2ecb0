//! `azukari gateway`: the gateway of a hospital or pharmacy on the network of that facility. The
//! EHR's door opens on loopback only and asks for the EHR's own secret.

pub(crate) mod approvals;
pub(crate) mod batch;
pub(crate) mod cards;
mod open_pages;
mod pin_page;
mod terminal;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use gateway::reader::{CardUse, Cards};
use gateway::{
    Call, CardDesk, FacilityKey, Gateway, Keeping, Method, Platform, Reply, ShelfKey, Signed,
    StaffId, TerminalId, Unreachable,
};
use hpki::crl::Crl;
use hpki::encoding::{Digest32, sha256};
use hpki::id::CeremonyId;
use hpki::path::Anchor;
use hpki::sign::Random as _;
use hpki::time::Timestamp;
use ledger::tlog::Quorum;
use ledger::{Ledger, Opening};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{Base64, NumberRequest};

use crate::clock::now;
use crate::config::GatewayConfig;
use crate::hospital::open_pages::OpenPages;
use crate::http;
use crate::http::ask::{Ask, At};
use crate::http::client::Client;
use crate::http::problem::Trouble;
use crate::runtime::Stop;

/// How long the gateway waits for one answer of the platform before it sends the same order again.
const PATIENCE: Duration = Duration::from_secs(10);

/// No EHR waits longer than this between two attempts.
const EHR_PATIENCE: Duration = Duration::from_secs(5);
/// Revocation lists that signatures, and the cards that approved them, are verified with; lists of
/// other authorities do no harm.
const LISTS: [&str; 8] =
    ["rarl", "sarl", "jma", "jpa", "medis", "jma-auth", "jpa-auth", "medis-auth"];
/// Lists are fetched anew this often; they are valid for 96 hours.
const LISTS_MINUTES: u64 = 60;

/// The way out to the platform.
pub(crate) struct Way(pub(crate) Client);

impl Platform for Way {
    async fn send(&self, call: Call) -> Result<Reply, Unreachable> {
        let method = match call.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let token = call.token.as_ref().map(gateway::Bearer::as_str);
        let answer = self.0.send(method, &call.path, token, call.body).await;
        let answer = answer.map_err(|fault| Unreachable(fault.to_string()))?;
        Ok(Reply { status: answer.status, body: answer.body.to_vec() })
    }

    async fn wait(&self, pause: Duration) -> Option<Timestamp> {
        if pause > EHR_PATIENCE {
            // The EHR's user is told to go on; the order stays open and is resumed each minute.
            return None;
        }
        tokio::time::sleep(pause).await;
        Some(now())
    }
}

/// A gateway behind its door.
pub(crate) struct Hospital {
    pub(crate) gateway: Gateway<Way>,
    ehr_key_hash: Digest32,
    platform: Client,
    /// The facility's name, and the URL of this door, for the pages on its terminals.
    name: String,
    door: String,
    terminals: OpenPages<terminal::Open>,
    pins: OpenPages<pin_page::Open>,
    uses_cards: bool,
    /// The lists that came last, by their names.
    lists: Mutex<BTreeMap<&'static str, Crl>>,
}

type Desk = State<Arc<Hospital>>;

/// `azukari gateway --config F`.
pub(crate) fn run(file: &Path) -> ExitCode {
    crate::runtime::run(async {
        let config = GatewayConfig::load(file)?;
        let (stop, stopped) = crate::runtime::until_interrupted();
        let listener = http::server::bind(config.listen).await?;
        let hospital = open(&config).await?;
        eprintln!(
            "{} の入口を http://{} で開きました (the gateway is open; Ctrl-C ends it)",
            config.facility_name,
            listener.local_addr()?
        );
        http::server::serve(listener, None, router(hospital), stopped).await;
        drop(stop);
        Ok(())
    })
}

/// Opens a gateway as configured, and resumes what was under way when it ended.
pub(crate) async fn open(config: &GatewayConfig) -> Result<Arc<Hospital>, Stop> {
    open_tapped(config, None).await
}

/// The same with a tap on the line to the platform.
pub(crate) async fn open_tapped(
    config: &GatewayConfig,
    tap: Option<http::tap::Tap>,
) -> Result<Arc<Hospital>, Stop> {
    let cards = config.cards.as_ref().map(cards::ways).transpose()?;
    open_with(config, tap, cards).await
}

/// The same over these cards.
pub(crate) async fn open_with(
    config: &GatewayConfig,
    tap: Option<http::tap::Tap>,
    cards: Option<Arc<dyn Cards>>,
) -> Result<Arc<Hospital>, Stop> {
    let anchor = crate::verify::certificate(&config.anchor)?;
    crate::refuse_test_root(&anchor, config.test_anchors)?;
    let intermediates: Result<Vec<_>, _> =
        config.authorities.iter().map(|file| crate::verify::certificate(file)).collect();
    let tls = http::tls::client(&config.platform_ca, Some((&config.certificate, &config.key)))?;
    let mut client = Client::new(&config.platform, Some(tls), PATIENCE)?;
    if let Some(tap) = tap {
        client = client.tapped(tap);
    }
    std::fs::create_dir_all(&config.folder)?;
    let shelf_key = shelf_key(&config.folder)?;
    let journal = own_journal(config)?;
    crate::files::owner_only(&config.ehr_key)?;
    let ehr_key = std::fs::read_to_string(&config.ehr_key).map_err(|error| {
        format!("{} を読めません: {error} (cannot read)", config.ehr_key.display())
    })?;
    let gateway = Gateway::open(
        gateway::GatewayConfig {
            facility: config.facility.clone(),
            name: config.facility_name.clone(),
            x5t: crate::verify::certificate(&config.certificate)?.sha256(),
            gateway: config.gateway_id.clone(),
            staff: config.staff.clone(),
            terminals: config.terminals.clone(),
            quorum: quorum(config)?,
            anchors: vec![Anchor { certificate: anchor }],
            intermediates: intermediates?,
            policies: vec![crate::policy(config.policy_arm)],
            count: config.count,
            hours: config.hours,
        },
        journal.store(),
        shelf_key,
        Way(client.clone()),
        Arc::new(hsm::SystemRandom),
    );
    let uses_cards = config.cards.is_some() && cards.is_some();
    let gateway = match (&config.cards, cards) {
        (Some(used), Some(cards)) => gateway.with_cards(CardDesk::new(cards, journal, used.policy)),
        _ => gateway,
    };
    let ehr_key_hash = sha256(ehr_key.trim().as_bytes());
    let hospital = Arc::new(Hospital {
        gateway,
        ehr_key_hash,
        platform: client,
        name: config.facility_name.clone(),
        door: format!("http://{}", config.listen),
        terminals: OpenPages::default(),
        pins: OpenPages::default(),
        uses_cards,
        lists: Mutex::default(),
    });
    // What was being signed with a card when this process ended last time.
    hospital.gateway.close_interrupted(0, now()).await?;
    // Until the lists are there nothing is believed: whoever keeps them away must not thereby make
    // a revoked certificate good.
    hospital.gateway.set_crls(Vec::new());
    let fetched = hospital.renew_lists().await;
    tokio::spawn(jobs(Arc::downgrade(&hospital), fetched));
    if config.cards.as_ref().is_some_and(|used| used.policy.keeping == Keeping::WhileInserted) {
        tokio::spawn(forget_absent_cards(Arc::downgrade(&hospital)));
    }
    Ok(hospital)
}

/// The log of this configuration and the witnesses that are counted; none by default.
fn quorum(config: &GatewayConfig) -> Result<Quorum, Stop> {
    let keys = config.witnesses.iter().map(|file| crate::witness::read_key(file));
    let log = crate::journal::read_key(&config.log_key)?;
    Ok(Quorum::new(log, keys.collect::<Result<Vec<_>, _>>()?, config.witnesses_needed)?)
}

/// What the gateway does by itself, each minute: resume orders that were left open, look at the
/// journal's newest checkpoint, erase what has expired. Ends with the gateway.
async fn jobs(hospital: Weak<Hospital>, mut fetched: bool) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    // The first tick comes at once, and `open` has just done its work.
    minute.tick().await;
    let mut minutes = 0_u64;
    loop {
        minute.tick().await;
        minutes += 1;
        let Some(hospital) = hospital.upgrade() else { return };
        if minutes.is_multiple_of(LISTS_MINUTES) || !fetched {
            fetched = hospital.renew_lists().await;
        }
        match hospital.gateway.resume(now()).await {
            Ok(resumed) => {
                for order in resumed {
                    tracing::info!(order = %order.order, done = order.outcome.is_ok(), "resumed");
                }
            }
            Err(failed) => tracing::warn!(%failed, "open orders could not be resumed yet"),
        }
        if let Err(failed) = hospital.gateway.watch(now()).await {
            tracing::warn!(%failed, "the journal's checkpoint could not be believed");
        }
        // Nobody waits for a card so long: whoever did is gone.
        if let Err(failed) = hospital.gateway.close_interrupted(600, now()).await {
            tracing::warn!(%failed, "interrupted card signatures could not be closed yet");
        }
        if let Err(failed) = hospital.gateway.sweep(now()).await {
            tracing::warn!(%failed, "expired tokens could not be erased yet");
        }
    }
}

/// A PIN is kept no second longer than its card stays. Ends with the gateway.
async fn forget_absent_cards(hospital: Weak<Hospital>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let Some(hospital) = hospital.upgrade() else { return };
        hospital.gateway.forget_absent_cards(now()).await;
    }
}

/// The facility's own journal, in the gateway's store: what is signed here with cards. Its key is an
/// owner-only file beside it; `log.vkey` is what an auditor keeps.
fn own_journal(config: &GatewayConfig) -> Result<Ledger, Stop> {
    let octets = own_secret(&config.folder.join("journal.key"))?;
    let key = Arc::new(FacilityKey::from_octets(octets)?);
    let origin = format!("{}/{}", config.facility, config.gateway_id);
    let journal = Ledger::open(Opening {
        place: (&config.folder.join("store")).into(),
        migrations: gateway::MIGRATIONS,
        log: Arc::clone(&key) as _,
        streams: key,
        random: Arc::new(hsm::SystemRandom),
        origin: format!("facility.azukari/{origin}"),
        now: now(),
    })?;
    crate::files::replace(&config.folder.join("log.vkey"), &format!("{}\n", journal.verify_key()))?;
    Ok(journal)
}

/// So many secret octets in an owner-only file, made at the first start.
fn own_secret<const LENGTH: usize>(file: &Path) -> Result<[u8; LENGTH], Stop> {
    if !file.exists() {
        let mut octets = [0; LENGTH];
        hsm::SystemRandom.fill(&mut octets);
        crate::files::private(file, &hex::encode(octets))?;
    }
    let octets = hex::decode(std::fs::read_to_string(file)?.trim()).ok();
    let octets = octets.and_then(|octets| octets.try_into().ok());
    Ok(octets.ok_or_else(|| {
        format!("{} は鍵のファイルではありません (not a key file)", file.display())
    })?)
}

/// The key that seals the shelf: an owner-only file beside the store, made at the first start.
/// (Weaker than the operating system's key store; see docs/known-weaknesses.md.)
fn shelf_key(folder: &Path) -> Result<ShelfKey, Stop> {
    let octets = own_secret(&folder.join("shelf.key"))?;
    Ok(ShelfKey::from_octets(octets)?)
}

/// The EHR's routes.
pub(crate) fn router(hospital: Arc<Hospital>) -> Router {
    Router::new()
        .route("/v1/staff/{staff}", get(staff))
        .route("/v1/staff/{staff}/end", post(end))
        .route("/v1/staff/{staff}/authentication", post(begin))
        .route("/v1/staff/{staff}/authentication/{ceremony}", get(state))
        .route("/v1/staff/{staff}/authentication/{ceremony}/number", post(number))
        .merge(approvals::routes())
        .route("/v1/prescriptions", post(prescriptions))
        .route("/v1/dispensings", post(dispensings))
        .merge(batch::routes())
        .merge(cards::routes())
        .merge(pin_page::routes())
        .merge(terminal::routes())
        .layer(axum::extract::DefaultBodyLimit::max(8 * 1024 * 1024))
        .with_state(hospital)
}

impl Hospital {
    /// Fetches the published revocation lists. One that does not come now stays as it was; once
    /// stale it refuses, as it should. Whether all of them came.
    pub(crate) async fn renew_lists(&self) -> bool {
        let mut all = true;
        for name in LISTS {
            let path = format!("/repository/{name}.crl");
            let said = match self.platform.send("GET", &path, None, None).await {
                Ok(answer) if answer.status == 200 => {
                    Crl::from_der(&answer.body).map_err(|refusal| refusal.to_string())
                }
                Ok(answer) => Err(format!("status {}", answer.status)),
                Err(fault) => Err(fault.to_string()),
            };
            match said {
                Ok(list) => {
                    self.lists().insert(name, list);
                }
                Err(why) => {
                    all = false;
                    tracing::warn!(name, %why, "no list");
                }
            }
        }
        let lists = self.lists().values().cloned().collect();
        self.gateway.set_crls(lists);
        all
    }

    /// The use of the card that is asked for instead of the phone, if one is.
    fn means(&self, named: Option<&str>) -> Result<Option<CardUse>, Trouble> {
        match named {
            None | Some("phone") => Ok(None),
            Some(_) if !self.uses_cards => {
                Err(Trouble::refused("cards-not-configured", "no cards are used here"))
            }
            Some(means) => terminal::card_means(means).map(Some),
        }
    }

    fn lists(&self) -> MutexGuard<'_, BTreeMap<&'static str, Crl>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The EHR names itself by a secret, compared by its hash so that time tells nothing.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Trouble> {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match given {
            Some(key) if sha256(key.as_bytes()) == self.ehr_key_hash => Ok(()),
            _ => Err(Trouble::refused("ehr-key-wrong", "Authorization: Bearer <EHR key>")),
        }
    }
}

/// Where the person stands.
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
    /// alone, for ten minutes.
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

/// A record to sign.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrescriptionRequest {
    /// 職員 ID
    staff: String,
    /// The prescription record (CSV, UTF-8) in base64.
    csv: Base64,
}

/// A dispensing record to sign, over a registered prescription.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DispensingRequest {
    /// 職員 ID
    staff: String,
    /// The registered prescription (XML) in base64, octet for octet.
    prescription: Base64,
    /// The dispensing record (CSV, UTF-8) in base64.
    csv: Base64,
}

/// A signed and verified document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct SignedAnswer {
    /// The order under which it was signed.
    order: String,
    /// `prescription` or `dispensing`
    kind: String,
    /// The whole document in base64.
    document: Base64,
    /// SigningTime, RFC 3339.
    signing_time: String,
    /// Where the journal holds it.
    index: u64,
    /// How many signatures the budget still allows.
    left: u64,
    /// What the verifier found.
    #[schema(value_type = Object)]
    report: serde_json::Value,
}

impl From<Signed> for SignedAnswer {
    fn from(signed: Signed) -> Self {
        Self {
            order: signed.order.to_string(),
            kind: signed.kind.to_string(),
            document: Base64(signed.document),
            signing_time: signed.signing_time.rfc3339(),
            index: signed.index,
            left: signed.left,
            report: serde_json::to_value(&signed.report).unwrap_or_default(),
        }
    }
}

fn staff_id(text: &str) -> Result<StaffId, Trouble> {
    text.parse().map_err(|_| Trouble::refused("staff-unknown", "not a staff ID"))
}

fn terminal_id(text: &str) -> Result<TerminalId, Trouble> {
    text.parse().map_err(|_| Trouble::refused("terminal-unknown", "not a terminal ID"))
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
            hospital.page_of_card_session(&staff, &terminal, usage, ceremony)
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

/// 処方箋に署名する。記録はこの施設から出ない
#[utoipa::path(post, path = "/v1/prescriptions", tag = "gateway", request_body = PrescriptionRequest,
    security(("ehr" = [])),
    responses((status = 200, body = SignedAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn prescriptions(
    State(hospital): Desk,
    headers: HeaderMap,
    Ask(request): Ask<PrescriptionRequest>,
) -> Result<Json<SignedAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let staff = staff_id(&request.staff)?;
    Ok(Json(hospital.gateway.prescribe(&staff, &request.csv.0, now()).await?.into()))
}

/// 調剤結果に署名する。先に処方箋を検証する
#[utoipa::path(post, path = "/v1/dispensings", tag = "gateway", request_body = DispensingRequest,
    security(("ehr" = [])),
    responses((status = 200, body = SignedAnswer), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn dispensings(
    State(hospital): Desk,
    headers: HeaderMap,
    Ask(request): Ask<DispensingRequest>,
) -> Result<Json<SignedAnswer>, Trouble> {
    hospital.admit(&headers)?;
    let staff = staff_id(&request.staff)?;
    let signed = hospital.gateway.dispense(&staff, &request.prescription.0, &request.csv.0, now());
    Ok(Json(signed.await?.into()))
}
