//! A client of the CSC interface comes by a SAD. Where each document is approved, custody prepares
//! the hashes, authentication asks the owner's phone, and custody verifies what she approved.
//!
//! The specification's `authorize` names the hashes and its answer has no room for a QR code;
//! `getChallenge` has the room and no hashes. What waits for an owner is therefore remembered here
//! between the two, in memory, as the ceremony itself is.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use authn::{Documents, Place};
use ca::Facility;
use custody::{Authorize, Authorized, Format, Granted, Mode, Prepared};
use hpki::encoding::{Digest32, Statement};
use hpki::id::{CeremonyId, NotAnId, PreparedId};
use hpki::refusal::Refuse as _;
use hpki::time::Timestamp;
use ledger::Failed;
use wire::Terminal;
use wire::csc::CredentialId;

use super::sign::peer;
use crate::http::problem::Trouble;
use crate::platform::Platform;

/// What `authorize` leads to.
pub(crate) enum Way {
    /// The SAD.
    Granted(Granted),
    /// The owner has not answered yet.
    Pending(Pending),
}

/// An authorisation that waits for its owner, as clients name it: `<prepared>.<ceremony>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending {
    prepared: PreparedId,
    ceremony: CeremonyId,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.prepared, self.ceremony)
    }
}

impl FromStr for Pending {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (prepared, ceremony) = text.split_once('.').ok_or(NotAnId("handle"))?;
        Ok(Self { prepared: prepared.parse()?, ceremony: ceremony.parse()? })
    }
}

/// What waits for owners, by what was asked.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<HashMap<Digest32, Begun>>);

#[derive(Clone)]
struct Begun {
    pending: Pending,
    /// The bearer and the credential.
    whose: Digest32,
    /// In the order in which they came.
    number: u64,
    qr: String,
    /// Until when the QR code can be read.
    readable: Timestamp,
    /// Until when she can approve.
    until: Timestamp,
}

/// A bearer and a credential.
fn whose(token: &str, credential: CredentialId) -> Digest32 {
    Statement::new("azukari/csc/waiting/v1").text(token).text(&credential.to_string()).digest()
}

/// The same with the hashes, and with how they are signed.
fn exactly(whose: &Digest32, hashes: &[Digest32], format: Option<Format>) -> Digest32 {
    let begun = Statement::new("azukari/csc/waiting/v1")
        .octets_field(whose)
        .octets_field(&format.map_or([0; 4], Format::mark));
    hashes.iter().fold(begun, |all, hash| all.octets_field(hash)).digest()
}

impl Waiting {
    fn with<T>(&self, now: Timestamp, act: impl FnOnce(&mut HashMap<Digest32, Begun>) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Open ceremonies are bounded for each facility by authentication; so is this.
        all.retain(|_, begun| now < begun.until);
        act(&mut all)
    }

    fn of(&self, what: &Digest32, now: Timestamp) -> Option<Begun> {
        self.with(now, |all| all.get(what).cloned())
    }

    fn newest_of(&self, whose: &Digest32, now: Timestamp) -> Option<Begun> {
        self.with(now, |all| {
            let hers = all.values().filter(|begun| begun.whose == *whose);
            hers.max_by_key(|begun| begun.number).cloned()
        })
    }

    fn keep(&self, what: Digest32, mut begun: Begun, now: Timestamp) {
        self.with(now, |all| {
            begun.number = all.values().map(|other| other.number + 1).max().unwrap_or_default();
            all.insert(what, begun);
        });
    }

    fn forget(&self, pending: Pending, now: Timestamp) {
        self.with(now, |all| all.retain(|_, begun| begun.pending != pending));
    }
}

/// `credentials/authorize`. The same hashes again, while their owner has not answered, are the same
/// authorisation.
pub(crate) async fn authorize(
    platform: &Platform,
    token: &str,
    facility: &Facility,
    asked: &Authorize,
    now: Timestamp,
) -> Result<Way, Trouble> {
    let hashes = asked.hashes.as_deref().unwrap_or_default();
    if let Some(kind) = asked.kind {
        let whose = whose(token, CredentialId { key: asked.credential, kind });
        if let Some(begun) = platform.csc.of(&exactly(&whose, hashes, asked.format), now) {
            return check(platform, token, facility, begun.pending, now).await;
        }
    }
    match platform.custody.csc_authorize(token, &peer(facility), asked, now).await? {
        Authorized::Granted(granted) => Ok(Way::Granted(granted)),
        Authorized::Pending(prepared) => {
            let begun = begin(platform, token, facility, prepared, asked, now).await?;
            Ok(Way::Pending(begun.pending))
        }
    }
}

/// The owner is asked: a QR code for her phone.
async fn begin(
    platform: &Platform,
    token: &str,
    facility: &Facility,
    prepared: Prepared,
    asked: &Authorize,
    now: Timestamp,
) -> Result<Begun, Trouble> {
    let odd = || Trouble::refused("client-unknown", "this client is not registered here");
    let known = platform.clients.iter().find(|known| known.client.x5t == facility.x5t);
    let known = known.ok_or_else(odd)?;
    let kind = prepared.kinds.first().copied().ok_or_else(odd)?;
    let place =
        Place { facility: facility.code.clone(), name: facility.name.clone(), x5t: facility.x5t };
    let terminal = Terminal { id: known.client.id.to_string(), label: known.name.clone() };
    let documents = Documents {
        reference: *prepared.id.octets(),
        person: prepared.person,
        key: prepared.key,
        kinds: prepared.kinds,
        count: u32::try_from(prepared.documents.len()).unwrap_or(u32::MAX),
        root: prepared.root,
        until: prepared.until,
    };
    let started = platform.authn.start_documents(place, terminal, documents, now).await?;
    let whose = whose(token, CredentialId { key: prepared.key, kind });
    let begun = Begun {
        pending: Pending { prepared: prepared.id, ceremony: started.ceremony },
        whose,
        number: 0,
        qr: started.qr,
        readable: started.until,
        until: prepared.until,
    };
    let hashes = asked.hashes.as_deref().unwrap_or_default();
    platform.csc.keep(exactly(&whose, hashes, asked.format), begun.clone(), now);
    Ok(begun)
}

/// `credentials/authorizeCheck`: custody says whether this bearer may ask at all, authentication
/// how far the owner is, and custody believes her approval by verifying it itself.
pub(crate) async fn check(
    platform: &Platform,
    token: &str,
    facility: &Facility,
    pending: Pending,
    now: Timestamp,
) -> Result<Way, Trouble> {
    let peer = peer(facility);
    let known = platform.custody.csc_check(token, &peer, pending.prepared, now).await?;
    if let Authorized::Granted(granted) = known {
        platform.csc.forget(pending, now);
        return Ok(Way::Granted(granted));
    }
    let agreed = platform.authn.agreed(pending.ceremony, facility.x5t, now).await;
    let (reference, approval) = match agreed {
        Ok(agreed) => agreed,
        Err(Failed::Refused(refusal)) if refusal.code() == "ceremony-out-of-step" => {
            return Ok(Way::Pending(pending));
        }
        Err(failed) => {
            platform.csc.forget(pending, now);
            return Err(failed.into());
        }
    };
    if reference != *pending.prepared.octets() {
        return Err(Trouble::refused("prepared-unknown", "the handle is of two authorisations"));
    }
    platform.csc.forget(pending, now);
    platform.custody.authorise(pending.prepared, &approval, now).await?;
    match platform.custody.csc_check(token, &peer, pending.prepared, now).await? {
        Authorized::Granted(granted) => Ok(Way::Granted(granted)),
        Authorized::Pending(_) => Ok(Way::Pending(pending)),
    }
}

/// `credentials/getChallenge`: the text of the QR code, for what waits, or for these hashes, which
/// `authorize` then names again. `None` where nothing waits and no hashes are named.
pub(crate) async fn challenge(
    platform: &Platform,
    token: &str,
    facility: &Facility,
    credential: CredentialId,
    hashes: Option<Vec<Digest32>>,
    format: Option<Format>,
    now: Timestamp,
) -> Result<Option<String>, Trouble> {
    let peer = peer(facility);
    let known = platform.custody.csc_credential(token, &peer, credential.key, now).await?;
    let rule = known.kinds.iter().find(|(kind, _)| *kind == credential.kind);
    let unknown = |why| Trouble::refused("credential-unknown", why);
    let (_, mode) = rule.ok_or_else(|| unknown("another kind"))?;
    if *mode == Mode::Session {
        return Err(Trouble::refused("request-malformed", "no authentication object is needed"));
    }
    let whose = whose(token, credential);
    let begun = match &hashes {
        None => platform.csc.newest_of(&whose, now),
        Some(hashes) => platform.csc.of(&exactly(&whose, hashes, format), now),
    };
    if let Some(begun) = begun.filter(|begun| now < begun.readable) {
        return Ok(Some(begun.qr));
    }
    let Some(hashes) = hashes else { return Ok(None) };
    let asked = Authorize {
        credential: credential.key,
        kind: Some(credential.kind),
        count: u32::try_from(hashes.len()).unwrap_or(u32::MAX),
        hashes: Some(hashes),
        format,
    };
    match platform.custody.csc_authorize(token, &peer, &asked, now).await? {
        Authorized::Pending(prepared) => {
            Ok(Some(begin(platform, token, facility, prepared, &asked, now).await?.qr))
        }
        // The policy changed between two sentences: `authorize` will give a SAD of its own.
        Authorized::Granted(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_reads_back_and_nothing_else_is_one() {
        let pending = Pending {
            prepared: PreparedId::from_octets([1; 16]),
            ceremony: CeremonyId::from_octets([2; 16]),
        };
        assert_eq!(pending.to_string().parse(), Ok(pending));
        for odd in ["", ".", "1.2", &pending.prepared.to_string()] {
            assert!(odd.parse::<Pending>().is_err(), "{odd}");
        }
    }

    #[test]
    fn what_waits_is_the_bearers_own_and_only_until_its_end() {
        let waiting = Waiting::default();
        let at = Timestamp::from_seconds;
        let credential = CredentialId {
            key: hpki::id::KeyId::from_octets([3; 16]),
            kind: hpki::kind::DocumentKind::Statement,
        };
        let hers = whose("her token", credential);
        let begun = |ceremony: u8| Begun {
            pending: Pending {
                prepared: PreparedId::from_octets([1; 16]),
                ceremony: CeremonyId::from_octets([ceremony; 16]),
            },
            whose: hers,
            number: 0,
            qr: format!("qr {ceremony}"),
            readable: at(60),
            until: at(100),
        };
        waiting.keep(exactly(&hers, &[[7; 32]], None), begun(1), at(0));
        waiting.keep(exactly(&hers, &[[8; 32]], Some(Format::Pades)), begun(2), at(1));
        assert_eq!(waiting.newest_of(&hers, at(2)).unwrap().qr, "qr 2");
        assert_eq!(waiting.of(&exactly(&hers, &[[7; 32]], None), at(2)).unwrap().qr, "qr 1");
        assert!(waiting.newest_of(&whose("his token", credential), at(2)).is_none());
        waiting.forget(begun(2).pending, at(3));
        assert_eq!(waiting.newest_of(&hers, at(3)).unwrap().qr, "qr 1");
        assert!(waiting.newest_of(&hers, at(100)).is_none());
    }
}
