//! The ledger: a store with the journal in it.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use hpki::encoding::Digest32;
use hpki::id::{KeyId, StreamId};
use hpki::sign::{Mac, Random, Sign};
use hpki::time::Timestamp;
use tokio::sync::oneshot;

use crate::fault::{Failed, Fault};
use crate::faults::Faults;
use crate::head::HeadFile;
use crate::journal::{self, Appended, Head, Journal, Powers, Published};
use crate::migration::Migration;
use crate::nodes::StoredNodes;
use crate::opening::stream_key_statement;
use crate::owner::{HandedOver, StreamKey};
use crate::place::Place;
use crate::receipt::Receipt;
use crate::record::{EntryKind, Record};
use crate::refusal::Refusal;
use crate::store::Store;
use crate::tlog::{NoteSigner, Quorum, Resource, VerifyKey, tree};
use crate::tx::Tx;
use crate::writer::{Sealed, Verdict, Work};

/// The file in the ledger's folder that keeps the head outside the database.
pub const HEAD_FILE: &str = "journal.head";

/// What opening a ledger takes.
pub struct Opening<'a> {
    /// Where it lives; made if it is not there. A process that joins a ledger in a database begins
    /// with a copy of another one's head file.
    pub place: Place,
    /// The tables of the rooms.
    pub migrations: &'a [Migration],
    /// The log's key: Ed25519, signs checkpoints.
    pub log: Arc<dyn Sign>,
    /// Keys the streams' labels.
    pub streams: Arc<dyn Mac>,
    /// Salts.
    pub random: Arc<dyn Random>,
    /// The log's name, a schema-less URL such as `log.azukari.example/2026`.
    pub origin: String,
    /// When it is opened.
    pub now: Timestamp,
}

/// What may differ from normal running.
#[derive(Debug, Default)]
pub struct Options {
    /// Where the head outside the database is kept; else [`HEAD_FILE`] in the folder. On another
    /// disk it also notices when the whole folder is put back to yesterday.
    pub head: Option<PathBuf>,
    /// For tests: steps break as planned.
    pub faults: Option<Faults>,
}

/// A store with the journal in it. Clones are handles to the same ledger.
#[derive(Clone)]
pub struct Ledger {
    store: Store,
    published: Arc<RwLock<Arc<Published>>>,
    log: Arc<VerifyKey>,
    streams: Arc<dyn Mac>,
}

/// A message in the outbox that has not been delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Number, rising in the order of commits.
    pub id: u64,
    /// What it is about.
    pub topic: String,
    /// The key it concerns; that key signs nothing until this is delivered.
    pub concerns: Option<KeyId>,
    /// What it says, in the form the two rooms agreed on.
    pub payload: String,
}

impl Ledger {
    /// Opens or begins a ledger.
    ///
    /// Refused as [`Store::open`] is, and: `journal-rolled-back`, `journal-head-missing`,
    /// `journal-broken`, `log-key-wrong`.
    pub fn open(opening: Opening<'_>) -> Result<Self, Failed<Refusal>> {
        Self::open_with(opening, Options::default())
    }

    /// Opens it with options.
    pub fn open_with(opening: Opening<'_>, options: Options) -> Result<Self, Failed<Refusal>> {
        let place = opening.place.clone();
        place.apart(|| Self::open_here(opening, options))
    }

    fn open_here(opening: Opening<'_>, options: Options) -> Result<Self, Failed<Refusal>> {
        let signer = NoteSigner::new(&opening.origin, opening.log).map_err(Failed::Refused)?;
        let log = Arc::new(signer.public.clone());
        let opened = Store::prepare(&opening.place, journal::migrations, opening.migrations)?;
        let head = options.head.unwrap_or_else(|| opening.place.folder().join(HEAD_FILE));
        let head = HeadFile::open(&head)?;
        let streams = Arc::clone(&opening.streams);
        let powers = Powers { signer, streams: opening.streams, random: opening.random };
        let journal = Journal::open(&opened.connection, powers, head)?;
        let published = journal.published();
        let store = Store::start(opened, Some(journal), options.faults)?;
        tracing::info!(log = %log, now = %opening.now.rfc3339(), "the ledger is open");
        Ok(Self { store, published, log, streams })
    }

    /// The store alone, for a room that keeps more in it than it journals.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// Whether other processes may write to the same store.
    pub fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// As [`Store::write`].
    pub async fn write<T, E>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Failed<E>> + Send + 'static,
    ) -> Result<T, Failed<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.store.write(work).await
    }

    /// As [`Store::read`].
    pub async fn read<T, E>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Failed<E>> + Send + 'static,
    ) -> Result<T, Failed<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.store.read(work).await
    }

    /// Runs a unit of work whose result includes something to remember: both become durable in
    /// one commit, a checkpoint is signed over the journal, and then the receipt is given.
    ///
    /// [`Fault::Unproven`]: all of it is durable, but no checkpoint could be signed; the same
    /// request again finds it done.
    pub async fn record<K, T, E>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<(T, K), Failed<E>> + Send + 'static,
    ) -> Result<(T, Receipt<K>), Failed<E>>
    where
        K: EntryKind,
        T: Send + 'static,
        E: Send + 'static,
    {
        let alone = move |tx: &mut Tx<'_>| work(tx).map(|(result, entry)| (result, vec![entry]));
        let (result, mut receipts) = self.record_many(alone).await?;
        Ok((result, receipts.pop().ok_or(Failed::Fault(Fault::Stopped))?))
    }

    /// As [`Ledger::record`], for several entries of one kind: all of them become durable together
    /// with the rest of the unit of work or none does, and every receipt is under the same
    /// checkpoint. They may belong to one stream or to many; receipts come in the order of the
    /// entries.
    ///
    /// The n-th entry stands at [`Tx::next_index`]` + n`. A unit of work that finds nothing to
    /// remember (everything was done before) may give an empty list, and gets one.
    pub async fn record_many<K, T, E>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<(T, Vec<K>), Failed<E>> + Send + 'static,
    ) -> Result<(T, Vec<Receipt<K>>), Failed<E>>
    where
        K: EntryKind,
        T: Send + 'static,
        E: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Recording { work, outcome: None, reply };
        self.store.submit(Box::new(job)).await?;
        answer.await.unwrap_or(Err(Failed::Fault(Fault::Stopped)))
    }

    fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What this process last signed, at least of this size if the journal has it: another process
    /// may have appended to it since.
    async fn published_from(&self, size: u64) -> Result<Arc<Published>, Fault> {
        let published = self.published();
        if published.size >= size || !self.store.is_shared() {
            return Ok(published);
        }
        self.catch_up().await?;
        Ok(self.published())
    }

    /// Makes [`Ledger::checkpoint`] cover everything committed before, also by other processes
    /// over the same database. Where there are none, it already does.
    pub async fn catch_up(&self) -> Result<(), Fault> {
        if !self.store.is_shared() {
            return Ok(());
        }
        // Any group notices what others have done.
        only_faults(self.write(|_| Ok(())).await)
    }

    /// The last checkpoint that this process signed.
    pub fn checkpoint(&self) -> String {
        self.published().note.clone()
    }

    /// How many entries that checkpoint covers.
    pub fn size(&self) -> u64 {
        self.published().size
    }

    /// The latest time that any entry states; a clock behind it is not to be trusted.
    pub fn last_time(&self) -> Option<Timestamp> {
        self.published().last_time
    }

    /// The log's public key, which everybody pins; `to_string()` gives the C2SP form.
    pub fn verify_key(&self) -> &VerifyKey {
        &self.log
    }

    /// Hashes proving that the tree of size `to` begins with the tree of size `from`
    /// (RFC 6962 §2.1.2); empty where `from` is 0 or equal to `to`.
    pub async fn consistency(&self, from: u64, to: u64) -> Result<Vec<Digest32>, Failed<Refusal>> {
        let size = self.published_from(from.max(to)).await?.size;
        if from > to || to > size {
            return Err(Failed::Refused(Refusal::JournalNoSuchEntry(from.max(to))));
        }
        if from == 0 {
            return Ok(Vec::new());
        }
        self.read(move |tx| Ok(tree::consistency(&mut StoredNodes::new(tx.connection), from, to)?))
            .await
    }

    /// The proof of any entry under the last checkpoint.
    pub async fn prove(&self, index: u64) -> Result<String, Failed<Refusal>> {
        let published = self.published_from(index.saturating_add(1)).await?;
        if index >= published.size {
            return Err(Failed::Refused(Refusal::JournalNoSuchEntry(index)));
        }
        self.read(move |tx| {
            Ok(crate::auditor::prove_under(tx, index, published.size, &published.note)?)
        })
        .await
    }

    /// One of the log's public files (C2SP tlog-tiles): the last signed checkpoint, a tile, or a
    /// bundle of entries, which are salted commitments and say nothing to outsiders.
    pub async fn resource(&self, resource: Resource) -> Result<Vec<u8>, Failed<Refusal>> {
        match resource {
            Resource::Checkpoint => Ok(self.checkpoint().into_bytes()),
            Resource::Tile { level, index, width } => self.tile(level, index, width).await,
            Resource::Entries { index, width } => self.bundle(index, width).await,
        }
    }

    async fn bundle(&self, index: u64, width: u64) -> Result<Vec<u8>, Failed<Refusal>> {
        let from = index.checked_mul(crate::nodes::TILE_WIDTH);
        let range = from.and_then(|from| Some((from, from.checked_add(width)?)));
        let Some((from, to)) = range.filter(|(_, to)| *to <= self.size()) else {
            return Err(Failed::Refused(Refusal::JournalNoSuchEntry(index)));
        };
        self.read(move |tx| {
            let rows = tx.query_inner(
                "SELECT entry FROM ledger_entry WHERE idx >= $1 AND idx < $2 ORDER BY idx",
                &[from.into(), to.into()],
            )?;
            let entries = rows.iter().map(|row| row.blob(0)).collect::<Result<Vec<_>, _>>()?;
            Ok(crate::tlog::bundle(entries))
        })
        .await
    }

    /// Keeps a checkpoint that enough witnesses have cosigned, for the proofs that are asked for
    /// later; an older one than the one kept already is left aside.
    pub async fn keep_witnessed(&self, quorum: &Quorum, note: &str) -> Result<(), Failed<Refusal>> {
        let size = quorum.verify(note).map_err(Failed::Refused)?.checkpoint.size;
        let note = note.to_owned();
        self.write(move |tx| {
            tx.exec_inner(
                "INSERT INTO ledger_witnessed (id, size, note) VALUES (1, $1, $2)
                 ON CONFLICT (id) DO UPDATE SET size = excluded.size, note = excluded.note
                 WHERE excluded.size >= ledger_witnessed.size",
                &[size.into(), note.as_str().into()],
            )?;
            Ok(())
        })
        .await
    }

    /// The last checkpoint that enough witnesses have cosigned, if there is one.
    pub async fn witnessed(&self) -> Result<Option<String>, Fault> {
        let note = self.read(|tx| Ok(crate::auditor::witnessed(tx)?.map(|(_, note)| note)));
        only_faults(note.await)
    }

    /// The key of a stream, for the owner of the stream: she computes the labels of her entries
    /// and finds out if one is left out.
    pub fn stream_key(&self, stream: StreamId) -> Result<StreamKey, Fault> {
        Ok(StreamKey::from_octets(self.streams.mac(&stream_key_statement(&stream))?))
    }

    /// At most so many entries of a stream for its owner, the newest first; from before this index,
    /// where it is an entry of hers.
    pub async fn stream(
        &self,
        stream: StreamId,
        before: Option<u64>,
        most: u64,
    ) -> Result<Vec<HandedOver>, Fault> {
        let read =
            move |tx: &mut Tx<'_>| Ok(crate::auditor::handed_over(tx, stream, before, most)?);
        only_faults(self.read(read).await)
    }

    /// The first `width` hashes (1 to 256) of a tile, as octets (C2SP tlog-tiles).
    pub async fn tile(
        &self,
        level: u32,
        index: u64,
        width: u64,
    ) -> Result<Vec<u8>, Failed<Refusal>> {
        let known = self.size().checked_shr(level.saturating_mul(8)).unwrap_or(0);
        let from = index.checked_mul(crate::nodes::TILE_WIDTH);
        let fits = (1..=crate::nodes::TILE_WIDTH).contains(&width)
            && from.and_then(|from| from.checked_add(width)).is_some_and(|end| end <= known);
        if !fits {
            return Err(Failed::Refused(Refusal::JournalNoSuchEntry(index)));
        }
        self.read(move |tx| {
            let tile = StoredNodes::new(tx.connection).tile(level, index, width)?;
            Ok(tile.as_flattened().to_vec())
        })
        .await
    }

    /// Where a stream stands; `None` before its first entry.
    pub async fn stream_head(&self, stream: StreamId) -> Result<Option<Head>, Fault> {
        only_faults(self.read(move |tx| Ok(tx.stream_head(&stream)?)).await)
    }

    /// What is in the outbox, in the order of commits.
    pub async fn undelivered(&self) -> Result<Vec<Message>, Fault> {
        only_faults(
            self.read(|tx| {
                let sql = "SELECT id, topic, concerns, payload FROM ledger_outbox ORDER BY id";
                let rows = tx.query_inner(sql, &[])?;
                let message = |row: &crate::value::Row| {
                    Ok(Message {
                        id: row.number(0)?,
                        topic: row.text(1)?.to_owned(),
                        concerns: row.opt_array(2)?.map(KeyId::from_octets),
                        payload: row.text(3)?.to_owned(),
                    })
                };
                Ok(rows.iter().map(message).collect::<Result<_, Fault>>()?)
            })
            .await,
        )
    }

    /// Takes a message out of the outbox once its receiver has committed it. Doing so twice is
    /// harmless.
    pub async fn delivered(&self, id: u64) -> Result<(), Fault> {
        only_faults(
            self.write(move |tx| {
                tx.exec_inner("DELETE FROM ledger_outbox WHERE id = $1", &[id.into()])?;
                Ok(())
            })
            .await,
        )
    }
}

fn only_faults<T>(result: Result<T, Failed<std::convert::Infallible>>) -> Result<T, Fault> {
    result.map_err(|failed| match failed {
        Failed::Fault(fault) => fault,
        Failed::Refused(never) => match never {},
    })
}

type Recorded<T, K, E> = Result<(T, Vec<Receipt<K>>), Failed<E>>;
type Worked<T, E> = Result<(T, Vec<Appended>), Failed<E>>;

struct Recording<F, T, K, E> {
    work: F,
    outcome: Option<Worked<T, E>>,
    reply: oneshot::Sender<Recorded<T, K, E>>,
}

impl<F, T, K, E> Work for Recording<F, T, K, E>
where
    F: Fn(&mut Tx<'_>) -> Result<(T, Vec<K>), Failed<E>> + Send,
    T: Send,
    K: EntryKind,
    E: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Verdict {
        let outcome = (self.work)(tx).and_then(|(result, entries)| {
            let records: Vec<Record> = entries.into_iter().map(K::into_record).collect();
            if let Some(odd) = records.iter().find(|record| !K::fits(record)) {
                let why = format!("{} is not of the kind it is recorded as", odd.event);
                return Err(Failed::Fault(Fault::Misuse(why)));
            }
            let journal = tx.journal.ok_or_else(|| Fault::Misuse("no journal here".into()))?;
            let appended = journal.borrow_mut().append(tx, records)?;
            Ok((result, appended))
        });
        let verdict = if outcome.is_ok() { Verdict::Keep } else { Verdict::Undo };
        self.outcome = Some(outcome);
        verdict
    }

    fn answer(self: Box<Self>, group: Result<Option<&Arc<Sealed>>, &Fault>) {
        let outcome = self.outcome.unwrap_or(Err(Failed::Fault(Fault::Panicked)));
        let answer = match (outcome, group) {
            // Nothing to remember needs no checkpoint.
            (Ok((result, appended)), Ok(_) | Err(Fault::Unproven(_))) if appended.is_empty() => {
                Ok((result, Vec::new()))
            }
            (Ok((result, appended)), Ok(Some(sealed))) => {
                let receipt = |appended| Receipt::issue(appended, Arc::clone(sealed));
                Ok((result, appended.into_iter().map(receipt).collect()))
            }
            (Err(failed), Ok(_) | Err(Fault::Unproven(_))) => Err(failed),
            (_, Err(fault)) => Err(Failed::Fault(fault.clone())),
            (Ok(_), Ok(None)) => Err(Failed::Fault(Fault::Stopped)),
        };
        // Whoever asked may have gone; the work is done all the same.
        let _ = self.reply.send(answer);
    }
}
