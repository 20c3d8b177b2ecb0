//! Cards spoken to by commands, without any vendor's driver.

use hpki::encoding::Digest32;

use super::apdu::Talk;
use super::{
    CardFace, CardReader, CardRefusal, CardUse, Cards, Chosen, Inside, LastTry, Pin, Slot, Stay,
    digest_info, hpki_card, jpki_card,
};

/// Every card in these readers.
pub struct Commands<R>(R);

impl<R: CardReader> Commands<R> {
    /// Over these readers.
    pub const fn over(readers: R) -> Self {
        Self(readers)
    }

    fn turn<T>(
        &self,
        reader: &str,
        mut turn: impl FnMut(&mut Talk<'_>) -> Result<T, CardRefusal>,
    ) -> Result<T, CardRefusal> {
        let mut result = None;
        self.0.talk(reader, &mut |line| {
            result = Some(turn(&mut Talk(line))?);
            Ok(())
        })?;
        result.ok_or(CardRefusal::Removed)
    }
}

fn faces(talk: &mut Talk<'_>) -> Result<Vec<CardFace>, CardRefusal> {
    if let Some(face) = jpki_card::look(talk)? {
        return Ok(vec![face]);
    }
    let uses = [CardUse::Signing, CardUse::Authentication];
    let faces = uses.map(|usage| hpki_card::look(talk, usage).transpose());
    faces.into_iter().flatten().collect()
}

impl<R: CardReader> Cards for Commands<R> {
    fn look(&self) -> Result<Vec<Slot>, CardRefusal> {
        let slots = self.0.readers()?.into_iter().map(|reader| {
            let card = match self.turn(&reader, faces) {
                Ok(faces) if faces.is_empty() => Inside::Unknown,
                Ok(faces) => Inside::Card(faces),
                Err(CardRefusal::Missing) => Inside::Nothing,
                Err(refusal) => Inside::Trouble(refusal),
            };
            Slot { reader, card }
        });
        Ok(slots.collect())
    }

    fn sign_digest(
        &self,
        card: &Chosen,
        pin: &Pin,
        last: LastTry,
        digest: &Digest32,
    ) -> Result<Vec<u8>, CardRefusal> {
        let info = digest_info(digest);
        let signed = self.turn(&card.reader, |talk| match card.usage {
            CardUse::Jpki => jpki_card::sign(talk, &card.certificate, (pin, last), &info),
            usage => hpki_card::sign(talk, (usage, &card.certificate), (pin, last), &info),
        });
        // It was there when it was chosen.
        signed.map_err(|refusal| match refusal {
            CardRefusal::Missing => CardRefusal::Removed,
            other => other,
        })
    }

    fn stay(&self, card: &Chosen) -> Result<Box<dyn Stay>, CardRefusal> {
        self.0.stay(&card.reader)
    }
}
