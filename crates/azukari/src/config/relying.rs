//! `[[relying_party]]`: services that may log holders in, and programs that take tokens by OAuth.
//! Off by default: without a line there is none.

use std::path::{Path, PathBuf};

use authn::provider::{Client, ClientId, ClientKey, ClientProof, MeansWanted, Redirect, Scope};
use ca::SigningAuthority;
use hpki::kind::DocumentKind;
use serde::Deserialize;

use super::{ConfigRefusal, name};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RelyingPartyFile {
    id: String,
    name: String,
    redirects: Vec<String>,
    scopes: Vec<Scope>,
    #[serde(default)]
    proof: ProofFile,
    keys: Option<PathBuf>,
    facility: Option<String>,
    #[serde(default = "phone")]
    means: MeansWanted,
    sector: Option<String>,
    #[serde(default)]
    kinds: Vec<DocumentKind>,
    #[serde(default)]
    device: bool,
}

/// `[login]`: logins elsewhere, switched on for each authority.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginFile {
    #[serde(default)]
    qualification: Vec<String>,
}

const fn phone() -> MeansWanted {
    MeansWanted::Phone
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProofFile {
    #[default]
    None,
    PrivateKeyJwt,
    TlsClientAuth,
}

fn wrong(key: &'static str, why: impl std::fmt::Display) -> ConfigRefusal {
    ConfigRefusal::Value(key, why.to_string())
}

impl RelyingPartyFile {
    fn client(self, base: &Path) -> Result<Client, ConfigRefusal> {
        let id: ClientId = name("relying_party.id", &self.id)?;
        let long = self.name.chars().count() > 64;
        if long || self.name.trim().is_empty() || self.name.chars().any(char::is_control) {
            return Err(wrong("relying_party.name", format!("{:?}", self.name)));
        }
        let mut redirects = Vec::with_capacity(self.redirects.len());
        for text in &self.redirects {
            let redirect: Redirect = text
                .parse()
                .map_err(|why| wrong("relying_party.redirects", format!("{text:?}: {why}")))?;
            redirects.push(redirect);
        }
        let Some(first) = redirects.first() else {
            return Err(wrong("relying_party.redirects", "空です (empty)"));
        };
        // Without one host for all of them nobody could say which services are one sector.
        let one_host = redirects.iter().all(|redirect| redirect.host() == first.host());
        let sector = match self.sector {
            Some(sector) => sector,
            None if one_host => first.host().to_owned(),
            None => {
                let why = "redirects のホストが複数あるときは必要です (needed: several hosts)";
                return Err(wrong("relying_party.sector", why));
            }
        };
        if self.scopes.is_empty() {
            return Err(wrong("relying_party.scopes", "空です (empty)"));
        }
        let proof = match (self.proof, self.keys, self.facility) {
            (ProofFile::None, None, None) => ClientProof::Public,
            (ProofFile::PrivateKeyJwt, Some(file), None) => {
                let file = base.join(file);
                let text = std::fs::read_to_string(&file)
                    .map_err(|error| ConfigRefusal::Unreadable(file.clone(), error))?;
                let keys = ClientKey::set(&text).map_err(|why| {
                    wrong("relying_party.keys", format!("{}: {why}", file.display()))
                })?;
                ClientProof::Keys(keys)
            }
            (ProofFile::TlsClientAuth, None, Some(code)) => {
                ClientProof::Facility(name("relying_party.facility", &code)?)
            }
            _ => {
                let why = "private_key_jwt には keys、tls_client_auth には facility だけを書きます \
                           (keys or facility, as the proof asks)";
                return Err(wrong("relying_party.proof", why));
            }
        };
        let told = |s: &Scope| matches!(s, Scope::Qualification | Scope::RegistrationNumber);
        if matches!(proof, ClientProof::Public) && self.scopes.iter().any(told) {
            let why = "資格・登録番号は、proof のある相手にだけ渡せます \
                       (qualification and number only to those who prove who they are)";
            return Err(wrong("relying_party.scopes", why));
        }
        if self.scopes.contains(&Scope::Service) == self.kinds.is_empty() {
            let why = "scope の service と kinds は、両方書くか、どちらも書きません \
                       (service and kinds go together)";
            return Err(wrong("relying_party.kinds", why));
        }
        if self.device && matches!(proof, ClientProof::Public) {
            let why = "proof のある相手にだけ許せます (only for clients that prove who they are)";
            return Err(wrong("relying_party.device", why));
        }
        let (scopes, means) = (self.scopes, self.means);
        let (device, kinds) = (self.device, self.kinds);
        Ok(Client { id, name: self.name, proof, redirects, scopes, means, sector, device, kinds })
    }
}

/// Reads the lines. A name that stands twice is refused.
pub(super) fn relying_parties(
    written: Vec<RelyingPartyFile>,
    base: &Path,
) -> Result<Vec<Client>, ConfigRefusal> {
    let mut clients: Vec<Client> = Vec::with_capacity(written.len());
    for line in written {
        let client = line.client(base)?;
        if clients.iter().any(|before| before.id == client.id) {
            return Err(wrong("relying_party.id", format!("{} (二度あります)", client.id)));
        }
        clients.push(client);
    }
    Ok(clients)
}

/// The authorities whose holders may have their qualification told.
pub(super) fn authorities(login: &LoginFile) -> Result<Vec<SigningAuthority>, ConfigRefusal> {
    let named = |name: &String| {
        let found = SigningAuthority::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| wrong("login.qualification", format!("{name:?}")))
    };
    login.qualification.iter().map(named).collect()
}
