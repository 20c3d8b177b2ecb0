//! A device that fails on purpose, for tests of this and other rooms (feature `anomalies`).
//!
//! The n-th call of a kind, or of whatever kind, can fail before acting, fail after acting, answer
//! wrongly, or not return until [`Anomalies::release`], when its answer comes late.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hpki::encoding::{Digest32, Statement};
use hpki::id::{KeyId, PersonId};
use hpki::sign::{DeviceFault, SignatureAlgorithm};

use crate::device::{Device, Fresh, Held, Label, Role};
use crate::refusal::Failed;

/// The kinds of device call that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Making and wrapping a key.
    Generate,
    /// Unwrapping a key.
    Load,
    /// Signing with a subscriber's or any other key.
    Sign,
    /// A keyed hash: every seal, every check of one, every generation proof that is checked.
    Mac,
    /// Telling the public key to which authorities wrap, or that the device keeps none itself.
    ImportKey,
    /// Taking a key over from an authority.
    Import,
    /// Binding a key made ahead to its owner.
    Rebind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anomaly {
    /// The device fails and did nothing.
    FailBefore,
    /// The device acts, and its answer is lost.
    FailAfter,
    /// The device acts, and one bit of its signature or blob is wrong.
    AnswerWrongly,
    /// The call hangs until [`Anomalies::release`]; then it acts and answers.
    Hang,
}

/// Calls of one kind, or all of them.
type Which = Option<Call>;

#[derive(Default)]
struct State {
    seen: HashMap<Which, u32>,
    planned: HashMap<(Which, u32), Anomaly>,
    hanging: u32,
    released: bool,
}

impl State {
    fn seen(&self, which: Which) -> u32 {
        self.seen.get(&which).copied().unwrap_or(0)
    }

    fn plan(&mut self, which: Which, nth: u32, anomaly: Anomaly) {
        self.planned.insert((which, self.seen(which) + nth), anomaly);
        self.released = false;
    }

    fn begin(&mut self, which: Which) -> Option<Anomaly> {
        let number = self.seen(which) + 1;
        self.seen.insert(which, number);
        self.planned.remove(&(which, number))
    }
}

/// The plan of what goes wrong; clones share it.
#[derive(Clone, Default)]
pub struct Anomalies(Arc<(Mutex<State>, Condvar)>);

impl Anomalies {
    /// Nothing goes wrong yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// From now, the `nth` (1 is the next) call of this kind goes wrong.
    pub fn plan(&self, call: Call, nth: u32, anomaly: Anomaly) {
        self.lock().plan(Some(call), nth, anomaly);
    }

    /// From now, the `nth` (1 is the next) call of whatever kind goes wrong. A test plans n = 1, 2,
    /// 3 … until [`Anomalies::happened`] says no, and balances the books each time.
    pub fn plan_any(&self, nth: u32, anomaly: Anomaly) {
        self.lock().plan(None, nth, anomaly);
    }

    /// Whether everything that was planned has begun to happen.
    pub fn happened(&self) -> bool {
        self.lock().planned.is_empty()
    }

    /// How many calls of this kind have begun.
    pub fn calls(&self, call: Call) -> u32 {
        self.lock().seen(Some(call))
    }

    /// Whether a call hangs.
    pub fn hanging(&self) -> bool {
        self.lock().hanging > 0
    }

    /// Waits until a call hangs.
    pub fn until_hanging(&self) {
        let mut state = self.lock();
        while state.hanging == 0 {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets every hanging call go on.
    pub fn release(&self) {
        self.lock().released = true;
        self.0.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, call: Call) -> Option<Anomaly> {
        let mut state = self.lock();
        // Both are counted, whichever has something planned.
        let (of_kind, of_any) = (state.begin(Some(call)), state.begin(None));
        let anomaly = of_kind.or(of_any);
        if anomaly == Some(Anomaly::Hang) {
            state.hanging += 1;
            self.0.1.notify_all();
            while !state.released {
                state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.hanging -= 1;
        }
        anomaly
    }

    fn act<T, E: From<DeviceFault>>(
        &self,
        call: Call,
        act: impl FnOnce() -> Result<T, E>,
        spoil: impl FnOnce(&mut T),
    ) -> Result<T, E> {
        let failed = || E::from(DeviceFault("a planned anomaly".into()));
        match self.begin(call) {
            Some(Anomaly::FailBefore) => Err(failed()),
            Some(Anomaly::FailAfter) => act().and_then(|_| Err(failed())),
            Some(Anomaly::AnswerWrongly) => act().map(|mut answer| {
                spoil(&mut answer);
                answer
            }),
            Some(Anomaly::Hang) | None => act(),
        }
    }
}

fn flip(octets: &mut [u8]) {
    if let Some(last) = octets.last_mut() {
        *last ^= 1;
    }
}

/// A device with a plan.
pub(crate) struct Failing {
    pub(crate) device: Arc<dyn Device>,
    pub(crate) anomalies: Anomalies,
}

impl Device for Failing {
    fn generate(&self, label: &Label, algorithm: SignatureAlgorithm) -> Result<Fresh, Failed> {
        self.anomalies.act(
            Call::Generate,
            || self.device.generate(label, algorithm),
            |fresh| flip(&mut fresh.wrapped),
        )
    }

    fn load(
        &self,
        wrapped: &[u8],
        credential: KeyId,
        owner: PersonId,
        algorithm: SignatureAlgorithm,
        spki: Option<&[u8]>,
    ) -> Result<Arc<dyn Held>, Failed> {
        let held = self.anomalies.act(
            Call::Load,
            || self.device.load(wrapped, credential, owner, algorithm, spki),
            |_| (),
        )?;
        Ok(Arc::new(FailingHeld { held, anomalies: self.anomalies.clone() }))
    }

    fn import_key(&self) -> Option<Result<Vec<u8>, Failed>> {
        let ask = || self.device.import_key().transpose();
        self.anomalies
            .act(Call::ImportKey, ask, |spki| flip(spki.as_deref_mut().unwrap_or_default()))
            .transpose()
    }
    fn import(
        &self,
        import_key: Option<(&[u8], KeyId, PersonId)>,
        package: &crate::import::Package,
        spki: &[u8],
        label: &Label,
    ) -> Result<Fresh, Failed> {
        self.anomalies.act(
            Call::Import,
            || self.device.import(import_key, package, spki, label),
            |fresh| flip(&mut fresh.wrapped),
        )
    }
    fn rebind(
        &self,
        wrapped: &[u8],
        credential: KeyId,
        owner: PersonId,
        label: &Label,
    ) -> Result<Fresh, Failed> {
        self.anomalies.act(
            Call::Rebind,
            || self.device.rebind(wrapped, credential, owner, label),
            |fresh| flip(&mut fresh.wrapped),
        )
    }
    fn mac(&self, role: Role, statement: &Statement) -> Result<Digest32, DeviceFault> {
        self.anomalies.act(Call::Mac, || self.device.mac(role, statement), |tag| flip(tag))
    }
}

struct FailingHeld {
    held: Arc<dyn Held>,
    anomalies: Anomalies,
}

impl Held for FailingHeld {
    fn spki(&self) -> &[u8] {
        self.held.spki()
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, DeviceFault> {
        self.anomalies.act(Call::Sign, || self.held.sign(message), |signature| flip(signature))
    }
    fn sign_digest(&self, digest: &Digest32) -> Result<Vec<u8>, DeviceFault> {
        self.anomalies.act(Call::Sign, || self.held.sign_digest(digest), |value| flip(value))
    }
}
