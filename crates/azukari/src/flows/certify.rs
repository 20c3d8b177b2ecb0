//! A reviewed person gets a kept key and its certificate: the key is made inside custody's device,
//! the authority certifies its public half, custody matches the two and keeps the key.

use ca::SigningOrder;
use custody::{Consent, Purpose};
use hpki::certificate::Certificate;
use hpki::id::{KeyId, PersonId};
use hpki::qualification::Qualification;
use hpki::time::Timestamp;

use crate::http::problem::Trouble;
use crate::platform::Platform;

/// A kept key and its certificate.
pub(crate) struct Certified {
    pub(crate) key: KeyId,
    pub(crate) certificate: Certificate,
}

/// A key for this qualification and purpose. `order` gives the order for a key that has just been
/// made, with its public half.
pub(crate) async fn certify(
    platform: &Platform,
    owner: PersonId,
    (qualification, purpose): (Qualification, Purpose),
    consent: Consent,
    order: impl FnOnce(KeyId, Vec<u8>) -> SigningOrder,
    now: Timestamp,
) -> Result<Certified, Trouble> {
    let fresh = platform.custody.generate(owner, qualification, purpose, consent, now).await?;
    let order = order(fresh.key, fresh.spki_der.clone());
    let certificate = platform.ca.issue_signing(&order, now).await?;
    platform.custody.certify(fresh.key, &certificate, now).await?;
    platform.custody.hold(fresh.key, now).await?;
    Ok(Certified { key: fresh.key, certificate })
}
