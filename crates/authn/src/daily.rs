//! The daily authentication across terminal and phone (protocols §3).
//!
//! A QR says nothing but which ceremony and a secret. What the person approves is shown on her
//! phone and signed over: the institution's registered name, the terminal, kinds, count, until, and
//! the head of her key's history. At an institution where she has no session yet, or where nobody
//! said who is expected, three digits must be carried from the phone to the terminal: whoever
//! relays a QR from elsewhere then needs her active help.

use std::sync::Arc;

use approval::{
    Approval, AssertionEvidence, AssertionResponse, Proof, SessionStatement, Statement, check,
};
use hpki::encoding::Digest32;
use hpki::id::{CeremonyId, FacilityCode, KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Head, Note, Record, Tx};
use wire::{
    CeremonyState, CeremonyStep, SessionApproveRequest, SessionClaimAnswer, SessionClaimRequest,
    SessionRefuseRequest, StartAnswer, StartRequest, Terminal,
};

use crate::binding::BindingRow;
use crate::ceremony::{Ceremony, Claim, Given, Number, Place, Step, Subject};
use crate::config::{CEREMONY_KEPT_S, NUMBER_TRIES, QR_LIFE_S};
use crate::label::is_label;
use crate::options;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::{Secret, same, three_digits};
use crate::session::end_unreleased;

/// How many ceremonies of one facility may be open at once.
const OPEN_AT_ONCE: usize = 300;

/// What the person approved, for custody to verify again and open a budget by.
#[derive(Debug, Clone, PartialEq)]
pub struct Approved {
    /// The evidence. `number_confirmed` is false in it: the digits are typed after this moment;
    /// [`Authn::approved_waiting`] then gives it with that member true.
    pub approval: Approval,
    /// The digits for the phone to show, where the place must be confirmed.
    pub number: Option<String>,
}

fn no<T>(refusal: Refusal) -> Result<T, Failed<Refusal>> {
    Err(Failed::Refused(refusal))
}

fn ceremony_of(text: &str) -> Result<CeremonyId, Failed<Refusal>> {
    text.parse().map_err(|_| Failed::Refused(Refusal::CeremonyUnknown))
}

fn facility_of(statement: &Statement) -> Result<FacilityCode, Fault> {
    match statement {
        Statement::Session(session) => Ok(session.facility_id.clone()),
        Statement::Documents(documents) => Ok(documents.facility_id.clone()),
        _ => Err(Fault::Misuse("a ceremony at no institution".into())),
    }
}

/// `session` or `documents`, and the statement without its type: what is shown.
pub(crate) fn statement_value(
    statement: &Statement,
) -> Result<(&'static str, serde_json::Value), Fault> {
    let (name, value) = match statement {
        Statement::Documents(documents) => ("documents", serde_json::to_value(documents)),
        Statement::Session(session) => ("session", serde_json::to_value(session)),
        _ => return Err(Fault::Misuse("a ceremony at no institution".into())),
    };
    let value = value.map_err(|why| Fault::Misuse(format!("a statement as JSON: {why}")))?;
    Ok((name, value))
}

/// An approval on its way into the books, once for each ceremony.
pub(crate) struct Keeping {
    ceremony: CeremonyId,
    person: PersonId,
    key: KeyId,
    facility: FacilityCode,
    evidence: String,
    state: &'static str,
}

impl Keeping {
    pub(crate) fn of(ceremony: CeremonyId, approval: &Approval) -> Result<Self, Fault> {
        let statement = &approval.statement;
        let session = matches!(statement, Statement::Session(_));
        Ok(Self {
            ceremony,
            person: statement.person(),
            key: statement.key(),
            facility: facility_of(statement)?,
            evidence: serde_json::to_string(approval)
                .map_err(|why| Fault::Misuse(format!("an approval as JSON: {why}")))?,
            state: if session { "waiting" } else { "documents" },
        })
    }

    pub(crate) fn insert(
        &self,
        tx: &Tx<'_>,
        number_asked: bool,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let kept = "SELECT 1 FROM authn_approval WHERE ceremony = $1";
        if tx.query_opt(kept, &[self.ceremony.into()])?.is_some() {
            return no(Refusal::CeremonyOutOfStep("approved already"));
        }
        tx.exec(
            "INSERT INTO authn_approval (ceremony, person, key, facility, approved, evidence,
                number_asked, number_typed, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8)",
            &[
                self.ceremony.into(),
                self.person.into(),
                self.key.into(),
                (&self.facility).into(),
                now.into(),
                (&self.evidence).into(),
                number_asked.into(),
                self.state.into(),
            ],
        )?;
        Ok(())
    }
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

    /// A phone claims the QR. The one claim is spent only by a phone that may go on: a stranger's
    /// or a colleague's phone leaves it to the right person.
    ///
    /// # Errors
    /// `ceremony-unknown` for whoever does not have the secret; with it `qr-already-used`,
    /// `qr-expired`, `phone-not-linked`, `not-the-expected-person`, `seal-broken`.
    pub async fn claim(
        &self,
        request: &SessionClaimRequest,
        device: Option<&str>,
        now: Timestamp,
    ) -> Result<SessionClaimAnswer, Failed<Refusal>> {
        let id = ceremony_of(&request.ceremony)?;
        self.by_secret(id, &request.secret, |ceremony| ceremony.claimable(now))?;
        let Some(device) = device.and_then(Secret::hash_of) else {
            return no(Refusal::PhoneNotLinked);
        };
        let desk = Arc::clone(&self.desk);
        let (binding, head) = self
            .ledger
            .read(move |tx| {
                let binding = BindingRow::of_device(tx, device, &desk)?;
                let head = tx.stream_head(&binding.key.stream())?;
                Ok((binding, head))
            })
            .await?;
        let mut nonce = [0; 32];
        self.random.fill(&mut nonce);
        let statement = self.by_secret(id, &request.secret, |ceremony| {
            ceremony.claimable(now)?;
            if ceremony.expected.is_some_and(|expected| expected != binding.person) {
                return Err(Refusal::NotTheExpectedPerson);
            }
            let who = (binding.person, binding.key);
            let statement = self.statement_for(id, nonce, ceremony, who, head.as_ref(), now)?;
            let claim =
                Claim { at: now, binding: binding.id, card: None, statement: statement.clone() };
            ceremony.step = Step::Claimed(Box::new(claim));
            Ok(statement)
        })?;
        let options = options::get(&self.config, &statement.challenge(), &binding.credential.id);
        let (statement_type, statement) = statement_value(&statement)?;
        Ok(SessionClaimAnswer {
            person_display: binding.display_id,
            statement_type: statement_type.to_owned(),
            statement,
            options,
        })
    }

    /// What this person is asked to approve in this ceremony, about this key.
    pub(crate) fn statement_for(
        &self,
        id: CeremonyId,
        nonce: [u8; 32],
        ceremony: &Ceremony,
        (person, key): (PersonId, KeyId),
        head: Option<&Head>,
        now: Timestamp,
    ) -> Result<Statement, Refusal> {
        let (kinds, count, life) = match &ceremony.subject {
            Subject::Session { kinds, count, life } => (kinds, count, life),
            Subject::Documents(documents) => {
                let who = (person, key);
                let said = self.documents_statement(id, nonce, ceremony, documents, who)?;
                return Ok(Statement::Documents(said));
            }
        };
        Ok(Statement::Session(SessionStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            ceremony: id,
            nonce,
            facility_id: ceremony.place.facility.clone(),
            facility_name: ceremony.place.name.clone(),
            x5t_s256: ceremony.place.x5t,
            terminal_id: ceremony.terminal.id.clone(),
            terminal_label: ceremony.terminal.label.clone(),
            person,
            key,
            kinds: kinds.clone(),
            max_count: *count,
            not_before: now,
            not_after: now.plus(*life),
            head_seq: head.map_or(0, |head| head.seq),
            head_commitment: head.map(|head| head.commitment),
        }))
    }

    /// The owner refuses.
    ///
    /// # Errors
    /// `ceremony-unknown`; `ceremony-out-of-step` before it is claimed or after it is approved.
    pub async fn refuse(
        &self,
        request: &SessionRefuseRequest,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let id = ceremony_of(&request.ceremony)?;
        let refused = self.by_secret(id, &request.secret, |ceremony| match &ceremony.step {
            Step::Refused => Ok(None),
            _ => {
                let said = ceremony.approvable(now)?.statement.clone();
                ceremony.step = Step::Refused;
                Ok(Some(said))
            }
        })?;
        let Some(said) = refused else { return Ok(()) };
        let mut record = Record::of_key(Event::ApprovalRefused, said.key(), now);
        (record.person, record.facility) = (Some(said.person()), Some(facility_of(&said)?));
        self.ledger.record(move |_| Ok(((), Note(record.clone())))).await?;
        Ok(())
    }

    /// The owner approves: her phone's assertion is verified, and the evidence kept, before this
    /// answers. Custody has to open a budget by it, then [`Authn::grant`] goes on. The same
    /// assertion again – its answer was lost on the way – is answered the same.
    ///
    /// # Errors
    /// `ceremony-unknown`, `ceremony-expired`, `ceremony-refused`, `ceremony-out-of-step`,
    /// `phone-not-linked`, and whatever `approval` refuses of the assertion.
    pub async fn approve(
        &self,
        request: &SessionApproveRequest,
        now: Timestamp,
    ) -> Result<Approved, Failed<Refusal>> {
        let id = ceremony_of(&request.ceremony)?;
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let response = AssertionResponse::from_json(&request.credential);
        let (claim, expected) = {
            let ceremonies = self.ceremonies();
            let ceremony = ceremonies.get(&id).ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
            let before = response.as_ref().ok().and_then(|it| ceremony.approved_by(it));
            if let Some(approved) = before {
                return Ok(approved);
            }
            let claim = ceremony.approvable(now).map_err(Failed::Refused)?.clone();
            (claim, ceremony.expected)
        };
        let response = response.map_err(refused)?;
        let (desk, bound) = (Arc::clone(&self.desk), claim.binding);
        let binding = self.ledger.read(move |tx| BindingRow::live(tx, bound, &desk)).await?;
        let approval = Approval {
            statement: claim.statement.clone(),
            proof: Proof::Phone(AssertionEvidence::new(&response, &binding.credential)),
            binding: binding.id,
            approved: now,
            number_confirmed: false,
        };
        let outcome =
            check(&approval, &binding.credential, &self.config.relying_party()).map_err(refused)?;
        let before = binding.credential.sign_count;
        let session = matches!(claim.statement, Statement::Session(_));
        let person = claim.statement.person();
        let keeping = Keeping::of(id, &approval)?;
        let number_asked = self
            .ledger
            .write(move |tx| {
                let counted = tx.exec(
                    "UPDATE authn_binding SET sign_count = $1, backup_state = $2
                     WHERE id = $3 AND state = 'live' AND sign_count = $4",
                    &[
                        outcome.sign_count.into(),
                        outcome.backup_state.into(),
                        bound.into(),
                        before.into(),
                    ],
                )?;
                if counted != 1 {
                    // Another answer of this phone came between, or it was just unlinked.
                    return no(Refusal::Approval(approval::Refusal::CounterNotRising));
                }
                let known = tx.query_opt(
                    "SELECT 1 FROM authn_session
                     WHERE person = $1 AND facility = $2 AND released IS NOT NULL LIMIT 1",
                    &[person.into(), (&keeping.facility).into()],
                )?;
                // Documents are prepared for the bearer of a live token of this very place only:
                // what the digits prove was proven when that session began.
                let number_asked = session && (known.is_none() || expected.is_none());
                keeping.insert(tx, number_asked, now)?;
                Ok(number_asked)
            })
            .await?;
        let number = number_asked.then(|| three_digits(&*self.random));
        let mut ceremonies = self.ceremonies();
        let ceremony = ceremonies.get_mut(&id).ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
        // She may have refused on another page while the row was being written: no means no.
        ceremony.approvable(now).map_err(Failed::Refused)?;
        let Statement::Session(statement) = claim.statement else {
            ceremony.step = Step::Agreed(Box::new(approval.clone()));
            return Ok(Approved { approval, number: None });
        };
        ceremony.step = Step::Approved(Box::new(Given {
            at: now,
            statement,
            approval: approval.clone(),
            backup_eligible: binding.credential.backup_eligible,
            number: number.clone().map(|digits| Number {
                digits,
                left: NUMBER_TRIES,
                typed: false,
            }),
            token: None,
        }));
        Ok(Approved { approval, number })
    }

    /// An approval that lacks nothing but its budget and token, so that opening the budget can
    /// begin or be resumed. Where the place must be confirmed, it is given only once the digits
    /// were typed, and says so.
    ///
    /// # Errors
    /// A fault.
    pub async fn approved_waiting(
        &self,
        ceremony: CeremonyId,
    ) -> Result<Option<Approval>, Failed<Refusal>> {
        self.ledger
            .read(move |tx| {
                let sql = "SELECT evidence, number_typed IS NOT NULL FROM authn_approval
                           WHERE ceremony = $1 AND state = 'waiting'
                             AND (number_asked = 0 OR number_typed IS NOT NULL)";
                let Some(row) = tx.query_opt(sql, &[ceremony.into()])? else { return Ok(None) };
                let mut approval: Approval = serde_json::from_str(row.text(0)?)
                    .map_err(|why| Fault::Row(format!("an approval: {why}")))?;
                approval.number_confirmed = row.flag(1)?;
                Ok(Some(approval))
            })
            .await
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
            Release(hpki::id::TokenId),
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

    /// The ceremony of whoever shows its secret.
    fn by_secret<T>(
        &self,
        id: CeremonyId,
        secret: &str,
        act: impl FnOnce(&mut Ceremony) -> Result<T, Refusal>,
    ) -> Result<T, Failed<Refusal>> {
        let mut ceremonies = self.ceremonies();
        let found = ceremonies.get_mut(&id).zip(Secret::hash_of(secret));
        match found {
            Some((ceremony, shown)) if same(&ceremony.secret_hash, &shown) => {
                act(ceremony).map_err(Failed::Refused)
            }
            _ => no(Refusal::CeremonyUnknown),
        }
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
