//! Who may ask: registered clients, and where their answers may go.

use std::fmt;
use std::str::FromStr;

use approval::CardMeans;
use hpki::id::{FacilityCode, NotAnId};
use hpki::kind::DocumentKind;
use serde::{Deserialize, Serialize};
use wire::{StartRequest, Terminal};

use super::jose::ClientKey;
use super::request::Scope;

/// `client_id`: 1 to 64 unreserved characters (RFC 3986 §2.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(String);

impl ClientId {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClientId {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let well = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        match (1..=64).contains(&text.len()) && text.bytes().all(well) {
            true => Ok(Self(text.to_owned())),
            false => Err(NotAnId("client")),
        }
    }
}

impl TryFrom<String> for ClientId {
    type Error = NotAnId;
    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0
    }
}

/// How a client proves that it is the one.
#[derive(Debug, Clone)]
pub enum ClientProof {
    /// Not at all: a program on its user's side (RFC 6749 §2.1). PKCE ties the code to it.
    Public,
    /// By assertions under these keys (`private_key_jwt`: RFC 7523, OpenID Connect Core §9).
    Keys(Vec<ClientKey>),
    /// By the client certificate of this facility (`tls_client_auth`: RFC 8705 §2.1).
    Facility(FacilityCode),
}

impl ClientProof {
    /// Its name in registries (RFC 7591 `token_endpoint_auth_method`).
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Public => "none",
            Self::Keys(_) => "private_key_jwt",
            Self::Facility(_) => "tls_client_auth",
        }
    }
}

/// By which means a client's users authenticate: the field's client ids select it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MeansWanted {
    /// The linked phone.
    #[default]
    Phone,
    /// The HPKI card.
    Hpki,
    /// The My Number Card.
    Jpki,
}

impl MeansWanted {
    /// The card, if it is one.
    pub const fn card(self) -> Option<CardMeans> {
        match self {
            Self::Phone => None,
            Self::Hpki => Some(CardMeans::Hpki),
            Self::Jpki => Some(CardMeans::Jpki),
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Hpki => "hpki",
            Self::Jpki => "jpki",
        }
    }
}

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// `client_id`
    pub id: ClientId,
    /// What people call it: phones show this name, never one from a request.
    pub name: String,
    /// How it proves itself.
    pub proof: ClientProof,
    /// Where answers may go.
    pub redirects: Vec<Redirect>,
    /// What it may ask for.
    pub scopes: Vec<Scope>,
    /// By which means.
    pub means: MeansWanted,
    /// Those within one sector know a person by the same name (OpenID Connect Core §8.1).
    pub sector: String,
    /// Whether it is a device without a browser of its own (RFC 8628).
    pub device: bool,
    /// Which kinds of document it may have signed under scope `service`.
    pub kinds: Vec<DocumentKind>,
}

/// What one session under scope `service` allows: as much as a gateway asks for by default.
const SERVICE_COUNT: u64 = 300;
const SERVICE_HOURS: u64 = 18;

impl Client {
    /// The session that scope `service` asks for. The program itself is the terminal.
    pub(crate) fn session(&self) -> StartRequest {
        StartRequest {
            terminal: Terminal { id: self.id.to_string(), label: self.name.clone() },
            expected_person: None,
            kinds: self.kinds.clone(),
            count: SERVICE_COUNT,
            hours: SERVICE_HOURS,
        }
    }

    /// The registered redirect that this URI is one of.
    pub(crate) fn redirect(&self, uri: &str) -> Option<&Redirect> {
        self.redirects.iter().find(|redirect| redirect.admits(uri))
    }
}

/// A registered redirect URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    text: String,
    host: String,
    /// A loopback address registered without a port: any port (RFC 8252 §7.3).
    any_port: bool,
}

impl Redirect {
    /// The host, as a person is shown it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether an answer may go there: exactly this URI (RFC 9700 §2.1), but for the port of a
    /// loopback address.
    pub fn admits(&self, uri: &str) -> bool {
        if !self.any_port {
            return uri == self.text;
        }
        // `http://127.0.0.1` + [`:port`] + the rest, the port a number and nothing else.
        let front = format!("http://{}", self.host);
        let (Some(asked), Some(known)) = (uri.strip_prefix(&front), self.text.strip_prefix(&front))
        else {
            return false;
        };
        match asked.strip_prefix(':') {
            None => asked == known,
            Some(more) => {
                let digits = more.bytes().take_while(u8::is_ascii_digit).count();
                let (port, rest) = more.split_at(digits);
                port.parse::<u16>().is_ok_and(|port| port != 0) && rest == known
            }
        }
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A URI that cannot be registered, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotARedirect(pub &'static str);

impl FromStr for Redirect {
    type Err = NotARedirect;

    /// `https://` anywhere; `http://` on a loopback address (without a port: any port), or at a host
    /// name without a dot, which only a facility's own names resolve (the field's fixed host).
    fn from_str(text: &str) -> Result<Self, NotARedirect> {
        let refused = |why| Err(NotARedirect(why));
        if text.len() > 512 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return refused("visible ASCII characters only, 512 at most");
        }
        if text.contains(['#', '\\', '@', '<', '>', '"', '*']) {
            return refused("no fragment, user, wildcard, backslash or quote");
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => ("https", rest),
            Some(("http", rest)) => ("http", rest),
            _ => return refused("https or http only"),
        };
        let Some(slash) = rest.find('/') else { return refused("a path is needed") };
        let authority = &rest[..slash];
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return refused("the port is not a number");
        }
        let loopback = host == "127.0.0.1" || host == "[::1]";
        let name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        if !loopback && (host.is_empty() || !host.bytes().all(name)) {
            return refused("the host is not a lower-case name");
        }
        if scheme == "http" && !loopback && host.contains('.') {
            return refused("http only on loopback or at a name without a dot");
        }
        let any_port = scheme == "http" && loopback && port.is_none();
        Ok(Self { text: text.to_owned(), host: host.to_owned(), any_port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_registered_address_is_admitted_and_on_loopback_any_port() {
        let exact: Redirect = "https://network.example.jp/callback?from=hpki".parse().unwrap();
        assert!(exact.admits("https://network.example.jp/callback?from=hpki"));
        for other in [
            "https://network.example.jp/callback",
            "https://network.example.jp/callback?from=hpki&more",
            "https://network.example.jp/callback?from=hpki#x",
            "https://network.example.jp.evil.example/callback?from=hpki",
            "https://NETWORK.example.jp/callback?from=hpki",
            "https://network.example.jp:443/callback?from=hpki",
            "http://network.example.jp/callback?from=hpki",
            "https://evil.example/https://network.example.jp/callback?from=hpki",
        ] {
            assert!(!exact.admits(other), "{other}");
        }
        let local: Redirect = "http://127.0.0.1/back".parse().unwrap();
        for port in ["", ":1", ":49152"] {
            assert!(local.admits(&format!("http://127.0.0.1{port}/back")));
        }
        for other in [
            "http://127.0.0.1:0/back",
            "http://127.0.0.1:/back",
            "http://127.0.0.1:70000/back",
            "http://127.0.0.1:80@evil.example/back",
            "http://127.0.0.1:80.evil.example/back",
            "http://127.0.0.1.evil.example/back",
            "http://127.0.0.1:80/back/",
            "http://127.0.0.1:80/back?x",
            "https://127.0.0.1/back",
            "http://localhost/back",
            "http://[::1]/back",
        ] {
            assert!(!local.admits(other), "{other}");
        }
        let six: Redirect = "http://[::1]/back".parse().unwrap();
        assert!(six.admits("http://[::1]:8080/back") && six.admits("http://[::1]/back"));
        let fixed: Redirect =
            "http://hpkicardless-clientadapter-server:3000/authfido/callback".parse().unwrap();
        assert!(fixed.admits("http://hpkicardless-clientadapter-server:3000/authfido/callback"));
        assert!(!fixed.admits("http://hpkicardless-clientadapter-server:3001/authfido/callback"));
    }

    #[test]
    fn what_could_lead_elsewhere_is_not_registered() {
        for text in [
            "https://network.example.jp",
            "http://network.example.jp/callback",
            "https://network.example.jp/callback#x",
            "https://*.example.jp/callback",
            "https://user@example.jp/callback",
            "https://EXAMPLE.jp/callback",
            "https://example.jp:x/callback",
            "https://example.jp:0/callback",
            "https:///callback",
            "javascript://x/alert",
            "custom://x/callback",
            "//example.jp/callback",
            "",
        ] {
            assert!(text.parse::<Redirect>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_client_id_is_short_and_plain() {
        assert_eq!("FIDO".parse::<ClientId>().unwrap().as_str(), "FIDO");
        for text in ["", "a b", "a/b", "é", &"a".repeat(65)] {
            assert!(text.parse::<ClientId>().is_err(), "{text}");
        }
    }
}
