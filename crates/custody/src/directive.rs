//! 指図: what two officers decide together. One opens it, which gives it no power; each confirms
//! exactly its words with a signature of her own; then it can be carried out, once.
//!
//! Carrying it out and closing it are one commit, so a directive never acts twice.

use std::sync::Arc;

use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{DirectiveId, KeyId, OfficerId, PersonId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record, Row, Tx};
use serde::{Deserialize, Serialize};

use crate::key::Purpose;
use crate::officer::{NewOfficer, OfficerRole, OfficerRow, confirmation};
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::{Failed as Bad, refused};

/// The longest that a directive may wait for its confirmations.
const LONGEST_S: u64 = 7 * 86_400;

/// The longest that a standing directive lasts: a year and a month.
const STANDING_S: u64 = 396 * 86_400;

/// What officers decide. As JSON it is what they confirm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// Let a stopped key sign again.
    Restart {
        /// The key.
        key: KeyId,
        /// SHA-256, in hexadecimal, of the paper on which this rests (the owner's request).
        evidence: String,
    },
    /// Destroy a key for good.
    Destroy {
        /// The key.
        key: KeyId,
        /// Why.
        reason: String,
        /// Every backup that holds the wrapped key, and how each copy ends.
        backups: Vec<BackupCopy>,
    },
    /// Destroy, for as long as this directive stands, each key whose certificate has expired or was
    /// revoked so many days ago.
    Retire {
        /// Days after the end of a key.
        days: u32,
        /// Every backup that holds wrapped keys, and how the copies in it end.
        backups: Vec<BackupCopy>,
    },
    /// Take over a key that a certification authority made.
    Import {
        /// The authority, as configured.
        authority: String,
        /// Its owner.
        person: PersonId,
        /// Her qualification, as in certificates.
        role: String,
        /// What the key is for.
        purpose: Purpose,
        /// SHA-256, in hexadecimal, of the record of the owner's consent.
        consent: String,
        /// SHA-256, in hexadecimal, of the certificate that comes with it.
        certificate: String,
    },
    /// Enrol an officer.
    Enrol {
        /// Who.
        officer: NewOfficer,
    },
    /// End an officer's authority.
    Dismiss {
        /// Who.
        officer: OfficerId,
    },
}

/// A backup that holds the wrapped form of a key which is to be destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupCopy {
    /// Which backup.
    pub backup: String,
    /// How the copy ends: destroyed with its medium, overwritten at the next rotation, …
    pub end: String,
    /// When it has ended at the latest, in seconds.
    pub by: Timestamp,
}

impl Act {
    /// The name in rows and in what officers sign.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Restart { .. } => "restart",
            Self::Destroy { .. } => "destroy",
            Self::Retire { .. } => "retire",
            Self::Import { .. } => "import",
            Self::Enrol { .. } => "enrol",
            Self::Dismiss { .. } => "dismiss",
        }
    }

    /// What people call it, in Japanese.
    pub const fn ja(&self) -> &'static str {
        match self {
            Self::Restart { .. } => "鍵の再開",
            Self::Destroy { .. } => "鍵の廃棄",
            Self::Retire { .. } => "満了した鍵の廃棄",
            Self::Import { .. } => "鍵の受け入れ",
            Self::Enrol { .. } => "係員の任命",
            Self::Dismiss { .. } => "係員の解任",
        }
    }

    /// The longest that it may wait for its confirmations, or stand, in seconds.
    const fn longest(&self) -> u64 {
        match self {
            Self::Retire { .. } => STANDING_S,
            _ => LONGEST_S,
        }
    }

    /// How many of its two officers must be for security: who is an officer, only they decide.
    const fn security(&self) -> usize {
        match self {
            Self::Enrol { .. } | Self::Dismiss { .. } => 2,
            _ => 1,
        }
    }
}

/// An officer's confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Who.
    pub officer: OfficerId,
    /// Her name then.
    pub name: String,
    /// Her office then.
    pub role: OfficerRole,
    /// When.
    pub at: Timestamp,
    /// Her signature over [`Directive::confirmation`], in hexadecimal.
    pub signature: String,
}

/// A directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its number.
    pub id: DirectiveId,
    /// What is to be done.
    pub act: Act,
    /// The same as the officers confirm it: JSON.
    pub body: String,
    /// When it was opened.
    pub opened: Timestamp,
    /// Until when it can be confirmed and carried out.
    pub until: Timestamp,
    /// Who confirmed it.
    pub confirmations: Vec<Confirmation>,
    /// When it was carried out or withdrawn.
    pub closed: Option<Timestamp>,
    /// `done` or `withdrawn`; empty while open.
    pub outcome: String,
}

impl Directive {
    /// The 32 octets that this officer signs.
    pub fn confirmation(&self, issuer: &str, officer: OfficerId) -> Digest32 {
        confirmation(issuer, self.id, self.act.name(), &self.body, self.until, officer)
    }

    /// Whether enough officers have confirmed it.
    pub fn is_confirmed(&self) -> bool {
        let security =
            self.confirmations.iter().filter(|by| by.role == OfficerRole::Security).count();
        self.confirmations.len() >= 2 && security >= self.act.security()
    }
}

/// The row.
#[derive(Clone)]
pub(crate) struct DirectiveRow {
    pub(crate) directive: Directive,
    pub(crate) seal: Vec<u8>,
}

const COLUMNS: &str = "id, body, opened, until, confirmations, closed, outcome, seal";

impl DirectiveRow {
    fn confirmations(&self) -> Result<String, Fault> {
        serde_json::to_string(&self.directive.confirmations)
            .map_err(|error| Fault::Misuse(format!("confirmations cannot be kept: {error}")))
    }

    pub(crate) fn statement(&self) -> Result<Statement, Fault> {
        let directive = &self.directive;
        let closed = directive.closed.map(|time| time.seconds().to_be_bytes());
        Ok(Statement::new("azukari/seal/v1")
            .text("custody_directive")
            .octets_field(directive.id.octets())
            .text(&directive.body)
            .time(directive.opened)
            .time(directive.until)
            .text(&self.confirmations()?)
            .optional(closed.as_ref().map(<[u8; 8]>::as_slice))
            .text(&directive.outcome))
    }

    pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_directive ORDER BY opened, id");
        tx.query(&sql, &[])?.iter().map(Self::from_row).collect()
    }

    fn read(tx: &Tx<'_>, id: DirectiveId) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_directive WHERE id = $1");
        tx.query_opt(&sql, &[id.octets().into()])?.as_ref().map(Self::from_row).transpose()
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        let odd = |what: &str| Fault::Row(format!("custody_directive: {what}"));
        let body = row.text(1)?.to_owned();
        Ok(Self {
            directive: Directive {
                id: DirectiveId::from_octets(row.array(0)?),
                act: serde_json::from_str(&body).map_err(|_| odd("body"))?,
                body,
                opened: row.time(2)?,
                until: row.time(3)?,
                confirmations: serde_json::from_str(row.text(4)?)
                    .map_err(|_| odd("confirmations"))?,
                closed: row.opt_time(5)?,
                outcome: row.text(6)?.to_owned(),
            },
            seal: row.blob(7)?.to_vec(),
        })
    }

    fn insert(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        let directive = &self.directive;
        tx.exec(
            "INSERT INTO custody_directive (id, act, body, opened, until, confirmations, closed,
                 outcome, seal) VALUES ($1, $2, $3, $4, $5, $6, NULL, '', $7)",
            &[
                directive.id.octets().into(),
                directive.act.name().into(),
                (&directive.body).into(),
                directive.opened.into(),
                directive.until.into(),
                self.confirmations()?.into(),
                (&self.seal).into(),
            ],
        )?;
        Ok(())
    }

    /// Replaces the row that bore the seal `before`; false if it no longer does. Whoever carries a
    /// directive out closes it so, in the same commit.
    pub(crate) fn replace(&self, tx: &Tx<'_>, before: &[u8]) -> Result<bool, Fault> {
        let directive = &self.directive;
        let changed = tx.exec(
            "UPDATE custody_directive SET confirmations = $2, closed = $3, outcome = $4, seal = $5
             WHERE id = $1 AND seal = $6",
            &[
                directive.id.octets().into(),
                self.confirmations()?.into(),
                directive.closed.into(),
                (&directive.outcome).into(),
                (&self.seal).into(),
                before.into(),
            ],
        )?;
        Ok(changed == 1)
    }

    fn record(&self, event: Event, now: Timestamp) -> Record {
        let mut record = Record::new(event, self.directive.id.stream(), now);
        record.evidence = Some(sha256(self.directive.body.as_bytes()));
        if let Act::Restart { key, .. } | Act::Destroy { key, .. } = &self.directive.act {
            record.key = Some(*key);
        }
        record
    }
}

/// A directive that may be carried out, and its row closed as done: both seals.
pub(crate) struct Ready {
    pub(crate) directive: Directive,
    before: Vec<u8>,
    after: DirectiveRow,
}

impl Ready {
    /// Whether it stands unchanged, inside the unit of work that acts on a standing directive.
    pub(crate) fn stands(&self, tx: &Tx<'_>) -> Result<(), Failed<Refusal>> {
        let sql = "SELECT 1 FROM custody_directive WHERE id = $1 AND seal = $2";
        let values = [self.directive.id.octets().into(), (&self.before).into()];
        if tx.query(sql, &values)?.is_empty() {
            return Err(Failed::Refused(Refusal::DirectiveClosed));
        }
        Ok(())
    }

    /// Closes the directive inside the unit of work that carries it out.
    pub(crate) fn close(&self, tx: &Tx<'_>) -> Result<(), Failed<Refusal>> {
        if self.after.replace(tx, &self.before)? {
            Ok(())
        } else {
            Err(Failed::Refused(Refusal::DirectiveClosed))
        }
    }

    /// The hash of what was decided and who confirmed it.
    pub(crate) fn evidence(&self) -> Result<Digest32, Fault> {
        Ok(self.after.statement()?.digest())
    }
}

impl Custody {
    /// Opens a directive. That gives it no power yet.
    ///
    /// Refused: `directive-time-wrong` (in the past or longer than a week), `officer-key-unsupported`.
    pub async fn direct(
        &self,
        act: Act,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Directive, Bad> {
        let inner = &*self.0;
        if until <= now || until > now.plus(act.longest()) {
            return refused(Refusal::DirectiveTimeWrong);
        }
        let body = serde_json::to_string(&act)
            .map_err(|error| Fault::Misuse(format!("a directive cannot be written: {error}")))?;
        let directive = Directive {
            id: DirectiveId::random(&*inner.random),
            act,
            body,
            opened: now,
            until,
            confirmations: Vec::new(),
            closed: None,
            outcome: String::new(),
        };
        let mut row = DirectiveRow { directive: directive.clone(), seal: Vec::new() };
        row.seal = inner.room.seal(&row.statement()?)?.to_vec();
        let work = Arc::new((row.record(Event::DirectiveOpened, now), row));
        inner
            .ledger
            .record(move |tx| {
                work.1.insert(tx)?;
                Ok::<_, Failed<Refusal>>(((), Note(work.0.clone())))
            })
            .await?;
        Ok(directive)
    }

    /// A directive as it stands.
    pub async fn directive(&self, id: DirectiveId) -> Result<Directive, Bad> {
        Ok(self.0.directive_row(id).await?.directive)
    }

    /// Every directive there ever was, the oldest first.
    pub async fn directives(&self) -> Result<Vec<Directive>, Bad> {
        let rows = self.0.ledger.read(|tx| Ok(DirectiveRow::all(tx)?)).await?;
        rows.into_iter().map(|row| Ok(self.0.sealed_directive(row)?.directive)).collect()
    }

    /// An officer confirms a directive by her signature over [`Directive::confirmation`].
    ///
    /// Refused: `directive-unknown`, `-closed`, `-expired`; `officer-unknown`, `-dismissed`,
    /// `-role-wrong` (an auditor), `-signature-wrong`, `-already-confirmed`.
    pub async fn confirm(
        &self,
        id: DirectiveId,
        officer: OfficerId,
        signature: &[u8],
        now: Timestamp,
    ) -> Result<Directive, Bad> {
        let inner = &*self.0;
        let before = inner.open_directive(id, now).await?;
        let by = inner.officer(officer).await?.officer;
        if by.role == OfficerRole::Auditor {
            return refused(Refusal::OfficerRoleWrong);
        }
        if before.directive.confirmations.iter().any(|given| given.officer == officer) {
            return refused(Refusal::OfficerAlreadyConfirmed);
        }
        let statement = before.directive.confirmation(&inner.config.issuer, officer);
        by.verify(&statement, signature).map_err(Failed::Refused)?;
        let mut after = before.clone();
        after.directive.confirmations.push(Confirmation {
            officer,
            name: by.name,
            role: by.role,
            at: now,
            signature: hex::encode(signature),
        });
        after.seal = inner.room.seal(&after.statement()?)?.to_vec();
        let confirmed = after.directive.clone();
        let mut record = after.record(Event::DirectiveConfirmed, now);
        record.evidence = Some(sha256(signature));
        let work = Arc::new((before.seal, after, record));
        inner
            .ledger
            .record(move |tx| {
                let (before, after, record) = &*work;
                if after.replace(tx, before)? {
                    Ok(((), Note(record.clone())))
                } else {
                    Err(Failed::Refused(Refusal::DirectiveMoved))
                }
            })
            .await?;
        Ok(confirmed)
    }

    /// Withdraws a directive that was not carried out. Taking power away needs one officer; the
    /// caller knows her.
    pub async fn withdraw(&self, id: DirectiveId, now: Timestamp) -> Result<(), Bad> {
        let inner = &*self.0;
        let before = inner.directive_row(id).await?;
        if before.directive.closed.is_some() {
            return refused(Refusal::DirectiveClosed);
        }
        let closed = inner.closed(&before, "withdrawn", now)?;
        let work = Arc::new((before.seal, closed.record(Event::DirectiveClosed, now), closed));
        inner
            .ledger
            .record(move |tx| {
                if work.2.replace(tx, &work.0)? {
                    Ok(((), Note(work.1.clone())))
                } else {
                    Err(Failed::Refused(Refusal::DirectiveMoved))
                }
            })
            .await?;
        Ok(())
    }

    /// Carries out a directive that enrols or dismisses an officer.
    ///
    /// Refused: `directive-not-confirmed`, `-of-another-act`, `-closed`, `-expired`,
    /// `officer-already-enrolled`, `officer-unknown`, `officers-too-few` (two for security stay).
    pub async fn change_officers(&self, id: DirectiveId, now: Timestamp) -> Result<(), Bad> {
        let inner = &*self.0;
        let ready = inner.ready(id, now).await?;
        let (event, row, before) = match &ready.directive.act {
            Act::Enrol { officer } => {
                (Event::OfficerEnrolled, inner.new_officer(officer.clone(), now)?, None)
            }
            Act::Dismiss { officer } => {
                let before = inner.officer(*officer).await?;
                let mut row = before.clone();
                row.officer.dismissed = Some(now);
                row.seal = inner.room.seal(&row.statement())?.to_vec();
                (Event::OfficerDismissed, row, Some(before.seal))
            }
            _ => return refused(Refusal::DirectiveOfAnotherAct),
        };
        let mut record = Record::new(event, row.officer.id.stream(), now);
        record.evidence = Some(ready.evidence()?);
        let work = Arc::new((ready, row, before, record));
        inner
            .ledger
            .record(move |tx| {
                let (ready, row, before, record) = &*work;
                ready.close(tx)?;
                change(tx, row, before.as_deref())?;
                Ok(((), Note(record.clone())))
            })
            .await?;
        Ok(())
    }
}

fn change(tx: &Tx<'_>, row: &OfficerRow, before: Option<&[u8]>) -> Result<(), Failed<Refusal>> {
    let Some(before) = before else {
        return if row.enrol(tx)? {
            Ok(())
        } else {
            Err(Failed::Refused(Refusal::OfficerAlreadyEnrolled))
        };
    };
    if !row.dismiss(tx, before)? {
        return Err(Failed::Refused(Refusal::OfficerDismissed));
    }
    let sql = "SELECT count(*) FROM custody_officer WHERE role = 'security' AND dismissed IS NULL";
    if tx.query_one(sql, &[])?.number(0)? < 2 {
        return Err(Failed::Refused(Refusal::OfficersTooFew));
    }
    Ok(())
}

impl Inner {
    fn sealed_directive(&self, row: DirectiveRow) -> Result<DirectiveRow, Bad> {
        if self.room.seal_holds(&row.statement()?, &row.seal)? {
            Ok(row)
        } else {
            refused(Refusal::SealBroken("custody_directive"))
        }
    }

    async fn directive_row(&self, id: DirectiveId) -> Result<DirectiveRow, Bad> {
        match self.ledger.read(move |tx| Ok(DirectiveRow::read(tx, id)?)).await? {
            None => refused(Refusal::DirectiveUnknown),
            Some(row) => self.sealed_directive(row),
        }
    }

    async fn open_directive(&self, id: DirectiveId, now: Timestamp) -> Result<DirectiveRow, Bad> {
        let row = self.directive_row(id).await?;
        if row.directive.closed.is_some() {
            return refused(Refusal::DirectiveClosed);
        }
        if now >= row.directive.until {
            return refused(Refusal::DirectiveExpired);
        }
        Ok(row)
    }

    fn closed(
        &self,
        row: &DirectiveRow,
        outcome: &str,
        now: Timestamp,
    ) -> Result<DirectiveRow, Bad> {
        let mut after = row.clone();
        after.directive.closed = Some(now);
        after.directive.outcome = outcome.to_owned();
        after.seal = self.room.seal(&after.statement()?)?.to_vec();
        Ok(after)
    }

    /// A directive that enough officers confirmed, each still in office and each signature checked
    /// again.
    pub(crate) async fn ready(&self, id: DirectiveId, now: Timestamp) -> Result<Ready, Bad> {
        let row = self.open_directive(id, now).await?;
        if !row.directive.is_confirmed() {
            return refused(Refusal::DirectiveNotConfirmed);
        }
        for given in &row.directive.confirmations {
            let by = self.officer(given.officer).await?.officer;
            let statement = row.directive.confirmation(&self.config.issuer, given.officer);
            let signature = hex::decode(&given.signature)
                .map_err(|_| Fault::Row("custody_directive: a signature".into()))?;
            by.verify(&statement, &signature).map_err(Failed::Refused)?;
            if by.role != given.role {
                return refused(Refusal::OfficerRoleWrong);
            }
        }
        let after = self.closed(&row, "done", now)?;
        Ok(Ready { directive: row.directive, before: row.seal, after })
    }
}
