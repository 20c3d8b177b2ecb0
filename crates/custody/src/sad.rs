//! SAD, signature activation data: the handle by which a client of the CSC API spends what was
//! authorised.
//!
//! 256 random bits, kept here only as SHA-256, good for sixty seconds, and only together with the
//! token, over the client certificate, at the facility and for the credential for which it was
//! made. Whoever brings another's gets the answer that an unknown one gets.
//!
//! SCAL1: drawn from the budget that the session's approval opened; which hashes is fixed when they
//! are signed, or before where the client names them. SCAL2: the owner approved exactly these
//! hashes ([`crate::Prepared`]); each is one activation, spent once.

use std::fmt;

use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{BudgetId, FacilityCode, KeyId, PersonId, PreparedId};
use hpki::kind::DocumentKind;
use hpki::sign::Random;
use hpki::time::Timestamp;
use ledger::{Fault, Row, Tx};
use wire::csc::CredentialId;
use wire::token::{base64url_decode, base64url_encode};
use zeroize::Zeroizing;

use crate::Failed as Bad;
use crate::bearer::Bearer;
use crate::refusal::Refusal;
use crate::refused;
use crate::room::Inner;

/// The handle itself: a bearer's secret, in memory that is zeroed.
pub struct Sad(Zeroizing<[u8; 32]>);

impl Sad {
    pub(crate) fn random(random: &dyn Random) -> Self {
        let mut octets = Zeroizing::new([0; 32]);
        random.fill(&mut *octets);
        Self(octets)
    }

    /// Reads the text form; `None` for anything that cannot be one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let octets = Zeroizing::new(base64url_decode(text)?);
        Some(Self(Zeroizing::new(octets.as_slice().try_into().ok()?)))
    }

    /// The text form for its bearer: 43 characters of Base64url.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url_encode(&*self.0))
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> Digest32 {
        sha256(&*self.0)
    }
}

impl fmt::Debug for Sad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sad")
    }
}

/// Something may be signed now: the handle, until when, and how many times.
#[derive(Debug)]
pub struct Granted {
    /// The handle. It is told once.
    pub sad: Sad,
    /// It is not accepted from this moment on.
    pub until: Timestamp,
    /// How many signatures it still allows.
    pub left: u32,
}

/// How long a SAD is good for.
pub(crate) const SAD_S: u64 = 60;

/// The row: who may spend what by it. `remaining` and `ended` are as of reading; the rest is
/// sealed.
#[derive(Debug, Clone)]
pub(crate) struct SadRow {
    pub(crate) hash: Digest32,
    /// SCAL2: the documents that were approved.
    pub(crate) prepared: Option<PreparedId>,
    pub(crate) budget: BudgetId,
    pub(crate) facility: FacilityCode,
    pub(crate) x5t: Digest32,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) kind: DocumentKind,
    /// SCAL1 with hashes that the client pinned.
    pub(crate) hashes: Option<Vec<Digest32>>,
    pub(crate) count: u32,
    pub(crate) minted: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) remaining: u32,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) seal: Vec<u8>,
}

const COLUMNS: &str = "hash, prepared, budget, facility, x5t, person, kept, kind, hashes, count, \
    minted, until, seal, remaining, ended";

impl SadRow {
    /// Whether it was made for this bearer.
    pub(crate) fn is_of(&self, bearer: &Bearer) -> bool {
        self.budget == bearer.budget.id
            && self.facility == bearer.budget.facility
            && self.x5t == bearer.budget.x5t
            && self.person == bearer.budget.person
            && self.key == bearer.budget.key
    }

    /// Whether it is still good.
    ///
    /// Refused: `sad-expired`; one that was ended by its successor is `sad-unknown`.
    pub(crate) fn live(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.ended.is_some() {
            Err(Refusal::SadUnknown)
        } else if now >= self.until {
            Err(Refusal::SadExpired)
        } else {
            Ok(())
        }
    }

    fn hashes_octets(&self) -> Option<Vec<u8>> {
        self.hashes.as_ref().map(|hashes| hashes.concat())
    }

    pub(crate) fn statement(&self) -> Statement {
        Statement::new("azukari/seal/v1")
            .text("custody_sad")
            .octets_field(&self.hash)
            .optional(self.prepared.as_ref().map(|id| id.octets().as_slice()))
            .octets_field(self.budget.octets())
            .text(self.facility.as_str())
            .octets_field(&self.x5t)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .text(self.kind.name())
            .optional(self.hashes_octets().as_deref())
            .number(self.count.into())
            .time(self.minted)
            .time(self.until)
    }

    pub(crate) fn insert(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        let sql = format!(
            "INSERT INTO custody_sad ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                 $11, $12, $13, $14, $15)"
        );
        tx.exec(
            &sql,
            &[
                (&self.hash).into(),
                self.prepared.into(),
                self.budget.into(),
                (&self.facility).into(),
                (&self.x5t).into(),
                self.person.into(),
                self.key.into(),
                self.kind.into(),
                self.hashes_octets().into(),
                self.count.into(),
                self.minted.into(),
                self.until.into(),
                (&self.seal).into(),
                self.remaining.into(),
                self.ended.into(),
            ],
        )?;
        Ok(())
    }

    /// Its part of commit A. Under SCAL2 the rows themselves are what is spent.
    pub(crate) fn spend(&self, tx: &Tx<'_>, count: u32, now: Timestamp) -> Result<bool, Fault> {
        let count = if self.prepared.is_some() { 0 } else { count };
        let changed = tx.exec(
            "UPDATE custody_sad SET remaining = remaining - $3
             WHERE hash = $1 AND seal = $2 AND ended IS NULL AND until > $4 AND remaining >= $3
                 AND remaining <= count",
            &[(&self.hash).into(), (&self.seal).into(), count.into(), now.into()],
        )?;
        Ok(changed == 1)
    }

    /// So many that were spent by it are not signed: they can be spent again, unless it was ended.
    pub(crate) fn give_back(&self, tx: &Tx<'_>, count: u64) -> Result<(), Fault> {
        let count = if self.prepared.is_some() { 0 } else { count };
        tx.exec(
            "UPDATE custody_sad SET remaining = remaining + $3
             WHERE hash = $1 AND seal = $2 AND ended IS NULL AND remaining + $3 <= count",
            &[(&self.hash).into(), (&self.seal).into(), count.into()],
        )?;
        Ok(())
    }

    /// Ends it for its successor; false if it was ended or spent from meanwhile.
    pub(crate) fn end(&self, tx: &Tx<'_>, now: Timestamp) -> Result<bool, Fault> {
        let changed = tx.exec(
            "UPDATE custody_sad SET ended = $3
             WHERE hash = $1 AND seal = $2 AND ended IS NULL AND remaining = $4",
            &[(&self.hash).into(), (&self.seal).into(), now.into(), self.remaining.into()],
        )?;
        Ok(changed == 1)
    }

    pub(crate) fn read(tx: &Tx<'_>, hash: &Digest32) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_sad WHERE hash = $1");
        tx.query_opt(&sql, &[hash.into()])?.as_ref().map(Self::from_row).transpose()
    }

    pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_sad");
        tx.query(&sql, &[])?.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        let odd = |what: &str| Fault::Row(format!("custody_sad: {what}"));
        let small = |column| u32::try_from(row.number(column)?).map_err(|_| odd("a count"));
        let hashes = |octets: &[u8]| {
            let (hashes, rest) = octets.as_chunks::<32>();
            rest.is_empty().then(|| hashes.to_vec()).ok_or_else(|| odd("hashes"))
        };
        Ok(Self {
            hash: row.array(0)?,
            prepared: match row.opt_blob(1)? {
                None => None,
                Some(octets) => {
                    Some(PreparedId::from_slice(octets).ok_or_else(|| odd("prepared"))?)
                }
            },
            budget: BudgetId::from_octets(row.array(2)?),
            facility: row.parsed(3)?,
            x5t: row.array(4)?,
            person: PersonId::from_octets(row.array(5)?),
            key: KeyId::from_octets(row.array(6)?),
            kind: row.parsed(7)?,
            hashes: row.opt_blob(8)?.map(hashes).transpose()?,
            count: small(9)?,
            minted: row.time(10)?,
            until: row.time(11)?,
            seal: row.blob(12)?.to_vec(),
            remaining: small(13)?,
            ended: row.opt_time(14)?,
        })
    }
}

impl Inner {
    /// A fresh SAD with this row, which is still to be stored.
    pub(crate) fn mint(&self, mut row: SadRow) -> Result<(Granted, SadRow), Bad> {
        let sad = Sad::random(&*self.random);
        row.hash = sad.hash();
        row.ended = None;
        row.seal = self.room.seal(&row.statement())?.to_vec();
        Ok((Granted { sad, until: row.until, left: row.remaining }, row))
    }

    /// The row of a SAD, its seal checked, for the bearer for whom it was made.
    ///
    /// Refused: `sad-unknown` for everybody else, and `seal-broken`.
    pub(crate) async fn sad_of(&self, sad: &Sad, bearer: &Bearer) -> Result<SadRow, Bad> {
        let hash = sad.hash();
        let row = self.ledger.read(move |tx| Ok(SadRow::read(tx, &hash)?)).await?;
        match row {
            Some(row) if !row.is_of(bearer) => refused(Refusal::SadUnknown),
            Some(row) if !self.room.seal_holds(&row.statement(), &row.seal)? => {
                refused(Refusal::SealBroken("custody_sad"))
            }
            Some(row) => Ok(row),
            None => refused(Refusal::SadUnknown),
        }
    }

    /// [`Self::sad_of`] for one credential: a key for one kind. A SAD for another kind of the same
    /// key is unknown there.
    pub(crate) async fn sad_for(
        &self,
        sad: &Sad,
        bearer: &Bearer,
        credential: CredentialId,
    ) -> Result<SadRow, Bad> {
        let row = self.sad_of(sad, bearer).await?;
        if row.key == credential.key && row.kind == credential.kind {
            Ok(row)
        } else {
            refused(Refusal::SadUnknown)
        }
    }
}
