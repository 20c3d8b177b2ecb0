//! A card proves who is there: the certification authority's books say whose HPKI card it is,
//! authentication judges its chain and keeps its answer, custody judges it again and opens the
//! budget. Values are carried across; nothing is decided here.
//!
//! Between the question and the answer the card may be revoked, so the books are asked twice.

use std::sync::Arc;
use std::time::Duration;

use approval::{CardEvidence, CardMeans, CardTrust};
use authn::Card;
use ca::{Authority, Facility, Revocation};
use hpki::Crl;
use hpki::id::CeremonyId;
use hpki::oid;
use hpki::path::Anchor;
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::{Failed, Fault};
use wire::{Base64, CardAskAnswer, CardAskRequest};

use crate::config::jpki::{JpkiConfig, ListAt};
use crate::http::client::Client;
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

/// The policy of user authentication certificates (JPKI).
const JPKI_AUTHENTICATION: oid::ObjectIdentifier =
    oid::ObjectIdentifier::new_unwrap("1.2.392.200149.8.5.1.3.30");
/// So long a list is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// No list is longer.
const LIST_MAX: u64 = 64 * 1024 * 1024;

/// Fetches the list of My Number Cards' authority, and hands both in. What was fetched before stays
/// where that fails, and is believed as long as it is young enough.
pub(crate) async fn refresh_jpki(platform: &Platform) {
    let Some(config) = &platform.config.jpki else { return };
    let list = match fetch(&config.list)
        .await
        .and_then(|octets| Crl::from_pem_or_der(&octets).map_err(|refusal| refusal.to_string()))
    {
        Ok(list) => list,
        Err(why) => {
            tracing::warn!(%why, "マイナンバーカードの失効リストを取れません (the list of My Number Cards could not be fetched)");
            return;
        }
    };
    platform.authn.trust_my_number_cards(Arc::new(believed(config, vec![list])));
}

/// Before the first list was fetched the authority is known, and no card's status.
pub(crate) fn begin_jpki(platform: &Platform) {
    if let Some(config) = &platform.config.jpki {
        platform.authn.trust_my_number_cards(Arc::new(believed(config, Vec::new())));
    }
}

fn believed(config: &JpkiConfig, lists: Vec<Crl>) -> CardTrust {
    CardTrust {
        anchors: vec![Anchor { certificate: config.authority.clone() }],
        lists,
        policies: vec![JPKI_AUTHENTICATION],
        oldest_list_s: config.list_s,
        ..CardTrust::default()
    }
}

async fn fetch(list: &ListAt) -> Result<Vec<u8>, String> {
    match list {
        ListAt::File(file) => {
            let facts =
                std::fs::metadata(file).map_err(|why| format!("{}: {why}", file.display()))?;
            if facts.len() > LIST_MAX {
                return Err(format!("{}: {} octets", file.display(), facts.len()));
            }
            std::fs::read(file).map_err(|why| format!("{}: {why}", file.display()))
        }
        ListAt::Http(base, path) => {
            let client = Client::new(base, None, PATIENCE).map_err(|why| why.to_string())?;
            let answer =
                client.send("GET", path, None, None).await.map_err(|why| why.to_string())?;
            match answer.status {
                200 => Ok(answer.body.to_vec()),
                other => Err(format!("{base}{path}: {other}")),
            }
        }
    }
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
        CardMeans::Jpki => Ok(platform.authn.my_number_card(certificate, now).await?),
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
