//! A token's key-encryption key replaced. What the old one unwraps can never be wrapped again, by its
//! unwrap template; so it is wrapped once to a transfer key that security officers made TRUSTED, and
//! comes back as a session object without the template, for as long as the rotation goes on.
//!
//! The transfer key is a pair: the private half is made in the token by its user and never leaves;
//! the public half alone is TRUSTED, created by the security officers and destroyed as soon as the
//! old key was wrapped to it. What is true if we die here: the token opens keys under both key-
//! encryption keys until the end; what is left of a transfer is cleared away by the next one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use hpki::encoding::sha256;
use hpki::sign::SignatureAlgorithm;

use super::arrive::{extractable_attributes, make_pair, oaep, private_key};
use super::held::{Object, key_type};
use super::link::{Line, Link};
use super::trouble::Trouble;
use super::{Token, TokenName, check, keys, public_key, seal};
use crate::blob::{ALG_DERIVED, ALG_PKCS11, Blob, Header};
use crate::import::OaepDigest;
use crate::named::{Named, NamedKeys};
use crate::refusal::{Failed, Refusal};
use crate::unseal::UnsealSecret;

pub(super) const LABEL: &str = "azukari-transfer";
pub(super) const BITS: u32 = 3072;

pub(crate) struct Rotating {
    folder: PathBuf,
    link: Arc<Link>,
    old: u32,
    new: u32,
    /// The old key, wrapped to the transfer key.
    ct: Vec<u8>,
    /// The old key as a session object, with the number of its line.
    object: Mutex<Option<(u64, ObjectHandle)>>,
}

impl Rotating {
    pub(crate) fn begin(
        folder: &Path,
        module: &Path,
        label: &str,
        officers: &UnsealSecret,
        unseal: &UnsealSecret,
    ) -> Result<Self, Failed> {
        let open = || Token::open(folder, module, label, unseal);
        let modulus = {
            let (token, _lock) = open()?;
            token.link.with(|_, session| {
                clear(session)?;
                make_transfer_key(session)
            })?
        };
        let name = TokenName { module, label };
        name.as_officers(officers, |session| trust(session, &modulus))?;
        let (old, new, ct) = {
            let (token, _lock) = open()?;
            token.link.with(|line, session| {
                let keks = &line.keys.keks;
                let (Some((&old, &key)), Some((&newest, _))) =
                    (keks.first_key_value(), keks.last_key_value())
                else {
                    return Err(Refusal::KekMissing(label.into()).into());
                };
                let trusted = trusted(session, &modulus)?;
                let ct = session.wrap_key(&oaep(OaepDigest::Sha1), trusted, key)?;
                session.destroy_object(trusted)?;
                if newest == old {
                    keys::make_kek(session, old + 1)?;
                    return Ok((old, old + 1, ct));
                }
                Ok((old, newest, ct))
            })?
        };
        let (token, _lock) = open()?;
        let object = Mutex::new(None);
        Ok(Self { folder: folder.to_owned(), link: token.link, old, new, ct, object })
    }

    pub(crate) const fn version(&self) -> u32 {
        self.new
    }

    /// The same key under the new key-encryption key.
    pub(crate) fn anew(
        &self,
        wrapped: &[u8],
        algorithm: SignatureAlgorithm,
    ) -> Result<Vec<u8>, Failed> {
        let blob = Blob::parse(wrapped).ok_or(Refusal::BlobBroken)?;
        if blob.header.alg == ALG_DERIVED {
            // Nothing of it is under the key-encryption key.
            return Ok(wrapped.to_vec());
        }
        if blob.header.alg != ALG_PKCS11 {
            return Err(Refusal::BlobBroken.into());
        }
        self.link.with(|line, session| {
            check(line, session, &blob)?;
            if blob.header.kek_version == self.new {
                return Ok(wrapped.to_vec());
            }
            if blob.header.kek_version != self.old {
                return Err(Refusal::BlobBroken.into());
            }
            let old = self.old(line, session)?;
            let attributes = extractable_attributes(key_type(algorithm));
            let handle =
                session.unwrap_key(&Mechanism::AesKeyWrapPad, old, blob.ct(), &attributes)?;
            let key = Object { session, handle };
            // Keys on curves do not tell their point; the tag was checked.
            if algorithm == SignatureAlgorithm::RsaSha256
                && sha256(&public_key(session, handle, algorithm)?) != blob.header.spki_sha256
            {
                return Err(Refusal::BlobBroken.into());
            }
            let kek = line.keys.keks.get(&self.new).ok_or_else(|| missing("the new key"))?;
            let ct = session.wrap_key(&Mechanism::AesKeyWrapPad, *kek, key.handle)?;
            let header = Header { kek_version: self.new, ..blob.header.clone() };
            seal(line, session, &header, &ct)
        })
    }

    fn old(&self, line: &Line, session: &Session) -> Result<ObjectHandle, Trouble> {
        let mut object = self.object.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, handle)) = *object
            && number == line.number
        {
            return Ok(handle);
        }
        let private = private_key(session, LABEL)?.ok_or_else(|| missing(LABEL))?;
        let attributes = [
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
        let handle = session.unwrap_key(&oaep(OaepDigest::Sha1), private, &self.ct, &attributes)?;
        *object = Some((line.number, handle));
        Ok(handle)
    }

    pub(crate) fn finish(self) -> Result<(), Failed> {
        let _lock = super::lock(&self.folder)?;
        let named = NamedKeys::new(&self.folder);
        for name in named.names("")? {
            let Named { wrapped, spki } = named.read(&name)?;
            let policy = crate::blob::header(&wrapped).ok_or(Refusal::BlobBroken)?.policy;
            let algorithm = crate::desk::algorithm(policy).ok_or(Refusal::BlobBroken)?;
            let wrapped = self.anew(&wrapped, algorithm)?;
            named.replace(&name, &Named { wrapped, spki })?;
        }
        self.link.with(|_, session| {
            if let Some(old) = keys::keks(session)?.get(&self.old) {
                session.destroy_object(*old)?;
            }
            // The old key may have come from another token: the officers' word for it ends with it.
            for word in keys::received(session, self.old)? {
                session.destroy_object(word)?;
            }
            clear(session)
        })
    }
}

impl std::fmt::Debug for Rotating {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rotating from {} to {}", self.old, self.new)
    }
}

impl Drop for Rotating {
    fn drop(&mut self) {
        let object = *self.object.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, handle)) = object {
            self.link.once(|line, session| {
                if line.number == number {
                    session.destroy_object(handle)?;
                }
                Ok(())
            });
        }
    }
}

pub(super) fn missing(what: &str) -> Trouble {
    Refusal::KekMissing(what.into()).into()
}

/// Makes the transfer pair and gives its modulus; the private half alone stays.
pub(super) fn make_transfer_key(session: &Session) -> Result<Vec<u8>, Trouble> {
    let (public, _) = make_pair(session, LABEL, BITS)?;
    let told = session.get_attributes(public, &[AttributeType::Modulus])?;
    session.destroy_object(public)?;
    match told.into_iter().next() {
        Some(Attribute::Modulus(modulus)) => Ok(modulus),
        _ => Err(Refusal::DeviceLost("a public key of a strange form".into()).into()),
    }
}

/// The TRUSTED public half of this modulus.
pub(super) fn trusted(session: &Session, modulus: &[u8]) -> Result<ObjectHandle, Trouble> {
    let found = session.find_objects(&[
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Label(LABEL.as_bytes().to_vec()),
        Attribute::Modulus(modulus.to_vec()),
        Attribute::Trusted(true),
    ])?;
    found.first().copied().ok_or_else(|| missing(LABEL))
}

/// Destroys what an earlier transfer left.
pub(super) fn clear(session: &Session) -> Result<(), Trouble> {
    for object in session.find_objects(&[Attribute::Label(LABEL.as_bytes().to_vec())])? {
        session.destroy_object(object)?;
    }
    Ok(())
}

/// The security officers make the public half TRUSTED.
pub(super) fn trust(session: &Session, modulus: &[u8]) -> Result<(), Trouble> {
    let public = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::RSA),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Label(LABEL.as_bytes().to_vec()),
        Attribute::Modulus(modulus.to_vec()),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Wrap(true),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::Trusted(true),
    ];
    session.create_object(&public)?;
    Ok(())
}
