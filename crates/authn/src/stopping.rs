//! The owner stops her own key from her linked phone, wherever she is and whatever goes on.
//!
//! The phone is known by its device secret; what stops the key is her approval of a statement that
//! names it, under user verification. Custody verifies that again before it acts. There is one open
//! question for each phone: a newer one takes the place of the older. It is memory: whoever dies
//! before custody's commit has stopped nothing and told nobody otherwise, and she asks again.

use std::sync::Arc;

use approval::{Approval, AssertionEvidence, AssertionResponse, Statement, StopStatement, check};
use hpki::time::Timestamp;
use ledger::{Failed, Fault};
use wire::{KeyStopBeginAnswer, KeyStopFinishRequest};

use crate::binding::BindingRow;
use crate::config::FINISH_S;
use crate::options;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;

/// What a phone was asked.
pub(crate) struct Question {
    at: Timestamp,
    statement: StopStatement,
}

impl Authn {
    /// A linked phone asks to stop its owner's key: what to show and to sign.
    ///
    /// # Errors
    /// `phone-not-linked`, `seal-broken`.
    pub async fn begin_stop(
        &self,
        device: Option<&str>,
        now: Timestamp,
    ) -> Result<KeyStopBeginAnswer, Failed<Refusal>> {
        let binding = self.phone_of(device).await?;
        let mut nonce = [0; 32];
        self.random.fill(&mut nonce);
        let statement = StopStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            nonce,
            person: binding.person,
            key: binding.key,
        };
        let options = options::get(&self.config, &statement.challenge(), &binding.credential.id);
        let shown = serde_json::to_value(&statement)
            .map_err(|why| Fault::Misuse(format!("a statement as JSON: {why}")))?;
        let mut questions = self.questions();
        questions.retain(|_, old| now.since(old.at) <= FINISH_S);
        questions.insert(binding.id, Question { at: now, statement });
        Ok(KeyStopBeginAnswer { statement: shown, options })
    }

    /// The owner has approved the stop on that phone. Gives the evidence for custody, which stops
    /// the key.
    ///
    /// # Errors
    /// `phone-not-linked`, `seal-broken`; `ceremony-unknown` if this phone was not asked or was
    /// answered, `ceremony-expired` after two minutes; whatever `approval` refuses of the assertion.
    pub async fn finish_stop(
        &self,
        request: &KeyStopFinishRequest,
        device: Option<&str>,
        now: Timestamp,
    ) -> Result<Approval, Failed<Refusal>> {
        let binding = self.phone_of(device).await?;
        let statement = match self.questions().get(&binding.id) {
            None => return Err(Failed::Refused(Refusal::CeremonyUnknown)),
            Some(asked) if now.since(asked.at) > FINISH_S => {
                return Err(Failed::Refused(Refusal::CeremonyExpired));
            }
            Some(asked) => asked.statement.clone(),
        };
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let response = AssertionResponse::from_json(&request.credential).map_err(refused)?;
        let approval = Approval {
            statement: Statement::Stop(statement.clone()),
            webauthn: AssertionEvidence::new(&response, &binding.credential),
            binding: binding.id,
            approved: now,
            number_confirmed: false,
        };
        let outcome =
            check(&approval, &binding.credential, &self.config.relying_party()).map_err(refused)?;
        let (bound, before) = (binding.id, binding.credential.sign_count);
        self.ledger
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
                if counted == 1 {
                    Ok(())
                } else {
                    // Another answer of this phone came between, or it was just unlinked.
                    Err(Failed::Refused(Refusal::Approval(approval::Refusal::CounterNotRising)))
                }
            })
            .await?;
        let mut questions = self.questions();
        if questions.get(&bound).is_some_and(|asked| asked.statement == statement) {
            questions.remove(&bound);
        }
        Ok(approval)
    }

    /// The live binding of the phone with this device secret.
    pub(crate) async fn phone_of(
        &self,
        device: Option<&str>,
    ) -> Result<BindingRow, Failed<Refusal>> {
        let Some(device) = device.and_then(Secret::hash_of) else {
            return Err(Failed::Refused(Refusal::PhoneNotLinked));
        };
        let desk = Arc::clone(&self.desk);
        self.ledger.read(move |tx| BindingRow::of_device(tx, device, &desk)).await
    }
}
