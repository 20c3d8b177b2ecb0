//! The terminal's side of a ceremony (protocols §3): it begins and shows the QR, asks how far it is,
//! types the digits, and takes the token. All of it only over the certificate that began.

use hpki::encoding::Digest32;
use hpki::id::{CeremonyId, PersonId, TokenId};
use hpki::time::Timestamp;
use ledger::Failed;
use wire::{CeremonyState, CeremonyStep, StartAnswer, StartRequest, Terminal};

use crate::ceremony::{Ceremony, Place, Step, Subject};
use crate::config::{CEREMONY_KEPT_S, QR_LIFE_S};
use crate::label::is_label;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;
use crate::session::end_unreleased;

/// How many ceremonies of one facility may be open at once.
const OPEN_AT_ONCE: usize = 300;

fn no<T>(refusal: Refusal) -> Result<T, Failed<Refusal>> {
    Err(Failed::Refused(refusal))
}

impl Authn {
    /// A terminal of this facility asks for a person's authentication.
    ///
    /// # Errors
    /// `allowance-not-allowed`, `terminal-malformed`, `slow-down`.
    pub async fn start(
        &self,
        place: Place,
        request: StartRequest,
        now: Timestamp,
    ) -> Result<StartAnswer, Failed<Refusal>> {
        let mut kinds = request.kinds;
        kinds.sort_unstable_by_key(|kind| kind.name());
        kinds.dedup();
        if kinds.is_empty() {
            return no(Refusal::AllowanceNotAllowed("no kind of document"));
        }
        if request.count == 0 || request.count > self.config.count_max {
            return no(Refusal::AllowanceNotAllowed("count"));
        }
        if request.hours == 0 || request.hours > 18 {
            return no(Refusal::AllowanceNotAllowed("hours"));
        }
        let subject = Subject::Session {
            kinds,
            // Bounded by `count_max`, which is at most `COUNT_CEILING`.
            count: u32::try_from(request.count).unwrap_or(u32::MAX),
            life: (request.hours * 3_600).min(self.config.token_lifetime_s),
        };
        self.begin(place, request.terminal, request.expected_person, subject, now)
    }

    /// Shows a QR for this subject, if the terminal has a name and the facility patience.
    pub(crate) fn begin(
        &self,
        place: Place,
        terminal: Terminal,
        expected: Option<PersonId>,
        subject: Subject,
        now: Timestamp,
    ) -> Result<StartAnswer, Failed<Refusal>> {
        if !is_label(&terminal.id) {
            return no(Refusal::TerminalMalformed("id"));
        }
        if !is_label(&terminal.label) {
            return no(Refusal::TerminalMalformed("label"));
        }
        let id = CeremonyId::random(&*self.random);
        let secret = Secret::new(&*self.random);
        let ceremony = Ceremony {
            terminal,
            expected,
            subject,
            secret_hash: secret.hash(),
            started: now,
            step: Step::Waiting,
            wanted: None,
            place,
        };
        let mut ceremonies = self.ceremonies();
        let mut terminals = self.terminals();
        if terminals.sweep(now) {
            ceremonies.retain(|_, old| now.since(old.started) < CEREMONY_KEPT_S);
        }
        // The whole country's morning stands in this memory: only this facility's are looked at.
        let open = terminals.open.entry(ceremony.place.facility.clone()).or_default();
        open.retain(|old| {
            ceremonies.get(old).is_some_and(|old| {
                matches!(old.step, Step::Waiting | Step::Claimed(_))
                    && old.seen(now) != CeremonyStep::Expired
            })
        });
        if open.len() >= OPEN_AT_ONCE {
            return no(Refusal::SlowDown);
        }
        open.push(id);
        ceremonies.insert(id, ceremony);
        let qr = format!("{}/q#1.{id}.{}", self.config.url, secret.text());
        Ok(StartAnswer { ceremony: id, qr, until: now.plus(QR_LIFE_S) })
    }

    /// The digits that the phone shows were typed at the terminal.
    ///
    /// # Errors
    /// `ceremony-unknown`, also over another certificate; `ceremony-out-of-step`; `number-wrong`;
    /// the third time, or too late, `place-not-confirmed`.
    pub async fn number(
        &self,
        ceremony: CeremonyId,
        x5t: Digest32,
        number: &str,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let judged = self.by_certificate(ceremony, x5t, |found| {
            let given = match &mut found.step {
                Step::Approved(given) => given,
                Step::Unconfirmed => return Err(Refusal::PlaceNotConfirmed),
                Step::Refused => return Err(Refusal::CeremonyRefused),
                _ => return Err(Refusal::CeremonyOutOfStep("not approved yet")),
            };
            let late = given.number_late(now);
            match &mut given.number {
                None => return Err(Refusal::CeremonyOutOfStep("no number is asked")),
                Some(asked) if asked.typed => return Ok(()),
                Some(_) if late => {}
                Some(asked) => {
                    // The try is taken before the digits are compared.
                    asked.left = asked.left.saturating_sub(1);
                    if asked.digits == number {
                        asked.typed = true;
                        return Ok(());
                    }
                    if asked.left > 0 {
                        return Err(Refusal::NumberWrong { left: asked.left });
                    }
                }
            }
            Err(Refusal::PlaceNotConfirmed)
        });
        match judged {
            Err(Failed::Refused(Refusal::PlaceNotConfirmed)) => {
                self.unconfirmed(ceremony, now).await?;
                no(Refusal::PlaceNotConfirmed)
            }
            Err(other) => Err(other),
            Ok(()) => {
                self.ledger
                    .write(move |tx| {
                        tx.exec(
                            "UPDATE authn_approval SET number_typed = coalesce(number_typed, $2)
                             WHERE ceremony = $1",
                            &[ceremony.into(), now.into()],
                        )?;
                        Ok(())
                    })
                    .await
            }
        }
    }

    /// How far a ceremony is; the token, once it is there. Only over the certificate that began.
    ///
    /// # Errors
    /// `ceremony-unknown`; `place-not-confirmed` where the number was not typed.
    pub async fn poll(
        &self,
        ceremony: CeremonyId,
        x5t: Digest32,
        now: Timestamp,
    ) -> Result<CeremonyState, Failed<Refusal>> {
        enum Next {
            Answer(CeremonyState),
            Unconfirmed,
            Release(TokenId),
        }
        let next = self.by_certificate(ceremony, x5t, |found| {
            let state = found.seen(now);
            let bare = Ok(Next::Answer(CeremonyState { state, token: None }));
            match &found.step {
                Step::Unconfirmed => Ok(Next::Unconfirmed),
                Step::Approved(given) if given.number_late(now) => Ok(Next::Unconfirmed),
                Step::Approved(given) if !given.number_missing() => match &given.token {
                    Some(token) if token.fetchable(now) => Ok(Next::Release(token.id)),
                    _ => bare,
                },
                _ => bare,
            }
        })?;
        let token = match next {
            Next::Answer(answer) => return Ok(answer),
            Next::Unconfirmed => {
                self.unconfirmed(ceremony, now).await?;
                return no(Refusal::PlaceNotConfirmed);
            }
            Next::Release(token) => token,
        };
        let live = self
            .ledger
            .write(move |tx| {
                let released = tx.exec(
                    "UPDATE authn_session SET released = coalesce(released, $2)
                     WHERE id = $1 AND ended IS NULL",
                    &[token.into(), now.into()],
                )?;
                Ok::<_, Failed<Refusal>>(released == 1)
            })
            .await?;
        self.by_certificate(ceremony, x5t, |found| {
            if !live {
                found.step = Step::Refused;
            }
            let answer = match &mut found.step {
                Step::Approved(given) => given.token.as_mut().map(|token| {
                    token.released.get_or_insert(now);
                    token.answer.clone()
                }),
                _ => None,
            };
            Ok(CeremonyState { state: found.seen(now), token: answer })
        })
    }

    /// Kills a ceremony whose place was not confirmed: its token, if there is one already, was
    /// never handed out, and its budget is ended through the outbox.
    pub(crate) async fn unconfirmed(
        &self,
        id: CeremonyId,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let token = {
            let mut ceremonies = self.ceremonies();
            let Some(ceremony) = ceremonies.get_mut(&id) else { return Ok(()) };
            let token = match &ceremony.step {
                Step::Approved(given) => given.token.as_ref().map(|token| (token.id, token.budget)),
                _ => None,
            };
            ceremony.step = Step::Unconfirmed;
            token
        };
        self.ledger
            .write(move |tx| {
                tx.exec(
                    "UPDATE authn_approval SET state = 'unconfirmed' WHERE ceremony = $1",
                    &[id.into()],
                )?;
                if let Some((token, budget)) = token {
                    end_unreleased(tx, token, budget, "place-not-confirmed", now)?;
                }
                Ok(())
            })
            .await
    }

    /// The ceremony of the certificate that began it.
    pub(crate) fn by_certificate<T>(
        &self,
        id: CeremonyId,
        x5t: Digest32,
        act: impl FnOnce(&mut Ceremony) -> Result<T, Refusal>,
    ) -> Result<T, Failed<Refusal>> {
        let mut ceremonies = self.ceremonies();
        match ceremonies.get_mut(&id) {
            Some(ceremony) if ceremony.place.x5t == x5t => act(ceremony).map_err(Failed::Refused),
            _ => no(Refusal::CeremonyUnknown),
        }
    }
}
