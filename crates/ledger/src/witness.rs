//! A witness: keeps the last checkpoint of each log it watches, and cosigns another one only with
//! a proof that it continues that one (C2SP tlog-witness). So a log whose checkpoints are believed
//! with a witness's signature only cannot show two histories to two people.

use std::path::Path;
use std::sync::Arc;

use hpki::sign::Sign;
use hpki::time::Timestamp;

use crate::fault::Failed;
use crate::migration::Migration;
use crate::refusal::Refusal;
use crate::store::Store;
use crate::tlog::{Checkpoint, Cosigner, Submission, VerifyKey, WitnessKey};

const MIGRATIONS: &[Migration] =
    &[Migration { room: "witness", number: 1, sql: include_str!("witness.sql") }];

/// A witness with its own small store.
pub struct Witness {
    store: Store,
    cosigner: Cosigner,
    logs: Vec<VerifyKey>,
    /// One at a time: a cosignature says that this is the largest tree seen so far.
    turn: tokio::sync::Mutex<()>,
}

impl Witness {
    /// Opens a witness in its folder. `key` is Ed25519 and signs nothing but cosignatures.
    pub fn open(
        folder: &Path,
        name: &str,
        key: Arc<dyn Sign>,
        logs: Vec<VerifyKey>,
    ) -> Result<Self, Failed<Refusal>> {
        let cosigner = Cosigner::new(name, key).map_err(Failed::Refused)?;
        let store = Store::open(folder, MIGRATIONS)?;
        Ok(Self { store, cosigner, logs, turn: tokio::sync::Mutex::new(()) })
    }

    /// What whoever counts witnesses pins; `to_string()` gives the C2SP form.
    pub const fn key(&self) -> &WitnessKey {
        &self.cosigner.public
    }

    /// The key that a witness of this name would have.
    pub fn key_of(name: &str, key: Arc<dyn Sign>) -> Result<WitnessKey, Refusal> {
        Ok(Cosigner::new(name, key)?.public)
    }

    /// Answers `POST add-checkpoint`: one signature line.
    ///
    /// Refused: `witness-request-malformed`, `witness-log-unknown`, `checkpoint-malformed`,
    /// `checkpoint-signature-wrong`, `witness-size-conflict`, `witness-root-conflict`,
    /// `consistency-wrong`. If we die after the commit, nobody has the signature; the log asks
    /// again with the size that it is told.
    pub async fn add_checkpoint(
        &self,
        body: &str,
        now: Timestamp,
    ) -> Result<String, Failed<Refusal>> {
        let submission = Submission::parse(body).map_err(Failed::Refused)?;
        let offered = self.judge(&submission).map_err(Failed::Refused)?;
        let _turn = self.turn.lock().await;
        let note = submission.checkpoint.clone();
        self.store.write(move |tx| keep(tx, &submission, &offered)).await?;
        Ok(self.cosigner.cosign(&note, now)?)
    }

    /// What can be judged without knowing what was seen before.
    fn judge(&self, submission: &Submission) -> Result<Checkpoint, Refusal> {
        let note = &submission.checkpoint;
        let origin = note.split('\n').next().unwrap_or_default();
        let log = self.logs.iter().find(|log| log.origin() == origin);
        let log = log.ok_or_else(|| {
            Refusal::WitnessLogUnknown(origin.chars().take(200).collect::<String>())
        })?;
        let offered = log.verify(note)?;
        if submission.old > offered.size {
            let why = format!("old {} is more than {}", submission.old, offered.size);
            return Err(Refusal::WitnessRequestMalformed(why));
        }
        Ok(offered)
    }

    /// The last checkpoint of each log that was cosigned, as it was signed.
    pub async fn kept(&self) -> Result<Vec<String>, Failed<Refusal>> {
        self.store
            .read(|tx| {
                let rows = tx.query("SELECT note FROM witness_log ORDER BY origin", &[])?;
                Ok(rows
                    .iter()
                    .map(|row| Ok(row.text(0)?.to_owned()))
                    .collect::<Result<_, crate::Fault>>()?)
            })
            .await
    }
}

/// Compares with what was cosigned last, and puts the new one in its place: both in one commit,
/// so that no older one can come after a newer one.
fn keep(
    tx: &crate::Tx<'_>,
    submission: &Submission,
    offered: &Checkpoint,
) -> Result<(), Failed<Refusal>> {
    let row = tx.query_opt(
        "SELECT size, root FROM witness_log WHERE origin = $1",
        &[offered.origin.as_str().into()],
    )?;
    let (size, root) = match row {
        Some(row) => (row.number(0)?, row.array(1)?),
        None => (0, crate::tlog::tree::EMPTY_ROOT),
    };
    if submission.old != size {
        return Err(Failed::Refused(Refusal::WitnessSizeConflict(size)));
    }
    if offered.size == size && offered.root != root {
        return Err(Failed::Refused(Refusal::WitnessRootConflict(size)));
    }
    let known = Checkpoint { origin: offered.origin.clone(), size, root };
    offered.continues(&known, &submission.path).map_err(Failed::Refused)?;
    tx.exec(
        "INSERT INTO witness_log (origin, size, root, note) VALUES ($1, $2, $3, $4)
         ON CONFLICT (origin) DO UPDATE
         SET size = excluded.size, root = excluded.root, note = excluded.note",
        &[
            offered.origin.as_str().into(),
            offered.size.into(),
            offered.root.into(),
            submission.checkpoint.as_str().into(),
        ],
    )?;
    Ok(())
}
