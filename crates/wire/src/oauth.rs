//! OAuth 2.0 and OpenID Connect as the published description has them. Names and members are the
//! standards' own; requests are forms (`application/x-www-form-urlencoded`), and what is asked is
//! judged by `authn::provider`, which reads members as they come.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who asks, where a program proves it: by `private_key_jwt`, by the client certificate of the
/// connection, or, as a public client, by its name alone.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthClient)]
pub struct Who {
    /// The registered name.
    pub client_id: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`
    pub client_assertion_type: Option<String>,
    /// A JWT signed by the client's key; it counts once (RFC 7523).
    pub client_assertion: Option<String>,
}

/// An authorization request (RFC 6749 §4.1.1, RFC 7636, RFC 9396), pushed (RFC 9126) or by a browser.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthAsked)]
pub struct Asked {
    /// Who asks.
    #[serde(flatten)]
    pub who: Who,
    /// `code`
    pub response_type: Option<String>,
    /// Exactly a registered address.
    pub redirect_uri: Option<String>,
    /// `openid` with `profile`, `qualification`, `registration_number`; `sign`; or `service` alone.
    pub scope: Option<String>,
    /// Given back as it is.
    pub state: Option<String>,
    /// Given back in the ID token.
    pub nonce: Option<String>,
    /// PKCE; needed.
    pub code_challenge: Option<String>,
    /// `S256`
    pub code_challenge_method: Option<String>,
    /// For `scope=sign`: what is to be allowed (RFC 9396), as JSON.
    pub authorization_details: Option<String>,
    /// A signed request object (RFC 9101): then only what stands in it counts.
    pub request: Option<String>,
    /// At `/oauth/authorize`: what was pushed before.
    pub request_uri: Option<String>,
    /// `login`, `consent`, `select_account`; every login is a fresh one.
    pub prompt: Option<String>,
    /// Seconds; always met.
    pub max_age: Option<u64>,
}

/// A pushed request is kept.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthPushed)]
pub struct Pushed {
    /// For `/oauth/authorize`, once.
    pub request_uri: String,
    /// Seconds.
    pub expires_in: u64,
}

/// What is asked at the token endpoint.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthTokenAsked)]
pub struct TokenAsked {
    /// Who asks.
    #[serde(flatten)]
    pub who: Who,
    /// `authorization_code`, `urn:ietf:params:oauth:grant-type:device_code` or
    /// `urn:openid:params:grant-type:ciba`.
    pub grant_type: String,
    /// With `authorization_code`.
    pub code: Option<String>,
    /// The address of the request.
    pub redirect_uri: Option<String>,
    /// PKCE.
    pub code_verifier: Option<String>,
    /// Of a device.
    pub device_code: Option<String>,
    /// Of CIBA.
    pub auth_req_id: Option<String>,
    /// Our addition, for devices and CIBA: the three digits from the phone.
    pub number: Option<String>,
}

/// What a code is exchanged for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthToken)]
pub struct Token {
    /// For userinfo, or for signing.
    pub access_token: String,
    /// `Bearer`
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
    /// What was allowed.
    pub scope: String,
    /// With `openid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// Of a signing token: what was allowed indeed (RFC 9396 §7).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub authorization_details: Option<serde_json::Value>,
}

/// A device begins (RFC 8628 §3.1), or a client that knows whom it asks (OpenID CIBA §7.1).
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthBegin)]
pub struct Begin {
    /// Who asks.
    #[serde(flatten)]
    pub who: Who,
    /// `openid` and what is to be told.
    pub scope: Option<String>,
    /// CIBA: a 本人ID.
    pub login_hint: Option<String>,
    /// CIBA: at most 16 capitals, digits and hyphens, shown on both sides.
    pub binding_message: Option<String>,
}

/// What a device shows.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthDevice)]
pub struct Device {
    /// For the token endpoint.
    pub device_code: String,
    /// Shown beside the QR code, to be compared.
    pub user_code: String,
    /// The page that says what to do.
    pub verification_uri: String,
    /// The text of the QR code.
    pub verification_uri_complete: String,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds between two questions.
    pub interval: u64,
}

/// A request that stands on its owner's page.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthBackchannel)]
pub struct Backchannel {
    /// For the token endpoint.
    pub auth_req_id: String,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds between two questions.
    pub interval: u64,
    /// What both sides show.
    pub binding_message: String,
}

/// A token that is asked about, or ended.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthAbout)]
pub struct About {
    /// Who asks.
    #[serde(flatten)]
    pub who: Who,
    /// The token.
    pub token: String,
    /// Not needed.
    pub token_type_hint: Option<String>,
}

/// What is known of a token (RFC 7662 §2.2); with `active: false` nothing else is said.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthFacts)]
pub struct Facts {
    /// Whether it holds, for who asks.
    pub active: bool,
    /// Whose it is.
    pub client_id: Option<String>,
    /// `Bearer`
    pub token_type: Option<String>,
    /// What it allows.
    pub scope: Option<String>,
    /// The person: for a service by a name for it alone.
    pub sub: Option<String>,
    /// This platform.
    pub iss: Option<String>,
    /// Where it counts.
    pub aud: Option<String>,
    /// Seconds since 1970.
    pub iat: Option<u64>,
    /// Seconds since 1970.
    pub exp: Option<u64>,
    /// Seconds since 1970.
    pub auth_time: Option<u64>,
    /// Its own name.
    pub jti: Option<String>,
    /// By which means she logged in.
    pub acr: Option<String>,
    /// The certificate that it is bound to.
    #[schema(value_type = Option<Object>)]
    pub cnf: Option<serde_json::Value>,
    /// Of a signing token: what is allowed, and how much is left.
    #[schema(value_type = Option<Vec<Object>>)]
    pub authorization_details: Option<serde_json::Value>,
}

/// What userinfo tells, by scope.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthUserinfo)]
pub struct Userinfo {
    /// A name for this service alone.
    pub sub: String,
    /// `profile`: her name in romaji.
    pub name: Option<String>,
    /// `profile`: her name.
    #[serde(rename = "name#ja")]
    pub name_ja: Option<String>,
    /// `qualification`: hcRole.
    pub qualification: Option<String>,
    /// `qualification`: in Japanese.
    #[serde(rename = "qualification#ja")]
    pub qualification_ja: Option<String>,
    /// `qualification`: who certified it.
    pub qualification_authority: Option<String>,
    /// `registration_number`
    pub registration_number: Option<String>,
}

/// Every refusal and fault on these paths (RFC 6749 §5.2).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OauthError, example = json!({"error": "invalid_grant", "error_description": "… (oauth-code-wrong)"}))]
pub struct Error {
    /// One of the standards' words.
    pub error: String,
    /// What exactly, with our code in brackets.
    pub error_description: String,
}
