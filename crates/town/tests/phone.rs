//! The town's phones before the judge that judges real phones (`approval`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use approval::webauthn::{assertion, registration};
use approval::{AssertionResponse, Credential, RegistrationResponse, RelyingParty};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpki::encoding::{Digest32, sha256};
use hpki::refusal::Refuse;
use serde_json::{Value, json};
use town::phone::{Manner, Phone};

const HANDLE: &[u8] = b"0123456789abcdef";

fn rp() -> RelyingParty {
    RelyingParty { rp_id: "localhost".into(), origins: vec!["https://localhost:8443".into()] }
}

fn creation(challenge: &Digest32) -> Value {
    json!({
        "rp": { "id": "localhost", "name": "Azukari TEST" },
        "user": { "id": URL_SAFE_NO_PAD.encode(HANDLE), "name": "TEST100001", "displayName": "架空 花子" },
        "challenge": URL_SAFE_NO_PAD.encode(challenge),
        "pubKeyCredParams": [
            { "type": "public-key", "alg": -7 },
            { "type": "public-key", "alg": -257 },
            { "type": "public-key", "alg": -8 },
        ],
        "authenticatorSelection": {
            "residentKey": "required", "requireResidentKey": true, "userVerification": "required",
        },
        "attestation": "none",
    })
}

fn linked() -> (Phone, Credential) {
    let mut phone = Phone::new("電話", "https://localhost:8443").unwrap();
    let challenge = sha256(b"link");
    let answer = phone.link(&challenge, &creation(&challenge)).unwrap();
    let response = RegistrationResponse::from_json(&answer).unwrap();
    let credential = registration(&response, &challenge, &rp(), HANDLE).unwrap();
    (phone, credential)
}

fn judged(phone: &mut Phone, credential: &Credential) -> Result<(), &'static str> {
    let challenge = sha256(b"today");
    let options = json!({
        "challenge": URL_SAFE_NO_PAD.encode(challenge),
        "rpId": "localhost",
        "allowCredentials": [{ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(&credential.id) }],
        "userVerification": "required",
    });
    let answer = phone.get(&options).unwrap();
    let response = AssertionResponse::from_json(&answer).unwrap();
    assertion(&response, credential, &challenge, &rp()).map(|_| ()).map_err(|no| no.code())
}

#[test]
fn a_proper_phone_is_linked_and_believed_again_and_again() {
    let (mut phone, credential) = linked();
    assert_eq!(judged(&mut phone, &credential), Ok(()));
    assert_eq!(judged(&mut phone, &credential), Ok(()));
}

#[test]
fn each_misbehaviour_meets_its_own_refusal() {
    let (mut phone, credential) = linked();
    for (manner, code) in [
        (Manner::WrongOrigin("https://localhost.evil.example".into()), "origin-wrong"),
        (Manner::NoUserVerification, "user-not-verified"),
        (Manner::InFrame, "cross-origin"),
        (Manner::OtherChallenge, "challenge-mismatch"),
        (Manner::BrokenSignature, "assertion-signature-wrong"),
    ] {
        phone.behave(manner.clone());
        assert_eq!(judged(&mut phone, &credential), Err(code), "{manner:?}");
    }
    phone.behave(Manner::Proper);
    assert_eq!(judged(&mut phone, &credential), Ok(()));
}

#[test]
fn a_phone_that_did_not_verify_its_owner_cannot_be_linked() {
    let mut phone = Phone::new("電話", "https://localhost:8443").unwrap();
    phone.behave(Manner::NoUserVerification);
    let challenge = sha256(b"link");
    let answer = phone.create(&creation(&challenge)).unwrap();
    let response = RegistrationResponse::from_json(&answer).unwrap();
    let refusal = registration(&response, &challenge, &rp(), HANDLE).unwrap_err();
    assert_eq!(refusal.code(), "user-not-verified");
}

#[test]
fn another_phone_is_not_this_phone() {
    let (_, credential) = linked();
    let (mut other, own) = linked();
    assert_eq!(judged(&mut other, &own), Ok(()));
    let challenge = sha256(b"today");
    let options = json!({ "challenge": URL_SAFE_NO_PAD.encode(challenge), "rpId": "localhost",
        "userVerification": "required" });
    let answer = AssertionResponse::from_json(&other.get(&options).unwrap()).unwrap();
    let refusal = assertion(&answer, &credential, &challenge, &rp()).unwrap_err();
    assert_eq!(refusal.code(), "credential-unknown");
}
