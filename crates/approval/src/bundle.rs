//! The evidence of one document as it travels (protocols §6): what anybody needs to see, with every
//! database off, that its owner approved exactly this signature. It reveals no other document of
//! the batch.
//!
//! Reading is strict: an unknown, missing or doubled member, another version or another type is
//! refused, so that nothing stands in a bundle that nobody judges.

use hpki::encoding::Digest32;
use hpki::id::BindingId;
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::card::{self, CardEvidence, CardMeans, check_signature};
use crate::evidence::{Approval, AssertionEvidence};
use crate::proof::Proof;
use crate::refusal::Refusal;
use crate::statement::{DocumentsStatement, Statement, belongs, document_commitment};
use crate::webauthn::{self, AssertionResponse, RelyingParty};

/// No bundle is longer: two proofs, a certificate and some kilobytes.
const LARGEST: usize = 512 * 1024;
/// A tree of 2,000 documents has paths of 11.
const PATH_MAX: usize = 32;

/// The bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// 1
    v: u32,
    /// `documents`
    #[serde(rename = "type")]
    kind: String,
    /// What was approved: the fields of the challenge.
    pub statement: DocumentsStatement,
    /// This document, and its place among those approved.
    pub document: Document,
    /// The phone's signature, where a phone approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<Assertion>,
    /// The card's signature, where a card did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardEvidence>,
    /// How the platform took it: with statement and signature, all that the journal's entry of the
    /// signature commits to.
    pub received: Received,
    /// The journal's proof that the phone or My Number Card was linked (`c2sp.org/tlog-proof@v1`).
    /// An HPKI card is linked by nobody: its certificate says whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    /// The journal's proof of the signature.
    pub outcome: String,
    /// The signature value.
    #[serde(with = "crate::b64")]
    pub signature: Vec<u8>,
    /// The signer's certificate, DER.
    #[serde(with = "crate::b64")]
    pub certificate: Vec<u8>,
}

/// How an approval reached the platform. Nothing here is believed by itself: together with the
/// statement and what was signed it gives the hash ([`Approval::evidence_hash`]) that stands in the
/// journal's entry of the signature, and so ties that signature to this approval and to no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Received {
    /// Under which linking phone or card was known.
    pub binding: BindingId,
    /// When.
    pub at: Timestamp,
    /// Whether three digits were carried from phone to terminal.
    pub number_confirmed: bool,
}

/// One document of those approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// What it is.
    pub kind: DocumentKind,
    /// The digest algorithm, as a dotted object identifier.
    pub hash_oid: String,
    /// The digest of the document.
    #[serde(with = "crate::b64")]
    pub digest: Vec<u8>,
    /// The digest of what the key signed.
    #[serde(with = "crate::b64")]
    pub dtbsr: Digest32,
    /// Its place among those approved, from 0.
    pub index: u64,
    /// The way from it to the root, its sibling first.
    pub path: Vec<Hash>,
}

/// A hash of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(#[serde(with = "crate::b64")] pub Digest32);

/// What the authenticator signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assertion {
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
    /// The credential's public key (COSE_Key).
    #[serde(with = "crate::b64")]
    pub cose: Vec<u8>,
}

impl From<&AssertionEvidence> for Assertion {
    fn from(evidence: &AssertionEvidence) -> Self {
        Self {
            credential_id: evidence.credential_id.clone(),
            client_data_json: evidence.client_data_json.clone(),
            authenticator_data: evidence.authenticator_data.clone(),
            signature: evidence.signature.clone(),
            cose: evidence.cose.clone(),
        }
    }
}

impl From<&Assertion> for AssertionEvidence {
    fn from(assertion: &Assertion) -> Self {
        Self {
            credential_id: assertion.credential_id.clone(),
            client_data_json: assertion.client_data_json.clone(),
            authenticator_data: assertion.authenticator_data.clone(),
            signature: assertion.signature.clone(),
            user_handle: None,
            cose: assertion.cose.clone(),
        }
    }
}

impl Bundle {
    /// A bundle of version 1, if what was approved are documents.
    pub fn new(
        approval: &Approval,
        document: Document,
        (binding, outcome): (Option<String>, String),
        (signature, certificate): (Vec<u8>, Vec<u8>),
    ) -> Option<Self> {
        let Statement::Documents(statement) = approval.statement.clone() else { return None };
        let (webauthn, card) = match &approval.proof {
            Proof::Phone(assertion) => (Some(Assertion::from(assertion)), None),
            Proof::Card(card) => (None, Some(card.clone())),
        };
        Some(Self {
            v: 1,
            kind: "documents".to_owned(),
            statement,
            document,
            webauthn,
            card,
            received: Received {
                binding: approval.binding,
                at: approval.approved,
                number_confirmed: approval.number_confirmed,
            },
            binding,
            outcome,
            signature,
            certificate,
        })
    }

    /// The approval that this is the evidence of, as its hash was journalled (the user handle, which
    /// is not part of that hash, did not travel).
    ///
    /// # Errors
    /// `means-wrong` if there is neither a phone's signature nor a card's.
    pub fn approval(&self) -> Result<Approval, Refusal> {
        let proof = match (&self.webauthn, &self.card) {
            (Some(phone), None) => Proof::Phone(AssertionEvidence::from(phone)),
            (None, Some(card)) => Proof::Card(card.clone()),
            _ => return Err(Refusal::MeansWrong),
        };
        Ok(Approval {
            statement: Statement::Documents(self.statement.clone()),
            proof,
            binding: self.received.binding,
            approved: self.received.at,
            number_confirmed: self.received.number_confirmed,
        })
    }

    /// Reads one.
    ///
    /// # Errors
    /// `bundle-malformed`, `bundle-version-unknown`.
    pub fn parse(text: &[u8]) -> Result<Self, Refusal> {
        if text.len() > LARGEST {
            return Err(Refusal::BundleMalformed("it is too long".to_owned()));
        }
        let bundle: Self = serde_json::from_slice(text)
            .map_err(|error| Refusal::BundleMalformed(error.to_string()))?;
        if bundle.v != 1 || bundle.kind != "documents" {
            return Err(Refusal::BundleVersionUnknown);
        }
        let hpki = bundle.card.as_ref().is_some_and(|card| card.means == CardMeans::Hpki);
        if bundle.webauthn.is_some() == bundle.card.is_some() {
            return Err(Refusal::BundleMalformed("exactly one of webauthn and card".to_owned()));
        }
        if bundle.binding.is_some() == hpki {
            let why = "binding belongs to phones and My Number Cards";
            return Err(Refusal::BundleMalformed(why.to_owned()));
        }
        if bundle.document.path.len() > PATH_MAX {
            return Err(Refusal::BundleMalformed("its path is too long".to_owned()));
        }
        Ok(bundle)
    }

    /// Its text.
    ///
    /// # Errors
    /// None that a bundle of ours can have.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// Whether the document is among those that the statement is about: its commitment leads to
    /// the root, and its kind is one of those named.
    ///
    /// # Errors
    /// `document-not-approved`.
    pub fn check_document(&self) -> Result<(), Refusal> {
        let document = &self.document;
        let commitment = document_commitment(
            document.kind,
            &document.hash_oid,
            &document.digest,
            &document.dtbsr,
        );
        let path: Vec<Digest32> = document.path.iter().map(|hash| hash.0).collect();
        let (count, root) = (self.statement.count, &self.statement.root);
        let belongs = belongs(&commitment, document.index, count, &path, root);
        if belongs && self.statement.kinds.contains(&document.kind) {
            Ok(())
        } else {
            Err(Refusal::DocumentNotApproved)
        }
    }

    /// Whether the phone or card signed this statement. Whose it is, the binding's entry says, or the
    /// chain of an HPKI card.
    ///
    /// # Errors
    /// What [`Bundle::check_assertion`] and [`check_signature`] refuse.
    pub fn check_proof(&self) -> Result<(), Refusal> {
        let Some(card) = &self.card else { return self.check_assertion() };
        let certificate = card::read(&card.certificate)?;
        check_signature(&certificate, &self.statement.challenge(), &card.signature)
    }

    /// Whether an authenticator signed this statement under `cose`, by its owner's verified hand,
    /// on a page of the platform. Whose authenticator it is, the binding's entry says.
    ///
    /// Without the platform's own memory of the phone three things cannot be judged, and were
    /// judged by the platform when it happened: the signature counter, the user handle, and whether
    /// the credential was eligible for backup before. A page counts as the platform's by the rule of
    /// Web Authentication itself: an `https` origin at the relying party's domain or below it.
    ///
    /// # Errors
    /// What [`webauthn::assertion`] refuses; `means-wrong` where a card approved it.
    pub fn check_assertion(&self) -> Result<(), Refusal> {
        let rp_id = &self.statement.rp_id;
        let assertion = self.webauthn.as_ref().ok_or(Refusal::MeansWrong)?;
        let origin = webauthn::client_data::origin(&assertion.client_data_json)
            .ok_or(Refusal::WebauthnMalformed("clientDataJSON"))?;
        let origins = if is_of(&origin, rp_id) { vec![origin] } else { Vec::new() };
        let rp = RelyingParty { rp_id: rp_id.clone(), origins };
        let response = AssertionResponse {
            credential_id: assertion.credential_id.clone(),
            client_data_json: assertion.client_data_json.clone(),
            authenticator_data: assertion.authenticator_data.clone(),
            signature: assertion.signature.clone(),
            user_handle: None,
        };
        webauthn::assertion_of_a_stranger(
            &response,
            &assertion.cose,
            &self.statement.challenge(),
            &rp,
        )
    }
}

/// Whether a page of this origin may use credentials of this relying party (WebAuthn §5.1.4.1).
fn is_of(origin: &str, rp_id: &str) -> bool {
    let Some(authority) = origin.strip_prefix("https://") else { return false };
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    host == rp_id || host.strip_suffix(rp_id).is_some_and(|below| below.ends_with('.'))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::simulator::Phone;
    use crate::statement::{path, root};

    const SHA256: &str = "2.16.840.1.101.3.4.2.1";

    /// The second of three prescriptions, approved by a phone.
    pub(crate) fn approved() -> (Bundle, Phone) {
        let dtbsr = |n: u8| [0x20 + n; 32];
        let commitments: Vec<Digest32> = (0..3)
            .map(|n| document_commitment(DocumentKind::Prescription, SHA256, &[n; 32], &dtbsr(n)))
            .collect();
        let mut statement = crate::statement::tests::documents();
        statement.root = root(&commitments);
        let phone = Phone::new("localhost", "https://localhost:8443", b"credential");
        let answer = phone.get(&statement.challenge());
        let document = Document {
            kind: DocumentKind::Prescription,
            hash_oid: SHA256.to_owned(),
            digest: vec![1; 32],
            dtbsr: dtbsr(1),
            index: 1,
            path: path(&commitments, 1).into_iter().map(Hash).collect(),
        };
        let proof = Proof::Phone(AssertionEvidence {
            credential_id: answer.credential_id,
            client_data_json: answer.client_data_json,
            authenticator_data: answer.authenticator_data,
            signature: answer.signature,
            user_handle: None,
            cose: phone.cose(),
        });
        let approval = Approval {
            approved: statement.not_after.minus(10),
            statement: Statement::Documents(statement),
            proof,
            binding: BindingId::from_octets([7; 16]),
            number_confirmed: true,
        };
        let proofs = (Some("binding".to_owned()), "outcome".to_owned());
        (Bundle::new(&approval, document, proofs, (vec![1], vec![2])).unwrap(), phone)
    }

    #[test]
    fn a_bundle_gives_back_the_approval_under_its_journalled_hash() {
        let (bundle, _) = approved();
        let mut kept = bundle.approval().unwrap();
        // The platform keeps the user handle; the hash does not speak of it.
        kept.proof.phone_mut().unwrap().user_handle = Some(vec![9]);
        let document = bundle.document.clone();
        let proofs = (Some("binding".to_owned()), "outcome".to_owned());
        let again = Bundle::new(&kept, document.clone(), proofs.clone(), (vec![1], vec![2]));
        assert_eq!(again, Some(bundle.clone()));
        let hash = |bundle: &Bundle| bundle.approval().unwrap().evidence_hash();
        assert_eq!(hash(&bundle), kept.evidence_hash());
        let changes: [fn(&mut Bundle); 5] = [
            |b| b.received.binding = BindingId::from_octets([8; 16]),
            |b| b.received.at = b.received.at.plus(1),
            |b| b.received.number_confirmed = false,
            |b| b.statement.not_after = b.statement.not_after.plus(1),
            |b| b.webauthn.as_mut().unwrap().signature.reverse(),
        ];
        for change in changes {
            let mut other = bundle.clone();
            change(&mut other);
            assert_ne!(hash(&other), hash(&bundle));
        }
        // A session is no approval of documents, and two means are none.
        kept.statement = Statement::Session(crate::statement::tests::session());
        assert_eq!(Bundle::new(&kept, document, proofs, (vec![1], vec![2])), None);
        let mut none = bundle;
        none.webauthn = None;
        assert_eq!(none.approval(), Err(Refusal::MeansWrong));
    }

    #[test]
    fn a_bundle_reads_back_and_is_judged() {
        let (bundle, _) = approved();
        let read = Bundle::parse(bundle.text().unwrap().as_bytes()).unwrap();
        assert_eq!(read, bundle);
        read.check_document().unwrap();
        read.check_proof().unwrap();
    }

    #[test]
    fn an_unknown_doubled_or_missing_member_is_refused_at_every_level() {
        let (bundle, _) = approved();
        let text = bundle.text().unwrap();
        let refused = |text: &str| match Bundle::parse(text.as_bytes()) {
            Err(refusal) => hpki::refusal::Refuse::code(&refusal),
            Ok(_) => "accepted",
        };
        for (right, wrong) in [
            ("{\n  \"v\": 1", "{\n  \"note\": \"\",\n  \"v\": 1"),
            ("{\n  \"v\": 1", "{\n  \"v\": 1,\n  \"v\": 1"),
            ("\"count\": 3", "\"count\": 3, \"count\": 4"),
            ("\"count\": 3", "\"count\": 3, \"more\": 4"),
            ("\"count\": 3,", ""),
            ("\"index\": 1", "\"index\": 1, \"index\": 1"),
            ("\"index\": 1", "\"index\": 1, \"name\": \"\""),
            ("\"index\": 1", "\"index\": -1"),
            ("\"cose\":", "\"cosa\":"),
            ("\"numberConfirmed\": true", "\"numberConfirmed\": true, \"by\": \"\""),
            ("\"numberConfirmed\": true", "\"confirmed\": true"),
            ("\"signature\": \"AQ\"", "\"signature\": \"AQ==\""),
        ] {
            let spoilt = text.replacen(right, wrong, 1);
            assert_ne!(spoilt, text, "{right}");
            assert_eq!(refused(&spoilt), "bundle-malformed", "{wrong}");
        }
        assert_eq!(refused(&text.replacen("\"v\": 1", "\"v\": 2", 1)), "bundle-version-unknown");
        let session = text.replacen("\"type\": \"documents\"", "\"type\": \"session\"", 1);
        assert_eq!(refused(&session), "bundle-version-unknown");
        assert_eq!(refused(&format!("{text} {{}}")), "bundle-malformed");
    }

    #[test]
    fn a_changed_document_does_not_lead_to_the_root() {
        let changes: [fn(&mut Bundle); 9] = [
            |b| b.document.kind = DocumentKind::Dispensing,
            |b| b.document.hash_oid.push('1'),
            |b| b.document.digest[0] ^= 1,
            |b| b.document.dtbsr[0] ^= 1,
            |b| b.document.index = 0,
            |b| b.document.path[0].0[0] ^= 1,
            |b| b.document.path.truncate(1),
            |b| b.statement.count = 1,
            |b| b.statement.kinds = vec![DocumentKind::Dispensing],
        ];
        for change in changes {
            let (mut bundle, _) = approved();
            change(&mut bundle);
            assert_eq!(bundle.check_document(), Err(Refusal::DocumentNotApproved));
        }
    }

    #[test]
    fn each_part_of_the_phones_answer_has_its_own_refusal() {
        let judged = |change: &dyn Fn(&mut Bundle, &mut Phone)| {
            let (mut bundle, mut phone) = approved();
            change(&mut bundle, &mut phone);
            bundle.check_assertion()
        };
        let again = |bundle: &mut Bundle, phone: &Phone| {
            let answer = phone.get(&bundle.statement.challenge());
            bundle.webauthn.as_mut().unwrap().client_data_json = answer.client_data_json;
            bundle.webauthn.as_mut().unwrap().authenticator_data = answer.authenticator_data;
            bundle.webauthn.as_mut().unwrap().signature = answer.signature;
        };
        assert_eq!(judged(&|_, _| ()), Ok(()));
        assert_eq!(judged(&|b, _| b.statement.nonce[0] ^= 1), Err(Refusal::ChallengeMismatch));
        assert_eq!(
            judged(&|b, _| b.webauthn.as_mut().unwrap().signature.reverse()),
            Err(Refusal::AssertionSignatureWrong)
        );
        let malformed = Refusal::WebauthnMalformed("clientDataJSON");
        assert_eq!(
            judged(&|b, _| b.webauthn.as_mut().unwrap().client_data_json.truncate(5)),
            Err(malformed)
        );
        assert!(judged(&|b, _| b.webauthn.as_mut().unwrap().cose.truncate(5)).is_err());
        for origin in ["http://localhost", "https://evil.test", "https://notlocalhost:1"] {
            let elsewhere = |b: &mut Bundle, phone: &mut Phone| {
                phone.origin = origin.to_owned();
                again(b, phone);
            };
            assert_eq!(judged(&elsewhere), Err(Refusal::OriginWrong), "{origin}");
        }
        let below = |b: &mut Bundle, phone: &mut Phone| {
            phone.origin = "https://id.localhost:1".to_owned();
            again(b, phone);
        };
        assert_eq!(judged(&below), Ok(()));
        let unverified = |b: &mut Bundle, phone: &mut Phone| {
            phone.flags = webauthn::auth_data::UP;
            again(b, phone);
        };
        assert_eq!(judged(&unverified), Err(Refusal::UserNotVerified));
        let absent = |b: &mut Bundle, phone: &mut Phone| {
            phone.flags = webauthn::auth_data::UV;
            again(b, phone);
        };
        assert_eq!(judged(&absent), Err(Refusal::UserNotPresent));
        let other_rp = |b: &mut Bundle, phone: &mut Phone| {
            phone.rp_id = "evil.test".to_owned();
            again(b, phone);
        };
        assert_eq!(judged(&other_rp), Err(Refusal::RpIdWrong));
        let framed = |b: &mut Bundle, phone: &mut Phone| {
            phone.extra = r#","crossOrigin":true"#.to_owned();
            again(b, phone);
        };
        assert_eq!(judged(&framed), Err(Refusal::CrossOrigin));
        let counted = |b: &mut Bundle, phone: &mut Phone| {
            phone.counter = 7;
            again(b, phone);
        };
        assert_eq!(judged(&counted), Ok(()), "a counter cannot be judged by a stranger");
    }
}
