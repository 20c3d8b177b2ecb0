//! `azukari officer backup`: a copy of everything that cannot be made again, and of no secret.
//!
//! The device's folder holds wrapped keys only; the copy of the database is one consistent state.
//! What is true if we die here: the manifest is written last, so a folder without one is no backup.

use std::path::{Path, PathBuf};

use clap::Args;
use hpki::sign::Random as _;
use ledger::Event;

use super::door::{Caller, Reply, Request};
use super::manifest::{Item, Manifest, NAME};
use super::say;
use super::transcript::Transcript;
use crate::clock::now;
use crate::config::PlatformConfig;
use crate::platform::{Platform, open};
use crate::runtime::Stop;

/// Flags of `azukari officer backup`.
#[derive(Args)]
pub(crate) struct BackupArguments {
    /// 基盤の設定ファイル。基盤は動いたままでよい (the platform's configuration; it may be running)
    #[arg(long)]
    config: PathBuf,
    /// 控えを置く、新しいフォルダ (a new folder for the backup)
    #[arg(long)]
    out: PathBuf,
}

/// Has the running platform make a backup, or opens it for that.
pub(crate) async fn run(arguments: BackupArguments) -> Result<(), Stop> {
    let config = PlatformConfig::load(&arguments.config)?;
    let out = std::path::absolute(&arguments.out)?;
    let said = if let Ok((mut caller, greeting)) = Caller::knock(&config.officers_socket).await {
        if !greeting.open {
            return Err(say::refused("platform-sealed", "shares are awaited there"));
        }
        match caller.ask(&Request::Backup(out)).await? {
            Reply::Done(said) => said,
            other => return Err(format!("{other:?}").into()),
        }
    } else {
        let platform = open::open(config).await?;
        make(&platform, &out).await?
    };
    println!("{said}");
    Ok(())
}

/// What must never be in a backup although it may lie in the device's folder.
fn belongs(name: &str) -> bool {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    plain
        && name != "lock"
        && !name.starts_with('.')
        && !name.ends_with(".tmp")
        && !name.ends_with(".new")
}

/// Makes a backup of an open platform into a folder that is not there yet.
pub(crate) async fn make(platform: &Platform, out: &Path) -> Result<String, Stop> {
    if platform.config.store.is_shared() {
        return Err(say::refused("backup-of-database", "[store] postgres"));
    }
    if out.exists() {
        return Err(say::refused("backup-exists", out.display().to_string()));
    }
    let unwritable = |error: std::io::Error| {
        say::refused("backup-unwritable", format!("{}: {error}", out.display()))
    };
    crate::files::private_folder(&out.join("device")).map_err(unwritable)?;
    crate::files::private_folder(&out.join("ledger")).map_err(unwritable)?;

    let mut items = Vec::new();
    let device = platform.config.device.folder();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(device)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && belongs(&name) {
            names.push(name);
        }
    }
    names.sort();
    for name in names {
        let octets = std::fs::read(device.join(&name))?;
        let path = format!("device/{name}");
        write(&out.join(&path), &octets).map_err(unwritable)?;
        items.push(Item::of(out, path)?);
    }

    // The journal tells of the backup before the journal is copied: so the copy is a beginning of
    // every checkpoint from here on, and if nothing follows it is the whole.
    let at = now();
    let mut id = [0; 16];
    hsm::SystemRandom.fill(&mut id);
    let id = hex::encode(id);
    let mut transcript = Transcript::begin("backup", "控え", at);
    transcript.line("控えの番号 (backup)", &id);
    transcript.line("場所 (folder)", out.display());
    for item in &items {
        transcript.line("ファイル (file)", format!("{} {}", item.sha256, item.path));
    }
    let folder = &platform.config.folder;
    transcript.remember(folder, &platform.ledger, Event::BackupMade).await?;
    let checkpoint = platform.ledger.checkpoint();

    let source = folder.join("ledger");
    let target = out.join("ledger");
    tokio::task::spawn_blocking(move || ledger::copy::copy(&source, &target))
        .await?
        .map_err(say::ledger)?;
    items.push(Item::of(out, "ledger/store.sqlite".into())?);
    let manifest = Manifest {
        id,
        made: at.rfc3339(),
        platform: platform.config.url.clone(),
        log: platform.ledger.verify_key().to_string(),
        checkpoint,
        items,
    };
    crate::files::replace(&out.join(NAME), &manifest.sealed(&*platform.seals)?)
        .map_err(unwritable)?;
    crate::files::sync_folder(out).map_err(unwritable)?;
    Ok(format!(
        "控えを取りました: {}（{} ファイル、番号 {}; backup made）",
        out.display(),
        manifest.items.len(),
        manifest.id
    ))
}

/// Writes a private file for good.
pub(crate) fn write(file: &Path, octets: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut open = std::fs::OpenOptions::new();
    let mut new = open.write(true).create_new(true).mode(0o600).open(file)?;
    new.write_all(octets)?;
    new.sync_all()?;
    crate::files::sync_folder(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_sockets_and_drafts_do_not_belong_into_a_backup() {
        for name in ["vault.azkv", "log.azkb", "officers-user.json"] {
            assert!(belongs(name), "{name}");
        }
        for name in ["lock", "vault.azkv.tmp", "officers-user.json.new", ".hidden", "a b"] {
            assert!(!belongs(name), "{name}");
        }
    }
}
