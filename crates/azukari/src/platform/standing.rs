//! How a running platform stands: what its operator looks at, and what a watcher's script asks for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Platform;
use crate::clock::now;
use crate::runtime::Stop;

/// Alarms of this time count, in seconds.
const ALARMS_S: u64 = 86_400;
/// A journal whose witnesses are behind by more entries than this has lost them, or they it.
const BEHIND_MAX: u64 = 10_000;

/// How it stands, and what somebody should look at.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// RFC 3339.
    pub(crate) at: String,
    pub(crate) device: Device,
    /// `sqlite` or `postgres`.
    pub(crate) store: String,
    /// Kept keys, of every state.
    pub(crate) keys: u64,
    pub(crate) pool: Pool,
    pub(crate) journal: Journal,
    /// Messages between rooms that are not delivered yet; signing with the keys concerned waits.
    pub(crate) undelivered: u64,
    /// The first revocation list to run out, RFC 3339.
    pub(crate) lists_until: Option<String>,
    /// How often each was raised within a day.
    pub(crate) alarms: BTreeMap<String, u64>,
    /// What somebody should look at, in words; empty if nothing.
    pub(crate) attention: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Device {
    /// `vault`, or the PKCS#11 device's name.
    pub(crate) kind: String,
    pub(crate) token: String,
    /// `working`, `lost`, `reopening`, `barred`.
    pub(crate) state: String,
}

/// Keys made ahead.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub(crate) level: u64,
    pub(crate) of: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Journal {
    pub(crate) entries: u64,
    /// RFC 3339.
    pub(crate) last: Option<String>,
    /// How many of them enough witnesses have seen; none where there are no witnesses.
    pub(crate) witnessed: Option<u64>,
}

impl Standing {
    /// Looks at everything once. Nothing is asked of the device.
    pub(crate) async fn of(platform: &Platform) -> Result<Self, Stop> {
        let at = now();
        let mut attention = Vec::new();
        let nameplate = platform.watch.nameplate();
        let (state, trouble) = match platform.watch.look(at) {
            hsm::Health::Working => ("working", None),
            hsm::Health::Reopening => {
                ("reopening", Some("鍵装置につなぎ直しています (reopening the key device)".into()))
            }
            hsm::Health::Lost { since, why } => (
                "lost",
                Some(format!(
                    "鍵装置が {} から応答しません: {why} (the key device is lost)",
                    since.rfc3339()
                )),
            ),
            hsm::Health::Barred { code } => (
                "barred",
                Some(format!(
                    "鍵装置に入れません [{code}]。原因を除いて起動し直してください (the key device does not let us in)"
                )),
            ),
        };
        attention.extend(trouble);
        let entries = platform.ledger.size();
        let witnessed = platform.ledger.witnessed().await?.as_deref().and_then(size_of);
        if witnessed.is_some_and(|seen| entries.saturating_sub(seen) > BEHIND_MAX) {
            attention.push("立会人が署名記録に追い付いていません (witnesses are behind)".into());
        }
        let pool =
            Pool { level: platform.custody.pool_level().await?, of: platform.config.pool_level };
        if pool.level * 10 < pool.of {
            attention.push(
                "作り置きの鍵が残りわずかです (the pool of keys made ahead is nearly empty)".into(),
            );
        }
        let undelivered = platform.ledger.undelivered().await?.len() as u64;
        if undelivered > 0 {
            attention.push(format!(
                "部屋の間で {undelivered} 通が届いていません (messages wait for delivery)"
            ));
        }
        let lists = platform.ca.lists().await?;
        let until = lists.iter().filter_map(|(_, list)| list.next_update()).min();
        if until.is_some_and(|until| until.since(at) == 0) {
            attention
                .push("期限の切れた失効リストがあります (a revocation list has run out)".into());
        }
        let mut alarms = BTreeMap::new();
        for alarm in platform.custody.alarms(at.minus(ALARMS_S)).await? {
            *alarms.entry(alarm.kind.name().to_owned()).or_insert(0) += 1;
        }
        if !alarms.is_empty() {
            attention.push(
                "一日以内に警報があります: azukari custody alarms (alarms within a day)".into(),
            );
        }
        Ok(Self {
            at: at.rfc3339(),
            device: Device {
                kind: nameplate.kind.clone(),
                token: nameplate.token.clone(),
                state: state.into(),
            },
            store: if platform.config.store.is_shared() { "postgres" } else { "sqlite" }.into(),
            keys: platform.custody.key_count().await?,
            pool,
            journal: Journal {
                entries,
                last: platform.ledger.last_time().map(hpki::time::Timestamp::rfc3339),
                witnessed,
            },
            undelivered,
            lists_until: until.map(hpki::time::Timestamp::rfc3339),
            alarms,
            attention,
        })
    }
}

/// The size in a checkpoint's second line (C2SP tlog-checkpoint).
fn size_of(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}
