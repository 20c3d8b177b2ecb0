//! Did the owner of the key approve exactly this signature (protocols §6)? And did key and approval
//! count at that moment? Two questions, two verdicts: an approval does not become untrue when the
//! certificate is revoked a year later.
//!
//! The checks stand here in the order in which they are made; each has its own code. What the
//! journal says is brought in through [`Journal`], because proofs are the ledger's business: this
//! room only judges what an entry is about.

use approval::{Bundle, CardEvidence, CardMeans, Means, card_commitment};
use const_oid::ObjectIdentifier;
use hpki::encoding::{Digest32, sha256};
use hpki::id::{FacilityCode, KeyId, PersonId};
use hpki::kind::DocumentKind;
use hpki::path::{self, Anchor, Question, RevocationAnswer, Usage};
use hpki::policy::{Algorithm, VerifyingKey};
use hpki::refusal::Refuse;
use hpki::time::Timestamp;
use hpki::{Certificate, Crl};
use serde::Serialize;

use crate::report::{Revocation, Verdict};
use crate::{Reason, rules};

mod show;

/// What was approved at the last second of `notAfter` may be begun for a minute, and what a crash
/// interrupted then may be taken up again for ten (custody's own limits, and half a minute).
const LATE_S: u64 = 690;

/// An entry of the journal that was proven to stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub index: u64,
    /// The event's name.
    pub event: String,
    /// When.
    pub time: Timestamp,
    /// The key concerned.
    pub key: Option<KeyId>,
    /// The person concerned.
    pub person: Option<PersonId>,
    /// The facility from which it was asked.
    pub facility: Option<FacilityCode>,
    /// The kind of document.
    pub kind: Option<DocumentKind>,
    /// The digest of what was signed.
    pub dtbsr: Option<Digest32>,
    /// The hash of the evidence on which it rests.
    pub evidence: Option<Digest32>,
    /// SHA-256 of the signature that was made.
    pub signature_hash: Option<Digest32>,
}

/// Whoever can believe a proof: it knows the pinned key of the log.
pub trait Journal {
    /// The entry that this text proves to stand in the journal, or why it proves nothing.
    ///
    /// # Errors
    /// The reason, for people.
    fn entry(&self, proof: &str) -> Result<Entry, String>;
}

/// What the judgement rests on, besides the bundle. All of it is handed in by whoever asks.
#[derive(Clone, Copy)]
pub struct Grounds<'a> {
    /// The journal under its pinned key; without it nobody can tell whose phone it was.
    pub journal: Option<&'a dyn Journal>,
    /// SHA-256 of what was signed (canonical SignedInfo), where a document is at hand.
    pub at_hand: Option<Digest32>,
    /// The pinned roots; without any, nobody can tell whether the certificate counted.
    pub anchors: &'a [Anchor],
    /// Certificates that may stand between.
    pub intermediates: &'a [Certificate],
    /// Revocation lists; `None` leaves revocation unchecked, and the report says so.
    pub crls: Option<&'a [Crl]>,
    /// The accepted certificate policies.
    pub policies: &'a [ObjectIdentifier],
}

/// Why a check does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No key of the log was given.
    #[error("no key of the journal was given, so its proofs cannot be believed")]
    LogKeyMissing,
    /// The proof of the linking proves nothing.
    #[error("the proof of the phone's linking does not hold: {0}")]
    BindingProofWrong(String),
    /// The entry is not that of a linking.
    #[error("the entry is not that of a phone's linking but {0}")]
    BindingNotALinking(String),
    /// It is of another person than the one who is said to have approved.
    #[error("the phone was linked to another person")]
    BindingOtherPerson,
    /// It is of another key.
    #[error("the phone was linked to another kept key")]
    BindingOtherKey,
    /// Another phone was linked than the one that signed.
    #[error("another phone was linked than the one that signed")]
    BindingOtherPhone,
    /// The HPKI card is of another holder than the signer's certificate.
    #[error("the card is of another holder than the signer's certificate")]
    CardOtherHolder,
    /// The signature is not of this hash and certificate.
    #[error("the signature is not of this hash under this certificate")]
    SignatureWrong,
    /// What is at hand is not what was signed.
    #[error("the document at hand is not the one that was signed")]
    SignedInfoOther,
    /// The proof of the outcome proves nothing.
    #[error("the proof of the signature's outcome does not hold: {0}")]
    OutcomeProofWrong(String),
    /// The entry is not that of a signature.
    #[error("the entry is not that of a signature but {0}")]
    OutcomeNotASignature(String),
    /// It is of another hash.
    #[error("the journal's entry is of another hash")]
    OutcomeOtherHash,
    /// It is of another signature.
    #[error("the journal's entry is of another signature")]
    OutcomeOtherSignature,
    /// It is of another key, person, facility or kind than the one approved.
    #[error("the journal's entry is of another {0} than the one approved")]
    OutcomeNotAsApproved(&'static str),
    /// It rests on another approval: a session's, or that of other documents.
    #[error("the journal's entry rests on another approval than this one")]
    OutcomeOtherApproval,
    /// No root was given.
    #[error("no root certificate was given, so the signer's certificate cannot be judged")]
    RootMissing,
    /// The phone was linked only after the signature was made.
    #[error("the phone was linked only after the signature was made")]
    LinkedLater,
    /// The signature was made when the approval was over.
    #[error("the signature was made after the approval was over")]
    ApprovalOver,
}

/// Every code of this file.
pub const CODES: &[&str] = &[
    "log-key-missing",
    "binding-proof-wrong",
    "binding-not-a-linking",
    "binding-other-person",
    "binding-other-key",
    "binding-other-phone",
    "card-other-holder",
    "activation-signature-wrong",
    "signed-info-other",
    "outcome-proof-wrong",
    "outcome-not-a-signature",
    "outcome-other-hash",
    "outcome-other-signature",
    "outcome-not-as-approved",
    "outcome-other-approval",
    "root-missing",
    "linked-later",
    "approval-over",
];

impl Refuse for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::LogKeyMissing => "log-key-missing",
            Self::BindingProofWrong(_) => "binding-proof-wrong",
            Self::BindingNotALinking(_) => "binding-not-a-linking",
            Self::BindingOtherPerson => "binding-other-person",
            Self::BindingOtherKey => "binding-other-key",
            Self::BindingOtherPhone => "binding-other-phone",
            Self::CardOtherHolder => "card-other-holder",
            Self::SignatureWrong => "activation-signature-wrong",
            Self::SignedInfoOther => "signed-info-other",
            Self::OutcomeProofWrong(_) => "outcome-proof-wrong",
            Self::OutcomeNotASignature(_) => "outcome-not-a-signature",
            Self::OutcomeOtherHash => "outcome-other-hash",
            Self::OutcomeOtherSignature => "outcome-other-signature",
            Self::OutcomeNotAsApproved(_) => "outcome-not-as-approved",
            Self::OutcomeOtherApproval => "outcome-other-approval",
            Self::RootMissing => "root-missing",
            Self::LinkedLater => "linked-later",
            Self::ApprovalOver => "approval-over",
        }
    }
}

impl Refusal {
    /// Nothing is wrong; something that would tell is missing.
    const fn is_undetermined(&self) -> bool {
        matches!(self, Self::LogKeyMissing | Self::RootMissing)
    }
}

/// One verdict and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Judgement {
    /// The answer.
    pub verdict: Verdict,
    /// Why it is not valid.
    pub refusal: Option<Reason>,
}

impl Judgement {
    fn valid() -> Self {
        Self { verdict: Verdict::Valid, refusal: None }
    }

    fn no(verdict: Verdict, refusal: &impl Refuse) -> Self {
        Self { verdict, refusal: Some(Reason::of(refusal)) }
    }
}

impl From<Refusal> for Judgement {
    fn from(refusal: Refusal) -> Self {
        let missing = refusal.is_undetermined();
        Self::no(if missing { Verdict::CannotTell } else { Verdict::Invalid }, &refusal)
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ActivationReport {
    /// The worse of the two answers.
    pub verdict: Verdict,
    /// Whether the owner approved exactly this signature.
    pub approved: Judgement,
    /// Whether certificate, phone and approval counted when it was made.
    pub in_force: Judgement,
    /// What the bundle says; facts as far as the verdicts are valid.
    pub facts: Option<Facts>,
    /// What is known about revocation.
    pub revocation: Revocation,
}

/// What a bundle is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// What kind of document was signed.
    pub kind: DocumentKind,
    /// Whose certificate.
    pub name: String,
    /// The same in Japanese, where the certificate has it.
    pub name_ja: Option<String>,
    /// The platform's number for the person.
    pub person: PersonId,
    /// The kept key.
    pub key: KeyId,
    /// The institution's code and registered name.
    pub facility: FacilityCode,
    /// Its registered name as the phone showed it.
    pub facility_name: String,
    /// The terminal as the phone showed it.
    pub terminal: String,
    /// How many documents were approved at once.
    pub count: u32,
    /// The place of this one among them, from 1.
    pub place: u64,
    /// The code that terminal and phone showed.
    pub short_code: String,
    /// By which means she approved.
    #[serde(serialize_with = "named")]
    pub means: Means,
    /// The digest of what was signed, hexadecimal.
    pub dtbsr: String,
    /// When the journal says that it was signed, RFC 3339.
    pub signed: Option<String>,
    /// Where the journal says so.
    pub index: Option<u64>,
}

fn named<S: serde::Serializer>(means: &Means, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(means.name())
}

impl ActivationReport {
    fn of(
        approved: Judgement,
        in_force: Judgement,
        facts: Option<Facts>,
        revocation: Revocation,
    ) -> Self {
        let verdict = approved.verdict.max(in_force.verdict);
        Self { verdict, approved, in_force, facts, revocation }
    }

    /// The code of the first thing that is wrong or missing.
    pub fn code(&self) -> Option<&str> {
        let mut reasons = [&self.approved, &self.in_force].into_iter();
        reasons.find_map(|one| one.refusal.as_ref()).map(|reason| reason.code.as_str())
    }
}

/// Judges a bundle.
pub fn verify_activation(text: &[u8], grounds: &Grounds<'_>) -> ActivationReport {
    let bundle = match Bundle::parse(text) {
        Ok(bundle) => bundle,
        Err(refusal) => {
            let no = Judgement::no(Verdict::Invalid, &refusal);
            return ActivationReport::of(no.clone(), no, None, Revocation::NotChecked);
        }
    };
    let certificate = match Certificate::from_der(&bundle.certificate) {
        Ok(certificate) => certificate,
        Err(refusal) => {
            let no = Judgement::no(Verdict::Invalid, &refusal);
            return ActivationReport::of(no.clone(), no, None, Revocation::NotChecked);
        }
    };
    let mut facts = facts(&bundle, &certificate);
    let (approved, entries) = match approved(&bundle, &certificate, grounds) {
        Ok((binding, outcome)) => (Judgement::valid(), Some((binding, outcome))),
        Err(judgement) => (judgement, None),
    };
    let Some((binding, outcome)) = entries else {
        // When it was made is not known, so neither is what counted then.
        let in_force = Judgement { verdict: Verdict::CannotTell, ..approved.clone() };
        return ActivationReport::of(approved, in_force, Some(facts), Revocation::NotChecked);
    };
    facts.signed = Some(outcome.time.rfc3339());
    facts.index = Some(outcome.index);
    let (in_force, revocation) =
        in_force(&bundle, &certificate, binding.as_ref(), &outcome, grounds);
    ActivationReport::of(approved, in_force, Some(facts), revocation)
}

fn facts(bundle: &Bundle, certificate: &Certificate) -> Facts {
    let statement = &bundle.statement;
    Facts {
        kind: bundle.document.kind,
        name: certificate.common_name().unwrap_or_default().to_owned(),
        name_ja: certificate.name_ja().map(str::to_owned),
        person: statement.person,
        key: statement.key,
        facility: statement.facility_id.clone(),
        facility_name: statement.facility_name.clone(),
        terminal: statement.terminal_label.clone(),
        count: statement.count,
        place: bundle.document.index.saturating_add(1),
        short_code: statement.short_code(),
        means: bundle.card.as_ref().map_or(Means::Phone, |card| card.means.into()),
        dtbsr: hex::encode(bundle.document.dtbsr),
        signed: None,
        index: None,
    }
}

/// The chain of checks from the document to the journal's outcome.
fn approved(
    bundle: &Bundle,
    certificate: &Certificate,
    grounds: &Grounds<'_>,
) -> Result<(Option<Entry>, Entry), Judgement> {
    let wrong = |refusal| Judgement::no(Verdict::Invalid, &refusal);
    bundle.check_document().map_err(wrong)?;
    bundle.check_proof().map_err(wrong)?;
    let binding = match grounds.journal {
        Some(journal) => linked(bundle, journal)?,
        None => None,
    };
    if hpki_card(bundle).is_some() {
        same_holder(bundle, certificate)?;
    }
    signature(bundle, certificate, grounds.at_hand)?;
    let outcome = match grounds.journal {
        Some(journal) => Some(signed(bundle, journal)?),
        None => None,
    };
    if let Some(card) = hpki_card(bundle) {
        issued(card, bundle.received.at, grounds)?;
    }
    outcome.map(|outcome| (binding, outcome)).ok_or_else(|| Refusal::LogKeyMissing.into())
}

/// The HPKI card that approved it, if one did.
fn hpki_card(bundle: &Bundle) -> Option<&CardEvidence> {
    bundle.card.as_ref().filter(|card| card.means == CardMeans::Hpki)
}

/// An HPKI card speaks for keys of its own holder alone: the same number at the same organisation, with
/// the same qualification, as in the signer's certificate.
fn same_holder(bundle: &Bundle, signer: &Certificate) -> Result<(), Refusal> {
    let card = hpki_card(bundle).and_then(|card| Certificate::from_der(&card.certificate).ok());
    let same = card.is_some_and(|card| {
        card.subject_serial_number().is_some_and(|number| !number.is_empty())
            && card.subject_serial_number() == signer.subject_serial_number()
            && card.issuer().organization().is_some()
            && card.issuer().organization() == signer.issuer().organization()
            && card.qualification().is_some()
            && card.qualification() == signer.qualification()
    });
    if same { Ok(()) } else { Err(Refusal::CardOtherHolder) }
}

/// The binding's entry opens to this person, key and phone or My Number Card. An HPKI card has none.
fn linked(bundle: &Bundle, journal: &dyn Journal) -> Result<Option<Entry>, Refusal> {
    let Some(proof) = &bundle.binding else { return Ok(None) };
    let entry = journal.entry(proof).map_err(Refusal::BindingProofWrong)?;
    let expected = if bundle.card.is_some() { "card.linked" } else { "phone.linked" };
    if entry.event != expected {
        return Err(Refusal::BindingNotALinking(entry.event));
    }
    if entry.person != Some(bundle.statement.person) {
        return Err(Refusal::BindingOtherPerson);
    }
    if entry.key != Some(bundle.statement.key) {
        return Err(Refusal::BindingOtherKey);
    }
    let phone = bundle
        .webauthn
        .as_ref()
        .map(|phone| approval::binding_commitment(&phone.credential_id, &phone.cose));
    let card = bundle.card.as_ref().map(|card| card_commitment(&card.certificate));
    if entry.evidence.is_none() || entry.evidence != phone.or(card) {
        return Err(Refusal::BindingOtherPhone);
    }
    Ok(Some(entry))
}

/// The signature verifies over dtbsr, and what is at hand has this digest.
fn signature(
    bundle: &Bundle,
    certificate: &Certificate,
    at_hand: Option<Digest32>,
) -> Result<(), Refusal> {
    VerifyingKey::new(Algorithm::RsaSha256, certificate.spki_der())
        .ok()
        .and_then(|key| key.verify_digest(&bundle.document.dtbsr, &bundle.signature).ok())
        .ok_or(Refusal::SignatureWrong)?;
    match at_hand {
        Some(dtbsr) if dtbsr != bundle.document.dtbsr => Err(Refusal::SignedInfoOther),
        _ => Ok(()),
    }
}

/// The outcome's entry opens to the same hash and signature, as it was approved, and rests on exactly
/// this approval. Without the last, whoever holds the proof of a signature of the morning's session
/// could have that document "approved" afterwards. It also says that the approval came first: an
/// entry cannot name the hash of what does not exist yet.
fn signed(bundle: &Bundle, journal: &dyn Journal) -> Result<Entry, Refusal> {
    let entry = journal.entry(&bundle.outcome).map_err(Refusal::OutcomeProofWrong)?;
    if entry.event != "signature.made" {
        return Err(Refusal::OutcomeNotASignature(entry.event));
    }
    if entry.dtbsr != Some(bundle.document.dtbsr) {
        return Err(Refusal::OutcomeOtherHash);
    }
    if entry.signature_hash != Some(sha256(&bundle.signature)) {
        return Err(Refusal::OutcomeOtherSignature);
    }
    let statement = &bundle.statement;
    let differs = [
        (entry.key != Some(statement.key), "key"),
        (entry.person != Some(statement.person), "person"),
        (entry.facility.as_ref() != Some(&statement.facility_id), "facility"),
        (entry.kind != Some(bundle.document.kind), "kind"),
    ];
    if let Some((_, what)) = differs.iter().find(|(differs, _)| *differs) {
        return Err(Refusal::OutcomeNotAsApproved(what));
    }
    let approval = bundle.approval().ok().map(|approval| approval.evidence_hash());
    if approval.is_none() || entry.evidence != approval {
        return Err(Refusal::OutcomeOtherApproval);
    }
    Ok(entry)
}

/// Whether an authority of the pinned roots issued this card's certificate for authentication, and its
/// time ran when the approval was received. Anybody can make a certificate that names her: without
/// this it would not be her approval. Whether it had been revoked is the other question.
fn issued(card: &CardEvidence, at: Timestamp, grounds: &Grounds<'_>) -> Result<(), Judgement> {
    if grounds.anchors.is_empty() {
        return Err(Refusal::RootMissing.into());
    }
    approval::card::read(&card.certificate)
        .and_then(|certificate| chain(&certificate, at, path::Revocation::NotChecked, grounds))
        .map_err(|refusal| Judgement::no(Verdict::Invalid, &refusal))
}

/// Whether an HPKI card's own authentication certificate counted at a moment: its whole chain, policy
/// arm and revocation, by these roots, certificates between and lists.
///
/// # Errors
/// `card-malformed`, `card-key-wrong`, and what [`approval::card::of_chain`] makes of the chain;
/// `card-status-unknown` where no list tells.
pub fn card_counts(
    certificate: &[u8],
    at: Timestamp,
    grounds: &Grounds<'_>,
) -> Result<(), approval::Refusal> {
    let certificate = approval::card::read(certificate)?;
    let revocation = match grounds.crls {
        None => path::Revocation::NotChecked,
        Some(lists) => path::Revocation::Lists(lists),
    };
    chain(&certificate, at, revocation, grounds)
}

fn chain(
    certificate: &Certificate,
    at: Timestamp,
    revocation: path::Revocation<'_>,
    grounds: &Grounds<'_>,
) -> Result<(), approval::Refusal> {
    path::validate(&Question {
        leaf: certificate,
        intermediates: grounds.intermediates,
        anchors: grounds.anchors,
        revocation,
        at,
        policies: &[hpki::oid::POLICY_AUTHENTICATION],
        usage: Usage::Authentication,
    })
    .map(|_| ())
    .map_err(approval::card::of_chain)
}

/// What speaks against the card's own chain at the moment when it was signed.
fn against_card(card: &CardEvidence, outcome: &Entry, grounds: &Grounds<'_>) -> Option<Judgement> {
    let refusal = card_counts(&card.certificate, outcome.time, grounds).err()?;
    let verdict = match refusal {
        approval::Refusal::CardStatusUnknown => Verdict::CannotTell,
        _ => Verdict::Invalid,
    };
    Some(Judgement::no(verdict, &refusal))
}

/// Whether everything counted when the journal says that it was signed.
fn in_force(
    bundle: &Bundle,
    certificate: &Certificate,
    binding: Option<&Entry>,
    outcome: &Entry,
    grounds: &Grounds<'_>,
) -> (Judgement, Revocation) {
    let unchecked = Revocation::NotChecked;
    let later = |linked: &Entry| linked.index >= outcome.index || linked.time > outcome.time;
    if binding.is_some_and(later) {
        return (Refusal::LinkedLater.into(), unchecked);
    }
    if outcome.time > bundle.statement.not_after.plus(LATE_S) {
        return (Refusal::ApprovalOver.into(), unchecked);
    }
    if let Err(refusal) = rules::check(bundle.document.kind, certificate.qualification()) {
        return (Judgement::no(Verdict::Invalid, &refusal), unchecked);
    }
    if grounds.anchors.is_empty() {
        return (Refusal::RootMissing.into(), unchecked);
    }
    if let Some(judgement) = hpki_card(bundle).and_then(|card| against_card(card, outcome, grounds))
    {
        return (judgement, unchecked);
    }
    let valid = path::validate(&Question {
        leaf: certificate,
        intermediates: grounds.intermediates,
        anchors: grounds.anchors,
        revocation: match grounds.crls {
            None => path::Revocation::NotChecked,
            Some(lists) => path::Revocation::Lists(lists),
        },
        at: outcome.time,
        policies: grounds.policies,
        usage: Usage::NonRepudiation,
    });
    match valid {
        Ok(valid) => (
            Judgement::valid(),
            match valid.revocation {
                RevocationAnswer::NotChecked => unchecked,
                RevocationAnswer::Good { as_of, next_update } => {
                    Revocation::Good { as_of: as_of.rfc3339(), next_update: next_update.rfc3339() }
                }
            },
        ),
        Err(refusal) if refusal.is_undetermined() => {
            (Judgement::no(Verdict::CannotTell, &refusal), Revocation::Unknown)
        }
        Err(refusal) => {
            let revocation = match &refusal {
                hpki::Refusal::CertificateRevoked { at, reason, .. } => {
                    Revocation::Revoked { since: at.rfc3339(), reason: reason.name() }
                }
                _ => unchecked,
            };
            (Judgement::no(Verdict::Invalid, &refusal), revocation)
        }
    }
}
