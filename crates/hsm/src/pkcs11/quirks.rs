//! What differs from device to device. `docs/devices.md` says the same for people.
//!
//! A device that nobody has tried gets [`UNKNOWN`]: it is asked for everything that the house wants
//! and refused if it cannot do it; nothing is silently done without.

use cryptoki::mechanism::MechanismType;
use cryptoki::slot::TokenInfo;

/// How one kind of device behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// What the device is called here.
    pub name: &'static str,
    /// The manufacturer and model, as the token tells them.
    pub manufacturer: &'static str,
    /// How the model begins.
    pub model: &'static str,
    /// Whether somebody tried this device with the house's tests.
    pub tried: bool,
    /// A key just made must be EXTRACTABLE until it is wrapped. Always so where keys are kept
    /// outside the device: it lives as a session object for a few milliseconds.
    pub fresh_keys_extractable: bool,
    /// Whether COPYABLE and MODIFIABLE can be switched off on unwrapped keys as well (SoftHSM2: yes,
    /// if MODIFIABLE is the last that is set). Without it a copy of a loaded key is possible inside
    /// the token; it cannot leave it either.
    pub locks_session_keys: bool,
    /// Whether Ed25519 keys can be wrapped. Where not, the journal's key is kept wrapped under a key
    /// that the device derives, and used in the process.
    pub wraps_ed25519: bool,
    /// Whether RSA-OAEP takes SHA-256 as well; SHA-1 every device must.
    pub oaep_sha256: bool,
    /// More sessions than this are not asked for, whatever the token says.
    pub sessions_max: usize,
    /// Whether a lost device comes back only after the module was initialised anew.
    pub reinitialise: bool,
}

/// SoftHSM 2 (tried: 2.6.1 of Debian 12).
pub const SOFTHSM2: Quirks = Quirks {
    name: "SoftHSM2",
    manufacturer: "SoftHSM project",
    model: "SoftHSM v2",
    tried: true,
    fresh_keys_extractable: true,
    locks_session_keys: true,
    wraps_ed25519: false,
    oaep_sha256: false,
    sessions_max: 256,
    reinitialise: true,
};

/// Any device that nobody has tried.
pub const UNKNOWN: Quirks = Quirks {
    name: "unknown",
    manufacturer: "",
    model: "",
    tried: false,
    fresh_keys_extractable: true,
    locks_session_keys: false,
    wraps_ed25519: false,
    oaep_sha256: true,
    sessions_max: 32,
    reinitialise: true,
};

/// Every device that somebody has tried.
pub const KNOWN: &[Quirks] = &[SOFTHSM2];

/// The quirks of this token.
pub(crate) fn of(token: &TokenInfo) -> &'static Quirks {
    KNOWN
        .iter()
        .find(|quirks| {
            token.manufacturer_id() == quirks.manufacturer
                && token.model().starts_with(quirks.model)
        })
        .unwrap_or(&UNKNOWN)
}

/// What every device must be able to do.
pub(crate) const NEEDED: &[(MechanismType, &str)] = &[
    (MechanismType::AES_KEY_GEN, "CKM_AES_KEY_GEN"),
    (MechanismType::AES_KEY_WRAP_PAD, "CKM_AES_KEY_WRAP_PAD"),
    (MechanismType::GENERIC_SECRET_KEY_GEN, "CKM_GENERIC_SECRET_KEY_GEN"),
    (MechanismType::SHA256_HMAC, "CKM_SHA256_HMAC"),
    (MechanismType::RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN"),
    (MechanismType::SHA256_RSA_PKCS, "CKM_SHA256_RSA_PKCS"),
    (MechanismType::RSA_PKCS, "CKM_RSA_PKCS"),
    (MechanismType::RSA_PKCS_OAEP, "CKM_RSA_PKCS_OAEP"),
    (MechanismType::ECC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN"),
    (MechanismType::ECDSA, "CKM_ECDSA"),
];
