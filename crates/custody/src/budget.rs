//! Budgets: what one approval allows, opened only after this room has verified the approval itself.

use std::sync::Arc;

use approval::Approval;
use approval::statement::Statement as Approved;
use hpki::encoding::{Digest32, Statement};
use hpki::id::{BindingId, BudgetId, FacilityCode, KeyId, PersonId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record, Row, Tx, Value};

use crate::activation::{may_sign, usable};
use crate::believed::Believed;
use crate::limits::{CLOCK_AHEAD_S, FRESH_S, LONGEST_S};
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::token::{Peer, VerifiedToken};
use crate::{Failed as Bad, refused};

/// An open budget, for the token that will draw from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its id: `azukari.budget` in the token.
    pub id: BudgetId,
    /// The kept key that it opens.
    pub key: KeyId,
    /// The key's owner, who approved.
    pub person: PersonId,
    /// The challenge that she signed: `azukari.grant` in the token.
    pub grant: Digest32,
    /// The facility at which it can be drawn.
    pub facility: FacilityCode,
    /// The facility's client certificate (SHA-256) over which it can be drawn.
    pub x5t: Digest32,
    /// The kinds of document.
    pub kinds: Vec<DocumentKind>,
    /// How many signatures were approved.
    pub count: u32,
    /// How many are left.
    pub left: u32,
    /// Until when.
    pub until: Timestamp,
}

/// The row and its counters. `remaining`, `hour` and `hour_used` are as of reading; the rest is
/// sealed.
#[derive(Clone)]
pub(crate) struct BudgetRow {
    pub(crate) id: BudgetId,
    pub(crate) grant: Digest32,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) binding: BindingId,
    pub(crate) facility: FacilityCode,
    pub(crate) x5t: Digest32,
    pub(crate) kinds: Vec<DocumentKind>,
    pub(crate) count: u32,
    pub(crate) hourly: u32,
    pub(crate) opened: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) evidence_hash: Digest32,
    pub(crate) evidence: String,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) remaining: i64,
    pub(crate) hour: u64,
    pub(crate) hour_used: u64,
    pub(crate) seal: Vec<u8>,
}

const COLUMNS: &str = "id, grant_hash, person, kept, binding, facility, x5t, kinds, count, hourly, \
    opened, until, evidence_hash, evidence, ended, seal";

/// A grant with its counters.
const SELECT: &str = "SELECT id, grant_hash, person, kept, binding, facility, x5t, kinds, count, \
    hourly, opened, until, evidence_hash, evidence, ended, seal, remaining, hour, hour_used \
    FROM custody_budget JOIN custody_counter ON custody_counter.budget = custody_budget.id";

impl BudgetRow {
    fn kinds_text(&self) -> String {
        self.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn statement(&self) -> Statement {
        let ended = self.ended.map(|ended| ended.seconds().to_be_bytes());
        Statement::new("azukari/seal/v1")
            .text("custody_budget")
            .octets_field(self.id.octets())
            .octets_field(&self.grant)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .octets_field(self.binding.octets())
            .text(self.facility.as_str())
            .octets_field(&self.x5t)
            .text(&self.kinds_text())
            .number(self.count.into())
            .number(self.hourly.into())
            .time(self.opened)
            .time(self.until)
            .octets_field(&self.evidence_hash)
            .text(&self.evidence)
            .optional(ended.as_ref().map(<[u8; 8]>::as_slice))
    }

    /// Whether the token is the one that this budget's approval led to. A token that is not gets
    /// the answer that an unknown budget gets.
    pub(crate) fn is_of(&self, token: &VerifiedToken) -> Result<(), Refusal> {
        if self.person != token.person() || self.grant != *token.grant() {
            return Err(Refusal::BudgetUnknown);
        }
        if self.x5t != *token.x5t() {
            return Err(Refusal::TokenWrongCertificate);
        }
        if self.facility != *token.facility() {
            return Err(Refusal::TokenWrongFacility);
        }
        Ok(())
    }

    fn to_budget(&self) -> Budget {
        Budget {
            id: self.id,
            key: self.key,
            person: self.person,
            grant: self.grant,
            facility: self.facility.clone(),
            x5t: self.x5t,
            kinds: self.kinds.clone(),
            count: self.count,
            left: u32::try_from(self.remaining).unwrap_or(0),
            until: self.until,
        }
    }

    pub(crate) fn read(tx: &Tx<'_>, id: BudgetId) -> Result<Option<Self>, Fault> {
        let sql = format!("{SELECT} WHERE id = $1");
        tx.query_opt(&sql, &[id.into()])?.as_ref().map(Self::from_row).transpose()
    }

    fn by_grant(tx: &Tx<'_>, grant: &Digest32) -> Result<Option<Self>, Fault> {
        let sql = format!("{SELECT} WHERE grant_hash = $1");
        tx.query_opt(&sql, &[grant.into()])?.as_ref().map(Self::from_row).transpose()
    }

    pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<Self>, Fault> {
        tx.query(SELECT, &[])?.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        let odd = |what: &str| Fault::Row(format!("custody_budget: {what}"));
        let small =
            |column| u32::try_from(row.number(column)?).map_err(|_| odd("a count is too large"));
        let kinds = row.text(7)?.split(',').map(str::parse).collect::<Result<_, _>>();
        Ok(Self {
            id: BudgetId::from_octets(row.array(0)?),
            grant: row.array(1)?,
            person: PersonId::from_octets(row.array(2)?),
            key: KeyId::from_octets(row.array(3)?),
            binding: BindingId::from_octets(row.array(4)?),
            facility: row.parsed(5)?,
            x5t: row.array(6)?,
            kinds: kinds.map_err(|_| odd("kinds"))?,
            count: small(8)?,
            hourly: small(9)?,
            opened: row.time(10)?,
            until: row.time(11)?,
            evidence_hash: row.array(12)?,
            evidence: row.text(13)?.to_owned(),
            ended: row.opt_time(14)?,
            seal: row.blob(15)?.to_vec(),
            remaining: row.int(16)?,
            hour: row.number(17)?,
            hour_used: row.number(18)?,
        })
    }

    /// What is left of the budget as it was read, if it still runs, and its key too: both bear the
    /// seals that were checked. Nothing is drawn.
    pub(crate) fn still_open(
        tx: &Tx<'_>,
        budget: &Self,
        key_seal: &[u8],
    ) -> Result<Option<u32>, Fault> {
        let row = tx.query_opt(
            "SELECT remaining FROM custody_counter WHERE budget = $1
                 AND EXISTS (SELECT 1 FROM custody_budget
                     WHERE id = $1 AND seal = $2 AND ended IS NULL)
                 AND EXISTS (SELECT 1 FROM custody_key WHERE id = $3 AND seal = $4)",
            &[budget.id.into(), (&budget.seal).into(), budget.key.into(), key_seal.into()],
        )?;
        row.map(|row| Ok(u32::try_from(row.int(0)?).unwrap_or(0))).transpose()
    }

    /// Whether the key has a budget that neither was ended nor has run out.
    pub(crate) fn is_any_open(tx: &Tx<'_>, key: KeyId, now: Timestamp) -> Result<bool, Fault> {
        let sql = "SELECT 1 FROM custody_budget
                   WHERE kept = $1 AND ended IS NULL AND until > $2 LIMIT 1";
        Ok(tx.query_opt(sql, &[key.into(), now.into()])?.is_some())
    }

    fn insert(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let sql = format!(
            "INSERT INTO custody_budget ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
                 $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING"
        );
        let values = [
            self.id.into(),
            (&self.grant).into(),
            self.person.into(),
            self.key.into(),
            self.binding.into(),
            (&self.facility).into(),
            (&self.x5t).into(),
            self.kinds_text().into(),
            self.count.into(),
            self.hourly.into(),
            self.opened.into(),
            self.until.into(),
            (&self.evidence_hash).into(),
            (&self.evidence).into(),
            self.ended.into(),
            (&self.seal).into(),
        ];
        if tx.exec(&sql, &values)? != 1 {
            return Ok(false);
        }
        tx.exec(
            "INSERT INTO custody_counter (budget, remaining, hour, hour_used)
             VALUES ($1, $2, $3, $4)",
            &[self.id.into(), Value::Int(self.remaining), self.hour.into(), self.hour_used.into()],
        )?;
        Ok(true)
    }
}

/// Why a unit of work did not go through, besides a refusal.
enum Stumble {
    Refused(Refusal),
    Raced,
}

impl Custody {
    /// Verifies an approval with this room's own eyes (its copy of the phone or My Number Card, or the
    /// HPKI card's chain), and opens the budget that it allows. The same approval again gives the same budget.
    ///
    /// Refused: what `Inner::believed` refuses; `seal-broken`, `approval-elsewhere`, `approval-too-old`, `allowance-too-large`, `kind-not-allowed`,
    /// `history-mismatch`, the key's and the certificate's state; `token-ended` for an approval
    /// whose budget was ended.
    pub async fn open_budget(&self, approval: &Approval, now: Timestamp) -> Result<Budget, Bad> {
        let inner = &*self.0;
        inner.clock(now)?;
        let grant = approval.grant();
        if let Some(row) = inner.budget_by_grant(grant).await? {
            return opened(&row);
        }
        let (row, believed) = inner.judge(approval, grant, now).await?;
        let mut record = Record::of_key(Event::BudgetOpened, row.key, now);
        record.person = Some(row.person);
        record.facility = Some(row.facility.clone());
        record.evidence = Some(row.evidence_hash);
        let stored = Arc::new((row, record, believed));
        let work = Arc::clone(&stored);
        let recorded = inner
            .ledger
            .record(move |tx| {
                let (row, record, believed) = &*work;
                if !row.insert(tx)? {
                    return Err(Failed::Refused(Stumble::Raced));
                }
                believed.hold(tx).map_err(|failed| failed.map(Stumble::Refused))?;
                Ok(((), Note(record.clone())))
            })
            .await;
        match recorded {
            Ok(_) => opened(&stored.0),
            Err(Failed::Refused(Stumble::Refused(refusal))) => refused(refusal),
            Err(Failed::Refused(Stumble::Raced)) => match inner.budget_by_grant(grant).await? {
                Some(row) => opened(&row),
                None => refused(Refusal::BudgetUnknown),
            },
            Err(Failed::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Ends a budget: from this commit nothing can be drawn from it. Ending it again changes
    /// nothing.
    pub async fn end_budget(&self, budget: BudgetId, now: Timestamp) -> Result<(), Bad> {
        self.0.end_budget(budget, now).await
    }

    /// Ends the budget of the token that is presented. The person's token, presented by another
    /// facility, is refused as for signing.
    pub async fn end_token(&self, token: &str, peer: &Peer, now: Timestamp) -> Result<(), Bad> {
        let token = self.0.tokens.check(token, peer, now).map_err(Failed::Refused)?;
        let row = self.0.budget_row(token.budget()).await?;
        row.is_of(&token).map_err(Failed::Refused)?;
        self.0.end_budget(row.id, now).await
    }

    /// What is left of a budget that still runs; `None` where it was ended or never was.
    pub async fn left(&self, budget: BudgetId) -> Result<Option<u32>, Bad> {
        match self.0.fresh_budget(budget).await {
            Ok(row) if row.ended.is_none() => Ok(Some(row.to_budget().left)),
            Ok(_) | Err(Failed::Refused(Refusal::BudgetUnknown)) => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    /// What is left of a budget.
    pub async fn budget(&self, budget: BudgetId) -> Result<Budget, Bad> {
        Ok(self.0.fresh_budget(budget).await?.to_budget())
    }
}

fn opened(row: &BudgetRow) -> Result<Budget, Bad> {
    if row.ended.is_some() {
        return refused(Refusal::TokenEnded);
    }
    Ok(row.to_budget())
}

impl Inner {
    /// Every rule about an approval, with this room's own eyes. Gives the budget to open, and what
    /// was believed.
    async fn judge(
        &self,
        approval: &Approval,
        grant: Digest32,
        now: Timestamp,
    ) -> Result<(BudgetRow, Believed), Bad> {
        let Approved::Session(statement) = &approval.statement else {
            return refused(approval::Refusal::EvidenceWrong("statement"));
        };
        if statement.issuer != self.config.issuer {
            return refused(Refusal::ApprovalElsewhere);
        }
        let fresh = statement.not_before <= now.plus(CLOCK_AHEAD_S)
            && now <= statement.not_before.plus(FRESH_S)
            && now < statement.not_after;
        if !fresh {
            return refused(Refusal::ApprovalTooOld);
        }
        let believed = self.believed(approval, now).await?;

        let kept = self.kept(statement.key).await?;
        if kept.row.owner != statement.person {
            return refused(Refusal::KeyUnknown);
        }
        let certified = usable(&kept, now).map_err(Failed::Refused)?;
        if statement.kinds.iter().any(|kind| !self.config.policy.rule(*kind).enabled) {
            return refused(Refusal::KindNotEnabled);
        }
        let kinds_fit = !statement.kinds.is_empty()
            && statement.kinds.iter().all(|kind| may_sign(certified, &kept, *kind));
        if !kinds_fit {
            return refused(Refusal::KindNotAllowed);
        }
        let limits = &self.config.limits;
        let count_fits = (1..=limits.count()).contains(&statement.max_count);
        if !count_fits || statement.not_after > statement.not_before.plus(LONGEST_S) {
            return refused(Refusal::AllowanceTooLarge);
        }
        self.history(statement.key, statement.head_seq, statement.head_commitment).await?;

        let evidence = serde_json::to_string(approval)
            .map_err(|error| Fault::Misuse(format!("an approval cannot be kept: {error}")))?;
        let mut kinds = statement.kinds.clone();
        kinds.sort_unstable();
        kinds.dedup();
        let mut row = BudgetRow {
            id: BudgetId::random(&*self.random),
            grant,
            person: statement.person,
            key: statement.key,
            binding: approval.binding,
            facility: statement.facility_id.clone(),
            x5t: statement.x5t_s256,
            kinds,
            count: statement.max_count,
            hourly: limits.hourly(),
            opened: now,
            until: statement.not_after,
            evidence_hash: approval.evidence_hash(),
            evidence,
            ended: None,
            remaining: statement.max_count.into(),
            hour: 0,
            hour_used: 0,
            seal: Vec::new(),
        };
        row.seal = self.room.seal(&row.statement())?.to_vec();
        Ok((row, believed))
    }

    /// The approval acknowledges the history that the key had then: it cannot be longer than it
    /// is, and where it is the newest it must be the same.
    async fn history(&self, key: KeyId, seq: u64, commitment: Option<Digest32>) -> Result<(), Bad> {
        let head = self.ledger.stream_head(key.stream()).await?;
        let (now_seq, now_commitment) =
            head.map_or((0, None), |head| (head.seq, Some(head.commitment)));
        if seq > now_seq || (seq == now_seq && commitment != now_commitment) {
            return refused(Refusal::HistoryMismatch);
        }
        Ok(())
    }

    async fn budget_by_grant(&self, grant: Digest32) -> Result<Option<BudgetRow>, Bad> {
        let row = self.ledger.read(move |tx| Ok(BudgetRow::by_grant(tx, &grant)?)).await?;
        row.map(|row| self.sealed_budget(row)).transpose()
    }

    fn sealed_budget(&self, row: BudgetRow) -> Result<BudgetRow, Bad> {
        if self.room.seal_holds(&row.statement(), &row.seal)? {
            Ok(row)
        } else {
            refused(Refusal::SealBroken("custody_budget"))
        }
    }

    /// The row as it is in the database now, its seal checked.
    pub(crate) async fn fresh_budget(&self, id: BudgetId) -> Result<BudgetRow, Bad> {
        match self.ledger.read(move |tx| Ok(BudgetRow::read(tx, id)?)).await? {
            Some(row) => self.sealed_budget(row),
            None => refused(Refusal::BudgetUnknown),
        }
    }

    /// The sealed part of a budget, remembered once checked. What has changed since shows when
    /// drawing, which names the seal.
    pub(crate) async fn budget_row(&self, id: BudgetId) -> Result<Arc<BudgetRow>, Bad> {
        if let Some(row) = self.budgets.get(&id) {
            return Ok(row);
        }
        let row = Arc::new(self.fresh_budget(id).await?);
        self.budgets.put(id, Arc::clone(&row));
        Ok(row)
    }

    pub(crate) async fn end_budget(&self, id: BudgetId, now: Timestamp) -> Result<(), Bad> {
        let before = self.fresh_budget(id).await?;
        if before.ended.is_some() {
            return Ok(());
        }
        let mut after = before.clone();
        after.ended = Some(now);
        after.seal = self.room.seal(&after.statement())?.to_vec();
        let mut record = Record::of_key(Event::BudgetEnded, after.key, now);
        record.person = Some(after.person);
        record.facility = Some(after.facility.clone());
        record.evidence = Some(after.evidence_hash);
        let key = after.key;
        let work = Arc::new((before.seal, after, record));
        let recorded = self
            .ledger
            .record(move |tx| {
                let (before, after, record) = &*work;
                let changed = tx.exec(
                    "UPDATE custody_budget SET ended = $2, seal = $3 WHERE id = $1 AND seal = $4",
                    &[after.id.into(), after.ended.into(), (&after.seal).into(), before.into()],
                )?;
                if changed == 1 {
                    Ok(((), Note(record.clone())))
                } else {
                    Err(Failed::Refused(Stumble::Raced))
                }
            })
            .await;
        self.budgets.remove(&id);
        self.room.forget(key);
        match recorded {
            // The row has one other state to go to, so whoever came first ended it.
            Ok(_) | Err(Failed::Refused(Stumble::Raced)) => Ok(()),
            Err(Failed::Refused(Stumble::Refused(refusal))) => refused(refusal),
            Err(Failed::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Ends every budget of a key that is still open; only those that one phone approved, where
    /// `binding` names it.
    pub(crate) async fn end_budgets_of(
        &self,
        key: KeyId,
        binding: Option<BindingId>,
        now: Timestamp,
    ) -> Result<(), Bad> {
        let open = self
            .ledger
            .read(move |tx| {
                let rows = tx.query(
                    "SELECT id, binding FROM custody_budget
                     WHERE kept = $1 AND ended IS NULL AND until > $2",
                    &[key.into(), now.into()],
                )?;
                let mut ids = Vec::with_capacity(rows.len());
                for row in &rows {
                    let by = BindingId::from_octets(row.array(1)?);
                    if binding.is_none_or(|binding| binding == by) {
                        ids.push(BudgetId::from_octets(row.array(0)?));
                    }
                }
                Ok(ids)
            })
            .await?;
        for id in open {
            self.end_budget(id, now).await?;
        }
        Ok(())
    }
}
