//! Whether linked My Number Cards still count. Each is looked at again and again, in turn: one that its
//! authority has revoked ends its linking and what it opened, also while nobody uses it.
//!
//! How far the looks have come is a row's own number, so that a restart neither repeats nor forgets
//! one: the time of the list by which it was judged last, or of the answer about it.

use std::sync::{Arc, PoisonError};

use approval::card_commitment;
use hpki::id::BindingId;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Note};

use crate::my_number::{CardRow, end_card_in};
use crate::notice::NoticeKind;
use crate::refusal::Refusal;
use crate::room::Authn;

/// A linked card that is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardToLookAt {
    /// Its linking.
    pub id: BindingId,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardLook {
    /// It is revoked: its linking, and what it opened, has ended.
    Ended,
    /// Nobody can tell now. It is to be looked at again.
    Untold,
    /// Neither; also where it is linked no more.
    Stays,
}

impl Authn {
    /// The time of the newest list of My Number Cards that was handed in.
    pub fn newest_card_list(&self) -> Option<Timestamp> {
        let trust = Arc::clone(&self.trusted_jpki.read().unwrap_or_else(PoisonError::into_inner));
        trust.lists.iter().map(hpki::Crl::this_update).max()
    }

    /// At most so many linked cards that were last judged by something older than this.
    ///
    /// # Errors
    /// A fault.
    pub async fn cards_to_look_at(
        &self,
        older_than: Timestamp,
        count: u32,
    ) -> Result<Vec<CardToLookAt>, Failed<Refusal>> {
        self.ledger
            .read(move |tx| {
                let rows = tx.query(
                    "SELECT id, certificate FROM authn_card
                     WHERE ended IS NULL AND looked < $1 ORDER BY looked, id LIMIT $2",
                    &[older_than.into(), count.into()],
                )?;
                let read = rows.iter().map(|row| {
                    let id = BindingId::from_octets(row.array(0)?);
                    Ok(CardToLookAt { id, certificate: row.blob(1)?.to_vec() })
                });
                Ok(read.collect::<Result<_, Fault>>()?)
            })
            .await
    }

    /// These cards were judged by what was true then.
    ///
    /// # Errors
    /// A fault.
    pub async fn cards_looked_at(
        &self,
        cards: Vec<BindingId>,
        by: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        self.ledger
            .write(move |tx| {
                for card in &cards {
                    tx.exec(
                        "UPDATE authn_card SET looked = $2 WHERE id = $1 AND looked < $2",
                        &[(*card).into(), by.into()],
                    )?;
                }
                Ok(())
            })
            .await
    }

    /// What is seen without judging the whole chain again: a card that no list names and about which
    /// nothing was heard.
    fn plainly(&self, certificate: &[u8], now: Timestamp) -> Option<CardLook> {
        let trust = Arc::clone(&self.trusted_jpki.read().unwrap_or_else(PoisonError::into_inner));
        let read = approval::card::read(certificate).ok()?;
        let named = trust.lists.iter().any(|list| list.contains(read.serial()).is_some());
        if named || self.heard_lately(certificate, now).is_some() {
            return None;
        }
        let newest = self.newest_card_list();
        let young = newest.is_some_and(|list| now.since(list) <= trust.oldest_list_s);
        Some(if young { CardLook::Stays } else { CardLook::Untold })
    }

    /// Judges a card by what is known of it now. Where it is revoked, its linking and its sessions end
    /// in one commit with the journal's entry, and she is told; custody hears of it by a message, and
    /// the key signs nothing until it has.
    ///
    /// # Errors
    /// `seal-broken`, or a fault.
    pub async fn look_at_card(
        &self,
        certificate: &[u8],
        now: Timestamp,
    ) -> Result<CardLook, Failed<Refusal>> {
        // Expired, or of an authority that was trusted once: its next use is refused, and until then
        // nobody can say more about it.
        if !self.is_my_number_card(certificate, now) {
            return Ok(CardLook::Stays);
        }
        if let Some(answer) = self.plainly(certificate, now) {
            return Ok(answer);
        }
        match self.judge_my_number_card(certificate, now) {
            Err(Failed::Refused(Refusal::Approval(approval::Refusal::CardRevoked))) => {}
            Err(Failed::Refused(Refusal::Approval(approval::Refusal::CardStatusUnknown))) => {
                return Ok(CardLook::Untold);
            }
            // What is wrong with it otherwise, its next use says.
            Ok(_) | Err(Failed::Refused(_)) => return Ok(CardLook::Stays),
            Err(failed) => return Err(failed),
        }
        let (commitment, desk) = (card_commitment(certificate), Arc::clone(&self.desk));
        let ended = self
            .ledger
            .record(move |tx| {
                let row = CardRow::of_commitment(tx, &commitment, &desk)?;
                let record = end_card_in(tx, &row, &desk, NoticeKind::CardRevoked, now)?;
                Ok(((row.key, row.id), Note(record)))
            })
            .await;
        match ended {
            Ok(((key, card), _)) => {
                self.forget_ceremonies(key);
                self.forget_tickets(card);
                Ok(CardLook::Ended)
            }
            Err(Failed::Refused(Refusal::CardNotLinked)) => Ok(CardLook::Stays),
            Err(failed) => Err(failed),
        }
    }
}
