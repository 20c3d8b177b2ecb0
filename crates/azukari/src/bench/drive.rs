//! The load: a number of requests always under way over kept connections, each answer verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::check::Log;
use super::door::Checks;
use super::estate::Signatory;
use super::process::{Cpu, cpu_of};
use super::signing::Signing;
use crate::clock::Stopwatch;
use crate::http::client::Client;
use crate::runtime::Stop;

/// What all workers share.
pub(super) struct Load {
    client: Client,
    signatories: Arc<Vec<Signatory>>,
    work: Work,
    next: AtomicUsize,
    counting: AtomicBool,
    ended: AtomicBool,
}

/// What is asked for.
pub(super) enum Work {
    /// What the platform does.
    Signatures(Signing, Log),
    /// What a door does that has nothing behind it.
    Door(Checks),
}

/// Seconds from request to answer, sorted.
pub(super) struct Latencies(Vec<f32>);

impl Latencies {
    pub(super) fn new(mut seconds: Vec<f32>) -> Result<Self, Stop> {
        if seconds.is_empty() {
            return Err("この時間では一件も終わりません。--seconds を増やしてください (no answer within this time)".into());
        }
        seconds.sort_unstable_by(f32::total_cmp);
        Ok(Self(seconds))
    }

    /// How many answers there were.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The latency that this share of the answers did not exceed, in milliseconds.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let place = (self.0.len() as f64 * share) as usize;
        let last = self.0.len().saturating_sub(1);
        self.0.get(place.min(last)).map_or(0.0, |seconds| f64::from(*seconds) * 1000.0)
    }
}

/// What was measured.
pub(super) struct Driven {
    pub(super) latencies: Latencies,
    pub(super) seconds: f64,
    pub(super) platform: Cpu,
    pub(super) client: Cpu,
    /// Answers per second while each key was used for the first time.
    pub(super) cold_per_s: f64,
    /// At half of that load.
    pub(super) half_load: Option<Latencies>,
}

/// One of the times in which it was driven.
pub(super) struct Slice {
    pub(super) latencies: Vec<f32>,
    pub(super) seconds: f64,
    pub(super) platform: Cpu,
    pub(super) client: Cpu,
}

impl Slice {
    /// Verified answers per second.
    pub(super) fn per_s(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }
}

/// A worker's latencies.
type Worked = Result<Vec<f32>, Stop>;

/// Until the load has its shape, nothing is counted.
const RUN_UP: Duration = Duration::from_millis(200);

impl Driven {
    /// What several times make together; the keys' first uses were before them.
    pub(super) fn of(slices: Vec<Slice>, cold_per_s: f64) -> Result<Self, Stop> {
        let (mut latencies, mut seconds) = (Vec::new(), 0.0);
        let (mut platform, mut client) = (Cpu(0.0), Cpu(0.0));
        for mut slice in slices {
            latencies.append(&mut slice.latencies);
            seconds += slice.seconds;
            platform = platform.and(slice.platform);
            client = client.and(slice.client);
        }
        let latencies = Latencies::new(latencies)?;
        Ok(Self { latencies, seconds, platform, client, cold_per_s, half_load: None })
    }

    /// Verified answers per second.
    pub(super) fn per_s(&self) -> f64 {
        self.latencies.count() as f64 / self.seconds
    }

    /// Processor time of the process for one answer, in microseconds.
    pub(super) fn platform_us(&self) -> f64 {
        self.platform.0 * 1e6 / self.latencies.count() as f64
    }

    /// The client's.
    pub(super) fn client_us(&self) -> f64 {
        self.client.0 * 1e6 / self.latencies.count() as f64
    }
}

impl Load {
    pub(super) fn new(client: Client, signatories: Arc<Vec<Signatory>>, work: Work) -> Self {
        let (next, counting, ended) = Default::default();
        Self { client, signatories, work, next, counting, ended }
    }

    /// Lets every key sign twice. Answers per second while each was used for the first time.
    pub(super) async fn warm(self: &Arc<Self>, in_flight: usize) -> Result<f64, Stop> {
        let mut workers = self.begin(in_flight);
        let warm = Stopwatch::start();
        while self.next.load(Ordering::Relaxed) < self.signatories.len() + in_flight {
            pause(&mut workers, Duration::from_millis(5)).await?;
        }
        let cold_per_s = self.signatories.len() as f64 / warm.elapsed().as_secs_f64();
        while self.next.load(Ordering::Relaxed) < 2 * self.signatories.len() + in_flight
            || warm.elapsed() < Duration::from_secs(1)
        {
            pause(&mut workers, Duration::from_millis(20)).await?;
        }
        self.end(workers).await?;
        Ok(cold_per_s)
    }

    /// Drives the platform, which is this process, for a while.
    pub(super) async fn drive(
        self: &Arc<Self>,
        platform: u32,
        in_flight: usize,
        time: Duration,
    ) -> Result<Slice, Stop> {
        let mut workers = self.begin(in_flight);
        pause(&mut workers, RUN_UP).await?;
        let us = std::process::id();
        let (watch, before) = (Stopwatch::start(), (cpu_of(platform)?, cpu_of(us)?));
        self.counting.store(true, Ordering::Relaxed);
        pause(&mut workers, time).await?;
        self.counting.store(false, Ordering::Relaxed);
        let (seconds, after) = (watch.elapsed().as_secs_f64(), (cpu_of(platform)?, cpu_of(us)?));
        let latencies = self.end(workers).await?;
        let (platform, client) = (after.0.since(before.0), after.1.since(before.1));
        Ok(Slice { latencies, seconds, platform, client })
    }

    fn begin(self: &Arc<Self>, in_flight: usize) -> JoinSet<Worked> {
        self.ended.store(false, Ordering::Relaxed);
        (0..in_flight).map(|_| Arc::clone(self).work()).collect()
    }

    async fn end(&self, mut workers: JoinSet<Worked>) -> Worked {
        self.ended.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        while let Some(worker) = workers.join_next().await {
            latencies.append(&mut worker??);
        }
        Ok(latencies)
    }

    /// Sends so many requests per second, whether the answers keep up or not: a latency counts from
    /// the moment at which the request was due.
    pub(super) async fn pace(
        self: Arc<Self>,
        per_s: f64,
        in_flight: usize,
        time: Duration,
    ) -> Result<Latencies, Stop> {
        let (begun, due) = (Stopwatch::start(), Arc::new(AtomicUsize::new(0)));
        let mut workers = JoinSet::new();
        for _ in 0..in_flight {
            let (load, due) = (Arc::clone(&self), Arc::clone(&due));
            workers.spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let turn = due.fetch_add(1, Ordering::Relaxed);
                    let at = Duration::from_secs_f64(turn as f64 / per_s);
                    if at >= time {
                        return Ok::<_, Stop>(latencies);
                    }
                    tokio::time::sleep(at.saturating_sub(begun.elapsed())).await;
                    let place = turn % load.signatories.len();
                    let Some(signatory) = load.signatories.get(place) else { continue };
                    let late = begun.elapsed().saturating_sub(at).as_secs_f32();
                    latencies.push(late + load.one(signatory).await?);
                }
            });
        }
        let mut latencies = Vec::new();
        while let Some(worker) = workers.join_next().await {
            latencies.append(&mut worker??);
        }
        Latencies::new(latencies)
    }

    async fn work(self: Arc<Self>) -> Worked {
        let mut latencies = Vec::new();
        while !self.ended.load(Ordering::Relaxed) {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.signatories.len();
            let Some(signatory) = self.signatories.get(turn) else { break };
            let took = self.one(signatory).await?;
            if self.counting.load(Ordering::Relaxed) {
                latencies.push(took);
            }
        }
        Ok(latencies)
    }

    async fn one(&self, signatory: &Signatory) -> Result<f32, Stop> {
        match &self.work {
            Work::Signatures(signing, log) => signing.one(&self.client, log, signatory).await,
            Work::Door(checks) => checks.one(&self.client, signatory).await,
        }
    }
}

/// Waits, unless a worker fails first.
async fn pause(workers: &mut JoinSet<Worked>, time: Duration) -> Result<(), Stop> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        Some(ended) = workers.join_next() => ended?.map(drop),
    }
}
