//! Registering a credential (§7.1).

use hpki::encoding::sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::auth_data::{AuthData, BE, BS};
use super::client_data::{self, Call};
use super::cose::{Algorithm, PublicKey};
use super::{Credential, Profile, RelyingParty, STRICT, attestation, cbor};
use crate::refusal::Refusal;

/// A phone's answer to `create()`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistrationResponse {
    /// The new credential's identifier, as the browser names it.
    #[serde(with = "crate::b64")]
    pub credential_id: Vec<u8>,
    /// The octets of clientDataJSON.
    #[serde(rename = "clientDataJSON", with = "crate::b64")]
    pub client_data_json: Vec<u8>,
    /// The attestation object.
    #[serde(with = "crate::b64")]
    pub attestation_object: Vec<u8>,
}

impl RegistrationResponse {
    /// Reads a browser's `RegistrationResponseJSON` (§5.1.8.1); members we do not judge are left
    /// out.
    ///
    /// # Errors
    /// `webauthn-malformed`.
    pub fn from_json(json: &Json) -> Result<Self, Refusal> {
        is_public_key(json)?;
        Ok(Self {
            credential_id: identifier(json)?,
            client_data_json: octets(&json["response"]["clientDataJSON"])?,
            attestation_object: octets(&json["response"]["attestationObject"])?,
        })
    }
}

/// Judges a registration and gives the credential. `user_handle` is the one that was asked for.
///
/// # Errors
/// One code for each wrong thing; see [`Refusal`].
pub fn registration(
    response: &RegistrationResponse,
    challenge: &[u8],
    rp: &RelyingParty,
    user_handle: &[u8],
) -> Result<Credential, Refusal> {
    registration_under(response, challenge, rp, user_handle, STRICT)
}

pub(crate) fn registration_under(
    response: &RegistrationResponse,
    challenge: &[u8],
    rp: &RelyingParty,
    user_handle: &[u8],
    profile: Profile,
) -> Result<Credential, Refusal> {
    let malformed = Refusal::WebauthnMalformed;
    client_data::judge(&response.client_data_json, Call::Create, challenge, rp, profile)?;
    let object = cbor::only(&response.attestation_object)?;
    let member = |name| cbor::member(&object, name).ok_or(malformed("attestationObject"));
    let format = member("fmt")?.as_text().ok_or(malformed("attestationObject"))?;
    let statement = member("attStmt")?;
    let raw = member("authData")?.as_bytes().ok_or(malformed("attestationObject"))?;
    let data = AuthData::parse(raw)?;
    data.judge(rp, profile)?;
    let attested = data.attested.as_ref().ok_or(malformed("no credential data"))?;
    if attested.id != response.credential_id {
        return Err(Refusal::CredentialUnknown);
    }
    let key = PublicKey::parse(attested.cose)?;
    if !profile.any_algorithm && !Algorithm::LINKABLE.contains(&key.algorithm) {
        return Err(Refusal::AlgorithmUnsupported(key.algorithm.number()));
    }
    let mut signed = raw.clone();
    signed.extend_from_slice(&sha256(&response.client_data_json));
    let attestation = attestation::judge(format, statement, attested, &key, &signed)?;
    Ok(Credential {
        id: attested.id.to_vec(),
        cose: attested.cose.to_vec(),
        algorithm: key.algorithm.number(),
        user_handle: user_handle.to_vec(),
        sign_count: data.sign_count,
        backup_eligible: data.has(BE),
        backup_state: data.has(BS),
        attestation,
    })
}

/// `type` must be `public-key`.
pub(super) fn is_public_key(json: &Json) -> Result<(), Refusal> {
    if json["type"] == "public-key" { Ok(()) } else { Err(Refusal::WebauthnMalformed("type")) }
}

/// `id` and `rawId` name the same credential.
pub(super) fn identifier(json: &Json) -> Result<Vec<u8>, Refusal> {
    if json["id"] != json["rawId"] {
        return Err(Refusal::WebauthnMalformed("id"));
    }
    octets(&json["rawId"])
}

pub(super) fn octets(json: &Json) -> Result<Vec<u8>, Refusal> {
    json.as_str().and_then(crate::b64::decode).ok_or(Refusal::WebauthnMalformed("base64url"))
}
