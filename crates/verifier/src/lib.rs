//! 検証: a signed document, evidence and a moment in; a report out.
//!
//! This room judges signatures the way any stranger would: it believes only the anchors handed to
//! it, never a certificate found in the document, and never that this house made the signature.
//! The moment is the one asked about; the SigningTime in a signature is a claim and is only
//! reported. It is pure: it fetches nothing and reads no clock, so the same question has the same
//! answer for ever.
//!
//! What it refuses to know: databases, tokens, and whether a prescription makes medical sense.
//!
//! Start reading at [`verify`] for a document and at [`activation`] for the owner's approval of one; [`rules`] says what a signature must satisfy beyond its
//! cryptography, [`reason`] lists every reason with its words.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod activation;
pub mod reason;
pub mod report;
pub mod rules;
mod show;

use const_oid::ObjectIdentifier;
use hpki::kind::DocumentKind;
use hpki::path::{self, Anchor, Question, RevocationAnswer, Usage};
use hpki::refusal::Refuse;
use hpki::time::Timestamp;
use hpki::{Certificate, Crl};
use xades::signature::{self, Signature, Verified};
use xades::{Document, Refusal as Form};

pub use activation::{ActivationReport, verify_activation};
pub use reason::{CODES, Reason};
pub use report::{Person, QualificationReport, Report, Revocation, SignatureReport, Verdict};

/// What the judgement rests on. All of it is handed in by whoever asks.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// The pinned roots.
    pub anchors: &'a [Anchor],
    /// Certificates that may stand between a signer and a root; untrusted until they chain.
    pub intermediates: &'a [Certificate],
    /// Revocation lists; `None` leaves revocation unchecked, and the report says so.
    pub crls: Option<&'a [Crl]>,
    /// The moment everything is judged at.
    pub at: Timestamp,
    /// The accepted certificate policies.
    pub policies: Vec<ObjectIdentifier>,
}

/// Judges every signature of a document: the prescription's, or the dispensing result's and that of
/// the prescription inside it.
pub fn verify(octets: &[u8], evidence: &Evidence<'_>) -> Report {
    let judged = xades::parse(octets)
        .and_then(|document| Ok((signature::kind_of(&document)?, document)))
        .map(|(kind, document)| (kind, signatures(&document, kind, evidence)));
    match judged {
        Ok((kind, signatures)) => Report::of(kind, evidence.at, signatures),
        Err(refusal) => Report::unreadable(evidence.at, Reason::of(&refusal)),
    }
}

fn signatures(
    document: &Document<'_>,
    kind: DocumentKind,
    evidence: &Evidence<'_>,
) -> Vec<SignatureReport> {
    let outer = judge(document, kind, false, signature::find(document, kind), evidence);
    match kind {
        DocumentKind::Dispensing => {
            let nested = signature::find_nested(document);
            vec![outer, judge(document, DocumentKind::Prescription, true, nested, evidence)]
        }
        _ => vec![outer],
    }
}

fn judge<'d, 'a>(
    document: &'d Document<'a>,
    kind: DocumentKind,
    nested: bool,
    found: Result<Signature<'d, 'a>, Form>,
    evidence: &Evidence<'_>,
) -> SignatureReport {
    let verified = found.and_then(|found| signature::verify(document, &found));
    let verified = match verified {
        Ok(verified) => verified,
        Err(refusal) => return SignatureReport::refused(kind, nested, Reason::of(&refusal)),
    };
    let mut report = SignatureReport::of(&verified, nested);
    match believe(&verified, evidence) {
        Ok(revocation) => {
            report.verdict = Verdict::Valid;
            report.revocation = revocation;
        }
        Err(no) => {
            report.verdict = no.verdict;
            report.revocation = no.revocation;
            report.refusal = Some(no.reason);
        }
    }
    report
}

/// Why a signature of the right form is not believed.
struct No {
    verdict: Verdict,
    revocation: Revocation,
    reason: Reason,
}

impl No {
    fn invalid(revocation: Revocation, refusal: &impl Refuse) -> Box<Self> {
        Box::new(Self { verdict: Verdict::Invalid, revocation, reason: Reason::of(refusal) })
    }
}

/// The form is right; now whether the certificate means anything, and to whom it belongs.
///
/// The rules come before what cannot be told: a pharmacist's signature on a prescription stays
/// wrong even where a revocation list is missing.
fn believe(verified: &Verified<'_, '_>, evidence: &Evidence<'_>) -> Result<Revocation, Box<No>> {
    let path = path::validate(&Question {
        leaf: &verified.certificate,
        intermediates: evidence.intermediates,
        anchors: evidence.anchors,
        revocation: match evidence.crls {
            None => path::Revocation::NotChecked,
            Some(lists) => path::Revocation::Lists(lists),
        },
        at: evidence.at,
        policies: &evidence.policies,
        usage: Usage::NonRepudiation,
    });
    if let Err(refusal) = &path
        && !refusal.is_undetermined()
    {
        let revocation = match refusal {
            hpki::Refusal::CertificateRevoked { at, reason, .. } => {
                Revocation::Revoked { since: at.rfc3339(), reason: reason.name() }
            }
            _ => Revocation::NotChecked,
        };
        return Err(No::invalid(revocation, refusal));
    }
    rules::check(verified.kind, verified.certificate.qualification())
        .map_err(|refusal| No::invalid(Revocation::NotChecked, &refusal))?;
    match path {
        Ok(valid) => Ok(match valid.revocation {
            RevocationAnswer::NotChecked => Revocation::NotChecked,
            RevocationAnswer::Good { as_of, next_update } => {
                Revocation::Good { as_of: as_of.rfc3339(), next_update: next_update.rfc3339() }
            }
        }),
        Err(refusal) => Err(Box::new(No {
            verdict: Verdict::CannotTell,
            revocation: Revocation::Unknown,
            reason: Reason::of(&refusal),
        })),
    }
}
