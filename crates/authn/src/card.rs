//! The card in her phone, shown to somebody: a code that is hers for a minute, by which another phone
//! asks the platform whether the card is real. It is memory: after a crash her page shows a new one.

use hpki::id::KeyId;
use hpki::time::Timestamp;
use ledger::Failed;

use crate::config::{CARD_CODE_S, CARD_CODES};
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;
use crate::visit::Visit;

impl Authn {
    /// A fresh code for the QR of her card: the address that it holds, and until when.
    ///
    /// # Errors
    /// `slow-down`.
    pub fn card_code(
        &self,
        visit: &Visit,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Failed<Refusal>> {
        let secret = Secret::new(&*self.random);
        let until = now.plus(CARD_CODE_S);
        let mut codes = self.cards();
        if codes.len() >= CARD_CODES {
            codes.retain(|_, (_, until)| *until >= now);
        }
        if codes.len() >= CARD_CODES {
            return Err(Failed::Refused(Refusal::SlowDown));
        }
        codes.insert(secret.hash(), (visit.key(), until));
        Ok((format!("{}/v#1.{}", self.config.url, secret.text()), until))
    }

    /// Whose card shows this code at this moment.
    ///
    /// # Errors
    /// `card-code-unknown`, also for one whose minute is over.
    pub fn card_of(&self, code: &str, now: Timestamp) -> Result<KeyId, Failed<Refusal>> {
        let hash = Secret::hash_of(code);
        let found = hash.and_then(|hash| self.cards().get(&hash).copied());
        match found {
            Some((key, until)) if now <= until => Ok(key),
            _ => Err(Failed::Refused(Refusal::CardCodeUnknown)),
        }
    }
}
