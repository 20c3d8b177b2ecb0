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
use hsm::TokenDesk;
use ledger::{Failed, Fault, Head, Tx};

use crate::ceremony::{Ceremony, Claim, Given, Number, Step};
use crate::config::{FINISH_S, NUMBER_TRIES};
use crate::daily::{Approved, statement_value};
use crate::keeping::Keeping;
use crate::my_number::CardRow;
use crate::notice::{NoticeKind, tell};
use crate::provider::{Wrong, consent};
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::three_digits;
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

/// A My Number Card that was unlinked meanwhile approves nothing; an HPKI card has no linking.
pub(crate) fn still_linked(
    tx: &Tx<'_>,
    means: CardMeans,
    linked: BindingId,
    desk: &TokenDesk,
) -> Result<(), Failed<Refusal>> {
    match means {
        CardMeans::Jpki => CardRow::still(tx, linked, desk).map(|_| ()),
        CardMeans::Hpki => Ok(()),
    }
}

/// Where the ceremony stands once a card has approved.
fn given(approval: &Approval, digits: Option<String>, now: Timestamp) -> Step {
    match &approval.statement {
        Statement::Session(statement) => Step::Approved(Box::new(Given {
            at: now,
            statement: statement.clone(),
            approval: approval.clone(),
            backup_eligible: false,
            number: digits.map(|digits| Number { digits, left: NUMBER_TRIES, typed: false }),
            token: None,
        })),
        _ => Step::Agreed(Box::new(approval.clone())),
    }
}

/// What makes a statement this moment's: a nonce, where her key's journal stands, the time.
struct Fresh {
    nonce: [u8; 32],
    head: Option<Head>,
    now: Timestamp,
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
            self.claimed_by(ceremony, found, card, Fresh { nonce, head, now })
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
        let approval = self.approved_by(&card, claim.statement, signature, now)?;
        self.keep_card_approval(ceremony, &card, &approval, false, now).await?;
        self.by_certificate(ceremony, x5t, |found| {
            // She may have refused, or her key been stopped, while the row was being written.
            found.approvable(now)?;
            found.step = given(&approval, None, now);
            Ok(())
        })?;
        Ok(Approved { approval, number: None })
    }

    /// A card anywhere claims a ceremony by the secret of its QR code: what it is asked to sign. Only
    /// where a client of OAuth asked for such a card.
    ///
    /// # Errors
    /// `ceremony-unknown` without the secret, `oauth-means-differs`, `qr-already-used`, `qr-expired`,
    /// `not-the-expected-person`.
    pub async fn claim_by_card(
        &self,
        ceremony: CeremonyId,
        secret: &str,
        card: Card,
        now: Timestamp,
    ) -> Result<CardAsked, Failed<Refusal>> {
        let head = self.ledger.stream_head(card.key.stream()).await?;
        let nonce = self.nonce();
        self.by_secret(ceremony, secret, |found| {
            if found.wanted != Some(card.means) {
                return Err(Refusal::Provider(Wrong::MeansDiffers));
            }
            found.claimable(now)?;
            self.claimed_by(ceremony, found, card, Fresh { nonce, head, now })
        })
    }

    /// That card's signature. Three digits always: the card is not in the reader of the computer that
    /// asks. The same signature again is answered the same.
    ///
    /// # Errors
    /// As [`Authn::answer_card`]; `question-unknown` for another card than the one that claimed it.
    pub async fn approve_by_card(
        &self,
        ceremony: CeremonyId,
        secret: &str,
        card: &Card,
        signature: Vec<u8>,
        now: Timestamp,
    ) -> Result<Approved, Failed<Refusal>> {
        let found = self.by_secret(ceremony, secret, |found| {
            if let Some(approved) = found.approved_by_card(&signature) {
                return Ok(Err(approved));
            }
            let claim = found.approvable(now)?.clone();
            if claim.card.as_ref() == Some(card) {
                Ok(Ok(claim))
            } else {
                Err(Refusal::QuestionUnknown)
            }
        })?;
        let claim = match found {
            Ok(claim) => claim,
            Err(approved) => return Ok(approved),
        };
        let approval = self.approved_by(card, claim.statement, signature, now)?;
        self.keep_card_approval(ceremony, card, &approval, true, now).await?;
        let digits = three_digits(&*self.random);
        self.by_secret(ceremony, secret, |found| {
            found.approvable(now)?;
            found.step = given(&approval, Some(digits.clone()), now);
            Ok(())
        })?;
        Ok(Approved { approval, number: Some(digits) })
    }

    /// The ceremony is this card's until another takes its place: what it has to sign.
    fn claimed_by(
        &self,
        id: CeremonyId,
        ceremony: &mut Ceremony,
        card: Card,
        Fresh { nonce, head, now }: Fresh,
    ) -> Result<CardAsked, Refusal> {
        if ceremony.expected.is_some_and(|expected| expected != card.person) {
            return Err(Refusal::NotTheExpectedPerson);
        }
        let who = (card.person, card.key);
        let statement = self.statement_for(id, nonce, ceremony, who, head.as_ref(), now)?;
        ceremony.step = Step::Claimed(Box::new(Claim {
            at: now,
            binding: card.binding,
            card: Some(card),
            statement: statement.clone(),
        }));
        Ok(CardAsked { statement, until: now.plus(FINISH_S) })
    }

    /// What this card signed, if it approves exactly this statement and counts now.
    pub(crate) fn approved_by(
        &self,
        card: &Card,
        statement: Statement,
        signature: Vec<u8>,
        now: Timestamp,
    ) -> Result<Approval, Failed<Refusal>> {
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let certificate = read(&card.certificate).map_err(refused)?;
        check_signature(&certificate, &statement.challenge(), &signature).map_err(refused)?;
        match card.means {
            CardMeans::Hpki => self.judge_hpki(&card.certificate, now)?,
            CardMeans::Jpki => self.judge_my_number_card(&card.certificate, now)?,
        };
        Ok(Approval {
            statement,
            proof: Proof::Card(CardEvidence {
                means: card.means,
                certificate: card.certificate.clone(),
                signature,
            }),
            binding: card.binding,
            approved: now,
            number_confirmed: false,
        })
    }

    async fn keep_card_approval(
        &self,
        ceremony: CeremonyId,
        card: &Card,
        approval: &Approval,
        number_asked: bool,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let keeping = Keeping::of(ceremony, approval)?;
        let (linked, means, desk) = (card.binding, card.means, Arc::clone(&self.desk));
        self.ledger
            .write(move |tx| {
                still_linked(tx, means, linked, &desk)?;
                keeping.insert(tx, number_asked, now)
            })
            .await
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
                // What services may still ask about her, as where a phone is unlinked.
                consent::end_all(tx, key, None, now)?;
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
