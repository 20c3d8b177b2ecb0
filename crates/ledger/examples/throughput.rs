//! How many records a second become durable, with their proofs: `cargo run --release -p ledger
//! --example throughput [SECONDS] [FOLDER]`. The folder decides which disk is measured.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measuring tool reads the clock"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{intention, key, open};
use ledger::{Failed, Intention, Refusal};

/// User and system time of this process, in seconds (Linux: /proc/self/stat in 1/100 s).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |field: usize| -> f64 {
        after.split_whitespace().nth(field).and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    let place = match arguments.next() {
        Some(folder) => tempfile::tempdir_in(folder).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let ledger = open(place.path());
    for in_flight in [1_usize, 16, 64, 256] {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let (started, cpu, before) = (Instant::now(), cpu_s(), ledger.size());
        let mut tasks = Vec::new();
        for lane in 0..in_flight {
            let (ledger, stop) = (ledger.clone(), std::sync::Arc::clone(&stop));
            tasks.push(tokio::spawn(async move {
                let mut octets = 0;
                for number in 0_usize.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = key((lane * 31 + number) as u8);
                    let recorded: Result<_, Failed<Refusal>> =
                        ledger.record(move |_| Ok(((), Intention(intention(key))))).await;
                    octets += recorded.unwrap().1.proof().len();
                }
                octets
            }));
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.unwrap();
        }
        let (records, cpu) = ((ledger.size() - before) as f64, cpu_s() - cpu);
        println!(
            "{in_flight:>4} in flight: {:>8.0} records/s, {:>6.1} µs CPU each",
            records / started.elapsed().as_secs_f64(),
            cpu / records * 1e6
        );
    }
}
