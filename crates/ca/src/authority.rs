//! Which authorities there are.

use std::fmt;
use std::str::FromStr;

/// An authority of the estate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authority {
    /// The root, after the model of the national one.
    Root,
    /// A signing authority under the root.
    Signing(SigningAuthority),
    /// The same organisation's authority for the authentication certificates on HPKI cards.
    Authentication(SigningAuthority),
    /// The authority for TLS between facilities and platform; it has nothing to do with HPKI.
    Facility,
}

/// An organisation with a signing and an authentication authority under the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SigningAuthority {
    /// 日医認証局
    Jma,
    /// 日薬認証局
    Jpa,
    /// MEDIS認証局
    Medis,
}

impl SigningAuthority {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Jma, Self::Jpa, Self::Medis];

    /// The stable name in tables, file names and addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jma => "jma",
            Self::Jpa => "jpa",
            Self::Medis => "medis",
        }
    }
}

impl Authority {
    /// All, issuers before those they certify.
    pub const ALL: [Self; 8] = [
        Self::Root,
        Self::Signing(SigningAuthority::Jma),
        Self::Signing(SigningAuthority::Jpa),
        Self::Signing(SigningAuthority::Medis),
        Self::Authentication(SigningAuthority::Jma),
        Self::Authentication(SigningAuthority::Jpa),
        Self::Authentication(SigningAuthority::Medis),
        Self::Facility,
    ];

    /// The stable name in tables, file names and addresses; also that of its key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Signing(signing) => signing.name(),
            Self::Authentication(SigningAuthority::Jma) => "jma-auth",
            Self::Authentication(SigningAuthority::Jpa) => "jpa-auth",
            Self::Authentication(SigningAuthority::Medis) => "medis-auth",
            Self::Facility => "facility",
        }
    }

    /// What people call it.
    pub const fn ja(self) -> &'static str {
        match self {
            Self::Root => "ルート認証局",
            Self::Signing(SigningAuthority::Jma) => "日医認証局(署名用)",
            Self::Signing(SigningAuthority::Jpa) => "日薬認証局(署名用)",
            Self::Signing(SigningAuthority::Medis) => "MEDIS認証局(署名用)",
            Self::Authentication(SigningAuthority::Jma) => "日医認証局(認証用)",
            Self::Authentication(SigningAuthority::Jpa) => "日薬認証局(認証用)",
            Self::Authentication(SigningAuthority::Medis) => "MEDIS認証局(認証用)",
            Self::Facility => "機関間通信(TLS)認証局",
        }
    }
}

impl From<SigningAuthority> for Authority {
    fn from(signing: SigningAuthority) -> Self {
        Self::Signing(signing)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no authority has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no authority is called {0:?}")]
pub struct UnknownAuthority(pub String);

impl FromStr for Authority {
    type Err = UnknownAuthority;
    fn from_str(text: &str) -> Result<Self, UnknownAuthority> {
        Self::ALL
            .into_iter()
            .find(|authority| authority.name() == text)
            .ok_or_else(|| UnknownAuthority(text.to_owned()))
    }
}
