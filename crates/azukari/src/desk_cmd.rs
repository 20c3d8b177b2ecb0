//! `azukari desk …`: who is an officer of the authority's desk, as the operator rules it.
//!
//! A running platform is asked through the officers' door, which only its own account reaches; a
//! stopped one is opened for it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ca::Photo;
use clap::{Args, Subcommand};
use hpki::id::OfficerId;
use wire::Base64;

use crate::clock::now;
use crate::config::PlatformConfig;
use crate::flows::desk::{self, Operator};
use crate::officer::door::{Caller, Reply, Request};
use crate::officer::say;
use crate::platform::open;
use crate::runtime::Stop;

/// `azukari desk …`
#[derive(Subcommand)]
pub(crate) enum DeskCommand {
    /// 窓口係を招く。出てくるアドレスを本人だけに渡す (invite an officer; hand the address to her alone)
    Invite {
        #[command(flatten)]
        place: Place,
        /// 氏名 (her name)
        #[arg(long)]
        name: String,
    },
    /// 窓口係の一覧 (the officers of the desk)
    Officers(Place),
    /// 窓口係を解任する (end an officer's authority)
    Dismiss {
        #[command(flatten)]
        place: Place,
        /// 係の番号 (her number)
        #[arg(long)]
        officer: OfficerId,
    },
    /// 資格証の券面（漢字氏名と写真）を登録する (file what a holder's card shows)
    Face {
        #[command(flatten)]
        place: Place,
        /// 本人ID (the holder's personal ID)
        #[arg(long)]
        holder: String,
        /// 漢字の氏名 (her name in kanji)
        #[arg(long)]
        name: String,
        /// 顔写真。PNG か JPEG、40 KB まで (photograph)
        #[arg(long)]
        photo: Option<PathBuf>,
    },
}

/// Where the platform is.
#[derive(Args)]
pub(crate) struct Place {
    /// 基盤の設定ファイル。基盤は動いたままでよい (the platform's configuration; it may be running)
    #[arg(long)]
    config: PathBuf,
}

/// Runs a command of the desk.
pub(crate) fn run(command: DeskCommand) -> ExitCode {
    crate::runtime::run(async {
        let (place, asked) = match command {
            DeskCommand::Invite { place, name } => (place, Operator::Invite(name)),
            DeskCommand::Officers(place) => (place, Operator::Officers),
            DeskCommand::Dismiss { place, officer } => (place, Operator::Dismiss(officer)),
            DeskCommand::Face { place, holder, name, photo } => {
                let photo = photo.as_deref().map(photograph).transpose()?;
                (place, Operator::Face { holder, name, photo })
            }
        };
        println!("{}", ask(PlatformConfig::load(&place.config)?, asked).await?);
        Ok(())
    })
}

/// Judged here already: what camera data it has goes no further.
fn photograph(file: &Path) -> Result<Base64, Stop> {
    let octets = std::fs::read(file)
        .map_err(|error| format!("{} を読めません: {error} (cannot read)", file.display()))?;
    let photo = Photo::read(&octets).map_err(|refusal| say::say(&refusal))?;
    Ok(Base64(photo.octets))
}

async fn ask(config: PlatformConfig, asked: Operator) -> Result<String, Stop> {
    let Ok((mut caller, greeting)) = Caller::knock(&config.officers_socket).await else {
        let platform = open::open(config).await?;
        return Ok(desk::operate(&platform, asked, now()).await?);
    };
    if !greeting.open {
        return Err(say::refused("platform-sealed", "shares are awaited there"));
    }
    match caller.ask(&Request::Desk(asked)).await? {
        Reply::Done(said) => Ok(said),
        other => Err(format!("{other:?}").into()),
    }
}
