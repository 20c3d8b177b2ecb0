//! `azukari bench`: how fast this machine signs, and how much of that the platform leaves over.
//!
//! First the raw signature, then the whole way: a client over mutual TLS, token, activation, two
//! durable commits, device, self-check, proof, and verification by the client. docs/benchmarks.md
//! says what each figure means.

mod authenticate;
mod cards;
mod check;
mod custody;
mod device;
mod drive;
mod estate;
mod phone;
mod process;
mod raw;
mod show;
mod signing;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::rsa::KeyPair;
use clap::{Args, Subcommand};
use hpki::sign::Random as _;

use crate::demo::{Keys, softhsm};
use crate::http;
use crate::http::client::Client;
use crate::runtime::Stop;
use check::Log;
use drive::{Driven, Load};
use estate::{Estate, FACILITY};
use process::{Halted, Started};
use raw::Raw;
use show::Figures;
use signing::Signing;

/// What can be measured.
#[derive(Subcommand, Clone)]
pub(crate) enum BenchCommand {
    /// 署名: 素の RSA と、端から端まで (signing: raw and end to end)
    Sign(SignArguments),
    /// 本人認証: 電話の承認からトークンまで。素の P-256 の検証と並べて (authentication, beside raw P-256)
    Authenticate(authenticate::AuthenticateArguments),
    /// 鍵預かり: 同じ 1,000 鍵を、小さな倉と大きな倉で (the same keys in a small and a large store)
    Custody(custody::CustodyArguments),
}

/// Flags of `azukari bench sign`.
#[derive(Args, Clone)]
pub(crate) struct SignArguments {
    /// 端から端までを測る秒数 (seconds of the end-to-end measurement)
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// 結果を JSON で一つ出す (print one JSON object)
    #[arg(long)]
    json: bool,
    /// 鍵の数 (distinct keys)
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    keys: u64,
    /// 同時に待つ要求の数 (requests in flight)
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    in_flight: u64,
    /// 預かり鍵をどこに置くか (where the kept keys are)
    #[arg(long, value_enum, default_value_t = Keys::Vault)]
    device: Keys,
    /// 処方箋ではなく、CSC の signHash でハッシュに署名する (hashes through the CSC interface)
    #[arg(long)]
    csc: bool,
    /// 準備した鍵を残して次も使うフォルダ (keep and reuse prepared keys here)
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// `azukari bench …`
pub(crate) fn run(command: &BenchCommand) -> ExitCode {
    // The load needs less than one core: on one thread its tasks wake each other for nothing.
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let command = command.clone();
    crate::runtime::run_on(threads.worker_threads(1), async move {
        let (stop, mut stopped) = crate::runtime::until_interrupted();
        let ended = Arc::new(AtomicBool::new(false));
        let measuring = async {
            match &command {
                BenchCommand::Sign(arguments) => sign(arguments, &ended).await,
                BenchCommand::Authenticate(arguments) => {
                    authenticate::measure(arguments, &ended).await
                }
                BenchCommand::Custody(arguments) => custody::measure(arguments, &ended).await,
            }
        };
        // Leaving the work ends the platform's process and removes a passing folder.
        let done = tokio::select! {
            done = measuring => done,
            _ = stopped.wait_for(|stopped| *stopped) => Err("中断しました (interrupted)".into()),
        };
        ended.store(true, Ordering::Relaxed);
        drop(stop);
        done.map(|()| ExitCode::SUCCESS)
    })
}

async fn sign(arguments: &SignArguments, ended: &Arc<AtomicBool>) -> Result<(), Stop> {
    let SignArguments { seconds, json, keys, in_flight, device, csc, folder } = arguments;
    let (keys, in_flight) = (usize::try_from(*keys)?, usize::try_from(*in_flight)?);
    let _tokens = match device {
        Keys::Vault => None,
        Keys::Softhsm => Some(softhsm::settle(folder.as_deref())?),
    };
    let folder = Folder::open(folder.as_deref())?;
    let listen = free_address()?;
    let raw_keys = raw_keys(&folder, keys, ended).await?;
    let signing = if *csc { Signing::Hashes } else { Signing::Prescriptions };
    let estate = estate::prepare(folder.path(), keys, listen, *device, signing, true).await?;
    let time = Duration::from_secs(*seconds);
    let own = match device {
        Keys::Vault => None,
        Keys::Softhsm => Some(device::measure(&estate, time, ended).await?),
    };
    let run = Run { in_flight, time, half_load: true, signing, listen };
    let (raw, _, driven) = run.measure(&estate, &raw_keys, ended).await?;

    let signatures = driven.latencies.count() as u64;
    let each_us = |cpu: process::Cpu| cpu.0 * 1e6 / signatures as f64;
    let (raw_cpu_us, platform_cpu_us) = (raw.cpu_s_each * 1e6, each_us(driven.platform));
    let figures = Figures {
        raw_per_s: raw.per_s,
        end_to_end_per_s: driven.per_s(),
        ratio: driven.per_s() / raw.per_s,
        cpu_ratio: raw_cpu_us / platform_cpu_us,
        p50_ms: driven.latencies.percentile(0.50),
        p99_ms: driven.latencies.percentile(0.99),
        half_load_p50_ms: driven.half_load.as_ref().map_or(0.0, |calm| calm.percentile(0.50)),
        half_load_p99_ms: driven.half_load.as_ref().map_or(0.0, |calm| calm.percentile(0.99)),
        device_loaded_per_s: own.map(|own| own.loaded_per_s),
        device_unwrapped_per_s: own.map(|own| own.unwrapped_per_s),
        device_ratio: own.map(|own| driven.per_s() / own.loaded_per_s),
        in_flight,
        seconds: driven.seconds,
        keys,
        cores: raw::cores(),
        signatures,
        raw_cpu_us,
        platform_cpu_us,
        client_cpu_us: each_us(driven.client),
    };
    println!("{}", if *json { show::json(&figures)? } else { figures.table() });
    Ok(())
}

/// So often raw and end to end take turns.
const TURNS: u32 = 5;

/// How an end-to-end measurement is run.
struct Run {
    in_flight: usize,
    time: Duration,
    /// Whether the platform is also driven at half the rate that it has just shown.
    half_load: bool,
    signing: Signing,
    listen: SocketAddr,
}

impl Run {
    /// The raw signature and the platform, as a process of its own under load, in turns: machines
    /// drift within seconds. While the raw signature is measured the platform stands still.
    async fn measure(
        &self,
        estate: &Estate,
        raw_keys: &Arc<Vec<KeyPair>>,
        ended: &Arc<AtomicBool>,
    ) -> Result<(Raw, Started, Driven), Stop> {
        let mut started = process::serve(&estate.config, self.listen).await?;
        let platform = started.process.id().ok_or("基盤が終わりました (the platform ended)")?;
        let identity = |kind: &str| estate.tls.join(format!("{}.{kind}", FACILITY.code));
        let tls = http::tls::client(
            &estate.tls.join("facility-ca.pem"),
            Some((&identity("pem"), &identity("key"))),
        )?;
        let url = format!("https://localhost:{}", self.listen.port());
        let client = Client::new(&url, Some(tls), Duration::from_secs(20))?;
        let log = Log::new(estate.log.clone(), FACILITY.code.parse()?);
        let load = Arc::new(Load::new(client, Arc::clone(&estate.signatories), log, self.signing));
        let cold_per_s = load.warm(self.in_flight).await?;
        let (mut raw, mut slices) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            // As long as the platform: a key is blinded anew at each 32nd use, so a shorter
            // measurement of many keys would leave out what the longer one holds.
            let halted = Halted::new(platform)?;
            raw.push(measure_raw(raw_keys, self.time / TURNS, ended).await?);
            drop(halted);
            slices.push(load.drive(platform, self.in_flight, self.time / TURNS).await?);
        }
        let mut driven = Driven::of(slices, cold_per_s)?;
        if self.half_load {
            let rate = driven.per_s() / 2.0;
            driven.half_load = Some(load.pace(rate, self.in_flight, self.time / 2).await?);
        }
        started.peak_mb = process::peak_mb(platform)?;
        crate::runtime::terminate(&mut started.process).await;
        Ok((Raw::mean(&raw), started, driven))
    }
}

/// The keys of the raw measurement, kept where the folder is.
async fn raw_keys(
    folder: &Folder,
    keys: usize,
    ended: &Arc<AtomicBool>,
) -> Result<Arc<Vec<KeyPair>>, Stop> {
    let kept = folder.kept().map(|folder| folder.join("raw-keys"));
    let ending = Arc::clone(ended);
    Ok(Arc::new(blocking(move || raw::keys(keys, kept.as_deref(), &ending)).await?))
}

async fn measure_raw(
    keys: &Arc<Vec<KeyPair>>,
    time: Duration,
    ended: &Arc<AtomicBool>,
) -> Result<Raw, Stop> {
    let (keys, ended) = (Arc::clone(keys), Arc::clone(ended));
    blocking(move || raw::measure(&keys, time, &ended)).await
}

/// Work that keeps a thread busy, off the threads that serve everybody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Stop> + Send + 'static,
) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await?
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr, Stop> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The folder of the platform: the user's, which stays, or a passing one.
struct Folder {
    path: PathBuf,
    passing: bool,
}

impl Folder {
    fn open(kept: Option<&Path>) -> Result<Self, Stop> {
        let mut octets = [0; 8];
        hsm::SystemRandom.fill(&mut octets);
        let passing =
            || std::env::temp_dir().join(format!("azukari-bench-{}", hex::encode(octets)));
        let path = kept.map_or_else(passing, Path::to_owned);
        std::fs::create_dir_all(&path).map_err(|error| {
            format!("フォルダ {} に書き込めません: {error} (not writable)", path.display())
        })?;
        Ok(Self { path, passing: kept.is_none() })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn kept(&self) -> Option<&Path> {
        (!self.passing).then_some(self.path.as_path())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.passing {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
