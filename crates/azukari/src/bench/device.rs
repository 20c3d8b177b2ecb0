//! What the device reaches by itself: its threads sign, and nothing else happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hsm::{Gauge, UnsealSecret};

use super::blocking;
use super::estate::Estate;
use super::raw::cores;
use crate::clock::Stopwatch;
use crate::config::PlatformConfig;
use crate::runtime::Stop;

/// Signatures per second of the device alone, on all cores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    /// With loaded keys.
    pub(super) loaded_per_s: f64,
    /// Each key unwrapped for one signature and destroyed after it.
    pub(super) unwrapped_per_s: f64,
}

/// Keys in rotation: a device is not faster or slower with more of them loaded.
const KEYS: usize = 16;

/// Measures the device of a platform that is not running.
pub(super) async fn measure(
    estate: &Estate,
    time: Duration,
    ended: &Arc<AtomicBool>,
) -> Result<Own, Stop> {
    let config = PlatformConfig::load(&estate.config)?;
    let secret = config.unseal_secret.ok_or("解錠の秘密がありません (no unsealing secret)")?;
    let ended = Arc::clone(ended);
    let time = time.min(Duration::from_secs(5));
    let work = move || {
        let gauge = Gauge::open(&config.device, &UnsealSecret::from_file(&secret)?, KEYS)?;
        Ok(Own {
            loaded_per_s: rate(time, &ended, |number| gauge.sign_loaded(number))?,
            unwrapped_per_s: rate(time, &ended, |number| gauge.sign_unwrapped(number))?,
        })
    };
    blocking(work).await
}

/// How often per second something is done on all cores.
fn rate(
    time: Duration,
    ended: &AtomicBool,
    sign: impl Fn(usize) -> Result<(), hsm::Failed> + Sync,
) -> Result<f64, Stop> {
    let (count, watch) = (AtomicUsize::new(0), Stopwatch::start());
    let run = || {
        while watch.elapsed() < time && !ended.load(Ordering::Relaxed) {
            sign(count.fetch_add(1, Ordering::Relaxed))?;
        }
        Ok::<_, Stop>(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(run)).collect();
        threads.into_iter().try_for_each(super::raw::joined)
    })?;
    Ok(count.load(Ordering::Relaxed) as f64 / watch.elapsed().as_secs_f64())
}
