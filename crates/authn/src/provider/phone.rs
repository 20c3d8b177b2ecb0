//! The phone's side of a login: it claims the QR code, shows who would be told what, and approves.
//!
//! The QR code says which login and a secret, for 60 seconds and one phone. In another browser than
//! the one that logs in, three digits are carried from the phone to it every time: whoever relays a
//! QR code from a page of his own then needs her active help. In the same browser there is nothing
//! to carry: the cookie says that it is the same.

use std::sync::Arc;

use approval::{Approval, AssertionResponse, LoginStatement, Statement};
use hpki::id::{BindingId, CeremonyId, KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record, Tx};
use wire::{SessionApproveRequest, SessionClaimAnswer, SessionClaimRequest, SessionRefuseRequest};

use super::ACCESS_S;
use super::login::{LoginRow, Step, text};
use super::refusal::Wrong;
use super::request::Scope;
use crate::binding::BindingRow;
use crate::config::FINISH_S;
use crate::notice::{NoticeKind, tell};
use crate::options;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::{Secret, same, three_digits};

/// She has approved a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginApproved {
    /// The digits for the phone to show.
    pub number: Option<String>,
    /// Where this very browser goes on.
    pub back: Option<String>,
}

fn no<T>(refusal: Refusal) -> Result<T, Failed<Refusal>> {
    Err(Failed::Refused(refusal))
}

/// The login whose QR code this is.
pub(super) fn shown_by(row: Option<LoginRow>, secret: &str) -> Result<LoginRow, Refusal> {
    let row = row.ok_or(Refusal::CeremonyUnknown)?;
    match row.secret.zip(Secret::hash_of(secret)) {
        Some((kept, shown)) if same(&kept, &shown) => Ok(row),
        _ => Err(Refusal::CeremonyUnknown),
    }
}

pub(super) fn claimable(row: &LoginRow, now: Timestamp) -> Result<(), Refusal> {
    match row.step {
        Step::Opened if row.shown.is_none_or(|shown| now.since(shown) > row.qr_life()) => {
            Err(Refusal::QrExpired)
        }
        Step::Opened if row.is_over(now) => Err(Refusal::QrExpired),
        Step::Opened => Ok(()),
        _ => Err(Refusal::QrAlreadyUsed),
    }
}

pub(super) fn approvable(row: &LoginRow, now: Timestamp) -> Result<(), Refusal> {
    match row.step {
        Step::Claimed if row.claimed.is_none_or(|at| now.since(at) > FINISH_S) => {
            Err(Refusal::CeremonyExpired)
        }
        Step::Claimed => Ok(()),
        Step::Refused => Err(Refusal::CeremonyRefused),
        // The browser went back without her: it gave up.
        Step::Answered if row.approved.is_none() => Err(Refusal::CeremonyRefused),
        Step::Pushed | Step::Opened => Err(Refusal::CeremonyOutOfStep("not claimed")),
        Step::Approved | Step::Answered => Err(Refusal::CeremonyOutOfStep("approved already")),
    }
}

impl Authn {
    pub(super) async fn login_row(
        &self,
        ceremony: &str,
    ) -> Result<Option<LoginRow>, Failed<Refusal>> {
        let Ok(id) = ceremony.parse::<CeremonyId>() else { return Ok(None) };
        self.ledger.read(move |tx| Ok(LoginRow::of(tx, id)?)).await
    }

    /// Whether this is a login of ours and not a terminal's ceremony.
    ///
    /// # Errors
    /// A fault.
    pub async fn is_login(&self, ceremony: &str) -> Result<bool, Failed<Refusal>> {
        // The morning's ceremonies are in memory, and there are many more of them.
        if ceremony.parse().is_ok_and(|id| self.ceremonies().contains_key(&id)) {
            return Ok(false);
        }
        Ok(self.login_row(ceremony).await?.is_some())
    }

    /// A phone claims the QR code of a login.
    ///
    /// # Errors
    /// `ceremony-unknown` for whoever does not have the secret; with it `qr-already-used`,
    /// `qr-expired`, `phone-not-linked`, `seal-broken`.
    pub async fn claim_login(
        &self,
        request: &SessionClaimRequest,
        device: Option<&str>,
        browser: Option<&str>,
        now: Timestamp,
    ) -> Result<SessionClaimAnswer, Failed<Refusal>> {
        let row = self.login_row(&request.ceremony).await?;
        let row = shown_by(row, &request.secret).map_err(Failed::Refused)?;
        claimable(&row, now).map_err(Failed::Refused)?;
        if row.asked.means.card().is_some() {
            return no(Refusal::Provider(Wrong::MeansDiffers));
        }
        let binding = self.phone_of(device).await?;
        if row.hint.is_some_and(|hint| hint != binding.key) {
            return no(Refusal::NotTheExpectedPerson);
        }
        let statement = self.login_statement(&row, (binding.person, binding.key), now)?;
        let here = row.browser.is_some() && row.browser == browser.and_then(Secret::hash_of);
        self.keep_claim(&row, binding.id, &statement, here, now).await?;
        let options = options::get(&self.config, &statement.challenge(), &binding.credential.id);
        let statement = serde_json::to_value(&statement)
            .map_err(|why| Fault::Misuse(format!("a statement as JSON: {why}")))?;
        Ok(SessionClaimAnswer {
            person_display: binding.display_id,
            statement_type: "login".into(),
            statement,
            options,
            card_until: None,
        })
    }

    /// What she is asked to approve.
    pub(super) fn login_statement(
        &self,
        row: &LoginRow,
        (person, key): (PersonId, KeyId),
        now: Timestamp,
    ) -> Result<LoginStatement, Failed<Refusal>> {
        let client = self.registry.find(&row.client);
        let client = client.map_err(|wrong| Failed::Refused(Refusal::Provider(wrong)))?;
        Ok(LoginStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            ceremony: row.id,
            nonce: self.nonce(),
            client_id: client.id.to_string(),
            client_name: client.name.clone(),
            redirect_host: row.asked.host.clone(),
            scopes: row.asked.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            person,
            key,
            not_after: now.plus(FINISH_S + ACCESS_S),
        })
    }

    /// Writes down who has claimed it; one does.
    pub(super) async fn keep_claim(
        &self,
        row: &LoginRow,
        bound: BindingId,
        statement: &LoginStatement,
        here: bool,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let (id, key, kept, secret) = (row.id, statement.key, text(statement)?, row.secret);
        self.ledger
            .write(move |tx| {
                let claimed = tx.exec(
                    "UPDATE authn_login
                     SET step = 'claimed', binding = $2, claimed = $3, statement = $4, here = $5,
                         key = $7
                     WHERE id = $1 AND step = 'opened' AND secret_hash = $6",
                    &[
                        id.into(),
                        bound.into(),
                        now.into(),
                        (&kept).into(),
                        here.into(),
                        secret.into(),
                        key.into(),
                    ],
                )?;
                if claimed == 1 { Ok(()) } else { no(Refusal::QrAlreadyUsed) }
            })
            .await
    }

    /// Whose key a claimed login is about, and whether her qualification is asked for.
    ///
    /// # Errors
    /// `ceremony-unknown`, or a fault.
    pub async fn login_about(
        &self,
        ceremony: &str,
    ) -> Result<(hpki::id::KeyId, Vec<Scope>), Failed<Refusal>> {
        let row = self.login_row(ceremony).await?;
        let row = row.ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
        let statement = row.statement.ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
        Ok((statement.key, row.asked.scopes))
    }

    /// What another room says against a login: the client is told that access was denied.
    ///
    /// # Errors
    /// A fault.
    pub async fn deny_login(&self, ceremony: &str, wrong: Wrong) -> Result<(), Failed<Refusal>> {
        let Ok(id) = ceremony.parse::<CeremonyId>() else { return Ok(()) };
        self.ledger
            .write(move |tx| {
                tx.exec(
                    "UPDATE authn_login SET step = 'refused', wrong = $2
                     WHERE id = $1 AND step IN ('opened', 'claimed')",
                    &[id.into(), hpki::refusal::Refuse::code(&wrong).into()],
                )?;
                Ok(())
            })
            .await
    }

    /// The owner refuses.
    ///
    /// # Errors
    /// `ceremony-unknown`; `ceremony-out-of-step` before it is claimed or after it is approved.
    pub async fn refuse_login(
        &self,
        request: &SessionRefuseRequest,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let row = self.login_row(&request.ceremony).await?;
        let row = shown_by(row, &request.secret).map_err(Failed::Refused)?;
        if row.step == Step::Refused {
            return Ok(());
        }
        approvable(&row, now).map_err(Failed::Refused)?;
        let id = row.id;
        self.ledger
            .write(move |tx| {
                let sql = "UPDATE authn_login SET step = 'refused'
                           WHERE id = $1 AND step = 'claimed'";
                match tx.exec(sql, &[id.into()])? {
                    1 => Ok(()),
                    _ => no(Refusal::CeremonyOutOfStep("approved already")),
                }
            })
            .await
    }

    /// The owner approves: her phone's assertion is verified, and the evidence kept and journalled
    /// in one commit. The same assertion again is answered the same.
    ///
    /// # Errors
    /// `ceremony-unknown`, `ceremony-expired`, `ceremony-refused`, `ceremony-out-of-step`,
    /// `phone-not-linked`, and whatever `approval` refuses of the assertion.
    pub async fn approve_login(
        &self,
        request: &SessionApproveRequest,
        now: Timestamp,
    ) -> Result<LoginApproved, Failed<Refusal>> {
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let row = self.login_row(&request.ceremony).await?;
        let row = row.ok_or(Failed::Refused(Refusal::CeremonyUnknown))?;
        let response = AssertionResponse::from_json(&request.credential);
        if let (Ok(again), Some(kept)) = (&response, &row.evidence)
            && kept.proof.is_of(again)
        {
            return Ok(self.login_approved(&row, row.digits.clone()));
        }
        approvable(&row, now).map_err(Failed::Refused)?;
        let (Some(bound), Some(statement)) = (row.binding, row.statement.clone()) else {
            return no(Refusal::CeremonyOutOfStep("not claimed"));
        };
        let response = response.map_err(refused)?;
        let desk = Arc::clone(&self.desk);
        let binding = self.ledger.read(move |tx| BindingRow::live(tx, bound, &desk)).await?;
        let said = Statement::Login(statement.clone());
        let answered = self.approved_with(&binding, said, &response, now)?;
        let digits = (!row.here).then(|| three_digits(&*self.random));
        let hardware = !binding.credential.backup_eligible;
        let (approval, kept) = (answered.approval.clone(), digits.clone());
        self.keep_login_approval(
            row.id,
            approval,
            kept,
            hardware,
            move |tx| answered.count(tx),
            now,
        )
        .await?;
        Ok(self.login_approved(&row, digits))
    }

    /// Keeps what she approved: her notice and the journal's entry are in the same commit, and so is
    /// what `still` says of her means.
    pub(super) async fn keep_login_approval(
        &self,
        id: CeremonyId,
        approval: Approval,
        digits: Option<String>,
        hardware: bool,
        still: impl Fn(&Tx<'_>) -> Result<(), Failed<Refusal>> + Send + Sync + 'static,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let Statement::Login(statement) = approval.statement.clone() else {
            return no(Refusal::CeremonyOutOfStep("not claimed"));
        };
        let (evidence, hash, bound) =
            (text(&approval)?, approval.evidence_hash(), approval.binding);
        self.ledger
            .record(move |tx| {
                still(tx)?;
                let done = tx.exec(
                    "UPDATE authn_login
                     SET step = 'approved', approved = $2, evidence = $3, digits = $4,
                         hardware = $6
                     WHERE id = $1 AND step = 'claimed' AND binding = $5",
                    &[
                        id.into(),
                        now.into(),
                        (&evidence).into(),
                        digits.clone().into(),
                        bound.into(),
                        hardware.into(),
                    ],
                )?;
                if done != 1 {
                    // She refused on another page, or the browser showed a new code: no means no.
                    return no(Refusal::CeremonyOutOfStep("not claimed"));
                }
                tell(tx, statement.key, NoticeKind::LoginApproved, &statement.client_name, now)?;
                let mut record = Record::of_key(Event::LoginApproved, statement.key, now);
                record.person = Some(statement.person);
                record.evidence = Some(hash);
                Ok(((), Note(record)))
            })
            .await?;
        Ok(())
    }

    fn login_approved(&self, row: &LoginRow, number: Option<String>) -> LoginApproved {
        let back = row.here.then(|| format!("/oauth/continue/{}", row.id));
        LoginApproved { number, back }
    }
}
