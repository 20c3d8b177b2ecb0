//! clientDataJSON: what the browser saw (§5.8.1).

use serde::Deserialize;

use super::{Profile, RelyingParty};
use crate::refusal::Refusal;

/// More than a browser writes.
const LARGEST: usize = 8 * 1024;

/// The members that we judge. Others may follow (§5.8.1 foresees them); these may not be doubled.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
    #[serde(default)]
    top_origin: Option<String>,
}

/// Which call of the browser it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `navigator.credentials.create()`.
    Create,
    /// `navigator.credentials.get()`.
    Get,
}

/// Judges clientDataJSON against the challenge and origins that we expect.
pub(crate) fn judge(
    octets: &[u8],
    call: Call,
    challenge: &[u8],
    rp: &RelyingParty,
    profile: Profile,
) -> Result<(), Refusal> {
    let malformed = Refusal::WebauthnMalformed("clientDataJSON");
    if octets.len() > LARGEST {
        return Err(malformed);
    }
    let data: ClientData = serde_json::from_slice(octets).map_err(|_| malformed)?;
    let expected = match call {
        Call::Create => "webauthn.create",
        Call::Get => "webauthn.get",
    };
    if data.kind != expected {
        return Err(Refusal::TypeWrong);
    }
    // One text for one value: compared as text, so no second encoding can slip through.
    if data.challenge != crate::b64::encode(challenge) {
        return Err(Refusal::ChallengeMismatch);
    }
    if !rp.origins.contains(&data.origin) {
        return Err(Refusal::OriginWrong);
    }
    if profile.same_origin && (data.cross_origin || data.top_origin.is_some()) {
        return Err(Refusal::CrossOrigin);
    }
    Ok(())
}

/// The challenge that a clientDataJSON names, e.g. to find the ceremony it belongs to. Nothing is
/// verified.
pub fn challenge(octets: &[u8]) -> Option<Vec<u8>> {
    let data: ClientData = serde_json::from_slice(octets.get(..octets.len().min(LARGEST))?).ok()?;
    crate::b64::decode(&data.challenge)
}

/// The origin that a clientDataJSON names. Nothing is verified.
pub(crate) fn origin(octets: &[u8]) -> Option<String> {
    let data: ClientData = serde_json::from_slice(octets.get(..octets.len().min(LARGEST))?).ok()?;
    Some(data.origin)
}
