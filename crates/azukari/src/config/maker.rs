//! `[[platform.authenticator]]`: makers whose authenticators are linked.

use std::path::{Path, PathBuf};

use approval::webauthn::Maker;
use serde::Deserialize;

use super::ConfigRefusal;

/// `[[platform.authenticator]]`: a maker whose authenticators may be linked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthenticatorFile {
    name: String,
    roots: PathBuf,
    #[serde(default)]
    models: Vec<String>,
}

impl AuthenticatorFile {
    pub(super) fn maker(self, base: &Path) -> Result<Maker, ConfigRefusal> {
        let wrong = |why: String| ConfigRefusal::Value("authenticator", why);
        let file = base.join(self.roots);
        let roots = crate::http::tls::certificates(&file).map_err(|why| wrong(why.to_string()))?;
        let roots: Vec<_> = roots.into_iter().map(|root| root.to_vec()).collect();
        let models = self.models.iter().map(|text| {
            text.parse().map_err(|()| wrong(format!("models {text:?} (AAGUID ではありません)")))
        });
        let models = models.collect::<Result<_, _>>()?;
        Maker::new(&self.name, &roots, models)
            .map_err(|why| wrong(format!("{}: {why}", file.display())))
    }
}
