//! TLS as the house speaks it: version 1.3 only, no early data, no resumption, pinned roots.

use std::path::Path;
use std::sync::Arc;

use hpki::certificate::Certificate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What is wrong with a TLS file of the configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsRefusal {
    #[error("{0} を読めません: {1} (cannot read this PEM file)")]
    Unreadable(String, String),
    #[error(transparent)]
    KeyFile(crate::runtime::Stop),
    #[error("TLS の設定が正しくありません: {0} (TLS configuration refused)")]
    Refused(String),
}

/// Whoever stands at the other end of a connection, as its client certificate proved. What the
/// certificate stands for, and whether it is still in force, `ca` says on every request.
#[derive(Debug, Clone)]
pub(crate) struct Peer(pub(crate) Certificate);

impl Peer {
    /// Reads a certificate whose chain the handshake has already verified.
    pub(crate) fn from_certificate(certificate: &CertificateDer<'_>) -> Option<Self> {
        Certificate::from_der(certificate).ok().map(Self)
    }
}

/// Certificates of a PEM file.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsRefusal> {
    let unreadable = |error: &dyn std::fmt::Display| {
        TlsRefusal::Unreadable(file.display().to_string(), error.to_string())
    };
    let list: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|e| unreadable(&e))?.collect();
    let list = list.map_err(|e| unreadable(&e))?;
    if list.is_empty() { Err(unreadable(&"no certificate in it")) } else { Ok(list) }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsRefusal> {
    crate::files::owner_only(file).map_err(TlsRefusal::KeyFile)?;
    PrivateKeyDer::from_pem_file(file)
        .map_err(|e| TlsRefusal::Unreadable(file.display().to_string(), e.to_string()))
}

fn roots(file: &Path) -> Result<RootCertStore, TlsRefusal> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store.add(certificate).map_err(|e| TlsRefusal::Refused(e.to_string()))?;
    }
    Ok(store)
}

fn refused(error: impl std::fmt::Display) -> TlsRefusal {
    TlsRefusal::Refused(error.to_string())
}

/// A server that asks for a facility's certificate and also serves phones, which have none:
/// routes for facilities refuse a connection without one.
pub(crate) fn server(
    certificate: &Path,
    key: &Path,
    facility_ca: &Path,
) -> Result<Arc<ServerConfig>, TlsRefusal> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots(facility_ca)?),
        Arc::clone(&provider),
    )
    .allow_unauthenticated()
    .build()
    .map_err(refused)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(certificate)?, private_key(key)?)
        .map_err(refused)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// A server that asks nobody for a certificate.
pub(crate) fn open_server(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsRefusal> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(certificates(certificate)?, private_key(key)?)
        .map_err(refused)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// A client that trusts exactly one CA file and, where it is a facility, shows its certificate.
pub(crate) fn client(
    platform_ca: &Path,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsRefusal> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(refused)?
        .with_root_certificates(roots(platform_ca)?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(refused)?,
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// The name a client expects in the server's certificate.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, TlsRefusal> {
    ServerName::try_from(host.to_owned()).map_err(refused)
}
