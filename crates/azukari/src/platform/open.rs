//! Opening the platform: the device is unsealed, its desks are handed out, each to one room, and
//! whatever an earlier run left open is closed before the first request.

use std::sync::Arc;

use approval::RelyingParty;
use authn::{Authn, AuthnConfig};
use ca::{Authority, Ca, CaConfig};
use custody::{Custody, CustodyConfig, Limits, TokenKey};
use hpki::sign::Random;
use hsm::Desks;
use ledger::{Ledger, Migration, Opening, Options};

use super::Platform;
use super::journal::Publication;
use crate::clock::now;
use crate::config::PlatformConfig;
use crate::flows;
use crate::officer::unseal;
use crate::runtime::Stop;

/// The tables of every room with a store.
fn migrations() -> Vec<Migration> {
    [ca::MIGRATIONS, authn::MIGRATIONS, custody::MIGRATIONS].concat()
}

/// The journal's origin: the platform's URL without its scheme.
fn origin(config: &PlatformConfig) -> String {
    let host = config.url.trim_start_matches("https://");
    format!("{host}/journal")
}

/// The estate of authorities, on the configured arm of the policy.
fn estate(config: &PlatformConfig) -> CaConfig {
    let policy = crate::policy(config.policy_arm);
    CaConfig {
        authority_policy: policy,
        subscriber_policy: policy,
        ..CaConfig::test_estate(&config.repository)
    }
}

/// The published keys of tokens, as custody pins them.
pub(super) fn token_keys(authn: &Authn) -> Vec<TokenKey> {
    let published = authn.token_desk().published().into_iter();
    published.map(|key| TokenKey { kid: key.kid, x: key.x, y: key.y }).collect()
}

/// Opens everything in the configured folder.
pub(crate) async fn open(config: PlatformConfig) -> Result<Platform, Stop> {
    let source = unseal::obtain(&config, "操作").await?;
    open_with(config, &source, "操作").await
}

/// Opens everything with a secret that was obtained already.
pub(crate) async fn open_with(
    config: PlatformConfig,
    source: &unseal::Source,
    purpose: &str,
) -> Result<Platform, Stop> {
    open_as(config, source, purpose, Options::default()).await
}

/// The same, over a ledger that is opened so.
pub(crate) async fn open_as(
    config: PlatformConfig,
    source: &unseal::Source,
    purpose: &str,
    options: Options,
) -> Result<Platform, Stop> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let Desks { subscriber, ca, token, log, watch } =
        hsm::open(&config.device, source.secret(), threads)?;
    let (log, streams) = log.split();
    let seals = Arc::clone(&streams);
    let random: Arc<dyn Random> = Arc::new(hsm::SystemRandom);
    let opening = Opening {
        place: config.store.clone(),
        migrations: &migrations(),
        log,
        streams,
        random: Arc::clone(&random),
        origin: origin(&config),
        now: now(),
    };
    let ledger = Ledger::open_with(opening, options)?;
    let ca = Ca::new(ledger.clone(), ca, Arc::clone(&random), estate(&config));
    let audience = format!("{}/v1/signatures", config.url);
    let authn = Authn::new(
        ledger.clone(),
        token,
        Arc::clone(&random),
        AuthnConfig {
            issuer: config.url.clone(),
            audience: audience.clone(),
            rp_id: config.rp_id.clone(),
            rp_name: "Azukari 鍵預かり".into(),
            origins: config.origins.clone(),
            url: config.url.clone(),
            terms_hash: crate::pages::terms::current().hash(),
            token_lifetime_s: config.token_seconds,
            makers: config.makers.clone(),
            sheet_by_card: config.sheet_by_card.clone(),
            require_card_proof: config.require_card_proof,
            count_max: config.signatures_per_budget,
        },
    )
    .with_clients(config.relying_parties.clone());
    authn.resume_keys().await.map_err(Stop::from)?;
    let count = u32::try_from(config.signatures_per_budget).unwrap_or(custody::COUNT_CEILING);
    let hourly = u32::try_from(config.signatures_per_hour).unwrap_or(custody::COUNT_CEILING);
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let of_token = small(config.signatures_per_token_and_hour);
    let of_facility = small(config.signatures_per_facility_and_hour);
    let clients = crate::config::registered(&config.clients)?;
    let custody = Custody::new(
        ledger.clone(),
        subscriber,
        random,
        CustodyConfig {
            issuer: config.url.clone(),
            audience,
            rp: RelyingParty { rp_id: config.rp_id.clone(), origins: config.origins.clone() },
            limits: Limits::new(count, hourly)
                .and_then(|limits| limits.within_an_hour(of_token, of_facility))
                .unwrap_or_default(),
            policy: config.policy.clone(),
            clients: clients.iter().map(|known| known.client.clone()).collect(),
            token_keys: token_keys(&authn),
            loaded_keys: custody::LOADED_KEYS,
        },
    );
    custody.pin_importers(super::import::importers(&config.importers)?);
    let publication =
        Publication::open(&config.witnesses, config.witnesses_needed, ledger.verify_key())?;
    let platform = Platform {
        config,
        ledger,
        ca,
        authn,
        custody,
        seals,
        watch,
        clients,
        csc: Default::default(),
        publication,
        delivering: Default::default(),
    };
    unseal::opened(&platform, source, purpose, now()).await?;
    for (authority, certificate) in platform.ca.authorities().await? {
        if authority == Authority::Root {
            crate::refuse_test_root(&certificate, platform.config.test_anchors)?;
        }
    }
    if let Some(jpki) = &platform.config.jpki {
        crate::refuse_test_root(&jpki.authority, platform.config.test_anchors)?;
    }
    platform.ca.recover(now()).await?;
    // Over a database another process may be signing just now: only lapsed leases are closed.
    match platform.config.store.is_shared() {
        true => platform.custody.sweep(now()).await?,
        false => platform.custody.recover(now()).await?,
    };
    flows::by_card::refresh_trust(&platform).await?;
    flows::card_status::begin(&platform);
    flows::card_status::refresh(&platform).await;
    flows::deliver::all(&platform, now()).await?;
    Ok(platform)
}
