//! The other form of signature: CMS around the digest of a document that is elsewhere, as a file
//! beside it (CAdES, ETSI EN 319 122-1) or for the gap in a PDF (PAdES, ETSI EN 319 142-1). Level
//! B-B of the baseline.
//!
//! What is signed are the attributes: the document's digest, which certificate signs, and for CAdES
//! when. They are written out here from these alone, so that a retry signs the same octets.

use hpki::Certificate;
use hpki::asn1::{self, tag};
use hpki::encoding::{Digest32, sha256};
use hpki::oid::{ObjectIdentifier, RSA_SHA256};
use hpki::time::Timestamp;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// `id-data`: what is signed is no CMS structure (RFC 5652 §4).
const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = oid("1.2.840.113549.1.9.5");
/// `signing-certificate-v2` (RFC 5035).
const SIGNING_CERTIFICATE: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.47");
const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");

/// Where the signature will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// In a file of its own; the attributes say when it was made.
    Cades,
    /// In a PDF. The time stands in its signature dictionary, and must not stand in the attributes
    /// (EN 319 142-1 §6.3).
    Pades,
}

impl Format {
    /// How a row says that a digest is signed in this format.
    pub const fn mark(self) -> [u8; 4] {
        match self {
            Self::Cades => *b"CAdE",
            Self::Pades => *b"PAdE",
        }
    }

    /// The format of a row.
    pub const fn of_mark(mark: [u8; 4]) -> Option<Self> {
        match &mark {
            b"CAdE" => Some(Self::Cades),
            b"PAdE" => Some(Self::Pades),
            _ => None,
        }
    }
}

/// The signed attributes, as they are signed: DER of `SET OF Attribute` (RFC 5652 §5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// Of a signature by this certificate over a document with this SHA-256.
    pub fn new(format: Format, digest: &Digest32, signer: &Certificate, at: Timestamp) -> Self {
        let mut all = vec![
            attribute(&CONTENT_TYPE, &asn1::oid(&DATA)),
            attribute(&MESSAGE_DIGEST, &asn1::tlv(tag::OCTET_STRING, digest)),
            attribute(&SIGNING_CERTIFICATE, &signing_certificate(signer)),
        ];
        if format == Format::Cades {
            all.push(attribute(&SIGNING_TIME, &asn1::moment(at)));
        }
        Self(set(tag::SET, all))
    }

    /// What is signed.
    pub fn digest(&self) -> Digest32 {
        sha256(&self.0)
    }

    /// The signature (`ContentInfo`), with the signer's certificate and those of its authorities.
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    pub fn assemble(
        &self,
        signature: &[u8],
        signer: &Certificate,
        others: &[Certificate],
    ) -> Vec<u8> {
        let sha256 = asn1::sequence(&[&asn1::oid(&SHA256)]);
        let certificates = [signer].into_iter().chain(others);
        let certificates = certificates.map(|certificate| certificate.der().to_vec()).collect();
        let inside = asn1::only(&self.0, tag::SET).map(|set| set.content).unwrap_or_default();
        let signer_info = asn1::sequence(&[
            &asn1::number(1),
            &asn1::sequence(&[signer.issuer().der(), &signer.serial_der()]),
            &sha256,
            &asn1::tlv(tag::context_constructed(0), inside),
            &asn1::sequence(&[&asn1::oid(&RSA_SHA256), &asn1::tlv(tag::NULL, &[])]),
            &asn1::tlv(tag::OCTET_STRING, signature),
        ]);
        let signed_data = asn1::sequence(&[
            &asn1::number(1),
            &asn1::constructed(tag::SET, &[&sha256]),
            &asn1::sequence(&[&asn1::oid(&DATA)]),
            &set(tag::context_constructed(0), certificates),
            &asn1::constructed(tag::SET, &[&signer_info]),
        ]);
        let content = asn1::constructed(tag::context_constructed(0), &[&signed_data]);
        asn1::sequence(&[&asn1::oid(&SIGNED_DATA), &content])
    }
}

/// DER wants the members of a set in the order of their octets (X.690 §11.6).
fn set(tag: u8, mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort_unstable();
    asn1::tlv(tag, &members.concat())
}

fn attribute(kind: &ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    asn1::sequence(&[&asn1::oid(kind), &asn1::constructed(tag::SET, &[value])])
}

/// `SigningCertificateV2` (RFC 5035 §3); SHA-256 is the default and therefore not written.
fn signing_certificate(signer: &Certificate) -> Vec<u8> {
    let issuer = asn1::constructed(tag::context_constructed(4), &[signer.issuer().der()]);
    let issuer_serial = asn1::sequence(&[&asn1::sequence(&[&issuer]), &signer.serial_der()]);
    let hash = asn1::tlv(tag::OCTET_STRING, &signer.sha256());
    let id = asn1::sequence(&[&hash, &issuer_serial]);
    asn1::sequence(&[&asn1::sequence(&[&id])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_its_formats_and_nothing_else_is_one() {
        for format in [Format::Cades, Format::Pades] {
            assert_eq!(Format::of_mark(format.mark()), Some(format));
        }
        assert_eq!(Format::of_mark([0; 4]), None);
    }

    #[test]
    fn members_of_a_set_stand_in_the_order_of_their_octets() {
        let members = vec![asn1::number(300), asn1::number(2), asn1::number(1)];
        let sorted = set(tag::SET, members);
        assert_eq!(sorted, [0x31, 10, 2, 1, 1, 2, 1, 2, 2, 2, 1, 0x2c]);
    }
}
