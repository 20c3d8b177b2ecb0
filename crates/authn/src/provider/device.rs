//! A device that has no browser of its own, a kiosk say (RFC 8628), and a client that knows whom it
//! asks (OpenID CIBA, poll mode; at the end of this file).
//!
//! The kiosk shows a QR code and a short code; the phone shows the same short code and who would be
//! told what. Nowhere can a code be typed on a page: the short code is there to be compared, and
//! nobody is led to type a stranger's one.
//!
//! As in a browser, three digits are carried over, from the phone to the device, which sends them
//! along when it asks (`number`, our addition): whoever sends somebody a device's QR code needs her
//! to read the digits out. So only devices that take three digits can be used, and only clients that
//! are registered for it and prove who they are.

use hpki::encoding::{Digest32, sha256};
use hpki::id::CeremonyId;
use hpki::time::Timestamp;
use ledger::Failed;
use wire::token::base64url_encode;

use super::LOGIN_S;
use super::client::Client;
use super::login::LoginRow;
use super::page::PageStep;
use super::refusal::Wrong;
use super::request::{AskedFor, Parameters, Scope};
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;
use crate::visit::Visit;

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

/// What such a client may be told.
fn told(client: &Client, asked: &Parameters) -> Result<Vec<Scope>, Failed<Refusal>> {
    let scopes = asked.get("scope").and_then(Scope::list);
    let scopes = scopes.ok_or_else(|| no(Wrong::ScopeNotAllowed))?;
    let may = |scope: &Scope| client.scopes.contains(scope) && !scope.signs();
    match scopes.contains(&Scope::OpenId) && scopes.iter().all(may) {
        true => Ok(scopes),
        false => Err(no(Wrong::ScopeNotAllowed)),
    }
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
        let scopes = told(client, asked)?;
        let (login, device) = (Secret::new(&*self.random), Secret::new(&*self.random));
        let device_code = format!("{}.{}", login.text(), device.text());
        let user_code = short(&login.hash());
        let asked = AskedFor {
            means: client.means,
            redirect_uri: String::new(),
            host: format!("{DEVICE}{user_code}"),
            scopes,
            state: None,
            nonce: None,
            // Its own code verifies that it is the device that began.
            challenge: base64url_encode(&sha256(device_code.as_bytes())),
            start: None,
            at: None,
            backchannel: false,
        };
        let id = self.keep_login(client, &asked, &login, (Some(device.hash()), None), now).await?;
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
        backchannel: bool,
        now: Timestamp,
    ) -> Result<String, Failed<Refusal>> {
        let (login, device) = device_code.split_once('.').ok_or_else(|| no(Wrong::CodeWrong))?;
        let hash = Secret::hash_of(login).ok_or_else(|| no(Wrong::CodeWrong))?;
        let row = self.login_of_uri(hash).await?.filter(|row| row.client == client.id.as_str());
        let row = row.filter(|row| row.is_device() && row.asked.backchannel == backchannel);
        let row = row.ok_or_else(|| no(Wrong::CodeWrong))?;
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
            // It stands on her page for as long as it may.
            PageStep::Idle if backchannel => Err(no(Wrong::Pending)),
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

/// A client has asked a person that it named.
#[derive(Clone)]
pub struct BackchannelBegun {
    /// `auth_req_id`
    pub request: String,
    /// What client and phone both show.
    pub binding_message: String,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds.
    pub interval: u64,
}

impl std::fmt::Debug for BackchannelBegun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackchannelBegun").finish_non_exhaustive()
    }
}

/// A login that waits on its owner's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingLogin {
    /// Which.
    pub login: CeremonyId,
    /// The client's registered name.
    pub client: String,
    /// What client and phone both show.
    pub code: String,
    /// Since when.
    pub since: Timestamp,
}

/// One to sixteen capitals, digits and hyphens: no sentence of a program is shown to anybody.
fn is_binding(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
    (1..=16).contains(&text.len()) && text.bytes().all(plain)
}

impl Authn {
    /// A client asks the person whose 本人ID it names (CIBA Core §7). Nothing calls her: it stands on
    /// her page, and the digits that her phone then shows are typed at the client as for a device.
    /// A number that nobody has is answered the same.
    ///
    /// # Errors
    /// `oauth-client-not-allowed`, `oauth-scope-not-allowed`, `oauth-request-malformed`,
    /// `oauth-binding-wrong`, or a fault.
    pub async fn begin_backchannel(
        &self,
        client: &Client,
        asked: &Parameters,
        now: Timestamp,
    ) -> Result<BackchannelBegun, Failed<Refusal>> {
        if !client.device {
            return Err(no(Wrong::ClientNotAllowed));
        }
        let scopes = told(client, asked)?;
        let others = ["login_hint_token", "id_token_hint", "user_code", "request"];
        if others.iter().any(|name| asked.get(name).is_some()) {
            return Err(no(Wrong::RequestMalformed));
        }
        let hint = asked.get("login_hint").ok_or_else(|| no(Wrong::RequestMalformed))?.to_owned();
        let (login, device) = (Secret::new(&*self.random), Secret::new(&*self.random));
        let binding_message = match asked.get("binding_message") {
            Some(text) if is_binding(text) => text.to_owned(),
            Some(_) => return Err(no(Wrong::BindingWrong)),
            None => short(&login.hash()),
        };
        let request = format!("{}.{}", login.text(), device.text());
        let asked = AskedFor {
            means: client.means,
            redirect_uri: String::new(),
            host: format!("{DEVICE}{binding_message}"),
            scopes,
            state: None,
            nonce: None,
            challenge: base64url_encode(&sha256(request.as_bytes())),
            start: None,
            at: None,
            backchannel: true,
        };
        let holders = match self.holders(&hint).await {
            Ok(holders) => holders,
            Err(Failed::Refused(_)) => Vec::new(),
            Err(fault) => return Err(fault),
        };
        let hers = match holders.as_slice() {
            [holder] if holder.display_id == hint => Some(holder.key),
            _ => None,
        };
        // One commit, whether somebody has that number or not: the time that it takes says nothing.
        self.keep_login(client, &asked, &login, (Some(device.hash()), hers), now).await?;
        let (expires_in, interval) = (LOGIN_S, INTERVAL_S);
        Ok(BackchannelBegun { request, binding_message, expires_in, interval })
    }

    /// What waits on her page.
    ///
    /// # Errors
    /// A fault.
    pub async fn waiting_logins(
        &self,
        visit: &Visit,
        now: Timestamp,
    ) -> Result<Vec<WaitingLogin>, Failed<Refusal>> {
        let key = visit.key();
        let rows = self.ledger.read(move |tx| Ok::<_, Failed<Refusal>>(LoginRow::hinted(tx, key)?));
        let rows = rows.await?.into_iter().filter(|row| !row.is_over(now));
        let waiting = rows.filter_map(|row| {
            let client = self.registry.find(&row.client).ok()?.name.clone();
            let code = row.asked.host.strip_prefix(DEVICE)?.to_owned();
            Some(WaitingLogin { login: row.id, client, code, since: row.made })
        });
        Ok(waiting.collect())
    }

    /// She turns to one of them: the address at which her phone shows and approves it.
    ///
    /// # Errors
    /// `ceremony-unknown` for one that is not hers or over, `ceremony-out-of-step`, or a fault.
    pub async fn open_waiting(
        &self,
        visit: &Visit,
        id: CeremonyId,
        now: Timestamp,
    ) -> Result<String, Failed<Refusal>> {
        let key = visit.key();
        let row =
            self.ledger.read(move |tx| Ok::<_, Failed<Refusal>>(LoginRow::of(tx, id)?)).await?;
        let hers = row.is_some_and(|row| row.hint == Some(key) && !row.is_over(now));
        if !hers {
            return Err(Failed::Refused(Refusal::CeremonyUnknown));
        }
        let secret = Secret::new(&*self.random);
        self.reshow(id, Some(secret.hash()), None, now).await?;
        Ok(format!("{}/q#1.{id}.{}", self.config.url, secret.text()))
    }
}
