//! One login through a browser: pushed by its client, opened by a browser, shown, approved, answered.
//! Everything is in one row, so that a restart or another replica goes on where it stood; only the
//! ceremony of a signing session is memory, as it is for terminals.

use approval::{Approval, LoginStatement};
use hpki::encoding::Digest32;
use hpki::id::{BindingId, CeremonyId, KeyId};
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Row, Tx};
use wire::token::{base64url_decode, base64url_encode};

use super::client::Client;
use super::device::DEVICE_QR_S;
use super::refusal::{Denied, Wrong};
use super::request::{self, AskedFor, At, Parameters, Scope};
use super::{IDLE_S, LOGIN_S, PUSHED_S, SPENT_S};
use crate::ceremony::Place;
use crate::config::{CARD_CLAIM_S, NUMBER_TRIES, QR_LIFE_S};
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;

/// How the references of pushed requests begin (RFC 9126 §2.2).
const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";

/// How far a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The client has pushed it.
    Pushed,
    /// A browser has opened it; it may show a QR code.
    Opened,
    /// A phone has claimed the QR code.
    Claimed,
    /// The owner has approved.
    Approved,
    /// She refused, or the browser gave up, or the digits were not carried over.
    Refused,
    /// The browser was sent back.
    Answered,
}

impl Step {
    const ALL: [Self; 6] =
        [Self::Pushed, Self::Opened, Self::Claimed, Self::Approved, Self::Refused, Self::Answered];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Opened => "opened",
            Self::Claimed => "claimed",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Answered => "answered",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

/// The row.
#[derive(Debug, Clone)]
pub(crate) struct LoginRow {
    pub(crate) id: CeremonyId,
    pub(crate) client: String,
    pub(crate) asked: AskedFor,
    pub(crate) made: Timestamp,
    pub(crate) step: Step,
    pub(crate) opened: Option<Timestamp>,
    pub(crate) browser: Option<Digest32>,
    pub(crate) secret: Option<Digest32>,
    pub(crate) shown: Option<Timestamp>,
    /// The signing ceremony behind it, where signatures are asked for.
    pub(crate) ceremony: Option<CeremonyId>,
    pub(crate) binding: Option<BindingId>,
    pub(crate) claimed: Option<Timestamp>,
    pub(crate) statement: Option<LoginStatement>,
    /// Whether the phone that claimed is the browser that logs in.
    pub(crate) here: bool,
    pub(crate) approved: Option<Timestamp>,
    pub(crate) evidence: Option<Approval>,
    pub(crate) digits: Option<String>,
    pub(crate) tries: u64,
    pub(crate) typed: Option<Timestamp>,
    /// Why it was refused, as a code of ours, where it was not the owner.
    pub(crate) wrong: Option<String>,
    /// Whether the passkey cannot leave its device.
    pub(crate) hardware: bool,
    /// Whose page it stands on, where a client named her.
    pub(crate) hint: Option<KeyId>,
}

const COLUMNS: &str = "id, client, asked, made, step, opened, browser, secret_hash, shown, ceremony, \
                       binding, claimed, statement, here, approved, evidence, digits, tries, typed, \
                       wrong, hardware, hint";

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|why| Fault::Row(format!("a login: {why}")))
}

pub(crate) fn text<T: serde::Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|why| Fault::Misuse(format!("a login as JSON: {why}")))
}

impl LoginRow {
    /// The logins that stand on the page of this key's owner, the newest first.
    pub(crate) fn hinted(tx: &Tx<'_>, key: KeyId) -> Result<Vec<Self>, Fault> {
        let sql = format!(
            "SELECT {COLUMNS} FROM authn_login
             WHERE hint = $1 AND step = 'opened' ORDER BY made DESC LIMIT 20"
        );
        tx.query(&sql, &[key.into()])?.iter().map(Self::read).collect()
    }

    fn read(row: &Row) -> Result<Self, Fault> {
        let step = Step::named(row.text(4)?);
        Ok(Self {
            id: CeremonyId::from_octets(row.array(0)?),
            client: row.text(1)?.to_owned(),
            asked: json(row.text(2)?)?,
            made: row.time(3)?,
            step: step.ok_or_else(|| Fault::Row("a login at no step".into()))?,
            opened: row.opt_time(5)?,
            browser: row.opt_array(6)?,
            secret: row.opt_array(7)?,
            shown: row.opt_time(8)?,
            ceremony: row.opt_array(9)?.map(CeremonyId::from_octets),
            binding: row.opt_array(10)?.map(BindingId::from_octets),
            claimed: row.opt_time(11)?,
            statement: row.opt_text(12)?.map(json).transpose()?,
            here: row.opt_number(13)?.is_some_and(|here| here != 0),
            approved: row.opt_time(14)?,
            evidence: row.opt_text(15)?.map(json).transpose()?,
            digits: row.opt_text(16)?.map(str::to_owned),
            tries: row.number(17)?,
            typed: row.opt_time(18)?,
            wrong: row.opt_text(19)?.map(str::to_owned),
            hardware: row.flag(20)?,
            hint: row.opt_array(21)?.map(KeyId::from_octets),
        })
    }

    /// The login of this id.
    pub(crate) fn of(tx: &Tx<'_>, id: CeremonyId) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM authn_login WHERE id = $1");
        tx.query_opt(&sql, &[id.into()])?.as_ref().map(Self::read).transpose()
    }

    fn of_uri(tx: &Tx<'_>, uri: Digest32) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM authn_login WHERE uri_hash = $1");
        tx.query_opt(&sql, &[uri.into()])?.as_ref().map(Self::read).transpose()
    }

    /// How long its QR code can be claimed.
    pub(crate) fn qr_life(&self) -> u64 {
        match (self.is_device(), self.asked.means.card()) {
            (true, _) => DEVICE_QR_S,
            (false, Some(_)) => CARD_CLAIM_S,
            (false, None) => QR_LIFE_S,
        }
    }

    /// Whether the time of its browser is over.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.opened.is_none_or(|opened| now.since(opened) > LOGIN_S)
    }

    /// The certificate hash of the place that pushed it.
    pub(crate) fn x5t(&self) -> Option<Digest32> {
        let at = self.asked.at.as_ref()?;
        base64url_decode(&at.x5t)?.try_into().ok()
    }
}

/// A request that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// `request_uri`
    pub request_uri: String,
    /// Seconds.
    pub expires_in: u64,
}

/// A browser has opened a login.
#[derive(Clone)]
pub struct Opened {
    /// Which.
    pub login: CeremonyId,
    /// The browser's secret, for a cookie, where it had none.
    pub browser: Option<String>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("login", &self.login).finish_non_exhaustive()
    }
}

impl Authn {
    /// A client pushes what it will ask for (RFC 9126). `place` is the facility of its client
    /// certificate: what allows signatures is bound to it.
    ///
    /// # Errors
    /// What is wrong with the request; nobody is sent anywhere.
    pub async fn push(
        &self,
        client: &Client,
        asked: Parameters,
        place: Option<&Place>,
        now: Timestamp,
    ) -> Result<Pushed, Failed<Refusal>> {
        let no = |wrong: Wrong| Failed::Refused(Refusal::Provider(wrong));
        if asked.get("request_uri").is_some() {
            return Err(no(Wrong::RequestMalformed));
        }
        let mut asked = request::read(client, asked, &self.config.issuer, now)
            .map_err(|denied| no(denied.wrong))?;
        if asked.signs() {
            let place = place.ok_or_else(|| no(Wrong::ClientNotAllowed))?;
            if let Some(start) = asked.start.as_mut().filter(|_| asked.scopes == [Scope::Service]) {
                start.count = start.count.min(self.config.count_max);
            }
            let bounds = &self.config;
            let well = asked.start.as_ref().is_some_and(|start| {
                !start.kinds.is_empty()
                    && (1..=bounds.count_max).contains(&start.count)
                    && (1..=18).contains(&start.hours)
            });
            if !well {
                return Err(no(Wrong::DetailsWrong));
            }
            asked.at = Some(At {
                facility: place.facility.clone(),
                name: place.name.clone(),
                x5t: base64url_encode(&place.x5t),
            });
        }
        let secret = Secret::new(&*self.random);
        self.keep_login(client, &asked, &secret, (None, None), now).await?;
        let request_uri = format!("{REQUEST_URI}{}", secret.text());
        Ok(Pushed { request_uri, expires_in: PUSHED_S })
    }

    /// A browser arrives: by the reference of a pushed request, which is used once, or with the
    /// request itself. The same browser may load the page again.
    ///
    /// # Errors
    /// `Ok(Err(denied))` where the request is refused, and where to that is said; a fault.
    pub async fn open_login(
        &self,
        asked: Parameters,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<Result<Opened, Denied>, Failed<Refusal>> {
        let known = asked.get("client_id").ok_or(Wrong::RequestMalformed);
        let client = match known.and_then(|id| self.registry.find(id)) {
            Ok(client) => client,
            Err(wrong) => return Ok(Err(wrong.into())),
        };
        let (hash, fresh) = match browser.and_then(Secret::hash_of) {
            Some(hash) => (hash, None),
            None => {
                let secret = Secret::new(&*self.random);
                (secret.hash(), Some(secret.text()))
            }
        };
        let login = match asked.get("request_uri") {
            Some(uri) => self.take_pushed(client, uri, hash, now).await?,
            None => match request::read(client, asked, &self.config.issuer, now) {
                Ok(asked) if asked.signs() => {
                    // Signatures are asked for over mutual TLS alone.
                    Err(Denied { back: Some(asked.back()), wrong: Wrong::ClientNotAllowed })
                }
                Ok(asked) => {
                    let secret = Secret::new(&*self.random);
                    Ok(self.keep_login(client, &asked, &secret, (Some(hash), None), now).await?)
                }
                Err(denied) => Err(denied),
            },
        };
        Ok(login.map(|login| Opened { login, browser: fresh }))
    }

    /// Writes the row: with the browser that opened it, and on whose page it stands.
    pub(crate) async fn keep_login(
        &self,
        client: &Client,
        asked: &AskedFor,
        secret: &Secret,
        (browser, hint): (Option<Digest32>, Option<KeyId>),
        now: Timestamp,
    ) -> Result<CeremonyId, Failed<Refusal>> {
        let id = CeremonyId::random(&*self.random);
        let (client, asked, uri) = (client.id.as_str().to_owned(), text(asked)?, secret.hash());
        let step = if browser.is_some() { Step::Opened } else { Step::Pushed };
        let opened = browser.map(|_| now);
        self.ledger
            .write(move |tx| {
                tx.exec(
                    "INSERT INTO authn_login (id, client, asked, uri_hash, made, step, opened,
                        browser, tries, hint)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    &[
                        id.into(),
                        (&client).into(),
                        (&asked).into(),
                        uri.into(),
                        now.into(),
                        step.name().into(),
                        opened.into(),
                        browser.into(),
                        u32::from(NUMBER_TRIES).into(),
                        hint.into(),
                    ],
                )?;
                Ok(id)
            })
            .await
    }

    /// The one browser that a pushed request is for.
    async fn take_pushed(
        &self,
        client: &Client,
        uri: &str,
        browser: Digest32,
        now: Timestamp,
    ) -> Result<Result<CeremonyId, Denied>, Failed<Refusal>> {
        let unknown = || Ok(Err(Wrong::RequestUnknown.into()));
        let Some(hash) = uri.strip_prefix(REQUEST_URI).and_then(Secret::hash_of) else {
            return unknown();
        };
        let client = client.id.as_str().to_owned();
        self.ledger
            .write(move |tx| {
                let Some(row) = LoginRow::of_uri(tx, hash)? else { return unknown() };
                let again = row.browser == Some(browser) && !row.is_over(now);
                if row.client == client && again && row.step != Step::Answered {
                    return Ok(Ok(row.id));
                }
                let late = now.since(row.made) > PUSHED_S;
                if row.client != client || row.step != Step::Pushed || late {
                    return unknown();
                }
                let taken = tx.exec(
                    "UPDATE authn_login SET step = 'opened', opened = $2, browser = $3
                     WHERE id = $1 AND step = 'pushed'",
                    &[row.id.into(), now.into(), browser.into()],
                )?;
                if taken == 1 { Ok(Ok(row.id)) } else { unknown() }
            })
            .await
    }

    /// Forgets logins that nobody approved, and codes and access tokens long after their end. To be
    /// called now and then.
    ///
    /// # Errors
    /// A fault.
    pub async fn forget_logins(&self, now: Timestamp) -> Result<(), Failed<Refusal>> {
        let (idle, spent) = (now.minus(IDLE_S), now.minus(SPENT_S));
        self.ledger
            .write(move |tx| {
                tx.exec(
                    "DELETE FROM authn_login WHERE made < $1 AND evidence IS NULL
                       AND NOT EXISTS (SELECT 1 FROM authn_code c WHERE c.login = authn_login.id)",
                    &[idle.into()],
                )?;
                tx.exec("DELETE FROM authn_code WHERE issued < $1", &[spent.into()])?;
                tx.exec("DELETE FROM authn_access WHERE until < $1", &[spent.into()])?;
                Ok(())
            })
            .await
    }

    /// The login of this reference.
    pub(crate) async fn login_of_uri(
        &self,
        uri: Digest32,
    ) -> Result<Option<LoginRow>, Failed<Refusal>> {
        self.ledger.read(move |tx| Ok(LoginRow::of_uri(tx, uri)?)).await
    }

    /// The login that this browser opened.
    ///
    /// # Errors
    /// `oauth-browser-differs`, also for a login that is unknown or over.
    pub(crate) async fn login_of(
        &self,
        id: CeremonyId,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<LoginRow, Failed<Refusal>> {
        let differs = || Failed::Refused(Refusal::Provider(Wrong::BrowserDiffers));
        let hash = browser.and_then(Secret::hash_of).ok_or_else(differs)?;
        let row =
            self.ledger.read(move |tx| Ok::<_, Failed<Refusal>>(LoginRow::of(tx, id)?)).await?;
        let row = row.ok_or_else(differs)?;
        let hers = row.browser.is_some_and(|opened| crate::secret::same(&opened, &hash));
        if hers && !row.is_over(now) { Ok(row) } else { Err(differs()) }
    }
}
