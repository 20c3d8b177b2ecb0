//! The morning's authentication with a card in a reader of this host.

use gateway::reader::{CardUse, Chosen, LastTry};
use gateway::{AuthenticationState, Entered, Light, Refusal};
use hpki::id::CeremonyId;
use hpki::kind::DocumentKind;
use ledger::Failed;
use town::card::{Kept, Layout};
use wire::CeremonyStep;

use crate::card_signing::{EACH_TIME, Ward};
use crate::cards::{Mishap, RIGHT, Watched, hpki_card, jpki, jpki_card, pin};
use crate::estate::{PHYSICIAN, now};
use crate::world::{code, id, later, person};

fn card() -> Kept {
    hpki_card(Layout::Jma, PHYSICIAN, 61, now())
}

impl Ward {
    async fn began(&self, staff: &str) -> CeremonyId {
        let terminal = "t1".parse().unwrap();
        self.gateway.authenticate(&id(staff), &terminal, now()).await.unwrap().ceremony
    }

    async fn chosen(&self, usage: CardUse) -> Chosen {
        self.gateway.card_for(usage, None).await.unwrap().0
    }

    async fn answer(
        &self,
        ceremony: CeremonyId,
        card: &Chosen,
        typed: &str,
    ) -> Result<AuthenticationState, Failed<Refusal>> {
        let entered = Entered::new(pin(typed), LastTry::Unasked);
        self.gateway.authenticate_with_card(&id("dr-1"), ceremony, card, entered, now()).await
    }
}

#[tokio::test]
async fn either_card_brings_the_token_to_the_shelf_of_its_staff_member() {
    for (kept, usage, right) in
        [(card(), CardUse::Authentication, RIGHT), (jpki_card(&jpki()), CardUse::Jpki, "1234")]
    {
        let ward = Ward::with(&kept, EACH_TIME).await;
        let before = ward.gateway.staff_state(&id("dr-1"), now()).await.unwrap();
        assert_eq!(before.light, Light::None);
        let ceremony = ward.began("dr-1").await;
        let state = ward.answer(ceremony, &ward.chosen(usage).await, right).await.unwrap();
        assert_eq!((state.state, state.until), (CeremonyStep::Released, Some(later(64_800))));
        let after = ward.gateway.staff_state(&id("dr-1"), now()).await.unwrap();
        assert_eq!(after.light, Light::Green);
        assert_eq!(ward.chip.pins_heard(), 1);
        // No document was signed here: this facility's journal says nothing.
        ward.balanced(0);
    }
}

#[tokio::test]
async fn a_statement_that_says_anything_else_than_was_asked_is_never_signed() {
    type Change = fn(&mut approval::SessionStatement);
    let changes: [(Change, &str); 10] = [
        (|statement| statement.ceremony = CeremonyId::from_octets([5; 16]), "ceremony"),
        (|statement| statement.facility_id = "1310000001".parse().unwrap(), "facility"),
        (|statement| statement.x5t_s256 = [2; 32], "certificate"),
        (|statement| statement.terminal_id = "t2".into(), "terminal"),
        (|statement| statement.terminal_label = "よその診察室".into(), "terminal"),
        (|statement| statement.person = person(2), "person"),
        (|statement| statement.kinds.push(DocumentKind::Dispensing), "kinds"),
        (|statement| statement.max_count = 301, "count"),
        (|statement| statement.not_after = later(64_801), "time"),
        // The words are others than those behind the challenge.
        (|statement| statement.nonce = [0; 32], "challenge"),
    ];
    let ward = Ward::with(&card(), EACH_TIME).await;
    let card = ward.chosen(CardUse::Authentication).await;
    for (change, what) in changes {
        *ward.town.world.ask_instead.lock().unwrap() = Some(Box::new(change));
        let ceremony = ward.began("dr-1").await;
        match ward.answer(ceremony, &card, RIGHT).await {
            Err(Failed::Refused(Refusal::StatementDiffers(differs))) => assert_eq!(differs, what),
            other => panic!("{what}: {other:?}"),
        }
    }
    assert_eq!((ward.chip.pins_heard(), ward.chip.signatures()), (0, 0));
}

#[tokio::test]
async fn a_wrong_or_impossible_pin_a_card_that_is_gone_and_another_card_are_told_apart() {
    let ward = Ward::with(&card(), EACH_TIME).await;
    let mine = ward.chosen(CardUse::Authentication).await;
    let ceremony = ward.began("dr-1").await;
    let before = ward.town.world.asked().len();
    assert_eq!(code(ward.answer(ceremony, &mine, "x").await), "card-pin-malformed");
    assert_eq!(ward.town.world.asked().len(), before, "nobody was told of the card");
    assert_eq!(code(ward.answer(ceremony, &mine, "wrong").await), "card-pin-wrong");
    ward.chip.mishap(0x2a, Mishap::PulledOut);
    assert_eq!(code(ward.answer(ceremony, &mine, RIGHT).await), "card-removed");
    assert_eq!(code(ward.answer(ceremony, &mine, RIGHT).await), "card-missing");
    let other = Watched::new(&card());
    ward.reader.insert(other.clone());
    assert_eq!(code(ward.answer(ceremony, &mine, RIGHT).await), "card-changed");
    assert_eq!(other.pins_heard(), 0);
    // And hers again: the same ceremony goes on.
    ward.reader.insert(ward.chip.clone());
    ward.answer(ceremony, &mine, RIGHT).await.unwrap();
}

#[tokio::test]
async fn a_signing_key_answers_no_challenge_and_nobody_elses_ceremony_is_answered() {
    let ward = Ward::with(&card(), EACH_TIME).await;
    let ceremony = ward.began("dr-1").await;
    let signing = ward.chosen(CardUse::Signing).await;
    assert_eq!(code(ward.answer(ceremony, &signing, RIGHT).await), "card-unreadable");
    assert_eq!(ward.chip.pins_heard(), 0);
    let hers = ward.began("dr-2").await;
    let mine = ward.chosen(CardUse::Authentication).await;
    assert_eq!(code(ward.answer(hers, &mine, RIGHT).await), "gateway-ceremony-unknown");
}
