//! SAD, signature activation data: the handle by which a client of the CSC API spends what was
//! authorised.
//!
//! 256 random bits, kept here only as SHA-256, good for sixty seconds, and only together with the
//! token, over the client certificate, at the facility and for the credential for which it was
//! made. Whoever brings another's gets the answer that an unknown one gets.
//!
//! SCAL1: drawn from the budget that the session's approval opened; which hashes is fixed when they
//! are signed, or before where the client names them. SCAL2: the owner approved exactly these
//! hashes ([`crate::Prepared`]); each is one activation, spent once.

use std::fmt;

use hpki::encoding::{Digest32, sha256};
use hpki::sign::Random;
use hpki::time::Timestamp;
use wire::token::{base64url_decode, base64url_encode};
use zeroize::Zeroizing;

/// The handle itself: a bearer's secret, in memory that is zeroed.
pub struct Sad(Zeroizing<[u8; 32]>);

impl Sad {
    #[expect(dead_code, reason = "its makers come with the activation ledger")]
    pub(crate) fn random(random: &dyn Random) -> Self {
        let mut octets = Zeroizing::new([0; 32]);
        random.fill(&mut *octets);
        Self(octets)
    }

    /// Reads the text form; `None` for anything that cannot be one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let octets = Zeroizing::new(base64url_decode(text)?);
        Some(Self(Zeroizing::new(octets.as_slice().try_into().ok()?)))
    }

    /// The text form for its bearer: 43 characters of Base64url.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url_encode(&*self.0))
    }

    /// What is kept of it.
    #[expect(dead_code, reason = "its makers come with the activation ledger")]
    pub(crate) fn hash(&self) -> Digest32 {
        sha256(&*self.0)
    }
}

impl fmt::Debug for Sad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sad")
    }
}

/// Something may be signed now: the handle, until when, and how many times.
#[derive(Debug)]
pub struct Granted {
    /// The handle. It is told once.
    pub sad: Sad,
    /// It is not accepted from this moment on.
    pub until: Timestamp,
    /// How many signatures it still allows.
    pub left: u32,
}
