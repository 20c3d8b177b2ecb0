//! The town's cards and pcscd's virtual readers: which card is in which (`azukari demo --reader`).
//! What is put in here every program of this machine sees, as it sees a card of plastic.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hpki::Certificate;
use town::card::vpcd::{self, Inserted};
use town::card::{AnyCard, Kept, Pin};
use town::people::{Facility, HANAKO, HOSPITAL, JIRO, PHARMACY, Person};

use super::cards;
use super::jpki::{self, Office};
use crate::clock::Stopwatch;
use crate::runtime::Stop;

/// pcscd looks into its virtual readers every 0.4 s: a reader has to be empty for so long before the
/// next card, or the former seems to have stayed.
const PAUSE: Duration = Duration::from_millis(1_500);

/// A reader: whose desk it stands on, and what PC/SC calls it.
pub(crate) struct Reader {
    pub(crate) at: &'static Facility,
    pub(crate) name: &'static str,
    port: u16,
    emptied: Option<Stopwatch>,
}

/// vpcd has these two.
const READERS: [(&Facility, &str, u16); 2] = [
    (&HOSPITAL, "Virtual PCD 00 00", vpcd::PORT),
    (&PHARMACY, "Virtual PCD 00 01", vpcd::PORT + 1),
];

/// What PC/SC calls the reader at this facility.
pub(crate) fn reader_of(facility: &Facility) -> Option<&'static str> {
    READERS.iter().find(|(at, ..)| at.code == facility.code).map(|(_, name, _)| *name)
}

/// Which kind of card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hpki,
    MyNumber,
}

impl Kind {
    const fn slug(self) -> &'static str {
        match self {
            Self::Hpki => "hpki",
            Self::MyNumber => "my-number",
        }
    }

    /// The PIN of every card of this kind in the town.
    pub(crate) const fn pin(self) -> &'static str {
        match self {
            Self::Hpki => cards::PIN,
            Self::MyNumber => jpki::PIN,
        }
    }
}

/// One card, in a reader or not. Its file is the chip's memory.
pub(crate) struct Held {
    pub(crate) kind: Kind,
    pub(crate) holder: &'static Person,
    pub(crate) file: PathBuf,
    kept: Kept,
    inside: Option<(usize, Inserted<AnyCard>)>,
}

impl Held {
    /// Its name in requests and pages.
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.kind.slug(), self.holder.slug)
    }

    /// The reader that it is in.
    pub(crate) fn reader(&self) -> Option<usize> {
        self.inside.as_ref().map(|(reader, _)| *reader)
    }

    /// Its two PINs, that for signing first.
    pub(crate) fn pins(&self) -> [&Pin; 2] {
        match &self.kept {
            Kept::Jpki { auth_pin, sign_pin, .. } => [sign_pin, auth_pin],
            Kept::Hpki { signing_pin, authentication_pin, .. } => [signing_pin, authentication_pin],
        }
    }

    /// The serial number of a My Number Card's certificate of user authentication.
    fn serial(&self) -> Option<Vec<u8>> {
        let Kept::Jpki { auth, .. } = &self.kept else { return None };
        let certificate = Certificate::from_der(&auth.certificate().ok()?).ok()?;
        Some(certificate.serial().to_vec())
    }

    /// Takes over what the chip in the reader counted; gives whether anything is new.
    fn remember(&mut self) -> bool {
        let before = self.pins().map(|pin| pin.left);
        let gone = match &self.inside {
            Some((_, inserted)) => {
                inserted.look(|card| self.kept.remember(card));
                !inserted.is_in()
            }
            None => return false,
        };
        if gone {
            // pcscd has ended, and every card is out.
            self.inside = None;
        }
        gone || before != self.pins().map(|pin| pin.left)
    }

    fn save(&self) -> Result<(), Stop> {
        Ok(crate::files::replace(&self.file, &serde_json::to_string(&self.kept)?)?)
    }
}

/// Why a card cannot be moved.
#[derive(Debug)]
pub(crate) enum RackRefusal {
    /// No such card or reader.
    Unknown,
    /// Another card is in that reader, or this card in another.
    Full,
    /// Nobody listens for cards.
    Gone,
    Broken(Stop),
}

/// All of them.
pub(crate) struct Rack {
    office: Arc<Office>,
    readers: Vec<Reader>,
    cards: Vec<Held>,
}

impl Rack {
    /// The cards of physician and pharmacist: HPKI cards that were made before, each put into the reader
    /// at its holder's desk, and My Number Cards made here.
    pub(crate) fn found(home: &Path, office: Arc<Office>) -> Result<Self, Stop> {
        let readers = READERS.map(|(at, name, port)| Reader { at, name, port, emptied: None });
        let mut rack = Self { office, readers: readers.into(), cards: Vec::new() };
        for holder in [&HANAKO, &JIRO] {
            let file = cards::file(home, holder);
            let kept = serde_json::from_slice(&std::fs::read(&file)?)?;
            rack.cards.push(Held { kind: Kind::Hpki, holder, file, kept, inside: None });
            let file = home.join("cards").join(format!("my-number-card-{}.json", holder.slug));
            let kept = rack.office.card(holder)?;
            let held = Held { kind: Kind::MyNumber, holder, file, kept, inside: None };
            held.save()?;
            rack.cards.push(held);
        }
        for (reader, card) in [(0, 0), (1, 2)] {
            let at = rack.readers[reader].address();
            let held = &mut rack.cards[card];
            let inserted = vpcd::insert(held.kept.card()?, at)
                .map_err(|error| crate::card::no_reader(at, &error))?;
            held.inside = Some((reader, inserted));
        }
        Ok(rack)
    }

    pub(crate) fn readers(&self) -> &[Reader] {
        &self.readers
    }

    pub(crate) fn cards(&self) -> &[Held] {
        &self.cards
    }

    /// Puts a card into an empty reader.
    pub(crate) async fn insert(&mut self, card: &str, reader: usize) -> Result<(), RackRefusal> {
        self.look()?;
        let place = self.place(card)?;
        let slot = self.readers.get(reader).ok_or(RackRefusal::Unknown)?;
        let full = self.cards.iter().any(|card| card.reader() == Some(reader));
        if full || self.cards[place].inside.is_some() {
            return Err(RackRefusal::Full);
        }
        let empty = slot.emptied.map(Stopwatch::elapsed);
        if let Some(short) = empty.and_then(|empty| PAUSE.checked_sub(empty)) {
            tokio::time::sleep(short).await;
        }
        let held = &mut self.cards[place];
        let card = held.kept.card().map_err(|error| RackRefusal::Broken(error.into()))?;
        let inserted = vpcd::insert(card, slot.address()).map_err(|_| RackRefusal::Gone)?;
        held.inside = Some((reader, inserted));
        Ok(())
    }

    /// Takes a card out, whatever is going on; its counters come along.
    pub(crate) fn remove(&mut self, card: &str) -> Result<(), RackRefusal> {
        self.look()?;
        let place = self.place(card)?;
        if let Some((reader, inserted)) = self.cards[place].inside.take() {
            drop(inserted);
            self.readers[reader].emptied = Some(Stopwatch::start());
        }
        Ok(())
    }

    /// The holder of a My Number Card has its certificate of user authentication revoked.
    pub(crate) fn revoke(&mut self, card: &str) -> Result<(), RackRefusal> {
        let place = self.place(card)?;
        let serial = self.cards[place].serial().ok_or(RackRefusal::Unknown)?;
        self.office.revoke(&serial);
        Ok(())
    }

    /// Whether its holder has had it revoked.
    pub(crate) fn is_revoked(&self, card: &Held) -> bool {
        card.serial().is_some_and(|serial| self.office.has_revoked(&serial))
    }

    fn place(&self, card: &str) -> Result<usize, RackRefusal> {
        self.cards.iter().position(|held| held.id() == card).ok_or(RackRefusal::Unknown)
    }

    /// Looks at the chips in the readers; gives whether anything is new.
    pub(crate) fn look(&mut self) -> Result<bool, RackRefusal> {
        let mut new = false;
        for held in &mut self.cards {
            if held.remember() {
                held.save().map_err(RackRefusal::Broken)?;
                new = true;
            }
        }
        Ok(new)
    }
}

impl Reader {
    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}
