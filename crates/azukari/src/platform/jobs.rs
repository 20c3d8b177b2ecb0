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

/// What is learnt from the authority of My Number Cards. It may answer slowly or not at all: nothing
/// else waits for it.
pub(crate) async fn my_number_cards(platform: Arc<Platform>, mut stopped: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(TIDY);
    let work = async {
        loop {
            every.tick().await;
            flows::card_status::refresh(&platform).await;
            if let Err(trouble) = flows::card_look::round(&platform, now()).await {
                tracing::warn!(%trouble, "linked cards could not all be looked at yet");
            }
        }
    };
    tokio::select! {
        _ = stopped.wait_for(|stopped| *stopped) => {}
        () = work => {}
    }
}

/// Keys looked at in one round after the start, and the pause between rounds: a million keys take
/// the better part of an hour beside the signatures, and a key is checked before its first use
/// anyway.
const AUDIT_ROUND: u32 = 64;
const AUDIT_PAUSE: Duration = Duration::from_millis(50);

/// What is done for keys without anybody waiting for it: some are made ahead, and each is looked at
/// once after the start. Neither waits for the other: looking at all of them takes long.
pub(crate) async fn keys(platform: Arc<Platform>, mut stopped: watch::Receiver<bool>) {
    let looking = async {
        if platform.config.audit_after_start {
            look_at_all(&platform).await;
        }
    };
    let stocking = async {
        let mut every = tokio::time::interval(DELIVERY);
        loop {
            every.tick().await;
            stock(&platform).await;
        }
    };
    let work = async { tokio::join!(looking, stocking) };
    tokio::select! {
        _ = stopped.wait_for(|stopped| *stopped) => {}
        ((), ()) = work => {}
    }
}

async fn look_at_all(platform: &Platform) {
    let (mut after, mut checked, mut wrong) = (None, 0, 0);
    loop {
        match platform.custody.audit_round(after, AUDIT_ROUND, now()).await {
            Ok(round) if round.checked == 0 => break,
            Ok(round) => {
                (after, checked) = (round.last, checked + round.checked);
                wrong += round.findings.len();
            }
            Err(failed) => {
                tracing::warn!(%failed, checked, "not every key could be looked at");
                return;
            }
        }
        tokio::time::sleep(AUDIT_PAUSE).await;
    }
    tracing::info!(checked, wrong, "every kept key was looked at");
}

async fn stock(platform: &Platform) {
    match platform.custody.stock(platform.config.pool_level, now()).await {
        Ok(round) if round.made > 0 => {
            tracing::info!(level = round.level, of = platform.config.pool_level, "keys made ahead");
        }
        Ok(_) => {}
        Err(failed) => tracing::warn!(%failed, "keys could not be made ahead"),
    }
}

async fn retire(platform: &Platform) {
    match platform.custody.retire(now()).await {
        Ok(round) => {
            for key in round.stopped {
                tracing::warn!(%key, "stopped: its certificate has expired");
            }
            for key in round.destroyed {
                tracing::warn!(%key, "destroyed under the standing directive");
            }
        }
        Err(failed) => tracing::warn!(%failed, "ended keys could not be retired yet"),
    }
}

/// The keys that sign tokens take turns; custody pins what is published.
async fn turn_keys(platform: &Platform) {
    let turned = platform.authn.turn_keys(now()).await;
    // Also where it broke on the way: what is published by now counts.
    platform.custody.pin_token_keys(&super::open::token_keys(&platform.authn));
    match turned {
        Ok(true) => tracing::info!("the published keys of tokens changed"),
        Ok(false) => {}
        Err(failed) => tracing::warn!(%failed, "the keys of tokens could not be turned yet"),
    }
}

async fn tidy_up(platform: &Platform) {
    turn_keys(platform).await;
    if let Err(failed) = platform.authn.forget_logins(now()).await {
        tracing::warn!(%failed, "old logins could not be forgotten yet");
    }
    retire(platform).await;
    look_at_device(&platform.watch.look(now()));
    if hsm::Transfer::is_unfinished(&platform.config.device) {
        tracing::warn!(
            "鍵装置の引っ越しが終わっていません。azukari officer transfer をもう一度 (the transfer to another device is not finished)"
        );
    }
    if let Err(failed) = platform.custody.sweep(now()).await {
        tracing::warn!(%failed, "expired leases could not be closed yet");
    }
    if let Err(failed) = renew_lists(platform).await {
        tracing::warn!(%failed, "revocation lists could not be renewed yet");
    }
    // Also for what another process over the same store has revoked.
    if let Err(trouble) = flows::by_card::refresh_trust(platform).await {
        tracing::warn!(%trouble, "cards are judged by the lists known before");
    }
    if let Err(failed) = platform.authn.foresee_card_expiry(now()).await {
        tracing::warn!(%failed, "holders of cards that run out soon wait to be told");
    }
}

/// A device that is gone is told each time, until it is back.
fn look_at_device(health: &hsm::Health) {
    match health {
        hsm::Health::Working => {}
        hsm::Health::Lost { since, why } => {
            let since = since.rfc3339();
            tracing::error!(%since, %why, "鍵装置が応答しません (the key device is lost; the next request tries again)");
        }
        hsm::Health::Reopening => {
            tracing::warn!("鍵装置につなぎ直しています (reopening the key device)")
        }
        hsm::Health::Barred { code } => {
            tracing::error!(
                code,
                "鍵装置に入れません。原因を除いて起動し直してください (the key device does not let us in)"
            );
        }
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
