//! The kinds of document that a kept key may sign.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::qualification::Qualification;

/// What is being signed. The kind is the facility's claim; it is bound into the reference URI of
/// the signature, journalled, and judged by every verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DocumentKind {
    /// 電子処方箋: signed by a physician or dentist.
    Prescription,
    /// 調剤結果: signed by a pharmacist.
    Dispensing,
}

impl DocumentKind {
    /// All kinds, in the order people see them.
    pub const ALL: [Self; 2] = [Self::Prescription, Self::Dispensing];

    /// The stable name in interfaces, tokens and the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prescription => "prescription",
            Self::Dispensing => "dispensing",
        }
    }

    /// What people call it, in Japanese.
    pub const fn ja(self) -> &'static str {
        match self {
            Self::Prescription => "電子処方箋",
            Self::Dispensing => "調剤結果",
        }
    }

    /// The `id` of the signed element (reference 1 of the signature, without its `#`).
    pub const fn signed_id(self) -> &'static str {
        match self {
            Self::Prescription => "PrescriptionDocument",
            Self::Dispensing => "Dispensing",
        }
    }

    /// The element that holds the signature, and the `Id` of `ds:Signature` inside it.
    pub const fn signature_id(self) -> &'static str {
        match self {
            Self::Prescription => "PrescriptionSign",
            Self::Dispensing => "DispensingSign",
        }
    }

    /// Whether the law lets a holder of this qualification sign this kind
    /// (医師法施行規則 21 条, 歯科医師法施行規則 20 条, 薬剤師法 26 条).
    pub const fn may_be_signed_by(self, qualification: Qualification) -> bool {
        match self {
            Self::Prescription => {
                matches!(qualification, Qualification::MedicalDoctor | Qualification::Dentist)
            }
            Self::Dispensing => matches!(qualification, Qualification::Pharmacist),
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no document kind has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no document kind is called {0:?}")]
pub struct UnknownKind(pub String);

impl FromStr for DocumentKind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownKind(text.into()))
    }
}
