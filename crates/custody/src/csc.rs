//! What the CSC API asks of custody. How it is spoken over HTTP is not known here. How hashes are
//! signed stands in `hashes`.

use std::sync::Arc;

use hpki::encoding::Digest32;
use hpki::id::{KeyId, PreparedId};
use hpki::kind::{DocumentKind, Form};
use hpki::time::Timestamp;
use ledger::{Failed, Fault};
use wire::csc::CredentialId;
use xades::cades::{Attributes, Format};

use crate::activation::{may_sign, usable};
use crate::client::Client;
use crate::hashes::ToSign;
use crate::policy::Mode;
use crate::prepared::{Document, Prepared};
use crate::refusal::Refusal;
use crate::room::Custody;
use crate::sad::{Granted, SAD_S, Sad, SadRow};
use crate::token::Peer;
use crate::{Failed as Bad, refused};

/// A kept key as a client of the CSC API sees it: only the bearer's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// `credentialID`.
    pub id: KeyId,
    /// Its certificate, DER.
    pub certificate: Arc<[u8]>,
    /// Whether it can sign now (held, and its certificate in force).
    pub enabled: bool,
    /// The kinds that this client may bring to it, and what each takes: [`Mode::Session`] is
    /// SCAL1, [`Mode::EachDocument`] is SCAL2.
    pub kinds: Vec<(DocumentKind, Mode)>,
    /// The most signatures that one authorisation gives.
    pub multisign: u32,
}

/// What `credentials/authorize` asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorize {
    /// The credential.
    pub credential: KeyId,
    /// The kind of the documents; may be left out by a client that has one.
    pub kind: Option<DocumentKind>,
    /// `numSignatures`.
    pub count: u32,
    /// The hashes, where they are pinned now. Needed where each document is approved.
    pub hashes: Option<Vec<Digest32>>,
    /// Where each document is approved: the hashes are documents' digests that will be signed in
    /// this format (signDoc). `None`: they will be signed as they are (signHash).
    pub format: Option<Format>,
}

/// What `credentials/authorize` leads to.
#[derive(Debug)]
pub enum Authorized {
    /// The SAD.
    Granted(Granted),
    /// The owner must approve on the phone first; then [`Custody::csc_check`] gives the SAD.
    Pending(Prepared),
}

/// One signed hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHash {
    /// The signature value: RSASSA-PKCS1-v1_5 over the DigestInfo of the hash.
    pub signature: Vec<u8>,
    /// Around a document's digest: what was signed. Together they are the signature.
    pub attributes: Option<Attributes>,
    /// Where the journal holds the outcome.
    pub index: u64,
    /// The proof of that (`c2sp.org/tlog-proof@v1`).
    pub proof: String,
}

/// The most hashes in one call, and `multisign`.
pub const MULTISIGN: u32 = 1_000;

impl Custody {
    /// The bearer's credentials that this client may use: none or one.
    ///
    /// Refused: the token's codes, `client-unknown`.
    pub async fn csc_credentials(
        &self,
        token: &str,
        peer: &Peer,
        now: Timestamp,
    ) -> Result<Vec<Credential>, Bad> {
        let inner = &*self.0;
        let token = inner.tokens.check(token, peer, now).map_err(Failed::Refused)?;
        let client = Client::of(&inner.config.clients, &peer.x5t).map_err(Failed::Refused)?;
        let budget = inner.budget_row(token.budget()).await?;
        budget.is_of(&token).map_err(Failed::Refused)?;
        let kept = inner.kept(budget.key).await?;
        let Some(certified) = kept.certified.as_ref().filter(|_| kept.row.owner == budget.person)
        else {
            return Ok(Vec::new());
        };
        let kinds: Vec<_> = inner
            .config
            .policy
            .enabled()
            .filter(|(kind, _)| {
                client.kind(Some(*kind)).is_ok()
                    && budget.kinds.contains(kind)
                    && may_sign(certified, &kept, *kind)
            })
            .map(|(kind, rule)| (kind, rule.approval))
            .collect();
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Credential {
            id: kept.row.id,
            certificate: Arc::clone(&certified.der),
            enabled: usable(&kept, now).is_ok(),
            kinds,
            multisign: MULTISIGN,
        }])
    }

    /// One credential of the bearer.
    ///
    /// Refused: `credential-unknown` for every other, whether it exists or not.
    pub async fn csc_credential(
        &self,
        token: &str,
        peer: &Peer,
        credential: KeyId,
        now: Timestamp,
    ) -> Result<Credential, Bad> {
        let known = self.csc_credentials(token, peer, now).await?;
        let found = known.into_iter().find(|known| known.id == credential);
        found.ok_or(Failed::Refused(Refusal::CredentialUnknown))
    }

    /// `credentials/authorize`. SCAL1 gives a SAD at once; SCAL2 prepares the hashes for approval.
    ///
    /// Refused: `client-unknown`, `credential-unknown`, `kind-not-enabled`, `kind-not-allowed`,
    /// `kind-wrong-door`, `batch-size-wrong`, `approval-needed` (SCAL2 without hashes),
    /// `raw-hashes-not-allowed` (SCAL2 for hashes as they are),
    /// `budget-exhausted`, and what signing refuses about the token and the key.
    pub async fn csc_authorize(
        &self,
        token: &str,
        peer: &Peer,
        ask: &Authorize,
        now: Timestamp,
    ) -> Result<Authorized, Bad> {
        let inner = &*self.0;
        let bearer = inner.client_bearer(token, peer, ask.credential, now).await?;
        let client = Client::of(&inner.config.clients, &peer.x5t).map_err(Failed::Refused)?;
        let kind = client.kind(ask.kind).map_err(Failed::Refused)?;
        let pinned = ask.hashes.as_ref().map(Vec::len);
        let fits = (1..=MULTISIGN).contains(&ask.count)
            && pinned.is_none_or(|pinned| pinned == ask.count as usize);
        if !fits {
            return refused(Refusal::BatchSize);
        }
        let mode = inner.config.policy.rule(kind).approval;
        bearer.may(inner, kind, mode, now).map_err(Failed::Refused)?;
        if mode == Mode::EachDocument {
            // Nobody is asked to approve what would not be signed.
            client.may_bring(std::iter::once(ask.format)).map_err(Failed::Refused)?;
        }
        match (mode, &ask.hashes) {
            (Mode::EachDocument, None) => refused(Refusal::ApprovalNeeded),
            (Mode::EachDocument, Some(hashes)) => {
                let number = inner.own_number(now);
                let kept = Arc::clone(&bearer.kept);
                let signer = &usable(&kept, now).map_err(Failed::Refused)?.certificate;
                let document = |(item, hash): (u32, &Digest32)| {
                    let what = ToSign { digest: *hash, format: ask.format };
                    let dtbsr = what.dtbsr(signer, now);
                    Document { number, item, kind, digest: *hash, mark: what.mark(), dtbsr }
                };
                let documents = (0..).zip(hashes).map(document).collect();
                let prepared = inner.wait_for_approval(bearer, documents, now).await?;
                Ok(Authorized::Pending(prepared))
            }
            (Mode::Session, hashes) => {
                inner.why_not_drawn(&bearer.budget, ask.count, now).await?;
                let until = now.plus(SAD_S).min(bearer.budget.until);
                let row = SadRow {
                    hash: [0; 32],
                    prepared: None,
                    budget: bearer.budget.id,
                    facility: bearer.budget.facility.clone(),
                    x5t: bearer.budget.x5t,
                    person: bearer.budget.person,
                    key: bearer.budget.key,
                    kind,
                    hashes: hashes.clone(),
                    count: ask.count,
                    minted: now,
                    until,
                    remaining: ask.count,
                    ended: None,
                    seal: Vec::new(),
                };
                let (granted, row) = inner.mint(row)?;
                inner.ledger.write(move |tx| Ok::<_, Failed<Refusal>>(row.insert(tx)?)).await?;
                Ok(Authorized::Granted(granted))
            }
        }
    }

    /// `credentials/authorizeCheck`: the SAD once the owner has approved. Asking again gives a new
    /// one and ends the one before, within the same sixty seconds.
    ///
    /// Refused: `prepared-unknown`, `prepared-expired`, `activation-expired`.
    pub async fn csc_check(
        &self,
        token: &str,
        peer: &Peer,
        prepared: PreparedId,
        now: Timestamp,
    ) -> Result<Authorized, Bad> {
        let inner = &*self.0;
        let bearer = inner.bearer(token, peer, now).await?;
        Client::of(&inner.config.clients, &peer.x5t).map_err(Failed::Refused)?;
        let row = inner.prepared_row(prepared).await?;
        if !row.is_of(&bearer) || row.form() != Form::Hash {
            return refused(Refusal::PreparedUnknown);
        }
        match row.approved {
            Some(_) => Ok(Authorized::Granted(inner.grant_again(&row, now).await?)),
            None if now > row.until => refused(Refusal::PreparedExpired),
            None => Ok(Authorized::Pending(row.to_prepared(&bearer.kept))),
        }
    }

    /// `credentials/extendTransaction`: ends this SAD and gives another for what is left of the
    /// same number of signatures. Where hashes were pinned or approved, only those can be named.
    ///
    /// What was approved can be extended for as long as it could have been approved (three minutes
    /// from its preparation).
    ///
    /// Refused: `sad-unknown` (also where it was made for another kind than the credential's),
    /// `sad-expired`, `sad-exhausted`, `hash-not-authorised`.
    pub async fn csc_extend(
        &self,
        token: &str,
        peer: &Peer,
        credential: CredentialId,
        sad: &Sad,
        hashes: Option<&[Digest32]>,
        now: Timestamp,
    ) -> Result<Granted, Bad> {
        let inner = &*self.0;
        let bearer = inner.client_bearer(token, peer, credential.key, now).await?;
        let before = inner.sad_for(sad, &bearer, credential).await?;
        before.live(now).map_err(Failed::Refused)?;
        let approved = match before.prepared {
            None => None,
            Some(prepared) => Some(inner.prepared_row(prepared).await?),
        };
        // In whichever way they were approved: that is asked again when they are signed.
        let format = approved.as_ref().and_then(|row| Format::of_mark(row.documents.first()?.mark));
        let named = hashes.unwrap_or_default().iter();
        let named: Vec<_> = named.map(|hash| ToSign { digest: *hash, format }).collect();
        before.names(approved.as_ref(), &named).map_err(Failed::Refused)?;
        if approved.is_none() && before.remaining == 0 {
            return refused(Refusal::SadExhausted);
        }
        let most = approved.as_ref().map_or(bearer.budget.until, |row| row.until);
        let mut after = before.clone();
        after.minted = now;
        after.until = now.plus(SAD_S).min(most).max(before.until);
        let until = after.until;
        let (granted, after) = inner.mint(after)?;
        let documents: Vec<_> = approved
            .iter()
            .flat_map(|row| row.documents.iter().map(|one| (one.number, one.item)))
            .collect();
        inner
            .ledger
            .write(move |tx| {
                if !before.end(tx, now)? {
                    return Err(Failed::Refused(Refusal::SadUnknown));
                }
                for (number, item) in &documents {
                    tx.exec(
                        "UPDATE custody_activation SET expires = $4
                         WHERE facility = $1 AND number = $2 AND item = $3
                             AND state = 'authorised' AND expires > $5",
                        &[
                            (&after.facility).into(),
                            (*number).into(),
                            (*item).into(),
                            until.into(),
                            now.into(),
                        ],
                    )?;
                }
                after.insert(tx)?;
                Ok(())
            })
            .await?;
        Ok(granted)
    }

    /// `signatures/signHash`: [`Self::csc_sign`] of hashes that are signed as they are.
    ///
    /// Refused: as there.
    pub async fn csc_sign_hash(
        &self,
        token: &str,
        peer: &Peer,
        credential: CredentialId,
        sad: &Sad,
        hashes: &[Digest32],
        now: Timestamp,
    ) -> Result<Vec<SignedHash>, Bad> {
        let wanted: Vec<_> = hashes.iter().copied().map(ToSign::hash).collect();
        self.csc_sign(token, peer, credential, sad, &wanted, now).await
    }

    /// `signatures/signHash` and `signDoc`: everything is authorised, or nothing is signed.
    /// Signatures come in the order of what is wanted. What stands twice is two signatures.
    ///
    /// Refused: `batch-size-wrong`, `sad-unknown` (also where it was made for another kind than the
    /// credential's), `sad-expired`, `sad-exhausted`, `hash-not-authorised`, `activation-spent`,
    /// `activation-expired`, `credential-unknown`, `raw-hashes-not-allowed`, and what signing refuses
    /// about the token, the budget and the key.
    pub async fn csc_sign(
        &self,
        token: &str,
        peer: &Peer,
        credential: CredentialId,
        sad: &Sad,
        wanted: &[ToSign],
        now: Timestamp,
    ) -> Result<Vec<SignedHash>, Bad> {
        let inner = Arc::clone(&self.0);
        let bearer = inner.client_bearer(token, peer, credential.key, now).await?;
        let sad = inner.sad_for(sad, &bearer, credential).await?;
        sad.live(now).map_err(Failed::Refused)?;
        if !(1..=MULTISIGN as usize).contains(&wanted.len()) {
            return refused(Refusal::BatchSize);
        }
        let wanted = wanted.to_vec();
        let work = tokio::spawn(async move {
            let reserved = inner.reserve_wanted(bearer, sad, wanted, None, now).await?;
            inner.carry_reserved(reserved, now).await
        });
        work.await.unwrap_or(Err(Failed::Fault(Fault::Panicked)))
    }
}
