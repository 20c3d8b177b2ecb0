//! A My Number Card is linked by its holder's phone: the card lies in the reader of some computer, whose
//! program shows a QR code; the phone that scans it shows what would be linked and approves; the digits
//! that it then shows are typed at that computer, and the card signs the same statement. Only then is
//! anything written: both proofs are one commit.
//!
//! Until then it is memory. Whoever relays a QR code needs its holder to read three digits out to him;
//! that terminal and phone speak of the same is seen by the eight characters on both.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use approval::card::{CardLinkEvidence, check_card_link};
use approval::{
    AssertionResponse, CardEvidence, CardMeans, LinkCardStatement, Statement, card_commitment,
};
use hpki::encoding::{Digest32, sha256};
use hpki::id::{BindingId, CeremonyId, KeyId};
use hpki::time::Timestamp;
use ledger::{Failed, Fault};
use wire::{
    CeremonyStep, SessionApproveRequest, SessionClaimAnswer, SessionClaimRequest,
    SessionRefuseRequest,
};

use crate::answered::Answered;
use crate::binding::BindingRow;
use crate::ceremony::Number;
use crate::config::{FINISH_S, NUMBER_TRIES, QR_LIFE_S};
use crate::my_number::CardRow;
use crate::options;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::{Secret, same, three_digits};

/// How many may be open at once.
const OPEN_AT_ONCE: usize = 20_000;
/// Nothing of it is asked about later.
const KEPT_S: u64 = QR_LIFE_S + 2 * FINISH_S;

/// One linking on its way.
pub(crate) struct CardLinking {
    begun: Timestamp,
    /// Of the QR code.
    shown: Digest32,
    /// Of the program.
    program: Digest32,
    certificate: Vec<u8>,
    expires: Timestamp,
    step: Step,
}

enum Step {
    Waiting,
    Claimed { at: Timestamp, phone: BindingId, statement: LinkCardStatement },
    Approved { at: Timestamp, answered: Box<Answered>, number: Number },
    Refused,
}

impl CardLinking {
    /// Whether it waits for a phone, about this card.
    fn waits_for(&self, certificate: &[u8]) -> bool {
        matches!(self.step, Step::Waiting) && self.certificate == certificate
    }
}

/// A linking has begun.
#[derive(Debug)]
pub struct CardLinkBegun {
    /// Which.
    pub linking: CeremonyId,
    /// What the program shows when it asks again.
    pub secret: String,
    /// The text of the QR code.
    pub qr: String,
    /// Until when a phone can claim it.
    pub until: Timestamp,
}

fn no<T>(refusal: Refusal) -> Result<T, Failed<Refusal>> {
    Err(Failed::Refused(refusal))
}

fn shows(hash: &Digest32, secret: &str) -> bool {
    Secret::hash_of(secret).is_some_and(|shown| same(hash, &shown))
}

impl CardLinking {
    fn claimable(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.step {
            Step::Waiting if now.since(self.begun) > QR_LIFE_S => Err(Refusal::QrExpired),
            Step::Waiting => Ok(()),
            _ => Err(Refusal::QrAlreadyUsed),
        }
    }

    fn seen(&self, now: Timestamp) -> CeremonyStep {
        match &self.step {
            Step::Waiting if now.since(self.begun) > QR_LIFE_S => CeremonyStep::Expired,
            Step::Claimed { at, .. } | Step::Approved { at, .. } if now.since(*at) > FINISH_S => {
                CeremonyStep::Expired
            }
            Step::Waiting => CeremonyStep::Waiting,
            Step::Claimed { .. } => CeremonyStep::Claimed,
            Step::Approved { .. } => CeremonyStep::Number,
            Step::Refused => CeremonyStep::Refused,
        }
    }

    fn statement(&self) -> Option<Statement> {
        match &self.step {
            Step::Claimed { statement, .. } => Some(Statement::LinkCard(statement.clone())),
            Step::Approved { answered, .. } => Some(answered.approval.statement.clone()),
            Step::Waiting | Step::Refused => None,
        }
    }
}

impl Authn {
    fn card_linkings(&self) -> MutexGuard<'_, HashMap<CeremonyId, CardLinking>> {
        self.card_linkings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A My Number Card that speaks for nobody yet is in the reader of a computer.
    ///
    /// # Errors
    /// What [`Authn::judge_my_number_card`] refuses; `card-already-linked`, `slow-down`.
    pub async fn begin_card_link(
        &self,
        certificate: Vec<u8>,
        now: Timestamp,
    ) -> Result<CardLinkBegun, Failed<Refusal>> {
        let expires = self.judge_my_number_card(&certificate, now)?.not_after();
        let (commitment, desk) = (card_commitment(&certificate), Arc::clone(&self.desk));
        let known =
            self.ledger.read(move |tx| CardRow::of_commitment(tx, &commitment, &desk)).await;
        match known {
            Ok(_) => return no(Refusal::CardAlreadyLinked),
            Err(Failed::Refused(Refusal::CardNotLinked)) => {}
            Err(failed) => return Err(failed),
        }
        let (shown, program) = (Secret::new(&*self.random), Secret::new(&*self.random));
        let linking = CeremonyId::random(&*self.random);
        let mut all = self.card_linkings();
        // One at a time for each card: whoever has only its certificate fills no memory with it.
        all.retain(|_, old| now.since(old.begun) <= KEPT_S && !old.waits_for(&certificate));
        if all.len() >= OPEN_AT_ONCE {
            return no(Refusal::SlowDown);
        }
        all.insert(
            linking,
            CardLinking {
                begun: now,
                shown: shown.hash(),
                program: program.hash(),
                certificate,
                expires,
                step: Step::Waiting,
            },
        );
        let qr = format!("{}/q#1.{linking}.{}", self.config.url, shown.text());
        Ok(CardLinkBegun { linking, secret: program.text(), qr, until: now.plus(QR_LIFE_S) })
    }

    /// Whether this is the linking of a card and nothing else.
    pub fn is_card_link(&self, ceremony: &str) -> bool {
        ceremony.parse().is_ok_and(|id| self.card_linkings().contains_key(&id))
    }

    fn shown_linking<T>(
        &self,
        ceremony: &str,
        secret: &str,
        act: impl FnOnce(&mut CardLinking) -> Result<T, Refusal>,
    ) -> Result<T, Failed<Refusal>> {
        let mut all = self.card_linkings();
        match ceremony.parse().ok().and_then(|id: CeremonyId| all.get_mut(&id)) {
            Some(found) if shows(&found.shown, secret) => act(found).map_err(Failed::Refused),
            _ => no(Refusal::CeremonyUnknown),
        }
    }

    /// A phone claims the QR code.
    ///
    /// # Errors
    /// `ceremony-unknown` without the secret; `qr-already-used`, `qr-expired`, `phone-not-linked`.
    pub async fn claim_card_link(
        &self,
        request: &SessionClaimRequest,
        device: Option<&str>,
        now: Timestamp,
    ) -> Result<SessionClaimAnswer, Failed<Refusal>> {
        let (ceremony, secret) = (request.ceremony.as_str(), request.secret.as_str());
        self.shown_linking(ceremony, secret, |linking| linking.claimable(now))?;
        let phone = self.phone_of(device).await?;
        let nonce = self.nonce();
        let (statement, expires) = self.shown_linking(ceremony, secret, |linking| {
            linking.claimable(now)?;
            let statement = LinkCardStatement {
                issuer: self.config.issuer.clone(),
                rp_id: self.config.rp_id.clone(),
                nonce,
                person: phone.person,
                key: phone.key,
                card: card_commitment(&linking.certificate),
            };
            let claimed = statement.clone();
            linking.step = Step::Claimed { at: now, phone: phone.id, statement: claimed };
            Ok((statement, linking.expires))
        })?;
        let options = options::get(&self.config, &statement.challenge(), &phone.credential.id);
        let statement = serde_json::to_value(&statement)
            .map_err(|why| Fault::Misuse(format!("a statement as JSON: {why}")))?;
        Ok(SessionClaimAnswer {
            person_display: phone.display_id,
            statement_type: "link-card".into(),
            statement,
            options,
            card_until: Some(expires),
        })
    }

    /// Whose key a claimed linking is about.
    pub fn card_link_about(&self, ceremony: &str) -> Option<KeyId> {
        let all = self.card_linkings();
        let found = all.get(&ceremony.parse().ok()?)?;
        found.statement().map(|statement| statement.key())
    }

    /// She refuses, or the linking cannot be: nothing of it is left.
    ///
    /// # Errors
    /// `ceremony-unknown`; `ceremony-out-of-step` where she approved already.
    pub fn refuse_card_link(&self, request: &SessionRefuseRequest) -> Result<(), Failed<Refusal>> {
        self.shown_linking(&request.ceremony, &request.secret, |linking| match linking.step {
            Step::Approved { .. } => Err(Refusal::CeremonyOutOfStep("approved already")),
            _ => {
                linking.step = Step::Refused;
                Ok(())
            }
        })
    }

    /// The phone approves; gives the digits that it shows. Nothing is written yet. The same assertion
    /// again is answered the same.
    ///
    /// # Errors
    /// `ceremony-unknown`, `ceremony-expired`, `ceremony-refused`, `ceremony-out-of-step`,
    /// `phone-not-linked`, and whatever `approval` refuses of the assertion.
    pub async fn approve_card_link(
        &self,
        request: &SessionApproveRequest,
        now: Timestamp,
    ) -> Result<String, Failed<Refusal>> {
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let id: CeremonyId =
            request.ceremony.parse().map_err(|_| Failed::Refused(Refusal::CeremonyUnknown))?;
        let response = AssertionResponse::from_json(&request.credential);
        let (phone, statement) = {
            let all = self.card_linkings();
            let found = all.get(&id).ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
            match &found.step {
                Step::Approved { answered, number, .. }
                    if response.as_ref().is_ok_and(|it| answered.approval.proof.is_of(it)) =>
                {
                    return Ok(number.digits.clone());
                }
                Step::Claimed { at, .. } if now.since(*at) > FINISH_S => {
                    return no(Refusal::CeremonyExpired);
                }
                Step::Claimed { phone, statement, .. } => (*phone, statement.clone()),
                Step::Refused => return no(Refusal::CeremonyRefused),
                Step::Waiting => return no(Refusal::CeremonyOutOfStep("not claimed")),
                Step::Approved { .. } => {
                    return no(Refusal::CeremonyOutOfStep("approved already"));
                }
            }
        };
        let response = response.map_err(refused)?;
        let desk = Arc::clone(&self.desk);
        let binding = self.ledger.read(move |tx| BindingRow::live(tx, phone, &desk)).await?;
        let said = Statement::LinkCard(statement);
        let answered = Box::new(self.approved_with(&binding, said, &response, now)?);
        let digits = three_digits(&*self.random);
        let number = Number { digits: digits.clone(), left: NUMBER_TRIES, typed: false };
        let mut all = self.card_linkings();
        let found = all.get_mut(&id).ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
        // She may have refused on another page meanwhile: no means no.
        let Step::Claimed { .. } = found.step else { return no(Refusal::CeremonyRefused) };
        found.step = Step::Approved { at: now, answered, number };
        Ok(digits)
    }

    /// How far it is, for the program that began it; and what both proofs are about.
    ///
    /// # Errors
    /// `ceremony-unknown`
    pub fn card_link_state(
        &self,
        linking: CeremonyId,
        program: &str,
        now: Timestamp,
    ) -> Result<(CeremonyStep, Option<Statement>), Failed<Refusal>> {
        let all = self.card_linkings();
        match all.get(&linking) {
            Some(found) if shows(&found.program, program) => {
                Ok((found.seen(now), found.statement()))
            }
            _ => no(Refusal::CeremonyUnknown),
        }
    }

    /// The certificate of the card that this program would have linked.
    pub fn card_of_link(&self, linking: CeremonyId, program: &str) -> Option<Vec<u8>> {
        let all = self.card_linkings();
        let found = all.get(&linking).filter(|found| shows(&found.program, program))?;
        Some(found.certificate.clone())
    }

    /// The digits and the card's signature arrive: with the phone's answer they link the card, in the
    /// place of the one that was linked before. Taken once; custody is told in the same commit.
    ///
    /// # Errors
    /// `ceremony-unknown`, `ceremony-out-of-step`, `number-wrong`; the third time, or too late,
    /// `place-not-confirmed`; whatever `approval` refuses of the card; `card-already-linked`.
    pub async fn finish_card_link(
        &self,
        linking: CeremonyId,
        program: &str,
        number: &str,
        signature: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let (answered, certificate) = self.taken(linking, program, number, now)?;
        let evidence = CardLinkEvidence {
            approval: answered.approval.clone(),
            card: CardEvidence { means: CardMeans::Jpki, certificate, signature },
            binding: BindingId::random(&*self.random),
            linked: now,
        };
        self.judge_my_number_card(&evidence.card.certificate, now)?;
        let made = check_card_link(&evidence, now).map_err(refused)?;
        self.keep_card_link(evidence, made.not_after(), Some(*answered), now).await
    }

    /// The phone's answer, once the digits are right; it is given out once.
    fn taken(
        &self,
        linking: CeremonyId,
        program: &str,
        typed: &str,
        now: Timestamp,
    ) -> Result<(Box<Answered>, Vec<u8>), Failed<Refusal>> {
        let mut all = self.card_linkings();
        let found = all.get_mut(&linking).filter(|found| shows(&found.program, program));
        let found = found.ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
        let Step::Approved { at, number, .. } = &mut found.step else {
            return no(match found.step {
                Step::Refused => Refusal::CeremonyRefused,
                _ => Refusal::CeremonyOutOfStep("not approved yet"),
            });
        };
        let late = now.since(*at) > FINISH_S;
        let hash = |text: &str| sha256(text.as_bytes());
        if late || !same(&hash(&number.digits), &hash(typed)) {
            number.left = number.left.saturating_sub(1);
            let left = number.left;
            if late || left == 0 {
                found.step = Step::Refused;
                return no(Refusal::PlaceNotConfirmed);
            }
            return no(Refusal::NumberWrong { left });
        }
        match all.remove(&linking) {
            Some(CardLinking { step: Step::Approved { answered, .. }, certificate, .. }) => {
                Ok((answered, certificate))
            }
            _ => no(Refusal::CeremonyUnknown),
        }
    }
}
