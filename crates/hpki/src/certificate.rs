//! An X.509 certificate, parsed once (RFC 5280 §4).
//!
//! The parsed form keeps the octets it was read from: signatures are judged over exactly those, and
//! nothing is ever encoded again. Known extensions that are malformed make the certificate
//! malformed; unknown ones are remembered, so that path validation can refuse critical ones.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use const_oid::ObjectIdentifier;

use crate::asn1::{self, Malformed, Reader, tag};
use crate::encoding::{Digest32, sha256};
use crate::hcrole;
pub use crate::key_usage::KeyUsage;
use crate::name::{DistinguishedName, GeneralName};
use crate::oid;
use crate::qualification::Qualification;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// A certificate. Cheap to clone; two are equal if their octets are.
#[derive(Clone)]
pub struct Certificate(Arc<Parsed>);

struct Parsed {
    der: Vec<u8>,
    digest: Digest32,
    tbs: Range<usize>,
    spki: Range<usize>,
    signature: Range<usize>,
    signature_algorithm: ObjectIdentifier,
    serial: Range<usize>,
    issuer: DistinguishedName,
    subject: DistinguishedName,
    not_before: Timestamp,
    not_after: Timestamp,
    extensions: Vec<Extension>,
    known: Known,
}

/// One extension in the order of the certificate.
#[derive(Debug, Clone)]
pub struct Extension {
    /// Which extension.
    pub oid: ObjectIdentifier,
    /// Whether a verifier that does not know it must refuse.
    pub critical: bool,
    value: Range<usize>,
}

/// The meaning of the extensions that we process.
#[derive(Default)]
struct Known {
    key_usage: Option<KeyUsage>,
    basic_constraints: Option<BasicConstraints>,
    policies: Vec<ObjectIdentifier>,
    extended_key_usage: Option<Vec<ObjectIdentifier>>,
    subject_alt_name: Vec<GeneralName>,
    crl_points: Vec<DistributionPoint>,
    subject_key_id: Option<Range<usize>>,
    authority_key_id: Option<AuthorityKeyId>,
    role: Option<String>,
}

/// basicConstraints (RFC 5280 §4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the subject is a certification authority.
    pub ca: bool,
    /// How many intermediate authorities may follow.
    pub path_length: Option<u64>,
}

/// One DistributionPoint with its full names (RFC 5280 §4.2.1.13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistributionPoint {
    /// The names of the list; empty if given relative to the issuer, which we do not process.
    pub names: Vec<GeneralName>,
    /// Whether it is limited to some reasons or has another CRL issuer, which we do not process.
    pub limited: bool,
}

/// authorityKeyIdentifier (RFC 5280 §4.2.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorityKeyId {
    /// keyIdentifier
    pub key_id: Option<Vec<u8>>,
    /// authorityCertIssuer, if it is one directory name: the issuer of the issuer's certificate.
    pub issuer: Option<DistinguishedName>,
    /// authorityCertSerialNumber, without sign octet.
    pub serial: Option<Vec<u8>>,
}

impl AuthorityKeyId {
    /// Reads the extension's value.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        let mut fields = asn1::only(der, tag::SEQUENCE)?.inside();
        let key_id = fields.optional(tag::context(0))?.map(|tlv| tlv.content.to_vec());
        let issuer = match fields.optional(tag::context_constructed(1))? {
            Some(tlv) => match GeneralName::read_all(tlv.inside())?.as_slice() {
                [GeneralName::Directory(name)] => Some(name.clone()),
                _ => None,
            },
            None => None,
        };
        let serial = match fields.optional(tag::context(2))? {
            Some(tlv) => Some(asn1::unsigned(tlv.content)?.to_vec()),
            None => None,
        };
        fields.finish()?;
        Ok(Self { key_id, issuer, serial })
    }

    /// Whether this may be the identifier of that certificate's key: nothing that is stated here
    /// contradicts it.
    pub fn may_be(&self, authority: &Certificate) -> bool {
        let key =
            self.key_id.as_deref().is_none_or(|id| authority.ski().is_none_or(|own| own == id));
        let issuer = self.issuer.as_ref().is_none_or(|name| name == authority.issuer());
        let serial = self.serial.as_deref().is_none_or(|octets| octets == authority.serial());
        key && issuer && serial
    }
}

impl Certificate {
    /// Reads a certificate in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, Refusal> {
        parse(der)
            .map(|parsed| Self(Arc::new(parsed)))
            .map_err(|wrong| Refusal::CertificateMalformed(wrong.0))
    }

    /// Reads the first certificate of a PEM text (RFC 7468); what stands before it is skipped.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Refusal> {
        let der =
            crate::pem::decode("CERTIFICATE", pem).ok_or(Refusal::CertificateMalformed("PEM"))?;
        Self::from_der(&der)
    }

    /// Reads PEM or DER, whichever it is.
    pub fn from_pem_or_der(octets: &[u8]) -> Result<Self, Refusal> {
        if octets.first() == Some(&tag::SEQUENCE) {
            Self::from_der(octets)
        } else {
            Self::from_pem(octets)
        }
    }

    /// The octets it was read from.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }
    /// PEM text with line feeds.
    pub fn pem(&self) -> String {
        crate::pem::encode("CERTIFICATE", self.der())
    }
    /// SHA-256 of its DER.
    pub fn sha256(&self) -> Digest32 {
        self.0.digest
    }
    /// The part that is signed.
    pub fn tbs(&self) -> &[u8] {
        &self.0.der[self.0.tbs.clone()]
    }
    /// The signature value.
    pub fn signature(&self) -> &[u8] {
        &self.0.der[self.0.signature.clone()]
    }
    /// The identifier of the algorithm of its signature.
    pub fn signature_algorithm(&self) -> ObjectIdentifier {
        self.0.signature_algorithm
    }
    /// Its subject's public key as DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.0.der[self.0.spki.clone()]
    }
    /// The serial number, big endian, without sign octet.
    pub fn serial(&self) -> &[u8] {
        let content = &self.0.der[self.0.serial.clone()];
        asn1::unsigned(content).unwrap_or(content)
    }
    /// The serial number as a DER INTEGER.
    pub fn serial_der(&self) -> Vec<u8> {
        asn1::tlv(tag::INTEGER, &self.0.der[self.0.serial.clone()])
    }
    /// The serial number in lower-case hexadecimal.
    pub fn serial_hex(&self) -> String {
        hex::encode(self.serial())
    }
    /// Who issued it.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }
    /// Whose it is.
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.subject
    }
    /// commonName of the subject: for a person the name in romaji.
    pub fn common_name(&self) -> Option<&str> {
        self.subject().common_name()
    }
    /// serialNumber of the subject: the number of the person, not of the certificate.
    pub fn subject_serial_number(&self) -> Option<&str> {
        self.subject().serial_number()
    }
    /// organizationName of the subject.
    pub fn organization(&self) -> Option<&str> {
        self.subject().organization()
    }
    /// The Japanese name of the subject (common name of the directoryName in subjectAltName).
    pub fn name_ja(&self) -> Option<&str> {
        self.directory_alt_name()?.common_name()
    }
    /// The Japanese organisation of the subject.
    pub fn organization_ja(&self) -> Option<&str> {
        self.directory_alt_name()?.organization()
    }
    fn directory_alt_name(&self) -> Option<&DistinguishedName> {
        self.0.known.subject_alt_name.iter().find_map(|name| match name {
            GeneralName::Directory(name) => Some(name),
            _ => None,
        })
    }
    /// All names in subjectAltName.
    pub fn subject_alt_name(&self) -> &[GeneralName] {
        &self.0.known.subject_alt_name
    }
    /// The first moment of validity.
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }
    /// The last moment of validity, included.
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }
    /// keyUsage, if present.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.known.key_usage
    }
    /// extKeyUsage, if present.
    pub fn extended_key_usage(&self) -> Option<&[ObjectIdentifier]> {
        self.0.known.extended_key_usage.as_deref()
    }
    /// basicConstraints, if present.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.0.known.basic_constraints
    }
    /// Whether basicConstraints says that it is a certification authority.
    pub fn is_ca(&self) -> bool {
        self.0.known.basic_constraints.is_some_and(|constraints| constraints.ca)
    }
    /// The qualification in hcRole, if it is one that we know.
    pub fn qualification(&self) -> Option<Qualification> {
        Qualification::from_role(self.role()?)
    }
    /// The role text in hcRole, known or not.
    pub fn role(&self) -> Option<&str> {
        self.0.known.role.as_deref()
    }
    /// The certificate policies asserted.
    pub fn policies(&self) -> &[ObjectIdentifier] {
        &self.0.known.policies
    }
    /// Where its revocation list is.
    pub fn crl_points(&self) -> &[DistributionPoint] {
        &self.0.known.crl_points
    }
    /// The URIs of its revocation list.
    pub fn crl_urls(&self) -> Vec<&str> {
        let names = self.crl_points().iter().flat_map(|point| &point.names);
        names
            .filter_map(|name| match name {
                GeneralName::Uri(uri) => Some(uri.as_str()),
                _ => None,
            })
            .collect()
    }
    /// subjectKeyIdentifier
    pub fn ski(&self) -> Option<&[u8]> {
        self.0.known.subject_key_id.clone().map(|range| &self.0.der[range])
    }
    /// authorityKeyIdentifier
    pub fn aki(&self) -> Option<&AuthorityKeyId> {
        self.0.known.authority_key_id.as_ref()
    }
    /// All extensions in order.
    pub fn extensions(&self) -> &[Extension] {
        &self.0.extensions
    }
    /// The value of this extension.
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let found = self.0.extensions.iter().find(|extension| extension.oid == oid)?;
        Some(&self.0.der[found.value.clone()])
    }
    /// The first critical extension that we do not process, if there is one.
    pub fn unknown_critical(&self) -> Option<ObjectIdentifier> {
        let unknown =
            |extension: &&Extension| extension.critical && !PROCESSED.contains(&extension.oid);
        self.0.extensions.iter().find(unknown).map(|extension| extension.oid)
    }
    /// Whether the moment lies within its validity, ends included.
    pub fn is_valid_at(&self, at: Timestamp) -> bool {
        self.not_before() <= at && at <= self.not_after()
    }
}

/// Extensions whose meaning path validation takes into account (some by refusing them).
const PROCESSED: [ObjectIdentifier; 13] = [
    oid::AUTHORITY_KEY_IDENTIFIER,
    oid::SUBJECT_KEY_IDENTIFIER,
    oid::KEY_USAGE,
    oid::EXTENDED_KEY_USAGE,
    oid::BASIC_CONSTRAINTS,
    oid::CERTIFICATE_POLICIES,
    oid::SUBJECT_ALT_NAME,
    oid::SUBJECT_DIRECTORY_ATTRIBUTES,
    oid::CRL_DISTRIBUTION_POINTS,
    oid::NAME_CONSTRAINTS,
    oid::POLICY_MAPPINGS,
    oid::POLICY_CONSTRAINTS,
    oid::INHIBIT_ANY_POLICY,
];

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, serial {})", self.subject(), self.serial_hex())
    }
}

fn parse(der: &[u8]) -> Result<Parsed, Malformed> {
    let mut outer = asn1::only(der, tag::SEQUENCE)?.inside();
    let tbs = outer.expect(tag::SEQUENCE)?;
    let algorithm = outer.expect(tag::SEQUENCE)?;
    let signature = outer.expect(tag::BIT_STRING)?;
    outer.finish()?;
    if signature.bits()?.1 != 0 {
        return Err(Malformed("signature bits"));
    }

    let mut fields = tbs.inside();
    let mut version =
        fields.optional(tag::context_constructed(0))?.ok_or(Malformed("not version 3"))?.inside();
    if version.expect(tag::INTEGER)?.number()? != 2 {
        return Err(Malformed("not version 3"));
    }
    version.finish()?;
    let serial = fields.expect(tag::INTEGER)?;
    // RFC 5280 §4.1.2.2: at most 20 octets; one more is tolerated for a sign octet.
    if serial.unsigned()?.len() > 20 {
        return Err(Malformed("serial number too long"));
    }
    let inner_algorithm = fields.expect(tag::SEQUENCE)?;
    if inner_algorithm.content != algorithm.content {
        return Err(Malformed("two signature algorithms"));
    }
    let issuer = DistinguishedName::from_der(&der[fields.expect(tag::SEQUENCE)?.range()])?;
    let mut validity = fields.sequence()?;
    let (not_before, not_after) = (validity.read()?.time()?, validity.read()?.time()?);
    validity.finish()?;
    let subject = DistinguishedName::from_der(&der[fields.expect(tag::SEQUENCE)?.range()])?;
    let spki = fields.expect(tag::SEQUENCE)?.range();
    let extensions = match fields.optional(tag::context_constructed(3))? {
        Some(tlv) => read_extensions(tlv.inside())?,
        None => Vec::new(),
    };
    // issuerUniqueID and subjectUniqueID (context 1, 2) must not be used: RFC 5280 §4.1.2.8.
    fields.finish()?;

    let known = understand(der, &extensions)?;
    Ok(Parsed {
        digest: sha256(der),
        tbs: tbs.range(),
        spki,
        signature: signature.content_range().start + 1..signature.content_range().end,
        signature_algorithm: signature_algorithm(algorithm.inside())?,
        serial: serial.content_range(),
        issuer,
        subject,
        not_before,
        not_after,
        extensions,
        known,
        der: der.to_vec(),
    })
}

/// The identifier of an AlgorithmIdentifier whose parameters are absent or NULL.
pub(crate) fn signature_algorithm(mut fields: Reader<'_>) -> Result<ObjectIdentifier, Malformed> {
    let oid = fields.expect(tag::OID)?.oid()?;
    // Algorithms with other parameters (RSASSA-PSS) keep their identifier and are refused by the
    // policy table, not as malformed.
    if !fields.is_empty() {
        fields.read()?;
    }
    fields.finish()?;
    Ok(oid)
}

/// Reads `Extensions`; no extension may occur twice (RFC 5280 §4.2).
pub(crate) fn read_extensions(mut reader: Reader<'_>) -> Result<Vec<Extension>, Malformed> {
    let mut list = reader.sequence()?;
    reader.finish()?;
    let mut extensions: Vec<Extension> = Vec::new();
    while !list.is_empty() {
        let mut fields = list.sequence()?;
        let oid = fields.expect(tag::OID)?.oid()?;
        let critical = match fields.optional(tag::BOOLEAN)? {
            Some(tlv) => tlv.boolean()?,
            None => false,
        };
        let value = fields.expect(tag::OCTET_STRING)?.content_range();
        fields.finish()?;
        if extensions.iter().any(|earlier| earlier.oid == oid) {
            return Err(Malformed("an extension occurs twice"));
        }
        // Bounds the quadratic search for doubles in hostile input.
        if extensions.len() == 64 {
            return Err(Malformed("too many extensions"));
        }
        extensions.push(Extension { oid, critical, value });
    }
    if extensions.is_empty() { Err(Malformed("no extension")) } else { Ok(extensions) }
}

impl Extension {
    /// The place of its value in the octets it was read from.
    pub(crate) fn value_range(&self) -> Range<usize> {
        self.value.clone()
    }
}

fn understand(der: &[u8], extensions: &[Extension]) -> Result<Known, Malformed> {
    let mut known = Known::default();
    for extension in extensions {
        let value = &der[extension.value.clone()];
        match extension.oid {
            oid::KEY_USAGE => known.key_usage = Some(KeyUsage::from_der(value)?),
            oid::BASIC_CONSTRAINTS => known.basic_constraints = Some(basic_constraints(value)?),
            oid::CERTIFICATE_POLICIES => known.policies = policies(value)?,
            oid::EXTENDED_KEY_USAGE => known.extended_key_usage = Some(key_purposes(value)?),
            oid::SUBJECT_ALT_NAME => {
                let names = asn1::only(value, tag::SEQUENCE)?.inside();
                known.subject_alt_name = GeneralName::read_all(names)?;
            }
            oid::CRL_DISTRIBUTION_POINTS => known.crl_points = crl_points(value)?,
            oid::SUBJECT_KEY_IDENTIFIER => {
                let id = asn1::only(value, tag::OCTET_STRING)?;
                let start = extension.value.end - id.content.len();
                known.subject_key_id = Some(start..extension.value.end);
            }
            oid::AUTHORITY_KEY_IDENTIFIER => {
                known.authority_key_id = Some(AuthorityKeyId::from_der(value)?);
            }
            oid::SUBJECT_DIRECTORY_ATTRIBUTES => known.role = hcrole::role(value)?,
            _ => {}
        }
    }
    Ok(known)
}

fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, Malformed> {
    let mut fields = asn1::only(value, tag::SEQUENCE)?.inside();
    let ca = match fields.optional(tag::BOOLEAN)? {
        Some(tlv) => tlv.boolean()?,
        None => false,
    };
    let path_length = match fields.optional(tag::INTEGER)? {
        Some(tlv) => Some(tlv.number()?),
        None => None,
    };
    fields.finish()?;
    Ok(BasicConstraints { ca, path_length })
}

fn policies(value: &[u8]) -> Result<Vec<ObjectIdentifier>, Malformed> {
    let mut list = asn1::only(value, tag::SEQUENCE)?.inside();
    let mut found = Vec::new();
    while !list.is_empty() {
        let mut policy = list.sequence()?;
        let oid = policy.expect(tag::OID)?.oid()?;
        if !policy.is_empty() {
            policy.expect(tag::SEQUENCE)?; // qualifiers: for people, no bearing on validity
        }
        policy.finish()?;
        if found.contains(&oid) || found.len() == 64 {
            return Err(Malformed("a policy occurs twice"));
        }
        found.push(oid);
    }
    if found.is_empty() { Err(Malformed("no policy")) } else { Ok(found) }
}

fn key_purposes(value: &[u8]) -> Result<Vec<ObjectIdentifier>, Malformed> {
    let mut list = asn1::only(value, tag::SEQUENCE)?.inside();
    let mut found = Vec::new();
    while !list.is_empty() {
        found.push(list.expect(tag::OID)?.oid()?);
    }
    if found.is_empty() { Err(Malformed("no key purpose")) } else { Ok(found) }
}

fn crl_points(value: &[u8]) -> Result<Vec<DistributionPoint>, Malformed> {
    let mut list = asn1::only(value, tag::SEQUENCE)?.inside();
    let mut found = Vec::new();
    while !list.is_empty() {
        let mut point = list.sequence()?;
        let names = match point.optional(tag::context_constructed(0))? {
            Some(tlv) => point_names(tlv.inside())?,
            None => Vec::new(),
        };
        let reasons = point.optional(tag::context(1))?;
        let issuer = point.optional(tag::context_constructed(2))?;
        point.finish()?;
        found.push(DistributionPoint { names, limited: reasons.is_some() || issuer.is_some() });
    }
    if found.is_empty() { Err(Malformed("no distribution point")) } else { Ok(found) }
}

/// The full names of a `DistributionPointName`; none if it is relative to the issuer.
pub(crate) fn point_names(mut reader: Reader<'_>) -> Result<Vec<GeneralName>, Malformed> {
    let choice = reader.read()?;
    reader.finish()?;
    match choice.tag {
        0xa0 => GeneralName::read_all(choice.inside()),
        0xa1 => Ok(Vec::new()),
        _ => Err(Malformed("distribution point name")),
    }
}
