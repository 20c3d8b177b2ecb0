//! A certificate is revoked: the authority decides and commits a message with its decision;
//! custody stops the key, authentication ends the sessions. Until that is delivered the key signs
//! nothing, because custody looks for undelivered messages about it.

use hpki::crl::Reason;
use hpki::time::Timestamp;

use crate::http::problem::Trouble;
use crate::platform::Platform;

/// Revokes, delivers, and publishes new lists at once.
pub(crate) async fn revoke(
    platform: &Platform,
    authority: ca::Authority,
    serial: &[u8],
    reason: Reason,
    now: Timestamp,
) -> Result<(), Trouble> {
    platform.ca.revoke(authority, serial, reason, now).await?;
    // The lists do not wait for a message that cannot be delivered yet: until it is, the key signs
    // nothing here, but everybody else only knows the lists.
    let delivered = super::deliver::all(platform, now).await;
    platform.ca.issue_crls_of(authority, now).await?;
    super::by_card::refresh_trust(platform).await?;
    delivered
}
