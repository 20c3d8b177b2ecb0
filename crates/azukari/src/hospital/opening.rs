//! From a configuration to an open gateway: its keys, its own journal, its trust, and what was under
//! way when it ended the last time.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gateway::reader::Cards;
use gateway::{CardDesk, FacilityKey, Gateway, Keeping, ShelfKey};
use hpki::encoding::sha256;
use hpki::path::Anchor;
use hpki::sign::Random as _;
use ledger::tlog::Quorum;
use ledger::{Ledger, Opening};

use super::lists::Lists;
use super::open_pages::OpenPages;
use super::{Hospital, Way, cards, jobs, router};
use crate::clock::now;
use crate::config::GatewayConfig;
use crate::http;
use crate::http::client::Client;
use crate::runtime::Stop;

/// How long the gateway waits for one answer of the platform before it sends the same order again.
const PATIENCE: Duration = Duration::from_secs(10);

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
        lists: Lists::default(),
    });
    // What was being signed with a card when this process ended last time.
    hospital.gateway.close_interrupted(0, now()).await?;
    // Until the lists are there nothing is believed: whoever keeps them away must not thereby make
    // a revoked certificate good.
    hospital.gateway.set_crls(Vec::new());
    let fetched = hospital.renew_lists().await;
    tokio::spawn(jobs::each_minute(Arc::downgrade(&hospital), fetched));
    if config.cards.as_ref().is_some_and(|used| used.policy.keeping == Keeping::WhileInserted) {
        tokio::spawn(jobs::forget_absent_cards(Arc::downgrade(&hospital)));
    }
    Ok(hospital)
}

/// The log of this configuration and the witnesses that are counted; none by default.
fn quorum(config: &GatewayConfig) -> Result<Quorum, Stop> {
    let keys = config.witnesses.iter().map(|file| crate::witness::read_key(file));
    let log = crate::journal::read_key(&config.log_key)?;
    Ok(Quorum::new(log, keys.collect::<Result<Vec<_>, _>>()?, config.witnesses_needed)?)
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
