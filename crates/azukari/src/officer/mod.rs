//! `azukari officer …`: what no one person may do alone.
//!
//! Any m of n officers open the device, restore it from a backup and replace one another; with the
//! security officers they rotate its keys. Everybody acts under the platform's own account on its
//! machine; each act leaves a transcript in the platform's folder and, where a ledger is at hand,
//! its hash in the journal.

mod backup;
pub(crate) mod door;
mod init;
mod manifest;
pub(crate) mod passphrase;
mod record;
mod restore;
mod rotate;
pub(crate) mod say;
mod transcript;
mod transfer;
pub(crate) mod unseal;

use std::process::ExitCode;

use clap::Subcommand;

/// `azukari officer …`
#[derive(Subcommand)]
pub(crate) enum OfficerCommand {
    /// 担当者を任命し、封印解除の秘密を分割片にする (appoint officers: the unseal secret becomes shares)
    Init(init::InitArguments),
    /// 自分の分割片を手渡す (hand in your share)
    Unseal(unseal::UnsealArguments),
    /// 自分の分割片を四行で表示し、紙に写す (show your share as four lines, to be written on paper)
    Paper(init::PaperArguments),
    /// 担当者を入れ替える。前の分割片は使えなくなる (replace the officers; old shares open nothing)
    Renew(init::RenewArguments),
    /// 鍵暗号化鍵を新しくし、すべての鍵を包み直す (a new key-encryption key; every key is wrapped anew)
    Rotate(rotate::RotateArguments),
    /// 別の鍵装置へ引っ越す。途中で止まっても続きから (move custody to a second device; resumable)
    Transfer(transfer::TransferArguments),
    /// 控えを取る。包まれた鍵だけが入る (make a backup: wrapped keys only)
    Backup(backup::BackupArguments),
    /// 控えから、別のフォルダに復元する (restore a backup into another folder)
    Restore(restore::RestoreArguments),
}

/// Runs an officers' command.
pub(crate) fn run(command: OfficerCommand) -> ExitCode {
    crate::runtime::run(async {
        match command {
            OfficerCommand::Init(arguments) => init::init(arguments).await,
            OfficerCommand::Unseal(arguments) => unseal::hand_in(arguments).await,
            OfficerCommand::Paper(arguments) => init::paper(&arguments),
            OfficerCommand::Renew(arguments) => init::renew(arguments).await,
            OfficerCommand::Rotate(arguments) => rotate::run(arguments).await,
            OfficerCommand::Transfer(arguments) => transfer::run(arguments).await,
            OfficerCommand::Backup(arguments) => backup::run(arguments).await,
            OfficerCommand::Restore(arguments) => restore::run(arguments).await,
        }
    })
}
