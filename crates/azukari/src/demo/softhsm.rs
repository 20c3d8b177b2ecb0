//! `azukari demo --device softhsm`: the town's keys are wrapped in a SoftHSM2 token of its own.
//!
//! SoftHSM2 learns from the environment where its tokens are, once for each process, so the demo
//! starts itself anew with a configuration of its own, unless `SOFTHSM2_CONF` names one already.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use hpki::sign::Random as _;

use crate::runtime::Stop;

/// Debian's SoftHSM2.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const CONF: &str = "SOFTHSM2_CONF";
/// How the name of a passing folder begins.
const PASSING: &str = "azukari-passing-softhsm-";
/// The `[device]` table of the town, beside its other files.
pub(super) const DEVICE: &str = "device.toml";

fn random() -> String {
    let mut octets = [0; 6];
    hsm::SystemRandom.fill(&mut octets);
    hex::encode(octets)
}

/// A place for tokens that goes away at the end.
pub(crate) struct Passing(Option<PathBuf>);

impl Drop for Passing {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Starts this program anew with a place for tokens: in `out`, or a passing one. Once it has been
/// started so, answers which folder goes away at the end.
pub(crate) fn settle(out: Option<&Path>) -> Result<Passing, Stop> {
    if !Path::new(MODULE).exists() {
        return Err(format!("{MODULE} がありません。apt install softhsm2 で入れてください (SoftHSM2 is not installed)").into());
    }
    let passing = std::env::temp_dir().join(PASSING);
    if let Some(conf) = std::env::var_os(CONF) {
        let folder = Path::new(&conf).parent();
        let ours = folder
            .filter(|folder| folder.to_string_lossy().starts_with(&*passing.to_string_lossy()));
        return Ok(Passing(ours.map(Path::to_owned)));
    }
    let folder = match out {
        Some(out) => std::path::absolute(out)?.join("softhsm"),
        None => passing.with_file_name(format!("{PASSING}{}", random())),
    };
    let tokens = folder.join("tokens");
    crate::files::private_folder(&folder)?;
    crate::files::private_folder(&tokens)?;
    let conf: PathBuf = folder.join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&conf, text)?;
    let mut again = Command::new(std::env::current_exe()?);
    // Comes back only if it fails.
    Err(again.args(std::env::args_os().skip(1)).env(CONF, conf).exec().into())
}

/// Writes which token the town will have.
pub(crate) fn choose(town: &Path) -> Result<(), Stop> {
    let text = format!(
        "\n[device]\npkcs11 = {{ module = \"{MODULE}\", token = \"azukari-demo-{}\" }}\n",
        random()
    );
    Ok(std::fs::write(town.join(DEVICE), text)?)
}

/// Whether the town in this folder has one.
pub(crate) fn chosen(town: &Path) -> bool {
    town.join(DEVICE).exists()
}
