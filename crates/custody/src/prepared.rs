//! Mode (b): documents that wait for their owner's approval, each exactly as it will be signed.
//!
//! prepare → the phone approves ([`approval::statement::DocumentsStatement`]) → authorise → sign.

use std::sync::Arc;

use approval::Approval;
use hpki::encoding::Digest32;
use hpki::id::{FacilityCode, KeyId, OrderNumber, PersonId, PreparedId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use xades::compose::Recipe;

use crate::Failed as Bad;
use crate::batch::SignedBatch;
use crate::csc::not_yet;
use crate::room::Custody;
use crate::sad::{Granted, Sad};
use crate::token::Peer;

/// The object identifier of SHA-256, the only digest algorithm here.
pub const SHA256_OID: &str = "2.16.840.1.101.3.4.2.1";

/// One document to be approved and signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Chosen by the gateway before it sends; its own for each document.
    pub number: OrderNumber,
    /// What the document is.
    pub kind: DocumentKind,
    /// For kinds that the platform composes, the digest of the signed element; for others, the
    /// hash to be signed.
    pub digest: Digest32,
}

/// One document as it was prepared. `commitment` is what the approval's tree is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreparedDocument {
    /// The order that it answers.
    pub number: OrderNumber,
    /// What the document is.
    pub kind: DocumentKind,
    /// The digest of the document.
    pub digest: Digest32,
    /// Where the platform composes: from this, its own digest and the certificate, whoever asked
    /// rebuilds SignedInfo and believes no `dtbsr` that it has not computed.
    pub recipe: Option<Recipe>,
    /// SHA-256 of what the key will sign (the hash itself where the caller brought one).
    pub dtbsr: Digest32,
    /// `d` of protocols §6 ([`approval::statement::document_commitment`]).
    pub commitment: Digest32,
}

/// Documents that wait for approval: the part of the statement that custody answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Its number, for [`crate::Custody::authorise`].
    pub id: PreparedId,
    /// Whose approval it takes.
    pub person: PersonId,
    /// Which key will sign.
    pub key: KeyId,
    /// The signer's certificate, DER.
    pub certificate: Arc<[u8]>,
    /// The documents in the order of the tree.
    pub documents: Vec<PreparedDocument>,
    /// The kinds among them, each once, sorted.
    pub kinds: Vec<DocumentKind>,
    /// The root over the commitments.
    pub root: Digest32,
    /// Until when it can be approved: the statement's `notAfter` at the latest.
    pub until: Timestamp,
}

/// What a stranger needs to see that the owner approved exactly this document, before it was
/// signed (protocols §6). It reveals no other document of the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The statement, and the phone's signature on it.
    pub approval: Approval,
    /// The document.
    pub document: PreparedDocument,
    /// Its place in the tree.
    pub index: u64,
    /// The way from its commitment to the root.
    pub path: Vec<Digest32>,
    /// The journal's proof that the phone was linked (`c2sp.org/tlog-proof@v1`).
    pub binding: String,
    /// The journal's proof of the outcome.
    pub outcome: String,
    /// The signature value.
    pub signature: Vec<u8>,
    /// The signer's certificate, DER.
    pub certificate: Arc<[u8]>,
    /// The whole `ds:Signature` element, where the platform composed it.
    pub element: Option<String>,
}

impl Custody {
    /// Composes documents exactly as they will be signed, for their owner to approve. The token
    /// says whose and where; nothing is drawn from its budget. SigningTime is now, so what is
    /// prepared can be approved for three minutes.
    ///
    /// Refused: the token's codes, `batch-size-wrong`, `kind-not-enabled`, `kind-not-allowed`,
    /// `kind-wrong-door` (hashes come from registered clients alone), `order-reused`, and what
    /// signing refuses about the key.
    pub async fn prepare(
        &self,
        _token: &str,
        _peer: &Peer,
        _asked: Vec<Asked>,
        _now: Timestamp,
    ) -> Result<Prepared, Bad> {
        not_yet()
    }

    /// Believes an approval of prepared documents, after checking it against this room's own copy
    /// of the phone: each document becomes one activation, good for sixty seconds. The same
    /// approval again gives another SAD and ends the one before.
    ///
    /// Refused: what `approval::check` refuses; `prepared-unknown`, `prepared-expired`,
    /// `approval-mismatch`, `approval-spent`, `approval-elsewhere`, `binding-unknown`,
    /// `binding-ended`, `token-ended`, the key's and the certificate's state.
    pub async fn authorise(
        &self,
        _prepared: PreparedId,
        _approval: &Approval,
        _now: Timestamp,
    ) -> Result<Granted, Bad> {
        not_yet()
    }

    /// Signs what was approved: every document, each under its own order number. The same again,
    /// also after a crash and for ten minutes, gives the same signatures.
    ///
    /// Refused: `sad-unknown`, `sad-expired`, `activation-expired`, and what signing refuses about
    /// the token and the key. What happened to one document is told in its own place.
    pub async fn sign_prepared(
        &self,
        _token: &str,
        _peer: &Peer,
        _sad: &Sad,
        _now: Timestamp,
    ) -> Result<SignedBatch, Bad> {
        not_yet()
    }

    /// The evidence for one document that was approved by itself or in a batch and signed.
    ///
    /// Refused: `order-unknown`, also for signatures that were drawn from a session's budget, and
    /// the codes of [`Custody::answer`].
    pub async fn evidence(
        &self,
        _facility: &FacilityCode,
        _number: OrderNumber,
        _now: Timestamp,
    ) -> Result<Evidence, Bad> {
        not_yet()
    }
}
