//! One signature, from the door to `custody` and back: the shapes change, nothing is decided.

use ca::Facility;
use hpki::encoding::Digest32;
use hpki::id::OrderNumber;
use hpki::time::Timestamp;
use wire::{
    Base64, BatchAnswer, BatchDocument, BatchRequest, DigestValue, SignAnswer, SignRequest,
};

use super::approve_documents::outcome;
use crate::http::problem::Trouble;
use crate::platform::Platform;

pub(super) fn answer_of(signed: custody::Signed) -> SignAnswer {
    SignAnswer {
        order: signed.order,
        kind: signed.kind,
        signature: Base64(signed.signature.into_bytes()),
        certificate: Base64(signed.certificate.to_vec()),
        signing_time: signed.signing_time,
        index: signed.index,
        proof: signed.proof,
        left: signed.left.into(),
    }
}

fn digest(value: &DigestValue) -> Result<Digest32, Trouble> {
    value.octets().ok_or_else(|| {
        Trouble::refused("digest-not-allowed", "algorithm sha256, value 32 octets in base64")
    })
}

/// Signs, or says why not.
pub(crate) async fn sign(
    platform: &Platform,
    token: &str,
    facility: &Facility,
    request: SignRequest,
    now: Timestamp,
) -> Result<SignAnswer, Trouble> {
    let digest = digest(&request.digest)?;
    let order = custody::SignOrder { number: request.order, kind: request.kind, digest };
    Ok(answer_of(platform.custody.sign(token, &peer(facility), order, now).await?))
}

/// The stored answer of an order of this facility.
pub(crate) async fn answer(
    platform: &Platform,
    facility: &Facility,
    order: OrderNumber,
    now: Timestamp,
) -> Result<SignAnswer, Trouble> {
    Ok(answer_of(platform.custody.answer(&facility.code, order, now).await?))
}

/// Signs a batch, or says why nothing of it is begun.
pub(crate) async fn batch(
    platform: &Platform,
    token: &str,
    facility: &Facility,
    request: BatchRequest,
    now: Timestamp,
) -> Result<BatchAnswer, Trouble> {
    let item = |document: &BatchDocument| -> Result<_, Trouble> {
        Ok(custody::BatchItem { kind: document.kind, digest: digest(&document.digest)? })
    };
    let items = request.documents.iter().map(item).collect::<Result<_, Trouble>>()?;
    let order = custody::BatchOrder { number: request.order, items };
    let signed = platform.custody.sign_batch(token, &peer(facility), order, now).await?;
    Ok(answer_of_batch(request.order, signed))
}

/// The stored answers of a batch of this facility.
pub(crate) async fn batch_answer(
    platform: &Platform,
    facility: &Facility,
    order: OrderNumber,
    now: Timestamp,
) -> Result<BatchAnswer, Trouble> {
    let signed = platform.custody.batch_answer(&facility.code, order, now).await?;
    Ok(answer_of_batch(order, signed))
}

fn answer_of_batch(order: OrderNumber, signed: custody::SignedBatch) -> BatchAnswer {
    BatchAnswer { order, documents: signed.items.into_iter().map(outcome).collect() }
}

/// The other end of the connection, as custody compares it with the token.
pub(crate) fn peer(facility: &Facility) -> custody::Peer {
    custody::Peer { x5t: facility.x5t, facility: facility.code.clone() }
}
