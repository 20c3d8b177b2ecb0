//! The client believes no answer. What custody must have signed is written again from the recipe
//! in the answer, and every octet must be the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpki::encoding::{Digest32, sha256};
use hpki::id::{FacilityCode, OrderNumber};
use hpki::kind::DocumentKind;
use hpki::policy::VerifyingKey;
use ledger::Event;
use ledger::tlog::{Proof, Remembering, VerifyKey};
use wire::SignAnswer;
use xades::compose::{Draft, Recipe, Signer};

use super::estate::Signatory;

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) order: OrderNumber,
    pub(super) kind: DocumentKind,
    pub(super) digest: Digest32,
}

/// The pinned log, and the facility that asks.
pub(super) struct Log {
    log: Remembering,
    facility: FacilityCode,
}

impl Log {
    pub(super) fn new(key: VerifyKey, facility: FacilityCode) -> Self {
        Self { log: Remembering::new(key), facility }
    }

    /// Says what is wrong with an answer, if anything is.
    pub(super) fn check(
        &self,
        asked: &Asked,
        signatory: &Signatory,
        answer: &SignAnswer,
    ) -> Result<(), String> {
        ensure(answer.certificate.0 == signatory.certificate, "another certificate")?;
        let (dtbsr, value) = composed(asked, &signatory.signer, &signatory.verifying, answer)?;
        self.journalled(answer, signatory, asked, &dtbsr, &value)
    }

    /// The journal holds the outcome of exactly this signature.
    fn journalled(
        &self,
        answer: &SignAnswer,
        signatory: &Signatory,
        asked: &Asked,
        dtbsr: &Digest32,
        value: &Digest32,
    ) -> Result<(), String> {
        let proof = Proof::parse(&answer.proof).map_err(|no| no.to_string())?;
        let entry = self.log.verify(&proof).map_err(|no| no.to_string())?;
        let record = &entry.opening.record;
        let outcome = record.outcome.as_ref().and_then(|outcome| outcome.signature_hash);
        ensure(entry.index == answer.index, "another place in the journal")?;
        ensure(record.event == Event::SignatureMade, "another event in the journal")?;
        ensure(record.dtbsr.as_ref() == Some(dtbsr), "other data in the journal")?;
        ensure(outcome.as_ref() == Some(value), "another signature in the journal")?;
        ensure(record.kind == Some(asked.kind), "another kind in the journal")?;
        ensure(record.facility.as_ref() == Some(&self.facility), "another facility")?;
        ensure(record.person == Some(signatory.person), "another person in the journal")?;
        ensure(record.key == Some(signatory.key), "another key in the journal")
    }
}

/// The element is what the recipe gives, and its value verifies: the hash that was signed, and the
/// value's.
pub(super) fn composed(
    asked: &Asked,
    signer: &Signer,
    verifying: &VerifyingKey,
    answer: &SignAnswer,
) -> Result<(Digest32, Digest32), String> {
    ensure(answer.order == asked.order, "another order")?;
    ensure(answer.kind == asked.kind, "another kind")?;
    let element = std::str::from_utf8(&answer.signature.0).map_err(|no| no.to_string())?;
    let (mark, value) = parts(element).ok_or("the signature element is not in our profile")?;
    let (digest, kind) = (asked.digest, asked.kind);
    let recipe = Recipe { kind, digest, signing_time: answer.signing_time, mark };
    let draft = Draft::new(&recipe, signer);
    ensure(draft.finish(&value) == element, "not the element that the recipe gives")?;
    let signed = verifying.verify(draft.signed_info(), &value);
    ensure(signed.is_ok(), "the signature value does not verify")?;
    Ok((draft.dtbsr(), sha256(&value)))
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// The mark in the ids, and the signature value.
fn parts(element: &str) -> Option<([u8; 4], Vec<u8>)> {
    let (_, rest) = element.split_once("<ds:SignedInfo Id=\"id")?;
    let mark = hex::decode(rest.get(..8)?).ok()?.try_into().ok()?;
    let (_, rest) = rest.split_once("-SignatureValue\">")?;
    let (value, _) = rest.split_once("</ds:SignatureValue>")?;
    let value: Vec<u8> = value.bytes().filter(|octet| *octet != b'\n').collect();
    Some((mark, STANDARD.decode(value).ok()?))
}
