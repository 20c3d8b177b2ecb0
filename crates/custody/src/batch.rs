//! A batch: up to a thousand documents under one order number.
//!
//! All of it is reserved or nothing is; afterwards each document has its own outcome, and what
//! breaks one does not lose the others.

use hpki::encoding::Digest32;
use hpki::id::{FacilityCode, OrderNumber};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;

use crate::Failed as Bad;
use crate::csc::not_yet;
use crate::refusal::Refusal;
use crate::room::Custody;
use crate::sign::Signed;
use crate::token::Peer;

/// One document of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchItem {
    /// What the document is.
    pub kind: DocumentKind,
    /// The digest of the signed element (inclusive C14N 1.0, SHA-256).
    pub digest: Digest32,
}

/// Documents to sign under one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOrder {
    /// Chosen by the gateway before it sends.
    pub number: OrderNumber,
    /// Between 1 and 1,000 documents.
    pub items: Vec<BatchItem>,
}

/// What became of each document, in the order in which they were asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBatch {
    /// A signature, or why there is none: `order-in-progress` where the same request again will
    /// get it, anything else where it will not.
    pub items: Vec<Result<Signed, Refusal>>,
}

impl Custody {
    /// Signs a batch for the bearer of this token, out of the session's budget. The same request
    /// again gets the same signatures.
    ///
    /// Refused, and then nothing is reserved: `batch-size-wrong` and everything that
    /// [`Custody::sign`] refuses.
    pub async fn sign_batch(
        &self,
        _token: &str,
        _peer: &Peer,
        _order: BatchOrder,
        _now: Timestamp,
    ) -> Result<SignedBatch, Bad> {
        not_yet()
    }

    /// The stored answers of a batch, as [`Custody::answer`].
    pub async fn batch_answer(
        &self,
        _facility: &FacilityCode,
        _number: OrderNumber,
        _now: Timestamp,
    ) -> Result<SignedBatch, Bad> {
        not_yet()
    }
}
