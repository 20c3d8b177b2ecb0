//! The journal must continue the one seen before.
//!
//! Each answer carries a checkpoint that the pinned log key signed. That alone would let the
//! platform show every gateway another journal, or yesterday's after a rollback; so each new
//! checkpoint must be consistent with the last one kept here (RFC 6962 §2.1.2), in whichever order
//! the two came. Two signed checkpoints that are not are kept as evidence.
//!
//! An answer does not wait for witnesses: its checkpoint is the log's alone. Where a gateway counts
//! witnesses, the one that is published must continue what the answers showed, be cosigned lately by
//! enough of them, and have reached within a minute or so what was shown before. Otherwise nothing
//! more is signed here after ten minutes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hpki::encoding::Digest32;
use hpki::time::Timestamp;
use ledger::tlog::{Checkpoint, verify_consistency};
use ledger::{Failed, Fault, Store};
use tokio::sync::Mutex;
use wire::{CheckpointAnswer, ConsistencyAnswer};

use crate::config::GatewayConfig;
use crate::platform::{Call, Method, Platform};
use crate::refusal::Refusal;
use crate::sending::read;

/// Checkpoints judged lately; answers of one group commit share one.
const RECENT: usize = 256;
/// For so long the last look at what witnesses have seen is enough, and so old may a cosignature
/// be; the platform asks for new ones each minute. The witnesses' clocks may be off by as much.
const WITNESSED_S: u64 = 600;
/// How often the published checkpoint is looked for before an order is refused for want of one: it
/// is published once a second.
const LOOKS: u32 = 3;

pub(crate) struct Watch {
    store: Store,
    config: Arc<GatewayConfig>,
    /// One judgement at a time: each is against the newest checkpoint known.
    recent: Mutex<VecDeque<(u64, Digest32)>>,
    witnessed: Mutex<Witnessed>,
}

/// What witnesses have been found to have seen. Memory: a gateway that starts looks anew.
#[derive(Default)]
struct Witnessed {
    /// When enough of them had last seen everything that was awaited.
    at: Option<Timestamp>,
    /// The size that was known then: the next look must find it seen.
    awaited: u64,
}

impl Watch {
    pub(crate) fn new(store: Store, config: Arc<GatewayConfig>) -> Self {
        Self { store, config, recent: Mutex::default(), witnessed: Mutex::default() }
    }

    /// Asks for the newest checkpoint and judges it; to be done each minute. Gives its size.
    ///
    /// # Errors
    /// `checkpoint-forked`, `answer-proof-wrong`; `quorum-missing` where witnesses are counted.
    pub(crate) async fn look<P: Platform>(
        &self,
        platform: &P,
        now: Timestamp,
    ) -> Result<u64, Failed<Refusal>> {
        if self.config.quorum.needed() > 0 {
            return self.look_at_witnesses(platform, now).await;
        }
        let call = get(wire::path::CHECKPOINT.to_owned());
        let reply = platform.send(call).await.map_err(unreachable)?;
        let answer: CheckpointAnswer = read(reply).map_err(Failed::Refused)?;
        let checkpoint = self
            .config
            .log()
            .verify(&answer.checkpoint)
            .map_err(|refusal| Failed::Refused(Refusal::ProofWrong(refusal.to_string())))?;
        self.accept(platform, &checkpoint, &answer.checkpoint, now).await?;
        Ok(checkpoint.size)
    }

    /// The same with the checkpoint that is published for all, counting who has seen it.
    async fn look_at_witnesses<P: Platform>(
        &self,
        platform: &P,
        now: Timestamp,
    ) -> Result<u64, Failed<Refusal>> {
        let mut witnessed = self.witnessed.lock().await;
        let call = get(wire::path::PUBLISHED.to_owned());
        let reply = platform.send(call).await.map_err(unreachable)?;
        if reply.status != 200 {
            return Err(Failed::Refused(Refusal::PlatformBusy(reply.status)));
        }
        let note = String::from_utf8_lossy(&reply.body).into_owned();
        let quorum = &self.config.quorum;
        let wrong = |refusal: ledger::Refusal| Refusal::ProofWrong(refusal.to_string());
        let checkpoint = quorum.log().verify(&note).map_err(|r| Failed::Refused(wrong(r)))?;
        // Before anybody is counted: that it is a fork is worth knowing also where too few saw it.
        self.accept(platform, &checkpoint, &note, now).await?;
        let missing = |why: String| Failed::Refused(Refusal::QuorumMissing(why));
        let by = match quorum.verify(&note) {
            Ok(cosigned) => cosigned.by,
            Err(few @ ledger::Refusal::QuorumMissing { .. }) => {
                return Err(missing(few.to_string()));
            }
            Err(other) => return Err(Failed::Refused(wrong(other))),
        };
        let apart = |time: Timestamp| now.since(time).max(time.since(now));
        let lately = by.iter().filter(|(_, time)| apart(*time) <= WITNESSED_S).count();
        if lately < quorum.needed() {
            return Err(missing(format!("{lately} witnesses have looked lately")));
        }
        if checkpoint.size < witnessed.awaited {
            let (seen, awaited) = (checkpoint.size, witnessed.awaited);
            return Err(missing(format!("{awaited} entries were shown here, {seen} to witnesses")));
        }
        let known = self.known().await?.map_or(0, |(known, _)| known.size);
        *witnessed = Witnessed { at: Some(now), awaited: known };
        Ok(checkpoint.size)
    }

    /// Whether enough witnesses have lately seen the journal that this gateway sees; looks now
    /// where the last look is too old.
    ///
    /// # Errors
    /// As [`Watch::look`].
    pub(crate) async fn witnessed<P: Platform>(
        &self,
        platform: &P,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        if self.config.quorum.needed() == 0 {
            return Ok(());
        }
        let at = self.witnessed.lock().await.at;
        if at.is_some_and(|at| now.since(at) <= WITNESSED_S) {
            return Ok(());
        }
        let mut now = now;
        for _ in 1..LOOKS {
            match self.look(platform, now).await {
                Err(Failed::Refused(Refusal::QuorumMissing(_))) => {}
                looked => return looked.map(drop),
            }
            let Some(later) = platform.wait(Duration::from_secs(1)).await else { break };
            now = later;
        }
        self.look(platform, now).await.map(drop)
    }

    /// Judges a checkpoint whose signature is verified; remembers it if it is the newest.
    pub(crate) async fn accept<P: Platform>(
        &self,
        platform: &P,
        new: &Checkpoint,
        note: &str,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let mut recent = self.recent.lock().await;
        if recent.contains(&(new.size, new.root)) {
            return Ok(());
        }
        let known = self.known().await?;
        if let Some((known, known_note)) = &known
            && let Err(failed) = self.consistent(platform, known, new).await
        {
            if matches!(failed, Failed::Refused(Refusal::CheckpointForked(_))) {
                tracing::error!(size = new.size, "the journal is not the one seen before");
                self.keep_evidence(new, note, known_note, now).await?;
            }
            return Err(failed);
        }
        if known.is_none_or(|(known, _)| known.size < new.size) {
            self.remember(new, note).await?;
        }
        recent.push_back((new.size, new.root));
        if recent.len() > RECENT {
            recent.pop_front();
        }
        Ok(())
    }

    async fn consistent<P: Platform>(
        &self,
        platform: &P,
        known: &Checkpoint,
        new: &Checkpoint,
    ) -> Result<(), Failed<Refusal>> {
        let (older, newer) = if known.size <= new.size { (known, new) } else { (new, known) };
        let forked = |why: &str| Failed::Refused(Refusal::CheckpointForked(why.to_owned()));
        if older.size == newer.size {
            return if older.root == newer.root {
                Ok(())
            } else {
                Err(forked("two roots of one size"))
            };
        }
        let path = wire::path::CONSISTENCY;
        let call = get(format!("{path}?from={}&to={}", older.size, newer.size));
        let reply = platform.send(call).await.map_err(unreachable)?;
        // A platform that does not know a tree which it signed has forgotten or replaced it.
        if matches!(reply.status, 400 | 404 | 409 | 410 | 416 | 422) {
            return Err(forked("the platform cannot prove the size it signed before"));
        }
        let answer: ConsistencyAnswer = read(reply).map_err(Failed::Refused)?;
        let mut path = Vec::with_capacity(answer.hashes.len().min(128));
        for hash in answer.hashes.iter().take(128) {
            let hash: Option<Digest32> = hex::decode(hash).ok().and_then(|h| h.try_into().ok());
            path.push(hash.ok_or_else(|| forked("the consistency proof is malformed"))?);
        }
        if verify_consistency(older.size, &older.root, newer.size, &newer.root, &path) {
            Ok(())
        } else {
            Err(forked("the consistency proof is wrong"))
        }
    }

    async fn known(&self) -> Result<Option<(Checkpoint, String)>, Failed<Refusal>> {
        let origin = self.config.log().origin().to_owned();
        let row = self
            .store
            .read({
                let origin = origin.clone();
                move |tx| {
                    Ok::<_, Failed<Refusal>>(tx.query_opt(
                        "SELECT size, root, note FROM gateway_checkpoint WHERE origin = $1",
                        &[origin.as_str().into()],
                    )?)
                }
            })
            .await?;
        let known = row.map(|row| {
            let checkpoint = Checkpoint { origin, size: row.number(0)?, root: row.array(1)? };
            Ok::<_, Fault>((checkpoint, row.text(2)?.to_owned()))
        });
        Ok(known.transpose()?)
    }

    async fn remember(&self, new: &Checkpoint, note: &str) -> Result<(), Failed<Refusal>> {
        let (new, note) = (new.clone(), note.to_owned());
        self.store
            .write(move |tx| {
                tx.exec(
                    "INSERT INTO gateway_checkpoint (origin, size, root, note)
                     VALUES ($1, $2, $3, $4) ON CONFLICT (origin) DO UPDATE SET
                     size = excluded.size, root = excluded.root, note = excluded.note
                     WHERE excluded.size > gateway_checkpoint.size",
                    &[
                        new.origin.as_str().into(),
                        new.size.into(),
                        new.root.into(),
                        note.as_str().into(),
                    ],
                )?;
                Ok(())
            })
            .await
    }

    async fn keep_evidence(
        &self,
        new: &Checkpoint,
        note: &str,
        known: &str,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let (new, note, known) = (new.clone(), note.to_owned(), known.to_owned());
        self.store
            .write(move |tx| {
                tx.exec(
                    "INSERT INTO gateway_fork (size, root, note, known, seen)
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                    &[
                        new.size.into(),
                        new.root.into(),
                        note.as_str().into(),
                        known.as_str().into(),
                        now.into(),
                    ],
                )?;
                Ok(())
            })
            .await
    }
}

pub(crate) const fn get(path: String) -> Call {
    Call { method: Method::Get, path, token: None, body: None }
}

pub(crate) fn unreachable(unreachable: crate::platform::Unreachable) -> Failed<Refusal> {
    Failed::Refused(Refusal::PlatformUnreachable(unreachable))
}
