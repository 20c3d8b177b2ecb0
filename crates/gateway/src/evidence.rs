//! Judging an evidence bundle with this gateway's pinned keys: the verifier says what an entry must
//! be about, the ledger's public face says whether it stands in the journal.

use const_oid::ObjectIdentifier;
use hpki::path::Anchor;
use hpki::{Certificate, Crl};
use ledger::tlog::{Proof, VerifyKey};
use verifier::activation::{ActivationReport, Entry, Grounds, Journal, verify_activation};

use crate::config::GatewayConfig;

/// The journal under its pinned key.
#[derive(Debug, Clone, Copy)]
pub struct PinnedJournal<'a>(pub &'a VerifyKey);

impl Journal for PinnedJournal<'_> {
    fn entry(&self, proof: &str) -> Result<Entry, String> {
        let entry = Proof::parse(proof)
            .and_then(|proof| proof.verify(self.0))
            .map_err(|refusal| refusal.to_string())?;
        let record = entry.opening.record;
        Ok(Entry {
            index: entry.index,
            event: record.event.name().to_owned(),
            time: record.time,
            key: record.key,
            person: record.person,
            facility: record.facility,
            kind: record.kind,
            dtbsr: record.dtbsr,
            evidence: record.evidence,
            signature_hash: record.outcome.and_then(|outcome| outcome.signature_hash),
        })
    }
}

pub(crate) fn judge(config: &GatewayConfig, text: &[u8], crls: Option<&[Crl]>) -> ActivationReport {
    let anchors: &[Anchor] = &config.anchors;
    let intermediates: &[Certificate] = &config.intermediates;
    let policies: &[ObjectIdentifier] = &config.policies;
    let journal = PinnedJournal(config.log());
    let grounds =
        Grounds { journal: Some(&journal), at_hand: None, anchors, intermediates, crls, policies };
    verify_activation(text, &grounds)
}
