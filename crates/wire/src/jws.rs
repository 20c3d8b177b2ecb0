//! JWS compact serialisation (RFC 7515 §7.1) of tokens: taking apart and putting together. Making
//! and checking the signature belongs to the callers, who have keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::token::{ALGORITHM, Claims, Header, TYPE};

/// The longest token that is looked at. Ours are about 900 characters.
pub const LONGEST: usize = 4096;

/// Not a token of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAToken(pub &'static str);

impl std::fmt::Display for NotAToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not a token: {}", self.0)
    }
}

impl std::error::Error for NotAToken {}

/// A token taken apart. Nothing in it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Its header.
    pub header: Header,
    /// Its claims, unverified.
    pub claims: Claims,
    /// What the signature is over.
    pub signed: &'a str,
    /// The signature: `r ‖ s` (RFC 7518 §3.4).
    pub signature: [u8; 64],
}

/// What must be signed to make a token of these claims.
pub fn signing_input(kid: &str, claims: &Claims) -> Result<String, serde_json::Error> {
    let header = Header { alg: ALGORITHM.into(), typ: TYPE.into(), kid: kid.into() };
    let mut input = String::with_capacity(1024);
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(&header)?, &mut input);
    input.push('.');
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut input);
    Ok(input)
}

/// The token: what was signed, and the signature.
pub fn join(mut signing_input: String, signature: &[u8; 64]) -> String {
    signing_input.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut signing_input);
    signing_input
}

/// Takes a token apart, strictly: three parts, one spelling of base64url, `alg` and `typ` as ours,
/// no unknown or repeated member.
pub fn split(token: &str) -> Result<Parts<'_>, NotAToken> {
    if token.len() > LONGEST {
        return Err(NotAToken("too long"));
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(NotAToken("not three parts"))?;
    let (header, payload) = signed.split_once('.').ok_or(NotAToken("not three parts"))?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| NotAToken("not base64url"));
    let header: Header =
        serde_json::from_slice(&decode(header)?).map_err(|_| NotAToken("unknown header"))?;
    if header.alg != ALGORITHM {
        return Err(NotAToken("not signed with ES256"));
    }
    if !header.typ.eq_ignore_ascii_case(TYPE) {
        return Err(NotAToken("not an access token"));
    }
    let claims =
        serde_json::from_slice(&decode(payload)?).map_err(|_| NotAToken("unknown claims"))?;
    let signature =
        decode(signature)?.try_into().map_err(|_| NotAToken("signature of another length"))?;
    Ok(Parts { header, claims, signed, signature })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octets::Sha256Base64Url;
    use crate::token::{Confirmation, Grant};

    pub(crate) fn claims() -> Claims {
        Claims {
            iss: "https://platform.test".into(),
            aud: "urn:azukari:custody".into(),
            sub: hpki::id::PersonId::from_octets([1; 16]),
            client_id: "1310000001".into(),
            iat: 1_800_000_000,
            exp: 1_800_064_800,
            auth_time: 1_800_000_000,
            jti: hpki::id::TokenId::from_octets([2; 16]),
            scope: "sign".into(),
            acr: crate::Means::Phone.acr().into(),
            amr: vec!["hwk".into(), "user".into()],
            cnf: Confirmation { x5t_s256: Sha256Base64Url([3; 32]) },
            azukari: Grant {
                facility: "1310000001".parse().unwrap(),
                budget: hpki::id::BudgetId::from_octets([4; 16]),
                grant: Sha256Base64Url([5; 32]),
                kinds: vec![hpki::kind::DocumentKind::Prescription],
            },
        }
    }

    #[test]
    fn a_token_comes_apart_as_it_was_put_together() {
        let token = join(signing_input("k1", &claims()).unwrap(), &[9; 64]);
        let parts = split(&token).unwrap();
        assert_eq!(parts.claims, claims());
        assert_eq!(parts.signature, [9; 64]);
        assert_eq!(parts.header.kid, "k1");
        assert!(token.starts_with(parts.signed));
    }

    #[test]
    fn a_token_of_another_form_is_refused() {
        let token = join(signing_input("k1", &claims()).unwrap(), &[9; 64]);
        let header = |json: &str| {
            let rest = token.split_once('.').unwrap().1;
            format!("{}.{rest}", URL_SAFE_NO_PAD.encode(json))
        };
        for (wrong, why) in [
            (header(r#"{"alg":"none","typ":"at+jwt","kid":"k1"}"#), "not signed with ES256"),
            (header(r#"{"alg":"HS256","typ":"at+jwt","kid":"k1"}"#), "not signed with ES256"),
            (header(r#"{"alg":"ES256","typ":"JWT","kid":"k1"}"#), "not an access token"),
            (header(r#"{"alg":"ES256","typ":"at+jwt","kid":"k","jwk":{}}"#), "unknown header"),
            (header(r#"{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"k"}"#), "unknown header"),
            (format!("{token}."), "unknown claims"),
            (token.replacen('.', "", 2), "not three parts"),
            (format!("{token}="), "not base64url"),
            ("a".repeat(5000), "too long"),
        ] {
            let refused = split(&wrong).unwrap_err().0;
            assert!(refused == why || refused == "not base64url", "{wrong}: {refused}");
        }
    }
}
