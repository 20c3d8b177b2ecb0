//! Configuration: one TOML file, a table per role. Unknown keys are refused, numbers of policy are
//! bounded in code, and relative paths start at the file's own folder.
//!
//! Two stages: the file as written (`*File`), then what it means (`PlatformConfig`,
//! `GatewayConfig`); the program only ever sees the second.

mod client;
mod device;
mod store;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) use client::{ClientConfig, registered};

use approval::webauthn::{Maker, Makers};
use custody::{Mode, Policy, Rule};
use gateway::{GatewayId, Staff, TerminalId};
use hpki::id::{FacilityCode, PersonId};
use hpki::kind::DocumentKind;
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
    kind: Vec<KindFile>,
    #[serde(default)]
    client: Vec<client::ClientFile>,
    gateway: Option<GatewayFile>,
    witness: Option<WitnessFile>,
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
    witness: Vec<WitnessAtFile>,
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
    authenticator: Vec<AuthenticatorFile>,
}

/// `[[platform.authenticator]]`: a maker whose authenticators may be linked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthenticatorFile {
    name: String,
    roots: PathBuf,
    #[serde(default)]
    models: Vec<String>,
}

impl AuthenticatorFile {
    fn maker(self, base: &Path) -> Result<Maker, ConfigRefusal> {
        let wrong = |why: String| ConfigRefusal::Value("authenticator", why);
        let file = base.join(self.roots);
        let roots = crate::http::tls::certificates(&file).map_err(|why| wrong(why.to_string()))?;
        let roots: Vec<_> = roots.into_iter().map(|root| root.to_vec()).collect();
        let models = self.models.iter().map(|text| {
            text.parse().map_err(|()| wrong(format!("models {text:?} (AAGUID ではありません)")))
        });
        let models = models.collect::<Result<_, _>>()?;
        Maker::new(&self.name, &roots, models)
            .map_err(|why| wrong(format!("{}: {why}", file.display())))
    }
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

/// `[[kind]]`: the rule of one kind of document.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct KindFile {
    name: DocumentKind,
    enabled: bool,
    approval: ApprovalFile,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ApprovalFile {
    Session,
    Document,
}

/// What is not named keeps its rule. A kind named twice is refused: nobody should have to know
/// which of two lines counts.
fn policy(written: &[KindFile]) -> Result<Policy, ConfigRefusal> {
    let mut policy = Policy::default();
    for (index, line) in written.iter().enumerate() {
        if written[..index].iter().any(|before| before.name == line.name) {
            return Err(ConfigRefusal::Value("kind.name", format!("{} (二度あります)", line.name)));
        }
        let approval = match line.approval {
            ApprovalFile::Session => Mode::Session,
            ApprovalFile::Document => Mode::EachDocument,
        };
        policy.set(line.name, Rule { enabled: line.enabled, approval });
    }
    Ok(policy)
}

/// Who opens the key device.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UnsealFile {
    #[default]
    File,
    Officers,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WitnessAtFile {
    key: PathBuf,
    url: String,
    ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WitnessFile {
    folder: PathBuf,
    listen: SocketAddr,
    name: String,
    unseal_secret: PathBuf,
    log_keys: Vec<PathBuf>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
}

/// A witness that the platform asks.
#[derive(Debug, Clone)]
pub(crate) struct WitnessAt {
    pub(crate) key: PathBuf,
    /// `https://host[:port]`, or `http` on this machine.
    pub(crate) base: String,
    /// What follows it, without a slash at the end.
    pub(crate) prefix: String,
    pub(crate) ca: Option<PathBuf>,
}

/// What `azukari witness` runs with.
#[derive(Debug, Clone)]
pub(crate) struct WitnessConfig {
    pub(crate) folder: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) name: String,
    pub(crate) unseal_secret: PathBuf,
    pub(crate) log_keys: Vec<PathBuf>,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayFile {
    folder: PathBuf,
    listen: SocketAddr,
    facility: FacilityCode,
    facility_name: String,
    gateway_id: String,
    platform: String,
    platform_ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    log_key: PathBuf,
    #[serde(default)]
    witnesses: Vec<PathBuf>,
    witnesses_needed: Option<usize>,
    anchor: PathBuf,
    authorities: Vec<PathBuf>,
    policy_arm: u32,
    #[serde(default)]
    test_anchors: bool,
    ehr_key: PathBuf,
    #[serde(default = "Limits::count")]
    signatures_per_authentication: u64,
    #[serde(default = "Limits::token_hours")]
    hours_per_authentication: u64,
    #[serde(default)]
    staff: Vec<StaffFile>,
    #[serde(default)]
    terminal: Vec<TerminalFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StaffFile {
    id: String,
    name: String,
    person: Option<PersonId>,
    name_in_records: Option<String>,
    kinds: Vec<DocumentKind>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TerminalFile {
    id: String,
    label: String,
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
    pub(crate) policy: Policy,
    pub(crate) clients: Vec<ClientConfig>,
}

/// What `azukari gateway` runs with.
#[derive(Debug, Clone)]
pub(crate) struct GatewayConfig {
    pub(crate) folder: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) facility: FacilityCode,
    pub(crate) facility_name: String,
    pub(crate) gateway_id: GatewayId,
    pub(crate) platform: String,
    pub(crate) platform_ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) log_key: PathBuf,
    pub(crate) witnesses: Vec<PathBuf>,
    /// How many of them must have seen the journal.
    pub(crate) witnesses_needed: usize,
    pub(crate) anchor: PathBuf,
    pub(crate) authorities: Vec<PathBuf>,
    pub(crate) policy_arm: u32,
    pub(crate) test_anchors: bool,
    pub(crate) ehr_key: PathBuf,
    pub(crate) count: u64,
    pub(crate) hours: u64,
    pub(crate) staff: Vec<Staff>,
    pub(crate) terminals: Vec<(TerminalId, String)>,
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

/// Splits a witness's URL; without TLS it must be on this machine.
fn witness_at(written: WitnessAtFile, base: &Path) -> Result<WitnessAt, ConfigRefusal> {
    let wrong = |why: &str| {
        ConfigRefusal::Value("platform.witness.url", format!("{:?} ({why})", written.url))
    };
    let url = written.url.trim_end_matches('/');
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("https://… を指定"))?;
    let (host, prefix) = rest
        .split_once('/')
        .map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    let here = host.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
    match (scheme, &written.ca) {
        ("https", Some(_)) => {}
        ("http", None) if here => {}
        ("https", None) => return Err(wrong("ca が必要です")),
        _ => return Err(wrong("https を指定。http は 127.0.0.1 か [::1] に限ります")),
    }
    Ok(WitnessAt {
        key: base.join(&written.key),
        base: format!("{scheme}://{host}"),
        prefix,
        ca: written.ca.as_ref().map(|ca| base.join(ca)),
    })
}

impl WitnessConfig {
    /// Reads and checks the `[witness]` table.
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigRefusal> {
        let written =
            load(file)?.witness.ok_or_else(|| ConfigRefusal::NoRole(file.into(), "witness"))?;
        let base = file.parent().unwrap_or(Path::new("."));
        let tls = match (written.tls_certificate, written.tls_key) {
            (Some(certificate), Some(key)) => Some((base.join(certificate), base.join(key))),
            (None, None) if written.listen.ip().is_loopback() => None,
            _ => {
                let why = "tls_certificate と tls_key の両方が必要です。無しで開けるのは 127.0.0.1 か [::1] だけです";
                return Err(ConfigRefusal::Value("witness.listen", why.into()));
            }
        };
        Ok(Self {
            folder: base.join(written.folder),
            listen: written.listen,
            name: written.name,
            unseal_secret: base.join(written.unseal_secret),
            log_keys: written.log_keys.iter().map(|file| base.join(file)).collect(),
            tls,
        })
    }
}

fn staff(written: StaffFile) -> Result<Staff, ConfigRefusal> {
    Ok(Staff {
        id: name("staff.id", &written.id)?,
        name: written.name,
        person: written.person,
        name_in_records: written.name_in_records,
        kinds: written.kinds,
    })
}

impl PlatformConfig {
    /// Reads and checks the `[platform]` table.
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigRefusal> {
        let whole = load(file)?;
        let policy = policy(&whole.kind)?;
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
                .map(|witness| witness_at(witness, base))
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
        })
    }
}

impl GatewayConfig {
    /// Reads and checks the `[gateway]` table.
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigRefusal> {
        let written =
            load(file)?.gateway.ok_or_else(|| ConfigRefusal::NoRole(file.into(), "gateway"))?;
        let base = file.parent().unwrap_or(Path::new("."));
        let policy_arm = arm(written.policy_arm)?;
        if !written.listen.ip().is_loopback() {
            return Err(ConfigRefusal::Value(
                "listen",
                format!(
                    "{} (電子カルテ用の入口は暗号化しないため 127.0.0.1 か [::1] に限ります)",
                    written.listen
                ),
            ));
        }
        Ok(Self {
            folder: base.join(written.folder),
            listen: written.listen,
            facility: written.facility,
            facility_name: written.facility_name,
            gateway_id: name("gateway_id", &written.gateway_id)?,
            platform: https("platform", written.platform)?,
            platform_ca: base.join(written.platform_ca),
            certificate: base.join(written.certificate),
            key: base.join(written.key),
            log_key: base.join(written.log_key),
            witnesses_needed: match (written.witnesses_needed, written.witnesses.len()) {
                (None, named) => most(named),
                (Some(needed), named) => {
                    let (low, high) = (usize::from(named > 0) as u64, named as u64);
                    bounded("witnesses_needed", needed as u64, low, high)?;
                    needed
                }
            },
            witnesses: written.witnesses.iter().map(|file| base.join(file)).collect(),
            anchor: base.join(written.anchor),
            authorities: written.authorities.iter().map(|file| base.join(file)).collect(),
            policy_arm,
            test_anchors: written.test_anchors,
            ehr_key: base.join(written.ehr_key),
            count: bounded(
                "signatures_per_authentication",
                written.signatures_per_authentication,
                1,
                Limits::COUNT_MAX,
            )?,
            hours: bounded(
                "hours_per_authentication",
                written.hours_per_authentication,
                1,
                Limits::TOKEN_HOURS_MAX,
            )?,
            staff: written.staff.into_iter().map(staff).collect::<Result<_, _>>()?,
            terminals: written
                .terminal
                .into_iter()
                .map(|terminal| Ok((name("terminal.id", &terminal.id)?, terminal.label)))
                .collect::<Result<_, ConfigRefusal>>()?,
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
mod tests {
    use super::*;

    fn example() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../azukari.example.toml")
    }

    fn with(change: impl Fn(&str) -> String) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("azukari.toml");
        std::fs::write(&file, change(&std::fs::read_to_string(example()).unwrap())).unwrap();
        (folder, file)
    }

    #[test]
    fn the_example_is_a_valid_configuration_of_both_roles() {
        let platform = PlatformConfig::load(&example()).unwrap();
        assert_eq!(platform.token_seconds, 64_800);
        assert_eq!((platform.witnesses.len(), platform.witnesses_needed), (1, 1));
        assert!(WitnessConfig::load(&example()).unwrap().tls.is_none());
        let gateway = GatewayConfig::load(&example()).unwrap();
        assert!(gateway.listen.ip().is_loopback());
        assert_eq!((gateway.witnesses.len(), gateway.witnesses_needed), (1, 1));
    }

    #[test]
    fn a_gateway_needs_most_of_its_witnesses_and_never_more_than_it_has_or_none_of_them() {
        let needed = |named: &str, needed: &str| {
            let (_folder, file) = with(|text| {
                let text = text.replacen("witnesses = [\"witness.vkey\"]", named, 1);
                let (before, after) = text.split_once("[gateway]").unwrap();
                let after = after.replacen("witnesses_needed = 1\n", needed, 1);
                format!("{before}[gateway]{after}")
            });
            GatewayConfig::load(&file).map(|config| config.witnesses_needed)
        };
        let three = "witnesses = [\"a\", \"b\", \"c\"]";
        assert_eq!(needed(three, "").unwrap(), 2);
        assert_eq!(needed(three, "witnesses_needed = 3\n").unwrap(), 3);
        assert_eq!(needed("", "").unwrap(), 0);
        for (named, wrong) in [(three, 0), (three, 4), ("", 1)] {
            assert!(needed(named, &format!("witnesses_needed = {wrong}\n")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_example_shows_how_a_pkcs11_device_is_named_and_without_it_there_is_a_vault() {
        let vault = PlatformConfig::load(&example()).unwrap().device;
        assert!(matches!(vault, hsm::DeviceConfig::Vault { .. }));
        let shown =
            |text: &str| text.replace("# [device]", "[device]").replace("# pkcs11", "pkcs11");
        let (folder, file) = with(shown);
        let module = "/usr/lib/softhsm/libsofthsm2.so";
        let expected =
            hsm::DeviceConfig::pkcs11(folder.path().join("platform/vault"), module, "azukari");
        assert_eq!(PlatformConfig::load(&file).unwrap().device, expected);
        for token in ["", " azukari", &"a".repeat(33)] {
            let (_folder, file) =
                with(|text| shown(text).replace("\"azukari\"", &format!("{token:?}")));
            let refusal = PlatformConfig::load(&file).unwrap_err();
            assert!(matches!(refusal, ConfigRefusal::Value("device.pkcs11.token", _)), "{token:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let (_folder, file) =
            with(|text| text.replace("[platform]", "[platform]\nfolderr = \"x\""));
        assert!(matches!(PlatformConfig::load(&file), Err(ConfigRefusal::Malformed(..))));
    }

    #[test]
    fn nineteen_hours_are_refused() {
        let (_folder, file) = with(|text| text.replace("token_hours = 18", "token_hours = 19"));
        let refusal = PlatformConfig::load(&file).unwrap_err();
        assert!(matches!(refusal, ConfigRefusal::OutOfBounds { key: "token_hours", .. }));
    }

    #[test]
    fn makers_of_authenticators_are_listed_by_roots_that_can_be_read_and_models_that_are_models() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (root, model) in [(None, ""), (Some(pem), ""), (Some(pem), "\"security key\"")] {
            let (folder, file) = with(|text| {
                let line = "[[platform.authenticator]]\nname = \"m\"\nroots = \"maker.pem\"";
                text.replacen("[witness]", &format!("{line}\nmodels = [{model}]\n[witness]"), 1)
            });
            if let Some(root) = root {
                std::fs::write(folder.path().join("maker.pem"), root).unwrap();
            }
            let refused = PlatformConfig::load(&file).map(drop).unwrap_err();
            assert!(matches!(refused, ConfigRefusal::Value("authenticator", _)), "{refused}");
        }
        assert!(!PlatformConfig::load(&example()).unwrap().makers.are_listed());
    }

    #[test]
    fn an_arm_that_does_not_exist_is_refused() {
        let (_folder, file) = with(|text| text.replace("policy_arm = 3", "policy_arm = 1"));
        for refused in [
            PlatformConfig::load(&file).map(drop).unwrap_err(),
            GatewayConfig::load(&file).map(drop).unwrap_err(),
        ] {
            assert!(matches!(refused, ConfigRefusal::Value("policy_arm", _)));
        }
    }

    #[test]
    fn a_kind_is_switched_on_by_its_own_line_and_named_once() {
        let policy = PlatformConfig::load(&example()).unwrap().policy;
        assert_eq!(policy, Policy::default());
        let line = "\n[[kind]]\nname = \"statement\"\nenabled = true\napproval = \"document\"\n";
        let (_folder, file) = with(|text| format!("{text}{line}"));
        assert!(matches!(PlatformConfig::load(&file), Err(ConfigRefusal::Value("kind.name", _))));
        let (_folder, file) = with(|text| {
            let at = text.find("name = \"statement\"").unwrap();
            let (before, after) = text.split_at(at);
            format!("{before}{}", after.replacen("enabled = false", "enabled = true", 1))
        });
        let policy = PlatformConfig::load(&file).unwrap().policy;
        assert_eq!(policy.rule(DocumentKind::Statement), Rule::EACH_DOCUMENT);
        assert_eq!(policy.rule(DocumentKind::Referral), Rule::OFF);
    }

    /// The example's lines for a client, taken out of their comment.
    fn with_client(change: impl Fn(&str) -> String) -> (tempfile::TempDir, PathBuf) {
        with(|text| {
            let (before, rest) = text.split_once("# [[client]]").unwrap();
            let (lines, after) = rest.split_once("\n\n").unwrap();
            let lines = format!("[[client]]{}", lines.replace("\n# ", "\n"));
            format!("{before}{}\n\n{after}", change(&lines))
        })
    }

    #[test]
    fn nobody_is_registered_for_hashes_until_a_line_says_so() {
        assert!(PlatformConfig::load(&example()).unwrap().clients.is_empty());
        let (_folder, file) = with_client(str::to_owned);
        let clients = PlatformConfig::load(&file).unwrap().clients;
        assert_eq!((clients.len(), clients[0].id.as_str()), (1, "letters"));
        assert!(registered(&clients).is_err(), "its certificate is not there");
    }

    #[test]
    fn a_client_is_named_once_and_never_for_what_the_platform_composes() {
        for (key, change) in [
            (
                "client.id",
                Box::new(|lines: &str| format!("{lines}\n{lines}")) as Box<dyn Fn(&str) -> String>,
            ),
            ("client.id", Box::new(|lines: &str| lines.replace("letters", "Letters!"))),
            ("client.kinds", Box::new(|lines: &str| lines.replace("referral", "prescription"))),
        ] {
            let (_folder, file) = with_client(change);
            let refused = PlatformConfig::load(&file).map(drop).unwrap_err();
            assert!(matches!(refused, ConfigRefusal::Value(found, _) if found == key), "{refused}");
        }
    }

    #[test]
    fn a_witness_is_reached_and_opened_without_tls_on_this_machine_only() {
        for (from, to) in [
            ("http://127.0.0.1:8555", "http://192.0.2.1:8555"),
            ("http://127.0.0.1:8555", "https://witness.example"),
            ("http://127.0.0.1:8555", "ftp://127.0.0.1"),
        ] {
            let (_folder, file) = with(|text| text.replace(from, to));
            let refused = PlatformConfig::load(&file).unwrap_err();
            assert!(matches!(refused, ConfigRefusal::Value("platform.witness.url", _)), "{to}");
        }
        let (_folder, file) =
            with(|text| text.replace("listen = \"127.0.0.1:8555\"", "listen = \"0.0.0.0:8555\""));
        let refused = WitnessConfig::load(&file).unwrap_err();
        assert!(matches!(refused, ConfigRefusal::Value("witness.listen", _)));
    }

    #[test]
    fn a_gateway_door_open_to_the_network_is_refused() {
        let (_folder, file) = with(|text| text.replace("127.0.0.1:3030", "0.0.0.0:3030"));
        assert!(matches!(GatewayConfig::load(&file), Err(ConfigRefusal::Value("listen", _))));
    }
}
