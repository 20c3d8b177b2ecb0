//! Revocation lists: the root's RARL and SARL, and one of each other authority.

use hpki::crl::{Crl, Reason, Revoked};
use hpki::encoding::sha256;
use hpki::lint;
use hpki::profile::Issuer;
use hpki::profile::crl::{NEXT_UPDATE_S, RevocationList, Scope};
use hpki::time::Timestamp;
use ledger::{Event, Fault, Intention, Record, Tx};

use crate::Ca;
use crate::authority::Authority;
use crate::config::CaConfig;
use crate::making::{Announced, Made, take};
use crate::refusal::{Failed, Refusal, by_profile};
use crate::tables::{self, OpenWork, Place};

/// The lists of an authority by name. The root's RARL covers itself, its SARL those under it.
pub(crate) fn names(authority: Authority) -> &'static [&'static str] {
    match authority {
        Authority::Root => &["rarl", "sarl"],
        Authority::Signing(signing) => match signing {
            crate::SigningAuthority::Jma => &["jma"],
            crate::SigningAuthority::Jpa => &["jpa"],
            crate::SigningAuthority::Medis => &["medis"],
        },
        Authority::Authentication(signing) => match signing {
            crate::SigningAuthority::Jma => &["jma-auth"],
            crate::SigningAuthority::Jpa => &["jpa-auth"],
            crate::SigningAuthority::Medis => &["medis-auth"],
        },
        Authority::Facility => &["facility"],
    }
}

impl Ca {
    /// Issues every list anew: name and DER. Due daily and at once after a revocation; each promises
    /// its successor within 96 hours.
    pub async fn issue_crls(&self, now: Timestamp) -> Result<Vec<(String, Vec<u8>)>, Failed> {
        let mut made = Vec::new();
        for (authority, _) in self.authorities().await? {
            made.extend(self.issue_crls_of(authority, now).await?);
        }
        Ok(made)
    }

    /// Issues the list (of the root: both lists) of one authority.
    pub async fn issue_crls_of(
        &self,
        authority: Authority,
        now: Timestamp,
    ) -> Result<Vec<(String, Vec<u8>)>, Failed> {
        let mut made = Vec::new();
        for name in names(authority) {
            let (work, announced) = self.announce_list(authority, name, now).await?;
            let Made::List(list) = self.finish(work, announced, now).await? else {
                return Err(Fault::Misuse("a certificate where a list was made".into()).into());
            };
            made.push(((*name).to_owned(), list.der().to_vec()));
        }
        Ok(made)
    }

    /// The newest list of each name.
    pub async fn lists(&self) -> Result<Vec<(String, Crl)>, Failed> {
        self.ledger
            .read(|tx| {
                let rows = tx.query(
                    "SELECT name, der FROM ca_list AS list WHERE status = 'issued' AND number =
                        (SELECT max(number) FROM ca_list
                         WHERE name = list.name AND status = 'issued')
                     ORDER BY name",
                    &[],
                )?;
                let mut lists = Vec::with_capacity(rows.len());
                for row in &rows {
                    let list = Crl::from_der(row.blob(1)?).map_err(by_profile)?;
                    lists.push((row.text(0)?.to_owned(), list));
                }
                Ok(lists)
            })
            .await
    }

    /// The newest list of this name in DER, as it was issued: for publishing, where anybody may ask
    /// at any rate, it is handed out unread.
    pub async fn published_list(&self, name: &str) -> Result<Option<Vec<u8>>, Failed> {
        let name = name.to_owned();
        self.ledger
            .read(move |tx| {
                let row = tx.query_opt(
                    "SELECT der FROM ca_list WHERE name = $1 AND status = 'issued'
                     ORDER BY number DESC LIMIT 1",
                    &[name.as_str().into()],
                )?;
                Ok(row.map(|row| row.blob(0).map(<[u8]>::to_vec)).transpose()?)
            })
            .await
    }

    async fn announce_list(
        &self,
        authority: Authority,
        name: &'static str,
        now: Timestamp,
    ) -> Result<(OpenWork, Announced), Failed> {
        let (journal_floor, config) = (self.ledger.size(), self.config.clone());
        let (work, receipt) = self
            .ledger
            .record(move |tx| {
                let row = tables::authority(tx, authority)?;
                let own = row.certificate.as_ref();
                let own =
                    own.ok_or(Failed::Refused(Refusal::AuthorityUnknown(authority.name())))?;
                let issuer = Issuer::of(own).map_err(by_profile)?;
                let number = take(tx, authority, "next_list")?;
                let entries = revoked(tx, authority, name, now)?;
                let prepared = prepare(&issuer, authority, name, number, now, &entries, &config)
                    .map_err(by_profile)?;
                tx.exec(
                    "INSERT INTO ca_list (name, number, authority, status, profile, tbs,
                        journal_floor)
                     VALUES ($1, $2, $3, 'prepared', $4, $5, $6)",
                    &[
                        name.into(),
                        number.into(),
                        authority.name().into(),
                        prepared.profile().name().into(),
                        prepared.der().into(),
                        journal_floor.into(),
                    ],
                )?;
                let mut record = Record::new(Event::CrlIntended, row.stream, now);
                record.dtbsr = Some(sha256(prepared.der()));
                let work = OpenWork {
                    authority,
                    place: Place::List { name: name.to_owned(), number },
                    prepared,
                    key: None,
                    person: None,
                    makes: None,
                    journal_floor,
                };
                Ok((work, Intention(record)))
            })
            .await?;
        Ok((work, Announced::by(receipt)?))
    }
}

fn prepare(
    issuer: &Issuer,
    authority: Authority,
    name: &str,
    number: u64,
    now: Timestamp,
    entries: &[(Vec<u8>, Revoked)],
    config: &CaConfig,
) -> Result<hpki::profile::ToBeSigned, hpki::Refusal> {
    let directory = match authority {
        Authority::Root => Some(config.root_list_name(name)?),
        Authority::Signing(_) | Authority::Authentication(_) | Authority::Facility => None,
    };
    let scope = directory.as_ref().map_or(Scope::All, Scope::Authorities);
    let list = RevocationList { issuer, scope, number, this_update: now, entries };
    let prepared = list.prepare()?;
    lint::prepared(&prepared)?;
    Ok(prepared)
}

/// What the list of this name says. An expired certificate leaves the list, but not before one list
/// after its end has named it (RFC 5280 §3.3).
fn revoked(
    tx: &Tx<'_>,
    authority: Authority,
    list: &str,
    now: Timestamp,
) -> Result<Vec<(Vec<u8>, Revoked)>, Fault> {
    let rows = tx.query(
        "SELECT serial, revoked_at, reason, makes FROM ca_certificate
         WHERE authority = $1 AND status = 'revoked' AND not_after >= $2 ORDER BY serial",
        &[authority.name().into(), now.minus(NEXT_UPDATE_S).into()],
    )?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let of_the_root_itself = row.opt_text(3)? == Some(Authority::Root.name());
        if authority == Authority::Root && of_the_root_itself != (list == "rarl") {
            continue;
        }
        let reason = u8::try_from(row.number(2)?).ok().and_then(Reason::from_number);
        let reason = reason.ok_or_else(|| Fault::Row("unknown revocation reason".into()))?;
        entries.push((row.blob(0)?.to_vec(), Revoked { at: row.time(1)?, reason }));
    }
    Ok(entries)
}
