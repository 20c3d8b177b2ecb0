//! The morning's authentication, as the terminal sees it: a QR, a state, perhaps three digits, and
//! a green light. The token itself never reaches the terminal.

use hpki::id::{CeremonyId, PersonId};
use hpki::time::Timestamp;
use ledger::Failed;
use serde::Serialize;
use wire::{CeremonyState, CeremonyStep, NumberRequest, StartAnswer, StartRequest, Terminal};

use crate::checkpoint::{get, unreachable};
use crate::config::Staff;
use crate::desk::Gateway;
use crate::names::{StaffId, TerminalId};
use crate::platform::{Call, Method, Platform};
use crate::refusal::Refusal;
use crate::sending::{platform_says, read};

/// A token that has less than this left is shown yellow.
const SOON_S: u64 = 3600;

/// A ceremony that the terminal can show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Authentication {
    /// Which.
    pub ceremony: CeremonyId,
    /// The text of the QR code.
    pub qr: String,
    /// Until when it can be claimed.
    pub until: Timestamp,
}

/// Where a ceremony stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthenticationState {
    /// Where it stands.
    pub state: CeremonyStep,
    /// Once released: until when this staff member can sign.
    pub until: Option<Timestamp>,
}

/// The colour of the button in the medical record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// A token is here.
    Green,
    /// A token is here, for less than an hour.
    Yellow,
    /// None: authenticate.
    None,
}

/// Whether a staff member can sign, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaffState {
    /// At a glance.
    pub light: Light,
    /// Until when.
    pub until: Option<Timestamp>,
    /// By what means (`phone`, `hpki`, `jpki`).
    pub means: Option<String>,
    /// Who this is at the platform, once known.
    pub person: Option<PersonId>,
}

impl<P: Platform> Gateway<P> {
    /// Begins an authentication of this staff member at this terminal.
    pub async fn authenticate(
        &self,
        staff: &StaffId,
        terminal: &TerminalId,
        now: Timestamp,
    ) -> Result<Authentication, Failed<Refusal>> {
        let staff = self.staff(staff)?;
        let label = self.config.terminal(terminal);
        let label = label.ok_or(Failed::Refused(Refusal::TerminalUnknown))?;
        let request = StartRequest {
            terminal: Terminal { id: terminal.to_string(), label: label.to_owned() },
            expected_person: self.shelf.expected(staff).await?,
            kinds: staff.kinds.clone(),
            count: self.config.count,
            hours: self.config.hours,
        };
        let answer: StartAnswer = self.post(wire::path::CEREMONIES.to_owned(), &request).await?;
        let (ceremony, staff, terminal) = (answer.ceremony, staff.id.clone(), terminal.clone());
        self.store
            .write(move |tx| {
                tx.exec(
                    "INSERT INTO gateway_ceremony (ceremony, staff, terminal, began)
                     VALUES ($1, $2, $3, $4)",
                    &[ceremony.into(), staff.as_str().into(), terminal.as_str().into(), now.into()],
                )?;
                Ok::<_, Failed<Refusal>>(())
            })
            .await?;
        Ok(Authentication { ceremony, qr: answer.qr, until: answer.until })
    }

    /// Where a ceremony stands. Once the token is released it goes to the shelf of the staff
    /// member for whom the ceremony was begun, and of nobody else.
    ///
    /// Only its own staff member's terminal hears of it.
    pub async fn authentication_state(
        &self,
        staff: &StaffId,
        ceremony: CeremonyId,
        now: Timestamp,
    ) -> Result<AuthenticationState, Failed<Refusal>> {
        let staff = self.staff_of(ceremony, staff).await?;
        let path = wire::path::CEREMONY.replace("{ceremony}", &ceremony.to_string());
        let reply = self.platform.send(get(path)).await.map_err(unreachable)?;
        let state: CeremonyState = read(reply).map_err(Failed::Refused)?;
        self.shelve(staff, state, now).await
    }

    async fn shelve(
        &self,
        staff: &Staff,
        state: CeremonyState,
        now: Timestamp,
    ) -> Result<AuthenticationState, Failed<Refusal>> {
        if state.state != CeremonyStep::Released {
            return Ok(AuthenticationState { state: state.state, until: None });
        }
        let Some(token) = state.token else {
            // Released before and handed over then: what the shelf has is the answer.
            let kept = self.shelf.take(staff, now).await?;
            return Ok(AuthenticationState { state: state.state, until: kept.map(|k| k.until) });
        };
        let until = token.until;
        self.shelf.put(staff, token, &*self.random, now).await?;
        Ok(AuthenticationState { state: state.state, until: Some(until) })
    }

    /// Hands in the three digits that the phone shows.
    pub async fn number(
        &self,
        staff: &StaffId,
        ceremony: CeremonyId,
        digits: &str,
        now: Timestamp,
    ) -> Result<AuthenticationState, Failed<Refusal>> {
        let staff = self.staff_of(ceremony, staff).await?;
        let path = wire::path::CEREMONY_NUMBER.replace("{ceremony}", &ceremony.to_string());
        let request = NumberRequest { number: digits.to_owned() };
        // The answer is the state after it, perhaps with the token already.
        let state: CeremonyState = self.post(path, &request).await?;
        self.shelve(staff, state, now).await
    }

    /// Whether this staff member can sign, and until when.
    pub async fn staff_state(
        &self,
        staff: &StaffId,
        now: Timestamp,
    ) -> Result<StaffState, Failed<Refusal>> {
        let staff = self.staff(staff)?;
        Ok(match self.shelf.take(staff, now).await? {
            None => StaffState {
                light: Light::None,
                until: None,
                means: None,
                person: self.shelf.expected(staff).await?,
            },
            Some(kept) => StaffState {
                light: if kept.until.since(now) < SOON_S { Light::Yellow } else { Light::Green },
                until: Some(kept.until),
                means: Some(kept.means),
                person: Some(kept.person),
            },
        })
    }

    /// Ends this staff member's token at the platform, then erases it here. If the platform does
    /// not answer, it stays on the shelf, so that the end can be asked for again.
    pub async fn end(&self, staff: &StaffId, now: Timestamp) -> Result<(), Failed<Refusal>> {
        let staff = self.staff(staff)?;
        let kept = self.shelf.take(staff, now).await?.ok_or(Failed::Refused(Refusal::NoToken))?;
        let call = Call {
            method: Method::Post,
            path: wire::path::SESSIONS_END.to_owned(),
            token: Some(kept.bearer),
            body: Some(b"{}".to_vec()),
        };
        let reply = self.platform.send(call).await.map_err(unreachable)?;
        match platform_says(reply) {
            Ok(_) => {}
            Err(refusal) if self.token_is_dead(&refusal) => {}
            Err(refusal) => return Err(Failed::Refused(refusal)),
        }
        Ok(self.shelf.forget(&staff.id, &kept.jti).await?)
    }

    /// The staff member for whom the ceremony was begun, if it is this one: to anybody else it is
    /// unknown.
    async fn staff_of(
        &self,
        ceremony: CeremonyId,
        asking: &StaffId,
    ) -> Result<&Staff, Failed<Refusal>> {
        Ok(self.begun(ceremony, asking).await?.0)
    }

    /// That staff member, and the terminal at which it was begun.
    pub(crate) async fn begun(
        &self,
        ceremony: CeremonyId,
        asking: &StaffId,
    ) -> Result<(&Staff, TerminalId), Failed<Refusal>> {
        let row = self
            .store
            .read(move |tx| {
                Ok::<_, Failed<Refusal>>(tx.query_opt(
                    "SELECT staff, terminal FROM gateway_ceremony WHERE ceremony = $1",
                    &[ceremony.into()],
                )?)
            })
            .await?;
        let row = row.ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
        let staff = row.parsed::<StaffId>(0)?;
        if staff != *asking {
            return Err(Failed::Refused(Refusal::CeremonyUnknown));
        }
        Ok((self.staff(&staff)?, row.parsed::<TerminalId>(1)?))
    }

    pub(crate) async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: String,
        request: &(impl Serialize + Sync),
    ) -> Result<T, Failed<Refusal>> {
        let body = serde_json::to_vec(request)
            .map_err(|error| Failed::Refused(Refusal::AnswerMalformed(error.to_string())))?;
        let call = Call { method: Method::Post, path, token: None, body: Some(body) };
        let reply = self.platform.send(call).await.map_err(unreachable)?;
        read(reply).map_err(Failed::Refused)
    }
}
