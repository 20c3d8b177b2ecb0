//! `azukari officer transfer`: custody moves to a second PKCS#11 device.
//!
//! Both sets of officers agree, as for a rotation, and one follows: the keys that wrap and seal are
//! brought over, the second device takes charge, gets a key of its own, every kept key is wrapped
//! under that and looked at, and then the first device's keys are destroyed. What is true if we die
//! here: one of the two devices is in charge and opens every key, so the platform can run; the same
//! command goes on where it stopped (`hsm::transfer`, docs/devices.md).

use std::path::PathBuf;

use clap::Args;
use hsm::transfer::{Stage, Step};
use hsm::{Failed, Refusal, Transfer};
use ledger::Event;

use super::rotate::{NEW_BACKUP, both_sets, replace_key, tell_officers};
use super::say;
use super::transcript::Transcript;
use super::unseal::{Source, obtain};
use crate::clock::now;
use crate::config::PlatformConfig;
use crate::custody_cmd::every_key;
use crate::platform::open;
use crate::runtime::Stop;

/// Flags of `azukari officer transfer`.
#[derive(Args)]
pub(crate) struct TransferArguments {
    /// 今の設定ファイル。基盤は止めておく (the configuration of today; the platform is stopped)
    #[arg(long)]
    config: PathBuf,
    /// 引っ越し先の設定ファイル。違いは [device] だけ (the same configuration with the second device in [device])
    #[arg(long)]
    to: PathBuf,
    /// 引き渡しの前に取りやめ、引っ越し先に届いた鍵を消す (give it up before the handing over: what was brought is destroyed)
    #[arg(long)]
    give_up: bool,
    /// 離れる側の装置は失われた。鍵を消せなくても終える (the device that is left is lost: end without destroying its keys)
    #[arg(long)]
    lost: bool,
}

/// Moves custody.
pub(crate) async fn run(arguments: TransferArguments) -> Result<(), Stop> {
    let config = PlatformConfig::load(&arguments.config)?;
    let target = PlatformConfig::load(&arguments.to)?;
    let same = (&config.folder, &config.url) == (&target.folder, &target.url);
    if !same || config.store != target.store {
        return Err(say::refused("transfer-another-platform", arguments.to.display().to_string()));
    }
    let (first, second) = (config.device.clone(), target.device.clone());
    let transfer = Transfer::between(&first, &second).map_err(say::device)?;
    if arguments.give_up {
        return give_up(config, &transfer, label(&second), arguments.lost).await;
    }
    if transfer.look().map_err(say::device)? == Stage::Over {
        println!("引っ越しは済んでいます。--to の設定で起動してください (it is over)");
        return Ok(());
    }
    let purpose = format!("{} から {} への引っ越し", label(&first), label(&second));
    let (security, source) = both_sets(&config, &purpose).await?;

    transfer.carry(&security.secret, source.secret(), shown()).map_err(say::device)?;
    eprintln!(
        "  預かりは {} に移りました。ここから先は --to の設定を使います (the second device is in charge)",
        label(&second)
    );
    let mut transcript = Transcript::begin("transfer", "別の鍵装置への引っ越し", now());
    tell_officers(&mut transcript, &security, &source);
    if transfer.must_rotate(source.secret()).map_err(say::device)? {
        let rotated = replace_key(target.clone(), &security, &source, &purpose).await?;
        transcript.line("鍵暗号化鍵の版 (version)", rotated.version);
        transcript.line("包み直した鍵 (keys)", rotated.keys);
    }
    let named = hsm::look_at_named(&second, source.secret()).map_err(say::device)?;
    let platform = open::open_with(target, &source, &purpose).await?;
    if let Some(record) = &security.record {
        record.is_sealed(&*platform.seals)?;
    }
    let (keys, findings) = every_key(&platform.custody).await?;
    if let Some(finding) = findings.iter().find(|finding| is_of_device(finding.wrong)) {
        let key = finding.key.map(|key| key.to_string()).unwrap_or_default();
        return Err(say::refused("transfer-check-failed", format!("{} {key}", finding.wrong)));
    }
    transcript.line("前の装置 (from)", label(&first));
    transcript.line("新しい装置 (to)", &platform.watch.nameplate().token);
    transcript.line("調べた鍵 (keys looked at)", format!("{keys} + {named}"));
    if arguments.lost {
        transcript.line("前の装置 (the first)", "失われた (lost)");
    }
    let folder = platform.config.folder.clone();
    let left = transcript.remember(&folder, &platform.ledger, Event::DeviceTransferred).await?;
    drop(platform);

    transfer.close(source.secret(), arguments.lost, shown()).map_err(emptied)?;
    println!(
        "{keys} 件の鍵と {named} 件の装置の鍵が {} に移りました (transferred)\n記録 (transcript): {}",
        label(&second),
        left.display()
    );
    println!("これからは --config {} で起動してください (start with it)", arguments.to.display());
    println!("{NEW_BACKUP}");
    Ok(())
}

/// The key officers end a transfer that has not been handed over.
async fn give_up(
    config: PlatformConfig,
    transfer: &Transfer<'_>,
    to: &str,
    lost: bool,
) -> Result<(), Stop> {
    let purpose = format!("{to} への引っ越しの取りやめ");
    let source = obtain(&config, &purpose).await?;
    transfer.give_up(source.secret(), lost, shown()).map_err(emptied)?;
    let mut transcript = Transcript::begin("transfer-given-up", &purpose, now());
    if let Source::Officers(gathered) = &source {
        transcript.line("鍵管理者 (key officers)", gathered.officers());
    }
    if lost {
        transcript.line("引っ越し先 (the second)", "失われた (lost)");
    }
    let left = transcript.leave(&config.folder)?;
    // The first device opens everything still; the journal has it as an opening for this purpose.
    drop(open::open_with(config, &source, &purpose).await?);
    println!(
        "引っ越しを取りやめました。預かりは今の装置のままです (given up)\n記録 (transcript): {}",
        left.display()
    );
    Ok(())
}

/// A token that could not be emptied because it is not there.
fn emptied(failed: Failed) -> Stop {
    match failed {
        Failed::Refused(refusal @ (Refusal::TokenUnknown(_) | Refusal::ModuleUnusable(_))) => {
            say::refused("transfer-token-missing", refusal.to_string())
        }
        failed => say::device(failed),
    }
}

/// What an audit finds where keys did not arrive. Everything else was so before.
fn is_of_device(wrong: &str) -> bool {
    matches!(wrong, "seal-broken" | "blob-broken" | "blob-not-owners" | "proof-wrong")
}

fn label(device: &hsm::DeviceConfig) -> &str {
    match device {
        hsm::DeviceConfig::Pkcs11 { token, .. } => token,
        hsm::DeviceConfig::Vault { .. } => "",
    }
}

/// Shows each step as it is taken; one that is taken for each key, once.
fn shown() -> impl FnMut(Step) -> Result<(), Failed> {
    let mut last = None;
    move |step| {
        if last.replace(step) != Some(step) {
            eprintln!("  {}", words(step));
        }
        Ok(())
    }
}

const fn words(step: Step) -> &'static str {
    match step {
        Step::Open => "今の装置を開き、鍵を確かめます (the first device is opened)",
        Step::Prepare => "引っ越し先のトークンを用意します (the second token is prepared)",
        Step::Claim => "引っ越し先を書き留めます (the second token is noted)",
        Step::TransferKey => "移送用の鍵を引っ越し先で作ります (the transfer key is made)",
        Step::Vouch => "引っ越し先の保安管理者が承認します (its security officers agree)",
        Step::Trust => "今の装置の保安管理者が移送用の鍵を信頼します (the transfer key is trusted)",
        Step::Wrap => "今の装置で鍵を包みます (the keys are wrapped)",
        Step::Unwrap => "引っ越し先で鍵を開きます (the keys are unwrapped)",
        Step::Forget => "移送用の鍵を消します (the transfer key is destroyed)",
        Step::Compare => "両方の装置を比べます (both devices are compared)",
        Step::Remember => "今の装置を書き留めます (the first device is noted)",
        Step::HandOver => "引き渡します (the second device takes charge)",
        Step::Destroy => {
            "離れる側の装置の鍵を消します (the keys of the device that is left are destroyed)"
        }
        Step::Close => "引っ越しを終えます (the transfer is ended)",
    }
}
