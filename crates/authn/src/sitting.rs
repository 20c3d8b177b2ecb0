//! One sitting of a phone that proved a sheet's secret: 15 minutes, ended by the next.

use hpki::encoding::{Digest32, sha256};
use hpki::id::{SessionId, SheetId};
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Tx};

use crate::refusal::Refusal;
use crate::sheet::SheetRow;

/// A sitting as it is stored. Its id is a bearer secret, so the row is named by the id's hash.
#[derive(Debug, Clone)]
pub(crate) struct SittingRow {
    pub(crate) hash: Digest32,
    pub(crate) sheet: SheetId,
    pub(crate) until: Timestamp,
    pub(crate) nonce: [u8; 32],
    pub(crate) user_handle: Vec<u8>,
    pub(crate) proven: bool,
    pub(crate) ended: bool,
}

/// The hash under which a sitting is stored.
pub(crate) fn hash(session: SessionId) -> Digest32 {
    sha256(session.octets())
}

impl SittingRow {
    pub(crate) fn insert(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        tx.exec(
            "INSERT INTO authn_sitting (hash, sheet, until, nonce, user_handle, proven, ended)
             VALUES ($1, $2, $3, $4, $5, $6, 0)",
            &[
                self.hash.into(),
                self.sheet.into(),
                self.until.into(),
                self.nonce.into(),
                (&self.user_handle).into(),
                u64::from(self.proven).into(),
            ],
        )?;
        Ok(())
    }

    /// The sitting and its sheet, if both may go on.
    ///
    /// The sheet is judged first: whoever proved its secret may know that it was used or locked in
    /// the meantime, even where her own sitting was ended by another phone.
    pub(crate) fn going_on(
        tx: &Tx<'_>,
        hash: Digest32,
        now: Timestamp,
    ) -> Result<(Self, SheetRow), Failed<Refusal>> {
        let unknown = || Failed::Refused(Refusal::SittingUnknown);
        let row = tx
            .query_opt(
                "SELECT sheet, until, nonce, user_handle, proven, ended
                 FROM authn_sitting WHERE hash = $1",
                &[hash.into()],
            )?
            .ok_or_else(unknown)?;
        let sitting = Self {
            hash,
            sheet: SheetId::from_octets(row.array(0)?),
            until: row.time(1)?,
            nonce: row.array(2)?,
            user_handle: row.blob(3)?.to_vec(),
            proven: row.flag(4)?,
            ended: row.flag(5)?,
        };
        let sheet = SheetRow::find(tx, sitting.sheet)?
            .ok_or_else(|| Fault::Row("a sitting without its sheet".into()))?;
        sheet.usable(now).map_err(Failed::Refused)?;
        if sitting.ended || now > sitting.until {
            return Err(unknown());
        }
        Ok((sitting, sheet))
    }
}
