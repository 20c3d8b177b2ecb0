//! Something unusual that a person should look at.
//!
//! An alarm never stops a signature by itself: whatever is refused is refused by its own rule. It
//! is one line in the log, a row, and an entry in the journal; the same about the same key is
//! raised once an hour (about a facility, where it concerns that).

use std::sync::Arc;

use hpki::encoding::Statement;
use hpki::id::{KeyId, StreamId};
use hpki::time::Timestamp;
use ledger::{Event, Failed, Note, Record, Row};

use crate::Failed as Bad;
use crate::limits::hour;
use crate::room::{Custody, Inner};

/// What is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlarmKind {
    /// A signature did not verify under the certificate.
    SelfCheck,
    /// A sealed row was changed outside this program.
    SealBroken,
    /// A wrapped key is damaged, another's, or not what its row says.
    KeyBroken,
    /// An approved number of signatures was used up.
    BudgetExhausted,
    /// The limit of signatures for an hour was reached.
    HourlyLimit,
    /// One token asked for too many within an hour.
    TokenLimit,
    /// One facility asked for too many within an hour.
    FacilityLimit,
}

impl AlarmKind {
    const ALL: [Self; 7] = [
        Self::SelfCheck,
        Self::SealBroken,
        Self::KeyBroken,
        Self::BudgetExhausted,
        Self::HourlyLimit,
        Self::TokenLimit,
        Self::FacilityLimit,
    ];

    /// The name in rows and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SelfCheck => "self-check",
            Self::SealBroken => "seal-broken",
            Self::KeyBroken => "key-broken",
            Self::BudgetExhausted => "budget-exhausted",
            Self::HourlyLimit => "hourly-limit",
            Self::TokenLimit => "token-limit",
            Self::FacilityLimit => "facility-limit",
        }
    }

    /// What people call it, in Japanese.
    pub const fn ja(self) -> &'static str {
        match self {
            Self::SelfCheck => "自己検査の失敗",
            Self::SealBroken => "封印の破れ",
            Self::KeyBroken => "鍵の破損",
            Self::BudgetExhausted => "件数の使い切り",
            Self::HourlyLimit => "一時間の上限",
            Self::TokenLimit => "トークンの一時間の上限",
            Self::FacilityLimit => "施設の一時間の上限",
        }
    }
}

impl std::str::FromStr for AlarmKind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(())
    }
}

/// An alarm that was raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What is unusual.
    pub kind: AlarmKind,
    /// The key concerned.
    pub key: Option<KeyId>,
    /// The particulars; no secret and no patient data.
    pub words: String,
    /// When.
    pub at: Timestamp,
}

impl Custody {
    /// Every alarm since then, the oldest first.
    pub async fn alarms(&self, since: Timestamp) -> Result<Vec<Alarm>, Bad> {
        self.0
            .ledger
            .read(move |tx| {
                let sql = "SELECT kind, kept, words, raised FROM custody_alarm
                           WHERE raised >= $1 ORDER BY raised";
                let rows = tx.query(sql, &[since.into()])?;
                rows.iter().map(|row| Ok(from_row(row)?)).collect()
            })
            .await
    }
}

fn from_row(row: &Row) -> Result<Alarm, ledger::Fault> {
    let odd = || ledger::Fault::Row("custody_alarm: kind".into());
    Ok(Alarm {
        kind: row.text(0)?.parse().map_err(|()| odd())?,
        key: row.opt_array(1)?.map(KeyId::from_octets),
        words: row.text(2)?.to_owned(),
        at: row.time(3)?,
    })
}

impl Inner {
    /// Raises an alarm. The caller does not wait for it: that it is written may take as long as the
    /// next commit, and that it cannot be written must not hide what the caller has to say.
    pub(crate) fn raise(&self, kind: AlarmKind, key: Option<KeyId>, words: &str, now: Timestamp) {
        tokio::spawn(self.alarm(kind, key, words, now));
    }

    /// The same about something else than a key: `concerned` tells apart what is raised once an
    /// hour.
    pub(crate) fn raise_about(
        &self,
        kind: AlarmKind,
        concerned: [u8; 16],
        words: &str,
        now: Timestamp,
    ) {
        tokio::spawn(self.alarm_about(kind, None, concerned, words, now));
    }

    /// Raises an alarm; the future is done once it stands in the journal.
    pub(crate) fn alarm(
        &self,
        kind: AlarmKind,
        key: Option<KeyId>,
        words: &str,
        now: Timestamp,
    ) -> impl Future<Output = ()> + Send + 'static {
        let concerned = key.map_or([0; 16], |key| *key.octets());
        self.alarm_about(kind, key, concerned, words, now)
    }

    fn alarm_about(
        &self,
        kind: AlarmKind,
        key: Option<KeyId>,
        concerned: [u8; 16],
        words: &str,
        now: Timestamp,
    ) -> impl Future<Output = ()> + Send + 'static {
        tracing::error!(alarm = kind.name(), ?key, words, "警報 {}", kind.ja());
        let words = words.to_owned();
        let stream = key.map_or(StreamId::from_octets([0; 16]), |key| key.stream());
        let mut record = Record::new(Event::AlarmRaised, stream, now);
        record.key = key;
        record.evidence = Some(
            Statement::new("azukari/alarm/v1").text(kind.name()).text(&words).time(now).digest(),
        );
        let work = Arc::new((record, words));
        let ledger = self.ledger.clone();
        async move {
            let recorded = ledger
                .record(move |tx| {
                    let (record, words) = &*work;
                    let values = [
                        kind.name().into(),
                        concerned.into(),
                        hour(now).into(),
                        key.into(),
                        words.into(),
                        now.into(),
                    ];
                    let written = tx.exec(
                        "INSERT INTO custody_alarm (kind, concerned, hour, kept, words, raised)
                         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                        &values,
                    )?;
                    if written == 1 {
                        Ok(((), Note(record.clone())))
                    } else {
                        Err(Failed::Refused(()))
                    }
                })
                .await;
            if let Err(Failed::Fault(fault)) = recorded {
                tracing::error!(%fault, "an alarm could not be recorded");
            }
        }
    }
}
