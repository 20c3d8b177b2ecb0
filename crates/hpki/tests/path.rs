//! Why a certificate is believed, and each way in which it is not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use hpki::asn1;
use hpki::certificate::Certificate;
use hpki::crl::{Crl, Reason, Revoked};
use hpki::oid::{self, ObjectIdentifier};
use hpki::path::{Anchor, Question, Revocation, RevocationAnswer, Usage, ValidPath, validate};
use hpki::profile::crl::Scope;
use hpki::profile::{Issuer, Validity};
use hpki::refusal::{Refusal, Refuse};
use hpki::sign::Sign;
use hpki::time::Timestamp;
use support::{Estate, ThrowawayKey, estate, keys, now};

/// A question with its usual answers, each of which a test may change.
struct Case {
    leaf: Certificate,
    intermediates: Vec<Certificate>,
    anchors: Vec<Anchor>,
    lists: Option<Vec<Crl>>,
    at: Timestamp,
    policies: Vec<ObjectIdentifier>,
    usage: Usage,
}

fn case() -> Case {
    let estate: &Estate = estate();
    Case {
        leaf: estate.doctor.clone(),
        intermediates: vec![estate.jma.clone(), estate.medis.clone()],
        anchors: estate.anchor(),
        lists: Some(estate.crls()),
        at: now().plus(3600),
        policies: vec![oid::POLICY_SIGNING],
        usage: Usage::NonRepudiation,
    }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
    fn judge(&self) -> Result<ValidPath, Refusal> {
        validate(&Question {
            leaf: &self.leaf,
            intermediates: &self.intermediates,
            anchors: &self.anchors,
            revocation: match &self.lists {
                Some(lists) => Revocation::Lists(lists),
                None => Revocation::NotChecked,
            },
            at: self.at,
            policies: &self.policies,
            usage: self.usage,
        })
    }
    fn code(&self) -> &'static str {
        self.judge().expect_err("must be refused").code()
    }
}

#[test]
fn both_layouts_are_believed() {
    let path = case().judge().unwrap();
    let estate = estate();
    assert_eq!(path.chain, [estate.doctor.clone(), estate.medis.clone(), estate.root.clone()]);
    let expected = RevocationAnswer::Good { as_of: now(), next_update: now().plus(96 * 3600) };
    assert_eq!(path.revocation, expected);
    assert!(case().with(|case| case.leaf = estate.pharmacist.clone()).judge().is_ok());
}

#[test]
fn without_lists_revocation_is_not_checked_and_says_so() {
    let path = case().with(|case| case.lists = None).judge().unwrap();
    assert_eq!(path.revocation, RevocationAnswer::NotChecked);
}

#[test]
fn validity_includes_both_of_its_ends() {
    let at = |moment| {
        case().with(|case| {
            case.lists = None;
            case.at = moment
        })
    };
    let (first, last) = (estate().doctor.not_before(), estate().doctor.not_after());
    assert!(at(first).judge().is_ok() && at(last).judge().is_ok());
    assert_eq!(at(first.minus(1)).code(), "certificate-not-yet-valid");
    assert_eq!(at(last.plus(1)).code(), "certificate-expired");
}

#[test]
fn a_test_policy_under_a_production_authority_is_refused() {
    let validity = Validity::years_from_day(now(), 5);
    let leaf =
        support::doctor_of(oid::POLICY_SIGNING_TEST, &estate().medis, &keys().medis, validity);
    let refused = case().with(|case| {
        case.leaf = leaf.clone();
        case.policies.push(oid::POLICY_SIGNING_TEST);
    });
    // Even where both arms are accepted, no single policy holds along the whole path.
    assert_eq!(refused.code(), "policy-not-allowed");
    assert_eq!(refused.with(|case| case.policies.truncate(1)).code(), "policy-not-allowed");
}

#[test]
fn a_policy_is_always_required_for_signing() {
    assert_eq!(case().with(|case| case.policies.clear()).code(), "policy-not-allowed");
    let other = case().with(|case| case.policies = vec![oid::POLICY_AUTHENTICATION]);
    assert_eq!(other.code(), "policy-not-allowed");
}

#[test]
fn another_root_of_the_same_name_is_refused() {
    let other = Anchor { certificate: estate().other_root.clone() };
    assert_eq!(estate().other_root.subject(), estate().root.subject());
    let alone = case().with(|case| case.anchors = vec![other.clone()]);
    assert_eq!(alone.code(), "anchor-mismatch");
    // Beside the real one it does no harm.
    assert!(case().with(|case| case.anchors.insert(0, other)).judge().is_ok());
}

#[test]
fn a_root_among_the_intermediates_is_not_an_anchor() {
    let refused = case().with(|case| {
        case.anchors.clear();
        case.intermediates.push(estate().root.clone());
    });
    assert_eq!(refused.code(), "issuer-unknown");
    let itself = case().with(|case| case.leaf = estate().root.clone());
    assert!(itself.judge().is_err());
}

#[test]
fn an_anchor_that_also_lies_among_the_intermediates_changes_no_answer() {
    let both = || case().with(|case| case.intermediates.insert(0, estate().root.clone()));
    assert_eq!(both().judge().unwrap().chain.len(), 3);
    let refused = both().with(|case| {
        case.lists.as_mut().unwrap().remove(2);
    });
    assert_eq!(refused.code(), "crl-missing");
}

#[test]
fn without_its_authority_the_issuer_is_unknown() {
    let refused = case().with(|case| case.intermediates.truncate(1));
    assert_eq!(refused.code(), "issuer-unknown");
}

#[test]
fn any_changed_octet_of_the_leaf_is_refused() {
    let der = estate().doctor.der().to_vec();
    // Every seventh octet here; the whole is done where the signatures are.
    for position in (0..der.len()).step_by(7) {
        let mut changed = der.clone();
        changed[position] ^= 0x04;
        if let Ok(leaf) = Certificate::from_der(&changed) {
            let refused = case().with(|case| {
                case.lists = None;
                case.leaf = leaf
            });
            assert!(refused.judge().is_err(), "octet {position} is not protected");
        }
    }
}

#[test]
fn a_wrong_signature_has_its_own_code() {
    let mut der = estate().doctor.der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let leaf = Certificate::from_der(&der).unwrap();
    assert_eq!(case().with(|case| case.leaf = leaf).code(), "certificate-signature-wrong");
}

#[test]
fn a_subscriber_cannot_issue() {
    // The doctor's key signs a certificate for someone else.
    let issuer = Issuer::of(&estate().doctor).unwrap();
    let forged = RawCertificate::of(&estate().pharmacist).issued_by(&issuer, &keys().doctor);
    let refused = case().with(|case| {
        case.leaf = forged;
        case.intermediates.push(estate().doctor.clone());
        case.lists = None;
    });
    assert_eq!(refused.code(), "not-a-ca");
}

#[test]
fn usage_is_judged() {
    for usage in [Usage::TlsClient, Usage::TlsServer] {
        assert_eq!(case().with(|case| case.usage = usage).code(), "key-usage-wrong");
    }
    let gateway = case().with(|case| {
        case.leaf = estate().gateway.clone();
        case.anchors = vec![Anchor { certificate: estate().tls_ca.clone() }];
        case.policies.clear();
        case.usage = Usage::TlsClient;
    });
    assert!(gateway.judge().is_ok());
    assert_eq!(gateway.with(|case| case.usage = Usage::TlsServer).code(), "key-usage-wrong");
    let authority = case().with(|case| case.leaf = estate().medis.clone());
    assert_eq!(authority.code(), "key-usage-wrong");
}

#[test]
fn what_is_not_known_is_refused() {
    let empty = asn1::sequence(&[]);
    for (oid, critical, code) in [
        (oid::NAME_CONSTRAINTS, true, "name-constraints-unsupported"),
        (oid::NAME_CONSTRAINTS, false, "name-constraints-unsupported"),
        (oid::POLICY_MAPPINGS, true, "policy-mapping-unsupported"),
        (oid::POLICY_MAPPINGS, false, "policy-mapping-unsupported"),
        (oid::POLICY_CONSTRAINTS, true, "policy-constraints-unsupported"),
        (oid::INHIBIT_ANY_POLICY, true, "policy-constraints-unsupported"),
        (ObjectIdentifier::new_unwrap("1.2.3.4"), true, "critical-extension-unknown"),
    ] {
        let leaf = RawCertificate::of(&estate().doctor)
            .with_extension(oid, critical, &empty)
            .signed_by(&keys().medis);
        assert_eq!(case().with(|case| case.leaf = leaf).code(), code);
        // The same in an authority between leaf and anchor.
        let authority = RawCertificate::of(&estate().medis)
            .with_extension(oid, critical, &empty)
            .signed_by(&keys().root);
        assert_eq!(case().with(|case| case.intermediates = vec![authority]).code(), code);
    }
    let harmless = RawCertificate::of(&estate().doctor)
        .with_extension(ObjectIdentifier::new_unwrap("1.2.3.4"), false, &empty)
        .signed_by(&keys().medis);
    assert!(case().with(|case| case.leaf = harmless).judge().is_ok());
}

#[test]
fn an_extended_key_usage_limits_a_signing_key_to_something_else() {
    let purpose = asn1::sequence(&[&asn1::oid(&oid::CLIENT_AUTH)]);
    let leaf = RawCertificate::of(&estate().doctor)
        .with_extension(oid::EXTENDED_KEY_USAGE, false, &purpose)
        .signed_by(&keys().medis);
    assert_eq!(case().with(|case| case.leaf = leaf).code(), "key-usage-wrong");
}

#[test]
fn a_short_key_or_an_old_algorithm_is_refused() {
    let weak = weak_spki();
    let leaf = RawCertificate::of(&estate().doctor).with_key(&weak).signed_by(&keys().medis);
    assert_eq!(case().with(|case| case.leaf = leaf).code(), "algorithm-not-allowed");
    let sha1 = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
    let leaf = RawCertificate::of(&estate().doctor).with_algorithm(sha1).signed_by(&keys().medis);
    assert_eq!(case().with(|case| case.leaf = leaf).code(), "algorithm-not-allowed");
}

fn weak_spki() -> Vec<u8> {
    let numbers = asn1::sequence(&[&asn1::integer(&[0xff; 128]), &asn1::number(65_537)]);
    let kind = asn1::sequence(&[&asn1::oid(&oid::RSA_KEY), &asn1::tlv(asn1::tag::NULL, &[])]);
    asn1::sequence(&[&kind, &asn1::bit_string(&numbers)])
}

#[test]
fn a_revoked_certificate_is_refused_with_its_date_and_reason() {
    let at = now().minus(60);
    let revoked = Revoked { at, reason: Reason::CessationOfOperation };
    let entries = [
        (vec![1], revoked),
        (estate().doctor.serial().to_vec(), revoked),
        (vec![0x90, 1, 2, 3], revoked),
    ];
    let list = support::list(&estate().medis, &keys().medis, Scope::All, now(), &entries);
    assert_eq!(list.len(), 3);
    assert_eq!(list.contains(&[1]), Some(revoked));
    assert_eq!(list.contains(&[2]), None);
    let refused = case().with(|case| case.lists.as_mut().unwrap()[2] = list.clone());
    assert!(matches!(
        refused.judge(),
        Err(Refusal::CertificateRevoked { at: date, reason: Reason::CessationOfOperation, .. }) if date == at
    ));
    // An older list that does not name it yet does not help.
    let both = case().with(|case| case.lists.as_mut().unwrap().push(list));
    assert_eq!(both.code(), "certificate-revoked");
}

#[test]
fn a_revoked_authority_takes_its_subscribers_with_it() {
    let revoked = Revoked { at: now().minus(60), reason: Reason::CaCompromise };
    let entries = [(estate().medis.serial().to_vec(), revoked)];
    let sarl = support::authority_list("SARL", now(), &entries);
    let refused = case().with(|case| case.lists.as_mut().unwrap()[1] = sarl);
    assert_eq!(refused.code(), "certificate-revoked");
}

#[test]
fn a_missing_or_stale_list_leaves_the_question_open() {
    for missing in [1, 2] {
        let refusal = case()
            .with(|case| {
                case.lists.as_mut().unwrap().remove(missing);
            })
            .judge()
            .unwrap_err();
        assert_eq!(refusal.code(), "crl-missing");
        assert!(refusal.is_undetermined());
    }
    let later = case().with(|case| case.at = now().plus(96 * 3600 + 1)).judge().unwrap_err();
    assert_eq!(later.code(), "crl-stale");
    assert!(later.is_undetermined());
    assert!(case().with(|case| case.at = now().plus(96 * 3600)).judge().is_ok());
    let earlier = case().with(|case| case.at = now().minus(1));
    assert_eq!(earlier.code(), "crl-stale");
}

#[test]
fn the_roots_list_for_itself_does_not_answer_for_authorities() {
    let refused = case().with(|case| {
        case.lists.as_mut().unwrap().remove(1);
    });
    assert!(refused.lists.as_ref().unwrap().iter().any(|list| list.idp().is_some()));
    assert_eq!(refused.code(), "crl-missing");
    // Nor does a list for authorities answer for a subscriber.
    let name = estate().medis.subject().clone();
    let scope = Scope::Authorities(&name);
    let list = support::list(&estate().medis, &keys().medis, scope, now(), &[]);
    let refused = case().with(|case| case.lists.as_mut().unwrap()[2] = list);
    assert_eq!(refused.code(), "crl-missing");
}

#[test]
fn a_list_with_a_wrong_signature_is_refused() {
    let mut der = estate().lists[2].1.der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let broken = Crl::from_der(&der).unwrap();
    let refused = case().with(|case| case.lists.as_mut().unwrap()[2] = broken);
    assert_eq!(refused.code(), "crl-signature-wrong");
    assert!(!refused.judge().unwrap_err().is_undetermined());
}

#[test]
fn a_heap_of_authorities_of_one_name_costs_bounded_work() {
    let impostor = ThrowawayKey::rsa();
    let mut heap = Vec::new();
    for number in 0..=255u8 {
        heap.push(
            RawCertificate::of(&estate().medis)
                .with_extension(ObjectIdentifier::new_unwrap("1.2.3.4"), false, &[4, 1, number])
                .signed_by(&impostor),
        );
    }
    let refused = case().with(|case| case.intermediates = heap);
    assert!(refused.judge().is_err());
}

/// A certificate taken apart, to make what no profile would make.
struct RawCertificate {
    fields: Vec<Vec<u8>>,
    extensions: Vec<u8>,
}

const SIGNATURE: usize = 2;
const ISSUER: usize = 3;
const KEY: usize = 6;

impl RawCertificate {
    fn of(certificate: &Certificate) -> Self {
        let tbs = certificate.tbs();
        let mut reader = asn1::only(tbs, asn1::tag::SEQUENCE).unwrap().inside();
        let mut fields = Vec::new();
        while let Ok(value) = reader.read() {
            fields.push(tbs[value.range()].to_vec());
        }
        let extensions = fields.pop().unwrap();
        let mut inside = asn1::Reader::new(&extensions).read().unwrap().inside();
        let list = inside.expect(asn1::tag::SEQUENCE).unwrap().content.to_vec();
        Self { fields, extensions: list }
    }
    fn with_extension(mut self, oid: ObjectIdentifier, critical: bool, value: &[u8]) -> Self {
        let critical = if critical { vec![1, 1, 0xff] } else { Vec::new() };
        let value = asn1::tlv(asn1::tag::OCTET_STRING, value);
        self.extensions.extend(asn1::sequence(&[&asn1::oid(&oid), &critical, &value]));
        self
    }
    fn with_key(mut self, spki: &[u8]) -> Self {
        self.fields[KEY] = spki.to_vec();
        self
    }
    fn with_algorithm(mut self, oid: ObjectIdentifier) -> Self {
        self.fields[SIGNATURE] =
            asn1::sequence(&[&asn1::oid(&oid), &asn1::tlv(asn1::tag::NULL, &[])]);
        self
    }
    fn issued_by(mut self, issuer: &Issuer, key: &ThrowawayKey) -> Certificate {
        self.fields[ISSUER] = issuer.name.der().to_vec();
        // Without its authority key identifier, which names someone else.
        let mut reader = asn1::Reader::new(&self.extensions);
        let first = reader.read().unwrap().range();
        self.extensions.drain(first);
        self.signed_by(key)
    }
    fn signed_by(self, key: &ThrowawayKey) -> Certificate {
        let list = asn1::tlv(asn1::tag::SEQUENCE, &self.extensions);
        let extensions = asn1::tlv(asn1::tag::context_constructed(3), &list);
        let mut parts: Vec<&[u8]> = self.fields.iter().map(Vec::as_slice).collect();
        parts.push(&extensions);
        let tbs = asn1::sequence(&parts);
        let signature = key.sign(&tbs).unwrap();
        let der = asn1::sequence(&[&tbs, &self.fields[SIGNATURE], &asn1::bit_string(&signature)]);
        Certificate::from_der(&der).unwrap()
    }
}

fn card_case() -> Case {
    let estate: &Estate = estate();
    Case {
        leaf: estate.doctor_card.clone(),
        intermediates: vec![estate.jma_auth.clone(), estate.medis_auth.clone()],
        policies: vec![oid::POLICY_AUTHENTICATION],
        usage: Usage::Authentication,
        ..case()
    }
}

#[test]
fn a_cards_certificate_is_believed_for_authentication_with_or_without_a_purpose() {
    card_case().judge().unwrap();
    let with_purpose = card_case().with(|case| case.leaf = estate().pharmacist_card.clone());
    with_purpose.judge().unwrap();
}

#[test]
fn a_card_authenticates_and_does_nothing_else() {
    for usage in [Usage::NonRepudiation, Usage::TlsServer] {
        assert_eq!(card_case().with(|case| case.usage = usage).code(), "key-usage-wrong");
    }
    let signing_arm = |case: &mut Case| case.policies = vec![oid::POLICY_SIGNING];
    assert_eq!(card_case().with(signing_arm).code(), "policy-not-allowed");
    let no_policy = |case: &mut Case| case.policies.clear();
    assert_eq!(card_case().with(no_policy).code(), "policy-not-allowed");
}

#[test]
fn a_signing_certificate_does_not_authenticate() {
    let by_its_own_arm = case().with(|case| case.usage = Usage::Authentication);
    assert_eq!(by_its_own_arm.code(), "key-usage-wrong");
}
