//! The owner's approval of one signature, judged from its evidence alone: each member of the bundle,
//! once changed, has its own refusal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod card;
#[path = "../support/mod.rs"]
mod support;

use approval::bundle::{Document, Hash};
use approval::simulator::Phone;
use approval::statement::{DocumentsStatement, document_commitment, path, root};
use approval::{Approval, AssertionEvidence, Bundle, Proof, SessionStatement, Statement};
use hpki::encoding::{Digest32, sha256};
use hpki::id::{BindingId, CeremonyId, KeyId, PersonId};
use hpki::kind::DocumentKind;
use hpki::oid;
use hpki::path::Anchor;
use hpki::time::Timestamp;
use support::{estate, keys, now};
use verifier::activation::{Entry, Grounds, Journal, verify_activation};
use verifier::{ActivationReport, Verdict};

const SHA256: &str = "2.16.840.1.101.3.4.2.1";

/// A journal that holds what it is given: proofs are the ledger's business.
#[derive(Clone)]
struct Believed {
    binding: Result<Entry, String>,
    outcome: Result<Entry, String>,
}

impl Journal for Believed {
    fn entry(&self, proof: &str) -> Result<Entry, String> {
        match proof {
            "binding" => self.binding.clone(),
            "outcome" => self.outcome.clone(),
            _ => Err("another text".to_owned()),
        }
    }
}

struct Case {
    bundle: Bundle,
    journal: Believed,
    phone: Phone,
}

impl Case {
    /// The journal says that the signature rests on this approval.
    fn rests_on(&mut self, approval: &Approval) {
        self.journal.outcome.as_mut().unwrap().evidence = Some(approval.evidence_hash());
    }

    /// The approval of a morning's session at the same place, by the same means, for the same key;
    /// its signature is whatever the bundle has.
    fn of_the_morning(&self) -> Approval {
        let said = &self.bundle.statement;
        let mut approval = self.bundle.approval().unwrap();
        approval.statement = Statement::Session(SessionStatement {
            issuer: said.issuer.clone(),
            rp_id: said.rp_id.clone(),
            ceremony: said.ceremony,
            nonce: said.nonce,
            facility_id: said.facility_id.clone(),
            facility_name: said.facility_name.clone(),
            x5t_s256: said.x5t_s256,
            terminal_id: said.terminal_id.clone(),
            terminal_label: said.terminal_label.clone(),
            person: said.person,
            key: said.key,
            kinds: said.kinds.clone(),
            max_count: 300,
            not_before: now().minus(60),
            not_after: now().plus(3_600),
            head_seq: 0,
            head_commitment: None,
        });
        approval
    }
}

fn entry(event: &str, index: u64, time: Timestamp, statement: &DocumentsStatement) -> Entry {
    Entry {
        index,
        event: event.to_owned(),
        time,
        key: Some(statement.key),
        person: Some(statement.person),
        facility: None,
        kind: None,
        dtbsr: None,
        evidence: None,
        signature_hash: None,
    }
}

/// The second of three prescriptions, approved, signed and journalled.
fn case() -> Case {
    let signed_info = b"canonical SignedInfo";
    let dtbsr = sha256(signed_info);
    let commitments: Vec<Digest32> = (0..3)
        .map(|n: u8| {
            let dtbsr = if n == 1 { dtbsr } else { [n; 32] };
            document_commitment(DocumentKind::Prescription, SHA256, &[n; 32], &dtbsr)
        })
        .collect();
    let now = now();
    let statement = DocumentsStatement {
        issuer: "https://platform.test".into(),
        rp_id: "platform.test".into(),
        ceremony: CeremonyId::from_octets([1; 16]),
        nonce: [2; 32],
        facility_id: "1319999901".parse().unwrap(),
        facility_name: "架空病院（TEST）".into(),
        x5t_s256: [3; 32],
        terminal_id: "t1".into(),
        terminal_label: "第1診察室".into(),
        person: PersonId::from_octets([4; 16]),
        key: KeyId::from_octets([5; 16]),
        kinds: vec![DocumentKind::Prescription],
        count: 3,
        root: root(&commitments),
        not_after: now.plus(60),
    };
    let phone = Phone::new("platform.test", "https://platform.test", b"credential");
    let answer = phone.get(&statement.challenge());
    let certificate = &estate().physician;
    let signature = keys().physician.sign(signed_info);
    let mut binding = entry("phone.linked", 7, now.minus(86_400), &statement);
    binding.evidence = Some(approval::binding_commitment(&answer.credential_id, &phone.cose()));
    let mut outcome = entry("signature.made", 9, now, &statement);
    outcome.facility = Some(statement.facility_id.clone());
    outcome.kind = Some(DocumentKind::Prescription);
    outcome.dtbsr = Some(dtbsr);
    outcome.signature_hash = Some(sha256(&signature));
    let approval = Approval {
        statement: Statement::Documents(statement),
        proof: Proof::Phone(AssertionEvidence {
            credential_id: answer.credential_id,
            client_data_json: answer.client_data_json,
            authenticator_data: answer.authenticator_data,
            signature: answer.signature,
            user_handle: Some(vec![8; 16]),
            cose: phone.cose(),
        }),
        binding: BindingId::from_octets([6; 16]),
        approved: now.minus(5),
        number_confirmed: false,
    };
    outcome.evidence = Some(approval.evidence_hash());
    let bundle = Bundle::new(
        &approval,
        Document {
            kind: DocumentKind::Prescription,
            hash_oid: SHA256.into(),
            digest: vec![1; 32],
            dtbsr,
            index: 1,
            path: path(&commitments, 1).into_iter().map(Hash).collect(),
        },
        (Some("binding".into()), "outcome".into()),
        (signature, certificate.der().to_vec()),
    )
    .unwrap();
    Case { bundle, journal: Believed { binding: Ok(binding), outcome: Ok(outcome) }, phone }
}

fn judged(case: &Case, change: impl FnOnce(&mut Grounds<'_>)) -> ActivationReport {
    let anchors = [Anchor { certificate: estate().root.clone() }];
    let intermediates = [estate().authority.clone()];
    let mut grounds = Grounds {
        journal: Some(&case.journal),
        at_hand: None,
        anchors: &anchors,
        intermediates: &intermediates,
        crls: None,
        policies: &[oid::POLICY_SIGNING],
    };
    change(&mut grounds);
    verify_activation(case.bundle.text().unwrap().as_bytes(), &grounds)
}

/// What both questions get after this change.
fn after(change: impl FnOnce(&mut Case)) -> (Verdict, Verdict, Option<String>) {
    let mut case = case();
    change(&mut case);
    let report = judged(&case, |_| ());
    (report.approved.verdict, report.in_force.verdict, report.code().map(str::to_owned))
}

#[test]
fn an_approved_signature_is_told_from_its_evidence_alone() {
    let case = case();
    let report = judged(&case, |_| ());
    assert_eq!(report.code(), None);
    assert_eq!(report.verdict, Verdict::Valid);
    let facts = report.facts.as_ref().unwrap();
    assert_eq!((facts.place, facts.count, facts.index), (2, 3, Some(9)));
    assert_eq!(facts.short_code, case.bundle.statement.short_code());
    let (ja, en) = (report.show_ja(), report.show_en());
    assert!(ja.contains("本人がこの署名を承認したか: 有効") && ja.contains("架空病院"), "{ja}");
    assert!(en.contains("approved by the owner: VALID") && en.contains("2 of 3"), "{en}");
}

#[test]
fn each_member_of_a_bundle_has_its_own_refusal() {
    type Change = Box<dyn FnOnce(&mut Case)>;
    fn on(change: impl FnOnce(&mut Bundle) + 'static) -> Change {
        Box::new(move |case| change(&mut case.bundle))
    }
    fn signed_again(change: impl FnOnce(&mut Phone) + 'static) -> Change {
        Box::new(move |case| {
            change(&mut case.phone);
            let answer = case.phone.get(&case.bundle.statement.challenge());
            case.bundle.webauthn.as_mut().unwrap().client_data_json = answer.client_data_json;
            case.bundle.webauthn.as_mut().unwrap().authenticator_data = answer.authenticator_data;
            case.bundle.webauthn.as_mut().unwrap().signature = answer.signature;
        })
    }
    let cases: Vec<(Change, &str)> = vec![
        (on(|b| b.statement.issuer.push('x')), "challenge-mismatch"),
        (on(|b| b.statement.rp_id.push('x')), "challenge-mismatch"),
        (on(|b| b.statement.ceremony = CeremonyId::from_octets([9; 16])), "challenge-mismatch"),
        (on(|b| b.statement.nonce[0] ^= 1), "challenge-mismatch"),
        (on(|b| b.statement.facility_id = "1319999902".parse().unwrap()), "challenge-mismatch"),
        (on(|b| b.statement.facility_name.push('x')), "challenge-mismatch"),
        (on(|b| b.statement.x5t_s256[0] ^= 1), "challenge-mismatch"),
        (on(|b| b.statement.terminal_id.push('x')), "challenge-mismatch"),
        (on(|b| b.statement.terminal_label.push('x')), "challenge-mismatch"),
        (on(|b| b.statement.person = PersonId::from_octets([9; 16])), "challenge-mismatch"),
        (on(|b| b.statement.key = KeyId::from_octets([9; 16])), "challenge-mismatch"),
        (on(|b| b.statement.kinds = vec![DocumentKind::Dispensing]), "document-not-approved"),
        (on(|b| b.statement.kinds.push(DocumentKind::Dispensing)), "challenge-mismatch"),
        (on(|b| b.statement.count = 2), "document-not-approved"),
        (on(|b| b.statement.root[0] ^= 1), "document-not-approved"),
        (on(|b| b.statement.not_after = b.statement.not_after.plus(1)), "challenge-mismatch"),
        (on(|b| b.document.kind = DocumentKind::Dispensing), "document-not-approved"),
        (on(|b| b.document.hash_oid.push('1')), "document-not-approved"),
        (on(|b| b.document.digest[0] ^= 1), "document-not-approved"),
        (on(|b| b.document.dtbsr[0] ^= 1), "document-not-approved"),
        (on(|b| b.document.index = 0), "document-not-approved"),
        (on(|b| b.document.path.reverse()), "document-not-approved"),
        (on(|b| b.webauthn.as_mut().unwrap().credential_id[0] ^= 1), "binding-other-phone"),
        (on(|b| b.webauthn.as_mut().unwrap().client_data_json.push(b'x')), "webauthn-malformed"),
        (
            on(|b| b.webauthn.as_mut().unwrap().client_data_json.push(b' ')),
            "assertion-signature-wrong",
        ),
        (on(|b| b.webauthn.as_mut().unwrap().authenticator_data.truncate(9)), "webauthn-malformed"),
        (on(|b| b.webauthn.as_mut().unwrap().authenticator_data[0] ^= 1), "rp-id-wrong"),
        (on(|b| b.webauthn.as_mut().unwrap().signature.reverse()), "assertion-signature-wrong"),
        (on(|b| b.webauthn.as_mut().unwrap().cose[0] ^= 1), "webauthn-malformed"),
        (signed_again(|phone| phone.flags = 1), "user-not-verified"),
        (signed_again(|phone| phone.flags = 4), "user-not-present"),
        (signed_again(|phone| phone.origin = "https://evil.test".into()), "origin-wrong"),
        (on(|b| b.received.binding = BindingId::from_octets([9; 16])), "outcome-other-approval"),
        (on(|b| b.received.at = b.received.at.plus(1)), "outcome-other-approval"),
        (on(|b| b.received.number_confirmed = true), "outcome-other-approval"),
        // The phone signs anew, also the very same statement: another approval.
        (signed_again(|phone| phone.counter = 7), "outcome-other-approval"),
        (on(|b| b.binding.as_mut().unwrap().push('x')), "binding-proof-wrong"),
        (on(|b| b.outcome.push('x')), "outcome-proof-wrong"),
        (on(|b| b.signature[9] ^= 1), "activation-signature-wrong"),
        (on(|b| b.certificate.truncate(99)), "certificate-malformed"),
        (on(|b| b.certificate = estate().pharmacist.der().to_vec()), "activation-signature-wrong"),
    ];
    let mut otherwise = Vec::new();
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let (approved, _, code) = after(change);
        assert_eq!(approved, Verdict::Invalid, "case {number}");
        if code.as_deref() != Some(expected) {
            otherwise.push((number, expected, code));
        }
    }
    assert!(otherwise.is_empty(), "{otherwise:?}");
}

#[test]
fn each_thing_that_the_journal_says_is_compared() {
    type Change = fn(&mut Entry, &mut Entry);
    let cases: [(Change, &str); 15] = [
        (|b, _| b.event = "phone.unlinked".into(), "binding-not-a-linking"),
        (|b, _| b.person = Some(PersonId::from_octets([9; 16])), "binding-other-person"),
        (|b, _| b.person = None, "binding-other-person"),
        (|b, _| b.key = Some(KeyId::from_octets([9; 16])), "binding-other-key"),
        (|b, _| b.evidence = Some([0; 32]), "binding-other-phone"),
        (|_, o| o.event = "signature.intended".into(), "outcome-not-a-signature"),
        (|_, o| o.dtbsr = Some([0; 32]), "outcome-other-hash"),
        (|_, o| o.signature_hash = Some([0; 32]), "outcome-other-signature"),
        (|_, o| o.signature_hash = None, "outcome-other-signature"),
        (|_, o| o.key = None, "outcome-not-as-approved"),
        (|_, o| o.person = None, "outcome-not-as-approved"),
        (|_, o| o.facility = None, "outcome-not-as-approved"),
        (|_, o| o.kind = Some(DocumentKind::Dispensing), "outcome-not-as-approved"),
        (|_, o| o.evidence = Some([0; 32]), "outcome-other-approval"),
        (|_, o| o.evidence = None, "outcome-other-approval"),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let (approved, _, code) = after(|case| {
            let Believed { binding: Ok(binding), outcome: Ok(outcome) } = &mut case.journal else {
                panic!("both are there");
            };
            change(binding, outcome);
        });
        assert_eq!((approved, code.as_deref()), (Verdict::Invalid, Some(expected)), "{number}");
    }
}

#[test]
fn a_signature_of_the_mornings_session_is_not_one_that_was_approved_by_itself() {
    // All else is as it should be: the phone approves, afterwards, what was signed long before.
    let mut case = case();
    case.bundle.statement.not_after = now().plus(30 * 86_400);
    let answer = case.phone.get(&case.bundle.statement.challenge());
    let phone = case.bundle.webauthn.as_mut().unwrap();
    phone.client_data_json = answer.client_data_json;
    phone.authenticator_data = answer.authenticator_data;
    phone.signature = answer.signature;
    let morning = case.of_the_morning();
    case.rests_on(&morning);
    let report = judged(&case, |_| ());
    assert_eq!(report.approved.verdict, Verdict::Invalid);
    assert_eq!(report.code(), Some("outcome-other-approval"));
}

#[test]
fn approved_and_in_force_are_two_answers() {
    fn outcome(change: impl FnOnce(&mut Entry)) -> (Verdict, Verdict, Option<String>) {
        after(|case| change(case.journal.outcome.as_mut().unwrap()))
    }
    let yes_no = |code: &str| (Verdict::Valid, Verdict::Invalid, Some(code.to_owned()));
    assert_eq!(outcome(|o| o.index = 6), yes_no("linked-later"));
    assert_eq!(outcome(|o| o.time = o.time.plus(3_600)), yes_no("approval-over"));
    let early = after(|case| {
        case.journal.binding.as_mut().unwrap().time = now().minus(40 * 365 * 86_400);
        case.journal.outcome.as_mut().unwrap().time = now().minus(30 * 365 * 86_400);
    });
    assert_eq!(early, yes_no("certificate-not-yet-valid"));
    let report = judged(&case(), |grounds| grounds.intermediates = &[]);
    assert_eq!(report.approved.verdict, Verdict::Valid);
    assert_eq!(
        (report.in_force.verdict, report.code()),
        (Verdict::Invalid, Some("issuer-unknown"))
    );
}

#[test]
fn what_is_missing_leaves_the_answer_open() {
    let report = judged(&case(), |grounds| grounds.journal = None);
    assert_eq!((report.verdict, report.code()), (Verdict::CannotTell, Some("log-key-missing")));
    let report = judged(&case(), |grounds| grounds.anchors = &[]);
    assert_eq!(report.approved.verdict, Verdict::Valid);
    assert_eq!(
        (report.in_force.verdict, report.code()),
        (Verdict::CannotTell, Some("root-missing"))
    );
    let report = judged(&case(), |grounds| grounds.crls = Some(&[]));
    assert_eq!((report.verdict, report.code()), (Verdict::CannotTell, Some("crl-missing")));
    // What is wrong stays wrong without a key of the journal.
    let mut spoilt = case();
    spoilt.bundle.signature[0] ^= 1;
    let report = judged(&spoilt, |grounds| grounds.journal = None);
    assert_eq!(report.code(), Some("activation-signature-wrong"));
}

#[test]
fn a_document_at_hand_must_be_the_one_that_was_signed() {
    let same = Some(sha256(b"canonical SignedInfo"));
    assert_eq!(judged(&case(), |grounds| grounds.at_hand = same).verdict, Verdict::Valid);
    let report = judged(&case(), |grounds| grounds.at_hand = Some([0; 32]));
    assert_eq!((report.verdict, report.code()), (Verdict::Invalid, Some("signed-info-other")));
}

#[test]
fn an_unknown_member_is_refused_before_anything_is_judged() {
    let text = case().bundle.text().unwrap().replacen('{', r#"{"note":"","#, 1);
    let grounds = Grounds {
        journal: None,
        at_hand: None,
        anchors: &[],
        intermediates: &[],
        crls: None,
        policies: &[],
    };
    let report = verify_activation(text.as_bytes(), &grounds);
    assert_eq!((report.verdict, report.code()), (Verdict::Invalid, Some("bundle-malformed")));
    assert!(report.facts.is_none());
}
