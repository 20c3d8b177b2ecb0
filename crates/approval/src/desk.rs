//! 窓口: what an officer of the authority's desk approves with her own passkey.
//!
//! Each act is a statement of its own that names the officer, the owner's key and the reason; an act
//! that needs two officers is one order under which each signs a statement of her own. Signing in
//! is a statement that allows nothing but looking.

use std::fmt;
use std::str::FromStr;

use hpki::encoding::{Digest32, Statement as Encoded};
use hpki::id::{DeskOrderId, InvitationId, KeyId, OfficerId, PersonId, TokenId};
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::evidence::AssertionEvidence;
use crate::refusal::Refusal;
use crate::webauthn::{self, AssertionOutcome, Credential, RegistrationResponse, RelyingParty};

/// What the desk can do to a key and its means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeskAct {
    /// The phone was lost: it is unlinked, and all sessions end.
    Loss,
    /// The key signs nothing until the desk lifts this again.
    Suspend,
    /// The desk's own suspension is lifted.
    Resume,
    /// A new initial-registration sheet is issued; earlier ones are void.
    Sheet,
    /// One session ends; phone and key stay.
    Session,
}

impl DeskAct {
    /// All, in the order people see them.
    pub const ALL: [Self; 5] =
        [Self::Loss, Self::Suspend, Self::Resume, Self::Sheet, Self::Session];

    /// The name in statements, rows and interfaces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Sheet => "sheet",
            Self::Session => "session",
        }
    }

    /// What people call it, in Japanese.
    pub const fn ja(self) -> &'static str {
        match self {
            Self::Loss => "電話の紛失の届出",
            Self::Suspend => "鍵の停止",
            Self::Resume => "鍵の再開",
            Self::Sheet => "初期登録用紙の発行",
            Self::Session => "認証を終わらせる",
        }
    }

    /// How many officers it takes: taking power away is one's, giving it is never one's alone.
    pub const fn officers(self) -> usize {
        match self {
            Self::Loss | Self::Suspend | Self::Session => 1,
            Self::Resume | Self::Sheet => 2,
        }
    }
}

impl fmt::Display for DeskAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DeskAct {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|act| act.name() == text).ok_or(())
    }
}

/// An officer's own word for one act of the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeskStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// Fresh for this answer.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
    /// Who approves.
    pub officer: OfficerId,
    /// Under which order: the officers of one act name the same.
    pub order: DeskOrderId,
    /// What is to be done.
    pub act: DeskAct,
    /// To whose key.
    pub person: PersonId,
    /// To which key.
    pub key: KeyId,
    /// Why, in the words of the officer who opened the order.
    pub reason: String,
    /// Which session, where the act is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<TokenId>,
}

impl DeskStatement {
    /// `H("azukari/approve/desk/v1"; issuer, rpId, nonce, officer, order, act, person, key, reason,
    /// session)`.
    pub fn challenge(&self) -> Digest32 {
        Encoded::new("azukari/approve/desk/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(&self.nonce)
            .octets_field(self.officer.octets())
            .octets_field(self.order.octets())
            .text(self.act.name())
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .text(&self.reason)
            .optional(self.session.as_ref().map(|session| &session.octets()[..]))
            .digest()
    }

    /// Whether both are the word for the same act.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let mut same = other.clone();
        (same.nonce, same.officer) = (self.nonce, self.officer);
        same == *self
    }
}

/// Signing in at the desk. Which officer it is, her passkey says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeskSigninStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// Fresh for this sign-in.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
}

impl DeskSigninStatement {
    /// `H("azukari/approve/desk-signin/v1"; issuer, rpId, nonce)`.
    pub fn challenge(&self) -> Digest32 {
        Encoded::new("azukari/approve/desk-signin/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(&self.nonce)
            .digest()
    }
}

/// Becoming an officer of the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfficerStatement {
    /// The platform, as in tokens.
    pub issuer: String,
    /// The relying party of the credential.
    pub rp_id: String,
    /// The invitation that is used up by it.
    pub invitation: InvitationId,
    /// Fresh for this invitation.
    #[serde(with = "crate::b64")]
    pub nonce: [u8; 32],
    /// The officer's number.
    pub officer: OfficerId,
    /// What people call her.
    pub name: String,
}

impl OfficerStatement {
    /// `H("azukari/approve/officer/v1"; issuer, rpId, invitation, nonce, officer, name)`.
    pub fn challenge(&self) -> Digest32 {
        Encoded::new("azukari/approve/officer/v1")
            .text(&self.issuer)
            .text(&self.rp_id)
            .octets_field(self.invitation.octets())
            .octets_field(&self.nonce)
            .octets_field(self.officer.octets())
            .text(&self.name)
            .digest()
    }
}

/// The proof that somebody became an officer with this passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfficerEvidence {
    /// What was agreed to.
    pub statement: OfficerStatement,
    /// The authenticator's answer.
    pub registration: RegistrationResponse,
    /// The user handle that was asked for.
    #[serde(with = "crate::b64")]
    pub user_handle: Vec<u8>,
    /// When the platform received it.
    pub enrolled: Timestamp,
}

impl OfficerEvidence {
    /// The hash of the whole evidence, as journalled: `H("azukari/evidence/officer/v1"; challenge,
    /// clientDataJSON, attestationObject, userHandle, enrolled)`.
    pub fn evidence_hash(&self) -> Digest32 {
        Encoded::new("azukari/evidence/officer/v1")
            .octets_field(&self.statement.challenge())
            .octets_field(&self.registration.client_data_json)
            .octets_field(&self.registration.attestation_object)
            .octets_field(&self.user_handle)
            .time(self.enrolled)
            .digest()
    }
}

/// An officer's statement and the proof that it is hers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeskApproval {
    /// What she approved.
    pub statement: DeskStatement,
    /// The authenticator's signature.
    pub webauthn: AssertionEvidence,
    /// When the platform received it.
    pub approved: Timestamp,
}

impl DeskApproval {
    /// The hash of the whole evidence, as journalled: `H("azukari/evidence/desk/v1"; challenge,
    /// credentialId, clientDataJSON, authenticatorData, signature, cose, approved)`.
    pub fn evidence_hash(&self) -> Digest32 {
        Encoded::new("azukari/evidence/desk/v1")
            .octets_field(&self.statement.challenge())
            .octets_field(&self.webauthn.credential_id)
            .octets_field(&self.webauthn.client_data_json)
            .octets_field(&self.webauthn.authenticator_data)
            .octets_field(&self.webauthn.signature)
            .octets_field(&self.webauthn.cose)
            .time(self.approved)
            .digest()
    }
}

/// The hash that stands for all officers' evidence of one act:
/// `H("azukari/evidence/desk-order/v1"; evidence hash, …)`, in the order in which they approved.
pub fn order_evidence(approvals: &[DeskApproval]) -> Digest32 {
    approvals
        .iter()
        .fold(Encoded::new("azukari/evidence/desk-order/v1"), |all, approval| {
            all.octets_field(&approval.evidence_hash())
        })
        .digest()
}

/// Checks that an officer's statement was approved by this passkey, for this relying party. Whether
/// the passkey is that officer's is the caller's to know.
///
/// # Errors
/// Whatever [`webauthn::assertion`] refuses; `rp-id-wrong` if the statement names another relying
/// party; `evidence-wrong` if the evidence carries another public key than the credential's.
pub fn check_desk(
    approval: &DeskApproval,
    credential: &Credential,
    rp: &RelyingParty,
) -> Result<AssertionOutcome, Refusal> {
    if approval.statement.rp_id != rp.rp_id {
        return Err(Refusal::RpIdWrong);
    }
    if approval.webauthn.cose != credential.cose {
        return Err(Refusal::EvidenceWrong("cose"));
    }
    let challenge = approval.statement.challenge();
    webauthn::assertion(&approval.webauthn.response(), credential, &challenge, rp)
}

/// Checks the enrolment of an officer and gives the passkey that it made.
///
/// # Errors
/// Whatever [`webauthn::registration`] refuses; `rp-id-wrong` if the statement names another
/// relying party.
pub fn check_officer(evidence: &OfficerEvidence, rp: &RelyingParty) -> Result<Credential, Refusal> {
    if evidence.statement.rp_id != rp.rp_id {
        return Err(Refusal::RpIdWrong);
    }
    let challenge = evidence.statement.challenge();
    webauthn::registration(&evidence.registration, &challenge, rp, &evidence.user_handle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::Phone;

    const ORIGIN: &str = "https://localhost:8443";

    fn rp() -> RelyingParty {
        RelyingParty { rp_id: "localhost".into(), origins: vec![ORIGIN.into()] }
    }

    fn statement() -> DeskStatement {
        DeskStatement {
            issuer: "https://platform.test".into(),
            rp_id: "localhost".into(),
            nonce: [1; 32],
            officer: OfficerId::from_octets([2; 16]),
            order: DeskOrderId::from_octets([3; 16]),
            act: DeskAct::Resume,
            person: PersonId::from_octets([4; 16]),
            key: KeyId::from_octets([5; 16]),
            reason: "本人が来所".into(),
            session: None,
        }
    }

    fn enrolment() -> OfficerStatement {
        OfficerStatement {
            issuer: "https://platform.test".into(),
            rp_id: "localhost".into(),
            invitation: InvitationId::from_octets([6; 16]),
            nonce: [7; 32],
            officer: OfficerId::from_octets([2; 16]),
            name: "架空 係子".into(),
        }
    }

    fn enrolled(phone: &mut Phone) -> (OfficerEvidence, Credential) {
        let statement = enrolment();
        let evidence = OfficerEvidence {
            registration: phone.create(&statement.challenge(), b"handle"),
            statement,
            user_handle: b"handle".to_vec(),
            enrolled: Timestamp::from_seconds(900),
        };
        let credential = check_officer(&evidence, &rp()).unwrap();
        (evidence, credential)
    }

    fn approval(phone: &Phone, credential: &Credential) -> DeskApproval {
        let statement = statement();
        DeskApproval {
            webauthn: AssertionEvidence::new(&phone.get(&statement.challenge()), credential),
            statement,
            approved: Timestamp::from_seconds(1_000),
        }
    }

    #[test]
    fn evidence_of_the_desk_survives_json_and_is_checked_again_from_it() {
        let mut phone = Phone::new("localhost", ORIGIN, b"officer");
        let (evidence, credential) = enrolled(&mut phone);
        let text = serde_json::to_string(&evidence).unwrap();
        let again: OfficerEvidence = serde_json::from_str(&text).unwrap();
        assert_eq!(again.evidence_hash(), evidence.evidence_hash());
        let approval = approval(&phone, &credential);
        let text = serde_json::to_string(&approval).unwrap();
        let again: DeskApproval = serde_json::from_str(&text).unwrap();
        assert_eq!(again.evidence_hash(), approval.evidence_hash());
        assert!(check_desk(&again, &credential, &rp()).is_ok());
        let other = order_evidence(&[approval.clone(), approval.clone()]);
        assert_ne!(order_evidence(&[approval]), other);
    }

    #[test]
    fn each_field_of_an_act_is_in_what_the_officer_signs() {
        let mut phone = Phone::new("localhost", ORIGIN, b"officer");
        let (_, credential) = enrolled(&mut phone);
        let good = approval(&phone, &credential);
        type Change = fn(&mut DeskStatement);
        let changes: [Change; 9] = [
            |said| said.issuer.push('x'),
            |said| said.nonce[0] ^= 1,
            |said| said.officer = OfficerId::from_octets([9; 16]),
            |said| said.order = DeskOrderId::from_octets([9; 16]),
            |said| said.act = DeskAct::Sheet,
            |said| said.person = PersonId::from_octets([9; 16]),
            |said| said.key = KeyId::from_octets([9; 16]),
            |said| said.reason.push('。'),
            |said| said.session = Some(TokenId::from_octets([9; 16])),
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed.statement);
            let refused = check_desk(&changed, &credential, &rp());
            assert_eq!(refused, Err(Refusal::ChallengeMismatch));
        }
        let elsewhere = RelyingParty { rp_id: "example.org".into(), origins: vec![ORIGIN.into()] };
        assert_eq!(check_desk(&good, &credential, &elsewhere), Err(Refusal::RpIdWrong));
        let mut cose = good;
        cose.webauthn.cose.push(0);
        assert_eq!(check_desk(&cose, &credential, &rp()), Err(Refusal::EvidenceWrong("cose")));
    }

    #[test]
    fn an_enrolment_for_another_name_or_invitation_is_refused() {
        let mut phone = Phone::new("localhost", ORIGIN, b"officer");
        let (good, _) = enrolled(&mut phone);
        for change in [
            |said: &mut OfficerStatement| said.name = "別人".into(),
            |said: &mut OfficerStatement| said.invitation = InvitationId::from_octets([9; 16]),
            |said: &mut OfficerStatement| said.officer = OfficerId::from_octets([9; 16]),
        ] {
            let mut changed = good.clone();
            change(&mut changed.statement);
            assert_eq!(check_officer(&changed, &rp()), Err(Refusal::ChallengeMismatch));
        }
    }

    #[test]
    fn two_officers_agree_when_all_but_their_names_and_nonces_is_the_same() {
        let one = statement();
        let mut two = one.clone();
        (two.nonce, two.officer) = ([9; 32], OfficerId::from_octets([9; 16]));
        assert!(one.agrees_with(&two));
        two.reason = "他の理由".into();
        assert!(!one.agrees_with(&two));
    }

    #[test]
    fn the_challenges_of_the_desk_are_the_documented_ones() {
        let hex = |digest: Digest32| hex::encode(digest);
        let signin = DeskSigninStatement {
            issuer: "https://platform.test".into(),
            rp_id: "localhost".into(),
            nonce: [1; 32],
        };
        let distinct =
            [hex(statement().challenge()), hex(enrolment().challenge()), hex(signin.challenge())];
        assert_eq!(distinct.iter().collect::<std::collections::HashSet<_>>().len(), 3);
        // A script computes the same from what it shows (assets/phone).
        assert_eq!(hex(statement().challenge()), EXPECTED);
    }

    /// Computed outside, by a script that knows the encoding only.
    const EXPECTED: &str = "3987d885839c064ddf33eee93bd89303d66ba128f5e498d2a3e2177c6f94979f";
}
