//! What browsers are asked: the JSON forms of Web Authentication Level 3 §5.4 and §5.5.

use hpki::encoding::Digest32;
use serde_json::{Value, json};
use wire::token::base64url_encode;

use crate::config::{AuthnConfig, FINISH_S, SITTING_S};

/// PublicKeyCredentialCreationOptionsJSON: a discoverable credential under user verification;
/// ES256, Ed25519 or RS256.
pub(crate) fn create(
    config: &AuthnConfig,
    challenge: &Digest32,
    user_handle: &[u8],
    display_id: &str,
) -> Value {
    json!({
        "rp": { "id": config.rp_id, "name": config.rp_name },
        "user": {
            "id": base64url_encode(user_handle),
            "name": display_id,
            "displayName": display_id,
        },
        "challenge": base64url_encode(challenge),
        "pubKeyCredParams": [
            { "type": "public-key", "alg": -7 },
            { "type": "public-key", "alg": -8 },
            { "type": "public-key", "alg": -257 },
        ],
        "timeout": SITTING_S * 1_000,
        "excludeCredentials": [],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": true,
            "userVerification": "required",
        },
        "attestation": if config.makers.are_listed() { "direct" } else { "none" },
    })
}

/// PublicKeyCredentialRequestOptionsJSON: this person's one credential, under user verification.
pub(crate) fn get(config: &AuthnConfig, challenge: &Digest32, credential_id: &[u8]) -> Value {
    json!({
        "challenge": base64url_encode(challenge),
        "timeout": FINISH_S * 1_000,
        "rpId": config.rp_id,
        "allowCredentials": [
            { "type": "public-key", "id": base64url_encode(credential_id) },
        ],
        "userVerification": "required",
    })
}

/// PublicKeyCredentialRequestOptionsJSON: whichever passkey of ours the authenticator holds.
pub(crate) fn get_any(config: &AuthnConfig, challenge: &Digest32) -> Value {
    json!({
        "challenge": base64url_encode(challenge),
        "timeout": FINISH_S * 1_000,
        "rpId": config.rp_id,
        "userVerification": "required",
    })
}
