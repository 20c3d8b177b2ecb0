//! `azukari verify-activation`: what anyone can run over the evidence of one signature, with every
//! database off: did the owner approve exactly this, and did key and approval count then?
//!
//! Exit code 0 both yes, 1 at least one no, 2 cannot tell. Keys and roots are the ones given; nothing
//! in the bundle is believed because it stands there.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use gateway::evidence::PinnedJournal;
use hpki::encoding::{Digest32, sha256};
use hpki::path::Anchor;
use verifier::Verdict;
use verifier::activation::{ActivationReport, Grounds, Journal, verify_activation};

use crate::verify::{self, Problem};

/// Flags of `azukari verify-activation`.
#[derive(Args)]
pub(crate) struct VerifyActivationArguments {
    /// 証跡 JSON (the evidence bundle)
    file: PathBuf,
    /// 署名記録の検証鍵。省略すると判断できません (the pinned key of the journal)
    #[arg(long)]
    log_key: Option<PathBuf>,
    /// 信頼の起点となるルート証明書 (the pinned root certificate, PEM or DER)
    #[arg(long)]
    root_ca: Option<PathBuf>,
    /// 認証局証明書。省略時は起点の隣の ca-*.pem (CA certificates; default: ca-*.pem beside the root)
    #[arg(long = "ca")]
    authorities: Vec<PathBuf>,
    /// 失効リストのフォルダ。省略時は失効を調べない (folder of CRLs; without it revocation is not checked)
    #[arg(long)]
    crl: Option<PathBuf>,
    /// 署名済み文書。証跡がこの文書のものかも確かめる (the signed document, to compare)
    #[arg(long, conflicts_with = "signed_info")]
    document: Option<PathBuf>,
    /// 署名された SignedInfo（正規化済み） (the canonical SignedInfo, to compare)
    #[arg(long)]
    signed_info: Option<PathBuf>,
    /// 証明書ポリシの腕 3 か 0 (policy arm, 3 or 0)
    #[arg(long, default_value = "3", value_parser = verify::arm)]
    policy_arm: u32,
    /// 結果を JSON で出す (print JSON)
    #[arg(long)]
    json: bool,
    /// 英語で表示する (English)
    #[arg(long)]
    english: bool,
}

/// Runs and prints; every way in which the question itself is wrong is "cannot tell".
pub(crate) fn run(arguments: &VerifyActivationArguments) -> ExitCode {
    match judge(arguments) {
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
                    "verdict": "cannot-tell", "code": "question-unusable", "message": problem
                });
                println!("{answer:#}");
            } else {
                eprintln!("{problem}");
            }
            ExitCode::from(2)
        }
    }
}

/// The exit code of `azukari verify-activation` with these words.
#[cfg(test)]
pub(crate) fn exit(words: &[&str]) -> u8 {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: VerifyActivationArguments,
    }
    let words = ["verify-activation"].iter().chain(words);
    let line = <Line as clap::Parser>::try_parse_from(words).unwrap();
    let code = run(&line.arguments);
    (0..=2).find(|number| code == ExitCode::from(*number)).unwrap()
}

fn judge(arguments: &VerifyActivationArguments) -> Result<ActivationReport, String> {
    let said = |problem: Problem| problem.to_string();
    let bundle = verify::document(&arguments.file).map_err(said)?;
    let log = arguments.log_key.as_deref().map(crate::journal::read_key).transpose()?;
    let journal = log.as_ref().map(PinnedJournal);
    let mut anchors = Vec::new();
    let mut intermediates = Vec::new();
    if let Some(root) = &arguments.root_ca {
        anchors.push(Anchor { certificate: verify::certificate(root).map_err(said)? });
        intermediates = verify::authorities(&arguments.authorities, root).map_err(said)?;
    }
    let crls = arguments.crl.as_deref().map(verify::lists).transpose().map_err(said)?;
    Ok(verify_activation(
        &bundle,
        &Grounds {
            journal: journal.as_ref().map(|journal| journal as &dyn Journal),
            at_hand: at_hand(arguments)?,
            anchors: &anchors,
            intermediates: &intermediates,
            crls: crls.as_deref(),
            policies: &[crate::policy(arguments.policy_arm)],
        },
    ))
}

/// The digest of what was signed, as the document or SignedInfo at hand has it.
fn at_hand(arguments: &VerifyActivationArguments) -> Result<Option<Digest32>, String> {
    let said = |problem: Problem| problem.to_string();
    if let Some(file) = &arguments.signed_info {
        return Ok(Some(sha256(&verify::document(file).map_err(said)?)));
    }
    let Some(file) = &arguments.document else { return Ok(None) };
    let octets = verify::document(file).map_err(said)?;
    let unusable = |refusal: xades::Refusal| {
        format!("{} の署名を読み取れません: {refusal} (no usable signature)", file.display())
    };
    let parsed = xades::parse(&octets).map_err(unusable)?;
    let kind = xades::signature::kind_of(&parsed).map_err(unusable)?;
    let found = xades::signature::find(&parsed, kind).map_err(unusable)?;
    let verified = xades::signature::verify(&parsed, &found).map_err(unusable)?;
    Ok(Some(verified.dtbsr))
}
