//! Distinguished names (X.501), compared by their octets.
//!
//! In HPKI certificates C and serialNumber are PrintableString and everything else is UTF8String,
//! each attribute in an RDN of its own. Names are equal only if their DER is equal: stricter than
//! RFC 5280 §7.1, and a name that an authority writes in two ways is not worth guessing about.

use std::fmt;
use std::sync::Arc;

use const_oid::ObjectIdentifier;

use crate::asn1::{self, Malformed, Reader, tag};
use crate::oid;
use crate::refusal::Refusal;

/// One attribute of a name: its type and its text (`None` if it is not a text that we read).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Attribute {
    kind: ObjectIdentifier,
    text: Option<String>,
}

/// A distinguished name: its DER and its attributes in order. Cheap to clone.
#[derive(Clone)]
pub struct DistinguishedName {
    der: Arc<[u8]>,
    attributes: Arc<[Attribute]>,
}

impl DistinguishedName {
    /// Begins a name.
    pub fn builder() -> Builder {
        Builder { attributes: Vec::new() }
    }

    /// Reads a `Name` (RFC 5280 §4.1.2.4).
    pub fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        let mut rdns = asn1::only(der, tag::SEQUENCE)?.inside();
        let mut attributes = Vec::new();
        while !rdns.is_empty() {
            let mut rdn = rdns.expect(tag::SET)?.inside();
            if rdn.is_empty() {
                return Err(Malformed("empty relative name"));
            }
            while !rdn.is_empty() {
                let mut pair = rdn.sequence()?;
                let kind = pair.expect(tag::OID)?.oid()?;
                let value = pair.read()?;
                pair.finish()?;
                attributes.push(Attribute { kind, text: value.text().ok().map(str::to_owned) });
            }
        }
        Ok(Self { der: der.into(), attributes: attributes.into() })
    }

    /// The DER of the `Name`.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether it has no attribute.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// The text of the first attribute of this type.
    pub fn get(&self, kind: ObjectIdentifier) -> Option<&str> {
        self.all(kind).next()
    }

    /// The texts of all attributes of this type, in order.
    pub fn all(&self, kind: ObjectIdentifier) -> impl Iterator<Item = &str> {
        self.attributes
            .iter()
            .filter(move |attribute| attribute.kind == kind)
            .filter_map(|attribute| attribute.text.as_deref())
    }

    /// The text form of RFC 4514: the last attribute first, without spaces between.
    pub fn rfc4514(&self) -> String {
        let mut text = String::new();
        for attribute in self.attributes.iter().rev() {
            if !text.is_empty() {
                text.push(',');
            }
            // Writing to a string does not fail.
            let _ = attribute.write(&mut text);
        }
        text
    }

    /// commonName
    pub fn common_name(&self) -> Option<&str> {
        self.get(oid::COMMON_NAME)
    }

    /// organizationName
    pub fn organization(&self) -> Option<&str> {
        self.get(oid::ORGANIZATION)
    }

    /// serialNumber of the subject
    pub fn serial_number(&self) -> Option<&str> {
        self.get(oid::SERIAL_NUMBER)
    }
}

impl PartialEq for DistinguishedName {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for DistinguishedName {}

impl std::hash::Hash for DistinguishedName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.der.hash(state);
    }
}

/// `C=JP, O=MEDIS, CN=…`, in the order of the certificate, with RFC 4514 escapes.
impl fmt::Display for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, attribute) in self.attributes.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            attribute.write(f)?;
        }
        Ok(())
    }
}

impl Attribute {
    fn write(&self, f: &mut impl fmt::Write) -> fmt::Result {
        match label(&self.kind) {
            Some(label) => f.write_str(label)?,
            None => write!(f, "{}", self.kind)?,
        }
        f.write_str("=")?;
        for character in self.text.as_deref().unwrap_or("?").chars() {
            match character {
                ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => write!(f, "\\{character}")?,
                hidden if hidden.is_control() => {
                    let mut buffer = [0; 4];
                    for octet in hidden.encode_utf8(&mut buffer).bytes() {
                        write!(f, "\\{octet:02X}")?;
                    }
                }
                plain => write!(f, "{plain}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DistinguishedName({self})")
    }
}

fn label(kind: &ObjectIdentifier) -> Option<&'static str> {
    [
        (oid::COUNTRY, "C"),
        (oid::ORGANIZATION, "O"),
        (oid::ORGANIZATIONAL_UNIT, "OU"),
        (oid::COMMON_NAME, "CN"),
        (oid::SERIAL_NUMBER, "serialNumber"),
    ]
    .into_iter()
    .find_map(|(oid, label)| (oid == *kind).then_some(label))
}

/// A name under construction: attributes in the order they are added.
#[derive(Debug, Clone)]
pub struct Builder {
    attributes: Vec<(ObjectIdentifier, u8, usize, String)>,
}

impl Builder {
    fn add(mut self, kind: ObjectIdentifier, tag: u8, most: usize, text: &str) -> Self {
        self.attributes.push((kind, tag, most, text.to_owned()));
        self
    }
    /// countryName, two letters
    pub fn country(self, text: &str) -> Self {
        self.add(oid::COUNTRY, tag::PRINTABLE_STRING, 2, text)
    }
    /// organizationName, at most 64 characters (RFC 5280 appendix A.1)
    pub fn organization(self, text: &str) -> Self {
        self.add(oid::ORGANIZATION, tag::UTF8_STRING, 64, text)
    }
    /// organizationalUnitName, at most 64 characters
    pub fn unit(self, text: &str) -> Self {
        self.add(oid::ORGANIZATIONAL_UNIT, tag::UTF8_STRING, 64, text)
    }
    /// commonName, at most 64 characters
    pub fn common_name(self, text: &str) -> Self {
        self.add(oid::COMMON_NAME, tag::UTF8_STRING, 64, text)
    }
    /// serialNumber, at most 64 characters
    pub fn serial_number(self, text: &str) -> Self {
        self.add(oid::SERIAL_NUMBER, tag::PRINTABLE_STRING, 64, text)
    }

    /// The finished name. Refuses empty, overlong and unprintable attributes.
    pub fn build(self) -> Result<DistinguishedName, Refusal> {
        let mut rdns = Vec::new();
        for (kind, tag, most, text) in &self.attributes {
            if text.is_empty() || text.trim() != text {
                return Err(Refusal::NameMalformed("an attribute is empty or padded"));
            }
            if text.chars().count() > *most {
                return Err(Refusal::NameMalformed("an attribute is too long"));
            }
            if text.chars().any(char::is_control) {
                return Err(Refusal::NameMalformed("an attribute has a control character"));
            }
            let printable = text.bytes().all(asn1::is_printable);
            if *tag == tag::PRINTABLE_STRING && !printable {
                return Err(Refusal::NameMalformed("C and serialNumber take plain letters only"));
            }
            let pair = asn1::sequence(&[&asn1::oid(kind), &asn1::tlv(*tag, text.as_bytes())]);
            rdns.extend(asn1::tlv(tag::SET, &pair));
        }
        DistinguishedName::from_der(&asn1::tlv(tag::SEQUENCE, &rdns))
            .map_err(|_| Refusal::NameMalformed("not a name"))
    }
}

/// A `GeneralName` (RFC 5280 §4.2.1.6), as far as we read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GeneralName {
    /// dNSName
    Dns(String),
    /// directoryName
    Directory(DistinguishedName),
    /// uniformResourceIdentifier
    Uri(String),
    /// iPAddress: 4 or 16 octets
    Ip(Vec<u8>),
    /// Any other form, by its tag octet and content.
    Other(u8, Vec<u8>),
}

impl GeneralName {
    /// Its DER.
    pub fn der(&self) -> Vec<u8> {
        match self {
            Self::Dns(name) => asn1::tlv(tag::context(2), name.as_bytes()),
            Self::Directory(name) => asn1::tlv(tag::context_constructed(4), name.der()),
            Self::Uri(uri) => asn1::tlv(tag::context(6), uri.as_bytes()),
            Self::Ip(octets) => asn1::tlv(tag::context(7), octets),
            Self::Other(tag, content) => asn1::tlv(*tag, content),
        }
    }

    /// Reads all names to the end of the input (the content of `GeneralNames`).
    pub fn read_all(mut reader: Reader<'_>) -> Result<Vec<Self>, Malformed> {
        let mut names = Vec::new();
        while !reader.is_empty() {
            let tlv = reader.read()?;
            let ascii = || {
                std::str::from_utf8(tlv.content)
                    .ok()
                    .filter(|text| text.is_ascii())
                    .map(str::to_owned)
                    .ok_or(Malformed("general name"))
            };
            names.push(match tlv.tag {
                0x82 => Self::Dns(ascii()?),
                0xa4 => Self::Directory(DistinguishedName::from_der(tlv.content)?),
                0x86 => Self::Uri(ascii()?),
                0x87 => Self::Ip(tlv.content.to_vec()),
                other => Self::Other(other, tlv.content.to_vec()),
            });
        }
        if names.is_empty() { Err(Malformed("no general name")) } else { Ok(names) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn country_is_printable_and_the_rest_is_utf8() {
        let name = DistinguishedName::builder()
            .country("JP")
            .organization("医療情報大学病院")
            .serial_number("Test117120")
            .build()
            .unwrap();
        assert!(hex::encode(name.der()).starts_with("3045310b3009060355040613024a50"));
        assert_eq!(name.to_string(), "C=JP, O=医療情報大学病院, serialNumber=Test117120");
        assert_eq!(name.rfc4514(), "serialNumber=Test117120,O=医療情報大学病院,C=JP");
        assert_eq!(DistinguishedName::from_der(name.der()).unwrap(), name);
    }

    #[test]
    fn a_serial_number_outside_printable_string_is_refused() {
        let built = DistinguishedName::builder().serial_number("１２３").build();
        assert!(matches!(built, Err(Refusal::NameMalformed(_))));
    }

    #[test]
    fn text_for_people_cannot_forge_another_attribute() {
        let name = DistinguishedName::builder().common_name("A, O=B").build().unwrap();
        assert_eq!(name.to_string(), "CN=A\\, O\\=B");
        assert_eq!(name.rfc4514(), "CN=A\\, O\\=B");
    }
}
