//! Delivering what rooms committed for each other. Each message is delivered at least once, in the
//! order of commits, and handled so that a second time changes nothing.

use approval::LinkEvidence;
use authn::{TOPIC_PHONE_LINKED, TOPIC_PHONE_UNLINKED, TOPIC_SESSION_ENDED};
use ca::{REVOCATION_TOPIC, Revocation};
use custody::StopReason;
use hpki::id::{BindingId, BudgetId};
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
struct Ended {
    budget: BudgetId,
}

/// Delivers everything that waits, and what arises from that: a revocation unlinks a phone, which
/// is a message itself. The first that cannot be delivered stops the round: later messages about
/// the same key must not overtake it.
pub(crate) async fn all(platform: &Platform, now: Timestamp) -> Result<(), Trouble> {
    loop {
        let waiting = platform.ledger.undelivered().await.map_err(|f| Trouble::fault(&f))?;
        if waiting.is_empty() {
            return Ok(());
        }
        for message in waiting {
            deliver(platform, &message, now).await?;
            platform.ledger.delivered(message.id).await.map_err(|f| Trouble::fault(&f))?;
        }
    }
}

async fn deliver(platform: &Platform, message: &Message, now: Timestamp) -> Result<(), Trouble> {
    match message.topic.as_str() {
        TOPIC_PHONE_LINKED => {
            let evidence: LinkEvidence = read(message)?;
            platform.custody.accept_binding(&evidence, now).await?;
        }
        TOPIC_PHONE_UNLINKED => {
            let unlinked: Unlinked = read(message)?;
            settled(platform.custody.end_binding(unlinked.binding, now).await, "binding-unknown")?;
        }
        TOPIC_SESSION_ENDED => {
            let ended: Ended = read(message)?;
            settled(platform.custody.end_budget(ended.budget, now).await, "budget-unknown")?;
        }
        REVOCATION_TOPIC => {
            let revocation = Revocation::from_payload(&message.payload)
                .ok_or_else(|| unreadable(message, "not a revocation"))?;
            if let Some(key) = revocation.key {
                settled(
                    platform.custody.stop_key(key, StopReason::Revoked, now).await,
                    "key-unknown",
                )?;
                match platform.authn.unlink(key, now).await {
                    Ok(_) => {}
                    Err(Failed::Refused(refusal)) if refusal.code() == "phone-not-linked" => {}
                    Err(failed) => return Err(failed.into()),
                }
            }
        }
        other => return Err(unreadable(message, &format!("unknown topic {other}"))),
    }
    Ok(())
}

/// What the other room does not know (any more) needs no ending.
fn settled(
    result: Result<(), custody::Failed>,
    nothing_to_do: &'static str,
) -> Result<(), Trouble> {
    match result {
        Err(Failed::Refused(refusal)) if refusal.code() == nothing_to_do => Ok(()),
        other => Ok(other?),
    }
}

fn read<T: serde::de::DeserializeOwned>(message: &Message) -> Result<T, Trouble> {
    serde_json::from_str(&message.payload).map_err(|error| unreadable(message, &error.to_string()))
}

fn unreadable(message: &Message, why: &str) -> Trouble {
    Trouble::fault(&Fault::Row(format!("message {} ({}): {why}", message.id, message.topic)))
}
