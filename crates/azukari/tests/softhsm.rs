//! The whole town with its keys in a SoftHSM2 token: prescribed, signed, verified, dispensed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Command;

const AZUKARI: &str = env!("CARGO_BIN_EXE_azukari");

#[test]
fn a_prescription_goes_its_whole_way_with_the_keys_in_a_pkcs11_token() {
    let folder = tempfile::tempdir().unwrap();
    let told = Command::new(AZUKARI)
        .args(["demo", "--once", "--device", "softhsm", "--out"])
        .arg(folder.path())
        .env_remove("SOFTHSM2_CONF")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[&told.stdout[..], &told.stderr[..]].concat()).into_owned();
    assert!(told.status.success(), "{said}");
    let town = folder.path().join("town");
    let config = std::fs::read_to_string(town.join("platform.toml")).unwrap();
    assert!(config.contains("libsofthsm2.so"), "{config}");
    assert!(town.join("platform/vault/device.azkd").exists());
    assert!(!town.join("platform/vault/vault.azkv").exists());
    // The token folder holds the key-encryption key and the keyed-hash keys, and no other.
    let tokens = std::fs::read_dir(folder.path().join("softhsm/tokens")).unwrap();
    let objects: usize = tokens
        .map(|token| {
            let files = std::fs::read_dir(token.unwrap().path()).unwrap();
            files
                .filter(|file| {
                    let name = file.as_ref().unwrap().file_name().into_string().unwrap();
                    name.ends_with(".object") && name != "token.object"
                })
                .count()
        })
        .sum();
    assert_eq!(objects, 6, "one key-encryption key and five keyed-hash keys");
}
