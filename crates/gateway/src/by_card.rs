//! 本人認証をカードで: the morning's authentication with an HPKI card or a My Number Card in a reader
//! of this host, and the approval of documents with one.
//!
//! A card shows nothing, so this gateway is its eyes: it computes the challenge from the statement
//! itself and compares every member that it knows with what it asked for, and only then lets the
//! card sign. The token comes as after a phone's approval and goes to the same shelf.

use approval::{SessionStatement, Statement};
use hpki::encoding::Digest32;
use hpki::id::{CeremonyId, PersonId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::Failed;
use serde::de::DeserializeOwned;
use wire::{Base64, CardAnswerAnswer, CardAnswerRequest, CardAskAnswer, CardAskRequest};

use crate::approving::{self, ApprovingState};
use crate::authentication::AuthenticationState;
use crate::carddesk::Entered;
use crate::config::GatewayConfig;
use crate::desk::Gateway;
use crate::evidence;
use crate::names::{StaffId, TerminalId};
use crate::platform::Platform;
use crate::reader::{CardFace, CardRefusal, CardUse, Chosen, choose};
use crate::refusal::Refusal;

/// What was asked of the platform, as far as this gateway knows it by itself.
pub(crate) struct Asked<'a> {
    pub(crate) ceremony: CeremonyId,
    pub(crate) terminal: &'a TerminalId,
    pub(crate) label: &'a str,
    pub(crate) person: Option<PersonId>,
    pub(crate) kinds: &'a [DocumentKind],
}

impl<P: Platform> Gateway<P> {
    /// The card with this use that is in a reader of this host, and the tries its PIN has left.
    ///
    /// Refused: `cards-not-configured`, `card-missing`, `card-several` and what is wrong with it.
    pub async fn card_for(
        &self,
        usage: CardUse,
        reader: Option<&str>,
    ) -> Result<(Chosen, CardFace), Failed<Refusal>> {
        let slots = self.look_at_cards().await?;
        choose(&slots, usage, reader).map_err(|refusal| Failed::Refused(Refusal::Card(refusal)))
    }

    /// Answers a ceremony that this gateway began, with this card: the one whose certificate was
    /// shown. The token goes to the shelf of the staff member for whom it was begun.
    ///
    /// Refused: `card-pin-…`, `card-removed` …, `statement-differs` before the card signs, and what
    /// the platform says of the card.
    pub async fn authenticate_with_card(
        &self,
        staff: &StaffId,
        ceremony: CeremonyId,
        card: &Chosen,
        entered: Entered,
        now: Timestamp,
    ) -> Result<AuthenticationState, Failed<Refusal>> {
        let (staff, terminal) = self.begun(ceremony, staff).await?;
        let answer = self.ask_for_card(ceremony, card, &entered).await?;
        let asked = Asked {
            ceremony,
            terminal: &terminal,
            label: self.config.terminal(&terminal).unwrap_or_default(),
            person: self.shelf.expected(staff).await?,
            kinds: &staff.kinds,
        };
        let challenge = challenge(&self.config, &asked, &answer).map_err(Failed::Refused)?;
        self.answer_by_card(ceremony, card, entered, &challenge).await?;
        self.authentication_state(&staff.id, ceremony, now).await
    }

    /// Approves the documents of this ceremony with this card instead of the phone, and has them
    /// signed: the same statement, compared with what this gateway computed from its own documents
    /// before the card signs.
    ///
    /// Refused: as above; `card-revoked`, `card-issuer-unknown`, `card-status-unknown` … where this
    /// gateway itself would not believe the evidence that this card leaves.
    pub async fn approve_with_card(
        &self,
        staff: &StaffId,
        ceremony: CeremonyId,
        card: &Chosen,
        entered: Entered,
        now: Timestamp,
    ) -> Result<ApprovingState, Failed<Refusal>> {
        let staff = self.staff(staff)?;
        let asked = self.asked_of(staff, ceremony).await?;
        if card.usage == CardUse::Authentication {
            let crls = self.crls();
            let crls = crls.as_deref().map(Vec::as_slice);
            evidence::judge_card(&self.config, &card.certificate, crls, now)
                .map_err(|refusal| Failed::Refused(Refusal::CardEvidence(refusal)))?;
        }
        let answer = self.ask_for_card(ceremony, card, &entered).await?;
        let challenge = self.documents_challenge(&asked, &answer).map_err(Failed::Refused)?;
        self.answer_by_card(ceremony, card, entered, &challenge).await?;
        self.approval(&staff.id, ceremony, now).await
    }

    /// Tells the platform which card is here. What cannot be right is not sent; neither is the
    /// certificate of a card without a PIN.
    async fn ask_for_card(
        &self,
        ceremony: CeremonyId,
        card: &Chosen,
        entered: &Entered,
    ) -> Result<CardAskAnswer, Failed<Refusal>> {
        let (now_there, face) = self.card_for(card.usage, Some(&card.reader)).await?;
        if now_there != *card {
            return Err(Failed::Refused(Refusal::Card(CardRefusal::Changed)));
        }
        entered
            .pin
            .may_be_sent(face.pin, face.tries, entered.last)
            .map_err(|refusal| Failed::Refused(Refusal::Card(refusal)))?;
        let means = match card.usage {
            CardUse::Jpki => "jpki",
            CardUse::Authentication | CardUse::Signing => "hpki",
        };
        let path = wire::path::CEREMONY_CARD.replace("{ceremony}", &ceremony.to_string());
        let request = CardAskRequest {
            means: means.to_owned(),
            certificate: Base64(card.certificate.der().to_vec()),
        };
        self.post(path, &request).await
    }

    /// Has the card sign, and hands its signature in.
    async fn answer_by_card(
        &self,
        ceremony: CeremonyId,
        card: &Chosen,
        entered: Entered,
        challenge: &Digest32,
    ) -> Result<(), Failed<Refusal>> {
        let signature = self
            .card_desk()?
            .host
            .answer(card, entered, challenge)
            .await
            .map_err(|refusal| Failed::Refused(Refusal::Card(refusal)))?;
        let path = wire::path::CEREMONY_CARD_ANSWER.replace("{ceremony}", &ceremony.to_string());
        let request = CardAnswerRequest { signature: Base64(signature) };
        let _: CardAnswerAnswer = self.post(path, &request).await?;
        Ok(())
    }

    /// The challenge behind a statement that names these documents, and nothing else.
    fn documents_challenge(
        &self,
        asked: &approving::Asked,
        answer: &CardAskAnswer,
    ) -> Result<Digest32, Refusal> {
        if answer.statement_type != "documents" {
            return Err(Refusal::StatementDiffers("type"));
        }
        let own = Statement::Documents(self.judge(asked, &answer.statement)?).challenge();
        same(answer, own)
    }
}

/// The challenge behind a statement that says what was asked, and nothing else.
pub(crate) fn challenge(
    config: &GatewayConfig,
    asked: &Asked<'_>,
    answer: &CardAskAnswer,
) -> Result<Digest32, Refusal> {
    let statement: SessionStatement = statement(answer)?;
    let mut kinds = statement.kinds.clone();
    kinds.sort_unstable_by_key(|kind| kind.name());
    let mut wanted = asked.kinds.to_vec();
    wanted.sort_unstable_by_key(|kind| kind.name());
    let allowed = statement.not_after.since(statement.not_before);
    let differs = [
        (statement.ceremony != asked.ceremony, "ceremony"),
        (statement.facility_id != config.facility, "facility"),
        (statement.x5t_s256 != config.x5t, "certificate"),
        (statement.terminal_id != asked.terminal.as_str(), "terminal"),
        (statement.terminal_label != asked.label, "terminal"),
        (asked.person.is_some_and(|person| person != statement.person), "person"),
        (kinds != wanted, "kinds"),
        (u64::from(statement.max_count) > config.count, "count"),
        (allowed > config.hours * 3600, "time"),
    ];
    if let Some((_, what)) = differs.iter().find(|(differs, _)| *differs) {
        return Err(Refusal::StatementDiffers(what));
    }
    same(answer, statement.challenge())
}

/// Our own challenge, if the platform has the same.
fn same(answer: &CardAskAnswer, own: Digest32) -> Result<Digest32, Refusal> {
    if answer.challenge.0 == own { Ok(own) } else { Err(Refusal::StatementDiffers("challenge")) }
}

fn statement<T: DeserializeOwned>(answer: &CardAskAnswer) -> Result<T, Refusal> {
    if answer.statement_type != "session" {
        return Err(Refusal::StatementDiffers("type"));
    }
    serde_json::from_value(answer.statement.clone())
        .map_err(|error| Refusal::AnswerMalformed(error.to_string()))
}
