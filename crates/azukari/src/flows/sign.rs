//! One signature, from the door to `custody` and back: the shapes change, nothing is decided.

use ca::Facility;
use hpki::id::OrderNumber;
use hpki::time::Timestamp;
use wire::{Base64, SignAnswer, SignRequest};

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

/// Signs, or says why not.
pub(crate) async fn sign(
    platform: &Platform,
    token: &str,
    facility: &Facility,
    request: SignRequest,
    now: Timestamp,
) -> Result<SignAnswer, Trouble> {
    let digest = request.digest.octets().ok_or_else(|| {
        Trouble::refused("digest-not-allowed", "algorithm sha256, value 32 octets in base64")
    })?;
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

/// The other end of the connection, as custody compares it with the token.
pub(crate) fn peer(facility: &Facility) -> custody::Peer {
    custody::Peer { x5t: facility.x5t, facility: facility.code.clone() }
}
