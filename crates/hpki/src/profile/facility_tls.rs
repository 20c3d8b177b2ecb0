//! The TLS client certificate of a facility's gateway: P-256, clientAuth, thirteen months, and the
//! facility and gateway in a URI.

use super::{
    Extensions, Fields, Issuer, Profile, ToBeSigned, Validity, subject_key_identifier, url_point,
};
use crate::asn1;
use crate::certificate::{Certificate, KeyUsage};
use crate::id::FacilityCode;
use crate::name::{DistinguishedName, GeneralName};
use crate::oid;
use crate::policy::KeyKind;
use crate::refusal::Refusal;
use crate::time::Timestamp;

const URN: &str = "urn:azukari:facility:";
/// Thirteen months, counted as 31 days each.
const LIFETIME_DAYS: u64 = 13 * 31;

/// A gateway's certificate to be.
#[derive(Debug, Clone)]
pub struct FacilityTls<'a> {
    /// Certificate serial number, big endian.
    pub serial: &'a [u8],
    /// The TLS authority.
    pub issuer: &'a Issuer,
    /// The facility.
    pub code: &'a FacilityCode,
    /// The facility's name as registered.
    pub name: &'a str,
    /// The gateway's identifier within the facility: lower-case letters, digits and hyphens.
    pub gateway: &'a str,
    /// From when until when; see [`lifetime`].
    pub validity: Validity,
    /// The gateway's public key, P-256.
    pub spki_der: &'a [u8],
    /// The address of the authority's list.
    pub crl_url: &'a str,
}

/// Thirteen months from now. A minute is given to clocks that are late.
pub fn lifetime(now: Timestamp) -> Validity {
    Validity { not_before: now.minus(60), not_after: now.plus(LIFETIME_DAYS * 86_400) }
}

/// Who a gateway is, as its certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayName {
    /// The facility.
    pub facility: FacilityCode,
    /// The gateway within it.
    pub gateway: String,
}

impl GatewayName {
    /// The facility and gateway in the one URI of a gateway's certificate. `None` for any other
    /// certificate. The certificate itself must have been validated before.
    pub fn of(certificate: &Certificate) -> Option<Self> {
        let [GeneralName::Uri(uri)] = certificate.subject_alt_name() else { return None };
        let (facility, gateway) = uri.strip_prefix(URN)?.split_once(":gateway:")?;
        let facility = facility.parse().ok()?;
        is_gateway_id(gateway).then(|| Self { facility, gateway: gateway.to_owned() })
    }
}

fn is_gateway_id(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl FacilityTls<'_> {
    /// The octets to sign.
    pub fn prepare(&self) -> Result<ToBeSigned, Refusal> {
        if KeyKind::of(self.spki_der) != Ok(KeyKind::P256) {
            return Err(Refusal::AlgorithmNotAllowed("a gateway's key is on P-256".into()));
        }
        if !is_gateway_id(self.gateway) {
            return Err(Refusal::NameMalformed("gateway identifier"));
        }
        let subject = DistinguishedName::builder()
            .country("JP")
            .organization(self.name)
            .common_name(&format!("{} {}", self.code, self.gateway))
            .build()?;
        let uri = GeneralName::Uri(format!("{URN}{}:gateway:{}", self.code, self.gateway));
        let mut extensions = Extensions::default();
        extensions
            .plain(oid::AUTHORITY_KEY_IDENTIFIER, &self.issuer.authority_key_identifier())
            .plain(oid::SUBJECT_KEY_IDENTIFIER, &subject_key_identifier(self.spki_der)?)
            .critical(oid::KEY_USAGE, &KeyUsage::DIGITAL_SIGNATURE.der())
            .plain(oid::EXTENDED_KEY_USAGE, &asn1::sequence(&[&asn1::oid(&oid::CLIENT_AUTH)]))
            .plain(oid::SUBJECT_ALT_NAME, &asn1::sequence(&[&uri.der()]))
            .plain(oid::CRL_DISTRIBUTION_POINTS, &url_point(self.crl_url)?);
        Fields {
            profile: Profile::FacilityTls,
            serial: self.serial,
            algorithm: self.issuer.algorithm,
            issuer: &self.issuer.name,
            validity: self.validity,
            subject: &subject,
            spki_der: self.spki_der,
            extensions: &extensions,
        }
        .prepare()
    }
}
