//! From an opened budget to a token (RFC 9068; protocols §4).

use std::sync::Arc;

use approval::Means;
use hpki::encoding::sha256;
use hpki::id::{BindingId, BudgetId, CeremonyId, KeyId, PersonId, TokenId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use hsm::TokenDesk;
use ledger::{Failed, Fault, Tx};
use wire::TokenAnswer;
use wire::token::{
    Allowance, Claims, Confirmation, Header, base64url_encode, compact, signing_input,
};

use crate::ceremony::{Step, Token};
use crate::my_number::CardRow;
use crate::notice::{NoticeKind, tell};
use crate::refusal::Refusal;
use crate::room::Authn;

/// What custody opened after verifying the approval itself; carried in by the binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its id.
    pub id: BudgetId,
    /// The key that it opens.
    pub key: KeyId,
    /// Its owner.
    pub person: PersonId,
    /// The kinds of document that custody allows: at most those approved.
    pub kinds: Vec<DocumentKind>,
    /// Until when: at most what was approved.
    pub until: Timestamp,
    /// How many signatures: at most what was approved.
    pub count: u64,
}

/// How she was authenticated (RFC 8176).
fn amr(means: Means, backup_eligible: bool) -> Vec<String> {
    let methods: &[&str] = match means {
        // A credential that may be copied to other devices is kept by software.
        Means::Phone if backup_eligible => &["swk", "user"],
        Means::Phone => &["hwk", "user"],
        // A smart card that its PIN unlocked.
        Means::Hpki | Means::Jpki => &["sc", "pin", "mfa"],
    };
    methods.iter().map(|method| (*method).to_owned()).collect()
}

/// Whether the means by which she approved is still hers in the commit that mints the token. An HPKI
/// card is linked by nobody: whether it was revoked, custody has just judged.
fn still_known(
    tx: &Tx<'_>,
    (means, binding): (Means, BindingId),
    key: KeyId,
    desk: &TokenDesk,
) -> Result<(), Failed<Refusal>> {
    match means {
        Means::Phone => {
            let live = "SELECT 1 FROM authn_binding WHERE key = $1 AND state = 'live'";
            if tx.query_opt(live, &[key.into()])?.is_none() {
                return Err(Failed::Refused(Refusal::PhoneNotLinked));
            }
        }
        Means::Hpki => {}
        Means::Jpki => {
            CardRow::still(tx, binding, desk)?;
        }
    }
    Ok(())
}

impl Authn {
    /// Mints the token for an approval whose budget is open. It is handed out at the next poll, or
    /// once the number was typed. Twice for the same ceremony is harmless.
    ///
    /// Refused, the budget has no token: end it.
    ///
    /// # Errors
    /// `ceremony-unknown`, `ceremony-refused`, `place-not-confirmed`, `ceremony-out-of-step`,
    /// `phone-not-linked`; a fault, also where the budget is for something else than was approved.
    pub async fn grant(
        &self,
        ceremony: CeremonyId,
        budget: &Budget,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let (statement, at, by, backup_eligible, terminal) = {
            let ceremonies = self.ceremonies();
            let found =
                ceremonies.get(&ceremony).ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
            match &found.step {
                Step::Approved(given) if given.token.is_some() => return Ok(()),
                Step::Approved(given) if given.number_late(now) => {
                    return Err(Failed::Refused(Refusal::PlaceNotConfirmed));
                }
                Step::Approved(given) => (
                    given.statement.clone(),
                    given.at,
                    (given.approval.means(), given.approval.binding),
                    given.backup_eligible,
                    found.terminal.label.clone(),
                ),
                Step::Unconfirmed => return Err(Failed::Refused(Refusal::PlaceNotConfirmed)),
                Step::Refused => return Err(Failed::Refused(Refusal::CeremonyRefused)),
                _ => return Err(Failed::Refused(Refusal::CeremonyOutOfStep("not approved yet"))),
            }
        };
        let within = budget.key == statement.key
            && budget.person == statement.person
            && budget.until <= statement.not_after
            && budget.count <= u64::from(statement.max_count)
            && !budget.kinds.is_empty()
            && budget.kinds.iter().all(|kind| statement.kinds.contains(kind));
        if !within {
            return Err(
                Fault::Misuse("a budget for something else than was approved".into()).into()
            );
        }
        let until = budget.until.min(at.plus(self.config.token_lifetime_s));
        let id = TokenId::random(&*self.random);
        let claims = Claims {
            iss: self.config.issuer.clone(),
            aud: self.config.audience.clone(),
            sub: statement.person,
            client_id: statement.facility_id.as_str().to_owned(),
            iat: now,
            exp: until,
            auth_time: at,
            jti: id,
            scope: "sign".into(),
            acr: by.0.acr().to_owned(),
            amr: amr(by.0, backup_eligible),
            cnf: Confirmation::of(&statement.x5t_s256),
            allowance: Allowance {
                facility: statement.facility_id.clone(),
                budget: budget.id,
                grant: base64url_encode(&statement.challenge()),
                kinds: budget.kinds.clone(),
            },
        };
        let key = self.desk.current();
        let header =
            Header { typ: "at+jwt".into(), alg: "ES256".into(), kid: key.kid().to_owned() };
        let input = signing_input(&header, &claims);
        let token = compact(&input, &key.sign(input.as_bytes())?);

        let hash = sha256(token.as_bytes());
        let names: Vec<&str> = budget.kinds.iter().map(|kind| kind.name()).collect();
        let names = names.join(" ");
        let (row, desk) = (budget.clone(), Arc::clone(&self.desk));
        self.ledger
            .write(move |tx| {
                still_known(tx, by, row.key, &desk)?;
                let waiting = tx.exec(
                    "UPDATE authn_approval SET state = 'granted'
                     WHERE ceremony = $1 AND state = 'waiting'",
                    &[ceremony.into()],
                )?;
                if waiting != 1 {
                    return Err(Failed::Refused(Refusal::CeremonyOutOfStep("granted already")));
                }
                tx.exec(
                    "INSERT INTO authn_session (id, token_hash, ceremony, person, key, facility,
                        facility_name, terminal, x5t, budget, kinds, count, auth_time, until, means)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
                    &[
                        id.into(),
                        hash.into(),
                        ceremony.into(),
                        row.person.into(),
                        row.key.into(),
                        (&statement.facility_id).into(),
                        (&statement.facility_name).into(),
                        (&terminal).into(),
                        statement.x5t_s256.into(),
                        row.id.into(),
                        (&names).into(),
                        row.count.into(),
                        at.into(),
                        until.into(),
                        by.0.name().into(),
                    ],
                )?;
                tell(tx, row.key, NoticeKind::SessionOpened, &statement.facility_name, now)?;
                Ok(())
            })
            .await?;
        let answer = TokenAnswer {
            token,
            until,
            person: budget.person,
            key: budget.key,
            kinds: budget.kinds.clone(),
            count: budget.count,
            means: by.0.name().into(),
        };
        let kept = match self.ceremonies().get_mut(&ceremony).map(|found| &mut found.step) {
            Some(Step::Approved(given)) => {
                given.token = Some(Token { id, budget: budget.id, answer, released: None });
                true
            }
            _ => false,
        };
        if kept {
            return Ok(());
        }
        // Its place was found unconfirmed, or the phone unlinked, while the row was written: the
        // token goes nowhere, and neither does the session.
        self.end_session(id, now).await?;
        Err(Failed::Refused(Refusal::PlaceNotConfirmed))
    }
}
