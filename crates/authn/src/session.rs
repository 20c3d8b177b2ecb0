//! Sessions: one row for each token, which is known by its SHA-256 only.

use approval::{Approval, Means};
use hpki::encoding::{Digest32, sha256};
use hpki::id::{BindingId, BudgetId, FacilityCode, KeyId, PersonId, TokenId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Row, Tx};

use crate::provider::consent;
use crate::refusal::Refusal;
use crate::room::Authn;

/// Outbox topic: sessions ended without custody having been asked first. The payload is
/// `{"sessions","budgets","reason"}`; custody ends the budgets.
pub const TOPIC_SESSION_ENDED: &str = "session-ended";

/// A session: what the owner sees of it, and custody's budget behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The token's id (`jti`).
    pub id: TokenId,
    /// Whose.
    pub person: PersonId,
    /// The kept key that it opens.
    pub key: KeyId,
    /// At which institution.
    pub facility: FacilityCode,
    /// Its registered name then.
    pub facility_name: String,
    /// What people there call the terminal.
    pub terminal: String,
    /// The budget that it draws from.
    pub budget: BudgetId,
    /// SHA-256 of the client certificate that its token is bound to.
    pub x5t: Digest32,
    /// The kinds of document allowed.
    pub kinds: Vec<DocumentKind>,
    /// How many signatures are allowed in all.
    pub count: u64,
    /// When the person approved.
    pub auth_time: Timestamp,
    /// By which means.
    pub means: Means,
    /// Until when.
    pub until: Timestamp,
    /// When the facility fetched the token.
    pub released: Option<Timestamp>,
    /// When it was ended before its time.
    pub ended: Option<Timestamp>,
}

impl Session {
    /// Whether its token may be used at this moment, as far as this room knows.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.until
    }

    fn read(row: &Row) -> Result<Self, Fault> {
        let kinds = row.text(7)?;
        let kinds = kinds.split(' ').map(str::parse).collect::<Result<_, _>>();
        Ok(Self {
            id: TokenId::from_octets(row.array(0)?),
            person: PersonId::from_octets(row.array(1)?),
            key: KeyId::from_octets(row.array(2)?),
            facility: row.parsed(3)?,
            facility_name: row.text(4)?.to_owned(),
            terminal: row.text(5)?.to_owned(),
            budget: BudgetId::from_octets(row.array(6)?),
            kinds: kinds.map_err(|why| Fault::Row(format!("a session: {why}")))?,
            count: row.number(8)?,
            auth_time: row.time(9)?,
            until: row.time(10)?,
            released: row.opt_time(11)?,
            ended: row.opt_time(12)?,
            x5t: row.array(13)?,
            means: Means::from_name(row.text(14)?)
                .ok_or_else(|| Fault::Row("the means of a session".into()))?,
        })
    }
}

const COLUMNS: &str = "id, person, key, facility, facility_name, terminal, budget, kinds, count, \
                       auth_time, until, released, ended, x5t, means";

/// Ends every live session of a key, by whichever means it was opened, and tells custody of each;
/// gives those that were ended.
pub(crate) fn end_all(tx: &Tx<'_>, key: KeyId, now: Timestamp) -> Result<Vec<Session>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM authn_session WHERE key = $1 AND ended IS NULL AND until > $2"
    );
    let rows = tx.query(&sql, &[key.into(), now.into()])?;
    let sessions = rows.iter().map(Session::read).collect::<Result<Vec<_>, _>>()?;
    tx.exec(
        "UPDATE authn_session SET ended = $2 WHERE key = $1 AND ended IS NULL",
        &[key.into(), now.into()],
    )?;
    let ended: Vec<_> = sessions.iter().map(|session| (session.id, session.budget)).collect();
    tell_custody(tx, &ended, Some(key), "means-ended")?;
    // What services may still ask about her, by the means that just ended.
    consent::end_all(tx, key, None, now)?;
    Ok(sessions)
}

/// The session of this key, if its token may be used now.
pub(crate) fn live(
    tx: &Tx<'_>,
    id: TokenId,
    key: KeyId,
    now: Timestamp,
) -> Result<Option<Session>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM authn_session
         WHERE id = $1 AND key = $2 AND ended IS NULL AND until > $3"
    );
    let row = tx.query_opt(&sql, &[id.into(), key.into(), now.into()])?;
    row.as_ref().map(Session::read).transpose()
}

/// Ends a live session in this unit of work; custody is told, and signs nothing by the key until it
/// has heard.
pub(crate) fn end_and_tell(
    tx: &Tx<'_>,
    session: &Session,
    reason: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    end(tx, (session.id, session.budget), Some(session.key), reason, now)
}

/// Ends the live sessions of a key that were approved by this means; gives how many.
pub(crate) fn end_of_means(
    tx: &Tx<'_>,
    key: KeyId,
    binding: BindingId,
    now: Timestamp,
) -> Result<u64, Fault> {
    let rows = tx.query(
        "SELECT id, evidence FROM authn_session
         JOIN authn_approval ON authn_approval.ceremony = authn_session.ceremony
         WHERE authn_session.key = $1 AND ended IS NULL AND until > $2",
        &[key.into(), now.into()],
    )?;
    let mut ended = 0;
    for row in &rows {
        let approval: Approval = serde_json::from_str(row.text(1)?)
            .map_err(|why| Fault::Row(format!("an approval: {why}")))?;
        if approval.binding == binding {
            ended += tx.exec(
                "UPDATE authn_session SET ended = $2 WHERE id = $1 AND ended IS NULL",
                &[row.blob(0)?.into(), now.into()],
            )?;
        }
    }
    Ok(ended)
}

/// Ends a session whose token was never handed out, and tells custody.
pub(crate) fn end_unreleased(
    tx: &Tx<'_>,
    id: TokenId,
    budget: BudgetId,
    reason: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    end(tx, (id, budget), None, reason, now)
}

fn end(
    tx: &Tx<'_>,
    (id, budget): (TokenId, BudgetId),
    concerns: Option<KeyId>,
    reason: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let ended = tx.exec(
        "UPDATE authn_session SET ended = $2 WHERE id = $1 AND ended IS NULL",
        &[id.into(), now.into()],
    )?;
    if ended == 1 { tell_custody(tx, &[(id, budget)], concerns, reason) } else { Ok(()) }
}

fn tell_custody(
    tx: &Tx<'_>,
    ended: &[(TokenId, BudgetId)],
    concerns: Option<KeyId>,
    reason: &str,
) -> Result<(), Fault> {
    if ended.is_empty() {
        return Ok(());
    }
    let (sessions, budgets): (Vec<_>, Vec<_>) = ended.iter().copied().unzip();
    let payload = serde_json::json!({ "sessions": sessions, "budgets": budgets, "reason": reason });
    tx.outbox(TOPIC_SESSION_ENDED, concerns, &payload.to_string())
}

impl Authn {
    /// The session of a token, live or not. Found by the token's hash: whoever shows it has it.
    ///
    /// # Errors
    /// `session-unknown`, or a fault.
    pub async fn session_of(&self, token: &str) -> Result<Session, Failed<Refusal>> {
        let hash = sha256(token.as_bytes());
        self.ledger
            .read(move |tx| {
                let sql = format!("SELECT {COLUMNS} FROM authn_session WHERE token_hash = $1");
                let row = tx.query_opt(&sql, &[hash.into()])?;
                let row = row.ok_or(Failed::Refused(Refusal::SessionUnknown))?;
                Ok(Session::read(&row)?)
            })
            .await
    }

    /// A session by its id, live or not.
    ///
    /// # Errors
    /// `session-unknown`, or a fault.
    pub async fn session(&self, id: TokenId) -> Result<Session, Failed<Refusal>> {
        self.ledger
            .read(move |tx| {
                let sql = format!("SELECT {COLUMNS} FROM authn_session WHERE id = $1");
                let row = tx.query_opt(&sql, &[id.into()])?;
                let row = row.ok_or(Failed::Refused(Refusal::SessionUnknown))?;
                Ok(Session::read(&row)?)
            })
            .await
    }

    /// The sessions of a person, the newest first.
    ///
    /// # Errors
    /// A fault.
    pub async fn sessions(&self, person: PersonId) -> Result<Vec<Session>, Failed<Refusal>> {
        self.ledger
            .read(move |tx| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM authn_session WHERE person = $1
                     ORDER BY auth_time DESC LIMIT 200"
                );
                let rows = tx.query(&sql, &[person.into()])?;
                Ok(rows.iter().map(Session::read).collect::<Result<_, Fault>>()?)
            })
            .await
    }

    /// Notes that a token's session has ended. Doing so twice is harmless.
    ///
    /// What stops signatures is custody's budget: end that first, and say "ended" only then.
    ///
    /// # Errors
    /// `session-unknown`, or a fault.
    pub async fn end_token(&self, token: &str, now: Timestamp) -> Result<Session, Failed<Refusal>> {
        let session = self.session_of(token).await?;
        self.end_session(session.id, now).await?;
        Ok(Session { ended: session.ended.or(Some(now)), ..session })
    }

    /// As [`Authn::end_token`], by the session's id: the owner, or the desk.
    ///
    /// # Errors
    /// `session-unknown`, or a fault.
    pub async fn end_session(&self, id: TokenId, now: Timestamp) -> Result<(), Failed<Refusal>> {
        self.ledger
            .write(move |tx| {
                let found = tx.exec(
                    "UPDATE authn_session SET ended = coalesce(ended, $2) WHERE id = $1",
                    &[id.into(), now.into()],
                )?;
                if found == 1 { Ok(()) } else { Err(Failed::Refused(Refusal::SessionUnknown)) }
            })
            .await
    }
}
