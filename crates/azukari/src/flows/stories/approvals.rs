//! Kinds that take their owner's approval per document or batch: one look at the phone, eight
//! characters that terminal and phone share, and evidence that anybody can check afterwards.

mod asked_again;
mod by_card;

use approval::Bundle;
use custody::{Asked, Peer};
use gateway::evidence::PinnedJournal;
use gateway::{Approving, Paper, StaffId, TerminalId};
use hpki::encoding::sha256;
use hpki::path::Anchor;
use hpki::refusal::Refuse as _;
use town::people::{HANAKO, JIRO, SANDBOX};
use town::phone::Manner;
use verifier::Verdict;
use verifier::activation::{ActivationReport, Grounds, verify_activation};
use wire::{ApprovalSignatures, CeremonyStep};

use super::*;
use crate::config::GatewayConfig;
use crate::demo::walk::{Claimed, approve, claim, refuse};
use crate::hospital::Hospital;

/// The platform where a prescription takes an approval per document.
const POLICY: &str =
    "\n[[kind]]\nname = \"prescription\"\nenabled = true\napproval = \"document\"\n";

/// A physician at her terminal in the morning.
struct Desk {
    house: House,
    hanako: Resident,
    hospital: Arc<Hospital>,
}

impl Desk {
    async fn open() -> Self {
        let house = House::found_as(&[], POLICY).await;
        let config = GatewayConfig::load(&house.founded.gateway_config(&SANDBOX)).unwrap();
        let hospital = crate::hospital::open(&config).await.unwrap();
        Self::in_the_morning(house, hospital).await
    }

    /// She has authenticated with her phone.
    async fn in_the_morning(house: House, hospital: Arc<Hospital>) -> Self {
        let mut hanako = house.resident(&HANAKO).await;
        let (staff, phones) = (staff(), house.founded.client(None).unwrap());
        let gateway = &hospital.gateway;
        let begun = gateway.authenticate(&staff, &terminal(), now()).await.unwrap();
        let shown = claim(&phones, &hanako.phone, &begun.qr).await.unwrap();
        let number = approve(&phones, &mut hanako.phone, &shown).await.unwrap().unwrap();
        gateway.number(&staff, begun.ceremony, &number, now()).await.unwrap();
        until(|| async {
            let state = gateway.authentication_state(&staff, begun.ceremony, now()).await.unwrap();
            state.until
        })
        .await;
        Self { house, hanako, hospital }
    }

    fn phones(&self) -> Client {
        self.house.founded.client(None).unwrap()
    }

    /// The terminal asks for an approval of so many prescriptions.
    async fn ask(&self, count: usize) -> Approving {
        let papers = papers(count);
        let gateway = &self.hospital.gateway;
        gateway.ask_approval(&staff(), &terminal(), &papers, now()).await.unwrap()
    }

    async fn claimed(&self, asked: &Approving) -> Claimed {
        claim(&self.phones(), &self.hanako.phone, &asked.qr).await.unwrap()
    }

    async fn state(
        &self,
        asked: &Approving,
    ) -> Result<gateway::ApprovingState, ledger::Failed<gateway::Refusal>> {
        self.hospital.gateway.approval(&staff(), asked.ceremony, now()).await
    }

    async fn token(&mut self) -> String {
        self.house.morning(&mut self.hanako).await.unwrap()
    }

    /// The same with every database off: evidence and document are files.
    async fn at_the_command_line(
        &self,
        one: &gateway::DocumentOutcome,
        other: &gateway::DocumentOutcome,
    ) {
        let home = self.house.home();
        let text = |name: &str| home.join(name).to_str().unwrap().to_owned();
        let evidence = self.hospital.gateway.evidence(one.order).await.unwrap();
        std::fs::write(home.join("evidence.json"), &evidence).unwrap();
        std::fs::write(home.join("one.xml"), one.outcome.as_ref().unwrap()).unwrap();
        std::fs::write(home.join("other.xml"), other.outcome.as_ref().unwrap()).unwrap();
        std::fs::write(home.join("more.json"), evidence.replacen('{', "{\"note\":1,", 1)).unwrap();
        let (log, root, lists) = (text("log.vkey"), text("root.pem"), text("crl"));
        let exit = |file: &str, more: &[&str]| {
            let file = text(file);
            let line = [&[file.as_str(), "--json"], more].concat();
            crate::verify_activation::exit(&line)
        };
        let known = ["--log-key", &log, "--root-ca", &root, "--crl", &lists];
        let with = |document: &'static str| {
            let document = text(document);
            move |known: &[&str]| {
                let mut line: Vec<String> = known.iter().map(|word| (*word).to_owned()).collect();
                line.extend(["--document".to_owned(), document.clone()]);
                line
            }
        };
        let strs = |line: Vec<String>| -> u8 {
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            exit("evidence.json", &line)
        };
        assert_eq!(exit("evidence.json", &known), 0);
        assert_eq!(strs(with("one.xml")(&known)), 0);
        assert_eq!(strs(with("other.xml")(&known)), 1, "another document of the same batch");
        assert_eq!(exit("more.json", &known), 1, "an unknown member");
        assert_eq!(exit("evidence.json", &[]), 2, "no key of the journal");
        assert_eq!(exit("evidence.json", &known[..2]), 2, "no root");
        assert_eq!(exit("nothing.json", &known), 2);
    }

    /// What a stranger says of this evidence, with this town's root, lists and log key.
    fn judged(&self, evidence: &str) -> ActivationReport {
        judged(&self.house, evidence)
    }
}

fn judged(house: &House, evidence: &str) -> ActivationReport {
    let home = house.home();
    let root = home.join("root.pem");
    let anchors = [Anchor { certificate: crate::verify::certificate(&root).unwrap() }];
    let intermediates = crate::verify::authorities(&[], &root).unwrap();
    let lists = crate::verify::lists(&home.join("crl")).unwrap();
    let log = crate::journal::read_key(&home.join("log.vkey")).unwrap();
    let grounds = Grounds {
        journal: Some(&PinnedJournal(&log)),
        at_hand: None,
        anchors: &anchors,
        intermediates: &intermediates,
        crls: Some(&lists),
        policies: &[crate::policy(3)],
    };
    verify_activation(evidence.as_bytes(), &grounds)
}

fn staff() -> StaffId {
    SANDBOX.staff_id(&HANAKO).unwrap().parse().unwrap()
}

fn terminal() -> TerminalId {
    SANDBOX.terminals[0].id.parse().unwrap()
}

fn papers(count: usize) -> Vec<Paper> {
    let csv = town::ehr::prescription_csv(&HANAKO, &SANDBOX, now());
    (0..count).map(|_| Paper::Prescription(csv.clone())).collect()
}

fn refused<T>(result: Result<T, ledger::Failed<gateway::Refusal>>) -> String {
    match result {
        Err(ledger::Failed::Refused(refusal)) => {
            refusal.platform_code().unwrap_or(refusal.code()).to_owned()
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_approval_signs_three_prescriptions_and_leaves_evidence_of_each() {
    let mut desk = Desk::open().await;
    let gateway = &desk.hospital.gateway;
    // The morning's authentication does not suffice for this kind here.
    let Paper::Prescription(csv) = papers(1).remove(0) else { panic!("a prescription") };
    assert_eq!(refused(gateway.prescribe(&staff(), &csv, now()).await), "approval-needed");

    let asked = desk.ask(3).await;
    assert_eq!((asked.count, asked.kinds.as_slice()), (3, &[DocumentKind::Prescription][..]));
    assert_eq!(desk.state(&asked).await.unwrap().state, CeremonyStep::Waiting);
    let shown = desk.claimed(&asked).await;
    // Terminal and phone show the same, each computed for itself.
    assert_eq!(shown.short_code().as_deref(), Some(asked.short_code.as_str()));
    assert_eq!(shown.statement["count"], 3);
    assert_eq!(shown.statement["facilityName"], SANDBOX.name_ja);
    assert_eq!(desk.state(&asked).await.unwrap().state, CeremonyStep::Claimed);
    let phones = desk.phones();
    let number = approve(&phones, &mut desk.hanako.phone, &shown).await.unwrap();
    assert_eq!(number, None, "her session at this place is proof of the place");

    let done = desk.state(&asked).await.unwrap();
    assert_eq!((done.state, done.documents.len()), (CeremonyStep::Released, 3));
    let mut hashes = Vec::new();
    for (place, found) in done.documents.iter().enumerate() {
        assert_eq!(found.order, asked.orders[place]);
        let document = found.outcome.as_ref().unwrap();
        let report = desk.hospital.gateway.report(document, now());
        assert_eq!(report.verdict, Verdict::Valid, "{report:?}");
        let evidence = desk.hospital.gateway.evidence(found.order).await.unwrap();
        let report = desk.judged(&evidence);
        assert_eq!(report.code(), None, "{report:?}");
        let facts = report.facts.unwrap();
        assert_eq!((facts.place, facts.count), (place as u64 + 1, 3));
        assert_eq!(facts.short_code, asked.short_code);
        hashes.push(facts.dtbsr);
        // Under another log key it proves nothing; a document that was swapped is another.
        let mut bundle = Bundle::parse(evidence.as_bytes()).unwrap();
        bundle.document.digest[0] ^= 1;
        let report = desk.judged(&bundle.text().unwrap());
        assert_eq!(report.code(), Some("document-not-approved"));
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 3, "three signatures of three documents");
    desk.at_the_command_line(&done.documents[0], &done.documents[1]).await;

    // Asked again, here and of the platform, nothing more is signed.
    let size = desk.house.platform().ledger.size();
    let again = desk.state(&asked).await.unwrap();
    for (one, other) in done.documents.iter().zip(&again.documents) {
        assert_eq!(one.outcome, other.outcome);
    }
    assert_eq!(desk.house.platform().ledger.size(), size);
    assert_eq!(desk.house.entries(Event::SignatureMade).await.len(), 3);
    desk.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_on_the_phone_by_another_phone_or_too_late_nothing_is_signed() {
    let mut desk = Desk::open().await;
    let phones = desk.phones();
    // Somebody else's phone leaves the QR to its owner.
    let mut jiro = desk.house.resident(&JIRO).await;
    let asked = desk.ask(2).await;
    let stranger = claim(&phones, &jiro.phone, &asked.qr).await;
    assert_eq!(code(stranger), "not-the-expected-person");
    // Another staff ID's terminal hears nothing.
    let other: StaffId = SANDBOX.staff_id(&JIRO).unwrap().parse().unwrap();
    let heard = desk.hospital.gateway.approval(&other, asked.ceremony, now()).await;
    assert_eq!(refused(heard), "gateway-ceremony-unknown");
    // The owner says no.
    desk.claimed(&asked).await;
    refuse(&phones, &desk.hanako.phone, &asked.qr).await.unwrap();
    let state = desk.state(&asked).await.unwrap();
    assert_eq!((state.state, state.documents.len()), (CeremonyStep::Refused, 0));
    assert_eq!(desk.state(&asked).await.unwrap().state, CeremonyStep::Refused);

    // A page that shows one thing and has another signed gets nothing from the phone, and what
    // the phone would sign of another statement is refused.
    let asked = desk.ask(2).await;
    let mut shown = desk.claimed(&asked).await;
    let honest = shown.clone();
    shown.statement["count"] = 1.into();
    assert!(approve(&phones, &mut desk.hanako.phone, &shown).await.is_err());
    desk.hanako.phone.behave(Manner::OtherChallenge);
    let swapped = approve(&phones, &mut desk.hanako.phone, &honest).await;
    assert_eq!(code(swapped), "challenge-mismatch");
    desk.hanako.phone.behave(Manner::Proper);

    // Too late: three minutes after it was composed nothing of it is signed.
    let late = now().plus(181);
    let asked = desk.ask(1).await;
    let state = desk.hospital.gateway.approval(&staff(), asked.ceremony, now()).await.unwrap();
    assert_eq!(state.state, CeremonyStep::Waiting);
    let x5t = desk.house.platform().ca.facility_in_force(&certificate(&desk), now()).await;
    let found = desk.house.platform().authn.documents_state(asked.ceremony, x5t.unwrap().x5t, late);
    assert_eq!(found.await.unwrap().step, CeremonyStep::Expired);
    jiro.phone.behave(Manner::Proper);
    assert!(desk.house.entries(Event::SignatureMade).await.is_empty());
    desk.house.in_order().await;
}

/// The client certificate of the facility's gateway.
fn certificate(desk: &Desk) -> hpki::Certificate {
    let file = desk.house.home().join("tls").join(format!("{}.pem", SANDBOX.code));
    crate::verify::certificate(&file).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_for_what_was_shown_and_is_spent_once() {
    let mut desk = Desk::open().await;
    let phones = desk.phones();
    let token = desk.token().await;
    let platform = Arc::clone(desk.house.platform());
    let place = platform.ca.facility_in_force(&certificate(&desk), now()).await.unwrap();
    let peer = Peer { x5t: place.x5t, facility: place.code.clone() };
    let some = |kind| {
        let mut digest = [0; 32];
        hpki::sign::Random::fill(&hsm::SystemRandom, &mut digest);
        Asked { number: some_order().order, kind, digest }
    };

    let asked = desk.ask(2).await;
    let shown = desk.claimed(&asked).await;
    approve(&phones, &mut desk.hanako.phone, &shown).await.unwrap();
    let (_, approval) = platform.authn.agreed(asked.ceremony, place.x5t, now()).await.unwrap();
    // For other documents, or for a part of them, it is not an approval.
    for count in [1, 2] {
        let others = (0..count).map(|_| some(DocumentKind::Prescription)).collect();
        let prepared = platform.custody.prepare(&token, &peer, others, now()).await.unwrap();
        let refused = platform.custody.authorise(prepared.id, &approval, now()).await;
        let Err(ledger::Failed::Refused(refusal)) = refused else { panic!("not refused") };
        assert_eq!(refusal.code(), "approval-mismatch");
    }
    assert!(desk.house.entries(Event::SignatureMade).await.is_empty());

    // Another facility finds nothing.
    let path = wire::path::APPROVAL_SIGNATURES.replace("{ceremony}", &asked.ceremony.to_string());
    let elsewhere = desk.house.at(&HOSPITAL);
    let body = serde_json::json!({});
    let fetched: Result<ApprovalSignatures, _> =
        call(&elsewhere, "POST", &path, Some(&token), Some(&body)).await;
    assert_eq!(code(fetched), "ceremony-unknown");

    // Its own gateway fetches the signatures, as often as it likes: they are the same ones.
    let done = desk.state(&asked).await.unwrap();
    assert_eq!(done.state, CeremonyStep::Released);
    let made = desk.house.entries(Event::SignatureMade).await.len();
    assert_eq!(made, 2);
    let evidence = desk.hospital.gateway.evidence(asked.orders[0]).await.unwrap();
    let first = Bundle::parse(evidence.as_bytes()).unwrap();
    let path = wire::path::EVIDENCE.replace("{order}", &asked.orders[0].to_string());
    let way = desk.house.at(&SANDBOX);
    let again: Value = call(&way, "GET", &path, None, None).await.unwrap();
    let again = Bundle::parse(again.to_string().as_bytes()).unwrap();
    assert_eq!(sha256(&first.signature), sha256(&again.signature));
    let foreign: Result<Value, _> = call(&elsewhere, "GET", &path, None, None).await;
    assert_eq!(code(foreign), "order-unknown");
    assert_eq!(desk.house.entries(Event::SignatureMade).await.len(), made);
    desk.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_died_after_the_approval_goes_on_after_its_next_start() {
    let mut desk = Desk::open().await;
    let phones = desk.phones();
    let asked = desk.ask(2).await;
    let shown = desk.claimed(&asked).await;
    approve(&phones, &mut desk.hanako.phone, &shown).await.unwrap();
    let forgotten = desk.ask(1).await;

    let config = GatewayConfig::load(&desk.house.founded.gateway_config(&SANDBOX)).unwrap();
    let Desk { house, hanako, hospital } = desk;
    let gone = Arc::downgrade(&hospital);
    drop(hospital);
    until(|| async { gone.upgrade().is_none().then_some(()) }).await;
    let hospital = crate::hospital::open(&config).await.unwrap();
    let desk = Desk { house, hanako, hospital };
    let done = desk.state(&asked).await.unwrap();
    assert_eq!((done.state, done.documents.len()), (CeremonyStep::Released, 2));

    // What nobody approved is asked about once, ten minutes later, and then closed.
    let gateway = &desk.hospital.gateway;
    assert!(gateway.resume(now()).await.unwrap().is_empty());
    let closed = gateway.resume(now().plus(601)).await.unwrap();
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].order, forgotten.orders[0]);
    assert_eq!(desk.state(&forgotten).await.unwrap().state, CeremonyStep::Expired);
    assert_eq!(desk.house.entries(Event::SignatureMade).await.len(), 2);
    desk.house.in_order().await;
}
