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
    /// The PKCS#11 module cannot be loaded or initialised.
    #[error("the PKCS#11 module cannot be used: {0}")]
    ModuleUnusable(String),
    /// No token of this label in the module.
    #[error("the module has no token labelled {0:?}")]
    TokenUnknown(String),
    /// More than one token has this label.
    #[error("more than one token is labelled {0:?}")]
    TokenDoubled(String),
    /// The folder belongs to another token: another label, or another serial number under the same.
    #[error("the folder belongs to another token than {0:?}")]
    TokenAnother(String),
    /// A token of this label is there already; none is ever initialised over another.
    #[error("there is already a token labelled {0:?}")]
    TokenExists(String),
    /// The token has no user PIN yet, or it has expired.
    #[error("the token {0:?} has no user PIN, or it has expired")]
    TokenNotReady(String),
    /// The token holds keys of the house, but this folder does not know them.
    #[error("the token {0:?} already holds keys of a device")]
    TokenNotEmpty(String),
    /// The token has no room for another object, session or token.
    #[error("the token {0:?} is full")]
    TokenFull(String),
    /// The device cannot do something that the house needs.
    #[error("the device lacks {0}")]
    MechanismMissing(String),
    /// The PIN derived from the secret is not the token's. It was tried once.
    #[error("the secret does not give the PIN of the token {0:?}")]
    PinWrong(String),
    /// One more wrong PIN would lock the token, so it was not tried.
    #[error("one more wrong PIN would lock the token {0:?}; it was not tried")]
    PinFinalTry(String),
    /// The token has locked its PIN.
    #[error("the PIN of the token {0:?} is locked")]
    PinLocked(String),
    /// The key-encryption key or a keyed-hash key is not in the token.
    #[error("the key-encryption key is not there: {0}")]
    KekMissing(String),
    /// A key-encryption key lacks an attribute that protects it: somebody else made or changed it.
    #[error("the key-encryption key is not protected as it should be: {0}")]
    KekWeak(String),
    /// The device does not answer.
    #[error("the device does not answer: {0}")]
    DeviceLost(String),
    /// A rotation of the key-encryption key was interrupted and must be finished first.
    #[error("a rotation of the keys in {0} is not finished")]
    RotationUnfinished(String),
    /// Custody is on its way to another token, and must arrive first.
    #[error("a transfer to another token is not finished: {0}")]
    TransferUnfinished(String),
    /// The second token is in charge already: there is no way back but another transfer.
    #[error("custody was handed over to the token {0:?}")]
    TransferHandedOver(String),
    /// Custody moves from one token to another of another label.
    #[error("the second token has the label of the first, {0:?}")]
    TransferSameToken(String),
    /// A key arrived on the second token otherwise than it left the first.
    #[error("on the second token {0} is not as on the first")]
    TransferDiffers(String),
    /// Custody moves between tokens that share the folder.
    #[error("there is no transfer to or from {0}")]
    TransferUnsupported(String),
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
    "module-unusable",
    "token-unknown",
    "token-doubled",
    "token-another",
    "token-exists",
    "token-not-ready",
    "token-not-empty",
    "token-full",
    "mechanism-missing",
    "pin-wrong",
    "pin-final-try",
    "pin-locked",
    "kek-missing",
    "kek-weak",
    "device-lost",
    "rotation-unfinished",
    "transfer-unfinished",
    "transfer-handed-over",
    "transfer-same-token",
    "transfer-differs",
    "transfer-unsupported",
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
            Self::ModuleUnusable(_) => "module-unusable",
            Self::TokenUnknown(_) => "token-unknown",
            Self::TokenDoubled(_) => "token-doubled",
            Self::TokenAnother(_) => "token-another",
            Self::TokenExists(_) => "token-exists",
            Self::TokenNotReady(_) => "token-not-ready",
            Self::TokenNotEmpty(_) => "token-not-empty",
            Self::TokenFull(_) => "token-full",
            Self::MechanismMissing(_) => "mechanism-missing",
            Self::PinWrong(_) => "pin-wrong",
            Self::PinFinalTry(_) => "pin-final-try",
            Self::PinLocked(_) => "pin-locked",
            Self::KekMissing(_) => "kek-missing",
            Self::KekWeak(_) => "kek-weak",
            Self::DeviceLost(_) => "device-lost",
            Self::RotationUnfinished(_) => "rotation-unfinished",
            Self::TransferUnfinished(_) => "transfer-unfinished",
            Self::TransferHandedOver(_) => "transfer-handed-over",
            Self::TransferSameToken(_) => "transfer-same-token",
            Self::TransferDiffers(_) => "transfer-differs",
            Self::TransferUnsupported(_) => "transfer-unsupported",
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
            Refusal::ModuleUnusable(String::new()),
            Refusal::TokenUnknown(String::new()),
            Refusal::TokenDoubled(String::new()),
            Refusal::TokenAnother(String::new()),
            Refusal::TokenExists(String::new()),
            Refusal::TokenNotReady(String::new()),
            Refusal::TokenNotEmpty(String::new()),
            Refusal::TokenFull(String::new()),
            Refusal::MechanismMissing(String::new()),
            Refusal::PinWrong(String::new()),
            Refusal::PinFinalTry(String::new()),
            Refusal::PinLocked(String::new()),
            Refusal::KekMissing(String::new()),
            Refusal::KekWeak(String::new()),
            Refusal::DeviceLost(String::new()),
            Refusal::RotationUnfinished(String::new()),
            Refusal::TransferUnfinished(String::new()),
            Refusal::TransferHandedOver(String::new()),
            Refusal::TransferSameToken(String::new()),
            Refusal::TransferDiffers(String::new()),
            Refusal::TransferUnsupported(String::new()),
        ];
        let codes: Vec<_> = all.iter().map(Refuse::code).collect();
        assert_eq!(codes, CODES);
    }
}
