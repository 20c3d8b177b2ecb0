//! On SoftHSM2 alone, as [`super::super::tests`].

use std::collections::BTreeSet;
use std::sync::Arc;

use cryptoki::mechanism::Mechanism;
use hpki::sign::{DeviceFault, Mac as _, Sign as _};

use super::super::rotate::Rotating;
use super::super::tests::{A, House, NOW, code, sign, token_folder};
use super::*;
use crate::blob::Blob;
use crate::config::DeviceConfig;
use crate::random::SystemRandom;
use crate::transfer::Transfer;
use crate::{Rotation, testing};

/// A house with keys, and the token that it will move to.
struct Move {
    house: House,
    to: DeviceConfig,
    wrapped: Vec<u8>,
    signature: Vec<u8>,
    seal: Digest32,
    authority: Vec<u8>,
    log: Vec<u8>,
}

const SEAL: &str = "azukari/seal/v1";

impl Move {
    fn new() -> Option<Self> {
        let house = House::new()?;
        let to = testing::device(&house.folder.path().join("second"));
        let DeviceConfig::Pkcs11 { module, token, .. } = to else { unreachable!() };
        let to = DeviceConfig::pkcs11(house.folder.path(), module, token);
        let desks = house.open();
        let wrapped = desks.subscriber.generate(A.0, A.1, 7, NOW).unwrap().wrapped;
        let key = Arc::new(desks.subscriber.load(&wrapped, A.0, A.1).unwrap());
        let signature = sign(&desks.subscriber, &key).unwrap();
        let seal = desks.log.mac(&Statement::new(SEAL).text("test")).unwrap();
        let authority = desks.ca.generate("root", crate::CaAlgorithm::P256).unwrap();
        let log = desks.log.spki_der().to_vec();
        drop(key);
        drop(desks);
        Some(Self { house, to, wrapped, signature, seal, authority, log })
    }

    fn second(&self) -> String {
        let DeviceConfig::Pkcs11 { token, .. } = &self.to else { unreachable!() };
        token.clone()
    }

    fn carry(&self, tell: impl FnMut(Step) -> Result<(), Failed>) -> Result<(), Failed> {
        let from = self.house.device();
        let transfer = Transfer::between(&from, &self.to)?;
        transfer.carry(&testing::officers(), &self.house.secret, tell)
    }

    fn close(
        &self,
        lost: bool,
        tell: impl FnMut(Step) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        Transfer::between(&self.house.device(), &self.to)?.close(&self.house.secret, lost, tell)
    }

    fn give_up(
        &self,
        lost: bool,
        tell: impl FnMut(Step) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        Transfer::between(&self.house.device(), &self.to)?.give_up(&self.house.secret, lost, tell)
    }

    fn stage(&self) -> Stage {
        Transfer::between(&self.house.device(), &self.to).unwrap().look().unwrap()
    }

    fn must_rotate(&self) -> bool {
        let from = self.house.device();
        Transfer::between(&from, &self.to).unwrap().must_rotate(&self.house.secret).unwrap()
    }

    /// The token in charge opens every key there is, and the other one is refused.
    fn signs(&self, wrapped: &[u8]) {
        let (there, elsewhere) = match self.stage() {
            Stage::Before => (self.house.device(), self.to.clone()),
            Stage::HandedOver | Stage::Over => (self.to.clone(), self.house.device()),
        };
        let refused = crate::open(&elsewhere, &self.house.secret, 1).map(drop);
        assert_eq!(code(refused), "token-another");
        let desks = crate::open(&there, &self.house.secret, 1).unwrap();
        let key = Arc::new(desks.subscriber.load(wrapped, A.0, A.1).unwrap());
        assert_eq!(sign(&desks.subscriber, &key).unwrap(), self.signature);
        let seal = desks.log.mac(&Statement::new(SEAL).text("test")).unwrap();
        assert_eq!(seal, self.seal, "every seal still holds");
        assert_eq!(desks.ca.key("root").unwrap().spki_der(), self.authority);
        assert_eq!(desks.log.spki_der(), self.log);
        drop(key);
        drop(desks);
        assert_eq!(crate::look_at_named(&there, &self.house.secret).unwrap(), 3);
    }

    /// The second token gets a key of its own, and the kept key is under it.
    fn rotate(&self) -> Vec<u8> {
        let (officers, secret) = (testing::officers(), &self.house.secret);
        let rotation = Rotation::begin(&self.to, &officers, secret).unwrap();
        assert_eq!(rotation.version(), 2);
        let wrapped = rotation.rewrap(&self.wrapped, A.0, A.1).unwrap();
        rotation.finish().unwrap();
        wrapped
    }

    fn objects(&self, label: &str) -> usize {
        let name = TokenName { module: Path::new(testing::SOFTHSM), label };
        name.as_user(&self.house.secret, |session, _| Ok(house(session)?.len())).unwrap()
    }
}

fn on(_: Step) -> Result<(), Failed> {
    Ok(())
}

/// Dies at the n-th step.
fn dying(n: usize) -> impl FnMut(Step) -> Result<(), Failed> {
    let mut seen = 0;
    move |step| {
        seen += 1;
        if seen == n { Err(DeviceFault(format!("died at {step:?}")).into()) } else { Ok(()) }
    }
}

#[test]
fn custody_moves_to_a_second_token_and_the_first_can_be_destroyed() {
    let Some(place) = Move::new() else { return };
    let first = place.house.label();
    assert_eq!(place.stage(), Stage::Before);
    assert!(!Transfer::is_unfinished(&place.to));
    place.carry(on).unwrap();
    assert_eq!(place.stage(), Stage::HandedOver);
    assert!(Transfer::is_unfinished(&place.to));
    place.signs(&place.wrapped);
    assert!(place.must_rotate(), "its key came from the first");
    let wrapped = place.rotate();
    assert!(!place.must_rotate());
    place.close(false, on).unwrap();
    assert_eq!(place.stage(), Stage::Over);
    assert!(!Transfer::is_unfinished(&place.to));
    assert_eq!(place.objects(&first), 0, "nothing of the house is left there");
    std::fs::remove_dir_all(token_folder(&first)).unwrap();
    place.signs(&wrapped);
    assert_eq!(place.objects(&place.second()), 6, "a KEK, five keyed-hash keys, nothing else");
    let old = crate::open(&place.to, &place.house.secret, 1)
        .and_then(|desks| desks.subscriber.load(&place.wrapped, A.0, A.1).map(drop));
    assert_eq!(code(old), "kek-missing", "what the first wrapped is opened by nobody");
    // It is over: again, nothing happens.
    place.carry(|_| panic!()).unwrap();
    place.close(false, |_| panic!()).unwrap();
}

#[test]
fn whoever_dies_at_any_step_of_a_transfer_loses_nothing_and_goes_on() {
    let Some(place) = Move::new() else { return };
    let mut died = BTreeSet::new();
    for n in 1.. {
        let Err(failed) = place.carry(dying(n)) else { break };
        died.insert(failed.to_string());
        assert_eq!(place.stage(), Stage::Before, "{failed}");
        place.signs(&place.wrapped);
    }
    assert_eq!(died.len(), 12, "{died:?}");
    assert_eq!(place.stage(), Stage::HandedOver);
    place.signs(&place.wrapped);

    // A rotation that began and was left; and one that died among the keys of the device.
    drop(Rotation::begin(&place.to, &testing::officers(), &place.house.secret).unwrap());
    assert!(place.must_rotate());
    place.signs(&place.wrapped);
    let folder = crate::named::NamedKeys::new(place.house.folder.path());
    let crate::named::Named { wrapped, spki } = folder.read("ca-root").unwrap();
    let rotating = Rotating::begin(
        place.house.folder.path(),
        Path::new(testing::SOFTHSM),
        &place.second(),
        &testing::officers(),
        &place.house.secret,
    )
    .unwrap();
    let wrapped = rotating.anew(&wrapped, SignatureAlgorithm::EcdsaP256Sha256).unwrap();
    folder.replace("ca-root", &crate::named::Named { wrapped, spki }).unwrap();
    drop(rotating);
    assert!(place.must_rotate());
    place.signs(&place.wrapped);
    let wrapped = place.rotate();
    // And one that died at its very end, and left the word.
    let name = TokenName { module: Path::new(testing::SOFTHSM), label: &place.second() };
    name.as_officers(&testing::officers(), |session| vouch(session, &[0x80; 384], 1)).unwrap();
    let at_the_end = |step| match step {
        Step::Close => dying(1)(step),
        _ => Ok(()),
    };
    for n in 1..=4 {
        let failed =
            if n < 4 { place.close(false, dying(n)) } else { place.close(false, at_the_end) };
        let failed = failed.unwrap_err();
        died.insert(failed.to_string());
        assert_eq!(place.stage(), Stage::HandedOver, "{failed}");
        place.signs(&wrapped);
    }
    place.close(false, on).unwrap();
    assert_eq!(died.len(), 14, "{died:?}");
    assert_eq!(place.stage(), Stage::Over);
    place.signs(&wrapped);
    assert_eq!(place.objects(&place.second()), 6, "nothing of the transfer is left");
}

#[test]
fn a_token_whose_preparation_died_is_prepared_to_its_end() {
    let Some(place) = Move::new() else { return };
    let module = Module::load(Path::new(testing::SOFTHSM)).unwrap();
    {
        let _alone = module.alone();
        let slots = module.pkcs11.get_slots_with_token().unwrap().into_iter();
        let empty = |slot: &cryptoki::slot::Slot| {
            module.pkcs11.get_token_info(*slot).is_ok_and(|token| !token.token_initialized())
        };
        let pin = testing::officers().officers_pin(&place.second()).unwrap();
        let slot = slots.into_iter().find(empty).unwrap();
        module.pkcs11.init_token(slot, &pin, &place.second()).unwrap();
    }
    place.carry(on).unwrap();
    place.signs(&place.wrapped);
}

#[test]
fn a_transfer_is_given_up_until_it_is_handed_over() {
    let Some(place) = Move::new() else { return };
    place.give_up(false, |_| panic!()).unwrap();
    let at_the_end = |step| if step == Step::HandOver { dying(1)(step) } else { Ok(()) };
    place.carry(at_the_end).unwrap_err();
    assert!(Transfer::is_unfinished(&place.to));
    // Not to a third token in between.
    let DeviceConfig::Pkcs11 { folder, module, .. } = &place.to else { unreachable!() };
    let third = DeviceConfig::pkcs11(folder, module, "third");
    let first = place.house.device();
    let look = code(Transfer::between(&first, &third).unwrap().look());
    assert_eq!(look, "transfer-unfinished");
    for n in 1.. {
        let Err(failed) = place.give_up(false, dying(n)) else { break };
        place.signs(&place.wrapped);
        assert!(Transfer::is_unfinished(&place.to), "{failed}");
    }
    assert!(!Transfer::is_unfinished(&place.to));
    assert_eq!(place.objects(&place.second()), 0, "what was brought is destroyed");
    place.signs(&place.wrapped);

    // With a second token that is lost.
    place.carry(at_the_end).unwrap_err();
    std::fs::remove_dir_all(token_folder(&place.second())).unwrap();
    assert_eq!(code(place.give_up(false, on)), "token-unknown");
    place.give_up(true, on).unwrap();
    assert!(!Transfer::is_unfinished(&place.to));
    place.carry(on).unwrap();
    assert_eq!(code(place.give_up(false, on)), "transfer-handed-over");
    place.signs(&place.wrapped);
}

#[test]
fn a_second_token_that_cannot_take_custody_is_refused_and_the_first_stays_in_charge() {
    let Some(place) = Move::new() else { return };
    let first = place.house.device();
    let folder = place.house.folder.path();
    let between = |to: &DeviceConfig| code(Transfer::between(&first, to));
    assert_eq!(between(&DeviceConfig::vault(folder)), "transfer-unsupported");
    let elsewhere = DeviceConfig::pkcs11(folder.join("x"), testing::SOFTHSM, "second");
    assert_eq!(between(&elsewhere), "transfer-unsupported");
    let look = |to: &DeviceConfig| code(Transfer::between(&first, to).unwrap().look());
    assert_eq!(look(&first), "transfer-same-token");
    assert_eq!(look(&DeviceConfig::pkcs11(folder, "/nowhere/p11.so", "x")), "module-unusable");
    let desks = place.house.open();
    assert_eq!(look(&place.to), "vault-in-use");
    assert_eq!(code(place.carry(on)), "vault-in-use");
    drop(desks);

    // The wrong officers of the first.
    let wrong = UnsealSecret::random(&SystemRandom);
    let transfer = Transfer::between(&first, &place.to).unwrap();
    assert_eq!(code(transfer.carry(&testing::officers(), &wrong, on)), "pin-wrong");
    let (officers, secret) = (testing::officers(), &place.house.secret);

    // A token of somebody else.
    let foreign = testing::device(&folder.join("foreign"));
    crate::prepare_token(&foreign, &wrong, &wrong).unwrap();
    let DeviceConfig::Pkcs11 { module, token, .. } = foreign else { unreachable!() };
    let foreign = DeviceConfig::pkcs11(folder, module, token);
    let carry = |to: &DeviceConfig| {
        code(Transfer::between(&first, to).unwrap().carry(&officers, secret, on))
    };
    assert_eq!(carry(&foreign), "pin-wrong");

    // One with keys of a device, though these officers' own.
    let full = testing::device(&folder.join("full"));
    crate::prepare_token(&full, &officers, secret).unwrap();
    crate::create(&full, secret).unwrap();
    let DeviceConfig::Pkcs11 { module, token, .. } = full else { unreachable!() };
    let name = token.clone();
    assert_eq!(carry(&DeviceConfig::pkcs11(folder, module, token)), "token-not-empty");
    assert_eq!(place.objects(&name), 6, "it keeps them");
    assert!(!Transfer::is_unfinished(&first));

    // A rotation of the first that is under way.
    drop(Rotation::begin(&first, &officers, secret).unwrap());
    assert_eq!(carry(&place.to), "rotation-unfinished");
    place.signs(&place.wrapped);
}

#[test]
fn a_key_that_arrives_otherwise_than_it_left_is_refused() {
    let Some(place) = Move::new() else { return };
    let name = TokenName { module: Path::new(testing::SOFTHSM), label: &place.house.label() };
    let look = |role: Role, kind: &[Attribute]| {
        name.as_user(&place.house.secret, |session, _| {
            let attributes = keys::mac_attributes(role, 9);
            let attributes = attributes.into_iter().map(|attribute| {
                let other = kind.iter().find(|o| o.attribute_type() == attribute.attribute_type());
                other.cloned().unwrap_or(attribute)
            });
            let session_key = [Attribute::ValueLen(32.into())].into_iter().chain(attributes);
            let key = session
                .generate_key(&Mechanism::GenericSecretKeyGen, &session_key.collect::<Vec<_>>())?;
            let told = session.get_attributes(key, SAME);
            session.destroy_object(key)?;
            Ok(told?)
        })
        .unwrap()
    };
    let left = look(Role::Ca, &[]);
    assert!(same(&left, &look(Role::Ca, &[])).is_ok());
    for other in [
        Attribute::WrapWithTrusted(false),
        Attribute::Modifiable(true),
        Attribute::Copyable(true),
        Attribute::Encrypt(true),
        Attribute::Unwrap(true),
        Attribute::Id(vec![0, 0, 0, 8]),
    ] {
        let arrived = look(Role::Ca, std::slice::from_ref(&other));
        let refused = same(&left, &arrived).map_err(|trouble| trouble.told("t"));
        assert_eq!(code(refused), "transfer-differs", "{other:?}");
    }
    assert_eq!(code(same(&left, &left[1..]).map_err(|t| t.told("t"))), "transfer-differs");
}

#[test]
fn a_key_from_elsewhere_counts_only_on_the_security_officers_word() {
    let Some(place) = Move::new() else { return };
    place.carry(on).unwrap();
    place.signs(&place.wrapped);
    let name = TokenName { module: Path::new(testing::SOFTHSM), label: &place.second() };
    let secret = &place.house.secret;
    // The user cannot give it: nothing that he makes is TRUSTED.
    let given = name.as_user(secret, |session, _| vouch(session, &[0x80; 384], 1));
    assert!(given.is_err(), "{given:?}");
    name.as_user(secret, |session, _| {
        for word in keys::received(session, 1)? {
            session.destroy_object(word)?;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(code(crate::open(&place.to, secret, 1).map(drop)), "kek-weak");
    name.as_officers(&testing::officers(), |session| vouch(session, &[0x80; 384], 2)).unwrap();
    assert_eq!(code(crate::open(&place.to, secret, 1).map(drop)), "kek-weak", "another version");
    name.as_officers(&testing::officers(), |session| vouch(session, &[0x80; 384], 1)).unwrap();
    place.signs(&place.wrapped);
}

#[test]
fn a_key_that_was_brought_is_as_closed_as_it_was() {
    let Some(place) = Move::new() else { return };
    place.carry(on).unwrap();
    let (module, second) = (Path::new(testing::SOFTHSM), place.second());
    let folder = place.house.folder.path();
    let (token, _lock) = Token::open(folder, module, &second, &place.house.secret).unwrap();
    let blob = Blob::parse(&place.wrapped).unwrap();
    token
        .link
        .with(|line, session| {
            let (_, kek) = line.newest()?;
            assert!(!keys::is_local(session, kek)?);
            let unwrap = |attributes: &[Attribute]| {
                session.unwrap_key(&Mechanism::AesKeyWrapPad, kek, blob.ct(), attributes)
            };
            let good = keys::loaded_attributes(KeyType::RSA, token.link.quirks);
            session.destroy_object(unwrap(&good)?)?;
            for spoiled in [Attribute::Extractable(true), Attribute::Decrypt(true)] {
                let mut attributes = good.clone();
                attributes.retain(|one| one.attribute_type() != spoiled.attribute_type());
                attributes.insert(0, spoiled.clone());
                assert!(unwrap(&attributes).is_err(), "{spoiled:?}");
            }
            let own = session.generate_key(
                &Mechanism::AesKeyGen,
                &[
                    Attribute::Token(false),
                    Attribute::ValueLen(32.into()),
                    Attribute::Wrap(true),
                    Attribute::Decrypt(true),
                ],
            )?;
            for key in line.keys.macs.iter().chain([&kek]) {
                let change = [Attribute::Decrypt(true)];
                assert!(session.update_attributes(*key, &change).is_err(), "it can be changed");
                assert!(session.copy_object(*key, &change).is_err(), "it can be copied");
                let out = session.wrap_key(&Mechanism::AesKeyWrap, own, *key);
                assert!(out.is_err(), "it can leave");
            }
            // Not even to the word of the officers, which is TRUSTED and of no use.
            let word = keys::received(session, 1)?[0];
            assert!(session.wrap_key(&oaep(OaepDigest::Sha1), word, kek).is_err());
            assert_eq!(private_key(session, LABEL)?, None, "the transfer key is gone");
            Ok(())
        })
        .unwrap();
}

#[test]
fn officers_are_not_replaced_between_two_tokens_and_a_first_token_may_be_lost() {
    let Some(place) = Move::new() else { return };
    place.carry(on).unwrap();
    let new = UnsealSecret::random(&SystemRandom);
    let (officers, secret) = (testing::officers(), &place.house.secret);
    let refused = crate::change_secret(&place.to, secret, &new);
    assert_eq!(code(refused), "transfer-unfinished");
    let refused = crate::change_officers_secret(&place.to, &officers, &new);
    assert_eq!(code(refused), "transfer-unfinished");
    let wrapped = place.rotate();
    let first = token_folder(&place.house.label());
    let away = place.house.folder.path().join("away");
    std::fs::rename(&first, &away).unwrap();
    assert_eq!(code(place.close(false, on)), "token-unknown");
    assert_eq!(place.stage(), Stage::HandedOver);
    place.close(true, on).unwrap();
    assert_eq!(place.stage(), Stage::Over);
    place.signs(&wrapped);
    crate::change_secret(&place.to, secret, &new).unwrap();
}
