//! A revocation list, parsed once (RFC 5280 §5).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use const_oid::ObjectIdentifier;

use crate::asn1::{self, Malformed, tag};
use crate::certificate::{
    AuthorityKeyId, Certificate, Extension, point_names, read_extensions, signature_algorithm,
};
use crate::encoding::{Digest32, sha256};
use crate::name::{DistinguishedName, GeneralName};
use crate::oid;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Why a certificate was revoked (RFC 5280 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are those of the standard
pub enum Reason {
    Unspecified,
    KeyCompromise,
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    CertificateHold,
    RemoveFromCrl,
    PrivilegeWithdrawn,
    AaCompromise,
}

impl Reason {
    const ALL: [(Self, u8, &'static str); 10] = [
        (Self::Unspecified, 0, "unspecified"),
        (Self::KeyCompromise, 1, "keyCompromise"),
        (Self::CaCompromise, 2, "cACompromise"),
        (Self::AffiliationChanged, 3, "affiliationChanged"),
        (Self::Superseded, 4, "superseded"),
        (Self::CessationOfOperation, 5, "cessationOfOperation"),
        (Self::CertificateHold, 6, "certificateHold"),
        (Self::RemoveFromCrl, 8, "removeFromCRL"),
        (Self::PrivilegeWithdrawn, 9, "privilegeWithdrawn"),
        (Self::AaCompromise, 10, "aACompromise"),
    ];

    /// The number in the standard.
    pub fn number(self) -> u8 {
        Self::ALL.iter().find(|row| row.0 == self).map_or(0, |row| row.1)
    }
    /// The reason with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == number).map(|row| row.0)
    }
    /// The name in the standard.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }
    /// The reason with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.2 == name).map(|row| row.0)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a list says about one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// The revocation date.
    pub at: Timestamp,
    /// The reason; `Unspecified` if none is given.
    pub reason: Reason,
}

/// issuingDistributionPoint (RFC 5280 §5.2.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IssuingDistributionPoint {
    /// The full names of the list; empty if it has none.
    pub names: Vec<GeneralName>,
    /// Whether it has a distribution point at all.
    pub has_point: bool,
    /// Only end-entity certificates are covered.
    pub only_user_certificates: bool,
    /// Only certificates of authorities are covered.
    pub only_ca_certificates: bool,
    /// Only attribute certificates are covered.
    pub only_attribute_certificates: bool,
    /// Only some reasons are covered, which we do not process.
    pub only_some_reasons: bool,
    /// Other issuers' certificates are covered too, which we do not process.
    pub indirect: bool,
}

/// A revocation list. Cheap to clone.
#[derive(Clone)]
pub struct Crl(Arc<Parsed>);

struct Parsed {
    der: Vec<u8>,
    digest: Digest32,
    tbs: Range<usize>,
    signature: Range<usize>,
    signature_algorithm: ObjectIdentifier,
    issuer: DistinguishedName,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
    entries: Vec<Entry>,
    extensions: Vec<Extension>,
    number: Option<Vec<u8>>,
    authority_key_id: Option<AuthorityKeyId>,
    idp: Option<IssuingDistributionPoint>,
    /// A critical extension of the list or of an entry that we do not process.
    unknown_critical: Option<ObjectIdentifier>,
}

/// Sorted by serial number; a list of 60,000 entries must not cost 60,000 allocations.
struct Entry {
    serial: Range<u32>,
    revoked: Revoked,
}

impl Crl {
    /// Reads a list in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, Refusal> {
        parse(der)
            .map(|parsed| Self(Arc::new(parsed)))
            .map_err(|wrong| Refusal::CrlMalformed(wrong.0))
    }

    /// Reads PEM or DER, whichever it is.
    pub fn from_pem_or_der(octets: &[u8]) -> Result<Self, Refusal> {
        if octets.first() == Some(&tag::SEQUENCE) {
            return Self::from_der(octets);
        }
        let der = crate::pem::decode("X509 CRL", octets).ok_or(Refusal::CrlMalformed("PEM"))?;
        Self::from_der(&der)
    }

    /// The octets it was read from.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }
    /// PEM text.
    pub fn pem(&self) -> String {
        crate::pem::encode("X509 CRL", self.der())
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
    /// Who issued it.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.0.issuer
    }
    /// When it was issued.
    pub fn this_update(&self) -> Timestamp {
        self.0.this_update
    }
    /// The latest moment at which the next one appears.
    pub fn next_update(&self) -> Option<Timestamp> {
        self.0.next_update
    }
    /// cRLNumber, big endian without sign octet.
    pub fn number_octets(&self) -> Option<&[u8]> {
        self.0.number.as_deref()
    }
    /// cRLNumber, if it fits 64 bits.
    pub fn number(&self) -> Option<u64> {
        let octets = self.0.number.as_deref().filter(|octets| octets.len() <= 8)?;
        Some(octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
    }
    /// authorityKeyIdentifier
    pub fn aki(&self) -> Option<&AuthorityKeyId> {
        self.0.authority_key_id.as_ref()
    }
    /// issuingDistributionPoint
    pub fn idp(&self) -> Option<&IssuingDistributionPoint> {
        self.0.idp.as_ref()
    }
    /// All extensions of the list in order.
    pub fn extensions(&self) -> &[Extension] {
        &self.0.extensions
    }
    /// A critical extension (of the list or an entry) that we do not process.
    pub fn unknown_critical(&self) -> Option<ObjectIdentifier> {
        self.0.unknown_critical
    }
    /// How many certificates it lists.
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }
    /// Whether it lists none.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// What it says about the certificate with this serial number (big endian, no sign octet).
    pub fn contains(&self, serial: &[u8]) -> Option<Revoked> {
        let found =
            self.0.entries.binary_search_by(|entry| order(self.serial(entry)).cmp(&order(serial)));
        found.ok().map(|position| self.0.entries[position].revoked)
    }

    /// Every entry: serial number and what is said, by rising serial number.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], Revoked)> {
        self.0.entries.iter().map(|entry| (self.serial(entry), entry.revoked))
    }

    fn serial(&self, entry: &Entry) -> &[u8] {
        &self.0.der[entry.serial.start as usize..entry.serial.end as usize]
    }

    /// Whether this certificate is among those that the list is about: same issuer, and the issuing
    /// distribution point covers it (RFC 5280 §6.3.3 b).
    pub fn covers(&self, certificate: &Certificate) -> bool {
        if self.issuer() != certificate.issuer() {
            return false;
        }
        let Some(idp) = self.idp() else { return true };
        let excluded_kind =
            if certificate.is_ca() { idp.only_user_certificates } else { idp.only_ca_certificates };
        let kind_fits = !excluded_kind && !idp.only_attribute_certificates;
        let point_fits = !idp.has_point
            || certificate
                .crl_points()
                .iter()
                .filter(|point| !point.limited)
                .any(|point| point.names.iter().any(|name| idp.names.contains(name)));
        kind_fits && point_fits && !idp.only_some_reasons && !idp.indirect
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Crl({}, {} entries, {})",
            self.issuer(),
            self.len(),
            self.this_update().rfc3339()
        )
    }
}

/// Numbers in shortest form compare by length first.
fn order(serial: &[u8]) -> (usize, &[u8]) {
    (serial.len(), serial)
}

fn parse(der: &[u8]) -> Result<Parsed, Malformed> {
    if u32::try_from(der.len()).is_err() {
        return Err(Malformed("too large"));
    }
    let mut outer = asn1::only(der, tag::SEQUENCE)?.inside();
    let tbs = outer.expect(tag::SEQUENCE)?;
    let algorithm = outer.expect(tag::SEQUENCE)?;
    let signature = outer.expect(tag::BIT_STRING)?;
    outer.finish()?;
    if signature.bits()?.1 != 0 {
        return Err(Malformed("signature bits"));
    }
    let mut fields = tbs.inside();
    if fields.expect(tag::INTEGER)?.number()? != 1 {
        return Err(Malformed("not version 2"));
    }
    if fields.expect(tag::SEQUENCE)?.content != algorithm.content {
        return Err(Malformed("two signature algorithms"));
    }
    let issuer = DistinguishedName::from_der(&der[fields.expect(tag::SEQUENCE)?.range()])?;
    let this_update = fields.read()?.time()?;
    let next_update = match fields.peek() {
        Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => Some(fields.read()?.time()?),
        _ => None,
    };
    let mut unknown_critical = None;
    let mut entries = Vec::new();
    if let Some(list) = fields.optional(tag::SEQUENCE)? {
        let mut list = list.inside();
        if list.is_empty() {
            return Err(Malformed("empty list of revoked certificates"));
        }
        while !list.is_empty() {
            let mut entry = list.sequence()?;
            let serial = entry.expect(tag::INTEGER)?;
            let stripped = serial.content.len() - serial.unsigned()?.len();
            let serial = serial.content_range();
            let at = entry.read()?.time()?;
            let mut reason = Reason::Unspecified;
            if !entry.is_empty() {
                for extension in read_extensions(entry)? {
                    if extension.oid == oid::CRL_REASON {
                        reason = read_reason(&der[extension.value_range()])?;
                    } else if extension.critical {
                        unknown_critical = Some(extension.oid);
                    }
                }
            }
            entries.push(Entry {
                serial: (serial.start + stripped) as u32..serial.end as u32,
                revoked: Revoked { at, reason },
            });
        }
    }
    let slice = |entry: &Entry| &der[entry.serial.start as usize..entry.serial.end as usize];
    entries.sort_by(|one, two| order(slice(one)).cmp(&order(slice(two))));

    let extensions = match fields.optional(tag::context_constructed(0))? {
        Some(tlv) => read_extensions(tlv.inside())?,
        None => Vec::new(),
    };
    fields.finish()?;
    let (mut number, mut authority_key_id, mut idp) = (None, None, None);
    for extension in &extensions {
        let value = &der[extension.value_range()];
        match extension.oid {
            oid::CRL_NUMBER => {
                number = Some(asn1::only(value, tag::INTEGER)?.unsigned()?.to_vec());
            }
            oid::AUTHORITY_KEY_IDENTIFIER => {
                authority_key_id = Some(AuthorityKeyId::from_der(value)?);
            }
            oid::ISSUING_DISTRIBUTION_POINT => idp = Some(read_idp(value)?),
            other if extension.critical => unknown_critical = Some(other),
            _ => {}
        }
    }
    Ok(Parsed {
        digest: sha256(der),
        tbs: tbs.range(),
        signature: signature.content_range().start + 1..signature.content_range().end,
        signature_algorithm: signature_algorithm(algorithm.inside())?,
        issuer,
        this_update,
        next_update,
        entries,
        extensions,
        number,
        authority_key_id,
        idp,
        unknown_critical,
        der: der.to_vec(),
    })
}

fn read_reason(value: &[u8]) -> Result<Reason, Malformed> {
    match asn1::only(value, tag::ENUMERATED)?.content {
        [number] => Reason::from_number(*number).ok_or(Malformed("revocation reason")),
        _ => Err(Malformed("revocation reason")),
    }
}

fn read_idp(value: &[u8]) -> Result<IssuingDistributionPoint, Malformed> {
    let mut fields = asn1::only(value, tag::SEQUENCE)?.inside();
    let mut idp = IssuingDistributionPoint::default();
    if let Some(tlv) = fields.optional(tag::context_constructed(0))? {
        idp.has_point = true;
        idp.names = point_names(tlv.inside())?;
    }
    let flag = |content: &[u8]| match content {
        [0x00] => Ok(false),
        [0xff] => Ok(true),
        _ => Err(Malformed("boolean")),
    };
    if let Some(tlv) = fields.optional(tag::context(1))? {
        idp.only_user_certificates = flag(tlv.content)?;
    }
    if let Some(tlv) = fields.optional(tag::context(2))? {
        idp.only_ca_certificates = flag(tlv.content)?;
    }
    idp.only_some_reasons = fields.optional(tag::context(3))?.is_some();
    if let Some(tlv) = fields.optional(tag::context(4))? {
        idp.indirect = flag(tlv.content)?;
    }
    if let Some(tlv) = fields.optional(tag::context(5))? {
        idp.only_attribute_certificates = flag(tlv.content)?;
    }
    fields.finish()?;
    Ok(idp)
}
