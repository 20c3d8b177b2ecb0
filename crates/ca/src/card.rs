//! Certificates for the two keys of an HPKI card, and whose card it is.
//!
//! The card made its keys itself, or its personalisation did; nobody keeps them. Whose card it is,
//! is told by these books alone (authority, serial number, and the very octets that were issued),
//! never by a name.

use hpki::certificate::Certificate;
use hpki::encoding::{Digest32, Statement};
use hpki::id::{KeyId, PersonId};
use hpki::profile::ToBeSigned;
use hpki::profile::authentication::Authentication;
use hpki::qualification::Qualification;
use hpki::time::Timestamp;
use ledger::{Fault, Tx};

use crate::Ca;
use crate::authority::Authority;
use crate::config::CaConfig;
use crate::making::Request;
use crate::order::issuer_of;
use crate::refusal::{Failed, Refusal};
use crate::subscriber::{Making, Subscriber};
use crate::tables;

/// Which of the card's two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardApplication {
    /// Signing documents in the facility: another key than the kept one, under the same policy.
    Signing,
    /// Proving who holds the card.
    Authentication,
}

impl CardApplication {
    const fn name(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::Authentication => "authentication",
        }
    }
}

/// A certificate is ordered for a key of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardOrder {
    /// For whom, and by which organisation: with the number (本人ID) of her kept key's certificate.
    pub subscriber: Subscriber,
    /// For which of the card's keys.
    pub application: CardApplication,
    /// The public half of the card's key.
    pub spki_der: Vec<u8>,
}

/// Whose card it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CardHolder {
    /// Who.
    pub person: PersonId,
    /// Her kept key for the card's qualification.
    pub key: KeyId,
}

impl CardOrder {
    fn issuer(&self) -> Authority {
        match self.application {
            CardApplication::Signing => Authority::Signing(self.subscriber.authority),
            CardApplication::Authentication => Authority::Authentication(self.subscriber.authority),
        }
    }

    fn hash(&self) -> Digest32 {
        let statement = Statement::new("azukari/ca/order/card/v1")
            .text(self.application.name())
            .octets_field(&self.spki_der);
        self.subscriber.told(statement).digest()
    }

    fn prepare(
        &self,
        serial: &[u8],
        own: Option<&Certificate>,
        config: &CaConfig,
    ) -> Result<ToBeSigned, hpki::Refusal> {
        let policy = config.statement(match self.application {
            CardApplication::Signing => config.subscriber_policy,
            CardApplication::Authentication => config.authentication_policy,
        });
        let making = Making {
            serial,
            issuer: &issuer_of(own)?,
            spki_der: &self.spki_der,
            policy: &policy,
            crl_url: &config.list_url(self.issuer().name()),
        };
        let years = config.subscriber_years;
        match self.application {
            CardApplication::Signing => self.subscriber.signing(&making, years),
            CardApplication::Authentication => Authentication {
                person: self.subscriber.person(&making, years),
                client_auth: config.authentication_client_auth,
            }
            .prepare(),
        }
    }
}

impl Ca {
    /// Issues a certificate for a key of a card. The same order again gives the same certificate.
    ///
    /// # Errors
    /// As [`Ca::issue_signing`].
    pub async fn issue_card(
        &self,
        order: &CardOrder,
        now: Timestamp,
    ) -> Result<Certificate, Failed> {
        let (copy, config) = (order.clone(), self.config.clone());
        let request = Request {
            authority: order.issuer(),
            order: order.hash(),
            key: None,
            person: Some(order.subscriber.person),
            makes: None,
            prepare: Box::new(move |serial, own| copy.prepare(serial, own, &config)),
        };
        self.make(request, now).await
    }

    /// Whose card has this authentication certificate, and which kept key of hers it speaks for.
    /// Whether the certificate is in force is judged by its chain.
    ///
    /// # Errors
    /// `certificate-unknown` for one that these authorities did not issue to a card for
    /// authentication; `card-revoked`, at once and without waiting for a list;
    /// `card-holder-without-key`.
    pub async fn card_holder(&self, certificate: &Certificate) -> Result<CardHolder, Failed> {
        let certificate = certificate.clone();
        self.ledger.read(move |tx| holder(tx, &certificate)).await
    }
}

fn holder(tx: &Tx<'_>, certificate: &Certificate) -> Result<CardHolder, Failed> {
    let unknown = || Failed::Refused(Refusal::CertificateUnknown);
    let row = tx.query_opt(
        "SELECT authority, status, person FROM ca_certificate
         WHERE serial = $1 AND key IS NULL AND person IS NOT NULL AND der = $2",
        &[certificate.serial().into(), certificate.der().into()],
    )?;
    let row = row.ok_or_else(unknown)?;
    let Authority::Authentication(_) = row.parsed(0)? else { return Err(unknown()) };
    if row.text(1)? != "issued" {
        return Err(Failed::Refused(Refusal::CardRevoked));
    }
    let person = PersonId::from_octets(row.array(2)?);
    let role = certificate.qualification().ok_or_else(unknown)?;
    match kept_key(tx, person, role)? {
        Some(key) => Ok(CardHolder { person, key }),
        None => Err(Failed::Refused(Refusal::CardHolderWithoutKey)),
    }
}

/// The kept key of this person for this qualification: there is one at most.
pub(crate) fn kept_key(
    tx: &Tx<'_>,
    person: PersonId,
    role: Qualification,
) -> Result<Option<KeyId>, Fault> {
    let rows = tx.query(
        "SELECT key, der FROM ca_certificate
         WHERE person = $1 AND key IS NOT NULL AND status = 'issued' ORDER BY not_after DESC",
        &[person.into()],
    )?;
    for row in &rows {
        if tables::stored(row.blob(1)?)?.qualification() == Some(role) {
            return Ok(Some(KeyId::from_octets(row.array(0)?)));
        }
    }
    Ok(None)
}
