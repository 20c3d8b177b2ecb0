//! The owner signs in to her own page with her passkey, and the visit that follows: what her browser
//! shows for half an hour of quiet, two hours at most. A visit reads, and ends sessions; whatever
//! matters more is approved anew.
//!
//! A browser that still has the phone's device secret says who is asked. One that has lost it leaves
//! that to the passkey, and, if the passkey lives in that very device, gets a fresh device secret:
//! whoever cleared her browser needs no new sheet.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

use approval::webauthn::assertion;
use approval::{AssertionEvidence, AssertionResponse, Means, SigninStatement};
use hpki::encoding::{Digest32, Statement as Encoded};
use hpki::id::{BindingId, CeremonyId, KeyId, PersonId};
use hpki::sign::Mac;
use hpki::time::Timestamp;
use hsm::TokenDesk;
use ledger::{Event, Failed, Fault, Note, Record, Tx};
use serde::Serialize;
use wire::{SigninBeginAnswer, SigninFinishRequest};

use crate::binding::BindingRow;
use crate::config::{FINISH_S, VISIT_IDLE_S, VISIT_S};
use crate::my_number::CardRow;
use crate::notice::{NoticeKind, tell};
use crate::options;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::Secret;
use crate::sheet::SheetRow;

/// How many may be signing in at once; the oldest unanswered are forgotten after two minutes.
const SIGNING_IN: usize = 20_000;
/// The time of the last request is written again after so many seconds.
const SEEN_S: u64 = 60;

/// What a browser was asked.
pub(crate) struct Signin {
    at: Timestamp,
    statement: SigninStatement,
    /// The phone that was known by its device secret.
    binding: Option<BindingId>,
}

/// What is kept of a sign-in; the journal has its hash.
#[derive(Serialize)]
struct Kept<'a> {
    statement: &'a SigninStatement,
    webauthn: &'a AssertionEvidence,
    binding: BindingId,
    at: Timestamp,
}

/// She is signed in.
#[derive(Clone)]
pub struct Visiting {
    /// The secret of her visit, for a cookie.
    pub visit: String,
    /// A fresh device secret, for the device cookie, where the browser had lost it.
    pub device: Option<String>,
    /// Until when at most.
    pub until: Timestamp,
}

impl std::fmt::Debug for Visiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visiting").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Who visits her page.
#[derive(Debug, Clone)]
pub struct Visit {
    pub(crate) hash: Digest32,
    /// By which means she came.
    pub means: Means,
    person: PersonId,
    key: KeyId,
    display_id: String,
    /// Her phone, where she came by it.
    phone: Option<BindingRow>,
    /// Until when at most.
    pub until: Timestamp,
}

impl Visit {
    /// Who.
    pub fn person(&self) -> PersonId {
        self.person
    }
    /// Her kept key.
    pub fn key(&self) -> KeyId {
        self.key
    }
    /// 本人ID.
    pub fn display_id(&self) -> &str {
        &self.display_id
    }
    /// The phone by which she came: what matters is approved on it.
    pub(crate) fn phone(&self) -> Result<&BindingRow, Failed<Refusal>> {
        self.phone.as_ref().ok_or(Failed::Refused(Refusal::PhoneNeeded))
    }
}

/// The phone, where she came by one, and her 本人ID, if the means by which she came is still hers. An
/// HPKI card's visits are ended when its revocation is delivered.
fn by_means(
    tx: &Tx<'_>,
    means: Means,
    id: BindingId,
    key: KeyId,
    desk: &TokenDesk,
) -> Result<(Option<BindingRow>, String), Failed<Refusal>> {
    if means == Means::Phone {
        let binding = BindingRow::live(tx, id, desk)?;
        let display_id = binding.display_id.clone();
        return Ok((Some(binding), display_id));
    }
    if means == Means::Jpki {
        CardRow::still(tx, id, desk)?;
    }
    Ok((None, SheetRow::latest(tx, key, desk)?.display_id))
}

impl Authn {
    fn signins(&self) -> MutexGuard<'_, HashMap<CeremonyId, Signin>> {
        self.signins.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A browser opens the owner's page: what to show and to sign.
    ///
    /// # Errors
    /// `slow-down`, `seal-broken`. A browser that is not known is asked without a name.
    pub async fn begin_visit(
        &self,
        device: Option<&str>,
        now: Timestamp,
    ) -> Result<SigninBeginAnswer, Failed<Refusal>> {
        let known = match self.phone_of(device).await {
            Ok(binding) => Some(binding),
            Err(Failed::Refused(Refusal::PhoneNotLinked)) => None,
            Err(failed) => return Err(failed),
        };
        let statement = SigninStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            nonce: self.nonce(),
            person: known.as_ref().map(|binding| binding.person),
            key: known.as_ref().map(|binding| binding.key),
            at: now,
        };
        let challenge = statement.challenge();
        let options = match &known {
            Some(binding) => options::get(&self.config, &challenge, &binding.credential.id),
            None => options::get_any(&self.config, &challenge),
        };
        let shown = serde_json::to_value(&statement)
            .map_err(|why| Fault::Misuse(format!("a statement as JSON: {why}")))?;
        let signin = CeremonyId::random(&*self.random);
        let mut signins = self.signins();
        if signins.len() >= SIGNING_IN {
            signins.retain(|_, old| now.since(old.at) <= FINISH_S);
        }
        if signins.len() >= SIGNING_IN {
            return Err(Failed::Refused(Refusal::SlowDown));
        }
        let binding = known.as_ref().map(|binding| binding.id);
        signins.insert(signin, Signin { at: now, statement, binding });
        Ok(SigninBeginAnswer {
            signin: signin.to_string(),
            person_display: known.map(|binding| binding.display_id),
            statement: shown,
            options,
        })
    }

    /// Her passkey has answered. The visit, what is kept of it and the journal's entry are one
    /// commit.
    ///
    /// # Errors
    /// `question-unknown`, `question-expired`; `phone-not-linked` for a passkey that is linked to
    /// nobody (any more); whatever `approval` refuses of the assertion.
    pub async fn finish_visit(
        &self,
        request: &SigninFinishRequest,
        now: Timestamp,
    ) -> Result<Visiting, Failed<Refusal>> {
        let unknown = || Failed::Refused(Refusal::QuestionUnknown);
        let id: CeremonyId = request.signin.parse().map_err(|_| unknown())?;
        // Taken before it is judged: each is answered once.
        let asked = self.signins().remove(&id).ok_or_else(unknown)?;
        if now.since(asked.at) > FINISH_S {
            return Err(Failed::Refused(Refusal::QuestionExpired));
        }
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let response = AssertionResponse::from_json(&request.credential).map_err(refused)?;
        let (desk, credential) = (Arc::clone(&self.desk), response.credential_id.clone());
        let known = asked.binding;
        let binding = self
            .ledger
            .read(move |tx| match known {
                Some(id) => BindingRow::live(tx, id, &desk),
                None => BindingRow::of_credential(tx, &credential, &desk),
            })
            .await?;
        let challenge = asked.statement.challenge();
        let party = self.config.relying_party();
        let outcome =
            assertion(&response, &binding.credential, &challenge, &party).map_err(refused)?;
        let webauthn = AssertionEvidence::new(&response, &binding.credential);
        let kept =
            Kept { statement: &asked.statement, webauthn: &webauthn, binding: binding.id, at: now };
        let evidence = serde_json::to_string(&kept)
            .map_err(|why| Fault::Misuse(format!("a sign-in as JSON: {why}")))?;
        let hash = Encoded::new("azukari/evidence/signin/v1").text(&evidence).digest();

        let visit = Secret::new(&*self.random);
        // A passkey on another device (by Bluetooth from a borrowed computer) leaves nothing there.
        let here = request.credential.get("authenticatorAttachment");
        let here = here.and_then(|value| value.as_str()) == Some("platform");
        let device = (known.is_none() && here).then(|| Secret::new(&*self.random));
        let mut after = binding.clone();
        if let Some(device) = &device {
            after.device_hash = device.hash();
            after.seal = self.desk.mac(&after.sealed())?.to_vec();
        }
        let (visit_hash, before) = (visit.hash(), binding);
        self.ledger
            .record(move |tx| {
                let changed = tx.exec(
                    "UPDATE authn_binding
                     SET sign_count = $1, backup_state = $2, device_hash = $3, seal = $4
                     WHERE id = $5 AND state = 'live' AND sign_count = $6 AND seal = $7",
                    &[
                        outcome.sign_count.into(),
                        outcome.backup_state.into(),
                        after.device_hash.into(),
                        (&after.seal).into(),
                        after.id.into(),
                        before.credential.sign_count.into(),
                        (&before.seal).into(),
                    ],
                )?;
                if changed != 1 {
                    return Err(Failed::Refused(Refusal::Approval(
                        approval::Refusal::CounterNotRising,
                    )));
                }
                tx.exec(
                    "INSERT INTO authn_visit (hash, means, binding, person, key, begun, seen,
                        ended, evidence)
                     VALUES ($1, 'phone', $2, $3, $4, $5, $5, 0, $6)",
                    &[
                        visit_hash.into(),
                        after.id.into(),
                        after.person.into(),
                        after.key.into(),
                        now.into(),
                        (&evidence).into(),
                    ],
                )?;
                tell(tx, after.key, NoticeKind::SignedIn, &after.label, now)?;
                let mut record = Record::of_key(Event::OwnerSignedIn, after.key, now);
                record.person = Some(after.person);
                record.evidence = Some(hash);
                Ok(((), Note(record)))
            })
            .await?;
        Ok(Visiting {
            visit: visit.text(),
            device: device.map(|secret| secret.text()),
            until: now.plus(VISIT_S),
        })
    }

    /// Whose visit this is, if it still is one: her phone linked, and not quiet for too long.
    ///
    /// # Errors
    /// `signin-needed`.
    pub async fn visit(
        &self,
        secret: Option<&str>,
        now: Timestamp,
    ) -> Result<Visit, Failed<Refusal>> {
        let needed = || Failed::Refused(Refusal::SigninNeeded);
        let hash = secret.and_then(Secret::hash_of).ok_or_else(needed)?;
        let desk = Arc::clone(&self.desk);
        let (visit, seen) = self
            .ledger
            .read(move |tx| {
                let row = tx.query_opt(
                    "SELECT binding, begun, seen, means, person, key FROM authn_visit
                     WHERE hash = $1 AND ended = 0",
                    &[hash.into()],
                )?;
                let row = row.ok_or_else(needed)?;
                let (begun, seen) = (row.time(1)?, row.time(2)?);
                if now.since(begun) > VISIT_S || now.since(seen) > VISIT_IDLE_S {
                    return Err(needed());
                }
                let id = BindingId::from_octets(row.array(0)?);
                let means = Means::from_name(row.text(3)?)
                    .ok_or_else(|| Fault::Row("the means of a visit".into()))?;
                let (person, key) =
                    (PersonId::from_octets(row.array(4)?), KeyId::from_octets(row.array(5)?));
                let until = begun.plus(VISIT_S);
                let (phone, display_id) = match by_means(tx, means, id, key, &desk) {
                    Err(Failed::Refused(Refusal::PhoneNotLinked | Refusal::CardNotLinked)) => {
                        return Err(needed());
                    }
                    other => other?,
                };
                Ok((Visit { hash, means, person, key, display_id, phone, until }, seen))
            })
            .await?;
        if now.since(seen) >= SEEN_S {
            self.ledger
                .write(move |tx| {
                    let sql = "UPDATE authn_visit SET seen = $2 WHERE hash = $1 AND seen < $2";
                    tx.exec(sql, &[hash.into(), now.into()])?;
                    Ok::<_, Failed<Refusal>>(())
                })
                .await?;
        }
        Ok(visit)
    }

    /// She leaves.
    ///
    /// # Errors
    /// A fault.
    pub async fn end_visit(&self, visit: &Visit) -> Result<(), Failed<Refusal>> {
        let hash = visit.hash;
        self.ledger
            .write(move |tx| {
                tx.exec("UPDATE authn_visit SET ended = 1 WHERE hash = $1", &[hash.into()])?;
                Ok(())
            })
            .await
    }
}
