//! A linked phone is asked to approve something about its owner's key, outside any ceremony.
//!
//! There is one open question for each phone: a newer one takes the place of the older. It is memory:
//! whoever dies before the answer was carried out has decided nothing, and is asked again.

use approval::{Approval, AssertionResponse, Statement};
use hpki::time::Timestamp;
use ledger::{Failed, Fault};
use serde_json::Value;
use wire::OwnerAskAnswer;

use crate::answered::Answered;
use crate::binding::BindingRow;
use crate::config::FINISH_S;
use crate::options;
use crate::refusal::Refusal;
use crate::room::Authn;

/// What a phone was asked.
pub(crate) struct Question {
    pub(crate) at: Timestamp,
    pub(crate) statement: Statement,
}

impl Authn {
    /// 32 random octets.
    pub(crate) fn nonce(&self) -> [u8; 32] {
        let mut nonce = [0; 32];
        self.random.fill(&mut nonce);
        nonce
    }

    /// Asks this phone: what to show and to sign.
    pub(crate) fn ask(
        &self,
        binding: &BindingRow,
        statement: Statement,
        now: Timestamp,
    ) -> Result<OwnerAskAnswer, Failed<Refusal>> {
        let challenge = statement.challenge();
        let options = options::get(&self.config, &challenge, &binding.credential.id);
        let shown = serde_json::to_value(&statement)
            .map_err(|why| Fault::Misuse(format!("a statement as JSON: {why}")))?;
        let mut questions = self.questions();
        questions.retain(|_, old| now.since(old.at) <= FINISH_S);
        questions.insert(binding.id, Question { at: now, statement });
        Ok(OwnerAskAnswer { statement: shown, options })
    }

    /// The phone's answer to its open question, verified. It is counted and the question closed by
    /// whoever carries it out.
    pub(crate) fn answered(
        &self,
        binding: &BindingRow,
        credential: &Value,
        now: Timestamp,
    ) -> Result<Answered, Failed<Refusal>> {
        let statement = match self.questions().get(&binding.id) {
            None => return Err(Failed::Refused(Refusal::QuestionUnknown)),
            Some(asked) if now.since(asked.at) > FINISH_S => {
                return Err(Failed::Refused(Refusal::QuestionExpired));
            }
            Some(asked) => asked.statement.clone(),
        };
        let response = AssertionResponse::from_json(credential)
            .map_err(|refusal| Failed::Refused(Refusal::Approval(refusal)))?;
        self.approved_with(binding, statement, &response, now)
    }

    /// Closes the question that was answered; a newer one stays open.
    pub(crate) fn close_question(&self, approval: &Approval) {
        let mut questions = self.questions();
        let asked = questions.get(&approval.binding);
        if asked.is_some_and(|asked| asked.statement == approval.statement) {
            questions.remove(&approval.binding);
        }
    }
}
