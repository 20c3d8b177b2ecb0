//! Invitations and officers as they are stored, each row under its seal.

use approval::{AssertionOutcome, Credential};
use hpki::encoding::{Digest32, Statement};
use hpki::id::{InvitationId, OfficerId};
use hpki::sign::Mac;
use hpki::time::Timestamp;
use hsm::TokenDesk;
use ledger::{Fault, Row, Tx};

use super::{DeskOfficer, Result, no};
use crate::refusal::Refusal;

/// An invitation. Its secret is known as SHA-256 only.
pub(super) struct InvitationRow {
    pub(super) id: InvitationId,
    pub(super) officer: OfficerId,
    pub(super) name: String,
    pub(super) secret_hash: Digest32,
    pub(super) nonce: [u8; 32],
    pub(super) user_handle: Vec<u8>,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) seal: Vec<u8>,
    pub(super) used: Option<Timestamp>,
}

impl InvitationRow {
    pub(super) fn sealed(&self) -> Statement {
        Statement::new("azukari/seal/v1")
            .text("authn_invitation")
            .octets_field(self.id.octets())
            .octets_field(self.officer.octets())
            .text(&self.name)
            .octets_field(&self.secret_hash)
            .octets_field(&self.nonce)
            .octets_field(&self.user_handle)
            .time(self.issued)
            .time(self.expires)
    }

    pub(super) fn find(tx: &Tx<'_>, id: InvitationId) -> std::result::Result<Option<Self>, Fault> {
        let row = tx.query_opt(
            "SELECT officer, name, secret_hash, nonce, user_handle, issued, expires, seal, used
             FROM authn_invitation WHERE id = $1",
            &[id.octets().into()],
        )?;
        let read = |row: Row| {
            Ok(Self {
                id,
                officer: OfficerId::from_octets(row.array(0)?),
                name: row.text(1)?.to_owned(),
                secret_hash: row.array(2)?,
                nonce: row.array(3)?,
                user_handle: row.blob(4)?.to_vec(),
                issued: row.time(5)?,
                expires: row.time(6)?,
                seal: row.blob(7)?.to_vec(),
                used: row.opt_time(8)?,
            })
        };
        row.map(read).transpose()
    }

    pub(super) fn insert(&self, tx: &Tx<'_>) -> std::result::Result<(), Fault> {
        tx.exec(
            "INSERT INTO authn_invitation (id, officer, name, secret_hash, nonce, user_handle,
                issued, expires, seal, used) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL)",
            &[
                self.id.octets().into(),
                self.officer.octets().into(),
                (&self.name).into(),
                self.secret_hash.into(),
                self.nonce.into(),
                (&self.user_handle).into(),
                self.issued.into(),
                self.expires.into(),
                (&self.seal).into(),
            ],
        )?;
        Ok(())
    }

    /// Asked only by those who showed its secret.
    pub(super) fn usable(&self, now: Timestamp) -> std::result::Result<(), Refusal> {
        if self.used.is_some() {
            Err(Refusal::InvitationUsed)
        } else if now > self.expires {
            Err(Refusal::InvitationExpired)
        } else {
            Ok(())
        }
    }
}

/// An officer as she is stored.
#[derive(Clone)]
pub(crate) struct OfficerRow {
    pub(crate) officer: DeskOfficer,
    /// Counter and backup state are those of the last use.
    pub(crate) credential: Credential,
    /// The credential as it was enrolled, as JSON: this text is what is sealed.
    pub(super) text: String,
    pub(super) seal: Vec<u8>,
}

const COLUMNS: &str = "id, name, credential, enrolled, dismissed, seal, sign_count, backup_state";

impl OfficerRow {
    pub(super) fn sealed(&self) -> Statement {
        let dismissed = self.officer.dismissed.map(|time| time.seconds().to_be_bytes());
        Statement::new("azukari/seal/v1")
            .text("authn_officer")
            .octets_field(self.officer.id.octets())
            .text(&self.officer.name)
            .text(&self.text)
            .time(self.officer.enrolled)
            .optional(dismissed.as_ref().map(<[u8; 8]>::as_slice))
    }

    fn read(row: &Row, desk: &TokenDesk) -> Result<Self> {
        let text = row.text(2)?.to_owned();
        let mut credential: Credential = serde_json::from_str(&text)
            .map_err(|why| Fault::Row(format!("an officer's credential: {why}")))?;
        credential.sign_count = u32::try_from(row.number(6)?).unwrap_or(u32::MAX);
        credential.backup_state = row.flag(7)?;
        let officer = Self {
            officer: DeskOfficer {
                id: OfficerId::from_octets(row.array(0)?),
                name: row.text(1)?.to_owned(),
                enrolled: row.time(3)?,
                dismissed: row.opt_time(4)?,
            },
            credential,
            text,
            seal: row.blob(5)?.to_vec(),
        };
        if desk.check(&officer.sealed(), &officer.seal)? {
            Ok(officer)
        } else {
            no(Refusal::SealBroken("an officer"))
        }
    }

    pub(super) fn all(tx: &Tx<'_>, desk: &TokenDesk) -> Result<Vec<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM authn_officer ORDER BY enrolled, id");
        tx.query(&sql, &[])?.iter().map(|row| Self::read(row, desk)).collect()
    }

    /// The officer in office with this number.
    pub(crate) fn in_office(tx: &Tx<'_>, id: OfficerId, desk: &TokenDesk) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM authn_officer WHERE id = $1");
        let row = tx.query_opt(&sql, &[id.octets().into()])?;
        let found = row.map(|row| Self::read(&row, desk)).transpose()?;
        Ok(found.filter(|row| row.officer.dismissed.is_none()))
    }

    pub(super) fn of_credential(tx: &Tx<'_>, id: &[u8], desk: &TokenDesk) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM authn_officer WHERE credential_id = $1");
        let row = tx.query_opt(&sql, &[id.to_vec().into()])?;
        let found = row.map(|row| Self::read(&row, desk)).transpose()?;
        Ok(found.filter(|row| row.officer.dismissed.is_none()))
    }

    pub(super) fn insert(&self, tx: &Tx<'_>) -> std::result::Result<bool, Fault> {
        let inserted = tx.exec(
            "INSERT INTO authn_officer (id, name, credential_id, credential, enrolled, dismissed,
                seal, sign_count, backup_state) VALUES ($1, $2, $3, $4, $5, NULL, $6, $7, $8)
             ON CONFLICT DO NOTHING",
            &[
                self.officer.id.octets().into(),
                (&self.officer.name).into(),
                (&self.credential.id).into(),
                (&self.text).into(),
                self.officer.enrolled.into(),
                (&self.seal).into(),
                self.credential.sign_count.into(),
                self.credential.backup_state.into(),
            ],
        )?;
        Ok(inserted == 1)
    }

    /// Raises her passkey's counter from what it was when the answer was judged: of two answers with
    /// one counter, one counts.
    pub(crate) fn count(&self, tx: &Tx<'_>, outcome: AssertionOutcome) -> Result<()> {
        let counted = tx.exec(
            "UPDATE authn_officer SET sign_count = $1, backup_state = $2
             WHERE id = $3 AND dismissed IS NULL AND sign_count = $4",
            &[
                outcome.sign_count.into(),
                outcome.backup_state.into(),
                self.officer.id.octets().into(),
                self.credential.sign_count.into(),
            ],
        )?;
        if counted == 1 {
            Ok(())
        } else {
            no(Refusal::Approval(approval::Refusal::CounterNotRising))
        }
    }
}
