//! The token shelf: which staff member has which live token, and until when.
//!
//! A token is sealed under facility ‖ gateway ‖ staff ‖ person ‖ jti, so a row moved to another
//! person or staff ID does not open. Expiry erases it. Whom a staff ID stands for comes from the
//! staff list or, where that does not say, from the first authentication; a person stands behind
//! one staff ID only, so a token is never offered to another (AUT-4).

use std::sync::Arc;

use hpki::encoding::Statement;
use hpki::id::{KeyId, PersonId, TokenId};
use hpki::kind::DocumentKind;
use hpki::sign::Random;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Store, Tx};
use wire::TokenAnswer;

use crate::config::{GatewayConfig, Staff};
use crate::names::StaffId;
use crate::platform::Bearer;
use crate::refusal::Refusal;
use crate::seal::ShelfKey;

/// A live token of one staff member.
pub(crate) struct Kept {
    pub(crate) bearer: Bearer,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) jti: TokenId,
    pub(crate) until: Timestamp,
    pub(crate) kinds: Vec<DocumentKind>,
    pub(crate) means: String,
}

pub(crate) struct Shelf {
    store: Store,
    config: Arc<GatewayConfig>,
    key: Arc<ShelfKey>,
}

impl Shelf {
    pub(crate) const fn new(store: Store, config: Arc<GatewayConfig>, key: Arc<ShelfKey>) -> Self {
        Self { store, config, key }
    }

    fn about(&self, staff: &StaffId, person: &PersonId, jti: &TokenId) -> Statement {
        Statement::new("azukari/shelf/v1")
            .text(self.config.facility.as_str())
            .text(self.config.gateway.as_str())
            .text(staff.as_str())
            .octets_field(person.octets())
            .octets_field(jti.octets())
    }

    /// Puts a token on the shelf of this staff member, in place of a former one, and binds the
    /// person to the staff ID where the staff list does not.
    pub(crate) async fn put(
        &self,
        staff: &Staff,
        answer: TokenAnswer,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let wrong = |what: &str| Failed::Refused(Refusal::AnswerMalformed(what.to_owned()));
        let token = wire::token::read(&answer.token).ok_or_else(|| wrong("not a token"))?;
        let claims = &token.claims;
        if claims.sub != answer.person
            || claims.exp != answer.until
            || claims.allowance.facility != self.config.facility
        {
            return Err(wrong("the token is not what was said of it"));
        }
        if answer.until <= now {
            return Err(wrong("the token has expired"));
        }
        let (jti, person, until) = (claims.jti, answer.person, answer.until);
        if self.config.staff_of(&person).is_some_and(|other| other.id != staff.id) {
            return Err(Failed::Refused(Refusal::PersonOfAnotherStaff));
        }
        let clear = zeroize::Zeroizing::new(
            serde_json::to_vec(&answer).map_err(|_| wrong("it cannot be kept"))?,
        );
        let sealed = self.key.seal(&self.about(&staff.id, &person, &jti), &clear, random)?;
        let (config, staff) = (Arc::clone(&self.config), staff.clone());
        self.store
            .write(move |tx| {
                bind(tx, &config, &staff, &person, now)?;
                tx.exec(
                    "INSERT INTO gateway_shelf (staff, person, jti, until, sealed)
                     VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (staff) DO UPDATE SET person = excluded.person,
                     jti = excluded.jti, until = excluded.until, sealed = excluded.sealed",
                    &[
                        staff.id.as_str().into(),
                        person.into(),
                        jti.into(),
                        until.into(),
                        sealed.as_slice().into(),
                    ],
                )?;
                Ok(())
            })
            .await
    }

    /// The live token of this staff member. One that has expired, does not open, or belongs to
    /// somebody else is erased.
    pub(crate) async fn take(
        &self,
        staff: &Staff,
        now: Timestamp,
    ) -> Result<Option<Kept>, Failed<Refusal>> {
        let (config, asked) = (Arc::clone(&self.config), staff.clone());
        let found = self
            .store
            .read(move |tx| {
                let row = tx.query_opt(
                    "SELECT person, jti, until, sealed FROM gateway_shelf WHERE staff = $1",
                    &[asked.id.as_str().into()],
                )?;
                let expected = expected(tx, &config, &asked)?;
                Ok::<_, Failed<Refusal>>(row.map(|row| (row, expected)))
            })
            .await?;
        let Some((row, expected)) = found else { return Ok(None) };
        let person = PersonId::from_octets(row.array(0)?);
        let jti = TokenId::from_octets(row.array(1)?);
        let until = row.time(2)?;
        if until <= now {
            self.forget(&staff.id, &jti).await?;
            return Ok(None);
        }
        let sealed = row.blob(3)?;
        let opened = self
            .key
            .open(&self.about(&staff.id, &person, &jti), sealed)
            .and_then(|clear| serde_json::from_slice::<TokenAnswer>(&clear).ok())
            .filter(|answer| answer.person == person && answer.until == until);
        match opened {
            Some(answer) if expected == Some(person) => Ok(Some(Kept {
                bearer: Bearer::new(answer.token),
                person,
                key: answer.key,
                jti,
                until,
                kinds: answer.kinds,
                means: answer.means,
            })),
            _ => {
                tracing::warn!(staff = %staff.id, "a shelf record was not this person's; erased");
                self.forget(&staff.id, &jti).await?;
                Ok(None)
            }
        }
    }

    /// Who is expected to authenticate for this staff ID.
    pub(crate) async fn expected(&self, staff: &Staff) -> Result<Option<PersonId>, Fault> {
        let (config, staff) = (Arc::clone(&self.config), staff.clone());
        self.store
            .read(move |tx| Ok::<_, Failed<Refusal>>(expected(tx, &config, &staff)?))
            .await
            .map_err(unrefused)
    }

    /// Erases this token.
    pub(crate) async fn forget(&self, staff: &StaffId, jti: &TokenId) -> Result<(), Fault> {
        let (staff, jti) = (staff.clone(), *jti);
        self.store
            .write(move |tx| {
                tx.exec(
                    "DELETE FROM gateway_shelf WHERE staff = $1 AND jti = $2",
                    &[staff.as_str().into(), jti.into()],
                )?;
                Ok::<_, Failed<Refusal>>(())
            })
            .await
            .map_err(unrefused)
    }
}

/// A unit of work that never refuses.
pub(crate) fn unrefused(failed: Failed<Refusal>) -> Fault {
    match failed {
        Failed::Fault(fault) => fault,
        Failed::Refused(refusal) => Fault::Misuse(refusal.to_string()),
    }
}

fn expected(tx: &Tx<'_>, config: &GatewayConfig, staff: &Staff) -> Result<Option<PersonId>, Fault> {
    if staff.person.is_some() {
        return Ok(staff.person);
    }
    let row = tx.query_opt(
        "SELECT person FROM gateway_binding WHERE staff = $1",
        &[staff.id.as_str().into()],
    )?;
    let person = row.map(|row| row.array(0).map(PersonId::from_octets)).transpose()?;
    // The staff list has the last word: a person it names for another ID is not this one's.
    Ok(person.filter(|person| config.staff_of(person).is_none()))
}

fn bind(
    tx: &Tx<'_>,
    config: &GatewayConfig,
    staff: &Staff,
    person: &PersonId,
    now: Timestamp,
) -> Result<(), Failed<Refusal>> {
    match expected(tx, config, staff)? {
        Some(expected) if expected == *person => return Ok(()),
        Some(_) => return Err(Failed::Refused(Refusal::PersonNotOfStaff)),
        None => {}
    }
    let other = tx
        .query_opt("SELECT staff FROM gateway_binding WHERE person = $1", &[person.into()])?
        .map(|row| row.text(0).map(str::to_owned))
        .transpose()?;
    if let Some(other) = other {
        // A binding of somebody who has left the staff list, or who is named there now, is old.
        let held = config.staff.iter().any(|s| s.id.as_str() == other && s.person.is_none());
        if held && other != staff.id.as_str() {
            return Err(Failed::Refused(Refusal::PersonOfAnotherStaff));
        }
        tx.exec("DELETE FROM gateway_binding WHERE person = $1", &[person.into()])?;
    }
    tx.exec(
        "INSERT INTO gateway_binding (staff, person, since) VALUES ($1, $2, $3)
         ON CONFLICT (staff) DO UPDATE SET person = excluded.person, since = excluded.since",
        &[staff.id.as_str().into(), person.into(), now.into()],
    )?;
    Ok(())
}
