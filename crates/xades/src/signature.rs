//! Checking a signature in the profile of Japanese electronic prescriptions, strictly.
//!
//! [`find`] takes the one signature that stands where it belongs and reads it, refusing whatever
//! the profile does not have. [`verify`] then answers one question: did the holder of the key in
//! the embedded certificate sign exactly the element that every reader will read? Whether that
//! certificate means anything is the business of `verifier`.

mod parts;
mod read;

use hpki::Certificate;
use hpki::encoding::{Digest32, sha256};
use hpki::kind::DocumentKind;
use hpki::policy::{self, Algorithm};
use hpki::time::Timestamp;

use crate::c14n::{self, Method};
use crate::place::{self, Place, signature_at, signed_at};
use crate::{Document, Node, Refusal, parse, plain};

pub use read::{Level, Markers};

/// A signature as it stands in the document: of the right form, at the right place, not yet
/// believed.
#[derive(Debug, Clone)]
pub struct Signature<'d, 'a> {
    place: Place,
    signed_info: Node<'d, 'a>,
    references: [Reference; 3],
    value_element: Node<'d, 'a>,
    value: Vec<u8>,
    key_info: Node<'d, 'a>,
    certificate_der: Vec<u8>,
    signed_properties: Node<'d, 'a>,
    signing_time: Timestamp,
    certificate_digest: Digest32,
    issuer_serial: Option<Vec<u8>>,
    markers: Markers,
}

#[derive(Debug, Clone)]
struct Reference {
    uri: String,
    method: Method,
    digest: Digest32,
}

/// What a signature proves, together with the element that it proves it about.
///
/// Read the document through [`Verified::node`], not by searching again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verified<'d, 'a> {
    /// The signed element.
    pub node: Node<'d, 'a>,
    /// What was signed.
    pub kind: DocumentKind,
    /// SHA-256 of the signed element's canonical octets.
    pub digest: Digest32,
    /// SHA-256 of the canonical SignedInfo.
    pub dtbsr: Digest32,
    /// The time that the signer claims. Nothing proves it.
    pub signing_time: Timestamp,
    /// The certificate whose key made the signature. Nothing proves whose it is.
    pub certificate: Certificate,
    /// The signature value.
    pub value: Vec<u8>,
    /// What stands in the unsigned properties. Nothing of it is verified.
    pub markers: Markers,
}

/// What a signature says of itself, unverified.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Description {
    /// What it claims to be about.
    pub kind: DocumentKind,
    /// Whether it is the prescription's inside a dispensing result.
    pub nested: bool,
    /// The embedded certificate.
    pub certificate_der: Vec<u8>,
    /// The claimed time.
    pub signing_time: Timestamp,
    /// The digest in reference 1.
    pub digest: Digest32,
    /// What stands in the unsigned properties.
    pub markers: Markers,
}

/// The one signature of this kind of document.
///
/// # Errors
/// The document has another shape; no signature, several, or one that stands elsewhere; a signature
/// outside the profile.
pub fn find<'d, 'a>(
    document: &'d Document<'a>,
    kind: DocumentKind,
) -> Result<Signature<'d, 'a>, Refusal> {
    find_at(
        document,
        match kind {
            DocumentKind::Prescription => Place::Prescription,
            DocumentKind::Dispensing => Place::Dispensing,
            // Not signed inside a document of ours.
            DocumentKind::Referral | DocumentKind::Statement => {
                return Err(Refusal::SignatureMissing);
            }
        },
    )
}

/// The prescription's own signature inside a dispensing result.
///
/// # Errors
/// As [`find`].
pub fn find_nested<'d, 'a>(document: &'d Document<'a>) -> Result<Signature<'d, 'a>, Refusal> {
    find_at(document, Place::NestedPrescription)
}

fn find_at<'d, 'a>(document: &'d Document<'a>, place: Place) -> Result<Signature<'d, 'a>, Refusal> {
    read::signature(place, signature_at(document, place)?)
}

/// What the signatures of a document say of themselves, for showing only; the outer one first.
///
/// # Errors
/// As [`parse`] and [`find`].
pub fn describe(octets: &[u8], kind: DocumentKind) -> Result<Vec<Description>, Refusal> {
    let document = parse(octets)?;
    let mut found = vec![find(&document, kind)?];
    if kind == DocumentKind::Dispensing {
        found.push(find_nested(&document)?);
    }
    Ok(found
        .into_iter()
        .map(|signature| Description {
            kind: signature.kind(),
            nested: signature.place == Place::NestedPrescription,
            digest: signature.references[0].digest,
            certificate_der: signature.certificate_der,
            signing_time: signature.signing_time,
            markers: signature.markers,
        })
        .collect())
}

impl Signature<'_, '_> {
    /// What it claims to be about.
    pub fn kind(&self) -> DocumentKind {
        self.place.kind()
    }

    /// The embedded certificate (DER), not yet believed.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// The claimed time.
    pub fn signing_time(&self) -> Timestamp {
        self.signing_time
    }

    /// What stands in the unsigned properties.
    pub fn markers(&self) -> &Markers {
        &self.markers
    }
}

/// Verifies a signature: that each reference points to the one right element, that every digest
/// fits, that the signed properties name the embedded certificate, and that this certificate's key
/// made the signature value.
///
/// # Errors
/// The first of these that fails, by its own code.
pub fn verify<'d, 'a>(
    document: &'d Document<'a>,
    signature: &Signature<'d, 'a>,
) -> Result<Verified<'d, 'a>, Refusal> {
    let kind = signature.kind();
    let signed = signed_at(document, signature.place)?;
    let targets = [
        (signed, Refusal::DigestMismatch),
        (signature.key_info, Refusal::KeyInfoDigestMismatch),
        (signature.signed_properties, Refusal::SignedPropertiesDigestMismatch),
    ];

    for (reference, (target, _)) in signature.references.iter().zip(&targets) {
        points_to(document, kind, &reference.uri, *target)?;
    }
    let read = [signature.signed_info, signature.value_element];
    for node in targets.iter().map(|(target, _)| *target).chain(read) {
        plain::check(&document.text()[node.range()])?;
    }
    for (reference, (target, mismatch)) in signature.references.iter().zip(&targets) {
        let octets = c14n::canonicalize(document, Some(*target), reference.method, &[]);
        if sha256(&octets) != reference.digest {
            return Err(*mismatch);
        }
    }

    let certificate = Certificate::from_der(&signature.certificate_der)
        .map_err(|_| Refusal::SignerCertificateMalformed)?;
    if certificate.sha256() != signature.certificate_digest
        || signature.issuer_serial.as_ref().is_some_and(|der| *der != issuer_serial(&certificate))
    {
        return Err(Refusal::SigningCertificateMismatch);
    }

    let signed_info =
        c14n::canonicalize(document, Some(signature.signed_info), Method::Exclusive, &[]);
    policy::verify(Algorithm::RsaSha256, certificate.spki_der(), &signed_info, &signature.value)
        .map_err(|_| Refusal::SignatureValueWrong)?;

    Ok(Verified {
        node: signed,
        kind,
        digest: signature.references[0].digest,
        dtbsr: sha256(&signed_info),
        signing_time: signature.signing_time,
        certificate,
        value: signature.value.clone(),
        markers: signature.markers.clone(),
    })
}

fn points_to(
    document: &Document<'_>,
    kind: DocumentKind,
    uri: &str,
    target: Node<'_, '_>,
) -> Result<(), Refusal> {
    if uri.is_empty() {
        return Err(Refusal::ReferenceWrongElement);
    }
    let id = uri.strip_prefix('#').ok_or(Refusal::ReferenceUnresolved)?;
    if DocumentKind::COMPOSED.iter().any(|other| *other != kind && id == other.signed_id()) {
        return Err(Refusal::SignatureOtherKind);
    }
    match document.by_id(id) {
        None => Err(Refusal::ReferenceUnresolved),
        Some(node) if node.id() == target.id() => Ok(()),
        Some(_) => Err(Refusal::ReferenceWrongElement),
    }
}

/// `IssuerSerial ::= SEQUENCE { issuer GeneralNames, serialNumber INTEGER }` (RFC 5035) with the
/// issuer as its only directoryName.
fn issuer_serial(certificate: &Certificate) -> Vec<u8> {
    let name = der(0xa4, certificate.issuer().der());
    let mut inside = der(0x30, &name);
    inside.extend_from_slice(&certificate.serial_der());
    der(0x30, &inside)
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        // No certificate that this house reads has a longer issuer name.
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}

/// The kind of a document, from its shape alone.
///
/// # Errors
/// `document-shape-wrong`.
pub fn kind_of(document: &Document<'_>) -> Result<DocumentKind, Refusal> {
    place::kind_of(document)
}
