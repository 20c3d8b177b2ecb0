//! A person approves: authentication verifies and keeps the approval; custody verifies it again and
//! opens the budget; authentication mints the token that names it.
//!
//! The budget is opened once nothing is missing any more (the three digits, where they are asked
//! for). Each poll of the gateway finds an approval that a crash left without its budget and goes
//! on with it.

use authn::Budget;
use hpki::encoding::Digest32;
use hpki::id::CeremonyId;
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::Failed;
use wire::{CeremonyState, CeremonyStep, SessionApproveAnswer, SessionApproveRequest};

use crate::http::problem::Trouble;
use crate::platform::Platform;

/// The phone's approval arrives.
pub(crate) async fn approve(
    platform: &Platform,
    request: &SessionApproveRequest,
    now: Timestamp,
) -> Result<SessionApproveAnswer, Trouble> {
    let approved = platform.authn.approve(request, now).await?;
    if approved.number.is_none()
        && let Ok(ceremony) = request.ceremony.parse()
    {
        open(platform, ceremony, now).await?;
    }
    Ok(SessionApproveAnswer { approved: true, number: approved.number, back: None })
}

/// How far the ceremony is, over the certificate that began it.
pub(crate) async fn state(
    platform: &Platform,
    ceremony: CeremonyId,
    x5t: Digest32,
    now: Timestamp,
) -> Result<CeremonyState, Trouble> {
    let state = platform.authn.poll(ceremony, x5t, now).await?;
    if state.state != CeremonyStep::Approved {
        return Ok(state);
    }
    open(platform, ceremony, now).await?;
    Ok(platform.authn.poll(ceremony, x5t, now).await?)
}

/// Opening a budget twice for one approval gives the same budget, and granting twice is harmless.
pub(crate) async fn open(
    platform: &Platform,
    ceremony: CeremonyId,
    now: Timestamp,
) -> Result<(), Trouble> {
    let Some(approval) = platform.authn.approved_waiting(ceremony).await? else { return Ok(()) };
    let budget = platform.custody.open_budget(&approval, now).await?;
    let granted = Budget {
        id: budget.id,
        key: budget.key,
        person: budget.person,
        kinds: budget.kinds,
        until: budget.until,
        count: budget.count.into(),
    };
    match platform.authn.grant(ceremony, &granted, now).await {
        Ok(()) => Ok(()),
        // Another poll was first: the token that it minted names the same budget.
        Err(Failed::Refused(refusal)) if refusal.code() == "ceremony-out-of-step" => Ok(()),
        Err(failed) => {
            // No token will ever name this budget.
            platform.custody.end_budget(granted.id, now).await?;
            Err(failed.into())
        }
    }
}
