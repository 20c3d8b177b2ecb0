//! Copies of an embedded ledger: for backups, and for taking one up again elsewhere.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::engine::sqlite::DATABASE;
use crate::fault::{Failed, Fault};
use crate::head::HeadFile;
use crate::ledger::HEAD_FILE;
use crate::refusal::Refusal;
use crate::tlog::VerifyKey;

/// Copies the database of this folder, as it is at one moment, into another folder. It may be in
/// use; writers are not held up. The copy is durable and its owner's alone.
///
/// # Errors
/// A fault, also where there is a database already.
pub fn copy(folder: &Path, into: &Path) -> Result<(), Failed<Refusal>> {
    let target = into.join(DATABASE);
    let broke = |error: std::io::Error| Fault::Store(format!("{}: {error}", target.display()));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(folder.join(DATABASE), flags).map_err(Fault::from)?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(Fault::from)?;
    // The engine makes the file as the process's mask allows; it is narrowed before it is filled.
    let new = File::create_new(&target).map_err(broke)?;
    new.set_permissions(Permissions::from_mode(0o600)).map_err(broke)?;
    let name = target.to_str().ok_or_else(|| Fault::Store("the folder's name".into()))?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(Fault::from)?;
    new.sync_all().map_err(broke)?;
    File::open(into).and_then(|folder| folder.sync_all()).map_err(broke)?;
    Ok(())
}

/// Puts a checkpoint of the log in the place where the journal's head is kept outside the
/// database, where there is none: a copy is opened from it, and must continue it.
///
/// Refused: `checkpoint-malformed`, `checkpoint-signature-wrong`, `journal-rolled-back` (there is
/// a head already).
pub fn place_head(folder: &Path, note: &str, log: &VerifyKey) -> Result<(), Failed<Refusal>> {
    log.verify(note).map_err(Failed::Refused)?;
    let path = folder.join(HEAD_FILE);
    if path.exists() {
        let why = format!("{} is there already", path.display());
        return Err(Failed::Refused(Refusal::JournalRolledBack(why)));
    }
    let mut head = HeadFile::open(&path)?;
    head.keep(note)?;
    head.sync()?;
    Ok(())
}
