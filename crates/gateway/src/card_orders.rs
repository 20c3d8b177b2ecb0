//! Documents to be signed with a card, and whose cards sign for whom.
//!
//! Waiting → Signing → Done | Refused, each move a compare-and-set; Signing is written in one commit
//! with the journal's intention, Done and Refused with its outcome.

use std::sync::Arc;

use hpki::certificate::Certificate;
use hpki::encoding::Digest32;
use hpki::id::{KeyId, OrderNumber};
use hpki::kind::DocumentKind;
use hpki::sign::Random;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Record, Store, Tx};

use crate::config::{GatewayConfig, Staff};
use crate::local::holder_of;
use crate::names::StaffId;
use crate::orders::{Orders, order_number};
use crate::refusal::Refusal;

/// A document that waits.
pub(crate) struct CardOrder {
    pub(crate) number: OrderNumber,
    pub(crate) staff: StaffId,
    pub(crate) kind: DocumentKind,
    pub(crate) digest: Digest32,
    pub(crate) created: Timestamp,
    pub(crate) reader: String,
    /// SHA-256 of the certificate on the card that was shown.
    pub(crate) certificate: Digest32,
    /// The unsigned document.
    pub(crate) document: Vec<u8>,
}

/// How far a document is that was to be signed with a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardOrderState {
    /// It waits for the PIN.
    Waiting,
    /// The card has it.
    Signing,
    /// Signed and verified.
    Done(Vec<u8>),
    /// Not signed; why.
    Refused(String),
}

/// An order whose card was at work: number, index of its intention, and what that says.
pub(crate) type Interrupted = (OrderNumber, u64, KeyId, DocumentKind, Digest32, Digest32);

/// The table, with the seal of the orders.
pub(crate) struct CardOrders<'g> {
    pub(crate) store: &'g Store,
    pub(crate) config: &'g Arc<GatewayConfig>,
    pub(crate) orders: &'g Orders,
}

impl CardOrders<'_> {
    pub(crate) async fn begin(
        &self,
        order: &CardOrder,
        random: &dyn Random,
    ) -> Result<(), Failed<Refusal>> {
        let sealed = self.orders.seal(&order.number, "card", &order.document, random)?;
        let (number, staff, kind) = (order.number, order.staff.clone(), order.kind);
        let (digest, created, reader) = (order.digest, order.created, order.reader.clone());
        let certificate = order.certificate;
        self.store
            .write(move |tx| {
                tx.exec(
                    "INSERT INTO gateway_card_order
                     (number, staff, kind, digest, created, reader, certificate, state, document)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8)",
                    &[
                        number.into(),
                        staff.as_str().into(),
                        kind.into(),
                        digest.into(),
                        created.into(),
                        reader.as_str().into(),
                        certificate.into(),
                        sealed.as_slice().into(),
                    ],
                )?;
                Ok(())
            })
            .await
    }

    /// The order of this number, if it is this staff member's and waits.
    pub(crate) async fn waiting(
        &self,
        number: OrderNumber,
        staff: &StaffId,
    ) -> Result<CardOrder, Failed<Refusal>> {
        let row = self
            .store
            .read(move |tx| {
                Ok::<_, Failed<Refusal>>(tx.query_opt(
                    "SELECT staff, kind, digest, created, reader, certificate, state, document
                     FROM gateway_card_order WHERE number = $1",
                    &[number.into()],
                )?)
            })
            .await?;
        let row = row.ok_or(Failed::Refused(Refusal::OrderUnknown))?;
        if row.text(0)? != staff.as_str() {
            return Err(Failed::Refused(Refusal::OrderUnknown));
        }
        if row.text(6)? != "waiting" {
            return Err(Failed::Refused(Refusal::CardOrderOver));
        }
        Ok(CardOrder {
            number,
            staff: staff.clone(),
            kind: row.parsed(1)?,
            digest: row.array(2)?,
            created: row.time(3)?,
            reader: row.text(4)?.to_owned(),
            certificate: row.array(5)?,
            document: self.orders.unseal(&number, "card", row.blob(7)?)?,
        })
    }

    /// Closes an order that waits.
    pub(crate) async fn refused(
        &self,
        number: OrderNumber,
        refusal: &Refusal,
    ) -> Result<(), Failed<Refusal>> {
        let code = crate::orders::code_of(refusal);
        self.store
            .write(move |tx| {
                tx.exec(
                    "UPDATE gateway_card_order SET state = 'refused', code = $2, document = NULL
                     WHERE number = $1 AND state = 'waiting'",
                    &[number.into(), code.as_str().into()],
                )?;
                Ok(())
            })
            .await
    }

    pub(crate) fn seal_done(
        &self,
        number: OrderNumber,
        document: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, Fault> {
        self.orders.seal(&number, "card-done", document, random)
    }

    /// Where this staff member's order stands.
    pub(crate) async fn state(
        &self,
        number: OrderNumber,
        staff: &StaffId,
    ) -> Result<CardOrderState, Failed<Refusal>> {
        let row = self
            .store
            .read(move |tx| {
                Ok::<_, Failed<Refusal>>(tx.query_opt(
                    "SELECT staff, state, code, document FROM gateway_card_order WHERE number = $1",
                    &[number.into()],
                )?)
            })
            .await?;
        let row = row.ok_or(Failed::Refused(Refusal::OrderUnknown))?;
        if row.text(0)? != staff.as_str() {
            return Err(Failed::Refused(Refusal::OrderUnknown));
        }
        Ok(match (row.text(1)?, row.opt_blob(3)?) {
            ("waiting", _) => CardOrderState::Waiting,
            ("signing", _) => CardOrderState::Signing,
            ("done", Some(sealed)) => {
                CardOrderState::Done(self.orders.unseal(&number, "card-done", sealed)?)
            }
            ("done", None) => return Err(Failed::Refused(Refusal::OrderExpired)),
            _ => CardOrderState::Refused(row.opt_text(2)?.unwrap_or_default().to_owned()),
        })
    }

    /// Orders whose cards have been at work since before this moment.
    pub(crate) async fn signing(
        &self,
        since: Timestamp,
    ) -> Result<Vec<Interrupted>, Failed<Refusal>> {
        let rows = self
            .store
            .read(move |tx| {
                Ok::<_, Failed<Refusal>>(tx.query(
                    "SELECT number, intention, key, kind, dtbsr, certificate
                     FROM gateway_card_order
                     WHERE state = 'signing' AND begun <= $1 ORDER BY intention LIMIT 1000",
                    &[since.into()],
                )?)
            })
            .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    order_number(&row.array(0)?)?,
                    row.number(1)?,
                    KeyId::from_octets(row.array(2)?),
                    row.parsed(3)?,
                    row.array(4)?,
                    row.array(5)?,
                ))
            })
            .collect()
    }

    /// Whether this card signs for this staff member: the one that the staff list names, or the one
    /// that signed first; and it signs for nobody else here.
    pub(crate) async fn is_hers(
        &self,
        staff: &Staff,
        certificate: &Certificate,
    ) -> Result<(), Failed<Refusal>> {
        let not_hers = || Err(Failed::Refused(Refusal::CardOfAnother));
        let number = certificate.subject_serial_number();
        if let Some(named) = &staff.card {
            return if number == Some(named.as_str()) { Ok(()) } else { not_hers() };
        }
        // The staff list has the last word: a card it names for another ID is not this one's.
        let elsewhere = |other: &&Staff| other.card.as_deref().is_some_and(|c| Some(c) == number);
        if self.config.staff.iter().any(|other| elsewhere(&other)) {
            return not_hers();
        }
        let (staff, holder) = (staff.id.clone(), holder_of(certificate));
        self.store.read(move |tx| bound(tx, &staff, &holder)).await
    }
}

/// Refuses a card that signed for another staff ID, and a staff ID for which another card signed.
fn bound(tx: &Tx<'_>, staff: &StaffId, holder: &Digest32) -> Result<(), Failed<Refusal>> {
    let rows = tx.query(
        "SELECT staff, holder FROM gateway_card WHERE staff = $1 OR holder = $2",
        &[staff.as_str().into(), (*holder).into()],
    )?;
    for row in &rows {
        if row.text(0)? != staff.as_str() || row.array::<32>(1)? != *holder {
            return Err(Failed::Refused(Refusal::CardOfAnother));
        }
    }
    Ok(())
}

/// Binds the card to the staff ID for which it has signed.
pub(crate) fn bind(
    tx: &Tx<'_>,
    staff: &StaffId,
    holder: &Digest32,
    now: Timestamp,
) -> Result<(), Failed<Refusal>> {
    tx.exec(
        "INSERT INTO gateway_card (staff, holder, since) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
        &[staff.as_str().into(), (*holder).into(), now.into()],
    )?;
    Ok(())
}

/// Waiting → Signing, in the commit of this intention.
pub(crate) fn sign(
    tx: &Tx<'_>,
    number: OrderNumber,
    index: u64,
    intended: &Record,
) -> Result<(), Failed<Refusal>> {
    let misuse = || Failed::Fault(Fault::Misuse("an intention without key or data".into()));
    let (key, dtbsr) = (intended.key.ok_or_else(misuse)?, intended.dtbsr.ok_or_else(misuse)?);
    let changed = tx.exec(
        "UPDATE gateway_card_order
         SET state = 'signing', intention = $2, key = $3, dtbsr = $4, begun = $5
         WHERE number = $1 AND state = 'waiting'",
        &[number.into(), index.into(), key.into(), dtbsr.into(), intended.time.into()],
    )?;
    if changed == 1 { Ok(()) } else { Err(Failed::Refused(Refusal::CardOrderOver)) }
}

/// Signing → Done, in the commit of its outcome.
pub(crate) fn done(tx: &Tx<'_>, number: OrderNumber, sealed: &[u8]) -> Result<(), Failed<Refusal>> {
    let changed = tx.exec(
        "UPDATE gateway_card_order SET state = 'done', document = $2
         WHERE number = $1 AND state = 'signing'",
        &[number.into(), sealed.into()],
    )?;
    // Somebody has closed it as interrupted, and that stands.
    if changed == 1 { Ok(()) } else { Err(Failed::Refused(Refusal::CardInterrupted)) }
}

/// Signing → Waiting or Refused, in the commit of its outcome.
pub(crate) fn interrupted(
    tx: &Tx<'_>,
    number: OrderNumber,
    code: &str,
    again: bool,
) -> Result<(), Failed<Refusal>> {
    let sql = if again {
        "UPDATE gateway_card_order SET state = 'waiting', code = $2
         WHERE number = $1 AND state = 'signing'"
    } else {
        "UPDATE gateway_card_order SET state = 'refused', code = $2, document = NULL
         WHERE number = $1 AND state = 'signing'"
    };
    let changed = tx.exec(sql, &[number.into(), code.into()])?;
    if changed == 1 { Ok(()) } else { Err(Failed::Refused(Refusal::CardInterrupted)) }
}
