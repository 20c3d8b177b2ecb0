//! `azukari demo`: the whole town on this machine.
//!
//! `once` tells the story and leaves its papers in a folder; without it the town keeps running on
//! loopback, with one page to walk through it by hand. Everything inside is what `serve` and
//! `gateway` run; only the people, their phones, the EHR and the prescription management service
//! are the town's.

pub(crate) mod cards;
mod home;
pub(crate) mod jpki;
mod letters;
pub(crate) mod manifest;
mod network;
mod page;
pub(crate) mod papers;
pub(crate) mod prepare;
mod rack;
pub(crate) mod service;
pub(crate) mod softhsm;
mod story;
pub(crate) mod timeline;
pub(crate) mod town;
pub(crate) mod walk;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::runtime::Stop;
use home::Home;
use timeline::Timeline;

/// Flags of `azukari demo`.
#[derive(Args, Clone, Default)]
pub(crate) struct DemoArguments {
    /// 物語を一度だけ進めて終わる (tell the story once and end)
    #[arg(long)]
    pub(crate) once: bool,
    /// 書類を残すフォルダ (folder to leave the papers in)
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// 署名する処方記録 CSV（UTF-8）。省略時は見本 (your own prescription record)
    #[arg(long)]
    pub(crate) input: Option<PathBuf>,
    /// 画面のポート (port of the page)
    #[arg(long, default_value_t = 8787)]
    pub(crate) port: u16,
    /// 基盤と医療機関側を別々のプロセスで動かす (platform and gateways as processes of their own)
    #[arg(long)]
    pub(crate) separate: bool,
    /// 鍵の置き場所 (where the keys are)
    #[arg(long, value_enum, default_value_t = Keys::Vault)]
    pub(crate) device: Keys,
    /// CSC API も試せる町にする: 文書作成ソフトと、ハッシュに署名する鍵 (a registered CSC client, too)
    #[arg(long)]
    pub(crate) csc: bool,
    /// 電話をまだ登録していない人も住む町にする: 登録用紙から自分で試せる (people whose phones you link yourself)
    #[arg(long)]
    pub(crate) newcomers: bool,
    /// 町のカードを pcscd の仮想リーダーに入れる: OpenSC も端末も、本物のカードとして読む (the town's cards in pcscd's virtual readers)
    #[arg(long, conflicts_with = "once")]
    pub(crate) reader: bool,
    /// 基盤の台帳を空の PostgreSQL に置く (keep the platform's store in this empty database)
    #[arg(long, value_name = "URL")]
    pub(crate) postgres: Option<String>,
}

/// Where the town's keys are.
#[derive(clap::ValueEnum, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Keys {
    /// ソフトウェアの金庫 (the software vault)
    #[default]
    Vault,
    /// SoftHSM2 のトークン (a token of SoftHSM2, through PKCS#11)
    Softhsm,
}

/// Runs the demo.
pub(crate) fn run(arguments: DemoArguments) -> ExitCode {
    crate::runtime::run(async move {
        let input = match &arguments.input {
            None => None,
            Some(file) => Some(record(file)?),
        };
        let _tokens = match arguments.device {
            Keys::Vault => None,
            Keys::Softhsm => Some(softhsm::settle(arguments.out.as_deref())?),
        };
        let home = Home::open(arguments.out.as_deref())?;
        if arguments.device == Keys::Softhsm {
            softhsm::choose(&home.town)?;
        }
        // The page's port is taken first: a town that nobody can look at need not be founded.
        let page = match arguments.once {
            true => None,
            false => {
                let address = std::net::SocketAddr::from(([127, 0, 0, 1], arguments.port));
                Some(crate::http::server::bind(address).await?)
            }
        };
        let (stop, stopped) = crate::runtime::until_interrupted();
        let mut timeline = Timeline::begin(false);
        timeline.chapter("町をひらく", "founding a town");
        let mut town = town::Town::open(&home, &arguments, &mut timeline).await?;
        let told = match page {
            None => story::tell(&mut town, &home, input.as_deref(), timeline).await,
            Some(listener) => {
                page::keep(&mut town, &home, listener, input, timeline, stopped).await
            }
        };
        town.close().await;
        drop(stop);
        told
    })
}

/// Reads the visitor's own record and refuses early what could not be signed.
fn record(file: &std::path::Path) -> Result<Vec<u8>, Stop> {
    use hpki::refusal::Refuse as _;
    let octets = std::fs::read(file)
        .map_err(|error| format!("{} を読めません: {error} (cannot read)", file.display()))?;
    if let Err(refusal) = prescription::PrescriptionRecord::parse(&octets) {
        let text = wire::refusal::lookup(refusal.code());
        let (title, advice) = text.map_or(("", ""), |text| (text.title_ja, text.advice_ja));
        return Err(format!(
            "{}: {title} {advice}\n  {}: {refusal}",
            file.display(),
            refusal.code()
        )
        .into());
    }
    Ok(octets)
}
