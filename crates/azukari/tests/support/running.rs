//! Programs under test as processes of their own, that do not outlive their test, and the way an
//! outside program has to the platform: mutual TLS, orders that it keeps and repeats.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wire::{SignAnswer, SignRequest};

pub const AZUKARI: &str = env!("CARGO_BIN_EXE_azukari");
/// Longer than anything here may take; only a program that hangs meets it.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const GLANCE: Duration = Duration::from_millis(20);
/// What a repeated order may be told by the table of crashes, besides its answer: come again.
pub const COME_AGAIN: &str = "order-in-progress";

/// A program that does not outlive its test.
pub struct Running(pub Child);

impl Running {
    pub fn start(arguments: &[&str], said: &Path) -> Self {
        Self::start_as(arguments, said, &|_| {})
    }

    /// The same, with whatever else is said about the process.
    pub fn start_as(arguments: &[&str], said: &Path, also: &dyn Fn(&mut Command)) -> Self {
        let said = File::options().create(true).append(true).open(said).unwrap();
        let mut command = Command::new(AZUKARI);
        command.args(arguments).stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        also(&mut command);
        Self(command.spawn().unwrap())
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// SIGKILL: it cannot be caught, nothing is flushed or closed.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to end, as Ctrl-C would, and waits.
    pub async fn end(&mut self) {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(asked.success());
        look(|| self.has_ended().then_some(())).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks again until there is something, for as long as patience lasts.
pub async fn look<T>(mut at: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = at() {
                return found;
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it did not come to pass")
}

/// Starts the platform of this configuration and waits until it answers at its address.
pub async fn serve(
    config: &Path,
    said: &Path,
    address: SocketAddr,
    connector: &TlsConnector,
) -> Running {
    serve_as(config, said, address, connector, &|_| {}).await
}

/// The same, with whatever else is said about the process.
pub async fn serve_as(
    config: &Path,
    said: &Path,
    address: SocketAddr,
    connector: &TlsConnector,
    also: &dyn Fn(&mut Command),
) -> Running {
    let starting = async {
        // A passing client may hold the port that was chosen: then it is tried again.
        loop {
            let arguments = ["serve", "--config", config.to_str().unwrap()];
            let mut platform = Running::start_as(&arguments, said, also);
            while !platform.has_ended() {
                if let Ok(mut line) = Line::open(address, connector).await
                    && line.get("/v1/facility").await.is_some_and(|(status, _)| status == 200)
                {
                    return platform;
                }
                tokio::time::sleep(GLANCE).await;
            }
        }
    };
    match timeout(PATIENCE, starting).await {
        Ok(platform) => platform,
        Err(_) => panic!("no start: {}", std::fs::read_to_string(said).unwrap()),
    }
}

/// Has the binary found a town in this folder, takes what `demo.json` hands out, and closes it.
pub async fn found(folder: &Path, more: &[&str]) -> Value {
    let said = folder.join("demo.log");
    let arguments = ["demo", "--port", "0", "--out", folder.to_str().unwrap()];
    let mut demo = Running::start(&[&arguments[..], more].concat(), &said);
    let file = folder.join("demo.json");
    let text = look(|| {
        let ended = demo.has_ended();
        let found = std::fs::read_to_string(&file).ok();
        assert!(!ended, "no town: {}", std::fs::read_to_string(&said).unwrap());
        found
    });
    let manifest = serde_json::from_str(&text.await).unwrap();
    demo.end().await;
    manifest
}

/// Where the platform of this town listens.
pub fn address(manifest: &Value) -> SocketAddr {
    let url = manifest["platform"].as_str().unwrap();
    let port = url.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A ready token of somebody who may sign this kind.
pub fn token(manifest: &Value, kind: &str) -> String {
    let persons = manifest["persons"].as_array().unwrap();
    let able = persons
        .iter()
        .find(|person| person["kinds"].as_array().unwrap().iter().any(|allowed| allowed == kind));
    able.unwrap()["access_token"].as_str().unwrap().to_owned()
}

/// TLS as `demo.json` says: one CA, the facility's own certificate.
pub fn connector(manifest: &Value) -> TlsConnector {
    let facility = &manifest["facility"];
    let file = |value: &Value| PathBuf::from(value.as_str().unwrap());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file(&manifest["ca_file"])).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let chain = CertificateDer::pem_file_iter(file(&facility["client_certificate"])).unwrap();
    let key = PrivateKeyDer::from_pem_file(file(&facility["client_key"])).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    TlsConnector::from(Arc::new(config))
}

/// One connection over mutual TLS.
pub struct Line(SendRequest<Full<Bytes>>);

impl Line {
    pub async fn open(address: SocketAddr, connector: &TlsConnector) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector.connect(name, stream).await?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Status and body; nothing if the connection broke.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Option<(u16, Value)> {
        let calling = async {
            self.0.ready().await.ok()?;
            let response = self.0.send_request(request).await.ok()?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Some((status, serde_json::from_slice(&body).ok()?))
        };
        timeout(PATIENCE, calling).await.expect("no answer in time")
    }

    pub async fn get(&mut self, path: &str) -> Option<(u16, Value)> {
        let request = Request::get(path).header("host", "localhost");
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub async fn order(&mut self, order: &Order) -> Option<(u16, Value)> {
        let body = serde_json::to_value(&order.request).unwrap();
        self.post("/v1/signatures", &order.token, &body).await
    }

    pub async fn post(&mut self, path: &str, token: &str, body: &Value) -> Option<(u16, Value)> {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"));
        self.send(request.body(Full::from(body.to_string())).unwrap()).await
    }
}

/// An order as its sender keeps it: durable before it is sent, with the answer once there is one.
#[derive(Debug, Clone)]
pub struct Order {
    pub request: SignRequest,
    pub token: String,
    pub answer: Option<SignAnswer>,
}

pub fn fresh(kind: &str, token: &str) -> Order {
    use hpki::sign::Random as _;
    let mut digest = [0; 32];
    hsm::SystemRandom.fill(&mut digest);
    let number = hpki::id::OrderNumber::new(1_790_000_000_000, &hsm::SystemRandom);
    let request = json!({
        "order": number,
        "kind": kind,
        "digest": wire::DigestValue::sha256(&digest),
    });
    let request = serde_json::from_value(request).unwrap();
    Order { request, token: token.to_owned(), answer: None }
}

pub fn answered(said: (u16, Value)) -> SignAnswer {
    assert_eq!(said.0, 200, "{}", said.1);
    serde_json::from_value(said.1).unwrap()
}

/// Repeats an order under its number until there is an answer.
pub async fn repeated(line: &mut Line, order: &Order) -> SignAnswer {
    let repeating = async {
        loop {
            let said = line.order(order).await.expect("the platform runs");
            if said.0 == 200 || said.1["code"] != COME_AGAIN {
                return answered(said);
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    timeout(PATIENCE, repeating).await.expect("the order never ended")
}

pub fn same(one: &SignAnswer, other: &SignAnswer) -> bool {
    one.order == other.order
        && one.signature == other.signature
        && one.certificate == other.certificate
        && one.signing_time == other.signing_time
        && one.index == other.index
}
