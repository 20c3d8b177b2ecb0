//! Asking for a SAD: `credentials/authorize`, `authorizeCheck`, `getChallenge`,
//! `extendTransaction`.

use hpki::encoding::Digest32;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{digests, sha256};
use crate::csc::{Given, SignatureFormat, Version, Wrong};

/// `credentials/authorize`, version 1.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscAuthorizeRequestV1, example = json!({"credentialID": "00112233445566778899aabbccddeeff.statement", "numSignatures": 1, "hash": ["sTOgwOm+474gFj0q0x1iSNspKqbcse4IeiqlDg/HWuI="]}))]
pub struct AuthorizeV1 {
    /// Which credential.
    #[serde(default, rename = "credentialID")]
    #[schema(value_type = String)]
    pub credential: Given<String>,
    /// How many signatures.
    #[serde(default, rename = "numSignatures")]
    #[schema(value_type = u32)]
    pub count: Given<i64>,
    /// SHA-256 values in base64; required under SCAL 2.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub hash: Given<Vec<String>>,
    /// What the signatures are for. Not kept.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub description: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

/// An authentication object that an application hands in (§8.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = CscAuthObject)]
pub struct AuthObject {
    /// Which of those that `credentials/info` names.
    pub id: String,
}

/// `credentials/authorize`, version 2.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscAuthorizeRequestV2, example = json!({"credentialID": "00112233445566778899aabbccddeeff.statement", "numSignatures": 1, "hashes": ["sTOgwOm+474gFj0q0x1iSNspKqbcse4IeiqlDg/HWuI="], "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1", "authData": [{"id": "phone"}]}))]
pub struct AuthorizeV2 {
    /// Which credential.
    #[serde(default, rename = "credentialID")]
    #[schema(value_type = String)]
    pub credential: Given<String>,
    /// How many signatures.
    #[serde(default, rename = "numSignatures")]
    #[schema(value_type = u32)]
    pub count: Given<i64>,
    /// SHA-256 values in base64; required under SCAL 2.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub hashes: Given<Vec<String>>,
    /// `2.16.840.1.101.3.4.2.1` (SHA-256).
    #[serde(default, rename = "hashAlgorithmOID")]
    #[schema(value_type = Option<String>)]
    pub hash_algorithm: Given<String>,
    /// Our addition, for SCAL 2: the hashes are documents' digests that `signDoc` will sign in this
    /// format (`C` or `P`); if absent, `signHash` signs them as they are. The owner approves either
    /// and nothing else.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub signature_format: Given<String>,
    /// How the owner authorises: `[{"id": "phone"}]` where `auth/objects` names it.
    #[serde(default, rename = "authData")]
    #[schema(value_type = Option<Vec<AuthObject>>)]
    pub auth_data: Given<Vec<AuthObject>>,
    /// What the signatures are for. Not kept.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub description: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

/// What `credentials/authorize` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorize {
    /// Which credential.
    pub credential: String,
    /// How many signatures.
    pub count: u64,
    /// Pinned hashes.
    pub hashes: Option<Vec<Digest32>>,
    /// In which format they are signed, if they are documents' digests.
    pub format: Option<SignatureFormat>,
    /// The authentication objects; `None` where the version has none.
    pub auth_data: Option<Vec<AuthObject>>,
}

impl AuthorizeV1 {
    /// What it means.
    pub fn read(self) -> Result<Authorize, Wrong> {
        let credential = self.credential.required("credentialID")?;
        let count = number(self.count)?;
        let hashes = self.hash.optional(Version::V1.hashes())?.map(digests).transpose()?;
        counted(count, hashes.as_deref())?;
        Ok(Authorize { credential, count, hashes, format: None, auth_data: None })
    }
}

impl AuthorizeV2 {
    /// What it means.
    pub fn read(self) -> Result<Authorize, Wrong> {
        let credential = self.credential.required("credentialID")?;
        let count = number(self.count)?;
        sha256(self.hash_algorithm.optional("hashAlgorithmOID")?, Version::V2)?;
        let hashes = self.hashes.optional(Version::V2.hashes())?.map(digests).transpose()?;
        counted(count, hashes.as_deref())?;
        let format = format(self.signature_format)?;
        let auth_data = Some(self.auth_data.optional("authData")?.unwrap_or_default());
        Ok(Authorize { credential, count, hashes, format, auth_data })
    }
}

fn format(letter: Given<String>) -> Result<Option<SignatureFormat>, Wrong> {
    let read =
        |letter: String| SignatureFormat::of(&letter).ok_or(Wrong::Invalid("signature_format"));
    letter.optional("signature_format")?.map(read).transpose()
}

fn number(count: Given<i64>) -> Result<u64, Wrong> {
    let count = count.required("numSignatures")?;
    if count < 1 { Err(Wrong::TooFew) } else { Ok(count.unsigned_abs()) }
}

/// Each pinned hash is one signature: a count that says otherwise is a mistake of the caller.
fn counted(count: u64, hashes: Option<&[Digest32]>) -> Result<(), Wrong> {
    match hashes {
        Some(hashes) if hashes.len() as u64 != count => Err(Wrong::HashCount),
        _ => Ok(()),
    }
}

/// `credentials/authorizeCheck`, version 2.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscAuthorizeCheckRequest, example = json!({"handle": "878287f37b2bf293"}))]
pub struct AuthorizeCheck {
    /// What `credentials/authorize` answered with 202.
    #[serde(default)]
    #[schema(value_type = String)]
    pub handle: Given<String>,
}

impl AuthorizeCheck {
    /// What it means.
    pub fn read(self) -> Result<String, Wrong> {
        self.handle.required("handle")
    }
}

/// `credentials/getChallenge`, version 2.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscGetChallengeRequest, example = json!({"credentialID": "00112233445566778899aabbccddeeff.statement", "authObjectID": "phone", "hashes": ["sTOgwOm+474gFj0q0x1iSNspKqbcse4IeiqlDg/HWuI="]}))]
pub struct GetChallenge {
    /// Which credential.
    #[serde(default, rename = "credentialID")]
    #[schema(value_type = String)]
    pub credential: Given<String>,
    /// `phone`.
    #[serde(default, rename = "authObjectID")]
    #[schema(value_type = String)]
    pub object: Given<String>,
    /// Our addition: the hashes that `credentials/authorize` will pin. The specification's request
    /// has none, and what the owner approves must name them.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub hashes: Given<Vec<String>>,
    /// Our addition: as in `credentials/authorize`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub signature_format: Given<String>,
}

/// What `credentials/getChallenge` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Which credential.
    pub credential: String,
    /// For which authentication object.
    pub object: String,
    /// For which hashes.
    pub hashes: Option<Vec<Digest32>>,
    /// In which format they are signed, if they are documents' digests.
    pub format: Option<SignatureFormat>,
}

impl GetChallenge {
    /// What it means.
    pub fn read(self) -> Result<Challenge, Wrong> {
        Ok(Challenge {
            credential: self.credential.required("credentialID")?,
            object: self.object.required("authObjectID")?,
            hashes: self.hashes.optional("hashes")?.map(digests).transpose()?,
            format: format(self.signature_format)?,
        })
    }
}

/// `credentials/extendTransaction`, version 1.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscExtendRequestV1, example = json!({"credentialID": "00112233445566778899aabbccddeeff.statement", "SAD": "…"}))]
pub struct ExtendV1 {
    /// Which credential.
    #[serde(default, rename = "credentialID")]
    #[schema(value_type = String)]
    pub credential: Given<String>,
    /// The hashes that the new SAD is for; required under SCAL 2.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub hash: Given<Vec<String>>,
    /// The present SAD; it ends.
    #[serde(default, rename = "SAD")]
    #[schema(value_type = String)]
    pub sad: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

/// `credentials/extendTransaction`, version 2.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscExtendRequestV2, example = json!({"credentialID": "00112233445566778899aabbccddeeff.statement", "SAD": "…"}))]
pub struct ExtendV2 {
    /// Which credential.
    #[serde(default, rename = "credentialID")]
    #[schema(value_type = String)]
    pub credential: Given<String>,
    /// The hashes that the new SAD is for; required under SCAL 2.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub hashes: Given<Vec<String>>,
    /// `2.16.840.1.101.3.4.2.1` (SHA-256).
    #[serde(default, rename = "hashAlgorithmOID")]
    #[schema(value_type = Option<String>)]
    pub hash_algorithm: Given<String>,
    /// The present SAD; it ends.
    #[serde(default, rename = "SAD")]
    #[schema(value_type = String)]
    pub sad: Given<String>,
    /// Ignored.
    #[serde(default, rename = "clientData")]
    #[schema(value_type = Option<String>)]
    pub client_data: Given<String>,
}

/// What `credentials/extendTransaction` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extend {
    /// Which credential.
    pub credential: String,
    /// The present SAD.
    pub sad: String,
    /// Pinned hashes.
    pub hashes: Option<Vec<Digest32>>,
}

impl ExtendV1 {
    /// What it means.
    pub fn read(self) -> Result<Extend, Wrong> {
        Ok(Extend {
            credential: self.credential.required("credentialID")?,
            sad: self.sad.required("SAD")?,
            hashes: self.hash.optional(Version::V1.hashes())?.map(digests).transpose()?,
        })
    }
}

impl ExtendV2 {
    /// What it means.
    pub fn read(self) -> Result<Extend, Wrong> {
        sha256(self.hash_algorithm.optional("hashAlgorithmOID")?, Version::V2)?;
        Ok(Extend {
            credential: self.credential.required("credentialID")?,
            sad: self.sad.required("SAD")?,
            hashes: self.hashes.optional(Version::V2.hashes())?.map(digests).transpose()?,
        })
    }
}
