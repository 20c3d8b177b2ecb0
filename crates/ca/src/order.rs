//! What is ordered from an authority, and issuing it.

use std::net::IpAddr;

use hpki::certificate::Certificate;
use hpki::encoding::{Digest32, Statement};
use hpki::id::{FacilityCode, KeyId, PersonId};
use hpki::profile::authentication::Person;
use hpki::profile::facility_tls::{FacilityTls, lifetime};
use hpki::profile::signing_jma::SigningJma;
use hpki::profile::signing_medis::{self, SigningMedis};
use hpki::profile::tls_server::TlsServer;
use hpki::profile::{Issuer, PolicyStatement, ToBeSigned, Validity};
use hpki::qualification::Qualification;
use hpki::time::Timestamp;

use crate::Ca;
use crate::authority::{Authority, SigningAuthority};
use crate::config::CaConfig;
use crate::making::Request;
use crate::refusal::Failed;

/// Where a person works, in both scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// In English or romaji.
    pub romaji: String,
    /// In Japanese.
    pub ja: String,
}

/// A signing certificate is ordered for a kept key. What it says was reviewed before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningOrder {
    /// By whom; this also decides the layout.
    pub authority: SigningAuthority,
    /// For whom.
    pub person: PersonId,
    /// For which kept key; one key has one certificate in its life.
    pub key: KeyId,
    /// The public half of that key.
    pub spki_der: Vec<u8>,
    /// The person's name in romaji.
    pub name_romaji: String,
    /// The person's name in Japanese, full-width space between family and given name. Only the
    /// MEDIS layout shows it.
    pub name_ja: String,
    /// Where the person works. Only the MEDIS layout shows it.
    pub organization: Option<Organization>,
    /// The person's number (本人ID).
    pub subject_serial: String,
    /// What the person is licensed as.
    pub qualification: Qualification,
    /// The certificate begins at Japanese midnight of this day.
    pub valid_from: Timestamp,
}

/// A TLS client certificate is ordered for a facility's gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacilityOrder {
    /// The facility.
    pub code: FacilityCode,
    /// Its name as registered.
    pub name: String,
    /// The gateway's identifier: lower-case letters, digits, hyphens.
    pub gateway: String,
    /// The gateway's public key, P-256.
    pub spki_der: Vec<u8>,
}

/// A TLS server certificate is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOrder {
    /// What the server is, for people.
    pub name: String,
    /// Its host names.
    pub dns_names: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its public key.
    pub spki_der: Vec<u8>,
}

impl SigningOrder {
    fn hash(&self) -> Digest32 {
        let organization = self.organization.as_ref();
        Statement::new("azukari/ca/order/signing/v1")
            .text(self.authority.name())
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .octets_field(&self.spki_der)
            .text(&self.name_romaji)
            .text(&self.name_ja)
            .text(organization.map_or("", |organization| &organization.romaji))
            .text(organization.map_or("", |organization| &organization.ja))
            .text(&self.subject_serial)
            .text(self.qualification.ja())
            .time(self.valid_from.jst_midnight())
            .digest()
    }

    fn prepare(
        &self,
        serial: &[u8],
        issuer: &Issuer,
        config: &CaConfig,
    ) -> Result<ToBeSigned, hpki::Refusal> {
        let making = Making {
            serial,
            issuer,
            spki_der: &self.spki_der,
            policy: &config.statement(config.subscriber_policy),
            crl_url: &config.list_url(self.authority.name()),
        };
        self.subscriber().signing(&making, config.subscriber_years)
    }

    fn subscriber(&self) -> Subscriber<'_> {
        Subscriber {
            authority: self.authority,
            name_romaji: &self.name_romaji,
            name_ja: &self.name_ja,
            organization: self.organization.as_ref(),
            subject_serial: &self.subject_serial,
            qualification: self.qualification,
            valid_from: self.valid_from,
        }
    }
}

/// What a person's certificate says about her, whatever it is for.
pub(crate) struct Subscriber<'a> {
    pub(crate) authority: SigningAuthority,
    pub(crate) name_romaji: &'a str,
    pub(crate) name_ja: &'a str,
    pub(crate) organization: Option<&'a Organization>,
    pub(crate) subject_serial: &'a str,
    pub(crate) qualification: Qualification,
    pub(crate) valid_from: Timestamp,
}

/// What its making adds.
pub(crate) struct Making<'a> {
    pub(crate) serial: &'a [u8],
    pub(crate) issuer: &'a Issuer,
    pub(crate) spki_der: &'a [u8],
    pub(crate) policy: &'a PolicyStatement,
    pub(crate) crl_url: &'a str,
}

impl<'a> Subscriber<'a> {
    /// The certificate to be, in the layout of its authority.
    pub(crate) fn person(&self, making: &Making<'a>, years: i32) -> Person<'a> {
        let Making { serial, issuer, spki_der, policy, crl_url } = *making;
        let validity = Validity::years_from_day(self.valid_from, years);
        match self.authority {
            SigningAuthority::Medis => Person::Medis(SigningMedis {
                serial,
                issuer,
                name_romaji: self.name_romaji,
                name_ja: self.name_ja,
                organization: self.organization.map(|organization| signing_medis::Organization {
                    romaji: &organization.romaji,
                    ja: &organization.ja,
                }),
                subject_serial: self.subject_serial,
                qualification: self.qualification,
                validity,
                spki_der,
                policy,
                crl_url,
            }),
            SigningAuthority::Jma | SigningAuthority::Jpa => Person::Jma(SigningJma {
                serial,
                issuer,
                name_romaji: self.name_romaji,
                subject_serial: self.subject_serial,
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
        making: &Making<'a>,
        years: i32,
    ) -> Result<ToBeSigned, hpki::Refusal> {
        match self.person(making, years) {
            Person::Medis(person) => person.prepare(),
            Person::Jma(person) => person.prepare(),
        }
    }
}

pub(crate) fn issuer_of(own: Option<&Certificate>) -> Result<Issuer, hpki::Refusal> {
    Issuer::of(own.ok_or(hpki::Refusal::NotAsProfiled("an issuer without a certificate"))?)
}

impl Ca {
    /// Issues a signing certificate. The same order again gives the same certificate; another order
    /// for the same key is refused (`key-already-certified`).
    ///
    /// # Errors
    /// `authority-unknown`, `authority-revoked`, `validity-outside-authority`,
    /// `key-already-certified`, `qualification-not-certifiable`, `name-malformed`,
    /// `algorithm-not-allowed`, `issuance-interrupted`; or the device or the store failed, and the
    /// same order goes on where it stopped.
    pub async fn issue_signing(
        &self,
        order: &SigningOrder,
        now: Timestamp,
    ) -> Result<Certificate, Failed> {
        let (copy, config) = (order.clone(), self.config.clone());
        let request = Request {
            authority: order.authority.into(),
            order: order.hash(),
            key: Some(order.key),
            person: Some(order.person),
            makes: None,
            prepare: Box::new(move |serial, own| copy.prepare(serial, &issuer_of(own)?, &config)),
        };
        self.make(request, now).await
    }

    /// Issues a gateway's TLS certificate for thirteen months. The same order again on the same
    /// Japanese day gives the same certificate; later it is a renewal.
    pub async fn issue_facility(
        &self,
        order: &FacilityOrder,
        now: Timestamp,
    ) -> Result<Certificate, Failed> {
        let hash = Statement::new("azukari/ca/order/facility/v1")
            .text(order.code.as_str())
            .text(&order.name)
            .text(&order.gateway)
            .octets_field(&order.spki_der)
            .time(now.jst_midnight());
        let (copy, config) = (order.clone(), self.config.clone());
        let request = Request {
            authority: Authority::Facility,
            order: hash.digest(),
            key: None,
            person: None,
            makes: None,
            prepare: Box::new(move |serial, own| {
                FacilityTls {
                    serial,
                    issuer: &issuer_of(own)?,
                    code: &copy.code,
                    name: &copy.name,
                    gateway: &copy.gateway,
                    validity: lifetime(now),
                    spki_der: &copy.spki_der,
                    crl_url: &config.list_url(Authority::Facility.name()),
                }
                .prepare()
            }),
        };
        self.make(request, now).await
    }

    /// Issues a TLS server certificate for thirteen months; repeated as [`Ca::issue_facility`].
    pub async fn issue_tls_server(
        &self,
        order: &ServerOrder,
        now: Timestamp,
    ) -> Result<Certificate, Failed> {
        let addresses: Vec<String> = order.addresses.iter().map(IpAddr::to_string).collect();
        let hash = Statement::new("azukari/ca/order/server/v1")
            .text(&order.name)
            .list(&order.dns_names)
            .list(&addresses)
            .octets_field(&order.spki_der)
            .time(now.jst_midnight());
        let (copy, config) = (order.clone(), self.config.clone());
        let request = Request {
            authority: Authority::Facility,
            order: hash.digest(),
            key: None,
            person: None,
            makes: None,
            prepare: Box::new(move |serial, own| {
                TlsServer {
                    serial,
                    issuer: &issuer_of(own)?,
                    name: &copy.name,
                    dns_names: &copy.dns_names,
                    addresses: &copy.addresses,
                    validity: lifetime(now),
                    spki_der: &copy.spki_der,
                    crl_url: &config.list_url(Authority::Facility.name()),
                }
                .prepare()
            }),
        };
        self.make(request, now).await
    }
}
