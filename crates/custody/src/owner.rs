//! The owner rules her own key by a phone or My Number Card that is linked to it, or by her HPKI card:
//! she stops it, and starts it again where nobody else has stopped it. No desk, no officer, no institution.

use std::sync::Arc;

use approval::Approval;
use approval::statement::Statement as Said;
use hpki::encoding::Digest32;
use hpki::id::KeyId;
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Tx};
use serde::{Deserialize, Serialize};

use crate::believed::Believed;
use crate::key::{KeyRow, KeyState, StopReason, stops};
use crate::life::{TRIES, add_stop, lift};
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::{Failed as Bad, refused};

/// Outbox topic: the owner stopped her key, or started it again. The payload is an [`OwnerDecided`] as
/// JSON; it commits with the act, so that she is told whatever dies after it.
pub const TOPIC_OWNER_DECIDED: &str = "owner-decided";

/// What was done to a key at its owner's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerDecided {
    /// Which key.
    pub key: KeyId,
    /// Whether it was stopped; else it was started again.
    pub stopped: bool,
    /// When.
    pub at: Timestamp,
    /// What she approved, in hexadecimal: no two messages are the same.
    pub approval: String,
}

/// A decision of hers that was checked with this room's own eyes.
pub(crate) struct Decided {
    /// What she signed; each decision is taken once.
    pub(crate) grant: Digest32,
    pub(crate) key: KeyId,
    pub(crate) evidence: String,
    pub(crate) evidence_hash: Digest32,
    believed: Believed,
}

impl Custody {
    /// Stops a key as its owner approved it, after checking that with this room's own eyes. From this commit, which keeps and journals the evidence, the key signs nothing; it is
    /// unloaded and its open budgets end. A key that she has stopped already stays so.
    ///
    /// Refused: what `Inner::believed` refuses; `approval-elsewhere`, `key-unknown`,
    /// `key-wrong-state` (destroyed), `decision-spent`.
    pub async fn stop_by_owner(&self, approval: &Approval, now: Timestamp) -> Result<(), Bad> {
        let inner = &*self.0;
        if !matches!(approval.statement, Said::Stop(_)) {
            return refused(approval::Refusal::EvidenceWrong("statement"));
        }
        let decided = Arc::new(inner.decided(approval, now).await?);
        let key = decided.key;
        let stop = |row: &mut KeyRow| add_stop(row, StopReason::Owner, now);
        inner.carry_out_for_owner(approval, decided, Event::KeySuspended, now, stop).await?;
        inner.end_budgets_of(key, None, now).await
    }

    /// Starts a key again that its owner, and nobody else, has stopped: as she approved it on her
    /// phone, or by card where no phone is linked. What was ended when she stopped it stays ended; she authenticates anew.
    ///
    /// If we die before the commit the key is still stopped and she asks again; after it the key can
    /// be used, and the journal has her evidence.
    ///
    /// Refused: as for a stop; `phone-needed` for an approval by card beside a linked phone;
    /// `key-wrong-state` for a key that is not stopped,
    /// `key-stopped-by-others` where the desk, a revocation, its expiry or a failed self-check stops
    /// it too.
    pub async fn restart_by_owner(&self, approval: &Approval, now: Timestamp) -> Result<(), Bad> {
        let inner = &*self.0;
        if !matches!(approval.statement, Said::Restart(_)) {
            return refused(approval::Refusal::EvidenceWrong("statement"));
        }
        let decided = Arc::new(inner.decided(approval, now).await?);
        inner.phone_decides(approval, now).await?;
        let start = |row: &mut KeyRow| {
            if row.state != KeyState::Suspended {
                return Err(Refusal::KeyWrongState(row.state.name()));
            }
            if stops(&row.reason) != [StopReason::Owner] {
                return Err(Refusal::KeyStoppedByOthers);
            }
            lift(row);
            Ok(true)
        };
        inner.carry_out_for_owner(approval, decided, Event::KeyResumed, now, start).await
    }
}

impl Inner {
    /// Checks an owner's approval about her own key.
    pub(crate) async fn decided(
        &self,
        approval: &Approval,
        now: Timestamp,
    ) -> Result<Decided, Bad> {
        let said = &approval.statement;
        if said.issuer() != self.config.issuer {
            return refused(Refusal::ApprovalElsewhere);
        }
        let believed = self.believed(approval, now).await?;
        let evidence = serde_json::to_string(approval)
            .map_err(|error| Fault::Misuse(format!("an approval cannot be kept: {error}")))?;
        Ok(Decided {
            grant: approval.grant(),
            key: said.key(),
            evidence,
            evidence_hash: approval.evidence_hash(),
            believed,
        })
    }

    /// Changes her key's row as she decided, in the commit that keeps and journals her evidence.
    /// Nothing happens where `change` finds that it is so already.
    async fn carry_out_for_owner(
        &self,
        approval: &Approval,
        decided: Arc<Decided>,
        event: Event,
        now: Timestamp,
        change: impl Fn(&mut KeyRow) -> Result<bool, Refusal>,
    ) -> Result<(), Bad> {
        for _ in 0..TRIES {
            let before = self.key_row(decided.key).await?;
            if before.owner != approval.statement.person() {
                return refused(Refusal::KeyUnknown);
            }
            let mut after = before.clone();
            if !change(&mut after).map_err(Failed::Refused)? {
                return Ok(());
            }
            let work = Arc::clone(&decided);
            let stopped = event == Event::KeySuspended;
            let keep = move |tx: &Tx<'_>| {
                work.keep(tx, event.name(), now)?;
                work.believed.hold(tx)?;
                let told = OwnerDecided {
                    key: work.key,
                    stopped,
                    at: now,
                    approval: hex::encode(work.grant),
                };
                let told = serde_json::to_string(&told)
                    .map_err(|error| Fault::Misuse(format!("a message as JSON: {error}")))?;
                Ok(tx.outbox(TOPIC_OWNER_DECIDED, None, &told)?)
            };
            let hash = decided.evidence_hash;
            match self.carry_out_on_key(before, after, event, hash, now, keep).await {
                Ok(_) => return Ok(()),
                // Somebody else changed the key at the same moment: judged anew.
                Err(Failed::Refused(Refusal::DirectiveMoved)) => {}
                Err(failed) => return Err(failed),
            }
        }
        Err(Fault::Misuse("a key's row changes all the time".into()).into())
    }
}

impl Decided {
    /// Keeps the evidence, whose hash the entry that commits with it holds; once.
    pub(crate) fn keep(
        &self,
        tx: &Tx<'_>,
        what: &str,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let fresh = tx.exec(
            "INSERT INTO custody_decision (approval, kept, what, decided, evidence, leaf)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            &[
                (&self.grant).into(),
                self.key.into(),
                what.into(),
                now.into(),
                (&self.evidence).into(),
                tx.next_index()?.into(),
            ],
        )?;
        if fresh == 1 { Ok(()) } else { Err(Failed::Refused(Refusal::DecisionSpent)) }
    }
}
