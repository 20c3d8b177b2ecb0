//! Web Authentication Level 3, the narrow profile that we accept, verified on AWS-LC.
//!
//! | checked | registration (§7.1) | assertion (§7.2) |
//! |---|---|---|
//! | type, challenge, origin, no foreign frame | yes | yes |
//! | relying party hash, user present, user verified | yes | yes |
//! | backed up only if eligible; eligibility never changes | yes | yes |
//! | public key: ES256, RS256, Ed25519 | to be linked | also ES384, ES512 |
//! | signature; counter rising unless both are zero | – | yes |
//! | attestation | `none`, `packed`; others reported as not evaluated | – |
//!
//! A phone is believed because the person proved the sheet, not because its maker says so. An
//! operator who also wants to know the maker lists whom he accepts ([`makers`]).

mod assertion;
pub mod attestation;
pub mod auth_data;
mod cbor;
pub mod client_data;
pub mod cose;
pub mod makers;
#[cfg(test)]
mod refusals;
mod registration;
#[cfg(test)]
mod vectors;

use serde::{Deserialize, Serialize};

pub(crate) use assertion::assertion_of_a_stranger;
pub use assertion::{AssertionOutcome, AssertionResponse, assertion};
pub use attestation::Attestation;
pub use cose::Algorithm;
pub use makers::{Aaguid, Maker, Makers};
pub use registration::{RegistrationResponse, registration};

/// Who we are to an authenticator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelyingParty {
    /// The relying party identifier: a domain name.
    pub rp_id: String,
    /// The origins of our own pages, e.g. `https://id.example.jp`.
    pub origins: Vec<String>,
}

/// A registered credential: the public half of what the phone holds, and what we last heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    /// Its identifier.
    #[serde(with = "crate::b64")]
    pub id: Vec<u8>,
    /// Its public key, as the authenticator gave it (COSE_Key).
    #[serde(with = "crate::b64")]
    pub cose: Vec<u8>,
    /// The COSE algorithm number.
    pub algorithm: i64,
    /// The user handle it was made for.
    #[serde(with = "crate::b64")]
    pub user_handle: Vec<u8>,
    /// The last signature counter; synced passkeys stay at zero.
    pub sign_count: u32,
    /// Whether it may be backed up to other devices (BE); never changes.
    pub backup_eligible: bool,
    /// Whether it is backed up (BS), as of the last use.
    pub backup_state: bool,
    /// What the attestation said.
    pub attestation: Attestation,
}

/// What may be relaxed, by the published vectors only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profile {
    pub(crate) user_verified: bool,
    pub(crate) same_origin: bool,
    pub(crate) any_algorithm: bool,
}

/// The one profile in use.
pub(crate) const STRICT: Profile =
    Profile { user_verified: true, same_origin: true, any_algorithm: false };
