//! The holder of a card acts at home: authentication judges her card and asks, the books of the
//! certification authority say whose it is, custody judges again what stops or starts her key.

use approval::Statement;
use authn::{HomeAct, HomeDone};
use custody::KeyState;
use hpki::id::CeremonyId;
use hpki::time::Timestamp;
use wire::{
    Base64, CardActName, CardBeginAnswer, CardBeginRequest, CardFinishAnswer, CardFinishRequest,
};

use super::by_card::{known, means};
use crate::http::problem::Trouble;
use crate::platform::Platform;

/// A page that a card opened can be taken to a browser for so long.
const TICKET_S: u64 = 60;

/// What the card is asked to sign.
pub(crate) async fn begin(
    platform: &Platform,
    request: CardBeginRequest,
    now: Timestamp,
) -> Result<CardBeginAnswer, Trouble> {
    let card = known(platform, means(&request.means)?, request.certificate.0, now).await?;
    let act = match (request.act, request.card) {
        (CardActName::LinkJpki, Some(second)) => HomeAct::LinkCard(second.0),
        (CardActName::LinkJpki, None) => {
            return Err(Trouble::refused("request-malformed", "card is missing"));
        }
        (_, Some(_)) => {
            return Err(Trouble::refused("request-malformed", "card is for link-jpki only"));
        }
        (CardActName::Signin, None) => HomeAct::Signin,
        (CardActName::Loss, None) => HomeAct::Loss,
        (CardActName::Stop, None) => HomeAct::Stop,
        (CardActName::Restart, None) => HomeAct::Restart,
        (CardActName::Sheet, None) => HomeAct::Sheet,
        (CardActName::UnlinkJpki, None) => HomeAct::UnlinkCard,
    };
    if matches!(act, HomeAct::Sheet | HomeAct::LinkCard(_)) {
        // A stopped key is linked to nothing, so it is said now.
        let facts = platform.custody.key(card.key).await?;
        if facts.state != KeyState::Held {
            return Err(Trouble::refused("key-suspended", "the key is stopped; start it first"));
        }
    }
    if let HomeAct::LinkCard(second) = &act {
        super::card_status::ask(platform, second, now).await;
    }
    let asked = platform.authn.ask_at_home(card, act, now).await?;
    Ok(CardBeginAnswer {
        visit: asked.visit.to_string(),
        statement: asked.statement,
        challenge: Base64(asked.challenge.to_vec()),
        until: asked.until,
    })
}

/// The card has answered. "Done" is said after every room has heard, or, where a message waits, the
/// key signs nothing until it was delivered.
pub(crate) async fn finish(
    platform: &Platform,
    request: CardFinishRequest,
    now: Timestamp,
) -> Result<CardFinishAnswer, Trouble> {
    let unknown = || Trouble::refused("question-unknown", "no such question");
    let visit: CeremonyId = request.visit.parse().map_err(|_| unknown())?;
    let card = platform.authn.card_at_home(visit, now)?;
    if known(platform, card.means, card.certificate.clone(), now).await? != card {
        return Err(unknown());
    }
    let second = request.card_signature.map(|signature| signature.0);
    let done = platform.authn.answer_at_home(visit, request.signature.0, second, now).await?;
    let mut answer = CardFinishAnswer { done: true, url: None, until: None };
    match done {
        HomeDone::SignedIn { ticket } => {
            answer.url = Some(format!("{}/me#c.{ticket}", platform.config.url));
            answer.until = Some(now.plus(TICKET_S));
        }
        HomeDone::ForCustody(approval) => {
            match &approval.statement {
                Statement::Restart(_) => platform.custody.restart_by_owner(&approval, now).await?,
                _ => platform.custody.stop_by_owner(&approval, now).await?,
            }
            super::deliver::soon(platform, now).await;
        }
        HomeDone::Done(_) => super::deliver::soon(platform, now).await,
        HomeDone::Sheet(_, sheet) => {
            super::deliver::soon(platform, now).await;
            answer.url = Some(sheet.url);
            answer.until = Some(sheet.expires);
        }
    }
    Ok(answer)
}
