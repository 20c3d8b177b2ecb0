//! `azukari witness`: cosigns the checkpoints of logs that only grow (C2SP tlog-witness). Whoever
//! should be independent of the platform runs one, each certification authority for example.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequest as _, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Args;
use hpki::sign::Sign;
use hsm::{DeviceConfig, SystemRandom, UnsealSecret};
use ledger::tlog::WitnessKey;
use ledger::{Failed, Refusal, Witness};

use crate::clock::now;
use crate::config::WitnessConfig;
use crate::http;
use crate::http::problem::Trouble;
use crate::runtime::Stop;

/// How long a request's body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// Flags of `azukari witness`.
#[derive(Args)]
pub(crate) struct WitnessArguments {
    /// 設定ファイル (configuration; see azukari.example.toml)
    #[arg(long)]
    config: PathBuf,
    /// 鍵と保管場所を作り、検証鍵を表示して終わる (make the key, print its public half and end)
    #[arg(long)]
    init: bool,
}

/// Runs a witness, or makes one.
pub(crate) fn run(arguments: WitnessArguments) -> ExitCode {
    crate::runtime::run(async move {
        let config = WitnessConfig::load(&arguments.config)?;
        if arguments.init {
            println!("{}", init(&config)?);
            return Ok(());
        }
        let (stop, stopped) = crate::runtime::until_interrupted();
        let tls = match &config.tls {
            Some((certificate, key)) => Some(http::tls::open_server(certificate, key)?),
            None => None,
        };
        let witness = open(&config)?;
        let listener = http::server::bind(config.listen).await?;
        eprintln!(
            "立会人を {} で開きました。{} (the witness is open; Ctrl-C ends it)",
            config.listen,
            witness.key()
        );
        http::server::serve(listener, tls, router(Arc::new(witness)), stopped).await;
        drop(stop);
        Ok(())
    })
}

fn device(config: &WitnessConfig) -> DeviceConfig {
    DeviceConfig::vault(config.folder.join("vault"))
}

fn key(config: &WitnessConfig) -> Result<Arc<dyn Sign>, Stop> {
    let secret = UnsealSecret::from_file(&config.unseal_secret)?;
    Ok(hsm::open(&device(config), &secret, 1)?.log.split().0)
}

/// Makes the vault, its secret and the key; what is there already is left as it is.
pub(crate) fn init(config: &WitnessConfig) -> Result<WitnessKey, Stop> {
    std::fs::create_dir_all(&config.folder)?;
    if !config.unseal_secret.exists() {
        let secret = UnsealSecret::random(&SystemRandom);
        secret.to_file(&config.unseal_secret)?;
        hsm::create(&device(config), &secret)?;
    }
    Ok(Witness::key_of(&config.name, key(config)?)?)
}

/// Opens a witness that was made before.
pub(crate) fn open(config: &WitnessConfig) -> Result<Witness, Stop> {
    let logs = config.log_keys.iter().map(|file| crate::journal::read_key(file));
    let logs = logs.collect::<Result<Vec<_>, _>>()?;
    Ok(Witness::open(&config.folder.join("store"), &config.name, key(config)?, logs)?)
}

/// Reads a witness's public key file.
pub(crate) fn read_key(file: &Path) -> Result<WitnessKey, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} を読めません: {error} (cannot read)", file.display()))?;
    text.trim().parse::<WitnessKey>().map_err(|error| format!("{}: {error}", file.display()))
}

/// The witness's one door.
pub(crate) fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(axum::extract::DefaultBodyLimit::max(128 * 1024))
        .with_state(witness)
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, request: Request) -> Response {
    let body = tokio::time::timeout(ARRIVAL, String::from_request(request, &())).await;
    let Ok(Ok(body)) = body else {
        return Trouble::refused("witness-request-malformed", "no text arrived").into_response();
    };
    match witness.add_checkpoint(&body, now()).await {
        Ok(lines) => lines.into_response(),
        Err(Failed::Refused(Refusal::WitnessSizeConflict(size))) => {
            let form = [(header::CONTENT_TYPE, "text/x.tlog.size")];
            (StatusCode::CONFLICT, form, format!("{size}\n")).into_response()
        }
        Err(failed) => {
            // Where the protocol wants another status than our table.
            let status = match &failed {
                Failed::Refused(Refusal::CheckpointSignatureWrong(_)) => {
                    Some(StatusCode::FORBIDDEN)
                }
                Failed::Refused(Refusal::CheckpointMalformed(_)) => Some(StatusCode::BAD_REQUEST),
                _ => None,
            };
            let mut response = Trouble::from(failed).into_response();
            if let Some(status) = status {
                *response.status_mut() = status;
            }
            response
        }
    }
}
