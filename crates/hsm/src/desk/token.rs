//! The keys that sign access tokens (ES256): one signs, the next may be published ahead, old ones
//! stay published until the last token under them has run out.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpki::encoding::{Digest32, Statement, sha256};
use hpki::sign::{DeviceFault, Mac, SignatureAlgorithm};

use super::Opened;
use crate::device::{Held, Role};
use crate::named::Named;
use crate::refusal::{Failed, Refusal};

const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;

/// The desk of the token keys, given to `authn`.
pub struct TokenDesk {
    opened: Arc<Opened>,
    ring: RwLock<Ring>,
}

/// All published keys, oldest first; one of them signs.
struct Ring {
    keys: Vec<Arc<Slot>>,
    /// The published one that does not sign yet, if any, is the last.
    next_prepared: bool,
}

struct Slot {
    name: String,
    public: TokenPublic,
    held: Arc<dyn Held>,
}

/// A public token key, as a JWK needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPublic {
    /// The JWK thumbprint (RFC 7638), base64url.
    pub kid: String,
    /// The x coordinate.
    pub x: [u8; 32],
    /// The y coordinate.
    pub y: [u8; 32],
}

/// A token key as it is kept: wrapped, for processes over the same device key (KEK) and nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBlob {
    /// The name under which it is kept; names count on.
    pub name: String,
    /// Its identifier.
    pub kid: String,
    /// The wrapped key, and the public one.
    pub octets: Vec<u8>,
}

/// The key that signs now: take it once for a token, so that header and signature agree.
pub struct TokenKey(Arc<Slot>);

impl fmt::Debug for TokenDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenDesk({})", self.kid())
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({})", self.0.public.kid)
    }
}

impl TokenKey {
    /// Its identifier.
    pub fn kid(&self) -> &str {
        &self.0.public.kid
    }
    /// ES256 (RFC 7518 §3.4): raw r‖s, 64 octets.
    ///
    /// # Errors
    /// The device failed.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], DeviceFault> {
        self.0
            .held
            .sign(message)?
            .try_into()
            .map_err(|_| DeviceFault("an ECDSA signature of a strange length".into()))
    }
}

impl TokenDesk {
    pub(super) fn new(opened: Arc<Opened>) -> Result<Self, Failed> {
        let mut names = opened.named.names("token-")?;
        if names.is_empty() {
            names.push(name(1));
            opened.make_named(&name(1), ALGORITHM)?;
        }
        // Whether the newest signs already, the owner of the calendar says (`hold_back`).
        let keys = names.into_iter().map(|name| slot(&opened, name)).collect::<Result<_, _>>()?;
        Ok(Self { opened, ring: RwLock::new(Ring { keys, next_prepared: false }) })
    }

    /// The key that signs now.
    pub fn current(&self) -> TokenKey {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        TokenKey(ring.current())
    }

    /// Its identifier.
    pub fn kid(&self) -> String {
        self.current().kid().to_owned()
    }

    /// Signs with the current key: ES256, raw r‖s, 64 octets.
    ///
    /// # Errors
    /// The device failed.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], DeviceFault> {
        self.current().sign(message)
    }

    /// Every key to be published, oldest first.
    pub fn published(&self) -> Vec<TokenPublic> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.keys.iter().map(|slot| slot.public.clone()).collect()
    }

    /// Makes the next key and publishes it, without signing by it yet (48 hours ahead is right).
    /// Asked twice, the second does nothing.
    ///
    /// # Errors
    /// The device failed.
    pub fn prepare_next(&self) -> Result<(), Failed> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        self.prepare(&mut ring)
    }

    /// Signs with the next key from now; makes it if it was not prepared. The old one stays
    /// published until [`TokenDesk::retire`]d.
    ///
    /// # Errors
    /// The device failed; the old key signs on.
    pub fn rotate(&self) -> Result<(), Failed> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        self.prepare(&mut ring)?;
        ring.next_prepared = false;
        Ok(())
    }

    /// After a start: this key was published and is not to sign yet. Only the newest can wait, and
    /// only beside another that signs.
    pub fn hold_back(&self, kid: &str) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let newest = ring.keys.last().is_some_and(|slot| slot.public.kid == kid);
        ring.next_prepared |= newest && ring.keys.len() > 1;
    }

    /// The published keys as they are kept, oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn blobs(&self) -> Result<Vec<TokenBlob>, Failed> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let blob = |slot: &Arc<Slot>| {
            let octets = self.opened.named.read(&slot.name)?.octets();
            Ok(TokenBlob { name: slot.name.clone(), kid: slot.public.kid.clone(), octets })
        };
        ring.keys.iter().map(blob).collect()
    }

    /// Takes a key that another process over the same device key has made, and publishes it; where
    /// it does not sign there yet (`signs`), it does not here. A key of ours under the same name
    /// that nobody has signed with gives way: both were made at one moment, and one was first.
    ///
    /// # Errors
    /// `vault-key-exists` where ours has signed, `blob-broken` where it is not what it says, or the
    /// device failed.
    pub fn adopt(&self, blob: &TokenBlob, signs: bool) -> Result<(), Failed> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        if number(&blob.name).is_none_or(|number| name(number) != blob.name) {
            return Err(Refusal::KeyNameMalformed(blob.name.clone()).into());
        }
        let same = ring.keys.iter().position(|slot| slot.name == blob.name);
        let waits = |at: usize| ring.next_prepared && at + 1 == ring.keys.len();
        if same.is_some_and(|at| !waits(at)) {
            return Err(Refusal::KeyExists(blob.name.clone()).into());
        }
        let before = same.map(|_| self.opened.named.read(&blob.name)).transpose()?;
        self.opened.named.replace(&blob.name, &Named::parse(blob.octets.clone())?)?;
        let fresh = match Slot::load(&self.opened, blob.name.clone()) {
            Ok(fresh) if fresh.public.kid == blob.kid => Arc::new(fresh),
            wrong => {
                // What cannot be used is not kept.
                match before {
                    Some(before) => self.opened.named.replace(&blob.name, &before)?,
                    None => self.opened.named.remove(&blob.name)?,
                }
                return Err(wrong.err().unwrap_or(Refusal::BlobBroken.into()));
            }
        };
        if let Some(at) = same {
            ring.keys.remove(at);
            ring.next_prepared = false;
        }
        let at = ring.keys.partition_point(|slot| slot.name < blob.name);
        let newest = at == ring.keys.len();
        ring.keys.insert(at, fresh);
        if newest {
            ring.next_prepared = !signs;
        }
        Ok(())
    }

    /// Stops publishing an old key and destroys it: 18 hours after its last use, or at once in an
    /// emergency. The current key cannot be retired; rotate first.
    ///
    /// # Errors
    /// `vault-key-unknown`, or the folder cannot be written.
    pub fn retire(&self, kid: &str) -> Result<(), Failed> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let current = ring.current();
        let position = ring
            .keys
            .iter()
            .position(|slot| slot.public.kid == kid && slot.public.kid != current.public.kid)
            .ok_or_else(|| Refusal::KeyUnknown(kid.into()))?;
        self.opened.named.remove(&ring.keys[position].name)?;
        if position + 1 == ring.keys.len() {
            ring.next_prepared = false;
        }
        ring.keys.remove(position);
        Ok(())
    }

    fn prepare(&self, ring: &mut Ring) -> Result<(), Failed> {
        if ring.next_prepared {
            return Ok(());
        }
        let last = ring.keys.last().and_then(|slot| number(&slot.name)).unwrap_or(0);
        let name = name(last + 1);
        self.opened.make_named(&name, ALGORITHM)?;
        ring.keys.push(Arc::new(Slot::load(&self.opened, name)?));
        ring.next_prepared = true;
        Ok(())
    }
}

impl Mac for TokenDesk {
    fn mac(&self, statement: &Statement) -> Result<Digest32, DeviceFault> {
        self.opened.device.mac(Role::Token, statement)
    }
}

impl Ring {
    fn current(&self) -> Arc<Slot> {
        // Never empty: opening makes the first key, and the current one cannot be retired.
        let position = self.keys.len().saturating_sub(1 + usize::from(self.next_prepared));
        Arc::clone(&self.keys[position])
    }
}

impl Slot {
    fn load(opened: &Opened, name: String) -> Result<Self, Failed> {
        let held = opened.load_named(&name, ALGORITHM)?;
        // The last 65 octets of a P-256 SubjectPublicKeyInfo are the point 04‖x‖y (RFC 5480 §2.2).
        let point = held.spki().last_chunk::<65>().copied().filter(|point| point[0] == 4);
        let point = point.ok_or(Refusal::BlobBroken)?;
        let (mut x, mut y) = ([0; 32], [0; 32]);
        x.copy_from_slice(&point[1..33]);
        y.copy_from_slice(&point[33..]);
        let thumbprint = sha256(
            format!(
                r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                URL_SAFE_NO_PAD.encode(x),
                URL_SAFE_NO_PAD.encode(y)
            )
            .as_bytes(),
        );
        let public = TokenPublic { kid: URL_SAFE_NO_PAD.encode(thumbprint), x, y };
        Ok(Self { name, public, held })
    }
}

fn slot(opened: &Opened, name: String) -> Result<Arc<Slot>, Failed> {
    Slot::load(opened, name).map(Arc::new)
}

fn name(number: u32) -> String {
    format!("token-{number:08}")
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix("token-")?.parse().ok()
}
