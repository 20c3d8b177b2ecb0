//! Signatures that a program asks for without waiting, and fetches later (CSC `operationMode` `A`
//! and `signatures/signPolling`).
//!
//! The request is taken with commit A: its row, the draw, the reservations and the intentions are
//! one. The device signs behind the answer. Who comes for the signatures brings her token again, so
//! what a crash or the device interrupted is resumed then, by its bearer and nobody else.
//!
//! | we died | what is true | what the next poll finds |
//! |---|---|---|
//! | before commit A | nothing; the SAD is as it was | no request |
//! | between A and B | the request and its intentions stand | "not yet" until the lease is over; then the same octets are signed, for ten minutes (session) or while the approval lasts (documents) |
//! | after B | the signatures are stored | the signatures, until the request's end |
//! | before the program heard the id | the same, for nobody | nothing: it asks again, with another SAD |

use std::sync::Arc;

use hpki::encoding::{Digest32, Statement};
use hpki::id::{ActivationId, BudgetId, FacilityCode, KeyId, OrderNumber};
use hpki::id::{PersonId, PreparedId, RequestId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Row, Tx};
use wire::csc::CredentialId;
use xades::cades::Format;
use xades::compose::Recipe;

use crate::Failed as Bad;
use crate::activation::Activation;
use crate::batch::TRIES;
use crate::bearer::Bearer;
use crate::client::Client;
use crate::csc::MULTISIGN;
use crate::hashes::{Reserved, ToSign};
use crate::key::Certified;
use crate::limits::ANSWER_S;
use crate::order::{OrderRow, OrderState, order_number};
use crate::policy::Mode;
use crate::prepared::PreparedRow;
use crate::refusal::Refusal;
use crate::refused;
use crate::room::{Custody, Inner};
use crate::sad::Sad;
use crate::spend::{Source, Take};
use crate::token::Peer;

/// The longest that a request's signatures are kept for whoever asked: 24 hours.
pub const KEEP_MOST_S: u64 = ANSWER_S;

/// How a program wants to hear of its signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Later {
    /// How long they are to be kept, in seconds: 1 to [`KEEP_MOST_S`].
    pub keep_s: u64,
    /// A registered address that is told when they are there.
    pub notify: Option<String>,
}

/// One signature that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// The signature value.
    pub signature: Vec<u8>,
    /// Around a document's digest: what was signed (`xades::cades`).
    pub attributes: Option<xades::cades::Attributes>,
}

/// How far a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// Not yet.
    Working,
    /// The signatures, in the order in which they were asked for.
    Signed {
        /// Whose.
        key: KeyId,
        /// Each.
        ready: Vec<Ready>,
    },
}

/// A request whose program wants to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The request.
    pub id: RequestId,
    /// The certificate of the program's connection.
    pub x5t: Digest32,
    /// The registered address.
    pub notify: String,
}

/// The row. `told` is as of reading; the rest is sealed.
#[derive(Debug, Clone)]
pub(crate) struct RequestRow {
    pub(crate) id: RequestId,
    pub(crate) prepared: Option<PreparedId>,
    pub(crate) budget: BudgetId,
    pub(crate) facility: FacilityCode,
    pub(crate) x5t: Digest32,
    pub(crate) person: PersonId,
    pub(crate) key: KeyId,
    pub(crate) kind: DocumentKind,
    /// The number of its activations.
    pub(crate) number: OrderNumber,
    /// What was asked for, in order, and the item under that number.
    pub(crate) wanted: Vec<(u32, ToSign)>,
    pub(crate) made: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) notify: Option<String>,
    pub(crate) seal: Vec<u8>,
}

const COLUMNS: &str = "id, prepared, budget, facility, x5t, person, kept, kind, number, wanted, \
    made, until, notify, seal";

/// Octets of one entry of `wanted`: item, mark, digest.
const ENTRY: usize = 4 + 4 + 32;
/// So many programs are told in one round.
const TOLD_AT_ONCE: usize = 100;

impl RequestRow {
    fn is_of(&self, bearer: &Bearer) -> bool {
        self.budget == bearer.budget.id
            && self.facility == bearer.budget.facility
            && self.x5t == bearer.budget.x5t
            && self.person == bearer.budget.person
            && self.key == bearer.budget.key
    }

    fn wanted_octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.wanted.len() * ENTRY);
        for (item, wanted) in &self.wanted {
            out.extend_from_slice(&item.to_be_bytes());
            out.extend_from_slice(&wanted.mark());
            out.extend_from_slice(&wanted.digest);
        }
        out
    }

    fn wanted_of(octets: &[u8]) -> Option<Vec<(u32, ToSign)>> {
        let (entries, rest) = octets.as_chunks::<ENTRY>();
        let entry = |entry: &[u8; ENTRY]| {
            let (item, rest) = entry.split_first_chunk::<4>()?;
            let (mark, digest) = rest.split_first_chunk::<4>()?;
            let wanted = ToSign::of(digest.try_into().ok()?, *mark)?;
            Some((u32::from_be_bytes(*item), wanted))
        };
        if rest.is_empty() { entries.iter().map(entry).collect() } else { None }
    }

    pub(crate) fn statement(&self) -> Statement {
        Statement::new("azukari/seal/v1")
            .text("custody_request")
            .octets_field(self.id.octets())
            .optional(self.prepared.as_ref().map(|id| id.octets().as_slice()))
            .octets_field(self.budget.octets())
            .text(self.facility.as_str())
            .octets_field(&self.x5t)
            .octets_field(self.person.octets())
            .octets_field(self.key.octets())
            .text(self.kind.name())
            .octets_field(self.number.octets())
            .octets_field(&self.wanted_octets())
            .time(self.made)
            .time(self.until)
            .optional(self.notify.as_ref().map(String::as_bytes))
    }

    /// Its part of commit A.
    pub(crate) fn insert(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        let sql = format!(
            "INSERT INTO custody_request ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
                 $10, $11, $12, $13, $14)"
        );
        tx.exec(
            &sql,
            &[
                self.id.into(),
                self.prepared.into(),
                self.budget.into(),
                (&self.facility).into(),
                (&self.x5t).into(),
                self.person.into(),
                self.key.into(),
                self.kind.into(),
                self.number.into(),
                self.wanted_octets().into(),
                self.made.into(),
                self.until.into(),
                self.notify.as_deref().into(),
                (&self.seal).into(),
            ],
        )?;
        Ok(())
    }

    fn read(tx: &Tx<'_>, id: RequestId) -> Result<Option<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_request WHERE id = $1");
        tx.query_opt(&sql, &[id.into()])?.as_ref().map(Self::from_row).transpose()
    }

    pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<Self>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM custody_request");
        tx.query(&sql, &[])?.iter().map(Self::from_row).collect()
    }

    /// Those whose programs want to be told and were not, oldest first, without those that are not due:
    /// an address that does not answer keeps nobody else waiting.
    fn untold(tx: &Tx<'_>, except: &[RequestId], now: Timestamp) -> Result<Vec<Self>, Fault> {
        let sql = "SELECT id FROM custody_request
                   WHERE notify IS NOT NULL AND told IS NULL AND until > $1 ORDER BY made";
        let rows = tx.query(sql, &[now.into()])?;
        let ids = rows.iter().map(|row| Ok(RequestId::from_octets(row.array(0)?)));
        let ids: Vec<_> = ids.collect::<Result<_, Fault>>()?;
        let due = ids.into_iter().filter(|id| !except.contains(id)).take(TOLD_AT_ONCE);
        let rows = due.map(|id| Self::read(tx, id)).filter_map(Result::transpose);
        // A row that cannot be read is audited elsewhere.
        Ok(rows.filter_map(Result::ok).collect())
    }

    fn from_row(row: &Row) -> Result<Self, Fault> {
        let odd = |what: &str| Fault::Row(format!("custody_request: {what}"));
        Ok(Self {
            id: RequestId::from_octets(row.array(0)?),
            prepared: match row.opt_blob(1)? {
                None => None,
                Some(octets) => {
                    Some(PreparedId::from_slice(octets).ok_or_else(|| odd("prepared"))?)
                }
            },
            budget: BudgetId::from_octets(row.array(2)?),
            facility: row.parsed(3)?,
            x5t: row.array(4)?,
            person: PersonId::from_octets(row.array(5)?),
            key: KeyId::from_octets(row.array(6)?),
            kind: row.parsed(7)?,
            number: order_number(row.array(8)?).ok_or_else(|| odd("number"))?,
            wanted: Self::wanted_of(row.blob(9)?).ok_or_else(|| odd("wanted"))?,
            made: row.time(10)?,
            until: row.time(11)?,
            notify: row.opt_text(12)?.map(str::to_owned),
            seal: row.blob(13)?.to_vec(),
        })
    }

    /// Whether this activation is one that was asked for. Drawn ones are composed again from what
    /// is sealed here; approved ones are compared with what is sealed there.
    fn covers(&self, row: &OrderRow, approved: Option<&PreparedRow>, signer: &Certified) -> bool {
        let Some((_, wanted)) = self.wanted.iter().find(|(item, _)| *item == row.item) else {
            return false;
        };
        let same = row.number == self.number
            && row.facility == self.facility
            && row.key == self.key
            && row.prepared == self.prepared
            && row.recipe.kind == self.kind
            && (row.recipe.digest, row.recipe.mark) == (wanted.digest, wanted.mark());
        let composed = match approved {
            Some(approved) => approved.document_of(row).is_some(),
            None => {
                let recipe = Recipe { signing_time: self.made, ..row.recipe };
                row.recipe == recipe && row.dtbsr == wanted.dtbsr(&signer.certificate, self.made)
            }
        };
        same && composed
    }
}

impl Custody {
    /// `signatures/signHash` and `signDoc` for a program that comes back: all is reserved, and the
    /// device signs after the answer.
    ///
    /// Refused: as [`Custody::csc_sign`].
    pub async fn csc_begin(
        &self,
        token: &str,
        peer: &Peer,
        credential: CredentialId,
        sad: &Sad,
        (wanted, later): (&[ToSign], Later),
        now: Timestamp,
    ) -> Result<RequestId, Bad> {
        let inner = Arc::clone(&self.0);
        let bearer = inner.client_bearer(token, peer, credential.key, now).await?;
        let sad = inner.sad_for(sad, &bearer, credential).await?;
        sad.live(now).map_err(Failed::Refused)?;
        if !(1..=MULTISIGN as usize).contains(&wanted.len()) {
            return refused(Refusal::BatchSize);
        }
        let wanted = wanted.to_vec();
        let work = tokio::spawn(async move {
            let id = RequestId::random(&*inner.random);
            let asked = Some((id, later));
            let reserved = inner.reserve_wanted(bearer, sad, wanted, asked, now).await?;
            inner.work_on(reserved, now);
            Ok(id)
        });
        work.await.unwrap_or(Err(Failed::Fault(Fault::Panicked)))
    }

    /// `signatures/signPolling`: what became of a request. What was interrupted is resumed.
    ///
    /// Refused: `request-unknown` (also for everybody but the bearer of the token that asked),
    /// `order-interrupted`, `activation-expired`, `key-frozen`, and what signing refuses about the
    /// token, the budget and the key.
    pub async fn csc_poll(
        &self,
        token: &str,
        peer: &Peer,
        id: RequestId,
        now: Timestamp,
    ) -> Result<Polled, Bad> {
        let inner = Arc::clone(&self.0);
        let bearer = inner.bearer(token, peer, now).await?;
        Client::of(&inner.config.clients, &peer.x5t).map_err(Failed::Refused)?;
        let work = tokio::spawn(async move { inner.poll_request(bearer, id, now).await });
        work.await.unwrap_or(Err(Failed::Fault(Fault::Panicked)))
    }

    /// Requests that are settled – signed, or to be taken up by asking – and whose programs want to
    /// be told of it; but for `except`, whose time has not come.
    pub async fn csc_completed(
        &self,
        except: Vec<RequestId>,
        now: Timestamp,
    ) -> Result<Vec<Completed>, Bad> {
        let inner = &*self.0;
        let untold = inner.ledger.read(move |tx| Ok(RequestRow::untold(tx, &except, now)?)).await?;
        let mut completed = Vec::new();
        for request in untold {
            if !inner.room.seal_holds(&request.statement(), &request.seal)? {
                tracing::error!(request = %request.id, "the seal of a request is broken: nobody is told of it");
                continue;
            }
            let rows = inner.order_items(&request.facility, request.number).await?;
            let open = rows.iter().any(|row| row.state == OrderState::Reserved);
            if let (false, Some(notify)) = (open, request.notify) {
                completed.push(Completed { id: request.id, x5t: request.x5t, notify });
            }
        }
        Ok(completed)
    }

    /// Its program was told.
    pub async fn csc_told(&self, id: RequestId, now: Timestamp) -> Result<(), Bad> {
        self.0
            .ledger
            .write(move |tx| {
                let sql = "UPDATE custody_request SET told = $2 WHERE id = $1 AND told IS NULL";
                Ok::<_, Failed<Refusal>>(tx.exec(sql, &[id.into(), now.into()])?)
            })
            .await?;
        Ok(())
    }
}

/// What is to be done with a request, as its activations stand.
enum Standing {
    Signed,
    Working,
    /// Reserved by somebody who is no more.
    Lapsed(Vec<OrderRow>),
    /// Interrupted.
    Resume(Vec<OrderRow>),
}

/// Refused: `key-frozen`, `order-interrupted`, `activation-expired`.
fn standing(rows: &[OrderRow], now: Timestamp) -> Result<Standing, Refusal> {
    let of = |state: OrderState| rows.iter().filter(move |row| row.state == state);
    if of(OrderState::Failed).next().is_some() {
        return Err(Refusal::KeyFrozen);
    }
    let (over, held): (Vec<_>, Vec<_>) = of(OrderState::Reserved).partition(|row| now >= row.lease);
    if !over.is_empty() {
        return Ok(Standing::Lapsed(over.into_iter().cloned().collect()));
    }
    if !held.is_empty() {
        return Ok(Standing::Working);
    }
    if rows.iter().all(|row| row.state == OrderState::Consumed) {
        return Ok(Standing::Signed);
    }
    // What nobody can take up any more: an approval whose time is over.
    if of(OrderState::Released).next().is_none() {
        return Err(Refusal::ActivationExpired);
    }
    for row in of(OrderState::Released) {
        match row.expires {
            Some(expires) if now >= expires => return Err(Refusal::ActivationExpired),
            None if !row.resumable(now) => return Err(Refusal::OrderInterrupted),
            _ => {}
        }
    }
    Ok(Standing::Resume(of(OrderState::Released).cloned().collect()))
}

impl Inner {
    /// The row of a request that commits with these activations.
    pub(crate) fn request_row(
        &self,
        bearer: &Bearer,
        rows: &[(OrderRow, Take)],
        wanted: &[ToSign],
        (id, later): &(RequestId, Later),
        now: Timestamp,
    ) -> Result<RequestRow, Bad> {
        let odd = || Fault::Row("custody_request: nothing is asked for".into());
        let (first, _) = rows.first().ok_or_else(odd)?;
        let items = rows.iter().map(|(row, _)| row.item);
        let mut request = RequestRow {
            id: *id,
            prepared: first.prepared,
            budget: bearer.budget.id,
            facility: bearer.budget.facility.clone(),
            x5t: bearer.budget.x5t,
            person: bearer.budget.person,
            key: bearer.budget.key,
            kind: first.recipe.kind,
            number: first.number,
            wanted: items.zip(wanted.iter().copied()).collect(),
            made: now,
            until: now.plus(later.keep_s.clamp(1, KEEP_MOST_S)),
            notify: later.notify.clone(),
            seal: Vec::new(),
        };
        request.seal = self.room.seal(&request.statement())?.to_vec();
        Ok(request)
    }

    /// The device signs, and nobody waits for it.
    pub(crate) fn work_on(self: &Arc<Self>, reserved: Reserved, now: Timestamp) {
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(failed) = inner.carry_reserved(reserved, now).await {
                tracing::warn!(%failed, "a request for signatures waits to be asked for again");
            }
        });
    }

    async fn request(&self, id: RequestId, bearer: &Bearer) -> Result<RequestRow, Bad> {
        let row = self.ledger.read(move |tx| Ok(RequestRow::read(tx, id)?)).await?;
        match row {
            Some(row) if !row.is_of(bearer) => refused(Refusal::RequestUnknown),
            Some(row) if !self.room.seal_holds(&row.statement(), &row.seal)? => {
                refused(Refusal::SealBroken("custody_request"))
            }
            Some(row) => Ok(row),
            None => refused(Refusal::RequestUnknown),
        }
    }

    /// The activations of a request, in the order in which they were asked for.
    async fn request_rows(
        &self,
        request: &RequestRow,
        approved: Option<&PreparedRow>,
        signer: &Certified,
    ) -> Result<Vec<OrderRow>, Bad> {
        let all = self.order_items(&request.facility, request.number).await?;
        let found = request.wanted.iter().map(|(item, _)| {
            let row = all.iter().find(|row| row.item == *item)?;
            request.covers(row, approved, signer).then(|| row.clone())
        });
        let odd = || Fault::Row("custody_activation: not what was asked for".into());
        Ok(found.collect::<Option<Vec<_>>>().ok_or_else(odd)?)
    }

    async fn poll_request(
        self: Arc<Self>,
        mut bearer: Bearer,
        id: RequestId,
        now: Timestamp,
    ) -> Result<Polled, Bad> {
        let request = self.request(id, &bearer).await?;
        if now >= request.until {
            return refused(Refusal::RequestUnknown);
        }
        let approved = match request.prepared {
            None => None,
            Some(prepared) => Some(self.prepared_row(prepared).await?),
        };
        for _ in 0..TRIES {
            let kept = Arc::clone(&bearer.kept);
            let signer = kept.certified.as_ref();
            let signer = signer.ok_or(Failed::Refused(Refusal::KeyWrongState("generated")))?;
            let rows = self.request_rows(&request, approved.as_ref(), signer).await?;
            match standing(&rows, now).map_err(Failed::Refused)? {
                Standing::Working => return Ok(Polled::Working),
                Standing::Lapsed(over) => self.release(&over, OrderState::Released, now).await?,
                Standing::Signed => {
                    let ready = |row: OrderRow| Ready {
                        attributes: ToSign::of(row.recipe.digest, row.recipe.mark).and_then(
                            |one| one.attributes(&signer.certificate, row.recipe.signing_time),
                        ),
                        signature: row.signature.unwrap_or_default(),
                    };
                    let ready = rows.into_iter().map(ready).collect();
                    return Ok(Polled::Signed { key: request.key, ready });
                }
                Standing::Resume(rows) => {
                    let again = self.resume_request(&mut bearer, approved.as_ref(), rows, now);
                    if let Some(reserved) = again.await? {
                        self.work_on(reserved, now);
                        return Ok(Polled::Working);
                    }
                }
            }
        }
        Ok(Polled::Working)
    }

    /// What was interrupted is reserved again, by the same bearer. `None`: it moved meanwhile, or
    /// what was remembered of budget and key was stale.
    async fn resume_request(
        self: &Arc<Self>,
        bearer: &mut Bearer,
        approved: Option<&PreparedRow>,
        rows: Vec<OrderRow>,
        now: Timestamp,
    ) -> Result<Option<Reserved>, Bad> {
        let formats = rows.iter().map(|row| Format::of_mark(row.recipe.mark));
        self.may_bring(bearer, formats).map_err(Failed::Refused)?;
        let kind = rows.first().map(|row| row.recipe.kind);
        let mode = if approved.is_some() { Mode::EachDocument } else { Mode::Session };
        if let Some(kind) = kind {
            bearer.may(self, kind, mode, now).map_err(Failed::Refused)?;
        }
        let count = rows.len();
        let mut taken = Vec::with_capacity(count);
        let mut activations = Vec::with_capacity(count);
        for mut row in rows {
            let activation = match approved {
                None => Activation::open(
                    &bearer.token,
                    &bearer.budget,
                    &bearer.kept,
                    row.recipe.kind,
                    row.dtbsr,
                    &*self.random,
                    now,
                ),
                Some(approved) => match approved.document_of(&row) {
                    None => Err(Refusal::HashNotAuthorised),
                    Some(document) => {
                        let id = ActivationId::random(&*self.random);
                        Activation::approved(bearer, approved, document, id, now)
                    }
                },
            }
            .map_err(Failed::Refused)?;
            row.id = activation.id();
            row.budget = bearer.budget.id;
            row.holder = self.holder;
            row.lease = self.lease(count, now);
            row.reserved = now;
            activations.push(activation);
            taken.push((row, Take::Released));
        }
        let of = match approved {
            None => (Source::Budget, bearer.budget.evidence_hash),
            Some(approved) => {
                let evidence = approved.approved.as_ref();
                let evidence = evidence.map(|one| one.evidence_hash).unwrap_or_default();
                (Source::Approved(self.approver(approved).await?), evidence)
            }
        };
        match self.reserve_rows(bearer, None, None, of, (taken, activations), now).await {
            Err(Failed::Refused(Refusal::ActivationSpent)) => Ok(None),
            reserved => reserved,
        }
    }
}
