//! Documents signed with an HPKI card in a reader of this host.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use gateway::reader::{Commands, InProcess, LastTry, Tries};
use gateway::{
    CardAsked, CardDesk, CardOrderState, CardPolicy, FacilityKey, Gateway, Keeping, MIGRATIONS,
    Paper, Refusal, ShelfKey, SignedHere,
};
use hpki::id::OrderNumber;
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::{Failed, Ledger, Opening, audit};
use town::card::{Kept, Layout};
use verifier::Verdict;

use crate::cards::{Mishap, RIGHT, Watched, hpki_card, pin, reader, signing_certificate};
use crate::estate::{COLLEAGUE, Dice, ESTATE, PHARMACIST, PHYSICIAN, Who, now};
use crate::platform::Wire;
use crate::world::{Town, code, config, csv, dispensing_csv, id, later, refusal};

const ORIGIN: &str = "facility.example/1319999901/g1";

fn facility_key() -> Arc<FacilityKey> {
    Arc::new(FacilityKey::from_octets([5; 64]).unwrap())
}

fn journal(folder: &Path, now: Timestamp) -> Ledger {
    let key = facility_key();
    Ledger::open(Opening {
        place: folder.into(),
        migrations: MIGRATIONS,
        log: key.clone(),
        streams: key,
        random: Arc::new(Dice),
        origin: ORIGIN.into(),
        now,
    })
    .unwrap()
}

pub(crate) const EACH_TIME: CardPolicy =
    CardPolicy { signs: true, keeping: Keeping::EachTime, patience: Duration::from_secs(20) };

/// A hospital with a reader, and a card in it.
pub(crate) struct Ward {
    pub(crate) town: Town,
    pub(crate) gateway: Gateway<Wire>,
    journal: Ledger,
    pub(crate) chip: Watched,
    pub(crate) reader: InProcess,
}

fn card(who: Who, serial: u8) -> Kept {
    hpki_card(Layout::Jma, who, serial, now())
}

impl Ward {
    pub(crate) async fn with(kept: &Kept, policy: CardPolicy) -> Self {
        Self::configured(kept, policy, |_| {}).await
    }

    async fn configured(
        kept: &Kept,
        policy: CardPolicy,
        change: impl FnOnce(&mut gateway::GatewayConfig),
    ) -> Self {
        let town = Town::awake().await;
        let chip = Watched::new(kept);
        let reader = reader(&chip);
        let (journal, gateway) = Self::open(&town, &reader, policy, change);
        Self { town, gateway, journal, chip, reader }
    }

    fn open(
        town: &Town,
        reader: &InProcess,
        policy: CardPolicy,
        change: impl FnOnce(&mut gateway::GatewayConfig),
    ) -> (Ledger, Gateway<Wire>) {
        let journal = journal(&town.folder.path().join("ward"), now());
        let mut config = config(&town.world);
        change(&mut config);
        let key = ShelfKey::from_octets([3; 32]).unwrap();
        let wire = Wire(Arc::clone(&town.world));
        let cards = Arc::new(Commands::over(reader.clone()));
        let gateway = Gateway::open(config, journal.store(), key, wire, Arc::new(Dice))
            .with_cards(CardDesk::new(cards, journal.clone(), policy));
        gateway.set_crls(ESTATE.lists(&[], now()));
        (journal, gateway)
    }

    /// The process ends and begins again.
    fn restarted(self) -> Self {
        let Self { town, gateway, journal, chip, reader } = self;
        drop((gateway, journal));
        let (journal, gateway) = Self::open(&town, &reader, EACH_TIME, |_| {});
        Self { town, gateway, journal, chip, reader }
    }

    async fn ask(&self, at: Timestamp) -> Result<CardAsked, Failed<Refusal>> {
        self.gateway.ask_card(&id("dr-1"), &Paper::Prescription(csv()), None, at).await
    }

    async fn sign(&self, order: OrderNumber, typed: &str) -> Result<SignedHere, Failed<Refusal>> {
        let typed = Some((pin(typed), LastTry::Unasked));
        self.gateway.sign_with_card(&id("dr-1"), order, typed, later(5)).await
    }

    async fn state(&self, order: OrderNumber) -> CardOrderState {
        self.gateway.card_order(&id("dr-1"), order).await.unwrap()
    }

    /// Every intention has its outcome, and the journal is whole.
    pub(crate) fn balanced(&self, entries: u64) {
        let key = facility_key();
        let report = audit::verify(&audit::Audit {
            place: self.town.folder.path().join("ward").as_path().into(),
            head: None,
            log: self.journal.verify_key(),
            streams: Some(&*key),
            since: &[],
        });
        let report = report.unwrap();
        assert_eq!((report.entries, report.open_intentions.len()), (entries, 0), "{report:?}");
        assert!(report.is_whole(), "{report:?}");
    }
}

#[tokio::test]
async fn a_prescription_is_signed_with_the_card_and_the_facilitys_journal_holds_it() {
    let kept = card(PHYSICIAN, 31);
    let ward = Ward::with(&kept, EACH_TIME).await;
    let asked = ward.ask(now()).await.unwrap();
    assert_eq!((asked.kind, asked.pin_needed), (DocumentKind::Prescription, true));
    assert_eq!(asked.face.tries, Tries::Left(15));
    assert_eq!(asked.face.certificate, signing_certificate(&kept));
    assert_eq!(ward.chip.pins_heard(), 0, "it is said which card it is before any PIN");
    assert_eq!(ward.state(asked.order).await, CardOrderState::Waiting);
    let calls = ward.town.world.calls.lock().unwrap().len();

    let signed = ward.sign(asked.order, RIGHT).await.unwrap();
    assert_eq!(signed.report.verdict, Verdict::Valid);
    assert_eq!(signed.signing_time, later(5));
    assert_eq!(signed.index, 1, "the intention stands before it");
    assert_eq!(ward.state(asked.order).await, CardOrderState::Done(signed.document));
    assert_eq!(ward.chip.signatures(), 1);
    assert_eq!(ward.town.world.calls.lock().unwrap().len(), calls, "nothing left the facility");
    ward.balanced(2);
}

#[tokio::test]
async fn the_report_differs_from_that_of_a_remote_signature_in_certificate_and_time_alone() {
    let ward = Ward::with(&card(PHYSICIAN, 31), EACH_TIME).await;
    let order = ward.ask(now()).await.unwrap().order;
    let here = ward.sign(order, RIGHT).await.unwrap();
    let remote = ward.town.prescribe().await.unwrap();
    let report = |document: &[u8]| {
        let report = ward.gateway.report(document, later(9));
        serde_json::to_value(report).unwrap()
    };
    let (mut here, mut remote) = (report(&here.document), report(&remote.document));
    let mut differ = Vec::new();
    for (name, value) in here["signatures"][0].as_object().unwrap() {
        if *value != remote["signatures"][0][name] {
            differ.push(name.clone());
        }
    }
    assert_eq!(differ, ["certificate_serial", "signing_time_claimed"]);
    for report in [&mut here, &mut remote] {
        for name in &differ {
            report["signatures"][0][name] = serde_json::Value::Null;
        }
    }
    assert_eq!(here, remote);
}

#[tokio::test]
async fn a_pharmacist_signs_her_dispensing_result_with_her_card() {
    let ward = Ward::with(&card(PHARMACIST, 32), EACH_TIME).await;
    let prescription = ward.town.registered().await;
    let paper = Paper::Dispensing { prescription, csv: dispensing_csv() };
    let asked = ward.gateway.ask_card(&id("ph-1"), &paper, None, now()).await.unwrap();
    let typed = Some((pin(RIGHT), LastTry::Unasked));
    let signed = ward.gateway.sign_with_card(&id("ph-1"), asked.order, typed, now()).await.unwrap();
    assert_eq!(signed.report.verdict, Verdict::Valid);
    assert_eq!(signed.report.signatures.len(), 2);
    assert_eq!(signed.kind, DocumentKind::Dispensing);
}

#[tokio::test]
async fn a_card_that_no_verifier_would_accept_is_refused_before_its_pin_is_asked() {
    let refused = async |kept: &Kept, at: Timestamp, lists| {
        let ward = Ward::with(kept, EACH_TIME).await;
        ward.gateway.set_crls(lists);
        let code = code(ward.ask(at).await);
        assert_eq!(ward.chip.pins_heard(), 0);
        ward.balanced(0);
        code
    };
    let good = card(PHYSICIAN, 31);
    let own = signing_certificate(&good);
    assert_eq!(refused(&good, now(), ESTATE.lists(&[&own], now())).await, "certificate-revoked");
    assert_eq!(refused(&good, now(), Vec::new()).await, "crl-missing");
    let stale = ESTATE.lists(&[], now().minus(5 * 86_400));
    assert_eq!(refused(&good, now(), stale).await, "crl-stale");
    let old = hpki_card(Layout::Jma, PHYSICIAN, 33, now().minus(6 * 365 * 86_400));
    assert_eq!(refused(&old, now(), ESTATE.lists(&[], now())).await, "certificate-expired");
    let pharmacist = card(PHARMACIST, 32);
    assert_eq!(refused(&pharmacist, now(), ESTATE.lists(&[], now())).await, "card-not-qualified");

    // A card whose signing key has a certificate for authentication.
    let Kept::Hpki { layout, authentication, signing_pin, authentication_pin, .. } = good else {
        unreachable!()
    };
    let signing = authentication.clone();
    let odd = Kept::Hpki { layout, signing, authentication, signing_pin, authentication_pin };
    let code = refused(&odd, now(), ESTATE.lists(&[], now())).await;
    assert_eq!(code, "issuer-unknown");
}

#[tokio::test]
async fn another_root_makes_a_card_worthless() {
    let other = ESTATE.other_root.clone();
    let kept = card(PHYSICIAN, 31);
    let ward = Ward::configured(&kept, EACH_TIME, |config| {
        config.anchors = vec![hpki::path::Anchor { certificate: other }];
    });
    assert_eq!(code(ward.await.ask(now()).await), "anchor-mismatch");
}

#[tokio::test]
async fn a_wrong_pin_is_journalled_tells_the_tries_and_the_document_still_waits() {
    let ward = Ward::with(&card(PHYSICIAN, 31), EACH_TIME).await;
    let order = ward.ask(now()).await.unwrap().order;
    let said = refusal(ward.sign(order, "wrong").await);
    assert_eq!(said.to_string(), "the PIN is wrong; 14 tries are left");
    assert_eq!(ward.state(order).await, CardOrderState::Waiting);
    // One that cannot be right is no act: not journalled, and no try is lost.
    assert_eq!(code(ward.sign(order, "x").await), "card-pin-malformed");
    ward.balanced(2);
    ward.sign(order, RIGHT).await.unwrap();
    ward.balanced(4);
}

#[tokio::test]
async fn the_last_try_is_the_holders_to_take() {
    let mut kept = card(PHYSICIAN, 31);
    let Kept::Hpki { signing_pin, .. } = &mut kept else { unreachable!() };
    signing_pin.left = 1;
    let ward = Ward::with(&kept, EACH_TIME).await;
    let asked = ward.ask(now()).await.unwrap();
    assert_eq!(asked.face.tries, Tries::Left(1));
    assert_eq!(code(ward.sign(asked.order, "wrong").await), "card-pin-last-try");
    let wanted = Some((pin("wrong"), LastTry::Wanted));
    let blocked = ward.gateway.sign_with_card(&id("dr-1"), asked.order, wanted, now()).await;
    assert_eq!(code(blocked), "card-pin-blocked");
    assert_eq!(code(ward.sign(asked.order, RIGHT).await), "card-pin-blocked");
    ward.balanced(2);
}

#[tokio::test]
async fn a_card_pulled_out_while_it_signs_leaves_the_document_waiting_for_it() {
    let ward = Ward::with(&card(PHYSICIAN, 31), EACH_TIME).await;
    let order = ward.ask(now()).await.unwrap().order;
    ward.chip.mishap(0x2a, Mishap::PulledOut);
    assert_eq!(code(ward.sign(order, RIGHT).await), "card-removed");
    assert_eq!(code(ward.sign(order, RIGHT).await), "card-missing");
    ward.reader.insert(ward.chip.clone());
    assert_eq!(ward.sign(order, RIGHT).await.unwrap().report.verdict, Verdict::Valid);
    ward.balanced(4);
}

#[tokio::test]
async fn another_card_than_the_one_that_was_shown_does_not_hear_the_pin() {
    let ward = Ward::with(&card(PHYSICIAN, 31), EACH_TIME).await;
    let order = ward.ask(now()).await.unwrap().order;
    let other = Watched::new(&card(PHYSICIAN, 34));
    ward.reader.insert(other.clone());
    assert_eq!(code(ward.sign(order, RIGHT).await), "card-changed");
    assert_eq!(other.pins_heard(), 0);
    ward.balanced(0);
}

#[tokio::test]
async fn a_card_signs_for_one_staff_id_and_a_staff_id_has_one_card() {
    let mine = card(PHYSICIAN, 31);
    let ward = Ward::with(&mine, EACH_TIME).await;
    let order = ward.ask(now()).await.unwrap().order;
    ward.sign(order, RIGHT).await.unwrap();
    let paper = Paper::Prescription(csv());
    let elsewhere = ward.gateway.ask_card(&id("dr-2"), &paper, None, now()).await;
    assert_eq!(code(elsewhere), "card-of-another");
    ward.reader.insert(Watched::new(&card(COLLEAGUE, 35)));
    assert_eq!(code(ward.ask(now()).await), "card-of-another");
    // Her own renewed card has the same number of the person on it.
    ward.reader.insert(Watched::new(&card(PHYSICIAN, 36)));
    let order = ward.ask(now()).await.unwrap().order;
    ward.sign(order, RIGHT).await.unwrap();
}

#[tokio::test]
async fn the_staff_list_has_the_last_word_on_whose_card_signs() {
    let name = |staff: &'static str, number: &'static str| {
        move |config: &mut gateway::GatewayConfig| {
            let staff = config.staff.iter_mut().find(|one| one.id == id(staff)).unwrap();
            staff.card = Some(number.into());
        }
    };
    for (staff, number, allowed) in [
        ("dr-1", PHYSICIAN.number, true),
        ("dr-1", COLLEAGUE.number, false),
        ("dr-2", PHYSICIAN.number, false),
    ] {
        let kept = card(PHYSICIAN, 31);
        let ward = Ward::configured(&kept, EACH_TIME, name(staff, number)).await;
        let asked = ward.ask(now()).await;
        if allowed {
            asked.unwrap();
        } else {
            assert_eq!(code(asked), "card-of-another", "{staff} {number}");
        }
    }
}

#[tokio::test]
async fn a_pin_is_kept_only_where_configured_and_only_while_its_card_stays() {
    let ward = Ward::with(&card(PHYSICIAN, 31), EACH_TIME).await;
    let order = ward.ask(later(6)).await.unwrap().order;
    ward.sign(order, RIGHT).await.unwrap();
    let again = ward.ask(later(6)).await.unwrap();
    assert!(again.pin_needed);
    let unasked = ward.gateway.sign_with_card(&id("dr-1"), again.order, None, later(7)).await;
    assert_eq!(code(unasked), "card-pin-needed");

    let keeping = CardPolicy { keeping: Keeping::WhileInserted, ..EACH_TIME };
    let ward = Ward::with(&card(PHYSICIAN, 31), keeping).await;
    let sign = async |order| ward.gateway.sign_with_card(&id("dr-1"), order, None, later(7)).await;
    let order = ward.ask(later(6)).await.unwrap().order;
    assert_eq!(code(sign(order).await), "card-pin-needed");
    ward.sign(order, RIGHT).await.unwrap();
    for _ in 0..2 {
        let asked = ward.ask(later(6)).await.unwrap();
        assert!(!asked.pin_needed);
        sign(asked.order).await.unwrap();
    }
    let waiting = ward.ask(later(6)).await.unwrap();
    ward.reader.remove();
    ward.reader.insert(ward.chip.clone());
    assert_eq!(code(sign(waiting.order).await), "card-pin-needed", "it was out for a moment");
    assert!(ward.ask(later(6)).await.unwrap().pin_needed);
    let typed = Some((pin(RIGHT), LastTry::Unasked));
    let typed = ward.gateway.sign_with_card(&id("dr-1"), waiting.order, typed, later(8)).await;
    typed.unwrap();
    // Twelve hours later it is asked for again.
    let evening = now().plus(12 * 3600 + 10);
    ward.gateway.set_crls(ESTATE.lists(&[], evening));
    assert!(ward.ask(evening).await.unwrap().pin_needed);
    ward.balanced(8);
}

#[tokio::test]
async fn a_kept_pin_that_turns_out_wrong_is_forgotten_at_once() {
    let keeping = CardPolicy { keeping: Keeping::WhileInserted, ..EACH_TIME };
    let ward = Ward::with(&card(PHYSICIAN, 31), keeping).await;
    let order = ward.ask(later(6)).await.unwrap().order;
    ward.sign(order, RIGHT).await.unwrap();
    // Somebody changed it elsewhere.
    if let town::card::AnyCard::Hpki(card) = &mut ward.chip.look().card {
        card.applications[0].pin = town::card::Pin::new("another", 15);
    }
    let asked = ward.ask(later(6)).await.unwrap();
    let sign = async || ward.gateway.sign_with_card(&id("dr-1"), asked.order, None, later(7)).await;
    assert_eq!(code(sign().await), "card-pin-wrong");
    assert_eq!(code(sign().await), "card-pin-needed");
    assert_eq!(ward.chip.signing_tries(), 14, "one try is lost and no more");
}

#[tokio::test]
async fn a_card_that_does_not_answer_in_time_is_given_up_and_its_late_signature_goes_nowhere() {
    let hasty = CardPolicy { patience: Duration::from_millis(400), ..EACH_TIME };
    let ward = Ward::with(&card(PHYSICIAN, 31), hasty).await;
    let order = ward.ask(now()).await.unwrap().order;
    let (go_on, until) = mpsc::channel();
    ward.chip.mishap(0x2a, Mishap::Waits(until));
    assert_eq!(code(ward.sign(order, RIGHT).await), "card-slow");
    assert_eq!(ward.state(order).await, CardOrderState::Waiting);
    ward.balanced(2);
    go_on.send(()).unwrap();
    // The reader is free again once the card has answered, and nothing was made of the answer.
    let signed = loop {
        match ward.sign(order, RIGHT).await {
            Err(Failed::Refused(refusal)) if refusal.to_string().contains("in time") => {}
            signed => break signed.unwrap(),
        }
    };
    assert_eq!(ward.state(order).await, CardOrderState::Done(signed.document));
}

#[tokio::test]
async fn dying_while_the_card_signs_leaves_an_interrupted_signature_and_balanced_books() {
    let ward = Ward::with(&card(PHYSICIAN, 31), EACH_TIME).await;
    let order = ward.ask(now()).await.unwrap().order;
    let (go_on, until) = mpsc::channel();
    ward.chip.mishap(0x2a, Mishap::Waits(until));
    {
        let signing = ward.sign(order, RIGHT);
        let began = async {
            while ward.state(order).await != CardOrderState::Signing {
                tokio::task::yield_now().await;
            }
        };
        // Whoever waited is gone while the card is at work.
        tokio::select! { _ = signing => panic!("it waits for the card"), () = began => {} }
    }
    assert_eq!(ward.gateway.close_interrupted(600, later(60)).await.unwrap(), 0);
    go_on.send(()).unwrap();
    let ward = ward.restarted();
    assert_eq!(ward.gateway.close_interrupted(0, later(60)).await.unwrap(), 1);
    let said = CardOrderState::Refused("card-signature-interrupted".into());
    assert_eq!(ward.state(order).await, said);
    ward.balanced(2);
    assert_eq!(ward.gateway.close_interrupted(0, later(60)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_document_waits_ten_minutes_for_a_pin_and_is_its_own_staff_members_alone() {
    let ward = Ward::with(&card(PHYSICIAN, 31), EACH_TIME).await;
    let order = ward.ask(now()).await.unwrap().order;
    let typed = || Some((pin(RIGHT), LastTry::Unasked));
    let other = ward.gateway.sign_with_card(&id("dr-2"), order, typed(), now()).await;
    assert_eq!(code(other), "order-unknown");
    assert_eq!(code(ward.gateway.card_order(&id("dr-2"), order).await), "order-unknown");
    let late = ward.gateway.sign_with_card(&id("dr-1"), order, typed(), later(601)).await;
    assert_eq!(code(late), "card-order-over");
    assert_eq!(ward.chip.pins_heard(), 0);
    let twice = ward.ask(now()).await.unwrap().order;
    ward.sign(twice, RIGHT).await.unwrap();
    assert_eq!(code(ward.sign(twice, RIGHT).await), "card-order-over");
    assert_eq!(ward.chip.signatures(), 1);
}

#[tokio::test]
async fn a_clock_that_goes_back_behind_the_journal_signs_nothing() {
    let ward = Ward::with(&card(PHYSICIAN, 31), EACH_TIME).await;
    let order = ward.ask(now()).await.unwrap().order;
    ward.sign(order, RIGHT).await.unwrap();
    let order = ward.ask(now()).await.unwrap().order;
    let typed = Some((pin(RIGHT), LastTry::Unasked));
    let back = ward.gateway.sign_with_card(&id("dr-1"), order, typed, now()).await;
    assert_eq!(code(back), "clock-off");
}

#[tokio::test]
async fn where_cards_are_not_configured_nothing_of_them_works() {
    let town = Town::awake().await;
    assert_eq!(code(town.gateway.look_at_cards().await), "cards-not-configured");
    let off = CardPolicy { signs: false, ..EACH_TIME };
    let ward = Ward::with(&card(PHYSICIAN, 31), off).await;
    assert_eq!(code(ward.ask(now()).await), "cards-not-configured");
    ward.gateway.look_at_cards().await.unwrap();
}

#[tokio::test]
async fn a_pin_stands_nowhere_in_the_store() {
    let ward = Ward::with(&card(PHYSICIAN, 31), EACH_TIME).await;
    let order = ward.ask(now()).await.unwrap().order;
    ward.sign(order, "hpki-9876").await.unwrap_err();
    ward.sign(order, RIGHT).await.unwrap();
    assert_eq!(format!("{:?}", pin(RIGHT)), "a PIN");
    let mut seen = 0;
    for entry in std::fs::read_dir(ward.town.folder.path().join("ward")).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        seen += octets.len();
        for word in [RIGHT, "hpki-9876"] {
            assert!(!octets.windows(word.len()).any(|window| window == word.as_bytes()));
        }
    }
    assert!(seen > 10_000);
}
