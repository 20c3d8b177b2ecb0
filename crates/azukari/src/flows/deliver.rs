//! Delivering what rooms committed for each other. Each message is delivered at least once, in the
//! order of commits, and handled so that a second time changes nothing.

use approval::card::CardLinkEvidence;
use approval::{ChangeEvidence, DeskAct, DeskApproval, LinkEvidence, OfficerEvidence};
use authn::{
    NoticeKind, TOPIC_CARD_LINKED, TOPIC_CARD_UNLINKED, TOPIC_DESK_DECIDED,
    TOPIC_OFFICER_DISMISSED, TOPIC_OFFICER_ENROLLED, TOPIC_PHONE_CHANGED, TOPIC_PHONE_LINKED,
    TOPIC_PHONE_UNLINKED, TOPIC_SESSION_ENDED,
};
use ca::{REVOCATION_TOPIC, Revocation};
use custody::{OwnerDecided, StopReason, TOPIC_OWNER_DECIDED};
use hpki::id::{BindingId, BudgetId, KeyId, OfficerId};
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Message};
use serde::Deserialize;

use crate::http::problem::Trouble;
use crate::platform::Platform;

#[derive(Deserialize)]
struct Unlinked {
    binding: BindingId,
}

#[derive(Deserialize)]
struct CardUnlinked {
    card: BindingId,
}

#[derive(Deserialize)]
struct Dismissed {
    officer: OfficerId,
}

#[derive(Deserialize)]
struct Ended {
    budgets: Vec<BudgetId>,
}

/// Delivers everything that waits, and what arises from that: a revocation unlinks a phone, which
/// is a message itself. A message that cannot be delivered holds up the later ones about the same
/// key, which must not overtake it, and nobody else's; what failed is tried again next time.
pub(crate) async fn all(platform: &Platform, now: Timestamp) -> Result<(), Trouble> {
    let _alone = platform.delivering.lock().await;
    loop {
        let waiting = platform.ledger.undelivered().await.map_err(|f| Trouble::fault(&f))?;
        if waiting.is_empty() {
            return Ok(());
        }
        let (mut held_up, mut failed) = (Vec::new(), None);
        for message in waiting {
            if message.concerns.is_some_and(|key| held_up.contains(&key)) {
                continue;
            }
            match deliver(platform, &message, now).await {
                Ok(()) => {
                    platform.ledger.delivered(message.id).await.map_err(|f| Trouble::fault(&f))?;
                }
                Err(trouble) => {
                    held_up.extend(message.concerns);
                    failed.get_or_insert(trouble);
                }
            }
        }
        if let Some(trouble) = failed {
            return Err(trouble);
        }
    }
}

/// Delivers what has just been committed. What fails now is tried again each second; until then a key
/// signs nothing that such a message is about.
pub(crate) async fn soon(platform: &Platform, now: Timestamp) {
    if let Err(trouble) = all(platform, now).await {
        tracing::warn!(%trouble, "a message between rooms waits for its next try");
    }
}

async fn deliver(platform: &Platform, message: &Message, now: Timestamp) -> Result<(), Trouble> {
    match message.topic.as_str() {
        TOPIC_PHONE_LINKED => {
            let evidence: LinkEvidence = read(message)?;
            match platform.custody.accept_binding(&evidence, now).await {
                Ok(()) => {}
                // Custody will never believe it (the key was stopped before the phone was linked):
                // so nobody does.
                Err(Failed::Refused(refusal)) => {
                    tracing::warn!(%refusal, "a linked phone is unlinked: custody refuses it");
                    unlink_this(platform, evidence.statement.key, evidence.binding, now).await?;
                }
                Err(failed) => return Err(failed.into()),
            }
        }
        TOPIC_PHONE_CHANGED => {
            let evidence: ChangeEvidence = read(message)?;
            match platform.custody.change_binding(&evidence, now).await {
                Ok(()) => {}
                // The key was stopped in between, say: neither phone is believed any more.
                Err(Failed::Refused(refusal)) => {
                    tracing::warn!(%refusal, "a new phone is unlinked: custody refuses the change");
                    let old = evidence.approval.binding;
                    settled(platform.custody.end_binding(old, now).await, &["binding-unknown"])?;
                    let new = &evidence.link;
                    unlink_this(platform, new.statement.key, new.binding, now).await?;
                }
                Err(failed) => return Err(failed.into()),
            }
        }
        TOPIC_PHONE_UNLINKED => {
            let unlinked: Unlinked = read(message)?;
            settled(
                platform.custody.end_binding(unlinked.binding, now).await,
                &["binding-unknown"],
            )?;
        }
        TOPIC_CARD_LINKED => {
            let evidence: CardLinkEvidence = read(message)?;
            match platform.custody.accept_card(&evidence, now).await {
                Ok(()) => {}
                // Custody will never believe it (the key was stopped in between, say): so nobody does.
                Err(Failed::Refused(refusal)) => {
                    tracing::warn!(%refusal, "a linked card is unlinked: custody refuses it");
                    let key = evidence.approval.statement.key();
                    platform.authn.unlink_this_card(key, evidence.binding, now).await?;
                }
                Err(failed) => return Err(failed.into()),
            }
        }
        TOPIC_CARD_UNLINKED => {
            let unlinked: CardUnlinked = read(message)?;
            settled(platform.custody.end_card(unlinked.card, now).await, &["card-unknown"])?;
        }
        TOPIC_SESSION_ENDED => {
            let ended: Ended = read(message)?;
            for budget in ended.budgets {
                settled(platform.custody.end_budget(budget, now).await, &["budget-unknown"])?;
            }
        }
        REVOCATION_TOPIC => {
            let revocation = Revocation::from_payload(&message.payload)
                .ok_or_else(|| unreadable(message, "not a revocation"))?;
            super::by_card::revoked(platform, &revocation, now).await?;
            if let Some(key) = revocation.key {
                settled(
                    platform.custody.stop_key(key, StopReason::Revoked, now).await,
                    // Of another state than can be stopped is only a destroyed one.
                    &["key-unknown", "key-wrong-state"],
                )?;
                // A sheet that is still in the post would link a phone to a dead key.
                platform.authn.void_sheets(key).await?;
                let told = NoticeKind::CertificateRevoked;
                platform.authn.tell_once(key, told, revocation.at, &message.payload).await?;
                unlink(platform, key, now).await?;
                platform.authn.unlink_card(key, now).await?;
            }
        }
        TOPIC_OFFICER_ENROLLED => {
            let evidence: OfficerEvidence = read(message)?;
            match platform.custody.accept_desk_officer(&evidence, now).await {
                // Custody will never believe her: so nobody does.
                Err(Failed::Refused(refusal)) => {
                    tracing::warn!(%refusal, "an officer of the desk is dismissed: custody refuses her");
                    let gone =
                        platform.authn.dismiss_officer(evidence.statement.officer, now).await;
                    match gone {
                        Err(Failed::Refused(refusal)) if refusal.code() == "officer-unknown" => {}
                        gone => drop(gone?),
                    }
                }
                accepted => accepted?,
            }
        }
        TOPIC_OFFICER_DISMISSED => {
            let dismissed: Dismissed = read(message)?;
            settled(
                platform.custody.end_desk_officer(dismissed.officer, now).await,
                &["officer-unknown"],
            )?;
        }
        TOPIC_DESK_DECIDED => {
            let approvals: Vec<DeskApproval> = read(message)?;
            let (Some(first), Some(last)) = (approvals.first(), approvals.last()) else {
                return Err(unreadable(message, "no approval"));
            };
            let refused = match platform.custody.carry_out_desk(&approvals, now).await {
                Ok(()) => None,
                // What the key became in the meantime cannot be helped; the desk reads why.
                Err(Failed::Refused(refusal)) => Some(refusal.code()),
                Err(failed) => return Err(failed.into()),
            };
            let told = match first.statement.act {
                DeskAct::Suspend => Some(NoticeKind::KeyStopped),
                DeskAct::Resume => Some(NoticeKind::KeyStarted),
                DeskAct::Loss | DeskAct::Sheet | DeskAct::Session => None,
            };
            if let Some(kind) = told.filter(|_| refused.is_none()) {
                let (key, at) = (first.statement.key, last.approved);
                platform.authn.tell_once(key, kind, at, &message.payload).await?;
            }
            platform.authn.settle_act(first.statement.order, refused).await?;
        }
        TOPIC_OWNER_DECIDED => {
            let OwnerDecided { key, stopped, at, .. } = read(message)?;
            let told = if stopped { NoticeKind::KeyStopped } else { NoticeKind::KeyStarted };
            platform.authn.tell_once(key, told, at, &message.payload).await?;
        }
        other => return Err(unreadable(message, &format!("unknown topic {other}"))),
    }
    Ok(())
}

/// The phone of this key, if there is one, is linked no more.
async fn unlink(platform: &Platform, key: KeyId, now: Timestamp) -> Result<(), Trouble> {
    gone(platform.authn.unlink(key, now).await)
}

/// This phone, if it is still the one, is linked no more. A message may be refused long after it was
/// written, and another phone may be linked by then: that one has a message of its own.
async fn unlink_this(
    platform: &Platform,
    key: KeyId,
    phone: BindingId,
    now: Timestamp,
) -> Result<(), Trouble> {
    gone(platform.authn.unlink_this(key, phone, now).await)
}

fn gone<T>(unlinked: Result<T, Failed<authn::Refusal>>) -> Result<(), Trouble> {
    match unlinked {
        Ok(_) => Ok(()),
        Err(Failed::Refused(refusal)) if refusal.code() == "phone-not-linked" => Ok(()),
        Err(failed) => Err(failed.into()),
    }
}

/// What the other room does not know (any more) needs no ending.
fn settled(result: Result<(), custody::Failed>, nothing_to_do: &[&str]) -> Result<(), Trouble> {
    match result {
        Err(Failed::Refused(refusal)) if nothing_to_do.contains(&refusal.code()) => Ok(()),
        other => Ok(other?),
    }
}

fn read<T: serde::de::DeserializeOwned>(message: &Message) -> Result<T, Trouble> {
    serde_json::from_str(&message.payload).map_err(|error| unreadable(message, &error.to_string()))
}

fn unreadable(message: &Message, why: &str) -> Trouble {
    Trouble::fault(&Fault::Row(format!("message {} ({}): {why}", message.id, message.topic)))
}
