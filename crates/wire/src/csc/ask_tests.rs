use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

const HASH: &str = "sTOgwOm+474gFj0q0x1iSNspKqbcse4IeiqlDg/HWuI=";

fn read<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

/// The request of version 2, with one member changed or taken away.
fn with(member: &str, value: Value) -> Result<SignHash, String> {
    let mut body = json!({
        "credentialID": "c", "SAD": "s", "hashes": [HASH],
        "hashAlgorithmOID": SHA256, "signAlgo": crate::csc::RSA, "clientData": "x", "other": 1,
    });
    body[member] = value;
    read::<SignHashV2>(body).read().map_err(|wrong| wrong.to_string())
}

#[test]
fn sign_hash_means_the_same_in_both_versions() {
    let v1 = read::<SignHashV1>(json!({
        "credentialID": "c", "SAD": "s", "hash": [HASH],
        "hashAlgo": SHA256, "signAlgo": crate::csc::RSA, "signAlgoParams": "BQA=",
    }));
    assert_eq!(v1.read().unwrap(), with("clientData", Value::Null).unwrap());
    assert!(with("hashAlgorithmOID", Value::Null).is_err());
    let implied = read::<SignHashV2>(json!({
        "credentialID": "c", "SAD": "s", "hashes": [HASH], "signAlgo": crate::csc::RSA_SHA256,
    }));
    assert_eq!(implied.read().unwrap(), with("operationMode", json!("S")).unwrap());
}

#[test]
fn what_is_wrong_is_named_as_the_specification_names_it() {
    for (member, value, expected) in [
        ("SAD", json!(7), "Missing (or invalid type) string parameter SAD"),
        ("SAD", Value::Null, "Missing (or invalid type) string parameter SAD"),
        ("credentialID", json!([]), "Missing (or invalid type) string parameter credentialID"),
        ("hashes", json!(HASH), "Missing (or invalid type) array parameter hashes"),
        ("hashes", json!([7]), "Missing (or invalid type) array parameter hashes"),
        ("hashes", json!([]), "Empty hash array"),
        ("hashes", json!(["*"]), "Invalid Base64 hash string parameter"),
        ("hashes", json!([HASH, "AAAA"]), "Invalid digest value length"),
        ("hashAlgorithmOID", json!("1.3.14.3.2.26"), "Invalid parameter hashAlgorithmOID"),
        (
            "hashAlgorithmOID",
            Value::Null,
            "Missing (or invalid type) string parameter hashAlgorithmOID",
        ),
        ("signAlgo", json!("1.2.840.113549.1.1.10"), "Invalid parameter signAlgo"),
        ("signAlgo", Value::Null, "Missing (or invalid type) string parameter signAlgo"),
        ("signAlgoParams", json!("MAA="), "Invalid parameter signAlgoParams"),
        ("operationMode", json!("B"), "Invalid parameter operationMode"),
    ] {
        assert_eq!(with(member, value).unwrap_err(), expected);
    }
}

#[test]
fn as_many_signatures_are_authorised_as_hashes_are_pinned() {
    let ask = |count: Value, hashes: Value| {
        let body = json!({"credentialID": "c", "numSignatures": count, "hash": hashes});
        read::<AuthorizeV1>(body).read().map_err(|wrong| wrong.to_string())
    };
    assert_eq!(ask(json!(1), json!([HASH])).unwrap().hashes.unwrap().len(), 1);
    assert_eq!(ask(json!(5), Value::Null).unwrap().count, 5);
    for (count, hashes, expected) in [
        (json!(0), Value::Null, "Invalid value for parameter numSignatures"),
        (json!(-1), Value::Null, "Invalid value for parameter numSignatures"),
        (json!("1"), Value::Null, "Missing (or invalid type) integer parameter numSignatures"),
        (Value::Null, Value::Null, "Missing (or invalid type) integer parameter numSignatures"),
        (json!(2), json!([HASH]), "numSignatures is not the number of hashes"),
    ] {
        assert_eq!(ask(count, hashes).unwrap_err(), expected);
    }
}

#[test]
fn a_member_that_stands_twice_is_not_read() {
    let twice = r#"{"handle": "a", "handle": "b"}"#;
    assert!(serde_json::from_str::<AuthorizeCheck>(twice).is_err());
}

#[test]
fn lists_say_how_much_is_wanted() {
    let page = read::<ListV1>(json!({"maxResults": 2, "pageToken": "t"})).read().unwrap();
    assert_eq!(page, Page { user: None, max: Some(2), after: Some("t".into()) });
    assert_eq!(read::<ListV1>(json!({"maxResults": 0})).read(), Err(Wrong::Invalid("maxResults")));
    assert_eq!(read::<ListV2>(json!({"certInfo": true})).read().unwrap().detail, None);
    let listing = read::<ListV2>(json!({"credentialInfo": true, "certificates": "chain"}));
    assert_eq!(listing.read().unwrap().detail.unwrap().certificates, Certificates::Chain);
    let odd = read::<Credential>(json!({"credentialID": "c", "certificates": "all"}));
    assert_eq!(odd.read(), Err(Wrong::Invalid("certificates")));
}

#[test]
fn what_is_fetched_later_says_for_how_long_it_is_kept() {
    let ask = |members: Value| {
        let mut body = json!({
            "credentialID": "c", "SAD": "s", "hashes": [HASH], "signAlgo": crate::csc::RSA_SHA256,
        });
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        read::<SignHashV2>(body).read().map(|asked| asked.later)
    };
    assert_eq!(ask(json!({"operationMode": "S"})), Ok(None));
    let kept = |members| ask(members).unwrap().unwrap().keep_s;
    assert_eq!(kept(json!({"operationMode": "A"})), 3_600);
    assert_eq!(kept(json!({"operationMode": "A", "validity_period": 1})), 1);
    assert_eq!(kept(json!({"operationMode": "A", "validity_period": 1_001})), 2);
    for (members, wrong) in [
        (json!({"validity_period": 1_000}), Wrong::Invalid("validity_period")),
        (json!({"response_uri": "https://a.test/"}), Wrong::Invalid("response_uri")),
        (
            json!({"operationMode": "A", "validity_period": -1}),
            Wrong::OutOfBounds("validity_period"),
        ),
        (json!({"operationMode": "A", "response_uri": 7}), Wrong::Invalid("response_uri")),
    ] {
        assert_eq!(ask(members), Err(wrong));
    }
}
