//! 窓口の手続: what an officer of the desk decides about a holder's means and key.
//!
//! Each act is approved at the moment by the officer's own passkey. What takes power away (a lost
//! phone, a suspension) is one officer's; what gives it (a sheet, lifting a suspension) is opened by
//! one and confirmed by another, and happens in the commit of the second approval.
//!
//! What is true if we die here: what was asked is memory, and the officer asks again. An approval,
//! the order's state, what follows from it in this room and the message to custody are one commit;
//! until custody has heard of an act on a key, the key signs nothing.

use std::sync::Arc;

use approval::{
    AssertionEvidence, AssertionResponse, DeskAct, DeskApproval, DeskStatement, check_desk,
    order_evidence,
};
use hpki::encoding::Statement;
use hpki::id::{DeskOrderId, KeyId, OfficerId, PersonId, SheetId, TokenId};
use hpki::sign::Mac;
use hpki::time::Timestamp;
use hsm::TokenDesk;
use ledger::{Event, Failed, Fault, Note, Record, Row, Tx};
use serde_json::Value;

use crate::binding::BindingRow;
use crate::config::{DESK_ORDER_S, FINISH_S, SHEET_LIFE_S};
use crate::label::is_visible;
use crate::linking::unlink_in;
use crate::notice::{NoticeKind, tell};
use crate::officer::{AskedOfBrowser, DeskOfficer, OfficerRow, shown};
use crate::options;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;
use crate::session::{Session, end_and_tell, live};
use crate::sheet::{Sheet, SheetRow, Standing};

/// Outbox topic: the desk decided about a key itself. The payload is the approvals, a list of
/// [`DeskApproval`] as JSON; custody verifies each again.
pub const TOPIC_DESK_DECIDED: &str = "desk-decided";

/// The longest reason, in characters.
const LONGEST_REASON: usize = 200;

const DONE: &str = "done";
/// Committed here, and on its way to custody.
const DECIDED: &str = "decided";

type Result<T> = std::result::Result<T, Failed<Refusal>>;

fn no<T>(refusal: Refusal) -> Result<T> {
    Err(Failed::Refused(refusal))
}

/// What an officer wants to approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A new act.
    New {
        /// Which.
        act: DeskAct,
        /// To which key.
        key: KeyId,
        /// Why.
        reason: String,
        /// Which session, where the act is about one.
        session: Option<TokenId>,
    },
    /// The act that another officer opened.
    Confirm(DeskOrderId),
}

/// What an officer was asked to approve, in memory.
pub(crate) struct Question {
    at: Timestamp,
    statement: DeskStatement,
    confirms: bool,
}

/// An act of the desk.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Its number.
    pub id: DeskOrderId,
    /// What.
    pub act: DeskAct,
    /// Whose key.
    pub person: PersonId,
    /// Which key.
    pub key: KeyId,
    /// Why.
    pub reason: String,
    /// Which session, where the act is about one.
    pub session: Option<TokenId>,
    /// When it was opened.
    pub opened: Timestamp,
    /// Until when the second officer may confirm it.
    pub until: Timestamp,
    /// The evidence of each officer who approved it.
    pub approvals: Vec<DeskApproval>,
    /// When nothing was missing any more.
    pub closed: Option<Timestamp>,
    /// Empty while open; `decided` on its way to custody; `done`; or the code of custody's refusal.
    pub outcome: String,
}

/// What an approval led to.
#[derive(Debug)]
pub struct Done {
    /// The act as it stands now.
    pub order: Order,
    /// The sessions that were ended by it.
    pub ended: Vec<Session>,
    /// The sheet, to be printed now: its secret is nowhere else.
    pub sheet: Option<(Sheet, String)>,
}

/// The row.
#[derive(Clone)]
struct OrderRow {
    order: Order,
    seal: Vec<u8>,
}

const COLUMNS: &str =
    "id, act, person, key, reason, opened, until, approvals, closed, outcome, seal, session";

impl OrderRow {
    fn approvals(&self) -> std::result::Result<String, Fault> {
        serde_json::to_string(&self.order.approvals)
            .map_err(|why| Fault::Misuse(format!("approvals of the desk as JSON: {why}")))
    }

    fn sealed(&self) -> std::result::Result<Statement, Fault> {
        let order = &self.order;
        let closed = order.closed.map(|time| time.seconds().to_be_bytes());
        Ok(Statement::new("azukari/seal/v1")
            .text("authn_desk_order")
            .octets_field(order.id.octets())
            .text(order.act.name())
            .octets_field(order.person.octets())
            .octets_field(order.key.octets())
            .text(&order.reason)
            .time(order.opened)
            .time(order.until)
            .text(&self.approvals()?)
            .optional(closed.as_ref().map(<[u8; 8]>::as_slice))
            .text(&order.outcome)
            .optional(order.session.as_ref().map(|session| &session.octets()[..])))
    }

    fn seal(&mut self, desk: &TokenDesk) -> Result<()> {
        self.seal = desk.mac(&self.sealed()?)?.to_vec();
        Ok(())
    }

    fn read(row: &Row, desk: &TokenDesk) -> Result<Self> {
        let odd = |what: &str| Fault::Row(format!("authn_desk_order: {what}"));
        let read = Self {
            order: Order {
                id: DeskOrderId::from_octets(row.array(0)?),
                act: row.text(1)?.parse().map_err(|()| odd("act"))?,
                person: PersonId::from_octets(row.array(2)?),
                key: KeyId::from_octets(row.array(3)?),
                reason: row.text(4)?.to_owned(),
                opened: row.time(5)?,
                until: row.time(6)?,
                approvals: serde_json::from_str(row.text(7)?).map_err(|_| odd("approvals"))?,
                closed: row.opt_time(8)?,
                outcome: row.text(9)?.to_owned(),
                session: row.opt_array(11)?.map(TokenId::from_octets),
            },
            seal: row.blob(10)?.to_vec(),
        };
        if desk.check(&read.sealed()?, &read.seal)? {
            Ok(read)
        } else {
            no(Refusal::SealBroken("an act of the desk"))
        }
    }

    fn find(tx: &Tx<'_>, id: DeskOrderId, desk: &TokenDesk) -> Result<Option<Self>> {
        let sql = format!("SELECT {COLUMNS} FROM authn_desk_order WHERE id = $1");
        let row = tx.query_opt(&sql, &[id.octets().into()])?;
        row.map(|row| Self::read(&row, desk)).transpose()
    }

    /// The act of this kind on this key that waits for its second officer.
    fn waiting(tx: &Tx<'_>, act: DeskAct, key: KeyId, now: Timestamp) -> Result<bool> {
        let sql = "SELECT 1 FROM authn_desk_order
                   WHERE key = $1 AND act = $2 AND closed IS NULL AND until > $3 LIMIT 1";
        Ok(!tx.query(sql, &[key.into(), act.name().into(), now.into()])?.is_empty())
    }

    fn all_waiting(tx: &Tx<'_>, desk: &TokenDesk, now: Timestamp) -> Result<Vec<Self>> {
        let sql =
            format!("SELECT {COLUMNS} FROM authn_desk_order WHERE closed IS NULL AND until > $1");
        tx.query(&sql, &[now.into()])?.iter().map(|row| Self::read(row, desk)).collect()
    }

    fn insert(&self, tx: &Tx<'_>) -> Result<()> {
        let order = &self.order;
        let sql = format!(
            "INSERT INTO authn_desk_order ({COLUMNS})
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        );
        tx.exec(
            &sql,
            &[
                order.id.octets().into(),
                order.act.name().into(),
                order.person.into(),
                order.key.into(),
                (&order.reason).into(),
                order.opened.into(),
                order.until.into(),
                self.approvals()?.into(),
                order.closed.into(),
                (&order.outcome).into(),
                (&self.seal).into(),
                order.session.into(),
            ],
        )?;
        Ok(())
    }

    fn replace(&self, tx: &Tx<'_>) -> Result<()> {
        tx.exec(
            "UPDATE authn_desk_order SET approvals = $2, closed = $3, outcome = $4, seal = $5
             WHERE id = $1",
            &[
                self.order.id.octets().into(),
                self.approvals()?.into(),
                self.order.closed.into(),
                (&self.order.outcome).into(),
                (&self.seal).into(),
            ],
        )?;
        Ok(())
    }

    /// Whether this officer may be its second now.
    fn confirmable(&self, officer: OfficerId, now: Timestamp) -> std::result::Result<(), Refusal> {
        if self.order.closed.is_some() || now > self.order.until {
            return Err(Refusal::DeskOrderClosed);
        }
        if self.order.approvals.iter().any(|given| given.statement.officer == officer) {
            return Err(Refusal::OfficerAlreadyConfirmed);
        }
        Ok(())
    }
}

/// An officer is one no more: what she opened and nobody has confirmed is closed with her.
pub(crate) fn close_what_waits(
    tx: &Tx<'_>,
    officer: OfficerId,
    desk: &TokenDesk,
    now: Timestamp,
) -> Result<()> {
    for mut row in OrderRow::all_waiting(tx, desk, now)? {
        if row.order.approvals.iter().any(|given| given.statement.officer == officer) {
            row.order.closed = Some(now);
            "officer-dismissed".clone_into(&mut row.order.outcome);
            row.seal(desk)?;
            row.replace(tx)?;
        }
    }
    Ok(())
}

/// What a new sheet needs besides what the former says.
struct NewSheet {
    id: SheetId,
    secret: Secret,
}

/// What an act changed in this room, and what the journal says of it besides the approval.
struct Changed {
    ended: Vec<Session>,
    sheet: Option<SheetRow>,
    notes: Vec<Note>,
}

/// Whether the act has something to act on. Asked before the officer's finger and again at commit.
fn sensible(
    tx: &Tx<'_>,
    (act, key, session): (DeskAct, KeyId, Option<TokenId>),
    desk: &TokenDesk,
    now: Timestamp,
) -> Result<()> {
    if session.is_some() != (act == DeskAct::Session) {
        return no(Refusal::SessionUnknown);
    }
    if let Some(session) = session {
        return match live(tx, session, key, now)? {
            Some(_) => Ok(()),
            None => no(Refusal::SessionUnknown),
        };
    }
    let phone = || match BindingRow::of_key(tx, key, desk) {
        Ok(_) => Ok(true),
        Err(Failed::Refused(Refusal::PhoneNotLinked)) => Ok(false),
        Err(failed) => Err(failed),
    };
    match act {
        DeskAct::Loss if !phone()? => no(Refusal::PhoneNotLinked),
        // Whoever has lost her phone says so first: then its linking ends at once, not when a new
        // phone is linked.
        DeskAct::Sheet if phone()? => no(Refusal::PhoneAlreadyLinked),
        _ => Ok(()),
    }
}

fn carry_out(
    tx: &Tx<'_>,
    row: &mut OrderRow,
    new: Option<&NewSheet>,
    desk: &TokenDesk,
    now: Timestamp,
) -> Result<Changed> {
    let order = &mut row.order;
    order.closed = Some(now);
    DONE.clone_into(&mut order.outcome);
    let evidence = Some(order_evidence(&order.approvals));
    let mut changed = Changed { ended: Vec::new(), sheet: None, notes: Vec::new() };
    sensible(tx, (order.act, order.key, order.session), desk, now)?;
    match order.act {
        DeskAct::Loss => {
            let (sessions, mut record) = unlink_in(tx, order.key, desk, now)?;
            record.evidence = evidence;
            tell(tx, order.key, NoticeKind::PhoneUnlinked, "", now)?;
            changed.ended = sessions;
            changed.notes.push(Note(record));
        }
        DeskAct::Sheet => {
            let new = new.ok_or_else(|| Fault::Misuse("a sheet without its secret".into()))?;
            let mut sheet = SheetRow::latest(tx, order.key, desk)?;
            (sheet.id, sheet.secret_hash) = (new.id, new.secret.hash());
            (sheet.issued, sheet.expires) = (now, now.plus(SHEET_LIFE_S));
            (sheet.standing, sheet.tries) = (Standing::Issued, 0);
            // It goes by post, whoever ordered the one before: its reader has shown no card.
            sheet.by_card = false;
            sheet.seal_with(desk)?;
            let mut record = sheet.take_over(tx)?;
            record.evidence = evidence;
            changed.notes.push(Note(record));
            changed.sheet = Some(sheet);
        }
        DeskAct::Session => {
            let session = order.session.map(|id| live(tx, id, order.key, now)).transpose()?;
            let session = session.flatten().ok_or(Failed::Refused(Refusal::SessionUnknown))?;
            end_and_tell(tx, &session, "desk", now)?;
            tell(tx, order.key, NoticeKind::SessionEnded, &session.facility_name, now)?;
            changed.ended = vec![session];
        }
        DeskAct::Suspend | DeskAct::Resume => {
            DECIDED.clone_into(&mut order.outcome);
            let payload = row.approvals()?;
            tx.outbox(TOPIC_DESK_DECIDED, Some(row.order.key), &payload)?;
        }
    }
    Ok(changed)
}

impl Authn {
    /// An officer asks to approve an act: what to show and to sign.
    ///
    /// # Errors
    /// `desk-text-malformed`, `holder-unknown`, `desk-order-open`; `phone-not-linked` (no phone to be
    /// lost), `phone-already-linked` (no sheet beside a linked phone), `session-unknown`; to confirm,
    /// `desk-order-unknown`, `desk-order-closed`, `officer-already-confirmed`; `seal-broken`.
    pub async fn begin_act(
        &self,
        officer: &DeskOfficer,
        asked: Asked,
        now: Timestamp,
    ) -> Result<AskedOfBrowser> {
        if let Asked::New { reason, .. } = &asked
            && !is_visible(reason, LONGEST_REASON)
        {
            return no(Refusal::DeskTextMalformed("reason"));
        }
        let (desk, by, fresh) =
            (Arc::clone(&self.desk), officer.id, DeskOrderId::random(&*self.random));
        let confirms = matches!(asked, Asked::Confirm(_));
        let found = self.ledger.read(move |tx| {
            let Some(row) = OfficerRow::in_office(tx, by, &desk)? else {
                return no(Refusal::DeskClosed);
            };
            let (id, act, key, reason, session) = match &asked {
                Asked::New { act, key, reason, session } => {
                    if OrderRow::waiting(tx, *act, *key, now)? {
                        return no(Refusal::DeskOrderOpen);
                    }
                    (fresh, *act, *key, reason.clone(), *session)
                }
                Asked::Confirm(id) => {
                    let found = OrderRow::find(tx, *id, &desk)?;
                    let found = found.ok_or(Failed::Refused(Refusal::DeskOrderUnknown))?;
                    found.confirmable(by, now).map_err(Failed::Refused)?;
                    let order = found.order;
                    (order.id, order.act, order.key, order.reason, order.session)
                }
            };
            let person = SheetRow::latest(tx, key, &desk)?.person;
            sensible(tx, (act, key, session), &desk, now)?;
            Ok((row.credential.id, (id, act, person, key, reason, session)))
        });
        let (credential, (order, act, person, key, reason, session)) = found.await?;
        let mut nonce = [0; 32];
        self.random.fill(&mut nonce);
        let statement = DeskStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            nonce,
            officer: officer.id,
            order,
            act,
            person,
            key,
            reason,
            session,
        };
        let options = options::get(&self.config, &statement.challenge(), &credential);
        let asked = AskedOfBrowser { statement: shown(&statement)?, options };
        let mut questions = self.at_desk.questions();
        questions.retain(|_, old| now.since(old.at) <= FINISH_S);
        questions.insert(officer.id, Question { at: now, statement, confirms });
        Ok(asked)
    }

    /// The officer has approved it. Where nothing is missing any more, it is carried out in the same
    /// commit; acts on the key itself reach custody as a message.
    ///
    /// # Errors
    /// `question-unknown` if she was not asked, or was answered; `question-expired` after two
    /// minutes; `desk-closed` if she is no officer any more; what [`Authn::begin_act`] refuses, as it
    /// stands now; whatever `approval` refuses of the assertion.
    pub async fn finish_act(
        &self,
        officer: &DeskOfficer,
        credential: &Value,
        now: Timestamp,
    ) -> Result<Done> {
        let (statement, confirms) = match self.at_desk.questions().get(&officer.id) {
            None => return no(Refusal::QuestionUnknown),
            Some(asked) if now.since(asked.at) > FINISH_S => return no(Refusal::QuestionExpired),
            Some(asked) => (asked.statement.clone(), asked.confirms),
        };
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let response = AssertionResponse::from_json(credential).map_err(refused)?;
        let new =
            NewSheet { id: SheetId::random(&*self.random), secret: Secret::new(&*self.random) };
        let new = Arc::new((statement.act == DeskAct::Sheet && confirms).then_some(new));
        let (desk, rp, by) = (Arc::clone(&self.desk), self.config.relying_party(), officer.id);
        let (said, shared) = (statement.clone(), Arc::clone(&new));
        let work = move |tx: &mut Tx<'_>| {
            let Some(by) = OfficerRow::in_office(tx, by, &desk)? else {
                return no(Refusal::DeskClosed);
            };
            let approval = DeskApproval {
                statement: said.clone(),
                webauthn: AssertionEvidence::new(&response, &by.credential),
                approved: now,
            };
            let outcome = check_desk(&approval, &by.credential, &rp).map_err(refused)?;
            by.count(tx, outcome)?;
            let mut row = taken_up(tx, &said, confirms, &desk, now)?;
            let evidence = approval.evidence_hash();
            row.order.approvals.push(approval);
            let mut changed = Changed { ended: Vec::new(), sheet: None, notes: Vec::new() };
            if row.order.approvals.len() >= row.order.act.officers() {
                changed = carry_out(tx, &mut row, (*shared).as_ref(), &desk, now)?;
            }
            row.seal(&desk)?;
            if confirms {
                row.replace(tx)?
            } else {
                row.insert(tx)?
            }
            // Once where the owner reads of her key, once where what this officer did is read.
            let notes = [said.key.stream(), said.officer.stream()].map(|stream| {
                let mut record = Record::new(Event::DeskDecided, stream, now);
                (record.key, record.person) = (Some(said.key), Some(said.person));
                record.evidence = Some(evidence);
                Note(record)
            });
            let notes = notes.into_iter().chain(changed.notes).collect();
            Ok(((row.order, changed.ended, changed.sheet), notes))
        };
        let ((order, ended, sheet), _) = self.ledger.record_many(work).await?;
        self.at_desk.questions().remove(&officer.id);
        if order.act == DeskAct::Loss {
            self.ceremonies().retain(|_, ceremony| !ceremony.is_about(order.key));
        }
        let sheet = sheet.zip((*new).as_ref()).map(|(row, new)| {
            let url = format!("{}/r#1.{}.{}", self.config.url, row.id, new.secret.text());
            (Sheet { id: row.id, url, expires: row.expires }, row.display_id)
        });
        Ok(Done { order, ended, sheet })
    }

    /// Custody has acted on what was decided, or refuses it. Again changes nothing.
    ///
    /// # Errors
    /// `desk-order-unknown`, `seal-broken`, or a fault.
    pub async fn settle_act(&self, id: DeskOrderId, refused: Option<&'static str>) -> Result<()> {
        let desk = Arc::clone(&self.desk);
        self.ledger
            .write(move |tx| {
                let Some(mut row) = OrderRow::find(tx, id, &desk)? else {
                    return no(Refusal::DeskOrderUnknown);
                };
                if row.order.outcome == DECIDED {
                    refused.unwrap_or(DONE).clone_into(&mut row.order.outcome);
                    row.seal(&desk)?;
                    row.replace(tx)?;
                }
                Ok(())
            })
            .await
    }

    /// The acts that wait for a second officer, the oldest first.
    ///
    /// # Errors
    /// `seal-broken`, or a fault.
    pub async fn waiting_acts(&self, now: Timestamp) -> Result<Vec<Order>> {
        let desk = Arc::clone(&self.desk);
        self.ledger
            .read(move |tx| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM authn_desk_order WHERE closed IS NULL AND until > $1
                     ORDER BY opened, id LIMIT 200"
                );
                let rows = tx.query(&sql, &[now.into()])?;
                rows.iter().map(|row| Ok(OrderRow::read(row, &desk)?.order)).collect()
            })
            .await
    }

    /// What the desk decided about a key, the newest first.
    ///
    /// # Errors
    /// `seal-broken`, or a fault.
    pub async fn acts_on(&self, key: KeyId) -> Result<Vec<Order>> {
        let desk = Arc::clone(&self.desk);
        self.ledger
            .read(move |tx| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM authn_desk_order WHERE key = $1
                     ORDER BY opened DESC, id LIMIT 50"
                );
                let rows = tx.query(&sql, &[key.into()])?;
                rows.iter().map(|row| Ok(OrderRow::read(row, &desk)?.order)).collect()
            })
            .await
    }
}

/// The order under which a statement was asked, as it stands now.
fn taken_up(
    tx: &Tx<'_>,
    said: &DeskStatement,
    confirms: bool,
    desk: &TokenDesk,
    now: Timestamp,
) -> Result<OrderRow> {
    if confirms {
        let found = OrderRow::find(tx, said.order, desk)?;
        let row = found.ok_or(Failed::Refused(Refusal::DeskOrderUnknown))?;
        row.confirmable(said.officer, now).map_err(Failed::Refused)?;
        return Ok(row);
    }
    if OrderRow::waiting(tx, said.act, said.key, now)? {
        return no(Refusal::DeskOrderOpen);
    }
    sensible(tx, (said.act, said.key, said.session), desk, now)?;
    let order = Order {
        id: said.order,
        act: said.act,
        person: said.person,
        key: said.key,
        reason: said.reason.clone(),
        session: said.session,
        opened: now,
        until: now.plus(DESK_ORDER_S),
        approvals: Vec::new(),
        closed: None,
        outcome: String::new(),
    };
    Ok(OrderRow { order, seal: Vec::new() })
}
