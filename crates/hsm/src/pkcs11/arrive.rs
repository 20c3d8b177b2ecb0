//! Keys that an authority made: opened, compared and wrapped inside the token.
//!
//! The import key is a pair of the token itself (`azukari-import`), which unwraps and does nothing
//! else, and never leaves: under the key-encryption key it could not be, whose unwrap template lets
//! nothing out that unwraps. Another token has another import key.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use hpki::encoding::sha256;
use hpki::sign::SignatureAlgorithm;

use super::held::Object;
use super::link::{Line, Link};
use super::trouble::Trouble;
use super::{born, mac, public_key};
use crate::device::{Fresh, Label, Role};
use crate::import::{LONGEST, OaepDigest, Package, arrival};
use crate::refusal::{Failed, Refusal};

pub(super) const LABEL: &str = "azukari-import";
const BITS: u32 = 3072;

/// The public key to which authorities wrap; made when first asked for.
pub(super) fn import_key(link: &Link) -> Result<Vec<u8>, Failed> {
    link.with(|_, session| {
        let private = match find(session)? {
            Some(private) => private,
            None => make_pair(session, LABEL, BITS)?.1,
        };
        public_key(session, private, SignatureAlgorithm::RsaSha256)
    })
}

fn find(session: &Session) -> Result<Option<ObjectHandle>, Trouble> {
    private_key(session, LABEL)
}

/// The private key of this label.
pub(super) fn private_key(session: &Session, label: &str) -> Result<Option<ObjectHandle>, Trouble> {
    let found = session.find_objects(&[
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
    ])?;
    Ok(found.first().copied())
}

/// Makes a pair in the token whose private half unwraps, and neither decrypts, signs nor leaves.
pub(super) fn make_pair(
    session: &Session,
    label: &str,
    bits: u32,
) -> Result<(ObjectHandle, ObjectHandle), Trouble> {
    let label = || Attribute::Label(label.as_bytes().to_vec());
    let public = [
        Attribute::Token(true),
        Attribute::Private(false),
        label(),
        Attribute::ModulusBits(u64::from(bits).into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::Wrap(false),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        label(),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Unwrap(true),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::Derive(false),
        Attribute::Modifiable(false),
        Attribute::Copyable(false),
    ];
    Ok(session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)?)
}

/// RSA-OAEP with this digest and no label.
pub(super) fn oaep(digest: OaepDigest) -> Mechanism<'static> {
    let (hash, mgf) = match digest {
        OaepDigest::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        OaepDigest::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
    };
    PkcsOaepParams::new(hash, mgf, PkcsOaepSource::empty()).into()
}

pub(super) fn import(
    link: &Link,
    package: &Package,
    spki: &[u8],
    label: &Label,
) -> Result<Fresh, Failed> {
    if package.digest == OaepDigest::Sha256 && !link.quirks.oaep_sha256 {
        return Err(Refusal::MechanismMissing("RSA-OAEP with SHA-256".into()).into());
    }
    if package.wrapped_key.len() > LONGEST {
        return Err(Refusal::ImportBroken.into());
    }
    link.with(|line, session| {
        let import_key = find(session)?.ok_or(Refusal::ImportBroken)?;
        let aes = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Unwrap(true),
            Attribute::Wrap(false),
            Attribute::Encrypt(false),
            Attribute::Decrypt(false),
        ];
        let aes = session
            .unwrap_key(&oaep(package.digest), import_key, &package.wrapped_aes, &aes)
            .map_err(|error| judged(line, session, error))?;
        let aes = Object { session, handle: aes };
        let length = session.get_attributes(aes.handle, &[AttributeType::ValueLen])?;
        // SoftHSM2 says 0 of every key that it unwrapped.
        if !matches!(length[..], [Attribute::ValueLen(octets)] if [0, 32].contains(&u64::from(octets)))
        {
            return Err(Refusal::ImportBroken.into());
        }
        // As a key just made here: it can be wrapped, until it is, some milliseconds later.
        let key = session
            .unwrap_key(
                &Mechanism::AesKeyWrapPad,
                aes.handle,
                &package.wrapped_key,
                &extractable_attributes(KeyType::RSA),
            )
            .map_err(|error| judged(line, session, error))?;
        let key = Object { session, handle: key };
        let found = public_key(session, key.handle, SignatureAlgorithm::RsaSha256)?;
        if found != spki {
            return Err(Refusal::ImportKeyMismatch.into());
        }
        let proof = mac(line, session, Role::Subscriber, &arrival(label, &sha256(&found)))?;
        born(line, session, label, key.handle, found, proof)
    })
}

/// A private key in the short time before it is wrapped.
pub(super) fn extractable_attributes(kind: KeyType) -> [Attribute; 9] {
    [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(kind),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
    ]
}

/// Nothing tells a package apart that was damaged or made for another key before the device sees
/// it, and devices answer to that with whatever they like. So what it says counts as its own
/// trouble only if it does nothing else either.
fn judged(line: &Line, session: &Session, error: Error) -> Trouble {
    let Error::Pkcs11(code, _) = &error else { return error.into() };
    let gone = matches!(
        code,
        RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::CryptokiNotInitialized
            | RvError::UserNotLoggedIn
            | RvError::UnwrappingKeyHandleInvalid
            | RvError::MechanismInvalid
            | RvError::DeviceMemory
            | RvError::HostMemory
    );
    let alive = hpki::encoding::Statement::new("azukari/import/v1");
    if gone || mac(line, session, Role::Blob, &alive).is_err() {
        return error.into();
    }
    Refusal::ImportBroken.into()
}
