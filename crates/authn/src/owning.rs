//! What the owner decides on her page: to stop her key, to start it again, that her phone is lost,
//! that an entry of the journal was not her doing. Each is approved by her passkey at that moment,
//! never by the visit alone. Stopping and starting are custody's to carry out, after checking the
//! approval again; the others are carried out here, with the evidence kept.

use std::sync::Arc;

use approval::{Approval, DisputeStatement, LossStatement, RestartStatement, Statement};
use hpki::encoding::Digest32;
use hpki::id::{KeyId, TokenId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record, Tx};
use serde_json::Value;
use wire::OwnerAskAnswer;

use crate::answered::Answered;
use crate::linking::unlink_in;
use crate::notice::{NoticeKind, tell};
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::session::Session;
use crate::visit::Visit;

/// What she wants to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnersAct {
    /// Stop her key.
    Stop,
    /// Start it again.
    Restart,
    /// Her phone is lost, or not hers alone any more.
    Loss,
    /// This entry of her key's stream was not her doing.
    Dispute {
        /// Where it stands in the journal.
        index: u64,
        /// What it commits to.
        commitment: Digest32,
    },
}

impl Authn {
    /// Asks her phone to approve this.
    ///
    /// # Errors
    /// A fault.
    pub fn ask_owner(
        &self,
        visit: &Visit,
        act: OwnersAct,
        now: Timestamp,
    ) -> Result<OwnerAskAnswer, Failed<Refusal>> {
        let binding = visit.phone()?;
        let (issuer, rp_id) = (self.config.issuer.clone(), self.config.rp_id.clone());
        let (nonce, person, key) = (self.nonce(), binding.person, binding.key);
        let statement = match act {
            OwnersAct::Stop => Statement::Stop(self.stop_statement(binding)),
            OwnersAct::Restart => {
                Statement::Restart(RestartStatement { issuer, rp_id, nonce, person, key })
            }
            OwnersAct::Loss => Statement::Loss(LossStatement { issuer, rp_id, nonce, person, key }),
            OwnersAct::Dispute { index, commitment } => Statement::Dispute(DisputeStatement {
                issuer,
                rp_id,
                nonce,
                person,
                key,
                index,
                commitment,
            }),
        };
        self.ask(binding, statement, now)
    }

    /// Her answer. A stop or restart is given to custody by it, after it was counted; a loss, a
    /// dispute or a change of phones is carried out here in the same commit.
    ///
    /// # Errors
    /// `question-unknown` if she was not asked or has answered, `question-expired` after two
    /// minutes; whatever `approval` refuses of the assertion; what the act itself refuses.
    pub async fn owner_answers(
        &self,
        visit: &Visit,
        credential: &Value,
        now: Timestamp,
    ) -> Result<Approval, Failed<Refusal>> {
        let answered = self.answered(visit.phone()?, credential, now)?;
        match &answered.approval.statement {
            Statement::Stop(_) | Statement::Restart(_) => self.counted(answered).await,
            Statement::Loss(_) => self.lose(answered, now).await,
            Statement::Dispute(_) => self.dispute(answered, now).await,
            Statement::Change(_) => self.change(answered, now).await,
            _ => Err(Failed::Refused(Refusal::QuestionUnknown)),
        }
    }

    /// Counts an answer that another room carries out.
    pub(crate) async fn counted(&self, answered: Answered) -> Result<Approval, Failed<Refusal>> {
        let answered = Arc::new(answered);
        let work = Arc::clone(&answered);
        self.ledger.write(move |tx| work.count(tx)).await?;
        self.close_question(&answered.approval);
        Ok(answered.approval.clone())
    }

    /// The phone is unlinked and every session ended, in the commit that keeps her report.
    async fn lose(&self, answered: Answered, now: Timestamp) -> Result<Approval, Failed<Refusal>> {
        let answered = Arc::new(answered);
        let (work, desk) = (Arc::clone(&answered), Arc::clone(&self.desk));
        let key = answered.approval.statement.key();
        let hash = answered.approval.evidence_hash();
        self.ledger
            .record(move |tx| {
                work.count(tx)?;
                keep(tx, &work.approval, "phone.lost", now)?;
                let (_, mut record) = unlink_in(tx, key, &desk, now)?;
                record.evidence = Some(hash);
                tell(tx, key, NoticeKind::PhoneLost, "", now)?;
                Ok(((), Note(record)))
            })
            .await?;
        self.close_question(&answered.approval);
        self.forget_ceremonies(key);
        Ok(answered.approval.clone())
    }

    /// Her denial is kept with the entry that it is about, and journalled in the same stream.
    async fn dispute(
        &self,
        answered: Answered,
        now: Timestamp,
    ) -> Result<Approval, Failed<Refusal>> {
        let Statement::Dispute(said) = answered.approval.statement.clone() else {
            return Err(Failed::Refused(Refusal::QuestionUnknown));
        };
        let answered = Arc::new(answered);
        let work = Arc::clone(&answered);
        self.ledger
            .record(move |tx| {
                work.count(tx)?;
                keep(tx, &work.approval, "entry.disputed", now)?;
                let fresh = tx.exec(
                    "INSERT INTO authn_dispute (key, idx, at) VALUES ($1, $2, $3)
                     ON CONFLICT DO NOTHING",
                    &[said.key.into(), said.index.into(), now.into()],
                )?;
                if fresh != 1 {
                    return Err(Failed::Refused(Refusal::AlreadyDisputed));
                }
                tell(tx, said.key, NoticeKind::Disputed, &said.index.to_string(), now)?;
                let mut record = Record::of_key(Event::EntryDisputed, said.key, now);
                record.person = Some(said.person);
                record.evidence = Some(work.approval.evidence_hash());
                Ok(((), Note(record)))
            })
            .await?;
        self.close_question(&answered.approval);
        Ok(answered.approval.clone())
    }

    /// The entries of this key that its owner disowned, and when; the newest first.
    ///
    /// # Errors
    /// A fault.
    pub async fn disputes(&self, key: KeyId) -> Result<Vec<(u64, Timestamp)>, Failed<Refusal>> {
        self.ledger
            .read(move |tx| {
                let sql = "SELECT idx, at FROM authn_dispute WHERE key = $1 ORDER BY idx DESC";
                let rows = tx.query(sql, &[key.into()])?;
                let read = rows.iter().map(|row| Ok((row.number(0)?, row.time(1)?)));
                Ok(read.collect::<Result<_, Fault>>()?)
            })
            .await
    }

    /// A session of hers. Somebody else's is answered like one that does not exist.
    ///
    /// # Errors
    /// `session-unknown`, or a fault.
    pub async fn own_session(
        &self,
        visit: &Visit,
        id: TokenId,
    ) -> Result<Session, Failed<Refusal>> {
        let (person, key) = (visit.person(), visit.key());
        let session = self.session(id).await?;
        if session.person == person && session.key == key {
            Ok(session)
        } else {
            Err(Failed::Refused(Refusal::SessionUnknown))
        }
    }
}

/// Keeps what she approved; the entry that commits with it has its hash.
pub(crate) fn keep(
    tx: &Tx<'_>,
    approval: &Approval,
    what: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let evidence = serde_json::to_string(approval)
        .map_err(|why| Fault::Misuse(format!("an approval as JSON: {why}")))?;
    tx.exec(
        "INSERT INTO authn_decision (approval, key, what, decided, evidence, leaf)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            approval.grant().into(),
            approval.statement.key().into(),
            what.into(),
            now.into(),
            evidence.into(),
            tx.next_index()?.into(),
        ],
    )?;
    Ok(())
}
