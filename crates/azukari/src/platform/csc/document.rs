//! `signatures/signDoc` (§11.11), by the documents' digests alone: the documents stay with the
//! program. What it gets are CMS signatures, for a file beside the document (CAdES) or for the gap
//! that it left in a PDF (PAdES), level B-B.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use custody::ToSign;
use hpki::Certificate;
use hpki::id::KeyId;
use wire::csc::{CredentialId, SignatureFormat, answer, ask};
use wire::token::base64_encode;
use xades::cades::{Attributes, Format};

use super::ask::{Caller, Said};
use super::credentials::{self, identifier};
use super::refusal::No;
use super::sign::{begin, handle};
use crate::clock::now;
use crate::platform::Platform;

pub(super) const fn format(format: SignatureFormat) -> Format {
    match format {
        SignatureFormat::Cades => Format::Cades,
        SignatureFormat::Pades => Format::Pades,
    }
}

/// Who signs, with her authorities: what a signature carries along.
pub(super) struct Signer {
    /// Hers, her authority's, …, the root's.
    chain: Vec<Certificate>,
}

impl Signer {
    pub(super) async fn of(platform: &Platform, caller: &Caller, key: KeyId) -> Result<Self, No> {
        let own =
            platform.custody.csc_credential(&caller.token, &caller.peer(), key, now()).await?;
        let leaf = Certificate::from_der(&own.certificate).map_err(ledger::Failed::Refused)?;
        Ok(Self { chain: credentials::chain(platform, &leaf).await? })
    }

    /// The signature. The root is left out: who checks has it, or must not take it from here.
    pub(super) fn object(&self, attributes: Option<&Attributes>, signature: &[u8]) -> String {
        match (self.chain.split_first(), attributes) {
            (Some((leaf, others)), Some(attributes)) => {
                let others: Vec<_> = others
                    .iter()
                    .filter(|other| other.subject() != other.issuer())
                    .cloned()
                    .collect();
                base64_encode(&attributes.assemble(signature, leaf, &others))
            }
            _ => base64_encode(signature),
        }
    }

    /// The revocation lists of everybody above her.
    async fn validation_info(&self, platform: &Platform) -> Result<answer::ValidationInfo, No> {
        let lists = platform.ca.lists().await?;
        let above = self.chain.iter().skip(1);
        let hers = lists.iter().filter(|(_, list)| {
            above.clone().any(|authority| authority.subject() == list.issuer())
        });
        Ok(answer::ValidationInfo {
            crl: hers.map(|(_, list)| base64_encode(list.der())).collect(),
        })
    }
}

/// Which credential is meant: named, or the caller's only one of this qualifier.
async fn meant(
    platform: &Platform,
    caller: &Caller,
    asked: &ask::SignDocuments,
) -> Result<CredentialId, No> {
    let named = asked.credential.as_deref().map(identifier).transpose()?;
    let Some(qualifier) = &asked.qualifier else {
        return named.ok_or_else(|| No::code("credential-unknown", ""));
    };
    let own = credentials::own(platform, caller).await?;
    let found = own.iter().map(|(id, ..)| *id).find(|id| {
        credentials::qualifier(id.kind) == *qualifier && named.is_none_or(|named| named == *id)
    });
    found.ok_or_else(|| No::invalid("Invalid parameter signatureQualifier"))
}

/// 文書のダイジェストに署名し、CMS の署名を受け取る（CSC 2.0.0.2）。文書は送らない
#[utoipa::path(post, path = "/csc/v2/signatures/signDoc", tag = "csc", request_body = ask::SignDoc,
    security(("facility" = [], "token" = [])),
    responses((status = 200, body = answer::SignDocAnswer), (status = "4XX", body = wire::csc::Error)))]
pub(crate) async fn sign_doc_v2(
    State(platform): State<Arc<Platform>>,
    caller: Caller,
    Said(asked): Said<ask::SignDoc>,
) -> Result<Response, No> {
    let asked = asked.read()?;
    let credential = meant(&platform, &caller, &asked).await?;
    let sad = handle(&asked.sad)?;
    let wanted: Vec<_> = asked
        .documents
        .iter()
        .map(|(digest, how)| ToSign { digest: *digest, format: Some(format(*how)) })
        .collect();
    if let Some(later) = asked.later {
        if asked.validation_info {
            // Nothing of it would be in what is fetched later.
            return Err(No::invalid("Invalid parameter returnValidationInfo"));
        }
        let begun = begin(&platform, &caller, (credential, &sad), &wanted, later).await;
        return Ok(begun.map_err(No::of_documents)?.into_response());
    }
    let signer = Signer::of(&platform, &caller, credential.key).await?;
    // Whatever can fail without a signature fails before one is made.
    let validation_info = match asked.validation_info {
        true => Some(signer.validation_info(&platform).await?),
        false => None,
    };
    let (token, peer) = (&caller.token, caller.peer());
    let signed = platform.custody.csc_sign(token, &peer, credential, &sad, &wanted, now()).await;
    let signed = signed.map_err(|failed| No::from(failed).of_documents())?;
    let object = |one: &custody::SignedHash| signer.object(one.attributes.as_ref(), &one.signature);
    let objects = signed.iter().map(object).collect();
    Ok(Json(answer::SignedDocuments { objects, validation_info }).into_response())
}
