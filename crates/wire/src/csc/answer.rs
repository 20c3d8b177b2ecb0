//! What applications are answered.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `info`, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscInfoV1)]
pub struct InfoV1 {
    /// `1.0.4.0`
    pub specs: String,
    /// The service.
    pub name: String,
    /// Where its logo is.
    pub logo: String,
    /// `JP`
    pub region: String,
    /// The language of the answers.
    pub lang: String,
    /// What the service does.
    pub description: String,
    /// How the service is authorised.
    #[serde(rename = "authType")]
    pub auth_type: Vec<String>,
    /// What is there.
    pub methods: Vec<String>,
}

/// `info`, version 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscInfoV2)]
pub struct InfoV2 {
    /// `2.0.0.2`
    pub specs: String,
    /// The service.
    pub name: String,
    /// Where its logo is.
    pub logo: String,
    /// `JP`
    pub region: String,
    /// The language of the answers.
    pub lang: String,
    /// What the service does.
    pub description: String,
    /// How the service is authorised.
    #[serde(rename = "authType")]
    pub auth_type: Vec<String>,
    /// Below it stand `oauth2/authorize`, `oauth2/pushed_authorize`, `oauth2/token`, `oauth2/revoke`.
    pub oauth2: String,
    /// `true`: signatures can be fetched later.
    #[serde(rename = "asynchronousOperationMode")]
    pub asynchronous: bool,
    /// What is there.
    pub methods: Vec<String>,
    /// `true`: `signDoc` gives revocation lists to who wants them.
    #[serde(rename = "validationInfo")]
    pub validation_info: bool,
    /// What can sign.
    #[serde(rename = "signAlgorithms")]
    pub sign_algorithms: SignAlgorithms,
    /// How documents are signed, by their digests.
    pub signature_formats: SignatureFormats,
    /// Which levels: no time-stamps.
    pub conformance_levels: Vec<String>,
}

/// What can sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscSignAlgorithms)]
pub struct SignAlgorithms {
    /// Object identifiers.
    pub algos: Vec<String>,
}

/// Which documents are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscSignatureFormats)]
pub struct SignatureFormats {
    /// Letters of the specification.
    pub formats: Vec<String>,
    /// For each of them.
    pub envelope_properties: Vec<Vec<String>>,
}

/// `credentials/list`, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscListV1, example = json!({"credentialIDs": ["00112233445566778899aabbccddeeff.statement"]}))]
pub struct ListV1 {
    /// The credentials of the person whose token was shown.
    #[serde(rename = "credentialIDs")]
    pub credentials: Vec<String>,
    /// Where the next answer goes on, if there is more.
    #[serde(default, rename = "nextPageToken", skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `credentials/list`, version 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscListV2)]
pub struct ListV2 {
    /// The credentials of the person whose token was shown.
    #[serde(rename = "credentialIDs")]
    pub credentials: Vec<String>,
    /// Each of them, where `credentialInfo` was `true`.
    #[serde(default, rename = "credentialInfos", skip_serializing_if = "Option::is_none")]
    pub infos: Option<Vec<CredentialV2>>,
    /// `true` where it was asked for.
    #[serde(default, rename = "onlyValid", skip_serializing_if = "Option::is_none")]
    pub only_valid: Option<bool>,
}

/// The key of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscKey)]
pub struct Key {
    /// `enabled` or `disabled`
    pub status: String,
    /// What it signs with.
    pub algo: Vec<String>,
    /// Bits.
    pub len: u32,
}

/// The certificate of a credential.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscCertificate)]
pub struct Certificate {
    /// `valid`, `expired`, `revoked` or `suspended`
    pub status: String,
    /// DER in base64; the signer's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Vec<String>>,
    /// Who issued it.
    #[serde(default, rename = "issuerDN", skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Its number, hexadecimal.
    #[serde(default, rename = "serialNumber", skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Whose it is.
    #[serde(default, rename = "subjectDN", skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `YYYYMMDDhhmmssZ`
    #[serde(default, rename = "validFrom", skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// `YYYYMMDDhhmmssZ`
    #[serde(default, rename = "validTo", skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<String>,
}

/// `credentials/info`, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscCredentialV1)]
pub struct CredentialV1 {
    /// What it signs.
    pub description: String,
    /// The key.
    pub key: Key,
    /// Its certificate.
    pub cert: Certificate,
    /// `implicit`: the owner authorises on her phone, not through the application.
    #[serde(rename = "authMode")]
    pub auth_mode: String,
    /// `1`: the owner's approval of the morning; `2`: hashes are pinned in each authorisation.
    #[serde(rename = "SCAL")]
    pub scal: String,
    /// How many signatures one authorisation can be for.
    pub multisign: u32,
    /// The language of the texts.
    pub lang: String,
}

/// `credentials/info`, version 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscCredentialV2)]
pub struct CredentialV2 {
    /// Which; only in lists.
    #[serde(default, rename = "credentialID", skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// What it signs.
    pub description: String,
    /// The same for programs: `jp_hpki_<kind>`.
    #[serde(rename = "signatureQualifier")]
    pub qualifier: String,
    /// The key.
    pub key: Key,
    /// Its certificate.
    pub cert: Certificate,
    /// How the owner authorises.
    pub auth: Authorization,
    /// `1`: the owner's approval of the morning; `2`: hashes are pinned in each authorisation.
    #[serde(rename = "SCAL")]
    pub scal: String,
    /// How many signatures one authorisation can be for.
    pub multisign: u32,
    /// The language of the texts.
    pub lang: String,
}

/// How the owner authorises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscAuthorization)]
pub struct Authorization {
    /// `explicit`
    pub mode: String,
    /// Which objects are needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// The authentication objects, where `authInfo` was `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<AuthObjectType>>,
}

/// One means by which the owner authorises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscAuthObjectType)]
pub struct AuthObjectType {
    /// `ChallengeResponseOOB`: the phone answers the platform directly.
    #[serde(rename = "type")]
    pub kind: String,
    /// What `authData` calls it.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// What it does.
    pub description: String,
}

/// A SAD: `credentials/authorize`, `authorizeCheck`, `extendTransaction`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscSad, example = json!({"SAD": "oX3zJ1dFqv0mS7m0w3tq9cJmJ7u5y1zqZ3k2b4n6d8E", "expiresIn": 60}))]
pub struct Sad {
    /// The signature activation data: a handle.
    #[serde(rename = "SAD")]
    pub sad: String,
    /// Seconds.
    #[serde(rename = "expiresIn")]
    pub expires_in: u64,
}

/// The owner has not answered yet (HTTP 202, version 2): ask `authorizeCheck` with the handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscHandle, example = json!({"handle": "878287f37b2bf293"}))]
pub struct Handle {
    /// What `authorizeCheck` takes.
    pub handle: String,
}

/// `credentials/getChallenge`, version 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscChallenge)]
pub struct Challenge {
    /// The text of the QR code that the owner reads with her phone.
    pub challenge: String,
}

/// `signatures/signHash`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscSignatures, example = json!({"signatures": ["KedJuTob5gtvYx9qM3k3gm7kbLBwVbEQRl26S2tmXjqNND7MRGtoew=="]}))]
pub struct Signatures {
    /// Base64, in the order of the hashes.
    pub signatures: Vec<String>,
}

/// `signatures/signDoc`: each signature is CMS in base64, in the order of the digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscSignedDocuments, example = json!({"SignatureObject": ["MIIG…"]}))]
pub struct SignedDocuments {
    /// To be kept beside the documents (CAdES), or put into their PDFs (PAdES).
    #[serde(rename = "SignatureObject")]
    pub objects: Vec<String>,
    /// Where `returnValidationInfo` was `true`.
    #[serde(default, rename = "validationInfo", skip_serializing_if = "Option::is_none")]
    pub validation_info: Option<ValidationInfo>,
}

/// What a validator wants beside the signature. The certificates are in the signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscValidationInfo)]
pub struct ValidationInfo {
    /// Revocation lists of the authorities, DER in base64.
    pub crl: Vec<String>,
}

/// The signatures are fetched later: ask `signatures/signPolling` with it as `requestID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscResponseId, example = json!({"responseID": "00112233445566778899aabbccddeeff"}))]
pub struct ResponseId {
    /// Which request.
    #[serde(rename = "responseID")]
    pub response: String,
}

/// `signatures/signPolling`: one of the two, as was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscPolled, example = json!({"signatures": ["KedJuTob5gtvYx9qM3k3gm7kbLBwVbEQRl26S2tmXjqNND7MRGtoew=="]}))]
pub struct Polled {
    /// Of `signHash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signatures: Option<Vec<String>>,
    /// Of `signDoc`.
    #[serde(default, rename = "SignatureObject", skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<String>>,
}

/// `signatures/signHash`, version 2: the signatures, or where they can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscSignHashAnswer)]
#[serde(untagged)]
pub enum SignHashAnswer {
    /// `operationMode` `S`.
    Signed(Signatures),
    /// `operationMode` `A`.
    Later(ResponseId),
}

/// `signatures/signDoc`: the signatures, or where they can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CscSignDocAnswer)]
#[serde(untagged)]
pub enum SignDocAnswer {
    /// `operationMode` `S`.
    Signed(SignedDocuments),
    /// `operationMode` `A`.
    Later(ResponseId),
}
