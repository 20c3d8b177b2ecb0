//! A device that has no browser of its own, a kiosk say (RFC 8628). It shows a QR code and a short
//! code; the phone shows the same short code and who would be told what. Nowhere can a code be typed
//! on a page: the short code is there to be compared, and nobody is led to type a stranger's one.
//!
//! As in a browser, three digits are carried over, from the phone to the device, which sends them
//! along when it asks (`number`, our addition): whoever sends somebody a device's QR code needs her
//! to read the digits out. So only devices that take three digits can be used, and only clients that
//! are registered for it and prove who they are.

use hpki::encoding::{Digest32, sha256};
use hpki::time::Timestamp;
use ledger::Failed;
use wire::token::base64url_encode;

use super::client::Client;
use super::login::LoginRow;
use super::page::PageStep;
use super::refusal::Wrong;
use super::request::{AskedFor, Parameters, Scope};
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;

/// How long a device's QR code can be claimed: nobody stands before it all the time.
pub(crate) const DEVICE_QR_S: u64 = 300;
/// How often a device asks, at most.
const INTERVAL_S: u64 = 5;
/// What stands before the short code where a browser's statement names a host.
const DEVICE: &str = "device:";

/// A device has begun.
#[derive(Clone)]
pub struct DeviceBegun {
    /// `device_code`
    pub device_code: String,
    /// `user_code`, to be compared.
    pub user_code: String,
    /// `verification_uri_complete`, to be shown as a QR code.
    pub complete: String,
    /// `verification_uri`: the page that says to scan the code.
    pub bare: String,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds.
    pub interval: u64,
}

impl std::fmt::Debug for DeviceBegun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceBegun").field("user_code", &self.user_code).finish_non_exhaustive()
    }
}

/// Eight characters of Base32, in two halves.
fn short(hash: &Digest32) -> String {
    let code = approval::statement::short_code(hash);
    format!("{}-{}", &code[..4], &code[4..])
}

fn no(wrong: Wrong) -> Failed<Refusal> {
    Failed::Refused(Refusal::Provider(wrong))
}

impl LoginRow {
    /// Whether a device shows the QR code.
    pub(crate) fn is_device(&self) -> bool {
        self.asked.host.starts_with(DEVICE)
    }
}

impl Authn {
    /// A device begins a login.
    ///
    /// # Errors
    /// `oauth-client-not-allowed`, `oauth-scope-not-allowed`, or a fault.
    pub async fn begin_device(
        &self,
        client: &Client,
        asked: &Parameters,
        now: Timestamp,
    ) -> Result<DeviceBegun, Failed<Refusal>> {
        if !client.device {
            return Err(no(Wrong::ClientNotAllowed));
        }
        let scopes = asked.get("scope").and_then(Scope::list);
        let scopes = scopes.ok_or_else(|| no(Wrong::ScopeNotAllowed))?;
        let told = |scope: &Scope| client.scopes.contains(scope) && !scope.signs();
        if !scopes.contains(&Scope::OpenId) || !scopes.iter().all(told) {
            return Err(no(Wrong::ScopeNotAllowed));
        }
        let (login, device) = (Secret::new(&*self.random), Secret::new(&*self.random));
        let device_code = format!("{}.{}", login.text(), device.text());
        let user_code = short(&login.hash());
        let asked = AskedFor {
            redirect_uri: String::new(),
            host: format!("{DEVICE}{user_code}"),
            scopes,
            state: None,
            nonce: None,
            // Its own code verifies that it is the device that began.
            challenge: base64url_encode(&sha256(device_code.as_bytes())),
            start: None,
            at: None,
        };
        let id = self.keep_login(client, &asked, &login, Some(device.hash()), now).await?;
        let (complete, _) = self.show_login(id, Some(&device.text()), now).await?;
        let bare = format!("{}/q", self.config.url);
        let (expires_in, interval) = (DEVICE_QR_S, INTERVAL_S);
        Ok(DeviceBegun { device_code, user_code, complete, bare, expires_in, interval })
    }

    /// A device asks, with the digits once they were typed on it. Gives the code to redeem.
    ///
    /// # Errors
    /// `oauth-pending` until she has approved and the digits are there, `number-wrong`;
    /// `ceremony-refused`, `place-not-confirmed`, `oauth-device-expired`; `oauth-code-wrong` for a
    /// device code that is unknown, another client's or was answered.
    pub async fn poll_device(
        &self,
        client: &Client,
        device_code: &str,
        number: Option<&str>,
        now: Timestamp,
    ) -> Result<String, Failed<Refusal>> {
        let (login, device) = device_code.split_once('.').ok_or_else(|| no(Wrong::CodeWrong))?;
        let hash = Secret::hash_of(login).ok_or_else(|| no(Wrong::CodeWrong))?;
        let row = self.login_of_uri(hash).await?.filter(|row| row.client == client.id.as_str());
        let row = row.filter(LoginRow::is_device).ok_or_else(|| no(Wrong::CodeWrong))?;
        if row.is_over(now) {
            return Err(no(Wrong::DeviceExpired));
        }
        let row =
            self.login_of(row.id, Some(device), now).await.map_err(|_| no(Wrong::CodeWrong))?;
        let mut step = self.page_step(&row, now);
        if let (PageStep::Number, Some(number)) = (step, number) {
            self.type_number(row.id, Some(device), number, now).await?;
            step = PageStep::Ready;
        }
        match step {
            PageStep::Idle => Err(no(Wrong::DeviceExpired)),
            PageStep::Waiting | PageStep::Claimed | PageStep::Number | PageStep::Opening => {
                Err(no(Wrong::Pending))
            }
            PageStep::Ready | PageStep::Refused => {
                match self.answer_login(row.id, Some(device), now).await {
                    Ok((_, Ok(code))) => Ok(code),
                    Ok((_, Err(why))) if why == "place-not-confirmed" => {
                        Err(Failed::Refused(Refusal::PlaceNotConfirmed))
                    }
                    Ok((_, Err(_))) => Err(Failed::Refused(Refusal::CeremonyRefused)),
                    Err(Failed::Refused(_)) => Err(no(Wrong::CodeWrong)),
                    Err(fault) => Err(fault),
                }
            }
        }
    }
}
