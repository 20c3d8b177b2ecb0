//! The sheet that comes by post (初期登録用 QR): issued, opened, proven, used; or locked, expired,
//! revoked by a newer one.

use std::sync::Arc;

use hpki::encoding::{Digest32, Statement};
use hpki::id::{KeyId, PersonId, SheetId};
use hpki::sign::Mac;
use hpki::time::Timestamp;
use hsm::TokenDesk;
use ledger::{Event, Failed, Fault, Note, Record, Row, Tx};

use crate::config::{BIRTH_TRIES, SHEET_LIFE_S};
use crate::notice::{NoticeKind, tell};
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;

/// A person whose key is kept and who has no phone yet.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// Who.
    pub person: PersonId,
    /// Her kept key.
    pub key: KeyId,
    /// 本人ID, as the letter shows it.
    pub display_id: String,
    /// `YYYYMMDD`. Kept only as a keyed hash.
    pub birth_date: String,
}

/// A sheet, to be printed once: its secret is nowhere else.
#[derive(Debug)]
pub struct Sheet {
    /// Its number.
    pub id: SheetId,
    /// What its QR holds: `{url}/r#1.<sheet>.<secret>`.
    pub url: String,
    /// Until when it can be used.
    pub expires: Timestamp,
}

/// How far a sheet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Printed and posted.
    Issued,
    /// A phone showed its secret.
    Opened,
    /// That phone's owner gave the birth date.
    Proven,
    /// A phone was linked by it.
    Used,
    /// Five wrong birth dates.
    Locked,
    /// A newer sheet was issued for the key.
    Revoked,
    /// The certificate of the key was revoked.
    Void,
}

impl Standing {
    /// The name in rows and interfaces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Opened => "opened",
            Self::Proven => "proven",
            Self::Used => "used",
            Self::Locked => "locked",
            Self::Revoked => "revoked",
            Self::Void => "void",
        }
    }

    fn read(name: &str) -> Result<Self, Fault> {
        use Standing::{Issued, Locked, Opened, Proven, Revoked, Used, Void};
        [Issued, Opened, Proven, Used, Locked, Revoked, Void]
            .into_iter()
            .find(|standing| standing.name() == name)
            .ok_or_else(|| Fault::Row(format!("a sheet is {name}")))
    }
}

/// What a help desk may see of a sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SheetStanding {
    /// How far it is.
    pub standing: Standing,
    /// How many wrong birth dates it has seen.
    pub tries: u64,
    /// Until when it can be used.
    pub expires: Timestamp,
}

/// A sheet as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct SheetRow {
    pub(crate) id: SheetId,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) display_id: String,
    pub(crate) secret_hash: Digest32,
    pub(crate) birth: Digest32,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) standing: Standing,
    pub(crate) tries: u64,
    /// Whether her card ordered it, so that whoever has its secret has shown the card.
    pub(crate) by_card: bool,
    seal: Vec<u8>,
}

const COLUMNS: &str =
    "id, person, key, display_id, secret_hash, birth, issued, expires, state, tries, by_card, seal";

impl SheetRow {
    fn read(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            id: SheetId::from_octets(row.array(0)?),
            person: PersonId::from_octets(row.array(1)?),
            key: KeyId::from_octets(row.array(2)?),
            display_id: row.text(3)?.to_owned(),
            secret_hash: row.array(4)?,
            birth: row.array(5)?,
            issued: row.time(6)?,
            expires: row.time(7)?,
            standing: Standing::read(row.text(8)?)?,
            tries: row.number(9)?,
            by_card: row.flag(10)?,
            seal: row.blob(11)?.to_vec(),
        })
    }

    pub(crate) fn find(tx: &Tx<'_>, id: SheetId) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM authn_sheet WHERE id = $1");
        tx.query_opt(&sql, &[id.into()])?.as_ref().map(Self::read).transpose()
    }

    fn sealed(&self) -> Statement {
        Statement::new("azukari/seal/v1")
            .text("authn_sheet")
            .octets_field(self.id.octets())
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .text(&self.display_id)
            .octets_field(&self.secret_hash)
            .octets_field(&self.birth)
            .time(self.issued)
            .time(self.expires)
            .number(u64::from(self.by_card))
    }

    /// The newest sheet of a key, used or not: it says whose the key is.
    pub(crate) fn latest(
        tx: &Tx<'_>,
        key: KeyId,
        desk: &TokenDesk,
    ) -> Result<Self, Failed<Refusal>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM authn_sheet WHERE key = $1 ORDER BY issued DESC, id LIMIT 1"
        );
        let row = tx.query_opt(&sql, &[key.into()])?;
        let row = row.ok_or(Failed::Refused(Refusal::HolderUnknown))?;
        let sheet = Self::read(&row)?;
        sheet.check_seal(desk)?;
        Ok(sheet)
    }

    /// A new sheet by card for whoever had this one, not sealed yet.
    pub(crate) fn again(
        self,
        id: SheetId,
        secret_hash: Digest32,
        (issued, expires): (Timestamp, Timestamp),
    ) -> Self {
        let (standing, tries) = (Standing::Issued, 0);
        Self { id, secret_hash, issued, expires, standing, tries, by_card: true, ..self }
    }

    pub(crate) fn seal_with(&mut self, desk: &TokenDesk) -> Result<(), Failed<Refusal>> {
        self.seal = desk.mac(&self.sealed())?.to_vec();
        Ok(())
    }

    /// What the journal is told of it.
    pub(crate) fn note(&self, event: Event, now: Timestamp) -> Note {
        let mut record = Record::of_key(event, self.key, now);
        record.person = Some(self.person);
        Note(record)
    }

    /// What a help desk may see of it.
    pub(crate) fn facts(&self) -> SheetStanding {
        SheetStanding { standing: self.standing, tries: self.tries, expires: self.expires }
    }

    /// This sheet takes the place of earlier ones for its key. Gives what to remember.
    pub(crate) fn take_over(&self, tx: &Tx<'_>) -> Result<Record, Failed<Refusal>> {
        let live = "SELECT 1 FROM authn_binding WHERE key = $1 AND state = 'live'";
        if tx.query_opt(live, &[self.key.into()])?.is_some() {
            return Err(Failed::Refused(Refusal::PhoneAlreadyLinked));
        }
        tx.exec(
            "UPDATE authn_sheet SET state = 'revoked'
             WHERE key = $1 AND state NOT IN ('used', 'revoked', 'void')",
            &[self.key.into()],
        )?;
        tx.exec(
            "INSERT INTO authn_sheet (id, person, key, display_id, secret_hash, birth,
                issued, expires, state, tries, by_card, seal)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'issued', 0, $9, $10)",
            &[
                self.id.into(),
                self.person.into(),
                self.key.into(),
                (&self.display_id).into(),
                self.secret_hash.into(),
                self.birth.into(),
                self.issued.into(),
                self.expires.into(),
                u64::from(self.by_card).into(),
                (&self.seal).into(),
            ],
        )?;
        tell(tx, self.key, NoticeKind::SheetIssued, "", self.issued)?;
        let mut record = Record::of_key(Event::SheetIssued, self.key, self.issued);
        record.person = Some(self.person);
        record.evidence = Some(self.sealed().digest());
        Ok(record)
    }

    /// Refuses a row that somebody else wrote.
    pub(crate) fn check_seal(&self, desk: &TokenDesk) -> Result<(), Failed<Refusal>> {
        if desk.check(&self.sealed(), &self.seal)? {
            Ok(())
        } else {
            Err(Failed::Refused(Refusal::SealBroken("a sheet")))
        }
    }

    /// Whether it may still be used. Asked only by those who showed its secret.
    pub(crate) fn usable(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.standing {
            Standing::Used => Err(Refusal::PhoneAlreadyLinked),
            Standing::Locked => Err(Refusal::SheetLocked),
            Standing::Revoked => Err(Refusal::SheetRevoked),
            Standing::Void => Err(Refusal::SheetVoid),
            // We may have died after the fifth try was committed and before the lock was.
            _ if self.tries >= BIRTH_TRIES => Err(Refusal::SheetLocked),
            _ if now > self.expires => Err(Refusal::SheetExpired),
            _ => Ok(()),
        }
    }
}

/// `M("azukari/birth/v1"; person, date)`: a stolen table cannot be searched.
pub(crate) fn birth_hash(
    desk: &TokenDesk,
    person: PersonId,
    date: &str,
) -> Result<Digest32, Failed<Refusal>> {
    let statement = Statement::new("azukari/birth/v1").octets_field(person.octets()).text(date);
    Ok(desk.mac(&statement)?)
}

/// Whether this is `YYYYMMDD`, near enough a date that a slip of the finger costs no try.
pub(crate) fn is_birth_date(date: &str) -> bool {
    if date.len() != 8 || !date.bytes().all(|digit| digit.is_ascii_digit()) {
        return false;
    }
    let number = |from: usize, to: usize| date[from..to].parse::<u32>().unwrap_or(0);
    (1850..=2100).contains(&number(0, 4))
        && (1..=12).contains(&number(4, 6))
        && (1..=31).contains(&number(6, 8))
}

impl Authn {
    /// Issues a sheet, good for three months, and voids earlier ones for the same key.
    ///
    /// # Errors
    /// `phone-already-linked` while the key has a live phone; `birth-date-malformed`; or a fault.
    pub async fn issue_sheet(
        &self,
        enrolled: Enrolled,
        now: Timestamp,
    ) -> Result<Sheet, Failed<Refusal>> {
        if !is_birth_date(&enrolled.birth_date) {
            return Err(Failed::Refused(Refusal::BirthDateMalformed));
        }
        let secret = Secret::new(&*self.random);
        let mut row = SheetRow {
            id: SheetId::random(&*self.random),
            person: enrolled.person,
            key: enrolled.key,
            display_id: enrolled.display_id,
            secret_hash: secret.hash(),
            birth: birth_hash(&self.desk, enrolled.person, &enrolled.birth_date)?,
            issued: now,
            expires: now.plus(SHEET_LIFE_S),
            standing: Standing::Issued,
            tries: 0,
            by_card: false,
            seal: Vec::new(),
        };
        row.seal_with(&self.desk)?;
        let (id, expires) = (row.id, row.expires);
        let row = Arc::new(row);
        self.ledger.record(move |tx| Ok(((), Note(row.take_over(tx)?)))).await?;
        let url = format!("{}/r#1.{id}.{}", self.config.url, secret.text());
        Ok(Sheet { id, url, expires })
    }

    /// How a sheet stands, for the help desk. `None` if there is none.
    ///
    /// # Errors
    /// A fault.
    pub async fn sheet(&self, id: SheetId) -> Result<Option<SheetStanding>, Failed<Refusal>> {
        self.ledger.read(move |tx| Ok(SheetRow::find(tx, id)?.map(|row| row.facts()))).await
    }
}
