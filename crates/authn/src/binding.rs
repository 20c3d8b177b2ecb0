//! A phone linked to a person and key. The row is sealed: one written by SQL is refused.

use approval::Credential;
use hpki::encoding::{Digest32, Statement};
use hpki::id::{BindingId, KeyId, PersonId};
use hpki::sign::Mac;
use hpki::time::Timestamp;
use hsm::TokenDesk;
use ledger::{Failed, Fault, Row, Tx};

use crate::refusal::Refusal;

pub(crate) const LIVE: &str = "live";
pub(crate) const ENDED: &str = "ended";

/// A binding as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct BindingRow {
    pub(crate) id: BindingId,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) display_id: String,
    /// What the owner calls the phone.
    pub(crate) label: String,
    /// Counter and backup state are those of the last use.
    pub(crate) credential: Credential,
    /// The credential as it was linked, as JSON: this text is what is sealed.
    pub(crate) credential_text: String,
    pub(crate) device_hash: Digest32,
    pub(crate) linked: Timestamp,
    pub(crate) state: String,
    pub(crate) seal: Vec<u8>,
}

const COLUMNS: &str = "id, person, key, display_id, credential, device_hash, linked, state, seal, \
                       sign_count, backup_state, label";

impl BindingRow {
    pub(crate) fn sealed(&self) -> Statement {
        Statement::new("azukari/seal/v1")
            .text("authn_binding")
            .octets_field(self.id.octets())
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .text(&self.display_id)
            .text(&self.label)
            .octets_field(self.credential_text.as_bytes())
            .octets_field(&self.device_hash)
            .time(self.linked)
            .text(&self.state)
    }

    fn read(row: &Row) -> Result<Self, Fault> {
        let text = row.text(4)?.to_owned();
        let mut credential: Credential = serde_json::from_str(&text)
            .map_err(|why| Fault::Row(format!("a binding's credential: {why}")))?;
        credential.sign_count = u32::try_from(row.number(9)?).unwrap_or(u32::MAX);
        credential.backup_state = row.flag(10)?;
        Ok(Self {
            id: BindingId::from_octets(row.array(0)?),
            person: PersonId::from_octets(row.array(1)?),
            key: KeyId::from_octets(row.array(2)?),
            display_id: row.text(3)?.to_owned(),
            label: row.text(11)?.to_owned(),
            credential,
            credential_text: text,
            device_hash: row.array(5)?,
            linked: row.time(6)?,
            state: row.text(7)?.to_owned(),
            seal: row.blob(8)?.to_vec(),
        })
    }

    fn judged(row: Option<Row>, desk: &TokenDesk) -> Result<Self, Failed<Refusal>> {
        let row = row.ok_or(Failed::Refused(Refusal::PhoneNotLinked))?;
        let binding = Self::read(&row)?;
        if !desk.check(&binding.sealed(), &binding.seal)? {
            return Err(Failed::Refused(Refusal::SealBroken("a binding")));
        }
        if binding.state != LIVE {
            return Err(Failed::Refused(Refusal::PhoneNotLinked));
        }
        Ok(binding)
    }

    /// The live binding of the phone that holds this device secret.
    pub(crate) fn of_device(
        tx: &Tx<'_>,
        device_hash: Digest32,
        desk: &TokenDesk,
    ) -> Result<Self, Failed<Refusal>> {
        let sql = format!("SELECT {COLUMNS} FROM authn_binding WHERE device_hash = $1");
        Self::judged(tx.query_opt(&sql, &[device_hash.into()])?, desk)
    }

    /// The live binding of this credential.
    pub(crate) fn of_credential(
        tx: &Tx<'_>,
        credential: &[u8],
        desk: &TokenDesk,
    ) -> Result<Self, Failed<Refusal>> {
        let sql = format!("SELECT {COLUMNS} FROM authn_binding WHERE credential_id = $1");
        Self::judged(tx.query_opt(&sql, &[credential.into()])?, desk)
    }

    /// Ends it. Refused where somebody else changed it since it was read.
    pub(crate) fn end(&self, tx: &Tx<'_>, desk: &TokenDesk) -> Result<(), Failed<Refusal>> {
        let ended = Self { state: ENDED.into(), ..self.clone() };
        let seal = desk.mac(&ended.sealed())?;
        let changed = tx.exec(
            "UPDATE authn_binding SET state = $1, seal = $2 WHERE id = $3 AND seal = $4",
            &[ENDED.into(), seal.into(), self.id.into(), (&self.seal).into()],
        )?;
        if changed == 1 { Ok(()) } else { Err(Failed::Refused(Refusal::PhoneNotLinked)) }
    }

    /// This binding, if it is still live.
    pub(crate) fn live(
        tx: &Tx<'_>,
        id: BindingId,
        desk: &TokenDesk,
    ) -> Result<Self, Failed<Refusal>> {
        let sql = format!("SELECT {COLUMNS} FROM authn_binding WHERE id = $1");
        Self::judged(tx.query_opt(&sql, &[id.into()])?, desk)
    }

    /// Whether a phone is linked to this key.
    pub(crate) fn is_linked(tx: &Tx<'_>, key: KeyId) -> Result<bool, Fault> {
        let sql = "SELECT 1 FROM authn_binding WHERE key = $1 AND state = 'live'";
        Ok(tx.query_opt(sql, &[key.into()])?.is_some())
    }

    /// The live binding of this key.
    pub(crate) fn of_key(
        tx: &Tx<'_>,
        key: KeyId,
        desk: &TokenDesk,
    ) -> Result<Self, Failed<Refusal>> {
        let sql = format!("SELECT {COLUMNS} FROM authn_binding WHERE key = $1 AND state = 'live'");
        Self::judged(tx.query_opt(&sql, &[key.into()])?, desk)
    }

    /// The unit of work in which this is inserted ends with the journal's entry about it.
    pub(crate) fn insert(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        tx.exec(
            "INSERT INTO authn_binding (id, person, key, display_id, credential_id, credential,
                device_hash, linked, state, seal, sign_count, backup_state, leaf, label)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            &[
                self.id.into(),
                self.person.into(),
                self.key.into(),
                (&self.display_id).into(),
                (&self.credential.id).into(),
                (&self.credential_text).into(),
                self.device_hash.into(),
                self.linked.into(),
                (&self.state).into(),
                (&self.seal).into(),
                self.credential.sign_count.into(),
                self.credential.backup_state.into(),
                tx.next_index()?.into(),
                (&self.label).into(),
            ],
        )?;
        Ok(())
    }
}
