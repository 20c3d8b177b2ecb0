//! `[platform.jpki]`: whom My Number Cards are believed by.

use std::path::{Path, PathBuf};

use hpki::Certificate;
use serde::Deserialize;

use super::{ConfigRefusal, bounded};

/// `[platform.jpki]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JpkiFile {
    authority: PathBuf,
    list: String,
    #[serde(default = "JpkiFile::oldest")]
    list_hours: u64,
}

/// Where the authority's list is.
#[derive(Debug, Clone)]
pub(crate) enum ListAt {
    /// A file that somebody keeps up to date.
    File(PathBuf),
    /// The base of an http address, and the path there.
    Http(String, String),
}

/// Whom My Number Cards are believed by.
#[derive(Debug, Clone)]
pub(crate) struct JpkiConfig {
    /// The authority of user authentication certificates, pinned.
    pub(crate) authority: Certificate,
    pub(crate) list: ListAt,
    /// Older than this the list is not believed.
    pub(crate) list_s: u64,
}

impl JpkiFile {
    fn oldest() -> u64 {
        48
    }

    pub(super) fn read(self, base: &Path) -> Result<JpkiConfig, ConfigRefusal> {
        let file = base.join(self.authority);
        let wrong = |why: String| {
            ConfigRefusal::Value("jpki.authority", format!("{}: {why}", file.display()))
        };
        let octets = std::fs::read(&file).map_err(|why| wrong(why.to_string()))?;
        let authority =
            Certificate::from_pem_or_der(&octets).map_err(|why| wrong(why.to_string()))?;
        // Lists are signed, so they may come over plain http; https would need anchors of its own.
        let list = match self.list.strip_prefix("http://") {
            Some(rest) => match rest.split_once('/') {
                Some((host, path)) if !host.is_empty() => {
                    ListAt::Http(format!("http://{host}"), format!("/{path}"))
                }
                _ => return Err(ConfigRefusal::Value("jpki.list", format!("{:?}", self.list))),
            },
            None if self.list.contains("://") => {
                return Err(ConfigRefusal::Value(
                    "jpki.list",
                    format!("{:?} (http:// かファイル名を指定)", self.list),
                ));
            }
            None => ListAt::File(base.join(self.list)),
        };
        let list_s = 3600 * bounded("jpki.list_hours", self.list_hours, 1, 168)?;
        Ok(JpkiConfig { authority, list, list_s })
    }
}
