//! The W3C's published ceremonies (Web Authentication Level 3, §16), judged by our code.

use hpki::time::Timestamp;
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

fn at(year: u64) -> Timestamp {
    Timestamp::from_seconds((year - 1970) * 31_556_952)
}

fn authority() -> Vec<u8> {
    let all: Json = serde_json::from_str(VECTORS).unwrap();
    octets(&all, "attestation_ca_cert")
}

fn packed() -> Vec<(String, Attestation)> {
    let told = |case: &Case| register(case, LAX).ok().map(|made| made.attestation);
    let all = cases().into_iter().filter_map(|case| Some((case.id.clone(), told(&case)?)));
    all.filter(|(_, told)| matches!(told, Attestation::Packed { .. })).collect()
}

#[test]
fn listed_makers_are_known_by_certificates_that_lead_to_their_root() {
    let listed = Makers::only(vec![Maker::new("W3C", &[authority()], Vec::new()).unwrap()]);
    let packed = packed();
    assert_eq!(packed.len(), 5);
    for (id, told) in &packed {
        assert_eq!(listed.judge(told, at(2026)), Ok(()), "{id}");
        let (early, late) = (listed.judge(told, at(2023)), listed.judge(told, at(3025)));
        assert_eq!(
            (early, late),
            (Err(Refusal::AuthenticatorNotListed), Err(Refusal::AuthenticatorNotListed))
        );
    }
    for case in &cases() {
        let Ok(made) = register(case, LAX) else { continue };
        let judged = listed.judge(&made.attestation, at(2026));
        let expected = match made.attestation {
            Attestation::Packed { .. } => Ok(()),
            _ => Err(Refusal::AttestationMissing),
        };
        assert_eq!(judged, expected, "{}", case.id);
        assert_eq!(Makers::default().judge(&made.attestation, at(2026)), Ok(()), "{}", case.id);
    }
}

#[test]
fn a_model_counts_only_under_its_makers_root_and_a_tampered_chain_leads_nowhere() {
    let (_, told) = packed().swap_remove(0);
    let Attestation::Packed { aaguid, chain } = told.clone() else { panic!("packed") };
    let makers =
        |root: Vec<u8>, models| Makers::only(vec![Maker::new("m", &[root], models).unwrap()]);
    let not_listed = Err(Refusal::AuthenticatorNotListed);
    let own = makers(authority(), vec![Aaguid(aaguid)]);
    assert_eq!(own.judge(&told, at(2026)), Ok(()));
    assert_eq!(makers(authority(), vec![Aaguid([7; 16])]).judge(&told, at(2026)), not_listed);
    // Its own certificate is no authority's, nor is the root of somebody else hers.
    let leaf = chain[0].0.clone();
    assert_eq!(makers(leaf, vec![Aaguid(aaguid)]).judge(&told, at(2026)), not_listed);
    // The root may stand at the end; nothing else may.
    let with = |more: Vec<attestation::Der>| Attestation::Packed { aaguid, chain: more };
    let der = |octets: Vec<u8>| attestation::Der(octets);
    let whole = with(vec![chain[0].clone(), der(authority())]);
    assert_eq!(own.judge(&whole, at(2026)), Ok(()));
    let doubled = with(vec![chain[0].clone(), chain[0].clone()]);
    assert_eq!(own.judge(&doubled, at(2026)), not_listed);
    assert_eq!(own.judge(&with(vec![der(authority())]), at(2026)), not_listed);
    assert_eq!(own.judge(&with(vec![chain[0].clone(); 6]), at(2026)), not_listed);
    // Each octet of the certificate's signature matters.
    let mut forged = chain[0].0.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(own.judge(&with(vec![der(forged)]), at(2026)), not_listed);
    assert!(Maker::new("m", &[b"no certificate".to_vec()], Vec::new()).is_err());
    assert!(Maker::new("m", &[], Vec::new()).is_err());
}

#[test]
fn a_model_is_written_like_a_uuid_and_not_otherwise() {
    let text = "2fc0579f-8113-47ea-b116-bb5a8db9202a";
    let read: Aaguid = text.parse().unwrap();
    assert_eq!(hex::encode(read.0), text.replace('-', ""));
    for wrong in [
        "",
        "2fc0579f811347eab116bb5a8db9202a",
        "2fc0579f-8113-47ea-b116-bb5a8db9202",
        "2fc0579f-8113-47ea-b116-bb5a8db920+a",
        "2fc0579f-8113-47ea-b116-bb5a8db92é",
    ] {
        assert!(wrong.parse::<Aaguid>().is_err(), "{wrong}");
    }
}
