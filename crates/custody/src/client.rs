//! Registered clients: who may have documents signed by their digests (CSC signDoc), and who also
//! hashes that it composed itself (signHash). Off by default: without a line in the configuration
//! there is none.

use std::fmt;
use std::str::FromStr;

use hpki::encoding::Digest32;
use hpki::id::NotAnId;
use hpki::kind::{DocumentKind, Form};
use xades::cades::Format;

use crate::refusal::Refusal;

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

/// A client that may have documents of some kinds signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its name.
    pub id: ClientId,
    /// SHA-256 of the client certificate over which it connects.
    pub x5t: Digest32,
    /// The kinds of document that it brings. Kinds that the platform composes itself are refused,
    /// whatever stands here.
    pub kinds: Vec<DocumentKind>,
    /// Whether it may also have hashes signed as they are. What such a hash stands for, nobody here
    /// can see: the kind is the client's word, and the hash may be of anything that the same
    /// certificate could sign, a prescription's SignedInfo among it. Without this only what custody
    /// composes around a document's digest is signed.
    pub raw_hashes: bool,
}

impl Client {
    /// The client that is registered with this certificate: of the connection, or of a session.
    ///
    /// Refused: `client-unknown`.
    pub(crate) fn of<'a>(clients: &'a [Self], x5t: &Digest32) -> Result<&'a Self, Refusal> {
        clients.iter().find(|client| client.x5t == *x5t).ok_or(Refusal::ClientUnknown)
    }

    /// Whether hashes may be signed as they are, where one of these is.
    ///
    /// Refused: `raw-hashes-not-allowed`.
    pub(crate) fn may_bring(
        &self,
        mut formats: impl Iterator<Item = Option<Format>>,
    ) -> Result<(), Refusal> {
        if self.raw_hashes || formats.all(|format| format.is_some()) {
            Ok(())
        } else {
            Err(Refusal::RawHashesNotAllowed)
        }
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
