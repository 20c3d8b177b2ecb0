//! Files that hold secrets.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Writes a file that only its owner can read.
pub(crate) fn private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut open = std::fs::OpenOptions::new();
    let mut file = open.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
