//! 控えの目録: what a backup holds, under the device's own keyed hash.
//!
//! ```text
//! azukari backup v1
//! id <32 hex>
//! made <time>
//! platform <url>
//! log <the journal's verification key>
//! checkpoint <Base64 of the checkpoint that the copy of the journal begins with>
//! file <SHA-256> <octets> <path>
//! mac <64 hex>
//! ```
//! The keyed hash covers every line before it. Only the device that made it can tell a genuine
//! manifest, so a backup is judged after its own device was opened by the officers.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::encoding::{Statement, sha256};
use hpki::sign::Mac;

use super::say;
use crate::runtime::Stop;

/// Its name in the backup's folder.
pub(crate) const NAME: &str = "manifest.txt";
const TITLE: &str = "azukari backup v1";

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// `device/…` or `ledger/…`, with no other slash.
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl Item {
    /// Measures a file that lies below `folder`.
    pub(crate) fn of(folder: &Path, path: String) -> Result<Self, Stop> {
        let octets = std::fs::read(folder.join(&path))
            .map_err(|error| say::refused("backup-damaged", format!("{path}: {error}")))?;
        let size = octets.len() as u64;
        Ok(Self { path, size, sha256: hex::encode(sha256(&octets)) })
    }
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) id: String,
    pub(crate) made: String,
    pub(crate) platform: String,
    pub(crate) log: String,
    pub(crate) checkpoint: String,
    pub(crate) items: Vec<Item>,
}

impl Manifest {
    fn body(&self) -> String {
        let mut text = format!(
            "{TITLE}\nid {}\nmade {}\nplatform {}\nlog {}\ncheckpoint {}\n",
            self.id,
            self.made,
            self.platform,
            self.log,
            STANDARD.encode(&self.checkpoint)
        );
        for item in &self.items {
            text.push_str(&format!("file {} {} {}\n", item.sha256, item.size, item.path));
        }
        text
    }

    /// The text with its keyed hash.
    pub(crate) fn sealed(&self, seals: &dyn Mac) -> Result<String, Stop> {
        let body = self.body();
        let mac = seals.mac(&statement(&body))?;
        Ok(format!("{body}mac {}\n", hex::encode(mac)))
    }

    /// Reads a manifest. Not believed before [`is_genuine`] said so.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut field =
            |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        if field("azukari")? != "backup v1" {
            return None;
        }
        let (id, made, platform, log) =
            (field("id")?, field("made")?, field("platform")?, field("log")?);
        let checkpoint = String::from_utf8(STANDARD.decode(field("checkpoint")?).ok()?).ok()?;
        let mut items = Vec::new();
        let mut mac = None;
        for line in lines {
            if let Some(line) = line.strip_prefix("file ") {
                let mut parts = line.splitn(3, ' ');
                let (sha256, size, path) = (parts.next()?, parts.next()?, parts.next()?);
                if !is_safe(path) {
                    return None;
                }
                items.push(Item {
                    path: path.to_owned(),
                    size: size.parse().ok()?,
                    sha256: sha256.to_owned(),
                });
            } else {
                mac = Some(line.strip_prefix("mac ")?);
            }
        }
        let manifest = Self { id, made, platform, log, checkpoint, items };
        // One way to write it, so nothing else was read than what the keyed hash covers.
        (format!("{}mac {}\n", manifest.body(), mac?) == text).then_some(manifest)
    }
}

/// Whether this device made the manifest of this text.
pub(crate) fn is_genuine(text: &str, seals: &dyn Mac) -> Result<bool, Stop> {
    let Some((body, mac)) = text.rsplit_once("mac ") else { return Ok(false) };
    let mac = hex::decode(mac.trim_end()).unwrap_or_default();
    Ok(seals.check(&statement(body), &mac)?)
}

fn statement(body: &str) -> Statement {
    Statement::new("azukari/backup/v1").octets_field(body.as_bytes())
}

/// One folder of the two, one plain name in it.
fn is_safe(path: &str) -> bool {
    let plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    path.split_once('/')
        .is_some_and(|(folder, name)| matches!(folder, "device" | "ledger") && plain(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hpki::encoding::Digest32;
    use hpki::sign::DeviceFault;

    struct Fixed(u8);
    impl Mac for Fixed {
        fn mac(&self, statement: &Statement) -> Result<Digest32, DeviceFault> {
            let mut octets = statement.octets();
            octets.push(self.0);
            Ok(sha256(&octets))
        }
    }

    fn sample() -> Manifest {
        let item = |path: &str| Item { path: path.into(), size: 7, sha256: "00".repeat(32) };
        Manifest {
            id: "0".repeat(32),
            made: "2026-11-21T00:00:00Z".into(),
            platform: "https://localhost:8443".into(),
            log: "log+00000000+AQ==".into(),
            checkpoint: "log\n1\nroot\n\n— log sig\n".into(),
            items: vec![item("device/vault.azkv"), item("ledger/store.sqlite")],
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_known_by_its_device_alone() {
        let text = sample().sealed(&Fixed(1)).unwrap();
        assert_eq!(Manifest::parse(&text), Some(sample()));
        assert!(is_genuine(&text, &Fixed(1)).unwrap());
        assert!(!is_genuine(&text, &Fixed(2)).unwrap());
        let changed = text.replace("file 00", "file 01");
        assert!(Manifest::parse(&changed).is_some() && !is_genuine(&changed, &Fixed(1)).unwrap());
    }

    #[test]
    fn a_manifest_that_reaches_outside_or_says_a_thing_twice_is_not_read() {
        let text = sample().sealed(&Fixed(1)).unwrap();
        for path in ["device/../x", "/etc/passwd", "device/a/b", "device/.x", "other/x", "device/"]
        {
            assert_eq!(Manifest::parse(&text.replace("device/vault.azkv", path)), None, "{path}");
        }
        assert_eq!(Manifest::parse(&format!("{text}mac 00\n")), None);
        assert_eq!(Manifest::parse(&text.replace("v1", "v2")), None);
        assert_eq!(Manifest::parse(text.split_once("mac ").unwrap().0), None);
    }
}
