//! The head of the journal, kept in a file outside the database, so that a database put back to
//! yesterday is noticed.
//!
//! The file has two places of 4 KiB, each for one signed checkpoint. Heads are written, before the
//! answers they belong to, into the place that is not synced; from time to time that place is
//! synced and the other one becomes the place to write. So at any moment one place is whole on the
//! disk and not being written: a power cut can tear the other one and never both, and makes the
//! head older, never wrong. (A head that is behind the database is normal after dying; one that is
//! ahead of it is not, because the database is durable before the head is written.)

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::fault::Fault;
use crate::tlog::{Checkpoint, VerifyKey};

const PLACE: usize = 4096;
/// Heads written between two syncs of the file: with this many commits, a sync is rare enough not
/// to be felt, and a power cut moves the head back by no more.
const WRITES_PER_SYNC: u32 = 256;

pub(crate) struct HeadFile {
    path: PathBuf,
    file: File,
    /// Where the next head goes: 0 or 1.
    place: u64,
    unsynced: u32,
}

impl HeadFile {
    /// Opens the file, making it if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let open = || -> std::io::Result<File> {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            // A new name is durable only once its folder is.
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                File::open(folder)?.sync_all()?;
            }
            Ok(file)
        };
        let file = open().map_err(|error| fault(path, &error))?;
        Ok(Self { path: path.to_owned(), file, place: 0, unsynced: 0 })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The newest good head of this log in the file; the other place is written next.
    pub(crate) fn last(&mut self, log: &VerifyKey) -> Option<Checkpoint> {
        let heads = read(&self.path, log);
        let newest = (0..).zip(heads).filter_map(|(place, head)| Some((place, head?)));
        let (place, head) = newest.max_by_key(|(_, head)| head.size)?;
        self.place = 1 - place;
        Some(head)
    }

    /// Writes a head so that every process sees it; a power cut may still lose it.
    pub(crate) fn keep(&mut self, note: &str) -> Result<(), Fault> {
        let mut octets = [0; PLACE];
        octets
            .get_mut(..note.len())
            .ok_or_else(|| Fault::Head("the checkpoint is too long".into()))?
            .copy_from_slice(note.as_bytes());
        let at = SeekFrom::Start(self.place * PLACE as u64);
        let mut file = &self.file;
        file.seek(at)
            .and_then(|_| file.write_all(&octets))
            .map_err(|error| fault(&self.path, &error))?;
        self.unsynced += 1;
        if self.unsynced >= WRITES_PER_SYNC { self.sync() } else { Ok(()) }
    }

    /// Makes the last head durable and turns to the other place.
    pub(crate) fn sync(&mut self) -> Result<(), Fault> {
        if self.unsynced == 0 {
            return Ok(());
        }
        self.file.sync_all().map_err(|error| fault(&self.path, &error))?;
        self.unsynced = 0;
        self.place = 1 - self.place;
        Ok(())
    }
}

/// What stands in the two places, as far as this log signed it.
pub(crate) fn read(path: &Path, log: &VerifyKey) -> [Option<Checkpoint>; 2] {
    notes(path, log).map(|head| head.map(|(checkpoint, _)| checkpoint))
}

/// The newest head in the file: its size and the note itself.
pub(crate) fn newest(path: &Path, log: &VerifyKey) -> Option<(u64, String)> {
    let heads = notes(path, log).into_iter().flatten();
    heads.map(|(checkpoint, note)| (checkpoint.size, note)).max_by_key(|(size, _)| *size)
}

fn notes(path: &Path, log: &VerifyKey) -> [Option<(Checkpoint, String)>; 2] {
    let mut octets = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(2 * PLACE as u64).read_to_end(&mut octets));
    let mut places = octets.chunks(PLACE).map(|place| {
        let end = place.iter().position(|octet| *octet == 0).unwrap_or(place.len());
        let note = std::str::from_utf8(&place[..end]).ok()?;
        Some((log.verify(note).ok()?, note.to_owned()))
    });
    match read {
        Ok(_) => [places.next().flatten(), places.next().flatten()],
        Err(_) => [None, None],
    }
}

fn fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::Head(format!("{}: {error}", path.display()))
}
