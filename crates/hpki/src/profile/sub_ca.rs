//! A subordinate signing authority (JMA, JPA, MEDIS) under the root.

use super::{
    AUTHORITY_KEY_USAGE, Extensions, Fields, Issuer, PolicyStatement, Profile, ToBeSigned,
    Validity, authority_points, basic_constraints_ca, subject_key_identifier,
};
use crate::name::DistinguishedName;
use crate::oid;
use crate::refusal::Refusal;

/// A subordinate authority to be.
#[derive(Debug, Clone)]
pub struct SubCa<'a> {
    /// Certificate serial number, big endian.
    pub serial: &'a [u8],
    /// The root.
    pub issuer: &'a Issuer,
    /// Its name, e.g. `…, CN=HPKI-01-…-forNonRepudiation`.
    pub name: &'a DistinguishedName,
    /// From when until when.
    pub validity: Validity,
    /// Its public key.
    pub spki_der: &'a [u8],
    /// The policy it may issue under.
    pub policy: &'a PolicyStatement,
    /// The directory name of the list that covers it (SARL).
    pub sarl_name: &'a DistinguishedName,
    /// The address of that list.
    pub sarl_url: &'a str,
}

impl SubCa<'_> {
    /// The octets to sign. Like the real ones it has no path length constraint.
    pub fn prepare(&self) -> Result<ToBeSigned, Refusal> {
        let mut extensions = Extensions::default();
        extensions
            .plain(oid::AUTHORITY_KEY_IDENTIFIER, &self.issuer.authority_key_identifier())
            .plain(oid::SUBJECT_KEY_IDENTIFIER, &subject_key_identifier(self.spki_der)?)
            .critical(oid::KEY_USAGE, &AUTHORITY_KEY_USAGE.der())
            .critical(oid::BASIC_CONSTRAINTS, &basic_constraints_ca())
            .plain(oid::CRL_DISTRIBUTION_POINTS, &authority_points(self.sarl_name, self.sarl_url)?)
            .critical(oid::CERTIFICATE_POLICIES, &self.policy.der()?);
        Fields {
            profile: Profile::SubCa,
            serial: self.serial,
            algorithm: self.issuer.algorithm,
            issuer: &self.issuer.name,
            validity: self.validity,
            subject: self.name,
            spki_der: self.spki_der,
            extensions: &extensions,
        }
        .prepare()
    }
}
