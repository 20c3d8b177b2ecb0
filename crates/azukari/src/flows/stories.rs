//! Stories across rooms, told in one process: the platform behind its real door, in a passing
//! folder, with the town's people and phones. Nothing is delivered or tidied up by itself here,
//! so a story stands exactly where it says.

mod approvals;
mod asked_jpki;
mod breaking;
mod cards;
mod desk;
#[path = "../../../ledger/tests/common/engine.rs"]
mod engine;
mod holder;
mod home_cards;
mod login;
mod made;
mod orders;
mod owner;
mod pages_here;
mod revocation;
mod stopping;
mod watching;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hpki::encoding::Digest32;
use hpki::id::OrderNumber;
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::tlog::Proof;
use ledger::{Event, Faults, Options, Record, audit};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use town::people::{Facility, HOSPITAL, Person, SANDBOX};
use town::phone::Phone;
use wire::{DigestValue, SignAnswer, SignRequest};

use crate::clock::now;
use crate::config::PlatformConfig;
use crate::demo::DemoArguments;
use crate::demo::manifest;
use crate::demo::prepare::{Founded, found};
use crate::demo::timeline::Timeline;
use crate::demo::town::Resident;
use crate::demo::walk::{StepFailed, call, link};
use crate::http;
use crate::http::client::Client;
use crate::officer::unseal;
use crate::platform::{Platform, door, open};

/// A founded town whose platform is open.
struct House {
    /// Kept until the story ends.
    _folder: TempDir,
    founded: Founded,
    /// What breaks in its store, and when.
    faults: Faults,
    running: Option<Running>,
}

struct Running {
    platform: Arc<Platform>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

async fn loopback() -> tokio::net::TcpListener {
    http::server::bind(std::net::SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

/// Limits that no story meets, unless it is about them.
const LIFTED: &str =
    "requests_per_minute_and_address = 1000000\nrequests_per_minute_and_person = 1000000";

impl House {
    /// Founds a town and opens its platform.
    async fn found() -> Self {
        Self::found_with(&[]).await
    }

    /// Founds a town whose platform asks these witnesses.
    async fn found_with(witnesses: &[(&'static str, std::net::SocketAddr)]) -> Self {
        Self::found_as(witnesses, "").await
    }

    /// The same with more lines in the platform's configuration.
    async fn found_as(witnesses: &[(&'static str, std::net::SocketAddr)], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = loopback().await;
        let at = listener.local_addr().unwrap();
        let door = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let doors: [(&'static Facility, _); 1] = [(&SANDBOX, door)];
        let database = engine::on_postgres().then(|| engine::address(&folder.path().join("pg")));
        let plain = DemoArguments { postgres: database, ..DemoArguments::default() };
        let mut quiet = Timeline::begin(true);
        let founded =
            found(folder.path(), at, &doors, witnesses, &plain, &mut quiet).await.unwrap();
        let file = founded.platform_config();
        let written = std::fs::read_to_string(&file).unwrap();
        // Everybody in a story asks from one address, and faster than people do.
        let written = written.replacen("[platform]\n", &format!("[platform]\n{LIFTED}\n"), 1);
        std::fs::write(&file, written + more).unwrap();
        let mut house = Self { _folder: folder, founded, faults: Faults::new(), running: None };
        house.open(listener).await;
        house
    }

    /// Opens the platform as `azukari serve` does, without its jobs.
    async fn open(&mut self, listener: tokio::net::TcpListener) {
        // Its name stays what it was; only the way there may be another.
        self.founded.url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let config = PlatformConfig::load(&self.founded.platform_config()).unwrap();
        let tls = http::tls::server(&config.tls_certificate, &config.tls_key, &config.facility_ca);
        let source = unseal::obtain(&config, "操作").await.unwrap();
        let options = Options { faults: Some(self.faults.clone()), ..Options::default() };
        let platform = open::open_as(config, &source, "操作", options).await.unwrap();
        let platform = Arc::new(platform);
        let (stop, stopped) = watch::channel(false);
        let router = door::router(Arc::clone(&platform));
        let serving = tokio::spawn(http::server::serve(listener, tls.ok(), router, stopped));
        self.running = Some(Running { platform, stop, serving });
    }

    /// Ends the platform where it stands and starts it again on the same folder.
    async fn again(&mut self) {
        self.close().await;
        self.open(loopback().await).await;
    }

    /// Ends the platform where it stands.
    async fn close(&mut self) {
        let Running { platform, stop, serving } = self.running.take().unwrap();
        stop.send(true).unwrap();
        serving.await.unwrap();
        let gone = Arc::downgrade(&platform);
        drop(platform);
        assert!(gone.upgrade().is_none(), "nothing holds the rooms any more");
    }

    fn platform(&self) -> &Arc<Platform> {
        &self.running.as_ref().unwrap().platform
    }

    fn home(&self) -> &Path {
        &self.founded.home
    }

    /// The platform as a facility reaches it, over mutual TLS.
    fn at(&self, facility: &Facility) -> Client {
        self.founded.client(Some(facility)).unwrap()
    }

    /// A person with her linked phone.
    async fn resident(&self, person: &Person) -> Resident {
        let citizen = self.founded.citizens.iter().find(|c| c.person.slug == person.slug);
        let citizen = citizen.unwrap().clone();
        // The phone's origin is the platform's name, wherever it listens now.
        let mut phone = Phone::new("電話", &self.platform().config.url).unwrap();
        let way = self.founded.client(None).unwrap();
        link(&way, &mut phone, &citizen.sheet, citizen.person).await.unwrap();
        Resident { citizen, phone }
    }

    /// The morning's authentication at the developers' facility.
    async fn morning(&self, resident: &mut Resident) -> Result<String, StepFailed> {
        let way = self.founded.client(None).unwrap();
        let token = manifest::token(&self.at(&SANDBOX), &way, resident).await?;
        Ok(token["token"].as_str().unwrap().to_owned())
    }

    /// Everything that the journal says about this event.
    async fn entries(&self, event: Event) -> Vec<Record> {
        let ledger = &self.platform().ledger;
        let mut records = Vec::new();
        for index in 0..ledger.size() {
            let proof = Proof::parse(&ledger.prove(index).await.unwrap()).unwrap();
            let record = proof.verify(ledger.verify_key()).unwrap().opening.record;
            if record.event == event {
                records.push(record);
            }
        }
        records
    }

    /// The journal is whole, every intention has its outcome, and the books balance.
    async fn in_order(&self) {
        let report = audit::verify(&audit::Audit {
            place: self.platform().config.store.clone(),
            head: None,
            log: self.platform().ledger.verify_key(),
            streams: None,
            since: &[],
        })
        .unwrap();
        assert_eq!(report.problems, []);
        assert_eq!(report.open_intentions, Vec::<u64>::new());
        let books = self.platform().custody.books().await.unwrap();
        assert!(books.balance(), "{books:?}");
    }
}

#[test]
fn all_of_this_holds_on_postgresql_too() {
    engine::again("all_of_this_holds_on_postgresql_too", Some("flows::stories"));
}

/// A fresh order for this digest.
fn order(kind: DocumentKind, digest: &Digest32) -> SignRequest {
    SignRequest {
        order: OrderNumber::new(now().seconds() * 1000, &hsm::SystemRandom),
        kind,
        digest: DigestValue::sha256(digest),
    }
}

/// A fresh order for some prescription.
fn some_order() -> SignRequest {
    let mut digest = [0; 32];
    hpki::sign::Random::fill(&hsm::SystemRandom, &mut digest);
    order(DocumentKind::Prescription, &digest)
}

async fn send(way: &Client, token: &str, order: &SignRequest) -> Result<SignAnswer, StepFailed> {
    let body: Value = serde_json::to_value(order).unwrap();
    call(way, "POST", wire::path::SIGNATURES, Some(token), Some(&body)).await
}

/// The stored answer of an order.
async fn asked(way: &Client, token: &str, order: &SignRequest) -> Result<SignAnswer, StepFailed> {
    let path = wire::path::SIGNATURE.replace("{order}", &order.order.to_string());
    call(way, "GET", &path, Some(token), None).await
}

/// The code of a refusal.
fn code<T: std::fmt::Debug>(result: Result<T, StepFailed>) -> String {
    match result {
        Err(StepFailed::Refused(problem)) => problem.code,
        other => panic!("not refused: {other:?}"),
    }
}

/// The parts of two answers that must never differ. A later proof may name a later checkpoint.
fn same(one: &SignAnswer, other: &SignAnswer) -> bool {
    one.signature == other.signature
        && one.certificate == other.certificate
        && one.signing_time == other.signing_time
        && one.index == other.index
}

/// Looks again, for at most ten seconds, until there is something.
async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    for _ in 0..1_000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to pass");
}

/// Today's prescription of this physician, unsigned, and what is signed of it.
fn prescription(physician: &Person, at: Timestamp) -> (Vec<u8>, Digest32) {
    let csv = town::ehr::prescription_csv(physician, &HOSPITAL, at);
    let document = prescription::document::prescription(&csv).unwrap();
    let id = DocumentKind::Prescription.signed_id();
    let digest = xades::reference_digest(&document, id).unwrap();
    (document, digest)
}
