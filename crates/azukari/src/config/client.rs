//! `[[client]]`: programs that may have documents signed through the CSC interface. Off by default:
//! without a line there is none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    #[serde(default)]
    raw_hashes: bool,
    #[serde(default)]
    response_uris: Vec<String>,
    #[serde(default)]
    response_ca: Option<PathBuf>,
}

/// A registered client.
#[derive(Debug, Clone)]
pub(crate) struct ClientConfig {
    pub(crate) id: ClientId,
    /// What people call it; phones show it where they approve documents.
    name: String,
    certificate: PathBuf,
    kinds: Vec<DocumentKind>,
    /// Whether `signHash` is for it, too: it is then trusted with what its hashes stand for.
    raw_hashes: bool,
    response_uris: Vec<ResponseUri>,
    response_ca: Option<PathBuf>,
}

/// Where a client is told that its signatures are there (CSC `response_uri`): `https` at the CA that
/// is registered with it, or `http` on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponseUri {
    written: String,
    /// `https://host:port`
    pub(crate) base: String,
    /// `/path`
    pub(crate) path: String,
}

impl ResponseUri {
    fn read(written: &str) -> Option<Self> {
        let (scheme, rest) = written.split_once("://")?;
        let at = rest.find('/')?;
        let (host, path) = rest.split_at(at);
        let here = ["127.0.0.1", "[::1]"].iter().any(|here| {
            host.strip_prefix(here).is_some_and(|port| port.is_empty() || port.starts_with(':'))
        });
        let plain = |b: u8| b.is_ascii_graphic() && !b"#@\\\"<>".contains(&b);
        let well = match scheme {
            "https" => !host.is_empty(),
            "http" => here,
            _ => false,
        };
        (well && written.bytes().all(plain)).then(|| Self {
            written: written.to_owned(),
            base: format!("{scheme}://{host}"),
            path: path.to_owned(),
        })
    }

    fn is_secure(&self) -> bool {
        self.base.starts_with("https://")
    }
}

/// A client as the running platform knows it.
pub(crate) struct Registered {
    /// What custody is told of it.
    pub(crate) client: Client,
    /// What people call it.
    pub(crate) name: String,
    response_uris: Vec<ResponseUri>,
    /// For `https` addresses.
    pub(crate) response_tls: Option<Arc<rustls::ClientConfig>>,
}

impl Registered {
    /// The registered address that is written exactly so.
    pub(crate) fn response_uri(&self, written: &str) -> Option<&ResponseUri> {
        self.response_uris.iter().find(|uri| uri.written == written)
    }
}

impl ClientConfig {
    /// Its files are read once, at the start.
    fn registered(&self) -> Result<Registered, Stop> {
        let certificate = crate::verify::certificate(&self.certificate)?;
        let id = self.id.clone();
        let (kinds, raw_hashes) = (self.kinds.clone(), self.raw_hashes);
        let client = Client { id, x5t: certificate.sha256(), kinds, raw_hashes };
        let response_tls = match &self.response_ca {
            None => None,
            Some(ca) => Some(crate::http::tls::client(ca, None)?),
        };
        let (name, response_uris) = (self.name.clone(), self.response_uris.clone());
        Ok(Registered { client, name, response_uris, response_tls })
    }
}

fn response_uris(written: &[String], has_ca: bool) -> Result<Vec<ResponseUri>, ConfigRefusal> {
    let odd =
        |uri: &str, why| ConfigRefusal::Value("client.response_uris", format!("{uri} ({why})"));
    let read = |uri: &String| {
        let read = ResponseUri::read(uri).ok_or_else(|| {
            odd(uri, "https、または http://127.0.0.1 だけです: https, or this machine")
        })?;
        match read.is_secure() && !has_ca {
            true => Err(odd(uri, "response_ca が要ります: response_ca is missing")),
            false => Ok(read),
        }
    };
    written.iter().map(read).collect()
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
            raw_hashes: line.raw_hashes,
            response_uris: response_uris(&line.response_uris, line.response_ca.is_some())?,
            response_ca: line.response_ca.map(|file| base.join(file)),
        });
    }
    Ok(clients)
}

/// The registered clients. One certificate is one client: of two lines nobody could say which
/// counts.
pub(crate) fn registered(clients: &[ClientConfig]) -> Result<Vec<Registered>, Stop> {
    let mut known: Vec<Registered> = Vec::with_capacity(clients.len());
    for written in clients {
        let read = written.registered()?;
        if let Some(other) = known.iter().find(|other| other.client.x5t == read.client.x5t) {
            return Err(format!(
                "client.certificate: {} と {} が同じ証明書です (two clients with one certificate)",
                other.client.id, read.client.id
            )
            .into());
        }
        known.push(read);
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_they_are_take_a_line_of_their_own() {
        let line = "id = \"letters\"\nname = \"TEST\"\ncertificate = \"c.pem\"\n\
             kinds = [\"statement\"]\n";
        let read = |text: &str| {
            let read = clients(vec![toml::from_str(text).unwrap()], Path::new("."));
            read.unwrap()[0].raw_hashes
        };
        assert!(!read(line));
        assert!(read(&format!("{line}raw_hashes = true\n")));
    }

    #[test]
    fn a_client_is_told_at_an_address_that_only_it_can_have() {
        let well = ResponseUri::read("https://letters.test:8443/csc/done?x=1").unwrap();
        assert_eq!(
            (well.base.as_str(), well.path.as_str()),
            ("https://letters.test:8443", "/csc/done?x=1")
        );
        assert!(ResponseUri::read("http://127.0.0.1:9/done").is_some());
        for odd in [
            "http://letters.test/done",
            "http://127.0.0.1.evil.test/done",
            "http://127.0.0.1@evil.test/done",
            "https://letters.test",
            "https:///done",
            "ftp://127.0.0.1/done",
            "https://letters.test/a b",
            "https://letters.test/done#x",
        ] {
            assert!(ResponseUri::read(odd).is_none(), "{odd}");
        }
        assert!(response_uris(&["https://letters.test/done".into()], false).is_err());
    }
}
