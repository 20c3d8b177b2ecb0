//! A real vault and a real ledger in a temporary folder, and a small software authenticator.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../ledger/tests/common/engine.rs"]
pub mod engine;

use std::path::Path;
use std::sync::Arc;

use approval::webauthn::Makers;
use authn::{Authn, AuthnConfig, Budget, Enrolled, Linked, Place, Refusal};
use aws_lc_rs::rand::SystemRandom as Rng;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use ciborium::Value as Cbor;
use hpki::encoding::sha256;
use hpki::id::{BudgetId, CeremonyId, KeyId, PersonId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use hsm::{DeviceConfig, SystemRandom, UnsealSecret};
use ledger::{Failed, Faults, Ledger, Opening, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use wire::token::{base64url_decode, base64url_encode};
use wire::{
    LinkBirthRequest, LinkFinishRequest, LinkOpenRequest, SessionApproveRequest,
    SessionClaimRequest, StartRequest, Terminal,
};

pub const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);
pub const ORIGIN: &str = "https://id.test";
pub const BIRTH: &str = "19800102";

pub struct House {
    pub folder: TempDir,
    unseal: Arc<UnsealSecret>,
    pub faults: Faults,
    pub makers: Makers,
    pub authn: Option<Authn>,
    pub ledger: Option<Ledger>,
}

fn config(makers: &Makers) -> AuthnConfig {
    AuthnConfig {
        issuer: "https://platform.test".into(),
        audience: "urn:azukari:custody".into(),
        rp_id: "id.test".into(),
        rp_name: "TEST".into(),
        origins: vec![ORIGIN.into()],
        url: ORIGIN.into(),
        terms_hash: [6; 32],
        token_lifetime_s: 1_000_000,
        makers: makers.clone(),
        sheet_by_card: vec![approval::CardMeans::Hpki],
        require_card_proof: false,
        count_max: 300,
    }
}

impl House {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let unseal = Arc::new(UnsealSecret::random(&SystemRandom));
        hsm::create(&DeviceConfig::vault(folder.path().join("vault")), &unseal).unwrap();
        let (faults, makers) = (Faults::new(), Makers::default());
        let mut house = Self { folder, unseal, faults, makers, authn: None, ledger: None };
        house.reopen();
        house
    }

    /// Lets everything go and opens it again from the folder.
    pub fn reopen(&mut self) {
        self.authn = None;
        self.ledger = None;
        let path = self.folder.path();
        let device = DeviceConfig::vault(path.join("vault"));
        let mut opened = hsm::open(&device, &self.unseal, 1);
        for _ in 0..100_000 {
            // The ledger's writer lets go of the log desk a moment after its last handle.
            if opened.is_ok() {
                break;
            }
            std::thread::yield_now();
            opened = hsm::open(&device, &self.unseal, 1);
        }
        let desks = opened.unwrap();
        self.faults = Faults::new();
        let ledger = open_ledger(path, desks.log, self.faults.clone());
        let config = config(&self.makers);
        self.authn = Some(Authn::new(ledger.clone(), desks.token, Arc::new(SystemRandom), config));
        self.ledger = Some(ledger);
    }

    /// Another process over the same rows, with a copy of the device's folder. On PostgreSQL it has
    /// a connection and a copy of the journal's head of its own; an SQLite file is one process's.
    pub fn replica(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (self.folder.path(), folder.path());
        copy(&from.join("vault"), &to.join("vault"));
        let device = DeviceConfig::vault(to.join("vault"));
        let desks = hsm::open(&device, &self.unseal, 1).unwrap();
        let (ledger, faults) = if engine::on_postgres() {
            // Where the database is stands in this folder too.
            copy(&ledger_folder(from), &ledger_folder(to));
            let faults = Faults::new();
            (open_ledger(to, desks.log, faults.clone()), faults)
        } else {
            (self.ledger().clone(), self.faults.clone())
        };
        let config = config(&self.makers);
        let authn = Authn::new(ledger.clone(), desks.token, Arc::new(SystemRandom), config);
        Self {
            folder,
            unseal: Arc::clone(&self.unseal),
            faults,
            makers: self.makers.clone(),
            authn: Some(authn),
            ledger: Some(ledger),
        }
    }

    pub fn room(&self) -> &Authn {
        self.authn.as_ref().unwrap()
    }

    pub fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    /// A sheet for the n-th person: its id and secret.
    pub async fn sheet(&self, n: u8, now: Timestamp) -> (String, String) {
        let sheet = self.room().issue_sheet(enrolled(n), now).await.unwrap();
        parts(&sheet.url, "/r#1.")
    }

    pub async fn open(
        &self,
        (sheet, secret): &(String, String),
        now: Timestamp,
    ) -> Result<String, Failed<Refusal>> {
        let request = LinkOpenRequest { sheet: sheet.clone(), secret: secret.clone() };
        Ok(self.room().open(&request, None, now).await?.session)
    }

    pub async fn birth(
        &self,
        session: &str,
        date: &str,
        now: Timestamp,
    ) -> Result<Value, Failed<Refusal>> {
        let request = LinkBirthRequest { session: session.into(), birth_date: date.into() };
        Ok(self.room().birth(&request, now).await?.options)
    }

    pub async fn finish(
        &self,
        session: &str,
        credential: Value,
        now: Timestamp,
    ) -> Result<Linked, Failed<Refusal>> {
        let request = LinkFinishRequest { session: session.into(), credential, label: None };
        self.room().finish_link(&request, None, now).await
    }

    /// The n-th person's phone, linked.
    pub async fn linked(&self, n: u8) -> Phone {
        self.linked_by(&self.sheet(n, NOW).await).await
    }

    /// A phone linked by this sheet.
    pub async fn linked_by(&self, sheet: &(String, String)) -> Phone {
        let session = self.open(sheet, NOW).await.unwrap();
        let options = self.birth(&session, BIRTH, NOW).await.unwrap();
        let mut phone = Phone::new();
        let answer = phone.create(&options);
        let linked = self.finish(&session, answer, NOW).await.unwrap();
        phone.device = linked.device;
        phone.stream_key = linked.stream_key.octets().to_vec();
        phone
    }

    pub async fn start(
        &self,
        place: &Place,
        expected: Option<u8>,
        now: Timestamp,
    ) -> (CeremonyId, String) {
        let answer = self.room().start(place.clone(), asked(expected), now).await.unwrap();
        let (id, secret) = parts(&answer.qr, "/q#1.");
        assert_eq!(id, answer.ceremony.to_string());
        (answer.ceremony, secret)
    }

    /// A terminal there asks for an approval of documents.
    pub async fn ask_for_documents(
        &self,
        place: &Place,
        documents: authn::Documents,
        now: Timestamp,
    ) -> (CeremonyId, String) {
        let terminal = asked(None).terminal;
        let started = self.room().start_documents(place.clone(), terminal, documents, now).await;
        let answer = started.unwrap();
        let (_, secret) = parts(&answer.qr, "/q#1.");
        (answer.ceremony, secret)
    }

    pub async fn claim(
        &self,
        (id, secret): &(CeremonyId, String),
        phone: &Phone,
        now: Timestamp,
    ) -> Result<wire::SessionClaimAnswer, Failed<Refusal>> {
        let request = SessionClaimRequest { ceremony: id.to_string(), secret: secret.clone() };
        self.room().claim(&request, Some(&phone.device), now).await
    }

    pub async fn approve(
        &self,
        id: CeremonyId,
        credential: Value,
        now: Timestamp,
    ) -> Result<authn::Approved, Failed<Refusal>> {
        let request = SessionApproveRequest { ceremony: id.to_string(), credential };
        self.room().approve(&request, now).await
    }

    /// The whole morning up to an open budget; gives the digits, if any are asked.
    pub async fn morning(
        &self,
        place: &Place,
        expected: Option<u8>,
        phone: &mut Phone,
        now: Timestamp,
    ) -> (CeremonyId, Option<String>, Budget) {
        let qr = self.start(place, expected, now).await;
        let asked = self.claim(&qr, phone, now).await.unwrap();
        let approved = self.approve(qr.0, phone.get(&asked.options), now).await.unwrap();
        let budget = budget(&approved.approval);
        self.room().grant(qr.0, &budget, now).await.unwrap();
        (qr.0, approved.number, budget)
    }
}

fn open_ledger(path: &Path, log: hsm::LogDesk, faults: Faults) -> Ledger {
    let (log, streams) = log.split();
    let opening = Opening {
        place: engine::place(&ledger_folder(path)),
        migrations: authn::MIGRATIONS,
        log,
        streams,
        random: Arc::new(SystemRandom),
        origin: "log.test/1".into(),
        now: NOW,
    };
    let options = Options { faults: Some(faults), ..Options::default() };
    Ledger::open_with(opening, options).unwrap()
}

/// Copies every file of a folder, as it is.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap().path();
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

fn ledger_folder(path: &Path) -> std::path::PathBuf {
    path.join("ledger")
}

/// What custody would open for this approval.
pub fn budget(approval: &approval::Approval) -> Budget {
    let approval::Statement::Session(statement) = &approval.statement else { panic!("a link") };
    Budget {
        id: BudgetId::from_octets([7; 16]),
        key: statement.key,
        person: statement.person,
        kinds: statement.kinds.clone(),
        until: statement.not_after,
        count: u64::from(statement.max_count),
    }
}

/// What custody would have prepared for the n-th person: three prescriptions.
pub fn prepared(n: u8, now: Timestamp) -> authn::Documents {
    authn::Documents {
        reference: [42; 16],
        person: person(n),
        key: key(n),
        kinds: vec![DocumentKind::Prescription],
        count: 3,
        root: [9; 32],
        until: now.plus(180),
    }
}

pub fn person(n: u8) -> PersonId {
    PersonId::from_octets([n; 16])
}

pub fn key(n: u8) -> KeyId {
    KeyId::from_octets([n + 100; 16])
}

pub fn enrolled(n: u8) -> Enrolled {
    Enrolled {
        person: person(n),
        key: key(n),
        display_id: format!("TEST{n:04}"),
        birth_date: BIRTH.into(),
    }
}

pub fn hospital() -> Place {
    Place { facility: "9991000001".parse().unwrap(), name: "架空病院".into(), x5t: [1; 32] }
}

pub fn elsewhere() -> Place {
    Place { facility: "9991000002".parse().unwrap(), name: "見本医院".into(), x5t: [2; 32] }
}

pub fn asked(expected: Option<u8>) -> StartRequest {
    StartRequest {
        terminal: Terminal { id: "t1".into(), label: "第1診察室".into() },
        expected_person: expected.map(person),
        kinds: vec![DocumentKind::Prescription],
        count: 300,
        hours: 18,
    }
}

fn parts(url: &str, path: &str) -> (String, String) {
    let rest = url.strip_prefix(ORIGIN).unwrap().strip_prefix(path).unwrap();
    let (id, secret) = rest.split_once('.').unwrap();
    (id.into(), secret.into())
}

pub fn code<T: std::fmt::Debug>(result: Result<T, Failed<Refusal>>) -> &'static str {
    match result {
        Err(Failed::Refused(refusal)) => hpki::refusal::Refuse::code(&refusal),
        other => panic!("not refused: {other:?}"),
    }
}

/// A software authenticator: one ES256 credential, a counter, flags that a test may spoil.
pub struct Phone {
    pair: EcdsaKeyPair,
    id: Vec<u8>,
    handle: Vec<u8>,
    pub count: u32,
    pub device: String,
    pub stream_key: Vec<u8>,
    pub flags: u8,
    pub origin: String,
}

const UP_UV: u8 = 0b101;

impl Phone {
    pub fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let id = sha256(pair.public_key().as_ref())[..16].to_vec();
        Self {
            pair,
            id,
            handle: Vec::new(),
            count: 0,
            device: String::new(),
            stream_key: Vec::new(),
            flags: UP_UV,
            origin: ORIGIN.into(),
        }
    }

    /// What browsers call its credential.
    pub fn id(&self) -> String {
        base64url_encode(&self.id)
    }

    fn client_data(&self, call: &str, challenge: &Value) -> Vec<u8> {
        json!({ "type": call, "challenge": challenge, "origin": self.origin, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn data(&mut self, flags: u8) -> Vec<u8> {
        self.count += 1;
        let mut data = sha256(b"id.test").to_vec();
        data.push(flags);
        data.extend_from_slice(&self.count.to_be_bytes());
        data
    }

    pub fn create(&mut self, options: &Value) -> Value {
        self.handle = base64url_decode(options["user"]["id"].as_str().unwrap()).unwrap();
        let point = self.pair.public_key().as_ref().to_vec();
        let number = |n: i64| Cbor::Integer(n.into());
        let cose = Cbor::Map(vec![
            (number(1), number(2)),
            (number(3), number(-7)),
            (number(-1), number(1)),
            (number(-2), Cbor::Bytes(point[1..33].to_vec())),
            (number(-3), Cbor::Bytes(point[33..].to_vec())),
        ]);
        let mut data = self.data(self.flags | 0x40);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&self.id);
        ciborium::into_writer(&cose, &mut data).unwrap();
        let object = Cbor::Map(vec![
            (Cbor::Text("fmt".into()), Cbor::Text("none".into())),
            (Cbor::Text("attStmt".into()), Cbor::Map(Vec::new())),
            (Cbor::Text("authData".into()), Cbor::Bytes(data)),
        ]);
        let mut attestation = Vec::new();
        ciborium::into_writer(&object, &mut attestation).unwrap();
        let client_data = self.client_data("webauthn.create", &options["challenge"]);
        json!({
            "id": base64url_encode(&self.id), "rawId": base64url_encode(&self.id),
            "type": "public-key",
            "response": {
                "clientDataJSON": base64url_encode(&client_data),
                "attestationObject": base64url_encode(&attestation),
            },
        })
    }

    pub fn get(&mut self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", &options["challenge"]);
        let data = self.data(self.flags);
        let mut message = data.clone();
        message.extend_from_slice(&sha256(&client_data));
        let signature = self.pair.sign(&Rng::new(), &message).unwrap();
        json!({
            "id": base64url_encode(&self.id), "rawId": base64url_encode(&self.id),
            "type": "public-key",
            "response": {
                "clientDataJSON": base64url_encode(&client_data),
                "authenticatorData": base64url_encode(&data),
                "signature": base64url_encode(signature.as_ref()),
                "userHandle": base64url_encode(&self.handle),
            },
        })
    }
}
