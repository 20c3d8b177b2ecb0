//! The owner stops her key from her phone: authentication knows the phone and verifies its answer;
//! custody verifies it again and stops the key in one commit. Only then is she told so.

use hpki::time::Timestamp;
use wire::{KeyStopAnswer, KeyStopFinishRequest};

use crate::http::problem::Trouble;
use crate::platform::Platform;

/// The phone's answer arrives.
pub(crate) async fn finish(
    platform: &Platform,
    request: &KeyStopFinishRequest,
    device: Option<&str>,
    now: Timestamp,
) -> Result<KeyStopAnswer, Trouble> {
    let approval = platform.authn.finish_stop(request, device, now).await?;
    platform.custody.stop_by_owner(&approval, now).await?;
    super::deliver::soon(platform, now).await;
    Ok(KeyStopAnswer { stopped: true })
}
