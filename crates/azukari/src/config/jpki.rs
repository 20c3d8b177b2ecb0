//! `[platform.jpki]`: whom My Number Cards are believed by, and how it is known that one was revoked.

use std::path::{Path, PathBuf};

use hpki::Certificate;
use serde::Deserialize;

use super::{ConfigRefusal, bounded};

/// `[platform.jpki]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JpkiFile {
    authority: PathBuf,
    list: Option<String>,
    list_hours: Option<u64>,
    ocsp: Option<String>,
    ocsp_minutes: Option<u64>,
    ocsp_nonce: Option<bool>,
}

/// Where the authority's list is.
#[derive(Debug, Clone)]
pub(crate) enum At {
    /// A file that somebody keeps up to date.
    File(PathBuf),
    /// The base of an http address, and the path there.
    Http(String, String),
}

/// Who answers for the authority about one certificate.
#[derive(Debug, Clone)]
pub(crate) struct Responder {
    /// The base of its http address, and the path there.
    pub(crate) base: String,
    pub(crate) path: String,
    /// Older than this an answer is not believed.
    pub(crate) oldest_s: u64,
    /// Whether it sends the question's nonce back.
    pub(crate) nonce: bool,
}

/// How it is known that a card was revoked.
#[derive(Debug, Clone)]
pub(crate) enum StatusFrom {
    /// From the authority's list.
    List {
        at: At,
        /// Older than this the list is not believed.
        oldest_s: u64,
    },
    /// It is asked at each use of a card (OCSP).
    Ocsp(Responder),
}

impl StatusFrom {
    /// Older than this nothing is believed.
    pub(crate) fn oldest_s(&self) -> u64 {
        match self {
            Self::List { oldest_s, .. } => *oldest_s,
            Self::Ocsp(responder) => responder.oldest_s,
        }
    }
}

/// Whom My Number Cards are believed by.
#[derive(Debug, Clone)]
pub(crate) struct JpkiConfig {
    /// The authority of user authentication certificates, pinned.
    pub(crate) authority: Certificate,
    pub(crate) status: StatusFrom,
}

impl JpkiFile {
    pub(super) fn read(self, base: &Path) -> Result<JpkiConfig, ConfigRefusal> {
        let file = base.join(&self.authority);
        let wrong = |why: String| {
            ConfigRefusal::Value("jpki.authority", format!("{}: {why}", file.display()))
        };
        let octets = std::fs::read(&file).map_err(|why| wrong(why.to_string()))?;
        let authority =
            Certificate::from_pem_or_der(&octets).map_err(|why| wrong(why.to_string()))?;
        Ok(JpkiConfig { authority, status: self.status(base)? })
    }

    fn status(self, base: &Path) -> Result<StatusFrom, ConfigRefusal> {
        let stray = |key, of: &str| Err(ConfigRefusal::Value(key, format!("{of} がありません")));
        match (self.list, self.ocsp) {
            (Some(list), None) => {
                if self.ocsp_minutes.is_some() || self.ocsp_nonce.is_some() {
                    return stray("jpki.ocsp_minutes", "ocsp");
                }
                // Lists are signed, so they may come over plain http; https would need anchors of
                // its own.
                let at = match http(&list) {
                    Some((host, path)) => At::Http(host, path),
                    None if list.contains("://") => {
                        return Err(address("jpki.list", &list, "http:// かファイル名を指定"));
                    }
                    None => At::File(base.join(list)),
                };
                let hours = self.list_hours.unwrap_or(48);
                let oldest_s = 3600 * bounded("jpki.list_hours", hours, 1, 168)?;
                Ok(StatusFrom::List { at, oldest_s })
            }
            (None, Some(ocsp)) => {
                if self.list_hours.is_some() {
                    return stray("jpki.list_hours", "list");
                }
                // So are answers (RFC 6960 §4.2.1).
                let (base, path) =
                    http(&ocsp).ok_or_else(|| address("jpki.ocsp", &ocsp, "http:// を指定"))?;
                let minutes = self.ocsp_minutes.unwrap_or(60);
                let oldest_s = 60 * bounded("jpki.ocsp_minutes", minutes, 1, 1440)?;
                let nonce = self.ocsp_nonce.unwrap_or(true);
                Ok(StatusFrom::Ocsp(Responder { base, path, oldest_s, nonce }))
            }
            (Some(_), Some(_)) | (None, None) => Err(ConfigRefusal::Value(
                "jpki.list",
                "list と ocsp のどちらか一つを書いてください (either list or ocsp)".into(),
            )),
        }
    }
}

fn address(key: &'static str, written: &str, wanted: &str) -> ConfigRefusal {
    ConfigRefusal::Value(key, format!("{written:?} ({wanted})"))
}

/// The base and the path of an http address.
fn http(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (!host.is_empty()).then(|| (format!("http://{host}"), format!("/{path}")))
}
