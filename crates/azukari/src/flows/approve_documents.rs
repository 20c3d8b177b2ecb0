//! The owner approves each document or batch: custody composes what would be signed, the phone is
//! asked through authentication, custody verifies that approval again with its own eyes and signs
//! exactly that. Values are carried across; nothing is decided here.
//!
//! The phone's approval is kept by authentication. It is spent when the gateway, having compared
//! the statement with its own documents, asks for the signatures: one that finds something else
//! never asks, and nothing is signed.

use approval::Means;
use approval::bundle::{Bundle, Document, Hash};
use ca::Facility;
use custody::{Asked, PreparedDocument};
use hpki::encoding::Digest32;
use hpki::id::{CeremonyId, OrderNumber, PreparedId};
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::Fault;
use wire::refusal::Problem;
use wire::{
    ApprovalAnswer, ApprovalOutcome, ApprovalRequest, ApprovalSignatures, ApprovalState, Base64,
    PreparedAnswer, SignRequest,
};

use super::sign::{answer_of, peer};
use crate::http::problem::Trouble;
use crate::platform::{Platform, door};

/// A terminal asks: the documents are prepared, and the QR is shown.
pub(crate) async fn begin(
    platform: &Platform,
    token: &str,
    facility: &Facility,
    request: ApprovalRequest,
    now: Timestamp,
) -> Result<ApprovalAnswer, Trouble> {
    let asked: Vec<Asked> = request.documents.iter().map(asked).collect::<Result<_, _>>()?;
    let prepared = platform.custody.prepare(token, &peer(facility), asked, now).await?;
    let documents: Vec<PreparedAnswer> =
        prepared.documents.iter().map(answered).collect::<Result<_, _>>()?;
    let count = u32::try_from(documents.len()).unwrap_or(u32::MAX);
    let started = platform
        .authn
        .start_documents(
            door::place(facility),
            request.terminal,
            authn::Documents {
                reference: *prepared.id.octets(),
                person: prepared.person,
                key: prepared.key,
                kinds: prepared.kinds,
                count,
                root: prepared.root,
                until: prepared.until,
            },
            now,
        )
        .await?;
    Ok(ApprovalAnswer {
        ceremony: started.ceremony,
        qr: started.qr,
        until: started.until,
        not_after: prepared.until,
        certificate: Base64(prepared.certificate.to_vec()),
        documents,
    })
}

fn asked(request: &SignRequest) -> Result<Asked, Trouble> {
    let digest = request.digest.octets().ok_or_else(|| {
        Trouble::refused("digest-not-allowed", "algorithm sha256, value 32 octets in base64")
    })?;
    Ok(Asked { number: request.order, kind: request.kind, digest })
}

fn answered(document: &PreparedDocument) -> Result<PreparedAnswer, Trouble> {
    // Kinds without a recipe are refused by custody before this.
    let recipe = document.recipe.as_ref().ok_or_else(|| {
        Trouble::fault(&Fault::Misuse("a document without a recipe came through this door".into()))
    })?;
    Ok(PreparedAnswer {
        order: document.number,
        signing_time: recipe.signing_time,
        mark: hex::encode(recipe.mark),
    })
}

/// How far the approval is, over the certificate that began it.
pub(crate) async fn state(
    platform: &Platform,
    ceremony: CeremonyId,
    x5t: Digest32,
    now: Timestamp,
) -> Result<ApprovalState, Trouble> {
    let found = platform.authn.documents_state(ceremony, x5t, now).await?;
    let statement = found.statement.map(serde_json::to_value).transpose();
    let statement = statement.map_err(|error| Trouble::fault(&error))?;
    Ok(ApprovalState { state: found.step, statement })
}

/// The approved documents are signed. Asking again gives the same signatures.
pub(crate) async fn sign(
    platform: &Platform,
    token: &str,
    facility: &Facility,
    ceremony: CeremonyId,
    now: Timestamp,
) -> Result<ApprovalSignatures, Trouble> {
    let (reference, approval) = platform.authn.agreed(ceremony, facility.x5t, now).await?;
    let prepared = PreparedId::from_octets(reference);
    let granted = platform.custody.authorise(prepared, &approval, now).await?;
    let batch = platform.custody.sign_prepared(token, &peer(facility), &granted.sad, now).await?;
    Ok(ApprovalSignatures { documents: batch.items.into_iter().map(outcome).collect() })
}

pub(super) fn outcome(item: Result<custody::Signed, custody::Refusal>) -> ApprovalOutcome {
    match item {
        Ok(signed) => ApprovalOutcome { signed: Some(answer_of(signed)), refused: None },
        Err(refusal) => {
            let problem = Problem::refused(refusal.code(), &refusal.to_string());
            ApprovalOutcome { signed: None, refused: Some(problem) }
        }
    }
}

/// The evidence of one signature of this facility: everything that a stranger needs, as one text.
pub(crate) async fn evidence(
    platform: &Platform,
    facility: &Facility,
    order: OrderNumber,
    now: Timestamp,
) -> Result<String, Trouble> {
    let found = platform.custody.evidence(&facility.code, order, now).await?;
    let odd = |what: &str| Trouble::fault(&Fault::Row(format!("evidence of {order}: {what}")));
    // Authentication's own entry commits to the phone's key or the card's certificate; custody's, to
    // the whole evidence. An HPKI card is linked by nobody.
    let linked = match found.approval.means() {
        Means::Phone => platform.authn.linked_at(found.approval.binding).await?,
        Means::Jpki => platform.authn.card_linked_at(found.approval.binding).await?,
        Means::Hpki => None,
    };
    let binding = match linked {
        Some(leaf) => Some(platform.ledger.prove(leaf).await?),
        None if found.approval.means() == Means::Hpki => None,
        None => return Err(odd("a means that was never linked")),
    };
    let document = Document {
        kind: found.document.kind,
        hash_oid: custody::SHA256_OID.to_owned(),
        digest: found.document.digest.to_vec(),
        dtbsr: found.document.dtbsr,
        index: found.index,
        path: found.path.into_iter().map(Hash).collect(),
    };
    let bundle = Bundle::new(
        &found.approval,
        document,
        (binding, found.outcome),
        (found.signature, found.certificate.to_vec()),
    )
    .ok_or_else(|| odd("not an approval of documents"))?;
    bundle.text().map_err(|error| Trouble::fault(&error))
}
