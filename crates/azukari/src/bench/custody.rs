//! `azukari bench custody`: whether a million kept keys cost anything to those who sign today.
//!
//! The same working set of activated keys is driven first in a store that holds nothing else, then
//! in one that was filled up to `--keys`. Each phase is divided by the raw signatures measured
//! around it, because machines drift.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use ledger::{Failed, Place, Store};
use serde::Serialize;

use super::signing::Signing;
use super::{Folder, Measured, Run, estate, free_address, raw, raw_keys, show};
use crate::config::PlatformConfig;
use crate::demo::Keys;
use crate::runtime::Stop;

/// Flags of `azukari bench custody`.
#[derive(Args, Clone)]
pub(crate) struct CustodyArguments {
    /// 大きな倉の鍵の数 (keys in the large store)
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=10_000_000))]
    keys: u64,
    /// 今日署名する鍵の数 (keys that sign)
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    active: u64,
    /// 一度に測る秒数 (seconds of each measurement)
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// 同時に待つ要求の数 (requests in flight)
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    in_flight: u64,
    /// 結果を JSON で一つ出す (print one JSON object)
    #[arg(long)]
    json: bool,
    /// 準備した鍵を残して次も使うフォルダ (keep and reuse prepared keys here)
    #[arg(long)]
    folder: Option<std::path::PathBuf>,
}

/// The result, in the order in which it is printed.
#[derive(Debug, Serialize)]
struct Figures {
    /// Keys in the large store.
    keys: u64,
    /// Keys that sign.
    active: u64,
    /// Raw signatures per second around both measurements.
    raw_per_s: f64,
    /// Verified answers per second, small store.
    small_per_s: f64,
    /// The same, large store.
    large_per_s: f64,
    /// Large ÷ small, each divided by its own raw signatures.
    ratio: f64,
    /// Answers per second while each key of the large store is used for the first time after a
    /// start: read, checked, unwrapped, loaded, used.
    cold_per_s: f64,
    /// Seconds from starting the process to its open door, large store.
    start_s: f64,
    /// The most memory that the process held, large store, in megabytes.
    peak_rss_mb: f64,
    /// Requests under way.
    in_flight: u64,
    /// Length of each measurement.
    seconds: u64,
}

const RATIO: f64 = 0.95;
const START_S: f64 = 2.0;
const PEAK_MB: f64 = 300.0;
/// Rows written in one unit of work while the store is filled.
const AT_ONCE: u64 = 1000;

pub(super) async fn measure(
    arguments: &CustodyArguments,
    ended: &Arc<AtomicBool>,
) -> Result<(), Stop> {
    let active = usize::try_from(arguments.active)?;
    let folder = Folder::open(arguments.folder.as_deref())?;
    let listen = free_address()?;
    let raw_keys = raw_keys(&folder, active, ended).await?;
    let run = Run {
        in_flight: usize::try_from(arguments.in_flight)?,
        time: Duration::from_secs(arguments.seconds),
        signing: Signing::Prescriptions,
        listen,
        half_load: false,
        door: None,
    };
    // A folder that was filled before is emptied first.
    let kept = folder.path().join("platform/platform.toml");
    if kept.exists() {
        empty(&PlatformConfig::load(&kept)?.store).await?;
    }
    let signing = Signing::Prescriptions;
    let estate =
        estate::prepare(folder.path(), active, listen, Keys::Vault, signing, false).await?;
    let Measured { raw: raw_small, platform: small, .. } =
        run.measure(&estate, &raw_keys, ended).await?;
    let store = PlatformConfig::load(&estate.config)?.store;
    fill(&store, arguments.keys - arguments.active.min(arguments.keys)).await?;
    let Measured { raw: raw_large, platform: large, started, .. } =
        run.measure(&estate, &raw_keys, ended).await?;
    let figures = Figures {
        keys: arguments.keys,
        active: arguments.active,
        raw_per_s: f64::midpoint(raw_small.per_s, raw_large.per_s),
        small_per_s: small.per_s(),
        large_per_s: large.per_s(),
        ratio: (large.per_s() / raw_large.per_s) / (small.per_s() / raw_small.per_s),
        cold_per_s: large.cold_per_s,
        start_s: started.start_s,
        peak_rss_mb: started.peak_mb,
        in_flight: arguments.in_flight,
        seconds: arguments.seconds,
    };
    println!("{}", if arguments.json { show::json(&figures)? } else { figures.table() });
    Ok(())
}

/// Rows of the shape of the real ones, for keys that nobody has: they fill the table and its
/// indexes, and no device would load them, since neither seal nor blob names them.
async fn fill(place: &Place, keys: u64) -> Result<(), Stop> {
    let store = Store::open(place.clone(), &[])?;
    let bar = show::bar(usize::try_from(keys)?, "倉を満たす (filling the store)");
    let mut left = keys;
    while left > 0 {
        let count = left.min(AT_ONCE);
        let written = store
            .write(move |tx| {
                let written = tx.exec(
                    "INSERT INTO custody_key (id, owner, role, purpose, state, reason, spki,
                         wrapped, proof, created, consent, origin, certificate, ended, not_after,
                         seal)
                     SELECT randomblob(16), randomblob(16), role, purpose, state, 'bench', spki,
                         wrapped, proof, created, consent, origin, certificate, ended, not_after,
                         seal
                     FROM custody_key WHERE reason <> 'bench' LIMIT $1",
                    &[count.into()],
                )?;
                Ok::<_, Failed<std::convert::Infallible>>(written)
            })
            .await?;
        if written == 0 {
            return Err("倉に鍵がありません (no key to fill from)".into());
        }
        left -= written;
        bar.inc(written);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Takes the made-up rows out again.
async fn empty(place: &Place) -> Result<(), Stop> {
    let store = Store::open(place.clone(), &[])?;
    let removing = store.write(|tx| {
        let removed = tx.exec("DELETE FROM custody_key WHERE reason = 'bench'", &[])?;
        Ok::<_, Failed<std::convert::Infallible>>(removed)
    });
    removing.await?;
    Ok(())
}

impl Figures {
    fn table(&self) -> String {
        let mark = |good: bool| if good { "✓" } else { "△" };
        [
            format!(
                "■ 預かり鍵 {} 本のうち {} 本が署名、{} コア (kept keys, of which some sign)",
                self.keys,
                self.active,
                raw::cores()
            ),
            String::new(),
            format!("  署名だけ            {:>9.0} /s   (raw RSA)", self.raw_per_s),
            format!(
                "  小さな倉            {:>9.0} /s   {} 本だけ (small store)",
                self.small_per_s, self.active
            ),
            format!(
                "  大きな倉            {:>9.0} /s   {} 本 (large store)",
                self.large_per_s, self.keys
            ),
            format!(
                "  冷えた鍵の初回      {:>9.0} /s   読み出し・検査・復号から (each key's first use)",
                self.cold_per_s
            ),
            String::new(),
            format!(
                "  {} 大小の比          {:>9.2}      目標 {RATIO:.2} 以上 (ratio)",
                mark(self.ratio >= RATIO),
                self.ratio
            ),
            format!(
                "  {} 起動              {:>9.2} s    目標 {START_S:.0} s 未満 (start)",
                mark(self.start_s < START_S),
                self.start_s
            ),
            format!(
                "  {} 最大メモリ        {:>9.0} MB   目標 {PEAK_MB:.0} MB 未満 (peak memory)",
                mark(self.peak_rss_mb < PEAK_MB),
                self.peak_rss_mb
            ),
        ]
        .join("\n")
    }
}
