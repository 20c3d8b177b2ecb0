//! The life of a kept key: Generated → Certified → Held ⇄ Suspended → Destroyed.

use std::sync::Arc;

use hpki::Certificate;
use hpki::certificate::KeyUsage;
use hpki::encoding::Digest32;
use hpki::id::{DirectiveId, KeyId, PersonId};
use hpki::qualification::Qualification;
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Receipt, Record, Tx};

use crate::alarm::AlarmKind;
use crate::directive::Act;
use crate::key::{Kept, KeyFacts, KeyRow, KeyState, Purpose, StopReason, stops};
use crate::refusal::Refusal;
use crate::room::{Custody, Inner};
use crate::{Failed as Bad, refused};

/// The owner's recorded choice to have a key kept (CP 4.12; GEN-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// SHA-256 of the record of it.
    pub document: Digest32,
}

/// A fresh kept key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The key.
    pub key: KeyId,
    /// Its public key, DER SubjectPublicKeyInfo.
    pub spki_der: Vec<u8>,
}

/// How often a change is tried against somebody else's.
pub(crate) const TRIES: usize = 8;

/// What a change of state does: the event to record, or nothing because it is so already.
type Change = Result<Option<(Event, Option<Digest32>)>, Refusal>;

impl Custody {
    /// Makes a key inside the device for its owner, one qualification and one purpose.
    ///
    /// Refused: `key-already-kept` (one for each person and qualification), and
    /// `qualification-not-certifiable`.
    pub async fn generate(
        &self,
        owner: PersonId,
        qualification: Qualification,
        purpose: Purpose,
        consent: Consent,
        now: Timestamp,
    ) -> Result<Fresh, Bad> {
        let inner = &*self.0;
        let Some(role) = qualification.role() else {
            return refused(hpki::Refusal::QualificationNotCertifiable("its role is not known"));
        };
        let kept_already = inner
            .ledger
            .read(move |tx| {
                let sql = "SELECT 1 FROM custody_key
                           WHERE owner = $1 AND role = $2 AND state <> 'destroyed' LIMIT 1";
                Ok(!tx.query(sql, &[owner.into(), role.into()])?.is_empty())
            })
            .await?;
        if kept_already {
            return refused(Refusal::KeyAlreadyKept);
        }
        let key = KeyId::random(&*inner.random);
        let policy = purpose.policy();
        let made = match inner.stocked_for(key, owner, policy, now).await? {
            Some(made) => made,
            None => inner.room.generate(key, owner, policy, now).await?,
        };
        let mut row = KeyRow {
            id: key,
            owner,
            qualification,
            purpose,
            state: KeyState::Generated,
            reason: String::new(),
            spki: made.spki_der,
            wrapped: made.wrapped,
            proof: made.proof,
            created: now,
            consent: consent.document,
            origin: String::new(),
            certificate: None,
            ended: None,
            not_after: None,
            seal: Vec::new(),
        };
        row.seal = inner.room.seal(&row.statement())?.to_vec();
        let mut record = Record::of_key(Event::KeyGenerated, key, now);
        record.person = Some(owner);
        record.evidence = Some(consent.document);
        let spki_der = row.spki.clone();
        let work = Arc::new((row, record));
        // Dying before this commit leaves a key that nobody has: its only copy was in memory.
        inner
            .ledger
            .record(move |tx| {
                let (row, record) = &*work;
                if row.insert(tx)? {
                    Ok(((), Note(record.clone())))
                } else {
                    Err(Failed::Refused(Refusal::KeyAlreadyKept))
                }
            })
            .await?;
        Ok(Fresh { key, spki_der })
    }

    /// Matches a certificate to its key. The same certificate again changes nothing.
    ///
    /// Refused: `certificate-of-another-key`, `certificate-not-for-signing`, `key-wrong-state`.
    pub async fn certify(
        &self,
        key: KeyId,
        certificate: &Certificate,
        now: Timestamp,
    ) -> Result<(), Bad> {
        self.0
            .change(key, now, |row| {
                if row.certificate.as_deref() == Some(certificate.der()) {
                    return Ok(None);
                }
                if row.state != KeyState::Generated {
                    return Err(Refusal::KeyWrongState(row.state.name()));
                }
                if certificate.spki_der() != row.spki {
                    return Err(Refusal::CertificateOfAnotherKey);
                }
                signing_certificate(certificate, row.qualification)?;
                row.certificate = Some(certificate.der().to_vec());
                row.not_after = Some(certificate.not_after());
                row.state = KeyState::Certified;
                Ok(Some((Event::KeyCertified, Some(certificate.sha256()))))
            })
            .await
    }

    /// Takes a certified key into keeping: from now it can be activated.
    pub async fn hold(&self, key: KeyId, now: Timestamp) -> Result<(), Bad> {
        self.0
            .change(key, now, |row| match row.state {
                KeyState::Held => Ok(None),
                KeyState::Certified => {
                    row.state = KeyState::Held;
                    Ok(Some((Event::KeyHeld, None)))
                }
                other => Err(Refusal::KeyWrongState(other.name())),
            })
            .await
    }

    /// Stops a key: from this commit it signs nothing, its open budgets end, it is unloaded. Each
    /// reason stops it by itself; the same reason again changes nothing.
    pub async fn stop_key(
        &self,
        key: KeyId,
        reason: StopReason,
        now: Timestamp,
    ) -> Result<(), Bad> {
        self.0.stop(key, reason, Event::KeySuspended, now).await
    }

    /// Lets a key sign again that its owner or the desk stopped: by a directive of two officers,
    /// which rests on the owner's request where it was she who stopped it.
    ///
    /// Refused: what a directive is refused for; `key-wrong-state` for a key that is not stopped, or
    /// by something that cannot be lifted.
    pub async fn restart(&self, directive: DirectiveId, now: Timestamp) -> Result<(), Bad> {
        let inner = &*self.0;
        let ready = inner.ready(directive, now).await?;
        let Act::Restart { key, .. } = ready.directive.act else {
            return refused(Refusal::DirectiveOfAnotherAct);
        };
        let before = inner.key_row(key).await?;
        let liftable = before.state == KeyState::Suspended
            && stops(&before.reason).into_iter().all(StopReason::can_be_lifted);
        if !liftable {
            return refused(Refusal::KeyWrongState(before.state.name()));
        }
        let mut after = before.clone();
        lift(&mut after);
        let evidence = ready.evidence()?;
        inner
            .carry_out_on_key(before, after, Event::KeyResumed, evidence, now, move |tx| {
                ready.close(tx)
            })
            .await?;
        Ok(())
    }

    /// What may be told about a key.
    pub async fn key(&self, key: KeyId) -> Result<KeyFacts, Bad> {
        Ok(self.0.key_row(key).await?.facts())
    }
}

/// Only signing keys are kept (GEN-3): keyUsage is nonRepudiation and nothing else.
pub(crate) fn signing_certificate(
    certificate: &Certificate,
    qualification: Qualification,
) -> Result<(), Refusal> {
    if certificate.is_ca() || certificate.key_usage() != Some(KeyUsage::NON_REPUDIATION) {
        return Err(Refusal::CertificateNotForSigning("its key usage"));
    }
    if certificate.qualification() != Some(qualification) {
        return Err(Refusal::CertificateNotForSigning("its qualification"));
    }
    Ok(())
}

/// Takes every stop from a row.
pub(crate) fn lift(row: &mut KeyRow) {
    row.reason = String::new();
    row.state = if row.certificate.is_some() { KeyState::Held } else { KeyState::Generated };
}

/// Stops a row for this reason; false where it is stopped for it already.
pub(crate) fn add_stop(
    row: &mut KeyRow,
    reason: StopReason,
    now: Timestamp,
) -> Result<bool, Refusal> {
    if row.state == KeyState::Destroyed {
        return Err(Refusal::KeyWrongState(row.state.name()));
    }
    let mut reasons = stops(&row.reason);
    if row.state == KeyState::Suspended && reasons.contains(&reason) {
        return Ok(false);
    }
    reasons.push(reason);
    row.state = KeyState::Suspended;
    row.reason = reasons.iter().map(|reason| reason.name()).collect::<Vec<_>>().join(",");
    if !reason.can_be_lifted() && row.ended.is_none() {
        row.ended = Some(now);
    }
    Ok(true)
}

impl Inner {
    pub(crate) async fn stop(
        &self,
        key: KeyId,
        reason: StopReason,
        event: Event,
        now: Timestamp,
    ) -> Result<(), Bad> {
        self.change(key, now, |row| Ok(add_stop(row, reason, now)?.then_some((event, None))))
            .await?;
        self.end_budgets_of(key, None, now).await
    }

    /// The row as it is now, its seal checked.
    pub(crate) async fn key_row(&self, key: KeyId) -> Result<KeyRow, Bad> {
        let row = self.ledger.read(move |tx| Ok(KeyRow::read(tx, key)?)).await?;
        match row {
            None => refused(Refusal::KeyUnknown),
            Some(row) if self.room.seal_holds(&row.statement(), &row.seal)? => Ok(row),
            Some(row) => {
                let now = self.ledger.last_time().unwrap_or(row.created);
                self.raise(AlarmKind::SealBroken, Some(key), "custody_key", now);
                refused(Refusal::SealBroken("custody_key"))
            }
        }
    }

    /// A key prepared for signing, remembered once checked. What has changed since shows when
    /// drawing from a budget, which names the key's seal.
    pub(crate) async fn kept(&self, key: KeyId) -> Result<Arc<Kept>, Bad> {
        if let Some(kept) = self.kept.get(&key) {
            return Ok(kept);
        }
        let kept = Arc::new(Kept::prepare(self.key_row(key).await?)?);
        self.kept.put(key, Arc::clone(&kept));
        Ok(kept)
    }

    /// Writes a key's row as a directive wants it, and whatever closes the directive, in one commit;
    /// gives the receipt. A row that somebody else changed meanwhile is not touched.
    pub(crate) async fn carry_out_on_key(
        &self,
        before: KeyRow,
        mut after: KeyRow,
        event: Event,
        evidence: Digest32,
        now: Timestamp,
        also: impl Fn(&Tx<'_>) -> Result<(), Failed<Refusal>> + Send + 'static,
    ) -> Result<Receipt<Note>, Bad> {
        let key = after.id;
        after.seal = self.room.seal(&after.statement())?.to_vec();
        let mut record = Record::of_key(event, key, now);
        record.person = Some(after.owner);
        record.evidence = Some(evidence);
        let recorded = self
            .ledger
            .record(move |tx| {
                also(tx)?;
                if after.replace(tx, &before.seal)? {
                    Ok(((), Note(record.clone())))
                } else {
                    Err(Failed::Refused(Refusal::DirectiveMoved))
                }
            })
            .await;
        self.kept.remove(&key);
        self.room.forget(key);
        Ok(recorded?.1)
    }

    /// Reads, changes and writes back a row, if nobody changed it meanwhile; else tries again.
    async fn change(
        &self,
        key: KeyId,
        now: Timestamp,
        change: impl Fn(&mut KeyRow) -> Change,
    ) -> Result<(), Bad> {
        for _ in 0..TRIES {
            let before = self.key_row(key).await?;
            let mut after = before.clone();
            let Some((event, evidence)) = change(&mut after).map_err(Failed::Refused)? else {
                return Ok(());
            };
            after.seal = self.room.seal(&after.statement())?.to_vec();
            let mut record = Record::of_key(event, key, now);
            record.person = Some(after.owner);
            record.evidence = evidence;
            let work = Arc::new((before.seal, after, record));
            let recorded = self
                .ledger
                .record(move |tx| {
                    let (before, after, record) = &*work;
                    if after.replace(tx, before)? {
                        Ok(((), Note(record.clone())))
                    } else {
                        Err(Failed::Refused(()))
                    }
                })
                .await;
            self.kept.remove(&key);
            self.room.forget(key);
            match recorded {
                Ok(_) => return Ok(()),
                Err(Failed::Refused(())) => {}
                Err(Failed::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(Fault::Misuse("a key's row changes all the time".into()).into())
    }
}
