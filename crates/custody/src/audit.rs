//! Looking at every kept key: its seal, its wrapped form, the device's proof that it made it or
//! took it over, and whether certificate and key belong together.
//!
//! A round looks at a few keys, so that it can run beside everything else; a key is checked before
//! its first use anyway.

use hpki::Certificate;
use hpki::encoding::sha256;
use hpki::id::KeyId;
use hpki::time::Timestamp;
use serde::Serialize;

use crate::Failed as Bad;
use crate::alarm::AlarmKind;
use crate::directive::DirectiveRow;
use crate::key::{KeyRow, KeyState};
use crate::life::signing_certificate;
use crate::officer::OfficerRow;
use crate::room::{Custody, Inner};

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The key concerned; none where it is about another row.
    pub key: Option<KeyId>,
    /// What is wrong: `seal-broken`, `blob-broken`, `blob-not-owners`, `proof-wrong`,
    /// `certificate-of-another-key`, `certificate-not-for-signing`, `expiry-wrong`,
    /// `blob-not-zeroed`.
    pub wrong: &'static str,
}

/// How far an audit has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// The last key that was looked at.
    pub last: Option<KeyId>,
    /// Keys looked at in this round; none when it is over.
    pub checked: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Custody {
    /// How many keys there are to look at.
    pub async fn key_count(&self) -> Result<u64, Bad> {
        self.0
            .ledger
            .read(|tx| Ok(tx.query_one("SELECT count(*) FROM custody_key", &[])?.number(0)?))
            .await
    }

    /// Looks at the next keys, at most `count`, that follow `after`. What is wrong raises an alarm.
    pub async fn audit_round(
        &self,
        after: Option<KeyId>,
        count: u32,
        now: Timestamp,
    ) -> Result<Round, Bad> {
        let inner = &*self.0;
        let from = after.map(|key| key.octets().to_vec()).unwrap_or_default();
        let rows = inner.ledger.read(move |tx| Ok(KeyRow::page(tx, &from, count)?)).await?;
        let mut round = Round { last: rows.last().map(|row| row.id).or(after), ..Round::default() };
        for row in &rows {
            round.checked += 1;
            if let Some(wrong) = inner.look_at(row).await? {
                let kind = match wrong {
                    "seal-broken" => AlarmKind::SealBroken,
                    _ => AlarmKind::KeyBroken,
                };
                inner.alarm(kind, Some(row.id), wrong, now).await;
                round.findings.push(Finding { key: Some(row.id), wrong });
            }
        }
        Ok(round)
    }

    /// The seals of officers and directives.
    pub async fn audit_offices(&self) -> Result<Vec<Finding>, Bad> {
        let inner = &*self.0;
        let (officers, directives) =
            inner.ledger.read(|tx| Ok((OfficerRow::all(tx)?, DirectiveRow::all(tx)?))).await?;
        let mut broken = 0;
        for row in &officers {
            broken += usize::from(!inner.room.seal_holds(&row.statement(), &row.seal)?);
        }
        for row in &directives {
            broken += usize::from(!inner.room.seal_holds(&row.statement()?, &row.seal)?);
        }
        Ok(vec![Finding { key: None, wrong: "seal-broken" }; broken])
    }
}

impl Inner {
    async fn look_at(&self, row: &KeyRow) -> Result<Option<&'static str>, Bad> {
        if !self.room.seal_holds(&row.statement(), &row.seal)? {
            return Ok(Some("seal-broken"));
        }
        if row.state == KeyState::Destroyed {
            let zeroed = row.wrapped.iter().all(|octet| *octet == 0);
            return Ok((!zeroed).then_some("blob-not-zeroed"));
        }
        if let Some(wrong) = self.room.inspect(row).await? {
            return Ok(Some(wrong));
        }
        let Some(der) = &row.certificate else {
            return Ok(row.not_after.map(|_| "expiry-wrong"));
        };
        let Ok(certificate) = Certificate::from_der(der) else {
            return Ok(Some("certificate-not-for-signing"));
        };
        if sha256(certificate.spki_der()) != sha256(&row.spki) {
            return Ok(Some("certificate-of-another-key"));
        }
        if signing_certificate(&certificate, row.qualification).is_err() {
            return Ok(Some("certificate-not-for-signing"));
        }
        Ok((row.not_after != Some(certificate.not_after())).then_some("expiry-wrong"))
    }
}
