//! The dependency table of ARCHITECTURE.md, held by a test.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the house must fail")]

use std::collections::BTreeMap;
use std::process::Command;

/// Room → the rooms it may depend on. `town` and `azukari` may depend on any.
const ALLOWED: &[(&str, &[&str])] = &[
    ("hpki", &[]),
    ("xades", &["hpki"]),
    ("prescription", &["hpki", "xades"]),
    ("verifier", &["hpki", "xades", "prescription", "approval"]),
    ("wire", &["hpki"]),
    ("approval", &["hpki"]),
    ("hsm", &["hpki"]),
    ("ledger", &["hpki"]),
    ("ca", &["hpki", "hsm", "ledger"]),
    ("authn", &["hpki", "wire", "approval", "hsm", "ledger"]),
    ("custody", &["hpki", "wire", "approval", "xades", "hsm", "ledger"]),
    ("gateway", &["hpki", "xades", "prescription", "verifier", "approval", "wire", "ledger"]),
];
/// Outside crates that only some rooms may link.
const RESERVED: &[(&str, &[&str])] = &[
    ("axum", &["azukari"]),
    ("hyper", &["azukari"]),
    ("rustls", &["azukari"]),
    ("rusqlite", &["ledger"]),
    ("tokio-postgres", &["ledger"]),
    // In `gateway` for the modules of cards alone (docs/decisions/0012).
    ("cryptoki", &["hsm", "gateway"]),
    ("pcsc", &["gateway", "town"]),
    ("passkey", &["town"]),
];

fn normal_dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let of = package["dependencies"].as_array().unwrap().iter();
            let normal = of.filter(|dependency| dependency["kind"].is_null());
            let names = normal.map(|d| d["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

#[test]
fn the_house_has_only_the_allowed_doors() {
    let house = normal_dependencies();
    let rooms: Vec<&String> = house.keys().collect();
    for (room, dependencies) in &house {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == room) else {
            assert!(room == "town" || room == "azukari", "room {room} is not in the table");
            continue;
        };
        for dependency in dependencies.iter().filter(|name| rooms.contains(name)) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{room} must not depend on {dependency}"
            );
        }
    }
    assert_eq!(house.len(), ALLOWED.len() + 2, "every room is in the workspace");
}

#[test]
fn reserved_libraries_are_linked_by_their_room_alone() {
    for (room, dependencies) in normal_dependencies() {
        for (library, owners) in RESERVED {
            if dependencies.iter().any(|name| name == library) {
                assert!(owners.contains(&room.as_str()), "{room} must not link {library}");
            }
        }
    }
}

#[test]
fn every_room_is_on_the_map() {
    let map =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md"));
    let map = map.unwrap();
    for (room, _) in ALLOWED {
        assert!(map.contains(&format!("| `{room}` |")), "{room} is missing in ARCHITECTURE.md");
    }
}

#[test]
fn every_role_of_the_binary_is_on_the_map() {
    let map =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md"));
    let map = map.unwrap();
    let (_, roles) = map.split_once("## Roles of the binary").unwrap();
    let (roles, _) = roles.split_once("\n## ").unwrap();
    let help = Command::new(env!("CARGO_BIN_EXE_azukari")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names: Vec<&str> =
        commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 10, "{help}");
    for name in names.iter().filter(|name| **name != "help") {
        let stands = [format!("`{name} "), format!("`{name}`"), format!("`azukari {name}`")];
        assert!(stands.iter().any(|words| roles.contains(words)), "{name} is missing: {roles}");
    }
}
