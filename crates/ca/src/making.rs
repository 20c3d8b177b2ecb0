//! The one way to a CA key.
//!
//! 1. Prepare, lint, store, announce: one commit. *Dying before: nothing. After: the stored octets
//!    and their intention stand, and [`crate::Ca::recover`] goes on from here.*
//! 2. The key signs the stored octets. *Dying here: a signature at most in lost memory. RSA gives
//!    the same one again; ECDSA another one over the same octets, of which one is ever stored.*
//! 3. What came back is held against what was stored and against the authority's public key.
//! 4. Certificate (or list) and outcome: one commit. *Dying after: the same order finds it done.*

use std::sync::Arc;

use hpki::certificate::Certificate;
use hpki::crl::Crl;
use hpki::encoding::{Digest32, sha256};
use hpki::id::{KeyId, PersonId};
use hpki::lint;
use hpki::profile::ToBeSigned;
use hpki::sign::Sign;
use hpki::time::Timestamp;
use ledger::tlog::Proof;
use ledger::{Event, Fault, Intention, Outcome, OutcomeFields, Receipt, Record, Tx};

use crate::Ca;
use crate::authority::Authority;
use crate::refusal::{Failed, Refusal, by_profile, by_vault};
use crate::tables::{self, AuthorityRow, Earlier, OpenWork, Place};

/// From a serial number and the issuer's certificate (absent for a self-signed one) to what is
/// signed.
type Prepare =
    dyn Fn(&[u8], Option<&Certificate>) -> Result<ToBeSigned, hpki::Refusal> + Send + Sync;

/// A certificate to be made.
pub(crate) struct Request {
    pub(crate) authority: Authority,
    pub(crate) order: Digest32,
    pub(crate) key: Option<KeyId>,
    pub(crate) person: Option<PersonId>,
    /// The authority that comes into being with this certificate.
    pub(crate) makes: Option<Authority>,
    pub(crate) prepare: Box<Prepare>,
}

/// What was made.
pub(crate) enum Made {
    Certificate(Certificate),
    List(Crl),
}

/// Proof that these octets were announced in the journal; without it no CA key signs.
pub(crate) struct Announced {
    index: u64,
    dtbsr: Digest32,
}

impl Announced {
    pub(crate) fn by(receipt: Receipt<Intention>) -> Result<Self, Failed> {
        let dtbsr = receipt.record().dtbsr;
        let dtbsr = dtbsr.ok_or_else(|| Fault::Misuse("an intention to sign nothing".into()))?;
        Ok(Self { index: receipt.index(), dtbsr })
    }
}

impl OpenWork {
    fn is_list(&self) -> bool {
        matches!(self.place, Place::List { .. })
    }
    fn events(&self) -> [Event; 3] {
        if self.is_list() {
            [Event::CrlIntended, Event::CrlIssued, Event::CrlInterrupted]
        } else {
            [Event::CertificateIntended, Event::CertificateIssued, Event::CertificateInterrupted]
        }
    }
    fn record(&self, event: Event, authority: &AuthorityRow, now: Timestamp) -> Record {
        let mut record = Record::new(event, authority.stream, now);
        record.key = self.key;
        record.person = self.person;
        record.dtbsr = Some(sha256(self.prepared.der()));
        record
    }
}

impl Ca {
    /// Makes the certificate, or gives the one that this very order made before.
    pub(crate) async fn make(
        &self,
        request: Request,
        now: Timestamp,
    ) -> Result<Certificate, Failed> {
        let order = request.order;
        if let Some(made) = self.made_before(order, now).await? {
            return Ok(made);
        }
        let made = match self.announce_certificate(request, now).await {
            Ok((work, announced)) => self.finish(work, announced, now).await?,
            // The same order may have been placed twice at once, and the other one was first.
            Err(Failed::Refused(Refusal::KeyAlreadyCertified)) => {
                let made = self.made_before(order, now).await?;
                return made.ok_or(Failed::Refused(Refusal::KeyAlreadyCertified));
            }
            Err(failed) => return Err(failed),
        };
        certificate(made)
    }

    /// What this very order made before, or makes now by going on where it stopped.
    async fn made_before(
        &self,
        order: Digest32,
        now: Timestamp,
    ) -> Result<Option<Certificate>, Failed> {
        let earlier = self.ledger.read(move |tx| Ok::<_, Failed>(tables::earlier(tx, &order)?));
        match earlier.await? {
            Some(Earlier::Made(made)) => Ok(Some(made)),
            Some(Earlier::Open(work)) => certificate(self.resume(*work, now).await?).map(Some),
            None => Ok(None),
        }
    }

    async fn announce_certificate(
        &self,
        request: Request,
        now: Timestamp,
    ) -> Result<(OpenWork, Announced), Failed> {
        let journal_floor = self.ledger.size();
        let (work, receipt) = self
            .ledger
            .record(move |tx| {
                if tables::earlier(tx, &request.order)?.is_some() {
                    return Err(Failed::Refused(Refusal::KeyAlreadyCertified));
                }
                if let Some(key) = &request.key {
                    must_be_uncertified(tx, key)?;
                }
                let authority = tables::authority(tx, request.authority)?;
                let own = authority.certificate.as_ref();
                may_issue(&request, &authority)?;
                let serial = take(tx, request.authority, "next_serial")?;
                let serial = shortest(serial);
                let prepared = (request.prepare)(&serial, own).map_err(by_profile)?;
                lint::prepared(&prepared).map_err(by_profile)?;
                // A signature is not needed to read what will be signed.
                let trial = Certificate::from_der(&prepared.assemble(&[0])).map_err(by_profile)?;
                let within = own.is_none_or(|own| {
                    own.not_before() <= trial.not_before() && trial.not_after() <= own.not_after()
                });
                if !within {
                    return Err(Failed::Refused(Refusal::ValidityOutsideAuthority));
                }
                tx.exec(
                    "INSERT INTO ca_certificate (authority, serial, status, profile, tbs,
                        order_hash, key, person, makes, not_after, journal_floor)
                     VALUES ($1, $2, 'prepared', $3, $4, $5, $6, $7, $8, $9, $10)",
                    &[
                        request.authority.name().into(),
                        (&serial).into(),
                        prepared.profile().name().into(),
                        prepared.der().into(),
                        request.order.into(),
                        request.key.into(),
                        request.person.into(),
                        request.makes.map(Authority::name).into(),
                        trial.not_after().into(),
                        journal_floor.into(),
                    ],
                )?;
                let work = OpenWork {
                    authority: request.authority,
                    place: Place::Certificate { serial },
                    prepared,
                    key: request.key,
                    person: request.person,
                    makes: request.makes,
                    journal_floor,
                };
                let mut record = work.record(Event::CertificateIntended, &authority, now);
                record.evidence = Some(request.order);
                Ok((work, Intention(record)))
            })
            .await?;
        Ok((work, Announced::by(receipt)?))
    }

    /// Goes on with something that was announced before.
    pub(crate) async fn resume(&self, work: OpenWork, now: Timestamp) -> Result<Made, Failed> {
        let announced = self.find_announcement(&work).await?;
        self.finish(work, announced, now).await
    }

    /// Finds the intention of stored work in the journal. It was appended by the commit that stored
    /// the work, so it is among the first entries after those that stood before.
    async fn find_announcement(&self, work: &OpenWork) -> Result<Announced, Failed> {
        let [intended, ..] = work.events();
        let dtbsr = sha256(work.prepared.der());
        let by_journal = |refusal| Failed::Refused(Refusal::Journal(refusal));
        for index in work.journal_floor..self.ledger.size() {
            let proof = self.ledger.prove(index).await;
            let proof = proof.map_err(|failed| failed.map(Refusal::Journal))?;
            let proof = Proof::parse(&proof).map_err(by_journal)?;
            let entry = proof.verify(self.ledger.verify_key()).map_err(by_journal)?;
            let record = &entry.opening.record;
            if record.event == intended && record.dtbsr == Some(dtbsr) {
                return Ok(Announced { index, dtbsr });
            }
        }
        Err(Failed::Refused(Refusal::IssuanceNotAnnounced))
    }

    /// Signs what was announced, judges it, and commits it with its outcome.
    pub(crate) async fn finish(
        &self,
        work: OpenWork,
        announced: Announced,
        now: Timestamp,
    ) -> Result<Made, Failed> {
        let name = work.authority;
        let authority = self.ledger.read(move |tx| tables::authority(tx, name)).await?;
        let signed = self.sign(&work, &authority, &announced)?;
        let (der, signature_hash) = match signed {
            Ok(signed) => signed,
            Err(refusal) => {
                tracing::error!(authority = %name, %refusal, "a CA key made something wrong");
                self.interrupt(work, authority, announced.index, now).await?;
                return Err(Failed::Refused(Refusal::IssuanceInterrupted(refusal.to_string())));
            }
        };
        let made = if work.is_list() {
            Made::List(Crl::from_der(&der).map_err(by_profile)?)
        } else {
            Made::Certificate(Certificate::from_der(&der).map_err(by_profile)?)
        };
        let outcome = OutcomeFields {
            signature_hash: Some(signature_hash),
            intention_index: announced.index,
        };
        let work = Arc::new(work);
        let finished = Arc::clone(&work);
        let closed = self
            .ledger
            .record(move |tx| {
                let [_, issued, _] = finished.events();
                let mut record = finished.record(issued, &authority, now);
                record.outcome = Some(outcome.clone());
                close(tx, &finished, "issued", Some(&der))?;
                Ok(((), Outcome(record)))
            })
            .await;
        match closed {
            Ok(_) => Ok(made),
            // Somebody else resumed the same work and was first: theirs is the one that counts.
            Err(ledger::Failed::Refused(ClosedBefore)) => self.finished(&work).await,
            Err(ledger::Failed::Fault(fault)) => Err(fault.into()),
        }
    }

    /// The only place where a CA key signs. The inner refusal: what came back is wrong.
    #[allow(clippy::type_complexity)] // two layers of "no": ours, and the judge's
    fn sign(
        &self,
        work: &OpenWork,
        authority: &AuthorityRow,
        announced: &Announced,
    ) -> Result<Result<(Vec<u8>, Digest32), hpki::Refusal>, Failed> {
        let prepared = &work.prepared;
        if announced.dtbsr != sha256(prepared.der()) {
            return Err(Failed::Refused(Refusal::IssuanceNotAnnounced));
        }
        let key = self.desk.key(work.authority.name()).map_err(by_vault)?;
        if authority.spki.as_deref() != Some(key.spki_der()) {
            return Err(Failed::Refused(Refusal::CeremonyKeyStray(work.authority.name())));
        }
        let signature = key.sign(prepared.der())?;
        let der = prepared.assemble(&signature);
        let judged = if work.is_list() {
            lint::issued_list(prepared, &der, key.spki_der()).map(|_| ())
        } else {
            lint::issued(prepared, &der, key.spki_der()).map(|_| ())
        };
        Ok(judged.map(|()| (der, sha256(&signature))))
    }

    async fn interrupt(
        &self,
        work: OpenWork,
        authority: AuthorityRow,
        intention_index: u64,
        now: Timestamp,
    ) -> Result<(), Failed> {
        let closed = self
            .ledger
            .record(move |tx| {
                let [_, _, interrupted] = work.events();
                let mut record = work.record(interrupted, &authority, now);
                record.outcome = Some(OutcomeFields { signature_hash: None, intention_index });
                close(tx, &work, "interrupted", None)?;
                Ok(((), Outcome(record)))
            })
            .await;
        match closed {
            Ok(_) | Err(ledger::Failed::Refused(ClosedBefore)) => Ok(()),
            Err(ledger::Failed::Fault(fault)) => Err(fault.into()),
        }
    }

    async fn finished(&self, work: &OpenWork) -> Result<Made, Failed> {
        let (authority, place) = (work.authority, work.place.clone());
        self.ledger
            .read(move |tx| {
                let row = match &place {
                    Place::Certificate { serial } => tx.query_one(
                        "SELECT der FROM ca_certificate WHERE authority = $1 AND serial = $2",
                        &[authority.name().into(), serial.into()],
                    )?,
                    Place::List { name, number } => tx.query_one(
                        "SELECT der FROM ca_list WHERE name = $1 AND number = $2",
                        &[name.into(), (*number).into()],
                    )?,
                };
                let Some(der) = row.opt_blob(0)? else {
                    let why = "the work was interrupted elsewhere".to_owned();
                    return Err(Failed::Refused(Refusal::IssuanceInterrupted(why)));
                };
                match place {
                    Place::Certificate { .. } => Ok(Made::Certificate(tables::stored(der)?)),
                    Place::List { .. } => Ok(Made::List(Crl::from_der(der).map_err(by_profile)?)),
                }
            })
            .await
    }
}

fn certificate(made: Made) -> Result<Certificate, Failed> {
    match made {
        Made::Certificate(certificate) => Ok(certificate),
        Made::List(_) => Err(Fault::Misuse("a list where a certificate was made".into()).into()),
    }
}

/// Somebody else closed the same intention before.
#[derive(Debug, thiserror::Error)]
#[error("closed before")]
struct ClosedBefore;

/// Closes prepared work once; compare-and-set on its status.
fn close(
    tx: &Tx<'_>,
    work: &OpenWork,
    status: &str,
    der: Option<&[u8]>,
) -> Result<(), ledger::Failed<ClosedBefore>> {
    let changed = match &work.place {
        Place::Certificate { serial } => tx.exec(
            "UPDATE ca_certificate SET status = $3, der = $4
             WHERE authority = $1 AND serial = $2 AND status = 'prepared'",
            &[work.authority.name().into(), serial.into(), status.into(), der.into()],
        )?,
        Place::List { name, number } => tx.exec(
            "UPDATE ca_list SET status = $3, der = $4
             WHERE name = $1 AND number = $2 AND status = 'prepared'",
            &[name.into(), (*number).into(), status.into(), der.into()],
        )?,
    };
    if changed != 1 {
        return Err(ledger::Failed::Refused(ClosedBefore));
    }
    if let (Some(made), Some(der)) = (work.makes, der) {
        tx.exec(
            "UPDATE ca_authority SET certificate = $2 WHERE name = $1",
            &[made.name().into(), der.into()],
        )?;
    }
    Ok(())
}

fn must_be_uncertified(tx: &Tx<'_>, key: &KeyId) -> Result<(), Failed> {
    let sql = "SELECT 1 FROM ca_certificate WHERE key = $1 AND status <> 'interrupted'";
    if tx.query_opt(sql, &[key.into()])?.is_some() {
        return Err(Failed::Refused(Refusal::KeyAlreadyCertified));
    }
    Ok(())
}

/// Whether the authority is there and was not revoked. Only for its own certificate may it still be
/// without one.
fn may_issue(request: &Request, authority: &AuthorityRow) -> Result<(), Failed> {
    let name = request.authority.name();
    if authority.revoked {
        return Err(Failed::Refused(Refusal::AuthorityRevoked(name)));
    }
    if authority.certificate.is_none() && request.makes != Some(request.authority) {
        return Err(Failed::Refused(Refusal::AuthorityUnknown(name)));
    }
    Ok(())
}

/// Takes the next number of a counter; a number is never taken twice.
pub(crate) fn take(tx: &Tx<'_>, authority: Authority, counter: &str) -> Result<u64, Fault> {
    let sql = format!(
        "UPDATE ca_authority SET {counter} = {counter} + 1 WHERE name = $1
         RETURNING {counter} - 1"
    );
    tx.query_one(&sql, &[authority.name().into()])?.number(0)
}

fn shortest(number: u64) -> Vec<u8> {
    let octets = number.to_be_bytes();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    octets[zeros..].to_vec()
}
