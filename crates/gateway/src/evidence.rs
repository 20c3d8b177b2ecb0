//! Judging an evidence bundle with this gateway's pinned keys: the verifier says what an entry must
//! be about, the ledger's public face says whether it stands in the journal.

use const_oid::ObjectIdentifier;
use hpki::path::Anchor;
use hpki::time::Timestamp;
use hpki::{Certificate, Crl};
use ledger::tlog::{Proof, VerifyKey};
use verifier::activation::{
    ActivationReport, Entry, Grounds, Journal, card_counts, verify_activation,
};

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

/// What this gateway judges by.
fn grounds<'a>(
    config: &'a GatewayConfig,
    journal: Option<&'a dyn Journal>,
    crls: Option<&'a [Crl]>,
) -> Grounds<'a> {
    let anchors: &[Anchor] = &config.anchors;
    let intermediates: &[Certificate] = &config.intermediates;
    let policies: &[ObjectIdentifier] = &config.policies;
    Grounds { journal, at_hand: None, anchors, intermediates, crls, policies }
}

pub(crate) fn judge(config: &GatewayConfig, text: &[u8], crls: Option<&[Crl]>) -> ActivationReport {
    let journal = PinnedJournal(config.log());
    verify_activation(text, &grounds(config, Some(&journal), crls))
}

/// Whether this gateway will believe what an HPKI card with this certificate approves now: asked
/// before the card signs, because afterwards it would be too late.
pub(crate) fn judge_card(
    config: &GatewayConfig,
    certificate: &Certificate,
    crls: Option<&[Crl]>,
    now: Timestamp,
) -> Result<(), approval::Refusal> {
    card_counts(certificate.der(), now, &grounds(config, None, crls))
}
