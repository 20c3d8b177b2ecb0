//! 窓口係: the named officers of the authority's desk, each with a passkey of her own.
//!
//! Who may run commands under the platform's own account invites an officer, as a sheet is issued:
//! a secret that travels once and is stored as SHA-256 only. What makes her an officer is her own
//! registration, which custody verifies again and keeps its own sealed copy of. Signing in allows
//! looking; each act is approved by itself ([`Authn::begin_act`]).
//!
//! What is true if we die here: invitations and officers are rows; who is signed in is memory, and
//! signs in again.

mod rows;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use approval::webauthn::assertion;
use approval::{
    AssertionResponse, DeskSigninStatement, OfficerEvidence, OfficerStatement,
    RegistrationResponse, check_officer,
};
use hpki::encoding::Digest32;
use hpki::id::{CeremonyId, InvitationId, OfficerId};
use hpki::sign::Mac;
use hpki::time::Timestamp;
use ledger::{Event, Failed, Fault, Note, Record};
use serde_json::Value;

use rows::InvitationRow;
pub(crate) use rows::OfficerRow;

use crate::config::{DESK_IDLE_S, DESK_LONGEST_S, FINISH_S, INVITATION_S};
use crate::desk::{Question, close_what_waits};
use crate::label::is_visible;
use crate::options;
use crate::refusal::Refusal;
use crate::room::Authn;
use crate::secret::{Secret, same};

/// Outbox topic: somebody became an officer of the desk. The payload is an [`OfficerEvidence`] as
/// JSON; custody verifies it again and seals its own copy of the public key.
pub const TOPIC_OFFICER_ENROLLED: &str = "desk-officer-enrolled";
/// Outbox topic: an officer of the desk is one no more. The payload is `{"officer"}`.
pub const TOPIC_OFFICER_DISMISSED: &str = "desk-officer-dismissed";

/// The longest name of an officer, in characters.
const LONGEST_NAME: usize = 64;
/// How many sign-ins are remembered at once. Anybody may ask, so newcomers take the place of the
/// oldest: officers are let in, who answer within seconds.
const SIGNINS_AT_ONCE: usize = 4_096;

type Result<T> = std::result::Result<T, Failed<Refusal>>;

fn no<T>(refusal: Refusal) -> Result<T> {
    Err(Failed::Refused(refusal))
}

/// An invitation, to be handed over once: its secret is nowhere else.
#[derive(Debug)]
pub struct Invitation {
    /// Who she will be.
    pub officer: OfficerId,
    /// Where she becomes an officer: `{url}/desk#1.<invitation>.<secret>`.
    pub url: String,
    /// Until when.
    pub expires: Timestamp,
}

/// An officer of the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskOfficer {
    /// Her number.
    pub id: OfficerId,
    /// What people call her.
    pub name: String,
    /// Since when.
    pub enrolled: Timestamp,
    /// Until when, if she is one no more.
    pub dismissed: Option<Timestamp>,
}

/// What a browser is asked, and what it says to the person.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedOfBrowser {
    /// The statement behind the challenge; the page recomputes it from what it displays.
    pub statement: Value,
    /// The options of `create()` or `get()`.
    pub options: Value,
}

/// An officer who has just signed in.
#[derive(Clone)]
pub struct SignedIn {
    /// Who.
    pub officer: DeskOfficer,
    /// The secret of the cookie.
    pub cookie: String,
    /// What the page sends with each request that changes something.
    pub csrf: String,
    /// Until when at the longest.
    pub until: Timestamp,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("officer", &self.officer).finish_non_exhaustive()
    }
}

/// One officer's presence at the desk.
#[derive(Clone)]
struct Presence {
    officer: OfficerId,
    csrf: String,
    since: Timestamp,
    last: Timestamp,
}

impl Presence {
    fn over(&self, now: Timestamp) -> bool {
        now.since(self.last) > DESK_IDLE_S || now.since(self.since) > DESK_LONGEST_S
    }
}

/// Who is at the desk now, and what was asked of them. Memory.
#[derive(Default)]
pub(crate) struct AtDesk {
    signins: Mutex<HashMap<CeremonyId, (Timestamp, [u8; 32])>>,
    present: Mutex<HashMap<Digest32, Presence>>,
    questions: Mutex<HashMap<OfficerId, Question>>,
}

impl AtDesk {
    fn signins(&self) -> MutexGuard<'_, HashMap<CeremonyId, (Timestamp, [u8; 32])>> {
        self.signins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self) -> MutexGuard<'_, HashMap<Digest32, Presence>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What officers were asked to approve, one each. Never held across an await.
    pub(crate) fn questions(&self) -> MutexGuard<'_, HashMap<OfficerId, Question>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json(why: serde_json::Error) -> Fault {
    Fault::Misuse(format!("evidence of the desk as JSON: {why}"))
}

pub(crate) fn shown(statement: &impl serde::Serialize) -> std::result::Result<Value, Fault> {
    serde_json::to_value(statement).map_err(json)
}

impl Authn {
    /// Invites somebody to become an officer of the desk. Who may do so is the caller's to know.
    ///
    /// # Errors
    /// `desk-text-malformed`, or a fault.
    pub async fn invite(&self, name: &str, now: Timestamp) -> Result<Invitation> {
        if !is_visible(name, LONGEST_NAME) {
            return no(Refusal::DeskTextMalformed("name"));
        }
        let secret = Secret::new(&*self.random);
        let (mut nonce, mut user_handle) = ([0; 32], vec![0; 32]);
        self.random.fill(&mut nonce);
        self.random.fill(&mut user_handle);
        let mut row = InvitationRow {
            id: InvitationId::random(&*self.random),
            officer: OfficerId::random(&*self.random),
            name: name.to_owned(),
            secret_hash: secret.hash(),
            nonce,
            user_handle,
            issued: now,
            expires: now.plus(INVITATION_S),
            seal: Vec::new(),
            used: None,
        };
        row.seal = self.desk.mac(&row.sealed())?.to_vec();
        let (id, officer, expires) = (row.id, row.officer, row.expires);
        let row = Arc::new(row);
        self.ledger
            .record(move |tx| {
                row.insert(tx)?;
                let mut record = Record::new(Event::OfficerInvited, officer.stream(), now);
                record.evidence = Some(row.sealed().digest());
                Ok::<_, Failed<Refusal>>(((), Note(record)))
            })
            .await?;
        let url = format!("{}/desk#1.{id}.{}", self.config.url, secret.text());
        Ok(Invitation { officer, url, expires })
    }

    /// The invitation that whoever has its secret may know about.
    async fn invitation(&self, id: &str, secret: &str) -> Result<InvitationRow> {
        let (Ok(id), Some(shown)) = (id.parse::<InvitationId>(), Secret::hash_of(secret)) else {
            return no(Refusal::InvitationUnknown);
        };
        let row = self.ledger.read(move |tx| Ok(InvitationRow::find(tx, id)?)).await?;
        let Some(row) = row.filter(|row| same(&row.secret_hash, &shown)) else {
            return no(Refusal::InvitationUnknown);
        };
        if !self.desk.check(&row.sealed(), &row.seal)? {
            return no(Refusal::SealBroken("an invitation"));
        }
        Ok(row)
    }

    fn officer_statement(&self, row: &InvitationRow) -> OfficerStatement {
        OfficerStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            invitation: row.id,
            nonce: row.nonce,
            officer: row.officer,
            name: row.name.clone(),
        }
    }

    /// An invited person's browser: what to show and to sign.
    ///
    /// # Errors
    /// `invitation-unknown` for whoever does not have the secret; with it `invitation-used`,
    /// `invitation-expired`, `seal-broken`.
    pub async fn begin_enrolment(
        &self,
        invitation: &str,
        secret: &str,
        now: Timestamp,
    ) -> Result<AskedOfBrowser> {
        let row = self.invitation(invitation, secret).await?;
        row.usable(now).map_err(Failed::Refused)?;
        let statement = self.officer_statement(&row);
        let challenge = statement.challenge();
        let options = options::create(&self.config, &challenge, &row.user_handle, &row.name);
        Ok(AskedOfBrowser { statement: shown(&statement)?, options })
    }

    /// Her passkey: verified, and she is an officer, in one commit with the message to custody.
    ///
    /// # Errors
    /// As [`Authn::begin_enrolment`]; `officer-already-enrolled`; whatever `approval` refuses.
    pub async fn finish_enrolment(
        &self,
        invitation: &str,
        secret: &str,
        credential: &Value,
        now: Timestamp,
    ) -> Result<DeskOfficer> {
        let row = self.invitation(invitation, secret).await?;
        row.usable(now).map_err(Failed::Refused)?;
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let evidence = OfficerEvidence {
            statement: self.officer_statement(&row),
            registration: RegistrationResponse::from_json(credential).map_err(refused)?,
            user_handle: row.user_handle.clone(),
            enrolled: now,
        };
        let credential = check_officer(&evidence, &self.config.relying_party()).map_err(refused)?;
        self.config.makers.judge(&credential.attestation, now).map_err(refused)?;
        let officer =
            DeskOfficer { id: row.officer, name: row.name, enrolled: now, dismissed: None };
        let mut new = OfficerRow {
            officer: officer.clone(),
            text: serde_json::to_string(&credential).map_err(json)?,
            credential,
            seal: Vec::new(),
        };
        new.seal = self.desk.mac(&new.sealed())?.to_vec();
        let payload = serde_json::to_string(&evidence).map_err(json)?;
        let (id, hash) = (row.id, evidence.evidence_hash());
        let work = Arc::new((new, payload));
        self.ledger
            .record(move |tx| {
                let (new, payload) = &*work;
                let used = tx.exec(
                    "UPDATE authn_invitation SET used = $2 WHERE id = $1 AND used IS NULL",
                    &[id.octets().into(), now.into()],
                )?;
                if used != 1 {
                    return no(Refusal::InvitationUsed);
                }
                if !new.insert(tx)? {
                    return no(Refusal::OfficerAlreadyEnrolled);
                }
                tx.outbox(TOPIC_OFFICER_ENROLLED, None, payload)?;
                let mut record = Record::new(Event::OfficerEnrolled, new.officer.id.stream(), now);
                record.evidence = Some(hash);
                Ok(((), Note(record)))
            })
            .await?;
        Ok(officer)
    }

    /// Every officer of the desk there ever was.
    ///
    /// # Errors
    /// `seal-broken`, or a fault.
    pub async fn desk_officers(&self) -> Result<Vec<DeskOfficer>> {
        let desk = Arc::clone(&self.desk);
        let rows = self.ledger.read(move |tx| OfficerRow::all(tx, &desk)).await?;
        Ok(rows.into_iter().map(|row| row.officer).collect())
    }

    /// Ends an officer's authority. What was carried out before stands; what she opened and nobody has
    /// confirmed is closed.
    ///
    /// # Errors
    /// `officer-unknown` (nobody in office), `seal-broken`, or a fault.
    pub async fn dismiss_officer(&self, id: OfficerId, now: Timestamp) -> Result<DeskOfficer> {
        let desk = Arc::clone(&self.desk);
        let (officer, _) = self
            .ledger
            .record(move |tx| {
                let Some(mut row) = OfficerRow::in_office(tx, id, &desk)? else {
                    return no(Refusal::OfficerUnknown);
                };
                row.officer.dismissed = Some(now);
                let seal = desk.mac(&row.sealed())?;
                tx.exec(
                    "UPDATE authn_officer SET dismissed = $2, seal = $3 WHERE id = $1",
                    &[id.octets().into(), now.into(), seal.into()],
                )?;
                close_what_waits(tx, id, &desk, now)?;
                let payload = serde_json::json!({ "officer": id });
                tx.outbox(TOPIC_OFFICER_DISMISSED, None, &payload.to_string())?;
                let record = Record::new(Event::OfficerDismissed, id.stream(), now);
                Ok((row.officer, Note(record)))
            })
            .await?;
        self.at_desk.present().retain(|_, presence| presence.officer != id);
        self.at_desk.questions().remove(&id);
        Ok(officer)
    }

    /// Somebody wants to sign in at the desk.
    ///
    /// # Errors
    /// A fault.
    pub fn begin_signin(&self, now: Timestamp) -> Result<(CeremonyId, AskedOfBrowser)> {
        let mut nonce = [0; 32];
        self.random.fill(&mut nonce);
        let statement = self.signin_statement(nonce);
        let id = CeremonyId::random(&*self.random);
        let options = options::get_any(&self.config, &statement.challenge());
        let mut signins = self.at_desk.signins();
        signins.retain(|_, (at, _)| now.since(*at) <= FINISH_S);
        if signins.len() >= SIGNINS_AT_ONCE
            && let Some(oldest) = signins.iter().min_by_key(|(_, (at, _))| *at).map(|(id, _)| *id)
        {
            signins.remove(&oldest);
        }
        signins.insert(id, (now, nonce));
        Ok((id, AskedOfBrowser { statement: shown(&statement)?, options }))
    }

    fn signin_statement(&self, nonce: [u8; 32]) -> DeskSigninStatement {
        DeskSigninStatement {
            issuer: self.config.issuer.clone(),
            rp_id: self.config.rp_id.clone(),
            nonce,
        }
    }

    /// An officer's passkey signed in. The question is spent by any answer.
    ///
    /// # Errors
    /// `question-unknown`, `question-expired`; `officer-not-at-desk` for whoever is no officer in
    /// office; whatever `approval` refuses.
    pub async fn finish_signin(
        &self,
        ceremony: &str,
        credential: &Value,
        now: Timestamp,
    ) -> Result<SignedIn> {
        let asked = ceremony.parse().ok().and_then(|id| self.at_desk.signins().remove(&id));
        let Some((at, nonce)) = asked else { return no(Refusal::QuestionUnknown) };
        if now.since(at) > FINISH_S {
            return no(Refusal::QuestionExpired);
        }
        let refused = |refusal| Failed::Refused(Refusal::Approval(refusal));
        let response = AssertionResponse::from_json(credential).map_err(refused)?;
        let (desk, id) = (Arc::clone(&self.desk), response.credential_id.clone());
        let row = self.ledger.read(move |tx| OfficerRow::of_credential(tx, &id, &desk)).await?;
        let Some(row) = row else { return no(Refusal::OfficerNotAtDesk) };
        let challenge = self.signin_statement(nonce).challenge();
        let rp = self.config.relying_party();
        let outcome = assertion(&response, &row.credential, &challenge, &rp).map_err(refused)?;
        let officer = row.officer.clone();
        let row = Arc::new(row);
        self.ledger
            .record(move |tx| {
                row.count(tx, outcome)?;
                let mut record = Record::new(Event::DeskOpened, row.officer.id.stream(), now);
                record.evidence = Some(challenge);
                Ok(((), Note(record)))
            })
            .await?;
        let (cookie, csrf) = (Secret::new(&*self.random), Secret::new(&*self.random));
        let presence = Presence { officer: officer.id, csrf: csrf.text(), since: now, last: now };
        let mut present = self.at_desk.present();
        // One place at a time: signing in elsewhere ends the former.
        present.retain(|_, former| former.officer != officer.id && !former.over(now));
        present.insert(cookie.hash(), presence);
        Ok(SignedIn {
            officer,
            cookie: cookie.text(),
            csrf: csrf.text(),
            until: now.plus(DESK_LONGEST_S),
        })
    }

    /// The officer who is signed in with this cookie, and what her page sends with each request.
    ///
    /// # Errors
    /// `desk-closed`, `seal-broken`.
    pub async fn at_desk(&self, cookie: &str, now: Timestamp) -> Result<(DeskOfficer, String)> {
        let Some(hash) = Secret::hash_of(cookie) else { return no(Refusal::DeskClosed) };
        let presence = {
            let mut present = self.at_desk.present();
            present.retain(|_, presence| !presence.over(now));
            let Some(presence) = present.get_mut(&hash) else { return no(Refusal::DeskClosed) };
            presence.last = now;
            presence.clone()
        };
        let desk = Arc::clone(&self.desk);
        let id = presence.officer;
        let row = self.ledger.read(move |tx| OfficerRow::in_office(tx, id, &desk)).await?;
        match row {
            Some(row) => Ok((row.officer, presence.csrf)),
            None => no(Refusal::DeskClosed),
        }
    }

    /// As [`Authn::at_desk`], for a request that changes something: it must carry what only the page
    /// of this sign-in was given.
    ///
    /// # Errors
    /// `desk-closed`, `desk-forged`, `seal-broken`.
    pub async fn acting_at_desk(
        &self,
        cookie: &str,
        csrf: &str,
        now: Timestamp,
    ) -> Result<DeskOfficer> {
        let (officer, known) = self.at_desk(cookie, now).await?;
        let shown = Secret::hash_of(csrf);
        match (shown, Secret::hash_of(&known)) {
            (Some(shown), Some(known)) if same(&shown, &known) => Ok(officer),
            _ => no(Refusal::DeskForged),
        }
    }

    /// She leaves the desk.
    pub fn leave_desk(&self, cookie: &str) {
        if let Some(hash) = Secret::hash_of(cookie) {
            self.at_desk.present().remove(&hash);
        }
    }
}
