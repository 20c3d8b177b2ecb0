//! `azukari journal mine`: the owner of a key reads every use of it, and looks for what was left
//! out. What she holds came from her phone; what the platform hands over is believed only as far
//! as it stands among the entries that everybody reads.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hpki::encoding::Digest32;
use hpki::refusal::Refuse as _;
use ledger::tlog::{Missed, Quorum, Source, Unreachable};
use ledger::{Event, HandedOver, History, Owner, Refusal, StreamKey};
use serde::{Deserialize, Serialize};
use town::phone::Phone;
use wire::{Base64, HistoryAnswer, HistoryRequest};

use super::read_key;
use super::reading::Witnesses;
use super::watching::{PATIENCE, PUBLISHED_SECONDS, Web};
use crate::http::client::Client;

/// Flags of `journal mine`.
#[derive(Args)]
pub(crate) struct MineArguments {
    /// 電話に保存されている控え（本人だけが読めるファイル） (what the phone keeps; a file for its owner alone)
    file: PathBuf,
    /// 基盤のサーバ証明書の認証局 (the CA of the platform's server certificate)
    #[arg(long)]
    ca: PathBuf,
    /// 記録の検証鍵 (the pinned log key)
    #[arg(long)]
    log_key: PathBuf,
    #[command(flatten)]
    witnesses: Witnesses,
}

/// What a linked phone keeps for its owner, in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mine {
    /// The platform's URL.
    platform: String,
    /// The cookies of the linked phone, as its browser sends them.
    cookies: String,
    /// The key of the stream in which the journal tells of her key.
    stream_key: Base64,
    /// Where the stream stood when she approved something, and when she last looked.
    heads: Vec<Stood>,
}

/// Where a stream stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stood {
    seq: u64,
    commitment: Base64,
}

impl Mine {
    /// What this phone keeps; nothing where none was linked.
    pub(crate) fn of(platform: &str, phone: &Phone) -> Option<Self> {
        let memory = phone.memory();
        let stood = |(seq, commitment): &(u64, Digest32)| Stood {
            seq: *seq,
            commitment: Base64(commitment.to_vec()),
        };
        Some(Self {
            platform: platform.to_owned(),
            cookies: phone.cookies()?,
            stream_key: Base64(memory.stream_key.clone()),
            heads: memory.heads.iter().map(stood).collect(),
        })
    }

    /// Reads the file.
    fn load(file: &Path) -> Result<Self, String> {
        crate::files::owner_only(file).map_err(|stop| stop.to_string())?;
        serde_json::from_str(&super::read(file)?).map_err(|e| format!("{}: {e}", file.display()))
    }

    /// Writes the file, for its owner alone.
    pub(crate) fn keep(&self, file: &Path) -> std::io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        crate::files::replace(file, &format!("{text}\n"))
    }

    /// Remembers where the stream stands now: what was read once cannot be told otherwise later.
    fn remember(&mut self, history: &History) {
        let Some((_, last)) = history.entries.last() else { return };
        let stood = Stood { seq: last.seq, commitment: Base64(history.head.to_vec()) };
        if !self.heads.contains(&stood) {
            self.heads.push(stood);
        }
    }

    /// Reads her whole history and checks it.
    ///
    /// What was approved a moment ago may stand behind the published checkpoint, which follows
    /// within a second: it is looked for again before it is called missing.
    pub(crate) async fn look(&self, client: &Client, quorum: &Quorum) -> Result<History, Missed> {
        let mut seconds = 0;
        loop {
            let looked = self.look_once(client, quorum).await;
            let late = matches!(looked, Err(Missed::Caught(Refusal::StreamNotInLog(_))));
            if !late || seconds == PUBLISHED_SECONDS {
                return looked;
            }
            seconds += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn look_once(&self, client: &Client, quorum: &Quorum) -> Result<History, Missed> {
        let unreadable = |what: &str| Missed::Unreachable(Unreachable(what.to_owned()));
        let key: Digest32 = self
            .stream_key
            .0
            .as_slice()
            .try_into()
            .map_err(|_| unreadable("控えの stream_key が 32 オクテットではありません"))?;
        let key = StreamKey::from_octets(key);
        let mut heads = Vec::new();
        for stood in &self.heads {
            let commitment = stood.commitment.0.as_slice().try_into();
            heads.push((stood.seq, commitment.map_err(|_| unreadable("控えの commitment"))?));
        }
        // The checkpoint first: every entry below it can then be handed over.
        let web = Web::of(client.clone());
        let note = web.get("checkpoint").await?;
        let note = note.ok_or_else(|| Refusal::LogHidden("checkpoint".into()))?;
        let size = quorum.verify(&String::from_utf8_lossy(&note))?.checkpoint.size;
        let mut handed = self.ask(client).await?;
        handed.retain(|entry| entry.index < size);
        let owner = Owner { quorum, key: &key, handed: &handed, heads: &heads };
        owner.check(&Under { note, web }).await
    }

    /// Everything that the platform hands over, the oldest first.
    async fn ask(&self, client: &Client) -> Result<Vec<HandedOver>, Missed> {
        let odd = |why: String| Missed::Unreachable(Unreachable(why));
        let mut handed: Vec<HandedOver> = Vec::new();
        let page = client.as_page(&self.platform, Some(self.cookies.clone()));
        loop {
            let before = handed.last().map(|entry| entry.index);
            let request = HistoryRequest { stream_key: self.stream_key.clone(), before };
            let body = serde_json::to_vec(&request).map_err(|error| odd(error.to_string()))?;
            let answer = page.send("POST", wire::path::KEY_HISTORY, None, Some(body)).await;
            let answer = answer.map_err(|fault| odd(fault.to_string()))?;
            if answer.status != 200 {
                return Err(odd(String::from_utf8_lossy(&answer.body).into_owned()));
            }
            let page: HistoryAnswer =
                serde_json::from_slice(&answer.body).map_err(|error| odd(error.to_string()))?;
            if page.entries.is_empty() {
                handed.reverse();
                return Ok(handed);
            }
            for entry in page.entries {
                // A platform that goes round in circles hands over nothing.
                if handed.last().is_some_and(|last| last.index <= entry.index) {
                    return Err(odd("entries out of order".into()));
                }
                let salt = entry.salt.0.try_into().map_err(|_| odd("a salt".into()))?;
                handed.push(HandedOver { index: entry.index, salt, opening: entry.opening.0 });
            }
        }
    }
}

/// The log's files under a checkpoint that was read before.
struct Under {
    note: Vec<u8>,
    web: Web,
}

impl Source for Under {
    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, Unreachable> {
        if path == "checkpoint" { Ok(Some(self.note.clone())) } else { self.web.get(path).await }
    }
}

/// 0: nothing is hidden, 1: something is, 2: nothing can be said.
pub(super) fn mine(arguments: &MineArguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(read_mine(arguments)) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

async fn read_mine(arguments: &MineArguments) -> Result<ExitCode, String> {
    let quorum = arguments.witnesses.over(read_key(&arguments.log_key)?)?;
    let mut mine = Mine::load(&arguments.file)?;
    let tls = crate::http::tls::client(&arguments.ca, None).map_err(|e| e.to_string())?;
    let client = Client::new(mine.platform.trim_end_matches('/'), Some(tls), PATIENCE)
        .map_err(|e| e.to_string())?;
    match mine.look(&client, &quorum).await {
        Ok(history) => {
            print!("{}", told(&history));
            mine.remember(&history);
            mine.keep(&arguments.file).map_err(|e| format!("{}: {e}", arguments.file.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(Missed::Caught(refusal)) => {
            println!("✗ {}: {refusal}", refusal.code());
            if let Some(text) = wire::refusal::lookup(refusal.code()) {
                println!("{} {} ({})", text.title_ja, text.advice_ja, text.title_en);
            }
            Ok(ExitCode::FAILURE)
        }
        Err(unknown) => Err(format!("? {unknown}")),
    }
}

/// Her history as she reads it, in Japan Standard Time.
pub(crate) fn told(history: &History) -> String {
    let mut out =
        String::from("番号\t日時（日本時間）\tできごと\t文書\t医療機関\t署名記録の位置\n");
    let mut signatures = 0;
    for (index, opening) in &history.entries {
        let record = &opening.record;
        signatures += u64::from(record.event == Event::SignatureMade);
        let kind = record.kind.map_or("-", |kind| kind.ja());
        let facility = record.facility.as_ref().map_or("-", |facility| facility.as_str());
        let _ = writeln!(
            out,
            "{}\t{}\t{} ({})\t{kind}\t{facility}\t{index}",
            opening.seq,
            record.time.jst_text(),
            record.event.ja(),
            record.event,
        );
    }
    let cosigned = &history.cosigned;
    let _ = writeln!(
        out,
        "署名 {signatures} 件、記録 {} 件、台帳 {} 件の時点、立会人 {} (signatures, entries, size, witnesses)",
        history.entries.len(),
        cosigned.checkpoint.size,
        cosigned.by.len(),
    );
    out.push_str(
        "✓ あなたの鍵の記録は、番号に一つの欠けもなく、すべて台帳にあります (nothing is hidden)\n",
    );
    out
}
