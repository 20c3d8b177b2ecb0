//! Files that hold secrets.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::officer::say;
use crate::runtime::Stop;

/// Writes a file that only its owner can read, also where a file stood that others could.
pub(crate) fn private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut open = std::fs::OpenOptions::new();
    let mut file = open.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes a folder that only its owner can enter.
pub(crate) fn private_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Puts a private file in the place of another so that after a power cut one of the two is there.
pub(crate) fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let draft = file.with_file_name(name);
    private(&draft, text)?;
    std::fs::rename(&draft, file)?;
    sync_folder(file)
}

/// Makes the names in a file's folder durable.
pub(crate) fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Refused: `key-file-readable`, where anybody but its owner can read the file.
pub(crate) fn owner_only(file: &Path) -> Result<(), Stop> {
    let mode = std::fs::metadata(file)
        .map_err(|error| format!("{} を読めません: {error} (cannot read)", file.display()))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(say::refused("key-file-readable", format!("{} ({:o})", file.display(), mode & 0o777)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_place_of_a_file_for_all_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        private(&file, "new").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        private(&file, "key").unwrap();
        owner_only(&file).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let refused = owner_only(&file).unwrap_err().to_string();
            assert!(refused.contains("[key-file-readable]"), "{refused}");
        }
        assert!(owner_only(&folder.path().join("absent")).is_err());
    }
}
