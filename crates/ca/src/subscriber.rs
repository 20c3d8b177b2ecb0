//! A person of whom certificates speak: her kept key's and her card's say the same of her.

use hpki::encoding::Statement;
use hpki::id::PersonId;
use hpki::profile::authentication::Person;
use hpki::profile::signing_jma::SigningJma;
use hpki::profile::signing_medis::{self, SigningMedis};
use hpki::profile::{Issuer, PolicyStatement, ToBeSigned, Validity};
use hpki::qualification::Qualification;
use hpki::time::Timestamp;

use crate::authority::SigningAuthority;

/// Where a person works, in both scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// In English or romaji.
    pub romaji: String,
    /// In Japanese.
    pub ja: String,
}

/// What a person's certificates say about her, whatever they are for. It was reviewed before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// By which organisation she is certified; this also decides the layout.
    pub authority: SigningAuthority,
    /// Who.
    pub person: PersonId,
    /// Her name in romaji.
    pub name_romaji: String,
    /// Her name in Japanese, full-width space between family and given name. Only the MEDIS layout
    /// shows it.
    pub name_ja: String,
    /// Where she works. Only the MEDIS layout shows it.
    pub organization: Option<Organization>,
    /// Her number (本人ID).
    pub subject_serial: String,
    /// What she is licensed as.
    pub qualification: Qualification,
    /// The certificate begins at Japanese midnight of this day.
    pub valid_from: Timestamp,
}

/// What its making adds.
pub(crate) struct Making<'a> {
    pub(crate) serial: &'a [u8],
    pub(crate) issuer: &'a Issuer,
    pub(crate) spki_der: &'a [u8],
    pub(crate) policy: &'a PolicyStatement,
    pub(crate) crl_url: &'a str,
}

impl Subscriber {
    /// Everything of it that an order stands for.
    pub(crate) fn told(&self, order: Statement) -> Statement {
        let organization = self.organization.as_ref();
        order
            .text(self.authority.name())
            .octets_field(self.person.octets())
            .text(&self.name_romaji)
            .text(&self.name_ja)
            .text(organization.map_or("", |organization| &organization.romaji))
            .text(organization.map_or("", |organization| &organization.ja))
            .text(&self.subject_serial)
            .text(self.qualification.ja())
            .time(self.valid_from.jst_midnight())
    }

    /// The certificate to be, in the layout of its authority.
    pub(crate) fn person<'a>(&'a self, making: &Making<'a>, years: i32) -> Person<'a> {
        let Making { serial, issuer, spki_der, policy, crl_url } = *making;
        let validity = Validity::years_from_day(self.valid_from, years);
        match self.authority {
            SigningAuthority::Medis => Person::Medis(SigningMedis {
                serial,
                issuer,
                name_romaji: &self.name_romaji,
                name_ja: &self.name_ja,
                organization: self.organization.as_ref().map(|organization| {
                    signing_medis::Organization {
                        romaji: &organization.romaji,
                        ja: &organization.ja,
                    }
                }),
                subject_serial: &self.subject_serial,
                qualification: self.qualification,
                validity,
                spki_der,
                policy,
                crl_url,
            }),
            SigningAuthority::Jma | SigningAuthority::Jpa => Person::Jma(SigningJma {
                serial,
                issuer,
                name_romaji: &self.name_romaji,
                subject_serial: &self.subject_serial,
                qualification: self.qualification,
                validity,
                spki_der,
                policy,
                crl_url,
            }),
        }
    }

    /// A signing certificate to be.
    pub(crate) fn signing(
        &self,
        making: &Making<'_>,
        years: i32,
    ) -> Result<ToBeSigned, hpki::Refusal> {
        match self.person(making, years) {
            Person::Medis(person) => person.prepare(),
            Person::Jma(person) => person.prepare(),
        }
    }
}
