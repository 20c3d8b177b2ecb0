//! `azukari officer restore`: a platform from its backup, by m of n officers, on another machine.
//!
//! Everything is checked in a folder of its own, and that folder then takes the platform's name in
//! one step. What is true if we die here: the platform's folder is not there or whole; a rest named
//! `….restoring` is cleared away by the next try.

use std::path::{Path, PathBuf};

use clap::Args;
use hsm::shares::Duty;
use ledger::tlog::VerifyKey;
use ledger::{Event, audit};

use super::door::gather;
use super::manifest::{Item, Manifest, NAME, is_genuine};
use super::transcript::Transcript;
use super::unseal::Source;
use super::{record, say};
use crate::clock::now;
use crate::config::PlatformConfig;
use crate::platform::open;
use crate::runtime::Stop;

/// Flags of `azukari officer restore`.
#[derive(Args)]
pub(crate) struct RestoreArguments {
    /// 新しい基盤の設定ファイル。folder はまだ無いこと (the new platform's configuration; its folder must not exist)
    #[arg(long)]
    config: PathBuf,
    /// 控えのフォルダ (the backup's folder)
    #[arg(long)]
    backup: PathBuf,
    /// 手元のチェックポイント。控えがそれより古ければ断る (a checkpoint you kept: an older backup is refused)
    #[arg(long)]
    since: Vec<PathBuf>,
}

/// Restores.
pub(crate) async fn run(arguments: RestoreArguments) -> Result<(), Stop> {
    let config = PlatformConfig::load(&arguments.config)?;
    let folder = config.folder.clone();
    if folder.exists() || config.device.folder().exists() {
        return Err(say::refused("restore-would-overwrite", folder.display().to_string()));
    }
    let (text, manifest) = read(&arguments.backup)?;
    let records = record::all(&arguments.backup.join("device"), Duty::User)?;
    let purpose = format!("控え {} からの復元", manifest.id);
    let gathered = gather(&config.officers_socket, Duty::User, records, &purpose).await?;

    let staged = staging(&folder);
    if staged.exists() {
        std::fs::remove_dir_all(&staged)?;
    }
    let device = device_in(&config, &staged)?;
    for (name, folder) in [("device", device.folder()), ("ledger", &staged.join("ledger"))] {
        crate::files::private_folder(folder)?;
        for item in manifest.items.iter().filter(|item| item.path.starts_with(name)) {
            let file = item.path.split_once('/').map_or("", |(_, file)| file);
            let octets = std::fs::read(arguments.backup.join(&item.path))?;
            super::backup::write(&folder.join(file), &octets)?;
        }
    }
    // The officers' secret opens the copy of their device, which alone knows its own manifest.
    {
        let desks = hsm::open(&device, &gathered.secret, 1).map_err(say::device)?;
        let (_, seals) = desks.log.split();
        if !is_genuine(&text, &*seals)? {
            return Err(say::refused("backup-forged", NAME));
        }
        if let Some(record) = &gathered.record {
            record.is_sealed(&*seals)?;
        }
    }
    judge_journal(&staged.join("ledger"), &manifest, &arguments.since)?;
    std::fs::rename(&staged, &folder)?;
    crate::files::sync_folder(&folder)?;

    let mut transcript = Transcript::begin("restore", "控えからの復元", now());
    transcript.line("控え (backup)", format!("{} {}", manifest.id, manifest.made));
    transcript.line("組 (set)", format!("{} {}", gathered.set.duty(), gathered.set));
    transcript.line("担当者 (officers)", gathered.officers());
    let source = Source::Officers(Box::new(gathered));
    let platform = open::open_with(config, &source, &purpose).await?;
    let left = transcript.remember(&folder, &platform.ledger, Event::BackupRestored).await?;
    println!(
        "復元しました: {}（署名記録 {} 件; restored）\n記録 (transcript): {}",
        folder.display(),
        platform.ledger.size(),
        left.display()
    );
    println!(
        "控えの後に行った失効・停止・電話の解除は戻りません。運用を始める前にやり直してください (repeat what was revoked, stopped or unlinked since)"
    );
    Ok(())
}

/// The manifest, with every file as it says and no other.
fn read(backup: &Path) -> Result<(String, Manifest), Stop> {
    let damaged = |what: String| say::refused("backup-damaged", what);
    let file = backup.join(NAME);
    let text = std::fs::read_to_string(&file)
        .map_err(|error| damaged(format!("{}: {error}", file.display())))?;
    let manifest = Manifest::parse(&text).ok_or_else(|| damaged(NAME.into()))?;
    for item in &manifest.items {
        if Item::of(backup, item.path.clone())? != *item {
            return Err(damaged(item.path.clone()));
        }
    }
    Ok((text, manifest))
}

fn staging(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(".restoring");
    folder.with_file_name(name)
}

/// The same device, its folder below the staging folder.
fn device_in(config: &PlatformConfig, staged: &Path) -> Result<hsm::DeviceConfig, Stop> {
    let below = config.device.folder().strip_prefix(&config.folder).map_err(|_| {
        say::refused("restore-would-overwrite", config.device.folder().display().to_string())
    })?;
    let folder = staged.join(below);
    Ok(match &config.device {
        hsm::DeviceConfig::Vault { .. } => hsm::DeviceConfig::Vault { folder },
        hsm::DeviceConfig::Pkcs11 { module, token, .. } => {
            hsm::DeviceConfig::Pkcs11 { folder, module: module.clone(), token: token.clone() }
        }
    })
}

/// Recomputes the journal, from its entries, against the manifest's checkpoint and those that the
/// custodian kept elsewhere.
fn judge_journal(folder: &Path, manifest: &Manifest, since: &[PathBuf]) -> Result<(), Stop> {
    let log: VerifyKey = manifest.log.parse().map_err(|_| say::refused("backup-damaged", "log"))?;
    ledger::copy::place_head(folder, &manifest.checkpoint, &log).map_err(say::ledger)?;
    let mut notes = Vec::new();
    for file in since {
        notes.push(crate::journal::read_note(file)?);
    }
    let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
    let report = audit::verify(&audit::Audit {
        place: folder.into(),
        head: None,
        log: &log,
        streams: None,
        since: &notes,
    })
    .map_err(say::ledger)?;
    let older = report.problems.iter().all(|p| p.finding == audit::Finding::SinceContradicts);
    match report.problems.first() {
        None => Ok(()),
        Some(problem) if older => Err(say::refused("restore-rolled-back", problem.to_string())),
        Some(problem) => Err(say::refused("journal-broken", problem.to_string())),
    }
}
