//! The books of this room, and reading them.

use hpki::certificate::Certificate;
use hpki::encoding::Digest32;
use hpki::id::{KeyId, PersonId, StreamId};
use hpki::profile::{Profile, ToBeSigned};
use hpki::sign::SignatureAlgorithm;
use ledger::{Fault, Migration, Row, Tx};

use crate::authority::{Authority, SigningAuthority};
use crate::refusal::{Failed, Refusal};

/// The tables of this room, for [`ledger::Opening::migrations`].
pub const MIGRATIONS: &[Migration] =
    &[Migration { room: "ca", number: 1, sql: include_str!("tables.sql") }];

/// An authority in the books.
#[derive(Debug, Clone)]
pub(crate) struct AuthorityRow {
    pub(crate) stream: StreamId,
    pub(crate) spki: Option<Vec<u8>>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) revoked: bool,
}

pub(crate) fn find_authority(
    tx: &Tx<'_>,
    authority: Authority,
) -> Result<Option<AuthorityRow>, Fault> {
    let sql = "SELECT stream, spki, certificate, revoked FROM ca_authority WHERE name = $1";
    let row = tx.query_opt(sql, &[authority.name().into()])?;
    row.map(|row| {
        Ok(AuthorityRow {
            stream: StreamId::from_octets(row.array(0)?),
            spki: row.opt_blob(1)?.map(<[u8]>::to_vec),
            certificate: row.opt_blob(2)?.map(stored).transpose()?,
            revoked: row.flag(3)?,
        })
    })
    .transpose()
}

/// The authority in the books, or `authority-unknown`.
pub(crate) fn authority(tx: &Tx<'_>, authority: Authority) -> Result<AuthorityRow, Failed> {
    find_authority(tx, authority)?
        .ok_or(Failed::Refused(Refusal::AuthorityUnknown(authority.name())))
}

/// A certificate that we stored ourselves after linting it: unreadable means a broken store.
pub(crate) fn stored(der: &[u8]) -> Result<Certificate, Fault> {
    Certificate::from_der(der).map_err(|refusal| Fault::Row(refusal.to_string()))
}

pub(crate) fn made_certificate(
    tx: &Tx<'_>,
    authority: Authority,
    serial: &[u8],
) -> Result<Option<Certificate>, Fault> {
    let sql = "SELECT der FROM ca_certificate WHERE authority = $1 AND serial = $2";
    let row = tx.query_opt(sql, &[authority.name().into(), serial.into()])?;
    match row {
        Some(row) => row.opt_blob(0)?.map(stored).transpose(),
        None => Ok(None),
    }
}

pub(crate) fn certificate_of_key(
    tx: &Tx<'_>,
    key: &KeyId,
) -> Result<Option<(SigningAuthority, Certificate)>, Failed> {
    let sql = "SELECT authority, der FROM ca_certificate
               WHERE key = $1 AND status IN ('issued', 'revoked')";
    let Some(row) = tx.query_opt(sql, &[key.into()])? else { return Ok(None) };
    let Authority::Signing(signing) = row.parsed(0)? else {
        return Err(Fault::Row("a kept key certified by no signing authority".into()).into());
    };
    Ok(Some((signing, stored(row.blob(1)?)?)))
}

/// Something prepared, signed or not: its place in the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Certificate { serial: Vec<u8> },
    List { name: String, number: u64 },
}

/// Something that was prepared and announced, and is not finished.
#[derive(Debug, Clone)]
pub(crate) struct OpenWork {
    pub(crate) authority: Authority,
    pub(crate) place: Place,
    pub(crate) prepared: ToBeSigned,
    pub(crate) key: Option<KeyId>,
    pub(crate) person: Option<PersonId>,
    /// The authority that comes into being with this certificate.
    pub(crate) makes: Option<Authority>,
    /// The journal had this many entries before the intention.
    pub(crate) journal_floor: u64,
}

const OPEN_CERTIFICATES: &str = "SELECT authority, serial, profile, tbs, key, person, makes,
    journal_floor FROM ca_certificate WHERE status = 'prepared'";

pub(crate) fn open_certificates(tx: &Tx<'_>) -> Result<Vec<OpenWork>, Fault> {
    tx.query(OPEN_CERTIFICATES, &[])?.iter().map(open_certificate).collect()
}

fn open_certificate(row: &Row) -> Result<OpenWork, Fault> {
    let authority = row.parsed(0)?;
    Ok(OpenWork {
        authority,
        place: Place::Certificate { serial: row.blob(1)?.to_vec() },
        prepared: prepared(authority, row.text(2)?, row.blob(3)?)?,
        key: row.opt_array(4)?.map(KeyId::from_octets),
        person: row.opt_array(5)?.map(PersonId::from_octets),
        makes: match row.opt_text(6)? {
            Some(name) => Some(name.parse().map_err(|_| Fault::Row("unknown authority".into()))?),
            None => None,
        },
        journal_floor: row.number(7)?,
    })
}

pub(crate) fn open_lists(tx: &Tx<'_>) -> Result<Vec<OpenWork>, Fault> {
    let sql = "SELECT authority, name, number, profile, tbs, journal_floor FROM ca_list
               WHERE status = 'prepared' ORDER BY number";
    let rows = tx.query(sql, &[])?;
    rows.iter()
        .map(|row| {
            let authority = row.parsed(0)?;
            Ok(OpenWork {
                authority,
                place: Place::List { name: row.text(1)?.to_owned(), number: row.number(2)? },
                prepared: prepared(authority, row.text(3)?, row.blob(4)?)?,
                key: None,
                person: None,
                makes: None,
                journal_floor: row.number(5)?,
            })
        })
        .collect()
}

fn prepared(authority: Authority, profile: &str, tbs: &[u8]) -> Result<ToBeSigned, Fault> {
    let profile =
        Profile::from_name(profile).ok_or_else(|| Fault::Row("unknown profile".into()))?;
    let algorithm = match authority {
        Authority::Facility => SignatureAlgorithm::EcdsaP256Sha256,
        Authority::Root | Authority::Signing(_) | Authority::Authentication(_) => {
            SignatureAlgorithm::RsaSha256
        }
    };
    Ok(ToBeSigned::restore(profile, algorithm, tbs.to_vec()))
}

/// What became of an order that was placed before.
pub(crate) enum Earlier {
    Made(Certificate),
    Open(Box<OpenWork>),
}

/// The unrevoked certificate made, or being made, for exactly this order.
pub(crate) fn earlier(tx: &Tx<'_>, order: &Digest32) -> Result<Option<Earlier>, Fault> {
    let sql = "SELECT der FROM ca_certificate WHERE order_hash = $1 AND status = 'issued'";
    if let Some(row) = tx.query_opt(sql, &[order.into()])? {
        return Ok(Some(Earlier::Made(stored(row.blob(0)?)?)));
    }
    let sql = format!("{OPEN_CERTIFICATES} AND order_hash = $1");
    let row = tx.query_opt(&sql, &[order.into()])?;
    row.map(|row| Ok(Earlier::Open(Box::new(open_certificate(&row)?)))).transpose()
}
