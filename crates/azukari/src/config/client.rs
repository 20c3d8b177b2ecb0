//! `[[client]]`: programs that may have hashes signed through the CSC interface. Off by default:
//! without a line there is none.

use std::path::{Path, PathBuf};

use custody::{Client, ClientId};
use hpki::kind::{DocumentKind, Form};
use serde::Deserialize;

use super::{ConfigRefusal, name};
use crate::runtime::Stop;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientFile {
    id: String,
    name: String,
    certificate: PathBuf,
    kinds: Vec<DocumentKind>,
}

/// A registered client.
#[derive(Debug, Clone)]
pub(crate) struct ClientConfig {
    pub(crate) id: ClientId,
    /// What people call it; phones show it where they approve documents.
    name: String,
    certificate: PathBuf,
    kinds: Vec<DocumentKind>,
}

impl ClientConfig {
    /// What custody knows of it: the certificate's hash. The file is read once, at the start.
    fn registered(&self) -> Result<Client, Stop> {
        let certificate = crate::verify::certificate(&self.certificate)?;
        Ok(Client { id: self.id.clone(), x5t: certificate.sha256(), kinds: self.kinds.clone() })
    }
}

/// Reads the lines. A name that stands twice is refused, and so is a kind whose signature the
/// platform composes itself: such a line would look as if it allowed something.
pub(super) fn clients(
    written: Vec<ClientFile>,
    base: &Path,
) -> Result<Vec<ClientConfig>, ConfigRefusal> {
    let mut clients: Vec<ClientConfig> = Vec::with_capacity(written.len());
    for line in written {
        let id: ClientId = name("client.id", &line.id)?;
        if clients.iter().any(|before| before.id == id) {
            return Err(ConfigRefusal::Value("client.id", format!("{id} (二度あります)")));
        }
        if line.name.trim().is_empty() || line.name.chars().any(char::is_control) {
            return Err(ConfigRefusal::Value("client.name", format!("{:?}", line.name)));
        }
        if let Some(kind) = line.kinds.iter().find(|kind| kind.form() != Form::Hash) {
            let why = format!("{kind} (CSC では署名できません: not signed as a hash)");
            return Err(ConfigRefusal::Value("client.kinds", why));
        }
        clients.push(ClientConfig {
            id,
            name: line.name,
            certificate: base.join(line.certificate),
            kinds: line.kinds,
        });
    }
    Ok(clients)
}

/// What custody is told, and what people call each. One certificate is one client: of two lines
/// nobody could say which counts.
pub(crate) fn registered(clients: &[ClientConfig]) -> Result<Vec<(Client, String)>, Stop> {
    let mut known: Vec<(Client, String)> = Vec::with_capacity(clients.len());
    for written in clients {
        let client = written.registered()?;
        if let Some((other, _)) = known.iter().find(|(other, _)| other.x5t == client.x5t) {
            return Err(format!(
                "client.certificate: {} と {} が同じ証明書です (two clients with one certificate)",
                other.id, client.id
            )
            .into());
        }
        known.push((client, written.name.clone()));
    }
    Ok(known)
}
