//! The platform: the rooms that stand behind one HTTPS door, opened from one folder.

pub(crate) mod door;
pub(crate) mod jobs;
pub(crate) mod open;
pub(crate) mod phone;
pub(crate) mod repository;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use authn::Authn;
use ca::Ca;
use custody::Custody;
use ledger::Ledger;

use crate::config::PlatformConfig;
use crate::http;

/// The rooms of a running platform. They know nothing of each other; `flows` carries values across.
pub(crate) struct Platform {
    pub(crate) config: PlatformConfig,
    pub(crate) ledger: Ledger,
    pub(crate) ca: Ca,
    pub(crate) authn: Authn,
    pub(crate) custody: Custody,
    /// Held by whoever delivers messages between rooms: one at a time, in the order of commits.
    pub(crate) delivering: tokio::sync::Mutex<()>,
}

/// `azukari serve --config F`.
pub(crate) fn run(file: &Path) -> ExitCode {
    crate::runtime::run(async {
        let config = PlatformConfig::load(file)?;
        let address = config.listen;
        let (stop, stopped) = crate::runtime::until_interrupted();
        let listener = http::server::bind(address).await?;
        let tls = http::tls::server(&config.tls_certificate, &config.tls_key, &config.facility_ca)?;
        let url = config.url.clone();
        let platform = Arc::new(open::open(config).await?);
        eprintln!("基盤を {address} で開きました。{url} (the platform is open; Ctrl-C ends it)");
        serve(platform, listener, tls, stopped).await;
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
    http::server::serve(listener, Some(tls), door::router(platform), stopped).await;
    let _ = jobs.await;
}
