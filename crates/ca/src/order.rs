//! What is ordered from an authority, and issuing it.

use std::net::IpAddr;

use hpki::certificate::Certificate;
use hpki::encoding::{Digest32, Statement};
use hpki::id::{FacilityCode, KeyId};
use hpki::profile::facility_tls::{FacilityTls, lifetime};
use hpki::profile::tls_server::TlsServer;
use hpki::profile::{Issuer, ToBeSigned};
use hpki::time::Timestamp;

use crate::Ca;
use crate::authority::Authority;
use crate::config::CaConfig;
use crate::making::Request;
use crate::refusal::Failed;
use crate::subscriber::{Making, Subscriber};

/// A signing certificate is ordered for a kept key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningOrder {
    /// For whom, and by which organisation.
    pub subscriber: Subscriber,
    /// For which kept key; one key has one certificate in its life.
    pub key: KeyId,
    /// The public half of that key.
    pub spki_der: Vec<u8>,
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
        let statement = Statement::new("azukari/ca/order/signing/v1")
            .octets_field(self.key.octets())
            .octets_field(&self.spki_der);
        self.subscriber.told(statement).digest()
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
            crl_url: &config.list_url(self.subscriber.authority.name()),
        };
        self.subscriber.signing(&making, config.subscriber_years)
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
            authority: order.subscriber.authority.into(),
            order: order.hash(),
            key: Some(order.key),
            person: Some(order.subscriber.person),
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
