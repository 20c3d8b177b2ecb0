//! Cards of made-up people.

use aws_lc_rs::digest::{SHA256, digest};
use hpki::sign::Random;
use hpki::time::Timestamp;
use town::card::{HpkiCard, Kept, Layout, Pin};
use town::jpki::{Jpki, Resident};

struct Dice;

impl Random for Dice {
    fn fill(&self, buffer: &mut [u8]) {
        aws_lc_rs::rand::fill(buffer).unwrap();
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_seconds(1_795_000_000)
}

pub(crate) fn jpki() -> Jpki {
    jpki_at(now())
}

pub(crate) fn jpki_at(at: Timestamp) -> Jpki {
    Jpki::found(at, &Dice).unwrap()
}

pub(crate) fn jpki_card() -> Kept {
    card_of(&jpki())
}

pub(crate) fn card_of(jpki: &Jpki) -> Kept {
    let resident = Resident {
        name: "架空\u{3000}花子",
        gender: 2,
        birth_date: "19800102",
        address: "架空県見本市例示町一丁目",
    };
    jpki.card(&resident, "1234", "TEST0123", now(), &Dice).unwrap()
}

/// Certified by whom does not matter here: any certificate of its key will do.
pub(crate) fn hpki_card(layout: Layout) -> Kept {
    let jpki = jpki();
    let kept = |_| {
        let card = card_of(&jpki);
        let Kept::Jpki { auth, .. } = card else { unreachable!() };
        auth.above_with(jpki.certificates()[0].to_vec())
    };
    Kept::Hpki {
        layout,
        signing: kept(1),
        authentication: kept(2),
        signing_pin: Pin::new("hpki-1234", HpkiCard::TRIES),
        authentication_pin: Pin::new("hpki-1234", HpkiCard::TRIES),
    }
}

pub(crate) fn digest_info(message: &[u8]) -> Vec<u8> {
    let mut info =
        vec![0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
    info.extend_from_slice(digest(&SHA256, message).as_ref());
    info
}

pub(crate) fn padded(message: &[u8]) -> Vec<u8> {
    let info = digest_info(message);
    let mut block = vec![0xff; 256 - info.len()];
    block[..2].copy_from_slice(&[0, 1]);
    *block.last_mut().unwrap() = 0;
    block.extend_from_slice(&info);
    block
}
