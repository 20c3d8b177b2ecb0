//! `kill -9` at any moment. A town is founded by the binary under test; its platform is then run
//! on that folder, killed in the middle of many orders, and started again, time after time. An
//! outside program that repeats its orders gets every signature that it was ever given, octet for
//! octet, and never two for one order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hpki::encoding::sha256;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use ledger::Event;
use ledger::tlog::{Proof, VerifyKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use wire::{SignAnswer, SignRequest};

const AZUKARI: &str = env!("CARGO_BIN_EXE_azukari");
/// Orders under way together in each round, of two persons in turn.
const ORDERS: usize = 20;
/// Longer than anything here may take; only a program that hangs meets it.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(20);

/// When the platform is killed: in the middle of its n-th write to the store, as near as can be
/// seen from outside, or once so many answers have arrived.
enum Moment {
    Write(usize),
    Answer(usize),
}

const MOMENTS: [Moment; 8] = [
    Moment::Write(1),
    Moment::Answer(1),
    Moment::Write(2),
    Moment::Answer(3),
    Moment::Answer(6),
    Moment::Write(4),
    Moment::Answer(11),
    Moment::Answer(17),
];

/// What a repeated order may be told by the table of crashes, besides its answer: come again.
const COME_AGAIN: &str = "order-in-progress";

/// A program that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str], said: &Path) -> Self {
        let said = File::options().create(true).append(true).open(said).unwrap();
        let child = Command::new(AZUKARI)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn();
        Self(child.unwrap())
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// SIGKILL: it cannot be caught, nothing is flushed or closed.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to end, as Ctrl-C would, and waits.
    async fn end(&mut self) {
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
async fn look<T>(mut at: impl FnMut() -> Option<T>) -> T {
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

/// A founded town, and what an outside program was told about it.
struct Town {
    folder: tempfile::TempDir,
    manifest: Value,
    address: SocketAddr,
    connector: TlsConnector,
}

impl Town {
    /// Has the binary found a town, takes what `demo.json` hands out, and closes the town.
    async fn found() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_str().unwrap();
        let said = folder.path().join("demo.log");
        let mut demo = Running::start(&["demo", "--port", "0", "--out", out], &said);
        let file = folder.path().join("demo.json");
        let text = look(|| {
            let ended = demo.has_ended();
            let found = std::fs::read_to_string(&file).ok();
            assert!(!ended, "no town: {}", std::fs::read_to_string(&said).unwrap());
            found
        });
        let manifest: Value = serde_json::from_str(&text.await).unwrap();
        demo.end().await;
        let url = manifest["platform"].as_str().unwrap();
        let port = url.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
        let connector = connector(&manifest);
        Self { folder, manifest, address: SocketAddr::from(([127, 0, 0, 1], port)), connector }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ledger(&self) -> PathBuf {
        self.path("town/platform/ledger")
    }

    /// A ready token of somebody who may sign this kind.
    fn token(&self, kind: &str) -> String {
        let persons = self.manifest["persons"].as_array().unwrap();
        let able = persons.iter().find(|person| {
            person["kinds"].as_array().unwrap().iter().any(|allowed| allowed == kind)
        });
        able.unwrap()["access_token"].as_str().unwrap().to_owned()
    }

    /// Starts the platform on the town's folder and waits until it answers.
    async fn serve(&self) -> Running {
        let config = self.path("town/platform.toml");
        let (config, said) = (config.to_str().unwrap(), self.path("serve.log"));
        let starting = async {
            // A passing client may hold the port that the town was given: then it is tried again.
            loop {
                let mut platform = Running::start(&["serve", "--config", config], &said);
                while !platform.has_ended() {
                    if let Ok(mut line) = Line::open(self).await
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

    /// `azukari journal verify`, of which every kept checkpoint must be a beginning.
    fn verify_journal(&self, checkpoints: &[PathBuf]) -> Output {
        let mut command = Command::new(AZUKARI);
        command.args(["journal", "verify", "--log-key-from-ledger", "--folder"]).arg(self.ledger());
        for file in checkpoints {
            command.arg("--since").arg(file);
        }
        command.output().unwrap()
    }

    /// Asserts that nothing was rewritten and no intention is open.
    fn journal_is_whole(&self, checkpoints: &[PathBuf]) {
        let verified = self.verify_journal(checkpoints);
        let text = String::from_utf8_lossy(&verified.stdout).into_owned();
        let all = format!("{text}{}", String::from_utf8_lossy(&verified.stderr));
        assert_eq!(verified.status.code(), Some(0), "{all}");
        assert!(!text.contains("open intention"), "{all}");
        assert_eq!(text.matches("continues your checkpoint").count(), checkpoints.len(), "{all}");
    }

    /// One read-only question to the platform's database.
    fn ask(&self, sql: &str) -> Vec<Vec<Value>> {
        let program = "import json, sqlite3, sys\n\
             db = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)\n\
             print(json.dumps(db.execute(sys.argv[2]).fetchall()))\n";
        let database = self.ledger().join("store.sqlite");
        let told = Command::new("python3").args(["-c", program]).arg(database).arg(sql).output();
        let told = told.unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        serde_json::from_slice(&told.stdout).unwrap()
    }

    /// When the store was last written to, as far as the file system says.
    fn written(&self) -> Vec<(u64, Option<std::time::SystemTime>)> {
        let files = ["store.sqlite", "store.sqlite-wal"].map(|name| self.ledger().join(name));
        let looked = files.iter().filter_map(|file| std::fs::metadata(file).ok());
        looked.map(|found| (found.len(), found.modified().ok())).collect()
    }
}

/// TLS as `demo.json` says: one CA, the facility's own certificate.
fn connector(manifest: &Value) -> TlsConnector {
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
struct Line(SendRequest<Full<Bytes>>);

impl Line {
    async fn open(town: &Town) -> std::io::Result<Self> {
        let stream = TcpStream::connect(town.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let stream = town.connector.connect(name, stream).await?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Status and body; nothing if the connection broke.
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Option<(u16, Value)> {
        let calling = async {
            self.0.ready().await.ok()?;
            let response = self.0.send_request(request).await.ok()?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Some((status, serde_json::from_slice(&body).ok()?))
        };
        timeout(PATIENCE, calling).await.expect("no answer in time")
    }

    async fn get(&mut self, path: &str) -> Option<(u16, Value)> {
        let request = Request::get(path).header("host", "localhost");
        self.send(request.body(Full::default()).unwrap()).await
    }

    async fn order(&mut self, order: &Order) -> Option<(u16, Value)> {
        let body = serde_json::to_vec(&order.request).unwrap();
        let request = Request::post("/v1/signatures")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", order.token));
        self.send(request.body(Full::from(body)).unwrap()).await
    }
}

/// An order as its sender keeps it: durable before it is sent, with the answer once there is one.
#[derive(Clone)]
struct Order {
    request: SignRequest,
    token: String,
    answer: Option<SignAnswer>,
}

fn fresh(kind: &str, token: &str) -> Order {
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

fn answered(said: (u16, Value)) -> SignAnswer {
    assert_eq!(said.0, 200, "{}", said.1);
    serde_json::from_value(said.1).unwrap()
}

/// Sends all orders at once and kills the platform at the moment; notes what was handed out.
async fn interrupted(town: &Town, mut platform: Running, orders: &mut [Order], moment: &Moment) {
    let together = Arc::new(Barrier::new(orders.len() + 1));
    let (arrived, mut arriving) = mpsc::unbounded_channel();
    for (place, order) in orders.iter().enumerate() {
        let mut line = Line::open(town).await.unwrap();
        let (order, together, arrived) = (order.clone(), Arc::clone(&together), arrived.clone());
        tokio::spawn(async move {
            together.wait().await;
            let said = line.order(&order).await;
            let _ = arrived.send((place, said));
        });
    }
    drop(arrived);
    let before = town.written();
    together.wait().await;
    let mut answers = Vec::new();
    match moment {
        Moment::Answer(count) => {
            while answers.len() < *count {
                let (place, said) = arriving.recv().await.unwrap();
                answers.push((place, answered(said.unwrap())));
            }
        }
        Moment::Write(count) => {
            let (mut writes, mut last) = (0, before);
            let watching = async {
                // Orders share commits: there may be fewer writes than are waited for.
                while writes < *count && answers.len() < orders.len() / 2 {
                    let seen = town.written();
                    writes += usize::from(seen != last);
                    last = seen;
                    while let Ok((place, said)) = arriving.try_recv() {
                        answers.push((place, answered(said.unwrap())));
                    }
                    tokio::task::yield_now().await;
                }
            };
            timeout(PATIENCE, watching).await.expect("nothing was written");
        }
    }
    platform.kill();
    // An answer that was on its way counts as handed out; a broken connection says nothing.
    while let Some((place, said)) = arriving.recv().await {
        answers.extend(said.map(|said| (place, answered(said))));
    }
    for (place, answer) in answers {
        orders[place].answer = Some(answer);
    }
}

/// Repeats an order under its number until there is an answer.
async fn repeated(line: &mut Line, order: &Order) -> SignAnswer {
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

fn same(one: &SignAnswer, other: &SignAnswer) -> bool {
    one.order == other.order
        && one.signature == other.signature
        && one.certificate == other.certificate
        && one.signing_time == other.signing_time
        && one.index == other.index
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_at_any_moment_the_platform_loses_no_signature_and_makes_none_twice() {
    let town = Town::found().await;
    let tokens = ["prescription", "dispensing"].map(|kind| (kind, town.token(kind)));
    let mut orders: Vec<Order> = Vec::new();
    let mut checkpoints = Vec::new();
    let mut unanswered = 0;
    let mut platform = town.serve().await;
    for (round, moment) in MOMENTS.iter().enumerate() {
        let begun: Vec<Order> =
            tokens.iter().cycle().take(ORDERS).map(|(k, t)| fresh(k, t)).collect();
        orders.extend(begun);
        let now_sent = round * ORDERS;
        interrupted(&town, platform, &mut orders[now_sent..], moment).await;
        unanswered += orders[now_sent..].iter().filter(|order| order.answer.is_none()).count();

        // The next start has closed whatever was open before it lets anybody in.
        platform = town.serve().await;
        town.journal_is_whole(&checkpoints);
        let mut line = Line::open(&town).await.unwrap();
        for order in &mut orders {
            let again = repeated(&mut line, order).await;
            match &order.answer {
                Some(first) => assert!(same(first, &again), "round {round}: {first:?} {again:?}"),
                None => order.answer = Some(again),
            }
        }
        let (_, checkpoint) = line.get("/v1/checkpoint").await.unwrap();
        let file = town.path(&format!("checkpoint-{round}"));
        std::fs::write(&file, checkpoint["checkpoint"].as_str().unwrap()).unwrap();
        checkpoints.push(file);
    }
    platform.end().await;
    assert!(unanswered > MOMENTS.len(), "the kills came in the middle: {unanswered}");

    town.journal_is_whole(&checkpoints);
    each_order_has_its_own_outcome(&town, &orders);
    the_database_agrees(&town, orders.len());
}

/// By the proofs that came with the answers: each stands for another signature.
fn each_order_has_its_own_outcome(town: &Town, orders: &[Order]) {
    let log = std::fs::read_to_string(town.path("town/log.vkey")).unwrap();
    let log: VerifyKey = log.trim().parse().unwrap();
    let mut seen = BTreeSet::new();
    for order in orders {
        let answer = order.answer.as_ref().unwrap();
        let entry = Proof::parse(&answer.proof).unwrap().verify(&log).unwrap();
        let record = entry.opening.record;
        assert_eq!(record.event, Event::SignatureMade);
        assert_eq!(record.kind, Some(order.request.kind));
        assert_eq!(entry.index, answer.index);
        assert!(seen.insert(record.dtbsr), "one outcome for two orders");
        // It is the outcome of this very signature, which is over the order's own digest.
        let element = std::str::from_utf8(&answer.signature.0).unwrap();
        let made = record.outcome.unwrap().signature_hash;
        assert_eq!(made, Some(sha256(&signature_value(element))));
        assert!(element.contains(&STANDARD.encode(&order.request.digest.value.0)));
    }
}

fn signature_value(element: &str) -> Vec<u8> {
    let (_, rest) = element.split_once("<ds:SignatureValue").unwrap();
    let (value, _) = rest.split_once('>').unwrap().1.split_once('<').unwrap();
    STANDARD.decode(value.replace(char::is_whitespace, "")).unwrap()
}

/// By the platform's own books: one outcome `signature.made` for each order, each begun intention
/// closed, and as many draws as signatures.
fn the_database_agrees(town: &Town, orders: usize) {
    let events = town.ask(
        "SELECT e.name, count(*) FROM ledger_entry
         JOIN (SELECT 'signature.intended' AS name UNION SELECT 'signature.made'
               UNION SELECT 'signature.interrupted') e
         ON instr(opening, CAST(e.name AS BLOB)) > 0 GROUP BY e.name",
    );
    let count: BTreeMap<&str, u64> =
        events.iter().map(|row| (row[0].as_str().unwrap(), row[1].as_u64().unwrap())).collect();
    let of = |name: &str| count.get(name).copied().unwrap_or(0);
    assert_eq!(of("signature.made"), orders as u64, "{count:?}");
    let closed = of("signature.made") + of("signature.interrupted");
    assert_eq!(of("signature.intended"), closed, "{count:?}");

    let states = town.ask("SELECT state, count(*) FROM custody_activation GROUP BY state");
    assert_eq!(json!(states), json!([["consumed", orders]]));
    let outcomes = town.ask(
        "SELECT DISTINCT (SELECT count(*) FROM ledger_entry
             WHERE instr(opening, CAST('signature.made' AS BLOB)) > 0
                 AND instr(opening, dtbsr) > 0)
         FROM custody_activation",
    );
    assert_eq!(json!(outcomes), json!([[1]]), "exactly one outcome for each order");
    let unbalanced = town.ask(
        "SELECT hex(id) FROM custody_budget b JOIN custody_counter c ON c.budget = b.id
         WHERE count - remaining <>
             (SELECT count(*) FROM custody_activation a WHERE a.budget = b.id)",
    );
    assert_eq!(json!(unbalanced), json!([]), "what was drawn is what was signed");
}
