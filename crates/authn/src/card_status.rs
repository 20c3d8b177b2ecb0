//! What the authority of My Number Cards said when it was asked about one (OCSP).
//!
//! Rooms do not fetch: whoever asked hands the answer in, for each use of a card anew. An answer
//! counts for a minute, and one that failed to come takes the former's place: what an authority said
//! before is not what it says now.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use approval::card_commitment;
use hpki::encoding::Digest32;
use hpki::ocsp::Standing;
use hpki::time::Timestamp;

use crate::room::Authn;

/// So long an answer counts after it was heard: for the use of the card for which it was asked.
const COUNTS_S: u64 = 60;

/// What was heard lately, by the card's certificate.
#[derive(Debug, Default)]
pub(crate) struct Heard(HashMap<Digest32, (Timestamp, Standing)>);

impl Authn {
    /// The authority of My Number Cards was asked about this certificate: what it said, or that there
    /// was no answer that can be believed.
    pub fn heard_of_card(&self, certificate: &[u8], said: Option<Standing>, now: Timestamp) {
        let mut heard = self.heard();
        heard.0.retain(|_, (since, _)| now.since(*since) < COUNTS_S);
        let card = card_commitment(certificate);
        match said {
            Some(said) => heard.0.insert(card, (now, said)),
            None => heard.0.remove(&card),
        };
    }

    /// What counts about this certificate now, if its authority was asked.
    pub(crate) fn heard_lately(&self, certificate: &[u8], now: Timestamp) -> Option<Standing> {
        let heard = self.heard();
        let (since, said) = heard.0.get(&card_commitment(certificate))?;
        (now.since(*since) < COUNTS_S).then(|| said.clone())
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
