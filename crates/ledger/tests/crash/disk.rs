//! A disk that forgets what was not synced: a preloaded `fsync` (disk.c) copies a file aside whenever
//! it is synced, and after a power cut only those copies are believed, or a random mixture of them
//! and of what happened to reach the disk unsynced, sector by sector.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ledger/tests/crash/disk.c");
const SECTOR: usize = 512;

/// A folder without folders in it, on such a disk.
pub struct Disk {
    shim: PathBuf,
    live: PathBuf,
    synced: PathBuf,
    /// The control: syncing does nothing.
    lies: bool,
}

impl Disk {
    /// What lies in `live` now is on the disk; `aside` is a name for folders of its own.
    pub fn of(live: &Path, aside: &Path, lies: bool) -> Self {
        let synced = aside.with_extension("synced");
        std::fs::create_dir(&synced).unwrap();
        copy(live, &synced);
        // The preloaded program is told of files by the names that the system has for them.
        let live = live.canonicalize().unwrap();
        Self { shim: build(&aside.with_extension("so")), live, synced, lies }
    }

    /// The program will run on this disk.
    pub fn under(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.shim)
            .env("DISK_LIVE", &self.live)
            .env("DISK_SYNCED", &self.synced);
        if self.lies {
            command.env("DISK_LIES", "1");
        }
    }

    /// What was synced of this file.
    pub fn synced(&self, name: &str) -> PathBuf {
        self.synced.join(name)
    }

    /// What the disk may hold after the power cut: of each sector that was written and not synced,
    /// either the synced state or the last written one. Without dice: the synced state only.
    pub fn cut(&self, after: &Path, mut dice: Option<Dice>) {
        std::fs::create_dir(after).unwrap();
        for file in std::fs::read_dir(&self.synced).unwrap() {
            let name = file.unwrap().file_name();
            let text = name.to_string_lossy();
            if text.ends_with(".half") || text.ends_with(".unnamed") {
                continue;
            }
            let mut octets = std::fs::read(self.synced.join(&name)).unwrap();
            // Removed, but the folder was not synced since: then it is still there.
            let written = std::fs::read(self.live.join(&name)).unwrap_or_else(|_| octets.clone());
            if let Some(dice) = &mut dice {
                if dice.coin() && octets.len() < written.len() {
                    octets.resize(written.len(), 0);
                }
                for (old, new) in octets.chunks_mut(SECTOR).zip(written.chunks(SECTOR)) {
                    if dice.coin() && old.len() == new.len() {
                        old.copy_from_slice(new);
                    }
                }
            }
            std::fs::write(after.join(&name), octets).unwrap();
        }
    }
}

/// Copies the files of one folder into another.
fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn build(shim: &Path) -> PathBuf {
    let status = Command::new("gcc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([shim, Path::new(SOURCE)])
        .status()
        .expect("gcc is needed for the power-cut test");
    assert!(status.success());
    shim.to_owned()
}

/// Numbers without a device: enough to choose sectors.
pub struct Dice(pub u64);

impl Dice {
    fn coin(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 & 1 == 1
    }
}
