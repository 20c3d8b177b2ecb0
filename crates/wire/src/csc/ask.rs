//! What applications send. The two versions name some members differently; `read` gives what
//! either means, or the parameter that is wrong.

mod authorize;
mod credential;
mod document;
mod revoke;
mod sign;

pub use authorize::*;
pub use credential::*;
pub use document::*;
use hpki::encoding::Digest32;
pub use revoke::*;
use serde::Deserialize;
pub use sign::*;
use utoipa::ToSchema;

use super::{Given, SHA256, Version, Wrong};
use crate::token::base64_decode;

/// `info`, either version.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CscInfoRequest, example = json!({}))]
pub struct Info {
    /// The language that is preferred (RFC 5646).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub lang: Given<String>,
}

fn sha256(algorithm: Option<String>, version: Version) -> Result<(), Wrong> {
    match algorithm.as_deref() {
        None | Some(SHA256) => Ok(()),
        Some(_) => Err(Wrong::Invalid(version.hash_algorithm())),
    }
}

fn digests(hashes: Vec<String>) -> Result<Vec<Digest32>, Wrong> {
    if hashes.is_empty() {
        return Err(Wrong::NoHash);
    }
    let digest = |hash: &String| {
        let octets = base64_decode(hash).ok_or(Wrong::HashNotBase64)?;
        Digest32::try_from(octets).map_err(|_| Wrong::HashLength)
    };
    hashes.iter().map(digest).collect()
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
