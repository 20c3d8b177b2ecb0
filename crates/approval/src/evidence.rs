//! The evidence that is kept for as long as the signatures it allowed, and its check.

use hpki::encoding::{Digest32, Statement as Encoded};
use hpki::id::BindingId;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::card::CardEvidence;
use crate::proof::{Means, Proof};
use crate::refusal::Refusal;
use crate::statement::{LinkStatement, Statement};
use crate::webauthn::{
    self, AssertionOutcome, AssertionResponse, Credential, RegistrationResponse, RelyingParty,
};

/// What the authenticator signed when a statement was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssertionEvidence {
    /// Which credential.
    #[serde(with = "crate::b64")]
    pub credential_id: Vec<u8>,
    /// The octets of clientDataJSON.
    #[serde(rename = "clientDataJSON", with = "crate::b64")]
    pub client_data_json: Vec<u8>,
    /// The authenticator data.
    #[serde(with = "crate::b64")]
    pub authenticator_data: Vec<u8>,
    /// The signature over authenticator data and SHA-256 of clientDataJSON.
    #[serde(with = "crate::b64")]
    pub signature: Vec<u8>,
    /// The user handle that the authenticator named, if it named one.
    #[serde(with = "crate::b64::optional")]
    pub user_handle: Option<Vec<u8>>,
    /// The credential's public key (COSE_Key).
    #[serde(with = "crate::b64")]
    pub cose: Vec<u8>,
}

impl AssertionEvidence {
    /// The evidence of a phone's answer.
    pub fn new(response: &AssertionResponse, credential: &Credential) -> Self {
        Self {
            credential_id: response.credential_id.clone(),
            client_data_json: response.client_data_json.clone(),
            authenticator_data: response.authenticator_data.clone(),
            signature: response.signature.clone(),
            user_handle: response.user_handle.clone(),
            cose: credential.cose.clone(),
        }
    }

    pub(crate) fn response(&self) -> AssertionResponse {
        AssertionResponse {
            credential_id: self.credential_id.clone(),
            client_data_json: self.client_data_json.clone(),
            authenticator_data: self.authenticator_data.clone(),
            signature: self.signature.clone(),
            user_handle: self.user_handle.clone(),
        }
    }
}

/// A statement and the proof that its person approved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Approval {
    /// What was approved.
    pub statement: Statement,
    /// What her phone or card signed.
    pub proof: Proof,
    /// The linking under which phone or My Number Card was known; for an HPKI card, which nobody
    /// links, [`CardEvidence::own_binding`].
    pub binding: BindingId,
    /// When the platform received it.
    pub approved: Timestamp,
    /// Whether the place was also confirmed by carrying three digits from phone to terminal.
    pub number_confirmed: bool,
}

/// An approval as it is written: exactly one of `webauthn` and `card`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    statement: Statement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    webauthn: Option<AssertionEvidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    card: Option<CardEvidence>,
    binding: BindingId,
    approved: Timestamp,
    number_confirmed: bool,
}

impl From<Approval> for Written {
    fn from(approval: Approval) -> Self {
        let (webauthn, card) = match approval.proof {
            Proof::Phone(assertion) => (Some(assertion), None),
            Proof::Card(card) => (None, Some(card)),
        };
        Self {
            statement: approval.statement,
            webauthn,
            card,
            binding: approval.binding,
            approved: approval.approved,
            number_confirmed: approval.number_confirmed,
        }
    }
}

impl TryFrom<Written> for Approval {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let proof = match (written.webauthn, written.card) {
            (Some(assertion), None) => Proof::Phone(assertion),
            (None, Some(card)) => Proof::Card(card),
            _ => return Err("exactly one of webauthn and card"),
        };
        Ok(Self {
            statement: written.statement,
            proof,
            binding: written.binding,
            approved: written.approved,
            number_confirmed: written.number_confirmed,
        })
    }
}

impl Approval {
    /// The hash under which the journal and the token (`grant`) know this approval's statement.
    pub fn grant(&self) -> Digest32 {
        self.statement.challenge()
    }

    /// By which means it was approved.
    pub fn means(&self) -> Means {
        self.proof.means()
    }

    /// The hash of the whole evidence, as journalled: of a phone
    /// `H("azukari/evidence/approval/v1"; challenge, credentialId, clientDataJSON,
    /// authenticatorData, signature, cose, binding, approved, numberConfirmed)`, of a card
    /// `H("azukari/evidence/card-approval/v1"; challenge, means, certificate, signature, binding,
    /// approved, numberConfirmed)`.
    pub fn evidence_hash(&self) -> Digest32 {
        let signed = match &self.proof {
            Proof::Phone(assertion) => Encoded::new("azukari/evidence/approval/v1")
                .octets_field(&self.statement.challenge())
                .octets_field(&assertion.credential_id)
                .octets_field(&assertion.client_data_json)
                .octets_field(&assertion.authenticator_data)
                .octets_field(&assertion.signature)
                .octets_field(&assertion.cose),
            Proof::Card(card) => Encoded::new("azukari/evidence/card-approval/v1")
                .octets_field(&self.statement.challenge())
                .text(card.means.name())
                .octets_field(&card.certificate)
                .octets_field(&card.signature),
        };
        signed
            .octets_field(self.binding.octets())
            .time(self.approved)
            .number(u64::from(self.number_confirmed))
            .digest()
    }
}

/// What the journal's entry about a linked phone commits to, so that a stranger with the key can
/// find that it is this one: `H("azukari/binding/v1"; credentialId, cose)`. Person and kept key stand
/// in the entry itself.
pub fn binding_commitment(credential_id: &[u8], cose: &[u8]) -> Digest32 {
    Encoded::new("azukari/binding/v1").octets_field(credential_id).octets_field(cose).digest()
}

/// The proof that a phone was linked: the registration as the phone made it, and what it was for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkEvidence {
    /// What was agreed to.
    pub statement: LinkStatement,
    /// The phone's answer.
    pub registration: RegistrationResponse,
    /// The user handle that was asked for.
    #[serde(with = "crate::b64")]
    pub user_handle: Vec<u8>,
    /// The linking's identifier.
    pub binding: BindingId,
    /// When the platform received it.
    pub linked: Timestamp,
}

impl LinkEvidence {
    /// The hash of the whole evidence, as journalled:
    /// `H("azukari/evidence/link/v1"; challenge, clientDataJSON, attestationObject, userHandle,
    /// binding, linked)`.
    pub fn evidence_hash(&self) -> Digest32 {
        Encoded::new("azukari/evidence/link/v1")
            .octets_field(&self.statement.challenge())
            .octets_field(&self.registration.client_data_json)
            .octets_field(&self.registration.attestation_object)
            .octets_field(&self.user_handle)
            .octets_field(self.binding.octets())
            .time(self.linked)
            .digest()
    }
}

/// The proof that one phone took the place of another: the new one's registration, and the owner's
/// approval of exactly that credential on the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeEvidence {
    /// The new phone.
    pub link: LinkEvidence,
    /// What the old phone signed.
    pub approval: Approval,
}

impl ChangeEvidence {
    /// The hash of both, as journalled: `H("azukari/evidence/change/v1"; link, approval)`, each by
    /// its own evidence hash.
    pub fn evidence_hash(&self) -> Digest32 {
        Encoded::new("azukari/evidence/change/v1")
            .octets_field(&self.link.evidence_hash())
            .octets_field(&self.approval.evidence_hash())
            .digest()
    }
}

/// Checks a change of phones and gives the new credential. `old` is the checker's own copy of the
/// old phone's.
///
/// # Errors
/// Whatever [`check`] and [`check_link`] refuse; `evidence-wrong` if the old phone approved something
/// else than this new phone for this person and key.
pub fn check_change(
    evidence: &ChangeEvidence,
    old: &Credential,
    rp: &RelyingParty,
) -> Result<(Credential, AssertionOutcome), Refusal> {
    let Statement::Change(said) = &evidence.approval.statement else {
        return Err(Refusal::EvidenceWrong("statement"));
    };
    let link = &evidence.link.statement;
    let same = (said.issuer.as_str(), said.person, said.key, said.sheet)
        == (link.issuer.as_str(), link.person, link.key, link.sheet);
    if !same || evidence.approval.binding == evidence.link.binding {
        return Err(Refusal::EvidenceWrong("change"));
    }
    let outcome = check(&evidence.approval, old, rp)?;
    let new = check_link(&evidence.link, rp)?;
    if said.credential != binding_commitment(&new.id, &new.cose) {
        return Err(Refusal::EvidenceWrong("credential"));
    }
    Ok((new, outcome))
}

/// Checks that the statement was approved by this credential, for this relying party.
///
/// `credential` is the checker's own copy: `custody` uses the one it sealed when the phone was
/// linked. Whether the statement's person and key are the credential's is the caller's to know.
///
/// # Errors
/// Whatever [`webauthn::assertion`] refuses; `rp-id-wrong` if the statement names another relying
/// party; `evidence-wrong` if the evidence carries another public key than the credential's;
/// `means-wrong` if a card approved it.
pub fn check(
    approval: &Approval,
    credential: &Credential,
    rp: &RelyingParty,
) -> Result<AssertionOutcome, Refusal> {
    if approval.statement.rp_id() != rp.rp_id {
        return Err(Refusal::RpIdWrong);
    }
    let Proof::Phone(assertion) = &approval.proof else { return Err(Refusal::MeansWrong) };
    if assertion.cose != credential.cose {
        return Err(Refusal::EvidenceWrong("cose"));
    }
    webauthn::assertion(&assertion.response(), credential, &approval.statement.challenge(), rp)
}

/// Checks the linking of a phone and gives the credential that it made.
///
/// # Errors
/// Whatever [`webauthn::registration`] refuses; `rp-id-wrong` if the statement names another
/// relying party.
pub fn check_link(evidence: &LinkEvidence, rp: &RelyingParty) -> Result<Credential, Refusal> {
    if evidence.statement.rp_id != rp.rp_id {
        return Err(Refusal::RpIdWrong);
    }
    webauthn::registration(
        &evidence.registration,
        &evidence.statement.challenge(),
        rp,
        &evidence.user_handle,
    )
}
