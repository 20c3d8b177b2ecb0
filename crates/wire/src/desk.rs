//! The authority's desk, as its page speaks with the platform.

use hpki::id::{CeremonyId, DeskOrderId, FacilityCode, KeyId, OfficerId, PersonId, TokenId};
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An invited person opens her invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskEnrolBegin {
    /// The invitation, from its address.
    pub invitation: String,
    /// Its secret.
    pub secret: String,
}

/// Her passkey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskEnrolFinish {
    /// The invitation, from its address.
    pub invitation: String,
    /// Its secret.
    pub secret: String,
    /// RegistrationResponseJSON (WebAuthn Level 3).
    pub credential: Value,
}

/// What a browser shows and signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeskAsked {
    /// For signing in: names the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceremony: Option<CeremonyId>,
    /// The statement behind the challenge; the page recomputes it from what it displays.
    pub statement: Value,
    /// The options of `create()` or `get()` (WebAuthn Level 3).
    pub options: Value,
}

/// An officer signs in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskSigninFinish {
    /// The question.
    pub ceremony: String,
    /// AuthenticationResponseJSON (WebAuthn Level 3).
    pub credential: Value,
}

/// Who is at the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskOfficerAnswer {
    /// Her number.
    pub officer: OfficerId,
    /// Her name.
    pub name: String,
    /// What the page sends as `X-Azukari-CSRF`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
}

/// The desk as its page begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskState {
    /// Who is signed in.
    pub officer: DeskOfficerAnswer,
    /// What waits for a second officer.
    pub waiting: Vec<DeskActAnswer>,
    /// The names of those in office.
    pub officers: Vec<String>,
}

/// Who is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskFind {
    /// 本人ID, or the number of a person or key.
    pub text: String,
}

/// Who was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskFound {
    /// One for each key.
    pub holders: Vec<DeskHolder>,
}

/// A holder's key, its means and what goes on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskHolder {
    /// 本人ID
    pub display_id: String,
    /// Who.
    pub person: PersonId,
    /// Which key.
    pub key: KeyId,
    /// As in the certificate.
    pub name: Option<String>,
    /// The qualification, in Japanese.
    pub qualification: Option<String>,
    /// The end of the certificate.
    pub not_after: Option<Timestamp>,
    /// `held`, `suspended`, …
    pub state: String,
    /// Who or what stopped the key.
    pub stops: Vec<String>,
    /// What she calls her phone, if one is linked.
    pub phone_label: Option<String>,
    /// Since when it is.
    pub phone_linked: Option<Timestamp>,
    /// Whether its passkey may be on her other devices too.
    pub phone_synced: bool,
    /// How far the newest sheet is.
    pub sheet: String,
    /// Until when it can be used.
    pub sheet_until: Timestamp,
    /// Live sessions.
    pub sessions: Vec<DeskSession>,
    /// What the owner disowned, the newest first.
    pub disputes: Vec<DeskDispute>,
    /// What the desk decided about it, the newest first.
    pub acts: Vec<DeskActAnswer>,
}

/// An entry of the journal that its owner disowned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskDispute {
    /// Where it stands in the journal.
    pub index: u64,
    /// When she said so.
    pub said: Timestamp,
    /// When it happened.
    pub at: Timestamp,
    /// What, as in the journal, in Japanese.
    pub event: String,
    /// The institution, if it was at one.
    pub facility: Option<String>,
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskSession {
    /// Its name.
    pub session: TokenId,
    /// The institution.
    pub facility: FacilityCode,
    /// Its name.
    pub facility_name: String,
    /// The terminal.
    pub terminal: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// An act of the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskActAnswer {
    /// Its number.
    pub order: DeskOrderId,
    /// `loss`, `suspend`, `resume`, `sheet`, `session`
    pub act: String,
    /// 本人ID
    pub display_id: String,
    /// The key.
    pub key: KeyId,
    /// Why.
    pub reason: String,
    /// When it was opened.
    pub opened: Timestamp,
    /// Until when the second officer may confirm it.
    pub until: Timestamp,
    /// Who approved it, in order.
    pub officers: Vec<String>,
    /// Whether the asking officer approved it herself.
    pub own: bool,
    /// Empty while it waits; `decided`, `done`, or the code of a refusal.
    pub outcome: String,
}

/// An officer wants to act: a new act, or another's to confirm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum DeskActBegin {
    /// A new act.
    New {
        /// `loss`, `suspend`, `resume`, `sheet`, `session`
        act: String,
        /// To which key.
        key: KeyId,
        /// Why.
        reason: String,
        /// Which session, where the act is about one.
        #[serde(default)]
        session: Option<TokenId>,
    },
    /// The act that another officer opened.
    Confirm {
        /// Which.
        order: DeskOrderId,
    },
}

/// Her passkey's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskActFinish {
    /// AuthenticationResponseJSON (WebAuthn Level 3).
    pub credential: Value,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskActDone {
    /// The act as it stands now.
    pub act: DeskActAnswer,
    /// How many sessions were ended by it.
    pub ended: usize,
    /// The sheet, to be printed now: it is shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<DeskSheet>,
}

/// A sheet to be printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskSheet {
    /// What the QR holds.
    pub url: String,
    /// 本人ID
    pub display_id: String,
    /// The holder's name, as in the certificate.
    pub name: Option<String>,
    /// Until when it can be used.
    pub expires: Timestamp,
    /// The side of the QR code in modules, its quiet zone included.
    pub qr_side: usize,
    /// The dark modules as an SVG path.
    pub qr_path: String,
    /// Whom the holder asks.
    pub contact: String,
}

impl std::fmt::Debug for DeskSheet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeskSheet").field("display_id", &self.display_id).finish_non_exhaustive()
    }
}
