//! A signing certificate in the MEDIS layout: an organisation in the subject, and the Japanese
//! names as a directoryName in subjectAltName.

use super::{
    Extensions, Fields, Issuer, PersonalUse, PolicyStatement, Profile, ToBeSigned, Validity,
    subject_key_identifier, url_point,
};
use crate::asn1;
use crate::hcrole;
use crate::name::{DistinguishedName, GeneralName};
use crate::oid;
use crate::qualification::Qualification;
use crate::refusal::Refusal;

/// Where a person works, in both scripts.
#[derive(Debug, Clone, Copy)]
pub struct Organization<'a> {
    /// In English or romaji.
    pub romaji: &'a str,
    /// In Japanese.
    pub ja: &'a str,
}

/// A signing certificate to be.
#[derive(Debug, Clone)]
pub struct SigningMedis<'a> {
    /// Certificate serial number, big endian.
    pub serial: &'a [u8],
    /// The signing authority.
    pub issuer: &'a Issuer,
    /// The person's name in romaji.
    pub name_romaji: &'a str,
    /// The person's name in Japanese, with a full-width space between family and given name.
    pub name_ja: &'a str,
    /// Where the person works; optional for a plain licence holder, mandatory for administrators.
    pub organization: Option<Organization<'a>>,
    /// The person's number (本人ID).
    pub subject_serial: &'a str,
    /// What the person is licensed as.
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

impl SigningMedis<'_> {
    /// The octets to sign. Extensions in the order AKI, SKI, KU, SAN, CRLDP, SDA, CP.
    pub fn prepare(&self) -> Result<ToBeSigned, Refusal> {
        self.prepare_for(Profile::SigningMedis, PersonalUse::Signing)
    }

    /// The same layout for another use of the key.
    pub(super) fn prepare_for(
        &self,
        profile: Profile,
        personal_use: PersonalUse,
    ) -> Result<ToBeSigned, Refusal> {
        let names = asn1::sequence(&[&GeneralName::Directory(self.subject_ja()?).der()]);
        let mut extensions = Extensions::default();
        extensions
            .plain(oid::AUTHORITY_KEY_IDENTIFIER, &self.issuer.authority_key_identifier())
            .plain(oid::SUBJECT_KEY_IDENTIFIER, &subject_key_identifier(self.spki_der)?)
            .personal_use(personal_use)
            .plain(oid::SUBJECT_ALT_NAME, &names)
            .plain(oid::CRL_DISTRIBUTION_POINTS, &url_point(self.crl_url)?)
            .plain(oid::SUBJECT_DIRECTORY_ATTRIBUTES, &hcrole::extension_value(self.qualification)?)
            .critical(oid::CERTIFICATE_POLICIES, &self.policy.der()?);
        Fields {
            profile,
            serial: self.serial,
            algorithm: self.issuer.algorithm,
            issuer: &self.issuer.name,
            validity: self.validity,
            subject: &self.subject()?,
            spki_der: self.spki_der,
            extensions: &extensions,
        }
        .prepare()
    }

    fn subject(&self) -> Result<DistinguishedName, Refusal> {
        let mut name = DistinguishedName::builder().country("JP");
        if let Some(organization) = self.organization {
            name = name.organization(organization.romaji);
        }
        if self.qualification.is_administrator() {
            if self.organization.is_none() {
                return Err(Refusal::QualificationNotCertifiable(
                    "an administrator's certificate names the institution",
                ));
            }
            name = name.unit("Director");
        }
        name.common_name(self.name_romaji).serial_number(self.subject_serial).build()
    }

    fn subject_ja(&self) -> Result<DistinguishedName, Refusal> {
        let mut name = DistinguishedName::builder().country("JP");
        if let Some(organization) = self.organization {
            name = name.organization(organization.ja);
        }
        name.common_name(self.name_ja).serial_number(self.subject_serial).build()
    }
}
