//! The `[device]` table: which device holds the keys. Without it, the software vault.

use std::path::{Path, PathBuf};

use hsm::DeviceConfig;
use serde::Deserialize;

use super::ConfigRefusal;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceFile {
    pkcs11: Pkcs11File,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pkcs11File {
    module: PathBuf,
    token: String,
}

/// The device of a platform with this folder.
pub(super) fn device(
    written: Option<DeviceFile>,
    base: &Path,
    folder: &Path,
) -> Result<DeviceConfig, ConfigRefusal> {
    let Some(DeviceFile { pkcs11: Pkcs11File { module, token } }) = written else {
        return Ok(DeviceConfig::vault(folder.join("vault")));
    };
    // A PKCS#11 label is 32 octets, filled up with blanks.
    if token.is_empty() || token.len() > 32 || token.trim() != token {
        let why = format!("{token:?} (空白で始まらず終わらない 32 バイトまで)");
        return Err(ConfigRefusal::Value("device.pkcs11.token", why));
    }
    Ok(DeviceConfig::pkcs11(folder.join("vault"), base.join(module), token))
}
