//! The status of one certificate, asked of its authority (OCSP, RFC 6960).
//!
//! [`Request`] says which certificate is asked about; [`judge`] reads what came back and gives a
//! [`Standing`], which is known to be the authority's word about this certificate, for this question,
//! of this time. [`Reply`] writes such an answer, for a responder.
//!
//! Names of certificates are hashed with SHA-1, as every responder understands them (RFC 5019
//! §2.1.1): the hash finds a certificate and proves nothing. What proves is the answer's signature.

mod answer;
mod reply;

use const_oid::ObjectIdentifier;

use crate::asn1::{self, Malformed, Reader, constructed, sequence, tag, tlv};
use crate::certificate::{Certificate, Extension, read_extensions};
use crate::oid;

pub use answer::{Expected, Standing, Status, judge};
pub use reply::{Reply, Single, could_not_answer};

/// No question or nonce is longer (RFC 9654 §2.1 for the nonce).
const REQUEST_MAX: usize = 16 * 1024;
const NONCE_MAX: usize = 128;

/// How the issuer's name and key are hashed in a [`CertId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
    const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => Self::SHA1,
            Self::Sha256 => Self::SHA256,
        }
    }

    fn of(self, octets: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &aws_lc_rs::digest::SHA256,
        };
        aws_lc_rs::digest::digest(algorithm, octets).as_ref().to_vec()
    }
}

/// Which certificate is meant (RFC 6960 §4.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertId {
    hash: Hash,
    issuer_name: Vec<u8>,
    issuer_key: Vec<u8>,
    serial: Vec<u8>,
}

impl CertId {
    fn of(certificate: &Certificate, issuer: &Certificate, hash: Hash) -> Result<Self, Malformed> {
        let issuer_name = hash.of(certificate.issuer().der());
        let issuer_key = hash.of(public_key(issuer)?);
        Ok(Self { hash, issuer_name, issuer_key, serial: certificate.serial().to_vec() })
    }

    /// The serial number, big endian, without sign octet.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Whether this authority's name and key are meant.
    pub fn is_of(&self, issuer: &Certificate) -> bool {
        let key = public_key(issuer).map(|key| self.hash.of(key));
        self.issuer_name == self.hash.of(issuer.subject().der())
            && key.is_ok_and(|key| key == self.issuer_key)
    }

    fn der(&self) -> Vec<u8> {
        sequence(&[
            &sequence(&[&asn1::oid(&self.hash.oid()), &tlv(tag::NULL, &[])]),
            &tlv(tag::OCTET_STRING, &self.issuer_name),
            &tlv(tag::OCTET_STRING, &self.issuer_key),
            &asn1::integer(&self.serial),
        ])
    }

    fn read(fields: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut fields = fields.sequence()?;
        let mut algorithm = fields.sequence()?;
        let hash = match algorithm.expect(tag::OID)?.oid()? {
            Hash::SHA1 => Hash::Sha1,
            Hash::SHA256 => Hash::Sha256,
            _ => return Err(Malformed("hash of a certificate's name")),
        };
        algorithm.optional(tag::NULL)?;
        algorithm.finish()?;
        let issuer_name = fields.expect(tag::OCTET_STRING)?.content.to_vec();
        let issuer_key = fields.expect(tag::OCTET_STRING)?.content.to_vec();
        let serial = fields.expect(tag::INTEGER)?.unsigned()?.to_vec();
        fields.finish()?;
        Ok(Self { hash, issuer_name, issuer_key, serial })
    }
}

/// The bits of an authority's public key.
fn public_key(issuer: &Certificate) -> Result<&[u8], Malformed> {
    let mut spki = asn1::only(issuer.spki_der(), tag::SEQUENCE)?.inside();
    spki.expect(tag::SEQUENCE)?;
    Ok(spki.expect(tag::BIT_STRING)?.bits()?.0)
}

/// A question about certificates, unsigned. We ask about one at a time; a responder may be asked
/// about several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    about: Vec<CertId>,
    nonce: Option<Vec<u8>>,
}

impl Request {
    /// Asks for this certificate of this authority. The nonce has to come back, so it must be drawn
    /// anew for each question.
    ///
    /// # Errors
    /// If the authority's public key cannot be read.
    pub fn about(
        certificate: &Certificate,
        issuer: &Certificate,
        nonce: [u8; 32],
    ) -> Result<Self, Malformed> {
        let id = CertId::of(certificate, issuer, Hash::Sha1)?;
        Ok(Self { about: vec![id], nonce: Some(nonce.to_vec()) })
    }

    /// As it is sent (`application/ocsp-request`).
    pub fn der(&self) -> Vec<u8> {
        let list: Vec<Vec<u8>> = self.about.iter().map(|id| sequence(&[&id.der()])).collect();
        let list = sequence(&[&list.concat()]);
        let nonce = match &self.nonce {
            Some(nonce) => constructed(tag::context_constructed(2), &[&nonce_extension(nonce)]),
            None => Vec::new(),
        };
        sequence(&[&sequence(&[&list, &nonce])])
    }

    /// Reads a question that was sent to a responder. A signature of the asking side is not looked
    /// at: everybody may ask.
    ///
    /// # Errors
    /// What is not as RFC 6960 §4.1.1 says.
    pub fn read(der: &[u8]) -> Result<Self, Malformed> {
        if der.len() > REQUEST_MAX {
            return Err(Malformed("too large"));
        }
        let mut outer = asn1::only(der, tag::SEQUENCE)?.inside();
        let mut fields = outer.sequence()?;
        outer.optional(tag::context_constructed(0))?;
        outer.finish()?;
        version(&mut fields)?;
        fields.optional(tag::context_constructed(1))?;
        let mut list = fields.sequence()?;
        let mut about = Vec::new();
        while !list.is_empty() {
            let mut one = list.sequence()?;
            about.push(CertId::read(&mut one)?);
            one.optional(tag::context_constructed(0))?;
            one.finish()?;
        }
        let nonce = match fields.optional(tag::context_constructed(2))? {
            Some(found) => nonce(der, &read_extensions(found.inside())?)?,
            None => None,
        };
        fields.finish()?;
        if about.is_empty() {
            return Err(Malformed("a question about nothing"));
        }
        Ok(Self { about, nonce })
    }

    /// What is asked about.
    pub fn certificates(&self) -> &[CertId] {
        &self.about
    }
}

/// `version [0] EXPLICIT INTEGER DEFAULT v1`
fn version(fields: &mut Reader<'_>) -> Result<(), Malformed> {
    if let Some(version) = fields.optional(tag::context_constructed(0))?
        && asn1::only(version.content, tag::INTEGER)?.number()? != 0
    {
        return Err(Malformed("not version 1"));
    }
    Ok(())
}

fn nonce_extension(nonce: &[u8]) -> Vec<u8> {
    let value = tlv(tag::OCTET_STRING, nonce);
    let extension = sequence(&[&asn1::oid(&oid::OCSP_NONCE), &tlv(tag::OCTET_STRING, &value)]);
    sequence(&[&extension])
}

/// The nonce among these extensions, whose ranges count from the beginning of `der`. Another critical
/// extension is not processed here, so it is refused.
fn nonce(der: &[u8], extensions: &[Extension]) -> Result<Option<Vec<u8>>, Malformed> {
    let mut found = None;
    for extension in extensions {
        if extension.oid == oid::OCSP_NONCE {
            let value = asn1::only(&der[extension.value_range()], tag::OCTET_STRING)?.content;
            if value.is_empty() || value.len() > NONCE_MAX {
                return Err(Malformed("nonce"));
            }
            found = Some(value.to_vec());
        } else if extension.critical {
            return Err(Malformed("unknown critical extension"));
        }
    }
    Ok(found)
}
