//! By which means a person approved, and what that means signed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::card::CardEvidence;
use crate::evidence::AssertionEvidence;
use crate::webauthn::AssertionResponse;

/// A means of authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Means {
    /// A linked phone: a passkey with user verification.
    Phone,
    /// An HPKI card: its authentication application.
    Hpki,
    /// A My Number Card that is linked: its user authentication certificate (JPKI).
    Jpki,
}

impl Means {
    /// The stable name in tokens, tables and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Hpki => "hpki",
            Self::Jpki => "jpki",
        }
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Phone, Self::Hpki, Self::Jpki];

    /// What tokens say of it in `acr`.
    pub const fn acr(self) -> &'static str {
        match self {
            Self::Phone => "urn:azukari:acr:phone",
            Self::Hpki => "urn:azukari:acr:hpki",
            Self::Jpki => "urn:azukari:acr:jpki",
        }
    }

    /// The means with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|means| means.name() == name)
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was signed by which means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A phone's assertion.
    Phone(AssertionEvidence),
    /// A card's signature.
    Card(CardEvidence),
}

impl Proof {
    /// By which means.
    pub fn means(&self) -> Means {
        match self {
            Self::Phone(_) => Means::Phone,
            Self::Card(card) => card.means.into(),
        }
    }

    /// The phone's assertion, if it was a phone.
    pub fn phone(&self) -> Option<&AssertionEvidence> {
        match self {
            Self::Phone(assertion) => Some(assertion),
            Self::Card(_) => None,
        }
    }

    /// As [`Proof::phone`], to be changed.
    pub fn phone_mut(&mut self) -> Option<&mut AssertionEvidence> {
        match self {
            Self::Phone(assertion) => Some(assertion),
            Self::Card(_) => None,
        }
    }

    /// Whether it was made from this very assertion, which came a second time.
    pub fn is_of(&self, response: &AssertionResponse) -> bool {
        self.phone().is_some_and(|known| {
            known.signature == response.signature
                && known.authenticator_data == response.authenticator_data
                && known.client_data_json == response.client_data_json
        })
    }

    /// The card's signature, if it was a card.
    pub fn card(&self) -> Option<&CardEvidence> {
        match self {
            Self::Phone(_) => None,
            Self::Card(card) => Some(card),
        }
    }
}
