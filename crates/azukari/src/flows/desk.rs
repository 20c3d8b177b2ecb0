//! 窓口: an officer of the authority looks at a holder and acts. Who she is and what she approved,
//! authentication knows; the key's state is custody's; names stand in the authority's certificates.
//! Values are carried across; nothing is decided here.

use approval::DeskAct;
use authn::{Asked, DeskOfficer, Holder, Order};
use ca::{Face, Photo};
use custody::KeyState;
use hpki::id::{KeyId, OfficerId};
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::Failed;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::desk::{
    DeskActAnswer, DeskActBegin, DeskActDone, DeskAsked, DeskDispute, DeskFound, DeskHolder,
    DeskOfficerAnswer, DeskSession, DeskSheet, DeskState,
};

use wire::Base64;

use crate::http::problem::Trouble;
use crate::pages::qr::Qr;
use crate::platform::Platform;

/// What whoever acts under the platform's own account may ask.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operator {
    /// Invite an officer.
    Invite(String),
    /// List them.
    Officers,
    /// End an officer's authority.
    Dismiss(OfficerId),
    /// File what a holder's card shows beside her certificate.
    Face {
        /// 本人ID
        holder: String,
        /// Her name in kanji.
        name: String,
        /// Her photograph: a PNG or JPEG file.
        photo: Option<Base64>,
    },
}

/// Does it; gives what to tell the operator.
pub(crate) async fn operate(
    platform: &Platform,
    asked: Operator,
    now: Timestamp,
) -> Result<String, Trouble> {
    match asked {
        Operator::Invite(name) => {
            let invited = platform.authn.invite(&name, now).await?;
            Ok(format!(
                "窓口係 {name} さんの招待です。{} まで、本人だけが一度使えます。番号 {}\n\
                 (hand this to her alone: usable once, until then)\n\n{}",
                invited.expires.rfc3339(),
                invited.officer,
                invited.url
            ))
        }
        Operator::Officers => {
            let officers = platform.authn.desk_officers().await?;
            let lines = officers.iter().map(|officer| {
                let standing = match officer.dismissed {
                    None => "在任 (in office)".to_owned(),
                    Some(since) => format!("解任 {} (dismissed)", since.rfc3339()),
                };
                format!(
                    "{}  {}  {} から  {standing}",
                    officer.id,
                    officer.name,
                    officer.enrolled.rfc3339()
                )
            });
            Ok(lines.collect::<Vec<_>>().join("\n"))
        }
        Operator::Dismiss(id) => {
            let officer = platform.authn.dismiss_officer(id, now).await?;
            super::deliver::all(platform, now).await?;
            Ok(format!("解任しました: {} (dismissed)", officer.name))
        }
        Operator::Face { holder, name, photo } => {
            let photo = photo.map(|file| Photo::read(&file.0)).transpose();
            let photo = photo.map_err(Failed::Refused)?;
            let face = Face { name, photo };
            let holders = platform.authn.holders(&holder).await?;
            for found in &holders {
                platform.ca.file_face(found.key, face.clone(), now).await?;
            }
            Ok(format!("券面を登録しました: {holder} {} (filed)", face.name))
        }
    }
}

/// An invited person's passkey makes her an officer; custody hears of it at once.
pub(crate) async fn enrol(
    platform: &Platform,
    asked: &wire::desk::DeskEnrolFinish,
    now: Timestamp,
) -> Result<DeskOfficerAnswer, Trouble> {
    let officer = platform
        .authn
        .finish_enrolment(&asked.invitation, &asked.secret, &asked.credential, now)
        .await?;
    super::deliver::soon(platform, now).await;
    Ok(told(officer, None))
}

/// An officer, to her own page.
pub(crate) fn told(officer: DeskOfficer, csrf: Option<String>) -> DeskOfficerAnswer {
    DeskOfficerAnswer { officer: officer.id, name: officer.name, csrf }
}

/// What the page begins with.
pub(crate) async fn state(
    platform: &Platform,
    officer: DeskOfficer,
    csrf: String,
    now: Timestamp,
) -> Result<DeskState, Trouble> {
    let officers = platform.authn.desk_officers().await?;
    let mut waiting = Vec::new();
    for order in platform.authn.waiting_acts(now).await? {
        waiting.push(act(platform, &officers, &officer, order).await?);
    }
    let in_office = officers.into_iter().filter(|officer| officer.dismissed.is_none());
    Ok(DeskState {
        waiting,
        officers: in_office.map(|officer| officer.name).collect(),
        officer: told(officer, Some(csrf)),
    })
}

async fn act(
    platform: &Platform,
    officers: &[DeskOfficer],
    asking: &DeskOfficer,
    order: Order,
) -> Result<DeskActAnswer, Trouble> {
    let holders = platform.authn.holders(&order.key.to_string()).await?;
    let display_id = holders.into_iter().next().map(|holder| holder.display_id);
    let approved: Vec<OfficerId> =
        order.approvals.iter().map(|given| given.statement.officer).collect();
    let name = |id: &OfficerId| {
        let known = officers.iter().find(|officer| officer.id == *id);
        known.map_or_else(|| id.to_string(), |officer| officer.name.clone())
    };
    Ok(DeskActAnswer {
        order: order.id,
        act: order.act.name().to_owned(),
        display_id: display_id.unwrap_or_default(),
        key: order.key,
        reason: order.reason,
        opened: order.opened,
        until: order.until,
        officers: approved.iter().map(name).collect(),
        own: approved.contains(&asking.id),
        outcome: order.outcome,
    })
}

/// A holder is looked for by her number.
pub(crate) async fn find(
    platform: &Platform,
    officer: &DeskOfficer,
    text: &str,
    now: Timestamp,
) -> Result<DeskFound, Trouble> {
    let mut holders = Vec::new();
    for holder in platform.authn.holders(text).await? {
        holders.push(look(platform, officer, &holder, now).await?);
    }
    Ok(DeskFound { holders })
}

async fn look(
    platform: &Platform,
    officer: &DeskOfficer,
    holder: &Holder,
    now: Timestamp,
) -> Result<DeskHolder, Trouble> {
    let means = platform.authn.look_at(officer.id, holder.key, now).await?;
    let facts = platform.custody.key(holder.key).await?;
    let certificate = certificate(platform, holder.key).await?;
    let sessions = platform.authn.sessions(holder.person).await?;
    let sessions = sessions
        .into_iter()
        .filter(|session| session.key == holder.key && session.is_live(now))
        .map(|session| DeskSession {
            session: session.id,
            facility: session.facility,
            facility_name: session.facility_name,
            terminal: session.terminal,
            since: session.auth_time,
            until: session.until,
        });
    let officers = platform.authn.desk_officers().await?;
    let mut acts = Vec::new();
    for order in platform.authn.acts_on(holder.key).await? {
        acts.push(act(platform, &officers, officer, order).await?);
    }
    let filed = platform.ca.face_of(holder.key).await?.map(|face| face.name);
    Ok(DeskHolder {
        display_id: means.holder.display_id,
        person: holder.person,
        key: holder.key,
        name: filed.or_else(|| certificate.as_ref().and_then(name_of)),
        qualification: Some(facts.qualification.ja().to_owned()),
        not_after: certificate.map(|certificate| certificate.not_after()),
        state: facts.state.name().to_owned(),
        stops: facts.stops.iter().map(|stop| stop.name().to_owned()).collect(),
        phone_linked: means.phone.as_ref().map(|phone| phone.linked),
        phone_synced: means.phone.as_ref().is_some_and(|phone| phone.synced),
        phone_label: means.phone.map(|phone| phone.label),
        sheet: means.sheet.standing.name().to_owned(),
        sheet_until: means.sheet.expires,
        sessions: sessions.collect(),
        disputes: disputes(platform, holder.key).await?,
        acts,
    })
}

/// What the owner disowned, as the journal tells it.
async fn disputes(platform: &Platform, key: KeyId) -> Result<Vec<DeskDispute>, Trouble> {
    let mut told = Vec::new();
    for (index, said) in platform.authn.disputes(key).await? {
        let record = super::holder::entry(platform, index).await?.1;
        told.push(DeskDispute {
            index,
            said,
            at: record.time,
            event: record.event.ja().to_owned(),
            facility: record.facility.map(|code| code.as_str().to_owned()),
        });
    }
    Ok(told)
}

async fn certificate(
    platform: &Platform,
    key: KeyId,
) -> Result<Option<hpki::Certificate>, Trouble> {
    Ok(platform.ca.certificate_of_key(key).await?.map(|(_, certificate)| certificate))
}

fn name_of(certificate: &hpki::Certificate) -> Option<String> {
    let name = certificate.name_ja().or_else(|| certificate.common_name());
    name.map(str::to_owned)
}

/// An officer asks to approve an act.
pub(crate) async fn begin(
    platform: &Platform,
    officer: &DeskOfficer,
    asked: DeskActBegin,
    now: Timestamp,
) -> Result<DeskAsked, Trouble> {
    let asked = match asked {
        DeskActBegin::New { act, key, reason, session } => {
            let act: DeskAct = act
                .parse()
                .map_err(|()| Trouble::refused("request-malformed", "no such act of the desk"))?;
            sensible(platform, act, key).await?;
            Asked::New { act, key, reason, session }
        }
        DeskActBegin::Confirm { order } => Asked::Confirm(order),
    };
    let asked = platform.authn.begin_act(officer, asked, now).await?;
    Ok(DeskAsked { ceremony: None, statement: asked.statement, options: asked.options })
}

/// Told before the officer's finger; custody judges again when it acts. A sheet would link a phone
/// to a key that custody does not let be linked.
async fn sensible(platform: &Platform, act: DeskAct, key: KeyId) -> Result<(), Trouble> {
    let facts = match platform.custody.key(key).await {
        Err(Failed::Refused(refusal)) if refusal.code() == "key-unknown" => {
            return Err(Trouble::refused("holder-unknown", "no such key"));
        }
        facts => facts?,
    };
    let stopped = facts.state == KeyState::Suspended;
    let by_desk = facts.stops.contains(&custody::StopReason::Desk);
    let wrong = match act {
        DeskAct::Loss | DeskAct::Session => false,
        DeskAct::Suspend => facts.state == KeyState::Destroyed || by_desk,
        DeskAct::Resume => !(stopped && by_desk),
        DeskAct::Sheet => stopped || facts.state == KeyState::Destroyed,
    };
    match wrong {
        true => Err(Trouble::refused("key-wrong-state", format!("the key is {}", facts.state))),
        false => Ok(()),
    }
}

/// The officer's passkey has answered.
pub(crate) async fn finish(
    platform: &Platform,
    officer: &DeskOfficer,
    credential: &Value,
    now: Timestamp,
) -> Result<DeskActDone, Trouble> {
    let done = platform.authn.finish_act(officer, credential, now).await?;
    let mut order = done.order;
    super::deliver::soon(platform, now).await;
    if let Some(now_stands) =
        platform.authn.acts_on(order.key).await?.into_iter().find(|act| act.id == order.id)
    {
        order = now_stands;
    }
    if let Some(text) = wire::refusal::lookup(&order.outcome) {
        return Err(Trouble::refused(text.code, "custody refuses what the desk decided"));
    }
    let sheet = match done.sheet {
        None => None,
        Some((sheet, display_id)) => {
            let certificate = certificate(platform, order.key).await?;
            let filed = platform.ca.face_of(order.key).await?.map(|face| face.name);
            let (qr_side, qr_path) =
                Qr::of(&sheet.url).map(|qr| (qr.side, qr.path)).unwrap_or_default();
            Some(DeskSheet {
                url: sheet.url,
                display_id,
                name: filed.or_else(|| certificate.as_ref().and_then(name_of)),
                expires: sheet.expires,
                qr_side,
                qr_path,
                contact: platform.config.contact.clone(),
            })
        }
    };
    let officers = platform.authn.desk_officers().await?;
    let act = act(platform, &officers, officer, order).await?;
    Ok(DeskActDone { act, ended: done.ended.len(), sheet })
}
