//! What the auditor reads: `journal show`, `journal prove`, and `journal check`, which needs no
//! journal at all.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use hpki::encoding::{Digest32, sha256};
use hpki::id::{FacilityCode, KeyId, OrderNumber, PersonId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::tlog::{Proof, Quorum, VerifyKey};
use ledger::{Auditor, Failed, Refusal, Shown, Wanted};

use super::{LogKey, find_place, read, read_key};

/// Which ledger is read, and which log it must be of.
#[derive(Args)]
pub(crate) struct Where {
    /// 台帳のフォルダ、またはそれを含むフォルダ (the ledger's folder, or one that holds it)
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// 基盤の設定ファイル。台帳の場所をここから読む (the platform's configuration names the store)
    #[arg(long, conflicts_with = "folder")]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: LogKey,
}

impl Where {
    fn open(&self) -> Result<Auditor, String> {
        let place = find_place(&self.folder, self.config.as_deref())?;
        let (log, _) = self.log.find(place.folder())?;
        Auditor::open(place, None, log).map_err(said)
    }
}

pub(crate) fn said(failed: Failed<Refusal>) -> String {
    match failed {
        Failed::Refused(refusal) => refusal.to_string(),
        Failed::Fault(fault) => fault.to_string(),
    }
}

/// Flags of `journal show`.
#[derive(Args)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    place: Where,
    /// この鍵の記録だけ (only of this key)
    #[arg(long)]
    key: Option<KeyId>,
    /// この人の記録だけ (only of this person)
    #[arg(long)]
    person: Option<PersonId>,
    /// この医療機関の記録だけ (only from this facility)
    #[arg(long)]
    facility: Option<FacilityCode>,
    /// この種類の文書の記録だけ (only of this kind)
    #[arg(long)]
    kind: Option<DocumentKind>,
    /// この時刻から（RFC 3339） (not before)
    #[arg(long, value_parser = time)]
    since: Option<Timestamp>,
    /// この時刻より前（RFC 3339） (before)
    #[arg(long, value_parser = time)]
    until: Option<Timestamp>,
    /// 最大件数 (at most so many)
    #[arg(long)]
    limit: Option<u64>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "2026-01-31T09:00:00Z の形で (RFC 3339)".to_owned())
}

/// Prints the entries that are wanted, as they are read.
pub(super) fn show(arguments: &ShowArguments) -> Result<(), String> {
    let auditor = arguments.place.open()?;
    let wanted = Wanted {
        key: arguments.key,
        person: arguments.person,
        facility: arguments.facility.clone(),
        kind: arguments.kind,
        since: arguments.since,
        until: arguments.until,
        signature_hash: None,
    };
    println!("# index\tseq\ttime\tevent\tkind\tfacility\tkey\tperson\tdtbsr\tsignature\tcloses");
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    auditor
        .entries(&wanted, |shown| {
            if left == 0 {
                return false;
            }
            left -= 1;
            println!("{}", line(&shown));
            true
        })
        .map_err(said)
}

fn line(shown: &Shown) -> String {
    let Some(opening) = &shown.opening else {
        return format!(
            "{}\t（保存期間を過ぎ、中身は消されています; opened no more）",
            shown.index
        );
    };
    let record = &opening.record;
    let outcome = record.outcome.as_ref();
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    [
        shown.index.to_string(),
        opening.seq.to_string(),
        record.time.rfc3339(),
        record.event.to_string(),
        dash(record.kind.map(|kind| kind.to_string())),
        dash(record.facility.as_ref().map(ToString::to_string)),
        dash(record.key.map(|key| key.to_string())),
        dash(record.person.map(|person| person.to_string())),
        dash(record.dtbsr.map(hex::encode)),
        dash(outcome.and_then(|outcome| outcome.signature_hash).map(hex::encode)),
        dash(outcome.map(|outcome| outcome.intention_index.to_string())),
    ]
    .join("\t")
}

/// Flags of `journal prove`.
#[derive(Args)]
pub(crate) struct ProveArguments {
    #[command(flatten)]
    place: Where,
    /// 記録の番号 (the entry's index)
    #[arg(long, required_unless_present_any = ["signature", "order"])]
    index: Option<u64>,
    /// 署名済みの文書。その署名の記録を証明する (a signed document)
    #[arg(long, conflicts_with = "index")]
    signature: Option<PathBuf>,
    /// 注文番号。--facility も要る (an order number)
    #[arg(long, conflicts_with_all = ["index", "signature"], requires = "facility")]
    order: Option<OrderNumber>,
    /// 注文した医療機関 (the facility of the order)
    #[arg(long)]
    facility: Option<FacilityCode>,
    /// 書き出すファイル。省略時は標準出力 (file to write)
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Writes a proof; answers what to say about it.
pub(super) fn prove(arguments: &ProveArguments) -> Result<String, String> {
    let auditor = arguments.place.open()?;
    let index = match (arguments.index, &arguments.signature, arguments.order) {
        (Some(index), _, _) => index,
        (None, Some(file), _) => entry_of_signature(&auditor, file)?,
        (None, None, Some(order)) => {
            let facility = arguments.facility.clone().ok_or("--facility")?;
            let found: Result<_, Failed<Refusal>> =
                auditor.read(|tx| Ok(custody::entry_of_order(tx, &facility, &order)?));
            found.map_err(said)?.ok_or("その注文の署名はありません (no signature of this order)")?
        }
        (None, None, None) => return Err("--index".into()),
    };
    let (proof, witnessed) = auditor.prove(index).map_err(said)?;
    match &arguments.out {
        Some(file) => {
            std::fs::write(file, &proof).map_err(|e| format!("{}: {e}", file.display()))?
        }
        None => print!("{proof}"),
    }
    Ok(if witnessed {
        format!("{index}: 立会人の副署のある時点で証明しました (under a cosigned checkpoint)")
    } else {
        format!(
            "{index}: 立会人がまだ副署していません。台帳だけの署名で証明しました (no witness has cosigned this entry yet)"
        )
    })
}

/// The hashes of the signature values in a document, in their order.
fn signature_hashes(document: &[u8]) -> Vec<Digest32> {
    let text = String::from_utf8_lossy(document);
    let mut hashes = Vec::new();
    for part in text.split("SignatureValue").skip(1) {
        // Between the end of an opening tag and the next tag; a closing tag leaves nothing.
        let Some((_, value)) = part.split_once('>') else { continue };
        let value: String =
            value.split('<').next().unwrap_or_default().split_whitespace().collect();
        if let Ok(octets) = STANDARD.decode(value)
            && !octets.is_empty()
        {
            hashes.push(sha256(&octets));
        }
    }
    hashes
}

fn entry_of_signature(auditor: &Auditor, file: &Path) -> Result<u64, String> {
    let octets = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut found = None;
    // A dispensing result carries the prescription's signature too: the newest entry is its own.
    for hash in signature_hashes(&octets) {
        let wanted = Wanted { signature_hash: Some(hash), ..Wanted::default() };
        auditor
            .entries(&wanted, |shown| {
                found = found.max(Some(shown.index));
                true
            })
            .map_err(said)?;
    }
    found.ok_or_else(|| {
        format!(
            "{} の署名は、この台帳にありません (no signature of this document is in the journal)",
            file.display()
        )
    })
}

/// Flags of `journal check`.
#[derive(Args)]
pub(crate) struct CheckArguments {
    /// 証明 (a tlog-proof)
    proof: PathBuf,
    /// 記録の検証鍵 (the pinned log key)
    #[arg(long)]
    log_key: PathBuf,
    #[command(flatten)]
    witnesses: Witnesses,
    /// この署名済みの文書の証明であることも確かめる (that it is the proof of this document)
    #[arg(long)]
    signature: Option<PathBuf>,
}

/// Whom to count.
#[derive(Args)]
pub(crate) struct Witnesses {
    /// 立会人の検証鍵（繰り返し） (a pinned witness key, repeatable)
    #[arg(long)]
    witness: Vec<PathBuf>,
    /// 必要な立会人の数。省略時は過半数 (how many are needed; default: most of them)
    #[arg(long)]
    quorum: Option<usize>,
}

impl Witnesses {
    /// The quorum over this log.
    pub(super) fn over(&self, log: VerifyKey) -> Result<Quorum, String> {
        let keys = self.witness.iter().map(|file| crate::witness::read_key(file));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let most = if keys.is_empty() { 0 } else { keys.len() / 2 + 1 };
        Quorum::new(log, keys, self.quorum.unwrap_or(most)).map_err(|refusal| refusal.to_string())
    }
}

/// Checks a proof with nothing but pinned keys. `Ok(Err)`: it is not believed.
pub(super) fn check(arguments: &CheckArguments) -> Result<Result<String, Refusal>, String> {
    let quorum = arguments.witnesses.over(read_key(&arguments.log_key)?)?;
    let text = read(&arguments.proof)?;
    let (entry, cosigned) = match Proof::parse(&text).and_then(|p| p.verify_witnessed(&quorum)) {
        Ok(believed) => believed,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Some(file) = &arguments.signature {
        let octets = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let outcome = entry.opening.record.outcome.as_ref();
        let stated = outcome.and_then(|outcome| outcome.signature_hash);
        if !signature_hashes(&octets).iter().any(|hash| Some(*hash) == stated) {
            return Ok(Err(Refusal::ProofWrong));
        }
    }
    let mut out =
        format!("{}\n", line(&Shown { index: entry.index, opening: Some(entry.opening) }));
    let checkpoint = &cosigned.checkpoint;
    let _ = writeln!(out, "台帳 {}、{} 件の時点 (log, size)", checkpoint.origin, checkpoint.size);
    for (name, time) in &cosigned.by {
        let _ = writeln!(out, "立会人 {name}  {} (witness)", time.rfc3339());
    }
    out.push_str("✓ この記録は台帳にあります (in the journal)");
    Ok(Ok(out))
}
