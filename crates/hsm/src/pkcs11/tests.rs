//! What only a token has: attributes, PINs, and being lost. These tests run where SoftHSM2 is the
//! device of the process (`crate::testing::again_on_softhsm`); elsewhere there is nothing to test.

use std::process::Command;
use std::sync::{Arc, mpsc};

use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use hpki::id::{KeyId, PersonId};
use hpki::refusal::Refuse;
use hpki::sign::Sign;
use hpki::time::Timestamp;

use super::*;
use crate::config::DeviceConfig;
use crate::health::Health;
use crate::random::SystemRandom;
use crate::testing;

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(super) const A: (KeyId, PersonId) =
    (KeyId::from_octets([1; 16]), PersonId::from_octets([2; 16]));

pub(super) struct House {
    pub(super) folder: tempfile::TempDir,
    pub(super) secret: UnsealSecret,
}

impl House {
    /// `None` where this process is not the one that tests on SoftHSM2.
    pub(super) fn new() -> Option<Self> {
        testing::on_softhsm().then(|| {
            let folder = tempfile::tempdir().unwrap();
            let secret = UnsealSecret::random(&SystemRandom);
            testing::found(folder.path(), &secret);
            Self { folder, secret }
        })
    }
    pub(super) fn device(&self) -> DeviceConfig {
        testing::device(self.folder.path())
    }
    pub(super) fn label(&self) -> String {
        let DeviceConfig::Pkcs11 { token, .. } = self.device() else { unreachable!() };
        token
    }
    pub(super) fn open(&self) -> crate::Desks {
        crate::open(&self.device(), &self.secret, 2).unwrap()
    }
    fn token(&self) -> (Token, Lock) {
        let module = Path::new(testing::SOFTHSM);
        Token::open(self.folder.path(), module, &self.label(), &self.secret).unwrap()
    }
    /// A session of somebody else in this process, e.g. an operator with the PIN.
    pub(super) fn session(&self) -> (Arc<Module>, Session) {
        let module = Module::load(Path::new(testing::SOFTHSM)).unwrap();
        let (entered, slot, _) = link::find(&module, &self.label()).unwrap();
        let session = link::session(&module, slot).unwrap();
        drop(entered);
        (module, session)
    }
    pub(super) fn log_in(&self, session: &Session) {
        let pin = self.secret.pin(&self.label()).unwrap();
        session.login(UserType::User, Some(&pin)).unwrap();
    }
    fn token_folder(&self) -> std::path::PathBuf {
        token_folder(&self.label())
    }
}

/// Where SoftHSM2 keeps the token of this label.
pub(super) fn token_folder(label: &str) -> std::path::PathBuf {
    let module = Module::load(Path::new(testing::SOFTHSM)).unwrap();
    let (_entered, _, token) = link::find(&module, label).unwrap();
    let serial = token.serial_number();
    let mut folders = std::fs::read_dir(testing::tokens()).unwrap().map(|entry| entry.unwrap());
    let folder = folders.find(|folder| {
        folder.file_name().into_string().unwrap().replace('-', "").ends_with(serial)
    });
    folder.unwrap().path()
}

pub(super) fn code<T>(result: Result<T, Failed>) -> &'static str {
    match result {
        Ok(_) => "accepted",
        Err(Failed::Refused(refusal)) => refusal.code(),
        Err(Failed::Fault(_)) => "fault",
    }
}

pub(super) fn sign(
    desk: &crate::SubscriberDesk,
    key: &Arc<crate::LoadedKey>,
) -> Result<Vec<u8>, DeviceFault> {
    let (tell, told) = mpsc::channel();
    let done: crate::SignDone = Box::new(move |answer| tell.send(answer).unwrap());
    desk.sign(Arc::clone(key), b"message".to_vec(), done);
    told.recv().unwrap()
}

#[test]
fn the_key_encryption_key_has_the_attributes_that_protect_it() {
    let Some(house) = House::new() else { return };
    let (token, _lock) = house.token();
    let wanted = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::AlwaysSensitive(true),
        Attribute::Extractable(true),
        Attribute::WrapWithTrusted(true),
        Attribute::Trusted(false),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
        Attribute::Modifiable(false),
        Attribute::Copyable(false),
        Attribute::Local(true),
    ];
    let types: Vec<AttributeType> =
        wanted.iter().map(|attribute| attribute.attribute_type()).collect();
    token
        .link
        .with(|line, session| {
            let (_, kek) = line.newest()?;
            assert_eq!(session.get_attributes(kek, &types)?, wanted);
            let change = [Attribute::Decrypt(true)];
            assert!(session.update_attributes(kek, &change).is_err(), "it can be changed");
            assert!(session.copy_object(kek, &change).is_err(), "it can be copied");
            // Whoever has the PIN makes a wrapping key of his own: it does not wrap the KEK.
            let own = session.generate_key(
                &Mechanism::AesKeyGen,
                &[
                    Attribute::Token(false),
                    Attribute::ValueLen(32.into()),
                    Attribute::Wrap(true),
                    Attribute::Decrypt(true),
                ],
            )?;
            assert!(session.wrap_key(&Mechanism::AesKeyWrap, own, kek).is_err(), "it can leave");
            for mac in &line.keys.macs {
                let taken = session.wrap_key(&Mechanism::AesKeyWrap, own, *mac);
                assert!(taken.is_err(), "a keyed-hash key can leave");
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_stranger_sees_the_same_attributes() {
    let Some(house) = House::new() else { return };
    // The stranger is another process, with the PIN.
    let pin = house.secret.pin_for("user", &house.label()).unwrap();
    let shown = Command::new("pkcs11-tool")
        .args(["--module", testing::SOFTHSM, "--token-label", &house.label()])
        .args(["--login", "--pin", &pin, "--list-objects", "--type", "secrkey"])
        .output()
        .expect("pkcs11-tool is missing: apt-get install opensc");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let kek = shown.split("Secret Key Object").find(|one| one.contains("azukari-kek"));
    let kek = kek.unwrap_or_else(|| panic!("no KEK in:\n{shown}"));
    assert!(kek.contains("AES length 32"), "{kek}");
    let line = |name: &str| {
        let found = kek.lines().find(|line| line.trim_start().starts_with(name));
        found.unwrap_or_default().split_once(':').map_or("", |(_, rest)| rest).trim().to_owned()
    };
    assert_eq!(line("Usage"), "wrap, unwrap", "{kek}");
    assert!(line("Access").contains("sensitive"), "{kek}");
    assert_eq!(shown.matches("azukari-mac-").count(), Role::ALL.len());
}

#[test]
fn what_the_key_encryption_key_unwraps_can_sign_and_nothing_else() {
    let Some(house) = House::new() else { return };
    let (token, _lock) = house.token();
    let label = Label { credential: A.0, owner: A.1, policy: 7, created: NOW };
    let fresh = token.generate(&label, SignatureAlgorithm::RsaSha256).unwrap();
    let blob = Blob::parse(&fresh.wrapped).unwrap();
    token
        .link
        .with(|line, session| {
            let (_, kek) = line.newest()?;
            let unwrap = |attributes: &[Attribute]| {
                session.unwrap_key(&Mechanism::AesKeyWrapPad, kek, blob.ct(), attributes)
            };
            let good = keys::loaded_attributes(cryptoki::object::KeyType::RSA, token.link.quirks);
            for spoiled in [
                Attribute::Extractable(true),
                Attribute::Sensitive(false),
                Attribute::Decrypt(true),
                Attribute::Unwrap(true),
            ] {
                let mut attributes = good.clone();
                attributes.retain(|one| one.attribute_type() != spoiled.attribute_type());
                attributes.push(spoiled.clone());
                assert!(unwrap(&attributes).is_err(), "{spoiled:?}");
            }
            let key = unwrap(&good)?;
            let asked = [
                AttributeType::Sensitive,
                AttributeType::Extractable,
                AttributeType::Token,
                AttributeType::Sign,
                AttributeType::Decrypt,
                AttributeType::Unwrap,
            ];
            let told = session.get_attributes(key, &asked)?;
            assert_eq!(
                told,
                [
                    Attribute::Sensitive(true),
                    Attribute::Extractable(false),
                    Attribute::Token(false),
                    Attribute::Sign(true),
                    Attribute::Decrypt(false),
                    Attribute::Unwrap(false),
                ]
            );
            assert!(session.wrap_key(&Mechanism::AesKeyWrapPad, kek, key).is_err());
            session.destroy_object(key)?;
            Ok(())
        })
        .unwrap();
}

/// How many session objects of this kind the token holds.
fn objects(token: &Token) -> usize {
    token
        .link
        .with(|_, session| {
            Ok(session
                .find_objects(&[
                    Attribute::Class(cryptoki::object::ObjectClass::PRIVATE_KEY),
                    Attribute::Token(false),
                ])?
                .len())
        })
        .unwrap()
}

#[test]
fn a_fresh_key_and_a_dropped_key_leave_no_object_behind() {
    let Some(house) = House::new() else { return };
    let (token, _lock) = house.token();
    let label = Label { credential: A.0, owner: A.1, policy: 7, created: NOW };
    let fresh = token.generate(&label, SignatureAlgorithm::RsaSha256).unwrap();
    assert_eq!(objects(&token), 0, "wrapped and destroyed");
    let load = || token.load(&fresh.wrapped, A.0, A.1, SignatureAlgorithm::RsaSha256, None);
    let (one, two) = (load().unwrap(), load().unwrap());
    assert_eq!(objects(&token), 2);
    drop(one);
    assert_eq!(objects(&token), 1);
    assert!(two.sign(b"message").is_ok());
    drop(two);
    assert_eq!(objects(&token), 0);
}

#[test]
fn a_broken_blob_never_reaches_the_device() {
    let Some(house) = House::new() else { return };
    let (token, _lock) = house.token();
    let label = Label { credential: A.0, owner: A.1, policy: 7, created: NOW };
    let mut wrapped = token.generate(&label, SignatureAlgorithm::RsaSha256).unwrap().wrapped;
    let middle = wrapped.len() / 2;
    wrapped[middle] ^= 1;
    // The device would answer a general error, which makes the link anew.
    let before = token.link.with(|line, _| Ok(line.number)).unwrap();
    let loaded = token.load(&wrapped, A.0, A.1, SignatureAlgorithm::RsaSha256, None);
    assert_eq!(code(loaded.map(drop)), "blob-broken");
    assert_eq!(token.link.with(|line, _| Ok(line.number)).unwrap(), before);
}

#[test]
fn a_token_that_says_logged_out_is_entered_again_and_loaded_keys_sign_on() {
    let Some(house) = House::new() else { return };
    let desks = house.open();
    let fresh = desks.subscriber.generate(A.0, A.1, 7, NOW).unwrap();
    let key = Arc::new(desks.subscriber.load(&fresh.wrapped, A.0, A.1).unwrap());
    let before = sign(&desks.subscriber, &key).unwrap();
    // The login belongs to the process: whoever logs out in it logs everybody out, and every private
    // object of a session is destroyed.
    let (_module, session) = house.session();
    session.logout().unwrap();
    session.close().unwrap();
    assert_eq!(sign(&desks.subscriber, &key).unwrap(), before);
    assert_eq!(desks.watch.look(NOW), Health::Working);
    let key = desks.ca.generate("root", crate::CaAlgorithm::P256);
    assert!(key.is_ok());
}

#[test]
fn a_pin_changed_under_us_bars_us_and_is_tried_once() {
    let Some(house) = House::new() else { return };
    let desks = house.open();
    let pin = house.secret.pin(&house.label()).unwrap();
    let other = AuthPin::from("0123456789abcdef".to_owned().into_boxed_str());
    let (_module, session) = house.session();
    session.set_pin(&pin, &other).unwrap();
    session.logout().unwrap();
    assert!(desks.subscriber.generate(A.0, A.1, 7, NOW).is_err());
    assert_eq!(desks.watch.look(NOW), Health::Barred { code: "pin-wrong" });
    // Even when the PIN is right again, nobody tries by himself.
    session.login(UserType::User, Some(&other)).unwrap();
    session.set_pin(&other, &pin).unwrap();
    assert!(desks.subscriber.generate(A.0, A.1, 7, NOW).is_err());
    session.close().unwrap();
    drop(desks);
    assert!(house.open().subscriber.generate(A.0, A.1, 7, NOW).is_ok());
}

#[test]
fn what_is_missing_is_named() {
    let Some(house) = House::new() else { return };
    let open = |device: &DeviceConfig| code(crate::open(device, &house.secret, 1).map(drop));
    let folder = house.folder.path();
    let (module, label) = (testing::SOFTHSM, house.label());
    assert_eq!(open(&DeviceConfig::pkcs11(folder, "/nowhere/p11.so", &*label)), "module-unusable");
    assert_eq!(open(&DeviceConfig::pkcs11(folder, "/etc/passwd", &*label)), "module-unusable");
    assert_eq!(open(&DeviceConfig::pkcs11(folder, module, "another")), "token-another");
    let empty = tempfile::tempdir().unwrap();
    let create = |label: &str, secret: &UnsealSecret| {
        code(crate::create(&DeviceConfig::pkcs11(empty.path(), module, label), secret))
    };
    assert_eq!(create("nobody", &house.secret), "token-unknown");
    assert_eq!(create(&label, &house.secret), "token-not-empty");
    assert_eq!(create(&label, &UnsealSecret::random(&SystemRandom)), "pin-wrong");
    assert_eq!(open(&DeviceConfig::pkcs11(empty.path(), module, &*label)), "vault-missing");
    assert_eq!(open(&DeviceConfig::vault(folder)), "vault-missing");
    let again = crate::prepare_token(&house.device(), &testing::officers(), &house.secret);
    assert_eq!(code(again), "token-exists");
    assert_eq!(open(&house.device()), "accepted");
}

#[test]
fn a_token_initialised_anew_is_another_token() {
    let Some(house) = House::new() else { return };
    let officers = testing::officers().officers_pin(&house.label()).unwrap();
    let module = Module::load(Path::new(testing::SOFTHSM)).unwrap();
    {
        let _alone = module.alone();
        let (slot, _) = link::find_in(&module, &house.label()).unwrap();
        module.pkcs11.init_token(slot, &officers, &house.label()).unwrap();
    }
    let refused = code(crate::open(&house.device(), &house.secret, 1).map(drop));
    assert!(["token-another", "token-not-ready"].contains(&refused), "{refused}");
}

#[test]
fn officers_change_the_pin_with_the_secret() {
    let Some(house) = House::new() else { return };
    let spki = house.open().log.spki_der().to_vec();
    let new = UnsealSecret::random(&SystemRandom);
    crate::change_secret(&house.device(), &house.secret, &new).unwrap();
    let refused = crate::open(&house.device(), &house.secret, 1).map(drop);
    assert_eq!(code(refused), "pin-wrong");
    assert_eq!(crate::open(&house.device(), &new, 1).unwrap().log.spki_der(), spki);
}

#[test]
fn security_officers_who_hand_over_can_do_nothing_with_the_token_any_more() {
    let Some(house) = House::new() else { return };
    let (old, new) = (testing::officers(), UnsealSecret::random(&SystemRandom));
    let change = |from: &UnsealSecret, to: &UnsealSecret| {
        code(crate::change_officers_secret(&house.device(), from, to))
    };
    let desks = house.open();
    assert_eq!(change(&old, &new), "vault-in-use");
    drop(desks);
    assert_eq!(change(&new, &old), "pin-wrong");
    assert_eq!(change(&old, &new), "accepted");
    assert_eq!(change(&old, &new), "pin-wrong");
    assert_eq!(change(&new, &old), "accepted");
    drop(house.open());
}

/// SoftHSM2 counts no wrong PINs, but tells the flags that stand in its token's file. The file
/// begins with how often it was changed.
fn put_flags(label: &str, more: u64) {
    const PLAIN: u64 = 0x42D;
    let file = token_folder(label).join("token.object");
    let mut octets = std::fs::read(&file).unwrap();
    let at = octets.windows(8).position(|window| window == PLAIN.to_be_bytes()).unwrap();
    octets[at..at + 8].copy_from_slice(&(PLAIN | more).to_be_bytes());
    let changed = u64::from_be_bytes(*octets.first_chunk().unwrap()) + 1;
    octets[..8].copy_from_slice(&changed.to_be_bytes());
    std::fs::write(file, octets).unwrap();
}

#[test]
fn a_pin_that_is_locked_or_has_one_try_left_is_not_tried() {
    for (flag, expected) in [(0x2_0000, "pin-final-try"), (0x4_0000, "pin-locked")] {
        let Some(house) = House::new() else { return };
        drop(house.open());
        put_flags(&house.label(), flag);
        assert_eq!(code(crate::open(&house.device(), &house.secret, 1).map(drop)), expected);
        // Not even with a wrong PIN is it tried: it would say so.
        let wrong = UnsealSecret::random(&SystemRandom);
        assert_eq!(code(crate::open(&house.device(), &wrong, 1).map(drop)), expected);
    }
    for (flag, expected) in [(0x20_0000, "pin-final-try"), (0x40_0000, "pin-locked")] {
        let Some(house) = House::new() else { return };
        put_flags(&house.label(), flag);
        let (old, new) = (testing::officers(), UnsealSecret::random(&SystemRandom));
        let changed = crate::change_officers_secret(&house.device(), &old, &new);
        assert_eq!(code(changed), expected, "the security officers' PIN");
        drop(house.open());
    }
}

/// In a process of its own: when a token is away, the whole module is initialised anew.
mod away {
    use super::*;

    #[test]
    fn a_device_that_was_away_is_told_and_used_again_when_it_is_back() {
        let Some(house) = House::new() else { return };
        let desks = house.open();
        let fresh = desks.subscriber.generate(A.0, A.1, 7, NOW).unwrap();
        let key = Arc::new(desks.subscriber.load(&fresh.wrapped, A.0, A.1).unwrap());
        let before = sign(&desks.subscriber, &key).unwrap();
        let (here, away) = (house.token_folder(), house.folder.path().join("away"));
        std::fs::rename(&here, &away).unwrap();
        assert!(desks.subscriber.generate(A.0, A.1, 7, NOW).is_err());
        let lost = desks.watch.look(NOW);
        assert!(matches!(lost, Health::Lost { since: NOW, .. }), "{lost:?}");
        assert!(desks.ca.generate("root", crate::CaAlgorithm::P256).is_err());
        assert!(matches!(desks.watch.look(NOW.plus(60)), Health::Lost { since: NOW, .. }));
        std::fs::rename(&away, &here).unwrap();
        assert!(desks.subscriber.generate(A.0, A.1, 7, NOW).is_ok());
        assert_eq!(desks.watch.look(NOW.plus(120)), Health::Working);
        assert_eq!(sign(&desks.subscriber, &key).unwrap(), before);
        assert!(desks.log.sign(b"checkpoint").is_ok());
    }
}
