//! What officers of the authority's desk decide about a key: stopping it (one officer), lifting the
//! desk's own stop (two). This room keeps its own sealed copy of their passkeys and verifies each
//! approval itself, as it does with owners' phones.

use std::sync::Arc;

use approval::{
    Credential, DeskAct, DeskApproval, DeskStatement, OfficerEvidence, check_desk, check_officer,
    order_evidence,
};
use hpki::encoding::{Digest32, Statement};
use hpki::id::{DeskOrderId, OfficerId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record, Row, Tx};

use crate::key::{KeyRow, KeyState, StopReason, stops};
use crate::life::{TRIES, add_stop};
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::{Failed as Bad, refused};

/// Our own copy of an officer's passkey. `counter` is as of reading; the rest is sealed.
#[derive(Clone)]
struct OfficerRow {
    id: OfficerId,
    credential: Credential,
    evidence: Digest32,
    enrolled: Timestamp,
    dismissed: Option<Timestamp>,
    counter: u32,
    seal: Vec<u8>,
}

impl OfficerRow {
    fn public_key(&self) -> Result<String, Fault> {
        serde_json::to_string(&self.credential)
            .map_err(|error| Fault::Misuse(format!("a credential cannot be kept: {error}")))
    }

    fn statement(&self) -> Result<Statement, Fault> {
        let dismissed = self.dismissed.map(|time| time.seconds().to_be_bytes());
        Ok(Statement::new("azukari/seal/v1")
            .text("custody_desk_officer")
            .octets_field(self.id.octets())
            .text(&self.public_key()?)
            .octets_field(&self.evidence)
            .time(self.enrolled)
            .optional(dismissed.as_ref().map(<[u8; 8]>::as_slice)))
    }

    fn read(tx: &Tx<'_>, id: OfficerId) -> Result<Option<Self>, Fault> {
        let sql = "SELECT public_key, evidence, enrolled, dismissed, counter, seal
                   FROM custody_desk_officer WHERE id = $1";
        let odd = |what: &str| Fault::Row(format!("custody_desk_officer: {what}"));
        let read = |row: Row| {
            Ok(Self {
                id,
                credential: serde_json::from_slice(row.blob(0)?).map_err(|_| odd("credential"))?,
                evidence: row.array(1)?,
                enrolled: row.time(2)?,
                dismissed: row.opt_time(3)?,
                counter: u32::try_from(row.number(4)?).map_err(|_| odd("counter"))?,
                seal: row.blob(5)?.to_vec(),
            })
        };
        tx.query_opt(sql, &[id.octets().into()])?.map(read).transpose()
    }

    fn insert(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let changed = tx.exec(
            "INSERT INTO custody_desk_officer (id, public_key, evidence, enrolled, dismissed,
                 counter, seal) VALUES ($1, $2, $3, $4, NULL, $5, $6) ON CONFLICT DO NOTHING",
            &[
                self.id.octets().into(),
                self.public_key()?.into_bytes().into(),
                (&self.evidence).into(),
                self.enrolled.into(),
                self.counter.into(),
                (&self.seal).into(),
            ],
        )?;
        Ok(changed == 1)
    }

    /// Raises the counter under the seal that was checked: an officer who was dismissed meanwhile
    /// decides nothing.
    fn count(&self, tx: &Tx<'_>, counter: u32) -> Result<(), Failed<Refusal>> {
        let raised = tx.exec(
            "UPDATE custody_desk_officer
             SET counter = CASE WHEN counter < $2 THEN $2 ELSE counter END
             WHERE id = $1 AND seal = $3",
            &[self.id.octets().into(), counter.into(), (&self.seal).into()],
        )?;
        if raised == 1 { Ok(()) } else { Err(Failed::Refused(Refusal::OfficerDismissed)) }
    }
}

/// What the approvals are for, if enough different officers say the same.
fn agreed(approvals: &[DeskApproval]) -> Result<&DeskStatement, Refusal> {
    let wrong = |what| Refusal::Approval(approval::Refusal::EvidenceWrong(what));
    let Some((first, others)) = approvals.split_first() else { return Err(wrong("approvals")) };
    let said = &first.statement;
    if others.iter().any(|other| !said.agrees_with(&other.statement)) {
        return Err(wrong("statement"));
    }
    let mut officers: Vec<_> = approvals.iter().map(|given| given.statement.officer).collect();
    officers.sort_unstable();
    officers.dedup();
    if officers.len() < approvals.len() || officers.len() < said.act.officers() {
        return Err(Refusal::OfficersTooFew);
    }
    Ok(said)
}

/// The row as the act leaves it; nothing where it is so already.
fn changed(
    before: &KeyRow,
    act: DeskAct,
    now: Timestamp,
) -> Result<Option<(KeyRow, Event)>, Refusal> {
    let mut after = before.clone();
    match act {
        DeskAct::Suspend => {
            let stopped = add_stop(&mut after, StopReason::Desk, now)?;
            Ok(stopped.then_some((after, Event::KeySuspended)))
        }
        DeskAct::Resume => {
            let mut reasons = stops(&before.reason);
            let held = reasons.len();
            // Her own stop is the owner's to lift; a revocation is nobody's.
            reasons.retain(|reason| *reason != StopReason::Desk);
            if before.state != KeyState::Suspended || reasons.len() == held {
                return Err(Refusal::KeyWrongState(before.state.name()));
            }
            after.reason = reasons.iter().map(|reason| reason.name()).collect::<Vec<_>>().join(",");
            if reasons.is_empty() {
                after.state =
                    if after.certificate.is_some() { KeyState::Held } else { KeyState::Generated };
            }
            // Somebody else's stop holds on: then nothing begins again.
            let event = match after.state {
                KeyState::Suspended => Event::DeskDecided,
                _ => Event::KeyResumed,
            };
            Ok(Some((after, event)))
        }
        DeskAct::Loss | DeskAct::Sheet | DeskAct::Session => {
            Err(Refusal::Approval(approval::Refusal::EvidenceWrong("act")))
        }
    }
}

/// Keeps the evidence of an order, which is carried out now, and raises the officers' counters.
fn spend(
    tx: &Tx<'_>,
    said: &DeskStatement,
    (officers, evidence): &(Vec<(OfficerRow, u32)>, String),
    now: Timestamp,
    leaf: Option<u64>,
) -> Result<(), Failed<Refusal>> {
    tx.exec(
        "INSERT INTO custody_desk_act (id, kept, act, carried, evidence, leaf)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            said.order.octets().into(),
            said.key.into(),
            said.act.name().into(),
            now.into(),
            evidence.into(),
            leaf.into(),
        ],
    )?;
    officers.iter().try_for_each(|(row, counter)| row.count(tx, *counter))
}

impl Custody {
    /// Verifies that somebody became an officer of the desk and keeps this room's own sealed copy of
    /// her passkey. The same evidence again changes nothing.
    ///
    /// Refused: what `approval::check_officer` refuses, `approval-elsewhere`,
    /// `officer-already-enrolled`.
    pub async fn accept_desk_officer(
        &self,
        evidence: &OfficerEvidence,
        now: Timestamp,
    ) -> Result<(), Bad> {
        let inner = &*self.0;
        if evidence.statement.issuer != inner.config.issuer {
            return refused(Refusal::ApprovalElsewhere);
        }
        let credential = check_officer(evidence, &inner.config.rp)
            .map_err(|refusal| Failed::Refused(refusal.into()))?;
        let mut row = OfficerRow {
            id: evidence.statement.officer,
            counter: credential.sign_count,
            credential,
            evidence: evidence.evidence_hash(),
            enrolled: evidence.enrolled,
            dismissed: None,
            seal: Vec::new(),
        };
        row.seal = inner.room.seal(&row.statement()?)?.to_vec();
        if let Some(known) = inner.desk_officer_row(row.id).await? {
            let same = known.evidence == row.evidence;
            return if same { Ok(()) } else { refused(Refusal::OfficerAlreadyEnrolled) };
        }
        let mut record = Record::new(Event::OfficerEnrolled, row.id.stream(), now);
        record.evidence = Some(row.evidence);
        let work = Arc::new((row, record));
        inner
            .ledger
            .record(move |tx| {
                if work.0.insert(tx)? {
                    Ok(((), Note(work.1.clone())))
                } else {
                    Err(Failed::Refused(Refusal::OfficerAlreadyEnrolled))
                }
            })
            .await?;
        Ok(())
    }

    /// An officer of the desk is one no more. Again changes nothing.
    ///
    /// Refused: `officer-unknown`.
    pub async fn end_desk_officer(&self, id: OfficerId, now: Timestamp) -> Result<(), Bad> {
        let inner = &*self.0;
        let Some(before) = inner.desk_officer_row(id).await? else {
            return refused(Refusal::OfficerUnknown);
        };
        if before.dismissed.is_some() {
            return Ok(());
        }
        let mut after = before.clone();
        after.dismissed = Some(now);
        after.seal = inner.room.seal(&after.statement()?)?.to_vec();
        let record = Record::new(Event::OfficerDismissed, id.stream(), now);
        inner
            .ledger
            .record(move |tx| {
                tx.exec(
                    "UPDATE custody_desk_officer SET dismissed = $2, seal = $3 WHERE id = $1",
                    &[id.octets().into(), now.into(), (&after.seal).into()],
                )?;
                Ok::<_, Failed<Refusal>>(((), Note(record.clone())))
            })
            .await?;
        Ok(())
    }

    /// Carries out what officers of the desk approved about a key, after checking each approval
    /// against this room's own copy of their passkeys. The evidence is kept in the same commit, and
    /// an order is carried out once: again changes nothing, whatever happened to the key since.
    ///
    /// Refused: what `approval::check_desk` refuses; `approval-elsewhere`, `evidence-wrong` (they do
    /// not say the same), `officers-too-few`, `officer-unknown`, `officer-dismissed`, `key-unknown`,
    /// `key-wrong-state` (destroyed; nothing of the desk's to lift).
    pub async fn carry_out_desk(
        &self,
        approvals: &[DeskApproval],
        now: Timestamp,
    ) -> Result<(), Bad> {
        let inner = &*self.0;
        let said = agreed(approvals).map_err(Failed::Refused)?.clone();
        if said.issuer != inner.config.issuer {
            return refused(Refusal::ApprovalElsewhere);
        }
        if inner.desk_act_done(said.order).await? {
            return inner.end_if_stopped(&said, now).await;
        }
        let mut officers = Vec::new();
        for approval in approvals {
            let row = match inner.desk_officer_row(approval.statement.officer).await? {
                None => return refused(Refusal::OfficerUnknown),
                Some(row) if row.dismissed.is_some() => return refused(Refusal::OfficerDismissed),
                Some(row) => row,
            };
            let mut credential = row.credential.clone();
            credential.sign_count = row.counter;
            let outcome = check_desk(approval, &credential, &inner.config.rp)
                .map_err(|refusal| Failed::Refused(refusal.into()))?;
            officers.push((row, outcome.sign_count));
        }
        let evidence = serde_json::to_string(approvals)
            .map_err(|error| Fault::Misuse(format!("approvals cannot be kept: {error}")))?;
        let hash = order_evidence(approvals);
        let work = Arc::new((officers, evidence));
        for _ in 0..TRIES {
            let before = inner.key_row(said.key).await?;
            if before.owner != said.person {
                return refused(Refusal::KeyUnknown);
            }
            let change = changed(&before, said.act, now).map_err(Failed::Refused)?;
            let (work, order) = (Arc::clone(&work), said.clone());
            let Some((after, event)) = change else {
                // Nothing to change, and yet the order is spent: it stops nothing a second time.
                let spend = move |tx: &mut Tx<'_>| spend(tx, &order, &work, now, None);
                inner.ledger.write(spend).await?;
                return inner.end_if_stopped(&said, now).await;
            };
            let carried = inner
                .carry_out_on_key(before, after, event, hash, now, move |tx| {
                    spend(tx, &order, &work, now, Some(tx.next_index()?))
                })
                .await;
            match carried {
                Ok(_) => return inner.end_if_stopped(&said, now).await,
                // Somebody else changed the key at the same moment: judged anew.
                Err(Failed::Refused(Refusal::DirectiveMoved)) => {}
                Err(failed) => return Err(failed),
            }
        }
        Err(Fault::Misuse("a key's row changes all the time".into()).into())
    }
}

impl Inner {
    async fn desk_officer_row(&self, id: OfficerId) -> Result<Option<OfficerRow>, Bad> {
        let row = self.ledger.read(move |tx| Ok(OfficerRow::read(tx, id)?)).await?;
        match row {
            Some(row) if !self.room.seal_holds(&row.statement()?, &row.seal)? => {
                refused(Refusal::SealBroken("custody_desk_officer"))
            }
            found => Ok(found),
        }
    }

    async fn desk_act_done(&self, id: DeskOrderId) -> Result<bool, Bad> {
        let sql = "SELECT 1 FROM custody_desk_act WHERE id = $1";
        let known = |row: Option<Row>| row.is_some();
        self.ledger.read(move |tx| Ok(known(tx.query_opt(sql, &[id.octets().into()])?))).await
    }

    /// Open budgets of a key that was stopped end; also for one who died before it came to that.
    async fn end_if_stopped(&self, said: &DeskStatement, now: Timestamp) -> Result<(), Bad> {
        match said.act {
            DeskAct::Suspend => self.end_budgets_of(said.key, None, now).await,
            _ => Ok(()),
        }
    }
}
