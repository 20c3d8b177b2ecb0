//! `azukari officer unseal`: one officer hands in his share. And the other side of it: where the
//! platform takes its unseal secret from.

use std::path::PathBuf;

use clap::Args;
use hpki::time::Timestamp;
use hsm::UnsealSecret;
use hsm::shares::{Duty, Share};
use ledger::Event;
use zeroize::Zeroizing;

use super::door::{Caller, Gathered, Reply, Request, gather};
use super::transcript::Transcript;
use super::{passphrase, record, say};
use crate::config::{PlatformConfig, Unseal};
use crate::platform::Platform;
use crate::runtime::Stop;

/// Flags of `azukari officer unseal`.
#[derive(Args)]
pub(crate) struct UnsealArguments {
    /// 分割片を待っているソケット (the socket that waits for shares)
    #[arg(long)]
    socket: PathBuf,
    /// 自分の分割片のファイル。省略時は紙の四行を打つ (your share file; without it, type the four lines)
    #[arg(long)]
    share: Option<PathBuf>,
    /// 合言葉のファイル。省略時は尋ねる (file with the passphrase; without it, you are asked)
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
}

/// Hands in one share.
pub(crate) async fn hand_in(arguments: UnsealArguments) -> Result<(), Stop> {
    let (mut caller, greeting) = Caller::knock(&arguments.socket).await?;
    if greeting.open {
        return Err(say::refused("platform-open", "no shares are awaited"));
    }
    let duty = Duty::from_name(&greeting.duty).map_or("", Duty::ja);
    println!("手続: {} ／ {duty} {}", greeting.purpose, greeting.set.as_deref().unwrap_or(""));
    let lines = match &arguments.share {
        Some(file) => from_file(file, arguments.passphrase_file.as_deref())?,
        None => typed()?,
    };
    let request = Request::Share(lines.to_string());
    let taken = caller.ask(&request).await;
    if let Request::Share(lines) = request {
        drop(Zeroizing::new(lines));
    }
    if let Reply::Taken { have, need, complete } = taken? {
        println!("受け取りました {have} / {need} (taken)");
        if complete {
            println!("そろいました (complete)");
        }
    }
    Ok(())
}

/// The lines of a share file.
pub(crate) fn from_file(
    file: &std::path::Path,
    passphrase_file: Option<&std::path::Path>,
) -> Result<Zeroizing<String>, Stop> {
    let passphrase = match passphrase_file {
        Some(file) => passphrase::from_file(file)?,
        None => passphrase::ask("合言葉 (passphrase): ")?,
    };
    let (_, share) = Share::unlock(file, &passphrase).map_err(say::share)?;
    Ok(joined(&share))
}

/// The four lines in one text.
pub(crate) fn joined(share: &Share) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(200));
    for line in share.to_lines() {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn typed() -> Result<Zeroizing<String>, Stop> {
    let mut text = Zeroizing::new(String::with_capacity(400));
    for number in 1..=4 {
        loop {
            let line = passphrase::line(&format!("{number} 行目 (line {number}): "))?;
            match Share::check_line(number, &line) {
                Ok(()) => {
                    text.push_str(&line);
                    text.push('\n');
                    break;
                }
                Err(refusal) => eprintln!("{}", say::say(&refusal)),
            }
        }
    }
    Ok(text)
}

/// The secret that opens the configured device, and whose shares gave it, if it was officers.
pub(crate) enum Source {
    File(UnsealSecret),
    Officers(Box<Gathered>),
}

impl Source {
    /// The secret itself.
    pub(crate) fn secret(&self) -> &UnsealSecret {
        match self {
            Self::File(secret) => secret,
            Self::Officers(gathered) => &gathered.secret,
        }
    }
}

/// Takes the secret from where the configuration says; waits for the officers if it is they.
pub(crate) async fn obtain(config: &PlatformConfig, purpose: &str) -> Result<Source, Stop> {
    Ok(match &config.unseal {
        Unseal::File(file) => {
            Source::File(UnsealSecret::from_file(file).map_err(|refusal| say::say(&refusal))?)
        }
        Unseal::Officers => {
            let records = record::all(config.device.folder(), Duty::User)?;
            let gathered = gather(&config.officers_socket, Duty::User, records, purpose).await?;
            Source::Officers(Box::new(gathered))
        }
    })
}

/// The platform is open: the record must be the device's own, and the act is remembered.
pub(crate) async fn opened(
    platform: &Platform,
    source: &Source,
    purpose: &str,
    now: Timestamp,
) -> Result<(), Stop> {
    let Source::Officers(gathered) = source else { return Ok(()) };
    if let Some(record) = &gathered.record {
        record.is_sealed(&*platform.seals)?;
        record::settle(platform.config.device.folder(), gathered.set)?;
    }
    let mut transcript = Transcript::begin("unseal", "開封", now);
    transcript.line("目的 (purpose)", purpose);
    transcript.line("組 (set)", format!("{} {}", gathered.set.duty(), gathered.set));
    transcript.line("担当者 (officers)", gathered.officers());
    let folder = &platform.config.folder;
    let file = transcript.remember(folder, &platform.ledger, Event::DeviceUnsealed).await?;
    eprintln!("開封しました。記録: {} (unsealed; transcript)", file.display());
    Ok(())
}
