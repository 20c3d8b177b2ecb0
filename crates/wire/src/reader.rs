//! A card in a reader: at a terminal of an institution, or at home.
//!
//! The certificate is sent first, so that what the card is asked to sign names its holder and key.
//! The host computes the challenge from the statement itself, compares what stands in it with what
//! it asked for, and only then lets the card sign.

use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Base64, CeremonyStep};

/// A card is in the terminal's reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardAskRequest {
    /// `hpki` or `jpki`.
    #[schema(example = "hpki")]
    pub means: String,
    /// Its authentication certificate, DER.
    pub certificate: Base64,
}

/// What the card is asked to sign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CardAskAnswer {
    /// `session` (daily authentication) or `documents` (approval per document).
    #[serde(rename = "type")]
    #[schema(example = "session")]
    pub statement_type: String,
    /// The statement behind the challenge.
    #[schema(value_type = Object)]
    pub statement: serde_json::Value,
    /// 32 octets, which the card signs with SHA-256 and PKCS#1 v1.5.
    pub challenge: Base64,
    /// Until when the answer is taken.
    #[schema(value_type = u64)]
    pub until: Timestamp,
}

/// The card's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardAnswerRequest {
    /// Its signature over the 32 octets of the challenge.
    pub signature: Base64,
}

/// The card's answer holds. The token is fetched as after a phone's approval; no digits are asked
/// for, because the card was in this very terminal's reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardAnswerAnswer {
    /// Always true.
    pub approved: bool,
}

/// What the holder of a card wants, at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CardActName {
    /// To see her page in a browser.
    Signin,
    /// Her phone is lost, or not hers alone any more.
    Loss,
    /// To stop her key.
    Stop,
    /// To start it again.
    Restart,
    /// A registration sheet on the screen, for a new phone.
    Sheet,
    /// To link a My Number Card by her HPKI card.
    LinkJpki,
    /// To end the linking of her My Number Card.
    UnlinkJpki,
}

/// A card is in the reader of a computer anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardBeginRequest {
    /// `hpki` or `jpki`.
    #[schema(example = "hpki")]
    pub means: String,
    /// Its authentication certificate, DER.
    pub certificate: Base64,
    /// What she wants.
    pub act: CardActName,
    /// For `link-jpki`: the user authentication certificate of the My Number Card, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Base64>,
}

/// What the card is asked to sign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CardBeginAnswer {
    /// Names the question; it is answered once.
    pub visit: String,
    /// The statement with its `type`, as the challenge is computed from it.
    #[schema(value_type = Object)]
    pub statement: serde_json::Value,
    /// 32 octets, which the card signs with SHA-256 and PKCS#1 v1.5.
    pub challenge: Base64,
    /// Until when the answer is taken.
    #[schema(value_type = u64)]
    pub until: Timestamp,
}

/// The card's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardFinishRequest {
    /// The question.
    pub visit: String,
    /// The card's signature over the 32 octets of the challenge.
    pub signature: Base64,
    /// For `link-jpki`: the My Number Card's signature over the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_signature: Option<Base64>,
}

/// It was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardFinishAnswer {
    /// Always true.
    pub done: bool,
    /// `signin`: the address of her page, good for a minute and once. `sheet`: what the new phone
    /// scans as a QR code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Until when that address is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub until: Option<Timestamp>,
}

/// A card claims the QR code of a login, by its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardClaimRequest {
    /// Which login: the second part of the address's fragment.
    pub ceremony: String,
    /// The secret: its third part.
    pub secret: String,
    /// `hpki` or `jpki`.
    #[schema(example = "hpki")]
    pub means: String,
    /// The card's authentication certificate, DER.
    pub certificate: Base64,
}

/// The card approves the login that it claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardApproveRequest {
    /// Which login.
    pub ceremony: String,
    /// The secret of its address.
    pub secret: String,
    /// `hpki` or `jpki`.
    #[schema(example = "hpki")]
    pub means: String,
    /// The card's authentication certificate, DER.
    pub certificate: Base64,
    /// The card's signature over the 32 octets of the challenge.
    pub signature: Base64,
}

/// It was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardApproveAnswer {
    /// Always true.
    pub approved: bool,
    /// Three digits, to be typed in the browser that logs in.
    pub number: String,
}

/// A My Number Card is to be linked, by its holder's phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardLinkBeginRequest {
    /// The user authentication certificate of the My Number Card, DER.
    pub certificate: Base64,
}

/// What the phone is to scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardLinkBeginAnswer {
    /// Which linking.
    pub linking: String,
    /// What proves that the same program asks again; it is not in the QR code.
    pub secret: String,
    /// The text of the QR code.
    pub qr: String,
    /// Until when a phone can claim it.
    #[schema(value_type = u64)]
    pub until: Timestamp,
}

/// How far is it?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardLinkStateRequest {
    /// Which linking.
    pub linking: String,
    /// The program's secret.
    pub secret: String,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CardLinkStateAnswer {
    /// `waiting`, `claimed`, `number` (approved on the phone: the card and the digits are next),
    /// `refused` or `expired`.
    pub state: CeremonyStep,
    /// Once a phone has claimed it: what both proofs are about, with its `type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub statement: Option<serde_json::Value>,
    /// 32 octets, which the card signs with SHA-256 and PKCS#1 v1.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Base64>,
}

/// The digits of the phone, and the card's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardLinkFinishRequest {
    /// Which linking.
    pub linking: String,
    /// The program's secret.
    pub secret: String,
    /// Three digits, which the phone shows.
    pub number: String,
    /// The My Number Card's signature over the 32 octets of the challenge.
    pub signature: Base64,
}

/// A browser brings the one-time address that a card opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardTicketRequest {
    /// What stood in the fragment.
    pub ticket: String,
}
