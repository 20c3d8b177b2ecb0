//! The folder of a demo: the visitor's, or a passing one. One demo at a time in a folder.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use hpki::sign::Random as _;

use crate::runtime::Stop;

/// Marks a folder as a town's, so that an earlier town can be cleared away and nothing else.
const MARK: &str = "this-is-a-test-town";

/// Where a demo lives while it runs.
pub(crate) struct Home {
    /// Where papers are left, if the visitor wants them.
    pub(crate) out: Option<PathBuf>,
    /// Platform, gateways, configuration.
    pub(crate) town: PathBuf,
    passing: Option<PathBuf>,
    _lock: File,
}

impl Home {
    /// Takes the folder for this process and clears an earlier town out of it.
    pub(crate) fn open(out: Option<&Path>) -> Result<Self, Stop> {
        let (folder, passing) = match out {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let mut octets = [0; 8];
                hsm::SystemRandom.fill(&mut octets);
                let folder =
                    std::env::temp_dir().join(format!("azukari-demo-{}", hex::encode(octets)));
                (folder.clone(), Some(folder))
            }
        };
        let unwritable = |error: std::io::Error| {
            format!(
                "フォルダ {} に書き込めません: {error}。--out で別のフォルダを指定してください (the folder is not writable)",
                folder.display()
            )
        };
        std::fs::create_dir_all(&folder).map_err(unwritable)?;
        let lock = File::create(folder.join(".azukari-demo.lock")).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "フォルダ {} では別のデモが動いています。終了するか、--out で別のフォルダを指定してください (another demo is using this folder)",
                    folder.display()
                )
                .into());
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(error).into()),
        }
        let town = folder.join("town");
        if town.exists() {
            if !town.join(MARK).exists() {
                return Err(format!(
                    "{} はデモの町ではないので消せません。--out で別のフォルダを指定してください (not a test town: it is left alone)",
                    town.display()
                )
                .into());
            }
            std::fs::remove_dir_all(&town).map_err(unwritable)?;
        }
        std::fs::create_dir_all(&town).map_err(unwritable)?;
        std::fs::write(town.join(MARK), "試験の町。消してかまいません。\n").map_err(unwritable)?;
        Ok(Self { out: out.map(Path::to_owned), town, passing, _lock: lock })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(folder) = &self.passing {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
