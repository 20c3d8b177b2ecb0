//! Configuration: one TOML file, a table per role. Unknown keys are refused, numbers of policy are
//! bounded in code, and relative paths start at the file's own folder.
//!
//! Two stages: the file as written (`*File`), then what it means (`PlatformConfig`,
//! `GatewayConfig`); the program only ever sees the second.

mod card;
mod client;
mod device;
mod gateway;
pub(crate) mod jpki;
mod kind;
mod maker;
mod relying;
mod store;
mod witness;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) use card::CardsConfig;
pub(crate) use client::{ClientConfig, Registered, registered};
pub(crate) use gateway::GatewayConfig;
pub(crate) use witness::{WitnessAt, WitnessConfig};

use approval::CardMeans;
use approval::webauthn::Makers;
use custody::Policy;
use jpki::JpkiConfig;
use serde::Deserialize;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigRefusal {
    #[error("設定ファイル {0} を読めません: {1} (cannot read the configuration)")]
    Unreadable(PathBuf, std::io::Error),
    #[error("設定ファイル {0} に誤りがあります (the configuration is refused):\n{1}")]
    Malformed(PathBuf, toml::de::Error),
    #[error(
        "設定ファイル {0} に [{1}] がありません。azukari.example.toml を参照してください (no [{1}] table)"
    )]
    NoRole(PathBuf, &'static str),
    #[error(
        "{key} = {value} は許されません。{low} から {high} の間で指定してください (out of bounds)"
    )]
    OutOfBounds { key: &'static str, value: u64, low: u64, high: u64 },
    #[error("{0} が正しくありません: {1} (refused value)")]
    Value(&'static str, String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    platform: Option<PlatformFile>,
    device: Option<device::DeviceFile>,
    store: Option<store::StoreFile>,
    #[serde(default)]
    kind: Vec<kind::KindFile>,
    #[serde(default)]
    client: Vec<client::ClientFile>,
    #[serde(default)]
    relying_party: Vec<relying::RelyingPartyFile>,
    #[serde(default)]
    login: relying::LoginFile,
    gateway: Option<gateway::GatewayFile>,
    witness: Option<witness::WitnessFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlatformFile {
    folder: PathBuf,
    listen: SocketAddr,
    url: String,
    rp_id: String,
    origins: Vec<String>,
    tls_certificate: PathBuf,
    tls_key: PathBuf,
    facility_ca: PathBuf,
    #[serde(default)]
    unseal: UnsealFile,
    unseal_secret: Option<PathBuf>,
    officers_socket: Option<PathBuf>,
    policy_arm: u32,
    repository: String,
    #[serde(default)]
    test_anchors: bool,
    #[serde(default)]
    witness: Vec<witness::WitnessAtFile>,
    witnesses_needed: Option<usize>,
    #[serde(default = "Limits::token_hours")]
    token_hours: u64,
    #[serde(default = "Limits::count")]
    signatures_per_budget: u64,
    #[serde(default = "Limits::hourly")]
    signatures_per_hour: u64,
    #[serde(default = "Limits::of_token")]
    signatures_per_token_and_hour: u64,
    #[serde(default = "Limits::of_facility")]
    signatures_per_facility_and_hour: u64,
    #[serde(default = "Limits::of_address")]
    requests_per_minute_and_address: u64,
    #[serde(default = "Limits::of_person")]
    requests_per_minute_and_person: u64,
    #[serde(default)]
    contact: String,
    #[serde(default)]
    pool_level: u64,
    #[serde(default = "yes")]
    audit_after_start: bool,
    #[serde(default)]
    importer: Vec<ImporterFile>,
    #[serde(default)]
    authenticator: Vec<maker::AuthenticatorFile>,
    #[serde(default = "sheet_by_card")]
    sheet_by_card: Vec<String>,
    #[serde(default)]
    require_card_proof: bool,
    jpki: Option<jpki::JpkiFile>,
}

fn sheet_by_card() -> Vec<String> {
    ["hpki", "jpki"].map(str::to_owned).to_vec()
}

const fn yes() -> bool {
    true
}

/// `[[platform.importer]]`: an authority from which keys are taken over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImporterFile {
    name: String,
    certificate: PathBuf,
    authority: PathBuf,
}

/// Who opens the key device.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UnsealFile {
    #[default]
    File,
    Officers,
}

struct Limits;

impl Limits {
    /// AUT-2: eighteen hours from authentication at most.
    const TOKEN_HOURS_MAX: u64 = 18;
    /// The ceiling of protocols §5; a configuration may only lower it.
    const COUNT_MAX: u64 = 2_000;
    /// More would be a store of its own.
    const POOL_MAX: u64 = 100_000;
    fn token_hours() -> u64 {
        Self::TOKEN_HOURS_MAX
    }
    fn count() -> u64 {
        300
    }
    fn hourly() -> u64 {
        100
    }
    fn of_token() -> u64 {
        custody::Limits::default().token_hourly().into()
    }
    /// No machine answers more.
    const REQUESTS_MAX: u64 = 10_000_000;
    fn of_address() -> u64 {
        1_200
    }
    fn of_person() -> u64 {
        240
    }
    fn of_facility() -> u64 {
        custody::Limits::default().facility_hourly().into()
    }
}

/// Where the secret that opens the key device comes from.
#[derive(Debug, Clone)]
pub(crate) enum Unseal {
    /// From a plain file: a test, or one person's trust.
    File(PathBuf),
    /// From m of n officers.
    Officers,
}

/// An authority from which keys are taken over.
#[derive(Debug, Clone)]
pub(crate) struct ImporterConfig {
    pub(crate) name: String,
    /// The client certificate with which it connects.
    pub(crate) certificate: PathBuf,
    /// The certificate of the authority that signs subscribers' certificates.
    pub(crate) authority: PathBuf,
}

/// What `azukari serve` runs with.
#[derive(Debug, Clone)]
pub(crate) struct PlatformConfig {
    pub(crate) folder: PathBuf,
    pub(crate) store: ledger::Place,
    pub(crate) device: hsm::DeviceConfig,
    pub(crate) listen: SocketAddr,
    pub(crate) url: String,
    pub(crate) rp_id: String,
    pub(crate) origins: Vec<String>,
    pub(crate) tls_certificate: PathBuf,
    pub(crate) tls_key: PathBuf,
    pub(crate) facility_ca: PathBuf,
    pub(crate) unseal: Unseal,
    /// The plain file, if one is named: officers are appointed from it.
    pub(crate) unseal_secret: Option<PathBuf>,
    pub(crate) officers_socket: PathBuf,
    pub(crate) policy_arm: u32,
    pub(crate) repository: String,
    pub(crate) test_anchors: bool,
    pub(crate) witnesses: Vec<WitnessAt>,
    /// A published checkpoint counts as witnessed with so many cosignatures.
    pub(crate) witnesses_needed: usize,
    pub(crate) token_seconds: u64,
    pub(crate) signatures_per_budget: u64,
    pub(crate) signatures_per_hour: u64,
    /// Also with what is approved by itself.
    pub(crate) signatures_per_token_and_hour: u64,
    /// All its people together.
    pub(crate) signatures_per_facility_and_hour: u64,
    /// On routes and pages of browsers.
    pub(crate) requests_per_minute_and_address: u64,
    /// The same, by the cookie of a phone or sign-in.
    pub(crate) requests_per_minute_and_person: u64,
    /// Whom holders ask: printed on sheets.
    pub(crate) contact: String,
    /// Keys that are made ahead; 0 makes none.
    pub(crate) pool_level: u64,
    /// Whether every kept key is looked at in the background after the start.
    pub(crate) audit_after_start: bool,
    pub(crate) importers: Vec<ImporterConfig>,
    /// Whose authenticators may be linked.
    pub(crate) makers: Makers,
    /// By which cards a sheet for a new phone is ordered on the screen.
    pub(crate) sheet_by_card: Vec<CardMeans>,
    /// Whether only such a sheet links a phone.
    pub(crate) require_card_proof: bool,
    /// Whom My Number Cards are believed by; without it none proves anything.
    pub(crate) jpki: Option<JpkiConfig>,
    pub(crate) policy: Policy,
    pub(crate) clients: Vec<ClientConfig>,
    /// Services that log holders in.
    pub(crate) relying_parties: Vec<authn::provider::Client>,
    /// The authorities whose holders may have their qualification told.
    pub(crate) qualification_logins: Vec<ca::SigningAuthority>,
}

fn load(file: &Path) -> Result<ConfigFile, ConfigRefusal> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| ConfigRefusal::Unreadable(file.to_owned(), error))?;
    toml::from_str(&text).map_err(|error| ConfigRefusal::Malformed(file.to_owned(), error))
}

fn bounded(key: &'static str, value: u64, low: u64, high: u64) -> Result<u64, ConfigRefusal> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(ConfigRefusal::OutOfBounds { key, value, low, high })
    }
}

/// Most of so many witnesses; none of none.
const fn most(of: usize) -> usize {
    if of == 0 { 0 } else { of / 2 + 1 }
}

/// There are two arms; another number must not be taken for one of them.
fn arm(written: u32) -> Result<u32, ConfigRefusal> {
    match written {
        0 | 3 => Ok(written),
        other => Err(ConfigRefusal::Value("policy_arm", format!("{other} (3 か 0 を指定)"))),
    }
}

fn name<T: std::str::FromStr>(key: &'static str, text: &str) -> Result<T, ConfigRefusal> {
    text.parse().map_err(|_| ConfigRefusal::Value(key, format!("{text:?}")))
}

fn https(key: &'static str, url: String) -> Result<String, ConfigRefusal> {
    let url = url.trim_end_matches('/').to_owned();
    if url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.contains('/')) {
        Ok(url)
    } else {
        Err(ConfigRefusal::Value(key, format!("{url:?} (https://host[:port] を指定)")))
    }
}

impl PlatformConfig {
    /// Reads and checks the `[platform]` table.
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigRefusal> {
        let whole = load(file)?;
        let policy = kind::policy(&whole.kind)?;
        let written =
            whole.platform.ok_or_else(|| ConfigRefusal::NoRole(file.into(), "platform"))?;
        let base = file.parent().unwrap_or(Path::new("."));
        let policy_arm = arm(written.policy_arm)?;
        let url = https("url", written.url)?;
        if written.origins.is_empty() {
            return Err(ConfigRefusal::Value("origins", "空です (empty)".into()));
        }
        let folder = base.join(written.folder);
        let device = device::device(whole.device, base, &folder)?;
        let unseal_secret = written.unseal_secret.map(|file| base.join(file));
        let unseal = match (written.unseal, &unseal_secret) {
            (UnsealFile::Officers, _) => Unseal::Officers,
            (UnsealFile::File, Some(file)) => Unseal::File(file.clone()),
            (UnsealFile::File, None) => {
                let why = "unseal = \"officers\" でなければ必要です (needed)".to_owned();
                return Err(ConfigRefusal::Value("unseal_secret", why));
            }
        };
        // Beside the platform's folder, which a restoration must not find.
        let officers_socket = match written.officers_socket {
            Some(socket) => base.join(socket),
            None => base.join("officers/officers.sock"),
        };
        Ok(Self {
            device,
            store: store::place(whole.store, base, &folder.join("ledger"))?,
            folder,
            listen: written.listen,
            url,
            rp_id: written.rp_id,
            origins: written.origins,
            tls_certificate: base.join(written.tls_certificate),
            tls_key: base.join(written.tls_key),
            facility_ca: base.join(written.facility_ca),
            unseal,
            unseal_secret,
            officers_socket,
            policy_arm,
            repository: written.repository.trim_end_matches('/').to_owned(),
            test_anchors: written.test_anchors,
            witnesses_needed: written.witnesses_needed.unwrap_or(most(written.witness.len())),
            witnesses: written
                .witness
                .into_iter()
                .map(|witness| witness::witness_at(witness, base))
                .collect::<Result<_, _>>()?,
            token_seconds: 3600
                * bounded("token_hours", written.token_hours, 1, Limits::TOKEN_HOURS_MAX)?,
            requests_per_minute_and_address: bounded(
                "requests_per_minute_and_address",
                written.requests_per_minute_and_address,
                10,
                Limits::REQUESTS_MAX,
            )?,
            requests_per_minute_and_person: bounded(
                "requests_per_minute_and_person",
                written.requests_per_minute_and_person,
                10,
                Limits::REQUESTS_MAX,
            )?,
            contact: written.contact,
            pool_level: bounded("pool_level", written.pool_level, 0, Limits::POOL_MAX)?,
            audit_after_start: written.audit_after_start,
            require_card_proof: match (written.require_card_proof, &written.sheet_by_card[..]) {
                (true, []) => {
                    let why = "sheet_by_card = []: nobody could link a phone";
                    return Err(ConfigRefusal::Value("require_card_proof", why.into()));
                }
                (required, _) => required,
            },
            sheet_by_card: written
                .sheet_by_card
                .iter()
                .map(|name| match name.as_str() {
                    "hpki" => Ok(CardMeans::Hpki),
                    "jpki" => Ok(CardMeans::Jpki),
                    other => Err(ConfigRefusal::Value("sheet_by_card", format!("{other:?}"))),
                })
                .collect::<Result<_, _>>()?,
            jpki: written.jpki.map(|jpki| jpki.read(base)).transpose()?,
            makers: Makers::only(
                written
                    .authenticator
                    .into_iter()
                    .map(|maker| maker.maker(base))
                    .collect::<Result<_, _>>()?,
            ),
            importers: written
                .importer
                .into_iter()
                .map(|importer| ImporterConfig {
                    name: importer.name,
                    certificate: base.join(importer.certificate),
                    authority: base.join(importer.authority),
                })
                .collect(),
            signatures_per_budget: bounded(
                "signatures_per_budget",
                written.signatures_per_budget,
                1,
                Limits::COUNT_MAX,
            )?,
            signatures_per_hour: bounded(
                "signatures_per_hour",
                written.signatures_per_hour,
                1,
                Limits::COUNT_MAX,
            )?,
            signatures_per_token_and_hour: bounded(
                "signatures_per_token_and_hour",
                written.signatures_per_token_and_hour,
                1,
                custody::TOKEN_CEILING.into(),
            )?,
            signatures_per_facility_and_hour: bounded(
                "signatures_per_facility_and_hour",
                written.signatures_per_facility_and_hour,
                1,
                custody::FACILITY_CEILING.into(),
            )?,
            policy,
            clients: client::clients(whole.client, base)?,
            relying_parties: relying::relying_parties(whole.relying_party, base)?,
            qualification_logins: relying::authorities(&whole.login)?,
        })
    }
}

/// `azukari config check F`: reads whichever roles the file has and says what is wrong.
pub(crate) fn check(file: &Path) -> ExitCode {
    let written = match load(file) {
        Ok(written) => written,
        Err(refusal) => {
            eprintln!("{refusal}");
            return ExitCode::FAILURE;
        }
    };
    let roles = [
        ("platform", written.platform.map(|_| PlatformConfig::load(file).map(drop))),
        ("gateway", written.gateway.map(|_| GatewayConfig::load(file).map(drop))),
        ("witness", written.witness.map(|_| WitnessConfig::load(file).map(drop))),
    ];
    let mut wrong = roles.iter().all(|(_, role)| role.is_none());
    if wrong {
        eprintln!("役割の表 [platform]・[gateway]・[witness] がありません (no role in this file)");
    }
    for (name, role) in roles {
        match role {
            Some(Ok(())) => println!("[{name}] ✓"),
            Some(Err(refusal)) => {
                wrong = true;
                eprintln!("[{name}] {refusal}");
            }
            None => {}
        }
    }
    if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests;
