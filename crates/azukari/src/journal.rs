//! The journal as people meet it: `azukari journal …`, and the text that a demo leaves, from
//! which anyone can recompute the tree.

pub(crate) mod mine;
pub(crate) mod reading;
pub(crate) mod watching;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use hpki::refusal::Refuse as _;
use ledger::tlog::{Proof, VerifiedEntry, VerifyKey, leaf_hash, tree};
use ledger::{Failed, Ledger, Place, audit};

use crate::config::PlatformConfig;

/// First words of a journal text.
pub(crate) const TITLE: &str = "# azukari journal v1";

/// `azukari journal …`
#[derive(Subcommand)]
pub(crate) enum JournalCommand {
    /// 全件を計算し直して確かめる (recompute everything): 0 無傷 (whole), 1 書き換え (rewritten), 2 読めない (unreadable)
    Verify {
        /// 台帳のフォルダ、またはそれを含むフォルダ (the ledger's folder, or one that holds it)
        #[arg(long, default_value = ".")]
        folder: PathBuf,
        /// 基盤の設定ファイル。台帳の場所（フォルダか PostgreSQL）をここから読む (the platform's configuration names the store)
        #[arg(long, conflicts_with = "folder")]
        config: Option<PathBuf>,
        #[command(flatten)]
        log: LogKey,
        /// 手元に控えたチェックポイント。その続きであることも確かめる (a checkpoint you kept)
        #[arg(long)]
        since: Vec<PathBuf>,
    },
    /// 監査人が記録を読む。動いている基盤のそばでも (the auditor reads the entries)
    Show(reading::ShowArguments),
    /// 一件の証明を書き出す (write the proof of one entry)
    Prove(reading::ProveArguments),
    /// 証明を、検証鍵だけで確かめる: 0 信じられる, 1 信じられない, 2 読めない (check a proof off line)
    Check(reading::CheckArguments),
    /// 公開された記録を見張る: 0 正しい, 1 偽り, 2 分からない (follow a platform's journal)
    Watch(watching::WatchArguments),
    /// 鍵の持ち主が、自分の鍵の使われ方をすべて読み、隠された記録がないか確かめる: 0 ない, 1 ある, 2 分からない (the owner reads every use of her key)
    Mine(mine::MineArguments),
}

/// Which log key is believed: never silently the one that lies beside what is judged.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct LogKey {
    /// 手元に控えた記録の検証鍵 (the log key that you keep)
    #[arg(long)]
    log_key: Option<PathBuf>,
    /// 台帳のそばにある log.vkey を使う。台帳と一緒に替えられていても気づけない (trust the key that lies beside the ledger)
    #[arg(long)]
    log_key_from_ledger: bool,
}

impl LogKey {
    /// What flags of another command name; `None` if they name nothing.
    pub(crate) fn given(log_key: Option<PathBuf>, log_key_from_ledger: bool) -> Option<Self> {
        let named = log_key.is_some() || log_key_from_ledger;
        named.then_some(Self { log_key, log_key_from_ledger })
    }

    /// The key, and where it came from in words.
    pub(crate) fn find(&self, folder: &Path) -> Result<(VerifyKey, String), String> {
        if let Some(file) = &self.log_key {
            let said = format!("検証鍵: {}（指定されたもの; given）", file.display());
            return Ok((read_key(file)?, said));
        }
        let file = folder
            .ancestors()
            .take(4)
            .map(|folder| folder.join("log.vkey"))
            .find(|file| file.is_file())
            .ok_or_else(|| {
                "検証鍵 log.vkey が見つかりません。--log-key で指定してください (no log key found)"
                    .to_owned()
            })?;
        let said = format!(
            "検証鍵: {}（台帳のそばにあったもの。台帳と一緒に替えられていれば気づけません; found beside the ledger: if both were replaced, this check cannot notice）",
            file.display()
        );
        Ok((read_key(&file)?, said))
    }
}

/// Runs a journal command.
pub(crate) fn run(command: &JournalCommand) -> ExitCode {
    let unreadable = |why: String| {
        eprintln!("{why}");
        ExitCode::from(2)
    };
    match command {
        JournalCommand::Verify { folder, config, log, since } => {
            let place = find_place(folder, config.as_deref());
            match place.and_then(|place| verify(place, log, since)) {
                Ok((text, whole)) => {
                    println!("{text}");
                    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
                }
                Err(why) => unreadable(why),
            }
        }
        JournalCommand::Show(arguments) => {
            reading::show(arguments).map_or_else(unreadable, |()| ExitCode::SUCCESS)
        }
        JournalCommand::Prove(arguments) => match reading::prove(arguments) {
            Ok(said) => {
                eprintln!("{said}");
                ExitCode::SUCCESS
            }
            Err(why) => unreadable(why),
        },
        JournalCommand::Check(arguments) => match reading::check(arguments) {
            Ok(Ok(text)) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Ok(Err(refusal)) => {
                println!("✗ {}: {refusal}", refusal.code());
                ExitCode::FAILURE
            }
            Err(why) => unreadable(why),
        },
        JournalCommand::Watch(arguments) => watching::watch(arguments),
        JournalCommand::Mine(arguments) => mine::mine(arguments),
    }
}

/// Where the platform of this configuration keeps its ledger; without one, in or below the folder.
fn find_place(folder: &Path, config: Option<&Path>) -> Result<Place, String> {
    match config {
        Some(file) => PlatformConfig::load(file)
            .map(|config| config.store)
            .map_err(|refusal| refusal.to_string()),
        None => find_ledger(folder).map(|folder| Place::from(&folder)),
    }
}

/// The ledger in this folder, or where a platform or a demo below it keeps its own.
pub(crate) fn find_ledger(folder: &Path) -> Result<PathBuf, String> {
    ["", "ledger", "platform/ledger", "town/platform/ledger"]
        .iter()
        .map(|below| folder.join(below))
        .find(|place| place.join("store.sqlite").is_file())
        .ok_or_else(|| {
            format!(
                "{} に台帳がありません。--folder で指定してください (no ledger here)",
                folder.display()
            )
        })
}

/// Reads a log key file.
pub(crate) fn read_key(file: &Path) -> Result<VerifyKey, String> {
    let text = read(file)?;
    text.trim().parse::<VerifyKey>().map_err(|error| format!("{}: {error}", file.display()))
}

/// A checkpoint in a file.
pub(crate) fn read_note(file: &Path) -> Result<String, String> {
    read(file).map(|text| note_in(&text))
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file)
        .map_err(|error| format!("{} を読めません: {error} (cannot read)", file.display()))
}

fn verify(place: Place, log: &LogKey, since: &[PathBuf]) -> Result<(String, bool), String> {
    let (log, where_from) = log.find(place.folder())?;
    let notes = since
        .iter()
        .map(|file| read(file).map(|text| note_in(&text)))
        .collect::<Result<Vec<_>, _>>()?;
    let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
    let report =
        audit::verify(&audit::Audit { place, head: None, log: &log, streams: None, since: &notes })
            .map_err(|failed| match failed {
                Failed::Refused(refusal) => refusal.to_string(),
                Failed::Fault(fault) => fault.to_string(),
            })?;
    let mut text = String::new();
    let _ = writeln!(text, "{where_from}");
    let _ = writeln!(
        text,
        "署名記録 {} 件、系列 {}、根 {} (entries, streams, root)",
        report.entries,
        report.streams,
        STANDARD.encode(report.root)
    );
    for checkpoint in &report.since {
        let _ = writeln!(
            text,
            "控えのチェックポイント {} 件目の続きです (continues your checkpoint)",
            checkpoint.size
        );
    }
    for index in &report.open_intentions {
        let _ =
            writeln!(text, "結果のない予告 {index}（処理中か、次の起動で閉じます; open intention)");
    }
    for problem in &report.problems {
        let _ = writeln!(text, "✗ {problem}");
    }
    let whole = report.is_whole();
    text.push_str(if whole {
        "✓ 書き換えはありません (whole)"
    } else {
        "✗ 署名記録は書き換えられています。運用を止め、監査人へ連絡してください (rewritten: stop and call the auditor)"
    });
    Ok((text, whole))
}

/// The signed note in a text that may be a whole journal text.
fn note_in(text: &str) -> String {
    if !text.starts_with(TITLE) {
        return text.to_owned();
    }
    let rest = text.split_once("\n\n").map_or("", |(_, rest)| rest);
    // A note is a body, an empty line and signature lines; the table follows after another one.
    let mut parts = rest.splitn(3, "\n\n");
    format!("{}\n\n{}\n", parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Writes the whole journal as text: each entry proven, opened, and given as its 65 octets.
pub(crate) async fn write_out(ledger: &Ledger) -> Result<String, Failed<ledger::Refusal>> {
    let log = ledger.verify_key();
    let mut rows = String::new();
    let checkpoint = ledger.checkpoint();
    let size = log.verify(&checkpoint).map_err(Failed::Refused)?.size;
    for index in 0..size {
        let proof = ledger.prove(index).await?;
        let entry = Proof::parse(&proof).and_then(|p| p.verify(log)).map_err(Failed::Refused)?;
        rows.push_str(&row(&entry));
    }
    Ok(format!(
        "{TITLE}\n# log key: {log}\n\n{checkpoint}\n# index\ttime\tevent\tkind\tfacility\tkey\tperson\tdtbsr\tcloses\tentry\n{rows}"
    ))
}

fn row(entry: &VerifiedEntry) -> String {
    let record = &entry.opening.record;
    let mut octets = vec![1];
    octets.extend_from_slice(&entry.label);
    octets.extend_from_slice(&entry.commitment);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    format!(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
        entry.index,
        record.time.rfc3339(),
        record.event,
        or_dash(record.kind.map(|kind| kind.to_string())),
        or_dash(record.facility.as_ref().map(ToString::to_string)),
        or_dash(record.key.map(|key| key.to_string())),
        or_dash(record.person.map(|person| person.to_string())),
        or_dash(record.dtbsr.map(hex::encode)),
        or_dash(record.outcome.as_ref().map(|outcome| outcome.intention_index.to_string())),
        STANDARD.encode(octets),
    )
}

/// Shows a journal text and recomputes its tree.
pub(crate) fn show(octets: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(octets).map_err(|_| "UTF-8 ではありません (not UTF-8)")?;
    let note = note_in(text);
    let key = text
        .lines()
        .find_map(|line| line.strip_prefix("# log key: "))
        .ok_or("検証鍵の行がありません (no log key line)")?;
    let log: VerifyKey = key.parse().map_err(|error: ledger::Refusal| error.to_string())?;
    let checkpoint = log.verify(&note).map_err(|error| error.to_string())?;
    let mut out = String::from("署名記録 (journal)\n");
    let mut leaves = Vec::new();
    let rows = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    for line in rows {
        let columns: Vec<&str> = line.split('\t').collect();
        let [index, time, event, kind, facility, key, _, _, closes, entry] = columns.as_slice()
        else {
            continue;
        };
        let entry =
            STANDARD.decode(entry).map_err(|_| format!("{index}: base64 でない記録 (entry)"))?;
        leaves.push(leaf_hash(&entry));
        let closes = if *closes == "-" { String::new() } else { format!("  ← {closes}") };
        let key = key.get(..8).unwrap_or(key);
        let _ = writeln!(
            out,
            "  {index:>4}  {time}  {event:<24} {kind:<12} {facility:<10} {key}{closes}"
        );
    }
    let same = u64::try_from(leaves.len()) == Ok(checkpoint.size)
        && tree::root_of(&leaves) == checkpoint.root;
    let _ = writeln!(
        out,
        "\n  チェックポイント: {} 件、根 {}",
        checkpoint.size,
        STANDARD.encode(checkpoint.root)
    );
    if same {
        out.push_str("  ✓ 全件から計算した根と一致します (the entries hash to the signed root)\n");
        Ok(out)
    } else {
        Err(format!(
            "{out}  ✗ 全件から計算した根と一致しません (the entries do not hash to the signed root)"
        ))
    }
}

/// Shows one proof, without a pinned key: read, not believed.
pub(crate) fn show_proof(text: &str) -> Result<String, String> {
    let proof = Proof::parse(text).map_err(|error| error.to_string())?;
    Ok(format!(
        "署名記録の証明 (tlog-proof)\n  位置 index: {}\n  チェックポイント:\n{}\n  （検証鍵を与えていないので、信じる根拠にはなりません; read, not verified）",
        proof.index,
        proof.checkpoint.lines().map(|line| format!("    {line}\n")).collect::<String>()
    ))
}
