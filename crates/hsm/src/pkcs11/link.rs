//! The way to one token: sessions, login, and coming back after a loss.
//!
//! A [`Line`] is one connection: a slot, a login, a pool of sessions (one for each call under way)
//! and the handles of the token's own keys. When a call finds the token, the session, the login or
//! an object gone, the line is given up as a whole, the next one is made, and the call is repeated
//! once. Whatever was loaded over the former line loads itself again ([`super::held`]).
//!
//! The PIN is tried once for each line. If the token says that it is wrong or locked, the link is
//! barred for good: trying again could lock the token for everybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Limit, Slot, TokenInfo};
use cryptoki::types::AuthPin;
use hpki::refusal::Refuse;
use hpki::sign::DeviceFault;

use super::keys::Keys;
use super::module::{Entered, Module};
use super::pool::Pool;
use super::quirks::{self, Quirks};
use super::trouble::Trouble;
use crate::health::DeviceWatch;
use crate::refusal::{Failed, Refusal};

/// Counts lines, so that a handle is never used over another line than its own.
static LINES: AtomicU64 = AtomicU64::new(1);

/// The way to a token.
pub(crate) struct Link {
    module: Arc<Module>,
    label: String,
    serial: String,
    pin: AuthPin,
    pub(crate) quirks: &'static Quirks,
    line: RwLock<Arc<Line>>,
    /// One at a time makes the next line.
    connecting: Mutex<()>,
    pub(crate) watch: DeviceWatch,
}

/// One connection.
pub(crate) struct Line {
    /// Never the same twice in a process.
    pub(crate) number: u64,
    pub(crate) keys: Keys,
    slot: Slot,
    module: Arc<Module>,
    generation: u64,
    pool: Pool<Session>,
}

impl Link {
    /// Reaches the token for the first time.
    pub(crate) fn open(
        module: Arc<Module>,
        label: &str,
        serial: &str,
        pin: AuthPin,
    ) -> Result<Self, Failed> {
        let told = |trouble: Trouble| trouble.told(label);
        let (entered, slot, token) = find(&module, label).map_err(told)?;
        if token.serial_number() != serial {
            return Err(Refusal::TokenAnother(label.into()).into());
        }
        let quirks = quirks::of(&token);
        missing(&module, slot)?;
        drop(entered);
        let line = Line::connect(&module, label, serial, &pin, true).map_err(told)?;
        let nameplate = crate::health::Nameplate {
            kind: quirks.name.into(),
            token: format!("{label} ({serial})"),
        };
        Ok(Self {
            module,
            label: label.into(),
            serial: serial.into(),
            pin,
            quirks,
            line: RwLock::new(Arc::new(line)),
            connecting: Mutex::new(()),
            watch: DeviceWatch::new(nameplate),
        })
    }

    /// Does something over a session of the present line; over a new line, if that one was lost.
    pub(crate) fn with<T>(
        &self,
        act: impl Fn(&Line, &Session) -> Result<T, Trouble>,
    ) -> Result<T, Failed> {
        if let Some(code) = self.watch.bar() {
            return Err(DeviceFault(format!("the device does not let us in: {code}")).into());
        }
        let line = self.present();
        match line.lend(&act) {
            Err(trouble) if trouble.is_loss() => {
                self.watch.reopening();
                let again = self.renew(&line).and_then(|line| line.lend(&act));
                match again {
                    Err(trouble) if trouble.is_loss() => {
                        let why = trouble.why();
                        self.watch.lost(why.clone());
                        Err(DeviceFault(why).into())
                    }
                    other => {
                        self.note(&other);
                        other.map_err(|trouble| trouble.told(&self.label))
                    }
                }
            }
            Ok(done) => {
                self.watch.working();
                Ok(done)
            }
            Err(trouble) => Err(trouble.told(&self.label)),
        }
    }

    fn note<T>(&self, after: &Result<T, Trouble>) {
        match after {
            Err(Trouble::Refused(
                refusal @ (Refusal::TokenUnknown(_) | Refusal::DeviceLost(_)),
            )) => self.watch.lost(refusal.to_string()),
            Err(trouble @ Trouble::Device(Error::Pkcs11(RvError::PinIncorrect, _))) => {
                debug_assert!(!trouble.is_loss());
                self.watch.barred("pin-wrong");
            }
            Err(Trouble::Device(Error::Pkcs11(RvError::PinLocked, _))) => {
                self.watch.barred("pin-locked");
            }
            Err(Trouble::Refused(
                refusal @ (Refusal::PinFinalTry(_)
                | Refusal::TokenAnother(_)
                | Refusal::KekMissing(_)
                | Refusal::KekWeak(_)),
            )) => self.watch.barred(refusal.code()),
            _ => self.watch.working(),
        }
    }

    /// Whether a handle of this line still means something, for whoever wants to destroy it.
    pub(crate) fn is_present(&self, number: u64) -> bool {
        self.present().number == number
    }

    /// Over the present line only, without trying again: what is to be destroyed is gone with its
    /// line anyway.
    pub(crate) fn once(&self, act: impl Fn(&Line, &Session) -> Result<(), Trouble>) {
        if self.watch.bar().is_none() {
            let _ = self.present().lend(&act);
        }
    }

    fn present(&self) -> Arc<Line> {
        Arc::clone(&self.line.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next line after this one, made once for all who lost it.
    fn renew(&self, lost: &Line) -> Result<Arc<Line>, Trouble> {
        let _one = self.connecting.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.present();
        if present.number != lost.number {
            return Ok(present);
        }
        let connect = || Line::connect(&self.module, &self.label, &self.serial, &self.pin, false);
        let generation = *self.module.enter();
        let line = match connect() {
            Err(trouble) if self.quirks.reinitialise && may_be_hidden(&trouble) => {
                // Some modules see a token that came back only when initialised anew.
                if !self.module.reinitialise(generation) {
                    return Err(trouble);
                }
                connect()?
            }
            other => other?,
        };
        let line = Arc::new(line);
        *self.line.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&line);
        Ok(line)
    }
}

fn may_be_hidden(trouble: &Trouble) -> bool {
    trouble.is_loss()
        || matches!(trouble, Trouble::Refused(Refusal::TokenUnknown(_) | Refusal::KekMissing(_)))
}

impl Line {
    fn connect(
        module: &Arc<Module>,
        label: &str,
        serial: &str,
        pin: &AuthPin,
        first: bool,
    ) -> Result<Self, Trouble> {
        let generation = module.enter();
        let (slot, token) = find_in(module, label)?;
        if token.serial_number() != serial {
            return Err(Refusal::TokenAnother(label.into()).into());
        }
        let quirks = quirks::of(&token);
        let session = session(module, slot)?;
        let keys =
            login(&session, &token, pin, first).and_then(|()| Keys::find(&session, quirks, label));
        let keys = match keys {
            Ok(keys) => keys,
            Err(trouble) => {
                let _ = session.close();
                return Err(trouble);
            }
        };
        let most = match token.max_rw_session_count() {
            Limit::Max(most) if most > 0 => usize::try_from(most).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        Ok(Self {
            number: LINES.fetch_add(1, Ordering::Relaxed),
            keys,
            slot,
            module: Arc::clone(module),
            generation: *generation,
            pool: Pool::new(session, most.min(quirks.sessions_max)),
        })
    }

    /// Lends a session for one act. It goes back to the pool even after an error: closing it would
    /// destroy every key that was loaded over it.
    fn lend<T>(&self, act: impl Fn(&Self, &Session) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let generation = self.module.enter();
        if *generation != self.generation {
            let gone = Error::Pkcs11(
                RvError::CryptokiNotInitialized,
                cryptoki::context::Function::OpenSession,
            );
            return Err(gone.into());
        }
        let session = self.pool.take(|| session(&self.module, self.slot))?;
        let done = act(self, &session);
        self.pool.give_back(session);
        done
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let generation = self.module.enter();
        // A number of an earlier generation may be somebody else's session now.
        if *generation == self.generation {
            for session in self.pool.drain() {
                let _ = session.close();
            }
        }
    }
}

/// A session that is closed by [`Line`] alone, which knows whether its number still means it.
pub(super) fn session(module: &Module, slot: Slot) -> Result<Session, Error> {
    module.pkcs11.open_rw_session_no_drop(slot)
}

/// The one token of this label. Its slot means something while the module stays entered.
pub(super) fn find<'a>(
    module: &'a Module,
    label: &str,
) -> Result<(Entered<'a>, Slot, TokenInfo), Trouble> {
    let entered = module.enter();
    match find_in(module, label) {
        Ok((slot, token)) => return Ok((entered, slot, token)),
        Err(Trouble::Refused(Refusal::TokenUnknown(_))) => {}
        Err(trouble) => return Err(trouble),
    }
    // It may have been made since the module was initialised.
    let generation = *entered;
    drop(entered);
    module.reinitialise(generation);
    let entered = module.enter();
    let (slot, token) = find_in(module, label)?;
    Ok((entered, slot, token))
}

pub(super) fn find_in(module: &Module, label: &str) -> Result<(Slot, TokenInfo), Trouble> {
    let mut found = None;
    for slot in module.pkcs11.get_slots_with_token()? {
        // A slot whose token is just being taken away does not hide the others.
        let Ok(token) = module.pkcs11.get_token_info(slot) else { continue };
        if token.token_initialized() && token.label() == label {
            if found.is_some() {
                return Err(Refusal::TokenDoubled(label.into()).into());
            }
            found = Some((slot, token));
        }
    }
    found.ok_or_else(|| Refusal::TokenUnknown(label.into()).into())
}

/// Logs the process in as the user of this token; the PIN is tried once.
pub(super) fn login(
    session: &Session,
    token: &TokenInfo,
    pin: &AuthPin,
    first: bool,
) -> Result<(), Trouble> {
    let label = || token.label().to_owned();
    if token.user_pin_locked() {
        return Err(Refusal::PinLocked(label()).into());
    }
    if token.user_pin_final_try() {
        return Err(Refusal::PinFinalTry(label()).into());
    }
    if !token.user_pin_initialized() {
        return Err(Refusal::TokenNotReady(label()).into());
    }
    match session.login(UserType::User, Some(pin)) {
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) if first => {
            // Somebody else in this process is logged in, so the PIN was not looked at. They come
            // back by themselves.
            session.logout()?;
            Ok(session.login(UserType::User, Some(pin))?)
        }
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        other => Ok(other?),
    }
}

/// Refuses a device that cannot do all that the house needs.
pub(super) fn missing(module: &Module, slot: Slot) -> Result<(), Failed> {
    let there = module
        .pkcs11
        .get_mechanism_list(slot)
        .map_err(|error| Trouble::Device(error).told("mechanisms"))?;
    let missing: Vec<&str> = quirks::NEEDED
        .iter()
        .filter(|(mechanism, _)| !there.contains(mechanism))
        .map(|(_, name)| *name)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Refusal::MechanismMissing(missing.join(", ")).into())
    }
}
