//! The W3C's published ceremonies (Web Authentication Level 3, §16), judged by our code.

use serde_json::Value as Json;

use super::*;
use crate::refusal::Refusal;

const VECTORS: &str = include_str!("../../tests/vectors/webauthn/w3c-vectors.json");

/// The vectors vary user verification, frames and algorithms freely.
const LAX: Profile = Profile { user_verified: false, same_origin: false, any_algorithm: true };

fn octets(json: &Json, name: &str) -> Vec<u8> {
    hex::decode(json[name].as_str().unwrap()).unwrap()
}

struct Case {
    id: String,
    rp: RelyingParty,
    registration: RegistrationResponse,
    registration_challenge: Vec<u8>,
    assertion: AssertionResponse,
    assertion_challenge: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let all: Json = serde_json::from_str(VECTORS).unwrap();
    let rp = RelyingParty {
        rp_id: all["rp_id"].as_str().unwrap().into(),
        origins: vec![all["origin"].as_str().unwrap().into()],
    };
    let cases = all["cases"].as_array().unwrap();
    cases
        .iter()
        .map(|case| {
            let (created, got) = (&case["registration"], &case["authentication"]);
            let id = octets(created, "credential_id");
            Case {
                id: case["id"].as_str().unwrap().into(),
                rp: rp.clone(),
                registration: RegistrationResponse {
                    credential_id: id.clone(),
                    client_data_json: octets(created, "clientDataJSON"),
                    attestation_object: octets(created, "attestationObject"),
                },
                registration_challenge: octets(created, "challenge"),
                assertion: AssertionResponse {
                    credential_id: id,
                    client_data_json: octets(got, "clientDataJSON"),
                    authenticator_data: octets(got, "authenticatorData"),
                    signature: octets(got, "signature"),
                    user_handle: None,
                },
                assertion_challenge: octets(got, "challenge"),
            }
        })
        .collect()
}

fn register(case: &Case, profile: Profile) -> Result<Credential, Refusal> {
    registration::registration_under(
        &case.registration,
        &case.registration_challenge,
        &case.rp,
        b"handle",
        profile,
    )
}

fn assert_by(case: &Case, credential: &Credential) -> Result<AssertionOutcome, Refusal> {
    assertion::assertion_under(
        &case.assertion,
        credential,
        &case.assertion_challenge,
        &case.rp,
        LAX,
    )
}

#[test]
fn every_published_ceremony_is_accepted_except_ed448() {
    let cases = cases();
    assert_eq!(cases.len(), 15);
    for case in &cases {
        let registered = register(case, LAX);
        if case.id.ends_with("ed448") {
            assert!(matches!(registered, Err(Refusal::AlgorithmUnsupported(_))), "{}", case.id);
            continue;
        }
        let credential = registered.unwrap_or_else(|refusal| panic!("{}: {refusal}", case.id));
        assert_by(case, &credential).unwrap_or_else(|refusal| panic!("{}: {refusal}", case.id));
    }
}

#[test]
fn attestations_are_reported_as_far_as_they_were_judged() {
    for case in cases().iter().filter(|case| !case.id.ends_with("ed448")) {
        let attestation = register(case, LAX).unwrap().attestation;
        let expected = match &case.id {
            id if id.contains("-packed-self-") => attestation == Attestation::PackedSelf,
            id if id.contains("-packed-") => matches!(attestation, Attestation::Packed { .. }),
            id if id.contains("-none-") => attestation == Attestation::None,
            _ => matches!(attestation, Attestation::NotEvaluated { .. }),
        };
        assert!(expected, "{}: {attestation:?}", case.id);
    }
}

#[test]
fn under_the_strict_profile_each_ceremony_stands_or_falls_for_its_own_reason() {
    let mut accepted = 0;
    for case in &cases() {
        let expected = match case.id.strip_prefix("sctn-test-vectors-").unwrap() {
            "none-es256-crossOrigin" | "none-es256-topOrigin" => Some(Refusal::CrossOrigin),
            _ if flags(case) & auth_data::UV == 0 => Some(Refusal::UserNotVerified),
            "packed-es512" => Some(Refusal::AlgorithmUnsupported(-36)),
            "packed-es384" => Some(Refusal::AlgorithmUnsupported(-35)),
            "packed-ed448" => Some(Refusal::AlgorithmUnsupported(-8)),
            _ => None,
        };
        assert_eq!(register(case, STRICT).err(), expected, "{}", case.id);
        accepted += usize::from(expected.is_none());
    }
    assert!(accepted >= 4, "only {accepted} ceremonies are user-verified");
}

fn flags(case: &Case) -> u8 {
    let object = cbor::only(&case.registration.attestation_object).unwrap();
    cbor::member(&object, "authData").unwrap().as_bytes().unwrap()[32]
}

#[test]
fn no_published_ceremony_survives_a_changed_bit() {
    for case in cases().iter().filter(|case| !case.id.ends_with("ed448")) {
        let credential = register(case, LAX).unwrap();
        let length = case.assertion.authenticator_data.len();
        for position in 0..length {
            for bit in 0..8 {
                let mut changed = copy(case);
                changed.assertion.authenticator_data[position] ^= 1 << bit;
                assert!(assert_by(&changed, &credential).is_err(), "{} octet {position}", case.id);
            }
        }
        for position in [0, case.assertion.signature.len() - 1] {
            let mut changed = copy(case);
            changed.assertion.signature[position] ^= 1;
            assert_eq!(
                assert_by(&changed, &credential),
                Err(Refusal::AssertionSignatureWrong),
                "{} signature octet {position}",
                case.id
            );
        }
    }
}

#[test]
fn a_packed_attestation_with_a_changed_signature_is_refused() {
    for case in cases().iter().filter(|case| case.id.contains("-packed-")) {
        if case.id.ends_with("ed448") {
            continue;
        }
        let mut changed = copy(case);
        let object = &mut changed.registration.attestation_object;
        let at = object.windows(4).position(|window| window == b"csig").unwrap() + 8;
        object[at + 8] ^= 1;
        assert!(
            matches!(register(&changed, LAX), Err(Refusal::AttestationWrong(_))),
            "{}",
            case.id
        );
    }
}

fn copy(case: &Case) -> Case {
    Case {
        id: case.id.clone(),
        rp: case.rp.clone(),
        registration: case.registration.clone(),
        registration_challenge: case.registration_challenge.clone(),
        assertion: case.assertion.clone(),
        assertion_challenge: case.assertion_challenge.clone(),
    }
}
