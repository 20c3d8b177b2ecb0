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
mod door;
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
use door::Checks;
use drive::{Driven, Load, Slice, Work};
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
    /// The process of the door with nothing behind it; `bench sign` starts it.
    #[command(hide = true)]
    Door(door::DoorArguments),
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
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    // The load needs less than one core: on several threads its tasks wake each other for nothing.
    if !matches!(command, BenchCommand::Door(_)) {
        threads.worker_threads(1);
    }
    let command = command.clone();
    crate::runtime::run_on(&mut threads, async move {
        let (stop, mut stopped) = crate::runtime::until_interrupted();
        let ended = Arc::new(AtomicBool::new(false));
        let measuring = async {
            match &command {
                BenchCommand::Sign(arguments) => sign(arguments, &ended).await,
                BenchCommand::Authenticate(arguments) => {
                    authenticate::measure(arguments, &ended).await
                }
                BenchCommand::Custody(arguments) => custody::measure(arguments, &ended).await,
                BenchCommand::Door(arguments) => door::serve(arguments).await,
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
    // It takes prescriptions and signs as the vault does: beside others it would say nothing.
    let door = match (device, signing) {
        (Keys::Vault, Signing::Prescriptions) => Some(free_address()?),
        _ => None,
    };
    let run = Run { in_flight, time, signing, listen, half_load: true, door };
    let Measured { raw, door, platform: driven, .. } =
        run.measure(&estate, &raw_keys, ended).await?;

    let signatures = driven.latencies.count() as u64;
    let (raw_cpu_us, platform_cpu_us) = (raw.cpu_s_each * 1e6, driven.platform_us());
    let figures = Figures {
        raw_per_s: raw.per_s,
        end_to_end_per_s: driven.per_s(),
        ratio: driven.per_s() / raw.per_s,
        cpu_ratio: raw_cpu_us / platform_cpu_us,
        p50_ms: driven.latencies.percentile(0.50),
        p99_ms: driven.latencies.percentile(0.99),
        half_load_p50_ms: driven.half_load.as_ref().map_or(0.0, |calm| calm.percentile(0.50)),
        half_load_p99_ms: driven.half_load.as_ref().map_or(0.0, |calm| calm.percentile(0.99)),
        door_per_s: door.as_ref().map(Driven::per_s),
        door_ratio: door.as_ref().map(|door| door.per_s() / raw.per_s),
        door_cpu_ratio: door.as_ref().map(|door| raw_cpu_us / door.platform_us()),
        door_cpu_us: door.as_ref().map(Driven::platform_us),
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
        client_cpu_us: driven.client_us(),
    };
    println!("{}", if *json { show::json(&figures)? } else { figures.table() });
    Ok(())
}

/// Raw, door and platform take turns at least so often, and none is halted for longer than twice the
/// longest turn: a platform lets go of connections that are silent for 75 seconds.
const TURNS: u32 = 5;
const LONGEST_TURN_S: u64 = 10;

/// How an end-to-end measurement is run.
struct Run {
    in_flight: usize,
    time: Duration,
    signing: Signing,
    listen: SocketAddr,
    /// Whether the platform is also driven at half the rate that it has just shown.
    half_load: bool,
    /// Where the door with nothing behind it listens, if it is measured as well.
    door: Option<SocketAddr>,
}

/// What was measured.
struct Measured {
    raw: Raw,
    door: Option<Driven>,
    platform: Driven,
    started: Started,
}

/// A process under load, halted between the times in which it is driven.
struct Side {
    started: Started,
    load: Arc<Load>,
    cold_per_s: f64,
    slices: Vec<Slice>,
    halted: Option<Halted>,
}

impl Run {
    /// The raw signature, the door and the platform, each a process of its own under load, in turns:
    /// machines drift within seconds. Whoever has no turn stands still.
    async fn measure(
        &self,
        estate: &Estate,
        raw_keys: &RawKeys,
        ended: &Arc<AtomicBool>,
    ) -> Result<Measured, Stop> {
        let log = Log::new(estate.log.clone(), FACILITY.code.parse()?);
        let started = process::serve(&estate.config, self.listen).await?;
        let work = Work::Signatures(self.signing, log);
        let mut platform = self.side(estate, self.listen, started, work).await?;
        let mut door = match self.door {
            Some(listen) => {
                let certificate = estate.certificate()?;
                let started =
                    door::start(&estate.config, &raw_keys.file, certificate, listen).await?;
                let work = Work::Door(Checks::new(&raw_keys.keys, certificate)?);
                Some(self.side(estate, listen, started, work).await?)
            }
            None => None,
        };
        let turns = u32::try_from(self.time.as_secs() / LONGEST_TURN_S)?.max(TURNS);
        let (mut raw, time) = (Vec::new(), self.time / turns);
        for _ in 0..turns {
            // As long as the platform: a key is blinded anew at each 32nd use, so a shorter
            // measurement of many keys would leave out what the longer one holds.
            raw.push(measure_raw(&raw_keys.keys, time, ended).await?);
            if let Some(door) = &mut door {
                door.slice(self.in_flight, time).await?;
            }
            platform.slice(self.in_flight, time).await?;
        }
        let door = match door {
            Some(door) => Some(door.end().await?.0),
            None => None,
        };
        let load = Arc::clone(&platform.load);
        platform.halted = None;
        let half_load = if self.half_load {
            let shown = platform.slices.iter().map(Slice::per_s).sum::<f64>() / f64::from(turns);
            Some(load.pace(shown / 2.0, self.in_flight, self.time / 2).await?)
        } else {
            None
        };
        let (driven, started) = platform.end().await?;
        let platform = Driven { half_load, ..driven };
        Ok(Measured { raw: Raw::mean(&raw), door, platform, started })
    }

    async fn side(
        &self,
        estate: &Estate,
        listen: SocketAddr,
        started: Started,
        work: Work,
    ) -> Result<Side, Stop> {
        let identity = |kind: &str| estate.tls.join(format!("{}.{kind}", FACILITY.code));
        let tls = http::tls::client(
            &estate.tls.join("facility-ca.pem"),
            Some((&identity("pem"), &identity("key"))),
        )?;
        let url = format!("https://localhost:{}", listen.port());
        let client = Client::new(&url, Some(tls), Duration::from_secs(20))?;
        let load = Arc::new(Load::new(client, Arc::clone(&estate.signatories), work));
        let cold_per_s = load.warm(self.in_flight).await?;
        let halted = Some(Halted::new(started.id()?)?);
        Ok(Side { started, load, cold_per_s, slices: Vec::new(), halted })
    }
}

impl Side {
    async fn slice(&mut self, in_flight: usize, time: Duration) -> Result<(), Stop> {
        self.halted = None;
        let process = self.started.id()?;
        self.slices.push(self.load.drive(process, in_flight, time).await?);
        self.halted = Some(Halted::new(process)?);
        Ok(())
    }

    async fn end(mut self) -> Result<(Driven, Started), Stop> {
        self.halted = None;
        self.started.peak_mb = process::peak_mb(self.started.id()?)?;
        crate::runtime::terminate(&mut self.started.process).await;
        Ok((Driven::of(self.slices, self.cold_per_s)?, self.started))
    }
}

/// The keys of the raw measurement, and where they are kept.
struct RawKeys {
    keys: Arc<Vec<KeyPair>>,
    file: PathBuf,
}

async fn raw_keys(folder: &Folder, keys: usize, ended: &Arc<AtomicBool>) -> Result<RawKeys, Stop> {
    let (file, ending) = (folder.path().join("raw-keys"), Arc::clone(ended));
    let place = file.clone();
    let keys = Arc::new(blocking(move || raw::keys(keys, &place, &ending)).await?);
    Ok(RawKeys { keys, file })
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
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.passing {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
