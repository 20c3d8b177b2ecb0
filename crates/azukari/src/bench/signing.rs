//! What is asked of the platform, and how an answer is judged: prescriptions over its own interface,
//! or hashes over the CSC interface.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use custody::Purpose;
use hpki::encoding::{Digest32, sha256};
use hpki::id::OrderNumber;
use hpki::kind::DocumentKind;
use hpki::sign::Random as _;
use hsm::SystemRandom;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use wire::csc::{CredentialId, RSA, SHA256};
use wire::refusal::Problem;
use wire::token::{base64_decode, base64_encode};
use wire::{DigestValue, SignAnswer, SignRequest};

use super::check::{Asked, Log};
use super::estate::{CEILING, FACILITY, Signatory};
use crate::clock::{Stopwatch, now};
use crate::http::client::{Answer, Client};
use crate::runtime::Stop;

/// A handle (SAD) lives for a minute; none is used that is older than this.
const FRESH: Duration = Duration::from_secs(45);
/// So many signatures are asked for with one handle.
const EACH_HANDLE: u64 = 500;

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signing {
    /// Prescriptions, over the platform's own interface.
    Prescriptions,
    /// Hashes of other documents, over the CSC interface.
    Hashes,
}

/// What a person's program may still sign by its last handle.
#[derive(Default)]
pub(super) struct Account(Mutex<Option<Handle>>);

struct Handle {
    sad: String,
    left: u64,
    since: Stopwatch,
}

impl Signing {
    pub(super) fn kind(self) -> DocumentKind {
        match self {
            Self::Prescriptions => DocumentKind::Prescription,
            Self::Hashes => DocumentKind::Statement,
        }
    }

    pub(super) fn purpose(self) -> Purpose {
        match self {
            Self::Prescriptions => Purpose::Prescription,
            Self::Hashes => Purpose::Hash,
        }
    }

    /// The file in a kept folder that lists who was prepared: a key is made for one purpose.
    pub(super) fn persons(self) -> &'static str {
        match self {
            Self::Prescriptions => "persons.json",
            Self::Hashes => "writers.json",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Prescriptions => Self::Hashes,
            Self::Hashes => Self::Prescriptions,
        }
    }

    /// What the platform's configuration needs besides: the kind switched on, the program registered.
    pub(super) fn configure(self, file: &Path) -> Result<(), Stop> {
        if self == Self::Prescriptions {
            return Ok(());
        }
        let (kind, facility) = (self.kind(), FACILITY.code);
        let lines = format!(
            "\n[[kind]]\nname = \"{kind}\"\nenabled = true\napproval = \"session\"\n\n\
             [[client]]\nid = \"bench\"\nname = \"計測 (TEST)\"\n\
             certificate = \"tls/{facility}.pem\"\nkinds = [\"{kind}\"]\nraw_hashes = true\n"
        );
        Ok(std::fs::OpenOptions::new().append(true).open(file)?.write_all(lines.as_bytes())?)
    }

    /// One signature, asked for and verified; seconds from request to answer.
    pub(super) async fn one(
        self,
        client: &Client,
        log: &Log,
        signatory: &Signatory,
    ) -> Result<f32, Stop> {
        match self {
            Self::Prescriptions => prescription(client, log, signatory).await,
            Self::Hashes => hash(client, signatory).await,
        }
    }
}

async fn prescription(client: &Client, log: &Log, signatory: &Signatory) -> Result<f32, Stop> {
    let (asked, answer, took) = ask(client, signatory).await?;
    log.check(&asked, signatory, &answer).map_err(|why| unbelieved(&asked, &why))?;
    Ok(took)
}

/// One prescription's digest, the answer, and the seconds between.
pub(super) async fn ask(
    client: &Client,
    signatory: &Signatory,
) -> Result<(Asked, SignAnswer, f32), Stop> {
    let order = OrderNumber::new(now().seconds() * 1000, &SystemRandom);
    let asked = Asked { order, kind: DocumentKind::Prescription, digest: digest() };
    let request =
        SignRequest { order, kind: asked.kind, digest: DigestValue::sha256(&asked.digest) };
    let body = serde_json::to_vec(&request)?;
    let (token, watch) = (Some(signatory.token.as_str()), Stopwatch::start());
    let answer = client.send("POST", wire::path::SIGNATURES, token, Some(body)).await?;
    let took = watch.elapsed().as_secs_f32();
    if answer.status != 200 {
        return Err(refused(answer.status, &answer.body));
    }
    Ok((asked, serde_json::from_slice(&answer.body)?, took))
}

pub(super) fn unbelieved(asked: &Asked, why: &str) -> Stop {
    let order = asked.order;
    format!("注文 {order} の答えは信じられません: {why} (an answer failed verification)").into()
}

/// The time counts `signHash`; a new handle, every 500 signatures or 45 seconds, is asked for before.
async fn hash(client: &Client, signatory: &Signatory) -> Result<f32, Stop> {
    let mut octets = [0; 64];
    SystemRandom.fill(&mut octets);
    let hashed = sha256(&octets);
    let sad = signatory.account.draw(client, signatory).await?;
    let request = json!({
        "credentialID": credential(signatory),
        "SAD": sad,
        "hashes": [base64_encode(&hashed)],
        "hashAlgorithmOID": SHA256,
        "signAlgo": RSA,
    });
    let watch = Stopwatch::start();
    let answer = said(client, signatory, "/csc/v2/signatures/signHash", &request).await?;
    let took = watch.elapsed().as_secs_f32();
    let value = answer["signatures"][0].as_str().and_then(base64_decode);
    let value = value.ok_or("signHash の答えに署名がありません (no signature in the answer)")?;
    signatory.verifying.verify(&octets, &value).map_err(
        |_| "signHash の署名は信じられません (a signature over a hash failed verification)",
    )?;
    Ok(took)
}

impl Account {
    /// A handle with one signature less.
    async fn draw(&self, client: &Client, signatory: &Signatory) -> Result<String, Stop> {
        let mut account = self.0.lock().await;
        match account.as_mut() {
            Some(handle) if handle.left > 0 && handle.since.elapsed() < FRESH => {
                handle.left -= 1;
                Ok(handle.sad.clone())
            }
            _ => {
                let since = Stopwatch::start();
                let asked = json!({
                    "credentialID": credential(signatory),
                    "numSignatures": EACH_HANDLE,
                });
                let granted =
                    said(client, signatory, "/csc/v2/credentials/authorize", &asked).await?;
                let sad = granted["SAD"].as_str().ok_or("SAD がありません (no SAD)")?.to_owned();
                *account = Some(Handle { sad: sad.clone(), left: EACH_HANDLE - 1, since });
                Ok(sad)
            }
        }
    }
}

fn credential(signatory: &Signatory) -> String {
    CredentialId { key: signatory.key, kind: Signing::Hashes.kind() }.to_string()
}

async fn said(
    client: &Client,
    signatory: &Signatory,
    path: &str,
    body: &Value,
) -> Result<Value, Stop> {
    let (token, body) = (Some(signatory.token.as_str()), serde_json::to_vec(body)?);
    let Answer { status, body, .. } = client.send("POST", path, token, Some(body)).await?;
    let answer: Value = serde_json::from_slice(&body)?;
    if status == 200 {
        return Ok(answer);
    }
    Err(format!("{path}: {status} {} – {}", answer["error"], answer["error_description"]).into())
}

fn digest() -> Digest32 {
    let mut digest = [0; 32];
    SystemRandom.fill(&mut digest);
    digest
}

fn refused(status: u16, body: &[u8]) -> Stop {
    match serde_json::from_slice::<Problem>(body) {
        Ok(no) if no.code == "budget-exhausted" || no.code == "hourly-limit" => format!(
            "一人 {CEILING} 件の上限に達しました。--keys を増やすか --seconds を減らしてください ({}: more keys or fewer seconds)",
            no.code
        )
        .into(),
        Ok(no) => format!("{status} {}: {} – {}", no.code, no.title, no.advice).into(),
        Err(_) => format!("{status}: 答えを読めません (an unreadable answer)").into(),
    }
}
