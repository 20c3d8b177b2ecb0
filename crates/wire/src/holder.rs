//! What the owner's page (`/me`) and a new phone (`/n`) ask and are answered.

use hpki::id::TokenId;
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Base64;

/// What the owner's phone shows and signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OwnerAskAnswer {
    /// The statement with its `type`, as the challenge is computed from it.
    #[schema(value_type = Object)]
    pub statement: serde_json::Value,
    /// PublicKeyCredentialRequestOptionsJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
}

/// A browser opens the owner's page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SigninBeginRequest {}

/// What she is asked to sign in with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SigninBeginAnswer {
    /// Names this sign-in; two minutes, once.
    pub signin: String,
    /// 本人ID, where the browser is that of a linked phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person_display: Option<String>,
    /// The statement behind the challenge.
    #[schema(value_type = Object)]
    pub statement: serde_json::Value,
    /// PublicKeyCredentialRequestOptionsJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
}

/// Her passkey's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SigninFinishRequest {
    /// The sign-in.
    pub signin: String,
    /// AuthenticationResponseJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub credential: serde_json::Value,
}

/// She is signed in; the cookie came with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SigninAnswer {
    /// What her page sends as `X-Azukari-CSRF`.
    pub csrf: String,
    /// Until when at most.
    #[schema(value_type = u64)]
    pub until: Timestamp,
}

/// What her page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderState {
    /// What her page sends as `X-Azukari-CSRF`.
    pub csrf: String,
    /// Now, by the platform's clock.
    #[schema(value_type = u64)]
    pub now: Timestamp,
    /// Until when she is signed in at most.
    #[schema(value_type = u64)]
    pub until: Timestamp,
    /// Her card.
    pub card: CardFace,
    /// Her key.
    pub key: KeyStanding,
    /// Her phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<PhoneStanding>,
    /// Her My Number Card, where one is linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub my_number_card: Option<LinkedCardStanding>,
    /// By which means she is signed in: `phone`, `hpki` or `jpki`. What matters is approved on the
    /// phone; whoever came by card sees, and ends sessions.
    pub means: String,
    /// What may be signed now, and where; the newest first.
    pub sessions: Vec<HolderSession>,
    /// What happened, the newest first.
    pub notices: Vec<HolderNotice>,
}

/// The face of her card (デジタル資格証).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardFace {
    /// 本人ID
    pub display_id: String,
    /// Her name in romaji, as certified.
    pub name: String,
    /// Her name in kanji, where the certificate has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_ja: Option<String>,
    /// Her qualification in Japanese.
    pub qualification: String,
    /// The same in English.
    pub qualification_en: String,
    /// The authority that certified her, in Japanese.
    pub authority: String,
    /// Registration number, as certified.
    pub number: String,
    /// Until when the certificate is valid.
    #[schema(value_type = u64)]
    pub expires: Timestamp,
    /// Her photograph, if she gave one: a PNG or JPEG file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub photo: Option<Base64>,
}

/// Her kept key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyStanding {
    /// Whether it can be used.
    pub usable: bool,
    /// What stops it: `owner`, `desk`, `revoked`, `expired`, `self-check`.
    pub stops: Vec<String>,
    /// Whether she can start it again herself.
    pub restartable: bool,
}

/// Her linked phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PhoneStanding {
    /// What she calls it.
    pub label: String,
    /// Since when it is linked.
    #[schema(value_type = u64)]
    pub linked: Timestamp,
    /// The terms that she agreed to then: SHA-256 of the Japanese text, base64url, as `/terms` lists it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
}

/// A linked My Number Card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkedCardStanding {
    /// Since when.
    #[schema(value_type = u64)]
    pub linked: Timestamp,
    /// Until when its certificate is valid; a renewed card is linked again.
    #[schema(value_type = u64)]
    pub expires: Timestamp,
}

/// One authentication of hers at one institution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderSession {
    /// Its name.
    #[schema(value_type = String)]
    pub session: TokenId,
    /// The institution.
    pub facility: String,
    /// The terminal where it began.
    pub terminal: String,
    /// By which means: `phone`.
    pub means: String,
    /// Which kinds it allows.
    #[schema(value_type = Vec<String>)]
    pub kinds: Vec<DocumentKind>,
    /// Since when.
    #[schema(value_type = u64)]
    pub since: Timestamp,
    /// Until when.
    #[schema(value_type = u64)]
    pub until: Timestamp,
    /// How many signatures were made.
    pub made: u64,
    /// How many may be made in all.
    pub count: u64,
}

/// Something that happened to her key or phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderNotice {
    /// Its number.
    pub number: u64,
    /// When.
    #[schema(value_type = u64)]
    pub at: Timestamp,
    /// What: `phone-linked`, `session-opened`, …
    pub kind: String,
    /// Where or which; may be empty.
    pub detail: String,
    /// Whether she has seen it.
    pub seen: bool,
}

/// She has read the notices up to this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoticesSeenRequest {
    /// The number of the newest.
    pub number: u64,
}

/// She ends a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HolderEndRequest {
    /// Which.
    #[schema(value_type = String)]
    pub session: TokenId,
}

/// What she wants to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OwnersActName {
    /// Stop her key.
    Stop,
    /// Start it again.
    Restart,
    /// Her phone is lost.
    Loss,
    /// An entry of the journal was not her doing.
    Dispute,
}

/// She begins to decide something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnerActRequest {
    /// What.
    pub act: OwnersActName,
    /// The journal's entry that a dispute is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
}

/// Her passkey's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnerAnswerRequest {
    /// AuthenticationResponseJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub credential: serde_json::Value,
}

/// It is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DoneAnswer {
    /// Always true.
    pub done: bool,
}

/// Which part of her history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HolderHistoryRequest {
    /// Entries before this one; the newest if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// An entry of the journal about her key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderEntry {
    /// Where it stands in the journal.
    pub index: u64,
    /// Its number among those of her key.
    pub seq: u64,
    /// When.
    #[schema(value_type = u64)]
    pub at: Timestamp,
    /// What happened.
    pub event: String,
    /// The same in Japanese.
    pub event_ja: String,
    /// The institution, by its registered name where she has been there, else by its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    /// The kind of document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub kind: Option<DocumentKind>,
    /// When she said that it was not her.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub disputed: Option<Timestamp>,
}

/// A page of her history, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderHistory {
    /// The entries.
    pub entries: Vec<HolderEntry>,
    /// Where the next page begins; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// The old phone begins a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeBeginAnswer {
    /// The text of the QR code for the new phone.
    pub qr: String,
    /// The QR code as an image (SVG).
    pub svg: String,
    /// Until when the change must be done.
    #[schema(value_type = u64)]
    pub until: Timestamp,
}

/// The new phone has scanned it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeOpenRequest {
    /// From the QR.
    pub sheet: String,
    /// From the QR's fragment.
    pub secret: String,
}

/// What the new phone makes its passkey for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeOpenAnswer {
    /// The sitting of the new phone.
    pub session: String,
    /// 本人ID
    pub person_display: String,
    /// The statement behind the challenge.
    #[schema(value_type = Object)]
    pub statement: serde_json::Value,
    /// PublicKeyCredentialCreationOptionsJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
}

/// The new phone's passkey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeOfferRequest {
    /// The sitting.
    pub session: String,
    /// RegistrationResponseJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub credential: serde_json::Value,
    /// What the owner calls the phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// The old phone has to approve it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeOfferAnswer {
    /// Eight characters that both phones show.
    pub code: String,
}

/// The new phone asks how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeStandRequest {
    /// The sitting.
    pub session: String,
}

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeStep {
    /// The QR is shown.
    Shown,
    /// A phone has scanned it.
    Opened,
    /// It has made its passkey; the old phone has to approve.
    Offered,
    /// The new phone is linked, the old one is not.
    Done,
    /// She said no.
    Refused,
    /// Too late.
    Expired,
}

/// How the change stands, for the new phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeStandAnswer {
    /// How far.
    pub step: ChangeStep,
    /// The key of the stream in which the journal tells of her key, once the phone is linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_key: Option<Base64>,
}

/// How the change stands, for the old phone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangeState {
    /// How far.
    pub step: ChangeStep,
    /// Eight characters that both phones show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the new phone is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What the old phone is asked to approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<OwnerAskAnswer>,
}

/// What the QR on her card holds at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardCodeAnswer {
    /// The text of the QR code.
    pub qr: String,
    /// The QR code as an image (SVG).
    pub svg: String,
    /// Until when it can be checked.
    #[schema(value_type = u64)]
    pub until: Timestamp,
}

/// Another phone checks the QR on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardCheckRequest {
    /// From the QR's fragment.
    pub code: String,
}

/// Whose card it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardCheckAnswer {
    /// The card.
    pub card: CardFace,
    /// Whether its certificate is in force now.
    pub valid: bool,
    /// When this was checked.
    #[schema(value_type = u64)]
    pub at: Timestamp,
}
