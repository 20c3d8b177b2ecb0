//! `azukari bench authenticate`: the national morning. Physicians authenticate at a terminal of one
//! institution, each by her phone or card, and the terminal fetches her token: how many a second, beside
//! what the processors do if they verify such signatures and nothing else: P-256 of phones, RSA-2048 of
//! cards.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use approval::{CardMeans, SessionStatement};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use clap::Args;
use hpki::id::PersonId;
use hpki::kind::DocumentKind;
use hpki::policy::{Algorithm, VerifyingKey};
use hpki::sign::Sign as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use town::card::CardKey;
use wire::{
    Base64, CardAnswerAnswer, CardAnswerRequest, CardAskAnswer, CardAskRequest, CeremonyState,
    SessionApproveAnswer, SessionApproveRequest, SessionClaimAnswer, SessionClaimRequest,
    StartAnswer, StartRequest, Terminal,
};

use super::cards::{self, Card, Means};
use super::drive::Latencies;
use super::estate::{self, FACILITY, Person, URL};
use super::phone::scan;
use super::process::{self, Cpu, cpu_of};
use super::raw::{self, Raw};
use super::signing::Signing;
use super::{Folder, blocking, free_address, show};
use crate::clock::Stopwatch;
use crate::demo::Keys;
use crate::http;
use crate::http::browser::DEVICE;
use crate::http::client::{Answer, Client};
use crate::runtime::Stop;

/// What one morning of the whole country asks for, each second (350,000 physicians within twenty
/// minutes).
const NATIONAL_MORNING: f64 = 300.0;
/// What an authenticator signs: authenticator data, 37 octets, and a hash.
const MESSAGE: usize = 37 + 32;

/// Flags of `azukari bench authenticate`.
#[derive(Args, Clone)]
pub(crate) struct AuthenticateArguments {
    /// 端から端までを測る秒数 (seconds of the end-to-end measurement)
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    seconds: u64,
    /// 結果を JSON で一つ出す (print one JSON object)
    #[arg(long)]
    json: bool,
    /// 本人と電話の数 (distinct persons, each with her phone)
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    keys: u64,
    /// 同時に進む本人認証の数 (authentications under way)
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=256))]
    in_flight: u64,
    /// 手段 (by which means everybody authenticates)
    #[arg(long, value_enum, default_value_t = Means::Phone)]
    means: Means,
    /// 準備した鍵を残して次も使うフォルダ (keep and reuse prepared persons here)
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Measures and prints.
pub(super) async fn measure(
    arguments: &AuthenticateArguments,
    ended: &Arc<AtomicBool>,
) -> Result<(), Stop> {
    let AuthenticateArguments { seconds, json, keys, in_flight, folder, means } = arguments;
    let (keys, in_flight) = (usize::try_from(*keys)?, usize::try_from(*in_flight)?);
    if in_flight > keys {
        return Err("--in-flight は --keys 以下にしてください。一人は一度に一つだけ認証します (one person authenticates once at a time)".into());
    }
    let time = Duration::from_secs(*seconds);
    let folder = Folder::open(folder.as_deref())?;
    let listen = free_address()?;
    let signing = Signing::Prescriptions;
    let estate = estate::prepare(folder.path(), keys, listen, Keys::Vault, signing, false).await?;
    let persons = estate::persons(folder.path(), keys, signing)?;
    let cards = match means {
        Means::Phone => Vec::new(),
        Means::Hpki => cards::issue(&estate.config, &estate.signatories, CardMeans::Hpki).await?,
        Means::Jpki => cards::issue(&estate.config, &estate.signatories, CardMeans::Jpki).await?,
    };
    let owners = estate.signatories.iter().map(|person| person.person).collect();

    let raw_time = time.min(Duration::from_secs(3));
    let before = measure_raw(*means, raw_time, ended).await?;
    let mut started = process::serve(&estate.config, listen).await?;
    let platform = started.process.id().ok_or("基盤が終わりました (the platform ended)")?;
    let ca = estate.tls.join("facility-ca.pem");
    let identity = |kind: &str| estate.tls.join(format!("{}.{kind}", FACILITY.code));
    let facility = http::tls::client(&ca, Some((&identity("pem"), &identity("key"))))?;
    let url = format!("https://localhost:{}", listen.port());
    let patience = Duration::from_secs(20);
    let morning = Arc::new(Morning {
        gateway: Client::new(&url, Some(facility), patience)?,
        phones: Client::new(&url, Some(http::tls::client(&ca, None)?), patience)?,
        persons,
        cards,
        owners,
        next: AtomicUsize::default(),
        counting: AtomicBool::default(),
        ended: AtomicBool::default(),
    });
    let driven = morning.drive(platform, in_flight, time).await?;
    crate::runtime::terminate(&mut started.process).await;
    let raw = Raw::mean(&[before, measure_raw(*means, raw_time, ended).await?]);

    let authentications = driven.whole.count() as u64;
    let each_us = |cpu: Cpu| cpu.0 * 1e6 / authentications as f64;
    let per_s = authentications as f64 / driven.seconds;
    let figures = Figures {
        means: means.name(),
        raw_per_s: raw.per_s,
        end_to_end_per_s: per_s,
        ratio: per_s / raw.per_s,
        cpu_ratio: raw.cpu_s_each * 1e6 / each_us(driven.platform),
        national_mornings: per_s / NATIONAL_MORNING,
        p50_ms: driven.whole.percentile(0.50),
        p99_ms: driven.whole.percentile(0.99),
        approve_p50_ms: driven.approving.percentile(0.50),
        approve_p99_ms: driven.approving.percentile(0.99),
        in_flight,
        seconds: driven.seconds,
        keys,
        cores: raw::cores(),
        authentications,
        raw_cpu_us: raw.cpu_s_each * 1e6,
        platform_cpu_us: each_us(driven.platform),
        client_cpu_us: each_us(driven.client),
    };
    println!("{}", if *json { show::json(&figures)? } else { figures.table() });
    Ok(())
}

/// Verifications on all cores, as an answer of this means is verified.
async fn measure_raw(means: Means, time: Duration, ended: &Arc<AtomicBool>) -> Result<Raw, Stop> {
    match means {
        Means::Phone => measure_p256(time, ended).await,
        Means::Hpki | Means::Jpki => measure_rsa(time, ended).await,
    }
}

/// RSA-2048 over the 32 octets of a challenge: one verification, where judging an HPKI card takes that
/// of its chain and lists besides.
async fn measure_rsa(time: Duration, ended: &Arc<AtomicBool>) -> Result<Raw, Stop> {
    let ended = Arc::clone(ended);
    blocking(move || {
        let card = CardKey::generate().map_err(|fault| fault.to_string())?;
        let signed = (0..64_u8)
            .map(|number| {
                Ok(([number; 32], card.sign(&[number; 32]).map_err(|why| why.to_string())?))
            })
            .collect::<Result<Vec<_>, Stop>>()?;
        let key = VerifyingKey::new(Algorithm::RsaSha256, card.spki_der())?;
        raw::on_all_cores(time, &ended, |turn| {
            let (challenge, signature) = &signed[turn % signed.len()];
            Ok(key.verify(challenge, signature)?)
        })
    })
    .await
}

/// P-256, as an assertion is verified: the key as octets, a message of that length.
async fn measure_p256(time: Duration, ended: &Arc<AtomicBool>) -> Result<Raw, Stop> {
    let ended = Arc::clone(ended);
    blocking(move || {
        let random = SystemRandom::new();
        let signed = (0..64_u8)
            .map(|number| {
                let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
                let message = [number; MESSAGE];
                let signature = key.sign(&random, &message)?;
                Ok((key.public_key().as_ref().to_vec(), message, signature))
            })
            .collect::<Result<Vec<_>, Stop>>()?;
        raw::on_all_cores(time, &ended, |turn| {
            let (key, message, signature) = &signed[turn % signed.len()];
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
            Ok(key.verify(message, signature.as_ref())?)
        })
    })
    .await
}

/// What all workers share.
struct Morning {
    gateway: Client,
    phones: Client,
    persons: Vec<Person>,
    /// In the order of `owners`; none where everybody has her phone.
    cards: Vec<Card>,
    owners: Vec<PersonId>,
    next: AtomicUsize,
    counting: AtomicBool,
    ended: AtomicBool,
}

/// What was measured.
struct Driven {
    /// From the terminal's question to its token.
    whole: Latencies,
    /// From the phone's signature to its answer.
    approving: Latencies,
    seconds: f64,
    platform: Cpu,
    client: Cpu,
}

impl Morning {
    /// Drives the platform, which is this process, for a while, after a second of warming up.
    async fn drive(
        self: Arc<Self>,
        platform: u32,
        in_flight: usize,
        time: Duration,
    ) -> Result<Driven, Stop> {
        let mut workers = JoinSet::new();
        for _ in 0..in_flight {
            workers.spawn(Arc::clone(&self).work());
        }
        pause(&mut workers, Duration::from_secs(1)).await?;
        let us = std::process::id();
        let (watch, before) = (Stopwatch::start(), (cpu_of(platform)?, cpu_of(us)?));
        self.counting.store(true, Ordering::Relaxed);
        pause(&mut workers, time).await?;
        self.counting.store(false, Ordering::Relaxed);
        let (seconds, after) = (watch.elapsed().as_secs_f64(), (cpu_of(platform)?, cpu_of(us)?));
        self.ended.store(true, Ordering::Relaxed);
        let (mut whole, mut approving) = (Vec::new(), Vec::new());
        while let Some(worker) = workers.join_next().await {
            for (all, approved) in worker?? {
                whole.push(all);
                approving.push(approved);
            }
        }
        Ok(Driven {
            whole: Latencies::new(whole)?,
            approving: Latencies::new(approving)?,
            seconds,
            platform: after.0.since(before.0),
            client: after.1.since(before.1),
        })
    }

    async fn work(self: Arc<Self>) -> Result<Vec<(f32, f32)>, Stop> {
        let mut took = Vec::new();
        while !self.ended.load(Ordering::Relaxed) {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.persons.len();
            let one = match (self.cards.get(turn), self.owners.get(turn), self.persons.get(turn)) {
                (Some(card), Some(owner), _) => self.by_card(card, *owner).await?,
                (_, _, Some(person)) => self.one(person).await?,
                _ => break,
            };
            if self.counting.load(Ordering::Relaxed) {
                took.push(one);
            }
        }
        Ok(took)
    }

    /// The same by card: no page, no QR, and the terminal computes the challenge itself.
    async fn by_card(&self, card: &Card, owner: PersonId) -> Result<(f32, f32), Stop> {
        let whole = Stopwatch::start();
        let started: StartAnswer =
            ask(&self.gateway, "POST", wire::path::CEREMONIES, Some(&begins(owner))).await?;
        let at = |path: &str| path.replace("{ceremony}", &started.ceremony.to_string());
        let request = CardAskRequest {
            means: card.means.name().to_owned(),
            certificate: Base64(card.certificate.clone()),
        };
        let asked: CardAskAnswer =
            ask(&self.gateway, "POST", &at(wire::path::CEREMONY_CARD), Some(&request)).await?;
        let shown: SessionStatement = serde_json::from_value(asked.statement)?;
        let signature = card.key.sign(&shown.challenge()).map_err(|fault| fault.to_string())?;
        let answer = CardAnswerRequest { signature: Base64(signature) };
        let approving = Stopwatch::start();
        let path = at(wire::path::CEREMONY_CARD_ANSWER);
        let _: CardAnswerAnswer = ask(&self.gateway, "POST", &path, Some(&answer)).await?;
        let approving = approving.elapsed().as_secs_f32();
        let path = at(wire::path::CEREMONY);
        let state: CeremonyState = ask::<(), _>(&self.gateway, "GET", &path, None).await?;
        if state.token.is_none_or(|token| token.person != owner) {
            return Err("トークンが出ません (no token of hers was released)".into());
        }
        Ok((whole.elapsed().as_secs_f32(), approving))
    }

    /// One authentication, from the terminal's question to its token: seconds of the whole, and of
    /// the phone's answer alone.
    async fn one(&self, person: &Person) -> Result<(f32, f32), Stop> {
        let whole = Stopwatch::start();
        let started: StartAnswer =
            ask(&self.gateway, "POST", wire::path::CEREMONIES, Some(&begins(person.id))).await?;
        let (ceremony, secret) = scan(&started.qr)?;
        let cookie = format!("{DEVICE}={}", person.device);
        let phone = self.phones.as_page(URL, Some(cookie));
        let claim = SessionClaimRequest { ceremony: ceremony.clone(), secret };
        let claimed: SessionClaimAnswer =
            ask(&phone, "POST", wire::path::SESSION_CLAIM, Some(&claim)).await?;
        let shown: SessionStatement = serde_json::from_value(claimed.statement)?;
        let credential = person.phone.get(&shown.challenge())?;
        let approval = SessionApproveRequest { ceremony, credential };
        let approving = Stopwatch::start();
        let approved: SessionApproveAnswer =
            ask(&phone, "POST", wire::path::SESSION_APPROVE, Some(&approval)).await?;
        let approving = approving.elapsed().as_secs_f32();
        if approved.number.is_some() {
            return Err(
                "三桁の番号を求められました (a place that she knows must not be confirmed)".into(),
            );
        }
        let path = wire::path::CEREMONY.replace("{ceremony}", &started.ceremony.to_string());
        let state: CeremonyState = ask::<(), _>(&self.gateway, "GET", &path, None).await?;
        if state.token.is_none_or(|token| token.person != person.id) {
            return Err("トークンが出ません (no token of hers was released)".into());
        }
        Ok((whole.elapsed().as_secs_f32(), approving))
    }
}

/// What the terminal asks for.
fn begins(person: PersonId) -> StartRequest {
    let terminal = FACILITY.terminals[0];
    StartRequest {
        terminal: Terminal { id: terminal.id.into(), label: terminal.label.into() },
        expected_person: Some(person),
        kinds: vec![DocumentKind::Prescription],
        count: 300,
        hours: 18,
    }
}

/// JSON out, JSON in; anything but 200 ends the run.
async fn ask<B: Serialize, T: DeserializeOwned>(
    client: &Client,
    method: &str,
    path: &str,
    body: Option<&B>,
) -> Result<T, Stop> {
    let body = body.map(serde_json::to_vec).transpose()?;
    let Answer { status, body, .. } = client.send(method, path, None, body).await?;
    if status != 200 {
        let said = String::from_utf8_lossy(&body);
        return Err(format!("{path}: {status} {said} (an authentication was refused)").into());
    }
    Ok(serde_json::from_slice(&body)?)
}

/// Waits, unless a worker fails first.
async fn pause<T: 'static>(
    workers: &mut JoinSet<Result<T, Stop>>,
    time: Duration,
) -> Result<(), Stop> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        Some(ended) = workers.join_next() => ended?.map(drop),
    }
}

/// The result, in the order in which it is printed.
#[derive(Debug, Serialize)]
struct Figures {
    /// `phone`, `hpki` or `jpki`.
    means: &'static str,
    /// Verifications per second on all cores (P-256 of phones, RSA-2048 of cards), nothing else running.
    raw_per_s: f64,
    /// Authentications per second, from the terminal's question to its token.
    end_to_end_per_s: f64,
    /// `end_to_end_per_s` ÷ `raw_per_s`
    ratio: f64,
    /// Processor time of a raw verification ÷ the platform's for one authentication.
    cpu_ratio: f64,
    /// `end_to_end_per_s` ÷ 300
    national_mornings: f64,
    p50_ms: f64,
    p99_ms: f64,
    approve_p50_ms: f64,
    approve_p99_ms: f64,
    in_flight: usize,
    seconds: f64,
    keys: usize,
    cores: usize,
    authentications: u64,
    raw_cpu_us: f64,
    platform_cpu_us: f64,
    client_cpu_us: f64,
}

impl Figures {
    fn table(&self) -> String {
        let mark = if self.national_mornings >= 1.0 { "✓" } else { "△" };
        let mut lines = vec![
            format!(
                "■ 本人認証の速さ  {} 人、手段 {}、{} コア (authentication speed)",
                self.keys, self.means, self.cores
            ),
            String::new(),
            format!(
                "  検証だけ            {:>9.0} /s   検証 1 件の CPU {:>6.0} µs   (raw verification)",
                self.raw_per_s, self.raw_cpu_us
            ),
            format!(
                "  端から端まで        {:>9.0} /s   基盤 {:>6.0} µs、端末と電話 {:>6.0} µs   (end to end)",
                self.end_to_end_per_s, self.platform_cpu_us, self.client_cpu_us
            ),
            String::new(),
            format!(
                "  {mark} 全国の朝 300 /s に対し {:>6.2} 倍   (national mornings)",
                self.national_mornings
            ),
            format!(
                "    検証だけとの比     {:>9.4}      CPU の比 {:.4}   (ratio, cpu_ratio)",
                self.ratio, self.cpu_ratio
            ),
            format!(
                "    端末が待つ時間     {:>9.1} ms   99% は {:.1} ms 以内   (p50, p99)",
                self.p50_ms, self.p99_ms
            ),
            format!(
                "    電話・カードが待つ     {:>9.1} ms   99% は {:.1} ms 以内   (approve p50, p99)",
                self.approve_p50_ms, self.approve_p99_ms
            ),
            format!(
                "    同時 {} 件、{:.1} 秒、{} 件すべてにトークン (in flight, seconds, each with a token)",
                self.in_flight, self.seconds, self.authentications
            ),
            String::new(),
        ];
        if cfg!(debug_assertions) {
            lines.push("  開発用ビルドです。cargo run --release -- bench authenticate で測ってください (a debug build says nothing about speed)".into());
        }
        lines.push(
            "  何をどう測ったかは docs/benchmarks.md にあります (what was measured, and how)"
                .into(),
        );
        lines.join("\n")
    }
}
