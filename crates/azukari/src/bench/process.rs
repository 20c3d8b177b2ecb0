//! The platform as a process of its own, and the processor time of processes.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::clock::Stopwatch;
use crate::runtime::Stop;

/// Processor time, user and system, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu(pub(super) f64);

impl Cpu {
    pub(super) fn since(self, before: Self) -> Self {
        Self(self.0 - before.0)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

/// What Linux counts in `/proc/PID/stat` (proc(5): utime and stime, fields 14 and 15), in hundredths
/// of a second on every architecture that we build for.
pub(super) fn cpu_of(process: u32) -> Result<Cpu, Stop> {
    let file = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("{file}: {error} (processor time is read from Linux's /proc)"))?;
    // The name, field 2, may hold anything; what follows its closing parenthesis may not.
    let fields: Vec<&str> =
        text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok());
    let (Some(user), Some(system)) = (ticks(14), ticks(15)) else {
        return Err(format!("{file} を読めません (not as proc(5) says)").into());
    };
    Ok(Cpu((user + system) / 100.0))
}

/// A platform that was started.
pub(super) struct Started {
    /// Ends with this value, at the latest.
    pub(super) process: Child,
    /// Seconds until its door was open.
    pub(super) start_s: f64,
    /// The most memory that it held, in megabytes, once measured.
    pub(super) peak_mb: f64,
}

/// A process that the kernel gives no processor as long as this lives.
pub(super) struct Halted(Pid);

impl Halted {
    pub(super) fn new(process: u32) -> Result<Self, Stop> {
        let pid = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or("no such process")?;
        kill_process(pid, Signal::STOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// The most memory that a process has held, in megabytes (proc(5): VmHWM).
pub(super) fn peak_mb(process: u32) -> Result<f64, Stop> {
    let file = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&file)?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kilobytes.ok_or(format!("{file} を読めません (not as proc(5) says)"))? / 1000.0)
}

/// Starts `azukari` with these arguments and waits until its door is open.
pub(super) async fn start(
    arguments: &[&OsStr],
    log: &Path,
    address: SocketAddr,
) -> Result<Started, Stop> {
    let watch = Stopwatch::start();
    let mut child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(log)?)
        .kill_on_drop(true)
        .spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            return Err(format!("測る相手のプロセスが起動しません: {status} (the process to be measured ended at once)\n{said}").into());
        }
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            let start_s = watch.elapsed().as_secs_f64();
            return Ok(Started { process: child, start_s, peak_mb: 0.0 });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Starts the platform.
pub(super) async fn serve(config: &Path, address: SocketAddr) -> Result<Started, Stop> {
    let arguments = ["serve".as_ref(), "--config".as_ref(), config.as_os_str()];
    start(&arguments, &config.with_extension("log"), address).await
}

impl Started {
    /// Its number.
    pub(super) fn id(&self) -> Result<u32, Stop> {
        Ok(self
            .process
            .id()
            .ok_or("測る相手のプロセスが終わりました (the process to be measured ended)")?)
    }
}
