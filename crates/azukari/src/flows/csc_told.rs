//! A program that asked for signatures without waiting is told that they are there, at an address
//! that is registered with it (CSC `response_uri`). It is told which request and nothing else; what
//! became of it it asks with its token.
//!
//! The request's row says whether it was told, so a restart forgets nobody. It may be told twice:
//! where we die between telling and writing that down.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use custody::Completed;
use hpki::id::RequestId;
use hpki::time::Timestamp;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::now;
use crate::http::client::{CallFault, Client};
use crate::platform::Platform;

/// How often it is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How long a program has to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failure the pause doubles, from this …
const PAUSE_S: u64 = 2;
/// … to this.
const PAUSE_MOST_S: u64 = 300;

/// Programs that could not be told: since how many tries, and when the next is due.
type Tries = HashMap<RequestId, (u64, Timestamp)>;

/// Runs until told to stop.
pub(crate) async fn run(platform: Arc<Platform>, mut stopped: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(LOOK);
    let mut tries = Tries::new();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = every.tick() => {}
        }
        if let Err(failed) = tell(&platform, &mut tries, now()).await {
            tracing::warn!(%failed, "programs wait to be told of their signatures");
        }
    }
}

/// Tells everybody for whom it is time.
async fn tell(
    platform: &Arc<Platform>,
    tries: &mut Tries,
    now: Timestamp,
) -> Result<(), custody::Failed> {
    let waiting = tries.iter().filter(|(_, (_, due))| now < *due).map(|(id, _)| *id);
    let completed = platform.custody.csc_completed(waiting.collect(), now).await?;
    tries.retain(|id, (_, due)| now < *due || completed.iter().any(|one| one.id == *id));
    let mut at_work = JoinSet::new();
    for one in completed {
        let platform = Arc::clone(platform);
        at_work.spawn(async move { (one.id, tell_one(&platform, &one).await) });
    }
    while let Some(done) = at_work.join_next().await {
        let Ok((id, told)) = done else { continue };
        match told {
            Ok(()) => platform.custody.csc_told(id, now).await?,
            Err(why) => {
                tracing::warn!(request = %id, %why, "a program could not be told of its signatures");
                let (before, _) = tries.get(&id).copied().unwrap_or((0, now));
                let pause = PAUSE_S.saturating_mul(1 << before.min(8)).min(PAUSE_MOST_S);
                tries.insert(id, (before + 1, now.plus(pause)));
            }
        }
    }
    Ok(())
}

/// An address that is registered no more is told nothing, and not asked for again.
async fn tell_one(platform: &Platform, one: &Completed) -> Result<(), CallFault> {
    let known = platform.clients.iter().find(|known| known.client.x5t == one.x5t);
    let Some((known, uri)) =
        known.and_then(|known| Some((known, known.response_uri(&one.notify)?)))
    else {
        return Ok(());
    };
    let client = Client::new(&uri.base, known.response_tls.clone(), PATIENCE)?;
    let body = json!({"responseID": one.id.to_string()}).to_string().into_bytes();
    let answer = client.send("POST", &uri.path, None, Some(body)).await?;
    match answer.status {
        200..300 => Ok(()),
        other => Err(CallFault::Broken(uri.base.clone(), format!("answered {other}"))),
    }
}
