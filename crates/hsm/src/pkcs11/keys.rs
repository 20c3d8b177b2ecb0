//! The keys that live inside the token: key-encryption keys (KEK) and keyed-hash keys.
//!
//! | label | what | CKA_ID |
//! |---|---|---|
//! | `azukari-kek` | AES-256 that wraps every other key | its version, u32 big endian |
//! | `azukari-mac-<role>` | HMAC-SHA-256, one for each desk and one for blobs | the version |
//! | `azukari-transfer` | a transfer key, as long as a rotation or transfer goes on ([`super::rotate`]) | – |
//! | `azukari-received` | the security officers' word for a KEK that came from another token ([`super::transfer`]) | that KEK's version |
//! | `azukari-import` | to which authorities wrap ([`super::arrive`]) | – |
//!
//! Both are SENSITIVE and can be wrapped by a TRUSTED key only, which security officers make for a
//! transfer and destroy after it. The KEK carries an unwrap template, so that what it unwraps can
//! sign and nothing else, and it cannot be changed or copied: with ENCRYPT or DECRYPT switched on
//! somewhere, wrap-then-decrypt would give keys in the clear.

use std::collections::BTreeMap;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::probe;
use super::quirks::Quirks;
use super::trouble::Trouble;
use crate::device::Role;
use crate::refusal::Refusal;

pub(crate) const KEK: &str = "azukari-kek";

pub(crate) fn mac_label(role: Role) -> String {
    format!("azukari-mac-{}", role.name())
}

/// Handles of the token's own keys.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// By version; more than one only during a rotation.
    pub(crate) keks: BTreeMap<u32, ObjectHandle>,
    /// One for each [`Role`], in its order.
    pub(crate) macs: Vec<ObjectHandle>,
    pub(crate) mac_version: u32,
}

impl Keys {
    /// Finds them, and refuses a KEK that is not as it was made.
    pub(crate) fn find(session: &Session, quirks: &Quirks, token: &str) -> Result<Self, Trouble> {
        let keks = keks(session)?;
        if keks.is_empty() {
            return Err(Refusal::KekMissing(token.into()).into());
        }
        for (version, kek) in &keks {
            check(session, quirks, *kek, *version, token)?;
        }
        let mut macs = Vec::with_capacity(Role::ALL.len());
        let mut mac_version = 0;
        for role in Role::ALL {
            let found = session.find_objects(&[
                Attribute::Class(ObjectClass::SECRET_KEY),
                Attribute::Label(mac_label(role).into_bytes()),
            ])?;
            // Two of them would be ambiguous: which one made the seals?
            let [key] = found[..] else { return Err(Refusal::KekMissing(token.into()).into()) };
            mac_version = version(session, key)?;
            check_mac(session, key, &mac_label(role), token)?;
            macs.push(key);
        }
        Ok(Self { keks, macs, mac_version })
    }

    /// The version that wraps.
    pub(crate) fn newest(&self) -> Option<(u32, ObjectHandle)> {
        self.keks.last_key_value().map(|(&version, &key)| (version, key))
    }
}

/// Every KEK in the token, by version.
pub(crate) fn keks(session: &Session) -> Result<BTreeMap<u32, ObjectHandle>, Trouble> {
    let found = session.find_objects(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Label(KEK.as_bytes().to_vec()),
    ])?;
    let mut keks = BTreeMap::new();
    for key in found {
        keks.insert(version(session, key)?, key);
    }
    Ok(keks)
}

fn version(session: &Session, key: ObjectHandle) -> Result<u32, Trouble> {
    let told = session.get_attributes(key, &[AttributeType::Id])?;
    let Some(Attribute::Id(id)) = told.first() else { return Ok(0) };
    Ok(id.first_chunk::<4>().map_or(0, |octets| u32::from_be_bytes(*octets)))
}

/// How a KEK is kept, whether made here or received from another token. What locks it comes last:
/// SoftHSM2 takes no attribute of a key that was unwrapped after MODIFIABLE is off.
pub(crate) fn kek_attributes(version: u32) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Label(KEK.as_bytes().to_vec()),
        Attribute::Id(version.to_be_bytes().to_vec()),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::WrapWithTrusted(true),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
        unwrap_template(&MEMBERS),
        Attribute::Copyable(false),
        Attribute::Modifiable(false),
    ]
}

/// Makes the KEK of this version.
pub(crate) fn make_kek(session: &Session, version: u32) -> Result<ObjectHandle, Trouble> {
    let attributes = [vec![Attribute::ValueLen(32.into())], kek_attributes(version)].concat();
    Ok(session.generate_key(&Mechanism::AesKeyGen, &attributes)?)
}

/// How a keyed-hash key is kept, whether made here or received from another token.
pub(crate) fn mac_attributes(role: Role, version: u32) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Label(mac_label(role).into_bytes()),
        Attribute::Id(version.to_be_bytes().to_vec()),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::WrapWithTrusted(true),
        Attribute::Sign(true),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Copyable(false),
        Attribute::Modifiable(false),
    ]
}

/// Makes a role's keyed-hash key.
pub(crate) fn make_mac(
    session: &Session,
    role: Role,
    version: u32,
) -> Result<ObjectHandle, Trouble> {
    let attributes = [vec![Attribute::ValueLen(32.into())], mac_attributes(role, version)].concat();
    Ok(session.generate_key(&Mechanism::GenericSecretKeyGen, &attributes)?)
}

/// What an unwrapped private key may be; repeats every member of the KEK's unwrap template, as
/// PKCS#11 wants (§4.9.1 of 2.40: the template given must agree with it).
pub(crate) fn loaded_attributes(kind: KeyType, quirks: &Quirks) -> Vec<Attribute> {
    let mut attributes = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(kind),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
    ];
    if quirks.locks_session_keys {
        attributes.push(Attribute::Copyable(false));
        attributes.push(Attribute::Modifiable(false));
    }
    attributes
}

pub(super) const CKA_UNWRAP_TEMPLATE: u64 = 0x4000_0212;
/// SENSITIVE, EXTRACTABLE, SIGN, DECRYPT, UNWRAP, and what each must be. [`super::probe`] tries
/// whether a KEK holds what it unwraps to them.
pub(super) const MEMBERS: [(u64, bool); 5] =
    [(0x103, true), (0x162, false), (0x108, true), (0x105, false), (0x107, false)];

/// The KEK's unwrap template: an array of CK_ATTRIBUTE, which `cryptoki` takes as octets only. It
/// holds addresses, so what they lead to lives for ever.
pub(super) fn unwrap_template(members: &[(u64, bool)]) -> Attribute {
    static YES: u8 = 1;
    static NO: u8 = 0;
    let mut octets = Vec::with_capacity(24 * members.len());
    for &(kind, value) in members {
        // struct CK_ATTRIBUTE { CK_ULONG type; void *pValue; CK_ULONG ulValueLen; }
        let address = std::ptr::from_ref(if value { &YES } else { &NO }).expose_provenance();
        octets.extend_from_slice(&kind.to_ne_bytes());
        octets.extend_from_slice(&address.to_ne_bytes());
        octets.extend_from_slice(&1_u64.to_ne_bytes());
    }
    Attribute::VendorDefined((AttributeType::VendorDefined(CKA_UNWRAP_TEMPLATE), octets))
}

/// Refuses a KEK that somebody made or changed otherwise. It was made in this token, or the
/// security officers gave their word for one that came from another.
fn check(
    session: &Session,
    quirks: &Quirks,
    kek: ObjectHandle,
    version: u32,
    token: &str,
) -> Result<(), Trouble> {
    let wanted = [
        (Attribute::Sensitive(true), "SENSITIVE"),
        (Attribute::WrapWithTrusted(true), "WRAP_WITH_TRUSTED"),
        (Attribute::Modifiable(false), "MODIFIABLE"),
        (Attribute::Copyable(false), "COPYABLE"),
        (Attribute::Encrypt(false), "ENCRYPT"),
        (Attribute::Decrypt(false), "DECRYPT"),
    ];
    as_wanted(session, kek, &wanted, token)?;
    if !is_local(session, kek)? && received(session, version)?.is_empty() {
        return Err(Refusal::KekWeak(format!("{token}: LOCAL")).into());
    }
    probe::unwrap_template(session, quirks, kek, token)
}

/// Refuses a keyed-hash key that could leave, or do something else than hash.
fn check_mac(
    session: &Session,
    key: ObjectHandle,
    label: &str,
    token: &str,
) -> Result<(), Trouble> {
    let wanted = [
        (Attribute::Sensitive(true), "SENSITIVE"),
        (Attribute::WrapWithTrusted(true), "WRAP_WITH_TRUSTED"),
        (Attribute::Modifiable(false), "MODIFIABLE"),
        (Attribute::Copyable(false), "COPYABLE"),
        (Attribute::Wrap(false), "WRAP"),
        (Attribute::Unwrap(false), "UNWRAP"),
    ];
    as_wanted(session, key, &wanted, &format!("{token} {label}"))
}

fn as_wanted(
    session: &Session,
    key: ObjectHandle,
    wanted: &[(Attribute, &str)],
    of: &str,
) -> Result<(), Trouble> {
    let types: Vec<AttributeType> =
        wanted.iter().map(|(attribute, _)| attribute.attribute_type()).collect();
    let told = session.get_attributes(key, &types)?;
    match wanted.iter().find(|(attribute, _)| !told.contains(attribute)) {
        Some((_, name)) => Err(Refusal::KekWeak(format!("{of}: {name}")).into()),
        None => Ok(()),
    }
}

/// Whether the key was made in this token.
pub(crate) fn is_local(session: &Session, key: ObjectHandle) -> Result<bool, Trouble> {
    Ok(session.get_attributes(key, &[AttributeType::Local])? == [Attribute::Local(true)])
}

/// The label of what [`received`] finds.
pub(crate) const RECEIVED: &str = "azukari-received";

/// The security officers' word that the KEK of this version came from another token with their
/// agreement: an object that is TRUSTED, as they alone can make it.
pub(crate) fn received(session: &Session, version: u32) -> Result<Vec<ObjectHandle>, Trouble> {
    Ok(session.find_objects(&[
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Label(RECEIVED.as_bytes().to_vec()),
        Attribute::Id(version.to_be_bytes().to_vec()),
        Attribute::Trusted(true),
    ])?)
}
