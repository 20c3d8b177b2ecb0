//! Some readers of a host: the others are somebody else's.

use hpki::encoding::Digest32;

use super::{CardRefusal, Cards, Chosen, LastTry, Pin, Slot, Stay};

/// A way to cards that knows these readers only.
pub struct Only {
    /// The way.
    pub cards: Box<dyn Cards>,
    /// The readers, by the names that `azukari card list` shows.
    pub readers: Vec<String>,
}

impl Only {
    fn admit(&self, card: &Chosen) -> Result<(), CardRefusal> {
        if self.readers.contains(&card.reader) { Ok(()) } else { Err(CardRefusal::Missing) }
    }
}

impl Cards for Only {
    fn look(&self) -> Result<Vec<Slot>, CardRefusal> {
        let mut slots = self.cards.look()?;
        slots.retain(|slot| self.readers.contains(&slot.reader));
        Ok(slots)
    }

    fn sign_digest(
        &self,
        card: &Chosen,
        pin: &Pin,
        last: LastTry,
        digest: &Digest32,
    ) -> Result<Vec<u8>, CardRefusal> {
        self.admit(card)?;
        self.cards.sign_digest(card, pin, last, digest)
    }

    fn stay(&self, card: &Chosen) -> Result<Box<dyn Stay>, CardRefusal> {
        self.admit(card)?;
        self.cards.stay(card)
    }
}
