//! Which card is in which reader, and one signature of it.

use gateway::reader::{
    CardRefusal, CardUse, Cards, Chosen, Commands, InProcess, Inside, LastTry, Pin, PinForm, Tries,
    Ways, choose,
};
use hpki::encoding::sha256;
use hpki::policy::VerifyingKey;
use hpki::sign::SignatureAlgorithm;
use town::card::{Kept, Layout};

use crate::cards::{
    Mishap, READER, RIGHT, Watched, hpki_card, jpki, jpki_card, pin, reader, signing_certificate,
};
use crate::estate::{PHYSICIAN, now};

const LAYOUTS: [Layout; 2] = [Layout::Example, Layout::Jma];

fn card(layout: Layout) -> Kept {
    hpki_card(layout, PHYSICIAN, 21, now())
}

struct Host {
    chip: Watched,
    reader: InProcess,
    cards: Commands<InProcess>,
}

fn host(kept: &Kept) -> Host {
    let chip = Watched::new(kept);
    let reader = reader(&chip);
    Host { chip, cards: Commands::over(reader.clone()), reader }
}

impl Host {
    fn chosen(&self, usage: CardUse) -> Chosen {
        choose(&self.cards.look().unwrap(), usage, None).unwrap().0
    }

    fn sign(&self, usage: CardUse, typed: &str) -> Result<Vec<u8>, CardRefusal> {
        self.sign_with(usage, &pin(typed), LastTry::Unasked)
    }

    fn sign_with(&self, usage: CardUse, pin: &Pin, last: LastTry) -> Result<Vec<u8>, CardRefusal> {
        self.cards.sign_digest(&self.chosen(usage), pin, last, &sha256(b"message"))
    }
}

fn verifies(card: &Chosen, signature: &[u8]) -> bool {
    let key = VerifyingKey::new(SignatureAlgorithm::RsaSha256, card.certificate.spki_der());
    key.unwrap().verify(b"message", signature).is_ok()
}

#[test]
fn a_card_tells_its_certificates_and_tries_before_any_pin_whatever_its_layout() {
    for layout in LAYOUTS {
        let kept = card(layout);
        let host = host(&kept);
        let slots = host.cards.look().unwrap();
        assert_eq!((slots.len(), slots[0].reader.as_str()), (1, READER));
        let Inside::Card(faces) = &slots[0].card else { panic!("{:?}", slots[0].card) };
        let uses: Vec<CardUse> = faces.iter().map(|face| face.usage).collect();
        assert_eq!(uses, [CardUse::Signing, CardUse::Authentication]);
        assert_eq!(faces[0].certificate, signing_certificate(&kept));
        assert_ne!(faces[0].certificate, faces[1].certificate);
        for face in faces {
            assert_eq!(face.tries, Tries::Left(15));
            assert_eq!(face.pin, PinForm::Characters(4, 16));
        }
        assert_eq!(host.chip.pins_heard(), 0);
    }
}

#[test]
fn a_my_number_card_tells_its_authentication_half_and_its_address_is_never_asked_for() {
    let host = host(&jpki_card(&jpki()));
    let slots = host.cards.look().unwrap();
    let Inside::Card(faces) = &slots[0].card else { panic!("{:?}", slots[0].card) };
    assert_eq!(faces.len(), 1);
    assert_eq!((faces[0].usage, faces[0].tries), (CardUse::Jpki, Tries::Left(3)));
    assert_eq!(faces[0].pin, PinForm::Digits(4));
    host.sign(CardUse::Jpki, "1234").unwrap();
    let signature_files = [[0x00, 0x01], [0x00, 0x02], [0x00, 0x1a], [0x00, 0x1b]];
    let selected = |command: &Vec<u8>| {
        command[1] == 0xa4
            && signature_files.iter().any(|file| command.ends_with(file))
            && command[2] == 2
    };
    assert!(!host.chip.look().heard.iter().any(selected));
}

#[test]
fn each_use_signs_with_its_own_key_and_the_pin_goes_before_each_signature() {
    for (kept, uses, right) in [
        (card(Layout::Example), vec![CardUse::Signing, CardUse::Authentication], RIGHT),
        (card(Layout::Jma), vec![CardUse::Signing, CardUse::Authentication], RIGHT),
        (jpki_card(&jpki()), vec![CardUse::Jpki], "1234"),
    ] {
        let host = host(&kept);
        for usage in uses {
            for _ in 0..2 {
                let before = host.chip.pins_heard();
                let signature = host.sign(usage, right).unwrap();
                assert!(verifies(&host.chosen(usage), &signature), "{usage:?}");
                assert_eq!(host.chip.pins_heard(), before + 1);
            }
        }
    }
}

#[test]
fn where_long_commands_are_not_known_the_block_goes_in_a_chain() {
    let host = host(&card(Layout::Jma));
    host.chip.mishap(0x2a, Mishap::Says(0x6700));
    let signature = host.sign(CardUse::Signing, RIGHT).unwrap();
    assert!(verifies(&host.chosen(CardUse::Signing), &signature));
    let heard = host.chip.look().heard.clone();
    assert!(heard.iter().any(|command| command[..2] == [0x10, 0x2a]));
    assert!(heard.iter().skip_while(|command| command[1] != 0x2a).all(|c| c.len() < 270));
}

#[test]
fn a_pin_that_cannot_be_right_is_not_sent_and_costs_no_try() {
    let hpki = host(&card(Layout::Example));
    for wrong in ["", "abc", "12345678901234567", "暗証番号です", "pin with space"] {
        let refusal = hpki.sign(CardUse::Signing, wrong).unwrap_err();
        assert_eq!(refusal.code(), "card-pin-malformed", "{wrong:?}");
    }
    let jpki = host(&jpki_card(&jpki()));
    for wrong in ["", "123", "12345", "12a4", "１２３"] {
        let refusal = jpki.sign(CardUse::Jpki, wrong).unwrap_err();
        assert_eq!(refusal.code(), "card-pin-malformed", "{wrong:?}");
    }
    assert_eq!((hpki.chip.pins_heard(), jpki.chip.pins_heard()), (0, 0));
    // A Japanese keyboard's full-width digits are the same PIN.
    jpki.sign(CardUse::Jpki, "１２３４").unwrap();
}

#[test]
fn a_wrong_pin_counts_down_the_last_try_is_asked_for_and_then_it_is_blocked() {
    let host = host(&jpki_card(&jpki()));
    for left in [2, 1] {
        let refusal = host.sign(CardUse::Jpki, "9999").unwrap_err();
        assert_eq!(refusal, CardRefusal::PinWrong(Tries::Left(left)));
    }
    // With one try left no PIN is sent, right or wrong, before the holder has said that she knows.
    for typed in ["9999", "1234"] {
        assert_eq!(host.sign(CardUse::Jpki, typed), Err(CardRefusal::PinLastTry));
    }
    assert_eq!(host.chip.pins_heard(), 2);
    let refusal = host.sign_with(CardUse::Jpki, &pin("9999"), LastTry::Wanted);
    assert_eq!(refusal, Err(CardRefusal::PinBlocked));
    let blocked = host.sign_with(CardUse::Jpki, &pin("1234"), LastTry::Wanted);
    assert_eq!(blocked, Err(CardRefusal::PinBlocked));
    assert_eq!(host.chip.pins_heard(), 3);
    let slots = host.cards.look().unwrap();
    assert_eq!(choose(&slots, CardUse::Jpki, None).unwrap().1.tries, Tries::Blocked);
}

#[test]
fn a_right_pin_gives_the_tries_back() {
    let host = host(&card(Layout::Jma));
    host.sign(CardUse::Signing, "wrong").unwrap_err();
    assert_eq!(host.chip.signing_tries(), 14);
    host.sign(CardUse::Signing, RIGHT).unwrap();
    assert_eq!(host.chip.signing_tries(), 15);
}

#[test]
fn a_card_that_is_pulled_out_in_the_middle_says_so_at_every_command() {
    // 0xa4 SELECT, 0xb0 READ BINARY, 0x20 VERIFY, 0x22 MSE, 0x2a PSO.
    for instruction in [0xa4, 0xb0, 0x20, 0x22, 0x2a] {
        let host = host(&card(Layout::Example));
        let chosen = host.chosen(CardUse::Signing);
        host.chip.mishap(instruction, Mishap::PulledOut);
        let sign = |last| host.cards.sign_digest(&chosen, &pin(RIGHT), last, &sha256(b"message"));
        assert_eq!(sign(LastTry::Unasked), Err(CardRefusal::Removed), "{instruction:02x}");
        // And it is still out.
        assert_eq!(sign(LastTry::Unasked), Err(CardRefusal::Removed));
        assert!(matches!(host.cards.look().unwrap()[0].card, Inside::Nothing));
    }
}

#[test]
fn another_card_in_between_never_hears_the_pin() {
    for (first, second, usage) in [
        (card(Layout::Example), card(Layout::Example), CardUse::Signing),
        (card(Layout::Example), jpki_card(&jpki()), CardUse::Authentication),
        (jpki_card(&jpki()), jpki_card(&jpki()), CardUse::Jpki),
        (jpki_card(&jpki()), card(Layout::Jma), CardUse::Jpki),
    ] {
        let host = host(&first);
        let chosen = host.chosen(usage);
        let other = Watched::new(&second);
        host.reader.insert(other.clone());
        let refused =
            host.cards.sign_digest(&chosen, &pin("1234"), LastTry::Wanted, &sha256(b"message"));
        assert_eq!(refused, Err(CardRefusal::Changed), "{usage:?}");
        assert_eq!(other.pins_heard(), 0);
    }
}

#[test]
fn after_a_turn_nobody_finds_a_verified_pin() {
    use town::card::Card as _;
    let host = host(&card(Layout::Example));
    host.sign(CardUse::Authentication, RIGHT).unwrap();
    let mut inside = host.chip.look();
    // As another program would go on: the authentication application keeps a PIN until power goes.
    let name = [0xe8, 0x28, 0xbd, 0x08, 0x0f, 0xa0, 0, 0, 0x03, 0x91, 0, 0, 0, 0, 0, 0x02];
    let select = [&[0, 0xa4, 4, 0, 16][..], &name, &[0]].concat();
    // The card would say 6982 after a new selection as well: what is selected must be gone before it.
    assert_eq!(inside.card.transmit(&[0, 0x20, 0, 0x96]), [0x69, 0x85]);
    assert_eq!(inside.card.transmit(&select)[19..21], [0x02, 0x90]);
    assert_eq!(inside.card.transmit(&[0, 0x20, 0, 0x96]), [0x63, 0xcf]);
}

#[test]
fn readers_without_a_card_with_an_unknown_card_or_with_several_are_told_apart() {
    let empty = Commands::over(InProcess::new("empty"));
    assert!(matches!(empty.look().unwrap()[0].card, Inside::Nothing));
    let missing = |slots: &[_], usage| choose(slots, usage, None).unwrap_err();
    assert_eq!(missing(&empty.look().unwrap(), CardUse::Signing), CardRefusal::Missing);

    let strange = InProcess::new("strange");
    strange.insert(Strange);
    let strange = Commands::over(strange);
    assert!(matches!(strange.look().unwrap()[0].card, Inside::Unknown));
    assert_eq!(missing(&strange.look().unwrap(), CardUse::Signing), CardRefusal::Unknown);

    let (one, two) = (host(&card(Layout::Example)), InProcess::new("second"));
    two.insert(Watched::new(&card(Layout::Jma)));
    let ways = Ways(vec![
        Box::new(empty),
        Box::new(strange),
        Box::new(one.cards),
        Box::new(Commands::over(two)),
    ]);
    let slots = ways.look().unwrap();
    assert_eq!(slots.len(), 4);
    assert_eq!(missing(&slots, CardUse::Signing), CardRefusal::Several);
    let (chosen, _) = choose(&slots, CardUse::Signing, Some("second")).unwrap();
    let signature =
        ways.sign_digest(&chosen, &pin(RIGHT), LastTry::Unasked, &sha256(b"message")).unwrap();
    assert!(verifies(&chosen, &signature));
}

/// A card of another kind.
struct Strange;

impl gateway::reader::Chip for Strange {
    fn reset(&mut self) {}
    fn transmit(&mut self, _command: &[u8]) -> Option<Vec<u8>> {
        Some(vec![0x6a, 0x82])
    }
}

#[test]
fn whatever_octet_of_its_directories_and_certificates_is_spoilt_a_card_is_refused_or_read_whole() {
    for kept in [card(Layout::Example), card(Layout::Jma), jpki_card(&jpki())] {
        let host = host(&kept);
        let mut refused = 0;
        for spoilt in 0..3000 {
            host.chip.look().spoilt = Some(spoilt);
            let slots = host.cards.look().unwrap();
            match &slots[0].card {
                Inside::Trouble(_) | Inside::Unknown => refused += 1,
                Inside::Card(_) => {}
                Inside::Nothing => panic!("the card has vanished at {spoilt}"),
            }
            if host.chip.look().heard.len() > 10_000 {
                host.chip.look().heard.clear();
            }
        }
        assert!(refused > 100, "{refused}");
    }
}
