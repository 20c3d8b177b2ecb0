//! The measure of comparison: RSA-2048 signatures with nothing around them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use wire::token::base64url_encode;

use super::phone::octets;
use super::process::{Cpu, cpu_of};
use super::show;
use crate::clock::Stopwatch;
use crate::runtime::Stop;

/// What was measured in one go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw {
    pub(super) per_s: f64,
    pub(super) cpu_s_each: f64,
}

impl Raw {
    /// The mean of measurements of the same length, because machines drift.
    pub(super) fn mean(of: &[Self]) -> Self {
        let mean = |figure: fn(&Self) -> f64| of.iter().map(figure).sum::<f64>() / of.len() as f64;
        Self { per_s: mean(|raw| raw.per_s), cpu_s_each: mean(|raw| raw.cpu_s_each) }
    }
}

/// The processors that this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The throw-away keys in a file.
pub(super) fn kept(file: &Path) -> Result<Vec<KeyPair>, Stop> {
    let text = std::fs::read_to_string(file)?;
    text.lines().map(|line| Ok(KeyPair::from_pkcs8(&octets(line)?)?)).collect()
}

/// Throw-away keys, made on all cores; those in `file` are used again, and all are kept there.
pub(super) fn keys(count: usize, file: &Path, ended: &AtomicBool) -> Result<Vec<KeyPair>, Stop> {
    let mut kept = if file.exists() { kept(file)? } else { Vec::new() };
    kept.truncate(count);
    let missing = count - kept.len();
    if missing == 0 {
        return Ok(kept);
    }
    let bar = show::bar(missing, "比較用の鍵を作る (keys to compare with)");
    let begun = AtomicUsize::new(0);
    let make = || {
        let mut made = Vec::new();
        while begun.fetch_add(1, Ordering::Relaxed) < missing && !ended.load(Ordering::Relaxed) {
            made.push(KeyPair::generate(KeySize::Rsa2048)?);
            bar.inc(1);
        }
        Ok::<_, Stop>(made)
    };
    let made = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(joined).collect::<Result<Vec<_>, Stop>>()
    })?;
    bar.finish_and_clear();
    kept.extend(made.into_iter().flatten());
    let mut text = String::new();
    for key in &kept {
        let pkcs8: Pkcs8V1Der<'_> = key.as_der()?;
        text.push_str(&base64url_encode(pkcs8.as_ref()));
        text.push('\n');
    }
    crate::files::private(file, &text)?;
    Ok(kept)
}

/// Signs on all cores, each signature with the next key.
pub(super) fn measure(keys: &[KeyPair], time: Duration, ended: &AtomicBool) -> Result<Raw, Stop> {
    let cores = cores();
    let sign = |first: usize, time: Duration| {
        let random = SystemRandom::new();
        let (mut signature, mut message) = (vec![0; 256], [0; 32]);
        rand::fill(&mut message)?;
        let watch = Stopwatch::start();
        let mut count = 0_u64;
        for key in keys.iter().cycle().skip(first) {
            if watch.elapsed() >= time || ended.load(Ordering::Relaxed) {
                break;
            }
            message[..8].copy_from_slice(&count.to_be_bytes());
            key.sign(&RSA_PKCS1_SHA256, &random, &message, &mut signature)?;
            count += 1;
        }
        Ok::<_, Stop>(count)
    };
    let run = |time: Duration| {
        std::thread::scope(|scope| {
            // Each core begins elsewhere in the row of keys.
            let threads: Vec<_> = (0..cores)
                .map(|core| scope.spawn(move || sign(core * keys.len() / cores, time)))
                .collect();
            threads.into_iter().map(joined).sum::<Result<u64, Stop>>()
        })
    };
    run(time.min(Duration::from_millis(300)))?; // warming up
    let (watch, before) = (Stopwatch::start(), cpu_of(std::process::id())?);
    let count = run(time)?.max(1) as f64;
    let Cpu(cpu) = cpu_of(std::process::id())?.since(before);
    Ok(Raw { per_s: count / watch.elapsed().as_secs_f64(), cpu_s_each: cpu / count })
}

/// Does the same on all cores, again and again; `act` is told its turn.
pub(super) fn on_all_cores(
    time: Duration,
    ended: &AtomicBool,
    act: impl Fn(usize) -> Result<(), Stop> + Sync,
) -> Result<Raw, Stop> {
    let work = |first: usize, time: Duration| {
        let watch = Stopwatch::start();
        let mut count = 0;
        while watch.elapsed() < time && !ended.load(Ordering::Relaxed) {
            act(first + count)?;
            count += 1;
        }
        Ok::<_, Stop>(count as u64)
    };
    let run = |time: Duration| {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> =
                (0..cores()).map(|core| scope.spawn(move || work(core, time))).collect();
            threads.into_iter().map(joined).sum::<Result<u64, Stop>>()
        })
    };
    run(time.min(Duration::from_millis(300)))?; // warming up
    let (watch, before) = (Stopwatch::start(), cpu_of(std::process::id())?);
    let count = run(time)?.max(1) as f64;
    let Cpu(cpu) = cpu_of(std::process::id())?.since(before);
    Ok(Raw { per_s: count / watch.elapsed().as_secs_f64(), cpu_s_each: cpu / count })
}

pub(super) fn joined<T>(
    thread: std::thread::ScopedJoinHandle<'_, Result<T, Stop>>,
) -> Result<T, Stop> {
    thread.join().unwrap_or_else(|_| Err("計測のスレッドが落ちました (a thread panicked)".into()))
}
