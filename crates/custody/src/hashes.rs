//! signDoc and signHash: digests of a registered client's documents, around which custody composes a
//! CMS signature, and hashes that the client composed itself, where it may. All or none.

use std::sync::Arc;

use hpki::Certificate;
use hpki::encoding::{Digest32, Statement};
use hpki::id::{ActivationId, KeyId, OrderNumber, RequestId};
use hpki::time::Timestamp;
use ledger::{Failed, Fault, Intention, Receipt};
use xades::cades::{Attributes, Format};
use xades::compose::Recipe;

use crate::activation::Activation;
use crate::batch::TRIES;
use crate::bearer::Bearer;
use crate::client::Client;
use crate::csc::SignedHash;
use crate::key::Kept;
use crate::order::{OrderRow, OrderState};
use crate::policy::Mode;
use crate::prepared::{Document, PreparedRow};
use crate::refusal::Refusal;
use crate::request::Later;
use crate::room::Inner;
use crate::sad::SadRow;
use crate::spend::{Source, Spending, Spent, Stumble, Take};
use crate::token::Peer;
use crate::{Failed as Bad, refused};

/// One thing that a client wants signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToSign {
    /// What the client brings.
    pub digest: Digest32,
    /// `None`: it is the hash to be signed (DTBS/R). Else it is a document's digest, and what is
    /// signed are the attributes of a signature of this format.
    pub format: Option<Format>,
}

impl ToSign {
    /// A hash that is signed as it is.
    pub const fn hash(digest: Digest32) -> Self {
        Self { digest, format: None }
    }

    /// What a row has: its digest, and how that is signed. `None` for other forms of signature.
    pub(crate) fn of(digest: Digest32, mark: [u8; 4]) -> Option<Self> {
        let format = Format::of_mark(mark);
        (format.is_some() || mark == [0; 4]).then_some(Self { digest, format })
    }

    pub(crate) fn mark(&self) -> [u8; 4] {
        self.format.map_or([0; 4], Format::mark)
    }

    /// What is signed of it, where that is not the digest itself.
    pub(crate) fn attributes(&self, signer: &Certificate, at: Timestamp) -> Option<Attributes> {
        self.format.map(|format| Attributes::new(format, &self.digest, signer, at))
    }

    pub(crate) fn dtbsr(&self, signer: &Certificate, at: Timestamp) -> Digest32 {
        self.attributes(signer, at).map_or(self.digest, |attributes| attributes.digest())
    }
}

/// What commit A has taken, until the device has signed.
pub(crate) struct Reserved {
    spending: Arc<Spending>,
    activations: Vec<Activation>,
    receipts: Vec<Receipt<Intention>>,
    kept: Arc<Kept>,
}

/// A request that is answered before its signatures are there.
type Asked = Option<(RequestId, Later)>;

impl SadRow {
    /// Whether these may be named under it: where hashes were pinned or approved, only those, and
    /// what was approved only in the way in which it was.
    ///
    /// Refused: `hash-not-authorised`.
    pub(crate) fn names(
        &self,
        approved: Option<&PreparedRow>,
        wanted: &[ToSign],
    ) -> Result<(), Refusal> {
        let known = |wanted: &ToSign| match (approved, &self.hashes) {
            (Some(approved), _) => approved
                .documents
                .iter()
                .any(|one| (one.digest, one.mark) == (wanted.digest, wanted.mark())),
            (None, Some(pinned)) => pinned.contains(&wanted.digest),
            (None, None) => true,
        };
        if wanted.iter().all(known) { Ok(()) } else { Err(Refusal::HashNotAuthorised) }
    }
}

impl Inner {
    /// A number for hashes that come without one. Nobody else is told it.
    pub(crate) fn own_number(&self, now: Timestamp) -> OrderNumber {
        OrderNumber::new(now.seconds().saturating_mul(1000), &*self.random)
    }

    /// Who asks through a registered client, for her own credential.
    ///
    /// Refused: the token's codes, `client-unknown`, `credential-unknown`.
    pub(crate) async fn client_bearer(
        &self,
        token: &str,
        peer: &Peer,
        credential: KeyId,
        now: Timestamp,
    ) -> Result<Bearer, Bad> {
        let bearer = self.bearer(token, peer, now).await?;
        Client::of(&self.config.clients, &peer.x5t).map_err(Failed::Refused)?;
        if bearer.budget.key == credential {
            Ok(bearer)
        } else {
            refused(Refusal::CredentialUnknown)
        }
    }

    /// Whether the program of this session may have these signed, each by how it is signed.
    ///
    /// Refused: `client-unknown`, `raw-hashes-not-allowed`.
    pub(crate) fn may_bring(
        &self,
        bearer: &Bearer,
        formats: impl Iterator<Item = Option<Format>>,
    ) -> Result<(), Refusal> {
        Client::of(&self.config.clients, &bearer.budget.x5t)?.may_bring(formats)
    }

    /// Commit A for all that is wanted, by what the SAD rests on.
    pub(crate) async fn reserve_wanted(
        self: &Arc<Self>,
        bearer: Bearer,
        sad: SadRow,
        wanted: Vec<ToSign>,
        asked: Asked,
        now: Timestamp,
    ) -> Result<Reserved, Bad> {
        self.may_bring(&bearer, wanted.iter().map(|one| one.format)).map_err(Failed::Refused)?;
        match sad.prepared {
            None => self.reserve_drawn(bearer, sad, wanted, asked, now).await,
            Some(prepared) => {
                let approved = self.prepared_row(prepared).await?;
                self.reserve_pinned(bearer, sad, &approved, wanted, asked, now).await
            }
        }
    }

    /// SCAL1: drawn from the session's budget.
    async fn reserve_drawn(
        self: &Arc<Self>,
        mut bearer: Bearer,
        sad: SadRow,
        wanted: Vec<ToSign>,
        asked: Asked,
        now: Timestamp,
    ) -> Result<Reserved, Bad> {
        sad.names(None, &wanted).map_err(Failed::Refused)?;
        if wanted.len() > sad.remaining as usize {
            return refused(Refusal::SadExhausted);
        }
        for _ in 0..TRIES {
            bearer.may(self, sad.kind, Mode::Session, now).map_err(Failed::Refused)?;
            let kept = Arc::clone(&bearer.kept);
            let signer = crate::activation::usable(&kept, now).map_err(Failed::Refused)?;
            let number = self.own_number(now);
            let size = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
            let row = |(item, wanted): (u32, &ToSign)| OrderRow {
                facility: bearer.budget.facility.clone(),
                number,
                request: request(&sad, number, &wanted.digest),
                id: ActivationId::random(&*self.random),
                budget: bearer.budget.id,
                key: bearer.budget.key,
                recipe: Recipe {
                    kind: sad.kind,
                    digest: wanted.digest,
                    signing_time: now,
                    mark: wanted.mark(),
                },
                dtbsr: wanted.dtbsr(&signer.certificate, now),
                state: OrderState::Reserved,
                holder: self.holder,
                lease: self.lease(size as usize, now),
                reserved: now,
                intention: 0,
                outcome: None,
                consumed: None,
                signature: None,
                item,
                size,
                prepared: None,
                expires: None,
            };
            let mut rows: Vec<_> =
                (0..).zip(&wanted).map(row).map(|row| (row, Take::New)).collect();
            let mut activations = Vec::with_capacity(rows.len());
            for (row, _) in &mut rows {
                let activation = Activation::open(
                    &bearer.token,
                    &bearer.budget,
                    &bearer.kept,
                    sad.kind,
                    row.dtbsr,
                    &*self.random,
                    now,
                )
                .map_err(Failed::Refused)?;
                row.id = activation.id();
                activations.push(activation);
            }
            let of = (Source::Budget, bearer.budget.evidence_hash);
            let asked = asked.as_ref().map(|asked| (asked, wanted.as_slice()));
            let reserved =
                self.reserve_rows(&mut bearer, Some(&sad), asked, of, (rows, activations), now);
            if let Some(reserved) = reserved.await? {
                return Ok(reserved);
            }
        }
        refused(Refusal::OrderInProgress)
    }

    /// SCAL2: exactly what the owner approved, each occurrence once.
    async fn reserve_pinned(
        self: &Arc<Self>,
        mut bearer: Bearer,
        sad: SadRow,
        approved: &PreparedRow,
        wanted: Vec<ToSign>,
        asked: Asked,
        now: Timestamp,
    ) -> Result<Reserved, Bad> {
        sad.names(Some(approved), &wanted).map_err(Failed::Refused)?;
        let evidence =
            approved.approved.as_ref().map(|approved| approved.evidence_hash).unwrap_or_default();
        for _ in 0..TRIES {
            let known = self.approved_rows(approved).await?;
            let taken = occurrences(approved, &known, &wanted, now).map_err(Failed::Refused)?;
            let mut rows = Vec::with_capacity(taken.len());
            let mut activations = Vec::with_capacity(taken.len());
            for (row, document, take) in taken {
                let mut row = row.clone();
                if take == Take::Released {
                    row.id = ActivationId::random(&*self.random);
                }
                row.budget = bearer.budget.id;
                row.holder = self.holder;
                row.lease = self.lease(wanted.len(), now);
                row.reserved = now;
                let activation = Activation::approved(&bearer, approved, document, row.id, now)
                    .map_err(Failed::Refused)?;
                activations.push(activation);
                rows.push((row, take));
            }
            let of = (Source::Approved(self.approver(approved).await?), evidence);
            let asked = asked.as_ref().map(|asked| (asked, wanted.as_slice()));
            let reserved =
                self.reserve_rows(&mut bearer, Some(&sad), asked, of, (rows, activations), now);
            if let Some(reserved) = reserved.await? {
                return Ok(reserved);
            }
        }
        refused(Refusal::OrderInProgress)
    }

    /// Commit A. `None`: what was remembered of budget and key was stale.
    pub(crate) async fn reserve_rows(
        self: &Arc<Self>,
        bearer: &mut Bearer,
        sad: Option<&SadRow>,
        asked: Option<(&(RequestId, Later), &[ToSign])>,
        (source, evidence): (Source, Digest32),
        (rows, activations): (Vec<(OrderRow, Take)>, Vec<Activation>),
        now: Timestamp,
    ) -> Result<Option<Reserved>, Bad> {
        let request = match asked {
            None => None,
            Some((asked, wanted)) => Some(self.request_row(bearer, &rows, wanted, asked, now)?),
        };
        let mut spending = Spending::new(rows, source, evidence, sad.cloned(), bearer, now);
        spending.together = true;
        spending.request = request;
        let spending = Arc::new(spending);
        match self.reserve(&spending).await {
            Ok((_, receipts)) => {
                let kept = Arc::clone(&bearer.kept);
                Ok(Some(Reserved { spending, activations, receipts, kept }))
            }
            Err(Failed::Fault(fault)) => Err(fault.into()),
            Err(Failed::Refused(Stumble::Refused(refusal))) => refused(refusal),
            // Somebody else was first. Who comes second gets nothing, whatever became of it.
            Err(Failed::Refused(Stumble::Moved)) => refused(Refusal::ActivationSpent),
            Err(Failed::Refused(Stumble::Taken)) => Ok(None),
            Err(Failed::Refused(Stumble::NotGranted)) => {
                if let Some(sad) = sad {
                    self.sad_again(sad, bearer).await?.live(now).map_err(Failed::Refused)?;
                }
                refused(Refusal::SadExhausted)
            }
            Err(Failed::Refused(Stumble::NotDrawn)) => {
                let wanted = match spending.source {
                    Source::Budget => spending.count(),
                    Source::Approved(_) => 0,
                };
                self.refresh(bearer, wanted, now).await?;
                Ok(None)
            }
        }
    }

    /// From commit A to the answer.
    pub(crate) async fn carry_reserved(
        self: &Arc<Self>,
        reserved: Reserved,
        now: Timestamp,
    ) -> Result<Vec<SignedHash>, Bad> {
        let Reserved { spending, activations, receipts, kept } = reserved;
        let spent = self.carry_out_all(&spending, activations, receipts, &kept, now).await?;
        let mut signed = Vec::with_capacity(spent.len());
        for (one, (row, _)) in spent.into_iter().zip(&spending.rows) {
            let Spent { signature, receipt } = one.map_err(Failed::Refused)?;
            let what = ToSign::of(row.recipe.digest, row.recipe.mark);
            let attributes = kept.certified.as_ref().zip(what).and_then(|(certified, what)| {
                what.attributes(&certified.certificate, row.recipe.signing_time)
            });
            let (index, proof) = (receipt.index(), receipt.proof());
            signed.push(SignedHash { signature, attributes, index, proof });
        }
        Ok(signed)
    }
}

/// `H("azukari/hash/v1"; sad, number, hash)`: no order of a gateway can be this request.
fn request(sad: &SadRow, number: OrderNumber, hash: &Digest32) -> Digest32 {
    Statement::new("azukari/hash/v1")
        .octets_field(&sad.hash)
        .octets_field(number.octets())
        .octets_field(hash)
        .digest()
}

/// For each hash, the occurrence that it spends: one that waits before one that was interrupted.
///
/// Refused: `activation-spent`, `activation-expired`, `hash-not-authorised`.
fn occurrences<'a>(
    approved: &'a PreparedRow,
    known: &'a [OrderRow],
    wanted: &[ToSign],
    now: Timestamp,
) -> Result<Vec<(&'a OrderRow, &'a Document, Take)>, Refusal> {
    let mut free: Vec<bool> = known.iter().map(|_| true).collect();
    let mut taken = Vec::with_capacity(wanted.len());
    for one in wanted {
        let mut why = Refusal::HashNotAuthorised;
        let mut best: Option<(usize, Take)> = None;
        let same =
            |row: &OrderRow| (row.recipe.digest, row.recipe.mark) == (one.digest, one.mark());
        for (place, row) in known.iter().enumerate().filter(|(_, row)| same(row)) {
            let live = row.expires.is_some_and(|expires| now < expires);
            let take = match row.state {
                _ if !free[place] => None,
                OrderState::Authorised if live => Some(Take::Authorised),
                OrderState::Released if live => Some(Take::Released),
                OrderState::Authorised | OrderState::Expired | OrderState::Released => {
                    why = Refusal::ActivationExpired;
                    continue;
                }
                OrderState::Reserved | OrderState::Consumed | OrderState::Failed => None,
            };
            match take {
                Some(Take::Authorised) => {
                    best = Some((place, Take::Authorised));
                    break;
                }
                Some(take) => best = best.or(Some((place, take))),
                None => why = Refusal::ActivationSpent,
            }
        }
        let Some((place, take)) = best else { return Err(why) };
        free[place] = false;
        let row = &known[place];
        let document = approved.document_of(row).ok_or(Refusal::HashNotAuthorised)?;
        taken.push((row, document, take));
    }
    Ok(taken)
}

impl Inner {
    /// A SAD's row as it is now.
    async fn sad_again(&self, sad: &SadRow, bearer: &Bearer) -> Result<SadRow, Bad> {
        let hash = sad.hash;
        let row = self.ledger.read(move |tx| Ok(SadRow::read(tx, &hash)?)).await?;
        match row {
            Some(row) if row.is_of(bearer) => Ok(row),
            Some(_) => refused(Refusal::SadUnknown),
            None => Err(Fault::Row("custody_sad: gone".into()).into()),
        }
    }
}
