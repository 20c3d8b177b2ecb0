//! A card proves who is there: the certification authority's books say whose HPKI card it is,
//! authentication judges its chain and keeps its answer, custody judges it again and opens the
//! budget. Values are carried across; nothing is decided here.
//!
//! Between the question and the answer the card may be revoked, so the books are asked twice.

use std::sync::Arc;

use approval::{CardEvidence, CardMeans, CardTrust};
use authn::Card;
use ca::{Authority, Facility, Revocation};
use hpki::id::CeremonyId;
use hpki::oid;
use hpki::path::Anchor;
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::{Failed, Fault};
use wire::{Base64, CardAskAnswer, CardAskRequest};

use super::card_status;
use crate::http::problem::Trouble;
use crate::platform::Platform;

/// The lists promise their successors within 96 hours and are issued anew each day: older than two
/// days they are not believed about cards.
const OLDEST_LIST_S: u64 = 2 * 86_400;

/// Hands authorities and lists, as they are now in the books, to the rooms that judge cards.
pub(crate) async fn refresh_trust(platform: &Platform) -> Result<(), Trouble> {
    let mut trust = CardTrust {
        policies: vec![oid::POLICY_AUTHENTICATION],
        oldest_list_s: OLDEST_LIST_S,
        ..CardTrust::default()
    };
    for (authority, certificate) in platform.ca.authorities().await? {
        match authority {
            Authority::Root => trust.anchors.push(Anchor { certificate }),
            Authority::Authentication(_) => trust.intermediates.push(certificate),
            Authority::Signing(_) | Authority::Facility => {}
        }
    }
    trust.lists = platform.ca.lists().await?.into_iter().map(|(_, list)| list).collect();
    let trust = Arc::new(trust);
    platform.authn.trust_cards(Arc::clone(&trust));
    platform.custody.trust_cards(trust);
    Ok(())
}

/// The means of a request.
pub(crate) fn means(name: &str) -> Result<CardMeans, Trouble> {
    match name {
        "hpki" => Ok(CardMeans::Hpki),
        "jpki" => Ok(CardMeans::Jpki),
        _ => Err(Trouble::refused("request-malformed", "means is hpki or jpki")),
    }
}

/// Whose card it is, judged now.
pub(crate) async fn known(
    platform: &Platform,
    means: CardMeans,
    certificate: Vec<u8>,
    now: Timestamp,
) -> Result<Card, Trouble> {
    match means {
        CardMeans::Hpki => {
            let read = platform.authn.judge_hpki(&certificate, now)?;
            let holder = platform.ca.card_holder(&read).await?;
            let binding = CardEvidence::own_binding(&certificate);
            Ok(Card { means, certificate, binding, person: holder.person, key: holder.key })
        }
        CardMeans::Jpki => {
            card_status::ask(platform, &certificate, now).await;
            let found = platform.authn.my_number_card(certificate.clone(), now).await;
            if matches!(&found, Err(Failed::Refused(refusal)) if refusal.code() == "card-revoked") {
                super::card_look::at_use(platform, &certificate, now).await;
            }
            Ok(found?)
        }
    }
}

/// A card came into the reader of the terminal that began this ceremony.
pub(crate) async fn ask(
    platform: &Platform,
    facility: &Facility,
    ceremony: CeremonyId,
    request: CardAskRequest,
    now: Timestamp,
) -> Result<CardAskAnswer, Trouble> {
    let card = known(platform, means(&request.means)?, request.certificate.0, now).await?;
    let asked = platform.authn.ask_card(ceremony, facility.x5t, card, now).await?;
    let (statement_type, statement) = asked.shown().map_err(|fault| Trouble::fault(&fault))?;
    Ok(CardAskAnswer {
        statement_type: statement_type.to_owned(),
        statement,
        challenge: Base64(asked.statement.challenge().to_vec()),
        until: asked.until,
    })
}

/// The card has answered. Its budget is opened at once; if that fails now, each poll goes on with it.
pub(crate) async fn answer(
    platform: &Platform,
    facility: &Facility,
    ceremony: CeremonyId,
    signature: Vec<u8>,
    now: Timestamp,
) -> Result<(), Trouble> {
    match platform.authn.asked_card(ceremony, facility.x5t, now) {
        Ok(card) => {
            if known(platform, card.means, card.certificate.clone(), now).await? != card {
                return Err(Trouble::fault(&Fault::Misuse("a card changed its holder".into())));
            }
        }
        // It answered before, and its answer was lost: the same signature is answered the same.
        Err(Failed::Refused(refusal)) if refusal.code() == "ceremony-out-of-step" => {}
        Err(failed) => return Err(failed.into()),
    }
    platform.authn.answer_card(ceremony, facility.x5t, signature, now).await?;
    super::open_session::open(platform, ceremony, now).await
}

/// A card's authentication certificate was revoked: it proves nothing any more, and what it allowed
/// ends.
pub(crate) async fn revoked(
    platform: &Platform,
    revocation: &Revocation,
    now: Timestamp,
) -> Result<(), Trouble> {
    let Ok(authority @ Authority::Authentication(_)) = revocation.authority.parse() else {
        return Ok(());
    };
    let serial = hex::decode(&revocation.serial)
        .map_err(|_| Trouble::fault(&Fault::Row("a revoked serial number".into())))?;
    let certificate = platform.ca.certificate(authority, &serial).await?;
    let card = CardEvidence::own_binding(certificate.der());
    platform.custody.end_hpki_card(card, revocation.card_for, now).await?;
    if let Some(key) = revocation.card_for {
        platform.authn.end_card_sessions(key, card, now).await?;
    }
    Ok(())
}
