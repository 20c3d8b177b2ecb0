//! 引っ越し: custody moves to a second token, and the first one ends empty.
//!
//! The key-encryption key (KEK) and the keyed-hash keys are wrapped on the first token to a transfer
//! key whose private half was made in the second and never leaves it; its public half is TRUSTED on
//! the first by the security officers of that. On the second they are kept with the same attributes.
//! What PKCS#11 then says of the KEK is that it was not made there; so the security officers of the
//! second token give their word for it ([`keys::received`]), without which it is refused. From the
//! handing over on, which renames one file, the folder belongs to the second token, which opens
//! every key there is. An ordinary rotation gives it a KEK of its own, and ends that word.
//!
//! | if we die … | in charge | the next try |
//! |---|---|---|
//! | before the claim | the first | begins; a token that was initialised for it is used |
//! | from the claim to the handing over | the first, which nothing was taken from | clears the second, if the claim names it, and brings the keys again |
//! | between writing where it came from and the renaming | the first | the same |
//! | after the handing over | the second; the first has its keys still | goes on with rotation and check |
//! | while the first one's keys are destroyed | the second | destroys the rest |
//!
//! Each step that changes something is told beforehand, so that tests die there.

use std::path::Path;
use std::sync::Arc;

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use hpki::encoding::{Digest32, Statement};
use hpki::id::{KeyId, PersonId};
use hpki::sign::SignatureAlgorithm;
use hpki::time::Timestamp;

use super::arrive::{oaep, private_key};
use super::link::Link;
use super::module::Module;
use super::plate::{BEFORE, FILE, NEXT, Plate};
use super::rotate::{LABEL, clear, make_transfer_key, missing, trust, trusted};
use super::trouble::Trouble;
use super::{Token, TokenName, arrive, keys, lock, mac, unusable};
use crate::device::{Device as _, Fresh, Label, Role};
use crate::files;
use crate::import::OaepDigest;
use crate::refusal::{Failed, Refusal};
use crate::transfer::{Stage, Step};
use crate::unseal::UnsealSecret;

/// A transfer between two tokens, for the folder of wrapped keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moving<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) from: TokenName<'a>,
    pub(crate) to: TokenName<'a>,
}

/// Told before each step; an error ends the transfer there, as if we had died.
pub(crate) type Tell<'a> = dyn FnMut(Step) -> Result<(), Failed> + 'a;

/// Refuses while a transfer has begun and not ended.
pub(super) fn refuse_unfinished(folder: &Path) -> Result<(), Refusal> {
    if is_unfinished(folder) {
        return Err(Refusal::TransferUnfinished(folder.display().to_string()));
    }
    Ok(())
}

pub(crate) fn is_unfinished(folder: &Path) -> bool {
    [NEXT, BEFORE].iter().any(|name| folder.join(name).exists())
}

/// A key as it travels.
struct Carried {
    key: Kind,
    version: u32,
    /// Wrapped to the transfer key.
    ct: Vec<u8>,
    attributes: Vec<Attribute>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Kek,
    Mac(Role),
}

/// What the first token says and the second must say as well.
struct Word {
    macs: Vec<Digest32>,
    /// A key that the first wrapped.
    probe: Fresh,
}

impl Moving<'_> {
    /// How far it is.
    pub(crate) fn stage(&self) -> Result<Stage, Failed> {
        if self.from.label == self.to.label {
            // PINs and folders know a token by its label.
            return Err(Refusal::TransferSameToken(self.to.label.into()).into());
        }
        let missing = || Refusal::VaultMissing(self.folder.display().to_string());
        let plate = Plate::read(self.folder, FILE)?.ok_or_else(missing)?;
        if plate.label == self.from.label {
            return match Plate::read(self.folder, NEXT)? {
                Some(next) if next.label != self.to.label => {
                    Err(Refusal::TransferUnfinished(next.label).into())
                }
                _ => Ok(Stage::Before),
            };
        }
        if plate.label != self.to.label {
            return Err(Refusal::TokenAnother(self.from.label.into()).into());
        }
        match Plate::read(self.folder, BEFORE)? {
            None => Ok(Stage::Over),
            Some(before) if before.label == self.from.label => Ok(Stage::HandedOver),
            Some(_) => Err(Refusal::TokenAnother(self.from.label.into()).into()),
        }
    }

    /// What can be refused before an officer is asked.
    pub(crate) fn look(&self) -> Result<Stage, Failed> {
        let _lock = lock(self.folder)?;
        let stage = self.stage()?;
        if stage != Stage::Over {
            self.to.look()?;
        }
        Ok(stage)
    }

    /// Brings the keys over and hands the folder over.
    pub(crate) fn carry(
        &self,
        officers: &UnsealSecret,
        unseal: &UnsealSecret,
        tell: &mut Tell<'_>,
    ) -> Result<(), Failed> {
        let _lock = lock(self.folder)?;
        if self.stage()? != Stage::Before {
            return Ok(());
        }
        let plate = Plate::read(self.folder, FILE)?
            .ok_or_else(|| Refusal::VaultMissing(self.folder.display().to_string()))?;
        tell(Step::Open)?;
        let version = self.version(&plate, unseal)?;
        tell(Step::Prepare)?;
        self.to.make_ready(officers, unseal)?;
        tell(Step::Claim)?;
        let next = self.claim(unseal)?;
        tell(Step::TransferKey)?;
        let modulus = self.to.as_user(unseal, |session, _| make_transfer_key(session))?;
        tell(Step::Vouch)?;
        self.to.as_officers(officers, |session| vouch(session, &modulus, version))?;
        tell(Step::Trust)?;
        self.from.as_user(unseal, |session, _| clear(session))?;
        self.from.as_officers(officers, |session| trust(session, &modulus))?;
        tell(Step::Wrap)?;
        let (carried, word) = self.wrap(&plate, &next, unseal, &modulus)?;
        for key in &carried {
            tell(Step::Unwrap)?;
            self.to.as_user(unseal, |session, _| unwrap(session, key))?;
        }
        // Nothing can be brought here with it any more.
        tell(Step::Forget)?;
        self.to.as_user(unseal, |session, _| clear(session))?;
        tell(Step::Compare)?;
        self.compare(&plate, &next, unseal, &word)?;
        tell(Step::Remember)?;
        plate.write(self.folder, BEFORE)?;
        tell(Step::HandOver)?;
        let file = self.folder.join(FILE);
        std::fs::rename(self.folder.join(NEXT), &file)
            .and_then(|()| files::sync_folder(&file))
            .map_err(|error| unusable(self.folder, &error))?;
        Ok(())
    }

    /// The version of the first token's KEK. One alone: a rotation under way is ended first.
    fn version(&self, plate: &Plate, unseal: &UnsealSecret) -> Result<u32, Failed> {
        let from = self.open(self.from, plate, unseal)?;
        let folder = self.folder.display().to_string();
        from.link.with(|line, _| match line.keys.keks.keys().copied().collect::<Vec<_>>()[..] {
            [version] => Ok(version),
            _ => Err(Refusal::RotationUnfinished(folder.clone()).into()),
        })
    }

    fn open(
        &self,
        name: TokenName<'_>,
        plate: &Plate,
        unseal: &UnsealSecret,
    ) -> Result<Token, Failed> {
        let module = Module::load(name.module)?;
        let link = Link::open(module, name.label, &plate.serial, unseal.pin(name.label)?)?;
        Ok(Token { link: Arc::new(link) })
    }

    /// Notes that the second token is the one to move to, and clears what an earlier try left there.
    fn claim(&self, unseal: &UnsealSecret) -> Result<Plate, Failed> {
        let claimed = Plate::read(self.folder, NEXT)?;
        let next = self.to.as_user(unseal, |session, token| {
            let next = Plate::new(self.to.label, token.serial_number());
            if claimed.as_ref() == Some(&next) {
                while let Some(object) = house(session)?.first() {
                    session.destroy_object(*object)?;
                }
            } else if !house(session)?.is_empty() {
                return Err(Refusal::TokenNotEmpty(self.to.label.into()).into());
            }
            Ok(next)
        })?;
        next.write(self.folder, NEXT)?;
        Ok(next)
    }

    fn wrap(
        &self,
        plate: &Plate,
        next: &Plate,
        unseal: &UnsealSecret,
        modulus: &[u8],
    ) -> Result<(Vec<Carried>, Word), Failed> {
        let from = self.open(self.from, plate, unseal)?;
        let probe = from.generate(&PROBE, SignatureAlgorithm::EcdsaP256Sha256)?;
        let (carried, macs) = from.link.with(|line, session| {
            let trusted = trusted(session, modulus)?;
            let (version, kek) = line.newest()?;
            let mut carried = Vec::new();
            let macs = Role::ALL.into_iter().zip(&line.keys.macs);
            let macs = macs.map(|(role, mac)| (Kind::Mac(role), line.keys.mac_version, *mac));
            for (key, version, object) in [(Kind::Kek, version, kek)].into_iter().chain(macs) {
                carried.push(Carried {
                    key,
                    version,
                    ct: session.wrap_key(&oaep(OaepDigest::Sha1), trusted, object)?,
                    attributes: session.get_attributes(object, SAME)?,
                });
            }
            let said = statement(plate, next);
            let macs = Role::ALL.into_iter().map(|role| mac(line, session, role, &said));
            let macs = macs.collect::<Result<_, _>>()?;
            session.destroy_object(trusted)?;
            Ok((carried, macs))
        })?;
        Ok((carried, Word { macs, probe }))
    }

    /// The second token answers as the first: each keyed hash is the same, and what the first
    /// wrapped the second opens and signs with.
    fn compare(
        &self,
        plate: &Plate,
        next: &Plate,
        unseal: &UnsealSecret,
        word: &Word,
    ) -> Result<(), Failed> {
        let to = self.open(self.to, next, unseal)?;
        let said = statement(plate, next);
        for (role, expected) in Role::ALL.into_iter().zip(&word.macs) {
            if to.mac(role, &said)? != *expected {
                return Err(Refusal::TransferDiffers(keys::mac_label(role)).into());
            }
        }
        let Fresh { wrapped, spki, .. } = &word.probe;
        let (key, owner) = (PROBE.credential, PROBE.owner);
        let loaded = to.load(wrapped, key, owner, SignatureAlgorithm::EcdsaP256Sha256, Some(spki));
        match loaded {
            Err(Failed::Refused(Refusal::BlobBroken)) => {
                Err(Refusal::TransferDiffers(keys::KEK.into()).into())
            }
            other => other.map(drop),
        }
    }

    /// Whether the second token's KEK came from the first: it gets one of its own.
    pub(crate) fn must_rotate(&self, unseal: &UnsealSecret) -> Result<bool, Failed> {
        let (to, _lock) = Token::open(self.folder, self.to.module, self.to.label, unseal)?;
        to.link.with(|line, session| {
            for kek in line.keys.keks.values() {
                if line.keys.keks.len() > 1 || !keys::is_local(session, *kek)? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Destroys every key of the house in the first token. `lost`: it is known to be gone, and is
    /// passed over if it cannot be found.
    pub(crate) fn close(
        &self,
        unseal: &UnsealSecret,
        lost: bool,
        tell: &mut Tell<'_>,
    ) -> Result<(), Failed> {
        let _lock = lock(self.folder)?;
        let Stage::HandedOver = self.stage()? else { return Ok(()) };
        self.empty(self.from, BEFORE, unseal, lost, tell)?;
        tell(Step::Close)?;
        // What a rotation left that died at its very end.
        self.to.as_user(unseal, |session, _| {
            clear(session)?;
            for word in session.find_objects(&[Attribute::Label(keys::RECEIVED.into())])? {
                session.destroy_object(word)?;
            }
            Ok(())
        })?;
        self.remove(BEFORE)
    }

    /// The way back while the first token is in charge: what was brought to the second is destroyed,
    /// unless that is `lost`.
    pub(crate) fn give_up(
        &self,
        unseal: &UnsealSecret,
        lost: bool,
        tell: &mut Tell<'_>,
    ) -> Result<(), Failed> {
        let _lock = lock(self.folder)?;
        if self.stage()? != Stage::Before {
            return Err(Refusal::TransferHandedOver(self.to.label.into()).into());
        }
        if Plate::read(self.folder, NEXT)?.is_none() {
            return Ok(());
        }
        self.empty(self.to, NEXT, unseal, lost, tell)?;
        tell(Step::Close)?;
        self.from.as_user(unseal, |session, _| clear(session))?;
        for name in [BEFORE, NEXT] {
            self.remove(name)?;
        }
        Ok(())
    }

    /// Destroys what the token that this file names has of the house.
    fn empty(
        &self,
        name: TokenName<'_>,
        file: &str,
        unseal: &UnsealSecret,
        lost: bool,
        tell: &mut Tell<'_>,
    ) -> Result<(), Failed> {
        let noted = Plate::read(self.folder, file)?;
        loop {
            tell(Step::Destroy)?;
            let left = name.as_user(unseal, |session, token| {
                if noted.as_ref() != Some(&Plate::new(name.label, token.serial_number())) {
                    return Err(Refusal::TokenAnother(name.label.into()).into());
                }
                let objects = house(session)?;
                if let Some(object) = objects.first() {
                    session.destroy_object(*object)?;
                }
                Ok(!objects.is_empty())
            });
            match left {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(Failed::Refused(Refusal::TokenUnknown(_) | Refusal::ModuleUnusable(_)))
                    if lost =>
                {
                    return Ok(());
                }
                Err(failed) => return Err(failed),
            }
        }
    }

    fn remove(&self, name: &str) -> Result<(), Failed> {
        let path = self.folder.join(name);
        if path.exists() {
            files::remove(&path).map_err(|error| unusable(self.folder, &error))?;
        }
        Ok(())
    }
}

/// A key that is made and wrapped on the first token, to be opened on the second; then forgotten.
const PROBE: Label = Label {
    credential: KeyId::from_octets([0; 16]),
    owner: PersonId::from_octets([0; 16]),
    policy: 0,
    created: Timestamp::from_seconds(0),
};

/// What both tokens hash under each key.
fn statement(from: &Plate, to: &Plate) -> Statement {
    Statement::new("azukari/transfer/v1")
        .text(&from.label)
        .text(&from.serial)
        .text(&to.label)
        .text(&to.serial)
}

/// What must be the same on both tokens.
const SAME: &[AttributeType] = &[
    AttributeType::Class,
    AttributeType::KeyType,
    AttributeType::Token,
    AttributeType::Private,
    AttributeType::Label,
    AttributeType::Id,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::WrapWithTrusted,
    AttributeType::Trusted,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Sign,
    AttributeType::Verify,
    AttributeType::Derive,
    AttributeType::Modifiable,
    AttributeType::Copyable,
];

/// A key arrives, with the attributes of its kind, and is refused if it is not as it left.
fn unwrap(session: &Session, carried: &Carried) -> Result<(), Trouble> {
    let private = private_key(session, LABEL)?.ok_or_else(|| missing(LABEL))?;
    let (kind, attributes) = match carried.key {
        Kind::Kek => (KeyType::AES, keys::kek_attributes(carried.version)),
        Kind::Mac(role) => (KeyType::GENERIC_SECRET, keys::mac_attributes(role, carried.version)),
    };
    let kind = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::KeyType(kind)];
    let attributes = [&kind[..], &attributes].concat();
    let mechanism = oaep(OaepDigest::Sha1);
    let key = session.unwrap_key(&mechanism, private, &carried.ct, &attributes)?;
    same(&carried.attributes, &session.get_attributes(key, SAME)?)
}

fn same(left: &[Attribute], arrived: &[Attribute]) -> Result<(), Trouble> {
    let differs = left.iter().find(|attribute| !arrived.contains(attribute));
    let differs = differs.or_else(|| arrived.iter().find(|attribute| !left.contains(attribute)));
    match differs {
        Some(attribute) => {
            Err(Refusal::TransferDiffers(attribute.attribute_type().to_string()).into())
        }
        None => Ok(()),
    }
}

/// The security officers' word for the KEK that is to come. It is of no use to wrap anything.
fn vouch(session: &Session, modulus: &[u8], version: u32) -> Result<(), Trouble> {
    let word = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::RSA),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Label(keys::RECEIVED.as_bytes().to_vec()),
        Attribute::Id(version.to_be_bytes().to_vec()),
        Attribute::Modulus(modulus.to_vec()),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Wrap(false),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::Trusted(true),
    ];
    session.create_object(&word)?;
    Ok(())
}

/// Everything of the house in a token.
fn house(session: &Session) -> Result<Vec<ObjectHandle>, Trouble> {
    let own = [keys::KEK, LABEL, keys::RECEIVED, arrive::LABEL].map(str::to_owned);
    let mut objects = Vec::new();
    for label in own.into_iter().chain(Role::ALL.map(keys::mac_label)) {
        objects.extend(session.find_objects(&[Attribute::Label(label.into_bytes())])?);
    }
    Ok(objects)
}

#[cfg(test)]
mod tests;
