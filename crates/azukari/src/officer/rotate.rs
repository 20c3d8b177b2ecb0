//! `azukari officer rotate`: a new key-encryption key, every kept key wrapped anew.
//!
//! Both sets of officers agree: the security officers that it is done, the key officers by opening
//! the device. What is true if we die here: the device opens keys under the old and the new key
//! until the end, so the platform can run; the same command goes on where it stopped.

use std::path::PathBuf;

use clap::Args;
use hsm::Rotation;
use hsm::shares::Duty;
use indicatif::{ProgressBar, ProgressStyle};
use ledger::Event;

use super::door::{Gathered, gather};
use super::transcript::Transcript;
use super::unseal::{Source, obtain};
use super::{record, say};
use crate::clock::now;
use crate::config::PlatformConfig;
use crate::platform::open;
use crate::runtime::Stop;

/// Flags of `azukari officer rotate`.
#[derive(Args)]
pub(crate) struct RotateArguments {
    /// 基盤の設定ファイル。基盤は止めておく (the platform's configuration; the platform is stopped)
    #[arg(long)]
    config: PathBuf,
}

/// Rotates.
pub(crate) async fn run(arguments: RotateArguments) -> Result<(), Stop> {
    let config = PlatformConfig::load(&arguments.config)?;
    let purpose = "鍵暗号化鍵の交換";
    let (security, source) = both_sets(&config, purpose).await?;
    let rotated = replace_key(config, &security, &source, purpose).await?;
    println!(
        "鍵暗号化鍵を版 {} に替え、{} 件の鍵を包み直しました (rotated)\n記録 (transcript): {}",
        rotated.version,
        rotated.keys,
        rotated.transcript.display()
    );
    println!("{NEW_BACKUP}");
    Ok(())
}

pub(super) const NEW_BACKUP: &str = "前の控えは前の鍵で包まれたままです。新しい控えを取り、古い控えは期限が来たら廃棄してください (make a new backup)";

/// Both sets of officers agree, one after the other: the security officers, and the key officers by
/// opening the device.
pub(super) async fn both_sets(
    config: &PlatformConfig,
    purpose: &str,
) -> Result<(Gathered, Source), Stop> {
    let records = record::all(config.device.folder(), Duty::Security)?;
    if records.is_empty() {
        return Err(say::refused("officers-not-appointed", Duty::Security.ja()));
    }
    let security = gather(&config.officers_socket, Duty::Security, records, purpose).await?;
    let source = obtain(config, purpose).await?;
    Ok((security, source))
}

/// Who agreed, for the transcript.
pub(super) fn tell_officers(transcript: &mut Transcript, security: &Gathered, source: &Source) {
    transcript.line("保安管理者 (security officers)", security.officers());
    if let Source::Officers(gathered) = source {
        transcript.line("鍵管理者 (key officers)", gathered.officers());
    }
}

/// What a rotation did.
pub(super) struct Rotated {
    pub(super) version: u32,
    pub(super) keys: u64,
    transcript: PathBuf,
}

/// Gives the device a new key-encryption key and wraps every kept key anew.
pub(super) async fn replace_key(
    config: PlatformConfig,
    security: &Gathered,
    source: &Source,
    purpose: &str,
) -> Result<Rotated, Stop> {
    let rotation =
        Rotation::begin(&config.device, &security.secret, source.secret()).map_err(say::device)?;
    let version = rotation.version();
    let folder = config.folder.clone();
    let platform = open::open_with(config, source, purpose).await?;
    if let Some(record) = &security.record {
        record.is_sealed(&*platform.seals)?;
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("包み直し {bar:40} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    let wrap = |wrapped: &[u8], key, owner| rotation.rewrap(wrapped, key, owner);
    let walked = platform
        .custody
        .rewrap(version, wrap, |progress| {
            bar.set_length(progress.of);
            bar.set_position(progress.done + progress.already);
        })
        .await;
    bar.finish_and_clear();
    let walked = walked.map_err(|failed| match failed {
        ledger::Failed::Refused(refusal) => say::say(&refusal),
        ledger::Failed::Fault(fault) => fault.into(),
    })?;

    let keys = walked.done + walked.already;
    let mut transcript = Transcript::begin("rotate", "鍵暗号化鍵の交換", now());
    tell_officers(&mut transcript, security, source);
    transcript.line("鍵暗号化鍵の版 (version)", version);
    transcript.line("包み直した鍵 (keys)", keys);
    let transcript = transcript.remember(&folder, &platform.ledger, Event::DeviceRotated).await?;
    // Nobody has the device open when the old key goes.
    drop(platform);
    rotation.finish().map_err(say::device)?;
    Ok(Rotated { version, keys, transcript })
}
