//! A door with nothing behind it: the same requests and answers over the same mutual TLS, each signed
//! and checked against its public key, but no token, no decision, no record. What it reaches is what
//! HTTP, TLS and the signature leave; what the platform does for custody and journal comes on top.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use axum::extract::{Extension, State};
use axum::routing::post;
use axum::{Json, Router};
use clap::Args;
use hpki::policy::VerifyingKey;
use hpki::sign::{Random as _, SignatureAlgorithm};
use wire::{Base64, SignAnswer, SignRequest};
use xades::compose::{Draft, Recipe, Signer};

use super::check::composed;
use super::estate::Signatory;
use super::process::{self, Started};
use super::raw;
use super::signing::{ask, unbelieved};
use crate::clock::now;
use crate::config::PlatformConfig;
use crate::http;
use crate::http::ask::Ask;
use crate::http::client::Client;
use crate::http::problem::Trouble;
use crate::http::tls::Peer;
use crate::runtime::Stop;

/// The length of a proof in a journal of some hundred thousand entries.
const PROOF: usize = 1_900;

/// What the process of the door is told; nobody else starts one.
#[derive(Args, Clone)]
pub(crate) struct DoorArguments {
    /// The platform's configuration: its TLS files are used.
    #[arg(long)]
    pub(super) config: PathBuf,
    /// The keys to sign with.
    #[arg(long)]
    pub(super) keys: PathBuf,
    /// A certificate to put into the answers, DER; it belongs to none of the keys.
    #[arg(long)]
    pub(super) certificate: PathBuf,
    #[arg(long)]
    pub(super) listen: SocketAddr,
}

struct Door {
    keys: Vec<KeyPair>,
    verifying: Vec<VerifyingKey>,
    signer: Signer,
    certificate: Vec<u8>,
    turn: AtomicUsize,
}

/// Starts a door that has the platform's TLS files.
pub(super) async fn start(
    config: &Path,
    keys: &Path,
    certificate: &[u8],
    listen: SocketAddr,
) -> Result<Started, Stop> {
    let file = keys.with_file_name("door-certificate.der");
    std::fs::write(&file, certificate)?;
    let address = listen.to_string();
    let arguments: [&OsStr; 10] = [
        "bench".as_ref(),
        "door".as_ref(),
        "--config".as_ref(),
        config.as_os_str(),
        "--keys".as_ref(),
        keys.as_os_str(),
        "--certificate".as_ref(),
        file.as_os_str(),
        "--listen".as_ref(),
        address.as_ref(),
    ];
    process::start(&arguments, &keys.with_file_name("door.log"), listen).await
}

/// Serves until it is ended. Whoever shows no client certificate is not served.
pub(super) async fn serve(arguments: &DoorArguments) -> Result<(), Stop> {
    let config = PlatformConfig::load(&arguments.config)?;
    let keys = raw::kept(&arguments.keys)?;
    let tls = http::tls::server(&config.tls_certificate, &config.tls_key, &config.facility_ca)?;
    let certificate = std::fs::read(&arguments.certificate)?;
    let verifying = verifying(&keys)?;
    let signer = Signer::new(&certificate);
    let door = Arc::new(Door { keys, verifying, signer, certificate, turn: AtomicUsize::new(0) });
    let router = Router::new().route(wire::path::SIGNATURES, post(sign)).with_state(door);
    let listener = http::server::bind(arguments.listen).await?;
    let (_going, stop) = tokio::sync::watch::channel(false);
    http::server::serve(listener, Some(tls), router, stop).await;
    Ok(())
}

async fn sign(
    State(door): State<Arc<Door>>,
    _: Extension<Arc<Peer>>,
    Ask(request): Ask<SignRequest>,
) -> Result<Json<SignAnswer>, Trouble> {
    let broken = |why: &str| Trouble::refused("request-malformed", why);
    let digest = request.digest.octets().ok_or_else(|| broken("no digest"))?;
    let place = door.turn.fetch_add(1, Ordering::Relaxed) % door.keys.len();
    let (Some(key), Some(verifying)) = (door.keys.get(place), door.verifying.get(place)) else {
        return Err(broken("no keys"));
    };
    let mut recipe = Recipe { kind: request.kind, digest, signing_time: now(), mark: [0; 4] };
    hsm::SystemRandom.fill(&mut recipe.mark);
    let draft = Draft::new(&recipe, &door.signer);
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), draft.signed_info(), &mut signature)
        .map_err(|_| broken("no signature"))?;
    verifying
        .verify(draft.signed_info(), &signature)
        .map_err(|_| broken("the signature does not verify"))?;
    Ok(Json(SignAnswer {
        order: request.order,
        kind: request.kind,
        signature: Base64(draft.finish(&signature).into_bytes()),
        certificate: Base64(door.certificate.clone()),
        signing_time: recipe.signing_time,
        index: place as u64,
        proof: "-".repeat(PROOF),
        left: 0,
    }))
}

/// What the door's answers are checked with.
pub(super) struct Checks {
    signer: Signer,
    verifying: Vec<VerifyingKey>,
}

impl Checks {
    pub(super) fn new(keys: &[KeyPair], certificate: &[u8]) -> Result<Self, Stop> {
        Ok(Self { signer: Signer::new(certificate), verifying: verifying(keys)? })
    }

    /// One signature, asked for and verified; seconds from request to answer.
    pub(super) async fn one(&self, client: &Client, signatory: &Signatory) -> Result<f32, Stop> {
        let (asked, answer, took) = ask(client, signatory).await?;
        let verifying = usize::try_from(answer.index).ok().and_then(|key| self.verifying.get(key));
        let verifying = verifying.ok_or("no such key")?;
        composed(&asked, &self.signer, verifying, &answer)
            .map_err(|why| unbelieved(&asked, &why))?;
        Ok(took)
    }
}

/// The public halves, as those who check signatures know them.
fn verifying(keys: &[KeyPair]) -> Result<Vec<VerifyingKey>, Stop> {
    keys.iter()
        .map(|key| {
            let spki: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
                aws_lc_rs::encoding::AsDer::as_der(key.public_key())?;
            Ok(VerifyingKey::new(SignatureAlgorithm::RsaSha256, spki.as_ref())?)
        })
        .collect()
}
