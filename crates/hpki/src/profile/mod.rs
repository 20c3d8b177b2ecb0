//! The certificates and lists that the house makes, one file per profile.
//!
//! Each profile is a plain description that becomes a [`ToBeSigned`]: the octets that a CA key will
//! sign, and the certificate or list once the signature is there. Nothing here signs. Fields,
//! criticality and order follow real HPKI certificates and lists.

pub mod authentication;
pub mod crl;
pub mod facility_tls;
pub mod root;
pub mod signing_jma;
pub mod signing_medis;
pub mod sub_ca;
pub mod tls_server;

use const_oid::ObjectIdentifier;

use crate::asn1::{self, Malformed, tag};
use crate::certificate::{Certificate, KeyUsage};
use crate::name::{DistinguishedName, GeneralName};
use crate::oid;
use crate::policy;
use crate::refusal::Refusal;
use crate::sign::SignatureAlgorithm;
use crate::time::Timestamp;

/// Which profile something was prepared for; [`crate::lint`] knows the rules of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Self-signed root.
    Root,
    /// Subordinate authority, for signing or for authentication.
    SubCa,
    /// Signing certificate in the MEDIS layout.
    SigningMedis,
    /// Signing certificate in the JMA layout.
    SigningJma,
    /// Authentication certificate of a card in the MEDIS layout.
    AuthenticationMedis,
    /// Authentication certificate of a card in the JMA layout.
    AuthenticationJma,
    /// Self-signed authority for TLS.
    TlsCa,
    /// TLS client certificate of a facility's gateway.
    FacilityTls,
    /// TLS server certificate of the platform.
    TlsServer,
    /// A list that covers everything its authority issued.
    Crl,
    /// A root's list that covers authorities only (RARL, SARL).
    AuthorityCrl,
}

impl Profile {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Root, "root"),
        (Self::SubCa, "sub-ca"),
        (Self::SigningMedis, "signing-medis"),
        (Self::SigningJma, "signing-jma"),
        (Self::AuthenticationMedis, "authentication-medis"),
        (Self::AuthenticationJma, "authentication-jma"),
        (Self::TlsCa, "tls-ca"),
        (Self::FacilityTls, "facility-tls"),
        (Self::TlsServer, "tls-server"),
        (Self::Crl, "crl"),
        (Self::AuthorityCrl, "authority-crl"),
    ];

    /// The stable name in tables and journals.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }
    /// The profile with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == name).map(|row| row.0)
    }
    /// Whether it makes a revocation list rather than a certificate.
    pub fn is_list(self) -> bool {
        matches!(self, Self::Crl | Self::AuthorityCrl)
    }
}

/// What a CA key is about to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToBeSigned {
    profile: Profile,
    algorithm: SignatureAlgorithm,
    der: Vec<u8>,
}

impl ToBeSigned {
    /// Takes up again what was stored before signing was interrupted. [`crate::lint::prepared`]
    /// judges it like anything newly prepared.
    pub fn restore(profile: Profile, algorithm: SignatureAlgorithm, der: Vec<u8>) -> Self {
        Self { profile, algorithm, der }
    }
    /// The profile it was prepared for.
    pub fn profile(&self) -> Profile {
        self.profile
    }
    /// The algorithm that it says it is signed with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
    /// The octets that are signed.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// The certificate or list with this signature value.
    pub fn assemble(&self, signature: &[u8]) -> Vec<u8> {
        asn1::sequence(&[
            &self.der,
            &policy::algorithm_identifier(self.algorithm),
            &asn1::bit_string(signature),
        ])
    }
}

/// The authority that will sign: what a certificate says about its issuer.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Its name.
    pub name: DistinguishedName,
    /// Its subjectKeyIdentifier.
    pub key_id: Vec<u8>,
    /// The issuer of its certificate.
    pub certificate_issuer: DistinguishedName,
    /// The serial number of its certificate, without sign octet.
    pub certificate_serial: Vec<u8>,
    /// How it signs.
    pub algorithm: SignatureAlgorithm,
}

impl Issuer {
    /// What there is to say about the authority with this certificate, which signs with its key's
    /// usual algorithm (SHA-256).
    pub fn of(certificate: &Certificate) -> Result<Self, Refusal> {
        let algorithm = match policy::KeyKind::of(certificate.spki_der()) {
            Ok(policy::KeyKind::Rsa(_)) => SignatureAlgorithm::RsaSha256,
            Ok(policy::KeyKind::P256) => SignatureAlgorithm::EcdsaP256Sha256,
            _ => return Err(Refusal::AlgorithmNotAllowed("key of the authority".into())),
        };
        Ok(Self {
            name: certificate.subject().clone(),
            key_id: certificate
                .ski()
                .ok_or(Refusal::NotAsProfiled("the authority has no key identifier"))?
                .to_vec(),
            certificate_issuer: certificate.issuer().clone(),
            certificate_serial: certificate.serial().to_vec(),
            algorithm,
        })
    }

    /// authorityKeyIdentifier with all three parts: key, issuer and serial number.
    fn authority_key_identifier(&self) -> Vec<u8> {
        let name = GeneralName::Directory(self.certificate_issuer.clone()).der();
        let serial = asn1::integer(&self.certificate_serial);
        let serial = Vec::from(&serial[2..]);
        asn1::sequence(&[
            &asn1::tlv(tag::context(0), &self.key_id),
            &asn1::tlv(tag::context_constructed(1), &name),
            &asn1::tlv(tag::context(2), &serial),
        ])
    }
}

/// From when until when, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: Timestamp,
    /// The last second.
    pub not_after: Timestamp,
}

impl Validity {
    /// A subscriber's validity: from Japanese midnight of the day, through the end of the
    /// anniversary day `years` later (five for MEDIS and JMA).
    pub fn years_from_day(day: Timestamp, years: i32) -> Self {
        let not_before = day.jst_midnight();
        Self { not_before, not_after: not_before.plus_years_jst(years).plus(86_400 - 1) }
    }

    /// An authority's validity: from this second until the end of the Japanese day before the
    /// anniversary.
    pub fn authority(not_before: Timestamp, years: i32) -> Self {
        Self { not_before, not_after: not_before.plus_years_jst(years).jst_midnight().minus(1) }
    }

    fn check(self) -> Result<Self, Refusal> {
        if self.not_before < self.not_after {
            Ok(self)
        } else {
            Err(Refusal::NotAsProfiled("the validity ends before it begins"))
        }
    }
}

/// A certificate policy and its practice statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyStatement {
    /// The policy; its arm is configuration.
    pub oid: ObjectIdentifier,
    /// Where the practice statement is.
    pub cps: String,
}

impl PolicyStatement {
    fn der(&self) -> Result<Vec<u8>, Refusal> {
        let uri = asn1::tlv(tag::IA5_STRING, ia5(&self.cps)?.as_bytes());
        let qualifier = asn1::sequence(&[&asn1::oid(&oid::QUALIFIER_CPS), &uri]);
        let qualifiers = asn1::sequence(&[&qualifier]);
        let policy = asn1::sequence(&[&asn1::oid(&self.oid), &qualifiers]);
        Ok(asn1::sequence(&[&policy]))
    }
}

/// The identifier of a public key: SHA-1 of its BIT STRING (RFC 5280 §4.2.1.2, method 1; a name,
/// not a security measure).
pub fn key_identifier(spki_der: &[u8]) -> Result<[u8; 20], Malformed> {
    let mut spki = asn1::only(spki_der, tag::SEQUENCE)?.inside();
    spki.expect(tag::SEQUENCE)?;
    let (key, _) = spki.expect(tag::BIT_STRING)?.bits()?;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, key);
    let mut out = [0; 20];
    out.copy_from_slice(hash.as_ref());
    Ok(out)
}

fn ia5(text: &str) -> Result<&str, Refusal> {
    if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(Refusal::NameMalformed("an address must be plain ASCII"))
    }
}

/// One DistributionPoint with full names.
fn distribution_point(names: &[GeneralName]) -> Result<Vec<u8>, Refusal> {
    Ok(asn1::sequence(&[&point_name(names)?]))
}

/// `[0] EXPLICIT DistributionPointName { fullName [0] GeneralNames }`.
fn point_name(names: &[GeneralName]) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    for name in names {
        if let GeneralName::Uri(uri) = name {
            ia5(uri)?;
        }
        content.extend(name.der());
    }
    let full = asn1::tlv(tag::context_constructed(0), &content);
    Ok(asn1::tlv(tag::context_constructed(0), &full))
}

/// The two points of the national root's lists: by directory name and by address.
fn authority_points(directory: &DistinguishedName, url: &str) -> Result<Vec<u8>, Refusal> {
    let by_name = distribution_point(&[GeneralName::Directory(directory.clone())])?;
    let by_address = distribution_point(&[GeneralName::Uri(url.to_owned())])?;
    Ok(asn1::sequence(&[&by_name, &by_address]))
}

fn url_point(url: &str) -> Result<Vec<u8>, Refusal> {
    Ok(asn1::sequence(&[&distribution_point(&[GeneralName::Uri(url.to_owned())])?]))
}

/// What a person's certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PersonalUse {
    /// Signing documents.
    Signing,
    /// Answering challenges.
    Authentication { client_auth: bool },
}

const AUTHORITY_KEY_USAGE: KeyUsage = KeyUsage::KEY_CERT_SIGN.and(KeyUsage::CRL_SIGN);

fn basic_constraints_ca() -> Vec<u8> {
    asn1::sequence(&[&asn1::tlv(tag::BOOLEAN, &[0xff])])
}

/// Extensions in the order they are added.
#[derive(Default)]
struct Extensions(Vec<u8>);

impl Extensions {
    fn add(&mut self, oid: ObjectIdentifier, critical: bool, value: &[u8]) -> &mut Self {
        let critical = if critical { asn1::tlv(tag::BOOLEAN, &[0xff]) } else { Vec::new() };
        let value = asn1::tlv(tag::OCTET_STRING, value);
        self.0.extend(asn1::sequence(&[&asn1::oid(&oid), &critical, &value]));
        self
    }
    fn critical(&mut self, oid: ObjectIdentifier, value: &[u8]) -> &mut Self {
        self.add(oid, true, value)
    }
    fn plain(&mut self, oid: ObjectIdentifier, value: &[u8]) -> &mut Self {
        self.add(oid, false, value)
    }
    /// keyUsage, and extKeyUsage where one was asked for.
    fn personal_use(&mut self, personal_use: PersonalUse) -> &mut Self {
        match personal_use {
            PersonalUse::Signing => self.critical(oid::KEY_USAGE, &KeyUsage::NON_REPUDIATION.der()),
            PersonalUse::Authentication { client_auth } => {
                self.critical(oid::KEY_USAGE, &KeyUsage::DIGITAL_SIGNATURE.der());
                if client_auth {
                    let purposes = asn1::sequence(&[&asn1::oid(&oid::CLIENT_AUTH)]);
                    self.plain(oid::EXTENDED_KEY_USAGE, &purposes);
                }
                self
            }
        }
    }
    /// `tag EXPLICIT Extensions`.
    fn der(&self, tag: u8) -> Vec<u8> {
        asn1::tlv(tag, &asn1::tlv(tag::SEQUENCE, &self.0))
    }
}

/// The fields that every certificate has.
struct Fields<'a> {
    profile: Profile,
    serial: &'a [u8],
    algorithm: SignatureAlgorithm,
    issuer: &'a DistinguishedName,
    validity: Validity,
    subject: &'a DistinguishedName,
    spki_der: &'a [u8],
    extensions: &'a Extensions,
}

impl Fields<'_> {
    fn prepare(&self) -> Result<ToBeSigned, Refusal> {
        let validity = self.validity.check()?;
        // Today's minimum also holds for what will only begin later.
        policy::check_key(self.spki_der, validity.not_before)?;
        let zeros = self.serial.iter().take_while(|octet| **octet == 0).count();
        let significant = &self.serial[zeros..];
        let too_long =
            significant.len() > 20 || (significant.len() == 20 && significant[0] & 0x80 != 0);
        if significant.is_empty() || too_long {
            return Err(Refusal::NotAsProfiled("the serial number must be 1 to 20 octets"));
        }
        let version = asn1::tlv(tag::context_constructed(0), &asn1::number(2));
        let times = asn1::sequence(&[
            &asn1::moment(validity.not_before),
            &asn1::moment(validity.not_after),
        ]);
        let der = asn1::sequence(&[
            &version,
            &asn1::integer(significant),
            &policy::algorithm_identifier(self.algorithm),
            self.issuer.der(),
            &times,
            self.subject.der(),
            self.spki_der,
            &self.extensions.der(tag::context_constructed(3)),
        ]);
        Ok(ToBeSigned { profile: self.profile, algorithm: self.algorithm, der })
    }
}

fn subject_key_identifier(spki_der: &[u8]) -> Result<Vec<u8>, Refusal> {
    let id = key_identifier(spki_der)
        .map_err(|_| Refusal::AlgorithmNotAllowed("unreadable public key".into()))?;
    Ok(asn1::tlv(tag::OCTET_STRING, &id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_valid_from_midnight_through_the_anniversary_day() {
        // The published MEDIS test certificate: 2022-02-06T15:00:00Z – 2027-02-07T14:59:59Z.
        let issued = Timestamp::parse("2022-02-07T11:22:33+09:00").unwrap();
        let validity = Validity::years_from_day(issued, 5);
        assert_eq!(validity.not_before.rfc3339(), "2022-02-06T15:00:00Z");
        assert_eq!(validity.not_after.rfc3339(), "2027-02-07T14:59:59Z");
    }

    #[test]
    fn an_authority_ends_with_a_japanese_day() {
        // The national root: 2014-01-17T06:08:08Z – 2044-01-16T14:59:59Z.
        let made = Timestamp::parse("2014-01-17T06:08:08Z").unwrap();
        let validity = Validity::authority(made, 30);
        assert_eq!(validity.not_after.rfc3339(), "2044-01-16T14:59:59Z");
    }

    #[test]
    fn profile_names_read_back() {
        for (profile, name) in Profile::ALL {
            assert_eq!(Profile::from_name(name), Some(profile));
        }
    }
}
