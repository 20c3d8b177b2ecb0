//! The journal's public side: its files for anyone who asks (C2SP tlog-tiles), and the checkpoint
//! that is published once a second with the cosignatures of the witnesses that were reached.
//!
//! A witness that does not answer holds nobody up: what is signed is answered with the log's own
//! checkpoint, and whoever counts witnesses waits for the next publication.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hpki::time::Timestamp;
use ledger::tlog::{Quorum, Resource, Submission, VerifyKey, WitnessKey};
use ledger::{Failed, Ledger};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Platform;
use crate::clock::now;
use crate::config::WitnessAt;
use crate::http::ask::At;
use crate::http::client::Client;
use crate::http::problem::Trouble;
use crate::runtime::Stop;

/// A new checkpoint is published this often.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a witness may take; the others are asked at the same time.
const PATIENCE: Duration = Duration::from_millis(900);
/// A checkpoint that did not change is cosigned anew after so many seconds, so that everybody
/// sees that it is still the newest.
const FRESH_SECONDS: u64 = 60;

/// What was published last, and who is asked to look at it.
pub(crate) struct Publication {
    quorum: Quorum,
    witnesses: Vec<Arc<Asked>>,
    last: RwLock<Option<Last>>,
}

#[derive(Clone)]
struct Last {
    /// As the log signed it.
    bare: String,
    /// With the cosignatures.
    note: String,
    at: Timestamp,
    complete: bool,
}

struct Asked {
    key: WitnessKey,
    client: Client,
    path: String,
    /// The size that the witness has cosigned last, as far as we know.
    known: AtomicU64,
}

impl Publication {
    /// With the configured witnesses; there may be none.
    pub(crate) fn open(
        witnesses: &[WitnessAt],
        needed: usize,
        log: &VerifyKey,
    ) -> Result<Self, Stop> {
        let mut asked = Vec::new();
        for witness in witnesses {
            let tls = match &witness.ca {
                Some(ca) => Some(crate::http::tls::client(ca, None)?),
                None => None,
            };
            asked.push(Arc::new(Asked {
                key: crate::witness::read_key(&witness.key)?,
                client: Client::new(&witness.base, tls, PATIENCE)?,
                path: format!("{}/add-checkpoint", witness.prefix),
                known: AtomicU64::new(0),
            }));
        }
        let keys = asked.iter().map(|witness| witness.key.clone()).collect();
        let quorum = Quorum::new(log.clone(), keys, needed)?;
        Ok(Self { quorum, witnesses: asked, last: RwLock::new(None) })
    }

    fn last(&self) -> Option<Last> {
        self.last.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `/journal/checkpoint`, `/journal/tile/…`: no client certificate, nothing to be learnt from the
/// entries by outsiders.
pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/journal/{*name}", get(file))
}

/// 公開している署名記録のファイル (C2SP tlog-tiles)
#[utoipa::path(get, path = "/journal/{name}", tag = "journal",
    params(("name" = String, Path, description = "checkpoint, tile/<L>/<N>[.p/<W>], tile/entries/<N>[.p/<W>]")),
    responses((status = 200, content_type = "application/octet-stream"), (status = "4XX", body = wire::refusal::Problem, content_type = "application/problem+json")))]
pub(crate) async fn file(
    State(platform): State<Arc<Platform>>,
    At(name): At<String>,
) -> Result<Response, Trouble> {
    let resource: Resource = name.parse().map_err(Failed::Refused)?;
    if resource == Resource::Checkpoint {
        let last = platform.publication.last();
        let note = last.map_or_else(|| platform.ledger.checkpoint(), |last| last.note);
        let headers =
            [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "public, max-age=1")];
        return Ok((headers, note).into_response());
    }
    let octets = platform.ledger.resource(resource).await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, octets).into_response())
}

/// Publishes once a second until told to stop.
pub(crate) async fn run(platform: Arc<Platform>, mut stopped: watch::Receiver<bool>) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            _ = period.tick() => {}
        }
        publish(&platform, now()).await;
    }
}

/// Publishes the newest checkpoint once, with the cosignatures that are to be had.
pub(crate) async fn publish(platform: &Platform, now: Timestamp) {
    let publication = &platform.publication;
    let bare = platform.ledger.checkpoint();
    let last = publication.last();
    let still_good = last.is_some_and(|last| {
        last.bare == bare && last.complete && now.since(last.at) < FRESH_SECONDS
    });
    if still_good {
        return;
    }
    let mut asking = JoinSet::new();
    for witness in &publication.witnesses {
        let (ledger, witness, bare) = (platform.ledger.clone(), Arc::clone(witness), bare.clone());
        asking.spawn(async move {
            let answer = ask(&ledger, &witness, &bare).await;
            (witness, answer)
        });
    }
    let mut note = bare.clone();
    while let Some(answered) = asking.join_next().await {
        let Ok((witness, answer)) = answered else { continue };
        match answer.and_then(|text| Ok(witness.key.attach(&note, &text)?)) {
            Ok(cosigned) => note = cosigned,
            Err(why) => {
                tracing::warn!(witness = witness.key.name(), %why, "a witness has not cosigned");
            }
        }
    }
    let complete = publication.quorum.verify(&note).is_ok();
    if complete
        && publication.quorum.needed() > 0
        && let Err(failed) = platform.ledger.keep_witnessed(&publication.quorum, &note).await
    {
        tracing::warn!(%failed, "a cosigned checkpoint could not be kept");
    }
    let last = Last { bare, note, at: now, complete };
    *publication.last.write().unwrap_or_else(PoisonError::into_inner) = Some(last);
}

/// Hands a checkpoint to a witness; once again from the size that it says it knows.
async fn ask(ledger: &Ledger, witness: &Asked, note: &str) -> Result<String, Stop> {
    let size = ledger.verify_key().verify(note)?.size;
    for _ in 0..2 {
        let old = witness.known.load(Ordering::Relaxed);
        if old > size {
            return Err(format!(
                "it has cosigned {old} entries of this log, of which there are {size}: rolled back?"
            )
            .into());
        }
        let path = ledger.consistency(old, size).await?;
        let body = Submission { old, path, checkpoint: note.to_owned() }.text();
        let answer =
            witness.client.send("POST", &witness.path, None, Some(body.into_bytes())).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        match answer.status {
            200 => {
                witness.known.store(size, Ordering::Relaxed);
                return Ok(text);
            }
            409 => match text.trim_end().parse() {
                Ok(known) => witness.known.store(known, Ordering::Relaxed),
                Err(_) => return Err(format!("409: {text}").into()),
            },
            status => return Err(format!("{status}: {text}").into()),
        }
    }
    Err("it keeps changing the size that it knows".into())
}
