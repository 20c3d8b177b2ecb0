//! `azukari officer init`: officers are appointed.
//!
//! The secret exists here alone and whole for the last time. What is true if we die: the share
//! files are written and read back before anything depends on them, and the plain file, where
//! there is one, is the last to go.

use std::path::{Path, PathBuf};

use clap::Args;
use hsm::shares::{Duty, Gathering, NEED, Set, Share, split};
use hsm::{SystemRandom, UnsealSecret};
use ledger::Event;
use zeroize::Zeroizing;

use super::door::gather;
use super::record::{Record, all, file, settle};
use super::transcript::Transcript;
use super::unseal::{Source, joined, obtain};
use super::{passphrase, say};
use crate::clock::now;
use crate::config::PlatformConfig;
use crate::platform::open;
use crate::runtime::Stop;

/// Flags of `azukari officer renew`.
#[derive(Args)]
pub(crate) struct RenewArguments {
    #[command(flatten)]
    appointing: InitArguments,
}

/// Flags of `azukari officer init`.
#[derive(Args)]
pub(crate) struct InitArguments {
    /// 基盤の設定ファイル。基盤は止めておく (the platform's configuration; the platform is stopped)
    #[arg(long)]
    config: PathBuf,
    /// 分割片のファイルを置くフォルダ (folder for the share files)
    #[arg(long)]
    out: PathBuf,
    /// 役目: user 鍵管理者, so 保安管理者 (duty)
    #[arg(long, default_value = "user")]
    duty: String,
    /// 必要な人数 (how many are needed)
    #[arg(long, default_value_t = NEED)]
    need: u8,
    /// 担当者の氏名。人数分くり返す (an officer's name, once for each)
    #[arg(long = "officer", required = true)]
    officers: Vec<String>,
    /// 合言葉のファイル、担当者の順に。省略時は一人ずつ尋ねる (passphrase files in the same order; else each is asked)
    #[arg(long = "passphrase-file")]
    passphrase_files: Vec<PathBuf>,
    /// 平文の封印解除ファイルを消す (remove the plain unseal file afterwards)
    #[arg(long)]
    remove_unseal_secret: bool,
}

/// Flags of `azukari officer paper`.
#[derive(Args)]
pub(crate) struct PaperArguments {
    /// 自分の分割片のファイル (your share file)
    #[arg(long)]
    share: PathBuf,
    /// 合言葉のファイル。省略時は尋ねる (file with the passphrase)
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
}

/// Shows a share as four lines.
pub(crate) fn paper(arguments: &PaperArguments) -> Result<(), Stop> {
    let passphrase = match &arguments.passphrase_file {
        Some(file) => passphrase::from_file(file)?,
        None => passphrase::ask("合言葉 (passphrase): ")?,
    };
    let (officer, share) = Share::unlock(&arguments.share, &passphrase).map_err(say::share)?;
    let set = share.set();
    println!(
        "# azukari 分割片 {} {} ／ {officer} ／ {} 枚中 {} 番、{} 枚で開封",
        set.duty().ja(),
        set,
        set.of(),
        share.index(),
        set.need()
    );
    print!("{}", *joined(&share));
    Ok(())
}

/// Appoints officers.
pub(crate) async fn init(arguments: InitArguments) -> Result<(), Stop> {
    let config = PlatformConfig::load(&arguments.config)?;
    let duty = Duty::from_name(&arguments.duty).ok_or_else(|| {
        format!("役目 {:?} はありません: user, so (no such duty)", arguments.duty)
    })?;
    let device = config.device.folder().to_owned();
    if file(&device, duty).exists() {
        return Err(say::refused("officers-appointed", file(&device, duty).display().to_string()));
    }
    let of = u8::try_from(arguments.officers.len()).unwrap_or(u8::MAX);
    let set = Set::new(duty, arguments.need, of, &SystemRandom).map_err(|r| say::say(&r))?;
    let passphrases = passphrases(&arguments)?;

    // The device's own secret, or a new one; the security officers have a secret of their own.
    let (source, fresh) = match (duty, &config.unseal_secret) {
        (Duty::User, Some(plain)) if plain.exists() => {
            (Source::File(UnsealSecret::from_file(plain).map_err(|r| say::say(&r))?), false)
        }
        (Duty::User, _) => (Source::File(UnsealSecret::random(&SystemRandom)), true),
        (Duty::Security, _) => (obtain(&config, "保安管理者の任命").await?, false),
    };
    let own;
    let secret = if duty == Duty::User {
        source.secret()
    } else {
        own = UnsealSecret::random(&SystemRandom);
        &own
    };
    if !fresh {
        // The device itself says whether it is its secret, before anybody gets a share of it.
        drop(hsm::open(&config.device, source.secret(), 1).map_err(say::device)?);
    }
    let files = hand_out(secret, set, &arguments, &passphrases)?;
    if fresh {
        hsm::create(&config.device, secret).map_err(say::device)?;
    }
    let plain = config.unseal_secret.clone();
    let platform = open::open_with(config, &source, "任命").await?;
    let record = Record::new(set, secret, arguments.officers.clone(), now(), &*platform.seals)?;
    record.write(&device, duty)?;
    let mut transcript = Transcript::begin("init", "担当者の任命", now());
    appointed(&mut transcript, set, &arguments.officers);
    let removed = plain
        .filter(|plain| duty == Duty::User && arguments.remove_unseal_secret && plain.exists());
    if let Some(plain) = &removed {
        transcript.line("消した平文 (removed)", plain.display());
    }
    let folder = &platform.config.folder;
    let left = transcript.remember(folder, &platform.ledger, Event::OfficersAppointed).await?;
    if let Some(plain) = &removed {
        erase(plain)?;
    }
    println!(
        "{}を任命しました: {} 人のうち {} 人で手続ができます (appointed: {} of {})",
        duty.ja(),
        set.of(),
        set.need(),
        set.need(),
        set.of()
    );
    for (file, officer) in files.iter().zip(&arguments.officers) {
        println!("  {}  {officer}", file.display());
    }
    println!("記録 (transcript): {}", left.display());
    if duty == Duty::User {
        println!(
            "設定を unseal = \"officers\" に変えてから基盤を起動してください (now set it in the configuration)"
        );
    }
    Ok(())
}

/// Replaces the officers: those in charge agree with their shares, the new ones get shares of a new
/// secret, and the old shares open nothing any more.
///
/// What is true if we die: until the device has the new secret the old officers open it, from then
/// on the new ones; both records are there, and whoever opens it first settles it.
pub(crate) async fn renew(arguments: RenewArguments) -> Result<(), Stop> {
    let arguments = arguments.appointing;
    let config = PlatformConfig::load(&arguments.config)?;
    let device = config.device.clone();
    let duty = Duty::from_name(&arguments.duty).ok_or_else(|| {
        format!("役目 {:?} はありません: user, so (no such duty)", arguments.duty)
    })?;
    let records = all(device.folder(), duty)?;
    if records.is_empty() {
        return Err(say::refused("officers-not-appointed", duty.ja()));
    }
    let of = u8::try_from(arguments.officers.len()).unwrap_or(u8::MAX);
    let set = Set::new(duty, arguments.need, of, &SystemRandom).map_err(|r| say::say(&r))?;
    let passphrases = passphrases(&arguments)?;
    let purpose = format!("{}の交代", duty.ja());
    let outgoing = gather(&config.officers_socket, duty, records, &purpose).await?;
    let officers = outgoing.officers();
    let new = UnsealSecret::random(&SystemRandom);
    let files = hand_out(&new, set, &arguments, &passphrases)?;

    let mut transcript = Transcript::begin("renew", "担当者の交代", now());
    transcript.line("交代前 (outgoing)", format!("{} {}", outgoing.set, officers));
    appointed(&mut transcript, set, &arguments.officers);
    let source = match duty {
        Duty::User => Source::Officers(Box::new(outgoing)),
        Duty::Security => obtain(&config, &purpose).await?,
    };
    let folder = config.folder.clone();
    let platform = open::open_with(config, &source, &purpose).await?;
    let names = arguments.officers.clone();
    let record = Record::new(set, &new, names, now(), &*platform.seals)?;
    let left = match duty {
        Duty::Security => {
            record.write(device.folder(), duty)?;
            transcript.remember(&folder, &platform.ledger, Event::OfficersAppointed).await?
        }
        Duty::User => {
            record.write_next(device.folder(), duty)?;
            let event = Event::OfficersAppointed;
            let left = transcript.remember(&folder, &platform.ledger, event).await?;
            drop(platform);
            hsm::change_secret(&device, source.secret(), &new).map_err(say::device)?;
            settle(device.folder(), set)?;
            left
        }
    };
    println!(
        "{}が交代しました。前の分割片は使えません (renewed; the old shares open nothing)",
        duty.ja()
    );
    for (file, officer) in files.iter().zip(&arguments.officers) {
        println!("  {}  {officer}", file.display());
    }
    println!("記録 (transcript): {}", left.display());
    Ok(())
}

/// Who is appointed, for the transcript.
fn appointed(transcript: &mut Transcript, set: Set, officers: &[String]) {
    transcript.line("組 (set)", format!("{} {set}", set.duty()));
    transcript.line("定足数 (quorum)", format!("{} / {}", set.need(), set.of()));
    for (index, officer) in (1..).zip(officers) {
        transcript.line(&format!("担当者 (officer) {index}"), officer);
    }
}

fn passphrases(arguments: &InitArguments) -> Result<Vec<Zeroizing<String>>, Stop> {
    if arguments.passphrase_files.is_empty() {
        return arguments.officers.iter().map(|officer| passphrase::choose(officer)).collect();
    }
    if arguments.passphrase_files.len() != arguments.officers.len() {
        return Err(
            "--passphrase-file は担当者と同じ数だけ指定してください (one for each officer)".into(),
        );
    }
    arguments.passphrase_files.iter().map(|file| passphrase::from_file(file)).collect()
}

/// Writes each officer's file and puts the secret together again from what was read back.
fn hand_out(
    secret: &UnsealSecret,
    set: Set,
    arguments: &InitArguments,
    passphrases: &[Zeroizing<String>],
) -> Result<Vec<PathBuf>, Stop> {
    crate::files::private_folder(&arguments.out)?;
    let named = |index: u8| arguments.out.join(format!("share-{}-{index}.txt", set.duty()));
    let each = || arguments.officers.iter().zip(passphrases);
    let shares = split(secret, set, &SystemRandom);
    let files: Vec<PathBuf> = shares.iter().map(|share| named(share.index())).collect();
    for ((share, file), (officer, passphrase)) in shares.iter().zip(&files).zip(each()) {
        share.lock(file, officer, passphrase, &SystemRandom).map_err(say::share)?;
    }
    drop(shares);
    // Every file takes part in one of the quorums that are tried.
    let read: Vec<(&PathBuf, &Zeroizing<String>)> = files.iter().zip(passphrases.iter()).collect();
    let need = usize::from(set.need());
    let last = read.len() - need;
    for from in (0..last).step_by(need).chain([last]) {
        let mut gathering = Gathering::of(set);
        for (file, passphrase) in &read[from..from + need] {
            let (_, share) = Share::unlock(file, passphrase).map_err(say::share)?;
            gathering.add(share).map_err(|refusal| say::say(&refusal))?;
        }
        let again = gathering.secret().map_err(|refusal| say::say(&refusal))?;
        if set.check_value(&again)? != set.check_value(secret)? {
            return Err(
                "書いた分割片を読み返すと違う秘密になりました (the share files are not right)"
                    .into(),
            );
        }
    }
    Ok(files)
}

/// Overwrites and removes the plain file. What the disk or a backup still remembers is beyond us.
fn erase(plain: &Path) -> Result<(), Stop> {
    let length = usize::try_from(std::fs::metadata(plain)?.len()).unwrap_or(65).min(4096);
    crate::files::private(plain, &"0".repeat(length))?;
    std::fs::remove_file(plain)?;
    crate::files::sync_folder(plain)?;
    Ok(())
}
