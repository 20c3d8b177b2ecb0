//! What the platform and the outside world have agreed (外部との取り決め): the shapes of requests
//! and answers, the form of the token, the paths, and the table of refusals with its advice.
//!
//! This room holds formats and no logic: it signs nothing, checks no signature, knows no HTTP
//! library and reads no clock. A request refuses members it does not know, so that a misspelt
//! allowance is never silently ignored; an answer may grow, so its readers must not.
//!
//! Start reading at [`signature`] (the call that everything else serves), then [`token`] and
//! [`refusal`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod ceremony;
pub mod journal;
pub mod jws;
pub mod octets;
pub mod openapi;
pub mod path;
pub mod phone;
pub mod place;
pub mod refusal;
pub mod signature;
pub mod time_text;
pub mod token;

pub use ceremony::{
    CeremonyStage, CeremonyState, EndAnswer, Means, NumberRequest, StartAnswer, StartRequest,
    Terminal, TokenAnswer,
};
pub use journal::{CheckpointAnswer, ConsistencyAnswer};
pub use octets::{Base64, Base64Url, Sha256Base64, Sha256Base64Url};
pub use phone::{
    LinkBirthAnswer, LinkBirthRequest, LinkFinishAnswer, LinkFinishRequest, LinkOpenAnswer,
    LinkOpenRequest, SessionApproveAnswer, SessionApproveRequest, SessionClaimAnswer,
    SessionClaimRequest, SessionRefuseAnswer, SessionRefuseRequest,
};
pub use place::FacilityAnswer;
pub use refusal::Problem;
pub use signature::{DigestAlgorithm, DocumentDigest, SignAnswer, SignRequest};
pub use token::{Claims, Confirmation, Grant, Jwk, Jwks};
