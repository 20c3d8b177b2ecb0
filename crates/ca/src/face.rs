//! 券面: what a person's card shows beside her certificate – her name in kanji, which the layout of
//! the JMA and the JPA has no room for, and her photograph, both from her application.
//!
//! Filing a new one leaves the former in the books; the journal has the digest of each in the stream
//! of her key, so that she sees when her card's face was changed.

use std::sync::Arc;

use hpki::encoding::{Digest32, Statement};
use hpki::id::{KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Event, Fault, Note, Record};

use crate::Ca;
use crate::photo::{Photo, PhotoFormat};
use crate::refusal::{Failed, Refusal, by_profile};

/// The longest name, in characters.
const NAME_MOST: usize = 64;

/// What the card shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// Her name in kanji, as the registration read it.
    pub name: String,
    /// Her photograph, if she gave one.
    pub photo: Option<Photo>,
}

impl Face {
    /// `H("azukari/face/v1"; person, name, media type, photograph)`.
    pub fn digest(&self, person: PersonId) -> Digest32 {
        let photo = self.photo.as_ref();
        Statement::new("azukari/face/v1")
            .octets_field(person.octets())
            .text(&self.name)
            .text(photo.map_or("", |photo| photo.format.media_type()))
            .optional(photo.map(|photo| photo.octets.as_slice()))
            .digest()
    }
}

impl Ca {
    /// Files the face of the card of this key's owner. The same face again changes nothing.
    ///
    /// # Errors
    /// `name-malformed`, `subscriber-unknown` (no certificate of this key), or a fault.
    pub async fn file_face(&self, key: KeyId, face: Face, now: Timestamp) -> Result<(), Failed> {
        let letters = face.name.chars().count();
        if letters == 0 || letters > NAME_MOST || face.name.chars().any(char::is_control) {
            return Err(by_profile(hpki::Refusal::NameMalformed("the name on a card")));
        }
        let known = self.face_of(key).await?;
        if known.as_ref() == Some(&face) {
            return Ok(());
        }
        let face = Arc::new(face);
        self.ledger
            .record(move |tx| {
                let sql = "SELECT person FROM ca_certificate WHERE key = $1 AND person IS NOT NULL
                           AND status <> 'interrupted'";
                let row = tx.query_opt(sql, &[key.into()])?;
                let row = row.ok_or(Failed::Refused(Refusal::SubscriberUnknown))?;
                let person = PersonId::from_octets(row.array(0)?);
                let sql = "SELECT number FROM ca_face WHERE person = $1
                           ORDER BY number DESC LIMIT 1";
                let last = tx.query_opt(sql, &[person.into()])?;
                let number = last.map_or(Ok(0), |row| row.number(0))? + 1;
                let digest = face.digest(person);
                let photo = face.photo.as_ref();
                tx.exec(
                    "INSERT INTO ca_face (person, number, name, photo, format, digest, filed)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    &[
                        person.into(),
                        number.into(),
                        (&face.name).into(),
                        photo.map(|photo| photo.octets.clone()).into(),
                        photo.map_or("", |photo| photo.format.media_type()).into(),
                        digest.into(),
                        now.into(),
                    ],
                )?;
                let mut record = Record::of_key(Event::FaceFiled, key, now);
                (record.person, record.evidence) = (Some(person), Some(digest));
                Ok(((), Note(record)))
            })
            .await?;
        Ok(())
    }

    /// The face of the card of this key's owner, if one was filed.
    ///
    /// # Errors
    /// A fault, also where the books say something else than the journal's digest stands for.
    pub async fn face_of(&self, key: KeyId) -> Result<Option<Face>, Failed> {
        self.ledger
            .read(move |tx| {
                let sql = "SELECT f.person, f.name, f.photo, f.format, f.digest FROM ca_face f
                           JOIN ca_certificate c ON c.person = f.person
                           WHERE c.key = $1 AND c.status <> 'interrupted'
                           ORDER BY f.number DESC LIMIT 1";
                let Some(row) = tx.query_opt(sql, &[key.into()])? else { return Ok(None) };
                let photo = match PhotoFormat::named(row.text(3)?) {
                    Some(format) => Some(Photo { format, octets: row.blob(2)?.to_vec() }),
                    None => None,
                };
                let face = Face { name: row.text(1)?.to_owned(), photo };
                if face.digest(PersonId::from_octets(row.array(0)?)) != row.array::<32>(4)? {
                    return Err(
                        Fault::Row("the face of a card is not what was filed".into()).into()
                    );
                }
                Ok(Some(face))
            })
            .await
    }
}
