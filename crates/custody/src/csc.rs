//! What the CSC API asks of custody. How it is spoken over HTTP is not known here.

use std::sync::Arc;

use hpki::encoding::Digest32;
use hpki::id::{KeyId, PreparedId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use ledger::Failed;

use crate::Failed as Bad;
use crate::activation::{may_sign, usable};
use crate::client::Client;
use crate::policy::Mode;
use crate::prepared::Prepared;
use crate::refusal::Refusal;
use crate::room::Custody;
use crate::sad::{Granted, Sad};
use crate::token::Peer;

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
        let client = Client::of(&inner.config.clients, peer).map_err(Failed::Refused)?;
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
    /// `budget-exhausted`, and what signing refuses about the token and the key.
    pub async fn csc_authorize(
        &self,
        _token: &str,
        _peer: &Peer,
        _ask: &Authorize,
        _now: Timestamp,
    ) -> Result<Authorized, Bad> {
        not_yet()
    }

    /// `credentials/authorizeCheck`: the SAD once the owner has approved. Asking again gives a new
    /// one and ends the one before, within the same sixty seconds.
    ///
    /// Refused: `prepared-unknown`, `prepared-expired`, `activation-expired`.
    pub async fn csc_check(
        &self,
        _token: &str,
        _peer: &Peer,
        _prepared: PreparedId,
        _now: Timestamp,
    ) -> Result<Authorized, Bad> {
        not_yet()
    }

    /// `credentials/extendTransaction`: ends this SAD and gives another for what is left of the
    /// same number of signatures. Under SCAL2 only `hashes` of the approved root can be named.
    ///
    /// Refused: `sad-unknown`, `sad-expired`, `hash-not-authorised`.
    pub async fn csc_extend(
        &self,
        _token: &str,
        _peer: &Peer,
        _credential: KeyId,
        _sad: &Sad,
        _hashes: Option<&[Digest32]>,
        _now: Timestamp,
    ) -> Result<Granted, Bad> {
        not_yet()
    }

    /// `signatures/signHash`: every hash is authorised, or none is signed. Signatures come in the
    /// order of the hashes.
    ///
    /// Refused: `sad-unknown`, `sad-expired`, `sad-exhausted`, `hash-not-authorised`,
    /// `activation-spent`, `activation-expired`, `credential-unknown`, and what signing refuses
    /// about the token, the budget and the key.
    pub async fn csc_sign_hash(
        &self,
        _token: &str,
        _peer: &Peer,
        _credential: KeyId,
        _sad: &Sad,
        _hashes: &[Digest32],
        _now: Timestamp,
    ) -> Result<Vec<SignedHash>, Bad> {
        not_yet()
    }
}

pub(crate) fn not_yet<T>() -> Result<T, Bad> {
    Err(ledger::Fault::Misuse("not built yet".into()).into())
}
