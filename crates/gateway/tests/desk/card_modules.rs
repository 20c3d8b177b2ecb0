//! Vendors' PKCS#11 modules: SoftHSM2 with a token shaped as JAHIS 31 §5.2 says, since no vendor's
//! module is free.
//!
//! SoftHSM2 reads where its tokens are once for each process, so the test runs itself again in a
//! process of its own.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use gateway::reader::{
    CardRefusal, CardUse, Cards, Inside, LastTry, Module, PinForm, Tries, choose,
};
use hpki::encoding::sha256;
use hpki::policy::VerifyingKey;
use hpki::sign::SignatureAlgorithm;
use town::card::Layout;

use crate::cards::{hpki_card, pin, signing_certificate};
use crate::estate::{PHYSICIAN, now};

const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const MARK: &str = "CARD_MODULE_TEST";

fn run(program: &str, arguments: &[&str], conf: &Path) {
    let ran = Command::new(program).args(arguments).env("SOFTHSM2_CONF", conf).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program} is installed by ./test: {error}"));
    assert!(ran.status.success(), "{program} {arguments:?}: {ran:?}");
}

/// A token as HPKI middleware shows one: label, key and certificate under CKA_ID 17, PIN.
fn token(folder: &Path) -> std::path::PathBuf {
    let conf = folder.join("softhsm2.conf");
    let tokens = folder.join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    std::fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let kept = hpki_card(Layout::Example, PHYSICIAN, 41, now());
    let written = serde_json::to_value(&kept).unwrap();
    let key = written["signing"]["key"].as_str().unwrap();
    let key = base64::engine::general_purpose::STANDARD.decode(key).unwrap();
    let certificate = signing_certificate(&kept);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(path("key.der"), key).unwrap();
    std::fs::write(path("certificate.der"), certificate.der()).unwrap();
    let label = "HPKI Application";
    run(
        "softhsm2-util",
        &["--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin", "12345678"],
        &conf,
    );
    for (kind, file) in [("privkey", "key.der"), ("cert", "certificate.der")] {
        let file = path(file);
        let mut words = vec!["--module", SOFTHSM, "--token-label", label, "--login", "--pin"];
        words.extend(["1234", "--write-object", &file, "--type", kind, "--id", "17"]);
        run("pkcs11-tool", &words, &conf);
    }
    conf
}

#[test]
fn a_vendors_module_signs_with_the_card_behind_it() {
    if std::env::var_os(MARK).is_none() {
        let folder = tempfile::tempdir().unwrap();
        let conf = token(folder.path());
        let ran = Command::new(std::env::current_exe().unwrap())
            .args(["card_modules::a_vendors_module_signs_with_the_card_behind_it", "--exact"])
            .env(MARK, folder.path())
            .env("SOFTHSM2_CONF", conf)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success() && said.contains("1 passed"), "{ran:?}");
        return;
    }
    let folder = std::path::PathBuf::from(std::env::var_os(MARK).unwrap());
    let certificate = std::fs::read(folder.join("certificate.der")).unwrap();
    let certificate = hpki::Certificate::from_der(&certificate).unwrap();

    let module = Module::load(Path::new(SOFTHSM), CardUse::Signing).unwrap();
    let slots = module.look().unwrap();
    let (chosen, face) = choose(&slots, CardUse::Signing, None).unwrap();
    assert_eq!(chosen.certificate, certificate);
    assert_eq!(face.pin, PinForm::Characters(4, 64));
    let digest = sha256(b"message");
    let sign = |typed: &str, last| module.sign_digest(&chosen, &pin(typed), last, &digest);
    assert_eq!(sign("12", LastTry::Unasked).unwrap_err().code(), "card-pin-malformed");
    let wrong = sign("9999", LastTry::Unasked).unwrap_err();
    assert_eq!(wrong, CardRefusal::PinWrong(Tries::Untold));
    let mut stay = module.stay(&chosen).unwrap();
    let key = VerifyingKey::new(SignatureAlgorithm::RsaSha256, certificate.spki_der()).unwrap();
    for _ in 0..2 {
        // Login, signature, logout each time.
        let signature = sign("1234", LastTry::Unasked).unwrap();
        key.verify(b"message", &signature).unwrap();
        assert!(stay.is_there());
    }
    // A signing certificate serves no authentication.
    let other = Module::load(Path::new(SOFTHSM), CardUse::Authentication).unwrap();
    let slots = other.look().unwrap();
    assert!(slots.iter().all(|slot| !matches!(slot.card, Inside::Card(_))), "{slots:?}");
    let mut changed = chosen.clone();
    changed.certificate = crate::estate::ESTATE.physician.1.clone();
    let refused = module.sign_digest(&changed, &pin("1234"), LastTry::Unasked, &digest);
    assert_eq!(refused, Err(CardRefusal::Changed));
}

#[test]
fn a_file_that_is_no_module_is_refused_with_its_name() {
    for file in ["/nowhere/libnone.so", "/etc/passwd"] {
        let refusal = Module::load(Path::new(file), CardUse::Signing).err().unwrap();
        assert_eq!(refusal.code(), "card-reader-unavailable");
        assert!(refusal.to_string().contains(file), "{refusal}");
    }
}
