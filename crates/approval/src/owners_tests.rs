//! Owners' statements: each field counts, and each challenge is that of the protocol, computed
//! outside this program from its text.

use serde_json::{Value, json};

use super::*;
use crate::Statement;

const STOP: &str = "21b09a9dc405d31e4fad0fb6b56cec6dd8543208550ffbc0f859d293244a120e";
const RESTART: &str = "3b1855adf3a644d71b9e17430f0722252a5aba218ea1444f8c4a3afd024174a6";
const LOSS: &str = "57ae789f440b81ae4b66ecee8f6191308cc276cf54acb289aebcd9cba4117065";
const DISPUTE: &str = "432893053b60570420131b6edb2a116537ef4a9e8aebc3c4ac007469300c8c2a";
const CHANGE: &str = "e6ef017cff2474892661ca85f6a3065b4cc994ba4fc4a3554f41e36ad9f04c5b";
const SIGNIN: &str = "00277579780b290b2f180a9df4c24c8a60948c18886c5b98acea2a1f24eb59bc";
const SIGNIN_OF_NOBODY: &str = "e24d5e13aa92a2a97da5a228bb269de5b371601606f2676edd8a87a579345ad5";

fn hex(digest: Digest32) -> String {
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn b64(octet: u8) -> String {
    crate::b64::encode(&[octet; 32])
}

fn base() -> Value {
    json!({
        "issuer": "https://id.test", "rpId": "id.test", "nonce": b64(7),
        "person": "08".repeat(16), "key": "09".repeat(16),
    })
}

fn with(mut value: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    value.as_object_mut().unwrap().extend(more);
    value
}

fn said(kind: &str, more: Value) -> Value {
    with(with(base(), json!({ "type": kind })), more)
}

fn all() -> [(Value, &'static str); 5] {
    let about = json!({ "index": 12, "commitment": b64(10) });
    let change = json!({ "sheet": "0b".repeat(16), "credential": b64(10) });
    [
        (said("stop", json!({})), STOP),
        (said("restart", json!({})), RESTART),
        (said("loss", json!({})), LOSS),
        (said("dispute", about), DISPUTE),
        (said("change", change), CHANGE),
    ]
}

#[test]
fn each_decision_has_its_own_challenge_and_each_field_counts() {
    for (value, known) in all() {
        let statement: Statement = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(hex(statement.challenge()), known, "{value}");
        assert_eq!(serde_json::to_value(&statement).unwrap(), value);
        for field in value.as_object().unwrap().keys().filter(|field| *field != "type") {
            let other = match &value[field] {
                Value::Number(_) => json!(13),
                Value::String(text) if text.len() == 32 => json!("00".repeat(16)),
                Value::String(text) if text.len() == 43 => json!(b64(1)),
                _ => json!("another"),
            };
            let changed = with(value.clone(), json!({ (field.as_str()): other }));
            let changed: Statement = serde_json::from_value(changed).unwrap();
            assert_ne!(hex(changed.challenge()), known, "{field}");
            let mut without = value.clone();
            without.as_object_mut().unwrap().remove(field);
            assert!(serde_json::from_value::<Statement>(without).is_err(), "{field} is left out");
        }
        let extra = with(value, json!({ "reason": "lost" }));
        assert!(serde_json::from_value::<Statement>(extra).is_err());
    }
}

#[test]
fn a_sign_in_names_her_or_leaves_it_to_the_passkey() {
    let named = with(base(), json!({ "at": 1_795_000_000 }));
    let read = |value: &Value| serde_json::from_value::<SigninStatement>(value.clone()).unwrap();
    assert_eq!(hex(read(&named).challenge()), SIGNIN);
    let nobody = with(named, json!({ "person": null, "key": null }));
    assert_eq!(hex(read(&nobody).challenge()), SIGNIN_OF_NOBODY);
    assert_ne!(
        hex(read(&with(nobody, json!({ "at": 1_795_000_001 }))).challenge()),
        SIGNIN_OF_NOBODY
    );
}
