//! The report: what a person, a program and a court may read off a verification.

use hpki::kind::DocumentKind;
use hpki::qualification::Qualification;
use hpki::time::Timestamp;
use serde::Serialize;
use xades::signature::{Level, Verified};

use crate::Reason;

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every signature is valid.
    Valid,
    /// Nothing is wrong, but the evidence does not suffice.
    CannotTell,
    /// At least one signature is not valid.
    Invalid,
}

/// What was found in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The answer for the whole document: that of its worst signature.
    pub verdict: Verdict,
    /// What the document is, where it can be told.
    pub kind: Option<DocumentKind>,
    /// The moment judged at, RFC 3339.
    pub at: String,
    /// The outer signature first; in a dispensing result the prescription's own after it.
    pub signatures: Vec<SignatureReport>,
    /// Why the document could not be read at all.
    pub refusal: Option<Reason>,
}

/// What was found about one signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SignatureReport {
    /// The answer for this signature.
    pub verdict: Verdict,
    /// What it is a signature on.
    pub kind: DocumentKind,
    /// Whether it is the prescription's inside a dispensing result.
    pub nested: bool,
    /// Whose certificate made it. A fact if the verdict is valid; otherwise what the certificate
    /// says. Absent where not even the signature value verifies.
    pub person: Option<Person>,
    /// The qualification in the certificate.
    pub qualification: Option<QualificationReport>,
    /// The certificate's issuer.
    pub authority: Option<String>,
    /// The certificate's serial number, hexadecimal.
    pub certificate_serial: Option<String>,
    /// The time that the signer claims, RFC 3339. Nothing proves it.
    pub signing_time_claimed: Option<String>,
    /// The level that was judged: always `BES`.
    pub level: Option<&'static str>,
    /// A higher level that the unsigned properties claim by what stands in them: `T`, `XL`, `A`.
    /// Anybody could have put it there, and nobody has judged it.
    pub level_claimed: Option<&'static str>,
    /// SHA-256 of what was signed, hexadecimal.
    pub digest: Option<String>,
    /// What is known about revocation.
    pub revocation: Revocation,
    /// Why it is not valid.
    pub refusal: Option<Reason>,
}

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Person {
    /// The name in Latin letters.
    pub name: String,
    /// The name in Japanese, where the certificate has it.
    pub name_ja: Option<String>,
    /// The serialNumber in the subject: a registration number or the authority's number for the
    /// person.
    pub serial: Option<String>,
    /// The institution, where the certificate has it.
    pub organization: Option<String>,
}

/// A qualification in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QualificationReport {
    /// The Japanese name.
    pub ja: &'static str,
    /// The string in the certificate.
    pub role: &'static str,
}

/// What is known about revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Revocation {
    /// No lists were handed in, or nothing was left to check them for.
    NotChecked,
    /// No certificate of the path is revoked.
    Good {
        /// The time of the oldest list that says so, RFC 3339.
        as_of: String,
        /// When the first of these lists runs out, RFC 3339.
        next_update: String,
    },
    /// A certificate of the path is revoked.
    Revoked {
        /// Since when, RFC 3339.
        since: String,
        /// The reason in the list.
        reason: &'static str,
    },
    /// Lists were handed in, but not those that would tell.
    Unknown,
}

impl Report {
    pub(crate) fn of(kind: DocumentKind, at: Timestamp, signatures: Vec<SignatureReport>) -> Self {
        // The derived order of verdicts is from good to bad. No signature at all is never valid.
        let verdict = signatures.iter().map(|one| one.verdict).max().unwrap_or(Verdict::Invalid);
        Self { verdict, kind: Some(kind), at: at.rfc3339(), signatures, refusal: None }
    }

    pub(crate) fn unreadable(at: Timestamp, reason: Reason) -> Self {
        Self {
            verdict: Verdict::Invalid,
            kind: None,
            at: at.rfc3339(),
            signatures: Vec::new(),
            refusal: Some(reason),
        }
    }

    /// The reason for the verdict: of the document, else of the first signature that has this
    /// verdict. `None` if everything is valid.
    pub fn refusal(&self) -> Option<&Reason> {
        self.refusal.as_ref().or_else(|| {
            self.signatures
                .iter()
                .filter(|one| one.verdict == self.verdict)
                .find_map(|one| one.refusal.as_ref())
        })
    }

    /// The code of [`Report::refusal`].
    pub fn code(&self) -> Option<&str> {
        self.refusal().map(|reason| reason.code.as_str())
    }
}

impl SignatureReport {
    pub(crate) fn refused(kind: DocumentKind, nested: bool, reason: Reason) -> Self {
        Self {
            verdict: Verdict::Invalid,
            kind,
            nested,
            person: None,
            qualification: None,
            authority: None,
            certificate_serial: None,
            signing_time_claimed: None,
            level: None,
            level_claimed: None,
            digest: None,
            revocation: Revocation::NotChecked,
            refusal: Some(reason),
        }
    }

    pub(crate) fn of(verified: &Verified<'_, '_>, nested: bool) -> Self {
        let certificate = &verified.certificate;
        Self {
            verdict: Verdict::Invalid,
            kind: verified.kind,
            nested,
            person: Some(Person {
                name: certificate.common_name().unwrap_or_default().to_owned(),
                name_ja: certificate.name_ja().map(str::to_owned),
                serial: certificate.subject_serial_number().map(str::to_owned),
                organization: certificate
                    .organization_ja()
                    .or_else(|| certificate.organization())
                    .map(str::to_owned),
            }),
            qualification: certificate.qualification().map(QualificationReport::from),
            authority: Some(certificate.issuer().to_string()),
            certificate_serial: Some(certificate.serial_hex()),
            signing_time_claimed: Some(verified.signing_time.rfc3339()),
            level: Some(Level::Bes.name()),
            level_claimed: match verified.markers.level() {
                Level::Bes => None,
                higher => Some(higher.name()),
            },
            digest: Some(hex::encode(verified.digest)),
            revocation: Revocation::NotChecked,
            refusal: None,
        }
    }
}

impl From<Qualification> for QualificationReport {
    fn from(qualification: Qualification) -> Self {
        Self { ja: qualification.ja(), role: qualification.role().unwrap_or_default() }
    }
}
