//! A self-signed root after the model of the national HPKI root.
//!
//! The model has no common name but two organisational units, serial number 1, critical keyUsage
//! and basicConstraints, a Japanese name as subjectAltName, and two distribution points of the list
//! that covers the root itself (RARL).

use super::{
    AUTHORITY_KEY_USAGE, Extensions, Fields, Profile, ToBeSigned, Validity, authority_points,
    basic_constraints_ca, subject_key_identifier,
};
use crate::asn1;
use crate::name::{DistinguishedName, GeneralName};
use crate::oid;
use crate::refusal::Refusal;
use crate::sign::SignatureAlgorithm;

/// A root to be.
#[derive(Debug, Clone)]
pub struct Root<'a> {
    /// Certificate serial number, big endian.
    pub serial: &'a [u8],
    /// Its name, as subject and issuer.
    pub name: &'a DistinguishedName,
    /// Its Japanese name.
    pub name_ja: &'a DistinguishedName,
    /// From when until when.
    pub validity: Validity,
    /// Its public key.
    pub spki_der: &'a [u8],
    /// How it signs.
    pub algorithm: SignatureAlgorithm,
    /// The directory name of the list that covers it.
    pub rarl_name: &'a DistinguishedName,
    /// The address of that list.
    pub rarl_url: &'a str,
}

impl Root<'_> {
    /// The octets to sign.
    pub fn prepare(&self) -> Result<ToBeSigned, Refusal> {
        let names = asn1::sequence(&[&GeneralName::Directory(self.name_ja.clone()).der()]);
        let mut extensions = Extensions::default();
        extensions
            .plain(oid::SUBJECT_KEY_IDENTIFIER, &subject_key_identifier(self.spki_der)?)
            .critical(oid::KEY_USAGE, &AUTHORITY_KEY_USAGE.der())
            .plain(oid::SUBJECT_ALT_NAME, &names)
            .critical(oid::BASIC_CONSTRAINTS, &basic_constraints_ca())
            .plain(oid::CRL_DISTRIBUTION_POINTS, &authority_points(self.rarl_name, self.rarl_url)?);
        Fields {
            profile: Profile::Root,
            serial: self.serial,
            algorithm: self.algorithm,
            issuer: self.name,
            validity: self.validity,
            subject: self.name,
            spki_der: self.spki_der,
            extensions: &extensions,
        }
        .prepare()
    }
}

/// A self-signed authority for TLS, which has nothing to do with HPKI.
#[derive(Debug, Clone)]
pub struct TlsCa<'a> {
    /// Certificate serial number, big endian.
    pub serial: &'a [u8],
    /// Its name, as subject and issuer.
    pub name: &'a DistinguishedName,
    /// From when until when.
    pub validity: Validity,
    /// Its public key.
    pub spki_der: &'a [u8],
    /// How it signs.
    pub algorithm: SignatureAlgorithm,
}

impl TlsCa<'_> {
    /// The octets to sign.
    pub fn prepare(&self) -> Result<ToBeSigned, Refusal> {
        let mut extensions = Extensions::default();
        extensions
            .plain(oid::SUBJECT_KEY_IDENTIFIER, &subject_key_identifier(self.spki_der)?)
            .critical(oid::KEY_USAGE, &AUTHORITY_KEY_USAGE.der())
            .critical(oid::BASIC_CONSTRAINTS, &basic_constraints_ca());
        Fields {
            profile: Profile::TlsCa,
            serial: self.serial,
            algorithm: self.algorithm,
            issuer: self.name,
            validity: self.validity,
            subject: self.name,
            spki_der: self.spki_der,
            extensions: &extensions,
        }
        .prepare()
    }
}
