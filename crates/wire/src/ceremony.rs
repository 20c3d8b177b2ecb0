//! The morning's authentication as a facility sees it: it starts one, shows the QR, waits, and
//! receives the token over the same client certificate.

use hpki::id::{CeremonyId, KeyId, PersonId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The terminal at which the person stands; shown on her phone and signed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terminal {
    /// The facility's own name for it, stable.
    pub id: String,
    /// What people call it, e.g. 第2診察室.
    pub label: String,
}

/// `POST /v1/ceremonies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Where.
    pub terminal: Terminal,
    /// Who, if the staff member has authenticated here before; another person is then refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expected_person: Option<PersonId>,
    /// The kinds of document to be allowed.
    #[schema(value_type = Vec<String>)]
    pub kinds: Vec<DocumentKind>,
    /// How many signatures to allow.
    pub count: u32,
    /// For how long, in hours from now (at most 18).
    pub hours: u32,
}

/// The answer to [`StartRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartAnswer {
    /// The ceremony's id.
    #[schema(value_type = String)]
    pub ceremony: CeremonyId,
    /// What the QR holds: `https://host/q#1.<id>.<secret>`.
    pub qr: String,
    /// Until when the QR can be claimed.
    #[serde(with = "crate::time_text")]
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
}

/// How far a ceremony is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CeremonyStage {
    /// The QR is shown and nobody has claimed it.
    Waiting,
    /// A phone has claimed it and its owner is reading.
    Claimed,
    /// Approved; the three digits on the phone must be typed at the terminal.
    Number,
    /// Approved; the token is being made.
    Approved,
    /// The token is in this answer.
    Released,
    /// The owner refused, or the digits were wrong three times.
    Refused,
    /// Too late.
    Expired,
}

/// By what a person authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Means {
    /// A linked phone (FIDO2).
    Phone,
    /// The HPKI card.
    Hpki,
    /// My Number Card (JPKI).
    Jpki,
}

impl Means {
    /// The authentication context class in tokens.
    pub const fn acr(self) -> &'static str {
        match self {
            Self::Phone => "urn:azukari:acr:phone",
            Self::Hpki => "urn:azukari:acr:hpki",
            Self::Jpki => "urn:azukari:acr:jpki",
        }
    }
}

/// A released token and what it allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenAnswer {
    /// The token (RFC 9068), usable only over the client certificate that began the ceremony.
    pub token: String,
    /// Until when.
    #[serde(with = "crate::time_text")]
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
    /// Whose it is.
    #[schema(value_type = String)]
    pub person: PersonId,
    /// The kept key that it opens (the credential id for other clients).
    #[schema(value_type = String)]
    pub key: KeyId,
    /// The kinds of document allowed.
    #[schema(value_type = Vec<String>)]
    pub kinds: Vec<DocumentKind>,
    /// How many signatures are allowed.
    pub count: u32,
    /// By what the person authenticated.
    pub means: Means,
}

/// `GET /v1/ceremonies/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CeremonyState {
    /// How far it is.
    pub state: CeremonyStage,
    /// The token, once `state` is `released`; answered only to the certificate that began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenAnswer>,
}

/// `POST /v1/ceremonies/{id}/number`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberRequest {
    /// The three digits that the phone shows.
    pub number: String,
}

/// The answer to `POST /v1/sessions/end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndAnswer {
    /// True: the budget is closed, and no further signature can be drawn from it.
    pub ended: bool,
}
