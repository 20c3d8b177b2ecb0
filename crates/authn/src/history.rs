//! The owner's phone reads what the journal says about her key.
//!
//! Two secrets are asked for, which only a linked phone was given: the device's, which ends with the
//! linking, and the key of her stream. Together they read and do nothing else. What is handed over
//! proves itself: she looks for it among the entries that everybody reads (`ledger::Owner`).

use hpki::encoding::{Digest32, sha256};
use ledger::Failed;
use wire::{Base64, HISTORY_PAGE, HistoryAnswer, HistoryEntry, HistoryRequest};

use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::same;

impl Authn {
    /// A page of the entries of the phone's key, the newest first.
    ///
    /// # Errors
    /// `phone-not-linked`, `seal-broken`; `stream-key-wrong` if it is not that key's.
    pub async fn history(
        &self,
        request: &HistoryRequest,
        device: Option<&str>,
    ) -> Result<HistoryAnswer, Failed<Refusal>> {
        let binding = self.phone_of(device).await?;
        let stream = binding.key.stream();
        let known: Digest32 = sha256(self.ledger.stream_key(stream)?.octets());
        if !same(&sha256(&request.stream_key.0), &known) {
            return Err(Failed::Refused(Refusal::StreamKeyWrong));
        }
        let entries = self.ledger.stream(stream, request.before, HISTORY_PAGE).await?;
        let entries = entries.into_iter().map(|entry| HistoryEntry {
            index: entry.index,
            salt: Base64(entry.salt.to_vec()),
            opening: Base64(entry.opening),
        });
        Ok(HistoryAnswer { entries: entries.collect() })
    }
}
