//! What is believed of an answer: nothing that was not checked here.
//!
//! The signature must be over the digest that was sent and under the certificate that came with
//! it; the journal, under the pinned log key, must hold the outcome of exactly this signature, for
//! this person, key, facility and kind; and the finished document must pass the verifier that
//! everyone else will run. Whether the journal continues the one seen before needs the platform
//! once more and is `checkpoint`'s.

use hpki::Crl;
use hpki::encoding::sha256;
use hpki::time::Timestamp;
use ledger::Event;
use ledger::tlog::{Checkpoint, Proof};
use prescription::document;
use verifier::{Evidence, Report, Verdict};
use wire::SignAnswer;

use crate::config::GatewayConfig;
use crate::orders::Order;
use crate::refusal::Refusal;

/// Clocks further apart than this stop the order (protocols §9).
pub(crate) const CLOCK_OFF_S: u64 = 120;

/// A checked answer.
pub(crate) struct Believed {
    pub(crate) document: Vec<u8>,
    pub(crate) report: Report,
    pub(crate) signing_time: Timestamp,
    pub(crate) index: u64,
    pub(crate) left: u64,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) note: String,
    pub(crate) clock_difference_s: u64,
    pub(crate) dtbsr: [u8; 32],
    pub(crate) value_hash: [u8; 32],
}

pub(crate) fn believe(
    config: &GatewayConfig,
    order: &Order,
    answer: &SignAnswer,
    crls: Option<&[Crl]>,
    now: Timestamp,
) -> Result<Believed, Refusal> {
    if answer.order != order.asked_as() {
        return Err(Refusal::AnswerWrongOrder);
    }
    if answer.kind != order.kind {
        return Err(Refusal::AnswerWrongKind);
    }
    let element = std::str::from_utf8(&answer.signature.0)
        .map_err(|_| Refusal::AnswerMalformed("the signature is not UTF-8".into()))?;
    let document =
        document::place_signature(&order.document, order.kind, element).map_err(|refusal| {
            match refusal {
                // The Id in it is of another kind, or it is no signature at all.
                prescription::Refusal::SignatureElementWrong(_) => {
                    Refusal::AnswerMalformed(refusal.to_string())
                }
                other => Refusal::Document(other),
            }
        })?;
    let made = signature(order, answer, &document)?;
    let clock_difference_s = clock(order, made.signing_time, now)?;
    let entry = Proof::parse(&answer.proof)
        .and_then(|proof| Ok((proof.verify(config.log())?, proof.checkpoint)))
        .map_err(|refusal| Refusal::ProofWrong(refusal.to_string()));
    let (entry, note) = entry?;
    journalled(config, order, answer, &made, &entry)?;
    let report = judge(config, &document, crls, now)?;
    Ok(Believed {
        document,
        report,
        signing_time: made.signing_time,
        index: entry.index,
        left: answer.left,
        checkpoint: entry.checkpoint,
        note,
        clock_difference_s,
        dtbsr: made.dtbsr,
        value_hash: made.value_hash,
    })
}

/// What the signature element turned out to be.
struct Made {
    dtbsr: [u8; 32],
    value_hash: [u8; 32],
    signing_time: Timestamp,
}

fn signature(order: &Order, answer: &SignAnswer, document: &[u8]) -> Result<Made, Refusal> {
    use xades::Refusal as Form;
    let parsed = xades::parse(document).map_err(wrong)?;
    let found = xades::signature::find(&parsed, order.kind).map_err(wrong)?;
    let verified = xades::signature::verify(&parsed, &found).map_err(|refusal| match refusal {
        // The first reference is over the document's own part, so another digest shows here.
        Form::DigestMismatch => Refusal::AnswerWrongDigest,
        Form::SignatureOtherKind => Refusal::AnswerWrongKind,
        other => wrong(other),
    })?;
    if verified.digest != order.digest {
        return Err(Refusal::AnswerWrongDigest);
    }
    if verified.certificate.der() != answer.certificate.0.as_slice() {
        return Err(Refusal::AnswerSignatureWrong("another certificate came with it".into()));
    }
    if verified.signing_time != answer.signing_time {
        return Err(Refusal::AnswerSignatureWrong("another time came with it".into()));
    }
    Ok(Made {
        dtbsr: verified.dtbsr,
        value_hash: sha256(&verified.value),
        signing_time: verified.signing_time,
    })
}

fn wrong(refusal: xades::Refusal) -> Refusal {
    Refusal::AnswerSignatureWrong(refusal.to_string())
}

/// SigningTime is custody's. It lies between the writing of the order and now, give or take what
/// clocks may differ; a signature of last week under today's order is not an answer to it.
fn clock(order: &Order, signed: Timestamp, now: Timestamp) -> Result<u64, Refusal> {
    let difference = order.created.since(signed).max(signed.since(now));
    if difference > CLOCK_OFF_S { Err(Refusal::ClockOff(difference)) } else { Ok(difference) }
}

fn journalled(
    config: &GatewayConfig,
    order: &Order,
    answer: &SignAnswer,
    made: &Made,
    entry: &ledger::tlog::VerifiedEntry,
) -> Result<(), Refusal> {
    let record = &entry.opening.record;
    let outcome = record.outcome.as_ref().and_then(|outcome| outcome.signature_hash);
    let differs = [
        (record.event != Event::SignatureMade, "another event"),
        (entry.index != answer.index, "another place"),
        (record.dtbsr != Some(made.dtbsr), "other data to be signed"),
        (outcome != Some(made.value_hash), "another signature"),
        (record.kind != Some(order.kind), "another kind"),
        (record.facility.as_ref() != Some(&config.facility), "another facility"),
        (record.person != Some(order.person), "another person"),
        (record.key != Some(order.key), "another key"),
    ];
    match differs.iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(Refusal::ProofWrong(format!("the entry is of {what}"))),
        None => Ok(()),
    }
}

pub(crate) fn judge(
    config: &GatewayConfig,
    document: &[u8],
    crls: Option<&[Crl]>,
    now: Timestamp,
) -> Result<Report, Refusal> {
    let report = report(config, document, crls, now);
    match report.verdict {
        Verdict::Valid => Ok(report),
        Verdict::CannotTell => Err(Refusal::VerificationUndetermined(reason(&report))),
        Verdict::Invalid => Err(Refusal::VerificationFailed(reason(&report))),
    }
}

/// The report that everyone else would get, with this facility's anchors and lists.
pub(crate) fn report(
    config: &GatewayConfig,
    document: &[u8],
    crls: Option<&[Crl]>,
    now: Timestamp,
) -> Report {
    let evidence = Evidence {
        anchors: &config.anchors,
        intermediates: &config.intermediates,
        crls,
        at: now,
        policies: config.policies.clone(),
    };
    verifier::verify(document, &evidence)
}

/// The code of the first thing that is wrong.
pub(crate) fn reason(report: &Report) -> String {
    let signatures = report.signatures.iter().filter_map(|one| one.refusal.as_ref());
    let first = report.refusal.iter().chain(signatures).next();
    first.map_or_else(String::new, |reason| reason.code.to_owned())
}
