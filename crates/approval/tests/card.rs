//! A card's signature over a statement: what is believed, and each way in which it is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../hpki/tests/support/mod.rs"]
mod support;

use std::process::Command;

use approval::{
    Approval, CardEvidence, CardMeans, CardTrust, Means, Proof, Refusal, Statement, StopStatement,
    check_hpki, check_jpki,
};
use hpki::Certificate;
use hpki::crl::{Reason, Revoked};
use hpki::id::{BindingId, KeyId, PersonId};
use hpki::oid;
use hpki::profile::Validity;
use hpki::profile::crl::Scope;
use hpki::refusal::Refuse as _;
use hpki::sign::Sign as _;
use hpki::time::Timestamp;
use support::{ThrowawayKey, estate, keys, now};

const DAY: u64 = 86_400;

fn statement(nonce: u8) -> Statement {
    Statement::Stop(StopStatement {
        issuer: "https://platform.test".into(),
        rp_id: "platform.test".into(),
        nonce: [nonce; 32],
        person: PersonId::from_octets([1; 16]),
        key: KeyId::from_octets([2; 16]),
    })
}

fn trust() -> CardTrust {
    CardTrust {
        anchors: estate().anchor(),
        intermediates: vec![estate().medis_auth.clone(), estate().jma_auth.clone()],
        lists: estate().crls(),
        policies: vec![oid::POLICY_AUTHENTICATION],
        oldest_list_s: 4 * DAY,
    }
}

/// What this card's key makes of a statement.
fn approved(means: CardMeans, card: &Certificate, key: &ThrowawayKey) -> Approval {
    let statement = statement(7);
    let signature = key.sign(&statement.challenge()).unwrap();
    Approval {
        proof: Proof::Card(CardEvidence { means, certificate: card.der().to_vec(), signature }),
        binding: CardEvidence::own_binding(card.der()),
        statement,
        approved: now(),
        number_confirmed: false,
    }
}

fn by_doctor() -> Approval {
    approved(CardMeans::Hpki, &estate().doctor_card, &keys().card)
}

fn card_of(approval: &mut Approval) -> &mut CardEvidence {
    match &mut approval.proof {
        Proof::Card(card) => card,
        Proof::Phone(_) => panic!("a card"),
    }
}

fn code(approval: &Approval, trust: &CardTrust, at: Timestamp) -> &'static str {
    check_hpki(approval, trust, at).expect_err("must be refused").code()
}

#[test]
fn an_hpki_card_that_signed_the_statement_is_believed() {
    let certificate = check_hpki(&by_doctor(), &trust(), now()).unwrap();
    assert_eq!(certificate.subject_serial_number(), Some("Test117120"));
    assert_eq!(by_doctor().means(), Means::Hpki);
}

#[test]
fn openssl_agrees_about_a_file_of_the_challenges_32_octets() {
    let approval = by_doctor();
    let folder = tempfile::tempdir().unwrap();
    let card = approval.proof.card().unwrap();
    std::fs::write(folder.path().join("challenge"), approval.statement.challenge()).unwrap();
    std::fs::write(folder.path().join("signature"), &card.signature).unwrap();
    std::fs::write(folder.path().join("card.pem"), estate().doctor_card.pem()).unwrap();
    let run = |arguments: &[&str]| {
        let ran = Command::new("openssl").current_dir(folder.path()).args(arguments).output();
        ran.expect("openssl must be installed: it judges our signatures")
    };
    let key = run(&["x509", "-in", "card.pem", "-noout", "-pubkey"]);
    std::fs::write(folder.path().join("key.pem"), key.stdout).unwrap();
    let judged =
        run(&["dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "challenge"]);
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}

#[test]
fn an_approval_by_card_reads_back_and_has_exactly_one_proof() {
    let approval = by_doctor();
    let text = serde_json::to_string(&approval).unwrap();
    assert_eq!(serde_json::from_str::<Approval>(&text).unwrap(), approval);
    assert!(text.contains(r#""card":{"means":"hpki","certificate":""#), "{text}");
    assert!(!text.contains("webauthn"), "{text}");
    let none = text.replacen(r#""card":"#, r#""cart":"#, 1);
    assert!(serde_json::from_str::<Approval>(&none).is_err());
    let mut both: serde_json::Value = serde_json::from_str(&text).unwrap();
    both["webauthn"] = serde_json::json!({
        "credentialId": "", "clientDataJSON": "", "authenticatorData": "", "signature": "",
        "userHandle": null, "cose": "",
    });
    assert!(serde_json::from_value::<Approval>(both.clone()).is_err());
    both.as_object_mut().unwrap().remove("card");
    assert_eq!(serde_json::from_value::<Approval>(both).unwrap().means(), Means::Phone);
}

#[test]
fn the_evidence_hash_commits_to_means_certificate_and_signature() {
    let whole = by_doctor().evidence_hash();
    let changes: [fn(&mut Approval); 5] = [
        |a| card_of(a).means = CardMeans::Jpki,
        |a| card_of(a).certificate.push(0),
        |a| card_of(a).signature[0] ^= 1,
        |a| a.binding = BindingId::from_octets([9; 16]),
        |a| a.approved = a.approved.plus(1),
    ];
    for change in changes {
        let mut approval = by_doctor();
        change(&mut approval);
        assert_ne!(approval.evidence_hash(), whole);
    }
}

#[test]
fn each_part_of_a_cards_answer_has_its_own_refusal() {
    type Change = fn(&mut Approval);
    let changes: [(Change, &str); 7] = [
        (|a| a.statement = statement(8), "card-signature-wrong"),
        (|a| card_of(a).signature[9] ^= 1, "card-signature-wrong"),
        (|a| card_of(a).signature.truncate(255), "card-signature-wrong"),
        (|a| card_of(a).signature = vec![1; 513], "card-malformed"),
        (|a| card_of(a).certificate.truncate(40), "card-malformed"),
        (|a| card_of(a).means = CardMeans::Jpki, "means-wrong"),
        (|a| a.binding = BindingId::from_octets([9; 16]), "evidence-wrong"),
    ];
    for (change, expected) in changes {
        let mut approval = by_doctor();
        change(&mut approval);
        assert_eq!(code(&approval, &trust(), now()), expected);
    }
    let mut large = by_doctor();
    card_of(&mut large).certificate.resize(9 * 1024, 0);
    assert_eq!(code(&large, &trust(), now()), "card-malformed");
}

#[test]
fn another_persons_card_does_not_answer_for_this_one() {
    let mut approval = by_doctor();
    card_of(&mut approval).signature =
        keys().other_card.sign(&approval.statement.challenge()).unwrap();
    assert_eq!(code(&approval, &trust(), now()), "card-signature-wrong");
}

#[test]
fn only_sha_256_with_the_padding_of_pkcs_1_counts() {
    let approval = by_doctor();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let ran = Command::new("openssl").args(arguments).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    };
    std::fs::write(at("challenge"), approval.statement.challenge()).unwrap();
    let (key, crt) = (at("key"), at("crt"));
    let files = ["req", "-x509", "-keyout", &key, "-out", &crt];
    let days = ["-days", "3000", "-subj", "/CN=TEST", "-nodes", "-newkey", "rsa:2048"];
    openssl(&[&files[..], &days].concat());
    let certificate = Certificate::from_pem(&std::fs::read(at("crt")).unwrap()).unwrap();
    let judged = |options: &[&str]| {
        let (challenge, signature) = (at("challenge"), at("signature"));
        let sign = ["dgst", "-sign", &key, "-out", &signature];
        openssl(&[&sign[..], options, &[&challenge]].concat());
        let mut approval = approval.clone();
        *card_of(&mut approval) = CardEvidence {
            means: CardMeans::Jpki,
            certificate: certificate.der().to_vec(),
            signature: std::fs::read(at("signature")).unwrap(),
        };
        check_jpki(&approval, &certificate, certificate.not_before())
    };
    assert_eq!(judged(&["-sha256"]), Ok(()));
    let wrong = Err(Refusal::CardSignatureWrong);
    assert_eq!(judged(&["-sha1"]), wrong);
    assert_eq!(judged(&["-sha512"]), wrong);
    assert_eq!(judged(&["-sha256", "-sigopt", "rsa_padding_mode:pss"]), wrong);
}

#[test]
fn the_chain_of_an_hpki_card_is_judged_whole() {
    let other_root = hpki::path::Anchor { certificate: estate().other_root.clone() };
    type Change<'a> = &'a dyn Fn(&mut CardTrust);
    let changes: [(Change<'_>, &str); 6] = [
        (&|t| t.anchors.clear(), "card-issuer-unknown"),
        (&|t| t.anchors = vec![other_root.clone()], "card-issuer-unknown"),
        (&|t| t.intermediates.clear(), "card-issuer-unknown"),
        (&|t| t.policies = vec![oid::POLICY_SIGNING], "card-not-for-authentication"),
        (&|t| t.policies.clear(), "card-not-for-authentication"),
        (&|t| t.lists.clear(), "card-status-unknown"),
    ];
    for (change, expected) in changes {
        let mut trust = trust();
        change(&mut trust);
        assert_eq!(code(&by_doctor(), &trust, now()), expected);
    }
}

#[test]
fn a_signing_certificate_authenticates_nobody() {
    let mut trust = trust();
    trust.intermediates.push(estate().medis.clone());
    let signing = approved(CardMeans::Hpki, &estate().doctor, &keys().doctor);
    assert_eq!(code(&signing, &trust, now()), "card-not-for-authentication");
    trust.policies.push(oid::POLICY_SIGNING);
    assert_eq!(code(&signing, &trust, now()), "card-not-for-authentication");
}

#[test]
fn a_card_of_the_test_arm_is_refused_where_production_is_accepted() {
    let arm = oid::ObjectIdentifier::new_unwrap("1.2.392.100495.1.5.1.2.0.1");
    let validity = (Validity::years_from_day(now(), 5), false);
    let spki = keys().card.spki_der();
    let issuer = (&estate().medis_auth, &keys().medis_auth);
    let card = support::doctor_card(arm, issuer.0, issuer.1, validity, spki);
    let approval = approved(CardMeans::Hpki, &card, &keys().card);
    assert_eq!(code(&approval, &trust(), now()), "card-not-for-authentication");
}

#[test]
fn a_revoked_or_expired_card_is_refused_and_an_old_list_proves_nothing() {
    let revoked = Revoked { at: now().minus(60), reason: Reason::KeyCompromise };
    let entries = [(estate().doctor_card.serial().to_vec(), revoked)];
    let mut revoking = trust();
    let issuer = (&estate().medis_auth, &keys().medis_auth);
    let list = support::list(issuer.0, issuer.1, Scope::All, now(), &entries);
    revoking.lists.push(list);
    assert_eq!(code(&by_doctor(), &revoking, now()), "card-revoked");
    // The other card of the estate is not concerned.
    let other = approved(CardMeans::Hpki, &estate().pharmacist_card, &keys().other_card);
    check_hpki(&other, &revoking, now()).unwrap();

    let late = estate().doctor_card.not_after().plus(1);
    assert_eq!(code(&by_doctor(), &trust(), late), "card-expired");
    // Within the 96 hours that the lists promise, but older than we believe.
    let mut strict = trust();
    strict.oldest_list_s = 3_600;
    assert_eq!(code(&by_doctor(), &strict, now().plus(3_601)), "card-status-unknown");
    assert_eq!(code(&by_doctor(), &trust(), now().plus(5 * DAY)), "card-status-unknown");
}

#[test]
fn a_my_number_card_is_judged_by_the_linked_certificate_alone() {
    let (card, other) = (&estate().doctor_card, &estate().pharmacist_card);
    let approval = approved(CardMeans::Jpki, card, &keys().card);
    let refused = |linked, at| check_jpki(&approval, linked, at).unwrap_err().code();
    assert_eq!(check_jpki(&approval, card, now()), Ok(()));
    assert_eq!(refused(other, now()), "card-other");
    assert_eq!(refused(card, card.not_after().plus(1)), "card-expired");
    assert_eq!(refused(card, card.not_before().minus(1)), "card-expired");
    let forged = approved(CardMeans::Jpki, card, &keys().other_card);
    assert_eq!(check_jpki(&forged, card, now()), Err(Refusal::CardSignatureWrong));
    assert_eq!(check_jpki(&by_doctor(), card, now()), Err(Refusal::MeansWrong));
}

#[test]
fn a_key_that_is_not_rsa_of_2048_to_4096_bits_is_refused() {
    let gateway = &estate().gateway;
    let approval = approved(CardMeans::Hpki, gateway, &keys().gateway);
    assert_eq!(code(&approval, &trust(), now()), "card-key-wrong");
}
