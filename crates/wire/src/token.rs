//! The token's format: RFC 9068 access token, compact JWS with ES256. Format only: who signs and
//! who checks the signature are the callers.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hpki::encoding::Digest32;
use hpki::id::{BudgetId, FacilityCode, PersonId, TokenId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};

/// No token of ours is longer; a longer one is refused before it is parsed.
pub const TOKEN_MAX: usize = 4096;

/// Standard base64 with padding.
pub fn base64_encode(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// Reads standard base64 with padding.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// base64url without padding (RFC 7515 §2).
pub fn base64url_encode(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// Reads base64url without padding.
pub fn base64url_decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The protected header. Exactly these three members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// `at+jwt` (RFC 9068 §2.1)
    pub typ: String,
    /// `ES256`
    pub alg: String,
    /// Which of the issuer's keys.
    pub kid: String,
}

/// `cnf`: the certificate that the token is bound to (RFC 8705 §3.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// SHA-256 of the client certificate, base64url.
    #[serde(rename = "x5t#S256")]
    pub x5t_s256: String,
}

impl Confirmation {
    /// Of this certificate hash.
    pub fn of(x5t: &Digest32) -> Self {
        Self { x5t_s256: base64url_encode(x5t) }
    }
}

/// Our own claims, under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// The facility that it may be used from.
    pub facility: FacilityCode,
    /// The budget that every signature draws from.
    pub budget: BudgetId,
    /// Hash of the challenge that the person approved, base64url.
    pub grant: String,
    /// Kinds of document.
    pub kinds: Vec<DocumentKind>,
}

/// The claims (protocols §4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// The person.
    pub sub: PersonId,
    /// The client: the facility's code.
    pub client_id: String,
    /// Issued at.
    pub iat: Timestamp,
    /// Expires at; at most `auth_time` + 64,800 s.
    pub exp: Timestamp,
    /// When the person authenticated.
    pub auth_time: Timestamp,
    /// The token's own identifier.
    pub jti: TokenId,
    /// `sign`
    pub scope: String,
    /// `urn:azukari:acr:{phone,hpki,jpki}`
    pub acr: String,
    /// Authentication methods (RFC 8176).
    pub amr: Vec<String>,
    /// What it is bound to.
    pub cnf: Confirmation,
    /// What it allows.
    #[serde(rename = "azukari")]
    pub allowance: Allowance,
}

/// A token split and read, its signature not yet checked by anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<'a> {
    /// The header.
    pub header: Header,
    /// The claims.
    pub claims: Claims,
    /// What the signature is over: `header.payload`.
    pub signed: &'a str,
    /// r ‖ s, 64 octets.
    pub signature: Vec<u8>,
}

/// What a signature of the token is over.
pub fn signing_input(header: &Header, claims: &Claims) -> String {
    // These types serialise without failing: they hold strings and numbers only.
    let part =
        |octets: Result<Vec<u8>, serde_json::Error>| base64url_encode(&octets.unwrap_or_default());
    format!("{}.{}", part(serde_json::to_vec(header)), part(serde_json::to_vec(claims)))
}

/// The compact form.
pub fn compact(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", base64url_encode(signature))
}

/// Splits and reads a compact token. `None` for anything that is not exactly of this form.
pub fn read(token: &str) -> Option<Unverified<'_>> {
    if token.len() > TOKEN_MAX {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Header = serde_json::from_slice(&base64url_decode(header)?).ok()?;
    let claims: Claims = serde_json::from_slice(&base64url_decode(claims)?).ok()?;
    Some(Unverified { header, claims, signed, signature: base64url_decode(signature)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            iss: "https://platform.test".into(),
            aud: "urn:azukari:custody".into(),
            sub: PersonId::from_octets([1; 16]),
            client_id: "1310000001".into(),
            iat: Timestamp::from_seconds(1_800_000_000),
            exp: Timestamp::from_seconds(1_800_064_800),
            auth_time: Timestamp::from_seconds(1_800_000_000),
            jti: TokenId::from_octets([2; 16]),
            scope: "sign".into(),
            acr: "urn:azukari:acr:phone".into(),
            amr: vec!["hwk".into(), "user".into()],
            cnf: Confirmation::of(&[3; 32]),
            allowance: Allowance {
                facility: "1310000001".parse().unwrap(),
                budget: BudgetId::from_octets([4; 16]),
                grant: base64url_encode(&[5; 32]),
                kinds: vec![DocumentKind::Prescription],
            },
        }
    }

    fn header() -> Header {
        Header { typ: "at+jwt".into(), alg: "ES256".into(), kid: "k1".into() }
    }

    #[test]
    fn a_token_comes_apart_as_it_was_put_together() {
        let token = compact(&signing_input(&header(), &claims()), &[9; 64]);
        let parts = read(&token).unwrap();
        assert_eq!((parts.header, parts.claims), (header(), claims()));
        assert_eq!(parts.signature, [9; 64]);
        assert!(token.starts_with(parts.signed));
    }

    #[test]
    fn claims_have_the_names_of_rfc_9068_and_seconds() {
        let json = serde_json::to_value(claims()).unwrap();
        assert_eq!(json["exp"], 1_800_064_800);
        assert_eq!(json["cnf"]["x5t#S256"], base64url_encode(&[3; 32]));
        assert_eq!(json["azukari"]["facility"], "1310000001");
    }

    #[test]
    fn anything_else_is_no_token() {
        let token = compact(&signing_input(&header(), &claims()), &[9; 64]);
        let with_header = |json: &str| {
            let rest = token.split_once('.').unwrap().1;
            format!("{}.{rest}", base64url_encode(json.as_bytes()))
        };
        for wrong in [
            String::new(),
            "a.b.c".into(),
            token.replacen('.', "", 1),
            format!("{token}="),
            format!("{token}.x"),
            with_header(r#"{"typ":"at+jwt","alg":"ES256","kid":"k","jwk":{}}"#),
            with_header(r#"{"typ":"at+jwt","alg":"none","alg":"ES256","kid":"k"}"#),
            "a".repeat(TOKEN_MAX + 1),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
    }
}
