//! Keys made ahead: generating takes long, so a stock is kept and a key is bound to its owner when
//! she needs one.
//!
//! A stocked key is nobody's: its blob names its place in the pool. Taking it deletes the row in a
//! commit of its own before the key is bound, so no key can ever come to two owners; dying between
//! loses a key that nobody had.

use hpki::encoding::{Statement, sha256};
use hpki::id::KeyId;
use hpki::time::Timestamp;
use ledger::{Fault, Row, Tx};

use crate::Failed as Bad;
use crate::alarm::AlarmKind;
use crate::room::{Custody, Inner};

/// Keys made at the same time: enough to keep the device's threads busy.
const AT_ONCE: u64 = 8;

/// How a round of stocking went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stocked {
    /// Keys made in this round.
    pub made: u64,
    /// Keys in the pool now.
    pub level: u64,
}

#[derive(Clone)]
struct PoolRow {
    place: KeyId,
    spki: Vec<u8>,
    wrapped: Vec<u8>,
    made: Timestamp,
    seal: Vec<u8>,
}

impl PoolRow {
    fn statement(&self) -> Statement {
        Statement::new("azukari/seal/v1")
            .text("custody_pool")
            .octets_field(self.place.octets())
            .octets_field(&sha256(&self.spki))
            .octets_field(&sha256(&self.wrapped))
            .time(self.made)
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            place: KeyId::from_octets(row.array(0)?),
            spki: row.blob(1)?.to_vec(),
            wrapped: row.blob(2)?.to_vec(),
            made: row.time(3)?,
            seal: row.blob(4)?.to_vec(),
        })
    }
}

impl Custody {
    /// How many keys are stocked.
    pub async fn pool_level(&self) -> Result<u64, Bad> {
        self.0.pool_level().await
    }

    /// Throws away what is stocked: the key-encryption key was replaced.
    pub(crate) async fn empty_pool(&self) -> Result<u64, Bad> {
        self.0.ledger.write(|tx| Ok(tx.exec("DELETE FROM custody_pool", &[])?)).await
    }

    /// One short round: makes keys until `level` are stocked, at most a handful. Call it again
    /// until `made` is 0; whatever was made stays, whenever it is interrupted.
    pub async fn stock(&self, level: u64, now: Timestamp) -> Result<Stocked, Bad> {
        let inner = &self.0;
        let have = inner.pool_level().await?;
        let wanted = level.saturating_sub(have).min(AT_ONCE);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..wanted {
            let inner = std::sync::Arc::clone(inner);
            tasks.spawn(async move { inner.stock_one(now).await });
        }
        let mut stocked = Stocked { made: 0, level: have };
        while let Some(done) = tasks.join_next().await {
            done.map_err(|_| Fault::Panicked)??;
            stocked.made += 1;
            stocked.level += 1;
        }
        Ok(stocked)
    }
}

impl Inner {
    async fn pool_level(&self) -> Result<u64, Bad> {
        self.ledger
            .read(|tx| Ok(tx.query_one("SELECT count(*) FROM custody_pool", &[])?.number(0)?))
            .await
    }

    async fn stock_one(&self, now: Timestamp) -> Result<(), Bad> {
        let place = KeyId::random(&*self.random);
        let made = self.room.generate_ahead(place, now).await?;
        let mut row = PoolRow {
            place,
            spki: made.spki_der,
            wrapped: made.wrapped,
            made: now,
            seal: Vec::new(),
        };
        row.seal = self.room.seal(&row.statement())?.to_vec();
        self.ledger
            .write(move |tx| {
                tx.exec(
                    "INSERT INTO custody_pool (place, spki, wrapped, made, seal)
                     VALUES ($1, $2, $3, $4, $5)",
                    &[
                        row.place.into(),
                        (&row.spki).into(),
                        (&row.wrapped).into(),
                        row.made.into(),
                        (&row.seal).into(),
                    ],
                )?;
                Ok(())
            })
            .await
    }

    /// Takes a key out of the pool and binds it; `None` if there is none that can be.
    pub(crate) async fn stocked_for(
        &self,
        key: KeyId,
        owner: hpki::id::PersonId,
        policy: u32,
        now: Timestamp,
    ) -> Result<Option<hsm::Generated>, Bad> {
        let Some(row) = self.ledger.write(take).await? else { return Ok(None) };
        if !self.room.seal_holds(&row.statement(), &row.seal)? {
            self.raise(AlarmKind::SealBroken, Some(row.place), "custody_pool", now);
            return Ok(None);
        }
        match self.room.bind(&row.wrapped, row.place, key, owner, policy, now) {
            Ok(made) if made.spki_der.is_empty() => {
                Ok(Some(hsm::Generated { spki_der: row.spki, ..made }))
            }
            Ok(made) => Ok(Some(made)),
            Err(failed) => {
                tracing::warn!(%failed, "a key of the pool could not be bound; one is made instead");
                Ok(None)
            }
        }
    }
}

fn take(tx: &mut Tx<'_>) -> Result<Option<PoolRow>, Bad> {
    let sql = "DELETE FROM custody_pool
               WHERE place = (SELECT place FROM custody_pool ORDER BY place LIMIT 1)
               RETURNING place, spki, wrapped, made, seal";
    Ok(tx.query_opt(sql, &[])?.as_ref().map(PoolRow::from_row).transpose()?)
}
