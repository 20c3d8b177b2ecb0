//! What the platform does by itself: delivering messages between rooms, closing what a crash left
//! open, renewing revocation lists.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Platform;
use crate::clock::now;
use crate::flows;

/// Deliveries are tried again this often; they are also made at once when they arise.
const DELIVERY: Duration = Duration::from_secs(1);
/// Expired leases are looked for, and lists renewed, this often.
const TIDY: Duration = Duration::from_secs(30);

/// Runs until told to stop.
pub(crate) async fn run(platform: Arc<Platform>, mut stopped: watch::Receiver<bool>) {
    let mut delivery = tokio::time::interval(DELIVERY);
    let mut tidy = tokio::time::interval(TIDY);
    loop {
        let tidying = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = delivery.tick() => false,
            _ = tidy.tick() => true,
        };
        if tidying {
            tidy_up(&platform).await;
        } else if let Err(trouble) = flows::deliver::all(&platform, now()).await {
            tracing::warn!(%trouble, "a message between rooms waits for its next try");
        }
    }
}

async fn tidy_up(platform: &Platform) {
    if let Err(failed) = platform.custody.sweep(now()).await {
        tracing::warn!(%failed, "expired leases could not be closed yet");
    }
    if let Err(failed) = renew_lists(platform).await {
        tracing::warn!(%failed, "revocation lists could not be renewed yet");
    }
}

/// Lists are issued anew once a day has passed (they are valid for 96 hours), and at once when
/// something is revoked.
async fn renew_lists(platform: &Platform) -> Result<(), ca::Failed> {
    let lists = platform.ca.lists().await?;
    if lists.iter().any(|(_, list)| now().since(list.this_update()) >= 86_400) {
        platform.ca.issue_crls(now()).await?;
    }
    Ok(())
}
