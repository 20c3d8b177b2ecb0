//! `azukari`: one binary, many roles. This file is the table of contents.

mod bench;
mod card;
mod card_approve;
mod card_home;
mod card_link;
mod clock;
mod config;
mod criteria;
mod custody_cmd;
mod demo;
mod desk_cmd;
mod files;
mod flows;
mod hospital;
mod http;
mod inspect;
mod journal;
mod memory;
mod newer_list;
mod officer;
mod openapi;
mod pages;
mod platform;
mod revoke;
mod runtime;
mod status;
mod verify;
mod verify_activation;
mod witness;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hpki::certificate::Certificate;
use hpki::oid::ObjectIdentifier;

/// A request allocates a few dozen small pieces on one thread and frees them on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 鍵預かり: HPKI セカンド電子証明書の公開実装 (the open implementation of HPKI second certificates)
#[derive(Parser)]
#[command(name = "azukari", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// 町ひとつを動かす: 認証局・鍵預かり・病院・薬局・電話 (the whole town on this machine)
    Demo(demo::DemoArguments),
    /// 基盤を動かす (the platform)
    Serve {
        /// 設定ファイル (configuration; see azukari.example.toml)
        #[arg(long)]
        config: PathBuf,
    },
    /// 医療機関側を動かす (the gateway of a hospital or pharmacy)
    Gateway {
        /// 設定ファイル (configuration; see azukari.example.toml)
        #[arg(long)]
        config: PathBuf,
    },
    /// 立会人を動かす: 署名記録が伸びるだけであることを確かめて副署する (a witness of journals)
    Witness(witness::WitnessArguments),
    /// 署名を検証する: 0 有効, 1 無効, 2 判断できない (verify a signed document)
    Verify(verify::VerifyArguments),
    /// 証跡から、本人が承認した署名かを検証する: 0 有効, 1 無効, 2 判断できない (verify an owner's approval)
    VerifyActivation(verify_activation::VerifyActivationArguments),
    /// 動いている基盤の様子: 0 正常, 1 要確認, 2 応答なし (how the running platform stands)
    Status(status::StatusArguments),
    /// 証明書を失効させる。基盤は動いたままでよい (revoke a certificate; the platform may be running)
    Revoke(revoke::RevokeArguments),
    /// 担当者（m-of-n）の手続: 任命・開封・控え・復元 (what officers do together)
    #[command(subcommand)]
    Officer(officer::OfficerCommand),
    /// 預かり鍵の一生: 作り置き・停止・指図・廃棄・点検。基盤を止めてから (the life of kept keys)
    #[command(subcommand)]
    Custody(custody_cmd::CustodyCommand),
    /// 窓口係: 招く・一覧・解任 (officers of the authority's desk)
    #[command(subcommand)]
    Desk(desk_cmd::DeskCommand),
    /// 証明書・失効リスト・処方箋・記録を読みやすく表示する (show a file as a person reads it)
    Inspect {
        /// 見たいファイル (certificate, CRL, XML, CSV, journal)
        file: PathBuf,
    },
    /// 署名記録を調べる (the journal)
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// 検証項目: 守る場所・試験・この基盤の証跡 (criteria for a committee, with live evidence)
    Criteria(criteria::CriteriaArguments),
    /// IC カード: リーダーの中身、カードでの手続き、試験用のカード (cards in readers, what they can do, and made-up ones)
    #[command(subcommand)]
    Card(card::CardCommand),
    /// 速さを測る (measure)
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// 設定を確かめる (configuration)
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// 設定ファイルを読み、誤りを知らせる (read it and say what is wrong)
    Check {
        /// 設定ファイル
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    memory::keep_to_itself();
    match Arguments::parse().role {
        Role::Demo(arguments) => demo::run(arguments),
        Role::Serve { config } => platform::run(&config),
        Role::Gateway { config } => hospital::run(&config),
        Role::Witness(arguments) => witness::run(arguments),
        Role::Verify(arguments) => verify::run(&arguments, clock::now()),
        Role::VerifyActivation(arguments) => verify_activation::run(&arguments),
        Role::Status(arguments) => status::run(arguments),
        Role::Revoke(arguments) => revoke::run(arguments),
        Role::Officer(command) => officer::run(command),
        Role::Custody(command) => custody_cmd::run(command),
        Role::Desk(command) => desk_cmd::run(command),
        Role::Inspect { file } => inspect::run(&file),
        Role::Journal(command) => journal::run(&command),
        Role::Criteria(arguments) => criteria::run(&arguments),
        Role::Card(command) => card::run(command),
        Role::Bench(command) => bench::run(&command),
        Role::Config(ConfigCommand::Check { file }) => config::check(&file),
    }
}

/// The policy OID of a signing certificate on this arm: 3, or 0 for test certificates.
fn policy(arm: u32) -> ObjectIdentifier {
    if arm == 0 { hpki::oid::POLICY_SIGNING_TEST } else { hpki::oid::POLICY_SIGNING }
}

/// A root, or another authority that is pinned, that says TEST is for towns only.
fn refuse_test_root(root: &Certificate, test_anchors: bool) -> Result<(), runtime::Stop> {
    let name = root.subject().to_string();
    if name.contains("TEST") && !test_anchors {
        return Err(format!(
            "試験用のルート「{name}」は実運用の設定では使えません。本物のルートを指定するか、試験であれば test_anchors = true にしてください (a test root is refused)"
        )
        .into());
    }
    Ok(())
}
