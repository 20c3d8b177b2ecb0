//! A login elsewhere, across the rooms: authentication asks and judges the person, the authority says
//! what her certificate says of her, custody whether it is still in force.

use authn::Place;
use authn::provider::{AccessFacts, Claimed, Client, Redeemed, Scope, Showing, Spent, Wrong};
use custody::{KeyState, StopReason};
use hpki::id::KeyId;
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::{Failed, Fault};
use serde_json::{Value, json};
use wire::{
    CeremonyStep, SessionApproveAnswer, SessionApproveRequest, SessionClaimAnswer,
    SessionClaimRequest, SessionRefuseRequest,
};

use super::open_session;
use crate::http::problem::Trouble;
use crate::platform::Platform;

/// A phone claims a QR code: a terminal's, that of a login, or of a card that is to be linked.
pub(crate) async fn claim(
    platform: &Platform,
    request: &SessionClaimRequest,
    device: Option<&str>,
    browser: Option<&str>,
    now: Timestamp,
) -> Result<SessionClaimAnswer, Trouble> {
    if platform.authn.is_card_link(&request.ceremony) {
        return super::link_card::claim(platform, request, device, now).await;
    }
    if !platform.authn.is_login(&request.ceremony).await? {
        return Ok(platform.authn.claim(request, device, now).await?);
    }
    let answer = platform.authn.claim_login(request, device, browser, now).await?;
    // Before she is asked anything: what her authority did not switch on is not told to anybody.
    let (key, scopes) = platform.authn.login_about(&request.ceremony).await?;
    match about(platform, key, &scopes, now).await? {
        Ok(_) => Ok(answer),
        Err(wrong) => {
            platform.authn.deny_login(&request.ceremony, wrong).await?;
            Err(Trouble::refused(wrong.code(), wrong.to_string()))
        }
    }
}

/// The phone's approval arrives.
pub(crate) async fn approve(
    platform: &Platform,
    request: &SessionApproveRequest,
    now: Timestamp,
) -> Result<SessionApproveAnswer, Trouble> {
    if platform.authn.is_card_link(&request.ceremony) {
        let number = platform.authn.approve_card_link(request, now).await?;
        return Ok(SessionApproveAnswer { approved: true, number: Some(number), back: None });
    }
    if !platform.authn.is_login(&request.ceremony).await? {
        return open_session::approve(platform, request, now).await;
    }
    let done = platform.authn.approve_login(request, now).await?;
    Ok(SessionApproveAnswer { approved: true, number: done.number, back: done.back })
}

/// The owner refuses.
pub(crate) async fn refuse(
    platform: &Platform,
    request: &SessionRefuseRequest,
    now: Timestamp,
) -> Result<(), Trouble> {
    if platform.authn.is_card_link(&request.ceremony) {
        return Ok(platform.authn.refuse_card_link(request)?);
    }
    match platform.authn.is_login(&request.ceremony).await? {
        true => platform.authn.refuse_login(request, now).await?,
        false => platform.authn.refuse(request, now).await?,
    }
    Ok(())
}

/// What a service is told of the owner of a key, by scope; or why it is told nothing.
pub(super) async fn about(
    platform: &Platform,
    key: KeyId,
    scopes: &[Scope],
    now: Timestamp,
) -> Result<Result<Claimed, Wrong>, Trouble> {
    let odd = || Trouble::fault(&Fault::Row(format!("no certificate of the kept key {key}")));
    let (authority, certificate) = platform.ca.certificate_of_key(key).await?.ok_or_else(odd)?;
    let facts = platform.custody.key(key).await?;
    // What she or a self-check stopped is signing; the desk and a revocation speak of the person.
    let of_the_person = [StopReason::Revoked, StopReason::Desk];
    let stopped = facts.stops.iter().any(|stop| of_the_person.contains(stop));
    if now > certificate.not_after() || stopped || facts.state == KeyState::Destroyed {
        return Ok(Err(Wrong::CertificateEnded));
    }
    let mut said = Claimed::new();
    let mut say = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            said.insert(name.to_owned(), json!(value));
        }
    };
    if scopes.contains(&Scope::Profile) {
        say("name", certificate.common_name());
        say("name#ja", certificate.name_ja());
    }
    let qualified =
        scopes.iter().any(|s| matches!(s, Scope::Qualification | Scope::RegistrationNumber));
    if qualified && !platform.config.qualification_logins.contains(&authority) {
        return Ok(Err(Wrong::AuthorityOff));
    }
    if scopes.contains(&Scope::Qualification) {
        say("qualification", facts.qualification.role());
        say("qualification#ja", Some(facts.qualification.ja()));
        say("qualification_authority", Some(authority.name()));
    }
    if scopes.contains(&Scope::RegistrationNumber) {
        say("registration_number", certificate.subject_serial_number());
    }
    Ok(Ok(said))
}

fn refused(wrong: Wrong) -> Trouble {
    Trouble::refused(wrong.code(), wrong.to_string())
}

/// A code is exchanged: for who logged in, or for the token of a signing session.
pub(crate) async fn redeem(
    platform: &Platform,
    client: &Client,
    showing: Showing<'_>,
    now: Timestamp,
) -> Result<Value, Trouble> {
    let x5t = showing.x5t;
    let redeemed = platform.authn.redeem(client, showing, now).await;
    if let Err(Failed::Refused(authn::Refusal::Provider(Wrong::CodeReplayed))) = &redeemed {
        // What was made from it is ended already; custody hears of a session now, not in a second.
        super::deliver::all(platform, now).await?;
    }
    let spent = redeemed?;
    match *spent.redeemed() {
        Redeemed::Login { key, .. } => {
            let said = about(platform, key, spent.scopes(), now).await?.map_err(refused)?;
            let issued = platform.authn.issue(spent, &said, x5t, now).await?;
            Ok(json!({
                "access_token": issued.access_token, "token_type": "Bearer",
                "expires_in": issued.expires_in, "scope": issued.scope,
                "id_token": issued.id_token,
            }))
        }
        Redeemed::Session { ceremony, x5t } => session(platform, spent, ceremony, x5t, now).await,
    }
}

async fn session(
    platform: &Platform,
    spent: Spent,
    ceremony: hpki::id::CeremonyId,
    x5t: hpki::encoding::Digest32,
    now: Timestamp,
) -> Result<Value, Trouble> {
    let state = open_session::state(platform, ceremony, x5t, now).await?;
    let (CeremonyStep::Released, Some(token)) = (state.state, state.token) else {
        return Err(Trouble::refused("ceremony-out-of-step", "the token is not there"));
    };
    let made = platform.authn.made_from(&spent, &token.token, now).await;
    if made.is_err() {
        super::deliver::all(platform, now).await?;
    }
    made?;
    let mut answer = json!({
        "access_token": token.token, "token_type": "Bearer",
        "expires_in": token.until.since(now),
        "scope": spent.scopes().iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" "),
        // What was allowed indeed (RFC 9396 §7).
        "authorization_details": [{
            "type": authn::provider::request::SIGN_DETAILS,
            "kinds": token.kinds, "count": token.count, "person": token.person, "key": token.key,
        }],
    });
    if spent.scopes().contains(&Scope::OpenId) {
        let id_token = platform.authn.session_id_token(&spent, &token.token, now).await?;
        answer["id_token"] = json!(id_token);
    }
    Ok(answer)
}

/// What userinfo answers.
pub(crate) async fn userinfo(
    platform: &Platform,
    facts: &AccessFacts,
    now: Timestamp,
) -> Result<Value, Trouble> {
    let client = platform.authn.registry().find(&facts.client).map_err(refused)?;
    let mut said = about(platform, facts.key, &facts.scopes, now).await?.map_err(refused)?;
    let sub = platform.authn.pairwise(&client.sector, facts.person)?;
    said.insert("sub".into(), json!(sub));
    Ok(Value::Object(said))
}

/// What a facility is told of a signing session's token, over the certificate that it is bound to.
pub(crate) async fn session_facts(
    platform: &Platform,
    token: &str,
    place: &Place,
    now: Timestamp,
) -> Result<Option<Value>, Trouble> {
    let session = match platform.authn.session_of(token).await {
        Ok(session) => session,
        Err(Failed::Refused(_)) => return Ok(None),
        Err(failed) => return Err(failed.into()),
    };
    let bound = session.x5t == place.x5t && session.facility == place.facility;
    if !bound || !session.is_live(now) {
        return Ok(None);
    }
    // What custody has ended signs nothing, whatever authentication has heard.
    let Some(left) = platform.custody.left(session.budget).await? else { return Ok(None) };
    Ok(Some(json!({
        "active": true, "token_type": "Bearer", "scope": "sign",
        "client_id": session.facility, "sub": session.person, "iss": platform.config.url,
        "aud": format!("{}/v1/signatures", platform.config.url),
        "iat": session.auth_time, "exp": session.until, "auth_time": session.auth_time,
        "jti": session.id, "cnf": wire::token::Confirmation::of(&place.x5t),
        "authorization_details": [{
            "type": authn::provider::request::SIGN_DETAILS,
            "kinds": session.kinds, "count": session.count, "left": left,
        }],
    })))
}

/// A facility ends a signing session's token. One that is not this certificate's is like none.
pub(crate) async fn revoke_session(
    platform: &Platform,
    token: &str,
    place: &Place,
    now: Timestamp,
) -> Result<(), Trouble> {
    let session = match platform.authn.session_of(token).await {
        Ok(session) if session.x5t == place.x5t => session,
        Ok(_) | Err(Failed::Refused(_)) => return Ok(()),
        Err(failed) => return Err(failed.into()),
    };
    match platform.custody.end_budget(session.budget, now).await {
        Ok(()) => {}
        Err(Failed::Refused(refusal)) if refusal.code() == "budget-unknown" => {}
        Err(failed) => return Err(failed.into()),
    }
    platform.authn.end_session(session.id, now).await?;
    Ok(())
}
