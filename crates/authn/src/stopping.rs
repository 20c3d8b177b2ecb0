//! The owner stops her own key from her linked phone, wherever she is and whatever goes on.
//!
//! The phone is known by its device secret; what stops the key is her approval of a statement that
//! names it, under user verification. Custody verifies that again before it acts.

use std::sync::Arc;

use approval::{Approval, Statement, StopStatement};
use hpki::time::Timestamp;
use ledger::Failed;
use wire::{KeyStopBeginAnswer, KeyStopFinishRequest};

use crate::binding::BindingRow;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;

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
        let statement = self.stop_statement(&binding);
        let shown = statement.clone();
        let asked = self.ask(&binding, Statement::Stop(statement), now)?;
        let statement = serde_json::to_value(&shown)
            .map_err(|why| ledger::Fault::Misuse(format!("a statement as JSON: {why}")))?;
        Ok(KeyStopBeginAnswer { statement, options: asked.options })
    }

    /// The owner has approved the stop on that phone. Gives the evidence for custody, which stops
    /// the key.
    ///
    /// # Errors
    /// `phone-not-linked`, `seal-broken`; `question-unknown` if this phone was not asked that or was
    /// answered, `question-expired` after two minutes; whatever `approval` refuses of the assertion.
    pub async fn finish_stop(
        &self,
        request: &KeyStopFinishRequest,
        device: Option<&str>,
        now: Timestamp,
    ) -> Result<Approval, Failed<Refusal>> {
        let binding = self.phone_of(device).await?;
        let answered = self.answered(&binding, &request.credential, now)?;
        if !matches!(answered.approval.statement, Statement::Stop(_)) {
            return Err(Failed::Refused(Refusal::QuestionUnknown));
        }
        self.counted(answered).await
    }

    pub(crate) fn stop_statement(&self, binding: &BindingRow) -> StopStatement {
        StopStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            nonce: self.nonce(),
            person: binding.person,
            key: binding.key,
        }
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
