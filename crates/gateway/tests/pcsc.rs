//! Strangers judge the reader: pcscd with its virtual reader between it and the town's cards, and
//! OpenSC's PKCS#11 module. One reader, so one test at a time.

#![cfg(feature = "pcsc")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "desk/cards.rs"]
#[allow(dead_code, reason = "shared with another test")]
mod cards;
#[path = "desk/estate.rs"]
#[allow(dead_code, reason = "shared with another test")]
mod estate;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway::reader::{
    CardFace, CardReader as _, CardRefusal, CardUse, Cards, Chosen, Commands, Inside, LastTry,
    Module, PcSc, Tries, choose,
};
use hpki::encoding::sha256;
use hpki::policy::VerifyingKey;
use hpki::sign::SignatureAlgorithm;
use town::card::vpcd::{self, Inserted};
use town::card::{AnyCard, Kept, Layout};

use crate::cards::{RIGHT, hpki_card, jpki, jpki_card, pin, signing_certificate};
use crate::estate::{PHYSICIAN, now};

static READER: Mutex<()> = Mutex::new(());
const OPENSC: &str = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so";

/// pcscd, started here unless the machine runs one already, and its only virtual reader.
struct Reader {
    _alone: MutexGuard<'static, ()>,
    daemon: Option<Child>,
}

fn address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, vpcd::PORT))
}

/// Until it is so; a reader takes its time to notice.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..400 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: {:?}", cards_here().look());
}

fn cards_here() -> Commands<PcSc> {
    Commands::over(PcSc)
}

impl Reader {
    fn take() -> Self {
        let alone = READER.lock().unwrap_or_else(PoisonError::into_inner);
        let mut daemon = None;
        if TcpStream::connect(address()).is_err() {
            let started = Command::new("pcscd")
                .arg("--foreground")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            daemon = Some(started.expect("pcscd is installed by ./test"));
        }
        until("a virtual reader", || PcSc.readers().is_ok_and(|readers| !readers.is_empty()));
        Self { _alone: alone, daemon }
    }

    fn insert(&self, card: &Kept) -> Inserted<AnyCard> {
        let inserted = vpcd::insert(card.card().unwrap(), address()).unwrap();
        until("the card is in", || faces().is_some());
        inserted
    }

    /// Waits until pcscd, which looks every 0.4 s, has noticed: a card that is back before that confuses
    /// it.
    fn remove(&self, card: Inserted<AnyCard>) {
        drop(card);
        let mut empty = 0;
        until("the card is out", || {
            let slots = cards_here().look().unwrap_or_default();
            let nothing = slots.iter().all(|slot| slot.card == Inside::Nothing);
            empty = if nothing { empty + 1 } else { 0 };
            empty == 20
        });
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// What stands on the only card.
fn faces() -> Option<Vec<CardFace>> {
    let slots = cards_here().look().ok()?;
    slots.into_iter().find_map(|slot| match slot.card {
        Inside::Card(faces) => Some(faces),
        _ => None,
    })
}

fn chosen(usage: CardUse) -> Chosen {
    choose(&cards_here().look().unwrap(), usage, None).unwrap().0
}

fn sign(card: &Chosen, typed: &str) -> Result<Vec<u8>, CardRefusal> {
    cards_here().sign_digest(card, &pin(typed), LastTry::Unasked, &sha256(b"message"))
}

fn verifies(card: &Chosen, signature: &[u8]) -> bool {
    let key = VerifyingKey::new(SignatureAlgorithm::RsaSha256, card.certificate.spki_der());
    key.unwrap().verify(b"message", signature).is_ok()
}

#[test]
fn an_hpki_card_of_either_layout_signs_and_authenticates_through_pcscd() {
    let reader = Reader::take();
    for layout in [Layout::Example, Layout::Jma] {
        let kept = hpki_card(layout, PHYSICIAN, 51, now());
        let card = reader.insert(&kept);
        let faces = faces().unwrap();
        assert_eq!(faces[0].certificate, signing_certificate(&kept));
        for usage in [CardUse::Signing, CardUse::Authentication] {
            let chosen = chosen(usage);
            assert!(verifies(&chosen, &sign(&chosen, RIGHT).unwrap()));
            assert!(verifies(&chosen, &sign(&chosen, RIGHT).unwrap()));
            let wrong = CardRefusal::PinWrong(Tries::Left(14));
            assert_eq!(sign(&chosen, "wrong"), Err(wrong));
            sign(&chosen, RIGHT).unwrap();
        }
        reader.remove(card);
    }
}

#[test]
fn a_my_number_card_authenticates_counts_down_and_blocks_through_pcscd() {
    let reader = Reader::take();
    let card = reader.insert(&jpki_card(&jpki()));
    let mine = chosen(CardUse::Jpki);
    assert!(verifies(&mine, &sign(&mine, "1234").unwrap()));
    for left in [2, 1] {
        assert_eq!(sign(&mine, "9999"), Err(CardRefusal::PinWrong(Tries::Left(left))));
    }
    assert_eq!(sign(&mine, "1234"), Err(CardRefusal::PinLastTry));
    let last = cards_here().sign_digest(&mine, &pin("9999"), LastTry::Wanted, &sha256(b"message"));
    assert_eq!(last, Err(CardRefusal::PinBlocked));
    assert_eq!(faces().unwrap()[0].tries, Tries::Blocked);
    reader.remove(card);
}

#[test]
fn taking_the_card_out_is_noticed_and_another_card_hears_no_pin() {
    let reader = Reader::take();
    let kept = hpki_card(Layout::Jma, PHYSICIAN, 52, now());
    let card = reader.insert(&kept);
    let mine = chosen(CardUse::Signing);
    let mut stay = cards_here().stay(&mine).unwrap();
    // Our own turns end with a reset, which is no removal.
    sign(&mine, RIGHT).unwrap();
    sign(&mine, RIGHT).unwrap();
    assert!(stay.is_there());
    reader.remove(card);
    assert!(!stay.is_there());
    assert_eq!(sign(&mine, RIGHT), Err(CardRefusal::Removed));
    let card = reader.insert(&kept);
    assert!(!stay.is_there(), "it was out");
    drop(stay);
    assert!(verifies(&mine, &sign(&mine, RIGHT).unwrap()), "the same card is back");
    reader.remove(card);

    let other = reader.insert(&hpki_card(Layout::Jma, PHYSICIAN, 53, now()));
    assert_eq!(sign(&mine, "wrong"), Err(CardRefusal::Changed));
    let left = other.look(|card| match card {
        AnyCard::Hpki(card) => card.applications[0].pin.left,
        AnyCard::Jpki(_) => unreachable!(),
    });
    assert_eq!(left, 15);
    reader.remove(other);
}

/// OpenSC's module shows the card as a vendor's would. In this process alone it is loaded last, since
/// modules keep threads of their own.
#[test]
fn opensc_module_on_the_my_number_card_serves_its_authentication() {
    let reader = Reader::take();
    let card = reader.insert(&jpki_card(&jpki()));
    let by_commands = chosen(CardUse::Jpki);
    let module = Module::load(Path::new(OPENSC), CardUse::Jpki).unwrap();
    let slots = module.look().unwrap();
    let (mine, _) = choose(&slots, CardUse::Jpki, None).unwrap();
    assert_eq!(mine.certificate, by_commands.certificate, "two ways to one card");
    let sign =
        |typed: &str| module.sign_digest(&mine, &pin(typed), LastTry::Unasked, &sha256(b"message"));
    assert!(verifies(&mine, &sign("1234").unwrap()));
    assert!(matches!(sign("9999"), Err(CardRefusal::PinWrong(_))));
    assert!(verifies(&mine, &sign("1234").unwrap()));
    assert_eq!(sign("123").unwrap_err().code(), "card-pin-malformed");
    reader.remove(card);
}
