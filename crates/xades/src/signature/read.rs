//! Reading `ds:Signature` in the profile: every element in its place, nothing else.

use Refusal::{
    KeyInfoWrong, SignatureStructureWrong, SignedPropertiesWrong, TransformNotAllowed,
    UnsignedPropertiesWrong,
};
use hpki::encoding::Digest32;
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;

use super::parts::{elements, exactly, only_attributes, text};
use super::{Reference, Signature};
use crate::base64_text::octets;
use crate::c14n::Method;
use crate::place::Place;
use crate::{DS, Node, Refusal, XADES, XADES141};

const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";
const SIGNED_PROPERTIES: &str = "http://uri.etsi.org/01903#SignedProperties";

/// How far a signature claims to be preserved, by what stands in its unsigned properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// As the signer sent it.
    Bes,
    /// With a time stamp over the signature value.
    T,
    /// With certificates and revocation lists for later verification.
    Xl,
    /// With an archive time stamp.
    A,
}

impl Level {
    /// `BES`, `T`, `XL`, `A`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bes => "BES",
            Self::T => "T",
            Self::Xl => "XL",
            Self::A => "A",
        }
    }
}

/// What stands in the unsigned properties. Anyone could have put it there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Markers {
    /// SignatureTimeStamp elements.
    pub signature_time_stamps: usize,
    /// Whether CertificateValues stand there.
    pub certificate_values: bool,
    /// Whether RevocationValues stand there.
    pub revocation_values: bool,
    /// ArchiveTimeStamp elements.
    pub archive_time_stamps: usize,
    /// Properties that XAdES lets anybody add.
    pub others: usize,
}

impl Markers {
    /// The level that these markers claim.
    pub fn level(&self) -> Level {
        if self.signature_time_stamps == 0 {
            Level::Bes
        } else if !(self.certificate_values && self.revocation_values) {
            Level::T
        } else if self.archive_time_stamps == 0 {
            Level::Xl
        } else {
            Level::A
        }
    }
}

pub(super) fn signature<'d, 'a>(
    place: Place,
    node: Node<'d, 'a>,
) -> Result<Signature<'d, 'a>, Refusal> {
    let kind = place.kind();
    let wrong = SignatureStructureWrong;
    if let Some(around) = node.parent_element() {
        // Whatever holds the signature holds nothing else.
        elements(around, wrong)
            .and_then(|inside| if inside.len() == 1 { Ok(()) } else { Err(wrong) })?;
    }
    only_attributes(node, &["Id"], wrong)?;
    match node.attribute("Id") {
        Some(id) if id == kind.signature_id() => {}
        Some(id) if DocumentKind::COMPOSED.iter().any(|other| id == other.signature_id()) => {
            return Err(Refusal::SignatureOtherKind);
        }
        _ => return Err(wrong),
    }
    let [signed_info, value_element, key_info, object] =
        exactly(node, DS, ["SignedInfo", "SignatureValue", "KeyInfo", "Object"], wrong)?;

    let references = signed_info_parts(signed_info)?;
    only_attributes(value_element, &["Id"], wrong)?;
    let value = value_octets(text(value_element, wrong)?).ok_or(Refusal::SignatureValueWrong)?;

    only_attributes(key_info, &["Id"], KeyInfoWrong)?;
    let [data] = exactly(key_info, DS, ["X509Data"], KeyInfoWrong)?;
    only_attributes(data, &[], KeyInfoWrong)?;
    let [certificate] = exactly(data, DS, ["X509Certificate"], KeyInfoWrong)?;
    only_attributes(certificate, &[], KeyInfoWrong)?;
    let certificate_der = octets(text(certificate, KeyInfoWrong)?).ok_or(KeyInfoWrong)?;

    only_attributes(object, &["Id"], wrong)?;
    let [qualifying] = exactly(object, XADES, ["QualifyingProperties"], wrong)?;
    only_attributes(qualifying, &["Id", "Target"], wrong)?;
    if qualifying.attribute("Target").and_then(|target| target.strip_prefix('#'))
        != Some(kind.signature_id())
    {
        return Err(wrong);
    }
    let properties = elements(qualifying, wrong)?;
    let (signed_properties, unsigned) = match properties.as_slice() {
        [signed] => (*signed, None),
        [signed, unsigned] => (*signed, Some(*unsigned)),
        _ => return Err(wrong),
    };
    if !signed_properties.has_tag_name((XADES, "SignedProperties")) {
        return Err(SignedPropertiesWrong);
    }
    let (signing_time, certificate_digest, issuer_serial) =
        signed_properties_parts(signed_properties)?;
    let markers = unsigned.map(unsigned_properties).transpose()?.unwrap_or_default();

    Ok(Signature {
        place,
        signed_info,
        references,
        value_element,
        value,
        key_info,
        certificate_der,
        signed_properties,
        signing_time,
        certificate_digest,
        issuer_serial,
        markers,
    })
}

/// The value is not among the signed parts, but nobody needs another white space than line ends in
/// it, so that no other octet of it can be changed unnoticed.
fn value_octets(text: &str) -> Option<Vec<u8>> {
    if text.contains([' ', '\t']) { None } else { octets(text) }
}

fn signed_info_parts(signed_info: Node<'_, '_>) -> Result<[Reference; 3], Refusal> {
    let wrong = SignatureStructureWrong;
    only_attributes(signed_info, &["Id"], wrong)?;
    let parts = elements(signed_info, wrong)?;
    let [canonicalization, method, references @ ..] = parts.as_slice() else { return Err(wrong) };
    if !canonicalization.has_tag_name((DS, "CanonicalizationMethod"))
        || !method.has_tag_name((DS, "SignatureMethod"))
        || references.iter().any(|node| !node.has_tag_name((DS, "Reference")))
    {
        return Err(wrong);
    }

    let not_allowed = Refusal::CanonicalizationNotAllowed;
    if algorithm(*canonicalization, not_allowed)? != Method::Exclusive.uri() {
        return Err(not_allowed);
    }
    let not_allowed = Refusal::SignatureAlgorithmNotAllowed;
    match algorithm(*method, not_allowed)? {
        RSA_SHA256 => {}
        uri if uri.contains("hmac") => return Err(Refusal::HmacNotAllowed),
        uri if uri.ends_with("sha1") => return Err(Refusal::Sha1NotAllowed),
        _ => return Err(not_allowed),
    }

    match references {
        [document, key_info, properties] => Ok([
            reference(*document, None)?,
            reference(*key_info, None)?,
            reference(*properties, Some(SIGNED_PROPERTIES))?,
        ]),
        [_, _, _, _, ..] => Err(Refusal::ReferenceExtra),
        _ => Err(Refusal::ReferenceMissing),
    }
}

/// The algorithm of a method element that has no parameters.
fn algorithm<'d>(node: Node<'d, '_>, not_allowed: Refusal) -> Result<&'d str, Refusal> {
    only_attributes(node, &["Algorithm"], SignatureStructureWrong)?;
    let algorithm = node.attribute("Algorithm").ok_or(SignatureStructureWrong)?;
    // An HMAC says how much of it counts; its own refusal tells more than "has a parameter".
    if algorithm.contains("hmac") {
        return Err(Refusal::HmacNotAllowed);
    }
    if elements(node, SignatureStructureWrong)?.is_empty() {
        Ok(algorithm)
    } else {
        Err(not_allowed)
    }
}

fn reference(node: Node<'_, '_>, expected_type: Option<&str>) -> Result<Reference, Refusal> {
    let wrong = SignatureStructureWrong;
    only_attributes(node, &["Id", "URI", "Type"], wrong)?;
    if node.attribute("Type") != expected_type {
        return Err(Refusal::ReferenceTypeWrong);
    }
    let uri = node.attribute("URI").ok_or(Refusal::ReferenceUnresolved)?.to_owned();
    let parts = elements(node, wrong)?;
    let (transforms, digest) = match parts.as_slice() {
        [transforms, digest @ ..] if transforms.has_tag_name((DS, "Transforms")) => {
            (Some(*transforms), digest)
        }
        digest => (None, digest),
    };
    // Without a transform, an element becomes octets by Canonical XML 1.0 without comments
    // (XML-DSig §4.4.3.2).
    let method = match transforms {
        None => Method::Inclusive10,
        Some(transforms) => {
            only_attributes(transforms, &[], wrong)?;
            let [transform] = exactly(transforms, DS, ["Transform"], TransformNotAllowed)?;
            if algorithm(transform, TransformNotAllowed)? != Method::Exclusive.uri() {
                return Err(TransformNotAllowed);
            }
            Method::Exclusive
        }
    };
    Ok(Reference { uri, method, digest: digest_parts(digest, wrong)? })
}

/// DigestMethod and DigestValue.
fn digest_parts(parts: &[Node<'_, '_>], wrong: Refusal) -> Result<Digest32, Refusal> {
    let [method, value] = parts else { return Err(wrong) };
    if !method.has_tag_name((DS, "DigestMethod")) || !value.has_tag_name((DS, "DigestValue")) {
        return Err(wrong);
    }
    match algorithm(*method, Refusal::DigestAlgorithmNotAllowed)? {
        SHA256 => {}
        SHA1 => return Err(Refusal::Sha1NotAllowed),
        _ => return Err(Refusal::DigestAlgorithmNotAllowed),
    }
    only_attributes(*value, &[], wrong)?;
    octets(text(*value, wrong)?).and_then(|octets| octets.try_into().ok()).ok_or(wrong)
}

type SignedParts = (Timestamp, Digest32, Option<Vec<u8>>);

fn signed_properties_parts(node: Node<'_, '_>) -> Result<SignedParts, Refusal> {
    let wrong = SignedPropertiesWrong;
    only_attributes(node, &["Id"], wrong)?;
    let [properties] = exactly(node, XADES, ["SignedSignatureProperties"], wrong)?;
    only_attributes(properties, &["Id"], wrong)?;
    let [time, certificates] =
        exactly(properties, XADES, ["SigningTime", "SigningCertificateV2"], wrong)?;
    only_attributes(time, &[], wrong)?;
    let time = Timestamp::parse(text(time, wrong)?.trim()).ok_or(wrong)?;

    only_attributes(certificates, &[], wrong)?;
    let [certificate] = exactly(certificates, XADES, ["Cert"], wrong)?;
    only_attributes(certificate, &[], wrong)?;
    let parts = elements(certificate, wrong)?;
    let (digest, issuer_serial) = match parts.as_slice() {
        [digest] => (digest, None),
        [digest, serial] if serial.has_tag_name((XADES, "IssuerSerialV2")) => {
            only_attributes(*serial, &[], wrong)?;
            (digest, Some(octets(text(*serial, wrong)?).ok_or(wrong)?))
        }
        _ => return Err(wrong),
    };
    if !digest.has_tag_name((XADES, "CertDigest")) {
        return Err(wrong);
    }
    only_attributes(*digest, &[], wrong)?;
    let digest = digest_parts(&elements(*digest, wrong)?, wrong)?;
    Ok((time, digest, issuer_serial))
}

/// Properties that EN 319 132-1 §5.3–5.5 knows, in either of its namespaces.
const KNOWN: &[&str] = &[
    "SignatureTimeStamp",
    "CompleteCertificateRefs",
    "CompleteCertificateRefsV2",
    "CompleteRevocationRefs",
    "AttributeCertificateRefs",
    "AttributeCertificateRefsV2",
    "AttributeRevocationRefs",
    "SigAndRefsTimeStamp",
    "SigAndRefsTimeStampV2",
    "RefsOnlyTimeStamp",
    "RefsOnlyTimeStampV2",
    "CertificateValues",
    "RevocationValues",
    "AttrAuthoritiesCertValues",
    "AttributeRevocationValues",
    "TimeStampValidationData",
    "AnyValidationData",
    "ArchiveTimeStamp",
    "RenewedDigests",
    "RenewedDigestsV2",
];

fn unsigned_properties(node: Node<'_, '_>) -> Result<Markers, Refusal> {
    let wrong = UnsignedPropertiesWrong;
    if !node.has_tag_name((XADES, "UnsignedProperties")) {
        return Err(wrong);
    }
    only_attributes(node, &["Id"], wrong)?;
    let mut markers = Markers::default();
    for group in elements(node, wrong)? {
        only_attributes(group, &["Id"], wrong)?;
        if group.has_tag_name((XADES, "UnsignedDataObjectProperties")) {
            markers.others += elements(group, wrong)?.len();
            continue;
        }
        if !group.has_tag_name((XADES, "UnsignedSignatureProperties")) {
            return Err(wrong);
        }
        for property in elements(group, wrong)? {
            let name = property.tag_name();
            match (name.namespace(), name.name()) {
                (Some(XADES | XADES141), "SignatureTimeStamp") => {
                    markers.signature_time_stamps += 1
                }
                (Some(XADES | XADES141), "ArchiveTimeStamp") => markers.archive_time_stamps += 1,
                (Some(XADES), "CertificateValues") => markers.certificate_values = true,
                (Some(XADES), "RevocationValues") => markers.revocation_values = true,
                (Some(XADES | XADES141), known) if KNOWN.contains(&known) => {}
                (Some(XADES | XADES141), _) => return Err(wrong),
                // The schema lets other namespaces add what they like here.
                (Some(_), _) => markers.others += 1,
                (None, _) => return Err(wrong),
            }
        }
    }
    Ok(markers)
}
