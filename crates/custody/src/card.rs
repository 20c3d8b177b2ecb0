//! This room's own copy of every linked My Number Card: its authentication certificate, sealed, so
//! that a row put in by SQL approves nothing.
//!
//! A card is linked by two signatures over one statement: that of the means by which its holder is
//! known already (her phone or HPKI card), and the card's own. Both are checked here again. The
//! certificate names nobody; the row does.

use std::sync::Arc;

use approval::card::{CardLinkEvidence, check_card_link};
use hpki::encoding::{Digest32, Statement};
use hpki::id::{BindingId, KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record, Row, Tx};

use crate::key::KeyState;
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::{Failed as Bad, refused};

/// The row; all of it is sealed.
#[derive(Clone)]
pub(crate) struct CardRow {
    pub(crate) id: BindingId,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) certificate: Vec<u8>,
    evidence: Digest32,
    linked: Timestamp,
    ended: Option<Timestamp>,
    pub(crate) seal: Vec<u8>,
}

const COLUMNS: &str = "id, person, kept, certificate, evidence, linked, ended, seal";

impl CardRow {
    pub(crate) fn statement(&self) -> Statement {
        let ended = self.ended.map(|ended| ended.seconds().to_be_bytes());
        Statement::new("azukari/seal/v1")
            .text("custody_card")
            .octets_field(self.id.octets())
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .octets_field(&self.certificate)
            .octets_field(&self.evidence)
            .time(self.linked)
            .optional(ended.as_ref().map(<[u8; 8]>::as_slice))
    }

    fn read(tx: &Tx<'_>, id: BindingId) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_card WHERE id = $1");
        tx.query_opt(&sql, &[id.into()])?.as_ref().map(Self::from_row).transpose()
    }

    /// At most `count` rows whose names follow `after`.
    pub(crate) fn page(tx: &Tx<'_>, after: &[u8], count: u32) -> Result<Vec<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_card WHERE id > $1 ORDER BY id LIMIT $2");
        tx.query(&sql, &[after.into(), count.into()])?.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            id: BindingId::from_octets(row.array(0)?),
            person: PersonId::from_octets(row.array(1)?),
            key: KeyId::from_octets(row.array(2)?),
            certificate: row.blob(3)?.to_vec(),
            evidence: row.array(4)?,
            linked: row.time(5)?,
            ended: row.opt_time(6)?,
            seal: row.blob(7)?.to_vec(),
        })
    }

    fn insert(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let changed = tx.exec(
            "INSERT INTO custody_card (id, person, kept, certificate, evidence, linked, ended, seal)
             VALUES ($1, $2, $3, $4, $5, $6, NULL, $7) ON CONFLICT DO NOTHING",
            &[
                self.id.into(),
                self.person.into(),
                self.key.into(),
                (&self.certificate).into(),
                (&self.evidence).into(),
                self.linked.into(),
                (&self.seal).into(),
            ],
        )?;
        Ok(changed == 1)
    }

    /// Writes the end of the linking over the row that bore the seal `before`.
    fn end(&self, tx: &Tx<'_>, before: &[u8]) -> Result<bool, Fault> {
        let changed = tx.exec(
            "UPDATE custody_card SET ended = $2, seal = $3 WHERE id = $1 AND seal = $4",
            &[self.id.into(), self.ended.into(), (&self.seal).into(), before.into()],
        )?;
        Ok(changed == 1)
    }

    fn note(&self, event: Event, now: Timestamp) -> Note {
        let mut record = Record::of_key(event, self.key, now);
        record.person = Some(self.person);
        record.evidence = Some(self.evidence);
        Note(record)
    }
}

impl Custody {
    /// Verifies the linking of a My Number Card and keeps this room's own sealed copy of its
    /// certificate. The same evidence again changes nothing.
    ///
    /// Refused: what `approval::card::check_card_link` refuses and whatever is refused of the
    /// approval by which it was linked; `phone-needed` for one by card beside a linked phone;
    /// `approval-elsewhere`, `key-unknown`, `key-wrong-state`, `card-already-linked`.
    pub async fn accept_card(
        &self,
        evidence: &CardLinkEvidence,
        now: Timestamp,
    ) -> Result<(), Bad> {
        let inner = &*self.0;
        let hash = evidence.evidence_hash();
        if let Some(known) = inner.stored_card(evidence.binding).await? {
            let same = known.evidence == hash && known.ended.is_none();
            return if same { Ok(()) } else { refused(Refusal::CardAlreadyLinked) };
        }
        let said = &evidence.approval.statement;
        if said.issuer() != inner.config.issuer {
            return refused(Refusal::ApprovalElsewhere);
        }
        let certificate = check_card_link(evidence, evidence.linked)
            .map_err(|refusal| Failed::Refused(refusal.into()))?;
        let believed = inner.believed(&evidence.approval, now).await?;
        // A phone that was linked in the same second may have come after the card.
        inner.phone_decides(&evidence.approval, evidence.linked.minus(1)).await?;
        let kept = inner.key_row(said.key()).await?;
        if kept.owner != said.person() {
            return refused(Refusal::KeyUnknown);
        }
        if matches!(kept.state, KeyState::Suspended | KeyState::Destroyed) {
            return refused(Refusal::KeyWrongState(kept.state.name()));
        }
        let mut row = CardRow {
            id: evidence.binding,
            person: said.person(),
            key: said.key(),
            certificate: certificate.der().to_vec(),
            evidence: hash,
            linked: evidence.linked,
            ended: None,
            seal: Vec::new(),
        };
        row.seal = inner.room.seal(&row.statement())?.to_vec();
        let work = Arc::new((row, believed));
        inner
            .ledger
            .record(move |tx| {
                let (row, believed) = &*work;
                believed.hold(tx)?;
                if row.insert(tx)? {
                    Ok(((), row.note(Event::CardLinked, now)))
                } else {
                    Err(Failed::Refused(Refusal::CardAlreadyLinked))
                }
            })
            .await?;
        Ok(())
    }

    /// Ends the linking of a My Number Card, and every budget that it approved. Documents that it
    /// approved are not signed any more (`Inner::approver`). Again changes nothing.
    ///
    /// Refused: `card-unknown`.
    pub async fn end_card(&self, card: BindingId, now: Timestamp) -> Result<(), Bad> {
        let inner = &*self.0;
        let Some(before) = inner.stored_card(card).await? else {
            return refused(Refusal::CardUnknown);
        };
        let key = before.key;
        if before.ended.is_none() {
            let mut after = before.clone();
            after.ended = Some(now);
            after.seal = inner.room.seal(&after.statement())?.to_vec();
            let work = Arc::new((before.seal, after));
            inner
                .ledger
                .record(move |tx| {
                    let (before, after) = &*work;
                    if after.end(tx, before)? {
                        Ok(((), after.note(Event::CardUnlinked, now)))
                    } else {
                        Err(Failed::Refused(Refusal::CardEnded))
                    }
                })
                .await?;
        }
        inner.end_budgets_of(key, Some(card), now).await
    }
}

impl Inner {
    pub(crate) async fn stored_card(&self, id: BindingId) -> Result<Option<CardRow>, Bad> {
        let row = self.ledger.read(move |tx| Ok(CardRow::read(tx, id)?)).await?;
        let Some(row) = row else { return Ok(None) };
        if self.room.seal_holds(&row.statement(), &row.seal)? {
            Ok(Some(row))
        } else {
            refused(Refusal::SealBroken("custody_card"))
        }
    }

    /// A card that is linked now.
    pub(crate) async fn linked_card(&self, id: BindingId) -> Result<CardRow, Bad> {
        match self.stored_card(id).await? {
            None => refused(Refusal::CardUnknown),
            Some(row) if row.ended.is_some() => refused(Refusal::CardEnded),
            Some(row) => Ok(row),
        }
    }
}
