//! Walking through a flow in Chromium.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{self, Ran, judge};
use crate::town::Town;

/// Where `./test` keeps what the flows need from the npm registry.
fn modules() -> PathBuf {
    let folder = std::env::var_os("AZUKARI_BROWSER").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/browser"),
        PathBuf::from,
    );
    assert!(
        folder.join("node_modules/playwright-core").exists(),
        "playwright-core is missing: run ./test, which installs it"
    );
    folder.canonicalize().unwrap()
}

/// A home folder whose browser trusts this town's certification authority, and so verifies TLS.
fn home(town: &Town) -> PathBuf {
    let store = town.out.join("home/.pki/nssdb");
    std::fs::create_dir_all(&store).unwrap();
    let database = format!("sql:{}", store.display());
    let new = judge("certutil", &["-N", "-d", &database, "--empty-password"]);
    assert!(new.well(), "{new:?}");
    let authority = town.text("/ca_file");
    let trusted =
        ["-A", "-d", &database, "-n", "TEST town", "-t", "C,,", "-i", authority].map(str::to_owned);
    let added = judge("certutil", &trusted);
    assert!(added.well(), "{added:?}");
    town.out.join("home")
}

/// Walks through `browser/<flow>.mjs`.
pub fn walk(town: &Town, flow: &str) {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shots = manifest.join("../../target/screenshots");
    let walked = Command::new("node")
        .arg(manifest.join("tests/browser").join(flow).with_extension("mjs"))
        .env("HOME", home(town))
        .env("AZUKARI_BROWSER", modules())
        .env("AZUKARI_TOWN", town.out.join("demo.json"))
        .env("AZUKARI_SHOTS", shots)
        .env("AZUKARI_FLOW", flow)
        .env("AZUKARI_OUT", &town.out)
        .env("AZUKARI", support::AZUKARI)
        .env("AZUKARI_TOWN_PID", town.child.id().to_string())
        // What a test fetches in the place of a page is verified, too.
        .env("NODE_EXTRA_CA_CERTS", town.text("/ca_file"))
        .stdin(Stdio::null())
        .output();
    let ran: Ran = walked.expect("node is missing: run ./test, which installs it").into();
    assert!(ran.well(), "{flow}\n{}\n{}\nthe town said:\n{}", ran.out, ran.err, town.said());
}
