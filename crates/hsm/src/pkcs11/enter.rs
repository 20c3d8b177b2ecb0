//! Into a token for one act, as its user or as its security officers: where no [`super::link`] can
//! stand yet, or none is needed. The PIN is tried once.

use std::path::Path;

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use super::link;
use super::module::Module;
use super::trouble::Trouble;
use crate::refusal::{Failed, Refusal};
use crate::unseal::UnsealSecret;

/// A token by the name that the configuration gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenName<'a> {
    pub(crate) module: &'a Path,
    pub(crate) label: &'a str,
}

impl TokenName<'_> {
    /// Does something as the token's user.
    pub(super) fn as_user<T>(
        &self,
        unseal: &UnsealSecret,
        act: impl FnOnce(&Session, &TokenInfo) -> Result<T, Trouble>,
    ) -> Result<T, Failed> {
        let pin = unseal.pin(self.label)?;
        let module = Module::load(self.module)?;
        let (_entered, slot, token) = link::find(&module, self.label).map_err(|t| self.told(t))?;
        in_session(&module, slot, |session| {
            link::login(session, &token, &pin, true)?;
            act(session, &token)
        })
        .map_err(|trouble| self.told(trouble))
    }

    /// Does something as the token's security officers.
    pub(super) fn as_officers<T>(
        &self,
        officers: &UnsealSecret,
        act: impl FnOnce(&Session) -> Result<T, Trouble>,
    ) -> Result<T, Failed> {
        let pin = officers.officers_pin(self.label)?;
        let module = Module::load(self.module)?;
        let (_entered, slot, token) = link::find(&module, self.label).map_err(|t| self.told(t))?;
        self.among_officers(&module, slot, &token, &pin, act)
    }

    fn among_officers<T>(
        &self,
        module: &Module,
        slot: Slot,
        token: &TokenInfo,
        pin: &AuthPin,
        act: impl FnOnce(&Session) -> Result<T, Trouble>,
    ) -> Result<T, Failed> {
        if token.so_pin_locked() {
            return Err(Refusal::PinLocked(self.label.into()).into());
        }
        if token.so_pin_final_try() {
            return Err(Refusal::PinFinalTry(self.label.into()).into());
        }
        in_session(module, slot, |session| {
            match session.login(UserType::So, Some(pin)) {
                // The user of this process; he comes back by himself.
                Err(Error::Pkcs11(RvError::UserAnotherAlreadyLoggedIn, _)) => {
                    session.logout().and_then(|()| session.login(UserType::So, Some(pin)))
                }
                other => other,
            }?;
            let done = act(session);
            session.logout()?;
            done
        })
        .map_err(|trouble| self.told(trouble))
    }

    /// Initialises a free token under this name. Both PINs are derived from the officers' secrets,
    /// and nobody ever knows either. None is ever initialised over another.
    pub(crate) fn prepare(
        &self,
        officers: &UnsealSecret,
        unseal: &UnsealSecret,
    ) -> Result<(), Failed> {
        let module = Module::load(self.module)?;
        {
            let _alone = module.alone();
            match link::find_in(&module, self.label) {
                Ok(_) => return Err(Refusal::TokenExists(self.label.into()).into()),
                Err(Trouble::Refused(Refusal::TokenUnknown(_))) => {}
                Err(trouble) => return Err(self.told(trouble)),
            }
        }
        self.make_ready(officers, unseal)
    }

    /// The same, where an earlier try may have died on the way: a token of this name stays, and
    /// gets the user's PIN if it has none.
    pub(super) fn make_ready(
        &self,
        officers: &UnsealSecret,
        unseal: &UnsealSecret,
    ) -> Result<(), Failed> {
        if self.label.is_empty() || self.label.len() > 32 {
            return Err(Refusal::TokenUnknown(self.label.into()).into());
        }
        let module = Module::load(self.module)?;
        let (officers, user) = (officers.officers_pin(self.label)?, unseal.pin(self.label)?);
        let _alone = module.alone();
        match link::find_in(&module, self.label) {
            Ok((_, token)) if token.user_pin_initialized() => return Ok(()),
            Ok(_) => {}
            Err(Trouble::Refused(Refusal::TokenUnknown(_))) => {
                let slot = free(&module, self.label).map_err(|trouble| self.told(trouble))?;
                let made = module.pkcs11.init_token(slot, &officers, self.label);
                made.map_err(|error| self.told(error.into()))?;
            }
            Err(trouble) => return Err(self.told(trouble)),
        }
        let (slot, token) = link::find_in(&module, self.label).map_err(|t| self.told(t))?;
        self.among_officers(
            &module,
            slot,
            &token,
            &officers,
            |session| Ok(session.init_pin(&user)?),
        )
    }

    /// What can be told of a token that custody may move to, before anybody's PIN is tried: it is
    /// there, or one can be made, and it does what the house needs.
    pub(super) fn look(&self) -> Result<(), Failed> {
        let module = Module::load(self.module)?;
        let told = |trouble| self.told(trouble);
        let slot = match link::find(&module, self.label) {
            Ok((_entered, slot, _)) => slot,
            Err(Trouble::Refused(Refusal::TokenUnknown(_))) => {
                let _entered = module.enter();
                free(&module, self.label).map_err(told)?
            }
            Err(trouble) => return Err(told(trouble)),
        };
        let _entered = module.enter();
        link::missing(&module, slot)
    }

    fn told(&self, trouble: Trouble) -> Failed {
        trouble.told(self.label)
    }
}

fn in_session<T>(
    module: &Module,
    slot: Slot,
    act: impl FnOnce(&Session) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let session = link::session(module, slot)?;
    let done = act(&session);
    let _ = session.close();
    done
}

/// A slot whose token nobody has initialised yet.
fn free(module: &Module, label: &str) -> Result<Slot, Trouble> {
    for slot in module.pkcs11.get_slots_with_token()? {
        let Ok(token) = module.pkcs11.get_token_info(slot) else { continue };
        if !token.token_initialized() {
            return Ok(slot);
        }
    }
    Err(Refusal::TokenFull(label.into()).into())
}
