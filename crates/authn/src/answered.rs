//! A linked phone's answer: verified, made into evidence, and counted in the commit that believes it.

use approval::{
    Approval, AssertionEvidence, AssertionOutcome, AssertionResponse, Proof, Statement, check,
};
use hpki::time::Timestamp;
use ledger::{Failed, Tx};

use crate::binding::BindingRow;
use crate::refusal::Refusal;
use crate::room::Authn;

/// An answer that holds, and what it does to the phone's counter.
pub(crate) struct Answered {
    pub(crate) approval: Approval,
    outcome: AssertionOutcome,
    before: u32,
}

impl Answered {
    /// Counts the phone's answer. Refused where another answer of this phone came between, or it
    /// was just unlinked.
    pub(crate) fn count(&self, tx: &Tx<'_>) -> Result<(), Failed<Refusal>> {
        let counted = tx.exec(
            "UPDATE authn_binding SET sign_count = $1, backup_state = $2
             WHERE id = $3 AND state = 'live' AND sign_count = $4",
            &[
                self.outcome.sign_count.into(),
                self.outcome.backup_state.into(),
                self.approval.binding.into(),
                self.before.into(),
            ],
        )?;
        if counted == 1 {
            Ok(())
        } else {
            Err(Failed::Refused(Refusal::Approval(approval::Refusal::CounterNotRising)))
        }
    }
}

impl Authn {
    /// What this phone answered, if it approves exactly this statement.
    ///
    /// # Errors
    /// Whatever `approval` refuses of the assertion.
    pub(crate) fn approved_with(
        &self,
        binding: &BindingRow,
        statement: Statement,
        response: &AssertionResponse,
        now: Timestamp,
    ) -> Result<Answered, Failed<Refusal>> {
        let approval = Approval {
            statement,
            proof: Proof::Phone(AssertionEvidence::new(response, &binding.credential)),
            binding: binding.id,
            approved: now,
            number_confirmed: false,
        };
        let outcome = check(&approval, &binding.credential, &self.config.relying_party())
            .map_err(|refusal| Failed::Refused(Refusal::Approval(refusal)))?;
        Ok(Answered { approval, outcome, before: binding.credential.sign_count })
    }
}
