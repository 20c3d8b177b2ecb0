//! Approvals by card, judged with custody's own eyes: an HPKI card by its whole chain and holder, a
//! My Number Card by custody's own sealed copy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "../../hpki/tests/support/mod.rs"]
mod estate;

use std::sync::Arc;

use approval::card::CardLinkEvidence;
use approval::{
    Approval, CardEvidence, CardMeans, CardTrust, LinkCardStatement, Proof, Statement,
    card_commitment,
};
use common::*;
use custody::{Asked, Consent, Fresh, Prepared, Purpose, Sad};
use estate::{ThrowawayKey, keys};
use hpki::Certificate;
use hpki::id::BindingId;
use hpki::kind::DocumentKind;
use hpki::oid;
use hpki::path::Anchor;
use hpki::profile::signing_jma::SigningJma;
use hpki::profile::{Issuer, Validity};
use hpki::qualification::Qualification;
use hpki::sign::Sign as _;
use hpki::time::Timestamp;
use tempfile::tempdir;

const PRESCRIPTION: &[DocumentKind] = &[DocumentKind::Prescription];

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", None);
}

/// Some minutes after the estate's lists were issued.
fn today() -> Timestamp {
    assert!(NOW > estate::now() && NOW.since(estate::now()) < 3_600);
    NOW
}

fn trust() -> CardTrust {
    CardTrust {
        anchors: vec![Anchor { certificate: estate::estate().root.clone() }],
        intermediates: vec![estate::estate().medis_auth.clone(), estate::estate().jma_auth.clone()],
        lists: estate::estate().crls(),
        policies: vec![oid::POLICY_AUTHENTICATION],
        oldest_list_s: 86_400,
    }
}

/// A physician whose kept key's certificate has the number and organisation of the estate's doctor.
async fn physician_with_a_card(house: &House, number: &str) -> Member {
    let person = person(1);
    let custody = &house.custody;
    let role = Qualification::MedicalDoctor;
    let consent = Consent { document: [7; 32] };
    let Fresh { key, spki_der } =
        custody.generate(person, role, Purpose::Prescription, consent, today()).await.unwrap();
    let issuer = Issuer::of(&estate::estate().medis).unwrap();
    let prepared = SigningJma {
        serial: &[0x77],
        issuer: &issuer,
        name_romaji: "Taro Kakuu",
        subject_serial: number,
        qualification: role,
        validity: Validity::years_from_day(today(), 5),
        spki_der: &spki_der,
        policy: &estate::policy(oid::POLICY_SIGNING),
        crl_url: "http://crl.test-medis.example.jp/sign/crl-sign2.crl",
    }
    .prepare()
    .unwrap();
    let certificate = estate::sign(&prepared, &keys().medis);
    custody.certify(key, &certificate, today()).await.unwrap();
    custody.hold(key, today()).await.unwrap();
    Member {
        person,
        key,
        binding: BindingId::from_octets([1; 16]),
        phone: approval::simulator::Phone::new("localhost", ORIGIN, &[1; 20]),
    }
}

fn by(
    means: CardMeans,
    card: &Certificate,
    key: &ThrowawayKey,
    binding: BindingId,
    statement: Statement,
) -> Approval {
    let signature = key.sign(&statement.challenge()).unwrap();
    Approval {
        proof: Proof::Card(CardEvidence { means, certificate: card.der().to_vec(), signature }),
        binding,
        statement,
        approved: today(),
        number_confirmed: false,
    }
}

fn by_hpki(card: &Certificate, key: &ThrowawayKey, statement: Statement) -> Approval {
    by(CardMeans::Hpki, card, key, CardEvidence::own_binding(card.der()), statement)
}

async fn asked(house: &House, doctor: &Member) -> Statement {
    let mut statement = session(house, doctor, PRESCRIPTION).await;
    statement.not_before = today();
    statement.not_after = today().plus(64_800);
    Statement::Session(statement)
}

#[tokio::test]
async fn an_hpki_card_opens_a_budget_once_its_chain_is_trusted_and_its_holder_is_the_owner() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let doctor = physician_with_a_card(&house, "Test117120").await;
    let (card, key) = (&estate::estate().doctor_card, &keys().card);
    let approval = by_hpki(card, key, asked(&house, &doctor).await);
    // Nobody was told whom to trust.
    let refused = house.custody.open_budget(&approval, today()).await;
    assert_eq!(code(refused), "card-issuer-unknown");
    house.custody.trust_cards(Arc::new(trust()));
    let budget = house.custody.open_budget(&approval, today()).await.unwrap();
    assert_eq!((budget.key, budget.person), (doctor.key, doctor.person));
    assert_eq!(house.custody.open_budget(&approval, today()).await.unwrap().id, budget.id);
    // The list grows old.
    let later = today().plus(86_401);
    let next = by_hpki(card, key, asked(&house, &doctor).await);
    assert_eq!(code(house.custody.open_budget(&next, later).await), "approval-too-old");
}

#[tokio::test]
async fn another_holders_card_and_a_forged_answer_open_nothing() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    house.custody.trust_cards(Arc::new(trust()));
    let doctor = physician_with_a_card(&house, "Test999999").await;
    let (card, key) = (&estate::estate().doctor_card, &keys().card);
    let approval = by_hpki(card, key, asked(&house, &doctor).await);
    // The card's number is not that of the kept key's certificate.
    assert_eq!(code(house.custody.open_budget(&approval, today()).await), "card-other-person");
    let (other, others) = (&estate::estate().pharmacist_card, &keys().other_card);
    let approval = by_hpki(other, others, asked(&house, &doctor).await);
    assert_eq!(code(house.custody.open_budget(&approval, today()).await), "card-other-person");
    let forged = by_hpki(card, others, asked(&house, &doctor).await);
    assert_eq!(code(house.custody.open_budget(&forged, today()).await), "card-signature-wrong");
    let signing = by_hpki(&estate::estate().doctor, &keys().doctor, asked(&house, &doctor).await);
    assert_eq!(code(house.custody.open_budget(&signing, today()).await), "card-issuer-unknown");
    assert_eq!(house.custody.books().await.unwrap().budgets, 0);
}

#[tokio::test]
async fn a_card_whose_revocation_was_delivered_opens_nothing_whatever_the_lists_say() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    house.custody.trust_cards(Arc::new(trust()));
    let doctor = physician_with_a_card(&house, "Test117120").await;
    let (card, key) = (&estate::estate().doctor_card, &keys().card);
    let approval = by_hpki(card, key, asked(&house, &doctor).await);
    let budget = house.custody.open_budget(&approval, today()).await.unwrap();
    let binding = CardEvidence::own_binding(card.der());
    for _ in 0..2 {
        house.custody.end_hpki_card(binding, Some(doctor.key), today()).await.unwrap();
    }
    assert_eq!(house.custody.left(budget.id).await.unwrap(), None);
    let next = by_hpki(card, key, asked(&house, &doctor).await);
    assert_eq!(code(house.custody.open_budget(&next, today()).await), "card-revoked");
}

/// A My Number Card is any certificate here: its authority is authentication's to judge.
fn linking(
    doctor: &Member,
    number: u8,
    card: &Certificate,
    key: &ThrowawayKey,
) -> CardLinkEvidence {
    let statement = Statement::LinkCard(LinkCardStatement {
        issuer: ISSUER.into(),
        rp_id: "localhost".into(),
        nonce: nonce(),
        person: doctor.person,
        key: doctor.key,
        card: card_commitment(card.der()),
    });
    let signature = key.sign(&statement.challenge()).unwrap();
    CardLinkEvidence {
        approval: by_hpki(&estate::estate().doctor_card, &keys().card, statement),
        card: CardEvidence { means: CardMeans::Jpki, certificate: card.der().to_vec(), signature },
        binding: BindingId::from_octets([number; 16]),
        linked: today(),
    }
}

#[tokio::test]
async fn a_linked_my_number_card_opens_budgets_until_its_linking_ends() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    house.custody.trust_cards(Arc::new(trust()));
    let doctor = physician_with_a_card(&house, "Test117120").await;
    let (card, key) = (&estate::estate().pharmacist_card, &keys().other_card);
    let evidence = linking(&doctor, 5, card, key);
    let mine =
        async |binding| by(CardMeans::Jpki, card, key, binding, asked(&house, &doctor).await);
    let early = house.custody.open_budget(&mine(evidence.binding).await, today()).await;
    assert_eq!(code(early), "card-unknown");
    for _ in 0..2 {
        house.custody.accept_card(&evidence, today()).await.unwrap();
    }
    let opened = house.custody.open_budget(&mine(evidence.binding).await, today()).await.unwrap();
    // Another linking under the same number, and a second card for the key.
    let (other, others) = (&estate::estate().doctor_card, &keys().card);
    for number in [5, 6] {
        let again = linking(&doctor, number, other, others);
        let refused = house.custody.accept_card(&again, today()).await;
        assert_eq!(code(refused), "card-already-linked");
    }
    for _ in 0..2 {
        house.custody.end_card(evidence.binding, today()).await.unwrap();
    }
    assert_eq!(house.custody.left(opened.id).await.unwrap(), None);
    let late = house.custody.open_budget(&mine(evidence.binding).await, today()).await;
    assert_eq!(code(late), "card-ended");
    assert!(house.custody.books().await.unwrap().balance());
}

#[tokio::test]
async fn a_linking_that_only_one_card_signed_is_not_believed() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    house.custody.trust_cards(Arc::new(trust()));
    let doctor = physician_with_a_card(&house, "Test117120").await;
    let (card, key) = (&estate::estate().pharmacist_card, &keys().other_card);
    type Change = fn(&mut CardLinkEvidence);
    let changes: [(Change, &str); 4] = [
        (|e| e.card.signature[3] ^= 1, "card-signature-wrong"),
        (|e| e.card.means = CardMeans::Hpki, "means-wrong"),
        (|e| e.card.certificate = estate::estate().doctor.der().to_vec(), "evidence-wrong"),
        (
            |e| {
                if let Proof::Card(proof) = &mut e.approval.proof {
                    proof.signature[3] ^= 1;
                }
            },
            "card-signature-wrong",
        ),
    ];
    for (change, expected) in changes {
        let mut evidence = linking(&doctor, 5, card, key);
        change(&mut evidence);
        assert_eq!(code(house.custody.accept_card(&evidence, today()).await), expected);
    }
    assert_eq!(house.custody.books().await.unwrap().cards, 0);
}

#[tokio::test]
async fn a_row_put_in_by_sql_approves_nothing() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    house.custody.trust_cards(Arc::new(trust()));
    let doctor = physician_with_a_card(&house, "Test117120").await;
    let (card, key) = (&estate::estate().pharmacist_card, &keys().other_card);
    let evidence = linking(&doctor, 5, card, key);
    house.custody.accept_card(&evidence, today()).await.unwrap();
    let thief = estate::estate().doctor_card.der().to_vec();
    house
        .ledger
        .write(move |tx| {
            let sql = "UPDATE custody_card SET certificate = $1";
            tx.exec(sql, &[(&thief).into()])?;
            Ok::<_, ledger::Failed<custody::Refusal>>(())
        })
        .await
        .unwrap();
    let approval = by(CardMeans::Jpki, card, key, evidence.binding, asked(&house, &doctor).await);
    assert_eq!(code(house.custody.open_budget(&approval, today()).await), "seal-broken");
}

/// Documents that wait, those that were approved so, and the SAD for them.
async fn authorised(
    house: &House,
    token: &str,
    approve: impl Fn(Statement) -> Approval,
) -> (Prepared, Sad) {
    let asked = [1, 2].map(|digest| Asked {
        number: number(),
        kind: DocumentKind::Prescription,
        digest: [digest; 32],
    });
    let custody = &house.custody;
    let waiting = custody.prepare(token, &hospital(), asked.to_vec(), today()).await.unwrap();
    let approval = approve(Statement::Documents(documents(&waiting, &hospital())));
    let granted = custody.authorise(waiting.id, &approval, today()).await.unwrap();
    (waiting, granted.sad)
}

/// Signs, and says what is said of it.
async fn sign(house: &House, token: &str, sad: &Sad) -> &'static str {
    let signed = house.custody.sign_prepared(token, &hospital(), sad, today().plus(1)).await;
    match signed {
        Ok(batch) if batch.signed() == 2 => "signed",
        refused => code(refused),
    }
}

/// A physician with a phone, an HPKI card and a linked My Number Card, and that linking.
async fn with_every_means(house: &House) -> (Member, BindingId) {
    let custody = &house.custody;
    custody.trust_cards(Arc::new(trust()));
    let mut doctor = physician_with_a_card(house, "Test117120").await;
    let linked = link(&mut doctor);
    custody.accept_binding(&linked, today()).await.unwrap();
    let (card, key) = (&estate::estate().pharmacist_card, &keys().other_card);
    // Before the phone was: where there is a phone, a card links no other.
    let linked = today().minus(1);
    let evidence = CardLinkEvidence { linked, ..linking(&doctor, 5, card, key) };
    custody.accept_card(&evidence, today()).await.unwrap();
    (doctor, evidence.binding)
}

fn by_her_hpki_card(statement: Statement) -> Approval {
    by_hpki(&estate::estate().doctor_card, &keys().card, statement)
}

fn by_her_my_number_card(binding: BindingId, statement: Statement) -> Approval {
    let (card, key) = (&estate::estate().pharmacist_card, &keys().other_card);
    by(CardMeans::Jpki, card, key, binding, statement)
}

#[tokio::test]
async fn what_a_card_approved_is_not_signed_once_it_has_ended_whatever_opened_the_session() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let custody = &house.custody;
    let (doctor, my_number) = with_every_means(&house).await;
    let said = approve_said(&doctor, asked(&house, &doctor).await);
    let morning = token(&house, &custody.open_budget(&said, today()).await.unwrap());

    let (before, signed) = authorised(&house, &morning, by_her_hpki_card).await;
    assert_eq!(sign(&house, &morning, &signed).await, "signed");
    let (_, sad) = authorised(&house, &morning, by_her_hpki_card).await;
    let card = CardEvidence::own_binding(estate::estate().doctor_card.der());
    custody.end_hpki_card(card, Some(doctor.key), today()).await.unwrap();
    assert_eq!(sign(&house, &morning, &sad).await, "card-revoked");

    let by_card = |said| by_her_my_number_card(my_number, said);
    let (_, sad) = authorised(&house, &morning, by_card).await;
    custody.end_card(my_number, today()).await.unwrap();
    assert_eq!(sign(&house, &morning, &sad).await, "card-ended");

    // What was signed before stays hers, and is handed out again.
    assert_eq!(sign(&house, &morning, &signed).await, "signed");
    custody.evidence(&facility(), before.documents[0].number, today()).await.unwrap();
    assert!(custody.books().await.unwrap().balance());
}

#[tokio::test]
async fn what_a_phone_approved_is_not_signed_once_it_is_unlinked_whatever_opened_the_session() {
    let folder = tempdir().unwrap();
    let house = found(folder.path());
    let custody = &house.custody;
    let (doctor, my_number) = with_every_means(&house).await;
    let said = by_her_my_number_card(my_number, asked(&house, &doctor).await);
    let morning = token(&house, &custody.open_budget(&said, today()).await.unwrap());
    let (_, sad) = authorised(&house, &morning, |said| approve_said(&doctor, said)).await;
    custody.end_binding(doctor.binding, today()).await.unwrap();
    assert_eq!(sign(&house, &morning, &sad).await, "binding-ended");
    let by_card = |said| by_her_my_number_card(my_number, said);
    let (_, sad) = authorised(&house, &morning, by_card).await;
    assert_eq!(sign(&house, &morning, &sad).await, "signed");
    assert!(custody.books().await.unwrap().balance());
}
