//! Verifying an assertion (§7.2).

use hpki::encoding::sha256;
use serde_json::Value as Json;

use super::auth_data::{AuthData, BE, BS};
use super::client_data::{self, Call};
use super::cose::PublicKey;
use super::registration::{identifier, is_public_key, octets};
use super::{Attestation, Credential, Profile, RelyingParty, STRICT};
use crate::refusal::Refusal;

/// A phone's answer to `get()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionResponse {
    /// Which credential answered.
    pub credential_id: Vec<u8>,
    /// The octets of clientDataJSON.
    pub client_data_json: Vec<u8>,
    /// The authenticator data.
    pub authenticator_data: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// The user handle, if the authenticator named one.
    pub user_handle: Option<Vec<u8>>,
}

impl AssertionResponse {
    /// Reads a browser's `AuthenticationResponseJSON` (§5.1.8.2); members we do not judge are left
    /// out.
    ///
    /// # Errors
    /// `webauthn-malformed`.
    pub fn from_json(json: &Json) -> Result<Self, Refusal> {
        is_public_key(json)?;
        let response = &json["response"];
        let user_handle = match &response["userHandle"] {
            Json::Null => None,
            named => Some(octets(named)?),
        };
        Ok(Self {
            credential_id: identifier(json)?,
            client_data_json: octets(&response["clientDataJSON"])?,
            authenticator_data: octets(&response["authenticatorData"])?,
            signature: octets(&response["signature"])?,
            user_handle,
        })
    }
}

/// What a good assertion changes in what we know of the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssertionOutcome {
    /// The new signature counter.
    pub sign_count: u32,
    /// Whether the credential is backed up now.
    pub backup_state: bool,
}

/// Judges an assertion over the challenge by this credential.
///
/// # Errors
/// One code for each wrong thing; see [`Refusal`].
pub fn assertion(
    response: &AssertionResponse,
    credential: &Credential,
    challenge: &[u8],
    rp: &RelyingParty,
) -> Result<AssertionOutcome, Refusal> {
    assertion_under(response, credential, challenge, rp, STRICT)
}

/// As [`assertion`], by somebody who knows the credential's public key and nothing else of it: the
/// counter and the eligibility for backup are not compared with what they were.
pub(crate) fn assertion_of_a_stranger(
    response: &AssertionResponse,
    cose: &[u8],
    challenge: &[u8],
    rp: &RelyingParty,
) -> Result<(), Refusal> {
    let data = AuthData::parse(&response.authenticator_data)?;
    let credential = Credential {
        id: response.credential_id.clone(),
        cose: cose.to_vec(),
        algorithm: PublicKey::parse(cose)?.algorithm.number(),
        user_handle: Vec::new(),
        sign_count: 0,
        backup_eligible: data.has(BE),
        backup_state: data.has(BS),
        attestation: Attestation::None,
    };
    assertion(response, &credential, challenge, rp).map(|_| ())
}

pub(crate) fn assertion_under(
    response: &AssertionResponse,
    credential: &Credential,
    challenge: &[u8],
    rp: &RelyingParty,
    profile: Profile,
) -> Result<AssertionOutcome, Refusal> {
    if response.credential_id != credential.id {
        return Err(Refusal::CredentialUnknown);
    }
    if response.user_handle.as_ref().is_some_and(|handle| *handle != credential.user_handle) {
        return Err(Refusal::UserHandleWrong);
    }
    client_data::judge(&response.client_data_json, Call::Get, challenge, rp, profile)?;
    let data = AuthData::parse(&response.authenticator_data)?;
    if data.attested.is_some() {
        return Err(Refusal::WebauthnMalformed("credential data in an assertion"));
    }
    data.judge(rp, profile)?;
    if data.has(BE) != credential.backup_eligible {
        return Err(Refusal::BackupFlagsWrong);
    }
    let key = PublicKey::parse(&credential.cose)?;
    let mut signed = response.authenticator_data.clone();
    signed.extend_from_slice(&sha256(&response.client_data_json));
    if !key.verifies(&signed, &response.signature) {
        return Err(Refusal::AssertionSignatureWrong);
    }
    // Judged last, when the counter is known to be the authenticator's own. Synced passkeys
    // always report zero.
    let both_zero = data.sign_count == 0 && credential.sign_count == 0;
    if !both_zero && data.sign_count <= credential.sign_count {
        return Err(Refusal::CounterNotRising);
    }
    Ok(AssertionOutcome { sign_count: data.sign_count, backup_state: data.has(BS) })
}
