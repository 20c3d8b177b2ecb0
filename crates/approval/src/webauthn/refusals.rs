//! One test for each way to be refused.

use ciborium::Value;
use hpki::encoding::sha256;
use hpki::id::BindingId;
use hpki::time::Timestamp;

use super::auth_data::{BE, BS, ED, UP, UV};
use super::*;
use crate::refusal::Refusal;
use crate::simulator::{Phone, assertion_json, cbor, registration_json};
use crate::statement::Statement;
use crate::statement::tests::{link, session};
use crate::{Approval, AssertionEvidence, LinkEvidence, Proof, check, check_link};

const ORIGIN: &str = "http://localhost:8080";
const HANDLE: &[u8] = b"handle";
const CHALLENGE: [u8; 32] = [7; 32];

fn rp() -> RelyingParty {
    RelyingParty { rp_id: "localhost".into(), origins: vec![ORIGIN.into()] }
}

fn phone() -> Phone {
    Phone::new("localhost", ORIGIN, b"credential")
}

fn register(response: &RegistrationResponse) -> Result<Credential, Refusal> {
    registration(response, &CHALLENGE, &rp(), HANDLE)
}

/// Registers a good phone, lets `change` spoil it, and says how its assertion is judged.
fn judged(change: impl FnOnce(&mut Phone)) -> Result<AssertionOutcome, Refusal> {
    let mut phone = phone();
    let credential = register(&phone.create(&CHALLENGE, HANDLE)).unwrap();
    change(&mut phone);
    assertion(&phone.get(&CHALLENGE), &credential, &CHALLENGE, &rp())
}

/// Lets `change` spoil a phone before it registers.
fn registered(change: impl FnOnce(&mut Phone)) -> Result<Credential, Refusal> {
    let mut phone = phone();
    change(&mut phone);
    register(&phone.create(&CHALLENGE, HANDLE))
}

fn with_key(members: &[(i64, Value)]) -> Result<Credential, Refusal> {
    let key = members.iter().map(|(label, value)| ((*label).into(), value.clone())).collect();
    let phone = phone();
    register(&phone.create_with("none", Value::Map(vec![]), &CHALLENGE, &cbor(&Value::Map(key))))
}

#[test]
fn a_good_phone_is_accepted() {
    assert_eq!(judged(|_| ()), Ok(AssertionOutcome { sign_count: 0, backup_state: false }));
    assert_eq!(registered(|_| ()).unwrap().user_handle, HANDLE);
}

#[test]
fn another_challenge_is_refused() {
    let mut phone = phone();
    let response = phone.create(&[8; 32], HANDLE);
    assert_eq!(register(&response), Err(Refusal::ChallengeMismatch));
    let credential = register(&phone.create(&CHALLENGE, HANDLE)).unwrap();
    let judged = assertion(&phone.get(&[8; 32]), &credential, &CHALLENGE, &rp());
    assert_eq!(judged, Err(Refusal::ChallengeMismatch));
}

#[test]
fn another_type_is_refused() {
    let mut phone = phone();
    let credential = register(&phone.create(&CHALLENGE, HANDLE)).unwrap();
    let response = phone.get_as("webauthn.create", &CHALLENGE);
    assert_eq!(assertion(&response, &credential, &CHALLENGE, &rp()), Err(Refusal::TypeWrong));
}

#[test]
fn another_origin_is_refused() {
    for origin in ["https://localhost:8080", "http://localhost", "http://localhost:8080/", "null"] {
        assert_eq!(judged(|phone| phone.origin = origin.into()), Err(Refusal::OriginWrong));
        assert_eq!(registered(|phone| phone.origin = origin.into()), Err(Refusal::OriginWrong));
    }
}

#[test]
fn another_relying_party_is_refused() {
    assert_eq!(judged(|phone| phone.rp_id = "example.org".into()), Err(Refusal::RpIdWrong));
    assert_eq!(registered(|phone| phone.rp_id = "example.org".into()), Err(Refusal::RpIdWrong));
}

#[test]
fn a_foreign_frame_is_refused() {
    for extra in [r#","crossOrigin":true"#, r#","topOrigin":"https://evil.example""#] {
        assert_eq!(judged(|phone| phone.extra = extra.into()), Err(Refusal::CrossOrigin));
        assert_eq!(registered(|phone| phone.extra = extra.into()), Err(Refusal::CrossOrigin));
    }
}

#[test]
fn doubled_members_of_client_data_are_refused() {
    let extra = r#","origin":"http://localhost:8080""#;
    let malformed = Refusal::WebauthnMalformed("clientDataJSON");
    assert_eq!(judged(|phone| phone.extra = extra.into()), Err(malformed));
}

#[test]
fn an_absent_person_is_refused() {
    assert_eq!(judged(|phone| phone.flags = UV), Err(Refusal::UserNotPresent));
    assert_eq!(registered(|phone| phone.flags = UV), Err(Refusal::UserNotPresent));
}

#[test]
fn an_unverified_person_is_refused() {
    assert_eq!(judged(|phone| phone.flags = UP), Err(Refusal::UserNotVerified));
    assert_eq!(registered(|phone| phone.flags = UP), Err(Refusal::UserNotVerified));
}

#[test]
fn contradicting_backup_flags_are_refused() {
    assert_eq!(registered(|phone| phone.flags |= BS), Err(Refusal::BackupFlagsWrong));
    assert_eq!(judged(|phone| phone.flags |= BS), Err(Refusal::BackupFlagsWrong));
    // Eligibility changed after registration.
    assert_eq!(judged(|phone| phone.flags |= BE), Err(Refusal::BackupFlagsWrong));
    let credential = registered(|phone| phone.flags |= BE | BS).unwrap();
    assert!(credential.backup_eligible && credential.backup_state);
}

#[test]
fn a_counter_must_rise_unless_both_are_zero() {
    let mut phone = phone();
    let mut credential = register(&phone.create(&CHALLENGE, HANDLE)).unwrap();
    for (stored, sent, good) in
        [(0, 0, true), (0, 1, true), (5, 6, true), (5, 5, false), (5, 4, false), (5, 0, false)]
    {
        credential.sign_count = stored;
        phone.counter = sent;
        let judged = assertion(&phone.get(&CHALLENGE), &credential, &CHALLENGE, &rp());
        let expected = if good {
            Ok(AssertionOutcome { sign_count: sent, backup_state: false })
        } else {
            Err(Refusal::CounterNotRising)
        };
        assert_eq!(judged, expected, "{stored} then {sent}");
    }
}

#[test]
fn another_user_handle_or_credential_is_refused() {
    let other = Some(b"other".to_vec());
    assert_eq!(judged(|phone| phone.user_handle = other), Err(Refusal::UserHandleWrong));
    assert!(judged(|phone| phone.user_handle = None).is_ok());
    assert_eq!(
        judged(|phone| phone.credential_id = b"other".to_vec()),
        Err(Refusal::CredentialUnknown)
    );
    let mut response = phone().create(&CHALLENGE, HANDLE);
    response.credential_id = b"other".to_vec();
    assert_eq!(register(&response), Err(Refusal::CredentialUnknown));
}

#[test]
fn a_wrong_signature_is_refused() {
    let mut phone = phone();
    let credential = register(&phone.create(&CHALLENGE, HANDLE)).unwrap();
    let mut response = phone.get(&CHALLENGE);
    response.signature = phone.sign(b"something else");
    let judged = assertion(&response, &credential, &CHALLENGE, &rp());
    assert_eq!(judged, Err(Refusal::AssertionSignatureWrong));
}

#[test]
fn unsupported_algorithms_are_refused() {
    let octets = Value::Bytes(vec![1; 57]);
    let ed448 = [(1, 1.into()), (3, (-8).into()), (-1, 7.into()), (-2, octets.clone())];
    assert_eq!(with_key(&ed448), Err(Refusal::AlgorithmUnsupported(-8)));
    let unknown = [(1, 2.into()), (3, (-47).into()), (-1, 8.into()), (-2, octets)];
    assert_eq!(with_key(&unknown), Err(Refusal::AlgorithmUnsupported(-47)));
}

#[test]
fn weak_or_malformed_keys_are_refused() {
    let bytes = |octet: u8, length: usize| Value::Bytes(vec![octet; length]);
    let bad: [&[(i64, Value)]; 7] = [
        // Not on the curve.
        &[(1, 2.into()), (3, (-7).into()), (-1, 1.into()), (-2, bytes(1, 32)), (-3, bytes(1, 32))],
        // Short coordinate.
        &[(1, 2.into()), (3, (-7).into()), (-1, 1.into()), (-2, bytes(1, 31)), (-3, bytes(1, 32))],
        // Another curve than the algorithm's.
        &[(1, 2.into()), (3, (-7).into()), (-1, 2.into()), (-2, bytes(1, 48)), (-3, bytes(1, 48))],
        // Another key type.
        &[(1, 3.into()), (3, (-7).into()), (-1, 1.into()), (-2, bytes(1, 32)), (-3, bytes(1, 32))],
        // RSA of 1,024 bits.
        &[(1, 3.into()), (3, (-257).into()), (-1, bytes(0xff, 128)), (-2, bytes(3, 1))],
        // An Ed25519 key of the wrong length.
        &[(1, 1.into()), (3, (-8).into()), (-1, 6.into()), (-2, bytes(1, 31))],
        // No algorithm.
        &[(1, 2.into())],
    ];
    for members in bad {
        assert!(matches!(with_key(members), Err(Refusal::CredentialKeyWrong(_))), "{members:?}");
    }
}

#[test]
fn a_wrong_attestation_is_refused() {
    let phone = phone();
    let cose = phone.cose();
    let packed = |sig: Vec<u8>, alg: i64| {
        Value::Map(vec![("alg".into(), alg.into()), ("sig".into(), Value::Bytes(sig))])
    };
    let sign = |format: &str| {
        let draft = phone.create_with(format, Value::Map(vec![]), &CHALLENGE, &cose);
        let object = cbor::only(&draft.attestation_object).unwrap();
        let mut signed = cbor::member(&object, "authData").unwrap().as_bytes().unwrap().clone();
        signed.extend_from_slice(&sha256(&draft.client_data_json));
        phone.sign(&signed)
    };
    let cases = [
        ("packed", packed(sign("packed"), -7), true),
        ("packed", packed(phone.sign(b"other"), -7), false),
        ("packed", packed(sign("packed"), -257), false),
        ("packed", Value::Map(vec![]), false),
        ("none", packed(vec![], -7), false),
        ("home-made", Value::Map(vec![]), false),
    ];
    for (format, statement, good) in cases {
        let judged = register(&phone.create_with(format, statement, &CHALLENGE, &cose));
        match judged {
            Ok(credential) => assert!(good && credential.attestation == Attestation::PackedSelf),
            Err(refusal) => {
                assert!(!good && matches!(refusal, Refusal::AttestationWrong(_)), "{refusal}");
            }
        }
    }
}

#[test]
fn malformed_messages_are_refused() {
    let mut phone = phone();
    let good = phone.create(&CHALLENGE, HANDLE);
    let credential = register(&good).unwrap();
    let malformed = |result: Result<Credential, Refusal>| {
        assert!(matches!(result, Err(Refusal::WebauthnMalformed(_))), "{result:?}");
    };
    for length in 0..good.attestation_object.len() {
        let mut short = good.clone();
        short.attestation_object.truncate(length);
        malformed(register(&short));
    }
    let mut long = good.clone();
    long.attestation_object.push(0);
    malformed(register(&long));
    let mut latin = good.clone();
    latin.client_data_json.insert(1, 0xff);
    malformed(register(&latin));
    let mut huge = good;
    huge.client_data_json.resize(9_000, b' ');
    malformed(register(&huge));

    let answer = phone.get(&CHALLENGE);
    for change in [
        |data: &mut Vec<u8>| data.truncate(36),
        |data: &mut Vec<u8>| data.push(0),
        |data: &mut Vec<u8>| data[32] |= ED,
        |data: &mut Vec<u8>| data.clear(),
    ] {
        let mut spoiled = answer.clone();
        change(&mut spoiled.authenticator_data);
        let judged = assertion(&spoiled, &credential, &CHALLENGE, &rp());
        assert!(matches!(judged, Err(Refusal::WebauthnMalformed(_))), "{judged:?}");
    }
}

#[test]
fn the_browsers_json_is_read_and_a_strange_one_is_refused() {
    let mut phone = phone();
    let created = phone.create(&CHALLENGE, HANDLE);
    let got = phone.get(&CHALLENGE);
    let json = registration_json(&created);
    assert_eq!(RegistrationResponse::from_json(&json), Ok(created));
    assert_eq!(AssertionResponse::from_json(&assertion_json(&got)), Ok(got.clone()));
    let mut other = assertion_json(&got);
    other["id"] = "AAAA".into();
    assert_eq!(AssertionResponse::from_json(&other), Err(Refusal::WebauthnMalformed("id")));
    let mut padded = assertion_json(&got);
    padded["response"]["signature"] = "AA==".into();
    assert_eq!(AssertionResponse::from_json(&padded), Err(Refusal::WebauthnMalformed("base64url")));
    let mut password = json;
    password["type"] = "password".into();
    assert_eq!(RegistrationResponse::from_json(&password), Err(Refusal::WebauthnMalformed("type")));
}

fn approval(phone: &Phone, credential: &Credential) -> Approval {
    let statement = Statement::Session(session());
    Approval {
        proof: Proof::Phone(AssertionEvidence::new(&phone.get(&statement.challenge()), credential)),
        statement,
        binding: BindingId::from_octets([9; 16]),
        approved: Timestamp::from_seconds(1_010),
        number_confirmed: false,
    }
}

#[test]
fn evidence_survives_json_and_is_checked_again_from_it() {
    let mut phone = phone();
    let statement = link();
    let evidence = LinkEvidence {
        registration: phone.create(&statement.challenge(), HANDLE),
        statement,
        user_handle: HANDLE.into(),
        binding: BindingId::from_octets([9; 16]),
        linked: Timestamp::from_seconds(900),
    };
    let text = serde_json::to_string(&evidence).unwrap();
    let evidence: LinkEvidence = serde_json::from_str(&text).unwrap();
    let credential = check_link(&evidence, &rp()).unwrap();
    let approval = approval(&phone, &credential);
    let text = serde_json::to_string(&approval).unwrap();
    let again: Approval = serde_json::from_str(&text).unwrap();
    assert_eq!(again.evidence_hash(), approval.evidence_hash());
    assert!(check(&again, &credential, &rp()).is_ok());
}

#[test]
fn evidence_of_another_statement_key_or_party_is_refused() {
    let mut phone = phone();
    let credential = register(&phone.create(&CHALLENGE, HANDLE)).unwrap();
    let good = approval(&phone, &credential);

    let mut terminal = good.clone();
    if let Statement::Session(statement) = &mut terminal.statement {
        statement.terminal_id = "another".into();
    }
    assert_eq!(check(&terminal, &credential, &rp()), Err(Refusal::ChallengeMismatch));

    let mut cose = good.clone();
    cose.proof.phone_mut().unwrap().cose.push(0);
    assert_eq!(check(&cose, &credential, &rp()), Err(Refusal::EvidenceWrong("cose")));

    let elsewhere = RelyingParty { rp_id: "example.org".into(), origins: vec![ORIGIN.into()] };
    assert_eq!(check(&good, &credential, &elsewhere), Err(Refusal::RpIdWrong));

    let mut later = good.clone();
    later.approved = later.approved.plus(1);
    assert_ne!(later.evidence_hash(), good.evidence_hash());
}
