//! The one place that reaches the device: making keys, sealing rows, and the only function that
//! signs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hpki::encoding::{Digest32, Statement};
use hpki::id::{KeyId, PersonId};
use hpki::refusal::Refuse as _;
use hpki::sign::DeviceFault;
use hpki::time::Timestamp;
use hsm::{LoadedKey, SubscriberDesk};
use ledger::{Failed, Fault, Intention, Receipt};
use tokio::sync::{OnceCell, oneshot};
use xades::compose::Draft;

use crate::activation::Activation;
use crate::cache::Recent;
use crate::key::Kept;
use crate::limits::IDLE_S;
use crate::refusal::Refusal;

/// A slot for a loaded key: whoever comes second waits for the first one's loading.
struct Slot {
    key: OnceCell<Arc<LoadedKey>>,
    used: AtomicU64,
}

/// The desk, and the keys that are loaded in the device now.
pub(crate) struct Strongroom {
    desk: SubscriberDesk,
    loaded: Recent<KeyId, Arc<Slot>>,
}

impl Strongroom {
    pub(crate) fn new(desk: SubscriberDesk, loaded_max: usize) -> Self {
        Self { desk, loaded: Recent::new(loaded_max) }
    }

    pub(crate) async fn generate(
        &self,
        key: KeyId,
        owner: PersonId,
        policy: u32,
        now: Timestamp,
    ) -> Result<hsm::Generated, DeviceFault> {
        let (done, answer) = oneshot::channel();
        self.desk.generate_then(
            key,
            owner,
            policy,
            now,
            Box::new(move |made| {
                let _ = done.send(made);
            }),
        );
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(crate) fn seal(&self, row: &Statement) -> Result<Digest32, DeviceFault> {
        self.desk.seal(row)
    }

    /// Whether the row bears our seal. A device that fails says nothing about that: it must not look
    /// as if somebody had changed the row.
    pub(crate) fn seal_holds(&self, row: &Statement, tag: &[u8]) -> Result<bool, DeviceFault> {
        self.desk.check_seal(row, tag)
    }

    /// Signs what was decided and recorded, and nothing else: the activation and the receipt are
    /// used up, and must be about the same key, hash and activation as the draft.
    ///
    /// If we die in here, the intention stands, and a signature exists at most in lost memory.
    pub(crate) async fn sign(
        &self,
        activation: Activation,
        intention: Receipt<Intention>,
        draft: &Draft,
        kept: &Kept,
        now: Timestamp,
    ) -> Result<Vec<u8>, Failed<Refusal>> {
        if !decided(&activation, &intention, kept) || draft.dtbsr() != *activation.dtbsr() {
            return Err(another());
        }
        let key = self.load(kept, now).await?;
        let (done, answer) = oneshot::channel();
        self.desk.sign(
            key,
            draft.signed_info().to_vec(),
            Box::new(move |signed| {
                // Nobody waits any more: the signature is dropped, and the lease runs out.
                let _ = done.send(signed);
            }),
        );
        Ok(answer.await.unwrap_or_else(|_| Err(gone()))?)
    }

    /// As [`Strongroom::sign`], for a hash that needs no SignedInfo at hand: what was decided is
    /// what is signed.
    pub(crate) async fn sign_digest(
        &self,
        activation: Activation,
        intention: Receipt<Intention>,
        kept: &Kept,
        now: Timestamp,
    ) -> Result<Vec<u8>, Failed<Refusal>> {
        if !decided(&activation, &intention, kept) {
            return Err(another());
        }
        let key = self.load(kept, now).await?;
        let (done, answer) = oneshot::channel();
        self.desk.sign_digest(
            key,
            *activation.dtbsr(),
            Box::new(move |signed| {
                let _ = done.send(signed);
            }),
        );
        Ok(answer.await.unwrap_or_else(|_| Err(gone()))?)
    }

    async fn load(&self, kept: &Kept, now: Timestamp) -> Result<Arc<LoadedKey>, Failed<Refusal>> {
        let row = &kept.row;
        let slot = self
            .loaded
            .get_or(&row.id, || Arc::new(Slot { key: OnceCell::new(), used: AtomicU64::new(0) }));
        slot.used.store(now.seconds(), Ordering::Relaxed);
        let loading = || async {
            let (done, answer) = oneshot::channel();
            self.desk.load_then(
                row.wrapped.clone(),
                row.id,
                row.owner,
                Box::new(move |loaded| {
                    let _ = done.send(loaded);
                }),
            );
            let loaded = answer.await.unwrap_or_else(|_| Err(gone().into()));
            loaded.map(Arc::new).map_err(|failed| match failed {
                hsm::Failed::Refused(refusal) => Failed::Refused(Refusal::Device(refusal)),
                hsm::Failed::Fault(fault) => Failed::from(fault),
            })
        };
        let key = slot.key.get_or_try_init(loading).await?;
        if key.spki_der() != row.spki {
            self.forget(row.id);
            return Err(Failed::Refused(Refusal::Device(hsm::Refusal::BlobNotOwners)));
        }
        Ok(Arc::clone(key))
    }

    /// Unloads a key: none of its budgets is open any more, or it was stopped. The device zeroes it
    /// when the last signature that is under way has ended.
    pub(crate) fn forget(&self, key: KeyId) {
        self.loaded.remove(&key);
    }

    /// Unloads what was not used for a quarter of an hour.
    pub(crate) fn forget_idle(&self, now: Timestamp) {
        let oldest = now.minus(IDLE_S).seconds();
        self.loaded.retain(|slot| slot.used.load(Ordering::Relaxed) >= oldest);
    }

    /// Which keys are loaded.
    pub(crate) fn loaded_keys(&self) -> Vec<KeyId> {
        self.loaded.keys()
    }

    /// How many keys are loaded.
    pub(crate) fn loaded(&self) -> usize {
        self.loaded.len()
    }
}

/// Keys that are made ahead, arrive, or are only looked at.
impl Strongroom {
    pub(crate) async fn generate_ahead(
        &self,
        place: KeyId,
        now: Timestamp,
    ) -> Result<hsm::Generated, DeviceFault> {
        let (done, answer) = oneshot::channel();
        self.desk.generate_ahead_then(
            place,
            now,
            Box::new(move |made| {
                let _ = done.send(made);
            }),
        );
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(crate) fn bind(
        &self,
        wrapped: &[u8],
        from: KeyId,
        key: KeyId,
        owner: PersonId,
        policy: u32,
        now: Timestamp,
    ) -> Result<hsm::Generated, Failed<Refusal>> {
        self.desk.bind(wrapped, from, key, owner, policy, now).map_err(from_device)
    }

    pub(crate) fn import(
        &self,
        package: &hsm::Package,
        spki: &[u8],
        key: KeyId,
        owner: PersonId,
        policy: u32,
        now: Timestamp,
    ) -> Result<hsm::Generated, Failed<Refusal>> {
        self.desk.import(package, spki, key, owner, policy, now).map_err(from_device)
    }

    pub(crate) fn import_key(&self) -> Result<Vec<u8>, Failed<Refusal>> {
        self.desk.import_key().map_err(from_device)
    }

    /// Loads a key, looks at it and unloads it again: what is wrong with its wrapped form or with
    /// the device's proof, if anything is.
    pub(crate) async fn inspect(
        &self,
        row: &crate::key::KeyRow,
    ) -> Result<Option<&'static str>, Failed<Refusal>> {
        let (done, answer) = oneshot::channel();
        self.desk.load_then(
            row.wrapped.clone(),
            row.id,
            row.owner,
            Box::new(move |loaded| {
                let _ = done.send(loaded);
            }),
        );
        match answer.await.unwrap_or_else(|_| Err(gone().into())) {
            Ok(loaded) if loaded.spki_der() != row.spki => return Ok(Some("blob-not-owners")),
            Ok(_) => {}
            Err(hsm::Failed::Refused(refusal)) => return Ok(Some(refusal.code())),
            Err(hsm::Failed::Fault(fault)) => return Err(fault.into()),
        }
        let policy = row.purpose.policy();
        let holds = if row.origin.is_empty() {
            self.desk.check_proof(&row.spki, &row.proof, row.id, row.owner, policy, row.created)?
        } else {
            self.desk.check_arrival(
                &row.spki,
                &row.proof,
                row.id,
                row.owner,
                policy,
                row.created,
            )?
        };
        Ok((!holds).then_some("proof-wrong"))
    }
}

fn from_device(failed: hsm::Failed) -> Failed<Refusal> {
    match failed {
        hsm::Failed::Refused(refusal) => Failed::Refused(Refusal::Device(refusal)),
        hsm::Failed::Fault(fault) => Failed::from(fault),
    }
}

/// Whether the intention is the one of this activation, for this key.
fn decided(activation: &Activation, intention: &Receipt<Intention>, kept: &Kept) -> bool {
    let record = intention.record();
    activation.key() == kept.row.id
        && record.key == Some(activation.key())
        && record.activation == Some(activation.id())
        && record.kind == Some(activation.kind())
        && record.dtbsr.as_ref() == Some(activation.dtbsr())
}

fn another() -> Failed<Refusal> {
    let why = "an activation was brought with another intention's receipt".to_owned();
    Failed::Fault(Fault::Misuse(why))
}

fn gone() -> DeviceFault {
    DeviceFault("the device closed before it answered".into())
}
