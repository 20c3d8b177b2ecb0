//! An approval in the books of this room, from the person's answer until its budget is open.

use approval::{Approval, Statement};
use hpki::id::{CeremonyId, FacilityCode, KeyId, PersonId};
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Tx};

use crate::refusal::Refusal;
use crate::room::Authn;

/// The institution of a ceremony's statement.
pub(crate) fn facility_of(statement: &Statement) -> Result<FacilityCode, Fault> {
    match statement {
        Statement::Session(session) => Ok(session.facility_id.clone()),
        Statement::Documents(documents) => Ok(documents.facility_id.clone()),
        _ => Err(Fault::Misuse("a ceremony at no institution".into())),
    }
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

    pub(crate) const fn facility(&self) -> &FacilityCode {
        &self.facility
    }

    pub(crate) fn insert(
        &self,
        tx: &Tx<'_>,
        number_asked: bool,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let kept = "SELECT 1 FROM authn_approval WHERE ceremony = $1";
        if tx.query_opt(kept, &[self.ceremony.into()])?.is_some() {
            return Err(Failed::Refused(Refusal::CeremonyOutOfStep("approved already")));
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
}
