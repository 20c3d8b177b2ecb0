//! `azukari status`: how the running platform stands. 0 well, 1 somebody should look, 2 no answer.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::config::PlatformConfig;
use crate::officer::door::{Caller, Reply, Request};
use crate::officer::say;
use crate::platform::standing::Standing;
use crate::runtime::Stop;

/// Flags of `azukari status`.
#[derive(Args, Clone)]
pub(crate) struct StatusArguments {
    /// 基盤の設定ファイル (the platform's configuration)
    #[arg(long)]
    config: PathBuf,
    /// JSON で出す (print JSON)
    #[arg(long)]
    json: bool,
}

/// Asks the platform through its own account's socket.
pub(crate) fn run(arguments: StatusArguments) -> ExitCode {
    crate::runtime::run_coded(async move {
        match ask(&arguments).await {
            Ok(standing) => {
                if arguments.json {
                    println!("{}", serde_json::to_string_pretty(&standing)?);
                } else {
                    println!("{}", told(&standing));
                }
                Ok(ExitCode::from(u8::from(!standing.attention.is_empty())))
            }
            Err(stop) => {
                eprintln!("{stop}");
                Ok(ExitCode::from(2))
            }
        }
    })
}

async fn ask(arguments: &StatusArguments) -> Result<Standing, Stop> {
    let config = PlatformConfig::load(&arguments.config)?;
    let (mut caller, greeting) = Caller::knock(&config.officers_socket).await?;
    if !greeting.open {
        let need = greeting.need.map_or_else(|| "?".to_owned(), |need| need.to_string());
        return Err(say::refused(
            "platform-sealed",
            format!("{}: {} / {need}", greeting.purpose, greeting.have),
        ));
    }
    match caller.ask(&Request::Standing).await? {
        Reply::Standing(standing) => Ok(*standing),
        other => Err(format!("{other:?}").into()),
    }
}

fn told(standing: &Standing) -> String {
    let Standing { device, pool, journal, .. } = standing;
    let well = standing.attention.is_empty();
    let mut lines = vec![
        format!(
            "■ 基盤 {}  {}",
            if well { "✓ 正常 (well)" } else { "△ 確認してください (look)" },
            standing.at
        ),
        String::new(),
        format!("  鍵装置        {} {}  {} (key device)", device.kind, device.token, device.state),
        format!(
            "  預かり鍵      {} 本、作り置き {} / {} 本 (kept keys, made ahead)",
            standing.keys, pool.level, pool.of
        ),
        format!("  倉            {} (store)", standing.store),
        format!(
            "  署名記録      {} 件、最後は {} (journal)",
            journal.entries,
            journal.last.as_deref().unwrap_or("–")
        ),
    ];
    if let Some(seen) = journal.witnessed {
        lines.push(format!("  立会人        {seen} 件まで副署 (witnessed)"));
    }
    lines.push(format!("  届いていない  {} 通 (undelivered messages)", standing.undelivered));
    if let Some(until) = &standing.lists_until {
        lines
            .push(format!("  失効リスト    {until} まで (revocation lists, the first to run out)"));
    }
    for (kind, count) in &standing.alarms {
        lines.push(format!("  警報          {kind} × {count} (alarms within a day)"));
    }
    if !well {
        lines.push(String::new());
        lines.extend(standing.attention.iter().map(|words| format!("  → {words}")));
    }
    lines.join("\n")
}
