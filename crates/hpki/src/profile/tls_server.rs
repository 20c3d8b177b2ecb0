//! The TLS server certificate of the platform: serverAuth, its host names and addresses.

use std::net::IpAddr;

use super::{
    Extensions, Fields, Issuer, Profile, ToBeSigned, Validity, ia5, subject_key_identifier,
    url_point,
};
use crate::asn1;
use crate::certificate::KeyUsage;
use crate::name::{DistinguishedName, GeneralName};
use crate::oid;
use crate::refusal::Refusal;

/// A server's certificate to be.
#[derive(Debug, Clone)]
pub struct TlsServer<'a> {
    /// Certificate serial number, big endian.
    pub serial: &'a [u8],
    /// The TLS authority.
    pub issuer: &'a Issuer,
    /// What the server is, for people.
    pub name: &'a str,
    /// Its host names.
    pub dns_names: &'a [String],
    /// Its addresses.
    pub addresses: &'a [IpAddr],
    /// From when until when.
    pub validity: Validity,
    /// Its public key.
    pub spki_der: &'a [u8],
    /// The address of the authority's list.
    pub crl_url: &'a str,
}

impl TlsServer<'_> {
    /// The octets to sign.
    pub fn prepare(&self) -> Result<ToBeSigned, Refusal> {
        let mut names = Vec::new();
        for name in self.dns_names {
            names.extend(GeneralName::Dns(ia5(name)?.to_owned()).der());
        }
        for address in self.addresses {
            let octets = match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            names.extend(GeneralName::Ip(octets).der());
        }
        if names.is_empty() {
            return Err(Refusal::NameMalformed("a server needs a host name or an address"));
        }
        let subject = DistinguishedName::builder().country("JP").common_name(self.name).build()?;
        let mut extensions = Extensions::default();
        extensions
            .plain(oid::AUTHORITY_KEY_IDENTIFIER, &self.issuer.authority_key_identifier())
            .plain(oid::SUBJECT_KEY_IDENTIFIER, &subject_key_identifier(self.spki_der)?)
            .critical(oid::KEY_USAGE, &KeyUsage::DIGITAL_SIGNATURE.der())
            .plain(oid::EXTENDED_KEY_USAGE, &asn1::sequence(&[&asn1::oid(&oid::SERVER_AUTH)]))
            .plain(oid::SUBJECT_ALT_NAME, &asn1::tlv(asn1::tag::SEQUENCE, &names))
            .plain(oid::CRL_DISTRIBUTION_POINTS, &url_point(self.crl_url)?);
        Fields {
            profile: Profile::TlsServer,
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
