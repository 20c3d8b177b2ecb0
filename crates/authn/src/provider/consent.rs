//! What the owner of a key lets services know. Each login states it and is approved anew; here it
//! stands until she takes it back on her page, which ends what the service can still ask for.

use approval::LoginStatement;
use hpki::id::KeyId;
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record, Tx};

use super::refusal::Wrong;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::visit::Visit;

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// `client_id`
    pub client: String,
    /// Its registered name, as she was shown it.
    pub name: String,
    /// What it was told.
    pub scopes: Vec<String>,
    /// When she first approved it.
    pub given: Timestamp,
    /// When she last did.
    pub last: Timestamp,
}

/// Writes it down within the commit that sends the browser back.
pub(crate) fn give(
    tx: &Tx<'_>,
    statement: &LoginStatement,
    name: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.exec(
        "INSERT INTO authn_consent (key, client, name, scopes, given, last)
         VALUES ($1, $2, $3, $4, $5, $5)
         ON CONFLICT (key, client) DO UPDATE
         SET name = excluded.name, scopes = excluded.scopes, last = excluded.last,
             given = CASE WHEN authn_consent.ended IS NULL THEN authn_consent.given
                          ELSE excluded.given END,
             ended = NULL",
        &[
            statement.key.into(),
            (&statement.client_id).into(),
            name.into(),
            statement.scopes.join(" ").into(),
            now.into(),
        ],
    )?;
    Ok(())
}

/// Ends what services can still ask for about the owner of this key: access tokens, codes on their
/// way, and logins that have not come to one; those of one client, or of all.
pub(crate) fn end_all(
    tx: &Tx<'_>,
    key: KeyId,
    client: Option<&str>,
    now: Timestamp,
) -> Result<(), Fault> {
    let (all, whose) = (client.is_none(), client.unwrap_or_default());
    let hers = "key = $1 AND ($2 = 1 OR client = $3)";
    tx.exec(
        "UPDATE authn_access SET ended = $4
         WHERE key = $1 AND ended IS NULL AND ($2 = 1 OR client = $3)",
        &[key.into(), all.into(), whose.into(), now.into()],
    )?;
    tx.exec(
        &format!(
            "UPDATE authn_code SET replayed = $4, spent = coalesce(spent, $4)
             WHERE replayed IS NULL AND login IN (SELECT id FROM authn_login WHERE {hers})"
        ),
        &[key.into(), all.into(), whose.into(), now.into()],
    )?;
    tx.exec(
        &format!(
            "UPDATE authn_login SET step = 'refused'
             WHERE {hers} AND step IN ('claimed', 'approved')"
        ),
        &[key.into(), all.into(), whose.into()],
    )?;
    Ok(())
}

impl Authn {
    /// What she lets services know, the newest first.
    ///
    /// # Errors
    /// A fault.
    pub async fn consents(&self, visit: &Visit) -> Result<Vec<Consent>, Failed<Refusal>> {
        let key = visit.key();
        self.ledger
            .read(move |tx| {
                let rows = tx.query(
                    "SELECT client, name, scopes, given, last FROM authn_consent
                     WHERE key = $1 AND ended IS NULL ORDER BY last DESC LIMIT 200",
                    &[key.into()],
                )?;
                let read = rows.iter().map(|row| {
                    Ok(Consent {
                        client: row.text(0)?.to_owned(),
                        name: row.text(1)?.to_owned(),
                        scopes: row.text(2)?.split(' ').map(str::to_owned).collect(),
                        given: row.time(3)?,
                        last: row.time(4)?,
                    })
                });
                Ok(read.collect::<Result<_, Fault>>()?)
            })
            .await
    }

    /// She takes it back: the service's tokens end in this commit, codes on their way with them.
    ///
    /// # Errors
    /// `oauth-consent-unknown`, or a fault.
    pub async fn end_consent(
        &self,
        visit: &Visit,
        client: &str,
        now: Timestamp,
    ) -> Result<(), Failed<Refusal>> {
        let (key, person, client) = (visit.key(), visit.person(), client.to_owned());
        self.ledger
            .record(move |tx| {
                let ended = tx.exec(
                    "UPDATE authn_consent SET ended = $3
                     WHERE key = $1 AND client = $2 AND ended IS NULL",
                    &[key.into(), (&client).into(), now.into()],
                )?;
                if ended != 1 {
                    return Err(Failed::Refused(Refusal::Provider(Wrong::ConsentUnknown)));
                }
                end_all(tx, key, Some(&client), now)?;
                let mut record = Record::of_key(Event::ConsentEnded, key, now);
                record.person = Some(person);
                Ok(((), Note(record)))
            })
            .await?;
        Ok(())
    }
}
