//! The auditor's way in: reads everything, beside a running platform or after it, and can change
//! and sign nothing. It is given a place and the log's public key; no device, no secret, no desk.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use hpki::encoding::Digest32;
use hpki::id::{FacilityCode, KeyId, PersonId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;

use crate::engine::{Connection, postgres, sqlite};
use crate::fault::{Failed, Fault};
use crate::ledger::HEAD_FILE;
use crate::nodes::StoredNodes;
use crate::opening::LeafOpening;
use crate::owner::HandedOver;
use crate::place::Place;
use crate::refusal::Refusal;
use crate::tlog::{VerifyKey, proof_text, tree};
use crate::tx::Tx;

/// Rows read at a time.
const PAGE: u64 = 1024;

/// A ledger opened for reading only.
pub struct Auditor {
    place: Place,
    connection: Mutex<Connection>,
    log: VerifyKey,
    head: std::path::PathBuf,
}

/// Which entries are wanted; an empty filter wants all.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of this key.
    pub key: Option<KeyId>,
    /// Concerning this person.
    pub person: Option<PersonId>,
    /// Asked from this facility.
    pub facility: Option<FacilityCode>,
    /// Of this kind of document.
    pub kind: Option<DocumentKind>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Closing with the signature whose SHA-256 this is.
    pub signature_hash: Option<Digest32>,
}

impl Wanted {
    fn fits(&self, opening: &LeafOpening) -> bool {
        fn same<T: PartialEq>(wanted: Option<&T>, is: Option<&T>) -> bool {
            wanted.is_none() || wanted == is
        }
        let record = &opening.record;
        let outcome = record.outcome.as_ref();
        same(self.key.as_ref(), record.key.as_ref())
            && same(self.person.as_ref(), record.person.as_ref())
            && same(self.facility.as_ref(), record.facility.as_ref())
            && same(self.kind.as_ref(), record.kind.as_ref())
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
            && same(
                self.signature_hash.as_ref(),
                outcome.and_then(|outcome| outcome.signature_hash.as_ref()),
            )
    }
}

/// An entry as the auditor reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its place in the journal.
    pub index: u64,
    /// What it says; `None` where salt and opening were destroyed after their retention.
    pub opening: Option<LeafOpening>,
}

impl Auditor {
    /// Opens the ledger in this place for reading. It may be in use.
    pub fn open(
        place: impl Into<Place>,
        head: Option<&Path>,
        log: VerifyKey,
    ) -> Result<Self, Failed<Refusal>> {
        let place = place.into();
        let connection = place.apart(|| match &place.server {
            Some(server) => postgres::connect(server),
            None => Ok(sqlite::connect_read_only(place.folder())?),
        })?;
        let head = head.map_or_else(|| place.folder().join(HEAD_FILE), Path::to_path_buf);
        let auditor = Self { place, connection: Mutex::new(connection), log, head };
        let stored = auditor.read(|tx| {
            let rows = tx.query_inner("SELECT log FROM ledger_head WHERE id = 1", &[])?;
            Ok(rows.first().map(|row| Ok::<_, Fault>(row.text(0)?.to_owned())).transpose()?)
        })?;
        if stored.as_deref() != Some(auditor.log.to_string().as_str()) {
            let why = format!("the journal was begun under {}", stored.unwrap_or_default());
            return Err(Failed::Refused(Refusal::LogKeyWrong(why)));
        }
        Ok(auditor)
    }

    /// A read over one consistent state of everything committed. It may run again.
    pub fn read<T: Send, E: Send>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Failed<E>> + Send,
    ) -> Result<T, Failed<E>> {
        let kept = &self.connection;
        self.place.apart(move || {
            let connection = kept.lock().unwrap_or_else(PoisonError::into_inner);
            connection.snapshot(|connection| work(&mut Tx::bare(connection)))?
        })
    }

    /// Goes through the entries that are wanted, from the first on, until told to stop.
    pub fn entries(
        &self,
        wanted: &Wanted,
        mut each: impl FnMut(Shown) -> bool,
    ) -> Result<(), Failed<Refusal>> {
        let all = Wanted::default();
        let everything = format!("{wanted:?}") == format!("{all:?}");
        let mut from = 0_u64;
        loop {
            // Page by page: entries are only ever added behind what was read.
            let page = self.read(|tx| Ok::<_, Failed<Refusal>>(page(tx, from)?))?;
            let Some(last) = page.last() else { return Ok(()) };
            from = last.index + 1;
            for shown in page {
                let fits = match &shown.opening {
                    Some(opening) => wanted.fits(opening),
                    None => everything,
                };
                if fits && !each(shown) {
                    return Ok(());
                }
            }
        }
    }

    /// Everything of a stream, as it is handed to its owner.
    pub fn stream(&self, key: KeyId) -> Result<Vec<HandedOver>, Failed<Refusal>> {
        let mut entries = self
            .read(|tx| Ok::<_, Failed<Refusal>>(handed_over(tx, key.stream(), None, u64::MAX)?))?;
        entries.reverse();
        Ok(entries)
    }

    /// The proof of an entry: under the newest checkpoint that witnesses have cosigned, if it
    /// covers the entry, else under the newest one of the log alone (`false`).
    pub fn prove(&self, index: u64) -> Result<(String, bool), Failed<Refusal>> {
        // The head outside first: the database can only be further on.
        let alone = crate::head::newest(&self.head, &self.log);
        self.read(|tx| {
            let witnessed = witnessed(tx)?;
            let alone = alone.clone();
            let witnessed = witnessed.filter(|(size, _)| index < *size);
            let is_witnessed = witnessed.is_some();
            let (size, note) = witnessed
                .or(alone.filter(|(size, _)| index < *size))
                .ok_or(Failed::Refused(Refusal::JournalNoSuchEntry(index)))?;
            Ok((prove_under(tx, index, size, &note)?, is_witnessed))
        })
    }
}

fn page(tx: &Tx<'_>, from: u64) -> Result<Vec<Shown>, Fault> {
    let rows = tx.query_inner(
        "SELECT idx, opening FROM ledger_entry WHERE idx >= $1 AND idx < $2 ORDER BY idx",
        &[from.into(), (from + PAGE).into()],
    )?;
    let show = |row: &crate::value::Row| {
        Ok(Shown { index: row.number(0)?, opening: LeafOpening::decode(row.blob(1)?) })
    };
    rows.iter().map(show).collect()
}

/// The last checkpoint that enough witnesses have cosigned: its size and the note.
pub(crate) fn witnessed(tx: &Tx<'_>) -> Result<Option<(u64, String)>, Fault> {
    let rows = tx.query_inner("SELECT size, note FROM ledger_witnessed WHERE id = 1", &[])?;
    rows.first().map(|row| Ok((row.number(0)?, row.text(1)?.to_owned()))).transpose()
}

/// The proof of an entry under this note, whose tree has this size.
pub(crate) fn prove_under(tx: &Tx<'_>, index: u64, size: u64, note: &str) -> Result<String, Fault> {
    let sql = "SELECT salt, substr(entry, 2, 32), opening FROM ledger_entry WHERE idx = $1";
    let rows = tx.query_inner(sql, &[index.into()])?;
    let row = rows.first().ok_or_else(|| Fault::Row(format!("entry {index} is gone")))?;
    let path = tree::inclusion(&mut StoredNodes::new(tx.connection), index, size)?;
    Ok(proof_text(&row.array(0)?, &row.array(1)?, row.blob(2)?, index, &path, note))
}

/// At most so many entries of a stream, the newest first: from where it stands, or from before
/// this entry of it. Before an entry of another stream there is nothing.
pub(crate) fn handed_over(
    tx: &Tx<'_>,
    stream: hpki::id::StreamId,
    before: Option<u64>,
    most: u64,
) -> Result<Vec<HandedOver>, Fault> {
    let of_stream = |opening: &[u8]| {
        LeafOpening::decode(opening).is_some_and(|opening| opening.record.stream == stream)
    };
    let mut next = match before {
        None => {
            let sql = "SELECT idx FROM ledger_stream WHERE stream = $1";
            let rows = tx.query_inner(sql, &[(&stream).into()])?;
            rows.first().map(|row| row.number(0)).transpose()?
        }
        Some(index) => {
            let sql = "SELECT before, opening FROM ledger_entry WHERE idx = $1";
            let rows = tx.query_inner(sql, &[index.into()])?;
            match rows.first() {
                Some(row) if of_stream(row.blob(1)?) => row.opt_number(0)?,
                _ => None,
            }
        }
    };
    let mut found = Vec::new();
    while let Some(index) = next.filter(|_| (found.len() as u64) < most) {
        let rows = tx.query_inner(
            "SELECT salt, opening, before FROM ledger_entry WHERE idx = $1",
            &[index.into()],
        )?;
        let row = rows.first().ok_or_else(|| Fault::Row(format!("entry {index} is gone")))?;
        found.push(HandedOver { index, salt: row.array(0)?, opening: row.blob(1)?.to_vec() });
        // A link that does not lead back would never end.
        next = row.opt_number(2)?.filter(|before| *before < index);
    }
    Ok(found)
}
