//! A token is ended: custody closes the budget first, which every signature must update, so the end
//! holds from that commit; then the session is marked ended. "Ended" is said only after both.

use ca::Facility;
use hpki::time::Timestamp;

use crate::http::problem::Trouble;
use crate::platform::Platform;

/// Ends the session of this token.
pub(crate) async fn end(
    platform: &Platform,
    token: &str,
    facility: &Facility,
    now: Timestamp,
) -> Result<(), Trouble> {
    platform.custody.end_token(token, &super::sign::peer(facility), now).await?;
    platform.authn.end_token(token, now).await?;
    Ok(())
}
