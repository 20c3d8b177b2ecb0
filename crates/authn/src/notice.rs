//! お知らせ: what the owner of a key is told on her page. Each is written in the commit of what it
//! tells of, so that nothing happens to her means without a word.

use hpki::encoding::{Digest32, sha256};
use hpki::id::KeyId;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Tx};

use crate::refusal::Refusal;
use crate::room::Authn;

/// How many are shown.
const SHOWN: u32 = 100;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// A phone was linked.
    PhoneLinked,
    /// Another phone took the place of the former.
    PhoneChanged,
    /// The phone is linked no more.
    PhoneUnlinked,
    /// The owner reported her phone as lost.
    PhoneLost,
    /// A sheet was issued with which a phone can be linked.
    SheetIssued,
    /// Somebody approved the use of the key at an institution.
    SessionOpened,
    /// The key was stopped.
    KeyStopped,
    /// The key was started again.
    KeyStarted,
    /// The owner disowned an entry of the journal.
    Disputed,
    /// Somebody signed in to the owner's page with her passkey.
    SignedIn,
    /// The authority's desk ended a session.
    SessionEnded,
    /// The certificate was revoked: the key signs nothing any more.
    CertificateRevoked,
    /// Somebody approved a login at another service.
    LoginApproved,
    /// A card was revoked, and the sessions that it had opened ended.
    CardRevoked,
    /// A My Number Card was linked.
    CardLinked,
    /// The linking of a My Number Card ended.
    CardUnlinked,
    /// The certificate of the linked My Number Card runs out soon.
    CardExpires,
}

impl NoticeKind {
    const ALL: [Self; 17] = [
        Self::PhoneLinked,
        Self::PhoneChanged,
        Self::PhoneUnlinked,
        Self::PhoneLost,
        Self::SheetIssued,
        Self::SessionOpened,
        Self::KeyStopped,
        Self::KeyStarted,
        Self::Disputed,
        Self::SignedIn,
        Self::SessionEnded,
        Self::CertificateRevoked,
        Self::LoginApproved,
        Self::CardRevoked,
        Self::CardLinked,
        Self::CardUnlinked,
        Self::CardExpires,
    ];

    /// The name in rows and interfaces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PhoneLinked => "phone-linked",
            Self::PhoneChanged => "phone-changed",
            Self::PhoneUnlinked => "phone-unlinked",
            Self::PhoneLost => "phone-lost",
            Self::SheetIssued => "sheet-issued",
            Self::SessionOpened => "session-opened",
            Self::KeyStopped => "key-stopped",
            Self::KeyStarted => "key-started",
            Self::Disputed => "disputed",
            Self::SignedIn => "signed-in",
            Self::SessionEnded => "session-ended",
            Self::CertificateRevoked => "certificate-revoked",
            Self::LoginApproved => "login-approved",
            Self::CardRevoked => "card-revoked",
            Self::CardLinked => "card-linked",
            Self::CardUnlinked => "card-unlinked",
            Self::CardExpires => "card-expires",
        }
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its number among those of the key, from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: NoticeKind,
    /// Where, or which: an institution's name, a phone's label; may be empty.
    pub detail: String,
    /// Whether the owner has seen it.
    pub seen: bool,
}

/// Writes one within a unit of work.
pub(crate) fn tell(
    tx: &Tx<'_>,
    key: KeyId,
    kind: NoticeKind,
    detail: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    write(tx, key, kind, detail, now, None)
}

fn write(
    tx: &Tx<'_>,
    key: KeyId,
    kind: NoticeKind,
    detail: &str,
    now: Timestamp,
    source: Option<Digest32>,
) -> Result<(), Fault> {
    let last = tx.query_opt(
        "SELECT number FROM authn_notice WHERE key = $1 ORDER BY number DESC LIMIT 1",
        &[key.into()],
    )?;
    let number = last.map_or(Ok(0), |row| row.number(0))? + 1;
    tx.exec(
        "INSERT INTO authn_notice (key, number, at, kind, detail, seen, source)
         VALUES ($1, $2, $3, $4, $5, 0, $6)",
        &[key.into(), number.into(), now.into(), kind.name().into(), detail.into(), source.into()],
    )?;
    Ok(())
}

impl Authn {
    /// Tells the owner of a key what another room did, and said in a message: it comes at least once,
    /// and is told once.
    ///
    /// # Errors
    /// A fault.
    pub async fn tell_once(
        &self,
        key: KeyId,
        kind: NoticeKind,
        at: Timestamp,
        message: &str,
    ) -> Result<(), Failed<Refusal>> {
        let source = sha256(message.as_bytes());
        self.ledger
            .write(move |tx| {
                let told = "SELECT 1 FROM authn_notice WHERE source = $1";
                match tx.query_opt(told, &[source.into()])? {
                    Some(_) => Ok(()),
                    None => Ok(write(tx, key, kind, "", at, Some(source))?),
                }
            })
            .await
    }

    /// What she was told last, the newest first.
    ///
    /// # Errors
    /// A fault.
    pub async fn notices(&self, key: KeyId) -> Result<Vec<Notice>, Failed<Refusal>> {
        self.ledger
            .read(move |tx| {
                let sql = format!(
                    "SELECT number, at, kind, detail, seen FROM authn_notice
                     WHERE key = $1 ORDER BY number DESC LIMIT {SHOWN}"
                );
                let rows = tx.query(&sql, &[key.into()])?;
                let read = rows.iter().map(|row| {
                    let name = row.text(2)?;
                    let kind = NoticeKind::ALL.into_iter().find(|kind| kind.name() == name);
                    Ok(Notice {
                        number: row.number(0)?,
                        at: row.time(1)?,
                        kind: kind.ok_or_else(|| Fault::Row(format!("a notice is {name}")))?,
                        detail: row.text(3)?.to_owned(),
                        seen: row.flag(4)?,
                    })
                });
                Ok(read.collect::<Result<_, Fault>>()?)
            })
            .await
    }

    /// She has read them up to this number.
    ///
    /// # Errors
    /// A fault.
    pub async fn notices_seen(&self, key: KeyId, number: u64) -> Result<(), Failed<Refusal>> {
        self.ledger
            .write(move |tx| {
                tx.exec(
                    "UPDATE authn_notice SET seen = 1 WHERE key = $1 AND number <= $2 AND seen = 0",
                    &[key.into(), number.into()],
                )?;
                Ok(())
            })
            .await
    }
}
