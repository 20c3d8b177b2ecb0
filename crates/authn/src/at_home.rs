//! What the holder of a card does with it where no institution is: at home, with any computer that has
//! a reader. She opens her page, reports her phone as lost, stops and starts her key, gets a sheet for
//! a new phone on the screen, links a My Number Card or ends its linking.
//!
//! The card's certificate comes first, so that what it signs names her, her key and the act. Each
//! question is answered once, within two minutes; it is memory, and whoever dies before it was carried
//! out has decided nothing.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use approval::card::{CardLinkEvidence, check_card_link, check_signature, read};
use approval::{
    Approval, CardEvidence, CardMeans, LinkCardStatement, LossStatement, Proof, RestartStatement,
    SheetStatement, SigninStatement, Statement, StopStatement, UnlinkCardStatement,
    card_commitment,
};
use hpki::encoding::{Digest32, Statement as Encoded};
use hpki::id::{BindingId, CeremonyId, SheetId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record};
use serde::Serialize;

use crate::binding::BindingRow;
use crate::by_card::Card;
use crate::config::{FINISH_S, SHEET_LIFE_S, VISIT_S};
use crate::linking::unlink_in;
use crate::my_number::{CardRow, unlink_card_in};
use crate::notice::{NoticeKind, tell};
use crate::owning::keep;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;
use crate::sheet::{Sheet, SheetRow};
use crate::visit::Visiting;

/// How many questions may be open at once.
const OPEN_AT_ONCE: usize = 20_000;
/// How long the one-time address of her page can be used.
const TICKET_S: u64 = 60;
/// Sheets that one key gets by card within a day.
const SHEETS_A_DAY: u64 = 3;

/// What she wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HomeAct {
    /// To see her page.
    Signin,
    /// Her phone is lost, or not hers alone any more.
    Loss,
    /// To stop her key.
    Stop,
    /// To start it again.
    Restart,
    /// A sheet for a new phone, on this screen.
    Sheet,
    /// To link the My Number Card with this certificate, by her HPKI card.
    LinkCard(Vec<u8>),
    /// To end the linking of her My Number Card.
    UnlinkCard,
}

/// A question that a card at home was asked.
pub(crate) struct Asked {
    at: Timestamp,
    card: Card,
    said: Said,
    /// The card that is to be linked.
    second: Option<Vec<u8>>,
}

/// Signing in decides nothing about the key, so it is no statement that custody would hear of.
#[derive(Clone)]
enum Said {
    Signin(SigninStatement),
    Act(Box<Statement>),
}

impl Said {
    fn challenge(&self) -> Digest32 {
        match self {
            Self::Signin(statement) => statement.challenge(),
            Self::Act(statement) => statement.challenge(),
        }
    }

    fn shown(&self) -> Result<serde_json::Value, Fault> {
        let odd = |why: serde_json::Error| Fault::Misuse(format!("a statement as JSON: {why}"));
        match self {
            Self::Act(statement) => serde_json::to_value(statement).map_err(odd),
            Self::Signin(statement) => {
                let mut value = serde_json::to_value(statement).map_err(odd)?;
                value["type"] = "signin".into();
                Ok(value)
            }
        }
    }
}

/// What a card at home is asked to sign.
#[derive(Debug, Clone, PartialEq)]
pub struct HomeAsked {
    /// Names the question.
    pub visit: CeremonyId,
    /// The statement with its `type`, as the challenge is computed from it.
    pub statement: serde_json::Value,
    /// What is signed.
    pub challenge: Digest32,
    /// Until when the answer is taken.
    pub until: Timestamp,
}

/// What came of an answer.
#[derive(Debug)]
pub enum HomeDone {
    /// Her page opens by this secret, once, within a minute.
    SignedIn {
        /// For the fragment of the page's address.
        ticket: String,
    },
    /// She decided something that custody has to carry out: it checks the approval itself.
    ForCustody(Approval),
    /// It was carried out here.
    Done(Approval),
    /// A new sheet.
    Sheet(Approval, Sheet),
}

/// A page that was opened by card and not yet taken to a browser.
pub(crate) struct Ticket {
    at: Timestamp,
    card: Card,
    evidence: String,
    hash: Digest32,
}

/// What is kept of a sign-in; the journal has its hash.
#[derive(Serialize)]
struct Kept<'a> {
    statement: &'a SigninStatement,
    card: &'a CardEvidence,
    at: Timestamp,
}

fn no<T>(refusal: Refusal) -> Result<T, Failed<Refusal>> {
    Err(Failed::Refused(refusal))
}

fn by_approval(refusal: approval::Refusal) -> Failed<Refusal> {
    Failed::Refused(Refusal::Approval(refusal))
}

impl Authn {
    fn homes(&self) -> MutexGuard<'_, HashMap<CeremonyId, Asked>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tickets(&self) -> MutexGuard<'_, HashMap<Digest32, Ticket>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page that this card opened is not taken to a browser any more.
    pub(crate) fn forget_tickets(&self, card: BindingId) {
        self.tickets().retain(|_, ticket| ticket.card.binding != card);
    }

    fn home_statement(&self, card: &Card, act: &HomeAct, now: Timestamp) -> Said {
        let (issuer, rp_id) = (self.config.issuer.clone(), self.config.rp_id.clone());
        let (nonce, person, key) = (self.nonce(), card.person, card.key);
        let statement = match act {
            HomeAct::Signin => {
                return Said::Signin(SigninStatement {
                    issuer,
                    rp_id,
                    nonce,
                    person: Some(person),
                    key: Some(key),
                    at: now,
                });
            }
            HomeAct::Loss => Statement::Loss(LossStatement { issuer, rp_id, nonce, person, key }),
            HomeAct::Stop => Statement::Stop(StopStatement { issuer, rp_id, nonce, person, key }),
            HomeAct::Restart => {
                Statement::Restart(RestartStatement { issuer, rp_id, nonce, person, key })
            }
            HomeAct::Sheet => {
                Statement::Sheet(SheetStatement { issuer, rp_id, nonce, person, key })
            }
            HomeAct::UnlinkCard => {
                Statement::UnlinkCard(UnlinkCardStatement { issuer, rp_id, nonce, person, key })
            }
            HomeAct::LinkCard(second) => Statement::LinkCard(LinkCardStatement {
                issuer,
                rp_id,
                nonce,
                person,
                key,
                card: card_commitment(second),
            }),
        };
        Said::Act(Box::new(statement))
    }

    /// A card whose holder is known wants something: what it is asked to sign.
    ///
    /// # Errors
    /// `slow-down`; `card-act-not-allowed` for a sheet by a card that the configuration does not let
    /// do that, and for a My Number Card that would link another; `phone-needed` for a restart or the
    /// linking of a card while a phone is linked; what
    /// [`Authn::judge_my_number_card`] refuses of the card to be linked.
    pub async fn ask_at_home(
        &self,
        card: Card,
        act: HomeAct,
        now: Timestamp,
    ) -> Result<HomeAsked, Failed<Refusal>> {
        match &act {
            HomeAct::Sheet if !self.config.sheet_by_card.contains(&card.means) => {
                return no(Refusal::CardActNotAllowed);
            }
            HomeAct::LinkCard(_) if card.means == CardMeans::Jpki => {
                return no(Refusal::CardActNotAllowed);
            }
            HomeAct::LinkCard(second) => {
                self.judge_my_number_card(second, now)?;
            }
            _ => {}
        }
        if matches!(act, HomeAct::Restart | HomeAct::LinkCard(_)) {
            let key = card.key;
            if self.ledger.read(move |tx| Ok(BindingRow::is_linked(tx, key)?)).await? {
                return no(Refusal::PhoneNeeded);
            }
        }
        let said = self.home_statement(&card, &act, now);
        let (statement, challenge) = (said.shown()?, said.challenge());
        let second = match act {
            HomeAct::LinkCard(second) => Some(second),
            _ => None,
        };
        let visit = CeremonyId::random(&*self.random);
        let mut homes = self.homes();
        if homes.len() >= OPEN_AT_ONCE {
            homes.retain(|_, asked| now.since(asked.at) <= FINISH_S);
        }
        if homes.len() >= OPEN_AT_ONCE {
            return no(Refusal::SlowDown);
        }
        homes.insert(visit, Asked { at: now, card, said, second });
        Ok(HomeAsked { visit, statement, challenge, until: now.plus(FINISH_S) })
    }

    /// The card that was asked: whether it may still be used has to be asked once more before its
    /// answer is taken.
    ///
    /// # Errors
    /// `question-unknown`, `question-expired`.
    pub fn card_at_home(&self, visit: CeremonyId, now: Timestamp) -> Result<Card, Failed<Refusal>> {
        match self.homes().get(&visit) {
            None => no(Refusal::QuestionUnknown),
            Some(asked) if now.since(asked.at) > FINISH_S => no(Refusal::QuestionExpired),
            Some(asked) => Ok(asked.card.clone()),
        }
    }

    /// The card's answer, taken once. `second` is what the card to be linked signed.
    ///
    /// # Errors
    /// `question-unknown`, `question-expired`; whatever `approval` refuses of the cards;
    /// `phone-not-linked` for a loss without a phone; `phone-needed` for the linking of a My Number
    /// Card beside a linked phone; `sheets-too-many`, `card-already-linked`,
    /// `card-not-linked`.
    pub async fn answer_at_home(
        &self,
        visit: CeremonyId,
        signature: Vec<u8>,
        second: Option<Vec<u8>>,
        now: Timestamp,
    ) -> Result<HomeDone, Failed<Refusal>> {
        let asked = self.homes().remove(&visit).ok_or(Failed::Refused(Refusal::QuestionUnknown))?;
        if now.since(asked.at) > FINISH_S {
            return no(Refusal::QuestionExpired);
        }
        let card = asked.card;
        let certificate = read(&card.certificate).map_err(by_approval)?;
        check_signature(&certificate, &asked.said.challenge(), &signature).map_err(by_approval)?;
        let evidence =
            CardEvidence { means: card.means, certificate: card.certificate.clone(), signature };
        let statement = match asked.said {
            Said::Signin(statement) => return self.ticket(card, &statement, &evidence, now),
            Said::Act(statement) => *statement,
        };
        let approval = Approval {
            statement,
            proof: Proof::Card(evidence),
            binding: card.binding,
            approved: now,
            number_confirmed: false,
        };
        match &approval.statement {
            Statement::Stop(_) | Statement::Restart(_) => Ok(HomeDone::ForCustody(approval)),
            Statement::Loss(_) => self.lose_by_card(approval, now).await,
            Statement::Sheet(_) => self.sheet_by_card(approval, now).await,
            Statement::UnlinkCard(_) => self.unlink_by_card(approval, now).await,
            Statement::LinkCard(_) => self.link_by_card(approval, asked.second, second, now).await,
            _ => no(Refusal::QuestionUnknown),
        }
    }

    fn ticket(
        &self,
        card: Card,
        statement: &SigninStatement,
        evidence: &CardEvidence,
        now: Timestamp,
    ) -> Result<HomeDone, Failed<Refusal>> {
        let kept = serde_json::to_string(&Kept { statement, card: evidence, at: now })
            .map_err(|why| Fault::Misuse(format!("a sign-in as JSON: {why}")))?;
        let hash = Encoded::new("azukari/evidence/signin/v1").text(&kept).digest();
        let secret = Secret::new(&*self.random);
        let mut tickets = self.tickets();
        tickets.retain(|_, ticket| now.since(ticket.at) <= TICKET_S);
        tickets.insert(secret.hash(), Ticket { at: now, card, evidence: kept, hash });
        Ok(HomeDone::SignedIn { ticket: secret.text() })
    }

    /// A browser brings the ticket: the visit to her page begins. The visit, what is kept of it and the
    /// journal's entry are one commit.
    ///
    /// # Errors
    /// `signin-needed` for a ticket that is unknown, used or older than a minute.
    pub async fn redeem_ticket(
        &self,
        ticket: &str,
        now: Timestamp,
    ) -> Result<Visiting, Failed<Refusal>> {
        let found = Secret::hash_of(ticket).and_then(|hash| self.tickets().remove(&hash));
        let Some(found) = found.filter(|ticket| now.since(ticket.at) <= TICKET_S) else {
            return no(Refusal::SigninNeeded);
        };
        let secret = Secret::new(&*self.random);
        let hash = secret.hash();
        let found = Arc::new(found);
        self.ledger
            .record(move |tx| {
                let card = &found.card;
                tx.exec(
                    "INSERT INTO authn_visit (hash, means, binding, person, key, begun, seen,
                        ended, evidence)
                     VALUES ($1, $2, $3, $4, $5, $6, $6, 0, $7)",
                    &[
                        hash.into(),
                        card.means.name().into(),
                        card.binding.into(),
                        card.person.into(),
                        card.key.into(),
                        now.into(),
                        (&found.evidence).into(),
                    ],
                )?;
                tell(tx, card.key, NoticeKind::SignedIn, "", now)?;
                let mut record = Record::of_key(Event::OwnerSignedIn, card.key, now);
                record.person = Some(card.person);
                record.evidence = Some(found.hash);
                Ok::<_, Failed<Refusal>>(((), Note(record)))
            })
            .await?;
        Ok(Visiting { visit: secret.text(), device: None, until: now.plus(VISIT_S) })
    }

    async fn lose_by_card(
        &self,
        approval: Approval,
        now: Timestamp,
    ) -> Result<HomeDone, Failed<Refusal>> {
        let (work, desk) = (approval.clone(), Arc::clone(&self.desk));
        let key = approval.statement.key();
        self.ledger
            .record(move |tx| {
                keep(tx, &work, "phone.lost", now)?;
                let (_, mut record) = unlink_in(tx, key, &desk, now)?;
                record.evidence = Some(work.evidence_hash());
                tell(tx, key, NoticeKind::PhoneLost, "", now)?;
                Ok(((), Note(record)))
            })
            .await?;
        self.forget_ceremonies(key);
        Ok(HomeDone::Done(approval))
    }

    /// A sheet in the place of earlier ones, also of one that is locked; the phone that was linked is
    /// hers no more from the same commit. Who she is and her birth date are those of the sheet before.
    async fn sheet_by_card(
        &self,
        approval: Approval,
        now: Timestamp,
    ) -> Result<HomeDone, Failed<Refusal>> {
        let (work, desk) = (approval.clone(), Arc::clone(&self.desk));
        let (person, key) = (approval.statement.person(), approval.statement.key());
        let secret = Secret::new(&*self.random);
        let (id, secret_hash) = (SheetId::random(&*self.random), secret.hash());
        let expires = now.plus(SHEET_LIFE_S);
        self.ledger
            .record_many(move |tx| {
                let day = tx.query_one(
                    "SELECT count(*) FROM authn_decision
                     WHERE key = $1 AND what = 'sheet.by-card' AND decided > $2",
                    &[key.into(), now.minus(86_400).into()],
                )?;
                if day.number(0)? >= SHEETS_A_DAY {
                    return no(Refusal::SheetsTooMany);
                }
                let former = SheetRow::latest(tx, key, &desk)?;
                if former.person != person {
                    return no(Refusal::HolderUnknown);
                }
                keep(tx, &work, "sheet.by-card", now)?;
                let mut notes = Vec::new();
                match unlink_in(tx, key, &desk, now) {
                    Ok((_, mut record)) => {
                        record.evidence = Some(work.evidence_hash());
                        tell(tx, key, NoticeKind::PhoneUnlinked, "", now)?;
                        notes.push(Note(record));
                    }
                    Err(Failed::Refused(Refusal::PhoneNotLinked)) => {}
                    Err(failed) => return Err(failed),
                }
                let mut row = former.again(id, secret_hash, (now, expires));
                row.seal_with(&desk)?;
                notes.push(Note(row.take_over(tx)?));
                Ok(((), notes))
            })
            .await?;
        self.forget_ceremonies(key);
        let url = format!("{}/r#1.{id}.{}", self.config.url, secret.text());
        Ok(HomeDone::Sheet(approval, Sheet { id, url, expires }))
    }

    async fn unlink_by_card(
        &self,
        approval: Approval,
        now: Timestamp,
    ) -> Result<HomeDone, Failed<Refusal>> {
        let (work, desk) = (approval.clone(), Arc::clone(&self.desk));
        let key = approval.statement.key();
        self.ledger
            .record(move |tx| {
                let row = CardRow::of_key(tx, key, &desk)?;
                let row = row.ok_or(Failed::Refused(Refusal::CardNotLinked))?;
                keep(tx, &work, "card.unlinked", now)?;
                Ok(((), Note(unlink_card_in(tx, &row, &desk, now)?)))
            })
            .await?;
        self.forget_ceremonies(key);
        Ok(HomeDone::Done(approval))
    }

    async fn link_by_card(
        &self,
        approval: Approval,
        certificate: Option<Vec<u8>>,
        signature: Option<Vec<u8>>,
        now: Timestamp,
    ) -> Result<HomeDone, Failed<Refusal>> {
        let (Some(certificate), Some(signature)) = (certificate, signature) else {
            return Err(by_approval(approval::Refusal::CardMalformed("signature")));
        };
        let evidence = CardLinkEvidence {
            approval: approval.clone(),
            card: CardEvidence { means: CardMeans::Jpki, certificate, signature },
            binding: BindingId::random(&*self.random),
            linked: now,
        };
        let made = check_card_link(&evidence, now).map_err(by_approval)?;
        self.keep_card_link(evidence, made.not_after(), None, now).await?;
        Ok(HomeDone::Done(approval))
    }
}
