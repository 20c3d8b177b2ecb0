//! A small town: one hospital with two physicians and a pharmacist, and its gateway.

use std::path::Path;
use std::sync::Arc;

use gateway::{Gateway, GatewayConfig, MIGRATIONS, Refusal, ShelfKey, Staff, StaffId};
use hpki::id::PersonId;
use hpki::kind::DocumentKind;
use hpki::oid;
use hpki::path::Anchor;
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::tlog::Quorum;
use ledger::{Failed, Store};
use prescription::{document, sample};
use tempfile::TempDir;

use crate::estate::{Dice, ESTATE, now};
use crate::platform::{Wire, World, journal};

pub(crate) struct Town {
    pub(crate) folder: TempDir,
    pub(crate) world: Arc<World>,
    pub(crate) store: Store,
    pub(crate) gateway: Gateway<Wire>,
}

pub(crate) fn person(number: u8) -> PersonId {
    PersonId::from_octets([number; 16])
}

pub(crate) fn id(text: &str) -> StaffId {
    text.parse().unwrap()
}

pub(crate) fn config(world: &World) -> GatewayConfig {
    let staff = |id: &str, name: Option<&str>, known: Option<u8>, kind| Staff {
        id: id.parse().unwrap(),
        name: id.into(),
        person: known.map(person),
        name_in_records: name.map(str::to_owned),
        card: None,
        kinds: vec![kind],
    };
    GatewayConfig {
        facility: world.facility.clone(),
        name: "架空総合病院（TEST）".into(),
        x5t: [1; 32],
        gateway: "g1".parse().unwrap(),
        staff: vec![
            staff("dr-1", Some("架空 太郎"), Some(1), DocumentKind::Prescription),
            staff("dr-2", None, None, DocumentKind::Prescription),
            staff("dr-3", None, None, DocumentKind::Prescription),
            staff("ph-1", Some("架空 薬子"), Some(9), DocumentKind::Dispensing),
        ],
        terminals: vec![("t1".parse().unwrap(), "第１診察室".into())],
        quorum: Quorum::new(world.ledger().verify_key().clone(), Vec::new(), 0).unwrap(),
        anchors: vec![Anchor { certificate: ESTATE.root.clone() }],
        intermediates: vec![ESTATE.authority.clone()],
        policies: vec![oid::POLICY_SIGNING],
        count: 300,
        hours: 18,
    }
}

pub(crate) fn open(
    folder: &Path,
    world: &Arc<World>,
    config: GatewayConfig,
) -> (Store, Gateway<Wire>) {
    let store = Store::open(&folder.join("gateway"), MIGRATIONS).unwrap();
    let key = ShelfKey::from_octets([3; 32]).unwrap();
    let wire = Wire(Arc::clone(world));
    let gateway = Gateway::open(config, store.clone(), key, wire, Arc::new(Dice));
    (store, gateway)
}

impl Town {
    /// Nobody is authenticated.
    pub(crate) fn asleep() -> Self {
        let folder = TempDir::new().unwrap();
        let ledger = journal(&folder.path().join("journal"), 7);
        let world = Arc::new(World::new(ledger, "1319999901".parse().unwrap()));
        let (store, gateway) = open(folder.path(), &world, config(&world));
        Self { folder, world, store, gateway }
    }

    /// The physician dr-1 and the pharmacist ph-1 have authenticated.
    pub(crate) async fn awake() -> Self {
        let town = Self::asleep();
        town.authenticate("dr-1", 1).await.unwrap();
        town.authenticate("ph-1", 9).await.unwrap();
        town
    }

    /// The same folder, opened again by a new process.
    pub(crate) fn restarted(self) -> Self {
        let Self { folder, world, store, gateway } = self;
        drop((store, gateway));
        let (store, gateway) = open(folder.path(), &world, config(&world));
        Self { folder, world, store, gateway }
    }

    pub(crate) async fn authenticate(
        &self,
        staff: &str,
        who: u8,
    ) -> Result<gateway::AuthenticationState, Failed<Refusal>> {
        let until = now().plus(64_800);
        let terminal = "t1".parse().unwrap();
        let begun = self.gateway.authenticate(&id(staff), &terminal, now()).await?;
        self.world.release(begun.ceremony, person(who), until);
        self.gateway.authentication_state(&id(staff), begun.ceremony, now()).await
    }

    pub(crate) async fn prescribe(&self) -> Result<gateway::Signed, Failed<Refusal>> {
        self.gateway.prescribe(&id("dr-1"), &csv(), now()).await
    }

    /// A prescription signed, registered by the service, ready to be dispensed.
    pub(crate) async fn registered(&self) -> Vec<u8> {
        let signed = self.prescribe().await.unwrap();
        document::register_prescription(&signed.document, PRESCRIPTION_ID, &[]).unwrap()
    }
}

pub(crate) const PRESCRIPTION_ID: &str = "0192f1d2-7c3a-7b11-8f0e-0123456789ab";

pub(crate) fn csv() -> Vec<u8> {
    sample::prescription(&sample::Prescribed::default())
}

pub(crate) fn dispensing_csv() -> Vec<u8> {
    sample::dispensing(&sample::Dispensed::default(), PRESCRIPTION_ID)
}

pub(crate) fn code<T>(result: Result<T, Failed<Refusal>>) -> &'static str {
    refusal(result).code()
}

pub(crate) fn refusal<T>(result: Result<T, Failed<Refusal>>) -> Refusal {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(Failed::Refused(refusal)) => refusal,
        Err(Failed::Fault(fault)) => panic!("{fault}"),
    }
}

pub(crate) fn later(seconds: u64) -> Timestamp {
    now().plus(seconds)
}
