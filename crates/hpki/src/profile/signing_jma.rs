//! A signing certificate in the JMA layout: country, name and number only, no subjectAltName. The
//! published JPA test certificate has the same layout.

use super::{
    Extensions, Fields, Issuer, PersonalUse, PolicyStatement, Profile, ToBeSigned, Validity,
    subject_key_identifier, url_point,
};
use crate::hcrole;
use crate::name::DistinguishedName;
use crate::oid;
use crate::qualification::Qualification;
use crate::refusal::Refusal;

/// A signing certificate to be.
#[derive(Debug, Clone)]
pub struct SigningJma<'a> {
    /// Certificate serial number, big endian.
    pub serial: &'a [u8],
    /// The signing authority.
    pub issuer: &'a Issuer,
    /// The person's name in romaji.
    pub name_romaji: &'a str,
    /// The person's number (本人ID).
    pub subject_serial: &'a str,
    /// What the person is licensed as. Not an administrator: this layout has no organisation.
    pub qualification: Qualification,
    /// From when until when.
    pub validity: Validity,
    /// The person's public key.
    pub spki_der: &'a [u8],
    /// The policy, whose arm is configuration.
    pub policy: &'a PolicyStatement,
    /// The address of the authority's list.
    pub crl_url: &'a str,
}

impl SigningJma<'_> {
    /// The octets to sign. Extensions in the order AKI, SKI, KU, CRLDP, SDA, CP.
    pub fn prepare(&self) -> Result<ToBeSigned, Refusal> {
        self.prepare_for(Profile::SigningJma, PersonalUse::Signing)
    }

    /// The same layout for another use of the key.
    pub(super) fn prepare_for(
        &self,
        profile: Profile,
        personal_use: PersonalUse,
    ) -> Result<ToBeSigned, Refusal> {
        if self.qualification.is_administrator() {
            return Err(Refusal::QualificationNotCertifiable(
                "an administrator's certificate names the institution",
            ));
        }
        let subject = DistinguishedName::builder()
            .country("JP")
            .common_name(self.name_romaji)
            .serial_number(self.subject_serial)
            .build()?;
        let mut extensions = Extensions::default();
        extensions
            .plain(oid::AUTHORITY_KEY_IDENTIFIER, &self.issuer.authority_key_identifier())
            .plain(oid::SUBJECT_KEY_IDENTIFIER, &subject_key_identifier(self.spki_der)?)
            .personal_use(personal_use)
            .plain(oid::CRL_DISTRIBUTION_POINTS, &url_point(self.crl_url)?)
            .plain(oid::SUBJECT_DIRECTORY_ATTRIBUTES, &hcrole::extension_value(self.qualification)?)
            .critical(oid::CERTIFICATE_POLICIES, &self.policy.der()?);
        Fields {
            profile,
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
