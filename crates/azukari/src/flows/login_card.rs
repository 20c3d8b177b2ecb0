//! A login elsewhere, approved by card: the books say whose card it is, authentication asks and judges
//! it; what her authority did not switch on is not told to anybody.

use approval::Statement;
use hpki::id::CeremonyId;
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use wire::{Base64, CardApproveAnswer, CardApproveRequest, CardAskAnswer, CardClaimRequest};

use super::by_card::{known, means};
use super::login::about;
use crate::http::problem::Trouble;
use crate::platform::Platform;

fn id(ceremony: &str) -> Result<CeremonyId, Trouble> {
    ceremony.parse().map_err(|_| Trouble::refused("ceremony-unknown", "no such ceremony"))
}

/// A card claims a login, or the signing session behind one: what it is asked to sign.
pub(crate) async fn claim(
    platform: &Platform,
    request: CardClaimRequest,
    now: Timestamp,
) -> Result<CardAskAnswer, Trouble> {
    let card = known(platform, means(&request.means)?, request.certificate.0, now).await?;
    let (ceremony, secret) = (request.ceremony, request.secret);
    if !platform.authn.is_login(&ceremony).await? {
        let asked = platform.authn.claim_by_card(id(&ceremony)?, &secret, card, now).await?;
        let (statement_type, statement) = asked.shown().map_err(|fault| Trouble::fault(&fault))?;
        return Ok(CardAskAnswer {
            statement_type: statement_type.to_owned(),
            statement,
            challenge: Base64(asked.statement.challenge().to_vec()),
            until: asked.until,
        });
    }
    let said = platform.authn.claim_login_by_card(&ceremony, &secret, &card, now).await?;
    let (key, scopes) = platform.authn.login_about(&ceremony).await?;
    if let Err(wrong) = about(platform, key, &scopes, now).await? {
        platform.authn.deny_login(&ceremony, wrong).await?;
        return Err(Trouble::refused(wrong.code(), wrong.to_string()));
    }
    let until = said.not_after;
    Ok(CardAskAnswer {
        statement_type: "login".to_owned(),
        statement: serde_json::to_value(&said).map_err(|error| Trouble::fault(&error))?,
        challenge: Base64(Statement::Login(said).challenge().to_vec()),
        until,
    })
}

/// The card has signed. The digits go to the browser that logs in.
pub(crate) async fn approve(
    platform: &Platform,
    request: CardApproveRequest,
    now: Timestamp,
) -> Result<CardApproveAnswer, Trouble> {
    let card = known(platform, means(&request.means)?, request.certificate.0, now).await?;
    let (ceremony, secret, signature) = (request.ceremony, request.secret, request.signature.0);
    let authn = &platform.authn;
    let number = if authn.is_login(&ceremony).await? {
        authn.approve_login_by_card(&ceremony, &secret, &card, signature, now).await?
    } else {
        let approved =
            authn.approve_by_card(id(&ceremony)?, &secret, &card, signature, now).await?;
        approved.number.unwrap_or_default()
    };
    Ok(CardApproveAnswer { approved: true, number })
}
