//! This room's own copy of every linked phone: its public key, sealed, so that a row put in by SQL
//! approves nothing.

use std::sync::Arc;

use approval::{Approval, ChangeEvidence, Credential, LinkEvidence, LinkStatement, Proof};
use hpki::encoding::{Digest32, Statement};
use hpki::id::{BindingId, KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record, Row, Tx};

use crate::key::KeyState;
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::{Failed as Bad, refused};

/// The row. `counter` is as of reading; the rest is sealed.
#[derive(Clone)]
pub(crate) struct BindingRow {
    pub(crate) id: BindingId,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    credential: Credential,
    evidence: Digest32,
    linked: Timestamp,
    ended: Option<Timestamp>,
    counter: u32,
    pub(crate) seal: Vec<u8>,
}

const COLUMNS: &str = "id, person, kept, public_key, evidence, linked, ended, counter, seal";

impl BindingRow {
    /// The credential, with the counter last heard of.
    pub(crate) fn credential(&self) -> Credential {
        let mut credential = self.credential.clone();
        credential.sign_count = self.counter;
        credential
    }

    fn public_key(&self) -> Result<String, Fault> {
        serde_json::to_string(&self.credential)
            .map_err(|error| Fault::Misuse(format!("a credential cannot be kept: {error}")))
    }

    pub(crate) fn statement(&self) -> Result<Statement, Fault> {
        let ended = self.ended.map(|ended| ended.seconds().to_be_bytes());
        Ok(Statement::new("azukari/seal/v1")
            .text("custody_binding")
            .octets_field(self.id.octets())
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .text(&self.public_key()?)
            .octets_field(&self.evidence)
            .time(self.linked)
            .optional(ended.as_ref().map(<[u8; 8]>::as_slice)))
    }

    fn read(tx: &Tx<'_>, id: BindingId) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_binding WHERE id = $1");
        tx.query_opt(&sql, &[id.into()])?.as_ref().map(Self::from_row).transpose()
    }

    /// At most `count` rows whose names follow `after`.
    pub(crate) fn page(tx: &Tx<'_>, after: &[u8], count: u32) -> Result<Vec<Self>, Fault> {
        let sql =
            format!("SELECT {COLUMNS} FROM custody_binding WHERE id > $1 ORDER BY id LIMIT $2");
        tx.query(&sql, &[after.into(), count.into()])?.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        let odd = |what: &str| Fault::Row(format!("custody_binding: {what}"));
        Ok(Self {
            id: BindingId::from_octets(row.array(0)?),
            person: PersonId::from_octets(row.array(1)?),
            key: KeyId::from_octets(row.array(2)?),
            credential: serde_json::from_slice(row.blob(3)?).map_err(|_| odd("credential"))?,
            evidence: row.array(4)?,
            linked: row.time(5)?,
            ended: row.opt_time(6)?,
            counter: u32::try_from(row.number(7)?).map_err(|_| odd("counter"))?,
            seal: row.blob(8)?.to_vec(),
        })
    }

    /// The row, and where the journal will hold the note about it that commits with it.
    fn insert(&self, tx: &Tx<'_>, leaf: u64) -> Result<bool, Fault> {
        let changed = tx.exec(
            "INSERT INTO custody_binding (id, person, kept, credential, public_key, evidence,
                 linked, ended, counter, seal, leaf)
             VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8, $9, $10) ON CONFLICT DO NOTHING",
            &[
                self.id.into(),
                self.person.into(),
                self.key.into(),
                (&self.credential.id).into(),
                self.public_key()?.into_bytes().into(),
                (&self.evidence).into(),
                self.linked.into(),
                self.counter.into(),
                (&self.seal).into(),
                leaf.into(),
            ],
        )?;
        Ok(changed == 1)
    }

    /// Writes the end of the linking over the row that bore the seal `before`.
    fn end(&self, tx: &Tx<'_>, before: &[u8]) -> Result<bool, Fault> {
        let changed = tx.exec(
            "UPDATE custody_binding SET ended = $2, seal = $3 WHERE id = $1 AND seal = $4",
            &[self.id.into(), self.ended.into(), (&self.seal).into(), before.into()],
        )?;
        Ok(changed == 1)
    }

    /// What the journal is told of it.
    fn note(&self, event: Event, evidence: Digest32, now: Timestamp) -> Note {
        let mut record = Record::of_key(event, self.key, now);
        record.person = Some(self.person);
        record.evidence = Some(evidence);
        Note(record)
    }
}

impl Custody {
    /// Verifies the linking of a phone and keeps this room's own sealed copy of its public key.
    /// The same evidence again changes nothing.
    ///
    /// Refused: what `approval::check_link` refuses, `approval-elsewhere`, `key-unknown`,
    /// `key-wrong-state` (suspended or destroyed), `phone-already-linked`.
    pub async fn accept_binding(&self, evidence: &LinkEvidence, now: Timestamp) -> Result<(), Bad> {
        let inner = &*self.0;
        let statement = &evidence.statement;
        if statement.issuer != inner.config.issuer {
            return refused(Refusal::ApprovalElsewhere);
        }
        let credential = approval::check_link(evidence, &inner.config.rp)
            .map_err(|refusal| Failed::Refused(refusal.into()))?;
        inner.may_be_linked(statement).await?;
        let row = inner.linked(evidence, credential, evidence.evidence_hash())?;
        if let Some(known) = inner.stored_binding(row.id).await? {
            let same = known.evidence == row.evidence && known.ended.is_none();
            return if same { Ok(()) } else { refused(Refusal::AlreadyLinked) };
        }
        let (id, evidence) = (row.id, row.evidence);
        let row = Arc::new(row);
        let recorded = inner
            .ledger
            .record(move |tx| {
                if row.insert(tx, tx.next_index()?)? {
                    Ok(((), row.note(Event::PhoneLinked, row.evidence, now)))
                } else {
                    Err(Failed::Refused(Refusal::AlreadyLinked))
                }
            })
            .await;
        match recorded {
            Ok(_) => Ok(()),
            // Somebody was first. If it was another delivery of the same, both agree.
            Err(Failed::Refused(refusal)) => match inner.stored_binding(id).await? {
                Some(known) if known.evidence == evidence && known.ended.is_none() => Ok(()),
                _ => refused(refusal),
            },
            Err(failed) => Err(failed),
        }
    }

    /// Ends the linking of a phone, and every budget that it approved. Documents that it approved are
    /// not signed any more (`Inner::approver`). Again changes nothing.
    pub async fn end_binding(&self, binding: BindingId, now: Timestamp) -> Result<(), Bad> {
        let inner = &*self.0;
        let Some(before) = inner.stored_binding(binding).await? else {
            return refused(Refusal::BindingUnknown);
        };
        let key = before.key;
        if before.ended.is_none() {
            let mut after = before.clone();
            after.ended = Some(now);
            after.seal = inner.room.seal(&after.statement()?)?.to_vec();
            let work = Arc::new((before.seal, after));
            inner
                .ledger
                .record(move |tx| {
                    let (before, after) = &*work;
                    if after.end(tx, before)? {
                        Ok(((), after.note(Event::PhoneUnlinked, after.evidence, now)))
                    } else {
                        Err(Failed::Refused(Refusal::BindingEnded))
                    }
                })
                .await?;
        }
        inner.end_budgets_of(key, Some(binding), now).await
    }
}

impl Custody {
    /// Another phone takes the place of one that is linked, as the owner approved on the old one:
    /// checked against this room's own copy of that. One commit ends the old linking, begins the
    /// new one and keeps the evidence; then the budgets end that the old phone approved. The same
    /// evidence again changes nothing.
    ///
    /// Refused: what `approval::check_change` refuses; `approval-elsewhere`, `binding-unknown`,
    /// `binding-ended`, `key-unknown`, `key-wrong-state`, `phone-already-linked`, `decision-spent`.
    pub async fn change_binding(
        &self,
        evidence: &ChangeEvidence,
        now: Timestamp,
    ) -> Result<(), Bad> {
        let inner = &*self.0;
        let (key, old) = (evidence.link.statement.key, evidence.approval.binding);
        let hash = evidence.evidence_hash();
        if let Some(known) = inner.stored_binding(evidence.link.binding).await? {
            if known.evidence != hash {
                return refused(Refusal::AlreadyLinked);
            }
            // We died, or were told twice, after the commit: only the budgets may be left.
            return inner.end_budgets_of(key, Some(old), now).await;
        }
        let mut decided = inner.decided(&evidence.approval, now).await?;
        let before = inner.binding(old).await?;
        let (credential, _) =
            approval::check_change(evidence, &before.credential(), &inner.config.rp)
                .map_err(|refusal| Failed::Refused(refusal.into()))?;
        inner.may_be_linked(&evidence.link.statement).await?;
        decided.evidence = serde_json::to_string(evidence)
            .map_err(|error| Fault::Misuse(format!("evidence cannot be kept: {error}")))?;
        let new = inner.linked(&evidence.link, credential, hash)?;
        let mut after = before.clone();
        after.ended = Some(now);
        after.seal = inner.room.seal(&after.statement()?)?.to_vec();
        let work = Arc::new((decided, before.seal, after, new));
        inner
            .ledger
            .record_many(move |tx| {
                let (decided, before, after, new) = &*work;
                decided.keep(tx, "phone.changed", now)?;
                if !after.end(tx, before)? {
                    return Err(Failed::Refused(Refusal::BindingEnded));
                }
                // The first note is about the old phone, the second about the new one.
                if !new.insert(tx, tx.next_index()? + 1)? {
                    return Err(Failed::Refused(Refusal::AlreadyLinked));
                }
                let ended = after.note(Event::PhoneUnlinked, hash, now);
                Ok(((), vec![ended, new.note(Event::PhoneLinked, hash, now)]))
            })
            .await?;
        inner.end_budgets_of(key, Some(old), now).await
    }
}

impl Inner {
    /// What would let a card go on acting for this key is the phone's to approve where one was linked
    /// by then: a card's holder sees a statement only where the card's reader shows it, and who has
    /// her card and PIN for one morning must not keep more of it than that.
    pub(crate) async fn phone_decides(
        &self,
        approval: &Approval,
        then: Timestamp,
    ) -> Result<(), Bad> {
        if !matches!(approval.proof, Proof::Card(_)) {
            return Ok(());
        }
        let key = approval.statement.key();
        let sql =
            "SELECT 1 FROM custody_binding WHERE kept = $1 AND ended IS NULL AND linked <= $2";
        let linked = self
            .ledger
            .read(move |tx| Ok(tx.query_opt(sql, &[key.into(), then.into()])?.is_some()))
            .await?;
        if linked { refused(Refusal::PhoneNeeded) } else { Ok(()) }
    }

    /// Whether a phone may be linked to this key now.
    async fn may_be_linked(&self, statement: &LinkStatement) -> Result<(), Bad> {
        let row = self.key_row(statement.key).await?;
        if row.owner != statement.person {
            return refused(Refusal::KeyUnknown);
        }
        if matches!(row.state, KeyState::Suspended | KeyState::Destroyed) {
            return refused(Refusal::KeyWrongState(row.state.name()));
        }
        Ok(())
    }

    /// The sealed row of a phone that was verified.
    fn linked(
        &self,
        link: &LinkEvidence,
        credential: Credential,
        evidence: Digest32,
    ) -> Result<BindingRow, Bad> {
        let mut row = BindingRow {
            id: link.binding,
            person: link.statement.person,
            key: link.statement.key,
            counter: credential.sign_count,
            credential,
            evidence,
            linked: link.linked,
            ended: None,
            seal: Vec::new(),
        };
        row.seal = self.room.seal(&row.statement()?)?.to_vec();
        Ok(row)
    }

    pub(crate) async fn stored_binding(&self, id: BindingId) -> Result<Option<BindingRow>, Bad> {
        let row = self.ledger.read(move |tx| Ok(BindingRow::read(tx, id)?)).await?;
        let Some(row) = row else { return Ok(None) };
        if self.room.seal_holds(&row.statement()?, &row.seal)? {
            Ok(Some(row))
        } else {
            refused(Refusal::SealBroken("custody_binding"))
        }
    }

    /// Where the journal holds the linking of a phone.
    pub(crate) async fn binding_leaf(&self, id: BindingId) -> Result<u64, Bad> {
        let sql = "SELECT leaf FROM custody_binding WHERE id = $1";
        let row = self.ledger.read(move |tx| Ok(tx.query_opt(sql, &[id.into()])?)).await?;
        match row {
            Some(row) => Ok(row.number(0)?),
            None => refused(Refusal::BindingUnknown),
        }
    }

    /// A phone that is linked now.
    pub(crate) async fn binding(&self, id: BindingId) -> Result<BindingRow, Bad> {
        match self.stored_binding(id).await? {
            None => refused(Refusal::BindingUnknown),
            Some(row) if row.ended.is_some() => refused(Refusal::BindingEnded),
            Some(row) => Ok(row),
        }
    }
}
