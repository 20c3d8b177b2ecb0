//! The same with her HPKI card in the terminal's reader: what she approves, and what a stranger can
//! tell of it with every database off.

use approval::bundle::Document;
use approval::statement::{self, DocumentsStatement};
use approval::{Approval, CardEvidence, CardMeans, Means, Proof};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ca::{Authority, SigningAuthority};
use gateway::reader::{CardUse, Chosen, Commands, InProcess, LastTry, Pin};
use gateway::{ApprovingState, Entered, Refusal};
use hpki::crl::Reason;
use hpki::id::CeremonyId;
use hpki::sign::Sign as _;
use ledger::Failed;
use zeroize::Zeroizing;

use super::super::cards::{answer, ask, citizen};
use super::super::made;
use super::*;
use crate::demo::cards;
use crate::flows;

/// The terminal has a reader, with her card in it.
struct Ward {
    desk: Desk,
    reader: InProcess,
}

impl Ward {
    async fn open() -> Self {
        let house = House::found_as(&[], POLICY).await;
        let file = house.founded.gateway_config(&SANDBOX);
        let written = std::fs::read_to_string(&file).unwrap();
        let with_cards = "\n[gateway.cards]\nreaders = false\nsigning = true\n";
        std::fs::write(&file, written + with_cards).unwrap();
        let config = GatewayConfig::load(&file).unwrap();
        let reader = InProcess::new("TEST reader");
        reader.insert(cards::chip(house.home(), &HANAKO).unwrap());
        let over = Arc::new(Commands::over(reader.clone()));
        let hospital = crate::hospital::open_with(&config, None, Some(over)).await.unwrap();
        Self { desk: Desk::in_the_morning(house, hospital).await, reader }
    }

    async fn card(&self) -> Chosen {
        let gateway = &self.desk.hospital.gateway;
        gateway.card_for(CardUse::Authentication, None).await.unwrap().0
    }

    /// She types her PIN for these documents.
    async fn approve(&self, asked: &Approving) -> Result<ApprovingState, Failed<Refusal>> {
        let pin = Pin::new(Zeroizing::new(cards::PIN.to_owned()));
        let entered = Entered::new(pin, LastTry::Unasked);
        let (gateway, card) = (&self.desk.hospital.gateway, self.card().await);
        gateway.approve_with_card(&staff(), asked.ceremony, &card, entered, now()).await
    }

    /// Her card's certificate is revoked, and its authority publishes the list.
    async fn revoke(&self, certificate: &hpki::Certificate) {
        let platform = self.desk.house.platform();
        let issuer = Authority::Authentication(SigningAuthority::Jma);
        let (serial, reason) = (certificate.serial(), Reason::KeyCompromise);
        platform.ca.revoke(issuer, serial, reason, now()).await.unwrap();
        flows::deliver::all(platform, now()).await.unwrap();
    }
}

/// The code of what the gateway or, through it, the platform says no to.
fn no<T: std::fmt::Debug>(answer: Result<T, Failed<Refusal>>) -> String {
    let Err(Failed::Refused(refusal)) = answer else { panic!("not refused: {answer:?}") };
    refusal.platform_code().unwrap_or(refusal.code()).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_her_card_approved_are_signed_and_a_stranger_agrees() {
    let ward = Ward::open().await;
    let asked = ward.desk.ask(3).await;
    let done = ward.approve(&asked).await.unwrap();
    assert_eq!((done.state, done.documents.len()), (CeremonyStep::Released, 3));
    for (place, one) in done.documents.iter().enumerate() {
        let evidence = ward.desk.hospital.gateway.evidence(one.order).await.unwrap();
        let report = ward.desk.judged(&evidence);
        assert_eq!((report.verdict, report.code()), (Verdict::Valid, None));
        let facts = report.facts.unwrap();
        assert_eq!((facts.place, facts.means), (place as u64 + 1, Means::Hpki));
        assert_eq!(facts.short_code, asked.short_code);
        // Under another person's card it proves nothing.
        let mut bundle = Bundle::parse(evidence.as_bytes()).unwrap();
        let his = made::hpki(ward.desk.house.platform(), &citizen(&ward.desk.house, &JIRO)).await;
        let card = bundle.card.as_mut().unwrap();
        let challenge = approval::Statement::Documents(bundle.statement.clone()).challenge();
        card.signature = his.authentication.sign(&challenge).unwrap();
        card.certificate = his.certificate;
        let report = ward.desk.judged(&bundle.text().unwrap());
        assert_eq!(report.code(), Some("card-other-holder"));
    }
    ward.desk.at_the_command_line(&done.documents[0], &done.documents[1]).await;

    // Revoked afterwards, it stays what it was by the lists of then; the next approval is refused
    // by the platform at once, and by the gateway itself as soon as it has the list.
    let certificate = ward.card().await.certificate;
    ward.revoke(&certificate).await;
    let evidence = ward.desk.hospital.gateway.evidence(asked.orders[0]).await.unwrap();
    assert_eq!(ward.desk.judged(&evidence).verdict, Verdict::Valid);
    let asked = ward.desk.ask(1).await;
    assert_eq!(no(ward.approve(&asked).await), "card-revoked");
    assert!(ward.desk.hospital.renew_lists().await);
    let heard = ward.desk.house.platform().ledger.size();
    assert_eq!(no(ward.approve(&asked).await), "card-revoked");
    assert_eq!(ward.desk.house.platform().ledger.size(), heard, "nobody else was asked");
    assert_eq!(ward.desk.house.entries(Event::SignatureMade).await.len(), 3);
    ward.desk.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_persons_card_and_a_stale_list_approve_nothing() {
    let ward = Ward::open().await;
    let asked = ward.desk.ask(2).await;
    ward.reader.insert(cards::chip(ward.desk.house.home(), &JIRO).unwrap());
    assert_eq!(no(ward.approve(&asked).await), "not-the-expected-person");
    ward.reader.insert(cards::chip(ward.desk.house.home(), &HANAKO).unwrap());

    // Without a list of its authority the card is not even asked.
    ward.desk.hospital.gateway.set_crls(Vec::new());
    assert_eq!(no(ward.approve(&asked).await), "card-status-unknown");
    let lists = crate::verify::lists(&ward.desk.house.home().join("crl")).unwrap();
    let of_signing: Vec<_> = lists
        .iter()
        .filter(|list| !list.issuer().to_string().contains("forAuthentication"))
        .cloned()
        .collect();
    assert!(of_signing.len() < lists.len());
    ward.desk.hospital.gateway.set_crls(of_signing);
    assert_eq!(no(ward.approve(&asked).await), "card-status-unknown");
    // Somebody else's staff ID has no such approval to give.
    let other: StaffId = SANDBOX.staff_id(&JIRO).unwrap().parse().unwrap();
    let entered = Entered::new(Pin::new(Zeroizing::new(cards::PIN.into())), LastTry::Unasked);
    let gateway = &ward.desk.hospital.gateway;
    let card = ward.card().await;
    let strange = gateway.approve_with_card(&other, asked.ceremony, &card, entered, now()).await;
    assert_eq!(no(strange), "gateway-ceremony-unknown");

    // With them, the same question is answered.
    assert!(ward.desk.hospital.renew_lists().await);
    let done = ward.approve(&asked).await.unwrap();
    assert_eq!(done.state, CeremonyStep::Released);
    ward.desk.house.in_order().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_card_approved_past_the_gateway_is_judged_before_it_is_kept() {
    let ward = Ward::open().await;
    let way = ward.desk.house.at(&SANDBOX);
    let card = made::hpki(ward.desk.house.platform(), &citizen(&ward.desk.house, &HANAKO)).await;
    let asked = ward.desk.ask(1).await;
    let shown = ask(&way, asked.ceremony, "hpki", &card.certificate).await.unwrap();
    assert_eq!(shown.statement_type, "documents");
    let signed = card.authentication.sign(&shown.challenge.0).unwrap();
    answer(&way, asked.ceremony, signed).await.unwrap();
    // A gateway that does not know the authorities of cards does not take what one approved.
    let file = ward.desk.house.founded.gateway_config(&SANDBOX);
    let written = std::fs::read_to_string(&file).unwrap();
    let without = written
        .replace(", \"ca-jma-auth.pem\", \"ca-jpa-auth.pem\", \"ca-medis-auth.pem\"", "")
        .replace("[gateway.cards]\nreaders = false\nsigning = true\n", "");
    std::fs::write(&file, without).unwrap();
    let config = GatewayConfig::load(&file).unwrap();
    assert_eq!(config.authorities.len(), 3);
    let Desk { house, hanako, hospital } = ward.desk;
    let gone = Arc::downgrade(&hospital);
    drop(hospital);
    until(|| async { gone.upgrade().is_none().then_some(()) }).await;
    let hospital = crate::hospital::open(&config).await.unwrap();
    let desk = Desk { house, hanako, hospital };
    let refused = desk.state(&asked).await;
    let Err(Failed::Refused(Refusal::EvidenceWrong(why))) = refused else {
        panic!("not refused: {refused:?}")
    };
    assert_eq!(why, "card-issuer-unknown");
    desk.house.in_order().await;
}

/// What a corrupt gateway has of a signature of the morning's session, and her card for a moment: a
/// statement over that very document, signed today.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_morning_signed_cannot_be_approved_with_her_card_afterwards() {
    let house = House::found().await;
    let platform = Arc::clone(house.platform());
    let mut hanako = house.resident(&HANAKO).await;
    let token = house.morning(&mut hanako).await.unwrap();
    let answer = send(&house.at(&SANDBOX), &token, &some_order()).await.unwrap();
    let journal = PinnedJournal(platform.ledger.verify_key());
    let made = verifier::activation::Journal::entry(&journal, &answer.proof).unwrap();
    let element = String::from_utf8(answer.signature.0.clone()).unwrap();
    let value = element.split("<ds:SignatureValue").nth(1).unwrap();
    let value = value.split_once('>').unwrap().1.split_once('<').unwrap().0;
    let value: String = value.split_whitespace().collect();
    let signature = STANDARD.decode(value).unwrap();

    let (kind, digest) = (DocumentKind::Prescription, [7; 32]);
    let dtbsr = made.dtbsr.unwrap();
    let commitment = statement::document_commitment(kind, custody::SHA256_OID, &digest, &dtbsr);
    let forged = DocumentsStatement {
        issuer: platform.config.url.clone(),
        rp_id: "localhost".into(),
        ceremony: CeremonyId::from_octets([1; 16]),
        nonce: [2; 32],
        facility_id: made.facility.unwrap(),
        facility_name: SANDBOX.name_ja.into(),
        x5t_s256: [3; 32],
        terminal_id: terminal().to_string(),
        terminal_label: SANDBOX.terminals[0].label.into(),
        person: made.person.unwrap(),
        key: made.key.unwrap(),
        kinds: vec![kind],
        count: 1,
        root: statement::root(&[commitment]),
        not_after: now().plus(30 * 86_400),
    };
    let card = made::hpki(&platform, &citizen(&house, &HANAKO)).await;
    let approval = Approval {
        proof: Proof::Card(CardEvidence {
            means: CardMeans::Hpki,
            signature: card.authentication.sign(&forged.challenge()).unwrap(),
            certificate: card.certificate.clone(),
        }),
        statement: approval::Statement::Documents(forged),
        binding: CardEvidence::own_binding(&card.certificate),
        approved: now(),
        number_confirmed: false,
    };
    let document = Document {
        kind,
        hash_oid: custody::SHA256_OID.to_owned(),
        digest: digest.to_vec(),
        dtbsr,
        index: 0,
        path: Vec::new(),
    };
    let of = (signature, answer.certificate.0.clone());
    let bundle = Bundle::new(&approval, document, (None, answer.proof.clone()), of).unwrap();
    let report = judged(&house, &bundle.text().unwrap());
    assert_eq!(report.approved.verdict, Verdict::Invalid);
    assert_eq!(report.code(), Some("outcome-other-approval"), "all else holds");
}
