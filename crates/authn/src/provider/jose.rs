//! What clients sign: assertions (RFC 7523) and request objects (RFC 9101), as compact JWS under keys
//! that were registered with the client. ES256 and PS256; no key ever comes from a header.

use std::fmt;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use hpki::time::Timestamp;
use serde_json::{Map, Value};
use wire::token::base64url_decode;

/// No JWT of a client is longer.
const LONGEST: usize = 8_192;
/// A client's clock may be ahead of ours by this much.
const AHEAD_S: u64 = 30;
/// Whatever a client says: nothing that it signed counts for longer than this.
const LIFE_MAX_S: u64 = 3_600;

/// The algorithms that are taken (RFC 7518).
pub const ALGORITHMS: [&str; 2] = ["ES256", "PS256"];

/// A public key of a client. It is used with one algorithm alone.
#[derive(Clone)]
pub struct ClientKey {
    kid: Option<String>,
    key: Key,
}

#[derive(Clone)]
enum Key {
    Es256(ParsedPublicKey),
    Ps256 { n: Vec<u8>, e: Vec<u8> },
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientKey({} {:?})", self.algorithm(), self.kid)
    }
}

impl ClientKey {
    /// Reads a JWK set (RFC 7517) of public keys: P-256, or RSA of 2,048 to 8,192 bits.
    ///
    /// # Errors
    /// Why it is refused; a private key among them is.
    pub fn set(json: &str) -> Result<Vec<Self>, &'static str> {
        let set: Value = serde_json::from_str(json).map_err(|_| "it is not JSON")?;
        let keys = set["keys"].as_array().ok_or("it has no list named keys")?;
        let keys: Vec<Self> = keys.iter().map(Self::read).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err("it has no key");
        }
        let kids: Vec<_> = keys.iter().map(|key| &key.kid).collect();
        let twice = kids.iter().enumerate().any(|(n, kid)| kids[..n].contains(kid));
        if twice { Err("two of its keys have the same kid") } else { Ok(keys) }
    }

    fn read(jwk: &Value) -> Result<Self, &'static str> {
        if ["d", "p", "q", "k"].iter().any(|private| jwk.get(private).is_some()) {
            return Err("it holds a private key");
        }
        if jwk.get("use").is_some_and(|used| used != "sig") {
            return Err("a key is not for signatures");
        }
        let member = |name: &str| jwk[name].as_str().and_then(base64url_decode);
        let (key, alg) = match (jwk["kty"].as_str(), jwk["crv"].as_str()) {
            (Some("EC"), Some("P-256")) => {
                let (x, y) = member("x").zip(member("y")).ok_or("a key has no x or y")?;
                if x.len() != 32 || y.len() != 32 {
                    return Err("a point is not of P-256");
                }
                let point = [&[4][..], &x, &y].concat();
                let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                (Key::Es256(parsed.map_err(|_| "a point is not of P-256")?), "ES256")
            }
            (Some("RSA"), None) => {
                let (n, e) = member("n").zip(member("e")).ok_or("a key has no n or e")?;
                if !(256..=1024).contains(&n.len()) || n[0] == 0 || e.len() > 4 {
                    return Err("an RSA key is not of 2,048 to 8,192 bits");
                }
                (Key::Ps256 { n, e }, "PS256")
            }
            _ => return Err("a key is neither EC P-256 nor RSA"),
        };
        if jwk.get("alg").is_some_and(|named| named != alg) {
            return Err("a key is for another algorithm than ES256 or PS256");
        }
        Ok(Self { kid: jwk["kid"].as_str().map(str::to_owned), key })
    }

    const fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Es256(_) => "ES256",
            Key::Ps256 { .. } => "PS256",
        }
    }

    fn verifies(&self, signed: &[u8], value: &[u8]) -> bool {
        match &self.key {
            Key::Es256(key) => key.verify_sig(signed, value).is_ok(),
            Key::Ps256 { n, e } => PublicKeyComponents { n, e }
                .verify(&signature::RSA_PSS_2048_8192_SHA256, signed, value)
                .is_ok(),
        }
    }
}

/// Reads a JWT that one of these keys signed. The key is chosen by `kid`, or by the algorithm where
/// none is named; the algorithm is the key's own, whatever the header says.
pub(crate) fn read(jwt: &str, keys: &[ClientKey]) -> Option<Map<String, Value>> {
    if jwt.len() > LONGEST {
        return None;
    }
    let (signed, value) = jwt.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    if claims.contains('.') {
        return None;
    }
    let header: Map<String, Value> = serde_json::from_slice(&base64url_decode(header)?).ok()?;
    // What must be understood and is not: refused (RFC 7515 §4.1.11).
    if header.contains_key("crit") || header.contains_key("b64") {
        return None;
    }
    let alg = header.get("alg")?.as_str()?;
    let kid = header.get("kid").map(|kid| kid.as_str());
    let key = keys.iter().find(|key| {
        key.algorithm() == alg && kid.is_none_or(|kid| kid.is_some() && key.kid.as_deref() == kid)
    })?;
    if !key.verifies(signed.as_bytes(), &base64url_decode(value)?) {
        return None;
    }
    serde_json::from_slice(&base64url_decode(claims)?).ok()
}

/// Whether the JWT counts now: it has an end that is not long ago set, and has begun. Gives the end.
pub(crate) fn in_time(claims: &Map<String, Value>, now: Timestamp) -> Option<Timestamp> {
    let time = |name: &str| match claims.get(name) {
        None => Some(None),
        // Numbers with a fraction are allowed (RFC 7519 §2 NumericDate).
        Some(Value::Number(number)) => {
            let seconds = number.as_u64().or_else(|| number.as_f64().and_then(whole))?;
            Some(Some(Timestamp::from_seconds(seconds)))
        }
        Some(_) => None,
    };
    let (end, begin, made) = (time("exp")??, time("nbf")?, time("iat")?);
    let late = now.plus(AHEAD_S);
    let well = now < end
        && end <= now.plus(LIFE_MAX_S + AHEAD_S)
        && begin.is_none_or(|begin| begin <= late)
        && made.is_none_or(|made| made <= late);
    well.then_some(end)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be in range"
)]
fn whole(number: f64) -> Option<u64> {
    (0.0..=9e15).contains(&number).then_some(number as u64)
}

/// Whether `aud` names one of these.
pub(crate) fn is_for(claims: &Map<String, Value>, us: &[&str]) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => us.contains(&one.as_str()),
        Some(Value::Array(all)) => {
            all.iter().filter_map(Value::as_str).any(|one| us.contains(&one))
        }
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256, RsaKeyPair,
    };
    use serde_json::json;
    use wire::token::base64url_encode;

    use super::*;

    fn jws(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let part = |value: &Value| base64url_encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        format!("{signed}.{}", base64url_encode(&sign(signed.as_bytes())))
    }

    fn ec() -> (EcdsaKeyPair, Value) {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = key.public_key().as_ref();
        let (x, y) = (base64url_encode(&point[1..33]), base64url_encode(&point[33..]));
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "e", "alg": "ES256"});
        (key, jwk)
    }

    #[test]
    fn a_jwt_counts_under_a_registered_key_and_its_own_algorithm_alone() {
        let random = SystemRandom::new();
        let (ec, ec_jwk) = ec();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        // RSAPublicKey (RFC 8017 A.1.1) of 2,048 bits: the modulus stands behind nine octets.
        let public = rsa.public_key().as_ref().to_vec();
        let n = base64url_encode(&public[9..265]);
        let rsa_jwk = json!({"kty": "RSA", "kid": "r", "n": n, "e": "AQAB"});
        let set = json!({"keys": [ec_jwk, rsa_jwk]}).to_string();
        let keys = ClientKey::set(&set).unwrap();
        let by_ec = |signed: &[u8]| ec.sign(&random, signed).unwrap().as_ref().to_vec();
        let by_rsa = |padding: &'static dyn signature::RsaEncoding, signed: &[u8]| {
            let mut value = vec![0; rsa.public_modulus_len()];
            rsa.sign(padding, &random, signed, &mut value).unwrap();
            value
        };
        let claims = json!({"iss": "x"});
        let read = |jwt: &str| read(jwt, &keys).is_some();
        assert!(read(&jws(&json!({"alg": "ES256", "kid": "e"}), &claims, by_ec)));
        assert!(read(&jws(&json!({"alg": "ES256"}), &claims, by_ec)));
        let pss = |signed: &[u8]| by_rsa(&RSA_PSS_SHA256, signed);
        assert!(read(&jws(&json!({"alg": "PS256", "kid": "r", "typ": "JWT"}), &claims, pss)));
        // alg none, another algorithm, another key, a key from the header, a header that must be
        // understood, a changed text: none of them counts.
        assert!(!read(&jws(&json!({"alg": "none"}), &claims, |_| Vec::new())));
        let pkcs1 = |signed: &[u8]| by_rsa(&RSA_PKCS1_SHA256, signed);
        assert!(!read(&jws(&json!({"alg": "RS256", "kid": "r"}), &claims, pkcs1)));
        assert!(!read(&jws(&json!({"alg": "PS256", "kid": "r"}), &claims, pkcs1)));
        assert!(!read(&jws(&json!({"alg": "ES256", "kid": "r"}), &claims, by_ec)));
        assert!(!read(&jws(&json!({"alg": "PS256", "kid": "e"}), &claims, pss)));
        assert!(!read(&jws(&json!({"alg": "HS256", "kid": "e"}), &claims, by_ec)));
        let (other, other_jwk) = self::ec();
        let by_other = |signed: &[u8]| other.sign(&random, signed).unwrap().as_ref().to_vec();
        let header = json!({"alg": "ES256", "kid": "e", "jwk": other_jwk});
        assert!(!read(&jws(&header, &claims, by_other)));
        assert!(!read(&jws(&json!({"alg": "ES256", "crit": ["x"]}), &claims, by_ec)));
        assert!(!read(&jws(&json!({"alg": "ES256", "kid": 1}), &claims, by_ec)));
        let good = jws(&json!({"alg": "ES256"}), &claims, by_ec);
        let (front, value) = good.rsplit_once('.').unwrap();
        let header = front.split_once('.').unwrap().0;
        let changed = base64url_encode(br#"{"iss":"y"}"#);
        assert!(!read(&format!("{header}.{changed}.{value}")));
        for odd in ["", "..", "a.b.c", front, &format!("{good}.x"), &"a".repeat(LONGEST + 1)] {
            assert!(!read(odd), "{odd}");
        }
    }

    #[test]
    fn a_set_with_a_private_weak_or_foreign_key_is_refused() {
        let (_, mut jwk) = ec();
        let set = |keys: Value| ClientKey::set(&json!({ "keys": keys }).to_string());
        assert!(set(json!([jwk])).is_ok());
        assert!(set(json!([jwk, jwk])).is_err());
        jwk["d"] = "AA".into();
        assert!(set(json!([jwk])).is_err());
        for wrong in [
            json!([]),
            json!([{"kty": "oct", "k": "AA"}]),
            json!([{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}]),
            json!([{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]),
            json!([{"kty": "RSA", "n": base64url_encode(&[1; 128]), "e": "AQAB"}]),
            json!([{"kty": "RSA", "n": base64url_encode(&[1; 256]), "e": "AQAB", "alg": "RS256"}]),
        ] {
            assert!(set(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(ClientKey::set("[]").is_err() && ClientKey::set("{").is_err());
    }

    #[test]
    fn a_jwt_without_an_end_or_out_of_its_time_does_not_count() {
        let now = Timestamp::from_seconds(1_000_000);
        let counts = |claims: Value| in_time(claims.as_object().unwrap(), now).is_some();
        assert!(counts(json!({"exp": 1_000_001})));
        assert!(counts(json!({"exp": 1_000_060.5, "iat": 999_999.2, "nbf": 1_000_030})));
        for wrong in [
            json!({}),
            json!({"exp": 1_000_000}),
            json!({"exp": "1000060"}),
            json!({"exp": -1}),
            json!({"exp": 1_009_000}),
            json!({"exp": 1_000_060, "nbf": 1_000_031}),
            json!({"exp": 1_000_060, "iat": 1_000_031}),
            json!({"exp": 1_000_060, "iat": "now"}),
        ] {
            assert!(!counts(wrong.clone()), "{wrong}");
        }
    }
}
