//! The same where a card approved instead of a phone: an HPKI card is judged by its own chain and
//! holder, a My Number Card by its linking.

use approval::{CardEvidence, CardMeans, card_commitment};
use hpki::crl::{Reason, Revoked};
use hpki::qualification::Qualification;
use hpki::{Certificate, Crl};

use super::*;
use crate::support::{authentication, card_list, card_of, look_alike};

fn hers() -> Certificate {
    card_of("TEST117120", Qualification::MedicalDoctor, 5)
}

/// The second of three prescriptions, approved with a card of these means.
fn by_card(means: CardMeans, certificate: &Certificate) -> Case {
    let mut case = case();
    let signature = keys().card.sign(&case.bundle.statement.challenge());
    let certificate = certificate.der().to_vec();
    case.bundle.webauthn = None;
    match means {
        CardMeans::Hpki => case.bundle.binding = None,
        CardMeans::Jpki => {
            let linked = case.journal.binding.as_mut().unwrap();
            linked.event = "card.linked".into();
            linked.evidence = Some(card_commitment(&certificate));
        }
    }
    case.bundle.card = Some(CardEvidence { means, certificate, signature });
    let approval = case.bundle.approval().unwrap();
    case.rests_on(&approval);
    case
}

/// What a stranger says who holds these lists of the cards' authority.
fn judged_by(case: &Case, of_cards: impl IntoIterator<Item = Crl>) -> ActivationReport {
    let mut lists = estate().lists.clone();
    lists.extend(of_cards);
    with(case, &[estate().authority.clone(), authentication()], Some(&lists))
}

fn with(case: &Case, intermediates: &[Certificate], crls: Option<&[Crl]>) -> ActivationReport {
    let anchors = [Anchor { certificate: estate().root.clone() }];
    let grounds = Grounds {
        journal: Some(&case.journal),
        at_hand: None,
        anchors: &anchors,
        intermediates,
        crls,
        policies: &[oid::POLICY_SIGNING],
    };
    verify_activation(case.bundle.text().unwrap().as_bytes(), &grounds)
}

fn revoked(at: Timestamp) -> Crl {
    let told = Revoked { at, reason: Reason::KeyCompromise };
    card_list(at.plus(60), &[(hers().serial().to_vec(), told)])
}

/// The list of that morning, and the one of an hour later on which her card stands.
fn then_and_later() -> [Crl; 2] {
    [card_list(now(), &[]), revoked(now().plus(3_600))]
}

/// The verdict on the approval, the one on its force, and the first code.
fn said(report: &ActivationReport) -> (Verdict, Verdict, Option<&str>) {
    (report.approved.verdict, report.in_force.verdict, report.code())
}

#[test]
fn what_either_card_approved_is_told_from_its_evidence_alone() {
    for (means, ja) in [(CardMeans::Hpki, "HPKIカード"), (CardMeans::Jpki, "マイナンバーカード")]
    {
        let report = judged_by(&by_card(means, &hers()), Some(card_list(now(), &[])));
        assert_eq!(said(&report), (Verdict::Valid, Verdict::Valid, None));
        assert_eq!(report.facts.as_ref().unwrap().means, means.into());
        assert!(report.show_ja().contains(ja), "{}", report.show_ja());
    }
    let phone = judged_by(&case(), None);
    assert!(phone.show_en().contains("approved by: phone"), "{}", phone.show_en());
}

#[test]
fn another_persons_card_did_not_approve_it() {
    let others = [
        card_of("TEST117121", Qualification::MedicalDoctor, 5),
        card_of("TEST117120", Qualification::Dentist, 5),
        // A certificate whose organisation certified nobody's signing key here.
        estate().pharmacist.clone(),
    ];
    for other in &others[..2] {
        let report = judged_by(&by_card(CardMeans::Hpki, other), Some(card_list(now(), &[])));
        assert_eq!(report.approved.verdict, Verdict::Invalid);
        assert_eq!(report.code(), Some("card-other-holder"));
    }
    // Hers is named, another key has signed.
    let report = judged_by(&by_card(CardMeans::Hpki, &others[2]), None);
    assert_eq!(report.code(), Some("card-signature-wrong"));
    // A My Number Card that was linked by somebody else, or never: the entry is of another card.
    let mut other = by_card(CardMeans::Jpki, &hers());
    other.bundle.card.as_mut().unwrap().certificate = others[0].der().to_vec();
    assert_eq!(judged_by(&other, None).code(), Some("binding-other-phone"));
    let mut phones = by_card(CardMeans::Jpki, &hers());
    phones.journal.binding.as_mut().unwrap().event = "phone.linked".into();
    assert_eq!(judged_by(&phones, None).code(), Some("binding-not-a-linking"));
}

#[test]
fn a_card_counts_as_it_stood_when_it_was_signed() {
    let case = by_card(CardMeans::Hpki, &hers());
    let no = |code| (Verdict::Valid, Verdict::Invalid, Some(code));
    assert_eq!(said(&judged_by(&case, Some(revoked(now().minus(60))))), no("card-revoked"));
    // What was revoked an hour later does not take back what was approved before.
    assert_eq!(judged_by(&case, then_and_later()).verdict, Verdict::Valid);
    let [_, later] = then_and_later();
    let open = (Verdict::Valid, Verdict::CannotTell, Some("card-status-unknown"));
    assert_eq!(said(&judged_by(&case, [later])), open, "the list of then is missing");
}

#[test]
fn a_certificate_that_no_authority_issued_for_authentication_is_not_her_card() {
    let never = |code| (Verdict::Invalid, Verdict::CannotTell, Some(code));
    // A key that signs documents does not approve them.
    let mut signing = by_card(CardMeans::Hpki, &estate().physician);
    let signature = keys().physician.sign(&signing.bundle.statement.challenge());
    signing.bundle.card.as_mut().unwrap().signature = signature;
    let approval = signing.bundle.approval().unwrap();
    signing.rests_on(&approval);
    let report = judged_by(&signing, Some(card_list(now(), &[])));
    assert_eq!(said(&report), never("card-not-for-authentication"));
    // Her number, organisation and qualification are public: anybody can write them.
    let alike = by_card(CardMeans::Hpki, &look_alike("TEST117120"));
    let report = judged_by(&alike, Some(card_list(now(), &[])));
    assert_eq!(said(&report), never("card-issuer-unknown"));
    // What came when hers had run out is none of hers.
    let over = by_card(CardMeans::Hpki, &card_of("TEST117120", Qualification::MedicalDoctor, 2));
    let report = judged_by(&over, Some(card_list(now(), &[])));
    assert_eq!(said(&report), never("card-expired"));
    // Without a root nobody can tell such a one from hers.
    for case in [&alike, &by_card(CardMeans::Hpki, &hers())] {
        let report = super::judged(case, |grounds| grounds.anchors = &[]);
        let open = (Verdict::CannotTell, Verdict::CannotTell, Some("root-missing"));
        assert_eq!(said(&report), open);
    }
}

#[test]
fn a_genuine_card_cannot_approve_afterwards_what_the_mornings_session_signed() {
    let mut case = by_card(CardMeans::Hpki, &hers());
    let morning = case.of_the_morning();
    case.rests_on(&morning);
    let report = judged_by(&case, Some(card_list(now(), &[])));
    assert_eq!(report.approved.verdict, Verdict::Invalid);
    assert_eq!(report.code(), Some("outcome-other-approval"));
}

#[test]
fn without_the_cards_authority_or_a_young_list_of_it_the_answer_is_no_or_open() {
    let case = by_card(CardMeans::Hpki, &hers());
    let open = (Verdict::Valid, Verdict::CannotTell, Some("card-status-unknown"));
    assert_eq!(said(&judged_by(&case, None)), open);
    let stale = card_list(now().minus(97 * 3_600), &[]);
    assert_eq!(said(&judged_by(&case, Some(stale))), open);
    let unknown = with(&case, &[estate().authority.clone()], Some(&estate().lists));
    let never = (Verdict::Invalid, Verdict::CannotTell, Some("card-issuer-unknown"));
    assert_eq!(said(&unknown), never);
}

#[test]
fn exactly_one_means_approved_it_and_only_linked_ones_have_a_linking() {
    type Change = fn(&mut Bundle);
    let changes: [Change; 3] = [
        |bundle| bundle.webauthn = super::case().bundle.webauthn,
        |bundle| bundle.binding = Some("binding".into()),
        |bundle| bundle.card = None,
    ];
    for change in changes {
        let mut case = by_card(CardMeans::Hpki, &hers());
        change(&mut case.bundle);
        assert_eq!(judged_by(&case, None).code(), Some("bundle-malformed"));
    }
    let mut spoilt = by_card(CardMeans::Hpki, &hers());
    spoilt.bundle.statement.count = 2;
    assert_eq!(judged_by(&spoilt, None).code(), Some("document-not-approved"));
    let mut spoilt = by_card(CardMeans::Hpki, &hers());
    spoilt.bundle.statement.terminal_label.push('x');
    assert_eq!(judged_by(&spoilt, None).code(), Some("card-signature-wrong"));
}
