//! Checking a token: who signed it, for whom, over which certificate, until when.
//!
//! What a token says of state counts for nothing here: every signature must draw from the budget
//! row that custody opened itself, and ending a token closes that row.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use hpki::encoding::{Digest32, sha256};
use hpki::id::{BudgetId, FacilityCode, PersonId, TokenId};
use hpki::kind::DocumentKind;
use hpki::time::Timestamp;
use wire::token::{self, Claims};

use crate::cache::Recent;
use crate::limits::{CLOCK_AHEAD_S, LONGEST_S};
use crate::refusal::Refusal;

/// Tokens whose signature was verified lately.
const REMEMBERED: usize = 16_384;

/// A public key of the token issuer, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// Its name in token headers.
    pub kid: String,
    /// The x coordinate on P-256.
    pub x: [u8; 32],
    /// The y coordinate on P-256.
    pub y: [u8; 32],
}

/// The other end of the connection, as TLS proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// SHA-256 of its client certificate.
    pub x5t: Digest32,
    /// The facility that the certificate names.
    pub facility: FacilityCode,
}

/// A token that holds, for this peer, at this moment. Only [`Tokens::check`] makes one; it is
/// spent by the request that it came with.
pub struct VerifiedToken {
    claims: Arc<Known>,
    x5t: Digest32,
}

impl VerifiedToken {
    /// The person.
    pub fn person(&self) -> PersonId {
        self.claims.person
    }
    /// The budget to draw from.
    pub fn budget(&self) -> BudgetId {
        self.claims.budget
    }
    /// The token's own id: the bearer of what it activates.
    pub fn id(&self) -> TokenId {
        self.claims.id
    }
    /// The facility, equal to the peer's.
    pub fn facility(&self) -> &FacilityCode {
        &self.claims.facility
    }
    /// Whether it allows this kind of document.
    pub fn allows(&self, kind: DocumentKind) -> bool {
        self.claims.kinds.contains(&kind)
    }
    pub(crate) fn grant(&self) -> &Digest32 {
        &self.claims.grant
    }
    pub(crate) fn x5t(&self) -> &Digest32 {
        &self.x5t
    }
}

/// What is remembered of a token whose signature and fixed claims hold.
struct Known {
    id: TokenId,
    person: PersonId,
    facility: FacilityCode,
    budget: BudgetId,
    grant: Digest32,
    x5t: Digest32,
    kinds: Vec<DocumentKind>,
    issued: Timestamp,
    expires: Timestamp,
    kid: String,
}

/// The pinned keys, and what was verified under them lately.
pub(crate) struct Tokens {
    issuer: String,
    audience: String,
    keys: RwLock<Vec<(String, ParsedPublicKey)>>,
    known: Recent<Digest32, Arc<Known>>,
}

impl Tokens {
    pub(crate) fn new(issuer: String, audience: String, keys: &[TokenKey]) -> Self {
        let tokens = Self {
            issuer,
            audience,
            keys: RwLock::new(Vec::new()),
            known: Recent::new(REMEMBERED),
        };
        tokens.pin(keys);
        tokens
    }

    /// Replaces the pinned keys. A key that is no longer among them is refused from now on.
    pub(crate) fn pin(&self, keys: &[TokenKey]) {
        let parsed = keys.iter().filter_map(|key| {
            let mut point = [4; 65];
            point[1..33].copy_from_slice(&key.x);
            point[33..].copy_from_slice(&key.y);
            // A point off the curve verifies nothing, so it is simply not pinned.
            let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?;
            Some((key.kid.clone(), parsed))
        });
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = parsed.collect();
        self.known.retain(|known| keys.iter().any(|key| key.kid == known.kid));
    }

    /// Judges a token for this peer.
    pub(crate) fn check(
        &self,
        token: &str,
        peer: &Peer,
        now: Timestamp,
    ) -> Result<VerifiedToken, Refusal> {
        let hash = sha256(token.as_bytes());
        let known = match self.known.get(&hash) {
            Some(known) => known,
            None => {
                let known = Arc::new(self.verify(token)?);
                self.known.put(hash, Arc::clone(&known));
                known
            }
        };
        // Time, certificate and facility are judged each time.
        if now >= known.expires {
            return Err(Refusal::TokenExpired);
        }
        if known.issued > now.plus(CLOCK_AHEAD_S) {
            return Err(Refusal::TokenTimesWrong);
        }
        if known.x5t != peer.x5t {
            return Err(Refusal::TokenWrongCertificate);
        }
        if known.facility != peer.facility {
            return Err(Refusal::TokenWrongFacility);
        }
        Ok(VerifiedToken { claims: known, x5t: peer.x5t })
    }

    /// Everything about a token that does not change: form, signature, issuer, audience, times.
    fn verify(&self, token: &str) -> Result<Known, Refusal> {
        let read = token::read(token).ok_or(Refusal::TokenMalformed)?;
        if read.header.alg != "ES256" || !read.header.typ.eq_ignore_ascii_case("at+jwt") {
            return Err(Refusal::TokenMalformed);
        }
        {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            let (_, key) = keys
                .iter()
                .find(|(kid, _)| *kid == read.header.kid)
                .ok_or(Refusal::TokenKeyUnknown)?;
            key.verify_sig(read.signed.as_bytes(), &read.signature)
                .map_err(|_| Refusal::TokenSignatureWrong)?;
        }
        let Claims { iss, aud, sub, iat, exp, auth_time, jti, scope, cnf, allowance, .. } =
            read.claims;
        if iss != self.issuer {
            return Err(Refusal::TokenWrongIssuer);
        }
        if aud != self.audience {
            return Err(Refusal::TokenWrongAudience);
        }
        if !scope.split(' ').any(|word| word == "sign") {
            return Err(Refusal::TokenWrongScope);
        }
        if iat < auth_time || exp <= iat || exp > auth_time.plus(LONGEST_S) {
            return Err(Refusal::TokenTimesWrong);
        }
        let digest = |text: &str| -> Result<Digest32, Refusal> {
            let octets = token::base64url_decode(text).ok_or(Refusal::TokenMalformed)?;
            octets.try_into().map_err(|_| Refusal::TokenMalformed)
        };
        Ok(Known {
            id: jti,
            person: sub,
            grant: digest(&allowance.grant)?,
            x5t: digest(&cnf.x5t_s256)?,
            facility: allowance.facility,
            budget: allowance.budget,
            kinds: allowance.kinds,
            issued: iat,
            expires: exp,
            kid: read.header.kid,
        })
    }
}
