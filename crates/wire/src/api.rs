//! The shapes that travel between gateway, platform and phone. Requests refuse unknown members, so
//! a misspelt one is noticed instead of ignored.

use hpki::encoding::Digest32;
use hpki::id::{CeremonyId, FacilityCode, KeyId, OrderNumber, PersonId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Standard base64 with padding (RFC 4648 §4), as a JSON string.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = Byte)]
pub struct Base64(pub Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::token::base64_encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        crate::token::base64_decode(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not base64 (RFC 4648 §4, padded)"))
    }
}

/// The digest of what will be signed. Only SHA-256 is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DigestValue {
    /// `sha256`
    #[schema(example = "sha256")]
    pub algorithm: String,
    /// 32 octets in base64.
    pub value: Base64,
}

impl DigestValue {
    /// The wire form of a SHA-256 value.
    pub fn sha256(digest: &Digest32) -> Self {
        Self { algorithm: "sha256".into(), value: Base64(digest.to_vec()) }
    }

    /// The 32 octets, if the algorithm is SHA-256 and the length is right.
    pub fn octets(&self) -> Option<Digest32> {
        if self.algorithm == "sha256" { self.value.0.as_slice().try_into().ok() } else { None }
    }
}

/// One thing to sign. The document itself never travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignRequest {
    /// Order number (UUIDv7), chosen and stored by the gateway before sending. A retry uses it again.
    #[schema(value_type = String, example = "019aa4a5-7d00-7c3e-9a54-3d1f0a1b2c3d")]
    pub order: OrderNumber,
    /// `prescription` or `dispensing`: bound into the reference URI of the signature.
    #[schema(value_type = String, example = "prescription")]
    pub kind: DocumentKind,
    /// SHA-256 over inclusive C14N 1.0 of the element that is signed.
    pub digest: DigestValue,
}

/// The signature element and the proof that it is in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignAnswer {
    /// The order that is answered.
    #[schema(value_type = String)]
    pub order: OrderNumber,
    /// The kind that was signed.
    #[schema(value_type = String)]
    pub kind: DocumentKind,
    /// The whole `ds:Signature` element (XAdES-BES, UTF-8) in base64.
    pub signature: Base64,
    /// The signer's certificate, DER in base64.
    pub certificate: Base64,
    /// SigningTime as custody set it, seconds since 1970.
    #[schema(value_type = u64)]
    pub signing_time: Timestamp,
    /// Position of the outcome in the journal.
    pub index: u64,
    /// Proof of the outcome (`c2sp.org/tlog-proof@v1`) under a signed checkpoint.
    pub proof: String,
    /// How many signatures the budget still allows.
    pub left: u64,
}

/// A registered terminal of the facility, as the facility calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terminal {
    /// Identifier in the facility.
    pub id: String,
    /// What people call it; shown on the phone.
    pub label: String,
}

/// A terminal asks for a person's authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Where.
    pub terminal: Terminal,
    /// Who is logged in to the EHR there, if the facility knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expected_person: Option<PersonId>,
    /// Which kinds of document are to be allowed.
    #[schema(value_type = Vec<String>)]
    pub kinds: Vec<DocumentKind>,
    /// How many signatures are asked for.
    pub count: u64,
    /// For how many hours from the authentication (at most 18).
    pub hours: u64,
}

/// What the terminal shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartAnswer {
    /// The ceremony that began.
    #[schema(value_type = String)]
    pub ceremony: CeremonyId,
    /// The text of the QR code.
    pub qr: String,
    /// Until when the QR can be claimed.
    #[schema(value_type = u64)]
    pub until: Timestamp,
}

/// Where a ceremony stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CeremonyStep {
    /// The QR is shown; no phone has claimed it.
    Waiting,
    /// A phone shows the statement to its owner.
    Claimed,
    /// Approved; the number that the phone shows must be typed at the terminal.
    Number,
    /// Approved; the budget is being opened.
    Approved,
    /// The token is here.
    Released,
    /// The owner said no.
    Refused,
    /// Too late.
    Expired,
}

/// The state of a ceremony, for the certificate that began it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CeremonyState {
    /// Where it stands.
    pub state: CeremonyStep,
    /// The token, once released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenAnswer>,
}

/// A token and what it allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenAnswer {
    /// The access token (RFC 9068), bound to the facility's client certificate.
    pub token: String,
    /// Until when, seconds since 1970.
    #[schema(value_type = u64)]
    pub until: Timestamp,
    /// Whose.
    #[schema(value_type = String)]
    pub person: PersonId,
    /// The kept key that it opens (credential id).
    #[schema(value_type = String)]
    pub key: KeyId,
    /// Kinds that it allows.
    #[schema(value_type = Vec<String>)]
    pub kinds: Vec<DocumentKind>,
    /// How many signatures it allows in all.
    pub count: u64,
    /// `phone`, `hpki` or `jpki`.
    pub means: String,
}

/// The three digits that the phone shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberRequest {
    /// Three digits.
    #[schema(example = "042")]
    pub number: String,
}

/// A session was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndAnswer {
    /// Always true: said only after custody committed it.
    pub ended: bool,
}

/// Who the platform thinks is calling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FacilityAnswer {
    /// Institution code, from the client certificate.
    #[schema(value_type = String)]
    pub facility: FacilityCode,
    /// Registered name.
    pub name: String,
}

/// The journal's newest signed head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointAnswer {
    /// A signed note (C2SP tlog-checkpoint).
    pub checkpoint: String,
}

/// A consistency proof (RFC 6962 §2.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsistencyAnswer {
    /// SHA-256 values in hexadecimal.
    pub hashes: Vec<String>,
}

/// A phone opens a sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkOpenRequest {
    /// Sheet identifier from the QR.
    pub sheet: String,
    /// Sheet secret from the QR's fragment.
    pub secret: String,
}

/// The sheet is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkOpenAnswer {
    /// The sitting; 15 minutes.
    pub session: String,
    /// Where her card ordered the sheet and the platform asks for that: no birth date is asked,
    /// and this is what it would have been answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<LinkBirthAnswer>,
}

/// The birth date is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkBirthRequest {
    /// The sitting.
    pub session: String,
    /// `YYYYMMDD`
    #[schema(example = "19800102")]
    pub birth_date: String,
}

/// What the phone shows and signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkBirthAnswer {
    /// 本人ID
    pub person_display: String,
    /// The statement behind the challenge; the page recomputes it from what it displays.
    #[schema(value_type = Object)]
    pub statement: serde_json::Value,
    /// PublicKeyCredentialCreationOptionsJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
}

/// A phone that is about to make a credential holds one of this site already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkHeldRequest {
    /// The sitting.
    pub session: String,
    /// The credential's identifier, base64url.
    pub credential_id: String,
}

/// The credential that the phone holds is in nobody's use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkHeldAnswer {
    /// Always true: the phone may be linked.
    pub free: bool,
}

/// The phone's new credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkFinishRequest {
    /// The sitting.
    pub session: String,
    /// RegistrationResponseJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub credential: serde_json::Value,
    /// What the owner calls the phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "iPhone")]
    pub label: Option<String>,
}

/// The phone is linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkFinishAnswer {
    /// Always true.
    pub linked: bool,
    /// The key of the stream in which the journal tells of her key, 32 octets in base64: with it
    /// she finds every use of the key among all entries.
    pub stream_key: Base64,
}

/// A phone claims a terminal's QR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionClaimRequest {
    /// The ceremony from the QR.
    pub ceremony: String,
    /// The QR secret.
    pub secret: String,
}

/// What the phone shows and signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionClaimAnswer {
    /// 本人ID: whom the phone asks.
    pub person_display: String,
    /// What is asked: `session` (daily authentication), `documents` (approval per document),
    /// `login` (telling another service who she is) or `link-card` (a My Number Card).
    #[serde(rename = "type")]
    #[schema(example = "session")]
    pub statement_type: String,
    /// The statement behind the challenge.
    #[schema(value_type = Object)]
    pub statement: serde_json::Value,
    /// PublicKeyCredentialRequestOptionsJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
    /// `link-card`: until when the certificate of the card is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub card_until: Option<Timestamp>,
}

/// The phone's approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionApproveRequest {
    /// The ceremony.
    pub ceremony: String,
    /// AuthenticationResponseJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub credential: serde_json::Value,
}

/// The approval was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionApproveAnswer {
    /// Always true.
    pub approved: bool,
    /// Three digits to type at the terminal, where the place must be confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Where this browser goes on, if it is the one that logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<String>,
}

/// The owner says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRefuseRequest {
    /// The ceremony.
    pub ceremony: String,
    /// The QR secret.
    pub secret: String,
}

/// A linked phone, known by its device cookie, asks to stop its owner's key. Nothing more is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyStopBeginRequest {}

/// What the phone shows and signs to stop the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyStopBeginAnswer {
    /// The statement, field by field, as the challenge is computed from it.
    #[schema(value_type = Object)]
    pub statement: serde_json::Value,
    /// PublicKeyCredentialRequestOptionsJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
}

/// The owner stops her key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyStopFinishRequest {
    /// AuthenticationResponseJSON (WebAuthn Level 3).
    #[schema(value_type = Object)]
    pub credential: serde_json::Value,
}

/// The key is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyStopAnswer {
    /// Always true: from now nothing is signed with it.
    pub stopped: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = concat!(
        r#"{"order":"019aa4a5-7d00-7c3e-9a54-3d1f0a1b2c3d","kind":"prescription","#,
        r#""digest":{"algorithm":"sha256","value":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}"#
    );

    fn read(text: &str) -> Result<SignRequest, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_request_is_written_as_it_was_read() {
        let request = read(REQUEST).unwrap();
        assert_eq!(request.digest, DigestValue::sha256(&[0; 32]));
        assert_eq!(serde_json::to_string(&request).unwrap(), REQUEST);
    }

    #[test]
    fn a_misspelt_or_unknown_member_is_refused() {
        for (right, wrong) in [
            (r#""kind":"#, r#""urgent":true,"kind":"#),
            (r#""kind":"#, r#""Kind":"#),
            ("prescription", "letter"),
            ("-7c3e-", "-4c3e-"),
            ("AAAA=", "AAAA"),
            (r#""kind":"prescription","#, r#""kind":"prescription","kind":"dispensing","#),
        ] {
            assert!(read(&REQUEST.replace(right, wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_a_sha_256_value_is_a_digest() {
        let other = DigestValue { algorithm: "sha1".into(), value: Base64(vec![0; 20]) };
        assert_eq!(other.octets(), None);
        let short = DigestValue { algorithm: "sha256".into(), value: Base64(vec![0; 31]) };
        assert_eq!(short.octets(), None);
        assert_eq!(DigestValue::sha256(&[7; 32]).octets(), Some([7; 32]));
    }
}
