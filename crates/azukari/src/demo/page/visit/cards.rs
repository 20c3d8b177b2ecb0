//! The visitor puts cards into readers and takes them out; what programs do with them meanwhile is seen
//! by the counters.

use super::super::words;
use super::Visit;
use crate::demo::rack::{Held, Kind, Rack, RackRefusal};
use crate::pages::demo::Text;
use crate::pages::demo_cards::{CardView, PinView, ReaderView};

impl Visit {
    /// Puts a card into a reader.
    pub(in super::super) async fn insert_card(
        &mut self,
        card: &str,
        reader: usize,
    ) -> Result<(), RackRefusal> {
        let rack = self.rack.as_mut().ok_or(RackRefusal::Unknown)?;
        rack.insert(card, reader).await?;
        self.settle();
        Ok(())
    }

    /// Takes it out.
    pub(in super::super) fn remove_card(&mut self, card: &str) -> Result<(), RackRefusal> {
        let rack = self.rack.as_mut().ok_or(RackRefusal::Unknown)?;
        rack.remove(card)?;
        self.settle();
        Ok(())
    }

    /// Its holder has it revoked.
    pub(in super::super) fn revoke_card(&mut self, card: &str) -> Result<(), RackRefusal> {
        let rack = self.rack.as_mut().ok_or(RackRefusal::Unknown)?;
        rack.revoke(card)?;
        self.settle();
        Ok(())
    }

    /// Whether a chip counted, or a reader went away.
    pub(super) fn cards_changed(&mut self) -> bool {
        match self.rack.as_mut().map(Rack::look) {
            Some(Ok(changed)) => changed,
            Some(Err(why)) => {
                tracing::warn!(?why, "a card's file could not be written");
                true
            }
            None => false,
        }
    }

    pub(super) fn show_cards(&mut self) {
        let Some(rack) = &self.rack else { return };
        let of = |reader: usize| {
            rack.cards().iter().find(|card| card.reader() == Some(reader)).map(Held::id)
        };
        let readers = rack.readers().iter().enumerate().map(|(place, reader)| ReaderView {
            at: words::facility(reader.at),
            name: reader.name.to_owned(),
            card: of(place),
        });
        self.state.readers = readers.collect();
        self.state.cards = rack.cards().iter().map(|held| card(rack, held)).collect();
    }
}

fn card(rack: &Rack, held: &Held) -> CardView {
    let (kind, names) = match held.kind {
        Kind::Hpki => (
            Text::new("HPKI カード", "HPKI card"),
            [Text::new("署名用", "signing"), Text::new("認証用", "authentication")],
        ),
        Kind::MyNumber => (
            Text::new("マイナンバーカード", "My Number Card"),
            [Text::new("署名用", "signature"), Text::new("利用者証明用", "authentication")],
        ),
    };
    let pins = names.into_iter().zip(held.pins());
    CardView {
        id: held.id(),
        kind,
        holder: words::name(held.holder),
        pin: held.kind.pin().to_owned(),
        reader: held.reader(),
        revoked: (held.kind == Kind::MyNumber).then(|| rack.is_revoked(held)),
        pins: pins.map(|(name, pin)| PinView { name, left: pin.left, tries: pin.tries }).collect(),
    }
}
