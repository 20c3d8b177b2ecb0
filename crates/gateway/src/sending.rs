//! How an order is sent: the retry rules (protocols §9).
//!
//! No answer, 5xx, 408, 429 and `order-in-progress` mean that nobody knows or it is not finished:
//! the same number again, after 0.2 s, doubling to 30 s. Any other refusal stops.

use std::time::Duration;

use hpki::time::Timestamp;
use serde::de::DeserializeOwned;
use wire::refusal::Problem;
use wire::{DigestValue, SignAnswer, SignRequest};

use crate::orders::Order;
use crate::platform::{Bearer, Call, Method, Platform, Reply};
use crate::refusal::{ORDER_IN_PROGRESS, Refusal};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// No answer of the platform is longer: 300 signatures that were asked for at once, with their proofs.
const REPLY_MAX: usize = 8 * 1024 * 1024;

/// Whether to wait and send again, or to leave it at one attempt.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// Somebody waits for the answer; nothing is sent again after this moment.
    Until(Timestamp),
    /// Nobody does; there will be another round.
    Once,
}

/// Sends the order until there is an answer. `now` moves on with each pause.
pub(crate) async fn order<P: Platform>(
    platform: &P,
    order: &Order,
    bearer: &Bearer,
    patience: Patience,
    now: &mut Timestamp,
) -> Result<SignAnswer, Refusal> {
    let request = SignRequest {
        order: order.number,
        kind: order.kind,
        digest: DigestValue::sha256(&order.digest),
    };
    let body = serde_json::to_vec(&request)
        .map_err(|error| Refusal::AnswerMalformed(format!("the request: {error}")))?;
    let call = Call {
        method: Method::Post,
        path: wire::path::SIGNATURES.to_owned(),
        token: Some(bearer.clone()),
        body: Some(body),
    };
    answer(platform, call, patience, now).await
}

/// Asks whether this order was signed, without asking for a signature.
pub(crate) async fn stored_answer<P: Platform>(
    platform: &P,
    order: &Order,
    bearer: Option<&Bearer>,
    now: &mut Timestamp,
) -> Result<SignAnswer, Refusal> {
    let path = wire::path::SIGNATURE.replace("{order}", &order.number.to_string());
    let call = Call { method: Method::Get, path, token: bearer.cloned(), body: None };
    answer(platform, call, Patience::Once, now).await
}

/// Whether the platform, asked for the answer of an order, says that there is none and never will be.
pub(crate) fn never_answered(refusal: &Refusal) -> bool {
    matches!(
        refusal.platform_code(),
        Some(
            "order-unknown"
                | "order-interrupted"
                | "order-closed"
                | "activation-expired"
                | "key-frozen"
        )
    )
}

/// The platform works, and the authority of the card does not: her phone would do.
const CARD_STATUS_UNKNOWN: &str = "card-status-unknown";

/// Sends this until there is an answer.
pub(crate) async fn answer<P: Platform, T: DeserializeOwned>(
    platform: &P,
    call: Call,
    patience: Patience,
    now: &mut Timestamp,
) -> Result<T, Refusal> {
    let mut pause = FIRST_PAUSE;
    loop {
        let last = match platform.send(call.clone()).await {
            Err(unreachable) => Refusal::PlatformUnreachable(unreachable),
            Ok(reply) => match read(reply) {
                Err(refusal) if again(&refusal) => refusal,
                answered => return answered,
            },
        };
        let Patience::Until(end) = patience else { return Err(last) };
        match platform.wait(pause).await {
            Some(later) if later <= end => *now = later.max(*now),
            _ => return Err(last),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn again(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::PlatformBusy(_) => true,
        Refusal::PlatformRefused { code, .. } => code == ORDER_IN_PROGRESS,
        _ => false,
    }
}

/// The body of a good answer, or what the platform says instead.
pub(crate) fn platform_says(reply: Reply) -> Result<Vec<u8>, Refusal> {
    if reply.body.len() > REPLY_MAX {
        return Err(Refusal::AnswerMalformed("it is too long".into()));
    }
    if (200..=299).contains(&reply.status) {
        return Ok(reply.body);
    }
    let status = reply.status;
    let problem = serde_json::from_slice::<Problem>(&reply.body).ok();
    let busy = matches!(status, 408 | 429 | 500..=599)
        && problem.as_ref().is_none_or(|problem| problem.code != CARD_STATUS_UNKNOWN);
    if busy {
        return Err(Refusal::PlatformBusy(status));
    }
    Err(match problem {
        Some(problem) => Refusal::PlatformRefused { code: problem.code, detail: problem.detail },
        None => Refusal::PlatformRefused {
            code: format!("http-{status}"),
            detail: "no problem document".into(),
        },
    })
}

/// A good answer of the agreed form.
pub(crate) fn read<T: DeserializeOwned>(reply: Reply) -> Result<T, Refusal> {
    let body = platform_says(reply)?;
    serde_json::from_slice(&body).map_err(|error| Refusal::AnswerMalformed(error.to_string()))
}
