//! A phone is linked: authentication verifies the registration and commits it with a message;
//! custody verifies it again and seals its own copy of the public key.

use hpki::time::Timestamp;
use wire::{Base64, LinkFinishAnswer, LinkFinishRequest};

use crate::http::problem::Trouble;
use crate::platform::Platform;

/// Links, and delivers at once. If delivery fails now, the key signs nothing until it succeeds. Also
/// gives the device secret, for the phone's cookie.
pub(crate) async fn finish(
    platform: &Platform,
    request: &LinkFinishRequest,
    device: Option<&str>,
    now: Timestamp,
) -> Result<(LinkFinishAnswer, String), Trouble> {
    let linked = platform.authn.finish_link(request, device, now).await?;
    super::deliver::soon(platform, now).await;
    let stream_key = Base64(linked.stream_key.octets().to_vec());
    Ok((LinkFinishAnswer { linked: true, stream_key }, linked.device))
}
