//! Asking for signatures: `signatures/signHash`, and `signatures/signPolling` for those that were
//! not waited for.

use hpki::encoding::Digest32;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{digests, sha256};
use crate::csc::{Given, RSA, RSA_SHA256, Version, Wrong};

/// `signatures/signHash`, version 1.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscSignHashRequestV1, example = json!({"credentialID": "00112233445566778899aabbccddeeff.statement", "SAD": "…", "hash": ["sTOgwOm+474gFj0q0x1iSNspKqbcse4IeiqlDg/HWuI="], "hashAlgo": "2.16.840.1.101.3.4.2.1", "signAlgo": "1.2.840.113549.1.1.1"}))]
pub struct SignHashV1 {
    /// Which credential.
    #[serde(default, rename = "credentialID")]
    #[schema(value_type = String)]
    pub credential: Given<String>,
    /// What `credentials/authorize` gave.
    #[serde(default, rename = "SAD")]
    #[schema(value_type = String)]
    pub sad: Given<String>,
    /// SHA-256 values in base64.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub hash: Given<Vec<String>>,
    /// `2.16.840.1.101.3.4.2.1` (SHA-256); required where `signAlgo` does not say it.
    #[serde(default, rename = "hashAlgo")]
    #[schema(value_type = Option<String>)]
    pub hash_algorithm: Given<String>,
    /// `1.2.840.113549.1.1.1` (RSA) or `1.2.840.113549.1.1.11` (RSA with SHA-256).
    #[serde(default, rename = "signAlgo")]
    #[schema(value_type = String)]
    pub sign_algorithm: Given<String>,
    /// Parameters of the algorithm; the ones here have none (or an ASN.1 NULL).
    #[serde(default, rename = "signAlgoParams")]
    #[schema(value_type = Option<String>)]
    pub parameters: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

/// `signatures/signHash`, version 2.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscSignHashRequestV2, example = json!({"credentialID": "00112233445566778899aabbccddeeff.statement", "SAD": "…", "hashes": ["sTOgwOm+474gFj0q0x1iSNspKqbcse4IeiqlDg/HWuI="], "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1", "signAlgo": "1.2.840.113549.1.1.1"}))]
pub struct SignHashV2 {
    /// Which credential.
    #[serde(default, rename = "credentialID")]
    #[schema(value_type = String)]
    pub credential: Given<String>,
    /// What `credentials/authorize` gave.
    #[serde(default, rename = "SAD")]
    #[schema(value_type = String)]
    pub sad: Given<String>,
    /// SHA-256 values in base64.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub hashes: Given<Vec<String>>,
    /// `2.16.840.1.101.3.4.2.1` (SHA-256); required where `signAlgo` does not say it.
    #[serde(default, rename = "hashAlgorithmOID")]
    #[schema(value_type = Option<String>)]
    pub hash_algorithm: Given<String>,
    /// `1.2.840.113549.1.1.1` (RSA) or `1.2.840.113549.1.1.11` (RSA with SHA-256).
    #[serde(default, rename = "signAlgo")]
    #[schema(value_type = String)]
    pub sign_algorithm: Given<String>,
    /// Parameters of the algorithm; the ones here have none (or an ASN.1 NULL).
    #[serde(default, rename = "signAlgoParams")]
    #[schema(value_type = Option<String>)]
    pub parameters: Given<String>,
    /// `S` (if absent): the answer carries the signatures. `A`: it carries a `responseID`.
    #[serde(default, rename = "operationMode")]
    #[schema(value_type = Option<String>)]
    pub operation_mode: Given<String>,
    /// With `A`: for how many milliseconds the signatures are kept, at most 24 hours; an hour if
    /// absent.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub validity_period: Given<i64>,
    /// With `A`: a registered address that is told when the signatures are there.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub response_uri: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

/// What `signatures/signHash` asks for: RSASSA-PKCS1-v1_5 over these SHA-256 values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignHash {
    /// Which credential.
    pub credential: String,
    /// The SAD.
    pub sad: String,
    /// What to sign, in order.
    pub hashes: Vec<Digest32>,
    /// `None`: the answer carries the signatures.
    pub later: Option<Later>,
}

/// The signatures are fetched later (`operationMode` `A`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Later {
    /// For how many seconds they are kept.
    pub keep_s: u64,
    /// Who is told when they are there.
    pub response_uri: Option<String>,
}

/// How long signatures are kept for whoever does not say: an hour.
const KEEP_S: u64 = 3_600;
/// The longest that they are kept: 24 hours.
const KEEP_MOST_S: u64 = 86_400;

/// `operationMode`, and what belongs to `A` alone.
pub(super) fn later(
    mode: Given<String>,
    validity_period: Given<i64>,
    response_uri: Given<String>,
) -> Result<Option<Later>, Wrong> {
    let asynchronous = match mode {
        Given::Absent => false,
        Given::Is(mode) if mode == "S" => false,
        Given::Is(mode) if mode == "A" => true,
        _ => return Err(Wrong::Invalid("operationMode")),
    };
    let keep_s = match validity_period {
        Given::Absent => KEEP_S,
        // A part of a second counts as one: it is kept no shorter than was asked.
        Given::Is(kept) if asynchronous => match u64::try_from(kept).map(|ms| ms.div_ceil(1_000)) {
            Ok(seconds) if (1..=KEEP_MOST_S).contains(&seconds) => seconds,
            _ => return Err(Wrong::OutOfBounds("validity_period")),
        },
        _ => return Err(Wrong::Invalid("validity_period")),
    };
    let response_uri = match response_uri {
        Given::Absent => None,
        Given::Is(uri) if asynchronous => Some(uri),
        _ => return Err(Wrong::Invalid("response_uri")),
    };
    Ok(asynchronous.then_some(Later { keep_s, response_uri }))
}

/// `signatures/signPolling`, version 2.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscSignPollingRequest, example = json!({"requestID": "00112233445566778899aabbccddeeff"}))]
pub struct SignPolling {
    /// The `responseID` that was answered.
    #[serde(default, rename = "requestID")]
    #[schema(value_type = String)]
    pub request: Given<String>,
    /// Must be absent: the access token says whose request is meant.
    #[serde(default, rename = "userID")]
    #[schema(value_type = Option<String>)]
    pub user: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

impl SignPolling {
    /// Which request.
    pub fn read(self) -> Result<String, Wrong> {
        match self.user {
            Given::Absent => self.request.required("requestID"),
            _ => Err(Wrong::UserNamed),
        }
    }
}

impl SignHashV1 {
    /// What it means.
    pub fn read(self) -> Result<SignHash, Wrong> {
        let sad = self.sad.required("SAD")?;
        let credential = self.credential.required("credentialID")?;
        let hashes = digests(self.hash.required(Version::V1.hashes())?)?;
        let hash_algorithm = self.hash_algorithm.optional("hashAlgo")?;
        algorithm(self.sign_algorithm, hash_algorithm, self.parameters, Version::V1)?;
        Ok(SignHash { credential, sad, hashes, later: None })
    }
}

impl SignHashV2 {
    /// What it means.
    pub fn read(self) -> Result<SignHash, Wrong> {
        let sad = self.sad.required("SAD")?;
        let credential = self.credential.required("credentialID")?;
        let hashes = digests(self.hashes.required(Version::V2.hashes())?)?;
        let hash_algorithm = self.hash_algorithm.optional("hashAlgorithmOID")?;
        algorithm(self.sign_algorithm, hash_algorithm, self.parameters, Version::V2)?;
        let later = later(self.operation_mode, self.validity_period, self.response_uri)?;
        Ok(SignHash { credential, sad, hashes, later })
    }
}

/// `BQA=`: an ASN.1 NULL, which is what these algorithms' parameters are in a certificate.
const NULL: &str = "BQA=";

pub(super) fn algorithm(
    sign: Given<String>,
    hash: Option<String>,
    parameters: Given<String>,
    version: Version,
) -> Result<(), Wrong> {
    let name = version.hash_algorithm();
    match (sign.required("signAlgo")?.as_str(), &hash) {
        (RSA, None) => return Err(Wrong::Missing("string", name)),
        (RSA, _) => sha256(hash, version)?,
        // The specification has the other parameter ignored where this one says it.
        (RSA_SHA256, _) => {}
        _ => return Err(Wrong::Invalid("signAlgo")),
    }
    match parameters.optional("signAlgoParams")?.as_deref() {
        None | Some(NULL) => Ok(()),
        Some(_) => Err(Wrong::Invalid("signAlgoParams")),
    }
}
