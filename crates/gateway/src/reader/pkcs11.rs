//! A vendor's PKCS#11 module for its cards (JAHIS 31 §5.2): mechanism `CKM_RSA_PKCS` alone, so the
//! DigestInfo is made here; login, signature, logout for each time.
//!
//! One module serves one use: vendors ship one for signing and one for authentication. A key that
//! wants its PIN once more between C_SignInit and C_Sign (`CKA_ALWAYS_AUTHENTICATE`) is not served.
//!
//! This is the way to holders' own cards only. Kept keys are in room `hsm`, which this room does not
//! know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot as SlotNumber;
use cryptoki::types::AuthPin;
use hpki::certificate::{Certificate, KeyUsage};
use hpki::encoding::Digest32;

use super::{
    CardFace, CardRefusal, CardUse, Cards, Chosen, Inside, LastTry, Pin, PinForm, Slot, Stay,
    Tries, digest_info,
};

/// A loaded module. It stays loaded until the process ends: modules do not like to be unloaded.
struct Loaded {
    pkcs11: Pkcs11,
    /// Who is logged in is known to the module for the whole process, so one turn at a time.
    turn: Mutex<()>,
}

static LOADED: Mutex<BTreeMap<PathBuf, Arc<Loaded>>> = Mutex::new(BTreeMap::new());

/// The cards that a module serves.
pub struct Module {
    loaded: Arc<Loaded>,
    name: String,
    usage: CardUse,
}

fn refusal(error: Error) -> CardRefusal {
    match error {
        Error::Pkcs11(RvError::PinLocked, _) => CardRefusal::PinBlocked,
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _) => {
            CardRefusal::PinWrong(Tries::Untold)
        }
        Error::Pkcs11(
            RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed,
            _,
        ) => CardRefusal::Removed,
        Error::Pkcs11(RvError::TokenNotRecognized, _) => CardRefusal::Unknown,
        Error::Pkcs11(RvError::UserAlreadyLoggedIn | RvError::UserAnotherAlreadyLoggedIn, _) => {
            CardRefusal::InUse
        }
        other => CardRefusal::ModuleAnswered(other.to_string()),
    }
}

impl Module {
    /// Loads the module in this file, which serves cards for this use.
    ///
    /// # Errors
    /// `card-reader-unavailable` if it is none or does not start.
    pub fn load(file: &Path, usage: CardUse) -> Result<Self, CardRefusal> {
        let unusable =
            |error: Error| CardRefusal::ReaderUnavailable(format!("{}: {error}", file.display()));
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut all = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = all.get(file) {
            return Ok(Self { loaded: Arc::clone(loaded), name, usage });
        }
        let pkcs11 = Pkcs11::new(file).map_err(unusable)?;
        match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(unusable(error)),
        }
        let loaded = Arc::new(Loaded { pkcs11, turn: Mutex::default() });
        all.insert(file.to_owned(), Arc::clone(&loaded));
        Ok(Self { loaded, name, usage })
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.loaded.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Slots with a token, each with the name that it has here.
    fn slots(&self) -> Result<Vec<(SlotNumber, String)>, CardRefusal> {
        let pkcs11 = &self.loaded.pkcs11;
        let slots = pkcs11.get_slots_with_token().map_err(refusal)?;
        let named = slots.into_iter().map(|slot| {
            let told = pkcs11.get_slot_info(slot).map_err(refusal)?;
            let described = told.slot_description().trim().to_owned();
            Ok((slot, format!("{described} [{} {}]", self.name, slot.id())))
        });
        named.collect()
    }

    /// What everybody may read of a slot.
    fn face(&self, slot: SlotNumber) -> Result<Option<(CardFace, Vec<u8>)>, CardRefusal> {
        let pkcs11 = &self.loaded.pkcs11;
        let token = pkcs11.get_token_info(slot).map_err(refusal)?;
        let session = pkcs11.open_ro_session(slot).map_err(refusal)?;
        let Some((certificate, id)) = certificate(&session, self.usage)? else { return Ok(None) };
        let tries = match () {
            () if token.user_pin_locked() => Tries::Blocked,
            () if token.user_pin_final_try() => Tries::Left(1),
            () if token.user_pin_count_low() => Tries::Few,
            () => Tries::Untold,
        };
        let length = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
        let pin = match self.usage {
            CardUse::Jpki => PinForm::Digits(4),
            _ => PinForm::Characters(
                length(token.min_pin_length()).max(4),
                length(token.max_pin_length()).clamp(4, 64),
            ),
        };
        Ok(Some((CardFace { usage: self.usage, certificate, tries, pin }, id)))
    }

    /// The slot of this name, if it still has the card that was chosen.
    fn same(&self, card: &Chosen) -> Result<(SlotNumber, CardFace, Vec<u8>), CardRefusal> {
        let slot = self.slots()?.into_iter().find(|(_, name)| *name == card.reader);
        let (slot, _) = slot.ok_or(CardRefusal::Removed)?;
        let (face, id) = self.face(slot)?.ok_or(CardRefusal::Changed)?;
        if face.certificate != card.certificate {
            return Err(CardRefusal::Changed);
        }
        Ok((slot, face, id))
    }
}

/// The holder's certificate with this use, and the `CKA_ID` that it shares with its key.
fn certificate(
    session: &Session,
    usage: CardUse,
) -> Result<Option<(Certificate, Vec<u8>)>, CardRefusal> {
    let wanted = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
    ];
    for object in session.find_objects(&wanted).map_err(refusal)? {
        let told = [AttributeType::Value, AttributeType::Id];
        let (mut der, mut id) = (None, None);
        for attribute in session.get_attributes(object, &told).map_err(refusal)? {
            match attribute {
                Attribute::Value(octets) => der = Some(octets),
                Attribute::Id(octets) => id = Some(octets),
                _ => {}
            }
        }
        let (Some(der), Some(id)) = (der, id) else { continue };
        let Ok(certificate) = Certificate::from_der(&der) else { continue };
        let has = |bits| certificate.key_usage().is_some_and(|usage| usage.contains(bits));
        let fits = match usage {
            CardUse::Signing => has(KeyUsage::NON_REPUDIATION) && !has(KeyUsage::DIGITAL_SIGNATURE),
            _ => has(KeyUsage::DIGITAL_SIGNATURE) && !has(KeyUsage::NON_REPUDIATION),
        };
        if fits && !certificate.is_ca() {
            return Ok(Some((certificate, id)));
        }
    }
    Ok(None)
}

impl Cards for Module {
    fn look(&self) -> Result<Vec<Slot>, CardRefusal> {
        let _turn = self.turn();
        let slots = self.slots()?.into_iter().map(|(slot, reader)| {
            let card = match self.face(slot) {
                Ok(Some((face, _))) => Inside::Card(vec![face]),
                Ok(None) => Inside::Unknown,
                Err(refusal) => Inside::Trouble(refusal),
            };
            Slot { reader, card }
        });
        Ok(slots.collect())
    }

    fn sign_digest(
        &self,
        card: &Chosen,
        pin: &Pin,
        last: LastTry,
        digest: &Digest32,
    ) -> Result<Vec<u8>, CardRefusal> {
        let _turn = self.turn();
        let (slot, face, id) = self.same(card)?;
        pin.may_be_sent(face.pin, face.tries, last)?;
        let session = self.loaded.pkcs11.open_ro_session(slot).map_err(refusal)?;
        // The module's own kind of secret text, which is zeroed as ours is.
        let secret = AuthPin::new(pin.text().into());
        session.login(UserType::User, Some(&secret)).map_err(refusal)?;
        let signed = sign(&session, id, &digest_info(digest));
        // However it went, nobody stays logged in.
        let out = session.logout().map_err(refusal);
        let signature = signed?;
        out.map(|()| signature)
    }

    fn stay(&self, card: &Chosen) -> Result<Box<dyn Stay>, CardRefusal> {
        let _turn = self.turn();
        let (slot, _, _) = self.same(card)?;
        let session = self.loaded.pkcs11.open_ro_session(slot).map_err(refusal)?;
        Ok(Box::new(Stays { session, slot, loaded: Arc::clone(&self.loaded) }))
    }
}

fn sign(session: &Session, id: Vec<u8>, digest_info: &[u8]) -> Result<Vec<u8>, CardRefusal> {
    let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id)];
    let found = session.find_objects(&wanted).map_err(refusal)?;
    let [key] = found.as_slice() else {
        return Err(CardRefusal::Malformed("its certificate has not one key"));
    };
    session.sign(&Mechanism::RsaPkcs, *key, digest_info).map_err(refusal)
}

/// A session, which the module closes when the card is taken out (PKCS#11 §6.7.6).
struct Stays {
    session: Session,
    slot: SlotNumber,
    loaded: Arc<Loaded>,
}

impl Stay for Stays {
    fn is_there(&mut self) -> bool {
        let _turn = self.loaded.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let told = self.loaded.pkcs11.get_slot_info(self.slot);
        told.is_ok_and(|slot| slot.token_present()) && self.session.get_session_info().is_ok()
    }
}
