//! A My Number Card is linked by phone: authentication asks and judges both; custody, which hears of it
//! by a message, judges both again.

use authn::Refusal;
use custody::KeyState;
use hpki::id::CeremonyId;
use hpki::time::Timestamp;
use ledger::Failed;
use wire::{
    Base64, CardLinkBeginAnswer, CardLinkBeginRequest, CardLinkFinishRequest, CardLinkStateAnswer,
    CardLinkStateRequest, DoneAnswer, SessionClaimAnswer, SessionClaimRequest,
    SessionRefuseRequest,
};

use super::card_status;
use crate::http::problem::Trouble;
use crate::platform::Platform;

fn id(linking: &str) -> Result<CeremonyId, Trouble> {
    linking.parse().map_err(|_| Failed::Refused(Refusal::CeremonyUnknown).into())
}

/// The card is in the reader of a computer.
pub(crate) async fn begin(
    platform: &Platform,
    request: CardLinkBeginRequest,
    now: Timestamp,
) -> Result<CardLinkBeginAnswer, Trouble> {
    card_status::ask(platform, &request.certificate.0, now).await;
    let begun = platform.authn.begin_card_link(request.certificate.0, now).await?;
    Ok(CardLinkBeginAnswer {
        linking: begun.linking.to_string(),
        secret: begun.secret,
        qr: begun.qr,
        until: begun.until,
    })
}

/// A phone has scanned the QR code. A stopped key is linked to nothing, so it is said now.
pub(crate) async fn claim(
    platform: &Platform,
    request: &SessionClaimRequest,
    device: Option<&str>,
    now: Timestamp,
) -> Result<SessionClaimAnswer, Trouble> {
    let answer = platform.authn.claim_card_link(request, device, now).await?;
    if let Some(key) = platform.authn.card_link_about(&request.ceremony)
        && platform.custody.key(key).await?.state != KeyState::Held
    {
        let (ceremony, secret) = (request.ceremony.clone(), request.secret.clone());
        platform.authn.refuse_card_link(&SessionRefuseRequest { ceremony, secret })?;
        return Err(Trouble::refused("key-suspended", "the key is stopped; start it first"));
    }
    Ok(answer)
}

/// How far it is, for the program.
pub(crate) fn state(
    platform: &Platform,
    request: &CardLinkStateRequest,
    now: Timestamp,
) -> Result<CardLinkStateAnswer, Trouble> {
    let linking = id(&request.linking)?;
    let (state, said) = platform.authn.card_link_state(linking, &request.secret, now)?;
    let statement = said.as_ref().map(serde_json::to_value).transpose();
    Ok(CardLinkStateAnswer {
        state,
        statement: statement.map_err(|error| Trouble::fault(&error))?,
        challenge: said.map(|statement| Base64(statement.challenge().to_vec())),
    })
}

/// The digits, and the card's signature.
pub(crate) async fn finish(
    platform: &Platform,
    request: CardLinkFinishRequest,
    now: Timestamp,
) -> Result<DoneAnswer, Trouble> {
    let (linking, signature) = (id(&request.linking)?, request.signature.0);
    let authn = &platform.authn;
    if let Some(card) = authn.card_of_link(linking, &request.secret) {
        card_status::ask(platform, &card, now).await;
    }
    authn.finish_card_link(linking, &request.secret, &request.number, signature, now).await?;
    super::deliver::soon(platform, now).await;
    Ok(DoneAnswer { done: true })
}
