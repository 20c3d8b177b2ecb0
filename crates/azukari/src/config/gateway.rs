//! `[gateway]`: what `azukari gateway` runs with.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gateway::{GatewayId, Staff, TerminalId};
use hpki::id::{FacilityCode, PersonId};
use hpki::kind::DocumentKind;
use serde::Deserialize;

use super::card::CardsConfig;
use super::{ConfigRefusal, Limits, arm, bounded, https, load, most, name};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewayFile {
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
    cards: Option<super::card::CardsFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StaffFile {
    id: String,
    name: String,
    person: Option<PersonId>,
    name_in_records: Option<String>,
    card: Option<String>,
    kinds: Vec<DocumentKind>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TerminalFile {
    id: String,
    label: String,
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
    /// How cards are used here, if they are.
    pub(crate) cards: Option<CardsConfig>,
}

pub(super) fn staff(written: StaffFile) -> Result<Staff, ConfigRefusal> {
    Ok(Staff {
        id: name("staff.id", &written.id)?,
        name: written.name,
        person: written.person,
        name_in_records: written.name_in_records,
        card: written.card,
        kinds: written.kinds,
    })
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
            cards: written.cards.map(|cards| super::card::cards(cards, base)).transpose()?,
        })
    }
}
