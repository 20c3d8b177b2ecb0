//! The access token: a JWT of RFC 9068, bound to the facility's client certificate (RFC 8705) and
//! to the budget that its owner approved. Format only: `authn` signs it, `custody` judges it.

use hpki::id::{BudgetId, FacilityCode, PersonId, TokenId};
use hpki::kind::DocumentKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::octets::Sha256Base64Url;

/// `typ` of the token's header (RFC 9068 §2.1).
pub const TYPE: &str = "at+jwt";
/// `alg` of the token's header: the only one accepted.
pub const ALGORITHM: &str = "ES256";
/// The longest life of a token, counted from the authentication: 18 h.
pub const LONGEST_S: u64 = 64_800;
/// The scope of a token that may ask for signatures.
pub const SCOPE_SIGN: &str = "sign";

/// The header of a token. Nothing else may stand in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`ALGORITHM`].
    pub alg: String,
    /// [`TYPE`].
    pub typ: String,
    /// Which key signed.
    pub kid: String,
}

/// The certificate that the token is bound to (RFC 8705 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// SHA-256 of the client certificate's DER.
    #[serde(rename = "x5t#S256")]
    pub x5t_s256: Sha256Base64Url,
}

/// What is particular to this platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// At which facility.
    pub facility: FacilityCode,
    /// The budget that every signature draws from.
    pub budget: BudgetId,
    /// The challenge that the owner signed.
    pub grant: Sha256Base64Url,
    /// The kinds of document allowed.
    pub kinds: Vec<DocumentKind>,
}

/// The claims of a token. Times are seconds since the epoch (RFC 7519 §2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who minted it.
    pub iss: String,
    /// For whom: custody's signing interface.
    pub aud: String,
    /// The person.
    pub sub: PersonId,
    /// The client: the facility's gateway.
    pub client_id: String,
    /// Minted.
    pub iat: u64,
    /// Until; no leeway, at most [`LONGEST_S`] after `auth_time`.
    pub exp: u64,
    /// When the person authenticated.
    pub auth_time: u64,
    /// The token's own id.
    pub jti: TokenId,
    /// [`SCOPE_SIGN`].
    pub scope: String,
    /// By what the person authenticated: [`crate::Means::acr`].
    pub acr: String,
    /// Methods used (RFC 8176).
    pub amr: Vec<String>,
    /// The client certificate.
    pub cnf: Confirmation,
    /// Facility, budget, grant, kinds.
    pub azukari: Grant,
}

/// A public key that signs tokens (RFC 7517, RFC 7518 §6.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Jwk {
    /// `EC`.
    pub kty: String,
    /// `P-256`.
    pub crv: String,
    /// 32 octets, base64url.
    pub x: Sha256Base64Url,
    /// 32 octets, base64url.
    pub y: Sha256Base64Url,
    /// Its name in token headers.
    pub kid: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// `ES256`.
    pub alg: String,
}

impl Jwk {
    /// A P-256 key for ES256 signatures.
    pub fn es256(kid: &str, x: [u8; 32], y: [u8; 32]) -> Self {
        Self {
            kty: "EC".into(),
            crv: "P-256".into(),
            x: Sha256Base64Url(x),
            y: Sha256Base64Url(y),
            kid: kid.into(),
            usage: "sig".into(),
            alg: ALGORITHM.into(),
        }
    }

    /// The point as SEC 1 §2.3.3 writes it uncompressed: `04 ‖ x ‖ y`.
    pub fn point(&self) -> [u8; 65] {
        let mut point = [4; 65];
        point[1..33].copy_from_slice(&self.x.0);
        point[33..].copy_from_slice(&self.y.0);
        point
    }
}

/// `GET /.well-known/jwks.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Jwks {
    /// The present key, and soon the next.
    pub keys: Vec<Jwk>,
}
