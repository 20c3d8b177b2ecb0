//! signHash: hashes that a registered client composed, all or none.

use std::sync::Arc;

use hpki::encoding::{Digest32, Statement};
use hpki::id::{ActivationId, KeyId, OrderNumber};
use hpki::time::Timestamp;
use ledger::{Failed, Fault};
use xades::compose::Recipe;

use crate::activation::Activation;
use crate::batch::TRIES;
use crate::bearer::Bearer;
use crate::client::Client;
use crate::csc::SignedHash;
use crate::order::{OrderRow, OrderState};
use crate::policy::Mode;
use crate::prepared::{Document, PreparedRow};
use crate::refusal::Refusal;
use crate::room::Inner;
use crate::sad::SadRow;
use crate::spend::{Source, Spending, Spent, Stumble, Take};
use crate::token::Peer;
use crate::{Failed as Bad, refused};

impl SadRow {
    /// Whether these hashes may be named under it.
    ///
    /// Refused: `hash-not-authorised`.
    pub(crate) fn names(
        &self,
        approved: Option<&PreparedRow>,
        hashes: &[Digest32],
    ) -> Result<(), Refusal> {
        let known = |hash: &Digest32| match (approved, &self.hashes) {
            (Some(approved), _) => approved.documents.iter().any(|one| one.dtbsr == *hash),
            (None, Some(pinned)) => pinned.contains(hash),
            (None, None) => true,
        };
        if hashes.iter().all(known) { Ok(()) } else { Err(Refusal::HashNotAuthorised) }
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
        Client::of(&self.config.clients, peer).map_err(Failed::Refused)?;
        if bearer.budget.key == credential {
            Ok(bearer)
        } else {
            refused(Refusal::CredentialUnknown)
        }
    }

    pub(crate) async fn sign_hashes(
        self: Arc<Self>,
        bearer: Bearer,
        sad: SadRow,
        hashes: Vec<Digest32>,
        now: Timestamp,
    ) -> Result<Vec<SignedHash>, Bad> {
        match sad.prepared {
            None => self.sign_drawn(bearer, sad, hashes, now).await,
            Some(prepared) => {
                let approved = self.prepared_row(prepared).await?;
                self.sign_pinned(bearer, sad, &approved, hashes, now).await
            }
        }
    }

    /// SCAL1: drawn from the session's budget.
    async fn sign_drawn(
        self: Arc<Self>,
        mut bearer: Bearer,
        sad: SadRow,
        hashes: Vec<Digest32>,
        now: Timestamp,
    ) -> Result<Vec<SignedHash>, Bad> {
        sad.names(None, &hashes).map_err(Failed::Refused)?;
        if hashes.len() > sad.remaining as usize {
            return refused(Refusal::SadExhausted);
        }
        for _ in 0..TRIES {
            bearer.may(&self, sad.kind, Mode::Session, now).map_err(Failed::Refused)?;
            let number = self.own_number(now);
            let size = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
            let row = |(item, hash): (u32, &Digest32)| OrderRow {
                facility: bearer.budget.facility.clone(),
                number,
                request: request(&sad, number, hash),
                id: ActivationId::random(&*self.random),
                budget: bearer.budget.id,
                key: bearer.budget.key,
                recipe: Recipe { kind: sad.kind, digest: *hash, signing_time: now, mark: [0; 4] },
                dtbsr: *hash,
                state: OrderState::Reserved,
                holder: self.holder,
                lease: self.lease(hashes.len(), now),
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
                (0..).zip(&hashes).map(row).map(|row| (row, Take::New)).collect();
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
            let evidence = bearer.budget.evidence_hash;
            let of = (Source::Budget, evidence);
            match self.hand_in(&mut bearer, &sad, of, rows, activations, now).await? {
                Some(signed) => return Ok(signed),
                None => continue,
            }
        }
        refused(Refusal::OrderInProgress)
    }

    /// SCAL2: exactly what the owner approved, each occurrence once.
    async fn sign_pinned(
        self: Arc<Self>,
        mut bearer: Bearer,
        sad: SadRow,
        approved: &PreparedRow,
        hashes: Vec<Digest32>,
        now: Timestamp,
    ) -> Result<Vec<SignedHash>, Bad> {
        sad.names(Some(approved), &hashes).map_err(Failed::Refused)?;
        let evidence =
            approved.approved.as_ref().map(|approved| approved.evidence_hash).unwrap_or_default();
        for _ in 0..TRIES {
            let known = self.approved_rows(approved).await?;
            let taken = occurrences(approved, &known, &hashes, now).map_err(Failed::Refused)?;
            let mut rows = Vec::with_capacity(taken.len());
            let mut activations = Vec::with_capacity(taken.len());
            for (row, document, take) in taken {
                let mut row = row.clone();
                if take == Take::Released {
                    row.id = ActivationId::random(&*self.random);
                }
                row.budget = bearer.budget.id;
                row.holder = self.holder;
                row.lease = self.lease(hashes.len(), now);
                row.reserved = now;
                let activation = Activation::approved(&bearer, approved, document, row.id, now)
                    .map_err(Failed::Refused)?;
                activations.push(activation);
                rows.push((row, take));
            }
            let of = (Source::Approved, evidence);
            match self.hand_in(&mut bearer, &sad, of, rows, activations, now).await? {
                Some(signed) => return Ok(signed),
                None => continue,
            }
        }
        refused(Refusal::OrderInProgress)
    }

    /// Commit A to the answer. `None`: what was remembered of budget and key was stale.
    async fn hand_in(
        self: &Arc<Self>,
        bearer: &mut Bearer,
        sad: &SadRow,
        (source, evidence): (Source, Digest32),
        rows: Vec<(OrderRow, Take)>,
        activations: Vec<Activation>,
        now: Timestamp,
    ) -> Result<Option<Vec<SignedHash>>, Bad> {
        let mut spending = Spending::new(rows, source, evidence, Some(sad.clone()), bearer, now);
        spending.together = true;
        let spending = Arc::new(spending);
        let receipts = match self.reserve(&spending).await {
            Ok((_, receipts)) => receipts,
            Err(Failed::Fault(fault)) => return Err(fault.into()),
            Err(Failed::Refused(Stumble::Refused(refusal))) => return refused(refusal),
            // Somebody else was first. Who comes second gets nothing, whatever became of it.
            Err(Failed::Refused(Stumble::Moved)) => return refused(Refusal::ActivationSpent),
            Err(Failed::Refused(Stumble::Taken)) => return Ok(None),
            Err(Failed::Refused(Stumble::NotGranted)) => {
                let again = self.sad_again(sad, bearer).await?;
                again.live(now).map_err(Failed::Refused)?;
                return refused(Refusal::SadExhausted);
            }
            Err(Failed::Refused(Stumble::NotDrawn)) => {
                let wanted = match spending.source {
                    Source::Budget => spending.count(),
                    Source::Approved => 0,
                };
                self.refresh(bearer, wanted, now).await?;
                return Ok(None);
            }
        };
        let kept = Arc::clone(&bearer.kept);
        let spent = self.carry_out_all(&spending, activations, receipts, &kept, now).await?;
        let mut signed = Vec::with_capacity(spent.len());
        for one in spent {
            let Spent { signature, receipt } = one.map_err(Failed::Refused)?;
            signed.push(SignedHash { signature, index: receipt.index(), proof: receipt.proof() });
        }
        Ok(Some(signed))
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
    hashes: &[Digest32],
    now: Timestamp,
) -> Result<Vec<(&'a OrderRow, &'a Document, Take)>, Refusal> {
    let mut free: Vec<bool> = known.iter().map(|_| true).collect();
    let mut taken = Vec::with_capacity(hashes.len());
    for hash in hashes {
        let mut why = Refusal::HashNotAuthorised;
        let mut best: Option<(usize, Take)> = None;
        for (place, row) in known.iter().enumerate().filter(|(_, row)| row.dtbsr == *hash) {
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
