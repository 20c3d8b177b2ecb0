//! `[gateway.cards]`: how a facility uses cards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::reader::CardUse;
use gateway::{CardPolicy, Keeping};
use serde::Deserialize;

use super::{ConfigRefusal, bounded};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CardsFile {
    readers: bool,
    #[serde(default)]
    only: Vec<String>,
    signing: bool,
    #[serde(default)]
    pin: PinFile,
    #[serde(default = "patience")]
    patience_s: u64,
    #[serde(default)]
    module: Vec<ModuleFile>,
}

const fn patience() -> u64 {
    30
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PinFile {
    #[default]
    EachTime,
    WhileInserted,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModuleFile {
    file: PathBuf,
    r#use: String,
}

/// How a facility uses cards.
#[derive(Debug, Clone)]
pub(crate) struct CardsConfig {
    /// The readers of the operating system (PC/SC).
    pub(crate) readers: bool,
    /// If there are any here: these of them alone.
    pub(crate) only: Vec<String>,
    /// Vendors' PKCS#11 modules, each with what its cards are used for.
    pub(crate) modules: Vec<(PathBuf, CardUse)>,
    pub(crate) policy: CardPolicy,
}

pub(super) fn cards(written: CardsFile, base: &Path) -> Result<CardsConfig, ConfigRefusal> {
    let known = |name: &str| CardUse::ALL.into_iter().find(|usage| usage.name() == name);
    let module = |module: ModuleFile| match known(&module.r#use) {
        Some(usage) => Ok((base.join(module.file), usage)),
        None => Err(ConfigRefusal::Value(
            "cards.module.use",
            format!("{} (hpki-signing、hpki、jpki のどれか)", module.r#use),
        )),
    };
    if written.readers && !cfg!(feature = "pcsc") {
        return Err(ConfigRefusal::Value(
            "cards.readers",
            "true (このプログラムは PC/SC なしで作られています。cargo build --features pcsc で作り直すか false に)"
                .into(),
        ));
    }
    if !written.readers && !written.only.is_empty() {
        return Err(ConfigRefusal::Value("cards.only", "readers = true のときだけです".into()));
    }
    Ok(CardsConfig {
        readers: written.readers,
        only: written.only,
        modules: written.module.into_iter().map(module).collect::<Result<_, _>>()?,
        policy: CardPolicy {
            signs: written.signing,
            keeping: match written.pin {
                PinFile::EachTime => Keeping::EachTime,
                PinFile::WhileInserted => Keeping::WhileInserted,
            },
            patience: Duration::from_secs(bounded("cards.patience_s", written.patience_s, 5, 120)?),
        },
    })
}
