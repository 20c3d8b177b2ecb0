//! The end of a key: destroyed before two witnesses, with a statement that says who, when, which
//! key, and what becomes of every copy in a backup.
//!
//! A certificate that has expired or was revoked ends its key by itself: it is stopped at once, and
//! destroyed some days later under a standing directive of two officers.

use std::fmt::Write as _;
use std::sync::Arc;

use hpki::encoding::sha256;
use hpki::id::{DirectiveId, KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Tx};
use serde::{Deserialize, Serialize};

use crate::directive::{Act, BackupCopy, Confirmation, Ready};
use crate::key::{KeyRow, KeyState, Purpose, StopReason, stops};
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::{Failed as Bad, refused};

/// The statement that a key was destroyed. Its JSON is what the journal's entry has the hash of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destruction {
    /// 1.
    pub v: u32,
    /// `key-destroyed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The platform.
    pub platform: String,
    /// Which key.
    pub key: KeyId,
    /// Whose.
    pub owner: PersonId,
    /// For which qualification.
    pub role: String,
    /// What it was for.
    pub purpose: Purpose,
    /// SHA-256 of its public key, in hexadecimal.
    pub spki_sha256: String,
    /// SHA-256 of its certificate, if it had one.
    pub certificate_sha256: Option<String>,
    /// SHA-256 of its wrapped form, which is overwritten with zeros.
    pub wrapped_sha256: String,
    /// When it was made or imported.
    pub created: Timestamp,
    /// When it was destroyed.
    pub destroyed: Timestamp,
    /// Why.
    pub reason: String,
    /// The directive by which.
    pub directive: DirectiveId,
    /// Who decided and witnessed it, with their signatures.
    pub witnesses: Vec<Confirmation>,
    /// Every backup that holds the wrapped key, and how each copy ends.
    pub backups: Vec<BackupCopy>,
}

/// A paper of this room: its words, and the proof that the journal has their hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paper {
    /// JSON; the journal's entry has its SHA-256 as evidence.
    pub words: String,
    /// Where the journal has it.
    pub index: u64,
    /// `c2sp.org/tlog-proof@v1`, signed by the log's key.
    pub proof: String,
}

/// What the end of keys did in one round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retired {
    /// Keys that were stopped because their certificates had expired.
    pub stopped: Vec<KeyId>,
    /// Keys that were destroyed.
    pub destroyed: Vec<KeyId>,
    /// Whether a confirmed standing directive was there to destroy by.
    pub directed: bool,
}

/// Keys looked at in one round, so that a round stays short.
const ROUND: u32 = 100;

impl Destruction {
    /// As a person reads it, in Japanese and English.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "鍵の廃棄証明 (statement of a key's destruction)");
        let _ = writeln!(out, "  鍵 (key)         {}", self.key);
        let _ = writeln!(out, "  所有者 (owner)   {}  {}", self.owner, self.role);
        let _ = writeln!(out, "  公開鍵 (SPKI)    sha256 {}", self.spki_sha256);
        let _ = writeln!(out, "  作成 (made)      {}", self.created.rfc3339());
        let _ = writeln!(out, "  廃棄 (destroyed) {}", self.destroyed.rfc3339());
        let _ = writeln!(out, "  理由 (reason)    {}", self.reason);
        let _ = writeln!(out, "  指図 (directive) {}", self.directive);
        for witness in &self.witnesses {
            let _ = writeln!(
                out,
                "  立会 (witness)   {}（{}）  {}",
                witness.name,
                witness.role.ja(),
                witness.at.rfc3339()
            );
        }
        if self.backups.is_empty() {
            let _ = writeln!(out, "  控え (backups)   ありません (none holds it)");
        }
        for copy in &self.backups {
            let _ = writeln!(
                out,
                "  控え (backup)    {}: {}（{} まで）",
                copy.backup,
                copy.end,
                copy.by.rfc3339()
            );
        }
        out
    }
}

impl Custody {
    /// Destroys a key by a directive of two officers, its witnesses: the wrapped form is overwritten
    /// with zeros, the row stays as a record, the statement is kept and proven.
    ///
    /// Refused: what a directive is refused for; `key-wrong-state` for a key that is held (stop it
    /// first) or destroyed.
    pub async fn destroy(&self, directive: DirectiveId, now: Timestamp) -> Result<Paper, Bad> {
        let inner = &*self.0;
        let ready = inner.ready(directive, now).await?;
        let Act::Destroy { key, reason, backups } = ready.directive.act.clone() else {
            return refused(Refusal::DirectiveOfAnotherAct);
        };
        inner.destroy(Arc::new(ready), true, key, reason, backups, now).await
    }

    /// The statement of a key's destruction.
    pub async fn destruction(&self, key: KeyId) -> Result<Paper, Bad> {
        self.0.paper(key, "destruction").await
    }

    /// One round of the automatic end: stops keys whose certificates have expired, and destroys
    /// those that ended long enough ago, if a confirmed standing directive says so.
    pub async fn retire(&self, now: Timestamp) -> Result<Retired, Bad> {
        let inner = &*self.0;
        let mut retired = Retired::default();
        let expired = inner
            .keys_where(
                format!("not_after < $1 AND ended IS NULL AND state <> 'destroyed' LIMIT {ROUND}"),
                now,
            )
            .await?;
        for key in expired {
            inner.stop(key, StopReason::Expired, Event::KeySuspended, now).await?;
            retired.stopped.push(key);
        }
        let Some(ready) = inner.standing(now).await? else { return Ok(retired) };
        retired.directed = true;
        let Act::Retire { days, backups } = ready.directive.act.clone() else {
            return Ok(retired);
        };
        let ready = Arc::new(ready);
        let long_ago = now.minus(u64::from(days) * 86_400);
        let due = inner
            .keys_where(format!("ended <= $1 AND state = 'suspended' LIMIT {ROUND}"), long_ago)
            .await?;
        for key in due {
            let reasons = stops(&inner.key_row(key).await?.reason);
            // A key that was frozen is evidence: people decide about it.
            if reasons.contains(&StopReason::SelfCheck) {
                continue;
            }
            let reason = if reasons.contains(&StopReason::Revoked) { "revoked" } else { "expired" };
            let reason = reason.to_owned();
            inner.destroy(Arc::clone(&ready), false, key, reason, backups.clone(), now).await?;
            retired.destroyed.push(key);
        }
        Ok(retired)
    }
}

impl Inner {
    async fn keys_where(&self, condition: String, time: Timestamp) -> Result<Vec<KeyId>, Bad> {
        self.ledger
            .read(move |tx| {
                let sql = format!("SELECT id FROM custody_key WHERE {condition}");
                let rows = tx.query(&sql, &[time.into()])?;
                rows.iter().map(|row| Ok(KeyId::from_octets(row.array(0)?))).collect()
            })
            .await
    }

    /// The newest standing directive that was confirmed and has not ended.
    async fn standing(&self, now: Timestamp) -> Result<Option<Ready>, Bad> {
        let ids =
            self.ledger
                .read(move |tx| {
                    let sql = "SELECT id FROM custody_directive
                           WHERE act = 'retire' AND closed IS NULL AND until > $1
                           ORDER BY opened DESC";
                    let rows = tx.query(sql, &[now.into()])?;
                    rows.iter()
                        .map(|row| Ok(DirectiveId::from_octets(row.array(0)?)))
                        .collect::<Result<Vec<_>, Failed<Refusal>>>()
                })
                .await?;
        for id in ids {
            match self.ready(id, now).await {
                Ok(ready) if matches!(ready.directive.act, Act::Retire { .. }) => {
                    return Ok(Some(ready));
                }
                Ok(_)
                | Err(Failed::Refused(
                    Refusal::DirectiveNotConfirmed
                    | Refusal::OfficerDismissed
                    | Refusal::OfficerRoleWrong,
                )) => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(None)
    }

    /// The one way in which a key is destroyed. `close`: the directive was for this key alone.
    async fn destroy(
        &self,
        ready: Arc<Ready>,
        close: bool,
        key: KeyId,
        reason: String,
        backups: Vec<BackupCopy>,
        now: Timestamp,
    ) -> Result<Paper, Bad> {
        let before = self.key_row(key).await?;
        if matches!(before.state, KeyState::Held | KeyState::Destroyed) {
            return refused(Refusal::KeyWrongState(before.state.name()));
        }
        let statement = self.destruction_of(&ready, &before, reason, backups, now);
        let words = serde_json::to_string(&statement)
            .map_err(|error| Fault::Misuse(format!("a statement cannot be written: {error}")))?;
        let mut after = before.clone();
        after.state = KeyState::Destroyed;
        // Zeros of the same length take the place of the blob in the store's own page.
        after.wrapped = vec![0; before.wrapped.len()];
        after.ended = after.ended.or(Some(now));
        let (evidence, kept) = (sha256(words.as_bytes()), words.clone());
        let receipt = self
            .carry_out_on_key(before, after, Event::KeyDestroyed, evidence, now, move |tx| {
                if close {
                    ready.close(tx)?
                } else {
                    ready.stands(tx)?
                }
                keep(tx, key, "destruction", &kept)?;
                Ok(())
            })
            .await?;
        Ok(Paper { words, index: receipt.index(), proof: receipt.proof() })
    }

    fn destruction_of(
        &self,
        ready: &Ready,
        row: &KeyRow,
        reason: String,
        backups: Vec<BackupCopy>,
        now: Timestamp,
    ) -> Destruction {
        Destruction {
            v: 1,
            kind: "key-destroyed".into(),
            platform: self.config.issuer.clone(),
            key: row.id,
            owner: row.owner,
            role: row.qualification.role().unwrap_or_default().to_owned(),
            purpose: row.purpose,
            spki_sha256: hex::encode(sha256(&row.spki)),
            certificate_sha256: row.certificate.as_ref().map(|der| hex::encode(sha256(der))),
            wrapped_sha256: hex::encode(sha256(&row.wrapped)),
            created: row.created,
            destroyed: now,
            reason,
            directive: ready.directive.id,
            witnesses: ready.directive.confirmations.clone(),
            backups,
        }
    }

    /// A paper with a fresh proof.
    pub(crate) async fn paper(&self, key: KeyId, what: &'static str) -> Result<Paper, Bad> {
        let found = self
            .ledger
            .read(move |tx| {
                let sql = "SELECT words, idx FROM custody_paper WHERE kept = $1 AND what = $2";
                let row = tx.query_opt(sql, &[key.into(), what.into()])?;
                row.map(|row| Ok((row.text(0)?.to_owned(), row.number(1)?))).transpose()
            })
            .await?;
        let Some((words, index)) = found else { return refused(Refusal::PaperUnknown) };
        let proof = self.ledger.prove(index).await.map_err(|failed| match failed {
            Failed::Refused(refusal) => Failed::Fault(Fault::Unproven(refusal.to_string())),
            Failed::Fault(fault) => Failed::Fault(fault),
        })?;
        Ok(Paper { words, index, proof })
    }
}

/// Keeps a paper with the entry that commits with it.
pub(crate) fn keep(tx: &Tx<'_>, key: KeyId, what: &str, words: &str) -> Result<(), Fault> {
    tx.exec(
        "INSERT INTO custody_paper (kept, what, words, idx) VALUES ($1, $2, $3, $4)",
        &[key.into(), what.into(), words.into(), tx.next_index()?.into()],
    )?;
    Ok(())
}
