//! A small estate in a temporary folder: a real vault, a real ledger.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

#[path = "../../../ledger/tests/common/engine.rs"]
pub mod engine;

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _};
use ca::{
    Ca, CaConfig, CardApplication, CardOrder, CeremonyPlan, FacilityOrder, MIGRATIONS,
    Organization, SigningAuthority, SigningOrder, Subscriber,
};
use hpki::id::{KeyId, PersonId};
use hpki::qualification::Qualification;
use hpki::sign::Mac;
use hpki::time::Timestamp;
use hsm::anomaly::Anomalies;
use hsm::{DeviceConfig, SystemRandom, UnsealSecret};
use ledger::audit::Audit;
use ledger::{Faults, Ledger, Opening, Options};
use tempfile::TempDir;

pub const REPOSITORY: &str = "http://repository.test-azukari.example.jp/repository";

pub fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T13:42:00+09:00").unwrap()
}

pub fn plan() -> CeremonyPlan {
    CeremonyPlan { title: "試験用鍵生成式".into(), present: vec!["架空 一郎".into()] }
}

/// What stays when the process dies.
pub struct Estate {
    folder: TempDir,
    pub unseal: UnsealSecret,
    pub anomalies: Anomalies,
    pub faults: Faults,
    pub config: CaConfig,
}

/// What dies with the process.
pub struct Running {
    pub ca: Ca,
    pub ledger: Ledger,
    streams: Arc<dyn Mac>,
}

impl Estate {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let unseal = UnsealSecret::random(&SystemRandom);
        hsm::create(&DeviceConfig::vault(folder.path().join("vault")), &unseal).unwrap();
        Self {
            folder,
            unseal,
            anomalies: Anomalies::none(),
            faults: Faults::new(),
            config: CaConfig::test_estate(REPOSITORY),
        }
    }

    pub fn books(&self) -> std::path::PathBuf {
        self.folder.path().join("books")
    }

    pub fn device(&self) -> DeviceConfig {
        DeviceConfig::vault(self.folder.path().join("vault"))
    }

    /// Starts the process. A dying one may need a moment to let go of its folders.
    pub fn start(&self) -> Running {
        self.start_in(&self.books())
    }

    pub fn start_in(&self, books: &Path) -> Running {
        let desks =
            hsm::open_failing(&self.device(), &self.unseal, 1, self.anomalies.clone()).unwrap();
        let (log, streams) = desks.log.split();
        let opening = Opening {
            place: engine::place(books),
            migrations: MIGRATIONS,
            log,
            streams: Arc::clone(&streams),
            random: Arc::new(SystemRandom),
            origin: "log.azukari.example/test".into(),
            now: now(),
        };
        let options = Options { faults: Some(self.faults.clone()), ..Options::default() };
        let ledger = Ledger::open_with(opening, options).unwrap();
        let ca = Ca::new(ledger.clone(), desks.ca, Arc::new(SystemRandom), self.config.clone());
        Running { ca, ledger, streams }
    }
}

impl Running {
    /// The journal is whole, and nothing announced is left open.
    pub fn balance(&self, estate: &Estate) {
        let audit = Audit {
            place: engine::place(&estate.books()),
            head: None,
            log: self.ledger.verify_key(),
            streams: Some(self.streams.as_ref()),
            since: &[],
        };
        let report = ledger::audit::verify(&audit).unwrap();
        assert!(report.is_whole(), "{:?}", report.problems);
        assert_eq!(report.open_intentions, Vec::<u64>::new());
    }
}

/// One RSA public key for all subscribers of a test: the authority never sees more than that half.
pub fn spki() -> Vec<u8> {
    static SPKI: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let make = || {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        spki.as_ref().to_vec()
    };
    SPKI.get_or_init(make).clone()
}

pub fn p256_spki() -> Vec<u8> {
    let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    spki.as_ref().to_vec()
}

pub fn doctor() -> SigningOrder {
    SigningOrder {
        subscriber: Subscriber {
            authority: SigningAuthority::Medis,
            person: PersonId::random(&SystemRandom),
            name_romaji: "Taro Kakuu".into(),
            name_ja: "架空　太郎".into(),
            organization: Some(Organization {
                romaji: "TEST HOSPITAL".into(),
                ja: "試験病院".into(),
            }),
            subject_serial: "Test117120".into(),
            qualification: Qualification::MedicalDoctor,
            valid_from: now(),
        },
        key: KeyId::random(&SystemRandom),
        spki_der: spki(),
    }
}

/// The same order, for somebody who differs.
pub fn differing(order: &SigningOrder, change: impl FnOnce(&mut Subscriber)) -> SigningOrder {
    let mut other = order.clone();
    change(&mut other.subscriber);
    other
}

/// The card of whoever this signing order is for.
pub fn card(kept: &SigningOrder, application: CardApplication) -> CardOrder {
    CardOrder { subscriber: kept.subscriber.clone(), application, spki_der: spki() }
}

pub fn pharmacist() -> SigningOrder {
    differing(&doctor(), |subscriber| {
        subscriber.authority = SigningAuthority::Jpa;
        subscriber.name_romaji = "Hanako Kakuu".into();
        subscriber.name_ja = "架空　花子".into();
        subscriber.organization = None;
        subscriber.subject_serial = "T20024-jpa".into();
        subscriber.qualification = Qualification::Pharmacist;
    })
}

pub fn gateway() -> FacilityOrder {
    FacilityOrder {
        code: "1312345678".parse().unwrap(),
        name: "TEST HOSPITAL".into(),
        gateway: "gw1".into(),
        spki_der: p256_spki(),
    }
}
