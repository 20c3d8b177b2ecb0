//! 鍵の包み直し: every kept key's wrapped form replaced, when the device's key-encryption key was.
//!
//! The device unwraps and wraps; this walks the rows. What is true if we die here: each batch is
//! committed or not, each blob says under which version it is wrapped, and the next walk passes over
//! what is done. A row that was changed or destroyed meanwhile is left as it is and met again.

use hpki::id::{KeyId, PersonId};
use ledger::{Failed, Value};

use crate::Failed as Bad;
use crate::refusal::Refusal;
use crate::room::Custody;

/// Rows in one commit.
const BATCH: usize = 256;

/// How far a walk is, and in the end what it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Keys wrapped anew.
    pub done: u64,
    /// Keys that were under the new version already.
    pub already: u64,
    /// Keys that there are, destroyed ones left out.
    pub of: u64,
}

struct Row {
    id: KeyId,
    owner: PersonId,
    wrapped: Vec<u8>,
}

impl Custody {
    /// Wraps every kept key anew that is not yet under this version of the key-encryption key, and
    /// tells how far it is after each batch. To be called again until it finds nothing to do.
    ///
    /// Refused: `blob-broken` or `blob-not-owners`, where the device refuses a key, or gives back
    /// one that is not the same key of the same owner under the new version. What was done until
    /// then stays done.
    pub async fn rewrap(
        &self,
        version: u32,
        wrap: impl Fn(&[u8], KeyId, PersonId) -> Result<Vec<u8>, hsm::Failed>,
        mut progress: impl FnMut(Rewrapped),
    ) -> Result<Rewrapped, Bad> {
        // Keys made ahead are nobody's: they are made again, instead of wrapped again.
        self.empty_pool().await?;
        let mut sum = Rewrapped { of: self.wrapped_keys().await?, ..Rewrapped::default() };
        let mut after: Option<KeyId> = None;
        loop {
            let rows = self.batch(after).await?;
            let Some(last) = rows.last() else { return Ok(sum) };
            after = Some(last.id);
            let full = rows.len() == BATCH;
            let mut changes = Vec::new();
            for row in rows {
                let header = header(&row.wrapped)?;
                if header.kek_version == version {
                    sum.already += 1;
                    continue;
                }
                let fresh = wrap(&row.wrapped, row.id, row.owner).map_err(of_device)?;
                let other = self::header(&fresh)?;
                let same = other.kek_version == version
                    && other.credential == row.id
                    && other.owner == row.owner
                    && other.spki_sha256 == header.spki_sha256
                    && other.proof_hash == header.proof_hash
                    && other.policy == header.policy
                    && other.created == header.created;
                if !same {
                    return Err(Failed::Refused(hsm::Refusal::BlobBroken.into()));
                }
                changes.push((row, fresh));
            }
            sum.done += self.replace(changes).await?;
            progress(sum);
            if !full {
                return Ok(sum);
            }
        }
    }

    async fn wrapped_keys(&self) -> Result<u64, Bad> {
        self.0
            .ledger
            .read(|tx| {
                let sql = "SELECT count(*) FROM custody_key WHERE state <> 'destroyed'";
                let rows = tx.query(sql, &[])?;
                let count = rows.first().map(|row| row.int(0)).transpose()?.unwrap_or(0);
                Ok(u64::try_from(count).unwrap_or(0))
            })
            .await
    }

    async fn batch(&self, after: Option<KeyId>) -> Result<Vec<Row>, Bad> {
        // Sixteen zeros are no random identifier: everything comes after them.
        let after = after.unwrap_or(KeyId::from_octets([0; 16]));
        self.0
            .ledger
            .read(move |tx| {
                let sql = "SELECT id, owner, wrapped FROM custody_key
                           WHERE id > $1 AND state <> 'destroyed' ORDER BY id LIMIT $2";
                let rows = tx.query(sql, &[after.into(), BATCH.into()])?;
                let mut found = Vec::with_capacity(rows.len());
                for row in &rows {
                    let id = KeyId::from_octets(row.array(0)?);
                    let owner = PersonId::from_octets(row.array(1)?);
                    found.push(Row { id, owner, wrapped: row.blob(2)?.to_vec() });
                }
                Ok(found)
            })
            .await
    }

    async fn replace(&self, changes: Vec<(Row, Vec<u8>)>) -> Result<u64, Bad> {
        let ids: Vec<KeyId> = changes.iter().map(|(row, _)| row.id).collect();
        let changes = std::sync::Arc::new(changes);
        let done = self
            .0
            .ledger
            .write(move |tx| {
                let mut done = 0;
                for (row, fresh) in changes.iter() {
                    let sql = "UPDATE custody_key SET wrapped = $1 WHERE id = $2 AND wrapped = $3";
                    let values: [Value; 3] = [fresh.into(), row.id.into(), (&row.wrapped).into()];
                    done += tx.exec(sql, &values)?;
                }
                Ok::<_, Failed<Refusal>>(done)
            })
            .await?;
        for id in ids {
            self.0.kept.remove(&id);
            self.0.room.forget(id);
        }
        Ok(done)
    }
}

fn header(wrapped: &[u8]) -> Result<hsm::blob::Header, Bad> {
    hsm::blob::header(wrapped).ok_or(Failed::Refused(hsm::Refusal::BlobBroken.into()))
}

fn of_device(failed: hsm::Failed) -> Bad {
    match failed {
        hsm::Failed::Refused(refusal) => Failed::Refused(refusal.into()),
        hsm::Failed::Fault(fault) => Failed::Fault(fault.into()),
    }
}
