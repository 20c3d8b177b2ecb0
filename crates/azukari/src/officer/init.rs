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
    /// 必要な人数 (how many are needed)
    #[arg(long, default_value_t = NEED)]
    need: u8,
    /// 鍵管理者の氏名。人数分くり返す (a key officer's name, once for each)
    #[arg(long = "officer")]
    officers: Vec<String>,
    /// 保安管理者の氏名。人数分くり返す (a security officer's name, once for each)
    #[arg(long = "security-officer")]
    security_officers: Vec<String>,
    /// 合言葉のファイル、鍵管理者・保安管理者の順に。省略時は一人ずつ尋ねる (passphrase files in the order of the names; else each is asked)
    #[arg(long = "passphrase-file")]
    passphrase_files: Vec<PathBuf>,
    /// 保安管理者の秘密が平文のファイルにあれば、それを分ける (the security officers' secret, where a plain file has it)
    #[arg(long)]
    security_secret: Option<PathBuf>,
    /// 平文の秘密のファイルを消す (remove the plain files afterwards)
    #[arg(long)]
    remove_unseal_secret: bool,
}

/// Officers of one duty who are about to be appointed.
struct Appointed {
    set: Set,
    officers: Vec<String>,
    passphrases: Vec<Zeroizing<String>>,
}

impl InitArguments {
    /// Those who are named, each with a passphrase: one set, or both.
    fn appointed(&self) -> Result<Vec<Appointed>, Stop> {
        let named = self.officers.len() + self.security_officers.len();
        let mut files = self.passphrase_files.iter();
        if !self.passphrase_files.is_empty() && self.passphrase_files.len() != named {
            return Err(
                "--passphrase-file は担当者と同じ数だけ指定してください (one for each officer)"
                    .into(),
            );
        }
        let mut sets = Vec::new();
        for (duty, names) in
            [(Duty::User, &self.officers), (Duty::Security, &self.security_officers)]
        {
            if names.is_empty() {
                continue;
            }
            let of = u8::try_from(names.len()).unwrap_or(u8::MAX);
            let set = Set::new(duty, self.need, of, &SystemRandom).map_err(|r| say::say(&r))?;
            let mut passphrases = Vec::new();
            for name in names {
                passphrases.push(match files.next() {
                    Some(file) => passphrase::from_file(file)?,
                    None => passphrase::choose(name)?,
                });
            }
            sets.push(Appointed { set, officers: names.clone(), passphrases });
        }
        if sets.is_empty() {
            return Err(
                "--officer か --security-officer で氏名を指定してください (name the officers)"
                    .into(),
            );
        }
        Ok(sets)
    }
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
    let device = config.device.folder().to_owned();
    for (duty, names) in
        [(Duty::User, &arguments.officers), (Duty::Security, &arguments.security_officers)]
    {
        if !names.is_empty() && file(&device, duty).exists() {
            let file = file(&device, duty).display().to_string();
            return Err(say::refused("officers-appointed", file));
        }
    }
    let sets = arguments.appointed()?;
    let plain = config.unseal_secret.clone().filter(|plain| plain.exists());
    let users = !arguments.officers.is_empty();

    // The device's own secret, or that of a new device; the security officers have their own.
    let fresh = users && plain.is_none();
    let token = matches!(config.device, hsm::DeviceConfig::Pkcs11 { .. });
    if fresh && token && arguments.security_officers.is_empty() {
        // Its security officer's PIN comes from their secret, once and for all.
        return Err(say::refused("officers-not-appointed", Duty::Security.ja()));
    }
    let source = match &plain {
        _ if fresh => Source::File(UnsealSecret::random(&SystemRandom)),
        Some(plain) if users => {
            Source::File(UnsealSecret::from_file(plain).map_err(|r| say::say(&r))?)
        }
        _ => obtain(&config, "保安管理者の任命").await?,
    };
    let security = match &arguments.security_secret {
        Some(file) => UnsealSecret::from_file(file).map_err(|refusal| say::say(&refusal))?,
        None => UnsealSecret::random(&SystemRandom),
    };
    let secret = |set: &Set| match set.duty() {
        Duty::User => source.secret(),
        Duty::Security => &security,
    };
    if !fresh {
        // The device itself says whether it is its secret, before anybody gets a share of it.
        drop(hsm::open(&config.device, source.secret(), 1).map_err(say::device)?);
    }
    let mut files = Vec::new();
    for appointed in &sets {
        files.extend(hand_out(secret(&appointed.set), appointed, &arguments.out)?);
    }
    if fresh {
        // Of a token; a vault needs no preparation.
        hsm::prepare_token(&config.device, &security, source.secret()).map_err(say::device)?;
        hsm::create(&config.device, source.secret()).map_err(say::device)?;
    }
    let platform = open::open_with(config, &source, "任命").await?;
    let mut transcript = Transcript::begin("init", "担当者の任命", now());
    for appointed in &sets {
        let (set, names) = (appointed.set, appointed.officers.clone());
        Record::new(set, secret(&set), names, now(), &*platform.seals)?
            .write(&device, set.duty())?;
        tell(&mut transcript, appointed);
    }
    let split = plain.filter(|_| users).into_iter().chain(arguments.security_secret);
    let removed: Vec<_> = split.filter(|_| arguments.remove_unseal_secret).collect();
    for plain in &removed {
        transcript.line("消した平文 (removed)", plain.display());
    }
    let folder = &platform.config.folder;
    let left = transcript.remember(folder, &platform.ledger, Event::OfficersAppointed).await?;
    for plain in &removed {
        erase(plain)?;
    }
    for appointed in &sets {
        let set = appointed.set;
        println!(
            "{}を任命しました: {} 人のうち {} 人で手続ができます (appointed: {} of {})",
            set.duty().ja(),
            set.of(),
            set.need(),
            set.need(),
            set.of()
        );
    }
    files.iter().for_each(|file| println!("  {}", file.display()));
    println!("記録 (transcript): {}", left.display());
    if users {
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
    let [appointed] = <[Appointed; 1]>::try_from(arguments.appointed()?)
        .map_err(|_| "交代は鍵管理者か保安管理者のどちらか一方です (one set at a time)")?;
    let set = appointed.set;
    let duty = set.duty();
    let records = all(device.folder(), duty)?;
    if records.is_empty() {
        return Err(say::refused("officers-not-appointed", duty.ja()));
    }
    let purpose = format!("{}の交代", duty.ja());
    let outgoing = gather(&config.officers_socket, duty, records, &purpose).await?;
    let new = UnsealSecret::random(&SystemRandom);
    let files = hand_out(&new, &appointed, &arguments.out)?;

    let mut transcript = Transcript::begin("renew", "担当者の交代", now());
    transcript.line("交代前 (outgoing)", format!("{} {}", outgoing.set, outgoing.officers()));
    tell(&mut transcript, &appointed);
    // Who hands over: the security officers' secret is their own, the key officers' opens the device.
    let (source, security) = match duty {
        Duty::User => (Source::Officers(Box::new(outgoing)), None),
        Duty::Security => (obtain(&config, &purpose).await?, Some(outgoing.secret)),
    };
    let folder = config.folder.clone();
    let platform = open::open_with(config, &source, &purpose).await?;
    let record = Record::new(set, &new, appointed.officers, now(), &*platform.seals)?;
    record.write_next(device.folder(), duty)?;
    let left = transcript.remember(&folder, &platform.ledger, Event::OfficersAppointed).await?;
    drop(platform);
    match &security {
        // Of a token: its security officers' PIN.
        Some(old) => hsm::change_officers_secret(&device, old, &new),
        None => hsm::change_secret(&device, source.secret(), &new),
    }
    .map_err(say::device)?;
    settle(device.folder(), set)?;
    println!(
        "{}が交代しました。前の分割片は使えません (renewed; the old shares open nothing)",
        duty.ja()
    );
    files.iter().for_each(|file| println!("  {}", file.display()));
    println!("記録 (transcript): {}", left.display());
    Ok(())
}

/// Who is appointed, for the transcript.
fn tell(transcript: &mut Transcript, appointed: &Appointed) {
    let set = appointed.set;
    transcript.line("組 (set)", format!("{} {set}", set.duty()));
    transcript.line("定足数 (quorum)", format!("{} / {}", set.need(), set.of()));
    for (index, officer) in (1..).zip(&appointed.officers) {
        transcript.line(&format!("担当者 (officer) {index}"), officer);
    }
}

/// Writes each officer's file and puts the secret together again from what was read back.
fn hand_out(
    secret: &UnsealSecret,
    appointed: &Appointed,
    out: &Path,
) -> Result<Vec<PathBuf>, Stop> {
    crate::files::private_folder(out)?;
    let Appointed { set, officers, passphrases } = appointed;
    let shares = split(secret, *set, &SystemRandom);
    let mut files = Vec::new();
    for ((share, officer), passphrase) in shares.iter().zip(officers).zip(passphrases) {
        let file = out.join(format!("share-{}-{}.txt", set.duty(), share.index()));
        share.lock(&file, officer, passphrase, &SystemRandom).map_err(say::share)?;
        files.push(file);
    }
    drop(shares);
    // Every file takes part in one of the quorums that are tried.
    let read: Vec<_> = files.iter().zip(passphrases).collect();
    let need = usize::from(set.need());
    let last = read.len() - need;
    for from in (0..last).step_by(need).chain([last]) {
        let mut gathering = Gathering::of(*set);
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
