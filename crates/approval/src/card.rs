//! A card's signature over a statement, and how it is judged.
//!
//! The authentication key of an HPKI card or of a My Number Card signs the 32 octets of the
//! statement's challenge, with SHA-256 and PKCS#1 v1.5 (RFC 8017 §8.2), so that
//! `openssl dgst -sha256 -verify` over a file of these octets agrees. A card shows nothing to its
//! holder: what she was shown is what the host computed the challenge from.
//!
//! An HPKI card is judged by its whole chain to a pinned root, under the policy of authentication
//! certificates, with revocation lists handed in. A My Number Card says neither name nor
//! qualification: it is the checker's own copy of the linked certificate that counts.

use hpki::encoding::{Digest32, Statement as Encoded};
use hpki::id::BindingId;
use hpki::ocsp::Standing;
use hpki::oid::ObjectIdentifier;
use hpki::path::{self, Anchor, Question, Revocation, RevocationAnswer, Usage};
use hpki::policy::{Algorithm, KeyKind, VerifyingKey};
use hpki::time::Timestamp;
use hpki::{Certificate, Crl};
use serde::{Deserialize, Serialize};

use crate::evidence::Approval;
use crate::proof::{Means, Proof};
use crate::refusal::Refusal;
use crate::statement::Statement;

/// No card's certificate is longer: real ones have about 1,500 octets.
pub const CERTIFICATE_MAX: usize = 8 * 1024;
/// The signature of the largest key that is accepted.
const SIGNATURE_MAX: usize = 512;
/// RSA moduli that are accepted, in bits: cards have 2048 today.
const MODULUS: std::ops::RangeInclusive<u32> = 2048..=4096;

/// Which card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CardMeans {
    /// An HPKI card.
    Hpki,
    /// A My Number Card.
    Jpki,
}

impl CardMeans {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hpki => "hpki",
            Self::Jpki => "jpki",
        }
    }
}

impl From<CardMeans> for Means {
    fn from(means: CardMeans) -> Self {
        match means {
            CardMeans::Hpki => Self::Hpki,
            CardMeans::Jpki => Self::Jpki,
        }
    }
}

/// What a card signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CardEvidence {
    /// Which card.
    pub means: CardMeans,
    /// Its authentication certificate, DER.
    #[serde(with = "crate::b64")]
    pub certificate: Vec<u8>,
    /// Its signature over the challenge.
    #[serde(with = "crate::b64")]
    pub signature: Vec<u8>,
}

impl CardEvidence {
    /// What stands for the linking of an HPKI card, which nobody links: the first sixteen octets of
    /// [`card_commitment`]. Whatever was approved by this card can be found, and ended, by it.
    pub fn own_binding(certificate: &[u8]) -> BindingId {
        let commitment = card_commitment(certificate);
        let mut id = [0; 16];
        id.copy_from_slice(&commitment[..16]);
        BindingId::from_octets(id)
    }
}

/// What the journal's entry about a linked card commits to: `H("azukari/card/v1"; certificate)`.
pub fn card_commitment(certificate: &[u8]) -> Digest32 {
    Encoded::new("azukari/card/v1").octets_field(certificate).digest()
}

/// Whom an HPKI card is believed by. All of it is handed in by whoever checks.
#[derive(Debug, Clone, Default)]
pub struct CardTrust {
    /// The pinned roots.
    pub anchors: Vec<Anchor>,
    /// The authentication authorities below them.
    pub intermediates: Vec<Certificate>,
    /// The lists of all of these authorities.
    pub lists: Vec<Crl>,
    /// The policies of authentication certificates (arm `.2.`).
    pub policies: Vec<ObjectIdentifier>,
    /// No list or answer older than so many seconds is believed, whatever it promises itself.
    pub oldest_list_s: u64,
}

impl CardTrust {
    /// Judges an HPKI card's certificate: whole chain, policy, key usage, revocation, qualification.
    ///
    /// # Errors
    /// `card-issuer-unknown`, `card-not-for-authentication`, `card-expired`, `card-revoked`,
    /// `card-status-unknown`, `card-certificate-wrong`, `card-role-unknown`, `card-key-wrong`.
    pub fn judge(&self, certificate: &Certificate, at: Timestamp) -> Result<(), Refusal> {
        self.judge_chain(certificate, at)?;
        match certificate.qualification() {
            Some(_) => Ok(()),
            None => Err(Refusal::CardRoleUnknown),
        }
    }

    /// The same without asking for a qualification: for a My Number Card, whose authority certifies
    /// residents, under trust of its own.
    ///
    /// # Errors
    /// As [`CardTrust::judge`], `card-role-unknown` apart.
    pub fn judge_chain(&self, certificate: &Certificate, at: Timestamp) -> Result<(), Refusal> {
        self.judge_by(certificate, Revocation::Lists(&self.lists), at)
    }

    /// Whether a trusted authority issued this certificate for authentication and its time has not run
    /// out, without asking whether it was revoked.
    ///
    /// # Errors
    /// As [`CardTrust::judge_chain`], apart from what concerns its status.
    pub fn judge_issued(&self, certificate: &Certificate, at: Timestamp) -> Result<(), Refusal> {
        self.valid_by(certificate, Revocation::NotChecked, at).map(|_| ())
    }

    /// The same by what the card's authority itself said of this certificate, when it was asked
    /// (OCSP); the lists are not looked at.
    ///
    /// # Errors
    /// As [`CardTrust::judge_chain`], and `card-unknown-to-issuer`.
    pub fn judge_answer(
        &self,
        certificate: &Certificate,
        answer: &Standing,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        self.judge_by(certificate, Revocation::Answers(std::slice::from_ref(answer)), at)
    }

    fn judge_by(
        &self,
        certificate: &Certificate,
        revocation: Revocation<'_>,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        match self.valid_by(certificate, revocation, at)? {
            RevocationAnswer::Good { as_of, .. } if at.since(as_of) <= self.oldest_list_s => Ok(()),
            _ => Err(Refusal::CardStatusUnknown),
        }
    }

    fn valid_by(
        &self,
        certificate: &Certificate,
        revocation: Revocation<'_>,
        at: Timestamp,
    ) -> Result<RevocationAnswer, Refusal> {
        strong(certificate)?;
        let valid = path::validate(&Question {
            leaf: certificate,
            intermediates: &self.intermediates,
            anchors: &self.anchors,
            revocation,
            at,
            policies: &self.policies,
            usage: Usage::Authentication,
        });
        Ok(valid.map_err(of_chain)?.revocation)
    }
}

/// A chain's refusal in the words of whoever holds the card.
pub fn of_chain(refusal: hpki::Refusal) -> Refusal {
    use hpki::Refusal as Chain;
    match refusal {
        Chain::IssuerUnknown(_)
        | Chain::AnchorMismatch(_)
        | Chain::CertificateSignatureWrong(_) => Refusal::CardIssuerUnknown,
        Chain::KeyUsageWrong(_) | Chain::PolicyNotAllowed => Refusal::CardNotForAuthentication,
        Chain::CertificateExpired { .. } => Refusal::CardExpired,
        Chain::CertificateRevoked { .. } => Refusal::CardRevoked,
        Chain::OcspCertificateUnknown(_) => Refusal::CardUnknownToIssuer,
        other if other.is_undetermined() => Refusal::CardStatusUnknown,
        other => Refusal::CardCertificateWrong(other.to_string()),
    }
}

/// Reads a card's certificate.
///
/// # Errors
/// `card-malformed`, `card-key-wrong`.
pub fn read(der: &[u8]) -> Result<Certificate, Refusal> {
    if der.len() > CERTIFICATE_MAX {
        return Err(Refusal::CardMalformed("certificate"));
    }
    let certificate =
        Certificate::from_der(der).map_err(|_| Refusal::CardMalformed("certificate"))?;
    strong(&certificate)?;
    Ok(certificate)
}

fn strong(certificate: &Certificate) -> Result<(), Refusal> {
    match KeyKind::of(certificate.spki_der()) {
        Ok(KeyKind::Rsa(bits)) if MODULUS.contains(&bits) => Ok(()),
        _ => Err(Refusal::CardKeyWrong),
    }
}

/// Whether the key of this certificate signed the 32 octets of this challenge.
///
/// # Errors
/// `card-malformed`, `card-key-wrong`, `card-signature-wrong`.
pub fn check_signature(
    certificate: &Certificate,
    challenge: &Digest32,
    signature: &[u8],
) -> Result<(), Refusal> {
    if signature.len() > SIGNATURE_MAX {
        return Err(Refusal::CardMalformed("signature"));
    }
    strong(certificate)?;
    let key = VerifyingKey::new(Algorithm::RsaSha256, certificate.spki_der())
        .map_err(|_| Refusal::CardKeyWrong)?;
    key.verify(challenge, signature).map_err(|_| Refusal::CardSignatureWrong)
}

fn evidence(approval: &Approval, means: CardMeans) -> Result<&CardEvidence, Refusal> {
    match &approval.proof {
        Proof::Card(card) if card.means == means => Ok(card),
        _ => Err(Refusal::MeansWrong),
    }
}

/// Checks that the statement was approved by an HPKI card that is believed at this moment, and gives
/// the card's certificate. Whose card it is, is the caller's to know: the certificate names her.
///
/// # Errors
/// `means-wrong`; what [`read`], [`CardTrust::judge`] and [`check_signature`] refuse;
/// `evidence-wrong` if the approval names another linking than the card's own.
pub fn check_hpki(
    approval: &Approval,
    trust: &CardTrust,
    at: Timestamp,
) -> Result<Certificate, Refusal> {
    let card = evidence(approval, CardMeans::Hpki)?;
    let certificate = read(&card.certificate)?;
    if approval.binding != CardEvidence::own_binding(&card.certificate) {
        return Err(Refusal::EvidenceWrong("binding"));
    }
    trust.judge(&certificate, at)?;
    check_signature(&certificate, &approval.statement.challenge(), &card.signature)?;
    Ok(certificate)
}

/// Checks that the statement was approved by the My Number Card that was linked: `linked` is the
/// checker's own copy of its certificate. Whether it was revoked since, its authority alone knows.
///
/// # Errors
/// `means-wrong`, `card-other`, `card-expired`; what [`check_signature`] refuses.
pub fn check_jpki(approval: &Approval, linked: &Certificate, at: Timestamp) -> Result<(), Refusal> {
    let card = evidence(approval, CardMeans::Jpki)?;
    if card.certificate != linked.der() {
        return Err(Refusal::CardOther);
    }
    if !linked.is_valid_at(at) {
        return Err(Refusal::CardExpired);
    }
    check_signature(linked, &approval.statement.challenge(), &card.signature)
}

/// The proof that a My Number Card was linked: what its holder approved by a means linked before, and
/// the card's own signature over the same challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CardLinkEvidence {
    /// Her approval, by phone or HPKI card.
    pub approval: Approval,
    /// What the card signed.
    pub card: CardEvidence,
    /// The linking's identifier.
    pub binding: BindingId,
    /// When the platform received it.
    pub linked: Timestamp,
}

impl CardLinkEvidence {
    /// The hash of the whole evidence, as journalled: `H("azukari/evidence/card-link/v1"; approval,
    /// certificate, signature, binding, linked)`, the approval by its own evidence hash.
    pub fn evidence_hash(&self) -> Digest32 {
        Encoded::new("azukari/evidence/card-link/v1")
            .octets_field(&self.approval.evidence_hash())
            .octets_field(&self.card.certificate)
            .octets_field(&self.card.signature)
            .octets_field(self.binding.octets())
            .time(self.linked)
            .digest()
    }
}

/// Checks what the card signed when it was linked, and gives its certificate. The approval is judged
/// by whoever knows the means that gave it.
///
/// # Errors
/// `means-wrong` for another card; `evidence-wrong` if something else than the linking of this card
/// was approved, or by the card itself; `card-expired`; what [`read`] and [`check_signature`] refuse.
pub fn check_card_link(evidence: &CardLinkEvidence, at: Timestamp) -> Result<Certificate, Refusal> {
    let Statement::LinkCard(said) = &evidence.approval.statement else {
        return Err(Refusal::EvidenceWrong("statement"));
    };
    let card = &evidence.card;
    if card.means != CardMeans::Jpki || evidence.approval.means() == Means::Jpki {
        return Err(Refusal::MeansWrong);
    }
    if said.card != card_commitment(&card.certificate) {
        return Err(Refusal::EvidenceWrong("card"));
    }
    let certificate = read(&card.certificate)?;
    if !certificate.is_valid_at(at) {
        return Err(Refusal::CardExpired);
    }
    check_signature(&certificate, &said.challenge(), &card.signature)?;
    Ok(certificate)
}
