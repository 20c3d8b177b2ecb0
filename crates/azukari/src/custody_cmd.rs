//! `azukari custody …`: the life of kept keys, as operators and officers see it.
//!
//! It works on the platform's own folder, which one process owns: the
//! platform must be stopped first, and says so otherwise.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use custody::{Act, Custody, Directive, KeyState, NewOfficer, OfficerRole, StopReason};
use hpki::encoding::Digest32;
use hpki::id::{DirectiveId, KeyId, OfficerId};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::clock::now;
use crate::config::PlatformConfig;
use crate::platform::{Platform, open};
use crate::runtime::Stop;

/// `azukari custody …`
#[derive(Subcommand)]
pub(crate) enum CustodyCommand {
    /// 作り置きの鍵の数を見る (how many keys are made ahead)
    Pool(Place),
    /// 鍵をまとめて作り置きする。中断しても続きから (make keys ahead; interrupted, it goes on from there)
    Generate {
        #[command(flatten)]
        place: Place,
        /// この数になるまで作る (until so many are there)
        #[arg(long)]
        count: u64,
    },
    /// すべての鍵を調べる: 0 異常なし, 1 異常あり (look at every key: 0 whole, 1 not)
    Audit {
        #[command(flatten)]
        place: Place,
        /// 機械で読む形で出す (as JSON)
        #[arg(long)]
        json: bool,
    },
    /// 警報を見る (what was unusual)
    Alarms(Place),
    /// 一つの鍵を見る (one key)
    Key {
        #[command(flatten)]
        place: Place,
        /// 鍵の番号
        #[arg(long)]
        key: KeyId,
    },
    /// 鍵を止める。再開には二人の係員の指図が要る (stop a key; starting it again takes two officers)
    Stop {
        #[command(flatten)]
        place: Place,
        /// 鍵の番号
        #[arg(long)]
        key: KeyId,
    },
    /// 最初の係員を任命する。保安係が二人以上 (the first officers, two for security among them)
    Found {
        #[command(flatten)]
        place: Place,
        /// 役割:氏名:公開鍵.pem（役割は operator, security, auditor）(role:name:public-key.pem)
        #[arg(long, required = true)]
        officer: Vec<String>,
    },
    /// 係員と指図の一覧 (officers and directives)
    List(Place),
    /// 指図を作る。係員ごとに署名する 32 バイトを書き出す (open a directive; writes what each officer signs)
    Direct {
        #[command(flatten)]
        place: Place,
        /// 指図の内容 (JSON; see docs/flows/life-of-a-key.md)
        #[arg(long)]
        act: PathBuf,
        /// 有効な日数 (days it stays open)
        #[arg(long, default_value_t = 7)]
        days: u64,
        /// 書き出すフォルダ (folder to write to)
        #[arg(long)]
        out: PathBuf,
    },
    /// 係員が署名で確認する (an officer confirms with her signature)
    Confirm {
        #[command(flatten)]
        place: Place,
        /// 指図の番号
        #[arg(long)]
        directive: DirectiveId,
        /// 係員の番号
        #[arg(long)]
        officer: OfficerId,
        /// 署名のファイル (the signature, as openssl writes it)
        #[arg(long)]
        signature: PathBuf,
    },
    /// 二人が確認した指図を実行する (carry out a directive that two have confirmed)
    CarryOut {
        #[command(flatten)]
        place: Place,
        /// 指図の番号
        #[arg(long)]
        directive: DirectiveId,
        /// 廃棄証明を書き出すフォルダ (folder for the statement of destruction)
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Where the platform is.
#[derive(Args)]
pub(crate) struct Place {
    /// 基盤の設定ファイル (the platform's configuration)
    #[arg(long)]
    config: PathBuf,
}

impl Place {
    async fn open(&self) -> Result<Platform, Stop> {
        open::open(PlatformConfig::load(&self.config)?).await
    }
}

/// Runs a custody command.
pub(crate) fn run(command: CustodyCommand) -> ExitCode {
    crate::runtime::run_coded(async move {
        Ok(if act(command).await? { ExitCode::SUCCESS } else { ExitCode::from(1) })
    })
}

/// False where everything ran, and something is wrong with what was looked at.
async fn act(command: CustodyCommand) -> Result<bool, Stop> {
    match command {
        CustodyCommand::Pool(place) => {
            let level = place.open().await?.custody.pool_level().await?;
            println!("作り置きの鍵 {level} 本 (keys made ahead)");
        }
        CustodyCommand::Generate { place, count } => {
            generate(&place.open().await?.custody, count).await?;
        }
        CustodyCommand::Audit { place, json } => {
            return audit(&place.open().await?.custody, json).await;
        }
        CustodyCommand::Alarms(place) => {
            let custody = place.open().await?.custody;
            for alarm in custody.alarms(hpki::time::Timestamp::from_seconds(0)).await? {
                let key = alarm.key.map(|key| key.to_string()).unwrap_or_default();
                let (kind, at) = (alarm.kind, alarm.at.rfc3339());
                println!("{at}  {} ({})  {key}  {}", kind.ja(), kind.name(), alarm.words);
            }
        }
        CustodyCommand::Key { place, key } => {
            let facts = place.open().await?.custody.key(key).await?;
            let stops: Vec<_> = facts.stops.iter().map(|stop| stop.name()).collect();
            println!("鍵 (key)        {}", facts.key);
            println!("所有者 (owner)  {}", facts.owner);
            println!("用途 (purpose)  {} ({})", facts.purpose.ja(), facts.purpose);
            println!("状態 (state)    {}  {}", facts.state, stops.join(", "));
            println!("出所 (origin)   {}", facts.origin.unwrap_or_else(|| "この鍵装置".into()));
        }
        CustodyCommand::Stop { place, key } => {
            let custody = place.open().await?.custody;
            custody.stop_key(key, StopReason::Desk, now()).await?;
            println!("止めました: {key} (stopped)");
        }
        CustodyCommand::Found { place, officer } => {
            let officers =
                officer.iter().map(|text| new_officer(text)).collect::<Result<_, _>>()?;
            let custody = place.open().await?.custody;
            for officer in custody.found_officers(officers, now()).await? {
                println!("{}  {}  {}", officer.id, officer.role, officer.name);
            }
        }
        CustodyCommand::List(place) => list(&place.open().await?.custody).await?,
        CustodyCommand::Direct { place, act, days, out } => {
            let act: Act = serde_json::from_slice(&std::fs::read(&act)?)?;
            let platform = place.open().await?;
            let until = now().plus(days * 86_400);
            let directive = platform.custody.direct(act, until, now()).await?;
            papers(&platform, &directive, &out).await?;
            println!("{}  {} ({})", directive.id, directive.act.ja(), directive.act.name());
        }
        CustodyCommand::Confirm { place, directive, officer, signature } => {
            let signature = std::fs::read(signature)?;
            let custody = place.open().await?.custody;
            let stands = custody.confirm(directive, officer, &signature, now()).await?;
            let enough = if stands.is_confirmed() {
                "実行できます (ready)"
            } else {
                "まだ足りません (not enough yet)"
            };
            println!("確認 {} 件: {enough}", stands.confirmations.len());
        }
        CustodyCommand::CarryOut { place, directive, out } => {
            carry_out(&place.open().await?.custody, directive, out.as_deref()).await?;
        }
    }
    Ok(true)
}

fn new_officer(text: &str) -> Result<NewOfficer, Stop> {
    let wrong = || format!("役割:氏名:公開鍵.pem の形で書いてください: {text} (role:name:file)");
    let (role, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (name, file) = rest.rsplit_once(':').ok_or_else(wrong)?;
    let role: OfficerRole = role.parse().map_err(|()| wrong())?;
    Ok(NewOfficer { name: name.to_owned(), role, public_key: public_key(Path::new(file))? })
}

/// The DER of a PEM public key.
fn public_key(file: &Path) -> Result<Vec<u8>, Stop> {
    use base64::Engine as _;
    let text = std::fs::read_to_string(file)?;
    let body: String =
        text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    Ok(base64::engine::general_purpose::STANDARD.decode(body)?)
}

fn bar(length: u64, words: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.with_message(words)
}

async fn generate(custody: &Custody, count: u64) -> Result<(), Stop> {
    let (stop, stopped) = crate::runtime::until_interrupted();
    let bar = bar(count, "鍵の作り置き (keys made ahead)");
    loop {
        let round = custody.stock(count, now()).await?;
        bar.set_position(round.level.min(count));
        if round.made == 0 || *stopped.borrow() {
            bar.finish();
            drop(stop);
            println!("作り置きの鍵 {} 本 (keys made ahead)", round.level);
            return Ok(());
        }
    }
}

#[derive(Serialize)]
struct Report {
    keys: u64,
    pooled: u64,
    findings: Vec<custody::Finding>,
    unbalanced: usize,
    broken_seals: u64,
    whole: bool,
}

/// Looks at every key: how many there are, and what is wrong.
pub(crate) async fn every_key(custody: &Custody) -> Result<(u64, Vec<custody::Finding>), Stop> {
    let bar = bar(custody.key_count().await?, "鍵の点検 (looking at every key)");
    let (mut after, mut keys, mut findings) = (None, 0, Vec::new());
    loop {
        let round = custody.audit_round(after, 256, now()).await?;
        if round.checked == 0 {
            break;
        }
        (after, keys) = (round.last, keys + round.checked);
        findings.extend(round.findings);
        bar.set_position(keys);
    }
    bar.finish_and_clear();
    Ok((keys, findings))
}

/// Every key, every office, and the books.
async fn audit(custody: &Custody, json: bool) -> Result<bool, Stop> {
    let (keys, mut findings) = every_key(custody).await?;
    findings.extend(custody.audit_offices().await?);
    let books = custody.books().await?;
    let whole = findings.is_empty() && books.balance();
    let report = Report {
        keys,
        pooled: custody.pool_level().await?,
        findings,
        unbalanced: books.unbalanced.len(),
        broken_seals: books.broken_seals,
        whole,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(whole);
    }
    println!("鍵 {keys} 本、作り置き {} 本を調べました (keys looked at)", report.pooled);
    for finding in &report.findings {
        let key = finding.key.map(|key| key.to_string()).unwrap_or_default();
        println!("  異常 (wrong): {}  {key}", finding.wrong);
    }
    if report.unbalanced > 0 || report.broken_seals > 0 {
        let (seals, books) = (report.broken_seals, report.unbalanced);
        println!(
            "  封印の破れ {seals}、帳尻の合わない枠 {books} (broken seals, unbalanced budgets)"
        );
    }
    println!(
        "{}",
        if whole {
            "異常はありません (all whole)"
        } else {
            "異常があります (not whole)"
        }
    );
    Ok(whole)
}

async fn list(custody: &Custody) -> Result<(), Stop> {
    for officer in custody.officers().await? {
        let until = officer.dismissed.map(|time| time.rfc3339()).unwrap_or_default();
        println!(
            "{}  {} ({})  {}  {until}",
            officer.id,
            officer.role.ja(),
            officer.role,
            officer.name
        );
    }
    for directive in custody.directives().await? {
        let by: Vec<_> = directive.confirmations.iter().map(|by| by.name.as_str()).collect();
        let stands = match directive.outcome.as_str() {
            "" if directive.is_confirmed() => "確認済み (confirmed)",
            "" => "確認待ち (waiting)",
            "done" => "実行済み (done)",
            _ => "取り下げ (withdrawn)",
        };
        println!("{}  {}  {stands}  {}", directive.id, directive.act.ja(), by.join("、"));
    }
    Ok(())
}

/// What each officer reads and signs: the words, and her own 32 octets.
async fn papers(platform: &Platform, directive: &Directive, out: &Path) -> Result<(), Stop> {
    std::fs::create_dir_all(out)?;
    std::fs::write(out.join(format!("{}.json", directive.id)), &directive.body)?;
    for officer in platform.custody.officers().await? {
        if officer.role == OfficerRole::Auditor || officer.dismissed.is_some() {
            continue;
        }
        let octets: Digest32 = directive.confirmation(&platform.config.url, officer.id);
        std::fs::write(out.join(format!("{}-{}.bin", directive.id, officer.id)), octets)?;
    }
    Ok(())
}

async fn carry_out(custody: &Custody, id: DirectiveId, out: Option<&Path>) -> Result<(), Stop> {
    match custody.directive(id).await?.act {
        Act::Restart { key, .. } => {
            custody.restart(id, now()).await?;
            println!("再開しました: {key} (started again)");
        }
        Act::Destroy { key, .. } => {
            if custody.key(key).await?.state == KeyState::Held {
                custody.stop_key(key, StopReason::Desk, now()).await?;
            }
            let paper = custody.destroy(id, now()).await?;
            let statement: custody::Destruction = serde_json::from_str(&paper.words)?;
            print!("{}", statement.text());
            if let Some(out) = out {
                std::fs::create_dir_all(out)?;
                std::fs::write(out.join("destruction.json"), &paper.words)?;
                std::fs::write(out.join("destruction.txt"), statement.text())?;
                std::fs::write(out.join("destruction.proof"), &paper.proof)?;
            }
        }
        Act::Enrol { .. } | Act::Dismiss { .. } => {
            custody.change_officers(id, now()).await?;
            println!("係員を改めました (officers changed)");
        }
        Act::Retire { .. } => {
            let round = custody.retire(now()).await?;
            println!(
                "停止 {} 本、廃棄 {} 本。この指図は期限まで効きます (stopped, destroyed; it stands)",
                round.stopped.len(),
                round.destroyed.len()
            );
        }
        Act::Import { .. } => {
            return Err("受け入れは、認証局が /v1/import で行います (the authority does it)".into());
        }
    }
    Ok(())
}
