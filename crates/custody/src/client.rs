//! Registered clients: who may have hashes signed (CSC signHash). Off by default: without a line in
//! the configuration there is none.

use std::fmt;
use std::str::FromStr;

use hpki::encoding::Digest32;
use hpki::id::NotAnId;
use hpki::kind::{DocumentKind, Form};

use crate::refusal::Refusal;
use crate::token::Peer;

/// A registered client's name: 1 to 64 of `a-z 0-9 . - _`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// The name.
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
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnId("client name (1 to 64 of a-z 0-9 . - _)"))
        }
    }
}

/// A client that may have hashes signed, and of which kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name.
    pub id: ClientId,
    /// SHA-256 of the client certificate over which it connects.
    pub x5t: Digest32,
    /// The kinds of document whose hashes it brings. Kinds that the platform composes itself are
    /// never signed as hashes, whatever stands here.
    pub kinds: Vec<DocumentKind>,
}

impl Client {
    /// The registered client at the other end.
    ///
    /// Refused: `client-unknown`.
    pub(crate) fn of<'a>(clients: &'a [Self], peer: &Peer) -> Result<&'a Self, Refusal> {
        clients.iter().find(|client| client.x5t == peer.x5t).ok_or(Refusal::ClientUnknown)
    }

    /// The kind that is asked for, or the only one that this client has.
    ///
    /// Refused: `kind-wrong-door`, `kind-not-allowed`.
    pub(crate) fn kind(&self, asked: Option<DocumentKind>) -> Result<DocumentKind, Refusal> {
        let kind = match (asked, self.kinds.as_slice()) {
            (Some(kind), _) => kind,
            (None, [only]) => *only,
            (None, _) => return Err(Refusal::KindNotAllowed),
        };
        if kind.form() != Form::Hash {
            return Err(Refusal::KindWrongDoor);
        }
        if self.kinds.contains(&kind) { Ok(kind) } else { Err(Refusal::KindNotAllowed) }
    }
}
