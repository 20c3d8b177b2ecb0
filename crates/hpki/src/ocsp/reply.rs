//! Writing an answer, for a responder.

use super::{CertId, Request, Status, nonce_extension};
use crate::asn1::{self, bit_string, constructed, generalized, sequence, tag, tlv};
use crate::certificate::Certificate;
use crate::oid;
use crate::policy::algorithm_identifier;
use crate::sign::SignatureAlgorithm;
use crate::time::Timestamp;

/// What is said of one certificate.
#[derive(Debug, Clone)]
pub struct Single {
    /// Which.
    pub id: CertId,
    /// What.
    pub status: Status,
}

/// An answer before it is signed.
#[derive(Debug, Clone)]
pub struct Reply {
    tbs: Vec<u8>,
}

impl Reply {
    /// For this question, in the name of `responder`'s certificate; true at `this_update`, with newer
    /// word by `next_update`. The question's nonce goes back with it, if it is `echo`ed.
    pub fn new(
        request: &Request,
        singles: &[Single],
        responder: &Certificate,
        (this_update, next_update): (Timestamp, Timestamp),
        echo: bool,
    ) -> Self {
        let words: Vec<Vec<u8>> = singles
            .iter()
            .map(|single| {
                let next = constructed(tag::context_constructed(0), &[&generalized(next_update)]);
                let (id, status) = (single.id.der(), status(single.status));
                sequence(&[&id, &status, &generalized(this_update), &next])
            })
            .collect();
        let name = constructed(tag::context_constructed(1), &[responder.subject().der()]);
        let nonce = match &request.nonce {
            Some(nonce) if echo => {
                constructed(tag::context_constructed(1), &[&nonce_extension(nonce)])
            }
            _ => Vec::new(),
        };
        let words = sequence(&[&words.concat()]);
        Self { tbs: sequence(&[&name, &generalized(this_update), &words, &nonce]) }
    }

    /// The part that is signed.
    pub fn der(&self) -> &[u8] {
        &self.tbs
    }

    /// The whole answer (`application/ocsp-response`), with the responder's certificate.
    pub fn assemble(
        &self,
        algorithm: SignatureAlgorithm,
        signature: &[u8],
        responder: &Certificate,
    ) -> Vec<u8> {
        let certificates =
            constructed(tag::context_constructed(0), &[&sequence(&[responder.der()])]);
        let basic = sequence(&[
            &self.tbs,
            &algorithm_identifier(algorithm),
            &bit_string(signature),
            &certificates,
        ]);
        let bytes = sequence(&[&asn1::oid(&oid::OCSP_BASIC), &tlv(tag::OCTET_STRING, &basic)]);
        let bytes = constructed(tag::context_constructed(0), &[&bytes]);
        sequence(&[&tlv(tag::ENUMERATED, &[0]), &bytes])
    }
}

fn status(status: Status) -> Vec<u8> {
    match status {
        Status::Good => tlv(tag::context(0), &[]),
        Status::Unknown => tlv(tag::context(2), &[]),
        Status::Revoked(revoked) => {
            let reason = tlv(tag::ENUMERATED, &[revoked.reason.number()]);
            let reason = constructed(tag::context_constructed(0), &[&reason]);
            constructed(tag::context_constructed(1), &[&generalized(revoked.at), &reason])
        }
    }
}

/// What a responder says that gives no answer, unsigned: 1 malformed, 2 internal error, 3 try later,
/// 6 unauthorized (RFC 6960 §4.2.1).
pub fn could_not_answer(why: u8) -> Vec<u8> {
    sequence(&[&tlv(tag::ENUMERATED, &[why])])
}
