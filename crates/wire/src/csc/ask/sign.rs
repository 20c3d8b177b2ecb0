//! Asking for signatures: `signatures/signHash`.

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
    /// `S`: the answer carries the signatures. `A` is not there.
    #[serde(default, rename = "operationMode")]
    #[schema(value_type = Option<String>)]
    pub operation_mode: Given<String>,
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
}

impl SignHashV1 {
    /// What it means.
    pub fn read(self) -> Result<SignHash, Wrong> {
        let sad = self.sad.required("SAD")?;
        let credential = self.credential.required("credentialID")?;
        let hashes = digests(self.hash.required(Version::V1.hashes())?)?;
        let hash_algorithm = self.hash_algorithm.optional("hashAlgo")?;
        algorithm(self.sign_algorithm, hash_algorithm, self.parameters, Version::V1)?;
        Ok(SignHash { credential, sad, hashes })
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
        match self.operation_mode.optional("operationMode")?.as_deref() {
            None | Some("S") => Ok(SignHash { credential, sad, hashes }),
            Some(_) => Err(Wrong::Invalid("operationMode")),
        }
    }
}

/// `BQA=`: an ASN.1 NULL, which is what these algorithms' parameters are in a certificate.
const NULL: &str = "BQA=";

fn algorithm(
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
