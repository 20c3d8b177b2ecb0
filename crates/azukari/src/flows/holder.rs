//! What the owner's page shows and does, across the rooms: who she is says authentication, what her
//! key may do says custody, what her certificate says the authority.

use std::collections::HashMap;

use approval::Statement;
use authn::{OwnersAct, Visit};
use custody::{KeyState, StopReason};
use hpki::id::{KeyId, TokenId};
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::tlog::Proof;
use ledger::{Failed, Fault, LeafOpening, Record};
use wire::LinkedCardStanding;
use wire::token::base64url_encode;
use wire::{
    Base64, CardCheckAnswer, CardFace, HolderEntry, HolderHistory, HolderNotice, HolderSession,
    HolderState, KeyStanding, OwnerActRequest, OwnerAskAnswer, OwnersActName, PhoneStanding,
};

use crate::http::problem::Trouble;
use crate::platform::Platform;

/// How many entries of her history are shown at once.
const PAGE: u64 = 50;

/// Everything that her page shows but the history.
pub(crate) async fn state(
    platform: &Platform,
    visit: &Visit,
    csrf: String,
    now: Timestamp,
) -> Result<HolderState, Trouble> {
    let (card, key) = card(platform, visit.key(), visit.display_id()).await?;
    let mut sessions = Vec::new();
    for session in platform.authn.sessions(visit.person()).await? {
        if !session.is_live(now) || session.key != visit.key() {
            continue;
        }
        // What custody has ended, by a stop say, signs nothing, whatever authentication has heard.
        let Some(left) = platform.custody.left(session.budget).await? else { continue };
        let left = u64::from(left);
        sessions.push(HolderSession {
            session: session.id,
            facility: session.facility_name,
            terminal: session.terminal,
            means: session.means.name().to_owned(),
            kinds: session.kinds,
            since: session.auth_time,
            until: session.until,
            made: session.count.saturating_sub(left),
            count: session.count,
        });
    }
    let notices = platform.authn.notices(visit.key()).await?;
    let agreed = platform.authn.terms_agreed(visit.key()).await?;
    Ok(HolderState {
        csrf,
        now,
        until: visit.until,
        card,
        key,
        means: visit.means.name().to_owned(),
        phone: platform.authn.phone_of_key(visit.key()).await?.map(|phone| PhoneStanding {
            label: phone.label,
            linked: phone.linked,
            terms: agreed.map(|(hash, _)| base64url_encode(&hash)),
        }),
        my_number_card: platform
            .authn
            .linked_card(visit.key())
            .await?
            .map(|card| LinkedCardStanding { linked: card.linked, expires: card.expires }),
        sessions,
        notices: notices
            .into_iter()
            .map(|notice| HolderNotice {
                number: notice.number,
                at: notice.at,
                kind: notice.kind.name().to_owned(),
                detail: notice.detail,
                seen: notice.seen,
            })
            .collect(),
    })
}

/// The face of a card, and how its key stands.
async fn card(
    platform: &Platform,
    key: KeyId,
    display_id: &str,
) -> Result<(CardFace, KeyStanding), Trouble> {
    let odd = || Trouble::fault(&Fault::Row(format!("no certificate of the kept key {key}")));
    let (authority, certificate) = platform.ca.certificate_of_key(key).await?.ok_or_else(odd)?;
    let facts = platform.custody.key(key).await?;
    let filed = platform.ca.face_of(key).await?;
    let name_ja = filed.as_ref().map(|filed| filed.name.as_str());
    let face = CardFace {
        display_id: display_id.to_owned(),
        name: certificate.common_name().unwrap_or_default().to_owned(),
        // What was certified comes before what was filed.
        name_ja: certificate.name_ja().or(name_ja).map(ToOwned::to_owned),
        qualification: facts.qualification.ja().to_owned(),
        qualification_en: facts.qualification.role().unwrap_or_default().to_owned(),
        authority: ca::Authority::from(authority).ja().to_owned(),
        number: certificate.subject_serial_number().unwrap_or_default().to_owned(),
        expires: certificate.not_after(),
        photo: filed.and_then(|filed| filed.photo).map(|photo| Base64(photo.octets)),
    };
    let standing = KeyStanding {
        usable: facts.state == KeyState::Held,
        stops: facts.stops.iter().map(|stop| stop.name().to_owned()).collect(),
        restartable: facts.stops == [StopReason::Owner],
    };
    Ok((face, standing))
}

/// Another phone has scanned the code on a card.
pub(crate) async fn check_card(
    platform: &Platform,
    code: &str,
    now: Timestamp,
) -> Result<CardCheckAnswer, Trouble> {
    let key = platform.authn.card_of(code, now)?;
    let (mut card, standing) = card(platform, key, "").await?;
    let revoked = standing.stops.iter().any(|stop| stop == StopReason::Revoked.name());
    card.display_id.clone_from(&card.number);
    Ok(CardCheckAnswer { valid: !revoked && now < card.expires, card, at: now })
}

/// She ends a session: custody closes the budget first, as for every end.
pub(crate) async fn end_session(
    platform: &Platform,
    visit: &Visit,
    session: TokenId,
    now: Timestamp,
) -> Result<(), Trouble> {
    let session = platform.authn.own_session(visit, session).await?;
    match platform.custody.end_budget(session.budget, now).await {
        Ok(()) => {}
        Err(Failed::Refused(refusal)) if refusal.code() == "budget-unknown" => {}
        Err(failed) => return Err(failed.into()),
    }
    platform.authn.end_session(session.id, now).await?;
    Ok(())
}

/// She begins to decide something: what her phone shows and signs.
pub(crate) async fn ask(
    platform: &Platform,
    visit: &Visit,
    request: &OwnerActRequest,
    now: Timestamp,
) -> Result<OwnerAskAnswer, Trouble> {
    let act = match request.act {
        OwnersActName::Stop => OwnersAct::Stop,
        OwnersActName::Restart => OwnersAct::Restart,
        OwnersActName::Loss => OwnersAct::Loss,
        OwnersActName::Dispute => {
            let index = request.index.unwrap_or(u64::MAX);
            let proof = proof(platform, visit, index).await?;
            let entry = Proof::parse(&proof).map_err(odd)?;
            let entry = entry.verify(platform.ledger.verify_key()).map_err(odd)?;
            OwnersAct::Dispute { index, commitment: entry.commitment }
        }
    };
    Ok(platform.authn.ask_owner(visit, act, now)?)
}

fn odd(refusal: ledger::Refusal) -> Trouble {
    Trouble::fault(&Fault::Row(format!("our own proof: {refusal}")))
}

/// Her phone has approved. Custody checks again what stops or starts her key, and is told at once of
/// what changes her phone; "done" is said after that.
pub(crate) async fn answer(
    platform: &Platform,
    visit: &Visit,
    credential: &serde_json::Value,
    now: Timestamp,
) -> Result<(), Trouble> {
    let approval = platform.authn.owner_answers(visit, credential, now).await?;
    match &approval.statement {
        Statement::Stop(_) => platform.custody.stop_by_owner(&approval, now).await?,
        Statement::Restart(_) => platform.custody.restart_by_owner(&approval, now).await?,
        _ => {}
    }
    super::deliver::soon(platform, now).await;
    Ok(())
}

/// The old phone begins a change. A stopped key is linked to no phone, so it is said now.
pub(crate) async fn begin_change(
    platform: &Platform,
    visit: &Visit,
    now: Timestamp,
) -> Result<(String, Timestamp), Trouble> {
    let facts = platform.custody.key(visit.key()).await?;
    if facts.state != KeyState::Held {
        return Err(Trouble::refused("key-suspended", "the key is stopped; start it again first"));
    }
    Ok(platform.authn.begin_change(visit, now)?)
}

/// A page of her history. The announcements of signatures are left out: each has its outcome.
pub(crate) async fn history(
    platform: &Platform,
    visit: &Visit,
    before: Option<u64>,
) -> Result<HolderHistory, Trouble> {
    let stream = visit.key().stream();
    let handed = platform.ledger.stream(stream, before, PAGE).await;
    let handed = handed.map_err(|fault| Trouble::fault(&fault))?;
    let next = (handed.len() as u64 == PAGE).then(|| handed.last().map(|entry| entry.index));
    let disputed: HashMap<u64, Timestamp> =
        platform.authn.disputes(visit.key()).await?.into_iter().collect();
    let sessions = platform.authn.sessions(visit.person()).await?;
    let names: HashMap<_, _> = sessions
        .into_iter()
        .map(|session| (session.facility.as_str().to_owned(), session.facility_name))
        .collect();
    let mut entries = Vec::new();
    for entry in handed {
        let opening = LeafOpening::decode(&entry.opening).ok_or_else(|| {
            Trouble::fault(&Fault::Row(format!("entry {} cannot be read", entry.index)))
        })?;
        let record = opening.record;
        if record.event.is_intention() {
            continue;
        }
        let place = record.facility.map(|code| code.as_str().to_owned());
        entries.push(HolderEntry {
            index: entry.index,
            seq: opening.seq,
            at: record.time,
            event: record.event.name().to_owned(),
            event_ja: record.event.ja().to_owned(),
            facility: place.map(|code| names.get(&code).cloned().unwrap_or(code)),
            kind: record.kind,
            disputed: disputed.get(&entry.index).copied(),
        });
    }
    Ok(HolderHistory { entries, before: next.flatten() })
}

/// The journal's proof of an entry of hers. Anybody else's is answered like one that does not exist.
pub(crate) async fn proof(
    platform: &Platform,
    visit: &Visit,
    index: u64,
) -> Result<String, Trouble> {
    let (text, record) = entry(platform, index).await?;
    if record.stream == visit.key().stream() {
        return Ok(text);
    }
    Err(Failed::Refused(ledger::Refusal::JournalNoSuchEntry(index)).into())
}

/// An entry of the journal, with its proof.
pub(super) async fn entry(platform: &Platform, index: u64) -> Result<(String, Record), Trouble> {
    let text = platform.ledger.prove(index).await?;
    let entry = Proof::parse(&text).map_err(odd)?;
    let entry = entry.verify(platform.ledger.verify_key()).map_err(odd)?;
    Ok((text, entry.opening.record))
}
