//! `[witness]`, what `azukari witness` runs with, and `[[platform.witness]]`, which witnesses the
//! platform asks.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigRefusal, load};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WitnessAtFile {
    key: PathBuf,
    url: String,
    ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WitnessFile {
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

/// Splits a witness's URL; without TLS it must be on this machine.
pub(super) fn witness_at(written: WitnessAtFile, base: &Path) -> Result<WitnessAt, ConfigRefusal> {
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
