//! The browser's side of a login: it shows a QR code, waits, takes the three digits, and is sent
//! back to its client. Whoever asks here has the cookie of the browser that opened the login.

use hpki::id::{CeremonyId, FacilityCode};
use hpki::time::Timestamp;
use ledger::{Failed, Tx};
use wire::CeremonyStep;

use super::client::MeansWanted;
use super::consent;
use super::login::{LoginRow, Step};
use super::refusal::{Back, Wrong};
use super::request::Scope;
use crate::ceremony::{Place, Step as SessionStep};
use crate::config::FINISH_S;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::{Secret, same};

/// How far it is, as the page is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageStep {
    /// No QR code is shown, or it has expired.
    Idle,
    /// The QR code waits for a phone.
    Waiting,
    /// A phone has claimed it.
    Claimed,
    /// Three digits are to be typed.
    Number,
    /// A signing session lacks its token still.
    Opening,
    /// The browser can be sent back with a code.
    Ready,
    /// The browser can be sent back with a refusal.
    Refused,
}

impl PageStep {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Claimed => "claimed",
            Self::Number => "number",
            Self::Opening => "opening",
            Self::Ready => "ready",
            Self::Refused => "refused",
        }
    }
}

/// What the page shows.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The client's registered name.
    pub client: String,
    /// Where the browser goes back to.
    pub host: String,
    /// What is asked for.
    pub scopes: Vec<Scope>,
    /// The institution and terminal, where signatures are asked for.
    pub place: Option<(String, String)>,
    /// By which means she is to approve.
    pub means: MeansWanted,
    /// How far it is.
    pub step: PageStep,
    /// The ceremony that a signing session waits for.
    pub ceremony: Option<(CeremonyId, hpki::encoding::Digest32)>,
}

fn provider(wrong: Wrong) -> Failed<Refusal> {
    Failed::Refused(Refusal::Provider(wrong))
}

impl Authn {
    /// What the page of this login shows.
    ///
    /// # Errors
    /// `oauth-browser-differs`, `oauth-client-unknown`, or a fault.
    pub async fn login_seen(
        &self,
        id: CeremonyId,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<Seen, Failed<Refusal>> {
        let row = self.login_of(id, browser, now).await?;
        let client = self.registry.find(&row.client).map_err(provider)?;
        let place = row.asked.at.as_ref().zip(row.asked.start.as_ref());
        Ok(Seen {
            client: client.name.clone(),
            host: row.asked.host.clone(),
            scopes: row.asked.scopes.clone(),
            place: place.map(|(at, start)| (at.name.clone(), start.terminal.label.clone())),
            means: row.asked.means,
            step: self.page_step(&row, now),
            ceremony: row.ceremony.zip(row.x5t()),
        })
    }

    pub(crate) fn page_step(&self, row: &LoginRow, now: Timestamp) -> PageStep {
        let late = |since: Option<Timestamp>, s| since.is_none_or(|since| now.since(since) > s);
        if let (Step::Opened, Some(ceremony), Some(x5t)) = (row.step, row.ceremony, row.x5t()) {
            return match self.session_step(ceremony, x5t, now) {
                None | Some(CeremonyStep::Expired) => PageStep::Idle,
                Some(CeremonyStep::Waiting) => PageStep::Waiting,
                Some(CeremonyStep::Claimed) => PageStep::Claimed,
                Some(CeremonyStep::Number) => PageStep::Number,
                Some(CeremonyStep::Approved) => PageStep::Opening,
                Some(CeremonyStep::Released) => PageStep::Ready,
                Some(CeremonyStep::Refused) => PageStep::Refused,
            };
        }
        match row.step {
            Step::Opened if late(row.shown, row.qr_life()) => PageStep::Idle,
            Step::Opened => PageStep::Waiting,
            Step::Claimed if late(row.claimed, FINISH_S) => PageStep::Idle,
            Step::Claimed => PageStep::Claimed,
            Step::Approved if row.here || row.typed.is_some() => PageStep::Ready,
            Step::Approved if late(row.approved, FINISH_S) => PageStep::Refused,
            Step::Approved => PageStep::Number,
            Step::Pushed | Step::Refused | Step::Answered => PageStep::Refused,
        }
    }

    /// How far the signing session behind a login is, without handing out its token.
    fn session_step(
        &self,
        ceremony: CeremonyId,
        x5t: hpki::encoding::Digest32,
        now: Timestamp,
    ) -> Option<CeremonyStep> {
        let ceremonies = self.ceremonies();
        let found = ceremonies.get(&ceremony).filter(|found| found.place.x5t == x5t)?;
        match &found.step {
            SessionStep::Approved(given) if given.number_late(now) => Some(CeremonyStep::Refused),
            _ => Some(found.seen(now)),
        }
    }

    /// Shows a QR code: a fresh one each time; the one before is void, also of a signing session.
    ///
    /// # Errors
    /// `oauth-browser-differs`; `ceremony-out-of-step` once she has approved or refused; what
    /// [`Authn::start`] refuses of an allowance.
    pub async fn show_login(
        &self,
        id: CeremonyId,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Failed<Refusal>> {
        let row = self.login_of(id, browser, now).await?;
        if let (Some(at), Some(start), Some(x5t)) = (&row.asked.at, &row.asked.start, row.x5t()) {
            let facility: FacilityCode = at.facility.clone();
            let place = Place { facility, name: at.name.clone(), x5t };
            if row.step != Step::Opened || !self.withdrawn(row.ceremony) {
                return Err(Failed::Refused(Refusal::CeremonyOutOfStep("decided already")));
            }
            let mut answer = self.start(place, start.clone(), now).await?;
            if let Some(card) = row.asked.means.card() {
                self.by_certificate(answer.ceremony, x5t, |ceremony| {
                    ceremony.wanted = Some(card);
                    Ok(())
                })?;
                answer.until = now.plus(row.qr_life());
            }
            self.reshow(id, None, Some(answer.ceremony), now).await?;
            return Ok((answer.qr, answer.until));
        }
        let secret = Secret::new(&*self.random);
        self.reshow(id, Some(secret.hash()), None, now).await?;
        let qr = format!("{}/q#1.{id}.{}", self.config.url, secret.text());
        Ok((qr, now.plus(row.qr_life())))
    }

    /// Takes a ceremony back whose QR code is replaced; not one that was approved.
    fn withdrawn(&self, former: Option<CeremonyId>) -> bool {
        let mut ceremonies = self.ceremonies();
        let Some(found) = former.and_then(|id| ceremonies.get_mut(&id)) else { return true };
        match found.step {
            SessionStep::Waiting | SessionStep::Claimed(_) => found.step = SessionStep::Refused,
            SessionStep::Refused | SessionStep::Unconfirmed => {}
            _ => return false,
        }
        true
    }

    pub(crate) async fn reshow(
        &self,
        id: CeremonyId,
        secret: Option<hpki::encoding::Digest32>,
        ceremony: Option<CeremonyId>,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        self.ledger
            .write(move |tx| {
                let shown = tx.exec(
                    "UPDATE authn_login
                     SET step = 'opened', secret_hash = $2, ceremony = $3, shown = $4,
                         binding = NULL, claimed = NULL, statement = NULL, key = NULL
                     WHERE id = $1 AND step IN ('opened', 'claimed')",
                    &[id.into(), secret.into(), ceremony.into(), now.into()],
                )?;
                match shown {
                    1 => Ok(()),
                    _ => Err(Failed::Refused(Refusal::CeremonyOutOfStep("decided already"))),
                }
            })
            .await
    }

    /// The digits that the phone shows were typed in the browser that logs in.
    ///
    /// # Errors
    /// `oauth-browser-differs`, `ceremony-out-of-step`, `number-wrong`; the third time, or too late,
    /// `place-not-confirmed`.
    pub async fn type_number(
        &self,
        id: CeremonyId,
        browser: Option<&str>,
        number: &str,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let row = self.login_of(id, browser, now).await?;
        if let Some((ceremony, x5t)) = row.ceremony.zip(row.x5t()) {
            return self.number(ceremony, x5t, number, now).await;
        }
        let number = number.to_owned();
        // The try is committed before anything is answered, so a refusal is a value here.
        let judged = self.ledger.write(move |tx| type_in(tx, id, &number, now)).await?;
        judged.map_err(Failed::Refused)
    }

    /// The browser gives up; whatever the phone says afterwards is too late.
    ///
    /// # Errors
    /// `oauth-browser-differs`, or a fault.
    pub async fn leave_login(
        &self,
        id: CeremonyId,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let row = self.login_of(id, browser, now).await?;
        let left = self
            .ledger
            .write(move |tx| {
                let left = tx.exec(
                    "UPDATE authn_login SET step = 'refused' WHERE id = $1 AND step <> 'answered'",
                    &[id.into()],
                )?;
                Ok::<_, Failed<Refusal>>(left == 1)
            })
            .await?;
        if let Some((ceremony, x5t)) = row.ceremony.zip(row.x5t()).filter(|_| left) {
            // A token that was made already goes nowhere: its code is issued no more, and the session
            // that nobody fetched ends with the ceremony.
            self.by_certificate(ceremony, x5t, |_| Ok(()))?;
            self.unconfirmed(ceremony, now).await?;
        }
        Ok(())
    }

    /// The browser goes back to its client: with a code once everything is there, with a refusal
    /// where there was one. It goes once.
    ///
    /// # Errors
    /// `oauth-browser-differs`; `ceremony-out-of-step` before that.
    pub async fn answer_login(
        &self,
        id: CeremonyId,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<(Back, Result<String, String>), Failed<Refusal>> {
        let row = self.login_of(id, browser, now).await?;
        let back = row.asked.back();
        let step = self.page_step(&row, now);
        match step {
            PageStep::Ready => {}
            PageStep::Refused if row.step != Step::Answered => {
                self.ledger.write(move |tx| Ok(answered(tx, id, row.step)?)).await??;
                let why = row.wrong.unwrap_or_else(|| "ceremony-refused".into());
                return Ok((back, Err(why)));
            }
            PageStep::Refused => {
                return Err(Failed::Refused(Refusal::CeremonyOutOfStep("answered already")));
            }
            _ => return Err(Failed::Refused(Refusal::CeremonyOutOfStep("not approved yet"))),
        }
        let code = Secret::new(&*self.random);
        let hash = code.hash();
        let client = self.registry.find(&row.client).map_err(provider)?.name.clone();
        self.ledger
            .write(move |tx| {
                answered(tx, id, row.step)??;
                tx.exec(
                    "INSERT INTO authn_code (hash, login, issued) VALUES ($1, $2, $3)",
                    &[hash.into(), id.into(), now.into()],
                )?;
                if let Some(statement) = &row.statement {
                    consent::give(tx, statement, &client, now)?;
                }
                Ok::<_, Failed<Refusal>>(())
            })
            .await?;
        Ok((back, Ok(code.text())))
    }
}

/// Marks it as answered; only one answer is.
fn answered(
    tx: &Tx<'_>,
    id: CeremonyId,
    from: Step,
) -> Result<Result<(), Failed<Refusal>>, ledger::Fault> {
    let done = tx.exec(
        "UPDATE authn_login SET step = 'answered' WHERE id = $1 AND step = $2",
        &[id.into(), from.name().into()],
    )?;
    Ok(match done {
        1 => Ok(()),
        _ => Err(Failed::Refused(Refusal::CeremonyOutOfStep("answered already"))),
    })
}

/// Takes one try and compares.
fn type_in(
    tx: &Tx<'_>,
    id: CeremonyId,
    number: &str,
    now: Timestamp,
) -> Result<Result<(), Refusal>, Failed<Refusal>> {
    let row = LoginRow::of(tx, id)?.ok_or_else(|| provider(Wrong::BrowserDiffers))?;
    let (Step::Approved, Some(digits)) = (row.step, &row.digits) else {
        return Ok(Err(match row.step {
            Step::Refused => Refusal::PlaceNotConfirmed,
            _ => Refusal::CeremonyOutOfStep("no number is asked"),
        }));
    };
    if row.typed.is_some() {
        return Ok(Ok(()));
    }
    let late = row.approved.is_none_or(|at| now.since(at) > FINISH_S);
    let left = row.tries.saturating_sub(1);
    let hash = |text: &str| hpki::encoding::sha256(text.as_bytes());
    if !late && row.tries > 0 && same(&hash(digits), &hash(number)) {
        tx.exec("UPDATE authn_login SET typed = $2 WHERE id = $1", &[id.into(), now.into()])?;
        return Ok(Ok(()));
    }
    tx.exec("UPDATE authn_login SET tries = $2 WHERE id = $1", &[id.into(), left.into()])?;
    if late || left == 0 {
        let sql = "UPDATE authn_login SET step = 'refused', wrong = 'place-not-confirmed'
                   WHERE id = $1";
        tx.exec(sql, &[id.into()])?;
        return Ok(Err(Refusal::PlaceNotConfirmed));
    }
    Ok(Err(Refusal::NumberWrong { left: u8::try_from(left).unwrap_or(u8::MAX) }))
}
