//! The phone's own calls. WebAuthn options and responses travel as the JSON that browsers make and
//! read (WebAuthn Level 3 §5.1.8 ff.); `approval` is the room that understands them.

use hpki::id::{CeremonyId, SessionId, SheetId};
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// `POST /phone/link/open`: the sheet that came by post, and its secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkOpenRequest {
    /// The sheet's number, from the QR.
    #[schema(value_type = String)]
    pub sheet: SheetId,
    /// Its secret, from the QR's fragment (base64url).
    pub secret: String,
}

/// The answer: one sitting, 15 minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkOpenAnswer {
    /// The sitting.
    #[schema(value_type = String)]
    pub session: SessionId,
    /// Until when it can be finished.
    #[serde(with = "crate::time_text")]
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
}

/// `POST /phone/link/birth`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkBirthRequest {
    /// The sitting.
    #[schema(value_type = String)]
    pub session: SessionId,
    /// `YYYYMMDD`.
    pub birth_date: String,
}

/// The answer: what will be signed over, and the options for `navigator.credentials.create`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LinkBirthAnswer {
    /// 本人ID, to be compared with the letter.
    pub person_display: String,
    /// The fields of the challenge; the page recomputes the challenge from what it displays.
    #[schema(value_type = Object)]
    pub statement: Value,
    /// PublicKeyCredentialCreationOptionsJSON.
    #[schema(value_type = Object)]
    pub options: Value,
}

/// `POST /phone/link/finish`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkFinishRequest {
    /// The sitting.
    #[schema(value_type = String)]
    pub session: SessionId,
    /// RegistrationResponseJSON.
    #[schema(value_type = Object)]
    pub credential: Value,
}

/// The answer: linked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkFinishAnswer {
    /// True.
    pub linked: bool,
    /// The device's secret, kept by the page as a cookie; it says who is asked, it proves nothing.
    pub device: String,
}

/// `POST /phone/session/claim`: the QR of a terminal.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionClaimRequest {
    /// The ceremony, from the QR.
    #[schema(value_type = String)]
    pub ceremony: CeremonyId,
    /// Its secret, from the QR's fragment (base64url).
    pub secret: String,
    /// The device's secret from linking.
    pub device: String,
}

/// The answer: what is asked, and the options for `navigator.credentials.get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionClaimAnswer {
    /// The fields of the challenge: place, terminal, kinds, count, until, head of the key's history.
    #[schema(value_type = Object)]
    pub statement: Value,
    /// PublicKeyCredentialRequestOptionsJSON.
    #[schema(value_type = Object)]
    pub options: Value,
}

/// `POST /phone/session/approve`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionApproveRequest {
    /// The ceremony.
    #[schema(value_type = String)]
    pub ceremony: CeremonyId,
    /// AuthenticationResponseJSON.
    #[schema(value_type = Object)]
    pub credential: Value,
}

/// The answer: approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionApproveAnswer {
    /// True.
    pub approved: bool,
    /// Three digits to be typed at the terminal, when the place is new to this person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

/// `POST /phone/session/refuse`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRefuseRequest {
    /// The ceremony.
    #[schema(value_type = String)]
    pub ceremony: CeremonyId,
    /// The secret with which it was claimed.
    pub secret: String,
}

/// The answer: refused, and the terminal is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionRefuseAnswer {
    /// True.
    pub refused: bool,
}
