//! Which device holds the keys.

use std::path::{Path, PathBuf};

/// Which device holds the keys, and where.
///
/// Either way the folder keeps what is not secret without the device: wrapped keys of authorities,
/// tokens and the log, and the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceConfig {
    /// The software vault in this folder.
    Vault {
        /// The folder, for one process at a time.
        folder: PathBuf,
    },
    /// A PKCS#11 device: the key-encryption key lives in a token.
    Pkcs11 {
        /// The folder for the wrapped keys, for one process at a time.
        folder: PathBuf,
        /// The PKCS#11 module, e.g. `/usr/lib/softhsm/libsofthsm2.so`.
        module: PathBuf,
        /// The token's label.
        token: String,
    },
}

impl DeviceConfig {
    /// The software vault in this folder.
    pub fn vault(folder: impl Into<PathBuf>) -> Self {
        Self::Vault { folder: folder.into() }
    }

    /// A token of a PKCS#11 module, with the folder for the wrapped keys.
    pub fn pkcs11(
        folder: impl Into<PathBuf>,
        module: impl Into<PathBuf>,
        token: impl Into<String>,
    ) -> Self {
        Self::Pkcs11 { folder: folder.into(), module: module.into(), token: token.into() }
    }

    /// The folder of the wrapped keys.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Vault { folder } | Self::Pkcs11 { folder, .. } => folder,
        }
    }
}
