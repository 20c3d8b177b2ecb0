//! The kinds of document that a kept key may sign.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::qualification::Qualification;

/// What is being signed. The kind is the facility's claim; it is bound into the reference URI of
/// the signature where custody composes it, journalled, and judged by every verifier.
///
/// Which kinds may be signed at all, and whether the owner approves each document, is the
/// platform's policy (`custody::Policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DocumentKind {
    /// 電子処方箋: signed by a physician or dentist.
    Prescription,
    /// 調剤結果: signed by a pharmacist.
    Dispensing,
    /// 診療情報提供書（紹介状）: signed by a physician or dentist, as a hash that its program made.
    Referral,
    /// 診断書・証明書等の PDF: signed by whom the law lets certify, as a hash that its program made.
    Statement,
}

/// Who makes the octets that a signature is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// The platform: it composes the `ds:SignedInfo` of an XAdES signature around the digest of a
    /// document.
    Xades,
    /// The program that asks: it hands in the hash (DTBS/R), and the platform signs that.
    Hash,
}

impl DocumentKind {
    /// All kinds, in the order people see them.
    pub const ALL: [Self; 4] =
        [Self::Prescription, Self::Dispensing, Self::Referral, Self::Statement];

    /// The kinds whose signature the platform composes ([`Form::Xades`]).
    pub const COMPOSED: [Self; 2] = [Self::Prescription, Self::Dispensing];

    /// Who makes what is signed.
    pub const fn form(self) -> Form {
        match self {
            Self::Prescription | Self::Dispensing => Form::Xades,
            Self::Referral | Self::Statement => Form::Hash,
        }
    }

    /// The stable name in interfaces, tokens and the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prescription => "prescription",
            Self::Dispensing => "dispensing",
            Self::Referral => "referral",
            Self::Statement => "statement",
        }
    }

    /// What people call it, in Japanese.
    pub const fn ja(self) -> &'static str {
        match self {
            Self::Prescription => "電子処方箋",
            Self::Dispensing => "調剤結果",
            Self::Referral => "紹介状",
            Self::Statement => "診断書・証明書",
        }
    }

    /// What people call it, in English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Prescription => "Prescription",
            Self::Dispensing => "Dispensing result",
            Self::Referral => "Referral letter",
            Self::Statement => "Medical certificate",
        }
    }

    /// The `id` of the signed element (reference 1 of the signature, without its `#`). Empty for
    /// kinds whose signature the platform does not compose.
    pub const fn signed_id(self) -> &'static str {
        match self {
            Self::Prescription => "PrescriptionDocument",
            Self::Dispensing => "Dispensing",
            Self::Referral | Self::Statement => "",
        }
    }

    /// The element that holds the signature, and the `Id` of `ds:Signature` inside it. Empty for
    /// kinds whose signature the platform does not compose.
    pub const fn signature_id(self) -> &'static str {
        match self {
            Self::Prescription => "PrescriptionSign",
            Self::Dispensing => "DispensingSign",
            Self::Referral | Self::Statement => "",
        }
    }

    /// Whether the law lets a holder of this qualification sign this kind
    /// (医師法施行規則 21 条, 歯科医師法施行規則 20 条, 薬剤師法 26 条). Referral letters and
    /// certificates: physicians and dentists (医師法 19 条 2 項, 歯科医師法 19 条 2 項); that a
    /// midwife's certificate of birth (保健師助産師看護師法 39 条) could be one is left out until
    /// somebody asks for it.
    pub const fn may_be_signed_by(self, qualification: Qualification) -> bool {
        match self {
            Self::Prescription | Self::Referral | Self::Statement => {
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
