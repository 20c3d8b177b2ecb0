//! `[store]`: where the platform keeps its tables and its journal.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ledger::Place;
use serde::Deserialize;

use super::ConfigRefusal;

/// `[store]` as written. Without it, everything is in the platform's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreFile {
    postgres: String,
    password_file: Option<PathBuf>,
}

/// The place of the platform's ledger, whose own folder is `folder`.
pub(super) fn place(
    written: Option<StoreFile>,
    base: &Path,
    folder: &Path,
) -> Result<Place, ConfigRefusal> {
    let Some(StoreFile { postgres, password_file }) = written else {
        return Ok(Place::from(folder));
    };
    let refused = |why: String| ConfigRefusal::Value("store.postgres", why);
    let place = |password: Option<&[u8]>| {
        Place::postgres(&postgres, password, folder).map_err(|refusal| refused(refusal.to_string()))
    };
    let Some(file) = password_file else {
        let place = place(None)?;
        return if place.has_password() {
            Err(refused(
                "パスワードは password_file に書きます (no password in the address)".into(),
            ))
        } else {
            Ok(place)
        };
    };
    let file = base.join(file);
    let password = secret(&file).map_err(|why| ConfigRefusal::Value("store.password_file", why))?;
    place(Some(password.trim_end().as_bytes()))
}

/// The text of a file that only its owner can read.
fn secret(file: &Path) -> Result<String, String> {
    let broken = |error| format!("{}: {error}", file.display());
    let mode = std::fs::metadata(file).map_err(broken)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "{} を所有者以外も読めます。chmod 600 してください (others can read it)",
            file.display()
        ));
    }
    std::fs::read_to_string(file).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(postgres: &str, password_file: Option<&str>) -> Option<StoreFile> {
        let password_file = password_file.map(PathBuf::from);
        Some(StoreFile { postgres: postgres.into(), password_file })
    }

    #[test]
    fn without_a_word_the_store_is_in_the_platforms_folder() {
        let place = place(None, Path::new("/base"), Path::new("/folder")).unwrap();
        assert!(!place.is_shared());
        assert_eq!(place.folder(), Path::new("/folder"));
    }

    #[test]
    fn a_password_comes_from_a_file_of_its_owner_and_never_from_the_address() {
        let base = tempfile::tempdir().unwrap();
        let read = |url, file| place(written(url, file), base.path(), Path::new("/folder"));
        let url = "postgres://azukari@%2Frun%2Fpostgresql/azukari";
        assert!(read(url, None).unwrap().is_shared());
        let inside = "postgres://azukari:secret@localhost/azukari";
        assert!(matches!(read(inside, None), Err(ConfigRefusal::Value("store.postgres", _))));
        let file = base.path().join("password");
        std::fs::write(&file, "secret\n").unwrap();
        let refusal = read(url, Some("password")).unwrap_err();
        assert!(matches!(refusal, ConfigRefusal::Value("store.password_file", _)));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read(url, Some("password")).unwrap().has_password());
        assert!(read(url, Some("missing")).is_err());
    }

    #[test]
    fn a_database_across_the_network_is_refused() {
        let far = written("postgres://azukari@database.example/azukari", None);
        assert!(place(far, Path::new("/base"), Path::new("/folder")).is_err());
    }
}
