//! What came back, and whether it is the authority's word.

use super::{CertId, Request, nonce, version};
use crate::asn1::{self, Malformed, Reader, Tlv, tag};
use crate::certificate::{Certificate, KeyUsage, read_extensions};
use crate::crl::{Reason, Revoked};
use crate::encoding::Digest32;
use crate::name::DistinguishedName;
use crate::oid::{self, ObjectIdentifier};
use crate::policy;
use crate::profile::key_identifier;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// An answer made a little ahead of our clock is taken: two machines never agree to the second.
const AHEAD_S: u64 = 300;
/// No answer is longer, and none has more certificates with it.
const ANSWER_MAX: usize = 64 * 1024;
const CERTIFICATES_MAX: usize = 8;

/// What an authority says of a certificate (RFC 6960 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not revoked.
    Good,
    /// Revoked.
    Revoked(Revoked),
    /// It does not know this certificate.
    Unknown,
}

/// What an authority said of one certificate, judged: only [`judge`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    issuer: Digest32,
    serial: Vec<u8>,
    status: Status,
    as_of: Timestamp,
    next_update: Option<Timestamp>,
}

impl Standing {
    /// Whether it is about this certificate of this authority.
    pub fn is_about(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        self.issuer == issuer.sha256() && self.serial == certificate.serial()
    }

    /// What was said.
    pub fn status(&self) -> Status {
        self.status
    }

    /// When that was true (thisUpdate).
    pub fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// Until when there is newer word, if it says so.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }
}

/// What is demanded of an answer, besides that it is right.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Whether the question's nonce has to come back. Responders that answer with what they made
    /// ahead do not send one (RFC 5019 §4); then freshness rests on time alone.
    pub nonce: bool,
    /// No older word is believed, in seconds, whatever it promises itself.
    pub oldest_s: u64,
}

/// Judges what came back for this question about this certificate.
///
/// # Errors
/// `ocsp-malformed`; `ocsp-refused` where the responder gave no answer; `ocsp-other` if it is about
/// another certificate; `ocsp-nonce-wrong`; `ocsp-stale`; `ocsp-responder-wrong` if neither the
/// authority nor whom it named for this (RFC 6960 §4.2.2.2) signed; `ocsp-signature-wrong`.
pub fn judge(
    octets: &[u8],
    request: &Request,
    certificate: &Certificate,
    issuer: &Certificate,
    expected: Expected,
    at: Timestamp,
) -> Result<Standing, Refusal> {
    let malformed = |wrong: Malformed| Refusal::OcspMalformed(wrong.0);
    let basic = basic(octets)?;
    let answer = Answer::read(basic).map_err(malformed)?;
    answer.signed(issuer, at)?;
    match &answer.nonce {
        Some(found) if Some(found) != request.nonce.as_ref() => {
            return Err(Refusal::OcspNonceWrong);
        }
        None if expected.nonce => return Err(Refusal::OcspNonceWrong),
        _ => {}
    }
    let [asked] = request.certificates() else { return Err(Refusal::OcspOther) };
    let found = answer.singles.iter().find(|(id, _)| id == asked).ok_or(Refusal::OcspOther)?;
    let standing = Standing {
        issuer: issuer.sha256(),
        serial: certificate.serial().to_vec(),
        status: found.1.status,
        as_of: found.1.as_of,
        next_update: found.1.next_update,
    };
    if asked.serial() != certificate.serial() || !asked.is_of(issuer) {
        return Err(Refusal::OcspOther);
    }
    let over = standing.next_update.is_some_and(|next| next < at);
    let ahead = standing.as_of > at.plus(AHEAD_S);
    if over || ahead || at.since(standing.as_of) > expected.oldest_s {
        return Err(Refusal::OcspStale {
            this_update: standing.as_of,
            next_update: standing.next_update,
        });
    }
    Ok(standing)
}

/// The answer proper, out of its envelope.
fn basic(octets: &[u8]) -> Result<&[u8], Refusal> {
    let malformed = |wrong: Malformed| Refusal::OcspMalformed(wrong.0);
    if octets.len() > ANSWER_MAX {
        return Err(Refusal::OcspMalformed("too large"));
    }
    let mut outer = asn1::only(octets, tag::SEQUENCE).map_err(malformed)?.inside();
    let status = outer.expect(tag::ENUMERATED).map_err(malformed)?;
    match status.content {
        [0] => {}
        [number] => return Err(Refusal::OcspRefused(*number)),
        _ => return Err(Refusal::OcspMalformed("status of the answer")),
    }
    let mut read = || -> Result<&[u8], Malformed> {
        let envelope = outer.expect(tag::context_constructed(0))?;
        outer.finish()?;
        let mut bytes = asn1::only(envelope.content, tag::SEQUENCE)?.inside();
        if bytes.expect(tag::OID)?.oid()? != oid::OCSP_BASIC {
            return Err(Malformed("kind of answer"));
        }
        let basic = bytes.expect(tag::OCTET_STRING)?.content;
        bytes.finish()?;
        Ok(basic)
    };
    read().map_err(malformed)
}

enum Responder {
    Name(DistinguishedName),
    Key(Vec<u8>),
}

struct Word {
    status: Status,
    as_of: Timestamp,
    next_update: Option<Timestamp>,
}

struct Answer<'a> {
    signed: &'a [u8],
    algorithm: ObjectIdentifier,
    signature: &'a [u8],
    responder: Responder,
    singles: Vec<(CertId, Word)>,
    nonce: Option<Vec<u8>>,
    certificates: Vec<Certificate>,
}

impl<'a> Answer<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = asn1::only(der, tag::SEQUENCE)?.inside();
        let data = outer.expect(tag::SEQUENCE)?;
        let mut named = outer.sequence()?;
        let algorithm = named.expect(tag::OID)?.oid()?;
        named.optional(tag::NULL)?;
        named.finish()?;
        let (signature, unused) = outer.expect(tag::BIT_STRING)?.bits()?;
        if unused != 0 {
            return Err(Malformed("signature bits"));
        }
        let mut certificates = Vec::new();
        if let Some(found) = outer.optional(tag::context_constructed(0))? {
            let mut list = asn1::only(found.content, tag::SEQUENCE)?.inside();
            while !list.is_empty() {
                let one = list.expect(tag::SEQUENCE)?;
                if certificates.len() == CERTIFICATES_MAX {
                    return Err(Malformed("too many certificates"));
                }
                let whole = &found.content[one.range()];
                certificates
                    .push(Certificate::from_der(whole).map_err(|_| Malformed("certificate"))?);
            }
        }
        outer.finish()?;

        let mut fields = data.inside();
        version(&mut fields)?;
        let responder = responder(fields.read()?)?;
        generalized(fields.read()?)?;
        let mut list = fields.sequence()?;
        let mut singles = Vec::new();
        while !list.is_empty() {
            singles.push(single(&mut list)?);
        }
        let nonce = match fields.optional(tag::context_constructed(1))? {
            Some(found) => nonce(der, &read_extensions(found.inside())?)?,
            None => None,
        };
        fields.finish()?;
        let signed = &der[data.range()];
        Ok(Self { signed, algorithm, signature, responder, singles, nonce, certificates })
    }

    /// Who signed: the authority itself, or a certificate that the authority issued for this.
    fn signed(&self, issuer: &Certificate, at: Timestamp) -> Result<(), Refusal> {
        let signer = if self.is_named(issuer) {
            issuer
        } else {
            let found = self.certificates.iter().find(|certificate| self.is_named(certificate));
            let delegate = found.ok_or(Refusal::OcspResponderWrong("nobody we know"))?;
            may_answer(delegate, issuer, at)?;
            delegate
        };
        let algorithm = policy::in_certificates(self.algorithm, at)?;
        policy::check_key(signer.spki_der(), at)?;
        policy::verify(algorithm, signer.spki_der(), self.signed, self.signature)
            .map_err(|_| Refusal::OcspSignatureWrong)
    }

    fn is_named(&self, certificate: &Certificate) -> bool {
        match &self.responder {
            Responder::Name(name) => name == certificate.subject(),
            Responder::Key(hash) => {
                key_identifier(certificate.spki_der()).is_ok_and(|own| own[..] == hash[..])
            }
        }
    }
}

/// Whether the authority let this certificate's holder answer for it (RFC 6960 §4.2.2.2). Whether
/// that certificate was revoked in turn would have to be asked elsewhere, so only one that need not
/// be asked about is taken (id-pkix-ocsp-nocheck, §4.2.2.2.1).
fn may_answer(delegate: &Certificate, issuer: &Certificate, at: Timestamp) -> Result<(), Refusal> {
    let wrong = |what| Err(Refusal::OcspResponderWrong(what));
    if delegate.issuer() != issuer.subject() || !delegate.aki().is_none_or(|aki| aki.may_be(issuer))
    {
        return wrong("certified by somebody else");
    }
    let algorithm = policy::in_certificates(delegate.signature_algorithm(), at)?;
    if policy::verify(algorithm, issuer.spki_der(), delegate.tbs(), delegate.signature()).is_err() {
        return wrong("certified by somebody else");
    }
    if !delegate.is_valid_at(at) {
        return wrong("its certificate is not in force");
    }
    let purposes = delegate.extended_key_usage().unwrap_or_default();
    if !purposes.contains(&oid::OCSP_SIGNING) || delegate.is_ca() {
        return wrong("not certified to answer");
    }
    let usage = delegate.key_usage();
    if !usage.is_none_or(|usage| usage.contains(KeyUsage::DIGITAL_SIGNATURE)) {
        return wrong("its key is not for signing");
    }
    if delegate.unknown_critical().is_some() {
        return wrong("unknown critical extension");
    }
    if delegate.extension(oid::OCSP_NO_CHECK).is_none() {
        return wrong("its own status would have to be asked");
    }
    Ok(())
}

fn responder(tlv: Tlv<'_>) -> Result<Responder, Malformed> {
    if tlv.tag == tag::context_constructed(1) {
        return Ok(Responder::Name(DistinguishedName::from_der(tlv.content)?));
    }
    if tlv.tag == tag::context_constructed(2) {
        let hash = asn1::only(tlv.content, tag::OCTET_STRING)?;
        return Ok(Responder::Key(hash.content.to_vec()));
    }
    Err(Malformed("responder"))
}

fn single(list: &mut Reader<'_>) -> Result<(CertId, Word), Malformed> {
    let mut fields = list.sequence()?;
    let id = CertId::read(&mut fields)?;
    let found = fields.read()?;
    let status = if found.tag == tag::context(0) && found.content.is_empty() {
        Status::Good
    } else if found.tag == tag::context_constructed(1) {
        Status::Revoked(revoked(found)?)
    } else if found.tag == tag::context(2) && found.content.is_empty() {
        Status::Unknown
    } else {
        return Err(Malformed("status of the certificate"));
    };
    let as_of = generalized(fields.read()?)?;
    let next_update = match fields.optional(tag::context_constructed(0))? {
        Some(next) => Some(generalized(asn1::only(next.content, tag::GENERALIZED_TIME)?)?),
        None => None,
    };
    if let Some(more) = fields.optional(tag::context_constructed(1))?
        && read_extensions(more.inside())?.iter().any(|extension| extension.critical)
    {
        return Err(Malformed("unknown critical extension"));
    }
    fields.finish()?;
    Ok((id, Word { status, as_of, next_update }))
}

fn revoked(tlv: Tlv<'_>) -> Result<Revoked, Malformed> {
    let mut fields = tlv.inside();
    let at = generalized(fields.read()?)?;
    let reason = match fields.optional(tag::context_constructed(0))? {
        Some(reason) => match asn1::only(reason.content, tag::ENUMERATED)?.content {
            [number] => Reason::from_number(*number).ok_or(Malformed("revocation reason"))?,
            _ => return Err(Malformed("revocation reason")),
        },
        None => Reason::Unspecified,
    };
    fields.finish()?;
    Ok(Revoked { at, reason })
}

/// OCSP has no other form of time (RFC 6960 §4.2.2.1).
fn generalized(tlv: Tlv<'_>) -> Result<Timestamp, Malformed> {
    if tlv.tag == tag::GENERALIZED_TIME { tlv.time() } else { Err(Malformed("time")) }
}
