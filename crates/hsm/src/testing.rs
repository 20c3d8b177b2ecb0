//! The key device of tests (feature `anomalies`): the same tests run on the software vault, and once
//! more, in a process of their own, on SoftHSM2.
//!
//! SoftHSM2 reads where its tokens are from `SOFTHSM2_CONF`, once for each process. So the test
//! binary starts itself again ([`again_on_softhsm`]) with a token folder of its own, which goes away
//! with it; inside, each house gets a token of its own ([`found`]).

use std::path::{Path, PathBuf};
use std::process::Command;

use hpki::encoding::sha256;
use hpki::sign::Random;

use crate::config::DeviceConfig;
use crate::random::SystemRandom;
use crate::unseal::UnsealSecret;

/// Debian's SoftHSM2.
pub const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

const DEVICE: &str = "AZUKARI_TEST_DEVICE";
const CONF: &str = "SOFTHSM2_CONF";

/// Whether this process tests on SoftHSM2.
pub fn on_softhsm() -> bool {
    std::env::var_os(DEVICE).is_some_and(|device| device == "softhsm")
}

/// Runs tests of this binary again on SoftHSM2: those whose name has one of the words in it (all,
/// if none is given), except those with a word of `except` and the test `own` that asks.
///
/// # Panics
/// If SoftHSM2 is not installed or a test fails; what the tests said is shown.
pub fn again_on_softhsm(own: &str, words: &[&str], except: &[&str]) {
    if on_softhsm() {
        return;
    }
    let tokens = Tokens::new();
    let this = std::env::current_exe().unwrap_or_default();
    let ran = tokens
        .command(&this)
        .env(DEVICE, "softhsm")
        .args(except.iter().chain([&own]).flat_map(|word| ["--skip", word]))
        .args(words)
        .output();
    let (passed, said) = match ran {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&said).into_owned())
        }
        Err(error) => (false, error.to_string()),
    };
    assert!(passed, "on SoftHSM2:\n{said}");
    assert!(!said.contains(" 0 passed"), "nothing was tested on SoftHSM2:\n{said}");
}

/// A folder of SoftHSM2 tokens, removed at the end.
pub struct Tokens {
    folder: PathBuf,
}

impl Tokens {
    /// An empty one.
    ///
    /// # Panics
    /// If SoftHSM2 is not installed.
    pub fn new() -> Self {
        assert!(Path::new(SOFTHSM).exists(), "{SOFTHSM} is missing: apt-get install softhsm2");
        let mut name = [0; 8];
        SystemRandom.fill(&mut name);
        let name = format!("azukari-softhsm-{}", hex(&name));
        let tokens = Self { folder: std::env::temp_dir().join(name) };
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.tokens().display()
        );
        let made = std::fs::create_dir_all(tokens.tokens())
            .and_then(|()| std::fs::write(tokens.conf(), conf));
        assert!(made.is_ok(), "{made:?}");
        tokens
    }

    /// Where the tokens are.
    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    fn conf(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// A command that uses these tokens.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env(CONF, self.conf());
        command
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Where this process's tokens are: only in a process that tests on SoftHSM2.
pub fn tokens() -> PathBuf {
    let conf = std::env::var_os(CONF).map(PathBuf::from).unwrap_or_default();
    conf.with_file_name("tokens")
}

/// The device of the house in this folder.
pub fn device(folder: &Path) -> DeviceConfig {
    if on_softhsm() {
        let label = format!("TEST-{}", &hex(&sha256(folder.as_os_str().as_encoded_bytes()))[..16]);
        DeviceConfig::pkcs11(folder, SOFTHSM, label)
    } else {
        DeviceConfig::vault(folder)
    }
}

/// The secret of the security officers of every test token.
pub fn officers() -> UnsealSecret {
    UnsealSecret::from_octets(&[0x50; 32])
}

/// Makes the device of the house in this folder; a token is prepared first.
///
/// # Panics
/// If that fails.
pub fn found(folder: &Path, unseal: &UnsealSecret) -> DeviceConfig {
    let device = device(folder);
    let made = crate::prepare_token(&device, &officers(), unseal)
        .and_then(|()| crate::create(&device, unseal));
    assert!(made.is_ok(), "{made:?}");
    device
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
