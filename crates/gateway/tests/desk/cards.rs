//! The town's cards in a reader of this process, with people of the estate on them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use gateway::reader::{Chip, InProcess, Pin};
use hpki::Certificate;
use hpki::sign::Sign as _;
use hpki::time::Timestamp;
use town::card::{AnyCard, Card as _, CardKey, HpkiCard, Kept, KeptKey, Layout};
use town::jpki::{Jpki, Resident};
use zeroize::Zeroizing;

use crate::estate::{Dice, ESTATE, Who, now};

pub(crate) const READER: &str = "reader of the test";
pub(crate) const RIGHT: &str = "hpki-1234";

pub(crate) fn jpki() -> Jpki {
    Jpki::found(now(), &Dice).unwrap()
}

pub(crate) fn jpki_card(jpki: &Jpki) -> Kept {
    let resident = Resident {
        name: "架空\u{3000}花子",
        gender: 2,
        birth_date: "19800102",
        address: "架空県見本市例示町一丁目",
    };
    jpki.card(&resident, "1234", "TEST0123", now(), &Dice).unwrap()
}

/// A card of this person, certified from this day on.
pub(crate) fn hpki_card(layout: Layout, who: Who, serial: u8, from: Timestamp) -> Kept {
    let key = CardKey::generate().unwrap();
    let own = ESTATE.certify(who, serial, key.spki_der(), from);
    let above = vec![ESTATE.authority.der().to_vec(), ESTATE.root.der().to_vec()];
    // Who certified the other key does not matter here, only that it is for authentication.
    let jpki = jpki();
    let Kept::Jpki { auth, .. } = jpki_card(&jpki) else { unreachable!() };
    Kept::Hpki {
        layout,
        signing: KeptKey::new(&key, own.der().to_vec(), above),
        authentication: auth.above_with(jpki.certificates()[0].to_vec()),
        signing_pin: town::card::Pin::new(RIGHT, HpkiCard::TRIES),
        authentication_pin: town::card::Pin::new(RIGHT, HpkiCard::TRIES),
    }
}

pub(crate) fn signing_certificate(kept: &Kept) -> Certificate {
    let Kept::Hpki { signing, .. } = kept else { unreachable!() };
    Certificate::from_der(&signing.certificate().unwrap()).unwrap()
}

pub(crate) fn pin(text: &str) -> Pin {
    Pin::new(Zeroizing::new(text.to_owned()))
}

/// What happens at the next command of this instruction.
pub(crate) enum Mishap {
    /// The card is pulled out instead of answering.
    PulledOut,
    /// It answers this.
    Says(u16),
    /// It waits until somebody says so, then answers.
    Waits(std::sync::mpsc::Receiver<()>),
}

/// A chip whose commands are written down, and to which things happen.
#[derive(Clone)]
pub(crate) struct Watched(Arc<Mutex<Inside>>);

pub(crate) struct Inside {
    pub(crate) card: AnyCard,
    pub(crate) heard: Vec<Vec<u8>>,
    pub(crate) mishaps: VecDeque<(u8, Mishap)>,
    /// Changes one octet of everything that is read, counted over all readings since power came.
    pub(crate) spoilt: Option<usize>,
    read: usize,
}

impl Watched {
    pub(crate) fn new(kept: &Kept) -> Self {
        let (card, heard, mishaps) = (kept.card().unwrap(), Vec::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Inside { card, heard, mishaps, spoilt: None, read: 0 })))
    }

    pub(crate) fn look(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    /// At the next command with this instruction byte.
    pub(crate) fn mishap(&self, instruction: u8, mishap: Mishap) {
        self.look().mishaps.push_back((instruction, mishap));
    }

    /// How often a PIN was sent.
    pub(crate) fn pins_heard(&self) -> usize {
        let heard = &self.look().heard;
        heard.iter().filter(|command| command[1] == 0x20 && command.len() > 5).count()
    }

    /// How many signatures were asked for.
    pub(crate) fn signatures(&self) -> usize {
        let heard = &self.look().heard;
        heard.iter().filter(|command| command[0] & 0x10 == 0 && command[1] == 0x2a).count()
    }

    pub(crate) fn signing_tries(&self) -> u8 {
        match &self.look().card {
            AnyCard::Hpki(card) => card.applications[0].pin.left,
            AnyCard::Jpki(card) => card.auth_pin.left,
        }
    }
}

impl Chip for Watched {
    fn reset(&mut self) {
        let mut inside = self.look();
        inside.card.reset();
        inside.read = 0;
    }

    fn transmit(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let mut inside = self.look();
        inside.heard.push(command.to_vec());
        let due = inside.mishaps.front().is_some_and(|(at, _)| *at == command[1]);
        if due {
            match inside.mishaps.pop_front().unwrap().1 {
                Mishap::PulledOut => return None,
                Mishap::Says(status) => return Some(status.to_be_bytes().to_vec()),
                Mishap::Waits(until) => {
                    drop(inside);
                    until.recv().unwrap();
                    inside = self.look();
                }
            }
        }
        let mut answer = inside.card.transmit(command);
        if command[1] == 0xb0 {
            let begin = inside.read;
            inside.read += answer.len();
            if let Some(place) = inside.spoilt.and_then(|spoilt| spoilt.checked_sub(begin))
                && place < answer.len()
            {
                answer[place] ^= 0x41;
            }
        }
        Some(answer)
    }
}

/// A reader with this card in it.
pub(crate) fn reader(chip: &Watched) -> InProcess {
    let reader = InProcess::new(READER);
    reader.insert(chip.clone());
    reader
}
