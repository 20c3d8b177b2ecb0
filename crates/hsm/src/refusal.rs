//! How this room says no.

use hpki::refusal::Refuse;
use hpki::sign::DeviceFault;

/// The rules say no, and someone can act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The blob is whole but names another key or owner than the row it was found in.
    #[error("the wrapped key belongs to another key or owner")]
    BlobNotOwners,
    /// The blob is not one of ours, or was changed.
    #[error("the wrapped key is damaged or was not made by this device")]
    BlobBroken,
    /// The unseal secret does not open this vault.
    #[error("the unseal secret does not open this vault")]
    UnsealSecretWrong,
    /// The file holding the unseal secret can be read by others, or does not hold 32 octets in
    /// hexadecimal.
    #[error("the unseal secret file {0} is readable by others, missing or malformed")]
    UnsealSecretUnusable(String),
    /// Another process, or this one, has the folder open.
    #[error("the vault folder {0} is in use")]
    VaultInUse(String),
    /// There is already a vault in the folder.
    #[error("there is already a vault in {0}")]
    VaultExists(String),
    /// There is no vault in the folder.
    #[error("there is no vault in {0}")]
    VaultMissing(String),
    /// A file of the vault is damaged.
    #[error("the vault file {0} is damaged")]
    VaultBroken(String),
    /// The folder cannot be read or written.
    #[error("the vault folder cannot be used: {0}")]
    VaultUnusable(String),
    /// No key of this name in the vault.
    #[error("the vault holds no key named {0}")]
    KeyUnknown(String),
    /// A key of this name is already there; keys are never overwritten.
    #[error("the vault already holds a key named {0}")]
    KeyExists(String),
    /// What an authority handed over cannot be opened: it was not wrapped to this device's import
    /// key, or is damaged.
    #[error("the package of the imported key cannot be opened")]
    ImportBroken,
    /// The key in the package is not the certificate's.
    #[error("the imported key is not the one of its certificate")]
    ImportKeyMismatch,
    /// This device takes no keys over.
    #[error("this device takes no keys over")]
    ImportUnsupported,
    /// This device cannot bind a key that was made ahead.
    #[error("this device cannot bind a key that was made ahead")]
    RebindUnsupported,
    /// Key names are 1 to 64 of a–z, 0–9 and hyphen.
    #[error("a key cannot be named {0:?}")]
    KeyNameMalformed(String),
}

/// Every code of this room.
pub const CODES: &[&str] = &[
    "blob-not-owners",
    "blob-broken",
    "unseal-secret-wrong",
    "unseal-secret-unusable",
    "vault-in-use",
    "vault-exists",
    "vault-missing",
    "vault-broken",
    "vault-unusable",
    "vault-key-unknown",
    "vault-key-exists",
    "import-broken",
    "import-key-mismatch",
    "import-unsupported",
    "rebind-unsupported",
    "vault-key-name-malformed",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::BlobNotOwners => "blob-not-owners",
            Self::BlobBroken => "blob-broken",
            Self::UnsealSecretWrong => "unseal-secret-wrong",
            Self::UnsealSecretUnusable(_) => "unseal-secret-unusable",
            Self::VaultInUse(_) => "vault-in-use",
            Self::VaultExists(_) => "vault-exists",
            Self::VaultMissing(_) => "vault-missing",
            Self::VaultBroken(_) => "vault-broken",
            Self::VaultUnusable(_) => "vault-unusable",
            Self::KeyUnknown(_) => "vault-key-unknown",
            Self::KeyExists(_) => "vault-key-exists",
            Self::ImportBroken => "import-broken",
            Self::ImportKeyMismatch => "import-key-mismatch",
            Self::ImportUnsupported => "import-unsupported",
            Self::RebindUnsupported => "rebind-unsupported",
            Self::KeyNameMalformed(_) => "vault-key-name-malformed",
        }
    }
}

/// Why the device did not do it: the rules said no, or something broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The device failed.
    #[error(transparent)]
    Fault(#[from] DeviceFault),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_code_in_the_list_once() {
        let all = [
            Refusal::BlobNotOwners,
            Refusal::BlobBroken,
            Refusal::UnsealSecretWrong,
            Refusal::UnsealSecretUnusable(String::new()),
            Refusal::VaultInUse(String::new()),
            Refusal::VaultExists(String::new()),
            Refusal::VaultMissing(String::new()),
            Refusal::VaultBroken(String::new()),
            Refusal::VaultUnusable(String::new()),
            Refusal::KeyUnknown(String::new()),
            Refusal::KeyExists(String::new()),
            Refusal::ImportBroken,
            Refusal::ImportKeyMismatch,
            Refusal::ImportUnsupported,
            Refusal::RebindUnsupported,
            Refusal::KeyNameMalformed(String::new()),
        ];
        let codes: Vec<_> = all.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
    }
}
