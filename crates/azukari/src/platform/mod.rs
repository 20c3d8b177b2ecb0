//! The platform: the rooms that stand behind one HTTPS door, opened from one folder.

pub(crate) mod approvals;
pub(crate) mod batch;
pub(crate) mod cards;
pub(crate) mod csc;
pub(crate) mod desk;
pub(crate) mod door;
pub(crate) mod holder;
pub(crate) mod import;
pub(crate) mod jobs;
pub(crate) mod journal;
pub(crate) mod oauth;
pub(crate) mod open;
pub(crate) mod pages;
pub(crate) mod phone;
pub(crate) mod reader;
pub(crate) mod repository;
pub(crate) mod standing;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use authn::Authn;
use ca::Ca;
use custody::Custody;
use hpki::sign::Mac;
use ledger::Ledger;

use crate::config::PlatformConfig;
use crate::flows;
use crate::http;
use crate::officer;

/// The rooms of a running platform. They know nothing of each other; `flows` carries values across.
pub(crate) struct Platform {
    pub(crate) config: PlatformConfig,
    pub(crate) ledger: Ledger,
    pub(crate) ca: Ca,
    pub(crate) authn: Authn,
    pub(crate) custody: Custody,
    /// The keyed hash that seals officers' records and backups.
    pub(crate) seals: Arc<dyn Mac>,
    /// Who may have hashes signed.
    pub(crate) clients: Vec<crate::config::Registered>,
    /// What waits for owners' approvals on the CSC paths.
    pub(crate) csc: crate::flows::csc::Waiting,
    /// What is published of the journal, and who is asked to look at it.
    pub(crate) publication: journal::Publication,
    /// How the key device is.
    pub(crate) watch: hsm::DeviceWatch,
    /// Held by whoever delivers messages between rooms: one at a time, in the order of commits.
    pub(crate) delivering: tokio::sync::Mutex<()>,
}

/// `azukari serve --config F`.
pub(crate) fn run(file: &Path) -> ExitCode {
    crate::runtime::run(async {
        let config = PlatformConfig::load(file)?;
        let address = config.listen;
        let tls = http::tls::server(&config.tls_certificate, &config.tls_key, &config.facility_ca)?;
        let (stop, mut stopped) = crate::runtime::until_interrupted();
        // Nobody is let in, and no port is taken, before the device can be opened.
        let purpose = "基盤の起動";
        let source = tokio::select! {
            source = officer::unseal::obtain(&config, purpose) => source?,
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
        };
        let listener = http::server::bind(address).await?;
        let (url, socket) = (config.url.clone(), config.officers_socket.clone());
        let platform = Arc::new(open::open_with(config, &source, purpose).await?);
        drop(source);
        eprintln!("基盤を {address} で開きました。{url} (the platform is open; Ctrl-C ends it)");
        let door = officer::door::attend(Arc::clone(&platform), socket, stopped.clone());
        let door = tokio::spawn(door);
        serve(platform, listener, tls, stopped).await;
        let _ = door.await;
        drop(stop);
        Ok(())
    })
}

/// Serves an opened platform until told to stop.
pub(crate) async fn serve(
    platform: Arc<Platform>,
    listener: tokio::net::TcpListener,
    tls: Arc<rustls::ServerConfig>,
    stopped: tokio::sync::watch::Receiver<bool>,
) {
    let jobs = tokio::spawn(jobs::run(Arc::clone(&platform), stopped.clone()));
    let keys = tokio::spawn(jobs::keys(Arc::clone(&platform), stopped.clone()));
    let cards = tokio::spawn(jobs::my_number_cards(Arc::clone(&platform), stopped.clone()));
    let telling = tokio::spawn(flows::csc_told::run(Arc::clone(&platform), stopped.clone()));
    let publishing = tokio::spawn(journal::run(Arc::clone(&platform), stopped.clone()));
    http::server::serve(listener, Some(tls), door::router(platform), stopped).await;
    let _ = (jobs.await, keys.await, cards.await, telling.await, publishing.await);
}
