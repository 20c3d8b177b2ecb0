//! PKCS#11 modules of this process: each loaded once, initialised once, shared by all tokens in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use crate::refusal::Refusal;

/// A loaded module. It stays loaded until the process ends: modules do not like to be unloaded.
pub(crate) struct Module {
    pub(crate) pkcs11: Pkcs11,
    /// How often it was initialised: handles of an earlier generation mean nothing.
    generation: RwLock<u64>,
}

/// Held while calls are made, so that nobody initialises the module under them.
pub(crate) type Entered<'a> = RwLockReadGuard<'a, u64>;

static LOADED: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

impl Module {
    /// The module of this path.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, Refusal> {
        let unusable =
            |error: Error| Refusal::ModuleUnusable(format!("{}: {error}", path.display()));
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(path) {
            return Ok(Arc::clone(module));
        }
        let pkcs11 = Pkcs11::new(path).map_err(unusable)?;
        initialise(&pkcs11).map_err(unusable)?;
        let module = Arc::new(Self { pkcs11, generation: RwLock::new(1) });
        loaded.insert(path.to_owned(), Arc::clone(&module));
        Ok(module)
    }

    /// Stay in the module for some calls; the value is the generation.
    pub(crate) fn enter(&self) -> Entered<'_> {
        self.generation.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Be alone in the module: initialising a token while others are looked at leaves a lock of
    /// SoftHSM2 2.6.1 taken for ever.
    pub(crate) fn alone(&self) -> RwLockWriteGuard<'_, u64> {
        self.generation.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Initialises the module anew, as some need before they see a token that came back. Not while
    /// calls are under way (one that hangs must not hang everybody), and once for all who found
    /// the same generation useless.
    pub(crate) fn reinitialise(&self, useless: u64) -> bool {
        let Ok(mut generation) = self.generation.try_write() else { return false };
        if *generation != useless {
            return true;
        }
        // Even if it fails, the handles of before are gone.
        *generation += 1;
        let _ = self.pkcs11.clone().finalize();
        initialise(&self.pkcs11).is_ok()
    }
}

fn initialise(pkcs11: &Pkcs11) -> Result<(), Error> {
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        other => other,
    }
}
