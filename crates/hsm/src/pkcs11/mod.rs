//! A PKCS#11 device: keys are wrapped under a key-encryption key that lives in a token, and are
//! unwrapped, used and destroyed inside it.
//!
//! | file of the folder | what |
//! |---|---|
//! | `device.azkd` | `"AZKD" ‖ 01 ‖ fr(label) ‖ fr(serial) ‖ SHA-256 of all before`: which token the wrapped keys belong to |
//! | `device-next.azkd`, `device-before.azkd` | the same of a token that custody moves to, or came from ([`transfer`]) |
//! | `*.azkb` | named keys ([`crate::named`]), as with the vault |
//! | `lock` | held while a process has the folder open |
//!
//! Start at [`keys`] (what is in the token), then [`link`] (how it is reached), [`held`] (a loaded
//! key) and [`quirks`]; what officers do is in [`rotate`] and [`transfer`].

mod arrive;
mod enter;
mod held;
mod in_process;
mod keys;
mod link;
mod module;
mod plate;
mod pool;
mod probe;
pub mod quirks;
pub(crate) mod rotate;
pub(crate) mod transfer;
mod trouble;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use hpki::encoding::{Digest32, Statement, sha256};
use hpki::id::{KeyId, PersonId};
use hpki::sign::{DeviceFault, SignatureAlgorithm};

pub(crate) use self::enter::TokenName;
use self::held::Loaded;
use self::link::{Line, Link};
use self::module::Module;
use self::plate::Plate;
use self::trouble::Trouble;
use crate::blob::{ALG_DERIVED, ALG_PKCS11, Blob, Header};
use crate::device::{Device, Fresh, Held, Label, Role};
use crate::files::{self, Lock};
use crate::health::DeviceWatch;
use crate::import::Package;
use crate::refusal::{Failed, Refusal};
use crate::spki;
use crate::unseal::UnsealSecret;

/// A token, opened.
pub(crate) struct Token {
    link: Arc<Link>,
}

impl Token {
    /// Makes the house's keys in a prepared token, and the folder that belongs to it.
    pub(crate) fn create(
        folder: &Path,
        module: &Path,
        label: &str,
        unseal: &UnsealSecret,
    ) -> Result<(), Failed> {
        files::make_folder(folder).map_err(|error| unusable(folder, &error))?;
        if Plate::read(folder, plate::FILE)?.is_some() {
            return Err(Refusal::VaultExists(folder.display().to_string()).into());
        }
        let serial = TokenName { module, label }.as_user(unseal, |session, token| {
            if !keys::keks(session)?.is_empty() {
                return Err(Refusal::TokenNotEmpty(label.into()).into());
            }
            keys::make_kek(session, 1)?;
            for role in Role::ALL {
                keys::make_mac(session, role, 1)?;
            }
            Ok(token.serial_number().to_owned())
        })?;
        // Dying before this line leaves keys in a token that nobody used: initialise it again.
        Ok(Plate::new(label, &serial).write(folder, plate::FILE)?)
    }

    /// Opens the token that belongs to the folder, and takes the folder's lock.
    pub(crate) fn open(
        folder: &Path,
        module: &Path,
        label: &str,
        unseal: &UnsealSecret,
    ) -> Result<(Self, Lock), Failed> {
        // Whose folder it is, is asked with the lock: a transfer may be changing it.
        let missing = || Refusal::VaultMissing(folder.display().to_string());
        if !folder.join(plate::FILE).exists() {
            return Err(missing().into());
        }
        let lock = lock(folder)?;
        let plate = Plate::read(folder, plate::FILE)?.ok_or_else(missing)?;
        if plate.label != label {
            return Err(Refusal::TokenAnother(label.into()).into());
        }
        let pin = unseal.pin(label)?;
        let link = Link::open(Module::load(module)?, label, &plate.serial, pin)?;
        Ok((Self { link: Arc::new(link) }, lock))
    }

    pub(crate) fn watch(&self) -> DeviceWatch {
        self.link.watch.clone()
    }
}

/// The lock of the folder.
fn lock(folder: &Path) -> Result<Lock, Failed> {
    let lock = Lock::take(&folder.join("lock")).map_err(|error| unusable(folder, &error))?;
    lock.ok_or_else(|| Refusal::VaultInUse(folder.display().to_string()).into())
}

impl Device for Token {
    fn generate(&self, label: &Label, algorithm: SignatureAlgorithm) -> Result<Fresh, Failed> {
        if algorithm == SignatureAlgorithm::Ed25519 && !self.link.quirks.wraps_ed25519 {
            return in_process::generate(&self.link, label, algorithm);
        }
        self.link.with(|line, session| {
            let pair = Pair::make(session, algorithm)?;
            let generation = crate::device::generation(label, &sha256(&pair.spki));
            let proof = mac(line, session, Role::Subscriber, &generation)?;
            born(line, session, label, pair.private, pair.spki.clone(), proof)
        })
    }

    fn load(
        &self,
        wrapped: &[u8],
        credential: KeyId,
        owner: PersonId,
        algorithm: SignatureAlgorithm,
        spki: Option<&[u8]>,
    ) -> Result<Arc<dyn Held>, Failed> {
        let blob = Blob::parse(wrapped).ok_or(Refusal::BlobBroken)?;
        let in_process = blob.header.alg == ALG_DERIVED && algorithm == SignatureAlgorithm::Ed25519;
        if blob.header.alg != ALG_PKCS11 && !in_process {
            return Err(Refusal::BlobBroken.into());
        }
        if blob.header.credential != credential || blob.header.owner != owner {
            return Err(Refusal::BlobNotOwners.into());
        }
        if in_process {
            return in_process::load(&self.link, &blob, algorithm);
        }
        let loaded = self.link.with(|line, session| {
            check(line, session, &blob)?;
            Loaded::unwrap(&self.link, line, session, &blob, algorithm, spki)
        })?;
        Ok(Arc::new(loaded))
    }

    fn import_key(&self) -> Option<Result<Vec<u8>, Failed>> {
        Some(arrive::import_key(&self.link))
    }

    fn import(
        &self,
        _import_key: Option<(&[u8], KeyId, PersonId)>,
        package: &Package,
        spki: &[u8],
        label: &Label,
    ) -> Result<Fresh, Failed> {
        arrive::import(&self.link, package, spki, label)
    }

    fn rebind(
        &self,
        wrapped: &[u8],
        credential: KeyId,
        owner: PersonId,
        label: &Label,
    ) -> Result<Fresh, Failed> {
        // The whole check, inside the device: the key that is wrapped is the one of the header.
        let held = self.load(wrapped, credential, owner, SignatureAlgorithm::RsaSha256, None)?;
        let blob = Blob::parse(wrapped).ok_or(Refusal::BlobBroken)?;
        let spki = held.spki().to_vec();
        let generation = crate::device::generation(label, &sha256(&spki));
        self.link.with(|line, session| {
            let proof = mac(line, session, Role::Subscriber, &generation)?;
            let header = Header {
                credential: label.credential,
                owner: label.owner,
                policy: label.policy,
                created: label.created,
                proof_hash: sha256(&proof),
                ..blob.header.clone()
            };
            // What is wrapped stays as it is; its label is under the tag alone.
            let wrapped = seal(line, session, &header, blob.ct())?;
            Ok(Fresh { wrapped, spki: spki.clone(), proof })
        })
    }

    fn mac(&self, role: Role, statement: &Statement) -> Result<Digest32, DeviceFault> {
        self.link.with(|line, session| mac(line, session, role, statement)).map_err(fault)
    }
}

/// Where only faults are expected: a refusal in words.
pub(crate) fn fault(failed: Failed) -> DeviceFault {
    match failed {
        Failed::Fault(fault) => fault,
        Failed::Refused(refusal) => DeviceFault(refusal.to_string()),
    }
}

impl Line {
    fn newest(&self) -> Result<(u32, ObjectHandle), Trouble> {
        self.keys.newest().ok_or_else(|| Refusal::KekMissing(String::new()).into())
    }
}

fn mac(
    line: &Line,
    session: &Session,
    role: Role,
    statement: &Statement,
) -> Result<Digest32, Trouble> {
    let key = line.keys.macs[role as usize];
    let tag = session.sign(&Mechanism::Sha256Hmac, key, &statement.octets())?;
    tag.try_into()
        .map_err(|_| Refusal::DeviceLost("a keyed hash of a strange length".into()).into())
}

/// Wraps a key that entered the device just now.
fn born(
    line: &Line,
    session: &Session,
    label: &Label,
    private: ObjectHandle,
    spki: Vec<u8>,
    proof: Digest32,
) -> Result<Fresh, Trouble> {
    let (kek_version, kek) = line.newest()?;
    let header = Header {
        alg: ALG_PKCS11,
        kek_version,
        mac_version: line.keys.mac_version,
        credential: label.credential,
        owner: label.owner,
        policy: label.policy,
        created: label.created,
        spki_sha256: sha256(&spki),
        proof_hash: sha256(&proof),
        // AES key wrap has no nonce.
        nonce: [0; 12],
    };
    let ct = session.wrap_key(&Mechanism::AesKeyWrapPad, kek, private)?;
    let wrapped = seal(line, session, &header, &ct)?;
    Ok(Fresh { wrapped, spki, proof })
}

/// `M("azukari/blob/v1"; header, ct)`: AES key wrap has no additional data, so this binds the
/// header to the wrapped key.
fn blob_statement(header: &[u8], ct: &[u8]) -> Statement {
    Statement::new("azukari/blob/v1").octets_field(header).octets_field(ct)
}

/// The whole blob.
fn seal(line: &Line, session: &Session, header: &Header, ct: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut wrapped = header.aad(ct.len());
    let head = wrapped.len() - 4;
    let tag = mac(line, session, Role::Blob, &blob_statement(&wrapped[..head], ct))?;
    wrapped.extend_from_slice(ct);
    wrapped.extend_from_slice(&tag);
    Ok(wrapped)
}

/// Checks the tag, so that what goes to the device is what the device gave.
fn check(line: &Line, session: &Session, blob: &Blob<'_>) -> Result<(), Trouble> {
    let (head, _) = blob.aad.split_at(blob.aad.len() - 4);
    let own = mac(line, session, Role::Blob, &blob_statement(head, blob.ct()))?;
    aws_lc_rs::constant_time::verify_slices_are_equal(&own, blob.tag())
        .map_err(|_| Refusal::BlobBroken.into())
}

/// A pair just made: session objects, destroyed when this is dropped.
struct Pair<'a> {
    session: &'a Session,
    public: ObjectHandle,
    private: ObjectHandle,
    spki: Vec<u8>,
}

impl<'a> Pair<'a> {
    fn make(session: &'a Session, algorithm: SignatureAlgorithm) -> Result<Self, Trouble> {
        let (mechanism, kind) = match algorithm {
            SignatureAlgorithm::RsaSha256 => (
                Mechanism::RsaPkcsKeyPairGen,
                vec![Attribute::ModulusBits(2048.into()), Attribute::PublicExponent(vec![1, 0, 1])],
            ),
            SignatureAlgorithm::EcdsaP256Sha256 => {
                (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(PRIME256V1.to_vec())])
            }
            SignatureAlgorithm::Ed25519 => {
                (Mechanism::EccEdwardsKeyPairGen, vec![Attribute::EcParams(EDWARDS25519.to_vec())])
            }
        };
        let public = [kind, vec![Attribute::Token(false), Attribute::Verify(true)]].concat();
        let private = [
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(true),
            Attribute::Sign(true),
            Attribute::Decrypt(false),
            Attribute::Unwrap(false),
        ];
        let (public, private) = session.generate_key_pair(&mechanism, &public, &private)?;
        let mut pair = Self { session, public, private, spki: Vec::new() };
        pair.spki = public_key(session, public, algorithm)?;
        Ok(pair)
    }
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        let _ = self.session.destroy_object(self.private);
        let _ = self.session.destroy_object(self.public);
    }
}

/// OID of prime256v1, and the name of edwards25519 as PKCS#11 2.40 errata and 3.0 (§6.3.3) write it.
const PRIME256V1: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const EDWARDS25519: &[u8] = b"\x13\x0cedwards25519";

/// The public key of an object that tells it.
fn public_key(
    session: &Session,
    key: ObjectHandle,
    algorithm: SignatureAlgorithm,
) -> Result<Vec<u8>, Trouble> {
    let strange = || Trouble::from(Refusal::DeviceLost("a public key of a strange form".into()));
    let point = || {
        let told = session.get_attributes(key, &[AttributeType::EcPoint])?;
        match told.into_iter().next() {
            Some(Attribute::EcPoint(point)) => Ok(point),
            _ => Err(strange()),
        }
    };
    match algorithm {
        SignatureAlgorithm::RsaSha256 => {
            let asked = [AttributeType::Modulus, AttributeType::PublicExponent];
            let told = session.get_attributes(key, &asked)?;
            let mut modulus = None;
            // The only exponent that the house uses, where a private key does not tell it.
            let mut exponent = vec![1, 0, 1];
            for attribute in told {
                match attribute {
                    Attribute::Modulus(number) => modulus = Some(number),
                    Attribute::PublicExponent(number) if !number.is_empty() => exponent = number,
                    _ => {}
                }
            }
            Ok(spki::rsa(&modulus.ok_or_else(strange)?, &exponent))
        }
        // The point is a DER OCTET STRING; some devices give it bare.
        SignatureAlgorithm::EcdsaP256Sha256 => {
            let point = point()?;
            point.last_chunk::<65>().filter(|p| p[0] == 4).map(spki::p256).ok_or_else(strange)
        }
        SignatureAlgorithm::Ed25519 => {
            point()?.last_chunk::<32>().map(spki::ed25519).ok_or_else(strange)
        }
    }
}

fn unusable(folder: &Path, error: &std::io::Error) -> Refusal {
    Refusal::VaultUnusable(format!("{}: {error}", folder.display()))
}

/// Gives the token another user PIN, in the place of the one from the old secret.
pub(crate) fn change_secret(
    folder: &Path,
    name: TokenName<'_>,
    old: &UnsealSecret,
    new: &UnsealSecret,
) -> Result<(), Failed> {
    let (token, _lock) = Token::open(folder, name.module, name.label, old)?;
    transfer::refuse_unfinished(folder)?;
    let (old, new) = (old.pin(name.label)?, new.pin(name.label)?);
    token.link.with(|_, session| Ok(session.set_pin(&old, &new)?))
}

/// Gives the token another security officers' PIN, in the place of the one from the old secret.
pub(crate) fn change_officers_secret(
    folder: &Path,
    name: TokenName<'_>,
    old: &UnsealSecret,
    new: &UnsealSecret,
) -> Result<(), Failed> {
    let _lock = lock(folder)?;
    transfer::refuse_unfinished(folder)?;
    let (was, becomes) = (old.officers_pin(name.label)?, new.officers_pin(name.label)?);
    name.as_officers(old, |session| Ok(session.set_pin(&was, &becomes)?))
}
