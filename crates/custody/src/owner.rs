//! The owner stops her own key by a phone that is linked to it. No desk, no officer, no institution.

use std::sync::Arc;

use approval::Approval;
use approval::statement::Statement as Said;
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault};

use crate::key::StopReason;
use crate::life::{TRIES, add_stop};
use crate::refusal::Refusal;
use crate::room::Custody;
use crate::{Failed as Bad, refused};

impl Custody {
    /// Stops a key as its owner approved it, after checking that against this room's own copy of her
    /// phone. From this commit, which keeps and journals the evidence, the key signs nothing; it is
    /// unloaded and its open budgets end. A key that she has stopped already stays so.
    ///
    /// Refused: what `approval::check` refuses; `approval-elsewhere`, `binding-unknown`,
    /// `binding-ended`, `key-unknown`, `key-wrong-state` (destroyed), `stop-spent`.
    pub async fn stop_by_owner(&self, approval: &Approval, now: Timestamp) -> Result<(), Bad> {
        let inner = &*self.0;
        let Said::Stop(said) = &approval.statement else {
            return refused(approval::Refusal::EvidenceWrong("statement"));
        };
        if said.issuer != inner.config.issuer {
            return refused(Refusal::ApprovalElsewhere);
        }
        let binding = inner.binding(approval.binding).await?;
        if binding.person != said.person || binding.key != said.key {
            return refused(Refusal::BindingUnknown);
        }
        let outcome = approval::check(approval, &binding.credential(), &inner.config.rp)
            .map_err(|refusal| Failed::Refused(refusal.into()))?;
        let evidence = serde_json::to_string(approval)
            .map_err(|error| Fault::Misuse(format!("an approval cannot be kept: {error}")))?;
        let (key, hash) = (said.key, approval.evidence_hash());
        let work =
            Arc::new((approval.grant(), evidence, binding.id, binding.seal, outcome.sign_count));
        for _ in 0..TRIES {
            let before = inner.key_row(key).await?;
            if before.owner != said.person {
                return refused(Refusal::KeyUnknown);
            }
            let mut after = before.clone();
            if !add_stop(&mut after, StopReason::Owner, now).map_err(Failed::Refused)? {
                return inner.end_budgets_of(key, None, now).await;
            }
            let work = Arc::clone(&work);
            let stopped = inner
                .carry_out_on_key(before, after, Event::KeySuspended, hash, now, move |tx| {
                    let (grant, evidence, binding, seal, counter) = &*work;
                    let fresh = tx.exec(
                        "INSERT INTO custody_owner_stop (approval, kept, stopped, evidence, leaf)
                         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                        &[
                            grant.into(),
                            key.into(),
                            now.into(),
                            evidence.into(),
                            tx.next_index()?.into(),
                        ],
                    )?;
                    if fresh != 1 {
                        return Err(Failed::Refused(Refusal::StopSpent));
                    }
                    // The counter is raised under the seal that was checked: a phone that was
                    // unlinked meanwhile stops nothing.
                    let raised = tx.exec(
                        "UPDATE custody_binding
                         SET counter = CASE WHEN counter < $2 THEN $2 ELSE counter END
                         WHERE id = $1 AND seal = $3",
                        &[(*binding).into(), (*counter).into(), seal.into()],
                    )?;
                    if raised == 1 { Ok(()) } else { Err(Failed::Refused(Refusal::BindingEnded)) }
                })
                .await;
            match stopped {
                Ok(_) => return inner.end_budgets_of(key, None, now).await,
                // Somebody else changed the key at the same moment: judged anew.
                Err(Failed::Refused(Refusal::DirectiveMoved)) => {}
                Err(failed) => return Err(failed),
            }
        }
        Err(Fault::Misuse("a key's row changes all the time".into()).into())
    }
}
