//! `azukari verify`: what anyone can run over a signed document.
//!
//! Exit code 0 valid, 1 invalid, 2 cannot tell. The anchor is the one given; the document's own
//! certificates are never more than links.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use hpki::certificate::Certificate;
use hpki::crl::Crl;
use hpki::path::Anchor;
use hpki::time::Timestamp;
use verifier::{Evidence, Report, Verdict};

/// No more of a document is read: above the 4 MiB that `xades` accepts.
const DOCUMENT_READ: u64 = 5 << 20;

/// Flags of `azukari verify`.
#[derive(Args)]
pub(crate) struct VerifyArguments {
    /// 検証する文書 (the signed document)
    file: PathBuf,
    /// 信頼の起点となるルート証明書 (the pinned root certificate, PEM or DER)
    #[arg(long)]
    anchor: PathBuf,
    /// 認証局証明書。省略時は起点の隣の ca-*.pem (CA certificates; default: ca-*.pem beside the anchor)
    #[arg(long = "ca")]
    authorities: Vec<PathBuf>,
    /// 失効リストのフォルダ。省略時は失効を調べない (folder of CRLs; without it revocation is not checked)
    #[arg(long)]
    crl: Option<PathBuf>,
    /// 検証する時点 RFC 3339。省略時は現在 (the time to judge at; default now)
    #[arg(long)]
    at: Option<String>,
    /// 証明書ポリシの腕 3 か 0 (policy arm, 3 or 0)
    #[arg(long, default_value = "3", value_parser = arm)]
    policy_arm: u32,
    /// 結果を JSON で出す (print JSON)
    #[arg(long)]
    json: bool,
    /// 英語で表示する (English)
    #[arg(long)]
    english: bool,
}

/// There are two arms; another number is a slip, and judging on a guessed arm would hide it.
pub(crate) fn arm(text: &str) -> Result<u32, String> {
    match text {
        "3" => Ok(3),
        "0" => Ok(0),
        _ => Err("3 か 0 を指定してください (3 or 0)".into()),
    }
}

/// Why verification could not even begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{0} を読めません: {1} (cannot read)")]
    Unreadable(PathBuf, std::io::Error),
    #[error("{0} は証明書ではありません: {1} (not a certificate)")]
    NotACertificate(PathBuf, String),
    #[error(
        "--at {0:?} は RFC 3339 の時刻ではありません。例 2026-11-21T09:00:00+09:00 (not a time)"
    )]
    NotATime(String),
}

/// Runs and prints; every way in which the question itself is wrong is "cannot tell".
pub(crate) fn run(arguments: &VerifyArguments, now: Timestamp) -> ExitCode {
    match judge(arguments, now) {
        Ok(report) => {
            if arguments.json {
                println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
            } else if arguments.english {
                println!("{}", report.show_en());
            } else {
                println!("{}", report.show_ja());
            }
            match report.verdict {
                Verdict::Valid => ExitCode::SUCCESS,
                Verdict::Invalid => ExitCode::from(1),
                Verdict::CannotTell => ExitCode::from(2),
            }
        }
        Err(problem) => {
            if arguments.json {
                let answer = serde_json::json!({
                    "verdict": "cannot-tell", "code": "question-unusable", "message": problem.to_string()
                });
                println!("{answer:#}");
            } else {
                eprintln!("{problem}");
            }
            ExitCode::from(2)
        }
    }
}

fn judge(arguments: &VerifyArguments, now: Timestamp) -> Result<Report, Problem> {
    let at = match &arguments.at {
        None => now,
        Some(text) => Timestamp::parse(text).ok_or_else(|| Problem::NotATime(text.clone()))?,
    };
    let document = document(&arguments.file)?;
    let anchors = [Anchor { certificate: certificate(&arguments.anchor)? }];
    let intermediates = authorities(&arguments.authorities, &arguments.anchor)?;
    let crls = arguments.crl.as_deref().map(lists).transpose()?;
    let policies = vec![crate::policy(arguments.policy_arm)];
    Ok(verifier::verify(
        &document,
        &Evidence {
            anchors: &anchors,
            intermediates: &intermediates,
            crls: crls.as_deref(),
            at,
            policies,
        },
    ))
}

/// Judges a document with the root, authorities and lists of a demo's folder.
pub(crate) fn with_folder(
    document: &[u8],
    folder: &Path,
    at: Timestamp,
) -> Result<Report, Problem> {
    let anchor = folder.join("root.pem");
    let anchors = [Anchor { certificate: certificate(&anchor)? }];
    let intermediates = authorities(&[], &anchor)?;
    let crls = lists(&folder.join("crl"))?;
    Ok(verifier::verify(
        document,
        &Evidence {
            anchors: &anchors,
            intermediates: &intermediates,
            crls: Some(&crls),
            at,
            policies: vec![crate::policy(3)],
        },
    ))
}

/// The document, or as much of it as is needed to refuse it: a file without end takes no memory.
pub(crate) fn document(file: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |error| Problem::Unreadable(file.to_owned(), error);
    let mut octets = Vec::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(DOCUMENT_READ).read_to_end(&mut octets).map_err(unreadable)?;
    Ok(octets)
}

fn read(file: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(file).map_err(|error| Problem::Unreadable(file.to_owned(), error))
}

/// A certificate file, PEM or DER.
pub(crate) fn certificate(file: &Path) -> Result<Certificate, Problem> {
    let octets = read(file)?;
    Certificate::from_pem_or_der(&octets)
        .map_err(|error| Problem::NotACertificate(file.to_owned(), error.to_string()))
}

pub(crate) fn authorities(given: &[PathBuf], anchor: &Path) -> Result<Vec<Certificate>, Problem> {
    if !given.is_empty() {
        return given.iter().map(|file| certificate(file)).collect();
    }
    let folder = anchor.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut files: Vec<PathBuf> = entries(folder)?
        .into_iter()
        .filter(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("ca-") && name.ends_with(".pem")
        })
        .collect();
    files.sort();
    files.iter().map(|file| certificate(file)).collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error| Problem::Unreadable(folder.to_owned(), error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    Ok(files)
}

/// Every list in the folder that can be read. A file that is no list is passed over: what counts is
/// whether the lists that the chain needs are there, and the verifier says so if not.
pub(crate) fn lists(folder: &Path) -> Result<Vec<Crl>, Problem> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for file in entries(folder)? {
        if let Ok(octets) = std::fs::read(&file)
            && let Ok(list) = Crl::from_der(&octets)
        {
            found.push(list);
        }
    }
    Ok(found)
}
