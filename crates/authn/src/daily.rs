//! The daily authentication, on the phone's side (protocols §3); the terminal's is `terminal`.
//!
//! A QR says nothing but which ceremony and a secret. What the person approves is shown on her
//! phone and signed over: the institution's registered name, the terminal, kinds, count, until, and
//! the head of her key's history. At an institution where she has no session yet, or where nobody
//! said who is expected, three digits must be carried from the phone to the terminal: whoever
//! relays a QR from elsewhere then needs her active help.

use std::sync::Arc;

use approval::{Approval, AssertionResponse, SessionStatement, Statement};
use hpki::id::{CeremonyId, KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Head, Note, Record};
use wire::{SessionApproveRequest, SessionClaimAnswer, SessionClaimRequest, SessionRefuseRequest};

use crate::binding::BindingRow;
use crate::ceremony::{Ceremony, Claim, Given, Number, Step, Subject};
use crate::config::NUMBER_TRIES;
use crate::keeping::{Keeping, facility_of};
use crate::options;
use crate::provider::Wrong;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::{Secret, same, three_digits};

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

impl Authn {
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
            if ceremony.wanted.is_some() {
                return Err(Refusal::Provider(Wrong::MeansDiffers));
            }
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
            card_until: None,
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
        let answered = self.approved_with(&binding, claim.statement.clone(), &response, now)?;
        let approval = answered.approval.clone();
        let session = matches!(claim.statement, Statement::Session(_));
        let person = claim.statement.person();
        let keeping = Keeping::of(id, &approval)?;
        let number_asked = self
            .ledger
            .write(move |tx| {
                answered.count(tx)?;
                let known = tx.query_opt(
                    "SELECT 1 FROM authn_session
                     WHERE person = $1 AND facility = $2 AND released IS NOT NULL LIMIT 1",
                    &[person.into(), keeping.facility().into()],
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

    /// The ceremony of whoever shows its secret.
    pub(crate) fn by_secret<T>(
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
}
