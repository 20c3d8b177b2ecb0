//! `azukari journal watch`: the monitor, over HTTPS, with exit codes for scripts.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use hpki::refusal::Refuse as _;
use ledger::tlog::{Missed, Source, Unreachable};
use ledger::{Failed, Monitor, Refusal, Seen};

use super::reading::Witnesses;
use super::{note_in, read, read_key};
use crate::clock::now;
use crate::http::client::Client;

/// How long the platform may take for one file.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// An answer's checkpoint may be newer than the published one, which follows it within a second;
/// after so many seconds it is not late but missing.
pub(super) const PUBLISHED_SECONDS: u32 = 10;

/// Flags of `journal watch`.
#[derive(Args)]
pub(crate) struct WatchArguments {
    /// 基盤の URL (the platform's URL)
    url: String,
    /// そのサーバ証明書の認証局 (the CA of its server certificate)
    #[arg(long)]
    ca: PathBuf,
    /// 記録の検証鍵 (the pinned log key)
    #[arg(long)]
    log_key: PathBuf,
    #[command(flatten)]
    witnesses: Witnesses,
    /// 見たことを覚えておくフォルダ (folder to remember in)
    #[arg(long)]
    state: PathBuf,
    /// 他の人が見たチェックポイント。同じ歴史であることも確かめる (a checkpoint that others were shown)
    #[arg(long)]
    since: Vec<PathBuf>,
    /// 一度だけ見て終わる (look once)
    #[arg(long)]
    once: bool,
    /// 見る間隔（秒） (seconds between looks)
    #[arg(long, default_value_t = 10)]
    every: u64,
}

/// A log's files over HTTPS.
pub(crate) struct Web {
    client: Client,
    prefix: String,
}

impl Web {
    /// The journal of the platform that this client reaches.
    pub(crate) fn of(client: Client) -> Self {
        Self { client, prefix: "/journal".into() }
    }
}

impl Source for Web {
    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, Unreachable> {
        let path = format!("{}/{path}", self.prefix);
        let answer = self.client.send("GET", &path, None, None).await;
        let answer = answer.map_err(|fault| Unreachable(fault.to_string()))?;
        match answer.status {
            200 => Ok(Some(answer.body.to_vec())),
            404 => Ok(None),
            status => Err(Unreachable(format!("{path}: {status}"))),
        }
    }
}

/// 0: good, 1: caught, 2: nothing can be said.
pub(super) fn watch(arguments: &WatchArguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(follow(arguments)) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

async fn follow(arguments: &WatchArguments) -> Result<ExitCode, String> {
    let quorum = arguments.witnesses.over(read_key(&arguments.log_key)?)?;
    let others = arguments.since.iter().map(|file| read(file).map(|text| note_in(&text)));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    let tls = crate::http::tls::client(&arguments.ca, None).map_err(|e| e.to_string())?;
    let url = arguments.url.trim_end_matches('/');
    let web = Web::of(Client::new(url, Some(tls), PATIENCE).map_err(|e| e.to_string())?);
    let monitor = Monitor::open(&arguments.state, quorum).map_err(|failed| match failed {
        Failed::Refused(refusal) => refusal.to_string(),
        Failed::Fault(fault) => fault.to_string(),
    })?;
    let (stop, mut stopped) = crate::runtime::until_interrupted();
    loop {
        let looked = match look(&monitor, &web, &others).await {
            // A kept connection that the platform closed meanwhile says nothing.
            Err(Missed::Unreachable(_)) => look(&monitor, &web, &others).await,
            other => other,
        };
        let code = match looked {
            Ok(seen) => {
                say(&seen);
                ExitCode::SUCCESS
            }
            Err(Missed::Caught(refusal)) => {
                println!("{}\t✗ {}: {refusal}", now().rfc3339(), refusal.code());
                if let Some(text) = wire::refusal::lookup(refusal.code()) {
                    println!("{} {} ({})", text.title_ja, text.advice_ja, text.title_en);
                }
                return Ok(ExitCode::FAILURE);
            }
            Err(unknown) => {
                eprintln!("{}\t? {unknown}", now().rfc3339());
                ExitCode::from(2)
            }
        };
        if arguments.once {
            return Ok(code);
        }
        let wait = tokio::time::sleep(Duration::from_secs(arguments.every.max(1)));
        tokio::select! {
            () = wait => {}
            _ = stopped.wait_for(|stopped| *stopped) => {
                drop(stop);
                return Ok(code);
            }
        }
    }
}

async fn look(monitor: &Monitor, web: &Web, others: &[String]) -> Result<Seen, Missed> {
    let mut seen = monitor.look(web).await?;
    for note in others {
        let mut compared = monitor.compare(web, note).await;
        for _ in 0..PUBLISHED_SECONDS {
            if !matches!(compared, Err(Missed::Caught(Refusal::LogRolledBack { .. }))) {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let more = monitor.look(web).await?;
            seen = Seen { new_entries: seen.new_entries + more.new_entries, ..more };
            compared = monitor.compare(web, note).await;
        }
        compared?;
    }
    Ok(seen)
}

fn say(seen: &Seen) {
    let checkpoint = &seen.cosigned.checkpoint;
    println!(
        "{}\t✓ {} 件（新しく {}）、立会人 {}、根 {} (entries, new, witnesses, root)",
        now().rfc3339(),
        checkpoint.size,
        seen.new_entries,
        seen.cosigned.by.len(),
        STANDARD.encode(checkpoint.root)
    );
}
