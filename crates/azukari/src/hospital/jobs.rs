//! What a gateway does without anybody asking for it. All of it ends with the gateway.

use std::sync::Weak;
use std::time::Duration;

use super::Hospital;
use crate::clock::now;

/// Lists are fetched anew this often; they are valid for 96 hours.
const LISTS_MINUTES: u64 = 60;

/// Each minute: resume orders that were left open, look at the
/// journal's newest checkpoint, erase what has expired.
pub(super) async fn each_minute(hospital: Weak<Hospital>, mut fetched: bool) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    // The first tick comes at once, and `open` has just done its work.
    minute.tick().await;
    let mut minutes = 0_u64;
    loop {
        minute.tick().await;
        minutes += 1;
        let Some(hospital) = hospital.upgrade() else { return };
        if minutes.is_multiple_of(LISTS_MINUTES) || !fetched {
            fetched = hospital.renew_lists().await;
        }
        match hospital.gateway.resume(now()).await {
            Ok(resumed) => {
                for order in resumed {
                    tracing::info!(order = %order.order, done = order.outcome.is_ok(), "resumed");
                }
            }
            Err(failed) => tracing::warn!(%failed, "open orders could not be resumed yet"),
        }
        if let Err(failed) = hospital.gateway.watch(now()).await {
            tracing::warn!(%failed, "the journal's checkpoint could not be believed");
        }
        // Nobody waits for a card so long: whoever did is gone.
        if let Err(failed) = hospital.gateway.close_interrupted(600, now()).await {
            tracing::warn!(%failed, "interrupted card signatures could not be closed yet");
        }
        if let Err(failed) = hospital.gateway.sweep(now()).await {
            tracing::warn!(%failed, "expired tokens could not be erased yet");
        }
    }
}

/// A PIN is kept no second longer than its card stays.
pub(super) async fn forget_absent_cards(hospital: Weak<Hospital>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let Some(hospital) = hospital.upgrade() else { return };
        hospital.gateway.forget_absent_cards(now()).await;
    }
}
