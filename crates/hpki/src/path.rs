//! Why a certificate is believed: a chain of signatures to a pinned anchor, valid at the moment
//! asked about, under an accepted policy, and not revoked (RFC 5280 §6).
//!
//! What this does not know it refuses: name constraints, policy mappings, policy constraints and
//! unknown critical extensions end a path, critical or not. Anchors are only those handed in;
//! intermediates are untrusted until they chain to one. An anchor is one certificate, not a name:
//! another root of the same name is refused.

use const_oid::ObjectIdentifier;

use crate::certificate::{Certificate, KeyUsage};
use crate::crl::Crl;
use crate::ocsp::{Standing, Status};
use crate::oid;
use crate::policy;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// The most certificates in a path, anchor included. HPKI has three.
const LONGEST: usize = 6;
/// The most signatures judged for one question, so that a heap of certificates of one name cannot
/// buy unbounded work.
const MOST_SIGNATURES: usize = 64;

/// A certificate believed because it was pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The certificate.
    pub certificate: Certificate,
}

/// Whether and with which lists revocation is judged.
#[derive(Debug, Clone, Copy)]
pub enum Revocation<'a> {
    /// It is not; the answer says so.
    NotChecked,
    /// Every certificate below the anchor must be covered by one of these lists.
    Lists(&'a [Crl]),
    /// The authority of every certificate below the anchor was asked, and this is what was said.
    Answers(&'a [Standing]),
}

/// What the leaf certificate is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Signing documents. A certificate policy is always required.
    NonRepudiation,
    /// Answering a challenge with a card. A certificate policy is always required, and the key is
    /// for this alone: one that also signs documents could be given a document's hash to answer.
    Authentication,
    /// TLS client authentication of a facility.
    TlsClient,
    /// TLS server authentication.
    TlsServer,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The certificate to judge.
    pub leaf: &'a Certificate,
    /// Certificates that may stand between it and an anchor.
    pub intermediates: &'a [Certificate],
    /// The pinned anchors.
    pub anchors: &'a [Anchor],
    /// How revocation is judged.
    pub revocation: Revocation<'a>,
    /// The moment that everything is judged at.
    pub at: Timestamp,
    /// The accepted certificate policies; one of them must be asserted along the whole path. May be
    /// empty for TLS only, where it means that no policy is required.
    pub policies: &'a [ObjectIdentifier],
    /// What the leaf is used for.
    pub usage: Usage,
}

/// What is known about revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationAnswer {
    /// Nothing: it was not asked.
    NotChecked,
    /// No certificate of the path is revoked.
    Good {
        /// The time of the oldest list that says so.
        as_of: Timestamp,
        /// When the first of these lists runs out.
        next_update: Timestamp,
    },
}

/// A valid path.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ValidPath {
    /// Leaf first, anchor last.
    pub chain: Vec<Certificate>,
    /// What is known about revocation.
    pub revocation: RevocationAnswer,
}

/// Judges a certificate. Of several candidate paths one valid path is enough; if there is none, the
/// refusal is that of the candidate that came furthest.
pub fn validate(question: &Question<'_>) -> Result<ValidPath, Refusal> {
    let mut search = Search { question, path: vec![question.leaf], signatures: 0, furthest: None };
    match search.extend() {
        Some(valid) => Ok(valid),
        None => Err(search
            .furthest
            .map_or_else(|| Refusal::IssuerUnknown(who(question.leaf)), |(_, refusal)| refusal)),
    }
}

fn who(certificate: &Certificate) -> String {
    certificate.subject().to_string()
}

struct Search<'a> {
    question: &'a Question<'a>,
    path: Vec<&'a Certificate>,
    signatures: usize,
    furthest: Option<(usize, Refusal)>,
}

impl<'a> Search<'a> {
    fn note(&mut self, refusal: Refusal) {
        let depth = self.path.len();
        if self.furthest.as_ref().is_none_or(|(reached, _)| depth > *reached) {
            self.furthest = Some((depth, refusal));
        }
    }

    fn extend(&mut self) -> Option<ValidPath> {
        let question = self.question;
        let &last = self.path.last()?;
        if self.path.len() >= LONGEST {
            self.note(Refusal::PathTooLong);
            return None;
        }
        for anchor in question.anchors {
            let authority = &anchor.certificate;
            if authority.subject() != last.issuer() {
                continue;
            }
            if !last.aki().is_none_or(|aki| aki.may_be(authority)) {
                self.note(Refusal::AnchorMismatch(who(last)));
                continue;
            }
            if let Err(refusal) = self.signed_by(last, authority) {
                self.note(refusal);
                continue;
            }
            self.path.push(authority);
            match judge(&self.path, question) {
                Ok(revocation) => {
                    let chain = self.path.iter().map(|certificate| (*certificate).clone());
                    return Some(ValidPath { chain: chain.collect(), revocation });
                }
                Err(refusal) => self.note(refusal),
            }
            self.path.pop();
        }
        for authority in question.intermediates {
            // A self-issued certificate leads nowhere new: if it counts, it is among the anchors.
            // (Key rollover certificates are not known in HPKI and not supported.)
            let fits = authority.subject() == last.issuer()
                && authority.subject() != authority.issuer()
                && last.aki().is_none_or(|aki| aki.may_be(authority))
                && !self.path.contains(&authority);
            if !fits {
                continue;
            }
            if let Err(refusal) = self.signed_by(last, authority) {
                self.note(refusal);
                continue;
            }
            self.path.push(authority);
            if let Some(valid) = self.extend() {
                return Some(valid);
            }
            self.path.pop();
        }
        self.note(Refusal::IssuerUnknown(who(last)));
        None
    }

    fn signed_by(&mut self, subject: &Certificate, authority: &Certificate) -> Result<(), Refusal> {
        self.signatures += 1;
        if self.signatures > MOST_SIGNATURES {
            return Err(Refusal::PathTooLong);
        }
        let algorithm = policy::in_certificates(subject.signature_algorithm(), self.question.at)?;
        policy::check_key(authority.spki_der(), self.question.at)?;
        policy::verify(algorithm, authority.spki_der(), subject.tbs(), subject.signature())
            .map_err(|_| Refusal::CertificateSignatureWrong(who(subject)))
    }
}

/// Judges a path whose signatures hold: leaf first, anchor last.
fn judge(path: &[&Certificate], question: &Question<'_>) -> Result<RevocationAnswer, Refusal> {
    for certificate in path {
        in_force(certificate, question.at)?;
        nothing_unknown(certificate)?;
    }
    policy::check_key(question.leaf.spki_der(), question.at)?;
    authorities(&path[1..])?;
    usage(question.leaf, question.usage)?;
    policies(path, question)?;
    match question.revocation {
        Revocation::NotChecked => Ok(RevocationAnswer::NotChecked),
        Revocation::Lists(lists) => not_revoked(path, |certificate, authority| {
            listed(certificate, authority, lists, question.at)
        }),
        Revocation::Answers(answers) => {
            not_revoked(path, |certificate, authority| answered(certificate, authority, answers))
        }
    }
}

fn in_force(certificate: &Certificate, at: Timestamp) -> Result<(), Refusal> {
    let subject = || who(certificate);
    if at < certificate.not_before() {
        let not_before = certificate.not_before();
        return Err(Refusal::CertificateNotYetValid { subject: subject(), not_before });
    }
    if at > certificate.not_after() {
        let not_after = certificate.not_after();
        return Err(Refusal::CertificateExpired { subject: subject(), not_after });
    }
    Ok(())
}

fn nothing_unknown(certificate: &Certificate) -> Result<(), Refusal> {
    if let Some(oid) = certificate.unknown_critical() {
        return Err(Refusal::CriticalExtensionUnknown(oid));
    }
    if certificate.extension(oid::NAME_CONSTRAINTS).is_some() {
        return Err(Refusal::NameConstraintsUnsupported);
    }
    if certificate.extension(oid::POLICY_MAPPINGS).is_some() {
        return Err(Refusal::PolicyMappingUnsupported);
    }
    let constrained = certificate.extension(oid::POLICY_CONSTRAINTS).is_some()
        || certificate.extension(oid::INHIBIT_ANY_POLICY).is_some();
    if constrained { Err(Refusal::PolicyConstraintsUnsupported) } else { Ok(()) }
}

fn authorities(issuers: &[&Certificate]) -> Result<(), Refusal> {
    let mut below = 0; // intermediates under this authority, self-issued ones not counted
    for authority in issuers {
        let constraints = authority.basic_constraints().filter(|constraints| constraints.ca);
        let Some(constraints) = constraints else { return Err(Refusal::NotACa(who(authority))) };
        if !authority.key_usage().is_some_and(|usage| usage.contains(KeyUsage::KEY_CERT_SIGN)) {
            return Err(Refusal::NotACa(who(authority)));
        }
        if constraints.path_length.is_some_and(|most| below > most) {
            return Err(Refusal::PathTooLong);
        }
        if authority.subject() != authority.issuer() {
            below += 1;
        }
    }
    Ok(())
}

fn usage(leaf: &Certificate, usage: Usage) -> Result<(), Refusal> {
    let bits = |needed| leaf.key_usage().is_some_and(|usage| usage.contains(needed));
    let purpose = |needed| leaf.extended_key_usage().is_some_and(|found| found.contains(&needed));
    let fits = match usage {
        // The profile has no extended key usage; one that is there limits the key to something else.
        Usage::NonRepudiation => {
            bits(KeyUsage::NON_REPUDIATION) && leaf.extended_key_usage().is_none()
        }
        // That HPKI's authentication certificates have an extended key usage is not confirmed.
        Usage::Authentication => {
            leaf.key_usage() == Some(KeyUsage::DIGITAL_SIGNATURE)
                && leaf.extended_key_usage().is_none_or(|found| found.contains(&oid::CLIENT_AUTH))
        }
        Usage::TlsClient => bits(KeyUsage::DIGITAL_SIGNATURE) && purpose(oid::CLIENT_AUTH),
        Usage::TlsServer => bits(KeyUsage::DIGITAL_SIGNATURE) && purpose(oid::SERVER_AUTH),
    };
    if fits && !leaf.is_ca() { Ok(()) } else { Err(Refusal::KeyUsageWrong(who(leaf))) }
}

/// Without mappings and constraints the policy tree of RFC 5280 §6.1 is a plain intersection.
fn policies(path: &[&Certificate], question: &Question<'_>) -> Result<(), Refusal> {
    let tls = matches!(question.usage, Usage::TlsClient | Usage::TlsServer);
    if question.policies.is_empty() && tls {
        return Ok(());
    }
    let below_anchor = &path[..path.len() - 1];
    let asserted = question.policies.iter().any(|accepted| {
        below_anchor.iter().all(|certificate| {
            let own = certificate.policies();
            own.contains(accepted) || own.contains(&oid::ANY_POLICY)
        })
    });
    if asserted { Ok(()) } else { Err(Refusal::PolicyNotAllowed) }
}

/// From when until when a certificate is known not to be revoked.
type Since = (Timestamp, Timestamp);

fn not_revoked(
    path: &[&Certificate],
    status: impl Fn(&Certificate, &Certificate) -> Result<Since, Refusal>,
) -> Result<RevocationAnswer, Refusal> {
    let mut answer: Option<Since> = None;
    for pair in path.windows(2) {
        let (as_of, next) = status(pair[0], pair[1])?;
        answer = Some(match answer {
            Some((oldest, first)) => (oldest.min(as_of), first.min(next)),
            None => (as_of, next),
        });
    }
    Ok(answer.map_or(RevocationAnswer::NotChecked, |(as_of, next_update)| RevocationAnswer::Good {
        as_of,
        next_update,
    }))
}

/// The times of the newest list that is in force, covers this certificate and does not name it.
fn listed(
    certificate: &Certificate,
    authority: &Certificate,
    lists: &[Crl],
    at: Timestamp,
) -> Result<Since, Refusal> {
    let mut best: Option<Since> = None;
    let mut problem = None;
    let of_this_issuer = lists.iter().filter(|list| {
        list.covers(certificate) && list.aki().is_none_or(|aki| aki.may_be(authority))
    });
    for list in of_this_issuer {
        if let Err(refusal) = authentic(list, authority, at) {
            problem.get_or_insert(refusal);
            continue;
        }
        if let Some(revoked) = list.contains(certificate.serial()) {
            // An old list cannot prove that a certificate is good, but it can prove that it is not;
            // a later list only if the revocation itself is not later than the moment asked about.
            if revoked.at <= at || list.this_update() <= at {
                return Err(Refusal::CertificateRevoked {
                    subject: who(certificate),
                    at: revoked.at,
                    reason: revoked.reason,
                });
            }
        }
        match list.next_update().filter(|next| list.this_update() <= at && at <= *next) {
            Some(next) if best.is_none_or(|(newest, _)| list.this_update() > newest) => {
                best = Some((list.this_update(), next));
            }
            Some(_) => {}
            None => {
                problem.get_or_insert(Refusal::CrlStale {
                    issuer: list.issuer().to_string(),
                    this_update: list.this_update(),
                    next_update: list.next_update(),
                });
            }
        }
    }
    best.ok_or_else(|| problem.unwrap_or_else(|| Refusal::CrlMissing(who(certificate))))
}

/// What the authority said when it was asked; whether that is still fresh, [`crate::ocsp::judge`] and
/// whoever kept it have seen to.
fn answered(
    certificate: &Certificate,
    authority: &Certificate,
    answers: &[Standing],
) -> Result<Since, Refusal> {
    let about = |answer: &&Standing| answer.is_about(certificate, authority);
    let answer = answers.iter().find(about).ok_or(Refusal::OcspOther)?;
    match answer.status() {
        Status::Good => Ok((answer.as_of(), answer.next_update().unwrap_or(answer.as_of()))),
        Status::Revoked(revoked) => Err(Refusal::CertificateRevoked {
            subject: who(certificate),
            at: revoked.at,
            reason: revoked.reason,
        }),
        Status::Unknown => Err(Refusal::OcspCertificateUnknown(who(certificate))),
    }
}

/// Whether a list was signed by this authority, whose certificate allows it to, and says nothing
/// critical that is not understood (RFC 5280 §6.3.3). Whether it is in force is not asked.
///
/// # Errors
/// `crl-signature-wrong`, also for another issuer's; `crl-extension-unknown`.
pub fn authentic(list: &Crl, authority: &Certificate, at: Timestamp) -> Result<(), Refusal> {
    if list.issuer() != authority.subject() {
        return Err(Refusal::CrlSignatureWrong(list.issuer().to_string()));
    }
    let wrong = || Refusal::CrlSignatureWrong(list.issuer().to_string());
    if !authority.key_usage().is_some_and(|usage| usage.contains(KeyUsage::CRL_SIGN)) {
        return Err(wrong());
    }
    let algorithm = policy::in_certificates(list.signature_algorithm(), at)?;
    policy::verify(algorithm, authority.spki_der(), list.tbs(), list.signature())
        .map_err(|_| wrong())?;
    if list.unknown_critical().is_some() {
        return Err(Refusal::CrlExtensionUnknown(list.issuer().to_string()));
    }
    Ok(())
}
