//! The daily authentication by a card in the terminal's own reader, and the approval of documents by
//! it.
//!
//! The card's certificate comes before the statement, so that the statement names person and key;
//! the card signs its challenge. No three digits are asked for: they prove that the terminal with the
//! QR stands where the phone is, and the card is in the terminal's reader.
//!
//! Whose HPKI card it is, the certification authority's books say; the binary carries that across.
//! This room judges the chain; custody judges it again, and whether holder and key belong together.

use std::sync::{Arc, PoisonError};

use approval::card::{check_signature, read};
use approval::{Approval, CardEvidence, CardMeans, CardTrust, Proof, Statement};
use hpki::Certificate;
use hpki::encoding::Digest32;
use hpki::id::{BindingId, CeremonyId, KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Failed, Fault};

use crate::ceremony::{Claim, Given, Step};
use crate::config::FINISH_S;
use crate::daily::{Approved, statement_value};
use crate::keeping::Keeping;
use crate::my_number::CardRow;
use crate::notice::{NoticeKind, tell};
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::session::end_of_means;

/// A card whose holder is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Which card.
    pub means: CardMeans,
    /// Its authentication certificate, DER.
    pub certificate: Vec<u8>,
    /// Under what it is known: its linking, or [`CardEvidence::own_binding`].
    pub binding: BindingId,
    /// Whose.
    pub person: PersonId,
    /// The kept key that it speaks for.
    pub key: KeyId,
}

/// What a card is asked to sign.
#[derive(Debug, Clone, PartialEq)]
pub struct CardAsked {
    /// What it stands for.
    pub statement: Statement,
    /// Until when the answer is taken.
    pub until: Timestamp,
}

impl CardAsked {
    /// `session` or `documents`, and the statement without its type.
    ///
    /// # Errors
    /// A fault for any other statement.
    pub fn shown(&self) -> Result<(&'static str, serde_json::Value), Fault> {
        statement_value(&self.statement)
    }
}

impl Authn {
    /// Whom HPKI cards are believed by from now on: pinned roots, authorities and lists, as they were
    /// handed in. Until this was called no HPKI card is believed.
    pub fn trust_cards(&self, trust: Arc<CardTrust>) {
        *self.trusted.write().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// Reads the certificate of an HPKI card and judges its whole chain.
    ///
    /// # Errors
    /// What [`read`] and [`CardTrust::judge`] refuse.
    pub fn judge_hpki(
        &self,
        certificate: &[u8],
        now: Timestamp,
    ) -> Result<Certificate, Failed<Refusal>> {
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let trust = Arc::clone(&self.trusted.read().unwrap_or_else(PoisonError::into_inner));
        let certificate = read(certificate).map_err(refused)?;
        trust.judge(&certificate, now).map_err(refused)?;
        Ok(certificate)
    }

    /// A card is in the reader of the terminal that began this ceremony: what it is asked to sign.
    /// Another card may take its place until one has answered.
    ///
    /// # Errors
    /// `ceremony-unknown`, also over another certificate; `qr-already-used` where a phone came
    /// first, `qr-expired`, `not-the-expected-person`.
    pub async fn ask_card(
        &self,
        ceremony: CeremonyId,
        x5t: Digest32,
        card: Card,
        now: Timestamp,
    ) -> Result<CardAsked, Failed<Refusal>> {
        let head = self.ledger.stream_head(card.key.stream()).await?;
        let nonce = self.nonce();
        self.by_certificate(ceremony, x5t, |found| {
            found.card_may_come(now)?;
            if found.expected.is_some_and(|expected| expected != card.person) {
                return Err(Refusal::NotTheExpectedPerson);
            }
            let who = (card.person, card.key);
            let statement = self.statement_for(ceremony, nonce, found, who, head.as_ref(), now)?;
            found.step = Step::Claimed(Box::new(Claim {
                at: now,
                binding: card.binding,
                card: Some(card),
                statement: statement.clone(),
            }));
            Ok(CardAsked { statement, until: now.plus(FINISH_S) })
        })
    }

    /// The card that was asked last in this ceremony, and has not answered yet: whether it may still
    /// be used has to be asked once more before its answer is taken.
    ///
    /// # Errors
    /// `ceremony-unknown`, `ceremony-out-of-step`, `ceremony-expired`.
    pub fn asked_card(
        &self,
        ceremony: CeremonyId,
        x5t: Digest32,
        now: Timestamp,
    ) -> Result<Card, Failed<Refusal>> {
        self.by_certificate(ceremony, x5t, |found| {
            let claim = found.approvable(now)?;
            claim.card.clone().ok_or(Refusal::CeremonyOutOfStep("no card was asked"))
        })
    }

    /// The card's signature: verified, and the evidence kept, before this answers. Custody has to
    /// open a budget by it; then [`Authn::grant`] goes on. The same signature again – its answer was
    /// lost on the way – is answered the same.
    ///
    /// # Errors
    /// `ceremony-unknown`, also over another certificate; `ceremony-expired`, `ceremony-refused`,
    /// `ceremony-out-of-step`; whatever `approval` refuses of the card.
    pub async fn answer_card(
        &self,
        ceremony: CeremonyId,
        x5t: Digest32,
        signature: Vec<u8>,
        now: Timestamp,
    ) -> Result<Approved, Failed<Refusal>> {
        let found = self.by_certificate(ceremony, x5t, |found| {
            if let Some(approved) = found.approved_by_card(&signature) {
                return Ok(Err(approved));
            }
            let claim = found.approvable(now)?.clone();
            let card = claim.card.clone().ok_or(Refusal::CeremonyOutOfStep("no card was asked"))?;
            Ok(Ok((claim, card)))
        })?;
        let (claim, card) = match found {
            Ok(asked) => asked,
            Err(approved) => return Ok(approved),
        };
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let certificate = read(&card.certificate).map_err(refused)?;
        check_signature(&certificate, &claim.statement.challenge(), &signature).map_err(refused)?;
        match card.means {
            CardMeans::Hpki => self.judge_hpki(&card.certificate, now)?,
            CardMeans::Jpki => self.judge_my_number_card(&card.certificate, now)?,
        };
        let approval = Approval {
            statement: claim.statement,
            proof: Proof::Card(CardEvidence {
                means: card.means,
                certificate: card.certificate,
                signature,
            }),
            binding: card.binding,
            approved: now,
            number_confirmed: false,
        };
        let keeping = Keeping::of(ceremony, &approval)?;
        let (linked, means, desk) = (card.binding, card.means, Arc::clone(&self.desk));
        self.ledger
            .write(move |tx| {
                if means == CardMeans::Jpki {
                    CardRow::still(tx, linked, &desk)?;
                }
                keeping.insert(tx, false, now)
            })
            .await?;
        self.by_certificate(ceremony, x5t, |found| {
            // She may have refused, or her key been stopped, while the row was being written.
            found.approvable(now)?;
            found.step = match &approval.statement {
                Statement::Session(statement) => Step::Approved(Box::new(Given {
                    at: now,
                    statement: statement.clone(),
                    approval: approval.clone(),
                    backup_eligible: false,
                    number: None,
                    token: None,
                })),
                _ => Step::Agreed(Box::new(approval.clone())),
            };
            Ok(())
        })?;
        Ok(Approved { approval, number: None })
    }

    /// A card proves nothing any more: the sessions that it opened end, and whatever is being approved
    /// about this key begins anew. Custody's budgets are ended by whoever calls this.
    ///
    /// # Errors
    /// A fault.
    pub async fn end_card_sessions(
        &self,
        key: KeyId,
        card: BindingId,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        self.ledger
            .write(move |tx| {
                tx.exec(
                    "UPDATE authn_visit SET ended = 1 WHERE key = $1 AND binding = $2",
                    &[key.into(), card.into()],
                )?;
                if end_of_means(tx, key, card, now)? > 0 {
                    tell(tx, key, NoticeKind::CardRevoked, "", now)?;
                }
                Ok::<_, Failed<Refusal>>(())
            })
            .await?;
        self.forget_tickets(card);
        self.forget_ceremonies(key);
        Ok(())
    }
}
