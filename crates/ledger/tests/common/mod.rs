//! A small device and a small room for the tests: a log key, stream keys, randomness, one table.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support")]

pub mod engine;
pub mod fake;

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use aws_lc_rs::{hmac, rand};
use hpki::encoding::{Digest32, Statement};
use hpki::id::KeyId;
use hpki::sign::{DeviceFault, Mac, Random, Sign, SignatureAlgorithm};
use hpki::time::Timestamp;
use ledger::{
    Event, Failed, Fault, Intention, Ledger, Migration, Note, Opening, Options, Outcome,
    OutcomeFields, Receipt, Record, Refusal,
};

pub const ORIGIN: &str = "log.azukari.example/test";

/// An Ed25519 log key; the seed makes it the same in every run.
pub struct LogKey {
    pair: Ed25519KeyPair,
    spki: Vec<u8>,
}

impl LogKey {
    pub fn new(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let mut spki = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        spki.extend_from_slice(pair.public_key().as_ref());
        Self { pair, spki }
    }
}

impl Sign for LogKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Ed25519
    }
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }
}

pub struct StreamKeys;

impl Mac for StreamKeys {
    fn mac(&self, statement: &Statement) -> Result<Digest32, DeviceFault> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a test key");
        Ok(hmac::sign(&key, &statement.octets()).as_ref().try_into().unwrap())
    }
}

pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        rand::fill(buffer).unwrap();
    }
}

pub const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

pub const ROOM: &[Migration] = &[Migration {
    room: "test",
    number: 1,
    sql: "CREATE TABLE test_count (id INTEGER PRIMARY KEY, value INTEGER NOT NULL);
          CREATE TABLE test_seen (number INTEGER PRIMARY KEY, idx INTEGER, pad BLOB)",
}];

pub fn opening(folder: &Path) -> Opening<'static> {
    Opening {
        place: engine::place(folder),
        migrations: ROOM,
        log: Arc::new(LogKey::new(7)),
        streams: Arc::new(StreamKeys),
        random: Arc::new(SystemRandom),
        origin: ORIGIN.to_owned(),
        now: NOW,
    }
}

pub fn open(folder: &Path) -> Ledger {
    Ledger::open(opening(folder)).unwrap()
}

pub fn refusal(result: Result<Ledger, Failed<Refusal>>) -> Refusal {
    match result.map(|_| ()) {
        Err(Failed::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub fn key(number: u8) -> KeyId {
    KeyId::from_octets([number; 16])
}

pub fn note(key: KeyId) -> Record {
    Record::of_key(Event::KeyHeld, key, NOW)
}

pub fn intention(key: KeyId) -> Record {
    let mut record = Record::of_key(Event::SignatureIntended, key, NOW);
    record.facility = "1310000001".parse().ok();
    record.dtbsr = Some([key.octets()[0]; 32]);
    record
}

pub fn outcome(key: KeyId, intention_index: u64) -> Record {
    let mut record = Record::of_key(Event::SignatureMade, key, NOW);
    record.outcome = Some(OutcomeFields { signature_hash: Some([9; 32]), intention_index });
    record
}

pub async fn add_note(ledger: &Ledger, key: KeyId) -> Result<Receipt<Note>, Failed<Refusal>> {
    Ok(ledger.record(move |_| Ok(((), Note(note(key))))).await?.1)
}

pub async fn add_intention(
    ledger: &Ledger,
    key: KeyId,
) -> Result<Receipt<Intention>, Failed<Refusal>> {
    Ok(ledger.record(move |_| Ok(((), Intention(intention(key))))).await?.1)
}

pub async fn add_outcome(
    ledger: &Ledger,
    key: KeyId,
    index: u64,
) -> Result<Receipt<Outcome>, Failed<Refusal>> {
    Ok(ledger.record(move |_| Ok(((), Outcome(outcome(key, index))))).await?.1)
}

/// Adds one to the counter in the room's table and answers it.
pub async fn count(ledger: &Ledger) -> Result<i64, Failed<Refusal>> {
    ledger.write(|tx| Ok(count_in(tx)?)).await
}

pub fn count_in(tx: &ledger::Tx<'_>) -> Result<i64, Fault> {
    let sql = "INSERT INTO test_count (id, value) VALUES (1, 1)
               ON CONFLICT (id) DO UPDATE SET value = test_count.value + 1 RETURNING value";
    tx.query_one(sql, &[])?.int(0)
}

pub async fn counted(ledger: &Ledger) -> i64 {
    let counted: Result<_, Failed<Refusal>> = ledger
        .read(|tx| {
            let row = tx.query_opt("SELECT value FROM test_count", &[])?;
            Ok(row.map(|row| row.int(0)).transpose()?.unwrap_or(0))
        })
        .await;
    counted.unwrap()
}

pub fn open_with(folder: &Path, faults: &ledger::Faults) -> Ledger {
    let options = Options { faults: Some(faults.clone()), ..Options::default() };
    Ledger::open_with(opening(folder), options).unwrap()
}

/// The whole check, with the device at hand.
pub fn audit(folder: &Path, since: &[&str]) -> ledger::audit::Report {
    use ledger::tlog::VerifyKey;
    let log = VerifyKey::from_spki(ORIGIN, LogKey::new(7).spki_der()).unwrap();
    ledger::audit::verify(&ledger::audit::Audit {
        place: engine::place(folder),
        head: None,
        log: &log,
        streams: Some(&StreamKeys),
        since,
    })
    .unwrap()
}
